#include "codec/number.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What the grammar sees: [-] int [. fraction] [e exponent]. */
typedef struct parts {
    bool negative, too_big, whole; /* whole: neither fraction nor exponent */
    uint64_t mantissa;             /* of the first 19 digits */
    int64_t digits;                /* without leading zeros */
    int64_t exponent;              /* of the mantissa were it all digits */
} parts;

static INNERMOST bool take_digits(const char **p, const char *end, parts *n, bool fraction)
{
    const char *start = *p, *at = start, *first;
    uint64_t mantissa = n->mantissa;
    int64_t digits = n->digits;

    while (digits == 0 && at < end && *at == '0')
        at++;
    for (first = at; at < end && digit(*at); at++)
        if (digits + (at - first) < 19) mantissa = mantissa * 10 + (uint64_t)(*at - '0');
    n->mantissa = mantissa;
    n->digits = digits + (at - first);
    if (fraction) n->exponent -= at - start;
    *p = at;
    return at > start;
}

static bool take_exponent(const char **p, const char *end, parts *n)
{
    bool minus = false;
    int64_t e = 0;
    const char *start;

    if (*p < end && (**p == '-' || **p == '+')) minus = *(*p)++ == '-';
    for (start = *p; *p < end && digit(**p); ++*p)
        if (e <= NUMBER_MAX_EXPONENT) e = e * 10 + (**p - '0');
    n->too_big = e > NUMBER_MAX_EXPONENT;
    n->exponent += minus ? -e : e;
    n->whole = false;
    return *p > start;
}

static INNERMOST bool split(const char **at, const char *end, parts *n)
{
    const char *p = *at, *first;

    *n = (parts){.whole = true};
    if (p < end && *p == '-') n->negative = true, p++;
    first = p;
    if (!take_digits(&p, end, n, false) || (*first == '0' && p - first > 1)) return false;
    if (p < end && *p == '.') {
        p++;
        n->whole = false;
        if (!take_digits(&p, end, n, true)) return false;
    }
    if (p < end && (*p | 32) == 'e') {
        p++;
        if (!take_exponent(&p, end, n)) return false;
    }
    *at = p;
    return true;
}

/* All digits and then an exponent: no decimal point, so strtod() needs no locale. */
double number_value(const decimal *v)
{
    char all[CODEC_MAX_DIGITS + 24];
    double d;

    if (v->count == 0) return v->negative ? -0.0 : 0.0;
    snprintf(all, sizeof all, "%.*se%lld", v->count, v->digits, (long long)v->exponent);
    d = strtod(all, NULL);
    return v->negative ? -d : d;
}

/* Exact when both factors are exact doubles (Clinger's fast path); else the slow way. */
static double real_of(const char *p, size_t len, const parts *n)
{
    decimal v;

    if (n->digits <= 19 && n->mantissa <= (uint64_t)1 << 53 && n->exponent >= -22 && n->exponent <= 22) {
        double d = (double)n->mantissa;
        d = n->exponent < 0 ? d / tens[-n->exponent] : d * tens[n->exponent];
        return n->negative ? -d : d;
    }
    decimal_of(p, len, &v);
    return number_value(&v);
}

int number_parse(const char *p, size_t len, item *out)
{
    size_t used;
    int rc = number_read(p, p + len, out, &used);

    return rc ? rc : used == len ? 0 : BRIDGE_SYNTAX;
}

int number_read(const char *p, const char *end, item *out, size_t *used)
{
    const char *at = p;
    size_t len;
    parts n;

    if (!split(&at, end, &n)) return BRIDGE_SYNTAX;
    len = *used = (size_t)(at - p);
    if (len > CODEC_MAX_DIGITS || n.too_big) return BRIDGE_TOOBIG;
    out->p = p;
    out->len = len;
    if (n.whole && n.digits <= 19 && n.mantissa <= INT64_MAX && !(n.negative && n.mantissa == 0)) {
        out->kind = ITEM_INT;
        out->i = n.negative ? -(int64_t)n.mantissa : (int64_t)n.mantissa;
    } else if (n.whole && n.negative && n.digits == 19 && n.mantissa == (uint64_t)INT64_MAX + 1) {
        out->kind = ITEM_INT;
        out->i = INT64_MIN;
    } else if (n.whole && !n.negative && n.digits <= 20 && text_to_u64((text){p, len}, UINT64_MAX, &out->u)) {
        out->kind = ITEM_UINT;
        if (out->u <= INT64_MAX) out->kind = ITEM_INT;
    } else {
        out->kind = ITEM_REAL;
        out->d = real_of(p, len, &n);
    }
    return 0;
}

void decimal_of(const char *p, size_t len, decimal *out)
{
    bool fraction = false;
    parts n = {0};

    out->negative = len && *p == '-';
    out->count = 0;
    out->exponent = 0;
    for (const char *end = p + len; p < end; p++) {
        if (*p == '.') fraction = true;
        if ((*p | 32) == 'e') {
            p++;
            take_exponent(&p, end, &n);
            break;
        }
        if (!digit(*p)) continue;
        if (fraction) out->exponent--;
        if ((out->count || *p != '0') && out->count < CODEC_MAX_DIGITS) out->digits[out->count++] = *p;
    }
    out->exponent += n.exponent;
    for (; out->count && out->digits[out->count - 1] == '0'; out->count--)
        out->exponent++;
    if (out->count == 0) out->exponent = 0;
}

/* The digits that the C library prints for d, a positive one.  Whatever its decimal point is, it is what is no digit.
 */
static void printed(double d, int count, decimal *v)
{
    char all[48], *e;

    snprintf(all, sizeof all, "%.*e", count - 1, d);
    e = strchr(all, 'e');
    *v = (decimal){.exponent = atoi(e + 1) - (count - 1)};
    for (const char *p = all; p < e; p++)
        if (digit(*p)) v->digits[v->count++] = *p;
}

static void trim(decimal *v)
{
    for (; v->count && v->digits[v->count - 1] == '0'; v->count--)
        v->exponent++;
}

/* At most 17 digits.  Next to a power of two the nearest 16 may not read back where their upper neighbour does. */
static void shortest_decimal(double d, decimal *v)
{
    for (int count = 15; count <= 17; count++) {
        printed(d, count, v);
        if (count == 16 && number_value(v) != d && v->digits[15] < '9') v->digits[15]++;
        if (number_value(v) == d) break;
    }
    trim(v);
}

static bool same_digits(const decimal *a, const decimal *b)
{
    return a->count == b->count && a->exponent == b->exponent && memcmp(a->digits, b->digits, (size_t)a->count) == 0;
}

/* Some print the shortest digits that read back, some print 17: both mean this double and no other number. */
bool number_fits_double(const char *p, size_t len, double d)
{
    decimal a, b;

    if (!isfinite(d)) return false;
    if (len <= 15 && fabs(d) > 1e-290 && fabs(d) < 1e290) return true; /* DBL_DIG digits always survive */
    decimal_of(p, len, &a);
    if (a.count == 0) return true;
    if (a.count > 17 || d == 0) return false;
    if (a.count <= 15 && a.exponent > -290 && a.exponent < 290) return true;
    shortest_decimal(fabs(d), &b);
    if (same_digits(&a, &b)) return true;
    printed(fabs(d), 17, &b);
    trim(&b);
    return same_digits(&a, &b);
}

size_t number_uint(uint64_t v, char *out)
{
    char back[20];
    size_t n = 0;

    do
        back[n++] = (char)('0' + v % 10);
    while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = back[n - 1 - i];
    return n;
}

size_t number_int(int64_t v, char *out)
{
    if (v >= 0) return number_uint((uint64_t)v, out);
    out[0] = '-';
    return 1 + number_uint(-(uint64_t)v, out + 1);
}

/* m / 10^places, with m and 10^places exact in a double, reads back as that quotient. */
static size_t put_places(uint64_t m, int places, char *out)
{
    char all[NUMBER_ROOM];
    size_t n = number_uint(m, all), whole;

    while (n <= (size_t)places) { /* 0.05 */
        memmove(all + 1, all, n++);
        all[0] = '0';
    }
    whole = n - (size_t)places;
    memcpy(out, all, whole);
    out[whole] = '.';
    if (places == 0)
        out[whole + 1] = '0', places = 1;
    else
        memcpy(out + whole + 1, all + whole, (size_t)places);
    return whole + 1 + (size_t)places;
}

static size_t put_shortest(double d, char *out)
{
    decimal v;
    size_t n = 0;

    shortest_decimal(d, &v);
    out[n++] = v.digits[0];
    if (v.count > 1) out[n++] = '.';
    for (int i = 1; i < v.count; i++)
        out[n++] = v.digits[i];
    out[n++] = 'e';
    return n + number_int(v.exponent + v.count - 1, out + n);
}

size_t number_real(double d, char *out)
{
    size_t n = 0;

    if (signbit(d)) {
        out[n++] = '-';
        d = -d;
    }
    if (d == 0 || (d >= 1e-5 && d < 1e15)) {
        for (int places = 0; places <= 10; places++) {
            double m = d * tens[places];
            if (m >= 9007199254740992.0) break;
            if (m == floor(m) && m / tens[places] == d) return n + put_places((uint64_t)m, places, out + n);
        }
    }
    return n + put_shortest(d, out + n);
}
