/* Subscriptions of the tree.  A node's data is the sub itself when there is only one and it is not shared (node->flag),
 * as it nearly always is where there are many filters; else a list. */
#include "core/tree.h"
#include <stddef.h>

typedef struct sub_list {
    uint32_t count, room;
    sub_group *groups;
    sub *at[];
} sub_list;

static size_t list_size(uint32_t room)
{
    return sizeof(sub_list) + room * sizeof(sub *);
}

/* The list of a node with room for one more sub; made from nothing or from the only sub. */
static sub_list *list_room(tree *t, trie_node *n, uint32_t more)
{
    sub_list *old = n->flag ? NULL : n->data, *list;
    uint32_t count = old ? old->count : n->flag, room = old ? old->room : 0, wanted = room;

    if (old && count + more <= room) return old;
    while (wanted < count + more)
        wanted = wanted ? wanted * 2 : 2;
    list = mem_realloc(t->subs.mem, old, list_size(wanted));
    if (!list) return NULL;
    t->list_bytes += list_size(wanted) - (old ? list_size(room) : 0);
    if (!old) {
        list->count = count;
        list->groups = NULL;
        if (n->flag) list->at[0] = n->data;
    }
    list->room = wanted;
    if (list->groups) list->groups->from = &list->groups; /* it has moved */
    n->flag = 0;
    n->data = list;
    return list;
}

static void list_free(tree *t, trie_node *n)
{
    sub_list *list = n->data;

    t->list_bytes -= list_size(list->room);
    mem_free(t->subs.mem, list);
    n->data = NULL;
}

/* After a removal: the smallest form that does. */
static void list_shrink(tree *t, trie_node *n)
{
    sub_list *list = n->data;
    sub *only = list->count == 1 ? list->at[0] : NULL;
    uint32_t half = list->room / 2;

    if (list->groups == NULL && list->count <= 1) {
        list_free(t, n);
        n->data = only;
        n->flag = only != NULL;
    } else if (list->count < list->room / 4) {
        list = mem_realloc(t->subs.mem, list, list_size(half));
        if (!list) return; /* it may stay as large as it is */
        t->list_bytes -= list_size(list->room) - list_size(half);
        list->room = half;
        if (list->groups) list->groups->from = &list->groups;
        n->data = list;
    }
}

enum { GROUP_KEY = 512 }; /* a longer name is put together on the heap: nobody has one */

static const void *group_key(const sub_group *g)
{
    return (const char *)g + offsetof(sub_group, node);
}

static size_t group_key_len(size_t name_len)
{
    return offsetof(sub_group, name) - offsetof(sub_group, node) + name_len;
}

static sub_group *group_find(const tree *t, uint32_t node, text name)
{
    size_t len = group_key_len(name.len);
    char small[GROUP_KEY], *key = len <= sizeof small ? small : mem_alloc(t->groups.mem, len);
    sub_group *g;

    if (!key) return NULL;
    memcpy(key, &node, sizeof node);
    memcpy(key + sizeof node, name.p, name.len);
    g = map_get(&t->groups, key, len);
    if (key != small) mem_free(t->groups.mem, key);
    return g;
}

static sub_group *group_new(tree *t, sub_list *list, uint32_t node, text name)
{
    sub_group *g = mem_zalloc(t->subs.mem, sizeof *g + name.len);

    if (!g) return NULL;
    memcpy(g->name, name.p, name.len);
    g->name_len = (uint32_t)name.len;
    g->node = node;
    if (map_put(&t->groups, group_key(g), group_key_len(name.len), g, NULL) < 0) {
        mem_free(t->subs.mem, g);
        return NULL;
    }
    g->next = list->groups;
    g->from = &list->groups;
    if (g->next) g->next->from = &g->next;
    list->groups = g;
    t->list_bytes += sizeof *g + name.len;
    return g;
}

static void group_free(tree *t, sub_group *g)
{
    t->list_bytes -= sizeof *g + g->name_len + g->room * sizeof *g->at;
    mem_free(t->subs.mem, g->at);
    mem_free(t->subs.mem, g);
}

static void group_drop(tree *t, sub_group *g)
{
    map_remove(&t->groups, group_key(g), group_key_len(g->name_len));
    *g->from = g->next;
    if (g->next) g->next->from = g->from;
    group_free(t, g);
}

static int group_put(tree *t, sub_group *g, sub *s)
{
    uint32_t wanted = g->room ? g->room * 2 : 2;

    if (g->count == g->room) {
        sub **at = mem_realloc(t->subs.mem, g->at, wanted * sizeof *at);

        if (!at) return BRIDGE_NOMEM;
        t->list_bytes += (wanted - g->room) * sizeof *at;
        g->at = at;
        g->room = wanted;
    }
    s->at = g->count;
    s->group = g;
    g->at[g->count++] = s;
    return 0;
}

static int join_group(tree *t, uint32_t node, text name, sub *s)
{
    trie_node *n = trie_at(&t->subs, node);
    sub_list *list = list_room(t, n, 0);
    sub_group *g = list ? group_find(t, node, name) : NULL;
    int rc = BRIDGE_NOMEM;

    if (list && !g) g = group_new(t, list, node, name);
    if (g) rc = group_put(t, g, s);
    if (rc < 0 && g && !g->count) group_drop(t, g);
    if (rc < 0 && list) list_shrink(t, n);
    return rc;
}

static int join(tree *t, uint32_t node, sub *s)
{
    trie_node *n = trie_at(&t->subs, node);
    sub_list *list;

    s->at = 0;
    s->group = NULL;
    if (!n->data) {
        n->data = s;
        n->flag = 1;
        return 0;
    }
    list = list_room(t, n, 1);
    if (!list) return BRIDGE_NOMEM;
    s->at = list->count;
    list->at[list->count++] = s;
    return 0;
}

int tree_subscribe(tree *t, const pattern *p, text group, sub *s)
{
    uint32_t node;
    int rc = trie_add(&t->subs, p, &node);

    if (rc < 0) return rc;
    rc = group.p ? join_group(t, node, group, s) : join(t, node, s);
    if (rc < 0) {
        trie_prune(&t->subs, node);
        return rc;
    }
    s->node = node;
    t->sub_count++;
    t->changes++;
    return 0;
}

static void take_out(sub **at, uint32_t *count, sub *s)
{
    sub *last = at[--*count];

    at[s->at] = last;
    last->at = s->at;
}

void tree_unsubscribe(tree *t, sub *s)
{
    trie_node *n;
    sub_list *list;

    if (!s->node) return;
    n = trie_at(&t->subs, s->node);
    list = n->data;
    if (n->flag) {
        n->data = NULL;
        n->flag = 0;
    } else if (s->group) {
        take_out(s->group->at, &s->group->count, s);
        if (s->group->count == 0) {
            group_drop(t, s->group);
            list_shrink(t, n);
        }
    } else {
        take_out(list->at, &list->count, s);
        list_shrink(t, n);
    }
    trie_prune(&t->subs, s->node);
    *s = (sub){0};
    t->sub_count--;
    t->changes++;
}

sub *const *tree_subs_of(const tree *t, const pattern *p, text group, sub **only, size_t *count)
{
    uint32_t node = trie_find(&t->subs, p);
    const trie_node *n = node ? trie_at(&t->subs, node) : NULL;
    const sub_group *g = n && group.p ? group_find(t, node, group) : NULL;
    const sub_list *list = n ? n->data : NULL;

    *count = 0;
    if (!list || (group.p && !g)) return only;
    *count = g ? g->count : n->flag ? 1 : list->count;
    if (!g && n->flag) *only = n->data;
    return g ? g->at : n->flag ? only : list->at;
}

int tree_spell_sub(const tree *t, const sub *s, char *out, size_t room)
{
    return trie_spell(&t->subs, s->node, out, room);
}

static void each_sub_of(const trie_node *n, void (*fn)(void *user, sub *s), void *user)
{
    const sub_list *list = n->data;

    if (!list) return;
    if (n->flag) {
        fn(user, n->data);
        return;
    }
    for (uint32_t i = 0; i < list->count; i++)
        fn(user, list->at[i]);
    for (const sub_group *g = list->groups; g; g = g->next)
        for (uint32_t i = 0; i < g->count; i++)
            fn(user, g->at[i]);
}

/* As deep as PATH_LEVELS. */
static void each_sub_from(const trie *t, uint32_t node, void (*fn)(void *user, sub *s), void *user)
{
    const trie_node *n = trie_at(t, node);

    each_sub_of(n, fn, user);
    for (uint32_t c = n->child; c; c = trie_at(t, c)->next)
        each_sub_from(t, c, fn, user);
    for (uint32_t c = n->wild; c; c = trie_at(t, c)->next)
        each_sub_from(t, c, fn, user);
}

void tree_each_sub_below(const tree *t, text prefix, void (*fn)(void *user, sub *s), void *user)
{
    uint32_t node = prefix.p ? trie_find_path(&t->subs, prefix.p, prefix.len) : 0;

    if (node || !prefix.p) each_sub_from(&t->subs, node, fn, user);
}

/* ---- matching ---- */

typedef struct matching {
    tree_subs_fn fn;
    void *user;
} matching;

static int hand_over(void *user, trie_node *n)
{
    const matching *m = user;
    const sub_list *list = n->data;

    if (n->flag) {
        sub *only = n->data;
        m->fn(m->user, &only, 1, NULL);
        return 0;
    }
    if (list->count) m->fn(m->user, list->at, list->count, NULL);
    for (sub_group *g = list->groups; g; g = g->next)
        m->fn(m->user, g->at, g->count, g);
    return 0;
}

void tree_match(const tree *t, const char *path, size_t len, tree_subs_fn fn, void *user)
{
    matching m = {fn, user};

    trie_walk(&t->subs, path, len, hand_over, &m);
}

static int more_subs(tree_found *f, sub *const *subs, size_t count)
{
    if (f->count + count > f->room) {
        size_t room = (f->count + count) * 2;
        sub **at = mem_realloc(f->mem, f->subs, room * sizeof *at);

        if (!at) return BRIDGE_NOMEM;
        f->subs = at;
        f->room = room;
    }
    memcpy(f->subs + f->count, subs, count * sizeof *subs);
    f->count += count;
    return 0;
}

static int write_down(void *user, trie_node *n)
{
    tree_found *f = user;
    const sub_list *list = n->data;
    sub *only = n->data;

    if (n->flag) return more_subs(f, &only, 1);
    if (list->count && more_subs(f, list->at, list->count) < 0) return BRIDGE_NOMEM;
    for (sub_group *g = list->groups; g; g = g->next) {
        if (mem_grow(f->mem, (void **)&f->groups, &f->group_room, f->group_count, sizeof *f->groups) < 0)
            return BRIDGE_NOMEM;
        f->groups[f->group_count++] = g;
    }
    return 0;
}

int tree_collect(const tree *t, const char *path, size_t len, tree_found *out)
{
    int rc;

    out->mem = t->subs.mem;
    out->count = out->group_count = 0;
    rc = trie_walk(&t->subs, path, len, write_down, out);
    if (rc < 0) out->count = out->group_count = 0;
    return rc;
}

void tree_found_done(tree_found *f)
{
    if (f->mem) {
        mem_free(f->mem, f->subs);
        mem_free(f->mem, f->groups);
    }
    *f = (tree_found){0};
}

/* For tree_free(): the lists of all nodes.  Subs are the hub's and may be gone already: they are not looked at. */
void tree_forget_subs(tree *t)
{
    for (size_t i = 1; i < t->subs.chunk_count * TRIE_CHUNK && t->sub_count; i++) {
        const trie_chunk *chunk = t->subs.chunks[i / TRIE_CHUNK];
        trie_node *n = chunk && i % TRIE_CHUNK < chunk->fresh ? trie_at(&t->subs, (uint32_t)i) : NULL;
        sub_list *list = n && !n->flag ? n->data : NULL;

        if (!list) continue;
        for (sub_group *g = list->groups, *next; g; g = next) {
            next = g->next;
            group_free(t, g);
        }
        list_free(t, n);
    }
}
