/* CoAP to HTTP (RFC 7252 10.1): a proxy's question to an HTTP server, in CoAP's words on this side.  What a shared cache may keep is
 * kept (RFC 9111 3), and when it is stale asked about with the server's own ETag (4.3). */
#include "adapter/http/forward.h"
#include "adapter/http/server.h"
#include "codec/registry.h"
#include "core/target.h"
#include "hub/far_cache.h"
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
    far_cache *cache;
    loop *loop;
    bool get, erase; /* get: without conditions but ETags */
    size_t key_len;
    char key[]; /* Accept, a blank, the URI */
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

static void tags_put(buf *line, const bridge_tag *tags, unsigned count)
{
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

/* ---- What is kept: the server's ETag, NUL, the body */

typedef struct freshness {
    bool keep;       /* a shared cache may (RFC 9111 3) */
    int64_t seconds; /* nothing said is nothing promised: no guesses (4.2.2) */
} freshness;

static int64_t seconds_of(text item, size_t name)
{
    text digits = {item.p + name, item.len - name};
    uint64_t n = 0;

    return text_to_u64(digits, INT32_MAX, &n) ? (int64_t)n : 0;
}

static int64_t until_expires(const fetch_answer *a)
{
    int64_t then, sent;

    return date_read(text_trim(fetch_header(a, "expires")), &then) && date_read(text_trim(fetch_header(a, "date")), &sent) ? then - sent : 0;
}

static freshness freshness_of(const fetch_answer *a)
{
    text rest = fetch_header(a, "cache-control"), age = fetch_header(a, "age"), vary = text_trim(fetch_header(a, "vary")), item;
    int64_t most = -1, shared = -1;
    freshness f = {.keep = vary.len == 0 || text_is_nocase(vary, "accept")};
    bool more = rest.len > 0, check = false;
    uint64_t old = 0;

    while (more) {
        more = text_cut(rest, ',', &item, &rest);
        item = text_trim(item);
        if (text_is_nocase(item, "no-store") || (item.len >= 7 && text_is_nocase((text){item.p, 7}, "private"))) f.keep = false;
        if (item.len >= 8 && text_is_nocase((text){item.p, 8}, "no-cache")) check = true;
        if (item.len > 8 && text_is_nocase((text){item.p, 8}, "max-age=")) most = seconds_of(item, 8);
        if (item.len > 9 && text_is_nocase((text){item.p, 9}, "s-maxage=")) shared = seconds_of(item, 9);
    }
    f.seconds = shared >= 0 ? shared : most >= 0 ? most : until_expires(a);
    if (age.p && text_to_u64(text_trim(age), INT32_MAX, &old)) f.seconds -= (int64_t)old;
    if (check || !f.keep || f.seconds < 0) f.seconds = 0;
    return f;
}

/* Of an error: when to come again. */
static int64_t wait_of(const fetch_answer *a)
{
    text wait = fetch_header(a, "retry-after");
    uint64_t n;

    return wait.p && text_to_u64(text_trim(wait), UINT32_MAX - 1, &n) ? (int64_t)n : 5;
}

static far_kept *kept_of(const passage *p) { return p->get ? far_cache_get(p->cache, p->key, p->key_len) : NULL; }
static const char *validator_of(const far_kept *k) { return (const char *)far_kept_body(k); }

static void keep(const passage *p, const fetch_answer *a, const bridge_forwarded *f, freshness fresh)
{
    far_kept like = {.code = f->code, .format = f->format, .etag_len = f->etag.len};
    text tag = fetch_header(a, "etag");
    buf body;

    if (tag.len > 256) tag.len = 0; /* it is not asked with */
    if (!fresh.keep || (!tag.len && fresh.seconds == 0)) {
        far_cache_drop(p->cache, p->key, p->key_len);
        return;
    }
    like.fresh_until = loop_now(p->loop) + fresh.seconds * 1000;
    memcpy(like.etag, f->etag.bytes, f->etag.len);
    buf_init(&body, p->mem, FAR_CACHE_BYTES);
    if (buf_put(&body, tag.p, tag.len) == 0 && buf_put(&body, "", 1) == 0 && buf_put(&body, f->data, f->len) == 0) {
        like.len = body.len;
        far_cache_put(p->cache, p->key, p->key_len, &like, body.data);
    }
    buf_done(&body);
}

/* RFC 7252 5.10.6.2: 2.03 to whom has it already. */
static void retell(const passage *p, bridge_forwarded *f)
{
    for (unsigned i = 0; f->code == 0x45 && f->etag.len && i < p->etag_count; i++)
        if (p->etags[i].len == f->etag.len && memcmp(p->etags[i].bytes, f->etag.bytes, f->etag.len) == 0) f->code = 0x43, f->len = 0, f->format = -1;
}

static void answer_kept(const passage *p, const far_kept *k)
{
    size_t head = strlen(validator_of(k)) + 1;
    int64_t left = (k->fresh_until - loop_now(p->loop)) / 1000;
    bridge_forwarded f = {.code = k->code, .format = k->format, .max_age = left > 0 ? left : 0, .data = far_kept_body(k) + head, .len = k->len - head};

    f.etag.len = k->etag_len;
    memcpy(f.etag.bytes, k->etag, k->etag_len);
    retell(p, &f);
    p->fn(p->user, &f);
}

/* RFC 9111 4.4: it has changed, or is gone, in every format. */
static void forget(const passage *p)
{
    const char *uri = strchr(p->key, ' ');

    far_cache_drop_ending(p->cache, uri, p->key_len - (size_t)(uri - p->key));
}

/* 304 to our question, not to one of the asker's tags. */
static bool is_revalidated(const passage *p, const fetch_answer *a, const far_kept *k)
{
    text tag = fetch_header(a, "etag");

    if (a->status != 304 || !k || !*validator_of(k)) return false;
    return tag.len ? text_is(tag, validator_of(k)) : p->etag_count == 0;
}

static void on_answer(void *user, const fetch_answer *a)
{
    passage *p = user;
    far_kept *kept = kept_of(p);
    freshness fresh;
    char location[1024];
    text type, where;
    bridge_forwarded f = {.format = -1, .max_age = -1};

    if (a->outcome < 0) {
        f.status = a->outcome == BRIDGE_DENIED || a->outcome == BRIDGE_CLOSED ? BRIDGE_UNREACHABLE : a->outcome;
        p->fn(p->user, &f);
        mem_free(p->mem, p);
        return;
    }
    fresh = freshness_of(a);
    if (is_revalidated(p, a, kept)) {
        kept->fresh_until = loop_now(p->loop) + fresh.seconds * 1000;
        answer_kept(p, kept);
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
    if (f.code == 0x45 || f.code == 0x43) f.max_age = fresh.seconds;
    if (f.code == 0xa3 || f.code == 0x9d) f.max_age = wait_of(a);
    tag_read(fetch_header(a, "etag"), &f.etag);
    if (p->get && a->status == 200) keep(p, a, &f, fresh);
    else if (p->get ? a->status == 404 || a->status == 410 : a->status >= 200 && a->status < 400) forget(p);
    retell(p, &f);
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
    const far_kept *kept = kept_of(p);
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
    if (q->etag_count || (kept && *validator_of(kept))) buf_text(&none, "If-None-Match:");
    if (kept && *validator_of(kept)) buf_print(&none, " %s%s", validator_of(kept), q->etag_count ? "," : "");
    if (q->etag_count) tags_put(&none, q->etags, q->etag_count);
    else if (q->if_absent) buf_text(&none, "If-None-Match: *");
    if (q->if_match_count) buf_text(&match, "If-Match:"), tags_put(&match, q->if_match, q->if_match_count);
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
    http_port *hp = bridge_port_state(home);
    size_t room = strlen(q->uri) + 24;
    far_kept *kept;
    passage *p;
    int rc;

    *out = NULL;
    if (!method) return BRIDGE_UNSUPPORTED; /* FETCH */
    if (q->public_only) return BRIDGE_DENIED; /* where a name leads libcurl alone knows: HTTP servers are allowed by name */
    if (!hp->kept.mem) far_cache_init(&hp->kept, port_mem(home), 0, 0);
    p = mem_zalloc(port_mem(home), sizeof *p + room);
    if (!p) return BRIDGE_NOMEM;
    p->base.cancel = on_cancel;
    p->mem = port_mem(home);
    p->loop = port_loop(home);
    p->cache = &hp->kept;
    p->fn = fn;
    p->user = user;
    p->get = q->code == 1 && !q->if_match_count && !q->if_absent;
    p->erase = q->code == 4;
    p->key_len = (size_t)snprintf(p->key, room, "%d %s", q->accept, q->uri);
    for (; p->etag_count < q->etag_count && p->etag_count < 4; p->etag_count++) p->etags[p->etag_count] = q->etags[p->etag_count];
    kept = kept_of(p);
    if (kept && kept->fresh_until > loop_now(p->loop)) {
        answer_kept(p, kept);
        mem_free(p->mem, p);
        return 0;
    }
    rc = ask(p, home, q, method);
    if (rc < 0) mem_free(p->mem, p);
    else *out = &p->base;
    return rc;
}
