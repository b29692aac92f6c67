#include "base/buf.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buf_init(buf *b, mem *m, size_t max)
{
    *b = (buf){.mem = m, .max = max};
}

void buf_done(buf *b)
{
    if (b->mem) mem_free(b->mem, b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

int buf_room(buf *b, size_t more)
{
    size_t want, cap;
    uint8_t *p;

    if (more <= b->cap - b->len) return 0;
    if (more > SIZE_MAX / 2 - b->len) return BRIDGE_NOMEM;
    want = b->len + more;
    if (b->max && want > b->max) return BRIDGE_TOOBIG;
    cap = b->cap + b->cap / 2;
    if (cap < want) cap = want;
    if (cap < 64) cap = 64;
    if (b->max && cap > b->max) cap = b->max;
    p = mem_realloc(b->mem, b->data, cap);
    if (!p) return BRIDGE_NOMEM;
    b->data = p;
    b->cap = cap;
    return 0;
}

void *buf_reserve(buf *b, size_t more)
{
    void *at;

    if (b->max && more > b->max - b->len) return NULL;
    if (buf_room(b, more) < 0) return NULL;
    at = b->data + b->len;
    b->len += more;
    return at;
}

int buf_put(buf *b, const void *p, size_t len)
{
    int rc = buf_room(b, len);

    if (rc < 0) return rc;
    if (len) memcpy(b->data + b->len, p, len);
    b->len += len;
    return 0;
}

int buf_put_u8(buf *b, uint8_t v)
{
    return buf_put(b, &v, 1);
}

int buf_put_be16(buf *b, uint16_t v)
{
    uint8_t x[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    return buf_put(b, x, sizeof x);
}

int buf_put_be32(buf *b, uint32_t v)
{
    uint8_t x[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    return buf_put(b, x, sizeof x);
}

int buf_put_be64(buf *b, uint64_t v)
{
    uint8_t x[8];

    for (int i = 0; i < 8; i++)
        x[i] = (uint8_t)(v >> (56 - 8 * i));
    return buf_put(b, x, sizeof x);
}

int buf_text(buf *b, const char *text)
{
    return buf_put(b, text, strlen(text));
}

int buf_print(buf *b, const char *format, ...)
{
    va_list args;
    int n, rc;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) return BRIDGE_INVALID;
    rc = buf_room(b, (size_t)n + 1);
    if (rc < 0) return rc;
    va_start(args, format);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
    return 0;
}

void buf_drop(buf *b, size_t len)
{
    b->len -= len;
    if (b->len) memmove(b->data, b->data + len, b->len);
}

const char *buf_cstr(buf *b)
{
    if (buf_room(b, 1) < 0) return NULL;
    b->data[b->len] = 0;
    return (const char *)b->data;
}

int bridge_buffer_put(bridge_buffer *out, const void *p, size_t len)
{
    return buf_put(out, p, len);
}
