/* tests/unit/coap_engine_check.h - the message layer against a network of our own: what goes out lands in `out`, time is a number. */
#ifndef COAP_ENGINE_CHECK_H
#define COAP_ENGINE_CHECK_H
#include "adapter/coap/engine.h"
#include "bridge/bridge.h"
#include "check.h"
#include <stdlib.h>
#include <sys/socket.h>

enum { OUT_MAX = 64 };
typedef struct sent_one {
    coap_peer *peer;
    uint8_t bytes[2048];
    size_t len;
    coap_packet packet;
    coap_meta meta;
} sent_one;
static sent_one out[OUT_MAX];
static unsigned out_count;
static uint8_t room_memory[1 << 17];
static coap_engine *engine;
static int64_t now = 1000000;
static mem *memory;
static unsigned asked, dropped, gone, stale, peers_gone;
static int why_gone;
static char last_body[20000];
static size_t last_len;
static void (*handler)(coap_request *r);
static coap_request *kept;
static coap_observer *watching[8];
static unsigned watching_count;

static uint8_t *room(void *user, coap_peer *peer, size_t len)
{
    (void)user, (void)peer;
    return len <= sizeof room_memory ? room_memory : NULL;
}

static void on_send(void *user, coap_peer *peer, const uint8_t *p, size_t len)
{
    sent_one *s = &out[out_count++ % OUT_MAX];

    (void)user;
    s->peer = peer;
    s->len = len;
    memcpy(s->bytes, p, len);
    CHECK_INT(coap_parse_datagram(&s->packet, s->bytes, s->len), COAP_PARSED);
    coap_meta_read(&s->meta, &s->packet);
}

static void on_request(void *user, coap_request *r)
{
    (void)user;
    asked++;
    last_len = r->body_len < sizeof last_body ? r->body_len : sizeof last_body;
    if (last_len) memcpy(last_body, r->body, last_len);
    handler(r);
}
static void on_dropped(void *user, coap_request *r) { (void)user, (void)r, dropped++; }
static void on_gone(void *user, coap_observer *o, coap_why why) { (void)user, (void)o, gone++, why_gone = (int)why; }
static void on_stale(void *user, coap_observer *o)
{
    (void)user;
    stale++;
    coap_notify(o, COAP_REPLY(.code = COAP_CONTENT, .data = "still", .len = 5));
}
static void on_peer_gone(void *user, coap_peer *p) { (void)user, (void)p, peers_gone++; }
static int held;
static void hold(void *owner) { (void)owner, held++; }
static void let_go(void *owner) { (void)owner, held--; }
static const coap_hooks hooks = {room, on_send, on_request, on_dropped, on_gone, on_stale, on_peer_gone, hold, let_go, NULL};

static void start(const coap_limits *limits)
{
    asked = dropped = gone = stale = peers_gone = out_count = watching_count = 0;
    kept = NULL;
    CHECK_INT(coap_engine_new(&engine, memory, &hooks, NULL, limits, now), 0);
}
static void stop(void)
{
    coap_engine_free(engine);
    CHECK_INT(held, 0);
}

typedef struct request {
    unsigned port, type, code, id, token;
    int observe, block1, block2, size1, no_response; /* + 1 */
    const char *path, *payload;
    size_t len;
} request;
#define BLOCK(num, more, szx) (((num) << 4 | (more) << 3 | (szx)) + 1)

static void ask_bytes(unsigned port, const void *p, size_t len)
{
    coap_address from = {.family = AF_INET, .port = (uint16_t)port};

    coap_engine_input(engine, now, &from, p, len, false);
}

static sent_one *ask(const request *said) /* the message that came back, or NULL */
{
    request filled = *said, *q = &filled;
    uint8_t bytes[4096];
    unsigned token_bytes = q->token ? q->token : 0x5151;
    coap_token token = {2, {(uint8_t)(token_bytes >> 8), (uint8_t)token_bytes}};
    unsigned before = out_count;
    coap_writer w;
    int64_t len;

    if (!q->port) q->port = 1;
    if (!q->code) q->code = COAP_GET;
    if (!q->path) q->path = "x";
    coap_write_datagram(&w, bytes, sizeof bytes, (coap_type)q->type, (uint8_t)q->code, (uint16_t)q->id, &token);
    if (q->observe) coap_write_uint(&w, COAP_OBSERVE, (uint32_t)q->observe - 1);
    coap_write_option(&w, COAP_URI_PATH, q->path, strlen(q->path));
    if (q->block2) coap_write_uint(&w, COAP_BLOCK2, (uint32_t)q->block2 - 1);
    if (q->block1) coap_write_uint(&w, COAP_BLOCK1, (uint32_t)q->block1 - 1);
    if (q->size1) coap_write_uint(&w, COAP_SIZE1, (uint32_t)q->size1 - 1);
    if (q->no_response) coap_write_uint(&w, COAP_NO_RESPONSE, (uint32_t)q->no_response - 1);
    if (q->payload) coap_write_payload(&w, q->payload, q->len ? q->len : strlen(q->payload));
    len = coap_write_end(&w);
    CHECK(len > 0);
    ask_bytes(q->port, w.start, (size_t)len);
    return out_count > before ? &out[(out_count - 1) % OUT_MAX] : NULL;
}
#define ASK(...) ask(&(request){__VA_ARGS__}) /* what is not said: CON GET /x from port 1 with a token */
static void empty(unsigned type, unsigned id)
{
    uint8_t bytes[4];

    ask_bytes(1, bytes, coap_write_empty(bytes, (coap_type)type, (uint16_t)id));
}
static void wait_ms(int64_t ms)
{
    int64_t until = now + ms;

    while (coap_engine_due(engine) <= until) {
        now = coap_engine_due(engine) > now ? coap_engine_due(engine) : now;
        coap_engine_tick(engine, now);
    }
    now = until;
    coap_engine_tick(engine, now);
}
static sent_one *last(void) { return &out[(out_count - 1) % OUT_MAX]; }

static void answer_hello(coap_request *r)
{
    coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(0), .data = "hello", .len = 5));
}
static inline void answer_changed(coap_request *r) { coap_respond(r, COAP_REPLY(.code = COAP_CHANGED)); }
static inline void answer_later(coap_request *r) { kept = coap_request_keep(r); }
static char big[3000];
static inline void answer_big(coap_request *r)
{
    coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .data = big, .len = sizeof big, .owner = big, .etag = {7}, .etag_len = 1));
}
static void answer_observed(coap_request *r)
{
    void *before;

    if (r->meta->has & COAP_HAS_OBSERVE && r->meta->observe == 0) {
        coap_observer *o = coap_observe(r, big, &before);

        if (o && !before) watching[watching_count++] = o;
        coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .data = "first", .len = 5, .observer = o));
        return;
    }
    if (r->meta->has & COAP_HAS_OBSERVE) {
        coap_observer *o = coap_observer_of(r);
        if (o) coap_observer_end(o, 0);
    }
    answer_hello(r);
}
#endif
