/* Which handler a request has. */
#include "adapter/http/answer.h"
#include "adapter/http/cors.h"
#include "adapter/http/hand.h"
#include "adapter/http/hc.h"
#include <stdio.h>

static const char *allowed_at(request *r)
{
    const char *by_hand = hand_allow(r);
    text below;

    if (by_hand) return by_hand;
    if (site_has(r->path) || package_has(r)) return ALLOW_READING;
    if (hc_wanted(r)) return ALLOW_ALL;
    if (later_has(r->path)) return "GET, HEAD, DELETE, OPTIONS";
    if (target_below(r->path, text_of("/history"), &below) == 0 && below.len) return ALLOW_READING;
    if (target_below(r->path, text_of(r->conn->port->mount), &below) == 0) return resource_allow(r, below);
    return ALLOW_ALL; /* "*": of the whole server */
}

void answer_not_allowed(request *r, const char *detail)
{
    char line[96];

    snprintf(line, sizeof line, "Allow: %s\r\n", allowed_at(r));
    answer_problem(r->conn, 405, detail ? detail : bridge_status_text(BRIDGE_METHOD), line);
}

/* RFC 9110 9.3.7; a browser's preflight is the same with an Access-Control-Request-Method. */
static void serve_options(request *r)
{
    http_conn *c = r->conn;
    const char *allow = allowed_at(r);
    answer a;

    answer_begin(&a, c, 204);
    answer_field(&a, "Allow", text_of(allow));
    if (strcmp(allow, ALLOW_ALL) == 0) answer_text(&a, ACCEPT_PATCH);
    answer_text(&a, "Link: </api/openapi.json>;rel=\"service-desc\"\r\n"); /* RFC 8631 */
    if (c->allowed || (c->port->cors && c->port->cors->any)) answer_text(&a, c->port->cors->preflight);
    answer_end(&a, NULL, 0, NULL);
}

bool origin_is_ours(const request *r)
{
    text origin = head_value(r->head, HEAD_ORIGIN), host = head_value(r->head, HEAD_HOST), scheme, rest;

    if (!text_cut(origin, ':', &scheme, &rest) || rest.len < 2) return false;
    return text_same((text){rest.p + 2, rest.len - 2}, host);
}

/* A page of somebody else must not act through its visitor's browser unless CORS lets it: a WebSocket is not held to CORS (RFC 6455
 * 10.2), and a POST of text is sent before the browser asks. */
bool origin_may(const request *r)
{
    return !r->head->first[HEAD_ORIGIN] || r->conn->allowed || origin_is_ours(r);
}

static bool only_reads(text method)
{
    return text_is(method, "GET") || text_is(method, "HEAD") || text_is(method, "OPTIONS");
}

/* RFC 9110 15.6.2: of any target. */
static bool is_known(text method)
{
    return only_reads(method) || text_is(method, "PUT") || text_is(method, "POST") || text_is(method, "PATCH") || text_is(method, "DELETE");
}

/* GET /history/<path>?...: the question that the hub's $history answers; a filter may stand for the path. */
static bool serve_history(request *r)
{
    text below, query = r->query, accept = head_value(r->head, HEAD_ACCEPT);
    buf words;
    int rc;

    if (target_below(r->path, text_of("/history"), &below) != 0 || below.len == 0) return false;
    if (!only_reads(r->head->method)) {
        answer_not_allowed(r, "The past can only be read.");
        return true;
    }
    buf_init(&words, r->conn->port->mem, 0);
    rc = buf_text(&words, "path=");
    for (size_t i = 0; rc == 0 && i < below.len; i++) rc = below.p[i] == '&' ? buf_text(&words, "%26") : buf_put(&words, below.p + i, 1);
    if (rc == 0 && accept.len >= 8 && memcmp(accept.p, "text/csv", 8) == 0) rc = buf_text(&words, "&as=csv");
    if (rc == 0 && accept.len >= 22 && memcmp(accept.p, "application/senml+json", 22) == 0) rc = buf_text(&words, "&as=senml");
    if (rc == 0 && query.len) rc = buf_put_u8(&words, '&');
    if (rc == 0 && query.len) rc = buf_put(&words, query.p, query.len);
    r->query = (text){(const char *)words.data, words.len};
    if (rc < 0) answer_failure(r->conn, rc, NULL);
    else resource_serve(r, text_of("$history"));
    r->query = query;
    buf_done(&words);
    return true;
}

void dispatch(request *r)
{
    http_conn *c = r->conn;
    http_port *p = c->port;
    text below;

    if (socket_wanted(r)) {
        socket_open(r);
    } else if (p->sockets_only) {
        answer_problem(c, 426, "Only WebSocket is spoken here.", "Upgrade: websocket\r\nConnection: upgrade\r\n");
    } else if (!is_known(r->head->method)) {
        answer_problem(c, 501, "No such method here.", NULL);
    } else if (c->cross && !only_reads(r->head->method) && !origin_may(r)) {
        answer_problem(c, 403, "Not from that origin.", NULL);
    } else if (text_is(r->head->method, "OPTIONS")) {
        serve_options(r);
    } else if (hc_wanted(r)) {
        hc_serve(r);
    } else if (package_serve(r) || later_serve(r) || hand_serve(r) || site_serve(r)) {
        return;
    } else if (serve_history(r)) {
        return;
    } else if (target_below(r->path, text_of(p->mount), &below) == 0) {
        resource_serve(r, below);
    } else {
        buf_clear(&p->body);
        buf_print(&p->body, "Nothing is here; resources are below %s/.", p->mount);
        answer_problem(c, 404, buf_cstr(&p->body), NULL);
    }
}
