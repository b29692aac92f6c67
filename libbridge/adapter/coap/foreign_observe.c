/* One observation upstream for all who watch a path here, over whatever protocol (RFC 7252 5.7.2, RFC 7641).
 *
 *      wanted --> asked --Observe--> told --notification--> told
 *                   |  ^               |  \--Max-Age and a bit over, nothing heard (RFC 7641 3.3.1)--> asked
 *                   |  |               \--4.04, lost, silent--> rests
 *                   |  +--time is up-- rests (longer each time; a server that knows no Observe is polled)
 *      The last one leaves: Observe 1, gone. */
#include "adapter/coap/foreign.h"
#include "base/clock.h"
#include "base/hash.h"

typedef struct waiting { /* somebody who asks while the first news are under way */
    list link;
    bridge_call *call;
} waiting;

typedef struct observed {
    list link;
    foreign *f;
    coap_ask *ask;
    timer again;
    list calls; /* waiting */
    uint64_t last; /* a hash of what was heard last: polled, the same twice is no news */
    int refs;
    unsigned tries;
    bool has_news, gone, told;
    uint32_t path_len;
    char path[];
} observed;

typedef struct wild {
    list link;
    char filter[];
} wild;

static void observe(observed *o);

/* ---- Those who wait for the first news */

static void calls_answer(observed *o, int status, bridge_msg *msg)
{
    list *it;

    while ((it = list_pop(&o->calls))) {
        waiting *w = list_of(it, waiting, link);

        bridge_call_reply(w->call, status, msg);
        bridge_call_unref(w->call);
        mem_free(o->f->mem, w);
    }
}

/* Only what the observation asks for: as it is, without a query or conditions. */
bool foreign_wait_news(foreign *f, bridge_call *call)
{
    const bridge_terms *t = bridge_call_terms(call);
    const bridge_fields *m = bridge_msg_look(bridge_call_msg(call), BRIDGE_FIELDS());
    observed *o = map_get(&f->observed_by_path, m->path, strlen(m->path));
    waiting *w;

    if (!o || !o->ask || o->has_news || m->len || (t && (t->query || t->accept || t->unless_count))) return false;
    w = mem_new(f->mem, waiting);
    if (!w) return false;
    w->call = bridge_call_ref(call);
    list_push(&o->calls, &w->link);
    return true;
}

bool foreign_forget_call(foreign *f, bridge_call *call)
{
    const bridge_fields *m = bridge_msg_look(bridge_call_msg(call), BRIDGE_FIELDS());
    observed *o = map_get(&f->observed_by_path, m->path, strlen(m->path));

    if (!o) return false;
    list_each(it, &o->calls)
    {
        waiting *w = list_of(it, waiting, link);

        if (w->call != call) continue;
        list_remove(&w->link);
        bridge_call_unref(call);
        mem_free(f->mem, w);
        return true;
    }
    return false;
}

/* ---- News */

static void on_again(timer *t) { observe(list_of(t, observed, again)); }

static void again_in(observed *o, int64_t ms) { timer_start(&o->again, o->f->loop, ms, on_again); }

/* Longer each time, and not all at once. */
static void rest(observed *o)
{
    int64_t ms = o->f->retry;
    uint32_t dice;

    for (unsigned i = 0; i < o->tries && ms < FOREIGN_RETRY_MAX; i++) ms *= 2;
    if (ms > FOREIGN_RETRY_MAX) ms = FOREIGN_RETRY_MAX;
    o->tries++;
    random_bytes(&dice, sizeof dice);
    again_in(o, ms + dice % (ms / 4 + 1));
}

static void keep_etag(observed *o, const coap_answer *a, uint64_t version)
{
    foreign *f = o->f;
    far_kept like = {.version = version, .format = -1, .code = a->code, .len = a->body_len};
    const coap_option *tag = &a->meta->etags[0];
    buf key = {.mem = f->mem};

    if (!a->meta->etag_count) return;
    if (a->meta->has & COAP_HAS_CONTENT_FORMAT) like.format = a->meta->format;
    like.etag_len = (uint8_t)tag->len;
    memcpy(like.etag, tag->p, tag->len);
    if (buf_put(&key, "0\0", 2) == 0 && buf_put(&key, o->path, o->path_len) == 0 && buf_put(&key, "\0", 1) == 0)
        far_cache_put(&f->cache, key.data, key.len, &like, a->body);
    buf_done(&key);
}

static uint64_t print_of(const coap_answer *a)
{
    uint64_t h = hash_bytes(a->body, a->body_len, 1);

    return a->meta->has & COAP_HAS_CONTENT_FORMAT ? hash_mix(h, a->meta->format) : h;
}

static void on_news(observed *o, const coap_answer *a)
{
    foreign *f = o->f;
    int64_t ttl = foreign_ttl(f, a);
    uint64_t print = print_of(a);
    bool same = o->has_news && !o->gone && !a->more && print == o->last; /* polled */
    bridge_fields m = {.size = sizeof m, .path = o->path, .data = a->body, .len = a->body_len, .ttl = ttl ? ttl : 1, .retain = true,
                       .format = a->meta->has & COAP_HAS_CONTENT_FORMAT ? (bridge_format)a->meta->format : BRIDGE_FORMAT_AUTO};
    bridge_msg *msg = NULL;

    o->has_news = true;
    o->gone = false;
    o->last = print;
    f->notifications++;
    if (bridge_peer_msg(f->peer, &m, &msg) < 0) {
        calls_answer(o, BRIDGE_TOOBIG, NULL);
        return;
    }
    if (!same && bridge_peer_submit(f->peer, BRIDGE_PUT, msg, NULL, NULL, NULL, NULL, NULL) >= 0)
        keep_etag(o, a, bridge_msg_look(msg, BRIDGE_FIELDS())->version);
    calls_answer(o, BRIDGE_OK, msg);
    bridge_msg_unref(msg);
}

/* RFC 7641 3.2: an error ends the observation; 4.04 is news, too: it has gone. */
static void on_end(observed *o, const coap_answer *a)
{
    foreign *f = o->f;
    int status = a->status < 0 ? a->status : coap_status_of_code(a->code);
    bridge_msg *msg = NULL;

    if (status == BRIDGE_CLOSED) status = BRIDGE_UNREACHABLE;
    if (!o->told) bridge_port_log(f->port, BRIDGE_LOG_INFO, coap_far_name(f->far), "observation of %s ended: %s", o->path, bridge_status_text(status));
    o->told = true;
    if (a->status == 0 && a->code == COAP_NOT_FOUND && o->has_news && !o->gone) {
        o->gone = true;
        if (bridge_peer_msg(f->peer, BRIDGE_FIELDS(.path = o->path), &msg) == 0)
            bridge_peer_submit(f->peer, BRIDGE_DELETE, msg, NULL, NULL, NULL, NULL, NULL);
        bridge_msg_unref(msg);
    }
    calls_answer(o, status, NULL);
}

static void on_answer(void *user, const coap_answer *a)
{
    observed *o = user;
    foreign *f = o->f;
    bool well = a->status == 0 && coap_class(a->code) == 2 && a->code != COAP_CONTINUE;
    int64_t fresh = well ? (int64_t)coap_answer_age(a) * 1000 : 0;
    uint32_t dice;

    if (!a->more) o->ask = NULL;
    o->refs++; /* it lives until this is done, whoever leaves because of the news */
    foreign_heard(f, a->status);
    if (well)
        on_news(o, a);
    else
        on_end(o, a);
    foreign_want(f, o->path, -1);
    if (map_get(&f->observed_by_path, o->path, o->path_len) != o) return;
    if (!well) {
        rest(o);
        return;
    }
    o->tries = 0;
    o->told = false;
    random_bytes(&dice, sizeof dice);
    if (a->more)
        again_in(o, fresh + 5000 + dice % 10000); /* RFC 7641 3.3.1 */
    else
        again_in(o, f->poll ? f->poll : fresh > FOREIGN_RETRY ? fresh : FOREIGN_RETRY);
}

static void observe(observed *o)
{
    foreign *f = o->f;
    char where[PATH_BYTES * 2];
    coap_question ask;
    coap_ask *under_way = NULL;
    coap_saying s;
    int rc = foreign_path(f, (text){o->path, o->path_len}, where, sizeof where);

    coap_ask_cancel(o->ask, false); /* an old one, of which nothing was heard; what still comes of it is rejected */
    o->ask = NULL;
    coap_say_begin(&s, f->mem);
    if (rc >= 0) {
        foreign_say_where(f, &s, (text){where, (size_t)rc});
        rc = coap_say_end(&s);
    }
    ask = (coap_question){.code = COAP_GET, .observe = f->observe, .options = s.options, .option_count = s.count, .timeout = f->timeout};
    o->refs++;
    if (rc == 0) rc = coap_far_ask(&under_way, f->far, &ask, on_answer, o);
    coap_say_free(&s);
    if (under_way) o->ask = under_way;
    if (rc < 0) rest(o);
    foreign_want(f, o->path, -1);
}

/* ---- Who watches */

static void observed_free(observed *o, bool tell)
{
    foreign *f = o->f;

    map_remove(&f->observed_by_path, o->path, o->path_len);
    list_remove(&o->link);
    timer_stop(&o->again);
    coap_ask_cancel(o->ask, tell);
    calls_answer(o, BRIDGE_UNREACHABLE, NULL);
    mem_free(f->mem, o);
}

static observed *observed_new(foreign *f, const char *path)
{
    size_t len = strlen(path);
    observed *o = f->observed_by_path.count < FOREIGN_OBSERVED ? mem_zalloc(f->mem, sizeof *o + len + 1) : NULL;

    if (!o) {
        bridge_port_log(f->port, BRIDGE_LOG_WARN, coap_far_name(f->far), "%s is not observed: too many are", path);
        return NULL;
    }
    o->f = f;
    o->path_len = (uint32_t)len;
    memcpy(o->path, path, len);
    list_init(&o->link);
    list_init(&o->calls);
    if (map_put(&f->observed_by_path, o->path, len, o, NULL) < 0) {
        mem_free(f->mem, o);
        return NULL;
    }
    list_push(&f->observed, &o->link);
    return o;
}

void foreign_want(foreign *f, const char *path, int change)
{
    observed *o = map_get(&f->observed_by_path, path, strlen(path));

    if (!o && change > 0) {
        o = observed_new(f, path);
        if (!o) return;
        o->refs = change;
        observe(o);
        return;
    }
    if (!o) return;
    o->refs += change;
    if (o->refs <= 0) observed_free(o, true);
}

typedef struct wanted_change {
    const char *filter;
    int change;
} wanted_change;

static void want_matching(foreign *f, const char *path, void *user)
{
    const wanted_change *w = user;
    pattern_room room;
    pattern p;

    if (pattern_read(&p, &room, w->filter, strlen(w->filter), PATTERN_FILTER, NULL) == 0 && pattern_match(&p, path, strlen(path), NULL))
        foreign_want(f, path, w->change);
}

/* Of a filter with wildcards, what is known to be there is observed. */
static void interest_wild(foreign *f, const char *filter, bool wanted)
{
    wanted_change w = {filter, wanted ? 1 : -1};
    wild *v;

    if (wanted) {
        v = mem_alloc(f->mem, sizeof *v + strlen(filter) + 1);
        if (!v) return;
        strcpy(v->filter, filter);
        list_push(&f->wild, &v->link);
        foreign_each_found(f, want_matching, &w);
        return;
    }
    list_each(it, &f->wild)
    {
        v = list_of(it, wild, link);
        if (strcmp(v->filter, filter) != 0) continue;
        list_remove(&v->link);
        foreign_each_found(f, want_matching, &w);
        mem_free(f->mem, v);
        return;
    }
}

void foreign_interest(void *user, const char *filter, bool wanted)
{
    foreign *f = user;

    if (f->closing) return;
    if (strpbrk(filter, "+#"))
        interest_wild(f, filter, wanted);
    else
        foreign_want(f, filter, wanted ? 1 : -1);
}

void foreign_found_one(foreign *f, const char *path, int change)
{
    list_each_safe (it, &f->wild) {
        wanted_change w = {list_of(it, wild, link)->filter, change};
        want_matching(f, path, &w);
    }
}

void foreign_observed_end(foreign *f)
{
    while (!list_empty(&f->observed)) observed_free(list_of(f->observed.next, observed, link), true);
    while (!list_empty(&f->wild)) {
        wild *v = list_of(f->wild.next, wild, link);

        list_remove(&v->link);
        mem_free(f->mem, v);
    }
}
