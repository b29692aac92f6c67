/* What is asked at DEVICE/!update-firmware, DEVICE/9/N/!install-software and their like, as an order (flash.h). */
#include "adapter/lwm2m/flash.h"
#include "base/status.h"
#include "codec/base64.h"
#include "codec/scratch.h"

const lwm2m_verb *lwm2m_verb_of(text op)
{
    static const lwm2m_verb verbs[] = {
        {"update-firmware", LWM2M_FIRMWARE, LWM2M_ANY_WAY},      {"push-firmware", LWM2M_FIRMWARE, LWM2M_PUSH},
        {"pull-firmware", LWM2M_FIRMWARE, LWM2M_PULL},           {"pull-firmware-coap", LWM2M_FIRMWARE, LWM2M_PULL_COAP},
        {"pull-firmware-http", LWM2M_FIRMWARE, LWM2M_PULL_HTTP}, {"install-software", LWM2M_INSTALL, LWM2M_ANY_WAY},
        {"push-software", LWM2M_INSTALL, LWM2M_PUSH},            {"pull-software", LWM2M_INSTALL, LWM2M_PULL},
        {"pull-software-coap", LWM2M_INSTALL, LWM2M_PULL_COAP},  {"pull-software-http", LWM2M_INSTALL, LWM2M_PULL_HTTP},
        {"activate-software", LWM2M_ACTIVATE, LWM2M_ANY_WAY},    {"deactivate-software", LWM2M_DEACTIVATE, LWM2M_ANY_WAY},
        {"uninstall-software", LWM2M_UNINSTALL, LWM2M_ANY_WAY},  {"activate-component", LWM2M_ENABLE, LWM2M_ANY_WAY},
        {"deactivate-component", LWM2M_DISABLE, LWM2M_ANY_WAY},  {"update-components", LWM2M_PARTS, LWM2M_ANY_WAY},
    };

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (text_is(op, verbs[i].name)) return &verbs[i];
    return NULL;
}

/* ---- Orders */

void lwm2m_order_done(mem *m, lwm2m_order *order)
{
    bridge_msg_unref(order->package);
    mem_free(m, order->uri);
    order->package = NULL;
    order->uri = NULL;
}

const node *lwm2m_member(const node *body, const char *name, item_kind kind)
{
    const node *at = node_of(body, name);

    return at && at->it.kind == kind ? at : NULL;
}

static int take_bytes(lwm2m_server *s, bridge_peer *voice, const item *it, bridge_msg **out)
{
    uint8_t *room = mem_alloc(s->mem, it->len / 4 * 3 + 2);
    bridge_fields f = {.size = sizeof f, .path = "package", .data = room, .format = BRIDGE_BYTES};
    int rc = !room ? BRIDGE_NOMEM : base64_read(it->p, it->len, room, &f.len) && f.len ? 0 : BRIDGE_UNPROCESSABLE;

    if (rc == 0) rc = bridge_peer_msg(voice, &f, out);
    mem_free(s->mem, room);
    return rc;
}

int lwm2m_order_read(lwm2m_server *s, bridge_peer *voice, const node *body, lwm2m_order *out)
{
    const node *uri = lwm2m_member(body, "uri", ITEM_STRING), *package = lwm2m_member(body, "package", ITEM_STRING),
               *method = lwm2m_member(body, "method", ITEM_STRING);

    if (method && !lwm2m_way_read((text){method->it.p, method->it.len}, &out->way)) return BRIDGE_UNPROCESSABLE;
    if (package) return take_bytes(s, voice, &package->it, &out->package);
    if (!uri) return 0;
    out->uri = mem_text_len(s->mem, uri->it.p, uri->it.len);
    return out->uri ? 0 : BRIDGE_NOMEM;
}

/* The body: the package itself, or JSON. */
static int take_body(lwm2m_device *d, bridge_msg *msg, lwm2m_order *out)
{
    bridge_fields f = {.size = sizeof f};
    bridge_scratch s;
    node *root = NULL;
    int rc;

    bridge_msg_look(msg, &f);
    if (!f.len) return BRIDGE_INVALID;
    if (f.format != BRIDGE_JSON) {
        out->package = bridge_msg_ref(msg);
        return 0;
    }
    scratch_init(&s, d->server->mem);
    rc = node_read(&s, BRIDGE_JSON, f.data, f.len, &root, NULL);
    if (rc == 0) rc = lwm2m_order_read(d->server, d->peer, root, out);
    if (rc == 0 && !out->uri && !out->package) rc = BRIDGE_INVALID;
    scratch_done(&s);
    return rc;
}

/* Where each of them may be asked: firmware at the device is /5/0. */
static bool take_place(const lwm2m_verb *verb, const oma_path *at, lwm2m_order *out)
{
    uint16_t object = lwm2m_plan_of(verb->kind)->object;

    if (at->count == 0 && object == FIRMWARE_OBJECT) {
        out->object = FIRMWARE_OBJECT;
        return true;
    }
    out->object = at->id[0];
    out->instance = at->id[1];
    return at->count == 2 && (at->id[0] == object || (object == FIRMWARE_OBJECT && at->id[0] == ADVANCED_OBJECT));
}

static void take_query(const char *query, lwm2m_way *way)
{
    text rest = text_of(query ? query : ""), word, name, value;

    while (rest.len) {
        text_cut(rest, '&', &word, &rest);
        text_cut(word, '=', &name, &value);
        if (text_is(name, "method")) lwm2m_way_read(value, way);
    }
}

static int ask_parts(lwm2m_device *d, bridge_msg *msg, const char **why)
{
    bridge_fields f = {.size = sizeof f};
    lwm2m_parts *parts = NULL;
    bridge_scratch s;
    node *root = NULL;
    int rc;

    bridge_msg_look(msg, &f);
    scratch_init(&s, d->server->mem);
    rc = node_read(&s, BRIDGE_JSON, f.data, f.len, &root, NULL);
    if (rc < 0) *why = "JSON is wanted: {\"components\":[{\"at\":\"/9/1\",\"uri\":...}]}";
    if (rc == 0) rc = lwm2m_parts_read(&parts, d->server, d->peer, root, why);
    if (rc == 0) rc = lwm2m_parts_begin(d, parts, &(lwm2m_parts_how){0});
    lwm2m_parts_free(parts);
    scratch_done(&s);
    return rc;
}

int lwm2m_flash_ask(lwm2m_device *d, const lwm2m_verb *verb, const oma_path *at, const char *query, bridge_msg *msg, const char **why)
{
    lwm2m_order order = {.kind = verb->kind, .way = verb->way};
    int rc = 0;

    if (verb->kind == LWM2M_PARTS) return at->count ? BRIDGE_NOTFOUND : ask_parts(d, msg, why);
    if (!take_place(verb, at, &order)) {
        *why = order.kind >= LWM2M_ENABLE ? "an instance of object 14 is wanted" : "an instance of object 9 is wanted";
        return BRIDGE_NOTFOUND;
    }
    take_query(query, &order.way);
    if (lwm2m_plan_of(verb->kind)->package >= 0) rc = take_body(d, msg, &order);
    if (rc == 0) rc = lwm2m_flash_begin(d, &order);
    lwm2m_order_done(d->server->mem, &order);
    return rc;
}
