/* Entity tags, ranges, and the numbers in Cache-Control and Prefer. */
#include "adapter/http/media.h"
#include <stdio.h>

int etag_print(char out[ETAG_ROOM], uint64_t version, bool converted, bridge_format format)
{
    static const char digits[] = "0123456789abcdef";
    char number[16];
    int n = 0, len = 0;

    do number[n++] = digits[version & 15];
    while (version >>= 4);
    out[len++] = '"';
    while (n > 0) out[len++] = number[--n];
    if (converted) len += snprintf(out + len, 8, "-%u", (unsigned)format & 0xffff);
    out[len++] = '"';
    out[len] = 0;
    return len;
}

bool etag_read(text item, bool *weak, uint64_t *version, text *opaque)
{
    *weak = item.len > 2 && item.p[0] == 'W' && item.p[1] == '/';
    *version = 0;
    if (*weak) item = (text){item.p + 2, item.len - 2};
    *opaque = item;
    if (item.len < 3 || item.p[0] != '"' || item.p[item.len - 1] != '"') return false;
    for (size_t i = 1; i + 1 < item.len; i++) {
        char c = item.p[i];
        if (c == '-' && i > 1) return true;
        if (*version >> 60 || !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
        *version = *version << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

/* RFC 9110 14.1.2: first-last, first-, -suffix; several ranges are answered with all of it. */
/* "0-9", "5-" or "-5": 1, 0 not one, -1 not satisfiable. */
static int range_read(text one, uint64_t size, byte_range *out)
{
    text first, last;
    uint64_t a = 0, b = size - 1;

    if (!text_cut(one, '-', &first, &last) || (first.len == 0 && last.len == 0)) return 0;
    if (first.len && !text_to_u64(first, INT64_MAX, &a)) return 0;
    if (last.len && !text_to_u64(last, INT64_MAX, &b)) return 0;
    if (first.len == 0) { /* the last b bytes */
        if (b == 0 || size == 0) return -1;
        a = b < size ? size - b : 0;
        b = size - 1;
    } else if (last.len && b < a) {
        return 0;
    }
    if (a >= size) return -1;
    if (b >= size) b = size - 1;
    *out = (byte_range){a, b - a + 1};
    return 1;
}

int ranges_read(text value, uint64_t size, byte_range out[RANGES_MAX])
{
    text unit, rest, one;
    uint64_t total = 0;
    int n = 0, said = 0, rc;

    if (!text_cut(value, '=', &unit, &rest) || !text_is_nocase(text_trim(unit), "bytes")) return 0;
    while (rest.len) {
        byte_range r;
        text_cut(rest, ',', &one, &rest);
        one = text_trim(one);
        if (one.len == 0) continue; /* 5.6.1: empty items are read over */
        if (++said > RANGES_MAX) return 0;
        rc = range_read(one, size, &r);
        if (rc == 0) return 0;
        if (rc < 0) continue;
        out[n++] = r;
        total += r.count;
    }
    if (said == 0) return 0;
    return n == 0 ? -1 : n > 1 && total > size ? 0 : n;
}

static bool number_after(text item, const char *key, uint64_t most, uint64_t *out)
{
    text name, value;

    if (!text_cut(item, '=', &name, &value) || !text_is_nocase(text_trim(name), key)) return false;
    value = text_trim(value);
    if (value.len > 2 && value.p[0] == '"') value = (text){value.p + 1, value.len - 2};
    if (!text_to_u64(value, INT64_MAX, out)) return false;
    if (*out > most) *out = most;
    return true;
}

bool max_age_read(const http_head *h, uint64_t *seconds)
{
    head_list at = {0};
    text item;

    while (head_next(h, HEAD_CACHE_CONTROL, &at, &item))
        if (number_after(item, "max-age", UINT32_MAX, seconds)) return true;
    return false;
}

bool prefer_wait(const http_head *h, uint64_t most, uint64_t *seconds)
{
    head_list at = {0};
    text item, one, rest;

    while (head_next(h, HEAD_PREFER, &at, &item))
        for (rest = item; rest.len > 0;) {
            text_cut(rest, ';', &one, &rest);
            if (number_after(text_trim(one), "wait", most, seconds)) return true;
        }
    return false;
}
