#include "loop/loop.h"
#include "base/clock.h"
#include "loop/fetch.h"
#include "loop/internal.h"
#include <pthread.h>

/* The order of one turn: wait in the kernel -> connections (poller.c) and posts -> [check] turn ends -> uv_timer ->
 * [prepare] timers that are due, turn ends again -> wait. */

static void run_turn_ends(loop *l)
{
    list *item;

    while ((item = list_pop(&l->turn_ends))) {
        turn_end *t = list_of(item, turn_end, link);
        t->fn(t);
    }
}

static void update_time(loop *l)
{
    l->now = l->clock ? l->clock(l->clock_user) : clock_monotonic();
}

static void arm(loop *l)
{
    int64_t due = timers_due(l), in;

    if (due == l->armed) return;
    l->armed = due;
    if (due == INT64_MAX) {
        uv_timer_stop(&l->tick);
        return;
    }
    in = due - l->now;
    uv_update_time(&l->uv);
    uv_timer_start(&l->tick, l->on_tick, in > 0 ? (uint64_t)in : 0, 0);
}

static void on_tick(uv_timer_t *handle)
{
    loop *l = handle->data;

    l->armed = INT64_MIN; /* prepare comes next and does the work */
}

static void on_check(uv_check_t *handle)
{
    loop *l = handle->data;

    run_turn_ends(l);
}

static void on_prepare(uv_prepare_t *handle)
{
    loop *l = handle->data;

    update_time(l);
    timers_run(l);
    run_turn_ends(l);
    poller_again(l);
    arm(l);
}

/* ---- posts */

struct post {
    struct post *next;
    void (*fn)(void *user);
    void *user;
};

void posts_run(loop *l)
{
    struct post *p;

    pthread_mutex_lock(&l->lock);
    p = l->posts;
    l->posts = NULL;
    l->posts_tail = &l->posts;
    l->post_count = 0;
    pthread_mutex_unlock(&l->lock);
    if (p) update_time(l);
    while (p) {
        struct post *next = p->next;
        p->fn(p->user);
        mem_free(l->mem, p);
        p = next;
    }
}

void loop_catch_up(loop *l)
{
    if (atomic_load_explicit(&l->post_count, memory_order_acquire)) posts_run(l);
}

static void on_wake(uv_async_t *handle)
{
    loop *l = handle->data;

    atomic_store(&l->kicked, false);
    if (atomic_load(&l->stopped)) uv_stop(&l->uv);
    update_time(l);
    posts_run(l);
}

int loop_post(loop *l, void (*fn)(void *), void *user)
{
    struct post *p = mem_alloc(l->mem, sizeof *p);
    int rc = 0;

    if (!p) return BRIDGE_NOMEM;
    *p = (struct post){.fn = fn, .user = user};
    pthread_mutex_lock(&l->lock);
    if (l->post_count >= LOOP_POST_MAX) {
        rc = BRIDGE_BUSY;
    } else {
        *l->posts_tail = p;
        l->posts_tail = &p->next;
        l->post_count++;
    }
    pthread_mutex_unlock(&l->lock);
    if (rc < 0)
        mem_free(l->mem, p);
    else
        uv_async_send(&l->wake);
    return rc;
}

void loop_kick(loop *l)
{
    if (!l->turning && !atomic_exchange(&l->kicked, true)) uv_async_send(&l->wake);
}

/* ---- life */

static int open_handles(loop *l)
{
    int rc = uv_async_init(&l->uv, &l->wake, on_wake);

    if (rc < 0) return rc;
    uv_timer_init(&l->uv, &l->tick);
    uv_timer_init(&l->uv, &l->most);
    uv_check_init(&l->uv, &l->check);
    uv_prepare_init(&l->uv, &l->prepare);
    uv_idle_init(&l->uv, &l->idle);
    l->wake.data = l->tick.data = l->check.data = l->prepare.data = l->idle.data = l;
    uv_check_start(&l->check, on_check);
    uv_prepare_start(&l->prepare, on_prepare);
    return 0;
}

int loop_new(loop **out, mem *m, int64_t (*clock_fn)(void *), void *user)
{
    loop *l = mem_new(m, loop);
    int rc;

    if (!l) return BRIDGE_NOMEM;
    l->mem = m;
    l->clock = clock_fn;
    l->clock_user = user;
    l->armed = INT64_MAX;
    l->on_tick = on_tick;
    l->posts_tail = &l->posts;
    l->thread = pthread_self();
    list_init(&l->turn_ends);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->begun, NULL);
    update_time(l);
    l->calendar_offset = clock_calendar() - l->now;
    rc = uv_loop_init(&l->uv);
    if (rc == 0) {
        rc = open_handles(l);
        if (rc == 0) rc = poller_open(l);
        if (rc == 0) {
            *out = l;
            return 0;
        }
        rc = status_of_uv(rc);
        loop_free(l);
        return rc;
    }
    pthread_cond_destroy(&l->begun);
    pthread_mutex_destroy(&l->lock);
    mem_free(m, l);
    return status_of_uv(rc);
}

static void close_handle(uv_handle_t *handle, void *user)
{
    (void)user;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void loop_free(loop *l)
{
    struct post *p;

    if (!l) return;
    l->thread = pthread_self();
    fetch_end(l);
    poller_close(l);
    uv_walk(&l->uv, close_handle, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    uv_loop_close(&l->uv);
    while ((p = l->posts)) { /* what was posted too late */
        l->posts = p->next;
        p->fn(p->user);
        mem_free(l->mem, p);
    }
    timers_done(l);
    pthread_cond_destroy(&l->begun);
    pthread_mutex_destroy(&l->lock);
    mem_free(l->mem, l);
}

uv_loop_t *loop_uv(loop *l)
{
    return &l->uv;
}

mem *loop_mem(loop *l)
{
    return l->mem;
}

int64_t loop_now(loop *l)
{
    if (!l->turning) update_time(l);
    return l->now;
}

int64_t loop_calendar(loop *l)
{
    return loop_now(l) + l->calendar_offset;
}

static void enter(loop *l)
{
    l->thread = pthread_self();
    l->turning = true;
    update_time(l);
}

static void on_most(uv_timer_t *t)
{
    (void)t;
}

void loop_turn(loop *l, int64_t most_ms)
{
    enter(l);
    uv_timer_start(&l->most, on_most, (uint64_t)most_ms, 0);
    uv_run(&l->uv, most_ms > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    uv_timer_stop(&l->most);
    run_turn_ends(l);
    l->turning = false;
}

void loop_take(loop *l)
{
    l->thread = pthread_self();
}

void loop_wait_running(loop *l)
{
    pthread_mutex_lock(&l->lock);
    while (!l->running)
        pthread_cond_wait(&l->begun, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

int loop_run(loop *l)
{
    enter(l);
    pthread_mutex_lock(&l->lock);
    l->running = true;
    pthread_cond_broadcast(&l->begun);
    pthread_mutex_unlock(&l->lock);
    while (!atomic_load(&l->stopped))
        uv_run(&l->uv, UV_RUN_DEFAULT);
    l->turning = false;
    return 0;
}

int loop_fd(const loop *l)
{
    return uv_backend_fd(&l->uv);
}

int loop_timeout(loop *l)
{
    int64_t due = timers_due(l), in;
    int uv_ms;

    if (!list_empty(&l->turn_ends) || atomic_load(&l->stopped)) return 0;
    uv_update_time(&l->uv);
    uv_ms = uv_backend_timeout(&l->uv);
    if (due == INT64_MAX) return uv_ms;
    update_time(l);
    in = due > l->now ? due - l->now : 0;
    if (in > INT32_MAX) in = INT32_MAX;
    return uv_ms < 0 || in < uv_ms ? (int)in : uv_ms;
}

int loop_process(loop *l)
{
    if (atomic_load(&l->stopped)) return BRIDGE_CLOSED;
    enter(l);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    if (!list_empty(&l->turn_ends)) run_turn_ends(l);
    l->turning = false;
    return atomic_load(&l->stopped) ? BRIDGE_CLOSED : 0;
}

void loop_stop(loop *l)
{
    atomic_store(&l->stopped, true);
    uv_async_send(&l->wake);
}

bool loop_stopped(const loop *l)
{
    return atomic_load(&l->stopped);
}

bool loop_is_here(const loop *l)
{
    return pthread_equal(atomic_load(&l->thread), pthread_self());
}

/* ---- the end of a turn */

void turn_end_init(turn_end *t, void (*fn)(turn_end *))
{
    list_init(&t->link);
    t->fn = fn;
}

void turn_end_want(loop *l, turn_end *t)
{
    if (list_linked(&t->link)) return;
    list_push(&l->turn_ends, &t->link);
    if (!l->turning) loop_kick(l);
}

void turn_end_cancel(turn_end *t)
{
    list_remove(&t->link);
}

int status_of_uv(int uv_error)
{
    switch (uv_error) {
    case 0: return 0;
    case UV_ENOMEM: return BRIDGE_NOMEM;
    case UV_EADDRINUSE: return BRIDGE_EXISTS;
    case UV_EACCES:
    case UV_EPERM: return BRIDGE_DENIED;
    case UV_EADDRNOTAVAIL:
    case UV_EINVAL:
    case UV_EAI_NONAME: return BRIDGE_INVALID;
    case UV_ECONNREFUSED:
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH: return BRIDGE_UNREACHABLE;
    case UV_ETIMEDOUT: return BRIDGE_TIMEOUT;
    case UV_EOF:
    case UV_ECONNRESET:
    case UV_EPIPE: return BRIDGE_CLOSED;
    default: return BRIDGE_IO;
    }
}
