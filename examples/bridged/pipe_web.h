/* pipe_web.h - a client's side of WebSocket (RFC 6455), subprotocol mqtt (MQTT 5 6). */
#ifndef BRIDGED_PIPE_WEB_H
#define BRIDGED_PIPE_WEB_H
#include "pipe.h"

int web_open(pipe_end *p, const address *a);
int web_send(pipe_end *p, const void *bytes, size_t len);
int web_read(pipe_end *p, void *room, size_t most);

/* pipe.c: what lies below the frames */
int pipe_send_raw(pipe_end *p, const void *bytes, size_t len);
int pipe_read_raw(pipe_end *p, void *room, size_t most);
#endif
