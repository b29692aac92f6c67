/* What happens to a device, as messages: `<name>/!registered` and its like, JSON. */
#include "adapter/lwm2m/lwm2m.h"
#include "codec/json.h"
#include <stdio.h>

static int put_member(buf *out, const char *name, const char *value)
{
    int rc = buf_print(out, "%s\"%s\":", out->len > 1 ? "," : "", name);

    return rc ? rc : json_put_string(out, value, strlen(value));
}

int lwm2m_describe(const lwm2m_device *d, buf *out)
{
    int rc = buf_text(out, "{");

    if (rc == 0) rc = put_member(out, "ep", d->endpoint);
    if (rc == 0) rc = buf_print(out, ",\"lt\":%lld,\"lwm2m\":\"1.%u\",\"b\":\"%s\"", (long long)d->lifetime, d->minor, d->binding);
    if (rc == 0 && d->queue_mode) rc = buf_print(out, ",\"queue\":true,\"asleep\":%s", d->asleep ? "true" : "false");
    if (rc == 0 && d->msisdn) rc = put_member(out, "sms", d->msisdn);
    if (rc == 0 && d->gateway) rc = put_member(out, "gateway", d->gateway->endpoint);
    if (rc == 0 && d->identity) rc = put_member(out, "identity", d->identity);
    if (rc == 0) rc = buf_print(out, ",\"since\":%lld", (long long)d->since);
    if (rc == 0 && d->links) rc = put_member(out, "links", d->links);
    return rc;
}

/* Who speaks for it: of a guest the registered one of its name, whose paths they are. */
bridge_peer *lwm2m_voice(const lwm2m_device *d)
{
    const lwm2m_device *there = d->guest && d->name ? lwm2m_find(d->server, d->name) : NULL;

    return there && there->peer ? there->peer : d->peer;
}

int lwm2m_msg(lwm2m_device *d, const char *path, bridge_format format, const void *data, size_t len, bridge_msg **out)
{
    bridge_fields f = {.size = sizeof f, .path = path, .data = data, .len = len, .format = format, .qos = 1};

    return d->peer ? bridge_peer_msg(lwm2m_voice(d), &f, out) : BRIDGE_CLOSED;
}

void lwm2m_event(lwm2m_device *d, const char *what, const char *more)
{
    char path[1024];
    bridge_msg *msg = NULL;
    buf json;
    int n = snprintf(path, sizeof path, "%s/!%s", d->name, what), rc;

    if (!d->peer || n < 0 || (size_t)n >= sizeof path) return;
    buf_init(&json, d->server->mem, 0);
    rc = lwm2m_describe(d, &json);
    if (rc == 0 && more) rc = buf_text(&json, more);
    if (rc == 0) rc = buf_text(&json, "}");
    if (rc == 0)
        rc = lwm2m_msg(d, path, BRIDGE_JSON, json.data, json.len, &msg);
    if (rc == 0) bridge_peer_submit(lwm2m_voice(d), BRIDGE_POST, msg, NULL, NULL, NULL, NULL, NULL);
    bridge_msg_unref(msg);
    buf_done(&json);
}

void lwm2m_say(lwm2m_server *s, const char *path, const void *json, size_t len)
{
    bridge_fields f = {.size = sizeof f, .path = path, .data = json, .len = len, .format = BRIDGE_JSON, .qos = 1};
    const lwm2m_port *p = list_empty(&s->ports) ? NULL : list_of(s->ports.next, lwm2m_port, link);
    bridge_msg *msg = NULL;

    if (!p || !p->lister || s->closing || bridge_peer_msg(p->lister, &f, &msg) < 0) return;
    bridge_peer_submit(p->lister, BRIDGE_POST, msg, NULL, NULL, NULL, NULL, NULL);
    bridge_msg_unref(msg);
}

void lwm2m_event_of(lwm2m_server *s, lwm2m_device *d, const char *name, const char *what, const char *more)
{
    char path[1024];
    buf json;

    if (d && d->peer) {
        lwm2m_event(d, what, more);
        return;
    }
    snprintf(path, sizeof path, "%s/!%s", name, what);
    buf_init(&json, s->mem, 0);
    if (buf_text(&json, "{") == 0 && buf_text(&json, more + 1) == 0 && buf_text(&json, "}") == 0) lwm2m_say(s, path, json.data, json.len);
    buf_done(&json);
}
