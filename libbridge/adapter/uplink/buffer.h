/* adapter/uplink/buffer.h - what is on its way to the broker, in order, within limits.
 *
 *      oldest ... given ... | next ... waiting ... newest
 *
 * Given ones are with the link: written or not, acknowledged or not, they stay here until it says that they are done.  When the
 * connection was made anew, those that are not done are waiting again, before all others. */
#ifndef ADAPTER_UPLINK_BUFFER_H
#define ADAPTER_UPLINK_BUFFER_H
#include "adapter/uplink/link.h"
#include "base/buf.h"

typedef enum buffer_policy { /* what goes when it is full */
    DROP_NEW,
    DROP_OLD,
    DROP_REFUSE /* nothing that can be refused before; else the new one */
} buffer_policy;

typedef struct buffer {
    mem *mem;
    list parcels;
    parcel *next; /* the first that is waiting, or NULL */
    size_t count, bytes, given;
    size_t max_count, max_bytes;
    uint64_t number, dropped; /* number: of the newest; dropped: over a limit, ever */
    buffer_policy policy;
    bridge_store *store; /* NULL: nothing outlives the process */
    uint64_t queue;      /* its number in the store */
    const uint64_t *steps; /* the queue of what is known of parcels that are given: session.c */
    size_t name_len;
    buf packed;
} buffer;

void buffer_init(buffer *b, mem *m, size_t max_count, size_t max_bytes, buffer_policy policy);
bool buffer_refuses(const buffer *b); /* nothing more fits, and it is to be refused */
void buffer_done(buffer *b);
/* Takes p, always; BUSY: it, or the oldest that waits, was dropped. */
int buffer_add(buffer *b, parcel *p);
parcel *buffer_take(buffer *b, int64_t now); /* the next to be given, or NULL; those that are out of date are passed over */
void buffer_untake(buffer *b, parcel *p);    /* the newest that was given is not */
void buffer_finish(buffer *b, parcel *p);    /* it is done: freed */
void buffer_reset(buffer *b);                /* nothing is given any more: all of it waits */
static inline size_t buffer_waiting(const buffer *b)
{
    return b->count - b->given;
}
/* persist.c */
int buffer_open(buffer *b, bridge_store *store, const char *name); /* what was left by this name waits again; store may be NULL */
void buffer_keep(buffer *b, parcel *p);
void buffer_unkeep(buffer *b, parcel *p);
void buffer_restore(buffer *b, parcel *p, uint64_t number); /* from the store, in order */
parcel *buffer_resume(buffer *b, uint64_t number); /* given before our time, in order: before all that waits.  NULL: it is not there */

parcel *parcel_new(mem *m, bridge_msg *msg, const char *topic, size_t topic_len); /* takes a reference of its own */
void parcel_free(mem *m, parcel *p);                                              /* NULL is fine */
#endif
