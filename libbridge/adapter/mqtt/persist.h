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

enum { PERSIST_VERSION = 1, PERSIST_REFERS = 2 /* of a message: its body is elsewhere */ };

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
void mqtt_persist_item(mqtt_session *s, mqtt_out *o, uint64_t seq); /* as it is now, over what was there */
void mqtt_persist_drop(mqtt_session *s, mqtt_out *o, uint64_t seq);
void mqtt_persist_release(mqtt_session *s, const mqtt_out *o, uint64_t seq);
/* May this QoS 2 message leave?  If not yet, the queue is pumped again when it may. */
bool mqtt_persist_may_send(mqtt_session *s, uint64_t seq);
/* Sends this once all that was said so far is on disk, if the connection is still the same. */
void mqtt_persist_send(mqtt_session *s, wire_type type, uint16_t id, uint8_t reason);
int mqtt_persist_send_packet(mqtt_session *s, const wire_packet *p);
int mqtt_persist_welcome(mqtt_session *s, const wire_packet *connack, bool fresh); /* then mqtt_connect_done() */
void mqtt_persist_offline(mqtt_session *s); /* nothing of what waits is sent any more */

/* ---- bodies.c */
struct mqtt_body {
    bridge_msg *msg; /* the map's key */
    uint64_t number;
    uint32_t uses;
    bridge_store_mark mark;
};
void mqtt_body_join(mqtt_session *s, mqtt_out *o, uint64_t seq); /* before it is written: is it one that others wait for, too? */
void mqtt_body_leave(mqtt_shared *sh, mqtt_out *o);              /* it has its message still */
void mqtt_body_leave_all(mqtt_session *s);
uint64_t mqtt_body_of(mqtt_shared *sh, const mqtt_out *o);
void mqtt_bodies_done(mqtt_shared *sh);
typedef struct mqtt_loaded { /* while sessions are read */
    mqtt_shared *sh;
    mqtt_body **all; /* [count], by number */
    size_t count, room;
} mqtt_loaded;
int mqtt_bodies_load(mqtt_loaded *l);
bridge_msg *mqtt_body_refer(mqtt_loaded *l, uint64_t number); /* a reference of the caller's; NULL: there is none */
void mqtt_bodies_loaded(mqtt_loaded *l);

/* ---- persist_load.c */
void mqtt_persist_load(mqtt_shared *sh);
void mqtt_will_pack(const mqtt_session *s, buf *out);            /* will.c */
int mqtt_will_unpack(mqtt_session *s, const uint8_t *p, size_t len);
int mqtt_in_add(mqtt_session *s, uint16_t id);                   /* handle_publish.c */
int mqtt_queue_restore(mqtt_session *s, const mqtt_out *o, uint64_t seq); /* queue.c */
#endif
