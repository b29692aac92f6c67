/* transform/transform.h - what a route does to a message on its way: a list of steps, said as text.
 *
 *      pick $.temp | unit degF Cel | deadband 0.5          docs/routes.md has all the steps
 *
 *   read.c     the text, its mistakes            shape.c   pick, wrap, template
 *   steps.c    one step, one message             hold.c    what remembers: deadband, intervals, windows, merge
 *   units.c    from unit to unit                 numbers.c scale, offset, unit; the number that a payload is
 *   pack.c     one SenML pack, many values       run.c     the steps of one message after the other
 *
 * Nothing here knows routes, peers or clocks: times are told, messages come out through a function.  A transform is read-only
 * once made; what it remembers is in a transform_state, by the path that messages go to. */
#ifndef TRANSFORM_TRANSFORM_H
#define TRANSFORM_TRANSFORM_H
#include "core/message.h"
#include "core/pattern.h"

enum { /* docs/limits.md */
    TRANSFORM_STEPS = 16,          /* of one transformation */
    TRANSFORM_TEXT = 8192,         /* bytes of its text */
    TRANSFORM_SPLIT = 1000,        /* values of one pack */
    TRANSFORM_PATHS = 10000,       /* paths that one route remembers something about */
    TRANSFORM_BYTES = 16 << 20     /* bytes that one route remembers */
};

typedef struct transform transform;
typedef struct transform_state transform_state;

/* Functions that `call name` finds: find answers a handle that stays good, or NULL; call as bridge_transform_fn. */
typedef struct transform_calls {
    void *(*find)(void *user, text name);
    int (*call)(void *handle, bridge_msg *msg, bridge_msg **out);
    void *user;
} transform_calls;

/* source: whose captures may stand in templates.  INVALID with a sentence in err. */
int transform_new(mem *m, transform **out, const char *said, const pattern *source, const transform_calls *calls, bridge_error *err);
/* The way back; INVALID when a step has none. */
int transform_inverse(const transform *t, mem *m, transform **out, bridge_error *err);
void transform_free(transform *t); /* NULL is fine */
const char *transform_text(const transform *t);
bool transform_is_plain(const transform *t, const char **why_not); /* one message in, one out, nothing remembered */
bool transform_keeps_paths(const transform *t); /* nothing splits, merges or counts: one value there is one value here */
bool transform_remembers(const transform *t);

/* One message through a plain one.  *out: a new reference, or NULL when a function said no. */
int transform_one(const transform *t, bridge_msg *msg, text target, const pattern *source, bridge_msg **out, bridge_error *err);

/* ---- with memory */
typedef struct transform_way { /* where messages come from and go to */
    const pattern *source;
    int64_t now; /* ms, monotonic */
    /* A message has come out: under its old path still, to be named target.  Negative is passed on. */
    int (*out)(void *user, bridge_msg *msg, text target);
    void *user;
} transform_way;

int transform_state_new(const transform *t, mem *m, uint64_t seed, transform_state **out);
void transform_state_free(transform_state *s); /* NULL is fine */
int transform_run(const transform *t, transform_state *s, const transform_way *way, bridge_msg *msg, text target, bridge_error *err);
/* What is due by now; everything that is held back when `all`.  Failures are told to bad. */
void transform_tick(const transform *t, transform_state *s, const transform_way *way, bool all, void (*bad)(void *user, const bridge_error *err));
int64_t transform_due(const transform_state *s); /* INT64_MAX: never */
void transform_forget(transform_state *s, text target); /* the value there was removed */
size_t transform_paths(const transform_state *s);
size_t transform_bytes(const transform_state *s);
#endif
