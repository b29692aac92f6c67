/* Numbers: docs/metrics.md lists them, and a test holds that list against what comes from here. */
#include "hub/hub.h"
#include "store/store.h"

/* Several listeners of one protocol tell the same numbers: outside they are one number, their sum. */
typedef struct number {
    double value;
    struct number *next;
    const char *labels;
    char text[]; /* name NUL labels NUL */
} number;

typedef struct sums {
    mem *mem;
    map by_text;
    number *first, **last; /* in the order in which they came */
} sums;

static void add(void *user, const char *name, const char *labels, double value)
{
    sums *s = user;
    size_t name_len = strlen(name) + 1, len = name_len + strlen(labels) + 1;
    number *n = mem_alloc(s->mem, sizeof *n + len), *there;

    if (!n) return; /* it is told the next time */
    *n = (number){.value = value, .labels = n->text + name_len};
    memcpy(n->text, name, name_len);
    memcpy(n->text + name_len, labels, len - name_len);
    there = map_get(&s->by_text, n->text, len);
    if (there) there->value += value;
    if (there || map_put(&s->by_text, n->text, len, n, NULL) < 0) {
        mem_free(s->mem, n);
        return;
    }
    *s->last = n;
    s->last = &n->next;
}

static void port_stats(hub *h, bridge_stat_fn fn, void *user)
{
    sums s = {.mem = h->mem, .last = &s.first};

    map_init(&s.by_text, h->mem, h->seed);
    list_each(it, &h->ports)
    {
        bridge_port *p = list_of(it, bridge_port, link);
        if (p->adapter->stats) p->adapter->stats(p, add, &s);
    }
    map_done(&s.by_text);
    for (number *n = s.first, *next; n; n = next) {
        next = n->next;
        fn(user, n->text, n->labels, n->value);
        mem_free(h->mem, n);
    }
}

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
    port_stats(h, fn, user);
}
