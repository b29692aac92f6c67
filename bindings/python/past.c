/* past.c - a cursor over the past, read a page at a time, in any thread and without the GIL.
 *
 * A page may wait for the bridge's thread.  That one closes the cursors before the bridge goes; as long as somebody is within one it makes
 * turns, so that they get out.  Lists and counts are guarded by the GIL. */
#include "engine.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE_BYTES = 1 << 20 };

typedef struct entry { /* in a page; behind it path, name, origin, data */
    int64_t time;
    double number;
    size_t path, name, origin, data; /* lengths */
    int format;
    bool has_name, has_origin, is_number;
} entry;

typedef struct page {
    char *bytes;
    size_t len, room;
    int rc;
} page;

/* ---- who is within */

static bridge *enter(engine *e)
{
    if (e->b) e->within++;
    return e->b;
}

static void unlink_reading(reading *r)
{
    if (!r->back) return;
    *r->back = r->next;
    if (r->next) r->next->back = r->back;
    r->back = NULL;
}

static void shut(reading *r)
{
    bridge_history_close(r->cursor);
    r->cursor = NULL;
    unlink_reading(r);
}

void readings_shut(engine *e, bridge *b)
{
    struct timespec moment = {.tv_nsec = 1000000};

    while (e->within) {
        Py_BEGIN_ALLOW_THREADS
        bridge_process(b);
        nanosleep(&moment, NULL);
        Py_END_ALLOW_THREADS
    }
    while (e->readings) shut(e->readings);
}

void readings_disown(engine *e)
{
    while (e->readings) {
        e->readings->cursor = NULL;
        unlink_reading(e->readings);
    }
}

/* ---- reading */

reading *past_open(engine *e, const char *filter, int64_t since, int64_t until, bool newest_first, bridge_error *err)
{
    bridge_history_range range = {.size = sizeof range, .since = since, .until = until, .newest_first = newest_first};
    reading *r = calloc(1, sizeof *r);
    bridge *b = r ? enter(e) : NULL;

    err->status = r ? BRIDGE_CLOSED : BRIDGE_NOMEM;
    if (b) {
        Py_BEGIN_ALLOW_THREADS
        err->status = bridge_history_open(b, filter, &range, &r->cursor, err);
        Py_END_ALLOW_THREADS
        e->within--;
    }
    if (err->status < 0) {
        free(r);
        return NULL;
    }
    r->e = e;
    atomic_fetch_add(&e->refs, 1);
    r->next = e->readings;
    r->back = &e->readings;
    if (r->next) r->next->back = &r->next;
    e->readings = r;
    return r;
}

static int add(page *p, const bridge_history_record *h)
{
    entry x = {.time = h->time, .number = h->number, .path = strlen(h->path), .name = h->name ? strlen(h->name) : 0,
               .origin = h->origin ? strlen(h->origin) : 0, .data = h->len, .format = h->format, .has_name = h->name, .has_origin = h->origin,
               .is_number = h->is_number && isfinite(h->number)};
    size_t size = sizeof x + x.path + x.name + x.origin + x.data;
    const struct { const void *p; size_t len; } parts[] = {{&x, sizeof x}, {h->path, x.path}, {h->name, x.name}, {h->origin, x.origin}, {h->data, x.data}};

    if (p->len + size > p->room) {
        size_t room = (p->len + size) * 2;
        char *more = realloc(p->bytes, room);
        if (!more) return BRIDGE_NOMEM;
        p->bytes = more;
        p->room = room;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].len) memcpy(p->bytes + p->len, parts[i].p, parts[i].len);
        p->len += parts[i].len;
    }
    return 0;
}

static void fill(page *p, bridge_history_cursor *c, int most)
{
    bridge_history_record h = {.size = sizeof h};

    p->rc = 1;
    while (p->rc > 0 && most-- > 0 && p->len < PAGE_BYTES) {
        p->rc = bridge_history_next(c, &h);
        if (p->rc > 0 && add(p, &h) < 0) p->rc = BRIDGE_NOMEM;
    }
}

/* (path, ms, data, format, number or None, origin or None) */
static PyObject *row_of(const entry *x, const char *at)
{
    const char *name = at + x->path, *origin = name + x->name, *data = origin + x->origin;
    PyObject *path = PyUnicode_DecodeUTF8(at, (Py_ssize_t)x->path, "replace");

    if (path && x->has_name) {
        PyObject *whole = PyUnicode_FromFormat("%U/%.*s", path, (int)x->name, name);
        Py_DECREF(path);
        path = whole;
    }
    return Py_BuildValue("(NLy#iNN)", path, (long long)x->time, data, (Py_ssize_t)x->data, x->format,
                         x->is_number ? PyFloat_FromDouble(x->number) : Py_NewRef(Py_None),
                         x->has_origin ? PyUnicode_DecodeUTF8(origin, (Py_ssize_t)x->origin, "replace") : Py_NewRef(Py_None));
}

static PyObject *rows_of(const page *p)
{
    PyObject *list = PyList_New(0), *row;
    entry x;

    for (size_t at = 0; list && at < p->len; at += sizeof x + x.path + x.name + x.origin + x.data) {
        memcpy(&x, p->bytes + at, sizeof x);
        row = row_of(&x, p->bytes + at + sizeof x);
        if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

/* What was read before something went wrong is there; that comes again with the next page. */
PyObject *past_take(reading *r, int most, bridge_error *err)
{
    page p = {.rc = BRIDGE_CLOSED};
    PyObject *list = NULL;

    if (r->busy || !r->cursor || !enter(r->e)) {
        err->status = r->busy ? BRIDGE_BUSY : BRIDGE_CLOSED;
        return NULL;
    }
    r->busy = true;
    Py_BEGIN_ALLOW_THREADS
    fill(&p, r->cursor, most);
    Py_END_ALLOW_THREADS
    r->busy = false;
    r->e->within--;
    if (r->ended) shut(r);
    if (p.rc < 0 && p.len == 0) err->status = p.rc;
    else list = rows_of(&p);
    free(p.bytes);
    return list;
}

/* Whoever is within it closes it. */
void past_close(reading *r)
{
    r->ended = true;
    if (r->cursor && !r->busy) shut(r);
}

void past_free(reading *r)
{
    past_close(r);
    engine_unref(r->e);
    free(r);
}
