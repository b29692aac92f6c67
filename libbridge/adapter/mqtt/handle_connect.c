/* adapter/mqtt/handle_connect.c - CONNECT: who is it, may it, which session [5: 3.1, 3.2]. */
#include "adapter/mqtt/persist.h"
#include "base/clock.h"
#include "hub/port.h"
#include <stdio.h>

void mqtt_refuse(mqtt_client *c, uint8_t reason, const char *why)
{
    wire_packet p = {.type = WIRE_CONNACK, .version = c->version, .reason = reason};
    c->port->shared->count.refused++;
    bridge_port_log(c->via, BRIDGE_LOG_INFO, stream_peer(c->stream), "refused reason=0x%02x %s", reason, why);
    if (c->version == WIRE_V5) {
        mqtt_explain(c, &p, why);
        mqtt_send(c, &p);
    } else if (c->version && reason != WIRE_MALFORMED && reason != WIRE_PROTOCOL_ERROR) { /* [3: 3.2.2.3] no code for these */
        p.reason = wire_connack_v3(reason);
        mqtt_send(c, &p);
    }
    mqtt_leave(c, false);
}

static uint8_t login_reason(int status, bool claims)
{
    switch (status) {
    case BRIDGE_UNAUTHENTICATED: return claims ? WIRE_BAD_LOGIN : WIRE_NOT_AUTHORIZED;
    case BRIDGE_DENIED: return WIRE_NOT_AUTHORIZED;
    case BRIDGE_BUSY: return WIRE_BUSY;
    case BRIDGE_UNSUPPORTED: return WIRE_BAD_AUTH_METHOD;
    default: return WIRE_UNSPECIFIED;
    }
}

/* What CONNECT says as C strings; they live in the port's scratch until the next packet. */
typedef struct login {
    const char *who, *user;
    wire_slice id;
    bool claims; /* it gave a user name or a password */
} login;

static int append(buf *b, const void *p, size_t len, size_t *at)
{
    *at = b->len;
    int rc = buf_put(b, p, len);
    return rc < 0 ? rc : buf_put_u8(b, 0);
}

static int spell(mqtt_client *c, const wire_connect *k, wire_slice id, login *out)
{
    buf *b = &c->port->shared->scratch;
    size_t who, user = 0;
    buf_clear(b);
    int rc = append(b, id.p, id.len, &who);
    if (rc == 0 && k->user.p) rc = append(b, k->user.p, k->user.len, &user);
    if (rc < 0) return rc;
    *out = (login){.who = (const char *)b->data + who, .user = c->user, .claims = k->user.p || k->password.p};
    if (k->user.p) out->user = (const char *)b->data + user;
    out->id = (wire_slice){(const uint8_t *)out->who, id.len};
    return 0;
}

static int log_in(mqtt_client *c, login *l, wire_slice secret)
{
    bridge_ask ask = {.size = sizeof ask, .verb = BRIDGE_CONNECT, .user = l->user, .path = l->who,
                      .secret = secret.p, .secret_len = secret.len, .certified = stream_identity(c->stream)};
    char who[64 + 8];
    char *whole = who;
    size_t len = l->id.len + sizeof "mqtt:";
    if (len > sizeof who && !(whole = mem_alloc(c->port->shared->mem, len))) return BRIDGE_NOMEM;
    snprintf(whole, len, "mqtt:%s", l->who);
    ask.who = whole;
    if (c->auth) {
        buf_clear(&c->auth->reply);
        ask.method = c->auth->method;
        ask.step = c->auth->step++;
        ask.reply = &c->auth->reply;
    }
    int rc = bridge_port_login(c->via, &ask);
    if (whole != who) mem_free(c->port->shared->mem, whole);
    if (rc == 0) l->user = ask.user; /* what was proved, not what was claimed */
    return rc;
}

/* ---- the session */

static bool same_user(const mqtt_session *s, const char *user)
{
    const char *was = bridge_peer_user(s->peer);
    return was && user ? strcmp(was, user) == 0 : was == user;
}

/* [5: 3.1.4-3] the old connection ends; [5: 3.1.2-4 to -6] then its session goes on, or a new one begins.  A session is only
 * handed on to the name it belongs to. */
static int take_session(mqtt_client *c, const wire_connect *k, const login *l, bool *present, bool *wiped)
{
    mqtt_shared *sh = c->port->shared;
    mqtt_session *s = mqtt_session_find(sh, l->id);
    if (s && s->client) {
        sh->count.taken_over++;
        mqtt_kick(s->client, WIRE_TAKEN_OVER, "the client id has connected anew");
        s = mqtt_session_find(sh, l->id);
    }
    if (s && (k->clean || !same_user(s, l->user))) {
        *wiped = mqtt_persists(s);
        mqtt_session_free(s);
        s = NULL;
    }
    *present = s != NULL;
    if (!s && sh->session_count >= c->port->limits.max_sessions) return BRIDGE_BUSY;
    int rc = s ? 0 : mqtt_session_new(&s, sh, l->id, l->user);
    if (rc < 0) return rc;
    bridge_peer_via(s->peer, c->via, l->user);
    peer_counts_as(s->peer, l->user, stream_peer(c->stream));
    mqtt_session_online(s, c);
    return 0;
}

static uint32_t expiry_of(const mqtt_client *c, const wire_packet *p)
{
    uint64_t limit = c->port->limits.max_session_expiry, wanted;
    if (p->version == WIRE_V5)
        wanted = p->props.has & WIRE_HAS_SESSION_EXPIRY ? p->props.session_expiry : 0;
    else
        wanted = p->connect.clean ? 0 : UINT32_MAX;
    return (uint32_t)(wanted < limit ? wanted : limit);
}

static void take_settings(mqtt_client *c, const wire_packet *p)
{
    const mqtt_limits *most = &c->port->limits;
    const wire_props *props = &p->props;
    uint64_t window = props->has & WIRE_HAS_RECEIVE_MAX ? props->receive_max : UINT16_MAX;
    c->window = (uint16_t)(window < most->max_inflight ? window : most->max_inflight);
    c->bridge = p->connect.bridge;
    c->keep_alive = p->connect.keep_alive;
    if (most->max_keep_alive && p->version == WIRE_V5 && (c->keep_alive == 0 || c->keep_alive > most->max_keep_alive))
        c->keep_alive = (uint16_t)most->max_keep_alive;
    if (props->has & WIRE_HAS_MAX_PACKET) c->max_packet = props->max_packet;
    if (props->has & WIRE_HAS_PROBLEM_INFO) c->problem_info = props->problem_info;
    if (props->has & WIRE_HAS_ALIAS_MAX)
        c->alias_max_out = (uint16_t)(props->alias_max < most->topic_aliases ? props->alias_max : most->topic_aliases);
}

enum { MAX_REPLY_ID = 256 };

/* [5: 3.2.2.3.15] Where answers for this client may go; nobody else can listen there (hub/exchange.c). */
static void reply_room(const mqtt_session *s, char *room, wire_props *props)
{
    if (s->id_len == 0 || s->id_len > MAX_REPLY_ID || strpbrk(s->id, "/+#")) return; /* [5: 3.2.2-19] it need not be told */
    int n = sprintf(room, HUB_REPLIES "%s/", s->id);
    props->has |= WIRE_HAS_RESPONSE_INFO;
    props->response_info = (wire_slice){(const uint8_t *)room, (uint32_t)n};
}

void mqtt_connect_done(mqtt_client *c)
{
    c->state = MQTT_ONLINE;
    c->corked = false;
    mqtt_client_arm(c);
    if (c->session) mqtt_queue_pump(c->session);
    stream_flush(c->stream); /* not with the turn's end: of hundreds who come at once, the first goes on while the others are let in */
}

/* [5: 3.2.0-1] before anything else.  That a session is there, or one that was there is not any more, is a promise (docs/store.md). */
static int say_welcome(mqtt_client *c, const wire_packet *k, bool present, bool wiped)
{
    if (wire_measure(k) > c->max_packet) return BRIDGE_TOOBIG; /* [5: 3.1.2-24] then there is no way to let it in */
    if (!(mqtt_persists(c->session) || wiped) || !port_promises(c->via)) return mqtt_send(c, k);
    c->state = MQTT_ENTERING;
    c->corked = true;
    mqtt_client_listen(c, false);
    return mqtt_persist_welcome(c->session, k, !present);
}

/* It asked to be told who published: yes, says the same property. */
static int tell_welcome(mqtt_client *c, wire_props *props)
{
    static const wire_slice name = {(const uint8_t *)"tell-origin", 11}, yes = {(const uint8_t *)"true", 4};
    buf *b = &c->port->shared->extra;
    buf_clear(b);
    uint8_t *at = buf_reserve(b, wire_user_size(name.len, yes.len));
    if (!at) return BRIDGE_NOMEM;
    wire_user_write(at, name, yes);
    props->extra = (wire_slice){b->data, (uint32_t)b->len};
    return 0;
}

static int welcome(mqtt_client *c, const wire_packet *p, bool present, bool wiped, bool assigned)
{
    const mqtt_limits *most = &c->port->limits;
    mqtt_session *s = c->session;
    wire_packet k = {.type = WIRE_CONNACK, .version = c->version, .session_present = present && c->version != WIRE_V31};
    wire_props *props = &k.props;
    uint32_t wanted = p->props.has & WIRE_HAS_SESSION_EXPIRY ? p->props.session_expiry : 0;
    char room[sizeof HUB_REPLIES + MAX_REPLY_ID + 1];
    if (c->version != WIRE_V5) return say_welcome(c, &k, present, wiped);
    if ((p->props.has & WIRE_HAS_WANTS_RESPONSE_INFO) && p->props.wants_response_info) reply_room(s, room, props);
    if (s->expiry != wanted) props->has |= WIRE_HAS_SESSION_EXPIRY, props->session_expiry = s->expiry;
    if (most->receive_max < UINT16_MAX) props->has |= WIRE_HAS_RECEIVE_MAX, props->receive_max = (uint16_t)most->receive_max;
    if (most->max_qos < 2) props->has |= WIRE_HAS_MAX_QOS, props->max_qos = (uint8_t)most->max_qos;
    if (most->max_packet < WIRE_MAX_REMAINING)
        props->has |= WIRE_HAS_MAX_PACKET, props->max_packet = (uint32_t)most->max_packet;
    if (most->topic_aliases) props->has |= WIRE_HAS_ALIAS_MAX, props->alias_max = (uint16_t)most->topic_aliases;
    if (c->keep_alive != p->connect.keep_alive)
        props->has |= WIRE_HAS_SERVER_KEEP_ALIVE, props->server_keep_alive = c->keep_alive;
    if (c->auth) mqtt_auth_props(c, props);
    if (c->tells && tell_welcome(c, props) < 0) return BRIDGE_NOMEM;
    if (assigned) props->has |= WIRE_HAS_ASSIGNED_ID, props->assigned_id = (wire_slice){(uint8_t *)s->id, s->id_len};
    return say_welcome(c, &k, present, wiped);
}

/* ---- */

static const char hex[] = "0123456789abcdef";

static wire_slice make_id(char out[24])
{
    uint8_t raw[8];
    char *at = out + 5;
    random_bytes(raw, sizeof raw);
    memcpy(out, "auto-", 5);
    for (unsigned i = 0; i < sizeof raw; ++i) {
        *at++ = hex[raw[i] >> 4];
        *at++ = hex[raw[i] & 15];
    }
    return (wire_slice){(uint8_t *)out, 21};
}

static unsigned long long number(uint64_t n)
{
    return n;
}

static int refuse(mqtt_client *c, uint8_t reason, const char *why)
{
    mqtt_refuse(c, reason, why);
    return 0;
}

/* A session that would have to be written, and nothing can be now?  One that is there goes on. */
static bool is_unkept(const mqtt_client *c, const wire_packet *p, const login *l)
{
    mqtt_shared *sh = c->port->shared;
    bool there = !p->connect.clean && mqtt_session_find(sh, l->id);
    return !there && expiry_of(c, p) > 0 && bridge_store_ready(sh->store) < 0;
}

/* Let in: the session, its will, the welcome. */
static int enter(mqtt_client *c, const wire_packet *p, const login *l, bool assigned)
{
    bool present, wiped = false;
    if (is_unkept(c, p, l)) return refuse(c, WIRE_QUOTA, "the disk takes nothing now");
    if (mqtt_user_enter(c, l->user) < 0)
        return refuse(c, WIRE_QUOTA, mqtt_say(c, "%llu connections of one user at most", number(c->port->limits.max_per_user)));
    int rc = take_session(c, &p->connect, l, &present, &wiped);
    if (rc == BRIDGE_BUSY) return refuse(c, WIRE_QUOTA, mqtt_say(c, "%llu sessions at most", number(c->port->limits.max_sessions)));
    if (rc < 0) return refuse(c, WIRE_UNSPECIFIED, "out of memory");
    c->state = MQTT_ONLINE;
    c->session->expiry = expiry_of(c, p);
    c->tells = c->version == WIRE_V5 && mqtt_says_yes(p, "tell-origin") && peer_may(c->session->peer, BRIDGE_GET, HUB_PEERS) == 0;
    rc = mqtt_will_set(c->session, p);
    if (rc < 0) return refuse(c, mqtt_reason(rc), c->why ? c->why : "the will cannot be taken");
    c->port->shared->count.connects++;
    mqtt_persist_session(c->session);
    rc = welcome(c, p, present, wiped, assigned);
    if (rc < 0) mqtt_leave(c, false);
    else if (c->state == MQTT_ONLINE) mqtt_connect_done(c);
    return 0;
}

/* CONNECT, and again after each challenge, then with the data of AUTH for a secret. */
static int go_on(mqtt_client *c, const wire_packet *p, wire_slice secret)
{
    const wire_connect *k = &p->connect;
    char made[24];
    bool assigned = k->client_id.len == 0;
    wire_slice id = assigned ? make_id(made) : k->client_id;
    login l;
    if (spell(c, k, id, &l) < 0) return refuse(c, WIRE_UNSPECIFIED, "out of memory");
    int rc = log_in(c, &l, secret);
    if (c->state == MQTT_GONE) return 0; /* a callback closed the listener */
    if (rc == BRIDGE_PENDING) {
        c->state = MQTT_ASKING;
        mqtt_auth_send(c, WIRE_CONTINUE_AUTH);
        return 0;
    }
    if (rc < 0) {
        uint8_t reason = login_reason(rc, l.claims);
        mqtt_is_over(c, rc);
        return refuse(c, reason, c->why ? c->why : mqtt_reason_text(reason));
    }
    return enter(c, p, &l, assigned);
}

int mqtt_connect_go_on(mqtt_client *c, wire_slice data)
{
    wire_packet p; /* its slices point into c->auth->connect */
    if (wire_parse(&p, c->auth->connect, c->auth->connect_len, WIRE_V5, 0) != 0) return WIRE_UNSPECIFIED;
    return go_on(c, &p, data);
}

int mqtt_handle_connect(mqtt_client *c, const wire_packet *p, const uint8_t *raw, size_t len)
{
    const wire_connect *k = &p->connect;
    take_settings(c, p);
    if (!c->over && mqtt_too_eager(c)) c->over = MQTT_OVER_ADDRESS;
    if (c->over) {
        uint8_t reason = mqtt_say_over(c);
        return refuse(c, reason, c->why);
    }
    if (k->client_id.len == 0 && (p->version == WIRE_V31 || (p->version == WIRE_V311 && !k->clean))) /* [3: 3.1.3-8] */
        return refuse(c, WIRE_BAD_CLIENT_ID, "no client id, and no clean session");
    if (k->has_will && k->will_qos > c->port->limits.max_qos)
        return refuse(c, WIRE_NO_QOS, mqtt_say(c, "QoS %u of the will, %llu at most", k->will_qos, number(c->port->limits.max_qos)));
    if (!(p->props.has & WIRE_HAS_AUTH_METHOD)) return go_on(c, p, k->password);
    if (mqtt_auth_new(c, p, raw, len) < 0) return refuse(c, WIRE_UNSPECIFIED, "out of memory");
    return go_on(c, p, p->props.has & WIRE_HAS_AUTH_DATA ? p->props.auth_data : (wire_slice){NULL, 0});
}

/* DISCONNECT [5: 3.14]: with reason 0 the will is taken back. */
int mqtt_handle_disconnect(mqtt_client *c, const wire_packet *p)
{
    mqtt_session *s = c->session;
    if (p->props.has & WIRE_HAS_SESSION_EXPIRY) {
        uint64_t limit = c->port->limits.max_session_expiry;
        if (s->expiry == 0 && p->props.session_expiry != 0) return WIRE_PROTOCOL_ERROR; /* [5: 3.14.2.2.2] */
        s->expiry = p->props.session_expiry < limit ? p->props.session_expiry : (uint32_t)limit;
    }
    mqtt_leave(c, p->reason != WIRE_SUCCESS);
    return 0;
}
