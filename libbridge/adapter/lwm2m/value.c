/* Values: what devices say in TLV, SenML, CBOR, JSON or text is read as records, typed by the object model, and told as people like it:
 * one value as text ("21.5", "true"), several as JSON ({"5700":21.5,"6":{"0":1}}). */
#include "adapter/lwm2m/lwm2m.h"
#include "base/status.h"
#include "codec/cast.h"
#include "codec/json.h"
#include "codec/codecs.h"
#include "codec/scratch.h"
#include "codec/tlv.h"
#include <stdio.h>
#include <stdlib.h>

bool lwm2m_is_lwm2m_format(bridge_format f)
{
    switch ((int)f) {
    case BRIDGE_TLV:
    case BRIDGE_LWM2M_JSON:
    case BRIDGE_LWM2M_CBOR:
    case BRIDGE_SENML_JSON:
    case BRIDGE_SENML_CBOR:
    case BRIDGE_SENML_ETCH_JSON:
    case BRIDGE_SENML_ETCH_CBOR:
    case 1542:
    case 1543: return true;
    default: return false;
    }
}

/* ---- Reading */

typedef struct reading {
    const lwm2m_server *server;
    bridge_scratch *scratch;
    const oma_path *at;
    lwm2m_leaves *out;
    size_t room;
    bridge_format format;
    bridge_error *err;
} reading;

static void type_leaf(const reading *x, lwm2m_leaf *leaf)
{
    const lwm2m_resource *r = leaf->path.count >= 3 ? lwm2m_resource_of(x->server->model, leaf->path.id[0], leaf->path.id[2]) : NULL;
    bridge_type type = r ? lwm2m_record_type(r->type) : BRIDGE_NIL;

    if (type != BRIDGE_NIL && record_cast(x->scratch, &leaf->record, type, NULL) == 0) return;
    if (leaf->record.type == BRIDGE_NIL) return;
    x->out->guessed = true;
    if (leaf->record.type == BRIDGE_OPAQUE && (x->format == BRIDGE_TLV || (int)x->format == 1542)) tlv_guess(&leaf->record);
}

/* Names as devices say them are numbers; "5700", "0/5700", "/3303/0/5700". */
static int on_record(void *user, const bridge_record *record)
{
    reading *x = user;
    lwm2m_leaf leaf = {.path = *x->at, .record = *record};
    const char *name = record->name;

    if (record->absolute || *name == '/') leaf.path.count = 0;
    if (!oma_add(&leaf.path, name)) return fail(x->err, BRIDGE_UNPROCESSABLE, "\"%.60s\" is no path of numbers", name);
    if (x->out->count == x->room) {
        size_t room = x->room ? x->room * 2 : 16;
        lwm2m_leaf *more = scratch_array(x->scratch, lwm2m_leaf, room);

        if (!more) return scratch_fail(x->scratch, x->err);
        if (x->out->count) memcpy(more, x->out->at, x->out->count * sizeof *more);
        x->out->at = more;
        x->room = room;
    }
    type_leaf(x, &leaf);
    x->out->at[x->out->count++] = leaf;
    return 0;
}

int lwm2m_leaves_read(const lwm2m_server *srv, bridge_scratch *s, const oma_path *at, int format, const void *data, size_t len,
                      lwm2m_leaves *out, bridge_error *err)
{
    bridge_format f = format >= 0 ? (bridge_format)format : at->count >= 3 ? BRIDGE_TEXT : BRIDGE_TLV;
    reading x = {srv, s, at, out, 0, f, err};
    const bridge_codec *codec = codec_find(f);
    char base[LWM2M_PATH_TEXT];

    *out = (lwm2m_leaves){0};
    lwm2m_path_text(at, base);
    if (!codec || !codec->read) return fail(err, BRIDGE_FORMAT, "content format %d is not understood", format);
    if (len == 0 && f != BRIDGE_TEXT && f != BRIDGE_BYTES) return 0; /* an instance with nothing in it */
    if (f == BRIDGE_TLV || (int)f == 1542) return tlv_read(s, base, data, len, on_record, &x, err); /* as bytes: the model types them */
    return codec->read(s, at->count ? base : "", (double)loop_calendar(srv->loop) / 1000, data, len, on_record, &x, err);
}

/* ---- Writing */

/* The name of one level of a path: a number, or what the registry calls it. */
static int level_name(const lwm2m_server *srv, const oma_path *p, int level, bool names, char *out, size_t room)
{
    const lwm2m_resource *r = names && level == 2 ? lwm2m_resource_of(srv->model, p->id[0], p->id[2]) : NULL;
    const lwm2m_object *o = names && level == 0 ? lwm2m_object_of(srv->model, p->id[0]) : NULL;

    if (r || o) return (int)lwm2m_identifier(r ? r->name : o->name, out, room);
    return snprintf(out, room, "%u", p->id[level]);
}

static bool is_below(const oma_path *path, const oma_path *at)
{
    return path->count >= at->count && memcmp(path->id, at->id, (size_t)at->count * sizeof *at->id) == 0;
}

static const char *name_below(const lwm2m_server *srv, bridge_scratch *s, const oma_path *at, const oma_path *path, bool names)
{
    char name[OMA_LEVELS * 130];
    size_t n = 0;

    for (int i = at->count; i < path->count && n < sizeof name - 132; i++) {
        if (i > at->count) name[n++] = '/';
        n += (size_t)level_name(srv, path, i, names, name + n, 128);
    }
    return n ? scratch_text(s, name, n) : "";
}

/* The newest of several for one place: SenML may hold a history. */
static bool is_superseded(const lwm2m_leaves *l, size_t i)
{
    for (size_t k = i + 1; k < l->count; k++)
        if (l->at[k].path.count == l->at[i].path.count &&
            memcmp(l->at[k].path.id, l->at[i].path.id, (size_t)l->at[i].path.count * sizeof *l->at[i].path.id) == 0)
            return true;
    return false;
}

static int records_of(const lwm2m_server *srv, bridge_scratch *s, const oma_path *at, const lwm2m_leaves *l, bool names, bool bare,
                      bridge_record **out, size_t *count, bridge_error *err)
{
    bridge_record *all = scratch_array(s, bridge_record, l->count + 1);

    if (!all) return scratch_fail(s, err);
    *count = 0;
    for (size_t i = 0; i < l->count; i++) {
        bridge_record *r = &all[*count];

        if (!is_below(&l->at[i].path, at) || (bare && is_superseded(l, i))) continue;
        *r = l->at[i].record;
        r->name = name_below(srv, s, at, &l->at[i].path, names);
        if (!r->name) return scratch_fail(s, err);
        r->absolute = false;
        if (bare) r->time = 0, r->unit = NULL;
        ++*count;
    }
    *out = all;
    return 0;
}

static bool is_scalar(const oma_path *at, const bridge_record *r, size_t count)
{
    return count == 1 && at->count >= 3 && !*r->name;
}

static int write_plain(bridge_scratch *s, bridge_record *r, buf *out, bridge_format *format, bridge_error *err)
{
    int rc = 0;

    *format = r->type == BRIDGE_OPAQUE ? BRIDGE_BYTES : BRIDGE_TEXT;
    if (r->type == BRIDGE_NIL) return 0;
    if (r->type != BRIDGE_OPAQUE) rc = record_cast(s, r, BRIDGE_STRING, err);
    return rc ? rc : buf_put(out, r->as.bytes.p, r->as.bytes.len);
}

static int by_path(const void *a, const void *b) { return oma_compare(&((const lwm2m_leaf *)a)->path, &((const lwm2m_leaf *)b)->path); }

static int levels_in_common(const oma_path *a, const oma_path *b)
{
    int n = 0;

    while (n < a->count && n < b->count && a->id[n] == b->id[n]) n++;
    return n;
}

static int put_json_value(const bridge_record *r, buf *out, bridge_error *err)
{
    char link[LINK_ROOM];
    item it;

    item_of_record(r, &it, link);
    if (it.kind == ITEM_BYTES) it.tag = 22; /* base64, as LwM2M has it everywhere else */
    if (it.kind == ITEM_REAL && it.d != it.d) it.kind = ITEM_NULL;
    return json_put(JSON_WRITER(out, err), &it);
}

/* {"0":{"5700":21.5,"6":{"0":1}}}: an object for each level below `at`. */
static int write_nested(const lwm2m_server *srv, bridge_scratch *s, const oma_path *at, const lwm2m_leaves *leaves, bool names, buf *out,
                        bridge_error *err)
{
    lwm2m_leaf *all = scratch_array(s, lwm2m_leaf, leaves->count + 1);
    int open = at->count, rc = buf_text(out, "{");
    size_t count = 0;
    char name[128];

    if (!all) return scratch_fail(s, err);
    for (size_t i = 0; i < leaves->count; i++)
        if (is_below(&leaves->at[i].path, at) && leaves->at[i].path.count > at->count && !is_superseded(leaves, i)) all[count++] = leaves->at[i];
    if (count) qsort(all, count, sizeof *all, by_path);
    for (size_t i = 0; i < count && rc == 0; i++) {
        const oma_path *p = &all[i].path;
        int same = i ? levels_in_common(&all[i - 1].path, p) : at->count;

        if (same >= p->count) continue; /* inside of a value: it cannot be */
        for (; open > same && rc == 0; open--) rc = buf_text(out, "}");
        if (i && rc == 0) rc = buf_text(out, ",");
        for (int k = same; k < p->count && rc == 0; k++) {
            size_t len = (size_t)level_name(srv, p, k, names, name, sizeof name);
            rc = json_put_string(out, name, len);
            if (rc == 0) rc = buf_text(out, k + 1 < p->count ? ":{" : ":");
        }
        open = p->count - 1 > at->count ? p->count - 1 : at->count;
        if (rc == 0) rc = put_json_value(&all[i].record, out, err);
    }
    for (; open > at->count && rc == 0; open--) rc = buf_text(out, "}");
    return rc ? rc : buf_text(out, "}");
}

int lwm2m_leaves_write(const lwm2m_server *srv, const oma_path *at, const lwm2m_leaves *leaves, const lwm2m_view *v, buf *out,
                       bridge_format *format, bridge_error *err)
{
    bool own = v->accept >= 0 && lwm2m_is_lwm2m_format((bridge_format)v->accept);
    char base[LWM2M_PATH_TEXT];
    bridge_record *all = NULL;
    bridge_scratch s;
    size_t count = 0;
    int rc;

    lwm2m_path_text(at, base);
    scratch_init(&s, srv->mem);
    rc = records_of(srv, &s, at, leaves, v->names && !own, !own, &all, &count, err);
    if (rc == 0 && v->accept < 0 && is_scalar(at, all, count)) {
        rc = write_plain(&s, all, out, format, err);
    } else if (rc == 0 && (v->accept < 0 || v->accept == BRIDGE_JSON) && !is_scalar(at, all, count)) {
        *format = BRIDGE_JSON;
        rc = write_nested(srv, &s, at, leaves, v->names, out, err);
    } else if (rc == 0) {
        const bridge_codec *codec = codec_find((bridge_format)v->accept);

        *format = (bridge_format)v->accept;
        rc = codec && codec->write ? codec->write(&s, base, all, count, out, err) : fail(err, BRIDGE_NOTACCEPTABLE, "no such format");
    }
    scratch_done(&s);
    return rc;
}

int lwm2m_leaves_msg(lwm2m_device *d, const char *path, const oma_path *at, const lwm2m_leaves *leaves, const lwm2m_view *v, int64_t when,
                     bool retain, bridge_msg **out, bridge_error *err)
{
    static const bridge_prop guess = {"lwm2m-type", "guess"};
    bridge_fields f = {.size = sizeof f, .path = path, .time = when, .retain = retain, .qos = 1};
    buf bytes;
    int rc;

    buf_init(&bytes, d->server->mem, 0);
    rc = lwm2m_leaves_write(d->server, at, leaves, v, &bytes, &f.format, err);
    f.data = bytes.data;
    f.len = bytes.len;
    if (leaves->guessed) f.props = &guess, f.prop_count = 1;
    if (rc == 0) rc = bridge_peer_msg(d->peer, &f, out);
    buf_done(&bytes);
    return rc;
}

int lwm2m_value_msg(lwm2m_device *d, const char *path, const oma_path *at, int format, const void *data, size_t len, const lwm2m_view *v,
                    bridge_msg **out, bridge_error *err)
{
    lwm2m_leaves leaves;
    bridge_scratch s;
    int rc;

    if (v->accept >= 0 && v->accept == format)
        return lwm2m_msg(d, path, (bridge_format)format, data, len, out);
    scratch_init(&s, d->server->mem);
    rc = lwm2m_leaves_read(d->server, &s, at, format, data, len, &leaves, err);
    if (rc == 0) rc = lwm2m_leaves_msg(d, path, at, &leaves, v, 0, false, out, err);
    scratch_done(&s);
    return rc;
}

/* ---- What people write */

typedef struct writing {
    const lwm2m_server *server;
    const char *device; /* "lwm2m/lamp-7": a name may begin with it */
    bridge_scratch *scratch;
    const oma_path *at, *base;
    bridge_record *records;
    size_t count, room;
    bool text; /* bools as 1 and 0, bytes as base64: LwM2M 1.0 6.4.1 */
    bridge_error *err;
} writing;

/* "sensorValue", "5700", "0/5700": names are looked up where they stand. */
static bool name_read(const lwm2m_server *srv, oma_path *p, const char *name)
{
    text rest = text_of(name), one;

    if (rest.len && *rest.p == '/') rest.p++, rest.len--, p->count = 0;
    while (rest.len) {
        uint64_t number;

        text_cut(rest, '/', &one, &rest);
        if (p->count == OMA_LEVELS) return false;
        if (!text_to_u64(one, UINT16_MAX, &number)) {
            const lwm2m_object *o = lwm2m_object_of(srv->model, p->id[0]);
            const lwm2m_resource *r = p->count == 2 ? lwm2m_resource_named(o, one) : NULL;
            const lwm2m_object *named = p->count == 0 ? lwm2m_object_named(srv->model, one) : NULL;

            if (!r && !named) return false;
            number = r ? r->id : named->id;
        }
        p->id[p->count++] = (uint16_t)number;
    }
    return true;
}

static int spell_bool(writing *x, bridge_record *r)
{
    if (!x->text || r->type != BRIDGE_BOOL) return 0;
    r->as.i = r->as.b;
    r->type = BRIDGE_INT;
    return 0;
}

/* Without what the bridge calls the device. */
static const char *name_of(const writing *x, const bridge_record *r)
{
    const char *name = r->name + (*r->name == '/');
    size_t len = strlen(x->device);

    return strncmp(name, x->device, len) == 0 && name[len] == '/' ? name + len : r->name;
}

static int on_written(void *user, const bridge_record *record)
{
    writing *x = user;
    bridge_record r = *record;
    const lwm2m_resource *known;
    oma_path path = *x->at;
    int rc = 0;

    if (!name_read(x->server, &path, name_of(x, record))) return fail(x->err, BRIDGE_UNPROCESSABLE, "\"%.60s\" is no resource", record->name);
    if (!is_below(&path, x->at)) return fail(x->err, BRIDGE_DENIED, "\"%.60s\" is elsewhere", record->name);
    known = path.count >= 3 ? lwm2m_resource_of(x->server->model, path.id[0], path.id[2]) : NULL;
    if (known && lwm2m_record_type(known->type) != BRIDGE_NIL) rc = record_cast(x->scratch, &r, lwm2m_record_type(known->type), x->err);
    if (rc == 0) rc = spell_bool(x, &r);
    if (rc == 0) rc = oma_name(x->scratch, x->base, &path, &r.name, x->err);
    r.absolute = r.name && r.name[0] == '/';
    if (rc == 0 && x->count == x->room) rc = fail(x->err, BRIDGE_TOOBIG, "too many values");
    if (rc == 0) x->records[x->count++] = r;
    return rc;
}

/* at: where the names begin; base: what the device's format is to be relative to. */
static int value_write(lwm2m_device *d, const oma_path *at, const oma_path *base_at, int wish, bridge_format *format, const void *data,
                       size_t len, buf *out, bridge_error *err)
{
    const lwm2m_resource *known = at->count >= 3 ? lwm2m_resource_of(d->server->model, at->id[0], at->id[2]) : NULL;
    bridge_format said = *format == BRIDGE_FORMAT_AUTO ? codec_guess(data, len) : *format == BRIDGE_MERGE_PATCH ? BRIDGE_JSON : *format;
    writing x = {.server = d->server, .device = d->name, .at = at, .base = base_at, .room = CODEC_MAX_RECORDS, .err = err, .text = wish == BRIDGE_TEXT};
    const bridge_codec *in = codec_find(said), *to = codec_find((bridge_format)wish);
    char base[LWM2M_PATH_TEXT];
    bridge_scratch s;
    int rc;

    if (said == BRIDGE_SENML_ETCH_JSON || said == BRIDGE_SENML_ETCH_CBOR) /* a device has no packs to change: they are written */
        in = codec_find(said == BRIDGE_SENML_ETCH_JSON ? BRIDGE_SENML_JSON : BRIDGE_SENML_CBOR);
    else if (base_at->count && (lwm2m_is_lwm2m_format(said) || (said == BRIDGE_BYTES && at->count >= 3))) { /* in the device's words, or nobody's */
        *format = said;
        return buf_put(out, data, len);
    }
    if (said == BRIDGE_JSON && known && known->type == LWM2M_STRING && *format == BRIDGE_FORMAT_AUTO) said = BRIDGE_TEXT, in = codec_find(said);
    if (!in || !in->read || !to || !to->write) return fail(err, BRIDGE_FORMAT, "content format %d cannot be written", (int)said);
    lwm2m_path_text(base_at, base);
    scratch_init(&s, d->server->mem);
    x.scratch = &s;
    x.records = scratch_array(&s, bridge_record, 256);
    x.room = 256;
    rc = x.records ? in->read(&s, "", 0, data, len, on_written, &x, err) : scratch_fail(&s, err);
    if (rc == 0) rc = to->write(&s, base, x.records, x.count, out, err);
    scratch_done(&s);
    *format = (bridge_format)wish;
    return rc;
}

int lwm2m_value_write(lwm2m_device *d, const oma_path *at, int wish, bridge_format *format, const void *data, size_t len, buf *out,
                      bridge_error *err)
{
    return value_write(d, at, at, wish, format, data, len, out, err);
}

/* Into what a Write-Composite says: from the root, whatever the values are below. */
int lwm2m_value_patch(lwm2m_device *d, const oma_path *at, int wish, bridge_format *format, const void *data, size_t len, buf *out,
                      bridge_error *err)
{
    static const oma_path root = {0};

    return value_write(d, at, &root, wish, format, data, len, out, err);
}

/* Of an instance that is to be: told to its object, with its number. */
int lwm2m_value_create(lwm2m_device *d, const oma_path *at, int wish, bridge_format *format, const void *data, size_t len, buf *out,
                       bridge_error *err)
{
    oma_path object = {1, {at->id[0]}};

    return value_write(d, at, &object, wish, format, data, len, out, err);
}

/* ---- Paths */

bool lwm2m_path_read(const lwm2m_server *s, text path, oma_path *out, text *op)
{
    char names[512];

    *out = (oma_path){0};
    *op = (text){NULL, 0};
    for (size_t i = 0; i < path.len; i++) {
        if (path.p[i] != '!' || (i && path.p[i - 1] != '/')) continue;
        *op = (text){path.p + i + 1, path.len - i - 1};
        path.len = i ? i - 1 : 0;
        break;
    }
    if (path.len >= sizeof names) return false;
    memcpy(names, path.p ? path.p : "", path.len);
    names[path.len] = 0;
    return name_read(s, out, names);
}
