/* codec/collect.h - records kept in a scratch. */
#ifndef CODEC_COLLECT_H
#define CODEC_COLLECT_H
#include "codec/codecs.h"

typedef struct collector {
    scratch *scratch;
    bridge_record *records;
    size_t count, room;
    bridge_error *err;
} collector;

int collect(void *collector, const bridge_record *record); /* a bridge_record_fn; TOOBIG over CODEC_MAX_RECORDS */
int codec_missing(int status, bridge_format format, bridge_error *err); /* "no codec for ..." */
int codec_said(int rc, bridge_error *err); /* rc, which is in *err for sure: also what only came from a buffer */
#endif
