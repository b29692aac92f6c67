/* adapter/lwm2m/errand.h - a question to a path of a device, on its way: owner.c, composite.c. */
#ifndef LWM2M_ERRAND_H
#define LWM2M_ERRAND_H
#include "adapter/lwm2m/flash.h"
#include "codec/scratch.h"

enum { COMPOSITE_PATHS = 256 }; /* of one question; docs/limits.md */

typedef enum kind {
    READ, DISCOVER, WRITE, UPDATE, CREATE, EXECUTE, REMOVE, ATTRIBUTES, READ_COMPOSITE, WRITE_COMPOSITE, OBSERVE, CANCEL, FLASH_CANCEL,
    BOOTSTRAP, OBSERVE_COMPOSITE, CANCEL_COMPOSITE, KINDS, DESCRIBE, FLASH
} kind;

typedef struct errand {
    lwm2m_device *d;
    bridge_call *call;
    kind kind;
    const lwm2m_verb *verb; /* of a FLASH */
    oma_path at;
    lwm2m_view view;
    bool accepts;
    bool as_it_likes;  /* it has no such format: it is asked without Accept, and we convert */
    bool tell;         /* the result goes to PATH/!result */
    const int *wishes; /* formats to write in that are still to be tried */
    char *query;
} errand;

void errand_reply(errand *e, int status, bridge_msg *msg);      /* the last word; e is gone */
void errand_fail(errand *e, int status, const char *why);       /* the same; why may be NULL */

typedef struct lwm2m_paths {
    unsigned count;
    oma_path at[COMPOSITE_PATHS];
} lwm2m_paths;
/* Which are asked for: a JSON list, SenML or SenML-ETCH without values, or ?paths=/3/0,/3303/0/5700.  Below e->at only. */
int lwm2m_paths_read(const errand *e, const bridge_fields *f, const char *query, lwm2m_paths *out, bridge_error *err);
int lwm2m_paths_write(const lwm2m_paths *paths, bridge_format format, buf *out); /* SenML without values */
void lwm2m_one_by_one(errand *e); /* a composite of a device that knows none */
#endif
