/* adapter/uplink/state.c - connecting, losing the connection, trying again: see the picture above uplink_state. */
#include "adapter/uplink/uplink.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/textfile.h"
#include <stdio.h>

static void retry(uplink *u, bool at_once);

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

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int take_psk(uplink *u, link_settings *s, bridge_error *err)
{
    text line, identity, key;
    buf b;
    int rc;

    if (!u->options.psk_file) return 0;
    rc = read_secret(u, u->options.psk_file, &b, err);
    if (rc < 0) return rc;
    line = (text){(const char *)b.data, b.len};
    text_cut(line, '\n', &line, &key);
    if (!text_cut(text_trim(line), ':', &identity, &key) || key.len % 2 || key.len / 2 > LINK_PSK_MAX || key.len == 0)
        rc = fail(err, BRIDGE_SYNTAX, "%s: one line identity:key in hexadecimal is wanted", u->options.psk_file);
    for (size_t i = 0; rc == 0 && i + 1 < key.len; i += 2) {
        int high = hex_digit(key.p[i]), low = hex_digit(key.p[i + 1]);
        if (high < 0 || low < 0) rc = fail(err, BRIDGE_SYNTAX, "%s: the key is not hexadecimal", u->options.psk_file);
        s->psk[s->psk_len++] = (uint8_t)(high << 4 | low);
    }
    if (rc == 0) s->psk_identity = mem_text_len(u->mem, identity.p, identity.len);
    textfile_drop(&b);
    return rc;
}

static char *alpn_list(mem *m, const char *name)
{
    char framed[258];

    if (!name || !*name || strlen(name) > 255) return NULL;
    snprintf(framed, sizeof framed, "%c%s", (char)(unsigned char)strlen(name), name);
    return mem_text(m, framed);
}

static void take_will(uplink *u, link_settings *s)
{
    const uplink_options *o = &u->options;

    if (!o->will && !o->status) return;
    s->will = mem_text(u->mem, o->status ? o->status : o->will);
    s->will_payload = mem_text(u->mem, o->status ? "0" : o->will_payload ? o->will_payload : "");
    s->will_qos = o->status ? 1 : (uint8_t)o->will_qos;
    s->will_retain = o->status || o->will_retain;
}

static int make_settings(uplink *u, link_settings **out, bridge_error *err)
{
    const uplink_options *o = &u->options;
    const broker *b = &o->brokers[u->broker];
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
    s->fresh = !u->session || u->session_broker != u->broker;
    s->session_expiry = (uint32_t)o->session_expiry;
    s->keep_alive = (int)o->keep_alive;
    s->connect_timeout = (int)o->connect_timeout;
    s->max_inflight = (unsigned)o->max_inflight;
    s->verify = o->verify;
    s->ca = mem_text(u->mem, o->ca);
    s->cert = mem_text(u->mem, o->cert);
    s->key = mem_text(u->mem, o->key);
    s->ciphers = mem_text(u->mem, o->ciphers);
    s->alpn = alpn_list(u->mem, o->alpn);
    take_will(u, s);
    rc = take_login(u, s, err);
    if (rc == 0 && b->tls) rc = take_psk(u, s, err);
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
}

static void on_silence(void *user) /* neither yes nor no: paho, or the resolver, has forgotten us */
{
    uplink *u = user;

    bridge_port_log(u->port, BRIDGE_LOG_WARN, u->options.name, "no answer");
    u->session = false;
    link_drop(u->link);
    retry(u, false);
}

void uplink_try(void *user)
{
    uplink *u = user;
    link_settings *s = NULL;
    bridge_error err = {.text = ""};
    int64_t patience = (int64_t)u->options.connect_timeout * 1000 + 15000; /* and what a resolver takes */

    bridge_event_close(u->timer);
    u->timer = NULL;
    u->version = u->options.version ? (int)u->options.version : u->can_not_5 ? UPLINK_V311 : UPLINK_V5;
    if (make_settings(u, &s, &err) < 0) {
        bridge_port_log(u->port, BRIDGE_LOG_ERROR, u->options.name, "%s", err.text);
        retry(u, false);
        return;
    }
    u->state = UPLINK_CONNECTING;
    u->subscribed = u->rejected_filters = 0;
    u->epoch = link_open(u->link, s);
    bridge_port_after(u->port, patience, on_silence, u, &u->timer);
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
        u->session = false;
        link_drop(u->link);
        retry(u, false);
        return;
    }
    bridge_port_after(u->port, wait, on_watchdog, u, &u->watchdog);
}

static int subscribe_all(uplink *u, bool quiet)
{
    const map_table *t = &u->options.maps;
    link_filter *filters = mem_new_array(u->mem, link_filter, t->count + wants_count(u, false) + 1);
    unsigned n = 0;

    if (!filters) return BRIDGE_NOMEM;
    for (size_t i = 0; i < t->count; i++)
        if (!t->lines[i].out && (filters[n].filter = mem_text(u->mem, t->lines[i].filter))) filters[n++].qos = t->lines[i].qos;
    /* Where answers come is subscribed to before anybody can ask. */
    if (u->mirror && (filters[n].filter = mem_text(u->mem, mirror_replies(u)))) filters[n++].qos = 1;
    n += wants_ask(u, filters + n);
    return link_subscribe(u->link, filters, n, quiet);
}

static unsigned count_filters(const uplink *u, bool asked)
{
    unsigned n = 0;

    for (size_t i = 0; i < u->options.maps.count; i++) n += !u->options.maps.lines[i].out;
    return n + (u->mirror != NULL) + wants_count(u, asked);
}

static void announce(uplink *u) /* everything is subscribed to */
{
    char name[300];

    u->was_up = true;
    bridge_port_log(u->port, BRIDGE_LOG_INFO, u->options.name, "up: connected to %s with MQTT %s", broker_name(u, name, sizeof name),
                    u->version == UPLINK_V5 ? "5" : "3.1.1");
    uplink_say_state(u, true);
    mirror_up(u);
}

static void on_up(uplink *u, const link_news *n)
{
    loop *l = port_loop(u->port);

    stop_timers(u);
    if (!u->options.clean && u->session && !n->session_present && u->buffer.given) {
        /* The broker has lost our session: what paho thinks to be under way is not. */
        u->session = false;
        u->state = UPLINK_CONNECTING;
        u->broker = u->options.broker_count - 1; /* retry() takes the next one */
        link_drop(u->link);
        retry(u, true);
        return;
    }
    u->state = UPLINK_UP;
    u->failures = 0;
    u->session = !u->options.clean;
    u->session_broker = u->broker;
    u->max_qos = n->max_qos;
    u->no_retain = n->no_retain;
    u->max_packet = n->max_packet;
    u->backlog = buffer_waiting(&u->buffer);
    u->allowance = 0;
    u->drained_at = u->progress_at = loop_now(l);
    on_watchdog(u);
    say_status(u, "1");
    if (count_filters(u, false)) subscribe_all(u, n->session_present);
    else announce(u);
    uplink_feed(u);
}

static void on_subscribed(uplink *u, const link_news *n)
{
    unsigned all = count_filters(u, true);

    for (unsigned i = 0; i < n->count && u->subscribed < all; i++) {
        unsigned at = u->subscribed++, which = 0;
        if (!n->codes || n->codes[i] < 0x80) continue;
        u->rejected_filters++;
        for (size_t j = 0; j < u->options.maps.count; j++) {
            if (u->options.maps.lines[j].out || which++ != at) continue;
            bridge_port_log(u->port, BRIDGE_LOG_ERROR, u->options.name, "the broker refuses a subscription to %.200s", u->options.maps.lines[j].filter);
        }
    }
    if (u->subscribed == all && !u->was_up) announce(u);
}

static void on_down(uplink *u, const link_news *n)
{
    char name[300];
    bool was_up = u->state == UPLINK_UP;

    if (u->state == UPLINK_DOWN) return; /* two callbacks for one end */
    bridge_port_log(u->port, BRIDGE_LOG_WARN, u->options.name, "%s %s: %.150s", was_up ? "down: lost" : "cannot connect to",
                    broker_name(u, name, sizeof name), n->text);
    if (u->version == UPLINK_V5 && u->options.version == UPLINK_AUTO && (n->code == 0x84 || n->code == 1) && !u->options.mirror)
        u->can_not_5 = true;
    retry(u, false);
}

static void finish(uplink *u, bool over);

static void on_one(uplink *u, const link_news *n)
{
    if (n->kind == LINK_OVER) {
        finish(u, true);
    } else if (n->kind == LINK_RESET) {
        buffer_reset(&u->buffer);
    } else if (u->state == UPLINK_CLOSING || n->epoch != u->epoch) {
        return;
    } else if (n->kind == LINK_UP && u->state == UPLINK_CONNECTING) {
        on_up(u, n);
    } else if (n->kind == LINK_SUBSCRIBED && u->state == UPLINK_UP) {
        on_subscribed(u, n);
    } else if (n->kind == LINK_FAILED && n->code == INT32_MIN) {
        bridge_port_log(u->port, BRIDGE_LOG_WARN, u->options.name, "%s", n->text);
    } else if (n->kind == LINK_FAILED || n->kind == LINK_LOST) {
        on_down(u, n);
    }
}

static void on_news(void *user)
{
    uplink *u = user;
    mem *m = u->mem;
    link_harvest h;
    bool over = false;

    link_collect(u->link, &h);
    if (h.done) uplink_sent(u, h.done);
    if (h.arrivals) uplink_receive(u, h.arrivals);
    for (link_news *n = h.news; n && !over; n = n->next) {
        over = n->kind == LINK_OVER;
        on_one(u, n);
    }
    link_news_free(m, h.news);
}

/* ---- the beginning and the end */

int uplink_begin(uplink *u)
{
    int rc;

    rc = link_new(&u->link, port_loop(u->port), u->mem, on_news, u);
    if (rc < 0) return rc;
    uplink_say_state(u, false);
    return bridge_port_after(u->port, 0, uplink_try, u, &u->timer);
}

static void finish(uplink *u, bool over)
{
    list none;

    list_init(&none);
    stop_timers(u);
    turn_end_cancel(&u->feed);
    link_free(u->link, over ? &none : &u->buffer.parcels);
    u->link = NULL;
    if (u->was_up) uplink_say_state(u, false);
    uplink_home *home = u->home;
    uplink_free(u);
    bridge_port_closed(u->port);
    uplink_leave_home(home);
}

static void on_late(void *user)
{
    finish(user, false);
}

static void close_link(void *user)
{
    uplink *u = user;

    stop_timers(u);
    link_close(u->link, 300);
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
    uplink_feed(u);
    bridge_port_after(u->port, (int64_t)u->options.linger, close_link, u, &u->timer);
}

/* Everything that was to go has gone: no need to linger. */
void uplink_idle(uplink *u)
{
    if (u->state == UPLINK_CLOSING && u->buffer.count == 0 && u->timer) {
        stop_timers(u);
        close_link(u);
    }
}
