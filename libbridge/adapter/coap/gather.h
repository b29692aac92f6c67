/* adapter/coap/gather.h - an answer, or a notification, made of many values: what does not fit into one slice (hub/walk.h) is made a
 * slice a turn of the loop, so that nobody waits for it.  Of a listener the first is under way, the others wait behind it.
 *
 *      coap_gather_begin() --all of it--> done()
 *                          --there is more--> kept, in cp->gathers --slices--> done() */
#ifndef COAP_GATHER_H
#define COAP_GATHER_H
#include "adapter/coap/coap.h"
#include "hub/walk.h"

typedef struct coap_gather coap_gather;
typedef struct coap_gather_kind {
    int (*add)(coap_gather *g, bridge_msg *msg); /* appends to out; negative ends it */
    void (*done)(coap_gather *g, int rc);        /* answers; it is freed after */
    void (*keep)(coap_gather *g);                /* or NULL: the request's packet goes, its wait has the tags */
    void (*free)(coap_gather *g);                /* what it has beside this */
} coap_gather_kind;

struct coap_gather {
    const coap_gather_kind *kind; /* yours to fill in, as are those down to out */
    coap_port *cp;
    bridge_peer *peer;
    coap_request *request;        /* who is answered; NULL: the watcher is notified */
    coap_watcher *watcher;        /* or NULL */
    bool confirm;
    bridge_format pack;           /* a SenML pack; AUTO: what add() says */
    const bridge_msg *question;   /* of a FETCH, or NULL; borrow */
    buf *out;                     /* what stands in front of the values is in it */
    list link;                    /* private from here on: in cp->gathers */
    coap_wait *wait;              /* has the request once it is kept */
    hub_walk *walk;               /* NULL: it has not begun, or begins anew when it is its turn */
    struct packer *packer;
    size_t front, slice;          /* of out: what stands in front; where this slice began */
    bool again;                   /* something has changed meanwhile */
    char *pattern;
};

/* Takes g, which is mem_alloc'ed; done() may be called before it returns. */
void coap_gather_begin(coap_gather *g, const char *pattern);
void coap_gather_again(coap_gather *g, bool confirm); /* what is watched has changed */
void coap_gather_unwatched(coap_gather *g);           /* its watcher is gone: the question is still answered */
void coap_gather_free(coap_gather *g);                /* NULL is fine; nobody is answered */
#endif
