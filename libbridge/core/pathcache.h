/* core/pathcache.h - what was found out about a path is kept until anything changes.
 *
 * A publisher says the same few paths again and again, and the answer (who subscribes, which routes, whose owner) stays
 * the same for long.  Looking all that up takes 50 to 150 ns; finding it here takes one hash of the path.  The hub
 * makes the plan, the cache only keeps it:
 *
 *      plan *p = pathcache_find(&c, path, len, generation);
 *      if (!p) p = plan_make(...) and, if pathcache_wants(&c), pathcache_put(&c, p->path, len, p);
 *
 * generation is any number that changes when an answer may change (tree.changes, that of the routes, of the policy:
 * add them up).  A place in the cache takes a path only when it comes a second time, so that a million paths that come
 * once neither cost memory nor push the busy ones out.  put hands the plan over; it leaves through drop, at any later
 * find or put: who works with a plan while that may happen needs a reference of his own. */
#ifndef CORE_PATHCACHE_H
#define CORE_PATHCACHE_H
#include "base/hash.h"
#include "base/mem.h"
#include <stdbool.h>

typedef struct pathcache_place {
    uint64_t hash, generation;
    const char *path; /* borrowed from the plan */
    void *plan;       /* NULL: only the hash of who came last */
    uint32_t len;
    uint32_t misses; /* how often others came since */
} pathcache_place;

typedef struct pathcache {
    mem *mem;
    uint64_t seed;
    void (*drop)(void *user, void *plan);
    void *user;
    pathcache_place *places;   /* made when first needed */
    size_t room;               /* a power of two */
    pathcache_place *miss;     /* where the last find looked in vain, if it wants that path */
    uint64_t hash, generation; /* of the last find */
} pathcache;

void pathcache_init(pathcache *c, mem *m, uint64_t seed, size_t room, void (*drop)(void *user, void *plan), void *user);
void pathcache_done(pathcache *c);

/* In vain; out of line, as it is rare. */
void pathcache_missed(pathcache *c);

static inline void *pathcache_find(pathcache *c, const char *path, size_t len, uint64_t generation)
{
    uint64_t hash = hash_bytes(path, len, c->seed);
    pathcache_place *p = c->places ? &c->places[hash & (c->room - 1)] : NULL;

    if (p && p->plan && p->hash == hash && p->generation == generation && p->len == len &&
        memcmp(p->path, path, len) == 0)
        return p->plan;
    c->hash = hash;
    c->generation = generation;
    pathcache_missed(c);
    return NULL;
}

/* A find is going to come: its place is asked for; then, a little later, is there a chance?  The plan is asked for. */
static inline uint64_t pathcache_near(const pathcache *c, const char *path, size_t len)
{
    uint64_t hash = hash_bytes(path, len, c->seed);

    if (c->places) __builtin_prefetch(&c->places[hash & (c->room - 1)]);
    return hash;
}

static inline bool pathcache_knows(const pathcache *c, uint64_t hash)
{
    const pathcache_place *p = c->places ? &c->places[hash & (c->room - 1)] : NULL;

    if (!p || !p->plan || p->hash != hash) return false;
    __builtin_prefetch(p->plan);
    __builtin_prefetch(p->path);
    return true;
}

/* After a find in vain: is it worth keeping? */
static inline bool pathcache_wants(const pathcache *c)
{
    return c->miss != NULL;
}

/* After a find in vain that pathcache_wants(), with nothing in between; path must live as long as the plan. */
void pathcache_put(pathcache *c, const char *path, size_t len, void *plan);
#endif
