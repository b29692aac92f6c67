#include "codec/node.h"
#include "codec/cbor.h"
#include "codec/json.h"
#include "codec/number.h"

int node_add(void *builder, const item *it)
{
    node_builder *b = builder;
    node *n;

    if (it->kind == ITEM_END) {
        b->depth--;
        return 0;
    }
    if (it->key && it->kind == ITEM_LIST) return fail(b->err, BRIDGE_UNPROCESSABLE, "a list as a key");
    if (it->key) {
        item *key = scratch_new(b->scratch, item);
        if (!key) return scratch_fail(b->scratch, b->err);
        *key = *it;
        b->key = key;
        return 0;
    }
    n = scratch_new(b->scratch, node);
    if (!n) return scratch_fail(b->scratch, b->err);
    *n = (node){.it = *it, .key = b->key};
    b->key = NULL;
    if (b->depth == 0) {
        b->root = n;
    } else {
        *b->tail[b->depth - 1] = n;
        b->tail[b->depth - 1] = &n->next;
    }
    if (it->kind == ITEM_LIST || it->kind == ITEM_MAP) b->tail[b->depth++] = &n->first;
    return 0;
}

size_t node_count(const node *n)
{
    size_t count = 0;

    for (const node *m = n->first; m; m = m->next)
        count++;
    return count;
}

size_t node_total(const node *n)
{
    size_t total = 1;

    for (const node *m = n->first; m; m = m->next)
        total += node_total(m);
    return total;
}

int node_walk(const node *n, item_fn fn, void *user)
{
    item it = n->it;
    int rc;

    if (it.kind != ITEM_LIST && it.kind != ITEM_MAP) return fn(user, &it);
    it.count = node_count(n);
    rc = fn(user, &it);
    for (const node *m = n->first; m && rc == 0; m = m->next) {
        if (n->it.kind == ITEM_MAP) rc = fn(user, m->key);
        if (rc == 0) rc = node_walk(m, fn, user);
    }
    return rc ? rc : fn(user, ITEM(.kind = ITEM_END));
}

static int copy(scratch *s, const node *n, int depth, size_t *budget, node **out, bridge_error *err)
{
    node *c, **tail;

    if (depth > CODEC_MAX_DEPTH || (*budget)-- == 0) {
        *budget = 0;
        return fail(err, BRIDGE_TOOBIG, "the patch makes too much of the value");
    }
    c = scratch_new(s, node);
    if (!c) return scratch_fail(s, err);
    *c = (node){.it = n->it, .key = n->key};
    tail = &c->first;
    for (const node *m = n->first; m; m = m->next) {
        int rc = copy(s, m, depth + 1, budget, tail, err);
        if (rc) return rc;
        tail = &(*tail)->next;
    }
    *out = c;
    return 0;
}

int node_copy(scratch *s, const node *n, size_t *budget, node **out, bridge_error *err)
{
    return copy(s, n, 0, budget, out, err);
}

static bool number_equal(const item *a, const item *b)
{
    char digits[2][NUMBER_ROOM];
    const item *items[2] = {a, b};
    decimal v[2];

    if (a->kind == b->kind && a->kind != ITEM_REAL) return a->u == b->u;
    for (int i = 0; i < 2; i++) {
        const char *p = items[i]->p;
        size_t len = items[i]->len;
        if (!p) {
            if (items[i]->kind == ITEM_REAL && !(items[i]->d - items[i]->d == 0))
                return a->kind == b->kind && a->d == b->d;
            p = digits[i];
            len = items[i]->kind == ITEM_INT    ? number_int(items[i]->i, digits[i])
                  : items[i]->kind == ITEM_UINT ? number_uint(items[i]->u, digits[i])
                                                : number_real(items[i]->d, digits[i]);
        }
        decimal_of(p, len, &v[i]);
    }
    if (v[0].count == 0 || v[1].count == 0) return v[0].count == v[1].count;
    return v[0].negative == v[1].negative && v[0].count == v[1].count && v[0].exponent == v[1].exponent &&
           memcmp(v[0].digits, v[1].digits, (size_t)v[0].count) == 0;
}

static bool item_equal(const item *a, const item *b)
{
    if (item_is_number(a) && item_is_number(b)) return number_equal(a, b);
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case ITEM_BOOL: return a->b == b->b;
    case ITEM_SIMPLE: return a->u == b->u;
    case ITEM_STRING:
    case ITEM_BYTES: return text_same((text){a->p, a->len}, (text){b->p, b->len});
    default: return true;
    }
}

/* Mostly in the same order: the search goes on from the last hit, and gives up before it costs quadratic time. */
static bool map_equal(const node *a, const node *b)
{
    size_t count = node_count(a), misses = 0;
    const node *at = b->first;

    if (count != node_count(b)) return false;
    for (const node *m = a->first; m; m = m->next, at = at->next ? at->next : b->first) {
        const node *start = at;
        while (!item_equal(at->key, m->key)) {
            at = at->next ? at->next : b->first;
            if (at == start || ++misses > 1000000) return false;
        }
        if (!node_equal(m, at)) return false;
    }
    return true;
}

bool node_equal(const node *a, const node *b)
{
    const node *m, *o;

    if (!item_equal(&a->it, &b->it)) return false;
    if (a->it.kind == ITEM_LIST) {
        for (m = a->first, o = b->first; m && o; m = m->next, o = o->next)
            if (!node_equal(m, o)) return false;
        return !m && !o;
    }
    if (a->it.kind != ITEM_MAP) return true;
    return map_equal(a, b);
}

node **node_member_key(node *map, const item *key)
{
    node **found = NULL;

    for (node **at = &map->first; *at; at = &(*at)->next)
        if (item_equal((*at)->key, key)) found = at;
    return found;
}

node **node_member(node *map, text name)
{
    node **found = NULL;

    for (node **at = &map->first; *at; at = &(*at)->next)
        if ((*at)->key->kind == ITEM_STRING && text_same((text){(*at)->key->p, (*at)->key->len}, name)) found = at;
    return found;
}

const node *node_of(const node *map, const char *name)
{
    node **at = map && map->it.kind == ITEM_MAP ? node_member((node *)(uintptr_t)map, text_of(name)) : NULL;

    return at ? *at : NULL;
}

int node_read(scratch *s, bridge_format format, const void *data, size_t len, node **out, bridge_error *err)
{
    node_builder *b = NODE_BUILDER(s, err);
    int rc =
        format == BRIDGE_CBOR ? cbor_read(s, data, len, node_add, b, err) : json_read(s, data, len, node_add, b, err);

    if (rc == 0) *out = b->root;
    return rc;
}

int node_write(const node *n, bridge_format format, buf *out, bridge_error *err)
{
    return format == BRIDGE_CBOR ? node_walk(n, cbor_put, CBOR_WRITER(out, err))
                                 : node_walk(n, json_put, JSON_WRITER(out, err));
}
