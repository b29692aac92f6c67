/* bridge/sys/codec.h - how a payload format joins.
 *
 * Every format is read into, and written from, a list of records, which is what SenML (RFC 8428), LwM2M TLV and LwM2M
 * JSON already are; plain text is a list of one.  Codecs do no I/O, keep no state and may run on any thread.
 * What needs memory while it converts takes it from a scratch, so nothing is freed piece by piece, and the names and
 * strings of records stay good until the whole conversion is done. */
#ifndef BRIDGE_SYS_CODEC_H
#define BRIDGE_SYS_CODEC_H
#include "bridge/bridge.h"
#ifdef __cplusplus
extern "C" {
#endif
typedef enum bridge_type {
    BRIDGE_NIL,
    BRIDGE_BOOL,
    BRIDGE_INT,    /* int64_t */
    BRIDGE_UINT,   /* uint64_t above INT64_MAX */
    BRIDGE_REAL,   /* double */
    BRIDGE_STRING, /* UTF-8 */
    BRIDGE_OPAQUE, /* bytes */
    BRIDGE_OBJLNK, /* LwM2M object link */
    BRIDGE_TREE    /* JSON text of an object or array that is not a list of values; see docs/formats.md */
} bridge_type;
typedef struct bridge_record {
    const char *name; /* below the base path: "5700"; "" for the path itself; never NULL; borrow */
    bool absolute;    /* the name stands for itself, it is not below the base path: "urn:dev:ow:10e2073a0108006:temp" */
    const char *unit; /* RFC 8428 12.1 and RFC 8798, or NULL; borrow */
    double time;      /* seconds since 1970; 0: none */
    double sum;       /* with has_sum: RFC 8428 4.3 */
    bool has_sum;
    double update; /* RFC 8428 4.2 "ut": the next value comes within so many seconds; 0: not said */
    bridge_type type;
    const char *digits; /* INT, UINT, REAL: the number as it was written, a JSON number; or NULL; borrow */
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        struct {
            const void *p;
            size_t len;
        } bytes; /* STRING, OPAQUE, TREE: borrow */
        struct {
            uint16_t object, instance;
        } link;
    } as;
} bridge_record;
typedef int (*bridge_record_fn)(void *user, const bridge_record *record); /* non-zero stops the reading and is returned */
typedef struct bridge_buffer bridge_buffer;
BRIDGE_API int bridge_buffer_put(bridge_buffer *out, const void *p, size_t len); /* NOMEM, TOOBIG */

/* Memory of one conversion: aligned for anything, freed as a whole at its end.  NULL: out of memory or over its limit. */
typedef struct bridge_scratch bridge_scratch;
BRIDGE_API void *bridge_scratch_get(bridge_scratch *scratch, size_t len);

typedef struct bridge_codec {
    size_t size;
    bridge_format format;
    const char *name, *media_type; /* "senml+cbor", "application/senml+cbor" */
    /* base: the path the payload belongs to, for formats that name it; "" for none.  now: seconds since 1970, for
     * relative times; 0 leaves them relative.  What a record borrows is good as long as scratch and data are.  NULL
     * where the format cannot be read or written.
     * Errors: SYNTAX malformed, UNPROCESSABLE well-formed but not records (reading) or records that this format has no
     * words for (writing), TOOBIG over a limit, NOMEM. */
    int (*read)(bridge_scratch *scratch, const char *base, double now, const void *data, size_t len,
                bridge_record_fn fn, void *user, bridge_error *err);
    int (*write)(bridge_scratch *scratch, const char *base, const bridge_record *records, size_t count,
                 bridge_buffer *out, bridge_error *err);
} bridge_codec;
#ifdef __cplusplus
}
#endif
#endif
