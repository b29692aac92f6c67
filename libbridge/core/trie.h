/* core/trie.h - a trie on segments: the node code under core/tree and core/ptrie.
 *
 *      (root) -- home -- hall -- temp      literal children are found by hashing (parent, segment) in one table for
 *                  \       \                the whole trie; wildcard children hang on a short list of their own, the
 *                   +       #               most specific first: a trie without wildcards pays nothing for them
 *
 * A node is one cache line and is known by a number; numbers are half as long as pointers and nodes never move.
 * Number 0 is the root, and means "none" everywhere else.  Nodes without data and children are pruned at once. */
#ifndef CORE_TRIE_H
#define CORE_TRIE_H
#include "base/hash.h"
#include "core/pattern.h"
#include <assert.h>

enum { TRIE_INLINE = 28, TRIE_CHUNK = 256, TRIE_PINS = 8191, TRIE_AHEAD = 16 };

typedef struct trie_node {
    uint32_t parent, next, prev; /* siblings: of the literal children, or of the wildcards */
    uint32_t child, wild;        /* the first of each */
    uint32_t hash;               /* of all segments from the root */
    uint16_t len;
    uint16_t kind : 2;      /* segment_kind; a PART's text is "before/behind": a slash is in no segment */
    uint16_t flag : 1;      /* the user's, about data */
    uint16_t pins : 13;     /* walks that rest here: not pruned */
    char text[TRIE_INLINE]; /* longer: a pointer to it in the first bytes */
    void *data;             /* NULL: none */
} trie_node;

typedef struct trie_chunk { /* nodes come in chunks, aligned to cache lines; an empty chunk goes back */
    trie_node nodes[TRIE_CHUNK];
    void *block;          /* what mem_alloc() gave */
    uint32_t live, fresh; /* nodes in use; nodes ever used */
    uint32_t free;        /* the first free one of those, its number in the chunk + 1 */
    uint32_t next, prev;  /* chunks with room: number + 1 */
} trie_chunk;

typedef struct trie_slot {
    uint32_t hash, node;
} trie_slot;

typedef struct trie {
    mem *mem;
    uint64_t seed;
    trie_chunk **chunks;
    size_t chunk_count, chunk_room;
    uint32_t open;                  /* the first chunk with room: number + 1 */
    uint32_t vacant;                /* how many chunks were given back: holes in `chunks` */
    uint32_t count;                 /* nodes, without the root */
    uint32_t bits, old_bits, moved; /* of both tables; slots of the old one that have been moved */
    trie_slot *slots, *old; /* growing is spread over the next inserts: old is what has not moved yet, or NULL */
    uint32_t indexed;       /* literal nodes */
    size_t long_bytes;      /* of texts that are not inline */
} trie;

void trie_init(trie *t, mem *m, uint64_t seed);
void trie_done(trie *t); /* data is the user's: free it before */
size_t trie_bytes(const trie *t);

static inline trie_node *trie_at(const trie *t, uint32_t node)
{
    return &t->chunks[node / TRIE_CHUNK]->nodes[node % TRIE_CHUNK];
}

static inline const char *trie_text(const trie_node *n)
{
    const char *far;

    if (n->len <= TRIE_INLINE) return n->text;
    memcpy(&far, n->text, sizeof far);
    return far;
}

/* The node for a pattern or a path, made if need be: 0 or NOMEM.  A new one has no data: set it, or trie_prune() it. */
int trie_add(trie *t, const pattern *p, uint32_t *out);
int trie_add_path(trie *t, const char *path, size_t len, uint32_t *out);
uint32_t trie_find(const trie *t, const pattern *p);                   /* 0: not there */
uint32_t trie_find_path(const trie *t, const char *path, size_t len);  /* 0: not there; by literal segments only */
uint32_t trie_child(const trie *t, uint32_t parent, text segment);     /* the literal child, or 0 */
uint32_t trie_wild(const trie *t, uint32_t parent, segment_kind kind); /* the first wildcard child of that kind, or 0 */
void trie_prune(trie *t, uint32_t node); /* away with it, and with its parents, as far as they are of no use */
/* Spells a node's path ("home/+/temp", "{}-lamp" for parts) into out[room]: its length, or TOOBIG. */
int trie_spell(const trie *t, uint32_t node, char *out, size_t room);

/* Calls fn for every node with data that matches the path, the most specific first.  fn may not change the trie.
 * Stops when fn answers other than 0, and returns that. */
typedef int (*trie_walk_fn)(void *user, trie_node *node);
int trie_walk(const trie *t, const char *path, size_t len, trie_walk_fn fn, void *user);

/* These paths (TRIE_AHEAD of them) will be walked soon: what is on the way is brought near, for all at once.  trie_ahead.c */
void trie_foresee(const trie *t, const text *paths, unsigned count);

/* The walk over what is below: nodes with data whose path of literal segments matches p, in no particular order.
 *      for (trie_cursor c = trie_below(t, p); trie_next(&c);) ... c.node ...
 * In the body anything may be added and removed, also c.node; what is new may be missed.  Leave it only through
 * trie_leave(), never by break alone. */
typedef struct trie_cursor {
    trie *t;
    const pattern *p;
    uint32_t node;
    int depth; /* -1: not begun, or over */
} trie_cursor;
trie_cursor trie_below(trie *t, const pattern *p);
bool trie_next(trie_cursor *c);
void trie_leave(trie_cursor *c);

/* ---- for the files of this room ---- */

static inline void trie_pin(trie_node *n)
{
    assert(n->pins < TRIE_PINS);
    n->pins++;
}

typedef struct trie_key { /* a segment, made ready for looking up */
    text s;
    uint64_t hash, head; /* head: its first 8 bytes, zeros behind */
} trie_key;

static inline uint64_t trie_word(const char *p) /* 8 bytes, the first one lowest */
{
    uint64_t w;

    memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* What is at p, at most 8 bytes, zeros behind the end; from the last 8 of all when there are that many, as reads behind
 * the end are not ours to make. */
static inline uint64_t trie_last_word(const char *begin, const char *p, const char *end)
{
    size_t left = (size_t)(end - p);
    char few[8] = {0};

    if (left >= 8) return trie_word(p);
    if (left && end - begin >= 8) return trie_word(end - 8) >> 8 * (8 - left);
    for (size_t i = 0; i < left; i++)
        few[i] = p[i];
    return trie_word(few);
}

/* The segment at p, which ends at a slash or at the end: splits and hashes in one go, eight bytes a step.  begin: of
 * the text that p is in. */
static inline trie_key trie_key_at(uint64_t seed, const char *begin, const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u;
    trie_key k = {{p, 0}, seed, 0};

    for (const char *at = p;; at += 8) {
        uint64_t w = trie_last_word(begin, at, end), x = w ^ ones * '/', stop = (x - ones) & ~x & ones << 7;

        if (end - at < 8) stop |= (uint64_t)0x80 << 8 * (end - at);
        if (stop) w &= ((stop & -stop) >> 7) - 1; /* all before the first stop */
        if (at == p) k.head = w;
        if (stop) {
            k.s.len = (size_t)(at - p) + (size_t)__builtin_ctzll(stop) / 8;
            k.hash = hash_mix(k.hash ^ w, k.s.len ^ 0xa0761d6478bd642fu ^ seed);
            return k;
        }
        k.hash = hash_mix(k.hash ^ w, 0xe7037ed1a0b428dbu ^ seed);
    }
}

static inline uint32_t trie_hash_child(uint32_t parent_hash, uint64_t segment_hash)
{
    return (uint32_t)((parent_hash + segment_hash) * 0xd6e8feb86659fd93u >> 32);
}

/* A wildcard gets its hash from a segment that no path has. */
static inline uint32_t trie_hash_wild(const trie *t, uint32_t parent_hash, segment_kind kind)
{
    return trie_hash_child(parent_hash, t->seed + kind);
}

static inline bool trie_is_child(const trie_node *n, uint32_t parent, const trie_key *k)
{
    uint64_t head;

    if (n->parent != parent || n->len != k->s.len) return false;
    if (n->len > TRIE_INLINE) return memcmp(trie_text(n), k->s.p, k->s.len) == 0;
    head = trie_word(n->text); /* nodes are zeroed behind their text, too */
    return head == k->head && (k->s.len <= 8 || memcmp(n->text + 8, k->s.p + 8, k->s.len - 8) == 0);
}

#define TRIE_GONE UINT32_MAX /* a slot of `old` whose node was moved or removed: others may have been put behind it */

static inline uint32_t trie_probe(const trie *t, bool old, uint32_t parent, uint32_t hash, const trie_key *k)
{
    const trie_slot *slots = old ? t->old : t->slots;
    uint32_t bits = old ? t->old_bits : t->bits, mask = (1u << bits) - 1;

    for (uint32_t i = hash >> (32 - bits); slots[i].node; i = (i + 1) & mask)
        if (slots[i].hash == hash && (!old || slots[i].node != TRIE_GONE) &&
            trie_is_child(trie_at(t, slots[i].node), parent, k))
            return slots[i].node;
    return 0;
}

/* The literal child, or 0; the parent must have literal children. */
static inline uint32_t trie_index_find(const trie *t, uint32_t parent, uint32_t hash, const trie_key *k)
{
    uint32_t node = trie_probe(t, false, parent, hash, k);

    return node || !t->old ? node : trie_probe(t, true, parent, hash, k);
}
int trie_index_room(trie *t); /* for one more, or NOMEM */
void trie_index_put(trie *t, uint32_t node);
void trie_index_remove(trie *t, uint32_t node);
void trie_index_done(trie *t);
#endif
