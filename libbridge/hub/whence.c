/* Where a message came from: what a recorder writes down, so that names of protocols and rules of listeners can be tried with it. */
#include "hub/hub.h"

/* What the origin's protocol calls it, in room; NULL: as it is called here. */
static const char *name_there(bridge_peer *peer, const bridge_msg *msg, char *room)
{
    hub *h = peer->port->hub;
    const origin *o = msg->origin;
    int scheme = hub_scheme(h, (text){o->text, o->scheme_len});
    char path[PATH_BYTES + 1];

    if (!routes_give_names(h) || scheme == peer->scheme) return NULL;
    if (routes_path_of(h, peer->scheme, msg_path(msg), path, sizeof path) <= 0) return NULL;
    if (scheme < 0 || !routes_has_names(h, (uint8_t)scheme) || routes_name_out(h, (uint8_t)scheme, text_of(path), room, PATH_BYTES + 1) <= 0)
        memcpy(room, path, strlen(path) + 1);
    return strcmp(room, msg->path) == 0 ? NULL : room;
}

void peer_whence(bridge_peer *peer, const bridge_msg *msg, char room[65536], whence *out)
{
    const origin *o = msg->origin;

    *out = (whence){.copied = msg->hops > 0};
    if (!o) return;
    out->origin = o->text;
    out->user = origin_part(o, o->user);
    out->listener = origin_part(o, o->door);
    if (!out->copied) out->name = name_there(peer, msg, room);
}
