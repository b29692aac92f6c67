/* adapter/uplink/maps.h - which topics go where: one line for each direction.
 *
 *      out=telemetry/{p...}>site7/telemetry/{p...};qos=1;retain=keep
 *
 * What stands before '>' is the source, seen in the direction of the flow: of `out` and `both` ours, of `in` the broker's.  Without '>'
 * the name is the same on both sides.  A `both` is an `out` and an `in` that is its mirror image. */
#ifndef ADAPTER_UPLINK_MAPS_H
#define ADAPTER_UPLINK_MAPS_H
#include "bridge/bridge.h"
#include "core/pattern.h"

enum { MAPS_MAX = 1000, MAP_NAME = 65536 }; /* maps of one uplink; docs/limits.md.  Bytes of a name, with its NUL */

typedef struct map_line { /* one direction */
    pattern *source, *target;
    pattern_link link;
    char *filter;       /* what to subscribe to: the source with its captures as wildcards */
    uint8_t qos;        /* at most */
    bridge_keep retain; /* override of the retain flag */
    bool out;
    bool routes; /* no map: the bridge's routes know what to do with it */
} map_line;

typedef struct map_table {
    mem *mem;
    map_line *lines;
    size_t count, room;
} map_table;

typedef enum map_way { MAP_OUT, MAP_IN, MAP_BOTH } map_way;

void maps_init(map_table *t, mem *m);
void maps_done(map_table *t);
/* Reads what stands behind out=, in= or both=.  INVALID, SYNTAX with a sentence. */
int maps_add(map_table *t, map_way way, const char *line, bridge_error *err);
/* Two subscriptions at the broker must not overlap: it may send a message once or twice then, and nobody knows for which. */
int maps_check(const map_table *t, bridge_error *err);
/* The name at the other end, NUL-terminated in out[MAP_NAME]: its length, or negative when the line is not for this one. */
int map_name(const map_line *l, const char *path, size_t len, char *out);
#endif
