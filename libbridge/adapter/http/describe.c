/* /api/openapi.json: what openapi.py wrote at build time, with this listener's mount in it, and without what this listener has not. */
#include "adapter/http/answer.h"
#include "adapter/http/event.h"

extern const unsigned char site_openapi[]; /* from openapi.py */
extern const unsigned site_openapi_len;

/* The marks that openapi.py leaves: here is the mount; up to END only with a mount, or with hc=. */
enum { MARK_MOUNT = 1, MARK_IF_MOUNT = 2, MARK_IF_HC = 3, MARK_END = 4 };

static const unsigned char *next_mark(const unsigned char *at, const unsigned char *end)
{
    while (at < end && (*at < MARK_MOUNT || *at > MARK_END)) at++;
    return at;
}

static int put_mount(buf *out, buf *room, const char *mount)
{
    int rc;

    buf_clear(room);
    rc = json_text(room, text_of(mount));
    return rc < 0 ? rc : buf_put(out, room->data + 1, room->len - 2); /* the quotes are there already */
}

static int describe(http_port *p, buf *out)
{
    const unsigned char *at = site_openapi, *end = site_openapi + site_openapi_len, *mark;
    bool left_out = false;
    int rc = 0;

    for (; rc == 0 && at < end; at = mark + 1) {
        mark = next_mark(at, end);
        if (!left_out) rc = buf_put(out, at, (size_t)(mark - at));
        if (mark == end) break;
        if (*mark == MARK_MOUNT && rc == 0 && !left_out) rc = put_mount(out, &p->name, p->mount);
        else if (*mark == MARK_IF_MOUNT) left_out = !*p->mount;
        else if (*mark == MARK_IF_HC) left_out = !p->targets;
        else if (*mark == MARK_END) left_out = false;
    }
    return rc;
}

void describe_serve(request *r)
{
    http_port *p = r->conn->port;
    int rc;

    buf_clear(&p->body);
    rc = describe(p, &p->body);
    if (rc < 0) answer_failure(r->conn, rc, NULL);
    else answer_body(r->conn, 200, "application/json", p->body.data, p->body.len);
}
