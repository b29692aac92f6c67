#include "check.h"
#include "core/pathcache.h"
#include <stdlib.h>

typedef struct plan {
    char path[32];
    int number;
} plan;

static int alive;

static void drop(void *user, void *p)
{
    (void)user;
    alive--;
    free(p);
}

/* As the hub would: the number of the plan that was used, made anew when there is none. */
static int use(pathcache *c, const char *path, uint64_t generation)
{
    static int made;
    plan *p = pathcache_find(c, path, strlen(path), generation);
    int number;

    if (p) return p->number;
    number = ++made;
    if (!pathcache_wants(c)) return number;
    p = calloc(1, sizeof *p);
    strcpy(p->path, path);
    p->number = number;
    alive++;
    pathcache_put(c, p->path, strlen(path), p);
    return number;
}

static void a_path_is_kept_when_it_comes_again(void)
{
    pathcache c;
    int first, second;

    pathcache_init(&c, mem_default(), 7, 64, drop, NULL);
    first = use(&c, "a/b", 1);
    CHECK_INT(alive, 0);
    second = use(&c, "a/b", 1);
    CHECK(second != first);
    CHECK_INT(alive, 1);
    CHECK_INT(use(&c, "a/b", 1), second);
    CHECK_INT(use(&c, "a/b", 1), second);
    pathcache_done(&c);
    CHECK_INT(alive, 0);
}

static void a_change_forgets_it(void)
{
    pathcache c;
    int before, after;

    pathcache_init(&c, mem_default(), 7, 64, drop, NULL);
    use(&c, "a/b", 1);
    before = use(&c, "a/b", 1);
    after = use(&c, "a/b", 2);
    CHECK(after != before);
    CHECK_INT(use(&c, "a/b", 2), after); /* it is known already: no need to come twice again */
    CHECK_INT(alive, 1);
    pathcache_done(&c);
    CHECK_INT(alive, 0);
}

static void many_that_come_once_push_none_out(void)
{
    pathcache c;
    char path[32];
    int kept, wrong = 0;

    pathcache_init(&c, mem_default(), 7, 64, drop, NULL);
    use(&c, "busy", 1);
    kept = use(&c, "busy", 1);
    for (int i = 0; i < 100; i++) {
        sprintf(path, "once/%d", i);
        use(&c, path, 1);
        wrong += use(&c, "busy", 1) != kept;
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(alive, 1);
    pathcache_done(&c);
}

static void what_is_found_is_of_that_path(void)
{
    static struct {
        char path[32];
        int number;
    } last[300];
    pathcache c;
    unsigned state = 1, wrong = 0, hits = 0;
    uint64_t generation = 1;

    pathcache_init(&c, mem_default(), 7, 64, drop, NULL);
    for (int i = 0; i < 300; i++)
        sprintf(last[i].path, "path/%d", i);
    for (int i = 0; i < 100000; i++) {
        unsigned k = (state = state * 1103515245u + 12345u) / 65536 % (i % 3 ? 20 : 300);
        plan *p = pathcache_find(&c, last[k].path, strlen(last[k].path), generation);

        if (p) {
            hits++;
            wrong += strcmp(p->path, last[k].path) != 0 || p->number != (int)generation;
        } else if (pathcache_wants(&c)) {
            p = calloc(1, sizeof *p);
            strcpy(p->path, last[k].path);
            p->number = (int)generation;
            alive++;
            pathcache_put(&c, p->path, strlen(p->path), p);
        }
        if (i % 1000 == 0) generation++;
    }
    CHECK_INT(wrong, 0);
    CHECK(hits > 40000);
    CHECK(alive <= 64);
    pathcache_done(&c);
    CHECK_INT(alive, 0);
}

static void *no_memory(void *user, void *p, size_t len)
{
    int *left = user;

    if (len == 0) free(p);
    return len && (*left)-- > 0 ? realloc(p, len) : NULL;
}

static void without_memory_there_is_no_cache(void)
{
    int left = 1;
    mem *m = mem_create(no_memory, &left);
    pathcache c;

    pathcache_init(&c, m, 7, 64, drop, NULL);
    use(&c, "a", 1);
    use(&c, "a", 1);
    CHECK_INT(alive, 0);
    pathcache_done(&c);
    mem_unref(m);
}

int main(void)
{
    a_path_is_kept_when_it_comes_again();
    a_change_forgets_it();
    many_that_come_once_push_none_out();
    what_is_found_is_of_that_path();
    without_memory_there_is_no_cache();
    return check_done();
}
