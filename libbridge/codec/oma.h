/* codec/oma.h - LwM2M's numeric paths, object/instance/resource/resource instance, for the formats that are made of
 * them. */
#ifndef CODEC_OMA_H
#define CODEC_OMA_H
#include "codec/codecs.h"

enum { OMA_OBJECT = 1, OMA_INSTANCE, OMA_RESOURCE, OMA_RESOURCE_INSTANCE, OMA_LEVELS = 4 };

typedef struct oma_path {
    int count;
    uint16_t id[OMA_LEVELS];
} oma_path;

typedef struct oma_leaf {
    oma_path path;
    const bridge_record *record;
} oma_leaf;

int oma_compare(const oma_path *a, const oma_path *b); /* < 0, 0, > 0: by number, and what is inside of something behind it */
/* The numbers at the end of a path, at most four: "lwm2m/lamp-7/3303/0" and "/3303/0" are {3303, 0}. */
oma_path oma_base(const char *base);
/* "5700", "0/5700", "/3303/0/5700" behind base; false: not numbers, or more than four. */
bool oma_add(oma_path *path, const char *name);
/* Where records belong, in ascending order; a name that starts with '/' counts from the object.  UNPROCESSABLE for
 * names that are no numbers, for two records in one place, and for objects and lists. */
int oma_leaves(scratch *s, const oma_path *base, const bridge_record *records, size_t count, oma_leaf **out,
               bridge_error *err);
/* The name below base of what is at path, in the scratch. */
int oma_name(scratch *s, const oma_path *base, const oma_path *path, const char **out, bridge_error *err);
#endif
