/* adapter/mqtt/ask.c - a client asks: PUBLISH with a Response Topic, to a path that somebody answers for [5: 4.10].
 *
 *      method: GET|PUT|POST|DELETE|PATCH   the verb; left out: as RETAIN says, and without payload and RETAIN it is GET
 *      timeout: MS   accept: MEDIA-TYPE   query: TEXT
 *
 * The answer is a PUBLISH to the Response Topic with the Correlation Data, the QoS of the question, and `status: NOTFOUND`,
 * `code: 4.04`.  docs/mapping.md 11. */
#include "adapter/mqtt/session.h"
#include "codec/registry.h"
#include "hub/port.h"

enum { MAX_PROPS = 64 };

/* As docs/status.md; the first with a code is what the code means when somebody answers with it. */
static const struct outcome {
    int status;
    const char *code;
} outcomes[] = {
    {BRIDGE_OK, "2.05"}, {BRIDGE_OK, "2.04"}, {BRIDGE_OK, "2.02"}, {BRIDGE_CREATED, "2.01"}, {BRIDGE_VALID, "2.03"},
    {BRIDGE_UNHEARD, "2.04"}, {BRIDGE_INVALID, "4.00"}, {BRIDGE_SYNTAX, "4.00"}, {BRIDGE_SYNTAX, "4.02"},
    {BRIDGE_UNAUTHENTICATED, "4.01"}, {BRIDGE_DENIED, "4.03"}, {BRIDGE_NOTFOUND, "4.04"}, {BRIDGE_METHOD, "4.05"},
    {BRIDGE_NOTACCEPTABLE, "4.06"}, {BRIDGE_CONFLICT, "4.09"}, {BRIDGE_EXISTS, "4.09"}, {BRIDGE_PRECONDITION, "4.12"},
    {BRIDGE_TOOBIG, "4.13"}, {BRIDGE_FORMAT, "4.15"}, {BRIDGE_UNPROCESSABLE, "4.22"}, {BRIDGE_BUSY, "4.29"},
    {BRIDGE_INTERNAL, "5.00"}, {BRIDGE_PROTOCOL, "5.00"}, {BRIDGE_CANCELED, "5.00"}, {BRIDGE_IO, "5.00"},
    {BRIDGE_UNSUPPORTED, "5.01"}, {BRIDGE_UNREACHABLE, "5.02"}, {BRIDGE_CLOSED, "5.03"}, {BRIDGE_NOMEM, "5.03"},
    {BRIDGE_TIMEOUT, "5.04"},
};

const char *mqtt_code_of(int status, bridge_verb verb)
{
    if (status == BRIDGE_OK) return verb == BRIDGE_GET ? "2.05" : verb == BRIDGE_DELETE ? "2.02" : "2.04";
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; ++i)
        if (outcomes[i].status == status) return outcomes[i].code;
    return status < 0 ? "5.00" : "2.04";
}

/* "NOTFOUND", "4.04", or as HTTP has it "404"; what is none of these is 5.00. */
int mqtt_status_said(text said)
{
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; ++i)
        if (text_is_nocase(said, bridge_status_name(outcomes[i].status))) return outcomes[i].status;
    bool dotted = said.len >= 4 && said.p[1] == '.';
    if (said.len < 3) return BRIDGE_INTERNAL;
    char code[5] = {said.p[0], '.', said.p[dotted ? 2 : 1], said.p[dotted ? 3 : 2], 0};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; ++i)
        if (strcmp(outcomes[i].code, code) == 0) return outcomes[i].status;
    if (!dotted && said.len == 3 && memcmp(said.p, "200", 3) == 0) return BRIDGE_OK;
    return said.p[0] == '2' ? BRIDGE_OK : said.p[0] == '4' ? BRIDGE_INVALID : BRIDGE_INTERNAL;
}

static const char *const methods[] = {"GET", "PUT", "POST", "DELETE", "PATCH"};
static const bridge_verb verbs[] = {BRIDGE_GET, BRIDGE_PUT, BRIDGE_POST, BRIDGE_DELETE, BRIDGE_PATCH};

const char *mqtt_method_name(bridge_verb verb)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; ++i)
        if (verbs[i] == verb) return methods[i];
    return "POST";
}

static int verb_said(text said, bridge_verb *out)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; ++i)
        if (text_is_nocase(said, methods[i])) {
            *out = verbs[i];
            return 0;
        }
    return BRIDGE_METHOD;
}

/* ---- the answer */

static int answer_msg(mqtt_asked *q, int status, bridge_msg *reply, bridge_msg **out)
{
    mqtt_shared *sh = q->session->shared;
    bridge_fields f = {.size = sizeof f, .format = BRIDGE_FORMAT_AUTO, .data = ""};
    bridge_prop props[MAX_PROPS];
    size_t n = 0;
    if (reply) bridge_msg_look(reply, &f);
    for (size_t i = 0; i < f.prop_count && n < MAX_PROPS - 2; ++i) props[n++] = f.props[i];
    props[n++] = (bridge_prop){"status", status == BRIDGE_OK ? "OK" : bridge_status_name(status)};
    props[n++] = (bridge_prop){"code", mqtt_code_of(status, q->verb)};
    f.path = q->response;
    f.qos = q->qos;
    f.retain = false;
    f.origin = NULL;
    f.response = NULL;
    f.correlation = q->correlation_len ? q->response + q->response_len + 1 : NULL;
    f.correlation_len = q->correlation_len;
    f.props = props;
    f.prop_count = n;
    if (f.time == 0) f.time = loop_calendar(sh->loop);
    int rc = msg_new(sh->mem, &f, reply && reply->origin ? reply->origin : NULL, out);
    if (rc == 0 && reply) (*out)->text_said = reply->text_said;
    return rc;
}

static void asked_free(mqtt_asked *q)
{
    q->session->asked_count--;
    list_remove(&q->link);
    mem_free(q->session->shared->mem, q);
}

static void on_answer(void *user, int status, bridge_msg *reply)
{
    mqtt_asked *q = user;
    mqtt_session *s = q->session;
    bridge_msg *msg = NULL;
    int rc = answer_msg(q, status, reply, &msg);
    asked_free(q);
    if (rc == 0) rc = peer_answer(s->peer, msg);
    bridge_msg_unref(msg);
    if (rc < 0) bridge_port_log(s->shared->port, BRIDGE_LOG_INFO, s->id, "an answer was lost: %s", bridge_status_text(rc));
}

void mqtt_asked_free(mqtt_session *s)
{
    while (!list_empty(&s->asked)) asked_free(list_of(s->asked.next, mqtt_asked, link));
}

/* ---- the question */

typedef struct words { /* what the user properties say */
    text method, accept, query;
    uint64_t timeout;
} words;

static text text_from(wire_slice s)
{
    return (text){(const char *)s.p, s.len};
}

static void read_words(const wire_props *props, words *out)
{
    wire_slice rest = props->raw, name, value;
    *out = (words){.timeout = 0};
    while ((props->has & WIRE_HAS_USER) && wire_next_user(&rest, &name, &value)) {
        text n = text_from(name), v = text_from(value);
        if (text_is(n, "method") && !out->method.p) out->method = v;
        if (text_is(n, "accept") && !out->accept.p) out->accept = v;
        if (text_is(n, "query") && !out->query.p) out->query = v;
        if (text_is(n, "timeout") && !out->timeout) text_to_u64(v, 3600000, &out->timeout);
    }
}

/* A path that has an owner is asked.  One that has only a value is when the question says so: between clients that talk to each
 * other with Response Topics we keep out of the way. */
static bool is_question(mqtt_session *s, const wire_packet *p, text topic, const words *w)
{
    const wire_slice *r = &p->props.response_topic;
    size_t n = sizeof HUB_REPLIES - 1;

    if (w->method.p && r->len > n && memcmp(r->p, HUB_REPLIES, n) == 0) return true; /* no client listens there but the asker */
    return peer_meets_owner(s->peer, topic) || (w->method.p && peer_meets_value(s->peer, topic));
}

static int asked_new(mqtt_session *s, const wire_packet *p, mqtt_asked **out)
{
    const wire_props *props = &p->props;
    wire_slice r = props->response_topic, c = props->has & WIRE_HAS_CORRELATION ? props->correlation : (wire_slice){NULL, 0};
    if (s->asked_count >= MQTT_MAX_ASKED && p->publish.qos) {
        mqtt_say(s->client, "%u questions wait for their answers, no more can", s->asked_count);
        return BRIDGE_BUSY;
    }
    mqtt_asked *q = mem_zalloc(s->shared->mem, sizeof *q + r.len + 1 + c.len);
    if (!q) return BRIDGE_NOMEM;
    q->session = s;
    q->qos = p->publish.qos;
    q->response_len = r.len;
    q->correlation_len = c.len;
    memcpy(q->response, r.p, r.len);
    if (c.len) memcpy(q->response + r.len + 1, c.p, c.len);
    list_push(&s->asked, &q->link);
    s->asked_count++;
    *out = q;
    return 0;
}

static int ask(mqtt_session *s, const wire_packet *p, text topic, const words *w, mqtt_asked *q, bridge_msg **reply)
{
    const wire_publish *m = &p->publish;
    mem *memory = s->shared->mem;
    wire_props props = p->props;
    bridge_terms terms = {.timeout = (int64_t)w->timeout};
    bridge_msg *msg = NULL;
    bridge_verb verb = m->retain ? m->payload.len ? BRIDGE_PUT : BRIDGE_DELETE : m->payload.len ? BRIDGE_POST : BRIDGE_GET;
    int rc = w->method.p ? verb_said(w->method, &verb) : 0;
    q->verb = verb;
    if (rc < 0) return rc;
    if (!peer_meets_owner(s->peer, topic)) props.has &= ~(WIRE_HAS_RESPONSE_TOPIC | WIRE_HAS_CORRELATION); /* not to be kept */
    char *query = mem_text_len(memory, w->query.p, w->query.len);
    terms.query = w->query.p ? query : NULL;
    if (w->accept.p) terms.accept = 1u + (uint32_t)format_of_media_type(w->accept);
    rc = mqtt_msg_new(s, &msg, (wire_slice){(const uint8_t *)topic.p, (uint32_t)topic.len}, m->payload, m->qos, verb == BRIDGE_PUT, &props);
    if (rc == 0) rc = bridge_peer_submit(s->peer, verb, msg, &terms, reply, on_answer, q, &q->ticket);
    bridge_msg_unref(msg);
    mem_free(memory, query);
    return rc;
}

bool mqtt_ask(mqtt_session *s, const wire_packet *p, wire_slice topic, int *rc)
{
    text path = text_from(topic);
    words w;
    mqtt_asked *q = NULL;
    bridge_msg *reply = NULL;
    read_words(&p->props, &w);
    if (!is_question(s, p, path, &w)) return false;
    *rc = asked_new(s, p, &q);
    if (*rc < 0) return true;
    *rc = peer_may(s->peer, BRIDGE_POST, q->response);
    if (*rc < 0) { /* whose answer nobody may hear is not asked */
        asked_free(q);
        return true;
    }
    /* At QoS 0 there is no PUBACK to say it, so the answer does. */
    int status = s->asked_count > MQTT_MAX_ASKED ? BRIDGE_BUSY : ask(s, p, path, &w, q, &reply);
    if (status != BRIDGE_PENDING) on_answer(q, status, reply);
    bridge_msg_unref(reply);
    *rc = 0;
    return true;
}
