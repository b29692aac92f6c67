#include "udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* One port's datagrams wait together, in one buffer shared by all ports: a burst is for one port at a time. */
static struct {
    int epoll;
    int *sockets;
    uint32_t ports, port, count;
    uint8_t out[UDP_BATCH][UDP_SIZE], in[UDP_BATCH][UDP_SIZE];
    struct iovec out_vec[UDP_BATCH], in_vec[UDP_BATCH];
    struct mmsghdr out_msg[UDP_BATCH], in_msg[UDP_BATCH];
} udp;

void udp_open(const char *host, long port, uint32_t ports)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int size = 1 << 20;

    if (inet_pton(AF_INET, host, &to.sin_addr) != 1) die("--host wants an IPv4 address");
    udp.epoll = epoll_create1(EPOLL_CLOEXEC);
    udp.ports = ports;
    udp.sockets = zeroed(ports, sizeof(int));
    for (uint32_t i = 0; i < ports; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0) die("socket %u: %s", i, strerror(errno));
        if (ports <= 64) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) die("connect: %s", strerror(errno));
        epoll_ctl(udp.epoll, EPOLL_CTL_ADD, fd, &event);
        udp.sockets[i] = fd;
    }
    for (uint32_t i = 0; i < UDP_BATCH; i++) {
        udp.out_vec[i].iov_base = udp.out[i];
        udp.out_msg[i].msg_hdr = (struct msghdr){.msg_iov = &udp.out_vec[i], .msg_iovlen = 1};
        udp.in_vec[i] = (struct iovec){udp.in[i], UDP_SIZE};
        udp.in_msg[i].msg_hdr = (struct msghdr){.msg_iov = &udp.in_vec[i], .msg_iovlen = 1};
    }
}

void udp_flush(void)
{
    uint32_t done = 0;

    while (done < udp.count) {
        int n = sendmmsg(udp.sockets[udp.port], udp.out_msg + done, udp.count - done, 0);

        if (n < 0 && errno != EAGAIN && errno != ECONNREFUSED && errno != ENOBUFS) die("sendmmsg: %s", strerror(errno));
        if (n > 0) done += (uint32_t)n;
    }
    udp.count = 0;
}

uint8_t *udp_room(uint32_t port)
{
    if (udp.count && (udp.port != port || udp.count == UDP_BATCH)) udp_flush();
    udp.port = port;
    return udp.out[udp.count];
}

void udp_wrote(uint32_t port, size_t len)
{
    (void)port;
    udp.out_vec[udp.count++].iov_len = len;
}

int udp_turn(int timeout, udp_fn fn)
{
    struct epoll_event events[256];
    int count, sum = 0;

    udp_flush();
    count = epoll_wait(udp.epoll, events, 256, timeout);
    for (int i = 0; i < count; i++) {
        uint32_t port = events[i].data.u32;
        int n = recvmmsg(udp.sockets[port], udp.in_msg, UDP_BATCH, 0, NULL);

        for (int j = 0; j < n; j++) fn(port, udp.in[j], udp.in_msg[j].msg_len);
        if (n > 0) sum += n;
    }
    udp_flush();
    return sum;
}

uint8_t *udp_option(uint8_t *p, unsigned *last, unsigned number, const void *value, size_t len)
{
    unsigned delta = number - *last;

    *last = number;
    *p++ = (uint8_t)((delta < 13 ? delta : 13) << 4 | (len < 13 ? len : 13));
    if (delta >= 13) *p++ = (uint8_t)(delta - 13);
    if (len >= 13) *p++ = (uint8_t)(len - 13);
    memcpy(p, value, len);
    return p + len;
}
