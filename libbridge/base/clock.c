#include "base/clock.h"
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_calendar(void)
{
    return read_clock(CLOCK_REALTIME);
}

void random_bytes(void *p, size_t len)
{
    char *at = p;

    while (len) {
        ssize_t n = getrandom(at, len > 256 ? 256 : len, 0);
        if (n < 0) continue; /* EINTR: only before the pool is ready */
        at += n;
        len -= (size_t)n;
    }
}
