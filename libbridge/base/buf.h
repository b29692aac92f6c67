/* base/buf.h - bytes that grow, up to a limit.  All puts answer 0, BRIDGE_NOMEM or BRIDGE_TOOBIG and change nothing on failure. */
#ifndef BASE_BUF_H
#define BASE_BUF_H
#include "base/mem.h"
#include "bridge/sys/codec.h"

typedef struct bridge_buffer {
    mem *mem;
    uint8_t *data;
    size_t len, cap;
    size_t max; /* 0: no limit */
} buf;

void buf_init(buf *b, mem *m, size_t max);
void buf_done(buf *b);
static inline void buf_clear(buf *b) { b->len = 0; }
int buf_room(buf *b, size_t more);                   /* makes room behind len */
void *buf_reserve(buf *b, size_t more);              /* room for `more` at the end, len moved over it; NULL: no room */
int buf_put(buf *b, const void *p, size_t len);
int buf_put_u8(buf *b, uint8_t v);
int buf_put_be16(buf *b, uint16_t v);
int buf_put_be32(buf *b, uint32_t v);
int buf_put_be64(buf *b, uint64_t v);
int buf_text(buf *b, const char *text);
int buf_print(buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_drop(buf *b, size_t len); /* takes len bytes away from the front */
const char *buf_cstr(buf *b);      /* the bytes with a NUL behind, not counted; NULL: no room */
#endif
