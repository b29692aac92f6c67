/* Questions to the owner become questions to the foreign server, and its answers theirs. */
#include "adapter/coap/foreign.h"
#include "adapter/coap/options.h"
#include "core/message.h"
#include "core/path.h"

typedef struct question {
    list link;
    foreign *f;
    bridge_call *call;
    coap_ask *ask;
    bool plain_retry; /* asked again without Accept */
    size_t key_len;
    char key[]; /* of the cache: verb, path, query, Accept */
} question;

/* ---- Answers */

static void question_free(question *q)
{
    list_remove(&q->link);
    bridge_call_unref(q->call);
    mem_free(q->f->mem, q);
}

static void reply(question *q, int status, const bridge_fields *f)
{
    bridge_msg *msg = NULL;

    if (f && bridge_peer_msg(q->f->peer, f, &msg) < 0 && status >= 0) status = BRIDGE_TOOBIG;
    bridge_call_reply(q->call, status, msg);
    bridge_msg_unref(msg);
}

static const char *path_of(const question *q)
{
    return bridge_msg_look(bridge_call_msg(q->call), BRIDGE_FIELDS())->path;
}

static void reply_kept(question *q, const far_kept *k, int64_t ttl)
{
    const bridge_terms *terms = bridge_call_terms(q->call);
    bridge_fields f = {.size = sizeof f, .path = path_of(q), .data = far_kept_body(k), .len = k->len, .ttl = ttl,
                       .version = k->version, .format = k->format < 0 ? BRIDGE_FORMAT_AUTO : (bridge_format)k->format};

    for (unsigned i = 0; terms && i < terms->unless_count; i++)
        if (terms->unless[i] == k->version) {
            reply(q, BRIDGE_VALID, NULL);
            return;
        }
    reply(q, BRIDGE_OK, &f);
}

static bool is_get(const question *q) { return bridge_call_verb(q->call) == BRIDGE_GET; }

static void keep(question *q, const coap_answer *a, int64_t ttl)
{
    foreign *f = q->f;
    far_kept like = {.version = port_version(f->port), .format = -1, .code = a->code, .len = a->body_len}, *before;
    const coap_option *tag = &a->meta->etags[0];

    like.fresh_until = loop_now(f->loop) + ttl;
    if (a->meta->has & COAP_HAS_CONTENT_FORMAT) like.format = a->meta->format;
    like.etag_len = (uint8_t)tag->len;
    memcpy(like.etag, tag->p, tag->len);
    before = far_cache_get(&f->cache, q->key, q->key_len);
    if (before && coap_etag_same(a, before->etag, before->etag_len)) like.version = before->version;
    before = far_cache_put(&f->cache, q->key, q->key_len, &like, a->body);
    if (before)
        reply_kept(q, before, ttl);
    else
        reply(q, BRIDGE_OK, &(bridge_fields){.size = sizeof(bridge_fields), .path = path_of(q), .data = a->body, .len = a->body_len, .ttl = ttl,
                                             .format = like.format < 0 ? BRIDGE_FORMAT_AUTO : (bridge_format)like.format});
}

/* Where that which a POST has made is, as a path of ours (RFC 7252 5.10.7).  m points into path and said. */
static bool take_location(const question *q, const coap_answer *a, bridge_fields *m, bridge_prop *query, buf *path, buf *said)
{
    const char *location = a->code == COAP_CREATED && bridge_call_verb(q->call) == BRIDGE_POST ? coap_answer_location(a, said) : NULL;
    size_t len = location ? strcspn(location, "?") : 0;

    if (!location || (len && foreign_path_here(q->f, (text){location, len}, path) <= 0)) return false;
    if (len) m->path = (const char *)path->data;
    if (location[len]) {
        *query = (bridge_prop){MSG_LOCATION_QUERY, location + len + 1};
        m->props = query;
        m->prop_count = 1;
    }
    return true;
}

static void reply_done(question *q, const coap_answer *a, int status)
{
    bridge_fields m = {.size = sizeof m, .path = path_of(q), .data = a->body, .len = a->body_len, .format = BRIDGE_FORMAT_AUTO};
    bridge_prop query;
    buf path, said;
    bool located;

    buf_init(&path, q->f->mem, PATH_BYTES);
    buf_init(&said, q->f->mem, 65536);
    located = take_location(q, a, &m, &query, &path, &said);
    if (a->meta->has & COAP_HAS_CONTENT_FORMAT) m.format = (bridge_format)a->meta->format;
    if (is_get(q)) m.ttl = foreign_ttl(q->f, a);
    reply(q, status, is_get(q) || a->body_len || located ? &m : NULL);
    buf_done(&path);
    buf_done(&said);
}

static void on_success(question *q, const coap_answer *a)
{
    foreign *f = q->f;
    int64_t ttl = foreign_ttl(f, a);
    int status = coap_status_of_code(a->code);
    far_kept *kept = is_get(q) ? far_cache_get(&f->cache, q->key, q->key_len) : NULL;

    if (status == BRIDGE_VALID) {
        f->revalidated += kept != NULL;
        if (kept)
            reply_kept(q, kept, ttl);
        else
            reply(q, is_get(q) ? BRIDGE_VALID : BRIDGE_PROTOCOL, NULL);
    } else if (is_get(q) && a->meta->etag_count && a->code == COAP_CONTENT) {
        keep(q, a, ttl);
    } else {
        reply_done(q, a, status);
    }
}

static void on_refusal(question *q, const coap_answer *a)
{
    bool says = a->body_len && (!(a->meta->has & COAP_HAS_CONTENT_FORMAT) || a->meta->format == BRIDGE_TEXT);

    bridge_fields m = {.size = sizeof m, .path = path_of(q), .data = a->body, .len = a->body_len, .format = BRIDGE_TEXT};

    reply(q, coap_status_of_code(a->code), says ? &m : NULL);
}

static int question_send(question *q);

static void on_answer(void *user, const coap_answer *a)
{
    question *q = user;
    foreign *f = q->f;
    const bridge_terms *terms = bridge_call_terms(q->call);

    q->ask = NULL;
    foreign_heard(f, a->status);
    if (a->status == 0 && a->code == COAP_NOT_ACCEPTABLE && terms && terms->accept && !q->plain_retry) {
        q->plain_retry = true; /* in any format, then: it is converted here */
        if (question_send(q) == 0) return;
    }
    if (a->status < 0 || coap_class(a->code) != 2) f->errors++;
    if (a->status < 0)
        reply(q, a->status == BRIDGE_CLOSED ? BRIDGE_UNREACHABLE : a->status, NULL);
    else if (coap_class(a->code) == 2)
        on_success(q, a);
    else
        on_refusal(q, a);
    question_free(q);
}

/* ---- Questions */

static uint8_t code_of(bridge_verb verb, const bridge_fields *m)
{
    switch (verb) {
    case BRIDGE_GET: return m->len ? COAP_FETCH : COAP_GET;
    case BRIDGE_PUT: return COAP_PUT;
    case BRIDGE_POST: return COAP_POST;
    case BRIDGE_DELETE: return COAP_DELETE;
    case BRIDGE_PATCH: return m->format == BRIDGE_JSON_PATCH ? COAP_PATCH : COAP_IPATCH; /* RFC 8132 2.3: not always the same twice */
    default: return COAP_EMPTY;
    }
}

/* qos, retain and expiry are for the bridge, not for the server. */
static void say_query(coap_saying *s, const char *query)
{
    static const char *const ours[] = {"qos=", "retain=", "expiry="};
    text rest = text_of(query), part;
    bool more = rest.len > 0;

    while (more) {
        bool mine = false;

        more = text_cut(rest, '&', &part, &rest);
        for (int i = 0; i < 3; i++) mine |= part.len >= strlen(ours[i]) && memcmp(part.p, ours[i], strlen(ours[i])) == 0;
        if (!mine) coap_say_query(s, part);
    }
}

/* The versions that the asker knows are ETags over there. */
static int say_terms(question *q, coap_saying *s, const bridge_terms *t)
{
    foreign *f = q->f;
    unsigned known = 0;

    if (t->if_absent) coap_say(s, COAP_IF_NONE_MATCH, NULL, 0);
    if (t->if_exists) coap_say(s, COAP_IF_MATCH, NULL, 0);
    for (unsigned i = 0; i < t->if_match_count; i++) {
        far_kept *k = far_cache_version(&f->cache, t->if_match[i]);
        if (k) coap_say(s, COAP_IF_MATCH, k->etag, k->etag_len), known++;
    }
    if (t->if_match_count && !known) return BRIDGE_PRECONDITION; /* what it was has changed, or was never there */
    if (t->query) say_query(s, t->query);
    if (t->accept && !q->plain_retry) coap_say_uint(s, COAP_ACCEPT, t->accept - 1);
    return 0;
}

static int say_all(question *q, coap_saying *s, const bridge_fields *m)
{
    foreign *f = q->f;
    const bridge_terms *terms = bridge_call_terms(q->call);
    char where[PATH_BYTES * 2];
    int rc = foreign_path(f, text_of(m->path), where, sizeof where);
    far_kept *kept;

    if (rc < 0) return rc;
    foreign_say_where(f, s, (text){where, (size_t)rc});
    rc = terms ? say_terms(q, s, terms) : 0;
    if (rc < 0) return rc;
    if (m->len && m->format == BRIDGE_FORMAT_NAMED) return BRIDGE_FORMAT;
    if (m->len && m->format != BRIDGE_FORMAT_AUTO) coap_say_uint(s, COAP_CONTENT_FORMAT, m->format);
    kept = is_get(q) && !m->len ? far_cache_get(&f->cache, q->key, q->key_len) : NULL;
    if (kept) coap_say(s, COAP_ETAG, kept->etag, kept->etag_len);
    return coap_say_end(s);
}

static int question_send(question *q)
{
    foreign *f = q->f;
    bridge_fields m = {.size = sizeof m};
    coap_question ask = {0};
    coap_ask *under_way = NULL;
    coap_saying s;
    int rc;

    bridge_msg_look(bridge_call_msg(q->call), &m);
    coap_say_begin(&s, f->mem);
    rc = say_all(q, &s, &m);
    if (rc == 0) {
        ask = (coap_question){.code = code_of(bridge_call_verb(q->call), &m), .options = s.options, .option_count = s.count,
                              .data = m.data, .len = m.len, .timeout = bridge_call_timeout(q->call)};
        if (bridge_call_verb(q->call) == BRIDGE_DELETE) ask.len = 0;
        if (f->timeout < ask.timeout) ask.timeout = f->timeout;
        rc = ask.code ? coap_far_ask(&under_way, f->far, &ask, on_answer, q) : BRIDGE_METHOD;
        if (under_way) q->ask = under_way; /* else q may be gone */
    }
    coap_say_free(&s);
    return rc;
}

static question *question_new(foreign *f, bridge_call *call)
{
    const bridge_terms *t = bridge_call_terms(call);
    const bridge_fields *m = bridge_msg_look(bridge_call_msg(call), BRIDGE_FIELDS());
    const char *query = t && t->query ? t->query : "";
    size_t room = strlen(m->path) + strlen(query) + 16;
    question *q = mem_zalloc(f->mem, sizeof *q + room);
    buf key = {.mem = f->mem};

    if (!q) return NULL;
    buf_print(&key, "%u", t ? t->accept : 0);
    buf_put(&key, "\0", 1);
    buf_put(&key, m->path, strlen(m->path));
    buf_put(&key, "\0", 1);
    buf_put(&key, query, strlen(query));
    q->key_len = key.len < room ? key.len : room;
    if (key.data) memcpy(q->key, key.data, q->key_len);
    buf_done(&key);
    q->f = f;
    q->call = bridge_call_ref(call);
    list_init(&q->link);
    list_push(&f->questions, &q->link);
    return q;
}

void foreign_call(void *user, bridge_call *call)
{
    foreign *f = user;
    question *q;
    int rc;

    f->requests++;
    if (bridge_call_verb(call) == BRIDGE_GET && foreign_is_list(f, call)) {
        bridge_call_reply(call, BRIDGE_NOTFOUND, NULL); /* so that what we know to be below is listed */
        return;
    }
    if (bridge_call_verb(call) == BRIDGE_GET && foreign_wait_news(f, call)) return;
    q = question_new(f, call);
    if (!q) {
        bridge_call_reply(call, BRIDGE_NOMEM, NULL);
        return;
    }
    rc = question_send(q);
    if (rc == 0) return; /* its answer may have come already, and q be gone */
    f->errors++;
    bridge_call_reply(call, rc, NULL);
    question_free(q);
}

void foreign_cancel(void *user, bridge_call *call)
{
    foreign *f = user;

    if (foreign_forget_call(f, call)) return;
    list_each(it, &f->questions)
    {
        question *q = list_of(it, question, link);

        if (q->call != call) continue;
        coap_ask_cancel(q->ask, false);
        question_free(q);
        return;
    }
}

void foreign_calls_end(foreign *f)
{
    while (!list_empty(&f->questions)) {
        question *q = list_of(f->questions.next, question, link);

        coap_ask_cancel(q->ask, false);
        bridge_call_reply(q->call, BRIDGE_UNREACHABLE, NULL);
        question_free(q);
    }
}
