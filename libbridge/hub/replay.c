/* To a new watch: what is kept, or what the owner says.
 *
 * A filter may match millions of values.  Of a peer that can say when it has had enough (bridge_adapter.hungry) they come in slices:
 * the loop has its turns between them, and nothing waits for a reader that does not read.  What is published meanwhile is told at
 * once, as always; then the value that is kept there is newer than the watch, and is left out later.  So each path is told
 * once, and never an older value after a newer one.  Where routes give the peer's protocol names, its values come route by route. */
#include "hub/hub.h"
#include "hub/port.h"

enum { SLICE = 2048, ASK_EACH = 64, AGAIN = 1, STARVED = 50, REPLAYS_MAX = 4096 }; /* values, values, ms, ms */

struct replay {
    list link; /* in hub->replays */
    bridge_watch *watch;
    pattern *pattern;
    trie_cursor cursor;
    uint64_t since; /* the newest version when it began */
    bool starved;   /* the peer has had enough for now */
    /* Where routes give names: first what each of them names, then what has no other name than its path. */
    bool named;
    name_walk walk;
    const void *by;     /* the route; only compared with others, it may be gone */
    pattern *canonical; /* what it names inside; NULL: the values under pattern itself */
};

static int on_replay(void *user, bridge_msg *msg)
{
    bridge_watch *w = user;
    bridge_peer *p = w->peer;
    bridge_delivery how = {.watch = w, .user = w->user, .retained = true, .keep_retain = w->keep_retain, .ids = &w->id, .id_count = w->id != 0};

    if (w->gone || p->gone) return 1;
    if (!policy_is_open(p) && policy_check_name(p, BRIDGE_NOTIFY, msg->path) < 0) return 0;
    how.qos = w->qos < msg->qos ? w->qos : msg->qos;
    p->port->hub->count.delivered++;
    p->told++;
    p->deliver(p->state, msg, &how);
    return 0;
}

static void on_owner_says(void *user, int status, bridge_msg *reply)
{
    bridge_watch *w = user;

    w->ask = NULL;
    if (status >= 0 && reply) on_replay(w, reply);
}

static bool ask_owner(bridge_watch *w, const pattern *p)
{
    hub *h = w->peer->port->hub;
    bridge_fields f = {.size = sizeof f, .path = p->text, .format = BRIDGE_FORMAT_AUTO};
    bridge_msg *question = NULL, *reply = NULL;
    char *path;
    int rc;

    if (w->wild || h->tree->owners.count == 0 || !tree_owner(h->tree, p->text, p->len)) return false;
    path = mem_text_len(h->mem, p->text, p->len);
    f.path = path;
    rc = path ? bridge_peer_msg(w->peer, &f, &question) : BRIDGE_NOMEM;
    if (rc == 0) rc = bridge_peer_submit(w->peer, BRIDGE_GET, question, NULL, &reply, on_owner_says, w, &w->ask);
    if (rc != BRIDGE_PENDING && rc >= 0 && reply) on_replay(w, reply);
    bridge_msg_unref(reply);
    bridge_msg_unref(question);
    mem_free(h->mem, path);
    return true;
}

/* ---- in slices */

static bool is_hungry(const bridge_peer *p)
{
    return !p->port->adapter->hungry || p->port->adapter->hungry(p->state);
}

void hub_replay_end(bridge_watch *w)
{
    struct replay *r = w->replay;
    hub *h = w->peer->port->hub;

    w->replay = NULL;
    if (!r) return;
    tree_leave_values(&r->cursor);
    list_remove(&r->link);
    h->replays_under_way--;
    mem_free(h->mem, r->pattern);
    mem_free(h->mem, r->canonical);
    mem_free(h->mem, r);
}

static void tell_one(hub *h, struct replay *r, bridge_msg *value)
{
    if (value->version > r->since) return; /* told when it was published */
    if (value->expires != INT64_MAX && msg_expired(value, loop_calendar(h->loop))) return;
    bridge_msg_ref(value);
    if (r->named)
        hub_tell_named(h, r->watch->peer->scheme, r->pattern, r->canonical ? r->by : NULL, value, on_replay, r->watch);
    else
        on_replay(r->watch, value);
    bridge_msg_unref(value);
}

/* The values that the next route names, or after the last those of the pattern itself; false: without memory. */
static bool next_part(hub *h, struct replay *r)
{
    const pattern *names = NULL;

    mem_free(h->mem, r->canonical);
    r->canonical = NULL;
    r->by = routes_next_name(h, r->watch->peer->scheme, &r->walk, &names);
    if (r->by && pattern_new(h->mem, &r->canonical, names->text, names->len, names->kind, NULL) < 0) return false;
    r->cursor = tree_values(h->tree, r->canonical ? r->canonical : r->pattern);
    return true;
}

/* Goes on until the slice is told, the peer has had enough, or all is said: false then. */
static bool go_on(hub *h, struct replay *r, unsigned *budget)
{
    bridge_watch *w = r->watch;
    bridge_msg *value;

    for (unsigned n = 0; *budget > 0; n++, --*budget) {
        if (n % ASK_EACH == 0 && !is_hungry(w->peer)) {
            r->starved = true;
            return true;
        }
        value = tree_next_value(&r->cursor);
        if (!value && r->canonical && next_part(h, r)) continue;
        if (!value) {
            hub_replay_end(w);
            return false;
        }
        tell_one(h, r, value);
        if (w->replay != r) return false; /* told to stop by what it heard */
    }
    return true;
}

static void on_time(timer *t)
{
    hub *h = list_of(t, hub, replay_timer);
    unsigned budget = SLICE;
    bool hungry = false;
    list worked;

    list_init(&worked);
    hub_enter(h);
    while (budget > 0 && !list_empty(&h->replays)) { /* those behind the budget come first next time */
        struct replay *r = list_of(list_pop(&h->replays), struct replay, link);
        list_push(&worked, &r->link);
        r->starved = false;
        if (go_on(h, r, &budget)) hungry |= !r->starved;
    }
    for (list *it; (it = list_pop(&worked));) list_push(&h->replays, it);
    hub_leave(h);
    if (!list_empty(&h->replays)) timer_start(&h->replay_timer, h->loop, hungry ? AGAIN : STARVED, on_time);
}

void peer_more(bridge_peer *peer)
{
    hub *h = peer->port->hub;

    if (h->replays_under_way && h->replay_timer.loop && h->replay_timer.due > loop_now(h->loop) + AGAIN)
        timer_start(&h->replay_timer, h->loop, AGAIN, on_time);
}

static bool begin(bridge_watch *w, const pattern *p)
{
    hub *h = w->peer->port->hub;
    struct replay *r;
    unsigned budget = SLICE;
    bool named = routes_has_names(h, w->peer->scheme);

    if (!w->wild || !w->peer->port->adapter->hungry || h->replays_under_way >= REPLAYS_MAX) return false;
    r = mem_new(h->mem, struct replay);
    if (!r) return false;
    if (pattern_new(h->mem, &r->pattern, p->text, p->len, p->kind, NULL) < 0) {
        mem_free(h->mem, r);
        return false;
    }
    r->watch = w;
    r->since = h->version;
    r->named = named;
    if (!named) {
        r->cursor = tree_values(h->tree, r->pattern);
    } else if (!next_part(h, r)) {
        mem_free(h->mem, r->pattern);
        mem_free(h->mem, r);
        return false;
    }
    w->replay = r;
    list_push(&h->replays, &r->link);
    h->replays_under_way++;
    if (go_on(h, r, &budget) && !h->replay_timer.loop) timer_start(&h->replay_timer, h->loop, AGAIN, on_time);
    return true;
}

void hub_replay(bridge_watch *w, const pattern *p, bool owner_tells)
{
    hub *h = w->peer->port->hub;

    hub_enter(h);
    hub_replay_end(w);
    if ((owner_tells || !ask_owner(w, p)) && !begin(w, p)) hub_each(h, w->peer->scheme, p, on_replay, w);
    hub_leave(h);
}
