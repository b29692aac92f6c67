/* Who answers for what, and what is watched of it.
 *
 * An owner with interest() is told of each distinct filter that is watched within its pattern, once, and again when the last one
 * that watched it has left: a device is observed once, however many look on (RFC 7252 5.7.2, MAPPING 6).  A filter lies within a
 * pattern when every path it matches is one of the pattern's: "#" is within nobody's, so that one "#" does not start ten
 * thousand observations. */
#include "base/status.h"
#include "hub/hub.h"

typedef struct interest {
    bridge_owner *owner; /* NULL: it has gone, watchers are still there */
    uint32_t count;      /* of watches */
    uint16_t len;
    char filter[];
} interest;

/* ---- what is watched */

static interest *interest_get(bridge_owner *o, text filter, bool *first)
{
    mem *m = o->peer->port->hub->mem;
    interest *i = map_get(&o->interests, filter.p, filter.len);

    *first = !i;
    if (i) return i;
    i = mem_alloc(m, sizeof *i + filter.len + 1);
    if (!i) return NULL;
    *i = (interest){.owner = o, .len = (uint16_t)filter.len};
    memcpy(i->filter, filter.p, filter.len);
    i->filter[filter.len] = 0;
    if (map_put(&o->interests, i->filter, i->len, i, NULL) == 0) return i;
    mem_free(m, i);
    return NULL;
}

static void tell(bridge_owner *o, const char *filter, bool wanted)
{
    hub *h = o->peer->port->hub;

    hub_enter(h);
    o->fns.interest(o->user, filter, wanted);
    hub_leave(h);
}

void own_watch_ended(bridge_watch *w)
{
    mem *m = w->peer->port->hub->mem;
    interest *i = w->interest;

    w->interest = NULL;
    if (!i || --i->count) return;
    if (i->owner) {
        map_remove(&i->owner->interests, i->filter, i->len);
        tell(i->owner, i->filter, false);
    }
    mem_free(m, i);
}

static bridge_owner *owner_of(hub *h, text filter, bool wild)
{
    bridge_owner *o = hub_owner(h, filter.p, filter.len); /* '+' and '#' stand in it as segments: only a wildcard can match them */
    pattern_room room;
    pattern p;

    if (!o || !o->fns.interest || o->gone) return NULL;
    if (!wild) return o;
    if (pattern_read(&p, &room, filter.p, filter.len, PATTERN_FILTER, NULL) < 0) return NULL;
    return pattern_covers(o->place.pattern, &p) ? o : NULL;
}

static bool began(bridge_watch *w, text said)
{
    hub *h = w->peer->port->hub;
    char path[PATH_BYTES + 1];
    int len = w->wild ? 0 : routes_path_of(h, w->peer->scheme, said, path, sizeof path);
    text filter = len > 0 ? (text){path, (size_t)len} : said; /* filters with wildcards are taken as they are */
    bridge_owner *o = owner_of(h, filter, w->wild);
    interest *i;
    bool first;

    if (!o || (o->peer == w->peer && o->peer != h->app)) return false; /* the application is many */
    if (w->interest && w->interest->owner == o) return true;
    i = interest_get(o, filter, &first);
    if (!i) return false;
    i->count++;
    own_watch_ended(w); /* it was somebody else's */
    w->interest = i;
    if (first) tell(o, i->filter, true);
    return true;
}

static int spell(const pattern *p, char *out, size_t room)
{
    for (int i = 0; i < p->count; i++)
        if (p->segments[i].kind == SEGMENT_PART) return 0; /* a filter would be more than it */
    return pattern_filter(p, out, room);
}

bool own_watch_began(bridge_watch *w, const pattern *p)
{
    char filter[PATH_BYTES + 1];
    int len;

    if (w->peer->port->hub->tree->owners.count == 0) return false;
    if (!w->wild) return began(w, (text){p->text, p->len});
    len = spell(p, filter, sizeof filter);
    return len > 0 && began(w, (text){filter, (size_t)len});
}

int bridge_peer_part(bridge_peer *peer, const char *path, bridge_msg *question, const char *query, char *out, size_t room)
{
    hub *h = peer->port->hub;
    char canonical[PATH_BYTES + 1];
    size_t len = strlen(path);
    int known = h->tree->owners.count ? routes_path_of(h, peer->scheme, text_of(path), canonical, sizeof canonical) : 0, rc;
    bridge_owner *o = known > 0 ? hub_owner(h, canonical, (size_t)known) : NULL;

    if (!o || !o->fns.part || o->gone) return 0;
    while (len && path[len - 1] == '/') len--; /* "lamp/" is asked like "lamp" */
    if (len >= room) return BRIDGE_TOOBIG;
    hub_enter(h);
    rc = o->fns.part(o->user, canonical, question, query, out + len, room - len);
    hub_leave(h);
    if (rc > 0) memcpy(out, path, len);
    return rc;
}

/* ---- watchers that were there before their owner */

typedef struct search {
    hub *hub;
    bridge_watch **found; /* written down first: what owners do may change the tree */
    size_t count, room;
} search;

static void on_sub(void *user, sub *s)
{
    search *x = user;

    if (mem_grow(x->hub->mem, (void **)&x->found, &x->room, x->count, sizeof *x->found) == 0) x->found[x->count++] = (bridge_watch *)s;
}

static void search_names(search *x)
{
    list_each(it, &x->hub->ports)
    {
        bridge_port *port = list_of(it, bridge_port, link);
        if (!routes_has_names(x->hub, port->scheme)) continue;
        list_each(p, &port->peers)
        {
            list_each(w, &list_of(p, bridge_peer, link)->watches)
                on_sub(x, &list_of(w, bridge_watch, link)->sub);
        }
    }
}

static text literal_beginning(const pattern *p)
{
    size_t end = 0;

    for (int i = 0; i < p->count && p->segments[i].kind == SEGMENT_LITERAL; i++)
        end = (size_t)p->segments[i].at + p->segments[i].len;
    return (text){end ? p->text : NULL, end};
}

static void find_watchers(bridge_owner *o)
{
    hub *h = o->peer->port->hub;
    search x = {.hub = h};

    hub_enter(h); /* watches that close meanwhile stay in memory */
    tree_each_sub_below(h->tree, literal_beginning(o->place.pattern), on_sub, &x);
    if (routes_give_names(h)) search_names(&x);
    for (size_t i = 0; i < x.count && !o->gone; i++) {
        char filter[PATH_BYTES + 1];
        int len = x.found[i]->gone ? 0 : tree_spell_sub(h->tree, &x.found[i]->sub, filter, sizeof filter);
        if (len > 0) began(x.found[i], (text){filter, (size_t)len});
    }
    mem_free(h->mem, x.found);
    hub_leave(h);
}

/* ---- owning */

int own(bridge_peer *peer, const char *filter, const bridge_owner_fns *fns, void *user, bridge_owner **out, bridge_error *err)
{
    hub *h = peer->port->hub;
    bridge_owner *o = mem_new(h->mem, bridge_owner);
    pattern *p = NULL;
    int rc;

    if (!o) return fail_nomem(err);
    rc = pattern_new(h->mem, &p, filter, strlen(filter), PATTERN_FULL, err);
    if (rc == 0) {
        o->peer = peer;
        memcpy(&o->fns, fns, fns->size < sizeof o->fns ? fns->size : sizeof o->fns);
        o->user = user;
        o->place.pattern = p;
        rc = tree_own(h->tree, &o->place);
        if (rc == BRIDGE_EXISTS) fail(err, rc, "\"%s\" has an owner already", filter);
        if (rc == BRIDGE_NOMEM) fail_nomem(err);
    }
    if (rc < 0) {
        mem_free(h->mem, p);
        mem_free(h->mem, o);
        return rc;
    }
    list_init(&o->calls);
    map_init(&o->interests, h->mem, h->seed);
    list_push(&h->owners, &o->link);
    list_push(&peer->owns, &o->of_peer);
    *out = o; /* before it is told of watchers */
    if (o->fns.interest) find_watchers(o);
    return 0;
}

int bridge_peer_own(bridge_peer *peer, const char *filter, const bridge_owner_fns *fns, void *user, bridge_owner **out)
{
    return own(peer, filter, fns, user, out, NULL);
}

void bridge_owner_close(bridge_owner *o)
{
    hub *h;
    interest *i;
    size_t at = 0;

    if (!o || o->gone) return;
    h = o->peer->port->hub;
    o->gone = true;
    tree_disown(h->tree, &o->place);
    list_remove(&o->link);
    list_remove(&o->of_peer);
    while ((i = map_next(&o->interests, &at)))
        i->owner = NULL;
    hub_enter(h);
    hub_drop_calls(o);
    list_push(&h->dead_owners, &o->link);
    h->deaths = true;
    hub_leave(h);
}

void own_bury(hub *h)
{
    list *it;

    while ((it = list_pop(&h->dead_owners))) {
        bridge_owner *o = list_of(it, bridge_owner, link);
        map_done(&o->interests);
        mem_free(h->mem, (void *)(uintptr_t)o->place.pattern);
        mem_free(h->mem, o->attributes);
        mem_free(h->mem, o);
    }
}

void own_forget(hub *h, text path)
{
    const bridge_msg *value = values_get(h, path);

    if (value && value->expires != INT64_MAX) values_remove(h, path);
}

void bridge_owner_forget(bridge_owner *o, const char *path)
{
    values_remove(o->peer->port->hub, text_of(path));
}

bool bridge_owner_is_wanted(const bridge_owner *o, const char *filter)
{
    return map_get(&o->interests, filter, strlen(filter)) != NULL;
}
