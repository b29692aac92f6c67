/* Names that schemes have for canonical paths: in, out, and remembered.
 *
 * A publisher says the same few names again and again: what each is called inside is found once (core/pathcache.h), also that it is
 * called nothing else.  What is remembered is stale as soon as any route comes or goes. */
#include "hub/routes.h"
#include "codec/registry.h"

enum { PLACES = 4096 };

typedef struct naming { /* what a scheme means by a name */
    route *by; /* NULL: the path itself; not looked at when it is stale */
    uint16_t len;
    char path[]; /* NUL-terminated; the name behind it */
} naming;

static void drop(void *user, void *plan)
{
    mem_free(user, plan);
}

void names_remembered(hub *h, struct routes *rs)
{
    for (int i = 0; i <= EVERY; i++)
        pathcache_init(&rs->names[i].inward, h->mem, h->seed, PLACES, drop, h->mem);
}

void names_forgotten(struct routes *rs)
{
    for (int i = 0; i <= EVERY; i++)
        pathcache_done(&rs->names[i].inward);
}

bool routes_has_names(const hub *h, uint8_t scheme)
{
    const struct routes *rs = h->routes;

    return rs->names[EVERY].count || (scheme < EVERY && rs->names[scheme].count);
}

static ptrie_entry *better(ptrie_entry *a, ptrie_entry *b)
{
    int order;

    if (!a || !b) return a ? a : b;
    if (a->priority != b->priority) return a->priority > b->priority ? a : b;
    order = pattern_compare(a->pattern, b->pattern);
    if (order) return order > 0 ? a : b;
    return route_of(a)->number < route_of(b)->number ? a : b;
}

/* An application speaks for every scheme unless it says which (docs/routes.md). */
static ptrie_entry *best_in(const struct routes *rs, uint8_t scheme, text name)
{
    ptrie_entry *e = rs->names[EVERY].count ? ptrie_best(&rs->names[EVERY].in, name.p, name.len) : NULL;

    for (int i = 0; i < HUB_SCHEMES; i++)
        if (rs->names[i].count && (i == scheme || scheme == SCHEME_APP))
            e = better(e, ptrie_best(&rs->names[i].in, name.p, name.len));
    return e;
}

int route_fill(const route *r, bool forth, const pattern *matched, text name, char *out, size_t room)
{
    captures caps;

    if (!pattern_match(matched, name.p, name.len, &caps)) return BRIDGE_INTERNAL;
    return forth ? pattern_fill(r->to_target, &r->to_link, &caps, out, room) : pattern_fill(r->from, &r->from_link, &caps, out, room);
}

/* Whose names count: an application that says nothing speaks for every scheme, one that gives an origin for that one only. */
static uint8_t scheme_of(const hub *h, const bridge_peer *from, const bridge_msg *msg)
{
    const origin *o = msg->origin;
    int said;

    if (from != h->app) return from->scheme;
    if (!o || o == h->app->origin) return SCHEME_APP;
    said = hub_scheme(h, (text){o->text, o->scheme_len});
    return said > SCHEME_APP ? (uint8_t)said : EVERY; /* "app:x", or a scheme that no route knows: the names that all have */
}

static void remember(hub *h, pathcache *c, text name, route *by, const char *path, size_t len)
{
    naming *n = mem_alloc(h->mem, sizeof *n + len + 1 + name.len);

    if (!n) return;
    n->by = by;
    n->len = (uint16_t)len;
    memcpy(n->path, path, len);
    n->path[len] = 0;
    memcpy(n->path + len + 1, name.p, name.len);
    pathcache_put(c, n->path + len + 1, name.len, n);
}

/* The path that a scheme calls by this name, in *out: a borrow until the next look, or in room.  *by NULL: the name is the path. */
static int inward(hub *h, uint8_t scheme, text name, route **by, text *out, char room[PATH_BYTES + 1])
{
    struct routes *rs = h->routes;
    pathcache *c = &rs->names[scheme].inward;
    naming *known = pathcache_find(c, name.p, name.len, rs->changes);
    ptrie_entry *e;
    int len = 0;

    room[0] = 0;
    if (known) {
        *by = known->by;
        *out = (text){known->path, known->len};
        return 0;
    }
    e = best_in(rs, scheme, name);
    *by = e ? route_of(e) : NULL;
    if (e) len = route_fill(*by, true, (*by)->from, name, room, PATH_BYTES + 1);
    if (len < 0) return len;
    *out = (text){room, (size_t)len};
    if (pathcache_wants(c)) remember(h, c, name, *by, room, (size_t)len);
    return 0;
}

int routes_inward(hub *h, bridge_peer *from, bridge_msg *msg, bridge_verb verb, bridge_msg **out)
{
    char room[PATH_BYTES + 1];
    route *by = NULL;
    text path;
    int rc = inward(h, scheme_of(h, from, msg), msg_path(msg), &by, &path, room);

    if (rc < 0 || !by) return rc;
    h->count.crossed++;
    by->crossed++;
    return route_apply(h, by, msg, verb, path, out);
}

int routes_as_asked(hub *h, bridge_peer *from, const bridge_msg *question, const char *asked, bridge_msg *value, bridge_msg **out)
{
    char room[PATH_BYTES + 1];
    route *by = NULL;
    text path;
    int rc = h->naming_routes ? inward(h, scheme_of(h, from, question), text_of(asked), &by, &path, room) : 0;

    if (rc < 0) return rc;
    return by ? route_show(h, by, value, text_of(asked), out) : msg_renamed(value, text_of(asked), out);
}

int routes_show(hub *h, const void *by, bridge_msg *msg, text name, bridge_msg **out)
{
    return route_show(h, (route *)(uintptr_t)by, msg, name, out);
}

int routes_path_in(hub *h, uint8_t scheme, text name, char *out, size_t room)
{
    char made[PATH_BYTES + 1];
    route *by = NULL;
    text path;
    int rc = inward(h, scheme, name, &by, &path, made);

    if (rc < 0 || !by) return rc;
    if (path.len >= room) return BRIDGE_TOOBIG;
    memcpy(out, path.p, path.len + 1);
    return (int)path.len;
}

int routes_path_of(hub *h, uint8_t scheme, text name, char *out, size_t room)
{
    int len = routes_has_names(h, scheme) ? routes_path_in(h, scheme, name, out, room) : 0;

    if (len > 0) return len;
    if (name.len >= room) return 0;
    memcpy(out, name.p, name.len);
    out[name.len] = 0;
    return (int)name.len;
}

int routes_name_by(hub *h, uint8_t scheme, text path, char *out, size_t room, const void **by)
{
    struct routes *rs = h->routes;
    ptrie_entry *e = rs->names[scheme].count ? ptrie_best(&rs->names[scheme].out, path.p, path.len) : NULL;
    const route *r;

    if (!e && rs->names[EVERY].count) e = ptrie_best(&rs->names[EVERY].out, path.p, path.len);
    if (!e) return 0;
    r = route_of(e);
    if (by) *by = r;
    return route_fill(r, false, r->to, path, out, room);
}

int routes_name_out(hub *h, uint8_t scheme, text path, char *out, size_t room)
{
    int len = routes_name_by(h, scheme, path, out, room, NULL);

    return len < 0 ? 0 : len;
}

const void *routes_next_name(hub *h, uint8_t scheme, name_walk *w, const pattern **canonical)
{
    struct routes *rs = h->routes;

    if (!w->at || w->changes != rs->changes) { /* where were we?  Behind all that came before */
        for (w->at = &rs->all; w->at->next != &rs->all && list_of(w->at->next, route, link)->number <= w->number;) w->at = w->at->next;
        w->changes = rs->changes;
    }
    while (w->at->next != &rs->all) {
        const route *r = list_of(w->at->next, route, link);
        w->at = w->at->next;
        w->number = r->number;
        if (r->kind != ROUTE_NAME || !r->back_too || (r->scheme != scheme && r->scheme != SCHEME_ANY)) continue;
        *canonical = r->to;
        return r;
    }
    return NULL;
}

static int each_name_of(hub *h, const ptrie *in, text name, route_name_fn fn, void *user)
{
    ptrie_found found = {.mem = h->mem};
    char room[PATH_BYTES + 1];
    int rc = in->count ? ptrie_all(in, name.p, name.len, &found) : 0;

    for (size_t i = 0; rc == 0 && i < found.count; i++) {
        const route *r = route_of(found.at[i]);
        text path = {NULL, 0};
        int len;
        if (!found.at[i]->node || !r->back_too) continue; /* removed meanwhile; or one way only */
        if (r->to == r->to_target && (len = route_fill(r, true, r->from, name, room, sizeof room)) > 0) path = (text){room, (size_t)len};
        rc = fn(user, r, r->to, path);
    }
    ptrie_found_done(&found);
    return rc;
}

int routes_each_name(hub *h, uint8_t scheme, const pattern *p, route_name_fn fn, void *user)
{
    struct routes *rs = h->routes;
    int rc;

    if (pattern_is_literal(p)) {
        text name = {p->text, p->len};
        rc = scheme < EVERY ? each_name_of(h, &rs->names[scheme].in, name, fn, user) : 0;
        return rc ? rc : each_name_of(h, &rs->names[EVERY].in, name, fn, user);
    }
    list_each_safe(it, &rs->all)
    {
        route *r = list_of(it, route, link);
        if (r->kind != ROUTE_NAME || !r->back_too || (r->scheme != scheme && r->scheme != SCHEME_ANY)) continue;
        rc = fn(user, r, r->to, (text){NULL, 0});
        if (rc) return rc;
    }
    return 0;
}

/* ---- in words */

void names_explain(hub *h, text path, buf *out)
{
    char name[PATH_BYTES + 1];

    for (unsigned s = 0; s < h->scheme_count; s++) {
        const void *by = NULL;
        int len = routes_has_names(h, (uint8_t)s) ? routes_name_by(h, (uint8_t)s, path, name, sizeof name, &by) : 0;
        ptrie_entry *e = s == SCHEME_APP ? NULL : best_in(h->routes, (uint8_t)s, path);
        if (len > 0)
            buf_print(out, "%s calls it %s%s (route %s)\n", h->schemes[s], name,
                      ((const route *)by)->undoes ? ", transformed back" : "", ((const route *)by)->label);
        if (e) {
            const route *r = route_of(e);
            len = route_fill(r, true, r->from, path, name, sizeof name);
            if (len > 0)
                buf_print(out, "what %s calls %.*s is %s%s (route %s%s%s)\n", h->schemes[s], (int)path.len, path.p, name,
                          r->does ? ", transformed" : "", r->label, r->does ? "; " : "", r->does ? transform_text(r->does) : "");
        }
    }
}
