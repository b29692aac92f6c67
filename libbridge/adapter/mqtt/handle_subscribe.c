/* adapter/mqtt/handle_subscribe.c - SUBSCRIBE and UNSUBSCRIBE [5: 3.8 to 3.11]. */
#include "adapter/mqtt/persist.h"
#include "base/clock.h"
#include "hub/port.h"

static int put_text(buf *b, wire_slice s)
{
    int rc = buf_put(b, s.p, s.len);
    return rc < 0 ? rc : buf_put_u8(b, 0);
}

/* The filter, and the group if it is shared, as C strings in scratch. */
static int spell(mqtt_client *c, wire_slice whole, const char **filter, const char **group)
{
    buf *b = &c->port->shared->scratch;
    wire_slice g, f = whole;
    bool shared = wire_share(whole, &g, &f) > 0;
    if (!shared) f = whole;
    buf_clear(b);
    int rc = put_text(b, f);
    if (rc == 0 && shared) rc = put_text(b, g);
    *filter = (const char *)b->data;
    *group = shared ? *filter + f.len + 1 : NULL;
    return rc;
}

static uint8_t code_of(int status, unsigned version)
{
    if (version != WIRE_V5) return 0x80;
    switch (status) {
    case BRIDGE_DENIED:
    case BRIDGE_UNAUTHENTICATED: return WIRE_NOT_AUTHORIZED;
    case BRIDGE_SYNTAX:
    case BRIDGE_INVALID:
    case BRIDGE_TOOBIG: return WIRE_BAD_FILTER;
    case BRIDGE_BUSY: return WIRE_QUOTA;
    case BRIDGE_EXISTS:
    case BRIDGE_UNSUPPORTED: return WIRE_IMPLEMENTATION;
    default: return WIRE_UNSPECIFIED;
    }
}

static uint8_t refused(mqtt_client *c, int rc)
{
    if (rc == BRIDGE_EXISTS) mqtt_say(c, "another client answers for this already");
    if (!mqtt_is_over(c, rc)) mqtt_say(c, "%s", bridge_status_text(rc));
    return code_of(rc, c->version);
}

/* Is there room for one more?  The same filter again only replaces what is there [5: 3.8.4-3]. */
static int has_room(mqtt_client *c, const char *filter, const char *group)
{
    mqtt_session *s = c->session;
    uint64_t most = c->port->limits.max_subscriptions;
    if (peer_watches(s->peer) + s->responder_count < most || peer_watches_at(s->peer, filter, group)) return 0;
    mqtt_say(c, "%llu subscriptions at most", (unsigned long long)most);
    return BRIDGE_BUSY;
}

static uint8_t subscribe_one(mqtt_client *c, const wire_packet *p, const wire_filter *f)
{
    mqtt_session *s = c->session;
    const char *filter, *group;
    char *before = c->why;
    unsigned qos = f->qos < c->port->limits.max_qos ? f->qos : (unsigned)c->port->limits.max_qos;
    int rc = spell(c, f->text, &filter, &group);
    c->why = NULL; /* what is told in the end is of the last that is refused */
    bridge_watch_options options = {
        .qos = (uint8_t)qos,
        .no_local = f->no_local || c->bridge,
        .keep_retain = f->keep_retain || c->bridge,
        .replay = f->retain_handling,
        .id = p->props.has & WIRE_HAS_SUBSCRIPTION_ID ? p->props.subscription_id : 0,
        .group = group,
    };
    if (rc == 0 && !mqtt_topic_fits(c, filter, strlen(filter))) rc = BRIDGE_INVALID;
    if (rc == 0) rc = has_room(c, filter, group);
    if (rc == 0 && mqtt_persists(s)) rc = bridge_store_ready(s->shared->store);
    if (rc == 0 && mqtt_says_yes(p, "responder")) {
        rc = group ? BRIDGE_UNSUPPORTED : mqtt_respond(s, filter, (uint8_t)qos);
        if (rc == 0) mqtt_persist_responder(s, filter, (uint8_t)qos);
    } else if (rc == 0) {
        rc = bridge_peer_watch(s->peer, filter, &options, group ? s : NULL, NULL); /* user: is it shared? */
        if (rc == 0) mqtt_persist_subscribe(s, filter, &options);
    }
    if (rc >= 0) {
        mqtt_hush(c);
        c->why = before;
        return (uint8_t)qos;
    }
    mem_free(c->port->shared->mem, before);
    return refused(c, rc);
}

static uint8_t unsubscribe_one(mqtt_client *c, const wire_filter *f)
{
    const char *filter, *group;
    int rc = spell(c, f->text, &filter, &group);
    bool answered = rc == 0 && !group && mqtt_respond_no_more(c->session, filter);
    if (answered) mqtt_persist_responder_not(c->session, filter);
    if (rc == 0) rc = bridge_peer_unwatch(c->session->peer, filter, group);
    if (rc == 0) mqtt_persist_unsubscribe(c->session, filter, group);
    if (rc == BRIDGE_NOTFOUND && answered) rc = 0;
    return rc == BRIDGE_NOTFOUND ? WIRE_NO_SUBSCRIPTION : rc < 0 ? WIRE_UNSPECIFIED : WIRE_SUCCESS;
}

enum { TURN = 20 }; /* ms that the subscriptions of one client may take before others have their turn */

/* As many filters as fit into the client's turn, from where it stopped before: are all done? */
static bool go_on(mqtt_client *c, const wire_packet *p, wire_type type)
{
    wire_slice rest = p->list.entries;
    wire_filter f;
    if (!c->turn) c->turn = clock_monotonic();
    for (uint32_t i = 0; c->state == MQTT_ONLINE && i < p->list.count && wire_next_filter(p, &rest, &f); ++i) {
        if (i < c->codes_done) continue;
        c->codes[c->codes_done++] = type == WIRE_SUBACK ? subscribe_one(c, p, &f) : unsubscribe_one(c, &f);
        if (clock_monotonic() - c->turn < TURN) continue;
        mqtt_client_rest(c); /* kept values of '#' take a while, and a packet has room for a quarter of a million of them */
        if (c->resting && i + 1 < p->list.count) return false;
    }
    return true;
}

/* The answer goes first, then what the subscriptions made us send: c->corked holds that back. */
static int answer(mqtt_client *c, const wire_packet *p, wire_type type)
{
    wire_packet ack = {.type = (uint8_t)type, .version = c->version, .id = p->id};
    mem *m = c->port->shared->mem;
    if (!c->codes && !(c->codes = mem_alloc(m, p->list.count))) return WIRE_UNSPECIFIED;
    c->corked = true;
    if (!c->codes_done) mqtt_hush(c);
    if (!go_on(c, p, type)) return 0;
    ack.list.entries = (wire_slice){c->codes, c->codes_done}; /* [5: 3.8.4-6, 3.11.3-1] one for each, in order */
    mqtt_explain(c, &ack, c->why);
    if (c->state == MQTT_ONLINE && wire_measure(&ack) > c->max_packet)
        mqtt_kick(c, WIRE_TOO_LARGE, "the answer is larger than the client takes"); /* [5: 3.1.2-24] */
    if (c->state == MQTT_ONLINE) mqtt_persist_send_packet(c->session, &ack);
    c->corked = false;
    mqtt_hush(c);
    mem_free(m, c->codes);
    c->codes = NULL;
    c->codes_done = 0;
    if (c->session) mqtt_queue_pump(c->session);
    return 0;
}

int mqtt_handle_subscribe(mqtt_client *c, const wire_packet *p)
{
    return answer(c, p, WIRE_SUBACK);
}

int mqtt_handle_unsubscribe(mqtt_client *c, const wire_packet *p)
{
    return answer(c, p, WIRE_UNSUBACK);
}
