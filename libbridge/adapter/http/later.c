/* Prefer: respond-async (RFC 7240 4.1): who does not want to wait for an owner gets 202 and the URL of a place where the answer will be.
 *
 *      POST /resources/lamp            202  Location: /api/requests/<32 hex digits>     while the owner has not answered: 202 there, too
 *      Prefer: respond-async                                                             then: the answer, until it is too old
 *
 * Whoever knows the URL may read it; nobody can guess it.  DELETE forgets it, and the question with it. */
#include "adapter/http/answer.h"
#include "base/clock.h"
#include "core/message.h"
#include <stdio.h>

enum { ID_LEN = 32 };

struct later {
    list link;
    http_port *port;
    bridge_peer *peer; /* of its own: the connection may go */
    bridge_ticket *ticket;
    timer end;
    bridge_verb verb;
    int outcome; /* PENDING: not yet */
    bridge_msg *reply;
    char id[ID_LEN + 1];
    char name[];
};

void later_free(later *l)
{
    http_port *p = l->port;

    list_remove(&l->link);
    p->later_count--;
    timer_stop(&l->end);
    bridge_ticket_cancel(l->ticket);
    bridge_peer_free(l->peer);
    bridge_msg_unref(l->reply);
    mem_free(p->mem, l);
}

static void on_end(timer *t)
{
    later_free(list_of(t, later, end));
}

bool later_wanted(const request *r)
{
    return r->head->first[HEAD_PREFER] && head_has(r->head, HEAD_PREFER, "respond-async") && r->conn->port->later_count < HTTP_LATER;
}

later *later_new(request *r, bridge_verb verb, const char *name)
{
    http_conn *c = r->conn;
    later *l = mem_zalloc(c->port->mem, sizeof *l + strlen(name) + 1);
    uint64_t dice[2];

    if (!l) return NULL;
    l->port = c->port;
    l->verb = verb;
    l->outcome = BRIDGE_PENDING;
    strcpy(l->name, name);
    random_bytes(dice, sizeof dice);
    snprintf(l->id, sizeof l->id, "%016llx%016llx", (unsigned long long)dice[0], (unsigned long long)dice[1]);
    list_push(&c->port->laters, &l->link);
    c->port->later_count++;
    if (bridge_peer_new(&l->peer, c->port->port, stream_peer(c->s), bridge_peer_user(c->peer), 0, NULL) == 0) return l;
    later_free(l);
    return NULL;
}

static void on_done(void *user, int outcome, bridge_msg *reply)
{
    later *l = user;

    l->ticket = NULL;
    l->outcome = outcome;
    l->reply = reply ? bridge_msg_ref(reply) : NULL;
    if (timer_start(&l->end, l->port->loop, HTTP_LATER_KEPT, on_end) < 0) later_free(l);
}

int later_submit(later *l, bridge_msg *msg, const bridge_terms *terms, bridge_msg **reply)
{
    return bridge_peer_submit(l->peer, l->verb, msg, terms, reply, on_done, l, &l->ticket);
}

static void say_pending(http_conn *c, const later *l, const char *more)
{
    answer a;

    answer_begin(&a, c, 202);
    answer_print(&a, "Location: /api/requests/%s\r\nRetry-After: 1\r\nCache-Control: no-store\r\n%s", l->id, more);
    answer_end(&a, NULL, 0, NULL);
}

void later_say(http_conn *c, const later *l)
{
    say_pending(c, l, "Preference-Applied: respond-async\r\n");
}

static const char place[] = "/api/requests/";

bool later_has(text path)
{
    return path.len >= sizeof place - 1 && memcmp(path.p, place, sizeof place - 1) == 0;
}

bool later_serve(request *r)
{
    http_conn *c = r->conn;
    size_t n = sizeof place - 1;
    later *found = NULL;

    if (!later_has(r->path)) return false;
    list_each(at, &c->port->laters)
    {
        later *l = list_of(at, later, link);
        if (text_is((text){r->path.p + n, r->path.len - n}, l->id)) found = l;
    }
    if (!found) {
        answer_problem(c, 404, "No such request, or its answer was kept long enough.", NULL);
    } else if (text_is(r->head->method, "DELETE")) {
        later_free(found);
        answer_empty(c, 204, NULL);
    } else if (!text_is(r->head->method, "GET") && !text_is(r->head->method, "HEAD")) {
        answer_not_allowed(r, NULL);
    } else if (found->outcome == BRIDGE_PENDING) {
        say_pending(c, found, "");
    } else {
        resource_finish(r, found->verb, found->name, found->outcome, found->reply);
    }
    return true;
}
