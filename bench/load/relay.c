/* relay - the limit: looks like an MQTT server to mqtt_load's fanout, fanin and pairs at QoS 0, but only moves bytes.
 * It reads CONNECT (whose client id says who it is) and SUBSCRIBE, and never looks at a PUBLISH.  What a broker costs
 * beyond this is its own doing. */
#include "util.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS 4096

typedef struct peer {
    int fd, index; /* publisher: its number; subscriber: the publisher it hears, -1: all */
    bool publisher, known, dirty, blocked;
    uint8_t *out;
    size_t len, pos, cap;
    size_t rest; /* publisher: bytes of the last packet still to come, in front of what is read next */
    uint8_t tail[256];
} peer;

static peer peers[PEERS];
static peer *dirty[PEERS];
static int used, dirty_count, epoll;
static uint8_t buffer[65536 + 256];

static void put(peer *p, const uint8_t *bytes, size_t len)
{
    if (p->pos == p->len) p->pos = p->len = 0;
    if (p->len + len > p->cap) p->out = grow(p->out, p->cap = (p->len + len) * 2);
    memcpy(p->out + p->len, bytes, len);
    p->len += len;
    if (!p->dirty) dirty[dirty_count++] = p;
    p->dirty = true;
}

static void flush(peer *p)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    bool was = p->blocked;

    p->dirty = p->blocked = false;
    while (p->pos < p->len && !p->blocked) {
        ssize_t n = send(p->fd, p->out + p->pos, p->len - p->pos, MSG_NOSIGNAL);

        if (n > 0) p->pos += (size_t)n;
        else p->blocked = true;
    }
    if (p->blocked) event.events |= EPOLLOUT;
    if (was != p->blocked) epoll_ctl(epoll, EPOLL_CTL_MOD, p->fd, &event);
}

/* CONNECT: 2 + 10 bytes, then the id "bench-p000007"; SUBSCRIBE: 2 + 2 bytes, then the filter. */
static void handshake(peer *p, const uint8_t *bytes, size_t len)
{
    if (bytes[0] == 0x10) {
        char digits[8] = "";

        p->publisher = bytes[20] == 'p';
        memcpy(digits, bytes + 21, 6);
        p->index = atoi(digits);
        put(p, (const uint8_t *)"\x20\2\0\0", 4);
        p->known = p->publisher;
    } else if (bytes[0] == 0x82) {
        p->index = len > 13 && bytes[12] >= '0' && bytes[12] <= '9' ? atoi((const char *)bytes + 12) : -1;
        put(p, (const uint8_t[]){0x90, 3, bytes[2], bytes[3], 0}, 5);
        p->known = true;
    }
}

/* A publisher's packets are all of one size; only whole ones are passed on, as several may share a subscriber. */
static void pass_on(peer *p, size_t len)
{
    size_t packet = (size_t)buffer[1] + 2, rest = len % packet;

    if (packet > sizeof(p->tail) || buffer[1] & 128) die("the relay wants packets of less than 128 bytes");
    for (int i = 0; i < used && len > rest; i++) {
        peer *to = peers + i;

        if (to->known && !to->publisher && (to->index < 0 || to->index == p->index)) put(to, buffer, len - rest);
    }
    memcpy(p->tail, buffer + len - rest, rest);
    p->rest = rest;
}

static void readable(peer *p)
{
    ssize_t n = recv(p->fd, buffer + p->rest, sizeof(buffer) - sizeof(p->tail), 0);

    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close(p->fd);
        p->known = false;
        p->fd = -1;
    } else if (n > 0 && !(p->known && p->publisher)) {
        handshake(p, buffer, (size_t)n);
    } else if (n > 0) {
        memcpy(buffer, p->tail, p->rest);
        pass_on(p, p->rest + (size_t)n);
    }
}

static void welcome(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[used]};

    if (fd < 0) return;
    if (used == PEERS) die("too many connections");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    peers[used++] = (peer){.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int main(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[256] = {{.events = EPOLLIN}};
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 1024)) die("listen: %s", strerror(errno));
    getsockname(listener, (struct sockaddr *)&at, &len);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, events);
    printf("listening on mqtt://127.0.0.1:%u\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, 256, -1);

        for (int i = 0; i < count; i++) {
            peer *p = events[i].data.ptr;

            if (!p) welcome(listener);
            else if (p->fd >= 0 && events[i].events & EPOLLOUT) flush(p);
            if (p && p->fd >= 0 && events[i].events & ~(uint32_t)EPOLLOUT) readable(p);
        }
        for (int i = 0; i < dirty_count; i++) {
            if (dirty[i]->fd >= 0 && !dirty[i]->blocked) flush(dirty[i]);
            dirty[i]->dirty = false;
        }
        dirty_count = 0;
    }
}
