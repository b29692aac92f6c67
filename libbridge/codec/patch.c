/* Partial changes (RFC 8132, 5789): merge-patch (RFC 7396) and json-patch (RFC 6902) on trees, SenML-ETCH on records.
 */
#include "codec/patch.h"
#include "codec/codecs.h"
#include "codec/node.h"

enum {
    MAX_NODES = 100000,  /* copied by one patch: each `copy` may double a value */
    MAX_STEPS = 20000000 /* members passed by: lists of links are searched from the front */
};

static int cannot(bridge_error *err, const char *what, text where)
{
    return fail(err, BRIDGE_UNPROCESSABLE, "patch: %s at \"%.*s\"", what, where.len > 100 ? 100 : (int)where.len,
                where.p);
}

/* ---- RFC 7396 */

static node *new_node(scratch *s, item_kind kind)
{
    node *n = scratch_new(s, node);

    if (n) *n = (node){.it = {.kind = kind, .tag = ITEM_NO_TAG}};
    return n;
}

/* RFC 7396 2; what is new comes last. */
typedef struct patcher {
    scratch *scratch;
    node **root;
    size_t budget, steps;
    bridge_error *err;
} patcher;

static int too_long(patcher *p)
{
    return fail(p->err, BRIDGE_TOOBIG, "patch: too much work for one patch");
}

static int merge(patcher *p, node **target, const node *patch);

static int merge_member(patcher *p, node *map, const node *m)
{
    node **at = node_member_key(map, m->key), *fresh = NULL, *next;
    int rc;

    if (m->it.kind == ITEM_NULL) {
        if (at) *at = (*at)->next;
        return 0;
    }
    if (at) {
        next = (*at)->next;
        rc = merge(p, at, m);
        if (rc == 0) (*at)->next = next;
        return rc;
    }
    rc = merge(p, &fresh, m);
    if (rc) return rc;
    fresh->key = m->key;
    fresh->next = NULL;
    for (at = &map->first; *at; at = &(*at)->next) {
    }
    *at = fresh;
    return 0;
}

static int merge(patcher *p, node **target, const node *patch)
{
    const item *key = *target ? (*target)->key : NULL;
    size_t width;
    int rc = 0;

    if (patch->it.kind != ITEM_MAP) {
        rc = node_copy(p->scratch, patch, &p->budget, target, p->err);
        if (rc == 0) (*target)->key = key;
        return rc;
    }
    if (!*target || (*target)->it.kind != ITEM_MAP) {
        *target = new_node(p->scratch, ITEM_MAP);
        if (!*target) return scratch_fail(p->scratch, p->err);
        (*target)->key = key;
    }
    width = node_count(*target) + node_count(patch);
    for (const node *m = patch->first; m && rc == 0; m = m->next) {
        p->steps += width;
        rc = p->steps > MAX_STEPS ? too_long(p) : merge_member(p, *target, m);
    }
    return rc;
}

int patch_merge(scratch *s, node **target, const node *patch, bridge_error *err)
{
    return merge(&(patcher){s, target, MAX_NODES, 0, err}, target, patch);
}

/* ---- RFC 6901 */

/* One reference token, unescaped into the scratch.  false: SYNTAX. */
static bool next_token(scratch *s, text *pointer, text *token, int *rc, bridge_error *err)
{
    char *to;
    size_t n = 0;
    text raw;

    *rc = 0;
    if (!pointer->len) return false;
    if (*pointer->p != '/') return *rc = fail(err, BRIDGE_SYNTAX, "patch: a path starts with '/'"), false;
    pointer->p++, pointer->len--;
    for (raw = (text){pointer->p, 0}; raw.len < pointer->len && raw.p[raw.len] != '/'; raw.len++) {
    }
    pointer->p += raw.len, pointer->len -= raw.len;
    to = scratch_aligned(s, raw.len + 1, 1);
    if (!to) return *rc = scratch_fail(s, err), false;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.p[i] == '~' && (i + 1 == raw.len || (raw.p[i + 1] != '0' && raw.p[i + 1] != '1')))
            return *rc = fail(err, BRIDGE_SYNTAX, "patch: '~' in a path is ~0 or ~1"), false;
        to[n++] = raw.p[i] != '~' ? raw.p[i] : raw.p[++i] == '0' ? '~' : '/';
    }
    *token = (text){to, n};
    return true;
}

/* The place in a list: of its end for "-" and for its length, when `add`; NULL: none. */
static node **list_place(node *list, text token, bool add)
{
    uint64_t index = 0, i = 0;
    bool end = text_is(token, "-");
    node **at = &list->first;

    if (!end && (!text_to_u64(token, UINT32_MAX, &index) || (token.len > 1 && *token.p == '0'))) return NULL;
    for (; *at && (end || i < index); i++)
        at = &(*at)->next;
    if (!*at && !(add && (end || i == index))) return NULL;
    return at;
}

/* Where a pointer points to.  add: the last token may name what is not there yet; it is answered in *token, the map or
 * list it belongs to in *parent. */
static int resolve(scratch *s, node **root, text pointer, bool add, node ***out, node **parent, text *token,
                   bridge_error *err)
{
    text rest = pointer;
    node **at = root;
    int rc;

    *parent = NULL;
    while (next_token(s, &rest, token, &rc, err)) {
        node *in = *at;
        bool last = !rest.len;
        *parent = in;
        if (in->it.kind == ITEM_LIST)
            at = list_place(in, *token, add && last);
        else
            at = in->it.kind == ITEM_MAP ? node_member(in, *token) : NULL;
        if (!at && in->it.kind == ITEM_MAP && add && last)
            for (at = &in->first; *at; at = &(*at)->next) {
            }
        if (!at) return cannot(err, "nothing there", pointer);
    }
    if (rc) return rc;
    *out = at;
    return 0;
}

/* ---- RFC 6902 */

/* Takes value (a copy of its own) into the tree. */
static int put_at(patcher *p, text pointer, node *value, bool replace)
{
    node **at, *parent;
    item *key;
    text token;
    int rc = resolve(p->scratch, p->root, pointer, !replace, &at, &parent, &token, p->err);

    if (rc) return rc;
    value->next = NULL;
    if (!parent) {
        value->key = NULL;
        *p->root = value;
        return 0;
    }
    if (parent->it.kind == ITEM_LIST) {
        value->key = NULL;
        value->next = replace ? (*at)->next : *at;
        *at = value;
        return 0;
    }
    key = scratch_new(p->scratch, item);
    if (!key) return scratch_fail(p->scratch, p->err);
    *key = (item){.kind = ITEM_STRING, .key = true, .tag = ITEM_NO_TAG, .p = token.p, .len = token.len};
    value->key = *at ? (*at)->key : key;
    value->next = *at ? (*at)->next : NULL;
    *at = value;
    return 0;
}

/* Out of the tree; *out may be NULL when nobody wants it. */
static int take_from(patcher *p, text pointer, node **out)
{
    node **at, *parent, *taken;
    text token;
    int rc = resolve(p->scratch, p->root, pointer, false, &at, &parent, &token, p->err);

    if (rc) return rc;
    taken = *at;
    if (parent)
        *at = taken->next;
    else if (!(*p->root = new_node(p->scratch, ITEM_NULL)))
        return scratch_fail(p->scratch, p->err);
    if (out) *out = taken;
    return 0;
}

static int copy_of(patcher *p, text pointer, node **out)
{
    node **at, *parent;
    text token;
    int rc = resolve(p->scratch, p->root, pointer, false, &at, &parent, &token, p->err);

    return rc ? rc : node_copy(p->scratch, *at, &p->budget, out, p->err);
}

static int test(patcher *p, text pointer, const node *value)
{
    node **at, *parent;
    text token;
    int rc = resolve(p->scratch, p->root, pointer, false, &at, &parent, &token, p->err);

    if (rc) return rc;
    if (node_equal(*at, value)) return 0;
    return fail(p->err, BRIDGE_CONFLICT, "patch: the test at \"%.*s\" says no",
                pointer.len > 100 ? 100 : (int)pointer.len, pointer.p);
}

static bool member_text(node *operation, const char *name, text *out)
{
    node **m = node_member(operation, text_of(name));

    if (!m || (*m)->it.kind != ITEM_STRING) return false;
    *out = (text){(*m)->it.p, (*m)->it.len};
    return true;
}

static int move(patcher *p, text from, text path)
{
    bool inside = path.len > from.len && memcmp(path.p, from.p, from.len) == 0 && path.p[from.len] == '/';
    node *taken;
    int rc;

    if (inside) return cannot(p->err, "cannot move into itself", path);
    if (text_same(from, path)) return copy_of(p, from, &taken); /* only whether it is there */
    rc = take_from(p, from, &taken);
    return rc ? rc : put_at(p, path, taken, false);
}

static int apply(patcher *p, node *operation)
{
    node **value = operation->it.kind == ITEM_MAP ? node_member(operation, text_of("value")) : NULL, *copy = NULL;
    text op, path, from;
    int rc = 0;

    if (operation->it.kind != ITEM_MAP || !member_text(operation, "op", &op) || !member_text(operation, "path", &path))
        return fail(p->err, BRIDGE_SYNTAX, "patch: an operation has \"op\" and \"path\"");
    if (text_is(op, "remove")) return take_from(p, path, NULL);
    if (text_is(op, "move") || text_is(op, "copy")) {
        if (!member_text(operation, "from", &from)) return fail(p->err, BRIDGE_SYNTAX, "patch: \"from\" missing");
        if (text_is(op, "move")) return move(p, from, path);
        rc = copy_of(p, from, &copy);
        return rc ? rc : put_at(p, path, copy, false);
    }
    if (!text_is(op, "add") && !text_is(op, "replace") && !text_is(op, "test"))
        return fail(p->err, BRIDGE_SYNTAX, "patch: unknown operation \"%.*s\"", op.len > 40 ? 40 : (int)op.len, op.p);
    if (!value) return fail(p->err, BRIDGE_SYNTAX, "patch: \"value\" missing");
    if (text_is(op, "test")) return test(p, path, *value);
    rc = node_copy(p->scratch, *value, &p->budget, &copy, p->err);
    return rc ? rc : put_at(p, path, copy, text_is(op, "replace"));
}

int patch_json(scratch *s, node **target, const node *patch, bridge_error *err)
{
    patcher p = {s, target, MAX_NODES, 0, err};
    size_t width = node_total(*target) + node_total(patch);
    int rc = 0;

    if (patch->it.kind != ITEM_LIST) return fail(err, BRIDGE_SYNTAX, "patch: a list of operations expected");
    for (node *m = patch->first; m && rc == 0; m = m->next) {
        p.steps += width; /* at most; what it copies is in the budget */
        rc = p.steps > MAX_STEPS * 5u ? too_long(&p) : apply(&p, m);
    }
    return rc;
}
