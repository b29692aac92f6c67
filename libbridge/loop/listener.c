/* Listening sockets: TCP over IPv4 and IPv6, and Unix. */
#include "base/status.h"
#include "loop/internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { ACCEPT_BATCH = 256 };

struct listener {
    pollee poll;
    loop *loop;
    struct tls *tls;
    void (*on_accept)(void *user, stream *s);
    void *user;
    timer rest; /* when the process has no descriptors left */
    int port;
    char address[sizeof(((struct sockaddr_un *)0)->sun_path) + 64];
    bool is_unix, proxy;
};

static void name_of(const struct sockaddr_storage *a, char *out, size_t room)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, room, "%s:%u", host, ntohs(v4->sin_port));
    } else if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
            snprintf(out, room, "%s:%u", host + strlen("::ffff:"), ntohs(v6->sin6_port));
        else
            snprintf(out, room, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        snprintf(out, room, "unix");
    }
}

static void on_rested(timer *t)
{
    listener *li = list_of(t, listener, rest);

    li->poll.on_ready(&li->poll, EPOLLIN);
}

static void on_ready(pollee *p, uint32_t events)
{
    listener *li = list_of(p, listener, poll);

    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage a;
        socklen_t len = sizeof a;
        int fd = accept4(p->fd, (struct sockaddr *)&a, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        char peer[64];
        stream *s;
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            if (errno != EAGAIN) timer_start(&li->rest, li->loop, 100, on_rested); /* EMFILE, ENFILE, ENOMEM */
            return;
        }
        name_of(&a, peer, sizeof peer);
        s = li->tls ? tls_stream(li->loop, fd, peer, li->tls, li->proxy) : tcp_stream(li->loop, fd, peer, li->proxy);
        if (s) li->on_accept(li->user, s);
    }
    poller_more(li->loop, p);
}

static int bind_tcp(const listener_options *o, int *out, bridge_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    const char *host = o->host && *o->host ? o->host : NULL;
    char port[8];
    int fd = -1, rc, yes = 1, no = 0;

    snprintf(port, sizeof port, "%d", o->port);
    if (!host) hints.ai_family = AF_INET6; /* both: see IPV6_V6ONLY below */
    rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0) return fail(err, BRIDGE_INVALID, "\"%s\" is no address of this machine: %s", host ? host : "", gai_strerror(rc));
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0 && errno == EAFNOSUPPORT && !host) { /* a machine without IPv6 */
            struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o->port)};
            fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
            if (fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0) break;
        }
        if (fd < 0) continue;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (!host) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
        if (bind(fd, a->ai_addr, a->ai_addrlen) == 0) break;
        rc = errno;
        close(fd);
        fd = -1;
        errno = rc;
    }
    freeaddrinfo(found);
    if (fd < 0) return fail(err, errno == EADDRINUSE ? BRIDGE_EXISTS : errno == EACCES ? BRIDGE_DENIED : BRIDGE_IO,
                            "cannot listen on %s port %d: %s", host ? host : "every address,", o->port, strerror(errno));
    *out = fd;
    return 0;
}

static int bind_unix(const listener_options *o, int *out, bridge_error *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    int fd;

    if (strlen(o->unix_path) >= sizeof a.sun_path) return fail(err, BRIDGE_TOOBIG, "the path of a Unix socket has at most %zu bytes", sizeof a.sun_path - 1);
    strcpy(a.sun_path, o->unix_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(err, BRIDGE_IO, "cannot make a Unix socket: %s", strerror(errno));
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno == EADDRINUSE && stat(a.sun_path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        /* Left over by a process that died?  Then nobody answers. */
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 || errno != ECONNREFUSED) {
            close(fd);
            return fail(err, BRIDGE_EXISTS, "%s is in use", o->unix_path);
        }
        unlink(a.sun_path);
        close(fd);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0) goto bound;
        if (fd >= 0) close(fd);
        return fail(err, BRIDGE_IO, "cannot listen on %s: %s", o->unix_path, strerror(errno));
    }
    {
        struct sockaddr_un now;
        socklen_t len = sizeof now;
        if (getsockname(fd, (struct sockaddr *)&now, &len) < 0 || len <= sizeof now.sun_family) {
            int e = errno;
            close(fd);
            return fail(err, BRIDGE_IO, "cannot listen on %s: %s", o->unix_path, strerror(e));
        }
    }
bound:
    *out = fd;
    return 0;
}

static void find_address(listener *li, const listener_options *o)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;

    if (li->is_unix) {
        snprintf(li->address, sizeof li->address, "%s", o->unix_path);
        return;
    }
    getsockname(li->poll.fd, (struct sockaddr *)&a, &len);
    li->port = ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port : ((struct sockaddr_in *)&a)->sin_port);
    if (o->host && *o->host)
        name_of(&a, li->address, sizeof li->address);
    else
        snprintf(li->address, sizeof li->address, ":%d", li->port);
}

int listener_open(listener **out, loop *l, const listener_options *o, void (*on_accept)(void *, stream *), void *user,
                  bridge_error *err)
{
    listener *li = mem_new(l->mem, listener);
    int rc, fd = -1;

    if (!li) return fail_nomem(err);
    rc = o->unix_path ? bind_unix(o, &fd, err) : bind_tcp(o, &fd, err);
    if (rc < 0) {
        mem_free(l->mem, li);
        return rc;
    }
    li->loop = l;
    li->tls = o->tls;
    li->proxy = o->proxy;
    li->on_accept = on_accept;
    li->user = user;
    li->is_unix = o->unix_path != NULL;
    li->poll.fd = fd;
    li->poll.on_ready = on_ready;
    if (listen(fd, o->backlog ? o->backlog : 1024) < 0) {
        rc = fail(err, errno == EADDRINUSE ? BRIDGE_EXISTS : BRIDGE_IO, "cannot listen on port %d: %s", o->port, strerror(errno));
    } else if (poller_add(l, &li->poll, EPOLLIN | EPOLLET) < 0) {
        rc = fail(err, BRIDGE_IO, "cannot wait for connections: %s", strerror(errno));
    }
    if (rc < 0) {
        close(fd);
        mem_free(l->mem, li);
        return rc;
    }
    find_address(li, o);
    poller_more(l, &li->poll);
    *out = li;
    return 0;
}

int listener_port(const listener *li)
{
    return li->port;
}

const char *listener_address(const listener *li)
{
    return li->address;
}

void listener_close(listener *li)
{
    if (!li) return;
    timer_stop(&li->rest);
    poller_remove(li->loop, &li->poll);
    close(li->poll.fd);
    if (li->is_unix) unlink(li->address);
    mem_free(li->loop->mem, li);
}
