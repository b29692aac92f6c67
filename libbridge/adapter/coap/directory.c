#include "adapter/coap/directory.h"
#include "base/clock.h"

directory *directory_of(coap_port *cp)
{
    coap_port *home = cp->has_directory ? coap_home(cp) : NULL;

    return home ? directory_make(home) : NULL;
}

directory *directory_make(coap_port *home)
{
    directory *d = home->directory;
    uint64_t seed;

    if (d) return d;
    d = mem_new(home->mem, directory);
    if (!d) return NULL;
    random_bytes(&seed, sizeof seed);
    random_bytes(&d->last_id, 4); /* so that locations of an earlier life of ours mean nobody */
    d->home = home;
    list_init(&d->all);
    list_init(&d->watchers);
    map_init(&d->by_key, home->mem, seed);
    map_init(&d->by_id, home->mem, seed);
    home->directory = d;
    return d;
}

void directory_links(coap_port *cp, listing *l)
{
    if (!cp->has_directory) return;
    listing_add(l, text_of("/rd"), text_of(";rt=\"core.rd\";ct=40"));
    listing_add(l, text_of("/rd-lookup/ep"), text_of(";rt=\"core.rd-lookup-ep\";ct=40;obs"));
    listing_add(l, text_of("/rd-lookup/res"), text_of(";rt=\"core.rd-lookup-res\";ct=40;obs"));
}

/* ---- one registration */

static size_t weight(const registration *r)
{
    return sizeof *r + r->key_len + r->links_len + (r->base ? strlen(r->base) : 0) + (r->extra ? strlen(r->extra) : 0);
}

static void registration_free(registration *r)
{
    mem *m = r->directory->home->mem;

    timer_stop(&r->life);
    mem_free(m, r->key);
    mem_free(m, r->base);
    mem_free(m, r->extra);
    mem_free(m, r->user);
    mem_free(m, r->links);
    mem_free(m, r);
}

static void leave(registration *r)
{
    directory *d = r->directory;

    map_remove(&d->by_key, r->key, r->key_len);
    map_remove(&d->by_id, &r->id, sizeof r->id);
    list_remove(&r->link);
    d->bytes -= weight(r);
    d->count--;
    registration_free(r);
}

void directory_remove(registration *r)
{
    directory *d = r->directory;

    registration_keep_not(r);
    leave(r);
    coap_watchers_again(&d->watchers);
}

void directory_free(directory *d)
{
    if (!d) return;
    while (list_pop(&d->watchers)) {}
    while (!list_empty(&d->all)) leave(list_of(d->all.next, registration, link));
    map_done(&d->by_key);
    map_done(&d->by_id);
    mem_free(d->home->mem, d);
}

static void on_expired(timer *t) { directory_remove(list_of(t, registration, life)); }

static int live(registration *r, const endpoint *e)
{
    if (e->has_lt) r->lt = e->lt;
    return timer_start(&r->life, r->directory->home->loop, (int64_t)r->lt * 1000, on_expired);
}

/* 0, or NOMEM and nothing changed */
static int swap_text(mem *m, char **at, text t)
{
    char *copy = mem_text_len(m, t.p ? t.p : "", t.len);

    if (!copy) return BRIDGE_NOMEM;
    mem_free(m, *at);
    *at = copy;
    return 0;
}

static char *key_make(mem *m, text ep, text d, size_t *len)
{
    char *key = mem_alloc(m, ep.len + d.len + 1);

    if (!key) return NULL;
    if (ep.len) memcpy(key, ep.p, ep.len);
    key[ep.len] = 0;
    if (d.len) memcpy(key + ep.len + 1, d.p, d.len);
    *len = ep.len + 1 + d.len;
    return key;
}

registration *directory_named(directory *d, text ep, text sector)
{
    size_t len;
    char *key = key_make(d->home->mem, ep, sector, &len);
    registration *r = key ? map_get(&d->by_key, key, len) : NULL;

    mem_free(d->home->mem, key);
    return r;
}

registration *directory_find(directory *d, text id)
{
    uint64_t number;

    return text_to_u64(id, UINT64_MAX, &number) ? map_get(&d->by_id, &number, sizeof number) : NULL;
}

static int fill(registration *r, const endpoint *e, const void *links, size_t len)
{
    mem *m = r->directory->home->mem;
    int rc;

    r->key = key_make(m, e->ep, e->d, &r->key_len);
    if (!r->key) return BRIDGE_NOMEM;
    r->ep = (text){r->key, e->ep.len};
    r->d = (text){r->key + e->ep.len + 1, e->d.len};
    r->base_said = e->base.len > 0;
    r->lt = DIRECTORY_LIFETIME;
    rc = swap_text(m, &r->base, r->base_said ? e->base : text_of(e->from ? e->from : ""));
    if (rc == 0) rc = swap_text(m, &r->extra, (text){(const char *)e->extra.data, e->extra.len});
    if (rc == 0) rc = swap_text(m, &r->links, (text){links, len});
    if (rc == 0 && e->user) rc = swap_text(m, &r->user, text_of(e->user));
    r->links_len = len;
    return rc;
}

static int enter(registration *r)
{
    directory *d = r->directory;
    int rc = map_put(&d->by_key, r->key, r->key_len, r, NULL);

    if (rc < 0) return rc;
    rc = map_put(&d->by_id, &r->id, sizeof r->id, r, NULL);
    if (rc < 0) {
        map_remove(&d->by_key, r->key, r->key_len);
        return rc;
    }
    list_push(&d->all, &r->link);
    d->bytes += weight(r);
    d->count++;
    return 0;
}

/* RFC 9176 5: the same ep and d take the place, and the location, of the registration that is there. */
int directory_register(directory *d, const endpoint *e, const void *links, size_t len, registration **out, bool *created)
{
    registration *old = directory_named(d, e->ep, e->d), *r;
    int rc;

    *created = !old;
    if (len > DIRECTORY_LINKS) return BRIDGE_TOOBIG;
    if ((!old && d->count >= DIRECTORY_MAX) || d->bytes + len > DIRECTORY_BYTES) return BRIDGE_BUSY;
    r = mem_new(d->home->mem, registration);
    if (!r) return BRIDGE_NOMEM;
    r->directory = d;
    list_init(&r->link);
    rc = fill(r, e, links, len);
    if (rc == 0) rc = live(r, e);
    if (rc < 0) {
        registration_free(r);
        return rc;
    }
    if (!old)
        while (map_get(&d->by_id, &(uint64_t){++d->last_id}, sizeof(uint64_t))) {} /* one that was restored */
    r->id = old ? old->id : d->last_id;
    if (old) leave(old);
    rc = enter(r);
    if (rc < 0) {
        registration_free(r);
        return rc;
    }
    registration_keep(r);
    coap_watchers_again(&d->watchers);
    *out = r;
    return 0;
}

/* As it was before a restart, for the time that it still has. */
void directory_restore(directory *d, const directory_kept *k)
{
    endpoint e = {.ep = k->ep, .d = k->d, .base = k->base};
    registration *r = k->links.len <= DIRECTORY_LINKS && d->count < DIRECTORY_MAX ? mem_new(d->home->mem, registration) : NULL;
    int rc;

    if (!r) return;
    r->directory = d;
    list_init(&r->link);
    rc = fill(r, &e, k->links.p, k->links.len);
    if (rc == 0) rc = swap_text(d->home->mem, &r->extra, k->extra);
    if (rc == 0 && k->user.len) rc = swap_text(d->home->mem, &r->user, k->user);
    r->base_said = k->base_said;
    r->lt = k->lt;
    r->id = k->id;
    if (rc == 0) rc = timer_start(&r->life, d->home->loop, k->left, on_expired);
    if (rc == 0) rc = enter(r);
    if (rc < 0) registration_free(r);
}

/* RFC 9176 5.3.1: what is not said stays; a base that was not said follows the endpoint. */
int directory_update(registration *r, const endpoint *e)
{
    directory *d = r->directory;
    mem *m = d->home->mem;
    size_t before = weight(r);
    bool moved;
    int rc = 0;

    if (e->base.len) r->base_said = true;
    moved = e->base.len ? !text_is(e->base, r->base) : !r->base_said && strcmp(r->base, e->from) != 0;
    if (moved) rc = swap_text(m, &r->base, e->base.len ? e->base : text_of(e->from));
    if (rc == 0 && e->extra.len) rc = swap_text(m, &r->extra, (text){(const char *)e->extra.data, e->extra.len});
    d->bytes += weight(r) - before;
    if (rc == 0) rc = live(r, e);
    registration_keep(r);
    if (rc == 0 && (moved || e->extra.len || e->has_lt)) coap_watchers_again(&d->watchers);
    return rc;
}
