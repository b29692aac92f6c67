/* adapter/lwm2m/errand.h - a question to a path of a device, on its way: owner.c, composite.c. */
#ifndef LWM2M_ERRAND_H
#define LWM2M_ERRAND_H
#include "adapter/lwm2m/flash.h"
#include "codec/scratch.h"

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

int errand_paths(const errand *e, const bridge_fields *f, lwm2m_paths *out, bridge_error *err); /* which a composite asks for */
void lwm2m_one_by_one(errand *e); /* a composite of a device that knows none */
#endif
