/* What an acknowledgement promises at a path: the most specific pattern that somebody said something about. */
#include "base/status.h"
#include "hub/keep.h"

struct level {
    ptrie_entry at; /* first, so that one is the other */
    list link;      /* in hub->levels.all */
    pattern *pattern;
    int level;
};

enum { LEVELS_MAX = 1000 };

int keep_level_set(hub *h, const char *filter, int level, bridge_error *err)
{
    pattern *p = NULL;
    ptrie_entry *there;
    struct level *l;
    int rc = pattern_new(h->mem, &p, filter, strlen(filter), PATTERN_FULL, err);

    if (rc < 0) return rc;
    there = ptrie_same(&h->levels, p);
    if (there) {
        l = list_of(there, struct level, at);
        ptrie_remove(&h->levels, there);
        list_remove(&l->link);
        mem_free(h->mem, l->pattern);
        mem_free(h->mem, l);
    }
    if (level < 0 || h->levels.count >= LEVELS_MAX) {
        mem_free(h->mem, p);
        return level < 0 ? 0 : fail(err, BRIDGE_BUSY, "more than %d patterns with a durability", LEVELS_MAX);
    }
    l = mem_new(h->mem, struct level);
    if (l) *l = (struct level){.at.pattern = p, .pattern = p, .level = level};
    rc = l ? ptrie_add(&h->levels, &l->at) : BRIDGE_NOMEM;
    if (rc == 0) {
        list_push(&h->level_list, &l->link);
        return 0;
    }
    mem_free(h->mem, l);
    mem_free(h->mem, p);
    return fail_nomem(err);
}

int keep_level_at(const hub *h, text path)
{
    const ptrie_entry *e = h->levels.count ? ptrie_best(&h->levels, path.p, path.len) : NULL;

    return e ? list_of(e, struct level, at)->level : -1;
}

void keep_levels_init(hub *h)
{
    list_init(&h->level_list);
    ptrie_init(&h->levels, h->mem, h->seed ^ 5);
}

void keep_levels_done(hub *h)
{
    list *it;

    while ((it = list_pop(&h->level_list))) {
        struct level *l = list_of(it, struct level, link);
        ptrie_remove(&h->levels, &l->at);
        mem_free(h->mem, l->pattern);
        mem_free(h->mem, l);
    }
    ptrie_done(&h->levels);
}
