/* uplink_end.h - one MQTT client of an uplink without a network, and its broker: what the tests of it share. */
#ifndef UPLINK_END_H
#define UPLINK_END_H
#include "adapter/mqtt/wire.h"
#include "adapter/uplink/buffer.h"
#include "adapter/uplink/client.h"
#include "check.h"
#include "core/message.h"
#include <stdlib.h>

typedef struct end { /* of the client: what it said, and what it told us */
    client *c;
    link_settings s;
    uint8_t out[1 << 16];
    size_t len, at;
    int64_t now;
    int ups, ends, resets, code, pending;
    char why[200], done[400], heard[400], subscribed[100];
    client_ack *acks[8];
    int ack_count;
    bool hold; /* messages are not taken at once */
    uint64_t batch;    /* the disk's: 0: there is none */
    char kept[400];
    list parcels;
} end;

static inline void *on_room(void *user, size_t len)
{
    end *e = user;

    if (e->len + len > sizeof e->out) return NULL;
    e->len += len;
    return e->out + e->len - len;
}

static inline void on_up(void *user, const link_up *up)
{
    (void)up;
    ((end *)user)->ups++;
}

static inline void on_end(void *user, int code, const char *why)
{
    end *e = user;

    e->ends++;
    e->code = code;
    snprintf(e->why, sizeof e->why, "%s", why);
}

static inline void on_reset(void *user)
{
    ((end *)user)->resets++;
}

static inline void on_done(void *user, parcel *p)
{
    end *e = user;

    snprintf(e->done + strlen(e->done), sizeof e->done - strlen(e->done), "%s%s ", p->topic, p->refused ? "!" : "");
}

static inline void on_subscribed(void *user, const char *filter, bool awaited, uint8_t code)
{
    end *e = user;

    snprintf(e->subscribed + strlen(e->subscribed), sizeof e->subscribed - strlen(e->subscribed), "%s%s:%u ", awaited ? "!" : "", filter, code);
}

static inline int on_message(void *user, const arrival *a, client_ack *ack)
{
    end *e = user;

    snprintf(e->heard + strlen(e->heard), sizeof e->heard - strlen(e->heard), "%s=%.*s ", a->topic, (int)a->len, (const char *)a->data);
    if (!e->hold || !ack) return 0;
    e->acks[e->ack_count++] = ack;
    return BRIDGE_PENDING;
}

static inline uint64_t keep_out(void *user, parcel *p)
{
    end *e = user;

    if (e->batch) snprintf(e->kept + strlen(e->kept), sizeof e->kept - strlen(e->kept), "%s:%u:%u ", p->topic, p->id, p->phase);
    return e->batch;
}

static inline uint64_t keep_in(void *user, uint16_t id, bool taken)
{
    end *e = user;

    if (e->batch) snprintf(e->kept + strlen(e->kept), sizeof e->kept - strlen(e->kept), "%c%u ", taken ? '+' : '-', id);
    return e->batch;
}

static const client_hooks hooks = {on_room, on_up, on_end, on_reset, on_done, on_subscribed, on_message, keep_out, keep_in};

/* ---- the broker */

/* The next packet that the client said; type 0: nothing more. */
static inline wire_packet said(end *e)
{
    wire_packet p = {0};
    unsigned header;
    int64_t n = e->at < e->len ? wire_frame(e->out + e->at, e->len - e->at, &header) : 0;

    if (n <= 0) return p;
    CHECK_INT(wire_parse(&p, e->out + e->at, (size_t)n, (unsigned)e->s.version, 0), 0);
    e->at += (size_t)n;
    return p;
}

/* In short: "PUBLISH 1 a/b dup", "PUBREL 1", "-". */
static inline const char *said_short(end *e)
{
    static char brief[200];
    wire_packet p = said(e);

    if (!p.type) return "-";
    snprintf(brief, sizeof brief, "%s", wire_type_name(p.type));
    if (p.id) snprintf(brief + strlen(brief), 20, " %u", p.id);
    if (p.type == WIRE_PUBLISH)
        snprintf(brief + strlen(brief), 100, " %.*s%s", (int)p.publish.topic.len, (const char *)p.publish.topic.p, p.publish.dup ? " dup" : "");
    if (p.props.has & WIRE_HAS_ALIAS) snprintf(brief + strlen(brief), 20, " #%u", p.props.alias);
    if (p.reason) snprintf(brief + strlen(brief), 20, " 0x%02x", p.reason);
    return brief;
}

static inline void hear(end *e, const wire_packet *p)
{
    uint8_t bytes[1000];
    size_t n = (size_t)(wire_write(p, bytes) - bytes);

    CHECK_INT(client_data(e->c, bytes, n, e->now), n);
}

static inline void hear_ack(end *e, wire_type type, uint16_t id, uint8_t reason)
{
    hear(e, &(wire_packet){.type = (uint8_t)type, .version = (uint8_t)e->s.version, .id = id, .reason = reason});
}

static inline void hear_publish(end *e, const char *topic, uint8_t qos, uint16_t id, bool dup)
{
    wire_packet p = {.type = WIRE_PUBLISH, .version = (uint8_t)e->s.version, .id = id};

    p.publish = (wire_publish){.qos = qos, .dup = dup, .topic = {(const uint8_t *)topic, (uint32_t)strlen(topic)}, .payload = {(const uint8_t *)"x", 1}};
    hear(e, &p);
}

static inline void begin(end *e)
{
    e->len = e->at = 0;
    client_begin(e->c, &e->s, e->now, 1700000000000 + e->now);
    CHECK_STR(said_short(e), "CONNECT");
}

static inline void welcome(end *e, bool session, wire_props props)
{
    hear(e, &(wire_packet){.type = WIRE_CONNACK, .version = (uint8_t)e->s.version, .session_present = session, .props = props});
}

static inline end *open_end(int version, bool clean, unsigned window)
{
    end *e = calloc(1, sizeof *e);

    e->s = (link_settings){.client_id = (char *)"me", .version = version, .clean = clean, .keep_alive = 10, .session_expiry = 100, .max_packet = 1000};
    e->now = 1000;
    list_init(&e->parcels);
    CHECK_INT(client_new(&e->c, mem_default(), window, &hooks, e), 0);
    begin(e);
    return e;
}

static inline end *up_end(int version, bool clean, unsigned window)
{
    end *e = open_end(version, clean, window);

    welcome(e, false, (wire_props){0});
    CHECK_INT(e->ups, 1);
    return e;
}

static inline void close_end(end *e)
{
    client_free(e->c);
    while (!list_empty(&e->parcels)) parcel_free(mem_default(), list_of(e->parcels.next, parcel, link));
    free(e);
}

static inline int publish(end *e, const char *topic, uint8_t qos)
{
    bridge_msg *msg = NULL;
    parcel *p;

    CHECK_INT(bridge_msg_new(&msg, BRIDGE_FIELDS(.path = topic, .data = "x", .len = 1)), 0);
    p = parcel_new(mem_default(), msg, topic, strlen(topic));
    bridge_msg_unref(msg);
    p->qos = qos;
    list_push(&e->parcels, &p->link);
    return client_publish(e->c, p, e->now, 1700000000000 + e->now);
}
#endif
