#include "adapter/coap/foreign.h"
#include "adapter/coap/coap.h"
#include "adapter/coap/names.h"
#include "base/status.h"
#include "core/path.h"
#include "core/url.h"
#include <stdio.h>

/* ---- Names */

int foreign_path(foreign *f, text path, char *out, size_t room)
{
    size_t len = strlen(f->base);
    captures caps;

    if (!pattern_match(f->pattern, path.p, path.len, &caps) || len >= room) return BRIDGE_NOTFOUND;
    memcpy(out, f->base, len);
    for (int i = 0; i < caps.count; i++) { /* RFC 7252 6.4: what the captures took, below the URL's path */
        text t = caps.at[i];

        if (!t.p) continue;
        if (len + t.len + 2 > room) return BRIDGE_TOOBIG;
        if (len) out[len++] = '/';
        memcpy(out + len, t.p, t.len);
        len += t.len;
    }
    return (int)len;
}

/* The pattern's beginning, then what lies below the URL: where pattern and URL end in the same way.  0: not of ours. */
int foreign_path_here(const foreign *f, text target, buf *out)
{
    size_t base = strlen(f->base);
    text rest;
    int rc;

    if (target.len == 0 || *target.p != '/' || !pattern_has_rest(f->pattern) || f->pattern->captures != 1) return 0;
    rest = (text){target.p + 1, target.len - 1};
    if (base && (rest.len <= base || memcmp(rest.p, f->base, base) != 0 || rest.p[base] != '/')) return 0;
    if (base) rest = (text){rest.p + base + 1, rest.len - base - 1};
    if (rest.len == 0) return 0;
    rc = buf_put(out, f->pattern->text, f->pattern->segments[f->pattern->count - 1].at);
    if (rc == 0) rc = text_percent_decode(out, rest);
    if (rc == 0) rc = buf_cstr(out) ? 0 : BRIDGE_NOMEM;
    return rc == 0 && path_check((const char *)out->data, out->len, NULL) == 0;
}

void foreign_say_where(foreign *f, coap_saying *s, text far_path)
{
    if (f->host) coap_say(s, COAP_URI_HOST, f->host, strlen(f->host)); /* RFC 7252 6.4: a name, not an address */
    coap_say_path(s, far_path);
}

int64_t foreign_ttl(const foreign *f, const coap_answer *a)
{
    int64_t seconds = coap_answer_age(a);

    if (f->max_age != FOREIGN_NO_LIMIT && seconds > f->max_age) seconds = f->max_age;
    return seconds * 1000;
}

/* ---- Health: what is asked tells */

void foreign_heard(foreign *f, int status)
{
    bool up = status != BRIDGE_TIMEOUT && status != BRIDGE_UNREACHABLE && status != BRIDGE_CLOSED;

    if (f->closing) return;
    if (up != f->up || !f->was_told) {
        f->was_told = true;
        bridge_port_log(f->port, up ? BRIDGE_LOG_INFO : BRIDGE_LOG_WARN, coap_far_name(f->far), "%s", up ? "is up" : bridge_status_text(status));
        if (up && !f->up && f->probes) foreign_probe_later(f); /* it may have new things */
    }
    f->up = up;
    if (up)
        f->probes = 0;
    else
        foreign_probe_later(f);
}

static void on_change(void *user, int status, const char *why)
{
    foreign *f = user;

    if (status < 0 && status != BRIDGE_CLOSED && f->up)
        bridge_port_log(f->port, BRIDGE_LOG_INFO, coap_far_name(f->far), "association ended: %s", why);
}

/* ---- The URL */

static const char *const options[] = {"as", "timeout", "observe", "poll", "retry", "max_age", "discover", "refresh", "nstart", "block_size", NULL};

typedef struct wishes {
    uint64_t timeout, poll, retry, refresh, max_age, nstart, block;
    bool observe, discover;
} wishes;

static int take_wishes(const bridge_url *u, wishes *w, bridge_error *err)
{
    const char *known[32];
    size_t n = 0;
    int rc;

    for (const char *const *o = options; *o; o++) known[n++] = *o;
    for (const char *const *o = coap_secrets_options; strncmp(u->scheme, "coaps", 5) == 0 && *o; o++) known[n++] = *o;
    known[n] = NULL;
    rc = url_check(u, known, err);
    if (rc == 0) rc = url_get_u64(u, "timeout", FOREIGN_TIMEOUT, 3600 * 1000, &w->timeout, err);
    if (rc == 0) rc = url_get_u64(u, "retry", FOREIGN_RETRY, FOREIGN_RETRY_MAX, &w->retry, err);
    if (rc == 0) rc = url_get_u64(u, "poll", 0, 24 * 3600, &w->poll, err);
    if (rc == 0) rc = url_get_u64(u, "refresh", FOREIGN_REFRESH, 24 * 3600, &w->refresh, err);
    if (rc == 0) rc = url_get_u64(u, "max_age", UINT32_MAX, UINT32_MAX, &w->max_age, err);
    if (rc == 0) rc = url_get_u64(u, "nstart", 0, 1000, &w->nstart, err);
    if (rc == 0) rc = url_get_u64(u, "block_size", 1024, 1024, &w->block, err);
    if (rc == 0) rc = url_get_bool(u, "observe", true, &w->observe, err);
    if (rc == 0) rc = url_get_bool(u, "discover", true, &w->discover, err);
    if (rc < 0) return rc;
    if (w->block < 16 || w->block & (w->block - 1)) return fail(err, BRIDGE_INVALID, "option block_size: 16, 32, 64 ... 1024 is wanted");
    if (!*u->host) return fail(err, BRIDGE_INVALID, "%s://: a host is wanted", u->scheme);
    if (!url_get(u, "as"))
        return fail(err, BRIDGE_INVALID, "%s://%s: where are its resources to be?  Say as=, as in as=plant/{path...}", u->scheme, u->host);
    return 0;
}

static int read_pattern(foreign *f, const bridge_url *u, bridge_error *err)
{
    const char *as = url_get(u, "as");
    int rc = pattern_new(f->mem, &f->pattern, as, strlen(as), PATTERN_FULL, err);

    if (rc < 0) return rc;
    for (int i = 0; i < f->pattern->count; i++)
        if (f->pattern->segments[i].kind == SEGMENT_PART)
            return fail(err, BRIDGE_INVALID, "as=%s: captures must be whole segments", as);
    return 0;
}

int foreign_check(const bridge_url *u, bridge_error *err)
{
    pattern_room room;
    pattern p;
    wishes w;
    int rc = take_wishes(u, &w, err);
    const char *as = url_get(u, "as");

    return rc < 0 ? rc : pattern_read(&p, &room, as, strlen(as), PATTERN_FULL, err);
}

/* ---- Life */

static void foreign_free(foreign *f)
{
    f->closing = true;
    timer_stop(&f->bury);
    foreign_calls_end(f);
    foreign_observed_end(f);
    foreign_found_end(f);
    bridge_owner_close(f->owner);
    bridge_peer_free(f->peer);
    coap_client_free(f->client);
    far_cache_done(&f->cache);
    map_done(&f->observed_by_path);
    map_done(&f->found_by_path);
    mem_free(f->mem, f->pattern);
    mem_free(f->mem, f->base);
    mem_free(f->mem, f->host);
    mem_free(f->mem, f);
}

static void on_bury(timer *t)
{
    foreign *f = list_of(t, foreign, bury);
    bridge_port *port = f->port;

    foreign_free(f);
    bridge_port_closed(port);
}

void foreign_close(foreign *f)
{
    if (f->closing) return;
    f->closing = true;
    foreign_calls_end(f);
    foreign_observed_end(f);
    timer_start(&f->bury, f->loop, 0, on_bury); /* it may be called from within an answer */
}

static int far_make(foreign *f, const bridge_url *u, const wishes *w, bridge_error *err)
{
    coap_transport transport = (coap_transport)coap_transport_of(u->scheme);
    coap_limits l = {.max_body = port_limits(f->port)->max_message, .max_peers = 1, .nstart = (unsigned)w->nstart, .peer_asks = 4096,
                     .peer_queue = 4096, .block = (unsigned)w->block};
    coap_far_options o = {.transport = transport, .host = u->host, .port = u->port, .on_change = on_change, .user = f};
    int rc = 0;

    if (transport == COAP_DTLS || transport == COAP_TLS) rc = coap_secrets_new(&o.secrets, f->mem, transport, u, err);
    if (rc == 0) rc = coap_client_new(&f->client, f->port, &l, err);
    if (rc == 0 && coap_far_open(&f->far, f->client, &o) < 0) rc = fail_nomem(err);
    coap_secrets_unref(o.secrets);
    return rc;
}

static int base_make(foreign *f, const bridge_url *u, bridge_error *err)
{
    buf b;
    int rc;

    buf_init(&b, f->mem, 0);
    rc = text_percent_decode(&b, text_of(*u->path == '/' ? u->path + 1 : u->path));
    while (rc == 0 && b.len && b.data[b.len - 1] == '/') b.len--;
    if (rc == 0) f->base = mem_text_len(f->mem, b.data ? (const char *)b.data : "", b.len);
    buf_done(&b);
    if (rc < 0) return fail(err, rc, "path %s: bad percent escape", u->path);
    return f->base ? 0 : fail_nomem(err);
}

static int foreign_fill(foreign *f, const bridge_url *u, const wishes *w, bridge_error *err)
{
    static const bridge_owner_fns fns = {.size = sizeof fns, .call = foreign_call, .interest = foreign_interest, .cancel = foreign_cancel};
    uint64_t seed = (uint64_t)(uintptr_t)f;
    const char *name;
    int rc;

    map_init(&f->observed_by_path, f->mem, seed);
    map_init(&f->found_by_path, f->mem, seed);
    far_cache_init(&f->cache, f->mem, 0, 0);
    rc = base_make(f, u, err);
    if (rc == 0) rc = read_pattern(f, u, err);
    if (rc == 0) rc = far_make(f, u, w, err);
    if (rc < 0) return rc;
    name = coap_far_name(f->far);
    if (strspn(u->host, "0123456789.") != strlen(u->host) && !strchr(u->host, ':') && !(f->host = mem_text(f->mem, u->host))) return fail_nomem(err);
    if (bridge_peer_new(&f->peer, f->port, strstr(name, "://") + 3, NULL, BRIDGE_PEER_CANONICAL, NULL) < 0) return fail_nomem(err);
    rc = bridge_peer_own(f->peer, url_get(u, "as"), &fns, f, &f->owner);
    if (rc == BRIDGE_EXISTS) return fail(err, rc, "\"%s\" has an owner already", url_get(u, "as"));
    return rc < 0 ? fail(err, rc, "as=%s: %s", url_get(u, "as"), bridge_status_text(rc)) : 0;
}

int foreign_open(foreign **out, bridge_port *port, const bridge_url *u, bridge_error *err)
{
    wishes w;
    foreign *f;
    int rc = take_wishes(u, &w, err);

    if (rc < 0) return rc;
    f = mem_new(port_mem(port), foreign);
    if (!f) return fail_nomem(err);
    f->port = port;
    f->mem = port_mem(port);
    f->loop = port_loop(port);
    f->timeout = (int64_t)w.timeout;
    f->retry = (int64_t)w.retry;
    f->poll = (int64_t)w.poll * 1000;
    f->refresh = (int64_t)w.refresh * 1000;
    f->max_age = w.max_age == UINT32_MAX ? FOREIGN_NO_LIMIT : (int64_t)w.max_age;
    f->observe = w.observe;
    f->discover = w.discover;
    list_init(&f->questions);
    list_init(&f->observed);
    list_init(&f->wild);
    list_init(&f->found);
    rc = foreign_fill(f, u, &w, err);
    if (rc < 0) {
        foreign_free(f);
        return rc;
    }
    *out = f;
    bridge_port_named(port, coap_far_name(f->far));
    foreign_probe(f);
    return 0;
}

void foreign_stats(const foreign *f, bridge_stat_fn fn, void *user)
{
    char labels[420];

    snprintf(labels, sizeof labels, "far=\"%s\"", coap_far_name(f->far));
    fn(user, "bridge_coap_far_up", labels, f->up);
    fn(user, "bridge_coap_far_requests_total", labels, (double)f->requests);
    fn(user, "bridge_coap_far_errors_total", labels, (double)f->errors);
    fn(user, "bridge_coap_far_observed", labels, (double)f->observed_by_path.count);
    fn(user, "bridge_coap_far_notifications_total", labels, (double)f->notifications);
    fn(user, "bridge_coap_far_revalidated_total", labels, (double)f->revalidated);
}
