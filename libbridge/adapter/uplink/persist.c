/* adapter/uplink/persist.c - the buffer's part that outlives the process: QoS 1 and 2, each an item of a queue in the store.
 *
 * The hub sends the acknowledgement of what it was given when all is on disk that was said to the store meanwhile: what is
 * appended here, too.  So a publisher that has its PUBACK can rely on it that the uplink has the message.
 *
 *      under KEPT_UPLINK, by the uplink's name: the queue's number, 8 bytes
 *      an item: qos | retain << 2 | gone << 3, length of the topic (2 bytes), topic, the message (store/pack.c) */
#include "adapter/uplink/buffer.h"
#include "store/store.h"

static int pack(buf *b, const parcel *p)
{
    size_t n = strlen(p->topic);
    int rc;

    buf_clear(b);
    rc = buf_put_u8(b, (uint8_t)(p->qos | p->retain << 2 | p->gone << 3));
    if (rc == 0) rc = buf_put_be16(b, (uint16_t)n);
    if (rc == 0) rc = buf_put(b, p->topic, n);
    return rc == 0 ? store_pack(b, p->msg) : rc;
}

void buffer_keep(buffer *b, parcel *p)
{
    if (!b->queue || p->qos == 0 || p->transient || pack(&b->packed, p) < 0) return;
    p->kept = bridge_store_append(b->store, b->queue, p->number, b->packed.data, b->packed.len, &p->mark) == 0;
}

void buffer_unkeep(buffer *b, parcel *p)
{
    if (p->kept) bridge_store_drop(b->store, b->queue, p->number, &p->mark);
    if (p->tracked) bridge_store_drop(b->store, *b->steps, p->number, NULL);
    p->kept = p->tracked = false;
}

static int on_item(void *user, uint64_t number, const void *value, size_t len)
{
    buffer *b = user;
    const uint8_t *at = value;
    bridge_msg *msg = NULL;
    size_t n = len >= 3 ? (size_t)(at[1] << 8 | at[2]) : 0;
    parcel *p = NULL;

    if (len < 3 + n || n == 0 || store_unpack(b->mem, at + 3 + n, len - 3 - n, &msg) < 0) return 0; /* none of ours */
    p = parcel_new(b->mem, msg, (const char *)at + 3, n);
    bridge_msg_unref(msg);
    if (!p) return BRIDGE_NOMEM;
    p->qos = at[0] & 3;
    p->retain = at[0] >> 2 & 1;
    p->gone = at[0] >> 3 & 1;
    p->kept = true;
    buffer_restore(b, p, number);
    return 0;
}

static int on_queue(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    buffer *b = user;

    if (key_len != b->name_len || len != sizeof b->queue) return 0;
    (void)key;
    memcpy(&b->queue, value, sizeof b->queue);
    return 1;
}

/* What was not acknowledged when the process ended waits again, before all else. */
int buffer_open(buffer *b, bridge_store *store, const char *name)
{
    int rc;

    if (!store) return 0;
    b->store = store;
    b->name_len = strlen(name);
    buf_init(&b->packed, b->mem, 0);
    bridge_store_settle(store); /* one of the same name may have been here until now */
    rc = bridge_store_each(store, BRIDGE_KEPT_UPLINK, name, b->name_len, on_queue, b);
    if (rc < 0) return rc;
    if (b->queue) return bridge_store_items(store, b->queue, 0, 0, on_item, b);
    b->queue = bridge_store_queue(store);
    return bridge_store_put(store, BRIDGE_KEPT_UPLINK, name, b->name_len, &b->queue, sizeof b->queue);
}
