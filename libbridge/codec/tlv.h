/* codec/tlv.h - LwM2M TLV (LwM2M 1.0 6.4.3, 1.1 7.4.3).  It does not say of what type its values are. */
#ifndef CODEC_TLV_H
#define CODEC_TLV_H
#include "codec/oma.h"

/* Every value as OPAQUE, for who has an object model and then calls tlv_type(). */
int tlv_read(scratch *s, const char *base, const void *data, size_t len, bridge_record_fn fn, void *user,
             bridge_error *err);
/* The bytes of an OPAQUE record as what the model says; false, and unchanged: they cannot be that. */
bool tlv_type(bridge_record *r, bridge_type type);
/* Without a model, by what is likely (docs/formats.md): what the codec in the registry does. */
void tlv_guess(bridge_record *r);
#endif
