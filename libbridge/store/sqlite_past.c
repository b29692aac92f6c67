/* store/sqlite_past.c - history in the file: one row a record, in the order of path and time.  Views are connections of their own: WAL lets
 * them read while the writer writes. */
#include "store/sqlite.h"
#include "store/store.h"

int sqlite_record(void *e, const bridge_past *p)
{
    sqlite_state *s = e;
    sqlite3_stmt *q = s->q[Q_RECORD];

    sqlite3_bind_int64(q, 1, p->path);
    sqlite3_bind_int64(q, 2, p->time);
    sqlite3_bind_int64(q, 3, p->part);
    sqlite3_bind_int(q, 4, p->format);
    if (p->is_number) sqlite3_bind_double(q, 5, p->number);
    else sqlite3_bind_null(q, 5);
    if (p->name) sqlite3_bind_text(q, 6, p->name, -1, SQLITE_STATIC);
    else sqlite3_bind_null(q, 6);
    if (p->origin) sqlite3_bind_text(q, 7, p->origin, -1, SQLITE_STATIC);
    else sqlite3_bind_null(q, 7);
    sqlite3_bind_blob64(q, 8, p->len ? p->value : "", p->len, SQLITE_STATIC);
    return sqlite_step(s, Q_RECORD);
}

int sqlite_prune(void *e, uint32_t path, int64_t before, uint64_t most)
{
    sqlite_state *s = e;
    int rc = 0, gone = 0;

    if (before > 0) {
        sqlite3_bind_int64(s->q[Q_PRUNE_OLD], 1, path);
        sqlite3_bind_int64(s->q[Q_PRUNE_OLD], 2, before);
        rc = sqlite_step(s, Q_PRUNE_OLD);
        gone = rc == 0 ? sqlite3_changes(s->db) : 0;
    }
    if (rc < 0 || !most || gone >= SQLITE_PRUNE) return rc < 0 ? rc : gone >= SQLITE_PRUNE;
    sqlite3_bind_int64(s->q[Q_PRUNE_MOST], 1, path);
    sqlite3_bind_int64(s->q[Q_PRUNE_MOST], 2, (sqlite3_int64)most);
    rc = sqlite_step(s, Q_PRUNE_MOST);
    return rc < 0 ? rc : sqlite3_changes(s->db) >= SQLITE_PRUNE;
}

/* ---- reading */

typedef struct view {
    sqlite3 *db;
    sqlite3_stmt *up, *down;
} view;

#define COLUMNS "SELECT time, part, format, number, name, origin, value FROM history WHERE path = ?1 AND time >= ?2 AND time <= ?3 "

int sqlite_view(void *e, void **out)
{
    const sqlite_state *s = e;
    view *v = mem_zalloc(mem_default(), sizeof *v);
    int rc;

    if (!v) return BRIDGE_NOMEM;
    rc = sqlite3_open_v2(s->file, &v->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_busy_timeout(v->db, 5000);
    if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(v->db, COLUMNS "ORDER BY time, part", -1, &v->up, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(v->db, COLUMNS "ORDER BY time DESC, part DESC", -1, &v->down, NULL);
    if (rc == SQLITE_OK) {
        *out = v;
        return 0;
    }
    sqlite_view_close(v);
    return BRIDGE_IO;
}

int sqlite_past(void *at, uint32_t path, int64_t from, int64_t upto, bool newest_first, bridge_past_fn fn, void *user)
{
    view *v = at;
    sqlite3_stmt *q = newest_first ? v->down : v->up;
    int rc, said = 0;

    sqlite3_bind_int64(q, 1, path);
    sqlite3_bind_int64(q, 2, from);
    sqlite3_bind_int64(q, 3, upto);
    while (said == 0 && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        bridge_past p = {.path = path, .time = sqlite3_column_int64(q, 0), .part = (uint32_t)sqlite3_column_int64(q, 1),
                         .format = (uint16_t)sqlite3_column_int(q, 2), .is_number = sqlite3_column_type(q, 3) != SQLITE_NULL};
        if (p.is_number) p.number = sqlite3_column_double(q, 3);
        p.name = (const char *)sqlite3_column_text(q, 4);
        p.origin = (const char *)sqlite3_column_text(q, 5);
        p.value = sqlite3_column_blob(q, 6);
        p.len = (size_t)sqlite3_column_bytes(q, 6);
        said = fn(user, &p);
    }
    if (said == 0 && rc != SQLITE_DONE) said = BRIDGE_IO;
    sqlite3_reset(q);
    return said;
}

void sqlite_view_close(void *at)
{
    view *v = at;

    if (!v) return;
    sqlite3_finalize(v->up);
    sqlite3_finalize(v->down);
    sqlite3_close(v->db);
    mem_free(mem_default(), v);
}
