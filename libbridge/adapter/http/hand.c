/* Routes by hand, at listeners with routes=write:
 *
 *      POST /api/routes?try   what it would do, in sentences      POST /api/routes       201, Location
 *      DELETE /api/routes/ID  what came by hand, or was kept in the store; GET says it
 *
 * The body is a route as the config has it: {"source":"coap:t/{x}","target":"home/{x}","transform":"pick $.t"}. */
#include "adapter/http/hand.h"
#include "adapter/http/about.h"
#include "adapter/http/cors.h"
#include "adapter/http/event.h"
#include "base/status.h"
#include "codec/node.h"
#include "hub/port.h"
#include <inttypes.h>

#define ROUTES "/api/routes"
static const char right[] = "$SYS/bridge/routes";
enum { PRIORITY_MOST = 1000000 };

/* ---- what is said */

typedef struct reading {
    scratch *scratch;
    bridge_route *out;
    bridge_error *err;
} reading;

static int read_words(reading *g, const char *name, const node *n, const char **out)
{
    if (n->it.kind != ITEM_STRING || memchr(n->it.p, 0, n->it.len)) return fail(g->err, BRIDGE_INVALID, "\"%s\" is a text", name);
    *out = scratch_text(g->scratch, n->it.p, n->it.len);
    return *out ? 0 : fail_nomem(g->err);
}

static int read_number(reading *g, const char *name, const node *n, int from, int to, int *out)
{
    if (n->it.kind != ITEM_INT || n->it.i < from || n->it.i > to)
        return fail(g->err, BRIDGE_INVALID, "\"%s\" is a whole number from %d to %d", name, from, to);
    *out = (int)n->it.i;
    return 0;
}

/* Which of the words it is; negative: none. */
static int read_choice(reading *g, const char *name, const node *n, const char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (item_is(&n->it, words[i])) return i;
    return fail(g->err, BRIDGE_INVALID, "\"%s\" is one of %s, %s%s%s", name, words[0], words[1], count > 2 ? ", " : "", count > 2 ? words[2] : "");
}

static int read_flag(reading *g, const char *name, const node *n)
{
    return n->it.kind == ITEM_BOOL ? n->it.b : fail(g->err, BRIDGE_INVALID, "\"%s\" is true or false", name);
}

static int read_option(reading *g, const char *name, const node *n)
{
    static const char *const ways[] = {"auto", "one", "both"}, *const errors[] = {"drop", "pass"};
    bridge_route *to = g->out;
    int n_read = 0, rc = 0;

    if (strcmp(name, "ways") == 0) {
        rc = read_choice(g, name, n, ways, 3);
        to->ways = (bridge_ways)(rc < 0 ? 0 : rc);
    } else if (strcmp(name, "both_ways") == 0) {
        rc = read_flag(g, name, n);
        to->ways = rc > 0 ? BRIDGE_BOTH_WAYS : BRIDGE_ONE_WAY;
    } else if (strcmp(name, "retain") == 0) {
        rc = read_flag(g, name, n);
        to->retain = rc > 0 ? BRIDGE_KEEP_ALWAYS : BRIDGE_KEEP_NEVER;
    } else if (strcmp(name, "on_error") == 0) {
        rc = read_choice(g, name, n, errors, 2);
        to->on_error = (bridge_on_error)(rc < 0 ? 0 : rc);
    } else if (strcmp(name, "qos") == 0) {
        rc = read_number(g, name, n, 0, 2, &n_read);
        to->max_qos = BRIDGE_QOS(n_read);
    } else if (strcmp(name, "priority") == 0) {
        rc = read_number(g, name, n, -PRIORITY_MOST, PRIORITY_MOST, &to->priority);
    } else {
        rc = fail(g->err, BRIDGE_INVALID, "a route has no \"%.64s\"", name);
    }
    return rc < 0 ? rc : 0;
}

static int read_member(reading *g, const node *n)
{
    const char *name = scratch_text(g->scratch, n->key->p, n->key->len);

    if (!name) return fail_nomem(g->err);
    if (strcmp(name, "source") == 0) return read_words(g, name, n, &g->out->source);
    if (strcmp(name, "target") == 0) return read_words(g, name, n, &g->out->target);
    if (strcmp(name, "format") == 0) return read_words(g, name, n, &g->out->format);
    if (strcmp(name, "transform") == 0) return read_words(g, name, n, &g->out->transform);
    return read_option(g, name, n);
}

static int read_route(scratch *s, const request *r, bridge_route *out, bridge_error *err)
{
    reading g = {.scratch = s, .out = out, .err = err};
    node *root = NULL;
    int rc = node_read(s, BRIDGE_JSON, r->body, r->body_len, &root, err);

    if (rc < 0) return rc;
    if (root->it.kind != ITEM_MAP) return fail(err, BRIDGE_INVALID, "a route is a JSON object");
    for (const node *n = root->first; n && rc == 0; n = n->next) rc = read_member(&g, n);
    return rc;
}

/* ---- who may */

bool hand_may(request *r)
{
    return r->conn->port->routes_write && conn_peer(r->conn, r) == 0 && peer_may(r->conn->peer, BRIDGE_PUT, right) == 0;
}

/* False: refused, and said so.  A page of somebody else may not, whatever cors=* lets it: a route moves what is not its visitor's. */
static bool may(request *r)
{
    http_conn *c = r->conn;
    int rc;

    if (!c->port->routes_write) {
        answer_problem(c, 403, "Routes are not changed here: the listener's URL would say routes=write.", NULL);
    } else if (c->cross && !origin_is_ours(r) && !(c->allowed && !c->port->cors->any)) {
        answer_problem(c, 403, "Not from that origin.", NULL);
    } else if ((rc = conn_peer(c, r)) < 0 || (rc = peer_may(c->peer, BRIDGE_PUT, right)) < 0) {
        answer_failure(c, rc, NULL);
    } else {
        return true;
    }
    return false;
}

/* ---- what becomes of it */

static void answer_try(request *r, const bridge_route *said, bridge_error *err)
{
    buf *b = &r->conn->port->body, words;
    int rc;

    buf_init(&words, r->conn->port->mem, 0);
    rc = hand_route_try(r->conn->peer, said, &words, err);
    buf_clear(b);
    if (rc == 0) rc = buf_text(b, "{\"text\":");
    if (rc == 0) rc = json_text(b, (text){(const char *)words.data, words.len});
    if (rc == 0) rc = buf_text(b, "}\n");
    if (rc < 0) answer_failure(r->conn, rc, *err->text ? err->text : NULL);
    else answer_body(r->conn, 200, "application/json", b->data, b->len);
    buf_done(&words);
}

static void answer_added(request *r, const bridge_route *said, bridge_error *err)
{
    http_conn *c = r->conn;
    uint64_t number = 0;
    int rc = hand_route_add(c->port->port, said, &number, err);
    answer a;

    if (rc < 0) {
        answer_failure(c, rc, *err->text ? err->text : NULL);
        return;
    }
    bridge_port_log(c->port->port, BRIDGE_LOG_INFO, bridge_peer_name(c->peer), "route %s -> %s is added", said->source, said->target);
    answer_begin(&a, c, 201);
    answer_print(&a, "Location: " ROUTES "/%" PRIx64 "\r\n", number);
    answer_end(&a, NULL, 0, NULL);
}

static void serve_post(request *r)
{
    bridge_route said = {.size = sizeof said};
    bridge_error err = {0};
    scratch memory;
    int rc;

    scratch_init(&memory, r->conn->port->mem);
    rc = read_route(&memory, r, &said, &err);
    if (rc < 0) answer_problem(r->conn, 400, *err.text ? err.text : bridge_status_text(rc), NULL);
    else if (query_has(r->query, "try")) answer_try(r, &said, &err);
    else answer_added(r, &said, &err);
    scratch_done(&memory);
}

static bool read_id(text id, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < id.len; i++) {
        const char *digits = "0123456789abcdef", *at = id.p[i] ? strchr(digits, id.p[i]) : NULL;
        if (!at || *number >> 60) return false;
        *number = *number << 4 | (uint64_t)(at - digits);
    }
    return id.len > 0;
}

static void serve_delete(request *r, text id)
{
    http_conn *c = r->conn;
    uint64_t number;
    int rc = read_id(id, &number) ? hand_route_remove(c->port->port, number) : BRIDGE_NOTFOUND;

    if (rc < 0) {
        answer_failure(c, rc, "No route that may be taken away has this id.");
    } else {
        bridge_port_log(c->port->port, BRIDGE_LOG_INFO, bridge_peer_name(c->peer), "route %.*s is taken away", (int)id.len, id.p);
        answer_empty(c, 204, NULL);
    }
}

/* ---- where */

/* The part behind /api/routes/, or p NULL. */
static text id_of(text path)
{
    const size_t n = sizeof ROUTES;

    return path.len > n && memcmp(path.p, ROUTES "/", n) == 0 ? (text){path.p + n, path.len - n} : (text){NULL, 0};
}

const char *hand_allow(const request *r)
{
    if (id_of(r->path).p) return r->conn->port->routes_write ? "DELETE, OPTIONS" : "OPTIONS";
    return text_is(r->path, ROUTES) && r->conn->port->routes_write ? "GET, HEAD, POST, OPTIONS" : NULL;
}

bool hand_serve(request *r)
{
    text id = id_of(r->path);
    bool posts = text_is(r->path, ROUTES) && text_is(r->head->method, "POST");

    if (!posts && !id.p) return false;
    if (id.p && !text_is(r->head->method, "DELETE")) {
        answer_not_allowed(r, NULL);
    } else if (may(r)) {
        if (posts) serve_post(r);
        else serve_delete(r, id);
    }
    return true;
}
