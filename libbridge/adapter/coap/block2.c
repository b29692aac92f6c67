/* Bodies larger than a block (RFC 7959 2.4): the first block goes out with the answer, and the body is held for a while so that
 * the other blocks, in any order and of any size, come from the same representation. */
#include "adapter/coap/inside.h"

int reply_hold(coap_engine *e, coap_reply *out, const coap_reply *reply)
{
    *out = *reply;
    out->extra = NULL;
    out->extra_count = 0;
    out->observer = NULL;
    if (reply->owner) {
        e->hooks->hold(reply->owner);
    } else if (reply->len) {
        out->data = mem_copy(e->mem, reply->data, reply->len);
        if (!out->data) return BRIDGE_NOMEM;
    }
    return 0;
}

void reply_let_go(coap_engine *e, coap_reply *held)
{
    if (held->owner)
        e->hooks->let_go(held->owner);
    else if (held->len)
        mem_free(e->mem, (void *)held->data);
    *held = (coap_reply){0};
}

/* whole_key is key when the question has no body: then the newest answer to one that had a body will do, too. */
static coap_snapshot *snapshot_find(coap_peer *p, uint64_t key, uint64_t whole_key)
{
    coap_snapshot *found = NULL;

    list_each (it, &p->snapshots) {
        coap_snapshot *s = list_of(it, coap_snapshot, peer_link);
        if (s->whole_key == whole_key) return s;
        if (whole_key == key && s->key == key) found = s;
    }
    return found;
}

void snapshot_free(coap_snapshot *s)
{
    coap_engine *e = s->peer->engine;

    list_remove(&s->peer_link);
    list_remove(&s->age_link);
    reply_let_go(e, &s->reply);
    e->n.snapshots--;
    mem_free(e->mem, s);
}

void snapshots_age(coap_engine *e)
{
    while (!list_empty(&e->snapshots)) {
        coap_snapshot *s = list_of(e->snapshots.next, coap_snapshot, age_link);

        if (s->since + COAP_SNAPSHOT_LIFE > e->now) return;
        snapshot_free(s);
    }
}

void snapshot_keep(coap_peer *p, uint64_t key, uint64_t whole_key, const coap_reply *reply)
{
    coap_engine *e = p->engine;
    coap_snapshot *s = snapshot_find(p, key, whole_key);

    if (s && s->whole_key == whole_key) snapshot_free(s);
    if (e->n.snapshots >= e->limits.max_snapshots) snapshot_free(list_of(e->snapshots.next, coap_snapshot, age_link));
    s = mem_new(e->mem, coap_snapshot);
    if (!s) return;
    if (reply_hold(e, &s->reply, reply) < 0) {
        mem_free(e->mem, s);
        return;
    }
    s->peer = p;
    s->key = key;
    s->whole_key = whole_key;
    s->since = e->now;
    list_push(&p->snapshots, &s->peer_link);
    list_push(&e->snapshots, &s->age_link);
    e->n.snapshots++;
}

bool block2_serve(coap_request *r)
{
    coap_snapshot *s = snapshot_find(r->peer, request_key(r), request_whole_key(r));
    coap_reply aged;

    if (!s) {
        if (r->code == COAP_GET || r->code == COAP_FETCH) return false; /* may be read again */
        coap_request_text(r, COAP_INCOMPLETE, "that answer is not there any more");
        return true;
    }
    aged = s->reply;
    if (aged.max_age) {
        aged.max_age -= (r->engine->now - s->since) / 1000;
        if (aged.max_age < COAP_SAY(0)) aged.max_age = COAP_SAY(0);
    }
    r->from_snapshot = true;
    coap_respond(r, &aged);
    return true;
}
