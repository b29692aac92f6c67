/* options.c - the command line of bridged. */
#include "bridged.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: bridged [options] [URL...]\n       bridged record [...]\n       bridged replay [...] FILE\n";
static const char help[] =
    "Joins MQTT, CoAP and HTTP/WebSocket: what one peer says over one protocol, the others hear over theirs.\n"
    "\n"
    "Each URL is a listener; port 0 picks a free one.  Options of a listener stand in its query.\n"
    "Without URL and -c: mqtt://127.0.0.1:1883 http://127.0.0.1:3000/resources coap://127.0.0.1:5683/r\n"
    "\n"
    "  -c, --config FILE      read listeners, routes and policy from FILE (JSON with comments); again on SIGHUP\n"
    "      --check-config     say whether FILE would load, and stop; opens nothing\n"
    "      --explain PATH     say where a message on PATH would go and why, and stop\n"
    "      --store STORE      what outlives the process: sqlite:FILE, or memory: (nothing, the default)\n"
    "      --dry-run FILE     say what the messages in FILE, as `bridged record` writes them, would come to, and stop\n"
    "      --as USER          with --dry-run: who says what the file does not say of (nobody); with --explain: who may what\n"
    "      --listener URL     with --dry-run and --as: through which listener, as the config has it up to the '?'\n"
    "      --linger MS        with --dry-run: so long after the last message (3600000)\n"
    "      --log-level LEVEL  error, warn, info (the default) or debug\n"
    "      --max-memory MIB   refuse new clients and messages near so many MiB (no limit)\n"
    "      --version          print the version\n"
    "  -h, --help             print this\n"
    "\n"
    "SIGTERM and SIGINT stop it cleanly.  Exit: 0 stopped, 1 could not run, 2 wrong usage or configuration.\n";

static int wrong(const char *what, const char *word)
{
    fprintf(stderr, "bridged: %s%s%s\n%sTry 'bridged --help'.\n", what, word ? " " : "", word ? word : "", usage);
    return EXIT_USAGE;
}

static int level_of(const char *word)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    for (int i = 0; i < 4; i++)
        if (strcmp(word, names[i]) == 0) return BRIDGE_LOG_ERROR + i;
    return 0;
}

static int say_version(void)
{
    unsigned v = bridge_version();

    printf("bridged %u.%u.%u\n", v >> 16, v >> 8 & 0xff, v & 0xff);
    return EXIT_OK;
}

static int finish(options *o)
{
    if (o->check_only && !o->config) return wrong("--check-config needs -c FILE", NULL);
    for (int i = 0; i < o->url_count; i++)
        if (!strstr(o->urls[i], "://")) return wrong("not a URL:", o->urls[i]);
    return -1;
}

int options_read(options *o, int argc, char **argv)
{
    static const struct option words[] = {{"config", required_argument, NULL, 'c'},
                                          {"check-config", no_argument, NULL, 'k'},
                                          {"explain", required_argument, NULL, 'e'},
                                          {"store", required_argument, NULL, 's'},
                                          {"dry-run", required_argument, NULL, 'd'},
                                          {"as", required_argument, NULL, 'a'},
                                          {"listener", required_argument, NULL, 'i'},
                                          {"linger", required_argument, NULL, 'L'},
                                          {"log-level", required_argument, NULL, 'l'},
                                          {"max-memory", required_argument, NULL, 'm'},
                                          {"version", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    char *end;
    int c;

    o->linger = 3600000;

    while ((c = getopt_long(argc, argv, "c:h", words, NULL)) != -1) switch (c) {
            case 'c': o->config = optarg; break;
            case 'k': o->check_only = true; break;
            case 'e': o->explain = optarg; break;
            case 'd': o->dry_run = optarg; break;
            case 'a': o->as = optarg; break;
            case 'i': o->listener = optarg; break;
            case 'L':
                o->linger = strtoll(optarg, &end, 10);
                if (*end || o->linger < 0) return wrong("not a number of ms:", optarg);
                break;
            case 's': o->store = optarg; break;
            case 'v': return say_version();
            case 'h': printf("%s%s", usage, help); return EXIT_OK;
            case 'l':
                o->log_level = level_of(optarg);
                if (!o->log_level) return wrong("no such log level:", optarg);
                break;
            case 'm':
                o->max_memory = strtoull(optarg, &end, 10) << 20;
                if (*end || !o->max_memory || o->max_memory >> 50) return wrong("not a number of MiB:", optarg);
                break;
            default: fprintf(stderr, "%sTry 'bridged --help'.\n", usage); return EXIT_USAGE;
        }
    o->urls = argv + optind;
    o->url_count = argc - optind;
    return finish(o);
}
