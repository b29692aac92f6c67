#include "codec/tlv.h"
#include "core/record.h"

static size_t int_size(int64_t v)
{
    return v == (int8_t)v ? 1 : v == (int16_t)v ? 2 : v == (int32_t)v ? 4 : 8;
}

static size_t store(uint8_t *to, uint64_t v, size_t size)
{
    for (size_t i = size; i-- > 0; v >>= 8)
        to[i] = (uint8_t)v;
    return size;
}

static size_t store_real(uint8_t *to, double d)
{
    float f = (float)d;
    uint64_t bits64;
    uint32_t bits32;

    if ((double)f == d || d != d) {
        memcpy(&bits32, &f, sizeof bits32);
        return store(to, bits32, 4);
    }
    memcpy(&bits64, &d, sizeof bits64);
    return store(to, bits64, 8);
}

static int put_value(buf *out, const bridge_record *r)
{
    uint8_t bytes[8];
    size_t n = 0;

    switch (r->type) {
    case BRIDGE_BOOL: n = store(bytes, r->as.b, 1); break;
    case BRIDGE_INT: n = store(bytes, (uint64_t)r->as.i, int_size(r->as.i)); break;
    case BRIDGE_UINT: n = store(bytes, r->as.u, 8); break;
    case BRIDGE_REAL: n = store_real(bytes, r->as.d); break;
    case BRIDGE_OBJLNK: n = store(bytes, (uint64_t)r->as.link.object << 16 | r->as.link.instance, 4); break;
    case BRIDGE_STRING:
    case BRIDGE_OPAQUE: return r->as.bytes.len == 0 ? 0 : buf_put(out, r->as.bytes.p, r->as.bytes.len);
    default: break;
    }
    return buf_put(out, bytes, n);
}

/* The head goes in front of the value that starts at `at`. */
static int put_head(buf *out, size_t at, int kind, uint16_t id, bridge_error *err)
{
    size_t len = out->len - at, id_bytes = id > 255 ? 2 : 1, n = 1;
    size_t len_bytes = len < 8 ? 0 : len <= 0xff ? 1 : len <= 0xffff ? 2 : 3;
    uint8_t head[6];
    int rc;

    if (len > 0xffffff) return fail(err, BRIDGE_TOOBIG, "TLV: more than 16,777,215 bytes in one value");
    head[0] = (uint8_t)(kind << 6 | (id_bytes == 2) << 5 | (int)len_bytes << 3 | (len_bytes ? 0 : (int)len));
    n += store(head + n, id, id_bytes);
    n += store(head + n, len, len_bytes);
    rc = buf_put(out, head, n); /* makes the room */
    if (rc) return rc;
    memmove(out->data + at + n, out->data + at, len);
    memcpy(out->data + at, head, n);
    return 0;
}

/* All of leaves[0..count) share what stands above level. */
static int put_level(buf *out, const oma_leaf *leaves, size_t count, int level, bridge_error *err)
{
    for (size_t i = 0, end; i < count; i = end) {
        const oma_path *path = &leaves[i].path;
        uint16_t id = path->id[level - 1];
        size_t at = out->len;
        int rc, kind = level == OMA_INSTANCE            ? 0
                       : level == OMA_RESOURCE_INSTANCE ? 1
                       : path->count == OMA_RESOURCE    ? 3
                                                        : 2;
        for (end = i + 1; end < count && leaves[end].path.id[level - 1] == id; end++) {
        }
        rc = level == path->count ? put_value(out, leaves[i].record)
                                  : put_level(out, leaves + i, end - i, level + 1, err);
        if (rc == 0) rc = put_head(out, at, kind, id, err);
        if (rc) return rc;
    }
    return 0;
}

/* A payload speaks of one object, and of one instance when the base is one (LwM2M 1.1 7.4.3.1). */
static int tlv_write(bridge_scratch *s, const char *base_path, const bridge_record *records, size_t count, buf *out,
                     bridge_error *err)
{
    oma_path base = oma_base(base_path);
    oma_leaf *leaves;
    int rc, top;

    if (base.count == 0 && count && records[0].name[0] != '/' && !records[0].absolute) base.count = OMA_INSTANCE;
    rc = oma_leaves(s, &base, records, count, &leaves, err);
    if (rc || count == 0) return rc;
    top = base.count >= OMA_INSTANCE ? OMA_RESOURCE : OMA_INSTANCE;
    for (size_t i = 0; i < count; i++) {
        const oma_path *path = &leaves[i].path;
        if (path->count < OMA_RESOURCE)
            return fail(err, BRIDGE_UNPROCESSABLE, "TLV: a value that belongs to no resource");
        if (memcmp(path->id, leaves[0].path.id, (size_t)(top - 1) * sizeof *path->id) != 0)
            return fail(err, BRIDGE_UNPROCESSABLE, "TLV: values of more than one object or instance");
    }
    return put_level(out, leaves, count, top, err);
}

typedef struct guesser {
    bridge_record_fn fn;
    void *user;
} guesser;

static int guess(void *user, const bridge_record *record)
{
    const guesser *g = user;
    bridge_record r = *record;

    tlv_guess(&r);
    return g->fn(g->user, &r);
}

static int tlv_codec_read(bridge_scratch *s, const char *base, double now, const void *data, size_t len,
                          bridge_record_fn fn, void *user, bridge_error *err)
{
    (void)now;
    return tlv_read(s, base, data, len, guess, &(guesser){fn, user}, err);
}

const bridge_codec tlv_codec = {sizeof(bridge_codec), BRIDGE_TLV, "tlv", "application/vnd.oma.lwm2m+tlv",
                                tlv_codec_read,       tlv_write};
