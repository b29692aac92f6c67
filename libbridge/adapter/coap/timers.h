/* adapter/coap/timers.h - what is due when: a heap of timers that live inside what they time. */
#ifndef COAP_TIMERS_H
#define COAP_TIMERS_H
#include "base/mem.h"
#include <stdint.h>

typedef struct coap_timer {
    int64_t due;
    uint32_t at; /* place in the heap + 1; 0: not running */
    void (*fn)(struct coap_timer *t);
} coap_timer;
typedef struct coap_timers {
    mem *mem;
    coap_timer **heap;
    size_t count, room;
} coap_timers;
int coap_timer_start(coap_timers *ts, coap_timer *t, int64_t due, void (*fn)(coap_timer *t)); /* again: moves it; NOMEM */
void coap_timer_stop(coap_timers *ts, coap_timer *t);
void coap_timers_run(coap_timers *ts, int64_t now);
void coap_timers_done(coap_timers *ts);
static inline int64_t coap_timers_due(const coap_timers *ts) { return ts->count ? ts->heap[0]->due : INT64_MAX; }
#endif
