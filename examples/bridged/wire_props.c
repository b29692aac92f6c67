#include "wire_props.h"
#include <string.h>

enum { USER = 0x26, BYTES = -1, NUMBER = -2 };

/* How long what follows an identifier is: so many bytes, BYTES with their own length in front, NUMBER of variable length. */
static int kind_of(unsigned char id)
{
    static const unsigned char ones[] = {0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a}, twos[] = {0x13, 0x21, 0x22, 0x23}, fours[] = {0x02, 0x11, 0x18, 0x27};

    if (memchr(ones, id, sizeof ones)) return 1;
    if (memchr(twos, id, sizeof twos)) return 2;
    if (memchr(fours, id, sizeof fours)) return 4;
    return id == 0x0b ? NUMBER : BYTES;
}

/* A variable byte integer: its bytes, or 0. */
static size_t number(const unsigned char *p, size_t len, size_t *out)
{
    *out = 0;
    for (size_t n = 0; n < len && n < 4; n++) {
        *out |= (size_t)(p[n] & 127) << 7 * n;
        if (!(p[n] & 128)) return n + 1;
    }
    return 0;
}

static size_t text_len(const unsigned char *p, size_t len)
{
    size_t n = len >= 2 ? (size_t)p[0] << 8 | p[1] : len;

    return n + 2 <= len ? n + 2 : 0;
}

/* Over its own length, to have room for the NUL. */
static char *end_text(unsigned char *p, size_t whole)
{
    memmove(p, p + 2, whole - 2);
    p[whole - 2] = 0;
    return (char *)p;
}

/* What a publisher says under these names stands before what the bridge says. */
static void said(line *l, const char *name, char *value, bool *told)
{
    if (strcmp(name, "bridge-origin") == 0) {
        l->user = l->listener = l->name = NULL;
        l->copied = false;
        l->origin = strcmp(value, "?") == 0 ? NULL : value;
    } else if (strcmp(name, "bridge-user") == 0) l->user = value;
    else if (strcmp(name, "bridge-listener") == 0) l->listener = value;
    else if (strcmp(name, "bridge-name") == 0) l->name = value;
    else if (strcmp(name, "bridge-copied") == 0) l->copied = true;
    else if (told && strcmp(name, "tell-origin") == 0) *told = true;
}

static size_t user(unsigned char *p, size_t len, line *out, bool *told)
{
    size_t name = text_len(p, len), value = name ? text_len(p + name, len - name) : 0;
    char *at;

    if (!value) return 0;
    at = end_text(p + name, value);
    said(out, end_text(p, name), at, told);
    return name + value;
}

size_t wire_props_read(unsigned char *p, size_t len, line *out, bool *told)
{
    size_t all, head = number(p, len, &all), skipped;

    if (!head || all > len - head) return 0;
    p += head;
    for (size_t at = 1, n; at <= all; at += n + 1) {
        int kind = kind_of(p[at - 1]);
        size_t left = all - at;
        n = p[at - 1] == USER ? user(p + at, left, out, told) : kind == NUMBER ? number(p + at, left, &skipped)
            : kind == BYTES ? text_len(p + at, left) : (size_t)kind;
        if (!n || n > left) return 0;
    }
    return head + all;
}
