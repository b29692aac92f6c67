/* adapter/http/hc.h - /hc/<uri>: HTTP to CoAP (RFC 8075). */
#ifndef HTTP_HC_H
#define HTTP_HC_H
#include "adapter/http/server.h"

bool hc_wanted(const request *r);
void hc_serve(request *r);
void hc_gone(http_conn *c); /* nobody waits for the answer any more */
#endif
