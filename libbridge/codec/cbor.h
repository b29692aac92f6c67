/* codec/cbor.h - CBOR (RFC 8949) from and to items. */
#ifndef CODEC_CBOR_H
#define CODEC_CBOR_H
#include "base/buf.h"
#include "codec/item.h"
#include "codec/registry.h"

/* All of data is one well-formed data item.  Bignums and decimal fractions come as numbers with digits, bigfloats as
 * REAL; of nested tags the innermost is told.  A key may be a list (LwM2M CBOR has those).  SYNTAX, TOOBIG,
 * UNPROCESSABLE (a tag whose content does not fit it), NOMEM. */
int cbor_read(scratch *s, const void *data, size_t len, item_fn fn, void *user, bridge_error *err);

typedef struct cbor_level {
    size_t at; /* of the head */
    size_t count;
    bool known; /* the head is written */
} cbor_level;

/* Preferred serialization (RFC 8949 4.1): shortest heads and floats, definite lengths. */
typedef struct cbor_writer {
    buf *out;
    bridge_error *err;
    int depth;
    cbor_level levels[CODEC_MAX_DEPTH + 1];
} cbor_writer;
#define CBOR_WRITER(buffer, error) (&(cbor_writer){.out = (buffer), .err = (error)})
int cbor_put(void *writer, const item *it); /* an item_fn */

enum { CBOR_UINT, CBOR_NEGATIVE, CBOR_BYTES, CBOR_TEXT, CBOR_LIST, CBOR_MAP, CBOR_TAG, CBOR_SIMPLE }; /* major types */
int cbor_put_scalar(buf *out, const item *it); /* of an item that is no list, map or end */
int cbor_put_head(buf *out, int major, uint64_t value);
int cbor_put_int(buf *out, int64_t v);
int cbor_put_real(buf *out, double d);
int cbor_put_text(buf *out, const char *p, size_t len);
int cbor_put_bytes(buf *out, const void *p, size_t len);
/* A number so that nothing is lost: a float if it says all that the digits say, else a bignum or a decimal fraction. */
int cbor_put_number(buf *out, const char *digits, size_t len, double d);
#endif
