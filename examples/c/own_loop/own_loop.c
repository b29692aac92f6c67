/* The bridge inside a program that has its own poll loop: one descriptor among its others. */
#include "bridge/bridge.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void on_temperature(void *user, bridge_msg *msg)
{
    const bridge_fields *m = bridge_msg_look(msg, BRIDGE_FIELDS());

    (void)user;
    printf("%s = %.*s (%s)\n", m->path, (int)m->len, (const char *)m->data, m->origin ? m->origin : "");
    fflush(stdout);
}

/* A line from the terminal is published at "console". */
static int on_console(bridge *b)
{
    char line[256];
    ssize_t n = read(STDIN_FILENO, line, sizeof line);
    bridge_msg *m = NULL;

    if (n <= 0) return 0;
    if (bridge_msg_new(&m, BRIDGE_FIELDS(.path = "home/console/temperature", .data = line, .len = strcspn(line, "\n"))) == 0)
        bridge_publish(b, m);
    bridge_msg_unref(m);
    return 1;
}

int main(int argc, char **argv)
{
    const char *url = argc > 1 ? argv[1] : "mqtt://127.0.0.1:0";
    bridge_slot *listener = NULL;
    bridge_error err = {0};
    bridge *b = NULL;

    if (bridge_new(&b, NULL, &err) < 0 || bridge_listen(b, url, &listener, &err) < 0 ||
        bridge_subscribe(b, "home/+/temperature", on_temperature, NULL, NULL, &err) < 0) {
        fprintf(stderr, "own_loop: %s\n", err.text);
        bridge_free(b);
        return 1;
    }
    printf("listening on %s\n", bridge_slot_name(listener));
    fflush(stdout);
    for (int more = 1; more;) {
        struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = bridge_fd(b), .events = POLLIN}};

        poll(fds, 2, bridge_timeout(b));
        if (fds[0].revents) more = on_console(b);
        bridge_process(b); /* callbacks come from inside */
    }
    bridge_free(b);
    return 0;
}
