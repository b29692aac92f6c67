/* The connections' own epoll set, edge-triggered, inside libuv's: a connection costs one system call to add and none to wait
 * for writability, and one wake-up of libuv hands over up to 256 of them.  docs/why/ tells what was measured. */
#include "loop/internal.h"
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { BATCH = 256, BATCHES = 8 };

static void on_poll(uv_poll_t *handle, int status, int events)
{
    loop *l = handle->data;
    struct epoll_event ready[BATCH];

    (void)status;
    (void)events;
    for (int round = 0; round < BATCHES; round++) {
        int n = epoll_wait(l->epoll, ready, BATCH, 0);
        l->ready = ready;
        l->ready_count = n;
        for (int i = 0; i < n; i++) {
            pollee *p = ready[i].data.ptr;
            if (p) p->on_ready(p, ready[i].events);
        }
        l->ready_count = 0;
        if (n < BATCH) break;
    }
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle; /* its being there keeps libuv from waiting; prepare does the work */
}

int poller_open(loop *l)
{
    int rc;

    list_init(&l->again);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0) return uv_translate_sys_error(errno);
    rc = uv_poll_init(&l->uv, &l->poll, l->epoll);
    if (rc < 0) return rc;
    l->poll.data = l;
    l->scratch = mem_alloc(l->mem, STREAM_HEAD + STREAM_READ);
    if (!l->scratch) return UV_ENOMEM;
    return uv_poll_start(&l->poll, UV_READABLE, on_poll);
}

void poller_close(loop *l)
{
    if (l->poll.data) uv_close((uv_handle_t *)&l->poll, NULL); /* first: afterwards the number may be somebody else's */
    l->poll.data = NULL;
    if (l->epoll > 0) close(l->epoll);
    l->epoll = -1;
    mem_free(l->mem, l->scratch);
    l->scratch = NULL;
    mem_free(l->mem, l->plain);
    l->plain = NULL;
    spare_done(l);
}

int poller_add(loop *l, pollee *p, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = p};

    list_init(&p->again);
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, p->fd, &e) < 0 ? uv_translate_sys_error(errno) : 0;
}

void poller_remove(loop *l, pollee *p)
{
    list_remove(&p->again);
    for (int i = 0; i < l->ready_count; i++) /* it may still stand in the batch under way */
        if (((struct epoll_event *)l->ready)[i].data.ptr == p) ((struct epoll_event *)l->ready)[i].data.ptr = NULL;
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, p->fd, NULL);
}

void poller_more(loop *l, pollee *p)
{
    if (list_linked(&p->again)) return;
    list_push(&l->again, &p->again);
    if (!uv_is_active((uv_handle_t *)&l->idle)) uv_idle_start(&l->idle, on_idle);
    loop_kick(l);
}

void poller_again(loop *l)
{
    list now, *item;

    if (list_empty(&l->again)) {
        if (uv_is_active((uv_handle_t *)&l->idle)) uv_idle_stop(&l->idle);
        return;
    }
    list_init(&now); /* those who ask again wait for the next turn */
    while ((item = list_pop(&l->again)))
        list_push(&now, item);
    while ((item = list_pop(&now))) {
        pollee *p = list_of(item, pollee, again);
        p->on_ready(p, EPOLLIN);
    }
}
