/* The simplest program: the bridge has the thread, until Ctrl-C. */
#include "bridge/bridge.h"
#include <signal.h>
#include <stdio.h>

static bridge *the_bridge; /* for the signal handler, which gets nothing else */

static void on_signal(int number)
{
    (void)number;
    bridge_stop(the_bridge); /* one of the few calls that a signal handler may make */
}

static void on_listener(void *user, const char *url)
{
    (void)user;
    printf("listening on %s\n", url);
}

int main(int argc, char **argv)
{
    static char *defaults[] = {"", "mqtt://127.0.0.1:1883", "coap://127.0.0.1:5683/r"};
    bridge_error err = {0};
    int rc = bridge_new(&the_bridge, NULL, &err);

    if (argc < 2) {
        argc = 3;
        argv = defaults;
    }
    for (int i = 1; i < argc && rc == 0; i++) rc = bridge_listen(the_bridge, argv[i], NULL, &err);
    if (rc < 0) {
        fprintf(stderr, "run: %s\n", err.text);
        bridge_free(the_bridge);
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    bridge_listeners(the_bridge, on_listener, NULL);
    fflush(stdout);
    bridge_run(the_bridge);
    bridge_free(the_bridge);
    return 0;
}
