/* The public calls that talk: publish, request, explain, stats. */
#include "api/bridge.h"

/* ---- publish */

static bridge_verb verb_of(const bridge_msg *msg)
{
    return !msg->retain ? BRIDGE_POST : msg->len ? BRIDGE_PUT : BRIDGE_DELETE;
}

static int publish(bridge *b, bridge_msg *msg)
{
    bridge_verb verb = verb_of(msg);
    int rc = b->hub->offline && msg->origin ? offline_heard(b->hub, msg) : BRIDGE_NOTFOUND;

    if (rc != BRIDGE_NOTFOUND) return rc;
    rc = bridge_peer_submit(b->hub->app, verb, msg, NULL, NULL, NULL, NULL, NULL);
    return rc > 0 || (verb == BRIDGE_DELETE && rc == BRIDGE_NOTFOUND) ? 0 : rc;
}

typedef struct posted_msg {
    bridge *bridge;
    bridge_msg *msg;
} posted_msg;

static void on_publish(void *user)
{
    posted_msg p = *(posted_msg *)user;

    mem_free(p.bridge->mem, user);
    if (p.bridge->hub) publish(p.bridge, p.msg);
    bridge_msg_unref(p.msg);
}

int bridge_publish(bridge *b, bridge_msg *msg)
{
    posted_msg *p;
    int rc;

    if (!msg) return BRIDGE_INVALID;
    if (loop_is_here(b->loop)) return publish(b, msg);
    if (msg->len > b->hub->limits.max_message) return BRIDGE_TOOBIG;
    p = mem_new(b->mem, posted_msg);
    if (!p) return BRIDGE_NOMEM;
    *p = (posted_msg){b, bridge_msg_ref(msg)};
    rc = loop_post(b->loop, on_publish, p);
    if (rc < 0) {
        bridge_msg_unref(msg);
        mem_free(b->mem, p);
    }
    return rc;
}

/* ---- request */

typedef struct question {
    bridge *bridge;
    bridge_verb verb;
    bridge_msg *msg;
    int64_t timeout;
    bridge_done_fn fn;
    void *user;
    bridge_slot *slot;
    bridge_ticket *ticket;
    bool over;
} question;

static void question_free(question *q)
{
    bridge_msg_unref(q->msg);
    mem_free(q->bridge->mem, q);
}

static void answer(question *q, int status, bridge_msg *reply)
{
    if (q->over) return;
    q->over = true;
    q->ticket = NULL;
    if (q->fn) q->fn(q->user, status, reply);
    if (!q->slot) question_free(q); /* else its slot is still to be closed */
}

static void on_done(void *user, int status, bridge_msg *reply)
{
    answer(user, status, reply);
}

static void ask(void *user)
{
    question *q = user;
    bridge_terms terms = {.timeout = q->timeout};
    bridge_msg *reply = NULL;
    int rc;

    if (q->over) return; /* canceled before it was asked */
    if (!q->bridge->hub) {
        answer(q, BRIDGE_CANCELED, NULL);
        return;
    }
    rc = bridge_peer_submit(q->bridge->hub->app, q->verb, q->msg, &terms, &reply, on_done, q, &q->ticket);
    if (rc == BRIDGE_PENDING) return;
    answer(q, rc, reply);
    bridge_msg_unref(reply);
}

static void undo_question(bridge_slot *s)
{
    question *q = s->thing;

    bridge_ticket_cancel(q->ticket);
    answer(q, BRIDGE_CANCELED, NULL);
    question_free(q);
}

/* A slot may only be linked on the loop's thread. */
static int link_slot(bridge *b, void *args)
{
    question *q = args;

    q->slot = slot_new(b, undo_question, q->user);
    if (!q->slot) return BRIDGE_NOMEM;
    q->slot->thing = q;
    return 0;
}

int bridge_request(bridge *b, bridge_verb verb, bridge_msg *msg, int64_t timeout, bridge_done_fn fn, void *user, bridge_slot **out)
{
    question *q;
    int rc = 0;

    if (!msg || verb < BRIDGE_GET || verb > BRIDGE_PATCH || timeout < 0) return BRIDGE_INVALID;
    q = mem_new(b->mem, question);
    if (!q) return BRIDGE_NOMEM;
    *q = (question){.bridge = b, .verb = verb, .msg = bridge_msg_ref(msg), .timeout = timeout, .fn = fn, .user = user};
    if (out) rc = on_loop(b, link_slot, q);
    if (rc == 0 && out) *out = q->slot;
    if (rc == 0 && !loop_is_here(b->loop)) rc = loop_post(b->loop, ask, q);
    else if (rc == 0) ask(q);
    if (rc < 0) question_free(q);
    return rc;
}

/* ---- explain, stats */

typedef struct explanation {
    const char *path;
    char *out;
    size_t len;
} explanation;

static int do_explain(bridge *b, void *args)
{
    explanation *e = args;
    buf out;
    int rc;

    buf_init(&out, b->mem, 1024 * 1024);
    rc = hub_explain(b->hub, e->path, &out);
    if (rc == 0) {
        size_t n = out.len < e->len ? out.len : e->len ? e->len - 1 : 0;
        if (n) memcpy(e->out, out.data, n);
        if (e->len) e->out[n] = 0;
        rc = (int)out.len;
    }
    buf_done(&out);
    return rc;
}

int bridge_explain(bridge *b, const char *path, char *out, size_t len)
{
    explanation e = {path, out, len};

    return path && (out || !len) ? on_loop(b, do_explain, &e) : BRIDGE_INVALID;
}

typedef struct counting {
    bridge_stat_fn fn;
    void *user;
} counting;

static int do_stats(bridge *b, void *args)
{
    counting *c = args;

    hub_stats(b->hub, c->fn, c->user);
    return 0;
}

void bridge_stats(bridge *b, bridge_stat_fn fn, void *user)
{
    counting c = {fn, user};

    if (fn) on_loop(b, do_stats, &c);
}
