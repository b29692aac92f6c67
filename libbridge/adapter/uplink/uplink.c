/* adapter/uplink/uplink.c - other brokers, and other bridges, as their client: URLs, ports, numbers. */
#include "adapter/uplink/uplink.h"
#include "base/clock.h"
#include "base/status.h"
#include "bridge/sys/store.h"
#include <stdio.h>

extern const bridge_adapter uplink_adapter;

static uplink_home *home_of(bridge_port *port)
{
    bridge_port *home = bridge_port_home(port);
    uplink_home *h = home ? bridge_port_state(home) : NULL;
    uint64_t id;

    if (!h || h->is_home) return h;
    random_bytes(&id, sizeof id);
    snprintf(h->hop, sizeof h->hop, "%016llx", (unsigned long long)id);
    h->is_home = true;
    h->port = home;
    list_init(&h->uplinks);
    return h;
}

void uplink_free(uplink *u)
{
    list_remove(&u->link_home);
    mirror_free(u);
    wants_free(u);
    buffer_done(&u->buffer);
    echo_done(&u->echo);
    mem_free(u->mem, u->name_room);
    u->name_room = NULL;
    bridge_peer_free(u->peer);
    u->peer = NULL;
    options_done(&u->options);
    u->options = (uplink_options){.name = ""};
}

static void on_turn_end(turn_end *t)
{
    uplink_feed(list_of(t, uplink, feed));
}

static int uplink_check(const url *where, bridge_error *err)
{
    uplink_options o;
    int rc = options_read(&o, where->mem, where, err);

    options_done(&o);
    return rc;
}

/* Two of one name (a config is loaded again, and its URL has changed) share no queue: the second's messages are in memory only. */
static bool is_alone(uplink_home *home, const uplink *u)
{
    list_each(it, &home->uplinks)
    {
        const uplink *o = list_of(it, uplink, link_home);
        if (o == u || strcmp(o->options.name, u->options.name) != 0) continue;
        if (bridge_port_store(u->port))
            bridge_port_log(u->port, BRIDGE_LOG_WARN, u->options.name, "another uplink has this name: what waits for this one does not outlive the process");
        return false;
    }
    return true;
}

static int open_uplink(bridge_port *port, const url *where, bool rehearsal, bridge_error *err)
{
    uplink *u = bridge_port_state(port);
    uplink_home *home = home_of(port);
    char name[400];
    int rc;

    if (!home) return fail_nomem(err);
    u->port = port;
    u->mem = port_mem(port);
    u->home = home;
    u->hop = home->hop;
    u->rehearsal = rehearsal;
    list_init(&u->wants);
    turn_end_init(&u->feed, on_turn_end);
    rc = options_read(&u->options, u->mem, where, err);
    echo_init(&u->echo, u->mem);
    buffer_init(&u->buffer, u->mem, u->options.max_queue, u->options.max_queue_bytes, u->options.drop);
    u->buffer.steps = &u->session.out;
    if (rc == 0 && !(u->name_room = mem_alloc(u->mem, MAP_NAME))) rc = fail_nomem(err);
    if (rc == 0 && (rc = bridge_peer_new(&u->peer, port, u->options.name, u->options.name, 0, u)) < 0)
        fail(err, rc, "%s: %s", u->options.name, bridge_status_text(rc));
    if (rc == 0) list_push(&home->uplinks, &u->link_home);
    if (rc == 0 && is_alone(home, u) && (rc = buffer_open(&u->buffer, bridge_port_store(port), u->options.name)) < 0)
        fail(err, rc, "%s: what waited in the store cannot be read: %s", u->options.name, bridge_status_text(rc));
    if (rc == 0) rc = uplink_watch(u, err);
    if (rc == 0) uplink_tell_room(u); /* what was left may fill it */
    if (rc == 0 && (rc = bridge_peer_reach(u->peer, u->options.name)) < 0) fail_nomem(err);
    if (rc == 0 && u->options.mirror) rc = mirror_new(u, err);
    if (rc == 0 && !rehearsal && (rc = uplink_begin(u)) < 0) fail(err, rc, "%s", bridge_status_text(rc));
    if (rc < 0) {
        turn_end_cancel(&u->feed);
        uplink_free(u);
        return rc;
    }
    snprintf(name, sizeof name, "%s://%s:%d", where->scheme, u->options.brokers[0].host, u->options.brokers[0].port);
    bridge_port_named(port, name);
    return 0;
}

static int uplink_connect(bridge_port *port, const url *where, bridge_error *err)
{
    return open_uplink(port, where, false, err);
}

static int uplink_rehearse(bridge_port *port, const url *where, bridge_error *err)
{
    return open_uplink(port, where, true, err);
}

void uplink_leave_home(uplink_home *home)
{
    if (home->closing && list_empty(&home->uplinks)) bridge_port_closed(home->port);
}

static void uplink_close(bridge_port *port)
{
    uplink *u = bridge_port_state(port);

    if (!u->is_home && !u->rehearsal) {
        uplink_end(u);
        return;
    }
    if (!u->is_home) {
        uplink_home *home = u->home;
        uplink_free(u);
        bridge_port_closed(port);
        uplink_leave_home(home);
        return;
    }
    ((uplink_home *)u)->closing = true;
    uplink_leave_home((uplink_home *)u);
}

static void uplink_stats(bridge_port *port, bridge_stat_fn fn, void *user)
{
    const uplink *u = bridge_port_state(port);
    const uplink_counters *n = &u->count;
    char labels[340];

    if (u->is_home || !u->peer) return;
    snprintf(labels, sizeof labels, "name=\"%.300s\"", u->options.name);
    fn(user, "bridge_uplink_up", labels, u->was_up ? 1 : 0);
    fn(user, "bridge_uplink_sent_total", labels, (double)n->sent);
    fn(user, "bridge_uplink_received_total", labels, (double)n->received);
    fn(user, "bridge_uplink_reconnects_total", labels, (double)n->reconnects);
    fn(user, "bridge_uplink_queued", labels, (double)u->buffer.count);
    fn(user, "bridge_uplink_queued_bytes", labels, (double)u->buffer.bytes);
    fn(user, "bridge_uplink_dropped_total", labels, (double)u->buffer.dropped);
    fn(user, "bridge_uplink_expired_total", labels, (double)n->expired);
    fn(user, "bridge_uplink_refused_total", labels, (double)n->refused);
    fn(user, "bridge_uplink_rejected_total", labels, (double)n->rejected);
    fn(user, "bridge_uplink_echoes_total", labels, (double)n->echoes);
    fn(user, "bridge_uplink_loops_total", labels, (double)n->loops);
}

static const char *const schemes[] = {NULL};
static const char *const connects[] = {"mqtt", "mqtts", "mqtt+ws", "mqtt+wss", "bridge+mqtt", "bridge+mqtts", "bridge+mqtt+ws", "bridge+mqtt+wss", NULL};
const bridge_adapter uplink_adapter = {
    .size = sizeof uplink_adapter,
    .scheme = "uplink",
    .schemes = schemes,
    .summary = "other MQTT brokers and bridges, as their client",
    .state_size = sizeof(uplink) > sizeof(uplink_home) ? sizeof(uplink) : sizeof(uplink_home),
    .close = uplink_close,
    .deliver = uplink_deliver,
    .stats = uplink_stats,
    .connects = connects,
    .connect = uplink_connect,
    .check_connect = uplink_check,
    .want = uplink_want,
    .rehearse = uplink_rehearse,
    .rehearse_in = uplink_rehearse_in,
};
