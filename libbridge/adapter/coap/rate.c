/* How many requests somebody makes in a second (limits.max_rate): each peer is counted for itself until it has proved a name; then all
 * peers of that name are counted as one, whatever addresses they come from, and also when they went and come again in that second. */
#include "adapter/coap/inside.h"

struct coap_rate {
    list link; /* in engine->rates_unused, in the order in which their last peers went */
    rate_count count;
    uint32_t peers, len;
    char name[];
};

static rate_count *count_of(coap_peer *p)
{
    rate_count *c = p->rate ? &p->rate->count : &p->own_rate;
    int64_t second = p->engine->now / 1000;

    if (c->second != second) *c = (rate_count){.second = second};
    return c;
}

rate_verdict rate_take(coap_peer *p)
{
    uint32_t most = p->engine->limits.max_rate;
    rate_count *c;

    if (!most) return RATE_FINE;
    c = count_of(p);
    if (c->requests < 2 * most + 1) c->requests++;
    return c->requests <= most ? RATE_FINE : c->requests <= 2 * most ? RATE_OVER : RATE_FAR_OVER;
}

static void rate_free(coap_engine *e, coap_rate *r)
{
    list_remove(&r->link);
    map_remove(&e->rates, r->name, r->len);
    mem_free(e->mem, r);
}

static void forget(coap_engine *e, int64_t second)
{
    while (!list_empty(&e->rates_unused)) {
        coap_rate *r = list_of(e->rates_unused.next, coap_rate, link);

        if (r->count.second >= second) return;
        rate_free(e, r);
    }
}

void rate_leave(coap_peer *p)
{
    coap_rate *r = p->rate;

    p->rate = NULL;
    forget(p->engine, p->engine->now / 1000);
    if (r && --r->peers == 0) list_push(&p->engine->rates_unused, &r->link);
}

void rates_done(coap_engine *e)
{
    forget(e, INT64_MAX);
    map_done(&e->rates);
}

static coap_rate *rate_of(coap_engine *e, const char *name)
{
    size_t len = strlen(name);
    coap_rate *r = map_get(&e->rates, name, len);

    if (r) return r;
    r = mem_zalloc(e->mem, sizeof *r + len + 1);
    if (!r) return NULL;
    list_init(&r->link);
    r->len = (uint32_t)len;
    memcpy(r->name, name, len + 1);
    if (map_put(&e->rates, r->name, r->len, r, NULL) == 0) return r;
    mem_free(e->mem, r);
    return NULL;
}

bool coap_peer_named(coap_peer *p, const char *name)
{
    coap_engine *e = p->engine;
    uint32_t already = p->own_rate.second == e->now / 1000 ? p->own_rate.requests : 0;
    coap_rate *r = e->limits.max_rate ? rate_of(e, name) : NULL;

    if (!r || r == p->rate) return true;
    r->peers++;
    list_remove(&r->link); /* before the old one is left, which forgets what is unused */
    rate_leave(p);
    p->rate = r;
    for (uint32_t i = 0; i < already; i++)
        if (rate_take(p) != RATE_FINE) return false;
    return true;
}
