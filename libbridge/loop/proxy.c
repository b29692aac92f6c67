/* The PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt): where a connection really comes from, said by the balancer
 * before the first byte, also before TLS begins.  Only for listeners with proxy=yes. */
#include "loop/internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { V1_MOST = 107, V2_HEAD = 16 };
static const char v2_sign[12] = "\r\n\r\n\0\r\nQUIT\n";

static int read_v1(const uint8_t *p, size_t len, char *peer, size_t room)
{
    const uint8_t *end = memchr(p, '\n', len < V1_MOST ? len : V1_MOST);
    char line[V1_MOST + 1], family[8] = "", from[46], to[46];
    unsigned port, port_to;
    if (!end) return len < V1_MOST ? 0 : -1;
    size_t n = (size_t)(end - p) + 1;
    memcpy(line, p, n);
    line[n] = 0;
    if (n < 2 || line[n - 2] != '\r' || strlen(line) != n) return -1;
    if (strncmp(line, "PROXY UNKNOWN", 13) == 0) return (int)n;
    if (sscanf(line, "PROXY %7s %45s %45s %5u %5u\r\n", family, from, to, &port, &port_to) != 5 || port > 65535) return -1;
    struct in6_addr any;
    bool v6 = strcmp(family, "TCP6") == 0;
    if (!v6 && strcmp(family, "TCP4") != 0) return -1;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, from, &any) != 1) return -1;
    snprintf(peer, room, v6 ? "[%s]:%u" : "%s:%u", from, port);
    return (int)n;
}

static int read_v2(const uint8_t *p, size_t len, char *peer, size_t room)
{
    if (len < V2_HEAD) return 0;
    size_t body = (size_t)p[14] << 8 | p[15];
    if (p[12] >> 4 != 2 || (p[12] & 15) > 1) return -1;
    if (len < V2_HEAD + body) return 0;
    const uint8_t *a = p + V2_HEAD;
    char host[INET6_ADDRSTRLEN];
    if ((p[12] & 15) == 1 && p[13] == 0x11 && body >= 12)
        snprintf(peer, room, "%s:%u", inet_ntop(AF_INET, a, host, sizeof host), a[8] << 8 | a[9]);
    else if ((p[12] & 15) == 1 && p[13] == 0x21 && body >= 36)
        snprintf(peer, room, "[%s]:%u", inet_ntop(AF_INET6, a, host, sizeof host), a[32] << 8 | a[33]);
    return (int)(V2_HEAD + body); /* LOCAL, Unix sockets, others: the connection's own address stays */
}

int proxy_read(const uint8_t *p, size_t len, char *peer, size_t room)
{
    size_t n = len < sizeof v2_sign ? len : sizeof v2_sign;
    if (memcmp(p, v2_sign, n) == 0) return n < sizeof v2_sign ? 0 : read_v2(p, len, peer, room);
    n = len < 6 ? len : 6;
    if (memcmp(p, "PROXY ", n) != 0) return -1;
    return n < 6 ? 0 : read_v1(p, len, peer, room);
}

/* The kernel keeps the header until it is whole: it is only looked at, so nothing of what follows is taken by mistake, and a peer
 * that is slow with it costs no memory. */
bool proxy_taken(stream *s, int fd, uint32_t events)
{
    uint8_t *head = s->loop->scratch;
    ssize_t have = recv(fd, head, STREAM_READ, MSG_PEEK);
    int n = have > 0 ? proxy_read(head, (size_t)have, s->peer, sizeof s->peer) : 0;

    if (n > 0) return recv(fd, head, (size_t)n, 0) == n;
    if (n < 0 || (have == STREAM_READ))
        stream_ended(s, BRIDGE_PROTOCOL);
    else if (have == 0 || (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) || (have < 0 && errno != EAGAIN && errno != EINTR))
        stream_ended(s, BRIDGE_CLOSED);
    return false;
}
