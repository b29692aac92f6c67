#include "adapter/http/head.h"

static int refuse(int status, const char *words, const char **why)
{
    *why = words;
    return -status;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The size line at `at`, with its CRLF: its length, 0 for more bytes, negative.  Extensions are read over (RFC 9112 7.1.1). */
static int read_size(const char *at, size_t len, uint64_t *size)
{
    const char *lf = memchr(at, '\n', len < CHUNK_LINE ? len : CHUNK_LINE), *p = at;

    if (!lf) return len >= CHUNK_LINE ? -400 : 0;
    if (lf == at || lf[-1] != '\r' || memchr(at, '\r', (size_t)(lf - at)) != lf - 1) return -400;
    *size = 0;
    for (; p < lf - 1 && hex(*p) >= 0; p++) {
        if (*size >> 56) return -413;
        *size = *size << 4 | (unsigned)hex(*p);
    }
    if (p == at || (p < lf - 1 && *p != ';' && *p != ' ' && *p != '\t')) return -400;
    return (int)(lf + 1 - at);
}

/* Who ends a line, and so the trailers, at a bare LF would find another request behind them. */
static bool lines_end_in_crlf(const char *at, size_t len)
{
    for (const char *lf = at, *end = at + len; (lf = memchr(lf, '\n', (size_t)(end - lf))); lf++)
        if (lf == at || lf[-1] != '\r') return false;
    return true;
}

/* Trailers behind the last chunk, up to the empty line; they are read over. */
static int skip_trailers(chunks *c, const char *data, size_t len, const char **why)
{
    const char *at = data + c->at, *hit;
    size_t left = len - c->at;

    if (left < 2) return 0;
    if (at[0] == '\r' && at[1] == '\n') {
        c->at += 2;
    } else {
        hit = memmem(at, left, "\r\n\r\n", 4);
        if ((hit ? (size_t)(hit - at) : left) > CHUNK_TRAILERS) return refuse(431, "The trailers are too long.", why);
        if (!lines_end_in_crlf(at, hit ? (size_t)(hit - at) : left)) return refuse(400, "Lines end in CRLF.", why);
        if (!hit) return 0;
        c->at += (size_t)(hit - at) + 4;
    }
    c->done = true;
    return 1;
}

int chunks_scan(chunks *c, const char *data, size_t len, uint64_t max, const char **why)
{
    while (!c->done && c->at < len) {
        uint64_t size;
        int line = read_size(data + c->at, len - c->at, &size);
        size_t start = c->at + (size_t)(line > 0 ? line : 0);

        if (line == 0) return 0;
        if (line == -400) return refuse(400, "A chunk has no proper size.", why);
        if (line < 0 || size > max || c->total > max - size) return refuse(413, "The body is too large.", why);
        if (size == 0) {
            chunks last = {.at = start, .total = c->total};
            int rc = skip_trailers(&last, data, len, why);
            if (rc == 1) *c = last;
            return rc;
        }
        if (len - start < size + 2) return 0;
        if (data[start + size] != '\r' || data[start + size + 1] != '\n')
            return refuse(400, "A chunk is longer than its size.", why);
        c->total += size;
        c->at = start + size + 2;
    }
    return c->done;
}

void chunks_copy(const char *data, size_t start, size_t end, uint8_t *out)
{
    for (;;) {
        uint64_t size;
        start += (size_t)read_size(data + start, end - start, &size);
        if (size == 0) return;
        memcpy(out, data + start, size);
        out += size;
        start += size + 2;
    }
}
