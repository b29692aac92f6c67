#include "base/status.h"
#include "bridge/sys/adapter.h"

extern const bridge_adapter coap_adapter;

static int coap_open(bridge_port *port, const bridge_url *url, bridge_error *err)
{
    (void)port, (void)url;
    return fail(err, BRIDGE_UNSUPPORTED, "CoAP is not there yet");
}

static void coap_close(bridge_port *port)
{
    (void)port;
}

static const char *const schemes[] = {"coap", NULL};
const bridge_adapter coap_adapter = {
    .size = sizeof(bridge_adapter),
    .scheme = "coap",
    .schemes = schemes,
    .summary = "CoAP over UDP (RFC 7252)",
    .open = coap_open,
    .close = coap_close,
};
