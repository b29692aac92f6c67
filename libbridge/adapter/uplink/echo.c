#include "adapter/uplink/echo.h"
#include "base/clock.h"
#include "base/hash.h"
#include "bridge/bridge.h"

enum { PROBES = 8 };

struct echo_slot {
    uint64_t hash;
    int64_t until;
    uint32_t times;
};

void echo_init(echo *e, mem *m)
{
    *e = (echo){.mem = m};
    random_bytes(&e->seed, sizeof e->seed);
}

void echo_done(echo *e)
{
    mem_free(e->mem, e->slots);
    e->slots = NULL;
}

static uint64_t hash_of(const echo *e, const char *topic, size_t topic_len, const void *data, size_t len)
{
    return hash_bytes(topic, topic_len, hash_bytes(data, len, e->seed)) | 1; /* never 0 */
}

int echo_said(echo *e, const char *topic, size_t topic_len, const void *data, size_t len, int64_t now)
{
    uint64_t h = hash_of(e, topic, topic_len, data, len);
    struct echo_slot *best = NULL;

    if (!e->slots && !(e->slots = mem_new_array(e->mem, struct echo_slot, ECHO_SLOTS))) return BRIDGE_NOMEM;
    for (unsigned i = 0; i < PROBES; i++) {
        struct echo_slot *s = &e->slots[((h >> 1) + i) % ECHO_SLOTS];
        if (s->hash == h && s->until > now) {
            best = s;
            break;
        }
        if (!best || s->until < best->until) best = s; /* a free one, or the oldest */
    }
    if (best->hash != h || best->until <= now) *best = (struct echo_slot){.hash = h};
    best->times++;
    best->until = now + ECHO_TIME;
    return 0;
}

bool echo_heard(echo *e, const char *topic, size_t topic_len, const void *data, size_t len, int64_t now)
{
    uint64_t h;

    if (!e->slots) return false;
    h = hash_of(e, topic, topic_len, data, len);
    for (unsigned i = 0; i < PROBES; i++) {
        struct echo_slot *s = &e->slots[((h >> 1) + i) % ECHO_SLOTS];
        if (s->hash != h || s->until <= now) continue;
        if (--s->times == 0) *s = (struct echo_slot){0};
        return true;
    }
    return false;
}
