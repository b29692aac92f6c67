/* "query\nlinks": what is a link and what its parameters are never depends on how it is walked, and what we write we
 * read. */
#include "codec/link.h"
#include "fuzz_codec.h"

static void write_again(const link_item *l, buf *out)
{
    text params = l->params, rest;
    link_param p;
    link_item again;

    buf_clear(out);
    MUST(link_put(out, l->target) == 0);
    while (link_param_next(&params, &p)) {
        char name[64];
        if (p.name.len >= sizeof name) return;
        memcpy(name, p.name.p, p.name.len);
        name[p.name.len] = 0;
        MUST((p.has_value ? link_put_param(out, name, p.value) : link_put_flag(out, name)) == 0);
    }
    rest = (text){(const char *)out->data, out->len};
    MUST(link_next(&rest, &again, NULL) == 1 && rest.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    text query, rest;
    link_filter filter;
    link_item l;
    buf out;

    buf_init(&out, mem_default(), 0);
    text_cut((text){(const char *)data, len}, '\n', &query, &rest);
    filter = link_filter_of(query);
    while (link_next(&rest, &l, NULL) > 0) {
        MUST(link_matches(&l, NULL, 0));
        link_matches(&l, &filter, 1);
        write_again(&l, &out);
    }
    buf_done(&out);
    return 0;
}
