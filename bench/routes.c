/* What routes cost: nanoseconds of CPU a message through the public calls, with 1 to 100,000 routes of which none, one name or one copy
 * matches; and bytes a route, as the bridge's allocator counts them.   build/bench/routes */
#include "bridge/bridge.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t held;

static void *counting(void *user, void *ptr, size_t len)
{
    void *p;

    (void)user;
    held -= ptr ? malloc_usable_size(ptr) : 0;
    if (len == 0) {
        free(ptr);
        return NULL;
    }
    p = realloc(ptr, len);
    held += p ? malloc_usable_size(p) : 0;
    return p;
}

static double cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The least of several rounds: what disturbs only ever adds. */
static double publish_ns(bridge *b, const char *path)
{
    enum { ROUNDS = 7, MESSAGES = 20000 };
    double least = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        double begun = cpu(), ns;
        for (int i = 0; i < MESSAGES; i++) {
            bridge_msg *msg;
            if (bridge_msg_new(&msg, BRIDGE_FIELDS(.path = path, .data = "21.5", .len = 4, .time = 1)) < 0) exit(1);
            bridge_publish(b, msg);
            bridge_msg_unref(msg);
        }
        ns = (cpu() - begun) * 1e9 / MESSAGES;
        if (ns < least) least = ns;
    }
    return least;
}

static void on_msg(void *user, bridge_msg *msg)
{
    (void)msg;
    ++*(unsigned long *)user;
}

static void measure(unsigned count)
{
    unsigned long heard = 0;
    bridge *b = NULL;
    char source[64], target[64];
    double none, name, copy;
    size_t before;

    if (bridge_new(&b, BRIDGE_OPTIONS(.realloc = counting, .sys_interval = -1), NULL) < 0) exit(1);
    bridge_subscribe(b, "#", on_msg, &heard, NULL, NULL);
    before = held;
    for (unsigned i = 0; i < count; i++) {
        snprintf(source, sizeof source, "x-plc:site/%u/{room}/temp", i);
        snprintf(target, sizeof target, "home/%u/{room}/temperature", i);
        if (bridge_route_add(b, BRIDGE_ROUTE(.source = source, .target = target), NULL, NULL) < 0) exit(1);
    }
    before = held - before;
    none = publish_ns(b, "elsewhere/7/hall/temp");
    name = publish_ns(b, "site/0/hall/temp");
    bridge_route_add(b, BRIDGE_ROUTE(.source = "raw/{room}/temp", .target = "archive/{room}"), NULL, NULL);
    copy = publish_ns(b, "raw/hall/temp");
    printf("%8u  %10.0f  %10.0f  %10.0f  %12.0f\n", count, none, name, copy, (double)before / count);
    bridge_free(b);
}

int main(void)
{
    printf("  routes   none, ns    name, ns    copy, ns   bytes a route\n");
    for (unsigned count = 1; count <= 100000; count *= 10)
        measure(count);
    return 0;
}
