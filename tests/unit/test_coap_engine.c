/* The message layer against a network of our own: what goes out lands in `out`, time is a number. */
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
static void answer_changed(coap_request *r) { coap_respond(r, COAP_REPLY(.code = COAP_CHANGED)); }
static void answer_later(coap_request *r) { kept = coap_request_keep(r); }
static char big[3000];
static void answer_big(coap_request *r)
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

static void a_confirmable_is_answered_in_the_acknowledgement(void)
{
    sent_one *s;

    handler = answer_hello;
    start(NULL);
    s = ASK(.id = 77);
    CHECK(s && s->packet.type == COAP_ACK && s->packet.id == 77 && s->packet.code == COAP_CONTENT);
    CHECK(s && s->packet.payload_len == 5 && s->packet.token.len == 2 && s->meta.has & COAP_HAS_CONTENT_FORMAT);
    s = ASK(.type = COAP_NON, .id = 78);
    CHECK(s && s->packet.type == COAP_NON && s->packet.code == COAP_CONTENT);
    CHECK(ASK(.type = COAP_ACK, .id = 79) == NULL);
    CHECK(ASK(.type = COAP_RST, .id = 80) == NULL);
    stop();
}

static void what_is_broken_is_rejected(void)
{
    handler = answer_hello;
    start(NULL);
    empty(COAP_CON, 9); /* ping */
    CHECK(out_count == 1 && last()->packet.type == COAP_RST && last()->packet.id == 9);
    empty(COAP_NON, 9);
    CHECK_INT(out_count, 1);
    ask_bytes(1, "\x40\x01\x00\x07\xff", 5);
    CHECK(out_count == 2 && last()->packet.type == COAP_RST && last()->packet.id == 7);
    ask_bytes(1, "\x50\x01\x00\x07\xff", 5); /* NON */
    ask_bytes(1, "\x80\x01\x00\x07", 4);     /* version 2 */
    ask_bytes(1, "\x40\x01\x00", 3);
    CHECK_INT(out_count, 2);
    ask_bytes(1, "\x40\x01\x00\x08\x91x", 6); /* critical option 9 */
    CHECK(out_count == 3 && last()->packet.code == COAP_BAD_OPTION && last()->packet.payload_len > 0);
    CHECK(ASK(.code = 9, .id = 20)->packet.code == COAP_NOT_ALLOWED);
    CHECK_INT(asked, 0);
    /* a response that nobody asked for */
    CHECK(ASK(.code = COAP_CONTENT, .id = 21)->packet.type == COAP_RST);
    CHECK(ASK(.code = COAP_CONTENT, .type = COAP_NON, .id = 22) == NULL);
    CHECK_INT(coap_engine_counters(engine).malformed, 4);
    stop();
}

static void a_repeated_put_is_done_once(void)
{
    handler = answer_changed;
    start(NULL);
    CHECK(ASK(.code = COAP_PUT, .id = 5, .payload = "1")->packet.code == COAP_CHANGED);
    CHECK(ASK(.code = COAP_PUT, .id = 5, .payload = "1")->packet.code == COAP_CHANGED);
    CHECK_INT(asked, 1);
    CHECK(ASK(.port = 2, .code = COAP_PUT, .id = 5, .payload = "1") != NULL);
    CHECK_INT(asked, 2);
    CHECK(ASK(.code = COAP_POST, .type = COAP_NON, .id = 6, .payload = "1") != NULL);
    CHECK(ASK(.code = COAP_POST, .type = COAP_NON, .id = 6, .payload = "1") == NULL);
    CHECK_INT(asked, 3);
    now += 250000; /* EXCHANGE_LIFETIME is over */
    CHECK(ASK(.code = COAP_PUT, .id = 5, .payload = "1") != NULL);
    CHECK_INT(asked, 4);
    stop();
}

static void many_ids_are_remembered_within_bounds(void)
{
    handler = answer_changed;
    start(&(coap_limits){.max_heard = 1024});
    for (unsigned i = 0; i < 5000; i++) ASK(.code = COAP_PUT, .id = i, .payload = "1");
    CHECK_INT(asked, 5000);
    CHECK_INT(coap_engine_counters(engine).heard, 1024);
    for (unsigned i = 4000; i < 5000; i++) ASK(.code = COAP_PUT, .id = i, .payload = "1");
    CHECK_INT(asked, 5000);
    stop();
}

static void a_late_answer_comes_separately_and_again_until_acknowledged(void)
{
    sent_one *s;
    unsigned id;

    handler = answer_later;
    start(NULL);
    CHECK(ASK(.id = 5) == NULL);
    CHECK(ASK(.id = 5) == NULL); /* the duplicate of one that is pending */
    CHECK_INT(asked, 1);
    wait_ms(300);
    CHECK(out_count == 1 && last()->packet.type == COAP_ACK && last()->packet.code == COAP_EMPTY && last()->packet.id == 5);
    coap_respond(kept, COAP_REPLY(.code = COAP_CONTENT, .data = "late", .len = 4));
    s = last();
    CHECK(out_count == 2 && s->packet.type == COAP_CON && s->packet.code == COAP_CONTENT && s->packet.token.len == 2);
    id = s->packet.id;
    CHECK(ASK(.id = 5)->packet.type == COAP_ACK);
    wait_ms(3100); /* at most 2 s * 1.5 */
    CHECK(out_count == 4 && last()->packet.id == id && last()->packet.type == COAP_CON);
    wait_ms(6100);
    CHECK_INT(out_count, 5);
    empty(COAP_ACK, id);
    wait_ms(100000);
    CHECK_INT(out_count, 5);

    ASK(.id = 6); /* answered before the acknowledgement is due */
    coap_respond(kept, COAP_REPLY(.code = COAP_CONTENT, .data = "soon", .len = 4));
    CHECK(last()->packet.type == COAP_ACK && last()->packet.id == 6 && last()->packet.code == COAP_CONTENT);
    ASK(.id = 7, .type = COAP_NON);
    wait_ms(1000);
    coap_respond(kept, COAP_REPLY(.code = COAP_CONTENT, .data = "soon", .len = 4));
    CHECK(last()->packet.type == COAP_NON && last()->packet.code == COAP_CONTENT);
    ASK(.id = 8);
    stop(); /* with one pending */
    CHECK_INT(dropped, 1);
}

static void retransmission_doubles_and_gives_up(void)
{
    int64_t began;

    handler = answer_later;
    start(NULL);
    ASK(.id = 5);
    wait_ms(300);
    coap_respond(kept, COAP_REPLY(.code = COAP_CONTENT));
    began = now;
    for (unsigned n = 3; n <= 6; n++) {
        while (out_count < n && now < began + 200000) wait_ms(50);
        CHECK(now - began >= 2000 * ((1 << (n - 2)) - 1) && now - began <= 3100 * ((1 << (n - 2)) - 1));
    }
    wait_ms(100000);
    CHECK_INT(out_count, 6);
    CHECK_INT(coap_engine_counters(engine).timeouts, 1);
    stop();
}

static void one_confirmable_at_a_time(void) /* NSTART */
{
    coap_request *first, *second;

    handler = answer_later;
    start(NULL);
    ASK(.id = 5);
    first = kept;
    ASK(.id = 6);
    second = kept;
    wait_ms(300);
    CHECK_INT(out_count, 2);
    coap_respond(first, COAP_REPLY(.code = COAP_CONTENT, .data = "1", .len = 1));
    coap_respond(second, COAP_REPLY(.code = COAP_CONTENT, .data = "2", .len = 1));
    CHECK_INT(out_count, 3);
    empty(COAP_ACK, last()->packet.id);
    CHECK(out_count == 4 && last()->packet.payload[0] == '2');
    empty(COAP_RST, last()->packet.id);
    wait_ms(100000);
    CHECK_INT(out_count, 4);
    stop();
}

static void no_response_is_obeyed(void) /* RFC 7967 */
{
    handler = answer_changed;
    start(NULL);
    CHECK(ASK(.code = COAP_PUT, .type = COAP_NON, .id = 1, .no_response = 2 + 1, .payload = "1") == NULL);
    CHECK(ASK(.code = COAP_PUT, .type = COAP_NON, .id = 2, .no_response = 8 + 1, .payload = "1") != NULL);
    CHECK(ASK(.code = COAP_PUT, .id = 3, .no_response = 26 + 1, .payload = "1")->packet.code == COAP_EMPTY);
    CHECK_INT(asked, 3);
    stop();
}

static void blocks_are_put_together(void)
{
    sent_one *s;
    char body[100];

    handler = answer_changed;
    for (unsigned i = 0; i < sizeof body; i++) body[i] = (char)('a' + i % 26);
    for (int size1 = 0; size1 < 2; size1++) {
        start(NULL);
        for (unsigned n = 0; n < 7; n++) {
            unsigned more = n < 6;

            s = ASK(.code = COAP_PUT, .id = 10 + n, .block1 = (int)BLOCK(n, more, 0), .size1 = size1 ? 101 : 0,
                    .payload = body + 16 * n, .len = more ? 16 : 4);
            CHECK(s->packet.code == (more ? COAP_CONTINUE : COAP_CHANGED));
            CHECK(s->meta.has & COAP_HAS_BLOCK1 && s->meta.block1.num == n && s->meta.block1.more == (bool)more);
            if (n == 3) { /* the same block again, under a new id */
                s = ASK(.code = COAP_PUT, .id = 30, .block1 = (int)BLOCK(3, 1, 0), .payload = body + 48, .len = 16);
                CHECK(s->packet.code == COAP_CONTINUE);
            }
        }
        CHECK_INT(asked, 1);
        CHECK(last_len == 100 && memcmp(last_body, body, 100) == 0);
        CHECK_INT(coap_engine_counters(engine).transfers, 0);
        stop();
    }
}

static void blocks_that_do_not_fit_are_refused(void)
{
    sent_one *s;
    char body[64] = {0};

    handler = answer_changed;
    start(&(coap_limits){.max_body = 48, .peer_transfers = 2});
    CHECK(ASK(.code = COAP_PUT, .id = 1, .block1 = BLOCK(3, 1, 0), .payload = body, .len = 16)->packet.code == COAP_TOO_LARGE);
    CHECK(ASK(.code = COAP_PUT, .id = 2, .block1 = BLOCK(2, 1, 0), .payload = body, .len = 16)->packet.code == COAP_INCOMPLETE);
    CHECK(ASK(.code = COAP_PUT, .id = 3, .block1 = BLOCK(0, 1, 0), .payload = body, .len = 16)->packet.code == COAP_CONTINUE);
    CHECK(ASK(.code = COAP_PUT, .id = 4, .block1 = BLOCK(2, 0, 0), .payload = body, .len = 16)->packet.code == COAP_INCOMPLETE);
    s = ASK(.code = COAP_PUT, .id = 5, .block1 = BLOCK(0, 1, 0), .size1 = 50, .payload = body, .len = 16);
    CHECK(s->packet.code == COAP_TOO_LARGE && s->meta.has & COAP_HAS_SIZE1 && s->meta.size1 == 48);
    CHECK(ASK(.code = COAP_PUT, .id = 6, .block1 = BLOCK(0, 1, 0), .payload = body, .len = 15)->packet.code == COAP_BAD_REQUEST);
    CHECK(ASK(.code = COAP_PUT, .id = 7, .block1 = BLOCK(0, 0, 0), .payload = body, .len = 17)->packet.code == COAP_BAD_REQUEST);
    CHECK(ASK(.code = COAP_PUT, .id = 8, .block1 = BLOCK(0, 1, 7), .payload = body, .len = 16)->packet.code == COAP_BAD_REQUEST);
    CHECK(ASK(.code = COAP_PUT, .id = 9, .payload = body, .len = 49)->packet.code == COAP_TOO_LARGE);
    for (unsigned i = 0; i < 5; i++) {
        char name[] = {(char)('a' + i), 0};
        ASK(.code = COAP_PUT, .id = 20 + i, .path = name, .block1 = BLOCK(0, 1, 0), .payload = body, .len = 16);
    }
    CHECK_INT(coap_engine_counters(engine).transfers, 2);
    wait_ms(100000);
    CHECK_INT(coap_engine_counters(engine).transfers, 0);
    CHECK_INT(asked, 0);
    stop();
}

static void large_answers_come_in_blocks_of_any_size_in_any_order(void)
{
    sent_one *s;
    char got[sizeof big];

    handler = answer_big;
    for (unsigned i = 0; i < sizeof big; i++) big[i] = (char)(i * 7);
    start(NULL);
    s = ASK(.id = 1);
    CHECK(s->meta.has & COAP_HAS_BLOCK2 && s->meta.block2.more && s->meta.block2.szx == 6 && s->meta.size2 == sizeof big);
    CHECK(s->packet.payload_len == 1024 && s->meta.etag_count == 1);
    for (unsigned szx = 0; szx <= 6; szx++) {
        size_t size = coap_block_size(szx);
        unsigned count = (unsigned)((sizeof big + size - 1) / size);

        for (unsigned n = count; n-- > 0;) {
            s = ASK(.id = 100 + n, .token = 100 + n, .block2 = (int)BLOCK(n, 0, szx));
            CHECK(s->meta.block2.num == n && s->meta.block2.szx == szx && s->meta.block2.more == (n + 1 < count));
            memcpy(got + n * size, s->packet.payload, s->packet.payload_len);
        }
        CHECK(memcmp(got, big, sizeof big) == 0);
    }
    CHECK_INT(asked, 1 + 7); /* the first blocks: what follows is served from what is held */
    CHECK(ASK(.id = 5000, .block2 = BLOCK(3, 0, 6))->packet.code == COAP_BAD_REQUEST);
    CHECK(ASK(.id = 5001, .code = COAP_POST, .block2 = BLOCK(1, 0, 6))->packet.code == COAP_INCOMPLETE);
    CHECK(held == 1);
    wait_ms(100000);
    CHECK_INT(held, 0);
    s = ASK(.id = 5002, .block2 = BLOCK(2, 0, 6)); /* nothing held: read again */
    CHECK(s->packet.code == COAP_CONTENT && s->packet.payload_len == sizeof big - 2048);
    stop();
}

static void observers_are_told_in_order(void)
{
    sent_one *s;
    uint32_t before;

    handler = answer_observed;
    start(NULL);
    s = ASK(.id = 1, .observe = 1, .token = 0xaaaa);
    CHECK(s->packet.type == COAP_ACK && s->meta.has & COAP_HAS_OBSERVE);
    ASK(.id = 2, .observe = 1, .token = 0xbbbb); /* RFC 7641 4.1: endpoint and token */
    CHECK_INT(coap_engine_counters(engine).observers, 2);
    before = s->meta.observe;
    for (int i = 0; i < 100; i++) {
        coap_notify(watching[0], COAP_REPLY(.code = COAP_CONTENT, .data = "news", .len = 4));
        s = last();
        CHECK(s->packet.type == COAP_NON && s->packet.token.bytes[0] == 0xaa && s->meta.has & COAP_HAS_OBSERVE);
        CHECK(((s->meta.observe - before) & 0xffffff) < 1 << 23 && s->meta.observe != before);
        before = s->meta.observe;
        if (i % 10 == 0) wait_ms(20);
    }
    ASK(.id = 3, .observe = 1, .token = 0xaaaa); /* again: the same observation */
    CHECK_INT(coap_engine_counters(engine).observers, 2);
    coap_notify(watching[0], COAP_REPLY(.code = COAP_CONTENT, .data = "news", .len = 4));
    empty(COAP_RST, last()->packet.id);
    CHECK(gone == 1 && why_gone == COAP_WHY_RESET);
    ASK(.id = 4, .observe = 2, .token = 0xbbbb);
    CHECK_INT(coap_engine_counters(engine).observers, 0);
    stop();
}

static void a_slow_observer_skips_to_the_newest(void)
{
    unsigned id;

    handler = answer_observed;
    start(NULL);
    ASK(.id = 1, .observe = 1);
    coap_notify(watching[0], COAP_REPLY(.code = COAP_CONTENT, .data = "one", .len = 3, .confirm = true));
    CHECK(out_count == 2 && last()->packet.type == COAP_CON);
    id = last()->packet.id;
    coap_notify(watching[0], COAP_REPLY(.code = COAP_CONTENT, .data = "two", .len = 3, .owner = big));
    coap_notify(watching[0], COAP_REPLY(.code = COAP_CONTENT, .data = "three", .len = 5));
    CHECK_INT(held, 0);
    CHECK_INT(out_count, 2);
    empty(COAP_ACK, id);
    CHECK(out_count == 3 && last()->packet.payload_len == 5);
    coap_notify(watching[0], COAP_REPLY(.code = COAP_CONTENT, .data = "four", .len = 4, .confirm = true));
    wait_ms(100000);
    CHECK(gone == 1 && why_gone == COAP_WHY_TIMEOUT);
    CHECK_INT(coap_engine_counters(engine).observers, 0);
    stop();
}

static void twenty_observers_of_one_peer_share_its_nstart(void)
{
    handler = answer_observed;
    start(NULL);
    for (unsigned i = 0; i < 8; i++) ASK(.id = i, .observe = 1, .token = 0x100 + i);
    for (unsigned i = 0; i < 8; i++)
        coap_notify(watching[i], COAP_REPLY(.code = COAP_CONTENT, .data = "one", .len = 3, .confirm = true));
    for (unsigned i = 0; i < 8; i++) {
        CHECK_INT(out_count, 9 + i);
        CHECK_INT(last()->packet.token.bytes[1], i);
        empty(COAP_ACK, last()->packet.id);
    }
    CHECK_INT(out_count, 16);
    stop();
    CHECK_INT(gone, 8);
}

static void once_a_day_an_observer_must_give_a_sign_of_life(void)
{
    handler = answer_observed;
    start(NULL);
    ASK(.id = 1, .observe = 1);
    for (int hour = 0; hour < 23; hour++) wait_ms(3600 * 1000);
    CHECK_INT(stale, 0);
    wait_ms(3600 * 1000 + 1000);
    CHECK_INT(stale, 1);
    CHECK_INT(last()->packet.type, COAP_CON);
    empty(COAP_ACK, last()->packet.id);
    wait_ms(3600 * 1000);
    CHECK(gone == 0 && stale == 1);
    for (int hour = 0; hour < 24; hour++) wait_ms(3600 * 1000);
    CHECK_INT(gone, 1);
    stop();
}

static void an_observation_ends_with_a_word(void)
{
    handler = answer_observed;
    start(NULL);
    ASK(.id = 1, .observe = 1);
    coap_observer_end(watching[0], COAP_NOT_FOUND);
    CHECK(last()->packet.code == COAP_NOT_FOUND && !(last()->meta.has & COAP_HAS_OBSERVE) && last()->packet.type == COAP_CON);
    wait_ms(4000);
    CHECK_INT(out_count, 3);
    empty(COAP_ACK, last()->packet.id);
    wait_ms(100000);
    CHECK_INT(out_count, 3);
    stop();
}

static void peers_are_forgotten_when_idle_or_too_many(void)
{
    handler = answer_hello;
    start(&(coap_limits){.max_peers = 100});
    for (unsigned i = 0; i < 1000; i++) CHECK(ASK(.port = i + 1, .id = i) != NULL);
    CHECK_INT(coap_engine_counters(engine).peers, 100);
    CHECK_INT(peers_gone, 900);
    wait_ms(600000);
    CHECK_INT(coap_engine_counters(engine).peers, 0);
    handler = answer_observed;
    ASK(.port = 1, .id = 1, .observe = 1);
    for (unsigned i = 0; i < 200; i++) ASK(.port = i + 2, .id = i);
    wait_ms(600000);
    CHECK_INT(coap_engine_counters(engine).peers, 1);
    CHECK_INT(gone, 0);
    stop();
}

/* Failing the n-th allocation, for every n, may lose messages but nothing else. */
static unsigned fail_at, allocations;
static void *failing(void *user, void *p, size_t len)
{
    (void)user;
    if (len && ++allocations == fail_at) return NULL;
    if (len) return realloc(p, len);
    free(p);
    return NULL;
}

static void out_of_memory_is_survived(void)
{
    memory = mem_create(failing, NULL);
    for (fail_at = 1; fail_at < 60; fail_at++) {
        char body[64] = {0};

        allocations = 0;
        asked = out_count = watching_count = 0;
        if (coap_engine_new(&engine, memory, &hooks, NULL, NULL, now) < 0) continue;
        handler = answer_observed;
        ASK(.id = 1, .observe = 1);
        if (watching_count) coap_notify(watching[0], COAP_REPLY(.code = COAP_CONTENT, .data = "1", .len = 1, .confirm = true));
        handler = answer_changed;
        for (unsigned i = 0; i < 3; i++)
            ASK(.id = 10 + i, .code = COAP_PUT, .block1 = (int)BLOCK(i, i < 2, 2), .payload = body, .len = 64);
        handler = answer_big;
        ASK(.id = 20);
        ASK(.id = 21, .block2 = BLOCK(1, 0, 6));
        kept = NULL;
        handler = answer_later;
        ASK(.id = 30);
        wait_ms(300);
        if (kept) coap_respond(kept, COAP_REPLY(.code = COAP_CONTENT));
        wait_ms(1000000);
        coap_engine_free(engine);
    }
    CHECK_INT(held, 0);
    mem_unref(memory);
}

int main(void)
{
    memory = mem_default();
    a_confirmable_is_answered_in_the_acknowledgement();
    what_is_broken_is_rejected();
    a_repeated_put_is_done_once();
    many_ids_are_remembered_within_bounds();
    a_late_answer_comes_separately_and_again_until_acknowledged();
    retransmission_doubles_and_gives_up();
    one_confirmable_at_a_time();
    no_response_is_obeyed();
    blocks_are_put_together();
    blocks_that_do_not_fit_are_refused();
    large_answers_come_in_blocks_of_any_size_in_any_order();
    observers_are_told_in_order();
    a_slow_observer_skips_to_the_newest();
    twenty_observers_of_one_peer_share_its_nstart();
    once_a_day_an_observer_must_give_a_sign_of_life();
    an_observation_ends_with_a_word();
    peers_are_forgotten_when_idle_or_too_many();
    out_of_memory_is_survived();
    return check_done();
}
