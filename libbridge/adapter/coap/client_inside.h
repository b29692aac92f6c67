/* adapter/coap/client_inside.h - what the files of the client share; nobody else includes it. */
#ifndef COAP_CLIENT_INSIDE_H
#define COAP_CLIENT_INSIDE_H
#include "adapter/coap/client.h"
#include "adapter/coap/via.h"
#include "base/buf.h"
#include "base/list.h"
#include "loop/stream.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { CLIENT_IN = 65536, FAR_ADDRESSES = 4, CLIENT_ROUNDS = 64 };

typedef union far_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} far_address;
static inline socklen_t far_address_len(const far_address *a) { return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4; }

typedef struct lookup { /* may outlive its far: libuv's threads work for it */
    uv_getaddrinfo_t request;
    struct coap_far *far; /* NULL: nobody waits */
    mem *mem;
} lookup;

struct coap_client {
    bridge_port *port;
    mem *mem;
    loop *loop;
    coap_engine *engine;
    list fars;
    unsigned count;
    timer tick;
    buf out;     /* scratch: the message being written */
    uint8_t *in; /* scratch: the datagram that came */
};

typedef enum far_state { FAR_IDLE, FAR_FINDING, FAR_JOINING, FAR_UP } far_state;

struct coap_far {
    coap_via via;
    list link;
    coap_client *client;
    coap_peer *peer; /* one for life; parked while this is not up */
    coap_transport transport;
    far_state state;
    char *host, *name;
    int number;
    bool numeric, closed, public_only;
    far_address addresses[FAR_ADDRESSES];
    unsigned address_count, address_at;
    lookup *lookup;
    timer begin, patience, fall, bury;
    int64_t patient;
    int fall_status;
    char why[160];
    void (*on_change)(void *user, int status, const char *why);
    void *user;
    coap_secrets *secrets;
    /* UDP, DTLS */
    int fd;
    bridge_event *event;
    struct far_session *session; /* DTLS */
    /* TCP, TLS */
    struct far_link *stream;
};

struct coap_secrets {
    mem *mem;
    unsigned refs;
    struct ssl_ctx_st *ctx;
    struct bio_method_st *method;
    char *identity;
    uint8_t key[64];
    unsigned key_len;
    bool verify;
};

struct ssl_st *secrets_ssl(const coap_far *f); /* that asks for f's name; NULL: no memory */

void client_rearm(coap_client *c);
void far_up(coap_far *f);
void far_down(coap_far *f, int status, const char *why); /* soon; its reason is told, what is asked fails with status */
static inline const far_address *far_where(const coap_far *f) { return &f->addresses[f->address_at]; }

int far_socket(coap_far *f, void (*on_readable)(void *user, unsigned events)); /* connected; 0 or a status */
void far_udp_join(coap_far *f);
void far_udp_drop(coap_far *f); /* the socket */
void far_dtls_join(coap_far *f);
void far_dtls_drop(coap_far *f);
void far_link_join(coap_far *f);
void far_link_drop(coap_far *f);
#endif
