/* Confirmable messages under way: retransmission (RFC 7252 4.2) and NSTART (4.7).
 *
 *      outbox_send --(place free)--> flying --ACK--> done(0)
 *           |                          |  ^--- each wait: sent again, wait doubles, max_retransmit times
 *           +--> queue --(place)-------+--RST--> done(UNREACHABLE)
 *                                      +--given up--> done(TIMEOUT) */
#include "adapter/coap/inside.h"

static void sent_free(coap_sent *s)
{
    coap_peer *p = s->peer;

    if (s->timer.fn) { /* it flew */
        coap_timer_stop(&p->engine->timers, &s->timer);
        p->flying_count--;
    } else if (list_linked(&s->link)) {
        p->queue_count--;
    }
    list_remove(&s->link);
    mem_free(p->engine->mem, s);
}

static void sent_over(coap_sent *s, int status)
{
    coap_peer *p = s->peer;
    void (*done)(coap_sent *, int) = s->done;

    if (s->timer.fn) {
        coap_timer_stop(&p->engine->timers, &s->timer);
        p->flying_count--;
        s->timer.fn = NULL;
    }
    list_remove(&s->link);
    peer_hold(p);
    if (done) done(s, status);
    mem_free(p->engine->mem, s);
    outbox_next(p);
    peer_release(p);
}

static void on_timer(coap_timer *t)
{
    coap_sent *s = (coap_sent *)((char *)t - offsetof(coap_sent, timer));
    coap_engine *e = s->peer->engine;

    if (s->tries >= e->limits.max_retransmit) {
        e->n.timeouts++;
        if (e->hooks->on_peer_silent) e->hooks->on_peer_silent(e->user, s->peer);
        sent_over(s, BRIDGE_TIMEOUT);
        return;
    }
    s->tries++;
    s->wait = pace_next(e, s);
    e->n.retransmitted++;
    engine_send_copy(s->peer, s->data, s->len);
    coap_timer_start(&e->timers, &s->timer, e->now + s->wait, on_timer); /* has its place already */
}

coap_sent *outbox_new(coap_peer *p, size_t max)
{
    coap_sent *s = mem_alloc(p->engine->mem, sizeof *s + max);

    if (!s) return NULL;
    *s = (coap_sent){.peer = p, .id = peer_new_id(p)};
    list_init(&s->link);
    return s;
}

static void sent_fly(coap_sent *s)
{
    coap_engine *e = s->peer->engine;
    unsigned base = s->asks ? pace_first(s->peer) : e->limits.ack_timeout;

    /* RFC 7252 4.2: between ACK_TIMEOUT and ACK_TIMEOUT * ACK_RANDOM_FACTOR (1.5) */
    s->wait = base + engine_dice(e) % (base / 2 + 1);
    s->rto = (uint16_t)(base < UINT16_MAX ? base : UINT16_MAX);
    s->began = e->now;
    list_push(&s->peer->flying, &s->link);
    s->peer->flying_count++;
    engine_send_copy(s->peer, s->data, s->len);
    s->timer.fn = on_timer;
    if (coap_timer_start(&e->timers, &s->timer, e->now + s->wait, on_timer) < 0) sent_over(s, BRIDGE_NOMEM);
}

void outbox_send(coap_sent *s)
{
    coap_peer *p = s->peer;

    if (!outbox_busy(p)) {
        sent_fly(s);
    } else if (p->queue_count < p->engine->limits.peer_queue) {
        list_push(&p->queue, &s->link);
        p->queue_count++;
    } else {
        p->engine->n.refused++;
        sent_over(s, BRIDGE_BUSY);
    }
}

/* A place came free: first what waits as bytes, then observers with news. */
void outbox_next(coap_peer *p)
{
    while (!outbox_busy(p) && !p->dead) {
        list *first = list_pop(&p->queue);

        if (first) {
            p->queue_count--;
            sent_fly(list_of(first, coap_sent, link));
        } else if ((first = list_pop(&p->ready))) {
            observer_send(list_of(first, coap_observer, ready_link));
        } else {
            return;
        }
    }
}

void outbox_cancel(coap_sent *s)
{
    coap_peer *p = s->peer;

    sent_free(s);
    outbox_next(p);
}

void outbox_acked(coap_peer *p, uint16_t id, int status)
{
    list_each_safe (it, &p->flying) {
        coap_sent *s = list_of(it, coap_sent, link);

        if (s->id != id) continue;
        echo_verified(p);
        pace_heard(s);
        sent_over(s, status);
        return;
    }
    if (status == BRIDGE_UNREACHABLE) observers_reset(p, id);
}

void outbox_refused(coap_peer *p)
{
    for (unsigned n = p->flying_count; n > 0 && !list_empty(&p->flying); n--) /* not what takes their place */
        sent_over(list_of(p->flying.next, coap_sent, link), BRIDGE_UNREACHABLE);
}

void coap_peer_still(coap_peer *peer, bool still)
{
    peer->still = still;
    if (still) return;
    peer_hold(peer);
    outbox_next(peer);
    peer_release(peer);
}

void coap_peer_nudge(coap_peer *peer)
{
    coap_engine *e = peer->engine;

    list_each (it, &peer->flying) {
        coap_sent *s = list_of(it, coap_sent, link);

        s->wait = e->limits.ack_timeout + engine_dice(e) % (e->limits.ack_timeout / 2 + 1);
        e->n.retransmitted++;
        engine_send_copy(peer, s->data, s->len);
        coap_timer_start(&e->timers, &s->timer, e->now + s->wait, on_timer); /* has its place already */
    }
}

void outbox_drop(coap_peer *p)
{
    while (!list_empty(&p->flying)) sent_free(list_of(p->flying.next, coap_sent, link));
    while (!list_empty(&p->queue)) sent_free(list_of(p->queue.next, coap_sent, link));
}
