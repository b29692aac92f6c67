/* base/hash.h - a seeded hash for short keys.  The seed is random per bridge, so strangers cannot choose collisions. */
#ifndef BASE_HASH_H
#define BASE_HASH_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef unsigned __int128 hash_wide;

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    hash_wide m = (hash_wide)a * b;

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t hash_word(const void *p, size_t len) /* 1 to 8 bytes, each of them read */
{
    uint64_t w = 0;

    if (len >= 4) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, (const char *)p + len - 4, 4);
        return (uint64_t)a << 32 | b;
    }
    memcpy(&w, p, len > 1 ? 2 : 1);
    return w << 8 | ((const uint8_t *)p)[len - 1];
}

static inline uint64_t hash_bytes(const void *data, size_t len, uint64_t seed)
{
    const uint8_t *p = data;
    uint64_t h = seed ^ hash_mix(seed ^ 0x9e3779b97f4a7c15u, len ^ 0xd6e8feb86659fd93u);

    while (len > 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = hash_mix(h ^ w, 0xa0761d6478bd642fu ^ seed);
        p += 8;
        len -= 8;
    }
    if (len) h = hash_mix(h ^ hash_word(p, len), 0xe7037ed1a0b428dbu);
    return hash_mix(h ^ 0x8ebc6af09c88c6e3u, seed | 1);
}
#endif
