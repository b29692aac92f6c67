/* What is there: /.well-known/core (RFC 6690) and the list below the mount. */
#include "adapter/coap/directory.h"
#include "adapter/coap/listing.h"
#include "adapter/coap/topics.h"

typedef struct finding {
    coap_port *cp;
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

static void find(coap_port *cp, coap_request *r, bridge_peer *peer, bool all)
{
    finding f = {.cp = cp, .peer = peer};
    int rc;

    if (!listing_may(r)) return;
    rc = listing_begin(&f.list, cp->mem, r);
    if (rc < 0) {
        coap_answer_status(r, rc, BRIDGE_GET, "too many filters");
    } else {
        if (all) listing_add(&f.list, text_of("/.well-known/core"), text_of(";ct=40"));
        if (all) directory_links(cp, &f.list);
        if (all) topics_links(cp, peer, &f.list);
        bridge_peer_owned(peer, on_owned, &f);
        f.owned = f.list.out.len;
        bridge_peer_read(peer, "#", on_value, &f);
        listing_answer(&f.list, cp, r);
    }
    listing_done(&f.list);
}

void coap_discover(coap_port *cp, coap_request *r, bridge_peer *peer) { find(cp, r, peer, true); }
void coap_list(coap_port *cp, coap_request *r, bridge_peer *peer) { find(cp, r, peer, false); }
