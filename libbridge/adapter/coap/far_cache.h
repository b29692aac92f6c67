/* adapter/coap/far_cache.h - answers of others that are kept to be asked about with their ETag (RFC 7252 5.6, RFC 9111 4): the
 * least lately used go first. */
#ifndef COAP_FAR_CACHE_H
#define COAP_FAR_CACHE_H
#include "base/list.h"
#include "base/map.h"

enum { COAP_CACHE_ENTRIES = 1024, COAP_CACHE_BYTES = 4 << 20 };

typedef struct coap_kept {
    list used;
    uint64_t version;   /* what this side calls its ETag; 0: nothing yet */
    int64_t fresh_until; /* on the loop's clock */
    int format;         /* Content-Format; -1: not said */
    uint32_t max_age;   /* seconds, as it was said */
    uint8_t code, etag_len, etag[8];
    uint32_t key_len;
    size_t len;
    uint8_t bytes[]; /* the key, then the body */
} coap_kept;
static inline const uint8_t *coap_kept_body(const coap_kept *k) { return k->bytes + k->key_len; }

typedef struct coap_cache {
    mem *mem;
    map by_key, by_version;
    list used; /* least lately first */
    size_t bytes, max_entries, max_bytes;
} coap_cache;

void coap_cache_init(coap_cache *c, mem *m, size_t max_entries, size_t max_bytes); /* 0: the numbers above */
void coap_cache_done(coap_cache *c);
coap_kept *coap_cache_get(coap_cache *c, const void *key, size_t len);
coap_kept *coap_cache_version(const coap_cache *c, uint64_t version);
void coap_cache_drop(coap_cache *c, const void *key, size_t len);
/* Copies; what is said of the kept thing comes from *like (used, key_len and bytes aside).  NULL: it is too large, or no memory. */
coap_kept *coap_cache_put(coap_cache *c, const void *key, size_t len, const coap_kept *like, const void *body);
void coap_cache_name(coap_cache *c, coap_kept *k, uint64_t version); /* its version from now on */
#endif
