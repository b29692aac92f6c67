/* codec/cast.h - a record as what an object model says that it is. */
#ifndef CODEC_CAST_H
#define CODEC_CAST_H
#include "codec/codecs.h"

/* The same value as another type, when none of it is lost: 1 and "1" are true, "21.5" is 21.5, 3.0 is 3, 5 is "5",
 * "3:0" is a link, base64 text is bytes, bytes are what TLV makes of them.  For formats that do not say their types:
 * text, TLV, the links of CBOR.  UNPROCESSABLE, and *r as before: it is no such thing. */
int record_cast(scratch *s, bridge_record *r, bridge_type type, bridge_error *err);
#endif
