/* adapter/mqtt/wire.c - framing, and reading every packet but CONNECT. */
#include "adapter/mqtt/wire.h"
#include <string.h>

int64_t wire_frame(const uint8_t *p, size_t n, unsigned *header_len)
{
    uint32_t left = 0;
    for (unsigned i = 1; i < WIRE_MAX_HEADER; ++i) {
        if (i >= n) return 0;
        left |= (uint32_t)(p[i] & 127) << 7 * (i - 1);
        if (p[i] < 128) {
            *header_len = i + 1;
            return (int64_t)i + 1 + left;
        }
    }
    return -1;
}

/* ---- reason codes a packet may carry [5: 2.4, 3.x.2.1] */

static const char ack_reasons[] = "\x00\x10\x80\x83\x87\x90\x91\x97\x99";
static const char rel_reasons[] = "\x00\x92";
static const char auth_reasons[] = "\x00\x18\x19";
static const char connack_reasons[] = "\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8A\x8C\x90\x95\x97\x99\x9A\x9B\x9C\x9D\x9F";
static const char client_goodbyes[] = "\x00\x04\x80\x81\x82\x83\x90\x93\x94\x95\x96\x97\x98\x99";
static const char server_goodbyes[] = "\x00\x80\x81\x82\x83\x87\x89\x8B\x8D\x8E\x8F\x90\x93\x94\x95\x96\x97\x98\x99\x9A\x9B\x9C"
                                      "\x9D\x9E\x9F\xA0\xA1\xA2";
static const char suback_reasons[] = "\x00\x01\x02\x80\x83\x87\x8F\x91\x97\x9E\xA1\xA2";
static const char unsuback_reasons[] = "\x00\x11\x80\x83\x87\x8F\x91";
#define IS_ONE_OF(list, code) (memchr(list, code, sizeof(list) - 1) != NULL)

static bool reason_ok(wire_type type, uint8_t code, unsigned flags)
{
    switch (type) {
    case WIRE_CONNACK: return IS_ONE_OF(connack_reasons, code);
    case WIRE_PUBACK:
    case WIRE_PUBREC: return IS_ONE_OF(ack_reasons, code);
    case WIRE_PUBREL:
    case WIRE_PUBCOMP: return IS_ONE_OF(rel_reasons, code);
    case WIRE_AUTH: return IS_ONE_OF(auth_reasons, code);
    case WIRE_DISCONNECT:
        return flags & WIRE_FROM_SERVER ? IS_ONE_OF(server_goodbyes, code) : IS_ONE_OF(client_goodbyes, code);
    default: return false;
    }
}

/* ---- packets */

static int bad(wire_packet *out, const char *what, int reason)
{
    out->fault = what;
    return reason;
}

static int props_if_v5(wire_packet *out, wire_cursor *c, unsigned flags)
{
    return out->version == WIRE_V5 ? wire_props_parse(c, &out->props, (wire_type)out->type, flags) : 0;
}

static int publish_parse(wire_packet *out, uint8_t head, wire_cursor *c, unsigned flags)
{
    wire_publish *m = &out->publish;
    m->qos = head >> 1 & 3;
    m->dup = head & 8;
    m->retain = head & 1;
    if (m->qos == 3) return bad(out, "QoS 3", WIRE_MALFORMED);                               /* [5: 3.3.1-4] */
    if (m->dup && m->qos == 0 && out->version != WIRE_V31)
        return bad(out, "DUP at QoS 0", WIRE_MALFORMED);                                     /* [5: 3.3.1-2] */
    if (!wire_bytes(c, &m->topic)) return bad(out, "topic", WIRE_MALFORMED);
    if (m->qos > 0) {
        if (!wire_u16(c, &out->id)) return WIRE_MALFORMED;
        if (out->id == 0) return bad(out, "packet identifier 0", WIRE_PROTOCOL_ERROR);       /* [5: 2.2.1-3] */
    }
    int rc = props_if_v5(out, c, flags);
    if (rc != 0) return rc;
    if (m->topic.len == 0) {                                                                 /* [5: 3.3.2.1] */
        if (out->version != WIRE_V5) return bad(out, "empty topic", WIRE_MALFORMED);
        if (!(out->props.has & WIRE_HAS_ALIAS)) return bad(out, "neither topic nor alias", WIRE_PROTOCOL_ERROR);
    } else if (!wire_topic_ok(m->topic, flags & WIRE_STRICT_TEXT)) {                         /* [5: 3.3.2-1, -2] */
        return bad(out, "topic", WIRE_MALFORMED);
    }
    if ((out->props.has & WIRE_HAS_SUBSCRIPTION_ID) && !(flags & WIRE_FROM_SERVER))          /* [5: 3.3.4-6] */
        return bad(out, "subscription identifier", WIRE_PROTOCOL_ERROR);
    m->payload = (wire_slice){c->p, (uint32_t)(c->end - c->p)};
    c->p = c->end;
    return 0;
}

/* PUBACK, PUBREC, PUBREL, PUBCOMP [5: 3.4 to 3.7] */
static int ack_parse(wire_packet *out, wire_cursor *c, unsigned flags)
{
    if (!wire_u16(c, &out->id)) return WIRE_MALFORMED;
    if (out->id == 0) return bad(out, "packet identifier 0", WIRE_PROTOCOL_ERROR);
    if (out->version != WIRE_V5 || c->p == c->end) return 0; /* a reason of 0 may be left out */
    wire_u8(c, &out->reason);
    if (!reason_ok((wire_type)out->type, out->reason, flags)) return bad(out, "reason code", WIRE_PROTOCOL_ERROR);
    return c->p == c->end ? 0 : props_if_v5(out, c, flags);
}

/* DISCONNECT, AUTH [5: 3.14, 3.15] */
static int goodbye_parse(wire_packet *out, wire_cursor *c, unsigned flags)
{
    if (out->version != WIRE_V5 || c->p == c->end) return 0;
    wire_u8(c, &out->reason);
    if (!reason_ok((wire_type)out->type, out->reason, flags)) return bad(out, "reason code", WIRE_PROTOCOL_ERROR);
    return c->p == c->end ? 0 : props_if_v5(out, c, flags);
}

static int connack_parse(wire_packet *out, wire_cursor *c, unsigned flags)
{
    uint8_t ack;
    if (!wire_u8(c, &ack) || !wire_u8(c, &out->reason) || ack > 1) return WIRE_MALFORMED; /* [5: 3.2.2-1] */
    out->session_present = ack;
    if (out->version != WIRE_V5) return out->reason > 5 ? WIRE_MALFORMED : 0;
    return reason_ok(WIRE_CONNACK, out->reason, flags) ? props_if_v5(out, c, flags) : WIRE_PROTOCOL_ERROR;
}

static int filter_parse(wire_cursor *c, const wire_packet *packet, wire_filter *out)
{
    uint8_t options = 0;
    if (!wire_bytes(c, &out->text)) return WIRE_MALFORMED;
    if (packet->type == WIRE_SUBSCRIBE && !wire_u8(c, &options)) return WIRE_MALFORMED;
    out->qos = options & 3;
    out->no_local = options & 4;
    out->keep_retain = options & 8;
    out->retain_handling = options >> 4 & 3;
    if (packet->version == WIRE_V5) {
        if (options & 0xC0) return WIRE_MALFORMED;                                           /* [5: 3.8.3-5] */
        return out->qos == 3 || out->retain_handling == 3 ? WIRE_PROTOCOL_ERROR : 0;         /* [5: 3.8.3.1] */
    }
    if (packet->version == WIRE_V311 && options > 2) return WIRE_MALFORMED;                  /* [3: 3-8.3-4] */
    return out->qos == 3 ? WIRE_MALFORMED : 0;
}

/* SUBSCRIBE, UNSUBSCRIBE [5: 3.8, 3.10] */
static int filters_parse(wire_packet *out, wire_cursor *c, unsigned flags)
{
    bool strict = flags & WIRE_STRICT_TEXT;
    wire_filter one;
    wire_slice group, filter;
    if (!wire_u16(c, &out->id)) return WIRE_MALFORMED;
    if (out->id == 0) return bad(out, "packet identifier 0", WIRE_PROTOCOL_ERROR);           /* [5: 2.2.1-3] */
    int rc = props_if_v5(out, c, flags);
    out->list = (wire_list){{c->p, (uint32_t)(c->end - c->p)}, 0};
    if (rc == 0 && c->p == c->end) return bad(out, "no filter", WIRE_PROTOCOL_ERROR);         /* [5: 3.8.3-2, 3.10.3-2] */
    for (; rc == 0 && c->p < c->end; ++out->list.count) {
        rc = filter_parse(c, out, &one);
        if (rc == 0 && !wire_filter_ok(one.text, strict)) rc = bad(out, "filter", WIRE_MALFORMED); /* [5: 4.7.1-1, -2] */
        if (rc == 0) {
            int shared = wire_share(one.text, &group, &filter);
            if (out->version == WIRE_V5 && (shared < 0 || (shared && one.no_local)))
                rc = bad(out, "shared subscription", WIRE_PROTOCOL_ERROR);                   /* [5: 4.8.2-1, 3.8.3-4] */
        }
    }
    return rc;
}

/* SUBACK, UNSUBACK [5: 3.9, 3.11] */
static int codes_parse(wire_packet *out, wire_cursor *c, unsigned flags)
{
    if (!wire_u16(c, &out->id)) return WIRE_MALFORMED;
    if (out->id == 0) return bad(out, "packet identifier 0", WIRE_PROTOCOL_ERROR);
    int rc = props_if_v5(out, c, flags);
    if (rc != 0) return rc;
    out->list = (wire_list){{c->p, (uint32_t)(c->end - c->p)}, (unsigned)(c->end - c->p)};
    if (out->version != WIRE_V5 && out->type == WIRE_UNSUBACK) return 0; /* has none; the end is checked by the caller */
    if (out->list.count == 0) return WIRE_MALFORMED;
    for (; c->p < c->end; ++c->p) {
        bool known = out->version != WIRE_V5     ? *c->p <= 2 || *c->p == 0x80
                     : out->type == WIRE_SUBACK ? IS_ONE_OF(suback_reasons, *c->p)
                                                : IS_ONE_OF(unsuback_reasons, *c->p);
        if (!known) return WIRE_PROTOCOL_ERROR;
    }
    return 0;
}

bool wire_next_filter(const wire_packet *packet, wire_slice *rest, wire_filter *out)
{
    wire_cursor c = {rest->p, rest->p + rest->len};
    if (rest->len == 0 || filter_parse(&c, packet, out) != 0) return false;
    *rest = (wire_slice){c.p, (uint32_t)(c.end - c.p)};
    return true;
}

/* The low four bits of the first byte [5: 2.1.3-1]; 3.1 also used them for DUP and QoS of PUBREL, (UN)SUBSCRIBE. */
static bool head_ok(uint8_t head, unsigned version)
{
    unsigned type = head >> 4;
    if (type == WIRE_PUBLISH) return true;
    if (version == WIRE_V31 && type != WIRE_CONNECT) return true;
    return (head & 15) == (type == WIRE_PUBREL || type == WIRE_SUBSCRIBE || type == WIRE_UNSUBSCRIBE ? 2 : 0);
}

static int body_parse(wire_packet *out, uint8_t head, wire_cursor *c, unsigned flags)
{
    switch (out->type) {
    case WIRE_CONNECT: return wire_connect_parse(out, c, flags);
    case WIRE_CONNACK: return connack_parse(out, c, flags);
    case WIRE_PUBLISH: return publish_parse(out, head, c, flags);
    case WIRE_PUBACK:
    case WIRE_PUBREC:
    case WIRE_PUBREL:
    case WIRE_PUBCOMP: return ack_parse(out, c, flags);
    case WIRE_SUBSCRIBE:
    case WIRE_UNSUBSCRIBE: return filters_parse(out, c, flags);
    case WIRE_SUBACK:
    case WIRE_UNSUBACK: return codes_parse(out, c, flags);
    case WIRE_PINGREQ:
    case WIRE_PINGRESP: return 0;
    case WIRE_DISCONNECT: return goodbye_parse(out, c, flags);
    case WIRE_AUTH: return out->version == WIRE_V5 ? goodbye_parse(out, c, flags) : WIRE_MALFORMED;
    default: return WIRE_MALFORMED;
    }
}

int wire_parse(wire_packet *out, const uint8_t *p, size_t len, unsigned version, unsigned flags)
{
    unsigned header = 0;
    int64_t whole = wire_frame(p, len, &header);
    out->version = (uint8_t)version;
    out->type = 0;
    out->fault = NULL;
    out->props.wrong = 0;
    if (whole <= 0 || (size_t)whole != len) return WIRE_MALFORMED;
    out->type = p[0] >> 4;
    out->reason = 0;
    out->id = 0;
    out->session_present = false;
    out->props.has = 0;
    out->props.raw = out->props.extra = (wire_slice){NULL, 0};
    if (out->type == WIRE_CONNECT) out->version = 0;
    if (!head_ok(p[0], version)) return bad(out, "flags", WIRE_MALFORMED);
    if (version == WIRE_V5 && header > 2 && p[header - 1] == 0) return WIRE_MALFORMED; /* [5: 1.5.5-1] */
    wire_cursor c = {p + header, p + len};
    int rc = body_parse(out, p[0], &c, flags);
    return rc == 0 && c.p != c.end ? bad(out, "more bytes than it has", WIRE_MALFORMED) : rc;
}
