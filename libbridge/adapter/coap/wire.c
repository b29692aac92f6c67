#include "adapter/coap/wire.h"
#include "bridge/bridge.h"
#include <string.h>

bool coap_token_same(const coap_token *a, const coap_token *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

/* RFC 7252 3.1: 13 and 14 say that one or two more bytes follow; 15 belongs to the payload marker. */
static bool nibble_value(const uint8_t **at, const uint8_t *end, unsigned nibble, uint32_t *out)
{
    const uint8_t *p = *at;

    if (nibble < 13) {
        *out = nibble;
    } else if (nibble == 13) {
        if (end - p < 1) return false;
        *out = 13u + p[0];
        *at = p + 1;
    } else if (nibble == 14) {
        if (end - p < 2) return false;
        *out = 269u + ((uint32_t)p[0] << 8 | p[1]);
        *at = p + 2;
    } else {
        return false;
    }
    return true;
}

bool coap_next_option(coap_options *walk, coap_option *out)
{
    const uint8_t *p = walk->at;
    uint32_t delta, len;
    uint8_t head;

    if (p >= walk->end || *p == 0xff) return false;
    head = *p++;
    if (!nibble_value(&p, walk->end, head >> 4, &delta) || !nibble_value(&p, walk->end, head & 15, &len)) return false;
    if (walk->number + delta > UINT16_MAX || len > (size_t)(walk->end - p)) return false;
    walk->number = (uint16_t)(walk->number + delta);
    *out = (coap_option){walk->number, len, p};
    walk->at = p + len;
    return true;
}

uint32_t coap_uint(const coap_option *option)
{
    uint32_t v = 0;

    for (uint32_t i = 0; i < option->len && i < 4; i++) v = v << 8 | option->p[i];
    return v;
}

/* Token, options and payload, which all framings share. */
static coap_parse parse_rest(coap_packet *out, const uint8_t *p, const uint8_t *end, unsigned token_len)
{
    coap_options walk;
    coap_option option;

    if (token_len > COAP_TOKEN_MAX || (size_t)(end - p) < token_len) return COAP_MALFORMED;
    out->token.len = (uint8_t)token_len;
    memcpy(out->token.bytes, p, token_len);
    p += token_len;
    walk = (coap_options){p, end, 0};
    while (coap_next_option(&walk, &option)) continue;
    out->options = p;
    out->options_len = (size_t)(walk.at - p);
    if (walk.at == end) return COAP_PARSED;
    /* a payload marker with nothing behind it is a message format error, as is an option that cannot be read */
    if (*walk.at != 0xff || walk.at + 1 == end) return COAP_MALFORMED;
    out->payload = walk.at + 1;
    out->payload_len = (size_t)(end - out->payload);
    return COAP_PARSED;
}

coap_parse coap_parse_datagram(coap_packet *out, const uint8_t *p, size_t len)
{
    unsigned class_;

    memset(out, 0, sizeof *out);
    if (len < COAP_EMPTY_LEN || p[0] >> 6 != 1) return COAP_NOISE;
    out->type = p[0] >> 4 & 3;
    out->code = p[1];
    out->id = (uint16_t)(p[2] << 8 | p[3]);
    /* RFC 7252 4.1: an empty message is four bytes; 12.1: classes 1, 6 and 7 are reserved (7 is for streams) */
    if (out->code == COAP_EMPTY) return p[0] & 15 || len > COAP_EMPTY_LEN ? COAP_MALFORMED : COAP_PARSED;
    class_ = coap_class(out->code);
    if (class_ == 1 || class_ >= 6) return COAP_MALFORMED;
    return parse_rest(out, p + COAP_EMPTY_LEN, p + len, p[0] & 15);
}

/* RFC 8323 3.2: bytes of the extended length, and what it counts from */
static const struct {
    uint8_t extra;
    uint32_t base;
} frame_len_forms[3] = {{1, 13}, {2, 269}, {4, 65805}};

static size_t frame_head(const uint8_t *p, size_t len, uint64_t *body)
{
    unsigned nibble = p[0] >> 4;
    uint64_t value = 0;
    uint8_t extra;

    if (nibble < 13) {
        *body = nibble;
        return 1;
    }
    extra = frame_len_forms[nibble - 13].extra;
    if (len < 1u + extra) return 0;
    for (unsigned i = 0; i < extra; i++) value = value << 8 | p[1 + i];
    *body = value + frame_len_forms[nibble - 13].base;
    return 1u + extra;
}

uint64_t coap_frame_len(const uint8_t *p, size_t len)
{
    uint64_t body;
    size_t head = len ? frame_head(p, len, &body) : 0;

    return head ? head + 1 + (p[0] & 15) + body : 0;
}

static coap_parse parse_stream_message(coap_packet *out, const uint8_t *p, size_t len, size_t head)
{
    unsigned class_;

    if (len < head + 1) return COAP_MALFORMED;
    out->code = p[head];
    class_ = coap_class(out->code);
    if (class_ == 1 || class_ == 6) return COAP_MALFORMED;
    return parse_rest(out, p + head + 1, p + len, p[0] & 15);
}

coap_parse coap_parse_frame(coap_packet *out, const uint8_t *p, size_t len)
{
    uint64_t body;
    size_t head;

    memset(out, 0, sizeof *out);
    head = len ? frame_head(p, len, &body) : 0;
    if (!head || len != head + 1 + (p[0] & 15) + body) return COAP_MALFORMED;
    return parse_stream_message(out, p, len, head);
}

coap_parse coap_parse_websocket(coap_packet *out, const uint8_t *p, size_t len)
{
    memset(out, 0, sizeof *out);
    if (len < 2 || p[0] >> 4 != 0) return COAP_MALFORMED;
    return parse_stream_message(out, p, len, 1);
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

static uint8_t *writer_take(coap_writer *w, size_t len)
{
    uint8_t *p = w->at;

    if (w->broken || (size_t)(w->end - p) < len) {
        w->broken = true;
        return NULL;
    }
    w->at += len;
    return p;
}

static void writer_init(coap_writer *w, uint8_t *memory, size_t max, uint8_t code, const coap_token *token)
{
    *w = (coap_writer){.start = memory, .at = memory, .end = memory + max, .code = code};
    if (token) w->token = *token;
}

void coap_write_datagram(coap_writer *w, uint8_t *memory, size_t max, coap_type type, uint8_t code, uint16_t id,
                         const coap_token *token)
{
    uint8_t *p;

    writer_init(w, memory, max, code, token);
    p = writer_take(w, COAP_EMPTY_LEN + (size_t)w->token.len);
    if (!p) return;
    p[0] = (uint8_t)(1 << 6 | type << 4 | w->token.len);
    p[1] = code;
    p[2] = (uint8_t)(id >> 8);
    p[3] = (uint8_t)id;
    memcpy(p + 4, w->token.bytes, w->token.len);
    w->body = w->at;
}

/* The length comes first but is known last: the head is written backwards from the options by coap_write_end(). */
void coap_write_frame(coap_writer *w, uint8_t *memory, size_t max, uint8_t code, const coap_token *token)
{
    writer_init(w, memory, max, code, token);
    w->framing = 1;
    writer_take(w, COAP_FRAME_HEAD_MAX);
    w->body = w->at;
}

void coap_write_websocket(coap_writer *w, uint8_t *memory, size_t max, uint8_t code, const coap_token *token)
{
    coap_write_frame(w, memory, max, code, token);
    w->framing = 2;
}

static unsigned nibble_of(uint32_t v) { return v < 13 ? v : v < 269 ? 13 : 14; }

static uint8_t *nibble_extra(uint8_t *p, uint32_t v)
{
    if (v >= 269) {
        *p++ = (uint8_t)((v - 269) >> 8);
        *p++ = (uint8_t)(v - 269);
    } else if (v >= 13) {
        *p++ = (uint8_t)(v - 13);
    }
    return p;
}

void coap_write_option(coap_writer *w, uint16_t number, const void *p, size_t len)
{
    uint32_t delta = (uint32_t)number - w->last;
    unsigned extra;
    uint8_t *at;

    if (number < w->last || len > 65804) {
        w->broken = true;
        return;
    }
    extra = (delta >= 13) + (delta >= 269) + (len >= 13) + (len >= 269);
    at = writer_take(w, 1 + extra + len);
    if (!at) return;
    *at++ = (uint8_t)(nibble_of(delta) << 4 | nibble_of((uint32_t)len));
    at = nibble_extra(at, delta);
    at = nibble_extra(at, (uint32_t)len);
    if (len) memcpy(at, p, len);
    w->last = number;
}

void coap_write_uint(coap_writer *w, uint16_t number, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    unsigned skip = 0;

    while (skip < 4 && bytes[skip] == 0) skip++;
    coap_write_option(w, number, bytes + skip, 4 - skip);
}

void coap_write_options(coap_writer *w, const coap_option *options, unsigned count)
{
    const coap_option *sorted[COAP_OPTIONS_MAX];

    if (count > COAP_OPTIONS_MAX) {
        w->broken = true;
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned at = i;
        for (; at > 0 && sorted[at - 1]->number > options[i].number; at--) sorted[at] = sorted[at - 1];
        sorted[at] = &options[i];
    }
    for (unsigned i = 0; i < count; i++) coap_write_option(w, sorted[i]->number, sorted[i]->p, sorted[i]->len);
}

void coap_write_payload(coap_writer *w, const void *p, size_t len)
{
    uint8_t *at;

    if (len == 0) return; /* a marker without a payload would be a format error */
    at = writer_take(w, 1 + len);
    if (!at) return;
    *at = 0xff;
    memcpy(at + 1, p, len);
}

static void frame_write_head(coap_writer *w)
{
    uint32_t body = (uint32_t)(w->at - w->body), value = 0;
    unsigned nibble = w->framing == 2 ? 0 : body < 13 ? body : body < 269 ? 13 : body < 65805 ? 14 : 15;
    unsigned extra = nibble < 13 ? 0 : frame_len_forms[nibble - 13].extra;
    uint8_t *p = w->body - w->token.len;

    memcpy(p, w->token.bytes, w->token.len);
    *--p = w->code;
    if (extra) value = body - frame_len_forms[nibble - 13].base;
    for (unsigned i = 0; i < extra; i++, value >>= 8) *--p = (uint8_t)value;
    *--p = (uint8_t)(nibble << 4 | w->token.len);
    w->start = p;
}

int64_t coap_write_end(coap_writer *w)
{
    if (w->broken) return BRIDGE_TOOBIG;
    if (w->framing) frame_write_head(w);
    return w->at - w->start;
}

size_t coap_write_empty(uint8_t *memory, coap_type type, uint16_t id)
{
    memory[0] = (uint8_t)(1 << 6 | type << 4);
    memory[1] = COAP_EMPTY;
    memory[2] = (uint8_t)(id >> 8);
    memory[3] = (uint8_t)id;
    return COAP_EMPTY_LEN;
}
