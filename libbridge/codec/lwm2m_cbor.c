/* LwM2M CBOR (LwM2M Core 1.2, 7.4.6): maps in maps by id, where a key may also be a list of ids: {3: {0: {0: "x"}}},
 * {[3, 0, 0]: "x"}. */
#include "codec/cbor.h"
#include "codec/oma.h"
#include "codec/senml.h"

typedef struct reader {
    scratch *scratch;
    oma_path base, path;
    int depth;                      /* of maps */
    int start[CODEC_MAX_DEPTH + 1]; /* path.count above each map */
    bool in_key;                    /* inside a key that is a list */
    bridge_record_fn fn;
    void *user;
    bridge_error *err;
} reader;

static int no_path(reader *r)
{
    return fail(r->err, BRIDGE_UNPROCESSABLE, "LwM2M CBOR: maps of ids expected");
}

static int add_id(reader *r, const item *it)
{
    if (it->kind != ITEM_INT || it->i < 0 || it->i > 65535 || r->path.count == OMA_LEVELS) return no_path(r);
    r->path.id[r->path.count++] = (uint16_t)it->i;
    return 0;
}

static int on_value(reader *r, const item *it)
{
    bridge_record out;
    const char *name;
    int rc = oma_name(r->scratch, &r->base, &r->path, &name, r->err);

    if (rc == 0) rc = record_of_item(r->scratch, it, &out, r->err);
    if (rc) return rc;
    out.name = name;
    out.absolute = name[0] == '/';
    return r->fn(r->user, &out);
}

static int on_item(void *user, const item *it)
{
    reader *r = user;

    if (r->in_key) {
        if (it->kind != ITEM_END) return add_id(r, it);
        r->in_key = false;
        return 0;
    }
    if (it->key) {
        r->path.count = r->start[r->depth];
        if (it->kind != ITEM_LIST) return add_id(r, it);
        r->in_key = true;
        return 0;
    }
    if (it->kind == ITEM_MAP) {
        r->start[++r->depth] = r->path.count;
        return 0;
    }
    if (it->kind == ITEM_END) {
        r->depth--;
        return 0;
    }
    if (it->kind == ITEM_LIST || r->depth == 0) return no_path(r);
    return on_value(r, it);
}

static int read_codec(bridge_scratch *s, const char *base, double now, const void *data, size_t len,
                      bridge_record_fn fn, void *user, bridge_error *err)
{
    reader r = {.scratch = s, .base = oma_base(base), .fn = fn, .user = user, .err = err};

    (void)now;
    return cbor_read(s, data, len, on_item, &r, err);
}

/* leaves[0..count) share what stands above level. */
static int put_level(buf *out, const oma_leaf *leaves, size_t count, int level)
{
    size_t members = 0, end;
    char link[LINK_ROOM];
    item it;
    int rc;

    if (level > OMA_LEVELS) return BRIDGE_INTERNAL;
    for (size_t i = 0; i < count; i++)
        members += i == 0 || leaves[i].path.id[level - 1] != leaves[i - 1].path.id[level - 1];
    rc = cbor_put_head(out, CBOR_MAP, members);
    for (size_t i = 0; i < count && rc == 0; i = end) {
        uint16_t id = leaves[i].path.id[level - 1];
        for (end = i + 1; end < count && leaves[end].path.id[level - 1] == id; end++) {
        }
        rc = cbor_put_head(out, CBOR_UINT, id);
        if (rc == 0 && leaves[i].path.count > level) {
            rc = put_level(out, leaves + i, end - i, level + 1);
        } else if (rc == 0) {
            item_of_record(leaves[i].record, &it, link);
            rc = cbor_put_scalar(out, &it);
        }
    }
    return rc;
}

static int write_codec(bridge_scratch *s, const char *base_path, const bridge_record *records, size_t count, buf *out,
                       bridge_error *err)
{
    oma_path base = oma_base(base_path);
    oma_leaf *leaves;
    int rc;

    rc = oma_leaves(s, &base, records, count, &leaves, err);
    if (rc) return rc;
    if (count && leaves[0].path.count == 0)
        return fail(err, BRIDGE_UNPROCESSABLE, "LwM2M CBOR: a value without a path");
    return put_level(out, leaves, count, OMA_OBJECT);
}

const bridge_codec lwm2m_cbor_codec = {
    sizeof(bridge_codec), BRIDGE_LWM2M_CBOR, "lwm2m+cbor", "application/vnd.oma.lwm2m+cbor", read_codec, write_codec};
