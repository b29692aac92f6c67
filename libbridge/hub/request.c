/* Questions to owners: a function of theirs answers now, or later; an application's also from another thread.
 *
 *   asked --fn replies inside--> answered (the asker has the outcome at once)
 *     |
 *     +--fn keeps a ref--> waiting --reply, last unref, time is up--> answered (the asker's done is called)
 *                            \--ticket cancelled, peer gone--> nobody waits; the answer still counts for watchers
 *                             \--owner gone--> answered for it: UNREACHABLE */
#include "base/status.h"
#include "hub/keep.h"
#include <pthread.h>

struct bridge_call {
    atomic_uint refs;
    atomic_int holders;   /* references of the application */
    mem *mem;
    pthread_mutex_t lock; /* around the next six: the application may answer from any thread, also when the hub is gone */
    hub *hub;
    bridge_msg *reply;
    int status;
    bool inside; /* fn is running */
    bool answered, posted;

    list link;           /* in hub->waiting */
    list of_owner;       /* in owner->calls, while it waits */
    bridge_owner *owner; /* NULL: it has gone */
    bridge_terms *terms; /* ours; NULL: none were said */
    int64_t until;       /* on the loop's clock */
    timer timer;
    bridge_verb verb;
    bridge_msg *msg;
    bridge_peer *from; /* NULL: it has gone */
    bridge_ticket *ticket;
    char *asked; /* the name the asker used, when it is another */
    char *captures; /* name NUL value NUL ..., NUL */
};

static void call_free(bridge_call *c)
{
    mem *m = c->mem;

    bridge_msg_unref(c->msg);
    bridge_msg_unref(c->reply);
    mem_free(m, c->asked);
    mem_free(m, c->captures);
    mem_free(m, c->terms);
    pthread_mutex_destroy(&c->lock);
    mem_free(m, c);
    mem_unref(m);
}

static void drop(bridge_call *c)
{
    if (atomic_fetch_sub(&c->refs, 1) == 1) call_free(c);
}

static char *pack_captures(mem *m, const pattern *p, const captures *caps)
{
    size_t len = 1;
    char *all, *at;

    for (int i = 0; i < caps->count; i++)
        len += pattern_name(p, i).len + caps->at[i].len + 2;
    all = at = mem_zalloc(m, len);
    for (int i = 0; all && i < caps->count; i++) {
        text name = pattern_name(p, i);
        memcpy(at, name.p, name.len);
        at += name.len + 1;
        if (caps->at[i].len) memcpy(at, caps->at[i].p, caps->at[i].len);
        at += caps->at[i].len + 1;
    }
    return all;
}

/* What the asker's terms point to is the asker's: the copy has it all in one block. */
static bridge_terms *copy_terms(mem *m, const bridge_terms *t)
{
    size_t match = t->if_match_count * sizeof *t->if_match, unless = t->unless_count * sizeof *t->unless;
    size_t query = t->query ? strlen(t->query) + 1 : 0;
    char *block = mem_alloc(m, sizeof *t + match + unless + query), *at = block + sizeof *t;
    bridge_terms *copy = (bridge_terms *)(void *)block;

    if (!block) return NULL;
    *copy = *t;
    copy->if_match = (const uint64_t *)(void *)at;
    if (match) memcpy(at, t->if_match, match);
    copy->unless = (const uint64_t *)(void *)(at + match);
    if (unless) memcpy(at + match, t->unless, unless);
    copy->query = query ? at + match + unless : NULL;
    if (query) memcpy(at + match + unless, t->query, query);
    return copy;
}

static bridge_call *call_new(bridge_peer *from, bridge_owner *o, bridge_verb verb, bridge_msg *msg, const char *asked,
                             const bridge_terms *terms)
{
    hub *h = from->port->hub;
    bridge_call *c = mem_new(h->mem, bridge_call);
    captures caps = {.count = 0};

    if (!c) return NULL;
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    c->mem = mem_ref(h->mem);
    c->hub = h;
    c->verb = verb;
    c->from = from;
    c->msg = bridge_msg_ref(msg);
    c->owner = o;
    c->until = loop_now(h->loop) + (terms && terms->timeout > 0 ? terms->timeout : HUB_TIMEOUT);
    list_init(&c->link);
    list_init(&c->of_owner);
    if (terms && !(c->terms = copy_terms(h->mem, terms))) goto failed;
    if (strcmp(asked, msg->path) != 0 && !(c->asked = mem_text(h->mem, asked))) goto failed;
    if (o->place.pattern->captures && pattern_match(o->place.pattern, msg->path, msg->path_len, &caps) &&
        !(c->captures = pack_captures(h->mem, o->place.pattern, &caps)))
        goto failed;
    return c;
failed:
    call_free(c);
    return NULL;
}

/* An answer that says how long it is good is kept for so long: the next asker has it at once. */
static void keep_answer(bridge_call *c)
{
    hub *h = c->hub;
    bridge_msg *copy = NULL;

    if (c->status != BRIDGE_OK || !c->reply || c->reply->expires == INT64_MAX) return;
    if (c->msg->len || (c->terms && (c->terms->query || c->terms->accept == 1 + BRIDGE_LINKS))) return; /* of a special question */
    if (msg_renamed(c->reply, msg_path(c->msg), &copy) < 0) return;
    if (!copy->version) copy->version = ++h->version;
    copy->verb = BRIDGE_PUT;
    if (!msg_expired(copy, loop_calendar(h->loop))) values_put_quiet(h, copy);
    bridge_msg_unref(copy);
}

/* What the owner took, watchers hear of; it is the owner's to keep. */
static void tell_watchers(bridge_call *c)
{
    hub *h = c->hub;
    bridge_msg *copy = NULL;

    if (c->verb == BRIDGE_GET) {
        keep_answer(c);
        return;
    }
    if (c->status < 0) return;
    own_forget(h, msg_path(c->msg));
    if (c->verb == BRIDGE_PATCH) return; /* what has come of it only the owner knows */
    if (msg_renamed(c->msg, msg_path(c->msg), &copy) < 0) return;
    copy->version = ++h->version;
    copy->verb = (uint8_t)c->verb;
    hub_enter(h);
    hub_fanout(h, c->from, copy, c->verb == BRIDGE_DELETE);
    routes_copy(h, c->from, copy, c->verb, NULL);
    hub_leave(h);
    bridge_msg_unref(copy);
}

/* What a POST has made lies where its owner's reply says, not where was asked; the asker's scheme may have a name for that. */
static int take_made(bridge_call *c, bridge_msg **out)
{
    char name[PATH_BYTES + 1];
    int len = c->from && routes_give_names(c->hub) ? routes_name_out(c->hub, c->from->scheme, msg_path(c->reply), name, sizeof name) : 0;

    if (len > 0) return msg_renamed(c->reply, (text){name, (size_t)len}, out);
    *out = bridge_msg_ref(c->reply);
    return 0;
}

static int take_reply(bridge_call *c, bridge_msg **out)
{
    const char *name = c->asked ? c->asked : c->msg->path;

    if (!c->reply || !out) return 0;
    if (c->verb == BRIDGE_POST && c->status == BRIDGE_CREATED && strcmp(c->reply->path, c->msg->path) != 0) return take_made(c, out);
    if (c->asked && c->from) return routes_as_asked(c->hub, c->from, c->msg, name, c->reply, out);
    if (strcmp(c->reply->path, name) != 0) return msg_renamed(c->reply, text_of(name), out);
    *out = bridge_msg_ref(c->reply);
    return 0;
}

static void forget_ticket(bridge_call *c)
{
    if (!c->ticket) return;
    list_remove(&c->ticket->link);
    mem_free(c->mem, c->ticket);
    c->ticket = NULL;
}

/* On the loop's thread; the answer is there. */
static void finish(bridge_call *c)
{
    hub *h = c->hub;
    bridge_msg *reply = NULL;

    if (!list_linked(&c->link)) return;
    list_remove(&c->link);
    list_remove(&c->of_owner);
    timer_stop(&c->timer);
    h->calls--;
    if (c->status == BRIDGE_TIMEOUT) h->count.timeouts++;
    hub_enter(h);
    h->why[0] = 0; /* what is said now has nothing to do with what was refused meanwhile */
    tell_watchers(c);
    if (c->ticket) { /* still: a watcher may have closed the asker */
        bridge_done_fn done = c->ticket->done;
        void *user = c->ticket->user;
        int rc = take_reply(c, &reply);
        forget_ticket(c);
        done(user, rc < 0 ? rc : c->status, reply);
        bridge_msg_unref(reply);
    }
    hub_leave(h);
    drop(c);
}

static void on_posted(void *user)
{
    bridge_call *c = user;

    if (c->hub) finish(c);
    drop(c);
}

/* The first answer wins.  letting_go: the application gave up its last reference; while its function still runs, hub_ask()
 * will see that by itself. */
static void answer(bridge_call *c, int status, bridge_msg *msg, bool letting_go)
{
    pthread_mutex_lock(&c->lock);
    if (!c->answered && !(letting_go && c->inside)) {
        c->answered = true;
        c->status = status;
        c->reply = msg ? bridge_msg_ref(msg) : NULL;
        if (c->hub && !(c->inside && loop_is_here(c->hub->loop))) {
            c->posted = true;
            atomic_fetch_add(&c->refs, 1);
            if (loop_post(c->hub->loop, on_posted, c) < 0) atomic_fetch_sub(&c->refs, 1); /* then its time runs out */
        }
    }
    pthread_mutex_unlock(&c->lock);
}

static void on_timeout(timer *t)
{
    bridge_call *c = list_of(t, bridge_call, timer);

    pthread_mutex_lock(&c->lock);
    if (!c->answered) c->status = BRIDGE_TIMEOUT;
    c->answered = true;
    pthread_mutex_unlock(&c->lock);
    finish(c);
}

static int wait_for(bridge_call *c, bridge_peer *from, bridge_done_fn done, void *user, bridge_ticket **out)
{
    hub *h = c->hub;
    bridge_ticket *t = done ? mem_new(h->mem, bridge_ticket) : NULL;
    int64_t left = c->until - loop_now(h->loop);

    if (done && !t) return BRIDGE_NOMEM;
    if (timer_start(&c->timer, h->loop, left > 0 ? left : 0, on_timeout) < 0) {
        mem_free(h->mem, t);
        return BRIDGE_NOMEM;
    }
    if (t) {
        *t = (bridge_ticket){.call = c, .done = done, .user = user};
        list_push(&from->tickets, &t->link);
        c->ticket = t;
        if (out) *out = t;
    }
    atomic_fetch_add(&c->refs, 1);
    list_push(&h->waiting, &c->link);
    if (c->owner) list_push(&c->owner->calls, &c->of_owner);
    h->calls++;
    return done ? BRIDGE_PENDING : BRIDGE_OK;
}

int hub_ask(bridge_peer *from, bridge_owner *o, bridge_verb verb, bridge_msg *msg, const char *asked, const bridge_terms *terms,
            bridge_msg **reply, bridge_done_fn done, void *user, bridge_ticket **out)
{
    hub *h = from->port->hub;
    bridge_call *c;
    bool now;
    int rc;

    if (h->calls >= h->limits.max_calls) return hub_over(h, "%zu requests wait for owners, no more can", h->calls);
    c = call_new(from, o, verb, msg, asked, terms);
    if (!c) return BRIDGE_NOMEM;
    hub_enter(h);
    c->inside = true;
    o->fns.call(o->user, c);
    if (o->gone) c->owner = NULL; /* it closed itself: still, what it promised to answer it may answer */
    pthread_mutex_lock(&c->lock);
    c->inside = false; /* whoever answers from now on posts */
    if (!c->answered && atomic_load(&c->holders) == 0) {
        c->answered = true; /* the function let go of it */
        c->status = BRIDGE_TIMEOUT;
    }
    now = c->answered && !c->posted;
    pthread_mutex_unlock(&c->lock);
    if (now) {
        tell_watchers(c);
        rc = take_reply(c, reply);
        if (rc == 0) rc = c->status;
    } else {
        rc = wait_for(c, from, done, user, out);
    }
    hub_leave(h);
    drop(c);
    return rc;
}

/* Nobody waits any more: the owner may like to know. */
static void give_up(bridge_call *c)
{
    bridge_owner *o = c->owner;

    forget_ticket(c);
    if (o && o->fns.cancel && list_linked(&c->link)) o->fns.cancel(o->user, c);
}

void bridge_ticket_cancel(bridge_ticket *ticket)
{
    if (!ticket) return;
    if (!ticket->call) {
        keep_drop(ticket);
        return;
    }
    hub *h = ticket->call->hub;
    hub_enter(h);
    give_up(ticket->call);
    hub_leave(h);
}

void hub_drop_tickets(bridge_peer *peer)
{
    hub *h = peer->port->hub;

    while (!list_empty(&peer->tickets)) {
        bridge_ticket *t = list_of(peer->tickets.next, bridge_ticket, link);
        if (t->call) give_up(t->call);
        else keep_drop(t);
    }
    list_each(it, &h->waiting)
    {
        bridge_call *c = list_of(it, bridge_call, link);
        if (c->from == peer) c->from = NULL;
    }
}

void hub_drop_calls(bridge_owner *o)
{
    while (!list_empty(&o->calls)) {
        bridge_call *c = list_of(o->calls.next, bridge_call, of_owner);
        c->owner = NULL;
        list_remove(&c->of_owner);
        if (o->peer == o->peer->port->hub->app) continue; /* its slot is closed, but it holds the call: it may answer still */
        pthread_mutex_lock(&c->lock);
        if (!c->answered) c->status = BRIDGE_UNREACHABLE;
        c->answered = true;
        pthread_mutex_unlock(&c->lock);
        finish(c);
    }
}

void hub_cancel_calls(hub *h)
{
    list *it;

    while ((it = list_pop(&h->waiting))) {
        bridge_call *c = list_of(it, bridge_call, link);
        bridge_ticket *t = c->ticket;
        timer_stop(&c->timer);
        list_remove(&c->of_owner);
        c->owner = NULL;
        pthread_mutex_lock(&c->lock);
        c->hub = NULL;
        pthread_mutex_unlock(&c->lock);
        h->calls--;
        if (t) {
            bridge_done_fn done = t->done;
            void *user = t->user;
            forget_ticket(c);
            done(user, BRIDGE_CANCELED, NULL);
        }
        drop(c);
    }
}

/* ---- what an application does with a call */

bridge_verb bridge_call_verb(const bridge_call *call)
{
    return call->verb;
}

bridge_msg *bridge_call_msg(const bridge_call *call)
{
    return call->msg;
}

const char *bridge_call_capture(const bridge_call *call, const char *name)
{
    const char *at = call->captures;

    while (at && *at) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, name) == 0) return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

const char *bridge_call_query(const bridge_call *call)
{
    return call->terms ? call->terms->query : NULL;
}

int64_t bridge_call_timeout(const bridge_call *call)
{
    int64_t left = call->hub ? call->until - loop_now(call->hub->loop) : 0;

    return left > 0 ? left : 0;
}

bridge_peer *hub_call_from(const bridge_call *call)
{
    return call->from;
}

const bridge_terms *bridge_call_terms(const bridge_call *call)
{
    return call->terms;
}

bridge_call *bridge_call_ref(bridge_call *call)
{
    atomic_fetch_add(&call->holders, 1);
    atomic_fetch_add(&call->refs, 1);
    return call;
}

void bridge_call_reply(bridge_call *call, int status, bridge_msg *msg)
{
    answer(call, status, msg, false);
}

void bridge_call_unref(bridge_call *call)
{
    if (!call) return;
    if (atomic_fetch_sub(&call->holders, 1) == 1) answer(call, BRIDGE_TIMEOUT, NULL, true);
    drop(call);
}
