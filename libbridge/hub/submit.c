/* The way in.  Every message and every question from any protocol comes through bridge_peer_submit(), and does this, in order:
 *   1. the name its protocol has for it becomes the canonical path      routes.c
 *   2. may this peer do that there?                                     policy.c
 *      and is there room for it?                                        keep.c, full.c
 *   3. somebody may own the path: then it is a question to the owner    request.c
 *   4. else the value is read, kept or removed                          values.c
 *   5. who watches is told                                              fanout.c
 *   6. routes that copy carry it on, to 3. again                        routes.c
 *   7. who was promised something waits until it is on disk             keep.c */
#include "hub/history.h"

static bool among(uint64_t version, const uint64_t *versions, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (versions[i] == version) return true;
    return false;
}

/* RFC 7252 5.10.8, RFC 9110 13.1: does what is there allow a change? */
int hub_check_terms(hub *h, text path, const bridge_terms *terms)
{
    const bridge_msg *there;

    if (!(terms->if_match_count || terms->if_exists || terms->if_absent)) return 0;
    there = values_get(h, path);
    if (terms->if_absent && there) return BRIDGE_PRECONDITION;
    if (terms->if_exists && !there) return BRIDGE_PRECONDITION;
    if (terms->if_match_count && (!there || !among(there->version, terms->if_match, terms->if_match_count)))
        return BRIDGE_PRECONDITION;
    return 0;
}

/* From here on the message is one of ours: it has a version, and a verb.  One that was accepted before (an application may
 * publish it twice) is copied first, because others may be looking at it: then *copy is it. */
static int stamp(hub *h, bridge_msg *msg, bridge_verb verb, bridge_msg **copy)
{
    int rc = msg->version ? msg_renamed(msg, msg_path(msg), copy) : 0;

    if (rc < 0) return rc;
    if (*copy) msg = *copy;
    msg->version = ++h->version;
    msg->verb = (uint8_t)verb;
    return 0;
}

static int keep(hub *h, bridge_verb verb, bridge_msg *msg, bool *created)
{
    if (verb == BRIDGE_PUT) return values_put(h, msg, created);
    if (verb == BRIDGE_DELETE) return values_remove(h, msg_path(msg)) ? 0 : BRIDGE_NOTFOUND;
    return 0;
}

int hub_accept(hub *h, bridge_peer *from, bridge_verb verb, bridge_msg *msg, const bridge_terms *terms, const crossing *came)
{
    bridge_msg *copy = NULL;
    bool created = false;
    unsigned told = 0;
    int rc = terms ? hub_check_terms(h, msg_path(msg), terms) : 0;

    if (rc == 0) rc = stamp(h, msg, verb, &copy);
    if (rc < 0) return rc;
    if (copy) msg = copy;
    rc = keep(h, verb, msg, &created);
    if (rc == 0) {
        if (h->history && verb != BRIDGE_DELETE) history_record(h, msg);
        h->count.accepted++;
        hub_enter(h);
        told = hub_fanout(h, from, msg, verb == BRIDGE_DELETE);
        routes_copy(h, from, msg, verb, came);
        hub_leave(h);
    }
    bridge_msg_unref(copy);
    if (rc < 0) return rc;
    if (created) return BRIDGE_CREATED;
    return told == 0 && verb == BRIDGE_POST ? BRIDGE_UNHEARD : BRIDGE_OK;
}

int hub_cross(hub *h, bridge_peer *from, bridge_verb verb, bridge_msg *msg, const crossing *came)
{
    bridge_owner *owner = hub_owner(h, msg->path, msg->path_len);

    if (owner && h->ending && owner->peer == h->app) return BRIDGE_NOTFOUND;
    if (owner) return hub_ask(from ? from : h->app, owner, verb, msg, msg->path, NULL, NULL, NULL, NULL, NULL);
    return hub_accept(h, from, verb, msg, NULL, came);
}

static int read_value(hub *h, bridge_peer *peer, bridge_msg *msg, const char *asked, const bridge_terms *terms, bridge_msg **reply)
{
    bridge_msg *value = values_get(h, msg_path(msg));

    if (!value) return BRIDGE_NOTFOUND;
    life_use(h, value);
    if (terms && among(value->version, terms->unless, terms->unless_count)) return BRIDGE_VALID;
    if (!reply) return BRIDGE_OK;
    if (msg->len) return hub_fetch(h, value, msg, terms && terms->accept ? (bridge_format)(terms->accept - 1) : BRIDGE_FORMAT_AUTO, reply);
    if (strcmp(asked, value->path) != 0) return routes_as_asked(h, peer, msg, asked, value, reply);
    *reply = bridge_msg_ref(value);
    return BRIDGE_OK;
}

/* What an owner says of its own resource does not come back to it as a question.  The application both asks (with done) and says. */
static bool is_news(const bridge_owner *owner, const bridge_peer *peer, bridge_done_fn done)
{
    return owner->peer == peer && !(done && peer == peer->port->hub->app);
}

/* An answer, or news, of the owner that says how long it is good, and still is (RFC 7252 5.6.1, RFC 9111 4.2). */
static bool is_fresh(hub *h, const bridge_msg *question, const bridge_terms *terms)
{
    bool special = question->len || (terms && (terms->query || terms->accept == 1 + BRIDGE_LINKS));
    const bridge_msg *value = special ? NULL : values_get(h, msg_path(question));

    return value && value->expires != INT64_MAX;
}

/* Is there room for it, on disk and with those who would be told?  After the rules: who may not do it hears nothing of that. */
static int has_room(hub *h, bridge_peer *peer, bridge_verb verb, const bridge_msg *msg)
{
    int rc = h->store ? keep_may(peer, verb, msg) : 0;

    return rc == 0 && !list_empty(&h->full) && msg->qos && verb != BRIDGE_GET ? full_may(h, peer, msg) : rc;
}

static int submit(bridge_peer *peer, bridge_verb verb, bridge_msg *msg, const char *asked, const bridge_terms *terms,
                  bridge_msg **reply, bridge_done_fn done, void *user, bridge_ticket **out)
{
    hub *h = peer->port->hub;
    bridge_owner *owner;
    bool news;
    int rc;

    owner = hub_owner(h, msg->path, msg->path_len);
    news = owner && is_news(owner, peer, done);
    /* An adapter's own peer may say what is there, whatever the rules for those who come in. */
    rc = (news && peer->flags & BRIDGE_PEER_CANONICAL) || policy_is_open(peer) ? 0 : policy_check(peer, verb, msg->path);
    if (rc < 0) return rc;
    if (msg->path[0] == '$' && verb != BRIDGE_GET && peer != h->app && name_is_ours(msg_path(msg))) return BRIDGE_DENIED;
    if (msg->path[0] == '$' && verb != BRIDGE_POST && peer != h->app && strncmp(msg->path, HUB_REPLIES, strlen(HUB_REPLIES)) == 0)
        return verb == BRIDGE_GET || verb == BRIDGE_DELETE ? BRIDGE_NOTFOUND : BRIDGE_DENIED; /* nothing is kept where answers go */
    rc = has_room(h, peer, verb, msg);
    if (rc < 0) return rc;
    if (owner && !news && !(verb == BRIDGE_GET && is_fresh(h, msg, terms)))
        return hub_ask(peer, owner, verb, msg, asked, terms, reply, done, user, out);
    switch (verb) {
    case BRIDGE_GET: return read_value(h, peer, msg, asked, terms, reply);
    case BRIDGE_PUT:
    case BRIDGE_POST:
    case BRIDGE_DELETE: return hub_accept(h, peer, verb, msg, terms, NULL);
    case BRIDGE_PATCH: return hub_patch(h, peer, msg, terms);
    default: return BRIDGE_METHOD;
    }
}

int bridge_peer_submit(bridge_peer *peer, bridge_verb verb, bridge_msg *msg, const bridge_terms *terms, bridge_msg **reply,
                       bridge_done_fn done, void *user, bridge_ticket **out)
{
    hub *h = peer->port->hub;
    bridge_msg *inner = NULL;
    uint64_t said = h->store ? h->store->said : 0;
    int rc;

    h->count.requests++;
    h->why[0] = 0;
    h->passing = false;
    peer->heard++;
    if (msg->len > h->limits.max_message) {
        h->count.refused++;
        return hub_too_big(h, msg->len);
    }
    if (mem_is_short(h->mem) && verb != BRIDGE_GET && verb != BRIDGE_DELETE && peer != h->app) {
        h->count.refused++;
        return hub_short(h);
    }
    rc = routes_give_names(h) && !(peer->flags & BRIDGE_PEER_CANONICAL) ? routes_inward(h, peer, msg, verb, &inner) : 0;
    hub_enter(h); /* the peer may go meanwhile */
    if (rc == 0) rc = submit(peer, verb, inner ? inner : msg, msg->path, terms, reply, done, user, out);
    if (h->store && h->store->said != said && done && rc >= 0 && rc != BRIDGE_PENDING && verb != BRIDGE_GET && !peer->gone)
        rc = keep_promise(peer, inner ? inner : msg, rc, done, user, out);
    hub_leave(h);
    if (inner && rc >= 0 && (verb == BRIDGE_PUT || verb == BRIDGE_PATCH)) msg->version = inner->version; /* as without another name */
    if (inner) bridge_msg_unref(inner);
    if (rc < 0) h->count.refused++;
    return rc;
}
