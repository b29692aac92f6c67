/* adapter/uplink/wants.c - topics of the broker that routes of the bridge want ("uplink.NAME:commands/{c} -> commands/{c}").
 *
 * They are subscribed to beside the `in` maps, and, as those, must not overlap with others: two routes may want the very same filter, which
 * is then one subscription. */
#include "adapter/uplink/uplink.h"
#include "base/status.h"

typedef struct want {
    list link;
    pattern *pattern;
    unsigned routes;
    uint8_t qos;
    char filter[];
} want;

static want *find(const uplink *u, const char *filter)
{
    list_each(it, &u->wants)
        if (strcmp(list_of(it, want, link)->filter, filter) == 0) return list_of(it, want, link);
    return NULL;
}

static int clash(const char *filter, const char *with, bridge_error *err)
{
    return fail(err, BRIDGE_INVALID, "\"%.60s\" and \"%.60s\" both take some topics of the broker: let only one of them", filter, with);
}

static int check(const uplink *u, const pattern *p, bridge_error *err)
{
    for (size_t i = 0; i < u->options.maps.count; i++) {
        const map_line *l = &u->options.maps.lines[i];
        if (!l->out && pattern_overlaps(l->source, p)) return clash(p->text, l->source->text, err);
    }
    list_each(it, &u->wants)
        if (pattern_overlaps(list_of(it, want, link)->pattern, p)) return clash(p->text, list_of(it, want, link)->filter, err);
    return 0;
}

static int want_new(uplink *u, const char *filter, want **out, bridge_error *err)
{
    size_t len = strlen(filter);
    want *w = mem_alloc(u->mem, sizeof *w + len + 1);
    int rc = w ? 0 : fail_nomem(err);

    if (rc < 0) return rc;
    *w = (want){.routes = 0};
    memcpy(w->filter, filter, len + 1);
    rc = pattern_new(u->mem, &w->pattern, filter, len, PATTERN_FILTER, err);
    if (rc == 0) rc = check(u, w->pattern, err);
    if (rc == 0) {
        list_push(&u->wants, &w->link);
        *out = w;
        return 0;
    }
    mem_free(u->mem, w->pattern);
    mem_free(u->mem, w);
    return rc;
}

static void want_free(uplink *u, want *w)
{
    list_remove(&w->link);
    mem_free(u->mem, w->pattern);
    mem_free(u->mem, w);
}

static void give_up(uplink *u, want *w)
{
    if (u->state == UPLINK_UP) link_unsubscribe(u->link, w->filter);
    want_free(u, w);
}

int uplink_want(bridge_port *port, const char *filter, uint8_t qos, bool wanted, bridge_error *err)
{
    uplink *u = bridge_port_state(port);
    want *w = find(u, filter);
    int rc;

    if (!wanted) {
        if (w && --w->routes == 0) give_up(u, w);
        return 0;
    }
    if (!w && (rc = want_new(u, filter, &w, err)) < 0) return rc;
    w->routes++;
    if (qos > w->qos) w->qos = qos;
    if (u->state == UPLINK_UP) link_subscribe(u->link, w->filter, w->qos, false, false); /* also again: the new route hears what is kept there */
    return 0;
}

unsigned wants_ask(uplink *u, bool quiet)
{
    unsigned n = 0;

    list_each(it, &u->wants)
    {
        const want *w = list_of(it, want, link);
        if (link_subscribe(u->link, w->filter, w->qos, quiet, true) == 0) n++;
    }
    return n;
}

bool wants_has(const uplink *u, const char *topic, size_t len)
{
    list_each(it, &u->wants)
        if (pattern_match(list_of(it, want, link)->pattern, topic, len, NULL)) return true;
    return false;
}

void wants_free(uplink *u)
{
    while (u->wants.next && !list_empty(&u->wants)) want_free(u, list_of(u->wants.next, want, link));
}
