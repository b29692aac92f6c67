#include "adapter/coap/udp.h"
#include "base/status.h"
#include "hub/port.h"
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BATCH = 64,
    ROUNDS = 16,                /* batches before the rest of the loop has its turn */
    SLOT = 65536 + 192,         /* the largest datagram; the odd stride keeps slots off each other's cache lines */
    OUT_BYTES = 128 * 1024,
    CONTROL = 64,
    SOCKET_BUFFER = 4 << 20     /* asked for; the kernel gives what net.core.[rw]mem_max allows */
};

typedef union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} any_address;

typedef struct way { /* the parts of one mmsghdr */
    any_address address;
    struct iovec iov;
    _Alignas(struct cmsghdr) char control[CONTROL];
} way;

struct coap_udp {
    bridge_port *port;
    mem *mem;
    coap_udp_fn fn;
    void (*on_batch)(void *user);
    void *user, *batch_user;
    bridge_event *event, *retry;
    uint8_t *in, *out;
    size_t out_len;
    unsigned out_count;
    int fd, number;
    bool wildcard, reading, closed;
    uint64_t lost;
    struct mmsghdr in_head[BATCH], out_head[BATCH];
    way in_way[BATCH], out_way[BATCH];
};

static void address_take(coap_address *out, const any_address *from)
{
    memset(out, 0, sizeof *out);
    out->family = from->any.sa_family;
    if (from->any.sa_family == AF_INET6) {
        out->port = from->v6.sin6_port;
        out->scope = from->v6.sin6_scope_id;
        memcpy(out->remote, &from->v6.sin6_addr, 16);
    } else {
        out->port = from->v4.sin_port;
        memcpy(out->remote, &from->v4.sin_addr, 4);
    }
}

static socklen_t address_give(const coap_address *a, any_address *to)
{
    if (a->family == AF_INET6) {
        to->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = a->port, .sin6_scope_id = a->scope};
        memcpy(&to->v6.sin6_addr, a->remote, 16);
        return sizeof to->v6;
    }
    to->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = a->port};
    memcpy(&to->v4.sin_addr, a->remote, 4);
    return sizeof to->v4;
}

void coap_address_text(const coap_address *a, char *out)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char host[INET6_ADDRSTRLEN] = "?", zone[IF_NAMESIZE] = "";

    if (a->family == AF_INET || memcmp(a->remote, mapped, 12) == 0) {
        inet_ntop(AF_INET, a->family == AF_INET ? a->remote : a->remote + 12, host, sizeof host);
        snprintf(out, COAP_ADDRESS_TEXT, "%s:%u", host, ntohs(a->port));
        return;
    }
    inet_ntop(AF_INET6, a->remote, host, sizeof host);
    if (a->scope) if_indextoname(a->scope, zone);
    snprintf(out, COAP_ADDRESS_TEXT, "[%.45s%s%.9s]:%u", host, *zone ? "%" : "", zone, ntohs(a->port));
}

static bool is_multicast(const coap_address *a, const uint8_t *to)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    (void)a;
    return to[0] == 0xff || (memcmp(to, mapped, 12) == 0 && (to[12] & 0xf0) == 0xe0);
}

/* Where did it come to?  (Wildcard sockets are IPv6, and tell IPv4 addresses as mapped ones.) */
static bool local_take(coap_address *out, struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        struct in6_pktinfo info;

        if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_PKTINFO) continue;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        memcpy(out->local, &info.ipi6_addr, 16);
        if (!is_multicast(out, out->local)) return false;
        memset(out->local, 0, 16); /* the kernel chooses: RFC 7252 8.2, not from the group address */
        return true;
    }
    return false;
}

static void local_give(const coap_address *a, struct msghdr *m)
{
    static const uint8_t none[16];
    struct in6_pktinfo info = {.ipi6_ifindex = a->scope};
    struct cmsghdr *c;

    if (memcmp(a->local, none, 16) == 0) {
        m->msg_controllen = 0;
        return;
    }
    m->msg_controllen = CMSG_SPACE(sizeof info);
    c = CMSG_FIRSTHDR(m);
    c->cmsg_level = IPPROTO_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(&info.ipi6_addr, a->local, 16);
    memcpy(CMSG_DATA(c), &info, sizeof info);
}

/* ---- Out */

static void on_retry(void *user)
{
    coap_udp *u = user;

    bridge_event_close(u->retry);
    u->retry = NULL;
    coap_udp_flush(u);
}

static void out_keep(coap_udp *u, unsigned from)
{
    for (unsigned i = from; i < u->out_count; i++) {
        struct mmsghdr *to = &u->out_head[i - from];
        way *w = &u->out_way[i - from];

        if (from == 0) break;
        *w = u->out_way[i];
        to->msg_hdr.msg_namelen = u->out_head[i].msg_hdr.msg_namelen;
        to->msg_hdr.msg_controllen = u->out_head[i].msg_hdr.msg_controllen;
    }
    u->out_count -= from;
    if (!u->retry) bridge_port_after(u->port, 1, on_retry, u, &u->retry);
}

void coap_udp_flush(coap_udp *u)
{
    unsigned at = 0;

    while (at < u->out_count) {
        int n = sendmmsg(u->fd, u->out_head + at, u->out_count - at, MSG_DONTWAIT);

        if (n > 0) {
            at += (unsigned)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            out_keep(u, at);
            return;
        } else if (errno != EINTR) { /* this one cannot go (no route, refused, too long); the others may */
            u->lost++;
            at++;
        }
    }
    u->out_count = 0;
    u->out_len = 0;
}

uint8_t *coap_udp_room(coap_udp *u, size_t len)
{
    if (u->out_count == BATCH || u->out_len + len > OUT_BYTES) {
        coap_udp_flush(u);
        if (u->out_count == BATCH || u->out_len + len > OUT_BYTES) {
            u->lost++;
            return NULL;
        }
    }
    return u->out + u->out_len;
}

void coap_udp_send(coap_udp *u, const coap_address *to, const uint8_t *p, size_t len)
{
    struct msghdr *m = &u->out_head[u->out_count].msg_hdr;
    way *w = &u->out_way[u->out_count++];

    m->msg_namelen = address_give(to, &w->address);
    w->iov = (struct iovec){(void *)p, len};
    if (u->wildcard)
        local_give(to, m);
    else
        m->msg_controllen = 0;
    u->out_len = (size_t)(p + len - u->out);
}

/* ---- In */

static void hand_over(coap_udp *u, unsigned count)
{
    for (unsigned i = 0; i < count && !u->closed; i++) {
        struct msghdr *m = &u->in_head[i].msg_hdr;
        coap_address from;
        bool multicast;

        address_take(&from, &u->in_way[i].address);
        multicast = u->wildcard && local_take(&from, m);
        u->fn(u->user, &from, u->in_way[i].iov.iov_base, u->in_head[i].msg_len, multicast);
    }
}

static void in_reset(coap_udp *u, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        u->in_head[i].msg_hdr.msg_namelen = sizeof(any_address);
        u->in_head[i].msg_hdr.msg_controllen = u->wildcard ? CONTROL : 0;
    }
}

static void udp_free(coap_udp *u)
{
    mem_free(u->mem, u->in);
    mem_free(u->mem, u->out);
    mem_free(u->mem, u);
}

static void on_readable(void *user, unsigned events)
{
    coap_udp *u = user;

    (void)events;
    u->reading = true;
    for (int round = 0; round < ROUNDS && !u->closed; round++) {
        int n = recvmmsg(u->fd, u->in_head, BATCH, MSG_DONTWAIT, NULL);

        if (n <= 0) break; /* no more, or a pending ICMP error, which took its turn away by being told */
        bridge_port_catch_up(u->port);
        hand_over(u, (unsigned)n);
        if (u->closed) break;
        if (u->on_batch) u->on_batch(u->batch_user);
        coap_udp_flush(u);
        in_reset(u, (unsigned)n);
        if (n < BATCH) break;
    }
    u->reading = false;
    if (u->closed) udp_free(u);
}

/* ---- Life */

static int fd_open(coap_udp *u, const struct addrinfo *where)
{
    int on = 1, off = 0, size = SOCKET_BUFFER;
    int fd = socket(where->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (where->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, u->wildcard ? &off : &on, sizeof on);
    if (u->wildcard) setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    if (bind(fd, where->ai_addr, where->ai_addrlen) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

static int number_of(int fd)
{
    any_address a;
    socklen_t len = sizeof a;

    if (getsockname(fd, &a.any, &len) < 0) return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

static int udp_bind(coap_udp *u, const char *host, int number, bridge_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    char service[8];
    int rc;

    u->wildcard = !*host || strcmp(host, "::") == 0;
    if (u->wildcard) hints.ai_family = AF_INET6;
    snprintf(service, sizeof service, "%d", number);
    rc = getaddrinfo(u->wildcard ? "::" : host, service, &hints, &found);
    if (rc) return fail(err, BRIDGE_INVALID, "%s: %s", *host ? host : "any address", gai_strerror(rc));
    u->fd = fd_open(u, found);
    freeaddrinfo(found);
    if (u->fd == -EAFNOSUPPORT && u->wildcard) { /* a machine without IPv6: the kernel chooses where answers leave */
        u->wildcard = false;
        return udp_bind(u, "0.0.0.0", number, err);
    }
    if (u->fd < 0)
        return fail(err, u->fd == -EADDRINUSE ? BRIDGE_EXISTS : u->fd == -EACCES ? BRIDGE_DENIED : BRIDGE_IO, "UDP %s port %d: %s",
                    *host ? host : "*", number, strerror(-u->fd));
    u->number = number_of(u->fd);
    return 0;
}

static void ways_init(coap_udp *u)
{
    for (unsigned i = 0; i < BATCH; i++) {
        struct msghdr *in = &u->in_head[i].msg_hdr, *out = &u->out_head[i].msg_hdr;

        u->in_way[i].iov = (struct iovec){u->in + (size_t)i * SLOT, 65536};
        *in = (struct msghdr){.msg_name = &u->in_way[i].address, .msg_iov = &u->in_way[i].iov, .msg_iovlen = 1,
                              .msg_control = u->in_way[i].control};
        *out = (struct msghdr){.msg_name = &u->out_way[i].address, .msg_iov = &u->out_way[i].iov, .msg_iovlen = 1,
                               .msg_control = u->out_way[i].control};
    }
    in_reset(u, BATCH);
}

int coap_udp_open(coap_udp **out, bridge_port *port, const char *host, int number, coap_udp_fn fn, void *user, bridge_error *err)
{
    mem *m = port_mem(port);
    coap_udp *u = mem_new(m, coap_udp);
    int rc;

    if (!u) return fail_nomem(err);
    *u = (coap_udp){.port = port, .mem = m, .fn = fn, .user = user, .fd = -1};
    u->in = mem_alloc(m, (size_t)BATCH * SLOT);
    u->out = mem_alloc(m, OUT_BYTES);
    rc = u->in && u->out ? udp_bind(u, host, number, err) : fail_nomem(err);
    if (rc == 0) {
        ways_init(u);
        rc = bridge_port_fd(port, u->fd, 1, on_readable, u, &u->event);
        if (rc < 0) fail(err, rc, "UDP socket: %s", bridge_status_text(rc));
    }
    if (rc == 0)
        *out = u;
    else
        coap_udp_close(u);
    return rc;
}

void coap_udp_close(coap_udp *u)
{
    if (!u || u->closed) return;
    u->closed = true;
    if (u->out_count) coap_udp_flush(u);
    bridge_event_close(u->event);
    bridge_event_close(u->retry);
    if (u->fd >= 0) close(u->fd);
    if (!u->reading) udp_free(u); /* else on_readable does, which is under way */
}

int coap_udp_port(const coap_udp *u) { return u->number; }

void coap_udp_on_batch(coap_udp *u, void (*fn)(void *user), void *user)
{
    u->on_batch = fn;
    u->batch_user = user;
}
uint64_t coap_udp_lost(const coap_udp *u) { return u->lost; }

static int set_groups(coap_udp *u, unsigned at, bool in)
{
    struct ipv6_mreq six = {.ipv6mr_interface = at};
    struct ip_mreqn four = {.imr_ifindex = (int)at};
    int done;

    inet_pton(AF_INET6, "ff02::fd", &six.ipv6mr_multiaddr);
    inet_pton(AF_INET, "224.0.1.187", &four.imr_multiaddr);
    done = setsockopt(u->fd, IPPROTO_IPV6, in ? IPV6_ADD_MEMBERSHIP : IPV6_DROP_MEMBERSHIP, &six, sizeof six) == 0;
    return done + (setsockopt(u->fd, IPPROTO_IP, in ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &four, sizeof four) == 0);
}

static unsigned interface_of(const char *where) { return strcmp(where, "yes") == 0 ? 0 : if_nametoindex(where); }

int coap_udp_multicast(coap_udp *u, const char *where, bridge_error *err)
{
    unsigned at = interface_of(where);

    if (!u->wildcard) return fail(err, BRIDGE_INVALID, "multicast wants a listener on every address, as coap://:5683");
    if (!at && strcmp(where, "yes") != 0) return fail(err, BRIDGE_INVALID, "option multicast=%s: yes, no or an interface is wanted", where);
    return set_groups(u, at, true) ? 0 : fail(err, BRIDGE_IO, "multicast: %s", strerror(errno));
}

int coap_udp_regroup(coap_udp *u, const char *was, const char *where, bridge_error *err)
{
    int rc = 0;

    if (!was) was = "no";
    if (!where) where = "no";
    if (strcmp(was, where) == 0) return 0;
    if (strcmp(where, "no") != 0) rc = coap_udp_multicast(u, where, err);
    if (rc == 0 && strcmp(was, "no") != 0) set_groups(u, interface_of(was), false);
    return rc;
}
