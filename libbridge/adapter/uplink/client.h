/* adapter/uplink/client.h - MQTT as a client, 3.1.1 and 5: bytes in, bytes and events out.  No socket, no clock, no thread.
 *
 *   IDLE -> ASKING   client_begin(): CONNECT is written
 *   ASKING -> UP     CONNACK: on_reset() when the broker has lost the session, then what was in flight goes out again, then on_up()
 *   any -> IDLE      client_lost(), client_goodbye(); or by itself: then on_end() tells why
 *
 * A message out has one of these phases, and in flight it keeps its place in the order [5: 4.4, 4.6]:
 *   SENT       PUBLISH is written; PUBACK or PUBREC ends or releases it
 *   RELEASED   QoS 2: PUBREL is written; PUBCOMP ends it
 * A message in is acknowledged when whoever took it says so, in the order of arrival, not before: client_acknowledge().
 * At QoS 2 each step can be kept on disk: then it is said when it is there (keep_out, keep_in, client_written()).
 *
 * With a session that stays (clean = false) what is in flight outlives the connection; else client_lost() hands it back by on_reset().
 * Statement numbers as in adapter/mqtt/wire.h, whose packets these are. */
#ifndef ADAPTER_UPLINK_CLIENT_H
#define ADAPTER_UPLINK_CLIENT_H
#include "adapter/uplink/link.h"

enum {
    CLIENT_RECEIVE = 1000, /* messages of QoS 1 and 2 that the broker may send before we have acknowledged; docs/limits.md */
    CLIENT_ASKING = 100    /* SUBSCRIBEs and UNSUBSCRIBEs under way; the rest waits */
};

typedef struct client client;
typedef struct client_ack client_ack;

typedef struct client_hooks {
    void *(*room)(void *user, size_t len); /* to be filled in at once; NULL: nothing more can be said */
    void (*on_up)(void *user, const link_up *up);
    void (*on_end)(void *user, int code, const char *why); /* code: a reason of MQTT 5, or a return code of CONNACK of 3.1.1; 0: none */
    void (*on_reset)(void *user);                         /* the session is over: nothing is in flight any more, nothing is taken */
    void (*on_done)(void *user, parcel *p);
    void (*on_subscribed)(void *user, const char *filter, bool awaited, uint8_t code);
    int (*on_message)(void *user, const arrival *a, client_ack *ack); /* as link.h has it */
    /* QoS 2; NULL: nothing is kept.  The batch that has it on disk: what is to be said waits for client_written(); 0: it goes at once. */
    uint64_t (*keep_out)(void *user, parcel *p);              /* p->id and p->phase are new: PUBLISH or PUBREL waits */
    uint64_t (*keep_in)(void *user, uint16_t id, bool taken); /* an identifier of theirs; not taken: PUBCOMP waits */
} client_hooks;

int client_new(client **out, mem *m, unsigned window, const client_hooks *hooks, void *user);
void client_free(client *c); /* NULL is fine; no hook is called */
/* now is monotonic, here and below; calendar the same moment, ms since 1970. */
void client_begin(client *c, const link_settings *s, int64_t now, int64_t calendar);
size_t client_data(client *c, const uint8_t *p, size_t len, int64_t now); /* how much was used: whole packets */
int64_t client_tick(client *c, int64_t now); /* keep-alive; when it is to be called again */
void client_lost(client *c);                 /* the connection is gone */
void client_forget(client *c);               /* and so is the session; on_reset() if something was in flight */
void client_goodbye(client *c);              /* DISCONNECT: no will */
bool client_may(const client *c, uint8_t qos); /* is there room for one more? */
int client_publish(client *c, parcel *p, int64_t now, int64_t calendar); /* QoS 0: done.  TOOBIG for this broker, NOMEM, CLOSED */
int client_subscribe(client *c, const char *filter, uint8_t qos, bool quiet, bool awaited);
int client_unsubscribe(client *c, const char *filter);
void client_acknowledge(client_ack *ack, int status);
/* Before the first client_begin(): the session of before our time; parcels by `flight`, in order, with id and phase.  NOMEM, EXISTS: an
 * identifier is there twice, or none; then nothing is known. */
int client_resume(client *c, list *parcels, const uint16_t *ids, size_t count);
bool client_written(client *c, uint64_t batch); /* all up to this batch is on disk; true: something waits for a later one */

const char *reason_text(unsigned version, uint8_t reason); /* reasons.c */
#endif
