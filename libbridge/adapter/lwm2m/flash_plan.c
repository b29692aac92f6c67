/* The plans of firmware.c: object 5 (LwM2M 1.1 E.6), and objects 9 and 14 (OMA LWM2M_SwMgmt 1.0, whose numbers are other ones). */
#include "adapter/lwm2m/flash.h"

/* LwM2M 1.1 E.6, resource 5: what is neither initial, updated nor deferred has failed */
static const char *firmware_failed(int64_t result)
{
    static const char *const why[] = {
        NULL, NULL, "not enough flash memory", "out of memory", "connection lost while downloading", "integrity check failed",
        "unsupported package type", "invalid URI", "update failed", "unsupported protocol", "canceled", NULL,
    };

    if (result < 0) return NULL;
    return result < (int64_t)(sizeof why / sizeof *why) ? why[result] : "unknown result";
}

/* Object 9, resource 9: failures begin at 50, what is below goes well or is not defined yet */
static const char *software_failed(int64_t result)
{
    static const char *const why[] = {
        "not enough storage", "out of memory", "connection lost while downloading", "integrity check failed", "unsupported package type",
        NULL, "invalid URI", "device defined update error", "installation failed", "uninstallation failed",
    };

    if (result < 50) return NULL;
    result -= 50;
    return result < (int64_t)(sizeof why / sizeof *why) && why[result] ? why[result] : "unknown result";
}

static const char *never_failed(int64_t result) /* activation has no results: it is refused, or takes too long */
{
    (void)result;
    return NULL;
}

static bool is_updated(int64_t state, int64_t result, int64_t active)
{
    (void)state, (void)active;
    return result == 1;
}

static bool is_installed(int64_t state, int64_t result, int64_t active)
{
    (void)result, (void)active; /* a result may be one of before */
    return state == SOFTWARE_INSTALLED;
}

static bool is_active(int64_t state, int64_t result, int64_t active)
{
    (void)state, (void)result;
    return active == 1;
}

static bool is_inactive(int64_t state, int64_t result, int64_t active)
{
    (void)state, (void)result;
    return active == 0;
}

static bool is_uninstalled(int64_t state, int64_t result, int64_t active)
{
    (void)result, (void)active;
    return state == SOFTWARE_INITIAL;
}

const lwm2m_plan *lwm2m_plan_of(lwm2m_flash_kind kind)
{
    static const lwm2m_plan plans[LWM2M_FLASH_KINDS] = {
        {LWM2M_FIRMWARE, "firmware", "updating", "updated", .object = FIRMWARE_OBJECT, .look = 9, .needs = -1, .package = 0, .uri = 1, .trigger = 2,
         .state = 3, .result = 5, .active = -1, .check = -1, .ready = 2, .failed = firmware_failed, .is_done = is_updated},
        {LWM2M_INSTALL, "software", "installing", "installed", .object = SOFTWARE_OBJECT, .many = true, .look = 7, .needs = -1, .package = 2,
         .uri = 3, .trigger = 4, .state = 7, .result = 9, .active = -1, .check = -1, .ready = SOFTWARE_DELIVERED, .failed = software_failed,
         .is_done = is_installed},
        {LWM2M_ACTIVATE, "software", "activating", "activated", .object = SOFTWARE_OBJECT, .many = true, .look = 7, .needs = SOFTWARE_INSTALLED,
         .package = -1, .uri = -1, .trigger = 10, .state = -1, .result = -1, .active = 12, .check = 12, .ready = -1, .failed = never_failed,
         .is_done = is_active},
        {LWM2M_DEACTIVATE, "software", "deactivating", "deactivated", .object = SOFTWARE_OBJECT, .many = true, .look = 7,
         .needs = SOFTWARE_INSTALLED, .package = -1, .uri = -1, .trigger = 11, .state = -1, .result = -1, .active = 12, .check = 12, .ready = -1,
         .failed = never_failed, .is_done = is_inactive},
        {LWM2M_UNINSTALL, "software", "uninstalling", "uninstalled", .object = SOFTWARE_OBJECT, .many = true, .look = 7, .needs = -1,
         .package = -1, .uri = -1, .trigger = SOFTWARE_UNINSTALL, .state = 7, .result = 9, .active = -1, .check = 7, .ready = -1,
         .failed = software_failed, .is_done = is_uninstalled},
        {LWM2M_ENABLE, "software", "activating", "activated", .object = COMPONENT_OBJECT, .many = true, .look = 5, .needs = -1, .package = -1,
         .uri = -1, .trigger = 3, .state = -1, .result = -1, .active = 5, .check = 5, .ready = -1, .failed = never_failed, .is_done = is_active},
        {LWM2M_DISABLE, "software", "deactivating", "deactivated", .object = COMPONENT_OBJECT, .many = true, .look = 5, .needs = -1,
         .package = -1, .uri = -1, .trigger = 4, .state = -1, .result = -1, .active = 5, .check = 5, .ready = -1, .failed = never_failed,
         .is_done = is_inactive},
    };

    return &plans[kind];
}
