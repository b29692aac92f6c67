#include "loop/stream.h"
#include "loop/internal.h"
#include <string.h>

/* A large thing that is written from where it lies. */
struct stream_ref {
    struct stream_ref *next;
    const uint8_t *p;
    size_t len;
    size_t before; /* it goes out when out_at has come here */
    void (*release)(void *owner);
    void *owner;
};

/* ---- output buffers: two sizes are kept for the next one who writes */

enum { SPARE_SMALL = 4096, SPARE_LARGE = STREAM_FLUSH_AT + 4096, SPARE_KEEP = 64 };

void *spare_take(loop *l, size_t *size)
{
    int kind = *size > SPARE_SMALL;
    void *p = l->spare[kind];

    if (*size > SPARE_LARGE) return mem_alloc(l->mem, *size);
    *size = kind ? SPARE_LARGE : SPARE_SMALL;
    if (!p) return mem_alloc(l->mem, *size);
    l->spare[kind] = *(void **)p;
    l->spare_count[kind]--;
    return p;
}

void spare_give(loop *l, void *p, size_t size)
{
    int kind = size == SPARE_LARGE;

    if (!p) return;
    if ((size != SPARE_LARGE && size != SPARE_SMALL) || l->spare_count[kind] >= SPARE_KEEP) {
        mem_free(l->mem, p);
        return;
    }
    *(void **)p = l->spare[kind];
    l->spare[kind] = p;
    l->spare_count[kind]++;
}

void spare_done(loop *l)
{
    for (int kind = 0; kind < 2; kind++)
        while (l->spare[kind]) {
            void *p = l->spare[kind];
            l->spare[kind] = *(void **)p;
            mem_free(l->mem, p);
        }
}

/* ---- writing */

size_t stream_pending(const stream *s)
{
    return s->out_len - s->out_at + s->refs_len;
}

static int grow_out(stream *s, size_t more)
{
    size_t used = s->out_len - s->out_at, cap = used + more;
    uint8_t *p;

    if (cap < s->out_cap * 2) cap = s->out_cap * 2;
    if (s->out_cap == SPARE_SMALL && cap <= SPARE_LARGE) cap = SPARE_LARGE;
    p = spare_take(s->loop, &cap);
    if (!p) return BRIDGE_NOMEM;
    if (used) memcpy(p, s->out + s->out_at, used);
    for (struct stream_ref *r = s->refs; r; r = r->next)
        r->before -= s->out_at;
    spare_give(s->loop, s->out, s->out_cap);
    s->out = p;
    s->out_cap = cap;
    s->out_len = used;
    s->out_at = 0;
    return 0;
}

void *stream_reserve(stream *s, size_t len)
{
    void *at;

    if (s->closing) return NULL;
    if (s->out_len + len > s->out_cap) {
        if (!s->waiting && stream_pending(s) >= STREAM_FLUSH_AT) stream_flush(s);
        if (s->closing || (s->out_len + len > s->out_cap && grow_out(s, len) < 0)) return NULL;
    }
    if (!list_linked(&s->flush.link)) turn_end_want(s->loop, &s->flush);
    at = s->out + s->out_len;
    s->out_len += len;
    return at;
}

int stream_write(stream *s, const void *p, size_t len)
{
    void *at = stream_reserve(s, len);

    if (!at) return s->closing ? BRIDGE_CLOSED : BRIDGE_NOMEM;
    memcpy(at, p, len);
    return 0;
}

int stream_write_ref(stream *s, const void *p, size_t len, void (*release)(void *), void *owner)
{
    struct stream_ref *r;

    if (s->closing) return BRIDGE_CLOSED;
    r = mem_alloc(s->mem, sizeof *r);
    if (!r) return BRIDGE_NOMEM;
    *r = (struct stream_ref){.p = p, .len = len, .before = s->out_len, .release = release, .owner = owner};
    *s->refs_tail = r;
    s->refs_tail = &r->next;
    s->refs_len += len;
    turn_end_want(s->loop, &s->flush);
    return 0;
}

static void drop_ref(stream *s)
{
    struct stream_ref *r = s->refs;

    s->refs = r->next;
    if (!s->refs) s->refs_tail = &s->refs;
    if (r->release) r->release(r->owner);
    mem_free(s->mem, r);
}

static unsigned gather(const stream *s, struct iovec *iov, unsigned room, size_t *total)
{
    size_t at = s->out_at;
    unsigned n = 0;

    *total = 0;
    for (struct stream_ref *r = s->refs; r && n + 2 < room; r = r->next) {
        if (r->before > at) {
            iov[n++] = (struct iovec){s->out + at, r->before - at};
            *total += r->before - at;
            at = r->before;
        }
        iov[n++] = (struct iovec){(void *)(uintptr_t)r->p, r->len};
        *total += r->len;
        if (!r->next || n + 2 >= room) break;
    }
    if (n + 2 < room && s->out_len > at) {
        iov[n++] = (struct iovec){s->out + at, s->out_len - at};
        *total += s->out_len - at;
    }
    return n;
}

static void consume(stream *s, size_t n)
{
    while (n) {
        struct stream_ref *r = s->refs;
        size_t bytes = (r ? r->before : s->out_len) - s->out_at;
        if (bytes > n) bytes = n;
        s->out_at += bytes;
        n -= bytes;
        if (!r || s->out_at < r->before || n == 0) continue;
        bytes = r->len < n ? r->len : n;
        r->p += bytes;
        r->len -= bytes;
        s->refs_len -= bytes;
        n -= bytes;
        if (r->len == 0) drop_ref(s);
    }
    while (s->refs && s->refs->len == 0 && s->refs->before == s->out_at)
        drop_ref(s);
    if (s->out_at == s->out_len && !s->refs) {
        spare_give(s->loop, s->out, s->out_cap);
        s->out = NULL;
        s->out_at = s->out_len = s->out_cap = 0;
    }
}

static void finish(stream *s);

static void note_pressure(stream *s)
{
    size_t pending = stream_pending(s);

    if (s->high && pending > s->high) s->was_high = true;
    if (pending == 0 && s->was_high && !s->closing) {
        s->was_high = false;
        if (s->events->on_drain) s->events->on_drain(s->user);
    }
}

void stream_flush(stream *s)
{
    struct iovec iov[64];
    size_t total;

    if (s->high && stream_pending(s) > s->high) s->was_high = true; /* also when all of it goes at once: somebody may have stopped because of it */
    while (!s->waiting && !s->closed && stream_pending(s)) {
        unsigned count = gather(s, iov, 64, &total);
        ptrdiff_t n = s->ops->write(s, iov, count);
        if (n < 0) {
            stream_ended(s, (int)n);
            return;
        }
        consume(s, (size_t)n);
        if ((size_t)n < total) {
            s->waiting = true;
            s->ops->want_write(s);
        }
    }
    if (s->closed) return;
    note_pressure(s);
    if (s->closing && !s->waiting && stream_pending(s) == 0) finish(s);
}

static void on_turn_end(turn_end *t)
{
    stream_flush(list_of(t, stream, flush));
}

void stream_writable(stream *s)
{
    if (!s->waiting) return;
    s->waiting = false;
    stream_flush(s);
}

void stream_set_high(stream *s, size_t bytes)
{
    s->high = bytes;
}

/* ---- reading */

void stream_set_max_in(stream *s, size_t bytes)
{
    s->in_max = bytes;
}

static int keep(stream *s, const uint8_t *data, size_t len)
{
    if (len > s->in_max) return BRIDGE_PROTOCOL;
    if (len > s->in_cap) {
        size_t cap = len < 1024 ? 1024 : len + len / 2;
        uint8_t *p = mem_alloc(s->mem, cap);
        if (!p) return BRIDGE_NOMEM;
        memcpy(p, data, len);
        mem_free(s->mem, s->in);
        s->in = p;
        s->in_cap = cap;
    } else if (len && data != s->in) {
        memmove(s->in, data, len);
    }
    s->in_len = len;
    return 0;
}

static void give_up_in(stream *s)
{
    mem_free(s->mem, s->in);
    s->in = NULL;
    s->in_len = s->in_cap = 0;
}

static int append(stream *s, const uint8_t *data, size_t len)
{
    if (s->in_len + len > s->in_cap) {
        size_t cap = (s->in_len + len) * 2;
        uint8_t *p = mem_realloc(s->mem, s->in, cap);
        if (!p) return BRIDGE_NOMEM;
        s->in = p;
        s->in_cap = cap;
    }
    memcpy(s->in + s->in_len, data, len);
    s->in_len += len;
    return 0;
}

static void hand_over(stream *s, const uint8_t *data, size_t len)
{
    size_t used;
    int rc = 0;

    s->in_data = true;
    used = s->events->on_data(s->user, data, len);
    s->in_data = false;
    if (s->closing || s->closed) return;
    if (used < len)
        rc = keep(s, data + used, len - used);
    else if (s->in)
        give_up_in(s);
    if (rc < 0) stream_abort(s, rc);
}

void stream_feed(stream *s, const uint8_t *data, size_t len)
{
    int rc;

    if (s->closing || s->closed || len == 0) return;
    if (s->in_len == 0) {
        hand_over(s, data, len);
        return;
    }
    rc = append(s, data, len);
    if (rc < 0)
        stream_abort(s, rc);
    else
        hand_over(s, s->in, s->in_len);
}

void stream_keep(stream *s, const uint8_t *data, size_t len)
{
    if (!s->closing && !s->closed && append(s, data, len) < 0) stream_abort(s, BRIDGE_NOMEM);
}

void stream_again(stream *s)
{
    if (!s->closing && !s->closed && !s->in_data && s->in_len) hand_over(s, s->in, s->in_len);
}

void stream_feed_behind(stream *s, uint8_t *data, size_t len)
{
    size_t left = s->in_len;

    if (left == 0 || left > STREAM_HEAD) { /* a large packet on its way: it grows where it is */
        stream_feed(s, data, len);
    } else if (!s->closing && !s->closed && len) {
        memcpy(data - left, s->in, left);
        hand_over(s, data - left, left + len);
    }
}

void stream_read(stream *s, bool on)
{
    if (s->closing || s->reading == on) return;
    s->reading = on;
    s->ops->read(s, on);
}

/* ---- life */

int stream_init(stream *s, const stream_ops *ops, loop *l)
{
    s->ops = ops;
    s->loop = l;
    s->mem = loop_mem(l);
    s->refs_tail = &s->refs;
    s->in_max = 1024 * 1024;
    turn_end_init(&s->flush, on_turn_end);
    return 0;
}

void stream_start(stream *s, const stream_events *events, void *user)
{
    s->events = events;
    s->user = user;
    stream_read(s, true);
}

/* Nothing more goes in or out: the transport closes, and answers with stream_closed(). */
static void finish(stream *s)
{
    if (s->closed) return;
    s->closed = true;
    timer_stop(&s->linger);
    turn_end_cancel(&s->flush);
    s->ops->close(s);
}

/* Not all is written in time; as long as some of it moves, it goes on. */
static void on_linger(timer *t)
{
    stream *s = list_of(t, stream, linger);
    size_t left = stream_pending(s);

    if (left < s->lingering && ++s->lingers < STREAM_LINGERS && timer_start(&s->linger, s->loop, STREAM_LINGER, on_linger) == 0)
        s->lingering = left;
    else
        finish(s);
}

void stream_close(stream *s)
{
    if (s->closing) return;
    s->closing = true;
    if (s->reading) s->ops->read(s, false);
    s->reading = false;
    s->lingering = stream_pending(s);
    if (timer_start(&s->linger, s->loop, STREAM_LINGER, on_linger) < 0)
        finish(s);
    else
        turn_end_want(s->loop, &s->flush); /* stream_flush() sees that nothing is left */
}

void stream_abort(stream *s, int status)
{
    if (s->closed) return;
    if (!s->closing) s->status = status;
    s->closing = true;
    finish(s);
}

void stream_ended(stream *s, int status)
{
    stream_abort(s, status);
}

void stream_closed(stream *s)
{
    while (s->refs)
        drop_ref(s);
    spare_give(s->loop, s->out, s->out_cap);
    s->out = NULL;
    give_up_in(s);
    timer_stop(&s->linger);
    turn_end_cancel(&s->flush);
    if (s->events && s->events->on_close) s->events->on_close(s->user, s->status);
}
