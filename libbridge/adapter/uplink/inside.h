/* adapter/uplink/inside.h - what the files about paho share: link.c (the loop's side), courier.c (orders,
 * connecting), answers.c, send.c, arrive.c. */
#ifndef ADAPTER_UPLINK_INSIDE_H
#define ADAPTER_UPLINK_INSIDE_H
#include "adapter/uplink/link.h"
#include <MQTTAsync.h>
#include <pthread.h>
#include <stdatomic.h>

typedef enum order_kind { ORDER_OPEN, ORDER_SUBSCRIBE, ORDER_UNSUBSCRIBE, ORDER_DROP, ORDER_CLOSE } order_kind;
typedef struct order {
    struct order *next;
    order_kind kind;
    unsigned epoch;
    link_settings *settings;
    link_filter *filters;
    unsigned count;
    int linger;
    bool quiet;
} order;

struct paho_link {
    mem *mem;
    atomic_uint refs; /* the loop's, the courier's, and one for a wake-up under way */
    pthread_mutex_t lock;
    pthread_cond_t work, room; /* for the courier; for paho's thread when too much has arrived */
    loop *loop; /* for loop_post(), until deaf */
    void (*on_news)(void *user); /* NULL: nobody listens any more; the loop's own */
    void *user;
    /* under lock */
    order *orders, **last_order;
    link_harvest harvest;
    link_news **last_news;
    arrival **last_arrival;
    parcel **last_done;
    size_t arrived; /* bytes */
    parcel *outbox, **last_out;
    unsigned unwritten, unacked, max_inflight;
    unsigned epoch; /* of the last order to open */
    list orphans; /* parcels, to be freed with the link */
    bool posted, nag; /* woken, not yet collected; waking failed */
    int nudge; /* ms to the next keeper_nudge(); 0: paho is not connecting */
    bool torn, exact; /* the handle: it has failed to write a message; it has had some of QoS 2 */
    bool up, pumping, kick, closing, deaf; /* deaf: the loop has gone */
    /* the courier's own */
    MQTTAsync handle;
    link_settings *settings;
    unsigned attempt; /* epoch of the handle's last connect */
};

void link_unref(paho_link *k);
void link_wake(paho_link *k); /* lock is held */
void link_tell(paho_link *k, link_news *n);
link_news *link_news_new(paho_link *k, link_kind kind, unsigned epoch);

void link_order_free(paho_link *k, order *o);

/* keeper.c */
void keeper_begin(void); /* before anything else is asked of paho */
void keeper_nudge(void); /* paho's receiving thread looks at its sockets now */

/* courier.c */
void *link_courier(void *link); /* a thread; it has a reference */

/* answers.c: on paho's threads */
void link_tell_failed(paho_link *k, link_kind kind, int code, const char *why);
void link_tell_subscribed(paho_link *k, unsigned count, const uint8_t *codes);
void link_on_connected(void *context, MQTTAsync_successData *d);
void link_on_connected5(void *context, MQTTAsync_successData5 *d);
void link_on_refused(void *context, MQTTAsync_failureData *d);
void link_on_refused5(void *context, MQTTAsync_failureData5 *d);
void link_on_lost(void *context, char *cause);
void link_on_disconnected(void *context, MQTTProperties *props, enum MQTTReasonCodes reason);
void link_on_subscribed(void *context, MQTTAsync_successData *d);
void link_on_subscribed5(void *context, MQTTAsync_successData5 *d);
void link_on_unsubscribable(void *context, MQTTAsync_failureData *d);
void link_on_unsubscribable5(void *context, MQTTAsync_failureData5 *d);

/* send.c */
void link_pump(paho_link *k, bool on_courier); /* sends what may be sent */
void link_outbox_clear(paho_link *k);          /* lock is held; paho has nothing of ours any more */

/* arrive.c */
int link_on_arrived(void *context, char *topic, int topic_len, MQTTAsync_message *m);
#endif
