#include "adapter/http/target.h"

static bool starts(text t, const char *with)
{
    size_t n = strlen(with);

    return t.len >= n && text_is_nocase((text){t.p, n}, with);
}

int target_split(text target, text *path, text *query)
{
    const char *mark;

    if (starts(target, "http://") || starts(target, "https://")) {
        const char *host = (const char *)memchr(target.p, ':', target.len) + 3, *end = target.p + target.len, *at = host;
        while (at < end && *at != '/' && *at != '?') at++;
        if (at == host) return BRIDGE_SYNTAX;
        target = at == end ? text_of("/") : (text){at, (size_t)(end - at)};
    }
    if (text_is(target, "*")) {
        *path = target;
        *query = (text){NULL, 0};
        return 0;
    }
    if (target.len == 0 || (target.p[0] != '/' && target.p[0] != '?')) return BRIDGE_SYNTAX;
    mark = memchr(target.p, '?', target.len);
    *path = (text){target.p, mark ? (size_t)(mark - target.p) : target.len};
    *query = mark ? (text){mark + 1, target.len - path->len - 1} : (text){NULL, 0};
    return 0;
}

int target_below(text path, text mount, text *below)
{
    if (path.len < mount.len || memcmp(path.p, mount.p, mount.len) != 0) return BRIDGE_NOTFOUND;
    *below = (text){path.p + mount.len, path.len - mount.len};
    if (below->len == 0) return 0;
    if (below->p[0] != '/') return BRIDGE_NOTFOUND;
    below->p++;
    below->len--;
    return 0;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at *i of t, which moves behind it; negative for a bad escape. */
static int take_byte(text t, size_t *i)
{
    int high, low;

    if (t.p[*i] != '%') return (uint8_t)t.p[(*i)++];
    if (t.len - *i < 3) return -1;
    high = hex(t.p[*i + 1]);
    low = hex(t.p[*i + 2]);
    *i += 3;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

int target_name(text raw, char *out)
{
    size_t n = 0;

    if (raw.len > INT32_MAX) return BRIDGE_SYNTAX;
    for (size_t i = 0; i < raw.len;) {
        bool escaped = raw.p[i] == '%';
        int c = take_byte(raw, &i);
        if (c <= 0 || (c == '/' && escaped)) return BRIDGE_SYNTAX;
        out[n++] = (char)c;
    }
    out[n] = 0;
    return (int)n;
}

int target_put(buf *out, text mount, text name)
{
    text segment, rest = name;
    bool more = true;
    int rc = buf_put(out, mount.p, mount.len);

    while (rc == 0 && more) {
        more = text_cut(rest, '/', &segment, &rest);
        rc = buf_put_u8(out, '/');
        if (rc < 0) return rc;
        if (text_is(segment, ".")) rc = buf_text(out, "%2E");
        else if (text_is(segment, "..")) rc = buf_text(out, "%2E%2E");
        else rc = text_percent_encode(out, segment, "!$&'()*,;=:@");
    }
    return rc;
}

/* The raw value of key, or p == NULL. */
static text find(text query, const char *key)
{
    text word, rest = query, name, value;

    while (rest.len > 0) {
        text_cut(rest, '&', &word, &rest);
        text_cut(word, '=', &name, &value);
        if (text_is(name, key)) return value;
    }
    return (text){NULL, 0};
}

bool query_has(text query, const char *key)
{
    return find(query, key).p != NULL;
}

bool query_get(text query, const char *key, char *value, size_t room)
{
    text raw = find(query, key);
    size_t n = 0;

    if (!raw.p) return false;
    for (size_t i = 0; i < raw.len;) {
        int c = take_byte(raw, &i);
        if (c <= 0 || n + 1 >= room) return false;
        value[n++] = (char)c;
    }
    value[n] = 0;
    return true;
}
