/* adapter/mqtt/soon.c - stands for mqtt.c until the hub is there. */
#include "bridge/sys/adapter.h"

extern const bridge_adapter mqtt_adapter;

static const char *const schemes[] = {"mqtt", "mqtts", "mqtt+unix", NULL};
const bridge_adapter mqtt_adapter = {
    .size = sizeof mqtt_adapter,
    .scheme = "mqtt",
    .schemes = schemes,
    .summary = "MQTT 3.1, 3.1.1 and 5.0 clients",
};
