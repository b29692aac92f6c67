/* WebSocket: the handshake, frames in and out, closing (RFC 6455). */
#include "adapter/http/socket.h"
#include "adapter/http/answer.h"

static websocket *socket_of(const http_conn *c)
{
    return c->socket;
}

/* ---- frames out */

void socket_send(websocket *s, ws_opcode opcode, const void *p, size_t len)
{
    uint8_t header[WS_HEADER], *at;
    size_t n = ws_header(header, opcode, len);

    if (!s->conn || s->closing) return;
    at = stream_reserve(s->conn->s, n + len);
    if (!at) {
        stream_abort(s->conn->s, BRIDGE_NOMEM);
        return;
    }
    memcpy(at, header, n);
    if (len) memcpy(at + n, p, len);
    s->quiet = false;
}

void socket_close(websocket *s, unsigned code)
{
    uint8_t body[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    if (!s->conn || s->closing) return;
    socket_send(s, WS_CLOSE, body, code ? 2 : 0);
    s->closing = true;
    stream_close(s->conn->s);
}

/* ---- a tunnel: the stream that the other adapter holds */

static size_t record_len(const uint8_t *p) { return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]; }

static ptrdiff_t records_write(websocket *s, const uint8_t *p, size_t len)
{
    size_t at = 0;

    while (len - at >= 4 && record_len(p + at) <= len - at - 4) {
        size_t n = record_len(p + at);

        socket_send(s, WS_BINARY, p + at + 4, n);
        at += 4 + n;
    }
    return (ptrdiff_t)at;
}

static ptrdiff_t tunnel_write(stream *inner, const struct iovec *iov, unsigned count)
{
    websocket *s = list_of(inner, websocket, inner);
    uint8_t header[WS_HEADER], *at;
    size_t total = 0, n;

    if (!s->conn || s->closing) return BRIDGE_CLOSED;
    if (stream_pending(s->conn->s) > SOCKET_HIGH) return 0; /* goes on in socket_drained() */
    if (s->records) return records_write(s, iov->iov_base, iov->iov_len);
    for (unsigned i = 0; i < count; i++) total += iov[i].iov_len;
    n = ws_header(header, WS_BINARY, total);
    at = stream_reserve(s->conn->s, n + total);
    if (!at) return BRIDGE_NOMEM;
    memcpy(at, header, n);
    at += n;
    for (unsigned i = 0; i < count; i++) {
        memcpy(at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    return (ptrdiff_t)total;
}

static void tunnel_want_write(stream *inner)
{
    (void)inner; /* the connection's on_drain comes by itself */
}

static void tunnel_read(stream *inner, bool on)
{
    websocket *s = list_of(inner, websocket, inner);

    if (!s->conn || s->closing) return;
    stream_read(s->conn->s, on);
    if (on) stream_again(s->conn->s);
}

static void on_goodbye(turn_end *end)
{
    websocket *s = list_of(end, websocket, goodbye);
    mem *m = s->inner.mem;

    stream_closed(&s->inner);
    if (s->conn) {
        s->conn->socket = NULL;
        s->conn->port->sockets--;
    }
    buf_done(&s->message);
    mem_free(m, s);
}

static void tunnel_close(stream *inner)
{
    websocket *s = list_of(inner, websocket, inner);

    socket_close(s, 1000);
    turn_end_want(inner->loop, &s->goodbye);
}

static const char *tunnel_identity(const stream *inner)
{
    const websocket *s = list_of(inner, const websocket, inner);

    return s->conn ? stream_identity(s->conn->s) : NULL;
}

static const stream_ops tunnel_ops = {
    .write = tunnel_write, .want_write = tunnel_want_write, .read = tunnel_read, .identity = tunnel_identity, .close = tunnel_close};

/* ---- frames in */

static void on_control(websocket *s, const ws_frame *f)
{
    uint8_t body[125];
    unsigned code;

    ws_unmask(f, body);
    if (f->opcode == WS_PING) {
        socket_send(s, WS_PONG, body, f->len);
    } else if (f->opcode == WS_CLOSE) {
        code = f->len >= 2 ? (unsigned)body[0] << 8 | body[1] : 0;
        if (f->len == 1 || (f->len >= 2 && (code < 1000 || code > 4999 || (code >= 1004 && code <= 1006) || (code > 1011 && code < 3000))) ||
            !text_is_utf8(body + (f->len >= 2 ? 2 : 0), f->len >= 2 ? f->len - 2 : 0))
            code = 1002;
        socket_close(s, code);
        if (s->is_tunnel) stream_ended(&s->inner, BRIDGE_CLOSED);
    }
}

/* The unmasked payload lies in the port's scratch: one frame is looked at at a time. */
static uint8_t *unmasked(websocket *s, const ws_frame *f)
{
    buf *b = &s->conn->port->frame;

    buf_clear(b);
    if (buf_room(b, f->len + 1) < 0) return NULL;
    ws_unmask(f, b->data);
    return b->data;
}

static void on_record(websocket *s, const uint8_t *p, size_t len, bool fin)
{
    buf *b = &s->message;
    size_t max = s->conn->port->max_body + SOCKET_FRAME, n;
    int rc = b->len ? 0 : buf_put_be32(b, 0);

    if (rc == 0) rc = b->len + len > max ? BRIDGE_TOOBIG : buf_put(b, p, len);
    if (rc < 0) {
        socket_close(s, 1009);
        stream_ended(&s->inner, rc);
        return;
    }
    if (!fin) return;
    n = b->len - 4;
    for (int i = 0; i < 4; i++) b->data[i] = (uint8_t)(n >> (24 - 8 * i));
    stream_feed(&s->inner, b->data, b->len);
    buf_done(b);
}

static void on_piece(websocket *s, const ws_frame *f)
{
    uint8_t *p = unmasked(s, f);
    size_t max = s->conn->port->max_body + SOCKET_FRAME;

    if (!p) {
        socket_close(s, 1011);
    } else if (s->records) {
        on_record(s, p, f->len, f->fin);
    } else if (s->is_tunnel) {
        if (f->len) stream_feed(&s->inner, p, f->len);
    } else if (f->fin && s->message.len == 0) {
        talk_message(s, (char *)p, f->len);
    } else if (s->message.len + f->len > max || buf_put(&s->message, p, f->len) < 0) {
        socket_close(s, 1009);
    } else if (f->fin) {
        talk_message(s, (char *)s->message.data, s->message.len);
        buf_done(&s->message);
    }
}

static void on_frame(websocket *s, const ws_frame *f)
{
    if (f->opcode >= WS_CLOSE) {
        on_control(s, f);
    } else if ((f->opcode == WS_MORE) != s->fragments) { /* 5.4: parts of one message follow each other */
        socket_close(s, 1002);
        if (s->is_tunnel) stream_ended(&s->inner, BRIDGE_PROTOCOL);
    } else if (f->opcode == (s->is_tunnel ? WS_TEXT : WS_BINARY)) { /* MQTT 6.0: binary; JSON is text */
        socket_close(s, 1003);
        if (s->is_tunnel) stream_ended(&s->inner, BRIDGE_PROTOCOL);
    } else {
        s->fragments = !f->fin;
        on_piece(s, f);
    }
}

size_t socket_data(http_conn *c, const uint8_t *data, size_t len)
{
    size_t used = 0;
    websocket *s;

    while (used < len && (s = socket_of(c)) && !s->closing && !(s->is_tunnel && !s->inner.reading)) {
        ws_frame f;
        int64_t n = ws_read(&f, data + used, len - used, c->port->max_body + SOCKET_FRAME, true);
        if (n == 0) return used;
        if (n < 0) {
            socket_close(s, (unsigned)-n);
            if (s->is_tunnel) stream_ended(&s->inner, BRIDGE_PROTOCOL);
            return len;
        }
        used += (size_t)n;
        on_frame(s, &f);
    }
    s = socket_of(c);
    return !s || s->closing ? len : used;
}

/* ---- life */

void socket_drained(http_conn *c)
{
    websocket *s = socket_of(c);

    if (s->is_tunnel) stream_writable(&s->inner);
    else talk_drained(s);
}

void socket_tick(http_conn *c)
{
    websocket *s = socket_of(c);

    if (!s) return;
    if (!s->is_tunnel) socket_send(s, WS_PING, NULL, 0);
    conn_deadline(c, SOCKET_BEAT);
}

void socket_gone(http_conn *c, int status)
{
    websocket *s = socket_of(c);

    c->socket = NULL;
    c->port->sockets--;
    s->conn = NULL;
    if (s->is_tunnel) { /* freed in on_goodbye(), when the other adapter has been told */
        stream_ended(&s->inner, status ? status : BRIDGE_CLOSED);
        return;
    }
    talk_end(s);
    buf_done(&s->message);
    mem_free(c->port->mem, s);
}

void socket_bye(http_conn *c)
{
    socket_close(socket_of(c), 1001);
}

void socket_deliver(http_conn *c, bridge_msg *msg, const bridge_delivery *how)
{
    talk_deliver(socket_of(c), msg, how);
}

/* ---- the handshake */

bool socket_wanted(const request *r)
{
    return r->head->upgrade && text_is(r->head->method, "GET") && head_has(r->head, HEAD_UPGRADE, "websocket");
}

static const struct subprotocol {
    const char *name, *scheme; /* scheme: of the adapter that takes it; NULL: our JSON */
    bool records;
} subprotocols[] = {{"mqtt", "mqtt", false}, {"mqttv3.1", "mqtt", false}, {"coap", "coap", true}, {"bridge.json", NULL, false}};

/* The first that the client names and we know.  NULL with *named: none of those. */
static const struct subprotocol *choose(const request *r, bool *named)
{
    head_list at = {0};
    text item;

    *named = false;
    while (head_next(r->head, HEAD_WS_PROTOCOL, &at, &item)) {
        *named = true;
        for (size_t i = 0; i < sizeof subprotocols / sizeof *subprotocols; i++)
            if (text_is(item, subprotocols[i].name)) return &subprotocols[i];
    }
    return NULL;
}

static void switch_protocols(request *r, const struct subprotocol *sub)
{
    char key[WS_ACCEPT + 1];
    buf *b = &r->conn->port->out;
    int rc;

    ws_accept(head_value(r->head, HEAD_WS_KEY), key);
    buf_clear(b);
    rc = buf_print(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s%s%s\r\n",
                   key, sub ? "Sec-WebSocket-Protocol: " : "", sub ? sub->name : "", sub ? "\r\n" : "");
    if (rc == 0) rc = stream_write(r->conn->s, b->data, b->len);
    if (rc < 0) stream_abort(r->conn->s, rc);
}

/* Makes the socket, and hands it over when it is for somebody else. */
static int start(request *r, const struct subprotocol *sub)
{
    http_conn *c = r->conn;
    bridge_ask who = {.size = sizeof who, .verb = BRIDGE_CONNECT, .who = stream_peer(c->s), .path = ""};
    websocket *s = mem_new(c->port->mem, websocket);
    int rc;

    if (!s) return BRIDGE_NOMEM;
    s->conn = c;
    s->is_tunnel = sub && sub->scheme;
    s->records = sub && sub->records;
    s->inner.mem = c->port->mem;
    buf_init(&s->message, c->port->mem, 0);
    list_init(&s->subscriptions);
    list_init(&s->questions);
    turn_end_init(&s->goodbye, on_goodbye);
    c->socket = s;
    if (!s->is_tunnel) return 0;
    stream_init(&s->inner, &tunnel_ops, c->port->loop);
    memcpy(s->inner.peer, c->s->peer, sizeof s->inner.peer);
    stream_set_max_in(&s->inner, c->port->max_body + 2 * SOCKET_FRAME);
    rc = bridge_port_hand_over(c->port->port, sub->scheme, &s->inner, &who);
    if (rc == 0) return 0;
    c->socket = NULL;
    mem_free(c->port->mem, s);
    return rc;
}

void socket_open(request *r)
{
    http_conn *c = r->conn;
    const struct subprotocol *sub;
    bool named;
    int rc;

    sub = choose(r, &named);
    if (!text_is(head_value(r->head, HEAD_WS_VERSION), "13")) {
        answer_problem(c, 426, "WebSocket version 13 is spoken here.", "Sec-WebSocket-Version: 13\r\n");
    } else if (!ws_key_is_fine(head_value(r->head, HEAD_WS_KEY))) {
        answer_problem(c, 400, "Sec-WebSocket-Key is not 16 bytes in base64.", NULL);
    } else if (!origin_may(r)) {
        answer_problem(c, 403, "Not from that origin.", NULL);
    } else if (named && !sub) {
        answer_problem(c, 400, "The subprotocols here are mqtt, mqttv3.1, coap and bridge.json.", NULL);
    } else {
        rc = sub && sub->scheme ? 0 : conn_peer(c, r);
        if (rc == 0) rc = start(r, sub);
        if (rc < 0) {
            answer_failure(c, rc, rc == BRIDGE_UNSUPPORTED ? "That subprotocol is not built in." : NULL);
            return;
        }
        conn_enter(c, CONN_SOCKET);
        c->port->sockets++;
        switch_protocols(r, sub);
        conn_deadline(c, SOCKET_BEAT);
    }
}
