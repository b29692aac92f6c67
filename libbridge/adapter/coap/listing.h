/* adapter/coap/listing.h - a list of links (RFC 6690), filtered by the query of who asked for it. */
#ifndef COAP_LISTING_H
#define COAP_LISTING_H
#include "adapter/coap/coap.h"
#include "codec/link.h"

enum {
    LISTING_MAX = 1 << 20,  /* bytes of one list; what comes after is left out */
    LISTING_FILTERS = 8     /* in one query; more are 4.00 */
};

typedef struct listing {
    mem *mem;
    buf out, href, params; /* href, params: scratch for who makes links */
    buf words;             /* of the query */
    link_filter filters[LISTING_FILTERS];
    unsigned filter_count;
    const coap_option *tags; /* what the asker has; the request's own */
    unsigned tag_count;
    coap_watcher *watcher; /* who asks to be told again; or NULL */
} listing;

int listing_begin(listing *l, mem *m, const coap_request *r); /* takes the filters; INVALID; done must follow in any case */
int listing_begin_again(listing *l, mem *m, const char *query); /* the same, as listing_query() has put it */
int listing_query(buf *b, const coap_request *r); /* "rt=x&count=2&", for coap_watch_made(); INVALID: it cannot be said so */
void listing_done(listing *l);
int listing_add(listing *l, text target, text params); /* if it fits; a full list takes no more: TOOBIG */
/* "/" mount "/" path, with what a URI needs escaped, in l->href. */
int listing_href(listing *l, const char *mount, const char *path, text *href);
void listing_answer(listing *l, coap_request *r); /* 2.05 or 2.03 */
bool listing_may(coap_request *r); /* GET, and link-format is accepted; else it has been answered */

/* The n-th query "name=value"; false: no more. */
bool coap_query_next(coap_options *walk, text *name, text *value, bool *has_value);
#endif
