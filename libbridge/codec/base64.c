#include "codec/base64.h"
#include <string.h>

#define ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static int put(buf *out, const uint8_t *p, size_t len, const char *alphabet, bool pad)
{
    size_t want, rest = len % 3, i;
    char *to;
    int rc;

    if (len > SIZE_MAX / 2) return BRIDGE_TOOBIG;
    want = len / 3 * 4 + (rest ? (pad ? 4 : rest + 1) : 0);
    rc = buf_room(out, want);
    if (rc < 0 || want == 0) return rc;
    to = buf_reserve(out, want);
    if (!to) return BRIDGE_TOOBIG;
    for (i = 0; i + 2 < len; i += 3) {
        *to++ = alphabet[p[i] >> 2];
        *to++ = alphabet[(p[i] & 3) << 4 | p[i + 1] >> 4];
        *to++ = alphabet[(p[i + 1] & 15) << 2 | p[i + 2] >> 6];
        *to++ = alphabet[p[i + 2] & 63];
    }
    if (rest == 0) return 0;
    *to++ = alphabet[p[i] >> 2];
    *to++ = alphabet[(p[i] & 3) << 4 | (rest == 2 ? p[i + 1] >> 4 : 0)];
    if (rest == 2)
        *to++ = alphabet[(p[i + 1] & 15) << 2];
    else if (pad)
        *to++ = '=';
    if (pad) *to++ = '=';
    return 0;
}

int base64_put(buf *out, const void *p, size_t len)
{
    return put(out, p, len, ALPHABET "+/", true);
}

int base64url_put(buf *out, const void *p, size_t len)
{
    return put(out, p, len, ALPHABET "-_", false);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool base64_read(const char *p, size_t len, uint8_t *to, size_t *out)
{
    uint32_t bits = 0;
    int have = 0;
    size_t n = 0;

    if (len && len % 4 == 0 && p[len - 1] == '=') {
        len--;
        if (p[len - 1] == '=') len--;
    }
    if (len % 4 == 1) return false;
    for (size_t i = 0; i < len; i++) {
        int v = value_of(p[i]);
        if (v < 0) return false;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[n++] = (uint8_t)(bits >> have);
        }
    }
    *out = n;
    return true;
}
