/* The public calls that read what was. */
#include "api/bridge.h"
#include "base/status.h"
#include "hub/history.h"

struct bridge_history_cursor {
    bridge *bridge;
    history_view *view;
};

typedef struct opening {
    const char *filter;
    bridge_history_range range;
    history_view *view;
    bridge_error *err;
} opening;

static int do_open(bridge *b, void *args)
{
    opening *o = args;

    return history_view_open(b->hub, o->filter, o->range.since, o->range.until ? o->range.until : INT64_MAX, o->range.newest_first, &o->view, o->err);
}

static int do_names(bridge *b, void *args)
{
    (void)b;
    return history_view_names(args);
}

int bridge_history_open(bridge *b, const char *filter, const bridge_history_range *range, bridge_history_cursor **out, bridge_error *err)
{
    opening o = {.filter = filter, .err = err};
    bridge_history_cursor *c;
    int rc;

    if (!filter || !out) return fail(err, BRIDGE_INVALID, "no path, or nowhere to put the cursor");
    if (range) memcpy(&o.range, range, range->size < sizeof o.range ? range->size : sizeof o.range);
    c = mem_new(b->mem, bridge_history_cursor);
    if (!c) return fail_nomem(err);
    rc = on_loop(b, do_open, &o);
    if (rc < 0) {
        mem_free(b->mem, c);
        return rc;
    }
    *c = (bridge_history_cursor){b, o.view};
    *out = c;
    return 0;
}

int bridge_history_next(bridge_history_cursor *c, bridge_history_record *record)
{
    bridge_past past;
    const char *path;
    int rc = history_view_next(c->view, &path, &past);

    while (rc == HISTORY_VIEW_NAMES) { /* a turn of the loop for each: others come in between */
        rc = on_loop(c->bridge, do_names, c->view);
        if (rc == 0) rc = history_view_next(c->view, &path, &past);
    }
    if (rc <= 0) return rc;
    bridge_history_record found = {.size = record->size, .path = path, .name = past.name, .time = past.time, .data = past.value, .len = past.len,
                                   .format = (bridge_format)past.format, .is_number = past.is_number, .number = past.number, .origin = past.origin};
    memcpy(record, &found, record->size < sizeof found ? record->size : sizeof found);
    return 1;
}

void bridge_history_close(bridge_history_cursor *c)
{
    mem *m;

    if (!c) return;
    m = c->bridge->mem;
    history_view_close(c->view);
    mem_free(m, c);
}
