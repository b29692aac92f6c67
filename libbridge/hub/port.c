/* Listeners and uplinks: what an adapter opens, and what it may ask of the bridge for it. */
#include "auth/auth.h"
#include "base/status.h"
#include "hub/keep.h"
#include "hub/port.h"
#include <stdarg.h>
#include <stdio.h>

struct bridge_event {
    list link;
    bridge_port *port;
    mem *mem; /* set when it closes: the port may go before */
    void (*on_time)(void *user);
    void (*on_fd)(void *user, unsigned events);
    void *user;
    timer timer;
    uv_poll_t poll;
    int wanted; /* UV_READABLE, UV_WRITABLE */
};

static const char *const *words_of(const bridge_adapter *a, bool connect)
{
    static const char *const none[] = {NULL};
    const char *const *words = connect ? a->connects : a->schemes;

    return words ? words : none;
}

static const bridge_adapter *adapter_for(const char *scheme, bool connect)
{
    for (const bridge_adapter *const *a = adapter_table; *a; a++)
        for (const char *const *s = words_of(*a, connect); *s; s++)
            if (strcmp(*s, scheme) == 0) return *a;
    return NULL;
}

static int unknown_scheme(const char *scheme, bool connect, bridge_error *err)
{
    const char *words[64];
    size_t n = 0;
    const char *near;

    if (adapter_for(scheme, !connect))
        return fail(err, BRIDGE_UNSUPPORTED, connect ? "%s:// can be listened on here, but not connected to" : "%s:// can be connected to, but not listened on", scheme);
    for (const bridge_adapter *const *a = adapter_table; *a; a++)
        for (const char *const *s = words_of(*a, connect); *s && n < 63; s++)
            words[n++] = *s;
    words[n] = NULL;
    near = text_nearest(scheme, words);
    return fail(err, BRIDGE_UNSUPPORTED, "nothing here %s %s://%s%s%s", connect ? "connects to" : "speaks", scheme,
                near ? "; did you mean " : "", near ? near : "", near ? "://?" : "");
}

bridge_port *port_new(hub *h, const bridge_adapter *adapter)
{
    bridge_port *p = mem_new(h->mem, bridge_port);

    if (!p) return NULL;
    p->hub = h;
    p->adapter = adapter;
    p->scheme = (uint8_t)hub_scheme(h, text_of(adapter->scheme));
    p->state = mem_zalloc(h->mem, adapter->state_size ? adapter->state_size : 1);
    p->name = mem_text(h->mem, adapter->scheme);
    p->level = -1;
    list_init(&p->peers);
    list_init(&p->events);
    list_push(&h->ports, &p->link);
    h->port_count++;
    if (p->state && p->name) return p;
    port_destroy(p);
    return NULL;
}

void port_destroy(bridge_port *p)
{
    hub *h = p->hub;

    while (!list_empty(&p->peers)) /* an adapter that forgot some */
        bridge_peer_free(list_of(p->peers.next, bridge_peer, link));
    while (!list_empty(&p->events))
        bridge_event_close(list_of(p->events.next, bridge_event, link));
    list_remove(&p->link);
    h->port_count--;
    auth_unref(p->auth);
    url_free(p->url);
    mem_free(h->mem, p->name);
    mem_free(h->mem, p->state);
    mem_free(h->mem, p);
}

/* Files named in a listener's URL hold for its peers; the bridge's own hold for everybody else. */
static int take_rules(bridge_port *p, const url *u, bridge_error *err)
{
    const char *passwords = url_get(u, "password_file"), *acl = url_get(u, "acl_file"), *anonymous = url_get(u, "anonymous");

    if (anonymous && strcmp(anonymous, "allow") != 0 && strcmp(anonymous, "deny") != 0)
        return fail(err, BRIDGE_INVALID, "option anonymous=%s: allow or deny is wanted", anonymous);
    const char *level = url_get(u, "durability");
    p->level = level ? (int8_t)store_level_of(level) : -1;
    if (level && p->level < 0) return fail(err, BRIDGE_INVALID, "option durability=%s: full, normal or none is wanted", level);
    p->open_to_all = anonymous && strcmp(anonymous, "allow") == 0;
    p->deny_anonymous = anonymous && !p->open_to_all;
    return passwords || acl ? auth_new(&p->auth, p->hub->mem, passwords, acl, err) : 0;
}

/* Does TLS let in only those who prove a name? */
static bool wants_proof(const url *u)
{
    const char *client = url_get(u, "client_cert");
    size_t n = strlen(u->scheme);
    bool over_tcp = n > 5 && strcmp(u->scheme + n - 5, "s+tcp") == 0;

    if (!over_tcp && (n < 3 || u->scheme[n - 1] != 's' || strcmp(u->scheme + n - 3, "+ws") == 0)) return false;
    if (url_get(u, "credentials") && strcmp(url_get(u, "credentials"), "ask") == 0) return !client || strcmp(client, "optional") != 0;
    if (url_get(u, "ca")) return !client || strcmp(client, "optional") != 0;
    return url_get(u, "psk_file") && !url_get(u, "cert") && !url_get(u, "certs");
}

static int guard(const bridge_port *p, const url *u, bridge_error *err)
{
    if (url_is_loopback(u) || p->open_to_all || p->deny_anonymous || p->auth || p->hub->auth || p->hub->policy_count ||
        wants_proof(u))
        return 0;
    return fail(err, BRIDGE_INVALID,
                "%s://%s would be open to everybody: add password_file=, acl_file=, ca= (client certificates) or anonymous=allow "
                "to its URL, or listen on 127.0.0.1",
                u->scheme, u->host);
}

static int open_port(bridge_port *p, const url *u, bool connect, bridge_error *err)
{
    const bridge_adapter *a = p->adapter;
    int rc;

    if (connect) {
        if (!p->hub->offline) return a->connect(p, u, err);
        rc = a->check_connect ? a->check_connect(u, err) : 0;
        p->stand_in = true;
        if (rc == 0 && !url_get(u, "as") && a->rehearse) return a->rehearse(p, u, err);
        return rc == 0 ? offline_connect(p, u, err) : rc;
    }
    rc = take_rules(p, u, err);
    if (rc == 0) rc = guard(p, u, err);
    if (rc < 0) return rc;
    if (p->hub->offline) {
        rc = a->check ? a->check(u, err) : 0;
        return rc == 0 ? offline_listen(p, u) : rc;
    }
    return a->open ? a->open(p, u, err) : fail(err, BRIDGE_UNSUPPORTED, "%s does not open yet", u->scheme);
}

/* Before anybody can come in. */
static void restore(hub *h)
{
    if (!h->store || h->restored) return;
    h->restored = true;
    for (const bridge_adapter *const *a = adapter_table; *a; a++) {
        bridge_port fake = {.hub = h, .adapter = *a};
        bridge_port *home = (*a)->restore ? bridge_port_home(&fake) : NULL;
        if (home) (*a)->restore(home);
    }
}

int hub_open(hub *h, const char *textual, bool connect, bridge_port **out, bridge_error *err)
{
    const bridge_adapter *adapter;
    bridge_port *p;
    url *u = NULL;
    int rc = url_parse(h->mem, textual, &u, err);

    if (rc < 0) return rc;
    adapter = adapter_for(u->scheme, connect);
    p = adapter ? port_new(h, adapter) : NULL;
    if (!p) {
        rc = adapter ? fail_nomem(err) : unknown_scheme(u->scheme, connect, err);
        url_free(u);
        return rc;
    }
    p->url = u;
    p->uplink = connect;
    restore(h);
    rc = open_port(p, u, connect, err);
    if (rc == 0 && p->stand_in) return 0;
    if (rc < 0 || h->offline) {
        port_destroy(p);
        return rc;
    }
    log_line(&h->log, BRIDGE_LOG_INFO, adapter->scheme, "%s %s", connect ? "connecting to" : "listening on", p->name);
    *out = p;
    return 0;
}

/* The new rules hold for who is there, too; whom they would not let in stays in, as an MQTT client would. */
static void settle_change(bridge_port *p, url *u, const bridge_port *said)
{
    url_free(p->url);
    p->url = u;
    auth_inherit(said->auth, p->auth);
    list_each(it, &p->peers)
    {
        bridge_peer *peer = list_of(it, bridge_peer, link);
        auth_unref(peer->auth);
        peer->auth = said->auth ? auth_ref(said->auth) : NULL;
        peer->level = said->level;
    }
    auth_unref(p->auth);
    p->auth = said->auth;
    p->level = said->level;
    p->open_to_all = said->open_to_all;
    p->deny_anonymous = said->deny_anonymous;
    log_line(&p->hub->log, BRIDGE_LOG_INFO, p->adapter->scheme, "listening on %s as before, with other options", p->name);
}

int hub_port_change(bridge_port *p, const char *textual, bridge_error *err)
{
    const bridge_adapter *a = p->adapter;
    bridge_port said = {.hub = p->hub, .adapter = a};
    url *u = NULL;
    int rc;

    if (p->closing || p->retired || a->size < offsetof(bridge_adapter, change) + sizeof a->change || !a->change) return BRIDGE_UNSUPPORTED;
    rc = url_parse(p->hub->mem, textual, &u, err);
    if (rc == 0) rc = take_rules(&said, u, err);
    if (rc == 0) rc = guard(&said, u, err);
    hub_enter(p->hub);
    if (rc == 0) rc = a->change(p, u, err);
    hub_leave(p->hub);
    if (rc == 0) {
        settle_change(p, u, &said);
        return 0;
    }
    auth_unref(said.auth);
    url_free(u);
    return rc;
}

bool hub_port_retire(bridge_port *p)
{
    if (p->closing || p->retired || p->adapter->size < offsetof(bridge_adapter, retire) + sizeof p->adapter->retire || !p->adapter->retire) return false;
    p->retired = true;
    hub_enter(p->hub);
    p->adapter->retire(p);
    hub_leave(p->hub);
    return true;
}

void hub_port_close(bridge_port *p)
{
    if (p->closing) return;
    p->closing = true;
    hub_enter(p->hub); /* bridge_port_closed() may come from within */
    if (p->adapter->close)
        p->adapter->close(p);
    else
        bridge_port_closed(p);
    hub_leave(p->hub);
}

void bridge_port_closed(bridge_port *port)
{
    hub *h = port->hub;

    if (port->slot_gone) port->slot_gone(port->slot);
    port->slot_gone = NULL;
    list_remove(&port->link);
    list_push(&h->dead_ports, &port->link);
    hub_mourn(h);
}

bridge_port *bridge_port_home(bridge_port *port)
{
    hub *h = port->hub;
    bridge_port *home;

    list_each(it, &h->ports)
    {
        bridge_port *p = list_of(it, bridge_port, link);
        if (p->home && p->adapter == port->adapter) return p;
    }
    home = port_new(h, port->adapter);
    if (home) home->home = true;
    return home;
}

int bridge_port_hand_over(bridge_port *port, const char *scheme, struct stream *stream, const bridge_ask *who)
{
    hub *h = port->hub;

    for (const bridge_adapter *const *a = adapter_table; *a; a++) {
        bridge_port fake = {.hub = h, .adapter = *a};
        bridge_port *home;
        if (strcmp((*a)->scheme, scheme) != 0 || !(*a)->accept) continue;
        home = bridge_port_home(&fake);
        return home ? (*a)->accept(home, port, stream, who) : BRIDGE_NOMEM;
    }
    return BRIDGE_UNSUPPORTED;
}

int bridge_port_forward(bridge_port *port, const bridge_forward *question, bridge_forward_fn fn, void *user, bridge_passage **out)
{
    char scheme[16] = "";
    size_t n = strcspn(question->uri, ":");
    const bridge_adapter *a;
    bridge_port fake = {.hub = port->hub}, *home;

    *out = NULL;
    for (size_t i = 0; n < sizeof scheme && i < n; i++) scheme[i] = (char)(question->uri[i] | (question->uri[i] >= 'A' && question->uri[i] <= 'Z' ? 32 : 0));
    a = adapter_for(scheme, true);
    if (!a || !a->forward) return BRIDGE_UNSUPPORTED;
    fake.adapter = a;
    home = bridge_port_home(&fake);
    return home ? a->forward(home, question, fn, user, out) : BRIDGE_NOMEM;
}

/* ---- small things an adapter asks for */

void *bridge_port_state(bridge_port *port)
{
    return port->state;
}

bridge *bridge_port_bridge(bridge_port *port)
{
    return port->hub->bridge;
}

loop *port_loop(bridge_port *port)
{
    return port->hub->loop;
}

mem *port_mem(bridge_port *port)
{
    return port->hub->mem;
}

const char *port_why(const bridge_port *port)
{
    return port->hub->why[0] ? port->hub->why : NULL;
}

bool port_passes(const bridge_port *port)
{
    return port->hub->passing;
}

const limits *port_limits(bridge_port *port)
{
    return &port->hub->limits;
}

void bridge_port_named(bridge_port *port, const char *name)
{
    char *copy = mem_text(port->hub->mem, name);

    if (!copy) return; /* the scheme alone is a poor name, but one */
    mem_free(port->hub->mem, port->name);
    port->name = copy;
}

void port_offer(bridge_port *port, const port_link *links) { port->links = links; }

int port_each_offer(bridge_port *any, int (*fn)(void *user, const char *name, const port_link *link), void *user)
{
    int rc = 0;

    list_each(it, &any->hub->ports)
    {
        const bridge_port *p = list_of(it, bridge_port, link);

        for (const port_link *l = p->name && !p->closing ? p->links : NULL; rc == 0 && l && l->target; l++) rc = fn(user, p->name, l);
    }
    return rc;
}

int bridge_port_login(bridge_port *port, bridge_ask *ask)
{
    int rc;

    port->hub->why[0] = 0;
    rc = mem_is_short(port->hub->mem) ? hub_short(port->hub) : policy_login(port, ask);
    port->hub->count.logins++;
    if (rc < 0) port->hub->count.logins_refused++;
    return rc;
}

void bridge_port_log(bridge_port *port, int level, const char *peer, const char *format, ...)
{
    hub *h = port->hub;
    char line[400];
    va_list args;
    int n;

    if (!log_wants(&h->log, level)) return;
    n = snprintf(line, sizeof line, "%s ", peer ? peer : port->name);
    if (n < 0 || (size_t)n >= sizeof line) n = 0;
    va_start(args, format);
    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    log_limited(&h->log, &port->budget, loop_now(h->loop), level, port->adapter->scheme, "%s", line);
}

/* ---- descriptors, timers and posts */

static bridge_event *event_new(bridge_port *port, void *user)
{
    bridge_event *e = mem_new(port->hub->mem, bridge_event);

    if (!e) return NULL;
    e->port = port;
    e->user = user;
    list_push(&port->events, &e->link);
    return e;
}

static void on_time(timer *t)
{
    bridge_event *e = list_of(t, bridge_event, timer);

    e->on_time(e->user);
}

int bridge_port_after(bridge_port *port, int64_t ms, void (*fn)(void *), void *user, bridge_event **out)
{
    bridge_event *e = event_new(port, user);
    int rc = e ? 0 : BRIDGE_NOMEM;

    if (rc == 0) {
        e->on_time = fn;
        rc = timer_start(&e->timer, port->hub->loop, ms, on_time);
    }
    if (rc == 0)
        *out = e;
    else
        bridge_event_close(e);
    return rc;
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    bridge_event *e = handle->data;

    if (status < 0) uv_poll_start(handle, e->wanted, on_poll); /* libuv has stopped it; of a datagram socket it is only an ICMP error */
    e->on_fd(e->user, status < 0 ? 3u : (unsigned)((events & UV_READABLE ? 1 : 0) | (events & UV_WRITABLE ? 2 : 0)));
}

const char *port_mark(const bridge_port *port)
{
    return port->hub->name;
}

uint64_t port_version(bridge_port *port)
{
    return ++port->hub->version;
}

void bridge_port_catch_up(bridge_port *port)
{
    loop_catch_up(port->hub->loop);
}

int bridge_port_fd(bridge_port *port, int fd, unsigned events, void (*fn)(void *, unsigned), void *user, bridge_event **out)
{
    bridge_event *e = event_new(port, user);
    int rc;

    if (!e) return BRIDGE_NOMEM;
    e->on_fd = fn;
    rc = uv_poll_init(loop_uv(port->hub->loop), &e->poll, fd);
    if (rc == 0) {
        e->poll.data = e;
        e->wanted = (events & 1 ? UV_READABLE : 0) | (events & 2 ? UV_WRITABLE : 0);
        rc = uv_poll_start(&e->poll, e->wanted, on_poll);
    }
    if (rc == 0)
        *out = e;
    else
        bridge_event_close(e);
    return status_of_uv(rc);
}

static void on_event_closed(uv_handle_t *handle)
{
    bridge_event *e = handle->data;
    mem *m = e->mem;

    mem_free(m, e);
}

void bridge_event_close(bridge_event *e)
{
    if (!e) return;
    list_remove(&e->link);
    timer_stop(&e->timer);
    e->mem = e->port->hub->mem;
    if (e->poll.data)
        uv_close((uv_handle_t *)&e->poll, on_event_closed);
    else
        mem_free(e->mem, e);
}

struct port_post {
    bridge_port *port;
    void (*fn)(bridge_port *, void *);
    void *user;
};

static void on_port_post(void *user)
{
    struct port_post p = *(struct port_post *)user;

    mem_free(p.port->hub->mem, user);
    p.fn(p.port, p.user);
}

int bridge_port_post(bridge_port *port, void (*fn)(bridge_port *, void *), void *user)
{
    struct port_post *p = mem_new(port->hub->mem, struct port_post);
    int rc;

    if (!p) return BRIDGE_NOMEM;
    *p = (struct port_post){port, fn, user};
    rc = loop_post(port->hub->loop, on_port_post, p);
    if (rc < 0) mem_free(port->hub->mem, p);
    return rc;
}
