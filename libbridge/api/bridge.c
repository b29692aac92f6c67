/* The life of a bridge, and the three ways to drive it. */
#include "api/bridge.h"
#include "base/status.h"

unsigned bridge_version(void)
{
    return BRIDGE_VERSION_NUMBER;
}

int bridge_new(bridge **out, const bridge_options *given, bridge_error *err)
{
    bridge_options o = {0};
    bridge *b;
    mem *m;
    int rc;

    if (given) memcpy(&o, given, given->size < sizeof o ? given->size : sizeof o);
    m = mem_create(o.realloc, o.user);
    if (m && !o.realloc) m->limit = o.max_memory;
    b = m ? mem_new(m, bridge) : NULL;
    if (!b) {
        mem_unref(m);
        return fail_nomem(err);
    }
    b->mem = m;
    list_init(&b->slots);
    rc = loop_new(&b->loop, m, o.clock, o.user);
    if (rc < 0)
        fail(err, rc, "cannot make an event loop: %s", bridge_status_text(rc));
    else
        rc = hub_new(&b->hub, b, m, b->loop, &o, err);
    if (rc == 0) {
        *out = b;
        return 0;
    }
    bridge_free(b);
    return rc;
}

/* Ports close in their own time: connections say goodbye first. */
static void close_ports(bridge *b)
{
    int64_t end = loop_now(b->loop) + 5000;

    hub_close(b->hub);
    for (int turns = 0; !hub_is_closed(b->hub) && turns < 100000 && loop_now(b->loop) < end; turns++)
        loop_turn(b->loop, 20);
}

/* What routes hold back goes on, while all who are to hear it are there: slots close one after the other, in no order that routes know. */
static void settle(bridge *b)
{
    if (b->hub->offline) return;
    routes_flush(b->hub);
    loop_turn(b->loop, 0); /* and leaves */
}

void bridge_free(bridge *b)
{
    mem *m;

    if (!b) return;
    m = b->mem;
    b->ending = true;
    if (b->started) {
        loop_stop(b->loop);
        pthread_join(b->thread, NULL);
    }
    if (b->loop) {
        loop_take(b->loop);
        loop_turn(b->loop, 0); /* what other threads have said before */
    }
    if (b->hub && b->loop) settle(b);
    if (b->config_free) b->config_free(b, b->config);
    if (b->hub) {
        while (!list_empty(&b->slots))
            bridge_slot_close(list_of(b->slots.next, bridge_slot, link));
        close_ports(b);
    }
    hub_free(b->hub);
    b->hub = NULL; /* posts that come too late look for it */
    loop_free(b->loop);
    mem_free(m, b);
    mem_unref(m);
}

/* ---- driving */

int bridge_run(bridge *b)
{
    return b->started ? BRIDGE_INVALID : loop_run(b->loop);
}

static void *run_thread(void *user)
{
    bridge *b = user;

    loop_run(b->loop);
    return NULL;
}

int bridge_start(bridge *b)
{
    if (b->started) return BRIDGE_INVALID;
    if (pthread_create(&b->thread, NULL, run_thread, b) != 0) return BRIDGE_IO;
    b->started = true;
    loop_wait_running(b->loop);
    return 0;
}

int bridge_fd(const bridge *b)
{
    return loop_fd(b->loop);
}

int bridge_timeout(bridge *b)
{
    return loop_timeout(b->loop);
}

int bridge_process(bridge *b)
{
    return b->started ? BRIDGE_INVALID : loop_process(b->loop);
}

void bridge_stop(bridge *b)
{
    loop_stop(b->loop);
}

int bridge_call_in(bridge *b, void (*fn)(void *user), void *user)
{
    return loop_post(b->loop, fn, user);
}

struct errand {
    bridge *bridge;
    int (*fn)(bridge *b, void *args);
    void *args;
    int rc;
    uv_sem_t done;
};

static void on_errand(void *user)
{
    struct errand *e = user;

    e->rc = e->bridge->hub ? e->fn(e->bridge, e->args) : BRIDGE_CLOSED;
    uv_sem_post(&e->done);
}

int on_loop(bridge *b, int (*fn)(bridge *b, void *args), void *args)
{
    struct errand e = {.bridge = b, .fn = fn, .args = args};
    int rc;

    if (loop_is_here(b->loop)) {
        rc = fn(b, args);
        loop_kick(b->loop); /* a foreign loop must look again: descriptors and timers may have changed */
        return rc;
    }
    if (uv_sem_init(&e.done, 0) != 0) return BRIDGE_IO;
    rc = loop_post(b->loop, on_errand, &e);
    if (rc == 0) {
        uv_sem_wait(&e.done);
        rc = e.rc;
    }
    uv_sem_destroy(&e.done);
    return rc;
}
