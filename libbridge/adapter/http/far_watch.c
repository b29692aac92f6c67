/* Following a foreign resource while somebody watches its path: events where the server offers them, else a look now and then.
 *
 *      ask for text/event-stream --yes--> EVENTS, each is the new value; on their end: ask again
 *           | a plain answer: that is the value
 *           v
 *      POLL every poll= (30 s), with If-None-Match: only what changed is news */
#include "adapter/http/far.h"
#include "core/message.h"
#include "core/path.h"

static void look(far_view *v);

static void on_again(timer *t)
{
    look(list_of(t, far_view, again));
}

static void later(far_view *v)
{
    far *f = v->far;
    int64_t every = f->poll ? f->poll : FAR_POLL;
    int64_t wait = v->failures ? out_wait(f->poll && f->poll < OUT_FIRST_WAIT ? f->poll : OUT_FIRST_WAIT, v->failures) : every;

    if (v->failures && wait < f->poll) wait = f->poll;
    timer_start(&v->again, f->out.loop, wait, on_again);
}

/* ---- news */

static bool is_same(const far_view *v, const bridge_msg *msg)
{
    return v->last && v->last->len == msg->len && v->last->format == msg->format && memcmp(msg_data(v->last), msg_data(msg), msg->len) == 0;
}

static void tell(far_view *v, bridge_msg *msg)
{
    if (v->there && is_same(v, msg)) return;
    v->there = true;
    bridge_msg_unref(v->last);
    v->last = bridge_msg_ref(msg);
    bridge_peer_submit(v->far->out.peer, BRIDGE_PUT, msg, NULL, NULL, NULL, NULL, NULL);
}

static void tell_gone(far_view *v)
{
    bridge_msg *msg;

    if (!v->there) return;
    v->there = false;
    if (bridge_peer_msg(v->far->out.peer, BRIDGE_FIELDS(.path = v->path), &msg) < 0) return;
    bridge_peer_submit(v->far->out.peer, BRIDGE_DELETE, msg, NULL, NULL, NULL, NULL, NULL);
    bridge_msg_unref(msg);
}

/* An event is the new value; "gone" says that there is none; of others, and of bytes that are no text, we only learn that we should look. */
static void on_event(far_view *v)
{
    bridge_msg *msg;

    v->far->events++;
    if (strcmp(v->event, "gone") == 0) {
        tell_gone(v);
    } else if (!v->event[0] || strcmp(v->event, "message") == 0 || strcmp(v->event, "put") == 0) {
        if (bridge_peer_msg(v->far->out.peer, BRIDGE_FIELDS(.path = v->path, .data = v->data.data, .len = v->data.len, .retain = true, .qos = 1),
                            &msg) < 0)
            return;
        tell(v, msg);
        bridge_msg_unref(msg);
    }
}

/* ---- looking */

static bool is_event_stream(const fetch_answer *a)
{
    text type = fetch_header(a, "Content-Type"), whole, rest;

    text_cut(type, ';', &whole, &rest);
    return a->status == 200 && text_is_nocase(text_trim(whole), "text/event-stream");
}

/* What is told may make those leave who watch: then it has ended when it returns. */
static bool still_wanted(far_view *v)
{
    v->busy = false;
    if (!v->dead) return true;
    far_view_free(v);
    return false;
}

static bool on_piece(void *user, const fetch_answer *a)
{
    far_view *v = user;
    bool good;

    if (is_event_stream(a)) {
        v->events = true;
        v->failures = 0;
        v->busy = true;
        good = far_feed(v, a->body, a->len, on_event) == 0;
        return still_wanted(v) && good;
    }
    return buf_put(&v->data, a->body, a->len) == 0;
}

static void take_answer(far_view *v, const fetch_answer *said)
{
    text tag = fetch_header(said, "ETag");
    fetch_answer a = *said;
    bridge_msg *msg;

    v->failures = 0;
    if (a.status == 304) return;
    v->tag[0] = 0;
    if (tag.len < sizeof v->tag && tag.len) memcpy(v->tag, tag.p, tag.len), v->tag[tag.len] = 0;
    a.body = v->data.data;
    a.len = v->data.len;
    if (far_message(v->far, text_of(v->path), &a, &msg) < 0) return;
    tell(v, msg);
    bridge_msg_unref(msg);
}

static void on_end(void *user, const fetch_answer *a)
{
    far_view *v = user;
    int outcome = far_outcome(a);

    v->fetch = NULL;
    v->busy = true;
    if (v->events) { /* the stream ended; that it began is no promise that it will again */
        v->events = false;
        v->failures = 1;
    } else if (a->outcome == 0 && (a->status == 200 || a->status == 304)) {
        v->polls = true;
        take_answer(v, a);
    } else if (outcome == BRIDGE_NOTFOUND) {
        v->failures = 0;
        tell_gone(v);
    } else {
        v->far->failures++;
        v->polls |= outcome == BRIDGE_NOTACCEPTABLE; /* it takes the wish for events for a demand */
        if (v->failures++ == 0)
            bridge_port_log(v->far->out.port, BRIDGE_LOG_WARN, NULL, "%s cannot be followed for now: %s", v->path,
                            a->outcome < 0 ? a->why : bridge_status_text(outcome));
    }
    buf_clear(&v->line);
    buf_clear(&v->data);
    if (still_wanted(v)) later(v);
}

static int start(far_view *v, const char *address)
{
    far *f = v->far;
    bool polls = v->polls || f->poll;
    char known[300] = "If-None-Match: ";
    const char *lines[4] = {NULL};
    fetch_ask ask = {.url = address, .headers = lines, .on_data = on_piece, .timeout = polls ? 0 : -1};
    unsigned n = 0;
    buf token;
    int rc;

    buf_init(&token, f->out.mem, 0);
    if (!polls) lines[n++] = "Accept: text/event-stream, */*;q=0.1";
    if (v->tag[0]) lines[n++] = strcat(known, v->tag);
    rc = out_token(&f->out, &token);
    if (token.len) lines[n++] = (char *)token.data;
    out_ask(&f->out, &ask);
    if (rc == 0) rc = fetch_start(f->out.loop, &ask, on_end, v, &v->fetch, NULL);
    buf_done(&token);
    return rc;
}

static void look(far_view *v)
{
    buf address;
    int rc;

    v->far->polls++;
    buf_init(&address, v->far->out.mem, OUT_URL);
    rc = out_address(&v->far->out, text_of(v->path), &address);
    if (rc == 0) rc = start(v, (char *)address.data);
    buf_done(&address);
    if (rc == 0) return;
    v->failures++;
    later(v);
}

/* ---- who watches */

void far_view_free(far_view *v)
{
    far *f = v->far;

    f->view_count--;
    list_remove(&v->link);
    fetch_cancel(v->fetch);
    timer_stop(&v->again);
    buf_done(&v->line);
    buf_done(&v->data);
    bridge_msg_unref(v->last);
    mem_free(f->out.mem, v);
}

static far_view *find(far *f, const char *path)
{
    list_each(at, &f->views)
    {
        far_view *v = list_of(at, far_view, link);
        if (!v->dead && strcmp(v->path, path) == 0) return v;
    }
    return NULL;
}

/* A filter with wildcards names no resource that could be asked for: its watchers hear what passes through the bridge. */
void far_interest(void *user, const char *filter, bool wanted)
{
    far *f = user;
    far_view *v = find(f, filter);

    if (!wanted) {
        if (v && v->busy) v->dead = true;
        else if (v) far_view_free(v);
        return;
    }
    if (v || strpbrk(filter, "+#")) return;
    if (f->view_count >= FAR_VIEWS || !(v = mem_zalloc(f->out.mem, sizeof *v + strlen(filter) + 1))) {
        bridge_port_log(f->out.port, BRIDGE_LOG_WARN, NULL, "%s is not followed: over a limit", filter);
        return;
    }
    strcpy(v->path, filter);
    v->far = f;
    buf_init(&v->line, f->out.mem, FAR_LINE);
    buf_init(&v->data, f->out.mem, f->max_body + 1);
    list_push(&f->views, &v->link);
    f->view_count++;
    look(v);
}
