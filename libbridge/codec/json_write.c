#include "codec/base64.h"
#include "codec/json.h"
#include "codec/number.h"
#include <math.h>

static bool plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

static int put_escape(buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef", named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    for (size_t i = 0; i + 1 < sizeof named; i += 2)
        if ((unsigned char)named[i] == c) return buf_put(out, (char[2]){'\\', named[i + 1]}, 2);
    return buf_put(out, escape, sizeof escape);
}

/* Mostly there is nothing to escape. */
int json_put_string(buf *out, const char *p, size_t len)
{
    size_t start = 0, i = 0;
    int rc = 0;
    uint8_t *to;

    while (i < len && plain((unsigned char)p[i]))
        i++;
    if (i == len) {
        to = buf_at_end(out, len + 2, &rc);
        if (!to) return rc;
        to[0] = '"';
        if (len) memcpy(to + 1, p, len);
        to[len + 1] = '"';
        out->len += len + 2;
        return 0;
    }
    rc = buf_byte(out, '"');
    for (; i < len && rc == 0; i++) {
        if (plain((unsigned char)p[i])) continue;
        rc = buf_put(out, p + start, i - start);
        if (rc == 0) rc = put_escape(out, (unsigned char)p[i]);
        start = i + 1;
    }
    if (rc == 0) rc = buf_put(out, p + start, len - start);
    return rc ? rc : buf_byte(out, '"');
}

static int put_number(json_writer *w, const item *it)
{
    char digits[NUMBER_ROOM];
    size_t n;

    if (it->p) return buf_put(w->out, it->p, it->len);
    if (it->kind == ITEM_REAL && !isfinite(it->d))
        return fail(w->err, BRIDGE_UNPROCESSABLE, "JSON has no NaN and no infinity");
    n = it->kind == ITEM_INT    ? number_int(it->i, digits)
        : it->kind == ITEM_UINT ? number_uint(it->u, digits)
                                : number_real(it->d, digits);
    return buf_put(w->out, digits, n);
}

/* RFC 8949 3.4.5.2: tags 21 to 23 say how bytes want to look; without one, base64url (6.1). */
static int put_bytes(buf *out, const item *it)
{
    static const char hex[] = "0123456789abcdef";
    int rc = buf_byte(out, '"');

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
    return rc ? rc : buf_byte(out, '"');
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
        rc = buf_byte(w->out, '"');
        if (rc == 0) rc = put_number(w, it);
        if (rc == 0) rc = buf_byte(w->out, '"');
    } else {
        return fail(w->err, BRIDGE_UNPROCESSABLE, "JSON has no names that are neither text nor whole numbers");
    }
    return rc ? rc : buf_byte(w->out, ':');
}

static int put_open(json_writer *w, bool is_map)
{
    if (w->depth >= CODEC_MAX_DEPTH) return fail(w->err, BRIDGE_TOOBIG, "nested deeper than %d", CODEC_MAX_DEPTH);
    w->maps = is_map ? w->maps | (uint64_t)1 << w->depth : w->maps & ~((uint64_t)1 << w->depth);
    w->depth++;
    w->comma = false;
    return buf_byte(w->out, is_map ? '{' : '[');
}

int json_put(void *writer, const item *it)
{
    json_writer *w = writer;
    int rc = 0;

    if (it->kind == ITEM_END) {
        w->comma = true;
        w->depth--;
        return buf_byte(w->out, w->maps >> w->depth & 1 ? '}' : ']');
    }
    if (w->comma) rc = buf_byte(w->out, ',');
    if (rc) return rc;
    w->comma = !it->key;
    if (it->key) return put_key(w, it);
    return it->kind == ITEM_LIST || it->kind == ITEM_MAP ? put_open(w, it->kind == ITEM_MAP) : put_scalar(w, it);
}
