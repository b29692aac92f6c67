/* adapter/mqtt/handle_publish.c - PUBLISH and PUBREL from a client, acknowledged in order once the hub has spoken
 * [5: 3.3, 3.6, 4.3, 4.6]. */
#include "adapter/mqtt/persist.h"
#include "hub/port.h"

/* ---- identifiers of QoS 2 that are taken but not yet released */

static uint32_t in_find(const mqtt_session *s, uint16_t id)
{
    uint32_t i = 0;
    while (i < s->in_count && s->in_ids[i] != id) ++i;
    return i;
}

int mqtt_in_add(mqtt_session *s, uint16_t id)
{
    if (s->in_count == s->in_room) {
        uint32_t room = s->in_room ? s->in_room * 2 : 16;
        uint16_t *p = mem_realloc(s->shared->mem, s->in_ids, room * sizeof *p);
        if (!p) return BRIDGE_NOMEM;
        s->in_ids = p;
        s->in_room = room;
    }
    s->in_ids[s->in_count++] = id;
    mqtt_persist_in(s, id, true);
    return 0;
}

static bool in_remove(mqtt_session *s, uint16_t id)
{
    uint32_t i = in_find(s, id);
    if (i == s->in_count) return false;
    mqtt_persist_in(s, id, false);
    memmove(s->in_ids + i, s->in_ids + i + 1, (--s->in_count - i) * sizeof *s->in_ids);
    return true;
}

/* ---- acknowledgements */

static void refuse(mqtt_client *c, wire_type type, uint16_t id, uint8_t reason, const char *why)
{
    wire_packet p = {.type = (uint8_t)type, .version = c->version, .id = id, .reason = reason};
    mqtt_explain(c, &p, why ? why : mqtt_reason_text(reason));
    mqtt_send(c, &p);
}

static void acknowledge(mqtt_session *s, const mqtt_ack *a, const char *why)
{
    mqtt_client *c = s->client;
    wire_type type = a->qos == 2 ? WIRE_PUBREC : WIRE_PUBACK;
    if (a->unkept && c && c->version != WIRE_V5) { /* [3: 3.3.5-2] no word for it: close, and it comes again */
        if (a->qos == 2) in_remove(s, a->id);
        mqtt_kick(c, WIRE_BUSY, "cannot be kept now");
        return;
    }
    if (a->qos == 2 && a->reason >= WIRE_UNSPECIFIED) in_remove(s, a->id); /* [5: 4.3.3] then the exchange is over */
    if (!c) return;
    if (a->reason < WIRE_UNSPECIFIED || c->version != WIRE_V5 || !c->problem_info)
        mqtt_send_ack(c, type, a->id, a->reason);
    else
        refuse(c, type, a->id, a->reason, why);
}

/* What waits for an owner or the disk takes memory here and a place among the bridge's calls there.  MQTT 5 clients are told how many
 * may (Receive Maximum); 3.1 and 3.1.1 have no word for that: of those no more is read, and TCP tells them. */
static bool is_full(const mqtt_session *s, const mqtt_client *c)
{
    return (c->version == WIRE_V5 ? s->acks_muted : s->acks_pending) >= c->port->limits.receive_max;
}

static void let_go(mqtt_client *c, unsigned pending)
{
    uint64_t most = c->port->limits.receive_max;
    if (pending < most - most / 8) mqtt_client_hold(c, false); /* not for each single one */
}

static void flush_acks(mqtt_session *s)
{
    while (!list_empty(&s->acks)) {
        mqtt_ack *a = list_of(s->acks.next, mqtt_ack, link);
        if (!a->done) break;
        list_remove(&a->link);
        s->acks_pending--;
        s->acks_muted -= a->muted;
        mqtt_shared *sh = s->shared;
        bool last = !a->muted && a->unkept && s->client && s->client->version != WIRE_V5; /* the session may go with it */
        if (!a->muted) acknowledge(s, a, NULL);
        mem_free(sh->mem, a);
        if (last) return;
    }
    if (s->client && s->client->held) let_go(s->client, s->acks_pending);
}

void mqtt_acks_forget(mqtt_session *s)
{
    list_each(it, &s->acks) list_of(it, mqtt_ack, link)->muted = true;
    s->acks_muted = s->acks_pending;
    flush_acks(s);
}

/* 3.1 and 3.1.1 cannot say no: the publisher is told that we have it [3: 3.3.5-2]. */
static uint8_t reason_for(mqtt_session *s, int status)
{
    if (s->client && s->client->version == WIRE_V5) return mqtt_reason(status);
    if (mqtt_reason(status) >= WIRE_UNSPECIFIED) s->shared->count.dropped_refused++;
    return WIRE_SUCCESS;
}

static bool is_unkept(const mqtt_session *s, int status)
{
    return s->shared->store && (status == BRIDGE_BUSY || status == BRIDGE_IO);
}

static void on_done(void *user, int status, bridge_msg *reply)
{
    mqtt_ack *a = user;
    (void)reply;
    a->done = true;
    a->reason = reason_for(a->session, status);
    a->unkept = is_unkept(a->session, status);
    flush_acks(a->session);
}

static void on_identifier_kept(bridge_store_wait *w, int status)
{
    mqtt_ack *a = list_of(w, mqtt_ack, wait);
    if (status == BRIDGE_BUSY) {
        bridge_store_when(a->session->shared->store, w);
        return;
    }
    if (status == BRIDGE_CLOSED) return;
    a->done = true;
    flush_acks(a->session);
}

static int wait_in_line(mqtt_session *s, mqtt_ack *a)
{
    list_push(&s->acks, &a->link);
    s->acks_pending++;
    if (s->shared->spare == a) s->shared->spare = NULL;
    if (s->client && is_full(s, s->client)) mqtt_client_hold(s->client, true);
    return 0;
}

/* ---- PUBLISH */

static bool alias_known(mqtt_client *c, const wire_packet *p, wire_slice *topic, int *rc)
{
    mqtt_shared *sh = c->port->shared;
    unsigned i = p->props.alias - 1u;
    *rc = 0;
    if (i >= c->port->limits.topic_aliases) {
        mqtt_say(c, "topic alias %u, %llu at most", i + 1, (unsigned long long)c->port->limits.topic_aliases);
        *rc = WIRE_BAD_ALIAS; /* [5: 3.3.2-9] */
        return false;
    }
    if (!c->aliases_in) c->aliases_in = mem_new_array(sh->mem, char *, c->port->limits.topic_aliases);
    if (!c->aliases_in) {
        *rc = WIRE_UNSPECIFIED;
        return false;
    }
    if (topic->len) { /* [5: 3.3.2-12] the new meaning */
        char *copy = mem_text_len(sh->mem, (const char *)topic->p, topic->len);
        mem_free(sh->mem, c->aliases_in[i]);
        c->aliases_in[i] = copy;
        return true;
    }
    if (!c->aliases_in[i]) {
        *rc = WIRE_PROTOCOL_ERROR;
        return false;
    }
    *topic = (wire_slice){(uint8_t *)c->aliases_in[i], (uint32_t)strlen(c->aliases_in[i])};
    return true;
}

static bool is_ours(wire_slice topic) /* topics that clients may not write to [5: 4.7.2] */
{
    bool shared = topic.len >= 7 && memcmp(topic.p, "$share/", 7) == 0;
    return shared || name_is_ours((text){(const char *)topic.p, topic.len});
}

static int submit(mqtt_session *s, const wire_packet *p, wire_slice topic, mqtt_ack *a)
{
    const wire_publish *m = &p->publish;
    bridge_verb verb = !m->retain ? BRIDGE_POST : m->payload.len ? BRIDGE_PUT : BRIDGE_DELETE;
    bridge_msg *msg;
    int rc = 0;
    if (topic.p[0] == '$' && mqtt_answer(s, p, topic, &rc)) return rc;
    if (topic.p[0] == '$' && is_ours(topic)) return BRIDGE_DENIED;
    if (!mqtt_topic_fits(s->client, (const char *)topic.p, topic.len)) return BRIDGE_INVALID;
    if ((p->props.has & WIRE_HAS_RESPONSE_TOPIC) && mqtt_ask(s, p, topic, &rc)) return rc;
    rc = mqtt_msg_new(s, &msg, topic, m->payload, m->qos, m->retain, &p->props);
    if (rc < 0) return rc;
    rc = bridge_peer_submit(s->peer, verb, msg, NULL, NULL, a ? on_done : NULL, a, NULL);
    if (rc == BRIDGE_NOTFOUND && verb == BRIDGE_DELETE) /* nothing to remove; those who listen hear it all the same [5: 3.3.1.3] */
        rc = bridge_peer_submit(s->peer, BRIDGE_POST, msg, NULL, NULL, a ? on_done : NULL, a, NULL);
    bridge_msg_unref(msg);
    return rc;
}

static int receive_max_exceeded(mqtt_client *c)
{
    mqtt_say(c, "%llu at QoS 1 and 2 are not acknowledged, no more may be sent", (unsigned long long)c->port->limits.receive_max);
    return WIRE_RECEIVE_MAX;
}

/* QoS 1 and 2.  The hub mostly answers at once; what it does not waits in line, and so does all that comes after. */
static int publish_acked(mqtt_client *c, const wire_packet *p, wire_slice topic)
{
    mqtt_session *s = c->session;
    mqtt_shared *sh = s->shared;
    const wire_publish *m = &p->publish;
    bool again = m->qos == 2 && in_find(s, p->id) < s->in_count; /* [5: 4.3.3-10] we have it already */
    if (!again && c->version == WIRE_V5 && s->acks_pending - s->acks_muted + s->in_count >= c->port->limits.receive_max)
        return receive_max_exceeded(c); /* [5: 3.3.4-8] */
    if (!sh->spare && !(sh->spare = mem_new(sh->mem, mqtt_ack))) return WIRE_UNSPECIFIED;
    if (!again && m->qos == 2 && mqtt_in_add(s, p->id) < 0) return WIRE_UNSPECIFIED;
    mqtt_ack *a = sh->spare;
    *a = (mqtt_ack){.session = s, .id = p->id, .qos = m->qos};
    sh->spare = NULL; /* submitting may come back here with another message */
    int rc = again ? 0 : submit(s, p, topic, a);
    if (c->state == MQTT_GONE) { /* a callback ended us */
        if (rc != BRIDGE_PENDING) mem_free(sh->mem, a);
        return 0;
    }
    if (rc == BRIDGE_PENDING) return wait_in_line(s, a);
    if (rc < 0) mqtt_is_over(c, rc);
    a->reason = reason_for(s, rc);
    a->unkept = is_unkept(s, rc) || (rc == BRIDGE_BUSY && port_passes(sh->port));
    a->done = true;
    if (m->qos == 2 && rc >= 0 && mqtt_persists(s)) { /* its identifier has to be on disk */
        a->done = false;
        a->wait.fn = on_identifier_kept;
        bridge_store_when(sh->store, &a->wait);
    }
    if (!a->done || !list_empty(&s->acks)) {
        mqtt_hush(c);
        return wait_in_line(s, a);
    }
    acknowledge(s, a, c->why);
    mqtt_hush(c);
    mem_free(sh->mem, sh->spare);
    sh->spare = a;
    return 0;
}

/* QoS 0 has no acknowledgement.  Who went over a limit is told so by DISCONNECT [5: 3.14.2.1]; in 3.1 and 3.1.1, or without the
 * right to be there, the message is dropped, and counted. */
static int refused(mqtt_client *c, int status)
{
    if (status == BRIDGE_CLOSED || c->state == MQTT_GONE) return 0;
    if (mqtt_is_over(c, status) && c->version == WIRE_V5) return mqtt_reason(status);
    c->port->shared->count.dropped_refused++;
    mqtt_hush(c);
    return 0;
}

int mqtt_handle_publish(mqtt_client *c, const wire_packet *p)
{
    wire_slice topic = p->publish.topic;
    int rc = 0;
    c->port->shared->count.messages_in++;
    if (p->publish.qos > c->port->limits.max_qos) { /* [5: 3.2.2-11] */
        mqtt_say(c, "QoS %u, %llu at most", p->publish.qos, (unsigned long long)c->port->limits.max_qos);
        return WIRE_NO_QOS;
    }
    if ((p->props.has & WIRE_HAS_ALIAS) && !alias_known(c, p, &topic, &rc)) return rc;
    if (p->publish.qos > 0) return publish_acked(c, p, topic);
    rc = submit(c->session, p, topic, NULL);
    return rc < 0 ? refused(c, rc) : 0;
}

int mqtt_handle_pubrel(mqtt_client *c, const wire_packet *p)
{
    bool known = in_remove(c->session, p->id);
    mqtt_persist_send(c->session, WIRE_PUBCOMP, p->id, known ? WIRE_SUCCESS : WIRE_ID_NOT_FOUND); /* [5: 4.3.3-11] */
    return 0;
}
