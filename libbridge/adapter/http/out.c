/* What webhooks and owners behind HTTP have in common: the URL, who we are there, when to try again. */
#include "adapter/http/out.h"
#include "adapter/http/media.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/textfile.h"
#include <stdio.h>

static const char *const hook_options[] = {
    "watch", "method", "event", "format", "secret_file", "retained", "retries", "backoff", "queue", "queue_bytes", "drop", "inflight",
    "query", "token_file", "timeout", "ca", "cert", "key", "insecure", NULL,
};
static const char *const far_options[] = {
    "as", "poll", "max_body", "query", "token_file", "timeout", "ca", "cert", "key", "insecure", NULL,
};

int out_check(const url *u, bridge_error *err)
{
    if (url_get(u, "watch")) return url_check(u, hook_options, err);
    if (url_get(u, "as")) return url_check(u, far_options, err);
    return fail(err, BRIDGE_INVALID, "%s:// to connect to wants watch=PATTERN (a webhook) or as=PATTERN (its resources become paths)",
                u->scheme);
}

int out_connect(bridge_port *port, const url *u, http_out **out, bridge_error *err)
{
    int rc = out_check(u, err);

    if (rc < 0) return rc;
    return url_get(u, "watch") ? hook_open(port, u, out, err) : far_open(port, u, out, err);
}

/* ---- settings */

int out_duration(const url *u, const char *name, int64_t otherwise, int64_t *ms, bridge_error *err)
{
    const char *said = url_get(u, name);
    size_t digits = said ? strspn(said, "0123456789") : 0;
    uint64_t n;

    *ms = otherwise;
    if (!said) return 0;
    if (text_to_u64((text){said, digits}, 1000000000, &n)) {
        const char *unit = said + digits;
        int64_t factor = !*unit || strcmp(unit, "s") == 0 ? 1000 : strcmp(unit, "ms") == 0 ? 1 : strcmp(unit, "m") == 0 ? 60000 : 0;
        *ms = (int64_t)n * factor;
        if (factor && *ms > 0) return 0;
    }
    return fail(err, BRIDGE_INVALID, "option %s=%s: a time is wanted, as 5s, 500ms or 2m", name, said);
}

static int take(char **to, mem *m, const char *said)
{
    if (!said) return 0;
    *to = mem_text(m, said);
    return *to ? 0 : BRIDGE_NOMEM;
}

static int make_url(http_out *o, const url *u)
{
    bool v6 = strchr(u->host, ':') != NULL;
    buf b;
    int rc;

    buf_init(&b, o->mem, 0);
    rc = buf_print(&b, "%s://%s%s%s", u->scheme, v6 ? "[" : "", *u->host ? u->host : "localhost", v6 ? "]" : "");
    if (rc == 0 && u->port >= 0) rc = buf_print(&b, ":%d", u->port);
    if (rc == 0) rc = buf_text(&b, *u->path ? u->path : "/");
    if (rc == 0) rc = buf_cstr(&b) ? take(&o->url, o->mem, buf_cstr(&b)) : BRIDGE_NOMEM;
    if (rc == 0) bridge_port_named(o->port, o->url);
    buf_done(&b);
    return rc;
}

/* Every {name} of a template is a capture of the pattern, or the path. */
static int check_template(const http_out *o, const char *at, bridge_error *err)
{
    for (; at && (at = strchr(at, '{')); at++) {
        const char *end = strchr(at, '}');
        text name = {at + 1, end ? (size_t)(end - at - 1) : 0};
        if (!end) return fail(err, BRIDGE_INVALID, "a { of the URL has no }");
        if (name.len > 3 && memcmp(name.p + name.len - 3, "...", 3) == 0) name.len -= 3;
        if (!text_is(name, "path") && pattern_find(o->pattern, name) < 0)
            return fail(err, BRIDGE_INVALID, "the URL wants {%.*s}, but \"%s\" does not capture it", (int)name.len, name.p, o->pattern->text);
    }
    return 0;
}

int out_begin(http_out *o, bridge_port *port, const url *u, const char *name, const char *who, void *state, bridge_error *err)
{
    int rc;

    o->port = port;
    o->loop = port_loop(port);
    o->mem = port_mem(port);
    rc = pattern_new(o->mem, &o->pattern, name, strlen(name), PATTERN_FULL, err);
    if (rc < 0) return rc;
    rc = make_url(o, u);
    if (rc == 0) rc = take(&o->query, o->mem, url_get(u, "query"));
    if (rc == 0) rc = take(&o->user, o->mem, u->user);
    if (rc == 0) rc = take(&o->password, o->mem, u->password);
    if (rc == 0) rc = take(&o->ca, o->mem, url_get(u, "ca"));
    if (rc == 0) rc = take(&o->cert, o->mem, url_get(u, "cert"));
    if (rc == 0) rc = take(&o->key, o->mem, url_get(u, "key"));
    if (rc == 0) rc = take(&o->token_file, o->mem, url_get(u, "token_file"));
    if (rc < 0) return fail_nomem(err);
    rc = url_get_bool(u, "insecure", false, &o->insecure, err);
    if (rc == 0) rc = out_duration(u, "timeout", FETCH_TIME, &o->timeout, err);
    if (rc == 0) rc = check_template(o, o->url, err);
    if (rc == 0) rc = check_template(o, o->query, err);
    if (rc == 0 && bridge_peer_new(&o->peer, port, who, NULL, 0, state) < 0) rc = fail_nomem(err);
    return rc;
}

void out_done(http_out *o)
{
    bridge_peer_free(o->peer);
    mem_free(o->mem, o->pattern);
    mem_free(o->mem, o->url);
    mem_free(o->mem, o->query);
    mem_free(o->mem, o->user);
    mem_free(o->mem, o->password);
    mem_free(o->mem, o->ca);
    mem_free(o->mem, o->cert);
    mem_free(o->mem, o->key);
    mem_free(o->mem, o->token_file);
}

void out_label(const http_out *o, char label[OUT_LABEL])
{
    size_t n = (size_t)sprintf(label, "url=\"");

    for (const char *at = o->url; *at && n < OUT_LABEL - 2; at++)
        if (*at != '"' && *at != '\\' && (uint8_t)*at >= ' ') label[n++] = *at;
    label[n++] = '"';
    label[n] = 0;
}

/* ---- one request */

/* Segment for segment; "." and ".." are escaped too, or the server would fold them (target.h). */
static int put_escaped(buf *out, text value, bool whole)
{
    text head, rest = value;
    int rc = 0;
    bool more;

    if (!whole) return text_percent_encode(out, value, "");
    do {
        more = text_cut(rest, '/', &head, &rest);
        if (text_is(head, ".")) rc = buf_text(out, "%2E");
        else if (text_is(head, "..")) rc = buf_text(out, "%2E%2E");
        else rc = text_percent_encode(out, head, "");
        if (rc == 0 && more) rc = buf_put_u8(out, '/');
    } while (rc == 0 && more);
    return rc;
}

int out_escape(buf *out, text path)
{
    return put_escaped(out, path, true);
}

static int fill(const http_out *o, const char *form, text path, const captures *caps, buf *out)
{
    const char *at, *end;
    int rc = 0;

    while (rc == 0 && (at = strchr(form, '{')) && (end = strchr(at, '}'))) {
        text name = {at + 1, (size_t)(end - at - 1)};
        if (name.len > 3 && memcmp(name.p + name.len - 3, "...", 3) == 0) name.len -= 3;
        int i = pattern_find(o->pattern, name);
        rc = buf_put(out, form, (size_t)(at - form));
        if (rc == 0) rc = put_escaped(out, i < 0 ? path : caps->at[i], true);
        form = end + 1;
    }
    return rc < 0 ? rc : buf_text(out, form);
}

int out_address(const http_out *o, text path, buf *address)
{
    captures caps = {.count = 0};
    int rc;

    if (!pattern_match(o->pattern, path.p, path.len, &caps)) return BRIDGE_INVALID;
    rc = fill(o, o->url, path, &caps, address);
    if (rc == 0 && o->query) rc = buf_put_u8(address, '?');
    if (rc == 0 && o->query) rc = fill(o, o->query, path, &caps, address);
    if (rc == 0 && !buf_cstr(address)) rc = BRIDGE_NOMEM;
    return rc;
}

int out_token(const http_out *o, buf *line)
{
    buf file;
    text token;
    int rc;

    if (!o->token_file) return 0;
    rc = textfile_read(&file, o->mem, o->token_file, NULL);
    if (rc < 0) return rc;
    token = (text){(char *)file.data, file.len};
    while (token.len && (uint8_t)token.p[token.len - 1] <= ' ') token.len--;
    rc = buf_text(line, "Authorization: Bearer ");
    if (rc == 0) rc = buf_put(line, token.p, token.len);
    if (rc == 0) rc = buf_put_u8(line, 0);
    textfile_drop(&file);
    return rc;
}

void out_ask(const http_out *o, fetch_ask *ask)
{
    ask->user = o->user;
    ask->password = o->password;
    ask->tls = (fetch_tls){.ca = o->ca, .cert = o->cert, .key = o->key, .insecure = o->insecure};
    if (ask->timeout == 0) ask->timeout = o->timeout;
}

/* ---- trying again */

int64_t out_wait(int64_t first, unsigned tries)
{
    int64_t ms = tries > 16 ? OUT_LONGEST_WAIT : first << (tries ? tries - 1 : 0);
    uint32_t dice;

    if (ms > OUT_LONGEST_WAIT) ms = OUT_LONGEST_WAIT;
    random_bytes(&dice, sizeof dice);
    return ms - ms / 4 + (int64_t)(dice % (uint32_t)(ms / 2 + 1)); /* so that those who failed together do not come back together */
}

int64_t out_retry_after(const http_out *o, const fetch_answer *a)
{
    text said = fetch_header(a, "Retry-After");
    uint64_t seconds;
    int64_t at, ms = 0;

    if (!said.p) return 0;
    if (text_to_u64(said, 1000000, &seconds)) ms = (int64_t)seconds * 1000;
    else if (date_read(said, &at)) ms = at * 1000 - loop_calendar(o->loop);
    return ms < 0 ? 0 : ms > OUT_LONGEST_WAIT ? OUT_LONGEST_WAIT : ms;
}
