/* One path: GET, HEAD, PUT, POST, PATCH, DELETE. */
#include "adapter/http/answer.h"
#include "adapter/http/via.h"
#include "codec/registry.h"
#include "core/message.h"
#include "core/path.h"
#include "hub/port.h"

enum { MAX_TAGS = 32 };

/* ---- requests to the hub */

/* If-Match and If-None-Match as terms; versions has room for MAX_TAGS. */
static void read_terms(const http_head *h, bridge_terms *t, uint64_t *versions)
{
    head_list at = {0};
    text item, opaque;
    uint64_t version;
    bool weak;

    while (head_next(h, HEAD_IF_MATCH, &at, &item) && t->if_match_count < MAX_TAGS) {
        if (text_is(item, "*")) t->if_exists = true;
        else if (etag_read(item, &weak, &version, &opaque) && !weak) versions[t->if_match_count++] = version;
        else versions[t->if_match_count++] = 0; /* a tag that nothing has: RFC 9110 13.1.1 compares strongly */
    }
    if (t->if_match_count) t->if_match = versions;
    t->if_absent = head_has(h, HEAD_IF_NONE_MATCH, "*");
}

/* The payload's format; room keeps a media type that has no number.  curl -d says "form" of everything, so that is nothing. */
static int read_format(request *r, bridge_fields *f, char *room, size_t size)
{
    text type = head_value(r->head, HEAD_CONTENT_TYPE), coding = head_value(r->head, HEAD_CONTENT_ENCODING), plain, rest;

    if (coding.p && !text_is_nocase(coding, "identity")) return BRIDGE_FORMAT;
    if (!type.p || type.len == 0) return 0;
    text_cut(type, ';', &plain, &rest);
    if (text_is_nocase(text_trim(plain), "application/x-www-form-urlencoded")) return 0;
    f->format = format_of_media_type(type);
    if (f->format != BRIDGE_FORMAT_NAMED) return 0;
    if (type.len >= size || !memchr(type.p, '/', type.len)) return BRIDGE_FORMAT;
    memcpy(room, type.p, type.len);
    room[type.len] = 0;
    f->media_type = room;
    return 0;
}

/* What else goes along; room: for the value of Traceparent. */
static void put_props(const request *r, bridge_fields *f, bridge_prop *props, char *room, size_t size, const via *came)
{
    text trace = head_value(r->head, HEAD_TRACEPARENT);

    f->props = props;
    if (trace.len > 0 && trace.len < size) {
        memcpy(room, trace.p, trace.len);
        room[trace.len] = 0;
        props[f->prop_count++] = (bridge_prop){"traceparent", room};
    }
    for (unsigned i = 0; i < came->count; i++) props[f->prop_count++] = (bridge_prop){VIA_NAME, came->marks[i]};
}

/* Bridge-QoS: the most that who watches gets it with; 1 unless said.  False: no such thing. */
static bool read_qos(const request *r, bridge_fields *f)
{
    text said = head_value(r->head, HEAD_BRIDGE_QOS);

    if (!said.p) return true;
    if (said.len != 1 || said.p[0] < '0' || said.p[0] > '2') return false;
    f->qos = said.p[0] - '0';
    return true;
}

static int make_message(request *r, bridge_verb verb, const char *name, const via *came, bridge_msg **out)
{
    bridge_fields *f = BRIDGE_FIELDS(.path = name, .qos = 1, .retain = verb == BRIDGE_PUT);
    char type[256], parent[64];
    bridge_prop props[1 + VIA_HOPS];
    uint64_t age;
    int rc = 0;

    if (!read_qos(r, f)) return BRIDGE_INVALID;
    if (verb == BRIDGE_PUT || verb == BRIDGE_POST || verb == BRIDGE_PATCH) {
        f->data = r->body;
        f->len = r->body_len;
        rc = read_format(r, f, type, sizeof type);
        if (max_age_read(r->head, &age) && age > 0) f->ttl = (int64_t)age * 1000;
    }
    if (verb != BRIDGE_GET) put_props(r, f, props, parent, sizeof parent, came);
    return rc < 0 ? rc : bridge_peer_msg(r->conn->peer, f, out);
}

/* ---- answers */

static void put_location(answer *a, http_conn *c, const char *path, const char *query)
{
    buf *b = &c->port->body;

    buf_clear(b);
    if (a->rc == 0) a->rc = target_put(b, text_of(c->port->mount), text_of(path));
    if (a->rc == 0 && query) a->rc = buf_text(b, "?");
    if (a->rc == 0 && query) a->rc = text_percent_encode(b, text_of(query), "!$&'()*+,;=:@/?%"); /* escaped it is already, if it is in order */
    if (a->rc == 0) answer_field(a, "Location", (text){(char *)b->data, b->len});
}

/* What PUT has stored is what GET will show, and of a PATCH the client may want to know what it has become (RFC 9110 9.3.4, RFC 5789 2). */
static void put_tag(answer *a, uint64_t version)
{
    char tag[ETAG_ROOM];

    if (!version) return;
    etag_print(tag, version, false, 0);
    answer_field(a, "ETag", text_of(tag));
}

/* Who owns the path does not take the verb; of the others nobody knows before trying. */
static void refuse_method(http_conn *c, bridge_verb verb)
{
    static const struct {
        bridge_verb verb;
        const char *name;
    } all[] = {{BRIDGE_GET, "GET, HEAD"}, {BRIDGE_PUT, "PUT"}, {BRIDGE_POST, "POST"}, {BRIDGE_PATCH, "PATCH"}, {BRIDGE_DELETE, "DELETE"}};
    char lines[80] = "Allow: OPTIONS";

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].verb != verb) strcat(strcat(lines, ", "), all[i].name);
    answer_problem(c, 405, bridge_status_text(BRIDGE_METHOD), strcat(lines, "\r\n"));
}

/* What became of a request for a path. */
void resource_finish(request *r, bridge_verb verb, const char *name, int outcome, bridge_msg *reply)
{
    http_conn *c = r->conn;
    char said[256];
    answer a;

    if (outcome >= 0 && verb == BRIDGE_GET && reply) {
        resource_answer(r, 200, reply);
    } else if (outcome == BRIDGE_CREATED) {
        answer_begin(&a, c, 201);
        put_location(&a, c, verb == BRIDGE_POST && reply ? reply->path : name, reply ? msg_prop(reply, MSG_LOCATION_QUERY) : NULL);
        put_tag(&a, reply && reply->version ? reply->version : c->stored);
        answer_end(&a, NULL, 0, NULL);
    } else if (outcome >= 0 && reply && reply->len > 0 && outcome != BRIDGE_VALID) {
        resource_answer(r, 200, reply);
    } else if (outcome >= 0) {
        answer_begin(&a, c, outcome == BRIDGE_VALID ? 304 : outcome == BRIDGE_UNHEARD ? 202 : 204);
        put_tag(&a, c->stored);
        answer_end(&a, NULL, 0, NULL);
    } else if (outcome == BRIDGE_FORMAT && verb == BRIDGE_PATCH) { /* RFC 5789 2.2 */
        answer_problem(c, 415, bridge_status_text(outcome),
                       ACCEPT_PATCH);
    } else if (outcome == BRIDGE_METHOD) {
        refuse_method(c, verb);
    } else {
        answer_failure(c, outcome, msg_sentence(reply, said, sizeof said) ? said : outcome == BRIDGE_BUSY ? port_why(c->port->port) : NULL);
    }
}

static bridge_verb verb_of(text method)
{
    return text_is(method, "PUT")      ? BRIDGE_PUT
           : text_is(method, "POST")   ? BRIDGE_POST
           : text_is(method, "PATCH")  ? BRIDGE_PATCH
           : text_is(method, "DELETE") ? BRIDGE_DELETE
                                       : BRIDGE_GET;
}

static int read_name(request *r, text below)
{
    buf *b = &r->conn->port->name;
    int n;

    buf_clear(b);
    if (buf_room(b, below.len + 1) < 0) return BRIDGE_NOMEM;
    n = target_name(below, (char *)b->data);
    if (n >= 0) b->len = (size_t)n;
    return n;
}

static void on_done(void *user, int outcome, bridge_msg *reply)
{
    http_conn *c = user;
    request r;
    text below;
    http_head h;

    conn_recall(c, &h, &r);
    if (target_below(r.path, text_of(c->port->mount), &below) < 0) below = text_of("$history"); /* see dispatch.c */
    if (read_name(&r, below) < 0) answer_failure(c, BRIDGE_NOMEM, NULL);
    else resource_finish(&r, verb_of(h.method), (char *)c->port->name.data, outcome, reply);
    conn_done(c);
}

/* A value that is there already, and not the one the asker has: else a GET with Prefer: wait stays. */
static bool wants_to_wait(request *r, const char *name, int outcome, bridge_msg *reply)
{
    uint64_t seconds;

    if (!r->head->first[HEAD_PREFER] || !prefer_wait(r->head, HTTP_MAX_WAIT, &seconds) || seconds == 0) return false;
    if (outcome == BRIDGE_NOTFOUND || (outcome >= 0 && reply && resource_is_known(r, reply)))
        return watch_wait(r, name, seconds);
    return false;
}

static bool was_modified(const request *r, const bridge_msg *there)
{
    int64_t seconds;

    return date_read(head_value(r->head, HEAD_IF_UNMODIFIED_SINCE), &seconds) && there->time / 1000 > seconds;
}

/* If-None-Match with tags, and If-Unmodified-Since, on a write (RFC 9110 13.1.2, 13.1.4): is the value not to be touched?  Nothing comes
 * between this and the write. */
static bool is_unwanted(request *r, const char *name)
{
    bridge_msg *ask, *there = NULL;
    bool unwanted = false;

    if (bridge_peer_msg(r->conn->peer, BRIDGE_FIELDS(.path = name), &ask) < 0) return false;
    if (bridge_peer_submit(r->conn->peer, BRIDGE_GET, ask, NULL, &there, NULL, NULL, NULL) >= 0 && there)
        unwanted = r->head->first[HEAD_IF_NONE_MATCH] ? resource_is_known(r, there) : was_modified(r, there);
    bridge_msg_unref(ask);
    bridge_msg_unref(there);
    return unwanted;
}

/* What an owner may want to know besides.  room: for the query as text. */
static void take_wishes(request *r, bridge_terms *terms, buf *room)
{
    text accept = head_value(r->head, HEAD_ACCEPT);

    buf_init(room, r->conn->port->mem, 0);
    if (r->query.len && buf_put(room, r->query.p, r->query.len) == 0) terms->query = buf_cstr(room);
    if (accept.len >= 23 && memcmp(accept.p, "application/link-format", 23) == 0) terms->accept = 1 + BRIDGE_LINKS;
}

static void submit(request *r, bridge_verb verb, const char *name)
{
    http_conn *c = r->conn;
    uint64_t versions[MAX_TAGS];
    bridge_terms terms = {0};
    bridge_msg *msg, *reply = NULL;
    uint64_t seconds;
    later *l;
    buf query;
    via came = {0};
    int rc;

    if (verb != BRIDGE_GET && r->head->first[HEAD_BRIDGE_VIA] && !via_read(r, &came)) { /* RFC 5842 7.2 */
        answer_problem(c, 508, "It has come round too often, or through too many bridges.", NULL);
        return;
    }
    rc = make_message(r, verb, name, &came, &msg);
    if (rc < 0) {
        answer_failure(c, rc, NULL);
        return;
    }
    if (r->head->first[HEAD_IF_MATCH] || r->head->first[HEAD_IF_NONE_MATCH]) read_terms(r->head, &terms, versions);
    if (verb == BRIDGE_GET) {
        terms.if_absent = false;
    } else if ((r->head->first[HEAD_IF_NONE_MATCH] ? !terms.if_absent : r->head->first[HEAD_IF_UNMODIFIED_SINCE] && !terms.if_match_count && !terms.if_exists) &&
               is_unwanted(r, name)) {
        bridge_msg_unref(msg);
        answer_failure(c, BRIDGE_PRECONDITION, NULL);
        return;
    }
    take_wishes(r, &terms, &query);
    l = later_wanted(r) ? later_new(r, verb, name) : NULL;
    if (l) terms.timeout = HTTP_LATER_TIME;
    else if (r->head->first[HEAD_PREFER] && prefer_wait(r->head, HTTP_MAX_WAIT, &seconds)) terms.timeout = (int64_t)seconds * 1000;
    c->waits = !l && terms.timeout > 0;
    rc = l ? later_submit(l, msg, &terms, &reply)
           : bridge_peer_submit(c->peer, verb, msg, &terms, &reply, on_done, c, &c->ticket);
    buf_done(&query);
    if (verb == BRIDGE_PUT || verb == BRIDGE_PATCH) c->stored = msg->version; /* an owner's are not ours to know: 0 */
    bridge_msg_unref(msg);
    if (l && rc == BRIDGE_PENDING) {
        later_say(c, l);
        return;
    }
    if (l) later_free(l);
    if (rc == BRIDGE_PENDING) {
        if (conn_keep(c, r) == 0) {
            conn_enter(c, CONN_ASKED);
            return;
        }
        bridge_ticket_cancel(c->ticket);
        c->ticket = NULL;
        rc = BRIDGE_NOMEM;
    }
    if (verb == BRIDGE_GET && rc == BRIDGE_NOTFOUND && name[strlen(name) - 1] == '/') {
        ((char *)(uintptr_t)name)[strlen(name) - 1] = 0; /* "home/" has no value: what is below "home"? */
        collect_list(r, name);
    } else if (verb != BRIDGE_GET || !wants_to_wait(r, name, rc, reply)) {
        resource_finish(r, verb, name, rc, reply);
    }
    bridge_msg_unref(reply);
}

static bool wants_events(const request *r)
{
    accept_list a;

    if (query_has(r->query, "observe")) return true;
    if (!r->head->first[HEAD_ACCEPT]) return false;
    accept_read(&a, r->head);
    return accept_asks(&a, "text/event-stream");
}

/* What ?paths= asks for of a device, and its like, is watched where its owner says (bridge_owner_fns.part). */
static void watch_path(request *r, const char *path)
{
    http_conn *c = r->conn;
    char part[4096];
    bridge_msg *question = NULL;
    buf query;
    int rc = 0;

    buf_init(&query, c->port->mem, 0);
    if (r->query.len) rc = buf_put(&query, r->query.p, r->query.len);
    if (rc == 0 && r->query.len) rc = bridge_peer_msg(c->peer, BRIDGE_FIELDS(.path = path), &question);
    if (rc == 0 && question) rc = bridge_peer_part(c->peer, path, question, buf_cstr(&query), part, sizeof part);
    bridge_msg_unref(question);
    buf_done(&query);
    if (rc < 0) answer_failure(c, rc, NULL);
    else watch_events(r, rc > 0 ? part : path, true);
}

static void serve_pattern(request *r, const char *pattern)
{
    bridge_error err;

    if (path_check_filter(pattern, strlen(pattern), &err) < 0) answer_problem(r->conn, 400, err.text, NULL);
    else if (verb_of(r->head->method) != BRIDGE_GET) answer_not_allowed(r, "A pattern can only be read.");
    else if (wants_events(r)) watch_events(r, pattern, false);
    else collect_read(r, pattern);
}

const char *resource_allow(request *r, text below)
{
    int n = read_name(r, below);
    bool many = n == 0 || (n > 0 && strpbrk((char *)r->conn->port->name.data, "+#"));

    return many ? ALLOW_READING : ALLOW_ALL;
}

void resource_serve(request *r, text below)
{
    http_conn *c = r->conn;
    bridge_verb verb = verb_of(r->head->method);
    bridge_error err;
    const char *name;
    int rc;

    rc = conn_peer(c, r);
    if (rc < 0) {
        answer_failure(c, rc, NULL);
        return;
    }
    rc = read_name(r, below);
    if (rc < 0) {
        answer_failure(c, rc, rc == BRIDGE_SYNTAX ? "The path has a bad escape, or one of a NUL or a '/'." : NULL);
        return;
    }
    name = (char *)c->port->name.data;
    if (rc == 0) {
        if (verb != BRIDGE_GET) answer_not_allowed(r, "This is the root of all resources.");
        else if (wants_events(r)) watch_events(r, "#", false);
        else collect_list(r, "");
    } else if (strpbrk(name, "+#")) {
        serve_pattern(r, name);
    } else if (path_check(name, (size_t)rc, &err) < 0) {
        answer_problem(c, 400, err.text, NULL);
    } else if (verb == BRIDGE_GET && wants_events(r)) {
        watch_path(r, name);
    } else if (verb == BRIDGE_GET && query_has(r->query, "list")) {
        collect_list(r, name);
    } else {
        submit(r, verb, name);
    }
}
