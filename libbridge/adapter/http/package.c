/* GET /fw/NAME: what another adapter hands out to whoever knows the name (hub/handout.h).  Nobody is asked who he is: devices that fetch
 * their firmware have no passwords.  Ranges (RFC 9110 14) are what makes a broken download go on. */
#include "adapter/http/answer.h"
#include "core/message.h"
#include "hub/handout.h"

/* How much of it the answer will be: all, unless ranges say less. */
static uint64_t bytes_asked(const request *r, const bridge_msg *msg)
{
    byte_range parts[RANGES_MAX];
    text range = head_value(r->head, HEAD_RANGE);
    uint64_t sum = 0;
    int n;

    if (text_is(r->head->method, "HEAD")) return 0;
    n = range.p ? ranges_read(range, msg->len, parts) : 0;
    if (n == 0) return msg->len;
    for (int i = 0; i < n; i++) sum += parts[i].count;
    return sum;
}

static handout *named(const request *r)
{
    text name;

    if (target_below(r->path, text_of("/fw"), &name) != 0 || !name.len) return NULL;
    return handout_find(r->conn->port->port, name);
}

bool package_has(const request *r) { return named(r) != NULL; }

bool package_serve(request *r)
{
    handout *h = named(r);

    if (!h) return false;
    if (!text_is(r->head->method, "GET") && !text_is(r->head->method, "HEAD"))
        answer_not_allowed(r, NULL);
    else if (!handout_spend(h, bytes_asked(r, handout_msg(h))))
        answer_problem(r->conn, 404, "It has been fetched too often.", NULL);
    else
        resource_answer(r, 200, handout_msg(h));
    return true;
}
