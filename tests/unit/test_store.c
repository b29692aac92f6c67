/* The store below a whole bridge, with a disk that fails as it is told: fault_vfs.h. */
#include "base/clock.h"
#include "bridge/bridge.h"
#include "check.h"
#include "fault_vfs.h"
#include "store/store.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static char dir[] = "/tmp/test_store.XXXXXX", where[200];

static void quiet(void *user, int level, const char *area, const char *line)
{
    (void)user, (void)level, (void)area, (void)line;
}

static bridge *open_bridge(const char *store)
{
    bridge *b = NULL;
    bridge_error err = {0};

    CHECK_INT(bridge_new(&b, BRIDGE_OPTIONS(.store = store, .log = quiet, .sys_interval = -1), &err), 0);
    return b;
}

typedef struct outcome {
    int status;
    bool done;
} outcome;

static void on_done(void *user, int status, bridge_msg *reply)
{
    (void)reply;
    *(outcome *)user = (outcome){status, true};
}

static bridge_msg *message(const char *path, const char *data)
{
    bridge_msg *m = NULL;

    CHECK_INT(bridge_msg_new(&m, BRIDGE_FIELDS(.path = path, .data = data, .len = strlen(data))), 0);
    return m;
}

static void turn(bridge *b)
{
    struct timespec t = {.tv_nsec = 200000};

    bridge_process(b);
    nanosleep(&t, NULL);
}

/* PUT, and turns of the loop until it is answered. */
static int put(bridge *b, const char *path, const char *data)
{
    bridge_msg *m = message(path, data);
    outcome o = {0};

    bridge_request(b, BRIDGE_PUT, m, 0, on_done, &o, NULL);
    bridge_msg_unref(m);
    for (int64_t end = clock_monotonic() + 20000; !o.done && clock_monotonic() < end;) turn(b);
    CHECK(o.done);
    return o.status;
}

static void on_value(void *user, int status, bridge_msg *reply)
{
    char *out = user;

    out[0] = 0;
    if (status == 0 && reply) snprintf(out, 64, "%.*s", (int)bridge_msg_look(reply, BRIDGE_FIELDS())->len, (const char *)bridge_msg_look(reply, BRIDGE_FIELDS())->data);
}

static const char *get(bridge *b, const char *path, char out[64])
{
    bridge_msg *m = message(path, "");

    strcpy(out, "?");
    bridge_request(b, BRIDGE_GET, m, 0, on_value, out, NULL);
    bridge_msg_unref(m);
    return out;
}

static void remove_files(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock", ".damaged"};
    char name[300];

    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "%s%s", where + 7, ends[i]);
        unlink(name);
    }
}

static double number_of(bridge *b, const char *name);
struct looking { const char *name; double value; };
static void on_stat(void *user, const char *name, const char *labels, double value)
{
    struct looking *l = user;

    (void)labels;
    if (strcmp(name, l->name) == 0) l->value = value;
}
static double number_of(bridge *b, const char *name)
{
    struct looking l = {name, -1};

    bridge_stats(b, on_stat, &l);
    return l.value;
}

/* A full or broken disk refuses what has to be written, serves the rest, and is as before once it takes again. */
static void test_trouble(atomic_bool *what)
{
    bridge *b = open_bridge(where);
    char out[64];

    CHECK_INT(put(b, "a", "1"), BRIDGE_CREATED);
    atomic_store(what, true);
    CHECK(put(b, "b", "2") < 0);
    CHECK_INT(put(b, "c", "3"), BRIDGE_BUSY); /* at once, now that it is known */
    CHECK_STR(get(b, "a", out), "1");
    CHECK(number_of(b, "bridge_store_failing") == 1);
    CHECK(strlen(get(b, "$SYS/bridge/store/state", out)) > 2);
    bridge_msg *event = message("event", "x");
    CHECK_INT(bridge_publish(b, event), 0); /* needs no disk */
    bridge_msg_unref(event);
    atomic_store(what, false);
    for (int64_t end = clock_monotonic() + 20000; number_of(b, "bridge_store_failing") == 1 && clock_monotonic() < end;) turn(b);
    CHECK_STR(get(b, "$SYS/bridge/store/state", out), "ok");
    CHECK_INT(put(b, "d", "4"), BRIDGE_CREATED);
    bridge_free(b);
    b = open_bridge(where);
    CHECK_STR(get(b, "a", out), "1");
    CHECK_STR(get(b, "d", out), "4");
    CHECK_STR(get(b, "b", out), "2"); /* refused, but it had happened here, and one story it stays */
    CHECK_STR(get(b, "c", out), "");
    bridge_free(b);
    remove_files();
}

/* The power goes at every write in turn; what was acknowledged before is there, in order, whatever was torn. */
static void test_power(long at)
{
    bridge *b = open_bridge(where);
    char out[64], word[16];
    int acknowledged = 0;

    atomic_store(&fault.power, atomic_load(&fault.writes) + at);
    for (int i = 1; i <= 20; i++) {
        snprintf(word, sizeof word, "%d", i);
        if (put(b, "count", word) < 0) break;
        if (atomic_load(&fault.writes) < atomic_load(&fault.power)) acknowledged = i; /* later ones were said to a disk without power */
    }
    bridge_free(b);
    atomic_store(&fault.power, 0);
    b = open_bridge(where);
    get(b, "count", out);
    if (atoi(out) < acknowledged) fprintf(stderr, "power went at write %ld: %d acknowledged, %s there\n", at, acknowledged, out);
    CHECK(atoi(out) >= acknowledged);
    bridge_free(b);
    remove_files();
}

static void power_fails_at(long at)
{
    atomic_store(&fault.power, at ? atomic_load(&fault.writes) + at : 0);
}

static void check_there(const char *what, long at, const char *word)
{
    bridge *b;
    char out[64];

    power_fails_at(0);
    b = open_bridge(where);
    get(b, "count", out);
    if (strcmp(out, word) != 0) fprintf(stderr, "%s: power went at write %ld: %s there\n", what, at, out);
    CHECK(strcmp(out, word) == 0);
    bridge_free(b);
    remove_files();
}

/* While the WAL is written back into the file, which the end does. */
static void test_power_in_checkpoint(long at)
{
    bridge *b = open_bridge(where);

    CHECK(put(b, "other", "1") >= 0 && put(b, "count", "1") >= 0 && put(b, "count", "2") >= 0);
    power_fails_at(at);
    bridge_free(b);
    check_there("checkpoint", at, "2");
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;

    CHECK(sqlite3_open(where + 7, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
}

/* While an older file is brought up to date: it is the old one or the new one. */
static void test_power_in_migration(long at)
{
    bridge_options *o = BRIDGE_OPTIONS(.store = where, .log = quiet);
    bridge *b = open_bridge(where);

    CHECK(put(b, "count", "7") >= 0);
    bridge_free(b);
    run_sql("DROP TABLE history; PRAGMA user_version=1");
    power_fails_at(at);
    b = NULL;
    bridge_new(&b, o, NULL); /* may fail: the disk is not what it was */
    bridge_free(b);
    check_there("migration", at, "7");
}

/* More than the disk takes: BUSY at once, not memory without end; what was taken is written, and then there is room again. */
static void test_back_pressure(void)
{
    enum { MANY = 20 };
    static outcome outcomes[MANY];
    static char big[20000];
    char small[260], path[20];
    bridge *b;
    int busy = 0, taken = 0;

    snprintf(small, sizeof small, "%s?pending=65536", where);
    memset(big, 'x', sizeof big - 1);
    b = open_bridge(small);
    for (int i = 0; i < MANY; i++) { /* the loop makes no turn meanwhile */
        snprintf(path, sizeof path, "v/%d", i);
        bridge_msg *m = message(path, big);
        bridge_request(b, BRIDGE_PUT, m, 0, on_done, &outcomes[i], NULL);
        busy += outcomes[i].done && outcomes[i].status == BRIDGE_BUSY;
        bridge_msg_unref(m);
    }
    CHECK(busy >= MANY - 5 && busy < MANY);
    for (int64_t end = clock_monotonic() + 20000; busy + taken < MANY && clock_monotonic() < end;) {
        turn(b);
        taken = 0;
        for (int i = 0; i < MANY; i++) taken += outcomes[i].done && outcomes[i].status == BRIDGE_CREATED;
    }
    CHECK_INT(busy + taken, MANY);
    CHECK_INT(put(b, "after", "1"), BRIDGE_CREATED);
    bridge_free(b);
    remove_files();
}

static void test_pack(void)
{
    static const bridge_prop props[] = {{"k", "v"}, {"k", ""}};
    bridge_msg *m = NULL, *back = NULL;
    bridge_fields f = {.size = sizeof f};
    buf b;

    CHECK_INT(bridge_msg_new(&m, BRIDGE_FIELDS(.path = "a//b", .data = "x\0y", .len = 3, .qos = 2, .retain = true, .time = 5, .ttl = 7, .origin = "mqtt:c",
                                               .format = BRIDGE_FORMAT_NAMED, .media_type = "image/png", .response = "r", .correlation = "c\0", .correlation_len = 2,
                                               .props = props, .prop_count = 2)), 0);
    buf_init(&b, mem_default(), 0);
    CHECK_INT(store_pack(&b, m), 0);
    CHECK_INT(store_unpack(mem_default(), b.data, b.len, &back), 0);
    bridge_msg_look(back, &f);
    CHECK_STR(f.path, "a//b");
    CHECK(f.len == 3 && memcmp(f.data, "x\0y", 3) == 0 && f.qos == 2 && f.retain && f.time == 5 && f.ttl == 7);
    CHECK_STR(f.origin, "mqtt:c");
    CHECK_STR(f.media_type, "image/png");
    CHECK(f.correlation_len == 2 && f.prop_count == 2 && strcmp(f.props[1].name, "k") == 0 && *f.props[1].value == 0);
    bridge_msg_unref(back);
    for (size_t n = 0; n < b.len; n++) { /* cut short anywhere, it is none */
        back = NULL;
        CHECK(store_unpack(mem_default(), b.data, n, &back) < 0);
    }
    buf_done(&b);
    bridge_msg_unref(m);
}

/* Asked while it is written: the reader's thread, the writer's and the loop's share the file, not memory (what TSan is for). */
static void test_history_is_read_while_it_is_written(void)
{
    enum { ROUNDS = 20, EACH_ROUND = 25 };
    static outcome puts[EACH_ROUND];
    char out[64], word[16];
    bridge *b = open_bridge(where);

    CHECK_INT(bridge_record_history(b, "h/#", BRIDGE_HISTORY(.records = 1000), NULL), 0);
    for (int round = 1; round <= ROUNDS; round++) {
        for (int i = 0; i < EACH_ROUND; i++) {
            bridge_msg *m = message("h/a", "1");
            puts[i].done = false;
            bridge_request(b, BRIDGE_PUT, m, 0, on_done, &puts[i], NULL);
            bridge_msg_unref(m);
        }
        bridge_msg *question = message("$history/h/a", "aggregate=count&as=csv");
        strcpy(out, "?");
        bridge_request(b, BRIDGE_GET, question, 20000, on_value, out, NULL);
        bridge_msg_unref(question);
        bool all = false;
        for (int64_t end = clock_monotonic() + 20000; (!all || strcmp(out, "?") == 0) && clock_monotonic() < end;) {
            turn(b);
            all = true;
            for (int i = 0; i < EACH_ROUND; i++) all = all && puts[i].done && puts[i].status >= 0;
        }
        snprintf(word, sizeof word, ",%d", round * EACH_ROUND);
        CHECK(all);
        if (!strstr(out, word)) fprintf(stderr, "round %d: %s\n", round, out);
        CHECK(strstr(out, word) != NULL);
    }
    bridge_msg *left = message("$history/h/a", ""); /* a question that nobody waits for any more */
    bridge_request(b, BRIDGE_GET, left, 0, on_value, out, NULL);
    bridge_msg_unref(left);
    bridge_free(b);
    remove_files();
}

int main(void)
{
    if (!mkdtemp(dir)) return 1;
    snprintf(where, sizeof where, "sqlite:%s/s.db", dir);
    test_pack();
    fault_register();
    test_trouble(&fault.full);
    test_trouble(&fault.broken);
    for (long at = 1; at <= 60; at += 3) test_power(at);
    for (long at = 1; at <= 12; at++) test_power_in_checkpoint(at);
    for (long at = 1; at <= 16; at++) test_power_in_migration(at);
    test_back_pressure();
    test_history_is_read_while_it_is_written();
    rmdir(dir);
    return check_done();
}
