/* adapter/coap/via.h - how a peer is reached that has a connection; the engine's link.  First in what it is part of. */
#ifndef COAP_VIA_H
#define COAP_VIA_H
#include <stddef.h>
#include <stdint.h>

typedef struct coap_via {
    uint8_t *(*room)(struct coap_via *via, size_t len);
    void (*send)(struct coap_via *via, const uint8_t *p, size_t len);
    struct bridge_port *port; /* where it came in, when that is not the port that has it (WebSocket); or NULL */
    const char *name, *user; /* user: the name that TLS has proved, or NULL */
} coap_via;
#endif
