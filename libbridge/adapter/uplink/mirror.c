/* adapter/uplink/mirror.c - another bridge at the other end (filled in below). */
#include "adapter/uplink/uplink.h"
#include "base/status.h"

int mirror_new(uplink *u, bridge_error *err)
{
    (void)u;
    return fail(err, BRIDGE_UNSUPPORTED, "bridge+mqtt is not there yet");
}

void mirror_free(uplink *u)
{
    (void)u;
}

void mirror_up(uplink *u)
{
    (void)u;
}

void mirror_down(uplink *u)
{
    (void)u;
}

bool mirror_heard(uplink *u, const arrival *a)
{
    (void)u;
    (void)a;
    return false;
}
