/* adapter/uplink/client_in.c - PUBLISH from the broker: handed up, and acknowledged in order once it has been taken. */
#include "adapter/uplink/client_inside.h"
#include "base/status.h"

/* ---- identifiers of QoS 2 that are taken and not yet released [5: 4.3.3-10] */

static size_t find_taken(const client *c, uint16_t id)
{
    size_t i = 0;

    while (i < c->taken_count && c->taken[i] != id) i++;
    return i;
}

int client_take_again(client *c, uint16_t id)
{
    if (mem_grow(c->mem, (void **)&c->taken, &c->taken_room, c->taken_count, sizeof *c->taken) < 0) return BRIDGE_NOMEM;
    c->taken[c->taken_count++] = id;
    return 0;
}

static int add_taken(client *c, uint16_t id)
{
    int rc = client_take_again(c, id);

    if (rc == 0 && c->hooks->keep_in) c->hooks->keep_in(c->user, id, true);
    return rc;
}

/* The batch in which it is gone, also when it was before: that may not be on disk yet. */
static uint64_t drop_taken(client *c, uint16_t id, bool *known)
{
    size_t i = find_taken(c, id);

    *known = i < c->taken_count;
    if (*known) memmove(c->taken + i, c->taken + i + 1, (--c->taken_count - i) * sizeof *c->taken);
    return c->hooks->keep_in ? c->hooks->keep_in(c->user, id, false) : 0;
}

static void over(client *c, uint16_t id) /* [5: 4.3.3] the exchange has ended without PUBREL */
{
    bool known;

    drop_taken(c, id, &known);
}

/* ---- acknowledging */

static uint8_t reason_of(const client *c, int status)
{
    if (status >= 0 || status == BRIDGE_NOTFOUND || c->version != WIRE_V5) return WIRE_SUCCESS;
    switch (status) {
    case BRIDGE_DENIED: return WIRE_NOT_AUTHORIZED;
    case BRIDGE_INVALID: return WIRE_BAD_TOPIC;
    case BRIDGE_TOOBIG:
    case BRIDGE_BUSY: return WIRE_QUOTA;
    default: return WIRE_UNSPECIFIED;
    }
}

static void write_ack(client *c, wire_type type, uint16_t id, uint8_t reason)
{
    wire_packet p = {.type = (uint8_t)type, .version = (uint8_t)c->version, .id = id, .reason = reason};

    client_write(c, &p);
}

static void flush_acks(client *c)
{
    while (!list_empty(&c->acks)) {
        client_ack *a = list_of(c->acks.next, client_ack, link);
        if (!a->done) return;
        list_remove(&a->link);
        c->acks_pending--;
        if (!a->muted) write_ack(c, a->qos == 2 ? WIRE_PUBREC : WIRE_PUBACK, a->id, a->reason);
        if (a->qos == 2 && a->reason >= WIRE_UNSPECIFIED) over(c, a->id);
        mem_free(c->mem, a);
    }
}

/* Not now, but later: the broker keeps it when it keeps our session, and sends it again. */
static bool is_for_later(const client *c, int status)
{
    return !c->clean && (status == BRIDGE_BUSY || status == BRIDGE_IO || status == BRIDGE_NOMEM);
}

static void settle(client *c, client_ack *a, int status)
{
    a->reason = reason_of(c, status);
    a->done = true;
    if (is_for_later(c, status)) {
        if (a->qos == 2) over(c, a->id);
        if (!a->muted) client_end(c, WIRE_IMPLEMENTATION, 0, "a message cannot be kept here now");
        a->muted = true;
    }
    flush_acks(c);
}

void client_acknowledge(client_ack *a, int status)
{
    settle(a->client, a, status);
}

void client_mute(client *c)
{
    list_each(it, &c->acks) list_of(it, client_ack, link)->muted = true;
    c->owed_count = 0; /* the broker says PUBREL again */
}

void client_drop_in(client *c, bool all)
{
    c->taken_count = 0;
    list_each(it, &c->acks) list_of(it, client_ack, link)->qos = 0; /* whoever asks for it gets nothing of it */
    if (!all) return;
    mem_free(c->mem, c->taken);
    c->taken = NULL;
    while (!list_empty(&c->acks)) {
        client_ack *a = list_of(list_pop(&c->acks), client_ack, link);
        mem_free(c->mem, a);
    }
    mem_free(c->mem, c->spare);
    c->spare = NULL;
}

/* ---- PUBLISH */

static int put_text(buf *b, wire_slice s, size_t *at)
{
    int rc;

    *at = b->len;
    rc = buf_put(b, s.p, s.len);
    return rc < 0 ? rc : buf_put_u8(b, 0);
}

static int put_users(client *c, const wire_props *p, size_t *count)
{
    wire_slice rest = p->raw, name, value;
    size_t n = 0, a = 0, b = 0;

    while (wire_next_user(&rest, &name, &value)) {
        int rc = mem_grow(c->mem, (void **)&c->user_props, &c->user_room, n, sizeof *c->user_props);
        if (rc == 0) rc = put_text(&c->texts, name, &a);
        if (rc == 0) rc = put_text(&c->texts, value, &b);
        if (rc < 0) return rc;
        c->user_props[n++] = (bridge_prop){(const char *)a, (const char *)b}; /* offsets, as long as the texts may move */
    }
    *count = n;
    return 0;
}

/* The packet as an arrival: texts with a NUL behind them, all of it good until the next packet. */
static int arrival_of(client *c, const wire_packet *p, text name, arrival *a)
{
    const wire_publish *m = &p->publish;
    const wire_props *x = &p->props;
    size_t topic, type = 0, response = 0;
    int rc;

    *a = (arrival){.topic_len = name.len, .data = m->payload.p, .len = m->payload.len, .qos = m->qos, .retain = m->retain};
    buf_clear(&c->texts);
    rc = put_text(&c->texts, (wire_slice){(const uint8_t *)name.p, (uint32_t)name.len}, &topic);
    if (rc == 0 && x->has & WIRE_HAS_CONTENT_TYPE) rc = put_text(&c->texts, x->content_type, &type);
    if (rc == 0 && x->has & WIRE_HAS_RESPONSE_TOPIC) rc = put_text(&c->texts, x->response_topic, &response);
    if (rc == 0 && x->has & WIRE_HAS_USER) rc = put_users(c, x, &a->prop_count);
    if (rc < 0) return rc;
    const char *base = (const char *)c->texts.data;
    a->topic = base + topic;
    if (type) a->content_type = base + type;
    if (response) a->response = base + response;
    for (size_t i = 0; i < a->prop_count; i++)
        c->user_props[i] = (bridge_prop){base + (size_t)c->user_props[i].name, base + (size_t)c->user_props[i].value};
    a->props = c->user_props;
    if (x->has & WIRE_HAS_CORRELATION) {
        a->correlation = x->correlation.p;
        a->correlation_len = x->correlation.len;
    }
    a->has_expiry = x->has & WIRE_HAS_MESSAGE_EXPIRY;
    a->expiry = a->has_expiry ? x->message_expiry : 0;
    a->says_text = x->has & WIRE_HAS_PAYLOAD_FORMAT && x->payload_format == 1;
    a->says_bytes = x->has & WIRE_HAS_PAYLOAD_FORMAT && x->payload_format == 0;
    return 0;
}

/* It came again, and whoever has it from the first time has not yet said so. */
static bool is_under_way(client *c, uint16_t id)
{
    list_each(it, &c->acks)
    {
        client_ack *a = list_of(it, client_ack, link);
        if (a->qos != 2 || a->id != id) continue;
        a->muted = false;
        return true;
    }
    return false;
}

static int take_acked(client *c, const wire_packet *p, const arrival *message)
{
    bool again = p->publish.qos == 2 && find_taken(c, p->id) < c->taken_count;
    client_ack *a = c->spare ? c->spare : mem_new(c->mem, client_ack);
    int rc;

    c->spare = NULL;
    if (!a) return WIRE_UNSPECIFIED;
    *a = (client_ack){.client = c, .id = p->id, .qos = p->publish.qos};
    if (again && is_under_way(c, p->id)) {
        c->spare = a;
        return 0;
    }
    if (c->acks_pending >= (c->version == WIRE_V5 ? (unsigned)CLIENT_RECEIVE : UINT16_MAX)) { /* [5: 3.1.2.11.3] */
        c->spare = a;
        return WIRE_RECEIVE_MAX;
    }
    if (!again && p->publish.qos == 2 && add_taken(c, p->id) < 0) {
        c->spare = a;
        return WIRE_UNSPECIFIED;
    }
    list_push(&c->acks, &a->link);
    c->acks_pending++;
    rc = again ? 0 : c->hooks->on_message(c->user, message, a);
    if (rc != BRIDGE_PENDING) settle(c, a, rc);
    return 0;
}

int client_handle_publish(client *c, const wire_packet *p)
{
    text topic = {(const char *)p->publish.topic.p, p->publish.topic.len};
    arrival a;
    int rc = p->props.has & WIRE_HAS_ALIAS ? aliases_in_resolve(&c->aliases_in, p->props.alias, &topic) : topic.len ? 0 : WIRE_PROTOCOL_ERROR;

    if (rc) return rc;
    if (arrival_of(c, p, topic, &a) < 0) return WIRE_UNSPECIFIED;
    if (p->publish.qos) return take_acked(c, p, &a);
    c->hooks->on_message(c->user, &a, NULL);
    return 0;
}

/* A broker that has its PUBCOMP uses the identifier for something else, which must not be taken for what it was before a kill. */
int client_handle_pubrel(client *c, const wire_packet *p)
{
    bool known;
    uint64_t batch = drop_taken(c, p->id, &known);
    uint8_t reason = known || c->version != WIRE_V5 ? WIRE_SUCCESS : WIRE_ID_NOT_FOUND;

    if (!batch) {
        write_ack(c, WIRE_PUBCOMP, p->id, reason);
        return 0;
    }
    if (c->owed_count > UINT16_MAX) return WIRE_RECEIVE_MAX; /* more than there are identifiers */
    if (mem_grow(c->mem, (void **)&c->owed, &c->owed_room, c->owed_count, sizeof *c->owed) < 0) return WIRE_UNSPECIFIED;
    c->owed[c->owed_count++] = (owed){.batch = batch, .id = p->id, .reason = reason};
    return 0;
}

void client_say_owed(client *c, uint64_t batch)
{
    size_t n = 0;

    for (; n < c->owed_count && c->owed[n].batch <= batch; n++) write_ack(c, WIRE_PUBCOMP, c->owed[n].id, c->owed[n].reason);
    c->owed_count -= n;
    memmove(c->owed, c->owed + n, c->owed_count * sizeof *c->owed);
}
