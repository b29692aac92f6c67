/* loop/loop.h - libuv behind a few calls: one loop a bridge, timers on the bridge's own clock, and the wake-up queue.
 * Everything belongs to the loop's thread, except loop_post() and loop_stop(). */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H
#include "base/list.h"
#include "base/mem.h"
#include "bridge/bridge.h"
#include <stdbool.h>
#include <uv.h>

typedef struct loop loop;

int loop_new(loop **out, mem *m, int64_t (*clock)(void *user), void *user);
void loop_free(loop *l); /* runs until every handle is closed; NULL is fine */
uv_loop_t *loop_uv(loop *l);
mem *loop_mem(loop *l);

int64_t loop_now(loop *l);      /* ms, monotonic (the bridge's clock), as of this turn */
int64_t loop_calendar(loop *l); /* ms since 1970, moving with loop_now() */

int loop_run(loop *l);             /* until loop_stop() */
int loop_fd(const loop *l);        /* for a foreign loop: readable when there is something to do */
int loop_timeout(loop *l);         /* ms until loop_process() is due, -1: never by itself */
int loop_process(loop *l);         /* one turn without waiting; CLOSED once stopped */
void loop_turn(loop *l, int64_t most_ms); /* one turn that waits at most so long; for the end, also when stopped */
void loop_take(loop *l);                  /* this thread has it from now on (nobody runs it) */
void loop_wait_running(loop *l);          /* until loop_run() in another thread has begun */
void loop_kick(loop *l);                  /* a foreign loop must look again: called outside of a turn, on the loop's thread */
void loop_stop(loop *l);           /* any thread, also a signal handler */
bool loop_stopped(const loop *l);
bool loop_is_here(const loop *l);  /* is this the loop's thread? true before it first runs */

/* Runs fn on the loop's thread, in the order of posting.  BUSY over LOOP_POST_MAX waiting, CLOSED after loop_close_posts(). */
enum { LOOP_POST_MAX = 65536 };
int loop_post(loop *l, void (*fn)(void *user), void *user);
/* Between reading bytes and acting on them: runs what was posted before they were sent, so that who publishes in this process and
 * then asks over a socket is answered with what he published. */
void loop_catch_up(loop *l);

typedef struct timer { /* zero it, or timer_init(); lives in what it times */
    loop *loop;        /* NULL: not running */
    int64_t due;
    uint32_t at; /* place in the heap */
    void (*fn)(struct timer *t);
} timer;
int timer_start(timer *t, loop *l, int64_t in_ms, void (*fn)(timer *t)); /* restarts one that runs; NOMEM */
void timer_stop(timer *t);                                              /* also of one that does not run */

typedef struct turn_end { /* something to do once, when the events of this turn have been handled */
    list link;
    void (*fn)(struct turn_end *t);
} turn_end;
void turn_end_init(turn_end *t, void (*fn)(turn_end *t));
void turn_end_want(loop *l, turn_end *t); /* asking again in the same turn is nothing */
void turn_end_cancel(turn_end *t);

int status_of_uv(int uv_error); /* a bridge_status */
#endif
