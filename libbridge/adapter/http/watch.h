/* adapter/http/watch.h - one who waits for messages: an event stream, or a GET with Prefer: wait. */
#ifndef HTTP_WATCH_H
#define HTTP_WATCH_H
#include "adapter/http/server.h"

/* A message that a slow watcher has not been given: only the newest of each path is kept (it is state that is watched, so
 * skipping loses nothing that still holds). */
typedef struct late {
    list link;
    bridge_msg *msg;
    bool gone;
} late;

typedef struct watcher {
    http_conn *conn;
    bridge_watch *watch;
    uint64_t resume;     /* Last-Event-ID: kept values up to this version are known */
    bool named;          /* events say their path */
    bool about;          /* and what else there is to know */
    bool once;           /* a long poll: the first message is the answer */
    bool started;        /* the head of the event stream is written */
    bool resuming;
    bool quiet;          /* nothing was written since the last beat */
    size_t stuck;        /* bytes that were waiting at the last beat */
    list late;           /* oldest first */
    map late_by_path;
    turn_end end;        /* the long poll has its answer */
    bridge_msg *answer;
    bool answer_gone;
} watcher;
#endif
