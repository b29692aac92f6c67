/* Devices: who is registered, where, how long.
 *
 *      Register --> here --Update, any message--> here (awake)
 *                    |  \--lifetime over--> expired     \--de-register--> gone
 *                    +--Register again--> here, another location, observations begin anew */
#include "adapter/lwm2m/flash.h"
#include "adapter/lwm2m/ddf.h"
#include "base/clock.h"
#include "base/status.h"
#include <stdio.h>

/* ---- Finding */

lwm2m_device *lwm2m_find(lwm2m_server *s, const char *name) { return map_get(&s->by_name, name, strlen(name)); }

lwm2m_device *lwm2m_find_location(lwm2m_server *s, text location)
{
    return location.len == LWM2M_LOCATION ? map_get(&s->by_location, location.p, location.len) : NULL;
}

/* ---- What it said */

static int text_take(mem *m, char **out, text said)
{
    char *copy = mem_text_len(m, said.p ? said.p : "", said.len);

    if (!copy) return BRIDGE_NOMEM;
    mem_free(m, *out);
    *out = copy;
    return 0;
}

static int take_links(lwm2m_device *d, text links)
{
    text root = {"", 0};
    int format = -1, rc = lwm2m_links_check(links.p, links.len, &root, &format, NULL);

    if (rc == 0) rc = text_take(d->server->mem, &d->root, root);
    if (rc == 0) rc = text_take(d->server->mem, &d->links, links);
    if (rc == 0 && format >= 0) {
        d->format = (uint16_t)format;
        d->format_known = true;
    }
    return rc;
}

static void take_binding(lwm2m_device *d, const lwm2m_said *said)
{
    size_t n = said->binding.len < sizeof d->binding - 1 ? said->binding.len : sizeof d->binding - 1;

    memcpy(d->binding, n ? said->binding.p : "U", n ? n : 1);
    d->binding[n ? n : 1] = 0;
    /* LwM2M 1.0 5.3.1.1: Q is a letter of the binding; 1.1 6.2.1.2: a parameter of its own */
    d->queue_mode = said->queue || strchr(d->binding, 'Q') != NULL;
}

static void leave_place(lwm2m_device *d)
{
    map *places = &d->server->by_place;

    if (d->place.port && map_get(places, &d->place, sizeof d->place) == d) map_remove(places, &d->place, sizeof d->place);
    d->place.port = NULL;
    list_remove(&d->conn_link);
    d->conn = NULL;
}

void lwm2m_conn_lost(lwm2m_device *d)
{
    if (!d->conn) return;
    list_remove(&d->conn_link);
    d->conn = NULL;
    d->lost = true;
}

static int take_conn(lwm2m_device *d, coap_peer *from)
{
    lwm2m_conn *c = *coap_peer_user(from);

    if (!c) {
        c = mem_new(d->server->mem, lwm2m_conn);
        if (!c) return BRIDGE_NOMEM;
        list_init(&c->devices);
        *coap_peer_user(from) = c;
    }
    d->conn = from;
    d->lost = false;
    list_push(&c->devices, &d->conn_link);
    return 0;
}

static int take_place(lwm2m_device *d, lwm2m_port *p, coap_peer *from)
{
    leave_place(d);
    d->port = p;
    if (coap_peer_link(from)) return take_conn(d, from);
    memset(&d->place, 0, sizeof d->place);
    d->place.port = p;
    d->place.address = *coap_peer_address(from);
    return map_put(&d->server->by_place, &d->place, sizeof d->place, d, NULL);
}

static bool is_elsewhere(const lwm2m_device *d, const lwm2m_port *p, coap_peer *from)
{
    if (d->port != p) return true;
    if (coap_peer_link(from)) return d->conn != from;
    return d->place.port != p || memcmp(&d->place.address, coap_peer_address(from), sizeof d->place.address) != 0;
}

lwm2m_device *lwm2m_find_peer(lwm2m_port *p, coap_peer *from)
{
    const lwm2m_conn *c = coap_peer_link(from) ? *coap_peer_user(from) : NULL;
    lwm2m_place place;

    if (coap_peer_link(from)) return c && !list_empty(&c->devices) ? list_of(c->devices.prev, lwm2m_device, conn_link) : NULL;
    memset(&place, 0, sizeof place);
    place.port = p;
    place.address = *coap_peer_address(from);
    return map_get(&p->server->by_place, &place, sizeof place);
}

static void on_expiry(timer *t)
{
    lwm2m_device *d = list_of(t, lwm2m_device, expiry);

    d->server->count.expirations++;
    lwm2m_remove(d, LWM2M_GONE_EXPIRED);
}

static int live(lwm2m_device *d) { return timer_start(&d->expiry, d->server->loop, d->lifetime * 1000, on_expiry); }

static int take_said(lwm2m_device *d, const lwm2m_said *said, bool first)
{
    uint64_t most = d->port->limits.max_lifetime;
    int rc = said->has_links ? take_links(d, said->links) : 0;

    if (rc == 0 && said->msisdn.len) rc = text_take(d->server->mem, &d->msisdn, said->msisdn);
    if (rc < 0) return rc;
    if (said->has_lifetime) d->lifetime = (int64_t)(said->lifetime > most ? most : said->lifetime);
    if (first || said->has_binding) take_binding(d, said);
    return live(d);
}

/* ---- Awake and asleep */

void lwm2m_asleep(lwm2m_device *d)
{
    if (d->asleep || d->gone) return;
    timer_stop(&d->doze);
    d->asleep = true;
    lwm2m_event(d, "asleep", NULL);
}

static void on_doze(timer *t)
{
    lwm2m_device *d = list_of(t, lwm2m_device, doze);

    lwm2m_hold(d);
    lwm2m_asleep(d);
    lwm2m_release(d);
}

void lwm2m_awake(lwm2m_device *d)
{
    bool woke = d->asleep;

    lwm2m_spoke(d);
    d->seen = loop_now(d->server->loop);
    d->asleep = false;
    if (d->queue_mode)
        timer_start(&d->doze, d->server->loop, (int64_t)d->port->limits.awake, on_doze);
    else
        timer_stop(&d->doze);
    if (woke) lwm2m_event(d, "awake", NULL);
}

void lwm2m_heard(lwm2m_device *d)
{
    d->ready = true;
    lwm2m_awake(d);
    if (!d->gone) lwm2m_pump(d);
}

/* ---- Coming */

void lwm2m_random_name(char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t dice[LWM2M_LOCATION];

    random_bytes(dice, sizeof dice); /* nobody guesses 96 bits: it is what a NoSec device proves itself with */
    for (int i = 0; i < LWM2M_LOCATION; i++) out[i] = digits[dice[i] & 63];
    out[LWM2M_LOCATION] = 0;
}

/* A name is one segment of a path: what cannot stand in one is percent-encoded. */
char *lwm2m_name_new(mem *m, const char *mount, text endpoint)
{
    buf b;
    char *out;
    int rc;

    buf_init(&b, m, 0);
    rc = buf_print(&b, "%s/", mount);
    for (size_t i = 0; i < endpoint.len && rc == 0; i++) {
        unsigned char c = (unsigned char)endpoint.p[i];
        rc = c <= 0x20 || c == 0x7f || strchr("/+#{}%!", c) ? buf_print(&b, "%%%02X", c) : buf_put_u8(&b, c);
    }
    out = rc == 0 ? mem_text_len(m, (const char *)b.data, b.len) : NULL;
    buf_done(&b);
    return out;
}

static void device_free(lwm2m_device *d)
{
    mem *m = d->server->mem;

    mem_free(m, d->name);
    mem_free(m, d->endpoint);
    mem_free(m, d->identity);
    mem_free(m, d->msisdn);
    mem_free(m, d->links);
    mem_free(m, d->root);
    mem_free(m, d);
}

void lwm2m_release(lwm2m_device *d)
{
    if (--d->holds == 0 && d->gone) device_free(d);
}

/* Takes the name; NULL: no memory. */
static lwm2m_device *device_make(lwm2m_port *p, const lwm2m_said *said, char *name, const char *identity)
{
    lwm2m_server *s = p->server;
    lwm2m_device *d = name ? mem_new(s->mem, lwm2m_device) : NULL;
    int rc;

    if (!d) {
        mem_free(s->mem, name);
        return NULL;
    }
    d->server = s;
    d->port = p;
    d->name = name;
    d->lifetime = LWM2M_LIFETIME;
    d->format = BRIDGE_TLV;
    list_init(&d->link);
    list_init(&d->conn_link);
    list_init(&d->queue);
    list_init(&d->flying);
    list_init(&d->observations);
    list_init(&d->behind);
    list_init(&d->behind_link);
    rc = text_take(s->mem, &d->endpoint, said->endpoint);
    if (rc == 0 && identity && !(d->identity = mem_text(s->mem, identity))) rc = BRIDGE_NOMEM;
    if (rc == 0) return d;
    device_free(d);
    return NULL;
}

static int device_new(lwm2m_port *p, const lwm2m_said *said, char *name, const char *identity, lwm2m_device **out)
{
    lwm2m_server *s = p->server;
    lwm2m_device *d = device_make(p, said, name, identity);
    int rc = d ? map_put(&s->by_name, d->name, strlen(d->name), d, NULL) : BRIDGE_NOMEM;

    if (rc < 0) {
        if (d) device_free(d);
        return rc;
    }
    s->device_count++;
    list_push(&s->devices, &d->link);
    *out = d;
    return 0;
}

/* Its paths are its own from now on. */
static int device_own(lwm2m_device *d, const char *user)
{
    char pattern[1024];
    int n = snprintf(pattern, sizeof pattern, "%s/{path...}", d->name);
    int rc = n > 0 && (size_t)n < sizeof pattern ? 0 : BRIDGE_TOOBIG;

    if (rc == 0) rc = bridge_peer_new(&d->peer, d->server->home, d->endpoint, user, BRIDGE_PEER_CANONICAL, d);
    if (rc == 0) bridge_peer_via(d->peer, d->port->coap.port, user);
    if (rc == 0) rc = bridge_peer_own(d->peer, pattern, &lwm2m_owner_fns, d, &d->owner);
    return rc;
}

static int may_come(lwm2m_port *p, const lwm2m_said *said, const char *identity, const char **user)
{
    char endpoint[LWM2M_ENDPOINT_MAX + 1], who[LWM2M_ENDPOINT_MAX + 8];
    bridge_ask ask = {.size = sizeof ask, .verb = BRIDGE_CONNECT, .who = who, .path = endpoint, .certified = identity};
    int rc;

    snprintf(endpoint, sizeof endpoint, "%.*s", (int)said->endpoint.len, said->endpoint.p);
    snprintf(who, sizeof who, "lwm2m:%s", endpoint);
    rc = bridge_port_login(p->coap.port, &ask);
    *user = ask.user;
    return rc;
}

/* max_register_rate of a second. */
static bool too_fast(lwm2m_port *p)
{
    uint64_t second = (uint64_t)loop_now(p->server->loop) / 1000;

    if (!p->limits.max_register_rate) return false;
    if (second != p->second) p->second = second, p->registrations = 0;
    return ++p->registrations > p->limits.max_register_rate;
}

static uint8_t minor_of(text version) { return version.len == 3 ? (uint8_t)(version.p[2] - '0') : 0; }

/* It takes its place: known before, or new. */
static int settle_in(lwm2m_device *d, lwm2m_port *p, coap_peer *from, const lwm2m_said *said)
{
    lwm2m_server *s = d->server;
    int rc;

    if (*d->location) map_remove(&s->by_location, d->location, LWM2M_LOCATION);
    list_remove(&d->behind_link); /* it speaks for itself now */
    d->gateway = NULL;
    lwm2m_random_name(d->location);
    rc = take_place(d, p, from);
    d->minor = minor_of(said->version);
    d->since = loop_calendar(s->loop);
    d->format_known = false;
    d->format = BRIDGE_TLV;
    if (rc == 0) rc = map_put(&s->by_location, d->location, LWM2M_LOCATION, d, NULL);
    return rc ? rc : take_said(d, said, true);
}

int lwm2m_register(lwm2m_port *p, coap_peer *from, const lwm2m_said *said, const char *identity, lwm2m_device **out)
{
    lwm2m_server *s = p->server;
    const char *user = NULL;
    char *name;
    lwm2m_device *d;
    bool fresh;
    int rc = too_fast(p) ? BRIDGE_BUSY : may_come(p, said, identity, &user);

    if (rc < 0) return rc;
    name = lwm2m_name_new(s->mem, p->mount, said->endpoint);
    if (!name) return BRIDGE_NOMEM;
    d = lwm2m_find(s, name);
    fresh = !d;
    if (d) {
        mem_free(s->mem, name);
        /* who came with a proof is not pushed out by one without it, nor by one who has proved to be another */
        if (d->identity && (!identity || strcmp(identity, d->identity) != 0)) return BRIDGE_DENIED;
        if (identity && !d->identity && !(d->identity = mem_text(s->mem, identity))) return BRIDGE_NOMEM;
    } else {
        if (s->device_count >= p->limits.max_devices) {
            mem_free(s->mem, name);
            return BRIDGE_BUSY;
        }
        rc = device_new(p, said, name, identity, &d);
    }
    if (rc == 0) rc = settle_in(d, p, from, said);
    if (rc == 0 && fresh) rc = device_own(d, user);
    if (rc < 0) {
        if (d) lwm2m_remove(d, LWM2M_GONE_CLOSED);
        return rc;
    }
    s->count.registrations++;
    lwm2m_keep(d);
    *out = d;
    return 0;
}

int lwm2m_update(lwm2m_device *d, lwm2m_port *p, coap_peer *from, const lwm2m_said *said)
{
    bool moved = is_elsewhere(d, p, from);
    int rc = moved ? take_place(d, p, from) : 0;

    if (rc == 0) rc = take_said(d, said, false);
    if (rc < 0) return rc;
    d->server->count.updates++;
    lwm2m_keep(d);
    if (moved) lwm2m_elsewhere(d);
    if (moved) lwm2m_fly_again(d);
    if (moved) { /* its notifications would come from where nobody expects them */
        lwm2m_observe_again(d);
        list_each (it, &d->behind) lwm2m_observe_again(list_of(it, lwm2m_device, behind_link));
    }
    return 0;
}

/* One that is here to be bootstrapped only: in no table, owns nothing; at most one an endpoint and place, by its own doing. */
int lwm2m_guest(lwm2m_port *p, coap_peer *from, text endpoint, const char *identity, lwm2m_device **out)
{
    lwm2m_server *s = p->server;
    lwm2m_said said = {.endpoint = endpoint};
    const char *user = NULL;
    lwm2m_device *d;
    int rc = too_fast(p) || s->guest_count >= LWM2M_GUESTS ? BRIDGE_BUSY : may_come(p, &said, identity, &user);

    if (rc < 0) return rc;
    d = device_make(p, &said, lwm2m_name_new(s->mem, p->mount, endpoint), identity);
    if (!d) return BRIDGE_NOMEM;
    d->guest = true;
    s->guest_count++;
    list_push(&s->guests, &d->link);
    if (coap_peer_link(from)) {
        rc = take_conn(d, from);
    } else {
        d->place.port = p;
        d->place.address = *coap_peer_address(from);
    }
    if (rc == 0) rc = text_take(s->mem, &d->root, (text){"", 0});
    if (rc == 0) rc = bridge_peer_new(&d->peer, s->home, d->endpoint, user, BRIDGE_PEER_CANONICAL, d);
    if (rc < 0) {
        lwm2m_remove(d, LWM2M_GONE_CLOSED);
        return rc;
    }
    bridge_peer_via(d->peer, p->coap.port, user);
    *out = d;
    return 0;
}

void lwm2m_behind(lwm2m_device *gateway, text endpoint, const char *root, text links)
{
    lwm2m_server *s = gateway->server;
    lwm2m_port *p = gateway->port;
    lwm2m_said said = {.endpoint = endpoint};
    char *name = lwm2m_name_new(s->mem, p->mount, endpoint);
    lwm2m_device *d = name ? lwm2m_find(s, name) : NULL;
    bool fresh = !d;
    int rc = name ? 0 : BRIDGE_NOMEM;

    if (fresh && rc == 0) rc = s->device_count < p->limits.max_devices ? device_new(p, &said, name, gateway->identity, &d) : BRIDGE_BUSY;
    if (!fresh || rc == BRIDGE_BUSY) mem_free(s->mem, name);
    if (rc < 0 || (!fresh && d->gateway != gateway)) return; /* somebody's else */
    if (fresh) list_push(&gateway->behind, &d->behind_link);
    d->gateway = gateway;
    d->stays = d->ready = true;
    d->minor = gateway->minor;
    d->queue_mode = gateway->queue_mode;
    d->lifetime = gateway->lifetime;
    d->format = gateway->format;
    d->format_known = gateway->format_known;
    d->since = loop_calendar(s->loop);
    memcpy(d->binding, gateway->binding, sizeof d->binding);
    rc = text_take(s->mem, &d->root, text_of(root));
    if (rc == 0) rc = text_take(s->mem, &d->links, links);
    if (rc == 0 && fresh) rc = device_own(d, gateway->identity);
    if (rc < 0)
        lwm2m_remove(d, LWM2M_GONE_CLOSED);
    else if (fresh)
        lwm2m_event(d, "registered", NULL);
}

/* It was registered when the bridge ended. */
void lwm2m_restore(lwm2m_port *p, const lwm2m_kept *kept)
{
    lwm2m_server *s = p->server;
    char *name = lwm2m_name_new(s->mem, p->mount, kept->said.endpoint);
    char *identity = kept->identity.len ? mem_text_len(s->mem, kept->identity.p, kept->identity.len) : NULL;
    lwm2m_device *d = NULL;
    int rc = name ? 0 : BRIDGE_NOMEM;

    if (rc == 0 && (lwm2m_find(s, name) || kept->left <= 0 || kept->location.len != LWM2M_LOCATION)) {
        mem_free(s->mem, name);
        mem_free(s->mem, identity);
        return;
    }
    if (rc == 0) rc = device_new(p, &kept->said, name, identity, &d);
    if (rc == 0) {
        memcpy(d->location, kept->location.p, LWM2M_LOCATION);
        d->minor = kept->minor;
        d->since = kept->since;
        d->lost = !kept->address.family;
        if (kept->address.family) {
            d->place.port = p;
            d->place.address = kept->address;
            rc = map_put(&s->by_place, &d->place, sizeof d->place, d, NULL);
        }
    }
    if (rc == 0) rc = map_put(&s->by_location, d->location, LWM2M_LOCATION, d, NULL);
    if (rc == 0) rc = take_said(d, &kept->said, true);
    if (rc == 0) rc = timer_start(&d->expiry, s->loop, kept->left, on_expiry);
    if (rc == 0) rc = device_own(d, identity);
    if (rc == 0 && kept->format >= 0) d->format = (uint16_t)kept->format, d->format_known = true;
    if (rc == 0) {
        d->ready = true;
        d->asleep = d->queue_mode;
        lwm2m_pump(d);
    } else if (d) {
        lwm2m_remove(d, LWM2M_GONE_CLOSED);
    }
    mem_free(s->mem, identity);
}

/* ---- Going */

void lwm2m_remove(lwm2m_device *d, lwm2m_why why)
{
    static const char *const reasons[] = {"asked", "expired", "replaced", "closed"};
    lwm2m_server *s = d->server;
    char more[40];

    if (d->gone) return;
    lwm2m_hold(d);
    while (!list_empty(&d->behind)) lwm2m_remove(list_of(d->behind.next, lwm2m_device, behind_link), why);
    list_remove(&d->behind_link);
    if (why != LWM2M_GONE_CLOSED) lwm2m_keep_not(d);
    d->gone = true;
    if (d->suspect) s->suspects--;
    d->suspect = d->mute = false;
    lwm2m_boot_lost(d);
    timer_stop(&d->expiry);
    timer_stop(&d->doze);
    leave_place(d);
    if (map_get(&s->by_name, d->name, strlen(d->name)) == d) map_remove(&s->by_name, d->name, strlen(d->name));
    if (*d->location) map_remove(&s->by_location, d->location, LWM2M_LOCATION);
    list_remove(&d->link);
    if (d->guest)
        s->guest_count--;
    else
        s->device_count--;
    lwm2m_flash_leave(d, why == LWM2M_GONE_CLOSED);
    lwm2m_drop_ops(d, BRIDGE_UNREACHABLE);
    lwm2m_observe_done(d);
    snprintf(more, sizeof more, ",\"reason\":\"%s\"", reasons[why]);
    if (why != LWM2M_GONE_CLOSED) lwm2m_event(d, "deregistered", more);
    bridge_owner_close(d->owner);
    bridge_peer_free(d->peer);
    d->owner = NULL;
    d->peer = NULL;
    lwm2m_release(d);
}

/* A session or a stream has ended; a device may come back on another, and its registration lives on. */
void lwm2m_peer_lost(lwm2m_port *p, coap_peer *peer)
{
    lwm2m_conn *c = *coap_peer_user(peer);
    list *it;

    if (!c || !coap_peer_link(peer)) return;
    while ((it = list_pop(&c->devices))) {
        lwm2m_device *d = list_of(it, lwm2m_device, conn_link);
        d->conn = NULL;
        d->lost = true;
    }
    mem_free(p->coap.mem, c); /* the server may be gone before its last listener is */
    *coap_peer_user(peer) = NULL;
}

void lwm2m_server_done(lwm2m_server *s)
{
    lwm2m_campaigns_done(s);
    lwm2m_flash_done(s);
    lwm2m_parts_done(s);
    lwm2m_words_drop(s);
    while (!list_empty(&s->guests)) lwm2m_remove(list_of(s->guests.next, lwm2m_device, link), LWM2M_GONE_CLOSED);
    while (!list_empty(&s->devices)) lwm2m_remove(list_of(s->devices.next, lwm2m_device, link), LWM2M_GONE_CLOSED);
    map_done(&s->by_name);
    map_done(&s->by_location);
    map_done(&s->by_place);
    lwm2m_model_free(s->model);
    s->home = NULL;
}
