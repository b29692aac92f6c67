/* Routes: names that a scheme has for canonical paths, and copies from path to path.
 *
 *   coap:r/{room}/temp -> home/{room}/temp    a name: what CoAP calls r/hall/temp is home/hall/temp      scheme coap
 *   home/{room}/light -> mqtt:lights/{room}   the same from the other side                              scheme mqtt
 *   *:old/{x...} -> new/{x...}                a name that every scheme has
 *   raw/{x...} -> archive/{x...}              a copy: what is published there is published here as well
 *   raw/{x...} -> uplink.cloud:{x...}         a copy to another broker                             routes_far.c
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
    list_init(&rs->fars);
    h->routes = rs;
    return 0;
}

void route_free(mem *m, route *r)
{
    if (!r) return;
    mem_free(m, r->from);
    if (r->to_target != r->to) mem_free(m, r->to_target);
    mem_free(m, r->to);
    mem_free(m, r->label);
    mem_free(m, r->kept);
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
    fars_free(h);
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

static struct names *names_of(hub *h, const route *r)
{
    if (r->kind != ROUTE_NAME) return NULL;
    return &h->routes->names[r->scheme == SCHEME_ANY ? EVERY : r->scheme];
}

static ptrie *forth_of(hub *h, const route *r)
{
    struct names *n = names_of(h, r);

    return n ? &n->in : r->from_far ? far_in(r->from_far) : &h->routes->copies;
}

static ptrie *back_of(hub *h, const route *r)
{
    struct names *n = names_of(h, r);

    return n ? &n->out : r->to_far ? far_in(r->to_far) : &h->routes->copies;
}

static int enter(hub *h, route *r)
{
    struct routes *rs = h->routes;
    struct names *n = names_of(h, r);
    int rc = ptrie_add(forth_of(h, r), &r->forth.entry);

    if (rc < 0) return rc;
    if (r->back_too) rc = ptrie_add(back_of(h, r), &r->back.entry);
    if (rc < 0) {
        ptrie_remove(forth_of(h, r), &r->forth.entry);
        return rc;
    }
    if (n) n->count++, h->naming_routes++;
    rs->count++;
    rs->changes++;
    list_push(&rs->all, &r->link);
    return 0;
}

static void take_out(hub *h, route *r)
{
    struct routes *rs = h->routes;
    struct names *n = names_of(h, r);

    r->removed = true;
    ptrie_remove(forth_of(h, r), &r->forth.entry);
    ptrie_remove(back_of(h, r), &r->back.entry);
    if (n) n->count--, h->naming_routes--;
    rs->count--;
    rs->changes++;
    list_remove(&r->link);
    list_push(&rs->dead, &r->link);
}

route *route_there(hub *h, const route *r)
{
    for (const ptrie_entry *e = ptrie_same(forth_of(h, r), r->from); e; e = e->next) {
        route *o = route_of(e);
        if (e->priority != r->forth.entry.priority) continue;
        if (r->kind == ROUTE_NAME || (o->to_far == r->to_far && strcmp(o->to_target->text, r->to_target->text) == 0)) return o;
    }
    return NULL;
}

/* In the place of one that came from the store? */
static int take_place(hub *h, const route *r, const bridge_route *said, bridge_error *err)
{
    route *there = route_there(h, r);

    if (!there) return 0;
    if (!there->restored || h->loading) return fail(err, BRIDGE_EXISTS, "a route from \"%s\" is already there", said->source);
    log_line(&h->log, BRIDGE_LOG_INFO, "route", "%s, which was kept, gives way to what is said now", there->label);
    routes_forget(h, there);
    return 0;
}

int routes_add(hub *h, const bridge_route *said, route **out, bridge_error *err)
{
    bridge_route whole = {0};
    route *r = NULL;
    int rc;

    memcpy(&whole, said, said->size < sizeof whole ? said->size : sizeof whole);
    if (h->routes->count >= h->limits.max_routes) return fail(err, BRIDGE_BUSY, "more than %zu routes", h->limits.max_routes);
    if (whole.lasting && !h->store && !h->offline) return fail(err, BRIDGE_UNSUPPORTED, "a lasting route needs a store");
    rc = route_read(h, said, &r, err);
    if (rc == 0) rc = take_place(h, r, said, err);
    if (rc == 0 && whole.lasting) rc = route_keep(h, r, &whole);
    if (rc == 0) rc = enter(h, r);
    if (rc == 0) r->restored = h->loading;
    if (rc < 0) {
        if (r) route_keep_not(h, r);
        route_free(h->mem, r);
        return rc == BRIDGE_NOMEM ? fail_nomem(err) : rc;
    }
    rc = far_join(r, err);
    if (rc < 0) {
        route_keep_not(h, r);
        take_out(h, r);
        hub_mourn(h);
        return rc == BRIDGE_NOMEM ? fail_nomem(err) : rc;
    }
    if (out) *out = r;
    return 0;
}

void routes_remove(hub *h, route *r)
{
    timer_stop(&r->timer);
    if (!h->routes->ending) route_transform_flush(r);
    far_leave(r);
    take_out(h, r);
    hub_mourn(h);
}

route *routes_lasting(hub *h, const char *source, const char *target)
{
    list_each(it, &h->routes->all)
    {
        route *r = list_of(it, route, link);
        if (r->kept && strcmp(r->kept, source) == 0 && strcmp(r->kept + strlen(source) + 1, target) == 0) return r;
    }
    return NULL;
}

void routes_forget(hub *h, route *r)
{
    route_keep_not(h, r);
    routes_remove(h, r);
}

void routes_flush(hub *h)
{
    list_each_safe(it, &h->routes->all) route_transform_flush(list_of(it, route, link));
}

/* ---- copies */

static bool crossed(const crossing *came, const route *r, unsigned *hops)
{
    for (*hops = 0; came; came = came->before, ++*hops)
        if (came->route == r) return true;
    return false;
}

void routes_carry_one(hub *h, bridge_peer *from, ptrie_entry *e, bridge_msg *msg, bridge_verb verb, const crossing *came)
{
    route *r = route_of(e);
    bool forth = e == &r->forth.entry;
    const far *source = forth ? r->from_far : r->to_far, *target = forth ? r->to_far : r->from_far;
    crossing here = {came, r};
    char path[PATH_BYTES + 1];
    unsigned hops;
    int len;

    if (target && far_is_from(target, from, msg)) return;
    if (crossed(came, r, &hops) || hops >= HUB_MAX_HOPS || msg->hops >= HUB_MAX_HOPS) {
        h->count.dropped_loops++;
        return;
    }
    len = route_fill(r, forth, forth ? r->from : r->to, msg_path(msg), path, sizeof path);
    if (len >= 0 && source && !target && (len = far_may(source, verb, path)) == 0) len = (int)strlen(path);
    if (len >= 0 && target && !source && far_may(target, BRIDGE_NOTIFY, msg->path) < 0) {
        if (h->offline) offline_denied(h, far_name(target), msg);
        return;
    }
    if (len >= 0) route_carry(from, r, forth, msg, (text){path, (size_t)len}, (int)verb, &here);
    else
        log_limited(&h->log, &r->budget, loop_now(h->loop), BRIDGE_LOG_WARN, "route", "%s: %s was not carried over: %s", r->label,
                    msg->path, bridge_status_text(len));
}

void routes_carry_kept(route *r, bool forth, bridge_msg *value)
{
    const far *target = forth ? r->to_far : r->from_far;
    char path[PATH_BYTES + 1];
    crossing here = {NULL, r};
    int len = far_is_from(target, NULL, value) || far_may(target, BRIDGE_NOTIFY, value->path) < 0
                  ? 0 : route_fill(r, forth, forth ? r->from : r->to, msg_path(value), path, sizeof path);

    if (len > 0) route_carry(r->hub->app, r, forth, value, (text){path, (size_t)len}, VERB_KEPT, &here);
}

/* Over one route: to an uplink, or to whoever hears of the path that it leads to.  What a route says later does not count. */
static const bridge_peer *full_beyond(hub *h, const bridge_peer *from, const ptrie_entry *e, text path, const crossing *came)
{
    const route *r = route_of(e);
    bool forth = e == &r->forth.entry;
    const far *target = forth ? r->to_far : r->from_far;
    const bridge_peer *peer = target ? far_peer(target) : NULL;
    crossing here = {came, r};
    char name[PATH_BYTES + 1];
    unsigned hops;
    int len;

    if (!r->max_qos || (r->does && !transform_keeps_paths(r->does))) return NULL;
    if (target) return peer && peer != from && !list_empty(&peer->full) ? peer : NULL;
    if (crossed(came, r, &hops) || hops >= HUB_MAX_HOPS) return NULL;
    len = route_fill(r, forth, forth ? r->from : r->to, path, name, sizeof name);
    return len > 0 ? full_at(h, from, (text){name, (size_t)len}, &here) : NULL;
}

const bridge_peer *routes_full(hub *h, const bridge_peer *from, text path, const crossing *came)
{
    struct routes *rs = h->routes;
    ptrie_found found = {.mem = h->mem};
    const bridge_peer *full = NULL;

    if (rs->copies.count == 0 || ptrie_all(&rs->copies, path.p, path.len, &found) < 0) return NULL;
    for (size_t i = 0; i < found.count && !full; i++) full = full_beyond(h, from, found.at[i], path, came);
    ptrie_found_done(&found);
    return full;
}

void routes_copy(hub *h, bridge_peer *from, bridge_msg *msg, bridge_verb verb, const crossing *came)
{
    struct routes *rs = h->routes;
    ptrie_found found = {.mem = h->mem};

    if (rs->copies.count == 0 || ptrie_all(&rs->copies, msg->path, msg->path_len, &found) < 0) return;
    for (size_t i = 0; i < found.count; i++)
        if (found.at[i]->node) routes_carry_one(h, from ? from : h->app, found.at[i], msg, verb, came); /* node 0: removed meanwhile */
    ptrie_found_done(&found);
}

/* ---- in words */

static void explain_copy(const ptrie_entry *e, text path, buf *out)
{
    const route *r = route_of(e);
    bool forth = e == &r->forth.entry;
    const far *target = forth ? r->to_far : r->from_far;
    char name[PATH_BYTES + 1];

    if (route_fill(r, forth, forth ? r->from : r->to, path, name, sizeof name) <= 0) return;
    buf_print(out, "copied to %s%s%s%s%s (route %s%s%s)%s\n", target ? "uplink " : "", target ? far_name(target) : "", target ? " as " : "", name,
              r->does ? ", transformed" : "", r->label, r->does ? "; " : "", r->does ? transform_text(r->does) : "",
              target && !far_is_up(target) ? "; there is no uplink of this name now" : "");
}

void routes_explain(hub *h, text path, buf *out)
{
    ptrie_found found = {.mem = h->mem};

    names_explain(h, path, out);
    fars_explain(h, path, out);
    if (ptrie_all(&h->routes->copies, path.p, path.len, &found) < 0) return;
    for (size_t i = 0; i < found.count; i++)
        explain_copy(found.at[i], path, out);
    ptrie_found_done(&found);
}
