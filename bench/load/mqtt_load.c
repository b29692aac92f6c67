/* mqtt_load - load for an MQTT 3.1.1 server; prints one JSON line.  See docs/bench.md for the scenarios.
 *   mqtt_load fanout|fanin|pairs|wild|steady|slow|connect|retained --port N [--server PID] [options] */
#include "mqtt.h"

#include <string.h>

int main(int argc, char **argv)
{
    static const struct { const char *name; int (*run)(bench *b); } scenarios[] = {
        {"fanout", run_flow}, {"fanin", run_flow}, {"pairs", run_flow}, {"wild", run_flow}, {"steady", run_steady},
        {"slow", run_steady}, {"connect", run_connect}, {"retained", run_retained}};
    static bench b;

    if (argc < 2) die("usage: mqtt_load SCENARIO --port N ...");
    b.scenario = argv[1];
    args_init(argc - 1, argv + 1);
    raise_file_limit();
    loop_init(&b.loop, arg_text("--host", "127.0.0.1"), arg_long("--port", 1883), arg_long("--tls", 0) != 0);
    probe_init(arg_text("--server", NULL));
    b.qos = (int)arg_long("--qos", 0);
    b.keep_sessions = arg_long("--keep", 0) != 0;
    b.payload = (size_t)arg_long("--payload", 64);
    b.seconds = arg_real("--seconds", 2);
    b.keep_alive = 0;
    if (b.payload < sizeof(stamp)) die("--payload of at least %zu bytes", sizeof(stamp));
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (!strcmp(scenarios[i].name, b.scenario)) return scenarios[i].run(&b);
    }
    die("unknown scenario %s", b.scenario);
}
