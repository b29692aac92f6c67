/* adapter/uplink/link.c - see link.h.  A `wire` is one connection: it outlives its link by a turn of the loop when that lets go of it. */
#include "adapter/uplink/link.h"
#include "adapter/uplink/client.h"
#include "adapter/uplink/ws_client.h"
#include "base/status.h"
#include "loop/tls.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

typedef struct lookup { /* of a name; lives as long as the thread that looks */
    uv_getaddrinfo_t request;
    mem *mem;
    broker_link *link; /* NULL: nobody wants to know any more */
} lookup;

typedef struct wire {
    broker_link *link; /* NULL: let go */
    mem *mem;
    stream *s;
    tls_client *tls; /* a reference, or NULL */
    bool heard; /* something came: there is somebody */
} wire;

struct broker_link {
    mem *mem;
    loop *loop;
    const link_hooks *hooks;
    void *user;
    client *client;
    link_settings *settings; /* of the attempt, or of the connection */
    lookup *lookup;
    wire *wire;
    tls_client *tls;
    struct sockaddr_storage addresses[LINK_ADDRESSES];
    unsigned address_count, address_at;
    timer patience, tick, fall; /* fall: on_down() or on_over(), from a later turn */
    bool open; /* between link_open() and on_down() */
    int code;
    char why[160], trouble[160]; /* trouble: of TLS */
};

/* ---- the end of an attempt */

static void let_go(broker_link *k, bool gently)
{
    wire *w = k->wire;

    if (k->lookup) {
        k->lookup->link = NULL;
        uv_cancel((uv_req_t *)&k->lookup->request);
        k->lookup = NULL;
    }
    k->wire = NULL;
    if (w) {
        w->link = NULL;
        if (gently) stream_close(w->s);
        else stream_abort(w->s, BRIDGE_CANCELED);
    }
    timer_stop(&k->patience);
    timer_stop(&k->tick);
}

static void on_fall(timer *t)
{
    broker_link *k = list_of(t, broker_link, fall);

    k->hooks->on_down(k->user, k->code, k->why);
}

static void failed(broker_link *k, int code, const char *why)
{
    if (!k->open) return;
    k->open = false;
    k->code = code;
    snprintf(k->why, sizeof k->why, "%.159s", why);
    let_go(k, code != 0 || k->wire == NULL || k->wire->heard);
    client_lost(k->client);
    timer_start(&k->fall, k->loop, 0, on_fall);
}

static void on_patience(timer *t)
{
    failed(list_of(t, broker_link, patience), 0, "no answer in time");
}

/* ---- what the client wants */

static void arm_tick(broker_link *k);

static void on_tick(timer *t)
{
    arm_tick(list_of(t, broker_link, tick));
}

static void arm_tick(broker_link *k)
{
    int64_t now = loop_now(k->loop), due = client_tick(k->client, now);

    if (k->open && due != INT64_MAX) timer_start(&k->tick, k->loop, due > now ? due - now : 1, on_tick);
}

static void *on_room(void *user, size_t len)
{
    broker_link *k = user;

    return k->wire ? stream_reserve(k->wire->s, len) : NULL;
}

static void on_up(void *user, const link_up *up)
{
    broker_link *k = user;

    timer_stop(&k->patience);
    arm_tick(k);
    k->hooks->on_up(k->user, up);
}

static void on_end(void *user, int code, const char *why)
{
    failed(user, code, why);
}

static void on_reset(void *user)
{
    broker_link *k = user;

    k->hooks->on_reset(k->user);
}

static void on_done(void *user, parcel *p)
{
    broker_link *k = user;

    k->hooks->on_done(k->user, p);
}

static void on_subscribed(void *user, const char *filter, bool awaited, uint8_t code)
{
    broker_link *k = user;

    k->hooks->on_subscribed(k->user, filter, awaited, code);
}

static int on_message(void *user, const arrival *a, client_ack *ack)
{
    broker_link *k = user;

    return k->hooks->on_message(k->user, a, ack);
}

static uint64_t keep_out(void *user, parcel *p)
{
    broker_link *k = user;

    return k->hooks->keep_out ? k->hooks->keep_out(k->user, p) : 0;
}

static uint64_t keep_in(void *user, uint16_t id, bool taken)
{
    broker_link *k = user;

    return k->hooks->keep_in ? k->hooks->keep_in(k->user, id, taken) : 0;
}

static const client_hooks client_wants = {on_room, on_up, on_end, on_reset, on_done, on_subscribed, on_message, keep_out, keep_in};

/* ---- a connection */

static void dial_next(broker_link *k);

static size_t on_data(void *user, const uint8_t *data, size_t len)
{
    wire *w = user;

    if (!w->link) return len;
    w->heard = true;
    return client_data(w->link->client, data, len, loop_now(w->link->loop));
}

static void on_drain(void *user)
{
    wire *w = user;

    if (w->link) w->link->hooks->on_room(w->link->user);
}

static const char *words_of(const broker_link *k, int status)
{
    if (k->trouble[0]) return k->trouble;
    return status == BRIDGE_CLOSED ? "the connection was closed" : status == BRIDGE_UNREACHABLE ? "nobody is there" : bridge_status_text(status);
}

static void on_close(void *user, int status)
{
    wire *w = user;
    broker_link *k = w->link;
    bool heard = w->heard;

    tls_client_unref(w->tls);
    mem_free(w->mem, w);
    if (!k) return;
    k->wire = NULL;
    if (heard || k->address_at >= k->address_count) {
        failed(k, 0, words_of(k, status));
        return;
    }
    client_lost(k->client);
    dial_next(k);
}

static const stream_events events = {on_data, on_drain, on_close};

static void on_tls_up(void *user)
{
    (void)user; /* the broker will tell */
}

static void on_trouble(void *user, const char *why)
{
    wire *w = user;

    if (w->link) snprintf(w->link->trouble, sizeof w->link->trouble, "TLS: %.150s", why);
}

static const tls_call call = {on_tls_up, on_trouble};

static int make_tls(broker_link *k, bridge_error *err)
{
    const link_settings *s = k->settings;
    tls_said_by_us said = {.ca = s->ca, .cert = s->cert, .key = s->key, .ciphers = s->ciphers, .psk_file = s->psk_file, .alpn = s->alpn, .lax = !s->verify};

    return tls_client_new(&k->tls, k->mem, &said, err);
}

static int make_stream(broker_link *k, stream **out)
{
    const link_settings *s = k->settings;
    const struct sockaddr *to = (const struct sockaddr *)&k->addresses[k->address_at++];
    size_t len = to->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    bool v6 = strchr(s->host, ':') != NULL;
    char host[300];
    int rc;

    if (s->tls) rc = tls_client_dial(out, k->loop, to, len, k->tls, s->host, s->ws ? &ws_client_call : &call);
    else rc = stream_dial(out, k->loop, to, len, "");
    if (rc < 0 || !s->ws) return rc;
    snprintf(host, sizeof host, "%s%.255s%s:%d", v6 ? "[" : "", s->host, v6 ? "]" : "", s->port);
    return ws_client(out, *out, host, s->path, s->max_packet, &call, k->tls);
}

static void dial_next(broker_link *k)
{
    wire *w = mem_new(k->mem, wire);
    int rc = w ? BRIDGE_UNREACHABLE : BRIDGE_NOMEM;

    while (w && rc < 0 && k->address_at < k->address_count) rc = make_stream(k, &w->s);
    if (rc < 0) {
        mem_free(k->mem, w);
        failed(k, 0, words_of(k, rc));
        return;
    }
    w->link = k;
    w->mem = k->mem;
    k->wire = w;
    w->tls = k->tls ? tls_client_ref(k->tls) : NULL;
    stream_set_high(w->s, LINK_HIGH / 4);
    stream_set_max_in(w->s, k->settings->max_packet + 16);
    stream_start(w->s, &events, w);
    client_begin(k->client, k->settings, loop_now(k->loop), loop_calendar(k->loop));
}

/* ---- finding it */

static void add_address(broker_link *k, const struct sockaddr *a, int family)
{
    if (k->address_count == LINK_ADDRESSES || a->sa_family != family) return;
    memcpy(&k->addresses[k->address_count++], a, family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
}

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    lookup *o = list_of(request, lookup, request);
    broker_link *k = o->link;
    char why[160];

    mem_free(o->mem, o);
    if (k) {
        k->lookup = NULL;
        for (struct addrinfo *a = found; a; a = a->ai_next) add_address(k, a->ai_addr, AF_INET);
        for (struct addrinfo *a = found; a; a = a->ai_next) add_address(k, a->ai_addr, AF_INET6);
        snprintf(why, sizeof why, "%.90s: %s", k->settings->host, status < 0 ? uv_strerror(status) : "a name without address");
        if (k->address_count) dial_next(k);
        else failed(k, 0, why);
    }
    uv_freeaddrinfo(found);
}

static int look_up(broker_link *k)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    lookup *o = mem_new(k->mem, lookup);
    char service[8];
    int rc;

    if (!o) return BRIDGE_NOMEM;
    snprintf(service, sizeof service, "%d", k->settings->port);
    o->mem = k->mem;
    o->link = k;
    rc = uv_getaddrinfo(loop_uv(k->loop), &o->request, on_found, k->settings->host, service, &hints);
    if (rc == 0) k->lookup = o;
    else mem_free(k->mem, o);
    return rc == 0 ? 0 : BRIDGE_UNREACHABLE;
}

static bool is_address(broker_link *k) /* then nobody has to be asked */
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)k->settings->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)k->settings->port)};

    if (inet_pton(AF_INET, k->settings->host, &v4.sin_addr) == 1) add_address(k, (struct sockaddr *)&v4, AF_INET);
    else if (inet_pton(AF_INET6, k->settings->host, &v6.sin6_addr) == 1) add_address(k, (struct sockaddr *)&v6, AF_INET6);
    return k->address_count;
}

/* ---- orders */

void link_open(broker_link *k, link_settings *s)
{
    bridge_error err = {.text = ""};

    link_drop(k);
    link_settings_free(k->settings);
    k->settings = s;
    k->open = true;
    k->trouble[0] = 0;
    k->address_count = k->address_at = 0;
    tls_client_unref(k->tls);
    k->tls = NULL;
    timer_start(&k->patience, k->loop, (int64_t)s->connect_timeout * 1000, on_patience);
    if (s->tls && make_tls(k, &err) < 0) failed(k, 0, err.text);
    else if (is_address(k)) dial_next(k);
    else if (look_up(k) < 0) failed(k, 0, "its name cannot be looked up");
}

void link_drop(broker_link *k)
{
    k->open = false;
    timer_stop(&k->fall);
    let_go(k, false);
    client_lost(k->client);
}

void link_leave(broker_link *k, bool politely)
{
    k->open = false;
    timer_stop(&k->fall);
    if (politely) client_goodbye(k->client);
    let_go(k, true);
    client_lost(k->client);
}

static void on_closed(timer *t)
{
    broker_link *k = list_of(t, broker_link, fall);

    if (k->wire) return; /* not yet all written */
    k->hooks->on_over(k->user);
}

static void on_last_word(void *user, int status)
{
    wire *w = user;
    broker_link *k = w->link;

    (void)status;
    tls_client_unref(w->tls);
    mem_free(w->mem, w);
    if (!k) return;
    k->wire = NULL;
    timer_start(&k->fall, k->loop, 0, on_closed);
}

static size_t on_late_data(void *user, const uint8_t *data, size_t len)
{
    (void)user, (void)data;
    return len;
}

static const stream_events last_events = {on_late_data, NULL, on_last_word};

void link_close(broker_link *k)
{
    wire *w = k->wire;

    k->open = false;
    timer_stop(&k->fall);
    client_goodbye(k->client);
    if (w && w->heard) {
        timer_stop(&k->patience);
        timer_stop(&k->tick);
        w->s->events = &last_events;
        stream_close(w->s);
        return;
    }
    let_go(k, false);
    timer_start(&k->fall, k->loop, 0, on_closed);
}

int link_subscribe(broker_link *k, const char *filter, uint8_t qos, bool quiet, bool awaited)
{
    return client_subscribe(k->client, filter, qos, quiet, awaited);
}

int link_unsubscribe(broker_link *k, const char *filter)
{
    return client_unsubscribe(k->client, filter);
}

bool link_may(const broker_link *k, uint8_t qos)
{
    return k->wire && stream_pending(k->wire->s) < LINK_HIGH && client_may(k->client, qos);
}

int link_publish(broker_link *k, parcel *p)
{
    return client_publish(k->client, p, loop_now(k->loop), loop_calendar(k->loop));
}

void link_acknowledge(link_ack *ack, int status)
{
    client_acknowledge(ack, status);
}

int link_resume(broker_link *k, list *parcels, const uint16_t *ids, size_t count)
{
    return client_resume(k->client, parcels, ids, count);
}

bool link_written(broker_link *k, uint64_t batch)
{
    return client_written(k->client, batch);
}

/* ---- life */

int link_new(broker_link **out, loop *l, mem *m, unsigned window, const link_hooks *hooks, void *user)
{
    broker_link *k = mem_new(m, broker_link);
    int rc = k ? client_new(&k->client, m, window, &client_wants, k) : BRIDGE_NOMEM;

    if (rc < 0) {
        mem_free(m, k);
        return rc;
    }
    k->mem = m;
    k->loop = l;
    k->hooks = hooks;
    k->user = user;
    *out = k;
    return 0;
}

void link_free(broker_link *k)
{
    if (!k) return;
    k->open = false;
    timer_stop(&k->fall);
    let_go(k, false);
    client_free(k->client);
    link_settings_free(k->settings);
    tls_client_unref(k->tls);
    mem_free(k->mem, k);
}

link_settings *link_settings_new(mem *m)
{
    link_settings *s = mem_new(m, link_settings);

    if (s) s->mem = m;
    return s;
}

void link_settings_free(link_settings *s)
{
    if (!s) return;
    char *texts[] = {s->host, s->path, s->client_id, s->user};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) mem_free(s->mem, texts[i]);
    if (s->password) explicit_bzero(s->password, s->password_len);
    mem_free(s->mem, s->password);
    mem_free(s->mem, s);
}
