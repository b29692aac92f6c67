/* adapter/coap/names.h - Uri-Path options <-> paths, without loss (docs/urls.md): one option a segment, empty ones kept. */
#ifndef COAP_NAMES_H
#define COAP_NAMES_H
#include "adapter/coap/wire.h"
#include <stddef.h>

enum { COAP_SEGMENT_MAX = 255, COAP_PATH_MAX = 65535, COAP_QUERY_MAX = 4096, COAP_PART_MAX = 4096 };

/* The Uri-Path options joined with '/', NUL-terminated.  Returns the length, or SYNTAX for a segment that cannot be part of
 * a path ('/', NUL or broken UTF-8 in it), TOOBIG for one longer than max - 1.  *segments (may be NULL): how many options. */
int coap_path_join(const coap_packet *packet, char *out, size_t max, unsigned *segments);

/* Is the path at or below the mount ("" is everywhere)?  The rest without its leading slash, or NULL.  A mount is whole
 * segments: "r" holds "r/a" and "r", not "ra".  *root: exactly the mount, no segment behind it. */
const char *coap_path_below(const char *path, unsigned segments, const char *mount, bool *root);

/* Writes path as options `number` (Uri-Path or Location-Path); INVALID for a segment over 255 bytes, which CoAP cannot say. */
int coap_path_write(coap_writer *w, uint16_t number, const char *path);
int coap_path_check(const char *path); /* would coap_path_write() succeed? */
#endif
