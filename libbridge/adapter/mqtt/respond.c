/* adapter/mqtt/respond.c - a client answers: SUBSCRIBE with the user property `responder: true` makes it the owner of the filter.
 *
 *      question of any protocol --> PUBLISH to the client: the path, Response Topic "$answer/<n>", Correlation Data,
 *                                   `method: GET|PUT|...`, maybe `query:` and `accept:`, Message Expiry
 *      PUBLISH "$answer/<n>"    --> the asker: payload, content type, `status: NOTFOUND` or `code: 4.04`; left out: success
 *
 * Only who was asked can answer: <n> is looked for among the questions of the session.  docs/mapping.md 11. */
#include "adapter/mqtt/session.h"
#include "base/clock.h"
#include "codec/registry.h"
#include "hub/port.h"
#include <stdio.h>

enum { MAX_PROPS = 64 };
static const char answers[] = "$answer/";

struct mqtt_responder {
    list link; /* in session->responders */
    mqtt_session *session;
    bridge_owner *owner;
    uint8_t qos;
    char filter[];
};

typedef struct mqtt_call { /* a question that the client has */
    list link; /* in session->calls */
    timer timer;
    mqtt_session *session;
    bridge_call *call;
    uint64_t number;
} mqtt_call;

static void call_done(mqtt_call *k)
{
    timer_stop(&k->timer);
    list_remove(&k->link);
    k->session->call_count--;
    bridge_call_unref(k->call);
    mem_free(k->session->shared->mem, k);
}

static void on_time_up(timer *t) /* the hub has told the asker */
{
    call_done(list_of(t, mqtt_call, timer));
}

static void on_cancel(void *user, bridge_call *call)
{
    mqtt_responder *r = user;
    list_each_safe(it, &r->session->calls)
    {
        mqtt_call *k = list_of(it, mqtt_call, link);
        if (k->call == call) call_done(k);
    }
}

/* ---- the question */

static bool is_our_word(const char *name)
{
    return strcmp(name, "method") == 0 || strcmp(name, "query") == 0 || strcmp(name, "accept") == 0 || strcmp(name, "timeout") == 0;
}

static size_t question_props(bridge_call *call, const bridge_fields *f, bridge_prop *props)
{
    const bridge_terms *terms = bridge_call_terms(call);
    const char *accept = terms && terms->accept ? format_media_type((bridge_format)(terms->accept - 1)) : NULL;
    size_t n = 0;
    props[n++] = (bridge_prop){"method", mqtt_method_name(bridge_call_verb(call))};
    if (terms && terms->query) props[n++] = (bridge_prop){"query", terms->query};
    if (accept) props[n++] = (bridge_prop){"accept", accept};
    for (size_t i = 0; i < f->prop_count && n < MAX_PROPS; ++i)
        if (!is_our_word(f->props[i].name)) props[n++] = f->props[i];
    return n;
}

static int question(mqtt_responder *r, mqtt_call *k, bridge_msg **out)
{
    mqtt_session *s = r->session;
    bridge_msg *asked = bridge_call_msg(k->call);
    bridge_fields f = {.size = sizeof f};
    bridge_prop props[MAX_PROPS];
    char topic[sizeof answers + 20], name[65536];
    uint8_t id[8];
    bridge_msg_look(asked, &f);
    if (peer_name_of(s->peer, msg_path(asked), name, sizeof name) <= 0) return BRIDGE_INVALID;
    snprintf(topic, sizeof topic, "%s%llx", answers, (unsigned long long)k->number);
    for (unsigned i = 0; i < 8; ++i) id[i] = (uint8_t)(k->number >> (56 - 8 * i));
    f.path = name;
    f.response = topic;
    f.correlation = id;
    f.correlation_len = sizeof id;
    f.prop_count = question_props(k->call, &f, props);
    f.props = props;
    f.retain = false;
    f.qos = r->qos;
    f.origin = NULL;
    f.time = loop_calendar(s->shared->loop);
    f.ttl = bridge_call_timeout(k->call);
    if (f.ttl <= 0) f.ttl = 1;
    int rc = msg_new(s->shared->mem, &f, asked->origin, out);
    if (rc < 0) return rc;
    (*out)->text_said = asked->text_said;
    (*out)->version = peer_stamp(s->peer);
    return 0;
}

static int pass_on(mqtt_responder *r, bridge_call *call)
{
    mqtt_session *s = r->session;
    bridge_msg *msg = NULL;
    if (!s->client) return BRIDGE_UNREACHABLE;
    if (s->call_count >= MQTT_MAX_ASKED) return BRIDGE_BUSY;
    if (peer_may(s->peer, BRIDGE_PUT, bridge_call_msg(call)->path) < 0) return BRIDGE_DENIED;
    mqtt_call *k = mem_new(s->shared->mem, mqtt_call);
    if (!k) return BRIDGE_NOMEM;
    k->session = s;
    k->call = bridge_call_ref(call);
    random_bytes(&k->number, sizeof k->number);
    list_push(&s->calls, &k->link);
    s->call_count++;
    int rc = question(r, k, &msg);
    if (rc == 0) rc = timer_start(&k->timer, s->shared->loop, bridge_call_timeout(call), on_time_up);
    if (rc < 0) {
        bridge_call_reply(call, rc, NULL);
        call_done(k);
    } else {
        bridge_delivery how = {.qos = r->qos};
        mqtt_deliver(s, msg, &how);
    }
    bridge_msg_unref(msg);
    return 0;
}

static void on_call(void *user, bridge_call *call)
{
    int rc = pass_on(user, call);
    if (rc < 0) bridge_call_reply(call, rc, NULL);
}

static const bridge_owner_fns fns = {.size = sizeof fns, .call = on_call, .cancel = on_cancel};

/* ---- the answer */

/* The answer without the words that are for us. */
static int reply_msg(mqtt_session *s, const wire_packet *p, wire_slice topic, bridge_msg **out, int *status)
{
    bridge_fields f = {.size = sizeof f};
    bridge_prop props[MAX_PROPS];
    bridge_msg *whole = NULL;
    size_t n = 0;
    bool said = false;
    int rc = mqtt_msg_new(s, &whole, topic, p->publish.payload, p->publish.qos, false, &p->props);
    if (rc < 0) return rc;
    bridge_msg_look(whole, &f);
    for (size_t i = 0; i < f.prop_count; ++i) {
        bool ours = strcmp(f.props[i].name, "status") == 0 || strcmp(f.props[i].name, "code") == 0;
        if (ours && !said) *status = mqtt_status_said(text_of(f.props[i].value));
        said |= ours;
        if (!ours && n < MAX_PROPS) props[n++] = f.props[i];
    }
    f.props = props;
    f.prop_count = n;
    f.response = NULL;
    f.correlation = NULL;
    f.correlation_len = 0;
    rc = msg_new(s->shared->mem, &f, whole->origin, out);
    if (rc == 0) (*out)->text_said = whole->text_said;
    bridge_msg_unref(whole);
    return rc;
}

static mqtt_call *call_of(mqtt_session *s, wire_slice topic)
{
    char wanted[sizeof answers + 20];
    list_each(it, &s->calls)
    {
        mqtt_call *k = list_of(it, mqtt_call, link);
        int n = snprintf(wanted, sizeof wanted, "%s%llx", answers, (unsigned long long)k->number);
        if (topic.len == (uint32_t)n && memcmp(topic.p, wanted, topic.len) == 0) return k;
    }
    return NULL;
}

bool mqtt_answer(mqtt_session *s, const wire_packet *p, wire_slice topic, int *rc)
{
    size_t len = sizeof answers - 1;
    if (topic.len < len || memcmp(topic.p, answers, len) != 0) return false;
    mqtt_call *k = call_of(s, topic);
    bridge_msg *reply = NULL;
    int status = BRIDGE_OK;
    *rc = BRIDGE_UNHEARD; /* too late, or never asked */
    if (!k) return true;
    *rc = reply_msg(s, p, topic, &reply, &status);
    if (*rc < 0) status = BRIDGE_PROTOCOL;
    bool bare = bridge_call_verb(k->call) != BRIDGE_GET && p->publish.payload.len == 0;
    bridge_call_reply(k->call, status, bare ? NULL : reply);
    bridge_msg_unref(reply);
    call_done(k);
    return true;
}

/* ---- who answers */

static mqtt_responder *responder_of(mqtt_session *s, const char *filter)
{
    list_each(it, &s->responders)
    {
        mqtt_responder *r = list_of(it, mqtt_responder, link);
        if (strcmp(r->filter, filter) == 0) return r;
    }
    return NULL;
}

int mqtt_respond(mqtt_session *s, const char *filter, uint8_t qos)
{
    mqtt_responder *r = responder_of(s, filter);
    size_t len = strlen(filter);
    if (r) {
        r->qos = qos;
        return 0;
    }
    if (strchr(filter, '{') || filter[0] == '$') return BRIDGE_UNSUPPORTED; /* braces would be names to the hub */
    int rc = peer_may_own(s->peer, filter);
    if (rc < 0) return rc;
    r = mem_zalloc(s->shared->mem, sizeof *r + len + 1);
    if (!r) return BRIDGE_NOMEM;
    r->session = s;
    r->qos = qos;
    memcpy(r->filter, filter, len);
    list_push(&s->responders, &r->link);
    s->responder_count++;
    rc = bridge_peer_own(s->peer, filter, &fns, r, &r->owner);
    if (rc < 0) mqtt_respond_no_more(s, filter);
    return rc;
}

bool mqtt_respond_no_more(mqtt_session *s, const char *filter)
{
    mqtt_responder *r = responder_of(s, filter);
    if (!r) return false;
    bridge_owner_close(r->owner);
    list_remove(&r->link);
    s->responder_count--;
    mem_free(s->shared->mem, r);
    return true;
}

void mqtt_calls_drop(mqtt_session *s)
{
    while (!list_empty(&s->calls)) {
        mqtt_call *k = list_of(s->calls.next, mqtt_call, link);
        bridge_call_reply(k->call, BRIDGE_UNREACHABLE, NULL);
        call_done(k);
    }
}

void mqtt_responders_free(mqtt_session *s)
{
    mqtt_calls_drop(s);
    while (!list_empty(&s->responders)) mqtt_respond_no_more(s, list_of(s->responders.next, mqtt_responder, link)->filter);
}
