/* JSON and CBOR as records (docs/formats.md):
 *      21.5                            one record ""
 *      {"5700":21.5,"5701":"Cel"}      records "5700" and "5701"; deeper objects join their names with '/'
 *      [1,2], {}, {"a":[1]}            one record "" of type TREE */
#include "codec/cbor.h"
#include "codec/codecs.h"
#include "codec/json.h"
#include "codec/node.h"
#include "codec/number.h"
#include "core/record.h"
#include <stdio.h>
#include <stdlib.h>

int record_of_item(scratch *s, const item *it, bridge_record *out, bridge_error *err)
{
    *out = (bridge_record){.name = ""};
    switch (it->kind) {
    case ITEM_NULL:
    case ITEM_SIMPLE: out->type = BRIDGE_NIL; break;
    case ITEM_BOOL: out->type = BRIDGE_BOOL, out->as.b = it->b; break;
    case ITEM_INT: out->type = BRIDGE_INT, out->as.i = it->i; break;
    case ITEM_UINT: out->type = BRIDGE_UINT, out->as.u = it->u; break;
    case ITEM_REAL: out->type = BRIDGE_REAL, out->as.d = it->d; break;
    case ITEM_STRING: out->type = BRIDGE_STRING, out->as.bytes.p = it->p, out->as.bytes.len = it->len; break;
    case ITEM_BYTES: out->type = BRIDGE_OPAQUE, out->as.bytes.p = it->p, out->as.bytes.len = it->len; break;
    default: return fail(err, BRIDGE_UNPROCESSABLE, "a value expected, not an object or a list");
    }
    if (item_is_number(it) && it->p) {
        out->digits = scratch_text(s, it->p, it->len);
        if (!out->digits) return scratch_fail(s, err);
    }
    return 0;
}

void item_of_record(const bridge_record *r, item *out, char link[LINK_ROOM])
{
    *out = (item){.kind = ITEM_NULL, .tag = ITEM_NO_TAG};
    switch (r->type) {
    case BRIDGE_BOOL: out->kind = ITEM_BOOL, out->b = r->as.b; break;
    case BRIDGE_INT: out->kind = ITEM_INT, out->i = r->as.i; break;
    case BRIDGE_UINT: out->kind = ITEM_UINT, out->u = r->as.u; break;
    case BRIDGE_REAL: out->kind = ITEM_REAL, out->d = r->as.d; break;
    case BRIDGE_STRING: out->kind = ITEM_STRING, out->p = r->as.bytes.p, out->len = r->as.bytes.len; break;
    case BRIDGE_OPAQUE: out->kind = ITEM_BYTES, out->p = r->as.bytes.p, out->len = r->as.bytes.len; break;
    case BRIDGE_OBJLNK:
        out->kind = ITEM_STRING;
        out->p = link;
        out->len = (size_t)snprintf(link, LINK_ROOM, "%u:%u", r->as.link.object, r->as.link.instance);
        break;
    default: break;
    }
    if (record_is_number(r) && r->digits) out->p = r->digits, out->len = strlen(r->digits);
}

/* ---- reading */

/* Is it a value, or an object of nothing but values?  Names that a record cannot have make it a tree. */
static bool is_values(const node *n, size_t name_len, size_t *records)
{
    if (n->it.kind == ITEM_LIST) return false;
    if (n->it.kind != ITEM_MAP) return ++*records <= CODEC_MAX_RECORDS;
    if (!n->first) return false;
    for (const node *m = n->first; m; m = m->next) {
        const item *key = m->key;
        if (key->kind == ITEM_STRING ? !key->len || memchr(key->p, 0, key->len) : key->kind != ITEM_INT) return false;
        size_t len = name_len + (key->kind == ITEM_STRING ? key->len : 20) + 1;
        if (len > CODEC_MAX_NAME || !is_values(m, len, records)) return false;
    }
    return true;
}

typedef struct emitter {
    scratch *scratch;
    bridge_record_fn fn;
    void *user;
    bridge_error *err;
    char name[CODEC_MAX_NAME + 1];
} emitter;

static int emit(emitter *e, const node *n, size_t name_len)
{
    bridge_record r;
    int rc;

    if (n->it.kind != ITEM_MAP) {
        rc = record_of_item(e->scratch, &n->it, &r, e->err);
        if (rc == 0 && name_len && !(r.name = scratch_text(e->scratch, e->name, name_len)))
            rc = scratch_fail(e->scratch, e->err);
        r.absolute = r.name[0] == '/';
        return rc ? rc : e->fn(e->user, &r);
    }
    for (const node *m = n->first; m; m = m->next) {
        size_t len = name_len;
        if (len) e->name[len++] = '/';
        if (m->key->kind == ITEM_STRING) {
            memcpy(e->name + len, m->key->p, m->key->len);
            len += m->key->len;
        } else {
            len += number_int(m->key->i, e->name + len);
        }
        rc = emit(e, m, len);
        if (rc) return rc;
    }
    return 0;
}

static int emit_tree(emitter *e, const node *n)
{
    bridge_record r = {.name = "", .type = BRIDGE_TREE};
    buf json;
    int rc;

    buf_init(&json, e->scratch->mem, SCRATCH_LIMIT);
    rc = node_walk(n, json_put, JSON_WRITER(&json, e->err));
    if (rc == 0 && !(r.as.bytes.p = scratch_text(e->scratch, (const char *)json.data, json.len)))
        rc = scratch_fail(e->scratch, e->err);
    r.as.bytes.len = json.len;
    buf_done(&json);
    return rc ? rc : e->fn(e->user, &r);
}

static int read_format(bridge_scratch *s, bridge_format format, const void *data, size_t len, bridge_record_fn fn,
                       void *user, bridge_error *err)
{
    emitter e = {.scratch = s, .fn = fn, .user = user, .err = err};
    size_t records = 0;
    node *n;
    int rc = node_read(s, format, data, len, &n, err);

    if (rc) return rc;
    return is_values(n, 0, &records) ? emit(&e, n, 0) : emit_tree(&e, n);
}

static int json_codec_read(bridge_scratch *s, const char *base, double now, const void *data, size_t len,
                           bridge_record_fn fn, void *user, bridge_error *err)
{
    (void)base, (void)now;
    return read_format(s, BRIDGE_JSON, data, len, fn, user, err);
}

static int cbor_codec_read(bridge_scratch *s, const char *base, double now, const void *data, size_t len,
                           bridge_record_fn fn, void *user, bridge_error *err)
{
    (void)base, (void)now;
    return read_format(s, BRIDGE_CBOR, data, len, fn, user, err);
}

/* ---- writing */

typedef struct sink {
    scratch *scratch;
    item_fn put;
    void *writer;
    bridge_error *err;
} sink;

static int put_record(sink *w, const bridge_record *r)
{
    char link[LINK_ROOM];
    item it;

    if (r->type == BRIDGE_TREE) return json_read(w->scratch, r->as.bytes.p, r->as.bytes.len, w->put, w->writer, w->err);
    item_of_record(r, &it, link);
    return w->put(w->writer, &it);
}

typedef struct entry {
    const bridge_record *record;
    const struct entry *same; /* the next record with this name */
    bool later;               /* not the first with its name */
} entry;

static int by_name(const void *a, const void *b)
{
    const entry *const *x = a, *const *y = b;
    int order = strcmp((*x)->record->name, (*y)->record->name);

    return order ? order : (*x > *y) - (*x < *y);
}

/* Records of the same name, a series, become a list in the place of the first. */
static entry *index_names(scratch *s, const bridge_record *records, size_t count)
{
    entry *entries = scratch_array(s, entry, count), **order = scratch_array(s, entry *, count);
    bool sorted = true;

    if (!entries || !order) return NULL;
    for (size_t i = 0; i < count; i++) {
        entries[i] = (entry){.record = &records[i]};
        order[i] = &entries[i];
        if (i && strcmp(records[i - 1].name, records[i].name) >= 0) sorted = false;
    }
    if (sorted) return entries;
    qsort(order, count, sizeof *order, by_name);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(order[i - 1]->record->name, order[i]->record->name) != 0) continue;
        order[i - 1]->same = order[i];
        order[i]->later = true;
    }
    return entries;
}

static int put_entry(sink *w, const entry *e)
{
    int rc =
        w->put(w->writer, ITEM(.kind = ITEM_STRING, .key = true, .p = e->record->name, .len = strlen(e->record->name)));

    if (rc || !e->same) return rc ? rc : put_record(w, e->record);
    rc = w->put(w->writer, ITEM(.kind = ITEM_LIST, .count = ITEM_UNKNOWN));
    for (; e && rc == 0; e = e->same)
        rc = put_record(w, e->record);
    return rc ? rc : w->put(w->writer, ITEM(.kind = ITEM_END));
}

static int write_records(sink *w, const bridge_record *records, size_t count)
{
    const entry *entries;
    int rc;

    if (count == 1 && records->name[0] == 0) return put_record(w, records);
    entries = index_names(w->scratch, records, count);
    if (count && !entries) return scratch_fail(w->scratch, w->err);
    rc = w->put(w->writer, ITEM(.kind = ITEM_MAP, .count = ITEM_UNKNOWN));
    for (size_t i = 0; i < count && rc == 0; i++)
        if (!entries[i].later) rc = put_entry(w, &entries[i]);
    return rc ? rc : w->put(w->writer, ITEM(.kind = ITEM_END));
}

static int json_codec_write(bridge_scratch *s, const char *base, const bridge_record *records, size_t count, buf *out,
                            bridge_error *err)
{
    (void)base;
    return write_records(&(sink){s, json_put, JSON_WRITER(out, err), err}, records, count);
}

static int cbor_codec_write(bridge_scratch *s, const char *base, const bridge_record *records, size_t count, buf *out,
                            bridge_error *err)
{
    (void)base;
    return write_records(&(sink){s, cbor_put, CBOR_WRITER(out, err), err}, records, count);
}

const bridge_codec json_codec = {sizeof(bridge_codec), BRIDGE_JSON,     "json",
                                 "application/json",   json_codec_read, json_codec_write};
const bridge_codec cbor_codec = {sizeof(bridge_codec), BRIDGE_CBOR,     "cbor",
                                 "application/cbor",   cbor_codec_read, cbor_codec_write};
