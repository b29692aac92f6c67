/* bench/store/store.c - what the store costs: a start with a million kept values, history written and read, bytes on disk.
 *
 *   store FILE [values] [records]          one number a line */
#include "base/clock.h"
#include "store/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATHS = 1000 };

static double cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double file_bytes(const char *file)
{
    struct stat st = {0};

    stat(file, &st);
    return (double)st.st_size;
}

static void quiet(void *user, int level, const char *area, const char *line)
{
    (void)user, (void)level, (void)area, (void)line;
}

static bridge *open_bridge(const char *store)
{
    bridge_error err = {0};
    bridge *b = NULL;

    if (bridge_new(&b, BRIDGE_OPTIONS(.store = store, .log = quiet, .sys_interval = -1), &err) == 0) return b;
    fprintf(stderr, "%s\n", err.text);
    exit(1);
}

static void publish(bridge *b, const char *path, const char *data, bool retain, int64_t at)
{
    bridge_msg *m = NULL;

    if (bridge_msg_new(&m, BRIDGE_FIELDS(.path = path, .data = data, .len = strlen(data), .retain = retain, .time = at, .origin = "app:bench")) < 0) exit(1);
    while (bridge_publish(b, m) == BRIDGE_BUSY) bridge_process(b); /* the disk does not keep up: its turn */
    bridge_msg_unref(m);
}

static void values(const char *store, const char *file, long count)
{
    bridge *b = open_bridge(store);
    double t, c;

    for (long i = 0; i < count; i++) {
        char path[80], data[40];
        snprintf(path, sizeof path, "site/%ld/device/%ld/temperature", i % 1000, i);
        snprintf(data, sizeof data, "%ld.5", i);
        publish(b, path, data, true, 0);
        if (i % 100 == 0) bridge_process(b);
    }
    bridge_free(b);
    t = wall();
    c = cpu();
    b = open_bridge(store);
    printf("start_seconds_with_%ld_values %.3f\nstart_cpu_seconds %.3f\nbytes_per_value %.1f\n", count, wall() - t, cpu() - c, file_bytes(file) / (double)count);
    bridge_free(b);
}

static int count_one(void *user, const bridge_past *p)
{
    *(double *)user += p->number;
    return 0;
}

static void past(const char *store, const char *file, long count)
{
    bridge *b = open_bridge(store);
    double t, c = cpu(), sum = 0;
    void *view = NULL;
    bridge_store *s = NULL;
    loop *l = NULL;
    logger log = {.fn = quiet};

    bridge_record_history(b, "h/#", BRIDGE_HISTORY(.records = 0), NULL);
    for (long i = 0; i < count; i++) {
        char path[40], data[40];
        snprintf(path, sizeof path, "h/%ld/value", i * 7 % PATHS);
        snprintf(data, sizeof data, "%ld.25", i % 1000);
        publish(b, path, data, false, 1700000000000 + i);
        if (i % 100 == 0) bridge_process(b);
    }
    bridge_free(b);
    printf("history_append_per_cpu_second %.0f\nbytes_per_record %.1f\n", (double)count / (cpu() - c), file_bytes(file) / (double)count);
    if (loop_new(&l, mem_default(), NULL, NULL) < 0 || store_open(&s, mem_default(), l, &log, store, NULL) < 0 || bridge_store_view(s, &view) < 0) exit(1);
    t = wall();
    for (uint32_t id = 1; id <= PATHS; id++) bridge_store_past(s, view, id, 0, INT64_MAX, false, count_one, &sum);
    printf("range_read_seconds_of_%ld %.3f\n", count, wall() - t);
    bridge_store_view_close(s, view);
    store_close(s);
    loop_free(l);
    if (sum == 0) exit(1);
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? atol(argv[2]) : 1000000, records = argc > 3 ? atol(argv[3]) : 1000000;
    char store[600], name[500];

    if (argc < 2) return 2;
    snprintf(name, sizeof name, "%s.values", argv[1]);
    snprintf(store, sizeof store, "sqlite:%s?durability=normal", name);
    values(store, name, count);
    unlink(name);
    snprintf(name, sizeof name, "%s.past", argv[1]);
    snprintf(store, sizeof store, "sqlite:%s?durability=normal", name);
    past(store, name, records);
    unlink(name);
    return 0;
}
