/* adapter/coap/dtls.h - CoAP over DTLS 1.2 (RFC 7252 9.1): pre-shared keys, or certificates, or both, on one UDP socket.
 *
 *      first ClientHello -> HelloVerifyRequest with a cookie, nothing is kept -> ClientHello with it -> a session
 *      session: handshake (retransmitted by OpenSSL) -> a peer of the engine -> close_notify, error, idle, or pushed out */
#ifndef COAP_DTLS_H
#define COAP_DTLS_H
#include "adapter/coap/coap.h"

typedef struct coap_dtls coap_dtls;
extern const char *const coap_dtls_options[]; /* of the URL; NULL-terminated */
int coap_dtls_open(coap_dtls **out, coap_port *cp, const bridge_url *u, bridge_error *err); /* cp->udp is set */
/* Other options for the same socket: they hold for who comes from now on; sessions stay.  On failure nothing has changed. */
int coap_dtls_change(coap_dtls *d, const bridge_url *u, bridge_error *err);
/* Sessions of this name or identity (NULL: all) that would not come in today with the same key end. */
void coap_dtls_recheck(coap_dtls *d, const char *identity);
void coap_dtls_close(coap_dtls *d); /* says goodbye to all; NULL is fine.  The engine must still be there */
#endif
