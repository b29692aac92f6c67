/* Observers, the side that is observed (RFC 7641).  Our own list, keyed by peer and token (4.1).
 *
 *      coap_notify --nothing under way--> sent: NON, or CON (then unacknowledged until done)
 *           +------CON under way, or no place (NSTART)--> news waits; the newest replaces it; sent when there is place
 *
 * Pace (RFC 7641 4.5.1): an observer that is told often shows now and then that it hears us.  After COAP_UNPROVEN unconfirmable
 * notifications the next is confirmable, and what comes before its acknowledgement waits, the newest only; the acknowledgement, a
 * round trip, is worth as many again.  Time is worth one every 3 s, so that who is told seldom never has to say anything (but
 * once a day).  A silent one gets that one message and its retransmissions, and is gone.
 *
 * Ends: Observe 1, RST, a CON given up, the peer lost, or coap_observer_end(). */
#include "adapter/coap/inside.h"

/* RFC 7641 4.4: later numbers for later notifications, by the clock (so that they are also later than those of an observation
 * that was here before), 16 ms a tick: 24 bits are 74 hours, and 128 s (3.4) are 8,000 ticks. */
uint32_t observer_next(coap_observer *o)
{
    uint32_t ticks = (uint32_t)(o->peer->engine->now >> 4) & 0xffffff, ahead = (ticks - o->sequence) & 0xffffff;

    o->sequence = ahead > 0 && ahead < 1 << 23 ? ticks : (o->sequence + 1) & 0xffffff;
    return o->sequence;
}

coap_observer *coap_observer_of(coap_request *r)
{
    list_each (it, &r->peer->observers) {
        coap_observer *o = list_of(it, coap_observer, peer_link);
        if (coap_token_same(&o->token, &r->token)) return o;
    }
    return NULL;
}

/* Is there credit for a message that nobody acknowledges? */
static bool observer_may(coap_observer *o)
{
    int64_t now = o->peer->engine->now, earned = (now - o->paced) / COAP_NON_PACE;

    if (earned > 0) {
        o->credit = (uint16_t)(earned >= COAP_UNPROVEN - o->credit ? COAP_UNPROVEN : o->credit + earned);
        o->paced += earned * COAP_NON_PACE;
    }
    return o->credit > 0;
}

static bool observer_must_confirm(coap_observer *o, bool wanted)
{
    return !o->peer->stream && (wanted || o->check || !observer_may(o));
}

static void observer_alive(coap_observer *o)
{
    coap_engine *e = o->peer->engine;

    o->credit = COAP_UNPROVEN;
    o->paced = e->now;
    o->last_confirm = e->now;
    o->check = false;
    list_remove(&o->check_link);
    list_push(&e->checks, &o->check_link);
}

static void observer_forget_news(coap_observer *o)
{
    list_remove(&o->ready_link);
    if (o->has_news) reply_let_go(o->peer->engine, &o->news);
    o->has_news = false;
}

static void observer_settle(coap_observer *o, coap_request *r)
{
    o->confirm = r->type == COAP_CON;
    o->szx = r->has_block2 ? r->block2.szx : 7;
    o->key = request_key(r);
    o->whole_key = request_whole_key(r);
    observer_alive(o);
}

coap_observer *coap_observe(coap_request *r, void *user, void **user_before)
{
    coap_peer *p = r->peer;
    coap_engine *e = p->engine;
    coap_observer *o = coap_observer_of(r);

    if (o) {
        *user_before = o->user;
        o->user = user;
        observer_forget_news(o);
        observer_settle(o, r);
        return o;
    }
    if (p->observer_count >= e->limits.peer_observers || e->n.observers >= e->limits.max_observers) {
        e->n.refused++;
        return NULL;
    }
    o = mem_new(e->mem, coap_observer);
    if (!o) return NULL;
    *user_before = NULL;
    o->peer = p;
    o->user = user;
    o->token = r->token;
    o->sequence = (uint32_t)(e->now >> 4) & 0xffffff;
    list_init(&o->check_link);
    list_init(&o->ready_link);
    observer_settle(o, r);
    list_push(&p->observers, &o->peer_link);
    p->observer_count++;
    e->n.observers++;
    peer_hold(p);
    return o;
}

static void observer_free(coap_observer *o)
{
    coap_peer *p = o->peer;

    observer_forget_news(o);
    if (o->sent) outbox_cancel(o->sent);
    list_remove(&o->check_link);
    list_remove(&o->peer_link);
    p->observer_count--;
    p->engine->n.observers--;
    peer_release(p);
    mem_free(p->engine->mem, o);
}

static void observer_gone(coap_observer *o, coap_why why)
{
    coap_engine *e = o->peer->engine;

    if (e->hooks->on_observer_gone) e->hooks->on_observer_gone(e->user, o, why);
    observer_free(o);
}

void observers_drop(coap_peer *p, coap_why why)
{
    while (!list_empty(&p->observers)) observer_gone(list_of(p->observers.next, coap_observer, peer_link), why);
}

/* RFC 7641 3.6: a reset of any of the last notifications says that nobody wants them. */
bool observers_reset(coap_peer *p, uint16_t id)
{
    list_each (it, &p->observers) {
        coap_observer *o = list_of(it, coap_observer, peer_link);

        for (unsigned i = 0; i < COAP_MIDS && i < o->mid_at; i++) {
            if (o->mids[i] != id) continue;
            observer_gone(o, COAP_WHY_RESET);
            return true;
        }
    }
    return false;
}

void observers_age(coap_engine *e)
{
    while (!list_empty(&e->checks)) {
        coap_observer *o = list_of(e->checks.next, coap_observer, check_link);

        if (o->last_confirm + COAP_OBSERVER_CHECK > e->now) return;
        observer_alive(o);
        o->check = true; /* RFC 7641 4.5: at least one confirmable notification a day */
        if (e->hooks->on_observer_stale) e->hooks->on_observer_stale(e->user, o);
    }
}

static void on_done(coap_sent *s, int status)
{
    coap_observer *o = s->user;

    o->sent = NULL;
    if (status < 0) {
        observer_gone(o, status == BRIDGE_UNREACHABLE ? COAP_WHY_RESET : COAP_WHY_TIMEOUT);
        return;
    }
    observer_alive(o);
    if (o->has_news) list_push(&o->peer->ready, &o->ready_link); /* outbox_next() comes right after */
}

static void observer_sent(coap_observer *o, uint16_t id)
{
    /* mid_at counts up to COAP_MIDS and then goes round between COAP_MIDS and 2 * COAP_MIDS - 1 */
    o->mids[o->mid_at % COAP_MIDS] = id;
    if (++o->mid_at == 2 * COAP_MIDS) o->mid_at = COAP_MIDS;
    o->peer->engine->n.notifications++;
}

static coap_shape observer_shape(coap_observer *o, const coap_reply *state)
{
    coap_shape shape = {.token = &o->token, .observe = coap_class(state->code) == 2 ? (int64_t)observer_next(o) : -1};
    coap_peer *p = o->peer;

    if (!p->stream || state->len > p->max_message) {
        shape_cut(&shape, state->len, o->szx < 7, (coap_block){.szx = o->szx}, p->engine->limits.szx);
        if (shape.block2 && shape.part.more) snapshot_keep(p, o->key, o->whole_key, state);
    }
    return shape;
}

static size_t notification_max(const coap_peer *p, const coap_reply *state)
{
    size_t most = p->stream ? state->len : 1024;

    return COAP_FRAME_HEAD_MAX + 64 + (state->len < most ? state->len : most);
}

static void notify_plain(coap_observer *o, const coap_reply *state)
{
    coap_peer *p = o->peer;
    coap_shape shape = observer_shape(o, state);
    size_t max = notification_max(p, state);
    uint8_t *start, *room = p->dead ? NULL : engine_room(p, max);
    int64_t len;

    if (!room) return;
    shape.type = COAP_NON;
    shape.id = p->stream ? 0 : peer_new_id(p);
    len = shape_write(p, &shape, state, room, max, &start);
    if (len < 0) return;
    if (o->credit) o->credit--;
    observer_sent(o, shape.id);
    engine_send(p, start, (size_t)len);
}

/* keep: the observer hears of its end; without, it is a farewell and nobody waits for the acknowledgement */
static void notify_confirmed(coap_observer *o, const coap_reply *state, bool keep)
{
    coap_peer *p = o->peer;
    coap_shape shape = observer_shape(o, state);
    size_t max = notification_max(p, state);
    coap_sent *s = p->dead ? NULL : outbox_new(p, max);
    uint8_t *start;
    int64_t len;

    if (!s) return;
    shape.type = COAP_CON;
    shape.id = s->id;
    len = shape_write(p, &shape, state, s->data, max, &start);
    s->len = (uint16_t)(len < 0 ? 0 : len);
    if (keep) {
        s->done = on_done;
        s->user = o;
        o->sent = s;
    }
    observer_sent(o, s->id);
    outbox_send(s);
}

void observer_send(coap_observer *o)
{
    coap_reply news = o->news;
    coap_engine *e = o->peer->engine;

    if (!o->has_news) return;
    o->has_news = false;
    list_remove(&o->ready_link);
    if (observer_must_confirm(o, news.confirm))
        notify_confirmed(o, &news, true);
    else
        notify_plain(o, &news);
    reply_let_go(e, &news); /* o may be gone */
}

void coap_notify(coap_observer *o, const coap_reply *state)
{
    coap_peer *p = o->peer;
    bool confirm = observer_must_confirm(o, state->confirm), waited = o->has_news, wanted = state->confirm;

    if (!o->sent && !o->has_news && !(confirm && outbox_busy(p))) {
        if (confirm)
            notify_confirmed(o, state, true);
        else
            notify_plain(o, state);
        return;
    }
    if (waited) {
        p->engine->n.skipped++;
        wanted |= o->news.confirm;
        reply_let_go(p->engine, &o->news);
    }
    o->has_news = reply_hold(p->engine, &o->news, state) == 0;
    o->news.confirm = wanted; /* not for want of credit: that may have come when it is sent */
    if (!o->has_news)
        list_remove(&o->ready_link);
    else if (!o->sent && !list_linked(&o->ready_link))
        list_push(&p->ready, &o->ready_link);
}

void coap_observer_end(coap_observer *o, uint8_t code)
{
    coap_reply last = {.code = code};

    if (o->sent) { /* its last word is the newer one */
        coap_sent *s = o->sent;
        o->sent = NULL;
        outbox_cancel(s);
    }
    if (code && (o->peer->stream || !o->confirm))
        notify_plain(o, &last);
    else if (code)
        notify_confirmed(o, &last, false);
    observer_free(o);
}

void *coap_observer_user(const coap_observer *o) { return o->user; }
coap_peer *coap_observer_peer(const coap_observer *o) { return o->peer; }
