/* Routes by hand, while the bridge runs: tried, added, taken away.  Who may is asked by the caller.
 *
 * With a store they last.  Taken away by hand is only what came by hand or from the store: the routes of the config and of the
 * program are theirs, and would be missed there. */
#include "base/status.h"
#include "hub/port.h"
#include "hub/routes.h"

enum { TRY_LOOKS = 2048, TRY_SHOWN = 10 };

int hand_route_add(bridge_port *port, const bridge_route *said, uint64_t *number, bridge_error *err)
{
    hub *h = port->hub;
    bridge_route whole = *said;
    route *made = NULL;
    int rc;

    whole.lasting = h->store != NULL;
    rc = routes_add(h, &whole, &made, err);
    if (rc < 0) return rc;
    made->by_hand = true;
    *number = made->number;
    return 0;
}

static route *numbered(hub *h, uint64_t number)
{
    list_each(at, &h->routes->all)
    {
        route *r = list_of(at, route, link);
        if (r->number == number) return r;
    }
    return NULL;
}

int hand_route_remove(bridge_port *port, uint64_t number)
{
    route *r = numbered(port->hub, number);

    if (!r || !route_is_by_hand(r)) return BRIDGE_NOTFOUND;
    routes_forget(port->hub, r);
    return 0;
}

/* ---- what would it do? */

static const char *scheme_name(const hub *h, const route *r)
{
    return r->scheme == SCHEME_ANY ? "every protocol" : h->schemes[r->scheme];
}

static int tell_kind(hub *h, const route *r, buf *out)
{
    const char *to_far = r->to_far ? far_name(r->to_far) : NULL, *from_far = r->from_far ? far_name(r->from_far) : NULL;

    if (r->kind == ROUTE_NAME)
        return buf_print(out, "%s calls %s by the name %s%s\n", scheme_name(h, r), r->to->text, r->from->text,
                         r->back_too ? ", and is shown it under that name" : "; the name works on the way in only");
    return buf_print(out, "what is published at %s%s%s is copied to %s%s%s%s\n", r->from->text, from_far ? " of uplink " : "",
                     from_far ? from_far : "", r->to_target->text, to_far ? " of uplink " : "", to_far ? to_far : "",
                     r->back_too ? ", and the other way round" : "");
}

/* Among what is kept: which values it would name or copy. */
static int tell_values(bridge_peer *asker, const route *r, buf *out)
{
    hub *h = asker->port->hub;
    bool copies = r->kind == ROUTE_COPY;
    const pattern *of = copies ? r->from : r->to;
    trie_cursor at = tree_values(h->tree, of);
    char room[PATH_BYTES + 1];
    unsigned looks = 0, fit = 0;
    bridge_msg *value;
    int rc = 0;

    while (rc == 0 && looks < TRY_LOOKS && (value = tree_next_value(&at))) {
        looks++;
        if (peer_may(asker, BRIDGE_GET, value->path) < 0 || route_fill(r, copies, of, msg_path(value), room, sizeof room) < 0) continue;
        if (fit++ < TRY_SHOWN) rc = buf_print(out, copies ? "%s would be copied to %s\n" : "%s would be called %s\n", value->path, room);
    }
    tree_leave_values(&at);
    if (rc == 0 && fit > TRY_SHOWN) rc = buf_print(out, "and %u more%s\n", fit - TRY_SHOWN, looks == TRY_LOOKS ? " at least" : "");
    if (rc == 0 && fit == 0) rc = buf_print(out, "nothing that is kept now matches\n");
    return rc;
}

static int tell(bridge_peer *asker, const route *r, buf *out)
{
    hub *h = asker->port->hub;
    bool among_values = !r->from_far && (r->kind == ROUTE_COPY || r->back_too);
    int rc = tell_kind(h, r, out);

    if (rc == 0 && r->does) rc = buf_print(out, "on the way: %s\n", transform_text(r->does));
    if (rc == 0 && r->to_far && !far_is_up(r->to_far)) rc = buf_print(out, "uplink %s is not up\n", far_name(r->to_far));
    if (rc == 0 && among_values) rc = tell_values(asker, r, out);
    return rc == 0 ? buf_print(out, h->store ? "it is kept in the store, and there again at the next start\n" : "it lasts until the bridge ends\n") : rc;
}

int hand_route_try(bridge_peer *asker, const bridge_route *said, buf *out, bridge_error *err)
{
    hub *h = asker->port->hub;
    route *r = NULL;
    int rc = route_read(h, said, &r, err);

    if (rc == 0 && route_there(h, r)) rc = fail(err, BRIDGE_EXISTS, "a route from \"%s\" is already there", said->source);
    if (rc == 0) rc = tell(asker, r, out);
    route_free(h->mem, r);
    return rc;
}
