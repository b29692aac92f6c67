/* A request comes in, is answered now or kept. */
#include "adapter/coap/inside.h"
#include "base/hash.h"
#include <stdio.h>

static bool is_safe(uint8_t code) { return code == COAP_GET || code == COAP_FETCH; }

/* True: this message id was here before (RFC 7252 4.5); what was answered is said again. */
static bool request_is_duplicate(coap_peer *p, const coap_packet *packet)
{
    heard_entry *h = heard_find(p->engine, heard_key(p, packet->id, &packet->token));

    if (!h) return false;
    p->engine->n.duplicates++;
    if (h->len && packet->type == COAP_CON) engine_send_copy(p, heard_bytes(h), h->len);
    return true;
}

static void request_init(coap_request *r, coap_peer *p, const coap_packet *packet, const coap_meta *m, bool multicast)
{
    *r = (coap_request){
        .engine = p->engine,
        .peer = p,
        .packet = packet,
        .meta = m,
        .body = packet->payload,
        .body_len = packet->payload_len,
        .token = packet->token,
        .id = packet->id,
        .type = packet->type,
        .code = packet->code,
        .no_response = m->has & COAP_HAS_NO_RESPONSE ? m->no_response : 0,
        .has_block1 = m->has & COAP_HAS_BLOCK1,
        .has_block2 = m->has & COAP_HAS_BLOCK2,
        .block1 = m->block1,
        .block2 = m->block2,
        .multicast = multicast,
        .wire_len = (uint32_t)(COAP_HEAD_MAX + packet->options_len + packet->payload_len),
    };
    if (!r->has_block1) r->block1 = (coap_block){0};
    if (!r->has_block2) r->block2 = (coap_block){0};
}

static void refuse_option(coap_request *r, uint16_t number)
{
    char why[64];

    snprintf(why, sizeof why, "option %u is critical and not understood", number);
    coap_request_text(r, COAP_BAD_OPTION, why);
}

/* What can be said without knowing what is asked.  True: nothing is wrong. */
static bool request_is_sound(coap_request *r)
{
    const coap_meta *m = r->meta;

    if (m->bad)
        refuse_option(r, m->bad);
    else if (r->code > COAP_IPATCH)
        coap_request_text(r, COAP_NOT_ALLOWED, "method not known"); /* RFC 7252 5.8 */
    else if (!r->peer->bert && ((r->has_block1 && r->block1.szx == 7) || (r->has_block2 && r->block2.szx == 7)))
        coap_request_text(r, COAP_BAD_REQUEST, "block size 7 is reserved"); /* RFC 7959 2.2 */
    else
        return true;
    return false;
}

/* RFC 8516: too many, and when to come again.  Who goes on at twice the rate is not answered any more. */
static bool request_is_too_many(coap_request *r)
{
    rate_verdict verdict = rate_take(r->peer);

    if (verdict == RATE_FINE) return false;
    r->engine->n.refused++;
    if (verdict == RATE_OVER)
        coap_respond(r, COAP_REPLY(.code = COAP_TOO_MANY, .max_age = COAP_SAY(1), .data = "over max_rate", .len = 13));
    return true;
}

void request_input(coap_peer *p, const coap_packet *packet, bool multicast)
{
    coap_engine *e = p->engine;
    coap_transfer *whole = NULL;
    coap_request r;
    coap_meta m;

    if (multicast && packet->type == COAP_CON) return; /* RFC 7252 8.1 */
    if (!p->stream && request_is_duplicate(p, packet)) return;
    coap_meta_read(&m, packet);
    request_init(&r, p, packet, &m, multicast);
    if (request_is_too_many(&r)) return;
    /* Asking again does no harm where asking does not change anything: RFC 7252 4.5 lets us answer afresh. */
    if (!p->stream && !is_safe(packet->code)) r.remembered = heard_add(e, heard_key(p, packet->id, &packet->token));
    if (!request_is_sound(&r) || !echo_take(&r)) return;
    if (r.has_block1 && !block1_take(&r, &whole)) return;
    if (!r.has_block1 && r.body_len > e->limits.max_body) {
        coap_respond(&r, COAP_REPLY(.code = COAP_TOO_LARGE, .size1 = (uint32_t)e->limits.max_body));
        return;
    }
    if (!(r.has_block2 && r.block2.num > 0 && block2_serve(&r))) e->hooks->on_request(e->user, &r);
    if (!r.answered && !r.kept) coap_request_text(&r, COAP_INTERNAL, NULL);
    if (whole) transfer_free(whole);
}

coap_request *coap_request_keep(coap_request *r)
{
    coap_peer *p = r->peer;
    coap_engine *e = p->engine;
    coap_request *kept;

    if (p->pending_count >= e->limits.peer_pending) return NULL;
    request_key(r);
    kept = mem_copy(e->mem, r, sizeof *r);
    if (!kept) return NULL;
    r->kept = kept->kept = true;
    kept->packet = NULL;
    kept->meta = NULL;
    kept->body = NULL;
    kept->body_len = 0;
    list_init(&kept->ack_link);
    list_push(&p->pending, &kept->peer_link);
    p->pending_count++;
    e->n.pending++;
    peer_hold(p);
    if (p->stream) return kept;
    if (!kept->remembered) kept->remembered = heard_add(e, heard_key(p, kept->id, &kept->token));
    if (kept->type == COAP_CON) {
        kept->ack_due = e->now + e->limits.ack_delay;
        list_push(&e->acks, &kept->ack_link);
    }
    return kept;
}

/* RFC 7252 5.2.2: "the answer comes later" */
void request_send_ack(coap_request *r)
{
    uint8_t bytes[COAP_EMPTY_LEN];

    list_remove(&r->ack_link);
    r->acked = true;
    engine_send_copy(r->peer, bytes, coap_write_empty(bytes, COAP_ACK, r->id));
    if (r->remembered) heard_answer(r->engine, heard_key(r->peer, r->id, &r->token), bytes, sizeof bytes);
}

void request_age(coap_engine *e)
{
    while (!list_empty(&e->acks)) {
        coap_request *r = list_of(e->acks.next, coap_request, ack_link);

        if (r->ack_due > e->now) return;
        request_send_ack(r);
    }
}

static void request_free(coap_request *r)
{
    coap_peer *p = r->peer;

    list_remove(&r->ack_link);
    list_remove(&r->peer_link);
    p->pending_count--;
    p->engine->n.pending--;
    peer_release(p);
    mem_free(p->engine->mem, r);
}

void request_drop(coap_request *r)
{
    if (r->engine->hooks->on_dropped) r->engine->hooks->on_dropped(r->engine->user, r);
    request_free(r);
}

uint64_t request_key(coap_request *r)
{
    if (r->has_key) return r->key;
    r->key = r->whole_key = coap_cache_key(r->packet, r->engine->seed);
    if (r->code == COAP_FETCH && r->body_len) r->whole_key = hash_bytes(r->body, r->body_len, r->key);
    r->has_key = true;
    return r->key;
}

uint64_t request_whole_key(coap_request *r)
{
    request_key(r);
    return r->whole_key;
}

/* ---- Answering */

/* RFC 7967 2: bit 1 for class 2, bit 3 for class 4, bit 4 for class 5 */
static bool nobody_wants(const coap_request *r, uint8_t code)
{
    if (r->multicast && coap_class(code) != 2) return true; /* RFC 7252 8.2 */
    return r->no_response & 1 << (coap_class(code) - 1);
}

static void answer_nothing(coap_request *r)
{
    if (r->type == COAP_CON && !r->peer->stream && !r->acked) request_send_ack(r);
}

static void answer_piggybacked(coap_request *r, coap_shape *shape, const coap_reply *reply)
{
    coap_peer *p = r->peer;
    uint8_t *start, *room = engine_room(p, COAP_DATAGRAM_MAX);
    int64_t len;

    if (!room) return;
    shape->type = r->type == COAP_CON ? COAP_ACK : COAP_NON;
    shape->id = r->type == COAP_CON ? r->id : peer_new_id(p);
    len = shape_write(p, shape, reply, room, COAP_DATAGRAM_MAX, &start);
    if (len < 0) len = shape_write(p, shape, COAP_REPLY(.code = COAP_INTERNAL), room, COAP_DATAGRAM_MAX, &start);
    if (len < 0) return;
    if (r->remembered && r->type == COAP_CON) heard_answer(r->engine, heard_key(p, r->id, &r->token), start, (size_t)len);
    engine_send(p, start, (size_t)len);
}

/* RFC 7252 5.2.2: the request was acknowledged before, so the answer is a confirmable message of its own. */
static void answer_separately(coap_request *r, coap_shape *shape, const coap_reply *reply)
{
    coap_peer *p = r->peer;
    coap_sent *s = outbox_new(p, COAP_DATAGRAM_MAX);
    uint8_t *start;
    int64_t len;

    if (!s) return;
    shape->type = COAP_CON;
    shape->id = s->id;
    len = shape_write(p, shape, reply, s->data, COAP_DATAGRAM_MAX, &start);
    if (len < 0) len = shape_write(p, shape, COAP_REPLY(.code = COAP_INTERNAL), s->data, COAP_DATAGRAM_MAX, &start);
    s->len = (uint16_t)len;
    outbox_send(s);
}

static void answer_stream(coap_request *r, coap_shape *shape, const coap_reply *reply)
{
    coap_peer *p = r->peer;
    size_t max = reply->len + COAP_DATAGRAM_MAX;
    uint8_t *start, *room = engine_room(p, max);
    int64_t len = room ? shape_write(p, shape, reply, room, max, &start) : -1;

    if (len > 0) engine_send(p, start, (size_t)len);
}

static void answer(coap_request *r, const coap_reply *reply)
{
    coap_peer *p = r->peer;
    coap_shape shape = {.token = &r->token, .observe = -1, .has_block1 = r->has_block1, .block1 = r->block1};
    echo_room room;
    coap_reply challenge, none = {.code = COAP_BAD_REQUEST, .data = "no such block", .len = 13};

    if (nobody_wants(r, reply->code)) {
        answer_nothing(r);
        return;
    }
    if (reply->observer) shape.observe = observer_next(reply->observer);
    if (coap_class(reply->code) == 2 && (!p->stream || reply->len > p->max_message || r->has_block2)) {
        shape_cut(&shape, reply->len, r->has_block2, r->block2, r->engine->limits.szx);
        if (shape.block2 && !shape.first && shape.part.num * coap_block_size(shape.part.szx) >= reply->len) {
            shape.block2 = false;
            reply = &none;
        }
        if (shape.block2 && shape.part.more && !r->from_snapshot) snapshot_keep(p, request_key(r), request_whole_key(r), reply);
    }
    if (!reply->observer && coap_class(reply->code) == 2 &&
        !echo_may_answer(r, shape.block2 ? coap_block_size(shape.part.szx) : reply->len)) {
        challenge = echo_challenge(r, &room);
        reply = &challenge;
        shape.block2 = false;
    }
    if (p->stream)
        answer_stream(r, &shape, reply);
    else if (r->acked)
        answer_separately(r, &shape, reply);
    else
        answer_piggybacked(r, &shape, reply);
}

void coap_respond(coap_request *r, const coap_reply *reply)
{
    if (r->answered) return;
    r->answered = true;
    answer(r, reply);
    if (r->kept && !r->packet) request_free(r);
}

void coap_request_text(coap_request *r, uint8_t code, const char *why)
{
    coap_respond(r, COAP_REPLY(.code = code, .data = why, .len = why ? strlen(why) : 0));
}
