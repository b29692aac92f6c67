#include "codec/base64.h"
#include "codec/cbor.h"
#include "codec/json.h"
#include "codec/senml.h"
#include <math.h>

const char *const senml_names[SENML_OTHER] = {"bs", "bv", "bu", "bt", "bn", "bver", "n",  "u",
                                              "v",  "vs", "vb", "s",  "t",  "ut",   "vd", "vlo"};

/* ---- labels */

static senml_label label_of_name(const char *p, size_t len)
{
    if (len == 1) {
        switch (*p) {
        case 'n': return SENML_N;
        case 'u': return SENML_U;
        case 'v': return SENML_V;
        case 's': return SENML_S;
        case 't': return SENML_T;
        default: return SENML_OTHER;
        }
    }
    for (int i = 0; i < SENML_OTHER; i++)
        if (strlen(senml_names[i]) == len && memcmp(senml_names[i], p, len) == 0) return (senml_label)i;
    return SENML_OTHER;
}

/* RFC 8428 4.4: a field that ends in '_' must be understood or the pack is refused; others may be ignored. */
static int on_label(senml_reader *r, const item *it)
{
    if (it->kind == ITEM_STRING) {
        r->label = label_of_name(it->p, it->len);
        if (r->label == SENML_OTHER && it->len && it->p[it->len - 1] == '_')
            return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: field \"%.*s\" must be understood and is not",
                        it->len > 40 ? 40 : (int)it->len, it->p);
    } else if (it->kind == ITEM_INT && it->i >= -6 && it->i <= 8) {
        r->label = (senml_label)(it->i + 6);
    } else {
        r->label = SENML_OTHER;
    }
    if (r->label == SENML_OTHER) return 0;
    if (r->seen >> r->label & 1)
        return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: field \"%s\" twice in a record", senml_names[r->label]);
    r->seen |= 1u << r->label;
    return 0;
}

static int on_field(senml_reader *r, const item *it)
{
    bool ok;

    if (r->etch && it->kind == ITEM_NULL && r->label >= SENML_V && r->label < SENML_OTHER) {
        r->removes = true;
        r->seen &= ~(1u << r->label);
        return 0;
    }
    switch (r->label) {
    case SENML_OTHER: return 0;
    case SENML_BN:
    case SENML_BU:
    case SENML_N:
    case SENML_U:
    case SENML_VS:
    case SENML_VLO: ok = it->kind == ITEM_STRING; break;
    case SENML_VD: ok = it->kind == (r->json ? ITEM_STRING : ITEM_BYTES); break;
    case SENML_VB: ok = it->kind == ITEM_BOOL; break;
    default: ok = item_is_number(it) && (it->kind != ITEM_REAL || isfinite(it->d) || it->p);
    }
    if (!ok) return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: field \"%s\" has the wrong type", senml_names[r->label]);
    r->fields[r->label] = *it;
    return 0;
}

/* ---- a record */

bool senml_name_ok(const char *p, size_t len, bool first)
{
    /* clang-format off */
    static const uint8_t ok[256] = { /* 1: anywhere, 2: not in front */
        ['0'] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        ['A'] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        ['a'] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        ['/'] = 1, ['-'] = 2, [':'] = 2, ['.'] = 2, ['_'] = 2,
    };
    /* clang-format on */

    if (len == 0) return true;
    if (first && ok[(uint8_t)p[0]] == 2) return false;
    for (size_t i = 0; i < len; i++)
        if (!ok[(uint8_t)p[i]]) return false;
    return true;
}

void senml_set_name(bridge_record *out, const char *base, const char *name)
{
    const char *b = base[0] == '/' ? base + 1 : base, *n = name[0] == '/' ? name + 1 : name;
    size_t len = strlen(b);

    out->name = name;
    out->absolute = false;
    if (name[0] == 0) return;
    out->absolute = true;
    if (len == 0 || strncmp(b, n, len) != 0 || (b[len - 1] != '/' && n[len] != '/' && n[len] != 0)) return;
    out->name = n + len + (n[len] == '/');
    out->absolute = false;
}

static bool has(const senml_reader *r, senml_label label)
{
    return r->seen >> label & 1;
}

static int unit_text(senml_reader *r, const item *it, const char **out)
{
    if (it->len == r->unit_len && r->unit_text && memcmp(it->p, r->unit_text, it->len) == 0) {
        *out = r->unit_text;
        return 0;
    }
    if (memchr(it->p, 0, it->len) || it->len > 255) return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: bad unit");
    r->unit_text = scratch_text(r->scratch, it->p, it->len);
    if (!r->unit_text) return scratch_fail(r->scratch, r->err);
    r->unit_len = it->len;
    *out = r->unit_text;
    return 0;
}

/* RFC 8428 4.4: all of a pack has one version; 9100 made bits of it. */
static int check_version(senml_reader *r)
{
    const item *it = &r->fields[SENML_BVER];

    if (it->kind != ITEM_INT || it->i < 1 || (it->i > SENML_VERSION && it->i != SENML_SECONDARY_UNITS))
        return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: version not supported");
    if (r->version && r->version != (uint64_t)it->i)
        return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: two versions in a pack");
    r->version = (uint64_t)it->i;
    return 0;
}

static int take_bases(senml_reader *r)
{
    const item *f = r->fields;
    int rc = 0;

    if (has(r, SENML_BVER)) rc = check_version(r);
    if (has(r, SENML_BN)) {
        r->bn = (text){f[SENML_BN].p, f[SENML_BN].len};
        if (!senml_name_ok(r->bn.p, r->bn.len, true)) return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: bad base name");
    }
    if (has(r, SENML_BT)) r->bt = item_real(&f[SENML_BT]);
    if (has(r, SENML_BV)) r->bv = f[SENML_BV];
    if (has(r, SENML_BS)) r->bs = item_real(&f[SENML_BS]), r->has_bs = true;
    if (rc == 0 && has(r, SENML_BU)) rc = unit_text(r, &f[SENML_BU], &r->bu);
    return rc;
}

static int set_name(senml_reader *r, bridge_record *out)
{
    const item *n = &r->fields[SENML_N];
    size_t more = has(r, SENML_N) ? n->len : 0, len = r->bn.len + more;
    char *name;

    if (len > CODEC_MAX_NAME) return fail(r->err, BRIDGE_TOOBIG, "SenML: name with more than %d bytes", CODEC_MAX_NAME);
    if (len == 0) return out->name = "", 0;
    if (more && !senml_name_ok(n->p, more, r->bn.len == 0))
        return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: bad name");
    name = scratch_aligned(r->scratch, len + 1, 1);
    if (!name) return scratch_fail(r->scratch, r->err);
    memcpy(name, r->bn.p, r->bn.len);
    if (more) memcpy(name + r->bn.len, n->p, more);
    name[len] = 0;
    senml_set_name(out, r->base, name);
    return 0;
}

/* RFC 8428 4.5.3: below 2^28 seconds a time is relative to now. */
static void set_time(senml_reader *r, bridge_record *out)
{
    double t = r->bt + (has(r, SENML_T) ? item_real(&r->fields[SENML_T]) : 0);

    if (t != 0 && t < 268435456.0 && r->now > 0) t += r->now;
    out->time = t;
}

/* The base value is added (4.1): exactly for integers, else as doubles, and then there are no digits as written. */
static int set_number(senml_reader *r, bridge_record *out)
{
    item v = has(r, SENML_V) ? r->fields[SENML_V] : (item){.kind = ITEM_INT, .tag = ITEM_NO_TAG};
    int64_t sum;

    if (item_is_number(&r->bv) && item_real(&r->bv) != 0) {
        if (r->bv.kind == ITEM_INT && v.kind == ITEM_INT && !__builtin_add_overflow(r->bv.i, v.i, &sum))
            v = (item){.kind = ITEM_INT, .i = sum};
        else
            v = (item){.kind = ITEM_REAL, .d = item_real(&r->bv) + item_real(&v)};
        if (v.kind == ITEM_REAL && !isfinite(v.d))
            return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: value out of range");
    }
    out->type = v.kind == ITEM_INT ? BRIDGE_INT : v.kind == ITEM_UINT ? BRIDGE_UINT : BRIDGE_REAL;
    out->as.u = v.u;
    if (!v.p || v.kind != ITEM_REAL) return 0; /* whole numbers have one spelling */
    out->digits = scratch_text(r->scratch, v.p, v.len);
    return out->digits ? 0 : scratch_fail(r->scratch, r->err);
}

static int set_data(senml_reader *r, bridge_record *out)
{
    const item *it = &r->fields[SENML_VD];
    uint8_t *to;

    out->type = BRIDGE_OPAQUE;
    out->as.bytes.p = it->p;
    out->as.bytes.len = it->len;
    if (!r->json) return 0;
    to = scratch_aligned(r->scratch, it->len / 4 * 3 + 3, 1);
    if (!to) return scratch_fail(r->scratch, r->err);
    if (!base64_read(it->p, it->len, to, &out->as.bytes.len))
        return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: data are not base64url");
    out->as.bytes.p = to;
    return 0;
}

static int set_link(senml_reader *r, bridge_record *out)
{
    const item *it = &r->fields[SENML_VLO];
    text object, instance;
    uint64_t o, i;

    text_cut((text){it->p, it->len}, ':', &object, &instance);
    if (!text_to_u64(object, 65535, &o) || !text_to_u64(instance, 65535, &i))
        return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: bad object link");
    out->type = BRIDGE_OBJLNK;
    out->as.link.object = (uint16_t)o;
    out->as.link.instance = (uint16_t)i;
    return 0;
}

/* RFC 8428 4.2: one value at most; none only with a sum, or to name what is meant. */
static int set_value(senml_reader *r, bridge_record *out)
{
    uint32_t values = r->seen & (1u << SENML_V | 1u << SENML_VS | 1u << SENML_VB | 1u << SENML_VD | 1u << SENML_VLO);

    if (values & (values - 1)) return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: two values in a record");
    if (has(r, SENML_V) || (!values && item_is_number(&r->bv) && !has(r, SENML_S) && !r->etch))
        return set_number(r, out);
    if (has(r, SENML_VD)) return set_data(r, out);
    if (has(r, SENML_VLO)) return set_link(r, out);
    if (has(r, SENML_VB)) {
        out->type = BRIDGE_BOOL;
        out->as.b = r->fields[SENML_VB].b;
    } else if (has(r, SENML_VS)) {
        out->type = BRIDGE_STRING;
        out->as.bytes.p = r->fields[SENML_VS].p;
        out->as.bytes.len = r->fields[SENML_VS].len;
    }
    return 0;
}

static int on_record(senml_reader *r)
{
    bridge_record out = {.name = "", .unit = NULL};
    int rc = take_bases(r);

    if (rc) return rc;
    if (r->seen >> SENML_N == 0 && !r->removes) return 0; /* nothing but bases */
    out.unit = r->bu;
    if (has(r, SENML_U)) rc = unit_text(r, &r->fields[SENML_U], &out.unit);
    if (rc == 0) rc = set_name(r, &out);
    if (rc == 0) rc = set_value(r, &out);
    if (rc) return rc;
    set_time(r, &out);
    if (has(r, SENML_UT)) out.update = item_real(&r->fields[SENML_UT]);
    out.has_sum = has(r, SENML_S) || r->has_bs;
    if (out.has_sum) out.sum = r->bs + (has(r, SENML_S) ? item_real(&r->fields[SENML_S]) : 0);
    if (out.unit && !out.unit[0]) out.unit = NULL; /* "u":"" takes a base unit away */
    if (!isfinite(out.time) || !isfinite(out.sum) || !isfinite(out.update))
        return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: time or sum out of range");
    return r->fn(r->user, &out);
}

int senml_item(void *reader, const item *it)
{
    senml_reader *r = reader;
    bool opens = it->kind == ITEM_LIST || it->kind == ITEM_MAP;

    if (r->depth == 2) {
        if (it->key && !r->skip) return on_label(r, it);
        if (r->skip || opens) {
            r->skip += opens ? 1 : it->kind == ITEM_END ? -1 : 0;
            if (r->label != SENML_OTHER) return on_field(r, it); /* no field of ours is a list: says so */
            return 0;
        }
        if (it->kind != ITEM_END) return on_field(r, it);
        r->depth = 1;
        return on_record(r);
    }
    if (r->depth == 1 && it->kind == ITEM_MAP) {
        r->seen = 0;
        r->removes = false;
        r->depth = 2;
        return 0;
    }
    if (r->depth == 1 && it->kind == ITEM_END) return r->depth = 3, 0;
    if (r->depth == 0 && it->kind == ITEM_LIST) return r->depth = 1, 0;
    return fail(r->err, BRIDGE_UNPROCESSABLE, "SenML: a list of records expected");
}

void senml_reader_init(senml_reader *r, scratch *s, const char *base, double now, bool json, bridge_record_fn fn,
                       void *user, bridge_error *err)
{
    memset(r, 0, sizeof *r);
    r->scratch = s;
    r->base = base;
    r->now = now;
    r->json = json;
    r->fn = fn;
    r->user = user;
    r->err = err;
    r->bn.p = "";
}
