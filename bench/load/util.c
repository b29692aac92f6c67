#include "util.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int arg_count;
static char **arg_list;
static bool arg_used[128];
static int probe_pids[16];
static int probe_count;

void die(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(2);
}

void args_init(int argc, char **argv)
{
    if (argc > 128) die("too many arguments");
    arg_count = argc;
    arg_list = argv;
    arg_used[0] = true;
}

const char *arg_text(const char *name, const char *fallback)
{
    size_t len = strlen(name);

    for (int i = 1; i < arg_count; i++) {
        if (strncmp(arg_list[i], name, len) != 0) continue;
        if (arg_list[i][len] == '=') {
            arg_used[i] = true;
            return arg_list[i] + len + 1;
        }
        if (arg_list[i][len] == 0 && i + 1 < arg_count) {
            arg_used[i] = arg_used[i + 1] = true;
            return arg_list[i + 1];
        }
    }
    return fallback;
}

long arg_long(const char *name, long fallback)
{
    const char *text = arg_text(name, NULL);

    return text ? strtol(text, NULL, 0) : fallback;
}

double arg_real(const char *name, double fallback)
{
    const char *text = arg_text(name, NULL);

    return text ? strtod(text, NULL) : fallback;
}

void args_done(void)
{
    for (int i = 1; i < arg_count; i++) {
        if (!arg_used[i]) die("unknown argument %s", arg_list[i]);
    }
}

void *grow(void *old, size_t len)
{
    void *p = realloc(old, len);

    if (!p) die("out of memory");
    return p;
}

void *zeroed(size_t count, size_t len)
{
    void *p = calloc(count, len);

    if (!p) die("out of memory");
    return p;
}

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void probe_init(const char *pids)
{
    char *end;

    while (pids && *pids && probe_count < 16) {
        long pid = strtol(pids, &end, 10);

        if (end == pids) die("--server wants process ids");
        probe_pids[probe_count++] = (int)pid;
        pids = *end == ',' ? end + 1 : end;
    }
}

static double task_cpu(int pid, const char *task)
{
    char name[300];
    unsigned long long ns = 0;
    FILE *f;

    snprintf(name, sizeof(name), "/proc/%d/task/%s/schedstat", pid, task);
    f = fopen(name, "r");
    if (!f) return 0;
    if (fscanf(f, "%llu", &ns) != 1) ns = 0;
    fclose(f);
    return (double)ns / 1e9;
}

/* schedstat counts nanoseconds; utime + stime in stat count ticks of 10 ms. */
double probe_cpu(void)
{
    double sum = 0;

    for (int i = 0; i < probe_count; i++) {
        char name[64];
        struct dirent *entry;
        DIR *dir;

        snprintf(name, sizeof(name), "/proc/%d/task", probe_pids[i]);
        dir = opendir(name);
        if (!dir) die("server process %d is gone", probe_pids[i]);
        while ((entry = readdir(dir))) {
            if (entry->d_name[0] != '.') sum += task_cpu(probe_pids[i], entry->d_name);
        }
        closedir(dir);
    }
    return sum;
}

void probe_take(probe *out)
{
    *out = (probe){.cpu = probe_cpu()};
    for (int i = 0; i < probe_count; i++) {
        char line[200];
        double kb;
        FILE *f;

        snprintf(line, sizeof(line), "/proc/%d/smaps_rollup", probe_pids[i]);
        f = fopen(line, "r");
        if (!f) continue;
        while (fgets(line, sizeof(line), f)) {
            if (sscanf(line, "Anonymous: %lf", &kb) == 1) out->anonymous += kb * 1024;
            if (sscanf(line, "Pss: %lf", &kb) == 1) out->pss += kb * 1024;
        }
        fclose(f);
    }
}

void latency_add(latency *l, uint64_t ns)
{
    unsigned shift = ns < 64 ? 0 : 63u - (unsigned)__builtin_clzll(ns) - 5u;
    size_t slot = shift * 32u + (size_t)(ns >> shift); /* ns >> shift is 32..63 once shift > 0 */

    if (slot >= LATENCY_SLOTS) slot = LATENCY_SLOTS - 1;
    l->slot[slot]++;
    l->count++;
    if (ns > l->max) l->max = ns;
}

double latency_us(const latency *l, double quantile)
{
    uint64_t want = (uint64_t)((double)l->count * quantile), seen = 0;

    for (size_t i = 0; i < LATENCY_SLOTS && l->count; i++) {
        seen += l->slot[i];
        if (seen > want || seen == l->count) {
            unsigned shift = i < 64 ? 0 : (unsigned)(i / 32u) - 1u;
            uint64_t low = (uint64_t)(i - shift * 32u) << shift;

            return (double)low / 1e3;
        }
    }
    return 0;
}

static double own_cpu(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

void stretch_begin(stretch *s)
{
    probe_take(&s->before);
    s->before.cpu = probe_cpu(); /* reading smaps takes a while */
    s->client_start = own_cpu();
    s->start = now_ns();
}

void stretch_end_at(stretch *s, uint64_t end_ns)
{
    s->seconds = (double)(end_ns - s->start) / 1e9;
    s->client_cpu = own_cpu() - s->client_start;
    probe_take(&s->after);
    s->server_cpu = s->after.cpu - s->before.cpu;
}

void stretch_end(stretch *s)
{
    stretch_end_at(s, now_ns());
}

void json_begin(const char *scenario)
{
    printf("{\"scenario\": \"%s\"", scenario);
}

void json_number(const char *name, double value)
{
    printf(", \"%s\": %.10g", name, value);
}

void json_stretch(const stretch *s, uint64_t operations)
{
    json_number("operations", (double)operations);
    json_number("seconds", s->seconds);
    json_number("rate", s->seconds > 0 ? (double)operations / s->seconds : 0);
    json_number("server_cpu", s->server_cpu);
    json_number("cpu_per_million", operations ? s->server_cpu * 1e6 / (double)operations : 0);
    json_number("client_cpu", s->client_cpu);
    json_number("memory_before", s->before.anonymous);
    json_number("memory_after", s->after.anonymous);
}

void json_latency(const char *prefix, const latency *l)
{
    static const struct { const char *name; double quantile; } marks[] = {
        {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    char name[40];

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        snprintf(name, sizeof(name), "%s%s_us", prefix, marks[i].name);
        json_number(name, latency_us(l, marks[i].quantile));
    }
    snprintf(name, sizeof(name), "%smax_us", prefix);
    json_number(name, (double)l->max / 1e3);
}

int json_end(bool ok, const char *why)
{
    printf(", \"ok\": %s", ok ? "true" : "false");
    if (!ok) printf(", \"why\": \"%s\"", why ? why : "");
    printf("}\n");
    fflush(stdout);
    return ok ? 0 : 1;
}
