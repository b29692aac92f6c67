/* adapter/mqtt/props.c - the properties of MQTT 5 (2.2.2), read and written from one table. */
#include "adapter/mqtt/wire.h"
#include <string.h>

enum kind { NONE, FLAG, U16, U16_NOT_0, ALIAS, U32, U32_NOT_0, VARINT, TEXT, TOPIC, BYTES, PAIR };

typedef struct rule {
    uint8_t kind;
    uint16_t offset; /* of its field in wire_props */
    uint32_t on;     /* packets that may carry it */
} rule;

#define ON(type) (1u << WIRE_##type)
#define RULE(id, name, kind, field, on) [id] = {kind, offsetof(wire_props, field), on},
static const rule rules[WIRE_PROP_LAST + 1] = {WIRE_PROPS(RULE)};
#undef RULE
#undef ON

bool wire_varint(wire_cursor *c, uint32_t *out)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4 && c->p < c->end; ++i) {
        uint8_t byte = *c->p++;
        value |= (uint32_t)(byte & 127) << 7 * i;
        if (byte < 128) {
            *out = value;
            return i == 0 || byte != 0;
        }
    }
    return false;
}

static int number_parse(wire_cursor *c, enum kind kind, void *field)
{
    uint16_t n16;
    switch (kind) {
    case FLAG:
        if (!wire_u8(c, field)) return WIRE_MALFORMED;
        return *(uint8_t *)field > 1 ? WIRE_PROTOCOL_ERROR : 0;
    case U16:
    case U16_NOT_0:
    case ALIAS:
        if (!wire_u16(c, &n16)) return WIRE_MALFORMED;
        memcpy(field, &n16, sizeof n16);
        if (n16 != 0 || kind == U16) return 0;
        return kind == ALIAS ? WIRE_BAD_ALIAS : WIRE_PROTOCOL_ERROR; /* [5: 3.3.2-8] */
    case U32:
    case U32_NOT_0: {
        if (c->end - c->p < 4) return WIRE_MALFORMED;
        uint32_t n32 = (uint32_t)c->p[0] << 24 | (uint32_t)c->p[1] << 16 | (uint32_t)c->p[2] << 8 | c->p[3];
        memcpy(field, &n32, sizeof n32);
        c->p += 4;
        return n32 == 0 && kind == U32_NOT_0 ? WIRE_PROTOCOL_ERROR : 0;
    }
    default: return WIRE_MALFORMED;
    }
}

static int value_parse(wire_cursor *c, enum kind kind, bool first, wire_props *out, void *field, bool strict)
{
    wire_slice s;
    uint32_t n;
    switch (kind) {
    case VARINT:
        if (!wire_varint(c, &n)) return WIRE_MALFORMED;
        if (first) out->subscription_id = n;
        return n == 0 ? WIRE_PROTOCOL_ERROR : 0; /* [5: 3.8.2.1.2] */
    case PAIR:
        if (!wire_bytes(c, &s) || !wire_text_ok(s, strict)) return WIRE_MALFORMED;
        if (!wire_bytes(c, &s) || !wire_text_ok(s, strict)) return WIRE_MALFORMED;
        return 0;
    case TEXT:
    case TOPIC:
    case BYTES:
        if (!wire_bytes(c, &s) || (kind != BYTES && !wire_text_ok(s, strict))) return WIRE_MALFORMED;
        if (kind == TOPIC && !wire_topic_ok(s, strict)) return WIRE_PROTOCOL_ERROR; /* [5: 3.3.2-14] */
        memcpy(field, &s, sizeof s);
        return 0;
    default: return number_parse(c, kind, field);
    }
}

/* May identifier id stand here a second time?  [5: 2.2.2.2], and [5: 3.3.4-6] for identifiers in PUBLISH. */
static bool may_repeat(uint32_t id, wire_type type, unsigned flags)
{
    return id == WIRE_PROP_USER ||
           (id == WIRE_PROP_SUBSCRIPTION_ID && type == WIRE_PUBLISH && (flags & WIRE_FROM_SERVER) != 0);
}

int wire_props_parse(wire_cursor *c, wire_props *out, wire_type type, unsigned flags)
{
    uint32_t len, id;
    out->has = 0;
    out->extra = (wire_slice){NULL, 0};
    if (!wire_varint(c, &len) || (size_t)(c->end - c->p) < len) return WIRE_MALFORMED;
    out->raw = (wire_slice){c->p, len};
    wire_cursor in = {c->p, c->p + len};
    c->p += len;
    while (in.p < in.end) {
        if (!wire_varint(&in, &id) || id > WIRE_PROP_LAST || rules[id].kind == NONE) return WIRE_MALFORMED;
        const rule *r = &rules[id];
        out->wrong = (uint8_t)id;
        if (!(r->on >> type & 1)) return WIRE_MALFORMED; /* [5: 2.2.2.2] */
        bool again = out->has >> id & 1;
        out->has |= UINT64_C(1) << id;
        int rc = value_parse(&in, r->kind, !again, out, (char *)out + r->offset, (flags & WIRE_STRICT_TEXT) != 0);
        if (rc != 0) return rc;
        if (again && !may_repeat(id, type, flags)) return WIRE_PROTOCOL_ERROR;
    }
    out->wrong = 0;
    return 0;
}

/* Steps over one property of a section that has been checked; returns its identifier. */
static uint32_t skip_one(wire_cursor *c, wire_slice *a, wire_slice *b, uint32_t *n)
{
    uint32_t id = 0;
    if (!wire_varint(c, &id) || id > WIRE_PROP_LAST) return 0;
    switch (rules[id].kind) {
    case FLAG: c->p += 1; break;
    case U16:
    case U16_NOT_0:
    case ALIAS: c->p += 2; break;
    case U32:
    case U32_NOT_0: c->p += 4; break;
    case VARINT: wire_varint(c, n); break;
    case PAIR:
        if (!wire_bytes(c, a) || !wire_bytes(c, b)) return 0;
        break;
    default: wire_bytes(c, a);
    }
    return id;
}

static bool next_of(uint32_t wanted, wire_slice *rest, wire_slice *a, wire_slice *b, uint32_t *n)
{
    wire_cursor c = {rest->p, rest->p + rest->len};
    while (c.p < c.end) {
        uint32_t id = skip_one(&c, a, b, n);
        if (id == 0) return false;
        *rest = (wire_slice){c.p, (uint32_t)(c.end - c.p)};
        if (id == wanted) return true;
    }
    return false;
}

bool wire_next_user(wire_slice *rest, wire_slice *name, wire_slice *value)
{
    uint32_t unused;
    return next_of(WIRE_PROP_USER, rest, name, value, &unused);
}

bool wire_next_id(wire_slice *rest, uint32_t *id)
{
    wire_slice a, b;
    return next_of(WIRE_PROP_SUBSCRIPTION_ID, rest, &a, &b, id);
}

/* ---- writing: the single ones in the table's order, then props->extra */

static const uint64_t repeated = UINT64_C(1) << WIRE_PROP_USER | UINT64_C(1) << WIRE_PROP_SUBSCRIPTION_ID;

size_t wire_props_size(const wire_props *props)
{
    size_t size = props->extra.len;
    for (uint64_t left = props->has & ~repeated; left; left &= left - 1) {
        const rule *r = &rules[__builtin_ctzll(left)];
        const void *field = (const char *)props + r->offset;
        wire_slice s;
        switch (r->kind) {
        case FLAG: size += 2; break;
        case U16:
        case U16_NOT_0:
        case ALIAS: size += 3; break;
        case U32:
        case U32_NOT_0: size += 5; break;
        default: memcpy(&s, field, sizeof s); size += 3 + s.len;
        }
    }
    return size;
}

static uint8_t *slice_write(uint8_t *out, wire_slice s)
{
    out = wire_u16_write(out, s.len);
    if (s.len) memcpy(out, s.p, s.len);
    return out + s.len;
}

uint8_t *wire_props_write(const wire_props *props, size_t size, uint8_t *out)
{
    out = wire_varint_write(out, (uint32_t)size);
    for (uint64_t left = props->has & ~repeated; left; left &= left - 1) {
        unsigned id = (unsigned)__builtin_ctzll(left);
        const void *field = (const char *)props + rules[id].offset;
        uint16_t n16;
        uint32_t n32;
        wire_slice s;
        *out++ = (uint8_t)id;
        switch (rules[id].kind) {
        case FLAG: *out++ = *(const uint8_t *)field; break;
        case U16:
        case U16_NOT_0:
        case ALIAS:
            memcpy(&n16, field, sizeof n16);
            out = wire_u16_write(out, n16);
            break;
        case U32:
        case U32_NOT_0:
            memcpy(&n32, field, sizeof n32);
            out = wire_u16_write(wire_u16_write(out, n32 >> 16), n32 & 0xFFFF);
            break;
        default: memcpy(&s, field, sizeof s); out = slice_write(out, s);
        }
    }
    if (props->extra.len) memcpy(out, props->extra.p, props->extra.len);
    return out + props->extra.len;
}

size_t wire_user_size(size_t name_len, size_t value_len)
{
    return 5 + name_len + value_len;
}

uint8_t *wire_user_write(uint8_t *out, wire_slice name, wire_slice value)
{
    *out++ = WIRE_PROP_USER;
    return slice_write(slice_write(out, name), value);
}

uint8_t *wire_id_write(uint8_t *out, uint32_t id)
{
    *out++ = WIRE_PROP_SUBSCRIPTION_ID;
    return wire_varint_write(out, id);
}
