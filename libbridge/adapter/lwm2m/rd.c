/* The registration interface (LwM2M 1.0 5.3, 1.1 6.2): what devices ask us.
 *
 *      POST /rd?ep=&lt=&lwm2m=&b=&sms=&Q   Register     POST /rd/LOCATION  Update     DELETE /rd/LOCATION  De-register
 *      POST /bs, GET /bspack               Bootstrap (bootstrap.c)
 *      POST /dp                            Send (1.1)   GET  /rd-lookup/ep, /rd-lookup/res   with lookup=1 */
#include "adapter/lwm2m/lwm2m.h"
#include "base/status.h"
#include "bridge/sys/store.h"
#include "codec/link.h"
#include <string.h>

typedef struct asked {
    lwm2m_port *port;
    coap_request *r;
    const char *identity; /* proven, or NULL */
    text location;
} asked;

/* ---- Links */

/* ct=110, ct="110 11542": the first that we would write ourselves. */
static int format_of_ct(text said)
{
    static const int liked[] = {BRIDGE_SENML_CBOR, BRIDGE_SENML_JSON, BRIDGE_TLV, BRIDGE_LWM2M_CBOR, BRIDGE_LWM2M_JSON, 1542, 1543};
    size_t best = sizeof liked / sizeof *liked;
    text one;

    while (said.len) {
        uint64_t number;

        text_cut(said, ' ', &one, &said);
        if (!text_to_u64(one, UINT16_MAX, &number)) continue;
        for (size_t i = 0; i < best; i++)
            if (liked[i] == (int)number) best = i;
    }
    return best < sizeof liked / sizeof *liked ? liked[best] : -1;
}

/* RFC 6690 3.1: a list of words. */
static bool has_word(text list_of_words, const char *word)
{
    text one;

    while (list_of_words.len) {
        text_cut(list_of_words, ' ', &one, &list_of_words);
        if (text_is(one, word)) return true;
    }
    return false;
}

int lwm2m_links_check(const char *links, size_t len, text *root, int *format, bridge_error *err)
{
    text rest = {links, len};
    link_item one;
    link_param p;
    int rc;

    while ((rc = link_next(&rest, &one, err)) > 0) {
        if (one.target.len == 0 || one.target.p[0] != '/') return fail(err, BRIDGE_SYNTAX, "a link must begin with a slash");
        if (!link_param_find(&one, "rt", &p) || !has_word(p.value, "oma.lwm2m")) continue;
        *root = one.target; /* LwM2M 1.0 5.3.1, alternate path */
        while (root->len && root->p[0] == '/') root->p++, root->len--;
        while (root->len && root->p[root->len - 1] == '/') root->len--;
        if (link_param_find(&one, "ct", &p)) *format = format_of_ct(p.value);
    }
    return rc;
}

/* ---- What is said in the query */

static bool said_is(const coap_option *o, const char *name, text *out)
{
    size_t len = strlen(name);

    if (o->len < len + 1 || memcmp(o->p, name, len) != 0 || o->p[len] != '=') return false;
    *out = (text){(const char *)o->p + len + 1, o->len - len - 1};
    return true;
}

static bool binding_is_good(text b)
{
    if (b.len == 0 || b.len > 7) return false;
    for (size_t i = 0; i < b.len; i++)
        if (!strchr("UTSNQM", b.p[i])) return false; /* 1.2: H (HTTP) and M (MQTT); we speak neither */
    return true;
}

static const char *take_query(const coap_request *r, lwm2m_said *s)
{
    coap_options walk = coap_options_of(r->packet);
    coap_option o;
    text v;

    while (coap_next_option(&walk, &o)) {
        if (o.number != COAP_URI_QUERY) continue;
        if (said_is(&o, "ep", &v)) {
            s->endpoint = v;
        } else if (said_is(&o, "lt", &v)) {
            if (!text_to_u64(v, UINT32_MAX, &s->lifetime) || !s->lifetime) return "lt: seconds are wanted";
            s->has_lifetime = true;
        } else if (said_is(&o, "lwm2m", &v)) {
            s->version = v;
        } else if (said_is(&o, "b", &v)) {
            if (!binding_is_good(v)) return "b: no such binding";
            s->binding = v;
            s->has_binding = true;
        } else if (said_is(&o, "sms", &v)) {
            if (v.len > 32 || !text_is_utf8(v.p, v.len)) return "sms: a number is wanted";
            s->msisdn = v;
        } else if (o.len == 1 && o.p[0] == 'Q') {
            s->queue = true;
        }
    }
    return NULL;
}

/* LwM2M 1.0 5.3.1, 1.1 6.2.1: a version that we do not speak is 4.12; none is 1.0. */
static bool version_is_good(text v) { return v.len == 0 || text_is(v, "1.0") || text_is(v, "1.1") || text_is(v, "1.2"); }

/* The links of a request, if it has some.  NULL, or what is wrong with them (and *code). */
static const char *take_links(const asked *a, lwm2m_said *s, uint8_t *code)
{
    const coap_meta *m = a->r->meta;
    text root;
    int format;

    *code = COAP_BAD_REQUEST;
    if (a->r->body_len == 0) return NULL;
    if (m->has & COAP_HAS_CONTENT_FORMAT && m->format != BRIDGE_LINKS) {
        *code = COAP_UNSUPPORTED_FORMAT;
        return "links are wanted";
    }
    if (a->r->body_len > a->port->limits.max_links) {
        *code = COAP_TOO_LARGE;
        return "too many links";
    }
    s->links = (text){(const char *)a->r->body, a->r->body_len};
    if (!text_is_utf8(s->links.p, s->links.len) || lwm2m_links_check(s->links.p, s->links.len, &root, &format, NULL) < 0)
        return "the links cannot be parsed";
    s->has_links = true;
    return NULL;
}

/* ---- Answers */

static void refuse(const asked *a, uint8_t code, const char *why)
{
    a->port->server->count.refused++;
    coap_request_text(a->r, code, why);
}

static void refuse_status(const asked *a, int status)
{
    a->port->server->count.refused++;
    coap_answer_status(a->r, status, BRIDGE_POST, NULL);
}

/* While the disk takes nothing, nothing is changed that it would have to hold. */
static int may_promise(const asked *a) { return bridge_store_ready(bridge_port_store(a->port->coap.port)); }

/* ---- Register */

static const char *endpoint_fault(const asked *a, lwm2m_said *s, uint8_t *code)
{
    *code = COAP_BAD_REQUEST;
    if (!s->endpoint.len && a->identity) s->endpoint = text_of(a->identity); /* 1.1 6.2.1: it may be left out */
    if (!s->endpoint.len) return "ep is wanted";
    if (s->endpoint.len > LWM2M_ENDPOINT_MAX || !text_is_utf8(s->endpoint.p, s->endpoint.len)) return "no endpoint name";
    *code = COAP_FORBIDDEN;
    if (a->identity && !a->port->free_names && !text_is(s->endpoint, a->identity)) return "another endpoint's name was proved";
    return NULL;
}

static void serve_register(const asked *a)
{
    lwm2m_said said = {0};
    lwm2m_device *d = NULL;
    uint8_t code = COAP_BAD_REQUEST;
    const char *fault = take_query(a->r, &said);
    int rc;

    if (!fault) fault = endpoint_fault(a, &said, &code);
    if (!fault && !version_is_good(said.version)) fault = "LwM2M 1.0, 1.1 and 1.2 are spoken", code = COAP_PRECONDITION;
    if (!fault) fault = take_links(a, &said, &code);
    if (!fault && !said.has_links) fault = "links are wanted";
    if (fault) {
        refuse(a, code, fault);
        return;
    }
    rc = may_promise(a);
    if (rc == 0) rc = lwm2m_register(a->port, a->r->peer, &said, a->identity, &d);
    if (rc < 0) {
        refuse_status(a, rc);
        return;
    }
    lwm2m_promise(a->port, a->r, COAP_CREATED, d, true);
}

/* ---- Update, De-register */

/* Whose location is it?  Who has proved a name may touch only what is registered under that proof. */
static lwm2m_device *device_of(const asked *a)
{
    lwm2m_device *d = lwm2m_find_location(a->port->server, a->location);

    if (!d) return NULL;
    if (d->identity ? !a->identity || strcmp(a->identity, d->identity) != 0 : a->identity != NULL) return NULL;
    return d;
}

static void serve_update(const asked *a)
{
    lwm2m_device *d = device_of(a);
    lwm2m_said said = {0};
    uint8_t code = COAP_BAD_REQUEST;
    const char *fault = d ? take_query(a->r, &said) : NULL;
    int rc;

    if (!d) {
        refuse(a, COAP_NOT_FOUND, NULL);
        return;
    }
    if (!fault) fault = take_links(a, &said, &code);
    if (fault) {
        refuse(a, code, fault);
        return;
    }
    rc = may_promise(a);
    if (rc == 0) rc = lwm2m_update(d, a->port, a->r->peer, &said);
    if (rc < 0) {
        refuse_status(a, rc);
        return;
    }
    lwm2m_promise(a->port, a->r, COAP_CHANGED, d, said.has_links);
}

static void serve_deregister(const asked *a)
{
    lwm2m_device *d = device_of(a);
    int rc;

    if (!d) {
        refuse(a, COAP_NOT_FOUND, NULL);
        return;
    }
    rc = may_promise(a);
    if (rc < 0) {
        refuse_status(a, rc);
        return;
    }
    d->server->count.deregistrations++;
    lwm2m_remove(d, LWM2M_GONE_ASKED);
    lwm2m_promise(a->port, a->r, COAP_DELETED, NULL, false);
}

/* ---- Bootstrap: POST /bs?ep=&pct=, GET /bspack?ep= */

static void serve_boot(const asked *a)
{
    static const int writable[] = {BRIDGE_TLV, BRIDGE_SENML_JSON, BRIDGE_SENML_CBOR, BRIDGE_LWM2M_CBOR};
    const coap_meta *m = a->r->meta;
    coap_options walk = coap_options_of(a->r->packet);
    lwm2m_said said = {0};
    uint8_t code = COAP_BAD_REQUEST;
    const char *fault = take_query(a->r, &said);
    bool pack = a->r->code == COAP_GET, known = false;
    int format = pack ? BRIDGE_SENML_CBOR : -1;
    uint64_t number;
    coap_option o;
    text v;

    while (coap_next_option(&walk, &o))
        if (o.number == COAP_URI_QUERY && said_is(&o, "pct", &v) && text_to_u64(v, UINT16_MAX, &number)) format = (int)number;
    if (m->has & COAP_HAS_ACCEPT) format = m->accept;
    for (size_t i = 0; i < sizeof writable / sizeof *writable; i++) known |= format == writable[i];
    if (!fault) fault = endpoint_fault(a, &said, &code);
    if (!fault && pack && (!known || format == BRIDGE_TLV)) fault = "SenML or LwM2M CBOR are there", code = COAP_NOT_ACCEPTABLE;
    if (fault)
        refuse(a, code, fault);
    else
        lwm2m_serve_bootstrap(a->port, a->r, said.endpoint, known ? format : -1, a->identity);
}

/* ---- Lookup (RFC 9176 6): who is there, what they have */

static int put_device(const asked *a, const lwm2m_device *d, bool resources, buf *out)
{
    text rest = text_of(d->links);
    link_item one;
    int rc = 0;

    if (!resources) {
        rc = buf_print(out, "%s<%s%srd/%s>;ep=\"", out->len ? "," : "", *a->port->coap.mount ? "/" : "/", a->port->coap.mount, "-");
        if (rc == 0) rc = buf_text(out, d->endpoint);
        return rc ? rc : buf_print(out, "\";lt=%lld;lwm2m=1.%u;b=\"%s\";rt=\"core.rd-ep\"", (long long)d->lifetime, d->minor, d->binding);
    }
    while (rc == 0 && link_next(&rest, &one, NULL) > 0)
        rc = buf_print(out, "%s</%s%.*s>%.*s", out->len ? "," : "", d->name, (int)one.target.len, one.target.p, (int)one.params.len,
                       one.params.p);
    return rc;
}

static void serve_lookup(const asked *a, bool resources)
{
    lwm2m_server *s = a->port->server;
    buf out;
    int rc = 0;

    buf_init(&out, s->mem, coap_engine_limits(a->r->engine)->max_body);
    list_each(it, &s->devices)
        if (rc == 0) rc = put_device(a, list_of(it, lwm2m_device, link), resources, &out);
    if (rc < 0)
        coap_answer_status(a->r, rc, BRIDGE_GET, NULL);
    else
        coap_respond(a->r, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_LINKS), .data = out.data, .len = out.len));
    buf_done(&out);
}

/* ---- Which */

static void serve_unknown(const asked *a) { coap_request_text(a->r, COAP_NOT_FOUND, NULL); }

static void serve_path(asked *a, const char *path)
{
    uint8_t code = a->r->code;

    if (strcmp(path, "rd") == 0) {
        if (code == COAP_POST)
            serve_register(a);
        else
            coap_request_text(a->r, COAP_NOT_ALLOWED, NULL);
    } else if (strncmp(path, "rd/", 3) == 0) {
        a->location = text_of(path + 3);
        if (code == COAP_POST || code == COAP_PUT) /* PUT: drafts of 1.0 */
            serve_update(a);
        else if (code == COAP_DELETE)
            serve_deregister(a);
        else
            coap_request_text(a->r, COAP_NOT_ALLOWED, NULL); /* nobody reads a registration */
    } else if ((code == COAP_POST && strcmp(path, "bs") == 0) || (code == COAP_GET && strcmp(path, "bspack") == 0)) {
        serve_boot(a);
    } else if (code == COAP_POST && strcmp(path, "dp") == 0) {
        lwm2m_serve_send(a->port, a->r);
    } else if (code == COAP_GET && strncmp(path, "fw/", 3) == 0) {
        if (!lwm2m_serve_package(a->port, a->r, text_of(path + 3))) serve_unknown(a);
    } else if (code == COAP_GET && a->port->lookup && strncmp(path, "rd-lookup/", 10) == 0 &&
               (strcmp(path + 10, "ep") == 0 || strcmp(path + 10, "res") == 0)) {
        serve_lookup(a, path[10] == 'r');
    } else if (code == COAP_GET && strcmp(path, ".well-known/core") == 0) {
        static const char links[] = "</rd>;rt=\"core.rd\";ct=40,</dp>";
        coap_respond(a->r, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_LINKS), .data = links, .len = sizeof links - 1));
    } else {
        serve_unknown(a);
    }
}

void lwm2m_serve(void *user, coap_request *r)
{
    lwm2m_port *p = list_of(user, lwm2m_port, coap);
    const coap_via *via = coap_peer_link(r->peer);
    asked a = {.port = p, .r = r, .identity = via ? via->user : NULL};
    unsigned segments;
    bool root;
    const char *path;

    p->coap.requests++;
    if (r->multicast || r->meta->has & (COAP_HAS_PROXY_URI | COAP_HAS_PROXY_SCHEME)) {
        coap_request_text(r, COAP_NO_PROXY, "not a proxy");
        return;
    }
    if (coap_path_join(r->packet, p->coap.path, COAP_PATH_MAX + 1, &segments) < 0) {
        coap_request_text(r, COAP_BAD_REQUEST, "not a path");
        return;
    }
    path = coap_path_below(p->coap.path, segments, p->coap.mount, &root);
    if (path && !root)
        serve_path(&a, path);
    else
        serve_unknown(&a);
}
