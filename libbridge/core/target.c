#include "core/target.h"
#include "base/status.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const struct {
    const char *scheme;
    int port;
} schemes[] = {{"coap", 5683}, {"coaps", 5684}, {"coap+tcp", 5683}, {"coaps+tcp", 5684}, {"http", 80}, {"https", 443}};

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c; }

static int port_of(const char *scheme)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strcmp(scheme, schemes[i].scheme) == 0) return schemes[i].port;
    return -1;
}

static bool take(char *out, size_t room, text t)
{
    if (t.len == 0 || t.len >= room) return false;
    for (size_t i = 0; i < t.len; i++) out[i] = lower(t.p[i]);
    out[t.len] = 0;
    return true;
}

static bool is_name(const char *host)
{
    for (; *host; host++)
        if (!((*host >= 'a' && *host <= 'z') || (*host >= '0' && *host <= '9') || strchr("-._", *host))) return false;
    return true;
}

/* "host", "host:port", "[v6]:port"; the port in front of which nothing stands is empty. */
static bool cut_host(text authority, text *host, text *number, bool *six)
{
    const char *end;

    *number = (text){NULL, 0};
    *six = authority.len && *authority.p == '[';
    if (!*six) {
        text_cut(authority, ':', host, number);
        return !memchr(authority.p, '@', authority.len);
    }
    end = memchr(authority.p, ']', authority.len);
    if (!end) return false;
    *host = (text){authority.p + 1, (size_t)(end - authority.p - 1)};
    authority = (text){end + 1, authority.len - host->len - 2};
    if (authority.len == 0) return true;
    if (*authority.p != ':') return false;
    *number = (text){authority.p + 1, authority.len - 1};
    return true;
}

static bool is_clean(text uri)
{
    for (size_t i = 0; i < uri.len; i++)
        if (uri.p[i] <= ' ' || uri.p[i] >= 127 || strchr("#\"<>\\^`{|}", uri.p[i])) return false;
    return true;
}

int target_read(target *out, text uri)
{
    text scheme, rest, authority, host, number;
    size_t n = 0;
    uint64_t port;
    struct in6_addr v6;
    bool six;

    memset(out, 0, sizeof *out);
    if (uri.len > TARGET_URI_MAX || !is_clean(uri) || !text_cut(uri, ':', &scheme, &rest)) return BRIDGE_INVALID;
    if (!take(out->scheme, sizeof out->scheme, scheme) || rest.len < 3 || memcmp(rest.p, "//", 2) != 0) return BRIDGE_INVALID;
    rest = (text){rest.p + 2, rest.len - 2};
    while (n < rest.len && rest.p[n] != '/' && rest.p[n] != '?') n++;
    authority = (text){rest.p, n};
    rest = (text){rest.p + n, rest.len - n};
    out->port = port_of(out->scheme);
    if (out->port < 0 || !cut_host(authority, &host, &number, &six) || !take(out->host, sizeof out->host, host)) return BRIDGE_INVALID;
    if (six ? inet_pton(AF_INET6, out->host, &v6) != 1 : !is_name(out->host)) return BRIDGE_INVALID;
    out->port_said = number.len > 0;
    if (out->port_said && (!text_to_u64(number, 65535, &port) || port == 0)) return BRIDGE_INVALID;
    if (out->port_said) out->port = (int)port;
    if (!text_cut(rest, '?', &out->path, &out->query)) out->query = (text){NULL, 0};
    return 0;
}

/* ---- Who may be asked */

typedef struct entry {
    char scheme[16], host[TARGET_HOST_MAX + 1]; /* host "*", "*.example.com", or exact */
    int port; /* 0: any */
    int bits; /* of a network; -1: none */
    uint8_t net[16];
} entry;

struct allowed {
    mem *mem;
    size_t count;
    entry entries[];
};

static int bytes_of(const char *host, uint8_t out[16]) /* 4, 16, or 0: not an address */
{
    return inet_pton(AF_INET, host, out) == 1 ? 4 : inet_pton(AF_INET6, host, out) == 1 ? 16 : 0;
}

static bool read_network(entry *e, text host)
{
    text address, bits;
    uint64_t n;
    int len;

    e->bits = -1;
    if (!text_cut(host, '/', &address, &bits)) return take(e->host, sizeof e->host, host);
    if (!take(e->host, sizeof e->host, address)) return false;
    len = bytes_of(e->host, e->net);
    if (!len || !text_to_u64(bits, (uint64_t)len * 8, &n)) return false;
    e->bits = (int)n;
    return true;
}

static bool read_entry(entry *e, text t)
{
    text host, number;
    uint64_t port;
    bool six;
    const char *mark = NULL;

    for (size_t i = 0; i + 2 < t.len && !mark; i++)
        if (memcmp(t.p + i, "://", 3) == 0) mark = t.p + i;
    strcpy(e->scheme, "coap");
    if (mark && !take(e->scheme, sizeof e->scheme, (text){t.p, (size_t)(mark - t.p)})) return false;
    if (mark) t = (text){mark + 3, t.len - (size_t)(mark + 3 - t.p)};
    e->port = port_of(e->scheme);
    if (e->port < 0 || !cut_host(t, &host, &number, &six) || !read_network(e, host)) return false;
    if (text_is(number, "*")) e->port = 0;
    else if (number.len && (!text_to_u64(number, 65535, &port) || port == 0)) return false;
    else if (number.len) e->port = (int)port;
    if (e->host[0] == '*') return e->host[1] == 0 || (e->host[1] == '.' && is_name(e->host + 2));
    return six || e->bits >= 0 || is_name(e->host);
}

int allowed_new(allowed **out, mem *m, const char *list, bridge_error *err)
{
    text rest = text_of(list), one;
    size_t count = 1;
    allowed *a;
    bool more = true;

    for (const char *p = list; *p; p++) count += *p == ',';
    if (count > TARGET_ALLOWED_MAX) return fail(err, BRIDGE_TOOBIG, "at most %d targets can be allowed", TARGET_ALLOWED_MAX);
    a = mem_zalloc(m, sizeof *a + count * sizeof(entry));
    if (!a) return fail_nomem(err);
    a->mem = m;
    while (more) {
        more = text_cut(rest, ',', &one, &rest);
        one = text_trim(one);
        if (!read_entry(&a->entries[a->count++], one)) {
            allowed_free(a);
            return fail(err, BRIDGE_INVALID, "\"%.*s\" is no target: [scheme://]host[:port] is wanted, as in coap://10.0.0.0/8:*", (int)(one.len < 80 ? one.len : 80), one.p);
        }
    }
    *out = a;
    return 0;
}

void allowed_free(allowed *a)
{
    if (a) mem_free(a->mem, a);
}

static bool in_network(const entry *e, const char *host)
{
    uint8_t at[16], net[16];
    int len = bytes_of(host, at), mine = bytes_of(e->host, net);

    if (!len || len != mine) return false;
    for (int bit = 0; bit < e->bits; bit++)
        if ((at[bit / 8] ^ net[bit / 8]) >> (7 - bit % 8) & 1) return false;
    return true;
}

static bool host_matches(const entry *e, const char *host)
{
    size_t len = strlen(host), end = strlen(e->host);

    if (e->bits >= 0) return in_network(e, host);
    if (e->host[0] != '*') return strcmp(e->host, host) == 0;
    return end == 1 || (len > end - 1 && strcmp(host + len - (end - 1), e->host + 1) == 0);
}

bool allowed_may(const allowed *a, const target *t, bool *public_only)
{
    bool may = false;

    *public_only = true;
    for (size_t i = 0; a && i < a->count; i++) {
        const entry *e = &a->entries[i];

        if (strcmp(e->scheme, t->scheme) != 0 || (e->port && e->port != t->port) || !host_matches(e, t->host)) continue;
        may = true;
        if (e->host[0] != '*') *public_only = false;
    }
    return may;
}

/* ---- Addresses (RFC 6890) */

static bool is_public_v4(uint32_t a)
{
    static const struct {
        uint32_t net;
        int bits;
    } others[] = {{0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16}, {0xac100000, 12},
                  {0xc0000000, 24}, {0xc0000200, 24}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 3}};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if ((a ^ others[i].net) >> (32 - others[i].bits) == 0) return false;
    return true;
}

bool address_is_public(const struct sockaddr *a)
{
    const uint8_t *six;

    if (a->sa_family == AF_INET) return is_public_v4(ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr));
    if (a->sa_family != AF_INET6) return false;
    six = ((const struct sockaddr_in6 *)(const void *)a)->sin6_addr.s6_addr;
    /* global unicast, without 6to4 and Teredo, which hold IPv4 addresses */
    return (six[0] & 0xe0) == 0x20 && !(six[0] == 0x20 && (six[1] == 0x02 || (six[1] == 0x01 && six[2] == 0 && six[3] == 0)));
}
