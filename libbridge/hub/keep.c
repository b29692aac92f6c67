#include "hub/keep.h"
#include "base/status.h"

/* ---- values */

/* What an owner beside the application tells of itself is a copy: the device, the foreign server can be asked again. */
static bool is_copy(const hub *h, const bridge_msg *msg)
{
    const bridge_owner *o = hub_owner(h, msg->path, msg->path_len);

    return o && o->peer != h->app;
}

void keep_value(hub *h, const bridge_msg *msg)
{
    if (h->store && is_copy(h, msg)) return;
    if (!h->store || h->loading || name_is_ours(msg_path(msg))) return;
    buf_clear(&h->packed);
    if (store_pack(&h->packed, msg) < 0 ||
        bridge_store_put(h->store, BRIDGE_KEPT_VALUE, msg->path, msg->path_len, h->packed.data, h->packed.len) < 0)
        log_line(&h->log, BRIDGE_LOG_ERROR, "store", "out of memory: %s is not kept", msg->path);
}

void keep_not(hub *h, text path)
{
    if (h->store && !h->loading) bridge_store_remove(h->store, BRIDGE_KEPT_VALUE, path.p, path.len);
}

typedef struct load {
    hub *hub;
    int64_t now;
    size_t loaded, refused, broken;
} load;

static int on_value(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    load *l = user;
    hub *h = l->hub;
    bridge_msg *msg = NULL;
    bool created;
    int rc = store_unpack(h->mem, value, len, &msg);

    if (rc == BRIDGE_NOMEM) return rc;
    if (rc < 0 || msg->path_len != key_len || memcmp(msg->path, key, key_len) != 0) {
        l->broken++;
    } else if (!msg_expired(msg, l->now)) {
        if (msg->version > h->version) h->version = msg->version;
        if (values_put(h, msg, &created) < 0) l->refused++;
        else l->loaded++;
    }
    bridge_msg_unref(msg);
    return 0;
}

static int load_values(hub *h, bridge_error *err)
{
    load l = {.hub = h, .now = loop_calendar(h->loop)};
    int rc;

    h->loading = true;
    rc = bridge_store_each(h->store, BRIDGE_KEPT_VALUE, NULL, 0, on_value, &l);
    h->loading = false;
    if (rc < 0) return fail(err, rc, "%s: the values cannot be read", h->store->name);
    if (l.broken) log_line(&h->log, BRIDGE_LOG_ERROR, "store", "%s: %zu values cannot be understood", h->store->name, l.broken);
    if (l.refused) log_line(&h->log, BRIDGE_LOG_ERROR, "store", "%s: %zu values are over the limits and were left out", h->store->name, l.refused);
    log_line(&h->log, BRIDGE_LOG_INFO, "store", "%s: open, values=%zu", h->store->name, l.loaded);
    return 0;
}

/* ---- life */

static void on_state(void *user, const char *words)
{
    hub *h = user;

    sys_say(h, "$SYS/bridge/store/state", words);
}

int keep_open(hub *h, const char *where, bridge_error *err)
{
    int rc;

    if (h->offline) return store_check(where, err);
    if (h->store) return fail(err, BRIDGE_EXISTS, "there is a store already");
    list_each(it, &h->ports)
        if (list_of(it, bridge_port, link) != h->app_port) return fail(err, BRIDGE_INVALID, "the store must be there before the first listener");
    rc = store_open(&h->store, h->mem, h->loop, &h->log, where, err);
    if (rc < 0 || !h->store) return rc;
    rc = load_values(h, err);
    if (rc == 0) routes_restore(h);
    if (rc < 0) {
        store_close(h->store);
        h->store = NULL;
        return rc;
    }
    h->store->on_state = on_state;
    h->store->on_state_user = h;
    on_state(h, "ok");
    return 0;
}

void keep_close(hub *h)
{
    if (h->store) h->store->on_state = NULL;
    store_close(h->store);
    h->store = NULL;
    buf_done(&h->packed);
    keep_levels_done(h);
}

bridge_store *bridge_port_store(bridge_port *port)
{
    return port->hub->store;
}

/* ---- promises */

static int level_of(const bridge_peer *from, const bridge_msg *msg)
{
    const hub *h = from->port->hub;
    int level = keep_level_at(h, msg_path(msg));

    if (level < 0) level = from->level;
    return level < 0 ? (int)h->store->level : level;
}

static int port_level(const bridge_port *port)
{
    const bridge_store *s = port->hub->store;

    return !s ? (int)STORE_NONE : port->level < 0 ? (int)s->level : port->level;
}

bool port_promises(const bridge_port *port)
{
    return port_level(port) != STORE_NONE;
}

void port_promise(bridge_port *port, bridge_store_wait *w)
{
    bridge_store_when(port->hub->store, w);
    if (port_level(port) == STORE_FULL) store_sync(port->hub->store);
}

int keep_may(bridge_peer *from, bridge_verb verb, const bridge_msg *msg)
{
    hub *h = from->port->hub;

    if (!h->store || verb == BRIDGE_GET || (!h->store->failing && !store_is_full(h->store))) return 0;
    if (verb == BRIDGE_POST && !(msg->qos && store_is_full(h->store))) return 0; /* who needs no disk goes on */
    hub_over(h, "the disk %s; %zu bytes wait for it", h->store->failing ? "takes nothing now" : "is behind", store_pending(h->store));
    return bridge_store_ready(h->store);
}

static void on_written(bridge_store_wait *w, int status)
{
    bridge_ticket *t = list_of(w, bridge_ticket, wait);
    hub *h = t->hub;
    bridge_done_fn done = t->done;
    void *user = t->user;
    int rc = status < 0 ? status : t->status;

    list_remove(&t->link);
    mem_free(h->mem, t);
    h->why[0] = 0;
    hub_enter(h);
    done(user, rc, NULL);
    hub_leave(h);
}

int keep_promise(bridge_peer *from, const bridge_msg *msg, int rc, bridge_done_fn done, void *user, bridge_ticket **out)
{
    hub *h = from->port->hub;
    int level = level_of(from, msg);
    bridge_ticket *t;

    if (level == STORE_NONE) return rc;
    t = mem_alloc(h->mem, sizeof *t);
    if (!t) return BRIDGE_NOMEM;
    *t = (bridge_ticket){.done = done, .user = user, .hub = h, .status = rc, .wait.fn = on_written};
    list_push(&from->tickets, &t->link);
    bridge_store_when(h->store, &t->wait);
    if (level == STORE_FULL) store_sync(h->store);
    if (out) *out = t;
    return BRIDGE_PENDING;
}

void keep_drop(bridge_ticket *t)
{
    bridge_store_forget(&t->wait);
    list_remove(&t->link);
    mem_free(t->hub->mem, t);
}
