#include "base/map.h"
#include "base/hash.h"
#include "bridge/bridge.h"

void map_init(map *m, mem *memory, uint64_t seed)
{
    *m = (map){.mem = memory, .seed = seed};
}

void map_done(map *m)
{
    if (m->mem) mem_free(m->mem, m->slots);
    m->slots = NULL;
    m->room = m->count = 0;
}

static uint32_t hash_of(const map *m, const void *key, size_t len)
{
    return (uint32_t)hash_bytes(key, len, m->seed);
}

static map_entry *find(const map *m, const void *key, size_t len, uint32_t hash)
{
    size_t i = hash & (m->room - 1);

    while (m->slots[i].value) {
        map_entry *e = &m->slots[i];
        if (e->hash == hash && e->key_len == len && memcmp(e->key, key, len) == 0) return e;
        i = (i + 1) & (m->room - 1);
    }
    return &m->slots[i];
}

void *map_get(const map *m, const void *key, size_t len)
{
    return m->room ? find(m, key, len, hash_of(m, key, len))->value : NULL;
}

static int resize(map *m, size_t room)
{
    map_entry *old = m->slots, *slots = mem_zalloc_array(m->mem, room, sizeof *slots);
    size_t had = m->room;

    if (!slots) return BRIDGE_NOMEM;
    m->slots = slots;
    m->room = room;
    for (size_t i = 0; i < had; i++)
        if (old[i].value) *find(m, old[i].key, old[i].key_len, old[i].hash) = old[i];
    mem_free(m->mem, old);
    return 0;
}

int map_put(map *m, const void *key, size_t len, void *value, void **old)
{
    uint32_t hash = hash_of(m, key, len);
    map_entry *e;

    if (m->count * 4 >= m->room * 3) {
        int rc = resize(m, m->room ? m->room * 2 : 16);
        if (rc < 0) return rc;
    }
    e = find(m, key, len, hash);
    if (old) *old = e->value;
    if (!e->value) m->count++;
    *e = (map_entry){.key = key, .key_len = (uint32_t)len, .hash = hash, .value = value};
    return 0;
}

void *map_remove(map *m, const void *key, size_t len)
{
    map_entry *e = m->room ? find(m, key, len, hash_of(m, key, len)) : NULL;
    size_t hole, i;
    void *value;

    if (!e || !e->value) return NULL;
    value = e->value;
    hole = (size_t)(e - m->slots);
    for (i = hole;;) { /* close the gap: move back whatever would no longer be found */
        size_t home;
        i = (i + 1) & (m->room - 1);
        if (!m->slots[i].value) break;
        home = m->slots[i].hash & (m->room - 1);
        if (((i - home) & (m->room - 1)) >= ((i - hole) & (m->room - 1))) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole].value = NULL;
    m->count--;
    if (m->room > 64 && m->count * 8 < m->room) (void)resize(m, m->room / 2); /* staying large is no error */
    return value;
}

void *map_next(const map *m, size_t *at)
{
    while (*at < m->room) {
        void *value = m->slots[(*at)++].value;
        if (value) return value;
    }
    return NULL;
}
