/* A cursor over the past: page by page, so that neither memory nor the file's log grows with what is read, nor with how slowly.  Between two
 * pages nothing is held in the file: the next one begins behind the last record's time and part.
 *
 * The names of the paths come from the loop's thread, some at a time; records are read in the thread that asks for them. */
#include "hub/history.h"
#include "base/status.h"

enum { NAMES_LOOKED_AT = 10000 }; /* in one turn of the loop */

typedef struct row {
    int64_t time;
    double number;
    size_t at; /* in bytes: name NUL, origin NUL, value */
    uint32_t part;
    uint32_t name_len, origin_len; /* with their NUL; 0: none */
    size_t len;
    uint16_t format;
    bool is_number;
} row;

struct history_view {
    hub *hub;
    mem *mem;
    void *view; /* the store's; opened with the first page */
    pattern *pattern;
    int64_t from, upto;
    bool newest_first;
    size_t turn; /* how many of all paths have been looked at */
    bool all_looked_at;

    history_name *names; /* some of those that match */
    size_t name_count, name_room, name_at;
    bool path_done; /* the page is the end of names[name_at] */
    bool begun;     /* of it a record was read: the last one's time and part */
    int64_t last;
    uint32_t last_part;

    row rows[HISTORY_PAGE];
    size_t row_count, row_at;
    buf bytes;
};

int history_view_open(hub *h, const char *filter, int64_t from, int64_t upto, bool newest_first, history_view **out, bridge_error *err)
{
    history_view *v;
    pattern *p = NULL;
    int rc = pattern_new(h->mem, &p, filter, strlen(filter), PATTERN_FULL, err);

    if (rc < 0) return rc;
    if (!h->store) rc = fail(err, BRIDGE_UNSUPPORTED, "a history needs a store that outlives the process: sqlite:FILE");
    else if (pattern_is_literal(p) && (!h->history || !map_get(&h->history->paths, filter, strlen(filter))))
        rc = fail(err, BRIDGE_NOTFOUND, "nothing was recorded at %.100s", filter);
    v = rc == 0 ? mem_new(h->mem, history_view) : NULL;
    if (!v) {
        mem_free(h->mem, p);
        return rc < 0 ? rc : fail_nomem(err);
    }
    v->hub = h;
    v->mem = h->mem;
    v->pattern = p;
    v->from = from;
    v->upto = upto;
    v->newest_first = newest_first;
    buf_init(&v->bytes, v->mem, 0); /* one value may be as large as a message */
    *out = v;
    return 0;
}

static void forget_names(history_view *v)
{
    for (size_t i = 0; i < v->name_count; i++) mem_free(v->mem, v->names[i].path);
    v->name_count = v->name_at = 0;
}

static int take_name(history_view *v, const history_path *p)
{
    char *copy;

    if (!pattern_match(v->pattern, p->path, p->len, NULL)) return 0;
    if (mem_grow(v->mem, (void **)&v->names, &v->name_room, v->name_count, sizeof *v->names) < 0) return BRIDGE_NOMEM;
    copy = mem_text_len(v->mem, p->path, p->len);
    if (!copy) return BRIDGE_NOMEM;
    v->names[v->name_count++] = (history_name){p->id, copy};
    return 0;
}

int history_view_names(history_view *v)
{
    const history *x = v->hub->history;
    const history_path *one;
    size_t from_here = v->turn;
    int rc = 0;

    forget_names(v);
    v->path_done = v->begun = false;
    if (x && pattern_is_literal(v->pattern)) {
        one = map_get(&x->paths, v->pattern->text, strlen(v->pattern->text));
        rc = one ? take_name(v, one) : 0;
        v->all_looked_at = rc == 0;
        return rc;
    }
    for (size_t i = 0; rc == 0 && x && v->turn < x->count && i < NAMES_LOOKED_AT && v->name_count < HISTORY_PAGE; i++) {
        one = x->all[v->turn++];
        if (one) rc = take_name(v, one);
    }
    if (rc < 0) {
        forget_names(v);
        v->turn = from_here;
        return rc;
    }
    v->all_looked_at = !x || v->turn >= x->count;
    return 0;
}

/* ---- a page */

enum { PAGE_FULL = 1 };

static bool was_read(const history_view *v, const bridge_past *p)
{
    return v->begun && p->time == v->last && (v->newest_first ? p->part >= v->last_part : p->part <= v->last_part);
}

static int on_past(void *user, const bridge_past *p)
{
    history_view *v = user;
    size_t name_len = p->name ? strlen(p->name) + 1 : 0, origin_len = p->origin ? strlen(p->origin) + 1 : 0;
    uint8_t *to;

    if (was_read(v, p)) return 0;
    if (v->row_count && v->bytes.len + name_len + origin_len + p->len > HISTORY_PAGE_BYTES) return PAGE_FULL;
    v->rows[v->row_count] = (row){.time = p->time, .number = p->number, .at = v->bytes.len, .part = p->part, .name_len = (uint32_t)name_len,
                                  .origin_len = (uint32_t)origin_len, .len = p->len, .format = p->format, .is_number = p->is_number};
    to = buf_reserve(&v->bytes, name_len + origin_len + p->len + 1); /* and a NUL, for those who print it */
    if (!to) return BRIDGE_NOMEM;
    if (name_len) memcpy(to, p->name, name_len);
    if (origin_len) memcpy(to + name_len, p->origin, origin_len);
    if (p->len) memcpy(to + name_len + origin_len, p->value, p->len);
    to[name_len + origin_len + p->len] = 0;
    return ++v->row_count == HISTORY_PAGE ? PAGE_FULL : 0;
}

static int read_page(history_view *v)
{
    bridge_store *s = v->hub->store;
    int64_t from = v->begun && !v->newest_first ? v->last : v->from, upto = v->begun && v->newest_first ? v->last : v->upto;
    int rc = v->view ? 0 : bridge_store_view(s, &v->view);

    v->row_count = v->row_at = 0;
    buf_clear(&v->bytes);
    if (v->bytes.cap > 2 * HISTORY_PAGE_BYTES) buf_done(&v->bytes); /* of a large value */
    if (rc == 0) rc = bridge_store_past(s, v->view, v->names[v->name_at].id, from, upto, v->newest_first, on_past, v);
    if (rc < 0) {
        v->row_count = 0; /* all of the page is read again */
        return rc;
    }
    v->path_done = rc == 0;
    if (v->row_count == 0) return 0;
    v->begun = true;
    v->last = v->rows[v->row_count - 1].time;
    v->last_part = v->rows[v->row_count - 1].part;
    return 0;
}

int history_view_next(history_view *v, const char **path, bridge_past *out)
{
    const row *r;
    const char *at;
    int rc;

    while (v->row_at == v->row_count) {
        if (v->path_done) {
            v->name_at++;
            v->path_done = v->begun = false;
        }
        if (v->name_at >= v->name_count) return v->all_looked_at ? 0 : HISTORY_VIEW_NAMES;
        rc = read_page(v);
        if (rc < 0) return rc;
    }
    r = &v->rows[v->row_at++];
    at = (const char *)v->bytes.data + r->at;
    *path = v->names[v->name_at].path;
    *out = (bridge_past){.part = r->part, .time = r->time, .format = r->format, .is_number = r->is_number, .number = r->number,
                         .name = r->name_len ? at : NULL, .origin = r->origin_len ? at + r->name_len : NULL,
                         .value = at + r->name_len + r->origin_len, .len = r->len};
    return 1;
}

void history_view_close(history_view *v)
{
    mem *m;

    if (!v) return;
    m = v->mem;
    bridge_store_view_close(v->hub->store, v->view);
    forget_names(v);
    mem_free(m, v->names);
    mem_free(m, v->pattern);
    buf_done(&v->bytes);
    mem_free(m, v);
}
