/* Walks: down a path through all that matches it, and over all that is below. */
#include "core/trie.h"

enum { BIG = 12 }; /* bits of a table that the nearer caches do not hold */

typedef struct walk {
    const trie *t;
    trie_walk_fn fn;
    void *user;
    unsigned levels;
    trie_key key[PATH_LEVELS];
} walk;

/* All levels at once: short independent steps, which the processor overlaps.  In a big trie the slots of the literal
 * way are asked for meanwhile. */
static void split(walk *w, const char *begin, const char *end)
{
    uint32_t hash = (uint32_t)w->t->seed, shift = 32 - w->t->bits;
    bool big = w->t->bits >= BIG;

    for (const char *p = begin; w->levels < PATH_LEVELS; p++) {
        trie_key k = trie_key_at(w->t->seed, begin, p, end);

        w->key[w->levels++] = k;
        hash = trie_hash_child(hash, k.hash);
        if (big) __builtin_prefetch(&w->t->slots[hash >> shift]);
        p = k.s.p + k.s.len;
        if (p == end) break;
    }
}

static bool part_fits(const trie_node *n, text s)
{
    const char *fixed = trie_text(n), *slash = memchr(fixed, '/', n->len);
    size_t pre = (size_t)(slash - fixed), post = n->len - pre - 1;

    return s.len >= pre + post && memcmp(s.p, fixed, pre) == 0 && memcmp(s.p + s.len - post, slash + 1, post) == 0;
}

static int walk_from(walk *w, uint32_t node, uint32_t hash, unsigned depth);

static int walk_wild(walk *w, uint32_t node, uint32_t parent_hash, unsigned depth, bool more)
{
    /* MQTT 4.7.2: a wildcard in the first segment does not see what begins with '$' */
    bool dollar = depth == 0 && w->key[0].s.len && w->key[0].s.p[0] == '$';
    const trie_node *n;

    for (; node; node = n->next) {
        int rc = 0;

        n = trie_at(w->t, node);
        if (dollar && (n->kind != SEGMENT_PART || trie_text(n)[0] == '/')) continue;
        if (n->kind == SEGMENT_REST)
            rc = n->data ? w->fn(w->user, (trie_node *)(uintptr_t)n) : 0;
        else if (more && n->kind == SEGMENT_ONE)
            rc = walk_from(w, node, trie_hash_wild(w->t, parent_hash, SEGMENT_ONE), depth + 1);
        else if (more && part_fits(n, w->key[depth].s))
            rc = walk_from(w, node, n->hash, depth + 1);
        if (rc) return rc;
    }
    return 0;
}

/* hash is the node's, handed down: so the next level's slot can be fetched while this node is still on its way. */
static int walk_from(walk *w, uint32_t node, uint32_t hash, unsigned depth)
{
    for (;;) {
        const trie_node *n = trie_at(w->t, node);
        bool more = depth < w->levels;
        uint32_t child = 0, child_hash = 0;
        int rc = 0;

        if (more && n->child) {
            child_hash = trie_hash_child(hash, w->key[depth].hash);
            child = trie_index_find(w->t, node, child_hash, &w->key[depth]);
        }
        if (child && !n->wild) { /* the way of nearly all */
            node = child;
            hash = child_hash;
            depth++;
            continue;
        }
        if (child) rc = walk_from(w, child, child_hash, depth + 1);
        if (!more && n->data) rc = w->fn(w->user, (trie_node *)(uintptr_t)n);
        return rc || !n->wild ? rc : walk_wild(w, n->wild, hash, depth, more);
    }
}

int trie_walk(const trie *t, const char *path, size_t len, trie_walk_fn fn, void *user)
{
    walk w;

    if (!t->count) return 0;
    w.t = t;
    w.fn = fn;
    w.user = user;
    w.levels = 0;
    split(&w, path, path + len);
    return walk_from(&w, 0, (uint32_t)t->seed, 0);
}

/* ---- below ---- */

static const pattern_segment *segment_for(const trie_cursor *c, int depth, int *i)
{
    *i = depth < c->p->count ? depth : c->p->count - 1; /* the last one, if it is the rest, is for all that is deeper */
    return &c->p->segments[*i];
}

static bool fits(const trie_cursor *c, uint32_t node, int depth)
{
    const trie_node *n = trie_at(c->t, node);
    text s = {trie_text(n), n->len};
    int i;
    const pattern_segment *want = segment_for(c, depth, &i);

    if (depth == 0 && s.len && s.p[0] == '$' && want->pre == 0) return false; /* MQTT 4.7.2 */
    return want->kind != SEGMENT_PART || pattern_segment_match(c->p, i, s, NULL);
}

static uint32_t first_fit(const trie_cursor *c, uint32_t node, int depth)
{
    while (node && !fits(c, node, depth))
        node = trie_at(c->t, node)->next;
    return node;
}

/* The first node below, which stands for the segment number `depth`; 0: none. */
static uint32_t enter(const trie_cursor *c, uint32_t node, int depth)
{
    int i;
    const pattern_segment *want = segment_for(c, depth, &i);

    if (depth >= c->p->count && want->kind != SEGMENT_REST) return 0;
    if (want->kind == SEGMENT_LITERAL) return trie_child(c->t, node, pattern_text(c->p, i));
    return first_fit(c, trie_at(c->t, node)->child, depth);
}

static uint32_t beside(const trie_cursor *c, uint32_t node, int depth)
{
    int i;

    if (segment_for(c, depth, &i)->kind == SEGMENT_LITERAL) return 0;
    return first_fit(c, trie_at(c->t, node)->next, depth);
}

/* Depth is the number of segments above the cursor's node and its own; one step in the order parent, child, sibling. */
static bool step(trie_cursor *c)
{
    uint32_t next = enter(c, c->node, c->depth);

    if (next) {
        c->depth++;
    } else {
        while (c->depth > 0 && !(next = beside(c, c->node, c->depth - 1))) {
            c->node = trie_at(c->t, c->node)->parent;
            c->depth--;
        }
    }
    c->node = next;
    return next != 0;
}

static void unpin(trie *t, uint32_t node)
{
    if (!node) return;
    trie_at(t, node)->pins--;
    trie_prune(t, node);
}

trie_cursor trie_below(trie *t, const pattern *p)
{
    return (trie_cursor){.t = t, .p = p, .depth = t->count ? 0 : -1};
}

bool trie_next(trie_cursor *c)
{
    int wanted = c->p->count - (pattern_has_rest(c->p) ? 1 : 0); /* "a/#" wants "a", too */
    uint32_t pinned = c->node;

    /* Where we were is pinned, so its parents live and its links are good, whatever the caller did meanwhile. */
    while (c->depth >= 0) {
        if (!step(c)) c->depth = -1;
        if (c->depth >= wanted && trie_at(c->t, c->node)->data) break;
    }
    if (c->node) trie_pin(trie_at(c->t, c->node));
    unpin(c->t, pinned);
    return c->depth >= 0;
}

void trie_leave(trie_cursor *c)
{
    unpin(c->t, c->node); /* none: it is over */
    c->node = 0;
    c->depth = -1;
}

int trie_spell(const trie *t, uint32_t node, char *out, size_t room)
{
    static const char *const wild[] = {[SEGMENT_REST] = "#", [SEGMENT_ONE] = "+"};
    size_t at = room;
    bool last = true;

    for (; node; last = false) {
        const trie_node *n = trie_at(t, node);
        text s = {trie_text(n), n->len};
        bool part = n->kind == SEGMENT_PART;

        if (n->kind == SEGMENT_REST || n->kind == SEGMENT_ONE) s = text_of(wild[n->kind]);
        if (s.len + (part ? 1u : 0u) + (last ? 0u : 1u) > at) return BRIDGE_TOOBIG;
        if (!last) out[--at] = '/';
        if (part) { /* "before/behind" is spelt before{}behind */
            size_t pre = (size_t)((const char *)memchr(s.p, '/', s.len) - s.p), post = s.len - pre - 1;
            memcpy(out + (at -= post), s.p + pre + 1, post);
            memcpy(out + (at -= 2), "{}", 2);
            s.len = pre;
        }
        memcpy(out + (at -= s.len), s.p, s.len);
        node = n->parent;
    }
    memmove(out, out + at, room - at);
    return (int)(room - at);
}
