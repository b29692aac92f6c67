#include "base/mem.h"
#include "bridge/bridge.h"
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

mem *mem_create(void *(*realloc_fn)(void *, void *, size_t), void *user)
{
    mem *m = realloc_fn ? realloc_fn(user, NULL, sizeof *m) : malloc(sizeof *m);

    if (!m) return NULL;
    m->realloc = realloc_fn;
    m->user = user;
    m->limit = 0;
    atomic_init(&m->used, 0);
    atomic_init(&m->refs, 1);
    return m;
}

mem *mem_default(void)
{
    static const mem plain; /* read-only: mem_ref() and mem_unref() leave it alone */

    return (mem *)(uintptr_t)&plain;
}

mem *mem_ref(mem *m)
{
    if (m != mem_default()) atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void mem_unref(mem *m)
{
    if (!m || m == mem_default()) return;
    if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1) return;
    if (m->realloc)
        m->realloc(m->user, m, 0);
    else
        free(m);
}

/* ---- with a limit: every block is counted at the size that malloc really gave */

static int fits(mem *m, size_t more)
{
    return more <= m->limit && atomic_load_explicit(&m->used, memory_order_relaxed) <= m->limit - more;
}

static void *counted(mem *m, void *p)
{
    if (p) atomic_fetch_add_explicit(&m->used, malloc_usable_size(p), memory_order_relaxed);
    return p;
}

static void uncount(mem *m, void *p)
{
    atomic_fetch_sub_explicit(&m->used, malloc_usable_size(p), memory_order_relaxed);
}

static void *counted_realloc(mem *m, void *ptr, size_t len)
{
    size_t had = ptr ? malloc_usable_size(ptr) : 0;
    void *p = len <= had || fits(m, len - had) ? realloc(ptr, len) : NULL;

    if (!p) return NULL;
    atomic_fetch_sub_explicit(&m->used, had, memory_order_relaxed);
    return counted(m, p);
}

void *mem_alloc(mem *m, size_t len)
{
    if (len == 0) return NULL;
    if (m->limit) return fits(m, len) ? counted(m, malloc(len)) : NULL;
    return m->realloc ? m->realloc(m->user, NULL, len) : malloc(len);
}

void *mem_zalloc(mem *m, size_t len)
{
    void *p;

    if (len == 0) return NULL;
    if (m->limit) return fits(m, len) ? counted(m, calloc(1, len)) : NULL;
    if (!m->realloc) return calloc(1, len);
    p = m->realloc(m->user, NULL, len);
    return p ? memset(p, 0, len) : NULL;
}

void *mem_zalloc_array(mem *m, size_t count, size_t each)
{
    return each && count > SIZE_MAX / each ? NULL : mem_zalloc(m, count * each);
}

void *mem_realloc(mem *m, void *ptr, size_t len)
{
    if (len == 0) {
        mem_free(m, ptr);
        return NULL;
    }
    if (m->limit) return counted_realloc(m, ptr, len);
    return m->realloc ? m->realloc(m->user, ptr, len) : realloc(ptr, len);
}

void mem_free(mem *m, void *ptr)
{
    if (!ptr) return;
    if (m->limit) uncount(m, ptr);
    if (m->realloc)
        m->realloc(m->user, ptr, 0);
    else
        free(ptr);
}

void *mem_copy(mem *m, const void *p, size_t len)
{
    void *copy = mem_alloc(m, len ? len : 1);

    if (copy && len) memcpy(copy, p, len);
    return copy;
}

char *mem_text(mem *m, const char *text)
{
    return text ? mem_text_len(m, text, strlen(text)) : NULL;
}

char *mem_text_len(mem *m, const char *p, size_t len)
{
    char *copy = mem_alloc(m, len + 1);

    if (!copy) return NULL;
    if (len) memcpy(copy, p, len);
    copy[len] = 0;
    return copy;
}

int mem_grow(mem *m, void **items, size_t *room, size_t count, size_t each)
{
    size_t more = *room + *room / 2 + 4;
    void *p;

    if (count < *room) return 0;
    if (more > SIZE_MAX / each) return BRIDGE_NOMEM;
    p = mem_realloc(m, *items, more * each);
    if (!p) return BRIDGE_NOMEM;
    *items = p;
    *room = more;
    return 0;
}
