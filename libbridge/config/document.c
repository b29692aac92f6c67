/* document.c - yajl's events become a tree.  yajl has a tree of its own, but it forgets lines. */
#include "config/document.h"
#include "base/status.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <yajl/yajl_parse.h>

typedef struct reader {
    mem *mem;
    const char *text;
    yajl_handle yajl;
    bridge_error *err;
    node *root, *at; /* at: the object or list that is being filled; NULL outside */
    char *key;       /* the one just read */
    size_t counted;  /* bytes whose lines are in `line` */
    int line, depth, status;
} reader;

const char *node_kind_name(node_kind kind)
{
    static const char *const names[] = {"null", "true or false", "a whole number", "a number", "a text", "a list", "an object"};

    return names[kind];
}

static int line_now(reader *r)
{
    size_t end = yajl_get_bytes_consumed(r->yajl);

    for (; r->counted < end; r->counted++)
        if (r->text[r->counted] == '\n') r->line++;
    return r->line;
}

/* Ends the reading: yajl stops when a callback answers 0. */
static int refuse(reader *r, int status, const char *what, const char *word)
{
    r->status = fail_line(r->err, status, line_now(r), "%s%s%s%s", what, word ? " \"" : "", word ? word : "", word ? "\"" : "");
    return 0;
}

static node *add(reader *r, node_kind kind)
{
    node *n = mem_new(r->mem, node);

    if (!n) {
        refuse(r, BRIDGE_NOMEM, "out of memory", NULL);
        return NULL;
    }
    n->kind = kind;
    n->line = line_now(r);
    n->key = r->key;
    n->parent = r->at;
    r->key = NULL;
    if (!r->at) r->root = n;
    else if (r->at->last) r->at->last = r->at->last->next = n;
    else r->at->first = r->at->last = n;
    return n;
}

static int on_null(void *user)
{
    return add(user, NODE_NULL) != NULL;
}

static int on_bool(void *user, int yes)
{
    node *n = add(user, NODE_BOOL);

    if (n) n->yes = yes;
    return n != NULL;
}

static int on_int(void *user, long long number)
{
    node *n = add(user, NODE_INT);

    if (n) n->number = number;
    return n != NULL;
}

static int on_real(void *user, double number)
{
    (void)number; /* nothing in a config is a fraction: the kind alone makes the error */
    return add(user, NODE_REAL) != NULL;
}

static int on_text(void *user, const unsigned char *text, size_t len)
{
    reader *r = user;
    node *n;

    if (memchr(text, 0, len)) return refuse(r, BRIDGE_SYNTAX, "a text holds a NUL", NULL);
    n = add(r, NODE_TEXT);
    if (!n) return 0;
    n->text = mem_text_len(r->mem, (const char *)text, len);
    return n->text ? 1 : refuse(r, BRIDGE_NOMEM, "out of memory", NULL);
}

static int on_key(void *user, const unsigned char *key, size_t len)
{
    reader *r = user;

    if (memchr(key, 0, len)) return refuse(r, BRIDGE_SYNTAX, "a key holds a NUL", NULL);
    r->key = mem_text_len(r->mem, (const char *)key, len);
    if (!r->key) return refuse(r, BRIDGE_NOMEM, "out of memory", NULL);
    for (const node *n = r->at->first; n; n = n->next)
        if (strcmp(n->key, r->key) == 0) return refuse(r, BRIDGE_SYNTAX, "said twice:", r->key);
    return 1;
}

static int enter(reader *r, node_kind kind)
{
    node *n;

    if (++r->depth > DOCUMENT_MAX_DEPTH) return refuse(r, BRIDGE_SYNTAX, "too deep", NULL);
    n = add(r, kind);
    if (n) r->at = n;
    return n != NULL;
}

static int on_object(void *user)
{
    return enter(user, NODE_OBJECT);
}

static int on_list(void *user)
{
    return enter(user, NODE_LIST);
}

static int leave(void *user)
{
    reader *r = user;

    r->depth--;
    r->at = r->at->parent;
    return 1;
}

/* "parse error: invalid object key (must be a string)\n" without its ends. */
static int syntax(reader *r)
{
    unsigned char *said = yajl_get_error(r->yajl, 0, NULL, 0);
    const char *text = said ? strstr((char *)said, "error: ") : NULL;

    text = text ? text + strlen("error: ") : "not JSON";
    r->status = fail_line(r->err, BRIDGE_SYNTAX, line_now(r), "%.*s", (int)strcspn(text, "\n"), text);
    if (said) yajl_free_error(r->yajl, said);
    return r->status;
}

/* yajl does not look at what its allocator answers, so it gets one that cannot fail: a block that is large enough from the start.
 * What it wants are its buffers for one token, which double (below 4 * len all told), a stack that DOCUMENT_MAX_DEPTH bounds, and
 * an error text.  Nothing is given back before the end. */
typedef struct arena {
    size_t used, room;
    _Alignas(16) char bytes[];
} arena;
enum { ARENA_BASE = 32 * 1024, ARENA_HEAD = 16 };

static arena *arena_new(mem *m, size_t len)
{
    size_t room = ARENA_BASE + 8 * len;
    arena *a = mem_alloc(m, sizeof *a + room);

    if (a) *a = (arena){.room = room};
    return a;
}

static void *arena_alloc(void *user, size_t len)
{
    arena *a = user;
    size_t whole = ARENA_HEAD + ((len + 15) & ~(size_t)15);
    char *p = a->bytes + a->used;

    assert(whole <= a->room - a->used);
    a->used += whole;
    memcpy(p, &len, sizeof len);
    return p + ARENA_HEAD;
}

static void *arena_realloc(void *user, void *old, size_t len)
{
    void *p = arena_alloc(user, len);
    size_t before = 0;

    if (old) memcpy(&before, (char *)old - ARENA_HEAD, sizeof before);
    if (old) memcpy(p, old, before < len ? before : len);
    return p;
}

static void arena_free(void *user, void *p)
{
    (void)user;
    (void)p;
}

static int parse(reader *r, size_t len)
{
    yajl_status s = yajl_parse(r->yajl, (const unsigned char *)r->text, len);

    if (s == yajl_status_ok) s = yajl_complete_parse(r->yajl);
    if (s != yajl_status_ok && r->status == 0) return syntax(r);
    if (r->status == 0 && r->root->kind != NODE_OBJECT)
        r->status = fail_line(r->err, BRIDGE_SYNTAX, 1, "a config is an object: { ... }");
    return r->status;
}

int document_read(node **out, mem *m, const char *text, bridge_error *err)
{
    static const yajl_callbacks events = {on_null, on_bool, on_int, on_real, NULL, on_text,
                                          on_object, on_key, leave, on_list, leave};
    reader r = {.mem = m, .text = text, .err = err, .line = 1};
    size_t len = strlen(text);
    yajl_alloc_funcs alloc = {arena_alloc, arena_realloc, arena_free, NULL};
    arena *a;

    if (len > DOCUMENT_MAX_BYTES) return fail_line(err, BRIDGE_TOOBIG, 0, "longer than %d bytes", DOCUMENT_MAX_BYTES);
    alloc.ctx = a = arena_new(m, len);
    if (!a) return fail_nomem(err);
    r.yajl = yajl_alloc(&events, &alloc, &r);
    yajl_config(r.yajl, yajl_allow_comments, 1);
    parse(&r, len);
    yajl_free(r.yajl);
    mem_free(m, a);
    mem_free(m, r.key);
    if (r.status < 0) document_free(m, r.root);
    else *out = r.root;
    return r.status;
}

void document_free(mem *m, node *n)
{
    while (n) {
        node *next = n->next;

        if (n->kind == NODE_LIST || n->kind == NODE_OBJECT) document_free(m, n->first);
        if (n->kind == NODE_TEXT) mem_free(m, n->text);
        mem_free(m, n->key);
        mem_free(m, n);
        n = next;
    }
}
