/* adapter/mqtt/mqtt.c - MQTT 3.1, 3.1.1 and 5.0 as an adapter: listeners, their settings, their end. */
#include "adapter/mqtt/persist.h"
#include "base/clock.h"
#include "base/status.h"
#include "core/path.h"
#include "core/url.h"
#include "hub/port.h"
#include "loop/claim.h"
#include "loop/tls.h"
#include <stdio.h>

static void mqtt_recheck(bridge_port *port, const char *identity)
{
    const mqtt_port *p = bridge_port_state(port);

    if (p->tls) tls_recheck(p->tls, identity);
}

extern const bridge_adapter mqtt_adapter;

/* ---- what all ports have together */

static void counts_begin(mqtt_port *p, mqtt_shared *sh, bridge_port *port)
{
    p->port = port;
    p->shared = sh;
    list_init(&p->clients);
}

static int limits_take(mqtt_limits *out, const url *u, bridge_port *port, bridge_error *err);

mqtt_shared *mqtt_shared_of(bridge_port *home)
{
    mqtt_shared *sh = home ? bridge_port_state(home) : NULL;
    uint64_t seed;
    if (!sh || sh->mem) return sh;
    random_bytes(&seed, sizeof seed);
    sh->is_home = true;
    sh->mem = port_mem(home);
    sh->loop = port_loop(home);
    sh->port = home;
    list_init(&sh->sessions);
    map_init(&sh->by_id, sh->mem, seed);
    map_init(&sh->users, sh->mem, seed);
    map_init(&sh->addresses, sh->mem, seed);
    map_init(&sh->bodies, sh->mem, seed);
    buf_init(&sh->scratch, sh->mem, 0);
    buf_init(&sh->extra, sh->mem, 0);
    counts_begin(&sh->handed, sh, home);
    limits_take(&sh->handed.limits, NULL, home, NULL);
    sh->store = bridge_port_store(home);
    buf_init(&sh->packed, sh->mem, 0);
    mqtt_persist_load(sh);
    return sh;
}

static void shared_done(mqtt_shared *sh)
{
    sh->ending = true;
    while (!list_empty(&sh->sessions)) mqtt_session_free(list_of(sh->sessions.next, mqtt_session, link));
    mqtt_encodings_free(sh);
    map_done(&sh->by_id);
    map_done(&sh->users);
    mqtt_bodies_done(sh);
    mqtt_addresses_forget(sh);
    buf_done(&sh->scratch);
    buf_done(&sh->extra);
    buf_done(&sh->packed);
    mem_free(sh->mem, sh->props);
    mem_free(sh->mem, sh->spare);
    sh->mem = NULL;
}

/* ---- settings: docs/limits.md, MQTT */

#define SETTINGS(X)                                                                                                    \
    X(max_connections, 100000, UINT32_MAX)                                                                             \
    X(max_per_user, 10000, UINT32_MAX)                                                                                 \
    X(max_sessions, 1000000, UINT32_MAX)                                                                               \
    X(max_connect_rate, 100000, UINT32_MAX)                                                                            \
    X(max_peer_connects, 1000, UINT32_MAX)                                                                             \
    X(max_rate, 5000000, UINT32_MAX)                                                                                   \
    X(max_topic, PATH_BYTES, PATH_BYTES)                                                                               \
    X(max_levels, PATH_LEVELS, PATH_LEVELS)                                                                            \
    X(max_packet, 0, WIRE_MAX_REMAINING + 5)                                                                           \
    X(max_inflight, 1024, UINT16_MAX / 2)                                                                              \
    X(receive_max, 1024, UINT16_MAX)                                                                                   \
    X(topic_aliases, 32, UINT16_MAX)                                                                                   \
    X(max_queue, 0, UINT32_MAX)                                                                                        \
    X(max_queue_bytes, 0, SIZE_MAX)                                                                                    \
    X(max_pending, 4 * 1024 * 1024, SIZE_MAX)                                                                          \
    X(max_subscriptions, 100000, UINT32_MAX)                                                                           \
    X(max_session_expiry, UINT32_MAX, UINT32_MAX)                                                                      \
    X(max_keep_alive, 0, UINT16_MAX)                                                                                   \
    X(connect_timeout, 10, 3600)                                                                                       \
    X(max_qos, 2, 2)

static int limits_take(mqtt_limits *out, const url *u, bridge_port *port, bridge_error *err)
{
    const limits *common = port_limits(port);
    int rc = 0;
#define DEFAULT(name, otherwise, most) out->name = otherwise;
    SETTINGS(DEFAULT)
#undef DEFAULT
    out->max_packet = common->max_message + 65536 + 4096; /* a payload, the longest topic, some properties */
    out->max_queue = common->max_queue;
    out->max_queue_bytes = common->max_queue_bytes;
    if (!u) return 0;
#define SETTING(name, otherwise, most)                                                                                 \
    if (rc == 0) rc = url_get_u64(u, #name, out->name, most, &out->name, err);
    SETTINGS(SETTING)
#undef SETTING
    if (rc == 0) rc = url_get_bool(u, "strict_text", false, &out->strict_text, err);
    if (rc == 0) rc = url_get_bool(u, "queue_qos0", false, &out->queue_qos0, err);
    if (rc == 0) rc = url_get_bool(u, "proxy", false, &out->proxy, err);
    if (out->max_inflight == 0) out->max_inflight = 1;
    if (out->receive_max == 0) out->receive_max = 1;
    return rc;
}

static int options_check(const url *u, bool secure, bridge_error *err)
{
#define WORD(name, otherwise, most) #name,
    static const char *const own[] = {SETTINGS(WORD) "strict_text", "queue_qos0", "proxy", NULL};
#undef WORD
    const char *known[64];
    size_t n = 0;
    for (const char *const *o = own; *o; ++o) known[n++] = *o;
    for (const char *const *o = tls_url_options; secure && *o && n < 63; ++o) known[n++] = *o;
    known[n] = NULL;
    return url_check(u, known, err);
}

static int mqtt_check(const bridge_url *u, bridge_error *err)
{
    return options_check(u, strcmp(u->scheme, "mqtts") == 0, err);
}

/* ---- listeners */

static void on_accept(void *user, stream *s)
{
    mqtt_port *p = user;
    int rc = mqtt_client_new(p, p->port, s, NULL);
    if (rc < 0) stream_abort(s, rc);
}

static void on_tls_trouble(void *user, const char *peer, const char *what)
{
    mqtt_port *p = user;
    bridge_port_log(p->port, BRIDGE_LOG_WARN, peer, "TLS: %s", what);
}

static int listen_on(mqtt_port *p, const url *u, bridge_error *err)
{
    bool local = strcmp(u->scheme, "mqtt+unix") == 0, secure = strcmp(u->scheme, "mqtts") == 0;
    char name[300];
    listener_options o = {.host = u->host, .port = u->port >= 0 ? u->port : secure ? 8883 : 1883};
    if (local) o = (listener_options){.unix_path = u->path};
    int rc = secure ? tls_new(&p->tls, p->shared->mem, u, "mqtt", err) : 0;
    if (p->tls) tls_tell(p->tls, on_tls_trouble, p);
    if (p->tls) tls_asks(p->tls, &(claim_asker){bridge_port_credential, p->port});
    o.tls = p->tls;
    o.proxy = p->limits.proxy;
    if (rc == 0) rc = listener_open(&p->listener, p->shared->loop, &o, on_accept, p, err);
    if (rc < 0) {
        tls_free(p->tls);
        p->tls = NULL;
        return rc;
    }
    snprintf(name, sizeof name, "%s://%s", u->scheme, listener_address(p->listener));
    bridge_port_named(p->port, name);
    return 0;
}

static int mqtt_open(bridge_port *port, const bridge_url *u, bridge_error *err)
{
    mqtt_port *p = bridge_port_state(port);
    mqtt_shared *sh = mqtt_shared_of(bridge_port_home(port));
    if (!sh) return fail_nomem(err);
    counts_begin(p, sh, port);
    int rc = mqtt_check(u, err);
    if (rc == 0) rc = limits_take(&p->limits, u, port, err);
    if (rc == 0) rc = listen_on(p, u, err);
    if (rc == 0) sh->ports++;
    return rc;
}

static int mqtt_accept(bridge_port *home, bridge_port *via, struct stream *s, const bridge_ask *who)
{
    mqtt_shared *sh = mqtt_shared_of(home);
    return sh ? mqtt_client_new(&sh->handed, via, s, who ? who->user : NULL) : BRIDGE_NOMEM;
}

void mqtt_port_settle(mqtt_port *p)
{
    mqtt_shared *sh = p->shared;
    if (!p->closing || p->client_count > 0) return;
    if (p == &sh->handed) {
        if (sh->ports > 0) return; /* they will call again */
        p->closing = false;
        shared_done(sh);
        bridge_port_closed(p->port);
        return;
    }
    tls_free(p->tls);
    p->tls = NULL;
    p->closing = false;
    sh->ports--;
    bridge_port_closed(p->port);
    mqtt_port_settle(&sh->handed);
}

static void mqtt_close(bridge_port *port)
{
    mqtt_shared *sh = bridge_port_state(port);
    mqtt_port *p = sh->is_home ? &sh->handed : (mqtt_port *)sh;
    listener_close(p->listener);
    p->listener = NULL;
    p->closing = true;
    list_each_safe(it, &p->clients) mqtt_kick(list_of(it, mqtt_client, link), WIRE_SHUTTING_DOWN, "the server is going away");
    mqtt_port_settle(p);
}

static void mqtt_retire(bridge_port *port)
{
    mqtt_port *p = bridge_port_state(port);
    listener_close(p->listener);
    p->listener = NULL;
    p->closing = true;
    mqtt_port_settle(p);
}

static void mqtt_restore(bridge_port *home)
{
    mqtt_shared_of(home);
}

static void mqtt_stats(bridge_port *port, bridge_stat_fn fn, void *user)
{
    mqtt_shared *sh = bridge_port_state(port);
    char labels[320];
    if (!sh->is_home) {
        mqtt_port *p = (mqtt_port *)sh;
        snprintf(labels, sizeof labels, "port=\"%s\"", p->listener ? listener_address(p->listener) : "retired");
        fn(user, "bridge_mqtt_connections", labels, (double)p->client_count);
        return;
    }
    const mqtt_counters *n = &sh->count;
    fn(user, "bridge_mqtt_connections", "port=\"handed over\"", (double)sh->handed.client_count);
    fn(user, "bridge_mqtt_sessions", "", (double)sh->session_count);
    fn(user, "bridge_mqtt_connects_total", "", (double)n->connects);
    fn(user, "bridge_mqtt_refused_total", "", (double)n->refused);
    fn(user, "bridge_mqtt_taken_over_total", "", (double)n->taken_over);
    fn(user, "bridge_mqtt_packets_in_total", "", (double)n->packets_in);
    fn(user, "bridge_mqtt_bytes_in_total", "", (double)n->bytes_in);
    fn(user, "bridge_mqtt_messages_in_total", "", (double)n->messages_in);
    fn(user, "bridge_mqtt_messages_out_total", "", (double)n->messages_out);
    fn(user, "bridge_mqtt_resent_total", "", (double)n->resent);
    fn(user, "bridge_mqtt_wills_total", "", (double)n->wills);
    fn(user, "bridge_mqtt_expired_total", "", (double)n->expired);
    fn(user, "bridge_mqtt_dropped_total", "reason=\"slow\"", (double)n->dropped_slow);
    fn(user, "bridge_mqtt_dropped_total", "reason=\"queue\"", (double)n->dropped_queue);
    fn(user, "bridge_mqtt_dropped_total", "reason=\"size\"", (double)n->dropped_size);
    fn(user, "bridge_mqtt_dropped_total", "reason=\"refused\"", (double)n->dropped_refused);
    fn(user, "bridge_mqtt_protocol_errors_total", "", (double)n->protocol_errors);
    fn(user, "bridge_mqtt_keep_alive_ends_total", "", (double)n->keep_alive_ends);
}

static const char *mqtt_address(void *state, char *room, size_t len)
{
    const mqtt_session *s = state;

    (void)room, (void)len;
    return s->client ? stream_peer(s->client->stream) : NULL;
}

static const char *const schemes[] = {"mqtt", "mqtts", "mqtt+unix", NULL};
const bridge_adapter mqtt_adapter = {
    .size = sizeof mqtt_adapter,
    .scheme = "mqtt",
    .schemes = schemes,
    .summary = "MQTT 3.1, 3.1.1 and 5.0 clients",
    .state_size = sizeof(mqtt_shared) > sizeof(mqtt_port) ? sizeof(mqtt_shared) : sizeof(mqtt_port),
    .open = mqtt_open,
    .close = mqtt_close,
    .retire = mqtt_retire,
    .deliver = mqtt_deliver,
    .accept = mqtt_accept,
    .stats = mqtt_stats,
    .recheck = mqtt_recheck,
    .check = mqtt_check,
    .hungry = mqtt_hungry,
    .restore = mqtt_restore,
    .address = mqtt_address,
};
