/* wire_props.h - the properties of MQTT 5 (OASIS mqtt-v5.0 2.2.2) in which a bridge says who published; docs/mapping.md 12. */
#ifndef BRIDGED_WIRE_PROPS_H
#define BRIDGED_WIRE_PROPS_H
#include "line.h"

/* Reads the properties at p, of which there are at most len bytes, and says in *out what a bridge has said of the message; its texts lie
 * where they came, ended by a NUL.  told: or NULL; "tell-origin" was said.  How many bytes they take, or 0: they are none. */
size_t wire_props_read(unsigned char *p, size_t len, line *out, bool *told);
#endif
