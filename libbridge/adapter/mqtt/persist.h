/* adapter/mqtt/persist.h - what of a session outlives the process (docs/why/70-store.md).
 *
 *   SESSION       client id                       expiry, queue, since when it is away, first number not sent then, user, will
 *   SUBSCRIPTION  client id NUL group NUL filter  options
 *   RESPONDER     client id NUL filter            what it answers for
 *   INFLIGHT      client id NUL id                QoS 2 that came in
 *   its queue     first_seq + place in the ring   a message for it; or only that it was released
 * The packet identifier of a message follows from its number in the queue, so that one that was sent before a crash is sent again
 * under the identifier that the client knows.  A session is persistent when the bridge has a store and the session an expiry. */
#ifndef ADAPTER_MQTT_PERSIST_H
#define ADAPTER_MQTT_PERSIST_H
#include "adapter/mqtt/session.h"

static inline bool mqtt_persists(const mqtt_session *s)
{
    return s->queue != 0;
}
static inline uint16_t mqtt_persist_id(uint64_t seq)
{
    return (uint16_t)(1 + seq % 65535);
}

void mqtt_persist_session(mqtt_session *s); /* came, went, has another expiry or will: begins when there is a reason to */
void mqtt_persist_end(mqtt_session *s);     /* the session is over */
void mqtt_persist_subscribe(mqtt_session *s, const char *filter, const bridge_watch_options *o);
void mqtt_persist_unsubscribe(mqtt_session *s, const char *filter, const char *group);
void mqtt_persist_responder(mqtt_session *s, const char *filter, uint8_t qos);
void mqtt_persist_responder_not(mqtt_session *s, const char *filter);
void mqtt_persist_in(mqtt_session *s, uint16_t id, bool there);
/* The ring's messages: seq is first_seq and the place. */
void mqtt_persist_push(mqtt_session *s, mqtt_out *o, uint64_t seq);
void mqtt_persist_drop(mqtt_session *s, const mqtt_out *o, uint64_t seq);
void mqtt_persist_release(mqtt_session *s, const mqtt_out *o, uint64_t seq);
/* May this QoS 2 message leave?  If not yet, the queue is pumped again when it may. */
bool mqtt_persist_may_send(mqtt_session *s, uint64_t seq);
/* Sends this once all that was said so far is on disk, if the connection is still the same. */
void mqtt_persist_send(mqtt_session *s, wire_type type, uint16_t id, uint8_t reason);
int mqtt_persist_send_packet(mqtt_session *s, const wire_packet *p);
int mqtt_persist_welcome(mqtt_session *s, const wire_packet *connack, bool fresh); /* then mqtt_connect_done() */
void mqtt_persist_offline(mqtt_session *s); /* nothing of what waits is sent any more */

/* ---- persist_load.c */
void mqtt_persist_load(mqtt_shared *sh);
void mqtt_will_pack(const mqtt_session *s, buf *out);            /* will.c */
int mqtt_will_unpack(mqtt_session *s, const uint8_t *p, size_t len);
int mqtt_in_add(mqtt_session *s, uint16_t id);                   /* handle_publish.c */
int mqtt_queue_restore(mqtt_session *s, const mqtt_out *o, uint64_t seq); /* queue.c */
#endif
