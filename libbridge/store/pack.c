/* store/pack.c - a message as bytes: what bridge_fields has, and what of it is the bridge's own.
 *
 *      1 | flags | verb | qos, retain, text | hops | format u16 | time u64 | expires u64 | version u64 |
 *      path_len u16, path | origin_len u16, origin | len u32, payload | [media type | response | correlation | props]
 * Numbers are big-endian; a text that is not there has length 0xffff or, with four bytes, 0xffffffff. */
#include "core/path.h"
#include "store/store.h"

enum { PACK_VERSION = 1, HAS_EXTRA = 1, NONE16 = 0xffff };
#define NONE32 0xffffffffu

/* ---- out */

static uint8_t *put16(uint8_t *at, unsigned v)
{
    *at++ = (uint8_t)(v >> 8);
    *at++ = (uint8_t)v;
    return at;
}

static uint8_t *put32(uint8_t *at, uint32_t v)
{
    return put16(put16(at, v >> 16), v & 0xffff);
}

static uint8_t *put64(uint8_t *at, uint64_t v)
{
    return put32(put32(at, (uint32_t)(v >> 32)), (uint32_t)v);
}

static int put_text(buf *out, const void *p, size_t len)
{
    int rc = buf_put_be32(out, p ? (uint32_t)len : NONE32);

    return rc < 0 || !p ? rc : buf_put(out, p, len);
}

static int put_cstr(buf *out, const char *s)
{
    return put_text(out, s, s ? strlen(s) : 0);
}

static int put_extra(buf *out, const msg_extra *x)
{
    int rc = put_cstr(out, x->media_type);

    if (rc == 0) rc = put_cstr(out, x->response);
    if (rc == 0) rc = put_text(out, x->correlation, x->correlation_len);
    if (rc == 0) rc = buf_put_be32(out, x->prop_count);
    for (uint32_t i = 0; rc == 0 && i < x->prop_count; i++) {
        rc = put_cstr(out, x->props[i].name);
        if (rc == 0) rc = put_cstr(out, x->props[i].value);
    }
    return rc;
}

int store_pack(buf *out, const bridge_msg *msg)
{
    const msg_extra *x = msg_extra_of(msg);
    size_t origin_len = msg->origin ? strlen(msg->origin->text) : 0, was = out->len;
    uint8_t *at;
    int rc;

    if (origin_len >= NONE16) origin_len = NONE16 - 1;
    at = buf_reserve(out, 7 + 24 + 2 + msg->path_len + 2 + origin_len + 4 + (size_t)msg->len);
    if (!at) return BRIDGE_NOMEM;
    *at++ = PACK_VERSION;
    *at++ = x ? HAS_EXTRA : 0;
    *at++ = msg->verb;
    *at++ = (uint8_t)(msg->qos | msg->retain << 2 | msg->text_said << 3);
    *at++ = msg->hops;
    at = put16(at, msg->format);
    at = put64(at, (uint64_t)msg->time);
    at = put64(at, (uint64_t)msg->expires);
    at = put64(at, msg->version);
    at = put16(at, msg->path_len);
    memcpy(at, msg->path, msg->path_len);
    at = put16(at + msg->path_len, msg->origin ? (unsigned)origin_len : NONE16);
    if (origin_len) memcpy(at, msg->origin->text, origin_len);
    at = put32(at + origin_len, msg->len);
    if (msg->len) memcpy(at, msg_data(msg), msg->len);
    rc = x ? put_extra(out, x) : 0;
    if (rc < 0) out->len = was;
    return rc;
}

/* ---- in */

typedef struct reader {
    const uint8_t *at, *end;
    bool bad;
} reader;

static uint64_t take(reader *r, unsigned bytes)
{
    uint64_t v = 0;

    if ((size_t)(r->end - r->at) < bytes) {
        r->bad = true;
        return 0;
    }
    while (bytes--) v = v << 8 | *r->at++;
    return v;
}

static const uint8_t *take_bytes(reader *r, size_t len)
{
    const uint8_t *p = r->at;

    if (r->bad || (size_t)(r->end - r->at) < len) {
        r->bad = true;
        return NULL;
    }
    r->at += len;
    return p;
}

/* Texts get their NUL in scratch; told as offsets, because it moves. */
static const char *keep_text(reader *r, buf *scratch, const uint8_t *p, size_t len)
{
    size_t at = scratch->len + 1; /* never 0 */

    if (!p || memchr(p, 0, len)) {
        r->bad = true;
        return NULL;
    }
    if (buf_put(scratch, p, len) < 0 || buf_put_u8(scratch, 0) < 0) r->bad = true;
    return (const char *)at;
}

static const char *take_text(reader *r, buf *scratch)
{
    uint32_t len = (uint32_t)take(r, 4);

    if (r->bad || len == NONE32) return NULL;
    return keep_text(r, scratch, take_bytes(r, len), len);
}

static const char *real(const buf *scratch, const char *offset)
{
    return offset ? (const char *)scratch->data + (size_t)offset - 1 : NULL;
}

static bridge_prop *take_props(reader *r, buf *scratch, mem *m, size_t *count)
{
    uint32_t n = (uint32_t)take(r, 4);
    bridge_prop *props;

    if (r->bad || n == 0) return NULL;
    if (n > UINT16_MAX || (size_t)(r->end - r->at) / 8 < n) {
        r->bad = true;
        return NULL;
    }
    props = mem_zalloc_array(m, n, sizeof *props);
    if (!props) r->bad = true;
    for (uint32_t i = 0; props && i < n && !r->bad; i++) {
        props[i].name = take_text(r, scratch);
        props[i].value = take_text(r, scratch);
        if (!props[i].name || !props[i].value) r->bad = true;
    }
    *count = n;
    return props;
}

typedef struct head { /* what is not in bridge_fields */
    uint8_t verb, bits, hops, flags;
    int64_t expires;
} head;

static void take_head(reader *r, bridge_fields *f, head *h)
{
    if (take(r, 1) != PACK_VERSION) r->bad = true;
    h->flags = (uint8_t)take(r, 1);
    h->verb = (uint8_t)take(r, 1);
    h->bits = (uint8_t)take(r, 1);
    h->hops = (uint8_t)take(r, 1);
    f->format = (bridge_format)take(r, 2);
    f->time = (int64_t)take(r, 8);
    h->expires = (int64_t)take(r, 8);
    f->version = take(r, 8);
    f->qos = h->bits & 3;
    f->retain = h->bits >> 2 & 1;
    if (h->verb > BRIDGE_CONNECT || f->time <= 0 || (h->bits >> 3 & 3) > MSG_TEXT_YES || h->expires < f->time) r->bad = true;
}

static int make(mem *m, const bridge_fields *f, const head *h, const char *from, bridge_msg **out)
{
    origin *o = from ? origin_new(m, NULL, from) : NULL;
    int rc = from && !o ? BRIDGE_NOMEM : msg_new(m, f, o, out);

    origin_unref(o);
    if (rc < 0) return rc == BRIDGE_NOMEM ? rc : BRIDGE_SYNTAX;
    (*out)->expires = h->expires;
    (*out)->verb = h->verb;
    (*out)->hops = h->hops;
    (*out)->text_said = h->bits >> 3 & 3;
    return 0;
}

int store_unpack(mem *m, const void *data, size_t len, bridge_msg **out)
{
    reader r = {data, (const uint8_t *)data + len, false};
    bridge_fields f = {.size = sizeof f};
    bridge_prop *props = NULL;
    const char *from = NULL;
    buf scratch;
    head h;
    size_t n;
    int rc;

    buf_init(&scratch, m, 0);
    take_head(&r, &f, &h);
    n = (size_t)take(&r, 2);
    f.path = keep_text(&r, &scratch, take_bytes(&r, n), n);
    n = (size_t)take(&r, 2);
    if (n != NONE16) from = keep_text(&r, &scratch, take_bytes(&r, n), n);
    f.len = (size_t)take(&r, 4);
    f.data = take_bytes(&r, f.len);
    if (!r.bad && h.flags & HAS_EXTRA) {
        f.media_type = take_text(&r, &scratch);
        f.response = take_text(&r, &scratch);
        f.correlation_len = (size_t)take(&r, 4);
        if (f.correlation_len == NONE32) f.correlation_len = 0;
        else f.correlation = take_bytes(&r, f.correlation_len);
        props = take_props(&r, &scratch, m, &f.prop_count);
    }
    if (r.at != r.end) r.bad = true;
    f.path = real(&scratch, f.path);
    f.media_type = real(&scratch, f.media_type);
    f.response = real(&scratch, f.response);
    for (size_t i = 0; !r.bad && i < f.prop_count; i++) props[i] = (bridge_prop){real(&scratch, props[i].name), real(&scratch, props[i].value)};
    f.props = props;
    rc = r.bad ? BRIDGE_SYNTAX : make(m, &f, &h, real(&scratch, from), out);
    mem_free(m, props);
    buf_done(&scratch);
    return rc;
}
