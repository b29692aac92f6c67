/* adapter/uplink/client_out.c - messages towards the broker, what it says to them, and subscriptions. */
#include "adapter/uplink/client_inside.h"
#include "codec/registry.h"
#include "core/message.h"

/* ---- packet identifiers: the lowest that were never used, then those that came back */

static uint16_t take_id(client *c, void *of, bool is_parcel)
{
    uint16_t id = c->free_id;

    if (id) {
        c->free_id = c->slots[id].next;
    } else {
        if (c->slot_count == 0) c->slot_count = 1;
        if (c->slot_count > UINT16_MAX) return 0;
        if (mem_grow(c->mem, (void **)&c->slots, &c->slot_room, c->slot_count, sizeof *c->slots) < 0) return 0;
        id = (uint16_t)c->slot_count++;
    }
    c->slots[id] = (slot){.of = of, .is_parcel = is_parcel};
    return id;
}

static void give_id(client *c, uint16_t id)
{
    c->slots[id] = (slot){.next = c->free_id};
    c->free_id = id;
}

static void *who_has(const client *c, uint16_t id, bool is_parcel)
{
    return id < c->slot_count && c->slots[id].is_parcel == is_parcel ? c->slots[id].of : NULL;
}

/* ---- PUBLISH */

static int add_user(client *c, const char *name, const char *value)
{
    wire_slice n = slice_text(name), v = slice_text(value);
    uint8_t *at;

    if (n.len > UINT16_MAX || v.len > UINT16_MAX) return 0; /* HTTP headers can be longer */
    if (has_controls(name, n.len) || has_controls(value, v.len)) return 0;
    at = buf_reserve(&c->props, wire_user_size(n.len, v.len));
    if (!at) return BRIDGE_NOMEM;
    wire_user_write(at, n, v);
    return 0;
}

static void add_text(wire_props *to, uint64_t bit, wire_slice *field, const char *s)
{
    if (!s || strlen(s) > UINT16_MAX) return;
    *field = slice_text(s);
    to->has |= bit;
}

static int fill_properties(client *c, wire_props *to, const parcel *what, int64_t now)
{
    const bridge_msg *msg = what->msg;
    const msg_extra *x = msg_extra_of(msg);
    const char *type = x && x->media_type ? x->media_type : format_media_type((bridge_format)msg->format);
    int64_t left = msg_ttl_left(msg, now);
    int rc = 0;

    if (msg->text_said) {
        to->payload_format = msg->text_said == MSG_TEXT_YES;
        to->has |= WIRE_HAS_PAYLOAD_FORMAT;
    }
    if (what->until != INT64_MAX) {
        left = (left + 999) / 1000;
        to->message_expiry = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
        to->has |= WIRE_HAS_MESSAGE_EXPIRY;
    }
    add_text(to, WIRE_HAS_CONTENT_TYPE, &to->content_type, what->gone ? NULL : type);
    add_text(to, WIRE_HAS_RESPONSE_TOPIC, &to->response_topic, what->response ? what->response : x ? x->response : NULL);
    if (x && x->correlation && x->correlation_len <= UINT16_MAX) {
        to->correlation = (wire_slice){x->correlation, (uint32_t)x->correlation_len};
        to->has |= WIRE_HAS_CORRELATION;
    }
    buf_clear(&c->props);
    for (size_t i = 0; rc == 0 && x && i < x->prop_count; i++) rc = add_user(c, x->props[i].name, x->props[i].value);
    if (rc == 0 && what->hop) rc = add_user(c, LINK_HOP, what->hop);
    to->extra = (wire_slice){c->props.data, (uint32_t)c->props.len};
    return rc;
}

/* An alias counts once the packet that says what it stands for is written. */
static int write_aliased(client *c, wire_packet *p)
{
    wire_slice topic = p->publish.topic;
    alias_use use = aliases_out_use(&c->aliases_out, (text){(const char *)topic.p, topic.len});
    int rc;

    if (!use.number) return client_write(c, p);
    p->props.has |= WIRE_HAS_ALIAS;
    p->props.alias = (uint16_t)use.number;
    if (use.known) p->publish.topic.len = 0;
    rc = client_write(c, p);
    if (rc == 0) aliases_out_said(&c->aliases_out, &use);
    else aliases_out_unsaid(&c->aliases_out, &use);
    if (rc != BRIDGE_TOOBIG || use.known) return rc;
    p->props.has &= ~(uint64_t)WIRE_HAS_ALIAS; /* these bytes may be the ones too many */
    return client_write(c, p);
}

static int write_publish(client *c, const parcel *p, bool again)
{
    wire_packet packet = {.type = WIRE_PUBLISH, .version = (uint8_t)c->version, .id = p->id};
    int rc = c->version == WIRE_V5 ? fill_properties(c, &packet.props, p, c->now + c->calendar) : 0;

    if (rc < 0) return rc;
    packet.publish = (wire_publish){.qos = p->qos, .retain = p->retain, .dup = again, .topic = slice_text(p->topic)};
    if (!p->gone) packet.publish.payload = (wire_slice){msg_data(p->msg), (uint32_t)p->msg->len};
    return c->aliases_out.most ? write_aliased(c, &packet) : client_write(c, &packet);
}

static int write_release(client *c, uint16_t id)
{
    wire_packet p = {.type = WIRE_PUBREL, .version = (uint8_t)c->version, .id = id};

    return client_write(c, &p);
}

bool client_may(const client *c, uint8_t qos)
{
    if (c->state != CLIENT_UP || c->stale) return false;
    return qos == 0 || (c->quota && c->in_flight < c->window);
}

/* The broker may have this identifier from a time that we know nothing of, and would take our message for that one come again: so that
 * one is released first [5: 4.3.3]. */
static int settle_doubt(client *c, uint16_t id)
{
    uint8_t bit = (uint8_t)(1u << (id & 7));

    if (!c->uncertain || !(c->uncertain[id >> 3] & bit)) return 0;
    c->uncertain[id >> 3] &= (uint8_t)~bit;
    return write_release(c, id);
}

void client_doubt(client *c)
{
    if (!c->uncertain) c->uncertain = mem_alloc(c->mem, (UINT16_MAX + 1) / 8);
    if (c->uncertain) memset(c->uncertain, 0xff, (UINT16_MAX + 1) / 8);
}

/* What is next to be said waits until the disk has what it is about: else it would be said as something new after a kill. */
static bool hold(client *c, parcel *p)
{
    c->held -= p->held;
    p->batch = p->qos == 2 && c->hooks->keep_out ? c->hooks->keep_out(c->user, p) : 0;
    p->held = p->batch != 0;
    c->held += p->held;
    return p->held;
}

static int write_first(client *c, const parcel *p)
{
    int rc = p->qos == 2 ? settle_doubt(c, p->id) : 0;

    return rc == 0 ? write_publish(c, p, false) : rc;
}

int client_publish(client *c, parcel *p, int64_t now, int64_t calendar)
{
    int rc;

    if (c->state != CLIENT_UP) return BRIDGE_CLOSED;
    c->now = now;
    c->calendar = calendar - now; /* the two are not bound to each other for ever */
    p->id = 0;
    p->again = false;
    p->phase = PARCEL_SENT;
    if (p->qos && !(p->id = take_id(c, p, true))) return BRIDGE_NOMEM;
    rc = hold(c, p) ? 0 : write_first(c, p);
    if (rc < 0 && p->id) give_id(c, p->id);
    if (rc < 0 || p->qos == 0) return rc;
    list_push(&c->flight, &p->flight);
    c->in_flight++;
    c->quota--;
    return 0;
}

/* ---- what is in flight */

static void land(client *c, parcel *p)
{
    list_remove(&p->flight);
    give_id(c, p->id);
    c->in_flight--;
    if (p->again) c->stale--;
    c->held -= p->held;
    p->held = false;
    if (c->quota < c->most_quota) c->quota++; /* [5: 4.9] */
}

/* After CONNACK, in the order of the first time [5: 4.4-1, 4.6]; as many as the broker takes at once. */
void client_resend(client *c)
{
    c->stale = 0;
    list_each(it, &c->flight)
    {
        list_of(it, parcel, flight)->again = true;
        c->stale++;
    }
    client_ask_on(c);
}

static void done(client *c, parcel *p, uint8_t reason)
{
    p->refused = reason >= WIRE_UNSPECIFIED;
    p->reason = reason;
    land(c, p);
    c->hooks->on_done(c->user, p);
}

static parcel *next_stale(const client *c)
{
    list_each(it, &c->flight)
    {
        parcel *p = list_of(it, parcel, flight);
        if (p->again) return p;
    }
    return NULL;
}

static void resend_more(client *c)
{
    parcel *p;

    while (c->stale && (p = next_stale(c))) {
        bool whole = p->phase == PARCEL_SENT;
        int rc;
        if (p->held || (whole && c->quota == 0)) return;
        rc = whole ? write_publish(c, p, true) : write_release(c, p->id);
        if (rc == BRIDGE_TOOBIG) {
            done(c, p, WIRE_TOO_LARGE); /* for the broker of now */
            continue;
        }
        if (rc < 0) return;
        if (whole) c->quota--;
        p->again = false;
        c->stale--;
    }
}

static void say_next(client *c, parcel *p)
{
    int rc = p->phase == PARCEL_RELEASED ? write_release(c, p->id) : write_first(c, p);

    if (rc == BRIDGE_TOOBIG) done(c, p, WIRE_TOO_LARGE);
}

void client_say_held(client *c, uint64_t batch)
{
    list_each_safe(it, &c->flight)
    {
        parcel *p = list_of(it, parcel, flight);
        if (!p->held || p->batch > batch) continue;
        p->held = false;
        c->held--;
        if (c->state == CLIENT_UP && !p->again) say_next(c, p);
    }
    if (c->state == CLIENT_UP && c->stale) resend_more(c);
}

void client_drop_flight(client *c)
{
    list *it;

    while ((it = list_pop(&c->flight))) {
        parcel *p = list_of(it, parcel, flight);
        give_id(c, p->id);
        p->held = false;
    }
    c->in_flight = c->stale = c->held = 0;
    c->quota = c->most_quota;
}

/* ---- the session of before our time */

static int take_this_id(client *c, uint16_t id, parcel *p)
{
    while (c->slot_count <= id) {
        int rc = mem_grow(c->mem, (void **)&c->slots, &c->slot_room, c->slot_count, sizeof *c->slots);
        if (rc < 0) return rc;
        c->slots[c->slot_count++] = (slot){0};
    }
    if (id == 0 || c->slots[id].of) return BRIDGE_EXISTS;
    c->slots[id] = (slot){.of = p, .is_parcel = true};
    return 0;
}

static void free_the_rest(client *c)
{
    c->free_id = 0;
    for (size_t i = c->slot_count; i-- > 1;)
        if (!c->slots[i].of) give_id(c, (uint16_t)i);
}

int client_resume(client *c, list *parcels, const uint16_t *ids, size_t count)
{
    int rc = 0;
    list *it;

    while (rc == 0 && (it = list_pop(parcels))) {
        parcel *p = list_of(it, parcel, flight);
        rc = take_this_id(c, p->id, p);
        if (rc < 0) break;
        list_push(&c->flight, &p->flight);
        c->in_flight++;
    }
    for (size_t i = 0; rc == 0 && i < count; i++) rc = client_take_again(c, ids[i]);
    free_the_rest(c);
    c->session = rc == 0;
    if (rc < 0) client_forget(c);
    return rc;
}

int client_handle_ack(client *c, const wire_packet *packet)
{
    parcel *p = who_has(c, packet->id, true);

    if (packet->type == WIRE_PUBREC) {
        if (p && p->qos != 2) return WIRE_PROTOCOL_ERROR;
        if (!p) { /* of the time before */
            write_release(c, packet->id);
            return 0;
        }
        if (packet->reason >= WIRE_UNSPECIFIED) { /* [5: 4.3.3] then that was all */
            done(c, p, packet->reason);
            resend_more(c);
            return 0;
        }
        if (p->phase != PARCEL_RELEASED) {
            p->phase = PARCEL_RELEASED;
            hold(c, p);
        }
        if (!p->held) write_release(c, p->id);
        return 0;
    }
    if (!p) return 0; /* of the time before */
    if (packet->type == WIRE_PUBACK ? p->qos != 1 : p->qos != 2) return WIRE_PROTOCOL_ERROR;
    if (packet->type == WIRE_PUBCOMP && (p->phase != PARCEL_RELEASED || p->held)) return 0; /* of settle_doubt() */
    done(c, p, packet->type == WIRE_PUBACK ? packet->reason : 0);
    resend_more(c);
    return 0;
}

/* ---- SUBSCRIBE, UNSUBSCRIBE */

static int write_asking(client *c, const subscribing *a)
{
    wire_packet p = {.type = a->leaves ? WIRE_UNSUBSCRIBE : WIRE_SUBSCRIBE, .version = (uint8_t)c->version, .id = a->id};
    wire_slice filter = slice_text(a->filter);
    uint8_t *at;

    buf_clear(&c->props);
    at = buf_reserve(&c->props, filter.len + 3);
    if (!at) return BRIDGE_NOMEM;
    memcpy(wire_u16_write(at, filter.len), filter.p, filter.len);
    at[2 + filter.len] = (uint8_t)(a->qos | (c->version == WIRE_V5 ? 4 | 8 | (a->quiet ? 2 << 4 : 0) : 0)); /* no local, retain as published */
    p.list = (wire_list){{c->props.data, filter.len + (a->leaves ? 2 : 3)}, 1};
    return client_write(c, &p);
}

static void forget_asking(client *c, subscribing *a)
{
    if (a->id) {
        give_id(c, a->id);
        c->asked--;
    }
    list_remove(&a->link);
}

void client_drop_asking(client *c)
{
    while (!list_empty(&c->asking)) {
        subscribing *a = list_of(c->asking.next, subscribing, link);
        forget_asking(c, a);
        mem_free(c->mem, a);
    }
}

void client_ask_on(client *c)
{
    if (c->stale) resend_more(c);
    list_each(it, &c->asking)
    {
        subscribing *a = list_of(it, subscribing, link);
        if (a->id) continue;
        if (c->asked >= CLIENT_ASKING || !(a->id = take_id(c, a, false))) return;
        c->asked++;
        if (write_asking(c, a) < 0) return;
    }
}

static int ask(client *c, const char *filter, const subscribing *how)
{
    size_t n = strlen(filter);
    subscribing *a;

    if (c->state != CLIENT_UP) return BRIDGE_CLOSED;
    a = n <= UINT16_MAX ? mem_alloc(c->mem, sizeof *a + n + 1) : NULL;
    if (!a) return n <= UINT16_MAX ? BRIDGE_NOMEM : BRIDGE_TOOBIG;
    *a = *how;
    memcpy(a->filter, filter, n + 1);
    list_push(&c->asking, &a->link);
    client_ask_on(c);
    return 0;
}

int client_subscribe(client *c, const char *filter, uint8_t qos, bool quiet, bool awaited)
{
    return ask(c, filter, &(subscribing){.qos = qos, .quiet = quiet, .awaited = awaited});
}

int client_unsubscribe(client *c, const char *filter)
{
    return ask(c, filter, &(subscribing){.leaves = true});
}

int client_handle_suback(client *c, const wire_packet *p)
{
    subscribing *a = who_has(c, p->id, false);
    bool leaves = p->type == WIRE_UNSUBACK;
    unsigned turn = c->turn;

    if (!a || a->leaves != leaves || (!leaves && p->list.count != 1)) return WIRE_PROTOCOL_ERROR;
    forget_asking(c, a);
    if (!leaves) c->hooks->on_subscribed(c->user, a->filter, a->awaited, p->list.entries.p[0]);
    mem_free(c->mem, a);
    if (c->turn == turn) client_ask_on(c);
    return 0;
}
