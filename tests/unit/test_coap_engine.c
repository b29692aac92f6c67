/* The message layer: messages, duplicates, blocks, limits. */
#include "coap_engine_check.h"

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

static void who_asks_too_often_is_told_when_to_come_again(void) /* RFC 8516 */
{
    sent_one *s = NULL;

    handler = answer_hello;
    now += 1000 - now % 1000;
    start(&(coap_limits){.max_rate = 5});
    for (unsigned i = 0; i < 5; i++) CHECK_INT(ASK(.id = i)->packet.code, COAP_CONTENT);
    for (unsigned i = 5; i < 10; i++) {
        s = ASK(.id = i, .code = COAP_PUT);
        CHECK(s->packet.code == COAP_TOO_MANY && s->meta.has & COAP_HAS_MAX_AGE && s->meta.max_age == 1);
    }
    CHECK_INT(asked, 5);
    CHECK(!ASK(.id = 10) && !ASK(.id = 11)); /* it does not listen: no more words */
    CHECK_INT(ASK(.id = 1, .port = 2)->packet.code, COAP_CONTENT);
    wait_ms(1000);
    CHECK_INT(ASK(.id = 12, .code = COAP_PUT)->packet.code, COAP_CONTENT);
    for (unsigned i = 0; i < 50; i++) ASK(.id = 12, .code = COAP_PUT); /* what was said is said again, and does not count */
    CHECK_INT(ASK(.id = 13)->packet.code, COAP_CONTENT);
    CHECK_INT(asked, 8);
    stop();
}

static coap_peer *peer_at(uint16_t port)
{
    return coap_peer_find(engine, now, &(coap_address){.family = AF_INET, .port = port}, true);
}

static void a_name_is_counted_once_however_many_addresses_it_has(void)
{
    static const uint16_t ports[] = {1, 2};

    handler = answer_hello;
    now += 1000 - now % 1000;
    start(&(coap_limits){.max_rate = 4});
    for (unsigned i = 0; i < 2; i++) {
        CHECK_INT(ASK(.id = i, .port = ports[i])->packet.code, COAP_CONTENT);
        CHECK(coap_peer_named(peer_at(ports[i]), "lamp")); /* what it had asked counts */
        CHECK(coap_peer_named(peer_at(ports[i]), "lamp"));
    }
    CHECK_INT(ASK(.id = 5, .port = 3)->packet.code, COAP_CONTENT);
    CHECK(coap_peer_named(peer_at(3), "fan"));
    CHECK_INT(ASK(.id = 10, .port = 1)->packet.code, COAP_CONTENT);
    CHECK_INT(ASK(.id = 11, .port = 2)->packet.code, COAP_CONTENT);
    CHECK_INT(ASK(.id = 12, .port = 1)->packet.code, COAP_TOO_MANY);
    CHECK_INT(ASK(.id = 13, .port = 4)->packet.code, COAP_CONTENT);
    CHECK(!coap_peer_named(peer_at(4), "lamp")); /* a new address is no new second */
    CHECK_INT(ASK(.id = 14, .port = 3)->packet.code, COAP_CONTENT);
    wait_ms(1000);
    CHECK_INT(ASK(.id = 15, .port = 4)->packet.code, COAP_CONTENT);
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
        if (coap_engine_new(&engine, memory, &hooks, NULL, &(coap_limits){.max_rate = 1000}, now) < 0) continue;
        handler = answer_observed;
        ASK(.id = 1, .observe = 1);
        if (watching_count) coap_notify(watching[0], COAP_REPLY(.code = COAP_CONTENT, .data = "1", .len = 1, .confirm = true));
        handler = answer_changed;
        for (unsigned i = 0; i < 3; i++)
            ASK(.id = 10 + i, .code = COAP_PUT, .block1 = (int)BLOCK(i, i < 2, 2), .payload = body, .len = 64);
        handler = answer_big;
        ASK(.id = 20);
        ASK(.id = 21, .block2 = BLOCK(1, 0, 6));
        if (peer_at(2)) coap_peer_named(peer_at(2), "lamp");
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
    peers_are_forgotten_when_idle_or_too_many();
    who_asks_too_often_is_told_when_to_come_again();
    a_name_is_counted_once_however_many_addresses_it_has();
    out_of_memory_is_survived();
    return check_done();
}
