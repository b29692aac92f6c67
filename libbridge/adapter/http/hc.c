/* HTTP to CoAP (RFC 8075): /hc/<uri>, for the targets that the listener's hc= allows.
 *
 *      GET /hc/coap://lamp.example/light?x=1          the default mapping (5.3): the URI as it is; the query is the target's
 *      GET /hc/coap/lamp.example/light?x=1            the enhanced one (5.4.2): {+s}/{+hp}{+p}{+qq}
 *      GET /hc?target_uri=coap%3A%2F%2Flamp...        or as a parameter, escaped
 *
 * Asking is done by whoever speaks CoAP here: bridge_port_forward(). */
#include "adapter/http/hc.h"
#include "adapter/http/answer.h"
#include "codec/registry.h"
#include "core/target.h"
#include <stdio.h>

enum { MAX_TAGS = 8 };

const port_link hc_links[] = {{"/hc/", ";rt=\"core.hc\";hct=\"{+tu}\""},
                             {"/hc/", ";rt=\"core.hc\";hct=\"{+s}/{+hp}{+p}{+qq}\""},
                             {"/hc", ";rt=\"core.hc\";hct=\"?target_uri={tu}\""},
                             {NULL, NULL}};

/* ---- What is asked */

static bool below(text path, text *rest)
{
    *rest = (text){NULL, 0};
    if (text_is(path, "/hc")) return true;
    if (path.len < 4 || memcmp(path.p, "/hc/", 4) != 0) return false;
    *rest = (text){path.p + 4, path.len - 4};
    return true;
}

bool hc_wanted(const request *r)
{
    text rest;

    return r->conn->port->targets && below(r->path, &rest);
}

/* "coap/host:port/path": the scheme's length; 0: it is not written so. */
static size_t scheme_in_front(text rest)
{
    static const char *const schemes[] = {"coap", "coaps", "coap+tcp", "coaps+tcp"};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i]);
        if (rest.len > n && memcmp(rest.p, schemes[i], n) == 0 && rest.p[n] == '/') return n;
    }
    return 0;
}

/* The target's URI, NUL-terminated, in out. */
static int read_uri(const request *r, buf *out)
{
    char said[TARGET_URI_MAX + 1];
    text rest;
    int rc;

    below(r->path, &rest);
    if (rest.len == 0) {
        if (!query_get(r->query, "target_uri", said, sizeof said)) return BRIDGE_INVALID;
        rc = buf_text(out, said);
    } else {
        size_t scheme = scheme_in_front(rest);
        bool escaped = !scheme && !memchr(rest.p, ':', rest.len); /* coap%3A%2F%2F...: the whole of it */
        rc = scheme ? buf_put(out, rest.p, scheme) : 0;
        if (rc == 0 && scheme) rc = buf_text(out, ":/");
        if (rc == 0) rc = escaped ? text_percent_decode(out, rest) : buf_put(out, rest.p + scheme, rest.len - scheme);
        if (rc == 0 && r->query.p) rc = buf_put(out, escaped && memchr(out->data, '?', out->len) ? "&" : "?", 1);
        if (rc == 0 && r->query.len) rc = buf_put(out, r->query.p, r->query.len);
    }
    return rc == 0 && !buf_cstr(out) ? BRIDGE_NOMEM : rc;
}

static const struct {
    const char *method;
    uint8_t code;
} methods[] = {{"GET", 1}, {"HEAD", 1}, {"POST", 2}, {"PUT", 3}, {"DELETE", 4}, {"PATCH", 7}};

static uint8_t code_of(text method) /* 0: there is none (RFC 7252 10.2) */
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (text_is(method, methods[i].method)) return methods[i].code;
    return 0;
}

/* ETags are written in hex, in quotes: strong ones, as CoAP's always are. */
static bool read_tag(text item, bridge_tag *out)
{
    out->len = 0;
    if (item.len < 4 || item.len > 18 || item.len % 2 || item.p[0] != '"' || item.p[item.len - 1] != '"') return false;
    for (size_t i = 1; i + 1 < item.len; i++) {
        char c = item.p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (v < 0) return false;
        if (i % 2) out->bytes[out->len] = (uint8_t)(v << 4);
        else out->bytes[out->len++] |= (uint8_t)v;
    }
    return true;
}

static unsigned read_tags(const http_head *h, head_known field, bridge_tag *out, bool *any)
{
    head_list at = {0};
    unsigned n = 0;
    text item;

    while (n < MAX_TAGS && head_next(h, field, &at, &item)) {
        if (text_is(item, "*")) *any = true;
        else if (read_tag(item, &out[n])) n++;
    }
    return n;
}

/* The one that the asker would like best among those that CoAP has a number for; -1: whatever there is. */
static int read_accept(const http_head *h)
{
    accept_list a;
    int best = -1;
    unsigned q = 0;

    if (!h->first[HEAD_ACCEPT]) return -1;
    accept_read(&a, h);
    for (unsigned i = 0; i < a.count; i++) {
        char type[128];
        int n = snprintf(type, sizeof type, "%.*s/%.*s", (int)a.ranges[i].type.len, a.ranges[i].type.p, (int)a.ranges[i].subtype.len, a.ranges[i].subtype.p);
        bridge_format f = n < (int)sizeof type ? format_of_media_type(text_of(type)) : BRIDGE_FORMAT_NAMED;

        if (text_is(a.ranges[i].type, "*") || text_is(a.ranges[i].subtype, "*")) {
            if (a.ranges[i].q >= q) best = -1, q = a.ranges[i].q;
        } else if (f != BRIDGE_FORMAT_NAMED && a.ranges[i].q > q) {
            best = f;
            q = a.ranges[i].q;
        }
    }
    return best;
}

/* ---- What comes back (RFC 8075 7, table 2) */

static int status_of(const bridge_forwarded *a, bool head_or_get)
{
    static const struct {
        uint8_t code;
        uint16_t status;
    } table[] = {{0x41, 201}, {0x43, 304}, {0x80, 400}, {0x81, 403}, {0x82, 500}, {0x83, 403}, {0x84, 404}, {0x85, 405}, {0x86, 406}, {0x89, 409},
                 {0x8c, 412}, {0x8d, 413}, {0x8f, 415}, {0x96, 422}, {0x9d, 429}, {0xa0, 500}, {0xa1, 501}, {0xa2, 502}, {0xa3, 503}, {0xa4, 504},
                 {0xa5, 502}, {0xa8, 502}};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == a->code) return table[i].status;
    if (a->code >> 5 == 2 && a->code != 0x5f) return a->len || head_or_get ? 200 : 204;
    return a->code >> 5 == 4 && a->code != 0x88 ? 400 : a->code >> 5 == 5 ? 500 : 502; /* 2.31, 4.08: never passed on */
}

static int status_of_failure(int status)
{
    switch (status) {
    case BRIDGE_TIMEOUT: return 504;
    case BRIDGE_UNREACHABLE: return 502;
    case BRIDGE_BUSY:
    case BRIDGE_NOMEM:
    case BRIDGE_CLOSED: return 503;
    case BRIDGE_SYNTAX:
    case BRIDGE_INVALID: return 400;
    case BRIDGE_UNSUPPORTED: return 501;
    default: return 502;
    }
}

/* "/hc/coap://host:port", or as it was asked "/hc/coap/host:port": in front of a Location. */
static int put_prefix(const request *r, buf *out)
{
    size_t n, slashes = 0, most = 3;
    text rest, uri;
    int rc = buf_text(out, "/hc/");

    below(r->path, &rest);
    if (scheme_in_front(rest)) most = 2;
    if (rc == 0) rc = most == 2 ? buf_put(out, rest.p, rest.len) : read_uri(r, out);
    uri = (text){(const char *)out->data + 4, out->len - 4};
    for (n = 0; rc == 0 && n < uri.len && slashes < most; n++) slashes += uri.p[n] == '/';
    if (rc == 0) out->len = 4 + n - (slashes == most);
    return rc;
}

static void put_location(answer *a, const request *r, const char *location)
{
    buf b;

    buf_init(&b, r->conn->port->mem, 0);
    if (put_prefix(r, &b) == 0 && buf_text(&b, location) == 0) answer_field(a, "Location", (text){(const char *)b.data, b.len});
    buf_done(&b);
}

static void put_head(answer *a, const request *r, const bridge_forwarded *f)
{
    char tag[20] = "\"";

    if (f->etag.len) {
        for (unsigned i = 0; i < f->etag.len; i++) sprintf(tag + 1 + 2 * i, "%02x", f->etag.bytes[i]);
        strcat(tag, "\"");
        answer_field(a, "ETag", text_of(tag));
    }
    if (f->code == 0x45 || f->code == 0x43) { /* RFC 8075 8.4: a 200 says how long it is fresh; 60 s when nobody said */
        answer_print(a, "Cache-Control: max-age=%lld\r\n", (long long)(f->max_age < 0 ? 60 : f->max_age));
        answer_text(a, "Vary: Accept\r\n");
    }
    if ((f->code == 0xa3 || f->code == 0x9d) && f->max_age >= 0) answer_print(a, "Retry-After: %lld\r\n", (long long)f->max_age);
    if (f->location) put_location(a, r, f->location);
}

static void put_type(answer *a, int format)
{
    const char *type = format < 0 ? NULL : format_media_type((bridge_format)format);

    if (type) answer_field(a, "Content-Type", text_of(type));
    else if (format >= 0) answer_print(a, "Content-Type: application/coap-payload;cf=%d\r\n", format); /* RFC 8075 6.2 */
    else answer_text(a, "Content-Type: application/octet-stream\r\n");
}

static void answer_it(request *r, const bridge_forwarded *f)
{
    http_conn *c = r->conn;
    bool get = code_of(r->head->method) == 1;
    int status = f->status < 0 ? status_of_failure(f->status) : status_of(f, get);
    char why[160];
    answer a;

    if (f->status < 0) {
        answer_problem(c, status, bridge_status_text(f->status), status == 503 ? "Retry-After: 5\r\n" : NULL);
        return;
    }
    if (status >= 400 && (f->format < 0 || f->format == BRIDGE_TEXT)) { /* a diagnostic payload (RFC 7252 5.5.2) */
        char lines[48] = "";
        bool plain = f->len && f->len < sizeof why - 32 && text_is_utf8(f->data, f->len);

        snprintf(why, sizeof why, "CoAP server returned %d.%02d%s%.*s", f->code >> 5, f->code & 31, plain ? ": " : "", plain ? (int)f->len : 0, (const char *)f->data);
        if ((f->code == 0xa3 || f->code == 0x9d) && f->max_age >= 0) snprintf(lines, sizeof lines, "Retry-After: %lld\r\n", (long long)f->max_age);
        answer_problem(c, status == 405 ? 400 : status, why, *lines ? lines : NULL); /* 4.05: what is allowed nobody said (RFC 8075 7) */
        return;
    }
    answer_begin(&a, c, status);
    put_head(&a, r, f);
    if (f->len) put_type(&a, f->format);
    answer_end(&a, f->data, f->len, NULL);
}

/* ---- A large one, in pieces: chunked (HTTP/1.1), or up to the end of its stream (HTTP/1.0, HTTP/2).  The next is asked for when the
 * client has taken most of the last: what is in memory stays below a few HC_SLICE, however large it is. */

struct hc_pieces {
    bool chunked, asking;
    size_t stuck; /* bytes that waited at the last look */
};

static void begin(request *r, const bridge_forwarded *f)
{
    http_conn *c = r->conn;
    answer a;

    c->pieces->chunked = !c->inside && !c->minor0;
    if (!c->pieces->chunked) c->keep_alive = false;
    answer_begin(&a, c, status_of(f, true));
    put_head(&a, r, f);
    put_type(&a, f->format);
    if (c->pieces->chunked) answer_text(&a, "Transfer-Encoding: chunked\r\n");
    answer_end_of_head(&a);
    conn_deadline(c, GATHER_STUCK);
}

static int write_piece(http_conn *c, const bridge_forwarded *f)
{
    char line[24];
    int n = snprintf(line, sizeof line, "%zx\r\n", f->len), rc = 0;

    if (f->len && c->pieces->chunked) rc = stream_write(c->s, line, (size_t)n);
    if (rc == 0 && f->len) rc = stream_write(c->s, f->data, f->len);
    if (rc == 0 && f->len && c->pieces->chunked) rc = stream_write(c->s, "\r\n", 2);
    if (rc == 0 && !f->part && c->pieces->chunked) rc = stream_write(c->s, "0\r\n\r\n", 5);
    return rc;
}

static void want_more(http_conn *c)
{
    c->pieces->asking = true;
    c->passage->go_on(c->passage); /* c->pieces may be gone */
}

void hc_drained(http_conn *c)
{
    if (!c->pieces->asking) want_more(c);
}

void hc_tick(http_conn *c)
{
    conn_watch(c, &c->pieces->stuck);
}

static void pieces_end(http_conn *c)
{
    mem_free(c->port->mem, c->pieces);
    c->pieces = NULL;
}

/* Half an answer is none. */
static void break_off(http_conn *c, int status)
{
    pieces_end(c);
    hc_gone(c);
    stream_abort(c->s, status);
}

static void on_piece(http_conn *c, const bridge_forwarded *f)
{
    bool first = !c->pieces;
    http_head h;
    request r;

    if (c->s->closing) {
        hc_gone(c);
        return;
    }
    if (first && !(c->pieces = mem_new(c->port->mem, struct hc_pieces))) {
        break_off(c, BRIDGE_NOMEM);
        return;
    }
    if (first) conn_recall(c, &h, &r);
    if (first) begin(&r, f);
    c->pieces->asking = false;
    if (c->head_only) { /* that was all */
        pieces_end(c);
        hc_gone(c);
        conn_done(c);
    } else if (f->status < 0 || f->code >> 5 != 2 || write_piece(c, f) < 0) { /* a refusal that comes too late to be told */
        break_off(c, f->status < 0 ? f->status : BRIDGE_PROTOCOL);
    } else if (!f->part) {
        pieces_end(c);
        conn_done(c);
    } else if (stream_pending(c->s) <= GATHER_HIGH) {
        want_more(c);
    }
}

static void on_answer(void *user, const bridge_forwarded *f)
{
    http_conn *c = user;
    http_head h;
    request r;

    if (!f->part) c->passage = NULL;
    if (f->part || c->pieces) {
        on_piece(c, f);
        return;
    }
    if (c->asking) { /* hc_serve() goes on */
        answer_it(c->asking, f);
        c->asking = NULL;
        return;
    }
    conn_recall(c, &h, &r);
    answer_it(&r, f);
    conn_done(c);
}

/* ---- The question */

static int forward(request *r, const char *uri, bool public_only)
{
    http_conn *c = r->conn;
    bridge_tag etags[MAX_TAGS], matches[MAX_TAGS + 1];
    text type = head_value(r->head, HEAD_CONTENT_TYPE);
    bool any = false, none = false;
    bridge_forward q = {.size = sizeof q, .code = code_of(r->head->method), .uri = uri, .public_only = public_only, .data = r->body, .len = r->body_len,
                        .format = -1, .accept = read_accept(r->head), .etags = etags, .if_match = matches, .hops = 16, .slice = HC_SLICE};

    if (q.code == 1 || q.code == 4) q.len = 0;
    /* What curl says when it was told nothing is nothing, as below the mount. */
    if (q.len && type.p && !text_is_nocase(type, "application/x-www-form-urlencoded")) q.format = format_of_media_type(type);
    if (q.format == BRIDGE_FORMAT_NAMED) return BRIDGE_FORMAT;
    if (q.code == 7 && q.format == BRIDGE_JSON_PATCH) q.code = 6; /* RFC 8132 2.3: not always the same twice */
    if (q.code == 1) q.etag_count = read_tags(r->head, HEAD_IF_NONE_MATCH, etags, &none);
    else read_tags(r->head, HEAD_IF_NONE_MATCH, etags, &q.if_absent);
    q.if_match_count = read_tags(r->head, HEAD_IF_MATCH, matches, &any);
    if (any) {
        q.if_match_count = 1;
        matches[0].len = 0;
    } else if (r->head->first[HEAD_IF_MATCH] && q.if_match_count == 0) {
        return BRIDGE_PRECONDITION; /* tags that no CoAP server gave */
    }
    return bridge_port_forward(c->port->port, &q, on_answer, c, &c->passage);
}

static void ask(request *r, const char *uri, bool public_only)
{
    http_conn *c = r->conn;
    int rc;

    c->asking = r;
    rc = forward(r, uri, public_only);
    if (rc == 0 && !c->asking) return; /* answered */
    c->asking = NULL;
    if (rc == 0 && conn_keep(c, r) == 0) {
        conn_enter(c, CONN_ASKED);
        return;
    }
    hc_gone(c);
    if (rc == BRIDGE_FORMAT || rc == BRIDGE_PRECONDITION) answer_failure(c, rc, NULL);
    else answer_problem(c, status_of_failure(rc < 0 ? rc : BRIDGE_NOMEM), bridge_status_text(rc), NULL);
}

void hc_serve(request *r)
{
    http_conn *c = r->conn;
    bool public_only;
    target t;
    buf uri;
    int rc = conn_peer(c, r);

    if (rc < 0) {
        answer_failure(c, rc, NULL);
        return;
    }
    if (!code_of(r->head->method)) {
        answer_problem(c, 501, "CoAP has no such method.", NULL); /* RFC 8075 4 */
        return;
    }
    buf_init(&uri, c->port->mem, TARGET_URI_MAX + 2);
    rc = read_uri(r, &uri);
    if (rc == 0) rc = target_read(&t, (text){(const char *)uri.data, uri.len});
    if (rc < 0)
        answer_problem(c, 400, "No URI that could be asked: /hc/coap://host/path is wanted.", NULL);
    else if (strncmp(t.scheme, "coap", 4) != 0 || !allowed_may(c->port->targets, &t, &public_only))
        answer_problem(c, 403, "Not for that target.", NULL);
    else
        ask(r, (const char *)uri.data, public_only);
    buf_done(&uri);
}

void hc_gone(http_conn *c)
{
    bridge_passage *p = c->passage;

    c->passage = NULL;
    if (p) p->cancel(p);
    if (c->pieces) pieces_end(c);
}
