/* codec/etch.h - SenML-ETCH (RFC 8790) on records. */
#ifndef CODEC_ETCH_H
#define CODEC_ETCH_H
#include "codec/collect.h"

int etch_patch(scratch *s, const char *path, double now, bool json, const void *data, size_t len, collector *target,
               bridge_error *err);
/* What is asked for, read once; it lies in the scratch. */
typedef struct etch_question etch_question;
int etch_read(scratch *s, const char *path, double now, bool json, const void *data, size_t len, etch_question **out, bridge_error *err);
size_t etch_pick(const etch_question *q, collector *target); /* leaves that in target; how many pairs of records were compared at most */
enum { ETCH_STEPS = 5000000 }; /* of them, at most in one answer */
int etch_fetch(scratch *s, const char *path, double now, bool json, const void *data, size_t len, collector *target,
               bridge_error *err); /* both in one */
#endif
