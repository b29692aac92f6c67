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

static void init(listing *l, mem *m)
{
    *l = (listing){.mem = m};
    buf_init(&l->out, m, LISTING_MAX);
    buf_init(&l->href, m, 4 * COAP_PATH_MAX);
    buf_init(&l->params, m, 0);
    buf_init(&l->words, m, 0);
}

static int add_filter(listing *l, text one)
{
    if (!one.len) return 0;
    if (l->filter_count == LISTING_FILTERS) return BRIDGE_INVALID;
    l->filters[l->filter_count++] = link_filter_of(one);
    return 0;
}

int listing_begin(listing *l, mem *m, const coap_request *r)
{
    coap_options walk = coap_options_of(r->packet);
    coap_option o;
    int rc;

    init(l, m);
    l->tags = r->meta->etags;
    l->tag_count = r->meta->etag_count;
    rc = buf_room(&l->words, r->packet->options_len); /* none of them moves again */
    while (rc == 0 && coap_next_option(&walk, &o)) {
        const uint8_t *copy = l->words.data + l->words.len;

        if (o.number != COAP_URI_QUERY) continue;
        rc = buf_put(&l->words, o.p, o.len);
        if (rc == 0) rc = add_filter(l, (text){(const char *)copy, o.len});
    }
    return rc;
}

int listing_begin_again(listing *l, mem *m, const char *query)
{
    text rest = text_of(query), one;
    int rc = 0;

    init(l, m);
    while (rc == 0 && rest.len) {
        text_cut(rest, '&', &one, &rest);
        rc = add_filter(l, one);
    }
    return rc;
}

int listing_query(buf *b, const coap_request *r)
{
    coap_options walk = coap_options_of(r->packet);
    coap_option o;
    int rc = 0;

    while (rc == 0 && coap_next_option(&walk, &o)) {
        if (o.number != COAP_URI_QUERY) continue;
        if (memchr(o.p, '&', o.len) || memchr(o.p, 0, o.len)) return BRIDGE_INVALID;
        rc = buf_put(b, o.p, o.len);
        if (rc == 0) rc = buf_put_u8(b, '&');
    }
    return rc == 0 && !buf_cstr(b) ? BRIDGE_NOMEM : rc;
}

void listing_done(listing *l)
{
    buf_done(&l->out);
    buf_done(&l->href);
    buf_done(&l->params);
    buf_done(&l->words);
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

void listing_answer(listing *l, coap_request *r)
{
    uint64_t h = hash_bytes(l->out.data, l->out.len, 1);
    coap_reply reply = {.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_LINKS), .data = l->out.data, .len = l->out.len, .etag_len = 4};

    memcpy(reply.etag, &h, 4);
    if (l->watcher) {
        reply.observer = l->watcher->observer;
        l->watcher->told = h;
    }
    for (unsigned i = 0; i < l->tag_count; i++)
        if (l->tags[i].len == 4 && memcmp(l->tags[i].p, &h, 4) == 0) {
            reply.code = COAP_VALID;
            reply.len = 0;
            reply.format = 0;
        }
    coap_respond(r, &reply);
}
