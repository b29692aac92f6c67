/* transform/read.h - the words of a transformation; shared by read.c and read_steps.c only. */
#ifndef TRANSFORM_READ_H
#define TRANSFORM_READ_H
#include "transform/steps.h"

enum { READ_WORDS = 32 };

typedef struct word {
    char *p; /* NUL-terminated, without its quotes */
    size_t len;
    size_t quote; /* where a quoted part began; SIZE_MAX: there is none */
} word;

typedef struct reading {
    transform *t;
    const pattern *source;
    const transform_calls *calls;
    bridge_error *err;
    word words[READ_WORDS]; /* of one step */
    unsigned count;
} reading;

/* read.c */
int parts_read(reading *r, const char *said, size_t len, step *into);       /* a template */
int field_read(reading *r, const char *name, size_t len, part *out);        /* "path", "room", "$.temp" */
/* read_steps.c */
int step_read(reading *r, step *out);
#endif
