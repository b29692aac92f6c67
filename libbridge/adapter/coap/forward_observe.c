/* A proxy's observations (RFC 7641 5): one upstream for all who want the same of the same server, whoever they are.
 *
 *      first asker --> asked --Observe--> told --notification--> all are told
 *                        |  ^               \--Max-Age and a bit over, nothing heard (3.3.1)--> asked
 *                        |  |                \--the server ends it with a value--> asked anew when that is stale
 *                        \--a server that knows no Observe, an error: that is the last they hear
 *      Whoever comes later is told at once what was heard last.  The last one leaves: Observe 1, gone. */
#include "adapter/coap/forward_inside.h"
#include "base/clock.h"

struct seen {
    forwarder *f;
    server *server;
    coap_ask *ask;
    timer again;
    list passages, round; /* round: those still to be told of this news */
    bridge_forwarded last;
    uint8_t *body;
    int64_t fresh_until;
    int depth; /* while fns are called it stays, whoever leaves */
    bool heard;
    coap_saying saying;
    uint8_t code;
    size_t key_len, asked_len; /* of a FETCH: what it asks for is the end of the key */
    char key[];
};

/* Whoever comes now begins anew. */
static void seen_hide(struct seen *s)
{
    if (map_get(&s->f->seen_by_key, s->key, s->key_len) == s) map_remove(&s->f->seen_by_key, s->key, s->key_len);
}

static void seen_free(struct seen *s)
{
    forwarder *f = s->f;

    seen_hide(s);
    timer_stop(&s->again);
    coap_ask_cancel(s->ask, true);
    if (s->server) s->server->busy--;
    coap_say_free(&s->saying);
    mem_free(f->mem, s->body);
    mem_free(f->mem, s);
}

static void seen_leave_it(struct seen *s)
{
    if (s->depth == 0 && list_empty(&s->passages) && list_empty(&s->round)) seen_free(s);
}

void forward_leave(passage *p)
{
    struct seen *s = p->seen;

    p->seen = NULL;
    list_remove(&p->link);
    seen_leave_it(s);
}

/* ---- News */

static void tell_one(struct seen *s, passage *p, const bridge_forwarded *news)
{
    bridge_forwarded a = *news;

    if (a.status == 0 && a.max_age >= 0) {
        int64_t left = (s->fresh_until - loop_now(s->f->loop)) / 1000;
        a.max_age = left > 0 ? left : 0;
    }
    forward_retell(p, &a);
    if (!a.more) { /* its last */
        list_remove(&p->link);
        p->seen = NULL;
        p->fn(p->user, &a);
        passage_free(p);
        return;
    }
    p->fn(p->user, &a); /* p may be gone */
}

static void tell_all(struct seen *s, const bridge_forwarded *news)
{
    list *it;

    s->depth++;
    if (!news->more) seen_hide(s);
    while ((it = list_pop(&s->passages))) list_push(&s->round, it);
    while ((it = list_pop(&s->round))) {
        list_push(&s->passages, it);
        tell_one(s, list_of(it, passage, link), news);
    }
    s->depth--;
    seen_leave_it(s);
}

static int take(struct seen *s, const coap_answer *a)
{
    uint8_t *body = mem_alloc(s->f->mem, a->body_len + 1);

    if (!body) return BRIDGE_NOMEM;
    if (a->body_len) memcpy(body, a->body, a->body_len);
    mem_free(s->f->mem, s->body);
    s->body = body;
    s->last = (bridge_forwarded){.code = a->code, .format = -1, .max_age = coap_answer_age(a), .data = body, .len = a->body_len};
    s->fresh_until = loop_now(s->f->loop) + (int64_t)coap_answer_age(a) * 1000;
    if (a->meta->has & COAP_HAS_CONTENT_FORMAT) s->last.format = a->meta->format;
    if (a->meta->etag_count) {
        s->last.etag.len = (uint8_t)a->meta->etags[0].len;
        memcpy(s->last.etag.bytes, a->meta->etags[0].p, s->last.etag.len);
    }
    return 0;
}

static void on_again(timer *t);

static void on_answer(void *user, const coap_answer *a)
{
    struct seen *s = user;
    bool well = a->status == 0 && coap_class(a->code) == 2;
    int64_t age = well ? (int64_t)coap_answer_age(a) * 1000 : 0;
    int rc = a->status < 0 ? a->status : take(s, a);
    uint32_t dice;

    if (!a->more) s->ask = NULL;
    s->f->notifications++;
    if (rc < 0) {
        s->f->errors++;
        s->last = (bridge_forwarded){.status = rc == BRIDGE_CLOSED ? BRIDGE_UNREACHABLE : rc, .format = -1, .max_age = -1};
        well = false;
    }
    s->last.more = well && (a->more || s->heard);
    s->heard |= a->more;
    random_bytes(&dice, sizeof dice);
    if (s->last.more) timer_start(&s->again, s->f->loop, age + (a->more ? 5000 + dice % 10000 : 1000), on_again); /* RFC 7641 3.3.1 */
    tell_all(s, &s->last);
}

static int seen_ask(struct seen *s)
{
    coap_question q = {.code = s->code, .observe = true, .options = s->saying.options, .option_count = s->saying.count, .timeout = FORWARD_TIME,
                       .data = s->key + s->key_len - s->asked_len, .len = s->asked_len};
    coap_ask *under_way = NULL;
    int rc;

    coap_ask_cancel(s->ask, false); /* what still comes of it is rejected */
    s->ask = NULL;
    s->depth++;
    rc = coap_far_ask(&under_way, s->server->far, &q, on_answer, s);
    if (under_way) s->ask = under_way;
    s->depth--;
    return rc;
}

static void on_again(timer *t)
{
    struct seen *s = list_of(t, struct seen, again);
    int rc = seen_ask(s);

    if (rc < 0)
        tell_all(s, &(bridge_forwarded){.status = rc, .format = -1, .max_age = -1});
    else
        seen_leave_it(s);
}

/* ---- Who wants it */

static int seen_new(struct seen **out, passage *p, const bridge_forward *q, const target *t)
{
    forwarder *f = p->f;
    struct seen *s = mem_zalloc(f->mem, sizeof *s + p->key_len);
    int rc;

    if (!s) return BRIDGE_NOMEM;
    s->f = f;
    s->key_len = p->key_len;
    memcpy(s->key, p->key, p->key_len);
    s->code = q->code;
    s->asked_len = q->code == COAP_FETCH ? q->len : 0;
    list_init(&s->passages);
    list_init(&s->round);
    coap_say_begin(&s->saying, f->mem);
    rc = forward_server(f, t, q->public_only, &s->server);
    if (rc == 0) s->server->busy++;
    forward_say_target(&s->saying, t);
    if (s->asked_len && q->format >= 0) coap_say_uint(&s->saying, COAP_CONTENT_FORMAT, (uint32_t)q->format);
    if (q->accept >= 0) coap_say_uint(&s->saying, COAP_ACCEPT, (uint32_t)q->accept);
    if (q->hops) coap_say_uint(&s->saying, COAP_HOP_LIMIT, q->hops);
    if (rc == 0) rc = coap_say_end(&s->saying);
    if (rc == 0) rc = map_put(&f->seen_by_key, s->key, s->key_len, s, NULL);
    if (rc < 0) {
        seen_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

static void join(passage *p, struct seen *s, bridge_passage **out)
{
    p->seen = s;
    list_push(&s->passages, &p->link);
    *out = &p->base;
}

bool forward_may_observe(const passage *p, const bridge_forward *q)
{
    if (!p->get && (q->code != COAP_FETCH || q->len > FORWARD_SEEN_BODY)) return false;
    return p->f->seen_by_key.count < FORWARD_SEEN || map_get(&p->f->seen_by_key, p->key, p->key_len);
}

int forward_observe(passage *p, const bridge_forward *q, const target *t, bridge_passage **out)
{
    struct seen *s = map_get(&p->f->seen_by_key, p->key, p->key_len);
    int rc = 0;

    if (s) {
        join(p, s, out);
        if (!s->heard || !s->last.more) return 0; /* the answer is under way */
        s->f->fresh++;
        s->depth++;
        tell_one(s, p, &s->last);
        s->depth--;
        seen_leave_it(s);
        return 0;
    }
    rc = seen_new(&s, p, q, t);
    if (rc < 0) return rc;
    join(p, s, out);
    s->depth++;
    rc = seen_ask(s);
    if (rc < 0) {
        p->seen = NULL;
        list_remove(&p->link);
    }
    s->depth--;
    if (list_empty(&s->passages)) *out = NULL; /* it has heard the last */
    seen_leave_it(s);
    return rc;
}
