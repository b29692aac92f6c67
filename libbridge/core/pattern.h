/* core/pattern.h - what paths are matched with, and what new paths are made from.
 *
 *      home/+/temp            '+' is any one segment, also an empty one
 *      home/#                 '#' is all that follows, and nothing at all: it matches "home" as well (MQTT 4.7.1.2)
 *      home/{room}/temp       as '+', and what stood there gets a name
 *      home/{room}-lamp/{rest...}   a name may have fixed text around it; the rest may have one, too
 *
 * '+' and '#' are captures without a name; the n-th '+' of a target is the n-th '+' of its source.
 * A wildcard in the first segment does not match a path that begins with '$' (MQTT 4.7.2).
 * A pattern is read-only once made; [any] thread may match with it. */
#ifndef CORE_PATTERN_H
#define CORE_PATTERN_H
#include "core/path.h"

enum { PATTERN_CAPTURES = 16 };

/* How a text is read. */
typedef enum pattern_kind {
    PATTERN_FULL,   /* all of the above */
    PATTERN_FILTER, /* an MQTT topic filter: braces are just text */
    PATTERN_EXACT,  /* a path: everything is just text */
    PATTERN_TARGET  /* as FULL, for filling in only: a name may stand twice */
} pattern_kind;

/* From less to more specific. */
typedef enum segment_kind { SEGMENT_REST, SEGMENT_ONE, SEGMENT_PART, SEGMENT_LITERAL } segment_kind;

typedef struct pattern_segment {
    uint16_t at, len;   /* in the pattern's text */
    uint16_t pre, post; /* PART: bytes of fixed text before and behind the name */
    uint8_t kind;       /* segment_kind */
    int8_t capture;     /* its number, or -1 */
} pattern_segment;

typedef struct pattern {
    const char *text; /* NUL-terminated when made by pattern_new() */
    const pattern_segment *segments;
    uint16_t len;
    uint8_t count; /* of segments, at least 1 */
    uint8_t kind;  /* pattern_kind */
    uint8_t captures;
    uint8_t capture_segment[PATTERN_CAPTURES];
} pattern;

typedef struct pattern_room { /* for a pattern on the stack */
    pattern_segment segments[PATH_LEVELS];
} pattern_room;

typedef struct captures { /* borrowed from the path; a rest that matched nothing at all has p == NULL */
    text at[PATTERN_CAPTURES];
    uint8_t count;
} captures;

/* Reads a pattern; it borrows text and room.  INVALID or TOOBIG with a sentence in err. */
int pattern_read(pattern *out, pattern_room *room, const char *str, size_t len, pattern_kind kind, bridge_error *err);
/* The same with its own copy of everything, in one block: free it with mem_free().  Also NOMEM. */
int pattern_new(mem *m, pattern **out, const char *str, size_t len, pattern_kind kind, bridge_error *err);

static inline text pattern_text(const pattern *p, int i)
{
    return (text){p->text + p->segments[i].at, p->segments[i].len};
}
static inline bool pattern_has_rest(const pattern *p)
{
    return p->segments[p->count - 1].kind == SEGMENT_REST;
}
bool pattern_is_literal(const pattern *p);        /* it matches one path only */
text pattern_name(const pattern *p, int capture); /* "room"; empty for '+' and '#' */
int pattern_find(const pattern *p, text name);    /* the number of a capture, or -1 */

/* caps may be NULL; it is touched only when the answer is yes.  path must be legal. */
bool pattern_match(const pattern *p, const char *path, size_t len, captures *caps);
/* One segment against one of the pattern's (not a REST one); value is what the capture takes, may be NULL. */
bool pattern_segment_match(const pattern *p, int i, text segment, text *value);

/* Specificity: > 0 when a is more specific than b, 0 when they have the same shape.  Compared from the left:
 * literal > text around a name (longer text first) > one segment > the end > the rest. */
int pattern_compare(const pattern *a, const pattern *b);
bool pattern_overlaps(const pattern *a, const pattern *b); /* is there a path that both match? */
bool pattern_covers(const pattern *a, const pattern *b);   /* does a match all that b matches? */

/* As an MQTT filter, NUL-terminated: names are '+', a rest is '#', and "{room}-lamp" is '+' (what the fixed text excludes matches all the
 * same).  Its length; TOOBIG. */
int pattern_filter(const pattern *p, char *out, size_t room);

/* Where a target's captures come from: once for a route.  INVALID when the source does not have them, or has one
 * segment where the target wants the rest or the other way round. */
typedef struct pattern_link {
    uint8_t capture[PATTERN_CAPTURES]; /* of the source, for each of the target */
} pattern_link;
int pattern_bind(const pattern *target, const pattern *source, pattern_link *out, bridge_error *err);
/* Makes the target's path, NUL-terminated.  Returns its length; TOOBIG when room (with the NUL) or PATH_LEVELS do not
 * do, INVALID when nothing would be left. */
int pattern_fill(const pattern *target, const pattern_link *link, const captures *caps, char *out, size_t room);
#endif
