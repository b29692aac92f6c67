#include "base/log.h"
#include <stdarg.h>
#include <stdio.h>

static void clean(char *line) /* a peer's bytes never start a new line or move a cursor */
{
    for (; *line; line++)
        if ((unsigned char)*line < 0x20 || *line == 0x7f) *line = '?';
}

static void emit(logger *l, int level, const char *area, char *line)
{
    static const char *const names[] = {"", "error", "warn", "info", "debug"};

    clean(line);
    if (l->fn)
        l->fn(l->user, level, area, line);
    else
        fprintf(stderr, "%s %s: %s\n", names[level], area, line);
}

void log_line(logger *l, int level, const char *area, const char *format, ...)
{
    char line[512];
    va_list args;

    if (!log_wants(l, level)) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    emit(l, level, area, line);
}

void log_limited(logger *l, log_budget *budget, int64_t now_ms, int level, const char *area, const char *format, ...)
{
    char line[512];
    va_list args;

    if (!log_wants(l, level)) return;
    if (now_ms / 1000 != budget->second) {
        if (budget->dropped) log_line(l, level, area, "and %u more lines like the last", budget->dropped);
        *budget = (log_budget){.second = now_ms / 1000};
    }
    if (budget->spent >= LOG_BURST) {
        budget->dropped++;
        return;
    }
    budget->spent++;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    emit(l, level, area, line);
}
