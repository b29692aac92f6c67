/* A bridge inside a program, driven in each of the three ways, and what callbacks may do.  Only bridge.h. */
#include "bridge/bridge.h"
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static bridge_msg *message(const char *path, const char *payload)
{
    bridge_msg *m = NULL;

    CHECK_INT(bridge_msg_new(&m, BRIDGE_FIELDS(.path = path, .data = payload, .len = strlen(payload))), 0);
    return m;
}

static void say(bridge *b, const char *path, const char *payload)
{
    bridge_msg *m = message(path, payload);
    int rc = bridge_publish(b, m);

    CHECK_INT(rc, 0);
    bridge_msg_unref(m);
}

static bridge *fresh(void)
{
    bridge_error err = {0};
    bridge *b = NULL;

    CHECK_INT(bridge_new(&b, BRIDGE_OPTIONS(.log_level = BRIDGE_LOG_ERROR), &err), 0);
    CHECK_STR(err.text, "");
    return b;
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* One pass of "somebody else's loop", until *seen is there or ten seconds are over. */
static void drive(bridge *b, atomic_int *seen, int wanted)
{
    int64_t end = now() + 10000;

    while (atomic_load(seen) < wanted && now() < end) {
        struct pollfd p = {.fd = bridge_fd(b), .events = POLLIN};
        int timeout = bridge_timeout(b);

        poll(&p, 1, timeout < 0 || timeout > 100 ? 100 : timeout);
        if (bridge_process(b) < 0) return;
    }
}

static void on_count(void *user, bridge_msg *msg)
{
    (void)msg;
    atomic_fetch_add((atomic_int *)user, 1);
}

static void by_descriptor(void)
{
    bridge *b = fresh();
    atomic_int seen = 0;

    CHECK_INT(bridge_subscribe(b, "home/+/temperature", on_count, &seen, NULL, NULL), 0);
    say(b, "home/kitchen/temperature", "21.5");
    say(b, "home/kitchen/light", "on");
    drive(b, &seen, 1);
    CHECK_INT(seen, 1);
    bridge_free(b);
}

static void on_stop(void *user, bridge_msg *msg)
{
    (void)msg;
    bridge_stop(user);
}

static void by_run(void)
{
    bridge *b = fresh();

    CHECK_INT(bridge_subscribe(b, "stop", on_stop, b, NULL, NULL), 0);
    bridge_call_in(b, (void (*)(void *))bridge_stop, b);
    CHECK_INT(bridge_run(b), 0);
    CHECK_INT(bridge_process(b), BRIDGE_CLOSED);
    bridge_free(b);

    b = fresh();
    CHECK_INT(bridge_subscribe(b, "stop", on_stop, b, NULL, NULL), 0);
    say(b, "stop", "now"); /* heard at once, or in the first turn: run() ends either way */
    CHECK_INT(bridge_run(b), 0);
    bridge_free(b);
}

static void wait_for(atomic_int *seen, int wanted)
{
    int64_t end = now() + 20000;

    while (atomic_load(seen) < wanted && now() < end) nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    CHECK_INT(atomic_load(seen), wanted);
}

static void by_thread(void)
{
    bridge *b = fresh();
    atomic_int seen = 0;

    CHECK_INT(bridge_subscribe(b, "a/#", on_count, &seen, NULL, NULL), 0);
    CHECK_INT(bridge_start(b), 0);
    CHECK_INT(bridge_start(b), BRIDGE_INVALID);
    for (int i = 0; i < 1000; i++) say(b, "a/b", "x");
    wait_for(&seen, 1000);
    bridge_free(b);
}

/* ---- what callbacks may do */

typedef struct scene {
    bridge *b;
    bridge_slot *slot;
    atomic_int seen, after;
} scene;

static void on_close_self(void *user, bridge_msg *msg)
{
    scene *s = user;

    (void)msg;
    s->seen++;
    bridge_slot_close(s->slot);
    s->slot = NULL;
}

static void a_callback_closes_its_own_slot(void)
{
    scene s = {.b = fresh()};

    CHECK_INT(bridge_subscribe(s.b, "a", on_close_self, &s, &s.slot, NULL), 0);
    CHECK_INT(bridge_subscribe(s.b, "#", on_count, &s.after, NULL, NULL), 0);
    say(s.b, "a", "1");
    say(s.b, "a", "2");
    drive(s.b, &s.after, 2);
    CHECK_INT(s.seen, 1);
    bridge_free(s.b);
}

static void on_echo(void *user, bridge_msg *msg)
{
    scene *s = user;
    bridge_fields f = {.size = sizeof f};

    bridge_msg_look(msg, &f);
    if (s->seen++ < 100) say(s->b, f.path[0] == 'a' ? "b" : "a", "again");
}

static void a_callback_publishes(void)
{
    scene s = {.b = fresh()};

    CHECK_INT(bridge_subscribe(s.b, "a", on_echo, &s, NULL, NULL), 0);
    CHECK_INT(bridge_subscribe(s.b, "b", on_echo, &s, NULL, NULL), 0);
    say(s.b, "a", "go");
    drive(s.b, &s.seen, 101);
    CHECK_INT(s.seen, 101);
    bridge_free(s.b);
}

static void on_subscribe_more(void *user, bridge_msg *msg)
{
    scene *s = user;

    (void)msg;
    if (s->seen++ < 20) CHECK_INT(bridge_subscribe(s->b, "more", on_count, &s->after, NULL, NULL), 0);
}

static void a_callback_subscribes_and_the_bridge_goes(void)
{
    scene s = {.b = fresh()};

    CHECK_INT(bridge_subscribe(s.b, "more", on_subscribe_more, &s, NULL, NULL), 0);
    for (int i = 0; i < 5; i++) say(s.b, "more", "x");
    drive(s.b, &s.seen, 5);
    CHECK_INT(s.seen, 5);
    bridge_free(s.b);
}

/* ---- requests and handlers */

typedef struct answer {
    atomic_int count;
    int status;
    char payload[64];
} answer;

static void on_answer(void *user, int status, bridge_msg *reply)
{
    answer *a = user;
    a->status = status;
    if (reply) {
        const bridge_fields *f = bridge_msg_look(reply, BRIDGE_FIELDS());
        snprintf(a->payload, sizeof a->payload, "%.*s", (int)f->len, (const char *)f->data);
    }
    atomic_fetch_add(&a->count, 1);
}

static int ask(bridge *b, bridge_verb verb, const char *path, const char *payload, answer *a)
{
    bridge_msg *m = message(path, payload);
    int rc = bridge_request(b, verb, m, 2000, on_answer, a, NULL);

    bridge_msg_unref(m);
    return rc;
}

static void on_lamp(void *user, bridge_call *call)
{
    bridge_msg *m = message("lamp", bridge_call_capture(call, "room"));

    (void)user;
    CHECK(bridge_call_capture(call, "nothing") == NULL);
    bridge_call_reply(call, BRIDGE_OK, m);
    bridge_call_reply(call, BRIDGE_DENIED, NULL); /* the first one wins */
    bridge_msg_unref(m);
}

static void on_later(void *user, bridge_call *call)
{
    *(bridge_call **)user = bridge_call_ref(call);
}

static void on_silence(void *user, bridge_call *call)
{
    (void)user;
    (void)call; /* neither answered nor kept: TIMEOUT */
}

static void requests(void)
{
    bridge *b = fresh();
    answer a = {0}, later = {0}, silent = {0}, nobody = {0}, kept = {0};
    bridge_call *call = NULL;

    CHECK_INT(bridge_handle(b, "home/{room}/lamp", on_lamp, NULL, NULL, NULL), 0);
    CHECK_INT(bridge_handle(b, "home/{room}/lamp", on_lamp, NULL, NULL, NULL), BRIDGE_EXISTS);
    CHECK_INT(bridge_handle(b, "later", on_later, &call, NULL, NULL), 0);
    CHECK_INT(bridge_handle(b, "silent", on_silence, NULL, NULL, NULL), 0);
    CHECK_INT(ask(b, BRIDGE_GET, "home/kitchen/lamp", "", &a), 0);
    drive(b, &a.count, 1);
    CHECK_INT(a.status, 0);
    CHECK_STR(a.payload, "kitchen");
    CHECK_INT(ask(b, BRIDGE_GET, "silent", "", &silent), 0);
    drive(b, &silent.count, 1);
    CHECK_INT(silent.status, BRIDGE_TIMEOUT);
    CHECK_INT(ask(b, BRIDGE_GET, "nobody", "", &nobody), 0);
    drive(b, &nobody.count, 1);
    CHECK_INT(nobody.status, BRIDGE_NOTFOUND);
    CHECK_INT(ask(b, BRIDGE_PUT, "kept", "1", &kept), 0);
    drive(b, &kept.count, 1);
    CHECK_INT(kept.status, BRIDGE_CREATED);
    CHECK_INT(ask(b, BRIDGE_POST, "later", "", &later), 0);
    CHECK(call != NULL);
    if (call) {
        bridge_call_reply(call, BRIDGE_CONFLICT, NULL);
        bridge_call_unref(call);
    }
    drive(b, &later.count, 1);
    CHECK_INT(later.status, BRIDGE_CONFLICT);
    bridge_free(b);
    CHECK(a.count == 1 && silent.count == 1 && nobody.count == 1 && kept.count == 1 && later.count == 1);
}

static void an_open_request_is_canceled_by_the_end(void)
{
    bridge *b = fresh();
    answer a = {0};
    bridge_call *call = NULL;

    CHECK_INT(bridge_handle(b, "later", on_later, &call, NULL, NULL), 0);
    CHECK_INT(ask(b, BRIDGE_GET, "later", "", &a), 0);
    CHECK(call != NULL);
    bridge_free(b);
    CHECK_INT(a.count, 1);
    CHECK_INT(a.status, BRIDGE_CANCELED);
    if (call) { /* kept beyond the end: an answer goes nowhere, letting go is still needed */
        bridge_call_reply(call, BRIDGE_OK, NULL);
        bridge_call_unref(call);
    }
}

static void a_slot_cancels_its_request(void)
{
    bridge *b = fresh();
    answer a = {0};
    bridge_call *call = NULL;
    bridge_slot *slot = NULL;
    bridge_msg *m = message("later", "");

    CHECK_INT(bridge_handle(b, "later", on_later, &call, NULL, NULL), 0);
    CHECK_INT(bridge_request(b, BRIDGE_GET, m, 2000, on_answer, &a, &slot), 0);
    bridge_msg_unref(m);
    CHECK_INT(a.count, 0);
    bridge_slot_close(slot);
    CHECK_INT(a.count, 1);
    CHECK_INT(a.status, BRIDGE_CANCELED);
    if (call) {
        bridge_call_reply(call, BRIDGE_OK, NULL);
        bridge_call_unref(call);
    }
    bridge_free(b);
    CHECK_INT(a.count, 1);
}

/* ---- many */

static void a_hundred_times(void)
{
    for (int i = 0; i < 100; i++) {
        bridge *b = fresh();
        atomic_int seen = 0;

        bridge_subscribe(b, "#", on_count, &seen, NULL, NULL);
        if (i % 2) bridge_start(b);
        say(b, "a", "x");
        bridge_free(b);
    }
}

static void on_mean(void *user, bridge_msg *msg)
{
    bridge_fields f = *bridge_msg_look(msg, BRIDGE_FIELDS());

    CHECK(f.len == 2 && memcmp(f.data, "15", 2) == 0);
    atomic_fetch_add((atomic_int *)user, 1);
}

/* Whether who hears it came before the route or after it. */
static void what_a_window_holds_is_heard_at_the_end(void)
{
    atomic_int seen = 0;
    bridge *b = fresh();

    CHECK(bridge_subscribe(b, "out/#", on_mean, &seen, NULL, NULL) == 0);
    CHECK(bridge_route_add(b, BRIDGE_ROUTE(.source = "in/{x}", .target = "out/{x}", .transform = "window 1h mean"), NULL, NULL) == 0);
    CHECK(bridge_subscribe(b, "out/1", on_mean, &seen, NULL, NULL) == 0);
    say(b, "in/1", "10");
    say(b, "in/1", "20");
    CHECK(atomic_load(&seen) == 0);
    bridge_free(b);
    CHECK(atomic_load(&seen) == 2);
}

static void ten_share_nothing(void)
{
    bridge *b[10];
    atomic_int seen[10] = {0};

    for (int i = 0; i < 10; i++) {
        b[i] = fresh();
        bridge_subscribe(b[i], "#", on_count, &seen[i], NULL, NULL);
    }
    say(b[3], "a", "x");
    drive(b[3], &seen[3], 1);
    for (int i = 0; i < 10; i++) {
        bridge_process(b[i]);
        CHECK_INT(seen[i], i == 3);
    }
    for (int i = 0; i < 10; i++) bridge_free(b[i]);
}

int main(void)
{
    by_descriptor();
    by_run();
    by_thread();
    a_callback_closes_its_own_slot();
    a_callback_publishes();
    a_callback_subscribes_and_the_bridge_goes();
    requests();
    an_open_request_is_canceled_by_the_end();
    a_slot_cancels_its_request();
    a_hundred_times();
    what_a_window_holds_is_heard_at_the_end();
    ten_share_nothing();
    return check_done();
}
