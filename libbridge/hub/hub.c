#include "hub/hub.h"
#include "hub/history.h"
#include "hub/plan.h"
#include "auth/auth.h"
#include "base/clock.h"
#include "base/status.h"
#include "hub/app.h"
#include <stdarg.h>
#include <stdio.h>

static size_t or_default(size_t said, size_t otherwise)
{
    return said ? said : otherwise;
}

static void take_limits(hub *h, const bridge_options *o)
{
    h->limits.max_message = or_default(o->max_message, HUB_MAX_MESSAGE);
    h->limits.max_queue = or_default(o->max_queue, HUB_MAX_QUEUE);
    h->limits.max_queue_bytes = or_default(o->max_queue_bytes, HUB_MAX_QUEUE_BYTES);
    h->limits.max_values = or_default(o->max_values, HUB_MAX_VALUES);
    h->limits.max_value_bytes = or_default(o->max_value_bytes, HUB_MAX_VALUE_BYTES);
    h->limits.max_calls = HUB_MAX_CALLS;
    h->limits.max_routes = HUB_MAX_ROUTES;
    h->limits.max_client_names = o->max_client_names;
}

static int learn_schemes(hub *h)
{
    int rc = hub_scheme_add(h, "app");

    for (const bridge_adapter *const *a = adapter_table; *a && rc >= 0; a++)
        rc = hub_scheme_add(h, (*a)->scheme);
    return rc < 0 ? rc : 0;
}

int hub_new(hub **out, bridge *b, mem *m, loop *l, const bridge_options *o, bridge_error *err)
{
    hub *h = mem_new(m, hub);
    uint64_t mark;
    int rc;

    if (!h) return fail_nomem(err);
    h->bridge = b;
    h->mem = m;
    h->loop = l;
    h->log.fn = o->log;
    h->log.user = o->user;
    atomic_init(&h->log.level, o->log_level ? o->log_level : BRIDGE_LOG_INFO);
    take_limits(h, o);
    h->offline = o->offline;
    list_init(&h->ports);
    list_init(&h->dead_watches);
    list_init(&h->dead_peers);
    list_init(&h->full);
    list_init(&h->replays);
    list_init(&h->owners);
    list_init(&h->dead_owners);
    list_init(&h->waiting);
    list_init(&h->dead_ports);
    list_init(&h->dead_listeners);
    random_bytes(&h->seed, sizeof h->seed);
    random_bytes(&mark, sizeof mark);
    snprintf(h->name, sizeof h->name, "%016llx", (unsigned long long)mark);
    map_init(&h->handouts, m, h->seed);
    ptrie_init(&h->descriptions, m, h->seed);
    list_init(&h->described);
    plans_init(h);
    buf_init(&h->packed, m, 0);
    keep_levels_init(h);
    h->version = (uint64_t)loop_calendar(l) << 20; /* newer than anything before a restart */
    rc = learn_schemes(h);
    if (rc == 0) rc = tree_new(m, h->seed, &h->tree);
    if (rc == 0) rc = routes_new(h);
    if (rc == 0) rc = policies_new(h);
    if (rc == 0) rc = life_new(h);
    if (rc == 0) rc = values_new(h);
    if (rc == 0) rc = app_open(h);
    if (rc == 0) rc = sys_new(h, o->sys_interval);
    if (rc == 0 && o->store) {
        rc = keep_open(h, o->store, err);
        if (rc < 0) {
            hub_free(h);
            return rc;
        }
    }
    if (rc == 0) {
        *out = h;
        return 0;
    }
    hub_free(h);
    return fail(err, rc, "%s", bridge_status_text(rc));
}

void hub_close(hub *h)
{
    h->ending = true;
    if (!h->offline) routes_flush(h); /* before those go who are to hear it */
    list_each_safe(it, &h->ports)
    {
        bridge_port *p = list_of(it, bridge_port, link);
        if (!p->home && p != h->app_port) hub_port_close(p);
    }
    list_each_safe(it, &h->ports)
    {
        bridge_port *p = list_of(it, bridge_port, link);
        if (p->home) hub_port_close(p);
    }
}

bool hub_is_closed(hub *h)
{
    list_each(it, &h->ports)
        if (list_of(it, bridge_port, link) != h->app_port) return false;
    return true;
}

void hub_free(hub *h)
{
    if (!h) return;
    sys_free(h);
    timer_stop(&h->replay_timer);
    history_free(h);
    hub_cancel_calls(h);
    if (h->app_port) app_close(h);
    h->depth = 0;
    hub_bury(h);
    policies_free(h);
    descriptions_free(h);
    map_done(&h->handouts);
    auth_unref(h->auth);
    if (h->routes) routes_free(h);
    plans_done(h);
    keep_close(h);
    if (h->life) life_free(h);
    values_free(h);
    if (h->tree) tree_free(h->tree);
    mem_free(h->mem, h->hits);
    for (unsigned i = 0; i < h->scheme_count; i++)
        mem_free(h->mem, h->schemes[i]);
    mem_free(h->mem, h);
}

/* ---- schemes: each protocol's namespace has a small number */

int hub_scheme(const hub *h, text name)
{
    for (unsigned i = 0; i < h->scheme_count; i++)
        if (text_is(name, h->schemes[i])) return (int)i;
    return -1;
}

int hub_scheme_add(hub *h, const char *name)
{
    int i = hub_scheme(h, text_of(name));

    if (i >= 0) return i;
    if (h->scheme_count >= HUB_SCHEMES) return BRIDGE_BUSY;
    h->schemes[h->scheme_count] = mem_text(h->mem, name);
    if (!h->schemes[h->scheme_count]) return BRIDGE_NOMEM;
    return (int)h->scheme_count++;
}

/* ---- what dies while messages are handed out is freed when the last of them has been */

int hub_over(hub *h, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(h->why, sizeof h->why, format, args);
    va_end(args);
    return BRIDGE_BUSY;
}

int hub_too_big(hub *h, size_t len)
{
    hub_over(h, "a payload of %zu bytes, %zu at most", len, h->limits.max_message);
    return BRIDGE_TOOBIG;
}

int hub_short(hub *h)
{
    return hub_over(h, "of %zu bytes of memory too few are left", h->mem->limit);
}

void hub_bury(hub *h)
{
    list *it;

    if (h->depth) return;
    h->deaths = false;
    while ((it = list_pop(&h->dead_watches)))
        mem_free(h->mem, list_of(it, bridge_watch, link));
    while ((it = list_pop(&h->dead_peers)))
        peer_destroy(list_of(it, bridge_peer, link));
    while ((it = list_pop(&h->dead_ports)))
        port_destroy(list_of(it, bridge_port, link));
    app_bury(h);
    own_bury(h);
    routes_bury(h);
    policies_bury(h);
}
