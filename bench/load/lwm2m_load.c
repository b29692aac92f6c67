/* lwm2m_load - as many LwM2M devices as one likes, on UDP, at packet level (OMA LwM2M 1.1 over RFC 7252); prints one JSON line.
 *   lwm2m_load register --port N [--devices 10000] [--links 30]      registrations per second, bytes each
 *   lwm2m_load update   --port N [--devices 10000]                   updates per second
 *   lwm2m_load notify   --port N --mqtt-port N [--devices 10000]     notifications per second, all the way to an MQTT subscriber
 * Device n is "dev-n" and lives on UDP port n % --ports; for notify every device has a port of its own. */
#include "conn.h"
#include "udp.h"

#include <string.h>

#define RETRY_NS 1000000000u
#define CON 0x40u
#define NON 0x50u
#define ACK 0x60u

typedef struct device {
    char location[20];
    uint8_t token[8], token_len; /* of the observation */
    uint16_t number;             /* of the last notification */
    uint16_t id;
    bool waiting;
    uint64_t at;
} device;

static struct {
    loop loop;
    conn conn;
    device *devices;
    const char *root;
    uint32_t count, ports, window, links, in_flight, next;
    uint64_t answered, refused, retries, observing, notified, delivered, asked;
    bool ready, updating, measuring, going;
    uint32_t due; /* SUBACKs */
    latency times;
} all;

static uint8_t *put_head(uint8_t *p, uint8_t type, uint8_t code, uint16_t id, const void *token, uint8_t len)
{
    *p++ = type | len;
    *p++ = code;
    *p++ = (uint8_t)(id >> 8);
    *p++ = (uint8_t)id;
    memcpy(p, token, len);
    return p + len;
}

static size_t links(char *out, size_t room)
{
    size_t n = (size_t)snprintf(out, room, "</>;rt=\"oma.lwm2m\";ct=110,</1/0>,</3/0>");

    for (uint32_t i = 3; i < all.links; i++) n += (size_t)snprintf(out + n, room - n, ",</3303/%u>", i - 3);
    return n;
}

static uint32_t port_of(uint32_t n)
{
    return n % all.ports;
}

static void send_request(uint32_t n)
{
    device *d = &all.devices[n];
    uint8_t token[] = {'d', (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}, *start = udp_room(port_of(n)), *p;
    uint8_t links_format = 40;
    unsigned last = 0;
    char text[64];

    p = put_head(start, CON, 2, d->id, token, 4);
    p = udp_option(p, &last, 11, "rd", 2);
    if (all.updating) {
        p = udp_option(p, &last, 11, d->location, strlen(d->location));
    } else {
        p = udp_option(p, &last, 12, &links_format, 1);
        p = udp_option(p, &last, 15, "lwm2m=1.1", 9);
        p = udp_option(p, &last, 15, text, (size_t)snprintf(text, sizeof(text), "ep=dev-%u", n));
        p = udp_option(p, &last, 15, "lt=86400", 8);
        p = udp_option(p, &last, 15, "b=U", 3);
        *p++ = 0xff;
        p += links((char *)p, UDP_SIZE - (size_t)(p - start));
    }
    udp_wrote(port_of(n), (size_t)(p - start));
}

static void next_request(void)
{
    device *d = &all.devices[all.next];

    d->id++;
    d->waiting = true;
    d->at = now_ns();
    all.in_flight++;
    send_request(all.next++);
    if (all.next == all.count && all.updating) all.next = 0;
}

static void take_location(device *d, const uint8_t *p, const uint8_t *end)
{
    unsigned number = 0, seen = 0;

    while (p < end && *p != 0xff) {
        unsigned delta = *p >> 4, len = *p++ & 15;

        if (delta == 13) delta = 13u + *p++;
        if (len == 13) len = 13u + *p++;
        number += delta;
        if (number == 8 && seen++ == 1) {
            if (len >= sizeof(d->location)) die("a location of %u bytes", len);
            memcpy(d->location, p, len);
            d->location[len] = 0;
        }
        p += len;
    }
    if (seen < 2) die("a registration without a location");
}

static void on_answer(const uint8_t *p, size_t len)
{
    uint32_t n = (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7];
    device *d;

    if ((p[0] & 15) != 4 || p[4] != 'd' || n >= all.count) return;
    d = &all.devices[n];
    if (!d->waiting) return;
    d->waiting = false;
    all.in_flight--;
    all.answered++;
    if (all.measuring) latency_add(&all.times, now_ns() - d->at);
    if (p[1] >> 5 != 2) {
        if (!all.refused++) fprintf(stderr, "refused: %u.%02u\n", p[1] >> 5, p[1] & 31);
    } else if (!all.updating) {
        take_location(d, p + 8, p + len);
    }
    if (all.going && all.next < all.count) next_request();
}

static size_t put_value(uint8_t *p, uint32_t n, uint16_t number)
{
    return (size_t)snprintf((char *)p, 24, "%u.%u", 20 + n % 10, 1 + number % 9);
}

/* The server asks: Read or Observe of one resource; anything else is 4.04. */
static void on_request(uint32_t port, const uint8_t *p, size_t len)
{
    uint8_t token_len = p[0] & 15, *start = udp_room(port), *q;
    const uint8_t *at = p + 4 + token_len;
    bool observe = len > 4u + token_len && at[0] >> 4 == 6;
    bool cancel = observe && (at[0] & 15) == 1 && at[1] == 1;
    device *d = &all.devices[port];
    uint8_t number[2] = {0, 1};
    unsigned last = 0;

    all.asked++;
    q = put_head(start, ((p[0] >> 4) & 3) == 0 ? ACK : NON, p[1] == 1 ? 0x45 : 0x84, (uint16_t)(p[2] << 8 | p[3]), p + 4, token_len);
    if (p[1] == 1) {
        if (observe && !cancel) {
            if (!d->token_len) all.observing++;
            memcpy(d->token, p + 4, token_len);
            d->token_len = token_len;
            d->number = 1;
            q = udp_option(q, &last, 6, number, 2);
        }
        q = udp_option(q, &last, 12, "", 0);
        *q++ = 0xff;
        q += put_value(q, port, 0);
    }
    udp_wrote(port, (size_t)(q - start));
}

static void on_datagram(uint32_t port, const uint8_t *p, size_t len)
{
    unsigned type = (p[0] >> 4) & 3;

    if (len < 4 || p[0] >> 6 != 1) die("not CoAP");
    if (p[1] == 0) {
        if (type == 3 && !all.refused++) fprintf(stderr, "a notification was answered with RST\n");
        return;
    }
    if (p[1] >> 5 == 0) on_request(port, p, len);
    else if (len >= 8) on_answer(p, len);
}

static void notify(uint32_t n)
{
    device *d = &all.devices[n];
    uint8_t *start = udp_room(n), *p, number[2];
    unsigned last = 0;

    d->number++;
    number[0] = (uint8_t)(d->number >> 8);
    number[1] = (uint8_t)d->number;
    p = put_head(start, NON, 0x45, d->id++, d->token, d->token_len);
    p = udp_option(p, &last, 6, number, 2);
    p = udp_option(p, &last, 12, "", 0);
    *p++ = 0xff;
    p += put_value(p, n, d->number);
    udp_wrote(n, (size_t)(p - start));
    all.notified++;
}

/* ---- the MQTT subscriber at the other end */

static void on_open(conn *c)
{
    static const uint8_t connect[] = "\x10\x11\0\4MQTT\4\2\0\0\0\5bench";

    conn_put(c, connect, 19);
}

static void on_close(conn *c)
{
    (void)c;
    die("the subscriber's connection was closed");
}

static size_t on_data(conn *c, const uint8_t *p, size_t len)
{
    size_t used = 0;

    (void)c;
    for (;;) {
        size_t at = used + 1, body = 0, shift = 0;

        while (at < len && p[at] & 0x80) body |= (size_t)(p[at++] & 0x7f) << shift, shift += 7;
        if (at >= len) return used;
        body |= (size_t)p[at++] << shift;
        if (at + body > len) return used;
        if (p[used] >> 4 == 3) all.delivered++;
        if (p[used] >> 4 == 2) all.ready = true;
        if (p[used] >> 4 == 9) all.due--;
        used = at + body;
    }
}

static const conn_events events = {on_open, on_data, on_close};

static void subscribe(uint32_t n)
{
    uint8_t out[128];
    int len = snprintf((char *)out + 6, sizeof(out) - 7, "%s/dev-%u/3303/0/5700", all.root, n);

    out[0] = 0x82;
    out[1] = (uint8_t)(len + 5);
    out[2] = (uint8_t)((n + 1) >> 8);
    out[3] = (uint8_t)((n + 1) & 0xff) ? (uint8_t)(n + 1) : 1;
    out[4] = 0;
    out[5] = (uint8_t)len;
    out[6 + len] = 0;
    conn_put(&all.conn, out, (size_t)len + 7);
    if (all.due % 64 == 0 || n + 1 == all.count) conn_flush(&all.conn);
    all.due++;
}

/* ---- runs */

static void retry(void)
{
    static uint64_t next;
    uint64_t now = now_ns();

    if (now < next) return;
    next = now + RETRY_NS / 2;
    for (uint32_t i = 0; i < all.count; i++) {
        device *d = &all.devices[i];
        if (!d->waiting || now - d->at < RETRY_NS) continue;
        all.retries++;
        d->at = now;
        send_request(i);
    }
}

static void turn(int timeout)
{
    if (all.conn.loop) {
        loop_turn(&all.loop, 0);
        timeout = 0;
    }
    udp_turn(timeout, on_datagram);
    retry();
}

static void register_all(void)
{
    uint64_t patience = now_ns() + 60000000000u;

    all.going = true;
    while (all.next < all.count && all.in_flight < all.window) next_request();
    while (all.answered < all.count && now_ns() < patience) turn(20);
    all.going = false;
    if (all.answered < all.count) die("only %lu of %u devices registered", (unsigned long)all.answered, all.count);
}

static int run_register(void)
{
    stretch s;

    stretch_begin(&s);
    all.measuring = true;
    register_all();
    stretch_end(&s);
    json_begin("register");
    json_stretch(&s, all.answered);
    json_latency("", &all.times);
    json_number("rate", (double)all.answered / s.seconds);
    json_number("bytes_each", (s.after.anonymous - s.before.anonymous) / all.count);
    json_number("retries", (double)all.retries);
    return json_end(!all.refused, "refused registrations");
}

static int run_update(double seconds)
{
    uint64_t end, before;
    stretch s;

    register_all();
    all.updating = all.going = all.measuring = true;
    all.next = 0;
    before = all.answered;
    stretch_begin(&s);
    end = s.start + (uint64_t)(seconds * 1e9);
    while (all.in_flight < all.window && all.in_flight < all.count) next_request();
    while (now_ns() < end) turn(20);
    stretch_end(&s);
    before = all.answered - before;
    all.going = false;
    end = now_ns() + 3000000000u;
    while (all.in_flight && now_ns() < end) turn(20);
    json_begin("update");
    json_stretch(&s, before);
    json_latency("", &all.times);
    json_number("rate", (double)before / s.seconds);
    json_number("retries", (double)all.retries);
    return json_end(!all.refused && !all.in_flight, "refused or lost updates");
}

static void observe_all(const char *host, long mqtt)
{
    uint64_t patience = now_ns() + 60000000000u;

    loop_init(&all.loop, host, mqtt, false);
    conn_open(&all.loop, &all.conn, &events);
    while (!all.ready && now_ns() < patience) turn(0);
    for (uint32_t i = 0; i < all.count; i++) {
        subscribe(i);
        while (all.due > 100 && now_ns() < patience) turn(0);
    }
    while ((all.due || all.observing < all.count) && now_ns() < patience) turn(0);
    if (all.observing < all.count) die("only %lu of %u devices are observed", (unsigned long)all.observing, all.count);
    for (uint64_t still = now_ns() + 300000000u; now_ns() < still;) turn(0);
}

static int run_notify(const char *host, long mqtt, double seconds)
{
    uint64_t end, last, base;
    uint32_t next = 0;
    stretch s;

    register_all();
    observe_all(host, mqtt);
    base = all.delivered;
    stretch_begin(&s);
    end = s.start + (uint64_t)(seconds * 1e9);
    while (now_ns() < end) {
        while (all.notified - (all.delivered - base) < all.window) {
            notify(next);
            next = (next + 1) % all.count;
        }
        turn(0);
    }
    stretch_end(&s);
    last = all.delivered - base;
    end = now_ns() + 2000000000u;
    while (all.delivered - base < all.notified && now_ns() < end) turn(0);
    json_begin("notify");
    json_stretch(&s, last);
    json_number("rate", (double)last / s.seconds);
    json_number("lost", (double)(all.notified - (all.delivered - base)));
    json_number("asked_each", (double)all.asked / all.count);
    return json_end(all.delivered - base == all.notified && !all.refused, "notifications lost");
}

int main(int argc, char **argv)
{
    bool notifies, updates;
    const char *host;
    double seconds;
    long port, mqtt;

    if (argc < 2) die("usage: lwm2m_load register|update|notify --port N");
    args_init(argc - 1, argv + 1);
    raise_file_limit();
    notifies = !strcmp(argv[1], "notify");
    updates = !strcmp(argv[1], "update");
    host = arg_text("--host", "127.0.0.1");
    port = arg_long("--port", 5683);
    mqtt = arg_long("--mqtt-port", 1883);
    probe_init(arg_text("--server", NULL));
    all.root = arg_text("--root", "lwm2m");
    all.count = (uint32_t)arg_long("--devices", 10000);
    all.ports = notifies ? all.count : (uint32_t)arg_long("--ports", 1000);
    all.window = (uint32_t)arg_long("--window", 64);
    all.links = (uint32_t)arg_long("--links", 30);
    seconds = arg_real("--seconds", 2);
    args_done();
    if (all.ports > all.count) all.ports = all.count;
    all.devices = zeroed(all.count, sizeof(device));
    udp_open(host, port, all.ports);
    return notifies ? run_notify(host, mqtt, seconds) : updates ? run_update(seconds) : run_register();
}
