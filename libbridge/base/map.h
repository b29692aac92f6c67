/* base/map.h - from bytes to a pointer: open addressing, linear probing, seeded hash. */
#ifndef BASE_MAP_H
#define BASE_MAP_H
#include "base/text.h"
#include <stdint.h>

typedef struct map_entry {
    const void *key; /* borrowed: lives as long as the entry, usually inside the value */
    uint32_t key_len, hash;
    void *value; /* NULL: empty */
} map_entry;

typedef struct map {
    mem *mem;
    uint64_t seed;
    map_entry *slots;
    size_t room, count; /* room is 0 or a power of two */
} map;

void map_init(map *m, mem *memory, uint64_t seed);
void map_done(map *m);
void *map_get(const map *m, const void *key, size_t len);                 /* NULL: not there */
int map_put(map *m, const void *key, size_t len, void *value, void **old); /* 0 or NOMEM; replaces key and value */
void *map_remove(map *m, const void *key, size_t len);                    /* the value, or NULL */
/* Visits everything; *at starts at 0.  What is removed or put while visiting may be missed or seen twice. */
void *map_next(const map *m, size_t *at);
#endif
