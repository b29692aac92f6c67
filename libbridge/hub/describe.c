/* What people say about paths: link attributes (RFC 6690 2), shown where paths are listed.  The most specific pattern counts. */
#include "base/status.h"
#include "codec/link.h"
#include "hub/hub.h"

struct description {
    ptrie_entry place;
    list link;
    size_t len;
    char attributes[]; /* ";rt=\"x\";obs" */
};

/* Is it the parameters of one link, and nothing else? */
static int check(mem *m, text said, bridge_error *err)
{
    link_item one;
    buf b;
    text rest;
    int rc;

    buf_init(&b, m, 0);
    rc = buf_text(&b, "<>");
    if (rc == 0) rc = buf_put(&b, said.p, said.len);
    rest = (text){(const char *)b.data, b.len};
    if (rc == 0) rc = link_next(&rest, &one, err);
    if (rc == 1) rc = one.params.len == said.len && !rest.len ? 0 : fail(err, BRIDGE_SYNTAX, "link attributes look like rt=\"x\";ct=50;obs");
    buf_done(&b);
    return rc;
}

static int make(hub *h, const char *said, description **out, bridge_error *err)
{
    size_t len = strlen(said), semicolon = len && *said != ';';
    description *d;
    int rc;

    if (len > HUB_DESCRIPTION_MAX) return fail(err, BRIDGE_TOOBIG, "link attributes of more than %d bytes", HUB_DESCRIPTION_MAX);
    if (h->descriptions.count >= HUB_MAX_DESCRIPTIONS) return fail(err, BRIDGE_BUSY, "more than %d descriptions", HUB_MAX_DESCRIPTIONS);
    d = mem_zalloc(h->mem, sizeof *d + semicolon + len + 1);
    if (!d) return fail_nomem(err);
    if (semicolon) d->attributes[0] = ';';
    memcpy(d->attributes + semicolon, said, len + 1);
    d->len = semicolon + len;
    rc = check(h->mem, (text){d->attributes, d->len}, err);
    if (rc == 0) *out = d;
    else mem_free(h->mem, d);
    return rc;
}

int describe(hub *h, const char *filter, const char *said, description **out, bridge_error *err)
{
    description *d = NULL;
    pattern *p = NULL;
    int rc = make(h, said, &d, err);

    if (rc == 0) rc = pattern_new(h->mem, &p, filter, strlen(filter), PATTERN_FULL, err);
    if (rc == 0 && ptrie_same(&h->descriptions, p)) rc = fail(err, BRIDGE_EXISTS, "\"%s\" is described already", filter);
    if (rc == 0) {
        d->place.pattern = p;
        rc = ptrie_add(&h->descriptions, &d->place);
        if (rc < 0) fail_nomem(err);
    }
    if (rc < 0) {
        mem_free(h->mem, p);
        mem_free(h->mem, d);
        return rc;
    }
    list_push(&h->described, &d->link);
    *out = d;
    return 0;
}

void undescribe(hub *h, description *d)
{
    ptrie_remove(&h->descriptions, &d->place);
    list_remove(&d->link);
    mem_free(h->mem, (void *)(uintptr_t)d->place.pattern);
    mem_free(h->mem, d);
}

void descriptions_free(hub *h)
{
    while (!list_empty(&h->described)) undescribe(h, list_of(h->described.next, description, link));
    ptrie_done(&h->descriptions);
}

int bridge_owner_describe(bridge_owner *o, const char *said)
{
    mem *m = o->peer->port->hub->mem;
    char *copy = NULL;
    int rc = 0;

    if (said && *said) {
        size_t len = strlen(said), semicolon = *said != ';';

        if (len > HUB_DESCRIPTION_MAX) return BRIDGE_TOOBIG;
        copy = mem_alloc(m, semicolon + len + 1);
        if (!copy) return BRIDGE_NOMEM;
        copy[0] = ';';
        memcpy(copy + semicolon, said, len + 1);
        rc = check(m, text_of(copy), NULL);
    }
    if (rc < 0) {
        mem_free(m, copy);
        return rc;
    }
    mem_free(m, o->attributes);
    o->attributes = copy;
    return 0;
}

static text described(hub *h, text path)
{
    ptrie_entry *e = h->descriptions.count ? ptrie_best(&h->descriptions, path.p, path.len) : NULL;

    return e ? (text){list_of(e, description, place)->attributes, list_of(e, description, place)->len} : (text){"", 0};
}

static bool says(text params, text name)
{
    link_param one;

    while (link_param_next(&params, &one))
        if (one.name.len == name.len && memcmp(one.name.p, name.p, name.len) == 0) return true;
    return false;
}

/* Of what its owner says, that which people say nothing of. */
static int put_owners_words(hub *h, text path, text said, buf *out)
{
    bridge_owner *o = h->tree->owners.count ? hub_owner(h, path.p, path.len) : NULL;
    text rest = o && o->attributes ? text_of(o->attributes) : (text){"", 0};
    link_param one;
    int rc = 0;

    while (rc == 0 && link_param_next(&rest, &one))
        if (!says(said, one.name)) rc = link_put_again(out, &one);
    return rc;
}

int bridge_peer_link(bridge_peer *peer, const char *name, int format, size_t size, bridge_buffer *out)
{
    hub *h = peer->port->hub;
    char path[PATH_BYTES + 1];
    size_t begins = out->len;
    int len = h->descriptions.count || h->tree->owners.count ? routes_path_of(h, peer->scheme, text_of(name), path, sizeof path) : 0;
    text canonical = {path, len > 0 ? (size_t)len : 0}, said = len > 0 ? described(h, canonical) : (text){"", 0};
    link_item one;
    link_param unused;
    bool ct, sz, obs;
    int rc = buf_put(out, said.p, said.len);

    if (rc == 0 && len > 0) rc = put_owners_words(h, canonical, said, out);
    one = (link_item){.params = {(const char *)out->data + begins, out->len - begins}};
    ct = link_param_find(&one, "ct", &unused);
    sz = link_param_find(&one, "sz", &unused);
    obs = link_param_find(&one, "obs", &unused);
    if (rc == 0 && format >= 0 && !ct) rc = buf_print(out, ";ct=%d", format);
    if (rc == 0 && size > HUB_SIZE_WORTH_TELLING && !sz) rc = buf_print(out, ";sz=%zu", size);
    if (rc == 0 && !obs) rc = buf_text(out, ";obs");
    return rc;
}
