/* The client role. */
#include "adapter/coap/inside.h"

void ask_input(coap_peer *p, const coap_packet *packet)
{
    if (packet->type == COAP_CON) engine_send_empty(p, COAP_RST, packet->id); /* RFC 7252 4.2: nobody asked */
    if (packet->type == COAP_ACK) outbox_acked(p, packet->id, 0);
}

void asks_drop(coap_peer *p) { (void)p; }
void asks_done(coap_engine *e) { (void)e; }
