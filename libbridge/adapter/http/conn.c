/* A connection: bytes become requests, one after the other; time runs out; it ends. */
#include "adapter/http/answer.h"
#include "adapter/http/cors.h"
#include "adapter/http/gather.h"
#include "adapter/http/hc.h"
#include "adapter/http/h2.h"
#include "adapter/http/socket.h"
#include "codec/base64.h"
#include "hub/port.h"
#include <assert.h>
#include <openssl/evp.h>

void conn_enter(http_conn *c, conn_state to)
{
    static const uint8_t arrows[] = {
        [CONN_READY] = 1 << CONN_ASKED | 1 << CONN_EVENTS | 1 << CONN_SOCKET | 1 << CONN_DRAIN | 1 << CONN_H2,
        [CONN_ASKED] = 1 << CONN_READY | 1 << CONN_DRAIN,
        [CONN_EVENTS] = 1 << CONN_READY,  /* refused before the first byte */
        [CONN_SOCKET] = 1 << CONN_DRAIN,
        [CONN_DRAIN] = 0,
        [CONN_H2] = 0,
    };

    (void)arrows;
    assert(arrows[c->state] & 1 << to);
    c->state = (uint8_t)to;
}

/* ---- time.  The timer is moved only to come earlier: a busy connection leaves it alone. */

static void on_clock(timer *t)
{
    http_conn *c = list_of(t, http_conn, clock);
    int64_t now = loop_now(c->port->loop);

    if (now < c->deadline) {
        timer_start(t, c->port->loop, c->deadline - now, on_clock);
    } else if (c->watcher) {
        watch_tick(c);
    } else if (c->gather) {
        gather_tick(c);
    } else if (c->pieces) {
        hc_tick(c);
    } else if (c->state == CONN_SOCKET) {
        socket_tick(c);
    } else if (c->h2) {
        h2_tick(c);
    } else if (c->state == CONN_READY && (c->seen > 0 || c->continued)) { /* a slow head or body: RFC 9110 15.5.9 */
        c->port->timeouts++;
        c->keep_alive = false;
        answer_problem(c, 408, "The request took too long.", NULL);
        stream_close(c->s);
    } else if (c->state != CONN_ASKED) {
        stream_close(c->s);
    }
}

void conn_deadline(http_conn *c, int64_t in_ms)
{
    c->deadline = loop_now(c->port->loop) + in_ms;
    if (c->clock.loop && c->clock.due <= c->deadline) return;
    if (timer_start(&c->clock, c->port->loop, in_ms, on_clock) < 0) stream_abort(c->s, BRIDGE_NOMEM);
}

void conn_watch(http_conn *c, size_t *waited)
{
    size_t pending = stream_pending(c->s);

    if (pending > 0 && pending == *waited) {
        c->port->timeouts++;
        stream_abort(c->s, BRIDGE_TIMEOUT);
        return;
    }
    *waited = pending;
    conn_deadline(c, GATHER_STUCK);
}

/* ---- who is it? */

/* "Basic dXNlcjpzZWNyZXQ=" into user and secret, in room.  False: some other scheme, or garbage. */
static bool read_basic(text value, buf *room, bridge_ask *ask)
{
    text scheme, rest;
    uint8_t *colon;

    if (!text_cut(value, ' ', &scheme, &rest) || !text_is_nocase(scheme, "basic")) return false;
    rest = text_trim(rest);
    if (buf_room(room, rest.len + 3) < 0 || !base64_read(rest.p, rest.len, room->data, &room->len)) return false;
    room->data[room->len] = 0;
    colon = memchr(room->data, ':', room->len);
    if (!colon) return false;
    *colon = 0; /* RFC 7617 2: the user has no colon */
    ask->user = (char *)room->data;
    ask->secret = colon + 1;
    ask->secret_len = room->len - (size_t)(colon + 1 - room->data);
    return true;
}

static int login(http_conn *c, text authorization)
{
    bridge_ask ask = {.size = sizeof ask, .verb = BRIDGE_CONNECT, .who = stream_peer(c->s), .path = "",
                      .certified = stream_identity(c->s)};
    bridge_peer *peer;
    buf room;
    int rc = 0;

    buf_init(&room, c->port->mem, 0);
    if (authorization.p && !read_basic(authorization, &room, &ask)) rc = BRIDGE_UNAUTHENTICATED;
    if (rc == 0) rc = bridge_port_login(c->port->port, &ask);
    if (rc == 0) rc = bridge_peer_new(&peer, c->port->port, stream_peer(c->s), ask.user, 0, &c->taker);
    if (rc == 0) c->peer = peer;
    if (room.data) OPENSSL_cleanse(room.data, room.cap);
    buf_done(&room);
    return rc;
}

/* HTTP says who it is with every request; the peer is made anew only when that changes. */
int conn_peer(http_conn *c, const request *r)
{
    text authorization = head_value(r->head, HEAD_AUTHORIZATION);
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};
    int rc;

    if (authorization.p && !EVP_Digest(authorization.p, authorization.len, digest, NULL, EVP_sha256(), NULL)) return BRIDGE_NOMEM;
    if (c->peer && memcmp(digest, c->login, sizeof c->login) == 0) return 0;
    bridge_peer_free(c->peer);
    c->peer = NULL;
    rc = login(c, authorization);
    if (rc == 0) memcpy(c->login, digest, sizeof c->login);
    return rc;
}

/* ---- requests */

int conn_keep(http_conn *c, const request *r)
{
    mem_free(c->port->mem, c->kept);
    c->kept = mem_copy(c->port->mem, r->raw, r->raw_len);
    c->kept_len = c->kept ? r->raw_len : 0;
    return c->kept ? 0 : BRIDGE_NOMEM;
}

void conn_recall(http_conn *c, http_head *h, request *r)
{
    const char *why;
    size_t seen = 0;

    *r = (request){.conn = c, .head = h, .raw = c->kept, .raw_len = c->kept_len};
    head_read(h, c->kept, c->kept_len, &seen, &why);
    target_split(h->target, &r->path, &r->query);
}

void conn_refuse(http_conn *c, int status, const char *why)
{
    c->keep_alive = false;
    answer_problem(c, status, why, NULL);
    conn_enter(c, CONN_DRAIN);
    conn_deadline(c, HTTP_DRAIN_TIME);
    c->drained = 0;
}

static void ask_for_body(http_conn *c, const http_head *h, uint64_t size)
{
    if (c->continued) return;
    c->continued = true;
    conn_deadline(c, HTTP_BODY_TIME + (int64_t)(size / HTTP_BODY_RATE));
    if (h->wants_continue) stream_write(c->s, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* Is the whole body there?  1 yes, *end is behind it; 0 not yet; negative: minus the HTTP status. */
static int find_body(http_conn *c, const http_head *h, const char *data, size_t len, size_t start, size_t *end, const char **why)
{
    int rc = 1;

    if (h->chunked) {
        if (c->body.at == 0) c->body = (chunks){.at = start};
        rc = chunks_scan(&c->body, data, len, c->port->max_body, why);
        if (rc == 0 && len - start > c->port->max_body + c->port->max_body / 8 + 65536) {
            *why = "The chunks are too small for their number.";
            return -413;
        }
        *end = c->body.at;
    } else {
        if (h->length > c->port->max_body) {
            *why = "The body is larger than this server takes.";
            return -413;
        }
        *end = start + h->length;
        rc = *end <= len;
    }
    return rc;
}

/* Kept for the answer, which may come late.  Without memory it is a stranger's. */
static void take_origin(http_conn *c, text origin)
{
    c->cross = origin.p != NULL;
    c->allowed = c->cross && cors_allows(c->port->cors, origin);
    if (!c->allowed || c->port->cors->any || (c->origin && text_is(origin, c->origin))) return;
    mem_free(c->port->mem, c->origin);
    c->origin = mem_text_len(c->port->mem, origin.p, origin.len);
    c->allowed = c->origin != NULL;
}

static void serve(http_conn *c, const http_head *h, const char *data, size_t head_len, size_t end)
{
    request r = {.conn = c, .head = h, .raw = data, .raw_len = head_len, .body = (const uint8_t *)data + head_len};
    uint8_t *joined = NULL;

    c->head_only = text_is(h->method, "HEAD");
    c->keep_alive = h->keep_alive && !c->port->closing;
    c->minor0 = h->minor == 0;
    take_origin(c, head_value(h, HEAD_ORIGIN));
    c->stored = 0;
    c->waits = false;
    c->port->requests++;
    r.body_len = end - head_len;
    if (h->chunked) {
        r.body_len = c->body.total;
        joined = mem_alloc(c->port->mem, r.body_len);
        if (!joined && r.body_len > 0) {
            conn_refuse(c, 503, "Out of memory.");
            return;
        }
        if (joined) chunks_copy(data, head_len, end, joined);
        r.body = joined;
    }
    c->body = (chunks){0};
    c->seen = 0;
    c->continued = false;
    if (target_split(h->target, &r.path, &r.query) < 0) answer_problem(c, 400, "The target is not a path.", NULL);
    else dispatch(&r);
    mem_free(c->port->mem, joined);
    if (c->state == CONN_READY && !c->keep_alive) stream_close(c->s);
}

/* One request at the front of data: how much of it is used up; 0: more has to come. */
static size_t take_request(http_conn *c, const char *data, size_t len)
{
    const char *why = "";
    size_t end = 0;
    http_head h;
    int rc = head_read(&h, data, len, &c->seen, &why), body = 0;

    c->minor0 = rc > 0 && h.minor == 0;
    if (rc > 0) body = find_body(c, &h, data, len, (size_t)rc, &end, &why);
    if (rc < 0 || body < 0) {
        c->head_only = c->cross = c->allowed = false;
        conn_refuse(c, rc < 0 ? -rc : -body, why);
        return len;
    }
    if (rc == 0) {
        if (c->seen == len && c->seen > 0 && !c->continued && c->deadline > loop_now(c->port->loop) + HTTP_HEAD_TIME)
            conn_deadline(c, HTTP_HEAD_TIME);
        return 0;
    }
    if (body == 0) {
        ask_for_body(c, &h, h.chunked ? c->port->max_body : h.length);
        return 0;
    }
    serve(c, &h, data, (size_t)rc, end);
    if (c->state == CONN_READY) conn_deadline(c, c->port->idle_time);
    return end;
}

/* Does it begin as HTTP/2 does (RFC 9113 3.4)?  1 yes, 0 maybe, -1 no.  No request of HTTP/1.1 begins so. */
static int is_h2(const http_conn *c, const uint8_t *data, size_t len)
{
    size_t n = len < NGHTTP2_CLIENT_MAGIC_LEN ? len : NGHTTP2_CLIENT_MAGIC_LEN;

    if (!c->fresh || c->inside || c->port->sockets_only || memcmp(data, NGHTTP2_CLIENT_MAGIC, n) != 0) return -1;
    return n == NGHTTP2_CLIENT_MAGIC_LEN;
}

static size_t on_data(void *user, const uint8_t *data, size_t len)
{
    http_conn *c = user;
    size_t used = 0, n = 1;

    if (c->fresh) {
        int begins = is_h2(c, data, len);
        if (begins == 0) return 0;
        c->fresh = false;
        if (begins > 0 && !h2_open(c)) {
            stream_abort(c->s, BRIDGE_NOMEM);
            return len;
        }
    }
    if (c->h2) return h2_data(c, data, len);

    while (used < len && n > 0 && c->state == CONN_READY && !c->s->closing) {
        n = take_request(c, (const char *)data + used, len - used);
        used += n;
    }
    if (c->state == CONN_SOCKET && used < len) return used + socket_data(c, data + used, len - used);
    if (c->state == CONN_EVENTS) return len; /* nothing more is expected; what comes is not kept */
    if (c->state == CONN_DRAIN) {
        c->drained += len;
        if (c->drained > HTTP_DRAIN_BYTES) stream_close(c->s);
        return len;
    }
    if (c->state == CONN_ASKED) stream_read(c->s, len - used < HTTP_REF_BYTES); /* pipelined requests wait in the kernel */
    return used;
}

void conn_done(http_conn *c)
{
    c->ticket = NULL;
    mem_free(c->port->mem, c->kept);
    c->kept = NULL;
    conn_enter(c, CONN_READY);
    if (!c->keep_alive) {
        stream_close(c->s);
        return;
    }
    conn_deadline(c, c->port->idle_time);
    stream_read(c->s, true);
    stream_again(c->s);
}

/* ---- life */

static void on_drain(void *user)
{
    http_conn *c = user;

    if (c->watcher) watch_drained(c);
    if (c->gather) gather_drained(c);
    if (c->pieces) hc_drained(c);
    if (c->socket) socket_drained(c);
    if (c->h2) h2_drained(c);
    if (c->peer && (c->watcher || c->socket)) peer_more(c->peer);
}

static void on_close(void *user, int status)
{
    http_conn *c = user;
    http_port *p = c->port;

    timer_stop(&c->clock);
    if (c->watcher) watch_end(c);
    gather_end(c);
    if (c->socket) socket_gone(c, status);
    if (c->h2) h2_gone(c);
    hc_gone(c);
    bridge_peer_free(c->peer);
    mem_free(p->mem, c->kept);
    mem_free(p->mem, c->origin);
    list_remove(&c->link);
    if (c->inside) p->inside--;
    else p->count--;
    mem_free(p->mem, c);
    port_check_closed(p);
}

void conn_deliver(taker *t, bridge_msg *msg, const bridge_delivery *how)
{
    http_conn *c = list_of(t, http_conn, taker);

    if (c->socket) socket_deliver(c, msg, how);
    else watch_deliver(c, msg, how);
}

/* What is kept comes as fast as it is read: a filter may match more than may wait for one watcher. */
bool conn_hungry(taker *t)
{
    const http_conn *c = list_of(t, http_conn, taker);

    return c->s->closing || (c->watcher ? watch_hungry(c) : stream_pending(c->s) < SOCKET_HIGH / 2);
}

static const stream_events events = {.on_data = on_data, .on_drain = on_drain, .on_close = on_close};

static void begin(http_conn *c, http_port *p, stream *s)
{
    c->taker = (taker){.deliver = conn_deliver, .hungry = conn_hungry};
    c->port = p;
    c->s = s;
    list_push(&p->conns, &c->link);
    stream_set_max_in(s, HEAD_BYTES + p->max_body + p->max_body / 8 + 2 * 65536);
    stream_set_high(s, HTTP_EVENTS_HIGH / 2);
    stream_start(s, &events, c);
    conn_deadline(c, HTTP_HEAD_TIME);
}

void conn_accept(void *user, stream *s)
{
    static const char full[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    static const stream_events none = {0};
    http_port *p = user;
    http_conn *c = p->count < p->max_connections && !p->closing ? mem_new(p->mem, http_conn) : NULL;

    if (!c) {
        p->refused++;
        stream_start(s, &none, NULL);
        stream_write(s, full, sizeof full - 1);
        stream_close(s);
        return;
    }
    c->fresh = true;
    p->count++;
    p->accepted++;
    begin(c, p, s);
}

http_conn *conn_within(http_port *p, stream *s)
{
    http_conn *c = mem_new(p->mem, http_conn);

    if (!c) return NULL;
    c->inside = true;
    p->inside++;
    begin(c, p, s);
    return c;
}
