#include "adapter/uplink/ws_client.h"
#include "base/clock.h"
#include "codec/ws.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>

enum { HEAD_MAX = 16384, HIGH = 256 * 1024 };

typedef struct ws_end {
    stream inner;   /* what MQTT writes to and reads from */
    stream *outer;  /* NULL: gone */
    turn_end goodbye;
    const tls_call *above;
    tls_client *tls;
    size_t max;
    char accept[WS_ACCEPT + 1]; /* what they have to answer */
    bool open, fragments, told; /* told: the inner's on_close has been called */
} ws_end;

static void free_when_over(ws_end *s)
{
    if (s->told && !s->outer) mem_free(s->inner.mem, s);
}

static void broke(ws_end *s)
{
    stream_ended(&s->inner, BRIDGE_PROTOCOL);
}

/* ---- frames out */

static int send_frame(ws_end *s, ws_opcode opcode, const struct iovec *iov, unsigned count, size_t total)
{
    uint8_t header[WS_HEADER_MASKED], key[4], *at;
    size_t n, done = 0;

    random_bytes(key, sizeof key); /* RFC 6455 5.3: not to be foreseen */
    n = ws_header_masked(header, opcode, total, key);
    at = stream_reserve(s->outer, n + total);
    if (!at) return BRIDGE_NOMEM;
    memcpy(at, header, n);
    for (unsigned i = 0; i < count; i++) {
        memcpy(at + n + done, iov[i].iov_base, iov[i].iov_len);
        done += iov[i].iov_len;
    }
    ws_mask(at + n, total, key, 0);
    return 0;
}

static ptrdiff_t ws_client_write(stream *inner, const struct iovec *iov, unsigned count)
{
    ws_end *s = list_of(inner, ws_end, inner);
    size_t total = 0;
    int rc;

    if (!s->outer) return BRIDGE_CLOSED;
    if (!s->open || stream_pending(s->outer) > HIGH) return 0; /* goes on in on_head(), on_drain() */
    for (unsigned i = 0; i < count; i++) total += iov[i].iov_len;
    rc = send_frame(s, WS_BINARY, iov, count, total);
    return rc < 0 ? rc : (ptrdiff_t)total;
}

static void ws_client_want_write(stream *inner)
{
    (void)inner;
}

static void ws_client_read(stream *inner, bool on)
{
    ws_end *s = list_of(inner, ws_end, inner);

    if (!s->outer) return;
    stream_read(s->outer, on);
    if (on) stream_again(s->outer);
}

static void on_goodbye(turn_end *t)
{
    ws_end *s = list_of(t, ws_end, goodbye);

    stream_closed(&s->inner);
    s->told = true;
    free_when_over(s);
}

static void ws_client_close(stream *inner)
{
    ws_end *s = list_of(inner, ws_end, inner);
    uint8_t code[2] = {1000 >> 8, 1000 & 0xff};
    struct iovec body = {code, sizeof code};

    if (s->outer && s->open) send_frame(s, WS_CLOSE, &body, 1, sizeof code);
    if (s->outer) stream_close(s->outer);
    turn_end_want(inner->loop, &s->goodbye);
}

static const stream_ops ws_client_ops = {.write = ws_client_write, .want_write = ws_client_want_write, .read = ws_client_read, .close = ws_client_close};

/* ---- the handshake */

static bool next_line(text *rest, text *line)
{
    const char *end = memchr(rest->p, '\n', rest->len);

    if (!end) return false;
    *line = (text){rest->p, (size_t)(end - rest->p)};
    if (line->len && line->p[line->len - 1] == '\r') line->len--;
    *rest = (text){end + 1, rest->len - (size_t)(end + 1 - rest->p)};
    return true;
}

static bool is_named(text a, const char *name)
{
    return a.len == strlen(name) && strncasecmp(a.p, name, a.len) == 0;
}

/* RFC 6455 4.1: 101, the answer to our key, and no protocol that we have not asked for. */
static bool is_welcome(const ws_end *s, text head)
{
    text line, name, value;
    bool accepted = false;

    if (!next_line(&head, &line) || line.len < 12 || memcmp(line.p, "HTTP/1.1 101", 12) != 0) return false;
    while (next_line(&head, &line)) {
        if (!text_cut(line, ':', &name, &value)) continue;
        value = text_trim(value);
        if (is_named(name, "sec-websocket-accept")) accepted = text_is(value, s->accept);
        else if (is_named(name, "sec-websocket-protocol") && !is_named(value, "mqtt")) return false; /* MQTT 5, 6.0 */
        else if (is_named(name, "sec-websocket-extensions") && value.len) return false;
        else if (is_named(name, "upgrade") && !is_named(value, "websocket")) return false;
    }
    return accepted;
}

static size_t on_head(ws_end *s, const uint8_t *data, size_t len)
{
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    size_t n;

    if (!end && len <= HEAD_MAX) return 0;
    n = end ? (size_t)(end + 4 - (const char *)data) : 0;
    if (!end || !is_welcome(s, (text){(const char *)data, n})) {
        broke(s);
        return len;
    }
    s->open = true;
    stream_writable(&s->inner);
    return n;
}

/* ---- frames in */

static void on_frame(ws_end *s, const ws_frame *f)
{
    struct iovec body = {(void *)(uintptr_t)f->payload, f->len};

    switch (f->opcode) {
    case WS_PING: send_frame(s, WS_PONG, &body, 1, f->len); break;
    case WS_PONG: break;
    case WS_CLOSE: stream_ended(&s->inner, BRIDGE_CLOSED); break;
    case WS_TEXT: broke(s); break; /* MQTT 5, 6.0-1 */
    default:
        if ((f->opcode == WS_MORE) != s->fragments) { /* RFC 6455 5.4 */
            broke(s);
            break;
        }
        s->fragments = !f->fin;
        if (f->len) stream_feed(&s->inner, f->payload, f->len);
    }
}

static size_t on_data(void *user, const uint8_t *data, size_t len)
{
    ws_end *s = user;
    size_t used = s->open ? 0 : on_head(s, data, len);

    while (s->open && used < len && !s->inner.closing && s->inner.reading) {
        ws_frame f;
        int64_t n = ws_read(&f, data + used, len - used, s->max, false);
        if (n == 0) return used;
        if (n < 0) {
            broke(s);
            return len;
        }
        used += (size_t)n;
        on_frame(s, &f);
    }
    return s->inner.closing ? len : used;
}

static void on_drain(void *user)
{
    stream_writable(&((ws_end *)user)->inner);
}

static void on_close(void *user, int status)
{
    ws_end *s = user;

    s->outer = NULL;
    tls_client_unref(s->tls);
    if (!s->told) stream_ended(&s->inner, status ? status : BRIDGE_CLOSED);
    free_when_over(s);
}

static const stream_events events = {on_data, on_drain, on_close};

static void on_up(void *user)
{
    ws_end *s = user;

    s->above->up(s->inner.user);
}

static void on_broke(void *user, const char *why)
{
    ws_end *s = user;

    s->above->broke(s->inner.user, why);
}

const tls_call ws_client_call = {on_up, on_broke};

/* ---- the beginning */

static int greet(ws_end *s, const char *host, const char *path)
{
    uint8_t nonce[16];
    char key[25], head[2048];
    int n;

    random_bytes(nonce, sizeof nonce);
    EVP_EncodeBlock((unsigned char *)key, nonce, sizeof nonce);
    ws_accept((text){key, 24}, s->accept);
    n = snprintf(head, sizeof head,
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", path, host, key);
    return n < (int)sizeof head ? stream_write(s->outer, head, (size_t)n) : BRIDGE_TOOBIG;
}

int ws_client(stream **out, stream *outer, const char *host, const char *path, size_t max, const tls_call *above, tls_client *below)
{
    ws_end *s = mem_new(outer->mem, ws_end);
    int rc = s ? stream_init(&s->inner, &ws_client_ops, outer->loop) : BRIDGE_NOMEM;

    if (rc < 0) {
        stream_abort(outer, rc);
        return rc;
    }
    s->outer = outer;
    s->max = max;
    s->above = above;
    s->tls = below ? tls_client_ref(below) : NULL;
    turn_end_init(&s->goodbye, on_goodbye);
    memcpy(s->inner.peer, outer->peer, sizeof s->inner.peer);
    stream_set_high(outer, HIGH / 2);
    stream_set_max_in(outer, max + HEAD_MAX);
    stream_start(outer, &events, s);
    greet(s, host, path);
    *out = &s->inner;
    return 0;
}
