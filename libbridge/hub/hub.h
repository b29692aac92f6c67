/* hub/hub.h - the crossing: what the files of this room share.  No protocol word in here.
 *
 *   hub.c       life of a bridge's inside           port.c      listeners, their events, logins
 *   plan.c      the way out, remembered
 *   peer.c      who talks to us, what they watch    submit.c    the way in: the page to read
 *   routes.c    copies; names in routes_names.c, what they do to messages in routes_change.c, uplinks in routes_far.c
 *   fanout.c    the way out
 *   describe.c  link attributes of paths
 *   own.c       who answers for what                request.c   calls to them, tickets
 *   values.c    what is kept, how long, how much     life.c      how long names stay
 *   policy.c    who may do what                     represent.c one message in several formats
 *   exchange.c  questions of protocols without          roster.c    who is connected, for people who look
 *   replay.c    kept values to a new watch
 *   explain.c   why a path goes where it goes       stats.c     numbers
 *   app.c       the application as a peer           sys.c       the numbers as values under $SYS
 *   history.c   values have a past (history.h)       offline.c   whom we would ask
 *   handout.c   messages for whoever knows their name   whence.c    where a message came from
 *   keep.c      what outlives the process           keep_level.c   what is promised about it
 * Everything belongs to the loop's thread unless it says [any]. */
#ifndef HUB_HUB_H
#define HUB_HUB_H
#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "bridge/sys/adapter.h"
#include "core/message.h"
#include "core/pathcache.h"
#include "core/pattern.h"
#include "core/ptrie.h"
#include "core/tree.h"
#include "core/url.h"
#include "hub/port.h"

typedef struct hub hub;
struct auth;

enum { /* defaults; docs/limits.md */
    HUB_MAX_MESSAGE = 1024 * 1024,
    HUB_MAX_QUEUE = 1000,
    HUB_MAX_QUEUE_BYTES = 16 * 1024 * 1024,
    HUB_MAX_VALUES = 2 * 1000 * 1000,
    HUB_MAX_ROUTES = 1000 * 1000,
    HUB_MAX_CALLS = 10000,    /* requests under way at owners */
    HUB_MAX_HOPS = 16,        /* copies a message may make, one after the other */
    HUB_TIMEOUT = 5000,       /* ms an owner has for its answer */
    LIFE_MAX_RULES = 1000,
    LIFE_MAX_CHILDREN = 10000,
    HUB_SCHEMES = 32,
    HUB_MAX_DESCRIPTIONS = 10000,
    HUB_DESCRIPTION_MAX = 1024,   /* bytes of link attributes of one path */
    HUB_SIZE_WORTH_TELLING = 1024 /* RFC 6690 3.3: sz is for what does not fit into one datagram */
};
#define HUB_MAX_VALUE_BYTES ((size_t)1024 * 1024 * 1024)

enum { SCHEME_APP = 0, SCHEME_ANY = 255 };

struct bridge_port {
    list link; /* in hub->ports */
    hub *hub;
    const bridge_adapter *adapter;
    void *state;
    char *name;
    url *url;
    struct auth *auth; /* the rules of its URL, or NULL: the bridge's */
    list peers;
    size_t peer_count; /* without its own voices */
    list events;
    log_budget budget;
    void (*slot_gone)(void *slot); /* who holds it is told when it is closed */
    void *slot;
    uint8_t scheme;
    int8_t level; /* durability= in its URL: store_level; -1: the store's */
    const struct port_link *links; /* port_offer() */
    bool closing, home, uplink, retired;
    bool stand_in; /* offline.c: for one that is not there */
    bool open_to_all, deny_anonymous; /* anonymous=allow, =deny in its URL */
};

struct bridge_peer {
    list link; /* in port->peers */
    bridge_port *port;
    struct auth *auth;
    origin *origin;
    char *user;
    void *state;
    list watches, tickets, owns;
    list full; /* in hub->full; full.c */
    size_t watch_count;
    mem *port_mem; /* set when it is gone: the port may go before */
    struct far *reached; /* it is the uplink that routes call so; or NULL */
    uint64_t mark; /* the fan-out that has met it last */
    uint32_t hit;  /* where in that fan-out's list */
    unsigned flags;
    uint8_t scheme;
    int8_t level; /* as its port's */
    uint64_t number, heard, told; /* for people who look: roster.c */
    int64_t since;
    bool gone;
    bool away; /* nobody is at the other end now: shared subscriptions go to others first */
    void (*deliver)(void *state, bridge_msg *msg, const bridge_delivery *how);
};

struct bridge_watch {
    sub sub; /* its place in the tree; first, so that one is the other */
    bridge_peer *peer; /* what a delivery looks at comes first: of 100,000 none is near */
    void *user;
    uint64_t mark;
    uint32_t id;
    uint8_t qos;
    bool no_local, keep_retain, wild, gone;
    list link; /* in peer->watches; later in hub->graves */
    bridge_ticket *ask; /* its owner is being asked for the first value */
    struct interest *interest; /* own.c: its owner knows of it; or NULL */
    struct replay *replay;     /* replay.c: kept values are still on their way; or NULL */
};

struct bridge_owner { /* who answers for a pattern: the application, or another peer */
    ptrie_entry place; /* in the tree */
    list link;         /* in hub->owners; later in hub->dead_owners */
    list of_peer;      /* in peer->owns */
    bridge_peer *peer;
    bridge_owner_fns fns;
    void *user;
    list calls;    /* not answered yet */
    map interests; /* own.c: what is watched of it, by filter */
    char *attributes; /* describe.c; or NULL */
    bool gone;
};

typedef struct counters { /* docs/metrics.md */
    uint64_t accepted, refused, delivered, denied, dropped_loops, dropped_values, expired, requests, timeouts, crossed;
    uint64_t logins, logins_refused, transform_bad;
} counters;

struct hub {
    bridge *bridge;
    mem *mem;
    loop *loop;
    logger log;
    limits limits;
    counters count;
    char why[96]; /* what the last refusal over a limit was for; see port_why() */
    bool passing; /* and it was because somebody is full, now; see port_passes() */
    list full;    /* peers that have no room */
    char name[17]; /* this bridge, where what has come round shall be known again */
    uint64_t seed, version; /* version: of the last accepted message */
    tree *tree;
    struct routes *routes;
    unsigned naming_routes;
    struct policy_set *policies;
    unsigned policy_count;
    struct auth *auth; /* password and ACL file of the whole bridge, or NULL */
    list ports;
    bridge_port *app_port;
    bridge_peer *app; /* the application itself */
    char *schemes[HUB_SCHEMES];
    unsigned scheme_count;

    struct hit *hits; /* of the fan-outs under way, a stack */
    size_t hit_count, hit_room;
    pathcache plans; /* plan.c */
    unsigned strangers; /* how many paths of late were in no plan: plan.c */
    uint64_t mark;
    bool ending;  /* the application is leaving: it is told nothing any more */
    bool offline; /* listeners are looked at, not opened */
    unsigned depth; /* of calls into adapters and applications: nothing is freed before it is 0 again */
    list owners;
    list waiting; /* calls that owners have not answered yet */
    list dead_watches, dead_peers, dead_ports, dead_listeners, dead_owners;
    bool deaths; /* something lies in one of them, or in those of routes.c and policy.c */
    size_t value_count, value_bytes, calls, watch_count, peer_count, port_count;
    uint64_t peers_met;
    struct bridge_store *store; /* keep.c; NULL: nothing outlives the process */
    struct history *history;    /* history.c; NULL: nothing has a past */
    bool restored;              /* adapters have been told of it */
    bool loading;               /* what is put now comes from there */
    buf packed;                 /* a message on its way there */
    ptrie levels;               /* keep_level.c */
    list level_list;
    list replays; /* replay.c: under way */
    timer replay_timer;
    unsigned replays_under_way, walks_under_way;
    struct expiry *expiry; /* values.c */
    struct life *life;     /* life.c */
    ptrie descriptions;    /* describe.c */
    list described;
    struct sys *sys;       /* sys.c */
    map handouts;          /* handout.c, by name */
};

/* ---- hub.c */
int hub_new(hub **out, bridge *b, mem *m, loop *l, const bridge_options *options, bridge_error *err);
void hub_close(hub *h);      /* asks every port to close */
bool hub_is_closed(hub *h);  /* have they? */
void hub_free(hub *h);       /* after the loop has run dry of them */
int hub_scheme(const hub *h, text name);      /* its number, or -1 */
int hub_scheme_add(hub *h, const char *name); /* its number; BUSY */
/* Says which limit it is, with its number, for who tells the peer; gives BUSY. */
int hub_over(hub *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
int hub_short(hub *h); /* the same, of memory */
int hub_too_big(hub *h, size_t len); /* of a payload; gives TOOBIG */
void hub_bury(hub *h);
static inline void hub_enter(hub *h) /* around every call into an adapter or an application */
{
    h->depth++;
}
static inline void hub_leave(hub *h) /* frees what died meanwhile, once depth is 0 */
{
    if (--h->depth == 0 && h->deaths) hub_bury(h);
}
static inline void hub_mourn(hub *h) /* something was put into a list of the dead */
{
    h->deaths = true;
    if (h->depth == 0) hub_bury(h);
}

/* ---- port.c */
int hub_open(hub *h, const char *url, bool connect, bridge_port **out, bridge_error *err); /* connect: an uplink, not a listener */
void hub_port_close(bridge_port *p);
/* Another URL for the same address; all it has stays.  UNSUPPORTED: this protocol cannot; on failure nothing has changed. */
int hub_port_change(bridge_port *p, const char *textual, bridge_error *err);
bool hub_port_retire(bridge_port *p); /* takes no more peers, keeps those there are; false: this protocol cannot */
bridge_port *port_new(hub *h, const bridge_adapter *adapter);
void port_destroy(bridge_port *p);
extern const bridge_adapter *const adapter_table[]; /* made by meson */

/* ---- offline.c */
int offline_connect(bridge_port *p, const url *u, bridge_error *err); /* somebody who answers for what `as=` in its URL says */
int offline_listen(bridge_port *p, const url *u); /* nobody comes in; its rules may be asked of: bridge_may() */
void offline_sent(hub *h, const char *uplink, bridge_verb verb, const bridge_msg *msg);
void offline_denied(hub *h, const char *uplink, const bridge_msg *msg);
int offline_heard(hub *h, bridge_msg *msg); /* as from the uplink that its origin names; NOTFOUND: that takes no such thing */

/* ---- peer.c */
void peer_destroy(bridge_peer *p);

/* ---- submit.c */
typedef struct crossing { /* the routes that a message has come over, so that none is crossed twice */
    const struct crossing *before;
    const void *route;
} crossing;
int hub_accept(hub *h, bridge_peer *from, bridge_verb verb, bridge_msg *msg, const bridge_terms *terms,
               const crossing *came); /* a canonical message that may pass: keep it, copy it, tell who watches */

int hub_check_terms(hub *h, text path, const bridge_terms *terms); /* PRECONDITION when what is there forbids a change */
/* The same for one that came over a route: to its owner, if it has one. */
int hub_cross(hub *h, bridge_peer *from, bridge_verb verb, bridge_msg *msg, const crossing *came);

/* ---- fanout.c */
unsigned hub_fanout(hub *h, bridge_peer *from, bridge_msg *msg, bool gone); /* how many were told; from may be NULL */
/* Calls fn for each kept value that p matches under a name the peer has for it, as it is to be named and may be read. */
int hub_each_named(bridge_peer *peer, const pattern *p, int (*fn)(void *user, bridge_msg *msg), void *user);

/* As that, for a scheme, and not asking the policy. */
/* One value of that: as one of those that the route `by` names, or (NULL) of those that have no other name. */
int hub_tell_named(hub *h, uint8_t scheme, const pattern *p, const void *by, bridge_msg *value, int (*fn)(void *user, bridge_msg *msg), void *user);
int hub_each(hub *h, uint8_t scheme, const pattern *p, int (*fn)(void *user, bridge_msg *msg), void *user);

/* ---- replay.c */
void hub_replay(bridge_watch *w, const pattern *p, bool owner_tells); /* to a new watch: what is kept, or what the owner says */
void hub_replay_end(bridge_watch *w);                                 /* if it is still under way */

/* ---- exchange.c */
bool exchange_is_anothers(const bridge_peer *peer, const char *filter); /* is this where somebody else's answers go? */

/* ---- values.c */
int values_new(hub *h);
void values_free(hub *h);
int values_put(hub *h, bridge_msg *msg, bool *created); /* BUSY over a limit */
bridge_msg *values_get(hub *h, text path);              /* borrow; NULL: none, or expired */
bool values_remove(hub *h, text path);

void values_put_quiet(hub *h, bridge_msg *msg);         /* an owner's answer, kept for as long as it says */

/* ---- life.c: how long names stay, and how many there may be */
typedef struct life_rule life_rule;
int life_new(hub *h);
void life_free(hub *h);
int life_add(hub *h, const bridge_life *said, life_rule **out, bridge_error *err);
void life_remove(life_rule *r);
int life_admit(hub *h, bridge_msg *msg, const bridge_msg *there); /* a value that is about to be kept: BUSY over a limit */
void life_account(hub *h, const bridge_msg *was, const bridge_msg *is);
void life_use(hub *h, bridge_msg *value); /* somebody asked for it */
void life_limit_clients(hub *h, size_t most); /* 0: no limit */
void life_stats(hub *h, bridge_stat_fn fn, void *user);
void life_explain(hub *h, text path, buf *out);

/* ---- own.c: who answers for what */
int own(bridge_peer *peer, const char *filter, const bridge_owner_fns *fns, void *user, bridge_owner **out, bridge_error *err);
static inline bridge_owner *hub_owner(const hub *h, const char *path, size_t len) /* of a canonical path, or NULL */
{
    ptrie_entry *e = h->tree->owners.count ? tree_owner(h->tree, path, len) : NULL;

    return e ? list_of(e, bridge_owner, place) : NULL;
}
bool own_watch_began(bridge_watch *w, const pattern *p); /* true: its owner will tell of itself: nobody need ask it */
void own_watch_ended(bridge_watch *w);
void own_forget(hub *h, text path); /* what is kept there for a while is out of date */
void own_bury(hub *h);

/* ---- request.c */
int hub_ask(bridge_peer *from, bridge_owner *o, bridge_verb verb, bridge_msg *msg, const char *asked, const bridge_terms *terms,
            bridge_msg **reply, bridge_done_fn done, void *user, bridge_ticket **out);
void hub_drop_tickets(bridge_peer *peer);
void hub_drop_calls(bridge_owner *o); /* it has gone: whoever waits is told */
void hub_cancel_calls(hub *h);
bridge_peer *hub_call_from(const bridge_call *call); /* who asks; NULL: has gone */

/* ---- full.c */
int full_may(hub *h, const bridge_peer *from, const bridge_msg *msg); /* 0, BUSY: somebody who would be told has no room */

/* ---- policy.c */
int policy_check(bridge_peer *peer, bridge_verb verb, const char *path); /* 0, UNAUTHENTICATED, DENIED */
int policy_check_name(bridge_peer *peer, bridge_verb verb, const char *name); /* the same of the path that its protocol calls so */
int policy_would(hub *h, const bridge_ask *said); /* bridge_may() */
int policy_login(bridge_port *port, bridge_ask *ask); /* ask->user becomes what is proved, or NULL */
int rules_stage(hub *h, bridge_error *err);   /* reads the files of all listeners again ... */
void rules_settle(hub *h, bool take);         /* ... and takes what was read, or forgets it */
int policies_new(hub *h);
int policy_add(hub *h, bridge_policy_fn fn, void *user, void **out);
void policy_remove(hub *h, void *policy);
int policy_add_keys(hub *h, bridge_credential_fn fn, void *user, void **out); /* bridge_on_credential(); ends by policy_remove(), too */
void policies_recheck(hub *h, const char *identity);
void policies_free(hub *h);
void policies_bury(hub *h);
static inline bool policy_is_open(const bridge_peer *peer) /* nobody would ask: policy_check() says yes */
{
    const hub *h = peer->port->hub;

    return (!peer->auth && !h->auth && !h->policy_count) || peer->port == h->app_port;
}

/* ---- routes.c: every scheme may have names of its own for canonical paths; other routes copy */
typedef struct route route;
int routes_new(hub *h);
void routes_free(hub *h);
void routes_bury(hub *h);
int routes_add(hub *h, const bridge_route *said, route **out, bridge_error *err);
void routes_remove(hub *h, route *r);
void routes_forget(hub *h, route *r); /* in the store, too */
route *routes_lasting(hub *h, const char *source, const char *target); /* or NULL */
void routes_restore(hub *h); /* routes_keep.c */
/* What a message from this peer is called inside: *out is a new reference to msg under its canonical path, as its route wants it,
 * or NULL when the name is the path. */
int routes_inward(hub *h, bridge_peer *from, bridge_msg *msg, bridge_verb verb, bridge_msg **out);
/* A canonical message as whoever asked `question` by the name `asked` has it: renamed, transformed back; a new reference. */
int routes_as_asked(hub *h, bridge_peer *from, const bridge_msg *question, const char *asked, bridge_msg *value, bridge_msg **out);
int routes_show(hub *h, const void *by, bridge_msg *msg, text name, bridge_msg **out); /* the same, by the route that names it */
uint64_t routes_changes(const hub *h); /* one more whenever a route comes or goes */
static inline bool routes_give_names(const hub *h) /* has any scheme names of its own? */
{
    return h->naming_routes != 0;
}
bool routes_has_names(const hub *h, uint8_t scheme);
/* The canonical path that a scheme calls by this name, NUL-terminated: its length; 0: it has no name route. */
int routes_path_in(hub *h, uint8_t scheme, text name, char *out, size_t room);
/* The same, or the name itself when it has none; 0: no room. */
int routes_path_of(hub *h, uint8_t scheme, text name, char *out, size_t room);
/* The name that a scheme has for a canonical path: its length in out[room], NUL-terminated; 0: none but the path. */
int routes_name_out(hub *h, uint8_t scheme, text path, char *out, size_t room);
/* by: the route that says so. */
int routes_name_by(hub *h, uint8_t scheme, text path, char *out, size_t room, const void **by);
/* One after the other, with as much time between as one likes: routes may come and go.  NULL: there is no more. */
typedef struct name_walk {
    const list *at; /* NULL: not begun */
    uint64_t number, changes;
} name_walk;
const void *routes_next_name(hub *h, uint8_t scheme, name_walk *w, const pattern **canonical);
/* Each route that may give a scheme a name that matches p, and where the values lie that it names so: under canonical, or, when p is one
 * name and the route can tell, at path alone (else path.p is NULL). */
typedef int (*route_name_fn)(void *user, const void *by, const pattern *canonical, text path);
int routes_each_name(hub *h, uint8_t scheme, const pattern *p, route_name_fn fn, void *user);
/* Carries an accepted message over the routes that copy.  from may be NULL. */
void routes_copy(hub *h, bridge_peer *from, bridge_msg *msg, bridge_verb verb, const crossing *came);
/* To whom it would go, at once or over routes, and who has no room; or NULL.  came: the routes that led to this path. */
const bridge_peer *full_at(hub *h, const bridge_peer *from, text path, const crossing *came);
const bridge_peer *routes_full(hub *h, const bridge_peer *from, text path, const crossing *came); /* of that, over routes */
void routes_explain(hub *h, text path, buf *out);
void routes_flush(hub *h); /* what transformations hold back goes on */
void far_lost(bridge_peer *peer); /* routes that name it wait for another */
int functions_add(hub *h, const char *name, bridge_transform_fn fn, void *user, void **out, bridge_error *err); /* EXISTS */
void functions_remove(void *function);
void routes_stats(hub *h, bridge_stat_fn fn, void *user);
size_t routes_count(const hub *h);
const char *route_label(const route *r); /* "coap:r/{room}/temp -> home/{room}/temp" */

/* ---- represent.c */
int hub_fetch(hub *h, bridge_msg *value, const bridge_msg *question, bridge_format wanted, bridge_msg **out);
int hub_patch(hub *h, bridge_peer *from, bridge_msg *patch, const bridge_terms *terms);

/* ---- describe.c */
typedef struct description description;
int describe(hub *h, const char *pattern, const char *attributes, description **out, bridge_error *err);
void undescribe(hub *h, description *d);
void descriptions_free(hub *h);

/* ---- explain.c, stats.c */
int hub_explain(hub *h, const char *path, buf *out);
void hub_stats(hub *h, bridge_stat_fn fn, void *user);

/* ---- sys.c */
int sys_new(hub *h, int64_t interval); /* ms; negative: none */
void sys_free(hub *h);
void sys_say(hub *h, const char *topic, const char *words);
#endif
