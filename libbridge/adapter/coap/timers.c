#include "adapter/coap/timers.h"
#include "bridge/bridge.h"

static void place(coap_timers *ts, size_t at, coap_timer *t)
{
    ts->heap[at] = t;
    t->at = (uint32_t)at + 1;
}

static void sift_up(coap_timers *ts, size_t at, coap_timer *t)
{
    for (; at > 0; at = (at - 1) / 2) {
        coap_timer *above = ts->heap[(at - 1) / 2];

        if (above->due <= t->due) break;
        place(ts, at, above);
    }
    place(ts, at, t);
}

static void sift_down(coap_timers *ts, size_t at, coap_timer *t)
{
    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= ts->count) break;
        if (child + 1 < ts->count && ts->heap[child + 1]->due < ts->heap[child]->due) child++;
        if (ts->heap[child]->due >= t->due) break;
        place(ts, at, ts->heap[child]);
        at = child;
    }
    place(ts, at, t);
}

int coap_timer_start(coap_timers *ts, coap_timer *t, int64_t due, void (*fn)(coap_timer *t))
{
    if (!t->at && mem_grow(ts->mem, (void **)&ts->heap, &ts->room, ts->count, sizeof *ts->heap) < 0) return BRIDGE_NOMEM;
    coap_timer_stop(ts, t);
    t->due = due;
    t->fn = fn;
    sift_up(ts, ts->count++, t);
    return 0;
}

void coap_timer_stop(coap_timers *ts, coap_timer *t)
{
    size_t at = t->at;
    coap_timer *last;

    if (!at--) return;
    t->at = 0;
    last = ts->heap[--ts->count];
    if (last == t) return;
    if (at > 0 && ts->heap[(at - 1) / 2]->due > last->due)
        sift_up(ts, at, last);
    else
        sift_down(ts, at, last);
}

void coap_timers_run(coap_timers *ts, int64_t now)
{
    while (ts->count && ts->heap[0]->due <= now) {
        coap_timer *t = ts->heap[0];

        coap_timer_stop(ts, t);
        t->fn(t);
    }
}

void coap_timers_done(coap_timers *ts)
{
    mem_free(ts->mem, ts->heap);
    *ts = (coap_timers){.mem = ts->mem};
}
