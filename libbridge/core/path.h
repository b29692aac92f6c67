/* core/path.h - a path is a list of segments joined by '/', spelt exactly as an MQTT topic name (MQTT 5.0 4.7).
 *
 * Every legal topic name is a path: "/a" is an empty segment and "a"; "a//b" has an empty one in the middle; "/" has
 * two.  Nothing here allocates.  [any] thread: everything is a function of its arguments. */
#ifndef CORE_PATH_H
#define CORE_PATH_H
#include "base/status.h"
#include "base/text.h"

enum {
    PATH_BYTES = 65535, /* MQTT 1.5.4: a string carries its length in two bytes */
    PATH_LEVELS = 200   /* ours: bounds every walk of a tree; docs/limits.md */
};

/* Is it a topic name: 1 to PATH_BYTES bytes of well-formed UTF-8, no NUL, no '+' and '#', at most PATH_LEVELS segments?
 * 0, INVALID, or TOOBIG when it is only too long or too deep; err says why in a sentence. */
int path_check(const char *path, size_t len, bridge_error *err);

/* Is it a topic filter (MQTT 5.0 4.7.1)?  '+' only as a whole segment, '#' only as the last one.  Answers as
 * path_check(). */
int path_check_filter(const char *filter, size_t len, bridge_error *err);

/* What paths, filters and patterns have in common: length, UTF-8, depth.  `what` is the word for it in err. */
int path_check_text(const char *p, size_t len, const char *what, bridge_error *err);

/* Is it "$share/group/filter" (MQTT 5.0 4.8.2)?  Then group and filter are set, and err is about what is wrong with
 * them: 1 shared, 0 plain (nothing set), negative shared but illegal.  The filter still wants path_check_filter(). */
int path_split_share(text whole, text *group, text *filter, bridge_error *err);

size_t path_levels(const char *path, size_t len);

/* The walk: for (path_walk w = path_start(p, len); path_next(&w, &segment);) */
typedef struct path_walk {
    const char *at, *end; /* at: NULL when all is said */
} path_walk;

static inline path_walk path_start(const char *path, size_t len)
{
    return (path_walk){path, path + len};
}

static inline bool path_next(path_walk *w, text *segment)
{
    const char *slash;

    if (!w->at) return false;
    slash = w->at < w->end ? memchr(w->at, '/', (size_t)(w->end - w->at)) : NULL;
    *segment = (text){w->at, (size_t)((slash ? slash : w->end) - w->at)};
    w->at = slash ? slash + 1 : NULL;
    return true;
}
#endif
