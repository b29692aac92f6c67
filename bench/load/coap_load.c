/* coap_load - load for a CoAP server on UDP (RFC 7252, 7641); prints one JSON line.
 *   coap_load get|put --port N --path r/bench/value [--outstanding 64] [--ports 4]   requests per second
 *   coap_load observe --port N --path r/bench/value [--observers 10000] [--ports 1000] notifications per second
 * A request takes a slot; the slot's number and turn are its token, so that a wrong answer is seen. */
#include "udp.h"

#include <string.h>

#define CON 0x40u
#define ACK 0x60u
#define RETRY_NS 1000000000u /* half of RFC 7252's ACK_TIMEOUT: on loopback a second is an eternity */

typedef struct slot {
    uint32_t port;
    uint16_t turn, id;
    uint64_t at;
    uint8_t code;
} slot;

static struct {
    const char *verb, *path;
    uint32_t ports, outstanding, next_port;
    uint16_t *ids; /* next message id per port */
    slot *slots;
    size_t body;
    uint64_t answered, wrong, retries, separate;
    uint64_t observing, notified, first_error, next_check;
    uint32_t observers;
    bool asking, measuring, observe;
    latency times;
} all;

static uint8_t *put_option(uint8_t *p, unsigned delta, const void *value, size_t len)
{
    if (delta > 12 || len > 268) die("option");
    *p++ = (uint8_t)(delta << 4 | (len < 13 ? len : 13));
    if (len >= 13) *p++ = (uint8_t)(len - 13);
    memcpy(p, value, len);
    return p + len;
}

/* Tokens: kind, slot (3 bytes), turn (2 bytes). */
static uint8_t *put_head(uint8_t *p, uint8_t code, uint16_t id, uint8_t kind, uint32_t number, uint16_t turn)
{
    uint8_t head[] = {CON | 6, code, (uint8_t)(id >> 8), (uint8_t)id, kind, (uint8_t)(number >> 16),
                      (uint8_t)(number >> 8), (uint8_t)number, (uint8_t)(turn >> 8), (uint8_t)turn};

    memcpy(p, head, sizeof(head));
    return p + sizeof(head);
}

static uint8_t *put_path(uint8_t *p, unsigned last)
{
    const char *segment = all.path;

    while (*segment) {
        size_t len = strcspn(segment, "/");

        p = put_option(p, 11 - last, segment, len);
        last = 11;
        segment += len + (segment[len] == '/');
    }
    return p;
}

static void send_request(uint32_t number)
{
    slot *s = all.slots + number;
    uint8_t *start = udp_room(s->port), *p = put_head(start, s->code, s->id, 'r', number, s->turn);

    p = put_path(p, 0);
    if (s->code != 1) {
        p = put_option(p, 1, "", 0); /* Content-Format 12: text/plain */
        *p++ = 0xff;
        memset(p, 'x', all.body);
        snprintf((char *)p, all.body, "~%08x", s->turn);
        p += all.body;
    }
    udp_wrote(s->port, (size_t)(p - start));
}

static void ask(uint32_t number)
{
    slot *s = all.slots + number;

    s->port = all.next_port++ % all.ports;
    s->turn++;
    s->id = all.ids[s->port]++;
    s->at = now_ns();
    send_request(number);
}

static void put_ack(uint32_t port, const uint8_t *p)
{
    uint8_t *out = udp_room(port);

    out[0] = ACK;
    out[1] = 0;
    out[2] = p[2];
    out[3] = p[3];
    udp_wrote(port, 4);
}

static void on_answer(uint32_t port, const uint8_t *p, uint8_t code)
{
    uint32_t number = (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7];
    slot *s;

    if (number >= all.outstanding) die("a token we never sent");
    s = all.slots + number;
    if (s->turn != (p[8] << 8 | p[9]) || s->port != port || !s->at) {
        all.wrong += all.retries == 0; /* after a retry a late second answer is nobody's fault */
        return;
    }
    if (code >> 5 != 2 && !all.wrong++) fprintf(stderr, "unexpected answer %u.%02u\n", code >> 5, code & 31);
    all.answered++;
    if (all.measuring) latency_add(&all.times, now_ns() - s->at);
    s->at = 0;
    if (all.asking) ask(number);
}

static void on_datagram(uint32_t port, const uint8_t *p, size_t len)
{
    unsigned type = (p[0] >> 4) & 3, token = p[0] & 15;

    if (len < 4 || p[0] >> 6 != 1) die("not CoAP");
    if (type == 0) {
        put_ack(port, p);
        all.separate++;
    }
    if (p[1] == 0) return; /* an empty ACK: the answer comes later */
    if (token != 6 || len < 10) die("a token we never sent");
    if (p[4] == 'r') {
        on_answer(port, p, p[1]);
    } else if (p[1] >> 5 != 2) {
        if (!all.first_error++) fprintf(stderr, "observe refused: %u.%02u\n", p[1] >> 5, p[1] & 31);
    } else if (type == 2) {
        all.observing++;
    } else {
        all.notified++;
    }
}

static void retry(void)
{
    uint64_t now = now_ns();

    for (uint32_t i = 0; i < all.outstanding; i++) {
        slot *s = all.slots + i;

        if (!s->at || now - s->at < RETRY_NS) continue;
        all.retries++;
        s->at = now;
        send_request(i);
    }
}

static void turns(double seconds)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);

    while (now_ns() < end) {
        udp_turn(20, on_datagram);
        if (now_ns() < all.next_check) continue;
        retry();
        all.next_check = now_ns() + RETRY_NS / 2;
    }
}

static uint32_t waiting(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < all.outstanding; i++) count += all.slots[i].at != 0;
    return count;
}

static void drain(double seconds)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);

    all.asking = false;
    while (waiting() && now_ns() < end) turns(0.02);
}

static void set_code(uint8_t code)
{
    for (uint32_t i = 0; i < all.outstanding; i++) all.slots[i].code = code;
}

/* The path gets its value first: a GET of nothing would measure 4.04. */
static void put_once(void)
{
    set_code(3);
    ask(0);
    drain(3);
    if (waiting()) die("no answer to PUT");
}

static int run_requests(double seconds)
{
    uint64_t before, lost;
    stretch s;

    put_once();
    set_code(strcmp(all.verb, "get") ? 3 : 1);
    all.asking = true;
    for (uint32_t i = 0; i < all.outstanding; i++) ask(i);
    turns(all.ports > 1000 ? 1.0 : 0.3);
    all.measuring = true;
    before = all.answered;
    stretch_begin(&s);
    turns(seconds);
    stretch_end(&s);
    before = all.answered - before;
    all.measuring = false;
    drain(3);
    lost = waiting();
    json_begin(all.verb);
    json_stretch(&s, before);
    json_latency("", &all.times);
    json_number("retries", (double)all.retries);
    json_number("lost", (double)lost);
    json_number("wrong", (double)all.wrong);
    return json_end(!lost && !all.wrong, "lost or wrong answers");
}

static void register_observers(void)
{
    uint64_t patience = now_ns() + 20000000000u;

    for (uint32_t i = 0; i < all.observers; i++) {
        uint32_t port = i % all.ports;
        uint8_t *start = udp_room(port), *p;

        p = put_head(start, 1, all.ids[port]++, 'o', i, 0);
        p = put_option(p, 6, "", 0); /* Observe: 0 */
        udp_wrote(port, (size_t)(put_path(p, 6) - start));
        while (i + 1 >= all.observing + 64 && now_ns() < patience) udp_turn(20, on_datagram);
    }
    while (all.observing < all.observers && now_ns() < patience) udp_turn(20, on_datagram);
    if (all.observing < all.observers) die("only %lu observers registered", (unsigned long)all.observing);
}

/* A PUT changes the value, every observer hears of it, then comes the next PUT. */
static int run_observe(double seconds)
{
    uint64_t end, changes = 0, complete = 0, before;
    stretch s;

    put_once();
    register_observers();
    turns(0.2);
    before = all.notified;
    stretch_begin(&s);
    end = s.start + (uint64_t)(seconds * 1e9);
    while (now_ns() < end) {
        uint64_t start = now_ns(), want = all.notified + all.observers;

        ask(0);
        while ((all.notified < want || waiting()) && now_ns() < start + 3000000000u) udp_turn(20, on_datagram);
        changes++;
        complete += all.notified == want;
        latency_add(&all.times, now_ns() - start);
    }
    stretch_end(&s);
    json_begin("observe");
    json_stretch(&s, all.notified - before);
    json_latency("all_", &all.times);
    json_number("changes", (double)changes);
    json_number("confirmable", (double)all.separate);
    json_number("lost", (double)(changes * all.observers) - (double)(all.notified - before));
    return json_end(changes == complete, "not every observer heard of every change");
}

int main(int argc, char **argv)
{
    const char *host;
    double seconds;
    long port;

    if (argc < 2) die("usage: coap_load get|put|observe --port N --path r/x");
    args_init(argc - 1, argv + 1);
    raise_file_limit();
    all.verb = argv[1];
    host = arg_text("--host", "127.0.0.1");
    port = arg_long("--port", 5683);
    probe_init(arg_text("--server", NULL));
    all.path = arg_text("--path", "r/bench/value");
    all.ports = (uint32_t)arg_long("--ports", 4);
    all.outstanding = (uint32_t)arg_long("--outstanding", 64);
    all.observers = (uint32_t)arg_long("--observers", 10000);
    all.body = (size_t)arg_long("--body-size", 20);
    seconds = arg_real("--seconds", 2);
    args_done();
    if (all.body < 10 || all.body > 1024) die("--body-size from 10 to 1024");
    all.ids = zeroed(all.ports, sizeof(uint16_t));
    all.slots = zeroed(all.outstanding, sizeof(slot));
    udp_open(host, port, all.ports);
    return strcmp(all.verb, "observe") ? run_requests(seconds) : run_observe(seconds);
}
