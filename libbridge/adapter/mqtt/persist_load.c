/* adapter/mqtt/persist_load.c - sessions out of the store, when the first listener opens.  What cannot be understood is left out and
 * told; the rest goes on. */
#include "adapter/mqtt/persist.h"
#include "store/store.h"

typedef struct loading {
    mqtt_shared *sh;
    mqtt_session *session;
    mqtt_loaded bodies;
    size_t broken;
    bool wrong; /* of this session */
    uint64_t unsent; /* of this session: from this number on nothing was sent */
} loading;

typedef struct bytes { /* what is left of a value */
    const uint8_t *at, *end;
    bool bad;
} bytes;

static uint64_t take(bytes *b, unsigned n)
{
    uint64_t v = 0;

    if ((size_t)(b->end - b->at) < n) {
        b->bad = true;
        return 0;
    }
    while (n--) v = v << 8 | *b->at++;
    return v;
}

/* ---- subscriptions */

static int on_subscription(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    loading *l = user;
    mqtt_session *s = l->session;
    const uint8_t *v = value;
    const char *group = (const char *)key + s->id_len + 1;
    size_t group_len = strnlen(group, key_len - s->id_len - 1);
    bridge_watch_options o = {.replay = 2};
    char *filter;
    int rc;

    if (len != 6 || v[0] != PERSIST_VERSION || s->id_len + 1u + group_len >= key_len) {
        l->broken++;
        return 0;
    }
    o.qos = v[1] & 3;
    o.no_local = v[1] >> 2 & 1;
    o.keep_retain = v[1] >> 3 & 1;
    o.id = (uint32_t)v[2] << 24 | (uint32_t)v[3] << 16 | (uint32_t)v[4] << 8 | v[5];
    o.group = group_len ? group : NULL;
    filter = mem_text_len(l->sh->mem, group + group_len + 1, key_len - s->id_len - 2 - group_len);
    rc = filter ? bridge_peer_watch(s->peer, filter, &o, o.group ? s : NULL, NULL) : BRIDGE_NOMEM;
    mem_free(l->sh->mem, filter);
    if (rc < 0) l->broken++;
    return 0;
}

static int on_responder(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    loading *l = user;
    mqtt_session *s = l->session;
    const uint8_t *v = value;
    const char *at = (const char *)key + s->id_len + 1;
    char *filter = len == 2 && v[0] == PERSIST_VERSION ? mem_text_len(l->sh->mem, at, key_len - s->id_len - 1) : NULL;
    int rc = filter ? mqtt_respond(s, filter, v[1] & 3) : BRIDGE_SYNTAX;

    mem_free(l->sh->mem, filter);
    if (rc < 0) l->broken++; /* somebody else answers for it now, or it may not any more */
    return 0;
}

static int on_inflight(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    loading *l = user;
    const uint8_t *k = key;

    (void)value;
    (void)len;
    if (key_len == l->session->id_len + 3u) mqtt_in_add(l->session, (uint16_t)(k[key_len - 2] << 8 | k[key_len - 1]));
    return 0;
}

/* ---- messages */

static int read_message(loading *l, mqtt_out *o, bytes *b)
{
    mem *m = l->sh->mem;
    unsigned version = (unsigned)take(b, 1);
    uint8_t bits;

    if (version != PERSIST_VERSION && version != PERSIST_REFERS) return BRIDGE_SYNTAX;
    bits = (uint8_t)take(b, 1);
    o->qos = bits & 3;
    o->retain = bits >> 2 & 1;
    o->shared = bits >> 3 & 1;
    o->state = bits >> 4 & 1 ? OUT_RELEASED : OUT_WAITING;
    o->id_count = (uint8_t)take(b, 1);
    if (b->bad || o->qos == 0 || o->qos == 3) return BRIDGE_SYNTAX;
    if (o->id_count > 1 && !(o->ids.many = mem_new_array(m, uint32_t, o->id_count))) return BRIDGE_NOMEM;
    for (unsigned i = 0; i < o->id_count; i++) *(o->id_count > 1 ? &o->ids.many[i] : &o->ids.one) = (uint32_t)take(b, 4);
    if (version == PERSIST_REFERS) {
        o->msg = mqtt_body_refer(&l->bodies, take(b, 8));
        o->body = o->msg != NULL;
        return o->body ? 0 : BRIDGE_SYNTAX;
    }
    if (b->bad) return BRIDGE_SYNTAX;
    return o->state == OUT_RELEASED ? 0 : store_unpack(m, b->at, (size_t)(b->end - b->at), &o->msg);
}

/* Unless nobody was there since it came, it may have been sent before, under the identifier that its number gives it: then the client knows it [5: 4.4.0-1]. */
static int on_message(void *user, uint64_t number, const void *value, size_t len)
{
    loading *l = user;
    bytes b = {value, (const uint8_t *)value + len, false};
    mqtt_out o = {.again = number < l->unsent};
    int rc = read_message(l, &o, &b);

    if (o.state == OUT_RELEASED) o.id = mqtt_persist_id(number);

    if (rc == 0) rc = mqtt_queue_restore(l->session, &o, number);
    if (rc == 0) return 0;
    if (o.id_count > 1) mem_free(l->sh->mem, o.ids.many);
    mqtt_body_leave(l->sh, &o);
    bridge_msg_unref(o.msg);
    l->broken++;
    return 0;
}

/* ---- sessions */

static int read_session(loading *l, const void *id, size_t id_len, bytes *b, int64_t *since)
{
    char *user = NULL;
    uint32_t expiry, user_len;
    uint64_t queue;
    uint64_t max_queue = l->sh->handed.limits.max_queue, max_bytes = l->sh->handed.limits.max_queue_bytes;
    int rc;

    unsigned version = (unsigned)take(b, 1);
    if (version < 1 || version > 4) return BRIDGE_SYNTAX;
    expiry = (uint32_t)take(b, 4);
    queue = take(b, 8);
    *since = (int64_t)take(b, 8);
    l->unsent = version >= 2 ? take(b, 8) : UINT64_MAX;
    if (version >= 3) { /* its listener's, which may be others than the bridge's */
        max_queue = take(b, 4);
        max_bytes = take(b, 8);
    }
    bool queue_qos0 = version >= 4 && take(b, 1) != 0;
    user_len = (uint32_t)take(b, 4);
    if (b->bad || queue == 0 || id_len > UINT16_MAX) return BRIDGE_SYNTAX;
    if (user_len != UINT32_MAX) {
        if ((size_t)(b->end - b->at) < user_len) return BRIDGE_SYNTAX;
        user = mem_text_len(l->sh->mem, (const char *)b->at, user_len);
        b->at += user_len;
        if (!user) return BRIDGE_NOMEM;
    }
    rc = mqtt_session_new(&l->session, l->sh, (wire_slice){id, (uint32_t)id_len}, user);
    mem_free(l->sh->mem, user);
    if (rc < 0) return rc;
    l->session->expiry = expiry;
    l->session->queue = queue;
    l->session->first_seq = 1;
    l->session->max_queue = (unsigned)max_queue;
    l->session->max_queue_bytes = (size_t)max_bytes;
    l->session->queue_qos0 = queue_qos0;
    return b->at < b->end ? mqtt_will_unpack(l->session, b->at, (size_t)(b->end - b->at)) : 0;
}

/* Every key is looked at before any other: one walk at a time. */
typedef struct found {
    struct found *next;
    uint32_t id_len, len;
    char bytes[]; /* the id, the value */
} found;

typedef struct finding {
    mem *mem;
    found *first, **last;
} finding;

static int on_session(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    finding *f = user;
    found *one = mem_alloc(f->mem, sizeof *one + key_len + len);

    if (!one) return BRIDGE_NOMEM;
    *one = (found){.id_len = (uint32_t)key_len, .len = (uint32_t)len};
    memcpy(one->bytes, key, key_len);
    memcpy(one->bytes + key_len, value, len);
    *f->last = one;
    f->last = &one->next;
    return 0;
}

static void load_one(loading *l, const found *f)
{
    bytes b = {(const uint8_t *)f->bytes + f->id_len, (const uint8_t *)f->bytes + f->id_len + f->len, false};
    bridge_store *store = l->sh->store;
    int64_t since = 0;

    l->session = NULL;
    if (read_session(l, f->bytes, f->id_len, &b, &since) < 0) l->broken++;
    if (!l->session) return;
    mqtt_session *s = l->session;
    l->sh->loading = true;
    bridge_store_each(store, BRIDGE_KEPT_SUBSCRIPTION, s->id, s->id_len + 1, on_subscription, l);
    bridge_store_each(store, BRIDGE_KEPT_RESPONDER, s->id, s->id_len + 1, on_responder, l);
    bridge_store_each(store, BRIDGE_KEPT_INFLIGHT, s->id, s->id_len + 1, on_inflight, l);
    bridge_store_items(store, s->queue, 0, 0, on_message, l);
    l->sh->loading = false;
    mqtt_session_restore(s, since);
    if (since == 0) mqtt_persist_session(s); /* from now on it is away */
}

void mqtt_persist_load(mqtt_shared *sh)
{
    loading l = {.sh = sh, .bodies = {.sh = sh}};
    finding all = {.mem = sh->mem, .last = &all.first};
    size_t sessions = 0;

    if (!sh->store) return;
    if (mqtt_bodies_load(&l.bodies) < 0) l.broken++;
    bridge_store_each(sh->store, BRIDGE_KEPT_SESSION, NULL, 0, on_session, &all);
    for (found *f; (f = all.first);) {
        all.first = f->next;
        load_one(&l, f);
        mem_free(sh->mem, f);
        sessions++;
    }
    mqtt_bodies_loaded(&l.bodies);
    if (sessions) bridge_port_log(sh->port, BRIDGE_LOG_INFO, "store", "sessions=%zu", sessions);
    if (l.broken) bridge_port_log(sh->port, BRIDGE_LOG_ERROR, "store", "%zu entries of sessions cannot be understood", l.broken);
}
