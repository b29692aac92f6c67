/* Numbers: docs/metrics.md lists them, and a test holds that list against what comes from here. */
#include "hub/hub.h"
#include "store/store.h"

void hub_stats(hub *h, bridge_stat_fn fn, void *user)
{
    const counters *c = &h->count;
    tree_stats t = tree_count(h->tree);
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"bridge_hub_accepted_total", (double)c->accepted},
        {"bridge_hub_refused_total", (double)c->refused},
        {"bridge_hub_denied_total", (double)c->denied},
        {"bridge_hub_delivered_total", (double)c->delivered},
        {"bridge_hub_requests_total", (double)c->requests},
        {"bridge_hub_timeouts_total", (double)c->timeouts},
        {"bridge_hub_expired_total", (double)c->expired},
        {"bridge_hub_values_refused_total", (double)c->dropped_values},
        {"bridge_hub_logins_total", (double)c->logins},
        {"bridge_hub_logins_refused_total", (double)c->logins_refused},
        {"bridge_routes_crossed_total", (double)c->crossed},
        {"bridge_routes_loops_total", (double)c->dropped_loops},
        {"bridge_routes", (double)routes_count(h)},
        {"bridge_hub_values", (double)h->value_count},
        {"bridge_hub_value_bytes", (double)h->value_bytes},
        {"bridge_hub_watches", (double)h->watch_count},
        {"bridge_hub_peers", (double)h->peer_count},
        {"bridge_hub_ports", (double)h->port_count},
        {"bridge_hub_calls_waiting", (double)h->calls},
        {"bridge_hub_tree_bytes", (double)t.bytes},
        {"bridge_hub_memory_bytes", (double)atomic_load(&h->mem->used)},
        {"bridge_hub_tree_nodes", (double)t.nodes},
    };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        fn(user, numbers[i].name, "", numbers[i].value);
    routes_stats(h, fn, user);
    life_stats(h, fn, user);
    store_stats(h->store, fn, user);
    list_each(it, &h->ports)
    {
        bridge_port *p = list_of(it, bridge_port, link);
        if (p->adapter->stats) p->adapter->stats(p, fn, user);
    }
}
