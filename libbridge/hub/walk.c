#include "hub/walk.h"
#include "hub/hub.h"
#include "hub/port.h"

struct hub_walk {
    bridge_peer *peer;
    pattern *pattern; /* NULL: names are walked */
    trie_cursor cursor;
    tree_children children;
    /* Where routes give names: first what each of them names, then what has no other name than its path; as in replay.c. */
    bool named;
    name_walk names;
    const void *by;     /* the route; only compared with others, it may be gone */
    pattern *canonical; /* what it names inside; NULL: the values under pattern itself */
};

static hub_walk *begin(bridge_peer *peer, int *rc)
{
    hub *h = peer->port->hub;
    hub_walk *w = h->walks_under_way < WALKS_MAX ? mem_new(h->mem, hub_walk) : NULL;

    *rc = w ? 0 : h->walks_under_way < WALKS_MAX ? BRIDGE_NOMEM : BRIDGE_BUSY;
    if (!w) return NULL;
    w->peer = peer;
    h->walks_under_way++;
    return w;
}

/* The values that the next route names, or after the last those of the pattern itself. */
static int next_part(hub_walk *w)
{
    hub *h = w->peer->port->hub;
    const pattern *names = NULL;

    mem_free(h->mem, w->canonical);
    w->canonical = NULL;
    w->by = w->named ? routes_next_name(h, w->peer->scheme, &w->names, &names) : NULL;
    if (w->by && pattern_new(h->mem, &w->canonical, names->text, names->len, names->kind, NULL) < 0) return BRIDGE_NOMEM;
    w->cursor = tree_values(h->tree, w->canonical ? w->canonical : w->pattern);
    return 0;
}

int walk_new(bridge_peer *peer, const char *filter, hub_walk **out)
{
    hub *h = peer->port->hub;
    int rc;
    hub_walk *w = *out = begin(peer, &rc);

    if (!w) return rc;
    rc = pattern_new(h->mem, &w->pattern, filter, strlen(filter), PATTERN_FILTER, NULL);
    w->named = routes_has_names(h, peer->scheme);
    if (rc == 0) rc = next_part(w);
    if (rc == 0) return 0;
    walk_free(w);
    *out = NULL;
    return rc == BRIDGE_INVALID ? BRIDGE_SYNTAX : rc;
}

typedef struct telling {
    hub_walk *walk;
    int (*fn)(void *user, bridge_msg *msg);
    void *user;
} telling;

static int on_named(void *user, bridge_msg *value)
{
    telling *t = user;

    return policy_check_name(t->walk->peer, BRIDGE_GET, value->path) < 0 ? 0 : t->fn(t->user, value);
}

static int tell(telling *t, bridge_msg *value)
{
    hub_walk *w = t->walk;
    hub *h = w->peer->port->hub;
    int rc;

    if (value->expires != INT64_MAX && msg_expired(value, loop_calendar(h->loop))) return 0;
    bridge_msg_ref(value);
    rc = w->named ? hub_tell_named(h, w->peer->scheme, w->pattern, w->canonical ? w->by : NULL, value, on_named, t) : on_named(t, value);
    bridge_msg_unref(value);
    return rc;
}

int walk_some(hub_walk *w, unsigned most, int (*fn)(void *, bridge_msg *), void *user)
{
    hub *h = w->peer->port->hub;
    telling t = {w, fn, user};
    bool more = true;
    int rc = 0;

    hub_enter(h);
    while (rc == 0 && more && most-- > 0) {
        bridge_msg *value = tree_next_value(&w->cursor);
        if (value) rc = tell(&t, value);
        else if (w->canonical) rc = next_part(w);
        else more = false;
    }
    hub_leave(h);
    return rc ? rc : more;
}

int walk_names(bridge_peer *peer, const char *path, hub_walk **out)
{
    int rc;
    hub_walk *w = *out = begin(peer, &rc);

    if (w) w->children = tree_children_of(peer->port->hub->tree, *path ? text_of(path) : (text){NULL, 0});
    return rc;
}

int walk_some_names(hub_walk *w, unsigned most, walk_name_fn fn, void *user)
{
    hub *h = w->peer->port->hub;
    bool has_value, has_children, more = true;
    text segment;
    int rc = 0;

    hub_enter(h);
    while (rc == 0 && most-- > 0 && (more = tree_next_child(&w->children, &segment, &has_value, &has_children))) {
        char *name = mem_text_len(h->mem, segment.p, segment.len);
        rc = name ? fn(user, name, has_value, has_children) : BRIDGE_NOMEM;
        mem_free(h->mem, name);
    }
    hub_leave(h);
    return rc ? rc : more;
}

void walk_free(hub_walk *w)
{
    hub *h = w ? w->peer->port->hub : NULL;

    if (!w) return;
    if (w->pattern) tree_leave_values(&w->cursor);
    tree_leave_children(&w->children);
    h->walks_under_way--;
    mem_free(h->mem, w->pattern);
    mem_free(h->mem, w->canonical);
    mem_free(h->mem, w);
}
