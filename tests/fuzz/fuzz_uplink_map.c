/* Maps of uplinks from a URL, and topics from a broker: "map\ntopic", each any bytes.
 * Beyond not crashing: a `both` carries a name there and back to where it was, and a name that comes out is a legal one. */
#include "adapter/uplink/maps.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void there_and_back(const map_table *t, const char *topic, size_t len)
{
    static char there[MAP_NAME], back[MAP_NAME];
    int n = map_name(&t->lines[0], topic, len, there), m;

    if (n < 0) return;
    if (path_check(there, (size_t)n, NULL) < 0) return; /* too deep, or a wildcard in the fixed text */
    m = map_name(&t->lines[1], there, (size_t)n, back);
    if (m >= 0 && t->lines[0].source->captures == t->lines[0].target->captures && path_check(back, (size_t)m, NULL) < 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    mem *m = mem_default();
    char *line = mem_text_len(m, (const char *)data, len), *topic = strchr(line, '\n');
    map_table t;

    if (topic) *topic++ = 0;
    maps_init(&t, m);
    if (maps_add(&t, MAP_BOTH, line, NULL) == 0 && topic && path_check(topic, strlen(topic), NULL) == 0) {
        maps_check(&t, NULL);
        there_and_back(&t, topic, strlen(topic));
    }
    maps_done(&t);
    mem_free(m, line);
    return 0;
}
