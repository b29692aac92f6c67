/* adapter/uplink/link.c - the loop's side of a link: its life, its orders, what is collected from it. */
#include "adapter/uplink/inside.h"
#include <string.h>

/* ---- news for the loop */

link_news *link_news_new(paho_link *k, link_kind kind, unsigned epoch)
{
    link_news *n = mem_new(k->mem, link_news);

    if (!n) return NULL; /* the loop's own timers notice that nothing comes */
    n->kind = kind;
    n->epoch = epoch;
    return n;
}

static void on_woken(void *user)
{
    paho_link *k = user;

    if (k->on_news) k->on_news(k->user);
    link_unref(k);
}

void link_wake(paho_link *k)
{
    if (k->posted || k->deaf) return;
    atomic_fetch_add(&k->refs, 1);
    k->posted = loop_post(k->loop, on_woken, k) == 0;
    if (k->posted) return;
    atomic_fetch_sub(&k->refs, 1); /* who holds the lock has one, too */
    k->nag = true; /* no memory, or the loop's queue is full: the courier tries again */
    pthread_cond_signal(&k->work);
}

void link_tell(paho_link *k, link_news *n)
{
    if (!n) return;
    pthread_mutex_lock(&k->lock);
    *k->last_news = n;
    k->last_news = &n->next;
    if (n->kind <= LINK_LOST && n->code != INT32_MIN) k->nudge = 0; /* connected, or not */
    link_wake(k);
    pthread_mutex_unlock(&k->lock);
}

/* ---- orders and lives */

void link_order_free(paho_link *k, order *o)
{
    for (unsigned i = 0; i < o->count; i++) mem_free(k->mem, o->filters[i].filter);
    mem_free(k->mem, o->filters);
    link_settings_free(o->settings);
    mem_free(k->mem, o);
}

int link_new(paho_link **out, loop *l, mem *m, void (*on_news)(void *user), void *user)
{
    paho_link *k = mem_new(m, paho_link);
    pthread_attr_t detached;
    pthread_t thread;
    int rc;

    if (!k) return BRIDGE_NOMEM;
    k->mem = mem_ref(m);
    atomic_init(&k->refs, 2);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->work, NULL);
    pthread_cond_init(&k->room, NULL);
    k->loop = l;
    k->on_news = on_news;
    k->user = user;
    list_init(&k->orphans);
    k->last_order = &k->orders;
    k->last_news = &k->harvest.news;
    k->last_arrival = &k->harvest.arrivals;
    k->last_done = &k->harvest.done;
    k->last_out = &k->outbox;
    k->max_inflight = 1;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &detached, link_courier, k);
    pthread_attr_destroy(&detached);
    if (rc != 0) {
        link_unref(k);
        link_unref(k);
        return BRIDGE_IO;
    }
    *out = k;
    return 0;
}

void link_unref(paho_link *k)
{
    mem *m = k->mem;

    if (atomic_fetch_sub(&k->refs, 1) != 1) return;
    while (k->orders) {
        order *o = k->orders;
        k->orders = o->next;
        link_order_free(k, o);
    }
    while (k->harvest.arrivals) {
        arrival *a = k->harvest.arrivals;
        k->harvest.arrivals = a->next;
        mem_free(m, a);
    }
    link_news_free(m, k->harvest.news);
    link_settings_free(k->settings);
    while (!list_empty(&k->orphans)) parcel_free(m, list_of(list_pop(&k->orphans), parcel, link));
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->work);
    pthread_cond_destroy(&k->room);
    mem_free(m, k);
    mem_unref(m);
}

static int give_order(paho_link *k, const order *said)
{
    order *o = mem_copy(k->mem, said, sizeof *said);

    if (!o) {
        order copy = *said;
        for (unsigned i = 0; i < copy.count; i++) mem_free(k->mem, copy.filters[i].filter);
        mem_free(k->mem, copy.filters);
        link_settings_free(copy.settings);
        return BRIDGE_NOMEM;
    }
    pthread_mutex_lock(&k->lock);
    *k->last_order = o;
    k->last_order = &o->next;
    pthread_cond_signal(&k->work);
    pthread_mutex_unlock(&k->lock);
    return 0;
}

unsigned link_open(paho_link *k, link_settings *s)
{
    unsigned epoch = ++k->epoch;

    give_order(k, &(order){.kind = ORDER_OPEN, .epoch = epoch, .settings = s});
    return epoch;
}

int link_subscribe(paho_link *k, link_filter *filters, unsigned count, bool quiet)
{
    return give_order(k, &(order){.kind = ORDER_SUBSCRIBE, .filters = filters, .count = count, .quiet = quiet});
}

int link_unsubscribe(paho_link *k, char *filter)
{
    link_filter *one = mem_new(k->mem, link_filter);

    if (!one) {
        mem_free(k->mem, filter);
        return BRIDGE_NOMEM;
    }
    one->filter = filter;
    return give_order(k, &(order){.kind = ORDER_UNSUBSCRIBE, .filters = one, .count = 1});
}

void link_drop(paho_link *k)
{
    give_order(k, &(order){.kind = ORDER_DROP});
}

void link_close(paho_link *k, int linger)
{
    pthread_mutex_lock(&k->lock);
    k->closing = true; /* what arrives from now on is not waited for */
    pthread_cond_broadcast(&k->room);
    pthread_mutex_unlock(&k->lock);
    give_order(k, &(order){.kind = ORDER_CLOSE, .linger = linger});
}

void link_collect(paho_link *k, link_harvest *out)
{
    pthread_mutex_lock(&k->lock);
    *out = k->harvest;
    k->harvest = (link_harvest){NULL, NULL, NULL};
    k->last_news = &k->harvest.news;
    k->last_arrival = &k->harvest.arrivals;
    k->last_done = &k->harvest.done;
    k->arrived = 0;
    k->posted = false;
    pthread_cond_broadcast(&k->room);
    pthread_mutex_unlock(&k->lock);
}

void parcel_free(mem *m, parcel *p)
{
    if (!p) return;
    list_remove(&p->link);
    bridge_msg_unref(p->msg);
    mem_free(m, p);
}

void link_free(paho_link *k, list *rest)
{
    if (!k) return;
    pthread_mutex_lock(&k->lock);
    while (!list_empty(rest)) list_push(&k->orphans, list_pop(rest));
    k->deaf = k->closing = true;
    k->on_news = NULL;
    pthread_cond_broadcast(&k->room);
    pthread_cond_signal(&k->work);
    pthread_mutex_unlock(&k->lock);
    link_unref(k);
}

link_settings *link_settings_new(mem *m)
{
    link_settings *s = mem_new(m, link_settings);

    if (s) s->mem = m;
    return s;
}

void link_settings_free(link_settings *s)
{
    if (!s) return;
    char *texts[] = {s->host, s->path, s->client_id, s->user, s->ca, s->cert, s->key, s->ciphers, s->psk_identity, s->alpn, s->will, s->will_payload};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) mem_free(s->mem, texts[i]);
    if (s->password) explicit_bzero(s->password, s->password_len);
    mem_free(s->mem, s->password);
    explicit_bzero(s->psk, sizeof s->psk);
    mem_free(s->mem, s);
}

void link_news_free(mem *m, link_news *n)
{
    while (n) {
        link_news *next = n->next;
        mem_free(m, n->codes);
        mem_free(m, n);
        n = next;
    }
}
