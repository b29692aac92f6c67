/* adapter/mqtt/will.c - the last word of a client [5: 3.1.2.5]: made when it connects, published when it is gone without
 * having taken it back. */
#include "adapter/mqtt/persist.h"
#include "hub/port.h"
#include "store/store.h"

typedef struct mqtt_will {
    bridge_msg *msg;
    bridge_verb verb;
    int64_t delay; /* ms */
} mqtt_will;

/* What would be refused when it is published, is refused now, while somebody is there to hear it. */
static int may_be(mqtt_session *s, const wire_connect *k)
{
    size_t most = port_limits(s->shared->port)->max_message;
    if (!mqtt_topic_fits(s->client, (const char *)k->will_topic.p, k->will_topic.len)) return BRIDGE_INVALID;
    if (k->will_payload.len <= most) return 0;
    mqtt_say(s->client, "a will of %u bytes, %zu at most", (unsigned)k->will_payload.len, most);
    return BRIDGE_TOOBIG;
}

int mqtt_will_set(mqtt_session *s, const wire_packet *connect)
{
    const wire_connect *k = &connect->connect;
    mqtt_will_drop(s);
    if (!k->has_will) return 0;
    int rc = may_be(s, k);
    if (rc < 0) return rc;
    mqtt_will *w = mem_new(s->shared->mem, mqtt_will);
    if (!w) return BRIDGE_NOMEM;
    rc = mqtt_msg_new(s, &w->msg, k->will_topic, k->will_payload, k->will_qos, k->will_retain, &k->will);
    if (rc < 0) {
        mem_free(s->shared->mem, w);
        return rc;
    }
    w->verb = !k->will_retain ? BRIDGE_POST : k->will_payload.len ? BRIDGE_PUT : BRIDGE_DELETE;
    w->delay = k->will.has & WIRE_HAS_WILL_DELAY ? (int64_t)k->will.will_delay * 1000 : 0;
    s->will = w;
    return 0;
}

int64_t mqtt_will_delay(const mqtt_session *s)
{
    return s->will ? s->will->delay : -1;
}

void mqtt_will_drop(mqtt_session *s)
{
    mqtt_will *w = s->will;
    s->will = NULL;
    if (!w) return;
    bridge_msg_unref(w->msg);
    mem_free(s->shared->mem, w);
}

void mqtt_will_publish(mqtt_session *s)
{
    mqtt_will *w = s->will;
    s->will = NULL;
    if (!w) return;
    mqtt_msg_restamp(s->shared, w->msg); /* its life begins now, not at CONNECT [5: 3.1.3.2.4] */
    s->shared->count.wills++;
    bridge_peer_submit(s->peer, w->verb, w->msg, NULL, NULL, NULL, NULL, NULL);
    bridge_msg_unref(w->msg);
    mem_free(s->shared->mem, w);
}

/* ---- in the store: nothing, or verb, delay, message */

void mqtt_will_pack(const mqtt_session *s, buf *out)
{
    const mqtt_will *w = s->will;
    size_t was = out->len;
    if (!w) return;
    int rc = buf_put_u8(out, (uint8_t)w->verb);
    if (rc == 0) rc = buf_put_be64(out, (uint64_t)w->delay);
    if (rc == 0) rc = store_pack(out, w->msg);
    if (rc < 0) out->len = was;
}

int mqtt_will_unpack(mqtt_session *s, const uint8_t *p, size_t len)
{
    uint64_t delay = 0;
    if (len < 9 || (p[0] != BRIDGE_PUT && p[0] != BRIDGE_POST && p[0] != BRIDGE_DELETE)) return BRIDGE_SYNTAX;
    for (unsigned i = 1; i < 9; ++i) delay = delay << 8 | p[i];
    if (delay > (uint64_t)UINT32_MAX * 1000) return BRIDGE_SYNTAX;
    mqtt_will *w = mem_new(s->shared->mem, mqtt_will);
    if (!w) return BRIDGE_NOMEM;
    w->verb = (bridge_verb)p[0];
    w->delay = (int64_t)delay;
    int rc = store_unpack(s->shared->mem, p + 9, len - 9, &w->msg);
    if (rc == 0) s->will = w;
    else mem_free(s->shared->mem, w);
    return rc;
}
