/* codec/scratch.h - memory of one conversion: handed out front to back, freed as a whole. */
#ifndef CODEC_SCRATCH_H
#define CODEC_SCRATCH_H
#include "base/mem.h"
#include "base/status.h"
#include "bridge/sys/codec.h"

typedef struct scratch_block scratch_block;
typedef struct bridge_scratch {
    mem *mem;
    uint8_t *at, *end;
    scratch_block *blocks;            /* newest first */
    size_t left;                      /* what may still be asked of mem */
    bool over;                        /* the last failure was this limit */
    _Alignas(16) uint8_t first[4096]; /* most conversions need no more than this, on the stack */
} scratch;

enum { SCRATCH_LIMIT = 64 << 20 };

void scratch_init(scratch *s, mem *m);
void scratch_done(scratch *s);
void *scratch_more(scratch *s, size_t len, size_t align); /* the slow way: a new block */

static inline void *scratch_aligned(scratch *s, size_t len, size_t align)
{
    size_t pad = (size_t)(-(uintptr_t)s->at) & (align - 1);
    uint8_t *p = s->at + pad;

    if (len + pad < len || len + pad > (size_t)(s->end - s->at)) return scratch_more(s, len, align);
    s->at = p + len;
    return p;
}

#define scratch_new(s, type)          ((type *)scratch_aligned((s), sizeof(type), _Alignof(type)))
#define scratch_array(s, type, count) ((type *)scratch_aligned((s), sizeof(type) * (count), _Alignof(type)))
char *scratch_text(scratch *s, const char *p, size_t len); /* a copy with a NUL behind */
/* The status of a failed get: NOMEM or TOOBIG. */
int scratch_fail(const scratch *s, bridge_error *err);
#endif
