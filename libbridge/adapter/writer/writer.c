/* adapter/writer/writer.c - a queue in memory (and in the store), a thread that empties it.
 *
 *      deliver --> ring (and store) --batch--> thread: open, write --taken--> ring moves on, store is trimmed
 *                                                 `--failed--> closed, tried again after 0.2 s, ... 30 s  */
#include "adapter/writer/writer.h"
#include "base/status.h"
#include "hub/port.h"
#include "store/store.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { RETRY_MIN = 200, RETRY_MAX = 30000 };

typedef struct writer {
    bridge_port *port;
    bridge_peer *peer;
    mem *mem;
    loop *loop;
    const writer_kind *kind;
    const url *url;
    bridge_store *store;
    uint64_t queue, first; /* in the store; number of ring[head] */
    bridge_msg **ring;     /* [room], a power of two */
    size_t room, head, count, max;
    uint64_t written, dropped, failures;
    bool failing, full, closing;

    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* around the rest */
    pthread_cond_t wake;
    bool quit;
    bridge_msg *batch[WRITER_BATCH];
    size_t batch_count; /* 0: the thread has nothing to do */
    size_t taken;       /* of the batch */
    int result;
    char why[WRITER_WHY];
} writer;

bool writer_number(const bridge_msg *msg, double *out)
{
    char digits[40], *end;

    if (msg->len == 0 || msg->len >= sizeof digits) return false;
    memcpy(digits, msg_data(msg), msg->len);
    digits[msg->len] = 0;
    if (strspn(digits, "0123456789+-.eE") != msg->len) return false;
    *out = strtod(digits, &end);
    return *end == 0;
}

/* ---- the thread */

static bool pause_for(writer *w, int64_t ms)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    while (!w->quit && pthread_cond_timedwait(&w->wake, &w->lock, &t) != ETIMEDOUT) continue;
    return !w->quit;
}

static void on_taken(bridge_port *port, void *user);

static void *write_on(void *user)
{
    writer *w = user;
    void *state = NULL;
    int64_t wait = RETRY_MIN;

    pthread_mutex_lock(&w->lock);
    while (!w->quit) {
        char why[WRITER_WHY] = "";
        int rc = 0;
        if (!w->batch_count || w->taken) {
            pthread_cond_wait(&w->wake, &w->lock);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        if (!state) rc = w->kind->open(&state, w->url, why);
        if (rc == 0) rc = w->kind->write(state, w->batch, w->batch_count, why);
        if (rc < 0 && rc != BRIDGE_INVALID && state) w->kind->close(state), state = NULL;
        pthread_mutex_lock(&w->lock);
        w->result = rc;
        memcpy(w->why, why, sizeof why);
        if (rc == 0 || rc == BRIDGE_INVALID) w->taken = w->batch_count;
        pthread_mutex_unlock(&w->lock);
        bridge_port_post(w->port, on_taken, w);
        pthread_mutex_lock(&w->lock);
        if (rc == 0 || rc == BRIDGE_INVALID) {
            wait = RETRY_MIN;
            continue;
        }
        pause_for(w, wait);
        wait = wait * 2 > RETRY_MAX ? RETRY_MAX : wait * 2;
    }
    pthread_mutex_unlock(&w->lock);
    if (state) w->kind->close(state);
    return NULL;
}

/* ---- the queue */

static void hand_batch(writer *w)
{
    pthread_mutex_lock(&w->lock);
    if (!w->batch_count && w->count) {
        for (size_t n = w->count < WRITER_BATCH ? w->count : WRITER_BATCH; w->batch_count < n; w->batch_count++)
            w->batch[w->batch_count] = bridge_msg_ref(w->ring[(w->head + w->batch_count) & (w->room - 1)]);
        w->taken = 0;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->lock);
}

static void drop_first(writer *w)
{
    bridge_msg_unref(w->ring[w->head]);
    w->head = (w->head + 1) & (w->room - 1);
    w->count--;
    w->first++;
}

static void tell_trouble(writer *w, int rc, const char *why)
{
    if (rc < 0) w->failures++;
    if (rc == BRIDGE_INVALID) bridge_port_log(w->port, BRIDGE_LOG_ERROR, w->url->host, "a batch was refused and is lost: %s", why);
    else if (rc < 0 && !w->failing) bridge_port_log(w->port, BRIDGE_LOG_WARN, w->url->host, "%s; messages wait", why);
    else if (rc == 0 && w->failing) bridge_port_log(w->port, BRIDGE_LOG_INFO, w->url->host, "takes messages again");
    w->failing = rc < 0 && rc != BRIDGE_INVALID;
}

static void on_taken(bridge_port *port, void *user)
{
    writer *w = user;
    bridge_msg *done[WRITER_BATCH];
    char why[WRITER_WHY];
    size_t n;
    int rc;

    (void)port;
    pthread_mutex_lock(&w->lock);
    n = w->taken;
    rc = w->result;
    memcpy(why, w->why, sizeof why);
    memcpy(done, w->batch, n * sizeof *done);
    if (n) w->batch_count = w->taken = 0;
    pthread_mutex_unlock(&w->lock);
    if (w->closing && n == 0) return;
    tell_trouble(w, rc, why);
    if (n == 0) return;
    if (rc == 0) w->written += n;
    for (size_t i = 0; i < n; i++) {
        if (w->count && w->ring[w->head] == done[i]) drop_first(w); /* else the queue was full and it has gone already */
        bridge_msg_unref(done[i]);
    }
    if (w->queue && w->first > 1) bridge_store_trim(w->store, w->queue, w->first - 1);
    if (!w->closing) hand_batch(w);
}

static int grow(writer *w)
{
    size_t room = w->room ? w->room * 2 : 64;
    bridge_msg **ring = mem_alloc(w->mem, room * sizeof *ring);

    if (!ring) return BRIDGE_NOMEM;
    for (size_t i = 0; i < w->count; i++) ring[i] = w->ring[(w->head + i) & (w->room - 1)];
    mem_free(w->mem, w->ring);
    w->ring = ring;
    w->room = room;
    w->head = 0;
    return 0;
}

static void push(writer *w, bridge_msg *msg)
{
    if (w->count >= w->max) { /* the newest counts more than the oldest */
        if (!w->full) bridge_port_log(w->port, BRIDGE_LOG_ERROR, w->url->host, "more than %zu messages wait: the oldest are lost", w->max);
        w->full = true;
        w->dropped++;
        drop_first(w);
    } else {
        w->full = false;
    }
    if (w->count == w->room && grow(w) < 0) {
        w->dropped++;
        return;
    }
    w->ring[(w->head + w->count++) & (w->room - 1)] = bridge_msg_ref(msg);
}

static void deliver(void *state, bridge_msg *msg, const bridge_delivery *how)
{
    writer *w = state;

    if (how->retained || how->gone || msg->path[0] == '$') return;
    if (w->queue) {
        buf b;
        buf_init(&b, w->mem, 0);
        if (store_pack(&b, msg) == 0) bridge_store_append(w->store, w->queue, w->first + w->count, b.data, b.len, NULL);
        buf_done(&b);
    }
    push(w, msg);
    hand_batch(w);
}

/* ---- what waited when the process ended */

static int on_queue(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    writer *w = user;

    (void)key;
    (void)key_len;
    if (len == sizeof w->queue) memcpy(&w->queue, value, len);
    return 1;
}

static int on_item(void *user, uint64_t number, const void *value, size_t len)
{
    writer *w = user;
    bridge_msg *msg = NULL;

    if (w->count == 0) w->first = number;
    if (number != w->first + w->count || w->count >= w->max) return 0;
    if (store_unpack(w->mem, value, len, &msg) == 0) push(w, msg);
    bridge_msg_unref(msg);
    return 0;
}

static void load(writer *w, const char *name)
{
    w->store = bridge_port_store(w->port);
    w->first = 1;
    if (!w->store) return;
    bridge_store_settle(w->store); /* one of the same name may have been here until now */
    bridge_store_each(w->store, BRIDGE_KEPT_WRITER, name, strlen(name) + 1, on_queue, w);
    if (w->queue) {
        bridge_store_items(w->store, w->queue, 0, w->max, on_item, w);
        return;
    }
    w->queue = bridge_store_queue(w->store);
    bridge_store_put(w->store, BRIDGE_KEPT_WRITER, name, strlen(name) + 1, &w->queue, sizeof w->queue);
}

/* ---- life */

static const char *const own[] = {"pattern", "max_buffer"};

static const writer_kind *kind_of(const url *u)
{
    return strncmp(u->scheme, "postgres", 8) == 0 ? &writer_postgres : &writer_influx;
}

static int check(const bridge_url *u, bridge_error *err)
{
    const char *known[32];
    size_t n = 0;

    for (; n < sizeof own / sizeof *own; n++) known[n] = own[n];
    for (const char *const *o = kind_of(u)->options; *o && n < 31; o++) known[n++] = *o;
    known[n] = NULL;
    if (!*u->host) return fail(err, BRIDGE_INVALID, "%s://HOST/DATABASE is wanted", u->scheme);
    return url_check(u, known, err);
}

static int start(writer *w)
{
    sigset_t all, was;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    w->started = pthread_create(&w->thread, NULL, write_on, w) == 0;
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    return w->started ? 0 : BRIDGE_IO;
}

static void stop(writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->quit = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    if (w->started) pthread_join(w->thread, NULL);
    w->started = false;
    bridge_peer_free(w->peer);
    w->peer = NULL;
}

static void undo(writer *w)
{
    for (size_t i = 0; i < w->batch_count; i++) bridge_msg_unref(w->batch[i]);
    w->batch_count = w->taken = 0;
    while (w->count) drop_first(w);
    mem_free(w->mem, w->ring);
    w->ring = NULL;
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
}

static int connect_to(bridge_port *port, const bridge_url *u, bridge_error *err)
{
    writer *w = bridge_port_state(port);
    const char *filter = url_get(u, "pattern");
    bridge_watch_options options = {.qos = 2, .replay = 2, .names = true};
    uint64_t max = 0;
    char name[300];
    int rc = check(u, err);

    if (rc == 0) rc = url_get_u64(u, "max_buffer", 100000, 100000000, &max, err);
    if (rc < 0) return rc;
    w->port = port;
    w->mem = port_mem(port);
    w->loop = port_loop(port);
    w->kind = kind_of(u);
    w->url = u;
    w->max = max ? (size_t)max : 1;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    snprintf(name, sizeof name, "%s://%s%s", u->scheme, u->host, u->path);
    load(w, name);
    rc = bridge_peer_new(&w->peer, port, u->host, NULL, BRIDGE_PEER_MERGE, w);
    if (rc == 0) rc = bridge_peer_watch(w->peer, filter ? filter : "#", &options, NULL, NULL);
    if (rc == 0) rc = start(w);
    if (rc < 0) {
        stop(w);
        undo(w);
        return fail(err, rc, "%s: %s", name, bridge_status_text(rc));
    }
    bridge_port_named(port, name);
    hand_batch(w);
    return 0;
}

static void on_end(bridge_port *port, void *user)
{
    undo(user);
    bridge_port_closed(port);
}

/* What the thread has posted comes first. */
static void close_it(bridge_port *port)
{
    writer *w = bridge_port_state(port);

    if (w->closing) return;
    w->closing = true;
    stop(w);
    if (bridge_port_post(port, on_end, w) < 0) on_end(port, w);
}

static void stats(bridge_port *port, bridge_stat_fn fn, void *user)
{
    const writer *w = bridge_port_state(port);
    char labels[200];

    snprintf(labels, sizeof labels, "to=\"%s\"", w->url->host);
    fn(user, "bridge_writer_written_total", labels, (double)w->written);
    fn(user, "bridge_writer_dropped_total", labels, (double)w->dropped);
    fn(user, "bridge_writer_failures_total", labels, (double)w->failures);
    fn(user, "bridge_writer_waiting", labels, (double)w->count);
}

static const char *const nothing[] = {NULL};
static const char *const targets[] = {"postgresql", "postgres", "influxdb", "influxdbs", "influxdb2", "influxdb2s", NULL};
const bridge_adapter writer_adapter = {
    .size = sizeof(bridge_adapter),
    .scheme = "writer",
    .schemes = nothing,
    .summary = "PostgreSQL and InfluxDB: messages are written there as well",
    .state_size = sizeof(writer),
    .close = close_it,
    .deliver = deliver,
    .stats = stats,
    .connects = targets,
    .connect = connect_to,
    .check_connect = check,
};
