/* Who may do what: the application's functions are asked first, newest first; then the files of the listener, or the bridge's. */
#include "auth/auth.h"
#include "hub/hub.h"

typedef struct policy {
    list link;
    bridge_policy_fn fn;
    void *user;
    bool gone;
} policy;

struct policy_set {
    list all, dead;
};

int policies_new(hub *h)
{
    h->policies = mem_new(h->mem, struct policy_set);
    if (!h->policies) return BRIDGE_NOMEM;
    list_init(&h->policies->all);
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
    h->policy_count--;
    list_remove(&p->link);
    list_push(&h->policies->dead, &p->link);
    hub_mourn(h);
}

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

int policy_check(bridge_peer *peer, bridge_verb verb, const char *path)
{
    hub *h = peer->port->hub;
    struct auth *rules = peer->auth ? peer->auth : h->auth;
    bridge_ask ask = {.size = sizeof ask, .verb = verb, .who = peer->origin->text, .user = peer->user, .path = path};
    bridge_verdict v;

    if (peer->port == h->app_port || (!rules && list_empty(&h->policies->all))) return 0;
    v = ask_application(h, &ask);
    if (v == BRIDGE_DEFER && rules) v = auth_allows(rules, peer->user, peer->origin->text + peer->origin->scheme_len + 1, verb, path);
    return v == BRIDGE_DENY ? refuse(h, peer->user) : 0;
}

/* The application's word on a login is final; else the name must be proved when there is a password file. */
int policy_login(bridge_port *port, bridge_ask *ask)
{
    hub *h = port->hub;
    struct auth *rules = port->auth ? port->auth : h->auth;
    bool proven = false;
    int rc = 0;

    ask->verb = BRIDGE_CONNECT;
    switch (ask_application(h, ask)) {
    case BRIDGE_ALLOW: return 0;
    case BRIDGE_DENY: return ask->secret || ask->user ? BRIDGE_DENIED : BRIDGE_UNAUTHENTICATED;
    case BRIDGE_DEFER: break;
    }
    if (!ask->user && port->open_to_all) return 0;
    if (!ask->user && port->deny_anonymous) return BRIDGE_UNAUTHENTICATED;
    if (rules) rc = auth_login(rules, ask->user, ask->secret, ask->secret_len, &proven);
    return rc;
}
