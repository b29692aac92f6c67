#include "core/ptrie.h"

void ptrie_init(ptrie *t, mem *m, uint64_t seed)
{
    *t = (ptrie){.age = 1};
    trie_init(&t->trie, m, seed);
}

void ptrie_done(ptrie *t)
{
    trie_done(&t->trie);
}

static bool goes_before(const ptrie_entry *a, const ptrie_entry *b)
{
    int by =
        a->priority != b->priority ? (a->priority > b->priority ? 1 : -1) : pattern_compare(a->pattern, b->pattern);

    return by ? by > 0 : a->age < b->age;
}

static bool is_unlike(const ptrie_entry *e)
{
    bool unlike = e->priority != 0;

    for (int i = 0; i < e->pattern->count; i++)
        unlike |= e->pattern->segments[i].kind == SEGMENT_PART;
    return unlike;
}

int ptrie_add(ptrie *t, ptrie_entry *e)
{
    int rc = trie_add(&t->trie, e->pattern, &e->node);
    trie_node *n;
    ptrie_entry *before = NULL, *after;

    if (rc < 0) return rc;
    e->age = t->age++;
    n = trie_at(&t->trie, e->node);
    for (after = n->data; after && !goes_before(e, after); after = after->next)
        before = after;
    e->next = after;
    if (before)
        before->next = e;
    else
        n->data = e;
    t->count++;
    t->unlike += is_unlike(e);
    return 0;
}

void ptrie_remove(ptrie *t, ptrie_entry *e)
{
    trie_node *n;
    ptrie_entry *before;

    if (!e->node) return;
    n = trie_at(&t->trie, e->node);
    if (n->data == e) {
        n->data = e->next;
    } else {
        for (before = n->data; before->next != e;)
            before = before->next;
        before->next = e->next;
    }
    trie_prune(&t->trie, e->node);
    e->node = 0;
    e->next = NULL;
    t->count--;
    t->unlike -= is_unlike(e);
}

ptrie_entry *ptrie_same(const ptrie *t, const pattern *p)
{
    uint32_t node = trie_find(&t->trie, p);

    return node ? trie_at(&t->trie, node)->data : NULL;
}

typedef struct best {
    ptrie_entry *entry;
    bool first_wins;
} best;

static int take_best(void *user, trie_node *n)
{
    best *b = user;

    if (!b->entry || goes_before(n->data, b->entry)) b->entry = n->data;
    return b->first_wins;
}

ptrie_entry *ptrie_best(const ptrie *t, const char *path, size_t len)
{
    best b = {NULL, t->unlike == 0};

    trie_walk(&t->trie, path, len, take_best, &b);
    return b.entry;
}

static int take_all(void *user, trie_node *n)
{
    ptrie_found *f = user;

    for (ptrie_entry *e = n->data; e; e = e->next) {
        size_t i = f->count;

        if (mem_grow(f->mem, (void **)&f->at, &f->room, f->count, sizeof *f->at) < 0) return BRIDGE_NOMEM;
        for (; i > 0 && goes_before(e, f->at[i - 1]); i--) /* rarely: the walk has nearly the right order */
            f->at[i] = f->at[i - 1];
        f->at[i] = e;
        f->count++;
    }
    return 0;
}

int ptrie_all(const ptrie *t, const char *path, size_t len, ptrie_found *out)
{
    int rc;

    out->mem = t->trie.mem;
    out->count = 0;
    rc = trie_walk(&t->trie, path, len, take_all, out);
    if (rc < 0) out->count = 0;
    return rc;
}

void ptrie_found_done(ptrie_found *f)
{
    if (f->mem) mem_free(f->mem, f->at);
    *f = (ptrie_found){0};
}
