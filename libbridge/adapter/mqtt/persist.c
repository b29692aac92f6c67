#include "adapter/mqtt/persist.h"
#include "hub/port.h"
#include "store/store.h"

enum { SESSION_VERSION = 4, PLACE_MOST = 0x7fffffff };

typedef struct mqtt_later { /* a packet that waits for the disk */
    bridge_store_wait wait;
    list link; /* in session->later */
    mqtt_session *session;
    uint8_t type, reason;
    uint16_t id;
    uint32_t len;     /* of packet; 0: an acknowledgement */
    bool fresh;       /* CONNACK: the session is new */
    uint8_t packet[];
} mqtt_later;

static void lost(const mqtt_session *s, const char *what)
{
    bridge_port_log(s->shared->port, BRIDGE_LOG_ERROR, s->id, "out of memory: %s is not kept", what);
}

/* ---- the session */

void mqtt_persist_session(mqtt_session *s)
{
    mqtt_shared *sh = s->shared;
    buf b;
    const char *user = bridge_peer_user(s->peer);
    int64_t since = s->client ? 0 : loop_calendar(sh->loop);
    int rc;

    if (!sh->store || (!s->queue && s->expiry == 0)) return;
    if (!s->queue) {
        s->queue = bridge_store_queue(sh->store);
        s->first_seq = 1;
    }
    buf_init(&b, sh->mem, 0);
    rc = buf_put_u8(&b, SESSION_VERSION);
    if (rc == 0) rc = buf_put_be32(&b, s->expiry);
    if (rc == 0) rc = buf_put_be64(&b, s->queue);
    if (rc == 0) rc = buf_put_be64(&b, (uint64_t)since);
    if (rc == 0) rc = buf_put_be64(&b, since ? mqtt_queue_unsent(s) : UINT64_MAX);
    if (rc == 0) rc = buf_put_be32(&b, s->max_queue);
    if (rc == 0) rc = buf_put_be64(&b, s->max_queue_bytes);
    if (rc == 0) rc = buf_put_u8(&b, s->queue_qos0);
    if (rc == 0) rc = buf_put_be32(&b, user ? (uint32_t)strlen(user) : UINT32_MAX);
    if (rc == 0 && user) rc = buf_put(&b, user, strlen(user));
    if (rc == 0) mqtt_will_pack(s, &b);
    if (rc == 0) rc = bridge_store_put(sh->store, BRIDGE_KEPT_SESSION, s->id, s->id_len, b.data, b.len);
    buf_done(&b);
    if (rc < 0) lost(s, "the session");
}

void mqtt_persist_end(mqtt_session *s)
{
    bridge_store *store = s->shared->store;

    mqtt_persist_offline(s);
    if (!s->queue) return;
    mqtt_body_leave_all(s);
    bridge_store_remove(store, BRIDGE_KEPT_SESSION, s->id, s->id_len);
    bridge_store_remove_below(store, BRIDGE_KEPT_SUBSCRIPTION, s->id, s->id_len + 1); /* with its NUL */
    bridge_store_remove_below(store, BRIDGE_KEPT_RESPONDER, s->id, s->id_len + 1);
    bridge_store_remove_below(store, BRIDGE_KEPT_INFLIGHT, s->id, s->id_len + 1);
    bridge_store_trim(store, s->queue, UINT64_MAX);
    s->queue = 0;
}

/* ---- subscriptions */

static int key_of(mqtt_session *s, buf *key, const char *filter, const char *group)
{
    int rc;

    buf_init(key, s->shared->mem, STORE_KEY_MAX + STORE_KEY_MAX);
    rc = buf_put(key, s->id, s->id_len + 1);
    if (rc == 0 && group) rc = buf_put(key, group, strlen(group));
    if (rc == 0) rc = buf_put_u8(key, 0);
    return rc == 0 ? buf_put(key, filter, strlen(filter)) : rc;
}

void mqtt_persist_subscribe(mqtt_session *s, const char *filter, const bridge_watch_options *o)
{
    uint8_t value[6] = {PERSIST_VERSION, (uint8_t)(o->qos | o->no_local << 2 | o->keep_retain << 3), (uint8_t)(o->id >> 24),
                        (uint8_t)(o->id >> 16), (uint8_t)(o->id >> 8), (uint8_t)o->id};
    buf key;
    int rc;

    if (!s->queue) return;
    rc = key_of(s, &key, filter, o->group);
    if (rc == 0) rc = bridge_store_put(s->shared->store, BRIDGE_KEPT_SUBSCRIPTION, key.data, key.len, value, sizeof value);
    buf_done(&key);
    if (rc < 0) lost(s, "a subscription");
}

void mqtt_persist_unsubscribe(mqtt_session *s, const char *filter, const char *group)
{
    buf key;

    if (!s->queue) return;
    if (key_of(s, &key, filter, group) == 0) bridge_store_remove(s->shared->store, BRIDGE_KEPT_SUBSCRIPTION, key.data, key.len);
    buf_done(&key);
}

void mqtt_persist_responder(mqtt_session *s, const char *filter, uint8_t qos)
{
    uint8_t value[2] = {PERSIST_VERSION, qos};
    buf key;
    int rc;

    if (!s->queue) return;
    buf_init(&key, s->shared->mem, STORE_KEY_MAX);
    rc = buf_put(&key, s->id, s->id_len + 1);
    if (rc == 0) rc = buf_put(&key, filter, strlen(filter));
    if (rc == 0) rc = bridge_store_put(s->shared->store, BRIDGE_KEPT_RESPONDER, key.data, key.len, value, sizeof value);
    buf_done(&key);
    if (rc < 0) lost(s, "what it answers for");
}

void mqtt_persist_responder_not(mqtt_session *s, const char *filter)
{
    buf key;

    if (!s->queue) return;
    buf_init(&key, s->shared->mem, STORE_KEY_MAX);
    if (buf_put(&key, s->id, s->id_len + 1) == 0 && buf_put(&key, filter, strlen(filter)) == 0)
        bridge_store_remove(s->shared->store, BRIDGE_KEPT_RESPONDER, key.data, key.len);
    buf_done(&key);
}

/* ---- QoS 2 that came in */

void mqtt_persist_in(mqtt_session *s, uint16_t id, bool there)
{
    uint8_t small[128], *key = small;
    size_t len = s->id_len + 3u;

    if (!s->queue || s->shared->loading) return;
    if (len > sizeof small && !(key = mem_alloc(s->shared->mem, len))) {
        lost(s, "an identifier");
        return;
    }
    memcpy(key, s->id, s->id_len + 1);
    key[len - 2] = (uint8_t)(id >> 8);
    key[len - 1] = (uint8_t)id;
    if (there)
        bridge_store_put(s->shared->store, BRIDGE_KEPT_INFLIGHT, key, len, NULL, 0);
    else
        bridge_store_remove(s->shared->store, BRIDGE_KEPT_INFLIGHT, key, len);
    if (key != small) mem_free(s->shared->mem, key);
}

/* ---- messages */

/* Where an append stands is worth knowing as long as its batch is being filled; and which batches may not be on disk yet. */
static void note_batch(mqtt_session *s, uint64_t seq)
{
    uint64_t batch = bridge_store_batch(s->shared->store);

    if (batch == s->mark_batch) return;
    s->before_batch = s->mark_batch;
    s->before_seq = s->mark_seq;
    s->mark_batch = batch;
    s->mark_seq = seq;
}

static int pack(mqtt_session *s, buf *b, const mqtt_out *o)
{
    const uint32_t *ids = o->id_count > 1 ? o->ids.many : &o->ids.one;
    int rc = buf_put_u8(b, o->body ? PERSIST_REFERS : PERSIST_VERSION);

    if (rc == 0) rc = buf_put_u8(b, (uint8_t)(o->qos | o->retain << 2 | o->shared << 3 | (o->state == OUT_RELEASED) << 4));
    if (rc == 0) rc = buf_put_u8(b, o->id_count);
    for (unsigned i = 0; rc == 0 && i < o->id_count; i++) rc = buf_put_be32(b, ids[i]);
    if (rc == 0 && o->body) return buf_put_be64(b, mqtt_body_of(s->shared, o));
    return rc == 0 && o->msg ? store_pack(b, o->msg) : rc;
}

void mqtt_persist_item(mqtt_session *s, mqtt_out *o, uint64_t seq)
{
    buf *b = &s->shared->packed;
    bridge_store_mark mark = {0};
    int rc;

    buf_clear(b);
    rc = pack(s, b, o);
    if (rc == 0) rc = bridge_store_append(s->shared->store, s->queue, seq, b->data, b->len, &mark);
    o->place = mark.at / 8 < PLACE_MOST ? (uint32_t)(mark.at / 8) & PLACE_MOST : 0;
    if (rc < 0) lost(s, "a message");
}

void mqtt_persist_push(mqtt_session *s, mqtt_out *o, uint64_t seq)
{
    if (!s->queue || o->qos == 0) return;
    note_batch(s, seq);
    mqtt_body_join(s, o, seq);
    mqtt_persist_item(s, o, seq);
}

void mqtt_persist_drop(mqtt_session *s, mqtt_out *o, uint64_t seq)
{
    bridge_store_mark mark = {.batch = seq >= s->mark_seq ? s->mark_batch : 0, .at = (size_t)o->place * 8};

    if (!s->queue || !o->qos) return;
    bridge_store_drop(s->shared->store, s->queue, seq, mark.batch ? &mark : NULL);
    mqtt_body_leave(s->shared, o);
}

void mqtt_persist_release(mqtt_session *s, const mqtt_out *o, uint64_t seq)
{
    buf *b = &s->shared->packed;

    if (!s->queue) return;
    buf_clear(b);
    if (pack(s, b, o) < 0 || bridge_store_append(s->shared->store, s->queue, seq, b->data, b->len, NULL) < 0) lost(s, "a release");
}

/* ---- waiting */

static void on_hold(bridge_store_wait *w, int status)
{
    mqtt_session *s = list_of(w, mqtt_session, hold);

    if (status == BRIDGE_CLOSED) return;
    mqtt_queue_pump(s); /* which waits again, if it failed */
}

bool mqtt_persist_may_send(mqtt_session *s, uint64_t seq)
{
    bridge_store *store = s->shared->store;
    uint64_t batch = seq >= s->mark_seq ? s->mark_batch : seq >= s->before_seq ? s->before_batch : 0;

    if (!s->queue || bridge_store_is_done(store, batch)) return true;
    if (!s->hold.next) {
        s->hold.fn = on_hold;
        bridge_store_when(store, &s->hold);
    }
    return false;
}

/* The disk takes nothing: a session that is new is none, one that was there goes on. */
static void on_welcome(bridge_store_wait *w, int status)
{
    mqtt_later *l = list_of(w, mqtt_later, wait);
    mqtt_session *s = l->session;
    mqtt_client *c = s->client;
    bool refused = status < 0 && l->fresh, gone = status == BRIDGE_CLOSED || !c;

    list_remove(&l->link);
    if (!gone && !refused) stream_write(c->stream, l->packet, l->len);
    mem_free(s->shared->mem, l);
    if (gone) return;
    if (refused) {
        s->expiry = 0;
        mqtt_refuse(c, c->version == WIRE_V5 ? WIRE_QUOTA : WIRE_UNAVAILABLE, "the disk takes nothing now");
        return;
    }
    mqtt_connect_done(c);
    if (c->state == MQTT_ONLINE) mqtt_client_listen(c, true);
}

static void on_later(bridge_store_wait *w, int status)
{
    mqtt_later *l = list_of(w, mqtt_later, wait);
    mqtt_session *s = l->session;
    mqtt_client *c = s->client;

    if (status == BRIDGE_BUSY) { /* the other side waits, too */
        bridge_store_when(s->shared->store, w);
        return;
    }
    list_remove(&l->link);
    if (status == 0 && c && l->len) stream_write(c->stream, l->packet, l->len);
    else if (status == 0 && c) mqtt_send_ack(c, (wire_type)l->type, l->id, l->reason);
    mem_free(s->shared->mem, l);
}

static mqtt_later *later_new(mqtt_session *s, size_t len)
{
    mqtt_later *l = mem_zalloc(s->shared->mem, sizeof *l + len);

    if (!l) return NULL;
    l->session = s;
    l->wait.fn = on_later;
    l->len = (uint32_t)len;
    list_push(&s->later, &l->link);
    return l;
}

void mqtt_persist_send(mqtt_session *s, wire_type type, uint16_t id, uint8_t reason)
{
    mqtt_later *l = s->queue ? later_new(s, 0) : NULL;

    if (!l) {
        if (!s->queue) mqtt_send_ack(s->client, type, id, reason);
        return; /* no memory: the client asks again */
    }
    l->type = (uint8_t)type;
    l->id = id;
    l->reason = reason;
    bridge_store_when(s->shared->store, &l->wait);
}

static mqtt_later *later_packet(mqtt_session *s, const wire_packet *p)
{
    size_t size = wire_measure(p);
    mqtt_later *l = size ? later_new(s, size) : NULL;

    if (l) wire_write(p, l->packet);
    return l;
}

int mqtt_persist_send_packet(mqtt_session *s, const wire_packet *p)
{
    mqtt_later *l;

    if (!s->queue || !port_promises(s->client->via)) return mqtt_send(s->client, p);
    l = later_packet(s, p);
    if (!l) return BRIDGE_NOMEM;
    port_promise(s->client->via, &l->wait);
    return 0;
}

int mqtt_persist_welcome(mqtt_session *s, const wire_packet *p, bool fresh)
{
    mqtt_later *l = later_packet(s, p);

    if (!l) return BRIDGE_NOMEM;
    l->fresh = fresh;
    l->wait.fn = on_welcome;
    port_promise(s->client->via, &l->wait);
    return 0;
}

void mqtt_persist_offline(mqtt_session *s)
{
    bridge_store_forget(&s->hold);
    for (list *it; (it = list_pop(&s->later));) {
        mqtt_later *l = list_of(it, mqtt_later, link);
        bridge_store_forget(&l->wait);
        mem_free(s->shared->mem, l);
    }
}
