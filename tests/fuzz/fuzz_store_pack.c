/* Any bytes as a message out of the store; one that can be read is written again as it was. */
#include "store/store.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    bridge_msg *msg = NULL, *again = NULL;
    buf b;

    if (store_unpack(mem_default(), data, len, &msg) < 0) {
        if (msg) abort();
        return 0;
    }
    buf_init(&b, mem_default(), 0);
    if (store_pack(&b, msg) < 0 || store_unpack(mem_default(), b.data, b.len, &again) < 0) abort();
    if (strcmp(msg->path, again->path) != 0 || msg->len != again->len || memcmp(msg_data(msg), msg_data(again), msg->len) != 0 ||
        msg->expires != again->expires || msg->version != again->version || msg->format != again->format)
        abort();
    bridge_msg_unref(again);
    bridge_msg_unref(msg);
    buf_done(&b);
    return 0;
}
