/* adapter/coap/forward.h - asking CoAP servers that URIs name, for proxies of any protocol; bridge_port_forward(). */
#ifndef COAP_FORWARD_H
#define COAP_FORWARD_H
#include "bridge/sys/adapter.h"

enum {
    FORWARD_FARS = 256,       /* servers at a time; the one longest unused goes */
    FORWARD_SEEN = 1000,      /* resources observed for others at a time; more are answered without Observe */
    FORWARD_SEEN_BODY = 1024, /* bytes of a FETCH that is observed for others */
    FORWARD_IDLE = 5 * 60000, /* ms; then an association that nobody used is let go */
    FORWARD_TIME = 100000     /* ms for an answer, when nothing is said: above MAX_RTT + MAX_SERVER_RESPONSE_DELAY (RFC 8075 8.5) */
};

struct forwarder;
int coap_forward(bridge_port *home, const bridge_forward *q, bridge_forward_fn fn, void *user, bridge_passage **out);
void forwarder_free(struct forwarder *f); /* nothing may be under way; NULL is fine */
void forwarder_stats(const struct forwarder *f /* NULL: not made yet */, bridge_stat_fn fn, void *user);
#endif
