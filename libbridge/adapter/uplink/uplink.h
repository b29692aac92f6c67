/* adapter/uplink/uplink.h - what the files of this room share.
 *
 *   uplink.c    the adapter: URLs, ports, numbers        options.c  what the URL says
 *   state.c     connecting, and what to do when it fails maps.c     which topics go where
 *   out.c       from the hub to the broker               buffer.c, persist.c   what waits
 *   in.c        from the broker to the hub               echo.c     what we said ourselves (MQTT 3.1.1)
 *   mirror.c    another bridge at the other end          wants.c    what routes want of the broker
 *   session.c   QoS 2, over the end of the process     failback.c  back to the first broker
 *   link.c      names, addresses, TLS; ws_client.c: WebSocket
 *   client.c, client_out.c, client_in.c, aliases.c, reasons.c   MQTT's client side, without I/O */
#ifndef ADAPTER_UPLINK_UPLINK_H
#define ADAPTER_UPLINK_UPLINK_H
#include "adapter/uplink/buffer.h"
#include "adapter/uplink/echo.h"
#include "adapter/uplink/link.h"
#include "adapter/uplink/options.h"
#include "hub/port.h"
#include "loop/loop.h"

enum {
    UPLINK_HOPS = 16,    /* bridges that a message may cross; docs/limits.md */
    UPLINK_TICK = 20,    /* ms between two helpings of what had to wait */
    UPLINK_WATCH = 5000, /* ms beyond the keep-alive after which a connection that acknowledges nothing is given up */
    UPLINK_CLOSE = 3000  /* ms for the last words */
};

/* DOWN -> CONNECTING -> UP -> DOWN ...; CLOSING from anywhere.
 *   DOWN        the timer says when the next broker is tried                 uplink_try
 *   CONNECTING  the link looks the name up, connects                         on_up, on_down
 *   UP          subscribed; what waits is sent                               on_down
 *   CLOSING     the link says goodbye                                        on_over */
typedef enum uplink_state { UPLINK_DOWN, UPLINK_CONNECTING, UPLINK_UP, UPLINK_CLOSING } uplink_state;

typedef struct uplink_counters { /* docs/metrics.md */
    uint64_t sent, received, reconnects, refused, echoes, loops, rejected, expired;
} uplink_counters;

typedef struct uplink_home { /* what all uplinks of a bridge have together: its name for hop marks */
    bool is_home;
    bridge_port *port;
    char hop[17];
    list uplinks;
    bool closing; /* goes with the last uplink */
} uplink_home;

struct mirror;

typedef struct uplink_session { /* session.c */
    bool known; /* the store knows whose it is */
    uint64_t out, in; /* queues */
    bridge_store_wait wait;
} uplink_session;

typedef struct uplink {
    bool is_home; /* false; as in uplink_home */
    list link_home; /* in home->uplinks */
    bridge_port *port;
    mem *mem;
    uplink_home *home;
    const char *hop; /* of the home port */
    uplink_options options;
    bridge_peer *peer;
    buffer buffer;
    echo echo;
    uplink_counters count;
    char *name_room; /* MAP_NAME bytes to make names in */
    struct mirror *mirror;
    list wants; /* wants.c */
    /* state.c */
    broker_link *link;
    uplink_state state;
    bridge_event *timer;      /* when to try again, or that something takes too long */
    turn_end feed;      /* what was said in this turn is sent at its end */
    bridge_event *tick;       /* when to send more of what had to wait */
    bridge_event *watchdog;
    unsigned broker, failures; /* broker: the one that is tried; failures: since it was last up */
    unsigned awaited; /* answers to what we subscribed to, before we are up */
    int version; /* of this attempt */
    bool can_not_5; /* the broker said so: 3.1.1 from now on (version=auto) */
    bool was_up;             /* and subscribed */
    bool rehearsal;          /* bridge_adapter.rehearse: nothing is connected */
    bool turning;            /* nothing more is given: it goes back to the first broker (failback.c) */
    bridge_event *look_back; /* when to look for the first broker */
    broker_link *probe;
    unsigned session_broker; /* whose session the link knows of */
    uplink_session session;
    uint8_t max_qos;
    bool no_retain;
    size_t backlog;  /* of what waited when the connection came: sent at drain_rate */
    double allowance;
    int64_t drained_at, progress_at;
} uplink;

/* uplink.c */
void uplink_free(uplink *u); /* all but the link */
void uplink_leave_home(uplink_home *home); /* it closes when it is to close and nobody is there any more */

/* state.c */
void uplink_try(void *user); /* connects to the next broker */
void uplink_turn_back(uplink *u); /* leaves this broker for the first */
int uplink_settings(uplink *u, unsigned broker, link_settings **out, bridge_error *err);
int uplink_begin(uplink *u);
void uplink_end(uplink *u);
void uplink_say_state(uplink *u, bool up);

/* out.c */
int uplink_watch(uplink *u, bridge_error *err);
void uplink_deliver(void *state, bridge_msg *msg, const bridge_delivery *how);
void uplink_tell_room(uplink *u); /* drop=refuse: the hub is told whether it is full */
int uplink_send(uplink *u, parcel *p); /* takes p: into the buffer, and off if it may go */
void uplink_feed(uplink *u);           /* gives the link what may go now */
void uplink_sent(uplink *u, parcel *p);

void uplink_idle(uplink *u); /* state.c: closes when all is sent and it is to close */

/* in.c */
/* Its outcome, or BRIDGE_PENDING: then the ack is given later.  ack: NULL at QoS 0. */
int uplink_receive(uplink *u, const arrival *a, link_ack *ack);
int uplink_rehearse_in(bridge_port *port, bridge_msg *msg);
int uplink_submit(uplink *u, const arrival *a, const map_line *l, const char *path, link_ack *ack);
int uplink_hops(const uplink *u, const bridge_prop *props, size_t count); /* bridges crossed so far; negative: it came from us, or too far */

/* session.c */
int uplink_session_load(uplink *u); /* after link_new() */
void uplink_session_up(uplink *u, unsigned which); /* it has one with us */
void uplink_session_forget(uplink *u);              /* and none any more */
uint64_t uplink_keep_out(void *user, parcel *p);    /* as link.h has them */
uint64_t uplink_keep_in(void *user, uint16_t id, bool is_taken);

/* wants.c */
int uplink_want(bridge_port *port, const char *filter, uint8_t qos, bool wanted, bridge_error *err);
unsigned wants_ask(uplink *u, bool quiet); /* subscribes to all of them; how many */
bool wants_has(const uplink *u, const char *topic, size_t len);
void wants_free(uplink *u);

/* failback.c: at another broker than the first, looks now and then whether that one is there again */
void failback_up(uplink *u);
void failback_down(uplink *u);
void failback_go(uplink *u); /* goes back when that is to be, and nothing is in flight */

/* mirror.c */
int mirror_new(uplink *u, bridge_error *err);
void mirror_free(uplink *u);
const char *mirror_replies(const uplink *u); /* where answers come */
void mirror_up(uplink *u);   /* subscribe to what is wanted */
void mirror_down(uplink *u); /* who asked is told */
bool mirror_heard(uplink *u, const arrival *a, link_ack *ack, int *outcome); /* was it for it? */
#endif
