/* adapter/mqtt/will.c - the last word of a client [5: 3.1.2.5]: made when it connects, published when it is gone without
 * having taken it back. */
#include "adapter/mqtt/session.h"

typedef struct mqtt_will {
    bridge_msg *msg;
    bridge_verb verb;
    int64_t delay; /* ms */
} mqtt_will;

int mqtt_will_set(mqtt_session *s, const wire_packet *connect)
{
    const wire_connect *k = &connect->connect;
    mqtt_will_drop(s);
    if (!k->has_will) return 0;
    mqtt_will *w = mem_new(s->shared->mem, mqtt_will);
    if (!w) return BRIDGE_NOMEM;
    int rc = mqtt_msg_new(s, &w->msg, k->will_topic, k->will_payload, k->will_qos, k->will_retain, &k->will);
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
