/* What is about the bridge itself: the page, its health, explain and numbers. */
#include "adapter/http/about.h"
#include "adapter/http/event.h"
#include "adapter/http/site.h"


static const site_file *find_file(text path)
{
    for (unsigned i = 0; i < site_file_count; i++)
        if (text_is(path, site_files[i].path)) return &site_files[i];
    return NULL;
}

/* The page's files hold nothing secret and ask nobody; what they show they ask for under the visitor's name.  Only they may be run in
 * it, and it may talk to nobody but us: what strangers publish stays text. */
static void serve_file(request *r)
{
    const site_file *file = find_file(r->path);
    bool same = r->head->first[HEAD_IF_NONE_MATCH] && !http_none_match(r->head, text_of(file->tag));
    answer a;

    answer_begin(&a, r->conn, same ? 304 : 200);
    answer_field(&a, "ETag", text_of(file->tag));
    answer_text(&a, "Cache-Control: no-cache\r\n");
    if (!same)
        answer_print(&a, "Content-Type: %s\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n", file->type);
    if (text_is(r->path, "/"))
        answer_print(&a, "X-Bridge-Mount: %.256s\r\nLink: </api/openapi.json>;rel=\"service-desc\"\r\n", r->conn->port->mount);
    if (!same)
        answer_text(&a, "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
                        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'\r\n");
    answer_end(&a, file->data, same ? 0 : file->len, NULL);
}

static void serve_health(request *r)
{
    answer_body(r->conn, 200, "text/plain;charset=utf-8", "ok\n", 3);
}

static void serve_openapi(request *r)
{
    describe_serve(r);
}

bool about_may(request *r, const char *path)
{
    bridge_msg *msg, *reply = NULL;
    int rc = conn_peer(r->conn, r);

    if (rc == 0) rc = bridge_peer_msg(r->conn->peer, BRIDGE_FIELDS(.path = path), &msg);
    if (rc == 0) {
        rc = bridge_peer_submit(r->conn->peer, BRIDGE_GET, msg, NULL, &reply, NULL, NULL, NULL);
        bridge_msg_unref(msg);
        bridge_msg_unref(reply);
    }
    if (rc != BRIDGE_DENIED && rc != BRIDGE_UNAUTHENTICATED && rc != BRIDGE_NOMEM) return true;
    answer_failure(r->conn, rc, NULL);
    return false;
}

static void serve_explain(request *r)
{
    char words[8192];
    buf *name = &r->conn->port->name, *b = &r->conn->port->body;
    int rc;

    if (!about_may(r, "$SYS/bridge/explain")) return;
    buf_clear(name);
    if (buf_room(name, 65536) < 0 || !query_get(r->query, "path", (char *)name->data, 65536)) {
        answer_problem(r->conn, 400, "Say ?path=...", NULL);
        return;
    }
    rc = bridge_explain(bridge_port_bridge(r->conn->port->port), (char *)name->data, words, sizeof words);
    if (rc < 0) {
        answer_failure(r->conn, rc, NULL);
        return;
    }
    buf_clear(b);
    rc = buf_text(b, "{\"path\":");
    if (rc == 0) rc = json_text(b, text_of((char *)name->data));
    if (rc == 0) rc = buf_text(b, ",\"text\":");
    if (rc == 0) rc = json_text(b, text_of(words));
    if (rc == 0) rc = buf_text(b, "}\n");
    if (rc < 0) answer_failure(r->conn, rc, NULL);
    else answer_body(r->conn, 200, "application/json", b->data, b->len);
}

static void add_json(void *user, const char *name, const char *labels, double value)
{
    buf *b = user;

    buf_print(b, "%s\n {\"name\":", b->len > 1 ? "," : "");
    json_text(b, text_of(name));
    buf_text(b, ",\"labels\":");
    json_text(b, text_of(labels));
    buf_print(b, ",\"value\":%.17g}", value);
}

static void serve_stats(request *r)
{
    buf *b = &r->conn->port->body;

    if (!about_may(r, "$SYS/bridge/stats")) return;
    buf_clear(b);
    buf_text(b, "[");
    bridge_stats(bridge_port_bridge(r->conn->port->port), add_json, b);
    buf_text(b, "]\n");
    answer_body(r->conn, 200, "application/json", b->data, b->len);
}

/* RFC 6690 4: what is there, for those who look in the place where CoAP has it. */
static void serve_core(request *r)
{
    collect_core(r);
}

/* Prometheus text format 0.0.4. */
static void add_metric(void *user, const char *name, const char *labels, double value)
{
    if (*labels) buf_print(user, "%s{%s} %.17g\n", name, labels, value);
    else buf_print(user, "%s %.17g\n", name, value);
}

static void serve_metrics(request *r)
{
    buf *b = &r->conn->port->body;

    if (!about_may(r, "$SYS/bridge/stats")) return;
    buf_clear(b);
    bridge_stats(bridge_port_bridge(r->conn->port->port), add_metric, b);
    answer_body(r->conn, 200, "text/plain; version=0.0.4", b->data, b->len);
}

typedef void (*place_fn)(request *r);

static place_fn place_of(text path)
{
    static const struct {
        const char *path;
        place_fn serve;
    } places[] = {
        {"/", serve_file}, {"/healthz", serve_health}, {"/api/explain", serve_explain}, {"/api/stats", serve_stats}, {"/metrics", serve_metrics},
        {"/.well-known/core", serve_core}, {"/api/openapi.json", serve_openapi},
        {"/api/me", about_me}, {"/api/peers", about_peers}, {"/api/ports", about_ports}, {"/api/routes", about_routes},
    };

    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (text_is(path, places[i].path)) return places[i].serve;
    return find_file(path) ? serve_file : NULL;
}

bool site_has(text path)
{
    return place_of(path) != NULL;
}

bool site_serve(request *r)
{
    place_fn serve = place_of(r->path);

    if (!serve) return false;
    if (text_is(r->head->method, "GET") || text_is(r->head->method, "HEAD")) serve(r);
    else answer_not_allowed(r, NULL);
    return true;
}
