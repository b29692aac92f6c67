/* adapter/uplink/echo.h - MQTT 3.1.1 has no "no local": a broker sends us back what we sent, where we subscribe to it.
 * So we remember what we said, for a while and not without bound, and do not take it for news when it comes back.
 * What is forgotten (more than ECHO_SLOTS, older than ECHO_TIME) is heard once more here; it is not sent out again by this uplink
 * (its watches do not hear what it says itself), so it cannot go round. */
#ifndef ADAPTER_UPLINK_ECHO_H
#define ADAPTER_UPLINK_ECHO_H
#include "base/mem.h"
#include <stdbool.h>
#include <stdint.h>

enum { ECHO_SLOTS = 16384, ECHO_TIME = 30000 }; /* docs/limits.md; ms */

typedef struct echo {
    mem *mem;
    uint64_t seed;
    struct echo_slot *slots; /* made at first use */
} echo;

void echo_init(echo *e, mem *m);
void echo_done(echo *e);
int echo_said(echo *e, const char *topic, size_t topic_len, const void *data, size_t len, int64_t now); /* NOMEM */
bool echo_heard(echo *e, const char *topic, size_t topic_len, const void *data, size_t len, int64_t now); /* is it ours? once each */
#endif
