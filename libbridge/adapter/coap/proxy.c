/* A forward proxy (RFC 7252 5.7.2): Proxy-Uri, or Proxy-Scheme with Uri-Host, Uri-Port, Uri-Path and Uri-Query.  Whom it may ask stands in
 * the listener's URL, proxy=...; without that there is no proxy (5.05).  Asking is done by whoever speaks the target's scheme. */
#include "adapter/coap/proxy.h"
#include "adapter/coap/coap.h"
#include "core/target.h"

enum { HOPS = 16 /* RFC 8768 3 */ };

typedef struct proxied {
    coap_port *cp;
    coap_request *request; /* NULL: it is gone; kept */
    coap_request *now;     /* while coap_proxy() runs */
    bridge_passage *passage;
    coap_watcher *watcher; /* it observes */
    bool answered, confirm, busy; /* busy: not to be freed now */
} proxied;

/* Is it for us, only written as for a proxy?  No: it is a proxy's. */
bool coap_is_proxied(const coap_request *r) { return r->meta->has & (COAP_HAS_PROXY_URI | COAP_HAS_PROXY_SCHEME); }

/* ---- The URI */

static int put_host(buf *out, const coap_option *host)
{
    bool six = memchr(host->p, ':', host->len) && *host->p != '[';
    int rc = six ? buf_put(out, "[", 1) : 0;

    if (rc == 0) rc = buf_put(out, host->p, host->len);
    return rc == 0 && six ? buf_put(out, "]", 1) : rc;
}

/* RFC 7252 6.5 */
static int compose(const coap_request *r, buf *out)
{
    const coap_meta *m = r->meta;
    coap_options walk = coap_options_of(r->packet);
    coap_option o;
    bool query = false;
    int rc;

    if (m->has & COAP_HAS_PROXY_URI) return buf_put(out, m->proxy_uri.p, m->proxy_uri.len);
    if (!(m->has & COAP_HAS_URI_HOST)) return BRIDGE_INVALID; /* whom, then? */
    rc = buf_put(out, m->proxy_scheme.p, m->proxy_scheme.len);
    if (rc == 0) rc = buf_text(out, "://");
    if (rc == 0) rc = put_host(out, &m->host);
    if (rc == 0 && m->has & COAP_HAS_URI_PORT) rc = buf_print(out, ":%u", m->port);
    while (rc == 0 && coap_next_option(&walk, &o)) {
        text t = {(const char *)o.p, o.len};
        if (o.number == COAP_URI_PATH) rc = buf_put(out, "/", 1);
        else if (o.number == COAP_URI_QUERY) rc = buf_put(out, query ? "&" : "?", 1), query = true;
        else continue;
        if (rc == 0) rc = text_percent_encode(out, t, o.number == COAP_URI_QUERY ? "!$'()*,;:@=/?" : "!$&'()*,;:@=");
    }
    return rc;
}

/* ---- Answers */

static void proxied_free(proxied *x) { mem_free(x->cp->mem, x); }

/* RFC 7252 5.7.1, 10.1: what went wrong on the other side. */
static uint8_t code_of(int status)
{
    switch (status) {
    case BRIDGE_TIMEOUT: return COAP_GATEWAY_TIMEOUT;
    case BRIDGE_TOOBIG:
    case BRIDGE_PROTOCOL:
    case BRIDGE_CONFLICT: return COAP_BAD_GATEWAY;
    case BRIDGE_UNREACHABLE: return COAP_GATEWAY_TIMEOUT;
    case BRIDGE_BUSY:
    case BRIDGE_NOMEM: return COAP_UNAVAILABLE;
    case BRIDGE_UNSUPPORTED:
    case BRIDGE_DENIED: return COAP_NO_PROXY;
    case BRIDGE_SYNTAX:
    case BRIDGE_INVALID: return COAP_BAD_OPTION;
    default: return COAP_BAD_GATEWAY;
    }
}

static void fail_with(coap_request *r, int status, const char *why)
{
    uint8_t code = code_of(status);

    if (code == COAP_UNAVAILABLE)
        coap_respond(r, COAP_REPLY(.code = code, .max_age = COAP_SAY(5)));
    else
        coap_request_text(r, code, why ? why : bridge_status_text(status));
}

static unsigned say_location(const char *location, coap_option *extra, unsigned room, uint16_t path)
{
    unsigned n = 0;

    while (location && *location == '/' && n < room) {
        size_t len = strcspn(location + 1, "/?");
        extra[n++] = (coap_option){path, (uint32_t)len, (const uint8_t *)location + 1};
        location += len + 1;
    }
    return n;
}

static void respond(coap_request *r, const bridge_forwarded *a, coap_observer *observer)
{
    coap_option extra[16];
    coap_reply reply = {.observer = observer, .code = a->code, .data = a->data, .len = a->len, .etag_len = a->etag.len, .extra = extra};

    if (a->format >= 0) reply.format = COAP_SAY(a->format);
    if (a->max_age >= 0) reply.max_age = COAP_SAY(a->max_age);
    memcpy(reply.etag, a->etag.bytes, a->etag.len);
    reply.extra_count = say_location(a->location, extra, 16, COAP_LOCATION_PATH);
    if (a->code == COAP_CONTINUE || a->code == COAP_INCOMPLETE) reply = (coap_reply){.code = COAP_BAD_GATEWAY}; /* never passed on */
    coap_respond(r, &reply);
}

static void leave(proxied *x)
{
    if (!x->busy && !x->watcher && !x->request) proxied_free(x);
}

/* Of an observation: the first one begins it here, too, when there is place. */
static void first(proxied *x, coap_request *r, const bridge_forwarded *a)
{
    x->answered = true;
    if (x->request) x->request->user = NULL;
    x->request = NULL;
    if (!a->more)
        x->passage = NULL;
    else if (!(x->watcher = coap_watch_far(x->cp, r, x))) {
        x->passage->cancel(x->passage);
        x->passage = NULL;
    }
    if (a->status < 0)
        fail_with(r, a->status, NULL);
    else
        respond(r, a, x->watcher ? x->watcher->observer : NULL);
}

/* RFC 7641 4.2: an error is the last one; so is a value that no other follows, and 5.03 says so. */
static void news(proxied *x, const bridge_forwarded *a)
{
    coap_watcher *w = x->watcher;
    coap_reply reply = {.code = a->code, .data = a->data, .len = a->len, .etag_len = a->etag.len, .confirm = x->confirm};

    if (!a->more) {
        x->passage = NULL;
        coap_unwatch(w, a->status < 0 ? code_of(a->status) : a->code >> 5 == 2 ? COAP_UNAVAILABLE : a->code); /* coap_proxy_unwatched() */
        return;
    }
    if (a->format >= 0) reply.format = COAP_SAY(a->format);
    if (a->max_age >= 0) reply.max_age = COAP_SAY(a->max_age);
    memcpy(reply.etag, a->etag.bytes, a->etag.len);
    coap_notify(w->observer, &reply); /* w may be gone */
}

static void on_answer(void *user, const bridge_forwarded *a)
{
    proxied *x = user;
    coap_port *cp = x->cp;
    bool within = x->busy;

    x->busy = true;
    if (x->watcher)
        news(x, a);
    else if (!x->answered)
        first(x, x->request ? x->request : x->now, a);
    x->busy = within;
    leave(x);
    if (!within) turn_end_want(cp->loop, &cp->flush);
}

/* ---- Questions */

static void tags_take(bridge_tag *out, const coap_option *from, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        out[i].len = (uint8_t)(from[i].len > 8 ? 8 : from[i].len);
        memcpy(out[i].bytes, from[i].p, out[i].len);
    }
}

static int forward(proxied *x, coap_request *r, const char *uri, bool public_only, uint8_t hops)
{
    const coap_meta *m = r->meta;
    bridge_tag etags[COAP_TAGS_MAX], matches[COAP_TAGS_MAX];
    bridge_forward q = {.size = sizeof q, .code = r->code, .uri = uri, .public_only = public_only, .data = r->body, .len = r->body_len,
                        .format = m->has & COAP_HAS_CONTENT_FORMAT ? m->format : -1, .accept = m->has & COAP_HAS_ACCEPT ? m->accept : -1,
                        .etags = etags, .etag_count = m->etag_count, .if_match = matches, .if_match_count = m->if_match_count,
                        .if_absent = m->has & COAP_HAS_IF_NONE_MATCH, .hops = hops, .observe = (r->code == COAP_GET || r->code == COAP_FETCH) && m->has & COAP_HAS_OBSERVE && m->observe == 0};

    tags_take(etags, m->etags, m->etag_count);
    tags_take(matches, m->if_match, m->if_match_count);
    return bridge_port_forward(x->cp->port, &q, on_answer, x, &x->passage);
}

static void begin(coap_port *cp, coap_request *r, const char *uri, bool public_only, uint8_t hops)
{
    proxied *x = mem_new(cp->mem, proxied);
    int rc;

    if (!x) {
        fail_with(r, BRIDGE_NOMEM, NULL);
        return;
    }
    x->cp = cp;
    x->now = r;
    x->busy = true;
    x->confirm = r->type == COAP_CON;
    rc = forward(x, r, uri, public_only, hops);
    x->now = NULL;
    x->busy = false;
    if (rc == 0 && !x->answered && x->passage) {
        x->request = coap_request_keep(r);
        if (x->request) {
            x->request->user = x;
            x->request->proxied = true;
            return;
        }
        x->passage->cancel(x->passage);
        rc = BRIDGE_BUSY;
    }
    if (!x->answered) fail_with(r, rc, rc == BRIDGE_UNSUPPORTED ? "nobody here speaks that scheme" : NULL);
    leave(x);
}

void coap_proxy_dropped(coap_request *r)
{
    proxied *x = r->user;

    x->passage->cancel(x->passage);
    proxied_free(x);
}

void coap_proxy_unwatched(proxied *x)
{
    if (x->passage) x->passage->cancel(x->passage);
    x->passage = NULL;
    x->watcher = NULL;
    leave(x);
}

/* RFC 8768 3: each proxy takes one; the one that would make it 0 says so. */
static uint8_t hops_left(const coap_meta *m) { return (uint8_t)((m->has & COAP_HAS_HOP_LIMIT ? m->hop_limit : HOPS) - 1); }

void coap_proxy(coap_port *cp, coap_request *r)
{
    uint8_t hops = hops_left(r->meta);
    bool public_only;
    target t;
    buf uri;
    int rc;

    if (!cp->targets) {
        coap_request_text(r, COAP_NO_PROXY, "not a proxy");
        return;
    }
    if (r->meta->has & COAP_HAS_OBSERVE && r->meta->observe == 1 && coap_observer_of(r)) coap_unwatch(coap_observer_user(coap_observer_of(r)), 0);
    if (hops == 0) {
        coap_request_text(r, COAP_HOP_LIMIT_REACHED, "libbridge");
        return;
    }
    buf_init(&uri, cp->mem, TARGET_URI_MAX);
    rc = compose(r, &uri);
    if (rc == 0 && !buf_cstr(&uri)) rc = BRIDGE_NOMEM;
    if (rc == 0) rc = target_read(&t, (text){(const char *)uri.data, uri.len});
    if (rc < 0)
        fail_with(r, rc == BRIDGE_NOMEM ? rc : BRIDGE_INVALID, "no URI that could be asked");
    else if (!allowed_may(cp->targets, &t, &public_only))
        coap_request_text(r, COAP_NO_PROXY, "not for that target");
    else
        begin(cp, r, (const char *)uri.data, public_only, hops);
    buf_done(&uri);
}
