/* topic-history: so many earlier representations of a topic's data, as long as the process lives.  They are the messages themselves, held;
 * a past that outlives the process is the store's (docs/store.md). */
#include "adapter/coap/topics.h"
#include "codec/cbor.h"
#include "hub/port.h"

enum { PAST_OVERHEAD = 128 }; /* of a message, beside its path and bytes */

typedef struct topic_past {
    coap_watcher *ear; /* at the hub, for the topic */
    bridge_msg *now;  /* the value that is kept; not yet of the past */
    uint32_t most, first, count;
    size_t bytes;
    bridge_msg *ring[];
} topic_past;

static size_t weight(const bridge_msg *msg) { return PAST_OVERHEAD + msg->path_len + msg->len; }

static void drop_oldest(topic *o)
{
    topic_past *p = o->past;
    bridge_msg *msg = p->ring[p->first];

    p->first = (p->first + 1) % p->most;
    p->count--;
    p->bytes -= weight(msg);
    o->topics->past_bytes -= weight(msg);
    bridge_msg_unref(msg);
}

/* Takes the reference. */
static void add(topic *o, bridge_msg *msg)
{
    topic_past *p = o->past;
    size_t more = weight(msg);

    while (p->count && (p->count == p->most || p->bytes + more > TOPIC_PAST_BYTES || o->topics->past_bytes + more > TOPICS_PAST_BYTES))
        drop_oldest(o);
    if (p->bytes + more > TOPIC_PAST_BYTES || o->topics->past_bytes + more > TOPICS_PAST_BYTES) {
        bridge_msg_unref(msg);
        return;
    }
    p->ring[(p->first + p->count++) % p->most] = msg;
    p->bytes += more;
    o->topics->past_bytes += more;
}

void topic_past_hear(topic *o, bridge_msg *msg, bool gone)
{
    topic_past *p = o->past;

    if (!gone && msg->verb != BRIDGE_PUT) return; /* an event is no state */
    if (gone) {
        while (p->count) drop_oldest(o); /* what was deleted is not told any more */
        bridge_msg_unref(p->now);
    } else if (p->now) {
        add(o, p->now);
    }
    p->now = gone ? NULL : bridge_msg_ref(msg);
}

uint32_t topic_past_most(const topic *o) { return o->past ? o->past->most : 0; }

static void forget(topic *o)
{
    topic_past *p = o->past;

    if (!p) return;
    while (p->count) drop_oldest(o);
    bridge_msg_unref(p->now);
    bridge_watch_close(p->ear->watch);
    mem_free(o->topics->home->mem, p->ear);
    o->topics->past_bytes -= sizeof *p + p->most * sizeof *p->ring;
    mem_free(o->topics->home->mem, p);
    o->past = NULL;
}

static topic_past *begin(topic *o, uint32_t most)
{
    mem *m = o->topics->home->mem;
    size_t room = sizeof(topic_past) + most * sizeof(bridge_msg *);
    topic_past *p = o->topics->past_bytes + room <= TOPICS_PAST_BYTES ? mem_zalloc(m, room) : NULL;
    coap_watcher *ear = p ? mem_zalloc(m, sizeof *ear + 1) : NULL;

    if (!ear) {
        mem_free(m, p);
        return NULL;
    }
    o->topics->past_bytes += room;
    ear->keeper = o;
    p->ear = ear;
    p->most = most;
    return p;
}

/* The newest of what there was go over. */
static void move(topic *o, topic_past *to)
{
    topic_past *was = o->past;
    bridge_msg *now = was->now;

    while (was->count > to->most) drop_oldest(o);
    for (; to->count < was->count; to->count++) to->ring[to->count] = was->ring[(was->first + to->count) % was->most];
    to->bytes = was->bytes;
    to->now = now;
    was->count = 0;
    was->now = NULL;
    forget(o);
}

void topic_past_want(topic *o, uint64_t most)
{
    bridge_peer *self = most ? topics_self(o->topics) : NULL;
    bool anew = !o->past;
    topic_past *p;

    if (most > TOPIC_PAST) most = TOPIC_PAST;
    if (most == topic_past_most(o)) return;
    if (!self || !(p = begin(o, (uint32_t)most))) {
        forget(o);
        return;
    }
    if (!anew) move(o, p);
    o->past = p;
    if (bridge_peer_watch(self, o->path, &(bridge_watch_options){.exact = true, .replay = anew ? 0 : 2}, p->ear, &p->ear->watch) < 0) forget(o);
}

int topic_past_write(buf *out, const topic *o, uint64_t most)
{
    const topic_past *p = o->past;
    uint32_t count = most < p->count ? (uint32_t)most : p->count;
    int rc = cbor_put_head(out, CBOR_LIST, 2 * (uint64_t)count);

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        bridge_msg *msg = p->ring[(p->first + p->count - 1 - i) % p->most];

        rc = cbor_put_int(out, msg_format(msg));
        if (rc == 0) rc = cbor_put_bytes(out, msg_data(msg), msg->len);
    }
    return rc;
}
