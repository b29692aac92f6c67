#include "hub/far_cache.h"
#include "base/clock.h"

void far_cache_init(far_cache *c, mem *m, size_t max_entries, size_t max_bytes)
{
    uint64_t seed;

    random_bytes(&seed, sizeof seed);
    *c = (far_cache){.mem = m, .max_entries = max_entries ? max_entries : FAR_CACHE_ENTRIES,
                      .max_bytes = max_bytes ? max_bytes : FAR_CACHE_BYTES};
    map_init(&c->by_key, m, seed);
    map_init(&c->by_version, m, seed);
    list_init(&c->used);
}

static size_t size_of(const far_kept *k) { return sizeof *k + k->key_len + k->len; }

static void forget(far_cache *c, far_kept *k)
{
    map_remove(&c->by_key, k->bytes, k->key_len);
    if (k->version) map_remove(&c->by_version, &k->version, sizeof k->version);
    list_remove(&k->used);
    c->bytes -= size_of(k);
    mem_free(c->mem, k);
}

void far_cache_done(far_cache *c)
{
    if (!c->mem) return;
    while (!list_empty(&c->used)) forget(c, list_of(c->used.next, far_kept, used));
    map_done(&c->by_key);
    map_done(&c->by_version);
}

far_kept *far_cache_get(far_cache *c, const void *key, size_t len)
{
    far_kept *k = map_get(&c->by_key, key, len);

    if (!k) return NULL;
    list_remove(&k->used);
    list_push(&c->used, &k->used);
    return k;
}

far_kept *far_cache_version(const far_cache *c, uint64_t version) { return map_get(&c->by_version, &version, sizeof version); }

void far_cache_drop(far_cache *c, const void *key, size_t len)
{
    far_kept *k = map_get(&c->by_key, key, len);

    if (k) forget(c, k);
}

void far_cache_drop_ending(far_cache *c, const void *end, size_t len)
{
    list_each_safe(it, &c->used) {
        far_kept *k = list_of(it, far_kept, used);
        if (k->key_len >= len && memcmp(k->bytes + k->key_len - len, end, len) == 0) forget(c, k);
    }
}

void far_cache_name(far_cache *c, far_kept *k, uint64_t version)
{
    if (k->version) map_remove(&c->by_version, &k->version, sizeof k->version);
    k->version = version;
    if (version && map_put(&c->by_version, &k->version, sizeof k->version, k, NULL) < 0) k->version = 0;
}

far_kept *far_cache_put(far_cache *c, const void *key, size_t len, const far_kept *like, const void *body)
{
    size_t size = sizeof *like + len + like->len;
    far_kept *k;

    far_cache_drop(c, key, len);
    if (size > c->max_bytes / 4) return NULL;
    while (!list_empty(&c->used) && (c->bytes + size > c->max_bytes || c->by_key.count >= c->max_entries))
        forget(c, list_of(c->used.next, far_kept, used));
    k = mem_alloc(c->mem, size);
    if (!k) return NULL;
    *k = *like;
    k->key_len = (uint32_t)len;
    k->version = 0;
    memcpy(k->bytes, key, len);
    if (k->len) memcpy(k->bytes + len, body, k->len);
    list_init(&k->used);
    if (map_put(&c->by_key, k->bytes, k->key_len, k, NULL) < 0) {
        mem_free(c->mem, k);
        return NULL;
    }
    list_push(&c->used, &k->used);
    c->bytes += size;
    far_cache_name(c, k, like->version);
    return k;
}
