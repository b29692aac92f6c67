/* CoAP bytes <-> packets: vectors by hand, and what is written at random is read back the same in all three framings. */
#include "adapter/coap/names.h"
#include "adapter/coap/options.h"
#include "base/clock.h"
#include "bridge/bridge.h"
#include "check.h"
#include <stdlib.h>

static uint32_t dice_state = 1;
static uint32_t dice(uint32_t sides) /* repeatable */
{
    dice_state = dice_state * 1664525u + 1013904223u;
    return (dice_state >> 8) % sides;
}

static coap_parse parse(coap_packet *out, const char *bytes, size_t len)
{
    return coap_parse_datagram(out, (const uint8_t *)bytes, len);
}
#define PARSE(out, text) parse(out, text, sizeof(text) - 1)

static void vectors(void)
{
    coap_packet p;
    coap_options walk;
    coap_option o;

    /* RFC 7252 appendix A, figure 16: GET /temperature, CON, id 0x7d34 */
    CHECK_INT(PARSE(&p, "\x40\x01\x7d\x34\xbbtemperature"), COAP_PARSED);
    CHECK_INT(p.type, COAP_CON);
    CHECK_INT(p.code, COAP_GET);
    CHECK_INT(p.id, 0x7d34);
    walk = coap_options_of(&p);
    CHECK(coap_next_option(&walk, &o));
    CHECK_INT(o.number, COAP_URI_PATH);
    CHECK(o.len == 11 && memcmp(o.p, "temperature", 11) == 0);
    CHECK(!coap_next_option(&walk, &o));
    CHECK_INT(p.payload_len, 0);
    /* its answer: 2.05 "22.3 C" in the ACK */
    CHECK_INT(PARSE(&p, "\x60\x45\x7d\x34\xff" "22.3 C"), COAP_PARSED);
    CHECK_INT(p.type, COAP_ACK);
    CHECK_INT(p.code, COAP_CONTENT);
    CHECK(p.payload_len == 6 && memcmp(p.payload, "22.3 C", 6) == 0);
    /* a ping */
    CHECK_INT(PARSE(&p, "\x40\x00\x12\x34"), COAP_PARSED);
}

static void broken(void)
{
    static const struct {
        const char *why, *bytes;
        size_t len;
        coap_parse want;
    } rows[] = {
#define ROW(why, bytes, want) {why, bytes, sizeof(bytes) - 1, want}
        ROW("nothing", "", COAP_NOISE),
        ROW("three bytes", "\x40\x01\x00", COAP_NOISE),
        ROW("version 0", "\x00\x01\x00\x00", COAP_NOISE),
        ROW("version 2", "\x80\x01\x00\x00", COAP_NOISE),
        ROW("token length 9", "\x49\x01\x00\x00" "123456789", COAP_MALFORMED),
        ROW("token length 15", "\x4f\x01\x00\x00" "123456789012345", COAP_MALFORMED),
        ROW("token cut short", "\x44\x01\x00\x00" "123", COAP_MALFORMED),
        ROW("empty with a token", "\x41\x00\x00\x00" "1", COAP_MALFORMED),
        ROW("empty with a payload", "\x40\x00\x00\x00\xff" "1", COAP_MALFORMED),
        ROW("class 1", "\x40\x20\x00\x00", COAP_MALFORMED),
        ROW("class 6", "\x40\xc0\x00\x00", COAP_MALFORMED),
        ROW("class 7 on a datagram", "\x40\xe1\x00\x00", COAP_MALFORMED),
        ROW("marker without payload", "\x40\x01\x00\x00\xff", COAP_MALFORMED),
        ROW("option delta 15", "\x40\x01\x00\x00\xf1" "1", COAP_MALFORMED),
        ROW("option length 15", "\x40\x01\x00\x00\xbf" "1", COAP_MALFORMED),
        ROW("option cut short", "\x40\x01\x00\x00\xb5" "abc", COAP_MALFORMED),
        ROW("no extended delta", "\x40\x01\x00\x00\xd0", COAP_MALFORMED),
        ROW("half an extended delta", "\x40\x01\x00\x00\xe0\x00", COAP_MALFORMED),
        ROW("half an extended length", "\x40\x01\x00\x00\x0e\x00", COAP_MALFORMED),
        ROW("option number over 65535", "\x40\x01\x00\x00\xe0\xff\xff", COAP_MALFORMED),
        ROW("option number 65535", "\x40\x01\x00\x00\xe0\xfe\xf2", COAP_PARSED),
#undef ROW
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        coap_packet p;
        coap_parse got = parse(&p, rows[i].bytes, rows[i].len);

        if (got != rows[i].want) fprintf(stderr, "%s: %d\n", rows[i].why, got);
        CHECK(got == rows[i].want);
    }
}

static void meta(void)
{
    coap_packet p;
    coap_meta m;

    CHECK_INT(PARSE(&p, "\x40\x01\x00\x00\x60\x51x\x61\x3c\x62\x02\x0e"), COAP_PARSED);
    /* Observe 0 (6), Uri-Path "x" (11), Accept 60 (17), Block2 (23) */
    coap_meta_read(&m, &p);
    CHECK_INT(m.bad, 0);
    CHECK_INT(m.has, COAP_HAS_OBSERVE | COAP_HAS_URI_PATH | COAP_HAS_ACCEPT | COAP_HAS_BLOCK2);
    CHECK_INT(m.observe, 0);
    CHECK_INT(m.accept, 60);
    CHECK(m.block2.num == 32 && m.block2.more && m.block2.szx == 6);

    CHECK_INT(PARSE(&p, "\x40\x01\x00\x00\x91x"), COAP_PARSED); /* number 9 is critical and unknown */
    coap_meta_read(&m, &p);
    CHECK_INT(m.bad, 9);
    CHECK_INT(PARSE(&p, "\x40\x01\x00\x00\xa1x"), COAP_PARSED); /* number 10 is elective */
    coap_meta_read(&m, &p);
    CHECK_INT(m.bad, 0);
    CHECK_INT(m.has, 0);
    CHECK_INT(PARSE(&p, "\x40\x01\x00\x00\xd1\x04\x00\x01\x00"), COAP_PARSED); /* Accept twice */
    coap_meta_read(&m, &p);
    CHECK_INT(m.bad, COAP_ACCEPT);
    CHECK_INT(PARSE(&p, "\x40\x01\x00\x00\x51x"), COAP_PARSED); /* If-None-Match with a value */
    coap_meta_read(&m, &p);
    CHECK_INT(m.bad, COAP_IF_NONE_MATCH);
    CHECK_INT(PARSE(&p, "\x40\x01\x00\x00\xd5\x01" "12345"), COAP_PARSED); /* Max-Age of five bytes: elective */
    coap_meta_read(&m, &p);
    CHECK_INT(m.bad, 0);
    CHECK_INT(m.has, 0);
}

static void fill(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) p[i] = (uint8_t)dice(256);
}

static size_t some_len(void)
{
    static const size_t edges[] = {0, 1, 7, 8, 12, 13, 14, 100, 268, 269, 270, 700};

    return edges[dice(sizeof edges / sizeof *edges)];
}

typedef struct sample {
    coap_token token;
    uint16_t id;
    coap_option options[10];
    unsigned count;
    uint8_t bytes[10][704], payload[70000];
    size_t payload_len;
} sample;

static void sample_make(sample *s)
{
    s->token.len = (uint8_t)dice(9);
    fill(s->token.bytes, s->token.len);
    s->id = (uint16_t)dice(65536);
    s->count = dice(10);
    for (unsigned i = 0; i < s->count; i++) {
        s->options[i] = (coap_option){(uint16_t)(dice(3) ? dice(300) : dice(65536)), (uint32_t)some_len(), s->bytes[i]};
        fill(s->bytes[i], s->options[i].len);
    }
    s->payload_len = dice(20) ? some_len() : 66000;
    fill(s->payload, s->payload_len);
}

static void same(const sample *s, const coap_packet *p)
{
    coap_options walk = coap_options_of(p);
    unsigned seen = 0, last = 0;
    coap_option o;

    CHECK(coap_token_same(&p->token, &s->token));
    CHECK(p->payload_len == s->payload_len && memcmp(p->payload_len ? p->payload : s->payload, s->payload, p->payload_len) == 0);
    while (coap_next_option(&walk, &o)) {
        bool found = false;

        for (unsigned i = 0; i < s->count; i++)
            if (s->options[i].number == o.number && s->options[i].len == o.len && memcmp(s->options[i].p, o.p, o.len) == 0)
                found = true;
        CHECK(found);
        CHECK(o.number >= last);
        last = o.number;
        seen++;
    }
    CHECK_INT(seen, s->count);
}

static void round_trips(void)
{
    static uint8_t memory[80000];
    static sample s;

    for (int n = 0; n < 3000; n++) {
        coap_packet p;
        coap_writer w;
        int64_t len;

        sample_make(&s);
        coap_write_datagram(&w, memory, sizeof memory, COAP_NON, COAP_PUT, s.id, &s.token);
        coap_write_options(&w, s.options, s.count);
        coap_write_payload(&w, s.payload, s.payload_len);
        len = coap_write_end(&w);
        CHECK(len > 0);
        CHECK_INT(coap_parse_datagram(&p, w.start, (size_t)len), COAP_PARSED);
        CHECK(p.id == s.id && p.type == COAP_NON && p.code == COAP_PUT);
        same(&s, &p);

        coap_write_frame(&w, memory, sizeof memory, COAP_CONTENT, &s.token);
        coap_write_options(&w, s.options, s.count);
        coap_write_payload(&w, s.payload, s.payload_len);
        len = coap_write_end(&w);
        CHECK(len > 0);
        for (size_t i = 0; i < 7 && i < (size_t)len; i++) {
            uint64_t told = coap_frame_len(w.start, i);
            CHECK(told == 0 || told == (uint64_t)len);
        }
        CHECK_INT(coap_frame_len(w.start, (size_t)len), len);
        CHECK_INT(coap_parse_frame(&p, w.start, (size_t)len), COAP_PARSED);
        CHECK_INT(coap_parse_frame(&p, w.start, (size_t)len - 1), COAP_MALFORMED);
        CHECK_INT(coap_parse_frame(&p, w.start, (size_t)len), COAP_PARSED);
        CHECK_INT(p.code, COAP_CONTENT);
        same(&s, &p);

        coap_write_websocket(&w, memory, sizeof memory, COAP_CONTENT, &s.token);
        coap_write_options(&w, s.options, s.count);
        coap_write_payload(&w, s.payload, s.payload_len);
        len = coap_write_end(&w);
        CHECK(len > 0);
        CHECK_INT(coap_parse_websocket(&p, w.start, (size_t)len), COAP_PARSED);
        same(&s, &p);
    }
}

static void no_room(void)
{
    uint8_t memory[64];

    for (size_t max = 0; max < sizeof memory; max++) {
        coap_writer w;
        coap_token token = {4, {1, 2, 3, 4}};
        int64_t len;

        coap_write_datagram(&w, memory, max, COAP_CON, COAP_PUT, 7, &token);
        coap_write_option(&w, COAP_URI_PATH, "temperature", 11);
        coap_write_uint(&w, COAP_CONTENT_FORMAT, 11542);
        coap_write_payload(&w, "0123456789", 10);
        len = coap_write_end(&w);
        CHECK(max < 34 ? len == BRIDGE_TOOBIG : len == 34);
    }
}

static int join(char *out, size_t max, const char *bytes, size_t len, unsigned *segments)
{
    coap_packet p;

    CHECK_INT(parse(&p, bytes, len), COAP_PARSED);
    return coap_path_join(&p, out, max, segments);
}
#define JOIN(bytes) join(path, sizeof path, bytes, sizeof(bytes) - 1, &segments)

static void paths(void)
{
    char path[64];
    unsigned segments;
    bool root;

    CHECK_INT(JOIN("\x40\x01\x00\x00"), 0);
    CHECK_INT(segments, 0);
    CHECK_INT(JOIN("\x40\x01\x00\x00\xb1r\x01" "a\x00\x01" "b"), 6);
    CHECK_STR(path, "r/a//b");
    CHECK_INT(segments, 4);
    CHECK_INT(JOIN("\x40\x01\x00\x00\xb0\x01" "a"), 2);
    CHECK_STR(path, "/a");
    CHECK_INT(JOIN("\x40\x01\x00\x00\xb3" "a%b"), 3);
    CHECK_INT(JOIN("\x40\x01\x00\x00\xb3" "a/b"), BRIDGE_SYNTAX);
    CHECK_INT(JOIN("\x40\x01\x00\x00\xb3" "a\x00" "b"), BRIDGE_SYNTAX);
    CHECK_INT(JOIN("\x40\x01\x00\x00\xb2" "\xc0\x80"), BRIDGE_SYNTAX);
    CHECK_INT(JOIN("\x40\x01\x00\x00\xbd\x40"
                     "01234567890123456789012345678901234567890123456789012345678901234567890123456"), BRIDGE_TOOBIG);

    CHECK_STR(coap_path_below("r/a", 2, "r", &root), "a");
    CHECK(!root);
    CHECK_STR(coap_path_below("r", 1, "r", &root), "");
    CHECK(root);
    CHECK_STR(coap_path_below("r/", 2, "r", &root), "");
    CHECK(!root);
    CHECK_STR(coap_path_below("r//a", 3, "r", &root), "/a");
    CHECK(coap_path_below("ra", 1, "r", &root) == NULL);
    CHECK_STR(coap_path_below("a/b", 2, "", &root), "a/b");
    CHECK(!root);
    coap_path_below("", 0, "", &root);
    CHECK(root);
}

/* topic -> options -> topic (docs/mapping.md 1): any legal topic whose segments fit */
static void topics_round_trip(void)
{
    static const char letters[][3] = {"a", "b", "/", "/", " ", "%", "?", "$", "\xc3\xbc", ".", "&"};
    uint8_t memory[1024];

    for (int n = 0; n < 5000; n++) {
        char topic[200] = "", back[200];
        coap_packet p;
        coap_writer w;
        int64_t len;

        for (uint32_t i = 0, want = 1 + dice(40); i < want; i++) strcat(topic, letters[dice(11)]);
        coap_write_datagram(&w, memory, sizeof memory, COAP_CON, COAP_GET, 1, NULL);
        CHECK_INT(coap_path_write(&w, COAP_URI_PATH, topic), 0);
        len = coap_write_end(&w);
        CHECK_INT(coap_parse_datagram(&p, w.start, (size_t)len), COAP_PARSED);
        CHECK_INT(coap_path_join(&p, back, sizeof back, NULL), strlen(topic));
        CHECK_STR(back, topic);
    }
}

int main(void)
{
    vectors();
    broken();
    meta();
    round_trips();
    no_room();
    paths();
    topics_round_trip();
    return check_done();
}
