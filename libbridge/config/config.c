/* config.c - bridge_load(): a config text becomes calls of bridge.h; all of it, or nothing.
 *
 * Loading again keeps what stays: a listener with the same URL is not touched, and neither are its connections.  With other options
 * for the same address it changes in place, if its protocol can (CoAP), or its connections outlive it.  Routes keep the
 * order of the text, since age decides between equals: from the first line that differs on they are taken away and added anew.
 * When something fails, what was added goes and what was taken away comes back. */
#include "api/bridge.h"
#include "base/status.h"
#include "config/schema.h"

typedef struct loaded { /* bridge->config */
    settings *now;      /* what the last load said; its entries hold the slots */
    limits limits;      /* of the bridge without any config */
    int log_level;
} loaded;

typedef struct load {
    bridge *b;
    const char *text;
    bridge_error *err;
    settings *old, *next; /* old may be NULL */
} load;

/* ---- one entry */

/* RFC 6690 2: a quoted-string */
static int put_quoted(buf *b, const char *name, const char *value)
{
    int rc = value ? buf_print(b, ";%s=\"", name) : 0;

    for (; rc == 0 && value && *value; value++) {
        if (*value == '"' || *value == '\\') rc = buf_put_u8(b, '\\');
        if (rc == 0) rc = buf_put_u8(b, (uint8_t)*value);
    }
    return rc == 0 && value ? buf_put_u8(b, '"') : rc;
}

static int put_attributes(buf *b, const resource *r)
{
    int rc = put_quoted(b, "rt", r->rt);

    if (rc == 0) rc = put_quoted(b, "if", r->interface);
    if (rc == 0) rc = put_quoted(b, "title", r->title);
    if (rc == 0 && r->ct >= 0) rc = buf_print(b, ";ct=%lld", (long long)r->ct);
    if (rc == 0 && r->sz >= 0) rc = buf_print(b, ";sz=%lld", (long long)r->sz);
    return rc == 0 && r->obs ? buf_text(b, ";obs") : rc;
}

static int resource_open(load *l, entry *e, bridge_error *err)
{
    buf b;
    int rc;

    buf_init(&b, l->b->mem, 0);
    rc = put_attributes(&b, &e->resource);
    if (rc == 0 && !buf_cstr(&b)) rc = BRIDGE_NOMEM;
    rc = rc == 0 ? bridge_describe(l->b, e->resource.path, (const char *)b.data, &e->slot, err) : fail_nomem(err);
    buf_done(&b);
    return rc;
}

static int entry_open(load *l, entry *e, bridge_error *err)
{
    switch (e->kind) {
    case ENTRY_LISTEN: return bridge_listen(l->b, e->url, &e->slot, err);
    case ENTRY_RESOURCE: return resource_open(l, e, err);
    case ENTRY_LIFE: return bridge_life_add(l->b, &e->life, &e->slot, err);
    case ENTRY_CONNECT: return bridge_connect(l->b, e->url, &e->slot, err);
    default: return bridge_route_add(l->b, &e->route, &e->slot, err);
    }
}

static void entry_close(entry *e)
{
    bridge_slot *slot = e->slot;

    e->slot = NULL;
    bridge_slot_close(slot);
}

/* What it was is what is wanted again; only the system can refuse (a port that somebody took meanwhile). */
static void entry_reopen(load *l, entry *e)
{
    bridge_error err = {0};

    if (!e->slot && entry_open(l, e, &err) < 0)
        log_line(&l->b->hub->log, BRIDGE_LOG_ERROR, "config", "cannot restore line %d: %s", e->line, err.text);
}

static entry *first_of(const settings *s, entry_kind kind)
{
    return s ? s->first[kind] : NULL;
}

static int fail_entry(load *l, const entry *e, int rc)
{
    if (l->err) l->err->line = e->line;
    return rc;
}

/* ---- routes: what both texts begin with stays */

static void split_routes(load *l, entry **old, entry **next)
{
    *old = first_of(l->old, ENTRY_ROUTE);
    *next = l->next->first[ENTRY_ROUTE];
    while (*old && *next && entry_same(*old, *next)) {
        (*next)->slot = (*old)->slot;
        *old = (*old)->next;
        *next = (*next)->next;
    }
}

static bool close_all(entry *e)
{
    bool any = false;

    for (; e; e = e->next) {
        any = any || e->slot;
        entry_close(e);
    }
    return any;
}

/* An old route from the same source stands in the way of its successor.  Texts mostly keep their order: *hint is where the last
 * one was. */
static bool close_rival(entry *old, entry **hint, const entry *e)
{
    entry *start = *hint ? *hint : old, *o = start;

    if (!o) return false;
    do {
        if (o->slot && strcmp(o->route.source, e->route.source) == 0) {
            entry_close(o);
            *hint = o->next;
            return true;
        }
        o = o->next ? o->next : old;
    } while (o != start);
    return false;
}

/* Old routes go when all new ones are there, or when they are in the way: what never went need not be restored. */
static int swap_routes(load *l)
{
    entry *old, *next, *hint = NULL;

    split_routes(l, &old, &next);
    for (entry *e = next; e; e = e->next) {
        int rc = entry_open(l, e, l->err);

        if (rc == BRIDGE_EXISTS && close_rival(old, &hint, e)) rc = entry_open(l, e, l->err);
        if ((rc == BRIDGE_EXISTS || rc == BRIDGE_BUSY) && close_all(old)) rc = entry_open(l, e, l->err);
        if (rc < 0) return fail_entry(l, e, rc);
    }
    return 0;
}

static void restore_routes(load *l)
{
    entry *old, *next;

    split_routes(l, &old, &next);
    close_all(next);
    for (; old; old = old->next) entry_reopen(l, old);
}

/* ---- listeners and uplinks: the same URL is the same */

static entry *twin(const settings *s, const entry *e)
{
    entry *o = first_of(s, e->kind);

    while (o && !entry_same(o, e)) o = o->next;
    return o;
}

/* Up to the options: "mqtt://0.0.0.0:1883". */
static bool same_address(const entry *a, const entry *b)
{
    size_t len = strcspn(a->url, "?");

    return len == strcspn(b->url, "?") && memcmp(a->url, b->url, len) == 0;
}

/* A listener whose address stays and whose options change: its connections stay, too. */
static void listener_end(load *l, entry *o)
{
    for (const entry *e = l->next->first[ENTRY_LISTEN]; o->kind == ENTRY_LISTEN && e; e = e->next)
        if (same_address(o, e) && listener_retire(o->slot)) {
            o->slot = NULL;
            return;
        }
    entry_close(o);
}

/* The old listeners that are not wanted any more go; their port may be what a new one needs.  False: there were none. */
static bool make_room(load *l, entry_kind kind)
{
    bool any = false;

    for (entry *o = first_of(l->old, kind); o; o = o->next)
        if (o->slot && !twin(l->next, o)) {
            listener_end(l, o);
            any = true;
        }
    return any;
}

/* The listener of the old text that this one, with other options for its address, may live on in. */
static entry *predecessor(load *l, const entry *e)
{
    entry *o = e->kind == ENTRY_LISTEN ? first_of(l->old, ENTRY_LISTEN) : NULL;

    while (o && !(o->slot && same_address(o, e) && !twin(l->next, o))) o = o->next;
    return o;
}

static int port_begin(load *l, entry *e)
{
    entry *o = predecessor(l, e);
    int rc = o ? listener_change(o->slot, e->url, l->err) : BRIDGE_UNSUPPORTED;

    if (rc == BRIDGE_UNSUPPORTED) return entry_open(l, e, l->err);
    if (rc < 0) return rc;
    e->was = o;
    e->slot = o->slot;
    o->slot = NULL;
    return 0;
}

static void port_back(load *l, entry *e)
{
    bridge_error err = {0};

    e->was->slot = e->slot;
    e->slot = NULL;
    if (listener_change(e->was->slot, e->was->url, &err) < 0)
        log_line(&l->b->hub->log, BRIDGE_LOG_ERROR, "config", "cannot restore the options of line %d: %s", e->was->line, err.text);
}

static int swap_ports(load *l, entry_kind kind)
{
    for (entry *e = l->next->first[kind], *o; e; e = e->next) {
        int rc = 0;

        o = twin(l->old, e);
        if (o) e->slot = o->slot;
        else rc = port_begin(l, e);
        if (rc == BRIDGE_EXISTS && make_room(l, kind)) rc = entry_open(l, e, l->err);
        if (rc < 0) return fail_entry(l, e, rc);
    }
    return 0;
}

static void restore_ports(load *l, entry_kind kind)
{
    for (entry *e = l->next->first[kind]; e; e = e->next)
        if (e->was) port_back(l, e);
        else if (!twin(l->old, e)) entry_close(e);
    for (entry *o = first_of(l->old, kind); o; o = o->next) entry_reopen(l, o);
}

/* ---- rules, limits, log */

/* The files are read again, those that listeners name, too. */
static int swap_rules(load *l)
{
    const settings *s = l->next;
    int rc = rules_stage(l->b->hub, l->err);

    if (rc < 0) return rc;
    if (s->passwords || s->allow || (l->old && (l->old->passwords || l->old->allow)))
        rc = bridge_rules(l->b, s->passwords, s->allow, l->err);
    if (rc < 0 && l->err) l->err->line = s->rules_line; /* the sentence names the line of the other file */
    rules_settle(l->b->hub, rc == 0);
    return rc;
}

static void restore_rules(load *l)
{
    if (l->old) bridge_rules(l->b, l->old->passwords, l->old->allow, NULL);
    else if (l->next->passwords || l->next->allow) bridge_rules(l->b, NULL, NULL, NULL);
}

static void set_limit(size_t *limit, size_t without, int64_t said)
{
    *limit = said ? (size_t)said : without;
}

static void set_numbers(bridge *b, const loaded *had, const settings *s)
{
    limits *l = &b->hub->limits;

    set_limit(&l->max_message, had->limits.max_message, s->max_message);
    set_limit(&l->max_queue, had->limits.max_queue, s->max_queue);
    set_limit(&l->max_queue_bytes, had->limits.max_queue_bytes, s->max_queue_bytes);
    set_limit(&l->max_values, had->limits.max_values, s->max_values);
    set_limit(&l->max_value_bytes, had->limits.max_value_bytes, s->max_value_bytes);
    life_limit_clients(b->hub, s->max_client_names ? (size_t)s->max_client_names : had->limits.max_client_names);
    atomic_store(&b->hub->log.level, s->log_level ? s->log_level : had->log_level);
}

/* ---- the store: opened once, by the first text that names one */

static int swap_store(load *l)
{
    const settings *s = l->next;
    const char *was = l->old ? l->old->store : NULL;
    int rc = 0;

    if (l->old && (was ? !s->store || strcmp(was, s->store) != 0 : s->store != NULL))
        rc = fail(l->err, BRIDGE_INVALID, "another store needs a new start of the process");
    else if (s->store && !was)
        rc = bridge_persist(l->b, s->store, l->err);
    if (rc < 0 && l->err) l->err->line = s->store_line;
    return rc;
}

static int set_levels(bridge *b, const settings *old, const settings *s, bridge_error *err)
{
    int rc = 0;

    for (const node *n = old && old->durability ? old->durability->first : NULL; n; n = n->next) bridge_durability(b, n->key, NULL, NULL);
    for (const node *n = s && s->durability ? s->durability->first : NULL; n && rc == 0; n = n->next) {
        rc = bridge_durability(b, n->key, n->text, err);
        if (rc < 0 && err) err->line = n->line;
    }
    return rc;
}

static int set_histories(bridge *b, const settings *old, const settings *s, bridge_error *err)
{
    bridge_history rule;
    int rc = 0;

    for (const node *n = old && old->history ? old->history->first : NULL; n; n = n->next) bridge_record_history(b, n->key, NULL, NULL);
    for (const node *n = s && s->history ? s->history->first : NULL; n && rc == 0; n = n->next) {
        rc = settings_history(n, &rule, err);
        if (rc == 0) rc = bridge_record_history(b, n->key, &rule, err);
        if (rc < 0 && err) err->line = n->line;
    }
    return rc;
}

/* ---- all of it */

/* Rules first and listeners last: nobody comes in before it is decided who may. */
static int swap(load *l)
{
    entry *old, *next;
    int rc = swap_rules(l);

    if (rc < 0) return rc;
    rc = swap_store(l);
    if (rc == 0) rc = set_levels(l->b, l->old, l->next, l->err);
    if (rc == 0) rc = set_histories(l->b, l->old, l->next, l->err);
    if (rc == 0) rc = swap_routes(l);
    if (rc == 0) rc = swap_ports(l, ENTRY_RESOURCE);
    if (rc == 0) rc = swap_ports(l, ENTRY_LIFE);
    if (rc == 0) rc = swap_ports(l, ENTRY_CONNECT);
    if (rc == 0) rc = swap_ports(l, ENTRY_LISTEN);
    if (rc == 0) {
        split_routes(l, &old, &next);
        close_all(old);
        make_room(l, ENTRY_RESOURCE);
        make_room(l, ENTRY_LIFE);
        make_room(l, ENTRY_CONNECT);
        make_room(l, ENTRY_LISTEN);
        return 0;
    }
    restore_ports(l, ENTRY_LISTEN);
    restore_ports(l, ENTRY_CONNECT);
    restore_ports(l, ENTRY_LIFE);
    restore_ports(l, ENTRY_RESOURCE);
    restore_routes(l);
    set_histories(l->b, l->next, l->old, NULL);
    set_levels(l->b, l->next, l->old, NULL);
    restore_rules(l);
    return rc;
}

static void config_free(bridge *b, void *config)
{
    loaded *had = config;

    settings_free(had->now);
    mem_free(b->mem, had);
}

static loaded *config_of(bridge *b)
{
    loaded *had = b->config ? b->config : mem_new(b->mem, loaded);

    if (had && !b->config) {
        had->limits = b->hub->limits;
        had->log_level = atomic_load(&b->hub->log.level);
        b->config = had;
        b->config_free = config_free;
    }
    return had;
}

static int do_load(bridge *b, void *args)
{
    load *l = args;
    loaded *had = config_of(b);
    int rc = had ? settings_read(&l->next, b->mem, l->text, l->err) : fail_nomem(l->err);

    if (rc < 0) return rc;
    l->old = had->now;
    rc = swap(l);
    if (rc < 0) {
        settings_free(l->next);
        return rc;
    }
    set_numbers(b, had, l->next);
    had->now = l->next;
    settings_free(l->old);
    return 0;
}

int bridge_load(bridge *b, const char *config, bridge_error *err)
{
    load l = {.b = b, .text = config, .err = err};

    return config ? on_loop(b, do_load, &l) : fail(err, BRIDGE_INVALID, "no config");
}

int bridge_check(const char *config, bridge_error *err)
{
    bridge *b = NULL;
    int rc = bridge_new(&b, BRIDGE_OPTIONS(.offline = true), err);

    if (rc == 0) rc = bridge_load(b, config, err);
    bridge_free(b);
    return rc;
}
