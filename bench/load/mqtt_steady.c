/* mqtt_steady.c - a steady rate of single messages with their time in the payload.  `slow` adds subscribers that stop
 * reading for a while, and a stream of larger messages to them. */
#include "mqtt.h"

#include <string.h>

typedef struct steady {
    bench *bench;
    client *publishers, *subscribers, *slow, *feeder;
    uint32_t pairs, slow_count;
    packet *packets, feed;
    double rate, feed_rate;
    uint64_t sent, arrived, slow_arrived, fed;
    bool measuring;
    latency times;
    double peak_anonymous;
} steady;

static steady current;

static void on_publish(client *c, const uint8_t *topic, size_t topic_len, const uint8_t *payload, size_t len)
{
    steady *s = &current;
    stamp mark;

    (void)topic, (void)topic_len;
    if (len < sizeof(mark)) die("short payload");
    if (s->slow && c >= s->slow && c < s->slow + s->slow_count) {
        s->slow_arrived++;
        return;
    }
    memcpy(&mark, payload, sizeof(mark));
    s->arrived++;
    if (s->measuring && mark.ns) latency_add(&s->times, now_ns() - mark.ns);
}

static void feed(steady *s, uint64_t elapsed)
{
    uint64_t due = (uint64_t)((double)elapsed * s->feed_rate / 1e9);

    if (!s->feeder || s->feeder->conn.fd < 0 || conn_waiting(&s->feeder->conn)) return;
    for (; s->feeder->sent < due; s->fed++) client_publish(s->feeder, &s->feed, 0, 0);
    conn_flush(&s->feeder->conn);
}

/* Spins: it has a core to itself, and sleeping would measure the timer. */
static void go(steady *s, double seconds, bool feeding)
{
    uint64_t start = now_ns(), gap = (uint64_t)(1e9 / s->rate), due = start, end = start + (uint64_t)(seconds * 1e9), now;
    uint64_t watch = start;

    while ((now = now_ns()) < end) {
        while (due <= now) {
            client *c = s->publishers + s->sent % s->pairs;

            if (c->conn.fd < 0) die("a publisher was disconnected");
            client_publish(c, s->packets + c->index, s->bench->qos, now_ns());
            conn_flush(&c->conn);
            s->sent++;
            due += gap;
        }
        if (feeding) feed(s, now - start);
        if (feeding && now > watch) {
            probe p;

            probe_take(&p);
            if (p.anonymous > s->peak_anonymous) s->peak_anonymous = p.anonymous;
            watch = now + 250000000u;
        }
        loop_turn(&s->bench->loop, 0);
    }
}

static void drain(steady *s)
{
    uint64_t patience = now_ns() + 3000000000u;

    while (s->arrived < s->sent && now_ns() < patience) loop_turn(&s->bench->loop, 10);
}

static void set_up(steady *s, uint32_t idle, size_t feed_payload)
{
    bench *b = s->bench;
    char name[100];

    b->count = 2 * s->pairs + s->slow_count + 1 + idle;
    b->clients = zeroed(b->count, sizeof(client));
    s->publishers = b->clients;
    s->subscribers = s->publishers + s->pairs;
    s->feeder = s->subscribers + s->pairs;
    s->slow = s->feeder + 1;
    for (uint32_t i = 0; i < s->pairs; i++) s->publishers[i].publisher = true;
    s->feeder->publisher = true;
    clients_start(b, s->publishers, 0, s->pairs);
    clients_start(b, s->feeder, 999999, 1);
    clients_start(b, s->subscribers, 0, s->pairs);
    if (s->slow_count) {
        b->loop.receive_buffer = 4096; /* so that the kernel does not hide the slowness */
        clients_start(b, s->slow, 100000, s->slow_count);
        b->loop.receive_buffer = 0;
    }
    clients_start(b, s->slow + s->slow_count, 200000, idle);
    s->packets = zeroed(s->pairs, sizeof(packet));
    for (uint32_t i = 0; i < s->pairs; i++) {
        snprintf(name, sizeof(name), "bench/%u/value", i);
        packet_make(s->packets + i, name, b->qos, false, b->payload);
        client_subscribe(s->subscribers + i, name, b->qos);
    }
    for (uint32_t i = 0; i < s->slow_count; i++) client_subscribe(s->slow + i, "slow/feed", 0);
    packet_make(&s->feed, "slow/feed", 0, false, feed_payload);
    clients_subscribed(b);
}

int run_steady(bench *b)
{
    steady *s = &current;
    stretch time;
    uint32_t idle = (uint32_t)arg_long("--idle", 0);
    size_t feed_payload = (size_t)arg_long("--feed-payload", 1024);
    uint64_t before;
    bool slow = !strcmp(b->scenario, "slow");

    s->bench = b;
    s->pairs = (uint32_t)arg_long("--pairs", 50);
    s->rate = arg_real("--rate", 20000);
    s->slow_count = slow ? (uint32_t)arg_long("--slow", 1000) : 0;
    s->feed_rate = arg_real("--feed-rate", 200);
    args_done();
    set_up(s, idle, feed_payload);
    b->on_publish = on_publish;
    go(s, 0.5, false);
    drain(s);
    s->measuring = true;
    for (uint32_t i = 0; i < s->slow_count; i++) conn_pause(&s->slow[i].conn, true);
    before = s->sent;
    stretch_begin(&time);
    go(s, b->seconds, slow);
    stretch_end(&time);
    drain(s);
    s->measuring = false;
    for (uint32_t i = 0; i < s->slow_count; i++) {
        if (s->slow[i].conn.fd >= 0) conn_pause(&s->slow[i].conn, false);
    }
    if (slow) go(s, 1.0, false); /* they read on, and may get what was kept for them */
    drain(s);
    json_begin(b->scenario);
    json_number("qos", b->qos);
    json_stretch(&time, s->sent > before ? (uint64_t)(s->times.count) : 0);
    json_latency("", &s->times);
    json_number("lost", (double)(s->sent - s->arrived));
    json_number("closed", b->failed);
    if (slow) {
        if (time.after.anonymous > s->peak_anonymous) s->peak_anonymous = time.after.anonymous;
        json_number("memory_peak", s->peak_anonymous);
        json_number("slow_sent", (double)s->fed * s->slow_count);
        json_number("slow_delivered", (double)s->slow_arrived);
    }
    return json_end(s->sent == s->arrived, "messages lost");
}
