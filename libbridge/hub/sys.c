/* The numbers of stats.c as values under $SYS: with mosquitto's names where they mean the same, and all of them below
 * $SYS/bridge under their own ("bridge_hub_peers" is $SYS/bridge/hub/peers).  Only what has changed is said again. */
#include "hub/hub.h"
#include <math.h>
#include <stdio.h>

enum { SYS_INTERVAL = 10000, SYS_NUMBERS = 256 };

typedef struct number {
    char name[64];
    double value, said;
    bool is_said;
} number;

struct sys {
    hub *hub;
    timer timer;
    int64_t interval, started;
    number *numbers; /* SYS_NUMBERS; one number with several labels is their sum */
    size_t count;
};

static const struct {
    const char *stat, *topic;
} mosquitto[] = {
    {"bridge_mqtt_connections", "$SYS/broker/clients/connected"},
    {"bridge_mqtt_connections", "$SYS/broker/clients/active"},
    {"bridge_mqtt_sessions", "$SYS/broker/clients/total"},
    {"bridge_mqtt_messages_in_total", "$SYS/broker/publish/messages/received"},
    {"bridge_mqtt_messages_out_total", "$SYS/broker/publish/messages/sent"},
    {"bridge_mqtt_dropped_total", "$SYS/broker/publish/messages/dropped"},
    {"bridge_mqtt_packets_in_total", "$SYS/broker/messages/received"},
    {"bridge_mqtt_bytes_in_total", "$SYS/broker/bytes/received"},
    {"bridge_mqtt_expired_total", "$SYS/broker/clients/expired"},
    {"bridge_hub_values", "$SYS/broker/retained messages/count"},
    {"bridge_hub_values", "$SYS/broker/store/messages/count"},
    {"bridge_hub_value_bytes", "$SYS/broker/store/messages/bytes"},
    {"bridge_hub_watches", "$SYS/broker/subscriptions/count"},
};

void sys_say(hub *h, const char *topic, const char *words)
{
    bridge_fields f = {.size = sizeof f, .path = topic, .data = words, .len = strlen(words), .format = BRIDGE_TEXT, .retain = true};
    bridge_msg *msg = NULL;

    f.time = loop_calendar(h->loop);
    if (msg_new(h->mem, &f, h->app->origin, &msg) == 0) hub_accept(h, h->app, BRIDGE_PUT, msg, NULL, NULL);
    bridge_msg_unref(msg);
}

static void say_number(hub *h, const number *n)
{
    char topic[96] = "$SYS/bridge/", words[32];
    const char *rest = strncmp(n->name, "bridge_", 7) == 0 ? n->name + 7 : n->name, *room = strchr(rest, '_');

    snprintf(words, sizeof words, n->value == floor(n->value) ? "%.0f" : "%g", n->value);
    snprintf(topic + 12, sizeof topic - 12, "%.*s%s%s", room ? (int)(room - rest) : (int)strlen(rest), rest, room ? "/" : "", room ? room + 1 : "");
    sys_say(h, topic, words);
    for (size_t i = 0; i < sizeof mosquitto / sizeof *mosquitto; i++)
        if (strcmp(mosquitto[i].stat, n->name) == 0) sys_say(h, mosquitto[i].topic, words);
}

static void on_stat(void *user, const char *name, const char *labels, double value)
{
    struct sys *s = user;

    (void)labels;
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->numbers[i].name, name) == 0) {
            s->numbers[i].value += value;
            return;
        }
    if (s->count == SYS_NUMBERS || strlen(name) >= sizeof s->numbers->name) return;
    strcpy(s->numbers[s->count].name, name);
    s->numbers[s->count++].value = value;
}

static void on_time(timer *t)
{
    struct sys *s = list_of(t, struct sys, timer);
    hub *h = s->hub;
    char words[64];

    for (size_t i = 0; i < s->count; i++)
        s->numbers[i].value = 0;
    hub_stats(h, on_stat, s);
    for (size_t i = 0; i < s->count; i++) {
        number *n = &s->numbers[i];
        if (n->is_said && n->said == n->value) continue;
        n->said = n->value;
        n->is_said = true;
        say_number(h, n);
    }
    snprintf(words, sizeof words, "%lld seconds", (long long)((loop_now(h->loop) - s->started) / 1000));
    sys_say(h, "$SYS/broker/uptime", words);
    timer_start(&s->timer, h->loop, s->interval, on_time);
}

int sys_new(hub *h, int64_t interval)
{
    char words[64];
    struct sys *s;

    if (interval < 0) return 0;
    s = h->sys = mem_new(h->mem, struct sys);
    if (!s) return BRIDGE_NOMEM;
    s->hub = h;
    s->interval = interval ? interval : SYS_INTERVAL;
    s->started = loop_now(h->loop);
    s->numbers = mem_new_array(h->mem, number, SYS_NUMBERS);
    if (!s->numbers) return BRIDGE_NOMEM;
    snprintf(words, sizeof words, "libbridge version %d.%d.%d", BRIDGE_VERSION_NUMBER >> 16, BRIDGE_VERSION_NUMBER >> 8 & 255, BRIDGE_VERSION_NUMBER & 255);
    sys_say(h, "$SYS/broker/version", words);
    return timer_start(&s->timer, h->loop, s->interval, on_time);
}

void sys_free(hub *h)
{
    if (!h->sys) return;
    timer_stop(&h->sys->timer);
    mem_free(h->mem, h->sys->numbers);
    mem_free(h->mem, h->sys);
    h->sys = NULL;
}

void port_say(bridge_port *port, const char *topic, const char *words)
{
    sys_say(port->hub, topic, words);
}
