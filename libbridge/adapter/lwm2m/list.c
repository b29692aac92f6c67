/* Who is there: GET of the mount itself, "lwm2m/", is a JSON list of all devices below it. */
#include "adapter/lwm2m/lwm2m.h"

static bool is_below(const lwm2m_device *d, const char *mount, size_t len)
{
    return d->owner && strncmp(d->name, mount, len) == 0 && d->name[len] == '/';
}

static int put_devices(const lwm2m_port *p, buf *out)
{
    size_t len = strlen(p->mount);
    int rc = buf_text(out, "[");
    buf one;

    buf_init(&one, p->server->mem, 0);
    list_each(it, &p->server->devices)
    {
        const lwm2m_device *d = list_of(it, lwm2m_device, link);
        if (rc < 0) break;
        if (!is_below(d, p->mount, len)) continue;
        buf_clear(&one);
        rc = lwm2m_describe(d, &one);
        if (rc == 0 && out->len > 1) rc = buf_text(out, ",");
        if (rc == 0) rc = buf_put(out, one.data, one.len);
        if (rc == 0) rc = buf_text(out, "}");
    }
    buf_done(&one);
    return rc < 0 ? rc : buf_text(out, "]");
}

static void on_call(void *user, bridge_call *call)
{
    lwm2m_port *p = user;
    const char *path = bridge_msg_look(bridge_call_msg(call), &(bridge_fields){.size = sizeof(bridge_fields)})->path;
    bridge_fields f = {.size = sizeof f, .path = path, .format = BRIDGE_JSON};
    bridge_msg *msg = NULL;
    buf out;
    int rc;

    if (bridge_call_verb(call) != BRIDGE_GET) {
        bridge_call_reply(call, BRIDGE_METHOD, NULL);
        return;
    }
    buf_init(&out, p->server->mem, port_limits(p->coap.port)->max_message);
    rc = put_devices(p, &out);
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
}

void lwm2m_list_open(lwm2m_port *p)
{
    if (bridge_peer_new(&p->lister, p->coap.port, "devices", NULL, BRIDGE_PEER_CANONICAL, p) < 0) p->lister = NULL;
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
