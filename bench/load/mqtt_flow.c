/* mqtt_flow.c - as fast as it goes: publishers keep a window of messages on the way, so that at no QoS anything may
 * be lost and every delivery can be counted; batches are as large as the window and 64 KiB allow. */
#include "mqtt.h"

#include <string.h>

#define WILD_TOPICS 16384u

typedef struct flow {
    bench *bench;
    client *publishers, *subscribers;
    uint32_t publisher_count, subscriber_count;
    uint32_t fan; /* deliveries per message */
    uint64_t window;
    packet *packets;
    uint32_t packet_count;
    uint64_t random, last_delivery;
    bool ordered_by_publisher, ordered_by_subscriber;
} flow;

static flow current; /* one scenario per process */

static void on_publish(client *c, const uint8_t *topic, size_t topic_len, const uint8_t *payload, size_t len)
{
    flow *f = &current;
    stamp mark;
    client *from;

    (void)topic, (void)topic_len;
    if (len != f->bench->payload) die("payload of %zu bytes, sent %zu", len, f->bench->payload);
    memcpy(&mark, payload, sizeof(mark));
    if (mark.publisher >= f->publisher_count) die("payload changed on the way");
    from = f->publishers + mark.publisher;
    from->delivered++;
    if (f->ordered_by_publisher) {
        if (mark.number != from->next_number) f->bench->disorder++;
        from->next_number = mark.number + 1;
    } else if (f->ordered_by_subscriber) {
        if (mark.number != c->next_number) f->bench->disorder++;
        c->next_number = mark.number + 1;
    }
}

/* A publisher goes on once half its window is free: real ones fill their socket, they do not dribble. */
static void pump(flow *f, client *c, bool fresh)
{
    uint64_t open = c->sent - c->delivered / f->fan, unacked = c->sent - c->acked, room;
    int qos = f->bench->qos;

    if (c->conn.fd < 0) return;
    if (qos && unacked > open) open = unacked;
    if (conn_waiting(&c->conn) || open > f->window / 2) return;
    room = f->window - open;
    if (!fresh) return;
    while (room-- && conn_waiting(&c->conn) < CONN_CHUNK) {
        uint32_t which = f->packet_count > f->publisher_count ? (uint32_t)(random_next(&f->random) % f->packet_count)
                                                              : c->index;

        client_publish(c, f->packets + which, qos, 0);
    }
    conn_flush(&c->conn);
}

static void subscribe(client *c, const char *filter)
{
    client_subscribe(c, filter, c->bench->qos);
}

static void set_up_topics(flow *f, const char *scenario)
{
    bool fanout = !strcmp(scenario, "fanout"), fanin = !strcmp(scenario, "fanin");
    char name[100];

    f->packet_count = f->publisher_count;
    f->packets = zeroed(f->packet_count, sizeof(packet));
    for (uint32_t i = 0; i < f->publisher_count; i++) {
        snprintf(name, sizeof(name), fanout ? "bench/fan" : "bench/%u/value", i);
        packet_make(f->packets + i, name, f->bench->qos, false, f->bench->payload);
    }
    for (uint32_t i = 0; i < f->subscriber_count; i++) {
        if (fanout) snprintf(name, sizeof(name), "bench/fan");
        else if (fanin) snprintf(name, sizeof(name), "bench/+/value");
        else snprintf(name, sizeof(name), "bench/%u/value", i);
        subscribe(f->subscribers + i, name);
    }
}

/* Every topic meets exactly one of the many wildcard filters. */
static void set_up_wild(flow *f, uint32_t filters)
{
    char name[100];

    for (uint32_t i = 0; i < filters; i++) {
        snprintf(name, sizeof(name), "bench/%u/+/%u/#", i / 1000, i % 1000);
        subscribe(f->subscribers + i % f->subscriber_count, name);
        if (i % 1000 == 999) clients_subscribed(f->bench);
    }
    f->packet_count = WILD_TOPICS;
    f->packets = zeroed(f->packet_count, sizeof(packet));
    f->random = 88172645463325252u;
    for (uint32_t i = 0; i < f->packet_count; i++) {
        uint32_t to = (uint32_t)(random_next(&f->random) % filters);

        snprintf(name, sizeof(name), "bench/%u/room%u/%u/value", to / 1000, i % 97, to % 1000);
        packet_make(f->packets + i, name, f->bench->qos, false, f->bench->payload);
    }
}

static bool finished(const flow *f)
{
    for (uint32_t i = 0; i < f->publisher_count; i++) {
        const client *c = f->publishers + i;

        if (c->delivered < c->sent * f->fan || (f->bench->qos && c->acked < c->sent)) return false;
    }
    return true;
}

static uint64_t go(flow *f, double seconds)
{
    bench *b = f->bench;
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9), now, seen = b->delivered, last = now_ns();
    bool fresh = true;

    for (;;) {
        for (uint32_t i = 0; i < f->publisher_count; i++) pump(f, f->publishers + i, fresh);
        if (!fresh && finished(f)) return now_ns();
        loop_turn(&b->loop, 100);
        now = now_ns();
        if (b->delivered != seen) {
            seen = b->delivered;
            last = now;
        }
        if (now > end) fresh = false;
        if (now > last + 3000000000u || b->failed) return last; /* 3 s of silence: the rest is lost */
    }
}

static int report(flow *f, const stretch *s, uint64_t sent)
{
    bench *b = f->bench;
    uint64_t expected = 0, delivered = 0, unacked = 0;

    for (uint32_t i = 0; i < f->publisher_count; i++) {
        expected += f->publishers[i].sent * f->fan;
        delivered += f->publishers[i].delivered;
        if (b->qos) unacked += f->publishers[i].sent - f->publishers[i].acked;
    }
    json_begin(b->scenario);
    json_number("qos", b->qos);
    json_number("payload", (double)b->payload);
    json_stretch(s, sent);
    json_number("lost", expected > delivered ? (double)(expected - delivered) : 0);
    json_number("extra", delivered > expected ? (double)(delivered - expected) : 0);
    json_number("disorder", (double)b->disorder);
    json_number("unacknowledged", (double)unacked);
    json_number("closed", b->failed);
    return json_end(expected == delivered && !b->disorder && !unacked && !b->failed, "lost, doubled or out of order");
}

int run_flow(bench *b)
{
    flow *f = &current;
    uint32_t idle = (uint32_t)arg_long("--idle", 0), filters = (uint32_t)arg_long("--filters", 0);
    double warm = arg_real("--warm", 0.3);
    uint64_t before, last;
    stretch s;

    f->bench = b;
    f->publisher_count = (uint32_t)arg_long("--publishers", 1);
    f->subscriber_count = (uint32_t)arg_long("--subscribers", 1);
    f->window = (uint64_t)arg_long("--window", 1000);
    args_done();
    f->fan = !strcmp(b->scenario, "fanout") ? f->subscriber_count : 1;
    f->ordered_by_subscriber = f->fan > 1;
    f->ordered_by_publisher = !f->ordered_by_subscriber && !filters;
    b->count = f->publisher_count + f->subscriber_count + idle;
    b->clients = zeroed(b->count, sizeof(client));
    f->publishers = b->clients;
    f->subscribers = b->clients + f->publisher_count;
    for (uint32_t i = 0; i < f->publisher_count; i++) f->publishers[i].publisher = true;
    clients_start(b, f->publishers, 0, f->publisher_count);
    clients_start(b, f->subscribers, 0, f->subscriber_count + idle);
    if (filters) set_up_wild(f, filters);
    else set_up_topics(f, b->scenario);
    clients_subscribed(b);
    b->on_publish = on_publish;
    go(f, warm);
    before = b->delivered;
    stretch_begin(&s);
    last = go(f, b->seconds);
    stretch_end_at(&s, last);
    return report(f, &s, b->delivered - before);
}
