/* Putting the blocks of a request together (RFC 7959 2.5), with or without Size1. */
#include "adapter/coap/inside.h"

void transfer_free(coap_transfer *t)
{
    coap_engine *e = t->peer->engine;

    e->transfer_bytes -= t->cap;
    e->n.transfers--;
    t->peer->transfer_count--;
    list_remove(&t->peer_link);
    list_remove(&t->age_link);
    mem_free(e->mem, t->data);
    mem_free(e->mem, t);
}

void transfers_age(coap_engine *e)
{
    while (!list_empty(&e->transfers)) {
        coap_transfer *t = list_of(e->transfers.next, coap_transfer, age_link);

        if (t->touched + COAP_TRANSFER_LIFE > e->now) return;
        transfer_free(t);
    }
}

static coap_transfer *transfer_find(coap_peer *p, uint64_t key)
{
    list_each (it, &p->transfers) {
        coap_transfer *t = list_of(it, coap_transfer, peer_link);
        if (t->key == key) return t;
    }
    return NULL;
}

static coap_transfer *transfer_new(coap_peer *p, uint64_t key)
{
    coap_engine *e = p->engine;
    coap_transfer *t;

    /* a peer that begins one too many gives up its oldest */
    if (p->transfer_count >= e->limits.peer_transfers) transfer_free(list_of(p->transfers.next, coap_transfer, peer_link));
    t = mem_new(e->mem, coap_transfer);
    if (!t) return NULL;
    t->peer = p;
    t->key = key;
    list_push(&p->transfers, &t->peer_link);
    list_push(&e->transfers, &t->age_link);
    p->transfer_count++;
    e->n.transfers++;
    return t;
}

static int transfer_room(coap_transfer *t, size_t want)
{
    coap_engine *e = t->peer->engine;
    size_t cap = t->cap ? t->cap : 1024;
    uint8_t *bigger;

    if (want <= t->cap) return 0;
    if (want > e->limits.max_body) return BRIDGE_TOOBIG;
    while (cap < want) cap += cap / 2;
    if (cap > e->limits.max_body) cap = e->limits.max_body;
    if (e->transfer_bytes - t->cap + cap > e->limits.max_transfer_bytes) return BRIDGE_BUSY;
    bigger = mem_realloc(e->mem, t->data, cap);
    if (!bigger) return BRIDGE_NOMEM;
    e->transfer_bytes += cap - t->cap;
    t->data = bigger;
    t->cap = cap;
    return 0;
}

/* What is wrong with this block by itself? */
static const char *block_fault(const coap_request *r)
{
    size_t size = coap_block_size(r->block1.szx);

    if (r->block1.more && r->block1.szx == 7 ? r->body_len % size || !r->body_len : r->block1.more && r->body_len != size)
        return "a block that is not the last must be full";
    if (r->block1.szx < 7 && r->body_len > size) return "more bytes than the block holds";
    return NULL;
}

static void answer_too_large(coap_request *r)
{
    coap_respond(r, COAP_REPLY(.code = COAP_TOO_LARGE, .size1 = (uint32_t)r->engine->limits.max_body));
}

static void answer_continue(coap_request *r)
{
    /* RFC 7959 2.5: smaller blocks, please, if we want them smaller; the number stays that of the request */
    if (r->block1.szx > r->engine->limits.szx && !r->peer->bert) r->block1.szx = (uint8_t)r->engine->limits.szx;
    coap_respond(r, COAP_REPLY(.code = COAP_CONTINUE));
}

/* What came before its turn and now has it. */
static void transfer_join(coap_transfer *t)
{
    for (unsigned i = 0; i < t->ahead_count;) {
        if (t->ahead[i].from > t->len) {
            i++;
            continue;
        }
        if (t->ahead[i].to > t->len) t->len = t->ahead[i].to;
        t->ahead[i] = t->ahead[--t->ahead_count];
        i = 0;
    }
}

/* A block before its turn is kept, when it is near and not the last: that one is asked for again (4.08), as it tells the end. */
static int transfer_keep(coap_transfer *t, const coap_request *r, uint64_t offset)
{
    int rc;

    if (!r->block1.more || offset - t->len > COAP_AHEAD * r->body_len) return BRIDGE_NOTFOUND;
    for (unsigned i = 0; i < t->ahead_count; i++)
        if (t->ahead[i].from <= offset && t->ahead[i].to >= offset + r->body_len) return BRIDGE_EXISTS;
    if (t->ahead_count == COAP_AHEAD) return BRIDGE_NOTFOUND;
    rc = transfer_room(t, offset + r->body_len);
    if (rc < 0) return rc;
    memcpy(t->data + offset, r->body, r->body_len);
    t->ahead[t->ahead_count].from = offset;
    t->ahead[t->ahead_count++].to = offset + r->body_len;
    return 0;
}

/* Adds a block at its place.  0, or a negative status; EXISTS: we have it already. */
static int transfer_add(coap_transfer *t, const coap_request *r, uint64_t offset)
{
    int rc;

    if (offset + r->body_len <= t->len && r->block1.more) return BRIDGE_EXISTS;
    if (offset > t->len) return transfer_keep(t, r, offset);
    if (offset != t->len) return BRIDGE_NOTFOUND;
    rc = transfer_room(t, t->len + r->body_len);
    if (rc < 0) return rc;
    if (r->body_len) memcpy(t->data + t->len, r->body, r->body_len);
    t->len += r->body_len;
    transfer_join(t);
    t->touched = t->peer->engine->now;
    list_remove(&t->age_link);
    list_push(&t->peer->engine->transfers, &t->age_link);
    return 0;
}

bool block1_take(coap_request *r, coap_transfer **whole)
{
    uint64_t offset = (uint64_t)r->block1.num * coap_block_size(r->block1.szx), key;
    const char *fault = block_fault(r);
    coap_transfer *t;
    int rc;

    if (fault) {
        coap_request_text(r, COAP_BAD_REQUEST, fault);
        return false;
    }
    if ((r->meta->has & COAP_HAS_SIZE1 && r->meta->size1 > r->engine->limits.max_body) ||
        offset + r->body_len > r->engine->limits.max_body) {
        answer_too_large(r);
        return false;
    }
    if (r->block1.num == 0 && !r->block1.more) return true; /* all of it in one */
    key = request_key(r); /* with its Request-Tags: RFC 9175 3.3 */
    t = transfer_find(r->peer, key);
    if (r->block1.num == 0) { /* from the beginning (again) */
        if (t) transfer_free(t);
        t = transfer_new(r->peer, key);
    }
    rc = t ? transfer_add(t, r, offset) : r->block1.num ? BRIDGE_NOTFOUND : BRIDGE_NOMEM;
    if (rc == BRIDGE_EXISTS) rc = 0;
    if (rc < 0) {
        if (t && rc != BRIDGE_NOTFOUND) transfer_free(t);
        if (rc == BRIDGE_NOTFOUND)
            coap_request_text(r, COAP_INCOMPLETE, "a block before this one is missing");
        else if (rc == BRIDGE_TOOBIG)
            answer_too_large(r);
        else
            coap_respond(r, COAP_REPLY(.code = COAP_UNAVAILABLE, .max_age = COAP_SAY(10)));
        return false;
    }
    if (r->block1.more) {
        answer_continue(r);
        return false;
    }
    *whole = t;
    r->body = t->data;
    r->body_len = t->len;
    return true;
}
