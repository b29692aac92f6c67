/* adapter/mqtt/bodies.c - what several sessions wait for is written once, and each of their queues says only which it is.
 *
 *      the first session's queue    a message, whole                 one copy, as long as nobody else wants it
 *      the second comes             the message becomes a body, and the first one's item a reference, too
 *      ... each that comes then     a reference
 *      the last that is done        the body goes
 *
 * How many refer to a body is counted here and not on the disk: at the start the queues are read anyway.  What is said in one turn of the
 * loop is one batch, so a body and what refers to it come and go together. */
#include "adapter/mqtt/persist.h"
#include "store/store.h"

/* A body is found by its message, whose address is nobody else's as long as a session's ring has it. */
static mqtt_body *find(const mqtt_shared *sh, const bridge_msg *msg)
{
    return sh->bodies.count ? map_get(&sh->bodies, &msg, sizeof msg) : NULL;
}

static int add(mqtt_shared *sh, bridge_msg *msg, uint64_t number, mqtt_body **out)
{
    mqtt_body *b = mem_new(sh->mem, mqtt_body);
    void *old = NULL;

    if (!b) return BRIDGE_NOMEM;
    *b = (mqtt_body){.msg = msg, .number = number};
    if (map_put(&sh->bodies, &b->msg, sizeof b->msg, b, &old) < 0) {
        mem_free(sh->mem, b);
        return BRIDGE_NOMEM;
    }
    *out = b;
    return 0;
}

static void forget(mqtt_shared *sh, mqtt_body *b)
{
    map_remove(&sh->bodies, &b->msg, sizeof b->msg);
    mem_free(sh->mem, b);
}

/* ---- the queue that bodies lie in */

static bool has_queue(mqtt_shared *sh)
{
    if (sh->body_queue) return true;
    sh->body_queue = bridge_store_queue(sh->store);
    if (bridge_store_put(sh->store, BRIDGE_KEPT_BODIES, "mqtt", 4, &sh->body_queue, sizeof sh->body_queue) < 0) sh->body_queue = 0;
    return sh->body_queue != 0;
}

static mqtt_body *write_body(mqtt_shared *sh, bridge_msg *msg)
{
    mqtt_body *b = NULL;

    if (!has_queue(sh) || add(sh, msg, sh->last_body + 1, &b) < 0) return NULL;
    buf_clear(&sh->packed);
    if (store_pack(&sh->packed, msg) < 0 ||
        bridge_store_append(sh->store, sh->body_queue, b->number, sh->packed.data, sh->packed.len, &b->mark) < 0) {
        forget(sh, b);
        return NULL;
    }
    sh->last_body++;
    return b;
}

/* ---- who refers to it */

/* The whole message that was written last, if its session still has it: only then is msg the same one. */
static mqtt_out *first_of(mqtt_shared *sh, const bridge_msg *msg)
{
    mqtt_out *o = sh->whole.session && sh->whole.msg == msg ? mqtt_queue_at(sh->whole.session, sh->whole.seq) : NULL;

    return o && o->msg == msg && !o->body ? o : NULL;
}

uint64_t mqtt_body_of(mqtt_shared *sh, const mqtt_out *o)
{
    const mqtt_body *b = o->body ? find(sh, o->msg) : NULL;

    return b ? b->number : 0;
}

void mqtt_body_join(mqtt_session *s, mqtt_out *o, uint64_t seq)
{
    mqtt_shared *sh = s->shared;
    mqtt_body *b = find(sh, o->msg);
    mqtt_out *first = b ? NULL : first_of(sh, o->msg);

    if (first && (b = write_body(sh, o->msg))) {
        b->uses = 1;
        mqtt_persist_drop(sh->whole.session, first, sh->whole.seq); /* costs nothing while its batch is being filled */
        first->body = true;
        mqtt_persist_item(sh->whole.session, first, sh->whole.seq);
    }
    o->body = b != NULL;
    if (b) b->uses++;
    else sh->whole = (mqtt_whole){s, seq, o->msg};
}

void mqtt_body_leave(mqtt_shared *sh, mqtt_out *o)
{
    mqtt_body *b = o->body ? find(sh, o->msg) : NULL;

    o->body = false;
    if (!b || --b->uses) return;
    bridge_store_drop(sh->store, sh->body_queue, b->number, &b->mark);
    forget(sh, b);
}

void mqtt_body_leave_all(mqtt_session *s)
{
    if (s->shared->whole.session == s) s->shared->whole.session = NULL;
    for (uint32_t i = 0; i < s->count; i++) {
        mqtt_out *o = mqtt_queue_at(s, s->first_seq + i);
        if (o->body) mqtt_body_leave(s->shared, o);
    }
}

void mqtt_bodies_done(mqtt_shared *sh)
{
    size_t at = 0;

    for (mqtt_body *b; (b = map_next(&sh->bodies, &at));) mem_free(sh->mem, b);
    map_done(&sh->bodies);
}

/* ---- out of the store: first all bodies, then the sessions, then those go that nobody refers to */

static int on_queue(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    mqtt_shared *sh = user;

    if (key_len == 4 && memcmp(key, "mqtt", 4) == 0 && len == sizeof sh->body_queue) memcpy(&sh->body_queue, value, len);
    return 0;
}

static int on_body(void *user, uint64_t number, const void *value, size_t len)
{
    mqtt_loaded *l = user;
    bridge_msg *msg = NULL;
    mqtt_body *b = NULL;
    int rc;

    l->sh->last_body = number;
    rc = mem_grow(l->sh->mem, (void **)&l->all, &l->room, l->count, sizeof *l->all);
    if (rc < 0) return rc;
    rc = store_unpack(l->sh->mem, value, len, &msg);
    if (rc == 0) rc = add(l->sh, msg, number, &b);
    if (rc < 0) {
        bridge_msg_unref(msg);
        return rc == BRIDGE_SYNTAX ? 0 : rc; /* those who wait for it will miss it, and tell */
    }
    b->uses = 1; /* ours, like the reference to the message */
    l->all[l->count++] = b;
    return 0;
}

int mqtt_bodies_load(mqtt_loaded *l)
{
    int rc = bridge_store_each(l->sh->store, BRIDGE_KEPT_BODIES, "mqtt", 4, on_queue, l->sh);

    return rc == 0 && l->sh->body_queue ? bridge_store_items(l->sh->store, l->sh->body_queue, 0, 0, on_body, l) : rc;
}

bridge_msg *mqtt_body_refer(mqtt_loaded *l, uint64_t number)
{
    size_t low = 0, high = l->count;

    while (low < high) { /* they came in order */
        size_t mid = low + (high - low) / 2;
        if (l->all[mid]->number < number) low = mid + 1;
        else high = mid;
    }
    if (low == l->count || l->all[low]->number != number) return NULL;
    l->all[low]->uses++;
    return bridge_msg_ref(l->all[low]->msg);
}

void mqtt_bodies_loaded(mqtt_loaded *l)
{
    for (size_t i = 0; i < l->count; i++) {
        bridge_msg *msg = l->all[i]->msg;
        if (--l->all[i]->uses == 0) {
            bridge_store_drop(l->sh->store, l->sh->body_queue, l->all[i]->number, NULL);
            forget(l->sh, l->all[i]);
        }
        bridge_msg_unref(msg);
    }
    mem_free(l->sh->mem, l->all);
    *l = (mqtt_loaded){.sh = l->sh};
}
