/* What a route makes of a message: its transformation (transform/transform.h), its format, QoS cap and retain.
 *
 * A name has one message for one: who PUTs what cannot be transformed is told so, and who watches under a name gets the value
 * transformed back.  A copy may make none, several, or one later: what is held back comes out of the route's timer. */
#include "base/status.h"
#include "codec/registry.h"
#include "hub/routes.h"

/* ---- functions that transformations call.  One that was closed stays, empty, as long as the bridge: routes point to it. */

typedef struct function {
    list link;
    hub *hub;
    bridge_transform_fn fn; /* NULL: closed */
    void *user;
    char name[];
} function;

static function *find(hub *h, text name)
{
    list_each(it, &h->routes->functions)
        if (text_is(name, list_of(it, function, link)->name)) return list_of(it, function, link);
    return NULL;
}

int functions_add(hub *h, const char *name, bridge_transform_fn fn, void *user, void **out, bridge_error *err)
{
    function *f = find(h, text_of(name));

    if (f && f->fn) return fail(err, BRIDGE_EXISTS, "a function \"%s\" is there already", name);
    if (!f) {
        f = mem_alloc(h->mem, sizeof *f + strlen(name) + 1);
        if (!f) return fail_nomem(err);
        f->hub = h;
        strcpy(f->name, name);
        list_push(&h->routes->functions, &f->link);
    }
    f->fn = fn;
    f->user = user;
    *out = f;
    return 0;
}

void functions_remove(void *f)
{
    ((function *)f)->fn = NULL;
}

void functions_free(hub *h)
{
    list *it;

    while ((it = list_pop(&h->routes->functions)))
        mem_free(h->mem, list_of(it, function, link));
}

static void *find_function(void *user, text name)
{
    function *f = find(user, name);

    return f && f->fn ? f : NULL;
}

static int call_function(void *handle, bridge_msg *msg, bridge_msg **out)
{
    function *f = handle;
    int rc;

    if (!f->fn) return BRIDGE_UNSUPPORTED;
    hub_enter(f->hub);
    rc = f->fn(f->user, msg, out);
    hub_leave(f->hub);
    return rc;
}

/* ---- reading */

static int refuse_name(const route *r, const bridge_route *said, const char *why, bridge_error *err)
{
    (void)r;
    return fail(err, BRIDGE_INVALID, "\"%.80s\" %s, which a name cannot; a copy can (a route without a protocol in front)", said->transform, why);
}

static int read_back(hub *h, route *r, const bridge_route *said, bridge_error *err)
{
    bridge_error why = {0};
    int rc = r->back_too ? transform_inverse(r->does, h->mem, &r->undoes, &why) : 0;

    if (rc == BRIDGE_NOMEM) return fail_nomem(err);
    if (rc < 0)
        return fail(err, BRIDGE_INVALID, "%s; %s", why.text,
                    said->ways == BRIDGE_BOTH_WAYS ? "it cannot go both ways" : "say \"ways\": \"one\" for a name that is only understood, not shown");
    return 0;
}

int route_transform_read(hub *h, route *r, const bridge_route *said, bridge_error *err)
{
    const transform_calls calls = {find_function, call_function, h};
    const char *why;
    int rc;

    if ((int)said->on_error < BRIDGE_ERROR_DROP || said->on_error > BRIDGE_ERROR_PASS) return fail(err, BRIDGE_INVALID, "unknown on_error option");
    r->pass_bad = said->on_error == BRIDGE_ERROR_PASS;
    if (!said->transform) return 0;
    rc = transform_new(h->mem, &r->does, said->transform, r->from, &calls, err);
    if (rc < 0) return rc;
    if (r->kind == ROUTE_NAME && !transform_is_plain(r->does, &why)) return refuse_name(r, said, why, err);
    rc = read_back(h, r, said, err);
    if (rc == 0 && transform_remembers(r->does) && transform_state_new(r->does, h->mem, h->seed + 4, &r->state) < 0) rc = fail_nomem(err);
    return rc;
}

void route_transform_free(mem *m, route *r)
{
    (void)m;
    transform_state_free(r->state);
    transform_free(r->undoes);
    transform_free(r->does);
}

/* ---- one message */

static int in_format(const route *r, bridge_msg *msg, bridge_msg **out, bridge_error *err)
{
    if (r->format == BRIDGE_FORMAT_AUTO || msg->len == 0) {
        *out = bridge_msg_ref(msg);
        return 0;
    }
    return bridge_msg_as(msg, r->format, out, err);
}

/* A new one, so that it may be changed. */
static int dress(const route *r, bridge_msg *msg, text path, bridge_msg **out)
{
    int rc = msg_renamed(msg, path, out);

    if (rc < 0) return rc;
    if ((*out)->qos > r->max_qos) (*out)->qos = (uint8_t)(r->max_qos & 3);
    if (r->retain == BRIDGE_KEEP_ALWAYS) (*out)->retain = true;
    if (r->retain == BRIDGE_KEEP_NEVER) (*out)->retain = false;
    return 0;
}

static void complain(hub *h, route *r, const char *path, int rc, const bridge_error *err)
{
    log_limited(&h->log, &r->budget, loop_now(h->loop), BRIDGE_LOG_WARN, "route", "%s: %s was not carried over: %s", r->label, path,
                err->text[0] ? err->text : bridge_status_text(rc));
}

/* *out: transformed, or as it is if that cannot be and may be so; NULL: a function dropped it. */
static int transformed(hub *h, route *r, const transform *t, const pattern *source, bridge_msg *msg, text target, bridge_msg **out)
{
    bridge_error err = {0};
    int rc = transform_one(t, msg, target, source, out, &err);

    if (rc >= 0) return rc;
    h->count.transform_bad++;
    if (rc == BRIDGE_NOMEM || !r->pass_bad) {
        complain(h, r, msg->path, rc, &err);
        return rc;
    }
    *out = bridge_msg_ref(msg);
    return 0;
}

static bool says_value(bridge_verb verb)
{
    return verb == BRIDGE_PUT || verb == BRIDGE_POST;
}

static int apply(hub *h, route *r, bridge_msg *msg, bridge_verb verb, text path, bridge_msg **out)
{
    bridge_msg *changed = NULL, *converted = NULL;
    int rc = 0;

    if (r->does && verb == BRIDGE_PATCH) return BRIDGE_METHOD; /* it is about the value as the scheme has it, which is not there */
    if (r->does && says_value(verb)) rc = transformed(h, r, r->does, r->from, msg, path, &changed);
    if (rc == 0 && !changed && r->does && says_value(verb)) return BRIDGE_UNPROCESSABLE; /* a function said no */
    if (rc == 0) rc = in_format(r, changed ? changed : msg, &converted, NULL);
    if (rc == 0) rc = dress(r, converted, path, out);
    bridge_msg_unref(converted);
    bridge_msg_unref(changed);
    return rc;
}

int route_apply(hub *h, route *r, bridge_msg *msg, bridge_verb verb, text path, bridge_msg **out)
{
    int rc;

    if (!r->does && r->format == BRIDGE_FORMAT_AUTO) return dress(r, msg, path, out);
    hub_enter(h); /* a function may close the route */
    rc = apply(h, r, msg, verb, path, out);
    hub_leave(h);
    return rc;
}

int route_show(hub *h, route *r, bridge_msg *msg, text name, bridge_msg **out)
{
    bridge_msg *changed = NULL;
    int rc;

    if (!r->undoes || msg->len == 0) return msg_renamed(msg, name, out);
    rc = transformed(h, r, r->undoes, r->to, msg, name, &changed);
    if (rc == 0) rc = changed ? msg_renamed(changed, name, out) : BRIDGE_UNPROCESSABLE;
    bridge_msg_unref(changed);
    return rc;
}

/* ---- copies */

typedef struct carrying {
    hub *hub;
    bridge_peer *from;
    route *route;
    const crossing *here;
    const far *target; /* to this uplink; or NULL */
    int verb; /* of what comes out now; -1: as it was when it was held back; VERB_KEPT */
} carrying;

static int carry(const carrying *c, bridge_msg *msg, text target, bridge_error *err)
{
    hub *h = c->hub;
    route *r = c->route;
    bridge_verb verb = c->verb >= 0 ? (bridge_verb)c->verb : c->verb == VERB_KEPT ? BRIDGE_PUT : (bridge_verb)msg->verb;
    bridge_msg *converted = NULL, *copy = NULL;
    int rc = in_format(r, msg, &converted, err);

    if (rc == 0) rc = dress(r, converted, target, &copy);
    if (rc == 0) {
        copy->version = 0;
        copy->hops++;
        h->count.crossed++;
        r->crossed++;
        if (verb == BRIDGE_POST && copy->retain) verb = BRIDGE_PUT;
        if (verb == BRIDGE_PUT && !copy->retain && r->retain == BRIDGE_KEEP_NEVER) verb = BRIDGE_POST;
        rc = c->target ? far_send(c->target, verb, copy, c->verb == VERB_KEPT) : hub_cross(h, c->from, verb, copy, c->here);
    }
    bridge_msg_unref(copy);
    bridge_msg_unref(converted);
    return rc;
}

/* What one message comes to is said in the log: others, of the same pack, go on. */
static int on_out(void *user, bridge_msg *msg, text target)
{
    carrying *c = user;
    bridge_error err = {0};
    int rc = msg_expired(msg, loop_calendar(c->hub->loop)) ? 0 : carry(c, msg, target, &err);

    if (rc < 0 && rc != BRIDGE_NOTFOUND) complain(c->hub, c->route, msg->path, rc, &err);
    return 0;
}

static void on_bad(void *user, const bridge_error *err)
{
    carrying *c = user;

    c->hub->count.transform_bad++;
    complain(c->hub, c->route, "what was held back", err->status, err);
}

static void on_time(timer *t);

static void arm(route *r)
{
    int64_t due = r->state && !r->removed ? transform_due(r->state) : INT64_MAX, in;

    if (due == INT64_MAX) {
        timer_stop(&r->timer);
        return;
    }
    if (r->timer.loop && r->timer.due == due) return;
    in = due - loop_now(r->hub->loop);
    timer_start(&r->timer, r->hub->loop, in < 1 ? 1 : in, on_time);
}

static void tick(route *r, bool all)
{
    hub *h = r->hub;
    crossing here = {NULL, r};
    carrying c = {.hub = h, .from = h->app, .route = r, .here = &here, .target = r->to_far, .verb = -1};
    transform_way way = {.source = r->from, .now = loop_now(h->loop), .out = on_out, .user = &c};

    hub_enter(h);
    transform_tick(r->does, r->state, &way, all, on_bad);
    if (!all) arm(r);
    hub_leave(h);
}

static void on_time(timer *t)
{
    tick(list_of(t, route, timer), false);
}

void route_transform_flush(route *r)
{
    if (r->state && transform_paths(r->state)) tick(r, true);
}

/* true: what goes over it is one value a path, so that a removal is one, too. */
static bool removes(const route *r)
{
    return !r->does || transform_keeps_paths(r->does);
}

void route_carry(bridge_peer *from, route *r, bool forth, bridge_msg *msg, text path, int verb, const crossing *here)
{
    hub *h = r->hub;
    const transform *t = forth ? r->does : r->undoes;
    carrying c = {.hub = h, .from = from, .route = r, .here = here, .target = forth ? r->to_far : r->from_far, .verb = verb};
    transform_way way = {.source = forth ? r->from : r->to, .now = loop_now(h->loop), .out = on_out, .user = &c};
    bridge_error err = {0};
    int rc;

    if (t && verb == (int)BRIDGE_DELETE) {
        if (!removes(r)) return;
        if (r->state) transform_forget(r->state, path);
    }
    if (!t || !(verb == VERB_KEPT || says_value((bridge_verb)verb))) {
        on_out(&c, msg, path);
        return;
    }
    rc = transform_run(t, forth ? r->state : NULL, &way, msg, path, &err);
    if (rc < 0) {
        h->count.transform_bad++;
        if (r->pass_bad && rc != BRIDGE_NOMEM) on_out(&c, msg, path);
        else complain(h, r, msg->path, rc, &err);
    }
    if (r->state) arm(r);
}

void routes_stats(hub *h, bridge_stat_fn fn, void *user)
{
    size_t paths = 0, bytes = 0;

    list_each(it, &h->routes->all)
    {
        const route *r = list_of(it, route, link);
        if (!r->state) continue;
        paths += transform_paths(r->state);
        bytes += transform_bytes(r->state);
    }
    fn(user, "bridge_routes_transform_bad_total", "", (double)h->count.transform_bad);
    fn(user, "bridge_routes_held_paths", "", (double)paths);
    fn(user, "bridge_routes_held_bytes", "", (double)bytes);
}
