/* Who is told of a path, and by which name, remembered: a publisher says the same few paths again and again (core/pathcache.h).
 *
 * Remembered are the simple cases, which are nearly all: no shared subscription, no peer with two watches that match.
 * Subscriptions, owners and routes that come or go make a plan stale; while it is worked off a reference keeps it, because a
 * nested fan-out may push it out.  Of names only those are in it under which somebody watches: a name that nobody listens to
 * costs nothing. */
#include "hub/hub.h"
#include "hub/plan.h"

enum { PLACES = 4096, MOST = 65536, MANY = 1024, BIG = 12 };

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
    plan *p = pathcache_find(&h->plans, msg->path, msg->path_len, h->tree->changes + routes_changes(h));

    if (!p && h->strangers < MANY) h->strangers++;
    return p;
}

/* Worth its time where most paths are in no plan, and the tree is larger than what is near anyway. */
bool port_wants_notice(const bridge_port *port)
{
    const hub *h = port->hub;

    return h->strangers >= MANY / 2 && h->tree->subs.bits >= BIG;
}

void port_notice(bridge_port *port, const text *names, unsigned count)
{
    hub *h = port->hub;
    uint64_t hash[HUB_NOTICE];
    unsigned known = 0;

    for (unsigned i = 0; i < count; i++)
        hash[i] = pathcache_near(&h->plans, names[i].p, names[i].len);
    trie_foresee(&h->tree->subs, names, count);
    for (unsigned i = 0; i < count; i++)
        known += pathcache_knows(&h->plans, hash[i]);
    h->strangers -= known < h->strangers ? known : h->strangers;
}

static void place(plan *p, char **at, const bridge_msg *named, const void *by, unsigned i)
{
    p->names[i] = (plan_name){.by = by, .at = (uint32_t)(*at - p->texts), .len = named->path_len};
    memcpy(*at, named->path, named->path_len);
    *at += named->path_len;
}

plan *plan_new(hub *h, const bridge_msg *msg, size_t count, bridge_msg *const *named, const void *const *by, unsigned name_count)
{
    size_t texts = msg->path_len;
    plan *p;
    char *at;

    if (count > MOST || !pathcache_wants(&h->plans)) return NULL;
    for (unsigned i = 0; i < name_count; i++)
        texts += named[i]->path_len;
    p = mem_alloc(h->mem, sizeof *p + count * sizeof *p->watches + name_count * sizeof *p->names + texts);
    if (!p) return NULL;
    p->refs = 1;
    p->count = (uint32_t)count;
    p->name_count = name_count;
    p->names = (plan_name *)(void *)(p->watches + count);
    p->texts = at = (char *)(p->names + name_count);
    for (unsigned i = 0; i < name_count; i++)
        place(p, &at, named[i], by[i], i);
    memcpy(at, msg->path, msg->path_len);
    pathcache_put(&h->plans, at, msg->path_len, p);
    return p;
}

void plan_unref(hub *h, plan *p)
{
    if (--p->refs == 0) mem_free(h->mem, p);
}
