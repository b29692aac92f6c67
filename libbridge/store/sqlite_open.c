/* store/sqlite_open.c - the file: locked against a second process, made with mode 0600, brought to this version's schema.
 *
 * FILE.lock holds the lock and the owner's process number: SQLite's own locks come and go with each transaction. */
#include "base/clock.h"
#include "base/status.h"
#include "store/sqlite.h"
#include "store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const queries[Q_COUNT] = {
    [Q_PUT] = "INSERT OR REPLACE INTO kept(kind, key, value) VALUES (?1, ?2, ?3)",
    [Q_REMOVE] = "DELETE FROM kept WHERE kind = ?1 AND key = ?2",
    [Q_REMOVE_BELOW] = "DELETE FROM kept WHERE kind = ?1 AND key >= ?2 AND key < ?3",
    [Q_APPEND] = "INSERT OR REPLACE INTO queued(queue, number, value) VALUES (?1, ?2, ?3)",
    [Q_TRIM] = "DELETE FROM queued WHERE queue = ?1 AND number BETWEEN ?2 AND ?3",
    [Q_ITEMS] = "SELECT number, value FROM queued WHERE queue = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
    [Q_EACH] = "SELECT key, value FROM kept WHERE kind = ?1 AND key >= ?2 ORDER BY key",
    [Q_RECORD] = "INSERT OR REPLACE INTO history(path, time, part, format, number, name, origin, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [Q_PRUNE_OLD] = "DELETE FROM history WHERE path = ?1 AND time < min(?2, coalesce((SELECT time + 1 FROM history WHERE path = ?1 "
                    "ORDER BY time LIMIT 1 OFFSET 5000), ?2))",
    [Q_PRUNE_MOST] = "DELETE FROM history WHERE path = ?1 AND time < min((SELECT time FROM history WHERE path = ?1 ORDER BY time DESC, part DESC "
                     "LIMIT 1 OFFSET ?2 - 1), coalesce((SELECT time + 1 FROM history WHERE path = ?1 ORDER BY time LIMIT 1 OFFSET 5000), 9223372036854775807))",
};

/* migrations[n] brings schema n to n+1. */
static const char *const migrations[SQLITE_VERSION_OF_SCHEMA] = {
    "CREATE TABLE kept(kind INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY(kind, key)) WITHOUT ROWID;"
    "CREATE TABLE queued(queue INTEGER NOT NULL, number INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY(queue, number)) WITHOUT ROWID;",
    "CREATE TABLE history(path INTEGER NOT NULL, time INTEGER NOT NULL, part INTEGER NOT NULL, format INTEGER NOT NULL, number REAL, name TEXT,"
    " origin TEXT, value BLOB, PRIMARY KEY(path, time, part)) WITHOUT ROWID;",
    "", /* the same tables; but a queue may refer to a body in another one, which an older version would not find */
};

char *sqlite_name_with(const char *file, const char *suffix)
{
    size_t len = strlen(file) + strlen(suffix) + 1;
    char *name = mem_alloc(mem_default(), len);

    if (name) snprintf(name, len, "%s%s", file, suffix);
    return name;
}

/* ---- one process at a time */

static int lock_file(sqlite_state *s, bridge_error *err)
{
    char *name = sqlite_name_with(s->file, ".lock"), owner[32] = "";
    ssize_t n;

    s->lock = name ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    mem_free(mem_default(), name);
    if (s->lock < 0)
        return fail(err, errno == EACCES || errno == EROFS ? BRIDGE_DENIED : BRIDGE_IO, "store %s: cannot make %s.lock: %s", s->file, s->file,
                    strerror(errno));
    if (flock(s->lock, LOCK_EX | LOCK_NB) == 0) {
        n = snprintf(owner, sizeof owner, "%ld\n", (long)getpid());
        if (ftruncate(s->lock, 0) != 0 || pwrite(s->lock, owner, (size_t)n, 0) != n) return 0; /* a full disk; the lock holds */
        return 0;
    }
    n = pread(s->lock, owner, sizeof owner - 1, 0);
    owner[n > 0 ? n : 0] = 0;
    return fail(err, BRIDGE_EXISTS, "store %s is in use by process %.*s", s->file, (int)strcspn(owner, "\n"), *owner ? owner : "?");
}

/* ---- opening */

static int number_of(sqlite_state *s, const char *sql, int64_t *out)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL);

    if (rc == SQLITE_OK) rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int exec(sqlite_state *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL);
}

static int migrate(sqlite_state *s, int64_t from)
{
    char word[64];
    int rc = exec(s, "BEGIN IMMEDIATE");

    for (int64_t i = from; rc == SQLITE_OK && i < SQLITE_VERSION_OF_SCHEMA; i++) rc = exec(s, migrations[i]);
    snprintf(word, sizeof word, "PRAGMA user_version=%d; PRAGMA application_id=%d", SQLITE_VERSION_OF_SCHEMA, SQLITE_ID);
    if (rc == SQLITE_OK) rc = exec(s, word);
    if (rc == SQLITE_OK) rc = exec(s, "COMMIT");
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(s->db)) exec(s, "ROLLBACK");
    return rc;
}

/* The two tables are looked through once: better now than when somebody asks. */
static int look_through(sqlite_state *s)
{
    static const char *const checks[] = {"PRAGMA quick_check(kept)", "PRAGMA quick_check(queued)"};
    int rc = SQLITE_OK;

    for (int i = 0; rc == SQLITE_OK && i < 2; i++) {
        sqlite3_stmt *q = NULL;
        rc = sqlite3_prepare_v2(s->db, checks[i], -1, &q, NULL);
        if (rc == SQLITE_OK) rc = sqlite3_step(q);
        if (rc == SQLITE_ROW) rc = strcmp((const char *)sqlite3_column_text(q, 0), "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
        sqlite3_finalize(q);
    }
    return rc;
}

static int prepare_all(sqlite_state *s)
{
    int rc = SQLITE_OK;

    for (int i = 0; rc == SQLITE_OK && i < Q_COUNT; i++)
        rc = sqlite3_prepare_v3(s->db, queries[i], -1, SQLITE_PREPARE_PERSISTENT, &s->q[i], NULL);
    return rc;
}

void sqlite_close_db(sqlite_state *s)
{
    for (int i = 0; i < Q_COUNT; i++) {
        sqlite3_finalize(s->q[i]);
        s->q[i] = NULL;
    }
    sqlite3_close(s->db); /* the last one to close writes the WAL back and takes it away */
    s->db = NULL;
}

/* exclusive: no file of shared memory is made, which a full disk has no room for.  Tells the schema's version, and the tables there are. */
static int open_file(sqlite_state *s, bool exclusive, int64_t *version, int64_t *tables)
{
    int64_t id = 0;
    int rc = sqlite3_open_v2(s->file, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) return rc;
    if (sqlite3_db_readonly(s->db, NULL) == 1) return SQLITE_READONLY; /* SQLite takes what it gets */
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, s->wait); /* somebody's sqlite3 tool */
    rc = exclusive ? exec(s, "PRAGMA locking_mode=EXCLUSIVE") : SQLITE_OK;
    if (rc == SQLITE_OK) rc = number_of(s, "PRAGMA application_id", &id);
    if (rc == SQLITE_OK) rc = number_of(s, "PRAGMA user_version", version);
    if (rc == SQLITE_OK) rc = number_of(s, "SELECT count(*) FROM sqlite_master", tables);
    if (rc != SQLITE_OK) return rc;
    if (*tables > 0 && id != SQLITE_ID) return SQLITE_MISMATCH; /* somebody else's */
    return *version > SQLITE_VERSION_OF_SCHEMA ? SQLITE_NEWER : SQLITE_OK;
}

int sqlite_open_db(sqlite_state *s)
{
    int64_t version = 0, tables = 0;
    int fd, rc;

    sqlite_take_up_new(s->file);
    fd = open(s->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd); /* before SQLite has locks on it */
    rc = open_file(s, false, &version, &tables);
    if (rc != SQLITE_OK) return rc;
    rc = exec(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-16384;"
                 "PRAGMA journal_size_limit=67108864; PRAGMA temp_store=MEMORY");
    s->synced = true;
    if (rc == SQLITE_OK && version < SQLITE_VERSION_OF_SCHEMA) rc = migrate(s, version);
    if (rc == SQLITE_OK) rc = look_through(s);
    return rc == SQLITE_OK ? prepare_all(s) : rc;
}

/* ---- a full disk at the start: what is there is read, and the file is opened for good once there is room */

static bool is_full(const sqlite_state *s, int rc)
{
    return rc != SQLITE_OK && s->db && ((rc & 0xff) == SQLITE_FULL || rc == SQLITE_IOERR_SHMSIZE || sqlite3_system_errno(s->db) == ENOSPC);
}

static int open_late(sqlite_state *s)
{
    int64_t version = 0, tables = 0;
    int rc;

    sqlite_close_db(s);
    if (access(s->file, F_OK) != 0) return s->late = true, SQLITE_OK; /* not even a name for it */
    rc = open_file(s, true, &version, &tables);
    if (rc == SQLITE_OK && tables > 0) rc = look_through(s);
    for (int i = Q_ITEMS; rc == SQLITE_OK && tables > 0 && i <= Q_EACH; i++) rc = sqlite3_prepare_v2(s->db, queries[i], -1, &s->q[i], NULL);
    if (rc == SQLITE_OK && tables == 0) sqlite_close_db(s); /* it has never been one */
    s->late = rc == SQLITE_OK;
    return rc;
}

int sqlite_open_again(sqlite_state *s)
{
    int rc;

    sqlite_close_db(s);
    rc = sqlite_open_db(s);
    if (rc == SQLITE_OK) {
        s->late = false;
        return 0;
    }
    rc = is_full(s, rc) ? SQLITE_FULL : rc;
    if (rc < SQLITE_NEWER && s->db) rc = sqlite_failed(s, rc);
    else rc = BRIDGE_IO;
    for (int i = 0; i < Q_COUNT; i++) { /* prepared by halves */
        sqlite3_finalize(s->q[i]);
        s->q[i] = NULL;
    }
    open_late(s); /* somebody may yet want to read */
    s->late = true;
    return rc;
}

static int explain(sqlite_state *s, int rc, bridge_error *err)
{
    if (rc == SQLITE_MISMATCH) return fail(err, BRIDGE_INVALID, "store %s is a SQLite file, but not one of a bridge", s->file);
    if (rc == SQLITE_NEWER) return fail(err, BRIDGE_UNSUPPORTED, "store %s was written by a newer version", s->file);
    if ((rc & 0xff) == SQLITE_READONLY) return fail(err, BRIDGE_DENIED, "store %s is read-only", s->file);
    return fail(err, (rc & 0xff) == SQLITE_CANTOPEN ? BRIDGE_DENIED : BRIDGE_IO, "store %s: %s", s->file, s->db ? sqlite3_errmsg(s->db) : "no memory");
}

int sqlite_open(void **out, const char *where, int wait, bridge_error *note, bridge_error *err)
{
    sqlite_state *s = mem_zalloc(mem_default(), sizeof *s);
    pthread_mutexattr_t again;
    int rc;

    if (!s || !(s->file = sqlite_name_with(where, ""))) {
        mem_free(mem_default(), s);
        return fail_nomem(err);
    }
    s->wait = wait;
    pthread_mutexattr_init(&again);
    pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->busy, &again);
    pthread_mutexattr_destroy(&again);
    rc = lock_file(s, err);
    if (rc == 0) {
        rc = sqlite_open_db(s);
        if (rc == SQLITE_OK && sqlite_is_marked(s)) rc = SQLITE_CORRUPT;
        if (sqlite_is_corrupt(rc) && s->db) {
            rc = sqlite_replace(s, rc, note, err);
            if (rc == 0) rc = sqlite_open_db(s);
        }
        if (is_full(s, rc)) {
            rc = open_late(s);
            if (rc == SQLITE_OK) fail(note, BRIDGE_BUSY, "the disk is full; nothing is kept until there is room");
        }
        if (rc > 0) rc = explain(s, rc, err);
    }
    if (rc < 0) {
        sqlite_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void sqlite_close(void *e)
{
    sqlite_state *s = e;

    sqlite_close_db(s);
    pthread_mutex_destroy(&s->busy);
    if (s->lock >= 0) close(s->lock); /* FILE.lock stays: taking it away would race with the next owner */
    mem_free(mem_default(), s->file);
    mem_free(mem_default(), s);
}
