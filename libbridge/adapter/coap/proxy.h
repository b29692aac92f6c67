/* adapter/coap/proxy.h - requests that are for somebody else. */
#ifndef COAP_PROXY_H
#define COAP_PROXY_H
#include "adapter/coap/coap.h"

bool coap_is_proxied(const coap_request *r);
void coap_proxy(coap_port *cp, coap_request *r); /* answers, now or later */
void coap_proxy_dropped(coap_request *r);        /* nobody waits for its answer any more */
void coap_proxy_unwatched(struct proxied *x);    /* nobody observes any more */
#endif
