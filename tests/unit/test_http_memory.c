/* HTTP with every allocation failing in turn: an error or a closed connection, never a crash or a leak. */
#include "bridge/bridge.h"
#include "check.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct failing {
    long count, at; /* the at-th allocation fails */
} failing;

static void *shaky(void *user, void *p, size_t len)
{
    failing *f = user;

    if (len == 0) return free(p), NULL;
    if (++f->count == f->at) return NULL;
    return realloc(p, len);
}

static void quiet(void *user, int level, const char *area, const char *line)
{
    (void)user, (void)level, (void)area, (void)line;
}

static void turns(bridge *b, int n)
{
    for (int i = 0; i < n; i++) {
        struct pollfd p = {.fd = bridge_fd(b), .events = POLLIN};
        poll(&p, 1, 0);
        bridge_process(b);
    }
}

static int dial(const char *url)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) return close(fd), -1;
    return fd;
}

/* Sends, lets the bridge work, and throws the answer away. */
static void say(bridge *b, int fd, const char *data, size_t len)
{
    char answer[8192];

    if (send(fd, data, len, MSG_NOSIGNAL) < 0) return;
    turns(b, 6);
    while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0) {}
}
#define SAY(fd, text) say(b, fd, text, sizeof(text) - 1)
#define HOST " HTTP/1.1\r\nHost: t\r\n"

static void talk(bridge *b, const char *url)
{
    static const char frames[] = "\x81\x8f\0\0\0\0{\"get\":\"a//b\"} " "\x81\x93\0\0\0\0{\"subscribe\":\"a/#\"}"
                                 "\x81\x99\0\0\0\0{\"put\":\"a/c\",\"value\":[1]}" "\x01\x83\0\0\0\0{\"x" "\x80\x83\0\0\0\0\":1" "\x89\x80\0\0\0\0";
    int a = dial(url), events = dial(url), ws = dial(url);

    if (a < 0 || events < 0 || ws < 0) fprintf(stderr, "cannot connect\n"), check_failed++;
    SAY(a, "PUT /resources/a//b" HOST "Content-Length: 4\r\nCache-Control: max-age=9\r\nTraceparent: x\r\n\r\n21.5");
    SAY(events, "GET /resources/%23?observe" HOST "\r\n");
    SAY(ws, "GET /" HOST "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    say(b, ws, frames, sizeof frames - 1);
    SAY(a, "GET /resources/a//b" HOST "Authorization: Basic YTpi\r\nAccept: application/json\r\n\r\n");
    SAY(a, "GET /resources/+/+/b" HOST "\r\nGET /resources/" HOST "\r\nGET /resources/a//b" HOST "Range: bytes=1-2\r\n\r\n");
    SAY(a, "PUT /resources/c" HOST "Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n");
    SAY(a, "\xff\xfe\xfd\r\n0\r\n\r\n");
    SAY(a, "GET /resources/none" HOST "Prefer: wait=9\r\n\r\n");
    SAY(ws, "\x81\x99\0\0\0\0{\"put\":\"none\",\"value\":1} ");
    SAY(a, "DELETE /resources/c" HOST "\r\nGET /api/explain?path=a" HOST "\r\nGET /metrics" HOST "\r\nGET /" HOST "\r\n");
    SAY(a, "BAD\r\n\r\n");
    close(a);
    turns(b, 2);
    close(events);
    close(ws);
    turns(b, 3);
}

/* True when the failing allocation was reached. */
static bool once(long at)
{
    failing f = {.at = at};
    bridge_slot *slot = NULL;
    bridge *b = NULL;
    char url[64];

    if (bridge_new(&b, BRIDGE_OPTIONS(.realloc = shaky, .log = quiet, .user = &f), NULL) == 0) {
        if (bridge_listen(b, "http://127.0.0.1:0/resources", &slot, NULL) == 0) {
            snprintf(url, sizeof url, "%s", bridge_slot_name(slot));
            if (strstr(url, "/resources")) *strstr(url, "/resources") = 0;
            if (strstr(url, "http://")) talk(b, url);
        }
        bridge_free(b);
    }
    return f.count >= at;
}

int main(void)
{
    long at = 1;

    while (once(at) && at < 3000) at++;
    if (getenv("SHOW")) printf("%ld allocations\n", at);
    CHECK(at > 100 && at < 3000);
    return check_done();
}
