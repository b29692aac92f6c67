/* adapter/coap/engine.h - the CoAP message layer without I/O: bytes and time come in, bytes and events go out.
 *
 * One engine a socket (and the streams beside it).  It finds duplicates, retransmits, puts blocks together and takes them apart,
 * keeps the list of observers, and sees to it that nobody is sent more than NSTART confirmable messages at once.  Who asks
 * what, and what is answered, it leaves to the call-backs; it knows no paths.
 *
 *      coap_engine_input() -> wire -> peers -> heard (duplicates) -> block1 -> on_request -> coap_respond() -> block2 -> send
 *
 * All tables are bounded (coap_limits; docs/limits.md), found by hash, and aged from the old end: nothing is ever walked. */
#ifndef COAP_ENGINE_H
#define COAP_ENGINE_H
#include "adapter/coap/options.h"
#include "base/list.h"
#include "base/mem.h"

typedef struct coap_engine coap_engine;
typedef struct coap_peer coap_peer;
typedef struct coap_observer coap_observer;
typedef struct coap_ask coap_ask;

typedef struct coap_address { /* both ends, compared as bytes: what is not used is zero */
    uint16_t family;          /* AF_INET, AF_INET6 */
    uint16_t port;            /* as on the wire */
    uint32_t scope;           /* zone of an IPv6 link-local address */
    uint8_t remote[16];
    uint8_t local[16]; /* where it came to, when the socket is bound to a wildcard: answers leave from there */
} coap_address;

typedef struct coap_limits { /* 0: the default, which coap_engine_new() fills in */
    size_t max_body;         /* of a request or response put together from blocks; 1 MiB */
    size_t max_transfer_bytes; /* of all bodies half received; 16 MiB */
    unsigned max_peers;      /* 100,000; the longest idle goes first */
    unsigned max_observers;  /* 100,000 */
    unsigned peer_observers; /* per peer; 1,000 */
    unsigned peer_transfers; /* Block1 bodies half received, per peer; 4 */
    unsigned peer_pending;   /* requests not yet answered, per peer; 64 */
    unsigned peer_asks;      /* questions of ours under way, per peer; 256 */
    unsigned peer_queue;     /* confirmable messages waiting, per peer; 64 */
    unsigned max_snapshots;  /* bodies kept for Block2; 4,096 */
    unsigned max_heard;      /* message ids remembered; 65,536 */
    size_t max_heard_bytes;  /* answers remembered with them; 4 MiB */
    unsigned nstart;         /* RFC 7252 4.7; 1 */
    unsigned ack_timeout;    /* ms, RFC 7252 4.8; 2000 */
    unsigned max_retransmit; /* 4 */
    unsigned ack_delay;      /* ms until a request that is not yet answered is acknowledged; 200 */
    unsigned max_rate;       /* requests of one peer, or of all that have proved one name, in a second; 0: as many as it likes; over it: 4.29 */
    unsigned echo;           /* 0: nobody is challenged; 1: before much is sent; 2: before anything is changed, too (RFC 9175) */
    unsigned block;          /* our largest, bytes, a power of two from 16 on; 1024 */
    unsigned szx;            /* the engine's: that in the words of RFC 7959 2.2 */
} coap_limits;

typedef enum coap_why { /* why an observation is over */
    COAP_WHY_CANCELED, COAP_WHY_RESET, COAP_WHY_TIMEOUT, COAP_WHY_LOST, COAP_WHY_REPLACED, COAP_WHY_CLOSED
} coap_why;

/* A request, whole.  Good until on_request returns, unless kept. */
typedef struct coap_request {
    coap_engine *engine;
    coap_peer *peer;
    const coap_packet *packet; /* NULL once kept, as are meta and body */
    const coap_meta *meta;
    const uint8_t *body;       /* all blocks */
    size_t body_len;
    void *user;                /* yours */
    bool proxied;              /* yours */
    /* private */
    list peer_link, ack_link;
    int64_t ack_due;
    uint64_t key, whole_key;
    coap_token token;
    uint32_t wire_len; /* bytes of the message */
    uint16_t id;
    uint8_t type, code, no_response;
    bool kept, answered, acked, remembered, has_key, has_block1, has_block2, from_snapshot, multicast;
    coap_block block1, block2;
} coap_request;

typedef struct coap_reply {
    uint8_t code;
    uint8_t etag_len, etag[8];
    int64_t format;  /* COAP_SAY(n); 0: not said */
    int64_t max_age; /* COAP_SAY(seconds); 0: not said, which means 60 (RFC 7252 5.10.5) */
    const void *data;
    size_t len;
    void *owner;     /* holds data while blocks of it are asked for (hooks.hold, .let_go); NULL: it is copied */
    const coap_option *extra; /* other options, sorted */
    unsigned extra_count;
    coap_observer *observer;  /* made by coap_observe() for this request: the answer carries Observe */
    uint32_t size1;           /* with 4.13: what would fit */
    bool confirm;             /* a notification: confirmable */
} coap_reply;
#define COAP_SAY(n)     ((int64_t)(n) + 1)
#define COAP_REPLY(...) (&(coap_reply){__VA_ARGS__})

typedef struct coap_hooks {
    uint8_t *(*room)(void *user, coap_peer *peer, size_t len); /* for one message; NULL: not now, it is lost */
    void (*send)(void *user, coap_peer *peer, const uint8_t *p, size_t len); /* p lies in what room() gave */
    /* Answer with coap_respond(), or coap_request_keep() and answer later. */
    void (*on_request)(void *user, coap_request *r);
    void (*on_dropped)(void *user, coap_request *r);                 /* a kept request nobody waits for any more; freed after */
    void (*on_observer_gone)(void *user, coap_observer *o, coap_why why); /* freed after */
    void (*on_observer_stale)(void *user, coap_observer *o); /* 24 h without a sign of life: notify again, confirmably */
    void (*on_peer_gone)(void *user, coap_peer *peer);       /* forgotten; freed after */
    void (*hold)(void *owner);                               /* for coap_reply.owner */
    void (*let_go)(void *owner);
    void (*on_peer_silent)(void *user, coap_peer *peer);     /* optional: it acknowledged nothing at all; only take note of it */
} coap_hooks;

int coap_engine_new(coap_engine **out, mem *m, const coap_hooks *hooks, void *user, const coap_limits *limits, int64_t now);
void coap_engine_free(coap_engine *e); /* all observers, requests and peers are told */
const coap_limits *coap_engine_limits(const coap_engine *e);
void coap_engine_limit(coap_engine *e, const coap_limits *limits); /* others from now on; what is there already stays */
void coap_engine_input(coap_engine *e, int64_t now, const coap_address *from, const uint8_t *p, size_t len, bool multicast);
void coap_engine_tick(coap_engine *e, int64_t now);
int64_t coap_engine_due(const coap_engine *e); /* when to tick; INT64_MAX: never */

typedef struct coap_counters {
    uint64_t received, sent, malformed, duplicates, retransmitted, resets, timeouts, refused, notifications, skipped;
    uint32_t peers, observers, transfers, snapshots, pending, heard;
} coap_counters;
coap_counters coap_engine_counters(const coap_engine *e);

/* ---- Peers: one a remote address, or one a connection */
const coap_address *coap_peer_address(const coap_peer *peer);
void **coap_peer_user(coap_peer *peer); /* yours; NULL at first */
coap_peer *coap_peer_find(coap_engine *e, int64_t now, const coap_address *address, bool make); /* NULL: none, or no memory */
coap_peer *coap_peer_connected(coap_engine *e, void *link); /* a stream or a DTLS session; NULL: no memory or over the limit */
void coap_peer_set_stream(coap_peer *peer, size_t max_message, bool bert); /* RFC 8323: no ids, no acknowledgements */
bool coap_peer_named(coap_peer *peer, const char *name); /* it has proved this name: max_rate holds for the name; false: it is over */
void *coap_peer_link(const coap_peer *peer);                               /* NULL: by address */
void coap_peer_input(coap_peer *peer, int64_t now, const uint8_t *p, size_t len);      /* a datagram inside a session */
void coap_peer_packet(coap_peer *peer, int64_t now, const coap_packet *packet);        /* a message from a stream */
void coap_peer_lost(coap_peer *peer);                                                  /* all it had is dropped; it is freed */
/* When a datagram came from there last; INT64_MAX: a stream, which breaks when nobody is there. */
int64_t coap_peer_heard(const coap_peer *peer);
void coap_peer_still(coap_peer *peer, bool still); /* nothing confirmable goes out while it is: to take back what waits */
void coap_peer_nudge(coap_peer *peer); /* it is there again: what is unacknowledged is sent again now, its waits begin anew */
void coap_peer_pin(coap_peer *peer, bool pinned); /* it is not forgotten while it is idle; may be asked for several times */
/* Not connected now: what is under way fails with status, what is asked from now on waits until coap_peer_ready(). */
void coap_peer_park(coap_peer *peer, int status);
void coap_peer_ready(coap_peer *peer, int64_t now);
void coap_peer_refused(coap_peer *peer, int64_t now); /* ICMP: nobody there; what is unacknowledged fails with UNREACHABLE */

/* ---- Answering */
void coap_respond(coap_request *r, const coap_reply *reply); /* the first one counts; frees a kept one */
coap_request *coap_request_keep(coap_request *r);            /* to answer later; NULL: no memory or too many; answer now */
void coap_request_text(coap_request *r, uint8_t code, const char *why); /* an error with a diagnostic text */

/* ---- Observing (RFC 7641), the side that is observed */
/* Begins an observation for a GET or FETCH with Observe 0, or goes on with the one this token has (then *user_before is what
 * it had; on_observer_gone is not called).  NULL: over a limit; answer without. */
coap_observer *coap_observe(coap_request *r, void *user, void **user_before);
coap_observer *coap_observer_of(coap_request *r); /* by peer and token: for Observe 1; or NULL */
void *coap_observer_user(const coap_observer *o);
coap_peer *coap_observer_peer(const coap_observer *o);
/* Tells the newest state, confirmably if it says so and at least once a day.  While an earlier one is on its way unacknowledged
 * this one waits, and a newer one takes its place.  o may be gone afterwards (no memory). */
void coap_notify(coap_observer *o, const coap_reply *state);
void coap_observer_end(coap_observer *o, uint8_t code); /* a last notification with that code (0: silently); o is gone */

/* ---- Asking: the client role, towards anybody, also towards one who asks us (LwM2M) */
typedef struct coap_answer {
    int status; /* 0: there is an answer; TIMEOUT, UNREACHABLE (reset), CANCELED, TOOBIG, PROTOCOL */
    uint8_t code;
    const coap_packet *packet; /* of the last block; NULL without an answer */
    const coap_meta *meta;
    const uint8_t *body;
    size_t body_len;
    bool more; /* an observation: more will come */
    bool part; /* body is a piece of a large one; the next comes after coap_ask_go_on() */
} coap_answer;
typedef void (*coap_answer_fn)(void *user, const coap_answer *answer); /* once; of an observation often, last with more false */
typedef struct coap_question {
    uint8_t code;
    bool non;     /* unconfirmable */
    bool observe; /* GET or FETCH: stay */
    const coap_option *options; /* in any order; without Observe, Block and Size */
    unsigned option_count;
    const void *data;
    size_t len;
    int64_t timeout; /* ms for each answer; 0: MAX_TRANSMIT_WAIT, 93 s */
    size_t slice;    /* an answer of more bytes comes in pieces of about so many, without a limit; 0: whole, up to max_body */
} coap_question;
/* 0: fn will be called, or was: then *out is NULL.  The options and the data are copied.  BUSY over peer_asks, NOMEM, INVALID. */
int coap_ask_new(coap_ask **out, coap_peer *peer, int64_t now, const coap_question *question, coap_answer_fn fn, void *user);
void coap_peer_drop_asks(coap_peer *peer); /* all, silently: no fn is called */
bool coap_ask_acked(const coap_ask *ask); /* something has come back: an acknowledgement, or more */
void coap_ask_go_on(coap_ask *ask, int64_t now); /* the next piece; ask may be gone afterwards */
void coap_ask_cancel(coap_ask *ask, bool tell); /* fn is not called any more; tell: an observation is cancelled at the peer */
#endif
