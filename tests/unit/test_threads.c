/* What may be called from any thread is called from many; run it under TSan too. */
#include "bridge/bridge.h"
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 4, EACH = 500 };

typedef struct place {
    bridge *b;
    atomic_int heard, answered, called, wrong;
} place;

static void on_heard(void *user, bridge_msg *msg)
{
    (void)msg;
    atomic_fetch_add(&((place *)user)->heard, 1);
}

static void on_answer(void *user, int status, bridge_msg *reply)
{
    place *p = user;

    (void)reply;
    if (status < 0) atomic_fetch_add(&p->wrong, 1);
    atomic_fetch_add(&p->answered, 1);
}

static void on_called(void *user)
{
    atomic_fetch_add(&((place *)user)->called, 1);
}

static void on_call(void *user, bridge_call *call)
{
    (void)user;
    bridge_call_reply(call, BRIDGE_OK, bridge_call_msg(call));
}

static void again_while_busy(int rc)
{
    if (rc == BRIDGE_BUSY) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void *work(void *user)
{
    place *p = user;
    bridge_slot *slot = NULL;

    CHECK_INT(bridge_subscribe(p->b, "other/#", on_heard, p, &slot, NULL), 0);
    for (int i = 0; i < EACH; i++) {
        bridge_msg *m = NULL;
        int rc;

        bridge_msg_new(&m, BRIDGE_FIELDS(.path = "a/b", .data = "x", .len = 1));
        while ((rc = bridge_publish(p->b, m)) == BRIDGE_BUSY) again_while_busy(rc);
        while ((rc = bridge_request(p->b, BRIDGE_PUT, m, 10000, on_answer, p, NULL)) == BRIDGE_BUSY) again_while_busy(rc);
        while ((rc = bridge_call_in(p->b, on_called, p)) == BRIDGE_BUSY) again_while_busy(rc);
        bridge_msg_unref(m);
    }
    bridge_slot_close(slot);
    return NULL;
}

static void one_bridge_many_threads(void)
{
    place p = {0};
    pthread_t t[THREADS];
    struct timespec pause = {.tv_nsec = 1000000};

    CHECK_INT(bridge_new(&p.b, BRIDGE_OPTIONS(.log_level = BRIDGE_LOG_ERROR), NULL), 0);
    CHECK_INT(bridge_subscribe(p.b, "a/+", on_heard, &p, NULL, NULL), 0);
    CHECK_INT(bridge_handle(p.b, "c/#", on_call, NULL, NULL, NULL), 0);
    CHECK_INT(bridge_start(p.b), 0);
    for (int i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, work, &p);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < 20000 && (p.answered < THREADS * EACH || p.called < THREADS * EACH); i++) nanosleep(&pause, NULL);
    CHECK_INT(p.answered, THREADS * EACH);
    CHECK_INT(p.called, THREADS * EACH);
    CHECK_INT(p.heard, 2 * THREADS * EACH); /* each publish, and each PUT */
    CHECK_INT(p.wrong, 0);
    bridge_stop(p.b);
    bridge_free(p.b);
}

/* Whatever is built in listens, on a port of its own. */
static void listen_on_all(bridge *b)
{
    static const char *const urls[] = {"mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r"};

    for (int i = 0; i < 3; i++) {
        bridge_error err = {0};
        int rc = bridge_listen(b, urls[i], NULL, &err);

        CHECK(rc == 0 || rc == BRIDGE_UNSUPPORTED);
    }
}

static void *life(void *user)
{
    (void)user;
    for (int i = 0; i < 25; i++) {
        place p = {0};
        bridge_msg *m = NULL;

        CHECK_INT(bridge_new(&p.b, BRIDGE_OPTIONS(.log_level = BRIDGE_LOG_ERROR), NULL), 0);
        bridge_subscribe(p.b, "#", on_heard, &p, NULL, NULL);
        listen_on_all(p.b);
        bridge_start(p.b);
        bridge_msg_new(&m, BRIDGE_FIELDS(.path = "a", .data = "x", .len = 1));
        bridge_publish(p.b, m);
        bridge_request(p.b, BRIDGE_GET, m, 1000, on_answer, &p, NULL);
        bridge_msg_unref(m);
        bridge_free(p.b);
        CHECK_INT(p.answered, 1); /* or canceled: once in any case */
    }
    return NULL;
}

static void bridges_come_and_go_in_several_threads(void)
{
    pthread_t t[THREADS];

    for (int i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, life, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
}

/* A message may outlive every bridge. */
static void a_message_stays(void)
{
    bridge_msg *m = NULL;
    bridge_fields f = {.size = sizeof f};
    bridge *b = NULL;

    CHECK_INT(bridge_new(&b, NULL, NULL), 0);
    bridge_msg_new(&m, BRIDGE_FIELDS(.path = "a", .data = "x", .len = 1, .retain = true));
    bridge_publish(b, m);
    bridge_free(b);
    CHECK_STR(bridge_msg_look(m, &f)->path, "a");
    bridge_msg_unref(m);
}

int main(void)
{
    one_bridge_many_threads();
    bridges_come_and_go_in_several_threads();
    a_message_stays();
    return check_done();
}
