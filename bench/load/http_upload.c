/* http_upload - one PUT far beyond what a server takes: is it refused, or does memory stay within its limit?
 *   http_upload --port N [--path /resources/bench/large] [--size 100000000]      prints one JSON line */
#include "conn.h"

#include <stdlib.h>
#include <string.h>

static struct {
    conn conn;
    const char *path;
    uint64_t size, sent;
    double peak;
    int status;
    bool open, closed;
} all;

static void on_open(conn *c)
{
    char head[500];
    int len = snprintf(head, sizeof(head), "PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
                                           "Content-Length: %llu\r\n\r\n", all.path, (unsigned long long)all.size);

    conn_put(c, head, (size_t)len);
    all.open = true;
}

static size_t on_data(conn *c, const uint8_t *p, size_t len)
{
    (void)c;
    if (!all.status && len > 12) all.status = atoi((const char *)p + 9);
    return len;
}

static void on_close(conn *c)
{
    (void)c;
    all.closed = true;
}

static const conn_events events = {on_open, on_data, on_close};

static void fill(void)
{
    static const uint8_t chunk[CONN_CHUNK];

    while (all.sent < all.size && conn_waiting(&all.conn) < CONN_CHUNK) {
        size_t len = all.size - all.sent < CONN_CHUNK ? (size_t)(all.size - all.sent) : CONN_CHUNK;

        conn_put(&all.conn, chunk, len);
        all.sent += len;
    }
    conn_flush(&all.conn);
}

int main(int argc, char **argv)
{
    uint64_t end = now_ns() + 10000000000u, look = 0;
    const char *host;
    stretch s;
    probe now;
    loop l;
    long port;

    args_init(argc, argv);
    host = arg_text("--host", "127.0.0.1");
    port = arg_long("--port", 3000);
    probe_init(arg_text("--server", NULL));
    all.path = arg_text("--path", "/resources/bench/large");
    all.size = (uint64_t)arg_long("--size", 100000000);
    args_done();
    loop_init(&l, host, port, false);
    conn_open(&l, &all.conn, &events);
    stretch_begin(&s);
    while (!all.status && !all.closed && now_ns() < end) {
        if (all.open && !all.closed) fill();
        loop_turn(&l, 10);
        if (now_ns() < look) continue;
        probe_take(&now);
        if (now.anonymous > all.peak) all.peak = now.anonymous;
        look = now_ns() + 10000000u;
    }
    stretch_end(&s);
    json_begin("upload");
    json_stretch(&s, all.sent);
    json_number("status", all.status);
    json_number("memory_growth", (s.after.anonymous > all.peak ? s.after.anonymous : all.peak) - s.before.anonymous);
    return json_end(all.status == 413 || all.status / 100 == 2, "neither taken nor refused");
}
