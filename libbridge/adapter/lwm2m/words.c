/* What devices answer as outcomes, and their paths as text. */
#include "adapter/lwm2m/lwm2m.h"
#include <stdio.h>

static const struct {
    uint8_t code;
    int status;
} statuses[] = {
    {COAP_BAD_REQUEST, BRIDGE_INVALID},        {COAP_UNAUTHORIZED, BRIDGE_DENIED},       {COAP_BAD_OPTION, BRIDGE_INVALID},
    {COAP_FORBIDDEN, BRIDGE_DENIED},           {COAP_NOT_FOUND, BRIDGE_NOTFOUND},        {COAP_NOT_ALLOWED, BRIDGE_METHOD},
    {COAP_NOT_ACCEPTABLE, BRIDGE_NOTACCEPTABLE}, {COAP_INCOMPLETE, BRIDGE_PROTOCOL},     {COAP_CONFLICT, BRIDGE_CONFLICT},
    {COAP_PRECONDITION, BRIDGE_PRECONDITION},  {COAP_TOO_LARGE, BRIDGE_TOOBIG},          {COAP_UNSUPPORTED_FORMAT, BRIDGE_FORMAT},
    {COAP_UNPROCESSABLE, BRIDGE_UNPROCESSABLE}, {COAP_TOO_MANY, BRIDGE_BUSY},            {COAP_INTERNAL, BRIDGE_INTERNAL},
    {COAP_NOT_IMPLEMENTED, BRIDGE_UNSUPPORTED}, {COAP_BAD_GATEWAY, BRIDGE_UNREACHABLE},  {COAP_UNAVAILABLE, BRIDGE_BUSY},
    {COAP_GATEWAY_TIMEOUT, BRIDGE_TIMEOUT},
};

int lwm2m_status_of(uint8_t code)
{
    if (coap_class(code) == 2) return code == COAP_CREATED ? BRIDGE_CREATED : BRIDGE_OK;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].code == code) return statuses[i].status;
    return coap_class(code) == 4 ? BRIDGE_INVALID : BRIDGE_INTERNAL;
}

int lwm2m_path_text(const oma_path *path, char *out)
{
    int n = 1;

    out[0] = '/';
    out[1] = 0;
    for (int i = 0; i < path->count; i++) n += snprintf(out + n, (size_t)(LWM2M_PATH_TEXT - n), "%s%u", i ? "/" : "", path->id[i]);
    return n;
}
