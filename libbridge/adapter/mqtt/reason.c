/* adapter/mqtt/reason.c - what a client is told when we say no: a reason code, and a sentence that names the limit and its number
 * [5: 2.4, 3.14.2.2.3].  The sentence lives in c->why from where the reason is known until it is sent. */
#include "adapter/mqtt/session.h"
#include "core/path.h"
#include "hub/port.h"
#include <stdarg.h>
#include <stdio.h>

/* Outcomes: docs/mapping.md 3. */
uint8_t mqtt_reason(int status)
{
    switch (status) {
    case BRIDGE_UNHEARD: return WIRE_NO_SUBSCRIBERS;
    case BRIDGE_NOTFOUND: return WIRE_SUCCESS; /* nothing was there to be removed */
    case BRIDGE_SYNTAX:
    case BRIDGE_FORMAT:
    case BRIDGE_UNPROCESSABLE: return WIRE_BAD_PAYLOAD;
    case BRIDGE_INVALID: return WIRE_BAD_TOPIC;
    case BRIDGE_UNAUTHENTICATED:
    case BRIDGE_DENIED: return WIRE_NOT_AUTHORIZED;
    case BRIDGE_TOOBIG:
    case BRIDGE_BUSY: return WIRE_QUOTA;
    case BRIDGE_UNSUPPORTED:
    case BRIDGE_METHOD: return WIRE_IMPLEMENTATION;
    default: return status >= 0 ? WIRE_SUCCESS : WIRE_UNSPECIFIED;
    }
}

static const struct code_text {
    uint8_t code;
    const char *text;
} texts[] = {
    {WIRE_MALFORMED, "malformed packet"},
    {WIRE_PROTOCOL_ERROR, "against the protocol"},
    {WIRE_IMPLEMENTATION, "not possible at this topic"},
    {WIRE_BAD_VERSION, "no version that is spoken here"},
    {WIRE_BAD_LOGIN, "user name or password are wrong"},
    {WIRE_NOT_AUTHORIZED, "not allowed"},
    {WIRE_BUSY, "too busy"},
    {WIRE_BAD_AUTH_METHOD, "an authentication method that is not known here"},
    {WIRE_BAD_FILTER, "no topic filter here"},
    {WIRE_BAD_TOPIC, "no topic here"},
    {WIRE_BAD_ALIAS, "a topic alias that cannot be"},
    {WIRE_QUOTA, "over a limit"},
    {WIRE_BAD_PAYLOAD, "the payload is not what its format says"},
};

const char *mqtt_reason_text(uint8_t reason)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i)
        if (texts[i].code == reason) return texts[i].text;
    return "an error here";
}

const char *mqtt_say(mqtt_client *c, const char *format, ...)
{
    char line[200];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    mqtt_hush(c);
    return c->why = mem_text(c->port->shared->mem, line); /* without memory it is not said */
}

void mqtt_forget_why(mqtt_client *c)
{
    mem_free(c->port->shared->mem, c->why);
    c->why = NULL;
}

void mqtt_say_packet(mqtt_client *c, const wire_packet *p, uint8_t reason)
{
    const char *name = wire_type_name(p->type), *meaning = mqtt_reason_text(reason);
    if (c->why) return;
    if (p->props.wrong)
        mqtt_say(c, "%s: property 0x%02x: %s", name, p->props.wrong, meaning);
    else if (p->fault)
        mqtt_say(c, "%s: %s: %s", name, p->fault, meaning);
    else
        mqtt_say(c, "%s: %s", name, meaning);
}

bool mqtt_is_over(mqtt_client *c, int status)
{
    const char *why = port_why(c->port->shared->port);
    if (!c->why && why && (status == BRIDGE_BUSY || status == BRIDGE_TOOBIG)) mqtt_say(c, "%s", why);
    return c->why != NULL;
}

bool mqtt_topic_measured(mqtt_client *c, const char *name, size_t len)
{
    const mqtt_limits *most = &c->port->limits;
    bool is_short = len <= most->max_topic;
    if (is_short && path_levels(name, len) <= most->max_levels) return true;
    if (is_short)
        mqtt_say(c, "%zu levels, %llu at most", path_levels(name, len), (unsigned long long)most->max_levels);
    else
        mqtt_say(c, "a name of %zu bytes, %llu at most", len, (unsigned long long)most->max_topic);
    return false;
}
