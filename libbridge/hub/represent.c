/* One message in several formats: converted once, remembered on the message. */
#include "base/status.h"
#include "codec/registry.h"
#include "hub/hub.h"

typedef struct representation {
    derived derived;
    bridge_msg *msg;
} representation;

static void representation_free(derived *d, mem *m)
{
    representation *r = (representation *)d;

    bridge_msg_unref(r->msg);
    mem_free(m, r);
}

bridge_format msg_format(const bridge_msg *msg)
{
    return msg->format == BRIDGE_FORMAT_AUTO ? codec_guess(msg_data(msg), msg->len) : (bridge_format)msg->format;
}

/* Names of values begin with the path; what begins with '!' is an operation of what stands in front of it, and in no value's name. */
static const char *base_of(const bridge_msg *msg, char **made)
{
    const char *path = msg->path, *op = strstr(path, "/!");

    *made = op && op > path ? mem_text_len(msg->mem, path, (size_t)(op - path)) : NULL;
    return *made ? *made : path;
}

static int make(bridge_msg *msg, bridge_format from, bridge_format to, representation **out, bridge_error *err)
{
    representation *r = mem_new(msg->mem, representation);
    char *made;
    buf b;
    int rc;

    if (!r) return fail_nomem(err);
    buf_init(&b, msg->mem, 64 * 1024 * 1024);
    rc = codec_convert(msg->mem, base_of(msg, &made), (double)msg->time / 1000, from, to, msg_data(msg), msg->len, &b, err);
    mem_free(msg->mem, made);
    if (rc == 0) rc = msg_with(msg, to, b.data, b.len, &r->msg);
    buf_done(&b);
    if (rc < 0) {
        mem_free(msg->mem, r);
        return rc;
    }
    r->derived.key = (uint32_t)DERIVED_FORMAT | (uint32_t)to;
    r->derived.free = representation_free;
    *out = r;
    return 0;
}

int bridge_msg_as(bridge_msg *msg, bridge_format format, bridge_msg **out, bridge_error *err)
{
    bridge_format from = msg_format(msg);
    derived *d;
    representation *r = NULL;
    int rc;

    if (format == from || format == BRIDGE_FORMAT_AUTO) {
        *out = bridge_msg_ref(msg);
        return 0;
    }
    d = msg_derived(msg, (uint32_t)DERIVED_FORMAT | (uint32_t)format);
    if (!d) {
        rc = make(msg, from, format, &r, err);
        if (rc < 0) return rc;
        d = msg_derive(msg, &r->derived);
    }
    *out = bridge_msg_ref(((representation *)d)->msg);
    return 0;
}

/* RFC 8132 2: the part of a value that the question's payload names, as `wanted` (or as SenML, which is what the question is). */
int hub_fetch(hub *h, bridge_msg *value, const bridge_msg *question, bridge_format wanted, bridge_msg **out)
{
    buf b;
    int rc;

    if (wanted == BRIDGE_FORMAT_AUTO) wanted = codec_patch_makes((bridge_format)question->format);
    if (wanted == BRIDGE_JSON || wanted == BRIDGE_FORMAT_NAMED) return BRIDGE_FORMAT; /* no question that we know */
    buf_init(&b, h->mem, h->limits.max_message);
    rc = codec_fetch(h->mem, value->path, (double)value->time / 1000, msg_format(value), msg_data(value), value->len,
                     (bridge_format)question->format, msg_data(question), question->len, wanted, &b, NULL);
    if (rc == 0) rc = msg_with(value, wanted, b.data, b.len, out);
    buf_done(&b);
    if (rc == 0) (*out)->version = value->version;
    return rc;
}

int bridge_peer_fetch(bridge_peer *peer, bridge_msg *value, const bridge_msg *question, bridge_format wanted, bridge_msg **out)
{
    return hub_fetch(peer->port->hub, value, question, wanted, out);
}

/* Does a patch of what is not there come to nothing?  RFC 5789 2: it may create, but a list of changes to a value is none. */
static bool makes_nothing(const bridge_msg *patch, int rc, const bridge_msg *fresh)
{
    if (rc == 0) return fresh->len == 0 || (fresh->len == 4 && memcmp(msg_data(fresh), "null", 4) == 0) ||
                        (patch->format == BRIDGE_SENML_ETCH_JSON && fresh->len == 2 && memcmp(msg_data(fresh), "[]", 2) == 0) ||
                        (patch->format == BRIDGE_SENML_ETCH_CBOR && fresh->len == 1 && *(const uint8_t *)msg_data(fresh) == 0x80);
    return patch->format == BRIDGE_JSON_PATCH && (rc == BRIDGE_UNPROCESSABLE || rc == BRIDGE_CONFLICT);
}

/* RFC 5789, RFC 8132: the value that is there, changed in part, is put in its place.  Nothing comes between reading and putting. */
int hub_patch(hub *h, bridge_peer *from, bridge_msg *patch, const bridge_terms *terms)
{
    bridge_msg *value = values_get(h, msg_path(patch)), *fresh = NULL;
    bridge_format format = value ? msg_format(value) : codec_patch_makes((bridge_format)patch->format);
    buf b;
    int rc = terms ? hub_check_terms(h, msg_path(patch), terms) : 0;

    if (rc < 0) return rc; /* 4.12 rather than what the patch would have come to */
    buf_init(&b, h->mem, h->limits.max_message);
    rc = codec_patch(h->mem, patch->path, (double)patch->time / 1000, format, value ? msg_data(value) : NULL, value ? value->len : 0,
                     (bridge_format)patch->format, msg_data(patch), patch->len, &b, NULL);
    if (rc == 0) rc = msg_with(patch, format, b.data, b.len, &fresh);
    buf_done(&b);
    if (!value && makes_nothing(patch, rc, fresh)) rc = BRIDGE_NOTFOUND;
    if (rc == 0) {
        fresh->retain = true;
        rc = hub_accept(h, from, BRIDGE_PUT, fresh, NULL, NULL);
        if (rc >= 0) patch->version = fresh->version; /* who patched may tell what it is now */
    }
    bridge_msg_unref(fresh);
    return rc;
}
