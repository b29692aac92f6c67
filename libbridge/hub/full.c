/* A peer that has no room for more says so, and then nothing is accepted that would have to be thrown away there: whoever publishes it at
 * QoS 1 or 2, or by a request, hears BUSY in the words of its own protocol, and may come again.
 *
 * What counts is what the peer watches, and the copies that routes make for it from the very path.  A message that reaches it over
 * several routes is not held back: the first of them would have to know all the others. */
#include "hub/hub.h"
#include "hub/routes.h"

typedef struct search {
    const bridge_peer *from, *full;
} search;

void bridge_peer_full(bridge_peer *peer, bool full)
{
    if (peer->gone || full == !list_empty(&peer->full)) return;
    if (full) list_push(&peer->port->hub->full, &peer->full);
    else list_remove(&peer->full);
}

static void on_subs(void *user, sub *const *subs, size_t count, sub_group *group)
{
    search *x = user;

    for (size_t i = 0; i < count && !group && !x->full; i++) {
        const bridge_watch *w = (const bridge_watch *)subs[i];
        if (w->qos && w->peer != x->from && !list_empty(&w->peer->full)) x->full = w->peer;
    }
}

int full_may(hub *h, const bridge_peer *from, const bridge_msg *msg)
{
    search x = {.from = from};

    tree_match(h->tree, msg->path, msg->path_len, on_subs, &x);
    if (!x.full) x.full = routes_full(h, from, msg_path(msg));
    if (!x.full) return 0;
    h->passing = true;
    return hub_over(h, "%.60s has no room for more now", x.full->origin->text);
}
