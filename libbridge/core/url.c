#include "core/url.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <ctype.h>

static char *decoded(mem *m, text t)
{
    buf b;
    char *out = NULL;

    buf_init(&b, m, 0);
    if (text_percent_decode(&b, t) == 0) out = mem_text_len(m, (const char *)b.data, b.len);
    buf_done(&b);
    return out;
}

static int take_params(url *u, text query)
{
    text one, key, value;

    while (query.len) {
        url_param *p;
        text_cut(query, '&', &one, &query);
        if (one.len == 0) continue;
        text_cut(one, '=', &key, &value);
        p = mem_realloc(u->mem, u->params, (u->param_count + 1) * sizeof *p);
        if (!p) return BRIDGE_NOMEM;
        u->params = p;
        p += u->param_count;
        *p = (url_param){decoded(u->mem, key), decoded(u->mem, value)};
        u->param_count++;
        if (!p->key || !p->value) return BRIDGE_SYNTAX;
    }
    return 0;
}

static int take_user(url *u, text *authority)
{
    text name, password;
    const char *at = NULL;

    for (size_t i = 0; i < authority->len; i++) /* the last '@': passwords are sometimes written plainly */
        if (authority->p[i] == '@') at = authority->p + i;
    if (!at) return 0;
    name = (text){authority->p, (size_t)(at - authority->p)};
    *authority = (text){at + 1, authority->len - name.len - 1};
    if (text_cut(name, ':', &name, &password) && !(u->password = decoded(u->mem, password))) return BRIDGE_SYNTAX;
    u->user = decoded(u->mem, name);
    return u->user ? 0 : BRIDGE_SYNTAX;
}

static int take_host(url *u, text authority)
{
    text host = authority, port = {NULL, 0};
    uint64_t number;

    if (authority.len && authority.p[0] == '[') { /* RFC 3986 3.2.2: an IPv6 address */
        const char *end = memchr(authority.p, ']', authority.len);
        if (!end) return BRIDGE_SYNTAX;
        host = (text){authority.p + 1, (size_t)(end - authority.p) - 1};
        port = (text){end + 1, authority.len - host.len - 2};
        if (port.len && *port.p != ':') return BRIDGE_SYNTAX;
        if (port.len) port.p++, port.len--;
    } else {
        text_cut(authority, ':', &host, &port);
        if (port.len && memchr(port.p, ':', port.len)) return BRIDGE_SYNTAX;
    }
    u->port = -1;
    if (port.len) {
        if (!text_to_u64(port, 65535, &number)) return BRIDGE_SYNTAX;
        u->port = (int)number;
    }
    u->host = decoded(u->mem, host);
    return u->host ? 0 : BRIDGE_SYNTAX;
}

static int parse(url *u, text t)
{
    text scheme, rest, query, authority;
    size_t n = 0;
    int rc;

    while (n < t.len && (isalnum((unsigned char)t.p[n]) || strchr("+-._", t.p[n])))
        n++;
    scheme = (text){t.p, n};
    if (n == 0 || t.len < n + 3 || memcmp(t.p + n, "://", 3) != 0) return BRIDGE_SYNTAX;
    rest = (text){t.p + n + 3, t.len - n - 3};
    text_cut(rest, '?', &rest, &query);
    n = 0;
    while (n < rest.len && rest.p[n] != '/')
        n++;
    authority = (text){rest.p, n};
    u->scheme = mem_text_len(u->mem, scheme.p, scheme.len);
    u->path = mem_text_len(u->mem, rest.p + n, rest.len - n);
    if (!u->scheme || !u->path) return BRIDGE_NOMEM;
    rc = take_user(u, &authority);
    if (rc == 0) rc = take_host(u, authority);
    if (rc == 0) rc = take_params(u, query);
    return rc;
}

int url_parse(mem *m, const char *textual, url **out, bridge_error *err)
{
    url *u = mem_new(m, url);
    int rc = BRIDGE_NOMEM;

    if (u) {
        u->mem = m;
        rc = text_is_utf8(textual, strlen(textual)) ? parse(u, text_of(textual)) : BRIDGE_SYNTAX;
    }
    if (rc == 0) {
        *out = u;
        return 0;
    }
    url_free(u);
    if (rc == BRIDGE_NOMEM) return fail_nomem(err);
    return fail(err, rc, "not a URL: it should look like scheme://host:port/path?option=value"); /* may hold a secret: not shown */
}

void url_free(url *u)
{
    if (!u) return;
    for (size_t i = 0; i < u->param_count; i++) {
        mem_free(u->mem, u->params[i].key);
        mem_free(u->mem, u->params[i].value);
    }
    mem_free(u->mem, u->params);
    mem_free(u->mem, u->scheme);
    mem_free(u->mem, u->host);
    mem_free(u->mem, u->path);
    mem_free(u->mem, u->user);
    mem_free(u->mem, u->password);
    mem_free(u->mem, u);
}

const char *url_get(const url *u, const char *key)
{
    for (size_t i = 0; i < u->param_count; i++)
        if (strcmp(u->params[i].key, key) == 0) return u->params[i].value;
    return NULL;
}

int url_get_u64(const url *u, const char *key, uint64_t otherwise, uint64_t max, uint64_t *out, bridge_error *err)
{
    const char *value = url_get(u, key);

    *out = otherwise;
    if (!value || text_to_u64(text_of(value), max, out)) return 0;
    return fail(err, BRIDGE_INVALID, "option %s=%s: a number from 0 to %llu is wanted", key, value,
                (unsigned long long)max);
}

int url_get_bool(const url *u, const char *key, bool otherwise, bool *out, bridge_error *err)
{
    const char *value = url_get(u, key);

    *out = otherwise;
    if (!value || text_to_bool(text_of(value), out)) return 0;
    return fail(err, BRIDGE_INVALID, "option %s=%s: yes or no is wanted", key, value);
}

static bool is_among(const char *key, const char *const *words)
{
    while (*words && strcmp(*words, key) != 0) words++;
    return *words != NULL;
}

int url_check(const url *u, const char *const *known, bridge_error *err)
{
    static const char *const of_all[] = {"anonymous", "password_file", "acl_file", "durability", NULL}; /* the hub takes these */

    for (size_t i = 0; i < u->param_count; i++) {
        const char *key = u->params[i].key, *near;
        if (is_among(key, known) || is_among(key, of_all)) continue;
        near = text_nearest(key, known);
        return fail(err, BRIDGE_INVALID, "%s:// has no option \"%s\"%s%s%s", u->scheme, key, near ? "; did you mean \"" : "",
                    near ? near : "", near ? "\"?" : "");
    }
    return 0;
}

bool url_is_loopback(const url *u)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (strstr(u->scheme, "+unix")) return true;
    if (inet_pton(AF_INET, u->host, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, u->host, &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(u->host, "localhost") == 0;
}
