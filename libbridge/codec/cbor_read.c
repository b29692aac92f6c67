#include "codec/cbor.h"
#include "codec/codecs.h"
#include "codec/number.h"
#include <math.h>

typedef struct reader {
    scratch *scratch;
    const uint8_t *start, *p, *end;
    item_fn fn;
    void *user;
    bridge_error *err;
} reader;

typedef struct head {
    int major, info;
    uint64_t value;
    bool indefinite; /* additional information 31 */
} head;

static int bad(reader *r, const char *what)
{
    return fail(r->err, BRIDGE_SYNTAX, "CBOR: %s at byte %zu", what, (size_t)(r->p - r->start));
}

/* RFC 8949 3: three bits of type, five of length, and up to eight bytes. */
static int read_head(reader *r, head *h)
{
    size_t more;

    if (r->p >= r->end) return bad(r, "cut short");
    h->major = *r->p >> 5;
    h->info = *r->p++ & 31;
    h->value = (uint64_t)h->info;
    h->indefinite = h->info == 31;
    if (h->indefinite && (h->major < CBOR_BYTES || h->major == CBOR_TAG)) return bad(r, "length without end");
    if (h->info < 24 || h->indefinite) return 0;
    if (h->info > 27) return bad(r, "reserved length");
    more = (size_t)1 << (h->info - 24);
    if ((size_t)(r->end - r->p) < more) return bad(r, "cut short");
    for (h->value = 0; more; more--)
        h->value = h->value << 8 | *r->p++;
    return 0;
}

/* ---- strings */

static int string_chunk(reader *r, const head *h, const char **p, size_t *len)
{
    if (h->value > (uint64_t)(r->end - r->p)) return bad(r, "string longer than the data");
    *p = (const char *)r->p;
    *len = (size_t)h->value;
    if (h->major == CBOR_TEXT && !utf8_with_nul(*p, *len)) return bad(r, "text is not UTF-8");
    r->p += *len;
    return 0;
}

/* RFC 8949 3.2.3: chunks of the same type with lengths, then a break.  Two passes: how long, then copy. */
static int string_chunks(reader *r, int major, item *it)
{
    const uint8_t *start = r->p;
    char *to = NULL;

    for (int pass = 0; pass < 2; pass++) {
        size_t total = 0;
        r->p = start;
        for (;;) {
            const char *p = NULL;
            size_t len = 0;
            head h;
            int rc = read_head(r, &h);
            if (rc == 0 && h.major == CBOR_SIMPLE && h.indefinite) break;
            if (rc == 0 && (h.major != major || h.indefinite)) rc = bad(r, "wrong chunk in a string");
            if (rc == 0) rc = string_chunk(r, &h, &p, &len);
            if (rc < 0) return rc;
            if (to && len) memcpy(to + total, p, len);
            total += len;
        }
        it->len = total;
        if (pass == 0 && !(to = scratch_aligned(r->scratch, total + 1, 1))) return scratch_fail(r->scratch, r->err);
    }
    it->p = to;
    return 0;
}

static int string_item(reader *r, const head *h, item *it)
{
    it->kind = h->major == CBOR_TEXT ? ITEM_STRING : ITEM_BYTES;
    return h->indefinite ? string_chunks(r, h->major, it) : string_chunk(r, h, &it->p, &it->len);
}

/* ---- numbers */

static double half(uint64_t bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double mantissa = (double)(bits & 1023), d;

    if (exponent == 0)
        d = ldexp(mantissa, -24);
    else if (exponent < 31)
        d = ldexp(mantissa + 1024, exponent - 25);
    else
        d = mantissa == 0 ? INFINITY : NAN;
    return bits & 0x8000 ? -d : d;
}

static double float_of(const head *h)
{
    uint32_t bits32 = (uint32_t)h->value;
    double d;
    float f;

    if (h->info == 25) return half(h->value);
    if (h->info == 26) return memcpy(&f, &bits32, sizeof f), (double)f;
    memcpy(&d, &h->value, sizeof d);
    return d;
}

/* Digits into a number item: "-" and as many as there are, whatever the size. */
static int digits_item(reader *r, item *it, const char *p, size_t len)
{
    char *copy = scratch_text(r->scratch, p, len);
    uint64_t tag = it->tag;
    int rc;

    if (!copy) return scratch_fail(r->scratch, r->err);
    rc = number_parse(copy, len, it);
    it->tag = tag;
    return rc ? fail(r->err, rc, "CBOR: number with more than %d digits", CODEC_MAX_DIGITS) : 0;
}

/* A big-endian magnitude as decimal digits; `negative` ones are -1 - n (RFC 8949 3.4.3). */
static int big_digits(reader *r, const uint8_t *p, size_t len, bool negative, char *out, size_t *count)
{
    uint8_t n[CODEC_MAX_DIGITS / 2 + 1] = {0};
    char back[CODEC_MAX_DIGITS];
    size_t used = 0;

    while (len && *p == 0)
        p++, len--;
    if (len > 52) return fail(r->err, BRIDGE_TOOBIG, "CBOR: number with more than %d digits", CODEC_MAX_DIGITS);
    memcpy(n + 1, p, len);
    for (size_t i = len; negative && ++n[i] == 0; i--) {
    }
    for (;;) {
        unsigned rest = 0, any = 0;
        for (size_t i = 0; i <= len; i++) {
            unsigned v = rest << 8 | n[i];
            n[i] = (uint8_t)(v / 10);
            any |= n[i];
            rest = v % 10;
        }
        back[used++] = (char)('0' + rest);
        if (!any) break;
    }
    *count = 0;
    if (negative) out[(*count)++] = '-';
    while (used)
        out[(*count)++] = back[--used];
    return 0;
}

static int bignum(reader *r, const item *bytes, bool negative, item *it)
{
    char digits[CODEC_MAX_DIGITS + 1];
    size_t n = 0;
    int rc;

    if (bytes->kind != ITEM_BYTES) return fail(r->err, BRIDGE_UNPROCESSABLE, "CBOR: a bignum is made of bytes");
    rc = big_digits(r, (const uint8_t *)bytes->p, bytes->len, negative, digits, &n);
    return rc ? rc : digits_item(r, it, digits, n);
}

/* -2^64 .. -1 */
static int negative_item(reader *r, uint64_t v, item *it)
{
    uint8_t bytes[8];
    item magnitude = {.kind = ITEM_BYTES, .p = (const char *)bytes, .len = 8};

    if (v <= INT64_MAX) {
        it->kind = ITEM_INT;
        it->i = -1 - (int64_t)v;
        return 0;
    }
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(v >> (56 - 8 * i));
    return bignum(r, &magnitude, true, it);
}

static int number_part(reader *r, item *it, int tags);

/* Mantissa digits with the point where the exponent says, when that stays short; else with an exponent. */
static size_t place_point(const char *m, size_t len, int64_t e, char *out)
{
    size_t n = 0, places = (size_t)-e;

    if (*m == '-') out[n++] = *m++, len--;
    if (e >= 0 || places > 24) {
        memcpy(out + n, m, len);
        n += len;
        out[n++] = 'e';
        return n + number_int(e, out + n);
    }
    for (size_t i = len; i <= places; i++) { /* 0.05 */
        out[n++] = '0';
        if (i == len) out[n++] = '.';
    }
    for (size_t i = 0; i < len; i++) {
        if (len > places && i == len - places) out[n++] = '.';
        out[n++] = m[i];
    }
    return n;
}

/* RFC 8949 3.4.4: [exponent, mantissa], base 10 (tag 4) or 2 (tag 5). */
static int fraction(reader *r, bool decimal_base, item *it)
{
    item e = {.tag = ITEM_NO_TAG}, m = {.tag = ITEM_NO_TAG};
    char whole[CODEC_MAX_DIGITS + 64], digits[NUMBER_ROOM];
    head h;
    int rc = read_head(r, &h);

    if (rc == 0 && (h.major != CBOR_LIST || h.value != 2 || h.indefinite))
        return fail(r->err, BRIDGE_UNPROCESSABLE, "CBOR: a fraction is a list of two numbers");
    if (rc == 0) rc = number_part(r, &e, 0);
    if (rc == 0) rc = number_part(r, &m, 1);
    if (rc < 0) return rc;
    if (e.kind != ITEM_INT || e.i > NUMBER_MAX_EXPONENT || e.i < -NUMBER_MAX_EXPONENT || m.kind < ITEM_INT ||
        m.kind > ITEM_REAL)
        return fail(r->err, BRIDGE_UNPROCESSABLE, "CBOR: a fraction out of any use");
    if (!decimal_base) {
        it->kind = ITEM_REAL;
        it->d = ldexp(item_real(&m), (int)e.i);
        if (isfinite(it->d) && fabs(item_real(&m)) <= 9007199254740992.0 && (it->d != 0 || item_real(&m) == 0))
            return 0;
        return fail(r->err, BRIDGE_UNPROCESSABLE, "CBOR: a bigfloat that no double holds");
    }
    if (!m.p) {
        m.len = m.kind == ITEM_UINT ? number_uint(m.u, digits) : number_int(m.i, digits);
        m.p = digits;
    }
    return digits_item(r, it, whole, place_point(m.p, m.len, e.i, whole));
}

/* A whole number inside of a fraction; tags: whether it may be a bignum. */
static int number_part(reader *r, item *it, int tags)
{
    item bytes = {.tag = ITEM_NO_TAG};
    head h = {0}, inner;
    int rc = read_head(r, &h);

    if (rc < 0) return rc;
    if (h.major == CBOR_NEGATIVE) return negative_item(r, h.value, it);
    if (h.major == CBOR_UINT) {
        it->kind = h.value <= INT64_MAX ? ITEM_INT : ITEM_UINT;
        it->u = h.value;
        return 0;
    }
    if (!tags || h.major != CBOR_TAG || (h.value != 2 && h.value != 3))
        return fail(r->err, BRIDGE_UNPROCESSABLE, "CBOR: a fraction is made of whole numbers");
    rc = read_head(r, &inner);
    if (rc == 0 && inner.major != CBOR_BYTES) return bignum(r, &bytes, false, it);
    if (rc == 0) rc = string_item(r, &inner, &bytes);
    return rc ? rc : bignum(r, &bytes, h.value == 3, it);
}

/* ---- structure */

static int value(reader *r, int depth, item *it);

static int simple(reader *r, const head *h, item *it)
{
    if (h->indefinite) return bad(r, "break outside of anything");
    if (h->info >= 25) {
        it->kind = ITEM_REAL;
        it->d = float_of(h);
    } else if (h->info == 24 && h->value < 32) {
        return bad(r, "simple value in two bytes"); /* 3.3: not well-formed below 32 */
    } else if (h->value == 20 || h->value == 21) {
        it->kind = ITEM_BOOL;
        it->b = h->value == 21;
    } else {
        it->kind = h->value == 22 ? ITEM_NULL : ITEM_SIMPLE;
        it->u = h->value;
    }
    return r->fn(r->user, it);
}

static bool at_break(reader *r)
{
    return r->p < r->end && *r->p == 0xff;
}

static int members(reader *r, const head *h, int depth)
{
    bool is_map = h->major == CBOR_MAP;

    for (uint64_t i = 0; h->indefinite ? !at_break(r) : i < h->value; i++) {
        item it = {.tag = ITEM_NO_TAG, .key = is_map};
        int rc = value(r, depth, &it);
        if (rc == 0 && is_map) rc = value(r, depth, &(item){.tag = ITEM_NO_TAG});
        if (rc) return rc;
    }
    if (h->indefinite) r->p++;
    return 0;
}

static int nested(reader *r, const head *h, int depth, item *it)
{
    int rc;

    if (depth >= CODEC_MAX_DEPTH) return fail(r->err, BRIDGE_TOOBIG, "CBOR: nested deeper than %d", CODEC_MAX_DEPTH);
    if (it->key && h->major == CBOR_MAP) return fail(r->err, BRIDGE_UNPROCESSABLE, "CBOR: a map as a key");
    if (!h->indefinite && h->value > (uint64_t)(r->end - r->p)) return bad(r, "more members than bytes");
    it->kind = h->major == CBOR_MAP ? ITEM_MAP : ITEM_LIST;
    it->count = h->indefinite ? ITEM_UNKNOWN : (size_t)h->value;
    rc = r->fn(r->user, it);
    if (rc == 0) rc = members(r, h, depth + 1);
    return rc ? rc : r->fn(r->user, ITEM(.kind = ITEM_END));
}

static int tagged(reader *r, uint64_t tag, int depth, item *it)
{
    item bytes = {.tag = ITEM_NO_TAG};
    head h;
    int rc;

    if (depth >= CODEC_MAX_DEPTH) return fail(r->err, BRIDGE_TOOBIG, "CBOR: nested deeper than %d", CODEC_MAX_DEPTH);
    if (tag == 4 || tag == 5) {
        rc = fraction(r, tag == 4, it);
    } else if (tag == 2 || tag == 3) {
        rc = read_head(r, &h);
        if (rc == 0 && h.major == CBOR_BYTES) rc = string_item(r, &h, &bytes);
        if (rc == 0) rc = bignum(r, &bytes, tag == 3, it);
    } else {
        it->tag = tag;
        return value(r, depth + 1, it);
    }
    return rc ? rc : r->fn(r->user, it);
}

static int value(reader *r, int depth, item *it)
{
    head h;
    int rc = read_head(r, &h);

    if (rc < 0) return rc;
    switch (h.major) {
    case CBOR_UINT:
        it->kind = h.value <= INT64_MAX ? ITEM_INT : ITEM_UINT;
        it->u = h.value;
        return r->fn(r->user, it);
    case CBOR_NEGATIVE: rc = negative_item(r, h.value, it); return rc ? rc : r->fn(r->user, it);
    case CBOR_BYTES:
    case CBOR_TEXT: rc = string_item(r, &h, it); return rc ? rc : r->fn(r->user, it);
    case CBOR_LIST:
    case CBOR_MAP: return nested(r, &h, depth, it);
    case CBOR_TAG: return tagged(r, h.value, depth, it);
    default: return simple(r, &h, it);
    }
}

int cbor_read(scratch *s, const void *data, size_t len, item_fn fn, void *user, bridge_error *err)
{
    reader r = {s, data, data, (const uint8_t *)data + len, fn, user, err};
    int rc = value(&r, 0, &(item){.tag = ITEM_NO_TAG});

    return rc == 0 && r.p != r.end ? bad(&r, "more than one item") : rc;
}
