#include "codec/cast.h"
#include "codec/base64.h"
#include "codec/number.h"
#include "codec/tlv.h"
#include "core/record.h"
#include <math.h>

static text text_of_record(const bridge_record *r)
{
    return (text){r->as.bytes.p, r->as.bytes.len};
}

/* A string that is spelt as a number, as that number. */
static bool number_of_text(scratch *s, bridge_record *r)
{
    text t = text_trim(text_of_record(r));
    item it = {.tag = ITEM_NO_TAG};
    bridge_record value;

    if (t.len && *t.p == '+') t.p++, t.len--;
    if (number_parse(t.p, t.len, &it) || record_of_item(s, &it, &value, NULL)) return false;
    r->type = value.type;
    r->as = value.as;
    r->digits = value.digits;
    return true;
}

static bool to_bool(scratch *s, bridge_record *r)
{
    bool yes;

    (void)s;
    if (r->type == BRIDGE_STRING) {
        if (!text_to_bool(text_trim(text_of_record(r)), &yes)) return false;
        r->as.b = yes;
    } else {
        if (!record_is_number(r) || (record_real(r) != 0 && record_real(r) != 1)) return false;
        r->as.b = record_real(r) == 1;
    }
    r->digits = NULL;
    return true;
}

static bool to_int(scratch *s, bridge_record *r)
{
    if (r->type == BRIDGE_STRING && !number_of_text(s, r)) return false;
    if (r->type == BRIDGE_BOOL)
        r->as.i = r->as.b;
    else if (r->type == BRIDGE_REAL && (r->as.d != floor(r->as.d) || fabs(r->as.d) >= 9223372036854775808.0))
        return false;
    else if (r->type == BRIDGE_REAL)
        r->as.i = (int64_t)r->as.d;
    else if (r->type != BRIDGE_INT)
        return false;
    r->digits = NULL;
    return true;
}

static bool to_uint(scratch *s, bridge_record *r)
{
    if (r->type == BRIDGE_STRING && !number_of_text(s, r)) return false;
    return r->type == BRIDGE_UINT || (to_int(s, r) && r->as.i >= 0);
}

static bool to_real(scratch *s, bridge_record *r)
{
    if (r->type == BRIDGE_STRING && !number_of_text(s, r)) return false;
    if (!record_is_number(r)) return false;
    r->as.d = record_real(r);
    return true;
}

static bool to_string(scratch *s, bridge_record *r)
{
    char digits[NUMBER_ROOM], link[LINK_ROOM];
    size_t n = 0;
    item it;
    char *copy;

    item_of_record(r, &it, link);
    switch (it.kind) {
    case ITEM_BOOL: it.p = it.b ? "true" : "false", n = it.b ? 4 : 5; break;
    case ITEM_INT: n = number_int(it.i, digits); break;
    case ITEM_UINT: n = number_uint(it.u, digits); break;
    case ITEM_REAL: n = isfinite(it.d) ? number_real(it.d, digits) : 0; break;
    case ITEM_STRING: n = it.len; break;
    default: return false;
    }
    if (item_is_number(&it) && it.p) n = it.len;
    copy = scratch_text(s, it.p ? it.p : digits, n);
    r->as.bytes.p = copy;
    r->as.bytes.len = n;
    r->digits = NULL;
    return copy && (n || it.kind == ITEM_STRING);
}

static bool to_bytes(scratch *s, bridge_record *r)
{
    uint8_t *to;

    if (r->type != BRIDGE_STRING) return false;
    to = scratch_aligned(s, r->as.bytes.len + 3, 1);
    if (!to || !base64_read(r->as.bytes.p, r->as.bytes.len, to, &r->as.bytes.len)) return false;
    r->as.bytes.p = to;
    return true;
}

static bool to_link(scratch *s, bridge_record *r)
{
    uint64_t object, instance;
    text head, tail;

    (void)s;
    if (r->type != BRIDGE_STRING) return false;
    text_cut(text_of_record(r), ':', &head, &tail);
    if (!text_to_u64(head, 65535, &object) || !text_to_u64(tail, 65535, &instance)) return false;
    r->as.link.object = (uint16_t)object;
    r->as.link.instance = (uint16_t)instance;
    return true;
}

int record_cast(scratch *s, bridge_record *r, bridge_type type, bridge_error *err)
{
    static bool (*const ways[])(scratch *, bridge_record *) = {
        [BRIDGE_BOOL] = to_bool,     [BRIDGE_INT] = to_int,      [BRIDGE_UINT] = to_uint,   [BRIDGE_REAL] = to_real,
        [BRIDGE_STRING] = to_string, [BRIDGE_OPAQUE] = to_bytes, [BRIDGE_OBJLNK] = to_link,
    };
    bridge_record out = *r;
    bool ok;

    if (r->type == type) return 0;
    if (type <= BRIDGE_NIL || type >= BRIDGE_TREE) return fail(err, BRIDGE_INVALID, "no such type");
    if (r->type == BRIDGE_OPAQUE) {
        ok = tlv_type(&out, type);
    } else {
        ok = ways[type](s, &out);
        if (ok && !(type == BRIDGE_UINT && out.type == BRIDGE_INT)) out.type = type;
    }
    if (!ok)
        return fail(err, BRIDGE_UNPROCESSABLE, "\"%.60s\": a %s is not the %s it should be", r->name,
                    record_type_name(r->type), record_type_name(type));
    *r = out;
    return 0;
}
