/* Lasting routes: in the store, and there again at the next start, before anything else is said about routes.
 *
 *   key    source NUL target NUL priority
 *   value  1 | ways | retain | max_qos | on_error | priority u32 | source, target, format, transform: u32 length, bytes; ~0: none
 * What is said in this run counts: a route of the config or of a call takes the place of one that came from the store (routes_add). */
#include "base/status.h"
#include "hub/keep.h"
#include "hub/routes.h"

enum { RECORD_VERSION = 1, RECORD_HEAD = 9, RECORD_TEXTS = 4 };

/* ---- out */

static int put_text(buf *out, const char *s)
{
    int rc = buf_put_be32(out, s ? (uint32_t)strlen(s) : UINT32_MAX);

    return rc == 0 && s ? buf_put(out, s, strlen(s)) : rc;
}

static int put_key(buf *out, const bridge_route *said)
{
    int rc = buf_put(out, said->source, strlen(said->source) + 1);

    if (rc == 0) rc = buf_put(out, said->target, strlen(said->target) + 1);
    return rc == 0 ? buf_put_be32(out, (uint32_t)said->priority) : rc;
}

static int put_record(buf *out, const bridge_route *said)
{
    const uint8_t head[5] = {RECORD_VERSION, (uint8_t)said->ways, (uint8_t)said->retain, (uint8_t)said->max_qos, (uint8_t)said->on_error};
    int rc = buf_put(out, head, sizeof head);

    if (rc == 0) rc = buf_put_be32(out, (uint32_t)said->priority);
    if (rc == 0) rc = put_text(out, said->source);
    if (rc == 0) rc = put_text(out, said->target);
    if (rc == 0) rc = put_text(out, said->format);
    return rc == 0 ? put_text(out, said->transform) : rc;
}

int route_keep(hub *h, route *r, const bridge_route *said)
{
    buf key, value;
    int rc;

    buf_init(&key, h->mem, 0);
    buf_init(&value, h->mem, 0);
    rc = put_key(&key, said);
    if (rc == 0) rc = put_record(&value, said);
    if (rc == 0 && !(r->kept = mem_copy(h->mem, key.data, key.len))) rc = BRIDGE_NOMEM;
    if (rc == 0) r->kept_len = key.len;
    if (rc == 0 && !h->loading) rc = bridge_store_put(h->store, BRIDGE_KEPT_ROUTE, key.data, key.len, value.data, value.len);
    buf_done(&key);
    buf_done(&value);
    return rc;
}

void route_keep_not(hub *h, route *r)
{
    if (r->kept && !h->loading) bridge_store_remove(h->store, BRIDGE_KEPT_ROUTE, r->kept, r->kept_len);
    mem_free(h->mem, r->kept);
    r->kept = NULL;
}

/* ---- again.  All is read first, then made: nothing is said to a store that is being read. */

static int on_kept(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    int rc = buf_put_be32(user, (uint32_t)len);

    (void)key;
    (void)key_len;
    return rc == 0 ? buf_put(user, value, len) : rc;
}

static uint32_t number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The texts as C strings of their own; false: not understood. */
static bool take_texts(mem *m, const uint8_t *at, const uint8_t *end, char *texts[RECORD_TEXTS])
{
    for (int i = 0; i < RECORD_TEXTS; i++) {
        if (end - at < 4) return false;
        size_t len = number(at);
        at += 4;
        if (len == UINT32_MAX) continue;
        if ((size_t)(end - at) < len || memchr(at, 0, len) || !(texts[i] = mem_text_len(m, (const char *)at, len))) return false;
        at += len;
    }
    return at == end && texts[0] && texts[1];
}

static void take_up(hub *h, const uint8_t *at, size_t len)
{
    char *texts[RECORD_TEXTS] = {NULL};
    bridge_error err = {0};
    int rc = BRIDGE_SYNTAX;

    if (len >= RECORD_HEAD && at[0] == RECORD_VERSION && take_texts(h->mem, at + RECORD_HEAD, at + len, texts))
        rc = routes_add(h, BRIDGE_ROUTE(.ways = (bridge_ways)at[1], .retain = (bridge_keep)at[2], .max_qos = at[3],
                                        .on_error = (bridge_on_error)at[4], .priority = (int)number(at + 5), .source = texts[0],
                                        .target = texts[1], .format = texts[2], .transform = texts[3], .lasting = true), NULL, &err);
    if (rc < 0)
        log_line(&h->log, BRIDGE_LOG_ERROR, "store", "route %s -> %s is not restored: %s", texts[0] ? texts[0] : "?", texts[1] ? texts[1] : "?",
                 *err.text ? err.text : bridge_status_text(rc));
    for (int i = 0; i < RECORD_TEXTS; i++) mem_free(h->mem, texts[i]);
}

void routes_restore(hub *h)
{
    buf all;

    buf_init(&all, h->mem, 0);
    h->loading = true;
    if (bridge_store_each(h->store, BRIDGE_KEPT_ROUTE, NULL, 0, on_kept, &all) == 0)
        for (size_t at = 0; at < all.len;) {
            size_t len = number(all.data + at);
            take_up(h, all.data + at + 4, len);
            at += 4 + len;
        }
    h->loading = false;
    buf_done(&all);
}
