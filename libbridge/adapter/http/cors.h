/* adapter/http/cors.h - which pages of other origins may use a listener, and what they may do (Fetch, "CORS protocol"). */
#ifndef HTTP_CORS_H
#define HTTP_CORS_H
#include "base/mem.h"
#include "base/text.h"
#include "bridge/bridge.h"
#include "bridge/sys/adapter.h"
#include "core/url.h"

enum { CORS_MAX_AGE = 86400 }; /* s that a browser may keep what a preflight was told */

typedef struct cors {
    mem *mem;
    char *origins;     /* between commas; "*" alone: any */
    bool any;          /* every answer says "*" */
    bool credentials;
    char *always;      /* lines of each answer to a page of an allowed origin */
    char *preflight;   /* and of the answers to OPTIONS */
} cors;

extern const char *const cors_options[]; /* of a listener's URL; NULL at the end */
int cors_new(cors **out, mem *m, const url *u, bridge_error *err); /* *out NULL: no other origins */
void cors_free(cors *c);
bool cors_allows(const cors *c, text origin); /* c may be NULL */
#endif
