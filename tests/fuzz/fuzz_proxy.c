/* Any bytes as a PROXY header: once it is whole, more bytes behind it change nothing; an address fits its room. */
#include "loop/internal.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char peer[64] = "", again[64] = "";
    int n = proxy_read(data, len, peer, sizeof peer);

    if (n > 0 && (size_t)n > len) abort();
    if (strlen(peer) >= sizeof peer) abort();
    if (n <= 0) return 0;
    if (proxy_read(data, (size_t)n, again, sizeof again) != n || strcmp(peer, again) != 0) abort();
    for (int i = 1; i < n; i++)
        if (proxy_read(data, (size_t)i, again, sizeof again) > 0) abort();
    return 0;
}
