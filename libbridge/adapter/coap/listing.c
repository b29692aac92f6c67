#include "adapter/coap/listing.h"
#include "base/hash.h"

bool coap_query_next(coap_options *walk, text *name, text *value, bool *has_value)
{
    coap_option o;

    while (coap_next_option(walk, &o)) {
        if (o.number != COAP_URI_QUERY) continue;
        *has_value = text_cut((text){(const char *)o.p, o.len}, '=', name, value);
        return true;
    }
    return false;
}

int listing_begin(listing *l, mem *m, const coap_request *r)
{
    coap_options walk = coap_options_of(r->packet);
    coap_option o;

    *l = (listing){.mem = m};
    buf_init(&l->out, m, LISTING_MAX);
    buf_init(&l->href, m, 4 * COAP_PATH_MAX);
    buf_init(&l->params, m, 0);
    while (coap_next_option(&walk, &o)) {
        if (o.number != COAP_URI_QUERY || !o.len) continue;
        if (l->filter_count == LISTING_FILTERS) return BRIDGE_INVALID;
        l->filters[l->filter_count++] = link_filter_of((text){(const char *)o.p, o.len});
    }
    return 0;
}

void listing_done(listing *l)
{
    buf_done(&l->out);
    buf_done(&l->href);
    buf_done(&l->params);
}

int listing_add(listing *l, text target, text params)
{
    link_item one = {target, params};
    size_t before = l->out.len;
    int rc;

    if (!link_matches(&one, l->filters, l->filter_count)) return 0;
    rc = link_put(&l->out, target);
    if (rc == 0) rc = buf_put(&l->out, params.p, params.len);
    if (rc < 0) l->out.len = before;
    return rc;
}

int listing_href(listing *l, const char *mount, const char *path, text *href)
{
    int rc;

    buf_clear(&l->href);
    rc = buf_text(&l->href, "/");
    /* of RFC 3986's pchar all but ',' and ';', which divide links */
    if (rc == 0 && *mount) rc = text_percent_encode(&l->href, text_of(mount), "/!$&'()*+=:@");
    if (rc == 0 && *mount) rc = buf_text(&l->href, "/");
    if (rc == 0) rc = text_percent_encode(&l->href, text_of(path), "/!$&'()*+=:@");
    *href = (text){(const char *)l->href.data, l->href.len};
    return rc;
}

bool listing_may(coap_request *r)
{
    if (r->code != COAP_GET)
        coap_answer_status(r, BRIDGE_METHOD, BRIDGE_GET, NULL);
    else if (r->meta->has & COAP_HAS_ACCEPT && r->meta->accept != BRIDGE_LINKS)
        coap_answer_status(r, BRIDGE_NOTACCEPTABLE, BRIDGE_GET, NULL);
    else
        return true;
    return false;
}

static void answer(listing *l, coap_request *r)
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

void listing_answer(listing *l, coap_port *cp, coap_request *r)
{
    if (r->multicast && l->out.len == 0) /* RFC 6690 4.1: nothing found, nothing said */
        coap_respond(r, COAP_REPLY(.code = COAP_NOT_FOUND));
    else if (r->multicast)
        coap_answer_at_leisure(cp, r, &l->out);
    else
        answer(l, r);
}
