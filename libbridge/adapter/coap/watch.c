/* Observers: a watch at the hub for each, whose deliveries become notifications. */
#include "adapter/coap/coap.h"

coap_watcher *coap_watch(coap_port *cp, coap_request *r, bridge_peer *peer, const char *path, int accept, int *status)
{
    size_t len = strlen(path);
    coap_watcher *w = mem_alloc(cp->mem, sizeof *w + len + 1);
    bridge_watch_options options = {.qos = r->type == COAP_CON, .exact = true, .replay = 2};
    void *before = NULL;

    *status = BRIDGE_NOMEM;
    if (!w) return NULL;
    *w = (coap_watcher){.cp = cp, .peer = peer, .accept = accept, .con = r->type == COAP_CON};
    memcpy(w->path, path, len + 1);
    *status = bridge_peer_watch(peer, path, &options, w, &w->watch);
    if (*status == 0) {
        w->observer = coap_observe(r, w, &before);
        if (!w->observer) *status = BRIDGE_BUSY;
    }
    if (*status < 0) {
        bridge_watch_close(w->watch);
        mem_free(cp->mem, w);
        return NULL;
    }
    if (before) { /* the same token again: RFC 7641 4.1, the newer registration holds */
        coap_watcher *old = before;

        bridge_watch_close(old->watch);
        mem_free(cp->mem, old);
    }
    return w;
}

void coap_unwatch(coap_watcher *w, uint8_t code)
{
    bridge_watch_close(w->watch);
    coap_observer_end(w->observer, code);
    mem_free(w->cp->mem, w);
}

void coap_watcher_gone(void *user, coap_observer *o, coap_why why)
{
    coap_watcher *w = coap_observer_user(o);

    (void)user, (void)why;
    bridge_watch_close(w->watch);
    mem_free(w->cp->mem, w);
}

static void tell(coap_watcher *w, bridge_msg *msg, bool confirm)
{
    coap_wish wish = {.accept = w->accept};
    coap_reply reply = {.confirm = confirm};
    bridge_msg *made;

    coap_answer_value(w->cp, &reply, msg, &wish, &made);
    if (coap_class(reply.code) != 2) /* RFC 7641 4.2: a format that cannot be kept up ends it */
        coap_unwatch(w, reply.code);
    else
        coap_notify(w->observer, &reply);
    bridge_msg_unref(made);
}

void coap_deliver(void *state, bridge_msg *msg, const bridge_delivery *how)
{
    coap_watcher *w = how->user;
    coap_port *cp = w->cp;

    (void)state;
    if (how->gone)
        coap_unwatch(w, COAP_NOT_FOUND); /* RFC 7641 4.2 */
    else
        tell(w, msg, how->qos > 0);
    if (!cp->reading) turn_end_want(cp->loop, &cp->flush);
}

/* A day without a sign of life: the state as it is now, confirmably. */
void coap_watcher_stale(void *user, coap_observer *o)
{
    coap_watcher *w = coap_observer_user(o);
    bridge_msg *question = NULL, *value = NULL;
    int rc;

    (void)user;
    rc = bridge_peer_msg(w->peer, BRIDGE_FIELDS(.path = w->path), &question);
    if (rc == 0) rc = bridge_peer_submit(w->peer, BRIDGE_GET, question, NULL, &value, NULL, NULL, NULL);
    if (rc >= 0 && value)
        tell(w, value, true);
    else
        coap_notify(o, COAP_REPLY(.code = COAP_CONTENT, .confirm = true));
    bridge_msg_unref(value);
    bridge_msg_unref(question);
}
