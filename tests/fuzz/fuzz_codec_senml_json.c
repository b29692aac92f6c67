/* SenML in JSON from strangers. */
#include "fuzz_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_codec(BRIDGE_SENML_JSON, data, len);
    return 0;
}
