#include "hub/handout.h"
#include "hub/hub.h"

struct handout {
    hub *hub;
    char *name;
    bridge_msg *msg;
    uint64_t left; /* bytes */
};

int handout_new(handout **out, bridge_port *port, const char *name, bridge_msg *msg, uint64_t bytes)
{
    hub *h = port->hub;
    handout *it;
    int rc = 0;

    if (map_get(&h->handouts, name, strlen(name))) return BRIDGE_EXISTS;
    it = mem_new(h->mem, handout);
    if (!it) return BRIDGE_NOMEM;
    it->hub = h;
    it->left = bytes;
    it->name = mem_text(h->mem, name);
    rc = it->name ? map_put(&h->handouts, it->name, strlen(it->name), it, NULL) : BRIDGE_NOMEM;
    if (rc < 0) {
        mem_free(h->mem, it->name);
        mem_free(h->mem, it);
        return rc;
    }
    it->msg = bridge_msg_ref(msg);
    *out = it;
    return 0;
}

void handout_free(handout *h)
{
    if (!h) return;
    map_remove(&h->hub->handouts, h->name, strlen(h->name));
    bridge_msg_unref(h->msg);
    mem_free(h->hub->mem, h->name);
    mem_free(h->hub->mem, h);
}

handout *handout_find(bridge_port *port, text name) { return map_get(&port->hub->handouts, name.p, name.len); }

bridge_msg *handout_msg(const handout *h) { return h->msg; }

bool handout_spend(handout *h, uint64_t bytes)
{
    if (bytes > h->left) return false;
    h->left -= bytes;
    return true;
}
