/* Firmware update (object 5, LwM2M 1.0 E.6, 1.1 E.6) and software management (object 9, LWM2M_SwMgmt 1.0 5.1) as one question each: POST to
 * DEVICE/!update-firmware, to DEVICE/9/N/!install-software and its like.  One machine; what differs is the plan (flash.h).
 *
 *      asked --> look (5/0/9; 9/N/7) --> reset, if another was under way --> push: Write the package, Block1     \
 *                                                                       \-> pull: Write its URI, our URL    --> downloading
 *      downloading --State 2; 3--> Execute (5/0/2; 9/N/4) --> updating; installing --Result 1; State 4--> updated; installed
 *           \--Result 2..9; 50..59-----------------------------\----the same, time is up, refused--> failed
 *      activate, deactivate, uninstall: asked --> look --> Execute --> until State or Activation State say so
 *
 * State and Result are observed meanwhile; a device that restarts in between registers again, and is observed anew.
 * Each step is told at DEVICE/!firmware and DEVICE/!software. */
#include "adapter/lwm2m/flash.h"
#include "base/clock.h"
#include "base/status.h"
#include "codec/json.h"
#include "codec/node.h"
#include "codec/scratch.h"
#include <stdio.h>

typedef enum step { LOOK, RESET, SEND, DOWNLOADING, TRIGGER, UPDATING, OVER } step;

struct lwm2m_flash {
    lwm2m_server *server;
    const lwm2m_plan *plan;
    uint16_t instance;
    lwm2m_device *d; /* NULL: it has left in the middle, to restart */
    char *name;
    list link; /* in server->updates, for the URLs */
    bridge_msg *package; /* or NULL: uri */
    char *uri;
    char token[LWM2M_LOCATION + 1]; /* of our own URL */
    step step;
    lwm2m_op *op;
    timer patience;
    bool pull, pinned;
    int64_t state, result, active, before; /* -1: not said yet; before: the State that it was found in */
};

static void go(lwm2m_flash *u, step next);
static void look(lwm2m_flash *u);

static const char *step_name(const lwm2m_flash *u)
{
    static const char *const names[] = {"looking", "resetting", "sending", "downloading", "triggering"};

    return u->step < UPDATING ? names[u->step] : u->step == UPDATING ? u->plan->busy : u->plan->done;
}

static void tell(lwm2m_flash *u, const char *state, const char *why)
{
    char more[400], instance[30] = "";
    buf quoted;

    buf_init(&quoted, u->d->server->mem, 300);
    if (why) json_put_string(&quoted, why, strlen(why));
    if (u->plan->many) snprintf(instance, sizeof instance, ",\"instance\":%u", (unsigned)u->instance);
    snprintf(more, sizeof more, ",\"%s\":\"%s\"%s,\"result\":%lld%s%.*s", u->plan->event, state, instance, (long long)u->result,
             why ? ",\"why\":" : "", (int)quoted.len, quoted.data ? (const char *)quoted.data : "");
    buf_done(&quoted);
    lwm2m_event(u->d, u->plan->event, more);
}

static void pin(lwm2m_flash *u, bool wanted)
{
    const int each[] = {u->plan->state, u->plan->result, u->plan->active};
    char filter[1024];

    u->pinned = wanted;
    for (size_t i = 0; i < sizeof each / sizeof *each && u->d && !u->d->gone; i++) {
        if (each[i] < 0) continue;
        snprintf(filter, sizeof filter, "%s/%u/%u/%d", u->d->name, (unsigned)u->plan->object, (unsigned)u->instance, each[i]);
        lwm2m_pin(u->d, filter, wanted);
    }
}

static void leave(lwm2m_flash *u)
{
    lwm2m_device *d = u->d;
    lwm2m_op *op = u->op;

    u->d = NULL;
    u->op = NULL;
    if (!d) return;
    if (d->update == u) d->update = NULL;
    lwm2m_op_cancel(op, false);
    lwm2m_release(d);
}

static void flash_free(lwm2m_flash *u)
{
    mem *m = u->server->mem;

    bridge_msg_unref(u->package);
    mem_free(m, u->name);
    mem_free(m, u->uri);
    mem_free(m, u);
}

static void update_free(lwm2m_flash *u)
{
    leave(u);
    list_remove(&u->link);
    timer_stop(&u->patience);
    flash_free(u);
}

static void finish(lwm2m_flash *u, const char *failed)
{
    lwm2m_device *d = u->d;

    if (u->step == OVER) return;
    u->step = OVER;
    if (d) lwm2m_hold(d);
    if (d) d->update = NULL; /* who is told may begin the next one at once */
    if (d && !d->gone) {
        if (u->pinned) pin(u, false);
        tell(u, failed ? "failed" : u->plan->done, failed);
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
        pin(u, true);
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

/* The number or the yes that a resource was read as; `none` when it is neither. */
static int64_t number_of(const lwm2m_flash *u, int resource, const coap_answer *answer, int64_t none)
{
    oma_path at = {3, {u->plan->object, u->instance, (uint16_t)resource}};
    int format = answer->meta->has & COAP_HAS_CONTENT_FORMAT ? answer->meta->format : -1;
    lwm2m_leaves leaves;
    bridge_scratch s;
    int64_t out = none;

    scratch_init(&s, u->server->mem);
    if (lwm2m_leaves_read(u->server, &s, &at, format, answer->body, answer->body_len, &leaves, NULL) == 0 && leaves.count) {
        const bridge_record *r = &leaves.at[0].record;
        out = r->type == BRIDGE_INT ? r->as.i : r->type == BRIDGE_BOOL ? r->as.b : none;
    }
    scratch_done(&s);
    return out;
}

/* What can the device do (5/0/9: nothing said is both, E.6)?  Where does its software stand (9/N/7, which it must have)? */
static void looked(lwm2m_flash *u, int status, const coap_answer *answer)
{
    char why[120];
    int64_t said = status >= 0 ? number_of(u, u->plan->look, answer, -1) : -1;

    if (u->plan->kind == LWM2M_FIRMWARE) {
        if (said < 0) said = 2;
        if (said == 0 && !u->package) {
            finish(u, "the device only pulls");
            return;
        }
        if (u->package) u->pull = said == 0 || (u->pull && said == 2);
        go(u, RESET);
    } else if (status < 0) {
        snprintf(why, sizeof why, "looking: %s", bridge_status_text(status));
        finish(u, why);
    } else {
        u->before = said;
        if (u->plan->package >= 0)
            go(u, said >= SOFTWARE_DOWNLOADED ? RESET : SEND);
        else if (u->plan->active >= 0 && said != SOFTWARE_INSTALLED)
            finish(u, "it is not installed");
        else
            go(u, TRIGGER);
    }
}

/* A device of object 9 need not take packages (9/N/2 is optional): it is given a URL then. */
static bool only_pulls(const lwm2m_flash *u, int status)
{
    return u->step == SEND && u->plan->many && u->package && !u->pull && u->d->port->address &&
           (status == BRIDGE_NOTFOUND || status == BRIDGE_METHOD);
}

static void on_step(void *user, int status, const coap_answer *answer)
{
    lwm2m_flash *u = user;
    char why[120];

    u->op = NULL;
    if (status == 0) status = lwm2m_status_of(answer->code);
    if (u->step == LOOK) {
        looked(u, status, answer);
    } else if (u->step == RESET) {
        go(u, SEND);
    } else if (only_pulls(u, status)) {
        u->pull = true;
        go(u, SEND);
    } else if (u->step == UPDATING) { /* how it stands after activate and its like */
        int64_t said = status >= 0 ? number_of(u, u->plan->check, answer, -1) : -1;

        if (said >= 0) *(u->plan->check == u->plan->active ? &u->active : &u->state) = said;
        look(u);
    } else if (status < 0) {
        snprintf(why, sizeof why, "%s: %s", step_name(u), bridge_status_text(status));
        finish(u, why);
    } else if (u->step == SEND) {
        go(u, DOWNLOADING);
    } else if (u->step == TRIGGER) {
        go(u, UPDATING);
    }
}

static void ask(lwm2m_flash *u, uint8_t code, int resource, int format, const void *data, size_t len)
{
    lwm2m_question q = {.code = code, .path = {3, {u->plan->object, u->instance, (uint16_t)resource}}, .accept = -1, .format = format,
                        .data = data, .len = len};

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
        ask(u, COAP_PUT, u->plan->package, BRIDGE_BYTES, f.data, f.len);
    } else if (u->uri) {
        ask(u, COAP_PUT, u->plan->uri, BRIDGE_TEXT, u->uri, strlen(u->uri));
    } else if (own_uri(u, uri, sizeof uri) == 0) {
        ask(u, COAP_PUT, u->plan->uri, BRIDGE_TEXT, uri, strlen(uri));
    } else {
        finish(u, "the listener has no address of its own");
    }
}

/* Have State and Result said what this step waits for? */
static void look(lwm2m_flash *u)
{
    const char *failed = u->plan->failed(u->result);

    if (u->step != DOWNLOADING && u->step != UPDATING) return;
    if (failed)
        finish(u, failed);
    else if (u->plan->is_done(u->state, u->result, u->active) && (u->step == UPDATING || u->plan->kind != LWM2M_FIRMWARE))
        finish(u, NULL);
    else if (u->step == DOWNLOADING && u->state == u->plan->ready)
        go(u, TRIGGER);
    else if (u->step == DOWNLOADING && u->plan->kind == LWM2M_FIRMWARE && u->state == FIRMWARE_UPDATING)
        go(u, UPDATING); /* it does not wait to be told */
}

/* Back to Idle.  E.6: an empty Package URI; SwMgmt 5.1.2: Uninstall, with 1 (ForUpdate) of what is to be replaced. */
static void reset(lwm2m_flash *u)
{
    bool replaces = u->before == SOFTWARE_INSTALLED;

    if (u->plan->kind == LWM2M_FIRMWARE)
        ask(u, COAP_PUT, u->plan->uri, BRIDGE_TEXT, NULL, 0);
    else
        ask(u, COAP_POST, SOFTWARE_UNINSTALL, replaces ? BRIDGE_TEXT : -1, replaces ? "1" : NULL, replaces);
}

static void go(lwm2m_flash *u, step next)
{
    u->step = next;
    tell(u, step_name(u), NULL);
    switch (next) {
    case LOOK: ask(u, COAP_GET, u->plan->look, -1, NULL, 0); break;
    case RESET: reset(u); break;
    case SEND:
        u->state = -1;
        u->result = 0;
        send_package(u);
        break;
    case DOWNLOADING:
        pin(u, true);
        look(u);
        break;
    case TRIGGER: ask(u, COAP_POST, u->plan->trigger, -1, NULL, 0); break;
    case UPDATING:
        if (u->plan->check >= 0) {
            pin(u, true);
            ask(u, COAP_GET, u->plan->check, -1, NULL, 0);
        } else {
            look(u);
        }
        break;
    default: break;
    }
}

/* What is observed comes by here. */
void lwm2m_flash_news(lwm2m_device *d, const lwm2m_leaves *leaves)
{
    lwm2m_flash *u = d->update;

    for (size_t i = 0; u && i < leaves->count; i++) {
        const oma_path *path = &leaves->at[i].path;
        const bridge_record *r = &leaves->at[i].record;

        if (path->count != 3 || path->id[0] != u->plan->object || path->id[1] != u->instance) continue;
        if (r->type == BRIDGE_INT && path->id[2] == u->plan->state) u->state = r->as.i;
        if (r->type == BRIDGE_INT && path->id[2] == u->plan->result) u->result = r->as.i;
        if (r->type == BRIDGE_BOOL && path->id[2] == u->plan->active) u->active = r->as.b;
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

/* The body: the package itself, or JSON {"uri": "coaps://..."}. */
static int take_body(lwm2m_flash *u, bridge_msg *msg)
{
    mem *m = u->server->mem;
    bridge_fields f = {.size = sizeof f};
    bridge_scratch s;
    node *root = NULL;

    bridge_msg_look(msg, &f);
    if (!f.len) return BRIDGE_INVALID;
    scratch_init(&s, m);
    if (f.format == BRIDGE_JSON && node_read(&s, BRIDGE_JSON, f.data, f.len, &root, NULL) == 0) u->uri = (char *)(uintptr_t)member(root, "uri", m);
    scratch_done(&s);
    if (!u->uri && f.format == BRIDGE_JSON) return BRIDGE_INVALID;
    if (!u->uri) u->package = bridge_msg_ref(msg);
    return 0;
}

int lwm2m_flash_begin(lwm2m_device *d, lwm2m_flash_kind kind, uint16_t instance, bridge_msg *msg, bool pull)
{
    mem *m = d->server->mem;
    lwm2m_flash *u;
    int rc;

    if (d->update) return BRIDGE_CONFLICT;
    u = mem_new(m, lwm2m_flash);
    if (!u) return BRIDGE_NOMEM;
    u->d = d;
    u->server = d->server;
    u->plan = lwm2m_plan_of(kind);
    u->instance = instance;
    u->pull = pull;
    u->state = u->active = u->before = -1;
    list_init(&u->link);
    lwm2m_random_name(u->token);
    u->name = mem_text(m, d->name);
    rc = !u->name ? BRIDGE_NOMEM : u->plan->package >= 0 ? take_body(u, msg) : 0;
    if (rc < 0) {
        flash_free(u);
        return rc;
    }
    lwm2m_hold(d);
    d->update = u;
    list_push(&d->server->updates, &u->link);
    timer_start(&u->patience, d->server->loop, (int64_t)d->port->limits.update_timeout * 1000, on_patience);
    go(u, LOOK);
    return BRIDGE_OK;
}

/* ---- Fetching it: GET /fw/TOKEN, by whoever was told the URL, from then until the device has it */

bool lwm2m_serve_package(lwm2m_port *p, coap_request *r, text token)
{
    list_each (it, &p->server->updates) {
        lwm2m_flash *u = list_of(it, lwm2m_flash, link);
        bridge_fields f = {.size = sizeof f};

        if (!u->package || !u->pull || u->step < SEND || u->step > DOWNLOADING || !text_is(token, u->token)) continue;
        bridge_msg_look(u->package, &f);
        coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_BYTES), .data = f.data, .len = f.len, .owner = u->package));
        return true;
    }
    return false;
}
