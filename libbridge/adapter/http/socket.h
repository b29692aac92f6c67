/* adapter/http/socket.h - a WebSocket connection, and who speaks on it.
 *
 *      tunnel   subprotocols mqtt, mqttv3.1, coap: its bytes are a loop/stream that another adapter took over
 *      talk     our own JSON: subscribe, publish, ask; talk.c */
#ifndef HTTP_SOCKET_H
#define HTTP_SOCKET_H
#include "adapter/http/server.h"
#include "codec/ws.h"

enum {
    SOCKET_HIGH = 256 * 1024, /* bytes on their way; above, a tunnel waits and a talk loses events and says how many */
    SOCKET_FRAME = 65536,     /* a frame may be this much larger than the largest body: headers of what is inside */
    SOCKET_BEAT = 30 * 1000,  /* ms between pings on a quiet talk */
    SOCKET_QUESTIONS = 256    /* subscriptions, and requests under way, of one talk */
};

typedef struct websocket {
    http_conn *conn; /* NULL: the connection below is gone */
    bool is_tunnel, fragments, binary, closing;
    bool records; /* tunnel: each message has its length in front, 4 bytes, both ways: its bounds mean something */
    stream inner;    /* tunnel: what the other adapter holds */
    turn_end goodbye;
    buf message;     /* talk: fragments so far */
    list subscriptions, questions; /* talk */
    unsigned count;                /* of both */
    uint64_t lost;                 /* events since the last {"lost":n} */
    bool quiet;
} websocket;

void socket_send(websocket *s, ws_opcode opcode, const void *p, size_t len);
void socket_close(websocket *s, unsigned code); /* says goodbye and closes the connection */

/* talk.c */
void talk_message(websocket *s, const char *data, size_t len);
void talk_deliver(websocket *s, bridge_msg *msg, const bridge_delivery *how);
void talk_drained(websocket *s);
void talk_end(websocket *s);
#endif
