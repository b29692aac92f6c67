/* adapter/coap/client.h - CoAP towards others: associations that are opened when there is something to ask, and again when they
 * were lost.  For uplinks, owners, proxies; several rooms may use it.
 *
 *      coap_far_ask() --> parked --> finding (name) --> joining (TCP, handshake) --> up: sent --> answers
 *                           ^                                                        |
 *                           +--------- coap_far_ask() again <------- down <---------+-- lost, silent, refused
 *
 * An ask is an engine's coap_ask, whatever the transport: blocks both ways, observation, retransmission, NSTART and limits are the
 * engine's (engine.h).  While its destination is not up it waits, up to its timeout; when that cannot be reached it fails with
 * UNREACHABLE.  Names are looked up without blocking; each destination has a socket of its own, so that answers of others never
 * come in (RFC 7252 4.4) and refusals (ICMP) are heard at once.
 *
 * Who wants to ask somebody that came to a listener (an LwM2M device) needs none of this: coap_ask_new() on the coap_peer of its
 * requests goes out from the listener's port, over the same UDP, DTLS, TCP or TLS association.  Hold such a peer with
 * coap_peer_pin() while you need it; on_peer_gone tells that it ended with its connection all the same. */
#ifndef COAP_CLIENT_H
#define COAP_CLIENT_H
#include "adapter/coap/engine.h"
#include "bridge/sys/adapter.h"

typedef struct coap_client coap_client; /* many destinations, one engine */
typedef struct coap_far coap_far;       /* a destination */

typedef enum coap_transport { COAP_UDP, COAP_DTLS, COAP_TCP, COAP_TLS } coap_transport;
int coap_transport_of(const char *scheme);         /* "coap", "coaps", "coap+tcp", "coaps+tcp"; negative: none of them */
const char *coap_transport_scheme(coap_transport t);
int coap_transport_port(coap_transport t);         /* 5683, 5684 */

/* limits as for an engine, plus: at most max_peers destinations.  port: for sockets and log lines. */
int coap_client_new(coap_client **out, bridge_port *port, const coap_limits *wanted, bridge_error *err);
void coap_client_free(coap_client *c); /* all destinations are closed, their asks end silently; not from an answer; NULL is fine */
coap_engine *coap_client_engine(coap_client *c);

/* What keeps a DTLS or TLS association safe; all NULL: the system's authorities.  Files in PEM. */
typedef struct coap_secrets coap_secrets; /* counted: several destinations may share it */
extern const char *const coap_secrets_options[]; /* of a URL: psk_file, identity, cert, key, ca, verify; NULL-terminated */
int coap_secrets_new(coap_secrets **out, mem *m, coap_transport transport, const bridge_url *u, bridge_error *err); /* IO, SYNTAX, INVALID */
void coap_secrets_unref(coap_secrets *s);

typedef struct coap_far_options {
    coap_transport transport;
    const char *host; /* a name or an address; copied */
    int port;         /* -1: the transport's */
    coap_secrets *secrets; /* DTLS, TLS; a reference is taken */
    bool public_only; /* a name or address of a private network is UNREACHABLE */
    int64_t patience; /* ms until an association that does not come about is given up; 0: 10 s */
    /* Optional: it is up (0), or down, and why.  Not called for what is closed.  Do not free the client from it. */
    void (*on_change)(void *user, int status, const char *why);
    void *user;
} coap_far_options;
int coap_far_open(coap_far **out, coap_client *c, const coap_far_options *options); /* nothing is sent yet; NOMEM, BUSY */
void coap_far_close(coap_far *f);       /* its asks end silently, observations are not cancelled; from anywhere; NULL is fine */
bool coap_far_is_up(const coap_far *f); /* UDP: as soon as its name was found */
const char *coap_far_name(const coap_far *f); /* "coap://host:port" */

/* As coap_ask_new(), now or when it is up.  BUSY over limits.peer_asks.  End it with coap_ask_cancel(). */
int coap_far_ask(coap_ask **out, coap_far *f, const coap_question *question, coap_answer_fn fn, void *user);
void coap_far_go_on(coap_far *f, coap_ask *ask); /* coap_ask_go_on(), of one of its asks */
void coap_far_restart(coap_far *f); /* forget the association: the next ask looks up the name and joins anew */
#endif
