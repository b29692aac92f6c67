/* LwM2M (OMA LwM2M 1.0.2, 1.1.1, 1.2) as an adapter: listeners, their settings, their end.  README.md tells what is in. */
#include "adapter/lwm2m/lwm2m.h"
#include "adapter/lwm2m/ddf.h"
#include "adapter/coap/dtls.h"
#include "base/clock.h"
#include "base/status.h"
#include "core/url.h"
#include "loop/stream.h"
#include "loop/tls.h"
#include <stdio.h>

extern const bridge_adapter lwm2m_adapter;

/* ---- What all listeners have together */

lwm2m_server *lwm2m_server_of(bridge_port *port)
{
    bridge_port *home = bridge_port_home(port);
    lwm2m_server *s = home ? bridge_port_state(home) : NULL;
    uint64_t seed;

    if (!s || s->home) return s;
    random_bytes(&seed, sizeof seed);
    s->home = home;
    s->mem = port_mem(home);
    s->loop = port_loop(home);
    list_init(&s->ports);
    list_init(&s->devices);
    list_init(&s->updates);
    list_init(&s->parts);
    list_init(&s->campaigns);
    list_init(&s->words);
    list_init(&s->guests);
    map_init(&s->by_name, s->mem, seed);
    map_init(&s->by_location, s->mem, seed);
    map_init(&s->by_place, s->mem, seed);
    return s;
}

/* ---- Settings: docs/limits.md, LwM2M */

#define SETTINGS(X)                                                                                                    \
    X(max_devices, 1000000, UINT32_MAX)                                                                                \
    X(max_links, 16384, 1024 * 1024)                                                                                   \
    X(max_queue, 64, 65536)                                                                                            \
    X(max_lifetime, 31536000, UINT32_MAX)                                                                              \
    X(max_register_rate, 0, UINT32_MAX)                                                                                \
    X(update_timeout, 3600, 31536000)                                                                                  \
    X(max_fetches, 10, 1000000)                                                                                        \
    X(queue_ttl, 86400, 31536000)                                                                                      \
    X(awake, 93000, 86400000)

static const char *const options[] = {"max_devices", "max_links", "max_queue", "max_lifetime", "max_register_rate", "queue_ttl", "awake", "update_timeout", "max_fetches",
                                      "mount", "endpoint", "public", "public_http", "bootstrap", "lookup", "objects", "max_peers", "nstart", "block_size", NULL};

static bool is_secure(const bridge_url *u) { return strncmp(u->scheme, "lwm2ms", 6) == 0; }
static bool is_stream(const bridge_url *u) { return strchr(u->scheme, '+') != NULL; }

static int settings_check(const bridge_url *u, bridge_error *err)
{
    const char *const *more = is_secure(u) ? is_stream(u) ? tls_url_options : coap_dtls_options : NULL;
    const char *known[64];
    size_t n = 0;

    for (const char *const *o = options; *o; o++) known[n++] = *o;
    for (; more && *more && n < 63; more++) known[n++] = *more;
    known[n] = NULL;
    return url_check(u, known, err);
}

static int engine_limits_take(const bridge_url *u, coap_limits *l, bridge_error *err)
{
    uint64_t peers, nstart, block;
    int rc = url_get_u64(u, "max_peers", 0, 10 * 1000 * 1000, &peers, err);

    if (rc == 0) rc = url_get_u64(u, "nstart", 0, 1000, &nstart, err);
    if (rc == 0) rc = url_get_u64(u, "block_size", 1024, 1024, &block, err);
    if (rc < 0) return rc;
    if (block < 16 || block & (block - 1)) return fail(err, BRIDGE_INVALID, "option block_size: 16, 32, 64 ... 1024 is wanted");
    l->max_peers = (unsigned)peers;
    l->nstart = (unsigned)nstart;
    l->block = (unsigned)block;
    return 0;
}

static int limits_take(const bridge_url *u, lwm2m_limits *out, bridge_error *err)
{
    int rc = 0;

#define SETTING(name, otherwise, most)                                                                                 \
    if (rc == 0) rc = url_get_u64(u, #name, otherwise, most, &out->name, err);
    SETTINGS(SETTING)
#undef SETTING
    return rc;
}

static void words_free(lwm2m_port *p)
{
    mem_free(p->coap.mem, p->mount);
    mem_free(p->coap.mem, p->address);
    mem_free(p->coap.mem, p->http);
    mem_free(p->coap.mem, p->bootstrap);
}

static int words_take(const bridge_url *u, lwm2m_port *p, bridge_error *err)
{
    const char *mount = url_get(u, "mount"), *endpoint = url_get(u, "endpoint");

    if (!mount) mount = "lwm2m";
    if (!*mount || strpbrk(mount, "+#{}")) return fail(err, BRIDGE_INVALID, "option mount: a path is wanted, as \"lwm2m\"");
    if (endpoint && strcmp(endpoint, "any") != 0 && strcmp(endpoint, "own") != 0)
        return fail(err, BRIDGE_INVALID, "option endpoint: own or any is wanted");
    p->free_names = endpoint && strcmp(endpoint, "any") == 0;
    if (url_get(u, "bootstrap") && !(p->bootstrap = mem_text(p->coap.mem, url_get(u, "bootstrap")))) return fail_nomem(err);
    if (url_get(u, "public_http") && !(p->http = mem_text(p->coap.mem, url_get(u, "public_http")))) return fail_nomem(err);
    p->mount = mem_text(p->coap.mem, mount);
    return p->mount ? url_get_bool(u, "lookup", false, &p->lookup, err) : fail_nomem(err);
}

static int lwm2m_check(const bridge_url *u, bridge_error *err)
{
    coap_limits unused = {0};
    lwm2m_limits nothing;
    int rc = settings_check(u, err);

    if (rc == 0) rc = engine_limits_take(u, &unused, err);
    return rc < 0 ? rc : limits_take(u, &nothing, err);
}

/* ---- Listeners */

static void on_peer_gone(void *user, coap_peer *peer)
{
    lwm2m_peer_lost(user, peer);
}

static void hold(void *owner) { bridge_msg_ref(owner); }
static void let_go(void *owner) { bridge_msg_unref(owner); }
static void on_dropped(void *user, coap_request *r)
{
    const lwm2m_port *p = list_of(user, lwm2m_port, coap);

    if (r->user && !lwm2m_boot_dropped(p->server, r)) lwm2m_promise_dropped(r);
}

static void on_observer(void *user, coap_observer *o, coap_why why) { (void)user, (void)o, (void)why; }
static void on_stale(void *user, coap_observer *o) { (void)user, (void)o; }

static const coap_hooks hooks = {
    .room = coap_port_room,
    .send = coap_port_send,
    .on_request = lwm2m_serve,
    .on_dropped = on_dropped,
    .on_observer_gone = on_observer,
    .on_observer_stale = on_stale,
    .on_peer_gone = on_peer_gone,
    .hold = hold,
    .let_go = let_go,
};

static void server_settle(lwm2m_server *s)
{
    bridge_port *home = s->home;

    if (!s->closing || s->port_count) return;
    s->closing = false;
    lwm2m_server_done(s);
    bridge_port_closed(home);
}

static void on_buried(coap_port *cp)
{
    lwm2m_port *p = list_of(cp, lwm2m_port, coap);
    lwm2m_server *s = p->server;

    lwm2m_promises_drop(p);
    for (list *it = s->devices.next, *after; it != &s->devices; it = after) {
        lwm2m_device *d = list_of(it, lwm2m_device, link);

        after = it->next;
        while (after != &s->devices && list_of(after, lwm2m_device, link)->gateway == d) after = after->next; /* they go with it */
        if (d->port == p) lwm2m_remove(d, LWM2M_GONE_CLOSED);
    }
    list_each_safe (it, &s->guests) {
        lwm2m_device *d = list_of(it, lwm2m_device, link);
        if (d->port == p) lwm2m_remove(d, LWM2M_GONE_CLOSED);
    }
    lwm2m_list_close(p);
    list_remove(&p->link);
    words_free(p);
    s->port_count--;
    server_settle(s);
}

static int model_read(lwm2m_server *s, const bridge_url *u, lwm2m_model **out, bridge_error *err)
{
    const char *folder = url_get(u, "objects");

    *out = NULL;
    return folder ? lwm2m_model_read(out, s->mem, folder, err) : 0;
}

static void model_take(lwm2m_server *s, lwm2m_model *fresh)
{
    if (!fresh) return;
    lwm2m_model_free(s->model);
    s->model = fresh;
}

static coap_transport transport_of(const bridge_url *u)
{
    if (is_stream(u)) return is_secure(u) ? COAP_TLS : COAP_TCP;
    return is_secure(u) ? COAP_DTLS : COAP_UDP;
}

/* What devices call this listener: told by public=, else where it is bound, unless that is every address. */
static int address_take(const lwm2m_port *p, const bridge_url *u, char **out)
{
    static const char *const schemes_of[] = {[COAP_UDP] = "coap", [COAP_DTLS] = "coaps", [COAP_TCP] = "coap+tcp", [COAP_TLS] = "coaps+tcp"};
    const char *public_name = url_get(u, "public");
    bool six = strchr(u->host, ':') != NULL;
    char name[512];

    if (!public_name && (!*u->host || strcmp(u->host, "::") == 0 || strcmp(u->host, "0.0.0.0") == 0)) return 0;
    if (is_stream(u))
        snprintf(name, sizeof name, "%s://%s", schemes_of[transport_of(u)], listener_address(p->coap.listener));
    else
        snprintf(name, sizeof name, "%s://%s%s%s:%d", schemes_of[transport_of(u)], six ? "[" : "", u->host, six ? "]" : "",
                 coap_udp_port(p->coap.udp));
    *out = mem_text(p->coap.mem, public_name ? public_name : name);
    return *out ? 0 : BRIDGE_NOMEM;
}

/* What the URL says beside where, into a port that serves nobody yet. */
static int said_read(lwm2m_port *p, const bridge_url *u, coap_limits *l, bridge_error *err)
{
    int rc = settings_check(u, err);

    if (rc == 0) rc = engine_limits_take(u, l, err);
    if (rc == 0) rc = limits_take(u, &p->limits, err);
    return rc == 0 ? words_take(u, p, err) : rc;
}

static int lwm2m_open(bridge_port *port, const bridge_url *u, bridge_error *err)
{
    lwm2m_port *p = bridge_port_state(port);
    coap_limits l = {.max_body = port_limits(port)->max_message};
    lwm2m_model *model = NULL;
    int rc;

    p->server = lwm2m_server_of(port);
    if (!p->server) return fail_nomem(err);
    p->coap.mem = port_mem(port);
    list_init(&p->promises);
    snprintf(p->scheme, sizeof p->scheme, "%s", u->scheme);
    rc = said_read(p, u, &l, err);
    if (rc == 0) rc = model_read(p->server, u, &model, err);
    if (rc == 0) rc = coap_port_open(&p->coap, port, u, transport_of(u), &hooks, &l, err);
    if (rc < 0) {
        lwm2m_model_free(model);
        words_free(p);
        return rc;
    }
    model_take(p->server, model);
    p->coap.on_buried = on_buried;
    p->coap.on_heard = lwm2m_on_heard;
    address_take(p, u, &p->address); /* without one devices are not told to fetch from here */
    list_push(&p->server->ports, &p->link);
    p->server->port_count++;
    lwm2m_list_open(p);
    lwm2m_take_up(p);
    return 0;
}

static void words_swap(lwm2m_port *p, lwm2m_port *with)
{
    lwm2m_port was = *p;

    p->limits = with->limits;
    p->mount = with->mount;
    p->bootstrap = with->bootstrap;
    p->address = with->address;
    p->http = with->http;
    p->free_names = with->free_names;
    p->lookup = with->lookup;
    with->mount = was.mount;
    with->bootstrap = was.bootstrap;
    with->address = was.address;
    with->http = was.http;
}

/* Devices, sessions and observations stay, and new options hold for all of them.  Another mount would be other names for the devices: for
 * that they come again. */
static int lwm2m_change(bridge_port *port, const bridge_url *u, bridge_error *err)
{
    lwm2m_port *p = bridge_port_state(port), said = {.coap = {.mem = p->coap.mem, .udp = p->coap.udp, .listener = p->coap.listener}};
    coap_limits l = {.max_body = port_limits(port)->max_message};
    lwm2m_model *model = NULL;
    int rc = said_read(&said, u, &l, err);

    if (rc == 0 && strcmp(said.mount, p->mount) != 0) rc = BRIDGE_UNSUPPORTED;
    if (rc == 0 && address_take(&said, u, &said.address) < 0) rc = fail_nomem(err);
    if (rc == 0) rc = model_read(p->server, u, &model, err);
    if (rc == 0) rc = coap_port_change(&p->coap, u, &l, err);
    if (rc == 0) {
        model_take(p->server, model);
        words_swap(p, &said);
    } else {
        lwm2m_model_free(model);
    }
    words_free(&said);
    return rc;
}

static void lwm2m_close(bridge_port *port)
{
    lwm2m_server *s = lwm2m_server_of(port);

    if (bridge_port_home(port) != port) {
        coap_port_close(port);
        return;
    }
    s->closing = true;
    server_settle(s);
}

static void lwm2m_deliver(void *state, bridge_msg *msg, const bridge_delivery *how) { (void)state, (void)msg, (void)how; }

static void lwm2m_stats(bridge_port *port, bridge_stat_fn fn, void *user)
{
    lwm2m_server *s = lwm2m_server_of(port);
    const lwm2m_counters *n;

    if (!s || bridge_port_home(port) != port) return;
    n = &s->count;
    fn(user, "bridge_lwm2m_devices", "", (double)s->device_count);
    fn(user, "bridge_lwm2m_suspects", "", (double)s->suspects);
    fn(user, "bridge_lwm2m_registrations_total", "", (double)n->registrations);
    fn(user, "bridge_lwm2m_updates_total", "", (double)n->updates);
    fn(user, "bridge_lwm2m_deregistrations_total", "", (double)n->deregistrations);
    fn(user, "bridge_lwm2m_expirations_total", "", (double)n->expirations);
    fn(user, "bridge_lwm2m_refused_total", "", (double)n->refused);
    fn(user, "bridge_lwm2m_requests_total", "", (double)n->requests);
    fn(user, "bridge_lwm2m_answers_total", "", (double)n->answers);
    fn(user, "bridge_lwm2m_timeouts_total", "", (double)n->timeouts);
    fn(user, "bridge_lwm2m_notifications_total", "", (double)n->notifications);
    fn(user, "bridge_lwm2m_sends_total", "", (double)n->sends);
    fn(user, "bridge_lwm2m_queued_total", "", (double)n->queued);
    fn(user, "bridge_lwm2m_coalesced_total", "", (double)n->coalesced);
}

static const char *lwm2m_address(void *state, char *room, size_t len)
{
    const lwm2m_device *d = state;

    if (!d->place.address.family || len < COAP_ADDRESS_TEXT) return NULL;
    coap_address_text(&d->place.address, room);
    return room;
}

static const char *const schemes[] = {"lwm2m", "lwm2ms", "lwm2m+tcp", "lwm2ms+tcp", NULL};
const bridge_adapter lwm2m_adapter = {
    .size = sizeof(bridge_adapter),
    .scheme = "lwm2m",
    .schemes = schemes,
    .summary = "LwM2M 1.0, 1.1 and 1.2 devices over UDP, DTLS, TCP and TLS",
    .state_size = sizeof(lwm2m_port) > sizeof(lwm2m_server) ? sizeof(lwm2m_port) : sizeof(lwm2m_server),
    .open = lwm2m_open,
    .close = lwm2m_close,
    .deliver = lwm2m_deliver,
    .stats = lwm2m_stats,
    .check = lwm2m_check,
    .recheck = coap_port_recheck,
    .change = lwm2m_change,
    .address = lwm2m_address,
};
