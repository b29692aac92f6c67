#include "hub/walk.h"
#include "hub/hub.h"
#include "hub/port.h"

struct hub_walk {
    bridge_peer *peer;
    pattern *pattern;
    trie_cursor cursor;
};

int walk_new(bridge_peer *peer, const char *filter, hub_walk **out)
{
    hub *h = peer->port->hub;
    hub_walk *w;
    int rc;

    *out = NULL;
    if (routes_has_names(h, peer->scheme)) return BRIDGE_UNSUPPORTED;
    w = mem_new(h->mem, hub_walk);
    if (!w) return BRIDGE_NOMEM;
    rc = pattern_new(h->mem, &w->pattern, filter, strlen(filter), PATTERN_FILTER, NULL);
    if (rc < 0) {
        mem_free(h->mem, w);
        return rc == BRIDGE_INVALID ? BRIDGE_SYNTAX : rc;
    }
    w->peer = peer;
    w->cursor = tree_values(h->tree, w->pattern);
    *out = w;
    return 0;
}

static int tell(hub_walk *w, bridge_msg *value, int (*fn)(void *, bridge_msg *), void *user)
{
    int rc;

    if (value->expires != INT64_MAX && msg_expired(value, loop_calendar(w->peer->port->hub->loop))) return 0;
    if (policy_check_name(w->peer, BRIDGE_GET, value->path) < 0) return 0;
    bridge_msg_ref(value);
    rc = fn(user, value);
    bridge_msg_unref(value);
    return rc;
}

int walk_some(hub_walk *w, unsigned most, int (*fn)(void *, bridge_msg *), void *user)
{
    hub *h = w->peer->port->hub;
    int rc = routes_has_names(h, w->peer->scheme) ? BRIDGE_CANCELED : 0; /* a route has come that renames what is not told yet */
    bridge_msg *value = NULL;

    hub_enter(h);
    while (rc == 0 && most-- > 0 && (value = tree_next_value(&w->cursor))) rc = tell(w, value, fn, user);
    hub_leave(h);
    return rc ? rc : value != NULL;
}

void walk_free(hub_walk *w)
{
    if (!w) return;
    tree_leave_values(&w->cursor);
    mem_free(w->peer->port->hub->mem, w->pattern);
    mem_free(w->peer->port->hub->mem, w);
}
