/* bridge/sys/adapter.h - how a protocol joins the bridge.  Stable within a minor version only.
 *
 * One folder libbridge/adapter/<scheme>/ fills in one bridge_adapter.  Everything here is called on the loop thread and
 * returns quickly; an adapter with threads of its own comes in through bridge_port_post().
 *
 * The life of a client:  login -> bridge_peer_new -> watch/submit/read ... -> bridge_peer_free.
 * Names: an adapter hands over the name as its peer said it (the mount already taken off).  The hub finds the canonical path
 * and, on the way out, gives each message the name that this adapter's scheme has for it. */
#ifndef BRIDGE_SYS_ADAPTER_H
#define BRIDGE_SYS_ADAPTER_H
#include "bridge/bridge.h"
#ifdef __cplusplus
extern "C" {
#endif
typedef struct bridge_port bridge_port;     /* one open listener or uplink; the bridge owns it */
typedef struct bridge_peer bridge_peer;     /* somebody who publishes, asks and watches through a port */
typedef struct bridge_watch bridge_watch;   /* one subscription of a peer */
typedef struct bridge_ticket bridge_ticket; /* one request under way */
typedef struct bridge_event bridge_event;   /* an fd or a timer */
typedef struct bridge_url bridge_url;       /* core/url.h */
typedef struct bridge_buffer bridge_buffer; /* base/buf.h */
struct stream;                              /* loop/stream.h */
struct bridge_forward;
struct bridge_forwarded;
struct bridge_passage;
typedef void (*bridge_forward_fn)(void *user, const struct bridge_forwarded *answer); /* once; borrow */

/* What comes with a message on its way to a peer. */
typedef struct bridge_delivery {
    bridge_watch *watch; /* the subscription that matched; of several (peer->merge) the first */
    void *user;          /* what was given to bridge_peer_watch() */
    uint8_t qos;         /* min(message, subscription); of several the highest */
    bool retained;       /* sent because of the subscription, not because it was just published */
    bool keep_retain;    /* MQTT 5 retain-as-published asked by any of them */
    bool gone;           /* the value at this path was removed: payload is empty */
    const uint32_t *ids; /* MQTT 5 subscription identifiers, none is 0 */
    unsigned id_count;
} bridge_delivery;

typedef struct bridge_adapter {
    size_t size;                 /* sizeof(bridge_adapter) */
    const char *scheme;          /* "mqtt"; also the prefix in routes */
    const char *const *schemes;  /* URL schemes it opens, NULL-terminated: "mqtt", "mqtts", "mqtt+unix" */
    const char *summary;         /* one line for people */
    size_t state_size;           /* zeroed memory the bridge keeps for each port */
    /* Opens what url says and calls bridge_port_named().  Known query words: say them to url_check(). */
    int (*open)(bridge_port *port, const bridge_url *url, bridge_error *err);
    /* Takes no more peers and says goodbye to those there are; each is freed by the adapter, now or in later turns of the
     * loop, and then bridge_port_closed() is called, exactly once. */
    void (*close)(bridge_port *port);
    void (*deliver)(void *state, bridge_msg *msg, const bridge_delivery *how); /* to a watching peer; borrow */
    /* Optional: takes over a byte stream that another adapter accepted at its port `via` (MQTT inside WebSocket); home is this
     * adapter's own, see bridge_port_home().  Log in at via.  0; or negative, and the stream stays the other's. */
    int (*accept)(bridge_port *home, bridge_port *via, struct stream *stream, const bridge_ask *who);
    void (*stats)(bridge_port *port, bridge_stat_fn fn, void *user); /* optional */
    /* Optional: what open() would find wrong with the URL itself.  Opens nothing; for configs that are only looked at. */
    int (*check)(const bridge_url *url, bridge_error *err);
    /* Optional: uplinks (bridge_connect).  As schemes and open(), for what this adapter can reach as a client; close() ends it.
     * connect() returns as soon as the URL is known to be good: whether the other side answers is told by stats() and log lines. */
    const char *const *connects; /* URL schemes, NULL-terminated, or NULL */
    int (*connect)(bridge_port *port, const bridge_url *url, bridge_error *err);
    int (*check_connect)(const bridge_url *url, bridge_error *err); /* as check() */
    /* Optional: another listener takes this one's address over (new options).  Takes no more peers, but those there are stay until
     * they leave; bridge_port_closed() when the last has.  close() may still come. */
    void (*retire)(bridge_port *port);
    /* Optional: asks any server of the schemes in connects, for a proxy; see bridge_port_forward().  home is this adapter's own. */
    int (*forward)(bridge_port *home, const struct bridge_forward *question, bridge_forward_fn fn, void *user, struct bridge_passage **out);
    /* Optional: may this peer be told more of what is kept?  With it, the kept values of a filter come in slices, over turns of the loop,
     * and stop while it says no; without, all of them before bridge_peer_watch() returns. */
    bool (*hungry)(void *state);
    /* Optional: the bridge has a store, and its first listener or uplink is about to open: what sleeps in there (sessions, registrations)
     * comes back now, so that it misses nothing.  home: as bridge_port_home(). */
    void (*restore)(bridge_port *home);
    /* Optional, for uplinks that routes may name; see bridge_peer_reach().  filter: topics of the other side that are wanted, or, as often as
     * they were, are not any more; what comes for it goes to bridge_peer_arrived().  INVALID with a sentence: it cannot be had. */
    int (*want)(bridge_port *port, const char *filter, uint8_t qos, bool wanted, bridge_error *err);
    /* Optional: sessions of this name or identity (NULL: all) that credentials would not let in any more are ended: bridge_port_credential(). */
    void (*recheck)(bridge_port *port, const char *identity);
    /* Optional: other options for the address that it listens on, with all it has; on failure nothing has changed.  url is the port's from
     * then on.  Better than retire(), where a protocol can. */
    int (*change)(bridge_port *port, const bridge_url *url, bridge_error *err);
    /* Optional: where a peer is, when its name does not say so: "127.0.0.1:40000"; NULL: nowhere now.  In room[len], or a borrow. */
    const char *(*address)(void *state, char *room, size_t len);
    /* Optional, in a bridge that reaches nobody (bridge_options.offline): as connect(), but nothing leaves; what would be sent is said by
     * bridge_port_rehearsed().  rehearse_in() takes a message as if the other side had sent it; NOTFOUND: it asks for no such thing there. */
    int (*rehearse)(bridge_port *port, const bridge_url *url, bridge_error *err);
    int (*rehearse_in)(bridge_port *port, bridge_msg *msg);
} bridge_adapter;

/* ---- Ports */
void *bridge_port_state(bridge_port *port);
bridge *bridge_port_bridge(bridge_port *port);
/* The adapter's own port, one a bridge, made at the first call: it listens nowhere, open() is never called for it, its state is zeroed
 * memory that all ports of the adapter may share (a table of sessions), and close() comes for it last, when the bridge ends.
 * Peers that outlive their connection belong here.  NULL: no memory. */
bridge_port *bridge_port_home(bridge_port *port);
void bridge_port_named(bridge_port *port, const char *url); /* copies; the address that was really bound */
void bridge_port_closed(bridge_port *port);
/* May this one come in?  Fill in verb CONNECT, who, user, secret.  0, UNAUTHENTICATED, DENIED, BUSY.  With a method (and reply
 * a struct bridge_buffer) also BRIDGE_PENDING, a challenge, and UNSUPPORTED, nobody knows the method. */
int bridge_port_login(bridge_port *port, bridge_ask *ask);
/* The application's word about a key or a certificate; DEFER when it has none.  port: a bridge_port *, as user of a callback. */
bridge_verdict bridge_port_credential(void *port, bridge_credential *c);
/* Hands a byte stream to the adapter that speaks `scheme` ("mqtt"), under this port's policy; UNSUPPORTED when not built in. */
int bridge_port_hand_over(bridge_port *port, const char *scheme, struct stream *stream, const bridge_ask *who);
void bridge_port_log(bridge_port *port, int level, const char *peer, const char *format, ...)
    __attribute__((format(printf, 4, 5))); /* one line "scheme peer text"; rate-limited per port */
int bridge_port_post(bridge_port *port, void (*fn)(bridge_port *, void *), void *user); /* [any] run fn on the loop */
/* Of a rehearsal (bridge_adapter.rehearse): msg would have been sent to `name`. */
void bridge_port_rehearsed(bridge_port *port, const char *name, const bridge_msg *msg, const char *path, bool retain, bool gone);
/* After reading from a descriptor of yours and before acting on it: what other threads published before those bytes were sent is done. */
void bridge_port_catch_up(bridge_port *port);
int bridge_port_fd(bridge_port *port, int fd, unsigned events, void (*fn)(void *, unsigned), void *user,
                   bridge_event **out); /* events: 1 readable, 2 writable */
int bridge_port_after(bridge_port *port, int64_t ms, void (*fn)(void *), void *user, bridge_event **out); /* once */
void bridge_event_close(bridge_event *event); /* NULL is fine; a fired timer still must be closed */

/* ---- Peers.  who: "client-7", becomes "mqtt:client-7" as origin.  user: the proven name or NULL.  state goes to deliver(). */
enum {
    BRIDGE_PEER_MERGE = 1,    /* overlapping watches give one delivery (MQTT) */
    BRIDGE_PEER_CANONICAL = 2, /* what it says are canonical paths: its scheme's names do not hold for it (owners) */
    BRIDGE_PEER_INSIDE = 4 /* a voice of the adapter's own: not in lists of who is connected */
};
int bridge_peer_new(bridge_peer **out, bridge_port *port, const char *who, const char *user, unsigned flags, void *state);
/* The rules (ACL file) of the port through which it came in hold for it; for peers of a home port. */
void bridge_peer_via(bridge_peer *peer, bridge_port *port, const char *user);
void bridge_peer_free(bridge_peer *peer); /* its watches and tickets end, silently; NULL is fine */
void bridge_peer_away(bridge_peer *peer, bool away); /* its connection is gone for now: shared subscriptions go to others first */
const char *bridge_peer_name(const bridge_peer *peer); /* borrow: "mqtt:client-7" */
const char *bridge_peer_user(const bridge_peer *peer); /* borrow; NULL: anonymous */
/* bridge_msg_new() with this peer as origin, in the bridge's memory, without copying the origin; TOOBIG over max_message. */
int bridge_peer_msg(bridge_peer *peer, const bridge_fields *fields, bridge_msg **out);

typedef struct bridge_watch_options {
    uint8_t qos;
    bool no_local;       /* not what this peer itself publishes */
    bool keep_retain;    /* MQTT 5 retain as published */
    uint8_t replay;      /* kept values: 0 send them, 1 only if the watch is new, 2 do not (MQTT 5 retain handling) */
    uint32_t id;         /* MQTT 5 subscription identifier; 0 none */
    const char *group;   /* shared subscription, or NULL */
    bool exact;          /* pattern is a plain path: no wildcard is read into it */
    bool names;          /* {name} and {name...} are read as wildcards */
} bridge_watch_options;
/* Starts to watch.  The same pattern again, on a peer with MERGE, replaces the options of the one that is there.
 * Kept values are delivered before this returns (of a filter with wildcards: unless the adapter has hungry()).  DENIED, SYNTAX (bad pattern), BUSY (over a limit), NOMEM. */
int bridge_peer_watch(bridge_peer *peer, const char *pattern, const bridge_watch_options *options, void *user,
                      bridge_watch **out);
void bridge_watch_close(bridge_watch *watch); /* NULL is fine */
/* It has no room for more (or has again): what it watches at QoS 1 and 2 is from now on refused (BUSY) to whoever says it at these. */
void bridge_peer_full(bridge_peer *peer, bool full);
int bridge_peer_unwatch(bridge_peer *peer, const char *pattern, const char *group); /* by pattern; NOTFOUND */

/* From now on until it is freed this peer is what routes call "uplink.NAME:".  What they carry there comes to deliver() without a watch and
 * user NULL; path is the name at the other side.  want() is called for what comes from there; kept values are delivered before it returns. */
int bridge_peer_reach(bridge_peer *peer, const char *name);

/* Conditions of a request. */
typedef struct bridge_terms {
    const uint64_t *if_match; /* versions; the value must have one of them */
    unsigned if_match_count;
    bool if_exists;           /* If-Match: * */
    bool if_absent;           /* If-None-Match: * */
    const uint64_t *unless;   /* GET: versions the asker has (If-None-Match, ETag): VALID instead of the value */
    unsigned unless_count;
    int64_t timeout;          /* ms; 0: 5 s */
    const char *query;        /* for an owner: what the asker said behind '?', "pmin=10&gt=5", as in a URI, with its escapes; NULL: nothing */
    uint32_t accept;          /* for an owner: 1 + the bridge_format that is wanted first; 0: any.  The adapter converts: an owner
                               * need not care, unless it can ask upstream for that format */
} bridge_terms;
enum { BRIDGE_PENDING = 100 };
/* The way in: policy, routes, store, subscribers, owners; see hub/submit.c.
 * Returns the outcome when it is known at once (0 or positive; *reply is then a new reference or NULL), negative when
 * refused, or BRIDGE_PENDING: then done is called exactly once later, unless the ticket is cancelled or the peer freed.
 * Success of GET is OK with *reply; of PUT CREATED or OK; of PUT and POST without any watcher UNHEARD when nothing was kept.
 * terms, reply, done, out may be NULL; with done NULL nothing is PENDING (an owner's answer is thrown away). */
int bridge_peer_submit(bridge_peer *peer, bridge_verb verb, bridge_msg *msg, const bridge_terms *terms,
                       bridge_msg **reply, bridge_done_fn done, void *user, bridge_ticket **out);
/* The same for what came from the other side of an uplink and goes over the routes that name it: its path is the name there.  verb: PUT, POST or
 * DELETE.  NOTFOUND: no route takes it. */
int bridge_peer_arrived(bridge_peer *peer, bridge_verb verb, bridge_msg *msg, bridge_done_fn done, void *user, bridge_ticket **out);
void bridge_ticket_cancel(bridge_ticket *ticket); /* done is not called any more */
/* The part of a value that a FETCH (RFC 8132 2) asks for: question is the message it came as, wanted AUTO or a format. */
int bridge_peer_fetch(bridge_peer *peer, bridge_msg *value, const bridge_msg *question, bridge_format wanted, bridge_msg **out);
/* Where what this question asks for is watched, if its owner has a path of its own for it (bridge_owner_fns.part): 1; 0: at path.  question's
 * path does not matter; query may be NULL. */
int bridge_peer_part(bridge_peer *peer, const char *path, bridge_msg *question, const char *query, char *out, size_t room);
/* Kept values whose path matches, as this peer names them and may read them; a non-zero return of fn stops and is returned. */
int bridge_peer_read(bridge_peer *peer, const char *pattern, int (*fn)(void *user, bridge_msg *msg), void *user);
/* Paths that somebody answers for (bridge_handle), as this peer names them and may read them; patterns with captures are not told. */
int bridge_peer_owned(bridge_peer *peer, int (*fn)(void *user, const char *path), void *user);
/* What stands behind "<path>" in a list of links (RFC 6690): bridge_describe()'s attributes, and where those say nothing of it, ct
 * (format; negative: not known), sz and obs.  Appends ";rt=..;ct=50;obs". */
int bridge_peer_link(bridge_peer *peer, const char *path, int format, size_t size, bridge_buffer *out);
/* Names one level below path ("" is the top), each once: last segment, whether a value is there, whether more is below. */
int bridge_peer_list(bridge_peer *peer, const char *path,
                     int (*fn)(void *user, const char *segment, bool has_value, bool has_children), void *user);

/* ---- Owners: a peer that answers for paths: a device, a resource of a foreign server, a client that registered as responder.
 * Questions (GET, PUT, POST, DELETE, PATCH from any protocol) come to call(), as with bridge_handle().  What the owning peer itself
 * submits is never asked back: it is news of the resource, and goes to whoever watches.
 *
 * A GET whose message has a payload is a FETCH (RFC 8132 2): the payload says which parts are wanted.
 *
 * What is kept: a GET is answered from what is kept while that has a ttl which is not over; else the owner is asked.  An owner whose
 * news (PUT with ttl: a CoAP notification and its Max-Age) or whose reply to GET carries a ttl is cached by this and asked once.
 * A successful PUT, POST, DELETE or PATCH ends the kept reply. */
typedef struct bridge_owner bridge_owner;
/* pattern: canonical, "devices/lamp/{path...}".  EXISTS: another owner has this very pattern.  The more specific pattern wins.
 * Ends with the peer: calls not yet answered are then answered for it with UNREACHABLE. */
int bridge_peer_own(bridge_peer *peer, const char *pattern, const bridge_owner_fns *fns, void *user, bridge_owner **out);
void bridge_owner_close(bridge_owner *owner);                    /* NULL is fine */
/* Link attributes (rt="x";ct=50) of its paths, for those that bridge_describe() says nothing of; replaces what was said.  NULL: none.
 * SYNTAX, TOOBIG, NOMEM. */
int bridge_owner_describe(bridge_owner *owner, const char *attributes);
void bridge_owner_forget(bridge_owner *owner, const char *path); /* what is kept there is out of date; nobody is told */
bool bridge_owner_is_wanted(const bridge_owner *owner, const char *filter); /* does anybody watch exactly this? */
const bridge_terms *bridge_call_terms(const bridge_call *call);  /* borrow; NULL: unconditional */

/* ---- Forwarding: a proxy's question to a server that any URI names, by whichever adapter speaks its scheme (RFC 7252 5.7, RFC 8075).
 * In CoAP's words, whatever is spoken on either side. */
typedef struct bridge_tag { /* an ETag */
    uint8_t len, bytes[8];
} bridge_tag;
typedef struct bridge_forward { /* borrow */
    size_t size;
    uint8_t code;    /* a CoAP method: 1 GET, 2 POST, 3 PUT, 4 DELETE, 5 FETCH, 6 PATCH, 7 iPATCH */
    const char *uri; /* absolute, as bridge_port_forward() was given it */
    bool public_only; /* not to addresses of private networks, or of this machine */
    const void *data;
    size_t len;
    int format, accept; /* bridge_format; -1: not said */
    const bridge_tag *etags, *if_match; /* an If-Match without bytes: whatever is there */
    unsigned etag_count, if_match_count;
    bool if_absent;
    uint8_t hops;    /* Hop-Limit to go on with (RFC 8768); 0: none */
    int64_t timeout; /* ms */
    bool observe;    /* stay (RFC 7641), where that can be done: the answers but the last say more */
    size_t slice;    /* a larger answer to GET may come in pieces of about so many bytes: the answers but the last say part */
} bridge_forward;
typedef struct bridge_forwarded {
    int status;   /* 0, or why there is no answer: TIMEOUT, UNREACHABLE, TOOBIG, PROTOCOL, BUSY ... */
    uint8_t code; /* a CoAP code: 0x45 is 2.05 */
    int format;   /* -1: not said */
    bridge_tag etag;
    int64_t max_age;      /* seconds; -1: not said */
    const char *location; /* a path reference, "/a/b?c", or NULL */
    const void *data;
    size_t len;
    bool more; /* an observation: there will be others */
    bool part; /* data is a piece of it; the next comes after go_on() */
} bridge_forwarded;
typedef struct bridge_passage { /* what is under way; first in the adapter's own */
    void (*cancel)(struct bridge_passage *p); /* fn is not called any more; also from fn, when it heard that there is more */
    void (*go_on)(struct bridge_passage *p);  /* the next piece is wanted; p may be gone afterwards */
} bridge_passage;
/* fn is called once, maybe before this returns; then *out is NULL.  Of an observation it is called until it hears one without more; *out is
 * good, and set before the first, until then.  Negative, and no fn: UNSUPPORTED nobody speaks the scheme, INVALID the
 * URI, BUSY, NOMEM.  Whether that URI may be asked is for the caller to know. */
int bridge_port_forward(bridge_port *port, const bridge_forward *question, bridge_forward_fn fn, void *user, bridge_passage **out);
#ifdef __cplusplus
}
#endif
#endif
