/* codec/base64.h - RFC 4648 sections 4 and 5. */
#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H
#include "base/buf.h"
#include "codec/scratch.h"

int base64_put(buf *out, const void *p, size_t len);    /* section 4, padded */
int base64url_put(buf *out, const void *p, size_t len); /* section 5, not padded */
/* Either alphabet, padded or not: devices send both.  to has room for len / 4 * 3 + 2.  false: not base64. */
bool base64_read(const char *p, size_t len, uint8_t *to, size_t *out);
#endif
