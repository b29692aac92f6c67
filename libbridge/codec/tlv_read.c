#include "codec/tlv.h"
#include <math.h>

/* Bits 7 and 6 of the first byte. */
enum { TLV_INSTANCE, TLV_RESOURCE_INSTANCE, TLV_MULTIPLE, TLV_RESOURCE };

typedef struct reader {
    scratch *scratch;
    oma_path base;
    bridge_record_fn fn;
    void *user;
    bridge_error *err;
    const uint8_t *start;
} reader;

typedef struct tlv {
    int kind;
    uint16_t id;
    const uint8_t *value;
    size_t len;
} tlv;

static int bad(reader *r, const uint8_t *at, const char *what)
{
    return fail(r->err, BRIDGE_SYNTAX, "TLV: %s at byte %zu", what, (size_t)(at - r->start));
}

static int next_tlv(reader *r, const uint8_t **at, const uint8_t *end, tlv *out)
{
    const uint8_t *p = *at;
    int first = *p++, id_bytes = first & 0x20 ? 2 : 1, len_bytes = first >> 3 & 3;

    if (end - p < id_bytes + len_bytes) return bad(r, *at, "cut short");
    out->kind = first >> 6;
    out->id = *p++;
    if (id_bytes == 2) out->id = (uint16_t)(out->id << 8 | *p++);
    out->len = len_bytes ? 0 : (size_t)(first & 7);
    for (int i = 0; i < len_bytes; i++)
        out->len = out->len << 8 | *p++;
    if (out->len > (size_t)(end - p)) return bad(r, *at, "value longer than the data");
    out->value = p;
    *at = p + out->len;
    return 0;
}

static int on_value(reader *r, const oma_path *path, const tlv *t)
{
    bridge_record out = {.type = BRIDGE_OPAQUE, .as.bytes = {t->value, t->len}};
    int rc = oma_name(r->scratch, &r->base, path, &out.name, r->err);

    if (rc) return rc;
    out.absolute = out.name[0] == '/';
    return r->fn(r->user, &out);
}

/* level: of what may stand here; OMA_OBJECT means the top, where anything may. */
static int read_level(reader *r, const uint8_t *p, const uint8_t *end, int level, const oma_path *above)
{
    static const int levels[] = {OMA_INSTANCE, OMA_RESOURCE_INSTANCE, OMA_RESOURCE, OMA_RESOURCE};

    while (p < end) {
        const uint8_t *at = p;
        oma_path path = *above;
        int rc;
        tlv t = {0};
        rc = next_tlv(r, &p, end, &t);
        if (rc) return rc;
        if (level != OMA_OBJECT && levels[t.kind] != level) return bad(r, at, "a kind that cannot stand here");
        path.count = levels[t.kind]; /* what the base does not say is taken for 0 */
        path.id[path.count - 1] = t.id;
        if (t.kind == TLV_INSTANCE)
            rc = read_level(r, t.value, t.value + t.len, OMA_RESOURCE, &path);
        else if (t.kind == TLV_MULTIPLE)
            rc = read_level(r, t.value, t.value + t.len, OMA_RESOURCE_INSTANCE, &path);
        else
            rc = on_value(r, &path, &t);
        if (rc) return rc;
    }
    return 0;
}

int tlv_read(scratch *s, const char *base, const void *data, size_t len, bridge_record_fn fn, void *user,
             bridge_error *err)
{
    reader r = {.scratch = s, .base = oma_base(base), .fn = fn, .user = user, .err = err, .start = data};

    if (r.base.count == 0) /* no device's path: an object or an instance of something, as the first byte says */
        r.base.count = len && *r.start >> 6 == TLV_INSTANCE ? OMA_OBJECT : OMA_INSTANCE;
    return read_level(&r, data, (const uint8_t *)data + len, OMA_OBJECT, &r.base);
}

/* ---- values */

static bool to_int(const uint8_t *p, size_t len, int64_t *out)
{
    uint64_t v = len && p[0] & 0x80 ? UINT64_MAX : 0; /* two's complement, network order */

    if (len != 1 && len != 2 && len != 4 && len != 8) return false;
    for (size_t i = 0; i < len; i++)
        v = v << 8 | p[i];
    *out = (int64_t)v;
    return true;
}

static bool to_real(const uint8_t *p, size_t len, double *out)
{
    int64_t bits;
    uint32_t bits32;
    float f;

    if ((len != 4 && len != 8) || !to_int(p, len, &bits)) return false;
    if (len == 8) return memcpy(out, &bits, 8), true;
    bits32 = (uint32_t)bits;
    memcpy(&f, &bits32, 4);
    *out = (double)f;
    return true;
}

bool tlv_type(bridge_record *r, bridge_type type)
{
    const uint8_t *p = r->as.bytes.p;
    size_t len = r->as.bytes.len;
    bridge_record out = *r;
    int64_t i = 0;

    switch (type) {
    case BRIDGE_STRING:
        if (!text_is_utf8(p, len)) return false;
        break;
    case BRIDGE_OPAQUE: break;
    case BRIDGE_BOOL:
        if (len != 1 || p[0] > 1) return false;
        out.as.b = p[0];
        break;
    case BRIDGE_INT:
        if (!to_int(p, len, &i)) return false;
        out.as.i = i;
        break;
    case BRIDGE_UINT: /* LwM2M 1.1 C: unsigned, in as many bytes as an integer */
        if (!to_int(p, len, &i)) return false;
        out.as.u = len == 8 ? (uint64_t)i : (uint64_t)i & (((uint64_t)1 << 8 * len) - 1);
        if (out.as.u <= INT64_MAX) type = BRIDGE_INT;
        break;
    case BRIDGE_REAL:
        if (!to_real(p, len, &out.as.d)) return false;
        break;
    case BRIDGE_OBJLNK:
        if (len != 4) return false;
        out.as.link.object = (uint16_t)(p[0] << 8 | p[1]);
        out.as.link.instance = (uint16_t)(p[2] << 8 | p[3]);
        break;
    default: return false;
    }
    out.type = type;
    *r = out;
    return true;
}

static bool printable(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] < 0x20 || p[i] == 0x7f) return false;
    return text_is_utf8(p, len);
}

static bool letters(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((p[i] | 32) >= 'a' && (p[i] | 32) <= 'z')) return false;
    return true;
}

/* As a measurement would be: no denormal, nothing astronomic. */
static bool likely_real(const bridge_record *r)
{
    double d, size;

    if (!to_real(r->as.bytes.p, r->as.bytes.len, &d) || !isfinite(d)) return false;
    size = fabs(d);
    return size > 1e-6 && size < (r->as.bytes.len == 4 ? 1e7 : 1e12);
}

void tlv_guess(bridge_record *r)
{
    const uint8_t *p = r->as.bytes.p;
    size_t len = r->as.bytes.len;
    bool number = len == 1 || len == 2 || len == 4 || len == 8, text_like = printable(p, len);

    if (text_like &&
        (!number || (len > 2 && !likely_real(r)) || (len == 2 && letters(p, len)) || (len > 2 && letters(p, len))))
        tlv_type(r, BRIDGE_STRING);
    else if (number && likely_real(r))
        tlv_type(r, BRIDGE_REAL);
    else if (number)
        tlv_type(r, BRIDGE_INT);
}
