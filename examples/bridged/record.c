/* record.c - bridged record, bridged replay: from and to a running bridge, or any MQTT broker; docs/record.md. */
#include "bridged.h"
#include "wire.h"
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char record_help[] = "usage: bridged record [-u URL] [-o FILE] [-n COUNT] [FILTER...]\n"
                                  "Writes what is published, a line of JSON each, until SIGINT; without FILTER all of it.\n"
                                  "  -u, --url URL      mqtt://[user:password@]host[:port] (mqtt://127.0.0.1:1883), mqtts://, ws://, wss://;\n"
                                  "                     with ?ca=FILE&cert=FILE&key=FILE, ?psk_file=FILE or ?verify=no\n"
                                  "  -o, --output FILE  (standard output)\n"
                                  "  -n, --count COUNT  stop after so many messages\n";
static const char replay_help[] = "usage: bridged replay [-u URL] [-s SPEED] [--user USER] [--listener URL] [--origin NAME] [--copies] FILE\n"
                                  "Publishes what was recorded, in its own time; FILE - is standard input.\n"
                                  "  -u, --url URL      mqtt://[user:password@]host[:port] (mqtt://127.0.0.1:1883), mqtts://, ws://, wss://;\n"
                                  "                     with ?ca=FILE&cert=FILE&key=FILE, ?psk_file=FILE or ?verify=no\n"
                                  "  -s, --speed SPEED  so many times as fast; 0: as fast as it goes (1)\n"
                                  "      --user USER, --listener URL, --origin NAME\n"
                                  "                     only what this user said, came through this listener, or from this peer (coap:10.0.0.7:40000)\n"
                                  "                     or protocol (coap)\n"
                                  "      --copies       also what routes of the recorded bridge had copied\n";

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

static void stop_on_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: poll() and nanosleep() are to end */

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
}

typedef struct words {
    const char *url, *output, *user, *listener, *origin;
    long count;
    double speed;
    bool copies;
} words;

static int words_read(words *w, int argc, char **argv, const char *letters, const char *help)
{
    static const struct option known[] = {{"url", 1, NULL, 'u'}, {"output", 1, NULL, 'o'}, {"count", 1, NULL, 'n'}, {"speed", 1, NULL, 's'},
                                          {"user", 1, NULL, 'U'}, {"listener", 1, NULL, 'L'}, {"origin", 1, NULL, 'O'}, {"copies", 0, NULL, 'C'},
                                          {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
    char *end = (char *)(uintptr_t)"";
    int c;

    *w = (words){.url = "mqtt://127.0.0.1:1883", .speed = 1};
    while ((c = getopt_long(argc, argv, letters, known, NULL)) != -1) {
        if (c == 'h') return fputs(help, stdout), EXIT_OK;
        if (c == 'u') w->url = optarg;
        else if (c == 'o') w->output = optarg;
        else if (c == 'n') w->count = strtol(optarg, &end, 10);
        else if (c == 's') w->speed = strtod(optarg, &end);
        else if (c == 'U') w->user = optarg;
        else if (c == 'L') w->listener = optarg;
        else if (c == 'O') w->origin = optarg;
        else if (c == 'C') w->copies = true;
        if (c == '?' || !strchr(letters, c) || *end || w->count < 0 || w->speed < 0) return fputs(help, stderr), EXIT_USAGE;
    }
    return -1;
}

static int complain(wire *w, const char *url)
{
    fprintf(stderr, "bridged: %s: %s\n", url, w->why);
    wire_close(w);
    return EXIT_RUNTIME;
}

int record_main(int argc, char **argv)
{
    static char *all[] = {(char *)(uintptr_t)"#"};
    bool some;
    words o;
    wire w;
    line l;
    FILE *f = stdout;
    int rc = words_read(&o, argc, argv, "u:o:n:h", record_help);

    if (rc >= 0) return rc;
    some = optind < argc;
    stop_on_signals();
    if (wire_open_told(&w, o.url) < 0 || wire_subscribe(&w, some ? argv + optind : all, some ? argc - optind : 1) < 0) return complain(&w, o.url);
    if (o.output && !(f = fopen(o.output, "w"))) {
        fprintf(stderr, "bridged: cannot write %s\n", o.output);
        wire_close(&w);
        return EXIT_RUNTIME;
    }
    for (long written = 0; !stopped && (!o.count || written < o.count);) {
        bool before = w.subscribed;
        rc = wire_next(&w, &l, 1000);
        if (rc < 0) break;
        if (w.subscribed && !before) fprintf(stderr, "bridged: recording from %s%s\n", o.url, w.told ? "" : "; it does not tell us who publishes");
        if (rc == 0) continue;
        line_write(f, &l);
        fflush(f);
        written++;
    }
    if (f != stdout) fclose(f);
    if (rc < 0 && !stopped) return complain(&w, o.url);
    wire_close(&w);
    return EXIT_OK;
}

static void wait_ms(double ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms - (double)((long)(ms / 1000) * 1000)) * 1000000};

    nanosleep(&t, NULL);
}

static bool same(const char *wanted, const char *said)
{
    return !wanted || (said && strcmp(wanted, said) == 0);
}

static bool is_wanted(const words *o, const line *l)
{
    size_t n = o->origin ? strlen(o->origin) : 0;
    bool from = !n || (l->origin && strncmp(l->origin, o->origin, n) == 0 && (l->origin[n] == 0 || l->origin[n] == ':'));

    return from && same(o->user, l->user) && same(o->listener, l->listener) && (o->copies || !l->copied);
}

int replay_main(int argc, char **argv)
{
    char *room = malloc(LINE_MAX_BYTES);
    const char *why = NULL;
    int64_t before = -1;
    words o;
    wire w;
    line l;
    FILE *f;
    int got = 0, number = 0, rc = room ? words_read(&o, argc, argv, "u:s:hU:L:O:C", replay_help) : EXIT_RUNTIME;

    if (rc < 0 && optind + 1 != argc) rc = (fputs(replay_help, stderr), EXIT_USAGE);
    if (rc >= 0) {
        free(room);
        return rc;
    }
    f = strcmp(argv[optind], "-") == 0 ? stdin : fopen(argv[optind], "r");
    if (!f) {
        fprintf(stderr, "bridged: cannot read %s\n", argv[optind]);
        free(room);
        return EXIT_USAGE;
    }
    stop_on_signals();
    rc = wire_open(&w, o.url);
    while (rc == 0 && !stopped && (number++, got = line_read(f, room, &l, &why)) > 0) {
        if (!is_wanted(&o, &l)) continue;
        if (before >= 0 && l.time > before && o.speed > 0) wait_ms((double)(l.time - before) / o.speed);
        before = l.time;
        rc = wire_publish(&w, &l);
    }
    if (rc == 0) rc = wire_flush(&w);
    if (f != stdin) fclose(f);
    free(room);
    if (rc < 0) return complain(&w, o.url);
    wire_close(&w);
    if (got >= 0) return EXIT_OK;
    fprintf(stderr, "bridged: %s: message %d: %s\n", argv[optind], number, why);
    return EXIT_USAGE;
}
