/* A question to a path of a device becomes an operation (docs/lwm2m.md, MAPPING 6):
 *
 *      GET      Read; wanted as link-format: Discover;    POST  object: Create, instance: partial Write, resource: Execute
 *      PUT      Write; "?pmin=" and no payload:           PATCH partial Write; of the device itself: Write-Composite
 *               Write-Attributes                          DELETE
 *      any verb at PATH/!read, !write, !patch, !execute, !discover, !create, !delete, !write-attributes, !observe, !cancel,
 *      !read-composite, !write-composite; !update-firmware, !install-software ... (flash_ask.c) */
#include "adapter/lwm2m/errand.h"
#include "base/status.h"
#include "codec/json.h"
#include "core/message.h"
#include <stdio.h>

static const char *const kind_names[KINDS] = {"read",    "discover", "write",          "patch",          "create",  "execute",
                                              "delete",  "write-attributes", "read-composite", "write-composite", "observe", "cancel",
                                              "cancel-update", "start-bootstrap", "observe-composite", "cancel-composite"};

static const int no_wishes[] = {-1};

static void errand_free(errand *e)
{
    lwm2m_device *d = e->d;

    bridge_call_unref(e->call);
    mem_free(d->server->mem, e->query);
    mem_free(d->server->mem, e);
    lwm2m_release(d);
}

/* ---- Answers */

/* MQTT 3.1.1 has no place for answers: they come at PATH/!result. */
static void tell_result(const errand *e, int status, const bridge_fields *reply)
{
    lwm2m_device *d = e->d;
    char path[1024], place[LWM2M_PATH_TEXT];
    bridge_msg *msg = NULL;
    buf out;
    int rc;

    lwm2m_path_text(&e->at, place);
    snprintf(path, sizeof path, "%s%s/!result", d->name, e->at.count ? place : "");
    buf_init(&out, d->server->mem, 0);
    rc = buf_print(&out, "{\"op\":\"%s\",\"path\":\"%s\",\"status\":\"%s\"", e->verb ? e->verb->name : kind_names[e->kind], place, bridge_status_name(status));
    if (rc == 0 && reply && reply->len) rc = buf_text(&out, ",\"value\":");
    if (rc == 0 && reply && reply->len && reply->format == BRIDGE_JSON) rc = buf_put(&out, reply->data, reply->len);
    if (rc == 0 && reply && reply->len && reply->format != BRIDGE_JSON) {
        if (text_is_utf8(reply->data, reply->len))
            rc = json_put_string(&out, reply->data, reply->len);
        else
            rc = buf_text(&out, "null");
    }
    if (rc == 0) rc = buf_text(&out, "}");
    if (rc == 0 && d->peer)
        rc = lwm2m_msg(d, path, BRIDGE_JSON, out.data, out.len, &msg);
    if (rc == 0 && msg) bridge_peer_submit(d->peer, BRIDGE_POST, msg, NULL, NULL, NULL, NULL, NULL);
    bridge_msg_unref(msg);
    buf_done(&out);
}

/* It has been answered. */
static void errand_over(errand *e, int status, bridge_msg *msg)
{
    bridge_fields f = {.size = sizeof f};

    if (e->tell && !e->d->gone) tell_result(e, status, msg ? bridge_msg_look(msg, &f) : NULL);
    errand_free(e);
}

void errand_reply(errand *e, int status, bridge_msg *msg)
{
    bridge_call_reply(e->call, status, msg);
    errand_over(e, status, msg);
}

void errand_fail(errand *e, int status, const char *why)
{
    bridge_msg *msg = NULL;
    bridge_fields f = {.size = sizeof f};
    const char *path = bridge_msg_look(bridge_call_msg(e->call), &f)->path;

    if (why && *why && e->d->peer)
        lwm2m_msg(e->d, path, BRIDGE_TEXT, why, strlen(why), &msg);
    errand_reply(e, status, msg);
    bridge_msg_unref(msg);
}

static int reply_links(errand *e, const char *path, const coap_answer *answer, bridge_msg **out)
{
    return lwm2m_msg(e->d, path, BRIDGE_LINKS, answer->body, answer->body_len, out);
}

static int reply_location(errand *e, const char *path, const coap_answer *answer, bridge_msg **out)
{
    coap_options walk = coap_options_of(answer->packet);
    coap_option o;
    buf where;
    int rc = 0;

    buf_init(&where, e->d->server->mem, 4096);
    while (coap_next_option(&walk, &o) && rc == 0) {
        if (o.number != COAP_LOCATION_PATH) continue;
        rc = buf_print(&where, "/%.*s", (int)o.len, (const char *)o.p);
    }
    if (rc == 0 && where.len)
        rc = lwm2m_msg(e->d, path, BRIDGE_TEXT, where.data, where.len, out);
    buf_done(&where);
    return rc;
}

/* What it answers in, it likes to be asked in. */
static void learn_format(lwm2m_device *d, int format)
{
    if (d->format_known || !(format == BRIDGE_TLV || format == BRIDGE_SENML_JSON || format == BRIDGE_SENML_CBOR || format == BRIDGE_LWM2M_JSON ||
                             format == BRIDGE_LWM2M_CBOR || format == 1542 || format == 1543))
        return;
    d->format = (uint16_t)format;
    d->format_known = true;
}

static void take_answer(errand *e, const coap_answer *answer)
{
    bridge_fields f = {.size = sizeof f};
    const char *path = bridge_msg_look(bridge_call_msg(e->call), &f)->path;
    int format = answer->meta->has & COAP_HAS_CONTENT_FORMAT ? answer->meta->format : -1;
    bridge_msg *msg = NULL;
    bridge_error err = {0};
    int status = lwm2m_status_of(answer->code), rc = 0;

    if (status >= 0 && e->d->peer) {
        if (e->kind == READ || e->kind == READ_COMPOSITE || e->kind == OBSERVE) {
            learn_format(e->d, format);
            rc = lwm2m_value_msg(e->d, path, &e->at, format, answer->body, answer->body_len, &e->view, &msg, &err);
            if (status == BRIDGE_CREATED) status = BRIDGE_OK;
        } else if (e->kind == DISCOVER) {
            rc = reply_links(e, path, answer, &msg);
        } else if (e->kind == CREATE) {
            rc = reply_location(e, path, answer, &msg);
        }
    } else if (status < 0 && answer->body_len && answer->body_len < sizeof err.text && text_is_utf8(answer->body, answer->body_len)) {
        memcpy(err.text, answer->body, answer->body_len); /* what the device said for people */
    }
    if (rc < 0) status = rc == BRIDGE_NOMEM ? rc : BRIDGE_PROTOCOL; /* it said something that nobody understands */
    if (status < 0)
        errand_fail(e, status, err.text);
    else
        errand_reply(e, status, msg);
    bridge_msg_unref(msg);
}

static void errand_send(errand *e);

static bool is_composite(kind k) { return k == READ_COMPOSITE || k == WRITE_COMPOSITE; }

static bool is_other_format(const errand *e, uint8_t code)
{
    return code == COAP_UNSUPPORTED_FORMAT || (code == COAP_NOT_ACCEPTABLE && e->kind == READ_COMPOSITE);
}

static void on_done(void *user, int status, const coap_answer *answer)
{
    errand *e = user;

    if (status < 0) {
        errand_fail(e, status, NULL);
    } else if (is_other_format(e, answer->code) && *e->wishes >= 0 && e->wishes[1] >= 0 && !e->d->gone) {
        e->wishes++; /* it does not read that one */
        errand_send(e);
    } else if (is_composite(e->kind) && (answer->code == COAP_NOT_ALLOWED || answer->code == COAP_NOT_IMPLEMENTED) && !e->d->gone) {
        lwm2m_one_by_one(e);
    } else if (answer->code == COAP_NOT_ACCEPTABLE && e->kind == READ && e->accepts && !e->as_it_likes && !e->d->gone) {
        e->as_it_likes = true;
        errand_send(e);
    } else {
        take_answer(e, answer);
    }
}

/* ---- Out */

/* In which formats is it tried?  The device's own first; what has no type that we know of goes as text, which needs none. */
static const int *wishes_of(const errand *e)
{
    static const int tlv[] = {BRIDGE_TLV, BRIDGE_TEXT, BRIDGE_SENML_JSON, -1}, json[] = {BRIDGE_SENML_JSON, BRIDGE_TLV, BRIDGE_TEXT, -1};
    static const int cbor[] = {BRIDGE_SENML_CBOR, BRIDGE_TLV, BRIDGE_TEXT, -1}, old[] = {1542, BRIDGE_TLV, BRIDGE_TEXT, -1};
    static const int old_json[] = {1543, BRIDGE_TLV, -1}, lwm2m_json[] = {BRIDGE_LWM2M_JSON, BRIDGE_TLV, -1};
    static const int lwm2m_cbor[] = {BRIDGE_LWM2M_CBOR, BRIDGE_SENML_CBOR, BRIDGE_TLV, -1};
    static const int words[] = {BRIDGE_TEXT, BRIDGE_TLV, BRIDGE_SENML_JSON, -1};

    if (e->at.count >= 3 && !lwm2m_resource_of(e->d->server->model, e->at.id[0], e->at.id[2])) return words;
    switch (e->d->format) {
    case BRIDGE_SENML_JSON: return json;
    case BRIDGE_SENML_CBOR: return cbor;
    case BRIDGE_LWM2M_JSON: return lwm2m_json;
    case BRIDGE_LWM2M_CBOR: return lwm2m_cbor;
    case 1542: return old;
    case 1543: return old_json;
    default: return tlv;
    }
}

static bool takes_payload(kind k) { return k == WRITE || k == UPDATE || k == CREATE; }

/* A write that nobody waits for (a message over MQTT) waits for a device that sleeps as long as it lives, or queue_ttl. */
static bool nobody_waits(const errand *e, const bridge_fields *f)
{
    return e->kind != READ && e->kind != DISCOVER && e->kind != READ_COMPOSITE && f->origin && strncmp(f->origin, "mqtt:", 5) == 0 &&
           !f->response;
}

static int64_t patience_of(const errand *e, const bridge_fields *f)
{
    int64_t most = bridge_call_timeout(e->call);

    if (e->d->queue_mode && nobody_waits(e, f)) return f->ttl ? f->ttl : (int64_t)e->d->port->limits.queue_ttl * 1000;
    return most ? most : 1;
}

static int composite_names(const errand *e, const bridge_fields *f, int wish, buf *out, bridge_error *err)
{
    lwm2m_paths paths;
    int rc = errand_paths(e, f, &paths, err);

    return rc < 0 ? rc : lwm2m_paths_write(&paths, (bridge_format)wish, out);
}

static int payload_make(errand *e, const bridge_fields *f, lwm2m_question *q, buf *out, bridge_error *err)
{
    bridge_format format = f->format;
    int rc = 0;

    if (e->kind == READ_COMPOSITE) {
        q->format = q->accept = *e->wishes;
        rc = composite_names(e, f, *e->wishes, out, err);
    } else if (e->kind == WRITE_COMPOSITE) {
        rc = lwm2m_value_patch(e->d, &e->at, *e->wishes, &format, f->data, f->len, out, err);
        q->format = (int)format;
    } else if (e->kind == CREATE && e->at.count == 1) { /* the device gives it a number */
        oma_path fresh = {2, {e->at.id[0], 0}};

        rc = lwm2m_value_write(e->d, &fresh, BRIDGE_TLV, &format, f->data, f->len, out, err);
        q->format = (int)format;
    } else if (e->kind == CREATE) {
        q->path.count = 1;
        rc = lwm2m_value_create(e->d, &e->at, *e->wishes, &format, f->data, f->len, out, err);
        q->format = (int)format;
    } else if (takes_payload(e->kind)) {
        rc = lwm2m_value_write(e->d, &e->at, *e->wishes, &format, f->data, f->len, out, err);
        q->format = (int)format;
    } else if (e->kind == EXECUTE && f->len) { /* arguments: 0='a',1 (LwM2M 1.0 6.3.5) */
        rc = buf_put(out, f->data, f->len);
        q->format = BRIDGE_TEXT;
    }
    q->data = out->data;
    q->len = out->len;
    return rc;
}

static void errand_send(errand *e)
{
    static const uint8_t codes[KINDS] = {[READ] = COAP_GET,       [DISCOVER] = COAP_GET, [WRITE] = COAP_PUT,    [UPDATE] = COAP_POST,
                                         [CREATE] = COAP_POST,    [EXECUTE] = COAP_POST, [REMOVE] = COAP_DELETE, [ATTRIBUTES] = COAP_PUT,
                                         [READ_COMPOSITE] = COAP_FETCH, [WRITE_COMPOSITE] = COAP_IPATCH, [OBSERVE] = COAP_GET, [CANCEL] = COAP_GET};
    bridge_fields f = {.size = sizeof f};
    lwm2m_question q = {.code = codes[e->kind], .path = e->at, .accept = -1, .format = -1, .query = e->query};
    bridge_error err = {0};
    buf out;
    int rc;

    bridge_msg_look(bridge_call_msg(e->call), &f);
    buf_init(&out, e->d->server->mem, port_limits(e->d->server->home)->max_message);
    if (e->kind == DISCOVER) q.accept = BRIDGE_LINKS;
    if (is_composite(e->kind)) q.path.count = 0;
    e->accepts = e->kind == READ && e->d->format_known && e->d->minor > 0 && e->view.accept >= 0 && !e->as_it_likes;
    if (e->accepts) q.accept = e->view.accept;
    q.patience = patience_of(e, &f);
    q.replace = e->kind == WRITE;
    rc = payload_make(e, &f, &q, &out, &err);
    if (rc == 0 && e->d->asleep && nobody_waits(e, &f) && e->d->queued < e->d->port->limits.max_queue)
        bridge_call_reply(e->call, BRIDGE_OK, NULL); /* it is ours now: MQTT's acknowledgement is from hop to hop */
    if (rc == 0) rc = lwm2m_ask(e->d, &q, on_done, e, NULL);
    buf_done(&out);
    if (rc < 0) errand_fail(e, rc, err.text);
}

/* ---- What is it? */

static bool query_has(const char *query, const char *name, const char *value)
{
    size_t len = strlen(name);

    for (; query && *query; query += strcspn(query, "&"), query += *query == '&') {
        if (strncmp(query, name, len) != 0) continue;
        if (!value && (query[len] == '=' || query[len] == '&' || !query[len])) return true;
        if (value && query[len] == '=' && strncmp(query + len + 1, value, strlen(value)) == 0) return true;
    }
    return false;
}

/* LwM2M 1.0 5.1.2, 1.1 7.3, 1.2 7.3 */
static bool has_attributes(const char *query)
{
    static const char *const names[] = {"pmin", "pmax", "gt", "lt", "st", "epmin", "epmax", "edge", "con", "hqmax"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (query_has(query, names[i], NULL)) return true;
    return false;
}

static int kind_of_op(errand *e, text op)
{
    e->verb = lwm2m_verb_of(op);
    e->kind = FLASH;
    if (e->verb) return 0;
    if (lwm2m_is_set(op)) {
        e->kind = READ_COMPOSITE;
        e->view.accept = -1; /* as it is told to those who watch it */
        return 0;
    }
    for (int i = 0; i < KINDS; i++)
        if (text_is(op, kind_names[i])) {
            e->kind = (kind)i;
            return 0;
        }
    return BRIDGE_NOTFOUND;
}

static int kind_of_post(const lwm2m_server *s, const oma_path *at, size_t len, kind *out)
{
    const lwm2m_resource *r = at->count == 3 ? lwm2m_resource_of(s->model, at->id[0], at->id[2]) : NULL;

    switch (at->count) {
    case 1: *out = CREATE; return 0;
    case 2: *out = UPDATE; return len ? 0 : BRIDGE_METHOD;
    case 3: *out = r && !(r->ops & LWM2M_EXECUTE) && len ? r->multiple ? UPDATE : WRITE : EXECUTE; return 0; /* a message to a value sets it */
    case 4: *out = WRITE; return len ? 0 : BRIDGE_METHOD;
    default: return BRIDGE_METHOD;
    }
}

static int kind_of(errand *e, bridge_verb verb, const bridge_terms *terms, const bridge_fields *f, text op)
{
    const char *query = terms ? terms->query : NULL;

    if (op.p) return kind_of_op(e, op);
    switch (verb) {
    case BRIDGE_GET:
        e->kind = terms && terms->accept == BRIDGE_LINKS + 1 ? DISCOVER : e->at.count ? READ : DESCRIBE;
        if (f->len || query_has(query, "paths", NULL)) e->kind = READ_COMPOSITE; /* a FETCH (RFC 8132 2), or what HTTP has instead */
        if (e->kind == READ_COMPOSITE) return 0;
        return e->at.count || e->kind == DESCRIBE ? 0 : BRIDGE_METHOD;
    case BRIDGE_PUT: e->kind = !f->len && has_attributes(query) ? ATTRIBUTES : WRITE; return e->at.count ? 0 : BRIDGE_METHOD;
    case BRIDGE_PATCH: e->kind = e->at.count >= 2 ? UPDATE : WRITE_COMPOSITE; return 0;
    case BRIDGE_POST: return kind_of_post(e->d->server, &e->at, f->len, &e->kind);
    case BRIDGE_DELETE: e->kind = REMOVE; return e->at.count ? 0 : BRIDGE_METHOD;
    default: return BRIDGE_METHOD;
    }
}

/* The query goes to the device where it means something there: attributes, depth=, and what a device of 1.1 may know. */
static int take_query(errand *e, const bridge_terms *terms, const bridge_fields *f)
{
    const char *query = terms ? terms->query : NULL;
    mem *m = e->d->server->mem;

    e->view.names = query_has(query, "names", "1");
    if (e->kind == ATTRIBUTES && !query && f->len) { /* !write-attributes with a payload: "pmin=10&gt=5" */
        e->query = mem_text_len(m, f->data, f->len);
        return e->query ? 0 : BRIDGE_NOMEM;
    }
    if (!query || (e->kind != ATTRIBUTES && !(e->kind == DISCOVER && query_has(query, "depth", NULL)))) return 0;
    e->query = mem_text(m, query);
    return e->query ? 0 : BRIDGE_NOMEM;
}

static void describe(errand *e)
{
    bridge_fields f = {.size = sizeof f};
    bridge_msg *msg = NULL;
    buf out;
    int rc;

    bridge_msg_look(bridge_call_msg(e->call), &f);
    buf_init(&out, e->d->server->mem, 0);
    rc = lwm2m_describe(e->d, &out);
    if (rc == 0) rc = buf_text(&out, "}");
    if (rc == 0)
        rc = lwm2m_msg(e->d, f.path, BRIDGE_JSON, out.data, out.len, &msg);
    buf_done(&out);
    errand_reply(e, rc, msg);
    bridge_msg_unref(msg);
}

/* !observe and !cancel: an interest without a subscription. */
static void pin(errand *e, bool wanted)
{
    char filter[1024], place[LWM2M_PATH_TEXT];

    lwm2m_path_text(&e->at, place);
    snprintf(filter, sizeof filter, "%s%s", e->d->name, place);
    lwm2m_pin(e->d, filter, wanted);
    if (wanted) {
        e->kind = READ;
        errand_send(e);
    } else {
        errand_reply(e, BRIDGE_OK, NULL);
    }
}

static void observe_composite(errand *e, const bridge_fields *f)
{
    bridge_error err = {0};
    lwm2m_paths paths;
    int rc = errand_paths(e, f, &paths, &err);

    if (rc == 0) rc = lwm2m_observe_composite(e->d, &paths);
    if (rc < 0)
        errand_fail(e, rc, err.text);
    else
        errand_reply(e, BRIDGE_OK, NULL);
}

/* 1.1 6.1.4: it is told to come to the bootstrap server (1/0/9); a device of 1.0 is bootstrapped where it is (1.0 5.2.6). */
static void bootstrap(errand *e)
{
    if (e->d->minor == 0) {
        errand_reply(e, lwm2m_boot(e->d), NULL);
        return;
    }
    e->kind = EXECUTE;
    e->at = (oma_path){3, {1, 0, 9}};
    errand_send(e);
}

static void cancel_update(errand *e)
{
    bool there = e->d->update != NULL;

    lwm2m_flash_end(e->d, "canceled");
    errand_reply(e, there ? BRIDGE_OK : BRIDGE_NOTFOUND, NULL);
}

static void flash(errand *e, const bridge_terms *terms)
{
    const char *why = NULL;
    int rc = lwm2m_flash_ask(e->d, e->verb, &e->at, terms ? terms->query : NULL, bridge_call_msg(e->call), &why);

    if (rc < 0) {
        errand_fail(e, rc, why);
        return;
    }
    lwm2m_reply_kept(e->d->port, e->call, rc);
    errand_over(e, rc, NULL);
}

static void on_call(void *user, bridge_call *call)
{
    lwm2m_device *d = user;
    const bridge_terms *terms = bridge_call_terms(call);
    const char *path = bridge_call_capture(call, "path");
    errand *e = mem_new(d->server->mem, errand);
    bridge_fields f = {.size = sizeof f};
    text op = {NULL, 0};
    int rc;

    if (!e) {
        bridge_call_reply(call, BRIDGE_NOMEM, NULL);
        return;
    }
    bridge_msg_look(bridge_call_msg(call), &f);
    e->d = d;
    lwm2m_hold(d);
    e->call = bridge_call_ref(call);
    e->wishes = no_wishes;
    e->view = (lwm2m_view){terms && terms->accept ? (int)terms->accept - 1 : -1, false};
    rc = lwm2m_path_read(d->server, text_of(path), &e->at, &op) ? kind_of(e, bridge_call_verb(call), terms, &f, op) : BRIDGE_NOTFOUND;
    if (rc == 0) rc = take_query(e, terms, &f);
    if (rc < 0) {
        e->kind = READ;
        errand_fail(e, rc, NULL);
        return;
    }
    e->tell = op.p && !f.response && !(e->kind == READ_COMPOSITE && bridge_call_verb(call) == BRIDGE_GET);
    if (takes_payload(e->kind)) e->wishes = wishes_of(e);
    if (is_composite(e->kind)) e->wishes = lwm2m_composite_wishes(d);
    if (e->kind == DESCRIBE)
        describe(e);
    else if (e->kind == FLASH)
        flash(e, terms);
    else if (e->kind == CANCEL_COMPOSITE)
        errand_reply(e, lwm2m_cancel_composite(d) ? BRIDGE_OK : BRIDGE_NOTFOUND, NULL);
    else if (e->kind == OBSERVE_COMPOSITE)
        observe_composite(e, &f);
    else if (e->kind == BOOTSTRAP)
        bootstrap(e);
    else if (e->kind == FLASH_CANCEL)
        cancel_update(e);
    else if (is_composite(e->kind) && d->minor == 0)
        lwm2m_one_by_one(e);
    else if (e->kind == OBSERVE || e->kind == CANCEL)
        pin(e, e->kind == OBSERVE);
    else
        errand_send(e);
}

const bridge_owner_fns lwm2m_owner_fns = {
    .size = sizeof(bridge_owner_fns),
    .call = on_call,
    .interest = lwm2m_interest,
    .part = lwm2m_part,
};
