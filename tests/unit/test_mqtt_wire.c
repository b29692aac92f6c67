/* The MQTT codec: strings, hand-made packets with their statement numbers, and random packets there and back. */
#include "adapter/mqtt/wire.h"
#include "check.h"
#include <stdlib.h>

static wire_slice s_of(const char *text)
{
    return (wire_slice){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static void strings(void)
{
    static const struct {
        const char *p;
        uint32_t len;
        bool text, strict, topic, filter;
    } t[] = {
        {"", 0, true, true, false, false},
        {"a", 1, true, true, true, true},
        {"/", 1, true, true, true, true},
        {"a//b", 4, true, true, true, true},
        {"12345678/12345678/x", 19, true, true, true, true},
        {"1234567\0", 8, false, false, false, false},
        {"12345678\0", 9, false, false, false, false},
        {"1234567#", 8, true, true, false, false},
        {"123456/#", 8, true, true, false, true},
        {"+", 1, true, true, false, true},
        {"+/b/+", 5, true, true, false, true},
        {"a+/b", 4, true, true, false, false},
        {"a/+b", 4, true, true, false, false},
        {"#/a", 3, true, true, false, false},
        {"#", 1, true, true, false, true},
        {"gr\xc3\xbc\xc3\x9f", 6, true, true, true, true},
        {"12345678\xf0\x9f\x92\xa1#", 13, true, true, false, false},
        {"\xc0\x80", 2, false, false, false, false},
        {"\xed\xa0\x80", 3, false, false, false, false},
        {"\xf4\x90\x80\x80", 4, false, false, false, false},
        {"\xe2\x82", 2, false, false, false, false},
        {"\xef\xbb\xbf", 3, true, true, true, true},  /* [5: 1.5.4-3] a BOM is a character */
        {"a\x01", 2, true, false, true, true},
        {"1234567\x1f", 8, true, false, true, true},
        {"1234567\x7f", 8, true, false, true, true},
        {"\xc2\x9f", 2, true, false, true, true},
        {"\xef\xbf\xbf", 3, true, false, true, true},
    };
    for (unsigned i = 0; i < sizeof t / sizeof *t; ++i) {
        wire_slice s = {(const uint8_t *)t[i].p, t[i].len};
        if (wire_text_ok(s, false) != t[i].text || wire_text_ok(s, true) != t[i].strict ||
            wire_topic_ok(s, false) != t[i].topic || wire_filter_ok(s, false) != t[i].filter) {
            fprintf(stderr, "string %u \"%s\"\n", i, t[i].p);
            check_failed++;
        }
    }
}

static void shares(void)
{
    wire_slice g, f;
    CHECK_INT(wire_share(s_of("a/b"), &g, &f), 0);
    CHECK_INT(wire_share(s_of("$shared/b"), &g, &f), 0);
    CHECK_INT(wire_share(s_of("$share/g/a/+"), &g, &f), 1);
    CHECK(g.len == 1 && f.len == 3 && memcmp(f.p, "a/+", 3) == 0);
    CHECK_INT(wire_share(s_of("$share/g//a"), &g, &f), 1);
    CHECK_INT(wire_share(s_of("$share"), &g, &f), -1);
    CHECK_INT(wire_share(s_of("$share/"), &g, &f), -1);
    CHECK_INT(wire_share(s_of("$share/g"), &g, &f), -1);
    CHECK_INT(wire_share(s_of("$share/g/"), &g, &f), -1);
    CHECK_INT(wire_share(s_of("$share//a"), &g, &f), -1);
    CHECK_INT(wire_share(s_of("$share/+/a"), &g, &f), -1);
}

static void frames(void)
{
    unsigned h = 0;
    CHECK_INT(wire_frame((const uint8_t *)"\xc0", 1, &h), 0);
    CHECK_INT(wire_frame((const uint8_t *)"\xc0\0", 2, &h), 2);
    CHECK_INT(wire_frame((const uint8_t *)"\x30\xff", 2, &h), 0);
    CHECK_INT(wire_frame((const uint8_t *)"\x30\xff\x7f", 3, &h), 3 + 16383);
    CHECK_INT(wire_frame((const uint8_t *)"\x30\xff\xff\xff\x7f", 5, &h), 5 + WIRE_MAX_REMAINING);
    CHECK_INT(wire_frame((const uint8_t *)"\x30\xff\xff\xff\xff", 5, &h), -1); /* [5: 1.5.5] */
}

/* packet in hex, version, from the server, what wire_parse() answers */
static const struct {
    const char *hex;
    int version, from_server, want;
} packets[] = {
    {"c000", 4, 0, 0},
    {"c100", 4, 0, 0x81},                                              /* [5: 2.1.3-1] */
    {"c10100", 4, 0, 0x81},
    {"0000", 5, 0, 0x81},
    {"f000", 4, 0, 0x81},
    {"f000", 5, 0, 0},
    {"f0021800", 5, 0, 0},
    {"f0020100", 5, 0, 0x82},
    {"300500016161", 4, 0, 0x81},                                      /* shorter than it says */
    {"30040001616d", 4, 0, 0},
    {"3004000161006d", 5, 0, 0x81},
    {"30050001610062", 5, 0, 0},
    {"3003000161", 4, 0, 0},
    {"3103000161", 3, 0, 0},
    {"3803000161", 4, 0, 0x81},                                        /* [5: 3.3.1-2] */
    {"3803000161", 3, 0, 0},
    {"36050001610001", 4, 0, 0x81},                                    /* [5: 3.3.1-4] */
    {"32050001610001", 4, 0, 0},
    {"32050001610000", 4, 0, 0x82},                                    /* [5: 2.2.1-3] */
    {"300300012b", 4, 0, 0x81},                                        /* [5: 3.3.2-2] */
    {"3003000123", 5, 0, 0x81},
    {"30020000", 4, 0, 0x81},                                          /* [3: 4.7.3-1] */
    {"3003000000", 5, 0, 0x82},                                        /* [5: 3.3.2.1] no topic, no alias */
    {"300600000323000 1", 5, 0, 0},
    {"3006000003230000", 5, 0, 0x94},                                  /* [5: 3.3.2-8] */
    {"300900000623000123 0001", 5, 0, 0x82},                           /* the same property twice */
    {"300600016102 0102", 5, 0, 0x82},                                 /* format indicator is 0 or 1 */
    {"300600016102 0101", 5, 0, 0},
    {"300600016102 0b01", 5, 0, 0x82},                                 /* [5: 3.3.4-6] */
    {"300600016102 0b01", 5, 1, 0},
    {"300800016104 0b010b02", 5, 1, 0},
    {"300600016102 0b00", 5, 1, 0x82},
    {"300700016103 0b8000", 5, 1, 0x81},                               /* [5: 1.5.5-1] */
    {"300600016102 1701", 5, 0, 0x81},                                 /* [5: 2.2.2.2] not in PUBLISH */
    {"300600016102 0401", 5, 0, 0x81},                                 /* no such property */
    {"300500016101 01", 5, 0, 0x81},
    {"300900016105 080002612b", 5, 0, 0x82},                           /* [5: 3.3.2-14] */
    {"300b00016107 26000161000162", 5, 0, 0},
    {"400200 01", 4, 0, 0},
    {"400200 00", 4, 0, 0x82},
    {"40030001 00", 4, 0, 0x81},
    {"40030001 10", 5, 0, 0},
    {"40030001 11", 5, 0, 0x82},
    {"40040001 0000", 5, 0, 0},
    {"40080001 00041f000161", 5, 0, 0},
    {"400a0001 0006 1f0002 ff61", 5, 0, 0x81},
    {"6002 0001", 4, 0, 0x81},                                         /* [5: 3.6.1-1] */
    {"6002 0001", 3, 0, 0},
    {"6202 0001", 4, 0, 0},
    {"6203 0001 92", 5, 0, 0},
    {"8206 0001 0001 70 00", 4, 0, 0},
    {"8006 0001 0001 70 00", 4, 0, 0x81},                              /* [5: 3.8.1-1] */
    {"8206 0001 0001 70 03", 4, 0, 0x81},
    {"8206 0001 0001 70 04", 4, 0, 0x81},
    {"8202 0001", 4, 0, 0x82},                                         /* [5: 3.8.3-2] */
    {"8205 0001 0001 70", 4, 0, 0x81},
    {"8207 0001 00 0001 70 2e", 5, 0, 0},
    {"8207 0001 00 0001 70 30", 5, 0, 0x82},
    {"8207 0001 00 0001 70 40", 5, 0, 0x81},                           /* [5: 3.8.3-5] */
    {"8210 0001 00 000a 24736861 72652f67 2f70 04", 5, 0, 0x82},       /* [5: 3.8.3-4] */
    {"8210 0001 00 000a 24736861 72652f67 2f70 00", 5, 0, 0},
    {"820f 0001 00 0009 24736861 72652f67 2f 00", 5, 0, 0x82},         /* [5: 4.8.2-1] */
    {"8209 0001 02 0b00 0001 70 00", 5, 0, 0x82},
    {"820b 0001 04 0b010b01 0001 70 00", 5, 0, 0x82},
    {"a205 0001 0001 70", 4, 0, 0},
    {"a202 0001", 4, 0, 0x82},                                         /* [5: 3.10.3-2] */
    {"a207 0001 00 0002 2370", 5, 0, 0x81},                            /* [5: 4.7.1-1] */
    {"9003 0001 80", 4, 1, 0},
    {"9003 0001 03", 4, 1, 0x82},
    {"b004 0001 00 11", 5, 1, 0},
    {"b002 0001", 4, 1, 0},
    {"b003 0001 00", 4, 1, 0x81},
    {"e000", 4, 0, 0},
    {"e00100", 4, 0, 0x81},
    {"e00104", 5, 0, 0},
    {"e00104", 5, 1, 0x82},
    {"e007 00 05 1100000001", 5, 0, 0},
    {"2002 0000", 4, 1, 0},
    {"2002 0200", 4, 1, 0x81},                                         /* [5: 3.2.2-1] */
    {"2003 0000 00", 5, 1, 0},
    {"2005 0000 022102", 5, 1, 0x81},
    /* CONNECT */
    {"100d 0004 4d515454 04 02 000a 0001 70", 0, 0, 0},
    {"100f 0006 4d5149736470 03 02 000a 0001 70", 0, 0, 0},
    {"100d 0004 4d515454 84 02 000a 0001 70", 0, 0, 0},
    {"100e 0004 4d515454 05 02 000a 00 0001 70", 0, 0, 0},
    {"110d 0004 4d515454 04 02 000a 0001 70", 0, 0, 0x81},
    {"100d 0004 4d515455 04 02 000a 0001 70", 0, 0, 0x84},             /* [5: 3.1.2-1] */
    {"100d 0004 4d515454 06 02 000a 0001 70", 0, 0, 0x84},             /* [5: 3.1.2-2] */
    {"100d 0004 4d515454 04 03 000a 0001 70", 0, 0, 0x81},             /* [5: 3.1.2-3] */
    {"100d 0004 4d515454 04 0a 000a 0001 70", 0, 0, 0x81},             /* [5: 3.1.2-11] */
    {"100d 0004 4d515454 04 22 000a 0001 70", 0, 0, 0x81},             /* [5: 3.1.2-13] */
    {"1013 0004 4d515454 04 1e 000a 0001 70 0001 70 0001 70", 0, 0, 0x81}, /* [5: 3.1.2-12] */
    {"1013 0004 4d515454 04 06 000a 0001 70 0001 70 0001 70", 0, 0, 0},
    {"1013 0004 4d515454 04 06 000a 0001 70 0001 2b 0001 70", 0, 0, 0x81},
    {"1010 0004 4d515454 04 42 000a 0001 70 0001 70", 0, 0, 0x81},     /* [3: 3.1.2-22] */
    {"1011 0004 4d515454 05 42 000a 00 0001 70 0001 70", 0, 0, 0},
    {"100d 0004 4d515454 04 82 000a 0001 70", 0, 0, 0x81},             /* [5: 3.1.2-17] */
    {"100f 0006 4d5149736470 03 c2 000a 0001 70", 0, 0, 0},            /* 3.1: the length wins */
    {"1010 0004 4d515454 04 02 000a 0001 70 0001 70", 0, 0, 0x81},     /* [5: 3.1.2-16] */
    {"1013 0004 4d515454 05 02 000a 05 160002 6161 0001 70", 0, 0, 0x82}, /* data without method */
    {"1011 0004 4d515454 05 02 000a 03 210000 0001 70", 0, 0, 0x82},
    {"1013 0004 4d515454 05 02 000a 05 2700000000 0001 70", 0, 0, 0x82},
};

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    for (unsigned v; *hex; ++hex) {
        if (*hex == ' ') continue;
        char pair[3] = {hex[0], 0, 0};
        while (*++hex == ' ') {
        }
        pair[1] = *hex;
        v = (unsigned)strtoul(pair, NULL, 16);
        out[n++] = (uint8_t)v;
    }
    return n;
}

static void tables(void)
{
    for (unsigned i = 0; i < sizeof packets / sizeof *packets; ++i) {
        uint8_t raw[256];
        size_t n = from_hex(packets[i].hex, raw);
        uint8_t *exact = malloc(n); /* so that AddressSanitizer sees one byte too many */
        memcpy(exact, raw, n);
        wire_packet p;
        int got = wire_parse(&p, exact, n, (unsigned)packets[i].version, packets[i].from_server ? WIRE_FROM_SERVER : 0);
        if (got != packets[i].want) {
            fprintf(stderr, "packet %s (version %d): %#x, not %#x\n", packets[i].hex, packets[i].version, (unsigned)got,
                    (unsigned)packets[i].want);
            check_failed++;
        }
        free(exact);
    }
}

/* ---- random packets there and back */

static uint64_t seed = 88172645463325252u;
static uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 32) % below);
}

static wire_slice rnd_text(bool empty_too)
{
    static const char *const words[] = {"", "a", "home/kitchen/temp", "/", "gr\xc3\xbc\xc3\x9f", "\xf0\x9f\x92\xa1/x", "a b%20c?d"};
    return s_of(words[empty_too ? rnd(7) : 1 + rnd(6)]);
}

#define ON(type) (1u << WIRE_##type)
static void rnd_props(wire_props *props, wire_type type, bool from_server, uint8_t *raw)
{
    *props = (wire_props){0};
    uint8_t *end = raw;
#define FLAG(f) props->f = (uint8_t)rnd(2)
#define U16(f) props->f = (uint16_t)rnd(65536)
#define U16_NOT_0(f) props->f = (uint16_t)(1 + rnd(65535))
#define ALIAS(f) U16_NOT_0(f)
#define U32(f) props->f = rnd(UINT32_MAX)
#define U32_NOT_0(f) props->f = 1 + rnd(UINT32_MAX - 1)
#define VARINT(f) props->f = 1
#define TEXT(f) props->f = rnd_text(true)
#define TOPIC(f) props->f = rnd_text(false)
#define BYTES(f) props->f = (wire_slice){(const uint8_t *)"\0\xff#", 3}
#define PAIR(f) (void)0
#define SET(id, name, kind, field, on)                                                                                 \
    if (((on) >> type & 1) && rnd(3) == 0) {                                                                           \
        props->has |= WIRE_HAS_##name;                                                                                 \
        kind(field);                                                                                                   \
    }
    WIRE_PROPS(SET)
    if (props->has & WIRE_HAS_SUBSCRIPTION_ID) {
        props->subscription_id = 1 + rnd(268435455);
        if (type == WIRE_PUBLISH && !from_server)
            props->has &= ~WIRE_HAS_SUBSCRIPTION_ID;
        else
            end = wire_id_write(end, props->subscription_id);
    }
    if (props->has & WIRE_HAS_USER)
        for (unsigned n = 1 + rnd(3); n-- > 0;) end = wire_user_write(end, rnd_text(true), rnd_text(true));
    props->raw = props->extra = (wire_slice){raw, (uint32_t)(end - raw)};
}

static bool same(wire_slice a, wire_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static bool same_props(const wire_props *a, const wire_props *b)
{
    if (a->has != b->has) return false;
#undef FLAG
#undef U16
#undef U16_NOT_0
#undef ALIAS
#undef U32
#undef U32_NOT_0
#undef VARINT
#undef TEXT
#undef TOPIC
#undef BYTES
#undef PAIR
#define FLAG(f) a->f == b->f
#define U16(f) a->f == b->f
#define U16_NOT_0(f) a->f == b->f
#define ALIAS(f) a->f == b->f
#define U32(f) a->f == b->f
#define U32_NOT_0(f) a->f == b->f
#define VARINT(f) a->f == b->f
#define TEXT(f) same(a->f, b->f)
#define TOPIC(f) same(a->f, b->f)
#define BYTES(f) same(a->f, b->f)
#define PAIR(f) true
#define EQUAL(id, name, kind, field, on)                                                                               \
    if ((a->has & WIRE_HAS_##name) && !(kind(field))) return false;
    WIRE_PROPS(EQUAL)
    wire_slice ra = a->raw, rb = b->raw, n[2], v[2];
    while (wire_next_user(&ra, &n[0], &v[0]))
        if (!wire_next_user(&rb, &n[1], &v[1]) || !same(n[0], n[1]) || !same(v[0], v[1])) return false;
    return !wire_next_user(&rb, &n[1], &v[1]);
}

static void rnd_packet(wire_packet *p, bool *from_server, uint8_t *raw, uint8_t *will_raw, uint8_t *list)
{
    static const uint8_t versions[] = {WIRE_V31, WIRE_V311, WIRE_V5};
    memset(p, 0, sizeof *p);
    p->version = versions[rnd(3)];
    do p->type = (uint8_t)(1 + rnd(15));
    while (p->type == WIRE_AUTH && p->version != WIRE_V5);
    bool v5 = p->version == WIRE_V5;
    *from_server = p->type == WIRE_CONNACK || p->type == WIRE_SUBACK || p->type == WIRE_UNSUBACK || rnd(2);
    p->id = (uint16_t)(1 + rnd(65535));
    uint8_t *end = list;
    switch (p->type) {
    case WIRE_CONNECT:
        p->connect = (wire_connect){.clean = rnd(2), .has_will = rnd(2), .keep_alive = (uint16_t)rnd(65536), .client_id = rnd_text(true)};
        if (rnd(2)) p->connect.user = rnd_text(true);
        if (rnd(2) && (p->connect.user.p || v5)) p->connect.password = s_of("\xff secret");
        if (p->connect.has_will) {
            p->connect.will_qos = (uint8_t)rnd(3);
            p->connect.will_retain = rnd(2);
            p->connect.will_topic = rnd_text(false);
            p->connect.will_payload = rnd_text(true);
            if (v5) rnd_props(&p->connect.will, WIRE_WILL, false, will_raw);
        }
        break;
    case WIRE_CONNACK:
        p->session_present = rnd(2);
        p->reason = v5 && rnd(2) ? WIRE_QUOTA : 0;
        break;
    case WIRE_PUBLISH:
        p->publish = (wire_publish){.qos = (uint8_t)rnd(3), .retain = rnd(2), .topic = rnd_text(false), .payload = rnd_text(true)};
        p->publish.dup = p->publish.qos && rnd(2);
        break;
    case WIRE_PUBACK:
    case WIRE_PUBREC: p->reason = v5 && rnd(2) ? WIRE_QUOTA : 0; break;
    case WIRE_PUBREL:
    case WIRE_PUBCOMP: p->reason = v5 && rnd(2) ? WIRE_ID_NOT_FOUND : 0; break;
    case WIRE_SUBSCRIBE:
    case WIRE_UNSUBSCRIBE:
        for (unsigned n = 1 + rnd(3); n-- > 0; ++p->list.count) {
            wire_slice f = s_of(rnd(2) ? "a/+/#" : "$share/g/x");
            end = wire_u16_write(end, f.len);
            memcpy(end, f.p, f.len);
            end += f.len;
            if (p->type == WIRE_SUBSCRIBE) *end++ = (uint8_t)(v5 ? rnd(3) | rnd(2) << 3 | rnd(3) << 4 : rnd(3));
        }
        break;
    case WIRE_SUBACK: *end++ = 0; *end++ = 0x80; break;
    case WIRE_UNSUBACK: if (v5) *end++ = 0x11; break;
    case WIRE_DISCONNECT: p->reason = v5 && rnd(2) ? WIRE_QUOTA : 0; break;
    case WIRE_AUTH: p->reason = WIRE_CONTINUE_AUTH; break;
    default: break;
    }
    if (end != list) p->list.entries = (wire_slice){list, (uint32_t)(end - list)};
    if (v5 && p->type != WIRE_PINGREQ && p->type != WIRE_PINGRESP) rnd_props(&p->props, (wire_type)p->type, *from_server, raw);
    if (p->type == WIRE_CONNECT && !(p->props.has & WIRE_HAS_AUTH_METHOD)) p->props.has &= ~WIRE_HAS_AUTH_DATA;
}

static void there_and_back(void)
{
    static uint8_t raw[1024], will_raw[1024], list[256];
    for (unsigned i = 0; i < 200000 && check_failed == 0; ++i) {
        wire_packet p, q;
        bool from_server;
        rnd_packet(&p, &from_server, raw, will_raw, list);
        size_t n = wire_measure(&p);
        uint8_t *bytes = malloc(n);
        uint8_t *end = wire_write(&p, bytes);
        CHECK_INT(end - bytes, n);
        int rc = wire_parse(&q, bytes, n, p.version, from_server ? WIRE_FROM_SERVER : 0);
        if (rc != 0) fprintf(stderr, "%s\n", wire_type_name(p.type));
        CHECK_INT(rc, 0);
        CHECK_INT(q.type, p.type);
        CHECK_INT(q.reason, p.reason);
        CHECK(same_props(&p.props, &q.props));
        if (p.type == WIRE_PUBLISH) {
            CHECK(same(p.publish.topic, q.publish.topic) && same(p.publish.payload, q.publish.payload));
            CHECK(p.publish.qos == q.publish.qos && p.publish.retain == q.publish.retain && p.publish.dup == q.publish.dup);
            if (p.publish.qos) CHECK_INT(p.id, q.id);
        } else if (p.type == WIRE_CONNECT) {
            CHECK(same(p.connect.client_id, q.connect.client_id) && same(p.connect.user, q.connect.user));
            CHECK(same(p.connect.password, q.connect.password) && same(p.connect.will_topic, q.connect.will_topic));
            CHECK(same_props(&p.connect.will, &q.connect.will));
        } else if (p.list.entries.p) {
            CHECK(same(p.list.entries, q.list.entries));
        }
        /* every cut is refused, and reads nothing behind it */
        for (size_t cut = 0; cut < n && i < 3000; ++cut) {
            uint8_t *part = malloc(cut ? cut : 1);
            memcpy(part, bytes, cut);
            CHECK(wire_parse(&q, part, cut, p.version, 0) != 0);
            free(part);
        }
        free(bytes);
    }
}

int main(void)
{
    strings();
    shares();
    frames();
    tables();
    there_and_back();
    return check_done();
}
