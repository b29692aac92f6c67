/* adapter/http/ws.h - WebSocket frames (RFC 6455), server side: bytes in, slices out.  No I/O, no memory. */
#ifndef HTTP_WS_H
#define HTTP_WS_H
#include "base/buf.h"
#include "base/text.h"
#include <stdint.h>

typedef enum ws_opcode { WS_MORE = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 } ws_opcode;

typedef struct ws_frame {
    uint8_t opcode;
    bool fin;
    uint8_t key[4];
    const uint8_t *payload; /* still masked */
    size_t len;
} ws_frame;

/* Reads one whole frame from a client.  Its length on the wire; 0: more bytes are needed; negative: minus the code to close
 * with (1002 not a legal frame, 1009 payload over max). */
int64_t ws_read(ws_frame *f, const uint8_t *data, size_t len, size_t max);
void ws_unmask(const ws_frame *f, uint8_t *out); /* out has room for f->len; may be where the payload lies */

enum { WS_HEADER = 10 };
size_t ws_header(uint8_t out[WS_HEADER], ws_opcode opcode, size_t len); /* of an unmasked, final frame */

enum { WS_ACCEPT = 28 };
bool ws_key_is_fine(text key);                  /* 16 bytes in base64 (RFC 6455 4.1) */
void ws_accept(text key, char out[WS_ACCEPT + 1]); /* Sec-WebSocket-Accept */
#endif
