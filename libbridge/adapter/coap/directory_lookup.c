/* Lookups (RFC 9176 6): /rd-lookup/res gives links with their targets made whole, /rd-lookup/ep the endpoints. */
#include "adapter/coap/directory.h"
#include "base/hash.h"
#include <stdio.h>

typedef struct lookup {
    const registration *at;
    link_filter filters[LISTING_FILTERS];
    unsigned filter_count;
    uint64_t count, page, seen, said;
    bool endpoints, paged;
    buf *out, endpoint, target, params; /* the last three: scratch */
} lookup;

/* ---- targets made whole (RFC 3986 5.2, for what RFC 9176 allows) */

static bool is_absolute(text t)
{
    for (size_t i = 0; i < t.len; i++) {
        if (t.p[i] == ':') return i > 0;
        if (strchr("/?#", t.p[i])) return false;
    }
    return false;
}

static int put_whole(buf *out, const char *base, text target)
{
    const char *authority = strstr(base, "://"), *path = authority ? strchr(authority + 3, '/') : NULL;
    size_t upto = 0;
    int rc;

    if (!is_absolute(target) && authority) {
        if (target.len > 1 && target.p[0] == '/' && target.p[1] == '/')
            upto = (size_t)(authority + 1 - base);
        else if (target.len && target.p[0] == '/')
            upto = path ? (size_t)(path - base) : strlen(base);
        else
            upto = path ? (size_t)(strrchr(base, '/') + 1 - base) : strlen(base);
    }
    rc = upto ? buf_put(out, base, upto) : 0;
    if (rc == 0 && upto && !path && (!target.len || target.p[0] != '/')) rc = buf_put_u8(out, '/');
    return rc == 0 ? buf_put(out, target.p, target.len) : rc;
}

/* The parameters as they were, but for the anchor, which is made whole. */
static int put_params(lookup *l, const char *base, text params)
{
    link_param p;
    text rest = params;
    int rc = 0;

    buf_clear(&l->params);
    while (rc == 0 && params.len && link_param_next(&rest, &p) > 0) {
        text raw = {params.p, (size_t)(rest.p - params.p)};
        buf whole;

        params = rest;
        if (!text_is(p.name, "anchor")) {
            rc = buf_put(&l->params, raw.p, raw.len);
            continue;
        }
        buf_init(&whole, l->params.mem, 0);
        rc = put_whole(&whole, base, p.value);
        if (rc == 0) rc = link_put_param(&l->params, "anchor", (text){(const char *)whole.data, whole.len});
        buf_done(&whole);
    }
    return rc;
}

/* ---- one endpoint as a link */

static int put_params_of(buf *out, const registration *r)
{
    int rc = link_put_param(out, "base", text_of(r->base));

    if (rc == 0) rc = link_put_param(out, "ep", r->ep);
    if (rc == 0 && r->d.len) rc = link_put_param(out, "d", r->d);
    if (rc == 0) rc = buf_text(out, r->extra);
    return rc == 0 ? buf_print(out, ";lt=%u;ct=40;rt=\"core.rd-ep\"", (unsigned)r->lt) : rc;
}

static link_item endpoint_of(lookup *l, const registration *r, char *where, size_t room)
{
    int len = snprintf(where, room, "/rd/%llu", (unsigned long long)r->id);

    buf_clear(&l->endpoint);
    put_params_of(&l->endpoint, r);
    return (link_item){{where, (size_t)len}, {(const char *)l->endpoint.data, l->endpoint.len}};
}

/* ---- who matches */

static int make_whole(lookup *l, const registration *r, const link_item *said, link_item *out)
{
    int rc;

    buf_clear(&l->target);
    rc = put_whole(&l->target, r->base, said->target);
    if (rc == 0) rc = put_params(l, r->base, said->params);
    *out = (link_item){{(const char *)l->target.data, l->target.len}, {(const char *)l->params.data, l->params.len}};
    return rc;
}

static bool any_link_matches(lookup *l, const registration *r, const link_filter *f)
{
    text rest = {r->links, r->links_len};
    link_item said, one;

    while (link_next(&rest, &said, NULL) > 0)
        if (make_whole(l, r, &said, &one) == 0 && link_matches(&one, f, 1)) return true;
    return false;
}

/* False: this one is on another page, or there are enough. */
static bool counts(lookup *l)
{
    uint64_t n = l->seen++;

    if (!l->paged) return true;
    if (n < l->page * l->count || l->said >= l->count) return false;
    l->said++;
    return true;
}

static int say(lookup *l, const link_item *one)
{
    size_t before = l->out->len;
    int rc;

    if (!counts(l)) return 0;
    rc = link_put(l->out, one->target);
    if (rc == 0) rc = buf_put(l->out, one->params.p, one->params.len);
    if (rc < 0) l->out->len = before;
    return rc;
}

/* RFC 9176 6.2: a filter is met by the endpoint itself, or by one of its links. */
static int look_at_endpoint(lookup *l, const registration *r)
{
    char where[32];
    link_item self = endpoint_of(l, r, where, sizeof where);

    for (unsigned i = 0; i < l->filter_count; i++)
        if (!link_matches(&self, &l->filters[i], 1) && !any_link_matches(l, r, &l->filters[i])) return 0;
    return say(l, &self);
}

static int look_at_links(lookup *l, const registration *r)
{
    text rest = {r->links, r->links_len};
    char where[32];
    link_item self = endpoint_of(l, r, where, sizeof where), said, one;
    int rc = 0;

    while (rc == 0 && link_next(&rest, &said, NULL) > 0) {
        bool fits = true;

        rc = make_whole(l, r, &said, &one);
        for (unsigned i = 0; fits && i < l->filter_count; i++)
            fits = link_matches(&one, &l->filters[i], 1) || link_matches(&self, &l->filters[i], 1);
        if (rc == 0 && fits) rc = say(l, &one);
    }
    return rc;
}

/* ---- the question */

static int take_number(text value, uint64_t *out) { return text_to_u64(value, UINT32_MAX, out) ? 0 : BRIDGE_INVALID; }

static int take_query(lookup *l, const char *query)
{
    text rest = text_of(query), one, name, value;
    bool has_page = false;
    int rc = 0;

    while (rc == 0 && rest.len) {
        text_cut(rest, '&', &one, &rest);
        if (!one.len) continue;
        text_cut(one, '=', &name, &value);
        if (text_is(name, "count")) {
            rc = take_number(value, &l->count);
            l->paged = true;
        } else if (text_is(name, "page")) {
            rc = take_number(value, &l->page);
            has_page = true;
        } else if (l->filter_count == LISTING_FILTERS) {
            rc = BRIDGE_INVALID;
        } else {
            l->filters[l->filter_count++] = link_filter_of(one);
        }
    }
    return rc == 0 && has_page && !l->paged ? BRIDGE_INVALID : rc; /* RFC 9176 6.2: page wants count */
}

/* path: "res?rt=x&count=2" */
static int find(directory *d, const char *path, buf *out)
{
    lookup l = {.endpoints = path[0] == 'e', .out = out};
    const char *query = strchr(path, '?');
    int rc = take_query(&l, query ? query + 1 : "");

    buf_init(&l.endpoint, d->home->mem, 0);
    buf_init(&l.target, d->home->mem, 0);
    buf_init(&l.params, d->home->mem, 0);
    if (rc == 0) {
        list_each (it, &d->all) {
            const registration *r = list_of(it, registration, link);

            rc = l.endpoints ? look_at_endpoint(&l, r) : look_at_links(&l, r);
            if (rc < 0) break;
        }
    }
    buf_done(&l.endpoint);
    buf_done(&l.target);
    buf_done(&l.params);
    return rc == BRIDGE_TOOBIG ? 0 : rc; /* what fits */
}

static int render(coap_watcher *w, buf *out)
{
    directory *d = directory_of(w->cp);

    return d ? find(d, w->path, out) : BRIDGE_CLOSED;
}

/* ---- the answer */

void directory_lookup(directory *d, coap_port *cp, coap_request *r, bridge_peer *peer, bool endpoints)
{
    coap_watcher *w = NULL;
    buf path, out;
    int rc;

    if (!listing_may(r)) return;
    buf_init(&path, cp->mem, COAP_QUERY_MAX);
    buf_init(&out, cp->mem, LISTING_MAX);
    rc = buf_text(&path, endpoints ? "ep?" : "res?");
    if (rc == 0) rc = listing_query(&path, r);
    if (rc == 0) rc = find(d, (const char *)path.data, &out);
    if (rc == 0 && r->meta->has & COAP_HAS_OBSERVE)
        rc = coap_watch_made(cp, r, peer, (const char *)path.data, render, &d->watchers, &w);
    if (rc < 0)
        coap_answer_status(r, rc, BRIDGE_GET, NULL);
    else
        coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_LINKS), .data = out.data, .len = out.len,
                                   .observer = w ? w->observer : NULL));
    if (w && rc == 0) w->told = hash_bytes(out.data, out.len, 1);
    buf_done(&path);
    buf_done(&out);
}
