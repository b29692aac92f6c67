/* adapter/mqtt/deliver.c - messages on their way out.  The hot path of a fan-out: one encoding for all who speak the same
 * version, then for each of them room in its corked output, one copy, and the few bytes that differ. */
#include "adapter/mqtt/session.h"
#include "base/hash.h"

/* The compiler knows that len is small and would write it as a string instruction, which costs more than a call. */
static inline void copy(void *to, const void *from, size_t len)
{
    __asm__("" : "+r"(len));
    memcpy(to, from, len);
}

/* ---- the shared encoding */

static uint8_t *head_room(mqtt_shared *sh, mqtt_encoding *e, size_t len)
{
    if (len > e->room) {
        uint8_t *p = mem_realloc(sh->mem, e->head, len + len / 2);
        if (!p) return NULL;
        e->head = p;
        e->room = (uint32_t)(len + len / 2);
    }
    return e->head;
}

/* Nothing to say but topic and payload. */
static int encode_plain(mqtt_shared *sh, mqtt_encoding *e, const bridge_msg *msg, bool v5, bool has_id)
{
    size_t body = 2u + msg->path_len + (has_id ? 2 : 0) + (v5 ? 1 : 0) + (size_t)msg->len;
    size_t part = msg->len > MQTT_INLINE ? 0 : msg->len;
    if (body > WIRE_MAX_REMAINING) return BRIDGE_TOOBIG;
    uint8_t *start = head_room(sh, e, WIRE_MAX_HEADER + body - msg->len + part), *out = start;
    if (!out) return BRIDGE_NOMEM;
    *out++ = WIRE_PUBLISH << 4;
    out = wire_u16_write(wire_varint_write(out, (uint32_t)body), msg->path_len);
    copy(out, msg->path, msg->path_len);
    out += msg->path_len;
    e->id_at = (uint32_t)(out - start);
    if (has_id) out += 2;
    if (v5) *out++ = 0;
    copy(out, msg_data(msg), part);
    e->len = (uint32_t)(out + part - start);
    e->payload = (uint32_t)(msg->len - part);
    return 0;
}

static int encode_props(mqtt_shared *sh, mqtt_encoding *e, const bridge_msg *msg, int64_t ttl, bool has_id)
{
    wire_packet p;
    int rc = mqtt_msg_out(sh, &p, msg, ttl, NULL, 0);
    if (rc < 0) return rc;
    p.publish.qos = has_id;
    size_t size = wire_measure(&p);
    if (size == 0) return BRIDGE_TOOBIG;
    uint8_t *start = head_room(sh, e, size - (msg->len > MQTT_INLINE ? msg->len : 0));
    if (!start) return BRIDGE_NOMEM;
    uint8_t *end = wire_write_head(&p, start);
    e->id_at = (uint32_t)(size - msg->len - wire_props_whole(&p) - 2);
    e->payload = msg->len > MQTT_INLINE ? msg->len : 0;
    if (!e->payload) {
        memcpy(end, msg_data(msg), msg->len);
        end += msg->len;
    }
    e->len = (uint32_t)(end - start);
    return 0;
}

/* The hub gives each accepted message a version of its own; copies under other names share it, so the path counts too. */
static bool is_for(const mqtt_encoding *e, const bridge_msg *msg)
{
    return e->msg == msg && e->version == msg->version && e->path_len == msg->path_len &&
           memcmp(e->head + e->id_at - e->path_len, msg->path, msg->path_len) == 0;
}

static mqtt_encoding *encoding_of(mqtt_shared *sh, bridge_msg *msg, bool v5, bool has_id)
{
    mqtt_encoding *e = &sh->encodings[v5 * 2 + has_id];
    int64_t ttl = v5 && msg->expires != INT64_MAX ? mqtt_msg_ttl(sh, msg) : -1;
    if (is_for(e, msg) && e->ttl == ttl) return e;
    e->msg = NULL;
    bool plain = !v5 || (ttl < 0 && !msg->has_extra && msg->format == BRIDGE_FORMAT_AUTO && !msg->text_said);
    int rc = plain ? encode_plain(sh, e, msg, v5, has_id) : encode_props(sh, e, msg, ttl, has_id);
    if (rc < 0) return NULL;
    e->msg = msg->version ? msg : NULL; /* an owner's answer has none: the next may lie at the same place */
    e->version = msg->version;
    e->path_len = msg->path_len;
    e->ttl = ttl;
    return e;
}

void mqtt_encodings_free(mqtt_shared *sh)
{
    for (unsigned i = 0; i < 4; ++i) {
        mem_free(sh->mem, sh->encodings[i].head);
        sh->encodings[i] = (mqtt_encoding){0};
    }
}

/* ---- payloads */

static void release(void *msg)
{
    bridge_msg_unref(msg);
}

static int payload_out(mqtt_client *c, bridge_msg *msg)
{
    if (msg->len < MQTT_BY_REF) return stream_write(c->stream, msg_data(msg), msg->len);
    int rc = stream_write_ref(c->stream, msg_data(msg), msg->len, release, bridge_msg_ref(msg));
    if (rc < 0) bridge_msg_unref(msg);
    return rc;
}

static uint8_t first_byte(const mqtt_out *o)
{
    return (uint8_t)(WIRE_PUBLISH << 4 | (o->again ? 8 : 0) | o->qos << 1 | o->retain);
}

/* ---- one of its own: subscription identifiers, a topic alias, who said it */

/* A small table by hash: the newest topic of a slot has the alias, so nothing has to be searched or aged [5: 3.3.2.3.4]. */
static mqtt_alias_out *alias_slot(mqtt_client *c, const bridge_msg *msg, unsigned *number)
{
    if (!c->alias_max_out) return NULL;
    if (!c->aliases_out) c->aliases_out = mem_new_array(c->port->shared->mem, mqtt_alias_out, c->alias_max_out);
    if (!c->aliases_out) return NULL;
    *number = (unsigned)(hash_bytes(msg->path, msg->path_len, 0) % c->alias_max_out);
    return &c->aliases_out[(*number)++];
}

static bool alias_is(const mqtt_alias_out *a, const bridge_msg *msg)
{
    return a->topic && a->len == msg->path_len && memcmp(a->topic, msg->path, a->len) == 0;
}

static void alias_take(mqtt_client *c, mqtt_alias_out *a, char *topic, uint32_t len)
{
    mem_free(c->port->shared->mem, a->topic);
    a->topic = topic;
    a->len = len;
}

static int own_out(mqtt_client *c, bridge_msg *msg, const mqtt_out *o)
{
    mqtt_shared *sh = c->port->shared;
    wire_packet p;
    unsigned alias = 0;
    const uint32_t *ids = o->id_count > 1 ? o->ids.many : &o->ids.one;
    int rc = mqtt_msg_out(sh, &p, msg, mqtt_msg_ttl(sh, msg), ids, o->id_count);
    if (rc == 0 && c->tells) rc = mqtt_tell_origin(c, &p, msg);
    if (rc < 0) return rc;
    p.id = o->id;
    p.publish.qos = o->qos;
    mqtt_alias_out *slot = alias_slot(c, msg, &alias);
    char *taken = NULL;
    if (slot && alias_is(slot, msg))
        p.publish.topic.len = 0;
    else if (slot && !(taken = mem_copy(sh->mem, msg->path, msg->path_len)))
        slot = NULL;
    if (slot) {
        p.props.has |= WIRE_HAS_ALIAS;
        p.props.alias = (uint16_t)alias;
    }
    size_t size = wire_measure(&p);
    rc = size == 0 || size > c->max_packet ? BRIDGE_TOOBIG : 0;
    uint8_t *at = rc == 0 ? stream_reserve(c->stream, size - msg->len) : NULL;
    if (rc == 0 && !at) rc = BRIDGE_CLOSED;
    if (rc < 0) {
        mem_free(sh->mem, taken);
        return rc;
    }
    if (taken) alias_take(c, slot, taken, msg->path_len);
    wire_write_head(&p, at);
    at[0] = first_byte(o);
    return payload_out(c, msg);
}

/* ---- out */

int mqtt_publish_out(mqtt_client *c, bridge_msg *msg, const mqtt_out *o)
{
    mqtt_shared *sh = c->port->shared;
    bool v5 = c->version == WIRE_V5;
    sh->count.messages_out++;
    if (v5 && (o->id_count || c->alias_max_out || c->tells)) return own_out(c, msg, o);
    const mqtt_encoding *e = encoding_of(sh, msg, v5, o->qos > 0);
    if (!e || (size_t)e->len + e->payload > c->max_packet) return BRIDGE_TOOBIG;
    uint8_t *at = stream_reserve(c->stream, e->len);
    if (!at) return BRIDGE_CLOSED;
    copy(at, e->head, e->len);
    at[0] = first_byte(o);
    if (o->qos) wire_u16_write(at + e->id_at, o->id);
    return e->payload ? payload_out(c, msg) : 0;
}

void mqtt_deliver(void *state, bridge_msg *msg, const bridge_delivery *how)
{
    mqtt_session *s = state;
    mqtt_client *c = s->client;
    bool retain = how->retained || (how->keep_retain && (msg->retain || how->gone)); /* [5: 3.3.1-12, -13] */
    if (how->qos == 0 && c && s->before0 == 0 && !c->corked) {
        mqtt_out o = {.retain = retain};
        if (stream_pending(c->stream) > c->port->limits.max_pending) {
            s->shared->count.dropped_slow++;
            return;
        }
        if (how->id_count) {
            o.id_count = (uint8_t)(how->id_count > 255 ? 255 : how->id_count);
            o.ids.many = (uint32_t *)(uintptr_t)how->ids;
            if (how->id_count == 1) o.ids.one = how->ids[0];
        }
        if (mqtt_publish_out(c, msg, &o) == BRIDGE_TOOBIG) s->shared->count.dropped_size++;
        return;
    }
    if (how->qos == 0 && !c && !s->queue_qos0) return;
    if (mqtt_queue_push(s, msg, how, retain) == 0 && c) mqtt_queue_pump(s);
}

/* What is kept comes as fast as the client takes it: there is no use in a million messages that wait. */
bool mqtt_hungry(void *state)
{
    const mqtt_session *s = state;
    return s->client && s->count - s->sent < MQTT_HUNGRY && s->kept_bytes < s->max_queue_bytes && stream_pending(s->client->stream) < MQTT_PUMP_HIGH;
}
