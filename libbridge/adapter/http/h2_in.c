/* A request of HTTP/2 put into HTTP/1.1's words, and handed over whole.
 *
 * nghttp2 has refused what could mean two things there (RFC 9113 8.2.1, 8.2.2, 8.3): line ends and NULs in fields, upper-case names,
 * connection fields, a Content-Length that is not that of the DATA, pseudo-fields twice or unknown.  The line of the request is
 * looked at once more here, because a blank in it would make another request of it (RFC 9113 10.3). */
#include "adapter/http/h2.h"
#include <stdio.h>

enum { LENGTH_DIGITS = 20 };

static int keep(mem *m, char **to, text value)
{
    mem_free(m, *to);
    *to = mem_text_len(m, value.p, value.len);
    return *to ? 0 : BRIDGE_NOMEM;
}

static int put_field(h2_stream *v, text name, text value)
{
    int rc = buf_put(&v->fields, name.p, name.len);

    if (rc == 0) rc = buf_text(&v->fields, ": ");
    if (rc == 0) rc = buf_put(&v->fields, value.p, value.len);
    return rc < 0 ? rc : buf_text(&v->fields, "\r\n");
}

int h2_field(h2_stream *v, text name, text value)
{
    enum { EACH = 32 }; /* RFC 9113 6.5.2 */

    if (v->has_head) return 0; /* trailers: read over, as those of chunks */
    v->listed += name.len + value.len + EACH;
    if (v->listed > H2_HEAD_LIST) {
        v->over = true;
        return 0;
    }
    if (text_is(name, ":method")) return keep(v->mem, &v->method, value);
    if (text_is(name, ":path") && value.len <= HEAD_TARGET + 1) return keep(v->mem, &v->path, value);
    if (text_is(name, ":path")) return keep(v->mem, &v->path, (text){value.p, HEAD_TARGET + 1}); /* 414 */
    if (text_is(name, ":authority")) return keep(v->mem, &v->authority, value);
    if (name.len && name.p[0] == ':') return 0;
    if (text_is(name, "expect")) {
        v->expects = text_is_nocase(value, "100-continue");
        if (v->expects) return 0;
    }
    if (text_is(name, "content-length")) {
        v->has_length = text_to_u64(value, INT64_MAX, &v->length);
        return 0;
    }
    if (text_is(name, "host") && v->authority) return 0; /* 8.3.1: the same */
    return put_field(v, name, value);
}

static bool is_word(const char *s)
{
    size_t n = 0;

    while ((uint8_t)s[n] > ' ' && s[n] != 0x7f) n++;
    return n > 0 && !s[n];
}

/* The head as HTTP/1.1; with room for the length of the body, when nobody has said it. */
int h2_head_done(h2_stream *v)
{
    int rc;

    v->has_head = true;
    if (!v->method || !v->path || !is_word(v->method) || !is_word(v->path)) return 0; /* h2_serve() says so */
    v->is_head = strcmp(v->method, "HEAD") == 0;
    rc = buf_print(&v->in, "%s %s HTTP/1.1\r\n", v->method, v->path);
    if (rc == 0 && v->authority) rc = buf_print(&v->in, "host: %s\r\n", v->authority);
    if (rc == 0) rc = buf_put(&v->in, v->fields.data, v->fields.len);
    if (rc == 0) rc = buf_text(&v->in, "connection: close\r\ncontent-length: ");
    v->length_at = v->in.len;
    if (rc == 0) rc = buf_print(&v->in, "%0*llu\r\n\r\n", LENGTH_DIGITS, (unsigned long long)v->length);
    v->head_len = v->in.len;
    buf_done(&v->fields);
    return rc;
}

int h2_body(h2_stream *v, const uint8_t *data, size_t len)
{
    h2 *s = v->h2;
    size_t most = s->conn->port->max_body, have = v->in.len - v->head_len;

    if (v->within || v->answered) { /* read over, see on_sent() */
        v->drained += len;
        if (v->drained > HTTP_DRAIN_BYTES && v->drained - len <= HTTP_DRAIN_BYTES)
            nghttp2_submit_rst_stream(s->session, NGHTTP2_FLAG_NONE, v->id, NGHTTP2_NO_ERROR);
        return 0;
    }
    if (have + len > most) {
        h2_refuse(v, 413, "The body is larger than this server takes.");
        return 1;
    }
    s->bodies += len;
    return buf_put(&v->in, data, len);
}

static void forget_in(h2_stream *v)
{
    if (v->h2 && v->in.len > v->head_len) v->h2->bodies -= v->in.len - v->head_len;
    buf_done(&v->in);
    v->head_len = 0;
}

void h2_refuse(h2_stream *v, int status, const char *why)
{
    if (!v->within) v->within = conn_within(v->h2->conn->port, &v->inner);
    forget_in(v);
    if (v->within) conn_refuse(v->within, status, why);
    else nghttp2_submit_rst_stream(v->h2->session, NGHTTP2_FLAG_NONE, v->id, NGHTTP2_REFUSED_STREAM);
}

void h2_serve(h2_stream *v)
{
    char digits[LENGTH_DIGITS + 1];
    buf whole;

    v->whole = true;
    if (v->within || v->answered) return;
    if (v->over) {
        h2_refuse(v, 431, "The head is larger than this server takes.");
    } else if (v->head_len == 0) {
        h2_refuse(v, 400, "The method, or the path, is not one.");
    } else {
        snprintf(digits, sizeof digits, "%0*llu", LENGTH_DIGITS, (unsigned long long)(v->in.len - v->head_len));
        memcpy(v->in.data + v->length_at, digits, LENGTH_DIGITS);
        v->within = conn_within(v->h2->conn->port, &v->inner);
        if (!v->within) {
            nghttp2_submit_rst_stream(v->h2->session, NGHTTP2_FLAG_NONE, v->id, NGHTTP2_REFUSED_STREAM);
            return;
        }
        v->h2->bodies -= v->in.len - v->head_len;
        whole = v->in;
        buf_init(&v->in, v->mem, 0);
        v->head_len = 0;
        stream_feed(&v->inner, whole.data, whole.len);
        buf_done(&whole);
    }
}
