/* dry_run.c - recorded messages go through a config that listens nowhere, on a clock that is theirs; what comes out is printed.
 *
 *      plc/7/raw {"temp": 70.7}
 *        -> plant/7/temperature 21.5
 *      plant/7/light on
 *        refused: not allowed to nobody                                                                                  */
#include "bridged.h"
#include "line.h"
#include <stdlib.h>
#include <string.h>

typedef struct trial {
    bridge *b;
    int64_t now; /* on its clock: that of the record, 0 at the first message */
    const char *as, *listener; /* the user of those of whom the record does not say it, and through what they come */
    int log_level;
    const char *asked; /* the path that is being published, to tell it from what comes of it */
    bool heard;
} trial;

static int64_t on_clock(void *user)
{
    return 1000 + ((const trial *)user)->now;
}

static void print_payload(const bridge_fields *f)
{
    const unsigned char *p = f->data;
    size_t most = f->len < 60 ? f->len : 60;

    putchar(' ');
    for (size_t i = 0; i < most; i++)
        if (p[i] < 0x20 || p[i] == 0x7f) printf("\\x%02x", p[i]);
        else putchar(p[i]);
    if (f->len == 0) fputs("(nothing)", stdout);
    if (f->len > most) printf("... (%zu bytes)", f->len);
}

static void on_message(void *user, bridge_msg *msg)
{
    trial *t = user;
    const bridge_fields *f = bridge_msg_look(msg, BRIDGE_FIELDS());

    if (strncmp(f->path, "$SYS/", 5) == 0) return;
    t->heard = true;
    if (t->asked && strcmp(t->asked, f->path) == 0) return; /* as it was said */
    printf("  -> %s", f->path);
    print_payload(f);
    puts(f->retain ? " (kept)" : "");
}

/* Time goes on in steps: what is due in between comes out in between. */
static void advance(trial *t, int64_t to)
{
    while (t->now < to) {
        int wait = bridge_timeout(t->b);
        int64_t step = wait > 0 && wait < to - t->now ? wait : to - t->now;
        t->now += step;
        bridge_process(t->b);
    }
    bridge_process(t->b);
}

/* Whom the bridge would ask, and what it would send to an uplink, it says in its log. */
static void on_log(void *user, int level, const char *area, const char *text)
{
    static const char *const names[] = {"", "error", "warn", "info", "debug"};
    trial *t = user;

    if (strcmp(area, "dry-run") != 0) {
        if (level <= t->log_level) fprintf(stderr, "%s %s: %s\n", names[level], area, text);
        return;
    }
    t->heard = true;
    printf("  -> %s\n", text);
}

/* As the rules would have it; the bridge does not ask them of what we say to it ourselves. */
static bool may(const trial *t, const line *l)
{
    const char *user = l->user ? l->user : t->as;
    bool ours = l->origin && (strncmp(l->origin, "uplink:", 7) == 0 || strncmp(l->origin, "app:", 4) == 0); /* an uplink is asked about on the way in */
    bridge_verb verb = !l->retain ? BRIDGE_POST : l->len ? BRIDGE_PUT : BRIDGE_DELETE;
    const char *listener = l->listener ? l->listener : t->listener;
    int rc = ours ? 0 : bridge_may(t->b, &(bridge_ask){.size = sizeof(bridge_ask), .verb = verb, .who = l->origin, .user = user, .path = l->path, .listener = listener});

    if (rc == BRIDGE_NOTFOUND) printf("  refused: the config has no listener %s\n", listener);
    else if (rc < 0) printf("  refused: %s%s\n", rc == BRIDGE_DENIED || rc == BRIDGE_UNAUTHENTICATED ? "not allowed to " : bridge_status_text(rc),
                       rc != BRIDGE_DENIED && rc != BRIDGE_UNAUTHENTICATED ? "" : user ? user : "nobody (--as USER)");
    return rc >= 0;
}

static void publish(trial *t, const line *l)
{
    bridge_msg *msg = NULL;
    const bridge_fields f = {.size = sizeof f, .path = l->path, .data = l->data, .len = l->len, .format = (bridge_format)l->format,
                             .qos = (uint8_t)l->qos, .retain = l->retain, .time = l->time, .origin = l->origin};
    int rc = bridge_msg_new(&msg, &f);

    printf("%s", l->path);
    print_payload(&f);
    puts(l->retain ? " (kept)" : "");
    if (rc == 0 && !may(t, l)) {
        bridge_msg_unref(msg);
        return;
    }
    t->heard = false;
    t->asked = l->path;
    if (rc == 0) rc = bridge_publish(t->b, msg);
    bridge_process(t->b);
    t->asked = NULL;
    bridge_msg_unref(msg);
    if (rc < 0) printf("  refused: %s\n", bridge_status_text(rc));
    else if (!t->heard) puts("  nothing comes of it");
}

static int feed(trial *t, FILE *f, const char *name)
{
    char *room = malloc(LINE_MAX_BYTES);
    int64_t begun = -1;
    const char *why = NULL;
    int got = 0, number = 0;
    line l;

    while (room && (number++, got = line_read(f, room, &l, &why)) > 0) {
        if (l.copied) continue; /* the config says what is */
        if (l.name && l.origin) l.path = l.name;
        if (begun < 0) begun = l.time;
        if (l.time > begun + t->now) advance(t, l.time - begun);
        publish(t, &l);
    }
    free(room);
    if (got < 0) fprintf(stderr, "bridged: %s: message %d: %s\n", name, number, why);
    return got < 0 || !room ? EXIT_USAGE : EXIT_OK;
}

int dry_run(const options *o, int (*load)(const char *name, bridge *b))
{
    trial t = {.as = o->as, .listener = o->listener, .log_level = o->log_level ? o->log_level : BRIDGE_LOG_INFO};
    bridge_error err = {0};
    FILE *f = strcmp(o->dry_run, "-") == 0 ? stdin : fopen(o->dry_run, "r");
    int code = EXIT_RUNTIME;

    if (!f) {
        fprintf(stderr, "bridged: cannot read %s\n", o->dry_run);
        return EXIT_USAGE;
    }
    if (bridge_new(&t.b, BRIDGE_OPTIONS(.clock = on_clock, .log = on_log, .user = &t, .offline = true, .sys_interval = -1, .log_level = o->log_level), &err) == 0)
        code = o->config ? load(o->config, t.b) : -1;
    if (code < 0 && bridge_subscribe(t.b, "#", on_message, &t, NULL, &err) < 0) code = EXIT_RUNTIME;
    if (code < 0) {
        code = feed(&t, f, o->dry_run);
        puts("end: what was held back");
        advance(&t, t.now + o->linger);
    }
    if (err.text[0]) fprintf(stderr, "bridged: %s\n", err.text);
    bridge_free(t.b);
    if (f != stdin) fclose(f);
    return code;
}
