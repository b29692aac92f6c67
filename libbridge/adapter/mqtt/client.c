/* adapter/mqtt/client.c - a connection: packets out of bytes, keep-alive, and goodbyes. */
#include "adapter/mqtt/session.h"
#include "hub/port.h"

const char *mqtt_client_name(const mqtt_client *c)
{
    return c->session ? c->session->id : stream_peer(c->stream);
}

/* ---- out */

int mqtt_send(mqtt_client *c, const wire_packet *packet)
{
    size_t size = wire_measure(packet);
    if (size == 0 || size > c->max_packet) return BRIDGE_TOOBIG; /* [5: 3.1.2-24] */
    uint8_t *at = stream_reserve(c->stream, size);
    if (!at) return BRIDGE_CLOSED;
    wire_write(packet, at);
    return 0;
}

void mqtt_send_ack(mqtt_client *c, wire_type type, uint16_t id, uint8_t reason)
{
    bool told = reason && c->version == WIRE_V5;
    uint8_t *at = stream_reserve(c->stream, told ? 5 : 4);
    if (!at) return;
    at[0] = (uint8_t)(type << 4 | (type == WIRE_PUBREL ? 2 : 0));
    at[1] = told ? 3 : 2;
    wire_u16_write(at + 2, id);
    if (told) at[4] = reason;
}

void mqtt_explain(const mqtt_client *c, wire_packet *packet, const char *why)
{
    if (packet->version != WIRE_V5 || !c->problem_info || !why) return; /* [5: 3.1.2-29] */
    packet->props.has |= WIRE_HAS_REASON_STRING;
    packet->props.reason_string = (wire_slice){(const uint8_t *)why, (uint32_t)strlen(why)};
    if (wire_measure(packet) > c->max_packet) packet->props.has &= ~WIRE_HAS_REASON_STRING; /* [5: 3.14.2-3] */
}

/* ---- the end */

static void detach(mqtt_client *c, bool with_will)
{
    mqtt_session *s = c->session;
    timer_stop(&c->timer);
    timer_stop(&c->rest);
    mqtt_user_leave(c);
    c->state = MQTT_GONE;
    c->session = NULL;
    if (s) mqtt_session_offline(s, with_will);
}

void mqtt_kick(mqtt_client *c, uint8_t reason, const char *why)
{
    if (c->state == MQTT_GONE) return;
    if (reason >= WIRE_UNSPECIFIED && reason != WIRE_TAKEN_OVER && reason != WIRE_SHUTTING_DOWN) {
        c->port->shared->count.protocol_errors++;
        bridge_port_log(c->via, BRIDGE_LOG_INFO, mqtt_client_name(c), "closed reason=0x%02x %s", reason, why ? why : "");
    }
    if (c->state == MQTT_ONLINE && c->version == WIRE_V5) {
        wire_packet p = {.type = WIRE_DISCONNECT, .version = WIRE_V5, .reason = reason};
        mqtt_explain(c, &p, why);
        mqtt_send(c, &p);
    }
    mqtt_leave(c, c->state != MQTT_ENTERING); /* [5: 3.1.2-7] a will is for who was let in */
}

void mqtt_leave(mqtt_client *c, bool with_will)
{
    if (c->state == MQTT_GONE) return;
    detach(c, with_will);
    stream_close(c->stream);
}

static void on_close(void *user, int status)
{
    mqtt_client *c = user;
    mqtt_port *port = c->port;
    (void)status;
    detach(c, true);
    for (uint64_t i = 0; c->aliases_in && i < port->limits.topic_aliases; ++i) mem_free(port->shared->mem, c->aliases_in[i]);
    for (unsigned i = 0; c->aliases_out && i < c->alias_max_out; ++i) mem_free(port->shared->mem, c->aliases_out[i].topic);
    mem_free(port->shared->mem, c->aliases_in);
    mem_free(port->shared->mem, c->aliases_out);
    mem_free(port->shared->mem, c->codes);
    mqtt_hush(c);
    mem_free(port->shared->mem, c->user);
    mqtt_auth_free(c);
    list_remove(&c->link);
    port->client_count--;
    mem_free(port->shared->mem, c);
    mqtt_port_settle(port);
}

/* ---- keep-alive: no timer is touched by a packet; the one there is looks when the last came [5: 3.1.2-22] */

static void on_keep_alive(timer *t)
{
    mqtt_client *c = list_of(t, mqtt_client, timer);
    int64_t patience = (int64_t)c->keep_alive * 1500, idle = loop_now(c->stream->loop) - c->seen;
    if (c->held) idle = 0; /* it may have spoken: nobody listens */
    if (idle < patience) {
        timer_start(t, c->stream->loop, patience - idle, on_keep_alive);
        return;
    }
    c->port->shared->count.keep_alive_ends++;
    mqtt_kick(c, WIRE_KEEP_ALIVE, mqtt_say(c, "nothing heard for %u.%u s, one and a half times the keep alive", c->keep_alive * 3u / 2,
                                           c->keep_alive % 2 * 5u));
}

void mqtt_client_arm(mqtt_client *c)
{
    if (c->keep_alive)
        timer_start(&c->timer, c->stream->loop, (int64_t)c->keep_alive * 1500, on_keep_alive);
    else
        timer_stop(&c->timer);
}

static void on_connect_timeout(timer *t)
{
    mqtt_client *c = list_of(t, mqtt_client, timer);
    mqtt_kick(c, WIRE_KEEP_ALIVE, "no CONNECT in time"); /* [5: 3.1.4] "within a reasonable amount of time" */
}

/* ---- in */

static int handle(mqtt_client *c, const wire_packet *p)
{
    switch (p->type) {
    case WIRE_PUBLISH: return mqtt_handle_publish(c, p);
    case WIRE_PUBACK: return mqtt_handle_puback(c, p);
    case WIRE_PUBREC: return mqtt_handle_pubrec(c, p);
    case WIRE_PUBREL: return mqtt_handle_pubrel(c, p);
    case WIRE_PUBCOMP: return mqtt_handle_pubcomp(c, p);
    case WIRE_SUBSCRIBE: return mqtt_handle_subscribe(c, p);
    case WIRE_UNSUBSCRIBE: return mqtt_handle_unsubscribe(c, p);
    case WIRE_PINGREQ: return stream_write(c->stream, "\xd0", 2) < 0 ? WIRE_UNSPECIFIED : 0;
    case WIRE_DISCONNECT: return mqtt_handle_disconnect(c, p);
    case WIRE_AUTH: return mqtt_handle_auth(c, p);
    default: return WIRE_PROTOCOL_ERROR; /* a second CONNECT [5: 3.1.0-2], or a server's packet */
    }
}

static void not_connect(mqtt_client *c) /* [5: 3.1.0-1] */
{
    mqtt_kick(c, WIRE_PROTOCOL_ERROR, "the first packet is not CONNECT");
}

static void take_packet(mqtt_client *c, const uint8_t *p, size_t len)
{
    wire_packet packet;
    unsigned flags = c->port->limits.strict_text ? WIRE_STRICT_TEXT : 0;
    if (c->state == MQTT_NEW && p[0] >> 4 != WIRE_CONNECT) {
        not_connect(c);
        return;
    }
    int rc = wire_parse(&packet, p, len, c->version, flags);
    if (c->state == MQTT_NEW) {
        c->version = packet.version;
        if (rc != 0) {
            mqtt_say_packet(c, &packet, (uint8_t)rc);
            mqtt_refuse(c, (uint8_t)rc, c->why);
        } else
            mqtt_handle_connect(c, &packet, p, len);
        return;
    }
    if (rc == 0 && c->state == MQTT_ASKING && packet.type != WIRE_AUTH) { /* [5: 3.1.2-30] */
        if (packet.type != WIRE_DISCONNECT) mqtt_refuse(c, WIRE_PROTOCOL_ERROR, "AUTH is awaited");
        mqtt_leave(c, false);
        return;
    }
    if (rc == 0) rc = handle(c, &packet);
    if (rc == 0) return;
    mqtt_say_packet(c, &packet, (uint8_t)rc);
    if (c->state == MQTT_ASKING)
        mqtt_refuse(c, (uint8_t)rc, c->why);
    else
        mqtt_kick(c, (uint8_t)rc, c->why);
}

enum { HEAD_OF_CONNECT = WIRE_MAX_HEADER + 2 + 6 + 1 }; /* as far as the version of "MQTT" and "MQIsdp" */

/* false: it is a CONNECT that has not said its version yet, so how is it to be told? */
static bool too_large(mqtt_client *c, const uint8_t *p, size_t len, int64_t size)
{
    const char *why = mqtt_say(c, "a packet of %lld bytes, %llu at most", (long long)size, (unsigned long long)c->port->limits.max_packet);
    if (c->state != MQTT_NEW || p[0] >> 4 != WIRE_CONNECT) {
        mqtt_kick(c, WIRE_TOO_LARGE, why);
        return true;
    }
    if (len < HEAD_OF_CONNECT) return false;
    c->version = wire_peek_version(p, len);
    mqtt_refuse(c, WIRE_TOO_LARGE, why);
    return true;
}

static void on_rested(timer *t)
{
    mqtt_client_listen(list_of(t, mqtt_client, rest), true);
}

void mqtt_client_listen(mqtt_client *c, bool on)
{
    c->resting = !on;
    stream_read(c->stream, on);
    if (on) stream_again(c->stream);
}

void mqtt_client_rest(mqtt_client *c)
{
    if (c->state != MQTT_GONE && timer_start(&c->rest, c->stream->loop, 1, on_rested) == 0) mqtt_client_listen(c, false);
}

/* The names that come next in what has been read are told to the hub, a handful at a time.  Returns the end of what was looked at. */
static const uint8_t *look_ahead(const mqtt_client *c, const uint8_t *p, const uint8_t *end)
{
    text names[HUB_NOTICE];
    unsigned count = 0, header;
    while (p < end && count < HUB_NOTICE) {
        int64_t n = wire_frame(p, (size_t)(end - p), &header);
        if (n <= 0 || n > end - p) break;
        if (p[0] >> 4 == WIRE_PUBLISH && n >= header + 2) {
            text name = {(const char *)p + header + 2, (size_t)(p[header] << 8 | p[header + 1])};
            if (name.len && name.len <= (size_t)n - header - 2) names[count++] = name; /* none: an alias */
        }
        p += n;
    }
    port_notice(c->via, names, count);
    return p;
}

void mqtt_client_hold(mqtt_client *c, bool on)
{
    c->held = on;
    if (on)
        mqtt_client_listen(c, false);
    else if (timer_start(&c->rest, c->stream->loop, 0, on_rested) < 0) /* a later turn: whoever lets it go has not finished */
        mqtt_client_listen(c, true);
}

static size_t on_data(void *user, const uint8_t *data, size_t len)
{
    mqtt_client *c = user;
    mqtt_port *port = c->port;
    const uint8_t *p = data, *end = data + len, *seen = data;
    unsigned header;
    if (c->resting) return 0;
    if (c->state != MQTT_ONLINE || !port_wants_notice(c->via)) seen = end;
    c->turn = 0;
    c->seen = loop_now(c->stream->loop);
    while (p < end && c->state != MQTT_GONE && !c->resting) {
        if (p >= seen) seen = look_ahead(c, p, end);
        int64_t n = wire_frame(p, (size_t)(end - p), &header);
        if (n < 0) {
            mqtt_kick(c, WIRE_MALFORMED, "the remaining length is no number");
            break;
        }
        if (n > (int64_t)port->limits.max_packet) { /* [5: 3.2.2-15] */
            if (!too_large(c, p, (size_t)(end - p), n)) break;
            return len;
        }
        if (n == 0 || n > end - p) {
            if (c->state == MQTT_NEW && p[0] >> 4 != WIRE_CONNECT) not_connect(c); /* the rest is not waited for */
            break;
        }
        if (port->limits.max_rate && !c->codes && mqtt_too_fast(c)) {
            mqtt_kick(c, WIRE_RATE, mqtt_say(c, "more than %llu packets in a second", (unsigned long long)port->limits.max_rate));
            break;
        }
        port->shared->count.packets_in += !c->codes;
        take_packet(c, p, (size_t)n);
        if (!c->codes) p += n; /* else it is half done, and comes again */
    }
    port->shared->count.bytes_in += (uint64_t)(p - data);
    return c->state == MQTT_GONE ? len : (size_t)(p - data);
}

static void on_drain(void *user)
{
    mqtt_client *c = user;
    if (c->session && !c->pumping) mqtt_queue_pump(c->session);
}

static const stream_events events = {.on_data = on_data, .on_drain = on_drain, .on_close = on_close};

int mqtt_client_new(mqtt_port *port, bridge_port *via, stream *s, const char *user)
{
    mqtt_shared *sh = port->shared;
    if (mqtt_is_crowded(port)) return BRIDGE_BUSY;
    mqtt_client *c = mem_new(sh->mem, mqtt_client);
    if (c && user && !(c->user = mem_text(sh->mem, user))) {
        mem_free(sh->mem, c);
        c = NULL;
    }
    if (!c) return BRIDGE_NOMEM;
    c->port = port;
    c->via = via;
    c->stream = s;
    c->problem_info = true;
    c->max_packet = UINT32_MAX;
    c->over = mqtt_too_many(port, loop_now(s->loop));
    list_push(&port->clients, &c->link);
    port->client_count++;
    c->seen = loop_now(s->loop);
    stream_set_high(s, MQTT_PUMP_HIGH);
    stream_set_max_in(s, port->limits.max_packet + WIRE_MAX_HEADER);
    timer_start(&c->timer, s->loop, (int64_t)port->limits.connect_timeout * 1000, on_connect_timeout);
    stream_start(s, &events, c);
    return 0;
}
