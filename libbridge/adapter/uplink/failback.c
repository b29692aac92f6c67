/* adapter/uplink/failback.c - at another broker than the first: every fail_back= seconds a second link looks whether the first one
 * answers CONNECT (under another client id, so that nobody is pushed out); if so, what is in flight is waited for, and we go back. */
#include "adapter/uplink/uplink.h"
#include "adapter/mqtt/wire.h"
#include <stdio.h>

static void look_again(uplink *u);

static void end_probe(uplink *u)
{
    link_free(u->probe);
    u->probe = NULL;
}

static void on_up(void *user, const link_up *up)
{
    uplink *u = user;

    (void)up;
    u->turning = true;
    link_close(u->probe);
}

static void go_on(uplink *u)
{
    end_probe(u);
    if (u->turning) failback_go(u);
    else look_again(u);
}

/* Who refuses this one for its name or its id is there all the same. */
static void on_down(void *user, int code, const char *why)
{
    uplink *u = user;

    (void)why;
    u->turning = u->version == UPLINK_V5 ? code == WIRE_BAD_CLIENT_ID || code == WIRE_NOT_AUTHORIZED : code == 2 || code == 5;
    go_on(u);
}

static void on_over(void *user)
{
    go_on(user);
}

static void on_nothing(void *user)
{
    (void)user;
}

static void on_nobody(void *user, const char *filter, bool awaited, uint8_t code)
{
    (void)user, (void)filter, (void)awaited, (void)code;
}

static int on_message(void *user, const arrival *a, link_ack *ack)
{
    (void)user, (void)a, (void)ack;
    return 0;
}

static void on_done(void *user, parcel *p)
{
    (void)user, (void)p;
}

static const link_hooks probe_hooks = {on_up, on_down, on_over, on_nobody, on_message, on_done, on_nothing, on_nothing, NULL, NULL};

static int probe(uplink *u)
{
    bridge_error err = {.text = ""};
    link_settings *s = NULL;
    char id[24];
    int rc = uplink_settings(u, 0, &s, &err);

    if (rc < 0) return rc;
    snprintf(id, sizeof id, "look-%.16s", u->hop);
    mem_free(u->mem, s->client_id);
    s->client_id = mem_text(u->mem, id);
    s->clean = true;
    s->will = s->will_payload = NULL;
    rc = s->client_id ? link_new(&u->probe, port_loop(u->port), u->mem, 1, &probe_hooks, u) : BRIDGE_NOMEM;
    if (rc < 0) {
        link_settings_free(s);
        return rc;
    }
    link_open(u->probe, s);
    return 0;
}

static void on_look(void *user)
{
    uplink *u = user;

    bridge_event_close(u->look_back);
    u->look_back = NULL;
    if (probe(u) < 0) look_again(u);
}

static void look_again(uplink *u)
{
    bridge_port_after(u->port, (int64_t)u->options.fail_back * 1000, on_look, u, &u->look_back);
}

void failback_up(uplink *u)
{
    if (u->options.fail_back && u->broker != 0) look_again(u);
}

void failback_down(uplink *u)
{
    bridge_event_close(u->look_back);
    u->look_back = NULL;
    u->turning = false;
    end_probe(u);
}

void failback_go(uplink *u)
{
    if (u->turning && !u->probe && u->buffer.given == 0 && u->state == UPLINK_UP) uplink_turn_back(u);
}
