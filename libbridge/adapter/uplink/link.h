/* adapter/uplink/link.h - the way to one broker: a name is looked up, its addresses are tried, TLS and WebSocket are put on top, and
 * client.c speaks MQTT there.  All on the loop's thread; nothing here waits.
 *
 *   link_open() ... on_up()   one attempt with all addresses of one broker
 *                   on_down() it failed, or what was up is lost: link_open() may be called again
 *   link_close() ... on_over()
 * No hook is called from within link_open(), link_drop(), link_leave() and link_close(), but for on_reset(). */
#ifndef ADAPTER_UPLINK_LINK_H
#define ADAPTER_UPLINK_LINK_H
#include "base/list.h"
#include "base/mem.h"
#include "bridge/bridge.h"
#include "bridge/sys/store.h"
#include "loop/loop.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    LINK_HIGH = 256 * 1024, /* bytes that the kernel has not taken: no more is given; docs/limits.md */
    LINK_ADDRESSES = 8      /* of one name */
};

#define LINK_HOP "bridge-via" /* the user property that says through which bridges a message has come: once for each */

typedef enum parcel_phase { PARCEL_SENT = 1, PARCEL_RELEASED } parcel_phase; /* client.h; the numbers are in files */

/* A message on its way out. */
typedef struct parcel {
    list link;             /* in the buffer */
    list flight;           /* in the client's: QoS 1 and 2, sent and not acknowledged */
    uint64_t number;       /* in the buffer, and in the store */
    uint64_t batch;        /* held: until this one is on disk */
    bridge_store_mark mark;
    bridge_msg *msg;       /* payload and properties */
    const char *hop;       /* our mark as a user property, or NULL: MQTT 3.1.1 */
    size_t bytes;          /* for the buffer's limit */
    int64_t until;         /* ms since 1970 when it is out of date; INT64_MAX: never */
    uint16_t id;           /* packet identifier, in flight */
    uint8_t qos, phase;    /* phase: client.h */
    bool again;            /* in flight, and to be sent once more */
    bool retain, gone;     /* gone: the value was removed: an empty payload */
    bool transient;        /* a question: nobody waits for it after a restart */
    bool kept;             /* the store has it */
    bool tracked;          /* and its identifier and phase: session.c */
    bool held;             /* what is to be said next waits for that */
    bool given;            /* the link has it */
    bool refused;          /* the broker said no; `reason` */
    uint8_t reason;
    const char *response;  /* MQTT 5 response topic for requests, or NULL: the message's own */
    char topic[];
} parcel;

typedef struct link_settings { /* for one attempt; all texts are in `mem`; freed by the link */
    mem *mem;
    char *host, *path, *client_id, *user, *password;
    const char *ca, *cert, *key, *ciphers, *psk_file, *alpn; /* borrowed from the URL */
    const char *will, *will_payload;
    size_t password_len;
    int port, version, keep_alive, connect_timeout; /* seconds */
    uint32_t session_expiry; /* seconds, MQTT 5 */
    uint64_t max_packet;
    uint16_t topic_aliases; /* at most, each way, MQTT 5; 0: none */
    uint8_t will_qos;
    bool tls, ws, verify, clean, will_retain;
    bool fresh; /* another broker: once it has answered, forget what the link knows of a session */
} link_settings;
link_settings *link_settings_new(mem *m);
void link_settings_free(link_settings *s);

typedef struct arrival { /* a message from the broker; borrow */
    size_t topic_len, len, correlation_len, prop_count;
    const char *topic, *content_type, *response;
    const void *data, *correlation;
    const bridge_prop *props;
    uint32_t expiry; /* seconds; has_expiry */
    uint8_t qos;
    bool retain, has_expiry, says_text, says_bytes;
} arrival;

typedef struct link_up { /* what the broker says of itself */
    bool session_present, no_retain;
    uint8_t max_qos;
} link_up;

typedef struct client_ack link_ack;
typedef struct link_hooks {
    void (*on_up)(void *user, const link_up *up);
    void (*on_down)(void *user, int code, const char *why); /* code: reason_text()'s; 0: the network's */
    void (*on_over)(void *user);
    void (*on_subscribed)(void *user, const char *filter, bool awaited, uint8_t code); /* awaited: as link_subscribe() was told */
    /* ack: NULL at QoS 0.  Its outcome, which acknowledges it; or BRIDGE_PENDING, then link_acknowledge() later. */
    int (*on_message)(void *user, const arrival *a, link_ack *ack);
    void (*on_done)(void *user, parcel *p); /* QoS 1 and 2: the broker has it, or does not want it */
    void (*on_reset)(void *user);           /* the session is over: what was given and is not done is to be given again */
    void (*on_room)(void *user);            /* link_may() may say yes again */
    uint64_t (*keep_out)(void *user, parcel *p);              /* these two as client.h has them */
    uint64_t (*keep_in)(void *user, uint16_t id, bool taken);
} link_hooks;

typedef struct broker_link broker_link;
int link_new(broker_link **out, loop *l, mem *m, unsigned window, const link_hooks *hooks, void *user);
void link_free(broker_link *k); /* NULL is fine; no hook is called any more */
void link_open(broker_link *k, link_settings *s); /* takes s; what is open is dropped */
void link_drop(broker_link *k);                   /* breaks the connection off; no on_down() */
void link_leave(broker_link *k, bool politely);   /* the same, when all is written; politely: with DISCONNECT, so that no will is sent */
void link_close(broker_link *k);                  /* DISCONNECT; on_over() when all is written */
int link_subscribe(broker_link *k, const char *filter, uint8_t qos, bool quiet, bool awaited); /* quiet: no kept messages, please */
int link_unsubscribe(broker_link *k, const char *filter);
bool link_may(const broker_link *k, uint8_t qos); /* is there room for one more? */
int link_publish(broker_link *k, parcel *p);      /* QoS 0: done with it.  TOOBIG for this broker; else the connection is as good as lost */
void link_acknowledge(link_ack *ack, int status);
int link_resume(broker_link *k, list *parcels, const uint16_t *ids, size_t count); /* as client_resume() */
bool link_written(broker_link *k, uint64_t batch);                                   /* as client_written() */

/* MQTT 5 1.5.4 lets a server end the connection for control characters in a text, and some do: such a text does not leave here, or the
 * message would end every connection that is made to send it. */
static inline bool has_controls(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c < 0x20 || c == 0x7f) return true;
        if (c == 0xc2 && i + 1 < len && (unsigned char)p[i + 1] < 0xa0) return true; /* U+0080 to U+009F */
    }
    return false;
}
#endif
