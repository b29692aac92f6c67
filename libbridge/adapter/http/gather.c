/* What fits into the first slice has a Content-Length.  More than that is chunked (HTTP/1.1), or ends with its stream (HTTP/1.0, HTTP/2). */
#include "adapter/http/gather.h"
#include "adapter/http/answer.h"
#include "hub/port.h"
#include <stdio.h>

typedef struct gather {
    gathered said;
    const gather_kind *kind;
    hub_walk *walk;
    packer *pack;
    timer next;
    buf slice;
    size_t stuck; /* bytes that waited at the last look */
    bool chunked;
} gather;

static int add(void *user, bridge_msg *msg)
{
    gather *g = user;
    int rc = g->pack ? packer_add(g->pack, msg) : g->kind->add(&g->said, msg);

    return rc ? rc : g->slice.len >= WALK_BYTES;
}

static int add_name(void *user, const char *segment, bool has_value, bool has_children)
{
    gather *g = user;
    int rc = g->kind->name(&g->said, segment, has_value, has_children);

    return rc ? rc : g->slice.len >= WALK_BYTES;
}

static int some(gather *g)
{
    int more = g->kind->name ? walk_some_names(g->walk, WALK_VALUES, add_name, g) : walk_some(g->walk, WALK_VALUES, add, g);
    int rc = more < 0 || !g->pack ? more : packer_write(g->pack, &g->slice, more == 0);

    return rc < 0 ? rc : more;
}

void gather_end(http_conn *c)
{
    gather *g = c->gather;

    if (!g) return;
    c->gather = NULL;
    timer_stop(&g->next);
    walk_free(g->walk);
    packer_free(g->pack);
    if (g->kind->free) g->kind->free(g->said.own);
    buf_done(&g->slice);
    mem_free(c->port->mem, g);
}

static gather *gather_new(http_conn *c, const char *pattern, const gather_kind *kind, void *own, int *rc)
{
    gather *g = mem_new(c->port->mem, gather);

    *rc = BRIDGE_NOMEM;
    if (!g) {
        if (kind->free) kind->free(own);
        return NULL;
    }
    g->kind = kind;
    buf_init(&g->slice, c->port->mem, 0);
    g->said = (gathered){.conn = c, .out = &g->slice, .top = !*pattern, .own = own};
    c->gather = g;
    *rc = kind->name ? walk_names(c->peer, pattern, &g->walk) : walk_new(c->peer, pattern, &g->walk);
    if (*rc == 0 && kind->pack) *rc = packer_new(c->port->mem, NULL, kind->pack, &g->pack);
    return g;
}

static int write_slice(gather *g)
{
    stream *s = g->said.conn->s;
    char line[24];
    int n = snprintf(line, sizeof line, "%zx\r\n", g->slice.len), rc = 0;

    if (g->slice.len == 0) return 0; /* an empty chunk is the last */
    if (g->chunked) rc = stream_write(s, line, (size_t)n);
    if (rc == 0) rc = stream_write(s, g->slice.data, g->slice.len);
    if (rc == 0 && g->chunked) rc = stream_write(s, "\r\n", 2);
    buf_clear(&g->slice);
    return rc;
}

static void on_next(timer *t);

/* As far as the client takes it; the rest when it has. */
static void go_on(gather *g)
{
    http_conn *c = g->said.conn;
    int more, rc;

    if (c->s->closing) {
        gather_end(c);
        return;
    }
    more = some(g);
    rc = more < 0 ? more : more > 0 ? 0 : buf_text(&g->slice, g->kind->close);
    if (rc == 0) rc = write_slice(g);
    if (rc == 0 && more == 0 && g->chunked) rc = stream_write(c->s, "0\r\n\r\n", 5);
    if (rc == 0 && more > 0 && stream_pending(c->s) <= GATHER_HIGH) rc = timer_start(&g->next, c->port->loop, 1, on_next);
    if (rc < 0) {
        gather_end(c);
        stream_abort(c->s, rc); /* half an answer is none */
    } else if (more == 0) {
        gather_end(c);
        conn_done(c);
    }
}

static void on_next(timer *t)
{
    go_on(list_of(t, gather, next));
}

void gather_drained(http_conn *c)
{
    if (!c->gather->next.loop) timer_start(&c->gather->next, c->port->loop, 1, on_next);
}

void gather_tick(http_conn *c)
{
    conn_watch(c, &c->gather->stuck);
}

static void begin(gather *g)
{
    http_conn *c = g->said.conn;
    answer a;

    g->chunked = !c->inside && !c->minor0;
    if (!g->chunked) c->keep_alive = false;
    answer_begin(&a, c, 200);
    answer_field(&a, "Content-Type", text_of(g->kind->type));
    answer_text(&a, "Cache-Control: no-cache\r\n");
    if (g->chunked) answer_text(&a, "Transfer-Encoding: chunked\r\n");
    answer_end_of_head(&a);
}

void gather_read(request *r, const char *pattern, const gather_kind *kind, void *own)
{
    http_conn *c = r->conn;
    int rc;
    gather *g = gather_new(c, pattern, kind, own, &rc);

    if (rc == 0) rc = buf_text(&g->slice, kind->open);
    if (rc == 0 && kind->begin) rc = kind->begin(&g->said);
    if (rc == 0) rc = some(g);
    if (rc == 0 && kind->name && *pattern && !g->said.more) rc = BRIDGE_NOTFOUND; /* nothing is below it */
    if (rc == 0) {
        rc = buf_text(&g->slice, kind->close);
        if (rc == 0) answer_body(c, 200, kind->type, g->slice.data, g->slice.len);
    } else if (rc > 0) {
        begin(g);
        if (!c->head_only) {
            conn_enter(c, CONN_ASKED);
            conn_deadline(c, GATHER_STUCK);
            if (write_slice(g) < 0 || timer_start(&g->next, c->port->loop, 1, on_next) < 0) stream_abort(c->s, BRIDGE_NOMEM);
            return;
        }
    }
    gather_end(c);
    if (rc < 0) answer_failure(c, rc, NULL);
}
