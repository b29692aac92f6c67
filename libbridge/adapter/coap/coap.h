/* adapter/coap/coap.h - what the files of the adapter share (the engine below knows nothing of them).
 *
 *   coap.c      ports: open, close, peers, time        said.c      the words of a listener's URL
 *   serve.c     a request becomes a question to the hub
 *   answer.c    outcomes and values become replies     watch.c     observers
 *   discover.c  /.well-known/core, lists of paths      collect.c   many paths in one answer
 *   gather.c    the large ones of both, a slice a turn
 *   udp.c       the socket                             link.c      streams           dtls.c  sessions */
#ifndef COAP_COAP_H
#define COAP_COAP_H
#include "adapter/coap/client.h"
#include "adapter/coap/engine.h"
#include "adapter/coap/names.h"
#include "adapter/coap/udp.h"
#include "adapter/coap/via.h"
#include "base/buf.h"
#include "bridge/sys/adapter.h"
#include "core/message.h"
#include "hub/port.h"

typedef enum coap_manner { /* of notifications: what QoS > 0 means to who asked by CON; always confirmable; only where it must be */
    COAP_AS_ASKED, COAP_CONFIRMED, COAP_UNCONFIRMED
} coap_manner;

typedef struct coap_port {
    bridge_port *port;
    const bridge_url *url; /* of a listener; the port's */
    mem *mem;
    loop *loop;
    coap_engine *engine;
    coap_udp *udp;
    char *mount;    /* "r"; "" is everywhere */
    char *path;     /* scratch: the path of the request under way */
    struct coap_dtls *dtls;    /* or NULL */
    struct foreign *foreign;   /* this port is no listener; see foreign.h */
    struct forwarder *forwarder; /* of the home port; see forward.h */
    struct allowed *targets;   /* whom it may ask as a proxy; NULL: it is none */
    struct listener *listener; /* streams (link.c); then there is no udp */
    struct tls *tls;
    list links;
    buf frame;      /* scratch: one message to a stream */
    timer tick, bury;
    turn_end flush;
    list waiting;   /* coap_wait */
    list news;      /* coap_watcher: patterns of which something has changed */
    list gathers;   /* coap_gather: answers that are under way, or wait */
    timer gathering;
    struct coap_wait *spare;
    const char *scheme;           /* "coap+tcp" */
    bool has_directory, has_topics; /* RFC 9176 at /rd, pub/sub at /ps */
    struct directory *directory;  /* of the bridge: at the adapter's home only */
    struct topics *topics;        /* likewise */
    void (*on_heard)(struct coap_port *cp, const coap_address *from, coap_peer *peer); /* or NULL: after each datagram; from or peer is NULL */
    void (*on_buried)(struct coap_port *cp); /* or NULL: before it is freed for good */
    coap_manner manner; /* of observers that do not say one */
    bool closing, reading;
    uint64_t requests, errors;
} coap_port;

/* A request whose owner, or whose disk, has not answered yet. */
typedef struct coap_wait {
    list link;
    coap_port *cp;
    coap_request *request;
    bridge_ticket *ticket;
    struct coap_watcher *watcher;
    bridge_verb verb;
    int accept; /* -1: any */
    unsigned tag_count;
    uint8_t tags[4][9]; /* ETags of the request: length and bytes */
    timer leisure;      /* an answer to multicast, which waits a while */
    struct coap_gather *gather; /* the answer is being made; or NULL */
    buf late;
    bridge_store_wait disk; /* promise.c */
    uint8_t code;
    buf where; /* Location-Path: texts, each with its NUL */
} coap_wait;

typedef struct coap_watcher { /* one observation */
    coap_port *cp;
    bridge_peer *peer;
    coap_observer *observer;
    bridge_watch *watch;
    bridge_msg *question; /* of a FETCH: which part of the value is told; or NULL */
    int accept; /* -1: as it is */
    coap_manner manner;
    bool wild, confirm; /* wild: path is a pattern; confirm: the news since the last turn (wild), or what is held, want it */
    bool unanswered;    /* its owner has yet to answer the first question: news wait behind that, in */
    bridge_msg *held;   /* the newest of them, or NULL */
    list news_link;     /* wild, render: in cp->news */
    list place;         /* render: among those to be told */
    int (*render)(struct coap_watcher *w, buf *links); /* what is told is a list of links that we make; or NULL */
    uint64_t told;      /* render: hash of the last */
    struct proxied *proxied; /* it watches a resource of another server; proxy.c; or NULL */
    struct coap_gather *gather; /* what it is told is being made; or NULL */
    struct topic *topic; /* of which it is a subscriber, in place; or NULL */
    struct topic *keeper; /* no observer: this topic keeps what it hears; or NULL */
    int64_t format;     /* of what was told first, as coap_reply has it, + 1; 0: nothing was yet */
    int64_t checked;    /* topic: when it last had to acknowledge one */
    char path[];
} coap_watcher;

/* What the asker said about the answer. */
typedef struct coap_wish {
    int accept;
    unsigned tag_count;
    const coap_option *tags;
} coap_wish;

/* coap.c.  A listener may serve something else than paths (LwM2M): its state begins with a coap_port, its hooks have that as user,
 * and room and send are the two here.  On failure all is freed. */
int coap_port_open(coap_port *cp, bridge_port *port, const bridge_url *u, coap_transport transport, const coap_hooks *how,
                   const coap_limits *l, bridge_error *err);
/* Other options for the same address: sockets, sessions and observations stay.  On failure nothing has changed. */
int coap_port_change(coap_port *cp, const bridge_url *u, const coap_limits *l, bridge_error *err);
void coap_port_close(bridge_port *port);
void coap_port_recheck(bridge_port *port, const char *identity); /* bridge_adapter.recheck, of listeners whose state begins with a coap_port */
void coap_port_free(coap_port *cp);
uint8_t *coap_port_room(void *user, coap_peer *peer, size_t len);
void coap_port_send(void *user, coap_peer *peer, const uint8_t *p, size_t len);
bridge_peer *coap_who(coap_port *cp, coap_peer *peer, int *refused); /* logs in a new one; NULL: *refused says why */
void coap_rearm(coap_port *cp);
void coap_bury_soon(coap_port *cp); /* when it is closing and the last connection has gone */

void coap_restore(bridge_port *port); /* keep.c: directory and topics */
coap_port *coap_home_of(bridge_port *port); /* of a home port, made ready */
coap_port *coap_home(coap_port *cp); /* what all listeners of a bridge share; NULL: no memory */

/* said.c */
typedef struct coap_said {
    coap_limits limits;       /* 0: not said; max_body is the bridge's */
    coap_manner manner;
    int8_t directory, topics; /* -1: not said */
    struct allowed *targets;  /* yours to free, also on failure; or NULL */
} coap_said;
int coap_said_read(coap_said *out, mem *m, const bridge_url *u, bridge_error *err);
int coap_said_check(const bridge_url *u, bridge_error *err);

/* serve.c */
void coap_serve(void *user, coap_request *r);
coap_wait *coap_wait_new(coap_port *cp, coap_request *r); /* keeps r, which has this as user; NULL: no memory, or too many */
void coap_wait_tags(coap_wait *w, const coap_option *tags, unsigned count);
unsigned coap_wait_tagged(const coap_wait *w, coap_option tags[4]); /* how many; they lie in w */
void coap_wait_dropped(coap_wait *w);
void coap_wait_free(coap_wait *w);

/* ---- promise.c: registrations and topics, which the hub does not keep
 * 0; BUSY: the disk takes nothing now.  Ask before anything is changed. */
int coap_may_promise(coap_port *cp);
/* Answers when all that was said to the store so far is on disk; without one at once.  folder: of Location-Path, before name; or NULL. */
void coap_promise(coap_port *cp, coap_request *r, uint8_t code, const char *folder, const char *name, const buf *body);
enum { COAP_LEISURE = 5000 }; /* ms; DEFAULT_LEISURE, RFC 7252 4.8 */
void coap_answer_at_leisure(coap_wait *w, buf *links); /* takes the bytes */

/* answer.c */
uint8_t coap_code_of(int status, bridge_verb verb);
void coap_answer_status(coap_request *r, int status, bridge_verb verb, const char *why);
/* The reply for a value, as the asker wishes.  *made (a new reference) holds its bytes; unref after use. */
void coap_answer_value(coap_port *cp, coap_reply *reply, bridge_msg *value, const coap_wish *wish, bridge_msg **made);
void coap_answer_outcome(coap_port *cp, coap_request *r, int status, bridge_verb verb, bridge_msg *value, const coap_wish *wish,
                 coap_observer *observer);
size_t coap_etag_of(uint64_t version, int converted, uint8_t *out); /* converted: format, or -1; 8 bytes at most; 0: no tag */
enum { COAP_ETAG_READINGS = 10 };
unsigned coap_etag_versions(const coap_option *etag, uint64_t *out); /* what it may stand for; up to COAP_ETAG_READINGS */

/* watch.c */
coap_watcher *coap_watch(coap_port *cp, coap_request *r, bridge_peer *peer, const char *path, int accept, bridge_msg *question,
                         int *status); /* takes a reference to question, which may be NULL */
/* The same, or the end of it (as the request says), for what we make ourselves.  No place for it: 0 and NULL. */
int coap_watch_made(coap_port *cp, coap_request *r, bridge_peer *peer, const char *path, int (*render)(coap_watcher *, buf *), list *among,
                    coap_watcher **out);
void coap_watchers_again(list *among); /* those made so are told at the end of the turn, if it looks otherwise then */
coap_watcher *coap_watch_far(coap_port *cp, coap_request *r, struct proxied *proxied); /* NULL: no place, or no memory */
void coap_unwatch(coap_watcher *w, uint8_t code); /* code 0: silently */
void coap_watch_answered(coap_watcher *w); /* no more unanswered: what is held follows.  w may be gone afterwards */
bool coap_watcher_confirms(const coap_watcher *w, bool confirm); /* whether it shall acknowledge, and if not, confirm */
void coap_watcher_news(coap_watcher *w, bool confirm); /* of a pattern: told at the end of the turn */
void coap_tell_news(coap_port *cp);               /* to those who watch patterns */
void coap_deliver(void *state, bridge_msg *msg, const bridge_delivery *how);
void coap_watcher_gone(void *user, coap_observer *o, coap_why why);
void coap_watcher_stale(void *user, coap_observer *o);

/* collect.c */
enum { COAP_COLLECTED = 16 * 1024 * 1024 }; /* bytes of one such answer; docs/limits.md */
void coap_collect(coap_port *cp, coap_request *r, bridge_peer *peer, const char *pattern, bridge_msg *question, coap_watcher *watcher);
void coap_collect_again(coap_watcher *w, bool confirm); /* w may be gone afterwards */

/* discover.c */
void coap_discover(coap_port *cp, coap_request *r, bridge_peer *peer);
void coap_list(coap_port *cp, coap_request *r, bridge_peer *peer); /* what is below the mount */
#endif
