/* store/past.c - history, this side of the engine. */
#include "store/store.h"

int bridge_store_record(bridge_store *s, const bridge_past *p)
{
    size_t name_len = p->name ? strlen(p->name) + 1 : 0, origin_len = p->origin ? strlen(p->origin) + 1 : 0;
    store_past *at;
    store_op *op;
    char *text_at;

    if (!s || !s->engine->record) return BRIDGE_UNSUPPORTED;
    op = store_add(s, OP_RECORD, 0, sizeof *at + name_len + origin_len + p->len);
    if (!op) return BRIDGE_NOMEM;
    at = (store_past *)(op + 1);
    *at = (store_past){.time = p->time, .number = p->number, .path = p->path, .part = p->part, .name_len = (uint32_t)name_len,
                       .origin_len = (uint32_t)origin_len, .format = p->format, .is_number = p->is_number};
    text_at = (char *)(at + 1);
    if (name_len) memcpy(text_at, p->name, name_len);
    if (origin_len) memcpy(text_at + name_len, p->origin, origin_len);
    if (p->len) memcpy(text_at + name_len + origin_len, p->value, p->len);
    return 0;
}

int bridge_store_prune(bridge_store *s, uint32_t path, int64_t before, uint64_t most)
{
    store_op *op = s && s->engine->prune ? store_add(s, OP_PRUNE, 0, sizeof(store_past)) : NULL;

    if (!op) return s && s->engine->prune ? BRIDGE_NOMEM : BRIDGE_UNSUPPORTED;
    *(store_past *)(op + 1) = (store_past){.time = before, .most = most, .path = path};
    return 0;
}

int store_run_past(bridge_store *s, const store_op *op)
{
    const store_past *at = (const store_past *)(op + 1);
    const char *text_at = (const char *)(at + 1);
    bridge_past p = {.path = at->path, .part = at->part, .time = at->time, .format = at->format, .is_number = at->is_number, .number = at->number};

    if (op->op == OP_PRUNE) {
        int rc = s->engine->prune(s->state, at->path, at->time, at->most);
        if (rc > 0) atomic_store(&s->more_to_prune, true);
        return rc < 0 ? rc : 0;
    }
    if (at->name_len) p.name = text_at;
    if (at->origin_len) p.origin = text_at + at->name_len;
    p.value = text_at + at->name_len + at->origin_len;
    p.len = op->len - sizeof *at - at->name_len - at->origin_len;
    return s->engine->record(s->state, &p);
}

int bridge_store_view(bridge_store *s, void **out)
{
    return s && s->engine->view ? s->engine->view(s->state, out) : BRIDGE_UNSUPPORTED;
}

int bridge_store_past(bridge_store *s, void *view, uint32_t path, int64_t from, int64_t upto, bool newest_first, bridge_past_fn fn, void *user)
{
    return s->engine->past(view, path, from, upto, newest_first, fn, user);
}

void bridge_store_view_close(bridge_store *s, void *view)
{
    if (view) s->engine->view_close(view);
}
