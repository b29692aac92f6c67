/* adapter/http/server.h - a connection and what it goes through.
 *
 *      READY ---> ASKED ---> READY ...      a request is read; its answer comes at once or later (an owner, a long poll)
 *        |  \---> EVENTS                    server-sent events until one side closes
 *        |  \---> SOCKET                    WebSocket: MQTT, CoAP or our JSON on it
 *        |  \---> H2                        the preface came: HTTP/2, h2.h; each of its requests has an http_conn of its own
 *        \------> DRAIN                     said no; what the client still sends is thrown away for a moment, so that it
 *                                           gets to read why (RFC 9112 9.6)
 * conn_enter() asserts that the arrow exists. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H
#include "adapter/http/head.h"
#include "adapter/http/media.h"
#include "adapter/http/target.h"
#include "base/list.h"
#include "base/map.h"
#include "bridge/sys/adapter.h"
#include "hub/far_cache.h"
#include "loop/stream.h"

struct tls;

/* The limits of one listener; docs/limits.md. */
enum {
    HTTP_HEAD_TIME = 10 * 1000,     /* ms for a head, from its first byte */
    HTTP_BODY_TIME = 30 * 1000,     /* ms for a body, and one more for each of HTTP_BODY_RATE bytes */
    HTTP_BODY_RATE = 16,            /* bytes a ms: 16 kB/s */
    HTTP_IDLE_TIME = 75 * 1000,     /* ms between requests */
    HTTP_DRAIN_TIME = 1000,         /* ms that we listen to one we said no to */
    HTTP_DRAIN_BYTES = 1024 * 1024,
    HTTP_MAX_CONNECTIONS = 10000,
    GATHER_HIGH = 128 * 1024,       /* bytes on their way; above, a wildcard read waits for its reader */
    GATHER_STUCK = 30 * 1000,       /* ms that they may wait without moving */
    HC_SLICE = 64 * 1024,           /* bytes of an answer of a CoAP server; more of it waits until the client has taken these */
    HTTP_MAX_WAIT = 300,            /* s of Prefer: wait */
    HTTP_LATER = 1000,              /* requests with Prefer: respond-async, with their answers */
    HTTP_LATER_TIME = 300 * 1000,   /* ms that their owners have */
    HTTP_LATER_KEPT = 300 * 1000,   /* ms that the answer is kept */
    HTTP_BEAT = 15 * 1000,          /* ms between comments on a quiet event stream */
    HTTP_EVENTS_HIGH = 256 * 1024,  /* bytes on their way to one watcher; above, newest per path only */
    HTTP_LATE_PATHS = 1024,         /* paths kept for a slow watcher */
    HTTP_REF_BYTES = 16 * 1024      /* payloads above are sent from where they lie */
};

/* What a peer's state is: who takes its deliveries. */
typedef struct taker {
    void (*deliver)(struct taker *t, bridge_msg *msg, const bridge_delivery *how);
    bool (*hungry)(struct taker *t); /* has it room for more of what is kept?  NULL: always */
} taker;

typedef struct http_port {
    struct http_out *abroad; /* not a listener: out.h; the rest is zero then */
    bridge_port *port;
    loop *loop;
    mem *mem;
    listener *listener;
    struct tls *tls;
    char *mount; /* "/resources", "" for the root */
    struct allowed *targets; /* of /hc/; or NULL */
    struct cors *cors; /* NULL: pages of other origins may not */
    bool sockets_only; /* ws://, wss://, mqtt+ws:// */
    bool routes_write; /* hand.c */
    bool closing, told_closed;
    size_t max_body;
    uint64_t max_connections;
    int64_t idle_time;
    list conns;
    uint64_t count, inside; /* of conns; of those, requests of HTTP/2 connections, which are not in count */
    buf out;        /* scratch for one answer's head */
    buf body;       /* scratch for bodies made here */
    buf frame;      /* scratch for one unmasked frame */
    list laters;    /* later.c */
    size_t later_count;
    far_cache kept; /* of the home: what other servers told proxies; forward.c */
    buf name;       /* scratch for the name that a target says */
    int64_t date_second;
    char date[DATE_LEN + 1];
    uint64_t accepted, refused, requests, errors, timeouts, watchers, events, skipped, dropped, sockets;
} http_port;

typedef enum conn_state { CONN_READY, CONN_ASKED, CONN_EVENTS, CONN_SOCKET, CONN_DRAIN, CONN_H2 } conn_state;

typedef struct http_conn {
    taker taker;
    list link;
    http_port *port;
    stream *s;
    bridge_peer *peer;      /* NULL until the first request that needs one */
    uint8_t login[32];      /* digest of the Authorization that made the peer */
    uint8_t state;          /* conn_state */
    bool head_only, keep_alive, minor0, cross, allowed; /* of the request at hand; cross: it has an Origin; allowed: and
                                                               * cors lets that in */
    bool waits;             /* the request at hand prefers so, and is heard (RFC 7240 4.3) */
    bool continued;         /* its body is awaited */
    bool fresh;             /* nothing has come yet: HTTP/2 may */
    bool inside;            /* one request of an HTTP/2 connection */
    timer clock;
    int64_t deadline;       /* the clock may ring earlier; then it is set again */
    size_t seen;            /* of the head that is coming */
    chunks body;
    size_t drained;
    uint64_t stored;        /* version of what this request has put in its place, or 0 */
    char *origin;           /* of the request at hand, or of one before it; NULL: none that CORS allows was seen */
    char *kept;             /* the head of the request that is ASKED */
    size_t kept_len;
    bridge_ticket *ticket;
    struct bridge_passage *passage; /* ASKED for another server: hc.c */
    struct request *asking;         /* while hc_serve() runs */
    struct hc_pieces *pieces;       /* what comes of it is passed on in pieces */
    struct watcher *watcher; /* EVENTS, or ASKED with Prefer: wait */
    struct gather *gather;  /* ASKED: a long answer is under way, gather.h */
    struct websocket *socket;   /* SOCKET */
    struct h2 *h2;              /* H2 */
} http_conn;

/* A request as handlers see it; borrowed from the connection's buffer. */
typedef struct request {
    http_conn *conn;
    const http_head *head;
    const char *raw; /* of the head, to keep it */
    size_t raw_len;
    text path, query; /* of the target, as they came */
    const uint8_t *body;
    size_t body_len;
} request;

/* conn.c */
void conn_accept(void *port, stream *s);
void conn_deliver(taker *t, bridge_msg *msg, const bridge_delivery *how);
bool conn_hungry(taker *t);
http_conn *conn_within(http_port *p, stream *s); /* of one request of HTTP/2; NULL: no memory */
void conn_refuse(http_conn *c, int status, const char *why); /* and nothing more is read */
void conn_enter(http_conn *c, conn_state to);
void conn_deadline(http_conn *c, int64_t in_ms);
void conn_watch(http_conn *c, size_t *waited); /* a large answer on its way: the end when nothing has moved since the last look */
int conn_peer(http_conn *c, const request *r); /* the peer, logged in: 0, UNAUTHENTICATED, DENIED, ... */
int conn_keep(http_conn *c, const request *r); /* the request's head outlives this call */
void conn_done(http_conn *c);                  /* the answer of an ASKED request has been written */
/* Parses what conn_keep() kept. */
void conn_recall(http_conn *c, http_head *h, request *r);

/* http.c */
void port_check_closed(http_port *p);

/* dispatch.c: which handler a target has */
void dispatch(request *r);
void answer_not_allowed(request *r, const char *detail); /* 405, with the Allow that OPTIONS would say; detail may be NULL */
bool origin_may(const request *r); /* act here, not only read */
bool origin_is_ours(const request *r);

/* resource.c: one path.  collect.c: many.  watch.c: from now on.  site.c: the page and what is about the bridge itself. */
#define ALLOW_READING "GET, HEAD, OPTIONS"
#define ALLOW_ALL "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS"
void resource_serve(request *r, text below);
const char *resource_allow(request *r, text below); /* what OPTIONS says of it: of an owner's path nobody knows before trying */
void collect_read(request *r, const char *pattern);
void collect_core(request *r); /* /.well-known/core: all there is, or what the query filters (RFC 6690 4.1) */
void collect_list(request *r, const char *path);
void watch_events(request *r, const char *pattern, bool exact);
/* Prefer: wait.  True: the answer comes later. */
bool watch_wait(request *r, const char *path, uint64_t seconds);
void watch_deliver(http_conn *c, bridge_msg *msg, const bridge_delivery *how);
void watch_end(http_conn *c);
void watch_drained(http_conn *c);
bool watch_hungry(const http_conn *c);
void watch_tick(http_conn *c);
bool site_serve(request *r); /* false: not one of its targets */
bool site_has(text path);
void describe_serve(request *r); /* describe.c: the OpenAPI description */
bool later_has(text path);
bool package_serve(request *r); /* package.c; false: not one of its targets */
bool package_has(const request *r);
/* The value of a resource as the answer to GET and HEAD: negotiated, conditional, in part. */
void resource_answer(request *r, int status, bridge_msg *msg);
bool http_none_match(const http_head *h, text tag); /* If-None-Match names none that is this one: RFC 9110 13.1.2 */
/* Does the asker have it already (If-None-Match, If-Modified-Since)? */
bool resource_is_known(const request *r, bridge_msg *msg);

void resource_finish(request *r, bridge_verb verb, const char *name, int outcome, bridge_msg *reply); /* says what became of a request */

/* later.c: Prefer: respond-async */
typedef struct later later;
bool later_wanted(const request *r);
later *later_new(request *r, bridge_verb verb, const char *name); /* NULL: no memory */
int later_submit(later *l, bridge_msg *msg, const bridge_terms *terms, bridge_msg **reply); /* not PENDING: free it */
void later_say(http_conn *c, const later *l);                     /* 202 */
void later_free(later *l);
bool later_serve(request *r); /* false: not its target */

/* socket.c */
bool socket_wanted(const request *r);
void socket_open(request *r);
size_t socket_data(http_conn *c, const uint8_t *data, size_t len);
void socket_deliver(http_conn *c, bridge_msg *msg, const bridge_delivery *how);
void socket_drained(http_conn *c);
void socket_tick(http_conn *c);
void socket_gone(http_conn *c, int status); /* the connection below has closed */
void socket_bye(http_conn *c);              /* the bridge is closing */
#endif
