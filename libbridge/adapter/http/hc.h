/* adapter/http/hc.h - /hc/<uri>: HTTP to CoAP (RFC 8075). */
#ifndef HTTP_HC_H
#define HTTP_HC_H
#include "adapter/http/server.h"
#include "hub/port.h"

extern const port_link hc_links[]; /* RFC 8075 5.5: how CoAP servers are asked through us */
bool hc_wanted(const request *r);
void hc_serve(request *r);
void hc_drained(http_conn *c);
void hc_tick(http_conn *c);
void hc_gone(http_conn *c); /* nobody waits for the answer any more */
#endif
