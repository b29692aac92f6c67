/* transform/steps.h - one transformation as it is kept; shared by the files of this room only. */
#ifndef TRANSFORM_STEPS_H
#define TRANSFORM_STEPS_H
#include "codec/collect.h"
#include "codec/number.h"
#include "transform/transform.h"

typedef enum step_kind {
    STEP_FORMAT,
    STEP_PICK,
    STEP_WRAP,
    STEP_TEMPLATE,
    STEP_AFFINE, /* scale, offset, unit */
    STEP_CALL,
    STEP_SPLIT,
    STEP_MERGE,
    STEP_DEADBAND,
    STEP_ON_CHANGE,
    STEP_MIN_INTERVAL,
    STEP_MAX_INTERVAL,
    STEP_WINDOW
} step_kind;

typedef struct place { /* one step of $.a.b[0] */
    const char *name; /* NULL: at */
    int64_t at;       /* from the end when negative */
} place;

typedef struct place_list {
    place *at;
    size_t count;
} place_list;

typedef enum field_kind {
    FIELD_TEXT, /* as it stands */
    FIELD_RAW,  /* wrap: JSON as it stands */
    FIELD_VALUE,
    FIELD_PATH,
    FIELD_TARGET,
    FIELD_TIME,
    FIELD_SECONDS,
    FIELD_ISO,
    FIELD_ORIGIN,
    FIELD_QOS,
    FIELD_FORMAT,
    FIELD_CAPTURE,
    FIELD_PICK
} field_kind;

typedef struct part { /* of a template; of an envelope */
    field_kind kind;
    const char *key;  /* wrap: the member's name */
    const char *literal;
    size_t len;
    int capture;
    bool quoted; /* template for JSON: it stands inside a string */
    place_list places;
} part;

/* x -> ((x * mul + add) / per * to_per - to_add) / to_mul, so that a unit's way to its primary and back is exact where it can be. */
typedef struct affine {
    double mul, add, per, to_mul, to_add, to_per;
    const char *from, *to; /* units, or NULL */
} affine;

enum { STAT_COUNT = 1, STAT_MIN = 2, STAT_MAX = 4, STAT_MEAN = 8, STAT_SUM = 16, STAT_LAST = 32 };

typedef struct step {
    step_kind kind;
    bridge_format format; /* FORMAT, SPLIT, MERGE; TEMPLATE: TEXT or JSON */
    place_list places;    /* PICK */
    part *parts;          /* WRAP, TEMPLATE; MERGE: the name of each */
    size_t part_count;
    affine affine;
    double band; /* DEADBAND */
    bool percent;
    int64_t ms;
    unsigned stats;
    void *handle; /* CALL */
} step;

struct transform {
    mem *mem;
    char *said, *words; /* what was said; what the steps' texts point to */
    step steps[TRANSFORM_STEPS];
    unsigned count;
    int (*call)(void *handle, bridge_msg *msg, bridge_msg **out);
};

typedef struct passage { /* one message on its way */
    const transform *t;
    transform_state *state;
    const transform_way *way;
    bridge_error *err;
} passage;

/* ---- run.c */
int pass_on(passage *p, unsigned at, bridge_msg *msg, text target); /* through the steps from `at` on, and out */

/* ---- numbers.c */
bridge_format payload_format(const bridge_msg *msg); /* never AUTO */
int payload_number(bridge_msg *msg, double *out, bridge_error *err);
int step_affine(const affine *a, bridge_msg *msg, bridge_msg **out, bridge_error *err);
affine affine_back(const affine *a);
size_t number_print(double d, char out[NUMBER_ROOM]); /* at most 15 digits, whole numbers without a point */

/* ---- units.c */
int units_between(const char *from, const char *to, affine *out, bridge_error *err);

/* ---- shape.c */
int step_pick(const step *s, bridge_msg *msg, bridge_msg **out, bridge_error *err);
int step_wrap(const step *s, bridge_msg *msg, text target, const captures *caps, bridge_msg **out, bridge_error *err);
int step_template(const step *s, bridge_msg *msg, text target, const captures *caps, bridge_msg **out, bridge_error *err);
int parts_print(const part *parts, size_t count, bool json, bridge_msg *msg, text target, const captures *caps, buf *out, bridge_error *err);

/* ---- pack.c */
int step_split(passage *p, unsigned at, bridge_msg *msg, text target);
typedef struct pack_item {
    const char *name;
    bridge_msg *msg;
} pack_item;
int pack_write(mem *m, const pack_item *items, size_t count, bridge_format format, buf *out, bridge_error *err);

/* ---- hold.c */
int step_hold(passage *p, unsigned at, bridge_msg *msg, text target);

/* ---- read.c: the pieces of a place and of a template */
int places_read(mem *m, const char *said, size_t len, place_list *out, bridge_error *err);
#endif
