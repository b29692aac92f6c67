/* The crossing without any protocol: publish, watch, ask, own, rename, copy, expire; and every allocation failing in turn. */
#include "bridge/bridge.h"
#include "check.h"
#include <stdlib.h>

static int64_t fake_now = 5000;
static int64_t fake_clock(void *user)
{
    (void)user;
    return fake_now;
}

typedef struct heard {
    int count;
    char path[64], data[64];
    bridge_slot *slot;
    bool close_it;
} heard;

static void on_msg(void *user, bridge_msg *msg)
{
    const bridge_fields *m = bridge_msg_look(msg, BRIDGE_FIELDS());
    heard *h = user;

    h->count++;
    snprintf(h->path, sizeof h->path, "%s", m->path);
    snprintf(h->data, sizeof h->data, "%.*s", (int)m->len, (const char *)m->data);
    if (h->close_it) bridge_slot_close(h->slot);
    h->close_it = false;
}

static int say(bridge *b, const char *path, const char *data, bool keep)
{
    bridge_msg *msg = NULL;
    int rc = bridge_msg_new(&msg, BRIDGE_FIELDS(.path = path, .data = data, .len = strlen(data), .retain = keep, .qos = 1));

    if (rc == 0) rc = bridge_publish(b, msg);
    bridge_msg_unref(msg);
    return rc;
}

static int say_as(bridge *b, const char *origin, const char *path, const char *data)
{
    bridge_msg *msg = NULL;
    int rc = bridge_msg_new(&msg, BRIDGE_FIELDS(.path = path, .data = data, .len = strlen(data), .retain = true, .origin = origin));

    if (rc == 0) rc = bridge_publish(b, msg);
    bridge_msg_unref(msg);
    return rc;
}

typedef struct outcome {
    int count, status;
    char data[64], path[64];
} outcome;

static void on_done(void *user, int status, bridge_msg *reply)
{
    outcome *o = user;

    o->count++;
    o->status = status;
    o->data[0] = 0;
    if (!reply) return;
    const bridge_fields *m = bridge_msg_look(reply, BRIDGE_FIELDS());
    snprintf(o->data, sizeof o->data, "%.*s", (int)m->len, (const char *)m->data);
    snprintf(o->path, sizeof o->path, "%s", m->path);
}

static outcome ask(bridge *b, bridge_verb verb, const char *path, const char *data)
{
    outcome o = {0};
    bridge_msg *msg = NULL;

    bridge_msg_new(&msg, BRIDGE_FIELDS(.path = path, .data = data, .len = strlen(data), .retain = verb == BRIDGE_PUT));
    bridge_request(b, verb, msg, 100, on_done, &o, NULL);
    bridge_msg_unref(msg);
    return o;
}

static bridge *open_one(void)
{
    bridge *b = NULL;
    bridge_error err = {0};

    CHECK_INT(bridge_new(&b, BRIDGE_OPTIONS(.clock = fake_clock), &err), 0);
    return b;
}

static void published_is_heard_and_kept(void)
{
    bridge *b = open_one();
    heard all = {0}, one = {0}, late = {0};
    outcome o;

    bridge_subscribe(b, "#", on_msg, &all, &all.slot, NULL);
    bridge_subscribe(b, "home/+/temp", on_msg, &one, &one.slot, NULL);
    CHECK_INT(say(b, "home/hall/temp", "21.5", true), 0);
    CHECK_INT(all.count, 1);
    CHECK_STR(one.data, "21.5");
    CHECK_INT(say(b, "home/hall/door", "open", false), 0);
    CHECK_INT(one.count, 1);
    CHECK_INT(all.count, 2);
    bridge_subscribe(b, "home/{room}/{what}", on_msg, &late, NULL, NULL);
    CHECK_INT(late.count, 1);
    CHECK_STR(late.path, "home/hall/temp");
    o = ask(b, BRIDGE_GET, "home/hall/temp", "");
    CHECK_STR(o.data, "21.5");
    CHECK_INT(ask(b, BRIDGE_GET, "home/hall/door", "").status, BRIDGE_NOTFOUND);
    CHECK_INT(ask(b, BRIDGE_PUT, "new", "1").status, BRIDGE_CREATED);
    CHECK_INT(ask(b, BRIDGE_PUT, "new", "2").status, BRIDGE_OK);
    CHECK_INT(ask(b, BRIDGE_DELETE, "new", "").status, BRIDGE_OK);
    CHECK_INT(ask(b, BRIDGE_DELETE, "new", "").status, BRIDGE_NOTFOUND);
    CHECK_INT(say(b, "no/+/wildcards", "", false), BRIDGE_INVALID);
    one.close_it = true;
    say(b, "home/x/temp", "1", false);
    say(b, "home/x/temp", "2", false);
    CHECK_INT(one.count, 2);
    CHECK_INT(bridge_subscribe(b, "a/#/b", on_msg, &late, NULL, NULL), BRIDGE_SYNTAX);
    bridge_free(b);
}

static bridge_call *kept_call;
static void on_call(void *user, bridge_call *call)
{
    const char *room = bridge_call_capture(call, "room");
    bridge_msg *msg = NULL;

    (void)user;
    if (bridge_call_verb(call) == BRIDGE_POST) {
        kept_call = bridge_call_ref(call);
        return;
    }
    if (bridge_call_verb(call) == BRIDGE_DELETE) return; /* says nothing */
    bridge_msg_new(&msg, BRIDGE_FIELDS(.path = "x", .data = room, .len = strlen(room)));
    bridge_call_reply(call, BRIDGE_OK, msg);
    bridge_msg_unref(msg);
}

static void an_owner_answers_now_or_later(void)
{
    bridge *b = open_one();
    bridge_slot *slot = NULL;
    bridge_error err;
    outcome o, later = {0};
    bridge_msg *msg = NULL;

    CHECK_INT(bridge_handle(b, "lamps/{room}", on_call, NULL, &slot, &err), 0);
    CHECK_INT(bridge_handle(b, "lamps/+", on_call, NULL, NULL, &err), BRIDGE_EXISTS);
    o = ask(b, BRIDGE_GET, "lamps/hall", "");
    CHECK_STR(o.data, "hall");
    CHECK_STR(o.path, "lamps/hall");
    CHECK_INT(ask(b, BRIDGE_DELETE, "lamps/hall", "").status, BRIDGE_TIMEOUT);

    bridge_msg_new(&msg, BRIDGE_FIELDS(.path = "lamps/hall", .data = "on", .len = 2));
    CHECK_INT(bridge_request(b, BRIDGE_POST, msg, 100, on_done, &later, NULL), 0);
    CHECK_INT(later.count, 0);
    bridge_call_reply(kept_call, BRIDGE_OK, NULL);
    bridge_call_unref(kept_call);
    bridge_process(b);
    CHECK_INT(later.count, 1);
    CHECK_INT(later.status, BRIDGE_OK);

    CHECK_INT(bridge_request(b, BRIDGE_POST, msg, 100, on_done, &later, NULL), 0);
    fake_now += 101;
    bridge_process(b);
    CHECK_INT(later.count, 2);
    CHECK_INT(later.status, BRIDGE_TIMEOUT);
    bridge_call_reply(kept_call, BRIDGE_OK, NULL); /* too late, and harmless */
    bridge_call_unref(kept_call);

    CHECK_INT(bridge_request(b, BRIDGE_POST, msg, 100, on_done, &later, NULL), 0);
    bridge_slot_close(slot);
    CHECK_INT(ask(b, BRIDGE_GET, "lamps/hall", "").status, BRIDGE_NOTFOUND);
    bridge_free(b);
    CHECK_INT(later.count, 3);
    CHECK_INT(later.status, BRIDGE_CANCELED);
    bridge_call_reply(kept_call, BRIDGE_OK, NULL); /* after the end */
    bridge_call_unref(kept_call);
    bridge_msg_unref(msg);
}

static void routes_rename_and_copy(void)
{
    bridge *b = open_one();
    bridge_error err;
    bridge_slot *slot = NULL;
    heard home = {0}, copy = {0};
    char text[2000];

    CHECK_INT(bridge_route_add(b, BRIDGE_ROUTE(.source = "x-plc:r/{room}/temp", .target = "home/{room}/temperature"), &slot, &err), 0);
    CHECK_INT(bridge_route_add(b, BRIDGE_ROUTE(.source = "x-plc:r/{any}/temp", .target = "elsewhere/{any}"), NULL, &err), BRIDGE_EXISTS);
    CHECK_INT(bridge_route_add(b, BRIDGE_ROUTE(.source = "oacp:a", .target = "b"), NULL, &err), BRIDGE_INVALID);
    CHECK_INT(bridge_route_add(b, BRIDGE_ROUTE(.source = "a/{x}", .target = "b/{y}"), NULL, &err), BRIDGE_INVALID);
    CHECK_INT(bridge_route_add(b, BRIDGE_ROUTE(.source = "a/{x}", .target = "a/{x}"), NULL, &err), BRIDGE_INVALID);
    CHECK_INT(bridge_route_add(b, BRIDGE_ROUTE(.source = "a/{x}", .target = "b", .ways = BRIDGE_BOTH_WAYS), NULL, &err), BRIDGE_INVALID);
    bridge_subscribe(b, "home/+/temperature", on_msg, &home, NULL, NULL);
    CHECK_INT(say_as(b, "x-plc:1", "r/hall/temp", "20"), 0);
    CHECK_STR(home.path, "home/hall/temperature");
    CHECK_INT(say(b, "r/attic/temp", "21", true), 0); /* an application speaks for every scheme */
    CHECK_STR(home.path, "home/attic/temperature");
    CHECK_STR(ask(b, BRIDGE_GET, "r/attic/temp", "").data, "21");
    CHECK_STR(ask(b, BRIDGE_GET, "r/attic/temp", "").path, "r/attic/temp");

    CHECK_INT(bridge_route_add(b, BRIDGE_ROUTE(.source = "home/{room}/temperature", .target = "archive/{room}", .ways = BRIDGE_BOTH_WAYS), NULL, &err), 0);
    bridge_subscribe(b, "archive/#", on_msg, &copy, NULL, NULL);
    say(b, "home/hall/temperature", "22", false);
    CHECK_INT(copy.count, 1);
    CHECK_STR(copy.path, "archive/hall");
    home.count = 0;
    say(b, "archive/hall", "23", false);
    CHECK_INT(home.count, 1);
    CHECK_INT(copy.count, 2);
    CHECK(bridge_explain(b, "home/hall/temperature", text, sizeof text) > 0);
    CHECK(strstr(text, "copied to archive/hall") != NULL);
    CHECK(strstr(text, "x-plc calls it r/hall/temp") != NULL);
    bridge_slot_close(slot);
    home.count = 0;
    say_as(b, "x-plc:1", "r/hall/temp", "20");
    CHECK_INT(home.count, 0);
    bridge_free(b);
}

/* What a window holds is nobody's to lose: it goes on when its route goes, and when the bridge ends in order. */
static void a_window_is_said_when_its_route_goes(void)
{
    bridge *b = open_one();
    bridge_slot *slot = NULL;
    heard out = {0};

    bridge_subscribe(b, "mean/#", on_msg, &out, NULL, NULL);
    CHECK_INT(bridge_route_add(b, BRIDGE_ROUTE(.source = "in/{x}", .target = "mean/{x}", .transform = "window 60s mean"), &slot, NULL), 0);
    say(b, "in/a", "1", false);
    say(b, "in/a", "3", false);
    say(b, "in/b", "5", false);
    CHECK_INT(out.count, 0);
    bridge_slot_close(slot);
    CHECK_INT(out.count, 2); /* one a path, each once */
    say(b, "in/a", "9", false);
    fake_now += 3600 * 1000;
    bridge_process(b);
    CHECK_INT(out.count, 2);

    bridge_free(b);

    b = open_one(); /* what was registered first goes first */
    CHECK_INT(bridge_route_add(b, BRIDGE_ROUTE(.source = "in/{x}", .target = "mean/{x}", .transform = "window 60s mean"), NULL, NULL), 0);
    bridge_subscribe(b, "mean/#", on_msg, &out, NULL, NULL);
    say(b, "in/a", "7", false);
    CHECK_INT(out.count, 2);
    bridge_free(b);
    CHECK_INT(out.count, 3);
    CHECK_STR(out.path, "mean/a");
    CHECK_STR(out.data, "7");
}

typedef struct body {
    const void *at[2];
    int count;
} body;

static void on_body(void *user, bridge_msg *msg)
{
    body *h = user;

    h->at[h->count++ % 2] = bridge_msg_look(msg, BRIDGE_FIELDS())->data;
}

/* A large payload has one place in memory, whatever routes call it; what it is said as lives as long as it is kept. */
static void a_large_payload_is_shared_by_its_names(void)
{
    enum { LARGE = 100 * 1000 };
    bridge *b = open_one();
    bridge_msg *msg = NULL;
    body heard_at = {{NULL}, 0};
    char *payload = calloc(1, LARGE);

    CHECK(payload != NULL);
    memset(payload, 'x', LARGE);
    CHECK_INT(bridge_route_add(b, BRIDGE_ROUTE(.source = "big/{x}", .target = "copy/{x}"), NULL, NULL), 0);
    bridge_subscribe(b, "big/#", on_body, &heard_at, NULL, NULL);
    bridge_subscribe(b, "copy/#", on_body, &heard_at, NULL, NULL);
    CHECK_INT(bridge_msg_new(&msg, BRIDGE_FIELDS(.path = "big/a", .data = payload, .len = LARGE, .retain = true)), 0);
    CHECK_INT(bridge_publish(b, msg), 0);
    bridge_msg_unref(msg);
    CHECK_INT(heard_at.count, 2);
    CHECK(heard_at.at[0] == heard_at.at[1]);
    CHECK_INT(say(b, "big/a", "", true), 0); /* the first of both goes ... */
    CHECK_INT(ask(b, BRIDGE_GET, "big/a", "").status, BRIDGE_NOTFOUND);
    CHECK_INT(ask(b, BRIDGE_GET, "copy/a", "").status, BRIDGE_NOTFOUND); /* ... and, as a removal is copied, the second */

    heard_at.count = 0;
    say(b, "big/a", "small", true); /* a small one is cheaper copied */
    CHECK_INT(heard_at.count, 2);
    CHECK(heard_at.at[0] != heard_at.at[1]);
    bridge_free(b);
    free(payload);
}

static void values_expire(void)
{
    bridge *b = open_one();
    bridge_msg *msg = NULL;

    bridge_msg_new(&msg, BRIDGE_FIELDS(.path = "brief", .data = "x", .len = 1, .retain = true, .ttl = 1000));
    CHECK_INT(bridge_publish(b, msg), 0);
    CHECK_INT(ask(b, BRIDGE_GET, "brief", "").status, BRIDGE_OK);
    fake_now += 24 * 3600 * 1000;
    CHECK_INT(ask(b, BRIDGE_GET, "brief", "").status, BRIDGE_NOTFOUND);
    bridge_process(b);
    bridge_msg_unref(msg);
    bridge_free(b);
}

static bridge_verdict on_access(void *user, const bridge_ask *x)
{
    (void)user;
    return strncmp(x->path, "secret", 6) == 0 ? BRIDGE_DENY : BRIDGE_DEFER;
}

static void numbers_are_values_under_sys(void)
{
    bridge *b = open_one();
    heard all = {0}, sys = {0};

    bridge_subscribe(b, "#", on_msg, &all, NULL, NULL);
    bridge_subscribe(b, "$SYS/#", on_msg, &sys, NULL, NULL);
    CHECK_STR(sys.path, "$SYS/broker/version");
    fake_now += 10000;
    bridge_process(b);
    CHECK_STR(ask(b, BRIDGE_GET, "$SYS/bridge/hub/watches", "").data, "2");
    CHECK_STR(ask(b, BRIDGE_GET, "$SYS/broker/uptime", "").data, "10 seconds");
    CHECK_INT(all.count, 0);
    bridge_free(b);
}

/* ---- out of memory is an ordinary error */

static long allowed, held;
static void *scarce(void *user, void *ptr, size_t len)
{
    (void)user;
    if (len == 0) {
        if (ptr) held--;
        free(ptr);
        return NULL;
    }
    if (allowed-- <= 0) return NULL;
    if (!ptr) held++;
    ptr = realloc(ptr, len);
    return ptr;
}

static void everything_at_once(void)
{
    bridge *b = NULL;
    bridge_error err;
    bridge_slot *s = NULL;
    heard h = {0};
    char text[500];

    if (bridge_new(&b, BRIDGE_OPTIONS(.realloc = scarce, .clock = fake_clock), &err) < 0) return;
    bridge_subscribe(b, "a/{x}/#", on_msg, &h, &s, &err);
    bridge_handle(b, "own/{room}", on_call, NULL, NULL, &err);
    bridge_route_add(b, BRIDGE_ROUTE(.source = "x-plc:r/{x}", .target = "a/{x}"), NULL, &err);
    bridge_route_add(b, BRIDGE_ROUTE(.source = "a/{x}", .target = "b/{x}"), NULL, &err);
    bridge_on_access(b, on_access, NULL, NULL);
    say(b, "a/1", "x", true);
    say_as(b, "x-plc:2", "r/1", "y");
    ask(b, BRIDGE_GET, "a/1", "");
    ask(b, BRIDGE_GET, "own/1", "");
    bridge_explain(b, "a/1", text, sizeof text);
    bridge_slot_close(s);
    bridge_process(b);
    bridge_free(b);
}

static void no_allocation_is_taken_for_granted(void)
{
    for (long n = 0; n < 400; n++) {
        allowed = n;
        everything_at_once();
        CHECK_INT(held, 0);
        if (held) return;
    }
}

static void a_hundred_bridges(void)
{
    for (int i = 0; i < 100; i++) {
        bridge *b = open_one(), *c = open_one();
        heard h = {0};
        bridge_subscribe(b, "#", on_msg, &h, NULL, NULL);
        say(c, "x", "1", false);
        CHECK_INT(h.count, 0);
        bridge_start(c);
        say(c, "y", "1", true);
        bridge_free(b);
        bridge_free(c);
    }
}

static int patch(bridge *b, const char *path, bridge_format format, const char *data)
{
    bridge_fields *fields = BRIDGE_FIELDS(.path = path, .data = data, .len = strlen(data));
    bridge_msg *msg = NULL;
    outcome o = {0};

    fields->format = format;
    bridge_msg_new(&msg, fields);
    bridge_request(b, BRIDGE_PATCH, msg, 100, on_done, &o, NULL);
    bridge_msg_unref(msg);
    return o.status;
}

static void a_patch_changes_a_part(void)
{
    bridge *b = open_one();
    heard all = {0};

    bridge_subscribe(b, "#", on_msg, &all, NULL, NULL);
    CHECK_INT(say(b, "a", "{\"x\":1,\"y\":2.50}", true), 0);
    CHECK_INT(patch(b, "a", BRIDGE_MERGE_PATCH, "{\"x\":null,\"z\":3}"), 0);
    CHECK_STR(all.data, "{\"y\":2.50,\"z\":3}");
    CHECK_INT(patch(b, "a", BRIDGE_JSON_PATCH, "[{\"op\":\"remove\",\"path\":\"/z\"}]"), 0);
    CHECK_STR(ask(b, BRIDGE_GET, "a", "").data, "{\"y\":2.50}");
    CHECK_INT(patch(b, "a", BRIDGE_JSON_PATCH, "[{\"op\":\"test\",\"path\":\"/y\",\"value\":1}]"), BRIDGE_CONFLICT);
    CHECK_INT(patch(b, "a", BRIDGE_JSON_PATCH, "[{\"op\":\"remove\",\"path\":\"/z\"}]"), BRIDGE_UNPROCESSABLE);
    CHECK_INT(patch(b, "a", BRIDGE_MERGE_PATCH, "{"), BRIDGE_SYNTAX);
    CHECK_INT(patch(b, "a", BRIDGE_TEXT, "{}"), BRIDGE_FORMAT);
    CHECK_INT(patch(b, "a", BRIDGE_SENML_ETCH_JSON, "[{\"n\":\"y\",\"v\":4}]"), 0);
    CHECK_INT(patch(b, "new", BRIDGE_MERGE_PATCH, "{\"x\":1}"), BRIDGE_CREATED);
    CHECK_STR(ask(b, BRIDGE_GET, "new", "").data, "{\"x\":1}");
    CHECK_INT(all.count, 5);
    bridge_free(b);
}

int main(void)
{
    a_patch_changes_a_part();
    published_is_heard_and_kept();
    an_owner_answers_now_or_later();
    routes_rename_and_copy();
    a_window_is_said_when_its_route_goes();
    a_large_payload_is_shared_by_its_names();
    values_expire();
    numbers_are_values_under_sys();
    no_allocation_is_taken_for_granted();
    a_hundred_bridges();
    return check_done();
}
