#include "codec/ws.h"
#include <openssl/evp.h>

int64_t ws_read(ws_frame *f, const uint8_t *data, size_t len, size_t max, bool from_client)
{
    size_t at = 2;
    uint64_t size;

    if (len < 2) return 0;
    f->fin = data[0] & 0x80;
    f->opcode = data[0] & 0x0f;
    if (data[0] & 0x70) return -1002; /* no extension was agreed on */
    if (f->opcode > WS_BINARY && (f->opcode < WS_CLOSE || f->opcode > WS_PONG)) return -1002;
    if (!(data[1] & 0x80) == from_client) return -1002; /* 5.1: a client masks, a server does not */
    size = data[1] & 0x7f;
    if (f->opcode >= WS_CLOSE && (!f->fin || size > 125)) return -1002; /* 5.5 */
    if (size >= 126) {
        size_t wide = size == 126 ? 2 : 8;
        if (len < 2 + wide) return 0;
        size = 0;
        for (; at < 2 + wide; at++) size = size << 8 | data[at];
        if (size < (wide == 2 ? 126u : 65536u) || size >> 63) return -1002; /* 5.2: the minimal number of bytes */
    }
    if (size > max) return -1009;
    memset(f->key, 0, 4);
    if (from_client) {
        if (len < at + 4) return 0;
        memcpy(f->key, data + at, 4);
        at += 4;
    }
    if (len - at < size) return 0;
    f->payload = data + at;
    f->len = size;
    return (int64_t)(at + size);
}

void ws_unmask(const ws_frame *f, uint8_t *out)
{
    uint64_t key, word;
    size_t i = 0;

    for (int n = 0; n < 8; n++) ((uint8_t *)&key)[n] = f->key[n & 3];
    for (; i + 8 <= f->len; i += 8) {
        memcpy(&word, f->payload + i, 8);
        word ^= key;
        memcpy(out + i, &word, 8);
    }
    for (; i < f->len; i++) out[i] = f->payload[i] ^ f->key[i & 3];
}

size_t ws_header(uint8_t out[WS_HEADER], ws_opcode opcode, size_t len)
{
    out[0] = (uint8_t)(0x80 | opcode);
    if (len < 126) {
        out[1] = (uint8_t)len;
        return 2;
    }
    if (len < 65536) {
        out[1] = 126;
        out[2] = (uint8_t)(len >> 8);
        out[3] = (uint8_t)len;
        return 4;
    }
    out[1] = 127;
    for (int i = 0; i < 8; i++) out[2 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
    return 10;
}

size_t ws_header_masked(uint8_t out[WS_HEADER_MASKED], ws_opcode opcode, size_t len, const uint8_t key[4])
{
    size_t n = ws_header(out, opcode, len);

    out[1] |= 0x80;
    memcpy(out + n, key, 4);
    return n + 4;
}

void ws_mask(uint8_t *p, size_t len, const uint8_t key[4], size_t at)
{
    for (size_t i = 0; i < len; i++) p[i] ^= key[(at + i) & 3];
}

bool ws_key_is_fine(text key)
{
    for (size_t i = 0; i < key.len; i++) {
        char c = key.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
        if (i < 22 ? !letter : c != '=') return false;
    }
    return key.len == 24;
}

void ws_accept(text key, char out[WS_ACCEPT + 1])
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char joined[24 + sizeof magic], hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    memcpy(joined, key.p, 24);
    memcpy(joined + 24, magic, sizeof magic - 1);
    EVP_Digest(joined, 24 + sizeof magic - 1, hash, &len, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)out, hash, 20);
}
