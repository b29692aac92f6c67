/* mqtt_connect.c - how fast clients get in, and what one costs while it sits there. */
#include "mqtt.h"

int run_connect(bench *b)
{
    uint32_t warm = (uint32_t)arg_long("--warm", 200);
    uint32_t count = (uint32_t)arg_long("--count", 5000);
    double hold = arg_real("--hold", 0);
    stretch s;
    uint64_t end;

    args_done();
    b->count = warm + count;
    b->clients = zeroed(b->count, sizeof(client));
    clients_start(b, b->clients, 0, warm); /* the heap's first pages and the code are not the connections' */
    stretch_begin(&s);
    clients_start(b, b->clients + warm, warm, count);
    stretch_end(&s);
    json_begin(b->scenario);
    json_stretch(&s, count);
    json_number("bytes_each", (s.after.anonymous - s.before.anonymous) / count);
    end = now_ns() + (uint64_t)(hold * 1e9);
    while (now_ns() < end) loop_turn(&b->loop, 100);
    json_number("closed", b->failed);
    return json_end(b->up == b->count && !b->failed, "connections lost");
}
