/* util.h - what every load client needs: arguments, time, the server's CPU and memory, latencies, one JSON line. */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- arguments: --name value or --name=value; what nobody asked for is an error at args_done() */
void args_init(int argc, char **argv);
const char *arg_text(const char *name, const char *fallback);
long arg_long(const char *name, long fallback);
double arg_real(const char *name, double fallback);
void args_done(void);

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *grow(void *old, size_t len); /* realloc that dies */
void *zeroed(size_t count, size_t len);
uint64_t now_ns(void);
uint64_t random_next(uint64_t *state);
void raise_file_limit(void);

/* ---- the server under test, from the outside: --server PID[,PID...] */
typedef struct probe {
    double cpu;         /* seconds, all threads, since the process began */
    double anonymous;   /* bytes of anonymous memory in RAM (smaps_rollup): heap and stacks, no code pages */
    double pss;         /* bytes, everything, shared pages divided */
} probe;
void probe_init(const char *pids);
double probe_cpu(void);
void probe_take(probe *out);

/* ---- latencies: a log-linear histogram of nanoseconds, 1/32 precise */
#define LATENCY_SLOTS (32 * 61)
typedef struct latency {
    uint64_t count, max;
    uint32_t slot[LATENCY_SLOTS];
} latency;
void latency_add(latency *l, uint64_t ns);
double latency_us(const latency *l, double quantile);

/* ---- one measured stretch: begin, end, then one JSON line on stdout */
typedef struct stretch {
    probe before, after;
    double seconds, server_cpu, client_cpu;
    uint64_t start;
    double client_start;
} stretch;
void stretch_begin(stretch *s);
void stretch_end(stretch *s);
void stretch_end_at(stretch *s, uint64_t end_ns); /* the last event was then; waiting after it is not counted as time */

void json_begin(const char *scenario);
void json_number(const char *name, double value);
void json_stretch(const stretch *s, uint64_t operations);
void json_latency(const char *prefix, const latency *l);
int json_end(bool ok, const char *why); /* returns the exit status */
#endif
