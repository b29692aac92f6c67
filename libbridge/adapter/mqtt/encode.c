/* adapter/mqtt/encode.c - packets to bytes: first the size, then the bytes into the caller's span. */
#include "adapter/mqtt/wire.h"
#include <string.h>

static size_t props_whole(const wire_packet *p, const wire_props *props)
{
    if (p->version != WIRE_V5) return 0;
    size_t size = wire_props_size(props);
    return size + wire_varint_size((uint32_t)size);
}

size_t wire_props_whole(const wire_packet *p)
{
    return props_whole(p, &p->props);
}

static bool no_props(const wire_packet *p)
{
    return p->version != WIRE_V5 || wire_props_size(&p->props) == 0;
}

/* Reason and properties may be left out at the end when they say nothing [5: 3.4.2.1, 3.14.2.1, 3.15.2.1]. */
static size_t tail_size(const wire_packet *p)
{
    if (p->version != WIRE_V5 || (p->reason == 0 && no_props(p))) return 0;
    return no_props(p) && p->type != WIRE_AUTH ? 1 : 1 + props_whole(p, &p->props);
}

static size_t connect_size(const wire_packet *p)
{
    const wire_connect *k = &p->connect;
    size_t size = (p->version == WIRE_V31 ? 8 : 6) + 4 + props_whole(p, &p->props) + 2 + k->client_id.len;
    if (k->has_will) size += props_whole(p, &k->will) + 4 + k->will_topic.len + k->will_payload.len;
    if (k->user.p) size += 2 + k->user.len;
    if (k->password.p) size += 2 + k->password.len;
    return size;
}

static size_t body_size(const wire_packet *p)
{
    switch (p->type) {
    case WIRE_CONNECT: return connect_size(p);
    case WIRE_CONNACK: return 2 + props_whole(p, &p->props);
    case WIRE_PUBLISH:
        return 2 + p->publish.topic.len + (p->publish.qos ? 2 : 0) + props_whole(p, &p->props) +
               (size_t)p->publish.payload.len;
    case WIRE_PUBACK:
    case WIRE_PUBREC:
    case WIRE_PUBREL:
    case WIRE_PUBCOMP: return 2 + tail_size(p);
    case WIRE_SUBSCRIBE:
    case WIRE_UNSUBSCRIBE:
    case WIRE_SUBACK: return 2 + props_whole(p, &p->props) + p->list.entries.len;
    case WIRE_UNSUBACK: return p->version == WIRE_V5 ? 2 + props_whole(p, &p->props) + p->list.entries.len : 2;
    case WIRE_DISCONNECT:
    case WIRE_AUTH: return tail_size(p);
    default: return 0;
    }
}

size_t wire_measure(const wire_packet *p)
{
    size_t body = body_size(p);
    return body > WIRE_MAX_REMAINING ? 0 : 1 + wire_varint_size((uint32_t)body) + body;
}

/* ---- writing */

static uint8_t *bytes_write(uint8_t *out, wire_slice s)
{
    if (s.len) memcpy(out, s.p, s.len);
    return out + s.len;
}

static uint8_t *counted_write(uint8_t *out, wire_slice s)
{
    return bytes_write(wire_u16_write(out, s.len), s);
}

static uint8_t *props_write(const wire_packet *p, const wire_props *props, uint8_t *out)
{
    return p->version == WIRE_V5 ? wire_props_write(props, wire_props_size(props), out) : out;
}

static uint8_t *tail_write(const wire_packet *p, uint8_t *out)
{
    size_t size = tail_size(p);
    if (size > 0) *out++ = p->reason;
    return size > 1 ? props_write(p, &p->props, out) : out;
}

static uint8_t *connect_write(const wire_packet *p, uint8_t *out)
{
    const wire_connect *k = &p->connect;
    const char *name = p->version == WIRE_V31 ? "MQIsdp" : "MQTT";
    unsigned bits = k->clean ? 2 : 0;
    if (k->has_will) bits |= 4u | (unsigned)k->will_qos << 3 | (k->will_retain ? 0x20u : 0);
    if (k->password.p) bits |= 0x40;
    if (k->user.p) bits |= 0x80;
    out = counted_write(out, (wire_slice){(const uint8_t *)name, (uint32_t)strlen(name)});
    *out++ = (uint8_t)(p->version | (k->bridge ? 0x80 : 0));
    *out++ = (uint8_t)bits;
    out = wire_u16_write(out, k->keep_alive);
    out = counted_write(props_write(p, &p->props, out), k->client_id);
    if (k->has_will) {
        out = counted_write(props_write(p, &k->will, out), k->will_topic);
        out = counted_write(out, k->will_payload);
    }
    if (k->user.p) out = counted_write(out, k->user);
    return k->password.p ? counted_write(out, k->password) : out;
}

static uint8_t *publish_write(const wire_packet *p, uint8_t *out)
{
    out = counted_write(out, p->publish.topic);
    if (p->publish.qos) out = wire_u16_write(out, p->id);
    return props_write(p, &p->props, out);
}

static unsigned head_bits(const wire_packet *p)
{
    switch (p->type) {
    case WIRE_PUBLISH: return (p->publish.dup ? 8u : 0) | (unsigned)p->publish.qos << 1 | (p->publish.retain ? 1u : 0);
    case WIRE_PUBREL:
    case WIRE_SUBSCRIBE:
    case WIRE_UNSUBSCRIBE: return 2;
    default: return 0;
    }
}

uint8_t *wire_write_head(const wire_packet *p, uint8_t *out)
{
    *out++ = (uint8_t)(WIRE_PUBLISH << 4 | head_bits(p));
    return publish_write(p, wire_varint_write(out, (uint32_t)body_size(p)));
}

uint8_t *wire_write(const wire_packet *p, uint8_t *out)
{
    *out++ = (uint8_t)((unsigned)p->type << 4 | head_bits(p));
    out = wire_varint_write(out, (uint32_t)body_size(p));
    switch (p->type) {
    case WIRE_CONNECT: return connect_write(p, out);
    case WIRE_CONNACK:
        *out++ = p->session_present;
        *out++ = p->reason;
        return props_write(p, &p->props, out);
    case WIRE_PUBLISH: return bytes_write(publish_write(p, out), p->publish.payload);
    case WIRE_PUBACK:
    case WIRE_PUBREC:
    case WIRE_PUBREL:
    case WIRE_PUBCOMP: return tail_write(p, wire_u16_write(out, p->id));
    case WIRE_UNSUBACK:
        if (p->version != WIRE_V5) return wire_u16_write(out, p->id);
        /* fall through */
    case WIRE_SUBSCRIBE:
    case WIRE_UNSUBSCRIBE:
    case WIRE_SUBACK: return bytes_write(props_write(p, &p->props, wire_u16_write(out, p->id)), p->list.entries);
    case WIRE_DISCONNECT:
    case WIRE_AUTH: return tail_write(p, out);
    default: return out;
    }
}

uint8_t wire_connack_v3(uint8_t reason)
{
    switch (reason) {
    case WIRE_SUCCESS: return 0;
    case WIRE_BAD_VERSION: return 1;
    case WIRE_BAD_CLIENT_ID: return 2;
    case WIRE_BAD_LOGIN: return 4;
    case WIRE_NOT_AUTHORIZED:
    case WIRE_BANNED: return 5;
    default: return 3; /* server unavailable */
    }
}

const char *wire_type_name(unsigned type)
{
    static const char *const names[] = {"?",       "CONNECT",   "CONNACK", "PUBLISH",     "PUBACK",   "PUBREC",
                                        "PUBREL",  "PUBCOMP",   "SUBSCRIBE", "SUBACK",    "UNSUBSCRIBE", "UNSUBACK",
                                        "PINGREQ", "PINGRESP",  "DISCONNECT", "AUTH"};
    return type < sizeof names / sizeof *names ? names[type] : names[0];
}
