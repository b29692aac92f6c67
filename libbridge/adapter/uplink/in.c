/* adapter/uplink/in.c - from the broker to the hub. */
#include "adapter/uplink/uplink.h"
#include "codec/registry.h"
#include "core/message.h"

int uplink_hops(const uplink *u, const bridge_prop *props, size_t count)
{
    int hops = 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(props[i].name, LINK_HOP) != 0) continue;
        if (strcmp(props[i].value, u->hop) == 0 || ++hops >= UPLINK_HOPS) return BRIDGE_EXISTS;
    }
    return hops;
}

/* Textual fields of MQTT 5 become the hub's, as in adapter/mqtt/message.c. */
static int message_of(uplink *u, const arrival *a, const map_line *l, const char *path, bridge_msg **out)
{
    bool retain = l->retain == BRIDGE_KEEP_ALWAYS || (l->retain == BRIDGE_KEEP_AS_IS && a->retain);
    bridge_fields f = {.size = sizeof f, .path = path, .data = a->data, .len = a->len, .format = BRIDGE_FORMAT_AUTO, .retain = retain};
    int rc;

    f.qos = a->qos < l->qos ? a->qos : l->qos;
    f.time = loop_calendar(port_loop(u->port));
    if (a->has_expiry) f.ttl = a->expiry ? (int64_t)a->expiry * 1000 : 1;
    if (a->content_type) {
        const char *usual;
        f.format = format_of_media_type(text_of(a->content_type));
        usual = format_media_type(f.format);
        f.media_type = usual && strcmp(usual, a->content_type) == 0 ? NULL : a->content_type;
    }
    f.response = a->response;
    f.correlation = a->correlation;
    f.correlation_len = a->correlation_len;
    f.props = a->props;
    f.prop_count = a->prop_count;
    rc = bridge_peer_msg(u->peer, &f, out);
    if (rc == 0 && (a->says_text || a->says_bytes)) (*out)->text_said = a->says_text ? MSG_TEXT_YES : MSG_TEXT_NO;
    return rc;
}

/* The hub has taken it; with a store that is when its batch is on disk. */
static void on_taken(void *user, int status, bridge_msg *reply)
{
    (void)reply;
    link_acknowledge(user, status);
}

static int submit(uplink *u, const map_line *l, bridge_verb verb, bridge_msg *msg, link_ack *ack)
{
    bridge_done_fn done = ack ? on_taken : NULL;

    if (l->routes) return bridge_peer_arrived(u->peer, verb, msg, done, ack, NULL);
    return bridge_peer_submit(u->peer, verb, msg, NULL, NULL, done, ack, NULL);
}

int uplink_submit(uplink *u, const arrival *a, const map_line *l, const char *path, link_ack *ack)
{
    bridge_msg *msg = NULL;
    bridge_verb verb;
    int rc = message_of(u, a, l, path, &msg);

    if (rc == 0) {
        verb = !msg->retain ? BRIDGE_POST : msg->len ? BRIDGE_PUT : BRIDGE_DELETE;
        rc = submit(u, l, verb, msg, ack);
        if (rc == BRIDGE_NOTFOUND && verb == BRIDGE_DELETE) /* nothing to remove; those who listen hear it all the same */
            rc = submit(u, l, BRIDGE_POST, msg, ack);
    }
    if (rc < 0 && rc != BRIDGE_NOTFOUND) {
        u->count.rejected++;
        bridge_port_log(u->port, BRIDGE_LOG_WARN, u->options.name, "%.200s from the broker is refused: %s", path, bridge_status_text(rc));
    }
    bridge_msg_unref(msg);
    return rc;
}

int uplink_receive(uplink *u, const arrival *a, link_ack *ack)
{
    static const map_line by_route = {.qos = 2, .routes = true};
    const map_table *t = &u->options.maps;
    int outcome;

    u->count.received++;
    if (a->prop_count && uplink_hops(u, a->props, a->prop_count) < 0) {
        u->count.loops++;
        return 0;
    }
    if (u->mirror && mirror_heard(u, a, ack, &outcome)) return outcome;
    if (u->version == UPLINK_V311 && !a->retain &&
        echo_heard(&u->echo, a->topic, a->topic_len, a->data, a->len, loop_now(port_loop(u->port)))) {
        u->count.echoes++;
        return 0;
    }
    if (path_check(a->topic, a->topic_len, NULL) < 0) {
        u->count.rejected++;
        return BRIDGE_INVALID;
    }
    for (size_t i = 0; i < t->count; i++) /* no two of them overlap */
        if (!t->lines[i].out && map_name(&t->lines[i], a->topic, a->topic_len, u->name_room) >= 0)
            return uplink_submit(u, a, &t->lines[i], u->name_room, ack);
    return list_empty(&u->wants) ? 0 : uplink_submit(u, a, &by_route, a->topic, ack);
}

/* ---- nothing is connected: is this what would come? */

int uplink_rehearse_in(bridge_port *port, bridge_msg *msg)
{
    uplink *u = bridge_port_state(port);
    const map_table *t = &u->options.maps;
    const bridge_fields *f = bridge_msg_look(msg, BRIDGE_FIELDS());
    const arrival a = {.topic = f->path, .topic_len = msg->path_len, .data = f->data, .len = f->len, .qos = f->qos, .retain = f->retain,
                       .props = f->props, .prop_count = f->prop_count, .content_type = f->media_type};
    bool taken = wants_has(u, a.topic, a.topic_len);
    int rc;

    for (size_t i = 0; i < t->count && !taken; i++)
        taken = !t->lines[i].out && map_name(&t->lines[i], a.topic, a.topic_len, u->name_room) >= 0;
    if (!taken) return BRIDGE_NOTFOUND;
    rc = uplink_receive(u, &a, NULL);
    return rc < 0 && rc != BRIDGE_NOTFOUND ? rc : 0;
}
