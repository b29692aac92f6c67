/* A request becomes a question to the hub. */
#include "adapter/coap/coap.h"
#include "adapter/coap/directory.h"
#include "adapter/coap/gather.h"
#include "adapter/coap/topics.h"
#include "adapter/coap/names.h"
#include "adapter/coap/proxy.h"
#include "base/clock.h"
#include "base/text.h"

typedef struct asked { /* a request, as far as the hub is concerned */
    coap_port *cp;
    coap_request *r;
    bridge_peer *peer;
    const char *path;
    topic *topic; /* whose data it is, when it came by that way */
    bridge_verb verb;
    coap_wish wish;
} asked;

static int wish_accept(const coap_meta *m) { return m->has & COAP_HAS_ACCEPT ? m->accept : -1; }

/* ---- Later answers */

coap_wait *coap_wait_new(coap_port *cp, coap_request *r)
{
    coap_wait *w = mem_new(cp->mem, coap_wait);
    coap_request *kept = w ? coap_request_keep(r) : NULL;

    if (!kept) {
        mem_free(cp->mem, w);
        return NULL;
    }
    w->cp = cp;
    buf_init(&w->late, cp->mem, 0);
    buf_init(&w->where, cp->mem, 0);
    w->request = kept;
    kept->user = w;
    list_push(&cp->waiting, &w->link);
    return w;
}

void coap_wait_tags(coap_wait *w, const coap_option *tags, unsigned count)
{
    for (w->tag_count = 0; w->tag_count < 4 && w->tag_count < count; w->tag_count++) {
        const coap_option *tag = &tags[w->tag_count];

        w->tags[w->tag_count][0] = (uint8_t)tag->len;
        memcpy(w->tags[w->tag_count] + 1, tag->p, tag->len);
    }
}

unsigned coap_wait_tagged(const coap_wait *w, coap_option tags[4])
{
    for (unsigned i = 0; i < w->tag_count; i++) tags[i] = (coap_option){COAP_ETAG, w->tags[i][0], w->tags[i] + 1};
    return w->tag_count;
}

static coap_wait *wait_spare(coap_port *cp)
{
    if (!cp->spare) cp->spare = mem_new(cp->mem, coap_wait);
    return cp->spare;
}

void coap_wait_free(coap_wait *w)
{
    list_remove(&w->link);
    if (w->gather) coap_gather_free(w->gather);
    timer_stop(&w->leisure);
    bridge_store_forget(&w->disk);
    buf_done(&w->late);
    buf_done(&w->where);
    mem_free(w->cp->mem, w);
}

void coap_wait_dropped(coap_wait *w)
{
    if (w->ticket) bridge_ticket_cancel(w->ticket);
    coap_wait_free(w);
}

/* RFC 7252 8.2: those who are asked all at once do not answer all at once. */
static void on_leisure(timer *t)
{
    coap_wait *w = list_of(t, coap_wait, leisure);
    coap_port *cp = w->cp;
    coap_request *r = w->request;

    r->user = NULL;
    coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_LINKS), .data = w->late.data, .len = w->late.len));
    coap_wait_free(w);
    turn_end_want(cp->loop, &cp->flush);
}

void coap_answer_at_leisure(coap_wait *w, buf *links)
{
    uint32_t dice;

    buf_done(&w->late);
    w->late = *links;
    *links = (buf){.mem = w->cp->mem};
    random_bytes(&dice, sizeof dice);
    if (timer_start(&w->leisure, w->cp->loop, dice % COAP_LEISURE, on_leisure) < 0) on_leisure(&w->leisure);
}

static void on_done(void *user, int status, bridge_msg *reply)
{
    coap_wait *w = user;
    coap_port *cp = w->cp;
    coap_option tags[4];
    coap_wish wish = {w->accept, w->tag_count, tags};
    coap_request *r = w->request;
    coap_observer *o = w->watcher ? coap_observer_of(r) : NULL; /* it may have ended meanwhile */

    coap_wait_tagged(w, tags);
    r->user = NULL;
    if (o && status < 0) {
        coap_unwatch(coap_observer_user(o), 0);
        o = NULL;
    }
    coap_answer_outcome(cp, r, status, w->verb, reply, &wish, o);
    coap_wait_free(w);
    turn_end_want(cp->loop, &cp->flush);
}

/* The owner will answer later. */
static void wait_for_owner(const asked *a, coap_wait *w, coap_watcher *watcher)
{
    coap_request *kept = coap_request_keep(a->r);

    if (!kept) {
        bridge_ticket_cancel(w->ticket);
        coap_answer_status(a->r, BRIDGE_BUSY, a->verb, "too many requests are waiting");
        return;
    }
    a->cp->spare = NULL;
    w->cp = a->cp;
    w->request = kept;
    w->watcher = watcher;
    if (watcher) watcher->unanswered = true;
    w->verb = a->verb;
    w->accept = a->wish.accept;
    coap_wait_tags(w, a->wish.tags, a->wish.tag_count);
    kept->user = w;
    list_push(&a->cp->waiting, &w->link);
}

static int ask_hub(const asked *a, bridge_msg *msg, const bridge_terms *terms, coap_watcher *watcher, bridge_msg **reply)
{
    coap_wait *w = wait_spare(a->cp);
    int rc;

    if (!w) return BRIDGE_NOMEM;
    *w = (coap_wait){0};
    list_init(&w->link);
    rc = bridge_peer_submit(a->peer, a->verb, msg, terms, reply, on_done, w, &w->ticket);
    if (rc == BRIDGE_PENDING) wait_for_owner(a, w, watcher);
    return rc;
}

/* ---- Reading */

/* Begins or ends an observation, if that is wanted. */
static int take_observe(const asked *a, bridge_msg *question, coap_watcher **watcher)
{
    const coap_meta *m = a->r->meta;
    int rc = 0;

    if (!(m->has & COAP_HAS_OBSERVE)) return 0;
    if (m->observe == 0) {
        if (a->topic && a->topic->max_subscribers && a->topic->subscriber_count >= a->topic->max_subscribers && !coap_observer_of(a->r))
            return 0; /* RFC 7641 4.1, as the draft has it */
        *watcher = coap_watch(a->cp, a->r, a->peer, a->path, a->wish.accept, question, &rc);
        if (*watcher && a->topic) topic_subscribed(a->topic, *watcher);
        if (rc == BRIDGE_BUSY) rc = 0; /* RFC 7641 4.1: answered without Observe */
    } else if (m->observe == 1) {
        coap_observer *o = coap_observer_of(a->r);
        if (o) coap_unwatch(coap_observer_user(o), 0);
    }
    return rc;
}

/* What an owner may want to know besides: the query, spelt as in a URI (RFC 7252 6.5), and the format that is wanted. */
static int take_wishes(const asked *a, bridge_terms *terms, buf *query)
{
    coap_options walk = coap_options_of(a->r->packet);
    coap_option o;
    int rc = 0;

    buf_init(query, a->cp->mem, COAP_QUERY_MAX);
    while (rc == 0 && coap_next_option(&walk, &o)) {
        if (o.number != COAP_URI_QUERY) continue;
        if (query->len) rc = buf_put(query, "&", 1);
        for (size_t i = 0; rc == 0 && i < o.len; i++)
            rc = o.p[i] > ' ' && o.p[i] < 127 && !strchr("%&#\"<>+", o.p[i]) ? buf_put(query, &o.p[i], 1) : buf_print(query, "%%%02X", o.p[i]);
    }
    terms->query = query->len ? buf_cstr(query) : NULL;
    if (a->wish.accept >= 0) terms->accept = 1 + (uint32_t)a->wish.accept;
    return rc;
}

/* GET, or FETCH: a GET whose payload says which part is wanted (RFC 8132 2). */
static int ask_what(const asked *a, const char *path, bridge_msg **question)
{
    bridge_fields f = {.size = sizeof f, .path = path, .format = BRIDGE_FORMAT_AUTO};

    if (a->r->code == COAP_FETCH) {
        if (!a->r->body_len) return BRIDGE_INVALID;
        if (!(a->r->meta->has & COAP_HAS_CONTENT_FORMAT)) return BRIDGE_FORMAT; /* RFC 8132 2.3.1 */
        f.data = a->r->body;
        f.len = a->r->body_len;
        f.format = (bridge_format)a->r->meta->format;
    }
    return bridge_peer_msg(a->peer, &f, question);
}

/* GET, or FETCH, of all that matches.  A FETCH that asks for nothing in particular asks for all, as GET does. */
static void serve_pattern(const asked *a)
{
    const coap_request *r = a->r;
    coap_watcher *watcher = NULL;
    bridge_msg *question = NULL;
    bool reads = r->code == COAP_GET || r->code == COAP_FETCH;
    int rc = reads ? 0 : BRIDGE_INVALID;

    if (r->code == COAP_FETCH && (r->body_len || r->meta->has & COAP_HAS_CONTENT_FORMAT))
        rc = ask_what(a, "pattern", &question); /* a message has a path; of a question nobody reads it */
    if (rc == 0) rc = take_observe(a, question, &watcher);
    if (rc < 0)
        coap_answer_status(a->r, rc, BRIDGE_GET, reads ? NULL : "+ and # are for reading");
    else
        coap_collect(a->cp, a->r, a->peer, a->path, question, watcher);
    bridge_msg_unref(question);
}

/* What is watched of an owner's may have a path of its own, which is read and watched instead (bridge_owner_fns.part). */
static int take_part(asked *a, const bridge_terms *terms, bridge_msg **question, char *room, size_t len)
{
    bridge_msg *plain;
    int rc;

    if (!(a->r->meta->has & COAP_HAS_OBSERVE) || a->r->meta->observe != 0) return 0;
    rc = bridge_peer_part(a->peer, a->path, *question, terms->query, room, len);
    if (rc <= 0) return rc;
    rc = bridge_peer_msg(a->peer, BRIDGE_FIELDS(.path = room), &plain);
    if (rc < 0) return rc;
    bridge_msg_unref(*question);
    *question = plain;
    a->path = room;
    return 1;
}

static void serve_get(asked *a)
{
    bridge_terms terms = {0};
    buf query;
    coap_watcher *watcher = NULL;
    bridge_msg *question = NULL, *value = NULL;
    char part[COAP_PART_MAX];
    bool empty, watches = true;
    int rc = ask_what(a, a->path, &question), wishes = take_wishes(a, &terms, &query);

    if (rc == 0) rc = wishes;
    if (rc == 0) rc = take_part(a, &terms, &question, part, sizeof part);
    if (rc == BRIDGE_TOOBIG) watches = false, rc = 0; /* nobody tells news of this one: RFC 7641 4.1, answered without Observe */
    if (rc >= 0) rc = watches ? take_observe(a, a->r->code == COAP_FETCH && rc == 0 ? question : NULL, &watcher) : 0;
    if (rc == 0) rc = ask_hub(a, question, &terms, watcher, &value);
    buf_done(&query);
    bridge_msg_unref(question);
    if (rc == BRIDGE_PENDING) return;
    empty = rc == BRIDGE_NOTFOUND && watcher && !a->topic; /* one may watch what is yet to come */
    if (watcher && rc < 0 && !empty) {
        coap_unwatch(watcher, 0);
        watcher = NULL;
    }
    coap_answer_outcome(a->cp, a->r, empty ? 0 : rc, BRIDGE_GET, value, &a->wish, watcher ? watcher->observer : NULL);
    bridge_msg_unref(value);
}

/* ---- Writing */

static bool query_value(const coap_option *o, const char *name, text *out)
{
    size_t len = strlen(name);

    if (o->len <= len || memcmp(o->p, name, len) != 0 || o->p[len] != '=') return false;
    *out = (text){(const char *)o->p + len + 1, o->len - len - 1};
    return true;
}

/* Of the query we know qos, retain and expiry (seconds); the rest is not for us (and never part of the path). */
static int take_query(const coap_request *r, bridge_fields *f, bridge_verb *verb)
{
    coap_options walk = coap_options_of(r->packet);
    coap_option o;
    uint64_t n;
    bool yes;
    text v;

    while (coap_next_option(&walk, &o)) {
        if (o.number != COAP_URI_QUERY) continue;
        if (query_value(&o, "qos", &v)) {
            if (!text_to_u64(v, 2, &n)) return BRIDGE_INVALID;
            f->qos = (uint8_t)n;
        } else if (query_value(&o, "retain", &v)) {
            if (!text_to_bool(v, &yes)) return BRIDGE_INVALID;
            if (*verb == BRIDGE_POST || *verb == BRIDGE_PUT) *verb = yes ? BRIDGE_PUT : BRIDGE_POST;
        } else if (query_value(&o, "expiry", &v)) {
            if (!text_to_u64(v, UINT32_MAX - 1, &n)) return BRIDGE_INVALID;
            f->ttl = (int64_t)n * 1000;
        }
    }
    return 0;
}

static void take_terms(const coap_meta *m, bridge_terms *terms, uint64_t *versions)
{
    terms->if_absent = m->has & COAP_HAS_IF_NONE_MATCH;
    terms->if_match = versions;
    for (unsigned i = 0; i < m->if_match_count; i++) {
        if (m->if_match[i].len == 0)
            terms->if_exists = true;
        else
            terms->if_match_count += coap_etag_versions(&m->if_match[i], versions + terms->if_match_count);
    }
    if (terms->if_exists) terms->if_match_count = 0; /* any of them will do */
}

static void serve_change(asked *a)
{
    const coap_meta *m = a->r->meta;
    uint64_t versions[COAP_TAGS_MAX * COAP_ETAG_READINGS];
    bridge_terms terms = {0};
    bridge_fields f = {.size = sizeof f, .path = a->path, .data = a->r->body, .len = a->r->body_len, .format = BRIDGE_FORMAT_AUTO};
    bridge_msg *msg = NULL, *reply = NULL;
    buf query;
    int rc, wishes = take_wishes(a, &terms, &query);

    if (m->has & COAP_HAS_CONTENT_FORMAT) f.format = (bridge_format)m->format;
    if (m->has & COAP_HAS_MAX_AGE) f.ttl = (int64_t)m->max_age * 1000;
    f.qos = a->r->type == COAP_CON; /* as are those on streams */
    rc = take_query(a->r, &f, &a->verb);
    f.retain = a->verb == BRIDGE_PUT;
    take_terms(m, &terms, versions);
    if (rc == 0) rc = wishes;
    if (rc == 0) rc = bridge_peer_msg(a->peer, &f, &msg);
    if (rc == 0) rc = ask_hub(a, msg, &terms, NULL, &reply);
    buf_done(&query);
    bridge_msg_unref(msg);
    if (rc != BRIDGE_PENDING) coap_answer_outcome(a->cp, a->r, rc, a->verb, reply, &a->wish, NULL);
    bridge_msg_unref(reply);
}

/* ---- Which */

static const bridge_verb verbs[] = {
    [COAP_GET] = BRIDGE_GET,       [COAP_POST] = BRIDGE_POST,   [COAP_PUT] = BRIDGE_PUT,
    [COAP_DELETE] = BRIDGE_DELETE, [COAP_PATCH] = BRIDGE_PATCH, [COAP_IPATCH] = BRIDGE_PATCH,
    [COAP_FETCH] = BRIDGE_GET,
};

static void serve_path(asked *a)
{
    uint8_t code = a->r->code;

    if (strpbrk(a->path, "+#")) {
        serve_pattern(a);
        return;
    }
    if (code >= sizeof verbs / sizeof *verbs) {
        coap_answer_status(a->r, BRIDGE_METHOD, BRIDGE_GET, NULL);
        return;
    }
    a->verb = verbs[code];
    if (a->verb == BRIDGE_GET)
        serve_get(a);
    else
        serve_change(a);
}

/* The data of a topic: the path it stands for, as its configuration allows. */
static void serve_data(asked *a)
{
    const coap_meta *m = a->r->meta;
    uint8_t code = a->r->code;

    if (!a->topic)
        coap_answer_status(a->r, BRIDGE_NOTFOUND, BRIDGE_GET, "no such topic");
    else if (code != COAP_GET && code != COAP_PUT && code != COAP_DELETE)
        coap_answer_status(a->r, BRIDGE_METHOD, BRIDGE_GET, NULL);
    else if (code == COAP_PUT && a->topic->format >= 0 && (!(m->has & COAP_HAS_CONTENT_FORMAT) || m->format != a->topic->format))
        coap_answer_status(a->r, BRIDGE_FORMAT, BRIDGE_PUT, "not the format of this topic");
    else if (!topics_serve_past(a->cp, a->r, a->peer, a->topic, a->path))
        serve_path(a);
}

static void serve_named(asked *a)
{
    unsigned segments;
    bool root;
    int rc = coap_path_join(a->r->packet, a->cp->path, COAP_PATH_MAX + 1, &segments);

    if (rc < 0) {
        coap_answer_status(a->r, rc == BRIDGE_TOOBIG ? BRIDGE_INVALID : rc, BRIDGE_GET, "not a path: '/' or broken UTF-8 in a segment");
        return;
    }
    if (segments == 2 && strcmp(a->cp->path, ".well-known/core") == 0) {
        coap_discover(a->cp, a->r, a->peer);
        return;
    }
    if (a->r->multicast) {
        coap_request_text(a->r, COAP_NOT_FOUND, NULL);
        return;
    }
    a->topic = topics_data(a->cp, a->cp->path, &a->path);
    if (a->path) {
        serve_data(a);
        return;
    }
    if (directory_serve(a->cp, a->r, a->peer, a->cp->path) || topics_serve(a->cp, a->r, a->peer, a->cp->path)) return;
    a->path = coap_path_below(a->cp->path, segments, a->cp->mount, &root);
    if (!a->path)
        coap_answer_status(a->r, BRIDGE_NOTFOUND, BRIDGE_GET, NULL);
    else if (root || !*a->path)
        coap_list(a->cp, a->r, a->peer);
    else
        serve_path(a);
}

void coap_serve(void *user, coap_request *r)
{
    asked a = {.cp = user, .r = r};
    const coap_meta *m = r->meta;
    int refused;

    a.cp->requests++;
    if (m->has & COAP_HAS_HOP_LIMIT && m->hop_limit == 0) {
        coap_request_text(r, COAP_BAD_REQUEST, "Hop-Limit is 0"); /* RFC 8768 3 */
        return;
    }
    if (r->multicast && r->code != COAP_GET) {
        coap_request_text(r, COAP_NOT_ALLOWED, NULL); /* which nobody hears: RFC 7252 8.2 */
        return;
    }
    a.peer = coap_who(a.cp, r->peer, &refused);
    if (!a.peer) {
        coap_answer_status(r, refused, BRIDGE_GET, NULL);
        return;
    }
    if (coap_is_proxied(r)) {
        coap_proxy(a.cp, r);
        return;
    }
    a.wish = (coap_wish){wish_accept(m), m->etag_count, m->etags};
    serve_named(&a);
}
