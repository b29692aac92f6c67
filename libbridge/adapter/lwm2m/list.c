/* Who is there: GET of the mount itself, "lwm2m/", is a JSON list of all devices below it; with ?limit= a page of it, with ?model= the
 * names and types of objects. */
#include "adapter/lwm2m/lwm2m.h"
#include "codec/json.h"

static bool is_below(const lwm2m_device *d, const char *mount, size_t len)
{
    return d->owner && strncmp(d->name, mount, len) == 0 && d->name[len] == '/';
}

typedef struct asked { /* ?limit=50&offset=100&q=lamp: a page of those whose endpoint has "lamp" in it */
    uint64_t limit, offset; /* limit 0: all, as a plain list */
    char part[128], model[512];
} asked;

enum { LIST_PAGE = 500, MODEL_OBJECTS = 64 };

static void take(asked *a, text name, text value)
{
    if (text_is(name, "limit")) text_to_u64(value, LIST_PAGE, &a->limit);
    else if (text_is(name, "offset")) text_to_u64(value, UINT32_MAX, &a->offset);
    else if (text_is(name, "model") && value.len < sizeof a->model) memcpy(a->model, value.p, value.len);
    else if (text_is(name, "q") && value.len < sizeof a->part) memcpy(a->part, value.p, value.len);
}

/* What it asks for stands there as it came, but for its escapes. */
static asked read_query(mem *m, const char *query)
{
    asked a = {0};
    text rest = text_of(query ? query : ""), word, name, value;
    buf plain;

    buf_init(&plain, m, 0);
    while (rest.len) {
        text_cut(rest, '&', &word, &rest);
        text_cut(word, '=', &name, &value);
        buf_clear(&plain);
        if (text_percent_decode(&plain, value) == 0) take(&a, name, (text){(char *)plain.data, plain.len});
    }
    buf_done(&plain);
    return a;
}

static int put_devices(const lwm2m_port *p, const asked *a, buf *out)
{
    size_t len = strlen(p->mount);
    uint64_t fit = 0, told = 0;
    int rc = buf_text(out, a->limit ? "{\"devices\":[" : "[");
    buf one;

    buf_init(&one, p->server->mem, 0);
    list_each(it, &p->server->devices)
    {
        const lwm2m_device *d = list_of(it, lwm2m_device, link);
        if (rc < 0) break;
        if (!is_below(d, p->mount, len) || (*a->part && !strstr(d->endpoint, a->part))) continue;
        if (fit++ < a->offset || (a->limit && told >= a->limit)) continue;
        buf_clear(&one);
        rc = lwm2m_describe(d, &one);
        if (rc == 0 && told++) rc = buf_text(out, ",");
        if (rc == 0) rc = buf_put(out, one.data, one.len);
        if (rc == 0) rc = buf_text(out, "}");
    }
    buf_done(&one);
    if (rc < 0) return rc;
    return a->limit ? buf_print(out, "],\"total\":%llu}", (unsigned long long)fit) : buf_text(out, "]");
}

static int put_resource(const lwm2m_resource *r, buf *out)
{
    static const char *const types[] = {"none", "string", "integer", "unsigned", "float", "boolean", "opaque", "time", "link", "corelink"};
    int rc = buf_print(out, "\"%u\":{\"type\":\"%s\",\"operations\":\"%s%s%s\",\"multiple\":%s,\"name\":", r->id, types[r->type],
                       r->ops & LWM2M_READ ? "R" : "", r->ops & LWM2M_WRITE ? "W" : "", r->ops & LWM2M_EXECUTE ? "E" : "",
                       r->multiple ? "true" : "false");

    if (rc == 0) rc = json_put_string(out, r->name, strlen(r->name));
    if (rc == 0 && r->unit) rc = buf_text(out, ",\"unit\":");
    if (rc == 0 && r->unit) rc = json_put_string(out, r->unit, strlen(r->unit));
    return rc < 0 ? rc : buf_text(out, "}");
}

/* ?model=3,3303: what these objects and their resources are called, and what can be done with them. */
static int put_model(const lwm2m_server *s, const char *ids, buf *out)
{
    int rc = buf_text(out, "{");
    unsigned told = 0;

    for (text rest = text_of(ids), word; rc == 0 && rest.len && told < MODEL_OBJECTS;) {
        uint64_t id;
        const lwm2m_object *o;
        text_cut(rest, ',', &word, &rest);
        if (!text_to_u64(word, UINT16_MAX, &id) || !(o = lwm2m_object_of(s->model, (uint16_t)id))) continue;
        rc = buf_print(out, "%s\"%u\":{\"multiple\":%s,\"name\":", told++ ? "," : "", o->id, o->multiple ? "true" : "false");
        if (rc == 0) rc = json_put_string(out, o->name, strlen(o->name));
        if (rc == 0) rc = buf_text(out, ",\"resources\":{");
        for (unsigned i = 0; rc == 0 && i < o->count; i++) {
            if (i) rc = buf_text(out, ",");
            if (rc == 0) rc = put_resource(&o->resources[i], out);
        }
        if (rc == 0) rc = buf_text(out, "}}");
    }
    return rc < 0 ? rc : buf_text(out, "}");
}

static void on_call(void *user, bridge_call *call)
{
    lwm2m_port *p = user;
    const char *path = bridge_msg_look(bridge_call_msg(call), &(bridge_fields){.size = sizeof(bridge_fields)})->path;
    bridge_fields f = {.size = sizeof f, .path = path, .format = BRIDGE_JSON};
    bridge_msg *msg = NULL;
    asked a;
    buf out;
    int rc;

    if (bridge_call_verb(call) != BRIDGE_GET) {
        bridge_call_reply(call, BRIDGE_METHOD, NULL);
        return;
    }
    buf_init(&out, p->server->mem, port_limits(p->coap.port)->max_message);
    a = read_query(p->server->mem, bridge_call_query(call));
    rc = *a.model ? put_model(p->server, a.model, &out) : put_devices(p, &a, &out);
    f.data = out.data;
    f.len = out.len;
    if (rc == 0) rc = bridge_peer_msg(p->lister, &f, &msg);
    bridge_call_reply(call, rc, msg);
    bridge_msg_unref(msg);
    buf_done(&out);
}

/* Of several listeners with one mount the first owns it. */
static void own(lwm2m_port *p)
{
    static const bridge_owner_fns fns = {.size = sizeof fns, .call = on_call};
    bridge_owner *owner;
    char path[1024];

    if (!p->lister || strlen(p->mount) + 2 > sizeof path) return;
    bridge_peer_own(p->lister, p->mount, &fns, p, &owner);
    snprintf(path, sizeof path, "%s/", p->mount);
    bridge_peer_own(p->lister, path, &fns, p, &owner);
    lwm2m_campaigns_own(p);
}

void lwm2m_list_open(lwm2m_port *p)
{
    if (bridge_peer_new(&p->lister, p->coap.port, "devices", NULL, BRIDGE_PEER_CANONICAL | BRIDGE_PEER_INSIDE, p) < 0) p->lister = NULL;
    own(p);
}

void lwm2m_list_close(lwm2m_port *p)
{
    bridge_peer_free(p->lister);
    p->lister = NULL;
    list_each(it, &p->server->ports)
    {
        lwm2m_port *other = list_of(it, lwm2m_port, link);
        if (other != p && strcmp(other->mount, p->mount) == 0) own(other);
    }
}
