/* Datagrams from four ports, and time, in any order: [port and what to do][length][bytes] again and again. */
#include "adapter/coap/engine.h"
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

typedef struct world {
    coap_engine *engine;
    coap_request *kept[8];
    coap_observer *watching[8];
    unsigned keeps, watches;
    uint8_t memory[1 << 16];
} world;
static char body[3000];

static uint8_t *room(void *user, coap_peer *peer, size_t len)
{
    world *w = user;

    (void)peer;
    return len <= sizeof w->memory ? w->memory : NULL;
}
static void on_send(void *user, coap_peer *peer, const uint8_t *p, size_t len)
{
    coap_packet packet;

    (void)user, (void)peer;
    if (coap_parse_datagram(&packet, p, len) != COAP_PARSED) __builtin_trap();
}
static void on_request(void *user, coap_request *r)
{
    world *w = user;
    void *before;

    if (r->code == COAP_GET && r->meta->has & COAP_HAS_OBSERVE && w->watches < 8) {
        coap_observer *o = coap_observe(r, w, &before);

        if (o && !before) w->watching[w->watches++] = o;
        coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .data = body, .len = r->id % sizeof body, .observer = o));
    } else if (r->code == COAP_POST && w->keeps < 8) {
        w->kept[w->keeps] = coap_request_keep(r);
        if (w->kept[w->keeps])
            w->keeps++;
        else
            coap_request_text(r, COAP_UNAVAILABLE, NULL);
    } else {
        coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .data = r->body_len ? (const void *)r->body : body,
                                   .len = r->body_len ? r->body_len : sizeof body));
    }
}
static void on_dropped(void *user, coap_request *r)
{
    world *w = user;

    for (unsigned i = 0; i < w->keeps; i++)
        if (w->kept[i] == r) w->kept[i] = NULL;
}
static void on_gone(void *user, coap_observer *o, coap_why why)
{
    world *w = user;

    (void)why;
    for (unsigned i = 0; i < w->watches; i++)
        if (w->watching[i] == o) w->watching[i] = NULL;
}
static void on_stale(void *user, coap_observer *o)
{
    (void)user;
    coap_notify(o, COAP_REPLY(.code = COAP_CONTENT));
}
static const coap_hooks hooks = {.room = room, .send = on_send, .on_request = on_request, .on_dropped = on_dropped,
                                 .on_observer_gone = on_gone, .on_observer_stale = on_stale};

static void act(world *w, uint8_t what, int64_t *now)
{
    unsigned i = what & 7;

    if (what & 8) *now += 1000 << i;
    coap_engine_tick(w->engine, *now);
    if (what & 16 && i < w->keeps && w->kept[i]) {
        coap_request *r = w->kept[i];

        w->kept[i] = NULL;
        coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .data = body, .len = 2000));
    }
    if (what & 32 && i < w->watches && w->watching[i])
        coap_notify(w->watching[i], COAP_REPLY(.code = COAP_CONTENT, .data = body, .len = 200, .confirm = what & 8));
    if ((what & 0x60) == 0x40 && i < w->watches && w->watching[i]) {
        coap_observer *o = w->watching[i];

        w->watching[i] = NULL;
        coap_observer_end(o, COAP_NOT_FOUND);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static world w;
    int64_t now = 1000;

    w.keeps = w.watches = 0;
    if (coap_engine_new(&w.engine, mem_default(), &hooks, &w,
                        &(coap_limits){.max_body = 4096, .max_heard = 256, .max_peers = 3, .peer_pending = 3}, now) < 0)
        return 0;
    while (len >= 2) {
        size_t n = data[1] < len - 2 ? data[1] : len - 2;
        coap_address from = {.family = AF_INET, .port = data[0] & 3};

        if (data[0] & 0x80)
            act(&w, data[0], &now);
        else
            coap_engine_input(w.engine, now, &from, data + 2, n, data[0] & 4);
        data += 2 + n;
        len -= 2 + n;
    }
    coap_engine_free(w.engine);
    return 0;
}
