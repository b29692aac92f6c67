/* loop/fetch against a server on the same loop: nothing of it may wait for anything. */
#include "check.h"
#include "loop/fetch.h"
#include "loop/stream.h"
#include <stdlib.h>

static loop *the_loop;
static unsigned connections, streams_open;
static char seen[4096];

typedef struct served {
    stream *s;
} served;

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\nX-Two: 1\r\nX-Two: 2\r\n\r\nhello";
static const char endless[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
static const char huge[] = "HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\n";
static const char gone[] = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n";

static size_t on_data(void *user, const uint8_t *data, size_t len)
{
    static char zeros[200000];
    served *x = user;
    const char *end = memmem(data, len, "\r\n\r\n", 4), *length = memmem(data, len, "Content-Length: ", 16);
    size_t body = end && length && length < end ? (size_t)atoi(length + 16) : 0;

    if (!end || (size_t)(end + 4 - (const char *)data) + body > len) return 0;
    snprintf(seen, sizeof seen, "%.*s", (int)len, (const char *)data);
    if (strstr(seen, "/ok ")) stream_write(x->s, ok, sizeof ok - 1);
    if (strstr(seen, "/gone ")) stream_write(x->s, gone, sizeof gone - 1);
    if (strstr(seen, "/endless ")) stream_write(x->s, endless, sizeof endless - 1);
    if (strstr(seen, "/huge ")) stream_write(x->s, huge, sizeof huge - 1);
    if (strstr(seen, "/huge ")) stream_write(x->s, zeros, sizeof zeros);
    if (strstr(seen, "/broken ")) stream_close(x->s);
    if (strstr(seen, "/garbage ")) stream_write(x->s, "SSH-2.0\r\n\r\n", 11);
    return len;
}

static void on_close(void *user, int status)
{
    (void)status;
    streams_open--;
    free(user);
}

static const stream_events events = {.on_data = on_data, .on_close = on_close};

static void on_accept(void *user, stream *s)
{
    served *x = malloc(sizeof *x);

    (void)user;
    x->s = s;
    connections++;
    streams_open++;
    stream_start(s, &events, x);
}

/* ---- asking */

typedef struct heard {
    int count, outcome, status;
    char body[64], etag[16], two[16];
    unsigned pieces;
} heard;

static void on_answer(void *user, const fetch_answer *a)
{
    heard *h = user;
    text etag = fetch_header(a, "etag"), two = fetch_header(a, "X-Two");

    h->count++;
    h->outcome = a->outcome;
    h->status = a->status;
    snprintf(h->body, sizeof h->body, "%.*s", (int)a->len, a->body ? (const char *)a->body : "");
    snprintf(h->etag, sizeof h->etag, "%.*s", (int)etag.len, etag.p ? etag.p : "");
    snprintf(h->two, sizeof h->two, "%.*s", (int)two.len, two.p ? two.p : "");
    if (a->outcome < 0) CHECK(a->why && a->why[0]);
}

static bool on_piece(void *user, const fetch_answer *a)
{
    heard *h = user;

    CHECK_INT(a->status, 200);
    CHECK(a->len > 0);
    return ++h->pieces == 0;
}

static void wait_for(const heard *h)
{
    for (int i = 0; i < 3000 && h->count == 0; i++)
        loop_turn(the_loop, 10);
    CHECK_INT(h->count, 1);
}

static heard get(int port, const char *path, fetch_ask ask)
{
    heard h = {0};
    char address[128];

    snprintf(address, sizeof address, "http://127.0.0.1:%d%s", port, path);
    ask.url = address;
    CHECK_INT(fetch_start(the_loop, &ask, on_answer, &h, NULL, NULL), 0);
    CHECK_INT(h.count, 0); /* never from within */
    wait_for(&h);
    return h;
}

static void answers(int port)
{
    heard h = get(port, "/ok", (fetch_ask){0});

    CHECK_INT(h.outcome, 0);
    CHECK_INT(h.status, 200);
    CHECK_STR(h.body, "hello");
    CHECK_STR(h.etag, "\"a\"");
    CHECK_STR(h.two, "2");
    CHECK_INT(get(port, "/gone", (fetch_ask){.method = "DELETE"}).status, 410);
    CHECK(strncmp(seen, "DELETE /gone HTTP/1.1\r\n", 23) == 0);
    CHECK_INT(connections, 1); /* used again */
}

static void bodies(int port)
{
    static const char *const fields[] = {"Content-Type: text/x-y", "X-Mine: 7", NULL};
    fetch_ask ask = {.method = "PUT", .headers = fields, .body = "21.5", .len = 4};

    CHECK_INT(get(port, "/a/../ok", ask).status, 200);
    CHECK(strncmp(seen, "PUT /a/../ok HTTP/1.1\r\n", 23) == 0);
    CHECK(strstr(seen, "\r\nContent-Type: text/x-y\r\n") && strstr(seen, "\r\nX-Mine: 7\r\n"));
    CHECK(strstr(seen, "\r\nContent-Length: 4\r\n") && strstr(seen, "\r\n\r\n21.5"));
    CHECK(!strstr(seen, "Expect"));
    ask = (fetch_ask){.method = "POST", .body = ""};
    CHECK_INT(get(port, "/ok", ask).status, 200);
    CHECK(strstr(seen, "\r\nContent-Length: 0\r\n") && !strstr(seen, "Content-Type"));
}

static void failures(int port)
{
    CHECK_INT(get(port, "/huge", (fetch_ask){0}).outcome, BRIDGE_TOOBIG);
    CHECK_INT(get(port, "/huge", (fetch_ask){.max_body = 100}).outcome, BRIDGE_TOOBIG);
    CHECK_INT(get(port, "/broken", (fetch_ask){0}).outcome, BRIDGE_CLOSED);
    CHECK(get(port, "/garbage", (fetch_ask){.timeout = 500}).outcome < 0);
    CHECK_INT(get(port, "/endless", (fetch_ask){.timeout = 100}).outcome, BRIDGE_TIMEOUT);
    CHECK_INT(get(port, "/never", (fetch_ask){.timeout = 100}).outcome, BRIDGE_TIMEOUT);
    CHECK_INT(get(1, "/", (fetch_ask){0}).outcome, BRIDGE_UNREACHABLE);
    CHECK_INT(get(port, "/endless", (fetch_ask){.timeout = -1, .on_data = on_piece}).outcome, BRIDGE_CANCELED);
}

static void refused(int port)
{
    static const char *const split[] = {"X-A: 1\r\nX-B: 2", NULL};
    fetch_ask ask = {.url = "http://127.0.0.1/", .headers = split};
    bridge_error err;

    (void)port;
    CHECK_INT(fetch_start(the_loop, &ask, on_answer, NULL, NULL, &err), BRIDGE_INVALID);
    ask = (fetch_ask){.url = "http://127.0.0.1/", .method = "GET / HTTP/1.0\r\n"};
    CHECK_INT(fetch_start(the_loop, &ask, on_answer, NULL, NULL, &err), BRIDGE_INVALID);
    CHECK_INT(get(port, "/ok", (fetch_ask){0}).status, 200);
}

static void other_schemes_are_not_asked(void)
{
    fetch_ask ask = {.url = "file:///etc/hostname"};
    heard h = {0};

    CHECK_INT(fetch_start(the_loop, &ask, on_answer, &h, NULL, NULL), 0);
    wait_for(&h);
    CHECK_INT(h.outcome, BRIDGE_INVALID);
}

static void cancelled(int port)
{
    heard h = {0}, other;
    char address[64];
    fetch *f = NULL;
    fetch_ask ask = {.url = address};

    snprintf(address, sizeof address, "http://127.0.0.1:%d/never", port);
    CHECK_INT(fetch_start(the_loop, &ask, on_answer, &h, &f, NULL), 0);
    fetch_cancel(f); /* before it began */
    CHECK_INT(fetch_start(the_loop, &ask, on_answer, &h, &f, NULL), 0);
    other = get(port, "/ok", (fetch_ask){0});
    CHECK_INT(other.status, 200);
    fetch_cancel(f);
    CHECK_INT(fetch_start(the_loop, &ask, on_answer, &h, &f, NULL), 0);
    loop_turn(the_loop, 10);
    CHECK_INT(h.count, 0); /* and one is under way when the loop ends */
}

int main(void)
{
    listener *li;
    bridge_error err;

    CHECK_INT(loop_new(&the_loop, mem_default(), NULL, NULL), 0);
    CHECK_INT(listener_open(&li, the_loop, &(listener_options){.host = "127.0.0.1"}, on_accept, NULL, &err), 0);
    answers(listener_port(li));
    bodies(listener_port(li));
    failures(listener_port(li));
    refused(listener_port(li));
    other_schemes_are_not_asked();
    cancelled(listener_port(li));
    listener_close(li);
    fetch_end(the_loop);
    for (int i = 0; i < 1000 && streams_open; i++)
        loop_turn(the_loop, 10);
    CHECK_INT(streams_open, 0);
    loop_free(the_loop);
    return check_done();
}
