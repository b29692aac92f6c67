/* Destinations: opened when there is something to ask.  client_udp.c, client_dtls.c and client_link.c carry the bytes, client_secrets.c keeps them safe. */
#include "adapter/coap/client_inside.h"
#include "base/status.h"
#include "core/target.h"
#include "hub/port.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

enum { FAR_PATIENCE = 10000, FARS_MAX = 1024 };

static const struct {
    const char *scheme;
    int port;
} transports[] = {[COAP_UDP] = {"coap", 5683}, [COAP_DTLS] = {"coaps", 5684}, [COAP_TCP] = {"coap+tcp", 5683}, [COAP_TLS] = {"coaps+tcp", 5684}};

int coap_transport_of(const char *scheme)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(scheme, transports[i].scheme) == 0) return i;
    return BRIDGE_UNSUPPORTED;
}
const char *coap_transport_scheme(coap_transport t) { return transports[t].scheme; }
int coap_transport_port(coap_transport t) { return transports[t].port; }

/* ---- Up and down */

static void tell(coap_far *f, int status, const char *why)
{
    if (f->on_change && !f->closed) f->on_change(f->user, status, why);
}

void far_up(coap_far *f)
{
    if (f->state == FAR_UP || f->closed) return;
    f->state = FAR_UP;
    timer_stop(&f->patience);
    tell(f, 0, NULL);
    coap_peer_ready(f->peer, loop_now(f->client->loop));
    client_rearm(f->client);
}

static void carrier_drop(coap_far *f)
{
    if (f->lookup) {
        f->lookup->far = NULL;
        uv_cancel((uv_req_t *)&f->lookup->request);
        f->lookup = NULL;
    }
    far_dtls_drop(f);
    far_link_drop(f);
    far_udp_drop(f);
}

/* From a later turn of the loop: it may be called from the depth of an answer, or of OpenSSL. */
static void on_fall(timer *t)
{
    coap_far *f = list_of(t, coap_far, fall);
    int status = f->fall_status;
    bool was_up = f->state == FAR_UP;

    timer_stop(&f->patience);
    carrier_drop(f);
    f->state = FAR_IDLE;
    if (!was_up) f->address_at++; /* the next of its addresses; all of them tried: it is looked up again */
    if (f->address_at >= f->address_count) f->address_count = f->address_at = 0;
    if (status != 0) tell(f, status, f->why);
    coap_peer_park(f->peer, status ? status : BRIDGE_CLOSED);
    client_rearm(f->client);
}

void far_down(coap_far *f, int status, const char *why)
{
    if (f->state == FAR_IDLE || f->closed || f->fall.loop) return;
    f->fall_status = status;
    snprintf(f->why, sizeof f->why, "%s", why ? why : "");
    timer_start(&f->fall, f->client->loop, 0, on_fall);
}

static void on_patience(timer *t)
{
    far_down(list_of(t, coap_far, patience), BRIDGE_UNREACHABLE, "no association in time");
}

/* ---- Finding */

static void far_join(coap_far *f)
{
    f->state = FAR_JOINING;
    switch (f->transport) {
    case COAP_UDP: far_udp_join(f); break;
    case COAP_DTLS: far_dtls_join(f); break;
    case COAP_TCP:
    case COAP_TLS: far_link_join(f); break;
    }
}

static void address_add(coap_far *f, const struct sockaddr *a)
{
    size_t len = a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    if (f->public_only && !address_is_public(a)) return;
    if (f->address_count == FAR_ADDRESSES || (a->sa_family != AF_INET && a->sa_family != AF_INET6)) return;
    memcpy(&f->addresses[f->address_count++], a, len);
}

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    lookup *k = list_of(request, lookup, request);
    coap_far *f = k->far;

    mem_free(k->mem, k);
    if (f) {
        f->lookup = NULL;
        f->address_count = f->address_at = 0;
        for (struct addrinfo *a = found; a; a = a->ai_next) address_add(f, a->ai_addr);
        if (f->address_count)
            far_join(f);
        else
            far_down(f, BRIDGE_UNREACHABLE, status < 0 ? uv_strerror(status) : "a name without address");
    }
    uv_freeaddrinfo(found);
}

/* An address is itself, without asking anybody. */
static bool take_numeric(coap_far *f)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->number)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)f->number)};
    char host[INET6_ADDRSTRLEN];
    const char *zone = strchr(f->host, '%');
    size_t len = zone ? (size_t)(zone - f->host) : strlen(f->host);

    f->address_count = f->address_at = 0;
    if (inet_pton(AF_INET, f->host, &v4.sin_addr) == 1) {
        address_add(f, (struct sockaddr *)&v4);
        return true;
    }
    if (len >= sizeof host) return false;
    memcpy(host, f->host, len);
    host[len] = 0;
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1) return false;
    if (zone) v6.sin6_scope_id = if_nametoindex(zone + 1);
    address_add(f, (struct sockaddr *)&v6);
    return true;
}

static void far_find(coap_far *f)
{
    struct addrinfo hints = {.ai_socktype = f->transport <= COAP_DTLS ? SOCK_DGRAM : SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    loop *l = f->client->loop;
    char service[8];
    lookup *k;

    f->state = FAR_FINDING;
    timer_start(&f->patience, l, f->patient, on_patience);
    if (f->address_count || take_numeric(f)) {
        if (f->address_count)
            far_join(f);
        else
            far_down(f, BRIDGE_UNREACHABLE, "not a public address");
        return;
    }
    k = mem_new(f->client->mem, lookup);
    snprintf(service, sizeof service, "%d", f->number);
    if (k) {
        k->mem = f->client->mem;
        k->far = f;
        f->lookup = k;
        if (uv_getaddrinfo(loop_uv(l), &k->request, on_found, f->host, service, &hints) == 0) return;
        f->lookup = NULL;
        mem_free(k->mem, k);
    }
    far_down(f, BRIDGE_UNREACHABLE, "its name cannot be looked up");
}

/* ---- Asking */

static void on_begin(timer *t) { far_find(list_of(t, coap_far, begin)); }

int coap_far_ask(coap_ask **out, coap_far *f, const coap_question *q, coap_answer_fn fn, void *user)
{
    coap_client *c = f->client;
    int rc;

    *out = NULL;
    if (f->closed) return BRIDGE_CLOSED;
    rc = coap_ask_new(out, f->peer, loop_now(c->loop), q, fn, user);
    if (rc == 0 && f->state == FAR_IDLE && !f->begin.loop) timer_start(&f->begin, c->loop, 0, on_begin);
    client_rearm(c);
    return rc;
}

void coap_far_go_on(coap_far *f, coap_ask *ask)
{
    coap_client *c = f->client;

    coap_ask_go_on(ask, loop_now(c->loop));
    client_rearm(c);
}

void coap_far_restart(coap_far *f)
{
    if (f->state != FAR_IDLE) {
        f->address_count = f->address_at = 0;
        far_down(f, BRIDGE_CLOSED, "started anew");
    }
}

bool coap_far_is_up(const coap_far *f) { return f->state == FAR_UP; }
const char *coap_far_name(const coap_far *f) { return f->name; }

/* ---- What the engine wants */

static uint8_t *on_room(void *user, coap_peer *peer, size_t len)
{
    coap_via *via = coap_peer_link(peer);

    (void)user;
    return via->room(via, len);
}

static void on_send(void *user, coap_peer *peer, const uint8_t *p, size_t len)
{
    coap_via *via = coap_peer_link(peer);

    (void)user;
    via->send(via, p, len);
}

static void on_request(void *user, coap_request *r)
{
    (void)user;
    coap_request_text(r, COAP_NOT_FOUND, "nothing here: this is a client");
}

/* A session that nobody answers in may be one that the other side has forgotten (DTLS), or its address may have changed. */
static void on_silent(void *user, coap_peer *peer)
{
    coap_far *f = list_of((coap_via *)coap_peer_link(peer), coap_far, via);

    (void)user;
    if (f->transport == COAP_DTLS || !f->numeric) far_down(f, BRIDGE_TIMEOUT, "it does not answer");
}

static void nothing(void *owner) { (void)owner; }
static void on_dropped(void *user, coap_request *r) { (void)user, (void)r; }
static void on_gone(void *user, coap_observer *o, coap_why why) { (void)user, (void)o, (void)why; }
static void on_stale(void *user, coap_observer *o) { (void)user, (void)o; }

static const coap_hooks hooks = {
    .room = on_room, .send = on_send, .on_request = on_request, .on_dropped = on_dropped, .on_observer_gone = on_gone,
    .on_observer_stale = on_stale, .on_peer_silent = on_silent, .hold = nothing, .let_go = nothing,
};

static void on_tick(timer *t)
{
    coap_client *c = list_of(t, coap_client, tick);

    coap_engine_tick(c->engine, loop_now(c->loop));
    client_rearm(c);
}

void client_rearm(coap_client *c)
{
    int64_t due = coap_engine_due(c->engine), now;

    if (due == INT64_MAX || (c->tick.loop && c->tick.due <= due)) return;
    now = loop_now(c->loop);
    timer_start(&c->tick, c->loop, due > now ? due - now : 0, on_tick);
}

/* ---- Life */

static void far_free(coap_far *f)
{
    coap_client *c = f->client;

    timer_stop(&f->begin);
    timer_stop(&f->fall);
    timer_stop(&f->patience);
    timer_stop(&f->bury);
    carrier_drop(f);
    list_remove(&f->link);
    c->count--;
    if (f->peer) coap_peer_lost(f->peer);
    coap_secrets_unref(f->secrets);
    mem_free(c->mem, f->host);
    mem_free(c->mem, f->name);
    mem_free(c->mem, f);
}

static void on_bury(timer *t) { far_free(list_of(t, coap_far, bury)); }

void coap_far_close(coap_far *f)
{
    if (!f || f->closed) return;
    f->closed = true;
    timer_stop(&f->begin);
    coap_peer_drop_asks(f->peer);
    timer_start(&f->bury, f->client->loop, 0, on_bury);
}

static char *name_make(mem *m, const coap_far_options *o, int number)
{
    char out[400];
    bool six = strchr(o->host, ':') != NULL;

    snprintf(out, sizeof out, "%s://%s%.300s%s:%d", coap_transport_scheme(o->transport), six ? "[" : "", o->host, six ? "]" : "", number);
    return mem_text(m, out);
}

int coap_far_open(coap_far **out, coap_client *c, const coap_far_options *o)
{
    unsigned most = coap_engine_limits(c->engine)->max_peers;
    coap_far *f = c->count < most ? mem_new(c->mem, coap_far) : NULL;

    if (!f) return c->count < most ? BRIDGE_NOMEM : BRIDGE_BUSY;
    f->client = c;
    f->transport = o->transport;
    f->number = o->port < 0 ? coap_transport_port(o->transport) : o->port;
    f->patient = o->patience ? o->patience : FAR_PATIENCE;
    f->on_change = o->on_change;
    f->user = o->user;
    f->fd = -1;
    f->secrets = o->secrets;
    if (f->secrets) f->secrets->refs++;
    list_init(&f->link);
    list_push(&c->fars, &f->link);
    c->count++;
    f->host = mem_text(c->mem, o->host);
    f->name = name_make(c->mem, o, f->number);
    f->via = (coap_via){.name = f->name};
    f->peer = f->host && f->name ? coap_peer_connected(c->engine, &f->via) : NULL;
    if (!f->peer) {
        far_free(f);
        return BRIDGE_NOMEM;
    }
    f->public_only = o->public_only;
    f->numeric = take_numeric(f);
    coap_peer_pin(f->peer, true);
    coap_peer_park(f->peer, BRIDGE_CLOSED);
    *out = f;
    return 0;
}

int coap_client_new(coap_client **out, bridge_port *port, const coap_limits *wanted, bridge_error *err)
{
    mem *m = port_mem(port);
    coap_client *c = mem_new(m, coap_client);
    coap_limits l = wanted ? *wanted : (coap_limits){0};

    if (!c) return fail_nomem(err);
    if (!l.max_peers) l.max_peers = FARS_MAX;
    c->port = port;
    c->mem = m;
    c->loop = port_loop(port);
    list_init(&c->fars);
    buf_init(&c->out, m, 0);
    c->in = mem_alloc(m, CLIENT_IN);
    if (!c->in || coap_engine_new(&c->engine, m, &hooks, c, &l, loop_now(c->loop)) < 0) {
        coap_client_free(c);
        return fail_nomem(err);
    }
    *out = c;
    return 0;
}

void coap_client_free(coap_client *c)
{
    if (!c) return;
    while (!list_empty(&c->fars)) {
        coap_far *f = list_of(c->fars.next, coap_far, link);

        f->closed = true;
        coap_peer_drop_asks(f->peer);
        far_free(f);
    }
    timer_stop(&c->tick);
    coap_engine_free(c->engine);
    buf_done(&c->out);
    mem_free(c->mem, c->in);
    mem_free(c->mem, c);
}

coap_engine *coap_client_engine(coap_client *c) { return c->engine; }
