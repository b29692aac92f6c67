#include "adapter/coap/engine.h"
#include "adapter/coap/inside.h"
#include "base/clock.h"

uint32_t engine_dice(coap_engine *e) /* xorshift: jitter and first message ids, not secrets */
{
    e->dice ^= e->dice << 13;
    e->dice ^= e->dice >> 7;
    e->dice ^= e->dice << 17;
    return (uint32_t)(e->dice >> 16);
}

void engine_send_copy(coap_peer *p, const uint8_t *bytes, size_t len)
{
    uint8_t *room = p->dead ? NULL : engine_room(p, len);

    if (!room) return;
    memcpy(room, bytes, len);
    engine_send(p, room, len);
}

void engine_send_empty(coap_peer *p, coap_type type, uint16_t id)
{
    uint8_t bytes[COAP_EMPTY_LEN];

    if (!p->stream) engine_send_copy(p, bytes, coap_write_empty(bytes, type, id));
}

static void limits_fill(coap_limits *l)
{
#define OR(field, value)                                                                                               \
    if (!l->field) l->field = value
    OR(max_body, 1 << 20);
    OR(max_transfer_bytes, 16 << 20);
    OR(max_peers, 100000);
    OR(max_observers, 100000);
    OR(peer_observers, 1000);
    OR(peer_transfers, 4);
    OR(peer_pending, 64);
    OR(peer_asks, 256);
    OR(peer_queue, 64);
    OR(max_snapshots, 4096);
    OR(max_heard, 65536);
    OR(max_heard_bytes, 4 << 20);
    OR(nstart, 1);
    OR(ack_timeout, 2000);
    OR(max_retransmit, 4);
    OR(ack_delay, 200);
    OR(block, 1024);
#undef OR
    l->szx = 6;
    for (unsigned block = l->block; block < 1024; block *= 2) l->szx--;
}

void coap_engine_limit(coap_engine *e, const coap_limits *limits)
{
    e->limits = *limits;
    limits_fill(&e->limits);
}

int coap_engine_new(coap_engine **out, mem *m, const coap_hooks *hooks, void *user, const coap_limits *limits, int64_t now)
{
    coap_engine *e = mem_new(m, coap_engine);

    if (!e) return BRIDGE_NOMEM;
    e->mem = m;
    e->hooks = hooks;
    e->user = user;
    e->now = now;
    e->timers.mem = m;
    coap_engine_limit(e, limits ? limits : &(coap_limits){0});
    random_bytes(&e->seed, sizeof e->seed);
    random_bytes(&e->dice, sizeof e->dice);
    random_bytes(e->echo_secret, sizeof e->echo_secret);
    e->dice |= 1;
    list_init(&e->idle);
    list_init(&e->acks);
    list_init(&e->transfers);
    list_init(&e->snapshots);
    list_init(&e->checks);
    map_init(&e->asks, m, e->seed);
    map_init(&e->rates, m, e->seed);
    list_init(&e->rates_unused);
    *out = e;
    return 0;
}

void coap_engine_free(coap_engine *e)
{
    if (!e) return;
    peers_done(e);
    map_done(&e->asks);
    rates_done(e);
    heard_done(e);
    coap_timers_done(&e->timers);
    mem_free(e->mem, e);
}

const coap_limits *coap_engine_limits(const coap_engine *e) { return &e->limits; }

coap_counters coap_engine_counters(const coap_engine *e)
{
    coap_counters n = e->n;

    n.heard = e->heard.count;
    return n;
}

static void packet_input(coap_peer *p, const coap_packet *packet, bool multicast)
{
    if (packet->code == COAP_EMPTY) {
        if (packet->type == COAP_CON) engine_send_empty(p, COAP_RST, packet->id); /* a ping; RFC 7252 4.3 */
        if (packet->type == COAP_ACK) outbox_acked(p, packet->id, 0);
        if (packet->type == COAP_RST) p->engine->n.resets++, outbox_acked(p, packet->id, BRIDGE_UNREACHABLE);
    } else if (coap_is_request(packet->code)) {
        if (packet->type == COAP_CON || packet->type == COAP_NON) request_input(p, packet, multicast);
    } else if (packet->type != COAP_RST) {
        ask_input(p, packet);
    }
}

static void datagram_input(coap_peer *p, const uint8_t *bytes, size_t len, bool multicast)
{
    coap_engine *e = p->engine;
    coap_packet packet;
    coap_parse got = coap_parse_datagram(&packet, bytes, len);

    if (got == COAP_PARSED) {
        packet_input(p, &packet, multicast);
        return;
    }
    e->n.malformed++;
    /* RFC 7252 4.2: a confirmable message with a format error is rejected, all else ignored */
    if (got == COAP_MALFORMED && packet.type == COAP_CON && !multicast) engine_send_empty(p, COAP_RST, packet.id);
}

void coap_engine_input(coap_engine *e, int64_t now, const coap_address *from, const uint8_t *p, size_t len, bool multicast)
{
    coap_peer *peer;

    e->now = now;
    e->n.received++;
    if (len < COAP_EMPTY_LEN || p[0] >> 6 != 1) { /* noise makes no peer */
        e->n.malformed++;
        return;
    }
    peer = coap_peer_find(e, now, from, true);
    if (!peer) return;
    peer->heard = now;
    datagram_input(peer, p, len, multicast);
}

void coap_peer_input(coap_peer *peer, int64_t now, const uint8_t *p, size_t len)
{
    peer->engine->now = peer->seen = peer->heard = now;
    peer->engine->n.received++;
    datagram_input(peer, p, len, false);
}

void coap_peer_packet(coap_peer *peer, int64_t now, const coap_packet *packet)
{
    peer->engine->now = peer->seen = now;
    peer->engine->n.received++;
    if (coap_is_request(packet->code))
        request_input(peer, packet, false);
    else if (coap_is_response(packet->code))
        ask_input(peer, packet);
}

void coap_engine_tick(coap_engine *e, int64_t now)
{
    e->now = now;
    request_age(e);
    coap_timers_run(&e->timers, now);
    transfers_age(e);
    snapshots_age(e);
    observers_age(e);
    peers_age(e);
}

int64_t coap_engine_due(const coap_engine *e)
{
    int64_t due = coap_timers_due(&e->timers), idle = peers_due(e);

    if (idle < due) due = idle;
#define SOONER(head, type, link, field, wait)                                                                          \
    if (!list_empty(&e->head) && list_of(e->head.next, type, link)->field + (wait) < due)                              \
    due = list_of(e->head.next, type, link)->field + (wait)
    SOONER(acks, coap_request, ack_link, ack_due, 0);
    SOONER(transfers, coap_transfer, age_link, touched, COAP_TRANSFER_LIFE);
    SOONER(snapshots, coap_snapshot, age_link, since, COAP_SNAPSHOT_LIFE);
    SOONER(checks, coap_observer, check_link, last_confirm, COAP_OBSERVER_CHECK);
#undef SOONER
    return due;
}
