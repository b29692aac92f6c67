/* LwM2M JSON from strangers. */
#include "fuzz_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_codec(BRIDGE_LWM2M_JSON, data, len);
    return 0;
}
