#include "codec/scratch.h"
#include <string.h>

struct scratch_block {
    scratch_block *next;
    _Alignas(16) uint8_t data[];
};
enum { BLOCK = 32 << 10 };

void scratch_init(scratch *s, mem *m)
{
    s->mem = m;
    s->at = s->first;
    s->end = s->first + sizeof s->first;
    s->blocks = NULL;
    s->left = SCRATCH_LIMIT;
    s->over = false;
}

void scratch_done(scratch *s)
{
    while (s->blocks) {
        scratch_block *next = s->blocks->next;
        mem_free(s->mem, s->blocks);
        s->blocks = next;
    }
}

void *scratch_more(scratch *s, size_t len, size_t align)
{
    size_t room = len + align > BLOCK ? len + align : BLOCK;
    scratch_block *b;

    s->over = len > SCRATCH_LIMIT || room > s->left;
    if (s->over) return NULL;
    b = mem_alloc(s->mem, sizeof *b + room);
    if (!b) return NULL;
    s->left -= room;
    b->next = s->blocks;
    s->blocks = b;
    if (room > BLOCK) return b->data; /* alone in its block; the current one goes on */
    s->at = b->data + len;
    s->end = b->data + room;
    return b->data;
}

void *bridge_scratch_get(bridge_scratch *s, size_t len)
{
    return scratch_aligned(s, len, 16);
}

char *scratch_text(scratch *s, const char *p, size_t len)
{
    char *copy = len < SCRATCH_LIMIT ? scratch_aligned(s, len + 1, 1) : NULL;

    if (!copy) return NULL;
    if (len) memcpy(copy, p, len);
    copy[len] = 0;
    return copy;
}

int scratch_fail(const scratch *s, bridge_error *err)
{
    if (s->over) return fail(err, BRIDGE_TOOBIG, "the payload needs too much memory to convert");
    return fail_nomem(err);
}
