/* Any bytes as an ACL file, and the same lines asked one by one: a long section must say what a short one says. */
#include "auth/acl_file.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const paths[] = {"a", "home/alice/x", "$SYS/a", "dev/c7", "a/b/c/d", "/", "alice"};
    static const char *const users[] = {NULL, "alice", "a", ""};
    bridge_error err = {0};
    acl *a = NULL;
    int rc = acl_read(&a, mem_default(), (text){(const char *)data, len}, "rules", &err);

    if (rc < 0) {
        if (a || !err.text[0] || err.status != rc) abort();
        return 0;
    }
    for (int u = 0; u < 4; u++)
        for (int p = 0; p < 7; p++) {
            bool may = acl_allows(a, users[u], "c7", ACL_READ, paths[p]);
            acl_allows(a, users[u], "c7", ACL_WRITE, paths[p]);
            if (acl_allows_watch(a, users[u], "c7", paths[p]) != may) abort();
        }
    acl_allows_watch(a, "alice", "c7", "home/+/#");
    acl_allows_watch(a, "alice", "c7", "#");
    acl_free(a);
    return 0;
}
