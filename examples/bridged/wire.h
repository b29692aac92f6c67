/* wire.h - just enough of an MQTT client to record (5, else 3.1.1) and to replay (3.1.1): blocking, one connection. */
#ifndef BRIDGED_WIRE_H
#define BRIDGED_WIRE_H
#include "line.h"
#include "pipe.h"
#include <time.h>

typedef struct wire {
    pipe_end pipe;
    uint16_t id;
    unsigned char *buf; /* of the packet read last, or being read */
    size_t have, room, used; /* used: of the message that was handed out */
    time_t pinged;
    bool subscribed, is5;
    bool told; /* by a bridge, who publishes */
    char why[160];
} wire;

/* {mqtt,mqtts,ws,wss}://[user[:password]@]host[:port][/path][?ca=&cert=&key=&psk_file=&verify=].  0 or -1 with a sentence in w->why; so all of them. */
int wire_open(wire *w, const char *url);
int wire_open_told(wire *w, const char *url); /* and asks to be told who publishes; w->told: it will be */
void wire_close(wire *w); /* DISCONNECT, if it is open */
int wire_subscribe(wire *w, char *const *filters, int count); /* w->subscribed, once wire_next() has seen the answer */
int wire_publish(wire *w, const line *l); /* QoS 1 and 2 as 1: waits for its acknowledgement */
int wire_flush(wire *w);                  /* until the other side has read all of it */
/* The next message, its texts good until the next call: 1; 0: none yet (wait_ms, a signal, an answer); -1. */
int wire_next(wire *w, line *out, int wait_ms);
#endif
