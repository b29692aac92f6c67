/* bench/tree.c - what matching costs as the tables grow, and what an entry weighs.
 *
 *      build/bench/tree [largest number of entries, default 1000000]
 *
 * CPU time, the best of fifteen short rounds: what it takes when nobody else is at the caches.  warm: the same 64 paths
 * again and again; random: any of the paths that exist (then the paths miss the caches, too).
 * Bytes are those asked from the allocator plus 8 and rounded up to 16 for each block, as malloc does. */
#include "core/tree.h"
#include "core/pathcache.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static size_t bytes_live;

static void *counted(void *user, void *p, size_t len)
{
    (void)user;
    if (p) bytes_live -= malloc_usable_size(p) + 8;
    if (len == 0) {
        free(p);
        return NULL;
    }
    p = realloc(p, len);
    if (p) bytes_live += malloc_usable_size(p) + 8;
    return p;
}

static double cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static uint64_t random_state = 88172645463325252u;
static uint32_t dice(uint32_t sides)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) * sides >> 32);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* ---- what is looked up: paths in one block, each with its length ---- */

typedef struct paths {
    char (*at)[64];
    uint8_t *len;
    uint32_t count;
} paths;

static void name_path(char *out, uint32_t i)
{
    sprintf(out, "site%u/room%u/dev%u/temp", i % 100, i / 100 % 100, i / 10000);
}

static paths paths_make(uint32_t count)
{
    paths p = {malloc(count * sizeof *p.at), malloc(count), count};

    for (uint32_t i = 0; i < count; i++) {
        name_path(p.at[i], i);
        p.len[i] = (uint8_t)strlen(p.at[i]);
    }
    return p;
}

typedef struct look {
    const tree *t;
    const ptrie *routes;
    pathcache *cache;
    size_t hits;
} look;
typedef void (*look_fn)(look *l, const char *path, size_t len);

static double round_ns(look *l, look_fn fn, const paths *p, const uint32_t *order, uint32_t count)
{
    double start = cpu_ns();

    for (uint32_t i = 0; i < count; i++)
        fn(l, p->at[order[i]], p->len[order[i]]);
    return (cpu_ns() - start) / count;
}

enum { LOOKS = 1 << 16, ROUNDS = 15 };
static double best_ns(look *l, look_fn fn, const paths *p, uint32_t among)
{
    static uint32_t order[LOOKS];
    double ns[ROUNDS];

    for (uint32_t i = 0; i < LOOKS; i++)
        order[i] = dice(among);
    l->hits = 0;
    for (int r = 0; r < ROUNDS; r++)
        ns[r] = round_ns(l, fn, p, order, LOOKS);
    qsort(ns, ROUNDS, sizeof *ns, by_value);
    return ns[0];
}

static void on_subs(void *user, sub *const *subs, size_t count, sub_group *group)
{
    (void)subs;
    (void)group;
    *(size_t *)user += count;
}

static void look_match(look *l, const char *path, size_t len)
{
    tree_match(l->t, path, len, on_subs, &l->hits);
}

static void look_collect(look *l, const char *path, size_t len)
{
    static tree_found found;

    tree_collect(l->t, path, len, &found);
    l->hits += found.count;
}

static void look_value(look *l, const char *path, size_t len)
{
    l->hits += tree_value(l->t, path, len) != NULL;
}

static void look_route(look *l, const char *path, size_t len)
{
    l->hits += ptrie_best(l->routes, path, len) != NULL;
}

static void look_cache(look *l, const char *path, size_t len)
{
    if (pathcache_find(l->cache, path, len, 1))
        l->hits++;
    else if (pathcache_wants(l->cache))
        pathcache_put(l->cache, path, len, l);
}

static void report(const char *what, look *l, look_fn fn, const paths *p, uint32_t exist)
{
    double warm = best_ns(l, fn, p, exist < 64 ? exist : 64), hits = (double)l->hits / (LOOKS * ROUNDS);

    printf("%9u  %-30s %8.0f %8.0f %9.1f", exist, what, warm, best_ns(l, fn, p, exist), hits);
}

/* ---- the tables ---- */

static void subscribe(tree *t, const char *spelling, sub *s)
{
    pattern_room room;
    pattern p;

    if (pattern_read(&p, &room, spelling, strlen(spelling), PATTERN_FILTER, NULL) < 0 ||
        tree_subscribe(t, &p, (text){0}, s) < 0)
        abort();
}

/* mix 0: the path itself.  1: every fourth with a '+', every fourth with a '#'.  2: as 0, and five that match all. */
static void name_filter(char *out, uint32_t i, int mix)
{
    name_path(out, i);
    if (mix == 1 && i % 4 == 1) sprintf(out, "site%u/room%u/+/temp%u", i % 100, i / 100 % 100, i / 10000);
    if (mix == 1 && i % 4 == 3) sprintf(out, "site%u/room%u/dev%u/x/#", i % 100, i / 100 % 100, i / 10000);
}

static void bench_subs(mem *m, const paths *p, uint32_t count, int mix, const char *what)
{
    static const char *const handful[] = {"#", "+/+/+/temp", "+/#", "+/+/#", "+/+/+/+"};
    sub *subs = calloc(count + 5, sizeof *subs);
    size_t before = bytes_live;
    look l = {0};
    tree *t;
    char filter[80];

    if (tree_new(m, 7, &t) < 0) abort();
    for (uint32_t i = 0; i < count; i++) {
        name_filter(filter, i, mix);
        subscribe(t, filter, &subs[i]);
    }
    for (int i = 0; mix == 2 && i < 5; i++)
        subscribe(t, handful[i], &subs[count + (uint32_t)i]);
    l.t = t;
    report(what, &l, look_match, p, count);
    printf("  %6.0f bytes each, with the 16 of struct sub\n", (double)(bytes_live - before) / count + sizeof(sub));
    if (mix == 2) {
        report("  the same, collected", &l, look_collect, p, count);
        printf("\n");
    }
    tree_free(t);
    free(subs);
}

static void bench_fan_out(mem *m, const paths *p, uint32_t count)
{
    sub *subs = calloc(count, sizeof *subs);
    size_t before = bytes_live;
    look l = {0};
    tree *t;

    if (tree_new(m, 7, &t) < 0) abort();
    for (uint32_t i = 0; i < count; i++)
        subscribe(t, p->at[0], &subs[i]);
    l.t = t;
    printf("%9u  %-30s %8.0f %8s %9u  %6.0f bytes each, with the 16 of struct sub\n", count,
           "subscriptions to one path", best_ns(&l, look_collect, p, 1), "", count,
           (double)(bytes_live - before) / count + sizeof(sub));
    tree_free(t);
    free(subs);
}

static void bench_values(mem *m, const paths *p, uint32_t count)
{
    size_t before = bytes_live;
    look l = {0};
    double start, one;
    tree *t;

    if (tree_new(m, 7, &t) < 0) abort();
    start = cpu_ns();
    for (uint32_t i = 0; i < count; i++) {
        if (tree_set_value(t, p->at[i], p->len[i], p->at[i], NULL) < 0) abort();
    }
    one = (cpu_ns() - start) / count;
    l.t = t;
    report("values, found", &l, look_value, p, count);
    printf("  %6.0f bytes each, without the message; put in %.0f ns\n", (double)(bytes_live - before) / count, one);
    tree_free(t);
}

static void bench_routes(mem *m, const paths *p, uint32_t count, bool alike)
{
    ptrie_entry *e = calloc(count, sizeof *e);
    size_t before = bytes_live;
    look l = {0};
    ptrie t;
    char spelling[80];

    ptrie_init(&t, m, 7);
    for (uint32_t i = 0; i < count; i++) {
        name_path(spelling, i);
        if (i % 2) sprintf(spelling, "site%u/{room}/dev%u/{what...}", i % 100, i / 100);
        if (pattern_new(m, (pattern **)&e[i].pattern, spelling, strlen(spelling), PATTERN_FULL, NULL) < 0) abort();
        e[i].priority = !alike && i == 0;
        if (ptrie_add(&t, &e[i]) < 0) abort();
    }
    l.routes = &t;
    report(alike ? "routes, the best" : "routes, with priorities", &l, look_route, p, count);
    printf("  %6.0f bytes each, with pattern and entry\n", (double)(bytes_live - before) / count + sizeof *e);
    for (uint32_t i = 0; i < count; i++)
        mem_free(m, (void *)(uintptr_t)e[i].pattern);
    ptrie_done(&t);
    free(e);
}

static void drop_nothing(void *user, void *plan)
{
    (void)user;
    (void)plan;
}

static void bench_cache(mem *m, const paths *p, uint32_t count)
{
    size_t before = bytes_live;
    pathcache c;
    look l = {.cache = &c};

    pathcache_init(&c, m, 7, 1024, drop_nothing, NULL);
    report("paths, 1024 places in a cache", &l, look_cache, p, count);
    printf("  %6zu bytes in all, without the plans\n", bytes_live - before);
    pathcache_done(&c);
}

int main(int argc, char **argv)
{
    uint32_t most = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000000;
    mem *m = mem_create(counted, NULL);
    paths p = paths_make(most);

    printf("  entries  %-30s  warm ns random ns   matches\n", "");
    for (uint32_t n = 1; n <= most; n *= 10)
        bench_subs(m, &p, n, 0, "subscriptions, literal");
    for (uint32_t n = 1; n <= most; n *= 10)
        bench_subs(m, &p, n, 1, "1/4 with +, 1/4 with #");
    for (uint32_t n = 1; n <= most; n *= 10)
        bench_subs(m, &p, n, 2, "literal, and 5 that match all");
    for (uint32_t n = 1; n <= 10000 && n <= most; n *= 10)
        bench_fan_out(m, &p, n);
    for (uint32_t n = 1; n <= most; n *= 10)
        bench_values(m, &p, n);
    for (uint32_t n = 1; n <= most && n <= 100000; n *= 10)
        bench_routes(m, &p, n, true);
    for (uint32_t n = 1; n <= most && n <= 100000; n *= 10)
        bench_routes(m, &p, n, false);
    for (uint32_t n = 1; n <= most; n *= 10)
        bench_cache(m, &p, n);
    free(p.at);
    free(p.len);
    mem_unref(m);
    return 0;
}
