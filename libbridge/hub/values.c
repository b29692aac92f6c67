/* What is kept: one message a path, counted, limited, and gone when its time is over. */
#include "hub/hub.h"
#include "hub/keep.h"

/* Values that expire, soonest first.  A replaced value stays here until its time or until there are too many such;
 * then the heap is made again from the tree. */
typedef struct expiry {
    hub *hub;
    bridge_msg **heap; /* each a reference */
    size_t count, room;
    size_t alive; /* values in the tree that expire */
    timer timer;
} expiry;

enum { STALE_SLACK = 1024, SWEEP_BATCH = 1000 };

static void sift_up(expiry *x, bridge_msg *m, size_t at)
{
    while (at > 0 && x->heap[(at - 1) / 2]->expires > m->expires) {
        x->heap[at] = x->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    x->heap[at] = m;
}

static bridge_msg *take_first(expiry *x)
{
    bridge_msg *first = x->heap[0], *last = x->heap[--x->count];
    size_t at = 0;

    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= x->count) break;
        if (child + 1 < x->count && x->heap[child + 1]->expires < x->heap[child]->expires) child++;
        if (x->heap[child]->expires >= last->expires) break;
        x->heap[at] = x->heap[child];
        at = child;
    }
    x->heap[at] = last;
    return first;
}

static void drop_stale(expiry *x)
{
    size_t kept = 0;

    for (size_t i = 0; i < x->count; i++) {
        bridge_msg *m = x->heap[i];
        if (tree_value(x->hub->tree, m->path, m->path_len) == m)
            sift_up(x, m, kept++);
        else
            bridge_msg_unref(m);
    }
    x->count = kept;
}

static void on_time(timer *t);

static void arm(expiry *x)
{
    int64_t in;

    if (x->count == 0) {
        timer_stop(&x->timer);
        return;
    }
    in = x->heap[0]->expires - loop_calendar(x->hub->loop);
    timer_start(&x->timer, x->hub->loop, in < 1 ? 1 : in, on_time);
}

static void on_time(timer *t)
{
    expiry *x = list_of(t, expiry, timer);
    hub *h = x->hub;
    int64_t now = loop_calendar(h->loop);

    for (int i = 0; i < SWEEP_BATCH && x->count && msg_expired(x->heap[0], now); i++) {
        bridge_msg *m = take_first(x);
        if (tree_value(h->tree, m->path, m->path_len) == m) {
            h->count.expired++;
            values_remove(h, msg_path(m));
        }
        bridge_msg_unref(m);
    }
    arm(x);
}

static int watch_expiry(expiry *x, bridge_msg *msg)
{
    int rc;

    if (x->count > 2 * x->alive + STALE_SLACK) drop_stale(x);
    rc = mem_grow(x->hub->mem, (void **)&x->heap, &x->room, x->count, sizeof *x->heap);
    if (rc < 0) return rc;
    sift_up(x, bridge_msg_ref(msg), x->count++);
    x->alive++;
    if (x->heap[0] == msg) arm(x);
    return 0;
}

int values_new(hub *h)
{
    h->expiry = mem_new(h->mem, expiry);
    if (!h->expiry) return BRIDGE_NOMEM;
    h->expiry->hub = h;
    return 0;
}

static void unref_value(void *value)
{
    bridge_msg_unref(value);
}

void values_free(hub *h)
{
    expiry *x = h->expiry;

    if (!x) return;
    timer_stop(&x->timer);
    for (size_t i = 0; i < x->count; i++)
        bridge_msg_unref(x->heap[i]);
    mem_free(h->mem, x->heap);
    mem_free(h->mem, x);
    h->expiry = NULL;
    if (h->tree) tree_all_values(h->tree, unref_value);
}

static void account(hub *h, const bridge_msg *was, const bridge_msg *is)
{
    if (h->limits.max_client_names) life_account(h, was, is);
    if (was) {
        h->value_count--;
        h->value_bytes -= msg_bytes(was);
        if (was->expires != INT64_MAX) h->expiry->alive--;
    }
    if (is) {
        h->value_count++;
        h->value_bytes += msg_bytes(is);
    }
}

static int put(hub *h, bridge_msg *msg, bool *created)
{
    const bridge_msg *there = tree_value(h->tree, msg->path, msg->path_len);
    void *old = NULL;
    int rc;

    if ((!there && h->value_count >= h->limits.max_values) ||
        h->value_bytes + msg_bytes(msg) > h->limits.max_value_bytes + (there ? msg_bytes(there) : 0)) {
        h->count.dropped_values++;
        return hub_over(h, "%zu values of %zu bytes are kept, at most %zu and %zu", h->value_count, h->value_bytes, h->limits.max_values,
                        h->limits.max_value_bytes);
    }
    rc = life_admit(h, msg, there);
    if (rc < 0) return rc;
    if (msg->expires != INT64_MAX) {
        rc = watch_expiry(h->expiry, msg);
        if (rc < 0) return rc;
    }
    rc = tree_set_value(h->tree, msg->path, msg->path_len, bridge_msg_ref(msg), &old);
    if (rc < 0) {
        bridge_msg_unref(msg);
        if (msg->expires != INT64_MAX) h->expiry->alive--;
        return rc;
    }
    *created = !old || msg_expired(old, loop_calendar(h->loop));
    account(h, old, msg);
    bridge_msg_unref(old);
    return 0;
}

int values_put(hub *h, bridge_msg *msg, bool *created)
{
    int rc = put(h, msg, created);

    if (rc == 0) keep_value(h, msg);
    return rc;
}

/* What an owner said, for as long as it is good: not worth a place on the disk. */
void values_put_quiet(hub *h, bridge_msg *msg)
{
    bool created;

    put(h, msg, &created); /* over a limit: then it is asked for again */
}

bridge_msg *values_get(hub *h, text path)
{
    bridge_msg *m = tree_value(h->tree, path.p, path.len);

    return m && m->expires != INT64_MAX && msg_expired(m, loop_calendar(h->loop)) ? NULL : m;
}

bool values_remove(hub *h, text path)
{
    bridge_msg *old = tree_remove_value(h->tree, path.p, path.len);
    bool was_good;

    if (!old) return false;
    was_good = !msg_expired(old, loop_calendar(h->loop));
    account(h, old, NULL);
    bridge_msg_unref(old);
    keep_not(h, path);
    return was_good;
}
