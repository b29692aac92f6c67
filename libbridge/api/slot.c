/* Slots: everything that can be undone, undone in one way. */
#include "api/bridge.h"

bridge_slot *slot_new(bridge *b, void (*undo)(bridge_slot *), void *user)
{
    bridge_slot *s = mem_new(b->mem, bridge_slot);

    if (!s) return NULL;
    s->bridge = b;
    s->undo = undo;
    s->user = user;
    list_push(&b->slots, &s->link);
    return s;
}

void slot_free(bridge_slot *s)
{
    if (!s) return;
    list_remove(&s->link);
    mem_free(s->bridge->mem, s->name);
    mem_free(s->bridge->mem, s);
}

static void close_now(void *user)
{
    bridge_slot *s = user;
    bridge *b = s->bridge;

    s->undo(s);
    slot_free(s);
    loop_kick(b->loop);
}

void bridge_slot_close(bridge_slot *slot)
{
    if (!slot) return;
    if (loop_is_here(slot->bridge->loop))
        close_now(slot);
    else
        loop_post(slot->bridge->loop, close_now, slot); /* over its limit: it ends with the bridge */
}

void *bridge_slot_user(const bridge_slot *slot)
{
    return slot->user;
}

const char *bridge_slot_name(const bridge_slot *slot)
{
    return slot->name ? slot->name : "";
}
