/* What is there: /.well-known/core (RFC 6690) and the list below the mount. */
#include "adapter/coap/directory.h"
#include "adapter/coap/gather.h"
#include "adapter/coap/listing.h"
#include "adapter/coap/topics.h"
#include "base/text.h"
#include <unistd.h>

typedef struct finding {
    coap_gather gather;
    listing list;
    coap_option tags[4]; /* of a request that is kept */
} finding;

static int add(finding *f, const char *path, int format, size_t size)
{
    text href;
    int rc = listing_href(&f->list, f->gather.cp->mount, path, &href);

    buf_clear(&f->list.params);
    if (rc == 0) rc = bridge_peer_link(f->gather.peer, path, format, size, &f->list.params);
    return rc == 0 ? listing_add(&f->list, href, (text){(const char *)f->list.params.data, f->list.params.len}) : rc;
}

/* One that has an owner, too, has been told. */
static int add_value(coap_gather *g, bridge_msg *msg)
{
    int format = msg->format == BRIDGE_FORMAT_AUTO || msg->format == BRIDGE_FORMAT_NAMED ? -1 : msg->format;

    return peer_owned_tells(g->peer, msg_path(msg)) ? 0 : add((finding *)g, msg->path, format, msg->len);
}

static int on_owned(void *user, const char *path) { return add(user, path, -1, 0); }

/* What HTTP listeners have for who speaks HTTP (RFC 8075 5.5), at an address of theirs: where one listens at all of them it is called what
 * this server was called, else what this machine is. */
static int put_place(finding *f, const char *name)
{
    const char *host = strstr(name, "://"), *end;
    const coap_meta *m = f->gather.request->meta;
    char machine[256] = "localhost";
    bool any;
    int rc;

    if (!host) return BRIDGE_INVALID;
    host += 3;
    any = strncmp(host, "0.0.0.0", 7) == 0 || strncmp(host, "[::]", 4) == 0;
    end = host + strcspn(host, "/");
    buf_clear(&f->list.href);
    rc = buf_put(&f->list.href, name, (size_t)((any ? host : end) - name));
    if (rc < 0 || !any) return rc;
    if (!(m->has & COAP_HAS_URI_HOST) && gethostname(machine, sizeof machine - 1) < 0) return BRIDGE_IO;
    rc = m->has & COAP_HAS_URI_HOST ? text_percent_encode(&f->list.href, (text){(const char *)m->host.p, m->host.len}, "[]:") : buf_text(&f->list.href, machine);
    host = *host == '[' ? host + 4 : host + 7;
    return rc == 0 ? buf_put(&f->list.href, host, (size_t)(end - host)) : rc;
}

static int on_offer(void *user, const char *name, const port_link *link)
{
    finding *f = user;

    if (put_place(f, name) == 0 && buf_text(&f->list.href, link->target) == 0)
        listing_add(&f->list, (text){(const char *)f->list.href.data, f->list.href.len}, text_of(link->attributes));
    return 0;
}

static void keep(coap_gather *g)
{
    finding *f = (finding *)g;

    coap_wait_tags(g->wait, f->list.tags, f->list.tag_count);
    f->list.tags = f->tags;
    f->list.tag_count = coap_wait_tagged(g->wait, f->tags);
}

static void answer_at_leisure(finding *f)
{
    coap_gather *g = &f->gather;
    coap_wait *w = g->wait ? g->wait : coap_wait_new(g->cp, g->request);

    if (!w) {
        coap_answer_status(g->request, BRIDGE_BUSY, BRIDGE_GET, NULL);
        return;
    }
    g->wait = NULL;
    w->gather = NULL;
    w->request->user = w;
    coap_answer_at_leisure(w, &f->list.out);
}

static void done(coap_gather *g, int rc)
{
    finding *f = (finding *)g;
    coap_request *r = g->request;

    if (rc < 0 && rc != BRIDGE_TOOBIG) /* what fits is told */
        coap_answer_status(r, rc, BRIDGE_GET, NULL);
    else if (r->multicast && f->list.out.len == 0) /* RFC 6690 4.1: nothing found, nothing said */
        coap_respond(r, COAP_REPLY(.code = COAP_NOT_FOUND));
    else if (r->multicast)
        answer_at_leisure(f);
    else
        listing_answer(&f->list, r);
}

static void free_mine(coap_gather *g) { listing_done(&((finding *)g)->list); }

static void find(coap_port *cp, coap_request *r, bridge_peer *peer, bool all)
{
    static const coap_gather_kind kind = {.add = add_value, .done = done, .keep = keep, .free = free_mine};
    finding *f;
    int rc;

    if (!listing_may(r)) return;
    f = mem_new(cp->mem, finding);
    if (!f) {
        coap_answer_status(r, BRIDGE_NOMEM, BRIDGE_GET, NULL);
        return;
    }
    f->gather = (coap_gather){.kind = &kind, .cp = cp, .peer = peer, .request = r, .pack = BRIDGE_FORMAT_AUTO, .out = &f->list.out};
    rc = listing_begin(&f->list, cp->mem, r);
    if (rc < 0) {
        coap_answer_status(r, rc, BRIDGE_GET, rc == BRIDGE_INVALID ? "too many filters" : NULL);
        free_mine(&f->gather);
        mem_free(cp->mem, f);
        return;
    }
    if (all) listing_add(&f->list, text_of("/.well-known/core"), text_of(";ct=40"));
    if (all) directory_links(cp, &f->list);
    if (all) topics_links(cp, peer, &f->list);
    if (all) port_each_offer(cp->port, on_offer, f);
    bridge_peer_owned(peer, on_owned, f);
    coap_gather_begin(&f->gather, "#");
}

void coap_discover(coap_port *cp, coap_request *r, bridge_peer *peer) { find(cp, r, peer, true); }
void coap_list(coap_port *cp, coap_request *r, bridge_peer *peer) { find(cp, r, peer, false); }
