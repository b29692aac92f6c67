/* A reader of our own, not yajl's: it needs no memory but for escapes, survives its absence, and tells the place of an
 * error.  docs/why/codec.md has the numbers. */
#include "codec/json.h"
#include "codec/number.h"

typedef struct reader {
    scratch *scratch;
    const char *start, *p, *end;
    item_fn fn;
    void *user;
    bridge_error *err;
} reader;

static int bad(reader *r, const char *what)
{
    return fail(r->err, BRIDGE_SYNTAX, "JSON: %s at byte %zu", what, (size_t)(r->p - r->start));
}

static INNERMOST void skip_blanks(reader *r)
{
    while (r->p < r->end && (unsigned char)*r->p <= ' ' &&
           (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

static int say(reader *r, const item *it)
{
    return r->fn ? r->fn(r->user, it) : 0;
}

/* ---- strings */

static int hex4(const char *p, const char *end)
{
    int v = 0;

    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (d < 0) return -1;
        v = v << 4 | d;
    }
    return v;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    }
    return to;
}

/* p is behind "\u"; answers how many bytes it took, 0 for a bad or lone half of a pair: those have no UTF-8. */
static size_t unicode_escape(const char *p, const char *end, uint32_t *out)
{
    int high = hex4(p, end), low;

    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff)) return 0;
    *out = (uint32_t)high;
    if (high < 0xd800 || high > 0xdfff) return 4;
    if (end - p < 10 || p[4] != '\\' || p[5] != 'u') return 0;
    low = hex4(p + 6, end);
    if (low < 0xdc00 || low > 0xdfff) return 0;
    *out = 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 10;
}

/* Never longer than what is escaped, so `to` may have its length; to NULL: only check. */
static int unescape(reader *r, const char *p, size_t len, char *to, size_t *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char *start = to, spare[4];

    for (const char *end = p + len; p < end;) {
        const char *name;
        uint32_t c;
        size_t n;
        if (*p != '\\') {
            if (to) *to++ = *p;
            p++;
        } else if (p[1] == 'u') {
            n = unicode_escape(p + 2, end, &c);
            if (n == 0) return bad(r, "bad \\u escape in the string");
            p += 2 + n;
            if (to)
                to = put_utf8(to, c);
            else
                put_utf8(spare, c);
        } else {
            name = memchr(names, p[1], sizeof names - 1);
            if (!name) return bad(r, "unknown escape in the string");
            if (to) *to++ = values[name - names];
            p += 2;
        }
    }
    *out = (size_t)(to - start);
    return 0;
}

/* Ends a run of plain ASCII: quote, backslash, control characters, and what has its eighth bit set. */
/* clang-format off */
static const uint8_t stops[256] = {
    [0] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    ['"'] = 1, ['\\'] = 1,
    [128] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
};
/* clang-format on */

/* From behind the opening quote to the closing one. */
static INNERMOST int string_span(reader *r, bool *escapes, bool *eighth_bit)
{
    for (;;) {
        while (r->p < r->end && !stops[(uint8_t)*r->p])
            r->p++;
        if (r->p >= r->end) return bad(r, "string without end");
        if (*r->p == '"') return 0;
        if ((uint8_t)*r->p < 0x20) return bad(r, "control character in a string");
        if (*r->p == '\\') {
            *escapes = true;
            if (++r->p >= r->end || (uint8_t)*r->p < 0x20) return bad(r, "string without end");
        }
        *eighth_bit |= (uint8_t)*r->p >= 0x80;
        r->p++;
    }
}

static INNERMOST int string_item(reader *r, item *it)
{
    const char *start = ++r->p;
    bool escapes = false, eighth_bit = false;
    char *copy = NULL;
    size_t len;
    int rc = string_span(r, &escapes, &eighth_bit);

    if (rc) return rc;
    len = (size_t)(r->p - start);
    if (eighth_bit && !text_is_utf8(start, len)) return bad(r, "string is not UTF-8");
    if (escapes) {
        if (r->fn && !(copy = scratch_aligned(r->scratch, len, 1))) return scratch_fail(r->scratch, r->err);
        rc = unescape(r, start, len, copy, &len);
        if (rc) return rc;
    }
    r->p++;
    it->kind = ITEM_STRING;
    it->p = escapes ? copy : start;
    it->len = len;
    return 0;
}

/* ---- values */

static int word_item(reader *r, item *it, const char *word, item_kind kind, bool value)
{
    size_t n = strlen(word);

    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0) return bad(r, "unknown word");
    r->p += n;
    it->kind = kind;
    it->b = value;
    return 0;
}

static int number_item(reader *r, item *it)
{
    size_t used;
    int rc = number_read(r->p, r->end, it, &used);

    if (rc == BRIDGE_TOOBIG)
        return fail(r->err, rc, "JSON: number with more than %d characters or an exponent beyond %d", CODEC_MAX_DIGITS,
                    NUMBER_MAX_EXPONENT);
    if (rc < 0) return bad(r, "value expected");
    r->p += used;
    return 0;
}

static int value(reader *r, int depth);

static int list(reader *r, int depth)
{
    r->p++;
    skip_blanks(r);
    if (r->p < r->end && *r->p == ']') return r->p++, 0;
    for (;;) {
        int rc = value(r, depth);
        if (rc) return rc;
        if (r->p < r->end && *r->p == ']') return r->p++, 0;
        if (r->p >= r->end || *r->p != ',') return bad(r, "',' or ']' expected");
        r->p++;
    }
}

static int member(reader *r, int depth)
{
    item key = {.key = true, .tag = ITEM_NO_TAG};
    int rc;

    skip_blanks(r);
    if (r->p >= r->end || *r->p != '"') return bad(r, "name in quotes expected");
    rc = string_item(r, &key);
    if (rc == 0) rc = say(r, &key);
    if (rc) return rc;
    skip_blanks(r);
    if (r->p >= r->end || *r->p != ':') return bad(r, "':' expected");
    r->p++;
    return value(r, depth);
}

static int map(reader *r, int depth)
{
    r->p++;
    skip_blanks(r);
    if (r->p < r->end && *r->p == '}') return r->p++, 0;
    for (;;) {
        int rc = member(r, depth);
        if (rc) return rc;
        if (r->p < r->end && *r->p == '}') return r->p++, 0;
        if (r->p >= r->end || *r->p != ',') return bad(r, "',' or '}' expected");
        r->p++;
    }
}

static int nested(reader *r, int depth, item_kind kind)
{
    int rc;

    if (depth >= CODEC_MAX_DEPTH) return fail(r->err, BRIDGE_TOOBIG, "JSON: nested deeper than %d", CODEC_MAX_DEPTH);
    rc = say(r, ITEM(.kind = kind, .count = ITEM_UNKNOWN));
    if (rc == 0) rc = kind == ITEM_MAP ? map(r, depth + 1) : list(r, depth + 1);
    return rc ? rc : say(r, ITEM(.kind = ITEM_END));
}

static int scalar(reader *r, item *it)
{
    switch (*r->p) {
    case '"': return string_item(r, it);
    case 't': return word_item(r, it, "true", ITEM_BOOL, true);
    case 'f': return word_item(r, it, "false", ITEM_BOOL, false);
    case 'n': return word_item(r, it, "null", ITEM_NULL, false);
    default: return number_item(r, it);
    }
}

/* Blanks before and behind it are gone afterwards. */
static int value(reader *r, int depth)
{
    item it = {.tag = ITEM_NO_TAG};
    int rc;

    skip_blanks(r);
    if (r->p >= r->end) return bad(r, "value expected");
    if (*r->p == '{' || *r->p == '[') {
        rc = nested(r, depth, *r->p == '{' ? ITEM_MAP : ITEM_LIST);
    } else {
        rc = scalar(r, &it);
        if (rc == 0) rc = say(r, &it);
    }
    skip_blanks(r);
    return rc;
}

int json_read(scratch *s, const void *data, size_t len, item_fn fn, void *user, bridge_error *err)
{
    reader r = {s, data, data, (const char *)data + len, fn, user, err};
    int rc;

    if (len == 0) return fail(err, BRIDGE_SYNTAX, "JSON: empty");
    rc = value(&r, 0);
    if (rc == 0 && r.p != r.end) rc = bad(&r, "more than one value");
    return rc;
}
