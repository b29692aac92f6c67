/* A proxy's side towards CoAP servers: associations by scheme, host and port, and answers that are kept while they are fresh, then
 * asked about with their ETag (RFC 7252 5.7.1, 5.6). */
#include "adapter/coap/coap.h"
#include "adapter/coap/forward_inside.h"
#include "core/url.h"
#include <arpa/inet.h>
#include <stdio.h>

/* ---- Servers */

static void server_free(server *s)
{
    map_remove(&s->f->by_name, s->name, s->len);
    list_remove(&s->used);
    coap_far_close(s->far);
    mem_free(s->f->mem, s);
}

static void on_sweep(timer *t)
{
    forwarder *f = list_of(t, forwarder, sweep);
    int64_t now = loop_now(f->loop);

    list_each_safe (it, &f->used) {
        server *s = list_of(it, server, used);
        if (!s->busy && now - s->seen >= FORWARD_IDLE) server_free(s);
    }
    if (!list_empty(&f->used)) timer_start(&f->sweep, f->loop, FORWARD_IDLE, on_sweep);
}

static bool make_place(forwarder *f)
{
    if (f->by_name.count < FORWARD_FARS) return true;
    list_each(it, &f->used)
    {
        server *s = list_of(it, server, used);
        if (s->busy) continue;
        server_free(s);
        return true;
    }
    return false;
}

static coap_secrets *secrets_of(forwarder *f, coap_transport t)
{
    coap_secrets **at = t == COAP_DTLS ? &f->dtls : &f->tls;
    url *plain = NULL;

    if (*at || (t != COAP_DTLS && t != COAP_TLS)) return *at;
    if (url_parse(f->mem, "coaps://any", &plain, NULL) < 0) return NULL;
    coap_secrets_new(at, f->mem, t, plain, NULL); /* the system's authorities */
    url_free(plain);
    return *at;
}

int forward_server(forwarder *f, const target *t, bool public_only, server **out)
{
    char name[TARGET_HOST_MAX + 64];
    int len = snprintf(name, sizeof name, "%s://%s %d%s", t->scheme, t->host, t->port, public_only ? "!" : "");
    server *s = map_get(&f->by_name, name, (size_t)len);
    coap_far_options o = {.host = t->host, .port = t->port, .public_only = public_only};
    int rc;

    if (!s) {
        if (!make_place(f)) return BRIDGE_BUSY;
        o.transport = (coap_transport)coap_transport_of(t->scheme);
        o.secrets = secrets_of(f, o.transport);
        s = mem_zalloc(f->mem, sizeof *s + (size_t)len + 1);
        if (!s) return BRIDGE_NOMEM;
        s->f = f;
        s->len = (uint32_t)len;
        memcpy(s->name, name, (size_t)len);
        list_init(&s->used);
        rc = coap_far_open(&s->far, f->client, &o);
        if (rc == 0 && map_put(&f->by_name, s->name, s->len, s, NULL) < 0) rc = BRIDGE_NOMEM;
        if (rc < 0) {
            coap_far_close(s->far);
            mem_free(f->mem, s);
            return rc;
        }
    }
    list_remove(&s->used);
    list_push(&f->used, &s->used);
    s->seen = loop_now(f->loop);
    if (!f->sweep.loop) timer_start(&f->sweep, f->loop, FORWARD_IDLE, on_sweep);
    *out = s;
    return 0;
}

/* ---- Answers */

void passage_free(passage *p)
{
    if (p->server) {
        p->server->busy--;
        p->server->seen = loop_now(p->f->loop);
    }
    mem_free(p->f->mem, p);
}

void forward_retell(const passage *p, bridge_forwarded *a)
{
    for (unsigned i = 0; i < p->etag_count && a->etag.len && a->code == COAP_CONTENT; i++)
        if (p->etags[i].len == a->etag.len && memcmp(p->etags[i].bytes, a->etag.bytes, a->etag.len) == 0) {
            a->code = COAP_VALID;
            a->data = NULL;
            a->len = 0;
        }
}

static void answer_kept(const passage *p, const far_kept *k)
{
    int64_t left = (k->fresh_until - loop_now(p->f->loop)) / 1000;
    bridge_forwarded a = {.code = k->code, .format = k->format, .max_age = left > 0 ? left : 0, .data = far_kept_body(k), .len = k->len};

    a.etag.len = k->etag_len;
    memcpy(a.etag.bytes, k->etag, k->etag_len);
    forward_retell(p, &a);
    p->fn(p->user, &a);
}

static far_kept *keep(passage *p, const coap_answer *a)
{
    far_kept like = {.version = 0, .format = -1, .code = a->code, .len = a->body_len};

    like.fresh_until = loop_now(p->f->loop) + (int64_t)coap_answer_age(a) * 1000;
    if (a->meta->has & COAP_HAS_CONTENT_FORMAT) like.format = a->meta->format;
    if (a->meta->etag_count) {
        like.etag_len = (uint8_t)a->meta->etags[0].len;
        memcpy(like.etag, a->meta->etags[0].p, like.etag_len);
    }
    return far_cache_put(&p->f->cache, p->key, p->key_len, &like, a->body);
}

static void answer_as_is(const passage *p, const coap_answer *a)
{
    bridge_forwarded f = {.code = a->code, .format = -1, .max_age = -1, .data = a->body, .len = a->body_len, .part = a->part};
    buf location;

    buf_init(&location, p->f->mem, 65536);
    if (a->meta->has & COAP_HAS_CONTENT_FORMAT) f.format = a->meta->format;
    if (a->meta->has & COAP_HAS_MAX_AGE) f.max_age = a->meta->max_age;
    if (a->meta->etag_count) {
        f.etag.len = (uint8_t)a->meta->etags[0].len;
        memcpy(f.etag.bytes, a->meta->etags[0].p, f.etag.len);
    }
    f.location = coap_answer_location(a, &location);
    p->fn(p->user, &f);
    buf_done(&location);
}

static void on_answer(void *user, const coap_answer *a)
{
    passage *p = user;
    forwarder *f = p->f;
    far_kept *kept = p->get && a->status == 0 ? far_cache_get(&f->cache, p->key, p->key_len) : NULL;

    if (a->part) { /* too large to be kept */
        p->pieces = true;
        answer_as_is(p, a); /* p may be gone */
        return;
    }
    p->ask = NULL;
    p->done = true;
    if (a->status < 0) {
        f->errors++;
        p->fn(p->user, &(bridge_forwarded){.status = a->status == BRIDGE_CLOSED ? BRIDGE_UNREACHABLE : a->status, .format = -1, .max_age = -1});
    } else if (a->code == COAP_VALID && kept && (!a->meta->etag_count || coap_etag_same(a, kept->etag, kept->etag_len))) {
        f->revalidated++;
        kept->fresh_until = loop_now(f->loop) + (int64_t)coap_answer_age(a) * 1000;
        answer_kept(p, kept);
    } else if (a->code == COAP_CONTENT && p->get && !p->pieces && (kept = keep(p, a))) {
        answer_kept(p, kept);
    } else {
        if (coap_class(a->code) == 2 && p->code != COAP_GET && p->code != COAP_FETCH) far_cache_drop_ending(&f->cache, p->key + 2, p->key_len - 2); /* RFC 7252 5.9.1: it has changed, in every format */
        answer_as_is(p, a);
    }
    passage_free(p);
}

/* ---- Questions */

void forward_say_target(coap_saying *s, const target *t)
{
    uint8_t unused[16];
    bool numeric = inet_pton(AF_INET, t->host, unused) == 1 || inet_pton(AF_INET6, t->host, unused) == 1;

    if (!numeric) coap_say(s, COAP_URI_HOST, t->host, strlen(t->host));
    if (t->path.len > 1) coap_say_escaped_path(s, t->path);
    coap_say_query(s, t->query);
}

static int say_all(passage *p, const bridge_forward *q, const target *t, coap_saying *s)
{
    far_kept *kept = p->get ? far_cache_get(&p->f->cache, p->key, p->key_len) : NULL;

    forward_say_target(s, t);
    if (q->format >= 0 && q->len) coap_say_uint(s, COAP_CONTENT_FORMAT, (uint32_t)q->format);
    if (q->accept >= 0) coap_say_uint(s, COAP_ACCEPT, (uint32_t)q->accept);
    for (unsigned i = 0; i < q->if_match_count && i < 8; i++) coap_say(s, COAP_IF_MATCH, q->if_match[i].bytes, q->if_match[i].len);
    if (q->if_absent) coap_say(s, COAP_IF_NONE_MATCH, NULL, 0);
    if (kept && kept->etag_len) coap_say(s, COAP_ETAG, kept->etag, kept->etag_len);
    for (unsigned i = 0; i < p->etag_count; i++) coap_say(s, COAP_ETAG, p->etags[i].bytes, p->etags[i].len);
    if (q->hops) coap_say_uint(s, COAP_HOP_LIMIT, q->hops);
    return coap_say_end(s);
}

static void on_cancel(bridge_passage *base)
{
    passage *p = (passage *)(void *)base;

    if (p->seen)
        forward_leave(p);
    else
        coap_ask_cancel(p->ask, false);
    passage_free(p);
}

static void on_go_on(bridge_passage *base)
{
    passage *p = (passage *)(void *)base;

    coap_far_go_on(p->server->far, p->ask); /* p may be gone */
}

static passage *passage_new(forwarder *f, const bridge_forward *q, bridge_forward_fn fn, void *user)
{
    bool fetch = q->code == COAP_FETCH && q->observe && q->len <= FORWARD_SEEN_BODY;
    size_t room = strlen(q->uri) + 48;
    passage *p = mem_zalloc(f->mem, sizeof *p + room + (fetch ? q->len : 0));

    if (!p) return NULL;
    p->base.cancel = on_cancel;
    p->base.go_on = on_go_on;
    list_init(&p->link);
    p->f = f;
    p->fn = fn;
    p->user = user;
    p->code = q->code;
    p->get = q->code == COAP_GET && q->len == 0;
    for (; p->etag_count < q->etag_count && p->etag_count < 4; p->etag_count++) p->etags[p->etag_count] = q->etags[p->etag_count];
    if (fetch) { /* the same of the same is observed once: what is asked for is in the key */
        p->key_len = 1 + (size_t)snprintf(p->key, room, "%d,%d%c%s", q->accept, q->format, q->public_only ? '!' : ' ', q->uri);
        if (q->len) memcpy(p->key + p->key_len, q->data, q->len);
        p->key_len += q->len;
    } else {
        p->key_len = (size_t)snprintf(p->key, room, "%d%c%s", p->get ? q->accept : -1, q->public_only ? '!' : ' ', q->uri);
    }
    return p;
}

static int ask(passage *p, const bridge_forward *q, const target *t, bridge_passage **out)
{
    coap_ask *under_way = NULL;
    coap_question question = {.code = q->code, .data = q->data, .len = q->len, .timeout = q->timeout ? q->timeout : FORWARD_TIME,
                              .slice = p->get ? q->slice : 0};
    coap_saying s;
    int rc = forward_server(p->f, t, q->public_only, &p->server);

    if (rc < 0) return rc;
    p->server->busy++;
    coap_say_begin(&s, p->f->mem);
    rc = say_all(p, q, t, &s);
    question.options = s.options;
    question.option_count = s.count;
    *out = &p->base;
    if (rc == 0) rc = coap_far_ask(&under_way, p->server->far, &question, on_answer, p);
    coap_say_free(&s);
    if (rc < 0 || !under_way) *out = NULL;
    if (rc == 0 && under_way) p->ask = under_way;
    return rc;
}

static int forwarder_new(struct forwarder **out, bridge_port *home)
{
    forwarder *f = mem_new(port_mem(home), forwarder);
    coap_limits l = {.max_body = port_limits(home)->max_message, .max_peers = 2 * FORWARD_FARS};

    if (!f) return BRIDGE_NOMEM;
    f->port = home;
    f->mem = port_mem(home);
    f->loop = port_loop(home);
    list_init(&f->used);
    if (coap_client_new(&f->client, home, &l, NULL) < 0) {
        mem_free(f->mem, f);
        return BRIDGE_NOMEM;
    }
    map_init(&f->by_name, f->mem, (uint64_t)(uintptr_t)f);
    map_init(&f->seen_by_key, f->mem, (uint64_t)(uintptr_t)f);
    far_cache_init(&f->cache, f->mem, 0, 0);
    *out = f;
    return 0;
}

int coap_forward(bridge_port *home, const bridge_forward *q, bridge_forward_fn fn, void *user, bridge_passage **out)
{
    coap_port *cp = coap_home_of(home);
    forwarder *f;
    far_kept *kept;
    passage *p;
    target t;
    int rc = target_read(&t, text_of(q->uri));

    *out = NULL;
    if (rc == 0 && (q->code < COAP_GET || q->code > COAP_IPATCH)) rc = BRIDGE_METHOD;
    if (rc == 0 && coap_transport_of(t.scheme) < 0) rc = BRIDGE_UNSUPPORTED;
    if (rc == 0 && !cp->forwarder) rc = forwarder_new(&cp->forwarder, home);
    if (rc < 0) return rc;
    f = cp->forwarder;
    if (cp->closing) return BRIDGE_CLOSED;
    f->requests++;
    p = passage_new(f, q, fn, user);
    if (!p) return BRIDGE_NOMEM;
    if (q->observe && forward_may_observe(p, q)) {
        rc = forward_observe(p, q, &t, out);
        if (rc < 0) passage_free(p);
        return rc;
    }
    kept = p->get ? far_cache_get(&f->cache, p->key, p->key_len) : NULL;
    if (kept && kept->fresh_until > loop_now(f->loop)) {
        f->fresh++;
        answer_kept(p, kept);
        passage_free(p);
        return 0;
    }
    rc = ask(p, q, &t, out);
    if (rc < 0) passage_free(p);
    return rc;
}

/* ---- Life */

void forwarder_free(forwarder *f)
{
    if (!f) return;
    timer_stop(&f->sweep);
    while (!list_empty(&f->used)) server_free(list_of(f->used.next, server, used));
    coap_client_free(f->client);
    far_cache_done(&f->cache);
    coap_secrets_unref(f->dtls);
    coap_secrets_unref(f->tls);
    map_done(&f->by_name);
    map_done(&f->seen_by_key);
    mem_free(f->mem, f);
}

void forwarder_stats(const forwarder *f, bridge_stat_fn fn, void *user)
{
    static const forwarder unused; /* it is made for the first question */

    if (!f) f = &unused;
    fn(user, "bridge_coap_proxy_requests_total", "", (double)f->requests);
    fn(user, "bridge_coap_proxy_fresh_total", "", (double)f->fresh);
    fn(user, "bridge_coap_proxy_revalidated_total", "", (double)f->revalidated);
    fn(user, "bridge_coap_proxy_notifications_total", "", (double)f->notifications);
    fn(user, "bridge_coap_proxy_observations", "", (double)f->seen_by_key.count);
    fn(user, "bridge_coap_proxy_errors_total", "", (double)f->errors);
    fn(user, "bridge_coap_proxy_servers", "", (double)f->by_name.count);
}
