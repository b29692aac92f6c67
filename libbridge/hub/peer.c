/* Who talks to us, and what they watch. */
#include "auth/auth.h"
#include "hub/hub.h"
#include "hub/port.h"
#include <stdio.h>

/* What messages from now on say of it.  Without memory they go on to say what they did. */
static void know(bridge_peer *p, const char *account, const bridge_port *via)
{
    const char *door = via->uplink || via->home || !via->url ? NULL : via->name;
    origin *was = p->origin, *now;

    if (!was || !(account || p->user || door)) return;
    now = origin_known(p->port->hub->mem, was, account, p->user, door);
    if (!now) return;
    p->origin = now;
    origin_unref(was);
}

int bridge_peer_new(bridge_peer **out, bridge_port *port, const char *who, const char *user, unsigned flags, void *state)
{
    hub *h = port->hub;
    bridge_peer *p = mem_new(h->mem, bridge_peer);

    if (!p) return BRIDGE_NOMEM;
    p->port = port;
    p->scheme = port->scheme;
    p->level = port->level;
    p->flags = flags;
    p->state = state;
    p->deliver = port->adapter->deliver;
    p->auth = port->auth ? auth_ref(port->auth) : NULL;
    list_init(&p->watches);
    list_init(&p->tickets);
    list_init(&p->owns);
    list_init(&p->full);
    list_push(&port->peers, &p->link);
    h->peer_count++;
    port->peer_count += !(flags & BRIDGE_PEER_INSIDE);
    p->number = ++h->peers_met;
    p->since = loop_calendar(h->loop);
    p->origin = origin_new(h->mem, port->adapter->scheme, who);
    p->user = mem_text(h->mem, user);
    know(p, NULL, port);
    if (!p->origin || (user && !p->user)) {
        bridge_peer_free(p);
        return BRIDGE_NOMEM;
    }
    *out = p;
    return 0;
}

void bridge_peer_via(bridge_peer *peer, bridge_port *port, const char *user)
{
    struct auth *was = peer->auth;
    peer->level = port->level;
    char *name = mem_text(port->hub->mem, user);

    peer->auth = port->auth ? auth_ref(port->auth) : NULL;
    auth_unref(was);
    if (user && !name) return; /* the old name has no more rights than the new one may have: both were proved */
    mem_free(port->hub->mem, peer->user);
    peer->user = name;
    know(peer, origin_part(peer->origin, peer->origin->account), port);
}

void peer_counts_as(bridge_peer *peer, const char *user, const char *address)
{
    char account[512];
    const char *colon = strrchr(address, ':');
    size_t len = colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) ? (size_t)(colon - address) : strlen(address);
    origin *was = peer->origin, *now;

    if (user) snprintf(account, sizeof account, "user:%s", user);
    else snprintf(account, sizeof account, "host:%.*s", (int)(len < 256 ? len : 255), address);
    if (was->account && strcmp(was->text + was->account, account) == 0) return;
    now = origin_known(peer->port->hub->mem, was, account, origin_part(was, was->user), origin_part(was, was->door));
    if (!now) return; /* counted by its name */
    peer->origin = now;
    origin_unref(was);
}

void bridge_peer_away(bridge_peer *peer, bool away)
{
    peer->away = away;
}

void peer_destroy(bridge_peer *p)
{
    mem *m = p->port_mem;

    origin_unref(p->origin);
    auth_unref(p->auth);
    mem_free(m, p->user);
    mem_free(m, p);
}

void bridge_peer_free(bridge_peer *peer)
{
    hub *h;

    if (!peer || peer->gone) return;
    h = peer->port->hub;
    peer->gone = true;
    peer->port_mem = h->mem;
    far_lost(peer);
    list_remove(&peer->full);
    while (!list_empty(&peer->watches))
        bridge_watch_close(list_of(peer->watches.next, bridge_watch, link));
    while (!list_empty(&peer->owns))
        bridge_owner_close(list_of(peer->owns.next, bridge_owner, of_peer));
    hub_drop_tickets(peer);
    list_remove(&peer->link);
    h->peer_count--;
    peer->port->peer_count -= !(peer->flags & BRIDGE_PEER_INSIDE);
    list_push(&h->dead_peers, &peer->link);
    hub_mourn(h);
}

const char *bridge_peer_name(const bridge_peer *peer)
{
    return peer->origin->text;
}

const char *bridge_peer_user(const bridge_peer *peer)
{
    return peer->user;
}

int bridge_peer_msg(bridge_peer *peer, const bridge_fields *fields, bridge_msg **out)
{
    hub *h = peer->port->hub;

    if (fields->len > h->limits.max_message) return hub_too_big(h, fields->len);
    if (fields->time) return msg_new(h->mem, fields, peer->origin, out);
    bridge_fields now = {.format = BRIDGE_FORMAT_AUTO};
    memcpy(&now, fields, fields->size < sizeof now ? fields->size : sizeof now);
    now.time = loop_calendar(h->loop); /* what lives for 1000 s has, on the loop's clock, never 1001 left */
    return msg_new(h->mem, &now, peer->origin, out);
}

int peer_msg_plain(bridge_peer *peer, text path, const void *data, size_t len, uint8_t qos, bool retain, bridge_msg **out)
{
    hub *h = peer->port->hub;

    if (len > h->limits.max_message) return hub_too_big(h, len);
    return msg_new_plain(h->mem, path, data, len, qos, retain, loop_calendar(h->loop), peer->origin, out);
}

/* ---- watches */

static pattern_kind kind_of(const bridge_watch_options *o)
{
    return o->exact ? PATTERN_EXACT : o->names ? PATTERN_FULL : PATTERN_FILTER;
}

static void set_options(bridge_watch *w, const bridge_watch_options *o, void *user)
{
    w->user = user;
    w->qos = o->qos;
    w->no_local = o->no_local;
    w->keep_retain = o->keep_retain;
    w->id = o->id;
}

/* Looked for on the shorter side: among all that this filter has, or among all that the peer has.  Strangers can make one of
 * them long, but not both: it costs at most the square root of all subscriptions. */
static bridge_watch *find(bridge_peer *peer, const pattern *p, text group)
{
    sub *only = NULL;
    size_t count = 0;
    sub *const *subs = list_empty(&peer->watches) ? NULL : tree_subs_of(peer->port->hub->tree, p, group, &only, &count);

    if (count <= peer->watch_count) {
        for (size_t i = 0; i < count; i++)
            if (((bridge_watch *)subs[i])->peer == peer) return (bridge_watch *)subs[i];
        return NULL;
    }
    list_each(it, &peer->watches)
    {
        bridge_watch *w = list_of(it, bridge_watch, link);
        if (w->sub.node == subs[0]->node && w->sub.group == subs[0]->group) return w;
    }
    return NULL;
}

static int watch_new(bridge_peer *peer, const pattern *p, text group, const bridge_watch_options *o, void *user, bridge_watch **out)
{
    hub *h = peer->port->hub;
    bridge_watch *w = mem_new(h->mem, bridge_watch);
    int rc;

    if (!w) return BRIDGE_NOMEM;
    w->peer = peer;
    w->wild = !pattern_is_literal(p);
    set_options(w, o, user);
    rc = tree_subscribe(h->tree, p, group, &w->sub);
    if (rc < 0) {
        mem_free(h->mem, w);
        return rc;
    }
    list_push(&peer->watches, &w->link);
    peer->watch_count++;
    h->watch_count++;
    *out = w;
    return 0;
}

int bridge_peer_watch(bridge_peer *peer, const char *filter, const bridge_watch_options *o, void *user, bridge_watch **out)
{
    static const bridge_watch_options plain;
    text group = o && o->group ? text_of(o->group) : (text){NULL, 0};
    bridge_watch *w = NULL;
    pattern_room room;
    pattern p;
    bool fresh = true, told;
    int rc;

    if (!o) o = &plain;
    rc = pattern_read(&p, &room, filter, strlen(filter), kind_of(o), NULL);
    if (rc < 0) return rc == BRIDGE_INVALID ? BRIDGE_SYNTAX : rc;
    if (filter[0] == '$' && exchange_is_anothers(peer, filter)) return BRIDGE_DENIED;
    rc = policy_check_name(peer, BRIDGE_WATCH, filter);
    if (rc < 0) return rc;
    if (peer->flags & BRIDGE_PEER_MERGE) w = find(peer, &p, group);
    if (w) {
        fresh = false;
        set_options(w, o, user);
    } else {
        rc = watch_new(peer, &p, group, o, user, &w);
        if (rc < 0) return rc;
    }
    if (out) *out = w;
    /* MQTT 5 3.8.3.1: a shared subscription gets no kept values. */
    told = fresh && own_watch_began(w, &p);
    if (!group.p && (o->replay == 0 || (o->replay == 1 && fresh))) hub_replay(w, &p, told);
    return 0;
}

void bridge_watch_close(bridge_watch *w)
{
    hub *h;

    if (!w || w->gone) return;
    h = w->peer->port->hub;
    w->gone = true;
    w->peer->watch_count--;
    bridge_ticket_cancel(w->ask);
    own_watch_ended(w);
    hub_replay_end(w);
    tree_unsubscribe(h->tree, &w->sub);
    list_remove(&w->link);
    list_push(&h->dead_watches, &w->link);
    h->watch_count--;
    hub_mourn(h);
}

int bridge_peer_unwatch(bridge_peer *peer, const char *filter, const char *group)
{
    text g = group ? text_of(group) : (text){NULL, 0};
    bridge_watch *w;
    pattern_room room;
    pattern p;
    int rc = pattern_read(&p, &room, filter, strlen(filter), PATTERN_FILTER, NULL);

    if (rc < 0) return rc == BRIDGE_INVALID ? BRIDGE_SYNTAX : rc;
    w = find(peer, &p, g);
    if (!w) return BRIDGE_NOTFOUND;
    bridge_watch_close(w);
    return 0;
}

size_t peer_watches(const bridge_peer *peer)
{
    return peer->watch_count;
}

bool peer_watches_at(bridge_peer *peer, const char *filter, const char *group)
{
    pattern_room room;
    pattern p;

    return pattern_read(&p, &room, filter, strlen(filter), PATTERN_FILTER, NULL) == 0 && find(peer, &p, group ? text_of(group) : (text){NULL, 0});
}

/* ---- reading what is kept */

int bridge_peer_read(bridge_peer *peer, const char *filter, int (*fn)(void *, bridge_msg *), void *user)
{
    pattern_room room;
    pattern p;
    int rc = pattern_read(&p, &room, filter, strlen(filter), PATTERN_FILTER, NULL);

    if (rc < 0) return rc == BRIDGE_INVALID ? BRIDGE_SYNTAX : rc;
    return hub_each_named(peer, &p, fn, user);
}

int bridge_peer_owned(bridge_peer *peer, int (*fn)(void *, const char *), void *user)
{
    hub *h = peer->port->hub;
    char name[PATH_BYTES + 1];
    int rc = 0;

    hub_enter(h);
    list_each_safe(it, &h->owners)
    {
        const pattern *p = list_of(it, bridge_owner, link)->place.pattern;
        if (!pattern_is_literal(p) || policy_check(peer, BRIDGE_GET, p->text) < 0) continue;
        if (!routes_has_names(h, peer->scheme) || routes_name_out(h, peer->scheme, (text){p->text, p->len}, name, sizeof name) <= 0)
            memcpy(name, p->text, p->len + 1u);
        rc = fn(user, name);
        if (rc) break;
    }
    hub_leave(h);
    return rc;
}

bool peer_owned_tells(const bridge_peer *peer, text name)
{
    hub *h = peer->port->hub;
    char path[PATH_BYTES + 1];
    int len = h->tree->owners.count ? routes_path_of(h, peer->scheme, name, path, sizeof path) : 0;
    bridge_owner *o = len > 0 ? hub_owner(h, path, (size_t)len) : NULL;

    return o && pattern_is_literal(o->place.pattern);
}

struct listing {
    int (*fn)(void *user, const char *segment, bool has_value, bool has_children);
    void *user;
    mem *mem;
};

static int on_child(void *user, text segment, bool has_value, bool has_children)
{
    struct listing *l = user;
    char *name = mem_text_len(l->mem, segment.p, segment.len);
    int rc;

    if (!name) return BRIDGE_NOMEM;
    rc = l->fn(l->user, name, has_value, has_children);
    mem_free(l->mem, name);
    return rc;
}

int bridge_peer_list(bridge_peer *peer, const char *path, int (*fn)(void *, const char *, bool, bool), void *user)
{
    hub *h = peer->port->hub;
    struct listing l = {fn, user, h->mem};
    text t = *path ? text_of(path) : (text){NULL, 0};

    return tree_each_child(h->tree, t, on_child, &l);
}
