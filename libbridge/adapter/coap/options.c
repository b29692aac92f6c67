#include "adapter/coap/options.h"
#include "base/hash.h"
#include <string.h>

typedef struct rule {
    uint32_t bit; /* 0: not understood */
    uint16_t min, max;
    bool repeatable;
} rule;

static const rule rules[COAP_SIZE1 + 1] = {
    [COAP_IF_MATCH] = {COAP_HAS_IF_MATCH, 0, 8, true},
    [COAP_URI_HOST] = {COAP_HAS_URI_HOST, 1, 255, false},
    [COAP_ETAG] = {COAP_HAS_ETAG, 1, 8, true},
    [COAP_IF_NONE_MATCH] = {COAP_HAS_IF_NONE_MATCH, 0, 0, false},
    [COAP_OBSERVE] = {COAP_HAS_OBSERVE, 0, 3, false},
    [COAP_URI_PORT] = {COAP_HAS_URI_PORT, 0, 2, false},
    [COAP_LOCATION_PATH] = {COAP_HAS_LOCATION_PATH, 0, 255, true},
    [COAP_URI_PATH] = {COAP_HAS_URI_PATH, 0, 255, true},
    [COAP_CONTENT_FORMAT] = {COAP_HAS_CONTENT_FORMAT, 0, 2, false},
    [COAP_MAX_AGE] = {COAP_HAS_MAX_AGE, 0, 4, false},
    [COAP_URI_QUERY] = {COAP_HAS_URI_QUERY, 0, 255, true},
    [COAP_HOP_LIMIT] = {COAP_HAS_HOP_LIMIT, 1, 1, false},
    [COAP_ACCEPT] = {COAP_HAS_ACCEPT, 0, 2, false},
    [COAP_LOCATION_QUERY] = {COAP_HAS_LOCATION_QUERY, 0, 255, true},
    [COAP_BLOCK2] = {COAP_HAS_BLOCK2, 0, 3, false},
    [COAP_BLOCK1] = {COAP_HAS_BLOCK1, 0, 3, false},
    [COAP_SIZE2] = {COAP_HAS_SIZE2, 0, 4, false},
    [COAP_PROXY_URI] = {COAP_HAS_PROXY_URI, 1, 1034, false},
    [COAP_PROXY_SCHEME] = {COAP_HAS_PROXY_SCHEME, 1, 255, false},
    [COAP_SIZE1] = {COAP_HAS_SIZE1, 0, 4, false},
};
static const rule rule_echo = {COAP_HAS_ECHO, 1, 40, false};
static const rule rule_no_response = {COAP_HAS_NO_RESPONSE, 0, 1, false};
static const rule rule_request_tag = {COAP_HAS_REQUEST_TAG, 0, 8, true};

static const rule *rule_of(uint16_t number)
{
    if (number <= COAP_SIZE1) return rules[number].bit ? &rules[number] : NULL;
    if (number == COAP_ECHO) return &rule_echo;
    if (number == COAP_NO_RESPONSE) return &rule_no_response;
    return number == COAP_REQUEST_TAG ? &rule_request_tag : NULL;
}

static void meta_take(coap_meta *m, const coap_option *o)
{
    switch (o->number) {
    case COAP_IF_MATCH:
        if (m->if_match_count < COAP_TAGS_MAX) m->if_match[m->if_match_count++] = *o;
        break;
    case COAP_ETAG:
        if (m->etag_count < COAP_TAGS_MAX) m->etags[m->etag_count++] = *o;
        break;
    case COAP_URI_HOST: m->host = *o; break;
    case COAP_OBSERVE: m->observe = coap_uint(o); break;
    case COAP_URI_PORT: m->port = (uint16_t)coap_uint(o); break;
    case COAP_CONTENT_FORMAT: m->format = (uint16_t)coap_uint(o); break;
    case COAP_MAX_AGE: m->max_age = coap_uint(o); break;
    case COAP_HOP_LIMIT: m->hop_limit = o->p[0]; break;
    case COAP_ACCEPT: m->accept = (uint16_t)coap_uint(o); break;
    case COAP_BLOCK2: m->block2 = coap_block_read(coap_uint(o)); break;
    case COAP_BLOCK1: m->block1 = coap_block_read(coap_uint(o)); break;
    case COAP_SIZE2: m->size2 = coap_uint(o); break;
    case COAP_PROXY_URI: m->proxy_uri = *o; break;
    case COAP_PROXY_SCHEME: m->proxy_scheme = *o; break;
    case COAP_SIZE1: m->size1 = coap_uint(o); break;
    case COAP_ECHO: m->echo = *o; break;
    case COAP_NO_RESPONSE: m->no_response = (uint8_t)coap_uint(o); break;
    case COAP_REQUEST_TAG: m->request_tag = *o; break;
    default: break;
    }
}

void coap_meta_read(coap_meta *out, const coap_packet *packet)
{
    coap_options walk = coap_options_of(packet);
    coap_option o;

    out->has = 0;
    out->bad = 0;
    out->etag_count = out->if_match_count = 0;
    while (coap_next_option(&walk, &o)) {
        const rule *r = rule_of(o.number);

        /* RFC 7252 5.4.3 and 5.4.5: a wrong length and a surplus occurrence count as not understood */
        if (!r || o.len < r->min || o.len > r->max || (!r->repeatable && out->has & r->bit)) {
            if (coap_is_critical(o.number) && !out->bad) out->bad = o.number;
            continue;
        }
        out->has |= r->bit;
        meta_take(out, &o);
    }
}

static bool names_a_block(uint16_t number)
{
    return number == COAP_OBSERVE || number == COAP_BLOCK1 || number == COAP_BLOCK2 || coap_is_no_cache_key(number);
}

uint64_t coap_cache_key(const coap_packet *packet, uint64_t seed)
{
    coap_options walk = coap_options_of(packet);
    uint64_t h = hash_mix(seed ^ packet->code, 0x9e3779b97f4a7c15u);
    coap_option o;

    while (coap_next_option(&walk, &o)) {
        if (names_a_block(o.number)) continue;
        h = hash_bytes(o.p, o.len, h ^ hash_mix(o.number + 1u, 0xd6e8feb86659fd93u));
    }
    return h;
}
