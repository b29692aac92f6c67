/* How an answer or a notification looks on the wire: which block of the body, and the options in order. */
#include "adapter/coap/inside.h"

/* asked: the peer named a block.  Not asked, and it fits: no block at all (RFC 7959 2.4). */
void shape_cut(coap_shape *s, size_t len, bool asked, coap_block wanted, unsigned max_szx)
{
    unsigned szx = asked && wanted.szx < max_szx ? wanted.szx : max_szx;
    /* smaller blocks than asked for keep their place in the body: RFC 7959 2.3 */
    uint64_t offset = asked ? (uint64_t)wanted.num * coap_block_size(wanted.szx) : 0;
    size_t size = coap_block_size(szx);

    if (!asked && len <= size) return;
    s->block2 = true;
    s->part = (coap_block){(uint32_t)(offset / size), offset + size < len, (uint8_t)szx};
    s->first = offset == 0;
}

static void extra_before(coap_writer *w, const coap_reply *r, unsigned *at, uint32_t number)
{
    for (; *at < r->extra_count && r->extra[*at].number < number; ++*at)
        coap_write_option(w, r->extra[*at].number, r->extra[*at].p, r->extra[*at].len);
}

int64_t shape_write(coap_peer *p, const coap_shape *s, const coap_reply *r, uint8_t *memory, size_t max, uint8_t **start)
{
    size_t size = coap_block_size(s->part.szx), offset = s->block2 ? s->part.num * size : 0;
    size_t len = offset < r->len ? r->len - offset : 0;
    unsigned extra = 0;
    coap_writer w;

    if (s->block2 && len > size) len = size;
    if (p->stream)
        coap_write_frame(&w, memory, max, r->code, s->token);
    else
        coap_write_datagram(&w, memory, max, s->type, r->code, s->id, s->token);
    if (r->etag_len) extra_before(&w, r, &extra, COAP_ETAG), coap_write_option(&w, COAP_ETAG, r->etag, r->etag_len);
    if (s->observe >= 0) extra_before(&w, r, &extra, COAP_OBSERVE), coap_write_uint(&w, COAP_OBSERVE, (uint32_t)s->observe);
    extra_before(&w, r, &extra, COAP_CONTENT_FORMAT);
    if (r->format) coap_write_uint(&w, COAP_CONTENT_FORMAT, (uint32_t)(r->format - 1));
    extra_before(&w, r, &extra, COAP_MAX_AGE);
    if (r->max_age) coap_write_uint(&w, COAP_MAX_AGE, (uint32_t)(r->max_age - 1));
    extra_before(&w, r, &extra, COAP_BLOCK2);
    if (s->block2) coap_write_uint(&w, COAP_BLOCK2, coap_block_value(s->part));
    if (s->has_block1) coap_write_uint(&w, COAP_BLOCK1, coap_block_value(s->block1));
    if (s->block2 && s->first) coap_write_uint(&w, COAP_SIZE2, (uint32_t)r->len);
    extra_before(&w, r, &extra, COAP_SIZE1);
    if (r->size1) coap_write_uint(&w, COAP_SIZE1, r->size1);
    extra_before(&w, r, &extra, UINT32_MAX);
    if (len) coap_write_payload(&w, (const uint8_t *)r->data + offset, len);
    *start = memory;
    {
        int64_t written = coap_write_end(&w);
        if (written > 0) *start = w.start;
        return written;
    }
}
