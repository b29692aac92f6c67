#include "codec/cbor.h"
#include "codec/number.h"
#include <math.h>

static size_t head_size(uint64_t v)
{
    return v < 24 ? 1 : v <= 0xff ? 2 : v <= 0xffff ? 3 : v <= 0xffffffff ? 5 : 9;
}

/* size: head_size(v) */
static void store_head(uint8_t *to, int major, uint64_t v, size_t size)
{
    int info = size == 1 ? (int)v : size == 2 ? 24 : size == 3 ? 25 : size == 5 ? 26 : 27;

    *to = (uint8_t)(major << 5 | info);
    for (; size > 1; v >>= 8)
        to[--size] = (uint8_t)v;
}

int cbor_put_head(buf *out, int major, uint64_t value)
{
    size_t size = head_size(value);
    int rc = 0;
    uint8_t *to = buf_at_end(out, size, &rc);

    if (!to) return rc;
    if (size == 1)
        *to = (uint8_t)(major << 5 | (int)value);
    else
        store_head(to, major, value, size);
    out->len += size;
    return 0;
}

int cbor_put_int(buf *out, int64_t v)
{
    return v < 0 ? cbor_put_head(out, CBOR_NEGATIVE, (uint64_t)(-1 - v)) : cbor_put_head(out, CBOR_UINT, (uint64_t)v);
}

static int put_string(buf *out, int major, const void *p, size_t len)
{
    size_t size = head_size(len);
    int rc = 0;
    uint8_t *to = buf_at_end(out, size + len, &rc);

    if (!to) return rc;
    store_head(to, major, len, size);
    if (len) memcpy(to + size, p, len);
    out->len += size + len;
    return 0;
}

int cbor_put_text(buf *out, const char *p, size_t len)
{
    return put_string(out, CBOR_TEXT, p, len);
}

int cbor_put_bytes(buf *out, const void *p, size_t len)
{
    return put_string(out, CBOR_BYTES, p, len);
}

/* The half that has the same value as f, or -1. */
static int half_of(float f)
{
    uint32_t bits, mantissa;
    int sign, exponent;

    memcpy(&bits, &f, sizeof bits);
    sign = (int)(bits >> 16 & 0x8000);
    exponent = (int)(bits >> 23 & 255) - 127;
    mantissa = bits & 0x7fffff;
    if (exponent == 128) return sign | 0x7c00; /* infinity; NaN is written elsewhere */
    if ((bits & 0x7fffffff) == 0) return sign;
    if (exponent >= -14 && exponent <= 15)
        return mantissa & 0x1fff ? -1 : sign | (exponent + 15) << 10 | (int)(mantissa >> 13);
    if (exponent >= -24 && exponent < -14) {
        int shift = -exponent - 1; /* 0.mantissa x 2^-14 in units of 2^-24 */
        mantissa |= 0x800000;
        return mantissa & ((1u << shift) - 1) ? -1 : sign | (int)(mantissa >> shift);
    }
    return -1;
}

int cbor_put_real(buf *out, double d)
{
    uint8_t bytes[9];
    float f = (float)d;
    uint64_t bits64;
    uint32_t bits32;
    int bits16;

    if (isnan(d)) return buf_put(out, "\xf9\x7e\x00", 3);
    if ((double)f != d) {
        memcpy(&bits64, &d, sizeof bits64);
        bytes[0] = 0xfb;
        for (int i = 8; i > 0; i--, bits64 >>= 8)
            bytes[i] = (uint8_t)bits64;
        return buf_put(out, bytes, 9);
    }
    bits16 = half_of(f);
    memcpy(&bits32, &f, sizeof bits32);
    if (bits16 >= 0) bits32 = (uint32_t)bits16;
    for (int i = bits16 >= 0 ? 2 : 4; i > 0; i--, bits32 >>= 8)
        bytes[i] = (uint8_t)bits32;
    bytes[0] = bits16 >= 0 ? 0xf9 : 0xfa;
    return buf_put(out, bytes, bits16 >= 0 ? 3 : 5);
}

/* Decimal digits as a big-endian number, less one when negative (RFC 8949 3.4.3); plain integers where they do. */
static int put_big(buf *out, const char *digits, int count, bool negative)
{
    uint8_t n[CODEC_MAX_DIGITS / 2] = {0};
    size_t first;
    int rc;

    for (int i = 0; i < count; i++) {
        unsigned carry = (unsigned)(digits[i] - '0');
        for (size_t k = sizeof n; k-- > 0; carry >>= 8) {
            carry += n[k] * 10u;
            n[k] = (uint8_t)carry;
        }
    }
    for (size_t k = sizeof n; negative && k-- > 0 && n[k]-- == 0;) {
    }
    for (first = 0; first < sizeof n && n[first] == 0;)
        first++;
    if (sizeof n - first <= 8) {
        uint64_t v = 0;
        for (; first < sizeof n; first++)
            v = v << 8 | n[first];
        return cbor_put_head(out, negative ? CBOR_NEGATIVE : CBOR_UINT, v);
    }
    rc = cbor_put_head(out, CBOR_TAG, negative ? 3 : 2);
    return rc ? rc : cbor_put_bytes(out, n + first, sizeof n - first);
}

int cbor_put_number(buf *out, const char *digits, size_t len, double d)
{
    decimal v;
    int rc;

    if (!digits || number_fits_double(digits, len, d)) return cbor_put_real(out, d);
    decimal_of(digits, len, &v);
    if (v.exponent >= 0 && v.count + v.exponent <= CODEC_MAX_DIGITS && !memchr(digits, 'e', len) &&
        !memchr(digits, 'E', len)) {
        memset(v.digits + v.count, '0', (size_t)v.exponent);
        return put_big(out, v.digits, v.count + (int)v.exponent, v.negative);
    }
    if (v.exponent > NUMBER_MAX_EXPONENT || v.exponent < -NUMBER_MAX_EXPONENT) return BRIDGE_TOOBIG;
    rc = cbor_put_head(out, CBOR_TAG, 4);
    if (rc == 0) rc = cbor_put_head(out, CBOR_LIST, 2);
    if (rc == 0) rc = cbor_put_int(out, v.exponent);
    return rc ? rc : put_big(out, v.digits, v.count, v.negative);
}

/* ---- items */

int cbor_put_scalar(buf *out, const item *it)
{
    switch (it->kind) {
    case ITEM_BOOL: return buf_byte(out, it->b ? 0xf5 : 0xf4);
    case ITEM_INT: return cbor_put_int(out, it->i);
    case ITEM_UINT: return cbor_put_head(out, CBOR_UINT, it->u);
    case ITEM_REAL: return cbor_put_number(out, it->p, it->len, it->d);
    case ITEM_STRING: return cbor_put_text(out, it->p, it->len);
    case ITEM_BYTES: return cbor_put_bytes(out, it->p, it->len);
    case ITEM_SIMPLE: return cbor_put_head(out, CBOR_SIMPLE, it->u);
    default: return buf_byte(out, 0xf6);
    }
}

/* Where the count is not known before, one byte is kept free for the head, and more are made when it needs them. */
static int put_open(cbor_writer *w, const item *it)
{
    cbor_level *level = &w->levels[w->depth];
    int major = it->kind == ITEM_MAP ? CBOR_MAP : CBOR_LIST;

    if (w->depth >= CODEC_MAX_DEPTH) return fail(w->err, BRIDGE_TOOBIG, "nested deeper than %d", CODEC_MAX_DEPTH);
    *level = (cbor_level){.at = w->out->len, .known = it->count != ITEM_UNKNOWN};
    w->depth++;
    if (level->known) return cbor_put_head(w->out, major, it->count);
    return buf_byte(w->out, (uint8_t)(major << 5));
}

static int put_end(cbor_writer *w)
{
    cbor_level *level = &w->levels[--w->depth];
    size_t size = head_size(level->count), more = size - 1;
    int rc = 0, major;
    uint8_t *to;

    if (level->known) return 0;
    if (more && !buf_at_end(w->out, more, &rc)) return rc;
    to = w->out->data + level->at;
    major = *to >> 5;
    if (more) memmove(to + size, to + 1, w->out->len - level->at - 1);
    store_head(to, major, level->count, size);
    w->out->len += more;
    return 0;
}

int cbor_put(void *writer, const item *it)
{
    cbor_writer *w = writer;
    int rc = 0;

    if (it->kind == ITEM_END) return put_end(w);
    if (w->depth && !it->key) w->levels[w->depth - 1].count++;
    if (it->tag != ITEM_NO_TAG) rc = cbor_put_head(w->out, CBOR_TAG, it->tag);
    if (rc) return rc;
    return it->kind == ITEM_LIST || it->kind == ITEM_MAP ? put_open(w, it) : cbor_put_scalar(w->out, it);
}
