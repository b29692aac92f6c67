/* core/target.h - whom a proxy is asked to ask: absolute URIs taken apart, and the list of those it may ask.
 *
 * The list: entries with commas between, each [scheme://]host[:port].  An open proxy is a hole, so all that is not said is closed.
 *      coap://10.0.0.7         that address, the scheme's own port           no scheme: coap
 *      10.0.0.0/8:*            addresses of a network, any port
 *      *.example.com  *        names that end so, and every host; of these only public addresses, wherever the names lead */
#ifndef CORE_TARGET_H
#define CORE_TARGET_H
#include "base/mem.h"
#include "base/text.h"

enum { TARGET_URI_MAX = 8192, TARGET_HOST_MAX = 255, TARGET_ALLOWED_MAX = 256 };

typedef struct target {
    char scheme[16], host[TARGET_HOST_MAX + 1]; /* lower case; an IPv6 address without its brackets */
    int port;       /* the scheme's when it was not said */
    bool port_said;
    text path, query; /* as they came, with their escapes; path with its leading '/', or empty; query.p NULL: no '?' */
} target;
/* INVALID: not an absolute URI of a known scheme, with a user name or a fragment, or with bytes that no URI has. */
int target_read(target *out, text uri);

typedef struct allowed allowed;
int allowed_new(allowed **out, mem *m, const char *list, bridge_error *err); /* INVALID with a sentence */
void allowed_free(allowed *a); /* NULL is fine */
bool allowed_may(const allowed *a, const target *t, bool *public_only);

struct sockaddr;
bool address_is_public(const struct sockaddr *a); /* not this machine's, private, link-local, multicast or reserved */
#endif
