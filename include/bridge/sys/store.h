/* bridge/sys/store.h - what outlives the process, and how.  Stable within a minor version only.
 *
 * Owners (the hub, adapters) say what is to be kept; nothing here waits for the disk.  What they say is collected in a batch; a
 * thread of the store commits a batch every few milliseconds, and tells the loop.  Who promises durability to somebody (an
 * acknowledgement) sends it when the batch is there: bridge_store_wait().
 *
 * What is said without returning to the loop is one batch: it is on disk as a whole, or not at all.  Batches are committed in order.
 *
 * `memory:` is no store: bridge_port_store() is NULL then, every call below takes that NULL and does nothing, and what an owner has
 * in memory is all there is. */
#ifndef BRIDGE_SYS_STORE_H
#define BRIDGE_SYS_STORE_H
#include "bridge/sys/adapter.h"
#ifdef __cplusplus
extern "C" {
#endif
typedef struct bridge_store bridge_store;

/* ---- 1. For owners.  On the loop's thread. */

/* Kinds of things under a key.  The numbers are in files: they never change. */
typedef enum bridge_kept {
    BRIDGE_KEPT_STORE = 0,        /* the store's own */
    BRIDGE_KEPT_VALUE = 1,        /* path: a message */
    BRIDGE_KEPT_SESSION = 2,      /* MQTT client id: the session, its will */
    BRIDGE_KEPT_SUBSCRIPTION = 3, /* client id NUL group NUL filter */
    BRIDGE_KEPT_INFLIGHT = 4,     /* client id NUL packet identifier: QoS 2 that came in and is not released */
    BRIDGE_KEPT_ROUTE = 5,        /* source NUL target NUL priority: a lasting route */
    BRIDGE_KEPT_UPLINK = 6,       /* name of an uplink: its state, the number of its queue */
    BRIDGE_KEPT_REGISTRATION = 7, /* LwM2M endpoint */
    BRIDGE_KEPT_OBSERVATION = 8,  /* LwM2M endpoint NUL path */
    BRIDGE_KEPT_DIRECTORY = 9,    /* CoAP resource directory: an entry */
    BRIDGE_KEPT_WRITER = 10,      /* a writer beside the store: the number of its queue */
    BRIDGE_KEPT_HISTORY = 11,     /* path: its number in the history */
    BRIDGE_KEPT_TOPIC = 12,       /* CoAP pub/sub: a topic's configuration */
    BRIDGE_KEPT_RESPONDER = 13,   /* MQTT client id NUL filter: what it answers for */
    BRIDGE_KEPT_UPLINK_SESSION = 14, /* name of an uplink: whose session, the numbers of its queues */
    BRIDGE_KEPT_BODIES = 15,      /* adapter: the queue of its messages that several queues refer to */
    BRIDGE_KEPT_UPDATE = 16,      /* LwM2M device, or campaign, NUL row: an update under way */
    BRIDGE_KEPT_OTHER = 64        /* from here on: adapters that are not in this tree */
} bridge_kept;

bridge_store *bridge_port_store(bridge_port *port); /* NULL: nothing outlives the process */

/* May new work be promised?  0; BUSY: the disk does not keep up, or does not take anything now (full, broken).  Ask before you take on
 * something for a stranger; what follows from earlier promises (an acknowledgement, an expiry) is said without asking. */
int bridge_store_ready(bridge_store *s);

/* 0 or NOMEM.  They copy.  A key has at most 70,000 bytes. */
int bridge_store_put(bridge_store *s, bridge_kept kind, const void *key, size_t key_len, const void *value, size_t len);
int bridge_store_remove(bridge_store *s, bridge_kept kind, const void *key, size_t key_len);
int bridge_store_remove_below(bridge_store *s, bridge_kept kind, const void *prefix, size_t len); /* all keys that begin so */

/* Queues: items in the order of their numbers.  A queue has a number of its own, which its owner keeps under some key. */
typedef struct bridge_store_mark { /* where an item was said: as long as it is in the batch being filled, dropping it costs nothing */
    uint64_t batch;
    size_t at;
} bridge_store_mark;
uint64_t bridge_store_queue(bridge_store *s); /* a number that no queue has had before; with a NULL store 0 */
int bridge_store_append(bridge_store *s, uint64_t queue, uint64_t number, const void *value, size_t len,
                        bridge_store_mark *mark); /* the same number again replaces the item; mark may be NULL */
int bridge_store_drop(bridge_store *s, uint64_t queue, uint64_t number, const bridge_store_mark *mark); /* one item */
int bridge_store_trim(bridge_store *s, uint64_t queue, uint64_t upto); /* all items up to this number; UINT64_MAX: all */

/* The batch being filled: 1, 2, ...  Everything said while it was N is on disk when N is done. */
uint64_t bridge_store_batch(const bridge_store *s);
bool bridge_store_is_done(const bridge_store *s, uint64_t batch); /* with a NULL store: true */
/* All that was said is on disk when this returns: it waits for it.  For those who read what somebody before them in this process has said
 * (an uplink that takes the place of another).  0, BUSY: not now. */
int bridge_store_settle(bridge_store *s);

/* To be told.  The memory is yours; it costs nothing but its two pointers, so have one for each promise, or one for many. */
typedef struct bridge_store_wait {
    struct bridge_store_wait *next, *prev; /* NULL: not waiting */
    uint64_t batch;
    void (*fn)(struct bridge_store_wait *w, int status); /* 0; BUSY: not written now, tried again later; CLOSED */
} bridge_store_wait;
void bridge_store_when(bridge_store *s, bridge_store_wait *w); /* fn after the batch being filled; with a NULL store at once */
void bridge_store_forget(bridge_store_wait *w);                /* fn is not called any more; also of one that does not wait */

/* What was kept: at the start, before anything is said to the store; these wait for the disk.  A non-zero return stops and is returned. */
typedef int (*bridge_store_key_fn)(void *user, const void *key, size_t key_len, const void *value, size_t len); /* borrow */
typedef int (*bridge_store_item_fn)(void *user, uint64_t number, const void *value, size_t len);                 /* borrow */
int bridge_store_each(bridge_store *s, bridge_kept kind, const void *prefix, size_t prefix_len, bridge_store_key_fn fn, void *user);
int bridge_store_items(bridge_store *s, uint64_t queue, uint64_t after, size_t most, bridge_store_item_fn fn, void *user);

/* The same for a queue at any time, without waiting: what is there once everything said before is there.  fn is called for each item, and
 * then once with number 0 and NULL; on the loop's thread, never before this returns.  Not called any more once the bridge ends. */
int bridge_store_fetch(bridge_store *s, uint64_t queue, uint64_t after, size_t most, bridge_store_item_fn fn, void *user);

/* History: records of paths, each path under a number of its owner's. */
typedef struct bridge_past {
    uint32_t path, part; /* several at one time: 0, 1, ... */
    int64_t time;        /* ms since 1970 */
    uint16_t format;     /* of value; as bridge_format */
    bool is_number;      /* then number is what value says, for aggregates */
    double number;
    const char *name, *origin; /* of a record within a pack, or NULL; who said it, or NULL */
    const void *value;
    size_t len;
} bridge_past;
int bridge_store_record(bridge_store *s, const bridge_past *past);
int bridge_store_prune(bridge_store *s, uint32_t path, int64_t before, uint64_t most); /* older than that, and more than so many, go: some each time */
typedef int (*bridge_past_fn)(void *user, const bridge_past *past); /* borrow; non-zero stops and is returned */
/* [any] Opens a view of what is on disk now, for one thread at a time; UNSUPPORTED.  The store must outlive it. */
int bridge_store_view(bridge_store *s, void **out);
int bridge_store_past(bridge_store *s, void *view, uint32_t path, int64_t from, int64_t upto, bool newest_first, bridge_past_fn fn, void *user);
void bridge_store_view_close(bridge_store *s, void *view);

/* ---- 2. For those who write an engine: one file, one table.  Only the store's thread calls it, or the one that opens it, before. */
typedef struct bridge_store_engine {
    size_t size;        /* sizeof(bridge_store_engine) */
    const char *scheme; /* "sqlite" of "sqlite:FILE?commit=5ms" */
    /* where: what stands between the scheme and '?'.  note: a sentence for the log when all is well but something happened (a file was
     * moved aside); else left alone.  wait: ms for others who write there. */
    int (*open)(void **out, const char *where, int wait, bridge_error *note, bridge_error *err);
    void (*close)(void *e);
    int (*begin)(void *e, bool sync); /* sync: it shall survive the loss of power, not only of the process */
    int (*put)(void *e, unsigned kind, const void *key, size_t key_len, const void *value, size_t len);
    int (*remove)(void *e, unsigned kind, const void *key, size_t key_len);
    int (*remove_below)(void *e, unsigned kind, const void *prefix, size_t len);
    int (*append)(void *e, uint64_t queue, uint64_t number, const void *value, size_t len);
    int (*trim)(void *e, uint64_t queue, uint64_t from, uint64_t upto); /* both included */
    int (*commit)(void *e);
    void (*rollback)(void *e);
    int (*each)(void *e, unsigned kind, const void *prefix, size_t prefix_len, bridge_store_key_fn fn, void *user);
    int (*items)(void *e, uint64_t queue, uint64_t after, size_t most, bridge_store_item_fn fn, void *user);
    int (*record)(void *e, const bridge_past *past); /* this and the next five: optional, history */
    int (*prune)(void *e, uint32_t path, int64_t before, uint64_t most); /* 1: there may be more to go */
    int (*view)(void *e, void **out);
    int (*past)(void *view, uint32_t path, int64_t from, int64_t upto, bool newest_first, bridge_past_fn fn, void *user);
    void (*view_close)(void *view);
    const char *(*why)(void *e); /* borrow: the last failure, for people */
    void (*rest)(void *e);       /* optional: nothing to do for a while; time for checkpoints */
} bridge_store_engine;
#ifdef __cplusplus
}
#endif
#endif
