/* Questions to a foreign server: what is asked of our path goes on to its resource, and its answer comes back in our words. */
#include "adapter/http/far.h"
#include "adapter/http/media.h"
#include "base/clock.h"
#include "base/status.h"
#include "codec/registry.h"
#include "core/message.h"
#include "core/path.h"
#include <stdio.h>

enum { LINES = 8 };

/* ---- tags */

uint64_t far_version(text tag)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a: the same tag is the same version, also after a restart */

    for (size_t i = 0; i < tag.len; i++)
        hash = (hash ^ (uint8_t)tag.p[i]) * 0x100000001b3u;
    return tag.len == 0 ? 0 : hash ? hash : 1;
}

static void tag_forget(far *f, far_tag *t)
{
    map_remove(&f->tags, t->text, t->path_len);
    list_remove(&t->age);
    mem_free(f->out.mem, t);
}

static void tag_keep(far *f, text path, text tag)
{
    far_tag *t = map_get(&f->tags, path.p, path.len);

    if (t) tag_forget(f, t);
    if (tag.len == 0 || tag.len > 255) return;
    if (f->tags.count >= FAR_TAGS) tag_forget(f, list_of(f->tag_ages.next, far_tag, age));
    t = mem_alloc(f->out.mem, sizeof *t + path.len + tag.len + 1);
    if (!t) return;
    *t = (far_tag){.version = far_version(tag), .path_len = (uint16_t)path.len, .tag_len = (uint16_t)tag.len};
    memcpy(t->text, path.p, path.len);
    memcpy(t->text + path.len, tag.p, tag.len);
    t->text[path.len + tag.len] = 0;
    if (map_put(&f->tags, t->text, t->path_len, t, NULL) < 0) mem_free(f->out.mem, t);
    else list_push(&f->tag_ages, &t->age);
}

/* ---- answers */

int far_outcome(const fetch_answer *a)
{
    if (a->outcome < 0) return a->outcome == BRIDGE_CLOSED || a->outcome == BRIDGE_DENIED ? BRIDGE_UNREACHABLE : a->outcome;
    if (a->status == 201) return BRIDGE_CREATED;
    if (a->status >= 200 && a->status < 300) return BRIDGE_OK;
    switch (a->status) {
    case 304: return BRIDGE_VALID;
    case 401:
    case 403: return BRIDGE_DENIED; /* it is the bridge that was refused: its client has no name there */
    case 404:
    case 410: return BRIDGE_NOTFOUND;
    case 405: return BRIDGE_METHOD;
    case 406: return BRIDGE_NOTACCEPTABLE;
    case 408:
    case 504: return BRIDGE_TIMEOUT;
    case 409: return BRIDGE_CONFLICT;
    case 412: return BRIDGE_PRECONDITION;
    case 413: return BRIDGE_TOOBIG;
    case 415: return BRIDGE_FORMAT;
    case 422: return BRIDGE_UNPROCESSABLE;
    case 429:
    case 503: return BRIDGE_BUSY;
    case 501: return BRIDGE_UNSUPPORTED;
    case 502: return BRIDGE_UNREACHABLE;
    default: return a->status >= 500 ? BRIDGE_IO : a->status >= 400 ? BRIDGE_INVALID : BRIDGE_PROTOCOL;
    }
}

int64_t far_fresh(const fetch_answer *a)
{
    text rest = fetch_header(a, "Cache-Control"), item, key, value, age = fetch_header(a, "Age");
    uint64_t seconds = 0, shared = 0, old = 0;
    bool has_shared = false;

    while (rest.len) {
        text_cut(rest, ',', &item, &rest);
        text_cut(text_trim(item), '=', &key, &value);
        if (text_is_nocase(key, "no-store") || text_is_nocase(key, "no-cache") || text_is_nocase(key, "private")) return 0;
        if (text_is_nocase(key, "max-age") && !text_to_u64(value, UINT32_MAX, &seconds)) seconds = 0;
        if (text_is_nocase(key, "s-maxage")) has_shared = text_to_u64(value, UINT32_MAX, &shared);
    }
    if (has_shared) seconds = shared;
    if (age.p) text_to_u64(age, UINT32_MAX, &old);
    if (text_is(fetch_header(a, "Vary"), "*")) return 0;
    return seconds > old ? (int64_t)(seconds - old) * 1000 : 0;
}

int far_message(far *f, text path, const fetch_answer *a, bridge_msg **out)
{
    text type = fetch_header(a, "Content-Type");
    char room[256], name[PATH_BYTES + 1];
    bridge_fields *fields = BRIDGE_FIELDS(.path = name, .data = a->body, .len = a->len, .ttl = far_fresh(a), .retain = true, .qos = 1);

    if (path.len >= sizeof name) return BRIDGE_TOOBIG;
    fields->version = far_version(fetch_header(a, "ETag"));
    memcpy(name, path.p, path.len);
    name[path.len] = 0;
    if (type.len) {
        fields->format = format_of_media_type(type);
        if (fields->format == BRIDGE_FORMAT_NAMED) {
            if (type.len >= sizeof room || !memchr(type.p, '/', type.len)) fields->format = BRIDGE_BYTES;
            else snprintf(room, sizeof room, "%.*s", (int)type.len, type.p);
            if (fields->format == BRIDGE_FORMAT_NAMED) fields->media_type = room;
        }
    }
    return bridge_peer_msg(f->out.peer, fields, out);
}

static void ask_free(far_ask *q)
{
    far *f = q->far;

    list_remove(&q->link);
    bridge_call_unref(q->call);
    mem_free(f->out.mem, q);
}

static void on_answer(void *user, const fetch_answer *a)
{
    far_ask *q = user;
    far *f = q->far;
    const bridge_msg *asked = bridge_call_msg(q->call);
    int outcome = far_outcome(a);
    bridge_msg *reply = NULL;

    if (outcome < 0) f->failures++;
    if (outcome >= 0 && bridge_call_verb(q->call) == BRIDGE_GET) tag_keep(f, msg_path(asked), fetch_header(a, "ETag"));
    if (outcome >= 0 && (a->len > 0 || bridge_call_verb(q->call) == BRIDGE_GET) && outcome != BRIDGE_VALID) {
        int rc = far_message(f, msg_path(asked), a, &reply);
        if (rc < 0) outcome = rc;
    } else if (outcome < 0) {
        char why[200];
        if (a->outcome < 0) snprintf(why, sizeof why, "%s", a->why);
        else snprintf(why, sizeof why, "the server that has this answered %d", a->status);
        bridge_peer_msg(f->out.peer, BRIDGE_FIELDS(.path = asked->path, .data = why, .len = strlen(why), .format = BRIDGE_TEXT), &reply);
    }
    bridge_call_reply(q->call, outcome, reply);
    bridge_msg_unref(reply);
    ask_free(q);
}

/* ---- questions */

typedef struct asking {
    far *far;
    const bridge_msg *msg;
    const bridge_terms *terms;
    buf room;
    size_t at[LINES];
    unsigned count;
} asking;

static int line(asking *x, const char *name, const char *value)
{
    int rc = x->count < LINES ? 0 : BRIDGE_TOOBIG;

    if (rc == 0) x->at[x->count++] = x->room.len;
    if (rc == 0) rc = buf_print(&x->room, "%s: %s", name, value);
    return rc < 0 ? rc : buf_put_u8(&x->room, 0);
}

static bool says(const uint64_t *versions, unsigned count, uint64_t version)
{
    for (unsigned i = 0; i < count; i++)
        if (versions[i] == version) return true;
    return false;
}

/* Conditions in the server's own tags; one that we do not know is one that nothing has. */
static int conditions(asking *x)
{
    const bridge_terms *t = x->terms;
    const far_tag *tag = map_get(&x->far->tags, x->msg->path, x->msg->path_len);
    const char *known = tag ? tag->text + tag->path_len : "";
    int rc = 0;

    if (t->if_exists) rc = line(x, "If-Match", "*");
    else if (t->if_match_count) rc = line(x, "If-Match", tag && says(t->if_match, t->if_match_count, tag->version) ? known : "\"-\"");
    if (rc == 0 && t->if_absent) rc = line(x, "If-None-Match", "*");
    else if (rc == 0 && tag && says(t->unless, t->unless_count, tag->version)) rc = line(x, "If-None-Match", known);
    return rc;
}

static int head_lines(asking *x, bridge_verb verb)
{
    const msg_extra *extra = msg_extra_of(x->msg);
    bridge_format format = msg_format(x->msg);
    const char *type = format == BRIDGE_FORMAT_NAMED ? extra ? extra->media_type : NULL : format_media_type(format);
    const char *accept = x->terms && x->terms->accept ? format_media_type((bridge_format)(x->terms->accept - 1)) : NULL;
    int rc = 0;

    if (verb != BRIDGE_GET && verb != BRIDGE_DELETE && type) rc = line(x, "Content-Type", type);
    if (rc == 0 && accept) rc = line(x, "Accept", accept);
    if (rc == 0 && x->terms) rc = conditions(x);
    if (rc == 0 && x->far->out.token_file) {
        x->at[x->count++] = x->room.len;
        rc = out_token(&x->far->out, &x->room);
    }
    return rc;
}

static int add_query(asking *x, buf *address)
{
    int rc;

    if (!x->terms || !x->terms->query || !*x->terms->query) return 0;
    address->len = strlen((char *)address->data);
    rc = buf_put_u8(address, memchr(address->data, '?', address->len) ? '&' : '?');
    if (rc == 0) rc = text_percent_encode(address, text_of(x->terms->query), "%&=+,;:@/?!$'()*");
    return rc == 0 && !buf_cstr(address) ? BRIDGE_NOMEM : rc;
}

static int pass_on(far *f, far_ask *q)
{
    static const char *const methods[] = {
        [BRIDGE_GET] = "GET", [BRIDGE_PUT] = "PUT", [BRIDGE_POST] = "POST", [BRIDGE_DELETE] = "DELETE", [BRIDGE_PATCH] = "PATCH"};
    bridge_verb verb = bridge_call_verb(q->call);
    asking x = {.far = f, .msg = bridge_call_msg(q->call), .terms = bridge_call_terms(q->call)};
    const char *lines[LINES + 1] = {NULL};
    bool has_body = verb != BRIDGE_GET && verb != BRIDGE_DELETE;
    fetch_ask ask = {.method = methods[verb], .headers = lines, .timeout = bridge_call_timeout(q->call), .max_body = f->max_body};
    buf address;
    int rc;

    buf_init(&address, f->out.mem, OUT_URL);
    buf_init(&x.room, f->out.mem, 0);
    rc = out_address(&f->out, msg_path(x.msg), &address);
    if (rc == 0) rc = add_query(&x, &address);
    if (rc == 0) rc = head_lines(&x, verb);
    for (unsigned i = 0; rc == 0 && i < x.count; i++) lines[i] = (char *)x.room.data + x.at[i];
    ask.url = (char *)address.data;
    if (has_body || x.msg->len) ask.body = msg_data(x.msg), ask.len = x.msg->len;
    if (ask.timeout <= 0) ask.timeout = 1;
    if (ask.timeout > f->out.timeout) ask.timeout = f->out.timeout;
    out_ask(&f->out, &ask);
    if (rc == 0) rc = fetch_start(f->out.loop, &ask, on_answer, q, &q->fetch, NULL);
    buf_done(&x.room);
    buf_done(&address);
    return rc;
}

static void on_call(void *user, bridge_call *call)
{
    far *f = user;
    far_ask *q = mem_new(f->out.mem, far_ask);
    int rc = BRIDGE_NOMEM;

    f->requests++;
    if (q) {
        q->far = f;
        q->call = bridge_call_ref(call);
        list_push(&f->asks, &q->link);
        rc = pass_on(f, q);
    }
    if (rc == 0) return;
    bridge_call_reply(call, rc, NULL);
    if (q) ask_free(q);
}

static void on_cancel(void *user, bridge_call *call)
{
    far *f = user;

    list_each_safe(at, &f->asks)
    {
        far_ask *q = list_of(at, far_ask, link);
        if (q->call != call) continue;
        fetch_cancel(q->fetch);
        ask_free(q);
    }
}

/* ---- opening and closing */

static void far_free(far *f)
{
    http_out *o = &f->out;
    bridge_port *port = o->port;

    while (!list_empty(&f->asks)) {
        far_ask *q = list_of(f->asks.next, far_ask, link);
        fetch_cancel(q->fetch);
        bridge_call_reply(q->call, BRIDGE_UNREACHABLE, NULL);
        ask_free(q);
    }
    while (!list_empty(&f->views)) far_view_free(list_of(f->views.next, far_view, link));
    bridge_owner_close(f->owner);
    while (!list_empty(&f->tag_ages)) tag_forget(f, list_of(f->tag_ages.next, far_tag, age));
    map_done(&f->tags);
    out_done(o);
    mem_free(o->mem, f);
    if (port) bridge_port_closed(port);
}

static void on_closing(turn_end *t)
{
    far_free(list_of(t, far, end));
}

static void far_close(http_out *o)
{
    turn_end_want(o->loop, &((far *)o)->end);
}

static void far_stats(http_out *o, bridge_stat_fn fn, void *user)
{
    const far *f = (const far *)o;
    char labels[OUT_LABEL];

    out_label(o, labels);
    fn(user, "bridge_http_owner_requests_total", labels, (double)f->requests);
    fn(user, "bridge_http_owner_failures_total", labels, (double)f->failures);
    fn(user, "bridge_http_owner_polls_total", labels, (double)f->polls);
    fn(user, "bridge_http_owner_events_total", labels, (double)f->events);
    fn(user, "bridge_http_owner_views", labels, (double)f->view_count);
}

static const out_kind far_kind = {.close = far_close, .stats = far_stats};

/* A URL without captures gets them all behind it: http://host/base?as=plant/{path...} is http://host/base/{path}. */
static int add_captures(far *f)
{
    const pattern *p = f->out.pattern;
    buf b;
    int rc;

    if (strchr(f->out.url, '{')) return 0;
    buf_init(&b, f->out.mem, 0);
    rc = buf_text(&b, f->out.url);
    while (b.len && b.data[b.len - 1] == '/') b.len--;
    for (int i = 0; rc == 0 && i < p->captures; i++) {
        text name = pattern_name(p, i);
        rc = name.len ? buf_print(&b, "/{%.*s}", (int)name.len, name.p) : BRIDGE_INVALID;
    }
    if (rc == 0 && p->captures) {
        mem_free(f->out.mem, f->out.url);
        f->out.url = mem_text_len(f->out.mem, (char *)b.data, b.len);
        if (!f->out.url) rc = BRIDGE_NOMEM;
    }
    buf_done(&b);
    return rc;
}

int far_open(bridge_port *port, const url *u, http_out **out, bridge_error *err)
{
    static const bridge_owner_fns fns = {.size = sizeof fns, .call = on_call, .interest = far_interest, .cancel = on_cancel};
    const char *as = url_get(u, "as");
    far *f = mem_new(port_mem(port), far);
    uint64_t seed, max_body;
    int rc;

    if (!f) return fail_nomem(err);
    random_bytes(&seed, sizeof seed);
    f->out.kind = &far_kind;
    list_init(&f->asks);
    list_init(&f->views);
    list_init(&f->tag_ages);
    turn_end_init(&f->end, on_closing);
    map_init(&f->tags, port_mem(port), seed);
    rc = out_begin(&f->out, port, u, as, "owner", NULL, err);
    if (rc == 0) rc = add_captures(f);
    if (rc == BRIDGE_INVALID && err && !err->status) rc = fail(err, rc, "as=%s: its wildcards want names, as {path...}", as);
    if (rc == 0) rc = out_duration(u, "poll", 0, &f->poll, err);
    if (rc == 0) rc = url_get_u64(u, "max_body", port_limits(port)->max_message, port_limits(port)->max_message, &max_body, err);
    if (rc == 0) {
        f->max_body = max_body;
        rc = bridge_peer_own(f->out.peer, as, &fns, f, &f->owner);
        if (rc < 0) rc = fail(err, rc, rc == BRIDGE_EXISTS ? "\"%s\" has an owner already" : "\"%s\" cannot be owned", as);
    }
    if (rc == 0) {
        *out = &f->out;
        return 0;
    }
    f->out.port = NULL;
    far_free(f);
    return rc;
}
