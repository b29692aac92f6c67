/* /rd, /rd/1234 and /.well-known/rd. */
#include "adapter/coap/directory.h"
#include "codec/link.h"
#include "core/path.h"
#include <stdio.h>

typedef struct asking { /* a request to the directory */
    directory *d;
    coap_port *cp;
    coap_request *r;
    bridge_peer *peer;
    endpoint e;
    char from[COAP_ADDRESS_TEXT + 16];
} asking;

static void refuse(asking *a, int status, const char *why) { coap_answer_status(a->r, status, BRIDGE_POST, why); }

/* ---- what an endpoint says of itself */

static bool is_token(text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*", t.p[i])) return false;
    return t.len > 0;
}

static const char *take_name(text *at, text value)
{
    if (at->p) return "ep, d, lt and base are said once";
    if (!value.len || value.len > DIRECTORY_NAME) return "ep and d have 1 to 63 bytes";
    *at = value;
    return NULL;
}

static const char *take_base(endpoint *e, text value)
{
    bool absolute = false;

    if (e->base.p) return "ep, d, lt and base are said once";
    for (size_t i = 1; i + 2 < value.len && !absolute; i++) absolute = memcmp(value.p + i, "://", 3) == 0;
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.p[i] <= ' ' || strchr("<>\"?#", value.p[i])) absolute = false;
    if (!absolute) return "base is a URI: scheme://host:port";
    e->base = value;
    return NULL;
}

static const char *take_extra(endpoint *e, text name, text value, bool has_value)
{
    char word[64];
    int rc;

    if (!is_token(name) || name.len >= sizeof word || text_is(name, "href") || text_is(name, "page") || text_is(name, "count"))
        return "not the name of an attribute";
    snprintf(word, sizeof word, "%.*s", (int)name.len, name.p);
    rc = has_value ? link_put_param(&e->extra, word, value) : link_put_flag(&e->extra, word);
    return rc < 0 ? "too many attributes" : NULL;
}

static const char *take_one(endpoint *e, text name, text value, bool has_value)
{
    uint64_t n;

    if (!text_is_utf8(value.p, value.len)) return "UTF-8 is wanted";
    if (text_is(name, "ep")) return take_name(&e->ep, value);
    if (text_is(name, "d")) return take_name(&e->d, value);
    if (text_is(name, "base")) return take_base(e, value);
    if (!text_is(name, "lt")) return take_extra(e, name, value, has_value);
    if (e->has_lt) return "ep, d, lt and base are said once";
    if (!text_to_u64(value, UINT32_MAX, &n) || n == 0) return "lt is 1 to 4294967295 seconds"; /* RFC 9176 9.3 */
    e->lt = (uint32_t)n;
    e->has_lt = true;
    return NULL;
}

static const char *take_endpoint(asking *a)
{
    const coap_via *via = coap_peer_link(a->r->peer);
    coap_options walk = coap_options_of(a->r->packet);
    text name, value;
    bool has_value;
    const char *wrong = NULL;
    size_t n = (size_t)snprintf(a->from, sizeof a->from, "%s://", a->cp->scheme);

    if (via)
        snprintf(a->from + n, sizeof a->from - n, "%s", via->name);
    else
        coap_address_text(coap_peer_address(a->r->peer), a->from + n);
    a->e.from = a->from;
    a->e.user = bridge_peer_user(a->peer);
    while (!wrong && coap_query_next(&walk, &name, &value, &has_value)) wrong = take_one(&a->e, name, value, has_value);
    return wrong;
}

/* ---- may it? */

static int may(asking *a, bridge_verb verb, text ep)
{
    char path[DIRECTORY_NAME + 8];

    snprintf(path, sizeof path, ep.len ? "rd/%.*s" : "rd", (int)ep.len, ep.p);
    if (path_check(path, strlen(path), NULL) < 0) return BRIDGE_INVALID;
    return peer_may(a->peer, verb, path);
}

/* RFC 9176 7.1: what somebody registered who had proved a name is his. */
static int may_touch(asking *a, const registration *r)
{
    const char *user = bridge_peer_user(a->peer);

    if (r->user && (!user || strcmp(user, r->user) != 0)) return BRIDGE_DENIED;
    return may(a, BRIDGE_PUT, r->ep);
}

/* ---- registering */

static bool links_are_fine(text rest)
{
    link_item one;
    int rc;

    while ((rc = link_next(&rest, &one, NULL)) > 0) {}
    return rc == 0;
}

static int check_name(asking *a)
{
    const registration *there;

    if (!a->e.ep.p && a->e.user) a->e.ep = text_of(a->e.user); /* RFC 9176 5: from the security context */
    if (!a->e.ep.len || a->e.ep.len > DIRECTORY_NAME) return BRIDGE_INVALID;
    there = directory_named(a->d, a->e.ep, a->e.d);
    return there ? may_touch(a, there) : may(a, BRIDGE_PUT, a->e.ep);
}

static void answer_location(asking *a, uint64_t id)
{
    char number[24];

    snprintf(number, sizeof number, "%llu", (unsigned long long)id);
    coap_promise(a->cp, a->r, COAP_CREATED, "rd", number, NULL);
}

static void serve_register(asking *a)
{
    const coap_meta *m = a->r->meta;
    registration *made;
    bool created;
    int rc = check_name(a);

    if (rc == 0) rc = coap_may_promise(a->cp);
    if (rc == 0 && m->has & COAP_HAS_CONTENT_FORMAT && m->format != BRIDGE_LINKS) rc = BRIDGE_FORMAT;
    if (rc == 0 && a->r->body_len && !links_are_fine((text){(const char *)a->r->body, a->r->body_len})) {
        refuse(a, BRIDGE_SYNTAX, "not link-format");
        return;
    }
    if (rc == 0) rc = directory_register(a->d, &a->e, a->r->body, a->r->body_len, &made, &created);
    if (rc < 0)
        refuse(a, rc, rc == BRIDGE_INVALID ? "ep is missing" : NULL);
    else
        answer_location(a, made->id);
}

/* ---- simple registration: the device is asked for its links (RFC 9176 5.1) */

typedef struct fetching {
    directory *d;
    endpoint e;
    char *ep, *sector, *from, *user;
} fetching;

static void fetching_free(fetching *f)
{
    mem *m = f->d->home->mem;

    buf_done(&f->e.extra);
    mem_free(m, f->ep);
    mem_free(m, f->sector);
    mem_free(m, f->from);
    mem_free(m, f->user);
    mem_free(m, f);
}

static void on_links(void *user, const coap_answer *answer)
{
    fetching *f = user;
    directory *d = f->d;
    registration *made;
    bool created;

    d->fetches--;
    if (answer->status == 0 && answer->code == COAP_CONTENT && !d->home->closing &&
        links_are_fine((text){(const char *)answer->body, answer->body_len}))
        directory_register(d, &f->e, answer->body, answer->body_len, &made, &created);
    fetching_free(f);
}

static fetching *fetching_new(asking *a)
{
    mem *m = a->d->home->mem;
    fetching *f = mem_new(m, fetching);

    if (!f) return NULL;
    f->d = a->d;
    f->e = a->e;
    a->e.extra = (buf){.mem = m};
    f->ep = mem_text_len(m, a->e.ep.p, a->e.ep.len);
    f->sector = mem_text_len(m, a->e.d.len ? a->e.d.p : "", a->e.d.len);
    f->from = mem_text(m, a->from);
    f->user = a->e.user ? mem_text(m, a->e.user) : NULL;
    if (f->ep && f->sector && f->from && (f->user || !a->e.user)) {
        f->e.ep = (text){f->ep, a->e.ep.len};
        f->e.d = (text){f->sector, a->e.d.len};
        f->e.from = f->from;
        f->e.user = f->user;
        return f;
    }
    fetching_free(f);
    return NULL;
}

static int fetch_links(asking *a)
{
    static const uint8_t links[] = {BRIDGE_LINKS};
    const coap_option options[] = {{COAP_URI_PATH, 11, (const uint8_t *)".well-known"}, {COAP_URI_PATH, 4, (const uint8_t *)"core"},
                                   {COAP_ACCEPT, 1, links}};
    const coap_question q = {.code = COAP_GET, .options = options, .option_count = 3, .timeout = DIRECTORY_FETCH_TIME};
    fetching *f = a->d->fetches < DIRECTORY_FETCHES ? fetching_new(a) : NULL;
    coap_ask *ask;
    int rc;

    if (!f) return BRIDGE_BUSY;
    a->d->fetches++;
    rc = coap_ask_new(&ask, a->r->peer, loop_now(a->cp->loop), &q, on_links, f);
    if (rc < 0) {
        a->d->fetches--;
        fetching_free(f);
    }
    return rc;
}

static void serve_simple(asking *a)
{
    int rc = a->r->code == COAP_POST ? check_name(a) : BRIDGE_METHOD;

    if (rc == 0 && (a->r->body_len || a->e.base.p)) rc = BRIDGE_INVALID;
    if (rc == 0) rc = fetch_links(a);
    if (rc < 0)
        refuse(a, rc, rc == BRIDGE_INVALID ? "ep, no base and no payload are wanted" : NULL);
    else
        coap_respond(a->r, COAP_REPLY(.code = COAP_CHANGED));
}

/* ---- one registration */

static void serve_update(asking *a, registration *r)
{
    int rc = a->r->body_len || a->e.ep.p || a->e.d.p ? BRIDGE_INVALID : coap_may_promise(a->cp);

    if (rc == 0) rc = directory_update(r, &a->e);
    if (rc < 0)
        refuse(a, rc, rc == BRIDGE_INVALID ? "lt, base and attributes can be updated; links by registering again" : NULL);
    else
        coap_promise(a->cp, a->r, COAP_CHANGED, NULL, NULL, NULL);
}

static void serve_one(asking *a, registration *r)
{
    int rc = a->r->code == COAP_GET ? may(a, BRIDGE_GET, r->ep) : may_touch(a, r);

    if (rc == 0 && a->r->code == COAP_DELETE) rc = coap_may_promise(a->cp);
    if (rc < 0) {
        refuse(a, rc, NULL);
    } else if (a->r->code == COAP_POST) {
        serve_update(a, r);
    } else if (a->r->code == COAP_DELETE) {
        directory_remove(r);
        coap_promise(a->cp, a->r, COAP_DELETED, NULL, NULL, NULL);
    } else if (a->r->code == COAP_GET) {
        coap_respond(a->r, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_LINKS), .data = r->links, .len = r->links_len));
    } else {
        refuse(a, BRIDGE_METHOD, NULL);
    }
}

/* ---- which */

static void serve_lookup(asking *a, bool endpoints)
{
    int rc = may(a, BRIDGE_GET, (text){"", 0});

    if (rc < 0)
        refuse(a, rc, NULL);
    else
        directory_lookup(a->d, a->cp, a->r, a->peer, endpoints);
}

static void serve_change(asking *a, const char *path)
{
    registration *one = NULL;
    const char *wrong = NULL;

    buf_init(&a->e.extra, a->d->home->mem, DIRECTORY_EXTRA);
    if (path[2] == '/' && !(one = directory_find(a->d, text_of(path + 3)))) {
        refuse(a, BRIDGE_NOTFOUND, NULL);
    } else if ((wrong = a->r->code == COAP_GET || a->r->code == COAP_DELETE ? NULL : take_endpoint(a))) {
        refuse(a, BRIDGE_INVALID, wrong);
    } else if (path[0] == '.') {
        serve_simple(a);
    } else if (one) {
        serve_one(a, one);
    } else if (a->r->code == COAP_POST) {
        serve_register(a);
    } else {
        refuse(a, BRIDGE_METHOD, NULL);
    }
    buf_done(&a->e.extra);
}

bool directory_serve(coap_port *cp, coap_request *r, bridge_peer *peer, const char *path)
{
    asking a = {.cp = cp, .r = r, .peer = peer};

    if (!cp->has_directory || (path[0] != 'r' && path[0] != '.')) return false;
    if (strcmp(path, "rd") != 0 && strncmp(path, "rd/", 3) != 0 && strncmp(path, "rd-lookup/", 10) != 0 && strcmp(path, ".well-known/rd") != 0)
        return false;
    a.d = directory_of(cp);
    if (!a.d)
        refuse(&a, BRIDGE_NOMEM, NULL);
    else if (strcmp(path, "rd-lookup/res") == 0 || strcmp(path, "rd-lookup/ep") == 0)
        serve_lookup(&a, path[10] == 'e');
    else if (path[2] == '-')
        refuse(&a, BRIDGE_NOTFOUND, NULL);
    else
        serve_change(&a, path);
    return true;
}
