/* The request that a webhook makes of a message.
 *
 *      POST /hook/kitchen HTTP/1.1
 *      Content-Type: application/json
 *      Bridge-Path: home/kitchen/alarm        escaped as in a URL
 *      Bridge-Origin: mqtt:panel-3            who published it
 *      Bridge-Version: 1f                     larger is newer; the ETag of the value
 *      Bridge-Time: 1700000000123             ms since 1970
 *      Bridge-Delivery: 9f2c4e...-12          the same when it is tried again
 *      Bridge-Attempt: 2                      from the second time on
 *      Bridge-Event: gone                     the value was removed; or: retained
 *      Bridge-Via: 9f2c4e..., 07d1c2...       bridges it has come through, this one last (via.h)
 *      Bridge-Signature: t=1700000000,v1=...  HMAC-SHA256 of "1700000000." and the body, in hex */
#include "adapter/http/event.h"
#include "adapter/http/hook.h"
#include "adapter/http/via.h"
#include "codec/registry.h"
#include "core/message.h"
#include "hub/port.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { FIELDS = 15, TRACE = 64 };

typedef struct fields {
    buf room; /* the lines, each with its NUL */
    size_t at[FIELDS];
    unsigned count;
    int rc;
} fields;

static void begin(fields *f, const char *name)
{
    if (f->rc == 0 && f->count == FIELDS) f->rc = BRIDGE_TOOBIG;
    if (f->rc == 0) f->at[f->count++] = f->room.len;
    if (f->rc == 0) f->rc = buf_text(&f->room, name);
    if (f->rc == 0) f->rc = buf_text(&f->room, ": ");
}

/* A value that holds what would end its line is left out: publishers say some of them. */
static void end(fields *f)
{
    const uint8_t *line;
    size_t i;

    if (f->rc < 0) return;
    line = f->room.data + f->at[f->count - 1];
    for (i = f->at[f->count - 1]; i < f->room.len && *line >= ' ' && *line != 0x7f; i++) line++;
    if (i == f->room.len) f->rc = buf_put_u8(&f->room, 0);
    else f->room.len = f->at[--f->count];
}

static void put(fields *f, const char *name, const char *value)
{
    begin(f, name);
    if (f->rc == 0) f->rc = buf_text(&f->room, value);
    end(f);
}

static void put_number(fields *f, const char *name, const char *format, uint64_t n)
{
    char value[32];

    snprintf(value, sizeof value, format, (unsigned long long)n);
    put(f, name, value);
}

void hook_sign(const hook *h, int64_t seconds, const void *body, size_t len, char *out)
{
    char stamp[32];
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};
    size_t n = (size_t)snprintf(stamp, sizeof stamp, "%lld.", (long long)seconds), size = 0;
    EVP_MAC *kind = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(kind);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", (char[]){"SHA256"}, 0), OSSL_PARAM_construct_end()};

    if (EVP_MAC_init(mac, h->secret, h->secret_len, params) && EVP_MAC_update(mac, (uint8_t *)stamp, n) && EVP_MAC_update(mac, body, len))
        EVP_MAC_final(mac, digest, &size, sizeof digest);
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(kind);
    out += sprintf(out, "t=%lld,v1=", (long long)seconds);
    for (unsigned i = 0; i < 32; i++)
        out += sprintf(out, "%02x", digest[i]);
}

/* The payload as it shall be sent: a new reference; *type is its media type. */
static int choose(const hook *h, const hook_call *c, buf *event, bridge_msg **out, const char **type)
{
    const msg_extra *extra = msg_extra_of(c->msg);
    bridge_format format = msg_format(c->msg);
    int rc = 0;

    *out = NULL;
    if (h->event) {
        *type = "application/json";
        return json_event(event, c->msg, EVENT_VERSION | (c->gone ? EVENT_GONE : 0u) | (c->retained ? EVENT_RETAINED : 0u));
    }
    if (h->format != BRIDGE_FORMAT_AUTO && h->format != format && !c->gone) {
        rc = bridge_msg_as(c->msg, h->format, out, NULL);
        format = h->format;
    } else {
        *out = bridge_msg_ref(c->msg);
    }
    *type = format == BRIDGE_FORMAT_NAMED && extra ? extra->media_type : format_media_type(format);
    return rc;
}

static void put_trace(fields *f, const bridge_msg *msg)
{
    const msg_extra *extra = msg_extra_of(msg);

    for (uint32_t i = 0; extra && i < extra->prop_count; i++)
        if (strcmp(extra->props[i].name, "traceparent") == 0 && strlen(extra->props[i].value) < TRACE)
            put(f, "Traceparent", extra->props[i].value);
}

static void put_fields(fields *f, const hook *h, const hook_call *c, const char *type, const void *body, size_t len)
{
    char value[96];

    if (len && type) put(f, "Content-Type", type);
    begin(f, "Bridge-Path");
    if (f->rc == 0) f->rc = out_escape(&f->room, msg_path(c->msg));
    end(f);
    if (c->msg->origin) {
        begin(f, "Bridge-Origin");
        if (f->rc == 0) f->rc = text_percent_encode(&f->room, text_of(c->msg->origin->text), ":");
        end(f);
    }
    if (c->msg->version) put_number(f, "Bridge-Version", "%llx", c->msg->version);
    put_number(f, "Bridge-Time", "%llu", (uint64_t)c->msg->time);
    snprintf(value, sizeof value, "%s-%llu", h->run, (unsigned long long)c->number);
    put(f, "Bridge-Delivery", value);
    if (c->tries) put_number(f, "Bridge-Attempt", "%llu", c->tries + 1);
    if (c->gone || c->retained) put(f, "Bridge-Event", c->gone ? "gone" : "retained");
    put_trace(f, c->msg);
    begin(f, "Bridge-Via");
    if (f->rc == 0) f->rc = via_put(&f->room, c->msg, port_mark(h->out.port));
    end(f);
    if (h->secret) {
        hook_sign(h, loop_calendar(h->out.loop) / 1000, body, len, value);
        put(f, "Bridge-Signature", value);
    }
    if (h->out.token_file && f->rc == 0) {
        f->at[f->count++] = f->room.len;
        if (out_token(&h->out, &f->room) < 0) f->count--; /* it says 401 then, and is tried again */
    }
}

static int begin_fetch(hook *h, const hook_call *c, const char *method, const char *address, fields *f, const void *body, size_t len,
                fetch_fn fn, fetch **out)
{
    const char *lines[FIELDS + 1] = {NULL};
    fetch_ask ask = {.method = method, .url = address, .headers = lines, .body = body ? body : "", .len = len, .max_body = HOOK_ANSWER};

    for (unsigned i = 0; i < f->count; i++)
        lines[i] = (char *)f->room.data + f->at[i];
    out_ask(&h->out, &ask);
    return fetch_start(h->out.loop, &ask, fn, c->lane, out, NULL);
}

int hook_ask(hook *h, hook_call *c, fetch_fn fn, fetch **out)
{
    bool removes = c->gone && strcmp(h->method, "PUT") == 0;
    fields f = {.rc = 0};
    const char *type = NULL;
    bridge_msg *chosen = NULL;
    buf address, event;
    int rc;

    buf_init(&f.room, h->out.mem, 0);
    buf_init(&address, h->out.mem, OUT_URL);
    buf_init(&event, h->out.mem, 0);
    rc = out_address(&h->out, msg_path(c->msg), &address);
    if (rc == 0) rc = choose(h, c, &event, &chosen, &type);
    if (rc >= 0) {
        const void *body = chosen ? msg_data(chosen) : event.data;
        size_t len = chosen ? chosen->len : event.len;
        put_fields(&f, h, c, type, body, len);
        rc = f.rc;
        if (rc == 0) rc = begin_fetch(h, c, removes ? "DELETE" : h->method, (char *)address.data, &f, body, len, fn, out);
    }
    bridge_msg_unref(chosen);
    buf_done(&event);
    buf_done(&address);
    buf_done(&f.room);
    return rc;
}
