/* Several components of a device, updated as one (flash.h): all packages are brought first, in their order, and only when the device has
 * them all, each is triggered, in the same order.
 *
 *      POST DEVICE/!update-components  {"components":[{"at":"/9/1","package":..},{"at":"/14/0"},{"at":"/5/0","uri":..}]}
 *
 *      asked --> downloading /9/1 --> downloading /5/0 --> activating /9/1 --> activating /14/0 --> activating /5/0 --> updated
 *                     \--------------------\------------ nothing is activated --\--the rest is left alone-----------------> failed
 *
 * Of /9/N triggering is Install and, with "activate":true, Activate; of /14/N, which takes no packages, Activate; of /5/N Update.
 * Each step is told at DEVICE/!components with what is done and what is left. */
#include "adapter/lwm2m/flash.h"
#include "base/status.h"
#include "codec/json.h"
#include <stdio.h>

enum { PARTS_MAX = 64 }; /* of one order; docs/limits.md */

typedef struct part {
    lwm2m_order order; /* its leg and done are said when it runs */
    bool activates;    /* software: after Install */
} part;

struct lwm2m_parts {
    mem *mem;
    unsigned refs, count;
    part all[PARTS_MAX];
};

typedef struct run {
    list link; /* in server->parts */
    lwm2m_server *server;
    lwm2m_parts *parts;
    char *name; /* of the device */
    lwm2m_parts_state is;
    lwm2m_parts_how how;
} run;

static void next(run *r);

/* ---- What is wanted */

void lwm2m_parts_free(lwm2m_parts *p)
{
    if (!p || --p->refs) return;
    for (unsigned i = 0; i < p->count; i++) lwm2m_order_done(p->mem, &p->all[i].order);
    mem_free(p->mem, p);
}

static int kind_at(const oma_path *at, lwm2m_flash_kind *out)
{
    if (at->count != 2) return BRIDGE_UNPROCESSABLE;
    switch (at->id[0]) {
    case FIRMWARE_OBJECT:
    case ADVANCED_OBJECT: *out = LWM2M_FIRMWARE; return 0;
    case SOFTWARE_OBJECT: *out = LWM2M_INSTALL; return 0;
    case COMPONENT_OBJECT: *out = LWM2M_ENABLE; return 0;
    default: return BRIDGE_UNPROCESSABLE;
    }
}

static int part_read(lwm2m_server *s, bridge_peer *voice, const node *body, part *out)
{
    const node *at = lwm2m_member(body, "at", ITEM_STRING), *activate = lwm2m_member(body, "activate", ITEM_BOOL);
    text where = at ? (text){at->it.p, at->it.len} : (text){"", 0}, op;
    oma_path path;
    int rc;

    if (where.len && *where.p == '/') where.p++, where.len--;
    rc = lwm2m_path_read(s, where, &path, &op) && !op.p ? kind_at(&path, &out->order.kind) : BRIDGE_UNPROCESSABLE;
    if (rc < 0) return rc;
    out->order.object = path.id[0];
    out->order.instance = path.id[1];
    out->activates = activate && activate->it.b && out->order.kind == LWM2M_INSTALL;
    rc = lwm2m_order_read(s, voice, body, &out->order);
    if (rc == 0 && out->order.kind != LWM2M_ENABLE && !out->order.package && !out->order.uri) rc = BRIDGE_UNPROCESSABLE;
    return rc;
}

int lwm2m_parts_read(lwm2m_parts **out, lwm2m_server *s, bridge_peer *voice, const node *body, const char **why)
{
    const node *said = lwm2m_member(body, "components", ITEM_LIST);
    lwm2m_parts *p = said ? mem_new(s->mem, lwm2m_parts) : NULL;
    int rc = said ? p ? 0 : BRIDGE_NOMEM : BRIDGE_UNPROCESSABLE;

    if (p) p->mem = s->mem, p->refs = 1;
    for (const node *n = said ? said->first : NULL; n && rc == 0; n = n->next) {
        if (p->count == PARTS_MAX) rc = BRIDGE_TOOBIG;
        else rc = part_read(s, voice, n, &p->all[p->count++]);
    }
    if (rc == 0 && !p->count) rc = BRIDGE_UNPROCESSABLE;
    if (rc == BRIDGE_UNPROCESSABLE) *why = "components: [{\"at\":\"/9/1\",\"package\":...}] at objects 5, 9 and 14 are wanted";
    if (rc < 0)
        lwm2m_parts_free(p);
    else
        *out = p;
    return rc;
}

/* ---- Telling */

static int put_places(buf *b, const run *r, const char *name, unsigned from, unsigned to)
{
    int rc = buf_print(b, ",\"%s\":[", name);

    for (unsigned i = from; i < to && rc == 0; i++) {
        const lwm2m_order *o = &r->parts->all[i].order;
        rc = buf_print(b, "%s\"/%u/%u\"", i > from ? "," : "", (unsigned)o->object, (unsigned)o->instance);
    }
    return rc < 0 ? rc : buf_text(b, "]");
}

/* state: downloading, activating, updated, failed */
static void tell(run *r, const char *state, const char *why, int64_t result)
{
    lwm2m_device *d = lwm2m_find(r->server, r->name);
    unsigned count = r->parts->count, done = r->is.triggers ? r->is.at : 0;
    buf b;
    int rc;

    buf_init(&b, r->server->mem, 0);
    rc = buf_print(&b, ",\"components\":\"%s\",\"result\":%lld", state, (long long)result);
    if (rc == 0 && r->is.at < count) {
        const lwm2m_order *o = &r->parts->all[r->is.at].order;
        rc = buf_print(&b, ",\"at\":\"/%u/%u\"", (unsigned)o->object, (unsigned)o->instance);
    }
    if (rc == 0 && why) rc = buf_text(&b, ",\"why\":");
    if (rc == 0 && why) rc = json_put_string(&b, why, strlen(why));
    if (rc == 0) rc = put_places(&b, r, "done", 0, done);
    if (rc == 0) rc = put_places(&b, r, "left", done, count);
    if (rc == 0) rc = buf_put(&b, "", 1);
    if (rc == 0) lwm2m_event_of(r->server, d, r->name, "components", (const char *)b.data);
    buf_done(&b);
}

/* ---- Going on */

static void run_free(run *r)
{
    mem *m = r->server->mem;

    list_remove(&r->link);
    lwm2m_parts_free(r->parts);
    mem_free(m, r->name);
    mem_free(m, r);
}

static void over(run *r, const char *why, int64_t result)
{
    lwm2m_parts_how how = r->how;

    tell(r, why ? "failed" : "updated", why, result);
    if (!how.done && !how.said) lwm2m_rows_drop(r->server, r->name);
    run_free(r);
    if (how.done) how.done(how.user, why, result);
}

/* How far it is, for whoever keeps it. */
static void say(run *r)
{
    uint8_t row[] = {r->is.at, r->is.triggers, r->is.installed, r->is.triggered};

    if (r->how.said)
        r->how.said(r->how.user, &r->is);
    else if (!r->how.done)
        lwm2m_row_put(r->server, r->name, LWM2M_ROW_STATE, 0, row, sizeof row);
}

static void on_triggers(void *user)
{
    run *r = user;

    r->is.triggered = true;
    say(r);
}

static void on_part(void *user, const char *failed, int64_t result)
{
    run *r = user;
    const part *p = &r->parts->all[r->is.at];

    if (failed) {
        over(r, failed, result);
        return;
    }
    r->is.installed = r->is.triggers && p->activates && !r->is.installed;
    if (!r->is.installed) r->is.at++;
    next(r);
}

/* The next that has something to be brought; then the first again, to be triggered. */
static void skip(run *r)
{
    while (!r->is.triggers && r->is.at < r->parts->count && r->parts->all[r->is.at].order.kind == LWM2M_ENABLE) r->is.at++;
    if (r->is.triggers || r->is.at < r->parts->count) return;
    r->is.triggers = true;
    r->is.at = 0;
}

static lwm2m_order order_at_hand(run *r)
{
    lwm2m_order order = r->parts->all[r->is.at].order;

    order.leg = !r->is.triggers ? LWM2M_BRING : order.kind == LWM2M_ENABLE ? LWM2M_ALL_OF_IT : LWM2M_TRIGGER;
    order.done = on_part;
    order.triggers = on_triggers;
    order.user = r;
    if (r->is.installed) order.kind = LWM2M_ACTIVATE, order.leg = LWM2M_ALL_OF_IT;
    return order;
}

/* r may be gone afterwards */
static void next(run *r)
{
    lwm2m_device *d = lwm2m_find(r->server, r->name);
    lwm2m_order order;
    int rc;

    skip(r);
    if (r->is.at == r->parts->count) {
        over(r, NULL, 0);
        return;
    }
    if (!d) {
        over(r, "the device has left", 0);
        return;
    }
    order = order_at_hand(r);
    r->is.triggered = false;
    say(r);
    tell(r, r->is.triggers ? "activating" : "downloading", NULL, 0);
    rc = lwm2m_flash_begin(d, &order);
    if (rc < 0) over(r, bridge_status_text(rc), 0);
}

static run *run_new(lwm2m_server *s, const char *name, lwm2m_parts *parts, const lwm2m_parts_how *how)
{
    run *r = mem_new(s->mem, run);

    if (!r) return NULL;
    list_init(&r->link);
    r->server = s;
    r->name = mem_text(s->mem, name);
    if (!r->name) {
        mem_free(s->mem, r);
        return NULL;
    }
    r->parts = parts;
    r->parts->refs++;
    r->how = *how;
    list_push(&s->parts, &r->link);
    return r;
}

static void keep(run *r)
{
    buf out;

    buf_init(&out, r->server->mem, 0);
    if (buf_put_u8(&out, LWM2M_KEPT_PARTS) == 0 && lwm2m_parts_put(r->parts, r->server, r->name, &out) == 0)
        lwm2m_row_put(r->server, r->name, LWM2M_ROW_ORDER, 0, out.data, out.len);
    buf_done(&out);
}

int lwm2m_parts_begin(lwm2m_device *d, lwm2m_parts *parts, const lwm2m_parts_how *how)
{
    run *r;

    if (d->update) return BRIDGE_CONFLICT;
    r = run_new(d->server, d->name, parts, how);
    if (!r) return BRIDGE_NOMEM;
    if (!how->done) keep(r);
    next(r);
    return BRIDGE_OK;
}

/* The one at hand goes on when its device is there; r may be gone afterwards */
int lwm2m_parts_resume(lwm2m_server *s, const char *name, lwm2m_parts *parts, const lwm2m_parts_state *state, const lwm2m_parts_how *how)
{
    run *r = run_new(s, name, parts, how);
    lwm2m_order order;
    int rc;

    if (!r) return BRIDGE_NOMEM;
    r->is = *state;
    if (r->is.at < parts->count) skip(r);
    if (r->is.at >= parts->count) {
        over(r, NULL, 0);
        return BRIDGE_OK;
    }
    order = order_at_hand(r);
    tell(r, r->is.triggers ? "activating" : "downloading", NULL, 0);
    rc = lwm2m_flash_resume(s, name, &order, r->is.triggered);
    if (rc < 0) over(r, bridge_status_text(rc), 0);
    return BRIDGE_OK;
}

/* ---- Over a restart */

int lwm2m_parts_put(const lwm2m_parts *parts, lwm2m_server *s, const char *name, buf *out)
{
    int rc = buf_put_u8(out, (uint8_t)parts->count);

    for (unsigned i = 0; i < parts->count && rc == 0; i++) {
        rc = buf_put_u8(out, parts->all[i].activates);
        if (rc == 0) rc = lwm2m_put_order(s, name, i, &parts->all[i].order, out);
    }
    return rc;
}

int lwm2m_take_parts(lwm2m_parts **out, lwm2m_server *s, bridge_peer *voice, const lwm2m_rows *rows, lwm2m_taking *t)
{
    unsigned count = lwm2m_take_u8(t);
    lwm2m_parts *p = mem_new(s->mem, lwm2m_parts);
    int rc = !p ? BRIDGE_NOMEM : count && count <= PARTS_MAX ? 0 : BRIDGE_SYNTAX;

    if (!p) return rc;
    p->mem = s->mem;
    p->refs = 1;
    for (unsigned i = 0; i < count && rc == 0; i++) {
        part *one = &p->all[p->count++];

        one->activates = lwm2m_take_u8(t);
        rc = lwm2m_take_order(s, voice, rows, i, t, &one->order);
    }
    if (rc < 0)
        lwm2m_parts_free(p);
    else
        *out = p;
    return rc;
}

static void said_to_nobody(void *user, const lwm2m_parts_state *state) { (void)user, (void)state; }

void lwm2m_parts_abandon(lwm2m_server *s, const void *user, const char *why)
{
    list_each_safe (it, &s->parts) {
        run *r = list_of(it, run, link);

        if (!r->how.done || r->how.user != user) continue;
        if (!why) r->how = (lwm2m_parts_how){.said = said_to_nobody};
        if (why && !r->is.triggers) lwm2m_flash_abandon(s, r, why); /* else it has begun to change: it goes on to its end */
    }
}

void lwm2m_parts_done(lwm2m_server *s)
{
    while (!list_empty(&s->parts)) run_free(list_of(s->parts.next, run, link));
}
