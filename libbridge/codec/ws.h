/* codec/ws.h - WebSocket frames (RFC 6455), of both sides: bytes in, slices out.  No I/O, no memory. */
#ifndef CODEC_WS_H
#define CODEC_WS_H
#include "base/buf.h"
#include "base/text.h"
#include <stdint.h>

typedef enum ws_opcode { WS_MORE = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 } ws_opcode;

typedef struct ws_frame {
    uint8_t opcode;
    bool fin;
    uint8_t key[4];
    const uint8_t *payload; /* a client's: still masked */
    size_t len;
} ws_frame;

/* Reads one whole frame, from a client (masked) or from a server.  Its length on the wire; 0: more bytes are needed; negative: minus the code to close
 * with (1002 not a legal frame, 1009 payload over max). */
int64_t ws_read(ws_frame *f, const uint8_t *data, size_t len, size_t max, bool from_client);
void ws_unmask(const ws_frame *f, uint8_t *out); /* out has room for f->len; may be where the payload lies */

enum { WS_HEADER = 10, WS_HEADER_MASKED = 14 };
size_t ws_header(uint8_t out[WS_HEADER], ws_opcode opcode, size_t len); /* of an unmasked, final frame */
size_t ws_header_masked(uint8_t out[WS_HEADER_MASKED], ws_opcode opcode, size_t len, const uint8_t key[4]); /* a client's */
void ws_mask(uint8_t *p, size_t len, const uint8_t key[4], size_t at); /* at: bytes of the payload before p */

enum { WS_ACCEPT = 28 };
bool ws_key_is_fine(text key);                  /* 16 bytes in base64 (RFC 6455 4.1) */
void ws_accept(text key, char out[WS_ACCEPT + 1]); /* Sec-WebSocket-Accept */
#endif
