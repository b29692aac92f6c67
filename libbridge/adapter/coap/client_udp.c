/* A socket of one destination, connected: only what comes from there is heard, and that nobody is there, too. */
#include "adapter/coap/client_inside.h"
#include <errno.h>
#include <unistd.h>

static uint8_t *on_room(coap_via *via, size_t len)
{
    coap_far *f = list_of(via, coap_far, via);
    buf *b = &f->client->out;

    buf_clear(b);
    return f->fd >= 0 && buf_room(b, len) == 0 ? b->data : NULL;
}

static void on_send(coap_via *via, const uint8_t *p, size_t len)
{
    coap_far *f = list_of(via, coap_far, via);

    /* ECONNREFUSED tells of something earlier, and takes this one's turn away.  What else is lost is sent again. */
    if (send(f->fd, p, len, MSG_DONTWAIT) < 0 && errno == ECONNREFUSED) send(f->fd, p, len, MSG_DONTWAIT);
}

static void on_readable(void *user, unsigned events)
{
    coap_far *f = user;
    coap_client *c = f->client;

    (void)events;
    for (int round = 0; round < CLIENT_ROUNDS && f->fd >= 0 && !f->closed; round++) {
        ssize_t n = recv(f->fd, c->in, CLIENT_IN, MSG_DONTWAIT);

        if (n >= 0)
            coap_peer_input(f->peer, loop_now(c->loop), c->in, (size_t)n);
        else if (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH)
            coap_peer_refused(f->peer, loop_now(c->loop));
        else if (errno != EINTR)
            break;
    }
    client_rearm(c);
}

int far_socket(coap_far *f, void (*readable)(void *user, unsigned events))
{
    const far_address *to = far_where(f);
    int fd = socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) return BRIDGE_IO;
    if (connect(fd, &to->any, far_address_len(to)) < 0 || bridge_port_fd(f->client->port, fd, 1, readable, f, &f->event) < 0) {
        close(fd);
        return BRIDGE_UNREACHABLE;
    }
    f->fd = fd;
    return 0;
}

void far_udp_join(coap_far *f)
{
    int rc = far_socket(f, on_readable);

    f->via.room = on_room;
    f->via.send = on_send;
    if (rc < 0)
        far_down(f, BRIDGE_UNREACHABLE, "no way there");
    else
        far_up(f);
}

void far_udp_drop(coap_far *f)
{
    bridge_event_close(f->event);
    f->event = NULL;
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}
