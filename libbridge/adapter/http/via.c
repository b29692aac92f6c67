#include "adapter/http/via.h"
#include "core/message.h"
#include "hub/port.h"

/* Marks come from strangers, and go into headers and MQTT's strings. */
static void copy_mark(char *out, const char *from, size_t len)
{
    size_t n = len < VIA_MARK ? len : VIA_MARK;

    for (size_t i = 0; i < n; i++) out[i] = from[i] > ' ' && from[i] < 0x7f && from[i] != ',' ? from[i] : '_';
    out[n] = 0;
}

bool via_read(const request *r, via *out)
{
    const char *own = port_mark(r->conn->port->port);
    head_list at = {0};
    unsigned returns = 0;
    text item;

    out->count = 0;
    while (head_next(r->head, HEAD_BRIDGE_VIA, &at, &item)) {
        if (out->count == VIA_HOPS) return false;
        copy_mark(out->marks[out->count], item.p, item.len);
        if (strcmp(out->marks[out->count++], own) == 0 && ++returns > VIA_RETURNS) return false;
    }
    return true;
}

int via_put(buf *out, const bridge_msg *msg, const char *own)
{
    const msg_extra *extra = msg_extra_of(msg);
    char mark[VIA_MARK + 1];
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && extra && i < extra->prop_count; i++) {
        if (strcmp(extra->props[i].name, VIA_NAME) != 0) continue;
        copy_mark(mark, extra->props[i].value, strlen(extra->props[i].value));
        if (!*mark) continue;
        rc = buf_text(out, mark);
        if (rc == 0) rc = buf_text(out, ", ");
    }
    return rc < 0 ? rc : buf_text(out, own);
}
