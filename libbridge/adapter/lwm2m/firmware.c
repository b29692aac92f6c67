/* Firmware update (object 5, LwM2M 1.0 E.6, 1.1 E.6) and software management (objects 9 and 14, LWM2M_SwMgmt 1.0 5.1), one order each
 * (flash.h).  One machine; what differs is the plan.
 *
 *      asked --> look (5/0/9; 9/N/7) --> how (5/0/8) --> reset, if another was under way --> push: Write the package, Block1     \
 *                                                                                       \-> pull: Write its URI, our URL    --> downloading
 *      downloading --State 2; 3--> Execute (5/0/2; 9/N/4) --> updating; installing --Result 1; State 4--> updated; installed
 *           \--Result 2..9; 50..59-----------------------------\----the same, time is up, refused--> failed
 *      activate, deactivate, uninstall: asked --> look --> Execute --> until State or Activation State say so
 *      an order to BRING ends where it would be executed, one to FLASH_TRIGGER begins there
 *
 * State and Result are observed meanwhile; a device that restarts in between registers again, and is observed anew.
 * Over a restart of ours (flash_keep.c): what was not triggered is looked at again, of what was the outcome is waited for.
 * Each step is told at DEVICE/!firmware and DEVICE/!software. */
#include "adapter/lwm2m/flash.h"
#include "base/clock.h"
#include "base/status.h"
#include "codec/json.h"
#include "codec/scratch.h"
#include <stdio.h>

static void go(lwm2m_flash *u, flash_step next);
static void look(lwm2m_flash *u);

static const char *step_name(const lwm2m_flash *u)
{
    static const char *const names[] = {"looking", "looking", "resetting", "sending", "downloading", "triggering"};

    if (u->step == FLASH_OVER && u->order.leg == LWM2M_BRING) return "downloaded";
    return u->step < FLASH_UPDATING ? names[u->step] : u->step == FLASH_UPDATING ? u->plan->busy : u->plan->done;
}

static void tell(lwm2m_flash *u, const char *state, const char *why)
{
    char more[400], instance[50] = "";
    const lwm2m_order *o = &u->order;
    buf quoted;

    buf_init(&quoted, u->server->mem, 300);
    if (why) json_put_string(&quoted, why, strlen(why));
    if (o->object != FIRMWARE_OBJECT && o->object != SOFTWARE_OBJECT)
        snprintf(instance, sizeof instance, ",\"object\":%u,\"instance\":%u", (unsigned)o->object, (unsigned)o->instance);
    else if (u->plan->many || o->instance)
        snprintf(instance, sizeof instance, ",\"instance\":%u", (unsigned)o->instance);
    snprintf(more, sizeof more, ",\"%s\":\"%s\"%s,\"result\":%lld%s%.*s", u->plan->event, state, instance, (long long)u->result,
             why ? ",\"why\":" : "", (int)quoted.len, quoted.data ? (const char *)quoted.data : "");
    buf_done(&quoted);
    lwm2m_event_of(u->server, u->d, u->name, u->plan->event, more);
}

static void pin(lwm2m_flash *u, bool wanted)
{
    const int each[] = {u->plan->state, u->plan->result, u->plan->active};
    char filter[1024];

    u->pinned = wanted;
    for (size_t i = 0; i < sizeof each / sizeof *each && u->d && !u->d->gone; i++) {
        if (each[i] < 0) continue;
        snprintf(filter, sizeof filter, "%s/%u/%u/%d", u->d->name, (unsigned)u->order.object, (unsigned)u->order.instance, each[i]);
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

/* How far it is; the order itself is there already. */
static void keep_state(lwm2m_flash *u, bool triggered)
{
    uint8_t state = triggered;

    if (u->kept) lwm2m_row_put(u->server, u->name, LWM2M_ROW_STATE, 0, &state, 1);
}

static void keep(lwm2m_flash *u)
{
    buf out;

    buf_init(&out, u->server->mem, 0);
    if (buf_put_u8(&out, LWM2M_KEPT_FLASH) == 0 && lwm2m_put_order(u->server, u->name, 0, &u->order, &out) == 0) {
        u->kept = true;
        lwm2m_row_put(u->server, u->name, LWM2M_ROW_ORDER, 0, out.data, out.len);
        keep_state(u, false);
    }
    buf_done(&out);
}

static void flash_free(lwm2m_flash *u)
{
    mem *m = u->server->mem;

    bridge_store_forget(&u->disk);
    lwm2m_way_close(u);
    lwm2m_order_done(m, &u->order);
    mem_free(m, u->name);
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
    lwm2m_order order = u->order;
    int64_t result = u->result;

    if (u->step == FLASH_OVER) return;
    u->step = FLASH_OVER;
    if (d) lwm2m_hold(d);
    if (d) d->update = NULL; /* who is told may begin the next one at once */
    if (d && !d->gone && u->pinned) pin(u, false);
    if (u->kept) lwm2m_rows_drop(u->server, u->name);
    if (!u->server->closing) tell(u, failed ? "failed" : step_name(u), failed);
    update_free(u);
    if (order.done) order.done(order.user, failed, result);
    if (d) lwm2m_release(d);
}

void lwm2m_flash_end(lwm2m_device *d, const char *why)
{
    if (d->update) finish(d->update, why);
}

/* The device leaves.  One that was told to update will be back, one whose listener closes may be; else that was it. */
void lwm2m_flash_leave(lwm2m_device *d, bool closing)
{
    lwm2m_flash *u = d->update;

    if (!u) return;
    if (closing && u->step < FLASH_TRIGGER) {
        lwm2m_way_close(u);
        u->step = FLASH_LOOK;
        u->again = true;
        leave(u);
    } else if (u->step == FLASH_TRIGGER || u->step == FLASH_UPDATING) {
        u->again |= u->disk.next != NULL; /* not yet told */
        u->step = FLASH_UPDATING;
        leave(u);
    } else {
        finish(u, "the device has left");
    }
}

/* u may be gone afterwards */
static void come_back(lwm2m_flash *u, lwm2m_device *d)
{
    lwm2m_hold(d);
    u->d = d;
    d->update = u;
    if (!u->again) {
        pin(u, true);
    } else if (u->step == FLASH_UPDATING) {
        pin(u, true);
        go(u, FLASH_UPDATING);
    } else {
        u->again = false;
        go(u, u->order.leg == LWM2M_TRIGGER ? FLASH_TRIGGER : FLASH_LOOK);
    }
}

/* A device has come: is it one that went away to update, or that was being updated before a restart? */
void lwm2m_flash_back(lwm2m_device *d)
{
    list_each_safe (it, &d->server->updates) {
        lwm2m_flash *u = list_of(it, lwm2m_flash, link);

        if (u->d || d->update || strcmp(u->name, d->name) != 0) continue;
        come_back(u, d);
        return;
    }
}

void lwm2m_flash_done(lwm2m_server *s)
{
    while (!list_empty(&s->updates)) {
        lwm2m_flash *u = list_of(s->updates.next, lwm2m_flash, link);
        u->step = FLASH_OVER;
        update_free(u);
    }
}

/* ---- Steps */

/* The number or the yes that a resource was read as; `none` when it is neither. */
static int64_t number_of(const lwm2m_flash *u, int resource, const coap_answer *answer, int64_t none)
{
    oma_path at = {3, {u->order.object, u->order.instance, (uint16_t)resource}};
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

/* What can the device do (5/0/9)?  Where does its software stand (9/N/7, which it must have)? */
static void looked(lwm2m_flash *u, int status, const coap_answer *answer)
{
    char why[120];
    int64_t said = status >= 0 ? number_of(u, u->plan->look, answer, -1) : -1;
    const char *not;

    if (u->plan->kind == LWM2M_FIRMWARE) {
        not = lwm2m_way_choose(u, said);
        if (not)
            finish(u, not);
        else
            go(u, u->pull ? FLASH_HOW : FLASH_RESET);
    } else if (status < 0) {
        snprintf(why, sizeof why, "looking: %s", bridge_status_text(status));
        finish(u, why);
    } else {
        u->before = said;
        if (u->plan->package >= 0)
            go(u, said >= SOFTWARE_DOWNLOADED ? FLASH_RESET : FLASH_SEND);
        else if (u->plan->needs >= 0 && said != u->plan->needs)
            finish(u, "it is not installed");
        else
            go(u, FLASH_TRIGGER);
    }
}

/* A device of object 9 need not take packages (9/N/2 is optional): it is given a URL then. */
static bool only_pulls(const lwm2m_flash *u, int status)
{
    return u->step == FLASH_SEND && u->plan->many && u->order.package && !u->pull && u->order.way != LWM2M_PUSH &&
           (status == BRIDGE_NOTFOUND || status == BRIDGE_METHOD);
}

/* Nobody knows whether it heard of it before the restart; it has not done it. */
static void trigger_again(lwm2m_flash *u)
{
    u->again = false;
    go(u, FLASH_TRIGGER);
}

static void on_step(void *user, int status, const coap_answer *answer)
{
    lwm2m_flash *u = user;
    char why[120];

    u->op = NULL;
    if (status == 0) status = lwm2m_status_of(answer->code);
    if (u->step == FLASH_LOOK) {
        looked(u, status, answer);
    } else if (u->step == FLASH_HOW) {
        if (status >= 0) lwm2m_way_protocols(u, answer);
        go(u, FLASH_RESET);
    } else if (u->step == FLASH_RESET) {
        go(u, FLASH_SEND);
    } else if (only_pulls(u, status)) {
        u->pull = true;
        go(u, FLASH_SEND);
    } else if (u->step == FLASH_UPDATING) { /* how it stands after activate and its like */
        int64_t said = status >= 0 ? number_of(u, u->plan->check, answer, -1) : -1;

        if (said >= 0) *(u->plan->check == u->plan->active ? &u->active : &u->state) = said;
        if (u->again && !u->plan->is_done(u->state, u->result, u->active))
            trigger_again(u);
        else
            look(u);
    } else if (status < 0) {
        snprintf(why, sizeof why, "%s: %s", step_name(u), bridge_status_text(status));
        finish(u, why);
    } else if (u->step == FLASH_SEND) {
        go(u, FLASH_DOWNLOADING);
    } else if (u->step == FLASH_TRIGGER) {
        go(u, FLASH_UPDATING);
    }
}

static void ask(lwm2m_flash *u, uint8_t code, int resource, int format, const void *data, size_t len)
{
    lwm2m_question q = {.code = code, .path = {3, {u->order.object, u->order.instance, (uint16_t)resource}}, .accept = -1, .format = format,
                        .data = data, .len = len};

    if (lwm2m_ask(u->d, &q, on_step, u, &u->op) < 0) finish(u, "too much waits for the device");
}

static void send_package(lwm2m_flash *u)
{
    bridge_fields f = {.size = sizeof f};
    char uri[600];
    const char *why;

    if (!u->pull && u->order.package) {
        bridge_msg_look(u->order.package, &f);
        ask(u, COAP_PUT, u->plan->package, BRIDGE_BYTES, f.data, f.len);
    } else if (u->order.uri) {
        ask(u, COAP_PUT, u->plan->uri, BRIDGE_TEXT, u->order.uri, strlen(u->order.uri));
    } else if ((why = lwm2m_way_open(u, uri, sizeof uri))) {
        finish(u, why);
    } else {
        ask(u, COAP_PUT, u->plan->uri, BRIDGE_TEXT, uri, strlen(uri));
    }
}

/* Have State and Result said what this step waits for? */
static void look(lwm2m_flash *u)
{
    const char *failed = u->plan->failed(u->result);

    if (u->step != FLASH_DOWNLOADING && u->step != FLASH_UPDATING) return;
    if (failed)
        finish(u, failed);
    else if (u->again && u->state >= 0 && u->state == u->plan->ready)
        trigger_again(u);
    else if (u->plan->is_done(u->state, u->result, u->active) && (u->step == FLASH_UPDATING || u->plan->kind != LWM2M_FIRMWARE))
        finish(u, NULL);
    else if (u->step == FLASH_DOWNLOADING && u->state == u->plan->ready && u->order.leg == LWM2M_BRING)
        finish(u, NULL);
    else if (u->step == FLASH_DOWNLOADING && u->state == u->plan->ready)
        go(u, FLASH_TRIGGER);
    else if (u->step == FLASH_DOWNLOADING && u->plan->kind == LWM2M_FIRMWARE && u->state == FIRMWARE_UPDATING)
        go(u, FLASH_UPDATING); /* it does not wait to be told */
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

static void on_kept(bridge_store_wait *w, int status)
{
    lwm2m_flash *u = list_of(w, lwm2m_flash, disk);

    if (status != BRIDGE_CLOSED && u->step == FLASH_TRIGGER && u->d) ask(u, COAP_POST, u->plan->trigger, -1, NULL, 0); /* a disk that is full holds up nothing */
}

/* The store knows of it before the device does. */
static void trigger(lwm2m_flash *u)
{
    bridge_store *s = bridge_port_store(u->server->home);

    keep_state(u, true);
    if (u->order.triggers) u->order.triggers(u->order.user);
    u->disk.fn = on_kept;
    bridge_store_when(s, &u->disk);
}

static void go(lwm2m_flash *u, flash_step next)
{
    bool told = next == FLASH_HOW;

    u->step = next;
    if (next > FLASH_DOWNLOADING) lwm2m_way_close(u); /* it has it */
    if (!told) tell(u, step_name(u), NULL);
    switch (next) {
    case FLASH_LOOK: ask(u, COAP_GET, u->plan->look, -1, NULL, 0); break;
    case FLASH_HOW: ask(u, COAP_GET, FIRMWARE_PROTOCOLS, -1, NULL, 0); break;
    case FLASH_RESET: reset(u); break;
    case FLASH_SEND:
        u->state = -1;
        u->result = 0;
        send_package(u);
        break;
    case FLASH_DOWNLOADING:
        pin(u, true);
        look(u);
        break;
    case FLASH_TRIGGER:
        if (u->order.leg == LWM2M_TRIGGER) pin(u, true);
        trigger(u);
        break;
    case FLASH_UPDATING:
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

        if (path->count != 3 || path->id[0] != u->order.object || path->id[1] != u->order.instance) continue;
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

/* ---- Beginning */

static int take_order(lwm2m_flash *u, const lwm2m_order *order)
{
    mem *m = u->server->mem;

    u->order = *order;
    u->order.package = NULL;
    u->order.uri = order->uri ? mem_text(m, order->uri) : NULL;
    if (order->uri && !u->order.uri) return BRIDGE_NOMEM;
    if (u->plan->package < 0 || order->leg == LWM2M_TRIGGER) return 0;
    if (!order->uri && !order->package) return BRIDGE_INVALID;
    if (order->package) u->order.package = bridge_msg_ref(order->package);
    return 0;
}

static int flash_new(lwm2m_server *s, const char *name, const lwm2m_order *order, lwm2m_flash **out)
{
    lwm2m_flash *u = mem_new(s->mem, lwm2m_flash);
    int rc;

    if (!u) return BRIDGE_NOMEM;
    u->server = s;
    u->plan = lwm2m_plan_of(order->kind);
    u->pull = order->way >= LWM2M_PULL;
    u->state = u->active = u->before = -1;
    list_init(&u->link);
    lwm2m_random_name(u->token);
    u->name = mem_text(s->mem, name);
    rc = u->name ? take_order(u, order) : BRIDGE_NOMEM;
    if (rc < 0)
        flash_free(u);
    else
        *out = u;
    return rc;
}

int lwm2m_flash_begin(lwm2m_device *d, const lwm2m_order *order)
{
    lwm2m_flash *u;
    int rc = d->update ? BRIDGE_CONFLICT : flash_new(d->server, d->name, order, &u);

    if (rc < 0) return rc;
    u->d = d;
    lwm2m_hold(d);
    d->update = u;
    list_push(&d->server->updates, &u->link);
    timer_start(&u->patience, d->server->loop, (int64_t)d->port->limits.update_timeout * 1000, on_patience);
    if (!order->done && !order->triggers) keep(u);
    go(u, order->leg == LWM2M_TRIGGER ? FLASH_TRIGGER : FLASH_LOOK);
    return BRIDGE_OK;
}

/* Without its package it cannot begin again, and says so. */
int lwm2m_flash_resume(lwm2m_server *s, const char *name, const lwm2m_order *order, bool triggered)
{
    const lwm2m_port *p = list_of(s->ports.next, lwm2m_port, link);
    lwm2m_order whole = *order;
    lwm2m_device *d = lwm2m_find(s, name);
    lwm2m_flash *u;
    bool packed = triggered || lwm2m_is_packed(order);
    int rc;

    if (triggered || !packed) whole.leg = LWM2M_TRIGGER; /* its package is not needed any more */
    rc = flash_new(s, name, &whole, &u);
    if (rc < 0) return rc;
    u->order.leg = order->leg;
    u->kept = !order->done && !order->triggers;
    u->again = true;
    u->step = triggered ? FLASH_UPDATING : FLASH_LOOK;
    list_push(&s->updates, &u->link);
    timer_start(&u->patience, s->loop, (int64_t)p->limits.update_timeout * 1000, on_patience);
    if (!packed)
        finish(u, LWM2M_UNPACKED);
    else if (d && !d->update)
        come_back(u, d);
    return BRIDGE_OK;
}

void lwm2m_flash_abandon(lwm2m_server *s, const void *user, const char *why)
{
    list_each_safe (it, &s->updates) {
        lwm2m_flash *u = list_of(it, lwm2m_flash, link);

        if (!u->order.done || u->order.user != user) continue;
        if (!why) u->order.done = NULL, u->order.triggers = NULL;
        if (why && u->step < FLASH_TRIGGER) finish(u, why);
    }
}
