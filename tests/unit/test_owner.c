/* Peers that own paths, as a device or a foreign resource does: asked, told who watches, cached, gone. */
#include "api/bridge.h"
#include "check.h"
#include <stdlib.h>

static int64_t fake_now = 5000;
static int64_t fake_clock(void *user)
{
    (void)user;
    return fake_now;
}

/* ---- a protocol with one device, and with one client that watches and asks */

typedef struct device {
    bridge_peer *peer;
    bridge_owner *owner;
    bridge_call *kept;
    int asked, canceled, wanted;
    bool late;
    int64_t ttl;
    char query[32], filter[64];
} device;

static char heard[64];
static int heard_count;

static void deliver(void *state, bridge_msg *msg, const bridge_delivery *how)
{
    const bridge_fields *m = bridge_msg_look(msg, BRIDGE_FIELDS());

    (void)state, (void)how;
    heard_count++;
    snprintf(heard, sizeof heard, "%s=%.*s", m->path, (int)m->len, (const char *)m->data);
}

static const char *const no_schemes[] = {NULL};
static const bridge_adapter fake = {.size = sizeof fake, .scheme = "http", .schemes = no_schemes, .deliver = deliver};

static void on_call(void *user, bridge_call *call)
{
    device *d = user;
    const bridge_terms *terms = bridge_call_terms(call);
    bridge_msg *reply = NULL;

    d->asked++;
    snprintf(d->query, sizeof d->query, "%s", terms && terms->query ? terms->query : "");
    if (d->late) {
        d->kept = bridge_call_ref(call);
        return;
    }
    bridge_msg_new(&reply, BRIDGE_FIELDS(.path = "x", .data = "7", .len = 1, .ttl = d->ttl));
    bridge_call_reply(call, BRIDGE_OK, bridge_call_verb(call) == BRIDGE_GET ? reply : NULL);
    bridge_msg_unref(reply);
}

static void on_interest(void *user, const char *filter, bool wanted)
{
    device *d = user;

    d->wanted += wanted ? 1 : -1;
    snprintf(d->filter, sizeof d->filter, "%c%s", wanted ? '+' : '-', filter);
}

static void on_cancel(void *user, bridge_call *call)
{
    device *d = user;

    (void)call;
    d->canceled++;
}

static const bridge_owner_fns fns = {.size = sizeof fns, .call = on_call, .interest = on_interest, .cancel = on_cancel};

typedef struct house {
    bridge *b;
    bridge_port *port;
    bridge_peer *client;
    device d;
} house;

static house open_house(void)
{
    house x = {0};

    CHECK_INT(bridge_new(&x.b, BRIDGE_OPTIONS(.clock = fake_clock, .sys_interval = -1), NULL), 0);
    x.port = port_new(x.b->hub, &fake);
    CHECK_INT(bridge_peer_new(&x.client, x.port, "client", NULL, 0, NULL), 0);
    CHECK_INT(bridge_peer_new(&x.d.peer, x.port, "device", NULL, 0, NULL), 0);
    heard_count = 0;
    return x;
}

static int status, done_count;
static char answer[32];
static void on_done(void *user, int outcome, bridge_msg *reply)
{
    (void)user;
    done_count++;
    status = outcome;
    snprintf(answer, sizeof answer, "%.*s", reply ? (int)reply->len : 0, reply ? (const char *)msg_data(reply) : "");
}

static int submit(bridge_peer *from, bridge_verb verb, const char *path, const char *data, const bridge_terms *terms, int64_t ttl,
                  bridge_ticket **ticket)
{
    bridge_msg *msg = NULL, *reply = NULL;
    int rc;

    CHECK_INT(bridge_peer_msg(from, BRIDGE_FIELDS(.path = path, .data = data, .len = strlen(data), .ttl = ttl, .retain = true), &msg), 0);
    rc = bridge_peer_submit(from, verb, msg, terms, &reply, on_done, NULL, ticket);
    bridge_msg_unref(msg);
    if (rc != BRIDGE_PENDING) snprintf(answer, sizeof answer, "%.*s", reply ? (int)reply->len : 0, reply ? (const char *)msg_data(reply) : "");
    bridge_msg_unref(reply);
    return rc;
}

static int get(house *x, const char *path)
{
    return submit(x->client, BRIDGE_GET, path, "", NULL, 0, NULL);
}

static bridge_watch *watch(house *x, const char *filter)
{
    bridge_watch *w = NULL;

    CHECK_INT(bridge_peer_watch(x->client, filter, NULL, NULL, &w), 0);
    return w;
}

static void a_device_is_asked_and_says(void)
{
    house x = open_house();
    bridge_terms terms = {.query = "pmin=10"};

    bridge_peer_own(x.d.peer, "dev/7/{path...}", &fns, &x.d, &x.d.owner);
    CHECK_INT(bridge_peer_own(x.d.peer, "dev/7/#", &fns, &x.d, NULL), BRIDGE_EXISTS);
    CHECK_INT(get(&x, "dev/7/temp"), BRIDGE_OK);
    CHECK_STR(answer, "7");
    CHECK_INT(submit(x.client, BRIDGE_PUT, "dev/7/temp", "8", &terms, 0, NULL), BRIDGE_OK);
    CHECK_STR(x.d.query, "pmin=10");
    CHECK_INT(x.d.asked, 2);
    watch(&x, "#");
    CHECK_INT(submit(x.d.peer, BRIDGE_PUT, "dev/7/temp", "9", NULL, 0, NULL), BRIDGE_CREATED); /* news, not a question */
    CHECK_STR(heard, "dev/7/temp=9");
    CHECK_INT(x.d.asked, 2);
    CHECK_INT(x.d.wanted, 0); /* "#" is within nobody's */
    CHECK_INT(get(&x, "dev/7/temp"), BRIDGE_OK); /* kept without an end: the device knows better */
    CHECK_STR(answer, "7");
    bridge_free(x.b);
}

static void an_answer_is_good_for_as_long_as_it_says(void)
{
    house x = open_house();

    x.d.ttl = 1000;
    bridge_peer_own(x.d.peer, "dev/{path...}", &fns, &x.d, &x.d.owner);
    get(&x, "dev/a");
    CHECK_INT(get(&x, "dev/a"), BRIDGE_OK);
    CHECK_STR(answer, "7");
    CHECK_INT(x.d.asked, 1);
    fake_now += 1001;
    bridge_process(x.b);
    get(&x, "dev/a");
    CHECK_INT(x.d.asked, 2);
    submit(x.client, BRIDGE_POST, "dev/a", "go", NULL, 0, NULL); /* a change ends it */
    get(&x, "dev/a");
    CHECK_INT(x.d.asked, 4);
    bridge_owner_forget(x.d.owner, "dev/a");
    get(&x, "dev/a");
    CHECK_INT(x.d.asked, 5);
    submit(x.d.peer, BRIDGE_PUT, "dev/a", "news", NULL, 500, NULL);
    get(&x, "dev/a");
    CHECK_STR(answer, "news");
    CHECK_INT(x.d.asked, 5);
    bridge_free(x.b);
}

static void one_interest_for_all_who_watch(void)
{
    house x = open_house();
    bridge_watch *before = watch(&x, "dev/a"), *two, *wild;

    watch(&x, "#");
    watch(&x, "other/a");
    CHECK_INT(bridge_route_add(x.b, BRIDGE_ROUTE(.source = "http:mine/{x}", .target = "dev/{x}"), NULL, NULL), 0);
    bridge_peer_own(x.d.peer, "dev/{path...}", &fns, &x.d, &x.d.owner);
    CHECK_STR(x.d.filter, "+dev/a"); /* it was there before */
    CHECK_INT(x.d.asked, 0);
    two = watch(&x, "mine/a"); /* the same, by its other name */
    CHECK_INT(x.d.wanted, 1);
    CHECK(bridge_owner_is_wanted(x.d.owner, "dev/a"));
    bridge_watch_close(before);
    CHECK_INT(x.d.wanted, 1);
    bridge_watch_close(two);
    CHECK_INT(x.d.wanted, 0);
    CHECK_STR(x.d.filter, "-dev/a");
    wild = watch(&x, "dev/+/b/#");
    CHECK_STR(x.d.filter, "+dev/+/b/#");
    bridge_watch_close(wild);
    watch(&x, "dev/+");
    CHECK_INT(x.d.wanted, 1);
    bridge_owner_close(x.d.owner); /* and it comes back, as devices do */
    x.d.wanted = 0;
    bridge_peer_own(x.d.peer, "dev/{path...}", &fns, &x.d, &x.d.owner);
    CHECK_STR(x.d.filter, "+dev/+");
    CHECK_INT(x.d.wanted, 1);
    bridge_free(x.b);
}

static void who_waits_is_told_when_the_owner_leaves(void)
{
    house x = open_house();
    bridge_ticket *ticket = NULL;

    x.d.late = true;
    bridge_peer_own(x.d.peer, "dev/{path...}", &fns, &x.d, &x.d.owner);
    done_count = 0;
    CHECK_INT(submit(x.client, BRIDGE_GET, "dev/a", "", NULL, 0, &ticket), BRIDGE_PENDING);
    CHECK(bridge_call_timeout(x.d.kept) == 5000);
    bridge_ticket_cancel(ticket);
    CHECK_INT(x.d.canceled, 1);
    bridge_call_unref(x.d.kept);
    bridge_process(x.b);
    CHECK_INT(submit(x.client, BRIDGE_GET, "dev/a", "", NULL, 0, NULL), BRIDGE_PENDING);
    bridge_peer_free(x.d.peer);
    CHECK_INT(done_count, 1);
    CHECK_INT(status, BRIDGE_UNREACHABLE);
    bridge_call_reply(x.d.kept, BRIDGE_OK, NULL); /* too late, and harmless */
    bridge_call_unref(x.d.kept);
    CHECK_INT(get(&x, "dev/a"), BRIDGE_NOTFOUND);
    bridge_free(x.b);
}

static void a_copy_route_writes_to_a_device(void)
{
    house x = open_house();

    bridge_peer_own(x.d.peer, "dev/{path...}", &fns, &x.d, &x.d.owner);
    CHECK_INT(bridge_route_add(x.b, BRIDGE_ROUTE(.source = "in/{x}", .target = "dev/{x}"), NULL, NULL), 0);
    submit(x.client, BRIDGE_PUT, "in/a", "1", NULL, 0, NULL);
    CHECK_INT(x.d.asked, 1);
    bridge_free(x.b);
}

int main(void)
{
    a_device_is_asked_and_says();
    an_answer_is_good_for_as_long_as_it_says();
    one_interest_for_all_who_watch();
    who_waits_is_told_when_the_owner_leaves();
    a_copy_route_writes_to_a_device();
    return check_done();
}
