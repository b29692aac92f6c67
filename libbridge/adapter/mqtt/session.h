/* adapter/mqtt/session.h - what the files of this folder share.
 *
 *   mqtt.c            listeners and their settings      handle_connect.c     CONNECT, sessions found or made
 *   client.c          a connection: bytes in, goodbyes  handle_publish.c     PUBLISH in, PUBREL, acknowledging in order
 *   session.c         what outlives a connection        handle_subscribe.c   SUBSCRIBE, UNSUBSCRIBE
 *   queue.c           what waits, what is in flight     handle_ack.c         PUBACK, PUBREC, PUBCOMP
 *   deliver.c         messages on their way out         message.c            PUBLISH <-> bridge_msg
 *   will.c            the last word of a client           handle_auth.c        AUTH
 *   reason.c          what is said about a no
 *   ask.c             a client asks                       respond.c            a client answers
 *   persist.c         sessions in the store               persist_load.c       and back
 *   bodies.c          there: messages that several wait for
 * The codec below (wire.h) knows nothing of all this. */
#ifndef ADAPTER_MQTT_SESSION_H
#define ADAPTER_MQTT_SESSION_H
#include "adapter/mqtt/wire.h"
#include "base/list.h"
#include "base/map.h"
#include "bridge/sys/store.h"
#include "core/message.h"
#include "loop/stream.h"

typedef struct mqtt_port mqtt_port;
typedef struct mqtt_shared mqtt_shared;
typedef struct mqtt_client mqtt_client;
typedef struct mqtt_session mqtt_session;
typedef struct mqtt_body mqtt_body;

typedef struct mqtt_limits { /* of a listener; docs/limits.md, MQTT */
    uint64_t max_connections, max_per_user, max_sessions, max_packet, max_inflight, receive_max, topic_aliases, max_queue,
        max_queue_bytes, max_pending, max_subscriptions, max_session_expiry, max_keep_alive, connect_timeout, max_rate,
        max_connect_rate, max_peer_connects, max_topic, max_levels, max_qos;
    bool strict_text, queue_qos0, proxy;
} mqtt_limits;

typedef struct mqtt_counters { /* docs/metrics.md */
    uint64_t connects, refused, taken_over, packets_in, messages_in, messages_out, bytes_in, dropped_slow, dropped_queue,
        dropped_size, dropped_refused, expired, protocol_errors, keep_alive_ends, resent, wills;
} mqtt_counters;

/* A PUBLISH as it goes to everybody who speaks the same version: made once for one message.  Small payloads are part of it. */
typedef struct mqtt_encoding {
    const bridge_msg *msg; /* no reference: only looked at together with version */
    uint64_t version;
    uint8_t *head;
    uint32_t len, room, id_at, path_len; /* of head; where the packet identifier stands, right behind the path */
    uint32_t payload;          /* bytes of payload that are not in head */
    int64_t ttl;               /* seconds said in it */
} mqtt_encoding;

typedef struct mqtt_user { /* the connections that use one name */
    unsigned count;
    size_t len;
    char name[];
} mqtt_user;

typedef struct mqtt_whole { /* the message that was written last with all it has; bodies.c */
    mqtt_session *session;
    uint64_t seq;
    const bridge_msg *msg;
} mqtt_whole;

struct mqtt_port { /* a listener */
    bool is_home; /* false: see mqtt_shared */
    bridge_port *port;
    mqtt_shared *shared;
    listener *listener;
    struct tls *tls;
    mqtt_limits limits;
    list clients; /* all connections that came in here */
    size_t client_count;
    int64_t second; /* for max_connect_rate */
    unsigned connects_in_second;
    bool closing;
};

/* What all MQTT listeners of a bridge have together: the state of the adapter's home port.  Sessions belong here, because a
 * client may leave through one listener and come back through another. */
struct mqtt_shared {
    bool is_home; /* true */
    mem *mem;     /* NULL: not yet set up */
    loop *loop;
    bridge_port *port;
    unsigned ports; /* listeners that are open or still have connections */
    mqtt_port handed; /* for connections that other adapters hand over (WebSocket) */
    list sessions;
    int64_t second; /* that addresses are counted for */
    map addresses;  /* rate.c */
    map by_id, users; /* client id -> mqtt_session; name -> mqtt_user */
    mqtt_counters count;
    size_t session_count;
    buf scratch; /* strings with a NUL, for one packet */
    buf extra;   /* encoded user properties and identifiers, for one packet */
    bridge_prop *props;
    size_t props_room;
    mqtt_encoding encodings[4]; /* [version 5][with identifier] */
    struct mqtt_ack *spare;     /* for the next PUBLISH that may have to wait */
    bridge_store *store;        /* or NULL: nothing outlives the process; see persist.h */
    buf packed;                 /* a message on its way there */
    map bodies;                 /* message -> mqtt_body */
    uint64_t body_queue, last_body; /* where they lie, 0: there were none yet; the last one's number */
    mqtt_whole whole;
    bool loading;               /* what comes now is there already */
    bool ending;                /* the process ends: sessions that are in the store stay there */
};

/* A connection.
 *
 *     NEW --CONNECT--> (ENTERING -->) ONLINE --DISCONNECT, error, limit, takeover--> GONE      then on_close frees it
 *      |                  ^                                                            ^
 *      `--CONNECT--> ASKING --AUTH--> ASKING ... ---- error, timeout ------------------'        (enhanced authentication)
 * ENTERING: its session is on its way to the disk, and CONNACK waits for that; what the client sends meanwhile waits, too. */
typedef enum mqtt_state { MQTT_NEW, MQTT_ASKING, MQTT_ENTERING, MQTT_ONLINE, MQTT_GONE } mqtt_state;

typedef struct mqtt_auth { /* enhanced authentication [5: 4.12]; lives as long as the connection */
    char *method;
    uint8_t *connect; /* the packet, until the client is let in */
    size_t connect_len;
    unsigned step;
    bool again; /* under way on a connection that is ONLINE */
    buf reply;  /* the application's data for the client */
} mqtt_auth;

typedef struct mqtt_alias_out {
    char *topic;
    uint32_t len;
} mqtt_alias_out;

struct mqtt_client {
    list link; /* in port->clients */
    mqtt_port *port;
    bridge_port *via; /* where it logs in: port->port, or that of the adapter that handed it over */
    stream *stream;
    mqtt_user *account; /* counted for max_per_user */
    mqtt_session *session; /* while ENTERING and ONLINE */
    timer timer;           /* until CONNECT its timeout, then keep-alive */
    timer rest;            /* it asked for much: others first, see mqtt_client_rest() */
    uint8_t *codes;        /* of the SUBSCRIBE that is half done, or NULL */
    uint32_t codes_done;
    char *why;             /* what it is going to be told about a refusal, or NULL: reason.c */
    int64_t turn; /* when the first subscription of what it sent last was looked at; 0: none was */
    int64_t seen;          /* when the last packet came */
    mqtt_auth *auth;       /* or NULL */
    char *user;            /* proven before MQTT began: a certificate, a WebSocket's login */
    char **aliases_in;     /* [limits.topic_aliases], made with the first */
    mqtt_alias_out *aliases_out;
    int64_t second; /* for max_rate */
    uint32_t in_second, max_packet;
    uint16_t keep_alive, window, alias_max_out;
    uint8_t version, state;
    bool problem_info, bridge;
    bool tells; /* it is told who published: the user property `tell-origin` of its CONNECT */
    uint8_t over; /* it came over a limit and only waits to be told: MQTT_OVER_* */
    bool corked;  /* while SUBSCRIBE is handled: SUBACK goes first; while ENTERING: CONNACK does */
    bool pumping; /* queue.c is at work */
    bool resting;
    bool held; /* so many of its PUBLISHes wait for others that no more is read: handle_publish.c */
};

typedef enum mqtt_out_state { OUT_WAITING, OUT_SENT, OUT_RELEASED, OUT_DONE } mqtt_out_state;

/* A message on its way to a client: waits, is sent, maybe released (QoS 2, after PUBREC), is done. */
typedef struct mqtt_out {
    bridge_msg *msg; /* NULL once released or done */
    union {
        uint32_t one;
        uint32_t *many;
    } ids; /* subscription identifiers */
    uint16_t id; /* packet identifier, once sent */
    uint8_t id_count;
    uint8_t qos : 2, retain : 1, state : 2;
    uint8_t again : 1;  /* sent on an earlier connection */
    uint8_t shared : 1; /* by a shared subscription: somebody else may get it instead */
    uint8_t kept : 1;   /* it was there before the subscription */
    uint32_t place : 31; /* of its append in the store's batch, in units of 8; see persist.c */
    uint32_t body : 1;   /* what is written there is a reference */
} mqtt_out;

typedef struct mqtt_ack { /* an acknowledgement that waits for the hub, or for one that does */
    mqtt_session *session;
    uint16_t id;
    uint8_t qos, reason;
    bool done;
    bool muted; /* its connection is gone */
    bool unkept; /* it could not be written down */
    list link;
    bridge_store_wait wait; /* QoS 2: until its identifier is on disk */
} mqtt_ack;

typedef struct mqtt_responder mqtt_responder; /* respond.c */
typedef struct mqtt_asked { /* a question of a client that is not answered yet */
    list link; /* in session->asked */
    mqtt_session *session;
    bridge_ticket *ticket;
    bridge_verb verb;
    uint8_t qos;
    uint32_t response_len, correlation_len;
    char response[]; /* with a NUL, then the correlation data */
} mqtt_asked;

struct mqtt_session {
    list link; /* in shared->sessions */
    mqtt_shared *shared;
    mqtt_client *client; /* NULL: offline */
    bridge_peer *peer;
    struct mqtt_will *will;

    mqtt_out *ring; /* [room], a power of two; begins at head */
    uint32_t room, head, count;
    uint32_t sent;      /* of count, from the beginning: sent on this connection */
    uint32_t unacked;   /* of those, not done */
    uint32_t kept;      /* of those not sent: kept values of a new subscription */
    uint32_t before0;   /* of those not sent: what QoS 0 may not overtake, that is QoS 0 and kept values */
    size_t queue_bytes, kept_bytes; /* of messages in the ring; of kept values there */
    list acks;          /* mqtt_ack, in order of PUBLISH */
    uint16_t *in_ids;   /* QoS 2 PUBLISHes not yet released */
    uint32_t in_count, in_room;
    unsigned acks_pending, acks_muted; /* how many those are; and of them, for connections that are gone */
    uint16_t next_id;
    list asked;             /* what it wants to know */
    list responders, calls; /* what it answers for, and is to answer now */
    unsigned asked_count, responder_count, call_count;
    unsigned max_queue;
    size_t max_queue_bytes;
    bool queue_qos0;
    uint64_t queue, first_seq; /* in the store, 0: none; the number of ring[head] there */
    uint64_t mark_batch, mark_seq, before_batch, before_seq; /* from which number on what is in which batch; persist.c */
    bridge_store_wait hold;    /* QoS 2 that may not leave yet */
    list later;                /* packets that wait for the disk */
    uint32_t expiry; /* seconds after the connection is gone, UINT32_MAX: never */
    timer timer;     /* offline: the will's delay, then the end */
    int64_t will_at, ends_at;
    uint32_t id_len;
    char id[];
};

/* ---- mqtt.c */
mqtt_shared *mqtt_shared_of(bridge_port *home); /* NULL: no memory */
void mqtt_port_settle(mqtt_port *port);         /* after a connection is gone: is the port's closing done? */

enum { MQTT_PUMP_HIGH = 256 * 1024, MQTT_INLINE = 256, MQTT_BY_REF = 4096, MQTT_HUNGRY = 1024, MQTT_MAX_ASKED = 1024,
       MQTT_MAX_REFUSED = 1024 };
/* ---- client.c */
int mqtt_client_new(mqtt_port *port, bridge_port *via, stream *s, const char *user); /* takes the stream */
void mqtt_leave(mqtt_client *c, bool with_will); /* closes without a word */
int mqtt_send(mqtt_client *c, const wire_packet *packet);
void mqtt_send_ack(mqtt_client *c, wire_type type, uint16_t id, uint8_t reason);
/* Says why (MQTT 5) and closes; the session goes offline, its will is due. */
void mqtt_kick(mqtt_client *c, uint8_t reason, const char *why);
/* Lets everybody else have a turn before this client's next packet, or the rest of this one. */
void mqtt_client_rest(mqtt_client *c);
void mqtt_client_hold(mqtt_client *c, bool on); /* what it sends waits until it is let go */
void mqtt_client_listen(mqtt_client *c, bool on); /* off: what it sends waits.  On: what has waited is taken now */
void mqtt_client_arm(mqtt_client *c); /* keep-alive begins */
/* Adds a reason string, if the client wants one and it fits. */
void mqtt_explain(const mqtt_client *c, wire_packet *packet, const char *why);
const char *mqtt_client_name(const mqtt_client *c);

/* ---- rate.c */
bool mqtt_too_fast(mqtt_client *c);                      /* one packet more than it may send in a second? */
enum { MQTT_OVER_COUNT = 1, MQTT_OVER_RATE, MQTT_OVER_ADDRESS };
uint8_t mqtt_too_many(mqtt_port *port, int64_t now);     /* one connection more: 0, or MQTT_OVER_* */
uint8_t mqtt_say_over(mqtt_client *c);                   /* what c->over is: the reason, and c->why */
bool mqtt_is_crowded(const mqtt_port *port);             /* so many wait to be refused that the next is just closed */
bool mqtt_too_eager(mqtt_client *c);                     /* one CONNECT more of its address? */
void mqtt_addresses_forget(mqtt_shared *sh);

/* ---- session.c */
mqtt_session *mqtt_session_find(mqtt_shared *sh, wire_slice id);
int mqtt_session_new(mqtt_session **out, mqtt_shared *sh, wire_slice id, const char *user);
void mqtt_session_online(mqtt_session *s, mqtt_client *c);
void mqtt_session_offline(mqtt_session *s, bool with_will); /* may free it */
void mqtt_session_restore(mqtt_session *s, int64_t since); /* from the store, away since then (ms since 1970); 0: it was connected */
void mqtt_session_free(mqtt_session *s); /* NULL is fine; the client is left alone */
int mqtt_user_enter(mqtt_client *c, const char *name); /* BUSY: too many of that name */
void mqtt_user_leave(mqtt_client *c);

/* ---- will.c */
int mqtt_will_set(mqtt_session *s, const wire_packet *connect);
void mqtt_will_publish(mqtt_session *s); /* now, if there is one */
void mqtt_will_drop(mqtt_session *s);
int64_t mqtt_will_delay(const mqtt_session *s); /* ms; -1: no will */

/* ---- queue.c */
int mqtt_queue_push(mqtt_session *s, bridge_msg *msg, const bridge_delivery *how, bool retain);
void mqtt_queue_pump(mqtt_session *s); /* sends what may be sent */
mqtt_out *mqtt_queue_find(mqtt_session *s, uint16_t id);
mqtt_out *mqtt_queue_at(mqtt_session *s, uint64_t seq); /* by its number in the store; NULL: it is gone */
void mqtt_queue_done(mqtt_session *s, mqtt_out *o);
void mqtt_queue_release(mqtt_session *s, mqtt_out *o); /* PUBREC came: the message may go, the identifier stays */
uint64_t mqtt_queue_unsent(const mqtt_session *s); /* while it is away: the number of the first that no connection has seen */
void mqtt_queue_rewind(mqtt_session *s); /* the connection is gone: what was in flight waits again */
void mqtt_queue_pass_on(mqtt_session *s); /* the session ends: what was shared goes to others */
void mqtt_queue_free(mqtt_session *s);

/* ---- deliver.c */
bool mqtt_hungry(void *state); /* for what is kept */
void mqtt_deliver(void *state, bridge_msg *msg, const bridge_delivery *how);
/* Writes one PUBLISH.  0, CLOSED, NOMEM, TOOBIG (over what the client takes). */
int mqtt_publish_out(mqtt_client *c, bridge_msg *msg, const mqtt_out *o);
void mqtt_encodings_free(mqtt_shared *sh);

/* ---- ask.c */
/* Is this PUBLISH, which has a Response Topic, a question?  Then it is asked, and *rc is for its acknowledgement. */
bool mqtt_ask(mqtt_session *s, const wire_packet *p, wire_slice topic, int *rc);
void mqtt_asked_free(mqtt_session *s);
const char *mqtt_code_of(int status, bridge_verb verb); /* "4.04" */
int mqtt_status_said(text said);                        /* of "NOTFOUND", "4.04" or "404" */
const char *mqtt_method_name(bridge_verb verb);

/* ---- respond.c */
int mqtt_respond(mqtt_session *s, const char *filter, uint8_t qos); /* 0; EXISTS: somebody else does */
bool mqtt_respond_no_more(mqtt_session *s, const char *filter);     /* false: it did not */
/* Is this PUBLISH an answer of a responder? */
bool mqtt_answer(mqtt_session *s, const wire_packet *p, wire_slice topic, int *rc);
void mqtt_calls_drop(mqtt_session *s); /* nobody is there to answer them */
void mqtt_responders_free(mqtt_session *s);

/* ---- message.c */
/* A message from PUBLISH or a will; topic is the full one. */
int mqtt_msg_new(mqtt_session *s, bridge_msg **out, wire_slice topic, wire_slice payload, uint8_t qos, bool retain,
                 const wire_props *props);
/* Fills in packet from msg; its slices point into msg and into shared->extra. */
int mqtt_tell_origin(mqtt_client *c, wire_packet *packet, const bridge_msg *msg); /* adds to what mqtt_msg_out() made */
bool mqtt_says_yes(const wire_packet *p, const char *property); /* a user property: "true" */
int mqtt_msg_out(mqtt_shared *sh, wire_packet *packet, const bridge_msg *msg, int64_t ttl, const uint32_t *ids,
                 unsigned id_count);
void mqtt_msg_restamp(mqtt_shared *sh, bridge_msg *msg); /* of a message that nobody else has seen: its time is now */
int64_t mqtt_msg_ttl(const mqtt_shared *sh, const bridge_msg *msg); /* seconds left, rounded up; -1: for ever */

/* ---- reason.c */
uint8_t mqtt_reason(int status); /* of a bridge_status, for PUBACK and PUBREC */
const char *mqtt_reason_text(uint8_t reason);
/* Puts a sentence into c->why, and gives it; it is forgotten with the next, or with mqtt_hush(). */
const char *mqtt_say(mqtt_client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mqtt_forget_why(mqtt_client *c);
static inline void mqtt_hush(mqtt_client *c)
{
    if (c->why) mqtt_forget_why(c);
}
void mqtt_say_packet(mqtt_client *c, const wire_packet *p, uint8_t reason); /* what is wrong with it, unless that is said already */
bool mqtt_is_over(mqtt_client *c, int status); /* was it a limit?  Then c->why says which */
bool mqtt_topic_measured(mqtt_client *c, const char *name, size_t len);
static inline bool mqtt_topic_fits(mqtt_client *c, const char *name, size_t len) /* else c->why says why not */
{
    const mqtt_limits *most = &c->port->limits; /* a name has at most one level more than bytes */
    return (len <= most->max_topic && len < most->max_levels) || mqtt_topic_measured(c, name, len);
}

/* ---- handle_*.c: 0, or the reason code to disconnect with */
int mqtt_handle_connect(mqtt_client *c, const wire_packet *p, const uint8_t *raw, size_t len);
int mqtt_connect_go_on(mqtt_client *c, wire_slice data); /* AUTH after a challenge */
void mqtt_refuse(mqtt_client *c, uint8_t reason, const char *why); /* CONNACK with an error, and close */
void mqtt_connect_done(mqtt_client *c); /* CONNACK has gone: ONLINE */
int mqtt_handle_publish(mqtt_client *c, const wire_packet *p);
int mqtt_handle_pubrel(mqtt_client *c, const wire_packet *p);
void mqtt_acks_forget(mqtt_session *s);
int mqtt_handle_subscribe(mqtt_client *c, const wire_packet *p);
int mqtt_handle_unsubscribe(mqtt_client *c, const wire_packet *p);
int mqtt_handle_puback(mqtt_client *c, const wire_packet *p);
int mqtt_handle_pubrec(mqtt_client *c, const wire_packet *p);
int mqtt_handle_pubcomp(mqtt_client *c, const wire_packet *p);
int mqtt_handle_disconnect(mqtt_client *c, const wire_packet *p);
int mqtt_handle_auth(mqtt_client *c, const wire_packet *p);

/* ---- handle_auth.c */
int mqtt_auth_new(mqtt_client *c, const wire_packet *connect, const uint8_t *raw, size_t len);
void mqtt_auth_free(mqtt_client *c);
void mqtt_auth_send(mqtt_client *c, uint8_t reason); /* AUTH with the application's data */
void mqtt_auth_props(const mqtt_client *c, wire_props *props);
#endif
