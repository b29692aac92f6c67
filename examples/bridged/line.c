/* line.c - {"time":1700000000000,"path":"a/b","payload":"21.5","qos":1,"retain":true}: one flat object a line. */
#include "line.h"
#include <stdlib.h>
#include <string.h>

/* ---- reading: strings are unescaped where they stand, which only makes them shorter */

static const char *blanks(const char *p)
{
    while (*p == ' ' || *p == '\t') p++;
    return p;
}

static int hex4(const char *p)
{
    char digits[5] = {0}, *end;
    long n;

    if (strlen(p) < 4) return -1;
    memcpy(digits, p, 4);
    n = strtol(digits, &end, 16);
    return *end ? -1 : (int)n;
}

static char *put_utf8(char *to, unsigned long c)
{
    if (c < 0x80) *to++ = (char)c;
    else if (c < 0x800) *to++ = (char)(0xc0 | c >> 6), *to++ = (char)(0x80 | (c & 63));
    else if (c < 0x10000) *to++ = (char)(0xe0 | c >> 12), *to++ = (char)(0x80 | (c >> 6 & 63)), *to++ = (char)(0x80 | (c & 63));
    else *to++ = (char)(0xf0 | c >> 18), *to++ = (char)(0x80 | (c >> 12 & 63)), *to++ = (char)(0x80 | (c >> 6 & 63)), *to++ = (char)(0x80 | (c & 63));
    return to;
}

static char *escape(char *to, char **at)
{
    static const char from[] = "\"\\/bfnrt", made[] = "\"\\/\b\f\n\r\t";
    char *p = *at;
    const char *known = *p ? strchr(from, *p) : NULL;
    long c, low;

    if (known) {
        *at = p + 1;
        *to++ = made[known - from];
        return to;
    }
    if (*p != 'u' || (c = hex4(p + 1)) < 0) return NULL;
    p += 5;
    if (c >= 0xd800 && c < 0xdc00 && p[0] == '\\' && p[1] == 'u' && (low = hex4(p + 2)) >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *at = p;
    return put_utf8(to, (unsigned long)c);
}

/* The string at *at, its length in *len; NULL: it is none. */
static char *string_read(char **at, size_t *len)
{
    char *p = *at, *to, *start;

    if (*p++ != '"') return NULL;
    start = to = p;
    while (*p && *p != '"') {
        if (*p != '\\') *to++ = *p++;
        else if (p++, !(to = escape(to, &p))) return NULL;
    }
    if (*p != '"') return NULL;
    *at = p + 1;
    *to = 0;
    *len = (size_t)(to - start);
    return start;
}

static int digit64(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool decode64(char *p, size_t len, size_t *out)
{
    unsigned bits = 0, have = 0;
    size_t n = 0;

    while (len && p[len - 1] == '=') len--;
    for (size_t i = 0; i < len; i++) {
        int d = digit64(p[i]);
        if (d < 0) return false;
        bits = bits << 6 | (unsigned)d;
        if ((have += 6) >= 8) p[n++] = (char)(bits >> (have -= 8));
    }
    *out = n;
    return true;
}

static bool member(line *l, const char *key, char **at)
{
    size_t len = 0;
    char *s = **at == '"' ? string_read(at, &len) : NULL, *end;
    double number = 0;

    if (!s && strncmp(*at, "true", 4) == 0) number = 1, *at += 4;
    else if (!s && strncmp(*at, "false", 5) == 0) *at += 5;
    else if (!s && strncmp(*at, "null", 4) == 0) *at += 4;
    else if (!s) {
        number = strtod(*at, &end);
        if (end == *at) return false;
        *at = end;
    }
    if (strcmp(key, "path") == 0 && s) l->path = strlen(s) == len ? s : NULL;
    else if (strcmp(key, "origin") == 0 && s) l->origin = s;
    else if (strcmp(key, "user") == 0 && s) l->user = s;
    else if (strcmp(key, "listener") == 0 && s) l->listener = s;
    else if (strcmp(key, "name") == 0 && s) l->name = strlen(s) == len && len ? s : NULL;
    else if (strcmp(key, "payload") == 0 && s) l->data = (unsigned char *)s, l->len = len;
    else if (strcmp(key, "base64") == 0 && s) {
        l->data = (unsigned char *)s;
        return decode64(s, len, &l->len);
    } else if (strcmp(key, "time") == 0) l->time = number >= 0 && number < 9e15 ? (int64_t)number : 0;
    else if (strcmp(key, "qos") == 0) l->qos = number == 1 ? 1 : number == 2 ? 2 : 0;
    else if (strcmp(key, "retain") == 0) l->retain = number != 0;
    else if (strcmp(key, "gone") == 0) l->gone = number != 0;
    else if (strcmp(key, "copied") == 0) l->copied = number != 0;
    else if (strcmp(key, "format") == 0) l->format = number >= 0 && number < 65535 ? (int)number : BRIDGE_FORMAT_AUTO;
    return true; /* what is not known is passed over */
}

static const char *parse(char *p, line *l)
{
    *l = (line){.data = (unsigned char *)p, .format = BRIDGE_FORMAT_AUTO};
    p = (char *)(uintptr_t)blanks(p);
    if (*p++ != '{') return "not an object";
    for (;;) {
        size_t len;
        char *key;
        p = (char *)(uintptr_t)blanks(p);
        if (*p == '}') break;
        key = string_read(&p, &len);
        if (!key) return "a key is wanted";
        p = (char *)(uintptr_t)blanks(p);
        if (*p++ != ':') return "a ':' is wanted";
        p = (char *)(uintptr_t)blanks(p);
        if (!member(l, key, &p)) return "a text, a number, true or false is wanted";
        p = (char *)(uintptr_t)blanks(p);
        if (*p == ',') p++;
        else if (*p != '}') return "a ',' or '}' is wanted";
    }
    return l->path && *l->path ? NULL : "there is no path";
}

int line_read(FILE *f, char *room, line *out, const char **why)
{
    size_t n;

    *why = NULL;
    do {
        if (!fgets(room, LINE_MAX_BYTES, f)) return 0;
        n = strlen(room);
        if (n == LINE_MAX_BYTES - 1 && room[n - 1] != '\n') {
            *why = "the line is too long";
            return -1;
        }
        while (n && (room[n - 1] == '\n' || room[n - 1] == '\r')) room[--n] = 0;
    } while (!*blanks(room) || *blanks(room) == '#');
    *why = parse(room, out);
    return *why ? -1 : 1;
}

/* ---- writing */

static void write_string(FILE *f, const unsigned char *p, size_t len)
{
    putc('"', f);
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '"' || p[i] == '\\') fprintf(f, "\\%c", p[i]);
        else if (p[i] < 0x20) fprintf(f, "\\u%04x", p[i]);
        else putc(p[i], f);
    }
    putc('"', f);
}

static void write_base64(FILE *f, const unsigned char *p, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    putc('"', f);
    for (size_t i = 0; i < len; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < len ? (unsigned)p[i + 1] << 8 : 0) | (i + 2 < len ? p[i + 2] : 0u);
        putc(digits[v >> 18 & 63], f);
        putc(digits[v >> 12 & 63], f);
        putc(i + 1 < len ? digits[v >> 6 & 63] : '=', f);
        putc(i + 2 < len ? digits[v & 63] : '=', f);
    }
    putc('"', f);
}

/* Well-formed UTF-8 without NUL: anything else is written as base64. */
static bool is_text(const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned c = p[i], more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 9;
        if (c == 0 || more == 9 || i + more >= len) return false;
        if (more && ((c == 0xe0 && p[i + 1] < 0xa0) || (c == 0xed && p[i + 1] > 0x9f) || (c == 0xf0 && p[i + 1] < 0x90) || (c == 0xf4 && p[i + 1] > 0x8f)))
            return false;
        for (unsigned k = 1; k <= more; k++)
            if ((p[i + k] & 0xc0) != 0x80) return false;
        i += more + 1;
    }
    return true;
}

static void write_member(FILE *f, const char *name, const char *said)
{
    if (!said) return;
    fprintf(f, ",\"%s\":", name);
    write_string(f, (const unsigned char *)said, strlen(said));
}

void line_write(FILE *f, const line *l)
{
    bool as_text = is_text(l->data, l->len);

    fprintf(f, "{\"time\":%lld,\"path\":", (long long)l->time);
    write_string(f, (const unsigned char *)l->path, strlen(l->path));
    fprintf(f, ",\"%s\":", as_text ? "payload" : "base64");
    (as_text ? write_string : write_base64)(f, l->data, l->len);
    if (l->qos) fprintf(f, ",\"qos\":%d", l->qos);
    if (l->retain) fputs(",\"retain\":true", f);
    if (l->gone) fputs(",\"gone\":true", f);
    if (l->format != BRIDGE_FORMAT_AUTO) fprintf(f, ",\"format\":%d", l->format);
    if (l->copied) fputs(",\"copied\":true", f);
    write_member(f, "origin", l->origin);
    write_member(f, "user", l->user);
    write_member(f, "listener", l->listener);
    write_member(f, "name", l->name);
    fputs("}\n", f);
}
