/* LwM2M CBOR from strangers. */
#include "fuzz_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_codec(BRIDGE_LWM2M_CBOR, data, len);
    return 0;
}
