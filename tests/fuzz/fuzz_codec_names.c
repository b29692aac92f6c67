/* Media types, names of formats, and bytes that nobody named. */
#include "fuzz_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    text t = {(const char *)data, len};
    bridge_format format = format_of_media_type(t), guessed = codec_guess(data, len);

    format_of_name(t);
    if (format_media_type(format)) MUST(codec_find(format) == NULL || format_name(format));
    MUST(guessed == BRIDGE_TEXT || guessed == BRIDGE_JSON || guessed == BRIDGE_BYTES);
    fuzz_convert(BRIDGE_FORMAT_AUTO, BRIDGE_CBOR, "", data, len);
    if (guessed == BRIDGE_JSON) {
        size_t count = 0;
        int rc = codec_read(mem_default(), "", 0, BRIDGE_JSON, data, len, fuzz_count, &count, NULL);
        MUST(rc == 0 || rc == BRIDGE_TOOBIG);
    }
    return 0;
}
