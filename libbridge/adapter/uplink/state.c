/* adapter/uplink/state.c - connecting, losing the connection, trying again: see the picture above uplink_state. */
#include "adapter/uplink/uplink.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/textfile.h"
#include <stdio.h>

static void retry(uplink *u, bool at_once);
static void close_link(void *user);

/* ---- telling */

void uplink_say_state(uplink *u, bool up)
{
    char topic[400];

    snprintf(topic, sizeof topic, "$SYS/broker/connection/%.300s/state", u->options.name);
    port_say(u->port, topic, up ? "1" : "0");
}

static void say_status(uplink *u, const char *words) /* status=: what others see of us at the broker */
{
    bridge_msg *msg = NULL;
    parcel *p = NULL;
    bridge_fields f = {.size = sizeof f, .path = u->options.status, .data = words, .len = strlen(words), .format = BRIDGE_FORMAT_AUTO};

    if (!u->options.status || bridge_peer_msg(u->peer, &f, &msg) < 0) return;
    p = parcel_new(u->mem, msg, f.path, strlen(f.path));
    bridge_msg_unref(msg);
    if (!p) return;
    p->qos = 1;
    p->retain = true;
    uplink_send(u, p);
}

static const char *broker_name(const uplink *u, char *out, size_t room)
{
    const broker *b = &u->options.brokers[u->broker];

    snprintf(out, room, "%s:%d", b->host, b->port);
    return out;
}

/* ---- what is said to the broker, read again for every attempt */

static int read_secret(uplink *u, const char *file, buf *out, bridge_error *err)
{
    int rc = textfile_read(out, u->mem, file, err);

    while (rc == 0 && out->len && strchr("\r\n", out->data[out->len - 1])) out->len--;
    return rc;
}

static int take_login(uplink *u, link_settings *s, bridge_error *err)
{
    const uplink_options *o = &u->options;
    const char *file = o->token_file ? o->token_file : o->user_file;
    text user, password;
    buf b;
    int rc;

    if (o->user) s->user = mem_text(u->mem, o->user);
    if (o->password) {
        s->password = mem_text(u->mem, o->password);
        s->password_len = s->password ? strlen(s->password) : 0;
    }
    if (!file) return 0;
    rc = read_secret(u, file, &b, err);
    if (rc < 0) return rc;
    password = (text){(const char *)b.data, b.len};
    if (o->user_file) { /* name:password */
        text_cut(password, ':', &user, &password);
        mem_free(u->mem, s->user);
        s->user = mem_text_len(u->mem, user.p, user.len);
    }
    s->password = mem_text_len(u->mem, password.p, password.len);
    s->password_len = password.len;
    if (!s->user) s->user = mem_text(u->mem, ""); /* [3: 3.1.2-22] no password without a name */
    textfile_drop(&b);
    return s->user && s->password ? 0 : fail_nomem(err);
}

static void take_will(uplink *u, link_settings *s)
{
    const uplink_options *o = &u->options;

    if (!o->will && !o->status) return;
    s->will = o->status ? o->status : o->will;
    s->will_payload = o->status ? "0" : o->will_payload ? o->will_payload : "";
    s->will_qos = o->status ? 1 : (uint8_t)o->will_qos;
    s->will_retain = o->status || o->will_retain;
}

int uplink_settings(uplink *u, unsigned which, link_settings **out, bridge_error *err)
{
    const uplink_options *o = &u->options;
    const broker *b = &o->brokers[which];
    link_settings *s = link_settings_new(u->mem);
    int rc;

    if (!s) return fail_nomem(err);
    s->host = mem_text(u->mem, b->host);
    s->path = mem_text(u->mem, b->path);
    s->port = b->port;
    s->tls = b->tls;
    s->ws = b->ws;
    s->client_id = mem_text(u->mem, o->client_id);
    s->version = u->version;
    s->clean = o->clean;
    s->fresh = u->session_broker != which;
    s->session_expiry = (uint32_t)o->session_expiry;
    s->keep_alive = (int)o->keep_alive;
    s->connect_timeout = (int)o->connect_timeout;
    s->max_packet = o->max_packet;
    s->topic_aliases = (uint16_t)o->topic_aliases;
    s->verify = o->verify;
    s->ca = o->ca;
    s->cert = o->cert;
    s->key = o->key;
    s->ciphers = o->ciphers;
    s->alpn = o->alpn;
    s->psk_file = o->psk_file;
    take_will(u, s);
    rc = take_login(u, s, err);
    if (rc == 0 && !(s->host && s->client_id && s->path)) rc = fail_nomem(err);
    if (rc == 0) *out = s;
    else link_settings_free(s);
    return rc;
}

/* ---- trying */

static void stop_timers(uplink *u)
{
    bridge_event_close(u->timer);
    bridge_event_close(u->tick);
    bridge_event_close(u->watchdog);
    u->timer = u->tick = u->watchdog = NULL;
    failback_down(u);
}

void uplink_try(void *user)
{
    uplink *u = user;
    link_settings *s = NULL;
    bridge_error err = {.text = ""};

    bridge_event_close(u->timer);
    u->timer = NULL;
    u->version = u->options.version ? (int)u->options.version : u->can_not_5 ? UPLINK_V311 : UPLINK_V5;
    if (uplink_settings(u, u->broker, &s, &err) < 0) {
        bridge_port_log(u->port, BRIDGE_LOG_ERROR, u->options.name, "%s", err.text);
        retry(u, false);
        return;
    }
    u->state = UPLINK_CONNECTING;
    u->awaited = 0;
    link_open(u->link, s);
}

/* All brokers one after the other; then, and when a connection was lost, a pause that doubles, with jitter: many bridges that have
 * lost the same broker must not come back at the same moment. */
static void retry(uplink *u, bool at_once)
{
    int64_t most = (int64_t)u->options.retry_min, pause;
    bool was_up = u->state == UPLINK_UP;
    uint32_t dice;

    stop_timers(u);
    u->state = UPLINK_DOWN;
    if (was_up) {
        u->count.reconnects++;
        mirror_down(u);
        if (u->was_up) uplink_say_state(u, false);
        u->was_up = false;
        u->broker = 0;
    } else {
        u->broker = (u->broker + 1) % u->options.broker_count;
        if (u->broker == 0) u->failures++;
        else at_once = true;
    }
    for (unsigned i = 1; i < u->failures && most < (int64_t)u->options.retry_max; i++) most *= 2;
    if (most > (int64_t)u->options.retry_max) most = (int64_t)u->options.retry_max;
    random_bytes(&dice, sizeof dice);
    pause = at_once ? 0 : most / 2 + (int64_t)(dice % (uint64_t)(most / 2 + 1));
    bridge_port_after(u->port, pause, uplink_try, u, &u->timer);
}

/* ---- up */

static void on_watchdog(void *user)
{
    uplink *u = user;
    int64_t wait = (int64_t)u->options.keep_alive * 1000 + UPLINK_WATCH;

    bridge_event_close(u->watchdog);
    u->watchdog = NULL;
    if (u->buffer.given == 0) u->progress_at = loop_now(port_loop(u->port));
    if (loop_now(port_loop(u->port)) - u->progress_at >= wait) {
        bridge_port_log(u->port, BRIDGE_LOG_WARN, u->options.name, "%zu messages are not acknowledged: connecting anew", u->buffer.given);
        link_drop(u->link);
        retry(u, false);
        return;
    }
    bridge_port_after(u->port, wait, on_watchdog, u, &u->watchdog);
}

static void await(uplink *u, const char *filter, uint8_t qos, bool quiet)
{
    if (link_subscribe(u->link, filter, qos, quiet, true) == 0) u->awaited++;
}

static void subscribe_all(uplink *u, bool quiet)
{
    const map_table *t = &u->options.maps;

    for (size_t i = 0; i < t->count; i++)
        if (!t->lines[i].out) await(u, t->lines[i].filter, t->lines[i].qos, quiet);
    /* Where answers come is subscribed to before anybody can ask. */
    if (u->mirror) await(u, mirror_replies(u), 1, quiet);
    u->awaited += wants_ask(u, quiet);
}

static void announce(uplink *u) /* everything is subscribed to */
{
    char name[300];

    u->was_up = true;
    bridge_port_log(u->port, BRIDGE_LOG_INFO, u->options.name, "up: connected to %s with MQTT %s", broker_name(u, name, sizeof name),
                    u->version == UPLINK_V5 ? "5" : "3.1.1");
    uplink_say_state(u, true);
    mirror_up(u);
    failback_up(u);
}

static void on_up(void *user, const link_up *up)
{
    uplink *u = user;
    loop *l = port_loop(u->port);

    stop_timers(u);
    u->state = UPLINK_UP;
    u->failures = 0;
    uplink_session_up(u, u->broker);
    u->max_qos = up->max_qos;
    u->no_retain = up->no_retain;
    u->backlog = buffer_waiting(&u->buffer);
    u->allowance = 0;
    u->drained_at = u->progress_at = loop_now(l);
    on_watchdog(u);
    say_status(u, "1");
    subscribe_all(u, up->session_present);
    if (u->awaited == 0) announce(u);
    uplink_feed(u);
}

static void on_subscribed(void *user, const char *filter, bool awaited, uint8_t code)
{
    uplink *u = user;

    if (code >= 0x80) bridge_port_log(u->port, BRIDGE_LOG_ERROR, u->options.name, "the broker refuses a subscription to %.200s", filter);
    if (awaited && u->state == UPLINK_UP && --u->awaited == 0 && !u->was_up) announce(u);
}

static void on_down(void *user, int code, const char *why)
{
    uplink *u = user;
    char name[300];
    bool was_up = u->state == UPLINK_UP;

    if (u->state == UPLINK_CLOSING) {
        close_link(u);
        return;
    }
    bridge_port_log(u->port, BRIDGE_LOG_WARN, u->options.name, "%s %s: %.150s", was_up ? "down: lost" : "cannot connect to",
                    broker_name(u, name, sizeof name), why);
    if (u->version == UPLINK_V5 && u->options.version == UPLINK_AUTO && (code == 0x84 || code == 1) && !u->options.mirror) u->can_not_5 = true;
    retry(u, false);
}

static int on_message(void *user, const arrival *a, link_ack *ack)
{
    return uplink_receive(user, a, ack);
}

static void on_done(void *user, parcel *p)
{
    uplink_sent(user, p);
}

static void on_reset(void *user)
{
    uplink_session_forget(user);
}

static void on_room(void *user)
{
    uplink_feed(user);
}

void uplink_turn_back(uplink *u)
{
    char name[300];

    bridge_port_log(u->port, BRIDGE_LOG_INFO, u->options.name, "leaves %s: the first broker is there again", broker_name(u, name, sizeof name));
    link_leave(u->link, !u->options.status); /* else the will says that we are not there */
    retry(u, true);
}

/* ---- the beginning and the end */

static void finish(uplink *u)
{
    stop_timers(u);
    turn_end_cancel(&u->feed);
    bridge_store_forget(&u->session.wait);
    link_free(u->link);
    u->link = NULL;
    if (u->was_up) uplink_say_state(u, false);
    uplink_home *home = u->home;
    uplink_free(u);
    bridge_port_closed(u->port);
    uplink_leave_home(home);
}

static void on_over(void *user)
{
    finish(user);
}

static const link_hooks hooks = {on_up, on_down, on_over, on_subscribed, on_message, on_done, on_reset, on_room, uplink_keep_out, uplink_keep_in};

int uplink_begin(uplink *u)
{
    int rc = link_new(&u->link, port_loop(u->port), u->mem, (unsigned)u->options.max_inflight, &hooks, u);

    u->session_broker = BROKERS_MAX;
    if (rc == 0) rc = uplink_session_load(u);
    if (rc < 0) {
        link_free(u->link);
        u->link = NULL;
        return rc;
    }
    uplink_say_state(u, false);
    return bridge_port_after(u->port, 0, uplink_try, u, &u->timer);
}

static void on_late(void *user)
{
    finish(user);
}

static void close_link(void *user)
{
    uplink *u = user;

    stop_timers(u);
    link_close(u->link);
    bridge_port_after(u->port, UPLINK_CLOSE, on_late, u, &u->timer);
}

void uplink_end(uplink *u)
{
    bool was_up = u->state == UPLINK_UP;

    mirror_free(u);
    stop_timers(u);
    if (was_up) say_status(u, "0");
    u->state = UPLINK_CLOSING;
    if (!was_up || u->buffer.count == 0 || u->options.linger == 0) {
        close_link(u);
        return;
    }
    u->backlog = 0;
    bridge_port_after(u->port, (int64_t)u->options.linger, close_link, u, &u->timer);
    uplink_feed(u);
}

/* Everything that was to go has gone: no need to linger. */
void uplink_idle(uplink *u)
{
    if (u->state == UPLINK_CLOSING && u->buffer.count == 0 && u->timer) {
        stop_timers(u);
        close_link(u);
    }
}
