/* core/ptrie.h - from a path to everything registered with a pattern that matches it, in order of precedence:
 * larger priority first, then the more specific pattern (pattern_compare()), then the older entry.
 * Routes, views and owners are kept here.  The cost is that of the matches, however many entries do not match; only the
 * patterns with text around a name ("{room}-lamp") under one parent are tried one by one. */
#ifndef CORE_PTRIE_H
#define CORE_PTRIE_H
#include "core/trie.h"

typedef struct ptrie_entry { /* lives inside what it registers */
    const pattern *pattern;  /* yours: set both before ptrie_add(), keep them until ptrie_remove() */
    int priority;
    uint32_t node; /* from here on the ptrie's; 0: not in it */
    uint64_t age;
    struct ptrie_entry *next; /* with the same shape of pattern, in order */
} ptrie_entry;

typedef struct ptrie {
    trie trie;
    uint64_t age; /* of the next one */
    size_t count;
    size_t unlike; /* entries with a priority or with text around a name: if any, the first found may not be the best */
} ptrie;

void ptrie_init(ptrie *t, mem *m, uint64_t seed);
void ptrie_done(ptrie *t); /* entries are not touched */

int ptrie_add(ptrie *t, ptrie_entry *e);     /* 0 or NOMEM */
void ptrie_remove(ptrie *t, ptrie_entry *e); /* also one that is not in it */
/* The first with the same shape ({a} is {b} is +), or NULL. */
ptrie_entry *ptrie_same(const ptrie *t, const pattern *p);

/* The best one, or NULL; its captures by pattern_match(e->pattern, ...). */
ptrie_entry *ptrie_best(const ptrie *t, const char *path, size_t len);

typedef struct ptrie_found { /* all of them; reuse it, free it with ptrie_found_done() */
    mem *mem;
    ptrie_entry **at;
    size_t count, room;
} ptrie_found;
int ptrie_all(const ptrie *t, const char *path, size_t len, ptrie_found *out); /* 0, or NOMEM and nothing found */
void ptrie_found_done(ptrie_found *f);
#endif
