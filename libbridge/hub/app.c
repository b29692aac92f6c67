#include "hub/app.h"
#include "base/status.h"

typedef struct listener_fn {
    bridge_msg_fn fn;
    void *user;
    bridge_watch *watch;
    bool gone;
    list link; /* in hub->dead_listeners */
} listener_fn;

static void deliver(void *state, bridge_msg *msg, const bridge_delivery *how)
{
    listener_fn *l = how->user;

    (void)state;
    if (!l->gone && !how->watch->peer->port->hub->ending) l->fn(l->user, msg);
}

static const char *const no_schemes[] = {NULL};
static const bridge_adapter app_adapter = {
    .size = sizeof(bridge_adapter),
    .scheme = "app",
    .schemes = no_schemes,
    .summary = "the application itself",
    .deliver = deliver,
};

int app_open(hub *h)
{
    h->app_port = port_new(h, &app_adapter);
    if (!h->app_port) return BRIDGE_NOMEM;
    return bridge_peer_new(&h->app, h->app_port, "", NULL, 0, NULL);
}

void app_close(hub *h)
{
    bridge_peer_free(h->app);
    h->app = NULL;
    port_destroy(h->app_port);
    h->app_port = NULL;
}

int app_watch(hub *h, const char *filter, bridge_msg_fn fn, void *user, void **out, bridge_error *err)
{
    bridge_watch_options options = {.qos = 2, .names = true};
    listener_fn *l = mem_new(h->mem, listener_fn);
    int rc;

    if (!l) return fail_nomem(err);
    l->fn = fn;
    l->user = user;
    *out = l; /* before kept values come: a callback may close its slot at once */
    rc = bridge_peer_watch(h->app, filter, &options, l, &l->watch);
    if (rc == 0) return 0;
    mem_free(h->mem, l);
    if (rc != BRIDGE_SYNTAX) return fail(err, rc, "%s", bridge_status_text(rc));
    {
        pattern_room room;
        pattern p;
        pattern_read(&p, &room, filter, strlen(filter), PATTERN_FULL, err); /* for its sentence */
    }
    if (err) err->status = rc;
    return rc;
}

void app_unwatch(hub *h, void *watch)
{
    listener_fn *l = watch;

    l->gone = true;
    bridge_watch_close(l->watch);
    if (h->depth == 0)
        mem_free(h->mem, l);
    else
        list_push(&h->dead_listeners, &l->link), h->deaths = true;
}

void app_bury(hub *h)
{
    list *it;

    while ((it = list_pop(&h->dead_listeners)))
        mem_free(h->mem, list_of(it, listener_fn, link));
}
