/* adapter/uplink/mirror.c - another bridge at the other end: its tree is a part of ours.
 *
 *      bridge+mqtt://site:1883?as=site/{path...}        its "hall/temp" is our "site/hall/temp"
 *
 * The uplink owns the pattern.  What somebody asks there becomes a question over MQTT 5 (docs/mapping.md 11): PUBLISH with Response
 * Topic, Correlation Data and the user property `method`.  What somebody watches is subscribed to there, once for each filter, and
 * nothing else is; what comes is news of the owner.  So bridges chain: the other one may ask and watch the next. */
#include "adapter/uplink/uplink.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/status.h"
#include "codec/registry.h"
#include "core/message.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct question { /* somebody waits */
    uint8_t id[8];
    bridge_call *call;
} question;

typedef struct wish { /* a filter that somebody watches, as the other side calls it */
    list link;
    char filter[];
} wish;

struct mirror {
    bridge_owner *owner;
    char *prefix; /* "site/" */
    size_t prefix_len;
    char *replies; /* where answers come */
    map questions;
    list wishes;
    uint64_t last;
};

/* ---- statuses */

static int status_named(const char *name)
{
    static const struct {
        const char *name;
        int status;
    } all[] = {{"OK", BRIDGE_OK}, {"CREATED", BRIDGE_CREATED}, {"VALID", BRIDGE_VALID}, {"UNHEARD", BRIDGE_UNHEARD},
#define STATUS(word, number, words) {#word, number},
        BRIDGE_STATUS_MAP(STATUS)
#undef STATUS
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0) return all[i].status;
    return BRIDGE_PROTOCOL;
}

static const char *prop_of(const arrival *a, const char *name)
{
    for (size_t i = 0; i < a->prop_count; i++)
        if (strcmp(a->props[i].name, name) == 0) return a->props[i].value;
    return NULL;
}

/* ---- questions */

static void answer(struct mirror *m, mem *memory, question *q, int status, bridge_msg *msg)
{
    bridge_call *call = q->call;

    map_remove(&m->questions, q->id, sizeof q->id);
    mem_free(memory, q);
    bridge_call_reply(call, status, msg);
    bridge_call_unref(call);
}

static const char *const verbs[] = {
    [BRIDGE_GET] = "GET", [BRIDGE_PUT] = "PUT", [BRIDGE_POST] = "POST", [BRIDGE_DELETE] = "DELETE", [BRIDGE_PATCH] = "PATCH"};

/* The question as a message: the body as it is, how long somebody waits, and what the asker has said besides. */
static int question_msg(uplink *u, bridge_call *call, const question *q, bridge_msg **out)
{
    const bridge_msg *asked = bridge_call_msg(call);
    const bridge_fields *f = bridge_msg_look(asked, BRIDGE_FIELDS());
    const bridge_terms *terms = bridge_call_terms(call);
    bridge_verb verb = bridge_call_verb(call);
    bridge_prop props[40];
    bridge_fields g = {.size = sizeof g, .format = f->format, .media_type = f->media_type, .data = f->data, .len = f->len, .qos = 1};
    char timeout[24];
    size_t n = 0;

    if (verb > BRIDGE_PATCH || !verbs[verb]) return BRIDGE_METHOD;
    snprintf(timeout, sizeof timeout, "%" PRId64, bridge_call_timeout(call));
    props[n++] = (bridge_prop){"method", verbs[verb]};
    props[n++] = (bridge_prop){"timeout", timeout};
    if (terms && terms->query) props[n++] = (bridge_prop){"query", terms->query};
    if (terms && terms->accept && format_media_type((bridge_format)(terms->accept - 1)))
        props[n++] = (bridge_prop){"accept", format_media_type((bridge_format)(terms->accept - 1))};
    for (size_t i = 0; i < f->prop_count && n < 40; i++) props[n++] = f->props[i];
    g.path = f->path + u->mirror->prefix_len;
    g.props = props;
    g.prop_count = n;
    g.response = u->mirror->replies;
    g.correlation = q->id;
    g.correlation_len = sizeof q->id;
    g.time = loop_calendar(port_loop(u->port));
    g.ttl = bridge_call_timeout(call) + 1;
    return bridge_peer_msg(u->peer, &g, out);
}

static int ask(uplink *u, bridge_call *call)
{
    const bridge_msg *asked = bridge_call_msg(call);
    struct mirror *m = u->mirror;
    bridge_msg *msg = NULL;
    question *q;
    parcel *p;
    int rc;

    if (!u->was_up) return BRIDGE_UNREACHABLE;
    if (asked->path_len <= m->prefix_len) return BRIDGE_NOTFOUND; /* "site" itself is nobody there */
    const msg_extra *x = msg_extra_of(asked);
    if (x && uplink_hops(u, x->props, x->prop_count) < 0) return BRIDGE_UNREACHABLE; /* it went round */
    q = mem_new(u->mem, question);
    if (!q) return BRIDGE_NOMEM;
    m->last++;
    memcpy(q->id, &m->last, sizeof q->id);
    rc = question_msg(u, call, q, &msg);
    p = rc == 0 ? parcel_new(u->mem, msg, msg->path, msg->path_len) : NULL;
    bridge_msg_unref(msg);
    if (p && map_put(&m->questions, q->id, sizeof q->id, q, NULL) == 0) {
        q->call = bridge_call_ref(call);
        p->transient = true;
        p->qos = 1;
        uplink_send(u, p);
        return 0;
    }
    if (p) parcel_free(u->mem, p);
    mem_free(u->mem, q);
    return rc < 0 ? rc : BRIDGE_NOMEM;
}

static void on_call(void *user, bridge_call *call)
{
    int rc = ask(user, call);

    if (rc < 0) bridge_call_reply(call, rc, NULL);
}

static void on_answer(uplink *u, const arrival *a)
{
    struct mirror *m = u->mirror;
    question *q = a->correlation_len == 8 ? map_get(&m->questions, a->correlation, 8) : NULL;
    const char *word = prop_of(a, "status");
    int status = word ? status_named(word) : BRIDGE_OK;
    bridge_fields f = {.size = sizeof f, .format = BRIDGE_FORMAT_AUTO, .data = a->data, .len = a->len};
    bridge_prop props[40];
    bridge_msg *msg = NULL;
    const char *usual;

    if (!q) return; /* too late */
    f.path = bridge_call_msg(q->call)->path;
    f.props = props;
    for (size_t i = 0; i < a->prop_count && f.prop_count < 40; i++)
        if (strcmp(a->props[i].name, "status") != 0 && strcmp(a->props[i].name, "code") != 0) props[f.prop_count++] = a->props[i];
    f.time = loop_calendar(port_loop(u->port));
    if (a->has_expiry) f.ttl = a->expiry ? (int64_t)a->expiry * 1000 : 1;
    if (a->content_type) {
        f.format = format_of_media_type(text_of(a->content_type));
        usual = format_media_type(f.format);
        f.media_type = usual && strcmp(usual, a->content_type) == 0 ? NULL : a->content_type;
    }
    if ((a->len || bridge_call_verb(q->call) == BRIDGE_GET) && bridge_peer_msg(u->peer, &f, &msg) < 0) status = BRIDGE_NOMEM;
    answer(m, u->mem, q, status, msg);
    bridge_msg_unref(msg);
}

static void on_cancel(void *user, bridge_call *call)
{
    uplink *u = user;
    question *q;
    size_t at = 0;

    while ((q = map_next(&u->mirror->questions, &at)))
        if (q->call == call) {
            answer(u->mirror, u->mem, q, BRIDGE_CANCELED, NULL);
            return;
        }
}

static void refuse_all(uplink *u)
{
    question *q;

    for (size_t at = 0; (q = map_next(&u->mirror->questions, &at)); at = 0) answer(u->mirror, u->mem, q, BRIDGE_UNREACHABLE, NULL);
}

/* ---- watching */

static const char *their_name(const struct mirror *m, const char *ours)
{
    if (strncmp(ours, m->prefix, m->prefix_len) == 0) return ours + m->prefix_len;
    return NULL;
}

static void subscribe_one(uplink *u, const char *filter)
{
    link_subscribe(u->link, filter, 1, false, false);
}

static void on_interest(void *user, const char *filter, bool wanted)
{
    uplink *u = user;
    const char *theirs = their_name(u->mirror, filter);
    wish *w;

    if (!theirs || u->state == UPLINK_CLOSING) return;
    if (wanted) {
        w = mem_alloc(u->mem, sizeof *w + strlen(theirs) + 1);
        if (!w) return;
        strcpy(w->filter, theirs);
        list_push(&u->mirror->wishes, &w->link);
        if (u->was_up) subscribe_one(u, theirs);
        return;
    }
    list_each_safe(it, &u->mirror->wishes)
    {
        w = list_of(it, wish, link);
        if (strcmp(w->filter, theirs) != 0) continue;
        if (u->was_up) link_unsubscribe(u->link, theirs);
        list_remove(&w->link);
        mem_free(u->mem, w);
        return;
    }
}

static int news(uplink *u, const arrival *a, link_ack *ack)
{
    struct mirror *m = u->mirror;
    map_line plain = {.qos = 2};

    if (m->prefix_len + a->topic_len >= MAP_NAME) return BRIDGE_INVALID;
    memcpy(u->name_room, m->prefix, m->prefix_len);
    memcpy(u->name_room + m->prefix_len, a->topic, a->topic_len + 1);
    return uplink_submit(u, a, &plain, u->name_room, ack);
}

bool mirror_heard(uplink *u, const arrival *a, link_ack *ack, int *outcome)
{
    *outcome = 0;
    if (strcmp(a->topic, u->mirror->replies) == 0) {
        on_answer(u, a);
        return true;
    }
    for (size_t i = 0; i < u->options.maps.count; i++) /* a map takes what it asked for */
        if (!u->options.maps.lines[i].out && pattern_match(u->options.maps.lines[i].source, a->topic, a->topic_len, NULL)) return false;
    *outcome = news(u, a, ack);
    return true;
}

const char *mirror_replies(const uplink *u)
{
    return u->mirror->replies;
}

void mirror_up(uplink *u)
{
    if (!u->mirror) return;
    list_each(it, &u->mirror->wishes) subscribe_one(u, list_of(it, wish, link)->filter);
}

void mirror_down(uplink *u)
{
    if (u->mirror) refuse_all(u);
}

/* ---- the beginning and the end */

/* "site/{path...}": fixed text and the rest; so that a name at one end is one at the other, and a filter too. */
static int read_as(uplink *u, struct mirror *m, bridge_error *err)
{
    const char *as = u->options.mirror_as;
    pattern *p = NULL;
    int rc = pattern_new(u->mem, &p, as, strlen(as), PATTERN_FULL, err);

    if (rc < 0) return rc;
    for (int i = 0; i + 1 < p->count && rc == 0; i++)
        if (p->segments[i].kind != SEGMENT_LITERAL) rc = BRIDGE_INVALID;
    if (rc < 0 || p->count < 2 || !pattern_has_rest(p) || p->segments[p->count - 1].pre || p->segments[p->count - 1].post) {
        rc = fail(err, BRIDGE_INVALID, "as=%.120s: it should look like site/{path...}", as);
    } else {
        m->prefix_len = p->segments[p->count - 1].at;
        m->prefix = mem_text_len(u->mem, as, m->prefix_len);
        if (!m->prefix) rc = fail_nomem(err);
    }
    mem_free(u->mem, p);
    return rc;
}

int mirror_new(uplink *u, bridge_error *err)
{
    static const bridge_owner_fns fns = {.size = sizeof fns, .call = on_call, .interest = on_interest, .cancel = on_cancel};
    struct mirror *m = mem_new(u->mem, struct mirror);
    char replies[400];
    uint64_t seed;
    int rc;

    if (!m) return fail_nomem(err);
    random_bytes(&seed, sizeof seed);
    m->last = seed;
    list_init(&m->wishes);
    map_init(&m->questions, u->mem, seed);
    u->mirror = m;
    snprintf(replies, sizeof replies, HUB_REPLIES "%.250s/answers", u->options.client_id);
    m->replies = mem_text(u->mem, replies);
    rc = m->replies ? read_as(u, m, err) : fail_nomem(err);
    if (rc < 0) return rc;
    rc = bridge_peer_own(u->peer, u->options.mirror_as, &fns, u, &m->owner);
    return rc < 0 ? fail(err, rc, "as=%.120s: %s", u->options.mirror_as, bridge_status_text(rc)) : 0;
}

void mirror_free(uplink *u)
{
    struct mirror *m = u->mirror;

    if (!m) return;
    refuse_all(u);
    bridge_owner_close(m->owner);
    while (!list_empty(&m->wishes)) mem_free(u->mem, list_of(list_pop(&m->wishes), wish, link));
    map_done(&m->questions);
    mem_free(u->mem, m->prefix);
    mem_free(u->mem, m->replies);
    mem_free(u->mem, m);
    u->mirror = NULL;
}
