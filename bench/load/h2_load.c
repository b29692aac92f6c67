/* h2_load - load for an HTTP/2 server that takes requests in plain TCP (prior knowledge); prints one JSON line.
 *   h2_load --port N --path /resources/x [--connections 10] [--streams 10]
 * Each connection keeps so many requests under way; the value is PUT there first, over the first of them. */
#include "conn.h"

#include <stdlib.h>
#include <string.h>

enum { DATA, HEADERS, RST_STREAM = 3, SETTINGS, PING = 6, GOAWAY, WINDOW_UPDATE, END_STREAM = 1, ACK = 1, END_HEADERS = 4, HEAD = 9 };

typedef struct peer {
    conn conn; /* first */
    uint32_t stream;
    uint32_t unsaid; /* bytes of DATA that no WINDOW_UPDATE has told yet */
    uint64_t requests, responses;
} peer;

static struct {
    loop loop;
    const char *path, *host;
    int connections, streams;
    uint8_t get[600], put[600];
    size_t get_len, put_len;
    peer *peers;
    uint64_t responses, wrong, closed, ready;
    bool asking;
} all;

static void put_frame(peer *p, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t len)
{
    uint8_t head[HEAD] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, (uint8_t)type, (uint8_t)flags,
                          (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};

    conn_put(&p->conn, head, sizeof(head));
    conn_put(&p->conn, payload, len);
}

static void ask(peer *p)
{
    put_frame(p, HEADERS, END_HEADERS | END_STREAM, p->stream, all.get, all.get_len);
    p->stream += 2;
    p->requests++;
}

/* RFC 7541: ":method" and ":scheme" by the static table, path and authority as they are. */
static size_t make_head(uint8_t *out, bool put)
{
    size_t n = 0, path = strlen(all.path), host = strlen(all.host);

    if (path > 126 || host > 126) die("a shorter path is wanted");
    if (put) n = (size_t)sprintf((char *)out, "\x02\x03PUT");
    else out[n++] = 0x82;
    out[n++] = 0x86;
    n += (size_t)sprintf((char *)out + n, "\x04%c%s\x01%c%s", (int)path, all.path, (int)host, all.host);
    return n;
}

static void on_open(conn *c)
{
    static const uint8_t windows[] = {0, 4, 0x7f, 0xff, 0xff, 0xff}; /* INITIAL_WINDOW_SIZE */
    peer *p = (peer *)c;

    conn_put(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    put_frame(p, SETTINGS, 0, 0, windows, sizeof(windows));
    conn_flush(c);
    p->stream = 1;
    all.ready++;
}

static void on_close(conn *c)
{
    (void)c;
    all.closed++;
}

static void told(peer *p, uint32_t len)
{
    uint8_t more[4];

    p->unsaid += len;
    if (p->unsaid < 16384) return;
    for (int i = 0; i < 4; i++) more[i] = (uint8_t)(p->unsaid >> (24 - 8 * i));
    put_frame(p, WINDOW_UPDATE, 0, 0, more, sizeof(more));
    p->unsaid = 0;
}

/* ":status" comes first, perhaps behind a new size of the table: 200, 204, or another that the table has or has not. */
static bool is_well(const uint8_t *block, size_t len)
{
    while (len && (*block & 0xe0) == 0x20) {
        bool longer = (*block & 0x1f) == 0x1f;
        block++, len--;
        while (longer && len) {
            longer = *block & 0x80;
            block++, len--;
        }
    }
    return len && (*block == 0x88 || *block == 0x89 || *block == 0x08 || *block == 0x48);
}

static void on_frame(peer *p, const uint8_t *head, const uint8_t *payload, uint32_t len)
{
    unsigned type = head[3], flags = head[4];

    if (type == SETTINGS && !(flags & ACK)) put_frame(p, SETTINGS, ACK, 0, NULL, 0);
    if (type == PING && !(flags & ACK)) put_frame(p, PING, ACK, 0, payload, len);
    if (type == DATA) told(p, len);
    if (type == RST_STREAM || type == GOAWAY || (type == HEADERS && !is_well(payload, len))) {
        if (!all.wrong++) fprintf(stderr, "unexpected frame %u, %02x\n", type, len ? payload[0] : 0);
    }
    if ((type != DATA && type != HEADERS) || !(flags & END_STREAM)) return;
    p->responses++;
    all.responses++;
    if (all.asking) ask(p);
}

static size_t on_data(conn *c, const uint8_t *bytes, size_t len)
{
    size_t used = 0;

    while (len - used >= HEAD) {
        const uint8_t *at = bytes + used;
        uint32_t size = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        if (len - used < HEAD + size) break;
        on_frame((peer *)c, at, at + HEAD, size);
        used += HEAD + size;
    }
    return used;
}

static const conn_events events = {on_open, on_data, on_close};

static void turns_until(uint64_t end, uint64_t responses)
{
    while (now_ns() < end && all.responses < responses && !all.closed) loop_turn(&all.loop, 50);
}

/* What is asked for has to be there first. */
static void keep_one(void)
{
    peer *p = all.peers;

    put_frame(p, HEADERS, END_HEADERS, p->stream, all.put, all.put_len);
    put_frame(p, DATA, END_STREAM, p->stream, "~xxxxxxxxxxxxxxxxxxx", 20);
    p->stream += 2;
    p->requests++;
    conn_flush(&p->conn);
    turns_until(now_ns() + 10000000000u, 1);
}

static int run(double seconds)
{
    uint64_t before, asked = 0;
    stretch s;

    all.peers = zeroed((size_t)all.connections, sizeof(peer));
    for (int i = 0; i < all.connections; i++) conn_open(&all.loop, &all.peers[i].conn, &events);
    before = now_ns() + 20000000000u;
    while (all.ready < (uint64_t)all.connections && now_ns() < before && !all.closed) loop_turn(&all.loop, 50);
    if (arg_long("--put", 1)) keep_one();
    all.asking = true;
    for (int i = 0; i < all.connections; i++) {
        for (int n = 0; n < all.streams; n++) ask(all.peers + i);
        conn_flush(&all.peers[i].conn);
    }
    turns_until(now_ns() + 300000000u, UINT64_MAX);
    before = all.responses;
    stretch_begin(&s);
    turns_until(now_ns() + (uint64_t)(seconds * 1e9), UINT64_MAX);
    stretch_end(&s);
    before = all.responses - before;
    all.asking = false;
    for (int i = 0; i < all.connections; i++) asked += all.peers[i].requests;
    turns_until(now_ns() + 2000000000u, asked);
    json_begin("h2 get");
    json_stretch(&s, before);
    json_number("unanswered", (double)(asked - all.responses));
    json_number("wrong", (double)all.wrong);
    return json_end(asked == all.responses && !all.wrong && !all.closed, "unanswered or wrong");
}

int main(int argc, char **argv)
{
    double seconds;

    args_init(argc, argv);
    all.host = arg_text("--host", "127.0.0.1");
    loop_init(&all.loop, all.host, arg_long("--port", 3000), false);
    probe_init(arg_text("--server", NULL));
    all.path = arg_text("--path", "/resources/bench/value");
    all.connections = (int)arg_long("--connections", 10);
    all.streams = (int)arg_long("--streams", 10);
    seconds = arg_real("--seconds", 2);
    arg_long("--put", 1);
    args_done();
    all.get_len = make_head(all.get, false);
    all.put_len = make_head(all.put, true);
    return run(seconds);
}
