/* adapter/mqtt/session.c - what outlives a connection: subscriptions (in the hub), messages under way, the will.
 *
 *     made by CONNECT -> online -> offline -> online ... -> its expiry, or CONNECT with clean start: freed
 *
 * While offline one timer serves both the will's delay and the expiry. */
#include "adapter/mqtt/persist.h"

mqtt_session *mqtt_session_find(mqtt_shared *sh, wire_slice id)
{
    return map_get(&sh->by_id, id.p, id.len);
}

int mqtt_session_new(mqtt_session **out, mqtt_shared *sh, wire_slice id, const char *user)
{
    mqtt_session *s = mem_zalloc(sh->mem, sizeof *s + id.len + 1);
    void *old = NULL;
    if (!s) return BRIDGE_NOMEM;
    s->shared = sh;
    s->id_len = id.len;
    memcpy(s->id, id.p, id.len);
    list_init(&s->acks);
    list_init(&s->asked);
    list_init(&s->responders);
    list_init(&s->calls);
    list_init(&s->later);
    list_push(&sh->sessions, &s->link);
    sh->session_count++;
    int rc = bridge_peer_new(&s->peer, sh->port, s->id, user, BRIDGE_PEER_MERGE, s);
    if (rc == 0) rc = map_put(&sh->by_id, s->id, s->id_len, s, &old);
    if (rc == 0) {
        *out = s;
        return 0;
    }
    mqtt_session_free(s);
    return rc;
}

void mqtt_session_free(mqtt_session *s)
{
    if (!s) return;
    mqtt_shared *sh = s->shared;
    timer_stop(&s->timer);
    if (map_get(&sh->by_id, s->id, s->id_len) == s) map_remove(&sh->by_id, s->id, s->id_len);
    list_remove(&s->link);
    sh->session_count--;
    if (sh->ending && mqtt_persists(s)) {
        mqtt_persist_offline(s);
        mqtt_will_drop(s); /* it is kept, and so is what waits */
    } else {
        mqtt_will_publish(s); /* [5: 3.1.2-8] the session's end does not wait for the delay */
        mqtt_queue_pass_on(s);
        mqtt_persist_end(s);
    }
    mqtt_responders_free(s);
    bridge_peer_free(s->peer);
    mqtt_asked_free(s);
    for (list *it; (it = list_pop(&s->acks));) {
        bridge_store_forget(&list_of(it, mqtt_ack, link)->wait);
        mem_free(sh->mem, list_of(it, mqtt_ack, link));
    }
    mqtt_queue_free(s);
    mem_free(sh->mem, s->in_ids);
    mem_free(sh->mem, s);
}

/* ---- offline */

static void on_timer(timer *t);

static void arm(mqtt_session *s)
{
    int64_t due = s->will_at < s->ends_at ? s->will_at : s->ends_at;
    if (due != INT64_MAX) timer_start(&s->timer, s->shared->loop, due - loop_now(s->shared->loop), on_timer);
}

static void on_timer(timer *t)
{
    mqtt_session *s = list_of(t, mqtt_session, timer);
    int64_t now = loop_now(s->shared->loop);
    if (s->ends_at <= now) {
        mqtt_session_free(s);
        return;
    }
    if (s->will_at <= now) {
        s->will_at = INT64_MAX;
        mqtt_will_publish(s);
        mqtt_persist_session(s);
    }
    arm(s);
}

void mqtt_session_restore(mqtt_session *s, int64_t since)
{
    int64_t now = loop_now(s->shared->loop), gone = loop_calendar(s->shared->loop) - since, delay = mqtt_will_delay(s);
    if (since == 0 || gone < 0) gone = 0; /* it was connected when the process ended */
    bridge_peer_away(s->peer, true);
    s->ends_at = s->expiry == UINT32_MAX ? INT64_MAX : now + (int64_t)s->expiry * 1000 - gone;
    s->will_at = delay < 0 ? INT64_MAX : now + delay - gone;
    arm(s);
}

void mqtt_session_offline(mqtt_session *s, bool with_will)
{
    int64_t now = loop_now(s->shared->loop), delay;
    s->client = NULL;
    bridge_peer_away(s->peer, true);
    mqtt_calls_drop(s);
    mqtt_acks_forget(s);
    mqtt_persist_offline(s);
    mqtt_queue_rewind(s);
    s->will_at = INT64_MAX;
    s->ends_at = s->expiry == UINT32_MAX ? INT64_MAX : now + (int64_t)s->expiry * 1000;
    if (!with_will) mqtt_will_drop(s); /* [5: 3.14.4-3] */
    delay = mqtt_will_delay(s);
    if (s->expiry == 0) {
        mqtt_session_free(s);
        return;
    }
    if (delay == 0)
        mqtt_will_publish(s);
    else if (delay > 0)
        s->will_at = now + delay;
    if (s->client) return;
    mqtt_persist_session(s);
    arm(s);
}

void mqtt_session_online(mqtt_session *s, mqtt_client *c)
{
    timer_stop(&s->timer);
    mqtt_will_drop(s); /* [5: 3.1.3-9] back before the delay was over */
    s->client = c;
    bridge_peer_away(s->peer, false);
    c->session = s;
    s->max_queue = (unsigned)c->port->limits.max_queue;
    s->max_queue_bytes = c->port->limits.max_queue_bytes;
    s->queue_qos0 = c->port->limits.queue_qos0;
}

/* ---- connections of one name */

int mqtt_user_enter(mqtt_client *c, const char *name)
{
    mqtt_shared *sh = c->port->shared;
    size_t len = name ? strlen(name) : 0;
    void *old;
    if (!name || !c->port->limits.max_per_user) return 0;
    mqtt_user *u = map_get(&sh->users, name, len);
    if (u && u->count >= c->port->limits.max_per_user) return BRIDGE_BUSY;
    if (!u) {
        u = mem_zalloc(sh->mem, sizeof *u + len + 1);
        if (!u) return BRIDGE_NOMEM;
        u->len = len;
        memcpy(u->name, name, len);
        if (map_put(&sh->users, u->name, len, u, &old) < 0) {
            mem_free(sh->mem, u);
            return BRIDGE_NOMEM;
        }
    }
    u->count++;
    c->account = u;
    return 0;
}

void mqtt_user_leave(mqtt_client *c)
{
    mqtt_user *u = c->account;
    c->account = NULL;
    if (!u || --u->count > 0) return;
    map_remove(&c->port->shared->users, u->name, u->len);
    mem_free(c->port->shared->mem, u);
}
