/* What is asked about the bridge by programs and by the page: /api/me, peers, listeners and uplinks, routes.  Lists come in pages:
 * ?limit= (100, at most 1,000), ?offset= and ?q=, a part of what a row says. */
#include "adapter/http/about.h"
#include "adapter/http/event.h"
#include "adapter/http/hand.h"
#include "codec/registry.h"
#include "hub/port.h"
#include <inttypes.h>
#include <stdio.h>

enum { ROWS = 100, ROWS_MOST = 1000, PART = 128 };

typedef struct page {
    buf *out;
    uint64_t limit, offset, fit, told;
    char part[PART];
    int rc;
} page;

static bool read_number(text query, const char *name, uint64_t most, uint64_t *out)
{
    char word[24];

    return !query_has(query, name) || (query_get(query, name, word, sizeof word) && text_to_u64(text_of(word), most, out));
}

static bool page_begin(page *p, request *r, const char *member)
{
    *p = (page){.out = &r->conn->port->body, .limit = ROWS};
    if (!read_number(r->query, "limit", ROWS_MOST, &p->limit) || !read_number(r->query, "offset", UINT32_MAX, &p->offset)) {
        answer_problem(r->conn, 400, "limit is at most 1000, offset a number.", NULL);
        return false;
    }
    query_get(r->query, "q", p->part, sizeof p->part);
    buf_clear(p->out);
    p->rc = buf_print(p->out, "{\"%s\":[", member);
    return true;
}

/* more: members, each with a ',' in front, or "" */
static void page_end(page *p, request *r, const char *more)
{
    if (p->rc == 0) p->rc = buf_print(p->out, "],\"total\":%llu%s}\n", (unsigned long long)p->fit, more);
    if (p->rc < 0) answer_failure(r->conn, p->rc, NULL);
    else answer_body(r->conn, 200, "application/json", p->out->data, p->out->len);
}

static bool has(const page *p, const char *words)
{
    return words && strstr(words, p->part);
}

/* Is this row, which fits, of this page?  Then it is begun. */
static bool row(page *p)
{
    if (p->fit++ < p->offset || p->told >= p->limit || p->rc < 0) return false;
    p->rc = buf_text(p->out, p->told++ ? ",\n {" : "\n {");
    return true;
}

static void put(page *p, const char *name, const char *value) /* NULL: nothing */
{
    size_t begin = p->out->len;

    if (p->rc < 0 || !value) return;
    p->rc = buf_print(p->out, "%s\"%s\":", begin && p->out->data[begin - 1] == '{' ? "" : ",", name);
    if (p->rc == 0) p->rc = json_text(p->out, text_of(value));
}

static void put_number(page *p, const char *name, uint64_t value)
{
    if (p->rc == 0) p->rc = buf_print(p->out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void put_bool(page *p, const char *name, bool value)
{
    if (p->rc == 0 && value) p->rc = buf_print(p->out, ",\"%s\":true", name);
}

static bool row_end(page *p)
{
    if (p->rc == 0) p->rc = buf_put_u8(p->out, '}');
    return p->rc == 0;
}

/* ---- who is connected */

static bool add_peer(void *user, const roster_peer *peer)
{
    page *p = user;

    if (*p->part && !has(p, peer->name) && !has(p, peer->user) && !has(p, peer->address)) return true;
    if (!row(p)) return true;
    put(p, "name", peer->name);
    put(p, "scheme", peer->scheme);
    put(p, "user", peer->user);
    put(p, "address", peer->address);
    put_number(p, "number", peer->number);
    put_number(p, "since", (uint64_t)peer->since);
    put_number(p, "in", peer->heard);
    put_number(p, "out", peer->told);
    put_number(p, "watches", peer->watches);
    put_bool(p, "away", peer->away);
    put_bool(p, "uplink", peer->uplink);
    return row_end(p) && (*p->part || p->told < p->limit);
}

void about_peers(request *r)
{
    page p;

    if (!about_may(r, HUB_PEERS) || !page_begin(&p, r, "peers")) return;
    if (*p.part) {
        roster_peers(r->conn->port->port, 0, add_peer, &p);
    } else { /* only this page is looked at */
        p.fit = p.offset;
        if (p.limit) roster_peers(r->conn->port->port, p.offset, add_peer, &p);
        p.fit = roster_peer_count(r->conn->port->port);
    }
    page_end(&p, r, "");
}

/* ---- listeners and uplinks.  What stands in front of an '@' or behind a '?' may be secret. */

static void put_url(page *p, const char *url)
{
    const char *scheme = strstr(url, "://"), *at = scheme ? strchr(scheme, '@') : NULL, *query = strchr(url, '?');
    char shown[512];
    int n;

    if (at && query && at > query) at = NULL;
    n = at ? snprintf(shown, sizeof shown, "%.*s%s", (int)(scheme + 3 - url), url, at + 1) : snprintf(shown, sizeof shown, "%s", url);
    if (n < 0) shown[0] = 0;
    shown[strcspn(shown, "?")] = 0;
    put(p, "url", shown);
}

static bool add_port(void *user, const roster_port *port)
{
    page *p = user;

    if (*p->part && !has(p, port->name)) return true;
    if (!row(p)) return true;
    put_url(p, port->name);
    put(p, "scheme", port->scheme);
    put(p, "summary", port->summary);
    put(p, "mount", port->mount);
    put_number(p, "peers", port->peers);
    put_bool(p, "uplink", port->uplink);
    if (p->rc == 0 && port->up >= 0) p->rc = buf_print(p->out, ",\"up\":%s", port->up ? "true" : "false");
    if (port->sent >= 0) put_number(p, "sent", (uint64_t)port->sent);
    if (port->received >= 0) put_number(p, "received", (uint64_t)port->received);
    if (port->waiting >= 0) put_number(p, "waiting", (uint64_t)port->waiting);
    put_bool(p, "closing", port->closing);
    return row_end(p);
}

void about_ports(request *r)
{
    page p;

    if (!about_may(r, "$SYS/bridge/ports") || !page_begin(&p, r, "ports")) return;
    roster_ports(r->conn->port->port, add_port, &p);
    page_end(&p, r, "");
}

/* ---- routes */

static bool add_route(void *user, const roster_route *route)
{
    page *p = user;

    if (*p->part && !has(p, route->label) && !has(p, route->transform)) return true;
    if (!row(p)) return true;
    put(p, "route", route->label);
    put(p, "names", route->scheme);
    put(p, "transform", route->transform);
    put(p, "format", format_name(route->format));
    put_number(p, "crossed", route->crossed);
    if (route->priority && p->rc == 0) p->rc = buf_print(p->out, ",\"priority\":%d", route->priority);
    put_bool(p, "both_ways", route->both_ways);
    if (route->by_hand && p->rc == 0) p->rc = buf_print(p->out, ",\"id\":\"%" PRIx64 "\"", route->number);
    return row_end(p);
}

void about_routes(request *r)
{
    page p;

    if (!about_may(r, "$SYS/bridge/routes") || !page_begin(&p, r, "routes")) return;
    roster_routes(r->conn->port->port, add_route, &p);
    page_end(&p, r, hand_may(r) ? ",\"change\":true" : "");
}

/* ---- who am I, and where? */

void about_me(request *r)
{
    page p = {.out = &r->conn->port->body};
    char version[24];
    int rc = conn_peer(r->conn, r);

    if (rc < 0) {
        answer_failure(r->conn, rc, NULL);
        return;
    }
    snprintf(version, sizeof version, "%u.%u.%u", bridge_version() >> 16, bridge_version() >> 8 & 255, bridge_version() & 255);
    buf_clear(p.out);
    p.rc = buf_text(p.out, "{");
    put(&p, "name", bridge_peer_name(r->conn->peer));
    put(&p, "user", bridge_peer_user(r->conn->peer));
    put(&p, "mount", r->conn->port->mount);
    put(&p, "version", version);
    row_end(&p);
    if (p.rc < 0) answer_failure(r->conn, p.rc, NULL);
    else answer_body(r->conn, 200, "application/json", p.out->data, p.out->len);
}
