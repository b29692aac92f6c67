/* What the foreign server has (RFC 6690): asked for at the beginning, when it comes back, and every refresh= seconds.  What it tells is
 * listed, with its attributes; it is also how we know that it is there. */
#include "adapter/coap/foreign.h"
#include "adapter/coap/options.h"
#include "base/clock.h"
#include "codec/link.h"
#include "core/path.h"

typedef struct found {
    list link;
    bridge_owner *owner;
    uint32_t len;
    bool told; /* by the listing that is being read */
    char path[];
} found;

static const bridge_owner_fns fns = {.size = sizeof fns, .call = foreign_call, .interest = foreign_interest, .cancel = foreign_cancel};

void foreign_each_found(foreign *f, void (*fn)(foreign *, const char *, void *), void *user)
{
    list_each_safe (it, &f->found) fn(f, list_of(it, found, link)->path, user);
}

bool foreign_is_list(foreign *f, bridge_call *call)
{
    const bridge_fields *m = bridge_msg_look(bridge_call_msg(call), BRIDGE_FIELDS());
    size_t len = strlen(m->path);

    if (len == 0 || m->path[len - 1] != '/' || m->len || map_get(&f->found_by_path, m->path, len)) return false;
    list_each(it, &f->found)
    {
        if (strncmp(list_of(it, found, link)->path, m->path, len) == 0) return true;
    }
    return false;
}

static found *found_add(foreign *f, const char *path, size_t len)
{
    found *o = map_get(&f->found_by_path, path, len);

    if (o) return o;
    o = f->found_by_path.count < FOREIGN_FOUND ? mem_zalloc(f->mem, sizeof *o + len + 1) : NULL;
    if (!o) return NULL;
    o->len = (uint32_t)len;
    memcpy(o->path, path, len);
    if (map_put(&f->found_by_path, o->path, len, o, NULL) < 0) {
        mem_free(f->mem, o);
        return NULL;
    }
    list_push(&f->found, &o->link);
    foreign_found_one(f, o->path, 1);
    bridge_peer_own(f->peer, o->path, &fns, f, &o->owner); /* so that it is listed; it need not succeed */
    return o;
}

static void found_free(foreign *f, found *o)
{
    bridge_owner_close(o->owner);
    map_remove(&f->found_by_path, o->path, o->len);
    list_remove(&o->link);
    mem_free(f->mem, o);
}

/* What it says of a resource, as far as it holds here, too. */
static void describe(foreign *f, found *o, text params)
{
    static const char *const ours[] = {"rt", "if", "ct", "sz", "obs", "title"};
    link_param one;
    buf said;

    if (!o->owner) return;
    buf_init(&said, f->mem, 0);
    while (link_param_next(&params, &one))
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            if (text_is(one.name, ours[i])) link_put_again(&said, &one);
    bridge_owner_describe(o->owner, buf_cstr(&said)); /* too long, or no memory: it is told without */
    buf_done(&said);
}

static void take_link(foreign *f, const link_item *item)
{
    found *o = NULL;
    buf path;

    buf_init(&path, f->mem, PATH_BYTES);
    if (!memchr(item->target.p, '?', item->target.len) && foreign_path_here(f, item->target, &path) > 0)
        o = found_add(f, (char *)path.data, path.len);
    buf_done(&path);
    if (!o) return;
    o->told = true;
    describe(f, o, item->params);
}

/* What it no longer tells of is listed no longer, unless somebody watches it. */
static void forget_untold(foreign *f)
{
    list_each_safe (it, &f->found) {
        found *o = list_of(it, found, link);

        if (o->told || (o->owner && bridge_owner_is_wanted(o->owner, o->path))) continue;
        foreign_found_one(f, o->path, -1);
        found_free(f, o);
    }
}

static void take_links(foreign *f, text links)
{
    link_item item;
    int rc;

    list_each(it, &f->found) { list_of(it, found, link)->told = false; }
    while ((rc = link_next(&links, &item, NULL)) > 0) take_link(f, &item);
    if (rc == 0) forget_untold(f);
}

static void on_looking(timer *t) { foreign_probe(list_of(t, foreign, looking)); }

static void keep_tag(foreign *f, const coap_answer *a)
{
    f->listing_tag_len = a->meta->etag_count ? (uint8_t)a->meta->etags[0].len : 0;
    if (f->listing_tag_len) memcpy(f->listing_tag, a->meta->etags[0].p, f->listing_tag_len);
}

static void on_links(void *user, const coap_answer *a)
{
    foreign *f = user;

    f->probe = NULL;
    foreign_heard(f, a->status);
    if (f->closing || !f->discover) return;
    if (f->refresh) timer_start(&f->looking, f->loop, f->refresh, on_looking);
    if (a->status != 0 || a->code != COAP_CONTENT || !(a->meta->has & COAP_HAS_CONTENT_FORMAT) || a->meta->format != BRIDGE_LINKS) return;
    take_links(f, (text){(const char *)a->body, a->body_len});
    keep_tag(f, a);
}

void foreign_probe(foreign *f)
{
    coap_question ask;
    coap_ask *under_way = NULL;
    coap_saying s;
    int rc;

    timer_stop(&f->probing);
    if (f->probe || f->closing) return;
    coap_say_begin(&s, f->mem);
    foreign_say_where(f, &s, text_of(".well-known/core"));
    if (f->listing_tag_len) coap_say(&s, COAP_ETAG, f->listing_tag, f->listing_tag_len);
    rc = coap_say_end(&s);
    ask = (coap_question){.code = COAP_GET, .options = s.options, .option_count = s.count, .timeout = f->timeout};
    if (rc == 0) rc = coap_far_ask(&under_way, f->far, &ask, on_links, f);
    if (under_way) f->probe = under_way;
    coap_say_free(&s);
    if (rc < 0) foreign_probe_later(f);
}

static void on_probing(timer *t) { foreign_probe(list_of(t, foreign, probing)); }

void foreign_probe_later(foreign *f)
{
    int64_t ms = f->retry;
    uint32_t dice;

    if (f->probing.loop || f->closing) return;
    for (unsigned i = 0; i < f->probes && ms < FOREIGN_RETRY_MAX; i++) ms *= 2;
    if (ms > FOREIGN_RETRY_MAX) ms = FOREIGN_RETRY_MAX;
    f->probes++;
    random_bytes(&dice, sizeof dice);
    timer_start(&f->probing, f->loop, ms + dice % (ms / 4 + 1), on_probing);
}

void foreign_found_end(foreign *f)
{
    coap_ask_cancel(f->probe, false);
    f->probe = NULL;
    timer_stop(&f->probing);
    timer_stop(&f->looking);
    while (!list_empty(&f->found)) found_free(f, list_of(f->found.next, found, link));
}
