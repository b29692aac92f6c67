/* engine.h - a bridge as Python drives it.
 *
 * libbridge calls C functions here, and these only note what happened (a reference, never a copy) in the engine's ready list.
 * Python takes the list in batches after each turn, so no callback crosses into Python while the loop works.  The
 * exceptions are the access question and the step of a transformation, which cannot wait for their answer: they take the GIL
 * from inside the turn, on the thread that runs it, which is a Python thread.  No foreign thread ever calls Python.
 *
 * Every function belongs to the thread that makes the turns, except those marked [any]. */
#ifndef PY_ENGINE_H
#define PY_ENGINE_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "bridge/bridge.h"
#include <pthread.h>
#include <stdatomic.h>

/* A clock for tests, shared by any number of bridges: real time and what it was moved by, or (frozen) that alone. */
typedef struct ticker {
    atomic_llong moved; /* ms */
    bool frozen;
    atomic_uint refs;
} ticker;
ticker *ticker_new(bool frozen);
int64_t ticker_now(const ticker *t); /* ms */
void ticker_unref(ticker *t);

typedef struct held held;

/* What happened: to be handed to whom Python knows by this id. */
typedef struct event {
    uint64_t id;
    enum { EVENT_MESSAGE, EVENT_DONE, EVENT_CALL, EVENT_INTEREST, EVENT_LOG } kind;
    int status;        /* DONE: bridge_status; LOG: level; INTEREST: 1 wanted, 0 not any more */
    bridge_msg *msg;   /* MESSAGE, DONE (may be NULL); ours */
    bridge_call *call; /* CALL; ours */
    char *text;        /* LOG: "area\0line", INTEREST: the filter; ours */
    held *from;        /* MESSAGE: the subscription; our reference */
} event;

typedef struct engine {
    bridge *b; /* NULL: closed */
    ticker *clock;
    int wake;  /* eventfd that ends a wait */
    atomic_uint refs;
    held *slots;
    pthread_mutex_t lock; /* guards the ready list: logs come from any thread */
    event *ready;
    size_t first, count, room;
    uint64_t lost; /* events there was no memory for */
    struct reading *readings;
    unsigned within; /* threads that are reading */
    bool working; /* a turn is being made */
} engine;

/* Something registered with the bridge.  The bridge keeps it until it is closed, Python's handle may go before. */
struct held {
    engine *e;
    bridge_slot *slot; /* NULL: closed */
    char *name;
    uint64_t id;
    PyObject *asked;   /* access: the callable; transformation: (callable, class of message) */
    size_t waiting, most; /* subscription: events in the ready list, and how many may be */
    uint64_t lost;
    atomic_uint refs;
    held *next, **back;
};

/* An open request for Python to answer. */
typedef struct question {
    bridge_call *call;
} question;

engine *engine_new(const bridge_options *like, ticker *clock, int want_log, bridge_error *err);
void engine_shut(engine *e); /* frees the GIL; closing twice is fine */
void engine_disown(engine *e);
void engine_release(engine *e); /* Python lets go: closes it and forgets what is ready */
void engine_unref(engine *e);
int engine_step(engine *e, int most); /* frees the GIL: waits at most so many ms (-1: for ever), then one turn */
void engine_poke(engine *e);          /* [any] */
int engine_pop(engine *e, event *out);
void event_done(event *ev);

typedef int (*held_open_fn)(engine *e, held *h, const void *what, bridge_error *err);
held *held_open(engine *e, uint64_t id, size_t most, PyObject *asked, held_open_fn open, const void *what,
                bridge_error *err);
void held_shut(held *h);
held *held_ref(held *h);
void held_unref(held *h); /* with the GIL; NULL is fine */
int open_listener(engine *e, held *h, const void *url, bridge_error *err);
int open_uplink(engine *e, held *h, const void *url, bridge_error *err);
int open_description(engine *e, held *h, const void *both, bridge_error *err);
int open_route(engine *e, held *h, const void *route, bridge_error *err);
int open_function(engine *e, held *h, const void *name, bridge_error *err);
int open_subscription(engine *e, held *h, const void *pattern, bridge_error *err);
int open_handler(engine *e, held *h, const void *pattern, bridge_error *err);
int open_owner(engine *e, held *h, const void *pattern, bridge_error *err); /* a handler that is told who watches, too */
int open_policy(engine *e, held *h, const void *unused, bridge_error *err);
int open_credential(engine *e, held *h, const void *unused, bridge_error *err);

/* past.c: a cursor over the past. */
typedef struct reading {
    engine *e;
    bridge_history_cursor *cursor; /* NULL: closed */
    bool busy, ended; /* busy: a thread is in it */
    struct reading *next, **back;
} reading;
reading *past_open(engine *e, const char *filter, int64_t since, int64_t until, bool newest_first, bridge_error *err); /* [any] frees the GIL */
PyObject *past_take(reading *r, int most, bridge_error *err); /* [any] frees the GIL; empty: that was all */
void past_close(reading *r);                                  /* [any] */
void past_free(reading *r);                                   /* [any] */
void readings_shut(engine *e, bridge *b); /* all of them, before the bridge goes */
void readings_disown(engine *e);

int engine_ask(engine *e, uint64_t id, int verb, bridge_msg *msg, int64_t timeout); /* [any] */

/* message.c: the type _bridge.Msg, a reference to a message; Python's Message is a subclass. */
int message_type_add(PyObject *module);
PyObject *message_wrap(PyTypeObject *type, bridge_msg *msg); /* takes over the reference; NULL with an exception */
bridge_msg *message_of(PyObject *object);                    /* borrow; NULL when it is none */
void raise_status(int status, const bridge_error *err);      /* sets the exception that libbridge.errors has for it */

#endif
