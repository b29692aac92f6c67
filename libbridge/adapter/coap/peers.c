/* Peers by address: hash chains, and a line of the idle.  A peer that is heard does not move in the line (that would touch three
 * other peers for each message); when it comes to the front and was heard since, it goes to the back. */
#include "adapter/coap/inside.h"
#include "base/hash.h"

enum { PEERS_FIRST_ROOM = 64 };

static coap_peer **peers_chain(coap_engine *e, uint64_t hash) { return &e->peers[hash & (e->peer_room - 1)]; }

static int peers_grow(coap_engine *e)
{
    size_t room = e->peer_room ? e->peer_room * 2 : PEERS_FIRST_ROOM;
    coap_peer **bigger = mem_zalloc(e->mem, room * sizeof *bigger);

    if (!bigger) return BRIDGE_NOMEM;
    for (size_t i = 0; i < e->peer_room; i++) {
        for (coap_peer *p = e->peers[i], *next; p; p = next) {
            next = p->next;
            p->next = bigger[p->hash & (room - 1)];
            bigger[p->hash & (room - 1)] = p;
        }
    }
    mem_free(e->mem, e->peers);
    e->peers = bigger;
    e->peer_room = room;
    return 0;
}

static void peer_free(coap_peer *p)
{
    coap_engine *e = p->engine;

    outbox_drop(p);
    rate_leave(p);
    while (!list_empty(&p->transfers)) transfer_free(list_of(p->transfers.next, coap_transfer, peer_link));
    while (!list_empty(&p->snapshots)) snapshot_free(list_of(p->snapshots.next, coap_snapshot, peer_link));
    if (!p->link) {
        coap_peer **at = peers_chain(e, p->hash);

        while (*at != p) at = &(*at)->next;
        *at = p->next;
    }
    list_remove(&p->idle_link);
    e->n.peers--;
    if (e->hooks->on_peer_gone) e->hooks->on_peer_gone(e->user, p);
    mem_free(e->mem, p);
}

/* Takes the front of the line: freed, or sent to the back.  False: it is neither idle nor may it be pushed out. */
static bool peers_take_first(coap_engine *e, bool push_out)
{
    coap_peer *p = list_of(e->idle.next, coap_peer, idle_link);

    if (p->holds || p->flying_count || p->queue_count || p->seen > p->queued) {
        list_remove(&p->idle_link);
        list_push(&e->idle, &p->idle_link);
        p->queued = e->now;
        return false;
    }
    if (!push_out && e->now - p->seen < COAP_PEER_IDLE) return false;
    peer_free(p);
    return true;
}

void peers_age(coap_engine *e)
{
    while (!list_empty(&e->idle)) {
        coap_peer *p = list_of(e->idle.next, coap_peer, idle_link);

        if (e->now - p->queued < COAP_PEER_IDLE) return;
        peers_take_first(e, false);
    }
}

int64_t peers_due(const coap_engine *e)
{
    return list_empty(&e->idle) ? INT64_MAX : list_of(e->idle.next, coap_peer, idle_link)->queued + COAP_PEER_IDLE;
}

/* Over the limit some of the line is looked at for one that may go. */
static bool peers_make_place(coap_engine *e)
{
    for (int tries = 0; e->n.peers >= e->limits.max_peers && tries < 8; tries++)
        if (!list_empty(&e->idle)) peers_take_first(e, true);
    if (e->n.peers < e->limits.max_peers) return true;
    e->n.refused++;
    return false;
}

static coap_peer *peer_new(coap_engine *e)
{
    coap_peer *p = peers_make_place(e) ? mem_new(e->mem, coap_peer) : NULL;

    if (!p) return NULL;
    p->engine = e;
    p->seen = p->queued = p->heard = e->now;
    p->next_id = (uint16_t)engine_dice(e);
    list_init(&p->idle_link);
    list_init(&p->queue);
    list_init(&p->flying);
    list_init(&p->ready);
    list_init(&p->observers);
    list_init(&p->pending);
    list_init(&p->asks);
    list_init(&p->transfers);
    list_init(&p->snapshots);
    e->n.peers++;
    return p;
}

static uint64_t address_hash(const coap_engine *e, const coap_address *a) { return hash_bytes(a, sizeof *a, e->seed); }

coap_peer *coap_peer_find(coap_engine *e, int64_t now, const coap_address *address, bool make)
{
    uint64_t hash = address_hash(e, address);
    coap_peer *p;

    e->now = now;
    if (e->peer_room)
        for (p = *peers_chain(e, hash); p; p = p->next)
            if (p->hash == hash && memcmp(&p->address, address, sizeof *address) == 0) {
                p->seen = now;
                return p;
            }
    if (!make || (e->n.peers >= e->peer_room && peers_grow(e) < 0 && !e->peer_room)) return NULL;
    p = peer_new(e);
    if (!p) return NULL;
    p->address = *address;
    p->hash = hash;
    p->next = *peers_chain(e, hash);
    *peers_chain(e, hash) = p;
    list_push(&e->idle, &p->idle_link);
    return p;
}

coap_peer *coap_peer_connected(coap_engine *e, void *link)
{
    coap_peer *p = peer_new(e);

    if (!p) return NULL;
    p->link = link;
    p->hash = hash_bytes(&p, sizeof p, e->seed ^ ++e->ask_serial);
    return p;
}

void coap_peer_set_stream(coap_peer *peer, size_t max_message, bool bert)
{
    peer->stream = true;
    peer->max_message = max_message;
    peer->bert = bert;
}

void coap_peer_lost(coap_peer *peer)
{
    peer->dead = true; /* nothing goes out any more */
    observers_drop(peer, COAP_WHY_LOST);
    while (!list_empty(&peer->pending)) request_drop(list_of(peer->pending.next, coap_request, peer_link));
    asks_drop(peer, BRIDGE_CLOSED);
    peer_free(peer);
}

void coap_peer_pin(coap_peer *peer, bool pinned)
{
    if (pinned)
        peer_hold(peer);
    else
        peer_release(peer);
}

void coap_peer_park(coap_peer *peer, int status)
{
    peer_hold(peer);
    peer->parked = true;
    asks_drop(peer, status);
    outbox_drop(peer);
    peer_release(peer);
}

void coap_peer_ready(coap_peer *peer, int64_t now)
{
    peer->engine->now = now;
    peer->parked = false;
    asks_begin(peer);
}

void coap_peer_refused(coap_peer *peer, int64_t now)
{
    peer->engine->now = now;
    peer_hold(peer);
    outbox_refused(peer);
    peer_release(peer);
}

void peers_done(coap_engine *e)
{
    while (!list_empty(&e->idle)) coap_peer_lost(list_of(e->idle.next, coap_peer, idle_link));
    mem_free(e->mem, e->peers);
}

int64_t coap_peer_heard(const coap_peer *peer) { return peer->stream ? INT64_MAX : peer->heard; }
const coap_address *coap_peer_address(const coap_peer *peer) { return &peer->address; }
void **coap_peer_user(coap_peer *peer) { return &peer->user; }
void *coap_peer_link(const coap_peer *peer) { return peer->link; }
