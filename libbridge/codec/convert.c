#include "codec/cbor.h"
#include "codec/collect.h"
#include "codec/json.h"

/* ---- reading and writing with the limits that hold for every codec, also foreign ones */

static int too_many(bridge_error *err)
{
    return fail(err, BRIDGE_TOOBIG, "more than %d values", CODEC_MAX_RECORDS);
}

int collect(void *user, const bridge_record *record)
{
    collector *c = user;

    if (c->count == CODEC_MAX_RECORDS) return too_many(c->err);
    if (c->count == c->room) {
        size_t room = c->room ? c->room * 4 : 16;
        bridge_record *more = scratch_array(c->scratch, bridge_record, room);
        if (!more) return scratch_fail(c->scratch, c->err);
        if (c->count) memcpy(more, c->records, c->count * sizeof *more);
        c->records = more;
        c->room = room;
    }
    c->records[c->count++] = *record;
    return 0;
}

static int through_records(scratch *s, const bridge_codec *from, const bridge_codec *to, const char *path, double now,
                           const void *data, size_t len, buf *out, bridge_error *err)
{
    collector c = {.scratch = s, .err = err};
    int rc = from->read(s, path, now, data, len, collect, &c, err);

    return rc ? rc : to->write(s, path, c.records, c.count, out, err);
}

/* JSON and CBOR have the same structure, so nothing of it is lost between them. */
static int structural(scratch *s, const bridge_codec *from, const void *data, size_t len, buf *out, bridge_error *err)
{
    if (from == &json_codec) return json_read(s, data, len, cbor_put, CBOR_WRITER(out, err), err);
    return cbor_read(s, data, len, json_put, JSON_WRITER(out, err), err);
}

int codec_missing(int status, bridge_format format, bridge_error *err)
{
    const char *name = format_media_type(format);

    if (name) return fail(err, status, "no codec for %s", name);
    return fail(err, status, "no codec for content format %d", (int)format);
}

/* What a codec reports as out of room, or anything else, is said once in *err. */
int codec_said(int rc, bridge_error *err)
{
    if (rc >= 0 || (err && err->status == rc)) return rc;
    return fail(err, rc, "%s",
                rc == BRIDGE_TOOBIG ? "the converted payload is over the size limit" : bridge_status_text(rc));
}

int codec_convert(mem *m, const char *path, double now, bridge_format source, bridge_format target, const void *data,
                  size_t len, buf *out, bridge_error *err)
{
    const bridge_codec *from, *to;
    size_t start = out->len;
    scratch s;
    int rc;

    if (err) err->status = 0;
    if (len == 0) data = "";
    if (source == BRIDGE_FORMAT_AUTO) source = codec_guess(data, len);
    if (source == target || target == BRIDGE_FORMAT_AUTO) return codec_said(buf_put(out, data, len), err);
    from = codec_find(source);
    to = codec_find(target);
    if (!to || !to->write) return codec_missing(BRIDGE_NOTACCEPTABLE, target, err);
    if (!from || !from->read) return codec_missing(BRIDGE_FORMAT, source, err);
    if (from == to) return codec_said(buf_put(out, data, len), err);
    scratch_init(&s, m);
    if ((from == &json_codec && to == &cbor_codec) || (from == &cbor_codec && to == &json_codec))
        rc = structural(&s, from, data, len, out, err);
    else
        rc = through_records(&s, from, to, path, now, data, len, out, err);
    scratch_done(&s);
    if (rc) out->len = start;
    return codec_said(rc, err);
}

typedef struct counter {
    bridge_record_fn fn;
    void *user;
    bridge_error *err;
    size_t count;
} counter;

static int count_on(void *user, const bridge_record *record)
{
    counter *c = user;

    return c->count++ == CODEC_MAX_RECORDS ? too_many(c->err) : c->fn(c->user, record);
}

int codec_read(mem *m, const char *path, double now, bridge_format source, const void *data, size_t len,
               bridge_record_fn fn, void *user, bridge_error *err)
{
    counter c = {fn, user, err, 0};
    const bridge_codec *from;
    scratch s;
    int rc;

    if (err) err->status = 0;
    if (len == 0) data = "";
    if (source == BRIDGE_FORMAT_AUTO) source = codec_guess(data, len);
    from = codec_find(source);
    if (!from || !from->read) return codec_missing(BRIDGE_FORMAT, source, err);
    scratch_init(&s, m);
    rc = from->read(&s, path, now, data, len, count_on, &c, err);
    scratch_done(&s);
    return codec_said(rc, err);
}

int codec_write(mem *m, const char *path, bridge_format target, const bridge_record *records, size_t count, buf *out,
                bridge_error *err)
{
    const bridge_codec *to = codec_find(target);
    size_t start = out->len;
    scratch s;
    int rc;

    if (err) err->status = 0;
    if (!to || !to->write) return codec_missing(BRIDGE_NOTACCEPTABLE, target, err);
    if (count > CODEC_MAX_RECORDS) return too_many(err);
    scratch_init(&s, m);
    rc = to->write(&s, path, records, count, out, err);
    scratch_done(&s);
    if (rc) out->len = start;
    return codec_said(rc, err);
}
