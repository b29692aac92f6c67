/* The bridge in a thread of its own; this thread publishes and asks. */
#include "bridge/bridge.h"
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

typedef struct answer {
    sem_t there;
    int status;
    char text[64];
} answer;

static void on_answer(void *user, int status, bridge_msg *reply) /* on the bridge's thread */
{
    answer *a = user;

    a->status = status;
    if (reply) {
        const bridge_fields *m = bridge_msg_look(reply, BRIDGE_FIELDS());
        snprintf(a->text, sizeof a->text, "%.*s", (int)m->len, (const char *)m->data);
    }
    sem_post(&a->there);
}

static void put(bridge *b, const char *path, const char *text)
{
    bridge_msg *m = NULL;

    if (bridge_msg_new(&m, BRIDGE_FIELDS(.path = path, .data = text, .len = strlen(text), .retain = true)) == 0)
        bridge_publish(b, m);
    bridge_msg_unref(m);
}

static int get(bridge *b, const char *path, answer *a)
{
    bridge_msg *m = NULL;
    int rc = bridge_msg_new(&m, BRIDGE_FIELDS(.path = path));

    if (rc == 0) rc = bridge_request(b, BRIDGE_GET, m, 1000, on_answer, a, NULL);
    bridge_msg_unref(m);
    if (rc < 0) return rc;
    sem_wait(&a->there);
    return a->status;
}

int main(void)
{
    bridge_error err = {0};
    bridge *b = NULL;
    answer a = {0};
    int rc;

    sem_init(&a.there, 0, 0);
    if (bridge_new(&b, NULL, &err) < 0 || bridge_start(b) < 0) {
        fprintf(stderr, "thread: %s\n", err.text);
        bridge_free(b);
        return 1;
    }
    put(b, "home/kitchen/temperature", "21.5");
    rc = get(b, "home/kitchen/temperature", &a);
    printf("kitchen: %s\n", rc < 0 ? bridge_status_text(rc) : a.text);
    rc = get(b, "home/cellar/temperature", &a);
    printf("cellar: %s\n", rc < 0 ? bridge_status_text(rc) : a.text);
    bridge_free(b); /* stops it and joins its thread */
    sem_destroy(&a.there);
    return 0;
}
