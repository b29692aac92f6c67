#include "adapter/coap/saying.h"
#include "adapter/coap/names.h"

void coap_say_begin(coap_saying *s, mem *m)
{
    s->count = 0;
    s->broken = 0;
    buf_init(&s->bytes, m, 65536);
}

void coap_say(coap_saying *s, uint16_t number, const void *p, size_t len)
{
    int rc = s->count < SAYING_MAX && len <= COAP_QUERY_MAX ? 0 : BRIDGE_TOOBIG;

    if (rc == 0) s->at[s->count] = (uint32_t)s->bytes.len;
    if (rc == 0 && len) rc = buf_put(&s->bytes, p, len);
    if (rc == 0)
        s->options[s->count++] = (coap_option){number, (uint32_t)len, NULL};
    else
        s->broken = rc;
}

void coap_say_uint(coap_saying *s, uint16_t number, uint32_t value)
{
    uint8_t bytes[4];
    size_t len = 0;

    for (int shift = 24; shift >= 0; shift -= 8)
        if (len || value >> shift) bytes[len++] = (uint8_t)(value >> shift);
    coap_say(s, number, bytes, len);
}

void coap_say_path(coap_saying *s, text path)
{
    text segment;
    bool more = path.len > 0;

    while (more) {
        more = text_cut(path, '/', &segment, &path);
        if (segment.len > COAP_SEGMENT_MAX) s->broken = BRIDGE_TOOBIG;
        coap_say(s, COAP_URI_PATH, segment.p, segment.len);
    }
}

static void say_escaped(coap_saying *s, uint16_t number, text escaped)
{
    buf plain;
    int rc;

    buf_init(&plain, s->bytes.mem, 0);
    rc = text_percent_decode(&plain, escaped);
    if (rc == 0 && plain.len > COAP_SEGMENT_MAX) rc = BRIDGE_TOOBIG;
    if (rc == 0)
        coap_say(s, number, plain.data, plain.len);
    else
        s->broken = rc;
    buf_done(&plain);
}

void coap_say_query(coap_saying *s, text query)
{
    text part;
    bool more = query.len > 0;

    while (more) {
        more = text_cut(query, '&', &part, &query);
        say_escaped(s, COAP_URI_QUERY, part);
    }
}

void coap_say_escaped_path(coap_saying *s, text path)
{
    text segment;
    bool more;

    if (path.len && *path.p == '/') path.p++, path.len--;
    more = path.len > 0;
    while (more) {
        more = text_cut(path, '/', &segment, &path);
        say_escaped(s, COAP_URI_PATH, segment);
    }
}

int coap_say_end(coap_saying *s)
{
    for (unsigned i = 0; i < s->count; i++) s->options[i].p = s->options[i].len ? s->bytes.data + s->at[i] : (const uint8_t *)"";
    return s->broken;
}

void coap_say_free(coap_saying *s) { buf_done(&s->bytes); }

/* ---- Answers */

static const struct {
    uint8_t code;
    int status;
} codes[] = {
    {COAP_BAD_REQUEST, BRIDGE_INVALID},
    {COAP_UNAUTHORIZED, BRIDGE_DENIED}, /* it is us who are not known there: RFC 8075 7, 4.01 is 403 */
    {COAP_BAD_OPTION, BRIDGE_INTERNAL}, /* one that we added: 500 */
    {COAP_FORBIDDEN, BRIDGE_DENIED},
    {COAP_NOT_FOUND, BRIDGE_NOTFOUND},
    {COAP_NOT_ALLOWED, BRIDGE_METHOD},
    {COAP_NOT_ACCEPTABLE, BRIDGE_NOTACCEPTABLE},
    {COAP_CONFLICT, BRIDGE_CONFLICT},
    {COAP_PRECONDITION, BRIDGE_PRECONDITION},
    {COAP_TOO_LARGE, BRIDGE_TOOBIG},
    {COAP_UNSUPPORTED_FORMAT, BRIDGE_FORMAT},
    {COAP_UNPROCESSABLE, BRIDGE_UNPROCESSABLE},
    {COAP_TOO_MANY, BRIDGE_BUSY},
    {COAP_INTERNAL, BRIDGE_INTERNAL},
    {COAP_NOT_IMPLEMENTED, BRIDGE_UNSUPPORTED},
    {COAP_BAD_GATEWAY, BRIDGE_UNREACHABLE},
    {COAP_UNAVAILABLE, BRIDGE_CLOSED},
    {COAP_GATEWAY_TIMEOUT, BRIDGE_TIMEOUT},
    {COAP_NO_PROXY, BRIDGE_UNREACHABLE},
    {COAP_HOP_LIMIT_REACHED, BRIDGE_UNREACHABLE},
};

int coap_status_of_code(uint8_t code)
{
    if (code == COAP_CREATED) return BRIDGE_CREATED;
    if (code == COAP_VALID) return BRIDGE_VALID;
    if (coap_class(code) == 2) return code == COAP_CONTINUE ? BRIDGE_PROTOCOL : BRIDGE_OK;
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == code) return codes[i].status;
    /* RFC 7252 5.9: an unknown code counts as the first of its class */
    return coap_class(code) == 4 ? BRIDGE_INVALID : coap_class(code) == 5 ? BRIDGE_INTERNAL : BRIDGE_PROTOCOL;
}

uint32_t coap_answer_age(const coap_answer *a) { return a->meta->has & COAP_HAS_MAX_AGE ? a->meta->max_age : 60; }

bool coap_etag_same(const coap_answer *a, const uint8_t *etag, size_t len)
{
    return len && a->meta->etag_count && a->meta->etags[0].len == len && memcmp(a->meta->etags[0].p, etag, len) == 0;
}

const char *coap_answer_location(const coap_answer *a, buf *out)
{
    coap_options walk = coap_options_of(a->packet);
    coap_option o;
    bool query = false;
    int rc = 0;

    while (rc == 0 && coap_next_option(&walk, &o)) {
        text t = {(const char *)o.p, o.len};
        if (o.number == COAP_LOCATION_PATH) rc = buf_put(out, "/", 1);
        else if (o.number == COAP_LOCATION_QUERY) rc = buf_put(out, query ? "&" : "?", 1), query = true;
        else continue;
        if (rc == 0) rc = text_percent_encode(out, t, "!$'()*,;:@=");
    }
    return rc == 0 && out->len ? buf_cstr(out) : NULL;
}
