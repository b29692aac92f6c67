/* A look ahead.  One walk down a big trie is a chain of cache misses: slot, node, slot, node, data, each known only when the one
 * before has come.  Of several paths the misses can be waited for together: all go down side by side, a level at a time, and only
 * ask the memory for what their walks will touch.  Nothing is found here, and what is left out costs only time. */
#include "core/trie.h"

enum { DEEPEST = 12, WIDEST = 4, DATA = 48 }; /* DATA: bytes of what is kept at a node that its user looks at first */

typedef struct scout { /* of one path */
    const char *begin, *p, *end; /* p: the segment that comes next */
    trie_key key;
    bool more; /* there is a segment left */
    unsigned count;
    struct place {
        uint32_t node, hash;
    } at[WIDEST];
} scout;

static void fetch_data(const trie_node *n)
{
    const char *data = n->data;

    if (!data) return;
    __builtin_prefetch(data);
    __builtin_prefetch(data + DATA - 1);
}

/* Asks for what step() is going to look at.  false: this one has arrived everywhere. */
static bool ask(const trie *t, scout *s)
{
    s->more = s->p <= s->end;
    if (s->more && s->count) s->key = trie_key_at(t->seed, s->begin, s->p, s->end);
    for (unsigned i = 0; i < s->count; i++) {
        const trie_node *n = trie_at(t, s->at[i].node);

        if (s->more && n->child) __builtin_prefetch(&t->slots[trie_hash_child(s->at[i].hash, s->key.hash) >> (32 - t->bits)]);
        if (n->wild) __builtin_prefetch(trie_at(t, n->wild));
        if (!s->more) fetch_data(n);
    }
    return s->count > 0;
}

/* Whose hash is the same, that is nearly always the child. */
static uint32_t likely_child(const trie *t, uint32_t hash)
{
    uint32_t mask = (1u << t->bits) - 1, i = hash >> (32 - t->bits);

    while (t->slots[i].node && t->slots[i].hash != hash)
        i = (i + 1) & mask;
    return t->slots[i].node;
}

static void go_to(const trie *t, scout *s, uint32_t node, uint32_t hash)
{
    if (!node || s->count == WIDEST) return;
    __builtin_prefetch(trie_at(t, node));
    s->at[s->count++] = (struct place){node, hash};
}

static void step(const trie *t, scout *s)
{
    struct place from[WIDEST];
    unsigned count = s->count;

    memcpy(from, s->at, sizeof from);
    s->count = 0;
    for (unsigned i = 0; i < count; i++) {
        const trie_node *n = trie_at(t, from[i].node);
        uint32_t hash = trie_hash_child(from[i].hash, s->key.hash);

        if (s->more && n->child) go_to(t, s, likely_child(t, hash), hash);
        for (uint32_t w = n->wild; w; w = n->next) {
            n = trie_at(t, w);
            if (n->kind == SEGMENT_REST) fetch_data(n);
            if (s->more && n->kind == SEGMENT_ONE) go_to(t, s, w, trie_hash_wild(t, from[i].hash, SEGMENT_ONE));
        }
    }
    if (s->more) s->p = s->key.s.p + s->key.s.len + 1;
}

void trie_foresee(const trie *t, const text *paths, unsigned count)
{
    scout scouts[TRIE_AHEAD];
    bool busy = t->count > 0 && t->slots;

    if (count > TRIE_AHEAD) count = TRIE_AHEAD;
    for (unsigned i = 0; i < count; i++) {
        scout *s = &scouts[i];

        s->begin = s->p = paths[i].p;
        s->end = s->p + paths[i].len;
        s->at[0] = (struct place){0, (uint32_t)t->seed};
        s->count = 1;
    }
    for (unsigned depth = 0; busy && depth < DEEPEST; depth++) {
        busy = false;
        for (unsigned i = 0; i < count; i++)
            busy |= ask(t, &scouts[i]);
        for (unsigned i = 0; i < count; i++)
            step(t, &scouts[i]);
    }
}
