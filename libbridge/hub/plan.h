/* hub/plan.h - who is told of a path, remembered; see plan.c. */
#ifndef HUB_PLAN_H
#define HUB_PLAN_H
#include "hub/hub.h"

typedef struct plan {
    uint32_t refs, count;
    bridge_watch *watches[]; /* and the path behind them */
} plan;

void plans_init(hub *h);
void plans_done(hub *h);
plan *plan_find(hub *h, const bridge_msg *msg); /* borrow; NULL: not known */
/* After a find in vain: to be filled in at once; NULL: not worth it. */
plan *plan_new(hub *h, const bridge_msg *msg, size_t count);
void plan_unref(hub *h, plan *p);
#endif
