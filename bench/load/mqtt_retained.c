/* mqtt_retained.c - many retained values stored at QoS 1, then all of them delivered to one new subscriber of #. */
#include "mqtt.h"

#include <stdlib.h>
#include <string.h>

static uint64_t got;
static uint8_t *seen;
static uint32_t wanted;

/* "bench/site-00001/value-0000001": 30 bytes, so that memory per value has a known name length */
static void topic_name(char *out, size_t len, uint32_t i)
{
    snprintf(out, len, "bench/site-%05u/value-%07u", i / 100, i);
}

static void on_publish(client *c, const uint8_t *topic, size_t topic_len, const uint8_t *payload, size_t len)
{
    char digits[8] = "";
    uint32_t i;

    (void)c, (void)payload, (void)len;
    if (topic_len < 30 || memcmp(topic, "bench/site-", 11) != 0) return;
    memcpy(digits, topic + topic_len - 7, 7); /* what follows a topic may look like one more digit */
    i = (uint32_t)strtoul(digits, NULL, 10);
    if (i >= wanted) return;
    if (!seen[i]) got++;
    seen[i] = 1;
}

static void store_all(bench *b, client *c, uint32_t first, uint32_t count, uint64_t window)
{
    uint64_t base = c->sent;
    char name[64];
    packet p;

    while (c->acked < base + count) {
        while (c->sent < base + count && c->sent - c->acked < window && conn_waiting(&c->conn) < CONN_CHUNK) {
            topic_name(name, sizeof(name), first + (uint32_t)(c->sent - base));
            packet_make(&p, name, 1, true, b->payload);
            client_publish(c, &p, 1, 0);
            packet_free(&p);
        }
        conn_flush(&c->conn);
        loop_turn(&b->loop, 100);
        if (b->failed) die("publisher disconnected");
    }
}

int run_retained(bench *b)
{
    uint32_t warm = 2000;
    uint64_t window = (uint64_t)arg_long("--window", 1000), patience, before;
    stretch in, out;

    wanted = (uint32_t)arg_long("--count", 100000);
    args_done();
    seen = zeroed(wanted + warm, 1);
    b->count = 2;
    b->clients = zeroed(2, sizeof(client));
    b->clients[0].publisher = true;
    clients_start(b, b->clients, 0, 2);
    store_all(b, b->clients, wanted, warm, window);
    stretch_begin(&in);
    store_all(b, b->clients, 0, wanted, window);
    stretch_end(&in);
    b->on_publish = on_publish;
    stretch_begin(&out);
    client_subscribe(b->clients + 1, "bench/#", b->qos);
    conn_flush(&b->clients[1].conn);
    patience = now_ns() + 3000000000u;
    for (before = got; got < wanted && now_ns() < patience; loop_turn(&b->loop, 100)) {
        if (got != before) {
            before = got;
            patience = now_ns() + 3000000000u;
        }
    }
    stretch_end(&out);
    json_begin(b->scenario);
    json_stretch(&in, wanted);
    json_number("bytes_each", (in.after.anonymous - in.before.anonymous) / wanted);
    json_number("deliver_seconds", out.seconds);
    json_number("deliver_cpu_per_million", out.server_cpu * 1e6 / wanted);
    json_number("total_cpu_per_million", (in.server_cpu + out.server_cpu) * 1e6 / wanted);
    json_number("lost", (double)(wanted - got));
    return json_end(got == wanted, "retained values missing");
}
