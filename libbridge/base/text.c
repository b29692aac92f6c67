#include "base/text.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool text_is_nocase(text t, const char *s)
{
    for (size_t i = 0; i < t.len; i++)
        if (!s[i] || lower(t.p[i]) != lower(s[i])) return false;
    return s[t.len] == 0;
}

text text_trim(text t)
{
    while (t.len && (*t.p == ' ' || *t.p == '\t')) t.p++, t.len--;
    while (t.len && (t.p[t.len - 1] == ' ' || t.p[t.len - 1] == '\t')) t.len--;
    return t;
}

bool text_cut(text t, char at, text *head, text *tail)
{
    const char *p = t.len ? memchr(t.p, at, t.len) : NULL;

    *head = p ? (text){t.p, (size_t)(p - t.p)} : t;
    *tail = p ? (text){p + 1, t.len - head->len - 1} : (text){t.len ? t.p + t.len : t.p, 0}; /* NULL + 0 is not C */
    return p != NULL;
}

/* Length of the well-formed sequence that starts at p, 0 when there is none: Unicode 15, table 3-7. */
static size_t utf8_sequence(const uint8_t *p, size_t len)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t n;

    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (len < n) return 0;
    if (p[0] == 0xe0) low = 0xa0;
    if (p[0] == 0xed) high = 0x9f;
    if (p[0] == 0xf0) low = 0x90;
    if (p[0] == 0xf4) high = 0x8f;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

static bool ascii_without_nul(uint64_t w)
{
    return ((w | (w - 0x0101010101010101u)) & 0x8080808080808080u) == 0;
}

bool text_is_utf8(const void *data, size_t len)
{
    const uint8_t *p = data, *end;

    if (len == 0) return true; /* of nothing, p may be NULL */
    for (end = p + len; p < end;) {
        uint64_t w;
        if (end - p >= 8 && (memcpy(&w, p, 8), ascii_without_nul(w))) {
            p += 8;
        } else if (*p && *p < 0x80) {
            p++;
        } else {
            size_t n = utf8_sequence(p, (size_t)(end - p));
            if (n == 0) return false;
            p += n;
        }
    }
    return true;
}

bool text_to_u64(text t, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (t.len == 0) return false;
    for (size_t i = 0; i < t.len; i++) {
        unsigned digit = (unsigned)(unsigned char)t.p[i] - '0';
        if (digit > 9 || v > (max - digit) / 10 || digit > max) return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

bool text_to_bool(text t, bool *out)
{
    static const char *const yes[] = {"1", "true", "yes", "on", NULL}, *const no[] = {"0", "false", "no", "off", NULL};

    for (int i = 0; yes[i]; i++) {
        if (text_is_nocase(t, yes[i])) return *out = true, true;
        if (text_is_nocase(t, no[i])) return *out = false, true;
    }
    return false;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int text_percent_decode(buf *out, text t)
{
    uint8_t *to;
    size_t n = 0;

    if (buf_room(out, t.len) < 0) return BRIDGE_NOMEM;
    to = out->data ? out->data + out->len : NULL;
    for (size_t i = 0; i < t.len; i++) {
        if (t.p[i] != '%') {
            to[n++] = (uint8_t)t.p[i];
            continue;
        }
        if (i + 2 >= t.len || hex(t.p[i + 1]) < 0 || hex(t.p[i + 2]) < 0) return BRIDGE_SYNTAX;
        to[n++] = (uint8_t)(hex(t.p[i + 1]) << 4 | hex(t.p[i + 2]));
        i += 2;
    }
    out->len += n;
    return 0;
}

static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

int text_percent_encode(buf *out, text t, const char *safe)
{
    static const char digits[] = "0123456789ABCDEF";
    int rc = 0;

    for (size_t i = 0; i < t.len && rc == 0; i++) {
        char c = t.p[i], escaped[3] = {'%', digits[(uint8_t)c >> 4], digits[c & 15]};
        rc = unreserved(c) || (c && strchr(safe, c)) ? buf_put(out, &c, 1) : buf_put(out, escaped, 3);
    }
    return rc;
}

/* Damerau-Levenshtein without transpositions further than neighbours, on words of at most 31 letters. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[3][33] = {{0}};
    size_t n = strlen(a), m = strlen(b);

    if (n > 31 || m > 31) return 99;
    for (unsigned j = 0; j <= m; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= n; i++) {
        unsigned *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= m; j++) {
            unsigned best = up[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            if (up[j] + 1 < best) best = up[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[n % 3][m];
}

const char *text_nearest(const char *word, const char *const *words)
{
    const char *best = NULL;
    unsigned least = (unsigned)strlen(word) / 3 + 2;

    for (; *words; words++) {
        unsigned d = distance(word, *words);
        if (d < least) {
            least = d;
            best = *words;
        }
    }
    return best;
}
