/* adapter/coap/wire.h - CoAP messages as bytes: RFC 7252 3 on datagrams, RFC 8323 3.2 on streams, 4.2 in WebSocket frames.
 * No I/O and no copies: what is parsed points into the bytes that came. */
#ifndef COAP_WIRE_H
#define COAP_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum coap_type { COAP_CON, COAP_NON, COAP_ACK, COAP_RST } coap_type;

#define COAP_CODE(class_, detail) ((class_) << 5 | (detail))
typedef enum coap_code {
    COAP_EMPTY = 0,
    COAP_GET = 1,
    COAP_POST = 2,
    COAP_PUT = 3,
    COAP_DELETE = 4,
    COAP_FETCH = 5, /* RFC 8132 */
    COAP_PATCH = 6,
    COAP_IPATCH = 7,
    COAP_CREATED = COAP_CODE(2, 1),
    COAP_DELETED = COAP_CODE(2, 2),
    COAP_VALID = COAP_CODE(2, 3),
    COAP_CHANGED = COAP_CODE(2, 4),
    COAP_CONTENT = COAP_CODE(2, 5),
    COAP_CONTINUE = COAP_CODE(2, 31), /* RFC 7959 2.9.1 */
    COAP_BAD_REQUEST = COAP_CODE(4, 0),
    COAP_UNAUTHORIZED = COAP_CODE(4, 1),
    COAP_BAD_OPTION = COAP_CODE(4, 2),
    COAP_FORBIDDEN = COAP_CODE(4, 3),
    COAP_NOT_FOUND = COAP_CODE(4, 4),
    COAP_NOT_ALLOWED = COAP_CODE(4, 5),
    COAP_NOT_ACCEPTABLE = COAP_CODE(4, 6),
    COAP_INCOMPLETE = COAP_CODE(4, 8), /* RFC 7959 2.9.2 */
    COAP_CONFLICT = COAP_CODE(4, 9),   /* RFC 8132 */
    COAP_PRECONDITION = COAP_CODE(4, 12),
    COAP_TOO_LARGE = COAP_CODE(4, 13),
    COAP_UNSUPPORTED_FORMAT = COAP_CODE(4, 15),
    COAP_UNPROCESSABLE = COAP_CODE(4, 22), /* RFC 8132 */
    COAP_TOO_MANY = COAP_CODE(4, 29),      /* RFC 8516 */
    COAP_INTERNAL = COAP_CODE(5, 0),
    COAP_NOT_IMPLEMENTED = COAP_CODE(5, 1),
    COAP_BAD_GATEWAY = COAP_CODE(5, 2),
    COAP_UNAVAILABLE = COAP_CODE(5, 3),
    COAP_GATEWAY_TIMEOUT = COAP_CODE(5, 4),
    COAP_NO_PROXY = COAP_CODE(5, 5),
    COAP_HOP_LIMIT_REACHED = COAP_CODE(5, 8), /* RFC 8768 */
    COAP_CSM = COAP_CODE(7, 1),               /* RFC 8323 5 */
    COAP_PING = COAP_CODE(7, 2),
    COAP_PONG = COAP_CODE(7, 3),
    COAP_RELEASE = COAP_CODE(7, 4),
    COAP_ABORT = COAP_CODE(7, 5)
} coap_code;
static inline unsigned coap_class(uint8_t code) { return code >> 5; }
static inline bool coap_is_request(uint8_t code) { return code >= 1 && code < 32; }
static inline bool coap_is_response(uint8_t code) { return coap_class(code) >= 2 && coap_class(code) <= 5; }
static inline bool coap_is_signal(uint8_t code) { return coap_class(code) == 7; }

enum { COAP_TOKEN_MAX = 8 };
typedef struct coap_token {
    uint8_t len, bytes[COAP_TOKEN_MAX];
} coap_token;
bool coap_token_same(const coap_token *a, const coap_token *b);

typedef struct coap_packet {
    uint8_t type;  /* datagrams only */
    uint8_t code;
    uint16_t id;   /* datagrams only */
    coap_token token;
    const uint8_t *options; /* encoded, checked */
    size_t options_len;
    const uint8_t *payload;
    size_t payload_len; /* 0: there was no payload marker */
} coap_packet;

typedef enum coap_parse {
    COAP_PARSED,
    COAP_NOISE,    /* too short for a header, or another version: not a word about it (RFC 7252 3) */
    COAP_MALFORMED /* a message format error; type, code and id are filled in, so that a CON can be rejected (4.2) */
} coap_parse;
coap_parse coap_parse_datagram(coap_packet *out, const uint8_t *p, size_t len);

/* Streams: how long is the message that begins at p?  0: not yet known, more bytes needed.  UINT64_MAX never comes back. */
uint64_t coap_frame_len(const uint8_t *p, size_t len);
coap_parse coap_parse_frame(coap_packet *out, const uint8_t *p, size_t len);     /* exactly one frame */
coap_parse coap_parse_websocket(coap_packet *out, const uint8_t *p, size_t len); /* Len is 0: RFC 8323 4.2 */

typedef struct coap_option {
    uint16_t number;
    uint32_t len;
    const uint8_t *p;
} coap_option;
typedef struct coap_options { /* where a walk along the options stands */
    const uint8_t *at, *end;
    uint16_t number;
} coap_options;
static inline coap_options coap_options_of(const coap_packet *packet)
{
    return (coap_options){packet->options, packet->options ? packet->options + packet->options_len : NULL, 0};
}
bool coap_next_option(coap_options *walk, coap_option *out); /* false: no more (or, on unchecked bytes, malformed) */
uint32_t coap_uint(const coap_option *option);               /* the value of a uint option of at most 4 bytes */

/* ---- Writing.  Into memory of the caller; what does not fit makes coap_write_end() fail, nothing before it. */
typedef struct coap_writer {
    uint8_t *start, *at, *end; /* start: the first byte to send, after coap_write_end() */
    uint8_t *body;             /* streams: where options begin */
    coap_token token;
    uint8_t code;
    uint8_t framing; /* 0 datagram, 1 stream, 2 WebSocket */
    bool broken;
    uint16_t last; /* number of the last option */
} coap_writer;
void coap_write_datagram(coap_writer *w, uint8_t *memory, size_t max, coap_type type, uint8_t code, uint16_t id,
                         const coap_token *token);
void coap_write_frame(coap_writer *w, uint8_t *memory, size_t max, uint8_t code, const coap_token *token);
void coap_write_websocket(coap_writer *w, uint8_t *memory, size_t max, uint8_t code, const coap_token *token);
void coap_write_option(coap_writer *w, uint16_t number, const void *p, size_t len); /* numbers must not go down */
void coap_write_uint(coap_writer *w, uint16_t number, uint32_t value);              /* as short as can be */
/* Any order in; sorted here, keeping the order of those with the same number (at most COAP_OPTIONS_MAX). */
enum { COAP_OPTIONS_MAX = 64 };
void coap_write_options(coap_writer *w, const coap_option *options, unsigned count);
void coap_write_payload(coap_writer *w, const void *p, size_t len);
int64_t coap_write_end(coap_writer *w); /* bytes from w->start, or negative: TOOBIG, INVALID options out of order */

enum {
    COAP_EMPTY_LEN = 4,   /* an empty message */
    COAP_HEAD_MAX = 4 + COAP_TOKEN_MAX,
    COAP_FRAME_HEAD_MAX = 1 + 4 + 1 + COAP_TOKEN_MAX
};
size_t coap_write_empty(uint8_t *memory, coap_type type, uint16_t id); /* ping, empty ACK, RST: COAP_EMPTY_LEN */
#endif
