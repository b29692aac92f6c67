/* Observers: a watch at the hub for each, whose deliveries become notifications. */
#include "adapter/coap/gather.h"
#include "adapter/coap/proxy.h"
#include "adapter/coap/topics.h"

static void watcher_free(coap_watcher *w)
{
    if (w->proxied) coap_proxy_unwatched(w->proxied);
    if (w->gather) coap_gather_unwatched(w->gather);
    bridge_watch_close(w->watch);
    bridge_msg_unref(w->question);
    bridge_msg_unref(w->held);
    list_remove(&w->news_link);
    list_remove(&w->place);
    if (w->topic) w->topic->subscriber_count--;
    mem_free(w->cp->mem, w);
}

/* An observer's own word comes before the listener's: c.con=1 or 0 (draft-ietf-core-conditional-attributes 3.1). */
static coap_manner manner_of(const coap_port *cp, const coap_request *r)
{
    coap_options walk = coap_options_of(r->packet);
    coap_option o;

    while (coap_next_option(&walk, &o)) {
        if (o.number != COAP_URI_QUERY || o.len < 7 || memcmp(o.p, "c.con=", 6) != 0) continue;
        if (o.len == 7 && o.p[6] == '1') return COAP_CONFIRMED;
        if (o.len == 7 && o.p[6] == '0') return COAP_UNCONFIRMED;
    }
    return cp->manner;
}

bool coap_watcher_confirms(const coap_watcher *w, bool confirm)
{
    return w->manner == COAP_AS_ASKED ? confirm : w->manner == COAP_CONFIRMED;
}

coap_watcher *coap_watch(coap_port *cp, coap_request *r, bridge_peer *peer, const char *path, int accept, bridge_msg *question,
                         int *status)
{
    size_t len = strlen(path);
    coap_watcher *w = mem_alloc(cp->mem, sizeof *w + len + 1);
    bool wild = strpbrk(path, "+#") != NULL;
    bridge_watch_options options = {.qos = r->type == COAP_CON, .exact = !wild, .replay = 2};
    void *before = NULL;

    *status = BRIDGE_NOMEM;
    if (!w) return NULL;
    *w = (coap_watcher){.cp = cp, .peer = peer, .accept = accept, .wild = wild, .manner = manner_of(cp, r)};
    list_init(&w->news_link);
    list_init(&w->place);
    if (question) w->question = bridge_msg_ref(question);
    memcpy(w->path, path, len + 1);
    *status = bridge_peer_watch(peer, path, &options, w, &w->watch);
    if (*status == 0) {
        w->observer = coap_observe(r, w, &before);
        if (!w->observer) *status = BRIDGE_BUSY;
    }
    if (*status < 0) {
        watcher_free(w);
        return NULL;
    }
    if (before) { /* the same token again: RFC 7641 4.1, the newer registration holds */
        coap_watcher *old = before;

        watcher_free(old);
    }
    return w;
}

int coap_watch_made(coap_port *cp, coap_request *r, bridge_peer *peer, const char *path, int (*render)(coap_watcher *, buf *), list *among,
                    coap_watcher **out)
{
    size_t len = strlen(path);
    coap_observer *o = coap_observer_of(r);
    coap_watcher *w;
    void *before = NULL;

    if (r->meta->observe == 1 && o) coap_unwatch(coap_observer_user(o), 0);
    if (r->meta->observe != 0) return 0;
    w = mem_alloc(cp->mem, sizeof *w + len + 1);
    if (!w) return BRIDGE_NOMEM;
    *w = (coap_watcher){.cp = cp, .peer = peer, .accept = -1, .render = render, .manner = manner_of(cp, r)};
    memcpy(w->path, path, len + 1);
    list_init(&w->news_link);
    list_init(&w->place);
    w->observer = coap_observe(r, w, &before);
    if (before) watcher_free(before);
    if (!w->observer) {
        watcher_free(w);
        return 0;
    }
    list_push(among, &w->place);
    *out = w;
    return 0;
}

void coap_watchers_again(list *among)
{
    list_each (it, among) {
        coap_watcher *w = list_of(it, coap_watcher, place);

        if (!list_linked(&w->news_link)) coap_watcher_news(w, false);
    }
}

coap_watcher *coap_watch_far(coap_port *cp, coap_request *r, struct proxied *proxied)
{
    coap_watcher *w = mem_zalloc(cp->mem, sizeof *w + 1);
    void *before = NULL;

    if (!w) return NULL;
    w->cp = cp;
    w->accept = -1;
    list_init(&w->news_link);
    list_init(&w->place);
    w->observer = coap_observe(r, w, &before);
    if (before) watcher_free(before);
    if (w->observer) {
        w->proxied = proxied;
        return w;
    }
    watcher_free(w);
    return NULL;
}

void coap_unwatch(coap_watcher *w, uint8_t code)
{
    coap_observer_end(w->observer, code);
    watcher_free(w);
}

void coap_watcher_gone(void *user, coap_observer *o, coap_why why)
{
    coap_watcher *w = coap_observer_user(o);

    (void)user, (void)why;
    watcher_free(w);
}

/* A topic's observer-check: its subscribers show that they live at least so often. */
static bool check_is_due(coap_watcher *w)
{
    int64_t now = loop_now(w->cp->loop);

    if (!w->topic || now - w->checked < (int64_t)w->topic->check * 1000) return false;
    w->checked = now;
    return true;
}

/* RFC 7641 4.2: the format of the first answer is that of all.  Where it said none, none is said. */
static void tell_value(coap_watcher *w, bridge_msg *msg, const coap_wish *wish, coap_reply *reply, bridge_msg **made)
{
    coap_wish same = *wish;

    if (w->format > 1 && same.accept < 0) same.accept = (int)(w->format - 2);
    coap_answer_value(w->cp, reply, msg, &same, made);
    if (w->format == 1) reply->format = 0;
    if (!w->format && reply->code == COAP_CONTENT) w->format = 1 + reply->format;
}

static void tell(coap_watcher *w, bridge_msg *msg, bool confirm)
{
    coap_wish wish = {.accept = w->accept};
    coap_reply reply = {.confirm = check_is_due(w) || coap_watcher_confirms(w, confirm)};
    bridge_msg *made = NULL, *part = NULL;
    int rc = w->question ? bridge_peer_fetch(w->peer, msg, w->question, w->accept < 0 ? BRIDGE_FORMAT_AUTO : (bridge_format)w->accept, &part) : 0;

    if (rc < 0)
        reply.code = coap_code_of(rc, BRIDGE_GET);
    else
        tell_value(w, part ? part : msg, &wish, &reply, &made);
    if (coap_class(reply.code) != 2) /* RFC 7641 4.2: a format that cannot be kept up ends it */
        coap_unwatch(w, reply.code);
    else
        coap_notify(w->observer, &reply);
    bridge_msg_unref(made);
    bridge_msg_unref(part);
}

/* A notification in front of the first answer would be taken for it. */
static void hold(coap_watcher *w, bridge_msg *msg, bool confirm)
{
    bridge_msg_unref(w->held);
    w->held = bridge_msg_ref(msg);
    w->confirm |= confirm;
}

void coap_watch_answered(coap_watcher *w)
{
    bridge_msg *msg = w->held;
    bool confirm = w->confirm;

    w->unanswered = w->confirm = false;
    w->held = NULL;
    if (msg) tell(w, msg, confirm);
    bridge_msg_unref(msg);
}

void coap_deliver(void *state, bridge_msg *msg, const bridge_delivery *how)
{
    coap_watcher *w = how->user;
    coap_port *cp = w->cp;

    (void)state;
    if (w->keeper) {
        topic_past_hear(w->keeper, msg, how->gone);
        return;
    }
    if (w->wild) {
        coap_watcher_news(w, how->qos > 0);
        return;
    }
    if (how->gone)
        coap_unwatch(w, COAP_NOT_FOUND); /* RFC 7641 4.2 */
    else if (w->unanswered)
        hold(w, msg, how->qos > 0);
    else
        tell(w, msg, how->qos > 0);
    if (!cp->reading) turn_end_want(cp->loop, &cp->flush);
}

void coap_watcher_news(coap_watcher *w, bool confirm)
{
    w->confirm |= confirm;
    if (!list_linked(&w->news_link)) list_push(&w->cp->news, &w->news_link);
    turn_end_want(w->cp->loop, &w->cp->flush);
}

void coap_tell_news(coap_port *cp)
{
    list *item;

    while ((item = list_pop(&cp->news))) {
        coap_watcher *w = list_of(item, coap_watcher, news_link);
        bool confirm = w->confirm;

        w->confirm = false;
        coap_collect_again(w, confirm);
    }
}

/* A day without a sign of life: the state as it is now, confirmably. */
void coap_watcher_stale(void *user, coap_observer *o)
{
    coap_watcher *w = coap_observer_user(o);
    bridge_msg *question = NULL, *value = NULL;
    int rc;

    (void)user;
    if (w->proxied) return; /* the other server's Max-Age brings news before long, and those will be confirmable */
    if (w->wild || w->render) {
        coap_collect_again(w, true);
        return;
    }
    rc = bridge_peer_msg(w->peer, BRIDGE_FIELDS(.path = w->path), &question);
    if (rc == 0) rc = bridge_peer_submit(w->peer, BRIDGE_GET, question, NULL, &value, NULL, NULL, NULL);
    if (rc >= 0 && value)
        tell(w, value, true);
    else
        coap_notify(o, COAP_REPLY(.code = COAP_CONTENT, .confirm = true));
    bridge_msg_unref(value);
    bridge_msg_unref(question);
}
