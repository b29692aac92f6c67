/* Firmware update (object 5, LwM2M 1.0 E.6, 1.1 E.6) as one question: POST to DEVICE/!update-firmware.
 *
 *      asked --> look (5/0/9, 5/0/3) --> reset, if another was under way --> push: Write 5/0/0, Block1     \
 *                                                                         \-> pull: Write 5/0/1, our URL --> downloading
 *      downloading --State 2--> Update (5/0/2) --> updating --Result 1--> updated
 *           \--Result 2..9-----------------------------\----Result 2..9, time is up, refused--> failed
 *
 * State (5/0/3) and Result (5/0/5) are observed meanwhile; a device that restarts in between registers again, and is observed anew.
 * Each step is told at DEVICE/!firmware. */
#include "adapter/lwm2m/lwm2m.h"
#include "base/clock.h"
#include "base/status.h"
#include "codec/json.h"
#include "codec/node.h"
#include "codec/scratch.h"
#include <stdio.h>

typedef enum step { LOOK, RESET, SEND, DOWNLOADING, TRIGGER, UPDATING, OVER } step;
static const char *const step_names[] = {"looking", "resetting", "sending", "downloading", "triggering", "updating", "over"};

struct lwm2m_flash {
    lwm2m_server *server;
    lwm2m_device *d; /* NULL: it has left in the middle, to restart */
    char *name;
    list link; /* in server->updates, for the URLs */
    bridge_msg *package; /* or NULL: uri */
    char *uri;
    char token[LWM2M_LOCATION + 1]; /* of our own URL */
    step step;
    lwm2m_op *op;
    timer patience;
    bool pull;
    int64_t state, result;
};

/* LwM2M 1.1 E.6, resource 5 */
static const char *const results[] = {
    "initial",         "updated",          "not enough flash memory", "out of memory",  "connection lost while downloading",
    "integrity check failed", "unsupported package type", "invalid URI",     "update failed", "unsupported protocol",
    "canceled",        "deferred",
};
enum { RESULTS = sizeof results / sizeof *results };

static void go(lwm2m_flash *u, step next);

static void tell(lwm2m_flash *u, const char *state, const char *why)
{
    char more[400];
    buf quoted;

    buf_init(&quoted, u->d->server->mem, 300);
    if (why) json_put_string(&quoted, why, strlen(why));
    snprintf(more, sizeof more, ",\"firmware\":\"%s\",\"result\":%lld%s%.*s", state, (long long)u->result, why ? ",\"why\":" : "",
             (int)quoted.len, quoted.data ? (const char *)quoted.data : "");
    buf_done(&quoted);
    lwm2m_event(u->d, "firmware", more);
}

static void pin(lwm2m_flash *u, const char *resource, bool wanted)
{
    char filter[1024];

    snprintf(filter, sizeof filter, "%s/5/0/%s", u->d->name, resource);
    lwm2m_pin(u->d, filter, wanted);
}

static void leave(lwm2m_flash *u)
{
    lwm2m_device *d = u->d;
    lwm2m_op *op = u->op;

    u->d = NULL;
    u->op = NULL;
    if (!d) return;
    d->update = NULL;
    lwm2m_op_cancel(op, false);
    lwm2m_release(d);
}

static void update_free(lwm2m_flash *u)
{
    mem *m = u->server->mem;

    leave(u);
    list_remove(&u->link);
    timer_stop(&u->patience);
    bridge_msg_unref(u->package);
    mem_free(m, u->name);
    mem_free(m, u->uri);
    mem_free(m, u);
}

static void finish(lwm2m_flash *u, const char *failed)
{
    lwm2m_device *d = u->d;

    if (u->step == OVER) return;
    u->step = OVER;
    if (d) lwm2m_hold(d);
    if (d && !d->gone) {
        pin(u, "3", false);
        pin(u, "5", false);
        tell(u, failed ? "failed" : "updated", failed);
    }
    update_free(u);
    if (d) lwm2m_release(d);
}

void lwm2m_flash_end(lwm2m_device *d, const char *why)
{
    if (d->update) finish(d->update, why);
}

/* The device leaves.  One that was told to update will be back; else that was it. */
void lwm2m_flash_leave(lwm2m_device *d)
{
    lwm2m_flash *u = d->update;

    if (!u) return;
    if (u->step == TRIGGER || u->step == UPDATING) {
        u->step = UPDATING;
        leave(u);
    } else {
        finish(u, "the device has left");
    }
}

/* A device has come: is it one that went away to update? */
void lwm2m_flash_back(lwm2m_device *d)
{
    list_each_safe (it, &d->server->updates) {
        lwm2m_flash *u = list_of(it, lwm2m_flash, link);

        if (u->d || strcmp(u->name, d->name) != 0) continue;
        lwm2m_hold(d);
        u->d = d;
        d->update = u;
        pin(u, "3", true);
        pin(u, "5", true);
        return;
    }
}

void lwm2m_flash_done(lwm2m_server *s)
{
    while (!list_empty(&s->updates)) {
        lwm2m_flash *u = list_of(s->updates.next, lwm2m_flash, link);
        u->step = OVER;
        update_free(u);
    }
}

/* ---- Steps */

static void on_step(void *user, int status, const coap_answer *answer)
{
    lwm2m_flash *u = user;
    char why[120];

    u->op = NULL;
    if (status == 0) status = lwm2m_status_of(answer->code);
    if (u->step == LOOK) { /* what it can do: nothing said is both (E.6, resource 9) */
        int way = status >= 0 && answer->body_len ? answer->body[answer->body_len - 1] & 15 : 2;

        if (way == 0 && !u->package) {
            finish(u, "the device only pulls");
            return;
        }
        if (u->package) u->pull = way == 0 || (u->pull && way == 2);
        go(u, RESET);
    } else if (u->step == RESET) {
        go(u, SEND);
    } else if (status < 0) {
        snprintf(why, sizeof why, "%s: %s", step_names[u->step], bridge_status_text(status));
        finish(u, why);
    } else if (u->step == SEND) {
        go(u, DOWNLOADING);
    } else if (u->step == TRIGGER) {
        go(u, UPDATING);
    }
}

static void ask(lwm2m_flash *u, uint8_t code, int resource, int format, const void *data, size_t len)
{
    lwm2m_question q = {.code = code, .path = {resource < 0 ? 2 : 3, {5, 0, (uint16_t)(resource < 0 ? 0 : resource)}}, .accept = -1,
                        .format = format, .data = data, .len = len};

    if (lwm2m_ask(u->d, &q, on_step, u, &u->op) < 0) finish(u, "too much waits for the device");
}

/* Where the device fetches it: the listener's own address, under a name that nobody guesses. */
static int own_uri(lwm2m_flash *u, char *out, size_t room)
{
    const lwm2m_port *p = u->d->port;
    if (!p->address) return BRIDGE_INVALID;
    snprintf(out, room, "%s/%s%sfw/%s", p->address, p->coap.mount, *p->coap.mount ? "/" : "", u->token);
    return 0;
}

static void send_package(lwm2m_flash *u)
{
    bridge_fields f = {.size = sizeof f};
    char uri[600];

    if (!u->pull && u->package) {
        bridge_msg_look(u->package, &f);
        ask(u, COAP_PUT, 0, BRIDGE_BYTES, f.data, f.len);
    } else if (u->uri) {
        ask(u, COAP_PUT, 1, BRIDGE_TEXT, u->uri, strlen(u->uri));
    } else if (own_uri(u, uri, sizeof uri) == 0) {
        ask(u, COAP_PUT, 1, BRIDGE_TEXT, uri, strlen(uri));
    } else {
        finish(u, "the listener has no address of its own");
    }
}

/* Have State and Result said what this step waits for? */
static void look(lwm2m_flash *u)
{
    char why[80];

    if (u->step != DOWNLOADING && u->step != UPDATING) return;
    if (u->result > 1 && u->result != 11) {
        snprintf(why, sizeof why, "%s", u->result < RESULTS ? results[u->result] : "unknown result");
        finish(u, why);
    } else if (u->step == DOWNLOADING && u->state == 2) {
        go(u, TRIGGER);
    } else if (u->step == UPDATING && u->result == 1) {
        finish(u, NULL);
    } else if (u->step == DOWNLOADING && u->state == 3) {
        go(u, UPDATING); /* it does not wait to be told */
    }
}

static void go(lwm2m_flash *u, step next)
{
    u->step = next;
    tell(u, step_names[next], NULL);
    switch (next) {
    case LOOK: ask(u, COAP_GET, 9, -1, NULL, 0); break;
    case RESET: ask(u, COAP_PUT, 1, BRIDGE_TEXT, NULL, 0); break; /* E.6: an empty Package URI takes it back to Idle */
    case SEND:
        u->state = u->result = 0;
        send_package(u);
        break;
    case DOWNLOADING:
        pin(u, "3", true);
        pin(u, "5", true);
        look(u);
        break;
    case TRIGGER: ask(u, COAP_POST, 2, -1, NULL, 0); break;
    case UPDATING: look(u); break;
    default: break;
    }
}

/* What is observed comes by here. */
void lwm2m_flash_news(lwm2m_device *d, const lwm2m_leaves *leaves)
{
    lwm2m_flash *u = d->update;

    for (size_t i = 0; u && i < leaves->count; i++) {
        const lwm2m_leaf *l = &leaves->at[i];

        if (l->path.count != 3 || l->path.id[0] != 5 || l->record.type != BRIDGE_INT) continue;
        if (l->path.id[2] == 3) u->state = l->record.as.i;
        if (l->path.id[2] == 5) u->result = l->record.as.i;
    }
    if (u) look(u);
}

static void on_patience(timer *t)
{
    lwm2m_flash *u = list_of(t, lwm2m_flash, patience);

    finish(u, "time is up");
}

/* ---- Asking for it */

static const char *member(const node *object, const char *name, mem *m)
{
    node **at = object->it.kind == ITEM_MAP ? node_member((node *)(uintptr_t)object, text_of(name)) : NULL;

    return at && (*at)->it.kind == ITEM_STRING ? mem_text_len(m, (*at)->it.p, (*at)->it.len) : NULL;
}

/* The body: the package itself, or JSON {"uri": "coaps://..."}; "?method=pull" lets the device fetch the package from us. */
int lwm2m_flash_begin(lwm2m_device *d, bridge_msg *msg, const char *query)
{
    mem *m = d->server->mem;
    bridge_fields f = {.size = sizeof f};
    lwm2m_flash *u;
    bridge_scratch s;
    node *root = NULL;

    bridge_msg_look(msg, &f);
    if (d->update) return BRIDGE_CONFLICT;
    if (!f.len) return BRIDGE_INVALID;
    u = mem_new(m, lwm2m_flash);
    if (!u) return BRIDGE_NOMEM;
    u->d = d;
    u->server = d->server;
    u->name = mem_text(m, d->name);
    u->pull = query && strstr(query, "method=pull");
    lwm2m_random_name(u->token);
    list_init(&u->link);
    scratch_init(&s, m);
    if (f.format == BRIDGE_JSON && node_read(&s, BRIDGE_JSON, f.data, f.len, &root, NULL) == 0) u->uri = (char *)(uintptr_t)member(root, "uri", m);
    scratch_done(&s);
    if (!u->uri && f.format == BRIDGE_JSON) {
        mem_free(m, u->name);
        mem_free(m, u);
        return BRIDGE_INVALID;
    }
    if (!u->uri) u->package = bridge_msg_ref(msg);
    lwm2m_hold(d);
    d->update = u;
    list_push(&d->server->updates, &u->link);
    timer_start(&u->patience, d->server->loop, (int64_t)d->port->limits.update_timeout * 1000, on_patience);
    go(u, LOOK);
    return BRIDGE_OK;
}

/* ---- Fetching it: GET /fw/TOKEN, by the device that was told the URL, while the update is under way */

bool lwm2m_serve_package(lwm2m_port *p, coap_request *r, text token)
{
    list_each (it, &p->server->updates) {
        lwm2m_flash *u = list_of(it, lwm2m_flash, link);
        bridge_fields f = {.size = sizeof f};

        if (!u->package || !text_is(token, u->token)) continue;
        bridge_msg_look(u->package, &f);
        coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_BYTES), .data = f.data, .len = f.len, .owner = u->package));
        return true;
    }
    return false;
}
