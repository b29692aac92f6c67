/* Who and what there is, for people who look: peers, listeners and uplinks, routes. */
#include "hub/port.h"
#include "hub/routes.h"

static bool is_outside(const bridge_peer *peer) /* not the application, not an adapter's own voice */
{
    return peer != peer->port->hub->app && !(peer->flags & BRIDGE_PEER_INSIDE) && !peer->gone;
}

static bool tell_peer(const bridge_peer *peer, roster_peer_fn fn, void *user)
{
    const bridge_adapter *a = peer->port->adapter;
    bool knows = a->size >= offsetof(bridge_adapter, address) + sizeof a->address && a->address;
    char room[128];
    roster_peer row = {.name = peer->origin->text, .scheme = a->scheme, .user = peer->user, .number = peer->number, .since = peer->since,
                       .heard = peer->heard, .told = peer->told, .watches = peer->watch_count, .away = peer->away, .uplink = peer->port->uplink,
                       .address = knows ? a->address(peer->state, room, sizeof room) : peer->origin->text + peer->origin->scheme_len + 1};

    return fn(user, &row);
}

size_t roster_peer_count(const bridge_port *asker)
{
    const bridge_peer *app = asker->hub->app;
    size_t n = 0;

    list_each(at, &asker->hub->ports)
        n += list_of(at, bridge_port, link)->peer_count;
    return n - (app && !(app->flags & BRIDGE_PEER_INSIDE));
}

void roster_peers(bridge_port *asker, size_t skip, roster_peer_fn fn, void *user)
{
    list_each(at, &asker->hub->ports)
    {
        const bridge_port *port = list_of(at, bridge_port, link);
        if (skip >= port->peer_count && port != asker->hub->app_port) { /* none of this one */
            skip -= port->peer_count;
            continue;
        }
        for (const list *it = port->peers.prev; it != &port->peers; it = it->prev) { /* newest first */
            const bridge_peer *peer = list_of(it, bridge_peer, link);
            if (!is_outside(peer)) continue;
            if (skip > 0) skip--;
            else if (!tell_peer(peer, fn, user)) return;
        }
    }
}

static bool ends(const char *name, const char *with)
{
    size_t n = strlen(name), m = strlen(with);

    return n >= m && strcmp(name + n - m, with) == 0;
}

static void look_at(double *at, const char *name, const char *with, double value)
{
    if (ends(name, with)) *at = (*at < 0 ? 0 : *at) + value;
}

/* What an uplink says of itself, whatever it speaks: docs/metrics.md. */
static void on_stat(void *user, const char *name, const char *labels, double value)
{
    roster_port *row = user;

    (void)labels;
    if (ends(name, "_up")) row->up = value > 0;
    look_at(&row->sent, name, "_sent_total", value);
    look_at(&row->received, name, "_received_total", value);
    look_at(&row->waiting, name, "_queued", value);
    look_at(&row->waiting, name, "_waiting", value);
}

void roster_ports(bridge_port *asker, roster_port_fn fn, void *user)
{
    list_each(at, &asker->hub->ports)
    {
        bridge_port *port = list_of(at, bridge_port, link);
        roster_port row = {.name = port->name, .scheme = port->adapter->scheme, .summary = port->adapter->summary, .uplink = port->uplink,
                           .mount = port->url ? url_get(port->url, "mount") : NULL, .closing = port->closing || port->retired, .up = -1, .sent = -1, .received = -1, .waiting = -1};
        if (port->home || port == port->hub->app_port) continue;
        list_each(it, &asker->hub->ports) /* sessions belong to a home port: it is the protocol's number that can be told */
        {
            const bridge_port *other = list_of(it, bridge_port, link);
            if (other->adapter == port->adapter && !port->uplink && !other->uplink) row.peers += other->peer_count;
        }
        if (port->uplink && port->adapter->stats) port->adapter->stats(port, on_stat, &row);
        if (!fn(user, &row)) return;
    }
}

void roster_routes(bridge_port *asker, roster_route_fn fn, void *user)
{
    const hub *h = asker->hub;

    list_each(at, &h->routes->all)
    {
        const route *r = list_of(at, route, link);
        roster_route row = {.label = r->label, .scheme = r->kind == ROUTE_COPY ? NULL : r->scheme == SCHEME_ANY ? "*" : h->schemes[r->scheme],
                            .both_ways = r->back_too, .priority = r->forth.entry.priority, .crossed = r->crossed,
                            .transform = r->does ? transform_text(r->does) : NULL, .format = r->format,
                            .by_hand = route_is_by_hand(r), .number = r->number};
        if (!fn(user, &row)) return;
    }
}
