/* adapter/lwm2m/flash.h - what firmware.c does by: a plan says which resources of which object bring a package in, and what they mean. */
#ifndef LWM2M_FLASH_H
#define LWM2M_FLASH_H
#include "adapter/lwm2m/lwm2m.h"

typedef struct lwm2m_plan {
    lwm2m_flash_kind kind;
    const char *event;       /* told at DEVICE/!event, as its member */
    const char *busy, *done; /* the names of the last two steps */
    uint16_t object;
    bool many;               /* instances: the event says which */
    int look;                /* resources; -1: none.  The first one read */
    int package, uri, trigger;
    int state, result, active; /* observed */
    int check;               /* read after the trigger */
    int64_t ready;           /* the State in which trigger may be executed */
    const char *(*failed)(int64_t result); /* NULL: it has not */
    bool (*is_done)(int64_t state, int64_t result, int64_t active);
} lwm2m_plan;

enum { FIRMWARE_UPDATING = 3 }; /* State, LwM2M 1.1 E.6 */
enum { /* Update State (9/N/7), SwMgmt 1.0 5.1.2 */
    SOFTWARE_INITIAL = 0,
    SOFTWARE_DOWNLOADED = 2,
    SOFTWARE_DELIVERED = 3,
    SOFTWARE_INSTALLED = 4
};
enum { SOFTWARE_UNINSTALL = 6 }; /* the resource */

const lwm2m_plan *lwm2m_plan_of(lwm2m_flash_kind kind);
#endif
