/* coap_block - one large value over CoAP: PUT in blocks of 1024 bytes (RFC 7959 Block1), then GET (Block2), compared.
 *   coap_block --port N [--path r/bench/large] [--size 1000000]      prints one JSON line */
#include "udp.h"

#include <string.h>

#define BLOCK 1024u
#define SZX 6u

static struct {
    const char *path;
    uint8_t *body, *got;
    size_t size, got_len;
    uint16_t id;
    uint8_t code;
    bool answered, more;
    uint64_t retries;
} all;

static void send_block(uint8_t code, unsigned option, uint32_t number, bool more, const uint8_t *data, size_t len)
{
    uint32_t block = number << 4 | (more ? 8u : 0) | SZX;
    uint8_t bytes[3] = {(uint8_t)(block >> 16), (uint8_t)(block >> 8), (uint8_t)block};
    uint8_t *start = udp_room(0), *p = start;
    const char *segment = all.path;
    unsigned last = 0;

    memcpy(p, "\x44\0\0\0blok", 8);
    p[1] = code;
    p[2] = (uint8_t)(all.id >> 8);
    p[3] = (uint8_t)all.id;
    p += 8;
    while (*segment) {
        size_t n = strcspn(segment, "/");

        p = udp_option(p, &last, 11, segment, n);
        segment += n + (segment[n] == '/');
    }
    if (code == 3) p = udp_option(p, &last, 12, "\x2a", 1); /* application/octet-stream */
    p = udp_option(p, &last, option, bytes, 3);
    if (len) {
        *p++ = 0xff;
        memcpy(p, data, len);
        p += len;
    }
    udp_wrote(0, (size_t)(p - start));
}

static void on_datagram(uint32_t port, const uint8_t *p, size_t len)
{
    size_t at = 4u + (p[0] & 15u);
    unsigned number = 0;

    (void)port;
    if (len < at || p[1] == 0 || (uint16_t)(p[2] << 8 | p[3]) != all.id) return;
    all.answered = true;
    all.code = p[1];
    all.more = false;
    while (at < len && p[at] != 0xff) {
        unsigned delta = p[at] >> 4, n = p[at] & 15u;

        at++;
        if (delta == 13) delta = 13u + p[at++];
        if (n == 13) n = 13u + p[at++];
        if (delta > 268 || n > 281 || at + n > len) die("an option we cannot read");
        number += delta;
        if (number == 23 && n) all.more = p[at + n - 1] & 8;
        at += n;
    }
    if (at++ < len && p[1] == 69 && all.got_len + (len - at) <= all.size) { /* 2.05 */
        memcpy(all.got + all.got_len, p + at, len - at);
        all.got_len += len - at;
    }
}

static void exchange(uint8_t code, unsigned option, uint32_t number, bool more, const uint8_t *data, size_t len)
{
    all.answered = false;
    all.id++;
    for (int i = 0; i < 5 && !all.answered; i++) {
        uint64_t end = now_ns() + 1000000000u;

        all.retries += i > 0;
        send_block(code, option, number, more, data, len);
        while (!all.answered && now_ns() < end) udp_turn(100, on_datagram);
    }
    if (!all.answered) die("no answer to block %u", number);
}

static void put_all(void)
{
    for (uint32_t i = 0; (size_t)i * BLOCK < all.size; i++) {
        size_t at = (size_t)i * BLOCK, len = all.size - at < BLOCK ? all.size - at : BLOCK;

        exchange(3, 27, i, at + len < all.size, all.body + at, len);
        if (all.code >> 5 != 2) return;
    }
}

static void get_all(void)
{
    all.more = true;
    for (uint32_t i = 0; all.more; i++) exchange(1, 23, i, false, NULL, 0);
}

int main(int argc, char **argv)
{
    uint64_t random = 4711;
    const char *host;
    unsigned put_code;
    stretch in, out;
    long port;
    bool same;

    args_init(argc, argv);
    host = arg_text("--host", "127.0.0.1");
    port = arg_long("--port", 5683);
    probe_init(arg_text("--server", NULL));
    all.path = arg_text("--path", "r/bench/large");
    all.size = (size_t)arg_long("--size", 1000000);
    args_done();
    all.body = zeroed(1, all.size + 8);
    all.got = zeroed(1, all.size);
    for (size_t i = 0; i < all.size; i += 8) {
        uint64_t word = random_next(&random);

        memcpy(all.body + i, &word, 8);
    }
    udp_open(host, port, 1);
    stretch_begin(&in);
    put_all();
    stretch_end(&in);
    put_code = all.code;
    stretch_begin(&out);
    if (put_code >> 5 == 2) get_all();
    stretch_end(&out);
    same = all.got_len == all.size && memcmp(all.got, all.body, all.size) == 0;
    json_begin("blocks");
    json_stretch(&in, all.size);
    json_number("put_code", (put_code >> 5) * 100 + (put_code & 31));
    json_number("put_megabytes_per_second", (double)all.size / 1e6 / in.seconds);
    json_number("get_megabytes_per_second", (double)all.got_len / 1e6 / out.seconds);
    json_number("memory_growth", out.after.anonymous - in.before.anonymous);
    json_number("retries", (double)all.retries);
    return json_end(put_code >> 5 == 4 || same, "what came back is not what was sent");
}
