/* adapter/coap/udp.h - a datagram socket for many peers: reads all there is with recvmmsg, writes what was answered with one
 * sendmmsg.  Answers leave from the address the question came to. */
#ifndef COAP_UDP_H
#define COAP_UDP_H
#include "adapter/coap/engine.h"
#include "bridge/sys/adapter.h"

typedef struct coap_udp coap_udp;
typedef void (*coap_udp_fn)(void *user, const coap_address *from, const uint8_t *p, size_t len, bool multicast);
/* host "": every address, IPv4 and IPv6 alike.  port 0: any. */
int coap_udp_open(coap_udp **out, bridge_port *port, const char *host, int number, coap_udp_fn fn, void *user, bridge_error *err);
void coap_udp_close(coap_udp *u); /* NULL is fine; what is not sent is lost */
int coap_udp_port(const coap_udp *u);
/* on_batch comes after some were handed over, before the answers are written out. */
void coap_udp_on_batch(coap_udp *u, void (*fn)(void *user), void *user);
uint8_t *coap_udp_room(coap_udp *u, size_t len); /* NULL: the kernel takes no more now */
void coap_udp_send(coap_udp *u, const coap_address *to, const uint8_t *p, size_t len); /* p lies in what room gave last */
void coap_udp_flush(coap_udp *u);
uint64_t coap_udp_lost(const coap_udp *u); /* messages the kernel did not take */
/* Leaves the groups of one word and joins those of another (NULL, "no": none).  On failure nothing has changed. */
int coap_udp_regroup(coap_udp *u, const char *was, const char *where, bridge_error *err);
/* Joins the All CoAP Nodes groups (RFC 7252 12.8) on an interface, or on the one the system chooses ("yes"). */
int coap_udp_multicast(coap_udp *u, const char *where, bridge_error *err);

enum { COAP_ADDRESS_TEXT = 64 };
void coap_address_text(const coap_address *a, char *out); /* "127.0.0.1:40000", "[::1]:40000" */
#endif
