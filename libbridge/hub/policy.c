/* Who may do what: the application's functions are asked first, newest first; then the files of the listener, or the bridge's. */
#include "auth/auth.h"
#include "hub/hub.h"
#include "hub/port.h"

typedef struct policy {
    list link;
    bridge_policy_fn fn;
    bridge_credential_fn keys; /* or this; then it is in the set's `keys` */
    void *user;
    bool gone;
} policy;

struct policy_set {
    list all, keys, dead;
};

int policies_new(hub *h)
{
    h->policies = mem_new(h->mem, struct policy_set);
    if (!h->policies) return BRIDGE_NOMEM;
    list_init(&h->policies->all);
    list_init(&h->policies->keys);
    list_init(&h->policies->dead);
    return 0;
}

void policies_bury(hub *h)
{
    list *it;

    while (h->policies && (it = list_pop(&h->policies->dead)))
        mem_free(h->mem, list_of(it, policy, link));
}

void policies_free(hub *h)
{
    if (!h->policies) return;
    while (!list_empty(&h->policies->all))
        policy_remove(h, list_of(h->policies->all.next, policy, link));
    while (!list_empty(&h->policies->keys))
        policy_remove(h, list_of(h->policies->keys.next, policy, link));
    policies_bury(h);
    mem_free(h->mem, h->policies);
    h->policies = NULL;
}

int policy_add(hub *h, bridge_policy_fn fn, void *user, void **out)
{
    policy *p = mem_new(h->mem, policy);

    if (!p) return BRIDGE_NOMEM;
    p->fn = fn;
    p->user = user;
    list_push_front(&h->policies->all, &p->link);
    h->policy_count++;
    *out = p;
    return 0;
}

void policy_remove(hub *h, void *which)
{
    policy *p = which;

    p->gone = true;
    if (p->fn) h->policy_count--;
    list_remove(&p->link);
    list_push(&h->policies->dead, &p->link);
    hub_mourn(h);
}

/* ---- keys and certificates */

int policy_add_keys(hub *h, bridge_credential_fn fn, void *user, void **out)
{
    policy *p = mem_new(h->mem, policy);

    if (!p) return BRIDGE_NOMEM;
    p->keys = fn;
    p->user = user;
    list_push_front(&h->policies->keys, &p->link);
    *out = p;
    return 0;
}

bridge_verdict bridge_port_credential(void *port, bridge_credential *c)
{
    bridge_port *door = port;
    hub *h = door->hub;
    bridge_verdict v = BRIDGE_DEFER;

    c->listener = door->name ? door->name : "";
    hub_enter(h);
    list_each_safe(it, &h->policies->keys)
    {
        policy *p = list_of(it, policy, link);
        v = p->keys(p->user, c);
        if (v != BRIDGE_DEFER || p->gone) break;
    }
    hub_leave(h);
    return v;
}

void policies_recheck(hub *h, const char *identity)
{
    hub_enter(h);
    list_each_safe(it, &h->ports)
    {
        bridge_port *p = list_of(it, bridge_port, link);
        const bridge_adapter *a = p->adapter;

        if (!p->url || p->closing || p->uplink || a->size < offsetof(bridge_adapter, recheck) + sizeof a->recheck || !a->recheck) continue;
        a->recheck(p, identity);
    }
    hub_leave(h);
}

/* ---- asking */

static bridge_verdict ask_application(hub *h, const bridge_ask *ask)
{
    bridge_verdict v = BRIDGE_DEFER;

    if (list_empty(&h->policies->all)) return v;
    hub_enter(h); /* whoever is asked may go away meanwhile */
    list_each_safe(it, &h->policies->all)
    {
        policy *p = list_of(it, policy, link);
        v = p->fn(p->user, ask);
        if (v != BRIDGE_DEFER || p->gone) break;
    }
    hub_leave(h);
    return v;
}

static int refuse(hub *h, const char *user)
{
    h->count.denied++;
    return user ? BRIDGE_DENIED : BRIDGE_UNAUTHENTICATED;
}

/* A listener's own file stands in for the bridge's file of the same kind. */
static bridge_verdict ask_files(const bridge_peer *peer, bridge_verb verb, const char *path)
{
    const char *client = peer->origin->text + peer->origin->scheme_len + 1;
    const hub *h = peer->port->hub;
    bridge_verdict v = peer->auth ? auth_allows(peer->auth, peer->user, client, verb, path) : BRIDGE_DEFER;

    return v == BRIDGE_DEFER && h->auth ? auth_allows(h->auth, peer->user, client, verb, path) : v;
}

static int check(bridge_peer *peer, bridge_verb verb, const char *path, bool files_know_it)
{
    hub *h = peer->port->hub;
    bridge_ask ask = {.size = sizeof ask, .verb = verb, .who = peer->origin->text, .user = peer->user, .path = path};
    bridge_verdict v = ask_application(h, &ask);

    if (v == BRIDGE_DEFER && files_know_it) v = ask_files(peer, verb, path);
    return v == BRIDGE_DENY ? refuse(h, peer->user) : 0;
}

int policy_check(bridge_peer *peer, bridge_verb verb, const char *path)
{
    return policy_is_open(peer) ? 0 : check(peer, verb, path, true);
}

/* Rules are about canonical paths.  A wildcard under which a protocol has names of its own cannot be put into one path: then
 * each delivery alone decides. */
int policy_check_name(bridge_peer *peer, bridge_verb verb, const char *name)
{
    hub *h = peer->port->hub;
    char path[PATH_BYTES + 1];
    int len;

    if (policy_is_open(peer)) return 0;
    if (!routes_has_names(h, peer->scheme)) return check(peer, verb, name, true);
    if (verb == BRIDGE_WATCH && strpbrk(name, "+#{")) return check(peer, verb, name, false);
    len = routes_path_in(h, peer->scheme, text_of(name), path, sizeof path);
    return check(peer, verb, len > 0 ? path : name, true);
}

/* The listener that is meant: by its URL, or the only one of a protocol.  False: there is none of this name. */
static bool find_door(hub *h, const char *called, int scheme, const bridge_port **out)
{
    size_t len = called ? strcspn(called, "?") : 0;
    unsigned count = 0;

    *out = NULL;
    list_each(it, &h->ports)
    {
        const bridge_port *p = list_of(it, bridge_port, link);
        if (!p->url || p->uplink || p->closing || p->retired) continue;
        if (called ? strlen(p->name) != len || memcmp(p->name, called, len) != 0 : p->scheme != scheme) continue;
        *out = p;
        count++;
    }
    if (!called && count > 1) *out = NULL;
    return !called || count;
}

/* As policy_check() and ask_files() for a peer that is there. */
int policy_would(hub *h, const bridge_ask *said)
{
    const char *called = said->size >= sizeof *said ? said->listener : NULL, *client;
    const bridge_port *door;
    bridge_ask ask = {.size = sizeof ask, .verb = said->verb, .who = said->who ? said->who : "app:nobody", .user = said->user, .path = said->path};
    size_t n = strcspn(ask.who, ":");
    int scheme = hub_scheme(h, (text){ask.who, n});
    char path[PATH_BYTES + 1];
    bridge_verdict v;

    if (!find_door(h, called, scheme, &door)) return BRIDGE_NOTFOUND;
    client = ask.who[n] ? ask.who + n + 1 : "";
    if (scheme >= 0 && routes_path_of(h, (uint8_t)scheme, text_of(said->path), path, sizeof path) > 0) ask.path = path;
    v = ask_application(h, &ask);
    if (v == BRIDGE_DEFER && door && door->deny_anonymous && !ask.user) v = BRIDGE_DENY;
    if (v == BRIDGE_DEFER && door && door->auth) v = auth_allows(door->auth, ask.user, client, ask.verb, ask.path);
    if (v == BRIDGE_DEFER && h->auth) v = auth_allows(h->auth, ask.user, client, ask.verb, ask.path);
    return v != BRIDGE_DENY ? 0 : ask.user ? BRIDGE_DENIED : BRIDGE_UNAUTHENTICATED;
}

/* ---- logging in */

static struct auth *passwords_of(const bridge_port *port)
{
    if (auth_has_passwords(port->auth)) return port->auth;
    return auth_has_passwords(port->hub->auth) ? port->hub->auth : NULL;
}

int bridge_ask_reply(const bridge_ask *ask, const void *data, size_t len)
{
    buf *b = ask->size >= offsetof(bridge_ask, reply) + sizeof ask->reply ? ask->reply : NULL;

    if (!b || (len && !data)) return BRIDGE_INVALID;
    buf_clear(b);
    return buf_put(b, data, len);
}

/* The application's word is final.  Else a name must be proved when there is a password file; without one it is not believed.
 * What TLS has proved is a name as well, for who says no other. */
int policy_login(bridge_port *port, bridge_ask *ask)
{
    struct auth *rules = passwords_of(port);
    bool proven = false;
    int rc = 0;

    ask->verb = BRIDGE_CONNECT;
    switch (ask_application(port->hub, ask)) {
    case BRIDGE_ALLOW:
        if (!ask->user) ask->user = ask->certified;
        return 0;
    case BRIDGE_DENY: return ask->secret || ask->user ? BRIDGE_DENIED : BRIDGE_UNAUTHENTICATED;
    case BRIDGE_CHALLENGE: return ask->method ? BRIDGE_PENDING : BRIDGE_DENIED;
    case BRIDGE_DEFER: break;
    }
    if (ask->method) return BRIDGE_UNSUPPORTED; /* only an application knows methods */
    if (ask->certified && (!ask->user || !rules)) {
        ask->user = ask->certified;
        return 0;
    }
    if (rules && (ask->user || !port->open_to_all)) rc = auth_login(rules, ask->user, ask->secret, ask->secret_len, &proven);
    if (rc == 0 && !proven) ask->user = NULL;
    return rc == 0 && !proven && port->deny_anonymous ? BRIDGE_UNAUTHENTICATED : rc;
}

/* ---- files that have changed */

int rules_stage(hub *h, bridge_error *err)
{
    int rc = 0;

    list_each(it, &h->ports)
    {
        bridge_port *p = list_of(it, bridge_port, link);
        if (rc == 0 && p->auth) rc = auth_stage(p->auth, err);
    }
    if (rc < 0) rules_settle(h, false);
    return rc;
}

void rules_settle(hub *h, bool take)
{
    list_each(it, &h->ports)
    {
        bridge_port *p = list_of(it, bridge_port, link);
        if (p->auth) auth_settle(p->auth, take);
    }
}
