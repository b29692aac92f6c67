#include "adapter/uplink/buffer.h"
#include "core/message.h"
#include <string.h>

parcel *parcel_new(mem *m, bridge_msg *msg, const char *topic, size_t topic_len)
{
    parcel *p = mem_alloc(m, sizeof *p + topic_len + 1);

    if (!p) return NULL;
    memset(p, 0, sizeof *p);
    memcpy(p->topic, topic, topic_len);
    p->topic[topic_len] = 0;
    p->msg = bridge_msg_ref(msg);
    p->until = msg->expires;
    p->bytes = sizeof *p + topic_len + msg_bytes(msg);
    return p;
}

void parcel_free(mem *m, parcel *p)
{
    if (!p) return;
    list_remove(&p->link);
    bridge_msg_unref(p->msg);
    mem_free(m, p);
}

void buffer_init(buffer *b, mem *m, size_t max_count, size_t max_bytes, buffer_policy policy)
{
    *b = (buffer){.mem = m, .max_count = max_count, .max_bytes = max_bytes, .policy = policy};
    list_init(&b->parcels);
}

void buffer_done(buffer *b)
{
    if (!b->mem) return;
    while (!list_empty(&b->parcels)) parcel_free(b->mem, list_of(b->parcels.next, parcel, link));
    b->next = NULL;
    b->count = b->bytes = b->given = 0;
    if (b->store) buf_done(&b->packed);
    b->store = NULL;
}

static parcel *after(const buffer *b, const parcel *p)
{
    return p->link.next == &b->parcels ? NULL : list_of(p->link.next, parcel, link);
}

static void take_out(buffer *b, parcel *p)
{
    if (b->next == p) b->next = after(b, p);
    if (p->given) b->given--;
    b->count--;
    b->bytes -= p->bytes;
    buffer_unkeep(b, p);
    parcel_free(b->mem, p);
}

static bool is_full(const buffer *b, const parcel *p)
{
    if (b->policy == DROP_REFUSE) return b->count >= b->max_count || b->bytes >= b->max_bytes; /* the one that fills it has been accepted */
    return b->count >= b->max_count || b->bytes + p->bytes > b->max_bytes;
}

bool buffer_refuses(const buffer *b)
{
    return b->policy == DROP_REFUSE && (b->count >= b->max_count || b->bytes >= b->max_bytes);
}

static void put_in(buffer *b, parcel *p)
{
    list_push(&b->parcels, &p->link);
    b->count++;
    b->bytes += p->bytes;
    if (!b->next) b->next = p;
}

int buffer_add(buffer *b, parcel *p)
{
    int rc = 0;

    while (is_full(b, p)) {
        b->dropped++;
        rc = BRIDGE_BUSY;
        if (b->policy != DROP_OLD || !b->next) {
            parcel_free(b->mem, p);
            return rc;
        }
        take_out(b, b->next);
    }
    p->number = ++b->number;
    buffer_keep(b, p);
    put_in(b, p);
    return rc;
}

void buffer_restore(buffer *b, parcel *p, uint64_t number) /* over its limits, too: it was promised */
{
    p->number = number;
    if (number > b->number) b->number = number;
    put_in(b, p);
}

parcel *buffer_take(buffer *b, int64_t now)
{
    parcel *p;

    while ((p = b->next) && p->until <= now) take_out(b, p); /* [5: 3.3.2.3.3] its time is over */
    if (!p) return NULL;
    b->next = after(b, p);
    b->given++;
    p->given = true;
    return p;
}

void buffer_untake(buffer *b, parcel *p)
{
    p->given = false;
    b->given--;
    b->next = p;
}

parcel *buffer_resume(buffer *b, uint64_t number)
{
    list *last = b->next ? b->next->link.prev : b->parcels.prev; /* of those that are given */
    parcel *p = b->next;

    while (p && p->number < number) p = after(b, p);
    if (!p || p->number != number) return NULL;
    if (p == b->next) b->next = after(b, p);
    list_remove(&p->link);
    list_push_front(last, &p->link);
    p->given = true;
    b->given++;
    return p;
}

void buffer_finish(buffer *b, parcel *p)
{
    take_out(b, p);
}

void buffer_reset(buffer *b)
{
    list_each(it, &b->parcels)
    {
        parcel *p = list_of(it, parcel, link);
        if (!p->given) break;
        p->given = p->refused = p->tracked = false;
        b->given--;
    }
    b->next = list_empty(&b->parcels) ? NULL : list_of(b->parcels.next, parcel, link);
}
