/* Answers of the registration interface that promise something: they wait until the store has it (docs/store.md), and what follows from
 * them (the event, requests to the device) waits with them.  Without a store, or with durability=none, all of it is done at once. */
#include "adapter/lwm2m/lwm2m.h"
#include "base/status.h"
#include "bridge/sys/store.h"
#include "hub/port.h"

typedef struct promise {
    bridge_store_wait disk;
    list link; /* of the port */
    lwm2m_port *port;
    coap_request *request;
    lwm2m_device *d; /* held; NULL: it has de-registered */
    uint8_t code;
    bool links; /* it told which there are */
} promise;

static void answer_registered(const lwm2m_port *p, coap_request *r, const lwm2m_device *d)
{
    const char *base = p->coap.mount;
    coap_option location[8];
    unsigned n = 0;

    while (*base && n < 6) { /* the path of the listener's URL comes first */
        size_t len = strcspn(base, "/");
        location[n++] = (coap_option){COAP_LOCATION_PATH, (uint32_t)len, (const uint8_t *)base};
        base += len + (base[len] == '/');
    }
    location[n++] = (coap_option){COAP_LOCATION_PATH, 2, (const uint8_t *)"rd"};
    location[n++] = (coap_option){COAP_LOCATION_PATH, LWM2M_LOCATION, (const uint8_t *)d->location};
    coap_respond(r, COAP_REPLY(.code = COAP_CREATED, .extra = location, .extra_count = n));
}

static void after_registration(lwm2m_device *d)
{
    d->asleep = false;
    lwm2m_event(d, "registered", NULL);
    if (!d->gone) lwm2m_fly_again(d);
    if (!d->gone) lwm2m_observe_again(d);
    if (!d->gone) lwm2m_flash_back(d);
    if (!d->gone) lwm2m_heard(d);
    if (!d->gone) lwm2m_look_behind(d);
}

static void after_update(lwm2m_device *d, bool links)
{
    lwm2m_event(d, "updated", NULL);
    if (!d->gone) lwm2m_heard(d);
    if (!d->gone && links) lwm2m_look_behind(d);
}

/* d is held, or NULL; it may be gone. */
static void keep_word(lwm2m_port *p, coap_request *r, uint8_t code, lwm2m_device *d, bool links)
{
    if (code == COAP_CREATED && d)
        answer_registered(p, r, d);
    else
        coap_respond(r, COAP_REPLY(.code = code));
    if (!d || d->gone) return;
    if (code == COAP_CREATED)
        after_registration(d);
    else
        after_update(d, links);
}

static void promise_free(promise *w)
{
    mem *m = w->port->coap.mem;

    bridge_store_forget(&w->disk);
    list_remove(&w->link);
    if (w->d) lwm2m_release(w->d);
    mem_free(m, w);
}

static void on_disk(bridge_store_wait *wait, int status)
{
    promise *w = list_of(wait, promise, disk);
    lwm2m_port *p = w->port;
    coap_request *r = w->request;

    if (status == BRIDGE_CLOSED) return; /* the end drops it */
    r->user = NULL;
    if (status < 0)
        coap_answer_status(r, status, BRIDGE_POST, NULL); /* it may have happened all the same */
    else
        keep_word(p, r, w->code, w->d, w->links);
    promise_free(w);
    turn_end_want(p->coap.loop, &p->coap.flush);
}

void lwm2m_promise(lwm2m_port *p, coap_request *r, uint8_t code, lwm2m_device *d, bool links)
{
    promise *w = NULL;

    if (d) lwm2m_hold(d);
    if (port_promises(p->coap.port)) {
        w = mem_new(p->coap.mem, promise);
        if (w && (w->request = coap_request_keep(r))) {
            w->port = p;
            w->d = d;
            w->code = code;
            w->links = links;
            w->disk.fn = on_disk;
            w->request->user = w;
            list_push(&p->promises, &w->link);
            port_promise(p->coap.port, &w->disk);
            return;
        }
        mem_free(p->coap.mem, w);
        coap_answer_status(r, BRIDGE_BUSY, BRIDGE_POST, "too many requests are waiting");
    } else {
        keep_word(p, r, code, d, links);
    }
    if (d) lwm2m_release(d);
}

void lwm2m_promise_dropped(coap_request *r) { promise_free(r->user); }

void lwm2m_promises_drop(lwm2m_port *p)
{
    while (!list_empty(&p->promises)) {
        promise *w = list_of(p->promises.next, promise, link);

        w->request->user = NULL; /* the engine drops it */
        promise_free(w);
    }
}
