/* store/store.c - batches: filled by the loop, written by the thread of writer.c, waited for by whoever promised something.
 *
 *      filling --end of a turn, the writer is idle--> busy --written--> empty, waits are told
 *                                                      |
 *                                                      `--failed--> busy; waits are told BUSY; tried again later
 *
 * After a failure nothing is thrown away: what the loop has in memory and what is on disk are the same story, only later. */
#include "store/store.h"
#include "base/clock.h"
#include "base/status.h"
#include <stdio.h>

/* ---- filling */

static void touched(bridge_store *s)
{
    s->said++;
    s->filling.live++;
    s->count.operations++;
    turn_end_want(s->loop, &s->end);
}

store_op *store_add(bridge_store *s, store_op_kind kind, size_t key_len, size_t len)
{
    size_t size = (sizeof(store_op) + key_len + len + 7) & ~(size_t)7;
    store_op *op = size <= UINT32_MAX ? buf_reserve(&s->filling.ops, size) : NULL;

    if (!op) return NULL;
    *op = (store_op){.size = (uint32_t)size, .op = (uint8_t)kind, .key_len = (uint32_t)key_len, .len = (uint32_t)len};
    touched(s);
    return op;
}

int bridge_store_put(bridge_store *s, bridge_kept kind, const void *key, size_t key_len, const void *value, size_t len)
{
    store_op *op;

    if (!s) return 0;
    if (key_len > STORE_KEY_MAX) return BRIDGE_TOOBIG;
    op = store_add(s, OP_PUT, key_len, len);
    if (!op) return BRIDGE_NOMEM;
    op->kind = (uint8_t)kind;
    memcpy(op + 1, key, key_len);
    if (len) memcpy((char *)(op + 1) + key_len, value, len);
    return 0;
}

static int remove_by(bridge_store *s, store_op_kind how, bridge_kept kind, const void *key, size_t key_len)
{
    store_op *op;

    if (!s) return 0;
    if (key_len > STORE_KEY_MAX) return BRIDGE_TOOBIG;
    op = store_add(s, how, key_len, 0);
    if (!op) return BRIDGE_NOMEM;
    op->kind = (uint8_t)kind;
    memcpy(op + 1, key, key_len);
    return 0;
}

int bridge_store_remove(bridge_store *s, bridge_kept kind, const void *key, size_t key_len)
{
    return remove_by(s, OP_REMOVE, kind, key, key_len);
}

int bridge_store_remove_below(bridge_store *s, bridge_kept kind, const void *prefix, size_t len)
{
    return remove_by(s, OP_REMOVE_BELOW, kind, prefix, len);
}

uint64_t bridge_store_queue(bridge_store *s)
{
    return s ? ++s->queues : 0;
}

int bridge_store_append(bridge_store *s, uint64_t queue, uint64_t number, const void *value, size_t len, bridge_store_mark *mark)
{
    store_op *op;

    if (!s) return 0;
    op = store_add(s, OP_APPEND, 0, len);
    if (!op) return BRIDGE_NOMEM;
    op->a = queue;
    op->b = number;
    if (len) memcpy(op + 1, value, len);
    if (mark) *mark = (bridge_store_mark){s->filling.number, (size_t)((uint8_t *)op - s->filling.ops.data)};
    return 0;
}

static int trim(bridge_store *s, uint64_t queue, uint64_t from, uint64_t upto)
{
    store_op *op = store_add(s, OP_TRIM, 0, sizeof upto);

    if (!op) return BRIDGE_NOMEM;
    op->a = queue;
    op->b = from;
    memcpy(op + 1, &upto, sizeof upto);
    return 0;
}

int bridge_store_drop(bridge_store *s, uint64_t queue, uint64_t number, const bridge_store_mark *mark)
{
    if (!s) return 0;
    if (mark && mark->batch == s->filling.number && s->filling.ops.data) { /* it never gets there */
        store_op *op = (store_op *)(void *)(s->filling.ops.data + mark->at);
        if (op->op == OP_APPEND && op->a == queue && op->b == number) {
            op->op = OP_NONE;
            s->filling.live--;
            return 0;
        }
    }
    return trim(s, queue, number, number);
}

int bridge_store_trim(bridge_store *s, uint64_t queue, uint64_t upto)
{
    return s ? trim(s, queue, 0, upto) : 0;
}

int bridge_store_fetch(bridge_store *s, uint64_t queue, uint64_t after, size_t most, bridge_store_item_fn fn, void *user)
{
    store_fetch *f;
    store_op *op;

    if (!s) return BRIDGE_UNSUPPORTED;
    f = mem_new(s->mem, store_fetch);
    op = f ? store_add(s, OP_FETCH, 0, sizeof f) : NULL;
    if (!op) {
        mem_free(s->mem, f);
        return BRIDGE_NOMEM;
    }
    *f = (store_fetch){.fn = fn, .user = user, .queue = queue, .after = after, .most = most, .next = s->filling.fetches};
    buf_init(&f->items, s->mem, 0);
    s->filling.fetches = f;
    memcpy(op + 1, &f, sizeof f);
    return 0;
}

/* ---- waiting */

uint64_t bridge_store_batch(const bridge_store *s)
{
    return s ? s->filling.number : 0;
}

bool bridge_store_is_done(const bridge_store *s, uint64_t batch)
{
    return !s || batch <= s->done;
}

static void push(bridge_store_wait *ring, bridge_store_wait *w)
{
    w->next = ring;
    w->prev = ring->prev;
    w->prev->next = w;
    ring->prev = w;
}

void bridge_store_when(bridge_store *s, bridge_store_wait *w)
{
    if (!s || s->closed) {
        w->fn(w, s ? BRIDGE_CLOSED : 0);
        return;
    }
    w->batch = s->filling.number;
    push(&s->waits, w);
    if (s->level == STORE_FULL) s->filling.sync = true;
    turn_end_want(s->loop, &s->end);
}

void bridge_store_forget(bridge_store_wait *w)
{
    if (!w->next) return;
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->next = w->prev = NULL;
}

/* Those that begin to wait meanwhile are for another time: they are in the first ring again. */
static void tell_waits(bridge_store *s, uint64_t upto, int status)
{
    bridge_store_wait *w;

    while ((w = s->waits.next) != &s->waits && w->batch <= upto) { /* from one ring to the other */
        bridge_store_forget(w);
        push(&s->telling, w);
    }
    while ((w = s->telling.next) != &s->telling) {
        bridge_store_forget(w);
        w->fn(w, status);
    }
}

void store_sync(bridge_store *s)
{
    if (s) s->filling.sync = true;
}

/* ---- the hand-over */

static void begin_next(bridge_store *s)
{
    store_batch empty = s->busy;

    s->busy = s->filling;
    s->filling = empty;
    buf_clear(&s->filling.ops);
    s->filling.number = s->busy.number + 1;
    s->filling.live = 0;
    s->filling.sync = false;
    s->filling.fetches = NULL;
    s->is_busy = s->handed = true;
}

static void hand_over(bridge_store *s)
{
    if (s->is_busy || s->closed || writer_rests(s)) return;
    if (s->filling.ops.len == 0 && s->waits.next == &s->waits) return;
    begin_next(s);
    writer_hand(s);
}

static void answer_fetches(bridge_store *s, store_fetch *first)
{
    store_fetch *oldest = NULL;

    while (first) { /* oldest first */
        store_fetch *f = first;
        first = f->next;
        f->next = oldest;
        oldest = f;
    }
    while (oldest) {
        store_fetch *f = oldest;
        const uint8_t *at = f->items.data, *end = at ? at + f->items.len : NULL;
        int rc = 0;
        oldest = f->next;
        while (!s->closed && rc == 0 && at < end) {
            uint64_t number;
            uint32_t len;
            memcpy(&number, at, sizeof number);
            memcpy(&len, at + 8, sizeof len);
            rc = f->fn(f->user, number, at + 12, len);
            at += 12 + len;
        }
        if (!s->closed && rc == 0) f->fn(f->user, 0, NULL, 0);
        buf_done(&f->items);
        mem_free(s->mem, f);
    }
}

static void state_is(bridge_store *s, const char *words)
{
    if (s->on_state) s->on_state(s->on_state_user, words);
}

static void on_retry(timer *t)
{
    bridge_store *s = list_of(t, bridge_store, retry);

    if (s->closed || !s->is_busy || s->handed) return;
    s->handed = true;
    writer_hand(s);
}

static void failed(bridge_store *s, const char *why)
{
    if (!s->failing) {
        log_line(s->log, BRIDGE_LOG_ERROR, "store", "%s: %s; new durable work is refused until it takes again", s->name, why);
        snprintf(s->trouble, sizeof s->trouble, "%s", why);
        state_is(s, s->trouble);
    }
    s->failing = true;
    s->count.failures++;
    s->retry_in = s->retry_in ? s->retry_in * 2 : STORE_RETRY_MIN;
    if (s->retry_in > STORE_RETRY_MAX) s->retry_in = STORE_RETRY_MAX;
    timer_start(&s->retry, s->loop, s->retry_in, on_retry);
    tell_waits(s, UINT64_MAX - 1, BRIDGE_BUSY);
}

static void written(bridge_store *s)
{
    store_fetch *fetches = s->busy.fetches;

    s->done = s->busy.number;
    s->count.batches++;
    s->count.bytes += s->busy.ops.len;
    s->busy.fetches = NULL;
    s->is_busy = false;
    if (s->busy.ops.cap > 4 * 1024 * 1024) buf_done(&s->busy.ops), buf_init(&s->busy.ops, s->mem, 0);
    s->retry_in = 0;
    if (s->failing) {
        s->failing = false;
        log_line(s->log, BRIDGE_LOG_WARN, "store", "%s: takes again what is to be kept", s->name);
        state_is(s, "ok");
    }
    tell_waits(s, s->done, 0);
    answer_fetches(s, fetches);
}

static void unref(bridge_store *s)
{
    mem *m = s->mem;

    if (atomic_fetch_sub(&s->refs, 1) != 1) return;
    pthread_cond_destroy(&s->wake);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->lock);
    buf_done(&s->filling.ops);
    buf_done(&s->busy.ops);
    mem_free(m, s->name);
    mem_free(m, s);
    mem_unref(m);
}

static void take_back(bridge_store *s)
{
    char why[200];
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = s->result;
    memcpy(why, s->result_text, sizeof why);
    s->count.last_commit_us = s->took_us;
    pthread_mutex_unlock(&s->lock);
    s->handed = s->settled = false;
    if (rc < 0) failed(s, why);
    else written(s);
}

void store_on_written(void *store)
{
    bridge_store *s = store;

    if (!s->closed && s->handed) {
        take_back(s);
        hand_over(s);
    }
    unref(s);
}

static void on_turn_end(turn_end *t)
{
    bridge_store *s = list_of(t, bridge_store, end);

    if (s->settled) take_back(s);
    hand_over(s);
}

/* The batch being filled is written here, while the thread has nothing to do.  Whoever waits is told when the loop comes to it, of this batch and
 * of the one before, whose end may be posted already. */
int bridge_store_settle(bridge_store *s)
{
    bool posted;
    store_fetch *before, **last;

    if (!s || s->closed || (s->filling.ops.len == 0 && !s->is_busy)) return 0;
    writer_wait(s);
    if (s->is_busy && (!s->handed || s->result < 0)) return BRIDGE_BUSY;
    if (s->filling.ops.len == 0) return 0;
    posted = s->handed && !s->settled;
    before = s->is_busy ? s->busy.fetches : NULL;
    begin_next(s);
    for (last = &s->busy.fetches; *last;) last = &(*last)->next; /* the newest is the first */
    *last = before;
    s->result = writer_run(s, &s->busy);
    s->settled = !posted;
    turn_end_want(s->loop, &s->end);
    return s->result < 0 ? BRIDGE_BUSY : 0;
}

void store_on_rested(void *store)
{
    bridge_store *s = store;

    if (!s->closed) hand_over(s);
    unref(s);
}

/* ---- how it is */

size_t store_pending(const bridge_store *s)
{
    return s->filling.ops.len + (s->is_busy ? s->busy.ops.len : 0);
}

bool store_is_full(const bridge_store *s)
{
    return store_pending(s) > s->max_pending;
}

int bridge_store_ready(bridge_store *s)
{
    if (!s || (!s->failing && !store_is_full(s))) return 0;
    s->count.refused++;
    return BRIDGE_BUSY;
}

void store_stats(const bridge_store *s, bridge_stat_fn fn, void *user)
{
    static const bridge_store nothing;

    if (!s) s = &nothing;
    fn(user, "bridge_store_operations_total", "", (double)s->count.operations);
    fn(user, "bridge_store_batches_total", "", (double)s->count.batches);
    fn(user, "bridge_store_bytes_total", "", (double)s->count.bytes);
    fn(user, "bridge_store_failures_total", "", (double)s->count.failures);
    fn(user, "bridge_store_refused_total", "", (double)s->count.refused);
    fn(user, "bridge_store_pending_bytes", "", (double)store_pending(s));
    fn(user, "bridge_store_commit_seconds", "", (double)s->count.last_commit_us / 1e6);
    fn(user, "bridge_store_failing", "", s->failing);
}

/* ---- reading, at the start */

int bridge_store_each(bridge_store *s, bridge_kept kind, const void *prefix, size_t prefix_len, bridge_store_key_fn fn, void *user)
{
    return s ? s->engine->each(s->state, (unsigned)kind, prefix, prefix_len, fn, user) : 0;
}

int bridge_store_items(bridge_store *s, uint64_t queue, uint64_t after, size_t most, bridge_store_item_fn fn, void *user)
{
    return s ? s->engine->items(s->state, queue, after, most, fn, user) : 0;
}

/* ---- life */

void store_ready_to_fill(bridge_store *s)
{
    turn_end_init(&s->end, on_turn_end);
}

static void drop_fetches(bridge_store *s, store_fetch *f)
{
    while (f) {
        store_fetch *next = f->next;
        buf_done(&f->items);
        mem_free(s->mem, f);
        f = next;
    }
}

/* What is left goes to the disk now; the thread has ended. */
static void write_rest(bridge_store *s)
{
    int rc = s->is_busy && !(s->handed && s->result == 0) ? writer_run(s, &s->busy) : 0;

    if (rc == 0) s->done = s->busy.number > s->done ? s->busy.number : s->done;
    if (rc == 0) rc = writer_run(s, &s->filling);
    if (rc == 0)
        s->done = s->filling.number;
    else
        log_line(s->log, BRIDGE_LOG_ERROR, "store", "%s: %s; what was said last is not on disk", s->name, s->result_text);
}

void store_close(bridge_store *s)
{
    if (!s) return;
    turn_end_cancel(&s->end);
    timer_stop(&s->retry);
    writer_end(s);
    write_rest(s);
    s->closed = true;
    tell_waits(s, s->done, 0);
    tell_waits(s, UINT64_MAX - 1, BRIDGE_CLOSED);
    drop_fetches(s, s->busy.fetches);
    drop_fetches(s, s->filling.fetches);
    s->busy.fetches = s->filling.fetches = NULL;
    s->engine->close(s->state);
    s->state = NULL;
    unref(s);
}
