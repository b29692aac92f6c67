/* hub/walk.h - what is kept under a filter, some at a time: for answers that may hold millions of values, so that the loop has its
 * turns between them.  Between two calls anything may change: each path is told once at most, with the value it has then. */
#ifndef HUB_WALK_H
#define HUB_WALK_H
#include "bridge/sys/adapter.h"

typedef struct hub_walk hub_walk;
/* The peer and its hub outlive the walk.  SYNTAX, NOMEM; UNSUPPORTED: the peer's protocol has names of its own, bridge_peer_read() knows them. */
int walk_new(bridge_peer *peer, const char *filter, hub_walk **out);
/* At most so many; fn says 1 when that is enough for now.  1: there is more, 0: it is over; negative is what fn said, or CANCELED. */
int walk_some(hub_walk *w, unsigned most, int (*fn)(void *user, bridge_msg *msg), void *user);
void walk_free(hub_walk *w); /* NULL is fine */
#endif
