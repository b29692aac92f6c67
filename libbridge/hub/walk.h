/* hub/walk.h - what is kept under a filter, or the names below a path, some at a time: for answers that may hold millions, so that the loop
 * has its turns between them.  Between two calls anything may change: each path is told once at most, with the value it has then. */
#ifndef HUB_WALK_H
#define HUB_WALK_H
#include "bridge/sys/adapter.h"

enum {
    WALKS_MAX = 4000,       /* at a time, of one bridge */
    WALK_VALUES = 1024,     /* what is told of one walk in one turn */
    WALK_BYTES = 64 * 1024  /* the same: about so many */
};

typedef struct hub_walk hub_walk;
/* Where routes give the peer's protocol names, values come under these, route by route.  The peer and its hub outlive the walk.
 * SYNTAX, NOMEM, BUSY: there are too many. */
int walk_new(bridge_peer *peer, const char *filter, hub_walk **out);
/* At most so many; fn says 1 when that is enough for now.  1: there is more, 0: it is over; negative is what fn said, or NOMEM. */
int walk_some(hub_walk *w, unsigned most, int (*fn)(void *user, bridge_msg *msg), void *user);

/* As bridge_peer_list(). */
typedef int (*walk_name_fn)(void *user, const char *segment, bool has_value, bool has_children);
int walk_names(bridge_peer *peer, const char *path, hub_walk **out);
int walk_some_names(hub_walk *w, unsigned most, walk_name_fn fn, void *user);
void walk_free(hub_walk *w); /* NULL is fine */
#endif
