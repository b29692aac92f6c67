/* The way out: who watches a path is found in the tree, written down, and told, in the order in which messages were accepted.
 *
 * A scheme may have a name of its own for the path (routes.c); its peers are then told under that name, and once: a watch that
 * matches both names counts for the scheme's.  Of a peer that wants it (BRIDGE_PEER_MERGE) several watches that match are one
 * delivery, with the highest QoS among them (MQTT 3.3.5). */
#include "hub/hub.h"
#include "hub/plan.h"
#include "hub/port.h"

typedef struct hit {
    bridge_watch *watch;
    bridge_msg *msg; /* borrow: as this one names it */
    uint32_t name;   /* which of the names, from 1; 0: the path */
    uint32_t more;   /* the next hit of the same delivery, as an index; 0: none */
    uint8_t qos;
    bool keep_retain, merged; /* merged: part of an earlier one */
} hit;

typedef struct hunt { /* one walk over the tree */
    hub *hub;
    bridge_peer *from;
    bridge_msg *msg;
    uint64_t mark;
    size_t base;
    int scheme; /* only watches of this one, under its name; -1: all that have not been met yet */
    unsigned names; /* under which somebody watches */
    bridge_msg *named[HUB_SCHEMES];
    const void *by[HUB_SCHEMES]; /* the route of each */
    bool failed, simple; /* simple: no groups, nothing merged; see plan.c */
} hunt;

enum { MAX_IDS = 64 };

static hit *hit_new(hunt *x)
{
    hub *h = x->hub;

    if (h->hit_count == 0) h->hit_count = 1; /* 0 says "none" */
    if (mem_grow(h->mem, (void **)&h->hits, &h->hit_room, h->hit_count, sizeof *h->hits) < 0) {
        x->failed = true;
        return NULL;
    }
    return &h->hits[h->hit_count++];
}

static void merge(hub *h, hit *fresh, uint32_t first)
{
    hit *head = &h->hits[first];

    fresh->merged = true;
    if (fresh->qos > head->qos) head->qos = fresh->qos;
    head->keep_retain |= fresh->keep_retain;
    fresh->more = head->more;
    head->more = (uint32_t)(fresh - h->hits);
}

static void take(hunt *x, bridge_watch *w)
{
    bridge_peer *p = w->peer;
    hit *fresh;

    if (x->scheme >= 0 ? p->scheme != x->scheme : w->mark == x->mark) return;
    if (w->no_local && p == x->from) {
        x->simple = false;
        return;
    }
    fresh = hit_new(x);
    if (!fresh) return;
    w->mark = x->mark;
    *fresh = (hit){.watch = w, .msg = x->msg, .qos = w->qos < x->msg->qos ? w->qos : x->msg->qos, .keep_retain = w->keep_retain};
    if (!(p->flags & BRIDGE_PEER_MERGE) || w->sub.group) return;
    if (p->mark == x->mark) {
        merge(x->hub, fresh, p->hit);
        x->simple = false;
    } else {
        p->hit = (uint32_t)(fresh - x->hub->hits);
    }
    p->mark = x->mark;
}

/* MQTT 5 4.8.2: one member of the group; those who are away only when all are. */
static bridge_watch *pick(sub *const *members, size_t count, sub_group *group, int scheme)
{
    bridge_watch *second = NULL;

    for (size_t i = 0; i < count; i++) {
        bridge_watch *w = (bridge_watch *)members[(group->turn + i) % count];
        if (scheme >= 0 && w->peer->scheme != scheme) continue;
        if (!w->peer->away) {
            group->turn = (uint32_t)((group->turn + i + 1) % count);
            return w;
        }
        if (!second) second = w;
    }
    group->turn = (uint32_t)((group->turn + 1) % count);
    return second;
}

static void on_subs(void *user, sub *const *subs, size_t count, sub_group *group)
{
    hunt *x = user;

    if (group) {
        bridge_watch *w = pick(subs, count, group, x->scheme);
        x->simple = false;
        if (w) take(x, w);
        return;
    }
    for (size_t i = 0; i < count; i++)
        take(x, (bridge_watch *)subs[i]);
}

static unsigned ids_of(const hub *h, const hit *first, uint32_t *ids)
{
    unsigned n = 0;

    for (const hit *x = first;; x = &h->hits[x->more]) {
        if (x->watch->id && n < MAX_IDS) ids[n++] = x->watch->id;
        if (!x->more) return n;
    }
}

static bool still_wanted(const hub *h, const hit *first)
{
    for (const hit *x = first;; x = &h->hits[x->more]) {
        if (!x->watch->gone) return true;
        if (!x->more) return false;
    }
}

static unsigned hand_out(hub *h, size_t base, bool gone)
{
    uint32_t ids[MAX_IDS];
    size_t end = h->hit_count;
    unsigned told = 0;

    for (size_t i = base; i < end; i++) {
        hit x = h->hits[i]; /* a copy: a nested fan-out may move the array */
        bridge_peer *p = x.watch->peer;
        bridge_delivery how = {.watch = x.watch, .user = x.watch->user, .qos = x.qos, .keep_retain = x.keep_retain, .gone = gone, .ids = ids};
        if (x.merged || p->gone || !still_wanted(h, &x)) continue;
        if (!policy_is_open(p) && policy_check_name(p, BRIDGE_NOTIFY, x.msg->path) < 0) continue;
        how.id_count = x.more || x.watch->id ? ids_of(h, &x, ids) : 0;
        p->told++;
        p->deliver(p->state, x.msg, &how);
        told++;
    }
    return told;
}

/* The watches of one scheme under its name for the path; the message is made anew only when there are any. */
static void hunt_name(hunt *x, uint8_t scheme)
{
    hub *h = x->hub;
    char name[PATH_BYTES + 1];
    const void *by = NULL;
    size_t first = h->hit_count ? h->hit_count : 1;
    int len = routes_name_by(h, scheme, msg_path(x->msg), name, sizeof name, &by);

    if (len <= 0) return;
    x->scheme = scheme;
    tree_match(h->tree, name, (size_t)len, on_subs, x);
    if (h->hit_count <= first) return;
    if (routes_show(h, by, x->msg, (text){name, (size_t)len}, &x->named[x->names]) < 0) {
        h->hit_count = first;
        x->simple = false; /* this once: the next one may be fine */
        return;
    }
    x->by[x->names] = by;
    x->names++;
    for (size_t i = first; i < h->hit_count; i++) {
        h->hits[i].msg = x->named[x->names - 1];
        h->hits[i].name = x->names;
    }
}

static void hunt_by_name(hunt *x)
{
    for (unsigned s = 0; s < x->hub->scheme_count; s++)
        if (routes_has_names(x->hub, (uint8_t)s)) hunt_name(x, (uint8_t)s);
    x->scheme = -1;
}

static void remember(hunt *x)
{
    hub *h = x->hub;
    plan *p = plan_new(h, x->msg, h->hit_count > x->base ? h->hit_count - x->base : 0, x->named, x->by, x->names);

    for (uint32_t i = 0; p && i < p->count; i++)
        p->watches[i] = (plan_watch){h->hits[x->base + i].watch, h->hits[x->base + i].name};
}

/* The message as this plan's i-th name has it, made when the first watcher wants it.  NULL: no memory, or it cannot be shown so. */
static bridge_msg *as_named(hub *h, const plan *known, unsigned i, bridge_msg *msg, bridge_msg **named)
{
    if (!named[i] && routes_show(h, known->names[i].by, msg, plan_name_text(known, i), &named[i]) < 0) named[i] = NULL;
    return named[i];
}

/* The short way, for paths that were met before. */
static unsigned follow(hub *h, plan *known, bridge_peer *from, bridge_msg *msg, bool gone)
{
    bridge_msg *named[HUB_SCHEMES];
    unsigned told = 0;

    known->refs++;
    for (unsigned i = 0; i < known->name_count; i++)
        named[i] = NULL;
    for (uint32_t i = 0; i < known->count; i++) {
        bridge_watch *w = known->watches[i].watch;
        bridge_peer *p = w->peer;
        bridge_msg *as = msg;
        bridge_delivery how = {.watch = w, .user = w->user, .qos = w->qos < msg->qos ? w->qos : msg->qos,
                               .keep_retain = w->keep_retain, .gone = gone, .ids = &w->id, .id_count = w->id != 0};
        if (w->gone || p->gone || (w->no_local && p == from)) continue;
        if (known->watches[i].name && !(as = as_named(h, known, known->watches[i].name - 1, msg, named))) continue;
        if (!policy_is_open(p) && policy_check_name(p, BRIDGE_NOTIFY, as->path) < 0) continue;
        p->told++;
        p->deliver(p->state, as, &how);
        told++;
    }
    for (unsigned i = 0; i < known->name_count; i++)
        bridge_msg_unref(named[i]);
    plan_unref(h, known);
    h->count.delivered += told;
    return told;
}

unsigned hub_fanout(hub *h, bridge_peer *from, bridge_msg *msg, bool gone)
{
    plan *known = plan_find(h, msg);
    size_t base = h->hit_count ? h->hit_count : 1;
    hunt x;
    unsigned told;

    if (known) return follow(h, known, from, msg, gone);
    x = (hunt){.hub = h, .from = from, .msg = msg, .mark = ++h->mark, .base = base, .scheme = -1, .simple = true};
    if (routes_give_names(h)) hunt_by_name(&x);
    tree_match(h->tree, msg->path, msg->path_len, on_subs, &x);
    if (x.simple && !x.failed) remember(&x);
    if (x.failed) log_line(&h->log, BRIDGE_LOG_ERROR, "hub", "out of memory: some watchers of %s were not told", msg->path);
    told = h->hit_count > base ? hand_out(h, base, gone) : 0;
    h->hit_count = base;
    h->count.delivered += told;
    while (x.names)
        bridge_msg_unref(x.named[--x.names]);
    return told;
}

/* Another member of the group, one that is there rather than one that is away. */
static bridge_watch *another(const sub_group *group, const bridge_peer *than)
{
    bridge_watch *best = NULL;

    for (uint32_t i = 0; i < group->count; i++) {
        bridge_watch *w = (bridge_watch *)group->at[(group->turn + i) % group->count];
        if (w->peer == than || w->gone) continue;
        if (!best || (best->peer->away && !w->peer->away)) best = w;
    }
    return best;
}

typedef struct passing { /* what a member of a group leaves to the others */
    const bridge_peer *from;
    bridge_watch *to;
    bool met;
} passing;

static void on_groups(void *user, sub *const *subs, size_t count, sub_group *group)
{
    passing *x = user;

    for (size_t i = 0; group && i < count && !x->met; i++) {
        if (((bridge_watch *)subs[i])->peer != x->from) continue;
        x->met = true;
        x->to = another(group, x->from);
    }
}

void peer_pass_on(bridge_peer *peer, bridge_msg *msg)
{
    hub *h = peer->port->hub;
    passing x = {.from = peer};
    bridge_watch *to;

    tree_match(h->tree, msg->path, msg->path_len, on_groups, &x);
    to = x.to;
    if (to) {
        bridge_delivery how = {.watch = to, .user = to->user, .keep_retain = to->keep_retain, .ids = &to->id, .id_count = to->id != 0,
                               .qos = to->qos < msg->qos ? to->qos : msg->qos};
        to->peer->told++;
        to->peer->deliver(to->peer->state, msg, &how);
    }
}

/* ---- kept values, under the names that somebody has for them */

typedef struct reading {
    hub *hub;
    uint8_t scheme;
    const pattern *pattern; /* of names */
    const void *by;         /* the one whose values are walked, or NULL: all */
    int (*fn)(void *user, bridge_msg *msg);
    void *user;
} reading;

static int hand_value(reading *r, const void *by, bridge_msg *value, const char *name, int len)
{
    bridge_msg *renamed = NULL;
    int rc = routes_show(r->hub, by, value, (text){name, (size_t)len}, &renamed);

    if (rc < 0 && rc != BRIDGE_NOMEM) return 0; /* what cannot be shown under this name is left out: routes_change.c has said so */
    if (rc == 0) rc = r->fn(r->user, renamed);
    bridge_msg_unref(renamed);
    return rc;
}

static int on_value(void *user, void *item)
{
    reading *r = user;
    bridge_msg *value = item;
    char name[PATH_BYTES + 1];
    const void *by = NULL;
    int len = 0, rc;

    if (value->expires != INT64_MAX && msg_expired(value, loop_calendar(r->hub->loop))) return 0;
    if (routes_has_names(r->hub, r->scheme))
        len = routes_name_by(r->hub, r->scheme, msg_path(value), name, sizeof name, &by);
    if (len > 0 && !pattern_match(r->pattern, name, (size_t)len, NULL)) len = 0;
    if (r->by && (len == 0 || by != r->by)) return 0; /* not its business */
    if (!r->by && len > 0) return 0;                        /* told under its name already */
    bridge_msg_ref(value);
    rc = len > 0 ? hand_value(r, by, value, name, len) : r->fn(r->user, value);
    bridge_msg_unref(value);
    return rc;
}

int hub_tell_named(hub *h, uint8_t scheme, const pattern *p, const void *by, bridge_msg *value, int (*fn)(void *, bridge_msg *), void *user)
{
    reading r = {.hub = h, .scheme = scheme, .pattern = p, .by = by, .fn = fn, .user = user};

    return on_value(&r, value);
}

static int on_name_route(void *user, const void *by, const pattern *canonical, text path)
{
    reading *r = user;
    void *value;

    r->by = by;
    if (!path.p) return tree_each_value(r->hub->tree, canonical, on_value, r);
    value = tree_value(r->hub->tree, path.p, path.len);
    return value ? on_value(r, value) : 0;
}

int hub_each(hub *h, uint8_t scheme, const pattern *p, int (*fn)(void *, bridge_msg *), void *user)
{
    reading r = {.hub = h, .scheme = scheme, .pattern = p, .fn = fn, .user = user};
    int rc = routes_has_names(h, scheme) ? routes_each_name(h, scheme, p, on_name_route, &r) : 0;

    r.by = NULL;
    return rc ? rc : tree_each_value(h->tree, p, on_value, &r);
}

struct permitted {
    bridge_peer *peer;
    int (*fn)(void *user, bridge_msg *msg);
    void *user;
};

static int on_permitted(void *user, bridge_msg *msg)
{
    struct permitted *x = user;

    return policy_check_name(x->peer, BRIDGE_GET, msg->path) < 0 ? 0 : x->fn(x->user, msg);
}

int hub_each_named(bridge_peer *peer, const pattern *p, int (*fn)(void *, bridge_msg *), void *user)
{
    struct permitted x = {peer, fn, user};
    hub *h = peer->port->hub;
    int rc;

    hub_enter(h);
    rc = hub_each(h, peer->scheme, p, on_permitted, &x);
    hub_leave(h);
    return rc;
}
