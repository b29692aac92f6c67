/* hub/plan.h - who is told of a path, and by which name, remembered; see plan.c. */
#ifndef HUB_PLAN_H
#define HUB_PLAN_H
#include "hub/hub.h"

typedef struct plan_name { /* what a scheme calls the path */
    const void *by;        /* the route that says so */
    uint32_t at;           /* in the texts of the plan */
    uint16_t len;
} plan_name;

typedef struct plan_watch {
    bridge_watch *watch;
    uint32_t name; /* 1 + its number; 0: it is told of the path */
} plan_watch;

typedef struct plan {
    uint32_t refs, count;
    unsigned name_count;
    plan_name *names; /* behind the watches; then come the texts: each name, and the path */
    char *texts;
    plan_watch watches[];
} plan;

void plans_init(hub *h);
void plans_done(hub *h);
plan *plan_find(hub *h, const bridge_msg *msg); /* borrow; NULL: not known */
/* After a find in vain: its watches are to be filled in at once; NULL: not worth it. */
plan *plan_new(hub *h, const bridge_msg *msg, size_t count, bridge_msg *const *named, const void *const *by, unsigned name_count);
void plan_unref(hub *h, plan *p);
static inline text plan_name_text(const plan *p, unsigned i)
{
    return (text){p->texts + p->names[i].at, p->names[i].len};
}
#endif
