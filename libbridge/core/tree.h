/* core/tree.h - what the hub knows about canonical paths: the values that are kept, who subscribes, who owns.
 *
 * Three tries of the same nodes (core/trie.h), because their shapes differ: a lookup among ten subscriptions should not
 * have to walk past a million values, nor a listing of values past a million subscriptions (docs/why/10-tree.md).
 * The tree belongs to one thread.  It owns neither values nor subs nor owners, only their places. */
#ifndef CORE_TREE_H
#define CORE_TREE_H
#include "base/map.h"
#include "core/ptrie.h"

typedef struct tree {
    trie values, subs;
    ptrie owners;
    map groups; /* of shared subscriptions, by node and name: a stranger may make thousands on one filter */
    size_t value_count, sub_count, list_bytes;
    uint64_t changes; /* of subscriptions and owners: one more each time, for core/pathcache */
} tree;

typedef struct tree_stats {
    size_t values, subs, owners; /* how many */
    size_t nodes, bytes;         /* for all three */
} tree_stats;

int tree_new(mem *m, uint64_t seed, tree **out); /* seed: random, so that strangers cannot choose collisions */
void tree_free(tree *t);                         /* NULL is fine; take the values out before */
tree_stats tree_count(const tree *t);

/* ---- values: any pointer but NULL.  path must be legal (path_check()). ---- */
/* 0 or NOMEM.  old may be NULL; *old: what was there, or NULL. */
int tree_set_value(tree *t, const char *path, size_t len, void *value, void **old);
void *tree_value(const tree *t, const char *path, size_t len);  /* NULL: none */
void *tree_remove_value(tree *t, const char *path, size_t len); /* what was there, or NULL */

/* Every value whose path matches p, in no particular order.  The cost is that of the paths below p's literal beginning.
 * fn may change the tree as it likes, also remove this value; what it adds may be missed.  Stops when fn answers other
 * than 0, and returns that. */
typedef int (*tree_value_fn)(void *user, void *value);
int tree_each_value(tree *t, const pattern *p, tree_value_fn fn, void *user);

/* The same, a value a call; NULL: all are said.  It may rest for as long as you like, also over turns of the loop, and
 * the tree may change meanwhile: what is there from the first call to the last comes exactly once.  p must live as
 * long. Either all are said, or tree_leave_values(), before tree_free().  At most TRIE_PINS at a time. */
trie_cursor tree_values(tree *t, const pattern *p);
void *tree_next_value(trie_cursor *c);
void tree_leave_values(trie_cursor *c);

/* All values, also below '$'; fn may not change the tree.  For the end of it. */
void tree_all_values(tree *t, void (*fn)(void *value));

/* What is directly below a path (p NULL: the first segments).  segment is a borrow; otherwise as tree_each_value(). */
typedef int (*tree_child_fn)(void *user, text segment, bool has_value, bool has_children);
int tree_each_child(tree *t, text path, tree_child_fn fn, void *user);

/* The same with as much time between two as one likes, in no particular order; what is new may be missed.  To its end, or tree_leave_children(). */
typedef struct tree_children {
    tree *tree;
    uint32_t at; /* pinned; 0: over */
    bool told;
} tree_children;
tree_children tree_children_of(tree *t, text path);
bool tree_next_child(tree_children *c, text *segment, bool *has_value, bool *has_children); /* segment: borrow until the next call */
void tree_leave_children(tree_children *c);

/* ---- subscriptions ---- */
typedef struct sub {   /* the first thing in whatever the hub keeps for a subscription; all zero before the first use */
    uint32_t node, at; /* node 0: not subscribed */
    struct sub_group *group; /* or NULL */
} sub;

typedef struct sub_group {  /* a shared subscription: one of these gets it */
    struct sub_group *next; /* on the same filter */
    struct sub_group **from; /* what points to it */
    sub **at;
    uint32_t count, room;
    uint32_t turn; /* the hub's: to go round */
    uint32_t name_len;
    uint32_t node; /* with the name behind it: the key in tree->groups */
    char name[];
} sub_group;

static inline bool sub_is_on(const sub *s)
{
    return s->node != 0;
}

int tree_subscribe(tree *t, const pattern *p, text group, sub *s); /* group.p NULL: not shared.  0 or NOMEM */
void tree_unsubscribe(tree *t, sub *s);                            /* also one that is not subscribed */
/* Those of one filter, or of one group of it: a borrow until the next change.  *only is room for one. */
sub *const *tree_subs_of(const tree *t, const pattern *p, text group, sub **only, size_t *count);
/* Its filter, without $share and without names: the length, or TOOBIG. */
int tree_spell_sub(const tree *t, const sub *s, char *out, size_t room);

/* Every sub whose filter begins with the literal segments of `prefix` (p NULL: all), wildcards of the filter included: "a/b" finds those of
 * "a/b", "a/b/c" and "a/b/#", not of "a/#".  fn may not change the tree. */
void tree_each_sub_below(const tree *t, text prefix, void (*fn)(void *user, sub *s), void *user);

/* The hot path: fn gets the subs of one matching filter at a time, or of one group of it, the most specific filter
 * first.  It may not change the tree. */
typedef void (*tree_subs_fn)(void *user, sub *const *subs, size_t count, sub_group *group);
void tree_match(const tree *t, const char *path, size_t len, tree_subs_fn fn, void *user);

/* The same, written down first, so that the tree may change while the result is worked off.  The rules then:
 *  - pick the members of groups first, before anything can change: an empty group is gone;
 *  - a sub that was unsubscribed meanwhile says so by !sub_is_on(); its memory must live until then. */
typedef struct tree_found { /* all zero before the first use; reuse it; free it with tree_found_done() */
    mem *mem;
    sub **subs;
    size_t count, room;
    sub_group **groups;
    size_t group_count, group_room;
} tree_found;
int tree_collect(const tree *t, const char *path, size_t len, tree_found *out); /* 0, or NOMEM and nothing found */
void tree_found_done(tree_found *f);

/* ---- owners: who answers requests for a path.  One for each shape of pattern. ---- */
int tree_own(tree *t, ptrie_entry *owner); /* 0, NOMEM, EXISTS; owner->pattern is set */
void tree_disown(tree *t, ptrie_entry *owner);
ptrie_entry *tree_owner(const tree *t, const char *path, size_t len); /* the best, or NULL */

void tree_forget_subs(tree *t); /* for tree_free() */
#endif
