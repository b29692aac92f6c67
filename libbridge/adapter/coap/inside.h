/* adapter/coap/inside.h - what the files of the engine share; nobody else includes it. */
#ifndef COAP_INSIDE_H
#define COAP_INSIDE_H
#include "adapter/coap/engine.h"
#include "adapter/coap/timers.h"
#include "base/map.h"
#include "bridge/bridge.h"
#include <string.h>

enum { /* ms; RFC 7252 4.8.2, RFC 7641 4.5 */
    COAP_EXCHANGE_LIFETIME = 247000,
    COAP_MAX_TRANSMIT_WAIT = 93000,
    COAP_OBSERVER_CHECK = 24 * 3600 * 1000,
    COAP_PEER_IDLE = COAP_EXCHANGE_LIFETIME,
    COAP_SNAPSHOT_LIFE = COAP_MAX_TRANSMIT_WAIT,
    COAP_TRANSFER_LIFE = COAP_MAX_TRANSMIT_WAIT,
    COAP_DATAGRAM_MAX = 1472, /* what we send: Ethernet's MTU less IPv4 and UDP; a 1024 byte block and 400 bytes of options */
    COAP_AHEAD = 16, /* blocks that came before their turn, of one body */
    COAP_MIDS = 4,
    COAP_UNPROVEN = 32, /* notifications to one observer in a row that nobody had to acknowledge; see observe.c */
    COAP_NON_PACE = 3000 /* RFC 7641 4.5.1: where no round trip is known */
};

/* Duplicates: a ring in order of age with a hash index; see heard.c. */
typedef struct heard_entry {
    uint64_t key;
    int64_t since;
    uint32_t next; /* in the chain; index + 1 */
    uint16_t len;  /* of the answer; 0: not yet, or none */
    union {
        uint8_t here[26];
        uint8_t *there;
    } answer;
} heard_entry;
typedef struct heard {
    heard_entry *ring;
    uint32_t *heads;
    uint32_t room, first, count; /* room is a power of two */
    size_t bytes;
} heard;

typedef struct coap_sent { /* a confirmable message under way */
    coap_timer timer;
    list link; /* peer->flying or peer->queue */
    coap_peer *peer;
    /* TIMEOUT, UNREACHABLE (reset) or 0 (acknowledged); s is freed after */
    void (*done)(struct coap_sent *s, int status);
    void *user;
    unsigned wait; /* ms */
    int64_t began; /* when it flew */
    uint16_t rto;  /* the first wait, before the dice */
    uint16_t id;
    uint16_t len;
    uint8_t tries;
    bool asks; /* a question of ours: pace.c */
    uint8_t data[];
} coap_sent;

typedef struct pace_estimate { /* ms */
    uint32_t mean : 16, deviation : 15, heard : 1;
} pace_estimate;
typedef struct pace_known { /* of the way to a peer and back */
    int64_t since;
    pace_estimate strong, weak;
    uint16_t rto; /* ms; 0: nothing is known */
} pace_known;

typedef struct coap_transfer { /* a body half received */
    list peer_link, age_link;
    coap_peer *peer;
    uint64_t key;
    int64_t touched;
    uint8_t *data;
    size_t len, cap;      /* len: without a gap from the beginning */
    struct {
        size_t from, to;
    } ahead[COAP_AHEAD];  /* what came before its turn */
    unsigned ahead_count;
} coap_transfer;

typedef struct coap_snapshot { /* a body of which blocks may be asked for */
    list peer_link, age_link;
    coap_peer *peer;
    uint64_t key, whole_key; /* whole_key: with the body of a FETCH (RFC 8132 2), which later questions may leave out or repeat */
    int64_t since;
    coap_reply reply; /* without extra options */
} coap_snapshot;

typedef struct coap_rate coap_rate; /* rate.c */
typedef struct rate_count {
    int64_t second;
    uint32_t requests; /* in it */
} rate_count;

struct coap_peer {
    coap_engine *engine;
    coap_peer *next; /* in the hash chain */
    list idle_link;
    coap_address address;
    uint64_t hash;
    void *user, *link;
    int64_t seen, queued, heard; /* queued: when it took its place among the idle; heard: a datagram came */
    list queue, flying;   /* coap_sent: waiting for a place, and unacknowledged */
    list ready;           /* coap_observer: has news, waits for a place */
    list observers, pending, asks, transfers, snapshots;
    size_t max_message;   /* streams */
    uint32_t holds;       /* observers, pending, asks: it cannot be forgotten */
    uint32_t observer_count;
    uint16_t next_id, pending_count, queue_count, flying_count, transfer_count;
    uint32_t ask_count;
    int64_t verified; /* until then: echo.c */
    rate_count own_rate;
    coap_rate *rate;  /* of all that have its name; NULL: own_rate counts */
    pace_known pace;
    bool stream, bert, dead, parked, still; /* parked: see coap_peer_park() */
};

struct coap_observer {
    list peer_link, check_link, ready_link;
    coap_peer *peer;
    void *user;
    coap_sent *sent; /* a notification that is not yet acknowledged */
    coap_reply news; /* what waits; owner held, or data copied */
    uint64_t key, whole_key;
    int64_t last_confirm, paced; /* paced: until when credit was counted */
    coap_token token;
    uint32_t sequence;
    uint16_t credit; /* notifications that may go without an acknowledgement */
    uint16_t mids[COAP_MIDS]; /* of what was sent last: a reset names one of them */
    uint8_t mid_at, szx;
    bool confirm, has_news, check; /* confirm: was asked for by a CON; check: is due for a sign of life */
};

struct coap_engine {
    mem *mem;
    const coap_hooks *hooks;
    void *user;
    coap_limits limits;
    int64_t now;
    uint64_t seed, dice, ask_serial, echo_secret[2];
    coap_peer **peers; /* hash chains */
    size_t peer_room;
    list idle;         /* peers, those longest there first */
    list acks;         /* kept requests that want an empty ACK */
    list transfers, snapshots; /* oldest first */
    list checks;       /* observers by last_confirm */
    size_t transfer_bytes;
    coap_timers timers;
    heard heard;
    map asks; /* by token; see ask.c */
    map rates; /* by name; see rate.c */
    list rates_unused;
    coap_counters n;
};

uint32_t engine_dice(coap_engine *e);
/* One message out, already written by fn-like callers: room, then send. */
static inline uint8_t *engine_room(coap_peer *p, size_t len) { return p->engine->hooks->room(p->engine->user, p, len); }
static inline void engine_send(coap_peer *p, const uint8_t *bytes, size_t len)
{
    p->engine->n.sent++;
    p->engine->hooks->send(p->engine->user, p, bytes, len);
}
void engine_send_copy(coap_peer *p, const uint8_t *bytes, size_t len);
void engine_send_empty(coap_peer *p, coap_type type, uint16_t id);

/* peers.c */
void peers_done(coap_engine *e);
void peers_age(coap_engine *e);
int64_t peers_due(const coap_engine *e);
static inline void peer_hold(coap_peer *p) { p->holds++; }
static inline void peer_release(coap_peer *p) { p->holds--; }
static inline uint16_t peer_new_id(coap_peer *p) { return p->next_id++; }

/* rate.c */
typedef enum rate_verdict { RATE_FINE, RATE_OVER, RATE_FAR_OVER } rate_verdict;
rate_verdict rate_take(coap_peer *p); /* one more */
void rate_leave(coap_peer *p);
void rates_done(coap_engine *e);

/* heard.c */
heard_entry *heard_find(coap_engine *e, uint64_t key);
bool heard_add(coap_engine *e, uint64_t key);
void heard_answer(coap_engine *e, uint64_t key, const uint8_t *p, size_t len);
const uint8_t *heard_bytes(const heard_entry *h);
void heard_done(coap_engine *e);
uint64_t heard_key(const coap_peer *p, uint16_t id, const coap_token *token);

/* outbox.c */
coap_sent *outbox_new(coap_peer *p, size_t max); /* write the message into ->data and set ->len, ->id; then: */
void outbox_send(coap_sent *s);                  /* at once, or when NSTART allows */
void outbox_cancel(coap_sent *s);                /* done is not called */
void outbox_acked(coap_peer *p, uint16_t id, int status);
void outbox_next(coap_peer *p);
void outbox_drop(coap_peer *p); /* all of it, silently */
void outbox_refused(coap_peer *p); /* what flies now fails as UNREACHABLE */
static inline bool outbox_busy(const coap_peer *p) { return p->still || p->flying_count >= p->engine->limits.nstart; }

/* pace.c */
unsigned pace_first(coap_peer *p);                               /* ms */
unsigned pace_next(const coap_engine *e, const coap_sent *s);    /* after it was sent again */
void pace_heard(coap_sent *s);                                   /* it is acknowledged */

/* request.c, respond.c */
void request_input(coap_peer *p, const coap_packet *packet, bool multicast);
void request_send_ack(coap_request *r);
void request_age(coap_engine *e);
void request_drop(coap_request *r);
uint64_t request_key(coap_request *r);
uint64_t request_whole_key(coap_request *r);
typedef struct coap_shape { /* what the message layer adds to an answer */
    coap_type type;
    uint16_t id;
    const coap_token *token;
    int64_t observe; /* -1: none */
    bool has_block1, block2, first;
    coap_block block1, part;
} coap_shape;
void shape_cut(coap_shape *s, size_t len, bool asked, coap_block wanted, unsigned max_szx); /* which block, if any */
int64_t shape_write(coap_peer *p, const coap_shape *s, const coap_reply *reply, uint8_t *memory, size_t max, uint8_t **start);

/* block1.c: true: the body is whole (in r); false: it has been answered */
bool block1_take(coap_request *r, coap_transfer **whole);
void transfer_free(coap_transfer *t);
void transfers_age(coap_engine *e);

/* block2.c */
bool block2_serve(coap_request *r); /* a later block, out of a snapshot: answered */
void snapshot_keep(coap_peer *p, uint64_t key, uint64_t whole_key, const coap_reply *reply);
void snapshot_free(coap_snapshot *s);
void snapshots_age(coap_engine *e);
int reply_hold(coap_engine *e, coap_reply *out, const coap_reply *reply); /* holds or copies the data */
void reply_let_go(coap_engine *e, coap_reply *held);

/* echo.c */
bool echo_take(coap_request *r);                    /* false: it has been challenged */
bool echo_may_answer(const coap_request *r, size_t len); /* so many bytes? */
enum { ECHO_LEN = 12 };
typedef struct echo_room {
    uint8_t value[ECHO_LEN];
    coap_option option;
} echo_room;
coap_reply echo_challenge(const coap_request *r, echo_room *room); /* what to say instead */
void echo_verified(coap_peer *p);

/* observe.c */
void observers_drop(coap_peer *p, coap_why why);
bool observers_reset(coap_peer *p, uint16_t id);
void observers_age(coap_engine *e);
void observer_send(coap_observer *o); /* its news, now */
uint32_t observer_next(coap_observer *o);

/* ask.c */
void ask_input(coap_peer *p, const coap_packet *packet);
void asks_drop(coap_peer *p, int status);
void asks_begin(coap_peer *p); /* those that were parked */
#endif
