/* adapter/http/media.h - content negotiation, entity tags, dates and ranges: what headers say about representations. */
#ifndef HTTP_MEDIA_H
#define HTTP_MEDIA_H
#include "adapter/http/head.h"
#include "bridge/bridge.h"

/* ---- Accept (RFC 9110 12.5.1) */
enum { ACCEPT_RANGES = 32 };
typedef struct accept_range {
    text type, subtype; /* "*" for any */
    uint16_t q;         /* 0 to 1000 */
} accept_range;
typedef struct accept_list {
    accept_range ranges[ACCEPT_RANGES];
    unsigned count; /* 0: everything is welcome */
} accept_list;
void accept_read(accept_list *a, const http_head *h); /* what cannot be read is left out */
/* Quality that the most specific range which names the type gives it; *place is that range's place in the list. */
unsigned accept_quality(const accept_list *a, text media_type, unsigned *place);
/* The best format to answer with: native itself (media type `type`), or one that native converts to.  Bits of `tried` (by
 * place in the list of targets, bit 31 native) are left out and the answer's is set; so the next call gives the next best.
 * NOTACCEPTABLE when none is left. */
int accept_choose(const accept_list *a, bridge_format native, text type, uint32_t *tried, bridge_format *out);
/* Would the asker rather have this than anything else that it names? */
bool accept_asks(const accept_list *a, const char *media_type);

/* ---- entity tags: "1f" is version 0x1f as it was given, "1f-50" the same turned into format 50 */
enum { ETAG_ROOM = 32 };
int etag_print(char out[ETAG_ROOM], uint64_t version, bool converted, bridge_format format); /* its length; quotes included */
/* Reads one item of If-Match or If-None-Match.  False: not one of ours. */
bool etag_read(text item, bool *weak, uint64_t *version, text *opaque);

/* ---- dates (RFC 9110 5.6.7, the preferred form only) */
enum { DATE_LEN = 29 };
void date_print(char out[DATE_LEN + 1], int64_t seconds);
bool date_read(text t, int64_t *seconds);

/* ---- byte ranges (RFC 9110 14): how many parts to send; 0 none asked, not understood, or more than is reasonable: send all; -1 not
 * satisfiable (416).  Reasonable: at most RANGES_MAX, and together not more than all (14.2: ranges that overlap ask for work). */
enum { RANGES_MAX = 8 };
typedef struct byte_range {
    uint64_t from, count;
} byte_range;
int ranges_read(text value, uint64_t size, byte_range out[RANGES_MAX]);

/* max-age of a Cache-Control request header, in seconds; false: not said */
bool max_age_read(const http_head *h, uint64_t *seconds);
/* Prefer: wait=n (RFC 7240 4.3) in seconds, at most `most`; false: not said */
bool prefer_wait(const http_head *h, uint64_t most, uint64_t *seconds);
#endif
