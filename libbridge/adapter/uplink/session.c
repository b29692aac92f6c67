/* adapter/uplink/session.c - QoS 2 with a broker that keeps our session (clean=no), over the end of the process [5: 4.1, 4.3.3, 4.4].
 *
 *      under KEPT_UPLINK_SESSION, by the uplink's name: the numbers of two queues, 8 bytes each; client id, NUL, broker
 *      in the queue `out`, by the parcel's number: packet identifier (2 bytes), phase
 *      in the queue `in`, by the packet identifier: nothing; it is taken and not yet released
 *
 * A step is written before it is said.  PUBLISH waits for its identifier: after a kill it is that message again, not a new one.  PUBREL
 * waits for "released": or PUBLISH would follow it.  PUBCOMP waits for "not taken any more": or the identifier's next message would be
 * taken for this one.  What comes from the broker is in one batch with its identifier; PUBREC waits for no more than the hub does. */
#include "adapter/uplink/uplink.h"
#include "core/path.h"
#include <stdio.h>

/* ---- whose session: the row */

enum { ROW = 2 * sizeof(uint64_t) };

static int whose(const uplink *u, unsigned which, buf *out)
{
    const broker *b = &u->options.brokers[which];
    char where[400];
    int n = snprintf(where, sizeof where, "%s:%d", b->host, b->port);
    int rc = buf_put(out, u->options.client_id, strlen(u->options.client_id) + 1);

    return rc == 0 ? buf_put(out, where, (size_t)n) : rc;
}

static void forget_row(uplink *u)
{
    uplink_session *s = &u->session;
    bridge_store *store = u->buffer.store;

    bridge_store_remove(store, BRIDGE_KEPT_UPLINK_SESSION, u->options.name, strlen(u->options.name));
    bridge_store_trim(store, s->out, UINT64_MAX);
    bridge_store_trim(store, s->in, UINT64_MAX);
    s->known = false;
}

static int put_row(uplink *u)
{
    uplink_session *s = &u->session;
    buf row;
    int rc;

    if (!s->out) s->out = bridge_store_queue(u->buffer.store);
    if (!s->in) s->in = bridge_store_queue(u->buffer.store);
    buf_init(&row, u->mem, 0);
    rc = buf_put(&row, &s->out, sizeof s->out);
    if (rc == 0) rc = buf_put(&row, &s->in, sizeof s->in);
    if (rc == 0) rc = whose(u, u->session_broker, &row);
    if (rc == 0) rc = bridge_store_put(u->buffer.store, BRIDGE_KEPT_UPLINK_SESSION, u->options.name, strlen(u->options.name), row.data, row.len);
    buf_done(&row);
    return rc;
}

static int on_row(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    uplink *u = user;
    uplink_session *s = &u->session;

    (void)key;
    if (key_len != strlen(u->options.name) || len < ROW) return 0;
    memcpy(&s->out, value, sizeof s->out);
    memcpy(&s->in, (const char *)value + sizeof s->out, sizeof s->in);
    s->known = true;
    for (unsigned i = 0; i < u->options.broker_count && !u->options.clean; i++) {
        buf wanted;
        buf_init(&wanted, u->mem, 0);
        if (whose(u, i, &wanted) == 0 && wanted.len == len - ROW && memcmp(wanted.data, (const char *)value + ROW, wanted.len) == 0)
            u->session_broker = i;
        buf_done(&wanted);
    }
    return 1;
}

/* ---- at the start */

typedef struct taken {
    mem *mem;
    uint16_t *ids;
    size_t count, room;
} taken;

static int on_taken(void *user, uint64_t number, const void *value, size_t len)
{
    taken *t = user;

    (void)value, (void)len;
    if (number > UINT16_MAX || mem_grow(t->mem, (void **)&t->ids, &t->room, t->count, sizeof *t->ids) < 0) return BRIDGE_NOMEM;
    t->ids[t->count++] = (uint16_t)number;
    return 0;
}

static int on_step(void *user, uint64_t number, const void *value, size_t len)
{
    const uint8_t *at = value;
    parcel *p = len == 3 ? buffer_resume(user, number) : NULL;

    if (!p || at[2] < PARCEL_SENT || at[2] > PARCEL_RELEASED) return BRIDGE_SYNTAX;
    p->id = (uint16_t)(at[0] << 8 | at[1]);
    p->phase = at[2];
    p->tracked = true;
    return 0;
}

static int load(uplink *u)
{
    uplink_session *s = &u->session;
    taken t = {.mem = u->mem};
    list given;
    int rc = bridge_store_items(u->buffer.store, s->out, 0, 0, on_step, &u->buffer);

    list_init(&given);
    if (rc == 0) rc = bridge_store_items(u->buffer.store, s->in, 0, 0, on_taken, &t);
    list_each(it, &u->buffer.parcels)
    {
        parcel *p = list_of(it, parcel, link);
        if (p->given) list_push(&given, &p->flight);
    }
    if (rc == 0) rc = link_resume(u->link, &given, t.ids, t.count);
    while (list_pop(&given)) continue;
    mem_free(u->mem, t.ids);
    return rc;
}

/* What cannot be understood is forgotten: then all that waits is sent as something new, as without this file. */
int uplink_session_load(uplink *u)
{
    const char *name = u->options.name;
    int rc;

    if (!u->buffer.store) return 0;
    rc = bridge_store_each(u->buffer.store, BRIDGE_KEPT_UPLINK_SESSION, name, strlen(name), on_row, u);
    if (rc < 0 || !u->session.known) return rc;
    rc = u->session_broker < u->options.broker_count ? load(u) : BRIDGE_NOTFOUND;
    if (rc == BRIDGE_NOMEM) return rc;
    if (rc < 0) {
        u->session_broker = BROKERS_MAX;
        uplink_session_forget(u);
    }
    return 0;
}

/* ---- then */

void uplink_session_up(uplink *u, unsigned which)
{
    bool was = u->session.known && u->session_broker == which;

    u->session_broker = which;
    if (was || u->options.clean || !u->buffer.store) return;
    u->session.known = put_row(u) == 0;
}

void uplink_session_forget(uplink *u)
{
    if (u->session.known) forget_row(u);
    buffer_reset(&u->buffer);
}

static void await(uplink *u);

static void on_written(bridge_store_wait *w, int status)
{
    uplink *u = list_of(w, uplink, session.wait);

    if (status == BRIDGE_CLOSED) return;
    if (status < 0 || link_written(u->link, w->batch)) await(u); /* a disk that takes nothing now will do so later */
}

static void await(uplink *u)
{
    if (u->session.wait.next) return;
    u->session.wait.fn = on_written;
    bridge_store_when(u->buffer.store, &u->session.wait);
}

uint64_t uplink_keep_out(void *user, parcel *p)
{
    uplink *u = user;
    uint8_t step[3] = {(uint8_t)(p->id >> 8), (uint8_t)p->id, p->phase};

    if (!u->session.known || !p->kept) return 0;
    if (bridge_store_append(u->buffer.store, u->session.out, p->number, step, sizeof step, NULL) < 0) return 0;
    p->tracked = true;
    await(u);
    return bridge_store_batch(u->buffer.store);
}

uint64_t uplink_keep_in(void *user, uint16_t id, bool is_taken)
{
    uplink *u = user;

    if (!u->session.known) return 0;
    if (is_taken) {
        bridge_store_append(u->buffer.store, u->session.in, id, NULL, 0, NULL);
        return 0;
    }
    bridge_store_drop(u->buffer.store, u->session.in, id, NULL);
    await(u);
    return bridge_store_batch(u->buffer.store);
}
