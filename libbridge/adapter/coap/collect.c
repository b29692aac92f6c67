/* Many paths in one answer: GET and Observe with wildcards.  A JSON object of path -> value; what has no JSON form is null.
 * Somebody who watches is told the whole object, once a turn of the loop however much has changed (RFC 7641 1.3: state, not events). */
#include "adapter/coap/coap.h"
#include "base/hash.h"

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

static int collect(coap_port *cp, bridge_peer *peer, const char *pattern, buf *out)
{
    collecting c = {.out = out};
    int rc;

    buf_init(out, cp->mem, coap_engine_limits(cp->engine)->max_body);
    rc = buf_put_u8(out, '{');
    if (rc == 0) rc = bridge_peer_read(peer, pattern, add_value, &c);
    return rc == 0 ? buf_put_u8(out, '}') : rc;
}

void coap_collect(coap_port *cp, coap_request *r, bridge_peer *peer, const char *pattern, coap_watcher *watcher)
{
    coap_reply reply = {.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_JSON), .observer = watcher ? watcher->observer : NULL};
    buf b;
    int rc = collect(cp, peer, pattern, &b);

    if (r->meta->has & COAP_HAS_ACCEPT && r->meta->accept != BRIDGE_JSON) rc = BRIDGE_NOTACCEPTABLE;
    if (rc < 0) {
        if (watcher) coap_unwatch(watcher, 0);
        coap_answer_status(r, rc, BRIDGE_GET, NULL);
    } else {
        reply.data = b.data;
        reply.len = b.len;
        coap_respond(r, &reply);
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
    buf b;

    if (w->render) {
        links_again(w, confirm);
        return;
    }

    if (collect(w->cp, w->peer, w->path, &b) < 0)
        coap_unwatch(w, COAP_TOO_LARGE);
    else
        coap_notify(w->observer,
                    COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_JSON), .data = b.data, .len = b.len, .confirm = coap_watcher_confirms(w, confirm)));
    buf_done(&b);
}
