/* codec/senml.h - SenML (RFC 8428) on items, so that JSON and CBOR are one. */
#ifndef CODEC_SENML_H
#define CODEC_SENML_H
#include "codec/codecs.h"

/* Labels: CBOR's numbers (RFC 8428 6, table 4) shifted to start at 0.  VLO is LwM2M's (LwM2M Core 1.1 7.4.4). */
typedef enum senml_label {
    SENML_BS,
    SENML_BV,
    SENML_BU,
    SENML_BT,
    SENML_BN,
    SENML_BVER,
    SENML_N,
    SENML_U,
    SENML_V,
    SENML_VS,
    SENML_VB,
    SENML_S,
    SENML_T,
    SENML_UT,
    SENML_VD,
    SENML_VLO,
    SENML_OTHER
} senml_label;
extern const char *const senml_names[SENML_OTHER];

enum {
    SENML_VERSION = 10,
    SENML_SECONDARY_UNITS = 26 /* RFC 9100: version 10 and the feature "secondary units" */
};

/* Names: RFC 8428 4.5.1, and a '/' in front as LwM2M has it. */
bool senml_name_ok(const char *p, size_t len, bool first); /* first: nothing stands in front of it */
/* Sets name and absolute of *out: what of `name` is below `base`, "" when they are the same, all of it when it is
 * elsewhere. */
void senml_set_name(bridge_record *out, const char *base, const char *name);

/* An item_fn that resolves a pack (RFC 8428 4.6) as it comes.  A record without any value has type NIL: LwM2M's and
 * RFC 8790's way to name what is meant. */
typedef struct senml_reader {
    scratch *scratch;
    const char *base;
    double now;
    bool json;          /* data are base64url */
    bool etch, removes; /* RFC 8790: values may be null; the record that is told has one, and is to go */
    bridge_record_fn fn;
    void *user;
    bridge_error *err;

    int depth;
    int skip; /* levels deep in something unknown */
    senml_label label;
    uint32_t seen; /* fields of this record, bits by label */
    item fields[SENML_OTHER];
    uint64_t version;
    text bn;
    double bt, bs;
    bool has_bs;
    item bv;
    const char *bu;
    const char *unit_p, *unit_text; /* the last one: most packs repeat it */
    size_t unit_len;
} senml_reader;
int senml_item(void *reader, const item *it);
void senml_reader_init(senml_reader *r, scratch *s, const char *base, double now, bool json, bridge_record_fn fn,
                       void *user, bridge_error *err);
/* Records as part of a pack that is written bit by bit, with no base fields but the version, each behind a ',' in JSON but the first; what is
 * around them is the caller's. */
int senml_write_part(const bridge_record *records, size_t count, bool json, bool first, buf *out, bridge_error *err);
int senml_write(scratch *s, const char *base, const bridge_record *records, size_t count, bool json, buf *out,
                bridge_error *err);
#endif
