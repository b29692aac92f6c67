/* The client role: questions to a peer, also to one who asks us; large bodies both ways, observations.
 *
 *      new --> ask_send --ACK--> waits --answer--> fn, gone
 *                ^  ^                    |  \--2.31: the next block of ours--> ask_send
 *                |  +--block 2 of n------+  \--Observe--> fn, stays: waits for the next
 *      Over: timeout, RST, no ACK, the peer lost, coap_ask_cancel().
 *
 * The following blocks of a notification are asked for with another token (RFC 7959 3.4): that of the question with the last bit
 * turned, so that one entry in the table finds both. */
#include "adapter/coap/inside.h"
#include "base/clock.h"

enum { ASK_RESTARTS = 3 };

struct coap_ask {
    list peer_link;
    coap_peer *peer;
    coap_timer timer;
    coap_sent *sent;
    coap_answer_fn fn;
    void *user;
    int64_t timeout, heard_at;
    coap_option *options;
    unsigned option_count;
    const uint8_t *data; /* the body of ours */
    size_t len, offset;
    uint8_t *in; /* the body of theirs */
    size_t in_len, in_cap;
    size_t in_before, slice; /* in_before: bytes that were handed over */
    coap_token token;
    uint32_t sequence;
    uint8_t etag[8], etag_len;
    uint8_t code, szx1, szx2, restarts, depth;
    bool non, observe, observing, fetching, over, acked;
};

static void ask_unlink(coap_ask *a)
{
    coap_engine *e = a->peer->engine;
    coap_sent *s = a->sent;

    coap_timer_stop(&e->timers, &a->timer);
    if (list_linked(&a->peer_link)) {
        list_remove(&a->peer_link);
        map_remove(&e->asks, a->token.bytes, a->token.len);
        a->peer->ask_count--;
        peer_release(a->peer);
    }
    a->sent = NULL;
    if (s) outbox_cancel(s);
}

static void ask_free(coap_ask *a)
{
    mem *m = a->peer->engine->mem;

    mem_free(m, a->in);
    mem_free(m, a);
}

/* The last word. */
static void ask_end(coap_ask *a, const coap_answer *answer)
{
    if (a->over) return;
    a->over = true;
    ask_unlink(a);
    a->fn(a->user, answer);
    if (a->depth == 0) ask_free(a);
}

static void ask_fail(coap_ask *a, int status) { ask_end(a, &(coap_answer){.status = status}); }

static void on_timeout(coap_timer *t)
{
    coap_ask *a = list_of(t, coap_ask, timer);
    coap_peer *p = a->peer;

    p->engine->n.timeouts++;
    if (a->observing) { /* a notification that could not be fetched whole; the next one may */
        a->fetching = false;
        a->in_len = 0;
        return;
    }
    peer_hold(p);
    p->still = true; /* whoever asked may take back what waits behind it, before that goes out */
    ask_fail(a, BRIDGE_TIMEOUT);
    coap_peer_still(p, false);
    peer_release(p);
}

static void on_sent(coap_sent *s, int status)
{
    coap_ask *a = s->user;

    a->sent = NULL;
    if (status == 0) a->acked = true;
    if (status < 0 && !a->observing) ask_fail(a, status);
}

/* ---- Out */

static size_t options_size(const coap_ask *a)
{
    size_t n = COAP_FRAME_HEAD_MAX + 64;

    for (unsigned i = 0; i < a->option_count; i++) n += a->options[i].len + 5;
    return n;
}

/* How much of our body goes into one message: a block, or on a stream all that the other side takes (RFC 8323 6). */
static size_t ask_unit(const coap_ask *a)
{
    const coap_peer *p = a->peer;
    size_t block = coap_block_size(a->szx1);

    return p->stream && a->len > block && a->len + options_size(a) <= p->max_message ? a->len : block;
}

static void ask_write(const coap_ask *a, coap_writer *w, bool cancel)
{
    coap_option options[COAP_OPTIONS_MAX];
    uint8_t block1[4], block2[4], size1[4];
    unsigned count = a->option_count;
    size_t size = ask_unit(a), left = a->len - a->offset, chunk = a->fetching ? 0 : left < size ? left : size;
    uint32_t v1 = coap_block_value((coap_block){(uint32_t)(a->offset / size), chunk < left, a->szx1});
    uint32_t v2 = coap_block_value((coap_block){(uint32_t)((a->in_before + a->in_len) / coap_block_size(a->szx2)), false, a->szx2});
    uint32_t value[3] = {v1, v2, (uint32_t)a->len};
    uint8_t *bytes[3] = {block1, block2, size1};
    static const uint8_t one = 1;

    if (count) memcpy(options, a->options, count * sizeof *options);
    for (int i = 0; i < 3; i++)
        for (int b = 0; b < 4; b++) bytes[i][b] = (uint8_t)(value[i] >> (24 - 8 * b));
    if (a->len > size && !a->fetching) {
        options[count++] = (coap_option){COAP_BLOCK1, 3, block1 + 1};
        if (a->offset == 0) options[count++] = (coap_option){COAP_SIZE1, 4, size1};
    }
    if (a->fetching) options[count++] = (coap_option){COAP_BLOCK2, 3, block2 + 1};
    if (a->observe && !a->fetching) options[count++] = (coap_option){COAP_OBSERVE, cancel, &one};
    coap_write_options(w, options, count);
    if (chunk) coap_write_payload(w, a->data + a->offset, chunk);
}

static size_t ask_size(const coap_ask *a) { return options_size(a) + ask_unit(a); }

static coap_token ask_token(const coap_ask *a)
{
    coap_token token = a->token;

    if (a->fetching) token.bytes[token.len - 1] ^= 1;
    return token;
}

static int ask_send_plain(coap_ask *a, bool cancel)
{
    coap_peer *p = a->peer;
    size_t max = ask_size(a);
    uint8_t *room = p->dead ? NULL : engine_room(p, max);
    coap_token token = ask_token(a);
    coap_writer w;
    int64_t len;

    if (!room) return BRIDGE_BUSY;
    if (p->stream)
        coap_write_frame(&w, room, max, a->code, &token);
    else
        coap_write_datagram(&w, room, max, COAP_NON, a->code, peer_new_id(p), &token);
    ask_write(a, &w, cancel);
    len = coap_write_end(&w);
    if (len < 0) return (int)len;
    engine_send(p, w.start, (size_t)len);
    return 0;
}

static int ask_send_confirmable(coap_ask *a, bool cancel)
{
    coap_token token = ask_token(a);
    size_t max = ask_size(a);
    coap_sent *s = a->peer->dead ? NULL : outbox_new(a->peer, max);
    coap_writer w;
    int64_t len;

    if (!s) return BRIDGE_NOMEM;
    coap_write_datagram(&w, s->data, max, COAP_CON, a->code, s->id, &token);
    ask_write(a, &w, cancel);
    len = coap_write_end(&w);
    if (len < 0) {
        outbox_cancel(s);
        return (int)len;
    }
    s->len = (uint16_t)len;
    s->asks = true;
    if (!cancel) {
        s->done = on_sent;
        s->user = a;
        a->sent = s;
    }
    outbox_send(s);
    return 0;
}

/* a may be gone afterwards */
static void ask_send(coap_ask *a)
{
    coap_engine *e = a->peer->engine;
    int rc = coap_timer_start(&e->timers, &a->timer, e->now + a->timeout, on_timeout);
    coap_sent *s = a->sent;

    a->depth++;
    a->sent = NULL;
    if (s) outbox_cancel(s); /* it asked for something older */
    if (rc == 0) rc = a->non || a->peer->stream ? ask_send_plain(a, false) : ask_send_confirmable(a, false);
    if (rc < 0) ask_fail(a, rc);
    if (--a->depth == 0 && a->over) ask_free(a);
}

static void options_copy(coap_ask *a, const coap_question *q, uint8_t *at)
{
    for (unsigned i = 0; i < q->option_count; i++) {
        if (q->options[i].len) memcpy(at, q->options[i].p, q->options[i].len);
        a->options[i] = (coap_option){q->options[i].number, q->options[i].len, at};
        at += q->options[i].len;
    }
    if (q->len) memcpy(at, q->data, q->len);
    a->data = at;
}

int coap_ask_new(coap_ask **out, coap_peer *peer, int64_t now, const coap_question *q, coap_answer_fn fn, void *user)
{
    coap_engine *e = peer->engine;
    size_t bytes = q->len;
    coap_ask *a;

    if (q->option_count > COAP_OPTIONS_MAX - 4) return BRIDGE_INVALID;
    if (peer->ask_count >= e->limits.peer_asks) {
        e->n.refused++;
        return BRIDGE_BUSY;
    }
    e->now = now;
    for (unsigned i = 0; i < q->option_count; i++) bytes += q->options[i].len;
    a = mem_zalloc(e->mem, sizeof *a + q->option_count * sizeof *a->options + bytes);
    if (!a) return BRIDGE_NOMEM;
    a->options = (coap_option *)(a + 1);
    a->option_count = q->option_count;
    a->len = q->len;
    options_copy(a, q, (uint8_t *)(a->options + q->option_count));
    a->peer = peer;
    a->fn = fn;
    a->user = user;
    a->code = q->code;
    a->non = q->non;
    a->observe = q->observe;
    a->slice = q->observe ? 0 : q->slice;
    a->timeout = q->timeout ? q->timeout : COAP_MAX_TRANSMIT_WAIT;
    a->szx1 = a->szx2 = (uint8_t)e->limits.szx;
    a->token.len = COAP_TOKEN_MAX;
    random_bytes(a->token.bytes, COAP_TOKEN_MAX); /* hard to guess: RFC 7252 5.3.1 */
    a->token.bytes[COAP_TOKEN_MAX - 1] &= 0xfe;
    if (map_put(&e->asks, a->token.bytes, a->token.len, a, NULL) < 0) {
        mem_free(e->mem, a);
        return BRIDGE_NOMEM;
    }
    list_push(&peer->asks, &a->peer_link);
    peer->ask_count++;
    peer_hold(peer);
    a->depth++;
    if (!peer->parked)
        ask_send(a);
    else if (coap_timer_start(&e->timers, &a->timer, now + a->timeout, on_timeout) < 0)
        ask_fail(a, BRIDGE_NOMEM);
    *out = a->over ? NULL : a;
    if (--a->depth == 0 && a->over) ask_free(a);
    return 0;
}

/* Answers may make new questions and take others back: the old ones stand in a list of their own meanwhile. */
static void take_all(coap_peer *p, list *out)
{
    list_init(out);
    if (list_empty(&p->asks)) return;
    *out = p->asks;
    out->next->prev = out->prev->next = out;
    list_init(&p->asks);
}

void asks_begin(coap_peer *p)
{
    list waiting, *it;

    take_all(p, &waiting);
    while ((it = list_pop(&waiting))) {
        list_push(&p->asks, it);
        if (!p->parked) ask_send(list_of(it, coap_ask, peer_link)); /* it may have been parked again */
    }
}

void coap_peer_drop_asks(coap_peer *p)
{
    while (!list_empty(&p->asks)) coap_ask_cancel(list_of(p->asks.next, coap_ask, peer_link), false);
}

bool coap_ask_acked(const coap_ask *ask) { return ask->acked; }

void coap_ask_cancel(coap_ask *a, bool tell)
{
    if (!a || a->over) return;
    a->over = true;
    if (tell && a->observing) { /* RFC 7641 3.6; whatever comes back is for nobody */
        a->fetching = false;
        a->offset = 0;
        if (a->len > coap_block_size(a->szx1)) a->len = 0; /* what fits is said again: RFC 8132 2 */
        if (a->non || a->peer->stream)
            ask_send_plain(a, true);
        else
            ask_send_confirmable(a, true);
    }
    ask_unlink(a);
    if (a->depth == 0) ask_free(a);
}

void asks_drop(coap_peer *p, int status)
{
    list old;

    take_all(p, &old);
    while (!list_empty(&old)) ask_fail(list_of(old.next, coap_ask, peer_link), status);
}

/* ---- In */

static coap_ask *ask_find(coap_peer *p, const coap_token *token)
{
    uint8_t key[COAP_TOKEN_MAX];
    coap_ask *a;

    if (token->len != COAP_TOKEN_MAX) return NULL;
    memcpy(key, token->bytes, COAP_TOKEN_MAX);
    key[COAP_TOKEN_MAX - 1] &= 0xfe;
    a = map_get(&p->engine->asks, key, COAP_TOKEN_MAX);
    return a && a->peer == p ? a : NULL;
}

/* RFC 7641 3.4 */
static bool is_newer(coap_ask *a, uint32_t sequence)
{
    uint32_t ahead = (sequence - a->sequence) & 0xffffff;
    int64_t now = a->peer->engine->now;

    if (a->observing && (ahead == 0 || ahead >= 1 << 23) && now < a->heard_at + 128000) return false;
    a->sequence = sequence;
    a->heard_at = now;
    return true;
}

static int body_add(coap_ask *a, const coap_packet *packet)
{
    coap_engine *e = a->peer->engine;
    size_t want = a->in_len + packet->payload_len, cap = a->in_cap ? a->in_cap : 2048;

    if (want > e->limits.max_body) return BRIDGE_TOOBIG;
    while (cap < want) cap *= 2;
    if (cap != a->in_cap) {
        uint8_t *bigger = mem_realloc(e->mem, a->in, cap);

        if (!bigger) return BRIDGE_NOMEM;
        a->in = bigger;
        a->in_cap = cap;
    }
    if (packet->payload_len) memcpy(a->in + a->in_len, packet->payload, packet->payload_len);
    a->in_len = want;
    return 0;
}

static bool same_etag(coap_ask *a, const coap_meta *m, bool first)
{
    const coap_option *tag = m->etag_count ? &m->etags[0] : NULL;

    if (!first) return tag ? tag->len == a->etag_len && memcmp(tag->p, a->etag, tag->len) == 0 : a->etag_len == 0;
    a->etag_len = tag ? (uint8_t)tag->len : 0;
    if (tag) memcpy(a->etag, tag->p, tag->len);
    return true;
}

/* A piece of theirs; nothing is asked until it is taken. */
static void ask_hand_over(coap_ask *a, const coap_packet *packet, const coap_meta *m)
{
    size_t len = a->in_len;

    coap_timer_stop(&a->peer->engine->timers, &a->timer);
    a->in_before += len;
    a->in_len = 0;
    a->fn(a->user, &(coap_answer){.code = packet->code, .packet = packet, .meta = m, .body = a->in, .body_len = len, .part = true});
}

void coap_ask_go_on(coap_ask *a, int64_t now)
{
    a->peer->engine->now = now;
    ask_send(a);
}

/* A block of theirs.  1: whole; 0: more was asked for, or it is for nothing; negative: no good. */
static int take_block2(coap_ask *a, const coap_packet *packet, const coap_meta *m)
{
    size_t offset = m->block2.num * coap_block_size(m->block2.szx);
    bool first = offset == 0;
    int rc;

    if (first && !a->in_before) a->in_len = 0;
    if (offset != a->in_before + a->in_len) return 0; /* not what was asked for: a late duplicate */
    if (!same_etag(a, m, first)) {     /* it changed under our hands: RFC 7959 2.4 */
        if (a->in_before || ++a->restarts > ASK_RESTARTS) return BRIDGE_CONFLICT;
        a->in_len = 0;
        a->fetching = true;
        ask_send(a);
        return 0;
    }
    rc = body_add(a, packet);
    if (rc < 0) return rc;
    if (!m->block2.more) return 1;
    if (packet->payload_len == 0 || packet->payload_len % coap_block_size(m->block2.szx)) return BRIDGE_PROTOCOL;
    if (m->block2.szx < 7 && packet->payload_len != coap_block_size(m->block2.szx)) return BRIDGE_PROTOCOL; /* 7: BERT, RFC 8323 6 */
    a->szx2 = m->block2.szx;
    a->fetching = true;
    if (a->slice && a->in_len >= a->slice) ask_hand_over(a, packet, m);
    else ask_send(a);
    return 0;
}

/* They want the next block of ours, or smaller ones.  False: it is an answer. */
static bool take_continue(coap_ask *a, const coap_packet *packet, const coap_meta *m)
{
    size_t size = coap_block_size(a->szx1);

    if (!(m->has & COAP_HAS_BLOCK1) || m->block1.szx == 7) return false;
    if (packet->code == COAP_CONTINUE && a->offset + size < a->len) {
        if (m->block1.num != a->offset / size) return true; /* late */
        a->offset += size;
        if (m->block1.szx < a->szx1) a->szx1 = m->block1.szx;
    } else if (packet->code == COAP_TOO_LARGE && a->offset == 0 && m->block1.szx < a->szx1 && a->len > coap_block_size(m->block1.szx)) {
        a->szx1 = m->block1.szx; /* RFC 7959 2.9.3 */
    } else {
        return false;
    }
    ask_send(a);
    return true;
}

static void ask_answer(coap_ask *a, const coap_packet *packet, const coap_meta *m, bool goes_on)
{
    bool joined = m->has & COAP_HAS_BLOCK2 && coap_class(packet->code) == 2;
    coap_answer answer = {.code = packet->code, .packet = packet, .meta = m, .more = goes_on,
                          .body = joined ? a->in : packet->payload, .body_len = joined ? a->in_len : packet->payload_len};

    if (!goes_on) {
        ask_end(a, &answer);
        return;
    }
    coap_timer_stop(&a->peer->engine->timers, &a->timer);
    a->observing = true;
    a->fetching = false;
    a->restarts = 0;
    a->fn(a->user, &answer);
    if (!a->over) a->in_len = 0;
}

static void ask_take(coap_ask *a, const coap_packet *packet)
{
    bool fetched = (packet->token.bytes[COAP_TOKEN_MAX - 1] ^ a->token.bytes[COAP_TOKEN_MAX - 1]) & 1, goes_on;
    coap_meta m;
    int whole = 1;

    coap_meta_read(&m, packet);
    if (m.bad) {
        ask_fail(a, BRIDGE_PROTOCOL);
        return;
    }
    if (fetched && !a->fetching) return; /* of an older notification */
    if (!fetched && m.has & COAP_HAS_OBSERVE && !is_newer(a, m.observe)) return;
    if (!fetched && take_continue(a, packet, &m)) return;
    if (m.has & COAP_HAS_BLOCK2 && coap_class(packet->code) == 2) whole = take_block2(a, packet, &m);
    if (a->over || whole == 0) return;
    if (whole < 0) {
        ask_fail(a, whole);
        return;
    }
    goes_on = a->observe && coap_class(packet->code) == 2 && (fetched ? a->observing || a->heard_at : m.has & COAP_HAS_OBSERVE);
    ask_answer(a, packet, &m, goes_on);
}

/* True: the answer has been here before; its acknowledgement is said again. */
static bool answer_is_duplicate(coap_peer *p, const coap_packet *packet)
{
    uint64_t key = heard_key(p, packet->id, &packet->token);
    uint8_t bytes[COAP_EMPTY_LEN];

    if (heard_find(p->engine, key)) {
        p->engine->n.duplicates++;
        engine_send_empty(p, COAP_ACK, packet->id);
        return true;
    }
    coap_write_empty(bytes, COAP_ACK, packet->id);
    heard_add(p->engine, key);
    engine_send_empty(p, COAP_ACK, packet->id);
    return false;
}

/* An answer is an acknowledgement too: of what is under way, not of what waits for its turn.  False: an acknowledgement of a
 * question that was answered before, doubled on its way. */
static bool settles(coap_ask *a, const coap_packet *packet)
{
    coap_sent *s = a->sent;
    coap_token token = ask_token(a);

    if (a->peer->stream) return true;
    if (packet->type == COAP_ACK && (!s || s->id != packet->id)) return false;
    if (!s || !s->timer.fn || !coap_token_same(&token, &packet->token)) return true;
    a->sent = NULL;
    pace_heard(s);
    outbox_cancel(s);
    return true;
}

static bool is_notification(const coap_packet *packet)
{
    coap_meta m;

    coap_meta_read(&m, packet);
    return m.has & COAP_HAS_OBSERVE;
}

void ask_input(coap_peer *p, const coap_packet *packet)
{
    coap_ask *a = ask_find(p, &packet->token);

    if (!p->stream && packet->type == COAP_CON) {
        if (!a && !heard_find(p->engine, heard_key(p, packet->id, &packet->token))) {
            engine_send_empty(p, COAP_RST, packet->id); /* RFC 7252 4.2: nobody asked */
            return;
        }
        if (answer_is_duplicate(p, packet)) return;
    }
    if (!p->stream && packet->type == COAP_NON && !a && is_notification(packet))
        engine_send_empty(p, COAP_RST, packet->id); /* RFC 7641 3.6: an end to such news */
    if (a && settles(a, packet)) {
        a->depth++;
        ask_take(a, packet);
        if (--a->depth == 0 && a->over) ask_free(a);
    } else if (!p->stream && packet->type == COAP_ACK) {
        outbox_acked(p, packet->id, 0);
    }
}
