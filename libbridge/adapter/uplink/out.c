/* adapter/uplink/out.c - from the hub to the broker: names, the buffer, how fast it is emptied. */
#include "adapter/uplink/uplink.h"
#include "base/status.h"
#include "core/message.h"

int uplink_watch(uplink *u, bridge_error *err)
{
    map_table *t = &u->options.maps;

    for (size_t i = 0; i < t->count; i++) {
        bridge_watch_options o = {.qos = t->lines[i].qos, .no_local = true, .keep_retain = true, .names = true};
        if (!t->lines[i].out) continue;
        int rc = bridge_peer_watch(u->peer, t->lines[i].source->text, &o, &t->lines[i], NULL);
        if (rc < 0) return fail(err, rc, "out=%.120s: %s", t->lines[i].source->text, bridge_status_text(rc));
    }
    return 0;
}

static uint8_t least(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

static bool came_from_there(const uplink *u, const bridge_msg *msg)
{
    return msg->origin && strcmp(msg->origin->text, bridge_peer_name(u->peer)) == 0;
}

void uplink_deliver(void *state, bridge_msg *msg, const bridge_delivery *how)
{
    uplink *u = state;
    const map_line *l = how->user;
    const msg_extra *x = msg_extra_of(msg);
    parcel *p;
    bool retain;
    int len;

    if (u->state == UPLINK_CLOSING) return;
    if ((how->retained || u->rehearsal) && came_from_there(u, msg)) return; /* kept here, and older than what the broker has by now */
    if (how->qos == 0 && !u->options.queue_qos0 && u->state != UPLINK_UP && !u->rehearsal) return;
    if (x && x->prop_count && uplink_hops(u, x->props, x->prop_count) < 0) {
        u->count.loops++;
        return;
    }
    len = l ? map_name(l, msg->path, msg->path_len, u->name_room) : msg->path_len; /* no map: a route has named it */
    if (!l) memcpy(u->name_room, msg->path, msg->path_len + 1u);
    if (len < 0 || has_controls(u->name_room, (size_t)len)) {
        if (len != BRIDGE_NOTFOUND) u->count.rejected++;
        return;
    }
    retain = (l && l->retain == BRIDGE_KEEP_ALWAYS) || ((!l || l->retain == BRIDGE_KEEP_AS_IS) && (how->retained || how->gone || msg->retain));
    if (u->rehearsal) {
        bridge_port_rehearsed(u->port, u->options.name, msg, u->name_room, retain, how->gone);
        return;
    }
    p = parcel_new(u->mem, msg, u->name_room, (size_t)len);
    if (!p) {
        u->count.rejected++;
        return;
    }
    p->qos = l ? least(how->qos, l->qos) : how->qos;
    p->gone = how->gone;
    p->retain = retain;
    uplink_send(u, p);
}

void uplink_tell_room(uplink *u)
{
    if (u->options.drop == DROP_REFUSE) bridge_peer_full(u->peer, buffer_refuses(&u->buffer));
}

int uplink_send(uplink *u, parcel *p)
{
    uint64_t before = u->buffer.dropped;
    int rc = buffer_add(&u->buffer, p);

    if (u->buffer.dropped != before && (before == 0 || u->buffer.dropped % 10000 == 0))
        bridge_port_log(u->port, BRIDGE_LOG_WARN, u->options.name, "the buffer is full: %llu messages dropped so far",
                        (unsigned long long)u->buffer.dropped);
    turn_end_want(port_loop(u->port), &u->feed);
    uplink_tell_room(u);
    return rc;
}

/* ---- giving */

static void on_tick(void *user)
{
    uplink *u = user;

    bridge_event_close(u->tick);
    u->tick = NULL;
    uplink_feed(u);
}

/* What had to wait goes at drain_rate: a broker that has just come back has others to serve, too. */
static bool may_go(uplink *u, int64_t now)
{
    double rate = (double)u->options.drain_rate;

    if (u->backlog == 0 || rate == 0) return true;
    u->allowance += rate * (double)(now - u->drained_at) / 1000;
    u->drained_at = now;
    if (u->allowance > rate / 10 + 1) u->allowance = rate / 10 + 1;
    if (u->allowance >= 1) {
        u->allowance -= 1;
        u->backlog--;
        return true;
    }
    if (!u->tick) bridge_port_after(u->port, UPLINK_TICK, on_tick, u, &u->tick);
    return false;
}

/* What the broker has said of itself in its CONNACK holds for all that goes there. */
static void fit(uplink *u, parcel *p)
{
    p->qos = least(p->qos, u->max_qos);
    if (u->no_retain) p->retain = false;
    p->hop = u->version == UPLINK_V5 ? u->hop : NULL;
}

static void remember(uplink *u, const parcel *p, int64_t now)
{
    if (u->version == UPLINK_V311) echo_said(&u->echo, p->topic, strlen(p->topic), msg_data(p->msg), p->gone ? 0 : p->msg->len, now);
}

static bool give(uplink *u, parcel *p, int64_t now) /* false: the connection is as good as lost */
{
    int rc = link_publish(u->link, p);

    if (rc < 0 && rc != BRIDGE_TOOBIG) {
        buffer_untake(&u->buffer, p);
        return false;
    }
    if (rc == 0) remember(u, p, now);
    if (rc == 0 && p->qos > 0) return true;
    if (rc == 0) u->count.sent++;
    else u->count.rejected++;
    buffer_finish(&u->buffer, p);
    return true;
}

void uplink_feed(uplink *u)
{
    loop *l = port_loop(u->port);
    int64_t now = loop_now(l), calendar = loop_calendar(l);
    size_t before;
    parcel *p;

    if (!u->link || (u->state != UPLINK_UP && u->state != UPLINK_CLOSING)) return;
    if (u->turning) {
        failback_go(u);
        return;
    }
    while ((p = u->buffer.next) && link_may(u->link, least(p->qos, u->max_qos)) && may_go(u, now)) {
        before = u->buffer.count;
        p = buffer_take(&u->buffer, calendar);
        u->count.expired += before - u->buffer.count;
        if (!p) break;
        fit(u, p);
        if (!give(u, p, now)) break;
    }
    uplink_tell_room(u);
    uplink_idle(u);
}

void uplink_sent(uplink *u, parcel *p)
{
    if (p->refused) {
        u->count.refused++;
        bridge_port_log(u->port, BRIDGE_LOG_WARN, u->options.name, "the broker refuses %.200s: reason 0x%02x", p->topic, p->reason);
    } else {
        u->count.sent++;
    }
    buffer_finish(&u->buffer, p);
    uplink_tell_room(u);
    u->progress_at = loop_now(port_loop(u->port));
    turn_end_want(port_loop(u->port), &u->feed);
}
