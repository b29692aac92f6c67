/* main.c - bridged, the bridge as a program of its own.
 *
 * It uses bridge.h and nothing else: a listener for each URL, the config file, then bridge_run() on this thread.  A second
 * thread waits for signals, because SIGHUP has to do more than a signal handler may. */
#include "bridged.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

typedef struct daemon_state {
    bridge *b;
    const options *o;
    hints hints;
    sigset_t signals;
} daemon_state;

static const char *const defaults[] = {"mqtt://127.0.0.1:1883", "http://127.0.0.1:3000/resources",
                                       "coap://127.0.0.1:5683/r"};

/* What is wrong with what was asked for is 2; what the system refused is 1. */
static int exit_code(int status)
{
    switch (status) {
    case BRIDGE_INVALID:
    case BRIDGE_SYNTAX:
    case BRIDGE_UNSUPPORTED:
    case BRIDGE_DENIED: return EXIT_USAGE;
    default: return EXIT_RUNTIME;
    }
}

static int complain(const char *where, int status, const bridge_error *err)
{
    const char *text = err->text[0] ? err->text : bridge_status_text(status);

    if (err->line > 0) fprintf(stderr, "bridged: %s:%d: %s\n", where, err->line, text);
    else fprintf(stderr, "bridged: %s: %s\n", where, text);
    return exit_code(status);
}

/* The whole file with a NUL behind it, or NULL and errno. */
static char *read_file(const char *name)
{
    FILE *f = fopen(name, "rb");
    char *text = NULL, *more;
    size_t len = 0, room = 0;

    if (!f) return NULL;
    do {
        if (room - len < 4096) {
            more = realloc(text, room += room + 8192);
            if (!more) break;
            text = more;
        }
        len += fread(text + len, 1, room - len - 1, f);
    } while (!feof(f) && !ferror(f));
    if (text && !ferror(f) && memchr(text, 0, len)) errno = EILSEQ; /* a NUL: no text */
    if (!text || ferror(f) || memchr(text, 0, len)) {
        int why = errno;
        free(text);
        errno = why;
        text = NULL;
    } else {
        text[len] = 0;
    }
    fclose(f);
    return text;
}

/* Returns -1 when all is well, else the exit code. */
static int with_config(const char *name, bridge *b)
{
    bridge_error err = {0};
    char *text = read_file(name);
    int rc;

    if (!text) {
        fprintf(stderr, "bridged: cannot read %s: %s\n", name, errno == EILSEQ ? "it is no text" : strerror(errno));
        return EXIT_USAGE;
    }
    rc = b ? bridge_load(b, text, &err) : bridge_check(text, &err);
    free(text);
    return rc < 0 ? complain(name, rc, &err) : -1;
}

static void say_listener(void *user, const char *url)
{
    daemon_state *d = user;

    printf("listening on %s\n", url);
    hints_note(&d->hints, url);
}

static int open_listeners(daemon_state *d)
{
    const options *o = d->o;
    bool own = o->url_count > 0;
    int count = own ? o->url_count : o->config ? 0 : (int)(sizeof defaults / sizeof *defaults);

    for (int i = 0; i < count; i++) {
        const char *url = own ? o->urls[i] : defaults[i];
        bridge_error err = {0};
        int rc = bridge_listen(d->b, url, NULL, &err);

        if (rc < 0) return complain(url, rc, &err);
    }
    return -1;
}

static void reload(void *user)
{
    daemon_state *d = user;

    if (!d->o->config) fputs("bridged: SIGHUP: nothing to read again without -c\n", stderr);
    else if (with_config(d->o->config, d->b) < 0) fprintf(stderr, "bridged: read %s again\n", d->o->config);
    else fputs("bridged: everything stays as it was\n", stderr);
}

static void *wait_for_signals(void *user)
{
    daemon_state *d = user;
    int sig = 0;

    while (sigwait(&d->signals, &sig) == 0 && sig == SIGHUP) bridge_call_in(d->b, reload, d);
    bridge_stop(d->b);
    return NULL;
}

typedef struct asking { /* of --explain, about each listener */
    bridge *b;
    const options *o;
} asking;

/* What --as USER may do there who comes in through this listener. */
static void explain_rules(void *user, const char *url)
{
    static const struct {
        bridge_verb verb;
        const char *word;
    } what[] = {{BRIDGE_GET, "read"}, {BRIDGE_WATCH, "watch"}, {BRIDGE_PUT, "write"}, {BRIDGE_DELETE, "remove"}};
    const asking *a = user;
    bool may[4];

    if (a->o->listener && strncmp(a->o->listener, url, strlen(url)) != 0) return;
    printf("through %s %s", url, a->o->as ? a->o->as : "nobody (--as USER)");
    for (int i = 0; i < 4; i++)
        may[i] = bridge_may(a->b, &(bridge_ask){.size = sizeof(bridge_ask), .verb = what[i].verb, .user = a->o->as, .path = a->o->explain, .listener = url}) == 0;
    for (int want = 1; want >= 0; want--) {
        const char *before = want ? " may " : may[0] || may[1] || may[2] || may[3] ? ", may not " : " may not ";
        for (int i = 0; i < 4; i++)
            if (may[i] == want) {
                printf("%s%s", before, what[i].word);
                before = ", ";
            }
    }
    puts("");
}

static int explain(bridge *b, const options *o)
{
    const char *path = o->explain;
    asking about = {b, o};
    char text[16384];
    int n = bridge_explain(b, path, text, sizeof text);

    if (n < 0) {
        fprintf(stderr, "bridged: %s: %s\n", path, bridge_status_text(n));
        return exit_code(n);
    }
    fputs(text, stdout);
    bridge_listeners(b, explain_rules, &about);
    return EXIT_OK;
}

static int serve(daemon_state *d)
{
    pthread_t waiter;
    int rc;

    bridge_listeners(d->b, say_listener, d);
    hints_print(&d->hints);
    fflush(stdout);
    if (pthread_create(&waiter, NULL, wait_for_signals, d) != 0) return EXIT_RUNTIME;
    rc = bridge_run(d->b);
    pthread_kill(waiter, SIGTERM); /* it may still wait when the bridge ended by itself; gone already is fine too */
    pthread_join(waiter, NULL);
    if (rc < 0 && rc != BRIDGE_CLOSED) {
        fprintf(stderr, "bridged: %s\n", bridge_status_text(rc));
        return EXIT_RUNTIME;
    }
    return EXIT_OK;
}

/* Blocked before any thread is made, so that every thread inherits it and only sigwait() sees them. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* `ulimit -f`: an error of write(), which the store knows how to tell, not the end */
}

/* Payloads of some kilobytes come and go: without this glibc gives each page back to the kernel and asks for it again, a fifth of
 * the processor's time at 16 KiB (docs/why/60-speed.md). */
static void keep_some_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_TRIM_THRESHOLD, 8 * 1024 * 1024);
    mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
    mallopt(M_TOP_PAD, 256 * 1024);
#endif
}

int main(int argc, char **argv)
{
    options o = {0};
    daemon_state d = {.o = &o};
    bridge_error err = {0};
    int rc, code;

    if (argc > 1 && strcmp(argv[1], "record") == 0) return record_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "replay") == 0) return replay_main(argc - 1, argv + 1);
    code = options_read(&o, argc, argv);

    if (code >= 0) return code;
    keep_some_memory();
    if (o.check_only) {
        code = with_config(o.config, NULL);
        if (code < 0) printf("%s: good\n", o.config);
        return code < 0 ? EXIT_OK : code;
    }
    if (o.dry_run) return dry_run(&o, with_config);
    block_signals(&d.signals);
    rc = bridge_new(&d.b, BRIDGE_OPTIONS(.log_level = o.log_level, .max_memory = o.max_memory, .offline = o.explain != NULL, .store = o.store), &err);
    if (rc < 0) return complain("cannot start", rc, &err);
    if (o.config) code = with_config(o.config, d.b);
    if (code < 0) code = open_listeners(&d);
    if (code < 0) code = o.explain ? explain(d.b, &o) : serve(&d);
    bridge_free(d.b);
    return code;
}
