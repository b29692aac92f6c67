#include "codec/cbor.h"
#include "codec/json.h"
#include "codec/senml.h"
#include "codec/units.h"
#include "core/record.h"
#include <math.h>

typedef struct writer {
    item_fn put;
    void *writer;
    bool json;
    bridge_error *err;
    const char *bn, *bu; /* for all records, or NULL */
    size_t bn_len;
    bool slash;          /* between base and name */
    double bt;
    bool secondary;
} writer;

static int put_label(writer *w, senml_label label)
{
    if (w->json)
        return w->put(w->writer, ITEM(.kind = ITEM_STRING, .key = true, .p = senml_names[label], .len = strlen(senml_names[label])));
    if (label == SENML_VLO) return w->put(w->writer, ITEM(.kind = ITEM_STRING, .key = true, .p = "vlo", .len = 3));
    return w->put(w->writer, ITEM(.kind = ITEM_INT, .key = true, .i = (int)label - 6));
}

static int put_text(writer *w, senml_label label, const char *p, size_t len)
{
    int rc = put_label(w, label);

    return rc ? rc : w->put(w->writer, ITEM(.kind = ITEM_STRING, .p = p, .len = len));
}

/* Times and sums: whole seconds without a point. */
static int put_seconds(writer *w, senml_label label, double t)
{
    int rc = put_label(w, label);

    if (rc) return rc;
    if (!isfinite(t)) return fail(w->err, BRIDGE_UNPROCESSABLE, "SenML: time or sum out of range");
    if (t == floor(t) && fabs(t) < 9e15) return w->put(w->writer, ITEM(.kind = ITEM_INT, .i = (int64_t)t));
    return w->put(w->writer, ITEM(.kind = ITEM_REAL, .d = t));
}

static int put_value(writer *w, const bridge_record *r)
{
    char link[LINK_ROOM];
    item it;
    int rc;

    if (r->type == BRIDGE_NIL) return 0;
    if (r->type == BRIDGE_TREE) return fail(w->err, BRIDGE_UNPROCESSABLE, "SenML has no objects and lists as values");
    if (r->type == BRIDGE_REAL && !r->digits && !isfinite(r->as.d))
        return fail(w->err, BRIDGE_UNPROCESSABLE, "SenML has no NaN and no infinity");
    item_of_record(r, &it, link);
    rc = put_label(w, r->type == BRIDGE_BOOL ? SENML_VB : r->type == BRIDGE_STRING ? SENML_VS : r->type == BRIDGE_OPAQUE ? SENML_VD
                      : r->type == BRIDGE_OBJLNK ? SENML_VLO : SENML_V);
    return rc ? rc : w->put(w->writer, &it);
}

/* What of the name stands in n: all but the base name. */
static int put_name(writer *w, const char *base, const bridge_record *r)
{
    char full[CODEC_MAX_NAME + 1];
    size_t base_len = strlen(base), name_len = strlen(r->name), slash = base_len && name_len && w->slash;

    if (base_len + slash + name_len > CODEC_MAX_NAME)
        return fail(w->err, BRIDGE_TOOBIG, "SenML: name with more than %d bytes", CODEC_MAX_NAME);
    if (w->bn_len == base_len + slash && name_len) return put_text(w, SENML_N, r->name, name_len);
    memcpy(full, base, base_len);
    if (slash) full[base_len] = '/';
    memcpy(full + base_len + slash, r->name, name_len);
    base_len += slash + name_len;
    return base_len == w->bn_len ? 0 : put_text(w, SENML_N, full + w->bn_len, base_len - w->bn_len);
}

static int put_bases(writer *w)
{
    int rc = 0;

    if (w->secondary) {
        rc = put_label(w, SENML_BVER);
        if (rc == 0) rc = w->put(w->writer, ITEM(.kind = ITEM_INT, .i = SENML_SECONDARY_UNITS));
    }
    if (rc == 0 && w->bn_len) rc = put_text(w, SENML_BN, w->bn, w->bn_len);
    if (rc == 0 && w->bt != 0) rc = put_seconds(w, SENML_BT, w->bt);
    if (rc == 0 && w->bu) rc = put_text(w, SENML_BU, w->bu, strlen(w->bu));
    return rc;
}

static int put_record(writer *w, const char *base, const bridge_record *r, bool first)
{
    int rc = w->put(w->writer, ITEM(.kind = ITEM_MAP, .count = ITEM_UNKNOWN));

    if (rc == 0 && first) rc = put_bases(w);
    if (rc == 0) rc = put_name(w, base, r);
    if (rc == 0 && r->unit && !w->bu) rc = put_text(w, SENML_U, r->unit, strlen(r->unit));
    if (rc == 0) rc = put_value(w, r);
    if (rc == 0 && r->has_sum) rc = put_seconds(w, SENML_S, r->sum);
    if (rc == 0 && w->bt == 0 && r->time != 0) rc = put_seconds(w, SENML_T, r->time);
    if (rc == 0 && r->update != 0) rc = put_seconds(w, SENML_UT, r->update);
    return rc ? rc : w->put(w->writer, ITEM(.kind = ITEM_END));
}

static bool same_unit(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Of names without a base: what all start with, up to a '/' or ':'. */
static size_t common_start(const bridge_record *records, size_t count)
{
    const char *first = records[0].name;
    size_t same = strlen(first);

    for (size_t i = 1; i < count && same; i++) {
        size_t n = 0;
        while (n < same && records[i].name[n] == first[n]) n++;
        same = n;
    }
    while (same && first[same - 1] != '/' && first[same - 1] != ':') same--;
    return same;
}

/* What all records have in common goes into the first as base name, time and unit (RFC 8428 4.1). */
static int find_bases(writer *w, const char *base, const bridge_record *records, size_t count, scratch *s)
{
    size_t base_len = strlen(base);
    bool named = true, one_time = records[0].time != 0, one_unit = records[0].unit != NULL;
    const unit *u = NULL;

    for (size_t i = 0; i < count; i++) {
        const bridge_record *r = &records[i];
        if (!senml_name_ok(r->name, strlen(r->name), base_len == 0))
            return fail(w->err, BRIDGE_UNPROCESSABLE, "SenML: a name has characters that it cannot have");
        if (!r->name[0]) named = false;
        if (r->time != records[0].time) one_time = false;
        if (!same_unit(r->unit, records[0].unit)) one_unit = false;
        else if (i) continue;
        if (r->unit && (u = unit_find(text_of(r->unit))) && u->primary) w->secondary = true;
    }
    if (count < 2) return 0;
    if (one_time) w->bt = records[0].time;
    if (one_unit) w->bu = records[0].unit;
    w->bn = records[0].name;
    w->bn_len = base_len ? base_len : common_start(records, count);
    if (!base_len && w->bn_len * (count - 1) < 8) w->bn_len = 0; /* not worth a field */
    if (!base_len) return 0;
    w->bn = base;
    if (named && w->slash) {
        char *with = scratch_text(s, base, base_len + 1);
        if (!with) return scratch_fail(s, w->err);
        with[base_len] = '/';
        w->bn = with;
        w->bn_len = base_len + 1;
    }
    return 0;
}

int senml_write(const char *base, const bridge_record *records, size_t count, bool json, item_fn put, void *out, scratch *s,
                bridge_error *err)
{
    writer w = {.put = put, .writer = out, .json = json, .err = err};
    size_t len = strlen(base);
    int rc;

    if (!senml_name_ok(base, len, true) || len > CODEC_MAX_NAME) base = "", len = 0; /* a path that SenML cannot spell stays unsaid */
    w.slash = len && base[len - 1] != '/';
    rc = count ? find_bases(&w, base, records, count, s) : 0;
    if (rc == 0) rc = put(out, ITEM(.kind = ITEM_LIST, .count = count));
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = put_record(&w, base, &records[i], i == 0);
    return rc ? rc : put(out, ITEM(.kind = ITEM_END));
}

/* ---- the two codecs */

static int json_codec_read(bridge_scratch *s, const char *base, double now, const void *data, size_t len, bridge_record_fn fn,
                           void *user, bridge_error *err)
{
    senml_reader r;

    senml_reader_init(&r, s, base, now, true, fn, user, err);
    return json_read(s, data, len, senml_item, &r, err);
}

static int cbor_codec_read(bridge_scratch *s, const char *base, double now, const void *data, size_t len, bridge_record_fn fn,
                           void *user, bridge_error *err)
{
    senml_reader r;

    senml_reader_init(&r, s, base, now, false, fn, user, err);
    return cbor_read(s, data, len, senml_item, &r, err);
}

static int json_codec_write(bridge_scratch *s, const char *base, const bridge_record *records, size_t count, buf *out,
                            bridge_error *err)
{
    return senml_write(base, records, count, true, json_put, JSON_WRITER(out, err), s, err);
}

static int cbor_codec_write(bridge_scratch *s, const char *base, const bridge_record *records, size_t count, buf *out,
                            bridge_error *err)
{
    return senml_write(base, records, count, false, cbor_put, CBOR_WRITER(out, err), s, err);
}

const bridge_codec senml_json_codec = {sizeof(bridge_codec), BRIDGE_SENML_JSON, "senml+json", "application/senml+json",
                                       json_codec_read, json_codec_write};
const bridge_codec senml_cbor_codec = {sizeof(bridge_codec), BRIDGE_SENML_CBOR, "senml+cbor", "application/senml+cbor",
                                       cbor_codec_read, cbor_codec_write};
