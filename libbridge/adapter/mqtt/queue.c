/* adapter/mqtt/queue.c - one ring of messages for a session: in flight first, then those that wait.
 *
 *      head                     head+sent                head+count
 *       | SENT  RELEASED  DONE  | WAITING  WAITING ...    |
 *
 *      WAITING --sent--> SENT --PUBREC--> RELEASED --PUBCOMP--> DONE      (QoS 2)
 *                         `----PUBACK---------------------------^         (QoS 1; QoS 0 at once)
 *
 * When the connection is lost, sent falls back to 0: SENT waits again, to go out first with DUP; RELEASED as PUBREL.  So
 * the order is that of the first sending [5: 4.6.0-1], and packet identifiers count up along the ring. */
#include "adapter/mqtt/persist.h"
#include "hub/port.h"

enum { SPAN = 32768 /* identifiers in the ring stay unique */, RESTORE_GAP = 4 * 1024 * 1024 };

static mqtt_out *at(const mqtt_session *s, uint32_t i)
{
    return &s->ring[(s->head + i) & (s->room - 1)];
}

static size_t size_of(const bridge_msg *m)
{
    return (size_t)m->len + m->path_len;
}

static size_t *bytes_of(mqtt_session *s, const mqtt_out *o)
{
    return o->kept ? &s->kept_bytes : &s->queue_bytes;
}

static int grow(mqtt_session *s)
{
    uint32_t room = s->room ? s->room * 2 : 8;
    mqtt_out *ring = mem_alloc(s->shared->mem, room * sizeof *ring);
    if (!ring) return BRIDGE_NOMEM;
    for (uint32_t i = 0; i < s->count; ++i) ring[i] = *at(s, i);
    mem_free(s->shared->mem, s->ring);
    s->ring = ring;
    s->room = room;
    s->head = 0;
    return 0;
}

static int keep_ids(mqtt_session *s, mqtt_out *o, const bridge_delivery *how)
{
    o->id_count = (uint8_t)(how->id_count > 255 ? 255 : how->id_count);
    if (o->id_count == 1) o->ids.one = how->ids[0];
    if (o->id_count < 2) return 0;
    o->ids.many = mem_copy(s->shared->mem, how->ids, o->id_count * sizeof *how->ids);
    return o->ids.many ? 0 : BRIDGE_NOMEM;
}

/* QoS 0 goes past what waits only because of its window.  Not past kept values: one of them may be the one before it. */
static void waits(mqtt_session *s, const mqtt_out *o, bool yes)
{
    uint32_t one = yes ? 1 : UINT32_MAX; /* or one less */
    if (o->kept) s->kept += one;
    if (o->kept || o->qos == 0) s->before0 += one;
}

int mqtt_queue_push(mqtt_session *s, bridge_msg *msg, const bridge_delivery *how, bool retain)
{
    /* Kept values that a new subscription asks for come as fast as they are taken (mqtt_hungry): they take nobody's place. */
    if (!how->retained && (s->count - s->sent - s->kept >= s->max_queue || s->queue_bytes + size_of(msg) > s->max_queue_bytes)) {
        s->shared->count.dropped_queue++;
        return BRIDGE_BUSY;
    }
    if (s->count == s->room && grow(s) < 0) return BRIDGE_NOMEM;
    mqtt_out o = {.msg = msg, .qos = how->qos & 3, .retain = retain, .shared = how->user != NULL, .kept = how->retained};
    if (keep_ids(s, &o, how) < 0) return BRIDGE_NOMEM;
    bridge_msg_ref(msg);
    mqtt_persist_push(s, &o, s->first_seq + s->count);
    *at(s, s->count++) = o;
    *bytes_of(s, &o) += size_of(msg);
    waits(s, &o, true);
    return 0;
}

static void drop_msg(mqtt_session *s, mqtt_out *o)
{
    if (o->id_count > 1) mem_free(s->shared->mem, o->ids.many);
    o->id_count = 0;
    if (!o->msg) return;
    *bytes_of(s, o) -= size_of(o->msg);
    bridge_msg_unref(o->msg);
    o->msg = NULL;
}

static void trim(mqtt_session *s)
{
    while (s->count && at(s, 0)->state == OUT_DONE) {
        s->head = (s->head + 1) & (s->room - 1);
        s->first_seq++;
        s->count--;
        if (s->sent) s->sent--;
    }
    if (s->count == 0 && s->room > 64) {
        mem_free(s->shared->mem, s->ring);
        s->ring = NULL;
        s->room = s->head = 0;
    }
}

static uint64_t seq_of(const mqtt_session *s, const mqtt_out *o)
{
    return s->first_seq + (((uint32_t)(o - s->ring) - s->head) & (s->room - 1));
}

mqtt_out *mqtt_queue_at(mqtt_session *s, uint64_t seq)
{
    return seq - s->first_seq < s->count ? at(s, (uint32_t)(seq - s->first_seq)) : NULL;
}

void mqtt_queue_done(mqtt_session *s, mqtt_out *o)
{
    mqtt_persist_drop(s, o, seq_of(s, o));
    drop_msg(s, o);
    o->state = OUT_DONE;
    s->unacked--;
    trim(s);
}

void mqtt_queue_release(mqtt_session *s, mqtt_out *o)
{
    mqtt_body_leave(s->shared, o);
    drop_msg(s, o);
    o->state = OUT_RELEASED;
    mqtt_persist_release(s, o, seq_of(s, o));
}

mqtt_out *mqtt_queue_find(mqtt_session *s, uint16_t id)
{
    if (s->sent == 0) return NULL;
    uint32_t guess = (uint16_t)(id - at(s, 0)->id); /* identifiers count up */
    if (guess < s->sent && at(s, guess)->id == id && at(s, guess)->state != OUT_DONE) return at(s, guess);
    for (uint32_t i = 0; i < s->sent; ++i)
        if (at(s, i)->id == id && at(s, i)->state != OUT_DONE) return at(s, i);
    return NULL;
}

/* ---- sending */

static uint16_t next_id(mqtt_session *s)
{
    if (++s->next_id == 0) s->next_id = 1; /* [5: 2.2.1-3] */
    return s->next_id;
}

/* What waits is over before it begins? [5: 3.3.2-5] */
static bool is_over(mqtt_session *s, const mqtt_out *o)
{
    if (o->msg->expires == INT64_MAX || o->id) return false;
    return msg_expired(o->msg, loop_calendar(s->shared->loop));
}

/* 1: sent and waits for its acknowledgement.  0: nothing more to do for it.  Negative: not now. */
static int send_one(mqtt_session *s, mqtt_client *c, mqtt_out *o)
{
    if (o->state == OUT_DONE) return 0;
    if (o->state == OUT_RELEASED) {
        mqtt_send_ack(c, WIRE_PUBREL, o->id, 0);
        return 1;
    }
    if (is_over(s, o)) {
        s->shared->count.expired++;
        return 0;
    }
    bool first = o->id == 0;
    if (first && o->qos) o->id = mqtt_persists(s) ? mqtt_persist_id(seq_of(s, o)) : next_id(s);
    int rc = mqtt_publish_out(c, o->msg, o);
    if (rc == BRIDGE_TOOBIG) { /* [5: 3.1.2-25] as if it had been sent and acknowledged */
        s->shared->count.dropped_size++;
        return 0;
    }
    if (rc < 0) return rc;
    if (!first) s->shared->count.resent++;
    if (o->qos == 0) return 0;
    o->state = OUT_SENT;
    return 1;
}

/* Is the kernel taking what we give?  Else on_drain goes on. */
static bool has_room(mqtt_client *c)
{
    if (stream_pending(c->stream) <= MQTT_PUMP_HIGH) return true;
    stream_flush(c->stream);
    return c->state == MQTT_ONLINE && stream_pending(c->stream) <= MQTT_PUMP_HIGH;
}

static void pump(mqtt_session *s)
{
    mqtt_client *c = s->client;
    if (!c || c->corked || c->pumping || s->sent == s->count) return;
    c->pumping = true;
    while (s->sent < s->count && s->sent < SPAN) {
        mqtt_out *o = at(s, s->sent);
        if ((o->qos > 0 && o->state != OUT_DONE && s->unacked >= c->window) || !has_room(c)) break;
        if (o->qos == 2 && s->queue && !mqtt_persist_may_send(s, s->first_seq + s->sent)) break;
        int rc = send_one(s, c, o);
        if (rc < 0) break;
        s->sent++;
        if (o->state != OUT_DONE && o->state != OUT_RELEASED) waits(s, o, false);
        if (rc > 0) {
            s->unacked++;
            continue;
        }
        if (o->state != OUT_DONE) mqtt_persist_drop(s, o, s->first_seq + s->sent - 1);
        drop_msg(s, o);
        o->state = OUT_DONE;
        trim(s);
    }
    c->pumping = false;
}

void mqtt_queue_pump(mqtt_session *s)
{
    pump(s);
    if (s->client && s->count - s->sent < MQTT_HUNGRY / 2) peer_more(s->peer);
}

/* From the store, in order; numbers between that are not there any more are places that are done. */
int mqtt_queue_restore(mqtt_session *s, const mqtt_out *o, uint64_t seq)
{
    static const mqtt_out done = {.state = OUT_DONE};
    if (s->count == 0) s->first_seq = seq;
    if (seq < s->first_seq + s->count || seq - s->first_seq > RESTORE_GAP) return BRIDGE_SYNTAX;
    while (s->first_seq + s->count <= seq) {
        if (s->count == s->room && grow(s) < 0) return BRIDGE_NOMEM;
        *at(s, s->count) = s->first_seq + s->count == seq ? *o : done;
        s->count++;
    }
    if (o->msg) s->queue_bytes += size_of(o->msg);
    return 0;
}

uint64_t mqtt_queue_unsent(const mqtt_session *s)
{
    uint32_t i = 0;
    while (i < s->count && (at(s, i)->again || at(s, i)->state != OUT_WAITING)) ++i;
    return s->first_seq + i;
}

void mqtt_queue_rewind(mqtt_session *s)
{
    s->kept = s->before0 = 0;
    for (uint32_t i = 0; i < s->count; ++i) {
        mqtt_out *o = at(s, i);
        if (o->state == OUT_SENT) {
            o->state = OUT_WAITING;
            o->again = true;
        } else if (o->qos == 0 && o->state == OUT_WAITING && !s->queue_qos0) {
            drop_msg(s, o);
            o->state = OUT_DONE;
        }
        if (o->state == OUT_WAITING) waits(s, o, true);
    }
    s->sent = s->unacked = 0;
    trim(s);
}

/* [5: 4.8.2-4, -5] QoS 1 goes to another member of the group; QoS 2 only if it was never sent. */
void mqtt_queue_pass_on(mqtt_session *s)
{
    for (uint32_t i = 0; i < s->count; ++i) {
        mqtt_out *o = at(s, i);
        if (o->shared && o->msg && (o->qos < 2 || (o->id == 0 && !o->again))) peer_pass_on(s->peer, o->msg);
    }
}

void mqtt_queue_free(mqtt_session *s)
{
    if (s->shared->whole.session == s) s->shared->whole.session = NULL;
    for (uint32_t i = 0; i < s->count; ++i) drop_msg(s, at(s, i));
    mem_free(s->shared->mem, s->ring);
    s->ring = NULL;
    s->count = s->room = s->head = s->sent = s->unacked = s->kept = s->before0 = 0;
}
