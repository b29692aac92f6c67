/* What the fuzzers of the codecs share: bytes in one format are turned into every other one.
 * Beyond not crashing: what comes out can be read again, and failures say why and leave nothing behind. */
#ifndef FUZZ_CODEC_H
#define FUZZ_CODEC_H
#include "codec/registry.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(what)                                                                                                     \
    do {                                                                                                               \
        if (!(what)) abort();                                                                                          \
    } while (0)

static inline int fuzz_count(void *user, const bridge_record *r)
{
    (void)r;
    ++*(size_t *)user;
    return 0;
}

static inline void fuzz_convert(bridge_format from, bridge_format to, const char *path, const uint8_t *data, size_t len)
{
    bridge_error err;
    size_t count = 0;
    buf out;
    int rc;

    buf_init(&out, mem_default(), 1 << 20);
    rc = codec_convert(mem_default(), path, 1500000000, from, to, data, len, &out, &err);
    MUST(rc <= 0 && (rc == 0 || (err.status == rc && err.text[0] && out.len == 0)));
    if (rc == 0 && from != to) {
        rc = codec_read(mem_default(), path, 1500000000, to, out.data, out.len, fuzz_count, &count, &err);
        /* a tree of CBOR may hold an infinity, a record's tree is JSON */
        MUST(rc == 0 || rc == BRIDGE_TOOBIG || (to == BRIDGE_CBOR && rc == BRIDGE_UNPROCESSABLE));
    }
    buf_done(&out);
}

static inline void fuzz_codec(bridge_format from, const uint8_t *data, size_t len)
{
    static const bridge_format formats[] = {
        BRIDGE_TEXT,       BRIDGE_BYTES, BRIDGE_JSON,       BRIDGE_CBOR,       BRIDGE_SENML_JSON,
        BRIDGE_SENML_CBOR, BRIDGE_TLV,   BRIDGE_LWM2M_JSON, BRIDGE_LWM2M_CBOR,
    };
    size_t count = 0;

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        fuzz_convert(from, formats[i], "/3303/0", data, len);
        fuzz_convert(from, formats[i], "", data, len);
    }
    codec_read(mem_default(), "a/b", 0, from, data, len, fuzz_count, &count, NULL);
}
#endif
