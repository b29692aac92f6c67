/* store/writer.c - the thread that waits for the disk: one batch, one transaction.
 *
 * Between the hand-over and store_on_written() busy is this thread's; the loop looks only at busy.ops.len and busy.number. */
#include "base/clock.h"
#include "base/hash.h"
#include "store/store.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- of several values for one key in a batch only the last is written */

static bool same_key(const store_op *a, const store_op *b)
{
    return a->kind == b->kind && a->key_len == b->key_len && memcmp(a + 1, b + 1, a->key_len) == 0;
}

static void strike_out_doubles(bridge_store *s, store_batch *b)
{
    size_t room = 64, mask;
    store_op **seen;

    while (room < b->live * 2) room *= 2;
    if (b->live < 2 || !(seen = mem_zalloc_array(s->mem, room, sizeof *seen))) return; /* then they are all written */
    mask = room - 1;
    for (size_t at = 0; at < b->ops.len;) {
        store_op *op = (store_op *)(void *)(b->ops.data + at);
        at += op->size;
        if (op->op != OP_PUT && op->op != OP_REMOVE) continue;
        size_t i = (size_t)hash_bytes(op + 1, op->key_len, op->kind) & mask;
        while (seen[i] && !same_key(seen[i], op)) i = (i + 1) & mask;
        if (seen[i]) seen[i]->op = OP_NONE;
        seen[i] = op;
    }
    mem_free(s->mem, seen);
}

/* ---- a batch */

static int on_item(void *user, uint64_t number, const void *value, size_t len)
{
    store_fetch *f = user;
    uint32_t n = (uint32_t)len;
    int rc = buf_put(&f->items, &number, sizeof number);

    if (rc == 0) rc = buf_put(&f->items, &n, sizeof n);
    return rc == 0 ? buf_put(&f->items, value, len) : rc;
}

static int run_fetch(bridge_store *s, const void *at)
{
    store_fetch *f;

    memcpy(&f, at, sizeof f);
    buf_clear(&f->items);
    return s->engine->items(s->state, f->queue, f->after, f->most, on_item, f);
}

static int run_op(bridge_store *s, const store_op *op)
{
    const bridge_store_engine *e = s->engine;
    const char *key = (const char *)(op + 1);
    uint64_t upto;

    switch (op->op) {
    case OP_PUT: return e->put(s->state, op->kind, key, op->key_len, key + op->key_len, op->len);
    case OP_REMOVE: return e->remove(s->state, op->kind, key, op->key_len);
    case OP_REMOVE_BELOW: return e->remove_below(s->state, op->kind, key, op->key_len);
    case OP_APPEND: return e->append(s->state, op->a, op->b, key, op->len);
    case OP_TRIM: memcpy(&upto, key, sizeof upto); return e->trim(s->state, op->a, op->b, upto);
    case OP_FETCH: return run_fetch(s, key);
    case OP_RECORD:
    case OP_PRUNE: return store_run_past(s, op);
    default: return 0;
    }
}

int writer_run(bridge_store *s, store_batch *b)
{
    int rc;

    if (b->live == 0) return 0;
    strike_out_doubles(s, b);
    rc = s->engine->begin(s->state, b->sync);
    for (size_t at = 0; rc == 0 && at < b->ops.len;) {
        const store_op *op = (const store_op *)(const void *)(b->ops.data + at);
        rc = run_op(s, op);
        at += op->size;
    }
    if (rc == 0) rc = s->engine->commit(s->state);
    if (rc < 0) {
        snprintf(s->result_text, sizeof s->result_text, "%s", s->engine->why(s->state));
        s->engine->rollback(s->state);
    }
    return rc;
}

/* ---- the thread */

/* The loop's queue of posts may be full for a moment. */
static void post(bridge_store *s, void (*fn)(void *))
{
    struct timespec moment = {.tv_nsec = 1000000};

    atomic_fetch_add(&s->refs, 1);
    while (loop_post(s->loop, fn, s) < 0) nanosleep(&moment, NULL);
}

static void rest_until(bridge_store *s, int64_t due_us)
{
    struct timespec t = {.tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000};

    while (!s->quit && pthread_cond_timedwait(&s->wake, &s->lock, &t) != ETIMEDOUT) continue;
}

static void *write_on(void *user)
{
    bridge_store *s = user;
    bool idle = true;

    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->job && !s->quit) pthread_cond_wait(&s->wake, &s->lock);
        if (!s->job) break;
        int64_t began = now_us();
        pthread_mutex_unlock(&s->lock);
        int rc = writer_run(s, &s->busy);
        pthread_mutex_lock(&s->lock);
        s->took_us = now_us() - began;
        s->result = rc;
        s->job = false;
        pthread_cond_signal(&s->idle);
        s->rests = !s->quit && s->commit > 0;
        if (s->quit) break;
        pthread_mutex_unlock(&s->lock);
        post(s, store_on_written);
        pthread_mutex_lock(&s->lock);
        if (s->rests) rest_until(s, began + s->commit * 1000);
        idle = s->rests;
        s->rests = false;
        if (s->quit) continue;
        pthread_mutex_unlock(&s->lock);
        if (idle) post(s, store_on_rested);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int writer_start(bridge_store *s)
{
    pthread_condattr_t attr;
    sigset_t all, was;
    int rc;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_cond_init(&s->idle, NULL);
    pthread_mutex_init(&s->lock, NULL);
    sigfillset(&all); /* signals are the application's threads' business */
    pthread_sigmask(SIG_SETMASK, &all, &was);
    rc = pthread_create(&s->thread, NULL, write_on, s);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    return rc == 0 ? 0 : BRIDGE_IO;
}

bool writer_rests(bridge_store *s)
{
    bool rests;

    pthread_mutex_lock(&s->lock);
    rests = s->rests;
    pthread_mutex_unlock(&s->lock);
    return rests;
}

void writer_hand(bridge_store *s)
{
    pthread_mutex_lock(&s->lock);
    s->job = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void writer_wait(bridge_store *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->job) pthread_cond_wait(&s->idle, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void writer_end(bridge_store *s)
{
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
}
