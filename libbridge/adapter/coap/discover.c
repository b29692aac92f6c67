/* What is there: /.well-known/core (RFC 6690) and the list below the mount. */
#include "adapter/coap/coap.h"
#include "base/hash.h"
#include "base/text.h"
#include <stdio.h>

enum { LINKS_MAX = 1 << 20 }; /* bytes of one list; what comes after is left out */

typedef struct links {
    coap_port *cp;
    buf out, href;
    text name, value; /* of the filter; name.p NULL: none */
    bool prefix;
} links;

/* RFC 6690 4.1: "?rt=a*" is a prefix; the value may be quoted in the link but not here */
static void take_filter(links *l, const coap_request *r)
{
    coap_options walk = coap_options_of(r->packet);
    coap_option o;

    while (coap_next_option(&walk, &o) && !l->name.p) {
        text whole = {(const char *)o.p, o.len};

        if (o.number != COAP_URI_QUERY) continue;
        text_cut(whole, '=', &l->name, &l->value);
        if (l->value.len && l->value.p[l->value.len - 1] == '*') {
            l->prefix = true;
            l->value.len--;
        }
    }
}

static bool value_fits(const links *l, text have)
{
    if (l->prefix ? have.len < l->value.len : have.len != l->value.len) return false;
    return l->value.len == 0 || memcmp(have.p, l->value.p, l->value.len) == 0;
}

static bool link_fits(const links *l, text href, int format, bool obs)
{
    char number[8];

    if (!l->name.p) return true;
    if (text_is(l->name, "href")) return value_fits(l, href);
    if (text_is(l->name, "obs")) return obs;
    if (text_is(l->name, "ct") && format >= 0) {
        snprintf(number, sizeof number, "%d", format);
        return value_fits(l, text_of(number));
    }
    return false;
}

static int link_add(links *l, int format, size_t size, bool obs)
{
    size_t before = l->out.len;
    text href = {(const char *)l->href.data, l->href.len};
    int rc = 0;

    if (!link_fits(l, href, format, obs)) return 0;
    rc = buf_print(&l->out, "%s<%.*s>", l->out.len ? "," : "", (int)href.len, href.p);
    if (rc == 0 && format >= 0) rc = buf_print(&l->out, ";ct=%d", format);
    if (rc == 0 && size > 1024) rc = buf_print(&l->out, ";sz=%zu", size);
    if (rc == 0 && obs) rc = buf_text(&l->out, ";obs");
    if (rc < 0) l->out.len = before;
    return rc;
}

static int href_make(links *l, const char *path, size_t len)
{
    int rc;

    buf_clear(&l->href);
    rc = buf_text(&l->href, "/");
    if (rc == 0 && *l->cp->mount) rc = text_percent_encode(&l->href, text_of(l->cp->mount), "/!$&'()*+=:@");
    if (rc == 0 && *l->cp->mount) rc = buf_text(&l->href, "/");
    /* of RFC 3986's pchar all but ',' and ';', which divide links */
    return rc == 0 ? text_percent_encode(&l->href, (text){path, len}, "/!$&'()*+=:@") : rc;
}

static int on_value(void *user, bridge_msg *msg)
{
    links *l = user;
    int format = msg->format == BRIDGE_FORMAT_AUTO || msg->format == BRIDGE_FORMAT_NAMED ? -1 : msg->format;
    int rc = href_make(l, msg->path, msg->path_len);

    return rc == 0 ? link_add(l, format, msg->len, true) : rc;
}

static int on_owned(void *user, const char *path)
{
    links *l = user;
    int rc = href_make(l, path, strlen(path));

    return rc == 0 ? link_add(l, -1, 0, true) : rc;
}

static void links_answer(links *l, coap_request *r)
{
    uint64_t h = hash_bytes(l->out.data, l->out.len, 1);
    coap_reply reply = {.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_LINKS), .data = l->out.data, .len = l->out.len, .etag_len = 4};

    memcpy(reply.etag, &h, 4);
    for (unsigned i = 0; i < r->meta->etag_count; i++)
        if (r->meta->etags[i].len == 4 && memcmp(r->meta->etags[i].p, &h, 4) == 0) {
            reply.code = COAP_VALID;
            reply.len = 0;
            reply.format = 0;
        }
    coap_respond(r, &reply);
}

static void links_serve(coap_port *cp, coap_request *r, bridge_peer *peer, bool all)
{
    links l = {.cp = cp};

    if (r->code != COAP_GET) {
        coap_answer_status(r, BRIDGE_METHOD, BRIDGE_GET, NULL);
        return;
    }
    if (r->meta->has & COAP_HAS_ACCEPT && r->meta->accept != BRIDGE_LINKS) {
        coap_answer_status(r, BRIDGE_NOTACCEPTABLE, BRIDGE_GET, NULL);
        return;
    }
    buf_init(&l.out, cp->mem, LINKS_MAX);
    buf_init(&l.href, cp->mem, 4 * COAP_PATH_MAX);
    take_filter(&l, r);
    if (all && buf_text(&l.href, "/.well-known/core") == 0) link_add(&l, BRIDGE_LINKS, 0, false);
    bridge_peer_owned(peer, on_owned, &l);
    bridge_peer_read(peer, "#", on_value, &l);
    if (r->multicast && l.out.len == 0) /* RFC 6690 4.1: nothing found, nothing said */
        coap_respond(r, COAP_REPLY(.code = COAP_NOT_FOUND));
    else if (r->multicast)
        coap_answer_at_leisure(cp, r, &l.out);
    else
        links_answer(&l, r);
    buf_done(&l.out);
    buf_done(&l.href);
}

void coap_discover(coap_port *cp, coap_request *r, bridge_peer *peer) { links_serve(cp, r, peer, true); }
void coap_list(coap_port *cp, coap_request *r, bridge_peer *peer) { links_serve(cp, r, peer, false); }
