#include "codec/cbor.h"
#include "codec/json.h"
#include "codec/senml.h"
#include "codec/units.h"
#include "core/record.h"
#include <math.h>

typedef struct writer {
    buf *out;
    json_writer *json; /* NULL: CBOR, which is written directly: maps have known counts and labels are one byte */
    bridge_error *err;
    const char *bn, *bu; /* for all records, or NULL */
    size_t bn_len;
    size_t skip; /* bytes of every name that the base name says */
    text prefix; /* of names below the base: what of it the base name does not say ... */
    bool slash;  /* ... and a '/', if there is a name */
    double bt;
    bool secondary;
} writer;

static int put_label(writer *w, senml_label label)
{
    static const uint8_t lengths[SENML_OTHER] = {2, 2, 2, 2, 2, 4, 1, 1, 1, 2, 2, 1, 1, 2, 2, 3};
    static const uint8_t cbor[SENML_OTHER] = {0x25, 0x24, 0x23, 0x22, 0x21, 0x20, 0, 1, 2, 3, 4, 5, 6, 7, 8};

    if (w->json)
        return json_put(w->json,
                        ITEM(.kind = ITEM_STRING, .key = true, .p = senml_names[label], .len = lengths[label]));
    return label == SENML_VLO ? cbor_put_text(w->out, "vlo", 3) : buf_byte(w->out, cbor[label]);
}

static int put_item(writer *w, const item *it)
{
    return w->json ? json_put(w->json, it) : cbor_put_scalar(w->out, it);
}

static int put_text(writer *w, senml_label label, const char *p, size_t len)
{
    int rc = put_label(w, label);

    if (rc) return rc;
    return w->json ? put_item(w, ITEM(.kind = ITEM_STRING, .p = p, .len = len)) : cbor_put_text(w->out, p, len);
}

/* Times and sums: whole seconds without a point. */
static int put_seconds(writer *w, senml_label label, double t)
{
    int rc = put_label(w, label);

    if (rc) return rc;
    if (!isfinite(t)) return fail(w->err, BRIDGE_UNPROCESSABLE, "SenML: time or sum out of range");
    if (fabs(t) < 9e15 && t == (double)(int64_t)t) return put_item(w, ITEM(.kind = ITEM_INT, .i = (int64_t)t));
    return put_item(w, ITEM(.kind = ITEM_REAL, .d = t));
}

static int put_value(writer *w, const bridge_record *r)
{
    static const uint8_t labels[] = {0, SENML_VB, SENML_V, SENML_V, SENML_V, SENML_VS, SENML_VD, SENML_VLO};
    char link[LINK_ROOM];
    item it;
    int rc;

    if (r->type == BRIDGE_NIL) return 0;
    if (r->type >= BRIDGE_TREE) return fail(w->err, BRIDGE_UNPROCESSABLE, "SenML has no objects and lists as values");
    if (r->type == BRIDGE_REAL && !r->digits && !isfinite(r->as.d))
        return fail(w->err, BRIDGE_UNPROCESSABLE, "SenML has no NaN and no infinity");
    item_of_record(r, &it, link);
    rc = put_label(w, (senml_label)labels[r->type]);
    return rc ? rc : put_item(w, &it);
}

/* What of the name stands in n: all but the base name. */
static text rest_of_name(const writer *w, const bridge_record *r, char full[CODEC_MAX_NAME + 2])
{
    size_t len = strlen(r->name), n = w->prefix.len;

    if (r->absolute || (n == 0 && !w->slash)) return (text){r->name + w->skip, len - w->skip};
    if (n) memcpy(full, w->prefix.p, n);
    if (w->slash && len) full[n++] = '/';
    memcpy(full + n, r->name, len);
    return (text){full, n + len};
}

static int put_bases(writer *w)
{
    int rc = 0;

    if (w->secondary) {
        rc = put_label(w, SENML_BVER);
        if (rc == 0) rc = put_item(w, ITEM(.kind = ITEM_INT, .i = SENML_SECONDARY_UNITS));
    }
    if (rc == 0 && w->bn_len) rc = put_text(w, SENML_BN, w->bn, w->bn_len);
    if (rc == 0 && w->bt != 0) rc = put_seconds(w, SENML_BT, w->bt);
    if (rc == 0 && w->bu) rc = put_text(w, SENML_BU, w->bu, strlen(w->bu));
    return rc;
}

static int put_record(writer *w, const bridge_record *r, bool first)
{
    char full[CODEC_MAX_NAME + 2];
    text name = rest_of_name(w, r, full);
    bool unit_here = r->unit && !w->bu;
    size_t fields =
        (name.len > 0) + unit_here + (r->type != BRIDGE_NIL) + r->has_sum + (r->time != w->bt) + (r->update != 0);
    int rc;

    if (first) fields += w->secondary + (w->bn_len > 0) + (w->bt != 0) + (w->bu != NULL);
    rc = w->json ? json_put(w->json, ITEM(.kind = ITEM_MAP)) : cbor_put_head(w->out, CBOR_MAP, fields);
    if (rc == 0 && first) rc = put_bases(w);
    if (rc == 0 && name.len) rc = put_text(w, SENML_N, name.p, name.len);
    if (rc == 0 && unit_here) rc = put_text(w, SENML_U, r->unit, strlen(r->unit));
    if (rc == 0) rc = put_value(w, r);
    if (rc == 0 && r->has_sum) rc = put_seconds(w, SENML_S, r->sum);
    if (rc == 0 && r->time != w->bt) rc = put_seconds(w, SENML_T, r->time - w->bt);
    if (rc == 0 && r->update != 0) rc = put_seconds(w, SENML_UT, r->update);
    if (rc || !w->json) return rc;
    return json_put(w->json, ITEM(.kind = ITEM_END));
}

static bool same_unit(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* What all names start with. */
static size_t common_start(const bridge_record *records, size_t count)
{
    const char *first = records[0].name;
    size_t same = count > 1 ? strlen(first) : 0;

    for (size_t i = 1; i < count && same; i++) {
        size_t n = 0;
        if (strncmp(records[i].name, first, same) == 0) continue;
        while (records[i].name[n] == first[n])
            n++;
        same = n;
    }
    return same;
}

/* Every name, with the base in front of it or without, can be spelt and is not too long. */
static int check_names(const writer *w, size_t base_len, const bridge_record *records, size_t count, size_t same)
{
    size_t longest = 0;
    bool ok = true;

    for (size_t i = 0; i < count && ok; i++) {
        size_t from = i ? same : 0, len = strlen(records[i].name + from);
        ok = senml_name_ok(records[i].name + from, len, from == 0 && (base_len == 0 || records[i].absolute));
        if (from + len > longest) longest = from + len;
    }
    if (!ok) return fail(w->err, BRIDGE_UNPROCESSABLE, "SenML: a name has characters that it cannot have");
    if (base_len + 1 + longest <= CODEC_MAX_NAME) return 0;
    return fail(w->err, BRIDGE_TOOBIG, "SenML: name with more than %d bytes", CODEC_MAX_NAME);
}

/* A base name ends with a separator, so that what is left are names, too. */
static int find_base_name(writer *w, const char *base, const bridge_record *records, size_t count, size_t same,
                          scratch *s)
{
    size_t len = strlen(base), absolute = 0;
    bool named = true;
    char *with;

    for (size_t i = 0; i < count; i++) {
        if (!records[i].name[0]) named = false;
        absolute += records[i].absolute;
    }
    w->prefix = (text){base, len};
    if (count < 2 || (len && absolute && absolute < count)) return 0; /* every name as a whole */
    w->prefix.len = 0;
    if (len == 0 || absolute) {
        w->slash = false;
        while (same && records[0].name[same - 1] != '/' && records[0].name[same - 1] != ':')
            same--;
        if (same * (count - 1) < 8) return 0; /* not worth a field */
        w->bn = records[0].name;
        w->bn_len = w->skip = same;
        return 0;
    }
    w->bn = base;
    w->bn_len = len;
    if (!named || !w->slash) return 0;
    with = scratch_text(s, base, len + 1);
    if (!with) return scratch_fail(s, w->err);
    with[len] = '/';
    w->slash = false;
    w->bn = with;
    w->bn_len = len + 1;
    return 0;
}

/* A base time only if every reader gets back the very same doubles when it adds. */
static void find_base_time(writer *w, const bridge_record *records, size_t count)
{
    double base = records[0].time;

    for (size_t i = 0; i < count; i++)
        if (records[i].time == 0 || base + (records[i].time - base) != records[i].time) return;
    w->bt = base;
}

static void find_base_unit(writer *w, const bridge_record *records, size_t count)
{
    const char *last = NULL;
    bool same = true;

    for (size_t i = 0; i < count; i++) {
        const char *name = records[i].unit;
        const unit *u;
        if (!same_unit(name, records[0].unit)) same = false;
        if (!name || name == last) continue;
        last = name;
        u = unit_find(text_of(name));
        if (u && u->primary) w->secondary = true;
    }
    if (same && count > 1) w->bu = records[0].unit;
}

/* What all records have in common goes into the first as base name, time and unit (RFC 8428 4.1). */
static int find_bases(writer *w, const char *base, const bridge_record *records, size_t count, scratch *s)
{
    size_t same = common_start(records, count);
    int rc = check_names(w, strlen(base), records, count, same);

    if (rc) return rc;
    find_base_unit(w, records, count);
    if (count > 1) find_base_time(w, records, count);
    return find_base_name(w, base, records, count, same, s);
}

int senml_write(scratch *s, const char *base, const bridge_record *records, size_t count, bool json, buf *out,
                bridge_error *err)
{
    writer w = {.out = out, .json = json ? JSON_WRITER(out, err) : NULL, .err = err};
    size_t len = strlen(base);
    int rc;

    if (!senml_name_ok(base, len, true) || len >= CODEC_MAX_NAME)
        base = "", len = 0; /* cannot be spelt, stays unsaid */
    w.slash = len && base[len - 1] != '/';
    rc = count ? find_bases(&w, base, records, count, s) : 0;
    if (rc == 0) rc = json ? json_put(w.json, ITEM(.kind = ITEM_LIST)) : cbor_put_head(out, CBOR_LIST, count);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = put_record(&w, &records[i], i == 0);
    if (rc || !json) return rc;
    return json_put(w.json, ITEM(.kind = ITEM_END));
}

int senml_write_part(const bridge_record *records, size_t count, bool json, bool first, buf *out, bridge_error *err)
{
    writer w = {.out = out, .json = json ? JSON_WRITER(out, err) : NULL, .err = err, .secondary = true}; /* what units follow is not known */
    size_t begin = out->len;
    int rc = count ? check_names(&w, 0, records, count, 0) : 0;

    if (count == 0) return 0;
    if (rc == 0 && json) rc = json_put(w.json, ITEM(.kind = ITEM_LIST));
    for (size_t i = 0; i < count && rc == 0; i++) rc = put_record(&w, &records[i], first && i == 0);
    if (rc < 0) {
        out->len = begin;
    } else if (json && first) { /* without its '[' */
        memmove(out->data + begin, out->data + begin + 1, out->len - begin - 1);
        out->len--;
    } else if (json) {
        out->data[begin] = ',';
    }
    return rc;
}

/* ---- the two codecs */

static int json_codec_read(bridge_scratch *s, const char *base, double now, const void *data, size_t len,
                           bridge_record_fn fn, void *user, bridge_error *err)
{
    senml_reader r;

    senml_reader_init(&r, s, base, now, true, fn, user, err);
    return json_read(s, data, len, senml_item, &r, err);
}

static int cbor_codec_read(bridge_scratch *s, const char *base, double now, const void *data, size_t len,
                           bridge_record_fn fn, void *user, bridge_error *err)
{
    senml_reader r;

    senml_reader_init(&r, s, base, now, false, fn, user, err);
    return cbor_read(s, data, len, senml_item, &r, err);
}

static int json_codec_write(bridge_scratch *s, const char *base, const bridge_record *records, size_t count, buf *out,
                            bridge_error *err)
{
    return senml_write(s, base, records, count, true, out, err);
}

static int cbor_codec_write(bridge_scratch *s, const char *base, const bridge_record *records, size_t count, buf *out,
                            bridge_error *err)
{
    return senml_write(s, base, records, count, false, out, err);
}

const bridge_codec senml_json_codec = {sizeof(bridge_codec),     BRIDGE_SENML_JSON, "senml+json",
                                       "application/senml+json", json_codec_read,   json_codec_write};
const bridge_codec senml_cbor_codec = {sizeof(bridge_codec),     BRIDGE_SENML_CBOR, "senml+cbor",
                                       "application/senml+cbor", cbor_codec_read,   cbor_codec_write};
