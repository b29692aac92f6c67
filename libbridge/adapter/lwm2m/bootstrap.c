/* The bootstrap server (LwM2M 1.0 5.2, 1.1 6.1, 1.2 6.1): what a device is given before it registers anywhere.
 *
 *      POST /bs?ep= --2.04--> [Discover, Read] --> Delete ... --> Write ... --> Finish (POST /bs) --> done
 *      GET /bspack?ep=        the same in one answer (1.2)      \-- any of them refused: failed, and told at DEVICE/!bootstrap
 *
 * What it is given says the application, as the resource MOUNT/!bootstrap/ENDPOINT, or the file bootstrap=FILE:
 *
 *      {"lamp-7": {"write": {"/0/0": {"0": "coaps://...", "1": false}, "/1/0": {...}}, "delete": ["/0", "/1"], "read": ["/1"], "discover": true},
 *       "default": {...}}      in which "{endpoint}" is the device's name */
#include "adapter/lwm2m/lwm2m.h"
#include "base/status.h"
#include "base/textfile.h"
#include "codec/json.h"
#include "codec/node.h"
#include "codec/scratch.h"
#include <stdio.h>

enum { STEPS_MAX = 256, STEP_PATIENCE = 60000 };

typedef struct step {
    uint8_t code;
    oma_path path;
    int accept;
    bool is_finish;
    char *json; /* what is written */
} step;

typedef struct boot {
    lwm2m_device *d; /* a guest; or one that is registered (1.0, initiated by us) */
    coap_request *request; /* of a pack that waits for the application */
    bridge_peer *asker;
    bridge_ticket *ticket;
    step *steps;
    size_t count, room, at;
    int wish; /* index into formats */
    int preferred;
    lwm2m_op *op;
    bool guest;
} boot;

static const int formats[] = {BRIDGE_TLV, BRIDGE_SENML_CBOR, BRIDGE_SENML_JSON, BRIDGE_LWM2M_CBOR};
enum { FORMATS = sizeof formats / sizeof *formats };

static void next(boot *b);

/* ---- Life */

static void boot_free(boot *b)
{
    lwm2m_device *d = b->d;
    mem *m = d->server->mem;

    for (size_t i = 0; i < b->count; i++) mem_free(m, b->steps[i].json);
    mem_free(m, b->steps);
    if (b->request) b->request->user = NULL; /* nobody answers it any more */
    bridge_ticket_cancel(b->ticket);
    bridge_peer_free(b->asker);
    d->boot = NULL;
    lwm2m_op_cancel(b->op, false);
    if (b->guest) lwm2m_remove(d, LWM2M_GONE_CLOSED);
    lwm2m_release(d);
    mem_free(m, b);
}

static void over(boot *b, const char *status, const step *s, const char *why)
{
    char more[400], path[LWM2M_PATH_TEXT] = "";
    buf quoted;

    if (s && !s->is_finish) lwm2m_path_text(&s->path, path);
    buf_init(&quoted, b->d->server->mem, 200);
    if (why) json_put_string(&quoted, why, strlen(why));
    snprintf(more, sizeof more, ",\"bootstrap\":\"%s\"%s%s%s%s%.*s", status, s ? ",\"step\":\"" : "", s ? s->is_finish ? "finish" : path : "",
             s ? "\"" : "", why ? ",\"why\":" : "", (int)quoted.len, quoted.data ? (const char *)quoted.data : "");
    buf_done(&quoted);
    if (!b->d->gone) lwm2m_event(b->d, "bootstrap", more);
    boot_free(b);
}

bool lwm2m_boot_dropped(lwm2m_server *s, coap_request *r)
{
    list_each (it, &s->guests) {
        boot *b = list_of(it, lwm2m_device, link)->boot;

        if (!b || b != r->user) continue;
        b->request = NULL;
        return true;
    }
    return false;
}

void lwm2m_boot_lost(lwm2m_device *d)
{
    boot *b = d->boot;

    if (!b) return;
    b->guest = false; /* it is being removed already */
    boot_free(b);
}

/* ---- Steps */

static void tell_found(boot *b, const step *s, const coap_answer *answer)
{
    static const lwm2m_view plain = {-1, false};
    int format = answer->meta->has & COAP_HAS_CONTENT_FORMAT ? answer->meta->format : -1;
    bridge_msg *msg = NULL;
    char path[1100], place[LWM2M_PATH_TEXT];

    lwm2m_path_text(&s->path, place);
    snprintf(path, sizeof path, "%s/!bootstrap%s", b->d->name, s->path.count ? place : "");
    if (s->accept == BRIDGE_LINKS)
        lwm2m_msg(b->d, path, BRIDGE_LINKS, answer->body, answer->body_len, &msg);
    else
        lwm2m_value_msg(b->d, path, &s->path, format, answer->body, answer->body_len, &plain, &msg, NULL);
    if (msg) bridge_peer_submit(lwm2m_voice(b->d), BRIDGE_POST, msg, NULL, NULL, NULL, NULL, NULL);
    bridge_msg_unref(msg);
}

static void on_step(void *user, int status, const coap_answer *answer)
{
    boot *b = user;
    const step *s = &b->steps[b->at];
    char why[100];

    b->op = NULL;
    if (status == 0) status = lwm2m_status_of(answer->code);
    if (status == BRIDGE_FORMAT && s->json && b->wish + 1 < FORMATS) {
        b->wish++;
        b->preferred = -1;
        next(b);
        return;
    }
    if (status == BRIDGE_NOTFOUND && s->code == COAP_DELETE) status = 0; /* there was nothing to delete */
    if (status < 0) {
        snprintf(why, sizeof why, "%s", s->is_finish && status == BRIDGE_NOTACCEPTABLE ? "the device finds it inconsistent" : bridge_status_text(status));
        over(b, "failed", s, why);
        return;
    }
    if (s->code == COAP_GET && b->d->peer) tell_found(b, s, answer);
    b->at++;
    next(b);
}

static int write_step(boot *b, const step *s, lwm2m_question *q, buf *out, bridge_error *err)
{
    bridge_format format = BRIDGE_JSON;
    int wish = b->preferred >= 0 ? b->preferred : formats[b->wish];
    int rc = lwm2m_value_write(b->d, &s->path, wish, &format, s->json, strlen(s->json), out, err);

    q->data = out->data;
    q->len = out->len;
    q->format = (int)format;
    return rc;
}

static void next(boot *b)
{
    const step *s;
    lwm2m_question q = {.accept = -1, .format = -1, .patience = STEP_PATIENCE};
    bridge_error err = {0};
    buf out;
    int rc = 0;

    if (b->at == b->count) {
        over(b, "done", NULL, NULL);
        return;
    }
    s = &b->steps[b->at];
    q.code = s->code;
    q.path = s->path;
    q.accept = s->accept;
    q.is_bootstrap = s->is_finish;
    buf_init(&out, b->d->server->mem, 0);
    if (s->json) rc = write_step(b, s, &q, &out, &err);
    if (rc == 0) rc = lwm2m_ask(b->d, &q, on_step, b, &b->op);
    buf_done(&out);
    if (rc < 0) over(b, "failed", s, *err.text ? err.text : bridge_status_text(rc));
}

/* ---- What it is given */

static int add_step(boot *b, uint8_t code, text path, int accept, const node *value)
{
    mem *m = b->d->server->mem;
    step s = {.code = code, .accept = accept};
    text op;
    buf json;
    int rc;

    if (path.len && *path.p == '/') path.p++, path.len--;
    if (!lwm2m_path_read(b->d->server, path, &s.path, &op) || op.p) return BRIDGE_INVALID;
    if (b->count == STEPS_MAX) return BRIDGE_TOOBIG;
    rc = mem_grow(m, (void **)&b->steps, &b->room, b->count, sizeof *b->steps);
    if (rc == 0 && value) {
        buf_init(&json, m, 0);
        rc = node_write(value, BRIDGE_JSON, &json, NULL);
        if (rc == 0 && !(s.json = mem_text_len(m, (const char *)json.data, json.len))) rc = BRIDGE_NOMEM;
        buf_done(&json);
    }
    if (rc == 0) b->steps[b->count++] = s;
    return rc;
}

static int add_list(boot *b, const node *paths, uint8_t code)
{
    int rc = 0;

    for (const node *n = paths && paths->it.kind == ITEM_LIST ? paths->first : NULL; n && rc == 0; n = n->next)
        rc = n->it.kind == ITEM_STRING ? add_step(b, code, (text){n->it.p, n->it.len}, -1, NULL) : BRIDGE_INVALID;
    return rc;
}

static int take_plan(boot *b, const node *plan)
{
    const node *wanted = node_of(plan, "discover"), *writes = node_of(plan, "write");
    int rc = plan->it.kind == ITEM_MAP ? 0 : BRIDGE_INVALID;

    if (rc == 0 && wanted && wanted->it.kind == ITEM_BOOL && wanted->it.b) rc = add_step(b, COAP_GET, (text){"", 0}, BRIDGE_LINKS, NULL);
    if (rc == 0) rc = add_list(b, node_of(plan, "read"), COAP_GET);
    if (rc == 0) rc = add_list(b, node_of(plan, "delete"), COAP_DELETE);
    for (const node *n = writes && writes->it.kind == ITEM_MAP ? writes->first : NULL; n && rc == 0; n = n->next)
        rc = n->key && n->key->kind == ITEM_STRING ? add_step(b, COAP_PUT, (text){n->key->p, n->key->len}, -1, n) : BRIDGE_INVALID;
    if (rc == 0) rc = add_step(b, COAP_POST, (text){"", 0}, -1, NULL);
    if (rc == 0) b->steps[b->count - 1].is_finish = true;
    return rc;
}

/* "{endpoint}" becomes the name, as JSON spells it. */
static int fill_in(const lwm2m_device *d, text said, buf *out)
{
    static const char place[] = "{endpoint}";
    buf name;
    int rc;

    buf_init(&name, d->server->mem, 0);
    rc = json_put_string(&name, d->endpoint, strlen(d->endpoint));
    while (rc == 0 && said.len) {
        const char *at = memmem(said.p, said.len, place, sizeof place - 1);
        size_t before = at ? (size_t)(at - said.p) : said.len;

        rc = buf_put(out, said.p, before);
        if (rc == 0 && at) rc = buf_put(out, name.data + 1, name.len - 2);
        said.p += before + (at ? sizeof place - 1 : 0);
        said.len -= before + (at ? sizeof place - 1 : 0);
    }
    buf_done(&name);
    return rc;
}

static void answer_pack(boot *b, const node *plan)
{
    bridge_format format = BRIDGE_JSON;
    const node *writes = node_of(plan, "write");
    static const oma_path root = {0};
    buf json, out;
    int rc;

    buf_init(&json, b->d->server->mem, 0);
    buf_init(&out, b->d->server->mem, 0);
    rc = writes ? node_write(writes, BRIDGE_JSON, &json, NULL) : BRIDGE_NOTFOUND;
    if (rc == 0) rc = lwm2m_value_write(b->d, &root, b->preferred, &format, json.data, json.len, &out, NULL);
    if (rc < 0)
        coap_answer_status(b->request, rc, BRIDGE_GET, NULL);
    else
        coap_respond(b->request, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(format), .data = out.data, .len = out.len));
    b->request = NULL;
    buf_done(&json);
    buf_done(&out);
}

static void refuse(boot *b, int status)
{
    if (b->request) coap_answer_status(b->request, status, BRIDGE_POST, NULL);
    b->request = NULL;
    over(b, "failed", NULL, status == BRIDGE_NOTFOUND ? "nothing is known of it" : bridge_status_text(status));
}

/* said: a plan, or (file) plans by endpoint. */
static void begin(boot *b, text said, bool of_all)
{
    bridge_scratch s;
    node *root = NULL;
    const node *plan;
    buf filled;
    int rc;

    scratch_init(&s, b->d->server->mem);
    buf_init(&filled, b->d->server->mem, 0);
    rc = fill_in(b->d, said, &filled);
    if (rc == 0) rc = node_read(&s, BRIDGE_JSON, filled.data, filled.len, &root, NULL);
    plan = root;
    if (rc == 0 && of_all && !(plan = node_of(root, b->d->endpoint)) && !(plan = node_of(root, "default"))) rc = BRIDGE_NOTFOUND;
    if (rc == 0 && b->request && b->request->code == COAP_GET) {
        answer_pack(b, plan);
        over(b, "packed", NULL, NULL);
        rc = 1;
    }
    if (rc == 0) rc = take_plan(b, plan);
    buf_done(&filled);
    scratch_done(&s);
    if (rc > 0) return;
    if (rc < 0) {
        refuse(b, rc);
        return;
    }
    if (b->request) b->request->user = NULL;
    if (b->request) coap_respond(b->request, COAP_REPLY(.code = COAP_CHANGED));
    b->request = NULL;
    b->d->ready = true;
    next(b);
}

static void begin_with_file(boot *b)
{
    const char *name = b->d->port->bootstrap;
    buf file;

    if (!name || textfile_read(&file, b->d->server->mem, name, NULL) < 0) {
        refuse(b, BRIDGE_NOTFOUND);
        return;
    }
    begin(b, (text){(const char *)file.data, file.len}, true);
    textfile_drop(&file);
}

static void on_plan(void *user, int status, bridge_msg *reply)
{
    boot *b = user;
    bridge_fields f = {.size = sizeof f};

    b->ticket = NULL;
    if (status == BRIDGE_NOTFOUND) {
        begin_with_file(b);
    } else if (status < 0 || !reply) {
        refuse(b, status < 0 ? status : BRIDGE_NOTFOUND);
    } else {
        bridge_msg_look(reply, &f);
        begin(b, (text){f.data, f.len}, false);
    }
}

/* The application is asked first: it may own MOUNT/!bootstrap/{endpoint}. */
static void ask_plan(boot *b)
{
    const lwm2m_device *d = b->d;
    char path[1100];
    bridge_msg *question = NULL, *reply = NULL;
    int rc = b->asker ? 0 : BRIDGE_NOMEM;

    snprintf(path, sizeof path, "%s/!bootstrap%s", d->port->mount, d->name + strlen(d->port->mount));
    if (rc == 0) rc = bridge_peer_msg(b->asker, BRIDGE_FIELDS(.path = path), &question);
    if (rc == 0) rc = bridge_peer_submit(b->asker, BRIDGE_GET, question, NULL, &reply, on_plan, b, &b->ticket);
    if (rc == BRIDGE_PENDING && b->request && (b->request = coap_request_keep(b->request))) b->request->user = b;
    if (rc != BRIDGE_PENDING) on_plan(b, rc, reply);
    bridge_msg_unref(reply);
    bridge_msg_unref(question);
}

static boot *boot_new(lwm2m_device *d, bool guest)
{
    boot *b = mem_new(d->server->mem, boot);

    if (!b) return NULL;
    b->d = d;
    b->guest = guest;
    b->preferred = -1;
    lwm2m_hold(d);
    d->boot = b;
    if (bridge_peer_new(&b->asker, d->server->home, "bootstrap", NULL, BRIDGE_PEER_CANONICAL | BRIDGE_PEER_INSIDE, d) < 0) b->asker = NULL;
    return b;
}

int lwm2m_boot(lwm2m_device *d)
{
    boot *b = d->boot ? NULL : boot_new(d, false);

    if (!b) return d->boot ? BRIDGE_CONFLICT : BRIDGE_NOMEM;
    ask_plan(b);
    return BRIDGE_OK;
}

void lwm2m_serve_bootstrap(lwm2m_port *p, coap_request *r, text endpoint, int format, const char *identity)
{
    lwm2m_device *d = NULL;
    boot *b;
    int rc = lwm2m_guest(p, r->peer, endpoint, identity, &d);

    if (rc < 0) {
        coap_answer_status(r, rc, BRIDGE_POST, NULL);
        return;
    }
    b = boot_new(d, true);
    if (!b) {
        coap_answer_status(r, BRIDGE_NOMEM, BRIDGE_POST, NULL);
        lwm2m_remove(d, LWM2M_GONE_CLOSED);
        return;
    }
    b->request = r;
    b->preferred = format;
    ask_plan(b);
}
