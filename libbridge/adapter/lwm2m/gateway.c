/* Devices behind a device (LwM2M Gateway, object 25): each appears as one of its own, `<mount>/<its id>/...`.
 *
 *      the gateway registers, or updates, with instances of /25 --> Read /25 --> Device ID (0), Prefix (1), Objects (3) of each
 *      --> a device whose requests go to the gateway, below /Prefix; it comes and goes with the gateway
 *
 * A name that is registered by itself is not taken over by a gateway that claims it. */
#include "adapter/lwm2m/lwm2m.h"
#include "base/status.h"
#include "codec/link.h"
#include "codec/scratch.h"
#include <stdio.h>

enum { OBJECT = 25, DEVICE_ID = 0, PREFIX = 1, OBJECTS = 3, LOOK_PATIENCE = 60000 };

static bool has_gateway(const lwm2m_device *d)
{
    size_t root = strlen(d->root);
    text rest = text_of(d->links);
    link_item one;

    while (link_next(&rest, &one, NULL) > 0) {
        text t = one.target;

        if (root && t.len > root + 1 && memcmp(t.p + 1, d->root, root) == 0) t.p += root + 1, t.len -= root + 1;
        if (t.len > 4 && memcmp(t.p, "/25/", 4) == 0) return true;
    }
    return false;
}

/* One segment of a path. */
static bool is_prefix(text t) { return t.len && t.len <= 64 && text_is_utf8(t.p, t.len) && !memchr(t.p, '/', t.len); }

static text words_of(const lwm2m_leaves *leaves, uint16_t instance, uint16_t resource)
{
    for (size_t i = 0; i < leaves->count; i++) {
        const oma_path *p = &leaves->at[i].path;
        const bridge_record *r = &leaves->at[i].record;

        if (p->count < 3 || p->id[1] != instance || p->id[2] != resource) continue;
        if (r->type == BRIDGE_STRING || r->type == BRIDGE_OPAQUE) return (text){r->as.bytes.p, r->as.bytes.len};
    }
    return (text){NULL, 0};
}

static void appear(lwm2m_device *gateway, const lwm2m_leaves *leaves, uint16_t instance)
{
    text id = words_of(leaves, instance, DEVICE_ID), prefix = words_of(leaves, instance, PREFIX);
    text links = words_of(leaves, instance, OBJECTS), unused = {"", 0};
    char root[320];
    int format = -1;

    if (!id.len || id.len > LWM2M_ENDPOINT_MAX || !text_is_utf8(id.p, id.len) || !is_prefix(prefix)) return;
    if (!text_is_utf8(links.p, links.len) || lwm2m_links_check(links.p ? links.p : "", links.len, &unused, &format, NULL) < 0) links.len = 0;
    snprintf(root, sizeof root, "%.240s%s%.*s", gateway->root, *gateway->root ? "/" : "", (int)prefix.len, prefix.p);
    lwm2m_behind(gateway, id, root, links);
}

static void take(lwm2m_device *gateway, const lwm2m_leaves *leaves)
{
    list_each (it, &gateway->behind) list_of(it, lwm2m_device, behind_link)->stays = false;
    for (size_t i = 0; i < leaves->count && !gateway->gone; i++) {
        const oma_path *p = &leaves->at[i].path;
        if (p->count == 3 && p->id[0] == OBJECT && p->id[2] == DEVICE_ID) appear(gateway, leaves, p->id[1]);
    }
    for (list *it = gateway->behind.next; it != &gateway->behind && !gateway->gone;) {
        lwm2m_device *d = list_of(it, lwm2m_device, behind_link);

        it = it->next;
        if (!d->stays) lwm2m_remove(d, LWM2M_GONE_ASKED);
    }
}

static void on_read(void *user, int status, const coap_answer *answer)
{
    static const oma_path at = {1, {OBJECT}};
    lwm2m_device *gateway = user;
    lwm2m_leaves leaves;
    bridge_scratch s;
    int format;

    if (status == 0 && coap_class(answer->code) == 2 && !gateway->gone) {
        format = answer->meta->has & COAP_HAS_CONTENT_FORMAT ? answer->meta->format : -1;
        scratch_init(&s, gateway->server->mem);
        if (lwm2m_leaves_read(gateway->server, &s, &at, format, answer->body, answer->body_len, &leaves, NULL) == 0) take(gateway, &leaves);
        scratch_done(&s);
    }
    lwm2m_release(gateway);
}

/* After a registration, and after an update that told other links. */
void lwm2m_look_behind(lwm2m_device *d)
{
    lwm2m_question q = {.code = COAP_GET, .path = {1, {OBJECT}}, .accept = -1, .format = -1, .patience = LOOK_PATIENCE};

    if (d->gone || d->gateway || !has_gateway(d)) return;
    lwm2m_hold(d);
    if (lwm2m_ask(d, &q, on_read, d, NULL) < 0) lwm2m_release(d);
}
