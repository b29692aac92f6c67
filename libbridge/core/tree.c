#include "core/tree.h"

int tree_new(mem *m, uint64_t seed, tree **out)
{
    tree *t = mem_new(m, tree);

    if (!t) return BRIDGE_NOMEM;
    trie_init(&t->values, m, hash_mix(seed ^ 1, 0x9e3779b97f4a7c15u));
    trie_init(&t->subs, m, hash_mix(seed ^ 2, 0x9e3779b97f4a7c15u));
    ptrie_init(&t->owners, m, hash_mix(seed ^ 3, 0x9e3779b97f4a7c15u));
    map_init(&t->groups, m, hash_mix(seed ^ 4, 0x9e3779b97f4a7c15u));
    *out = t;
    return 0;
}

void tree_free(tree *t)
{
    if (!t) return;
    tree_forget_subs(t);
    trie_done(&t->values);
    trie_done(&t->subs);
    ptrie_done(&t->owners);
    map_done(&t->groups);
    mem_free(t->values.mem, t);
}

tree_stats tree_count(const tree *t)
{
    return (tree_stats){
        .values = t->value_count,
        .subs = t->sub_count,
        .owners = t->owners.count,
        .nodes = (size_t)t->values.count + t->subs.count + t->owners.trie.count,
        .bytes =
            sizeof *t + trie_bytes(&t->values) + trie_bytes(&t->subs) + trie_bytes(&t->owners.trie) + t->list_bytes
            + t->groups.room * sizeof *t->groups.slots,
    };
}

/* ---- values ---- */

int tree_set_value(tree *t, const char *path, size_t len, void *value, void **old)
{
    uint32_t node;
    trie_node *n;

    if (trie_add_path(&t->values, path, len, &node) < 0) return BRIDGE_NOMEM;
    n = trie_at(&t->values, node);
    if (old) *old = n->data;
    if (!n->data) t->value_count++;
    n->data = value;
    return 0;
}

void *tree_value(const tree *t, const char *path, size_t len)
{
    uint32_t node = trie_find_path(&t->values, path, len);

    return node ? trie_at(&t->values, node)->data : NULL;
}

void *tree_remove_value(tree *t, const char *path, size_t len)
{
    uint32_t node = trie_find_path(&t->values, path, len);
    void *old = node ? trie_at(&t->values, node)->data : NULL;

    if (!old) return NULL;
    trie_at(&t->values, node)->data = NULL;
    t->value_count--;
    trie_prune(&t->values, node);
    return old;
}

trie_cursor tree_values(tree *t, const pattern *p)
{
    return trie_below(&t->values, p);
}

void *tree_next_value(trie_cursor *c)
{
    return trie_next(c) ? trie_at(c->t, c->node)->data : NULL;
}

void tree_leave_values(trie_cursor *c)
{
    trie_leave(c);
}

int tree_each_value(tree *t, const pattern *p, tree_value_fn fn, void *user)
{
    trie_cursor c = tree_values(t, p);
    void *value;
    int rc = 0;

    while (rc == 0 && (value = tree_next_value(&c)))
        rc = fn(user, value);
    tree_leave_values(&c);
    return rc;
}

tree_children tree_children_of(tree *t, text path)
{
    uint32_t parent = path.p ? trie_find_path(&t->values, path.p, path.len) : 0;
    tree_children c = {.tree = t};

    if ((path.p && !parent) || !t->values.count) return c;
    c.at = trie_at(&t->values, parent)->child;
    if (c.at) trie_pin(trie_at(&t->values, c.at)); /* it stays, with its links, whatever happens */
    return c;
}

static void step(tree_children *c, bool further)
{
    trie_node *n = trie_at(&c->tree->values, c->at);
    uint32_t before = c->at;

    c->at = further ? n->next : 0;
    if (c->at) trie_pin(trie_at(&c->tree->values, c->at));
    n->pins--;
    trie_prune(&c->tree->values, before);
}

bool tree_next_child(tree_children *c, text *segment, bool *has_value, bool *has_children)
{
    for (; c->at; c->told = true) {
        const trie_node *n;
        if (c->told) step(c, true);
        c->told = false;
        if (!c->at) return false;
        n = trie_at(&c->tree->values, c->at);
        if (!n->data && !n->child) continue; /* gone since */
        *segment = (text){trie_text(n), n->len};
        *has_value = n->data != NULL;
        *has_children = n->child != 0;
        c->told = true;
        return true;
    }
    return false;
}

void tree_leave_children(tree_children *c)
{
    if (c->at) step(c, false);
}

int tree_each_child(tree *t, text path, tree_child_fn fn, void *user)
{
    tree_children c = tree_children_of(t, path);
    bool has_value, has_children;
    text segment;
    int rc = 0;

    while (rc == 0 && tree_next_child(&c, &segment, &has_value, &has_children)) rc = fn(user, segment, has_value, has_children);
    tree_leave_children(&c);
    return rc;
}

/* ---- owners ---- */

int tree_own(tree *t, ptrie_entry *owner)
{
    t->changes++;
    return ptrie_same(&t->owners, owner->pattern) ? BRIDGE_EXISTS : ptrie_add(&t->owners, owner);
}

void tree_disown(tree *t, ptrie_entry *owner)
{
    t->changes++;
    ptrie_remove(&t->owners, owner);
}

ptrie_entry *tree_owner(const tree *t, const char *path, size_t len)
{
    return ptrie_best(&t->owners, path, len);
}

void tree_all_values(tree *t, void (*fn)(void *value))
{
    for (size_t i = 1; i < t->values.chunk_count * TRIE_CHUNK; i++) {
        const trie_chunk *chunk = t->values.chunks[i / TRIE_CHUNK];
        const trie_node *n = chunk && i % TRIE_CHUNK < chunk->fresh ? trie_at(&t->values, (uint32_t)i) : NULL;

        if (n && n->data) fn(n->data);
    }
}
