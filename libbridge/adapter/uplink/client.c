/* adapter/uplink/client.c - the life of a connection: CONNECT, CONNACK, keep-alive, the end. */
#include "adapter/uplink/client_inside.h"
#include <stdio.h>

int client_new(client **out, mem *m, unsigned window, const client_hooks *hooks, void *user)
{
    client *c = mem_new(m, client);

    if (!c) return BRIDGE_NOMEM;
    *c = (client){.mem = m, .hooks = hooks, .user = user, .window = window};
    list_init(&c->flight);
    list_init(&c->asking);
    list_init(&c->acks);
    buf_init(&c->props, m, 0);
    buf_init(&c->texts, m, 0);
    aliases_out_init(&c->aliases_out, m);
    *out = c;
    return 0;
}

void client_free(client *c)
{
    if (!c) return;
    while (list_pop(&c->flight)) continue; /* the buffer has them */
    client_drop_asking(c);
    client_drop_in(c, true);
    buf_done(&c->props);
    buf_done(&c->texts);
    aliases_out_done(&c->aliases_out);
    aliases_in_begin(&c->aliases_in, c->mem, 0);
    mem_free(c->mem, c->slots);
    mem_free(c->mem, c->uncertain);
    mem_free(c->mem, c->user_props);
    mem_free(c->mem, c->owed);
    mem_free(c->mem, c);
}

int client_write(client *c, const wire_packet *p)
{
    size_t n = wire_measure(p);
    uint8_t *at;

    if (n == 0 || (c->max_packet && n > c->max_packet)) return BRIDGE_TOOBIG; /* [5: 3.2.2-15] */
    at = c->hooks->room(c->user, n);
    if (!at) return BRIDGE_NOMEM;
    wire_write(p, at);
    c->said = c->now;
    return 0;
}

/* ---- the end */

void client_lost(client *c)
{
    if (c->state == CLIENT_IDLE) return;
    c->state = CLIENT_IDLE;
    c->turn++;
    client_drop_asking(c);
    client_mute(c);
    if (c->clean) client_forget(c);
}

void client_forget(client *c)
{
    bool any = c->session || c->taken_count || !list_empty(&c->flight);

    c->session = false;
    client_drop_in(c, false);
    mem_free(c->mem, c->uncertain);
    c->uncertain = NULL;
    client_drop_flight(c);
    if (any) c->hooks->on_reset(c->user);
}

void client_goodbye(client *c)
{
    wire_packet p = {.type = WIRE_DISCONNECT, .version = (uint8_t)c->version};

    if (c->state == CLIENT_UP) client_write(c, &p);
    client_lost(c);
}

void client_end(client *c, uint8_t reason, int code, const char *why)
{
    wire_packet p = {.type = WIRE_DISCONNECT, .version = (uint8_t)c->version, .reason = reason};

    if (c->state == CLIENT_IDLE) return;
    if (reason && c->state == CLIENT_UP && c->version == WIRE_V5) client_write(c, &p);
    client_lost(c);
    c->hooks->on_end(c->user, code, why);
}

/* ---- CONNECT and CONNACK */

static void fill_connect(const link_settings *s, wire_packet *p)
{
    wire_connect *k = &p->connect;

    k->clean = s->clean;
    k->keep_alive = (uint16_t)s->keep_alive;
    k->client_id = slice_text(s->client_id);
    if (s->user) k->user = slice_text(s->user);
    if (s->password) k->password = (wire_slice){(const uint8_t *)s->password, (uint32_t)s->password_len};
    if (s->will) {
        k->has_will = true;
        k->will_qos = s->will_qos;
        k->will_retain = s->will_retain;
        k->will_topic = slice_text(s->will);
        k->will_payload = slice_text(s->will_payload);
    }
    if (p->version != WIRE_V5) return;
    p->props.has = WIRE_HAS_RECEIVE_MAX | WIRE_HAS_MAX_PACKET;
    p->props.receive_max = CLIENT_RECEIVE;
    p->props.max_packet = (uint32_t)s->max_packet;
    if (s->topic_aliases) p->props.has |= WIRE_HAS_ALIAS_MAX, p->props.alias_max = s->topic_aliases;
    if (s->clean) return;
    p->props.has |= WIRE_HAS_SESSION_EXPIRY;
    p->props.session_expiry = s->session_expiry;
}

void client_begin(client *c, const link_settings *s, int64_t now, int64_t calendar)
{
    wire_packet p = {.type = WIRE_CONNECT, .version = (uint8_t)s->version};

    c->clean = s->clean;
    c->fresh = s->fresh;
    c->max_in = s->max_packet;
    c->most_aliases = s->version == WIRE_V5 ? s->topic_aliases : 0;
    aliases_out_begin(&c->aliases_out, 0);
    aliases_in_begin(&c->aliases_in, c->mem, c->most_aliases);
    c->version = (unsigned)s->version;
    c->max_packet = 0;
    c->now = c->heard = c->said = now;
    c->calendar = calendar - now;
    c->pinged = 0;
    c->keep_alive = (int64_t)s->keep_alive * 1000;
    c->state = CLIENT_ASKED;
    if (s->clean) client_forget(c);
    fill_connect(s, &p);
    if (client_write(c, &p) < 0) client_end(c, 0, 0, "no room for CONNECT");
}

static void take_terms(client *c, const wire_props *p, link_up *up) /* what the broker says of itself [5: 3.2.2.3] */
{
    *up = (link_up){.max_qos = 2};
    c->most_quota = c->window;
    if (p->has & WIRE_HAS_RECEIVE_MAX && p->receive_max < c->window) c->most_quota = p->receive_max;
    c->quota = c->most_quota;
    if (p->has & WIRE_HAS_MAX_QOS) up->max_qos = p->max_qos;
    if (p->has & WIRE_HAS_RETAIN_OK) up->no_retain = !p->retain_ok;
    if (p->has & WIRE_HAS_MAX_PACKET) c->max_packet = p->max_packet;
    if (p->has & WIRE_HAS_ALIAS_MAX) aliases_out_begin(&c->aliases_out, p->alias_max < c->most_aliases ? p->alias_max : c->most_aliases);
    if (p->has & WIRE_HAS_SERVER_KEEP_ALIVE) c->keep_alive = (int64_t)p->server_keep_alive * 1000; /* [5: 3.1.2-21] */
}

static void tell_end(client *c, const wire_packet *p)
{
    char why[160];
    wire_slice said = p->props.reason_string;
    bool has = (p->props.has & WIRE_HAS_REASON_STRING) && said.len;

    snprintf(why, sizeof why, "%s%s%.*s", reason_text(p->version, p->reason), has ? ": " : "", has ? (int)(said.len < 100 ? said.len : 100) : 0,
             has ? (const char *)said.p : "");
    client_end(c, 0, p->reason, why);
}

static int on_connack(client *c, const wire_packet *p)
{
    unsigned turn = c->turn;
    link_up up;

    if (c->state != CLIENT_ASKED) return WIRE_PROTOCOL_ERROR;
    if (p->reason != 0) {
        tell_end(c, p);
        return 0;
    }
    if (p->session_present && c->clean) return WIRE_PROTOCOL_ERROR; /* [5: 3.2.2-4] */
    take_terms(c, &p->props, &up);
    c->state = CLIENT_UP;
    up.session_present = p->session_present;
    if (!p->session_present || c->fresh) client_forget(c);
    if (p->session_present && !c->session) client_doubt(c);
    c->session = !c->clean;
    client_resend(c);
    if (c->turn == turn) c->hooks->on_up(c->user, &up);
    return 0;
}

/* ---- what is on disk */

bool client_written(client *c, uint64_t batch)
{
    if (c->held) client_say_held(c, batch);
    if (c->owed_count) client_say_owed(c, batch);
    return c->held || c->owed_count;
}

/* ---- packets */

static int on_packet(client *c, const wire_packet *p)
{
    if (p->type == WIRE_CONNACK) return on_connack(c, p);
    if (c->state != CLIENT_UP) return WIRE_PROTOCOL_ERROR; /* [5: 3.2.0-1] */
    switch (p->type) {
    case WIRE_PUBLISH: return client_handle_publish(c, p);
    case WIRE_PUBREL: return client_handle_pubrel(c, p);
    case WIRE_PUBACK:
    case WIRE_PUBREC:
    case WIRE_PUBCOMP: return client_handle_ack(c, p);
    case WIRE_SUBACK:
    case WIRE_UNSUBACK: return client_handle_suback(c, p);
    case WIRE_PINGRESP: c->pinged = 0; return 0;
    case WIRE_DISCONNECT:
        if (c->version != WIRE_V5) return WIRE_PROTOCOL_ERROR;
        tell_end(c, p);
        return 0;
    default: return WIRE_PROTOCOL_ERROR; /* AUTH: we have asked for no method [5: 4.12.0-6] */
    }
}

/* A broker that does not know MQTT 5 says so in the words of 3.1.1: two bytes. */
static unsigned version_of(const client *c, const uint8_t *p, size_t len)
{
    return c->state == CLIENT_ASKED && len == 4 && p[0] == WIRE_CONNACK << 4 ? WIRE_V311 : c->version;
}

/* Only clients say these: what is wrong inside is not looked for, and has no word in our DISCONNECT [5: 3.14.2.1]. */
static bool is_clients(unsigned type)
{
    return type == WIRE_CONNECT || type == WIRE_SUBSCRIBE || type == WIRE_UNSUBSCRIBE || type == WIRE_PINGREQ;
}

static bool take_packet(client *c, const uint8_t *p, size_t len)
{
    unsigned turn = c->turn;
    wire_packet packet;
    char why[80];
    int rc = is_clients(p[0] >> 4) ? WIRE_PROTOCOL_ERROR : wire_parse(&packet, p, len, version_of(c, p, len), WIRE_FROM_SERVER);

    if (rc == 0 && packet.type == WIRE_CONNACK && packet.version != c->version && packet.reason == 0) rc = WIRE_MALFORMED;
    if (rc == 0) rc = on_packet(c, &packet);
    if (c->turn != turn) return false;
    if (rc == 0) return true;
    snprintf(why, sizeof why, "%s from the broker: %s", wire_type_name(p[0] >> 4), reason_text(WIRE_V5, (uint8_t)rc));
    client_end(c, (uint8_t)rc, rc, why);
    return false;
}

size_t client_data(client *c, const uint8_t *p, size_t len, int64_t now)
{
    size_t used = 0;
    unsigned header;

    c->now = c->heard = now;
    while (c->state != CLIENT_IDLE) {
        int64_t n = wire_frame(p + used, len - used, &header);
        if (n < 0 || (n > 0 && (uint64_t)n > c->max_in)) {
            client_end(c, n < 0 ? WIRE_MALFORMED : WIRE_TOO_LARGE, 0, n < 0 ? "no packet of MQTT" : "a packet over max_packet");
            return len;
        }
        if (n == 0 || (uint64_t)n > len - used) return used;
        if (!take_packet(c, p + used, (size_t)n)) return len;
        used += (size_t)n;
    }
    return len;
}

/* ---- keep-alive [5: 3.1.2.10]: something from us within its time; and an answer, if nothing else comes */

int64_t client_tick(client *c, int64_t now)
{
    wire_packet ping = {.type = WIRE_PINGREQ, .version = (uint8_t)c->version};
    int64_t idle = c->keep_alive * 3 / 4, last = c->said < c->heard ? c->said : c->heard;

    c->now = now;
    if (c->state != CLIENT_UP || c->keep_alive == 0) return INT64_MAX;
    if (c->pinged && c->heard > c->pinged) c->pinged = 0; /* something came: they live */
    if (c->pinged && now - c->pinged >= c->keep_alive) {
        client_end(c, WIRE_UNSPECIFIED, 0, "no answer within the keep-alive");
        return INT64_MAX;
    }
    if (!c->pinged && now - last >= idle) {
        if (client_write(c, &ping) < 0) return INT64_MAX;
        c->pinged = now ? now : 1;
    }
    return c->pinged ? c->pinged + c->keep_alive : last + idle;
}
