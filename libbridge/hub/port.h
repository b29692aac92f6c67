/* hub/port.h - what built-in adapters may use besides bridge/sys/adapter.h. */
#ifndef HUB_PORT_H
#define HUB_PORT_H
#include "base/text.h"
#include "bridge/sys/adapter.h"
#include "bridge/sys/store.h"
#include "loop/loop.h"
#include <string.h>

/* Below $SYS/ are the bridge's own values: nobody else writes there. */
static inline bool name_is_ours(text name)
{
    return name.len >= 5 && name.p[0] == '$' && memcmp(name.p, "$SYS/", 5) == 0;
}

typedef struct limits {
    size_t max_message, max_queue, max_queue_bytes, max_values, max_value_bytes, max_calls, max_routes;
    size_t max_client_names; /* 0: not counted */
} limits;

/* plan.c: names that are going to be published to in this turn, as many as HUB_NOTICE: what has to be looked up for them is fetched
 * from memory meanwhile.  Only a hint, and only worth its time while somebody wants it. */
enum { HUB_NOTICE = 16 };
bool port_wants_notice(const bridge_port *port);
void port_notice(bridge_port *port, const text *names, unsigned count);

/* Which limit the last call refused with BUSY or TOOBIG was over, in a sentence with its number; NULL: it was no limit of the bridge. */
const char *port_why(const bridge_port *port);
bool port_passes(const bridge_port *port); /* the last call was refused because somebody who was to have it is full now */
loop *port_loop(bridge_port *port);
mem *port_mem(bridge_port *port);
const limits *port_limits(bridge_port *port);
/* The format of a payload: found out from its bytes when nobody said (AUTO). */
bridge_format msg_format(const bridge_msg *msg);
/* What a listener has beside the paths, for lists of links that others make; ends with a NULL target.  Borrowed for ever. */
typedef struct port_link {
    const char *target, *attributes; /* "/hc/", ";rt=\"core.hc\"" */
} port_link;
void port_offer(bridge_port *port, const port_link *links);
/* Those of all listeners of this bridge; name: "http://127.0.0.1:3000/resources", as it was opened.  Non-zero stops and is returned. */
int port_each_offer(bridge_port *any, int (*fn)(void *user, const char *name, const port_link *link), void *user);
const char *port_mark(const bridge_port *port); /* 16 hex digits that no other bridge has */
uint64_t port_version(bridge_port *port); /* a new one, as for a message that is accepted: an ETag that nobody had before */
/* What it keeps is counted (max_client_names) for the name it has proved, or, of one that has proved none, for its address: a client id is
 * whatever a stranger says.  address: "10.0.0.7:4711"; borrow. */
void peer_counts_as(bridge_peer *peer, const char *user, const char *address);
size_t peer_watches(const bridge_peer *peer); /* how many subscriptions it has */
bool peer_watches_at(bridge_peer *peer, const char *filter, const char *group); /* is this (MQTT filter) one of them? */
/* A message that a shared subscription of this peer was given goes to another of its group, if there is one. */
void peer_pass_on(bridge_peer *peer, bridge_msg *msg);
/* As bridge_peer_msg() for a path that has been checked and nothing but a payload: see msg_new_plain(). */
int peer_msg_plain(bridge_peer *peer, text path, const void *data, size_t len, uint8_t qos, bool retain, bridge_msg **out);

/* ---- pack.c: kept values as one SenML pack (format: one of its two), in which names are paths (RFC 8428 4.5); of those, where there is a
 * question (a SenML-ETCH as a FETCH brings it), the records that it names (RFC 8790 3.1). */
typedef struct packer packer;
enum { PACKER_COMPARES = 200 * 1000 }; /* of a question's records with others, in one turn */
int packer_new(mem *m, const bridge_msg *question, bridge_format format, packer **out); /* FORMAT: it is no question; NOTACCEPTABLE; SYNTAX */
int packer_add(packer *p, bridge_msg *msg); /* 1: that is enough for one turn, see walk_some(); NOMEM, TOOBIG */
int packer_write(packer *p, buf *out, bool last); /* what was added since the last time; appends */
void packer_free(packer *p); /* NULL is fine */

void peer_more(bridge_peer *peer); /* it is hungry again: see bridge_adapter.hungry */

/* ---- keep.c: what a listener's acknowledgements promise (its durability=, else the store's); for what no path says better */
bool port_promises(const bridge_port *port); /* they wait for the disk */
void port_promise(bridge_port *port, bridge_store_wait *w); /* bridge_store_when(), and synced if that is what is promised */

/* ---- exchange.c: questions and answers of a protocol that has neither; names are those of the peer's protocol */
bool peer_meets_owner(const bridge_peer *peer, text name); /* does somebody else answer for it? */
bool peer_meets_value(const bridge_peer *peer, text name); /* is a value kept there? */
bool peer_owned_tells(const bridge_peer *peer, text name); /* does bridge_peer_owned() tell of this one? */
int peer_name_of(const bridge_peer *peer, text path, char *out, size_t room); /* of a canonical path; the length, or 0 */
int peer_may(bridge_peer *peer, bridge_verb verb, const char *name);          /* 0, DENIED, UNAUTHENTICATED */
int peer_may_own(bridge_peer *peer, const char *filter);                      /* may it answer for all of this? */
#define HUB_REPLIES "$reply/" /* then the peer's name: only it may watch below that, and nothing is kept there */
uint64_t peer_stamp(const bridge_peer *peer); /* a version for a message that goes to this peer past the hub */
/* Publishes the answer to a question where its asker wished: with the asker's rights, but not as if it had said it. */
int peer_answer(bridge_peer *asker, bridge_msg *msg);
/* A value of the bridge's own, below $SYS: what an adapter has to tell that is no number. */
void port_say(bridge_port *port, const char *topic, const char *words);

/* ---- whence.c: where a message came from, for a peer that may know it (the right to read HUB_PEERS) */
#define HUB_PEERS "$SYS/bridge/peers"
typedef struct whence { /* borrow; NULL: not known */
    const char *origin, *user, *listener; /* "coap:10.0.0.7:40000"; the name it has proved; the URL it came in by */
    const char *name; /* what it is called by the origin's protocol, when that is not what it is called here */
    bool copied; /* a route has brought it here from another path */
} whence;
void peer_whence(bridge_peer *peer, const bridge_msg *msg, char room[65536], whence *out);

/* ---- roster.c: who and what there is, for people who look.  Each fn is called until it returns false; borrow what it is given. */
typedef struct roster_peer {
    const char *name, *scheme, *user, *address; /* "mqtt:client-7"; user NULL: anonymous; address NULL: nowhere now */
    uint64_t number;                            /* larger: came later */
    int64_t since;                              /* ms since 1970 */
    uint64_t heard, told;                       /* messages and questions from it; messages to it */
    size_t watches;
    bool away, uplink;
} roster_peer;
typedef struct roster_port {
    const char *name, *scheme, *summary; /* "mqtt://127.0.0.1:1883", with what its URL said */
    const char *mount; /* its option, or NULL */
    size_t peers; /* of a listener: how many are connected over its protocol */
    bool uplink, closing;
    int up; /* of an uplink: is the other side there?  -1: not known */
    double sent, received, waiting; /* of an uplink: messages; -1: not counted */
} roster_port;
typedef struct roster_route {
    const char *label, *scheme; /* scheme: whose names it gives, "*" everybody's; NULL: it copies */
    const char *transform;      /* or NULL */
    bridge_format format;       /* AUTO: as it is */
    int priority;
    bool both_ways, by_hand;    /* by_hand: hand_route_remove() may take it away */
    uint64_t number, crossed;   /* number: no other route has it, also after a restart */
} roster_route;
typedef bool (*roster_peer_fn)(void *user, const roster_peer *peer);
typedef bool (*roster_port_fn)(void *user, const roster_port *port);
typedef bool (*roster_route_fn)(void *user, const roster_route *route);
size_t roster_peer_count(const bridge_port *asker); /* of those that roster_peers() tells */
void roster_peers(bridge_port *asker, size_t skip, roster_peer_fn fn, void *user); /* newest first, listener by listener; skip: those before */
void roster_ports(bridge_port *asker, roster_port_fn fn, void *user);
void roster_routes(bridge_port *asker, roster_route_fn fn, void *user); /* oldest first */

/* ---- routes_hand.c: routes by hand; whether the asker may is the caller's to ask.  lasting is not looked at: with a store they last. */
int hand_route_add(bridge_port *port, const bridge_route *said, uint64_t *number, bridge_error *err); /* as bridge_route_add() */
int hand_route_remove(bridge_port *port, uint64_t number); /* NOTFOUND: also of the config's and the program's */
int hand_route_try(bridge_peer *asker, const bridge_route *said, buf *out, bridge_error *err); /* what it would do, in sentences; appends */
#endif
