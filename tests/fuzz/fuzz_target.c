/* URIs that proxies are given, and lists of whom they may ask: the input is "list\nuri", each any bytes.
 * Beyond not crashing: what was read is of the URI, and an empty list allows nobody. */
#include "core/target.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(what)                                                                                                     \
    do {                                                                                                               \
        if (!(what)) abort();                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    text all = {(const char *)data, len}, list, uri;
    char *said;
    allowed *a = NULL;
    bool public_only = false;
    target t;
    bool read;

    text_cut(all, '\n', &list, &uri);
    said = mem_text_len(mem_default(), list.p, list.len);
    MUST(said);
    read = target_read(&t, uri) == 0;
    if (read) {
        MUST(t.port > 0 && t.port < 65536 && t.host[0] && t.scheme[0]);
        MUST(strlen(t.host) + t.path.len + t.query.len < uri.len);
        MUST(t.path.len == 0 || *t.path.p == '/');
        MUST(!allowed_may(NULL, &t, &public_only));
    }
    if (allowed_new(&a, mem_default(), said, NULL) == 0 && read) allowed_may(a, &t, &public_only);
    allowed_free(a);
    mem_free(mem_default(), said);
    return 0;
}
