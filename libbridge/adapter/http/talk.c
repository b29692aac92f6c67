/* JSON on WebSocket: subscribe, publish, ask.  One object a message; "id" comes back with the answer.
 *
 *      {"id":1,"subscribe":"home/+/temp"}            {"id":1,"status":200}
 *                                                    {"path":"home/kitchen/temp","value":21.5,"version":"1f","retained":true}
 *      {"id":2,"put":"home/lamp","value":"on"}       {"id":2,"status":201}
 *      {"id":3,"get":"home/none"}                    {"id":3,"status":404,"error":"no such resource"}
 *      {"id":4,"unsubscribe":"home/+/temp"}          {"id":4,"status":204}
 *
 * put and post take "value" (a string or number is kept as text, all else as JSON, or as "format" says), or "base64"; and
 * "ttl" in seconds.  patch takes a JSON merge patch.  Status numbers are HTTP's. */
#include "adapter/http/socket.h"
#include "adapter/http/answer.h"
#include "adapter/http/event.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/node.h"
#include "core/message.h"

typedef struct question { /* asked, not answered yet */
    list link;
    websocket *socket;
    bridge_ticket *ticket;
    bridge_verb verb;
    size_t id_len;
    char id[]; /* as JSON */
} question;

typedef struct subscription {
    list link;
    bridge_watch *watch;
    char pattern[];
} subscription;

typedef struct talking { /* one message of the client */
    websocket *socket;
    scratch *scratch;
    node *root;
    text id; /* as JSON, "null" when there was none */
} talking;

static const node *member(const talking *t, const char *name)
{
    node **at = node_member(t->root, text_of(name));

    return at ? *at : NULL;
}

/* ---- answers */

static void send_buf(websocket *s, buf *b, int rc)
{
    if (rc == 0) socket_send(s, WS_TEXT, b->data, b->len);
    else socket_close(s, 1011);
    buf_done(b);
}

static void answer_talk(websocket *s, text id, int outcome, bridge_verb verb, bridge_msg *reply, const char *why)
{
    int status = http_status_of(outcome), rc;
    buf b;

    if (outcome == BRIDGE_OK && !reply && verb != BRIDGE_WATCH) status = 204;
    buf_init(&b, s->inner.mem, 0);
    rc = buf_text(&b, "{\"id\":");
    if (rc == 0) rc = buf_put(&b, id.p, id.len);
    if (rc == 0) rc = buf_print(&b, ",\"status\":%d", status);
    if (rc == 0 && outcome < 0) {
        rc = buf_text(&b, ",\"error\":");
        if (rc == 0) rc = json_text(&b, text_of(why ? why : bridge_status_text(outcome)));
    }
    if (rc == 0 && reply) { /* {"id":..,"status":.., and what an event says */
        size_t at = b.len;
        rc = json_event(&b, reply, EVENT_VERSION);
        if (rc == 0) b.data[at] = ',';
    } else if (rc == 0) {
        rc = buf_put_u8(&b, '}');
    }
    send_buf(s, &b, rc);
}

static void on_done(void *user, int outcome, bridge_msg *reply)
{
    question *q = user;

    list_remove(&q->link);
    q->socket->count--;
    answer_talk(q->socket, (text){q->id, q->id_len}, outcome, q->verb, reply, NULL);
    mem_free(q->socket->inner.mem, q);
}

/* ---- requests */

/* What is to be published: into f, memory from the scratch. */
static int read_value(const talking *t, bridge_fields *f, buf *room)
{
    const node *value = member(t, "value"), *base64 = member(t, "base64"), *format = member(t, "format"), *ttl = member(t, "ttl");

    if (format && format->it.kind != ITEM_STRING) return BRIDGE_SYNTAX;
    if (format) f->format = format_of_name((text){format->it.p, format->it.len});
    if (f->format == BRIDGE_FORMAT_NAMED) return BRIDGE_FORMAT;
    if (ttl && (!item_is_number(&ttl->it) || item_real(&ttl->it) < 0 || item_real(&ttl->it) > 4e9)) return BRIDGE_SYNTAX;
    if (ttl) f->ttl = (int64_t)(item_real(&ttl->it) * 1000);
    if (base64) {
        if (base64->it.kind != ITEM_STRING || buf_room(room, base64->it.len + 3) < 0 ||
            !base64_read(base64->it.p, base64->it.len, room->data, &room->len))
            return BRIDGE_SYNTAX;
    } else if (value && value->it.kind == ITEM_STRING && f->format != BRIDGE_JSON) {
        if (!format) f->format = BRIDGE_TEXT;
        if (buf_put(room, value->it.p, value->it.len) < 0) return BRIDGE_NOMEM;
    } else if (value) {
        int rc = node_write(value, BRIDGE_JSON, room, NULL);
        if (rc < 0) return rc;
        if (!format) f->format = item_is_number(&value->it) || value->it.kind == ITEM_BOOL ? BRIDGE_TEXT : BRIDGE_JSON;
    }
    f->data = room->data;
    f->len = room->len;
    return 0;
}

static int submit(const talking *t, bridge_verb verb, bridge_msg *msg)
{
    websocket *s = t->socket;
    question *q = mem_alloc(s->inner.mem, sizeof *q + t->id.len);
    bridge_msg *reply = NULL;
    int rc;

    if (!q) return BRIDGE_NOMEM;
    *q = (question){.socket = s, .verb = verb, .id_len = t->id.len};
    memcpy(q->id, t->id.p, t->id.len);
    rc = bridge_peer_submit(s->conn->peer, verb, msg, NULL, &reply, on_done, q, &q->ticket);
    if (rc == BRIDGE_PENDING) {
        list_push(&s->questions, &q->link);
        s->count++;
        return BRIDGE_PENDING;
    }
    answer_talk(s, t->id, rc, verb, reply, NULL);
    bridge_msg_unref(reply);
    mem_free(s->inner.mem, q);
    return BRIDGE_PENDING; /* that is: answered, or will be */
}

static int request_path(const talking *t, bridge_verb verb, const char *path)
{
    bridge_fields *f = BRIDGE_FIELDS(.path = path, .qos = 1, .retain = verb == BRIDGE_PUT);
    bridge_msg *msg = NULL;
    buf room;
    int rc = 0;

    if (t->socket->count >= SOCKET_QUESTIONS) return BRIDGE_BUSY;
    buf_init(&room, t->socket->inner.mem, 0);
    if (verb == BRIDGE_PUT || verb == BRIDGE_POST || verb == BRIDGE_PATCH) rc = read_value(t, f, &room);
    if (verb == BRIDGE_PATCH) f->format = BRIDGE_MERGE_PATCH;
    if (rc == 0) rc = bridge_peer_msg(t->socket->conn->peer, f, &msg);
    buf_done(&room);
    if (rc == 0) rc = submit(t, verb, msg);
    bridge_msg_unref(msg);
    return rc;
}

static subscription *find(websocket *s, const char *pattern)
{
    list_each(at, &s->subscriptions) {
        subscription *sub = list_of(at, subscription, link);
        if (strcmp(sub->pattern, pattern) == 0) return sub;
    }
    return NULL;
}

static int subscribe(const talking *t, const char *pattern)
{
    const node *replay = member(t, "replay");
    bridge_watch_options how = {.replay = replay && replay->it.kind == ITEM_BOOL && !replay->it.b ? 2 : 0};
    websocket *s = t->socket;
    subscription *sub;
    int rc;

    if (find(s, pattern)) return BRIDGE_EXISTS;
    if (s->count >= SOCKET_QUESTIONS) return BRIDGE_BUSY;
    sub = mem_zalloc(s->inner.mem, sizeof *sub + strlen(pattern) + 1);
    if (!sub) return BRIDGE_NOMEM;
    strcpy(sub->pattern, pattern);
    rc = bridge_peer_watch(s->conn->peer, pattern, &how, sub, &sub->watch);
    if (rc < 0) {
        mem_free(s->inner.mem, sub);
        return rc;
    }
    list_push(&s->subscriptions, &sub->link);
    s->count++;
    return 0;
}

static int unsubscribe(const talking *t, const char *pattern)
{
    websocket *s = t->socket;
    subscription *sub = find(s, pattern);

    if (!sub) return BRIDGE_NOTFOUND;
    bridge_watch_close(sub->watch);
    list_remove(&sub->link);
    s->count--;
    mem_free(s->inner.mem, sub);
    return 0;
}

static const struct verb {
    const char *name;
    bridge_verb verb;
    int (*fn)(const talking *t, const char *pattern);
} verbs[] = {
    {"get", BRIDGE_GET, NULL},       {"put", BRIDGE_PUT, NULL},     {"post", BRIDGE_POST, NULL},
    {"delete", BRIDGE_DELETE, NULL}, {"patch", BRIDGE_PATCH, NULL}, {"subscribe", BRIDGE_WATCH, subscribe},
    {"unsubscribe", BRIDGE_NOTIFY, unsubscribe},
};

static void serve(const talking *t)
{
    int rc = BRIDGE_SYNTAX;
    const char *why = "one of get, put, post, delete, patch, subscribe, unsubscribe is wanted, with a path";
    const struct verb *v = NULL;

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs && !v; i++) {
        const node *path = member(t, verbs[i].name);
        const char *name;
        if (!path || path->it.kind != ITEM_STRING || memchr(path->it.p, 0, path->it.len)) continue;
        name = scratch_text(t->scratch, path->it.p, path->it.len);
        v = &verbs[i];
        why = NULL;
        rc = !name ? BRIDGE_NOMEM : v->fn ? v->fn(t, name) : request_path(t, v->verb, name);
    }
    if (rc != BRIDGE_PENDING) answer_talk(t->socket, t->id, rc, v ? v->verb : BRIDGE_GET, NULL, why);
}

void talk_message(websocket *s, const char *data, size_t len)
{
    scratch memory;
    talking t = {.socket = s, .scratch = &memory, .id = text_of("null")};
    bridge_error err = {0};
    const node *id;
    buf room;
    int rc;

    scratch_init(&memory, s->inner.mem);
    buf_init(&room, s->inner.mem, 0);
    rc = node_read(&memory, BRIDGE_JSON, data, len, &t.root, &err);
    if (rc == 0 && t.root->it.kind != ITEM_MAP) rc = fail(&err, BRIDGE_SYNTAX, "an object is wanted");
    id = rc == 0 ? member(&t, "id") : NULL;
    if (id && (item_is_number(&id->it) || id->it.kind == ITEM_STRING) && id->it.len < 256 &&
        node_write(id, BRIDGE_JSON, &room, NULL) == 0)
        t.id = (text){(char *)room.data, room.len};
    if (rc < 0) answer_talk(s, t.id, rc, BRIDGE_GET, NULL, err.text);
    else serve(&t);
    buf_done(&room);
    scratch_done(&memory);
}

/* ---- events */

void talk_deliver(websocket *s, bridge_msg *msg, const bridge_delivery *how)
{
    unsigned flags = EVENT_VERSION | (how->gone ? EVENT_GONE : 0u) | (how->retained ? EVENT_RETAINED : 0u);
    buf b;

    if (!s->conn || s->closing) return;
    if (stream_pending(s->conn->s) > SOCKET_HIGH) {
        s->lost++;
        s->conn->port->dropped++;
        return;
    }
    s->conn->port->events++;
    buf_init(&b, s->inner.mem, 0);
    send_buf(s, &b, json_event(&b, msg, flags));
}

void talk_drained(websocket *s)
{
    buf b;

    if (!s->lost) return;
    buf_init(&b, s->inner.mem, 0);
    send_buf(s, &b, buf_print(&b, "{\"lost\":%llu}", (unsigned long long)s->lost));
    s->lost = 0;
}

void talk_end(websocket *s)
{
    list *first;

    while ((first = list_pop(&s->subscriptions))) {
        subscription *sub = list_of(first, subscription, link);
        bridge_watch_close(sub->watch);
        mem_free(s->inner.mem, sub);
    }
    while ((first = list_pop(&s->questions))) {
        question *q = list_of(first, question, link);
        bridge_ticket_cancel(q->ticket);
        mem_free(s->inner.mem, q);
    }
}
