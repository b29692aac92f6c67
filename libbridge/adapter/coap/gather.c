#include "adapter/coap/gather.h"

enum { NEXT = 1, CROWDED = 50 }; /* ms; CROWDED: there are WALKS_MAX others */

static void on_next(timer *t);

static void next_soon(coap_port *cp, unsigned wait)
{
    if (!list_empty(&cp->gathers) && !cp->gathering.loop && !cp->closing) timer_start(&cp->gathering, cp->loop, wait, on_next);
}

static void start_over(coap_gather *g)
{
    walk_free(g->walk);
    packer_free(g->packer);
    g->walk = NULL;
    g->packer = NULL;
    g->out->len = g->front;
}

void coap_gather_free(coap_gather *g)
{
    if (!g) return;
    list_remove(&g->link);
    if (g->watcher) g->watcher->gather = NULL;
    if (g->wait) g->wait->gather = NULL;
    walk_free(g->walk);
    packer_free(g->packer);
    mem_free(g->cp->mem, g->pattern);
    g->kind->free(g);
    mem_free(g->cp->mem, g);
}

static int add(void *user, bridge_msg *msg)
{
    coap_gather *g = user;
    int rc = g->packer ? packer_add(g->packer, msg) : g->kind->add(g, msg);

    return rc ? rc : g->out->len - g->slice >= WALK_BYTES;
}

/* 1: there is more */
static int some(coap_gather *g)
{
    int rc = g->walk ? 0 : walk_new(g->peer, g->pattern, &g->walk), more;

    if (rc == 0 && g->pack != BRIDGE_FORMAT_AUTO && !g->packer) rc = packer_new(g->cp->mem, g->question, g->pack, &g->packer);
    if (rc < 0) return rc;
    g->slice = g->out->len;
    more = walk_some(g->walk, WALK_VALUES, add, g);
    if (more >= 0 && g->packer) rc = packer_write(g->packer, g->out, more == 0);
    return rc < 0 ? rc : more;
}

static void finish(coap_gather *g, int rc)
{
    coap_watcher *w = g->watcher;

    list_remove(&g->link);
    if (w) w->gather = NULL;
    if (g->wait) g->request->user = NULL; /* it is answered now, not dropped */
    if (w && g->again) coap_watcher_news(w, g->confirm);
    g->kind->done(g, rc);
    g->watcher = NULL; /* which may be gone */
    if (g->wait) coap_wait_free(g->wait);
    else coap_gather_free(g);
}

/* The first of them: a slice. */
static void on_next(timer *t)
{
    coap_port *cp = list_of(t, coap_port, gathering);
    coap_gather *g;
    int more;

    if (cp->closing || list_empty(&cp->gathers)) return;
    g = list_of(cp->gathers.next, coap_gather, link);
    more = some(g);
    if (more <= 0 && more != BRIDGE_BUSY) finish(g, more);
    next_soon(cp, more == BRIDGE_BUSY ? CROWDED : NEXT);
    turn_end_want(cp->loop, &cp->flush);
}

static int keep(coap_gather *g)
{
    g->wait = coap_wait_new(g->cp, g->request);
    if (!g->wait) return BRIDGE_BUSY;
    g->wait->gather = g;
    g->request = g->wait->request;
    if (g->kind->keep) g->kind->keep(g);
    return 0;
}

void coap_gather_begin(coap_gather *g, const char *pattern)
{
    coap_port *cp = g->cp;
    int more;

    list_init(&g->link);
    g->front = g->out->len;
    g->pattern = mem_text(cp->mem, pattern);
    if (g->watcher) g->watcher->gather = g;
    more = g->pattern ? some(g) : BRIDGE_NOMEM;
    if (more == BRIDGE_BUSY) more = 1; /* it will have its turn */
    if (more > 0 && g->request) more = keep(g) < 0 ? BRIDGE_BUSY : more;
    if (more <= 0) {
        finish(g, more);
        return;
    }
    if (!list_empty(&cp->gathers)) start_over(g); /* only one at a time holds memory */
    list_push(&cp->gathers, &g->link);
    next_soon(cp, NEXT);
}

void coap_gather_again(coap_gather *g, bool confirm)
{
    g->confirm |= confirm;
    g->again |= g->walk != NULL;
}

void coap_gather_unwatched(coap_gather *g)
{
    g->watcher = NULL;
    if (!g->request) coap_gather_free(g);
}
