/* Who is told of a path, remembered: a publisher says the same few paths again and again (core/pathcache.h).
 *
 * Remembered are the simple cases, which are nearly all: no shared subscription, no peer with two watches that match, no
 * scheme with names of its own.  tree->changes makes a plan stale; while it is worked off a reference keeps it, because a
 * nested fan-out may push it out. */
#include "hub/hub.h"
#include "hub/plan.h"

enum { PLACES = 4096, MOST = 65536 };

static void drop(void *user, void *p)
{
    plan_unref(user, p);
}

void plans_init(hub *h)
{
    pathcache_init(&h->plans, h->mem, h->seed, PLACES, drop, h);
}

void plans_done(hub *h)
{
    pathcache_done(&h->plans);
}

plan *plan_find(hub *h, const bridge_msg *msg)
{
    return pathcache_find(&h->plans, msg->path, msg->path_len, h->tree->changes);
}

plan *plan_new(hub *h, const bridge_msg *msg, size_t count)
{
    plan *p;

    if (count > MOST || !pathcache_wants(&h->plans)) return NULL;
    p = mem_alloc(h->mem, sizeof *p + count * sizeof *p->watches + msg->path_len);
    if (!p) return NULL;
    p->refs = 1;
    p->count = (uint32_t)count;
    memcpy(p->watches + count, msg->path, msg->path_len);
    pathcache_put(&h->plans, (const char *)(p->watches + count), msg->path_len, p);
    return p;
}

void plan_unref(hub *h, plan *p)
{
    if (--p->refs == 0) mem_free(h->mem, p);
}
