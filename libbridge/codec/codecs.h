/* codec/codecs.h - what each codec file shows to the registry, and what they share. */
#ifndef CODEC_CODECS_H
#define CODEC_CODECS_H
#include "codec/item.h"
#include "codec/registry.h"

extern const bridge_codec text_codec, bytes_codec, json_codec, cbor_codec, senml_json_codec, senml_cbor_codec,
    tlv_codec, lwm2m_json_codec, lwm2m_cbor_codec;

/* A record without name, unit or time, of a scalar item.  false: not a scalar, or a number that no record holds. */
int record_of_item(scratch *s, const item *it, bridge_record *out, bridge_error *err);
bool utf8_with_nul(const char *p, size_t len); /* well-formed; NUL is a character in text, JSON and CBOR */
/* The other way; OBJLNK becomes "object:instance" in link[]. */
enum { LINK_ROOM = 12 };
void item_of_record(const bridge_record *r, item *out, char link[LINK_ROOM]);
#endif
