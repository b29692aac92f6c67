/* store/sqlite.c - what a batch does to the file. */
#include "store/sqlite.h"
#include "base/status.h"
#include "store/store.h"
#include <stdio.h>

bool sqlite_is_corrupt(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

int sqlite_failed(sqlite_state *s, int rc)
{
    snprintf(s->why, sizeof s->why, "%s%s", (rc & 0xff) == SQLITE_FULL ? "the disk is full" : sqlite3_errmsg(s->db),
             sqlite_is_corrupt(rc) ? ": the file is damaged, and the next start takes over what can be read of it" : "");
    if (sqlite_is_corrupt(rc)) sqlite_mark_damaged(s);
    return (rc & 0xff) == SQLITE_NOMEM ? BRIDGE_NOMEM : (rc & 0xff) == SQLITE_FULL ? BRIDGE_BUSY : BRIDGE_IO;
}

int sqlite_step(sqlite_state *s, sqlite_query which)
{
    int rc = sqlite3_step(s->q[which]);

    sqlite3_reset(s->q[which]);
    return rc == SQLITE_DONE ? 0 : sqlite_failed(s, rc);
}

static int run(sqlite_state *s, const char *sql)
{
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sqlite_failed(s, rc);
}

static int begin(void *e, bool sync)
{
    sqlite_state *s = e;
    int rc;

    pthread_mutex_lock(&s->busy); /* until commit() or rollback() */
    rc = s->late ? sqlite_open_again(s) : 0;
    if (rc == 0 && sync != s->synced) rc = run(s, sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    if (rc < 0) return rc;
    s->synced = sync;
    rc = run(s, "BEGIN IMMEDIATE");
    s->in_transaction = rc == 0;
    return rc;
}

static int put(void *e, unsigned kind, const void *key, size_t key_len, const void *value, size_t len)
{
    sqlite_state *s = e;

    sqlite3_bind_int(s->q[Q_PUT], 1, (int)kind);
    sqlite3_bind_blob64(s->q[Q_PUT], 2, key_len ? key : "", key_len, SQLITE_STATIC);
    sqlite3_bind_blob64(s->q[Q_PUT], 3, len ? value : "", len, SQLITE_STATIC);
    return sqlite_step(s, Q_PUT);
}

static int remove_key(void *e, unsigned kind, const void *key, size_t key_len)
{
    sqlite_state *s = e;

    sqlite3_bind_int(s->q[Q_REMOVE], 1, (int)kind);
    sqlite3_bind_blob64(s->q[Q_REMOVE], 2, key_len ? key : "", key_len, SQLITE_STATIC);
    return sqlite_step(s, Q_REMOVE);
}

/* Prefixes end in a byte that can be one more: a NUL mostly. */
static int remove_below(void *e, unsigned kind, const void *prefix, size_t len)
{
    sqlite_state *s = e;
    uint8_t *end;
    int rc;

    if (len == 0 || ((const uint8_t *)prefix)[len - 1] == 0xff) return BRIDGE_INVALID;
    end = mem_copy(mem_default(), prefix, len);
    if (!end) return BRIDGE_NOMEM;
    end[len - 1]++;
    sqlite3_bind_int(s->q[Q_REMOVE_BELOW], 1, (int)kind);
    sqlite3_bind_blob64(s->q[Q_REMOVE_BELOW], 2, prefix, len, SQLITE_STATIC);
    sqlite3_bind_blob64(s->q[Q_REMOVE_BELOW], 3, end, len, SQLITE_STATIC);
    rc = sqlite_step(s, Q_REMOVE_BELOW);
    mem_free(mem_default(), end);
    return rc;
}

/* Numbers beyond 2^63 keep their order: the column is signed, so its halves change places. */
static sqlite3_int64 as_signed(uint64_t n)
{
    return (sqlite3_int64)(n ^ (uint64_t)1 << 63);
}

static int append(void *e, uint64_t queue, uint64_t number, const void *value, size_t len)
{
    sqlite_state *s = e;

    sqlite3_bind_int64(s->q[Q_APPEND], 1, (sqlite3_int64)queue);
    sqlite3_bind_int64(s->q[Q_APPEND], 2, as_signed(number));
    sqlite3_bind_blob64(s->q[Q_APPEND], 3, len ? value : "", len, SQLITE_STATIC);
    return sqlite_step(s, Q_APPEND);
}

static int trim(void *e, uint64_t queue, uint64_t from, uint64_t upto)
{
    sqlite_state *s = e;

    sqlite3_bind_int64(s->q[Q_TRIM], 1, (sqlite3_int64)queue);
    sqlite3_bind_int64(s->q[Q_TRIM], 2, as_signed(from));
    sqlite3_bind_int64(s->q[Q_TRIM], 3, as_signed(upto));
    return sqlite_step(s, Q_TRIM);
}

static int commit(void *e)
{
    sqlite_state *s = e;
    int rc = run(s, "COMMIT");

    if (rc < 0) return rc;
    s->in_transaction = false;
    pthread_mutex_unlock(&s->busy);
    return 0;
}

static void rollback(void *e)
{
    sqlite_state *s = e;

    for (int i = 0; i < Q_COUNT; i++) sqlite3_reset(s->q[i]);
    if (s->db && !sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    s->in_transaction = false;
    pthread_mutex_unlock(&s->busy);
}

/* ---- reading */

/* All keys of a kind from prefix on; the end is found by looking. */
static int each(void *e, unsigned kind, const void *prefix, size_t prefix_len, bridge_store_key_fn fn, void *user)
{
    sqlite_state *s = e;
    sqlite3_stmt *q;
    int rc, said = 0;

    pthread_mutex_lock(&s->busy);
    q = s->q[Q_EACH]; /* NULL: there is nothing yet */
    sqlite3_bind_int(q, 1, (int)kind);
    sqlite3_bind_blob64(q, 2, prefix_len ? prefix : "", prefix_len, SQLITE_STATIC);
    while ((rc = q ? sqlite3_step(q) : SQLITE_DONE) == SQLITE_ROW) {
        size_t key_len = (size_t)sqlite3_column_bytes(q, 0), len = (size_t)sqlite3_column_bytes(q, 1);
        const void *key = sqlite3_column_blob(q, 0), *value = sqlite3_column_blob(q, 1);
        if (prefix_len && (key_len < prefix_len || memcmp(key, prefix, prefix_len) != 0)) break;
        said = fn(user, key ? key : "", key_len, value ? value : "", len);
        if (said) break;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) said = sqlite_failed(s, rc);
    sqlite3_reset(q);
    pthread_mutex_unlock(&s->busy);
    return said;
}

static int items(void *e, uint64_t queue, uint64_t after, size_t most, bridge_store_item_fn fn, void *user)
{
    sqlite_state *s = e;
    sqlite3_stmt *q;
    int rc, said = 0;

    pthread_mutex_lock(&s->busy);
    q = s->q[Q_ITEMS];
    sqlite3_bind_int64(q, 1, (sqlite3_int64)queue);
    sqlite3_bind_int64(q, 2, as_signed(after));
    sqlite3_bind_int64(q, 3, most && most < INT64_MAX ? (sqlite3_int64)most : -1);
    while ((rc = q ? sqlite3_step(q) : SQLITE_DONE) == SQLITE_ROW) {
        uint64_t number = (uint64_t)sqlite3_column_int64(q, 0) ^ (uint64_t)1 << 63;
        size_t len = (size_t)sqlite3_column_bytes(q, 1);
        const void *value = sqlite3_column_blob(q, 1);
        said = fn(user, number, value ? value : "", len);
        if (said) break;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) said = sqlite_failed(s, rc);
    sqlite3_reset(q);
    pthread_mutex_unlock(&s->busy);
    return said;
}

static const char *why(void *e)
{
    return ((sqlite_state *)e)->why;
}

const bridge_store_engine sqlite_engine = {
    .size = sizeof sqlite_engine,
    .scheme = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .begin = begin,
    .put = put,
    .remove = remove_key,
    .remove_below = remove_below,
    .append = append,
    .trim = trim,
    .commit = commit,
    .rollback = rollback,
    .each = each,
    .items = items,
    .record = sqlite_record,
    .prune = sqlite_prune,
    .view = sqlite_view,
    .past = sqlite_past,
    .view_close = sqlite_view_close,
    .why = why,
};
