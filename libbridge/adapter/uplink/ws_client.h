/* adapter/uplink/ws_client.h - WebSocket as a client (RFC 6455), for MQTT: a stream on top of a stream. */
#ifndef ADAPTER_UPLINK_WS_CLIENT_H
#define ADAPTER_UPLINK_WS_CLIENT_H
#include "loop/tls.h"

/* Takes `outer`, which is not started: on failure it is aborted.  below: NULL, or what `outer` stands on: a reference is kept as long as
 * that is open.  host as it is to be said, "[::1]:8080"; max: bytes of one frame. */
int ws_client(stream **out, stream *outer, const char *host, const char *path, size_t max, const tls_call *above, tls_client *below);
extern const tls_call ws_client_call; /* what to dial `outer` with: it tells `above`, with the user of the inner stream */
#endif
