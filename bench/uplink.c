/* How many messages a second an uplink carries, out to a broker and in from it.
 *
 *      uplink out|in --port PORT [--seconds S] [--version 5|3.1.1] [--server PID]
 *
 * out: publishes here as fast as the uplink takes it (at most 20,000 wait), counts what it has sent.
 * in: a child floods the broker, ours counts what comes.
 * Prints one line of JSON: messages a second; of this process (making the messages included) and of the broker's (--server) how many
 * messages it carries in a second of CPU, and what share of a core it had: whoever had a whole one is the limit. */
#include "bridge/bridge.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct numbers {
    double sent, queued, up;
} numbers;

static atomic_long heard;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Of another process: utime and stime, proc(5), behind the name, which may have anything in it but a last ')'. */
static double cpu_of(int pid)
{
    unsigned long user = 0, kernel = 0;
    char name[64], text[1024];
    const char *at;
    size_t n = 0;
    FILE *f;

    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    f = pid > 0 ? fopen(name, "r") : NULL;
    if (f) {
        n = fread(text, 1, sizeof text - 1, f);
        fclose(f);
    }
    text[n] = 0;
    at = strrchr(text, ')');
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2) return 0;
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static void on_stat(void *user, const char *name, const char *labels, double value)
{
    numbers *n = user;

    (void)labels;
    if (strcmp(name, "bridge_uplink_sent_total") == 0) n->sent = value;
    if (strcmp(name, "bridge_uplink_queued") == 0) n->queued = value;
    if (strcmp(name, "bridge_uplink_up") == 0) n->up = value;
}

static void on_msg(void *user, bridge_msg *msg)
{
    (void)user;
    (void)msg;
    atomic_fetch_add_explicit(&heard, 1, memory_order_relaxed);
}

static bridge *start(const char *url)
{
    bridge_error err = {.text = ""};
    bridge *b = NULL;
    numbers n = {0};

    if (bridge_new(&b, BRIDGE_OPTIONS(.sys_interval = -1), &err) < 0 || bridge_start(b) < 0 || bridge_connect(b, url, NULL, &err) < 0) {
        fprintf(stderr, "uplink: %s\n", err.text);
        exit(1);
    }
    while (!n.up) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        bridge_stats(b, on_stat, &n);
    }
    return b;
}

/* Publishes until `end`, with at most so many waiting; what the uplink has sent by then. */
static double publish(bridge *b, double end)
{
    static const char payload[64] = "sixty-four bytes";
    bridge_msg *msgs[100] = {NULL};
    char path[32];
    numbers n = {0};

    while (now() < end) {
        bridge_stats(b, on_stat, &n);
        if (n.queued > 20000) {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            continue;
        }
        for (int i = 0; i < 5000; i++) {
            bridge_msg **m = &msgs[i % 100];
            snprintf(path, sizeof path, "t/%d", i % 100);
            if (bridge_msg_new(m, BRIDGE_FIELDS(.path = path, .data = payload, .len = sizeof payload)) < 0) exit(1);
            bridge_publish(b, *m);
            bridge_msg_unref(*m);
        }
    }
    bridge_stats(b, on_stat, &n);
    return n.sent;
}

/* A publisher in a process of its own that knows nothing but one packet: the uplink alone is to be measured. */
static pid_t flood(int port)
{
    static const uint8_t connect_packet[] = {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'p'};
    static uint8_t block[100 * 70];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint8_t ack[4];
    pid_t child = fork();
    int fd;

    if (child != 0) return child;
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 || write(fd, connect_packet, sizeof connect_packet) < 0 || read(fd, ack, 4) != 4) _exit(1);
    for (int i = 0; i < 100; i++) {
        uint8_t *at = block + 70 * i;
        memcpy(at, "\x30\x44\x00\x04t/", 6);
        at[6] = (uint8_t)('0' + i / 10);
        at[7] = (uint8_t)('0' + i % 10);
        memset(at + 8, 'x', 62);
    }
    while (write(fd, block, sizeof block) > 0) continue;
    _exit(0);
}

static double count_heard(double end)
{
    while (now() < end) nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    return (double)atomic_load(&heard);
}

int main(int argc, char **argv)
{
    const char *version = "3.1.1", *port = NULL;
    double seconds = 2, begin, used, broker, count;
    int server = 0;
    bool in = argc > 1 && strcmp(argv[1], "in") == 0;
    char url[300];
    pid_t child = 0;
    bridge *b;

    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--port") == 0) port = argv[i + 1];
        if (strcmp(argv[i], "--seconds") == 0) seconds = atof(argv[i + 1]);
        if (strcmp(argv[i], "--version") == 0) version = argv[i + 1];
        if (strcmp(argv[i], "--server") == 0) server = atoi(argv[i + 1]);
    }
    if (!port || argc < 2 || !(in || strcmp(argv[1], "out") == 0)) {
        fprintf(stderr, "usage: uplink out|in --port PORT [--seconds S] [--version 5|3.1.1] [--server PID]\n");
        return 2;
    }
    snprintf(url, sizeof url, "mqtt://127.0.0.1:%s?version=%s&name=b&%s=t/{p...};qos=0", port, version, in ? "in" : "out");
    b = start(url);
    if (in) {
        bridge_subscribe(b, "t/#", on_msg, NULL, NULL, NULL);
        child = flood(atoi(port));
        while (atomic_load(&heard) < 1000) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    begin = now();
    used = cpu();
    broker = cpu_of(server);
    count = -(double)atomic_load(&heard);
    count += in ? count_heard(begin + seconds) : publish(b, begin + seconds);
    seconds = now() - begin;
    used = cpu() - used;
    broker = cpu_of(server) - broker;
    if (child > 0) kill(child, SIGKILL);
    printf("{\"per_second\": %.0f, \"us_each\": %.3f, \"per_cpu_second\": %.0f, \"share\": %.2f", count / seconds, used / count * 1e6, count / used, used / seconds);
    if (broker > 0) printf(", \"broker_per_cpu_second\": %.0f, \"broker_share\": %.2f", count / broker, broker / seconds);
    puts("}");
    bridge_free(b);
    return 0;
}
