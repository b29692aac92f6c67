/* hub/port.h - what built-in adapters may use besides bridge/sys/adapter.h. */
#ifndef HUB_PORT_H
#define HUB_PORT_H
#include "base/text.h"
#include "bridge/sys/adapter.h"
#include "loop/loop.h"

typedef struct limits {
    size_t max_message, max_queue, max_queue_bytes, max_values, max_value_bytes, max_calls, max_routes;
} limits;

loop *port_loop(bridge_port *port);
mem *port_mem(bridge_port *port);
const limits *port_limits(bridge_port *port);
/* The format of a payload: found out from its bytes when nobody said (AUTO). */
bridge_format msg_format(const bridge_msg *msg);
size_t peer_watches(const bridge_peer *peer); /* how many subscriptions it has */
/* A message that a shared subscription of this peer was given goes to another of its group, if there is one. */
void peer_pass_on(bridge_peer *peer, bridge_msg *msg);
/* As bridge_peer_msg() for a path that has been checked and nothing but a payload: see msg_new_plain(). */
int peer_msg_plain(bridge_peer *peer, text path, const void *data, size_t len, uint8_t qos, bool retain, bridge_msg **out);
#endif
