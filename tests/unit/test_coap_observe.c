/* The message layer: observers. */
#include "coap_engine_check.h"

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
        if (i == 20) ASK(.id = 100, .observe = 1, .token = 0xaaaa); /* a sign of life */
        if (i == 20) before = last()->meta.observe;
        if (i == 50) wait_ms(32 * 3000);
        if (i == 80) ASK(.id = 101, .observe = 1, .token = 0xaaaa);
        if (i == 80) before = last()->meta.observe;
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

static void tell_often(unsigned from, unsigned count)
{
    char said[16];

    for (unsigned i = from; i < from + count; i++) {
        int len = snprintf(said, sizeof said, "%u", i);

        coap_notify(watching[0], COAP_REPLY(.code = COAP_CONTENT, .data = said, .len = (size_t)len));
    }
}

static void who_is_told_often_shows_that_it_hears(void) /* RFC 7641 4.5.1 */
{
    unsigned before;

    handler = answer_observed;
    start(NULL);
    ASK(.id = 1, .observe = 1, .type = COAP_NON);
    before = out_count;
    tell_often(0, 32);
    CHECK(out_count == before + 32 && last()->packet.type == COAP_NON);
    tell_often(32, 1);
    CHECK(out_count == before + 33 && last()->packet.type == COAP_CON);
    tell_often(33, 100); /* the newest of which waits */
    CHECK_INT(out_count, before + 33);
    CHECK_INT(coap_engine_counters(engine).skipped, 99);
    empty(COAP_ACK, last()->packet.id);
    CHECK(out_count == before + 34 && last()->packet.type == COAP_NON && last()->packet.payload_len == 3);
    CHECK(memcmp(last()->packet.payload, "132", 3) == 0);
    tell_often(0, 31); /* a round trip is worth as many again */
    CHECK(out_count == before + 65 && last()->packet.type == COAP_NON);
    wait_ms(2999);
    CHECK(gone == 0);
    wait_ms(1); /* and time one every three seconds */
    tell_often(0, 1);
    CHECK(out_count == before + 66 && last()->packet.type == COAP_NON);
    tell_often(0, 1);
    CHECK(out_count == before + 67 && last()->packet.type == COAP_CON);
    for (int i = 0; i < 100; i++) { /* silence: retransmissions and no more, then it is gone */
        if (gone) break;
        tell_often(0, 5);
        wait_ms(1000);
    }
    CHECK(gone == 1 && why_gone == COAP_WHY_TIMEOUT);
    CHECK_INT(out_count, before + 71);
    stop();
}

static void who_is_told_seldom_need_not_say_anything(void)
{
    handler = answer_observed;
    start(NULL);
    ASK(.id = 1, .observe = 1, .type = COAP_NON);
    for (int i = 0; i < 1000; i++) {
        tell_often(0, 1);
        CHECK_INT(last()->packet.type, COAP_NON);
        wait_ms(3000);
    }
    stop();
}

static void those_who_lack_credit_do_not_wait_one_by_one(void)
{
    unsigned before;

    handler = answer_observed;
    start(NULL);
    for (unsigned i = 0; i < 8; i++) ASK(.id = i, .observe = 1, .type = COAP_NON, .token = 0x100 + i);
    for (unsigned n = 0; n < 32; n++)
        for (unsigned i = 0; i < 8; i++) coap_notify(watching[i], COAP_REPLY(.code = COAP_CONTENT, .data = "x", .len = 1));
    before = out_count;
    for (unsigned i = 0; i < 8; i++) coap_notify(watching[i], COAP_REPLY(.code = COAP_CONTENT, .data = "y", .len = 1));
    for (unsigned i = 0; i < 8; i++) { /* NSTART 1 */
        CHECK_INT(out_count, before + 1 + i);
        CHECK_INT(last()->packet.type, COAP_CON);
        empty(COAP_ACK, last()->packet.id);
    }
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

int main(void)
{
    memory = mem_default();
    observers_are_told_in_order();
    a_slow_observer_skips_to_the_newest();
    who_is_told_often_shows_that_it_hears();
    who_is_told_seldom_need_not_say_anything();
    those_who_lack_credit_do_not_wait_one_by_one();
    twenty_observers_of_one_peer_share_its_nstart();
    once_a_day_an_observer_must_give_a_sign_of_life();
    an_observation_ends_with_a_word();
    return check_done();
}
