/* Any bytes as a password file: people, or an error that names the line. */
#include "auth/password_file.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    bridge_error err = {0};
    passwords *p = NULL;
    int rc = passwords_read(&p, mem_default(), (text){(const char *)data, len}, "people", &err);

    if (rc < 0) {
        if (p || !err.text[0] || err.status != rc) abort();
        return 0;
    }
    if (passwords_check(p, text_of("nobody of that name"), "x", 1, 1) != BRIDGE_UNAUTHENTICATED) abort();
    passwords_free(p);
    return 0;
}
