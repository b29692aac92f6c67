/* codec/item.h - what JSON and CBOR have in common: a stream of scalars, keys, and lists and maps that open and end.
 * Readers say items to an item_fn, writers are item_fns, so any reader can feed any writer, or a tree (codec/node.h).
 */
#ifndef CODEC_ITEM_H
#define CODEC_ITEM_H
#include "base/buf.h"
#include "codec/scratch.h"
#include <string.h>

typedef enum item_kind {
    ITEM_NULL,
    ITEM_BOOL,
    ITEM_INT,
    ITEM_UINT, /* above INT64_MAX */
    ITEM_REAL, /* also integers beyond 64 bits and decimals; the digits then say more than d */
    ITEM_STRING,
    ITEM_BYTES,
    ITEM_SIMPLE, /* CBOR simple value u; 23 is undefined */
    ITEM_LIST,
    ITEM_MAP,
    ITEM_END /* of the innermost list or map */
} item_kind;

#define ITEM_NO_TAG  UINT64_MAX
#define ITEM_UNKNOWN SIZE_MAX

typedef struct item {
    item_kind kind;
    bool key;      /* of the map it is in; its value is the next item */
    uint64_t tag;  /* CBOR tag in front of it, or ITEM_NO_TAG */
    const char *p; /* STRING, BYTES: what it holds; numbers: digits as written in JSON, or NULL.  Good as long as data
                      and scratch */
    size_t len;
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        size_t count; /* LIST, MAP: members, or ITEM_UNKNOWN */
    };
} item;

typedef int (*item_fn)(void *user, const item *it); /* non-zero stops and is returned */

/* Into its callers even at -O2: what runs for every token. */
#define INNERMOST __attribute__((always_inline)) inline
#define ITEM(...) (&(item){.tag = ITEM_NO_TAG, __VA_ARGS__})

/* Exactly n bytes at the end of b, not yet counted in len: writers of small things check once and then store.  NULL:
 * *rc. */
static inline uint8_t *buf_at_end(buf *b, size_t n, int *rc)
{
    if (b->cap - b->len >= n) return b->data + b->len;
    *rc = buf_room(b, n);
    return *rc ? NULL : b->data + b->len;
}

static inline int buf_byte(buf *b, uint8_t byte)
{
    int rc = 0;
    uint8_t *to = buf_at_end(b, 1, &rc);

    if (!to) return rc;
    *to = byte;
    b->len++;
    return 0;
}

static inline bool item_is_number(const item *it)
{
    return it->kind >= ITEM_INT && it->kind <= ITEM_REAL;
}
static inline double item_real(const item *it)
{
    return it->kind == ITEM_INT ? (double)it->i : it->kind == ITEM_UINT ? (double)it->u : it->d;
}
static inline bool item_is(const item *it, const char *s)
{
    return it->kind == ITEM_STRING && it->len == strlen(s) && memcmp(it->p, s, it->len) == 0;
}
#endif
