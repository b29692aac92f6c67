/* Many paths in one answer: GET with wildcards as JSON, SenML or links, and what is below a path. */
#include "adapter/http/answer.h"
#include "adapter/http/hc.h"
#include "adapter/http/event.h"
#include "adapter/http/gather.h"
#include "codec/link.h"
#include "codec/registry.h"
#include "core/message.h"
#include "hub/port.h"

/* ---- values as JSON */

/* "path": value - and for bytes that have no JSON form {"base64": "..."}. */
static int put_value(buf *out, bool *more, bridge_msg *msg)
{
    size_t at;
    int rc = *more ? buf_text(out, ",\n ") : 0;

    *more = true;
    if (rc == 0) rc = json_text(out, msg_path(msg));
    if (rc == 0) rc = buf_put_u8(out, ':');
    at = out->len;
    if (rc == 0) rc = json_value(out, msg);
    if (rc == 1) {
        out->len = at;
        rc = buf_text(out, "{\"base64\":");
        if (rc == 0) rc = json_bytes(out, msg_data(msg), msg->len);
        if (rc == 0) rc = buf_put_u8(out, '}');
    }
    return rc;
}

static int gather_value(void *user, bridge_msg *msg)
{
    gathered *g = user;

    return put_value(g->out, &g->more, msg);
}

/* What the asker would rather have of a list of media types; -1: none of them, and it is told so. */
static int best_of(request *r, const char *const *types, int count)
{
    accept_list a;
    unsigned place, most = 0;
    int best = -1;

    accept_read(&a, r->head);
    for (int i = 0; i < count; i++) {
        unsigned q = accept_quality(&a, text_of(types[i]), &place);
        if (q <= most) continue;
        most = q;
        best = i;
    }
    if (best < 0) answer_failure(r->conn, BRIDGE_NOTACCEPTABLE, NULL);
    return best;
}

static void answer_list(request *r, int rc, const char *type, buf *b)
{
    if (rc < 0) answer_failure(r->conn, rc, rc == BRIDGE_TOOBIG ? "There is more than fits into one answer." : NULL);
    else answer_body(r->conn, 200, type, b->data, b->len);
}

/* ---- values as one SenML pack */

static int gather_records(gathered *g, bridge_msg *msg, bool json)
{
    size_t before = g->out->len;
    int rc = pack_value(g->conn->port->mem, msg, json, !g->more, g->out);

    g->more |= g->out->len > before;
    return rc;
}

static int gather_json_records(void *user, bridge_msg *msg) { return gather_records(user, msg, true); }
static int gather_cbor_records(void *user, bridge_msg *msg) { return gather_records(user, msg, false); }

/* What fits into one slice has base names and times, too. */
static void read_pack(request *r, const char *pattern, bool json)
{
    static const gather_kind kinds[] = {
        {.type = "application/senml+cbor", .open = "\x9f", .close = "\xff", .add = gather_cbor_records},
        {.type = "application/senml+json", .open = "[", .close = "]", .add = gather_json_records},
    };
    buf *b = &r->conn->port->body;
    int rc;

    buf_clear(b);
    rc = peer_pack(r->conn->peer, pattern, NULL, json ? BRIDGE_SENML_JSON : BRIDGE_SENML_CBOR, GATHER_BYTES, b);
    if (rc == BRIDGE_TOOBIG) gather_read(r, pattern, &kinds[json]);
    else answer_list(r, rc, kinds[json].type, b);
}

/* ---- what is there, as links (RFC 6690) */

enum { LINK_FILTERS = 8 };

typedef struct linking {
    buf *out;
    size_t most;
    text mount;
    bridge_peer *peer;
    bool more; /* not the first */
    link_filter filters[LINK_FILTERS];
    unsigned filter_count;
} linking;

/* One link stands behind `begin`: it stays if the filters match. */
static int link_done(linking *l, size_t begin, int rc)
{
    text rest = {(const char *)l->out->data + begin + l->more, l->out->len - begin - l->more};
    link_item one;

    if (rc == 0 && l->filter_count && (link_next(&rest, &one, NULL) <= 0 || !link_matches(&one, l->filters, l->filter_count))) {
        l->out->len = begin;
        return 0;
    }
    l->more = true;
    return rc < 0 ? rc : l->out->len > l->most ? BRIDGE_TOOBIG : 0;
}

static int put_link(linking *l, const char *path, int format, size_t size)
{
    size_t begin = l->out->len;
    int rc = buf_text(l->out, l->more ? ",<" : "<");

    if (rc == 0) rc = target_put(l->out, l->mount, text_of(path));
    if (rc == 0) rc = buf_text(l->out, ">");
    if (rc == 0) rc = bridge_peer_link(l->peer, path, format, size, l->out);
    return link_done(l, begin, rc);
}

static int put_proxy(linking *l)
{
    int rc = 0;

    for (const port_link *link = hc_links; rc == 0 && link->target; link++) {
        size_t begin = l->out->len;

        rc = buf_print(l->out, "%s<%s>%s", l->more ? "," : "", link->target, link->attributes);
        rc = link_done(l, begin, rc);
    }
    return rc;
}

/* The parts of the query, escapes taken away; they lie in room. */
static int take_filters(linking *l, text query, buf *room)
{
    text part;
    size_t at;
    int rc = query.len ? buf_room(room, query.len) : 0; /* none of them moves again */

    for (bool more = query.len > 0; rc == 0 && more;) {
        more = text_cut(query, '&', &part, &query);
        at = room->len;
        if (l->filter_count == LINK_FILTERS) return BRIDGE_INVALID;
        rc = text_percent_decode(room, part);
        if (rc == 0 && part.len) l->filters[l->filter_count++] = link_filter_of((text){(const char *)room->data + at, room->len - at});
    }
    return rc;
}

static int add_link(void *user, bridge_msg *msg)
{
    linking *l = user;
    unsigned format = msg_format(msg);

    return put_link(l, msg->path, format < BRIDGE_FORMAT_NAMED ? (int)format : -1, msg->len);
}

static int gather_link(void *user, bridge_msg *msg)
{
    gathered *g = user;
    http_port *p = g->conn->port;
    linking l = {.out = g->out, .most = SIZE_MAX, .mount = text_of(p->mount), .peer = g->conn->peer, .more = g->more};

    g->more = true;
    return add_link(&l, msg);
}

static int add_owned(void *user, const char *path)
{
    return put_link(user, path, -1, 0);
}

void collect_core(request *r)
{
    http_port *p = r->conn->port;
    linking l = {.out = &p->body, .most = p->max_answer, .mount = text_of(p->mount)};
    buf room;
    int rc = conn_peer(r->conn, r);

    buf_init(&room, p->mem, 0);
    buf_clear(l.out);
    l.peer = r->conn->peer;
    if (rc == 0) rc = take_filters(&l, r->query, &room);
    if (rc == 0 && p->targets) rc = put_proxy(&l);
    if (rc == 0) rc = bridge_peer_owned(l.peer, add_owned, &l);
    if (rc == 0) rc = bridge_peer_read(l.peer, "#", add_link, &l);
    answer_list(r, rc, "application/link-format", l.out);
    buf_done(&room);
}

void collect_read(request *r, const char *pattern)
{
    static const gather_kind values = {.type = "application/json", .open = "{", .close = "}\n", .add = gather_value};
    static const gather_kind links = {.type = "application/link-format", .open = "", .close = "", .add = gather_link};
    static const char *const types[] = {"application/json", "application/senml+json", "application/senml+cbor", "application/link-format"};
    int best = best_of(r, types, 4);

    if (best < 0) return;
    if (best == 1 || best == 2) read_pack(r, pattern, best == 1);
    else gather_read(r, pattern, best == 3 ? &links : &values);
}

/* ---- what is below a path */

static int put_name(gathered *g, const char *segment, const char *slash)
{
    char *name = mem_alloc(g->out->mem, strlen(segment) + 2);
    int rc = name ? 0 : BRIDGE_NOMEM;

    if (rc == 0 && g->more) rc = buf_put_u8(g->out, ',');
    if (rc == 0) rc = json_text(g->out, text_of(strcat(strcpy(name, segment), slash)));
    g->more = true;
    mem_free(g->out->mem, name);
    return rc;
}

/* A name that has more below ends in '/': so "a" with a value and children is two lines, and each line is a target.  Those that begin
 * with '$' are about the broker: not found by wildcards (MQTT 4.7.2), not listed. */
static int gather_name(void *user, const char *segment, bool has_value, bool has_children)
{
    gathered *g = user;
    int rc = 0;

    if (g->top && segment[0] == '$') return 0;
    if (has_value) rc = put_name(g, segment, "");
    return rc == 0 && has_children ? put_name(g, segment, "/") : rc;
}

void collect_list(request *r, const char *path)
{
    static const char *const types[] = {"application/json"};
    static const gather_kind names = {.type = "application/json", .open = "[", .close = "]\n", .name = gather_name};

    if (best_of(r, types, 1) == 0) gather_read(r, path, &names);
}
