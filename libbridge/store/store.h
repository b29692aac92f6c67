/* store/store.h - one open store: see bridge/sys/store.h for what owners do with it.
 *
 *   store.c    batches, waiting, the hand-over          writer.c   the store's thread: a batch becomes a transaction
 *   open.c     URLs, the beginning                       pack.c     a message <-> bytes
 *   past.c     history, this side of the engine          sqlite_past.c  and that
 *   sqlite.c   the engine                                sqlite_open.c   its file: found, locked, made
 *                                                        sqlite_salvage.c  a damaged one: read, moved aside
 * The loop's thread owns everything but what writer.c says is its own. */
#ifndef STORE_STORE_H
#define STORE_STORE_H
#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "bridge/sys/store.h"
#include "core/message.h"
#include "loop/loop.h"
#include <pthread.h>

typedef enum store_level { STORE_NONE, STORE_NORMAL, STORE_FULL } store_level; /* what an acknowledgement promises */
int store_level_of(const char *word); /* "none", "normal", "full"; INVALID */

enum {
    STORE_COMMIT = 5,       /* ms from one commit to the next */
    STORE_WAIT = 2000,      /* ms for another program that writes into the file */
    STORE_KEY_MAX = 70000,  /* bytes */
    STORE_RETRY_MIN = 100,  /* ms after a failure */
    STORE_RETRY_MAX = 2000
};
/* bytes that may wait for the disk */
#define STORE_PENDING ((size_t)64 * 1024 * 1024)

typedef enum store_op_kind { OP_NONE, OP_PUT, OP_REMOVE, OP_REMOVE_BELOW, OP_APPEND, OP_TRIM, OP_FETCH, OP_RECORD, OP_PRUNE } store_op_kind;
typedef struct store_op { /* in a batch, 8-aligned: this, the key, the value */
    uint32_t size;        /* of all of it, up to the next */
    uint8_t op, kind;
    uint32_t key_len, len;
    uint64_t a, b; /* queue and number; of OP_TRIM queue, first, and behind it the last */
} store_op;

typedef struct store_fetch { /* bridge_store_fetch(): filled in by the writer */
    struct store_fetch *next;
    bridge_store_item_fn fn;
    void *user;
    uint64_t queue, after;
    size_t most, count;
    buf items; /* number u64, len u32, bytes */
} store_fetch;

typedef struct store_batch {
    uint64_t number;
    buf ops;
    size_t live; /* operations that are not struck out */
    bool sync;
    store_fetch *fetches;
} store_batch;

typedef struct store_counters { /* docs/metrics.md */
    uint64_t operations, batches, failures, bytes, refused;
    int64_t last_commit_us;
} store_counters;

struct bridge_store {
    atomic_uint refs; /* the owner, and each post under way */
    mem *mem;
    loop *loop;
    logger *log;
    const bridge_store_engine *engine;
    void *state; /* the engine's */
    char *name;  /* "sqlite:/var/lib/bridge.db" */
    store_level level;
    size_t max_pending;
    int64_t commit; /* ms */

    store_batch filling, busy; /* busy: the writer's while handed */
    bool is_busy;              /* busy holds something that is not on disk yet */
    bool handed;               /* and the writer has it */
    bool settled;              /* no, it is written already: bridge_store_settle() */
    uint64_t done;             /* the last batch on disk */
    uint64_t queues;           /* the last queue number given */
    uint64_t said;             /* operations, ever: to see whether something was said meanwhile */
    bridge_store_wait waits;   /* a ring, in order of batches */
    bridge_store_wait telling; /* a ring: those whose time has come */
    turn_end end;
    timer retry;
    int64_t retry_in;
    bool failing, closed;
    atomic_bool more_to_prune; /* said by the writer */
    char trouble[200]; /* while failing: why */
    void (*on_state)(void *user, const char *words); /* the state has changed: "ok", or the trouble */
    void *on_state_user;
    store_counters count;

    pthread_t thread;
    pthread_mutex_t lock; /* around what follows */
    pthread_cond_t wake, idle;
    bool job, quit, rests; /* job: busy is to be written; rests: until the next commit is due */
    int result;
    char result_text[200];
    int64_t took_us;
};

/* "memory:" gives NULL and 0.  SYNTAX, UNSUPPORTED, EXISTS another process has it, IO. */
int store_open(bridge_store **out, mem *m, loop *l, logger *log, const char *url, bridge_error *err);
int store_check(const char *url, bridge_error *err); /* would its words be understood?  Opens nothing */
void store_close(bridge_store *s); /* writes what is left, waits for it; NULL is fine */
void store_sync(bridge_store *s);  /* the batch being filled has to survive a loss of power */
bool store_is_full(const bridge_store *s); /* nothing more may be said that can be refused */
size_t store_pending(const bridge_store *s); /* bytes */
void store_stats(const bridge_store *s, bridge_stat_fn fn, void *user);

void store_ready_to_fill(bridge_store *s); /* store.c, for open.c */

/* ---- writer.c */
int writer_start(bridge_store *s);
void writer_hand(bridge_store *s); /* busy is to be written */
void writer_wait(bridge_store *s); /* until it has no job */
void writer_end(bridge_store *s);  /* after the job it has */
bool writer_rests(bridge_store *s);
int writer_run(bridge_store *s, store_batch *b); /* once the thread has ended */
void store_on_written(void *store); /* posted by the writer: store.c */
void store_on_rested(void *store);

extern const bridge_store_engine sqlite_engine;

/* ---- past.c */
typedef struct store_past { /* behind an OP_RECORD; then name, origin, value; of OP_PRUNE only time and most */
    int64_t time;
    double number;
    uint64_t most;
    uint32_t path, part;
    uint32_t name_len, origin_len; /* with their NUL; 0: none */
    uint16_t format;
    bool is_number;
} store_past;
int store_run_past(bridge_store *s, const store_op *op); /* the writer's */
store_op *store_add(bridge_store *s, store_op_kind kind, size_t key_len, size_t len); /* store.c */

/* ---- pack.c: a message with all that it has, but its origin's object */
int store_pack(buf *out, const bridge_msg *msg);
/* SYNTAX for bytes that are none.  mem: the new message's. */
int store_unpack(mem *m, const void *data, size_t len, bridge_msg **out);
#endif
