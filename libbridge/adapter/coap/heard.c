/* Which message ids were heard lately, and what was answered (RFC 7252 4.5).  Entries stand in a ring in the order they came, so
 * the old end is where room is made: after EXCHANGE_LIFETIME, or earlier when the table is full.  The key is a seeded hash of
 * address, message id and token; its 64 bits are taken for the thing itself.  The token is in it because a fast client comes round
 * its 65,536 ids long before EXCHANGE_LIFETIME is over: what is sent again has the same token, what only has the same id has not. */
#include "adapter/coap/inside.h"
#include "base/hash.h"

enum { HEARD_FIRST_ROOM = 256 };

uint64_t heard_key(const coap_peer *p, uint16_t id, const coap_token *token)
{
    uint64_t word = 0;

    memcpy(&word, token->bytes, token->len);
    return hash_mix(p->hash ^ word, (uint64_t)id << 8 | token->len | 1ull << 63);
}

static uint32_t *heard_head(heard *h, uint64_t key) { return &h->heads[(key ^ key >> 32) & (h->room - 1)]; }

const uint8_t *heard_bytes(const heard_entry *e) { return e->len > sizeof e->answer.here ? e->answer.there : e->answer.here; }

heard_entry *heard_find(coap_engine *e, uint64_t key)
{
    heard *h = &e->heard;

    if (h->count == 0) return NULL;
    for (uint32_t at = *heard_head(h, key); at; at = h->ring[at - 1].next) {
        heard_entry *entry = &h->ring[at - 1];
        if (entry->key == key) return e->now - entry->since < COAP_EXCHANGE_LIFETIME ? entry : NULL;
    }
    return NULL;
}

static void heard_forget_first(coap_engine *e)
{
    heard *h = &e->heard;
    heard_entry *entry = &h->ring[h->first];
    uint32_t *at = heard_head(h, entry->key);

    while (*at != h->first + 1) at = &h->ring[*at - 1].next;
    *at = entry->next;
    if (entry->len > sizeof entry->answer.here) {
        h->bytes -= entry->len;
        mem_free(e->mem, entry->answer.there);
    }
    h->first = (h->first + 1) & (h->room - 1);
    h->count--;
}

static int heard_grow(coap_engine *e)
{
    heard *h = &e->heard, bigger = {.room = h->room ? h->room * 2 : HEARD_FIRST_ROOM, .bytes = h->bytes};

    if (bigger.room > e->limits.max_heard && h->room) return BRIDGE_TOOBIG;
    bigger.ring = mem_alloc(e->mem, bigger.room * sizeof *bigger.ring);
    bigger.heads = mem_zalloc(e->mem, bigger.room * sizeof *bigger.heads);
    if (!bigger.ring || !bigger.heads) {
        mem_free(e->mem, bigger.ring);
        mem_free(e->mem, bigger.heads);
        return BRIDGE_NOMEM;
    }
    for (uint32_t i = 0; i < h->count; i++) {
        heard_entry *to = &bigger.ring[bigger.count++];
        uint32_t *head;

        *to = h->ring[(h->first + i) & (h->room - 1)];
        head = heard_head(&bigger, to->key);
        to->next = *head;
        *head = bigger.count;
    }
    mem_free(e->mem, h->ring);
    mem_free(e->mem, h->heads);
    *h = bigger;
    return 0;
}

bool heard_add(coap_engine *e, uint64_t key)
{
    heard *h = &e->heard;
    heard_entry *entry;
    uint32_t at, *head;

    while (h->count && e->now - h->ring[h->first].since >= COAP_EXCHANGE_LIFETIME) heard_forget_first(e);
    if (h->count == h->room && heard_grow(e) < 0) {
        if (h->room == 0) return false;
        heard_forget_first(e);
    }
    at = (h->first + h->count++) & (h->room - 1);
    entry = &h->ring[at];
    head = heard_head(h, key);
    *entry = (heard_entry){.key = key, .since = e->now, .next = *head};
    *head = at + 1;
    return true;
}

void heard_answer(coap_engine *e, uint64_t key, const uint8_t *p, size_t len)
{
    heard *h = &e->heard;
    heard_entry *entry = heard_find(e, key);

    if (!entry || len > UINT16_MAX) return;
    if (entry->len > sizeof entry->answer.here) {
        h->bytes -= entry->len;
        mem_free(e->mem, entry->answer.there);
    }
    entry->len = 0;
    if (len <= sizeof entry->answer.here) {
        memcpy(entry->answer.here, p, len);
    } else {
        uint8_t *copy = mem_copy(e->mem, p, len);

        if (!copy) return;
        entry->answer.there = copy;
        h->bytes += len;
    }
    entry->len = (uint16_t)len;
    while (h->bytes > e->limits.max_heard_bytes && h->count > 1) heard_forget_first(e);
}

void heard_done(coap_engine *e)
{
    while (e->heard.count) heard_forget_first(e);
    mem_free(e->mem, e->heard.ring);
    mem_free(e->mem, e->heard.heads);
    e->heard = (heard){0};
}
