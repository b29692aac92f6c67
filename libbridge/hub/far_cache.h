/* hub/far_cache.h - answers of other servers, CoAP's and HTTP's, that are kept to be asked about with their ETag (RFC 7252 5.6, RFC 9111 4): the
 * least lately used go first. */
#ifndef HUB_FAR_CACHE_H
#define HUB_FAR_CACHE_H
#include "base/list.h"
#include "base/map.h"

enum { FAR_CACHE_ENTRIES = 1024, FAR_CACHE_BYTES = 4 << 20 };

typedef struct far_kept {
    list used;
    uint64_t version;   /* what this side calls its ETag; 0: nothing yet */
    int64_t fresh_until; /* on the loop's clock */
    int format;         /* Content-Format; -1: not said */
    uint32_t max_age;   /* seconds, as it was said */
    uint8_t code, etag_len, etag[8];
    uint32_t key_len;
    size_t len;
    uint8_t bytes[]; /* the key, then the body */
} far_kept;
static inline const uint8_t *far_kept_body(const far_kept *k) { return k->bytes + k->key_len; }

typedef struct far_cache {
    mem *mem;
    map by_key, by_version;
    list used; /* least lately first */
    size_t bytes, max_entries, max_bytes;
} far_cache;

void far_cache_init(far_cache *c, mem *m, size_t max_entries, size_t max_bytes); /* 0: the numbers above */
void far_cache_done(far_cache *c);
far_kept *far_cache_get(far_cache *c, const void *key, size_t len);
far_kept *far_cache_version(const far_cache *c, uint64_t version);
void far_cache_drop(far_cache *c, const void *key, size_t len);
void far_cache_drop_ending(far_cache *c, const void *end, size_t len); /* all whose key ends so: each is looked at */
/* Copies; what is said of the kept thing comes from *like (used, key_len and bytes aside).  NULL: it is too large, or no memory. */
far_kept *far_cache_put(far_cache *c, const void *key, size_t len, const far_kept *like, const void *body);
void far_cache_name(far_cache *c, far_kept *k, uint64_t version); /* its version from now on */
#endif
