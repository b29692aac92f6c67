#include "base/status.h"
#include "bridge/sys/adapter.h"

static int http_open(bridge_port *port, const bridge_url *url, bridge_error *err)
{
    (void)port, (void)url;
    return fail(err, BRIDGE_UNSUPPORTED, "HTTP is on its way");
}

static const char *const schemes[] = {"http", "https", "ws", "wss", NULL};
extern const bridge_adapter http_adapter;
const bridge_adapter http_adapter = {.size = sizeof(bridge_adapter), .scheme = "http", .schemes = schemes,
                                     .summary = "REST, server-sent events and WebSocket", .open = http_open};
