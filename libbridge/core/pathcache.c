#include "core/pathcache.h"

enum { PATIENCE = 8 }; /* so many others may want a place before its plan has to go, used or not: finds do not write */

void pathcache_init(pathcache *c, mem *m, uint64_t seed, size_t room, void (*drop)(void *user, void *plan), void *user)
{
    *c = (pathcache){.mem = m, .seed = seed, .drop = drop, .user = user, .room = room};
}

static void empty(pathcache *c, pathcache_place *p)
{
    void *plan = p->plan;

    p->plan = NULL;
    if (plan) c->drop(c->user, plan);
}

void pathcache_done(pathcache *c)
{
    for (size_t i = 0; c->places && i < c->room; i++)
        empty(c, &c->places[i]);
    mem_free(c->mem, c->places);
    c->places = c->miss = NULL;
}

void pathcache_missed(pathcache *c)
{
    pathcache_place *p;

    c->miss = NULL;
    if (!c->places) c->places = mem_new_array(c->mem, pathcache_place, c->room);
    if (!c->places) return; /* no memory: then no cache */
    p = &c->places[c->hash & (c->room - 1)];
    if (p->plan && p->generation != c->generation) empty(c, p);
    if (p->hash == c->hash)
        c->miss = p;
    else if (!p->plan)
        p->hash = c->hash; /* come again */
    else if (p->misses++ >= PATIENCE)
        empty(c, p);
}

void pathcache_put(pathcache *c, const char *path, size_t len, void *plan)
{
    pathcache_place *p = c->miss;

    c->miss = NULL;
    empty(c, p);
    *p = (pathcache_place){c->hash, c->generation, path, plan, (uint32_t)len, 0};
}
