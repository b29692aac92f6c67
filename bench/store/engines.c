/* bench/store/engines.c - SQLite (WAL) against LMDB for what the store does: upserts, queues, ranges, recovery, size on disk.
 * Figures and the decision: docs/why/70-store.md.
 *
 *   cc -O2 engines.c -o engines -lsqlite3 -llmdb && ./engines DIRECTORY [records]
 *
 * Both commit a batch of 500 with one sync, as group commit does; CPU seconds are those of the whole process, all threads. */
#include <lmdb.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 500, VALUE = 100 };

static double now(clockid_t which)
{
    struct timespec t;

    clock_gettime(which, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "%s failed\n", what);
    _exit(1);
}

/* ---- what both can do */

typedef struct engine {
    const char *name;
    void (*open)(const char *file);
    void (*begin)(void);
    void (*put)(const void *key, size_t key_len, const void *value, size_t len);
    void (*remove)(const void *key, size_t key_len);
    void (*commit)(void);
    size_t (*range)(const void *from, const void *to, size_t key_len);
    void (*close)(void);
} engine;

/* ---- SQLite */

static sqlite3 *db;
static sqlite3_stmt *put_q, *del_q, *range_q;

static void s_open(const char *file)
{
    must(sqlite3_open(file, &db) == SQLITE_OK, "sqlite3_open");
    sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-65536;"
                     "CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID", NULL, NULL, NULL);
    must(sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO kept VALUES (?1, ?2)", -1, &put_q, NULL) == SQLITE_OK, "prepare");
    must(sqlite3_prepare_v2(db, "DELETE FROM kept WHERE key = ?1", -1, &del_q, NULL) == SQLITE_OK, "prepare");
    must(sqlite3_prepare_v2(db, "SELECT key, value FROM kept WHERE key >= ?1 AND key < ?2", -1, &range_q, NULL) == SQLITE_OK, "prepare");
}
static void s_begin(void) { must(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK, "begin"); }
static void s_commit(void) { must(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK, "commit"); }
static void s_put(const void *key, size_t key_len, const void *value, size_t len)
{
    sqlite3_bind_blob(put_q, 1, key, (int)key_len, SQLITE_STATIC);
    sqlite3_bind_blob(put_q, 2, value, (int)len, SQLITE_STATIC);
    must(sqlite3_step(put_q) == SQLITE_DONE, "put");
    sqlite3_reset(put_q);
}
static void s_remove(const void *key, size_t key_len)
{
    sqlite3_bind_blob(del_q, 1, key, (int)key_len, SQLITE_STATIC);
    must(sqlite3_step(del_q) == SQLITE_DONE, "remove");
    sqlite3_reset(del_q);
}
static size_t s_range(const void *from, const void *to, size_t key_len)
{
    size_t n = 0;

    sqlite3_bind_blob(range_q, 1, from, (int)key_len, SQLITE_STATIC);
    sqlite3_bind_blob(range_q, 2, to, (int)key_len, SQLITE_STATIC);
    while (sqlite3_step(range_q) == SQLITE_ROW) n += sqlite3_column_bytes(range_q, 1) > 0;
    sqlite3_reset(range_q);
    return n;
}
static void s_close(void)
{
    sqlite3_finalize(put_q);
    sqlite3_finalize(del_q);
    sqlite3_finalize(range_q);
    sqlite3_close(db);
}

/* ---- LMDB */

static MDB_env *env;
static MDB_txn *txn;
static MDB_dbi dbi;

static void l_open(const char *file)
{
    must(mdb_env_create(&env) == 0, "mdb_env_create");
    mdb_env_set_mapsize(env, (size_t)8 << 30);
    must(mdb_env_open(env, file, MDB_NOSUBDIR, 0600) == 0, "mdb_env_open");
    mdb_txn_begin(env, NULL, 0, &txn);
    must(mdb_dbi_open(txn, NULL, MDB_CREATE, &dbi) == 0, "mdb_dbi_open");
    mdb_txn_commit(txn);
}
static void l_begin(void) { must(mdb_txn_begin(env, NULL, 0, &txn) == 0, "begin"); }
static void l_commit(void) { must(mdb_txn_commit(txn) == 0, "commit"); }
static void l_put(const void *key, size_t key_len, const void *value, size_t len)
{
    MDB_val k = {key_len, (void *)(uintptr_t)key}, v = {len, (void *)(uintptr_t)value};

    must(mdb_put(txn, dbi, &k, &v, 0) == 0, "put");
}
static void l_remove(const void *key, size_t key_len)
{
    MDB_val k = {key_len, (void *)(uintptr_t)key};

    must(mdb_del(txn, dbi, &k, NULL) == 0, "remove");
}
static size_t l_range(const void *from, const void *to, size_t key_len)
{
    MDB_val k = {key_len, (void *)(uintptr_t)from}, v;
    MDB_cursor *c;
    size_t n = 0;

    mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    mdb_cursor_open(txn, dbi, &c);
    for (int rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE); rc == 0 && memcmp(k.mv_data, to, key_len) < 0; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))
        n += v.mv_size > 0;
    mdb_cursor_close(c);
    mdb_txn_abort(txn);
    return n;
}
static void l_close(void) { mdb_env_close(env); }

static const engine engines[] = {
    {"sqlite", s_open, s_begin, s_put, s_remove, s_commit, s_range, s_close},
    {"lmdb", l_open, l_begin, l_put, l_remove, l_commit, l_range, l_close},
};

/* ---- the loads */

static void key_of(uint8_t key[9], uint8_t kind, uint64_t n)
{
    key[0] = kind;
    for (int i = 0; i < 8; i++) key[1 + i] = (uint8_t)(n >> (56 - 8 * i));
}

static void tell(const char *name, const char *what, size_t n, double cpu, double wall)
{
    printf("%-8s %-28s %9.0f /s  %9.0f /CPU-s\n", name, what, (double)n / wall, (double)n / cpu);
    fflush(stdout);
}

static void run(const engine *e, const char *what, size_t n, void (*one)(const engine *, size_t, size_t), size_t of)
{
    double cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);

    for (size_t i = 0; i < n; i++) {
        if (i % BATCH == 0) e->begin();
        one(e, i, of);
        if (i % BATCH == BATCH - 1 || i == n - 1) e->commit();
    }
    tell(e->name, what, n, now(CLOCK_PROCESS_CPUTIME_ID) - cpu, now(CLOCK_MONOTONIC) - wall);
}

static uint8_t payload[VALUE];

static void upsert(const engine *e, size_t i, size_t of)
{
    char path[64];
    int len = snprintf(path, sizeof path, "Vsite/%zu/device/%zu/temperature", (i * 2654435761u) % of % 1000, (i * 2654435761u) % of);

    memcpy(payload, &i, sizeof i);
    e->put(path, (size_t)len, payload, VALUE);
}

static void queue(const engine *e, size_t i, size_t of)
{
    uint8_t key[9];

    key_of(key, 'Q', i);
    e->put(key, sizeof key, payload, VALUE);
    if (i < of) return;
    key_of(key, 'Q', i - of);
    e->remove(key, sizeof key);
}

static void append(const engine *e, size_t i, size_t of)
{
    uint8_t key[9];

    (void)of;
    key_of(key, 'H', i);
    e->put(key, sizeof key, payload, 24);
}

static void sizes(const char *name, const char *file, const char *when)
{
    char side[600];
    struct stat st = {0}, wal = {0};

    snprintf(side, sizeof side, "%s-wal", file);
    stat(file, &st);
    stat(side, &wal);
    printf("%-8s %-28s %9.1f MB (+ WAL %.1f MB)\n", name, when, (double)st.st_blocks * 512 / 1e6, (double)wal.st_size / 1e6);
}

static void measure(const engine *e, const char *file, size_t n)
{
    uint8_t from[9], to[9];
    double t;
    size_t found;
    pid_t child = fork();

    if (child == 0) { /* all of it in a process that ends without closing anything */
        e->open(file);
        run(e, "upsert, new keys", n, upsert, n);
        run(e, "upsert, known keys", n, upsert, n / 10);
        run(e, "queue, append + delete", n, queue, 1000);
        run(e, "history, append", n, append, 0);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    sizes(e->name, file, "size");
    t = now(CLOCK_MONOTONIC);
    e->open(file);
    key_of(from, 'H', 0);
    key_of(to, 'H', 1);
    e->range(from, to, sizeof from);
    printf("%-8s %-28s %9.1f ms\n", e->name, "open after a kill", (now(CLOCK_MONOTONIC) - t) * 1e3);
    t = now(CLOCK_MONOTONIC);
    key_of(to, 'H', n);
    found = e->range(from, to, sizeof from);
    tell(e->name, "range read", found, now(CLOCK_MONOTONIC) - t, now(CLOCK_MONOTONIC) - t);
    e->close();
}

int main(int argc, char **argv)
{
    size_t n = argc > 2 ? (size_t)atol(argv[2]) : 1000000;

    if (argc < 2) return 2;
    for (size_t i = 0; i < 2; i++) {
        char file[500], wal[520];
        snprintf(file, sizeof file, "%s/engines.%s", argv[1], engines[i].name);
        snprintf(wal, sizeof wal, "%s-wal", file);
        unlink(file);
        unlink(wal);
        measure(&engines[i], file, n);
        unlink(file);
    }
    return 0;
}
