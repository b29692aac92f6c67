/* The cursor over what was recorded: pages, order, ranges, and a reader in a thread of its own. */
#include "bridge/bridge.h"
#include "base/clock.h"
#include "check.h"
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 60000, T0 = 1700000000 /* s */ };
static char dir[] = "/tmp/test_history.XXXXXX", where[200];

static void quiet(void *user, int level, const char *area, const char *line)
{
    (void)user, (void)level, (void)area, (void)line;
}

static bridge *open_bridge(const char *store)
{
    bridge *b = NULL;

    CHECK_INT(bridge_new(&b, BRIDGE_OPTIONS(.store = store, .log = quiet, .max_message = 4 * 1024 * 1024, .sys_interval = -1), NULL), 0);
    return b;
}

static void remove_files(void)
{
    DIR *d = opendir(dir);
    char name[600];

    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(name, sizeof name, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.') unlink(name);
    }
    if (d) closedir(d);
}

static void say(bridge *b, const char *path, int64_t at, bridge_format format, const char *data, size_t len)
{
    bridge_msg *m = NULL;

    CHECK_INT(bridge_msg_new(&m, BRIDGE_FIELDS(.path = path, .data = data, .len = len, .time = at, .format = format, .origin = "modbus:plc")), 0);
    CHECK_INT(bridge_publish(b, m), 0);
    bridge_msg_unref(m);
}

static void on_done(void *user, int status, bridge_msg *reply)
{
    (void)reply;
    atomic_store((atomic_int *)user, status == BRIDGE_CREATED || status == BRIDGE_OK ? 1 : -1);
}

/* What was said before is on disk: a PUT behind it is acknowledged.  turns: of a loop that this thread drives. */
static void settle(bridge *b, bool turns)
{
    struct timespec t = {.tv_nsec = 200000};
    atomic_int done = 0;
    bridge_msg *m = NULL;

    bridge_msg_new(&m, BRIDGE_FIELDS(.path = "settled", .data = "1", .len = 1));
    CHECK_INT(bridge_request(b, BRIDGE_PUT, m, 0, on_done, &done, NULL), 0);
    bridge_msg_unref(m);
    for (int64_t end = clock_monotonic() + PATIENCE; !atomic_load(&done) && clock_monotonic() < end;) {
        if (turns) bridge_process(b);
        nanosleep(&t, NULL);
    }
    CHECK_INT(atomic_load(&done), 1);
}

static bridge_history_cursor *cursor(bridge *b, const char *filter, const bridge_history_range *range)
{
    bridge_history_cursor *c = NULL;
    bridge_error err = {0};
    int rc = bridge_history_open(b, filter, range, &c, &err);

    if (rc < 0) fprintf(stderr, "%s: %s\n", filter, err.text);
    CHECK_INT(rc, 0);
    return c;
}

/* How many records of one path, each .number one more (or less) than the one before, beginning with first. */
static int count(bridge *b, const char *filter, const bridge_history_range *range, double first)
{
    bridge_history_cursor *c = cursor(b, filter, range);
    bridge_history_record r = {.size = sizeof r};
    double step = range && range->newest_first ? -1 : 1;
    int n = 0, rc;

    while ((rc = bridge_history_next(c, &r)) == 1) {
        if (!r.is_number || r.number != first + step * n) break;
        n++;
    }
    CHECK_INT(rc, 0);
    CHECK_INT(bridge_history_next(c, &r), 0); /* and it stays so */
    bridge_history_close(c);
    return n;
}

static void test_pages(bridge *b)
{
    enum { MANY = 2500 };
    char word[20];

    for (int i = 0; i < MANY; i++) {
        int len = snprintf(word, sizeof word, "%d", i);
        say(b, "h/many", (int64_t)T0 * 1000 + i / 3, BRIDGE_TEXT, word, (size_t)len); /* three at a time: the third page begins within one */
    }
    settle(b, true);
    CHECK_INT(count(b, "h/many", NULL, 0), MANY);
    CHECK_INT(count(b, "nobody/#", NULL, 0), 0);
    CHECK_INT(count(b, "+/many", NULL, 0), MANY);
    CHECK_INT(count(b, "h/many", BRIDGE_HISTORY_RANGE(.newest_first = true), MANY - 1), MANY);
    CHECK_INT(count(b, "h/many", BRIDGE_HISTORY_RANGE(.since = (int64_t)T0 * 1000 + 10, .until = (int64_t)T0 * 1000 + 11), 30), 6);
    CHECK_INT(count(b, "h/many", BRIDGE_HISTORY_RANGE(.since = (int64_t)T0 * 1000 + 11, .until = (int64_t)T0 * 1000 + 10), 0), 0);
    CHECK_INT(count(b, "h/many", BRIDGE_HISTORY_RANGE(.until = (int64_t)T0 * 1000 + 11, .newest_first = true), 35), 36);
}

/* More records at one time than a page has. */
static void test_a_pack(bridge *b)
{
    enum { RECORDS = 2300 };
    static char pack[RECORDS * 40];
    size_t len = 0;

    for (int i = 0; i < RECORDS; i++)
        len += (size_t)snprintf(pack + len, sizeof pack - len, "%s{\"n\":\"r%d\",\"t\":%d,\"v\":%d}", i ? "," : "[", i, T0, i);
    pack[len++] = ']';
    say(b, "h/pack", (int64_t)T0 * 1000, BRIDGE_SENML_JSON, pack, len);
    settle(b, true);
    CHECK_INT(count(b, "h/pack", NULL, 0), RECORDS);
    CHECK_INT(count(b, "h/pack", BRIDGE_HISTORY_RANGE(.newest_first = true), RECORDS - 1), RECORDS);

    bridge_history_cursor *c = cursor(b, "h/pack", NULL);
    bridge_history_record r = {.size = sizeof r};
    CHECK_INT(bridge_history_next(c, &r), 1);
    CHECK_STR(r.path, "h/pack");
    CHECK_STR(r.name, "r0");
    CHECK_STR(r.origin, "modbus:plc");
    CHECK_STR((const char *)r.data, "0");
    CHECK(r.time == (int64_t)T0 * 1000 && r.len == 1 && r.format == BRIDGE_TEXT);
    bridge_history_close(c); /* in the middle */
}

/* Values larger than a page; a record as an older program knows it. */
static void test_large_values(bridge *b)
{
    enum { LEN = 3000 * 1000 };
    char *large = malloc(LEN);
    bridge_history_record r = {.size = offsetof(bridge_history_record, number), .number = 7};
    bridge_history_cursor *c;

    memset(large, 'x', LEN);
    for (int i = 0; i < 3; i++) {
        large[0] = (char)('a' + i);
        say(b, "h/large", (int64_t)T0 * 1000 + i, BRIDGE_BYTES, large, LEN);
        say(b, "h/large", (int64_t)T0 * 1000 + i, BRIDGE_BYTES, "", 0);
    }
    settle(b, true);
    c = cursor(b, "h/large", NULL);
    for (int i = 0; i < 3; i++) {
        large[0] = (char)('a' + i);
        CHECK_INT(bridge_history_next(c, &r), 1);
        CHECK(r.len == LEN && memcmp(r.data, large, LEN) == 0 && r.name == NULL && !r.is_number && r.number == 7);
        CHECK_INT(bridge_history_next(c, &r), 1);
        CHECK(r.len == 0 && r.format == BRIDGE_BYTES);
    }
    CHECK_INT(bridge_history_next(c, &r), 0);
    bridge_history_close(c);
    free(large);
}

/* More paths than are looked up at once; and one that is new while it is read. */
static void test_many_paths(bridge *b)
{
    enum { PATHS = 2200 };
    static bool seen[PATHS];
    bridge_history_record r = {.size = sizeof r};
    bridge_history_cursor *c;
    char path[40];
    int n = 0, rc;

    for (int i = 0; i < PATHS; i++) {
        snprintf(path, sizeof path, "p/%d/v", i);
        say(b, path, 0, BRIDGE_TEXT, "1", 1);
    }
    settle(b, true);
    c = cursor(b, "p/+/v", NULL);
    while ((rc = bridge_history_next(c, &r)) == 1) {
        int i = atoi(r.path + 2);
        CHECK(i >= 0 && i < PATHS && !seen[i]);
        if (i >= 0 && i < PATHS) seen[i] = true;
        n++;
    }
    CHECK_INT(rc, 0);
    CHECK_INT(n, PATHS);
    bridge_history_close(c);
}

static void test_what_is_refused(bridge *b)
{
    bridge_history_cursor *c = NULL;
    bridge *none = open_bridge(NULL);

    CHECK_INT(bridge_history_open(b, "never", NULL, &c, NULL), BRIDGE_NOTFOUND);
    CHECK_INT(bridge_history_open(b, "a/#/b", NULL, &c, NULL), BRIDGE_INVALID);
    CHECK_INT(bridge_history_open(b, NULL, NULL, &c, NULL), BRIDGE_INVALID);
    CHECK_INT(bridge_history_open(none, "h/many", NULL, &c, NULL), BRIDGE_UNSUPPORTED);
    CHECK(c == NULL);
    bridge_history_close(NULL);
    bridge_free(none);
}

/* The loop in its thread writes what this one says, and this one reads meanwhile (what TSan is for). */
static void test_in_a_thread(bridge *b)
{
    enum { ROUNDS = 10, EACH_ROUND = 50 };
    char word[20];

    CHECK_INT(bridge_start(b), 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < EACH_ROUND; i++) {
            int len = snprintf(word, sizeof word, "%d", round * EACH_ROUND + i);
            say(b, "h/thread", (int64_t)T0 * 1000 + round * EACH_ROUND + i, BRIDGE_TEXT, word, (size_t)len);
        }
        settle(b, false);
        say(b, "other", 0, BRIDGE_TEXT, "1", 1);
        CHECK_INT(count(b, "h/thread", NULL, 0), (round + 1) * EACH_ROUND);
    }
    bridge_stop(b);
}

int main(void)
{
    bridge *b;

    if (!mkdtemp(dir)) return 1;
    snprintf(where, sizeof where, "sqlite:%s/s.db", dir);
    b = open_bridge(where);
    CHECK_INT(bridge_record_history(b, "#", BRIDGE_HISTORY(), NULL), 0);
    test_pages(b);
    test_a_pack(b);
    test_large_values(b);
    test_many_paths(b);
    test_what_is_refused(b);
    test_in_a_thread(b);
    bridge_free(b);
    remove_files();
    rmdir(dir);
    return check_done();
}
