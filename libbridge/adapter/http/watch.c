/* Server-sent events and long polls. */
#include "adapter/http/watch.h"
#include "adapter/http/answer.h"
#include "adapter/http/event.h"
#include "core/message.h"

/* ---- events, encoded once a message for all who watch */

typedef struct encoded {
    derived d;
    uint32_t len;
    char text[];
} encoded;

static const encoded *encode(bridge_msg *msg, bool named, bool gone, bool about)
{
    uint32_t key = DERIVED_HTTP | 2u | (named ? 4u : 0u) | (gone ? 8u : 0u) | (about ? 16u : 0u);
    derived *d = msg_derived(msg, key);
    encoded *e = NULL;
    buf b;

    if (d) return (const encoded *)d;
    buf_init(&b, msg->mem, 0);
    if (sse_event(&b, msg, named, gone, about) == 0) e = mem_alloc(msg->mem, sizeof *e + b.len);
    if (e) {
        *e = (encoded){.d = {.key = key}, .len = (uint32_t)b.len};
        memcpy(e->text, b.data, b.len);
        e = (encoded *)msg_derive(msg, &e->d);
    }
    buf_done(&b);
    return e;
}

static void start_events(watcher *w)
{
    http_conn *c = w->conn;
    answer a;

    w->started = true;
    c->keep_alive = false; /* the end of the connection is the end of the stream */
    answer_begin(&a, c, 200);
    answer_text(&a, "Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n");
    answer_end_of_head(&a);
    if (!c->head_only) stream_write(c->s, "retry: 2000\n\n", 13);
}

static void write_event(watcher *w, bridge_msg *msg, bool gone)
{
    const encoded *e = encode(msg, w->named, gone, w->about);

    w->quiet = false;
    w->conn->port->events++;
    if (!e || stream_write(w->conn->s, e->text, e->len) == BRIDGE_NOMEM) w->conn->port->dropped++;
}

/* ---- slow ones */

static void drop_late(watcher *w, late *l)
{
    map_remove(&w->late_by_path, l->msg->path, l->msg->path_len);
    list_remove(&l->link);
    bridge_msg_unref(l->msg);
    mem_free(w->conn->port->mem, l);
}

static void keep_late(watcher *w, bridge_msg *msg, bool gone)
{
    http_port *p = w->conn->port;
    late *l = map_get(&w->late_by_path, msg->path, msg->path_len);

    if (l) {
        p->skipped++;
        drop_late(w, l);
    } else if (w->late_by_path.count >= HTTP_LATE_PATHS) {
        p->dropped++;
        drop_late(w, list_of(w->late.next, late, link));
    }
    l = mem_new(p->mem, late);
    if (!l || map_put(&w->late_by_path, msg->path, msg->path_len, l, NULL) < 0) {
        mem_free(p->mem, l);
        p->dropped++;
        return;
    }
    l->msg = bridge_msg_ref(msg);
    l->gone = gone;
    list_push(&w->late, &l->link);
}

void watch_drained(http_conn *c)
{
    watcher *w = c->watcher;

    while (!list_empty(&w->late) && stream_pending(c->s) < HTTP_EVENTS_HIGH && !c->s->closing) {
        late *l = list_of(w->late.next, late, link);
        write_event(w, l->msg, l->gone);
        drop_late(w, l);
    }
}

bool watch_hungry(const http_conn *c)
{
    return list_empty(&c->watcher->late) && stream_pending(c->s) < HTTP_EVENTS_HIGH / 2;
}

/* ---- life */

static void on_answer(turn_end *t);

static watcher *watcher_new(http_conn *c)
{
    watcher *w = mem_new(c->port->mem, watcher);

    if (!w) return NULL;
    w->conn = c;
    list_init(&w->late);
    map_init(&w->late_by_path, c->port->mem, (uint64_t)(uintptr_t)w * 0x9e3779b97f4a7c15u);
    turn_end_init(&w->end, on_answer);
    c->watcher = w;
    c->port->watchers++;
    return w;
}

void watch_end(http_conn *c)
{
    watcher *w = c->watcher;

    if (!w) return;
    c->watcher = NULL;
    c->port->watchers--;
    bridge_watch_close(w->watch);
    turn_end_cancel(&w->end);
    while (!list_empty(&w->late)) drop_late(w, list_of(w->late.next, late, link));
    map_done(&w->late_by_path);
    bridge_msg_unref(w->answer);
    mem_free(c->port->mem, w);
}

static bool read_resume(const request *r, uint64_t *version)
{
    char room[ETAG_ROOM];
    text id = head_value(r->head, HEAD_LAST_EVENT_ID);

    if (!id.p && query_get(r->query, "last-event-id", room, sizeof room)) id = text_of(room);
    *version = 0;
    for (size_t i = 0; i < id.len; i++) {
        char ch = id.p[i];
        if (*version >> 60 || !((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f'))) return false;
        *version = *version << 4 | (unsigned)(ch <= '9' ? ch - '0' : ch - 'a' + 10);
    }
    return id.len > 0;
}

void watch_events(request *r, const char *pattern, bool exact)
{
    http_conn *c = r->conn;
    bridge_watch_options how = {.qos = 0, .exact = exact};
    watcher *w = watcher_new(c);
    int rc = w ? 0 : BRIDGE_NOMEM;

    if (rc == 0) {
        w->named = !exact;
        w->about = query_has(r->query, "about");
        w->resuming = read_resume(r, &w->resume);
        conn_enter(c, CONN_EVENTS);
        rc = bridge_peer_watch(c->peer, pattern, &how, NULL, &w->watch);
    }
    if (rc < 0) {
        if (w) {
            watch_end(c);
            conn_enter(c, CONN_READY);
        }
        answer_failure(c, rc, NULL);
        return;
    }
    if (!w->started) start_events(w);
    if (c->head_only) stream_close(c->s);
    else conn_deadline(c, HTTP_BEAT);
}

/* Time has passed: a comment keeps proxies from giving up; one whose bytes did not move since the last beat is gone. */
static void beat(http_conn *c)
{
    watcher *w = c->watcher;
    size_t pending = stream_pending(c->s);

    if (pending > 0 && pending == w->stuck && w->quiet) {
        c->port->timeouts++;
        stream_abort(c->s, BRIDGE_TIMEOUT);
        return;
    }
    if (w->quiet && pending == 0) stream_write(c->s, ":\n\n", 3);
    w->stuck = pending;
    w->quiet = true;
    conn_deadline(c, HTTP_BEAT);
}

/* ---- long polls: one answer, the value that comes next */

static void answer_wait(http_conn *c)
{
    watcher *w = c->watcher;
    bridge_msg *msg = w->answer;
    bool gone = w->answer_gone;
    request r;
    http_head h;

    w->answer = NULL;
    watch_end(c);
    conn_recall(c, &h, &r);
    if (msg && !gone) resource_answer(&r, 200, msg);
    else if (!gone && h.first[HEAD_IF_NONE_MATCH]) answer_empty(c, 304, NULL);
    else answer_failure(c, BRIDGE_NOTFOUND, NULL);
    bridge_msg_unref(msg);
    conn_done(c);
}

static void on_answer(turn_end *t)
{
    answer_wait(list_of(t, watcher, end)->conn);
}

bool watch_wait(request *r, const char *path, uint64_t seconds)
{
    http_conn *c = r->conn;
    bridge_watch_options how = {.exact = true, .replay = 2};
    watcher *w = watcher_new(c);
    int rc = w ? conn_keep(c, r) : BRIDGE_NOMEM;

    if (rc == 0) {
        w->once = true;
        rc = bridge_peer_watch(c->peer, path, &how, NULL, &w->watch);
    }
    if (rc < 0) {
        watch_end(c);
        return false; /* answered at once, as without the preference */
    }
    conn_enter(c, CONN_ASKED);
    conn_deadline(c, (int64_t)seconds * 1000);
    return true;
}

void watch_tick(http_conn *c)
{
    if (c->watcher->once) answer_wait(c);
    else beat(c);
}

void watch_deliver(http_conn *c, bridge_msg *msg, const bridge_delivery *how)
{
    watcher *w = c->watcher;

    if (!w || c->s->closing) return;
    if (w->once) { /* answered at the end of the turn: the watch must not be closed from inside its own delivery */
        if (!w->answer) w->answer = bridge_msg_ref(msg), w->answer_gone = how->gone;
        turn_end_want(c->port->loop, &w->end);
        return;
    }
    if (!w->started) start_events(w);
    if (c->head_only || (w->resuming && how->retained && msg->version && msg->version <= w->resume)) return;
    if (!list_empty(&w->late) || stream_pending(c->s) > HTTP_EVENTS_HIGH) keep_late(w, msg, how->gone);
    else write_event(w, msg, how->gone);
}
