/* adapter/coap/directory.h - the resource directory (RFC 9176): one of a bridge, reached through every CoAP listener that has it.
 *
 *      register --2.01--> there --lt over, DELETE--> gone
 *                          ^ |
 *                          +-+  update; registered anew
 *
 *   directory.c         what is registered, how long      directory_serve.c   /rd, /rd/1234, /.well-known/rd
 *   directory_lookup.c  /rd-lookup/res, /rd-lookup/ep    keep.c   over a restart */
#ifndef COAP_DIRECTORY_H
#define COAP_DIRECTORY_H
#include "adapter/coap/listing.h"
#include "base/map.h"

enum { /* docs/limits.md */
    DIRECTORY_MAX = 10000,              /* registrations */
    DIRECTORY_LINKS = 64 * 1024,        /* bytes of the links of one */
    DIRECTORY_BYTES = 16 * 1024 * 1024, /* of all */
    DIRECTORY_NAME = 63,                /* bytes of ep and of d; RFC 9176 9.3 */
    DIRECTORY_EXTRA = 1024,             /* bytes of ep, d, base and other attributes together */
    DIRECTORY_LIFETIME = 90000,         /* s; RFC 9176 5 */
    DIRECTORY_FETCHES = 256,            /* devices that are being asked for their links */
    DIRECTORY_FETCH_TIME = 30000        /* ms a device has to tell its links, simple registration */
};

typedef struct registration {
    list link; /* in directory->all, oldest first */
    struct directory *directory;
    uint64_t id;
    timer life;
    uint32_t lt;
    bool base_said;    /* else it follows the address of the endpoint */
    char *key;         /* "ep\0d", of which ep and d are parts */
    text ep, d;
    char *base, *extra; /* extra: ";et=\"x\"", other attributes of the endpoint */
    char *user;        /* who registered it, when that was proved: nobody else may touch it; or NULL */
    char *links;       /* link-format, as it was registered */
    size_t links_len, key_len;
} registration;

typedef struct directory {
    coap_port *home;
    list all;
    list watchers; /* coap_watcher.place: of lookups */
    map by_key, by_id;
    size_t bytes, count, fetches;
    uint64_t last_id;
} directory;

directory *directory_of(coap_port *cp); /* NULL: this listener has none, or no memory */
directory *directory_make(coap_port *home);
void directory_free(directory *d);
void directory_links(coap_port *cp, listing *l); /* for /.well-known/core */

/* What an endpoint says of itself (RFC 9176 5, 5.3.1). */
typedef struct endpoint {
    text ep, d, base;
    const char *from; /* "coap://127.0.0.1:40000": base, when none is said */
    const char *user; /* or NULL */
    buf extra;
    uint32_t lt;
    bool has_lt;
} endpoint;
/* Puts it in the place of the one with the same name.  TOOBIG, BUSY over a limit, NOMEM. */
int directory_register(directory *d, const endpoint *e, const void *links, size_t len, registration **out, bool *created);
int directory_update(registration *r, const endpoint *e);
registration *directory_find(directory *d, text id);
registration *directory_named(directory *d, text ep, text sector);
void directory_remove(registration *r);

/* keep.c, over a restart */
typedef struct directory_kept {
    uint64_t id;
    int64_t left; /* ms */
    uint32_t lt;
    bool base_said;
    text ep, d, base, extra, user, links;
} directory_kept;
void registration_keep(const registration *r);
void registration_keep_not(const registration *r);
void directory_restore(directory *d, const directory_kept *k);

/* directory_serve.c: true, it was for us */
bool directory_serve(coap_port *cp, coap_request *r, bridge_peer *peer, const char *path);

/* directory_lookup.c */
void directory_lookup(directory *d, coap_port *cp, coap_request *r, bridge_peer *peer, bool endpoints);
#endif
