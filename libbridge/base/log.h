/* base/log.h - one line per thing that a person would act on: "area peer event key=value". */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include "bridge/bridge.h"
#include <stdatomic.h>

typedef struct logger {
    void (*fn)(void *user, int level, const char *area, const char *line); /* NULL: stderr */
    void *user;
    atomic_int level; /* lines above it are dropped */
} logger;

typedef struct log_budget { /* at most LOG_BURST lines a second for one source; what is left out is counted */
    int64_t second;
    unsigned spent, dropped;
} log_budget;
enum { LOG_BURST = 10 };

static inline int log_wants(const logger *l, int level)
{
    return level <= atomic_load_explicit(&l->level, memory_order_relaxed);
}
void log_line(logger *l, int level, const char *area, const char *format, ...) __attribute__((format(printf, 4, 5)));
void log_limited(logger *l, log_budget *budget, int64_t now_ms, int level, const char *area, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
#endif
