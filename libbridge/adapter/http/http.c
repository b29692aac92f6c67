/* adapter/http/http.c - HTTP with server-sent events and WebSocket, as an adapter.  README.md says what of them is in. */
#include "adapter/http/hc.h"
#include "adapter/http/cors.h"
#include "adapter/http/forward.h"
#include "adapter/http/h2.h"
#include "adapter/http/out.h"
#include "adapter/http/server.h"
#include "base/status.h"
#include "core/target.h"
#include "core/url.h"
#include "hub/port.h"
#include "loop/claim.h"
#include "loop/tls.h"

static const char *const own_options[] = {"hc", "idle", "max_connections", "proxy", "routes", NULL};

static void port_done(http_port *p)
{
    tls_free(p->tls);
    buf_done(&p->out);
    buf_done(&p->body);
    buf_done(&p->name);
    buf_done(&p->frame);
    mem_free(p->mem, p->mount);
    cors_free(p->cors);
    allowed_free(p->targets);
}

/* "/resources", without a slash at the end; "" is the root.  Left out it is /resources, as Ponte had it. */
static int read_mount(http_port *p, const url *u)
{
    size_t n = strlen(u->path);

    while (n > 0 && u->path[n - 1] == '/') n--;
    p->mount = u->path[0] ? mem_text_len(p->mem, u->path, n) : mem_text(p->mem, "/resources");
    return p->mount ? 0 : BRIDGE_NOMEM;
}

static int read_options(http_port *p, const url *u, bridge_error *err)
{
    uint64_t idle;
    int rc = url_get_u64(u, "max_connections", HTTP_MAX_CONNECTIONS, 1000000, &p->max_connections, err);

    if (rc == 0) rc = url_get_u64(u, "idle", HTTP_IDLE_TIME / 1000, 86400, &idle, err);
    if (rc < 0) return rc;
    p->idle_time = (int64_t)idle * 1000;
    p->routes_write = url_get(u, "routes") && strcmp(url_get(u, "routes"), "write") == 0;
    if (url_get(u, "routes") && !p->routes_write && strcmp(url_get(u, "routes"), "read") != 0)
        return fail(err, BRIDGE_INVALID, "routes=%s: it is read or write", url_get(u, "routes"));
    rc = read_mount(p, u);
    return rc < 0 ? fail_nomem(err) : cors_new(&p->cors, p->mem, u, err);
}

static bool is_secure(const char *scheme)
{
    return strcmp(scheme, "https") == 0 || strcmp(scheme, "wss") == 0;
}

static int default_port(const char *scheme)
{
    return is_secure(scheme) ? 443 : 80;
}

/* Says where it really listens. */
static int say_name(http_port *p, const url *u)
{
    buf b;
    int rc;

    buf_init(&b, p->mem, 0);
    rc = buf_print(&b, "%s://%s%s", u->scheme, listener_address(p->listener), p->sockets_only ? u->path : p->mount);
    if (rc == 0 && !buf_cstr(&b)) rc = BRIDGE_NOMEM;
    if (rc == 0) bridge_port_named(p->port, buf_cstr(&b));
    buf_done(&b);
    return rc;
}

static int check_options(const url *u, bridge_error *err)
{
    const char *known[64];
    size_t n = 0;

    for (const char *const *at = own_options; *at; at++) known[n++] = *at;
    for (const char *const *at = cors_options; *at; at++) known[n++] = *at;
    for (const char *const *at = tls_url_options; is_secure(u->scheme) && *at && n < 63; at++) known[n++] = *at;
    known[n] = NULL;
    return url_check(u, known, err);
}

static void on_tls_trouble(void *user, const char *peer, const char *what)
{
    http_port *p = user;

    bridge_port_log(p->port, BRIDGE_LOG_WARN, peer, "TLS: %s", what);
}

static int http_open(bridge_port *port, const bridge_url *u, bridge_error *err)
{
    http_port *p = bridge_port_state(port);
    listener_options o = {.host = u->host, .port = u->port >= 0 ? u->port : default_port(u->scheme)};
    int rc = check_options(u, err);

    if (rc < 0) return rc;
    p->port = port;
    p->loop = port_loop(port);
    p->mem = port_mem(port);
    p->max_body = port_limits(port)->max_message;
    p->sockets_only = strcmp(u->scheme, "http") != 0 && strcmp(u->scheme, "https") != 0;
    p->date_second = -1;
    list_init(&p->conns);
    list_init(&p->laters);
    buf_init(&p->out, p->mem, 0);
    buf_init(&p->body, p->mem, 0);
    buf_init(&p->name, p->mem, 0);
    buf_init(&p->frame, p->mem, 0);
    rc = read_options(p, u, err);
    if (rc == 0 && url_get(u, "hc")) rc = allowed_new(&p->targets, p->mem, url_get(u, "hc"), err);
    if (rc == 0 && is_secure(u->scheme)) rc = tls_new(&p->tls, p->mem, u, p->sockets_only ? "http/1.1" : "h2,http/1.1", err);
    if (p->tls) tls_tell(p->tls, on_tls_trouble, p);
    if (p->tls) tls_asks(p->tls, &(claim_asker){bridge_port_credential, p->port});
    o.tls = p->tls;
    if (rc == 0) rc = url_get_bool(u, "proxy", false, &o.proxy, err);
    if (rc == 0) rc = listener_open(&p->listener, p->loop, &o, conn_accept, p, err);
    if (rc == 0) rc = say_name(p, u);
    if (p->targets) port_offer(port, hc_links);
    if (rc < 0) {
        listener_close(p->listener);
        port_done(p);
    }
    return rc;
}

void port_check_closed(http_port *p)
{
    if (!p->closing || p->count > 0 || p->inside > 0 || p->told_closed) return;
    p->told_closed = true;
    port_done(p);
    bridge_port_closed(p->port);
}

/* Answers under way are written; what waits for an owner, an event or the next request ends now. */
static void http_close(bridge_port *port)
{
    http_port *p = bridge_port_state(port);

    if (p->abroad) {
        p->abroad->kind->close(p->abroad);
        return;
    }
    if (!p->port) { /* the home that forward() is asked at: nothing lives there but what it was told */
        far_cache_done(&p->kept);
        bridge_port_closed(port);
        return;
    }
    if (p->told_closed) return;
    p->closing = true;
    listener_close(p->listener);
    p->listener = NULL;
    while (!list_empty(&p->laters)) later_free((later *)(void *)p->laters.next); /* its link is its first member */
    list_each_safe(at, &p->conns) {
        http_conn *c = list_of(at, http_conn, link);
        if (c->state == CONN_SOCKET && c->socket) socket_bye(c);
        hc_gone(c); /* what is written may take longer than whoever is asked lives */
        if (c->h2) h2_bye(c);
        else stream_close(c->s);
    }
    port_check_closed(p);
}

/* A request more on each connection, then it ends (keep_alive in conn.c); streams of events and sockets stay. */
static void http_retire(bridge_port *port)
{
    http_port *p = bridge_port_state(port);

    p->closing = true;
    listener_close(p->listener);
    p->listener = NULL;
    port_check_closed(p);
}

static void http_deliver(void *state, bridge_msg *msg, const bridge_delivery *how)
{
    taker *t = state;

    t->deliver(t, msg, how);
}

static bool http_hungry(void *state)
{
    taker *t = state;

    return !t->hungry || t->hungry(t);
}

static int http_connect(bridge_port *port, const bridge_url *u, bridge_error *err)
{
    http_port *p = bridge_port_state(port);

    return out_connect(port, u, &p->abroad, err);
}

static void http_stats(bridge_port *port, bridge_stat_fn fn, void *user)
{
    const http_port *p = bridge_port_state(port);

    if (p->abroad) {
        p->abroad->kind->stats(p->abroad, fn, user);
        return;
    }
    if (!p->port) return;
    fn(user, "bridge_http_connections", "", (double)p->count);
    fn(user, "bridge_http_connections_total", "", (double)p->accepted);
    fn(user, "bridge_http_connections_refused_total", "", (double)p->refused);
    fn(user, "bridge_http_requests_total", "", (double)p->requests);
    fn(user, "bridge_http_errors_total", "", (double)p->errors);
    fn(user, "bridge_http_timeouts_total", "", (double)p->timeouts);
    fn(user, "bridge_http_watchers", "", (double)p->watchers);
    fn(user, "bridge_http_websockets", "", (double)p->sockets);
    fn(user, "bridge_http_events_total", "", (double)p->events);
    fn(user, "bridge_http_events_skipped_total", "", (double)p->skipped);
    fn(user, "bridge_http_events_dropped_total", "", (double)p->dropped);
}

static void http_recheck(bridge_port *port, const char *identity)
{
    const http_port *p = bridge_port_state(port);

    if (p->tls) tls_recheck(p->tls, identity);
}

static const char *const schemes[] = {"http", "https", "ws", "wss", "mqtt+ws", NULL};
static const char *const connects[] = {"http", "https", NULL};
extern const bridge_adapter http_adapter;
const bridge_adapter http_adapter = {
    .size = sizeof http_adapter,
    .scheme = "http",
    .schemes = schemes,
    .summary = "HTTP/1.1 and HTTP/2: REST, server-sent events, WebSocket (MQTT, CoAP and JSON on it)",
    .state_size = sizeof(http_port),
    .open = http_open,
    .close = http_close,
    .retire = http_retire,
    .deliver = http_deliver,
    .hungry = http_hungry,
    .stats = http_stats,
    .recheck = http_recheck,
    .check = check_options,
    .connects = connects,
    .forward = http_forward,
    .connect = http_connect,
    .check_connect = out_check,
};
