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

/* ---- what is there, as links (RFC 6690) */

enum { LINK_FILTERS = 8 };

typedef struct linking { /* what the query asks for; without one all is told */
    buf words;
    link_filter filters[LINK_FILTERS];
    unsigned filter_count;
} linking;

static void linking_free(void *own)
{
    linking *l = own;
    mem *m = l ? l->words.mem : NULL;

    if (!l) return;
    buf_done(&l->words);
    mem_free(m, l);
}

/* One link stands behind `begin`: it stays if the filters match. */
static int link_done(gathered *g, size_t begin, int rc)
{
    const linking *l = g->own;
    text rest = {(const char *)g->out->data + begin + g->more, g->out->len - begin - g->more};
    link_item one;

    if (rc == 0 && l && l->filter_count && (link_next(&rest, &one, NULL) <= 0 || !link_matches(&one, l->filters, l->filter_count))) {
        g->out->len = begin;
        return 0;
    }
    g->more = true;
    return rc;
}

static int put_link(gathered *g, const char *path, int format, size_t size)
{
    size_t begin = g->out->len;
    int rc = buf_text(g->out, g->more ? ",<" : "<");

    if (rc == 0) rc = target_put(g->out, text_of(g->conn->port->mount), text_of(path));
    if (rc == 0) rc = buf_text(g->out, ">");
    if (rc == 0) rc = bridge_peer_link(g->conn->peer, path, format, size, g->out);
    return link_done(g, begin, rc);
}

static int put_proxy(gathered *g)
{
    int rc = 0;

    for (const port_link *link = hc_links; rc == 0 && link->target; link++) {
        size_t begin = g->out->len;

        rc = buf_print(g->out, "%s<%s>%s", g->more ? "," : "", link->target, link->attributes);
        rc = link_done(g, begin, rc);
    }
    return rc;
}

/* The parts of the query, escapes taken away. */
static int take_filters(linking *l, text query)
{
    text part;
    size_t at;
    int rc = query.len ? buf_room(&l->words, query.len) : 0; /* none of them moves again */

    for (bool more = query.len > 0; rc == 0 && more;) {
        more = text_cut(query, '&', &part, &query);
        at = l->words.len;
        if (l->filter_count == LINK_FILTERS) return BRIDGE_INVALID;
        rc = text_percent_decode(&l->words, part);
        if (rc == 0 && part.len) l->filters[l->filter_count++] = link_filter_of((text){(const char *)l->words.data + at, l->words.len - at});
    }
    return rc;
}

static int gather_link(void *user, bridge_msg *msg)
{
    unsigned format = msg_format(msg);

    return put_link(user, msg->path, format < BRIDGE_FORMAT_NAMED ? (int)format : -1, msg->len);
}

/* What bridge_peer_owned() has told is not told again for its value. */
static int gather_core_link(void *user, bridge_msg *msg)
{
    gathered *g = user;

    return peer_owned_tells(g->conn->peer, msg_path(msg)) ? 0 : gather_link(user, msg);
}

static int add_owned(void *user, const char *path) { return put_link(user, path, -1, 0); }

static int core_begin(void *user)
{
    gathered *g = user;
    int rc = g->conn->port->targets ? put_proxy(g) : 0;

    return rc == 0 ? bridge_peer_owned(g->conn->peer, add_owned, g) : rc;
}

void collect_core(request *r)
{
    static const gather_kind core = {
        .type = "application/link-format", .open = "", .close = "", .add = gather_core_link, .begin = core_begin, .free = linking_free};
    linking *l = mem_new(r->conn->port->mem, linking);
    int rc = l ? conn_peer(r->conn, r) : BRIDGE_NOMEM;

    if (l) buf_init(&l->words, r->conn->port->mem, 0);
    if (rc == 0) rc = take_filters(l, r->query);
    if (rc == 0) {
        gather_read(r, "#", &core, l);
        return;
    }
    linking_free(l);
    answer_failure(r->conn, rc, NULL);
}

void collect_read(request *r, const char *pattern)
{
    static const char *const types[] = {"application/json", "application/senml+json", "application/senml+cbor", "application/link-format"};
    static const gather_kind kinds[] = {
        {.type = "application/json", .open = "{", .close = "}\n", .add = gather_value},
        {.type = "application/senml+json", .open = "", .close = "", .pack = BRIDGE_SENML_JSON},
        {.type = "application/senml+cbor", .open = "", .close = "", .pack = BRIDGE_SENML_CBOR},
        {.type = "application/link-format", .open = "", .close = "", .add = gather_link},
    };
    int best = best_of(r, types, 4);

    if (best >= 0) gather_read(r, pattern, &kinds[best], NULL);
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

    if (best_of(r, types, 1) == 0) gather_read(r, path, &names, NULL);
}
