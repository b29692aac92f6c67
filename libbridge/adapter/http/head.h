/* adapter/http/head.h - the head of an HTTP/1.1 request: bytes in, slices out (RFC 9112).  No I/O, no memory.
 *
 * Strict where leniency lets requests be smuggled (RFC 9112 11.2): lines end in CRLF, no blanks before a colon, no folded
 * lines, Content-Length once and not beside Transfer-Encoding, one Host.  What one proxy reads in another way than we
 * do is refused here, so the next request on the connection always begins where the client thinks it does. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H
#include "base/text.h"
#include <stdint.h>

enum {
    HEAD_TARGET = 3 * 65535 + 1024, /* of the target: the longest name with every byte escaped (docs/mapping.md 1); 414 above */
    HEAD_BYTES = 16384,             /* of the lines behind it; 431 above */
    HEAD_FIELDS = 100               /* of these lines; 431 above */
};

/* Fields that something here asks for.  Names are compared without case; more than one of a ONCE field is a 400. */
#define HEAD_KNOWN_MAP(X)                                                                                              \
    X(ACCEPT, "accept", 0)                                                                                             \
    X(AUTHORIZATION, "authorization", 1)                                                                               \
    X(BRIDGE_QOS, "bridge-qos", 1)                                                                                     \
    X(BRIDGE_VIA, "bridge-via", 0)                                                                                     \
    X(CACHE_CONTROL, "cache-control", 0)                                                                               \
    X(CONNECTION, "connection", 0)                                                                                     \
    X(CONTENT_ENCODING, "content-encoding", 0)                                                                         \
    X(CONTENT_LENGTH, "content-length", 1)                                                                             \
    X(CONTENT_TYPE, "content-type", 1)                                                                                 \
    X(EXPECT, "expect", 0)                                                                                             \
    X(HOST, "host", 1)                                                                                                 \
    X(IF_MATCH, "if-match", 0)                                                                                         \
    X(IF_MODIFIED_SINCE, "if-modified-since", 1)                                                                       \
    X(IF_NONE_MATCH, "if-none-match", 0)                                                                               \
    X(IF_RANGE, "if-range", 1)                                                                                         \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since", 1)                                                                   \
    X(LAST_EVENT_ID, "last-event-id", 1)                                                                               \
    X(ORIGIN, "origin", 1)                                                                                             \
    X(PREFER, "prefer", 0)                                                                                             \
    X(RANGE, "range", 1)                                                                                               \
    X(TRACEPARENT, "traceparent", 1)                                                                                   \
    X(TRANSFER_ENCODING, "transfer-encoding", 1)                                                                       \
    X(UPGRADE, "upgrade", 0)                                                                                           \
    X(WS_KEY, "sec-websocket-key", 1)                                                                                  \
    X(WS_PROTOCOL, "sec-websocket-protocol", 0)                                                                        \
    X(WS_VERSION, "sec-websocket-version", 1)
typedef enum head_known {
    HEAD_OTHER,
#define HEAD_KNOWN_ENUM(name, spelt, once) HEAD_##name,
    HEAD_KNOWN_MAP(HEAD_KNOWN_ENUM)
#undef HEAD_KNOWN_ENUM
    HEAD_KNOWN_COUNT
} head_known;

typedef struct head_field {
    text name, value; /* value: without the blanks around it */
    uint8_t known;    /* head_known */
} head_field;

typedef struct http_head {
    text method, target;
    uint8_t minor;      /* of HTTP/1.minor; above 1 counts as 1 */
    bool chunked;       /* the body comes in chunks */
    bool has_length;    /* Content-Length was said */
    bool keep_alive;    /* the connection goes on after the answer */
    bool wants_continue; /* Expect: 100-continue */
    bool upgrade;       /* Connection: upgrade */
    uint64_t length;    /* Content-Length */
    unsigned count;
    uint8_t first[HEAD_KNOWN_COUNT]; /* 1 + place in fields; 0: not said */
    head_field fields[HEAD_FIELDS];
} http_head;

/* Reads a head.  Its length (body behind it); 0: more bytes are needed; negative: minus the HTTP status, *why in words.
 * *seen remembers between calls how far was searched for the end; start with 0. */
int head_read(http_head *h, const char *data, size_t len, size_t *seen, const char **why);
/* The value, or p == NULL. */
static inline text head_value(const http_head *h, head_known known)
{
    return h->first[known] ? h->fields[h->first[known] - 1].value : (text){NULL, 0};
}
/* The items of a comma list, over all its lines; quoted strings are kept whole.  *at starts as {0}. */
typedef struct head_list {
    unsigned field;
    text rest;
} head_list;
bool head_next(const http_head *h, head_known known, head_list *at, text *item);
bool head_has(const http_head *h, head_known known, const char *item); /* without case */

/* Chunked bodies (RFC 9112 7.1), by place: nothing is copied until all has come. */
typedef struct chunks {
    size_t at;      /* in the data: of the next chunk's size line */
    uint64_t total; /* bytes of content so far */
    bool done;      /* at is behind the last byte of the body */
} chunks;
enum { CHUNK_LINE = 256, CHUNK_TRAILERS = 4096 };
/* Goes on from c->at: 1 done, 0 more bytes are needed, negative minus the HTTP status (413 over max). */
int chunks_scan(chunks *c, const char *data, size_t len, uint64_t max, const char **why);
/* Copies the content of a body that was scanned from start to end (chunks.at); out has room for chunks.total. */
void chunks_copy(const char *data, size_t start, size_t end, uint8_t *out);
#endif
