/* A C function as a resource: it answers GET and PUT whatever protocol they come over. */
#include "bridge/bridge.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static bridge *the_bridge;
static char lamps[2][8] = {"off", "off"};

static void on_signal(int number)
{
    (void)number;
    bridge_stop(the_bridge);
}

static char *find(const char *room)
{
    return strcmp(room, "kitchen") == 0 ? lamps[0] : strcmp(room, "cellar") == 0 ? lamps[1] : NULL;
}

static void on_lamp(void *user, bridge_call *call)
{
    char *lamp = find(bridge_call_capture(call, "room"));
    const bridge_fields *m = bridge_msg_look(bridge_call_msg(call), BRIDGE_FIELDS());
    bridge_msg *reply = NULL;
    int rc = 0;

    (void)user;
    if (!lamp) rc = BRIDGE_NOTFOUND; /* 404, 4.04 */
    else if (bridge_call_verb(call) == BRIDGE_PUT) {
        if (m->len >= sizeof lamps[0]) rc = BRIDGE_TOOBIG;
        else snprintf(lamp, sizeof lamps[0], "%.*s", (int)m->len, (const char *)m->data);
    } else if (bridge_call_verb(call) == BRIDGE_GET) {
        rc = bridge_msg_new(&reply, BRIDGE_FIELDS(.path = m->path, .data = lamp, .len = strlen(lamp)));
    } else {
        rc = BRIDGE_METHOD;
    }
    bridge_call_reply(call, rc, reply); /* now; with bridge_call_ref() also later, from any thread */
    bridge_msg_unref(reply);
}

int main(int argc, char **argv)
{
    const char *url = argc > 1 ? argv[1] : "http://127.0.0.1:3000/resources";
    bridge_slot *listener = NULL;
    bridge_error err = {0};

    if (bridge_new(&the_bridge, NULL, &err) < 0 || bridge_listen(the_bridge, url, &listener, &err) < 0 ||
        bridge_handle(the_bridge, "lamps/{room}", on_lamp, NULL, NULL, &err) < 0) {
        fprintf(stderr, "handler: %s\n", err.text);
        bridge_free(the_bridge);
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    printf("listening on %s\n", bridge_slot_name(listener));
    fflush(stdout);
    bridge_run(the_bridge);
    bridge_free(the_bridge);
    return 0;
}
