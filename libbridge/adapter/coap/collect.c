/* Many paths in one answer: GET, FETCH and Observe with wildcards.  A JSON object of path -> value, in which what has no JSON form is null;
 * or a SenML pack, of which a FETCH has the records that it names.
 * Somebody who watches is told the whole object, once a turn of the loop however much has changed (RFC 7641 1.3: state, not events). */
#include "adapter/coap/coap.h"
#include "base/hash.h"
#include "hub/port.h"

typedef struct collecting {
    buf *out;
    bool more; /* not the first */
} collecting;

static int put_text(buf *out, text t)
{
    int rc = buf_put_u8(out, '"');

    for (size_t i = 0; rc == 0 && i < t.len; i++) {
        unsigned char c = (unsigned char)t.p[i];

        if (c == '"' || c == '\\')
            rc = buf_print(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            rc = buf_print(out, "\\u%04x", c);
        else
            rc = buf_put_u8(out, c);
    }
    return rc == 0 ? buf_put_u8(out, '"') : rc;
}

static int add_value(void *user, bridge_msg *msg)
{
    collecting *c = user;
    bridge_msg *json = NULL;
    int rc = c->more ? buf_put_u8(c->out, ',') : 0;

    c->more = true;
    if (rc == 0) rc = put_text(c->out, msg_path(msg));
    if (rc == 0) rc = buf_put_u8(c->out, ':');
    if (rc == 0 && bridge_msg_as(msg, BRIDGE_JSON, &json, NULL) == 0 && json->len)
        rc = buf_put(c->out, msg_data(json), json->len);
    else if (rc == 0)
        rc = buf_text(c->out, "null");
    bridge_msg_unref(json);
    return rc;
}

typedef struct collected { /* what is asked, and how it is told */
    coap_port *cp;
    bridge_peer *peer;
    const char *pattern;
    const bridge_msg *question; /* of a FETCH, or NULL */
    int accept;                 /* -1: any */
    bridge_format format;
} collected;

static int collect_json(collected *c, buf *out)
{
    collecting values = {.out = out};
    int rc = buf_put_u8(out, '{');

    if (rc == 0) rc = bridge_peer_read(c->peer, c->pattern, add_value, &values);
    return rc == 0 ? buf_put_u8(out, '}') : rc;
}

static int collect(collected *c, buf *out)
{
    size_t most = coap_engine_limits(c->cp->engine)->max_body;

    if (most > COAP_COLLECTED) most = COAP_COLLECTED;
    buf_init(out, c->cp->mem, most);
    if (c->accept >= 0)
        c->format = (bridge_format)c->accept;
    else
        c->format = !c->question ? BRIDGE_JSON : c->question->format == BRIDGE_SENML_ETCH_CBOR ? BRIDGE_SENML_CBOR : BRIDGE_SENML_JSON;
    return c->format == BRIDGE_JSON && !c->question ? collect_json(c, out) : peer_pack(c->peer, c->pattern, c->question, c->format, most, out);
}

void coap_collect(coap_port *cp, coap_request *r, bridge_peer *peer, const char *pattern, const bridge_msg *question, coap_watcher *watcher)
{
    collected c = {cp, peer, pattern, question, r->meta->has & COAP_HAS_ACCEPT ? r->meta->accept : -1, BRIDGE_JSON};
    buf b;
    int rc = collect(&c, &b);

    if (rc < 0) {
        if (watcher) coap_unwatch(watcher, 0);
        coap_answer_status(r, rc, BRIDGE_GET, NULL);
    } else {
        coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(c.format), .observer = watcher ? watcher->observer : NULL,
                                   .data = b.data, .len = b.len));
    }
    buf_done(&b);
}

static void links_again(coap_watcher *w, bool confirm)
{
    buf b;
    uint64_t hash;

    buf_init(&b, w->cp->mem, coap_engine_limits(w->cp->engine)->max_body);
    if (w->render(w, &b) < 0) {
        coap_unwatch(w, COAP_UNAVAILABLE);
    } else if ((hash = hash_bytes(b.data, b.len, 1)) != w->told || confirm) {
        w->told = hash;
        coap_notify(w->observer, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_LINKS), .data = b.data, .len = b.len, .confirm = coap_watcher_confirms(w, confirm)));
    }
    buf_done(&b);
}

void coap_collect_again(coap_watcher *w, bool confirm)
{
    collected c = {w->cp, w->peer, w->path, w->question, w->accept, BRIDGE_JSON};
    buf b;
    int rc;

    if (w->render) {
        links_again(w, confirm);
        return;
    }
    rc = collect(&c, &b);
    if (rc < 0)
        coap_unwatch(w, coap_code_of(rc, BRIDGE_GET));
    else
        coap_notify(w->observer,
                    COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(c.format), .data = b.data, .len = b.len, .confirm = coap_watcher_confirms(w, confirm)));
    buf_done(&b);
}
