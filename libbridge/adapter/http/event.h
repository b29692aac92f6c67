/* adapter/http/event.h - what watchers read: server-sent events (WHATWG HTML 9.2) and JSON for values.  Pure.
 *
 *      one path                            a pattern
 *        id: 1f                              id: 1f
 *        data: 21.5                          data: {"path":"home/kitchen/temp","value":21.5}
 *
 *      removed, on either:  event: gone
 *                  data: {"path":"...","gone":true}
 *
 * A value that is not text comes as JSON when a codec makes it, else as {"path":...,"base64":"..."} in an event `bytes`. */
#ifndef HTTP_EVENT_H
#define HTTP_EVENT_H
#include "base/buf.h"
#include "base/text.h"
#include "bridge/bridge.h"

int json_text(buf *out, text t);                     /* a JSON string with its quotes; what is not UTF-8 becomes U+FFFD */
int json_bytes(buf *out, const void *p, size_t len); /* "base64" with its quotes */
/* The value of a message as JSON on one line.  1: base64, the bytes have no JSON form. */
int json_value(buf *out, bridge_msg *msg);
/* {"path":P,"value":V} or {"path":P,"base64":B}, "version" in hex and "gone" or "retained" when asked for; with ABOUT what else there is to
 * know: "type", "len", "time", "kept", "qos", "origin", "expires", "properties" ([[name, value]]), and "long" instead of a long value. */
enum { EVENT_GONE = 1, EVENT_RETAINED = 2, EVENT_VERSION = 4, EVENT_ABOUT = 8 };
enum { EVENT_ABOUT_BYTES = 16 * 1024 }; /* with EVENT_ABOUT a longer value is not told, only that it is there */
int json_event(buf *out, bridge_msg *msg, unsigned flags);

int sse_data(buf *out, const void *p, size_t len); /* "data: ..." lines */
/* A whole event.  named: with its path, for patterns; about: and with what else there is to know. */
int sse_event(buf *out, bridge_msg *msg, bool named, bool gone, bool about);
#endif
