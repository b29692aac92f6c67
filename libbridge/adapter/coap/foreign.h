/* adapter/coap/foreign.h - a foreign CoAP server as an owner: what lies below a URL becomes what a pattern matches.
 *
 *      foreign.c          the URL, the association, health        foreign_call.c      questions pass through
 *      foreign_observe.c  one observation for all who watch       foreign_discover.c  what is there */
#ifndef COAP_FOREIGN_H
#define COAP_FOREIGN_H
#include "adapter/coap/client.h"
#include "hub/far_cache.h"
#include "adapter/coap/saying.h"
#include "core/pattern.h"
#include "hub/port.h"

enum {
    FOREIGN_TIMEOUT = 30000,  /* ms for an answer, unless the asker waits less */
    FOREIGN_RETRY = 1000,     /* ms, doubled up to ... */
    FOREIGN_RETRY_MAX = 60000,
    FOREIGN_REFRESH = 300,    /* s between two looks at what is there */
    FOREIGN_OBSERVED = 1000,  /* resources observed at a time */
    FOREIGN_FOUND = 1000,     /* resources that are listed */
    FOREIGN_NO_LIMIT = -1
};

typedef struct foreign {
    bridge_port *port;
    mem *mem;
    loop *loop;
    coap_client *client;
    coap_far *far;
    far_cache cache;
    bridge_peer *peer;
    bridge_owner *owner;
    pattern *pattern;
    char *base, *host; /* base: "sensors"; host: to be said as Uri-Host, or NULL */
    int64_t timeout, retry, poll, refresh; /* ms; poll 0: as its Max-Age says; refresh 0: never */
    uint8_t listing_tag[8], listing_tag_len; /* of its /.well-known/core */
    int64_t max_age;              /* seconds at most, or FOREIGN_NO_LIMIT */
    bool observe, discover, closing;
    list questions, observed; /* observed: in the order of beginning */
    map observed_by_path;
    list wild;                /* filters with wildcards that somebody watches */
    list found;               /* resources that are listed */
    map found_by_path;
    coap_ask *probe;
    timer probing, looking, bury; /* looking: for what is new there */
    unsigned probes;          /* in vain, one after the other */
    bool up, was_told;        /* up: the last exchange came to an end; was_told: in the log */
    uint64_t requests, errors, notifications, revalidated;
} foreign;

int foreign_check(const bridge_url *u, bridge_error *err);
int foreign_open(foreign **out, bridge_port *port, const bridge_url *u, bridge_error *err);
void foreign_close(foreign *f); /* ends with bridge_port_closed() */
void foreign_stats(const foreign *f, bridge_stat_fn fn, void *user);

void foreign_heard(foreign *f, int status); /* of each exchange: is it up? */
int foreign_path(foreign *f, text path, char *out, size_t room); /* the path over there: its length, or negative */
/* The path here of what is at "/a/b%20" over there, NUL-terminated in out.  1, 0: not ours, or negative. */
int foreign_path_here(const foreign *f, text target, buf *out);
void foreign_say_where(foreign *f, coap_saying *s, text far_path);
int64_t foreign_ttl(const foreign *f, const coap_answer *a); /* ms */

/* foreign_call.c */
void foreign_call(void *user, bridge_call *call);
void foreign_cancel(void *user, bridge_call *call);
void foreign_calls_end(foreign *f);

/* foreign_observe.c */
void foreign_interest(void *user, const char *filter, bool wanted);
void foreign_want(foreign *f, const char *path, int change); /* one more, or one less, that watches it */
void foreign_observed_end(foreign *f);
void foreign_found_one(foreign *f, const char *path, int change); /* it has become known (1), or is no longer there (-1), for filters with wildcards */
bool foreign_wait_news(foreign *f, bridge_call *call); /* its first news are under way: they will answer it */
bool foreign_forget_call(foreign *f, bridge_call *call);

/* foreign_discover.c */
void foreign_probe(foreign *f);
void foreign_probe_later(foreign *f); /* with back-off */
void foreign_found_end(foreign *f);
bool foreign_is_list(foreign *f, bridge_call *call); /* "plant/", where we know what is below, and that this is nothing itself */
void foreign_each_found(foreign *f, void (*fn)(foreign *f, const char *path, void *user), void *user);
#endif
