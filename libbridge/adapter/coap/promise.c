/* Answers that promise something the store has to have first: registrations in the directory, the broker's topics (docs/store.md). */
#include "adapter/coap/coap.h"
#include "adapter/coap/topics.h"
#include "hub/port.h"

enum { PLACES = 2 };

int coap_may_promise(coap_port *cp)
{
    return bridge_store_ready(bridge_port_store(cp->port));
}

static void say(coap_request *r, uint8_t code, const buf *where, const void *body, size_t len)
{
    coap_reply reply = {.code = code, .format = len ? COAP_SAY(TOPICS_FORMAT) : 0, .data = body, .len = len};
    coap_option places[PLACES];

    for (size_t at = 0; at < where->len && reply.extra_count < PLACES;) {
        size_t n = strlen((const char *)where->data + at);
        places[reply.extra_count++] = (coap_option){COAP_LOCATION_PATH, (uint32_t)n, where->data + at};
        at += n + 1;
    }
    reply.extra = places;
    coap_respond(r, &reply);
}

static void on_disk(bridge_store_wait *wait, int status)
{
    coap_wait *w = list_of(wait, coap_wait, disk);
    coap_port *cp = w->cp;
    coap_request *r = w->request;

    if (status == BRIDGE_CLOSED) return; /* the end drops it */
    r->user = NULL;
    if (status < 0)
        coap_answer_status(r, status, w->verb, NULL); /* it may have happened all the same */
    else
        say(r, w->code, &w->where, w->late.data, w->late.len);
    coap_wait_free(w);
    turn_end_want(cp->loop, &cp->flush);
}

static coap_wait *wait_new(coap_port *cp, coap_request *r, const buf *where, const buf *body)
{
    coap_wait *w = mem_new(cp->mem, coap_wait);

    if (!w) return NULL;
    w->cp = cp;
    list_init(&w->link);
    w->disk.fn = on_disk;
    buf_init(&w->late, cp->mem, 0);
    buf_init(&w->where, cp->mem, 0);
    if (buf_put(&w->where, where->data, where->len) == 0 && (!body || buf_put(&w->late, body->data, body->len) == 0) &&
        (w->request = coap_request_keep(r))) {
        w->request->user = w;
        list_push(&cp->waiting, &w->link);
        return w;
    }
    coap_wait_free(w);
    return NULL;
}

void coap_promise(coap_port *cp, coap_request *r, uint8_t code, const char *folder, const char *name, const buf *body)
{
    coap_wait *w;
    buf where;
    int rc = 0;

    buf_init(&where, cp->mem, 0);
    if (folder) rc = buf_put(&where, folder, strlen(folder) + 1);
    if (folder && rc == 0) rc = buf_put(&where, name, strlen(name) + 1);
    if (rc < 0) {
        coap_answer_status(r, rc, BRIDGE_PUT, NULL);
    } else if (!port_promises(cp->port)) {
        say(r, code, &where, body ? body->data : NULL, body ? body->len : 0);
    } else if (!(w = wait_new(cp, r, &where, body))) {
        coap_answer_status(r, BRIDGE_BUSY, BRIDGE_PUT, "too many requests are waiting");
    } else {
        w->verb = code == COAP_CREATED ? BRIDGE_POST : BRIDGE_PUT;
        w->code = code;
        port_promise(cp->port, &w->disk);
    }
    buf_done(&where);
}
