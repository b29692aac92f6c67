#include "codec/base64.h"
#include "codec/json.h"
#include "codec/number.h"
#include <math.h>

int json_put_string(buf *out, const char *p, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const char *start = p, *end = p + len;
    int rc = buf_room(out, len + 2);

    if (rc == 0) rc = buf_put_u8(out, '"');
    for (; p < end && rc == 0; p++) {
        unsigned char c = (unsigned char)*p;
        char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        const char *named;
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
        rc = buf_put(out, start, (size_t)(p - start));
        start = p + 1;
        named = c ? strchr("\"\"\\\\\bb\ff\nn\rr\tt", c) : NULL;
        if (named && (c < 0x20 || c == '"' || c == '\\')) escape[1] = named[1];
        if (rc == 0) rc = buf_put(out, escape, escape[1] == 'u' ? 6 : 2);
    }
    if (rc == 0) rc = buf_put(out, start, (size_t)(end - start));
    return rc ? rc : buf_put_u8(out, '"');
}

static int put_number(json_writer *w, const item *it)
{
    char digits[NUMBER_ROOM];
    size_t n;

    if (it->p) return buf_put(w->out, it->p, it->len);
    if (it->kind == ITEM_REAL && !isfinite(it->d))
        return fail(w->err, BRIDGE_UNPROCESSABLE, "JSON has no NaN and no infinity");
    n = it->kind == ITEM_INT ? number_int(it->i, digits)
        : it->kind == ITEM_UINT ? number_uint(it->u, digits) : number_real(it->d, digits);
    return buf_put(w->out, digits, n);
}

/* RFC 8949 3.4.5.2: tags 21 to 23 say how bytes want to look; without one, base64url (6.1). */
static int put_bytes(buf *out, const item *it)
{
    static const char hex[] = "0123456789abcdef";
    int rc = buf_put_u8(out, '"');

    if (rc == 0 && it->tag == 22) {
        rc = base64_put(out, it->p, it->len);
    } else if (rc == 0 && it->tag == 23) {
        for (size_t i = 0; i < it->len && rc == 0; i++) {
            uint8_t c = (uint8_t)it->p[i];
            rc = buf_put(out, (char[2]){hex[c >> 4], hex[c & 15]}, 2);
        }
    } else if (rc == 0) {
        rc = base64url_put(out, it->p, it->len);
    }
    return rc ? rc : buf_put_u8(out, '"');
}

static int put_scalar(json_writer *w, const item *it)
{
    switch (it->kind) {
    case ITEM_BOOL: return buf_text(w->out, it->b ? "true" : "false");
    case ITEM_INT:
    case ITEM_UINT:
    case ITEM_REAL: return put_number(w, it);
    case ITEM_STRING: return json_put_string(w->out, it->p, it->len);
    case ITEM_BYTES: return put_bytes(w->out, it);
    default: return buf_text(w->out, "null"); /* RFC 8949 6.1 says so of undefined and the other simple values, too */
    }
}

/* Names in JSON are strings; CBOR's may be anything: numbers and bytes have an obvious spelling. */
static int put_key(json_writer *w, const item *it)
{
    int rc;

    if (it->kind == ITEM_STRING || it->kind == ITEM_BYTES) {
        rc = put_scalar(w, it);
    } else if (it->kind == ITEM_INT || it->kind == ITEM_UINT) {
        rc = buf_put_u8(w->out, '"');
        if (rc == 0) rc = put_number(w, it);
        if (rc == 0) rc = buf_put_u8(w->out, '"');
    } else {
        return fail(w->err, BRIDGE_UNPROCESSABLE, "JSON has no names that are neither text nor whole numbers");
    }
    return rc ? rc : buf_put_u8(w->out, ':');
}

static int put_open(json_writer *w, bool is_map)
{
    if (w->depth >= CODEC_MAX_DEPTH)
        return fail(w->err, BRIDGE_TOOBIG, "nested deeper than %d", CODEC_MAX_DEPTH);
    w->maps = is_map ? w->maps | (uint64_t)1 << w->depth : w->maps & ~((uint64_t)1 << w->depth);
    w->depth++;
    w->comma = false;
    return buf_put_u8(w->out, is_map ? '{' : '[');
}

int json_put(void *writer, const item *it)
{
    json_writer *w = writer;
    int rc = 0;

    if (it->kind == ITEM_END) {
        w->comma = true;
        w->depth--;
        return buf_put_u8(w->out, w->maps >> w->depth & 1 ? '}' : ']');
    }
    if (w->comma) rc = buf_put_u8(w->out, ',');
    if (rc) return rc;
    if (it->kind == ITEM_LIST || it->kind == ITEM_MAP) return put_open(w, it->kind == ITEM_MAP);
    w->comma = !it->key;
    return it->key ? put_key(w, it) : put_scalar(w, it);
}
