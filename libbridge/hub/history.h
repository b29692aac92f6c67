/* hub/history.h - values have a past: patterns whose messages are recorded, and how it is read again.
 *
 *   history.c       rules, recording, retention      history_ask.c   questions: $history/<path>, from any protocol
 *   history_say.c   records as JSON, CSV, SenML      history_view.c  a cursor for one thread */
#ifndef HUB_HISTORY_H
#define HUB_HISTORY_H
#include "hub/keep.h"

enum {
    HISTORY_RULES_MAX = 1000,
    HISTORY_PATHS_MAX = 1000 * 1000, /* paths that have a past */
    HISTORY_LIMIT = 1000,            /* records of an answer, unless the asker says */
    HISTORY_LIMIT_MAX = 1000 * 1000,
    HISTORY_ANSWER_MAX = 64 * 1024 * 1024, /* bytes */
    HISTORY_JOBS_MAX = 100,          /* questions that wait */
    HISTORY_PAGE = 1000,             /* records that a cursor has in memory */
    HISTORY_PAGE_BYTES = 1024 * 1024 /* of their values, or one larger one */
};

typedef struct history_rule {
    ptrie_entry at;
    list link;
    pattern *pattern;
    int64_t keep, resolution; /* ms; 0: for ever, every one */
    uint64_t records;         /* 0: any number */
} history_rule;

typedef struct history_path {
    uint32_t id, part;
    int64_t last; /* time of its last record */
    uint32_t len;
    char path[];
} history_path;

typedef struct history_range { /* what is asked for */
    int64_t from, upto, step;
    size_t limit;
    bool newest_first;
    enum { SAY_JSON, SAY_CSV, SAY_SENML, SAY_COLUMNS } as;
    enum { EACH, MEAN, MIN, MAX, SUM, COUNT, FIRST, LAST } aggregate;
} history_range;

typedef struct history_name { /* a path that is asked for */
    uint32_t id;
    char *path;
} history_name;

typedef struct history {
    hub *hub;
    ptrie rules;
    list rule_list;
    map paths;
    history_path **all; /* by id - 1 */
    size_t count, room, turn;
    timer prune;
    bridge_owner *owner;
    list waiting; /* jobs whose records may not be on disk yet */

    pthread_t thread; /* reads */
    pthread_mutex_t lock; /* around the next four */
    pthread_cond_t wake;
    struct history_job *first, **last;
    size_t jobs;
    atomic_bool quit;
    bool running;
} history;

int history_rule_set(hub *h, const char *filter, const bridge_history *rule, bridge_error *err); /* NULL: takes it back */
void history_record(hub *h, const bridge_msg *msg);
void history_free(hub *h);
/* Those that match and that peer may read, at most max; the list and its texts are in m. */
int history_names(hub *h, bridge_peer *peer, const char *filter, mem *m, history_name **out, size_t *count);
void history_names_free(mem *m, history_name *names, size_t count);

/* ---- history_ask.c */
int history_listen(history *x);
void history_deaf(history *x);

/* ---- history_say.c: on any thread */
int history_say(bridge_store *s, mem *m, const history_range *r, const history_name *names, size_t count, const atomic_bool *quit, buf *out);

/* ---- history_view.c.  The bridge must outlive it. */
typedef struct history_view history_view;
enum { HISTORY_VIEW_NAMES = 2 };
int history_view_open(hub *h, const char *filter, int64_t from, int64_t upto, bool newest_first, history_view **out, bridge_error *err);
int history_view_names(history_view *v); /* on the loop's thread: the next few paths */
/* 1 and a record (borrowed, until the next call), 0 that was all, HISTORY_VIEW_NAMES: call history_view_names() first; a negative status. */
int history_view_next(history_view *v, const char **path, bridge_past *out);
void history_view_close(history_view *v);
#endif
