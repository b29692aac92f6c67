/* adapter/mqtt/wire_text.c - which strings MQTT allows: UTF-8, topic names, topic filters, share names. */
#include "adapter/mqtt/wire.h"
#include <string.h>

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* A byte of w is zero (or, harmlessly for us, above 0x80). */
static inline uint64_t zero_byte(uint64_t w)
{
    return (w - ONES) & ~w & HIGHS;
}

/* Eight plain bytes: ASCII, no NUL; with `wild` also no '+' and no '#'; with strict also none below ' ' and no DEL. */
static inline bool plain_word(uint64_t w, bool wild, bool strict)
{
    uint64_t odd = (w & HIGHS) | zero_byte(w);
    if (wild) odd |= zero_byte(w ^ ONES * '+') | zero_byte(w ^ ONES * '#');
    if (strict) odd |= ((w - ONES * 0x20) & ~w & HIGHS) | zero_byte(w ^ ONES * 0x7F);
    return odd == 0;
}

/* Length of the character at p, 0 when it is none that may stand in MQTT text [5: 1.5.4-1, 1.5.4-2]; RFC 3629 4. */
static unsigned char_len(const uint8_t *p, size_t left, bool strict)
{
    uint8_t a = p[0];
    if (a < 0x80) return a != 0 && !(strict && (a < 0x20 || a == 0x7F));
    if (a < 0xC2) return 0;
    if (a < 0xE0) {
        if (left < 2 || (p[1] & 0xC0) != 0x80) return 0;
        return strict && a == 0xC2 && p[1] < 0xA0 ? 0 : 2; /* U+0080..U+009F */
    }
    if (a < 0xF0) {
        if (left < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) return 0;
        unsigned c = (a & 15u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u);
        if (c < 0x800 || (c >= 0xD800 && c < 0xE000)) return 0;
        return strict && ((c >= 0xFDD0 && c < 0xFDF0) || (c & 0xFFFE) == 0xFFFE) ? 0 : 3;
    }
    if (a > 0xF4 || left < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80) return 0;
    unsigned c = (a & 7u) << 18 | (p[1] & 63u) << 12 | (p[2] & 63u) << 6 | (p[3] & 63u);
    if (c < 0x10000 || c > 0x10FFFF) return 0;
    return strict && (c & 0xFFFE) == 0xFFFE ? 0 : 4;
}

/* The last eight bytes, or all there are, some of them twice. */
static inline uint64_t last_word(wire_slice s)
{
    uint64_t w;
    uint32_t a, b;
    if (s.len >= 8) {
        memcpy(&w, s.p + s.len - 8, 8);
        return w;
    }
    if (s.len >= 4) {
        memcpy(&a, s.p, 4);
        memcpy(&b, s.p + s.len - 4, 4);
        return (uint64_t)a << 32 | b;
    }
    return ONES * 'a' ^ ((uint64_t)(s.p[0] ^ 'a') << 16 | (uint64_t)(s.p[s.len / 2] ^ 'a') << 8 | (s.p[s.len - 1] ^ 'a'));
}

static bool text_ok(wire_slice s, bool wild, bool strict)
{
    size_t i = 0;
    uint64_t w;
    while (i < s.len) {
        for (; s.len - i >= 8; i += 8) {
            memcpy(&w, s.p + i, 8);
            if (!plain_word(w, wild, strict)) break;
        }
        if (s.len - i < 8 && plain_word(last_word(s), wild, strict)) return true;
        /* at least one odd byte is near: go on character by character for one word */
        for (size_t stop = i + 8; i < s.len && i < stop;) {
            unsigned n = char_len(s.p + i, s.len - i, strict);
            if (n == 0 || (wild && (s.p[i] == '+' || s.p[i] == '#'))) return false;
            i += n;
        }
    }
    return true;
}

bool wire_text_ok(wire_slice s, bool strict)
{
    return text_ok(s, false, strict);
}

bool wire_topic_ok(wire_slice s, bool strict)
{
    return s.len > 0 && text_ok(s, true, strict);
}

bool wire_filter_ok(wire_slice s, bool strict)
{
    if (s.len == 0 || !text_ok(s, false, strict)) return false;
    for (uint32_t i = 0; i < s.len; ++i) {
        if (s.p[i] != '+' && s.p[i] != '#') continue;
        if (i > 0 && s.p[i - 1] != '/') return false;
        if (s.p[i] == '#' && i + 1 != s.len) return false;
        if (s.p[i] == '+' && i + 1 < s.len && s.p[i + 1] != '/') return false;
    }
    return true;
}

int wire_share(wire_slice s, wire_slice *group, wire_slice *filter)
{
    static const char prefix[] = "$share/";
    if (s.len < 6 || memcmp(s.p, prefix, 6) != 0 || (s.len > 6 && s.p[6] != '/')) return 0;
    if (s.len == 6) return -1; /* "$share" alone could never be a topic of somebody's */
    const uint8_t *name = s.p + 7, *end = s.p + s.len;
    const uint8_t *slash = memchr(name, '/', (size_t)(end - name));
    if (!slash || slash == name || slash + 1 == end) return -1;
    for (const uint8_t *p = name; p < slash; ++p)
        if (*p == '+' || *p == '#') return -1;
    *group = (wire_slice){name, (uint32_t)(slash - name)};
    *filter = (wire_slice){slash + 1, (uint32_t)(end - slash - 1)};
    return 1;
}
