/* codec/registry.h - all the formats: what they are called, which of them convert, and the conversion itself.
 * Constant tables; everything here may be called from any thread. */
#ifndef CODEC_REGISTRY_H
#define CODEC_REGISTRY_H
#include "base/buf.h"
#include "base/text.h"
#include "bridge/sys/codec.h"

enum {
    CODEC_MAX_DEPTH = 32,      /* nesting of lists and maps */
    CODEC_MAX_RECORDS = 10000, /* records of one payload */
    CODEC_MAX_DIGITS = 128,    /* characters of one number */
    CODEC_MAX_NAME = 1024      /* bytes of one record's name, base included */
};

/* ---- names of formats.  Formats without a codec have names too: "image/png" is BRIDGE_FORMAT_NAMED. */
const char *format_media_type(bridge_format format); /* "application/json"; NULL: not in the table, or AUTO or NAMED */
const char *format_name(bridge_format format);       /* "json", "senml+cbor"; NULL as above */
/* The number of a media type, whatever the case and the parameters ("text/plain;charset=utf-8").  FORMAT_NAMED when it
 * is a media type that has no number, or one whose parameters change what the bytes mean (a charset that is not UTF-8).
 * application/coap-payload;cf=N is N (RFC 8075 6.2). */
bridge_format format_of_media_type(text media_type);
/* What people write in routes and queries: a name, a media type or a number.  FORMAT_NAMED when it is none. */
bridge_format format_of_name(text name);

/* ---- codecs */
const bridge_codec *codec_find(bridge_format format); /* NULL: none */
const bridge_codec *codec_named(const char *name);    /* by name, media type or number; NULL: none */
/* What bytes are that nobody named: TEXT when UTF-8 without control characters, JSON when an object or array that
 * parses, else BYTES (docs/mapping.md 4).  JSON is tried before TEXT.  Never AUTO. */
bridge_format codec_guess(const void *data, size_t len);
/* Would codec_convert() try?  To answer Accept before there is a payload.  Same formats always do. */
bool codec_converts(bridge_format source, bridge_format target);
/* Appends to out.  path: of the value, for formats that name it.  now: seconds since 1970 for relative times, or 0.
 * AUTO as source is guessed; the same format, or AUTO as target, copies the bytes unchanged.  On failure out is as
 * before: FORMAT source has no codec, NOTACCEPTABLE target has none, SYNTAX or UNPROCESSABLE data does not hold what
 * source says or target has no words for it, TOOBIG, NOMEM. */
int codec_convert(mem *m, const char *path, double now, bridge_format source, bridge_format target, const void *data,
                  size_t len, buf *out, bridge_error *err);

/* ---- records: for who wants values rather than bytes (LwM2M, Python, rules) */
/* Calls fn for each record; what records borrow is good only inside fn. */
int codec_read(mem *m, const char *path, double now, bridge_format source, const void *data, size_t len,
               bridge_record_fn fn, void *user, bridge_error *err);
int codec_write(mem *m, const char *path, bridge_format target, const bridge_record *records, size_t count, buf *out,
                bridge_error *err);

/* ---- partial change: RFC 8132 bodies applied to a value.  patch: BRIDGE_MERGE_PATCH, BRIDGE_JSON_PATCH,
 * BRIDGE_SENML_ETCH_JSON or _CBOR.  Appends the new value, in the format of the old one, to out.  len 0: there is no
 * value yet (merge-patch and etch make one).  FORMAT patch is none of these, UNPROCESSABLE it cannot apply, CONFLICT a
 * json-patch `test` says no (RFC 5789 2.2, RFC 8132 3.4), SYNTAX, TOOBIG, NOMEM. */
bridge_format codec_patch_makes(bridge_format patch); /* of nothing: JSON or SenML; FORMAT_NAMED: not a patch */
int codec_patch(mem *m, const char *path, double now, bridge_format format, const void *data, size_t len,
                bridge_format patch, const void *patch_data, size_t patch_len, buf *out, bridge_error *err);
/* RFC 8790 3.1: of a value, the records that `fetch` (SENML_ETCH_JSON or _CBOR) names, written as target. */
int codec_fetch(mem *m, const char *path, double now, bridge_format format, const void *data, size_t len,
                bridge_format fetch, const void *fetch_data, size_t fetch_len, bridge_format target, buf *out,
                bridge_error *err);
#endif
