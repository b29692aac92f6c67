/* Many paths in one answer: GET, FETCH and Observe with wildcards.  A JSON object of path -> value, in which what has no JSON form is null;
 * or a SenML pack, of which a FETCH has the records that it names.
 * Somebody who watches is told the whole object, once a turn of the loop however much has changed (RFC 7641 1.3: state, not events). */
#include "adapter/coap/gather.h"
#include "base/hash.h"
#include "hub/port.h"

typedef struct collecting {
    coap_gather gather;
    buf out;
    bridge_msg *question; /* of a FETCH, or NULL */
    bridge_format format;
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

static int add_value(coap_gather *g, bridge_msg *msg)
{
    bridge_msg *json = NULL;
    int rc = g->out->len > g->front ? buf_put_u8(g->out, ',') : 0;

    if (rc == 0) rc = put_text(g->out, msg_path(msg));
    if (rc == 0) rc = buf_put_u8(g->out, ':');
    if (rc == 0 && bridge_msg_as(msg, BRIDGE_JSON, &json, NULL) == 0 && json->len)
        rc = buf_put(g->out, msg_data(json), json->len);
    else if (rc == 0)
        rc = buf_text(g->out, "null");
    bridge_msg_unref(json);
    return rc;
}

static void answer(collecting *c, int rc)
{
    coap_gather *g = &c->gather;

    if (rc < 0 && g->watcher) coap_unwatch(g->watcher, 0);
    if (rc < 0)
        coap_answer_status(g->request, rc, BRIDGE_GET, NULL);
    else
        coap_respond(g->request, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(c->format), .observer = g->watcher ? g->watcher->observer : NULL,
                                            .data = c->out.data, .len = c->out.len));
}

static void notify(collecting *c, int rc)
{
    coap_watcher *w = c->gather.watcher;

    if (rc < 0)
        coap_unwatch(w, coap_code_of(rc, BRIDGE_GET));
    else
        coap_notify(w->observer, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(c->format), .data = c->out.data, .len = c->out.len,
                                            .confirm = coap_watcher_confirms(w, c->gather.confirm)));
}

static void done(coap_gather *g, int rc)
{
    collecting *c = (collecting *)g;

    if (rc == 0 && g->pack == BRIDGE_FORMAT_AUTO) rc = buf_put_u8(&c->out, '}');
    if (g->request) answer(c, rc);
    else notify(c, rc);
}

static void free_mine(coap_gather *g)
{
    collecting *c = (collecting *)g;

    bridge_msg_unref(c->question);
    buf_done(&c->out);
}

/* accept -1: any */
static collecting *collecting_new(coap_port *cp, bridge_peer *peer, bridge_msg *question, int accept)
{
    static const coap_gather_kind kind = {.add = add_value, .done = done, .free = free_mine};
    size_t most = coap_engine_limits(cp->engine)->max_body;
    collecting *c = mem_new(cp->mem, collecting);

    if (!c) return NULL;
    buf_init(&c->out, cp->mem, most < COAP_COLLECTED ? most : COAP_COLLECTED);
    if (question) c->question = bridge_msg_ref(question);
    if (accept >= 0)
        c->format = (bridge_format)accept;
    else
        c->format = !question ? BRIDGE_JSON : question->format == BRIDGE_SENML_ETCH_CBOR ? BRIDGE_SENML_CBOR : BRIDGE_SENML_JSON;
    c->gather = (coap_gather){.kind = &kind, .cp = cp, .peer = peer, .question = question, .out = &c->out,
                              .pack = c->format == BRIDGE_JSON && !question ? BRIDGE_FORMAT_AUTO : c->format};
    if (c->gather.pack != BRIDGE_FORMAT_AUTO || buf_put_u8(&c->out, '{') == 0) return c;
    free_mine(&c->gather);
    mem_free(cp->mem, c);
    return NULL;
}

void coap_collect(coap_port *cp, coap_request *r, bridge_peer *peer, const char *pattern, bridge_msg *question, coap_watcher *watcher)
{
    collecting *c = collecting_new(cp, peer, question, r->meta->has & COAP_HAS_ACCEPT ? r->meta->accept : -1);

    if (!c) {
        if (watcher) coap_unwatch(watcher, 0);
        coap_answer_status(r, BRIDGE_NOMEM, BRIDGE_GET, NULL);
        return;
    }
    c->gather.request = r;
    c->gather.watcher = watcher;
    coap_gather_begin(&c->gather, pattern);
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
    collecting *c;

    if (w->render) {
        links_again(w, confirm);
    } else if (w->gather) {
        coap_gather_again(w->gather, confirm);
    } else if ((c = collecting_new(w->cp, w->peer, w->question, w->accept))) {
        c->gather.watcher = w;
        c->gather.confirm = confirm;
        coap_gather_begin(&c->gather, w->path);
    } else {
        coap_unwatch(w, coap_code_of(BRIDGE_NOMEM, BRIDGE_GET));
    }
}
