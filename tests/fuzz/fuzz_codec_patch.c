/* First byte: which patch and which value; then the value, a NUL, the patch (for CBOR: the length of the value in two
 * bytes). */
#include "fuzz_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const bridge_format patches[] = {BRIDGE_MERGE_PATCH, BRIDGE_JSON_PATCH, BRIDGE_SENML_ETCH_JSON,
                                            BRIDGE_SENML_ETCH_CBOR};
    static const bridge_format values[] = {BRIDGE_JSON,       BRIDGE_CBOR, BRIDGE_SENML_JSON,
                                           BRIDGE_SENML_CBOR, BRIDGE_TLV,  BRIDGE_FORMAT_AUTO};
    bridge_format patch, value;
    bridge_error err;
    size_t n;
    buf out;
    int rc;

    if (len < 3) return 0;
    patch = patches[data[0] % 4];
    value = values[data[0] / 4 % 6];
    n = (size_t)data[1] << 8 | data[2];
    data += 3, len -= 3;
    if (n > len) n = len;
    buf_init(&out, mem_default(), 1 << 20);
    rc = codec_patch(mem_default(), "/3/0", 1500000000, value, data, n, patch, data + n, len - n, &out, &err);
    MUST(rc <= 0 && (rc == 0 || (err.status == rc && err.text[0] && out.len == 0)));
    buf_clear(&out);
    codec_fetch(mem_default(), "/3/0", 1500000000, value, data, n, patch, data + n, len - n, BRIDGE_JSON, &out, &err);
    buf_done(&out);
    return 0;
}
