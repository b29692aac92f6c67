/* Outcomes and values become replies: docs/status.md, mapping of ETag, Max-Age and Content-Format. */
#include "adapter/coap/coap.h"
#include "base/text.h"
#include "core/message.h"

static const struct {
    int status;
    uint8_t code;
} codes[] = {
    {BRIDGE_SYNTAX, COAP_BAD_REQUEST},
    {BRIDGE_INVALID, COAP_BAD_REQUEST},
    {BRIDGE_UNAUTHENTICATED, COAP_UNAUTHORIZED},
    {BRIDGE_DENIED, COAP_FORBIDDEN},
    {BRIDGE_NOTFOUND, COAP_NOT_FOUND},
    {BRIDGE_METHOD, COAP_NOT_ALLOWED},
    {BRIDGE_NOTACCEPTABLE, COAP_NOT_ACCEPTABLE},
    {BRIDGE_CONFLICT, COAP_CONFLICT},
    {BRIDGE_EXISTS, COAP_CONFLICT},
    {BRIDGE_PRECONDITION, COAP_PRECONDITION},
    {BRIDGE_TOOBIG, COAP_TOO_LARGE},
    {BRIDGE_FORMAT, COAP_UNSUPPORTED_FORMAT},
    {BRIDGE_UNPROCESSABLE, COAP_UNPROCESSABLE},
    {BRIDGE_BUSY, COAP_TOO_MANY},
    {BRIDGE_UNREACHABLE, COAP_BAD_GATEWAY},
    {BRIDGE_TIMEOUT, COAP_GATEWAY_TIMEOUT},
    {BRIDGE_UNSUPPORTED, COAP_NOT_IMPLEMENTED},
    {BRIDGE_CLOSED, COAP_UNAVAILABLE},
    {BRIDGE_NOMEM, COAP_UNAVAILABLE},
};

uint8_t coap_code_of(int status, bridge_verb verb)
{
    if (status == BRIDGE_CREATED) return COAP_CREATED;
    if (status == BRIDGE_VALID) return COAP_VALID;
    if (status >= 0) return verb == BRIDGE_GET ? COAP_CONTENT : verb == BRIDGE_DELETE ? COAP_DELETED : COAP_CHANGED;
    if (status == BRIDGE_NOTFOUND && verb == BRIDGE_DELETE) return COAP_DELETED; /* RFC 7252 5.8.4: gone is gone */
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == status) return codes[i].code;
    return COAP_INTERNAL;
}

void coap_answer_status(coap_request *r, int status, bridge_verb verb, const char *why)
{
    coap_reply reply = {.code = coap_code_of(status, verb)};

    if (coap_class(reply.code) >= 4) {
        reply.data = why ? why : bridge_status_text(status);
        reply.len = strlen(reply.data);
    }
    if (reply.code == COAP_TOO_LARGE) reply.size1 = (uint32_t)coap_engine_limits(r->engine)->max_body;
    if (reply.code == COAP_TOO_MANY || reply.code == COAP_UNAVAILABLE) reply.max_age = COAP_SAY(5); /* RFC 8516 */
    coap_respond(r, &reply);
}

/* A version is its own ETag, as short as it can be.  For a converted form it is mixed with the format, so that two representations
 * of one version have different tags (RFC 7252 5.10.6), and can be told from the tag by trying. */
static uint64_t mask_of(int format) { return ((uint64_t)format + 1) * 0x9e3779b97f4a7c15u; }

size_t coap_etag_of(uint64_t version, int converted, uint8_t *out)
{
    size_t len = 0;

    if (version == 0) return 0;
    if (converted >= 0) version ^= mask_of(converted);
    for (int shift = 56; shift >= 0; shift -= 8)
        if (version >> shift) out[len++] = (uint8_t)(version >> shift);
    return len;
}

unsigned coap_etag_versions(const coap_option *etag, uint64_t *out)
{
    static const uint16_t formats[] = {BRIDGE_TEXT,       BRIDGE_BYTES,      BRIDGE_JSON, BRIDGE_CBOR,
                                       BRIDGE_SENML_JSON, BRIDGE_SENML_CBOR, BRIDGE_TLV,  BRIDGE_LWM2M_JSON,
                                       BRIDGE_LWM2M_CBOR};
    uint64_t version = 0;
    unsigned count = 0;

    for (uint32_t i = 0; i < etag->len; i++) version = version << 8 | etag->p[i];
    out[count++] = version;
    for (unsigned i = 0; i < sizeof formats / sizeof *formats; i++) out[count++] = version ^ mask_of(formats[i]);
    return count;
}

static bool has_tag(const coap_wish *wish, const coap_reply *reply)
{
    for (unsigned i = 0; i < wish->tag_count; i++)
        if (wish->tags[i].len == reply->etag_len && memcmp(wish->tags[i].p, reply->etag, reply->etag_len) == 0) return true;
    return false;
}

static int as_wished(bridge_msg *value, const coap_wish *wish, bridge_msg **made, bool *converted)
{
    *converted = false;
    if (wish->accept < 0 || value->format == wish->accept) {
        *made = bridge_msg_ref(value);
        return 0;
    }
    *converted = msg_format(value) != (bridge_format)wish->accept;
    return bridge_msg_as(value, (bridge_format)wish->accept, made, NULL) < 0 ? BRIDGE_NOTACCEPTABLE : 0;
}

void coap_answer_value(coap_port *cp, coap_reply *reply, bridge_msg *value, const coap_wish *wish, bridge_msg **made)
{
    bool converted;
    int64_t left;

    *made = NULL;
    if (as_wished(value, wish, made, &converted) < 0) {
        static const char why[] = "no representation in that format";
        reply->code = COAP_NOT_ACCEPTABLE;
        reply->data = why;
        reply->len = sizeof why - 1;
        return;
    }
    reply->code = COAP_CONTENT;
    reply->etag_len = (uint8_t)coap_etag_of(value->version, converted ? wish->accept : -1, reply->etag);
    left = msg_ttl_left(value, loop_calendar(cp->loop));
    if (left != INT64_MAX) reply->max_age = COAP_SAY(left / 1000 < UINT32_MAX ? left / 1000 : UINT32_MAX);
    if (reply->etag_len && has_tag(wish, reply)) {
        reply->code = COAP_VALID;
        return;
    }
    if (wish->accept >= 0)
        reply->format = COAP_SAY(wish->accept);
    else if (value->format != BRIDGE_FORMAT_AUTO && value->format != BRIDGE_FORMAT_NAMED)
        reply->format = COAP_SAY(value->format);
    reply->data = msg_data(*made);
    reply->len = (*made)->len;
    reply->owner = *made;
}

enum { LOCATION_MAX = 32 };

static void put_segments(const char *path, coap_option *where, unsigned *count)
{
    for (const char *end; *count < LOCATION_MAX; path = end + 1) {
        end = strchr(path, '/');
        where[*count] = (coap_option){COAP_LOCATION_PATH, (uint32_t)(end ? (size_t)(end - path) : strlen(path)), (const uint8_t *)path};
        if (where[*count].len > COAP_SEGMENT_MAX) break; /* it cannot be said */
        ++*count;
        if (!end) return;
    }
    *count = LOCATION_MAX + 1;
}

/* "a=1&b=%20": one Location-Query each, escapes taken away; they lie in room. */
static void put_queries(const char *query, buf *room, coap_option *where, unsigned *count)
{
    text rest = text_of(query), part;
    size_t at;

    buf_room(room, rest.len + 1); /* none of them moves again */
    for (bool more = true; more && *count < LOCATION_MAX;) {
        more = text_cut(rest, '&', &part, &rest);
        at = room->len;
        if (text_percent_decode(room, part) < 0 || room->len - at > COAP_SEGMENT_MAX) return;
        where[(*count)++] = (coap_option){COAP_LOCATION_QUERY, (uint32_t)(room->len - at), room->data + at};
    }
}

/* Where that which a POST has made is: the path of the owner's reply, else that of the request.  Late answers know the former only. */
static void put_location(const coap_port *cp, const coap_request *r, const bridge_msg *value, coap_option *where, buf *room, coap_reply *reply)
{
    const char *query = value ? msg_prop(value, MSG_LOCATION_QUERY) : NULL;
    unsigned count = 0;

    if (!value && !r->packet) return;
    if (value && *cp->mount) put_segments(cp->mount, where, &count);
    put_segments(value ? value->path : cp->path, where, &count);
    if (count > LOCATION_MAX) return;
    if (query) put_queries(query, room, where, &count);
    reply->extra = where;
    reply->extra_count = count;
}

void coap_answer_outcome(coap_port *cp, coap_request *r, int status, bridge_verb verb, bridge_msg *value, const coap_wish *wish,
                 coap_observer *observer)
{
    coap_reply reply = {.observer = observer};
    coap_option where[LOCATION_MAX];
    bridge_msg *made = NULL;
    char said[256];
    buf room;

    if (status < 0) {
        cp->errors++;
        coap_answer_status(r, status, verb,
                           msg_sentence(value, said, sizeof said) ? said : status == BRIDGE_BUSY ? port_why(cp->port) : NULL); /* RFC 7252 5.5.2 */
        return;
    }
    buf_init(&room, cp->mem, 65536);
    if (value && (value->len || verb == BRIDGE_GET)) {
        coap_answer_value(cp, &reply, value, wish, &made);
        if (reply.code == COAP_CONTENT && verb != BRIDGE_GET) { /* what a POST says is not a representation of the path */
            reply.code = coap_code_of(status, verb);
            reply.etag_len = 0;
        }
    } else {
        reply.code = coap_code_of(status, verb);
    }
    if (observer && reply.code == COAP_CONTENT) ((coap_watcher *)coap_observer_user(observer))->format = value ? 1 + reply.format : 0;
    if (status == BRIDGE_CREATED && r->code == COAP_POST) put_location(cp, r, value, where, &room, &reply); /* RFC 7252 5.8.2 */
    if (observer && coap_class(reply.code) != 2) {
        coap_unwatch(coap_observer_user(observer), 0);
        reply.observer = NULL;
    }
    coap_respond(r, &reply);
    if (reply.observer) coap_watch_answered(coap_observer_user(reply.observer));
    buf_done(&room);
    bridge_msg_unref(made);
}
