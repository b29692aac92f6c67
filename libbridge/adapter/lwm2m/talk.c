/* Operations: CoAP requests to a device, one after the other, and only while it listens.
 *
 *      lwm2m_ask --> queue --(awake, a place free)--> flying --answer--> done
 *                      |  ^                             |
 *                      |  +---no answer, it may sleep---+   (queue mode: it goes back to the front while somebody waits)
 *                      +--patience over--> done(TIMEOUT)
 *
 * A device that is not there would cost each of those who wait 93 s (MAX_TRANSMIT_WAIT), one after the other: NSTART is 1.  So who lets a
 * question time out, and was not heard for MAX_TRANSMIT_SPAN, is a suspect: those who wait are told so at once, observations wait, and
 * whoever asks from now on goes alone, until any datagram comes from there.
 *
 * One that speaks and acknowledges nothing (a NAT that lets nothing in, a deaf thread) is a suspect, too, and mute: what it says proves
 * nothing, and each of its probes ends after LWM2M_PROBE; until it acknowledges one.
 *
 * LwM2M 1.0 8.3, 1.1 6.5: a device in queue mode is asked nothing while it sleeps; what waits goes out, in its order, when it speaks. */
#include "adapter/lwm2m/lwm2m.h"
#include "base/status.h"
#include <stdio.h>

struct lwm2m_op {
    list link; /* of d->queue or d->flying, or none: an observation that goes on */
    lwm2m_device *d;
    coap_ask *ask;
    lwm2m_done_fn done;
    void *user;
    int64_t until; /* ms of the loop; INT64_MAX: for ever */
    timer patience;
    oma_path path;
    int accept, format;
    size_t len;
    uint8_t code;
    bool is_bootstrap, observe, flies, over, replace, sending, ended, held; /* ended: it waits for op_send() to return; held: until a suspect speaks */
    char *query;
    struct lwm2m_op *first, *also; /* first: the newer write that goes in its place; also: those who go with this one */
    uint8_t data[];
};

static void pump(lwm2m_device *d);

static void op_free(lwm2m_op *op)
{
    mem *m = op->d->server->mem;
    lwm2m_device *d = op->d;

    op->ended = true;
    if (op->sending) return;
    mem_free(m, op->query);
    mem_free(m, op);
    lwm2m_release(d);
}

static void op_unlink(lwm2m_op *op)
{
    timer_stop(&op->patience);
    if (list_linked(&op->link)) {
        if (op->flies)
            op->d->flying_count--;
        else
            op->d->queued--;
    }
    list_remove(&op->link);
    op->flies = false;
}

static void op_end(lwm2m_op *op, int status, const coap_answer *answer)
{
    lwm2m_op *also = op->also;

    op_unlink(op);
    op->also = NULL;
    if (!op->over && op->done) {
        op->over = true;
        op->done(op->user, status, answer);
    }
    while (also) { /* the earlier writes whose place it took */
        lwm2m_op *next = also->also;

        also->also = NULL;
        if (!also->over && also->done) also->done(also->user, status, answer);
        op_free(also);
        also = next;
    }
    op_free(op);
}

/* ---- Silence */

static lwm2m_device *root_of(lwm2m_device *d)
{
    while (d->gateway) d = d->gateway;
    return d;
}

/* Where it was heard; NULL: nowhere, or that is forgotten. */
static coap_peer *known_at(const lwm2m_device *root)
{
    if (root->conn || !root->place.port) return root->conn;
    return coap_peer_find(root->port->coap.engine, loop_now(root->server->loop), &root->place.address, false);
}

static bool is_silent(lwm2m_device *d)
{
    const coap_peer *peer = known_at(root_of(d));

    return peer && loop_now(d->server->loop) - LWM2M_SILENT >= coap_peer_heard(peer);
}

/* It speaks, but all tries of this question went unheard.  Streams acknowledge nothing anyway. */
static bool is_mute(const lwm2m_op *op)
{
    const coap_peer *peer = known_at(root_of(op->d));

    return peer && coap_peer_heard(peer) != INT64_MAX && !(op->ask && coap_ask_acked(op->ask));
}

/* To the front of the queue, in their order. */
static void fly_back(lwm2m_device *d)
{
    while (!list_empty(&d->flying)) {
        lwm2m_op *op = list_of(d->flying.prev, lwm2m_op, link);

        if (op->ask) coap_ask_cancel(op->ask, false);
        op->ask = NULL;
        list_remove(&op->link);
        op->flies = false;
        d->flying_count--;
        list_push_front(&d->queue, &op->link);
        d->queued++;
    }
}

static void take_waiting(lwm2m_device *d, list *out)
{
    list_each_safe (it, &d->queue) {
        lwm2m_op *op = list_of(it, lwm2m_op, link);

        op->held = op->observe;
        if (op->observe) continue;
        list_remove(it);
        list_push(out, it); /* still counted as queued, until it ends */
    }
}

/* Nobody is there: what is under way comes back, and does not go out before it speaks. */
static void fall_silent(lwm2m_device *root)
{
    coap_peer *peer = known_at(root);
    list over;

    if (peer) coap_peer_still(peer, true);
    fly_back(root);
    list_each (it, &root->behind) fly_back(list_of(it, lwm2m_device, behind_link));
    if (peer) coap_peer_still(peer, false);
    if (root->queue_mode) { /* it fell asleep before it heard us */
        lwm2m_asleep(root);
        return;
    }
    if (!root->suspect) root->server->suspects++;
    root->suspect = true;
    list_init(&over);
    take_waiting(root, &over);
    list_each (it, &root->behind) take_waiting(list_of(it, lwm2m_device, behind_link), &over);
    while (!list_empty(&over)) op_end(list_of(over.next, lwm2m_op, link), BRIDGE_TIMEOUT, NULL);
}

static void let_loose(lwm2m_device *d)
{
    list_each (it, &d->queue) list_of(it, lwm2m_op, link)->held = false;
}

static void clear(lwm2m_device *root)
{
    coap_peer *peer;

    root->suspect = root->mute = false;
    root->server->suspects--;
    let_loose(root);
    list_each (it, &root->behind) let_loose(list_of(it, lwm2m_device, behind_link));
    peer = known_at(root);
    if (peer) coap_peer_nudge(peer); /* its next try may be 48 s away */
    turn_end_want(root->server->loop, &root->port->coap.flush);
}

void lwm2m_spoke(lwm2m_device *d)
{
    lwm2m_device *root = root_of(d);

    if (root->suspect && !root->mute) clear(root);
}

void lwm2m_elsewhere(lwm2m_device *d)
{
    root_of(d)->mute = false;
    lwm2m_spoke(d);
}

static bool is_acked(const lwm2m_device *d)
{
    list_each (it, &d->flying) {
        const lwm2m_op *op = list_of(it, lwm2m_op, link);
        if (op->ask && coap_ask_acked(op->ask)) return true;
    }
    return false;
}

/* Has the probe arrived there? */
static bool hears(const lwm2m_device *root)
{
    if (is_acked(root)) return true;
    list_each (it, &root->behind)
        if (is_acked(list_of(it, lwm2m_device, behind_link))) return true;
    return false;
}

void lwm2m_on_heard(coap_port *cp, const coap_address *from, coap_peer *peer)
{
    lwm2m_port *p = list_of(cp, lwm2m_port, coap);
    lwm2m_device *d;
    lwm2m_place place;

    if (!p->server->suspects) return;
    memset(&place, 0, sizeof place);
    place.port = p;
    if (from) place.address = *from;
    d = peer ? lwm2m_find_peer(p, peer) : map_get(&p->server->by_place, &place, sizeof place);
    if (!d || !d->suspect || (d->mute && !hears(d))) return;
    clear(d);
    lwm2m_pump(d);
}

/* ---- Out */

static coap_peer *reach(lwm2m_device *d)
{
    if (d->gateway) return reach(d->gateway);
    if (d->conn) return d->conn;
    if (!d->place.port) return NULL;
    return coap_peer_find(d->port->coap.engine, loop_now(d->server->loop), &d->place.address, true);
}

/* Somebody still wants it, and it is not known whether it was heard. */
static bool waits_on(const lwm2m_op *op, int status)
{
    lwm2m_device *d = op->d;

    if (d->gone || loop_now(d->server->loop) >= op->until || (status != BRIDGE_TIMEOUT && status != BRIDGE_CLOSED)) return false;
    return root_of(d)->queue_mode || (status == BRIDGE_TIMEOUT && (is_silent(d) || is_mute(op)));
}

static void on_answer(void *user, const coap_answer *answer)
{
    lwm2m_op *op = user;
    lwm2m_device *d = op->d, *root = root_of(d);
    bool silent;

    lwm2m_hold(d);
    lwm2m_hold(root);
    silent = waits_on(op, answer->status);
    if (silent && !root->queue_mode && !is_silent(d)) root->mute = true;
    if (!answer->more) op->ask = NULL;
    if (answer->status == 0 && op->flies && root->suspect) clear(root);
    if (answer->status == BRIDGE_CLOSED) lwm2m_conn_lost(d); /* nothing more goes there */
    if (answer->status == 0) {
        d->server->count.answers++;
        if (!d->gone) lwm2m_awake(d);
    }
    if (answer->more) { /* an observation has begun, or goes on */
        op_unlink(op);
        op->done(op->user, 0, answer);
    } else if (silent) {
        d->server->count.timeouts++;
        fall_silent(root);
    } else {
        if (answer->status == BRIDGE_TIMEOUT) d->server->count.timeouts++;
        op_end(op, answer->status, answer);
    }
    if (!root->gone) lwm2m_pump(root);
    lwm2m_release(root);
    lwm2m_release(d);
}

enum { SEGMENTS = 16, QUERIES = 16 };

static unsigned put_segments(const char *path, coap_option *o, unsigned n)
{
    while (*path && n < SEGMENTS) {
        size_t len = strcspn(path, "/");

        o[n++] = (coap_option){COAP_URI_PATH, (uint32_t)len, (const uint8_t *)path};
        path += len + (path[len] == '/');
    }
    return n;
}

static unsigned put_query(const char *query, coap_option *o, unsigned n)
{
    unsigned most = n + QUERIES;

    while (query && *query && n < most) {
        size_t len = strcspn(query, "&");

        if (len) o[n++] = (coap_option){COAP_URI_QUERY, (uint32_t)len, (const uint8_t *)query};
        query += len + (query[len] == '&');
    }
    return n;
}

static unsigned put_number(unsigned number, int value, uint8_t bytes[2], coap_option *o, unsigned n)
{
    if (value < 0) return n;
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
    o[n++] = (coap_option){(uint16_t)number, value > 255 ? 2 : value > 0, bytes + (value > 255 ? 0 : 1)};
    return n;
}

/* op may be gone afterwards */
static void op_send(lwm2m_op *op, coap_peer *peer)
{
    lwm2m_device *d = op->d;
    coap_option o[SEGMENTS + QUERIES + 4];
    char path[LWM2M_PATH_TEXT];
    uint8_t format[2], accept[2];
    unsigned n = put_segments(d->root, o, 0);
    int64_t now = loop_now(d->server->loop), left = op->until == INT64_MAX ? 0 : op->until - now;
    coap_ask *ask = NULL;
    int rc;
    coap_question q = {.code = op->code, .observe = op->observe, .options = o, .data = op->data, .len = op->len};

    lwm2m_path_text(&op->path, path);
    n = put_segments(op->is_bootstrap ? "bs" : path + 1, o, op->is_bootstrap ? 0 : n);
    n = put_query(op->query, o, n);
    n = put_number(COAP_CONTENT_FORMAT, op->format, format, o, n);
    n = put_number(COAP_ACCEPT, op->accept, accept, o, n);
    q.option_count = n;
    if (left > 0 && left < 93000 && !d->queue_mode) q.timeout = left;
    if (root_of(d)->mute && (!q.timeout || q.timeout > LWM2M_PROBE)) q.timeout = LWM2M_PROBE;
    d->server->count.requests++;
    op->sending = true; /* it may be answered before it returns */
    rc = coap_ask_new(&ask, peer, now, &q, on_answer, op);
    op->sending = false;
    if (op->ended)
        op_free(op);
    else if (rc < 0)
        op_end(op, rc, NULL);
    else if (ask)
        op->ask = ask;
}

static void op_fly(lwm2m_op *op, coap_peer *peer)
{
    lwm2m_device *d = op->d;

    list_remove(&op->link);
    d->queued--;
    op->flies = true;
    list_push(&d->flying, &op->link);
    d->flying_count++;
    op_send(op, peer);
    turn_end_want(d->server->loop, &d->port->coap.flush);
}

static bool is_asleep(const lwm2m_device *d) { return d->gateway ? d->gateway->asleep : d->asleep; }

static void pump_one(lwm2m_device *d)
{
    coap_peer *peer;

    lwm2m_hold(d);
    while (d->ready && !d->gone && !is_asleep(d) && !root_of(d)->suspect && d->flying_count < LWM2M_FLYING && !list_empty(&d->queue)) {
        peer = reach(d);
        if (!peer) break;
        op_fly(list_of(d->queue.next, lwm2m_op, link), peer);
    }
    lwm2m_release(d);
}

static lwm2m_op *probe_of(lwm2m_device *d)
{
    list_each (it, &d->queue)
        if (d->ready && !list_of(it, lwm2m_op, link)->held) return list_of(it, lwm2m_op, link);
    return NULL;
}

/* Whether it is there again: one question at a time, of it or of those behind it. */
static void probe(lwm2m_device *root)
{
    while (root->suspect && root->flying_count == 0) {
        lwm2m_op *op = probe_of(root);
        coap_peer *peer = reach(root);

        list_each (it, &root->behind) {
            lwm2m_device *d = list_of(it, lwm2m_device, behind_link);

            if (d->flying_count) return;
            if (!op) op = probe_of(d);
        }
        if (!op || !peer) return;
        op_fly(op, peer);
    }
}

static void pump(lwm2m_device *d)
{
    lwm2m_device *root = root_of(d);

    lwm2m_hold(root);
    if (root->suspect)
        probe(root);
    else
        pump_one(d);
    lwm2m_release(root);
}

/* It, and those behind it. */
void lwm2m_pump(lwm2m_device *d)
{
    lwm2m_hold(d);
    pump(d);
    list_each_safe (it, &d->behind) pump(list_of(it, lwm2m_device, behind_link));
    lwm2m_release(d);
}

/* ---- In */

static void on_patience(timer *t)
{
    lwm2m_op *op = list_of(t, lwm2m_op, patience);
    lwm2m_device *d = op->d;

    lwm2m_hold(d);
    if (op->ask) coap_ask_cancel(op->ask, false);
    op->ask = NULL;
    d->server->count.timeouts++;
    op_end(op, d->lost ? BRIDGE_UNREACHABLE : BRIDGE_TIMEOUT, NULL);
    if (!d->gone) pump(d);
    lwm2m_release(d);
}

/* The newest of the writes that wait for the same place goes; whoever waited for an earlier one hears of it, too. */
static void coalesce(lwm2m_op *op)
{
    lwm2m_device *d = op->d;

    list_each_safe (it, &d->queue) {
        lwm2m_op *before = list_of(it, lwm2m_op, link);

        if (before == op || !before->replace || oma_compare(&before->path, &op->path) != 0) continue;
        op_unlink(before);
        before->first = op;
        lwm2m_op **last = &op->also;
        while (*last) last = &(*last)->also;
        *last = before;
        d->server->count.coalesced++;
    }
}

static lwm2m_op *op_new(lwm2m_device *d, const lwm2m_question *q)
{
    mem *m = d->server->mem;
    lwm2m_op *op = mem_alloc(m, sizeof *op + q->len);

    if (!op) return NULL;
    memset(op, 0, sizeof *op);
    op->d = d;
    op->code = q->code;
    op->path = q->path;
    op->accept = q->accept;
    op->format = q->format;
    op->observe = q->observe;
    op->is_bootstrap = q->is_bootstrap;
    op->replace = q->replace;
    op->len = q->len;
    if (q->len) memcpy(op->data, q->data, q->len);
    list_init(&op->link);
    if (q->query && !(op->query = mem_text(m, q->query))) {
        mem_free(m, op);
        return NULL;
    }
    lwm2m_hold(d);
    return op;
}

/* Those whose turn may come; what is held back until a suspect speaks is in nobody's way. */
static unsigned in_line(lwm2m_device *d)
{
    unsigned n = d->queued;

    if (!root_of(d)->suspect) return n;
    list_each (it, &d->queue) n -= list_of(it, lwm2m_op, link)->held;
    return n;
}

int lwm2m_ask(lwm2m_device *d, const lwm2m_question *q, lwm2m_done_fn done, void *user, lwm2m_op **out)
{
    lwm2m_op *op;
    int rc = 0;

    if (d->gone) return BRIDGE_UNREACHABLE;
    if (!q->observe && d->queued >= d->port->limits.max_queue && in_line(d) >= d->port->limits.max_queue) return BRIDGE_BUSY;
    op = op_new(d, q);
    if (!op) return BRIDGE_NOMEM;
    op->done = done;
    op->user = user;
    op->until = q->patience ? loop_now(d->server->loop) + q->patience : INT64_MAX;
    if (q->patience) rc = timer_start(&op->patience, d->server->loop, q->patience, on_patience);
    if (rc < 0) {
        op_free(op);
        return rc;
    }
    if (out) *out = op;
    list_push(&d->queue, &op->link);
    d->queued++;
    if (is_asleep(d)) {
        d->server->count.queued++;
        if (op->replace) coalesce(op);
        if (d->queued == 1) lwm2m_event(d, "wake", NULL); /* whoever can send it an SMS (1.0 8.3) may */
        if (d->gone) return 0;
    }
    pump(d);
    return 0;
}

/* It is elsewhere, or has restarted: what is under way is asked again.  Not what may have been done already: POST is not idempotent. */
void lwm2m_fly_again(lwm2m_device *d)
{
    lwm2m_hold(d);
    for (list *it = d->flying.prev, *before; it != &d->flying; it = before) {
        lwm2m_op *op = list_of(it, lwm2m_op, link);

        before = it->prev;
        if (op->ask) coap_ask_cancel(op->ask, false);
        op->ask = NULL;
        if (op->code == COAP_POST) {
            op_end(op, BRIDGE_UNREACHABLE, NULL);
            before = d->flying.prev; /* whoever was told may have done anything */
            continue;
        }
        list_remove(&op->link);
        op->flies = false;
        d->flying_count--;
        list_push_front(&d->queue, &op->link);
        d->queued++;
    }
    lwm2m_release(d);
}

void lwm2m_op_cancel(lwm2m_op *op, bool tell)
{
    lwm2m_device *d = op ? op->d : NULL;

    if (!op || op->over) return;
    op->over = true;
    op->done = NULL;
    if (op->first) return; /* it goes with another, and is freed with it */
    tell &= !d->gone;
    if (op->ask) coap_ask_cancel(op->ask, tell);
    if (op->ask && tell) turn_end_want(d->server->loop, &d->port->coap.flush); /* nothing else may go out in this turn */
    op->ask = NULL;
    op_end(op, BRIDGE_CANCELED, NULL);
}

void lwm2m_drop_ops(lwm2m_device *d, int status)
{
    lwm2m_hold(d);
    while (!list_empty(&d->flying)) {
        lwm2m_op *op = list_of(d->flying.next, lwm2m_op, link);
        if (op->ask) coap_ask_cancel(op->ask, false);
        op->ask = NULL;
        op_end(op, status, NULL);
    }
    while (!list_empty(&d->queue)) op_end(list_of(d->queue.next, lwm2m_op, link), status, NULL);
    lwm2m_release(d);
}
