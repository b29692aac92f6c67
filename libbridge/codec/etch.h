/* codec/etch.h - SenML-ETCH (RFC 8790) on records. */
#ifndef CODEC_ETCH_H
#define CODEC_ETCH_H
#include "codec/collect.h"

int etch_patch(scratch *s, const char *path, double now, bool json, const void *data, size_t len, collector *target,
               bridge_error *err);
int etch_fetch(scratch *s, const char *path, double now, bool json, const void *data, size_t len, collector *target,
               bridge_error *err); /* leaves in target what is asked for */
#endif
