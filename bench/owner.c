/* A bridge whose "bench/value" is a C function instead of a stored value: `owner coap://127.0.0.1:0/r http://...`.
 * Beside bridged it tells what an owner costs. */
#include "bridge/bridge.h"
#include <signal.h>
#include <stdio.h>

static bridge *b;
static bridge_msg *value;

static void on_call(void *user, bridge_call *call)
{
    (void)user;
    bridge_call_reply(call, BRIDGE_OK, bridge_call_verb(call) == BRIDGE_GET ? value : NULL);
}

static void on_signal(int number)
{
    (void)number;
    bridge_stop(b);
}

int main(int argc, char **argv)
{
    bridge_error err = {0};
    int rc = bridge_new(&b, NULL, &err);

    if (rc == 0) rc = bridge_msg_new(&value, BRIDGE_FIELDS(.path = "bench/value", .data = "~xxxxxxxxxxxxxxxxxxx", .len = 20));
    if (rc == 0) rc = bridge_handle(b, "bench/value", on_call, NULL, NULL, &err);
    for (int i = 1; rc == 0 && i < argc; i++) {
        bridge_slot *slot = NULL;
        rc = bridge_listen(b, argv[i], &slot, &err);
        if (rc == 0) printf("listening on %s\n", bridge_slot_name(slot));
    }
    fflush(stdout);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (rc == 0) rc = bridge_run(b);
    if (rc < 0) fprintf(stderr, "%s\n", err.text);
    bridge_msg_unref(value);
    bridge_free(b);
    return rc < 0;
}
