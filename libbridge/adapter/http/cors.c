/* Origins are compared as RFC 6454 serializes them; one of ours may hold a star: as the first labels of a host it stands for
 * every host below the rest, not for the rest itself, and as a port for every port. */
#include "adapter/http/cors.h"
#include "base/buf.h"
#include "base/status.h"
#include <string.h>

const char *const cors_options[] = {"cors", "cors_credentials", "cors_expose", "cors_headers", "cors_max_age", "cors_methods", NULL};

static const char METHODS[] = "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS";
static const char HEADERS[] = "Accept, Authorization, Bridge-QoS, Cache-Control, Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Range, "
                              "If-Unmodified-Since, Last-Event-ID, Prefer, Range, Traceparent";
/* "*" is a name like others where credentials are sent. */
static const char EXPOSED[] = "Accept-Patch, Accept-Ranges, Allow, Content-Range, ETag, Link, Location, Preference-Applied, Retry-After, Vary, "
                              "X-Bridge-Mount";

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}

static bool same_nocase(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

/* What "*" may stand for: labels of a host, or a port; nothing that ends either. */
static bool is_wild(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr("-._", p[i]) && !(p[i] >= '0' && p[i] <= '9') && !(lower(p[i]) >= 'a' && lower(p[i]) <= 'z')) return false;
    return n > 0;
}

static bool matches(text form, text origin)
{
    const char *star = memchr(form.p, '*', form.len);
    size_t head = star ? (size_t)(star - form.p) : form.len, tail = star ? form.len - head - 1 : 0;

    if (!star) return form.len == origin.len && same_nocase(form.p, origin.p, form.len);
    if (origin.len <= head + tail) return false;
    return same_nocase(form.p, origin.p, head) && same_nocase(star + 1, origin.p + origin.len - tail, tail) &&
           is_wild(origin.p + head, origin.len - head - tail);
}

bool cors_allows(const cors *c, text origin)
{
    text rest, form;

    if (!c || !origin.p) return false;
    if (c->any) return true;
    rest = text_of(c->origins);
    while (rest.len) {
        text_cut(rest, ',', &form, &rest);
        form = text_trim(form);
        if (form.len && matches(form, origin)) return true;
    }
    return false;
}

/* ---- options */

static int bad(bridge_error *err, text form, const char *why)
{
    return fail(err, BRIDGE_INVALID, "cors=%.*s: %s", (int)(form.len < 100 ? form.len : 100), form.p, why);
}

/* scheme://host[:port], with at most one "*": the whole first label of a host, or the port; or "null". */
static int check_origin(text form, bridge_error *err)
{
    const char *slashes, *star, *end, *host;

    if (!form.p) return 0;
    slashes = memmem(form.p, form.len, "://", 3);
    star = memchr(form.p, '*', form.len);
    end = form.p + form.len;
    host = slashes ? slashes + 3 : end;
    for (size_t i = 0; i < form.len; i++)
        if ((uint8_t)form.p[i] <= ' ' || (uint8_t)form.p[i] >= 0x7f) return bad(err, form, "an origin has no such characters");
    if (text_is(form, "null")) return 0; /* pages without an origin: files, sandboxes */
    if (slashes == form.p || host == end) return bad(err, form, "an origin, \"https://host\", is wanted, or \"*\" or \"off\" alone");
    if (memchr(host, '/', (size_t)(end - host))) return bad(err, form, "an origin has no path");
    if (!star) return 0;
    if (memchr(star + 1, '*', (size_t)(end - star - 1))) return bad(err, form, "one \"*\" is enough");
    if ((star == host && end - star > 2 && star[1] == '.') || (star > host && star[-1] == ':' && star + 1 == end)) return 0;
    return bad(err, form, "\"*\" stands for the first labels of a host, \"https://*.example.com\", or for its port");
}

static int check_origins(const char *said, bridge_error *err)
{
    text rest = text_of(said), form;
    int rc = 0, count = 0;

    while (rc == 0 && rest.len) {
        text_cut(rest, ',', &form, &rest);
        form = text_trim(form);
        if (form.len == 0) continue;
        count++;
        rc = check_origin(form, err);
    }
    return rc == 0 && count == 0 ? bad(err, text_of(said), "no origin is said") : rc;
}

/* A list of names for one header line: RFC 9110's token, "*", commas and blanks. */
static int get_names(const url *u, const char *key, const char *otherwise, const char **out, bridge_error *err)
{
    const char *said = url_get(u, key);

    *out = said ? said : otherwise;
    for (const char *at = *out; *at; at++)
        if (!strchr("!#$%&'*+-.^_`|~, ", *at) && !(*at >= '0' && *at <= '9') && !(lower(*at) >= 'a' && lower(*at) <= 'z'))
            return fail(err, BRIDGE_INVALID, "%s=%s: names between commas are wanted", key, said);
    return 0;
}

static int put_line(buf *b, const char *name, const char *value)
{
    return *value ? buf_print(b, "Access-Control-%s: %s\r\n", name, value) : 0;
}

static int take_text(cors *c, buf *b, char **out, int rc)
{
    if (rc == 0) rc = (*out = mem_text_len(c->mem, (char *)b->data, b->len)) ? 0 : BRIDGE_NOMEM;
    buf_done(b);
    return rc;
}

static int make_lines(cors *c, const char *methods, const char *headers, const char *exposed, uint64_t age)
{
    buf b;
    int rc;

    buf_init(&b, c->mem, 0);
    rc = put_line(&b, "Expose-Headers", exposed);
    if (rc == 0 && c->credentials) rc = put_line(&b, "Allow-Credentials", "true");
    if (rc == 0) rc = buf_text(&b, ""); /* not NULL */
    rc = take_text(c, &b, &c->always, rc);
    buf_init(&b, c->mem, 0);
    if (rc == 0) rc = put_line(&b, "Allow-Methods", methods);
    if (rc == 0) rc = put_line(&b, "Allow-Headers", headers);
    if (rc == 0) rc = buf_print(&b, "Access-Control-Max-Age: %llu\r\n", (unsigned long long)age);
    return take_text(c, &b, &c->preflight, rc);
}

static int read_lines(cors *c, const url *u, bridge_error *err)
{
    const char *methods, *headers, *exposed;
    uint64_t age;
    int rc = get_names(u, "cors_methods", METHODS, &methods, err);

    if (rc == 0) rc = get_names(u, "cors_headers", HEADERS, &headers, err);
    if (rc == 0) rc = get_names(u, "cors_expose", c->credentials ? EXPOSED : "*", &exposed, err);
    if (rc == 0) rc = url_get_u64(u, "cors_max_age", CORS_MAX_AGE, 31536000, &age, err);
    if (rc < 0) return rc;
    return make_lines(c, methods, headers, exposed, age) == 0 ? 0 : fail_nomem(err);
}

int cors_new(cors **out, mem *m, const url *u, bridge_error *err)
{
    const char *said = url_get(u, "cors");
    cors *c;
    int rc;

    *out = NULL;
    if (said && (strcmp(said, "off") == 0 || strcmp(said, "no") == 0 || !*said)) said = NULL;
    else if (!said) said = "*";
    for (const char *const *at = cors_options + 1; !said && *at; at++)
        if (url_get(u, *at)) return fail(err, BRIDGE_INVALID, "%s means nothing with cors=off", *at);
    if (!said) return 0;
    c = mem_new(m, cors);
    if (!c) return fail_nomem(err);
    c->mem = m;
    c->any = strcmp(said, "*") == 0;
    c->origins = mem_text(m, said);
    rc = c->origins ? c->any ? 0 : check_origins(said, err) : fail_nomem(err);
    if (rc == 0) rc = url_get_bool(u, "cors_credentials", false, &c->credentials, err);
    if (rc == 0 && c->credentials && c->any) /* any page could act for who is logged in: Fetch forbids it for the same reason */
        rc = fail(err, BRIDGE_INVALID, "cors_credentials wants to know the origins: cors=https://host,...");
    if (rc == 0) rc = read_lines(c, u, err);
    if (rc == 0) *out = c;
    else cors_free(c);
    return rc;
}

void cors_free(cors *c)
{
    if (!c) return;
    mem_free(c->mem, c->origins);
    mem_free(c->mem, c->always);
    mem_free(c->mem, c->preflight);
    mem_free(c->mem, c);
}
