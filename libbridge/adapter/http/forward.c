/* CoAP to HTTP (RFC 7252 10.1): a proxy's question to an HTTP server, in CoAP's words on this side. */
#include "adapter/http/forward.h"
#include "codec/registry.h"
#include "core/target.h"
#include "hub/port.h"
#include "loop/fetch.h"
#include <stdio.h>

enum { TIME = 60000, LINES = 8 };

typedef struct passage {
    bridge_passage base;
    mem *mem;
    fetch *fetch;
    bridge_forward_fn fn;
    void *user;
    bridge_tag etags[4]; /* that the asker has */
    unsigned etag_count;
    bool get, erase;
} passage;

/* ---- Tags: hex digits in quotes are bytes and back; any other is known by a hash, which cannot be asked with */

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static bool tag_read(text said, bridge_tag *out)
{
    uint64_t hash = 0xcbf29ce484222325u;
    bool plain = said.len >= 4 && said.len <= 18 && said.len % 2 == 0 && said.p[0] == '"';

    memset(out, 0, sizeof *out);
    if (said.len < 2 || said.p[0] != '"') return false; /* a weak one is none for CoAP */
    for (size_t i = 1; i + 1 < said.len; i++) {
        hash = (hash ^ (uint8_t)said.p[i]) * 0x100000001b3u;
        plain = plain && hex(said.p[i]) >= 0;
    }
    for (size_t i = 1; plain && i + 1 < said.len; i += 2) out->bytes[out->len++] = (uint8_t)(hex(said.p[i]) << 4 | hex(said.p[i + 1]));
    if (plain) return true;
    out->len = 8;
    memcpy(out->bytes, &hash, 8);
    return true;
}

static void tags_put(buf *line, const char *name, const bridge_tag *tags, unsigned count)
{
    buf_text(line, name);
    for (unsigned i = 0; i < count; i++) {
        if (tags[i].len == 0) {
            buf_text(line, i ? ", *" : " *");
            continue;
        }
        buf_text(line, i ? ", \"" : " \"");
        for (unsigned b = 0; b < tags[i].len; b++) buf_print(line, "%02x", tags[i].bytes[b]);
        buf_text(line, "\"");
    }
}

/* ---- Answers */

static const struct {
    uint16_t status;
    uint8_t code;
} codes[] = {{201, 0x41}, {304, 0x43}, {400, 0x80}, {401, 0x81}, {403, 0x83}, {404, 0x84}, {405, 0x85}, {406, 0x86}, {409, 0x89}, {410, 0x84},
             {412, 0x8c}, {413, 0x8d}, {415, 0x8f}, {422, 0x96}, {429, 0x9d}, {500, 0xa0}, {501, 0xa1}, {502, 0xa2}, {503, 0xa3}, {504, 0xa4}};

static uint8_t code_of(const passage *p, int status)
{
    if (p->erase && (status == 404 || (status >= 200 && status < 300))) return 0x42; /* 2.02: gone is gone */
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == status) return codes[i].code;
    if (status >= 200 && status < 300) return p->get ? 0x45 : 0x44;
    return status >= 500 ? 0xa0 : status >= 400 ? 0x80 : 0xa2; /* redirects are not followed: 5.02 */
}

/* How long it is fresh, in seconds (RFC 9111 4.2): nothing said is nothing promised. */
static int64_t age_of(const fetch_answer *a, int status)
{
    text control = fetch_header(a, "cache-control"), item, rest = control;
    text wait = fetch_header(a, "retry-after"), age = fetch_header(a, "age");
    uint64_t n = 0, old = 0;
    bool more = rest.len > 0;

    if (status == 503 || status == 429) return wait.p && text_to_u64(text_trim(wait), UINT32_MAX - 1, &n) ? (int64_t)n : 5;
    while (more) {
        more = text_cut(rest, ',', &item, &rest);
        item = text_trim(item);
        if (text_is_nocase(item, "no-cache") || text_is_nocase(item, "no-store") || text_is_nocase(item, "private")) return 0;
        if (item.len > 8 && text_is_nocase((text){item.p, 8}, "max-age=")) text_to_u64((text){item.p + 8, item.len - 8}, UINT32_MAX - 1, &n);
    }
    if (age.p && text_to_u64(text_trim(age), UINT32_MAX, &old)) n = n > old ? n - old : 0;
    return (int64_t)n;
}

static void on_answer(void *user, const fetch_answer *a)
{
    passage *p = user;
    char location[1024];
    text type, where;
    bridge_forwarded f = {.format = -1, .max_age = -1};

    if (a->outcome < 0) {
        f.status = a->outcome == BRIDGE_DENIED || a->outcome == BRIDGE_CLOSED ? BRIDGE_UNREACHABLE : a->outcome;
        p->fn(p->user, &f);
        mem_free(p->mem, p);
        return;
    }
    type = fetch_header(a, "content-type");
    where = fetch_header(a, "location");
    f.code = code_of(p, a->status);
    f.data = a->body;
    f.len = a->len;
    if (type.p && a->len) f.format = format_of_media_type(type);
    if (f.format == BRIDGE_FORMAT_NAMED) f.format = BRIDGE_BYTES; /* RFC 8075 6.3, the other way round */
    if (f.code >> 5 >= 4 && f.format != BRIDGE_TEXT) f.len = 0, f.format = -1;
    if (f.code == 0x45 || f.code == 0x43 || f.code == 0xa3 || f.code == 0x9d) f.max_age = age_of(a, a->status);
    tag_read(fetch_header(a, "etag"), &f.etag);
    for (unsigned i = 0; f.code == 0x45 && f.etag.len && i < p->etag_count; i++)
        if (p->etags[i].len == f.etag.len && memcmp(p->etags[i].bytes, f.etag.bytes, f.etag.len) == 0) f.code = 0x43, f.len = 0, f.format = -1;
    if (where.len && where.len < sizeof location && *where.p == '/') {
        memcpy(location, where.p, where.len);
        location[where.len] = 0;
        f.location = location;
    }
    p->fn(p->user, &f);
    mem_free(p->mem, p);
}

/* ---- Questions */

static void on_cancel(bridge_passage *base)
{
    passage *p = (passage *)(void *)base;

    fetch_cancel(p->fetch);
    mem_free(p->mem, p);
}

static int ask(passage *p, bridge_port *home, const bridge_forward *q, const char *method)
{
    const char *lines[LINES], *type = q->format < 0 || !q->len ? NULL : format_media_type((bridge_format)q->format);
    const char *wanted = q->accept < 0 ? NULL : format_media_type((bridge_format)q->accept);
    fetch_ask x = {.method = method, .url = q->uri, .headers = lines, .body = q->len ? q->data : NULL, .len = q->len,
                   .timeout = q->timeout ? q->timeout : TIME, .max_body = port_limits(home)->max_message};
    char content[128], accept[128];
    buf none, match;
    unsigned n = 0;
    int rc;

    if (q->len && q->format >= 0 && !type) return BRIDGE_FORMAT;
    if (q->accept >= 0 && !wanted) return BRIDGE_NOTACCEPTABLE;
    buf_init(&none, p->mem, 4096);
    buf_init(&match, p->mem, 4096);
    snprintf(content, sizeof content, "Content-Type: %s", type ? type : "application/octet-stream");
    snprintf(accept, sizeof accept, "Accept: %s", wanted ? wanted : "*/*");
    if (q->len) lines[n++] = content;
    if (q->accept >= 0) lines[n++] = accept;
    if (q->etag_count) tags_put(&none, "If-None-Match:", q->etags, q->etag_count);
    else if (q->if_absent) buf_text(&none, "If-None-Match: *");
    if (q->if_match_count) tags_put(&match, "If-Match:", q->if_match, q->if_match_count);
    if (none.len && buf_cstr(&none)) lines[n++] = (char *)none.data;
    if (match.len && buf_cstr(&match)) lines[n++] = (char *)match.data;
    lines[n++] = "Via: 1.1 libbridge";
    lines[n] = NULL;
    rc = fetch_start(port_loop(home), &x, on_answer, p, &p->fetch, NULL);
    buf_done(&none);
    buf_done(&match);
    return rc;
}

int http_forward(bridge_port *home, const bridge_forward *q, bridge_forward_fn fn, void *user, bridge_passage **out)
{
    static const char *const methods[] = {NULL, "GET", "POST", "PUT", "DELETE", NULL, "PATCH", "PATCH"};
    const char *method = q->code < sizeof methods / sizeof *methods ? methods[q->code] : NULL;
    passage *p;
    int rc;

    *out = NULL;
    if (!method) return BRIDGE_UNSUPPORTED; /* FETCH */
    if (q->public_only) return BRIDGE_DENIED; /* where a name leads libcurl alone knows: HTTP servers are allowed by name */
    p = mem_new(port_mem(home), passage);
    if (!p) return BRIDGE_NOMEM;
    p->base.cancel = on_cancel;
    p->mem = port_mem(home);
    p->fn = fn;
    p->user = user;
    p->get = q->code == 1;
    p->erase = q->code == 4;
    for (; p->etag_count < q->etag_count && p->etag_count < 4; p->etag_count++) p->etags[p->etag_count] = q->etags[p->etag_count];
    rc = ask(p, home, q, method);
    if (rc < 0) mem_free(p->mem, p);
    else *out = &p->base;
    return rc;
}
