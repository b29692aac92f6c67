/* base/mem.h - one allocator per bridge.
 * Every allocation of the library goes through here, so that a test can fail the n-th one and an application can count. */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stdatomic.h>
#include <stddef.h>

typedef struct mem {
    void *(*realloc)(void *user, void *ptr, size_t len); /* len 0 frees; NULL: the C library's */
    void *user;
    size_t limit;       /* bytes; 0: none, and nothing is counted.  Set before the first allocation; not with a realloc of one's own */
    atomic_size_t used; /* bytes, as the C library rounds them */
    atomic_uint refs; /* one for the bridge, one for each thing that may outlive it (messages) */
} mem;

mem *mem_create(void *(*realloc)(void *, void *, size_t), void *user); /* refs 1; NULL: out of memory */
/* Is it time to refuse what can be refused?  7/8 of the limit; the rest is for ending things in order. */
static inline int mem_is_short(mem *m)
{
    return m->limit && atomic_load_explicit(&m->used, memory_order_relaxed) > m->limit - m->limit / 8;
}
mem *mem_ref(mem *m);
void mem_unref(mem *m);
mem *mem_default(void); /* the C library's; never freed; for messages made outside of any bridge */

void *mem_alloc(mem *m, size_t len);  /* NULL: out of memory; len 0 gives NULL */
void *mem_zalloc(mem *m, size_t len); /* zeroed */
void *mem_realloc(mem *m, void *ptr, size_t len);
void mem_free(mem *m, void *ptr); /* NULL is fine */
void *mem_copy(mem *m, const void *p, size_t len);
char *mem_text(mem *m, const char *text);             /* a copy; NULL gives NULL */
char *mem_text_len(mem *m, const char *p, size_t len); /* a copy with NUL added */

#define mem_new(m, type)            ((type *)mem_zalloc((m), sizeof(type)))
#define mem_new_array(m, type, n)   ((type *)mem_zalloc_array((m), (n), sizeof(type)))
void *mem_zalloc_array(mem *m, size_t count, size_t each);

/* Makes room for one more item in an array that grows by half: 0 or BRIDGE_NOMEM; *items and *room change. */
int mem_grow(mem *m, void **items, size_t *room, size_t count, size_t each);
#endif
