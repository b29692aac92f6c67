/* A peer that has no room for more says so, and then nothing is accepted that would have to be thrown away there: whoever publishes it at
 * QoS 1 or 2, or by a request, hears BUSY in the words of its own protocol, and may come again.
 *
 * What counts is what the peer watches, and the copies that routes make for it: from the very path, and from each path that routes copy
 * it to at once.  All of that is looked at before any of it is done, so that nobody has what another refuses.  What a window or a merge
 * says later is nobody's publication any more, and is dropped over the limit. */
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

const bridge_peer *full_at(hub *h, const bridge_peer *from, text path, const crossing *came)
{
    search x = {.from = from};

    if (hub_owner(h, path.p, path.len)) return NULL; /* it is a question, which has an answer of its own */
    tree_match(h->tree, path.p, path.len, on_subs, &x);
    return x.full ? x.full : routes_full(h, from, path, came);
}

int full_may(hub *h, const bridge_peer *from, const bridge_msg *msg)
{
    const bridge_peer *full = full_at(h, from, msg_path(msg), NULL);

    if (!full) return 0;
    h->passing = true;
    return hub_over(h, "%.60s has no room for more now", full->origin->text);
}
