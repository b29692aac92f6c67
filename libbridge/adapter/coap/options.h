/* adapter/coap/options.h - what options mean: the registry with its lengths and repeatability, and one look at all of them. */
#ifndef COAP_OPTIONS_H
#define COAP_OPTIONS_H
#include "adapter/coap/wire.h"

enum { /* IANA CoAP Option Numbers */
    COAP_IF_MATCH = 1,
    COAP_URI_HOST = 3,
    COAP_ETAG = 4,
    COAP_IF_NONE_MATCH = 5,
    COAP_OBSERVE = 6,
    COAP_URI_PORT = 7,
    COAP_LOCATION_PATH = 8,
    COAP_URI_PATH = 11,
    COAP_CONTENT_FORMAT = 12,
    COAP_MAX_AGE = 14,
    COAP_URI_QUERY = 15,
    COAP_HOP_LIMIT = 16,
    COAP_ACCEPT = 17,
    COAP_LOCATION_QUERY = 20,
    COAP_BLOCK2 = 23,
    COAP_BLOCK1 = 27,
    COAP_SIZE2 = 28,
    COAP_PROXY_URI = 35,
    COAP_PROXY_SCHEME = 39,
    COAP_SIZE1 = 60,
    COAP_ECHO = 252,
    COAP_NO_RESPONSE = 258,
    COAP_REQUEST_TAG = 292
};
static inline bool coap_is_critical(uint16_t number) { return number & 1; } /* RFC 7252 5.4.6 */
static inline bool coap_is_unsafe(uint16_t number) { return number & 2; }
static inline bool coap_is_no_cache_key(uint16_t number) { return (number & 0x1e) == 0x1c; }

/* Bits of coap_meta.has; an option that is not understood, repeated or of a wrong length has no bit. */
enum {
    COAP_HAS_IF_MATCH = 1 << 0,
    COAP_HAS_URI_HOST = 1 << 1,
    COAP_HAS_ETAG = 1 << 2,
    COAP_HAS_IF_NONE_MATCH = 1 << 3,
    COAP_HAS_OBSERVE = 1 << 4,
    COAP_HAS_URI_PORT = 1 << 5,
    COAP_HAS_LOCATION_PATH = 1 << 6,
    COAP_HAS_URI_PATH = 1 << 7,
    COAP_HAS_CONTENT_FORMAT = 1 << 8,
    COAP_HAS_MAX_AGE = 1 << 9,
    COAP_HAS_URI_QUERY = 1 << 10,
    COAP_HAS_HOP_LIMIT = 1 << 11,
    COAP_HAS_ACCEPT = 1 << 12,
    COAP_HAS_LOCATION_QUERY = 1 << 13,
    COAP_HAS_BLOCK2 = 1 << 14,
    COAP_HAS_BLOCK1 = 1 << 15,
    COAP_HAS_SIZE2 = 1 << 16,
    COAP_HAS_PROXY_URI = 1 << 17,
    COAP_HAS_PROXY_SCHEME = 1 << 18,
    COAP_HAS_SIZE1 = 1 << 19,
    COAP_HAS_ECHO = 1 << 20,
    COAP_HAS_NO_RESPONSE = 1 << 21,
    COAP_HAS_REQUEST_TAG = 1 << 22
};

typedef struct coap_block { /* RFC 7959 2.2; szx 7 is BERT (RFC 8323 6) */
    uint32_t num;
    bool more;
    uint8_t szx;
} coap_block;
static inline size_t coap_block_size(unsigned szx) { return szx >= 7 ? 1024 : (size_t)16 << szx; }
static inline coap_block coap_block_read(uint32_t v) { return (coap_block){v >> 4, v >> 3 & 1, v & 7}; }
static inline uint32_t coap_block_value(coap_block b) { return b.num << 4 | (uint32_t)b.more << 3 | b.szx; }
enum { COAP_BLOCK_NUM_MAX = (1 << 20) - 1 };

enum { COAP_TAGS_MAX = 8 };
typedef struct coap_meta {
    uint32_t has;
    uint16_t bad;      /* the first critical option that is not understood (RFC 7252 5.4.1), repeated or mis-sized; 0: none */
    uint16_t format, accept;
    uint32_t observe, max_age, size1, size2;
    coap_block block1, block2;
    uint16_t port;
    uint8_t hop_limit, no_response;
    uint8_t etag_count, if_match_count; /* If-Match of length 0 is "any" (RFC 7252 5.10.8.1) and stands in the list */
    coap_option etags[COAP_TAGS_MAX], if_match[COAP_TAGS_MAX];
    coap_option host, proxy_uri, proxy_scheme, echo, request_tag;
} coap_meta;
void coap_meta_read(coap_meta *out, const coap_packet *packet);

/* A hash of method and cache key (RFC 7252 5.6), Observe, Block and Size left out: what a block belongs to. */
uint64_t coap_cache_key(const coap_packet *packet, uint64_t seed);
#endif
