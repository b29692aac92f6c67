/* engine.c - the loop side of the Python module: callbacks that note, turns, and what is registered. */
#include "engine.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

ticker *ticker_new(bool frozen)
{
    ticker *t = calloc(1, sizeof *t);

    if (!t) return NULL;
    t->frozen = frozen;
    atomic_init(&t->moved, frozen ? 1000 : 0); /* a clock that starts at 0 would hide bugs with "0: never" */
    atomic_init(&t->refs, 1);
    return t;
}

int64_t ticker_now(const ticker *t)
{
    struct timespec now = {0};

    if (!t->frozen) clock_gettime(CLOCK_MONOTONIC, &now);
    return atomic_load(&t->moved) + (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void ticker_unref(ticker *t)
{
    if (t && atomic_fetch_sub(&t->refs, 1) == 1) free(t);
}

static int64_t engine_clock(void *user)
{
    return ticker_now(((engine *)user)->clock);
}

/* ---- the ready list: a ring that grows */

static int ready_grow(engine *e)
{
    size_t room = e->room ? e->room * 2 : 256;
    event *more = malloc(room * sizeof *more);

    if (!more) return -1;
    for (size_t i = 0; i < e->count; i++) more[i] = e->ready[(e->first + i) & (e->room - 1)];
    free(e->ready);
    e->ready = more;
    e->room = room;
    e->first = 0;
    return 0;
}

static bool engine_push(engine *e, const event *ev)
{
    bool kept;

    pthread_mutex_lock(&e->lock);
    kept = e->count < e->room || ready_grow(e) == 0;
    if (kept) e->ready[(e->first + e->count++) & (e->room - 1)] = *ev;
    else e->lost++;
    pthread_mutex_unlock(&e->lock);
    return kept;
}

int engine_pop(engine *e, event *out)
{
    int found = 0;

    pthread_mutex_lock(&e->lock);
    if (e->count > 0) {
        *out = e->ready[e->first];
        e->first = (e->first + 1) & (e->room - 1);
        e->count--;
        found = 1;
    }
    pthread_mutex_unlock(&e->lock);
    if (found && out->from) out->from->waiting--;
    return found;
}

void event_done(event *ev)
{
    bridge_msg_unref(ev->msg);
    if (ev->call) bridge_call_unref(ev->call);
    held_unref(ev->from);
    free(ev->text);
    *ev = (event){0};
}

/* ---- what libbridge calls */

static void on_log(void *user, int level, const char *area, const char *line)
{
    size_t first = strlen(area) + 1, second = strlen(line) + 1;
    event ev = {.kind = EVENT_LOG, .status = level, .text = malloc(first + second)};

    if (!ev.text) return;
    memcpy(ev.text, area, first);
    memcpy(ev.text + first, line, second);
    if (!engine_push(user, &ev)) event_done(&ev);
}

static void on_message(void *user, bridge_msg *msg)
{
    held *h = user;
    event ev = {.id = h->id, .kind = EVENT_MESSAGE};

    if (h->most && h->waiting >= h->most) {
        h->lost++;
        return;
    }
    ev.msg = bridge_msg_ref(msg);
    ev.from = held_ref(h);
    if (engine_push(h->e, &ev)) h->waiting++;
    else event_done(&ev);
}

static void on_call(void *user, bridge_call *call)
{
    held *h = user;
    event ev = {.id = h->id, .kind = EVENT_CALL, .call = bridge_call_ref(call)};

    if (!engine_push(h->e, &ev)) event_done(&ev);
}

static void on_interest(void *user, const char *filter, bool wanted)
{
    held *h = user;
    event ev = {.id = h->id, .kind = EVENT_INTEREST, .status = wanted, .text = strdup(filter)};

    if (!ev.text || !engine_push(h->e, &ev)) event_done(&ev);
}

typedef struct request { /* lives until its on_done, which comes exactly once */
    engine *e;
    uint64_t id;
} request;

static void on_done(void *user, int status, bridge_msg *reply)
{
    request *r = user;
    event ev = {.id = r->id, .kind = EVENT_DONE, .status = status, .msg = reply ? bridge_msg_ref(reply) : NULL};

    if (!engine_push(r->e, &ev)) event_done(&ev);
    engine_unref(r->e);
    free(r);
}

/* True, False or None; in an enhanced authentication bytes are a challenge, and (True, bytes) a welcome with data.  Anything
 * else, and an exception, is a no. */
static bridge_verdict verdict_of(PyObject *answer, const bridge_ask *ask)
{
    bridge_verdict verdict = BRIDGE_CHALLENGE;
    PyObject *data = answer;

    if (answer == Py_None) return BRIDGE_DEFER;
    if (answer == Py_True) return BRIDGE_ALLOW;
    if (PyTuple_Check(answer) && PyTuple_GET_SIZE(answer) == 2 && PyTuple_GET_ITEM(answer, 0) == Py_True) {
        data = PyTuple_GET_ITEM(answer, 1);
        verdict = BRIDGE_ALLOW;
    }
    if (!ask->method || !PyBytes_Check(data)) return BRIDGE_DENY;
    return bridge_ask_reply(ask, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data)) < 0 ? BRIDGE_DENY : verdict;
}

static bridge_verdict on_access(void *user, const bridge_ask *ask)
{
    held *h = user;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *answer = PyObject_CallFunction(h->asked, "sizsy#zzI", ask->who ? ask->who : "", (int)ask->verb, ask->user,
                                             ask->path ? ask->path : "", (const char *)ask->secret,
                                             (Py_ssize_t)ask->secret_len, ask->certified, ask->method, ask->step);
    bridge_verdict verdict = answer ? verdict_of(answer, ask) : BRIDGE_DENY;

    if (!answer) PyErr_WriteUnraisable(h->asked);
    Py_XDECREF(answer);
    PyGILState_Release(gil);
    return verdict;
}

/* (key or True, name or None), None, or False; see credential() in _core.py, which makes these of what people say. */
static bridge_verdict credential_of(PyObject *answer, bridge_credential *c)
{
    char *key = NULL;
    const char *name = NULL;
    Py_ssize_t len = 0, name_len = 0;

    if (answer == Py_None) return BRIDGE_DEFER;
    if (!PyTuple_Check(answer) || PyTuple_GET_SIZE(answer) != 2) return BRIDGE_DENY;
    if (!c->certificate && PyBytes_AsStringAndSize(PyTuple_GET_ITEM(answer, 0), &key, &len) < 0) return BRIDGE_DENY;
    if (c->certificate && PyTuple_GET_ITEM(answer, 0) != Py_True) return BRIDGE_DENY;
    if (PyTuple_GET_ITEM(answer, 1) != Py_None && !(name = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(answer, 1), &name_len))) return BRIDGE_DENY;
    if ((size_t)len > c->key_room || (size_t)name_len >= c->name_room) return BRIDGE_DENY;
    if (!c->certificate) {
        memcpy(c->key, key, (size_t)len);
        c->key_len = (size_t)len;
    }
    memcpy(c->name, name ? name : "", (size_t)name_len + 1);
    return BRIDGE_ALLOW;
}

static bridge_verdict on_credential(void *user, bridge_credential *c)
{
    held *h = user;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *answer = PyObject_CallFunction(h->asked, "sNy#O", c->listener, PyUnicode_DecodeUTF8(c->identity, (Py_ssize_t)strlen(c->identity), "replace"),
                                             (const char *)c->certificate, (Py_ssize_t)c->certificate_len, c->trusted ? Py_True : Py_False);
    bridge_verdict verdict = answer ? credential_of(answer, c) : BRIDGE_DENY;

    if (PyErr_Occurred()) PyErr_WriteUnraisable(h->asked);
    Py_XDECREF(answer);
    PyGILState_Release(gil);
    return verdict;
}

/* A message, (payload, format), or None: nothing goes on.  Only a payload and its format are taken of an answer, and to make a whole
 * message of them in Python costs more than all the rest. */
static int answer_of(PyObject *answer, const bridge_msg *msg, bridge_msg **out)
{
    bridge_fields f = {.size = sizeof f, .path = bridge_msg_look(msg, BRIDGE_FIELDS())->path};
    bridge_msg *made = answer == Py_None ? NULL : message_of(answer);
    Py_ssize_t len;
    char *data;

    if (made) *out = bridge_msg_ref(made);
    if (made || !PyTuple_Check(answer) || PyTuple_GET_SIZE(answer) != 2) return 0;
    if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(answer, 0), &data, &len) < 0) return BRIDGE_UNPROCESSABLE;
    f.data = data;
    f.len = (size_t)len;
    f.format = (bridge_format)PyLong_AsLong(PyTuple_GET_ITEM(answer, 1));
    return PyErr_Occurred() ? BRIDGE_UNPROCESSABLE : bridge_msg_new(out, &f);
}

/* (callable, class): callable(class(msg)) answers as above, or raises. */
static int on_transform(void *user, bridge_msg *msg, bridge_msg **out)
{
    held *h = user;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *given = message_wrap((PyTypeObject *)PyTuple_GET_ITEM(h->asked, 1), bridge_msg_ref(msg));
    PyObject *answer = given ? PyObject_CallOneArg(PyTuple_GET_ITEM(h->asked, 0), given) : NULL;
    int rc = answer ? answer_of(answer, msg, out) : BRIDGE_UNPROCESSABLE;

    PyErr_Clear(); /* the Python side has logged it */
    Py_XDECREF(answer);
    Py_XDECREF(given);
    PyGILState_Release(gil);
    return rc;
}

/* ---- the bridge */

engine *engine_new(const bridge_options *like, ticker *clock, int want_log, bridge_error *err)
{
    bridge_options options = *like;
    engine *e = calloc(1, sizeof *e);
    int rc = BRIDGE_NOMEM;

    if (!e) {
        err->status = rc;
        return NULL;
    }
    pthread_mutex_init(&e->lock, NULL);
    atomic_init(&e->refs, 1);
    if (clock) {
        e->clock = clock;
        atomic_fetch_add(&clock->refs, 1);
        options.clock = engine_clock;
    }
    options.user = e;
    if (want_log) options.log = on_log;
    e->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (e->wake >= 0) rc = bridge_new(&e->b, &options, err);
    else rc = BRIDGE_IO;
    err->status = rc;
    if (rc == 0) return e;
    engine_unref(e);
    return NULL;
}

/* Slots end with the bridge; the answers still owed (CANCELED) land in the ready list. */
void engine_shut(engine *e)
{
    bridge *b = e->b;

    e->b = NULL; /* first: while the GIL is free, other threads find it closed */
    if (b) readings_shut(e, b);
    Py_BEGIN_ALLOW_THREADS
    bridge_free(b);
    Py_END_ALLOW_THREADS
    while (e->slots) {
        e->slots->slot = NULL;
        held_shut(e->slots);
    }
}

/* In the child of a fork: the bridge's threads are not here, and its sockets and its epoll are the parent's.  Nothing is freed,
 * since that would close them there; the lock may be held by a thread that is gone. */
void engine_disown(engine *e)
{
    e->b = NULL;
    e->within = 0;
    readings_disown(e);
    pthread_mutex_init(&e->lock, NULL);
    while (e->slots) {
        e->slots->slot = NULL;
        held_shut(e->slots);
    }
}

/* Events hold their subscription, which holds the engine: Python's letting go breaks the ring. */
void engine_release(engine *e)
{
    event ev;

    engine_shut(e);
    while (engine_pop(e, &ev)) event_done(&ev);
    engine_unref(e);
}

void engine_unref(engine *e)
{
    if (!e || atomic_fetch_sub(&e->refs, 1) != 1) return;
    ticker_unref(e->clock);
    if (e->wake >= 0) close(e->wake);
    pthread_mutex_destroy(&e->lock);
    free(e->ready);
    free(e);
}

static bool engine_has_ready(engine *e)
{
    bool has;

    pthread_mutex_lock(&e->lock);
    has = e->count > 0;
    pthread_mutex_unlock(&e->lock);
    return has;
}

int engine_step(engine *e, int most)
{
    struct pollfd fds[2] = {{.fd = e->wake, .events = POLLIN}, {.events = POLLIN}};
    int timeout, rc;
    uint64_t count;

    if (!e->b) return BRIDGE_CLOSED;
    if (e->working) return BRIDGE_INVALID; /* a function that is asked in the middle of one */
    fds[1].fd = bridge_fd(e->b);
    timeout = bridge_timeout(e->b);
    if (timeout < 0 || (most >= 0 && most < timeout)) timeout = most;
    if (engine_has_ready(e)) timeout = 0;
    Py_BEGIN_ALLOW_THREADS
    rc = poll(fds, 2, timeout) < 0 && errno != EINTR ? BRIDGE_IO : 0;
    if (fds[0].revents && read(e->wake, &count, sizeof count) < 0) count = 0;
    e->working = true;
    if (rc == 0) rc = bridge_process(e->b);
    e->working = false;
    Py_END_ALLOW_THREADS
    return rc;
}

void engine_poke(engine *e)
{
    uint64_t one = 1;

    if (write(e->wake, &one, sizeof one) < 0) return; /* full: it is awake */
}

int engine_ask(engine *e, uint64_t id, int verb, bridge_msg *msg, int64_t timeout)
{
    request *r;
    int rc;

    if (!e->b) return BRIDGE_CLOSED;
    r = malloc(sizeof *r);
    if (!r) return BRIDGE_NOMEM;
    *r = (request){e, id};
    atomic_fetch_add(&e->refs, 1);
    rc = bridge_request(e->b, (bridge_verb)verb, msg, timeout, on_done, r, NULL);
    if (rc < 0) {
        engine_unref(e);
        free(r);
    }
    return rc;
}

/* ---- what is registered: in the engine's list until the slot is closed and Python has let go */

int open_listener(engine *e, held *h, const void *url, bridge_error *err)
{
    return bridge_listen(e->b, url, &h->slot, err);
}

int open_uplink(engine *e, held *h, const void *url, bridge_error *err)
{
    return bridge_connect(e->b, url, &h->slot, err);
}

int open_route(engine *e, held *h, const void *route, bridge_error *err)
{
    return bridge_route_add(e->b, route, &h->slot, err);
}

int open_function(engine *e, held *h, const void *name, bridge_error *err)
{
    return bridge_transform(e->b, name, on_transform, h, &h->slot, err);
}

int open_description(engine *e, held *h, const void *both, bridge_error *err)
{
    const char *const *texts = both;

    return bridge_describe(e->b, texts[0], texts[1], &h->slot, err);
}

int open_subscription(engine *e, held *h, const void *pattern, bridge_error *err)
{
    return bridge_subscribe(e->b, pattern, on_message, h, &h->slot, err);
}

int open_handler(engine *e, held *h, const void *pattern, bridge_error *err)
{
    return bridge_handle(e->b, pattern, on_call, h, &h->slot, err);
}

int open_owner(engine *e, held *h, const void *pattern, bridge_error *err)
{
    const bridge_owner_fns fns = {.size = sizeof fns, .call = on_call, .interest = on_interest};

    return bridge_own(e->b, pattern, &fns, h, &h->slot, err);
}

int open_policy(engine *e, held *h, const void *unused, bridge_error *err)
{
    (void)unused;
    (void)err;
    return bridge_on_access(e->b, on_access, h, &h->slot);
}

int open_credential(engine *e, held *h, const void *unused, bridge_error *err)
{
    (void)unused;
    (void)err;
    return bridge_on_credential(e->b, on_credential, h, &h->slot);
}

held *held_open(engine *e, uint64_t id, size_t most, PyObject *asked, held_open_fn open, const void *what,
                bridge_error *err)
{
    held *h = calloc(1, sizeof *h);
    const char *name;
    int rc;

    if (!h) {
        err->status = BRIDGE_NOMEM;
        return NULL;
    }
    h->e = e;
    h->id = id;
    h->most = most;
    Py_XINCREF(asked);
    h->asked = asked;
    atomic_init(&h->refs, 1); /* Python's handle; kept values come, and take theirs, while it is opened */
    atomic_fetch_add(&e->refs, 1);
    rc = e->b ? open(e, h, what, err) : BRIDGE_CLOSED;
    err->status = rc < 0 ? rc : 0;
    if (rc < 0) {
        held_unref(h);
        return NULL;
    }
    name = h->slot ? bridge_slot_name(h->slot) : NULL;
    h->name = strdup(name ? name : "");
    held_ref(h); /* the list */
    h->next = e->slots;
    h->back = &e->slots;
    if (h->next) h->next->back = &h->next;
    e->slots = h;
    return h;
}

void held_shut(held *h)
{
    bridge_slot *slot = h->slot;

    h->slot = NULL;
    if (slot && h->e->b) bridge_slot_close(slot);
    if (h->back) { /* still in the list */
        *h->back = h->next;
        if (h->next) h->next->back = h->back;
        h->back = NULL;
        held_unref(h);
    }
}

held *held_ref(held *h)
{
    atomic_fetch_add(&h->refs, 1);
    return h;
}

void held_unref(held *h)
{
    engine *e;

    if (!h || atomic_fetch_sub(&h->refs, 1) != 1) return;
    e = h->e;
    Py_XDECREF(h->asked);
    free(h->name);
    free(h);
    engine_unref(e);
}
