/* Several places of a device in one question: Read-Composite and Write-Composite (LwM2M 1.1.1 6.3.8, 6.3.9), and what comes as a FETCH or a
 * PATCH of many (RFC 8132, RFC 8790).  A device of 1.0, or one that does not know the operation, is asked one by one instead:
 *
 *      read:   GET of each path; what is not there is left out, as in a Read-Composite
 *      write:  POST of each instance with what it is to have; the first that refuses ends it, and the answer says what was written */
#include "adapter/lwm2m/errand.h"
#include "base/status.h"
#include "codec/cbor.h"
#include "codec/codecs.h"
#include "codec/json.h"
#include <stdio.h>

/* ---- Which paths? */

typedef struct naming {
    const lwm2m_device *d;
    const oma_path *at;
    lwm2m_paths *out;
    bridge_error *err;
} naming;

/* "/3303/0/5700"; "5700" below what was asked; "lwm2m/lamp-7/3303/0/5700", as the bridge calls it. */
static int add_name(naming *n, text said)
{
    const lwm2m_device *d = n->d;
    const oma_path *at = n->at;
    text name = said, op;
    oma_path below, *to;
    bool absolute = name.len && *name.p == '/';

    if (absolute) name.p++, name.len--;
    if (name.len > strlen(d->name) && memcmp(name.p, d->name, strlen(d->name)) == 0 && name.p[strlen(d->name)] == '/') {
        name.p += strlen(d->name) + 1;
        name.len -= strlen(d->name) + 1;
        absolute = true;
    }
    if (n->out->count == COMPOSITE_PATHS) return fail(n->err, BRIDGE_TOOBIG, "more than %d paths", COMPOSITE_PATHS);
    to = &n->out->at[n->out->count];
    *to = absolute ? (oma_path){0} : *at;
    if (!lwm2m_path_read(d->server, name, &below, &op) || op.p || to->count + below.count > OMA_LEVELS)
        return fail(n->err, BRIDGE_UNPROCESSABLE, "\"%.*s\" is no path of the device", said.len > 60 ? 60 : (int)said.len, said.p);
    for (int i = 0; i < below.count; i++) to->id[to->count++] = below.id[i];
    if (to->count < at->count || memcmp(to->id, at->id, (size_t)at->count * sizeof *at->id) != 0)
        return fail(n->err, BRIDGE_DENIED, "\"%.*s\" is elsewhere", said.len > 60 ? 60 : (int)said.len, said.p);
    n->out->count++;
    return 0;
}

static int on_item(void *user, const item *it)
{
    naming *n = user;

    if (it->kind == ITEM_LIST || it->kind == ITEM_END) return 0;
    if (it->kind != ITEM_STRING) return fail(n->err, BRIDGE_UNPROCESSABLE, "a list of paths is wanted: [\"/3303/0/5700\", \"/3/0\"]");
    return add_name(n, (text){it->p, it->len});
}

static int on_record(void *user, const bridge_record *record) { return add_name(user, text_of(record->name)); }

static int from_query(naming *n, text query)
{
    text word, name, value, one;
    int rc = 0;
    buf plain;

    buf_init(&plain, n->d->server->mem, 0);
    while (rc == 0 && query.len) {
        text_cut(query, '&', &word, &query);
        text_cut(word, '=', &name, &value);
        if (!text_is(name, "paths")) continue;
        rc = text_percent_decode(&plain, value);
        for (text rest = {(char *)plain.data, plain.len}; rc == 0 && rest.len;) {
            text_cut(rest, ',', &one, &rest);
            rc = add_name(n, one);
        }
        break;
    }
    buf_done(&plain);
    return rc;
}

int lwm2m_paths_read(const lwm2m_device *d, const oma_path *at, const bridge_fields *f, const char *query, lwm2m_paths *out, bridge_error *err)
{
    bridge_format format = f->format == BRIDGE_SENML_ETCH_JSON ? BRIDGE_SENML_JSON : f->format == BRIDGE_SENML_ETCH_CBOR ? BRIDGE_SENML_CBOR : f->format;
    const bridge_codec *codec = codec_find(format);
    naming n = {d, at, out, err};
    scratch s;
    int rc;

    out->count = 0;
    if (!f->len && query) return from_query(&n, text_of(query));
    scratch_init(&s, d->server->mem);
    if (format == BRIDGE_SENML_JSON || format == BRIDGE_SENML_CBOR)
        rc = codec->read(&s, "", 0, f->data, f->len, on_record, &n, err);
    else
        rc = json_read(&s, f->data, f->len, on_item, &n, err);
    scratch_done(&s);
    if (rc == 0 && !out->count) rc = fail(err, BRIDGE_UNPROCESSABLE, "a list of paths is wanted: [\"/3303/0/5700\", \"/3/0\"]");
    return rc;
}

int errand_paths(const errand *e, const bridge_fields *f, lwm2m_paths *out, bridge_error *err)
{
    const bridge_terms *terms = bridge_call_terms(e->call);
    const char *path = bridge_call_capture(e->call, "path");
    oma_path at;
    text op;

    if (path && lwm2m_path_read(e->d->server, text_of(path), &at, &op) && lwm2m_is_set(op))
        return lwm2m_set_read(e->d, &at, op, out) ? 0 : fail(err, BRIDGE_UNPROCESSABLE, "paths are wanted: !composite/3303.0.5700,3.0");
    return lwm2m_paths_read(e->d, &e->at, f, terms ? terms->query : NULL, out, err);
}

/* LwM2M 1.1 6.3.8, 6.3.9: composites are SenML, or (1.2) LwM2M CBOR. */
const int *lwm2m_composite_wishes(const lwm2m_device *d)
{
    static const int json[] = {BRIDGE_SENML_JSON, BRIDGE_SENML_CBOR, -1}, cbor[] = {BRIDGE_SENML_CBOR, BRIDGE_SENML_JSON, -1};

    return d->format == BRIDGE_SENML_CBOR || d->format == BRIDGE_LWM2M_CBOR ? cbor : json;
}

/* [{"n":"/3/0"},{"n":"/3303/0/5700"}]: without base names, which small devices do not all understand. */
int lwm2m_paths_write(const lwm2m_paths *paths, bridge_format format, buf *out)
{
    bool json = format == BRIDGE_SENML_JSON;
    int rc = json ? buf_text(out, "[") : cbor_put_head(out, CBOR_LIST, paths->count);

    for (unsigned i = 0; i < paths->count && rc == 0; i++) {
        char path[LWM2M_PATH_TEXT];
        int len = lwm2m_path_text(&paths->at[i], path);

        if (json) {
            rc = buf_print(out, "%s{\"n\":\"%s\"}", i ? "," : "", path);
            continue;
        }
        rc = cbor_put_head(out, CBOR_MAP, 1);
        if (rc == 0) rc = cbor_put_int(out, 0); /* n: RFC 8428 6 */
        if (rc == 0) rc = cbor_put_text(out, path, (size_t)len);
    }
    return rc == 0 && json ? buf_text(out, "]") : rc;
}

/* ---- One by one */

typedef struct singles {
    errand *errand;
    bridge_scratch scratch;
    lwm2m_paths paths; /* to be read, or the instances to be written */
    unsigned at;
    lwm2m_leaves leaves; /* what was read, or is to be written */
    size_t room;
    int failed; /* the first that could not be read */
    char why[256];
} singles;

static void go_on(singles *s);

static void singles_end(singles *s, int status, bridge_msg *msg)
{
    errand *e = s->errand;
    mem *m = e->d->server->mem;
    char why[256];

    snprintf(why, sizeof why, "%s", s->why);
    scratch_done(&s->scratch);
    mem_free(m, s);
    if (msg || status >= 0)
        errand_reply(e, status, msg);
    else
        errand_fail(e, status, why);
}

static int take_leaves(singles *s, const coap_answer *answer)
{
    int format = answer->meta->has & COAP_HAS_CONTENT_FORMAT ? answer->meta->format : -1;
    void *copy = scratch_text(&s->scratch, (const char *)answer->body, answer->body_len); /* records point into it */
    lwm2m_leaf *more;
    lwm2m_leaves got;
    int rc = copy ? 0 : BRIDGE_NOMEM;

    if (rc == 0)
        rc = lwm2m_leaves_read(s->errand->d->server, &s->scratch, &s->paths.at[s->at], format, copy, answer->body_len, &got, NULL);
    if (rc < 0 || !got.count) return rc;
    more = scratch_array(&s->scratch, lwm2m_leaf, s->leaves.count + got.count);
    if (!more) return BRIDGE_NOMEM;
    if (s->leaves.count) memcpy(more, s->leaves.at, s->leaves.count * sizeof *more);
    memcpy(more + s->leaves.count, got.at, got.count * sizeof *more);
    s->leaves.at = more;
    s->leaves.count += got.count;
    s->leaves.guessed |= got.guessed;
    return 0;
}

static void all_read(singles *s)
{
    errand *e = s->errand;
    bridge_fields f = {.size = sizeof f};
    bridge_msg *msg = NULL;
    int rc = s->leaves.count ? 0 : s->failed;

    if (rc == 0 && !e->d->peer) rc = BRIDGE_UNREACHABLE;
    if (rc == 0) rc = lwm2m_leaves_msg(e->d, bridge_msg_look(bridge_call_msg(e->call), &f)->path, &e->at, &s->leaves, &e->view, 0, false, &msg, NULL);
    singles_end(s, rc, msg);
    bridge_msg_unref(msg);
}

static void on_single(void *user, int status, const coap_answer *answer)
{
    singles *s = user;
    bool reads = s->errand->kind == READ_COMPOSITE, lost = status < 0;

    if (status >= 0) status = lwm2m_status_of(answer->code);
    if (reads && status >= 0) status = take_leaves(s, answer) < 0 ? BRIDGE_PROTOCOL : status;
    if (status < 0 && !s->failed) s->failed = status;
    if (status < 0 && (lost || !reads)) {
        char path[LWM2M_PATH_TEXT];

        lwm2m_path_text(&s->paths.at[s->at], path);
        if (!reads) snprintf(s->why, sizeof s->why, "%s: %s; %u of %u instances were written", path, bridge_status_text(status), s->at, s->paths.count);
        singles_end(s, status, NULL);
        return;
    }
    s->at++;
    go_on(s);
}

/* s may be gone afterwards */
static void go_on(singles *s)
{
    errand *e = s->errand;
    lwm2m_question q = {.code = COAP_GET, .accept = -1, .format = -1, .patience = bridge_call_timeout(e->call)};
    bridge_format format = BRIDGE_TLV;
    bool reads = e->kind == READ_COMPOSITE;
    buf body;
    int rc = 0;

    if (s->at == s->paths.count) {
        if (reads) all_read(s);
        else singles_end(s, BRIDGE_OK, NULL);
        return;
    }
    buf_init(&body, e->d->server->mem, 0);
    q.path = s->paths.at[s->at];
    if (!reads) {
        q.code = COAP_POST;
        rc = lwm2m_leaves_write(e->d->server, &q.path, &s->leaves, &(lwm2m_view){e->d->format, false}, &body, &format, NULL);
        q.format = (int)format;
        q.data = body.data;
        q.len = body.len;
    }
    if (!q.patience) q.patience = 1;
    if (rc == 0) rc = lwm2m_ask(e->d, &q, on_single, s, NULL);
    buf_done(&body);
    if (rc < 0) singles_end(s, rc, NULL);
}

/* The instances among the leaves, each once. */
static int take_instances(singles *s)
{
    for (size_t i = 0; i < s->leaves.count; i++) {
        oma_path at = s->leaves.at[i].path;
        unsigned k = 0;

        if (at.count < 3) return BRIDGE_UNPROCESSABLE;
        at.count = 2;
        while (k < s->paths.count && memcmp(s->paths.at[k].id, at.id, 2 * sizeof *at.id) != 0) k++;
        if (k == COMPOSITE_PATHS) return BRIDGE_TOOBIG;
        if (k == s->paths.count) s->paths.at[s->paths.count++] = (oma_path){2, {at.id[0], at.id[1]}};
    }
    return s->paths.count ? 0 : BRIDGE_UNPROCESSABLE;
}

static int take_values(singles *s, const bridge_fields *f, bridge_error *err)
{
    static const oma_path root = {0};
    const errand *e = s->errand;
    bridge_format format = f->format;
    buf said;
    void *copy;
    int rc;

    buf_init(&said, e->d->server->mem, 0);
    rc = lwm2m_value_patch(e->d, &e->at, BRIDGE_SENML_JSON, &format, f->data, f->len, &said, err);
    copy = rc == 0 ? scratch_text(&s->scratch, (const char *)said.data, said.len) : NULL;
    if (rc == 0 && !copy) rc = BRIDGE_NOMEM;
    if (rc == 0) rc = lwm2m_leaves_read(e->d->server, &s->scratch, &root, (int)format, copy, said.len, &s->leaves, err);
    buf_done(&said);
    return rc < 0 ? rc : take_instances(s);
}

void lwm2m_one_by_one(errand *e)
{
    bridge_fields f = {.size = sizeof f};
    singles *s = mem_new(e->d->server->mem, singles);
    bridge_error err = {0};
    int rc;

    if (!s) {
        errand_fail(e, BRIDGE_NOMEM, NULL);
        return;
    }
    s->errand = e;
    scratch_init(&s->scratch, e->d->server->mem);
    bridge_msg_look(bridge_call_msg(e->call), &f);
    if (e->kind == READ_COMPOSITE)
        rc = errand_paths(e, &f, &s->paths, &err);
    else
        rc = take_values(s, &f, &err);
    if (rc < 0) {
        snprintf(s->why, sizeof s->why, "%s", err.text);
        singles_end(s, rc, NULL);
        return;
    }
    go_on(s);
}
