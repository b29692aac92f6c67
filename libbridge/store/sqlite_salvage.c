/* store/sqlite_salvage.c - a file that is damaged when it is opened: what can be read of it goes into a new one, and it is moved aside, never
 * deleted.
 *
 *      FILE --rows that can be read--> FILE.new        FILE -> FILE.corrupt-<time>        FILE.new -> FILE
 *
 * Killed in between, nothing is lost: the rows are one transaction, and FILE.new counts only when there is no FILE. */
#include "base/status.h"
#include "store/sqlite.h"
#include "store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* ---- names */

static void move_one(const char *file, const char *suffix, const char *to_file)
{
    char *from = sqlite_name_with(file, suffix), *to = sqlite_name_with(to_file, suffix);

    if (from && to) rename(from, to);
    mem_free(mem_default(), from);
    mem_free(mem_default(), to);
}

static void remove_one(const char *file, const char *suffix)
{
    char *name = sqlite_name_with(file, suffix);

    if (name) unlink(name);
    mem_free(mem_default(), name);
}

static void name_aside(const char *file, char *out, size_t room)
{
    time_t now = time(NULL);
    struct tm t;

    gmtime_r(&now, &t);
    for (int i = 0; i < 1000; i++) { /* several in one second */
        snprintf(out, room, "%s.corrupt-%04d%02d%02dT%02d%02d%02dZ-%d", file, t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, i);
        if (access(out, F_OK) != 0) break;
    }
}

void sqlite_take_up_new(const char *file)
{
    char *made = sqlite_name_with(file, ".new"), aside[PATH_MAX];

    if (made && access(file, F_OK) != 0 && access(made, F_OK) == 0) {
        name_aside(file, aside, sizeof aside);
        move_one(file, "-wal", aside); /* of the one before: it would be taken for the new one's */
        move_one(file, "-shm", aside);
        rename(made, file);
    }
    mem_free(mem_default(), made);
}

/* ---- rows */

static const struct table {
    const char *name, *up, *down;
    int columns;
} tables[] = {
    {"kept", "kind, key", "kind DESC, key DESC", 3},
    {"queued", "queue, number", "queue DESC, number DESC", 3},
    {"history", "path, time, part", "path DESC, time DESC, part DESC", 8},
};

static sqlite3_stmt *prepare(sqlite3 *db, const char *format, const char *name, const char *rest)
{
    char sql[200];
    sqlite3_stmt *q = NULL;

    snprintf(sql, sizeof sql, format, name, rest);
    sqlite3_prepare_v2(db, sql, -1, &q, NULL);
    return q; /* NULL: not even that can be read */
}

static int put_row(sqlite3_stmt *row, sqlite3_stmt *put, int columns)
{
    int rc = SQLITE_OK;

    for (int i = 0; rc == SQLITE_OK && i < columns; i++) rc = sqlite3_bind_value(put, i + 1, sqlite3_column_value(row, i));
    if (rc == SQLITE_OK) rc = sqlite3_step(put);
    sqlite3_reset(put);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* To the end, or to where it cannot be read; *whole says which.  A row that is there already is one met twice: then the rest is, too,
 * and a tree that leads back into itself ends here. */
static int copy_rows(sqlite3_stmt *rows, sqlite3_stmt *put, sqlite3 *to, int columns, int64_t *count, bool *whole)
{
    int rc = SQLITE_OK, got = SQLITE_ERROR;

    while (rc == SQLITE_OK && rows && (got = sqlite3_step(rows)) == SQLITE_ROW) {
        rc = put_row(rows, put, columns);
        if (rc == SQLITE_OK && sqlite3_changes(to) == 0) break;
        if (rc == SQLITE_OK) ++*count;
    }
    *whole = got == SQLITE_DONE;
    return rc;
}

static int copy_table(sqlite3 *from, sqlite3 *to, const struct table *t, int64_t *count)
{
    sqlite3_stmt *rows = prepare(from, "SELECT * FROM %s ORDER BY %s", t->name, t->up);
    sqlite3_stmt *put = prepare(to, "INSERT OR IGNORE INTO %s VALUES (%s)", t->name, t->columns == 3 ? "?,?,?" : "?,?,?,?,?,?,?,?");
    bool whole = false;
    int rc = !put ? sqlite3_errcode(to) : copy_rows(rows, put, to, t->columns, count, &whole);

    sqlite3_finalize(rows);
    if (rc == SQLITE_OK && !whole) {
        rows = prepare(from, "SELECT * FROM %s ORDER BY %s", t->name, t->down);
        rc = copy_rows(rows, put, to, t->columns, count, &whole);
        sqlite3_finalize(rows);
    }
    sqlite3_finalize(put);
    return rc;
}

/* ---- what was about something that is lost goes, too, or it would be about the next of that name or number */

static const char no_orphans[] =
    "DELETE FROM kept WHERE kind IN (3, 4, 13) AND NOT EXISTS (SELECT 1 FROM kept AS s WHERE s.kind = 2 AND s.key = "
    "substr(kept.key, 1, instr(kept.key, x'00') - 1));"
    "DELETE FROM kept WHERE kind = 8 AND NOT EXISTS (SELECT 1 FROM kept AS s WHERE s.kind = 7 AND s.key = "
    "substr(kept.key, 1, instr(kept.key, x'00') - 1));"
    "DELETE FROM history WHERE path NOT IN (SELECT id FROM known)";

/* The paths of the history are numbered; its rows have only the number. */
static int know_paths(sqlite3 *db)
{
    sqlite3_stmt *rows = prepare(db, "SELECT value FROM %s WHERE %s", "kept", "kind = 11 AND length(value) = 4");
    int rc = sqlite3_exec(db, "CREATE TEMP TABLE known(id INTEGER PRIMARY KEY)", NULL, NULL, NULL);
    sqlite3_stmt *put = prepare(db, "INSERT OR IGNORE INTO %s VALUES (%s)", "known", "?");

    while (rc == SQLITE_OK && rows && put && sqlite3_step(rows) == SQLITE_ROW) {
        uint32_t id;
        memcpy(&id, sqlite3_column_blob(rows, 0), sizeof id);
        rc = sqlite3_bind_int64(put, 1, id);
        if (rc == SQLITE_OK) sqlite3_step(put);
        sqlite3_reset(put);
    }
    sqlite3_finalize(rows);
    sqlite3_finalize(put);
    return rc;
}

/* Queues are numbered as well: in ranges of 2^32, one for each start, so that the seconds since 1970 are beyond them all. */
static int go_on_counting(sqlite3 *db)
{
    uint64_t range = (uint64_t)time(NULL) << 32;
    sqlite3_stmt *put = prepare(db, "INSERT OR IGNORE INTO %s VALUES (0, %s, ?)", "kept", "CAST('queues' AS BLOB)");
    int rc = put ? sqlite3_bind_blob(put, 1, &range, sizeof range, SQLITE_STATIC) : SQLITE_ERROR;

    if (rc == SQLITE_OK && sqlite3_step(put) != SQLITE_DONE) rc = sqlite3_errcode(db);
    sqlite3_finalize(put);
    return rc;
}

/* ---- the whole of it */

static int copy_all(sqlite3 *from, sqlite3 *to, int64_t *count)
{
    int rc = sqlite3_exec(to, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    for (size_t i = 0; rc == SQLITE_OK && i < sizeof tables / sizeof *tables; i++) rc = copy_table(from, to, &tables[i], count);
    if (rc == SQLITE_OK) rc = know_paths(to);
    if (rc == SQLITE_OK) rc = sqlite3_exec(to, no_orphans, NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = go_on_counting(to);
    return rc == SQLITE_OK ? sqlite3_exec(to, "COMMIT", NULL, NULL, NULL) : rc;
}

static void remove_new(const char *name)
{
    remove_one(name, "");
    remove_one(name, "-wal");
    remove_one(name, "-shm");
}

static int make_new(const sqlite_state *s, int64_t *count)
{
    sqlite_state made = {.file = sqlite_name_with(s->file, ".new"), .wait = s->wait, .lock = -1};
    int rc = made.file ? SQLITE_OK : SQLITE_NOMEM;

    if (rc == SQLITE_OK) {
        remove_new(made.file);
        rc = sqlite_open_db(&made);
    }
    if (rc == SQLITE_OK) rc = copy_all(s->db, made.db, count);
    if (rc == SQLITE_OK) rc = sqlite3_wal_checkpoint_v2(made.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite_close_db(&made);
    if (rc != SQLITE_OK && made.file) remove_new(made.file);
    mem_free(mem_default(), made.file);
    return rc;
}

int sqlite_replace(sqlite_state *s, int why, bridge_error *note, bridge_error *err)
{
    char aside[PATH_MAX];
    int64_t count = 0;
    int rc = make_new(s, &count);

    sqlite_close_db(s);
    name_aside(s->file, aside, sizeof aside);
    if (rename(s->file, aside) != 0)
        return fail(err, BRIDGE_IO, "store %s is damaged (%s) and cannot be moved aside: %s", s->file, sqlite3_errstr(why), strerror(errno));
    move_one(s->file, "-wal", aside);
    move_one(s->file, "-shm", aside);
    remove_one(s->file, ".damaged");
    if (rc == SQLITE_OK)
        fail(note, BRIDGE_IO, "the file was damaged and is moved to %s; what could be read of it, %lld entries, is in a new one (%s)", aside, (long long)count,
             sqlite3_errstr(why));
    else
        fail(note, BRIDGE_IO, "the file was damaged and is moved to %s; nothing of it could be copied (%s), an empty one is begun", aside, sqlite3_errstr(rc));
    return 0;
}

/* ---- while it is in use: only the next start can look for what is lost, and not all damage shows when a file is opened */

void sqlite_mark_damaged(const sqlite_state *s)
{
    char *name = sqlite_name_with(s->file, ".damaged");
    int fd = name ? open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd >= 0) close(fd);
    mem_free(mem_default(), name);
}

bool sqlite_is_marked(const sqlite_state *s)
{
    char *name = sqlite_name_with(s->file, ".damaged");
    bool is = name && access(name, F_OK) == 0;

    mem_free(mem_default(), name);
    return is;
}
