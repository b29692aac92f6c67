/* schema.c - the words of a config.  An unknown one is an error that names the nearest known word. */
#include "config/schema.h"
#include "base/status.h"
#include "base/buf.h"
#include "base/text.h"
#include <string.h>

typedef int (*read_fn)(settings *s, const node *n, void *into, bridge_error *err);
typedef struct word {
    const char *name;
    read_fn read;
    size_t into; /* offset in what is filled in */
} word;

enum { WORDS_MAX = 16 };

static int unknown(const node *n, const word *words, bridge_error *err)
{
    const char *names[WORDS_MAX + 1] = {NULL}, *near;
    size_t count = 0;

    for (; words[count].name; count++) names[count] = words[count].name;
    near = text_nearest(n->key, names);
    if (near)
        return fail_line(err, BRIDGE_INVALID, n->line, "unknown key \"%.80s\"; did you mean \"%s\"?", n->key, near);
    return fail_line(err, BRIDGE_INVALID, n->line, "unknown key \"%.80s\"", n->key);
}

/* Each member of an object through the word of its name. */
static int read_words(settings *s, const node *object, const word *words, void *into, bridge_error *err)
{
    int rc = 0;

    for (const node *n = object->first; n && rc == 0; n = n->next) {
        const word *w = words;

        while (w->name && strcmp(w->name, n->key) != 0) w++;
        rc = w->name ? w->read(s, n, (char *)into + w->into, err) : unknown(n, words, err);
    }
    return rc;
}

static int expected(const node *n, const char *what, bridge_error *err)
{
    return fail_line(err, BRIDGE_INVALID, n->line, "\"%.80s\" is %s, not %s", n->key ? n->key : n->parent->key, what,
                        node_kind_name(n->kind));
}

/* The place of a text in a NULL-terminated list of words. */
static int read_choice(const node *n, const char *const *words, const char *what, bridge_error *err)
{
    const char *near;

    if (n->kind != NODE_TEXT) return expected(n, what, err);
    for (int i = 0; words[i]; i++)
        if (strcmp(n->text, words[i]) == 0) return i;
    near = text_nearest(n->text, words);
    return fail_line(err, BRIDGE_INVALID, n->line, "\"%s\" is %s, not \"%.80s\"%s%s%s", n->key, what, n->text,
                        near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int read_text(settings *s, const node *n, void *into, bridge_error *err)
{
    (void)s;
    if (n->kind != NODE_TEXT) return expected(n, "a text", err);
    if (!*n->text) return fail_line(err, BRIDGE_INVALID, n->line, "\"%s\" is empty", n->key);
    *(const char **)into = n->text;
    return 0;
}

static int read_size(settings *s, const node *n, void *into, bridge_error *err)
{
    (void)s;
    if (n->kind != NODE_INT) return expected(n, "a whole number", err);
    if (n->number <= 0) return fail_line(err, BRIDGE_INVALID, n->line, "\"%s\" must be more than 0", n->key);
    *(int64_t *)into = n->number;
    return 0;
}

static entry *add_entry(settings *s, entry_kind kind, int line)
{
    entry *e = mem_new(s->mem, entry);

    if (!e) return NULL;
    e->kind = kind;
    e->line = line;
    if (s->last[kind]) s->last[kind]->next = e;
    else s->first[kind] = e;
    s->last[kind] = e;
    return e;
}

/* ---- listeners and uplinks: a list of URLs */

static int read_url(settings *s, const node *n, entry_kind kind, bridge_error *err)
{
    entry *e;

    if (n->kind != NODE_TEXT && !(n->kind == NODE_OBJECT && kind == ENTRY_CONNECT)) return expected(n, "a list of URLs", err);
    e = add_entry(s, kind, n->line);
    if (!e) return fail_nomem(err);
    e->url = n->text;
    if (n->kind == NODE_OBJECT) {
        int rc = connect_url(s->mem, n, &e->made, err);
        if (rc < 0) return rc;
        e->url = e->made;
    }
    for (const entry *o = s->first[kind]; o != e; o = o->next)
        if (entry_same(o, e)) return fail_line(err, BRIDGE_INVALID, n->line, "\"%.150s\" is said twice", e->url);
    return 0;
}

static int read_urls(settings *s, const node *n, entry_kind kind, bridge_error *err)
{
    int rc = 0;

    if (n->kind == NODE_TEXT || n->kind == NODE_OBJECT) return read_url(s, n, kind, err);
    if (n->kind != NODE_LIST) return expected(n, "a list of URLs", err);
    for (const node *item = n->first; item && rc == 0; item = item->next) rc = read_url(s, item, kind, err);
    return rc;
}

static int read_listen(settings *s, const node *n, void *into, bridge_error *err)
{
    (void)into;
    return read_urls(s, n, ENTRY_LISTEN, err);
}

static int read_connect(settings *s, const node *n, void *into, bridge_error *err)
{
    (void)into;
    return read_urls(s, n, ENTRY_CONNECT, err);
}

/* ---- routes */

static int read_ways(settings *s, const node *n, void *into, bridge_error *err)
{
    static const char *const words[] = {"auto", "one", "both", NULL};
    int which = read_choice(n, words, "\"auto\", \"one\" or \"both\"", err);

    (void)s;
    if (which >= 0) *(bridge_ways *)into = (bridge_ways)which;
    return which < 0 ? which : 0;
}

static int read_both_ways(settings *s, const node *n, void *into, bridge_error *err)
{
    (void)s;
    if (n->kind != NODE_BOOL) return expected(n, "true or false", err);
    if (*(bridge_ways *)into != BRIDGE_WAYS_AUTO)
        return fail_line(err, BRIDGE_INVALID, n->line, "\"both_ways\" and \"ways\" say the same; keep one");
    *(bridge_ways *)into = n->yes ? BRIDGE_BOTH_WAYS : BRIDGE_ONE_WAY;
    return 0;
}

static int read_retain(settings *s, const node *n, void *into, bridge_error *err)
{
    (void)s;
    if (n->kind != NODE_BOOL) return expected(n, "true (keep always) or false (never)", err);
    *(bridge_keep *)into = n->yes ? BRIDGE_KEEP_ALWAYS : BRIDGE_KEEP_NEVER;
    return 0;
}

static int read_qos(settings *s, const node *n, void *into, bridge_error *err)
{
    (void)s;
    if (n->kind != NODE_INT || n->number < 0 || n->number > 2) return expected(n, "0, 1 or 2", err);
    *(int *)into = BRIDGE_QOS((int)n->number);
    return 0;
}

static int read_priority(settings *s, const node *n, void *into, bridge_error *err)
{
    (void)s;
    if (n->kind != NODE_INT) return expected(n, "a whole number", err);
    if (n->number < -1000000 || n->number > 1000000)
        return fail_line(err, BRIDGE_INVALID, n->line, "\"priority\" is between -1000000 and 1000000");
    *(int *)into = (int)n->number;
    return 0;
}

/* The nodes of a list of steps joined by '|', as the API wants them. */
static char *join_steps(settings *s, const node *list_node)
{
    buf b;
    char *joined = NULL;
    int rc = 0;

    buf_init(&b, s->mem, 0);
    for (const node *item = list_node->first; item && rc == 0; item = item->next) {
        if (item != list_node->first) rc = buf_text(&b, " | ");
        if (rc == 0) rc = buf_text(&b, item->text);
    }
    if (rc == 0) joined = mem_text_len(s->mem, (const char *)b.data, b.len);
    buf_done(&b);
    return joined;
}

static int read_transform(settings *s, const node *n, void *into, bridge_error *err)
{
    entry *e = s->last[ENTRY_ROUTE];

    if (n->kind == NODE_TEXT) return read_text(s, n, into, err);
    if (n->kind != NODE_LIST || !n->first) return expected(n, "steps: a text, or a list of texts", err);
    for (const node *item = n->first; item; item = item->next)
        if (item->kind != NODE_TEXT) return expected(item, "a list of texts", err);
    e->steps = join_steps(s, n);
    *(const char **)into = e->steps;
    return e->steps ? 0 : fail_nomem(err);
}

static int read_on_error(settings *s, const node *n, void *into, bridge_error *err)
{
    static const char *const words[] = {"drop", "pass", NULL};
    int which = read_choice(n, words, "\"drop\" or \"pass\"", err);

    (void)s;
    if (which >= 0) *(bridge_on_error *)into = (bridge_on_error)which;
    return which < 0 ? which : 0;
}

static const word route_words[] = {{"source", read_text, offsetof(bridge_route, source)},
                                   {"target", read_text, offsetof(bridge_route, target)},
                                   {"format", read_text, offsetof(bridge_route, format)},
                                   {"ways", read_ways, offsetof(bridge_route, ways)},
                                   {"both_ways", read_both_ways, offsetof(bridge_route, ways)},
                                   {"retain", read_retain, offsetof(bridge_route, retain)},
                                   {"qos", read_qos, offsetof(bridge_route, max_qos)},
                                   {"priority", read_priority, offsetof(bridge_route, priority)},
                                   {"transform", read_transform, offsetof(bridge_route, transform)},
                                   {"on_error", read_on_error, offsetof(bridge_route, on_error)},
                                   {0}};

static int read_route(settings *s, const node *n, bridge_error *err)
{
    entry *e;
    int rc;

    if (n->kind != NODE_OBJECT) return expected(n, "a list of objects", err);
    e = add_entry(s, ENTRY_ROUTE, n->line);
    if (!e) return fail_nomem(err);
    e->route.size = sizeof e->route;
    rc = read_words(s, n, route_words, &e->route, err);
    if (rc == 0 && !e->route.source) rc = fail_line(err, BRIDGE_INVALID, n->line, "this route has no \"source\"");
    if (rc == 0 && !e->route.target) rc = fail_line(err, BRIDGE_INVALID, n->line, "this route has no \"target\"");
    return rc;
}

static int read_routes(settings *s, const node *n, void *into, bridge_error *err)
{
    int rc = 0;

    (void)into;
    if (n->kind != NODE_LIST) return expected(n, "a list of objects", err);
    for (const node *item = n->first; item && rc == 0; item = item->next) rc = read_route(s, item, err);
    return rc;
}

/* ---- resources: what lists of links say of paths */

static int read_number(settings *s, const node *n, void *into, bridge_error *err)
{
    (void)s;
    if (n->kind != NODE_INT || n->number < 0) return expected(n, "a whole number", err);
    *(int64_t *)into = n->number;
    return 0;
}

static int read_flag(settings *s, const node *n, void *into, bridge_error *err)
{
    (void)s;
    if (n->kind != NODE_BOOL) return expected(n, "true or false", err);
    *(bool *)into = n->yes;
    return 0;
}

static const word resource_words[] = {{"path", read_text, offsetof(resource, path)},
                                      {"rt", read_text, offsetof(resource, rt)},
                                      {"if", read_text, offsetof(resource, interface)},
                                      {"title", read_text, offsetof(resource, title)},
                                      {"ct", read_number, offsetof(resource, ct)},
                                      {"sz", read_number, offsetof(resource, sz)},
                                      {"obs", read_flag, offsetof(resource, obs)},
                                      {0}};

static int read_resource(settings *s, const node *n, bridge_error *err)
{
    entry *e;
    int rc;

    if (n->kind != NODE_OBJECT) return expected(n, "a list of objects", err);
    e = add_entry(s, ENTRY_RESOURCE, n->line);
    if (!e) return fail_nomem(err);
    e->resource.ct = e->resource.sz = -1;
    rc = read_words(s, n, resource_words, &e->resource, err);
    if (rc == 0 && !e->resource.path) rc = fail_line(err, BRIDGE_INVALID, n->line, "this resource has no \"path\"");
    return rc;
}

static int read_resources(settings *s, const node *n, void *into, bridge_error *err)
{
    int rc = 0;

    (void)into;
    if (n->kind != NODE_LIST) return expected(n, "a list of objects", err);
    for (const node *item = n->first; item && rc == 0; item = item->next) rc = read_resource(s, item, err);
    return rc;
}

/* ---- the life of names */

static int read_duration(settings *s, const node *n, void *into, bridge_error *err)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
    const char *p = n->kind == NODE_TEXT ? n->text : "";
    size_t digits = strspn(p, "0123456789");
    uint64_t number = 0;

    (void)s;
    if (digits && text_to_u64((text){p, digits}, 1000000000, &number))
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (number && strcmp(p + digits, units[i].unit) == 0) {
                *(int64_t *)into = (int64_t)number * units[i].ms;
                return 0;
            }
    return expected(n, "a time such as \"30s\", \"10m\", \"1h\", \"7d\"", err);
}

static int read_count(settings *s, const node *n, void *into, bridge_error *err)
{
    int64_t number = 0;
    int rc = read_size(s, n, &number, err);

    if (rc == 0) *(size_t *)into = (size_t)number;
    return rc;
}

static const word life_words[] = {{"pattern", read_text, offsetof(bridge_life, pattern)},
                                  {"value_ttl", read_duration, offsetof(bridge_life, value_ttl)},
                                  {"unused", read_duration, offsetof(bridge_life, unused)},
                                  {"max_children", read_count, offsetof(bridge_life, max_children)},
                                  {0}};

static int read_lives(settings *s, const node *n, void *into, bridge_error *err)
{
    int rc = 0;

    (void)into;
    if (n->kind != NODE_LIST) return expected(n, "a list of objects", err);
    for (const node *item = n->first; item && rc == 0; item = item->next) {
        entry *e;
        if (item->kind != NODE_OBJECT) return expected(item, "a list of objects", err);
        e = add_entry(s, ENTRY_LIFE, item->line);
        if (!e) return fail_nomem(err);
        e->life.size = sizeof e->life;
        rc = read_words(s, item, life_words, &e->life, err);
        if (rc == 0 && !e->life.pattern) rc = fail_line(err, BRIDGE_INVALID, item->line, "this rule of life has no \"pattern\"");
    }
    return rc;
}

/* ---- the rest */

static int read_store(settings *s, const node *n, void *into, bridge_error *err)
{
    s->store_line = n->line;
    return read_text(s, n, into, err);
}

/* {"telemetry/#": "none"} */
static int read_durability(settings *s, const node *n, void *into, bridge_error *err)
{
    static const char *const words[] = {"full", "normal", "none", NULL};
    int rc = 0;

    (void)into;
    if (n->kind != NODE_OBJECT) return expected(n, "an object of patterns", err);
    s->durability = n;
    for (const node *item = n->first; item && rc >= 0; item = item->next)
        rc = read_choice(item, words, "\"full\", \"normal\" or \"none\"", err);
    return rc < 0 ? rc : 0;
}

/* "30d", "500ms", or ms as a number */
static int read_span(const node *n, int64_t *out, bridge_error *err)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};
    text t = n->kind == NODE_TEXT ? text_of(n->text) : (text){NULL, 0};
    uint64_t value;

    if (n->kind == NODE_INT && n->number >= 0) return *out = n->number, 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t len = strlen(units[i].unit);
        if (t.len <= len || memcmp(t.p + t.len - len, units[i].unit, len) != 0) continue;
        if (text_to_u64((text){t.p, t.len - len}, 1000000000, &value)) return *out = (int64_t)value * units[i].ms, 0;
    }
    return expected(n, "a time like \"30d\", \"1h\", \"5min\", \"500ms\"", err);
}

int settings_history(const node *n, bridge_history *out, bridge_error *err)
{
    *out = (bridge_history){.size = sizeof *out};
    if (n->kind != NODE_OBJECT) return expected(n, "an object", err);
    for (const node *item = n->first; item; item = item->next) {
        int rc = 0;
        if (strcmp(item->key, "keep") == 0) rc = read_span(item, &out->keep, err);
        else if (strcmp(item->key, "resolution") == 0) rc = read_span(item, &out->resolution, err);
        else if (strcmp(item->key, "records") == 0 && item->kind == NODE_INT && item->number > 0) out->records = (uint64_t)item->number;
        else return fail_line(err, BRIDGE_INVALID, item->line, "\"%.80s\": a history has keep, resolution and records (a number above 0)", item->key);
        if (rc < 0) return rc;
    }
    return 0;
}

/* {"sensors/#": {"keep": "30d", "records": 100000, "resolution": "1s"}} */
static int read_history(settings *s, const node *n, void *into, bridge_error *err)
{
    bridge_history rule;
    int rc = 0;

    (void)into;
    if (n->kind != NODE_OBJECT) return expected(n, "an object of patterns", err);
    s->history = n;
    for (const node *item = n->first; item && rc == 0; item = item->next) rc = settings_history(item, &rule, err);
    return rc;
}

static int read_rules(settings *s, const node *n, void *into, bridge_error *err)
{
    s->rules_line = n->line;
    return read_text(s, n, into, err);
}

static int read_log(settings *s, const node *n, void *into, bridge_error *err)
{
    static const char *const words[] = {"error", "warn", "info", "debug", NULL};
    int which = read_choice(n, words, "\"error\", \"warn\", \"info\" or \"debug\"", err);

    (void)s;
    if (which >= 0) *(int *)into = BRIDGE_LOG_ERROR + which;
    return which < 0 ? which : 0;
}

static const word limit_words[] = {{"max_message", read_size, offsetof(settings, max_message)},
                                   {"max_queue", read_size, offsetof(settings, max_queue)},
                                   {"max_queue_bytes", read_size, offsetof(settings, max_queue_bytes)},
                                   {"max_values", read_size, offsetof(settings, max_values)},
                                   {"max_value_bytes", read_size, offsetof(settings, max_value_bytes)},
                                   {"max_client_names", read_size, offsetof(settings, max_client_names)},
                                   {0}};

static int read_limits(settings *s, const node *n, void *into, bridge_error *err)
{
    (void)into;
    return n->kind == NODE_OBJECT ? read_words(s, n, limit_words, s, err) : expected(n, "an object", err);
}

static const word config_words[] = {{"listen", read_listen, 0},
                                    {"connect", read_connect, 0},
                                    {"routes", read_routes, 0},
                                    {"resources", read_resources, 0},
                                    {"store", read_store, offsetof(settings, store)},
                                    {"durability", read_durability, 0},
                                    {"history", read_history, 0},
                                    {"passwords", read_rules, offsetof(settings, passwords)},
                                    {"allow", read_rules, offsetof(settings, allow)},
                                    {"life", read_lives, 0},
                                    {"log", read_log, offsetof(settings, log_level)},
                                    {"limits", read_limits, 0},
                                    {0}};

int settings_read(settings **out, mem *m, const char *json, bridge_error *err)
{
    settings *s = mem_new(m, settings);
    int rc;

    if (!s) return fail_nomem(err);
    s->mem = m;
    rc = document_read(&s->document, m, json, err);
    if (rc == 0) rc = read_words(s, s->document, config_words, s, err);
    if (rc == 0) *out = s;
    else settings_free(s);
    return rc;
}

void settings_free(settings *s)
{
    if (!s) return;
    for (int kind = 0; kind < ENTRY_KINDS; kind++)
        for (entry *e = s->first[kind], *next; e; e = next) {
            next = e->next;
            mem_free(s->mem, e->steps);
            mem_free(s->mem, e->made);
            mem_free(s->mem, e);
        }
    document_free(s->mem, s->document);
    mem_free(s->mem, s);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool entry_same(const entry *a, const entry *b)
{
    const bridge_route *r = &a->route, *o = &b->route;
    const resource *x = &a->resource, *y = &b->resource;

    if (a->kind != b->kind) return false;
    if (a->kind == ENTRY_RESOURCE)
        return same_text(x->path, y->path) && same_text(x->rt, y->rt) && same_text(x->interface, y->interface) &&
               same_text(x->title, y->title) && x->ct == y->ct && x->sz == y->sz && x->obs == y->obs;
    if (a->kind == ENTRY_LIFE)
        return same_text(a->life.pattern, b->life.pattern) && a->life.value_ttl == b->life.value_ttl && a->life.unused == b->life.unused &&
               a->life.max_children == b->life.max_children;
    if (a->kind != ENTRY_ROUTE) return strcmp(a->url, b->url) == 0;
    return same_text(r->source, o->source) && same_text(r->target, o->target) && same_text(r->format, o->format) &&
           r->ways == o->ways && r->retain == o->retain && r->max_qos == o->max_qos && r->priority == o->priority &&
           same_text(r->transform, o->transform) && r->on_error == o->on_error;
}
