/* hub/keep.h - what of the hub outlives the process, and who waits for the disk.
 *
 * A PUT, POST, DELETE or PATCH that made somebody say something to the store (a value, a queue of a session) is PENDING for an asker
 * who wants to know, until its batch is on disk; watchers have been told before (docs/why/70-store.md). */
#ifndef HUB_KEEP_H
#define HUB_KEEP_H
#include "hub/hub.h"
#include "store/store.h"

struct bridge_ticket { /* a request under way: at an owner, or on its way to the disk */
    list link;         /* in peer->tickets */
    struct bridge_call *call; /* NULL: it waits for the disk */
    bridge_done_fn done;
    void *user;
    hub *hub;
    bridge_store_wait wait;
    int status; /* the outcome, once it is on disk */
};

int keep_open(hub *h, const char *where, bridge_error *err); /* before the first listener; values are loaded.  INVALID later */
void keep_close(hub *h);

void keep_value(hub *h, const bridge_msg *msg);
void keep_not(hub *h, text path);

/* Before anything is done: BUSY when this would have to be written and nothing can be now. */
int keep_may(bridge_peer *from, bridge_verb verb, const bridge_msg *msg);
/* After it: PENDING, if the asker shall wait for the disk; else rc. */
int keep_promise(bridge_peer *from, const bridge_msg *msg, int rc, bridge_done_fn done, void *user, bridge_ticket **out);
void keep_drop(bridge_ticket *t);

/* What an acknowledgement promises at a pattern: -1 takes it back. */
int keep_level_at(const hub *h, text path);
void keep_levels_init(hub *h);
void keep_levels_done(hub *h);
int keep_level_set(hub *h, const char *filter, int level, bridge_error *err);
#endif
