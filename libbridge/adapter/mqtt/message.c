/* adapter/mqtt/message.c - PUBLISH <-> bridge_msg: names, formats and properties (docs/mapping.md 2 to 4). */
#include "adapter/mqtt/session.h"
#include "codec/registry.h"
#include "core/path.h"
#include "hub/port.h"

/* ---- in */

/* A slice as a C string in the scratch buffer; places are told as offsets, because the buffer may move. */
static int put_text(buf *b, wire_slice s, size_t *at)
{
    *at = b->len;
    int rc = buf_put(b, s.p, s.len);
    return rc < 0 ? rc : buf_put_u8(b, 0);
}

static int collect_users(mqtt_shared *sh, const wire_props *props, size_t *count)
{
    wire_slice rest = props->raw, name, value;
    size_t n = 0, a = 0, b = 0;
    if (!(props->has & WIRE_HAS_USER)) {
        *count = 0;
        return 0;
    }
    while (wire_next_user(&rest, &name, &value)) {
        int rc = mem_grow(sh->mem, (void **)&sh->props, &sh->props_room, n, sizeof *sh->props);
        if (rc == 0) rc = put_text(&sh->scratch, name, &a);
        if (rc == 0) rc = put_text(&sh->scratch, value, &b);
        if (rc < 0) return rc;
        sh->props[n++] = (bridge_prop){(const char *)a, (const char *)b};
    }
    *count = n;
    return 0;
}

/* What only MQTT 5 can say.  The strings stand in sh->scratch, behind the topic. */
static int fields_of(mqtt_shared *sh, bridge_fields *f, const wire_props *props)
{
    size_t type = 0, response = 0;
    int rc = 0;
    if (props->has & WIRE_HAS_CONTENT_TYPE) {
        f->format = format_of_media_type((text){(const char *)props->content_type.p, props->content_type.len});
        rc = put_text(&sh->scratch, props->content_type, &type);
    }
    if (rc == 0 && (props->has & WIRE_HAS_RESPONSE_TOPIC)) rc = put_text(&sh->scratch, props->response_topic, &response);
    if (rc == 0) rc = collect_users(sh, props, &f->prop_count);
    if (rc < 0) return rc;
    const char *base = (const char *)sh->scratch.data; /* from here on nothing moves */
    if (props->has & WIRE_HAS_CONTENT_TYPE) {
        const char *usual = format_media_type(f->format);
        f->media_type = base + type;
        if (usual && strcmp(usual, f->media_type) == 0) f->media_type = NULL; /* [5: 3.3.2-20] any other spelling is kept */
    }
    if (props->has & WIRE_HAS_RESPONSE_TOPIC) f->response = base + response;
    if (props->has & WIRE_HAS_CORRELATION) {
        f->correlation = props->correlation.p;
        f->correlation_len = props->correlation.len;
    }
    if (props->has & WIRE_HAS_MESSAGE_EXPIRY) f->ttl = props->message_expiry ? (int64_t)props->message_expiry * 1000 : 1;
    for (size_t i = 0; i < f->prop_count; ++i) {
        sh->props[i].name = base + (size_t)sh->props[i].name;
        sh->props[i].value = base + (size_t)sh->props[i].value;
    }
    f->props = sh->props;
    return 0;
}

static bool payload_is_text(wire_slice s) /* UTF-8; here U+0000 may stand */
{
    const uint8_t *p = s.p, *end = s.p + s.len;
    while (p < end) {
        const uint8_t *nul = memchr(p, 0, (size_t)(end - p));
        if (!text_is_utf8(p, (size_t)((nul ? nul : end) - p))) return false;
        p = nul ? nul + 1 : end;
    }
    return true;
}

int mqtt_msg_new(mqtt_session *s, bridge_msg **out, wire_slice topic, wire_slice payload, uint8_t qos, bool retain,
                 const wire_props *props)
{
    mqtt_shared *sh = s->shared;
    size_t at;
    text path = {(const char *)topic.p, topic.len};
    if (!props->has && (path.len < PATH_LEVELS || path_levels(path.p, path.len) <= PATH_LEVELS)) /* the codec has checked the rest */
        return peer_msg_plain(s->peer, path, payload.p, payload.len, qos, retain, out);
    bridge_fields f = {.size = sizeof f, .data = payload.p, .len = payload.len, .qos = qos, .retain = retain,
                       .format = BRIDGE_FORMAT_AUTO, .time = loop_calendar(sh->loop)};
    buf_clear(&sh->scratch);
    int rc = put_text(&sh->scratch, topic, &at);
    if (rc == 0 && props->has) rc = fields_of(sh, &f, props);
    if (rc < 0) return rc;
    f.path = (const char *)sh->scratch.data;
    bool is_text = (props->has & WIRE_HAS_PAYLOAD_FORMAT) && props->payload_format == 1;
    if (is_text && !payload_is_text(payload)) { /* [5: 3.3.2.3.2] */
        if (s->client) mqtt_say(s->client, "the payload is said to be UTF-8, and is not");
        return BRIDGE_UNPROCESSABLE;
    }
    rc = bridge_peer_msg(s->peer, &f, out);
    if (rc == 0 && (props->has & WIRE_HAS_PAYLOAD_FORMAT)) (*out)->text_said = is_text ? MSG_TEXT_YES : MSG_TEXT_NO;
    return rc;
}

void mqtt_msg_restamp(mqtt_shared *sh, bridge_msg *msg)
{
    int64_t now = loop_calendar(sh->loop);
    if (msg->expires != INT64_MAX) msg->expires += now - msg->time;
    msg->time = now;
}

bool mqtt_says_yes(const wire_packet *p, const char *property)
{
    wire_slice rest = p->props.raw, name, value;
    bool yes = false;
    while ((p->props.has & WIRE_HAS_USER) && wire_next_user(&rest, &name, &value))
        if (text_is((text){(const char *)name.p, name.len}, property)) text_to_bool((text){(const char *)value.p, value.len}, &yes);
    return yes;
}

/* ---- out */

int64_t mqtt_msg_ttl(const mqtt_shared *sh, const bridge_msg *msg)
{
    if (msg->expires == INT64_MAX) return -1;
    int64_t left = (msg_ttl_left(msg, loop_calendar(sh->loop)) + 999) / 1000;
    return left > UINT32_MAX ? UINT32_MAX : left;
}

static bool is_textual(unsigned format)
{
    return format == BRIDGE_TEXT || format == BRIDGE_JSON || format == BRIDGE_LINKS || format == BRIDGE_XML ||
           format == BRIDGE_SENML_JSON || format == BRIDGE_LWM2M_JSON;
}

static wire_slice slice_of(const char *s)
{
    return (wire_slice){(const uint8_t *)s, (uint32_t)strlen(s)};
}

/* The payload format indicator goes on as it was said [5: 3.3.2-4]; other protocols say it by the format. */
static void say_text(wire_props *p, const bridge_msg *msg)
{
    bool from_mqtt = msg->origin && msg->origin->scheme_len == 4 && memcmp(msg->origin->text, "mqtt", 4) == 0;
    if (msg->text_said) {
        p->payload_format = msg->text_said == MSG_TEXT_YES;
    } else {
        if (from_mqtt || !is_textual(msg->format) || !text_is_utf8(msg_data(msg), msg->len)) return;
        p->payload_format = 1;
    }
    p->has |= WIRE_HAS_PAYLOAD_FORMAT;
}

static int say_users(mqtt_shared *sh, const msg_extra *x)
{
    for (uint32_t i = 0; i < x->prop_count; ++i) {
        wire_slice name = slice_of(x->props[i].name), value = slice_of(x->props[i].value);
        if (name.len > UINT16_MAX || value.len > UINT16_MAX) continue; /* HTTP headers can be longer */
        uint8_t *at = buf_reserve(&sh->extra, wire_user_size(name.len, value.len));
        if (!at) return BRIDGE_NOMEM;
        wire_user_write(at, name, value);
    }
    return 0;
}

int mqtt_msg_out(mqtt_shared *sh, wire_packet *packet, const bridge_msg *msg, int64_t ttl, const uint32_t *ids,
                 unsigned id_count)
{
    wire_props *p = &packet->props;
    const msg_extra *x = msg_extra_of(msg);
    const char *type = x && x->media_type ? x->media_type : format_media_type((bridge_format)msg->format);
    *packet = (wire_packet){.type = WIRE_PUBLISH, .version = WIRE_V5};
    packet->publish.topic = (wire_slice){(const uint8_t *)msg->path, msg->path_len};
    packet->publish.payload = (wire_slice){msg_data(msg), msg->len};
    buf_clear(&sh->extra);
    say_text(p, msg);
    if (ttl >= 0) {
        p->has |= WIRE_HAS_MESSAGE_EXPIRY;
        p->message_expiry = (uint32_t)ttl;
    }
    if (type) {
        p->has |= WIRE_HAS_CONTENT_TYPE;
        p->content_type = slice_of(type);
    }
    if (x && x->response) {
        p->has |= WIRE_HAS_RESPONSE_TOPIC;
        p->response_topic = slice_of(x->response);
    }
    if (x && x->correlation) {
        p->has |= WIRE_HAS_CORRELATION;
        p->correlation = (wire_slice){x->correlation, x->correlation_len};
    }
    if (x && x->prop_count && say_users(sh, x) < 0) return BRIDGE_NOMEM;
    for (unsigned i = 0; i < id_count; ++i) {
        uint8_t one[5];
        int rc = buf_put(&sh->extra, one, (size_t)(wire_id_write(one, ids[i]) - one));
        if (rc < 0) return rc;
    }
    p->extra = (wire_slice){sh->extra.data, (uint32_t)sh->extra.len};
    return 0;
}

static int add_user(buf *b, const char *name, const char *said)
{
    wire_slice n = slice_of(name), v = slice_of(said ? said : "");
    uint8_t *at = v.len && v.len <= UINT16_MAX ? buf_reserve(b, wire_user_size(n.len, v.len)) : NULL;
    if (at) wire_user_write(at, n, v);
    return at || !v.len || v.len > UINT16_MAX ? 0 : BRIDGE_NOMEM;
}

/* To a connection that is told who published: docs/mapping.md 12. */
int mqtt_tell_origin(mqtt_client *c, wire_packet *packet, const bridge_msg *msg)
{
    buf *b = &c->port->shared->extra;
    char room[UINT16_MAX + 1];
    whence w;
    peer_whence(c->session->peer, msg, room, &w);
    int rc = add_user(b, "bridge-origin", w.origin ? w.origin : "?"); /* always, and first: what stands before it somebody else has said */
    if (rc == 0) rc = add_user(b, "bridge-user", w.user);
    if (rc == 0) rc = add_user(b, "bridge-listener", w.listener);
    if (rc == 0) rc = add_user(b, "bridge-name", w.name);
    if (rc == 0) rc = add_user(b, "bridge-copied", w.copied ? "true" : NULL);
    packet->props.extra = (wire_slice){b->data, (uint32_t)b->len};
    return rc;
}
