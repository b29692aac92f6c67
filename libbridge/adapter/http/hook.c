/* Webhooks: lanes, retries, limits. */
#include "adapter/http/hook.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/textfile.h"
#include "codec/registry.h"
#include "core/message.h"
#include <openssl/crypto.h>
#include <stdio.h>

/* ---- calls and lanes */

static void call_drop(hook *h, hook_call *c)
{
    h->count--;
    h->bytes -= c->msg->len;
    list_remove(&c->link);
    list_remove(&c->age);
    bridge_msg_unref(c->msg);
    mem_free(h->out.mem, c);
}

static void lane_free(lane *l)
{
    hook *h = l->hook;

    if (l->fetch) h->inflight--;
    fetch_cancel(l->fetch);
    timer_stop(&l->rest);
    list_remove(&l->link);
    while (!list_empty(&l->calls)) call_drop(h, list_of(l->calls.next, hook_call, link));
    map_remove(&h->lanes, l->path, l->len);
    mem_free(h->out.mem, l);
}

static lane *lane_of(hook *h, text path)
{
    lane *l = map_get(&h->lanes, path.p, path.len);

    if (l) return l;
    l = mem_zalloc(h->out.mem, sizeof *l + path.len + 1);
    if (!l) return NULL;
    l->hook = h;
    l->len = (uint16_t)path.len;
    memcpy(l->path, path.p, path.len);
    list_init(&l->link);
    list_init(&l->calls);
    if (map_put(&h->lanes, l->path, l->len, l, NULL) == 0) return l;
    mem_free(h->out.mem, l);
    return NULL;
}

static void lane_ready(lane *l)
{
    hook *h = l->hook;

    if (list_empty(&l->calls)) {
        lane_free(l);
        return;
    }
    l->state = LANE_READY;
    list_push(&h->ready, &l->link);
    turn_end_want(h->out.loop, &h->pump);
}

/* The first that is not under way makes room. */
static bool drop_oldest(hook *h)
{
    list_each(at, &h->by_age) {
        hook_call *c = list_of(at, hook_call, age);
        lane *l = c->lane;
        if (l->state == LANE_ASKED && l->calls.next == &c->link) continue;
        call_drop(h, c);
        if (list_empty(&l->calls)) lane_free(l);
        return true;
    }
    return false;
}

static bool has_room(const hook *h, size_t len)
{
    return h->count < h->max_queue && h->bytes + len <= h->max_bytes;
}

static void hook_deliver(taker *t, bridge_msg *msg, const bridge_delivery *how)
{
    hook *h = list_of(t, hook, taker);
    hook_call *c;
    lane *l;

    while (!has_room(h, msg->len) && h->keep_newest && msg->len <= h->max_bytes && drop_oldest(h)) h->dropped++;
    l = !h->ended && has_room(h, msg->len) ? lane_of(h, msg_path(msg)) : NULL;
    c = l ? mem_new(h->out.mem, hook_call) : NULL;
    if (!c) {
        h->dropped++;
        bridge_port_log(h->out.port, BRIDGE_LOG_WARN, NULL, "webhook: the queue is full, a message is dropped");
        if (l && list_empty(&l->calls)) lane_free(l);
        return;
    }
    *c = (hook_call){.lane = l, .msg = bridge_msg_ref(msg), .gone = how->gone, .retained = how->retained, .number = ++h->numbers};
    h->count++;
    h->bytes += msg->len;
    list_push(&h->by_age, &c->age);
    list_push(&l->calls, &c->link);
    if (l->calls.next == &c->link) lane_ready(l);
}

/* ---- what became of one */

static void on_rested(timer *t)
{
    lane_ready(list_of(t, lane, rest));
}

static void give_up(lane *l, const char *why)
{
    hook *h = l->hook;

    h->given_up++;
    bridge_port_log(h->out.port, BRIDGE_LOG_WARN, NULL, "webhook: %s is given up: %s", l->path, why);
    call_drop(h, list_of(l->calls.next, hook_call, link));
    lane_ready(l);
}

static void on_pause_over(timer *t)
{
    hook *h = list_of(t, hook, pause);

    turn_end_want(h->out.loop, &h->pump);
}

static void try_again(lane *l, int64_t wait, const char *why)
{
    hook *h = l->hook;
    hook_call *c = list_of(l->calls.next, hook_call, link);

    if (++c->tries > h->retries) {
        give_up(l, why);
        return;
    }
    h->retried++;
    if (c->tries == 1) bridge_port_log(h->out.port, BRIDGE_LOG_INFO, NULL, "webhook: %s is tried again: %s", l->path, why);
    if (wait > 0 && (!h->pause.loop || h->pause.due < loop_now(h->out.loop) + wait))
        timer_start(&h->pause, h->out.loop, wait, on_pause_over);
    l->state = LANE_RESTING;
    if (wait == 0) wait = out_wait(h->backoff, c->tries);
    if (timer_start(&l->rest, h->out.loop, wait, on_rested) < 0) give_up(l, "out of memory");
}

/* 410 (RFC 9110 15.5.11): who is called wants no more, ever. */
static void end_of_hook(hook *h)
{
    size_t at = 0;
    lane *l;

    h->ended = true;
    bridge_port_log(h->out.port, BRIDGE_LOG_WARN, NULL, "webhook: 410 Gone; nothing more is sent there");
    bridge_watch_close(h->watch);
    h->watch = NULL;
    h->dropped += h->count;
    while (at = 0, (l = map_next(&h->lanes, &at))) lane_free(l);
}

static void on_answer(void *user, const fetch_answer *a)
{
    lane *l = user;
    hook *h = l->hook;
    char why[80];

    l->fetch = NULL;
    h->inflight--;
    turn_end_want(h->out.loop, &h->pump);
    if (a->outcome == 0) snprintf(why, sizeof why, "status %d", a->status);
    else snprintf(why, sizeof why, "%s", a->why);
    if ((a->outcome == 0 || a->outcome == BRIDGE_TOOBIG) && a->status >= 200 && a->status < 300) {
        h->sent++;
        call_drop(h, list_of(l->calls.next, hook_call, link));
        lane_ready(l);
        return;
    }
    h->failed++;
    if (a->status == 410) end_of_hook(h);
    else if (a->outcome < 0 || (a->status >= 500 && a->status != 508) || a->status == 408 || a->status == 425 || a->status == 429)
        try_again(l, out_retry_after(&h->out, a), why);
    else give_up(l, why); /* asking again would be answered again: 3xx are not followed, 4xx are about what we say, 508 is a loop */
}

static void on_pump(turn_end *t)
{
    hook *h = list_of(t, hook, pump);
    list *it;

    while (!h->pause.loop && h->inflight < h->max_inflight && (it = list_pop(&h->ready))) {
        lane *l = list_of(it, lane, link);
        int rc = hook_ask(h, list_of(l->calls.next, hook_call, link), on_answer, &l->fetch);
        l->state = LANE_ASKED;
        if (rc == 0) h->inflight++;
        else if (rc == BRIDGE_BUSY || rc == BRIDGE_NOMEM) try_again(l, 0, bridge_status_text(rc));
        else give_up(l, bridge_status_text(rc));
    }
}

/* ---- opening and closing */

static void hook_close(http_out *o)
{
    hook *h = (hook *)o;
    bridge_port *port = o->port;
    size_t at = 0;
    lane *l;

    bridge_watch_close(h->watch);
    turn_end_cancel(&h->pump);
    timer_stop(&h->pause);
    h->ended = true;
    while (at = 0, (l = map_next(&h->lanes, &at))) lane_free(l);
    turn_end_cancel(&h->pump);
    map_done(&h->lanes);
    if (h->secret) OPENSSL_cleanse(h->secret, h->secret_len);
    mem_free(o->mem, h->secret);
    mem_free(o->mem, h->method);
    out_done(o);
    mem_free(o->mem, h);
    if (port) bridge_port_closed(port);
}

static void hook_stats(http_out *o, bridge_stat_fn fn, void *user)
{
    const hook *h = (const hook *)o;
    char labels[OUT_LABEL];

    out_label(o, labels);
    fn(user, "bridge_http_hook_sent_total", labels, (double)h->sent);
    fn(user, "bridge_http_hook_failed_total", labels, (double)h->failed);
    fn(user, "bridge_http_hook_retries_total", labels, (double)h->retried);
    fn(user, "bridge_http_hook_given_up_total", labels, (double)h->given_up);
    fn(user, "bridge_http_hook_dropped_total", labels, (double)h->dropped);
    fn(user, "bridge_http_hook_waiting", labels, (double)h->count);
    fn(user, "bridge_http_hook_ended", labels, h->ended);
}

static const out_kind hook_kind = {.close = hook_close, .stats = hook_stats};

static int read_secret(hook *h, const char *file, bridge_error *err)
{
    buf b;
    int rc = textfile_read(&b, h->out.mem, file, err);

    if (rc < 0) return rc;
    while (b.len && b.data[b.len - 1] <= ' ') b.len--; /* the line end of an editor is no part of it */
    if (b.len == 0 || b.len > HOOK_SECRET) rc = fail(err, BRIDGE_INVALID, "secret_file=%s: 1 to %d bytes are wanted", file, HOOK_SECRET);
    if (rc == 0 && !(h->secret = mem_copy(h->out.mem, b.data, b.len))) rc = fail_nomem(err);
    if (rc == 0) h->secret_len = b.len;
    textfile_drop(&b);
    return rc;
}

static int read_words(hook *h, const url *u, bridge_error *err)
{
    const char *method = url_get(u, "method"), *format = url_get(u, "format"), *drop = url_get(u, "drop");

    if (method && strcmp(method, "POST") != 0 && strcmp(method, "PUT") != 0)
        return fail(err, BRIDGE_INVALID, "option method=%s: POST or PUT is wanted", method);
    if (drop && strcmp(drop, "oldest") != 0 && strcmp(drop, "newest") != 0)
        return fail(err, BRIDGE_INVALID, "option drop=%s: oldest or newest is wanted", drop);
    h->keep_newest = !drop || strcmp(drop, "oldest") == 0;
    h->format = format ? format_of_name(text_of(format)) : BRIDGE_FORMAT_AUTO;
    if (h->format == BRIDGE_FORMAT_NAMED) return fail(err, BRIDGE_INVALID, "option format=%s: no such format", format);
    h->method = mem_text(h->out.mem, method ? method : "POST");
    return h->method ? 0 : fail_nomem(err);
}

static int read_options(hook *h, const url *u, bridge_error *err)
{
    uint64_t retries;
    int rc = read_words(h, u, err);

    if (rc == 0) rc = url_get_bool(u, "event", false, &h->event, err);
    if (rc == 0) rc = url_get_bool(u, "retained", false, &h->retained, err);
    if (rc == 0) rc = url_get_u64(u, "retries", HOOK_RETRIES, 1000000, &retries, err);
    if (rc == 0) rc = url_get_u64(u, "queue", HOOK_QUEUE, 10000000, &h->max_queue, err);
    if (rc == 0) rc = url_get_u64(u, "queue_bytes", HOOK_QUEUE_BYTES, UINT64_MAX / 2, &h->max_bytes, err);
    if (rc == 0) rc = url_get_u64(u, "inflight", HOOK_INFLIGHT, FETCH_MAX, &h->max_inflight, err);
    if (rc == 0 && h->max_inflight == 0) rc = fail(err, BRIDGE_INVALID, "option inflight=0: at least one request is wanted");
    if (rc == 0) rc = out_duration(u, "backoff", OUT_FIRST_WAIT, &h->backoff, err);
    if (rc == 0 && url_get(u, "secret_file")) rc = read_secret(h, url_get(u, "secret_file"), err);
    if (rc == 0) h->retries = (unsigned)retries;
    return rc;
}

int hook_open(bridge_port *port, const url *u, http_out **out, bridge_error *err)
{
    hook *h = mem_new(port_mem(port), hook);
    const char *watch = url_get(u, "watch");
    bridge_watch_options how = {.names = true};
    uint64_t dice;
    int rc;

    if (!h) return fail_nomem(err);
    h->out.kind = &hook_kind;
    h->taker.deliver = hook_deliver;
    random_bytes(&dice, sizeof dice);
    snprintf(h->run, sizeof h->run, "%016llx", (unsigned long long)dice);
    list_init(&h->ready);
    list_init(&h->by_age);
    map_init(&h->lanes, port_mem(port), dice);
    turn_end_init(&h->pump, on_pump);
    rc = out_begin(&h->out, port, u, watch, "webhook", &h->taker, err);
    if (rc == 0) rc = read_options(h, u, err);
    if (rc == 0) {
        how.replay = h->retained ? 0 : 2;
        rc = bridge_peer_watch(h->out.peer, watch, &how, NULL, &h->watch);
        if (rc < 0) rc = fail(err, rc, "cannot watch \"%s\": %s", watch, bridge_status_text(rc));
    }
    if (rc == 0) {
        *out = &h->out;
        return 0;
    }
    h->out.port = NULL; /* it is not open: nobody is told */
    hook_close(&h->out);
    return rc;
}
