/* adapter/coap/forward_inside.h - what the two files of the forwarder share; nobody else includes it. */
#ifndef COAP_FORWARD_INSIDE_H
#define COAP_FORWARD_INSIDE_H
#include "adapter/coap/client.h"
#include "hub/far_cache.h"
#include "adapter/coap/forward.h"
#include "adapter/coap/saying.h"
#include "core/target.h"
#include "hub/port.h"

typedef struct forwarder {
    bridge_port *port;
    mem *mem;
    loop *loop;
    coap_client *client;
    far_cache cache;
    coap_secrets *dtls, *tls;
    map by_name;
    list used; /* server, the longest unused first */
    map seen_by_key; /* observations; forward_observe.c */
    timer sweep;
    uint64_t requests, fresh, revalidated, notifications, errors;
} forwarder;

typedef struct server { /* an association */
    list used;
    forwarder *f;
    coap_far *far;
    unsigned busy;
    int64_t seen;
    uint32_t len;
    char name[];
} server;

typedef struct passage { /* somebody's question */
    bridge_passage base;
    forwarder *f;
    server *server;
    coap_ask *ask;
    bridge_forward_fn fn;
    void *user;
    bridge_tag etags[4]; /* the asker's own */
    unsigned etag_count;
    list link;         /* among those that one observation serves */
    struct seen *seen; /* that observation, or NULL */
    bool get, done, pieces;
    uint8_t code;
    size_t key_len;
    char key[];
} passage;

int forward_server(forwarder *f, const target *t, bool public_only, server **out); /* BUSY, NOMEM */
void forward_say_target(coap_saying *s, const target *t);
void forward_retell(const passage *p, bridge_forwarded *a); /* 2.03 and no bytes when the asker has just that */
void passage_free(passage *p);

/* forward_observe.c.  p stays until its fn has heard the last, or it is taken back. */
bool forward_may_observe(const passage *p, const bridge_forward *q);
int forward_observe(passage *p, const bridge_forward *q, const target *t, bridge_passage **out);
void forward_leave(passage *p); /* it no longer wants to be told */
#endif
