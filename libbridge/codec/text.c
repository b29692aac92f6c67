/* text/plain and application/octet-stream: one record, and nothing but its value. */
#include "codec/base64.h"
#include "codec/codecs.h"
#include "codec/number.h"
#include <math.h>

bool utf8_with_nul(const char *p, size_t len)
{
    const char *nul;

    while (len && (nul = memchr(p, 0, len))) {
        if (!text_is_utf8(p, (size_t)(nul - p))) return false;
        len -= (size_t)(nul - p) + 1;
        p = nul + 1;
    }
    return text_is_utf8(p, len);
}

static text without_blanks(text t)
{
    while (t.len && strchr(" \t\r\n", t.p[t.len - 1]) && t.p[t.len - 1])
        t.len--;
    return text_trim(t);
}

/* What text says is a number or a truth value when it is spelt like one in JSON, else a string.  Blanks around it, as
 * `echo 21.5 |` leaves them, do not make it a string. */
static int text_read(bridge_scratch *s, const char *base, double now, const void *data, size_t len, bridge_record_fn fn,
                     void *user, bridge_error *err)
{
    text whole = {data, len}, t = without_blanks(whole);
    item it = {.kind = ITEM_STRING, .tag = ITEM_NO_TAG, .p = data, .len = len};
    bridge_record r;
    int rc;

    (void)base, (void)now;
    if (!utf8_with_nul(data, len)) return fail(err, BRIDGE_SYNTAX, "the text is not UTF-8");
    if (text_is(t, "true") || text_is(t, "false"))
        it = (item){.kind = ITEM_BOOL, .tag = ITEM_NO_TAG, .b = text_is(t, "true")};
    else if (t.len && t.len <= CODEC_MAX_DIGITS && number_parse(t.p, t.len, &it) < 0)
        it = (item){.kind = ITEM_STRING, .tag = ITEM_NO_TAG, .p = data, .len = len};
    rc = record_of_item(s, &it, &r, err);
    return rc ? rc : fn(user, &r);
}

static int put_value(const bridge_record *r, buf *out, bridge_error *err)
{
    char digits[NUMBER_ROOM], link[LINK_ROOM];
    item it;

    item_of_record(r, &it, link);
    switch (it.kind) {
    case ITEM_NULL: return 0;
    case ITEM_BOOL: return buf_text(out, it.b ? "true" : "false");
    case ITEM_INT: return it.p ? buf_put(out, it.p, it.len) : buf_put(out, digits, number_int(it.i, digits));
    case ITEM_UINT: return it.p ? buf_put(out, it.p, it.len) : buf_put(out, digits, number_uint(it.u, digits));
    case ITEM_REAL:
        if (it.p) return buf_put(out, it.p, it.len);
        if (!isfinite(it.d)) return fail(err, BRIDGE_UNPROCESSABLE, "text has no NaN and no infinity");
        return buf_put(out, digits, number_real(it.d, digits));
    default: return buf_put(out, it.p, it.len);
    }
}

static int one_value(const bridge_record *records, size_t count, bridge_error *err)
{
    if (count != 1) return fail(err, BRIDGE_UNPROCESSABLE, "%zu values do not fit a format for one", count);
    if (records->type == BRIDGE_TREE)
        return fail(err, BRIDGE_UNPROCESSABLE, "an object or a list does not fit a format for one value");
    return 0;
}

/* LwM2M Core 1.1 C.1: opaque values are Base64 in text. */
static int text_write(bridge_scratch *s, const char *base, const bridge_record *records, size_t count, buf *out,
                      bridge_error *err)
{
    int rc = one_value(records, count, err);

    (void)s, (void)base;
    if (rc) return rc;
    if (records->type == BRIDGE_OPAQUE) return base64_put(out, records->as.bytes.p, records->as.bytes.len);
    return put_value(records, out, err);
}

static int bytes_read(bridge_scratch *s, const char *base, double now, const void *data, size_t len,
                      bridge_record_fn fn, void *user, bridge_error *err)
{
    bridge_record r = {.name = "", .type = BRIDGE_OPAQUE, .as.bytes = {data, len}};

    (void)s, (void)base, (void)now, (void)err;
    return fn(user, &r);
}

static int bytes_write(bridge_scratch *s, const char *base, const bridge_record *records, size_t count, buf *out,
                       bridge_error *err)
{
    int rc = one_value(records, count, err);

    (void)s, (void)base;
    return rc ? rc : put_value(records, out, err);
}

const bridge_codec text_codec = {sizeof(bridge_codec),       BRIDGE_TEXT, "text",
                                 "text/plain;charset=utf-8", text_read,   text_write};
const bridge_codec bytes_codec = {sizeof(bridge_codec),       BRIDGE_BYTES, "bytes",
                                  "application/octet-stream", bytes_read,   bytes_write};
