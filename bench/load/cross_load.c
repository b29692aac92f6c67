/* cross_load - how long a value takes from one protocol to another: CoAP PUTs at a steady rate, an MQTT subscriber or
 * a Server-Sent Events client waiting for them; the time sent is in the payload.  Prints one JSON line.
 *   cross_load mqtt --coap-port N --port N --path bench/value      cross_load sse ... --port N (HTTP) */
#include "conn.h"
#include "udp.h"

#include <stdlib.h>
#include <string.h>

static struct {
    loop loop;
    conn conn;
    const char *path;
    bool sse, ready;
    uint64_t sent, arrived, answered, refused;
    bool measuring;
    latency times;
} all;

static void on_open(conn *c)
{
    uint8_t out[600];
    size_t len;

    if (all.sse) {
        len = (size_t)snprintf((char *)out, sizeof(out),
            "GET /resources/%s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", all.path);
    } else {
        static const uint8_t connect[] = "\x10\x0f\0\4MQTT\4\2\0\0\0\3x-1";

        conn_put(c, connect, 17);
        len = strlen(all.path);
        memcpy(out, "\x82\0\0\1\0\0", 6);
        out[1] = (uint8_t)(len + 5);
        out[5] = (uint8_t)len;
        memcpy(out + 6, all.path, len);
        out[6 + len] = 0;
        len += 7;
    }
    conn_put(c, out, len);
}

static void on_close(conn *c)
{
    (void)c;
    die("the watcher's connection was closed");
}

/* Payloads are "~" and 19 digits, wherever they stand in the bytes. */
static size_t on_data(conn *c, const uint8_t *p, size_t len)
{
    const uint8_t *q = p, *end = p + len;
    char digits[20] = "";

    (void)c;
    if (!all.ready) {
        if (all.sse && (len < 12 || memcmp(p + 9, "200", 3) != 0)) die("event stream refused: %.*s", (int)len, (const char *)p);
        if (all.sse ? !memmem(p, len, "\r\n\r\n", 4) : len < 9) return 0; /* CONNACK and SUBACK */
        all.ready = true;
    }
    while ((q = memchr(q, '~', (size_t)(end - q)))) {
        if (end - q < 20) return (size_t)(q - p);
        memcpy(digits, q + 1, 19);
        all.arrived++;
        if (all.measuring) latency_add(&all.times, now_ns() - strtoull(digits, NULL, 10));
        q += 20;
    }
    return len;
}

static void on_datagram(uint32_t port, const uint8_t *p, size_t len)
{
    (void)port;
    if (len < 4 || p[1] == 0) return;
    all.answered++;
    if (p[1] >> 5 != 2 && !all.refused++) fprintf(stderr, "PUT refused: %u.%02u\n", p[1] >> 5, p[1] & 31);
}

static void put(void)
{
    uint16_t id = (uint16_t)all.sent++;
    uint8_t *start = udp_room(0), *p = start, last = 0;
    const char *segment;
    char prefixed[300];

    memcpy(p, "\x40\3\0\0", 4);
    p[2] = (uint8_t)(id >> 8);
    p[3] = (uint8_t)id;
    p += 4;
    snprintf(prefixed, sizeof(prefixed), "r/%s", all.path);
    for (segment = prefixed; *segment;) {
        size_t len = strcspn(segment, "/");

        if (len > 12) die("path segments of at most 12 bytes");
        *p++ = (uint8_t)((11 - last) << 4 | (int)len);
        memcpy(p, segment, len);
        p += len;
        last = 11;
        segment += len + (segment[len] == '/');
    }
    *p++ = 0x10; /* Content-Format 12: text/plain */
    *p++ = 0xff;
    p += snprintf((char *)p, 24, "~%019llu", (unsigned long long)now_ns());
    udp_wrote(0, (size_t)(p - start));
    udp_flush();
}

static const conn_events events = {on_open, on_data, on_close};

static void turn(void)
{
    loop_turn(&all.loop, 0);
    udp_turn(0, on_datagram);
}

static void go(double seconds, double rate)
{
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), gap = (uint64_t)(1e9 / rate), due = start;

    while (now_ns() < end) {
        if (now_ns() >= due) {
            put();
            due += gap;
        }
        turn();
    }
    end += 2000000000u;
    while ((all.arrived < all.sent || all.answered < all.sent) && now_ns() < end) turn();
}

int main(int argc, char **argv)
{
    uint64_t before, patience = now_ns() + 5000000000u;
    double seconds, rate;
    stretch s;

    if (argc < 2) die("usage: cross_load mqtt|sse --coap-port N --port N");
    args_init(argc - 1, argv + 1);
    all.sse = !strcmp(argv[1], "sse");
    all.path = arg_text("--path", "bench/value");
    probe_init(arg_text("--server", NULL));
    loop_init(&all.loop, "127.0.0.1", arg_long("--port", 1883), false);
    udp_open("127.0.0.1", arg_long("--coap-port", 5683), 1);
    seconds = arg_real("--seconds", 2);
    rate = arg_real("--rate", 1000);
    args_done();
    conn_open(&all.loop, &all.conn, &events);
    while (!all.ready && now_ns() < patience) turn();
    if (!all.ready) die("the watcher is not served");
    go(0.3, rate);
    all.measuring = true;
    before = all.sent;
    stretch_begin(&s);
    go(seconds, rate);
    stretch_end(&s);
    json_begin(all.sse ? "coap_sse" : "coap_mqtt");
    json_stretch(&s, all.sent - before);
    json_latency("", &all.times);
    json_number("lost", (double)(all.sent - all.arrived));
    json_number("unanswered", (double)(all.sent - all.answered));
    json_number("refused", (double)all.refused);
    return json_end(all.sent == all.arrived && all.sent == all.answered && !all.refused, "values lost on the way");
}
