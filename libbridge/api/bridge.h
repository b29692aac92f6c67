/* api/bridge.h - a bridge from inside. */
#ifndef API_BRIDGE_H
#define API_BRIDGE_H
#include "hub/hub.h"
#include <pthread.h>

struct bridge {
    mem *mem;
    loop *loop;
    hub *hub;
    list slots;
    pthread_t thread;
    bool started;
    bool ending; /* bridge_free() */
    void *config; /* what the last bridge_load() added; config/ */
    void (*config_free)(bridge *b, void *config);
};

struct bridge_slot {
    list link; /* in bridge->slots */
    bridge *bridge;
    void (*undo)(bridge_slot *slot); /* on the loop's thread; the thing itself */
    void *thing;
    void *user;
    char *name;
};

/* Runs fn on the loop's thread and waits for it: at once when this is the one. */
int on_loop(bridge *b, int (*fn)(bridge *b, void *args), void *args);
bridge_slot *slot_new(bridge *b, void (*undo)(bridge_slot *), void *user); /* linked; thing is still to be set */
/* Another URL for the address of a listener, which keeps all it has.  UNSUPPORTED: its protocol cannot; on failure nothing has changed. */
int listener_change(bridge_slot *slot, const char *where, bridge_error *err);
/* Ends a listener whose connections are to stay; the slot is gone then.  false: its protocol cannot, nothing was done. */
bool listener_retire(bridge_slot *slot);
void slot_free(bridge_slot *slot); /* without undo */
#endif
