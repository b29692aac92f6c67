/* "path\nbytes": a device's payload, in every format, at any place: it is read and told again, or refused; what can be told as
 * TLV and SenML can be read again. */
#include "adapter/lwm2m/lwm2m.h"
#include "codec/scratch.h"
#include "fuzz_codec.h"

static void tell(const lwm2m_server *srv, const oma_path *at, const lwm2m_leaves *leaves, int accept, bool names)
{
    lwm2m_view view = {accept, names};
    lwm2m_leaves again;
    bridge_format format;
    bridge_scratch s;
    buf out;

    buf_init(&out, mem_default(), 0);
    if (lwm2m_leaves_write(srv, at, leaves, &view, &out, &format, NULL) == 0 && accept >= 0) {
        scratch_init(&s, mem_default());
        MUST(lwm2m_leaves_read(srv, &s, at, accept, out.data ? out.data : (const uint8_t *)"", out.len, &again, NULL) == 0);
        scratch_done(&s);
    }
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const int formats[] = {0, 42, 60, 110, 112, 11542, 11543, 11544, 1542, 50, -1};
    static loop *l;
    lwm2m_server srv = {.mem = mem_default()};
    text path, rest, op, root = {"", 0};
    oma_path at;
    int unused = -1;

    if (!l && loop_new(&l, mem_default(), NULL, NULL) < 0) return 0;
    srv.loop = l;
    text_cut((text){(const char *)data, len}, '\n', &path, &rest);
    lwm2m_links_check(rest.p ? rest.p : "", rest.len, &root, &unused, NULL);
    if (!lwm2m_path_read(&srv, path, &at, &op)) return 0;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        lwm2m_leaves leaves;
        bridge_scratch s;

        scratch_init(&s, mem_default());
        if (lwm2m_leaves_read(&srv, &s, &at, formats[i], rest.p ? rest.p : "", rest.len, &leaves, NULL) == 0) {
            tell(&srv, &at, &leaves, -1, false);
            tell(&srv, &at, &leaves, -1, true);
            tell(&srv, &at, &leaves, 110, false);
        }
        scratch_done(&s);
    }
    return 0;
}
