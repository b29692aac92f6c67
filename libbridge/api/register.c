/* The public calls that register something: each makes a slot and goes to the loop's thread. */
#include "api/bridge.h"
#include "auth/auth.h"
#include "base/status.h"
#include "hub/app.h"

typedef struct registration {
    const char *text; /* URL, pattern */
    const char *target; /* of a route */
    bool uplink;      /* the URL is one to connect to */
    const bridge_route *route;
    const bridge_owner_fns *fns;
    const char *attributes;
    void (*fn)(void); /* cast back by who knows */
    void *user;
    bridge_slot **out;
    bridge_error *err;
} registration;

static int keep(bridge_slot *s, int rc, registration *r)
{
    if (rc < 0)
        slot_free(s);
    else if (r->out)
        *r->out = s;
    return rc;
}

/* ---- listeners */

static void undo_port(bridge_slot *s)
{
    bridge_port *p = s->thing;

    if (!p) return; /* it went by itself */
    p->slot_gone = NULL;
    hub_port_close(p);
}

static void on_port_gone(void *slot)
{
    ((bridge_slot *)slot)->thing = NULL;
}

static int do_listen(bridge *b, void *args)
{
    registration *r = args;
    bridge_slot *s = slot_new(b, undo_port, NULL);
    bridge_port *p = NULL;
    int rc = s ? hub_open(b->hub, r->text, r->uplink, &p, r->err) : fail_nomem(r->err);

    if (rc == 0 && p) { /* offline there is none */
        s->thing = p;
        s->name = mem_text(b->mem, p->name);
        p->slot = s;
        p->slot_gone = on_port_gone;
    }
    return keep(s, rc, r);
}

int bridge_listen(bridge *b, const char *where, bridge_slot **out, bridge_error *err)
{
    registration r = {.text = where, .out = out, .err = err};

    return where ? on_loop(b, do_listen, &r) : fail(err, BRIDGE_INVALID, "no URL");
}

int bridge_connect(bridge *b, const char *where, bridge_slot **out, bridge_error *err)
{
    registration r = {.text = where, .uplink = true, .out = out, .err = err};

    return where ? on_loop(b, do_listen, &r) : fail(err, BRIDGE_INVALID, "no URL");
}

int listener_change(bridge_slot *s, const char *where, bridge_error *err)
{
    bridge_port *p = s ? s->thing : NULL;

    return p ? hub_port_change(p, where, err) : BRIDGE_UNSUPPORTED;
}

bool listener_retire(bridge_slot *s)
{
    bridge_port *p = s ? s->thing : NULL;

    if (!p || !hub_port_retire(p)) return false; /* its slot may be gone by now: slot_gone was told */
    if (s->thing) p->slot_gone = NULL;
    slot_free(s);
    return true;
}

typedef struct telling {
    void (*fn)(void *user, const char *url);
    void *user;
} telling;

static int do_tell(bridge *b, void *args)
{
    telling *t = args;

    list_each(it, &b->hub->ports)
    {
        const bridge_port *p = list_of(it, bridge_port, link);
        if (p->url && !p->closing && !p->retired && !p->uplink) t->fn(t->user, p->name);
    }
    return 0;
}

void bridge_listeners(bridge *b, void (*fn)(void *user, const char *url), void *user)
{
    telling t = {fn, user};

    if (fn) on_loop(b, do_tell, &t);
}

/* ---- routes */

static void undo_route(bridge_slot *s)
{
    if (!s->thing) return; /* forgotten */
    if (s->bridge->ending) routes_remove(s->bridge->hub, s->thing);
    else routes_forget(s->bridge->hub, s->thing);
}

static int do_forget(bridge *b, void *args)
{
    const registration *r = args;
    route *there = routes_lasting(b->hub, r->text, r->target);

    if (!there) return fail(r->err, BRIDGE_NOTFOUND, "no lasting route %s -> %s", r->text, r->target);
    list_each(it, &b->slots)
    {
        bridge_slot *s = list_of(it, bridge_slot, link);
        if (s->undo == undo_route && s->thing == there) s->thing = NULL;
    }
    routes_forget(b->hub, there);
    return 0;
}

int bridge_route_forget(bridge *b, const char *source, const char *target, bridge_error *err)
{
    registration r = {.text = source, .target = target, .err = err};

    return source && target ? on_loop(b, do_forget, &r) : fail(err, BRIDGE_INVALID, "no source or no target");
}

static int do_route(bridge *b, void *args)
{
    registration *r = args;
    bridge_slot *s = slot_new(b, undo_route, NULL);
    route *made = NULL;
    int rc = s ? routes_add(b->hub, r->route, &made, r->err) : fail_nomem(r->err);

    if (rc == 0) {
        s->thing = made;
        s->name = mem_text(b->mem, route_label(made));
    }
    return keep(s, rc, r);
}

int bridge_route_add(bridge *b, const bridge_route *said, bridge_slot **out, bridge_error *err)
{
    registration r = {.route = said, .out = out, .err = err};

    return said ? on_loop(b, do_route, &r) : fail(err, BRIDGE_INVALID, "no route");
}

static void undo_function(bridge_slot *s)
{
    functions_remove(s->thing);
}

static int do_transform(bridge *b, void *args)
{
    registration *r = args;
    bridge_slot *s = slot_new(b, undo_function, r->user);
    int rc = s ? functions_add(b->hub, r->text, (bridge_transform_fn)r->fn, r->user, &s->thing, r->err) : fail_nomem(r->err);

    return keep(s, rc, r);
}

int bridge_transform(bridge *b, const char *name, bridge_transform_fn fn, void *user, bridge_slot **out, bridge_error *err)
{
    registration r = {.text = name, .fn = (void (*)(void))fn, .user = user, .out = out, .err = err};

    return name && *name && fn ? on_loop(b, do_transform, &r) : fail(err, BRIDGE_INVALID, "no name or no function");
}

/* ---- subscriptions */

static void undo_watch(bridge_slot *s)
{
    app_unwatch(s->bridge->hub, s->thing);
}

static int do_subscribe(bridge *b, void *args)
{
    registration *r = args;
    bridge_slot *s = slot_new(b, undo_watch, r->user);
    int rc;

    if (!s) return fail_nomem(r->err);
    if (r->out) *r->out = s; /* kept values come at once, and their callback may want it */
    rc = app_watch(b->hub, r->text, (bridge_msg_fn)r->fn, r->user, &s->thing, r->err);
    if (rc < 0) {
        if (r->out) *r->out = NULL;
        slot_free(s);
    }
    return rc;
}

int bridge_subscribe(bridge *b, const char *filter, bridge_msg_fn fn, void *user, bridge_slot **out, bridge_error *err)
{
    registration r = {.text = filter, .fn = (void (*)(void))fn, .user = user, .out = out, .err = err};

    return filter && fn ? on_loop(b, do_subscribe, &r) : fail(err, BRIDGE_INVALID, "no pattern or no function");
}

/* ---- handlers */

static void undo_handler(bridge_slot *s)
{
    bridge_owner_close(s->thing);
}

static int do_own(bridge *b, void *args)
{
    registration *r = args;
    bridge_slot *s = slot_new(b, undo_handler, r->user);
    bridge_owner *made = NULL;
    int rc = s ? own(b->hub->app, r->text, r->fns, r->user, &made, r->err) : fail_nomem(r->err);

    if (rc == 0) s->thing = made;
    return keep(s, rc, r);
}

int bridge_own(bridge *b, const char *filter, const bridge_owner_fns *fns, void *user, bridge_slot **out, bridge_error *err)
{
    registration r = {.text = filter, .fns = fns, .user = user, .out = out, .err = err};

    return filter && fns && fns->call ? on_loop(b, do_own, &r) : fail(err, BRIDGE_INVALID, "no pattern or no function");
}

int bridge_handle(bridge *b, const char *filter, bridge_call_fn fn, void *user, bridge_slot **out, bridge_error *err)
{
    const bridge_owner_fns fns = {.size = sizeof fns, .call = fn};

    return bridge_own(b, filter, &fns, user, out, err);
}

/* ---- the life of names */

static void undo_life(bridge_slot *s)
{
    life_remove(s->thing);
}

static int do_life(bridge *b, void *args)
{
    registration *r = args;
    bridge_slot *s = slot_new(b, undo_life, NULL);
    life_rule *made = NULL;
    int rc = s ? life_add(b->hub, r->user, &made, r->err) : fail_nomem(r->err);

    if (rc == 0) s->thing = made;
    return keep(s, rc, r);
}

int bridge_life_add(bridge *b, const bridge_life *life, bridge_slot **out, bridge_error *err)
{
    registration r = {.user = (void *)(uintptr_t)life, .out = out, .err = err};

    return life ? on_loop(b, do_life, &r) : fail(err, BRIDGE_INVALID, "no rule");
}

/* ---- descriptions */

static void undo_description(bridge_slot *s)
{
    undescribe(s->bridge->hub, s->thing);
}

static int do_describe(bridge *b, void *args)
{
    registration *r = args;
    bridge_slot *s = slot_new(b, undo_description, NULL);
    description *made = NULL;
    int rc = s ? describe(b->hub, r->text, r->attributes, &made, r->err) : fail_nomem(r->err);

    if (rc == 0) s->thing = made;
    return keep(s, rc, r);
}

int bridge_describe(bridge *b, const char *filter, const char *attributes, bridge_slot **out, bridge_error *err)
{
    registration r = {.text = filter, .attributes = attributes, .out = out, .err = err};

    return filter && attributes ? on_loop(b, do_describe, &r) : fail(err, BRIDGE_INVALID, "no pattern or no attributes");
}

/* ---- policy */

static void undo_policy(bridge_slot *s)
{
    policy_remove(s->bridge->hub, s->thing);
}

static int do_access(bridge *b, void *args)
{
    registration *r = args;
    bridge_slot *s = slot_new(b, undo_policy, r->user);

    return keep(s, s ? policy_add(b->hub, (bridge_policy_fn)r->fn, r->user, &s->thing) : BRIDGE_NOMEM, r);
}

int bridge_on_access(bridge *b, bridge_policy_fn fn, void *user, bridge_slot **out)
{
    registration r = {.fn = (void (*)(void))fn, .user = user, .out = out};

    return fn ? on_loop(b, do_access, &r) : BRIDGE_INVALID;
}

static int do_may(bridge *b, void *args)
{
    return policy_would(b->hub, args);
}

int bridge_may(bridge *b, const bridge_ask *ask)
{
    return ask && ask->path ? on_loop(b, do_may, (void *)(uintptr_t)ask) : BRIDGE_INVALID;
}

static int do_credential(bridge *b, void *args)
{
    registration *r = args;
    bridge_slot *s = slot_new(b, undo_policy, r->user);

    return keep(s, s ? policy_add_keys(b->hub, (bridge_credential_fn)r->fn, r->user, &s->thing) : BRIDGE_NOMEM, r);
}

int bridge_on_credential(bridge *b, bridge_credential_fn fn, void *user, bridge_slot **out)
{
    registration r = {.fn = (void (*)(void))fn, .user = user, .out = out};

    return fn ? on_loop(b, do_credential, &r) : BRIDGE_INVALID;
}

typedef struct recheck {
    bridge *bridge;
    bool all;
    char identity[];
} recheck;

static void on_recheck(void *user)
{
    recheck *r = user;

    policies_recheck(r->bridge->hub, r->all ? NULL : r->identity);
    mem_free(r->bridge->mem, r);
}

/* Posted, on the loop's own thread, too: whoever calls may stand in the middle of the session that it is about. */
int bridge_credentials_changed(bridge *b, const char *identity)
{
    size_t len = identity ? strlen(identity) : 0;
    recheck *r = mem_alloc(b->mem, sizeof *r + len + 1);
    int rc;

    if (!r) return BRIDGE_NOMEM;
    r->bridge = b;
    r->all = !identity;
    memcpy(r->identity, identity ? identity : "", len + 1);
    rc = loop_post(b->loop, on_recheck, r);
    if (rc < 0) mem_free(b->mem, r);
    return rc;
}

typedef struct rules {
    const char *password_file, *acl_file;
    bridge_error *err;
} rules;

static int do_rules(bridge *b, void *args)
{
    rules *r = args;
    auth *fresh = NULL;
    int rc = r->password_file || r->acl_file ? auth_new(&fresh, b->mem, r->password_file, r->acl_file, r->err) : 0;

    if (rc < 0) return rc;
    auth_inherit(fresh, b->hub->auth);
    auth_unref(b->hub->auth);
    b->hub->auth = fresh;
    return 0;
}

int bridge_rules(bridge *b, const char *password_file, const char *acl_file, bridge_error *err)
{
    rules r = {password_file, acl_file, err};

    return on_loop(b, do_rules, &r);
}
