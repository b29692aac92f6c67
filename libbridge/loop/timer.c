/* A binary heap of timers that live in what they time. */
#include "loop/internal.h"

static void put(loop *l, timer *t, size_t at)
{
    l->heap[at] = t;
    t->at = (uint32_t)at;
}

static void up(loop *l, timer *t, size_t at)
{
    while (at > 0 && l->heap[(at - 1) / 2]->due > t->due) {
        put(l, l->heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    put(l, t, at);
}

static void down(loop *l, timer *t, size_t at)
{
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= l->timers) break;
        if (child + 1 < l->timers && l->heap[child + 1]->due < l->heap[child]->due) child++;
        if (l->heap[child]->due >= t->due) break;
        put(l, l->heap[child], at);
        at = child;
    }
    put(l, t, at);
}

static void settle(loop *l, timer *t, size_t at)
{
    if (at > 0 && l->heap[(at - 1) / 2]->due > t->due)
        up(l, t, at);
    else
        down(l, t, at);
}

int timer_start(timer *t, loop *l, int64_t in_ms, void (*fn)(timer *))
{
    int64_t first = timers_due(l);

    t->due = loop_now(l) + (in_ms > 0 ? in_ms : 0);
    t->fn = fn;
    if (t->loop) {
        settle(l, t, t->at);
    } else {
        int rc = mem_grow(l->mem, (void **)&l->heap, &l->heap_room, l->timers, sizeof *l->heap);
        if (rc < 0) return rc;
        t->loop = l;
        up(l, t, l->timers++);
    }
    if (!l->turning && t->due < first) loop_kick(l);
    return 0;
}

void timer_stop(timer *t)
{
    loop *l = t->loop;
    timer *last;

    if (!l) return;
    t->loop = NULL;
    last = l->heap[--l->timers];
    if (last != t) {
        uint32_t hole = t->at;
        l->heap[hole] = last;
        settle(l, last, hole);
    }
}

int64_t timers_due(const loop *l)
{
    return l->timers ? l->heap[0]->due : INT64_MAX;
}

void timers_run(loop *l)
{
    while (l->timers && l->heap[0]->due <= l->now) {
        timer *t = l->heap[0];
        timer_stop(t);
        t->fn(t);
    }
}

void timers_done(loop *l)
{
    while (l->timers)
        timer_stop(l->heap[0]);
    mem_free(l->mem, l->heap);
    l->heap = NULL;
}
