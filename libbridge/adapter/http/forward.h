/* adapter/http/forward.h - asking HTTP servers that URIs name, for proxies of other protocols; bridge_port_forward(). */
#ifndef HTTP_FORWARD_H
#define HTTP_FORWARD_H
#include "bridge/sys/adapter.h"

int http_forward(bridge_port *home, const bridge_forward *q, bridge_forward_fn fn, void *user, bridge_passage **out);
#endif
