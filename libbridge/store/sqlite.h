/* store/sqlite.h - one SQLite file in WAL mode.
 *
 *   kept(kind, key, value)        queued(queue, number, value)        user_version is the schema's
 * A value is written by one INSERT OR REPLACE; both tables are B-trees on their keys and nothing else. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H
#include "bridge/sys/store.h"
#include <pthread.h>
#include <sqlite3.h>

enum { SQLITE_VERSION_OF_SCHEMA = 3, SQLITE_ID = 0x42726467 /* "Brdg": application_id */, SQLITE_NEWER = 10000,
       SQLITE_PRUNE = 5000 /* records that go at once; also in the text of the queries */ };

typedef enum sqlite_query { Q_PUT, Q_REMOVE, Q_REMOVE_BELOW, Q_APPEND, Q_TRIM, Q_ITEMS, Q_EACH, Q_RECORD, Q_PRUNE_OLD, Q_PRUNE_MOST, Q_COUNT } sqlite_query;

typedef struct sqlite_state {
    sqlite3 *db;
    sqlite3_stmt *q[Q_COUNT];
    int wait; /* ms for others */
    int lock; /* of FILE.lock; -1: none */
    bool in_transaction, synced;
    bool late; /* the disk was full when it was opened: read only, db NULL when there is nothing to read; the next begin() opens it */
    pthread_mutex_t busy; /* recursive: a transaction, or somebody who reads at the start */
    char *file;
    char why[200];
} sqlite_state;

int sqlite_open(void **out, const char *where, int wait, bridge_error *note, bridge_error *err);
void sqlite_close(void *e);
char *sqlite_name_with(const char *file, const char *suffix); /* yours; NULL: no memory */
int sqlite_open_db(sqlite_state *s); /* SQLite's codes, SQLITE_NEWER */
void sqlite_close_db(sqlite_state *s);
int sqlite_open_again(sqlite_state *s); /* one that is late; BUSY: the disk is still full */
int sqlite_failed(sqlite_state *s, int rc); /* remembers why; BUSY for a full disk, else IO */
bool sqlite_is_corrupt(int rc);
int sqlite_step(sqlite_state *s, sqlite_query which); /* to its end */

/* ---- sqlite_salvage.c */
/* Moves a damaged file aside; what can be read of it is in FILE.new then, which sqlite_open_db() takes up.  0, IO. */
int sqlite_replace(sqlite_state *s, int why, bridge_error *note, bridge_error *err);
void sqlite_take_up_new(const char *file); /* if there is one, and no file */
void sqlite_mark_damaged(const sqlite_state *s); /* FILE.damaged: the next start shall do that */
bool sqlite_is_marked(const sqlite_state *s);

/* ---- sqlite_past.c */
int sqlite_record(void *e, const bridge_past *past);
int sqlite_prune(void *e, uint32_t path, int64_t before, uint64_t most);
int sqlite_view(void *e, void **out);
int sqlite_past(void *view, uint32_t path, int64_t from, int64_t upto, bool newest_first, bridge_past_fn fn, void *user);
void sqlite_view_close(void *view);
#endif
