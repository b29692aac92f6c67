#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static uint8_t scratch[CONN_CHUNK + (1u << 20)]; /* leftovers go in front of what is read next */

void loop_init(loop *l, const char *host, long port, bool tls)
{
    signal(SIGPIPE, SIG_IGN);
    *l = (loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    if (l->epoll < 0) die("epoll: %s", strerror(errno));
    l->to.sin_family = AF_INET;
    l->to.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &l->to.sin_addr) != 1) die("--host wants an IPv4 address");
    if (tls) {
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());

        if (!context) die("TLS context");
        SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
        l->tls = context;
    }
}

static void watch(conn *c, int operation)
{
    struct epoll_event event = {.data.ptr = c};

    event.events = (c->paused ? 0 : EPOLLIN) | (c->connecting || c->blocked ? EPOLLOUT : 0);
    epoll_ctl(c->loop->epoll, operation, c->fd, &event);
}

void conn_open(loop *l, conn *c, const conn_events *on)
{
    int one = 1;

    c->loop = l;
    c->on = on;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (l->receive_buffer) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &l->receive_buffer, sizeof(l->receive_buffer));
    if (connect(c->fd, (struct sockaddr *)&l->to, sizeof(l->to)) != 0 && errno != EINPROGRESS) {
        die("connect: %s", strerror(errno));
    }
    c->connecting = true;
    watch(c, EPOLL_CTL_ADD);
}

void conn_close(conn *c)
{
    if (c->fd < 0) return;
    if (c->tls) SSL_free(c->tls);
    c->tls = NULL;
    close(c->fd);
    c->fd = -1;
    free(c->in);
    free(c->out);
    c->in = c->out = NULL;
    c->in_len = c->in_cap = c->out_len = c->out_pos = c->out_cap = 0;
}

static void lost(conn *c)
{
    if (c->fd < 0) return;
    conn_close(c);
    if (c->on->close) c->on->close(c);
}

uint8_t *conn_room(conn *c, size_t len)
{
    if (c->out_pos == c->out_len) c->out_pos = c->out_len = 0;
    if (c->out_len + len > c->out_cap) {
        c->out_cap = (c->out_len + len) * 2;
        c->out = grow(c->out, c->out_cap);
    }
    return c->out + c->out_len;
}

void conn_wrote(conn *c, size_t len)
{
    c->out_len += len;
}

void conn_put(conn *c, const void *p, size_t len)
{
    memcpy(conn_room(c, len), p, len);
    c->out_len += len;
}

static ssize_t send_some(conn *c, const uint8_t *p, size_t len)
{
    int n;

    if (!c->tls) return send(c->fd, p, len, MSG_NOSIGNAL);
    n = SSL_write(c->tls, p, len > 1 << 20 ? 1 << 20 : (int)len);
    if (n > 0) return n;
    errno = SSL_get_error(c->tls, n) == SSL_ERROR_SYSCALL ? EPIPE : EAGAIN;
    return -1;
}

void conn_flush(conn *c)
{
    bool was = c->blocked;

    if (c->fd < 0 || c->connecting || c->handshake) return;
    c->blocked = false;
    while (c->out_pos < c->out_len) {
        ssize_t n = send_some(c, c->out + c->out_pos, c->out_len - c->out_pos);

        if (n < 0) {
            if (errno == EAGAIN) {
                c->blocked = true;
                break;
            }
            lost(c);
            return;
        }
        c->out_pos += (size_t)n;
    }
    if (c->out_pos == c->out_len) c->out_pos = c->out_len = 0;
    if (was != c->blocked) watch(c, EPOLL_CTL_MOD);
}

void conn_pause(conn *c, bool paused)
{
    c->paused = paused;
    if (c->fd >= 0) watch(c, EPOLL_CTL_MOD);
}

static void opened(conn *c)
{
    c->loop->open_count++;
    c->on->open(c);
    conn_flush(c);
}

static void shake(conn *c)
{
    int rc = SSL_do_handshake(c->tls);
    int error = rc == 1 ? 0 : SSL_get_error(c->tls, rc);

    if (rc == 1) {
        c->handshake = false;
        opened(c);
    } else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        die("TLS handshake failed");
    }
}

static void connected(conn *c)
{
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) die("connect: %s", strerror(error));
    c->connecting = false;
    watch(c, EPOLL_CTL_MOD);
    if (c->loop->tls) {
        c->tls = SSL_new(c->loop->tls);
        SSL_set_fd(c->tls, c->fd);
        SSL_set_connect_state(c->tls);
        c->handshake = true;
        shake(c);
    } else {
        opened(c);
    }
}

static ssize_t read_some(conn *c, uint8_t *p, size_t len)
{
    size_t sum = 0;
    int n;

    if (!c->tls) return recv(c->fd, p, len, 0);
    do {
        n = SSL_read(c->tls, p + sum, (int)(len - sum));
        if (n > 0) sum += (size_t)n;
    } while (n > 0 && sum < len);
    if (sum) return (ssize_t)sum;
    n = SSL_get_error(c->tls, n);
    errno = EAGAIN;
    return n == SSL_ERROR_WANT_READ || n == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static void readable(conn *c)
{
    size_t used, len = c->in_len;
    ssize_t n;

    if (len > sizeof(scratch) - CONN_CHUNK) die("a packet of more than 1 MiB");
    if (len) memcpy(scratch, c->in, len);
    n = read_some(c, scratch + len, CONN_CHUNK);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        lost(c);
        return;
    }
    len += (size_t)n;
    used = c->on->data(c, scratch, len);
    if (c->fd < 0) return;
    c->in_len = len - used;
    if (c->in_len > c->in_cap) {
        c->in_cap = c->in_len * 2;
        c->in = grow(c->in, c->in_cap);
    }
    if (c->in_len) memcpy(c->in, scratch + used, c->in_len);
    if (c->out_len) conn_flush(c);
}

int loop_turn(loop *l, int timeout)
{
    struct epoll_event events[512];
    int count = epoll_wait(l->epoll, events, 512, timeout);

    for (int i = 0; i < count; i++) {
        conn *c = events[i].data.ptr;

        if (c->fd < 0) continue;
        if (c->connecting) {
            if (events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) connected(c);
        } else if (c->handshake) {
            shake(c);
        } else {
            if (events[i].events & EPOLLOUT) conn_flush(c);
            if (c->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) && !c->paused) {
                do readable(c);
                while (c->fd >= 0 && c->tls && !c->paused && SSL_pending(c->tls) > 0); /* epoll does not know of these */
            }
        }
    }
    return count;
}
