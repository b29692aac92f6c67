/* What each step of a transformation costs: nanoseconds of CPU a message over a route with it, less those over the same route without.
 *    build/bench/transform */
#include "bridge/bridge.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_msg(void *user, bridge_msg *msg)
{
    (void)msg;
    ++*(unsigned long *)user;
}

static int same(void *user, bridge_msg *msg, bridge_msg **out)
{
    (void)user;
    *out = bridge_msg_ref(msg);
    return 0;
}

/* The least of several rounds: what disturbs only ever adds. */
static double measure(const char *steps, const char *payload, bridge_format format, unsigned long *heard)
{
    enum { ROUNDS = 7, MESSAGES = 10000 };
    double least = 1e9;
    bridge *b = NULL;
    bridge_error err = {0};

    *heard = 0;
    if (bridge_new(&b, BRIDGE_OPTIONS(.sys_interval = -1), NULL) < 0) exit(1);
    bridge_transform(b, "same", same, NULL, NULL, NULL);
    bridge_subscribe(b, "out/#", on_msg, heard, NULL, NULL);
    if (bridge_route_add(b, BRIDGE_ROUTE(.source = "in/{room}/t", .target = "out/{room}", .transform = steps), NULL, &err) < 0) {
        fprintf(stderr, "%s: %s\n", steps, err.text);
        exit(1);
    }
    for (int round = 0; round < ROUNDS; round++) {
        double begun = cpu(), ns;
        for (int i = 0; i < MESSAGES; i++) {
            bridge_msg *msg;
            if (bridge_msg_new(&msg, BRIDGE_FIELDS(.path = "in/hall/t", .data = payload, .len = strlen(payload), .format = format, .time = 1)) < 0) exit(1);
            bridge_publish(b, msg);
            bridge_msg_unref(msg);
        }
        ns = (cpu() - begun) * 1e9 / MESSAGES;
        if (ns < least) least = ns;
    }
    bridge_free(b);
    return least;
}

int main(void)
{
    static const char number[] = "21.5", object[] = "{\"temp\":21.5,\"hum\":40,\"name\":\"hall\",\"more\":{\"a\":[1,2,3]}}";
    static const char pack[] = "[{\"bn\":\"in/hall/t/\",\"n\":\"a\",\"u\":\"mV\",\"v\":1500},{\"n\":\"b\",\"u\":\"mV\",\"v\":3},{\"n\":\"c\",\"v\":1}]";
    static const struct {
        const char *steps, *payload;
        bridge_format format;
    } rows[] = {
        {"format cbor", number, BRIDGE_TEXT}, {"pick $.temp", object, BRIDGE_JSON}, {"pick $.more.a[-1]", object, BRIDGE_JSON},
        {"wrap value room time", number, BRIDGE_FORMAT_AUTO}, {"template '{\"room\":\"{room}\",\"t\":{value}}'", number, BRIDGE_FORMAT_AUTO},
        {"scale 1.8 32", number, BRIDGE_FORMAT_AUTO}, {"offset -40", number, BRIDGE_FORMAT_AUTO}, {"unit degF Cel", number, BRIDGE_FORMAT_AUTO},
        {"unit mV V", pack, BRIDGE_SENML_JSON}, {"split", pack, BRIDGE_SENML_JSON}, {"merge 1h", number, BRIDGE_FORMAT_AUTO},
        {"deadband 0.5", number, BRIDGE_FORMAT_AUTO}, {"on-change", number, BRIDGE_FORMAT_AUTO}, {"min-interval 1h", number, BRIDGE_FORMAT_AUTO},
        {"max-interval 1h", number, BRIDGE_FORMAT_AUTO}, {"window 1h mean", number, BRIDGE_FORMAT_AUTO}, {"call same", number, BRIDGE_FORMAT_AUTO},
        {"pick $.temp | unit degF Cel | deadband 0.5", object, BRIDGE_JSON},
    };
    unsigned long heard;

    printf("  %-52s  %8s  %14s\n", "step", "ns", "more than none");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double without = measure(NULL, rows[i].payload, rows[i].format, &heard), with = measure(rows[i].steps, rows[i].payload, rows[i].format, &heard);
        printf("  %-52s  %8.0f  %+14.0f\n", rows[i].steps, with, with - without);
    }
    return 0;
}
