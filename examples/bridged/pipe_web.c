#include "pipe_web.h"
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { CONTINUES = 0, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, LAST = 0x80, MASKED = 0x80 };

static int fail(pipe_end *p, const char *why)
{
    snprintf(p->why, sizeof p->why, "%s", why);
    return -1;
}

static int read_all(pipe_end *p, unsigned char *room, size_t len)
{
    for (size_t have = 0; have < len;) {
        int n = pipe_read_raw(p, room + have, len - have);
        if (n < 0) return -1;
        have += (size_t)n;
    }
    return 0;
}

/* RFC 6455 5.3: what a client sends is masked. */
static int send_frame(pipe_end *p, int kind, const void *bytes, size_t len)
{
    unsigned char head[14] = {(unsigned char)(LAST | kind)}, mask[4], part[4096];
    const unsigned char *from = bytes;
    size_t n = 2, wide = len < 126 ? 0 : len < 65536 ? 2 : 8;

    head[1] = (unsigned char)(MASKED | (wide == 0 ? len : wide == 2 ? 126 : 127));
    for (size_t i = wide; i-- > 0;) head[n++] = (unsigned char)((unsigned long long)len >> (8 * i));
    RAND_bytes(mask, sizeof mask);
    memcpy(head + n, mask, sizeof mask);
    if (pipe_send_raw(p, head, n + sizeof mask) < 0) return -1;
    for (size_t at = 0; at < len; at += sizeof part) {
        size_t most = len - at < sizeof part ? len - at : sizeof part;
        for (size_t i = 0; i < most; i++) part[i] = from[at + i] ^ mask[(at + i) & 3];
        if (pipe_send_raw(p, part, most) < 0) return -1;
    }
    return 0;
}

int web_send(pipe_end *p, const void *bytes, size_t len)
{
    return send_frame(p, BINARY, bytes, len);
}

int web_open(pipe_end *p, const address *a)
{
    unsigned char nonce[16], key[25];
    char text[2048], *end = text;
    int n;

    RAND_bytes(nonce, sizeof nonce);
    EVP_EncodeBlock(key, nonce, sizeof nonce);
    n = snprintf(text, sizeof text,
                 "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
                 a->path, a->host, a->port, (const char *)key);
    if (n < 0 || (size_t)n >= sizeof text || pipe_send_raw(p, text, (size_t)n) < 0) return -1;
    while (end < text + 4 || memcmp(end - 4, "\r\n\r\n", 4) != 0) { /* byte by byte: what follows are frames */
        if (end == text + sizeof text - 1) return fail(p, "too long an answer to the WebSocket's beginning");
        if (read_all(p, (unsigned char *)end, 1) < 0) return -1;
        end++;
    }
    *end = 0;
    p->web = true;
    return strncmp(text, "HTTP/1.1 101", 12) == 0 ? 0 : fail(p, "the other side has no WebSocket for MQTT there");
}

static int read_head(pipe_end *p, int *kind)
{
    unsigned char b[8];
    size_t wide;

    if (read_all(p, b, 2) < 0) return -1;
    *kind = b[0] & 15;
    if (b[1] & MASKED) return fail(p, "the other side does not speak WebSocket"); /* RFC 6455 5.1: a server must not */
    wide = (b[1] & 127) == 126 ? 2 : (b[1] & 127) == 127 ? 8 : 0;
    p->left = wide ? 0 : b[1] & 127;
    if (wide && read_all(p, b, wide) < 0) return -1;
    for (size_t i = 0; i < wide; i++) p->left = p->left << 8 | b[i];
    return 0;
}

static int control(pipe_end *p, int kind)
{
    unsigned char body[125];
    size_t len = (size_t)p->left;

    p->left = 0;
    if (len > sizeof body) return fail(p, "the other side does not speak WebSocket");
    if (read_all(p, body, len) < 0) return -1;
    if (kind == CLOSE) return fail(p, "the other side has closed the connection");
    return kind == PING ? send_frame(p, PONG, body, len) : 0;
}

int web_read(pipe_end *p, void *room, size_t most)
{
    int kind = BINARY, n;

    if (p->left == 0) {
        if (read_head(p, &kind) < 0) return -1;
        if (kind != BINARY && kind != CONTINUES) return control(p, kind);
        if (p->left == 0) return 0;
    }
    n = pipe_read_raw(p, room, p->left < most ? (size_t)p->left : most);
    if (n > 0) p->left -= (unsigned)n;
    return n;
}
