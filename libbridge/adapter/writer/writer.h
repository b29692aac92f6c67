/* adapter/writer/writer.h - databases beside the bridge: what matches a pattern is written there as well.
 *
 *   writer.c     the queue, the thread, trying again      postgres.c   COPY      influx.c   line protocol
 * A database is one writer_kind: open, write a batch, close; called on the writer's own thread, which may wait.  A message stays in the
 * queue, and in the store when there is one, until its batch was taken; so each is written at least once. */
#ifndef ADAPTER_WRITER_WRITER_H
#define ADAPTER_WRITER_WRITER_H
#include "base/buf.h"
#include "bridge/sys/store.h"
#include "core/message.h"
#include "core/url.h"

enum { WRITER_BATCH = 2000, WRITER_WHY = 200 };

typedef struct writer_kind {
    const char *const *options; /* words of its URL, besides writer.c's own */
    /* state is NULL at first; 0 or negative, with the reason in why[WRITER_WHY].  UNREACHABLE, IO: tried again. */
    int (*open)(void **state, const url *u, char *why);
    int (*write)(void *state, bridge_msg *const *messages, size_t count, char *why); /* INVALID: this batch never will be taken */
    void (*close)(void *state);
} writer_kind;

extern const writer_kind writer_postgres, writer_influx;

bool writer_number(const bridge_msg *msg, double *out); /* is its payload a number? */
#endif
