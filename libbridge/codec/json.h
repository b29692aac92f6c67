/* codec/json.h - JSON text (RFC 8259) from and to items. */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H
#include "base/buf.h"
#include "codec/item.h"
#include "codec/registry.h"

/* All of data is one JSON value.  s: for strings with escapes.  fn NULL: only look whether it parses (s may be NULL
 * then). SYNTAX, TOOBIG (depth, digits), NOMEM. */
int json_read(scratch *s, const void *data, size_t len, item_fn fn, void *user, bridge_error *err);

typedef struct json_writer {
    buf *out;
    bridge_error *err;
    bool comma; /* before the next member */
    int depth;
    uint64_t maps; /* bit n: level n is a map */
} json_writer;
#define JSON_WRITER(buffer, error) (&(json_writer){.out = (buffer), .err = (error)})
int json_put(void *writer, const item *it);               /* an item_fn; bytes become base64url (RFC 8949 6.1) */
int json_put_string(buf *out, const char *p, size_t len); /* with quotes and escapes; p must be UTF-8 */
#endif
