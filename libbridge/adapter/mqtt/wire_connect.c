/* adapter/mqtt/wire_connect.c - reading CONNECT (3.1 of each standard), which says what all later packets mean. */
#include "adapter/mqtt/wire.h"
#include <string.h>

enum { CLEAN = 2, WILL = 4, WILL_QOS = 0x18, WILL_RETAIN = 0x20, PASSWORD = 0x40, USER = 0x80, BRIDGE_LEVEL = 0x80 };

static bool slice_is(wire_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

/* Name and level.  Leaves out->version 0 when the sender does not speak MQTT at all [5: 3.1.2-1]. */
static int version_parse(wire_packet *out, wire_cursor *c)
{
    wire_slice name;
    uint8_t level;
    if (!wire_bytes(c, &name)) return WIRE_MALFORMED;
    bool old = slice_is(name, "MQIsdp");
    if ((!old && !slice_is(name, "MQTT")) || !wire_u8(c, &level)) return WIRE_BAD_VERSION;
    out->connect.bridge = level & BRIDGE_LEVEL;
    level &= (uint8_t)~BRIDGE_LEVEL;
    out->version = level > WIRE_V5 ? WIRE_V5 : WIRE_V311; /* the form in which to answer "no" [5: 3.1.2-2; 3: 3.1.2-2] */
    if (old ? level != WIRE_V31 : level != WIRE_V311 && level != WIRE_V5) return WIRE_BAD_VERSION;
    out->version = level;
    return 0;
}

static int flags_check(uint8_t bits, unsigned version)
{
    if ((bits & 1) && version != WIRE_V31) return WIRE_MALFORMED;                      /* [5: 3.1.2-3] */
    if (!(bits & WILL) && (bits & (WILL_QOS | WILL_RETAIN)) && version != WIRE_V31)
        return WIRE_MALFORMED;                                                         /* [5: 3.1.2-11, -13] */
    if ((bits & WILL) && (bits & WILL_QOS) == WILL_QOS) return WIRE_MALFORMED;         /* [5: 3.1.2-12] */
    if ((bits & PASSWORD) && !(bits & USER) && version != WIRE_V5) return WIRE_MALFORMED; /* [3: 3.1.2-22] */
    return 0;
}

static int will_parse(wire_packet *out, wire_cursor *c, unsigned flags)
{
    wire_connect *k = &out->connect;
    bool strict = flags & WIRE_STRICT_TEXT;
    int rc = out->version == WIRE_V5 ? wire_props_parse(c, &k->will, WIRE_WILL, flags) : 0;
    if (rc != 0) {
        out->props.wrong = k->will.wrong;
        return rc;
    }
    if (!wire_bytes(c, &k->will_topic) || !wire_bytes(c, &k->will_payload)) return WIRE_MALFORMED; /* [5: 3.1.2-9] */
    if (wire_topic_ok(k->will_topic, strict)) return 0;
    out->fault = "topic of the will"; /* [5: 3.1.3-11] */
    return WIRE_MALFORMED;
}

/* User name and password.  MQTT 3.1 (3.1): the remaining length takes precedence over the flags. */
static int login_parse(wire_packet *out, wire_cursor *c, uint8_t bits, unsigned flags)
{
    wire_connect *k = &out->connect;
    bool lenient = out->version == WIRE_V31;
    if ((bits & USER) && !(lenient && c->p == c->end)) {
        if (!wire_bytes(c, &k->user) || !wire_text_ok(k->user, flags & WIRE_STRICT_TEXT)) return WIRE_MALFORMED;
    }
    if ((bits & PASSWORD) && !(lenient && c->p == c->end)) {
        if (!wire_bytes(c, &k->password)) return WIRE_MALFORMED;
    }
    return 0;
}

int wire_connect_parse(wire_packet *out, wire_cursor *c, unsigned flags)
{
    wire_connect *k = &out->connect;
    uint8_t bits;
    int rc = version_parse(out, c);
    if (rc != 0) return rc;
    bool bridge = k->bridge;
    *k = (wire_connect){.bridge = bridge};
    if (!wire_u8(c, &bits)) return WIRE_MALFORMED;
    out->fault = "connect flags";
    if ((rc = flags_check(bits, out->version)) != 0) return rc;
    out->fault = NULL;
    if (!wire_u16(c, &k->keep_alive)) return WIRE_MALFORMED;
    k->clean = bits & CLEAN;
    k->has_will = bits & WILL;
    k->will_retain = k->has_will && (bits & WILL_RETAIN);
    k->will_qos = k->has_will ? bits >> 3 & 3 : 0;
    if (out->version == WIRE_V5) {
        rc = wire_props_parse(c, &out->props, WIRE_CONNECT, flags);
        if (rc == 0 && (out->props.has & WIRE_HAS_AUTH_DATA) && !(out->props.has & WIRE_HAS_AUTH_METHOD))
            rc = WIRE_PROTOCOL_ERROR;                                                  /* [5: 3.1.2.11.10] */
        if (rc != 0) return rc;
    }
    if (!wire_bytes(c, &k->client_id)) return WIRE_MALFORMED;                          /* [5: 3.1.3-3] */
    if (!wire_text_ok(k->client_id, flags & WIRE_STRICT_TEXT)) {                       /* [5: 3.1.3-4] */
        out->fault = "client id";
        return WIRE_MALFORMED;
    }
    if (k->has_will && (rc = will_parse(out, c, flags)) != 0) return rc;
    return login_parse(out, c, bits, flags);
}

unsigned wire_peek_version(const uint8_t *p, size_t len)
{
    wire_packet packet = {.type = WIRE_CONNECT};
    unsigned header = 0;
    wire_frame(p, len, &header);
    wire_cursor c = {p + (header < len ? header : len), p + len};
    return version_parse(&packet, &c) == 0 ? packet.version : 0;
}
