/* What the foreign server has (RFC 6690): asked for at the beginning, and when it comes back.  What it tells is listed; it is also how
 * we know that it is there. */
#include "adapter/coap/foreign.h"
#include "base/clock.h"
#include "codec/link.h"
#include "core/path.h"

typedef struct found {
    list link;
    bridge_owner *owner;
    uint32_t len;
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

static void found_add(foreign *f, const char *path, size_t len)
{
    found *o;

    if (f->found_by_path.count >= FOREIGN_FOUND || map_get(&f->found_by_path, path, len)) return;
    o = mem_zalloc(f->mem, sizeof *o + len + 1);
    if (!o) return;
    o->len = (uint32_t)len;
    memcpy(o->path, path, len);
    if (map_put(&f->found_by_path, o->path, len, o, NULL) < 0) {
        mem_free(f->mem, o);
        return;
    }
    list_push(&f->found, &o->link);
    foreign_found_one(f, o->path);
    bridge_peer_own(f->peer, o->path, &fns, f, &o->owner); /* so that it is listed; it need not succeed */
}

static void take_links(foreign *f, text links)
{
    link_item item;

    while (link_next(&links, &item, NULL) > 0) {
        buf path;

        buf_init(&path, f->mem, PATH_BYTES);
        if (!memchr(item.target.p, '?', item.target.len) && foreign_path_here(f, item.target, &path) > 0) found_add(f, (char *)path.data, path.len);
        buf_done(&path);
    }
}

static void on_links(void *user, const coap_answer *a)
{
    foreign *f = user;

    f->probe = NULL;
    foreign_heard(f, a->status);
    if (f->discover && a->status == 0 && a->code == COAP_CONTENT && a->meta->has & COAP_HAS_CONTENT_FORMAT && a->meta->format == BRIDGE_LINKS)
        take_links(f, (text){(const char *)a->body, a->body_len});
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
    while (!list_empty(&f->found)) {
        found *o = list_of(f->found.next, found, link);

        bridge_owner_close(o->owner);
        map_remove(&f->found_by_path, o->path, o->len);
        list_remove(&o->link);
        mem_free(f->mem, o);
    }
}
