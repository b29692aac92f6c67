/* Plain TCP and Unix sockets as streams. */
#include "loop/internal.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct tcp {
    stream s;
    pollee poll;
    turn_end goodbye;
    bool proxied; /* a PROXY header comes first */
} tcp;

static ptrdiff_t tcp_write(stream *s, const struct iovec *iov, unsigned count)
{
    tcp *t = list_of(s, tcp, s);
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    ssize_t n = count == 1 ? send(t->poll.fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                           : sendmsg(t->poll.fd, &m, MSG_NOSIGNAL);

    if (n >= 0) return n;
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : BRIDGE_CLOSED;
}

static void tcp_want_write(stream *s)
{
    (void)s; /* edge-triggered: EPOLLOUT comes by itself */
}

static void tcp_read(stream *s, bool on)
{
    tcp *t = list_of(s, tcp, s);

    if (on) poller_more(s->loop, &t->poll); /* what came while we did not look */
}

static void on_goodbye(turn_end *end)
{
    tcp *t = list_of(end, tcp, goodbye);

    stream_closed(&t->s);
    mem_free(t->s.mem, t);
}

static void tcp_close(stream *s)
{
    tcp *t = list_of(s, tcp, s);

    poller_remove(s->loop, &t->poll);
    close(t->poll.fd);
    turn_end_want(s->loop, &t->goodbye);
}

static void on_ready(pollee *p, uint32_t events)
{
    tcp *t = list_of(p, tcp, poll);
    stream *s = &t->s;
    loop *l = s->loop;
    ssize_t n;

    if (events & EPOLLOUT) stream_writable(s);
    if (s->closed || !s->reading || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))) return;
    if (t->proxied && (t->proxied = !proxy_taken(s, p->fd, events))) return;
    n = recv(p->fd, l->scratch + STREAM_HEAD, STREAM_READ, 0);
    if (n > 0) {
        loop_catch_up(l);
        if (s->reading)
            stream_feed_behind(s, l->scratch + STREAM_HEAD, (size_t)n);
        else
            stream_keep(s, l->scratch + STREAM_HEAD, (size_t)n);
        if (s->closed || !s->reading) return;
        /* A short read means that it is read dry (epoll(7)), unless the end came along with it. */
        if (n == STREAM_READ || (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))) poller_more(l, p);
    } else if (n == 0) {
        stream_ended(s, BRIDGE_CLOSED);
    } else if (errno != EAGAIN && errno != EINTR) {
        stream_ended(s, errno == ETIMEDOUT ? BRIDGE_TIMEOUT : BRIDGE_CLOSED);
    }
}

static const stream_ops tcp_ops = {.write = tcp_write, .want_write = tcp_want_write, .read = tcp_read, .close = tcp_close};

stream *tcp_stream(loop *l, int fd, const char *peer, bool proxied)
{
    tcp *t = mem_new(l->mem, tcp);
    int yes = 1;

    if (!t) {
        close(fd);
        return NULL;
    }
    stream_init(&t->s, &tcp_ops, l);
    turn_end_init(&t->goodbye, on_goodbye);
    strncpy(t->s.peer, peer, sizeof t->s.peer - 1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    t->poll.fd = fd;
    t->proxied = proxied;
    t->poll.on_ready = on_ready;
    if (poller_add(l, &t->poll, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0) {
        close(fd);
        mem_free(l->mem, t);
        return NULL;
    }
    return &t->s;
}

int stream_dial(stream **out, loop *l, const struct sockaddr *to, size_t len, const char *peer)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) return BRIDGE_IO;
    if (connect(fd, to, (socklen_t)len) < 0 && errno != EINPROGRESS) {
        close(fd);
        return BRIDGE_UNREACHABLE;
    }
    *out = tcp_stream(l, fd, peer, false);
    return *out ? 0 : BRIDGE_NOMEM;
}
