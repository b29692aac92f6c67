/* http_load - load for an HTTP/1.1 server over keep-alive connections; prints one JSON line.
 *   http_load get|put --port N --path /resources/x [--connections 50] [--body-size 20]   requests per second
 *   http_load sse     --port N --path /resources/x [--watchers 1000]                     events per second: PUTs fan out */
#include "conn.h"

#include <stdlib.h>
#include <string.h>

typedef struct peer {
    conn conn; /* first */
    bool watcher, ready;
    uint64_t requests, responses, events;
    uint64_t asked_at;
} peer;

static struct {
    loop loop;
    const char *verb, *path, *host;
    int connections, watchers, window;
    size_t body_size;
    char *request;
    size_t request_len;
    peer *peers;
    uint64_t responses, wrong, events, closed, ready;
    bool asking, measuring;
    latency times;
} all;

static void ask(peer *p)
{
    if (all.measuring) p->asked_at = now_ns();
    conn_put(&p->conn, all.request, all.request_len);
    p->requests++;
}

static void on_open(conn *c)
{
    peer *p = (peer *)c;
    char text[500];
    int len;

    if (!p->watcher) {
        p->ready = true;
        all.ready++;
        return;
    }
    len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", all.path, all.host);
    conn_put(c, text, (size_t)len);
}

static void on_close(conn *c)
{
    (void)c;
    all.closed++;
}

/* Header names vary in case; the value of Content-Length, or -1. */
static long content_length(const char *p, const char *end)
{
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
        p++;
        if (end - p > 15 && (*p == 'C' || *p == 'c') && !strncasecmp(p, "content-length:", 15)) return strtol(p + 15, NULL, 10);
    }
    return -1;
}

static size_t on_response(peer *p, const uint8_t *bytes, size_t len)
{
    const char *text = (const char *)bytes;
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    long body;

    if (!end) return 0;
    body = content_length(text, end);
    if (body < 0 && strncmp(text + 9, "204", 3) == 0) body = 0;
    if (body < 0) die("a response without Content-Length");
    if (len - (size_t)(end + 4 - text) < (size_t)body) return 0;
    if (text[9] != '2') {
        if (!all.wrong++) fprintf(stderr, "unexpected answer: %.60s\n", text);
    }
    p->responses++;
    all.responses++;
    if (all.measuring) latency_add(&all.times, now_ns() - p->asked_at);
    if (all.asking) ask(p);
    return (size_t)(end + 4 - text) + (size_t)body;
}

/* Events are counted by the '~' each payload has once; the framing (chunked or not) does not matter then. */
static size_t on_events(peer *p, const uint8_t *bytes, size_t len)
{
    const uint8_t *end = bytes + len, *q = bytes;

    if (!p->ready) {
        if (!memmem(bytes, len, "\r\n\r\n", 4)) return 0;
        if (memcmp(bytes + 9, "200", 3) != 0) die("event stream refused: %.60s", (const char *)bytes);
        p->ready = true;
        all.ready++;
    }
    while ((q = memchr(q, '~', (size_t)(end - q)))) {
        p->events++;
        all.events++;
        q++;
    }
    return len;
}

static size_t on_data(conn *c, const uint8_t *bytes, size_t len)
{
    peer *p = (peer *)c;
    size_t used = 0, n;

    if (p->watcher) return on_events(p, bytes, len);
    while (used < len && (n = on_response(p, bytes + used, len - used))) used += n;
    return used;
}

static const conn_events events = {on_open, on_data, on_close};

static void start(peer *peers, int count, bool watcher)
{
    int started = 0;
    uint64_t patience = now_ns() + 20000000000u, base = all.ready;

    while (all.ready - base < (uint64_t)count) {
        while (started < count && started - (int)(all.ready - base) < 64) {
            peers[started].watcher = watcher;
            conn_open(&all.loop, &peers[started++].conn, &events);
        }
        loop_turn(&all.loop, 100);
        if (now_ns() > patience || all.closed) die("connections failed");
    }
}

static void make_request(const char *verb)
{
    char *body = zeroed(1, all.body_size + 1);
    bool put = !strcmp(verb, "PUT");

    memset(body, 'x', all.body_size);
    body[0] = '~';
    all.request = zeroed(1, all.body_size + 600);
    all.request_len = (size_t)sprintf(all.request, "%s %s HTTP/1.1\r\nHost: %s\r\n", verb, all.path, all.host);
    if (put) {
        all.request_len += (size_t)sprintf(all.request + all.request_len,
            "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s", all.body_size, body);
    } else {
        all.request_len += (size_t)sprintf(all.request + all.request_len, "\r\n");
    }
    free(body);
}

static void turns(double seconds)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);

    while (now_ns() < end && !all.closed) loop_turn(&all.loop, 50);
}

/* What is asked for has to be there first. */
static void keep_one(void)
{
    make_request("PUT");
    ask(all.peers);
    conn_flush(&all.peers->conn);
    while (all.responses == 0 && !all.closed) loop_turn(&all.loop, 100);
    free(all.request);
    make_request("GET");
}

static int run_requests(double seconds)
{
    uint64_t before, asked = 0, answered = 0, patience;
    stretch s;

    all.peers = zeroed((size_t)all.connections, sizeof(peer));
    start(all.peers, all.connections, false);
    if (strcmp(all.verb, "get") == 0) keep_one();
    all.asking = all.measuring = true;
    for (int i = 0; i < all.connections; i++) {
        ask(all.peers + i);
        conn_flush(&all.peers[i].conn);
    }
    turns(0.3);
    memset(&all.times, 0, sizeof(all.times));
    before = all.responses;
    stretch_begin(&s);
    turns(seconds);
    stretch_end(&s);
    before = all.responses - before;
    all.asking = false;
    patience = now_ns() + 2000000000u;
    do {
        asked = answered = 0;
        for (int i = 0; i < all.connections; i++) {
            asked += all.peers[i].requests;
            answered += all.peers[i].responses;
        }
        if (answered < asked) loop_turn(&all.loop, 50);
    } while (answered < asked && now_ns() < patience);
    json_begin(all.verb);
    json_stretch(&s, before);
    json_latency("", &all.times);
    json_number("unanswered", (double)(asked - answered));
    json_number("wrong", (double)all.wrong);
    return json_end(asked == answered && !all.wrong && !all.closed, "unanswered or wrong");
}

/* One connection PUTs; the window is in PUTs whose events have not all arrived. */
static uint64_t fan_out(peer *writer, double seconds, uint64_t base_events, uint64_t base_requests)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9), last = now_ns(), seen = all.events;

    for (;;) {
        uint64_t done = (all.events - base_events) / (uint64_t)all.watchers, sent = writer->requests - base_requests;
        bool fresh = now_ns() < end;

        if (!fresh && done >= sent && writer->responses == writer->requests) return now_ns();
        if (fresh && sent - done <= (uint64_t)all.window / 2) {
            while (writer->requests - base_requests - done < (uint64_t)all.window) ask(writer);
            conn_flush(&writer->conn);
        }
        loop_turn(&all.loop, 50);
        if (all.events != seen) {
            seen = all.events;
            last = now_ns();
        }
        if (now_ns() > last + 2000000000u || all.closed) return last;
    }
}

static int run_sse(double seconds)
{
    uint64_t before, sent, last, extra;
    stretch s;
    peer *writer;

    all.peers = zeroed((size_t)all.watchers + 1, sizeof(peer));
    writer = all.peers + all.watchers;
    start(writer, 1, false);
    ask(writer); /* the path has a value before anyone watches it */
    conn_flush(&writer->conn);
    while (!writer->responses) loop_turn(&all.loop, 50);
    start(all.peers, all.watchers, true);
    turns(0.3); /* the first event of each, where the server sends the value at once */
    before = all.events;
    sent = writer->requests;
    stretch_begin(&s);
    last = fan_out(writer, seconds, before, sent);
    stretch_end_at(&s, last);
    turns(0.05);
    before = all.events - before;
    sent = (writer->requests - sent) * (uint64_t)all.watchers;
    extra = before > sent ? before - sent : 0;
    json_begin("sse");
    json_stretch(&s, before);
    json_number("lost", before < sent ? (double)(sent - before) : 0);
    json_number("extra", (double)extra);
    json_number("wrong", (double)all.wrong);
    json_number("bytes_each", 0);
    return json_end(before == sent && !all.wrong && !all.closed, "events lost or doubled");
}

int main(int argc, char **argv)
{
    double seconds;

    if (argc < 2) die("usage: http_load get|put|sse --port N --path /x");
    args_init(argc - 1, argv + 1);
    raise_file_limit();
    all.verb = argv[1];
    all.host = arg_text("--host", "127.0.0.1");
    loop_init(&all.loop, all.host, arg_long("--port", 3000), arg_long("--tls", 0) != 0);
    probe_init(arg_text("--server", NULL));
    all.path = arg_text("--path", "/resources/bench/value");
    all.connections = (int)arg_long("--connections", 50);
    all.watchers = (int)arg_long("--watchers", 1000);
    all.window = (int)arg_long("--window", 50);
    all.body_size = (size_t)arg_long("--body-size", 20);
    seconds = arg_real("--seconds", 2);
    args_done();
    make_request(strcmp(all.verb, "get") ? "PUT" : "GET");
    return strcmp(all.verb, "sse") ? run_requests(seconds) : run_sse(seconds);
}
