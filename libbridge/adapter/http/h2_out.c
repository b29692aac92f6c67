/* The stream below one request of HTTP/2: what is written to it, an answer of HTTP/1.1, becomes HEADERS and DATA. */
#include "adapter/http/h2.h"
#include <stdlib.h>

enum { ANSWER_FIELDS = 64 };

/* ---- the head */

static bool is_of_the_connection(text name) /* RFC 9113 8.2.2 */
{
    return text_is(name, "connection") || text_is(name, "keep-alive") || text_is(name, "transfer-encoding") || text_is(name, "upgrade");
}

static void lower(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] >= 'A' && p[i] <= 'Z') p[i] = (uint8_t)(p[i] | 0x20);
}

static nghttp2_nv field(const char *name, size_t name_len, const char *value, size_t len)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, name_len, len, NGHTTP2_NV_FLAG_NONE};
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags, nghttp2_data_source *source, void *user)
{
    h2_stream *v = source->ptr;
    size_t n = v->out.len - v->out_at;

    (void)session;
    (void)id;
    (void)user;
    if (n > room) n = room;
    if (n) memcpy(to, v->out.data + v->out_at, n);
    v->out_at += n;
    if (n) v->moved = loop_now(v->inner.loop);
    if (v->out_at == v->out.len) {
        v->out_at = 0;
        buf_clear(&v->out);
        if (v->finished) *flags |= NGHTTP2_DATA_FLAG_EOF;
        else if (n == 0) return NGHTTP2_ERR_DEFERRED;
    }
    v->starved |= v->out.len - v->out_at < H2_OUT / 2;
    return (ssize_t)n;
}

/* The lines up to `end`, in place: names in lower case. */
static int submit(h2_stream *v, size_t end)
{
    nghttp2_nv fields[ANSWER_FIELDS];
    nghttp2_data_provider body = {.source.ptr = v, .read_callback = on_read};
    char *at = (char *)v->head.data, *stop = at + end;
    size_t n = 0;
    int status = end > 12 ? atoi(at + 9) : 500;
    bool none = v->is_head || status == 204 || status == 304;

    fields[n++] = field(":status", 7, at + 9, 3);
    at = memchr(at, '\n', end);
    while (at && ++at < stop && n < ANSWER_FIELDS) {
        char *line_end = memchr(at, '\r', (size_t)(stop - at)), *colon = line_end ? memchr(at, ':', (size_t)(line_end - at)) : NULL;
        text name, value;
        if (!colon) break;
        lower((uint8_t *)at, (size_t)(colon - at));
        name = (text){at, (size_t)(colon - at)};
        value = text_trim((text){colon + 1, (size_t)(line_end - colon - 1)});
        if (text_is(name, "content-length")) v->has_left = text_to_u64(value, INT64_MAX, &v->left);
        if (!is_of_the_connection(name)) fields[n++] = field(name.p, name.len, value.p, value.len);
        at = line_end + 1;
    }
    v->answered = true;
    if (none) v->has_left = true, v->left = 0;
    v->finished = v->has_left && v->left == 0;
    return nghttp2_submit_response(v->h2->session, v->id, fields, n, v->finished ? NULL : &body);
}

/* Bytes of the head: how many were of it, negative on failure. */
static ptrdiff_t take_head(h2_stream *v, const char *p, size_t len)
{
    size_t before = v->head.len, from = before > 3 ? before - 3 : 0, used;
    const uint8_t *end;

    if (before + len > H2_ANSWER_HEAD) len = H2_ANSWER_HEAD - before;
    if (len == 0) return BRIDGE_TOOBIG;
    if (buf_put(&v->head, p, len) < 0) return BRIDGE_NOMEM;
    end = memmem(v->head.data + from, v->head.len - from, "\r\n\r\n", 4);
    if (!end) return (ptrdiff_t)len;
    used = (size_t)(end - v->head.data) + 4;
    if (submit(v, used - 2) != 0) return BRIDGE_IO;
    buf_done(&v->head);
    return (ptrdiff_t)(used - before);
}

/* ---- the stream */

static size_t room_of(const h2_stream *v, size_t len)
{
    size_t waits = v->out.len - v->out_at, room = waits < H2_OUT ? H2_OUT - waits : 0;

    if (v->has_left && room > v->left) room = (size_t)v->left;
    return len < room ? len : room;
}

static ptrdiff_t take(h2_stream *v, const uint8_t *p, size_t len)
{
    size_t n;

    if (v->finished) return (ptrdiff_t)len; /* nothing can follow */
    n = room_of(v, len);
    if (n && v->out_at && v->out_at >= v->out.len / 2) {
        buf_drop(&v->out, v->out_at);
        v->out_at = 0;
    }
    if (n && buf_put(&v->out, p, n) < 0) return BRIDGE_NOMEM;
    if (v->has_left) v->left -= n;
    if (v->has_left && v->left == 0) v->finished = true;
    return (ptrdiff_t)n;
}

static ptrdiff_t on_write(stream *inner, const struct iovec *iov, unsigned count)
{
    h2_stream *v = list_of(inner, h2_stream, inner);
    ptrdiff_t total = 0, n;

    if (!v->h2 || v->done) return BRIDGE_CLOSED;
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *p = iov[i].iov_base;
        size_t len = iov[i].iov_len, at = 0;
        while (at < len && !v->answered) {
            n = take_head(v, (const char *)p + at, len - at);
            if (n < 0) return n;
            at += (size_t)n;
        }
        n = at < len ? take(v, p + at, len - at) : 0;
        if (n < 0) return n;
        total += (ptrdiff_t)at + n;
        if (at + (size_t)n < len) break;
    }
    if (v->answered) nghttp2_session_resume_data(v->h2->session, v->id);
    h2_wake(v->h2);
    return total;
}

static void on_want(stream *inner)
{
    h2_stream *v = list_of(inner, h2_stream, inner);

    v->starved = v->out.len - v->out_at < H2_OUT / 2;
    if (v->h2) h2_wake(v->h2);
}

static void on_reading(stream *inner, bool on)
{
    (void)inner; /* the request is whole before it is handed over */
    (void)on;
}

static const char *on_identity(const stream *inner)
{
    const h2_stream *v = list_of(inner, const h2_stream, inner);

    return v->h2 ? stream_identity(v->h2->conn->s) : NULL;
}

static void release(h2_stream *v)
{
    if (v->h2) {
        if (v->in.len > v->head_len) v->h2->bodies -= v->in.len - v->head_len;
        v->h2->count--;
        v->h2->idle_since = loop_now(v->inner.loop);
        list_remove(&v->link);
        h2_wake(v->h2);
    }
    turn_end_cancel(&v->goodbye);
    mem_free(v->mem, v->method);
    mem_free(v->mem, v->path);
    mem_free(v->mem, v->authority);
    buf_done(&v->fields);
    buf_done(&v->in);
    buf_done(&v->head);
    buf_done(&v->out);
    mem_free(v->mem, v);
}

static void on_goodbye(turn_end *t)
{
    h2_stream *v = list_of(t, h2_stream, goodbye);

    if (v->within) {
        v->within = NULL;
        stream_closed(&v->inner); /* frees the connection on it */
    }
    if (v->done) release(v);
}

/* The answer is written.  What of it waits for the client's window is sent while the stream lives. */
static void on_close(stream *inner)
{
    h2_stream *v = list_of(inner, h2_stream, inner);

    if (v->h2 && !v->done && v->answered && (!v->has_left || v->left == 0)) {
        v->finished = true;
        nghttp2_session_resume_data(v->h2->session, v->id);
        h2_wake(v->h2);
    } else if (v->h2 && !v->done) { /* half an answer is none */
        nghttp2_submit_rst_stream(v->h2->session, NGHTTP2_FLAG_NONE, v->id, NGHTTP2_INTERNAL_ERROR);
        h2_wake(v->h2);
    }
    turn_end_want(inner->loop, &v->goodbye);
}

const stream_ops h2_stream_ops = {.write = on_write, .want_write = on_want, .read = on_reading, .identity = on_identity, .close = on_close};

h2_stream *h2_stream_new(h2 *s, int32_t id)
{
    http_port *p = s->conn->port;
    h2_stream *v = mem_new(p->mem, h2_stream);

    if (!v) return NULL;
    v->h2 = s;
    v->mem = p->mem;
    v->id = id;
    v->moved = loop_now(p->loop);
    v->deadline = v->moved + HTTP_HEAD_TIME;
    turn_end_init(&v->goodbye, on_goodbye);
    buf_init(&v->fields, p->mem, 0);
    buf_init(&v->in, p->mem, 0);
    buf_init(&v->head, p->mem, 0);
    buf_init(&v->out, p->mem, 0);
    stream_init(&v->inner, &h2_stream_ops, p->loop);
    memcpy(v->inner.peer, s->conn->s->peer, sizeof v->inner.peer);
    list_push(&s->streams, &v->link);
    s->count++;
    return v;
}

void h2_stream_end(h2_stream *v)
{
    v->done = true;
    if (v->within) stream_ended(&v->inner, BRIDGE_CLOSED); /* nothing when it is over already */
    turn_end_want(v->inner.loop, &v->goodbye);
}
