/* Uplinks that routes name: "telemetry/{p...} -> uplink.cloud:site7/{p...}" copies to the uplink whose URL says name=cloud, and
 * "uplink.cloud:commands/{c} -> commands/{c}" from it; the names at that side are the broker's.
 *
 * A route may be there before its uplink, and outlives it: the name is what binds them.  While there is none, nothing goes.  An uplink
 * that comes (bridge_peer_reach()) is told what is wanted of it, and is given what is kept; so is a route that comes later.
 * As with an uplink's own maps, what has come from there does not go back, and its rights are those of the uplink as a peer. */
#include "base/status.h"
#include "hub/keep.h"
#include "hub/routes.h"

struct far { /* what routes call "uplink.NAME:" */
    list link;
    hub *hub;
    ptrie in;          /* routes from there, by the name there */
    bridge_peer *peer; /* NULL: no uplink has this name now */
    char name[];
};

static far *find(const struct routes *rs, text name)
{
    list_each(it, &rs->fars)
        if (text_is(name, list_of(it, far, link)->name)) return list_of(it, far, link);
    return NULL;
}

far *far_named(hub *h, text name)
{
    far *f = find(h->routes, name);

    if (f) return f;
    f = mem_alloc(h->mem, sizeof *f + name.len + 1);
    if (!f) return NULL;
    *f = (far){.hub = h};
    memcpy(f->name, name.p, name.len);
    f->name[name.len] = 0;
    ptrie_init(&f->in, h->mem, h->seed + 5);
    list_push(&h->routes->fars, &f->link);
    return f;
}

ptrie *far_in(far *f)
{
    return &f->in;
}

const bridge_peer *far_peer(const far *f)
{
    return f->peer;
}

const char *far_name(const far *f)
{
    return f->name;
}

/* ---- what is wanted of it */

/* The pattern of what comes from `f` over this route, or NULL. */
static const pattern *wanted_of(const route *r, const far *f)
{
    if (r->from_far == f) return r->from;
    return r->to_far == f && r->back_too ? r->to : NULL;
}

static int want(far *f, const route *r, bool wanted, bridge_error *err)
{
    const pattern *p = wanted_of(r, f);
    const bridge_adapter *a = f->peer ? f->peer->port->adapter : NULL;
    char filter[PATH_BYTES + 1];
    int rc = p && a ? pattern_filter(p, filter, sizeof filter) : 0;

    if (rc <= 0) return rc;
    if (a->size < offsetof(bridge_adapter, want) + sizeof a->want || !a->want) return fail(err, BRIDGE_UNSUPPORTED, "uplink \"%s\" takes nothing from routes", f->name);
    return a->want(f->peer->port, filter, (uint8_t)(r->max_qos > 2 ? 2 : r->max_qos), wanted, err);
}

/* ---- what is kept here goes there once */

typedef struct giving {
    route *route;
    bool forth;
} giving;

static int on_value(void *user, void *item)
{
    giving *g = user;
    bridge_msg *value = item;

    if (g->route->removed) return 1;
    if (msg_expired(value, loop_calendar(g->route->hub->loop))) return 0;
    bridge_msg_ref(value);
    routes_carry_kept(g->route, g->forth, value);
    bridge_msg_unref(value);
    return 0;
}

static void give_kept(route *r, bool forth)
{
    giving g = {r, forth};

    tree_each_value(r->hub->tree, forth ? r->from : r->to, on_value, &g);
}

/* To uplink f: over the routes that go there from paths of ours. */
static void catch_up(route *r, const far *f)
{
    hub *h = r->hub;

    hub_enter(h);
    if (r->to_far == f && !r->from_far) give_kept(r, true);
    if (r->from_far == f && !r->to_far && r->back_too) give_kept(r, false);
    hub_leave(h);
}

/* ---- routes come and go */

int far_join(route *r, bridge_error *err)
{
    int rc = r->from_far ? want(r->from_far, r, true, err) : 0;

    if (rc == 0 && r->to_far && (rc = want(r->to_far, r, true, err)) < 0 && r->from_far) want(r->from_far, r, false, NULL);
    if (rc < 0) return rc;
    if (r->from_far && r->from_far->peer) catch_up(r, r->from_far);
    if (r->to_far && r->to_far->peer) catch_up(r, r->to_far);
    return 0;
}

void far_leave(route *r)
{
    if (r->from_far) want(r->from_far, r, false, NULL);
    if (r->to_far) want(r->to_far, r, false, NULL);
}

/* ---- uplinks come and go */

int bridge_peer_reach(bridge_peer *peer, const char *name)
{
    hub *h = peer->port->hub;
    far *f = far_named(h, text_of(name));

    if (!f) return BRIDGE_NOMEM;
    if (f->peer) f->peer->reached = NULL; /* a config is loaded again: the new one takes over */
    f->peer = peer;
    peer->reached = f;
    list_each_safe(it, &h->routes->all)
    {
        route *r = list_of(it, route, link);
        bridge_error err = {0};
        if (r->from_far != f && r->to_far != f) continue;
        if (want(f, r, true, &err) < 0) log_line(&h->log, BRIDGE_LOG_ERROR, "route", "%s: %s", r->label, err.text);
        catch_up(r, f);
    }
    return 0;
}

void far_lost(bridge_peer *peer)
{
    if (peer->reached) peer->reached->peer = NULL;
    peer->reached = NULL;
}

void fars_free(hub *h)
{
    list *it;

    while ((it = list_pop(&h->routes->fars))) {
        far *f = list_of(it, far, link);
        ptrie_done(&f->in);
        mem_free(h->mem, f);
    }
}

/* ---- messages */

bool far_is_from(const far *f, const bridge_peer *from, const bridge_msg *msg)
{
    if (!f->peer) return false;
    return from == f->peer || (msg->origin && strcmp(msg->origin->text, f->peer->origin->text) == 0);
}

bool far_is_up(const far *f)
{
    return f->peer != NULL;
}

int far_may(const far *f, bridge_verb verb, const char *path)
{
    return !f->peer || policy_is_open(f->peer) ? 0 : policy_check(f->peer, verb, path);
}

int far_send(const far *f, bridge_verb verb, bridge_msg *msg, bool kept)
{
    const bridge_delivery how = {.qos = msg->qos, .retained = kept && msg->retain, .keep_retain = true, .gone = verb == BRIDGE_DELETE};

    if (!f->peer && f->hub->offline) offline_sent(f->hub, f->name, verb, msg);
    if (!f->peer) return 0; /* as with a map of an uplink that is not there */
    f->peer->deliver(f->peer->state, msg, &how);
    return 0;
}

static int arrive(bridge_peer *peer, bridge_verb verb, bridge_msg *msg)
{
    hub *h = peer->port->hub;
    ptrie_found found = {.mem = h->mem};
    int rc = peer->reached ? ptrie_all(&peer->reached->in, msg->path, msg->path_len, &found) : 0;

    if (rc < 0) return rc;
    rc = found.count ? 0 : BRIDGE_NOTFOUND;
    for (size_t i = 0; i < found.count; i++)
        if (found.at[i]->node) routes_carry_one(h, peer, found.at[i], msg, verb, NULL);
    ptrie_found_done(&found);
    return rc;
}

int bridge_peer_arrived(bridge_peer *peer, bridge_verb verb, bridge_msg *msg, bridge_done_fn done, void *user, bridge_ticket **out)
{
    hub *h = peer->port->hub;
    uint64_t said = h->store ? h->store->said : 0;
    int rc;

    h->count.requests++;
    if (msg->len > h->limits.max_message) return BRIDGE_TOOBIG;
    hub_enter(h);
    rc = arrive(peer, verb, msg);
    if (rc == 0 && h->store && h->store->said != said && done && !peer->gone) rc = keep_promise(peer, msg, rc, done, user, out);
    hub_leave(h);
    if (rc < 0) h->count.refused++;
    return rc;
}

/* ---- in words */

void fars_explain(hub *h, text path, buf *out)
{
    char name[PATH_BYTES + 1];

    list_each(it, &h->routes->all)
    {
        const route *r = list_of(it, route, link);
        const far *f = r->from_far;
        if (!f || !r->to || r->to_far || !pattern_match(r->to, path.p, path.len, NULL)) continue;
        if (route_fill(r, false, r->to, path, name, sizeof name) > 0)
            buf_print(out, "uplink %s calls it %s, and what comes from there under this name is carried here (route %s)%s\n", f->name, name, r->label,
                      f->peer ? "" : "; there is no uplink of this name now");
    }
}
