/* adapter/http/via.h - Bridge-Via: the bridges that a message has come through, so that webhooks that lead back do not go round for ever.
 *
 *      Bridge-Via: 9f2c4e1b7a605d38, 07d1c2f09a4be633        one mark for each webhook that sent it on
 *
 * In a message the marks are properties named "bridge-via", as those of uplinks are (MQTT 5 carries them as user properties). */
#ifndef HTTP_VIA_H
#define HTTP_VIA_H
#include "adapter/http/server.h"

enum {
    VIA_HOPS = 16,   /* marks; a request with more is refused: 508 */
    VIA_RETURNS = 2, /* marks that are our own; with more, too */
    VIA_MARK = 32    /* bytes of one; the rest is cut off */
};
#define VIA_NAME "bridge-via"

typedef struct via {
    unsigned count;
    char marks[VIA_HOPS][VIA_MARK + 1];
} via;

/* What the request says of itself; false: it has come too far, or round too often. */
bool via_read(const request *r, via *out);
/* The value of the header for a message that is sent on from here. */
int via_put(buf *out, const bridge_msg *msg, const char *own);
#endif
