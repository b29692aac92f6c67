#include "core/trie.h"

void trie_init(trie *t, mem *m, uint64_t seed)
{
    *t = (trie){.mem = m, .seed = seed};
}

void trie_done(trie *t)
{
    for (size_t c = 0; c < t->chunk_count; c++) {
        trie_chunk *chunk = t->chunks[c];

        for (uint32_t i = 0; chunk && t->long_bytes && i < chunk->fresh; i++)
            if (chunk->nodes[i].len > TRIE_INLINE) mem_free(t->mem, (void *)(uintptr_t)trie_text(&chunk->nodes[i]));
        if (chunk) mem_free(t->mem, chunk->block);
    }
    mem_free(t->mem, t->chunks);
    trie_index_done(t);
    trie_init(t, t->mem, t->seed);
}

size_t trie_bytes(const trie *t)
{
    size_t bytes = t->chunk_room * sizeof *t->chunks + t->long_bytes;

    for (size_t c = 0; c < t->chunk_count; c++)
        if (t->chunks[c]) bytes += sizeof(trie_chunk) + 64;
    if (t->slots) bytes += sizeof *t->slots << t->bits;
    if (t->old) bytes += sizeof *t->old << t->old_bits;
    return bytes;
}

/* ---- chunks ---- */

static void chunk_open(trie *t, uint32_t c) /* c and all chunk links: number + 1 */
{
    trie_chunk *chunk = t->chunks[c - 1];

    chunk->prev = 0;
    chunk->next = t->open;
    if (t->open) t->chunks[t->open - 1]->prev = c;
    t->open = c;
}

static void chunk_close(trie *t, uint32_t c)
{
    trie_chunk *chunk = t->chunks[c - 1];

    if (chunk->next) t->chunks[chunk->next - 1]->prev = chunk->prev;
    if (chunk->prev)
        t->chunks[chunk->prev - 1]->next = chunk->next;
    else
        t->open = chunk->next;
}

static int chunk_number(trie *t, uint32_t *out) /* a free place in t->chunks */
{
    if (t->chunk_count >= UINT32_MAX / TRIE_CHUNK) return BRIDGE_NOMEM;
    for (size_t c = 0; t->vacant && c < t->chunk_count; c++) {
        if (t->chunks[c]) continue;
        *out = (uint32_t)c + 1;
        return 0;
    }
    if (mem_grow(t->mem, (void **)&t->chunks, &t->chunk_room, t->chunk_count, sizeof *t->chunks) < 0)
        return BRIDGE_NOMEM;
    t->chunks[t->chunk_count] = NULL;
    *out = (uint32_t)t->chunk_count + 1;
    return 0;
}

static int chunk_new(trie *t)
{
    uint32_t c;
    void *block;
    trie_chunk *chunk;

    if (chunk_number(t, &c) < 0) return BRIDGE_NOMEM;
    block = mem_alloc(t->mem, sizeof *chunk + 63);
    if (!block) return BRIDGE_NOMEM;
    chunk = (trie_chunk *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    chunk->block = block;
    chunk->live = chunk->fresh = chunk->free = 0;
    t->chunks[c - 1] = chunk;
    if (c > t->chunk_count)
        t->chunk_count = c;
    else
        t->vacant--;
    chunk_open(t, c);
    return 0;
}

static int node_alloc(trie *t, uint32_t *out)
{
    trie_chunk *chunk;
    uint32_t at;

    if (!t->open && chunk_new(t) < 0) return BRIDGE_NOMEM;
    chunk = t->chunks[t->open - 1];
    at = chunk->free ? chunk->free - 1 : chunk->fresh++;
    if (chunk->free) chunk->free = chunk->nodes[at].next;
    *out = (t->open - 1) * TRIE_CHUNK + at;
    if (++chunk->live == TRIE_CHUNK) chunk_close(t, t->open);
    memset(&chunk->nodes[at], 0, sizeof chunk->nodes[at]);
    return 0;
}

static void node_free(trie *t, uint32_t node)
{
    uint32_t c = node / TRIE_CHUNK + 1, at = node % TRIE_CHUNK;
    trie_chunk *chunk = t->chunks[c - 1];

    chunk->nodes[at].len = 0; /* no long text any more */
    chunk->nodes[at].next = chunk->free;
    chunk->free = at + 1;
    if (chunk->live-- == TRIE_CHUNK) chunk_open(t, c);
    if (chunk->live > 0) return; /* the first chunk has the root and stays */
    chunk_close(t, c);
    mem_free(t->mem, chunk->block);
    t->chunks[c - 1] = NULL;
    t->vacant++;
}

/* ---- nodes ---- */

static int root_make(trie *t)
{
    uint32_t root;

    if (t->chunk_count) return 0;
    if (node_alloc(t, &root) < 0) return BRIDGE_NOMEM;
    trie_at(t, root)->hash = (uint32_t)t->seed;
    return 0;
}

/* A segment as a node has it.  A PART is its two texts with a slash between. */
typedef struct piece {
    segment_kind kind;
    text s, behind;
} piece;

static piece piece_of(const pattern *p, int i)
{
    const pattern_segment *s = &p->segments[i];
    text all = pattern_text(p, i), none = {"", 0};

    if (s->kind == SEGMENT_LITERAL) return (piece){SEGMENT_LITERAL, all, none};
    if (s->kind != SEGMENT_PART) return (piece){s->kind, none, none};
    return (piece){SEGMENT_PART, {all.p, s->pre}, {all.p + all.len - s->post, s->post}};
}

static size_t piece_len(const piece *c)
{
    return c->kind == SEGMENT_PART ? c->s.len + 1 + c->behind.len : c->s.len;
}

static bool piece_is(const piece *c, const trie_node *n)
{
    const char *has = trie_text(n);

    if (n->kind != c->kind || n->len != piece_len(c) || memcmp(has, c->s.p, c->s.len) != 0) return false;
    return c->kind != SEGMENT_PART ||
           (has[c->s.len] == '/' && memcmp(has + c->s.len + 1, c->behind.p, c->behind.len) == 0);
}

static int text_set(trie *t, trie_node *n, const piece *c) /* n is all zero */
{
    size_t len = piece_len(c);
    char *to = n->text;

    if (len > TRIE_INLINE) {
        to = mem_alloc(t->mem, len);
        if (!to) return BRIDGE_NOMEM;
        memcpy(n->text, &to, sizeof to);
        t->long_bytes += len;
    }
    memcpy(to, c->s.p, c->s.len);
    if (c->kind == SEGMENT_PART) {
        to[c->s.len] = '/';
        memcpy(to + c->s.len + 1, c->behind.p, c->behind.len);
    }
    n->len = (uint16_t)len;
    return 0;
}

static size_t fixed_text(const trie_node *n) /* the more of it a wildcard has, the more specific it is */
{
    return n->kind == SEGMENT_PART ? n->len : 0;
}

/* Into its parent's list: literals to the front, wildcards where their specificity says. */
static void link_in(trie *t, uint32_t node)
{
    trie_node *n = trie_at(t, node), *parent = trie_at(t, n->parent);
    uint32_t *head = n->kind == SEGMENT_LITERAL ? &parent->child : &parent->wild, after = 0, before = *head;

    while (n->kind != SEGMENT_LITERAL && before) {
        const trie_node *b = trie_at(t, before);

        if (b->kind < n->kind || (b->kind == n->kind && fixed_text(b) < fixed_text(n))) break;
        after = before;
        before = b->next;
    }
    n->prev = after;
    n->next = before;
    if (before) trie_at(t, before)->prev = node;
    *(after ? &trie_at(t, after)->next : head) = node;
}

static void unlink_from(trie *t, trie_node *n)
{
    trie_node *parent = trie_at(t, n->parent);
    uint32_t *head = n->kind == SEGMENT_LITERAL ? &parent->child : &parent->wild;

    if (n->next) trie_at(t, n->next)->prev = n->prev;
    *(n->prev ? &trie_at(t, n->prev)->next : head) = n->next;
}

static int node_make(trie *t, uint32_t parent, const piece *c, uint32_t hash, uint32_t *out)
{
    uint32_t node;
    trie_node *n;

    if (c->kind == SEGMENT_LITERAL && trie_index_room(t) < 0) return BRIDGE_NOMEM;
    if (node_alloc(t, &node) < 0) return BRIDGE_NOMEM;
    n = trie_at(t, node);
    if (text_set(t, n, c) < 0) {
        node_free(t, node);
        return BRIDGE_NOMEM;
    }
    n->parent = parent;
    n->kind = (uint8_t)c->kind & 3;
    n->hash = hash;
    link_in(t, node);
    if (c->kind == SEGMENT_LITERAL) trie_index_put(t, node);
    t->count++;
    *out = node;
    return 0;
}

/* What a segment is under a parent: the hash of the node, and the node if it is there. */
static uint32_t find_step(const trie *t, uint32_t parent, const piece *c, uint32_t *hash)
{
    const trie_node *n = trie_at(t, parent);

    if (c->kind == SEGMENT_LITERAL) {
        trie_key k = trie_key_at(t->seed, c->s.p, c->s.p, c->s.p + c->s.len);

        *hash = trie_hash_child(n->hash, k.hash);
        return n->child ? trie_index_find(t, parent, *hash, &k) : 0;
    }
    *hash = trie_hash_wild(t, n->hash, c->kind);
    for (uint32_t w = n->wild; w; w = n->next) {
        n = trie_at(t, w);
        if (piece_is(c, n)) return w;
    }
    return 0;
}

static int add_step(trie *t, uint32_t *node, piece c)
{
    uint32_t hash, next = find_step(t, *node, &c, &hash);

    if (!next && node_make(t, *node, &c, hash, &next) < 0) {
        trie_prune(t, *node);
        return BRIDGE_NOMEM;
    }
    *node = next;
    return 0;
}

int trie_add(trie *t, const pattern *p, uint32_t *out)
{
    uint32_t node = 0;

    if (root_make(t) < 0) return BRIDGE_NOMEM;
    for (int i = 0; i < p->count; i++)
        if (add_step(t, &node, piece_of(p, i)) < 0) return BRIDGE_NOMEM;
    *out = node;
    return 0;
}

int trie_add_path(trie *t, const char *path, size_t len, uint32_t *out)
{
    uint32_t node = 0;
    text s;

    if (root_make(t) < 0) return BRIDGE_NOMEM;
    for (path_walk w = path_start(path, len); path_next(&w, &s);)
        if (add_step(t, &node, (piece){SEGMENT_LITERAL, s, {"", 0}}) < 0) return BRIDGE_NOMEM;
    *out = node;
    return 0;
}

uint32_t trie_find(const trie *t, const pattern *p)
{
    uint32_t node = 0, hash;

    if (!t->count) return 0;
    for (int i = 0; i < p->count; i++) {
        piece c = piece_of(p, i);

        node = find_step(t, node, &c, &hash);
        if (!node) return 0;
    }
    return node;
}

uint32_t trie_child(const trie *t, uint32_t parent, text segment)
{
    piece c = {SEGMENT_LITERAL, segment, {"", 0}};
    uint32_t hash;

    return t->count ? find_step(t, parent, &c, &hash) : 0;
}

uint32_t trie_find_path(const trie *t, const char *path, size_t len)
{
    const char *begin = path, *end = path + len;
    uint32_t node = 0, hash = (uint32_t)t->seed;

    if (!t->count) return 0;
    for (;;) {
        trie_key k = trie_key_at(t->seed, begin, path, end);

        /* the hash does not come out of the node: the processor may run ahead while the node is still on its way */
        hash = trie_hash_child(hash, k.hash);
        if (!trie_at(t, node)->child || !(node = trie_index_find(t, node, hash, &k))) return 0;
        path = k.s.p + k.s.len;
        if (path == end) return node;
        path++;
    }
}

void trie_prune(trie *t, uint32_t node)
{
    while (node) {
        trie_node *n = trie_at(t, node);
        uint32_t parent = n->parent;

        if (n->data || n->child || n->wild || n->pins) return;
        if (n->kind == SEGMENT_LITERAL) trie_index_remove(t, node);
        unlink_from(t, n);
        if (n->len > TRIE_INLINE) {
            t->long_bytes -= n->len;
            mem_free(t->mem, (void *)(uintptr_t)trie_text(n));
        }
        node_free(t, node);
        t->count--;
        node = parent;
    }
}
