/* adapter/lwm2m/campaign.h - campaign.c runs them, campaign_keep.c brings them over a restart. */
#ifndef LWM2M_CAMPAIGN_H
#define LWM2M_CAMPAIGN_H
#include "adapter/lwm2m/flash.h"

enum { CAMPAIGNS_MAX = 64, CAMPAIGN_AT_ONCE = 10, CAMPAIGN_AT_ONCE_MAX = 1000, CAMPAIGN_RETRIES_MAX = 100 }; /* docs/limits.md */
enum { CAMPAIGN_GATHERS = 2000 }; /* ms after a restart until the next ones begin: other listeners open, devices come back */

typedef enum state { RUNNING, PAUSED, STOPPED, FINISHED } state;
typedef enum fate { WAITING, BUSY, DONE, FAILED, LEFT, FATES } fate;

typedef struct target {
    list link; /* of campaign->waiting */
    struct campaign *campaign;
    char *endpoint, *name, *why;
    fate fate;
    unsigned tries;
    int64_t result;
    bool triggered;       /* busy: it was told to install it */
    lwm2m_parts_state is; /* busy, of several components */
} target;

typedef struct campaign {
    list link; /* in server->campaigns */
    lwm2m_server *server;
    char *path;  /* "lwm2m/!campaigns/NAME" */
    const lwm2m_verb *verb;
    lwm2m_order order;
    lwm2m_parts *parts;
    state state;
    target *targets;
    size_t count, room, of[FATES];
    list waiting;
    uint64_t at_once, retries;
    timer turn; /* the next ones begin in a turn of their own: an outcome may come from anywhere */
    unsigned holds;
    bool gone, gathers; /* gathers: after a restart */
} campaign;

/* ---- campaign.c */
campaign *campaign_find(lwm2m_server *s, const char *path);
campaign *campaign_alloc(const lwm2m_port *p, const char *path);
void campaign_free(campaign *c);
int campaign_add(campaign *c, const lwm2m_port *p, text endpoint);
void campaign_settle(campaign *c); /* its targets stay where they are from now on; those that wait are in line */
void campaign_enter(campaign *c, int64_t wait);  /* it is one of the server's, and goes on in so many ms */
void campaign_resume(target *t); /* it was busy before the restart */

/* ---- campaign_keep.c */
void campaign_keep(campaign *c);              /* all of it */
void campaign_keep_state(const campaign *c);
void campaign_keep_target(const target *t);
#endif
