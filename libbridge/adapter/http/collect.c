/* Many paths in one answer: GET with wildcards, and what is below a path. */
#include "adapter/http/answer.h"
#include "adapter/http/event.h"
#include "core/message.h"

typedef struct collecting {
    buf *out;
    size_t most;
    bool more; /* not the first */
    bool top;  /* names that begin with '$' are about the broker: not found by wildcards (MQTT 4.7.2), not listed */
} collecting;

/* "path": value - and for bytes that have no JSON form {"base64": "..."}. */
static int add_value(void *user, bridge_msg *msg)
{
    collecting *c = user;
    size_t at;
    int rc = c->more ? buf_text(c->out, ",\n ") : 0;

    c->more = true;
    if (rc == 0) rc = json_text(c->out, msg_path(msg));
    if (rc == 0) rc = buf_put_u8(c->out, ':');
    at = c->out->len;
    if (rc == 0) rc = json_value(c->out, msg);
    if (rc == 1) {
        c->out->len = at;
        rc = buf_text(c->out, "{\"base64\":");
        if (rc == 0) rc = json_bytes(c->out, msg_data(msg), msg->len);
        if (rc == 0) rc = buf_put_u8(c->out, '}');
    }
    return rc < 0 ? rc : c->out->len > c->most ? BRIDGE_TOOBIG : 0;
}

static void answer_json(request *r, int rc, buf *b)
{
    if (rc < 0) answer_failure(r->conn, rc, rc == BRIDGE_TOOBIG ? "There is more than fits into one answer." : NULL);
    else answer_body(r->conn, 200, "application/json", b->data, b->len);
}

/* Nobody but JSON can hold many values here; one who does not take it gets 406. */
static bool takes_json(request *r)
{
    accept_list a;
    unsigned place;

    accept_read(&a, r->head);
    if (accept_quality(&a, text_of("application/json"), &place) > 0) return true;
    answer_failure(r->conn, BRIDGE_NOTACCEPTABLE, "Many values come as application/json.");
    return false;
}

void collect_read(request *r, const char *pattern)
{
    buf *b = &r->conn->port->body;
    collecting c = {.out = b, .most = r->conn->port->max_answer};
    int rc;

    if (!takes_json(r)) return;
    buf_clear(b);
    rc = buf_put_u8(b, '{');
    if (rc == 0) rc = bridge_peer_read(r->conn->peer, pattern, add_value, &c);
    if (rc == 0) rc = buf_text(b, "}\n");
    answer_json(r, rc, b);
}

/* A name that has more below ends in '/': so "a" with a value and children is two lines, and each line is a target. */
static int add_name(void *user, const char *segment, bool has_value, bool has_children)
{
    collecting *c = user;
    buf name;
    int rc;

    if (c->top && segment[0] == '$') return 0;
    buf_init(&name, c->out->mem, 0);
    rc = buf_text(&name, segment);
    if (rc == 0 && has_value) {
        rc = c->more ? buf_put_u8(c->out, ',') : 0;
        if (rc == 0) rc = json_text(c->out, (text){(char *)name.data, name.len});
        c->more = true;
    }
    if (rc == 0 && has_children) {
        rc = buf_put_u8(&name, '/');
        if (rc == 0 && c->more) rc = buf_put_u8(c->out, ',');
        if (rc == 0) rc = json_text(c->out, (text){(char *)name.data, name.len});
        c->more = true;
    }
    buf_done(&name);
    return rc < 0 ? rc : c->out->len > c->most ? BRIDGE_TOOBIG : 0;
}

void collect_list(request *r, const char *path)
{
    buf *b = &r->conn->port->body;
    collecting c = {.out = b, .most = r->conn->port->max_answer, .top = !*path};
    int rc;

    if (!takes_json(r)) return;
    buf_clear(b);
    rc = buf_put_u8(b, '[');
    if (rc == 0) rc = bridge_peer_list(r->conn->peer, path, add_name, &c);
    if (rc == 0) rc = buf_text(b, "]\n");
    if (rc == 0 && !c.more && *path) rc = BRIDGE_NOTFOUND;
    answer_json(r, rc, b);
}
