/* What is there: /.well-known/core (RFC 6690) and the list below the mount. */
#include "adapter/coap/directory.h"
#include "adapter/coap/listing.h"
#include "adapter/coap/topics.h"
#include "base/text.h"
#include <unistd.h>

typedef struct finding {
    coap_port *cp;
    coap_request *request;
    bridge_peer *peer;
    size_t owned; /* as far as here the list tells of owned paths; one that has a kept value, too, is told once */
    listing list;
} finding;

static int add(finding *f, const char *path, int format, size_t size)
{
    text href;
    int rc = listing_href(&f->list, f->cp->mount, path, &href);

    buf_clear(&f->list.params);
    if (rc == 0) rc = bridge_peer_link(f->peer, path, format, size, &f->list.params);
    return rc == 0 ? listing_add(&f->list, href, (text){(const char *)f->list.params.data, f->list.params.len}) : rc;
}

static bool is_told(finding *f, const char *path)
{
    buf *b = &f->list.href;
    text href;

    if (!f->owned || listing_href(&f->list, f->cp->mount, path, &href) < 0 || buf_put_u8(b, '>') < 0) return false;
    return memmem(f->list.out.data, f->owned, b->data, b->len);
}

static int on_value(void *user, bridge_msg *msg)
{
    int format = msg->format == BRIDGE_FORMAT_AUTO || msg->format == BRIDGE_FORMAT_NAMED ? -1 : msg->format;

    return is_told(user, msg->path) ? 0 : add(user, msg->path, format, msg->len);
}

static int on_owned(void *user, const char *path) { return add(user, path, -1, 0); }

/* What HTTP listeners have for who speaks HTTP (RFC 8075 5.5), at an address of theirs: where one listens at all of them it is called what
 * this server was called, else what this machine is. */
static int put_place(finding *f, const char *name)
{
    const char *host = strstr(name, "://"), *end;
    const coap_meta *m = f->request->meta;
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

static void find(coap_port *cp, coap_request *r, bridge_peer *peer, bool all)
{
    finding f = {.cp = cp, .request = r, .peer = peer};
    int rc;

    if (!listing_may(r)) return;
    rc = listing_begin(&f.list, cp->mem, r);
    if (rc < 0) {
        coap_answer_status(r, rc, BRIDGE_GET, "too many filters");
    } else {
        if (all) listing_add(&f.list, text_of("/.well-known/core"), text_of(";ct=40"));
        if (all) directory_links(cp, &f.list);
        if (all) topics_links(cp, peer, &f.list);
        if (all) port_each_offer(cp->port, on_offer, &f);
        bridge_peer_owned(peer, on_owned, &f);
        f.owned = f.list.out.len;
        bridge_peer_read(peer, "#", on_value, &f);
        listing_answer(&f.list, cp, r);
    }
    listing_done(&f.list);
}

void coap_discover(coap_port *cp, coap_request *r, bridge_peer *peer) { find(cp, r, peer, true); }
void coap_list(coap_port *cp, coap_request *r, bridge_peer *peer) { find(cp, r, peer, false); }
