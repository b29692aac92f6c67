/* For protocols that have messages but no requests of their own: what takes part in a question beside bridge_peer_submit() and
 * bridge_peer_own(). */
#include "hub/hub.h"
#include "hub/port.h"
#include <stdio.h>

bool peer_meets_owner(const bridge_peer *peer, text name)
{
    hub *h = peer->port->hub;
    char path[PATH_BYTES + 1];
    int len = h->tree->owners.count ? routes_path_of(h, peer->scheme, name, path, sizeof path) : 0;
    bridge_owner *o = len > 0 ? hub_owner(h, path, (size_t)len) : NULL;

    return o && o->peer != peer;
}

bool peer_meets_value(const bridge_peer *peer, text name)
{
    hub *h = peer->port->hub;
    char path[PATH_BYTES + 1];
    int len = routes_path_of(h, peer->scheme, name, path, sizeof path);

    return len > 0 && values_get(h, (text){path, (size_t)len}) != NULL;
}

int peer_name_of(const bridge_peer *peer, text path, char *out, size_t room)
{
    hub *h = peer->port->hub;
    int len = routes_has_names(h, peer->scheme) ? routes_name_out(h, peer->scheme, path, out, room) : 0;

    if (len > 0) return len;
    if (path.len >= room) return 0;
    memcpy(out, path.p, path.len);
    out[path.len] = 0;
    return (int)path.len;
}

int peer_may(bridge_peer *peer, bridge_verb verb, const char *name)
{
    return policy_check_name(peer, verb, name);
}

/* Who answers for a filter decides what is read there and takes what is written: it must have the right to write wherever the filter
 * reaches.  In a rule's filter "#" and "+" of ours are segments like others, that only a wildcard matches; so "a/#" is tried as
 * it is, as what it stands for itself, and deeper.  What is refused below it, is refused again with each question. */
int peer_may_own(bridge_peer *peer, const char *filter)
{
    char deeper[PATH_BYTES + 1];
    size_t len = strlen(filter);
    int rc = policy_check_name(peer, BRIDGE_WATCH, filter);

    if (rc == 0) rc = policy_check_name(peer, BRIDGE_PUT, filter);
    if (rc < 0 || len == 0 || filter[len - 1] != '#' || len + 5 > sizeof deeper || policy_is_open(peer)) return rc;
    snprintf(deeper, sizeof deeper, "%s/#", filter);
    rc = policy_check_name(peer, BRIDGE_PUT, deeper);
    snprintf(deeper, sizeof deeper, "%s/#/#", filter);
    return rc == 0 ? policy_check_name(peer, BRIDGE_PUT, deeper) : rc;
}

uint64_t peer_stamp(const bridge_peer *peer)
{
    return ++peer->port->hub->version;
}

int peer_answer(bridge_peer *asker, bridge_msg *msg)
{
    hub *h = asker->port->hub;
    bridge_msg *inner = NULL;
    int rc = routes_give_names(h) ? routes_inward(h, asker, msg, BRIDGE_POST, &inner) : 0;
    bridge_msg *whole = inner ? inner : msg;

    if (rc == 0) rc = policy_check(asker, BRIDGE_POST, whole->path);
    if (rc == 0 && name_is_ours(msg_path(whole))) rc = BRIDGE_DENIED;
    if (rc == 0) rc = hub_cross(h, NULL, BRIDGE_POST, whole, NULL);
    bridge_msg_unref(inner);
    return rc;
}

/* "$reply/<name>/..." is where the answers for one peer go: nobody else may listen there. */
bool exchange_is_anothers(const bridge_peer *peer, const char *filter)
{
    const char *own = peer->origin->text + peer->origin->scheme_len + 1, *room = filter + strlen(HUB_REPLIES);
    size_t len;

    if (strncmp(filter, HUB_REPLIES, strlen(HUB_REPLIES)) != 0 || peer->port == peer->port->hub->app_port) return false;
    len = strcspn(room, "/");
    return len == 0 || strlen(own) != len || memcmp(own, room, len) != 0 || memchr(room, '+', len) || memchr(room, '#', len);
}
