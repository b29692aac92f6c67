/* A stream without a socket, for fuzzers that are the other side of a connection: they feed it with stream_feed(), and are handed what is
 * written.  It frees itself at the end of the turn in which it was closed. */
#ifndef FUZZ_PIPE_END_H
#define FUZZ_PIPE_END_H
#include "loop/stream.h"
#include <stdlib.h>

typedef struct pipe_end {
    stream s;
    turn_end goodbye;
    bool stalled;                                                   /* nothing is taken */
    void (*wrote)(struct pipe_end *e, const uint8_t *p, size_t n); /* or NULL */
    void (*gone)(struct pipe_end *e);                               /* it is freed next */
} pipe_end;

static ptrdiff_t pipe_take(stream *s, const struct iovec *iov, unsigned count)
{
    pipe_end *e = list_of(s, pipe_end, s);
    size_t n = 0;

    if (e->stalled) return 0;
    for (unsigned i = 0; i < count; ++i) {
        if (e->wrote) e->wrote(e, iov[i].iov_base, iov[i].iov_len);
        n += iov[i].iov_len;
    }
    return (ptrdiff_t)n;
}

static void pipe_nothing(stream *s)
{
    (void)s;
}

static void pipe_reading(stream *s, bool on)
{
    (void)s, (void)on;
}

static void pipe_goodbye(turn_end *t)
{
    pipe_end *e = list_of(t, pipe_end, goodbye);

    e->gone(e);
    stream_closed(&e->s);
    free(e);
}

static void pipe_shut(stream *s)
{
    turn_end_want(s->loop, &list_of(s, pipe_end, s)->goodbye);
}

static const stream_ops pipe_ops = {.write = pipe_take, .want_write = pipe_nothing, .read = pipe_reading, .close = pipe_shut};

static pipe_end *pipe_new(loop *l, void (*gone)(pipe_end *e))
{
    pipe_end *e = calloc(1, sizeof *e);

    if (!e) abort();
    e->gone = gone;
    turn_end_init(&e->goodbye, pipe_goodbye);
    stream_init(&e->s, &pipe_ops, l);
    return e;
}
#endif
