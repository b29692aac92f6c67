/* adapter/coap/link.h - CoAP over TCP, TLS and WebSocket (RFC 8323): a stream is a peer.
 *
 *      accepted -> our CSM goes out -> theirs must come first -> requests, pings -> Release, Abort or the end of the stream */
#ifndef COAP_LINK_H
#define COAP_LINK_H
#include "adapter/coap/coap.h"
#include "loop/stream.h"

int coap_links_open(coap_port *cp, const bridge_url *u, bool secure, bridge_error *err); /* listens; cp->listener is set */
/* One that somebody else accepted: RFC 8323 4, each message with its length in front (4 bytes). */
int coap_links_take(coap_port *cp, bridge_port *via, stream *s);
void coap_links_close(coap_port *cp);                                       /* listens no more and says goodbye to all */
#endif
