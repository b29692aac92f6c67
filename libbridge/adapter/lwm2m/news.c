/* Values that come by themselves: how they are told, and Send (1.1), which nobody asked for; observe.c has those that somebody watches. */
#include "adapter/lwm2m/lwm2m.h"
#include "base/status.h"
#include "codec/scratch.h"
#include <stdio.h>
#include <stdlib.h>

void lwm2m_publish(lwm2m_device *d, const char *path, const oma_path *at, const lwm2m_leaves *leaves, int64_t when, bool keep)
{
    static const lwm2m_view plain = {-1, false};
    bridge_msg *msg = NULL;

    if (!d->peer || lwm2m_leaves_msg(d, path, at, leaves, &plain, when, keep, &msg, NULL) < 0) return;
    bridge_peer_submit(d->peer, keep ? BRIDGE_PUT : BRIDGE_POST, msg, NULL, NULL, NULL, NULL, NULL);
    bridge_msg_unref(msg);
}

/* ---- values of several moments */

typedef struct moment {
    double at; /* 0: now */
    size_t leaf;
} moment;

static int by_moment(const void *a, const void *b)
{
    const moment *x = a, *y = b;

    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return x->leaf < y->leaf ? -1 : 1;
}

/* SenML may hold a history: what belongs to one moment is told together, the oldest first.  RFC 8428 4.5.3 */
int lwm2m_each_moment(lwm2m_device *d, const lwm2m_leaves *all, bridge_scratch *s, lwm2m_moment_fn fn, void *user)
{
    moment *order = scratch_array(s, moment, all->count + 1);
    lwm2m_leaf *sorted = scratch_array(s, lwm2m_leaf, all->count + 1);

    if (!order || !sorted) return BRIDGE_NOMEM;
    for (size_t i = 0; i < all->count; i++) order[i] = (moment){all->at[i].record.time > 0 ? all->at[i].record.time : 0, i};
    qsort(order, all->count, sizeof *order, by_moment);
    for (size_t i = 0; i < all->count; i++) sorted[i] = all->at[order[i].leaf];
    for (size_t i = 0, next; i < all->count && !d->gone; i = next) {
        for (next = i + 1; next < all->count && order[next].at == order[i].at;) next++;
        lwm2m_leaves now = {sorted + i, next - i, all->guessed};
        fn(user, &now, order[i].at > 0 ? (int64_t)(order[i].at * 1000 + 0.5) : 0);
    }
    return 0;
}

/* ---- Send (LwM2M 1.1 6.4.6) */

static void on_sent_moment(void *user, const lwm2m_leaves *leaves, int64_t when)
{
    lwm2m_device *d = user;
    static const oma_path root = {0};
    char path[1200];
    int n = snprintf(path, sizeof path, "%s", d->name);

    for (size_t i = 0; i < leaves->count && !d->gone; i++) {
        lwm2m_leaves one = {&leaves->at[i], 1, leaves->guessed};

        lwm2m_path_text(&leaves->at[i].path, path + n);
        lwm2m_publish(d, path, &leaves->at[i].path, &one, when, bridge_owner_is_wanted(d->owner, path));
    }
    if (d->gone) return;
    snprintf(path + n, sizeof path - (size_t)n, "/!send");
    lwm2m_publish(d, path, &root, leaves, when, false);
}

void lwm2m_serve_send(lwm2m_port *p, coap_request *r)
{
    lwm2m_device *d = lwm2m_find_peer(p, r->peer);
    static const oma_path root = {0};
    lwm2m_leaves leaves;
    bridge_scratch s;
    int rc;

    if (!d) {
        coap_request_text(r, COAP_NOT_FOUND, "not registered");
        return;
    }
    if (!(r->meta->has & COAP_HAS_CONTENT_FORMAT) || !lwm2m_is_lwm2m_format((bridge_format)r->meta->format) || r->meta->format == BRIDGE_TLV) {
        coap_request_text(r, COAP_UNSUPPORTED_FORMAT, "SenML or LwM2M CBOR is wanted");
        return;
    }
    lwm2m_hold(d);
    scratch_init(&s, p->server->mem);
    rc = lwm2m_leaves_read(p->server, &s, &root, r->meta->format, r->body, r->body_len, &leaves, NULL);
    if (rc < 0) {
        coap_answer_status(r, BRIDGE_INVALID, BRIDGE_POST, "the values cannot be read");
    } else {
        p->server->count.sends++;
        coap_respond(r, COAP_REPLY(.code = COAP_CHANGED));
        lwm2m_each_moment(d, &leaves, &s, on_sent_moment, d);
        if (!d->gone) lwm2m_heard(d);
    }
    scratch_done(&s);
    lwm2m_release(d);
}
