/* Scale, offset, unit: every number of a payload, in whatever format it is; and the one number that a payload is. */
#include "base/status.h"
#include "core/record.h"
#include "transform/steps.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bridge_format payload_format(const bridge_msg *msg)
{
    return msg->format == BRIDGE_FORMAT_AUTO ? codec_guess(msg_data(msg), msg->len) : (bridge_format)msg->format;
}

/* A bare number, as nearly all telemetry is: without the codecs' machinery. */
static bool bare_number(const bridge_msg *msg, double *out)
{
    text t = {(const char *)msg_data(msg), msg->len};
    item it;

    if (msg->format != BRIDGE_FORMAT_AUTO && msg->format != BRIDGE_TEXT && msg->format != BRIDGE_JSON) return false;
    while (t.len && (t.p[t.len - 1] == '\n' || t.p[t.len - 1] == ' ' || t.p[t.len - 1] == '\r'))
        t.len--;
    if (t.len == 0 || t.len > CODEC_MAX_DIGITS || number_parse(t.p, t.len, &it) < 0) return false;
    *out = item_real(&it);
    return isfinite(*out);
}

typedef struct only { /* the one number among records */
    double value;
    unsigned numbers;
} only;

static int on_record(void *user, const bridge_record *r)
{
    only *o = user;

    if (record_is_number(r) || r->type == BRIDGE_BOOL) {
        o->value = record_real(r);
        o->numbers++;
    }
    return 0;
}

int payload_number(bridge_msg *msg, double *out, bridge_error *err)
{
    only o = {0};
    int rc;

    if (bare_number(msg, out)) return 0;
    if (msg->len == 0) return fail(err, BRIDGE_UNPROCESSABLE, "there is no value");
    rc = codec_read(msg->mem, msg->path, (double)msg->time / 1000, payload_format(msg), msg_data(msg), msg->len, on_record, &o, err);
    if (rc < 0) return rc;
    if (o.numbers == 0) return fail(err, BRIDGE_UNPROCESSABLE, "the value is not a number");
    if (o.numbers > 1) return fail(err, BRIDGE_UNPROCESSABLE, "%u numbers where one is wanted: pick or split first", o.numbers);
    if (!isfinite(o.value)) return fail(err, BRIDGE_UNPROCESSABLE, "the number is not finite");
    *out = o.value;
    return 0;
}

/* 15 digits are what a double surely holds: 0.1 * 3 is 0.3 here.  The C library's decimal point is the locale's, a ',' perhaps. */
static size_t print15(double d, char out[NUMBER_ROOM])
{
    int n = snprintf(out, NUMBER_ROOM, "%.15g", d);
    char *comma = memchr(out, ',', (size_t)n);

    if (comma) *comma = '.';
    return (size_t)n;
}

static double rounded(double d)
{
    char digits[40];

    if (!isfinite(d) || (fabs(d) < 1e15 && d == floor(d))) return d;
    snprintf(digits, sizeof digits, "%.15g", d); /* there and back in the same locale, whichever it is */
    return strtod(digits, NULL);
}

/* Up to six places behind the point, as measurements have, without printf: when d times 10^n is a whole number below 10^15, its 15 digits
 * are that number's. */
static size_t print_short(double d, char *out)
{
    static const double tens[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    double whole;
    size_t n, places = 1;

    while (places <= 6 && d * tens[places] != floor(d * tens[places])) places++;
    if (places > 6) return 0;
    whole = fabs(d) * tens[places];
    n = d < 0 ? 1 : 0;
    out[0] = '-';
    n += number_int((int64_t)(fabs(d)), out + n);
    out[n++] = '.';
    for (int64_t rest = (int64_t)whole - (int64_t)fabs(d) * (int64_t)tens[places], unit = (int64_t)tens[places] / 10; unit; unit /= 10)
        out[n++] = (char)('0' + rest / unit % 10);
    return n;
}

size_t number_print(double d, char out[NUMBER_ROOM])
{
    size_t n;

    if (fabs(d) < 1e15 && d == floor(d)) return number_int((int64_t)d, out);
    n = fabs(d) < 1e8 ? print_short(d, out) : 0;
    return n ? n : print15(d, out);
}

static double through(const affine *a, double x)
{
    return ((x * a->mul + a->add) / a->per * a->to_per - a->to_add) / a->to_mul;
}

affine affine_back(const affine *a)
{
    return (affine){.mul = a->to_mul, .add = a->to_add, .per = a->to_per, .to_mul = a->mul, .to_add = a->add, .to_per = a->per,
                    .from = a->to, .to = a->from};
}

/* true: it was one that the step is about. */
static bool change(const affine *a, bridge_record *r, bool units)
{
    double d;

    if (!record_is_number(r) || (a->from && r->unit && strcmp(r->unit, a->from) != 0)) return false;
    d = rounded(through(a, record_real(r)));
    if (units && a->to) r->unit = a->to;
    r->digits = NULL;
    if (fabs(d) < 1e15 && d == floor(d)) {
        r->type = BRIDGE_INT;
        r->as.i = (int64_t)d;
    } else {
        r->type = BRIDGE_REAL;
        r->as.d = d;
    }
    return true;
}

static int change_all(const affine *a, bridge_msg *msg, bridge_format format, scratch *s, buf *out, bridge_error *err)
{
    collector c = {.scratch = s, .err = err};
    const bridge_codec *codec = codec_find(format);
    bool senml = format == BRIDGE_SENML_JSON || format == BRIDGE_SENML_CBOR, any = false;
    int rc;

    if (!codec || !codec->read || !codec->write) return codec_missing(BRIDGE_FORMAT, format, err);
    rc = codec->read(s, msg->path, (double)msg->time / 1000, msg_data(msg), msg->len, collect, &c, err);
    if (rc < 0) return codec_said(rc, err);
    for (size_t i = 0; i < c.count; i++)
        any |= change(a, &c.records[i], senml);
    if (!any) return fail(err, BRIDGE_UNPROCESSABLE, a->from ? "no number in %s is in it" : "no number is in it", a->from);
    return codec_said(codec->write(s, msg->path, c.records, c.count, out, err), err);
}

int step_affine(const affine *a, bridge_msg *msg, bridge_msg **out, bridge_error *err)
{
    char digits[NUMBER_ROOM];
    bridge_format format;
    double d;
    scratch s;
    buf b;
    int rc;

    if (bare_number(msg, &d)) {
        d = through(a, d);
        if (!isfinite(d)) return fail(err, BRIDGE_UNPROCESSABLE, "the number is too large");
        return msg_with(msg, (bridge_format)msg->format, digits, number_print(d, digits), out);
    }
    if (msg->len == 0) return fail(err, BRIDGE_UNPROCESSABLE, "there is no value");
    format = payload_format(msg);
    scratch_init(&s, msg->mem);
    buf_init(&b, msg->mem, SCRATCH_LIMIT);
    rc = change_all(a, msg, format, &s, &b, err);
    if (rc == 0) rc = msg_with(msg, (bridge_format)msg->format, b.data, b.len, out);
    buf_done(&b);
    scratch_done(&s);
    return rc;
}
