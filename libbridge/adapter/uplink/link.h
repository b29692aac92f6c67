/* adapter/uplink/link.h - one connection to a broker through paho's asynchronous client, as the loop's thread sees it.
 *
 *   loop's thread                      courier (one a link)              paho's two threads (one pair a process)
 *   link_open, link_subscribe --order--> MQTTAsync_create, _connect,     on_connected, on_lost, on_arrived,
 *   link_push ----------------parcels--> the first MQTTAsync_send  ---->  on_written, on_acked: these send the next ones
 *   link_collect <------- news, arrivals, parcels that are done; one wake-up for many -------------------'
 *
 * No call below waits for paho: its one lock is held while it resolves names and connects.  That is what the courier is for.
 * What comes out of paho's threads goes into lists under `lock`; the loop is woken once and takes all of it.
 * docs/why/71-uplinks.md tells what was measured. */
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
    LINK_ARRIVALS = 16 * 1024 * 1024, /* bytes that wait for the loop; above, paho's thread waits, and so the broker; docs/limits.md */
    LINK_UNWRITTEN = 16,              /* messages that paho has and has not yet written */
    LINK_PSK_MAX = 64
};

#define LINK_HOP "bridge-via" /* the user property that says through which bridges a message has come: once for each */

/* A message on its way out.  Between link_push() and coming back from link_collect() only the link touches it. */
typedef struct parcel {
    list link;             /* in the buffer */
    struct parcel *next;   /* in the link's lists */
    struct paho_link *on;       /* for paho's callbacks */
    uint64_t number;       /* in the buffer, and in the store */
    bridge_store_mark mark;
    bridge_msg *msg;       /* payload and properties */
    const char *hop;       /* our mark as a user property, or NULL: MQTT 3.1.1 */
    size_t bytes;          /* for the buffer's limit */
    int64_t until;         /* ms since 1970 when it is out of date; INT64_MAX: never */
    uint8_t qos;
    bool retain, gone;     /* gone: the value was removed: an empty payload */
    bool transient;        /* a question: nobody waits for it after a restart */
    bool kept;             /* the store has it */
    bool given;            /* the link has it */
    bool handed;           /* paho has it */
    bool refused;          /* the broker said no; `reason` */
    uint8_t reason;
    const char *response;  /* MQTT 5 response topic for requests, or NULL: the message's own */
    char topic[];
} parcel;

typedef struct link_settings { /* for one attempt; all texts are in `mem`; freed by the link */
    mem *mem;
    char *host, *path, *client_id, *user, *password, *ca, *cert, *key, *ciphers, *psk_identity, *alpn;
    char *will, *will_payload;
    uint8_t psk[LINK_PSK_MAX];
    unsigned psk_len;
    size_t password_len;
    int port, version, keep_alive, connect_timeout;
    uint32_t session_expiry; /* seconds, MQTT 5 */
    unsigned max_inflight;
    uint8_t will_qos;
    bool tls, ws, verify, clean, will_retain;
    bool fresh; /* forget what the link knows of a session */
} link_settings;
link_settings *link_settings_new(mem *m);
void link_settings_free(link_settings *s);

typedef struct link_filter {
    char *filter; /* the link frees it */
    uint8_t qos;
} link_filter;

typedef enum link_kind { LINK_UP, LINK_FAILED, LINK_LOST, LINK_RESET, LINK_SUBSCRIBED, LINK_OVER } link_kind;
typedef struct link_news {
    struct link_news *next;
    link_kind kind;
    unsigned epoch;        /* of the link_open() that it is about */
    int code;              /* FAILED, LOST: paho's or the broker's; 0 unknown */
    bool session_present;  /* UP */
    bool no_retain;        /* UP: MQTT 5 Retain Available 0 */
    uint8_t max_qos;       /* UP */
    uint32_t max_packet;   /* UP: 0 no limit */
    unsigned count;        /* SUBSCRIBED: filters, and for each the broker's answer */
    uint8_t *codes;
    char text[160];
} link_news;

typedef struct arrival { /* a message from the broker; one block */
    struct arrival *next;
    size_t bytes, topic_len, len, correlation_len, prop_count;
    const char *topic, *content_type, *response;
    const void *data, *correlation;
    const bridge_prop *props;
    uint32_t expiry; /* seconds; has_expiry */
    uint8_t qos;
    bool retain, has_expiry, says_text, says_bytes;
} arrival;

typedef struct link_harvest {
    link_news *news; /* in order; free with link_news_free() */
    arrival *arrivals; /* free each with mem_free() */
    parcel *done;
} link_harvest;

typedef struct paho_link paho_link;
/* on_news: on the loop's thread, when there is something to collect. */
int link_new(paho_link **out, loop *l, mem *m, void (*on_news)(void *user), void *user);
unsigned link_open(paho_link *k, link_settings *s);                                 /* takes s; returns the epoch; news: UP or FAILED */
int link_subscribe(paho_link *k, link_filter *filters, unsigned count, bool quiet); /* takes filters; quiet: no kept messages, please */
int link_unsubscribe(paho_link *k, char *filter);                                   /* takes filter */
void link_push(paho_link *k, parcel *first, parcel *last);                          /* a chain by `next`; in this order */
void link_drop(paho_link *k); /* breaks the connection off: something is wrong with it.  The next link_open() must be fresh */
void link_collect(paho_link *k, link_harvest *out);
void link_close(paho_link *k, int linger); /* disconnects; news: OVER, the last */
/* After OVER, or when nobody waits for it any more: on_news is not called again.  rest: parcels to be freed once paho has let go; NULL is fine. */
void link_free(paho_link *k, list *rest);
void parcel_free(mem *m, parcel *p);
void link_news_free(mem *m, link_news *n);

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
