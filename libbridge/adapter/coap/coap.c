/* CoAP (RFC 7252, 7641, 7959) as an adapter: ports, peers, time.  README.md tells what is in. */
#include "adapter/coap/coap.h"
#include "adapter/coap/directory.h"
#include "adapter/coap/dtls.h"
#include "adapter/coap/foreign.h"
#include "adapter/coap/forward.h"
#include "adapter/coap/link.h"
#include "adapter/coap/proxy.h"
#include "adapter/coap/topics.h"
#include "base/status.h"
#include "core/target.h"
#include "core/url.h"
#include "loop/claim.h"
#include "loop/tls.h"
#include <stdio.h>

extern const bridge_adapter coap_adapter;

/* ---- What the engine wants */

uint8_t *coap_port_room(void *user, coap_peer *peer, size_t len)
{
    coap_port *cp = user;
    coap_via *via = coap_peer_link(peer);

    return via ? via->room(via, len) : coap_udp_room(cp->udp, len);
}

void coap_port_send(void *user, coap_peer *peer, const uint8_t *p, size_t len)
{
    coap_port *cp = user;
    coap_via *via = coap_peer_link(peer);

    if (via)
        via->send(via, p, len);
    else
        coap_udp_send(cp->udp, coap_peer_address(peer), p, len);
}

static void on_dropped(void *user, coap_request *r)
{
    (void)user;
    if (r->user && r->proxied)
        coap_proxy_dropped(r);
    else if (r->user)
        coap_wait_dropped(r->user);
}

static void on_peer_gone(void *user, coap_peer *peer)
{
    (void)user;
    bridge_peer_free(*coap_peer_user(peer));
}

static void hold(void *owner) { bridge_msg_ref(owner); }
static void let_go(void *owner) { bridge_msg_unref(owner); }

static const coap_hooks hooks = {
    .room = coap_port_room,
    .send = coap_port_send,
    .on_request = coap_serve,
    .on_dropped = on_dropped,
    .on_observer_gone = coap_watcher_gone,
    .on_observer_stale = coap_watcher_stale,
    .on_peer_gone = on_peer_gone,
    .hold = hold,
    .let_go = let_go,
};

/* ---- Peers */

bridge_peer *coap_who(coap_port *cp, coap_peer *peer, int *refused)
{
    bridge_peer **known = (bridge_peer **)coap_peer_user(peer);
    const coap_via *via = coap_peer_link(peer);
    bridge_port *port = via && via->port ? via->port : cp->port;
    char who[COAP_ADDRESS_TEXT + 8] = "coap:";
    bridge_ask ask = {.size = sizeof ask, .verb = BRIDGE_CONNECT, .who = who, .path = ""};

    if (*known) return *known;
    if (via)
        snprintf(who + 5, sizeof who - 5, "%s", via->name);
    else
        coap_address_text(coap_peer_address(peer), who + 5);
    ask.certified = via ? via->user : NULL;
    *refused = bridge_port_login(port, &ask);
    if (*refused < 0) return NULL;
    *refused = bridge_peer_new(known, cp->port, who + 5, ask.user, 0, NULL);
    if (*refused < 0) return NULL;
    if (port != cp->port) bridge_peer_via(*known, port, ask.user);
    *refused = BRIDGE_BUSY;
    return !ask.user || coap_peer_named(peer, ask.user) ? *known : NULL; /* from its next request on it is known */
}

/* ---- Time */

static void on_tick(timer *t)
{
    coap_port *cp = list_of(t, coap_port, tick);

    coap_engine_tick(cp->engine, loop_now(cp->loop));
    if (cp->udp) coap_udp_flush(cp->udp);
    coap_rearm(cp);
}

/* One that rings too early only looks again, so it is set anew only when something is due sooner. */
void coap_rearm(coap_port *cp)
{
    int64_t due, now;

    if (cp->closing) return;
    due = coap_engine_due(cp->engine);
    if (due == INT64_MAX || (cp->tick.loop && cp->tick.due <= due)) return;
    now = loop_now(cp->loop);
    timer_start(&cp->tick, cp->loop, due > now ? due - now : 0, on_tick);
}

static void on_turn_end(turn_end *t)
{
    coap_port *cp = list_of(t, coap_port, flush);

    coap_tell_news(cp);
    if (cp->udp) coap_udp_flush(cp->udp);
    coap_rearm(cp);
}

static void on_datagram(void *user, const coap_address *from, const uint8_t *p, size_t len, bool multicast)
{
    coap_port *cp = user;

    cp->reading = true;
    if (!cp->closing) coap_engine_input(cp->engine, loop_now(cp->loop), from, p, len, multicast);
    if (!cp->closing && cp->on_heard) cp->on_heard(cp, from, NULL);
    cp->reading = false;
}

static void on_batch(void *user) { coap_rearm(user); }

/* ---- Life */

void coap_port_recheck(bridge_port *port, const char *identity)
{
    coap_port *cp = bridge_port_state(port);

    if (cp->dtls) coap_dtls_recheck(cp->dtls, identity);
    if (cp->tls) tls_recheck(cp->tls, identity);
}

void coap_port_free(coap_port *cp)
{
    timer_stop(&cp->tick);
    timer_stop(&cp->bury);
    turn_end_cancel(&cp->flush);
    directory_free(cp->directory);
    topics_free(cp->topics);
    coap_dtls_close(cp->dtls);
    coap_engine_free(cp->engine);
    timer_stop(&cp->gathering);
    coap_udp_close(cp->udp);
    listener_close(cp->listener);
    tls_free(cp->tls);
    buf_done(&cp->frame);
    mem_free(cp->mem, cp->spare);
    forwarder_free(cp->forwarder);
    allowed_free(cp->targets);
    mem_free(cp->mem, cp->mount);
    mem_free(cp->mem, cp->path);
}

static int take_mount(coap_port *cp, const bridge_url *u, bridge_error *err)
{
    buf b;
    int rc;

    buf_init(&b, cp->mem, 0);
    rc = text_percent_decode(&b, text_of(u->path[0] == '/' ? u->path + 1 : u->path));
    while (rc == 0 && b.len && b.data[b.len - 1] == '/') b.len--;
    if (rc == 0) cp->mount = mem_text_len(cp->mem, b.data ? (const char *)b.data : "", b.len);
    buf_done(&b);
    if (rc < 0) return fail(err, rc, "mount %s: bad percent escape", u->path);
    return cp->mount ? 0 : fail_nomem(err);
}

static void tell_name(coap_port *cp, const bridge_url *u)
{
    char name[512];
    bool six = strchr(u->host, ':') != NULL;

    snprintf(name, sizeof name, "%s://%s%s%s:%d%s", u->scheme, six ? "[" : "", u->host, six ? "]" : "", coap_udp_port(cp->udp), u->path);
    bridge_port_named(cp->port, name);
}

static int sockets_open(coap_port *cp, const bridge_url *u, coap_transport transport, bridge_error *err)
{
    const char *multicast = url_get(u, "multicast");
    int rc;

    if (transport == COAP_TCP || transport == COAP_TLS) return coap_links_open(cp, u, transport == COAP_TLS, err);
    if (transport == COAP_DTLS)
        rc = coap_dtls_open(&cp->dtls, cp, u, err);
    else
        rc = coap_udp_open(&cp->udp, cp->port, u->host, u->port < 0 ? 5683 : u->port, on_datagram, cp, err);
    if (rc == 0 && multicast && strcmp(multicast, "no") != 0) rc = coap_udp_multicast(cp->udp, multicast, err);
    if (rc < 0) return rc;
    coap_udp_on_batch(cp->udp, on_batch, cp);
    tell_name(cp, u);
    return 0;
}

int coap_port_open(coap_port *cp, bridge_port *port, const bridge_url *u, coap_transport transport, const coap_hooks *how,
                   const coap_limits *l, bridge_error *err)
{
    int rc;

    cp->port = port;
    cp->url = u;
    cp->mem = port_mem(port);
    cp->loop = port_loop(port);
    list_init(&cp->waiting);
    list_init(&cp->news);
    list_init(&cp->gathers);
    list_init(&cp->links);
    buf_init(&cp->frame, cp->mem, 0);
    turn_end_init(&cp->flush, on_turn_end);
    rc = take_mount(cp, u, err);
    if (rc == 0 && !(cp->path = mem_alloc(cp->mem, COAP_PATH_MAX + 1))) rc = fail_nomem(err);
    if (rc == 0 && coap_engine_new(&cp->engine, cp->mem, how, cp, l, loop_now(cp->loop)) < 0) rc = fail_nomem(err);
    if (rc == 0) rc = sockets_open(cp, u, transport, err);
    if (rc < 0) coap_port_free(cp);
    return rc;
}

/* What the URL says beside where. */
static void take_said(coap_port *cp, const coap_said *said)
{
    bool mounted = *cp->mount != 0; /* without a mount every path is somebody's */

    allowed_free(cp->targets);
    cp->targets = said->targets;
    cp->manner = said->manner;
    cp->has_directory = said->directory < 0 ? mounted : said->directory;
    cp->has_topics = said->topics < 0 ? mounted : said->topics;
}

static int coap_open(bridge_port *port, const bridge_url *u, bridge_error *err)
{
    static const char *const of[] = {[COAP_UDP] = "coap", [COAP_DTLS] = "coaps", [COAP_TCP] = "coap+tcp", [COAP_TLS] = "coaps+tcp"};
    coap_port *cp = bridge_port_state(port);
    coap_transport transport = COAP_UDP;
    coap_said said;
    int rc = coap_said_read(&said, port_mem(port), u, err);

    while (strcmp(u->scheme, of[transport]) != 0) transport++;
    said.limits.max_body = port_limits(port)->max_message;
    if (rc == 0) rc = coap_port_open(cp, port, u, transport, &hooks, &said.limits, err);
    if (rc < 0) {
        allowed_free(said.targets);
        return rc;
    }
    cp->scheme = of[transport];
    take_said(cp, &said);
    return 0;
}

/* All or nothing.  The groups come first: leaving what was joined is the only thing that can be undone without fail. */
static int change_sockets(coap_port *cp, const bridge_url *u, bridge_error *err)
{
    const bridge_url *was = cp->url;
    int rc = cp->udp ? coap_udp_regroup(cp->udp, url_get(was, "multicast"), url_get(u, "multicast"), err) : 0;

    if (rc < 0) return rc;
    if (cp->dtls) rc = coap_dtls_change(cp->dtls, u, err);
    if (cp->tls) rc = tls_change(cp->tls, u, "coap", &(claim_asker){bridge_port_credential, cp->port}, err);
    if (rc < 0 && cp->udp) coap_udp_regroup(cp->udp, url_get(u, "multicast"), url_get(was, "multicast"), NULL);
    return rc;
}

/* A datagram socket is its connections, so it stays, with all there is, and new options hold for everybody. */
int coap_port_change(coap_port *cp, const bridge_url *u, const coap_limits *l, bridge_error *err)
{
    int rc = change_sockets(cp, u, err);

    if (rc < 0) return rc;
    cp->url = u;
    coap_engine_limit(cp->engine, l);
    return 0;
}

static int coap_change(bridge_port *port, const bridge_url *u, bridge_error *err)
{
    coap_port *cp = bridge_port_state(port);
    coap_said said;
    int rc = coap_said_read(&said, cp->mem, u, err);

    said.limits.max_body = port_limits(port)->max_message;
    if (rc == 0) rc = coap_port_change(cp, u, &said.limits, err);
    if (rc < 0) allowed_free(said.targets);
    else take_said(cp, &said);
    return rc < 0 ? rc : 0;
}

coap_port *coap_home_of(bridge_port *port)
{
    coap_port *home = bridge_port_state(port);

    if (home->port) return home;
    home->port = port;
    home->mem = port_mem(port);
    home->loop = port_loop(port);
    list_init(&home->waiting);
    list_init(&home->news);
    list_init(&home->gathers);
    list_init(&home->links);
    buf_init(&home->frame, home->mem, 0);
    turn_end_init(&home->flush, on_turn_end);
    return home;
}

coap_port *coap_home(coap_port *cp)
{
    bridge_port *port = bridge_port_home(cp->port);

    return port ? coap_home_of(port) : NULL;
}

/* WebSocket, accepted by an HTTP listener: served at /r, with a directory and a broker. */
static int home_open(coap_port *home)
{
    coap_limits l = {.max_body = port_limits(home->port)->max_message};
    int rc;

    if (home->engine) return 0;
    if (!home->mount) home->mount = mem_text(home->mem, "r");
    if (!home->path) home->path = mem_alloc(home->mem, COAP_PATH_MAX + 1);
    rc = home->mount && home->path ? coap_engine_new(&home->engine, home->mem, &hooks, home, &l, loop_now(home->loop)) : BRIDGE_NOMEM;
    home->scheme = "coap+ws";
    home->has_directory = home->has_topics = true;
    return rc;
}

static int coap_accept(bridge_port *port, bridge_port *via, struct stream *s, const bridge_ask *who)
{
    coap_port *home = coap_home_of(port);
    int rc = home->closing ? BRIDGE_CLOSED : home_open(home);

    (void)who;
    return rc < 0 ? rc : coap_links_take(home, via, s);
}

static void on_bury(timer *t)
{
    coap_port *cp = list_of(t, coap_port, bury);
    bridge_port *port = cp->port;

    if (cp->on_buried) cp->on_buried(cp);
    coap_port_free(cp);
    bridge_port_closed(port);
}

void coap_bury_soon(coap_port *cp)
{
    if (!cp->closing || !list_empty(&cp->links) || cp->bury.loop) return;
    if (timer_start(&cp->bury, cp->loop, 0, on_bury) < 0 && !cp->reading) on_bury(&cp->bury);
}

/* It may be called from within a request of ours, so what is under way ends first. */
void coap_port_close(bridge_port *port)
{
    coap_port *cp = bridge_port_state(port);

    if (cp->foreign) {
        foreign_close(cp->foreign);
        return;
    }
    if (cp->closing) return;
    if (!cp->port) { /* a home that nobody has been to */
        bridge_port_closed(port);
        return;
    }
    cp->closing = true;
    timer_stop(&cp->tick);
    coap_links_close(cp);
    coap_bury_soon(cp);
}

static void coap_stats(bridge_port *port, bridge_stat_fn fn, void *user)
{
    coap_port *cp = bridge_port_state(port), *home;
    coap_counters n;

    if (cp->foreign) {
        foreign_stats(cp->foreign, fn, user);
        return;
    }
    if (cp->forwarder) /* the home's */
        forwarder_stats(cp->forwarder, fn, user);
    else if (cp->targets && (home = coap_home(cp)) && !home->forwarder)
        forwarder_stats(NULL, fn, user);
    fn(user, "bridge_coap_topics", "", cp->topics ? (double)cp->topics->by_id.count : 0);
    fn(user, "bridge_coap_registrations", "", cp->directory ? (double)cp->directory->count : 0);
    if (!cp->engine) return;
    n = coap_engine_counters(cp->engine);
    fn(user, "bridge_coap_received_total", "", (double)n.received);
    fn(user, "bridge_coap_sent_total", "", (double)n.sent);
    fn(user, "bridge_coap_requests_total", "", (double)cp->requests);
    fn(user, "bridge_coap_errors_total", "", (double)cp->errors);
    fn(user, "bridge_coap_malformed_total", "", (double)n.malformed);
    fn(user, "bridge_coap_duplicates_total", "", (double)n.duplicates);
    fn(user, "bridge_coap_retransmitted_total", "", (double)n.retransmitted);
    fn(user, "bridge_coap_resets_total", "", (double)n.resets);
    fn(user, "bridge_coap_timeouts_total", "", (double)n.timeouts);
    fn(user, "bridge_coap_refused_total", "", (double)n.refused);
    fn(user, "bridge_coap_notifications_total", "", (double)n.notifications);
    fn(user, "bridge_coap_skipped_total", "", (double)n.skipped);
    fn(user, "bridge_coap_lost_total", "", cp->udp ? (double)coap_udp_lost(cp->udp) : 0);
    fn(user, "bridge_coap_peers", "", n.peers);
    fn(user, "bridge_coap_observers", "", n.observers);
    fn(user, "bridge_coap_transfers", "", n.transfers);
    fn(user, "bridge_coap_pending", "", n.pending);
}

static int coap_connect(bridge_port *port, const bridge_url *u, bridge_error *err)
{
    coap_port *cp = bridge_port_state(port);

    return foreign_open(&cp->foreign, port, u, err);
}

static const char *const connects[] = {"coap", "coaps", "coap+tcp", "coaps+tcp", NULL};
static const char *const schemes[] = {"coap", "coaps", "coap+tcp", "coaps+tcp", NULL};
const bridge_adapter coap_adapter = {
    .size = sizeof(bridge_adapter),
    .scheme = "coap",
    .schemes = schemes,
    .summary = "CoAP over UDP, DTLS, TCP and TLS (RFC 7252, 8323), observe, blockwise, discovery",
    .state_size = sizeof(coap_port),
    .open = coap_open,
    .close = coap_port_close,
    .deliver = coap_deliver,
    .accept = coap_accept,
    .restore = coap_restore,
    .stats = coap_stats,
    .recheck = coap_port_recheck,
    .change = coap_change,
    .check = coap_said_check,
    .connects = connects,
    .connect = coap_connect,
    .check_connect = foreign_check,
    .forward = coap_forward,
};
