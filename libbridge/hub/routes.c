/* Routes: names that a scheme has for canonical paths, and copies from path to path.
 *
 *   coap:r/{room}/temp -> home/{room}/temp    a name: what CoAP calls r/hall/temp is home/hall/temp      scheme coap
 *   home/{room}/light -> mqtt:lights/{room}   the same from the other side                              scheme mqtt
 *   *:old/{x...} -> new/{x...}                a name that every scheme has
 *   raw/{x...} -> archive/{x...}              a copy: what is published there is published here as well
 * A route lives in the tries below and is read by nobody outside of this file. */
#include "hub/routes.h"
#include "base/status.h"
#include "codec/registry.h"

int routes_new(hub *h)
{
    struct routes *rs = mem_new(h->mem, struct routes);

    if (!rs) return BRIDGE_NOMEM;
    for (int i = 0; i <= EVERY; i++) {
        ptrie_init(&rs->names[i].in, h->mem, h->seed + 1);
        ptrie_init(&rs->names[i].out, h->mem, h->seed + 2);
    }
    ptrie_init(&rs->copies, h->mem, h->seed + 3);
    names_remembered(h, rs);
    list_init(&rs->all);
    list_init(&rs->dead);
    list_init(&rs->functions);
    h->routes = rs;
    return 0;
}

static void route_free(mem *m, route *r)
{
    if (!r) return;
    mem_free(m, r->from);
    mem_free(m, r->to);
    mem_free(m, r->from_target);
    mem_free(m, r->to_target);
    mem_free(m, r->label);
    route_transform_free(m, r);
    mem_free(m, r);
}

void routes_bury(hub *h)
{
    list *it;

    while (h->routes && (it = list_pop(&h->routes->dead)))
        route_free(h->mem, list_of(it, route, link));
}

void routes_free(hub *h)
{
    struct routes *rs = h->routes;

    rs->ending = true;
    while (!list_empty(&rs->all))
        routes_remove(h, list_of(rs->all.next, route, link));
    routes_bury(h);
    functions_free(h);
    for (int i = 0; i <= EVERY; i++) {
        ptrie_done(&rs->names[i].in);
        ptrie_done(&rs->names[i].out);
    }
    ptrie_done(&rs->copies);
    names_forgotten(rs);
    mem_free(h->mem, rs);
    h->routes = NULL;
}

size_t routes_count(const hub *h)
{
    return h->routes->count;
}

uint64_t routes_changes(const hub *h)
{
    return h->routes->changes;
}

const char *route_label(const route *r)
{
    return r->label;
}

/* ---- adding: routes_read.c has read and checked what was said */

static int enter(hub *h, route *r)
{
    struct routes *rs = h->routes;
    struct names *n = r->kind == ROUTE_NAME ? &rs->names[r->scheme == SCHEME_ANY ? EVERY : r->scheme] : NULL;
    int rc = ptrie_add(n ? &n->in : &rs->copies, &r->forth.entry);

    if (rc < 0) return rc;
    if (r->back_too) rc = ptrie_add(n ? &n->out : &rs->copies, &r->back.entry);
    if (rc < 0) {
        ptrie_remove(n ? &n->in : &rs->copies, &r->forth.entry);
        return rc;
    }
    if (n) n->count++, h->naming_routes++;
    rs->count++;
    rs->changes++;
    list_push(&rs->all, &r->link);
    return 0;
}

static bool is_there(const hub *h, const route *r)
{
    const struct routes *rs = h->routes;
    const ptrie *t = r->kind == ROUTE_COPY ? &rs->copies : &rs->names[r->scheme == SCHEME_ANY ? EVERY : r->scheme].in;

    for (const ptrie_entry *e = ptrie_same(t, r->from); e; e = e->next)
        if (e->priority == r->forth.entry.priority && (r->kind == ROUTE_NAME || pattern_compare(route_of(e)->to, r->to) == 0))
            return true;
    return false;
}

int routes_add(hub *h, const bridge_route *said, route **out, bridge_error *err)
{
    route *r = NULL;
    int rc;

    if (h->routes->count >= h->limits.max_routes) return fail(err, BRIDGE_BUSY, "more than %zu routes", h->limits.max_routes);
    rc = route_read(h, said, &r, err);
    if (rc == 0 && is_there(h, r)) rc = fail(err, BRIDGE_EXISTS, "a route from \"%s\" is already there", said->source);
    if (rc == 0) rc = enter(h, r);
    if (rc < 0) {
        route_free(h->mem, r);
        return rc == BRIDGE_NOMEM ? fail_nomem(err) : rc;
    }
    if (out) *out = r;
    return 0;
}

void routes_remove(hub *h, route *r)
{
    struct routes *rs = h->routes;

    timer_stop(&r->timer);
    if (!rs->ending) route_transform_flush(r);
    r->removed = true;
    if (r->kind == ROUTE_NAME) {
        struct names *n = &rs->names[r->scheme == SCHEME_ANY ? EVERY : r->scheme];
        ptrie_remove(&n->in, &r->forth.entry);
        ptrie_remove(&n->out, &r->back.entry);
        n->count--;
        h->naming_routes--;
    } else {
        ptrie_remove(&rs->copies, &r->forth.entry);
        ptrie_remove(&rs->copies, &r->back.entry);
    }
    rs->count--;
    rs->changes++;
    list_remove(&r->link);
    list_push(&rs->dead, &r->link);
    hub_mourn(h);
}

/* ---- copies */

static bool crossed(const crossing *came, const route *r, unsigned *hops)
{
    for (*hops = 0; came; came = came->before, ++*hops)
        if (came->route == r) return true;
    return false;
}

static void copy_over(hub *h, bridge_peer *from, ptrie_entry *e, bridge_msg *msg, bridge_verb verb, const crossing *came)
{
    route *r = route_of(e);
    bool forth = e == &r->forth.entry;
    crossing here = {came, r};
    char path[PATH_BYTES + 1];
    unsigned hops;
    int len;

    if (crossed(came, r, &hops) || hops >= HUB_MAX_HOPS || msg->hops >= HUB_MAX_HOPS) {
        h->count.dropped_loops++;
        return;
    }
    len = route_fill(r, forth, forth ? r->from : r->to, msg_path(msg), path, sizeof path);
    if (len >= 0) route_carry(h, from, r, forth, msg, (text){path, (size_t)len}, verb, &here);
    else
        log_limited(&h->log, &r->budget, loop_now(h->loop), BRIDGE_LOG_WARN, "route", "%s: %s was not carried over: %s", r->label,
                    msg->path, bridge_status_text(len));
}

void routes_copy(hub *h, bridge_peer *from, bridge_msg *msg, bridge_verb verb, const crossing *came)
{
    struct routes *rs = h->routes;
    ptrie_found found = {.mem = h->mem};

    if (rs->copies.count == 0 || ptrie_all(&rs->copies, msg->path, msg->path_len, &found) < 0) return;
    for (size_t i = 0; i < found.count; i++)
        if (found.at[i]->node) copy_over(h, from ? from : h->app, found.at[i], msg, verb, came); /* node 0: removed meanwhile */
    ptrie_found_done(&found);
}

/* ---- in words */

void routes_explain(hub *h, text path, buf *out)
{
    ptrie_found found = {.mem = h->mem};
    char name[PATH_BYTES + 1];

    names_explain(h, path, out);
    if (ptrie_all(&h->routes->copies, path.p, path.len, &found) < 0) return;
    for (size_t i = 0; i < found.count; i++) {
        const route *r = route_of(found.at[i]);
        bool forth = found.at[i] == &r->forth.entry;
        if (route_fill(r, forth, forth ? r->from : r->to, path, name, sizeof name) > 0)
            buf_print(out, "copied to %s%s (route %s%s%s)\n", name, r->does ? ", transformed" : "", r->label, r->does ? "; " : "",
                      r->does ? transform_text(r->does) : "");
    }
    ptrie_found_done(&found);
}
