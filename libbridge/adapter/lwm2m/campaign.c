/* A campaign: one order (flash.h) for many devices, so many at once, each tried again so often.
 *
 *      POST lwm2m/!campaigns/NAME  {"do":"update-firmware","devices":["lamp-1",...],"package":..,"at_once":10,"retries":1}
 *      GET  lwm2m/!campaigns/NAME  how it stands            DELETE  it ends and is forgotten
 *      POST .../NAME/!pause, !resume, !stop, !retry         GET lwm2m/!campaigns: their names
 *
 *      running --pause--> paused --resume--> running --every device has its outcome--> over
 *         \--stop (what has not been triggered ends)--> stopped          over, stopped --retry: what failed or was left--> running
 *
 * "do" is the last part of the path that would do the same for one device.  What happens is told at NAME/!progress. */
#include "adapter/lwm2m/campaign.h"
#include "base/status.h"
#include "codec/json.h"
#include "codec/scratch.h"
#include <stdio.h>

static const char *const fates[FATES] = {"waiting", "busy", "done", "failed", "left"};

/* ---- Life */

void campaign_free(campaign *c)
{
    mem *m = c->server->mem;

    for (size_t i = 0; i < c->count; i++) {
        mem_free(m, c->targets[i].endpoint);
        mem_free(m, c->targets[i].name);
        mem_free(m, c->targets[i].why);
    }
    mem_free(m, c->targets);
    lwm2m_order_done(m, &c->order);
    lwm2m_parts_free(c->parts);
    mem_free(m, c->path);
    mem_free(m, c);
}

static void release(campaign *c)
{
    if (--c->holds == 0 && c->gone) campaign_free(c);
}

static void forget(campaign *c)
{
    c->gone = true;
    timer_stop(&c->turn);
    list_remove(&c->link);
    c->server->campaign_count--;
    for (size_t i = 0; i < c->count; i++) {
        if (c->targets[i].fate != BUSY) continue;
        lwm2m_flash_abandon(c->server, &c->targets[i], NULL);
        lwm2m_parts_abandon(c->server, &c->targets[i], NULL);
    }
    c->holds++;
    release(c);
}

campaign *campaign_find(lwm2m_server *s, const char *path)
{
    list_each (it, &s->campaigns)
        if (strcmp(list_of(it, campaign, link)->path, path) == 0) return list_of(it, campaign, link);
    return NULL;
}

void lwm2m_campaigns_done(lwm2m_server *s)
{
    while (!list_empty(&s->campaigns)) forget(list_of(s->campaigns.next, campaign, link));
}

/* ---- Telling */

static int put_head(const campaign *c, buf *out)
{
    static const char *const states[] = {"running", "paused", "stopped", "over"};
    int rc = buf_text(out, "{\"campaign\":");

    if (rc == 0) rc = json_put_string(out, strrchr(c->path, '/') + 1, strlen(strrchr(c->path, '/') + 1));
    if (rc == 0) rc = buf_print(out, ",\"do\":\"%s\",\"state\":\"%s\",\"total\":%zu", c->verb->name, states[c->state], c->count);
    for (int i = 0; i < FATES && rc == 0; i++) rc = buf_print(out, ",\"%s\":%zu", fates[i], c->of[i]);
    return rc;
}

static int put_target(const target *t, buf *out)
{
    int rc = buf_print(out, "{\"state\":\"%s\",\"tries\":%u,\"result\":%lld", fates[t->fate], t->tries, (long long)t->result);

    if (rc == 0 && t->why) rc = buf_text(out, ",\"why\":");
    if (rc == 0 && t->why) rc = json_put_string(out, t->why, strlen(t->why));
    return rc < 0 ? rc : buf_text(out, "}");
}

/* t: to whom it happened; NULL: to the campaign. */
static void tell(campaign *c, const target *t)
{
    char path[1024];
    buf b;
    int rc;

    snprintf(path, sizeof path, "%s/!progress", c->path);
    buf_init(&b, c->server->mem, 0);
    rc = put_head(c, &b);
    if (rc == 0 && t) rc = buf_text(&b, ",\"device\":");
    if (rc == 0 && t) rc = json_put_string(&b, t->endpoint, strlen(t->endpoint));
    if (rc == 0 && t) rc = buf_text(&b, ",\"outcome\":");
    if (rc == 0 && t) rc = put_target(t, &b);
    if (rc == 0) rc = buf_text(&b, "}");
    if (rc == 0) lwm2m_say(c->server, path, b.data, b.len);
    buf_done(&b);
}

/* ---- Going on */

static void become(target *t, fate to)
{
    campaign *c = t->campaign;

    c->of[t->fate]--;
    c->of[to]++;
    t->fate = to;
    list_remove(&t->link);
    if (to == WAITING) list_push(&c->waiting, &t->link);
}

static void on_turn(timer *turn);

static void on_triggers(void *user)
{
    target *t = user;

    t->triggered = true;
    campaign_keep_target(t);
}

static void on_said(void *user, const lwm2m_parts_state *so_far)
{
    target *t = user;

    t->is = *so_far;
    campaign_keep_target(t);
}

static void ended(target *t, const char *failed, int64_t result)
{
    campaign *c = t->campaign;
    bool again = failed && t->tries <= c->retries && c->state != STOPPED;

    c->holds++;
    mem_free(c->server->mem, t->why);
    t->why = failed ? mem_text(c->server->mem, failed) : NULL;
    t->result = result;
    become(t, !failed ? DONE : again ? WAITING : FAILED);
    campaign_keep_target(t);
    if (!c->gathers) timer_start(&c->turn, c->server->loop, 0, on_turn);
    tell(c, t);
    release(c);
}

static void on_outcome(void *user, const char *failed, int64_t result) { ended(user, failed, result); }

static lwm2m_order order_for(target *t)
{
    lwm2m_order order = t->campaign->order;

    order.done = on_outcome;
    order.triggers = on_triggers;
    order.user = t;
    return order;
}

static void begin(target *t)
{
    campaign *c = t->campaign;
    lwm2m_device *d = lwm2m_find(c->server, t->name);
    lwm2m_order order = order_for(t);
    int rc;

    become(t, BUSY);
    t->tries++;
    t->triggered = false;
    t->is = (lwm2m_parts_state){0};
    campaign_keep_target(t);
    if (!d || (!c->parts && !lwm2m_is_packed(&order))) {
        ended(t, d ? LWM2M_UNPACKED : "not registered", 0);
        return;
    }
    rc = c->parts ? lwm2m_parts_begin(d, c->parts, &(lwm2m_parts_how){on_outcome, on_said, t}) : lwm2m_flash_begin(d, &order);
    if (rc < 0) ended(t, rc == BRIDGE_CONFLICT ? "another update is under way" : bridge_status_text(rc), 0);
}

void campaign_resume(target *t)
{
    campaign *c = t->campaign;
    lwm2m_order order = order_for(t);
    int rc = c->parts ? lwm2m_parts_resume(c->server, t->name, c->parts, &t->is, &(lwm2m_parts_how){on_outcome, on_said, t})
                      : lwm2m_flash_resume(c->server, t->name, &order, t->triggered);

    if (rc < 0) ended(t, bridge_status_text(rc), 0);
}

static void on_turn(timer *turn)
{
    campaign *c = list_of(turn, campaign, turn);

    c->gathers = false;
    c->holds++;
    while (!c->gone && c->state == RUNNING && c->of[BUSY] < c->at_once && !list_empty(&c->waiting))
        begin(list_of(c->waiting.next, target, link));
    if (!c->gone && c->state == RUNNING && !c->of[BUSY] && !c->of[WAITING]) {
        c->state = FINISHED;
        campaign_keep_state(c);
        tell(c, NULL);
    }
    release(c);
}

static void set(campaign *c, state to)
{
    c->state = to;
    campaign_keep_state(c);
    if (to == RUNNING && !c->gathers) timer_start(&c->turn, c->server->loop, 0, on_turn);
    tell(c, NULL);
}

static void stop(campaign *c)
{
    c->holds++;
    c->state = STOPPED;
    campaign_keep_state(c);
    while (!list_empty(&c->waiting)) {
        target *t = list_of(c->waiting.next, target, link);

        become(t, LEFT);
        campaign_keep_target(t);
    }
    for (size_t i = 0; i < c->count && !c->gone; i++) {
        if (c->targets[i].fate != BUSY) continue;
        lwm2m_flash_abandon(c->server, &c->targets[i], "stopped");
        lwm2m_parts_abandon(c->server, &c->targets[i], "stopped");
    }
    if (!c->gone) tell(c, NULL);
    release(c);
}

static void retry(campaign *c)
{
    for (size_t i = 0; i < c->count; i++) {
        target *t = &c->targets[i];

        if (t->fate != FAILED && t->fate != LEFT) continue;
        t->tries = 0;
        become(t, WAITING);
        campaign_keep_target(t);
    }
    set(c, RUNNING);
}

/* ---- What is wanted */

static uint64_t number(const node *body, const char *name, uint64_t otherwise, uint64_t most)
{
    const node *n = lwm2m_member(body, name, ITEM_INT);

    if (!n || n->it.i < 0) return otherwise;
    return (uint64_t)n->it.i > most ? most : (uint64_t)n->it.i;
}

int campaign_add(campaign *c, const lwm2m_port *p, text endpoint)
{
    mem *m = c->server->mem;
    target *t;

    if (mem_grow(m, (void **)&c->targets, &c->room, c->count, sizeof *c->targets) < 0) return BRIDGE_NOMEM;
    t = &c->targets[c->count++];
    *t = (target){.campaign = c, .endpoint = mem_text_len(m, endpoint.p, endpoint.len), .name = lwm2m_name_new(m, p->mount, endpoint)};
    return t->endpoint && t->name ? 0 : BRIDGE_NOMEM;
}

static int add_all(campaign *c, const lwm2m_port *p)
{
    size_t len = strlen(p->mount);
    int rc = 0;

    list_each (it, &c->server->devices) {
        const lwm2m_device *d = list_of(it, lwm2m_device, link);

        if (rc == 0 && strncmp(d->name, p->mount, len) == 0 && d->name[len] == '/') rc = campaign_add(c, p, text_of(d->endpoint));
    }
    return rc;
}

void campaign_settle(campaign *c)
{
    for (size_t i = 0; i < c->count; i++) {
        target *t = &c->targets[i];

        list_init(&t->link);
        if (t->fate == WAITING) list_push(&c->waiting, &t->link);
        c->of[t->fate]++;
    }
}

static int take_targets(campaign *c, const lwm2m_port *p, const node *body)
{
    const node *said = lwm2m_member(body, "devices", ITEM_LIST), *all = lwm2m_member(body, "devices", ITEM_STRING);
    int rc = said ? 0 : all && item_is(&all->it, "all") ? add_all(c, p) : BRIDGE_UNPROCESSABLE;

    for (const node *n = said ? said->first : NULL; n && rc == 0; n = n->next) {
        if (n->it.kind != ITEM_STRING) rc = BRIDGE_UNPROCESSABLE;
        else if (c->count >= p->limits.max_devices) rc = BRIDGE_TOOBIG;
        else rc = campaign_add(c, p, (text){n->it.p, n->it.len});
    }
    campaign_settle(c);
    return rc;
}

static int take_order(campaign *c, const lwm2m_port *p, const node *body, const char **why)
{
    const node *what = lwm2m_member(body, "do", ITEM_STRING);
    int rc;

    c->verb = lwm2m_verb_of(what ? (text){what->it.p, what->it.len} : text_of("update-firmware"));
    if (!c->verb) {
        *why = "do: one of update-firmware, install-software, update-components ... is wanted";
        return BRIDGE_UNPROCESSABLE;
    }
    if (c->verb->kind == LWM2M_PARTS) return lwm2m_parts_read(&c->parts, c->server, p->lister, body, why);
    c->order = (lwm2m_order){.kind = c->verb->kind, .way = c->verb->way, .object = lwm2m_plan_of(c->verb->kind)->object};
    c->order.instance = (uint16_t)number(body, "instance", 0, UINT16_MAX - 1);
    rc = lwm2m_order_read(c->server, p->lister, body, &c->order);
    if (rc == 0 && lwm2m_plan_of(c->verb->kind)->package >= 0 && !c->order.package && !c->order.uri) {
        *why = "a package (base64) or a uri is wanted";
        rc = BRIDGE_UNPROCESSABLE;
    }
    return rc;
}

campaign *campaign_alloc(const lwm2m_port *p, const char *path)
{
    campaign *c = mem_new(p->server->mem, campaign);

    if (!c) return NULL;
    c->server = p->server;
    list_init(&c->link);
    list_init(&c->waiting);
    c->path = mem_text(c->server->mem, path);
    if (c->path) return c;
    mem_free(p->server->mem, c);
    return NULL;
}

void campaign_enter(campaign *c, int64_t wait)
{
    list_push(&c->server->campaigns, &c->link);
    c->server->campaign_count++;
    timer_start(&c->turn, c->server->loop, wait, on_turn);
}

static int campaign_new(const lwm2m_port *p, const char *path, const node *body, campaign **out, const char **why)
{
    campaign *c = campaign_alloc(p, path);
    int rc;

    if (!c) return BRIDGE_NOMEM;
    c->at_once = number(body, "at_once", CAMPAIGN_AT_ONCE, CAMPAIGN_AT_ONCE_MAX);
    if (!c->at_once) c->at_once = 1;
    c->retries = number(body, "retries", 0, CAMPAIGN_RETRIES_MAX);
    rc = take_order(c, p, body, why);
    if (rc == 0 && (rc = take_targets(c, p, body)) == BRIDGE_UNPROCESSABLE) *why = "devices: a list of endpoint names, or \"all\", is wanted";
    if (rc < 0)
        campaign_free(c);
    else
        *out = c;
    return rc;
}

static void discard(campaign *c)
{
    lwm2m_rows_drop(c->server, c->path);
    forget(c);
}

static int create(lwm2m_port *p, const bridge_fields *f, const char **why)
{
    lwm2m_server *s = p->server;
    campaign *before = campaign_find(s, f->path), *c = NULL;
    bridge_scratch room;
    node *root = NULL;
    int rc;

    if (before && before->state < STOPPED) return BRIDGE_CONFLICT;
    if (!before && s->campaign_count >= CAMPAIGNS_MAX) return BRIDGE_BUSY;
    scratch_init(&room, s->mem);
    rc = node_read(&room, BRIDGE_JSON, f->data, f->len, &root, NULL);
    if (rc < 0) *why = "JSON is wanted";
    if (rc == 0) rc = campaign_new(p, f->path, root, &c, why);
    scratch_done(&room);
    if (rc < 0) return rc;
    if (before) discard(before);
    campaign_enter(c, 0);
    campaign_keep(c);
    set(c, RUNNING);
    return BRIDGE_OK;
}

/* ---- Questions */

static int order(campaign *c, const char *op)
{
    bool goes_on = c->state < STOPPED;

    if (strcmp(op, "!pause") == 0 && c->state == RUNNING) set(c, PAUSED);
    else if (strcmp(op, "!resume") == 0 && c->state == PAUSED) set(c, RUNNING);
    else if (strcmp(op, "!stop") == 0 && goes_on) stop(c);
    else if (strcmp(op, "!retry") == 0 && !goes_on) retry(c);
    else if (strcmp(op, "!pause") && strcmp(op, "!resume") && strcmp(op, "!stop") && strcmp(op, "!retry")) return BRIDGE_NOTFOUND;
    else return BRIDGE_CONFLICT;
    return BRIDGE_OK;
}

static int put_campaign(const campaign *c, buf *out)
{
    int rc = put_head(c, out);

    if (rc == 0) rc = buf_text(out, ",\"devices\":{");
    for (size_t i = 0; i < c->count && rc == 0; i++) {
        if (i) rc = buf_text(out, ",");
        if (rc == 0) rc = json_put_string(out, c->targets[i].endpoint, strlen(c->targets[i].endpoint));
        if (rc == 0) rc = buf_text(out, ":");
        if (rc == 0) rc = put_target(&c->targets[i], out);
    }
    return rc < 0 ? rc : buf_text(out, "}}");
}

static int put_all(const lwm2m_port *p, const char *path, buf *out)
{
    size_t len = strlen(path);
    unsigned told = 0;
    int rc = buf_text(out, "[");

    list_each (it, &p->server->campaigns) {
        const campaign *c = list_of(it, campaign, link);

        if (rc < 0 || strncmp(c->path, path, len) != 0) continue;
        if (told++) rc = buf_text(out, ",");
        if (rc == 0) rc = put_head(c, out);
        if (rc == 0) rc = buf_text(out, "}");
    }
    return rc < 0 ? rc : buf_text(out, "]");
}

static int read_out(const lwm2m_port *p, const char *path, bool all, bridge_msg **out)
{
    bridge_fields f = {.size = sizeof f, .path = path, .format = BRIDGE_JSON};
    const campaign *c = campaign_find(p->server, path);
    buf b;
    int rc;

    if (!all && !c) return BRIDGE_NOTFOUND;
    buf_init(&b, p->server->mem, port_limits(p->coap.port)->max_message);
    rc = all ? put_all(p, path, &b) : put_campaign(c, &b);
    f.data = b.data;
    f.len = b.len;
    if (rc == 0) rc = bridge_peer_msg(p->lister, &f, out);
    buf_done(&b);
    return rc;
}

static int change(lwm2m_port *p, bridge_verb verb, const bridge_fields *f, const char **why)
{
    const char *op = strstr(f->path, "/!campaigns/") + 12;
    char path[1024];
    campaign *c;

    if (!*op || *op == '/') return BRIDGE_INVALID; /* of no name */
    op = strchr(op, '/');
    snprintf(path, sizeof path, "%.*s", op ? (int)(op - f->path) : 1000, f->path);
    if (!op && verb == BRIDGE_POST) return create(p, f, why);
    c = campaign_find(p->server, path);
    if (!c) return BRIDGE_NOTFOUND;
    if (op) return verb == BRIDGE_POST || verb == BRIDGE_PUT ? order(c, op + 1) : BRIDGE_METHOD;
    if (verb != BRIDGE_DELETE) return BRIDGE_METHOD;
    c->holds++;
    if (c->state < STOPPED) stop(c);
    if (!c->gone) discard(c);
    release(c);
    return BRIDGE_OK;
}

static void on_call(void *user, bridge_call *call)
{
    lwm2m_port *p = user;
    bridge_fields f = {.size = sizeof f}, said = {.size = sizeof said, .format = BRIDGE_TEXT};
    const char *name = bridge_call_capture(call, "path"), *why = NULL;
    bridge_msg *msg = NULL;
    int rc;

    bridge_msg_look(bridge_call_msg(call), &f);
    if (bridge_call_verb(call) == BRIDGE_GET)
        rc = read_out(p, f.path, !name, &msg);
    else
        rc = name ? change(p, bridge_call_verb(call), &f, &why) : BRIDGE_METHOD;
    said.path = f.path;
    said.data = why;
    said.len = why ? strlen(why) : 0;
    if (rc < 0 && why) bridge_peer_msg(p->lister, &said, &msg);
    if (rc >= 0 && !msg)
        lwm2m_reply_kept(p, call, rc);
    else
        bridge_call_reply(call, rc, msg);
    bridge_msg_unref(msg);
}

void lwm2m_campaigns_own(lwm2m_port *p)
{
    static const bridge_owner_fns fns = {.size = sizeof fns, .call = on_call};
    bridge_owner *owner;
    char path[1024];

    snprintf(path, sizeof path, "%s/!campaigns", p->mount);
    bridge_peer_own(p->lister, path, &fns, p, &owner);
    snprintf(path, sizeof path, "%s/!campaigns/{path...}", p->mount);
    bridge_peer_own(p->lister, path, &fns, p, &owner);
}
