/* A session of HTTP/2: frames in and out, its limits, its end. */
#include "adapter/http/h2.h"
#include "adapter/http/answer.h"

/* ---- limits */

bool bucket_take(bucket *b, int64_t now, unsigned at_once, unsigned a_second)
{
    uint64_t most = (uint64_t)at_once * 1000;

    if (b->at == 0) b->left = most;
    b->left += (uint64_t)(now - b->at) * a_second;
    if (b->at == 0 || b->left > most) b->left = most;
    b->at = now;
    if (b->left < 1000) return false;
    b->left -= 1000;
    return true;
}

/* What may be said for nothing has an end. */
static int too_many(h2 *s, const char *what)
{
    s->conn->port->refused++;
    bridge_port_log(s->conn->port->port, BRIDGE_LOG_WARN, stream_peer(s->conn->s), "HTTP/2: too many %s", what);
    s->hurt = true;
    nghttp2_session_terminate_session(s->session, NGHTTP2_ENHANCE_YOUR_CALM);
    h2_wake(s);
    return 0;
}

static int on_control(h2 *s)
{
    if (s->hurt || bucket_take(&s->control, loop_now(s->conn->port->loop), H2_CONTROL, H2_CONTROL_RATE)) return 0;
    return too_many(s, "frames that carry nothing");
}

static int on_reset(h2 *s)
{
    if (s->hurt || bucket_take(&s->resets, loop_now(s->conn->port->loop), H2_RESETS, H2_RESETS_RATE)) return 0;
    return too_many(s, "requests taken back");
}

/* ---- what comes */

static h2_stream *stream_of(h2 *s, int32_t id)
{
    return nghttp2_session_get_stream_user_data(s->session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    h2 *s = user;
    h2_stream *v;

    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    if (s->saying_bye || s->hurt) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    v = h2_stream_new(s, frame->hd.stream_id);
    if (!v) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, v);
    conn_deadline(s->conn, H2_TICK);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t len, uint8_t flags, void *user)
{
    h2_stream *v = stream_of(user, frame->hd.stream_id);

    (void)session;
    (void)flags;
    if (!v) return 0;
    return h2_field(v, (text){(const char *)name, name_len}, (text){(const char *)value, len}) < 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

static void on_head(h2 *s, h2_stream *v, bool ends)
{
    static const nghttp2_nv go_on = {(uint8_t *)(uintptr_t)":status", (uint8_t *)(uintptr_t)"100", 7, 3, NGHTTP2_NV_FLAG_NONE};
    http_port *p = s->conn->port;

    if (v->has_head) return; /* trailers */
    if (h2_head_done(v) < 0) {
        nghttp2_submit_rst_stream(s->session, NGHTTP2_FLAG_NONE, v->id, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    v->deadline = loop_now(p->loop) + HTTP_BODY_TIME + (int64_t)((v->has_length ? v->length : p->max_body) / HTTP_BODY_RATE);
    if (ends) return;
    if (v->over || v->head_len == 0) h2_serve(v);
    else if (v->length > p->max_body) h2_refuse(v, 413, "The body is larger than this server takes.");
    else if (v->expects) nghttp2_submit_headers(s->session, NGHTTP2_FLAG_NONE, v->id, NULL, &go_on, 1, NULL);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    h2 *s = user;
    h2_stream *v = frame->hd.stream_id ? stream_of(s, frame->hd.stream_id) : NULL;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (v) on_head(s, v, ends);
        if (v && ends) h2_serve(v);
        return 0;
    case NGHTTP2_DATA:
        if (v && ends) h2_serve(v);
        return frame->hd.length == 0 && !ends ? on_control(s) : 0;
    case NGHTTP2_RST_STREAM: return on_reset(s);
    case NGHTTP2_WINDOW_UPDATE:
    case NGHTTP2_GOAWAY: return 0;
    default: return on_control(s);
    }
}

/* Half-read bodies of many requests at once: those that go beyond what one connection may hold are told to come again. */
static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user)
{
    h2 *s = user;
    h2_stream *v = stream_of(s, id);
    int rc;

    (void)flags;
    if (!v) return 0;
    if (s->bodies + len > s->conn->port->max_body + H2_BODIES) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
        nghttp2_session_set_stream_user_data(session, id, NULL);
        h2_stream_end(v);
        return 0;
    }
    rc = h2_body(v, data, len);
    if (rc < 0) nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    h2_stream *v = stream_of(user, id);

    (void)session;
    (void)code;
    if (v) h2_stream_end(v);
    return 0;
}

/* An answer that is over while its request is not: nothing more of that is wanted (RFC 9113 8.1).  As in DRAIN, it is read over for a
 * moment: some clients (curl 7.88) forget the answer when RST_STREAM comes right behind it. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    h2 *s = user;
    h2_stream *v = frame->hd.stream_id ? stream_of(s, frame->hd.stream_id) : NULL;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    (void)session;
    if (v && ends && !v->whole && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        v->deadline = loop_now(s->conn->port->loop) + HTTP_DRAIN_TIME;
    return 0;
}

/* ---- what goes */

void h2_wake(h2 *s)
{
    turn_end_want(s->conn->port->loop, &s->pump);
}

static void send_frames(h2 *s)
{
    const uint8_t *data;
    ssize_t n;

    while (stream_pending(s->conn->s) <= H2_PENDING && !s->conn->s->closing) {
        n = nghttp2_session_mem_send(s->session, &data);
        if (n < 0) stream_abort(s->conn->s, n == NGHTTP2_ERR_NOMEM ? BRIDGE_NOMEM : BRIDGE_PROTOCOL);
        if (n <= 0) return;
        if (stream_write(s->conn->s, data, (size_t)n) < 0) stream_abort(s->conn->s, BRIDGE_NOMEM);
    }
}

/* Answers that wait for room give more. */
static bool refill(h2 *s)
{
    bool any = false;

    list_each_safe(at, &s->streams)
    {
        h2_stream *v = list_of(at, h2_stream, link);
        if (!v->starved || !v->inner.waiting) continue;
        v->starved = false;
        any = true;
        stream_writable(&v->inner);
    }
    return any;
}

static void on_pump(turn_end *t)
{
    h2 *s = list_of(t, h2, pump);
    stream *out = s->conn->s;

    do send_frames(s);
    while (!out->closing && stream_pending(out) <= H2_PENDING && refill(s));
    if (out->closing) return;
    if (!nghttp2_session_want_read(s->session) && !nghttp2_session_want_write(s->session)) stream_close(out);
    else if (s->saying_bye && s->count == 0 && !nghttp2_session_want_write(s->session)) stream_close(out);
}

void h2_drained(http_conn *c)
{
    h2_wake(c->h2);
}

/* ---- time */

static void slow_ones(h2 *s, int64_t now)
{
    list_each_safe(at, &s->streams)
    {
        h2_stream *v = list_of(at, h2_stream, link);
        if (!v->done && !v->whole && v->finished && now >= v->deadline) {
            nghttp2_submit_rst_stream(s->session, NGHTTP2_FLAG_NONE, v->id, NGHTTP2_NO_ERROR);
        } else if (!v->done && !v->whole && !v->answered && now >= v->deadline) {
            s->conn->port->timeouts++;
            h2_refuse(v, 408, "The request took too long.");
        } else if (!v->done && v->answered && v->out.len > v->out_at && now - v->moved > H2_STUCK) {
            s->conn->port->timeouts++;
            nghttp2_submit_rst_stream(s->session, NGHTTP2_FLAG_NONE, v->id, NGHTTP2_CANCEL);
        }
    }
}

void h2_tick(http_conn *c)
{
    h2 *s = c->h2;
    int64_t now = loop_now(c->port->loop);

    if (s->saying_bye) { /* it had its time */
        stream_close(c->s);
        return;
    }
    slow_ones(s, now);
    if (s->count == 0 && now - s->idle_since >= c->port->idle_time) {
        s->saying_bye = true;
        nghttp2_session_terminate_session(s->session, NGHTTP2_NO_ERROR);
    }
    h2_wake(s);
    conn_deadline(c, s->saying_bye ? STREAM_LINGER : s->count ? H2_TICK : c->port->idle_time - (now - s->idle_since));
}

/* ---- life */

static void *on_alloc(size_t len, void *m)
{
    return mem_alloc(m, len);
}

static void on_free(void *p, void *m)
{
    mem_free(m, p);
}

static void *on_calloc(size_t count, size_t each, void *m)
{
    return mem_zalloc_array(m, count, each);
}

static void *on_realloc(void *p, size_t len, void *m)
{
    return mem_realloc(m, p, len);
}

static int session_new(h2 *s)
{
    nghttp2_session_callbacks *fns;
    nghttp2_option *option;
    int rc = nghttp2_session_callbacks_new(&fns);

    if (rc == 0) rc = nghttp2_option_new(&option);
    if (rc != 0) return BRIDGE_NOMEM;
    nghttp2_session_callbacks_set_on_begin_headers_callback(fns, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(fns, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(fns, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(fns, on_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(fns, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(fns, on_sent);
    nghttp2_option_set_no_closed_streams(option, 1); /* priorities of closed streams: memory for nothing */
    s->memory = (nghttp2_mem){s->conn->port->mem, on_alloc, on_free, on_calloc, on_realloc};
    rc = nghttp2_session_server_new3(&s->session, fns, s, option, &s->memory);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(fns);
    return rc == 0 ? 0 : BRIDGE_NOMEM;
}

bool h2_open(http_conn *c)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEAD_LIST},
    };
    h2 *s = mem_new(c->port->mem, h2);

    if (!s) return false;
    s->conn = c;
    s->idle_since = loop_now(c->port->loop);
    list_init(&s->streams);
    turn_end_init(&s->pump, on_pump);
    if (session_new(s) < 0) {
        mem_free(c->port->mem, s);
        return false;
    }
    c->h2 = s;
    conn_enter(c, CONN_H2);
    nghttp2_submit_settings(s->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings);
    nghttp2_session_set_local_window_size(s->session, NGHTTP2_FLAG_NONE, 0, H2_ALL_WINDOW);
    h2_wake(s);
    conn_deadline(c, c->port->idle_time);
    return true;
}

size_t h2_data(http_conn *c, const uint8_t *data, size_t len)
{
    h2 *s = c->h2;
    ssize_t n = nghttp2_session_mem_recv(s->session, data, len);

    if (n < 0) { /* nghttp2 has no words for it: not HTTP/2, or a flood that it knows */
        c->port->errors++;
        send_frames(s);
        stream_close(c->s);
    }
    h2_wake(s);
    return len;
}

void h2_bye(http_conn *c)
{
    h2 *s = c->h2;

    if (s->saying_bye) return;
    s->saying_bye = true;
    nghttp2_submit_goaway(s->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(s->session), NGHTTP2_NO_ERROR, NULL, 0);
    h2_wake(s);
    conn_deadline(c, STREAM_LINGER);
}

void h2_gone(http_conn *c)
{
    h2 *s = c->h2;

    c->h2 = NULL;
    turn_end_cancel(&s->pump);
    list_each_safe(at, &s->streams)
    {
        h2_stream *v = list_of(at, h2_stream, link);
        list_remove(&v->link);
        v->h2 = NULL;
        h2_stream_end(v);
    }
    nghttp2_session_del(s->session);
    mem_free(c->port->mem, s);
}
