/* MQTT's client side without a network: what it says to a broker of packets, in every turn of an exchange. */
#include "uplink_end.h"

static void a_window_is_what_both_sides_allow(void)
{
    end *e = open_end(5, true, 10);

    welcome(e, false, (wire_props){.has = WIRE_HAS_RECEIVE_MAX, .receive_max = 2});
    CHECK(client_may(e->c, 1));
    publish(e, "a", 1);
    publish(e, "b", 2);
    CHECK(!client_may(e->c, 1));
    CHECK(client_may(e->c, 0));
    CHECK_STR(said_short(e), "PUBLISH 1 a");
    CHECK_STR(said_short(e), "PUBLISH 2 b");
    hear_ack(e, WIRE_PUBREC, 2, 0);
    CHECK_STR(said_short(e), "PUBREL 2");
    CHECK(!client_may(e->c, 1));
    hear_ack(e, WIRE_PUBCOMP, 2, 0);
    CHECK(client_may(e->c, 1));
    hear_ack(e, WIRE_PUBACK, 1, 0);
    CHECK_STR(e->done, "b a ");
    close_end(e);
}

static void a_refusal_is_told_and_ends_the_exchange(void)
{
    end *e = up_end(5, true, 10);

    publish(e, "a", 1);
    publish(e, "b", 2);
    hear_ack(e, WIRE_PUBACK, 1, WIRE_QUOTA);
    hear_ack(e, WIRE_PUBREC, 2, WIRE_NOT_AUTHORIZED);
    CHECK_STR(e->done, "a! b! ");
    CHECK(client_may(e->c, 1));
    close_end(e);
}

static void a_session_goes_on_where_it_was(int version) /* [5: 4.4], [3: 4.4] */
{
    end *e = up_end(version, false, 10);

    publish(e, "a", 1);
    publish(e, "b", 2);
    publish(e, "c", 2);
    publish(e, "d", 1);
    hear_ack(e, WIRE_PUBREC, 2, 0);
    client_lost(e->c);
    CHECK_INT(e->resets, 0);
    begin(e);
    welcome(e, true, (wire_props){0});
    CHECK_STR(said_short(e), "PUBLISH 1 a dup");
    CHECK_STR(said_short(e), "PUBREL 2");
    CHECK_STR(said_short(e), "PUBLISH 3 c dup");
    CHECK_STR(said_short(e), "PUBLISH 4 d dup");
    CHECK_STR(said_short(e), "-");
    CHECK(client_may(e->c, 1));
    hear_ack(e, WIRE_PUBCOMP, 2, 0);
    hear_ack(e, WIRE_PUBACK, 1, 0);
    CHECK_STR(e->done, "b a ");
    close_end(e);
}

static void what_is_sent_again_is_bound_by_the_window_too(void)
{
    end *e = up_end(5, false, 10);

    publish(e, "a", 1);
    publish(e, "b", 1);
    publish(e, "c", 1);
    client_lost(e->c);
    begin(e);
    welcome(e, true, (wire_props){.has = WIRE_HAS_RECEIVE_MAX, .receive_max = 1});
    CHECK_STR(said_short(e), "PUBLISH 1 a dup");
    CHECK_STR(said_short(e), "-");
    CHECK(!client_may(e->c, 0)); /* the order */
    hear_ack(e, WIRE_PUBACK, 1, 0);
    CHECK_STR(said_short(e), "PUBLISH 2 b dup");
    hear_ack(e, WIRE_PUBACK, 2, 0);
    hear_ack(e, WIRE_PUBACK, 3, 0); /* said too early, by a broker that knows it from before: the end of it all the same */
    CHECK(client_may(e->c, 1));
    CHECK_STR(e->done, "a b c ");
    close_end(e);
}

static void a_session_that_the_broker_has_lost_begins_anew(void)
{
    end *e = up_end(5, false, 10);

    publish(e, "a", 1);
    client_lost(e->c);
    begin(e);
    welcome(e, false, (wire_props){0});
    CHECK_INT(e->resets, 1);
    CHECK_STR(said_short(e), "-");
    CHECK_INT(e->ups, 2);
    close_end(e);
}

static void a_session_of_before_our_time_does_not_swallow_qos_2(void)
{
    end *e = open_end(5, false, 10);

    welcome(e, true, (wire_props){0});
    publish(e, "a", 2);
    CHECK_STR(said_short(e), "PUBREL 1");
    CHECK_STR(said_short(e), "PUBLISH 1 a");
    hear_ack(e, WIRE_PUBCOMP, 1, WIRE_ID_NOT_FOUND);
    CHECK_STR(e->done, "");
    hear_ack(e, WIRE_PUBREC, 1, 0);
    hear_ack(e, WIRE_PUBCOMP, 1, 0);
    CHECK_STR(e->done, "a ");
    close_end(e);
}

static void a_message_is_acknowledged_when_it_is_taken_and_in_order(void) /* [5: 4.6] */
{
    end *e = up_end(5, false, 10);

    e->hold = true;
    hear_publish(e, "a", 1, 7, false);
    hear_publish(e, "b", 2, 8, false);
    hear_publish(e, "c", 1, 9, false);
    CHECK_STR(e->heard, "a=x b=x c=x ");
    CHECK_STR(said_short(e), "-");
    client_acknowledge(e->acks[1], 0);
    CHECK_STR(said_short(e), "-");
    client_acknowledge(e->acks[0], BRIDGE_DENIED);
    CHECK_STR(said_short(e), "PUBACK 7 0x87");
    CHECK_STR(said_short(e), "PUBREC 8");
    client_acknowledge(e->acks[2], 0);
    CHECK_STR(said_short(e), "PUBACK 9");
    hear_publish(e, "b", 2, 8, true); /* we have it */
    CHECK_STR(e->heard, "a=x b=x c=x ");
    CHECK_STR(said_short(e), "PUBREC 8");
    hear_ack(e, WIRE_PUBREL, 8, 0);
    CHECK_STR(said_short(e), "PUBCOMP 8");
    hear_ack(e, WIRE_PUBREL, 8, 0);
    CHECK_STR(said_short(e), "PUBCOMP 8 0x92");
    close_end(e);
}

static void what_is_taken_late_is_not_acknowledged_to_another_connection(void)
{
    end *e = up_end(5, false, 10);

    e->hold = true;
    hear_publish(e, "a", 1, 7, false);
    hear_publish(e, "b", 2, 8, false);
    client_lost(e->c);
    begin(e);
    welcome(e, true, (wire_props){0});
    hear_publish(e, "b", 2, 8, true); /* not heard twice: it is under way */
    CHECK_STR(e->heard, "a=x b=x ");
    client_acknowledge(e->acks[0], 0);
    client_acknowledge(e->acks[1], 0);
    CHECK_STR(said_short(e), "PUBREC 8");
    CHECK_STR(said_short(e), "-");
    close_end(e);
}

static void what_cannot_be_kept_now_is_left_to_the_broker(void)
{
    end *e = up_end(5, false, 10);

    e->hold = true;
    hear_publish(e, "a", 2, 7, false);
    client_acknowledge(e->acks[0], BRIDGE_BUSY);
    CHECK_INT(e->ends, 1);
    CHECK_STR(said_short(e), "DISCONNECT 0x83");
    begin(e);
    welcome(e, true, (wire_props){0});
    hear_publish(e, "a", 2, 7, true);
    CHECK_STR(e->heard, "a=x a=x ");
    close_end(e);
}

/* [5: 4.3.3] after a kill the other side must be told what it was told before */
static void what_is_kept_is_said_when_it_is_on_disk(void)
{
    end *e = up_end(5, false, 10);

    e->batch = 1;
    publish(e, "a", 2);
    publish(e, "b", 1);
    CHECK_STR(said_short(e), "PUBLISH 2 b");
    CHECK_STR(said_short(e), "-");
    CHECK(!client_written(e->c, 1));
    CHECK_STR(said_short(e), "PUBLISH 1 a");
    e->batch = 2;
    hear_ack(e, WIRE_PUBREC, 1, 0);
    e->batch = 3;
    publish(e, "c", 2);
    hear_ack(e, WIRE_PUBCOMP, 1, 0); /* PUBREL was not said: it is none of that */
    CHECK_STR(said_short(e), "-");
    CHECK(client_written(e->c, 2));
    CHECK_STR(said_short(e), "PUBREL 1");
    CHECK_STR(said_short(e), "-");
    hear_ack(e, WIRE_PUBCOMP, 1, 0);
    CHECK(!client_written(e->c, 3));
    CHECK_STR(said_short(e), "PUBLISH 3 c");
    CHECK_STR(e->kept, "a:1:1 a:1:2 c:3:1 ");
    CHECK_STR(e->done, "a ");
    close_end(e);
}

static void an_identifier_is_given_back_when_the_disk_says_so(void)
{
    end *e = up_end(5, false, 10);

    e->batch = 4;
    hear_publish(e, "a", 2, 7, false);
    CHECK_STR(said_short(e), "PUBREC 7");
    e->batch = 5;
    hear_ack(e, WIRE_PUBREL, 7, 0);
    CHECK_STR(said_short(e), "-");
    CHECK(client_written(e->c, 4));
    CHECK(!client_written(e->c, 5));
    CHECK_STR(said_short(e), "PUBCOMP 7");
    hear_ack(e, WIRE_PUBREL, 7, 0);
    client_lost(e->c); /* the broker says it again */
    CHECK(!client_written(e->c, 5));
    CHECK_STR(e->kept, "+7 -7 -7 ");
    close_end(e);
}

static void what_waits_for_the_disk_keeps_its_place_over_a_connection(void)
{
    end *e = up_end(5, false, 10);

    e->batch = 1;
    publish(e, "a", 2);
    client_lost(e->c);
    begin(e);
    welcome(e, true, (wire_props){0});
    CHECK_STR(said_short(e), "-");
    CHECK(!client_may(e->c, 0));
    CHECK(!client_written(e->c, 1));
    CHECK_STR(said_short(e), "PUBLISH 1 a dup");
    CHECK(client_may(e->c, 0));
    close_end(e);
}

static parcel *of_before(end *e, const char *topic, uint16_t id, parcel_phase phase, list *to)
{
    bridge_msg *msg = NULL;
    parcel *p;

    CHECK_INT(bridge_msg_new(&msg, BRIDGE_FIELDS(.path = topic, .data = "x", .len = 1)), 0);
    p = parcel_new(mem_default(), msg, topic, strlen(topic));
    bridge_msg_unref(msg);
    p->qos = 2;
    p->id = id;
    p->phase = (uint8_t)phase;
    list_push(&e->parcels, &p->link);
    list_push(to, &p->flight);
    return p;
}

static end *resumed(uint16_t second, int wanted)
{
    static const uint16_t ids[] = {9};
    end *e = open_end(5, false, 10);
    list before;

    list_init(&before);
    client_lost(e->c);
    of_before(e, "a", 3, PARCEL_SENT, &before);
    of_before(e, "b", second, PARCEL_RELEASED, &before);
    CHECK_INT(client_resume(e->c, &before, ids, 1), wanted);
    while (list_pop(&before)) continue;
    begin(e);
    return e;
}

static void a_session_of_before_our_time_goes_on(void)
{
    end *e = resumed(1, 0);

    welcome(e, true, (wire_props){0});
    CHECK_STR(said_short(e), "PUBLISH 3 a dup");
    CHECK_STR(said_short(e), "PUBREL 1");
    publish(e, "c", 2);
    publish(e, "d", 2);
    CHECK_STR(said_short(e), "PUBLISH 2 c"); /* the identifiers that are free */
    CHECK_STR(said_short(e), "PUBLISH 4 d");
    hear_publish(e, "x", 2, 9, true);
    CHECK_STR(said_short(e), "PUBREC 9");
    CHECK_STR(e->heard, "");
    hear_ack(e, WIRE_PUBCOMP, 1, 0);
    CHECK_STR(e->done, "b ");
    close_end(e);

    e = resumed(1, 0);
    welcome(e, false, (wire_props){0}); /* but the broker has lost it */
    CHECK_INT(e->resets, 1);
    CHECK_STR(said_short(e), "-");
    hear_publish(e, "x", 2, 9, true);
    CHECK_STR(e->heard, "x=x ");
    close_end(e);

    e = resumed(3, BRIDGE_EXISTS); /* one identifier for two */
    welcome(e, true, (wire_props){0});
    CHECK_STR(said_short(e), "-");
    close_end(e);
}

static void another_brokers_session_is_kept_until_this_one_has_answered(void)
{
    end *e = up_end(5, false, 10);

    publish(e, "a", 2);
    client_lost(e->c);
    e->s.fresh = true;
    begin(e);
    client_lost(e->c);
    CHECK_INT(e->resets, 0);
    begin(e);
    welcome(e, true, (wire_props){0});
    CHECK_INT(e->resets, 1);
    CHECK_STR(said_short(e), "-");
    close_end(e);
}

static void the_keep_alive_is_the_brokers_and_silence_ends_it(void)
{
    end *e = open_end(5, true, 10);

    welcome(e, false, (wire_props){.has = WIRE_HAS_SERVER_KEEP_ALIVE, .server_keep_alive = 4});
    CHECK_INT(client_tick(e->c, e->now), e->now + 3000);
    e->now += 3000;
    CHECK_INT(client_tick(e->c, e->now), e->now + 4000);
    CHECK_STR(said_short(e), "PINGREQ");
    e->now += 1000;
    hear_ack(e, WIRE_PINGRESP, 0, 0);
    CHECK_INT(client_tick(e->c, e->now), e->now - 1000 + 3000); /* three seconds after we have said something */
    e->now += 3000;
    client_tick(e->c, e->now);
    CHECK_STR(said_short(e), "PINGREQ");
    e->now += 4000;
    CHECK_INT(client_tick(e->c, e->now), INT64_MAX);
    CHECK_INT(e->ends, 1);
    CHECK_STR(said_short(e), "DISCONNECT 0x80");
    close_end(e);
}

static void the_brokers_largest_packet_is_respected(void)
{
    end *e = open_end(5, true, 10);

    welcome(e, false, (wire_props){.has = WIRE_HAS_MAX_PACKET, .max_packet = 20});
    CHECK_INT(publish(e, "a", 1), 0);
    CHECK_INT(publish(e, "a/topic/that/is/too/long/for/it", 1), BRIDGE_TOOBIG);
    CHECK_INT(publish(e, "b", 1), 0);
    CHECK_STR(said_short(e), "PUBLISH 1 a");
    CHECK_STR(said_short(e), "PUBLISH 2 b");
    close_end(e);
}

static void a_filter_is_answered_for_itself(void)
{
    end *e = up_end(5, true, 10);

    client_subscribe(e->c, "a/#", 1, false, true);
    client_subscribe(e->c, "b/#", 1, true, false);
    client_unsubscribe(e->c, "c");
    CHECK_STR(said_short(e), "SUBSCRIBE 1");
    CHECK_STR(said_short(e), "SUBSCRIBE 2");
    CHECK_STR(said_short(e), "UNSUBSCRIBE 3");
    hear(e, &(wire_packet){.type = WIRE_SUBACK, .version = 5, .id = 1, .list = {{(const uint8_t *)"\x01", 1}, 1}});
    hear(e, &(wire_packet){.type = WIRE_SUBACK, .version = 5, .id = 2, .list = {{(const uint8_t *)"\x87", 1}, 1}});
    hear(e, &(wire_packet){.type = WIRE_UNSUBACK, .version = 5, .id = 3, .list = {{(const uint8_t *)"\x00", 1}, 1}});
    CHECK_STR(e->subscribed, "!a/#:1 b/#:135 ");
    CHECK_INT(e->ends, 0);
    close_end(e);
}

static void more_filters_than_may_be_asked_for_at_once_wait(void)
{
    end *e = up_end(4, true, 10);
    int n = 0;

    for (int i = 0; i < CLIENT_ASKING + 5; i++) client_subscribe(e->c, "a", 0, false, false);
    for (wire_packet p = said(e); p.type; p = said(e)) {
        n++;
        hear(e, &(wire_packet){.type = WIRE_SUBACK, .version = 4, .id = p.id, .list = {{(const uint8_t *)"\x00", 1}, 1}});
    }
    CHECK_INT(n, CLIENT_ASKING + 5);
    close_end(e);
}

/* What no broker may say: [5: 4.13.1] it is broken off, and the broker is told why. */
static void nonsense_ends_the_connection(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *answer;
    } all[] = {
        {"\x20\x03\x00\x00\x00", 5, "DISCONNECT 0x82"},         /* CONNACK again */
        {"\x10\x00", 2, "DISCONNECT 0x82"},                     /* CONNECT */
        {"\x10\x04\x00\x01" "a\x11", 6, "DISCONNECT 0x82"},     /* one of another protocol */
        {"\xff\xff\xff\xff\xff", 5, "DISCONNECT 0x81"},         /* no length */
        {"\x30\xe9\x07", 3, "DISCONNECT 0x95"},                 /* 1001 bytes, over our maximum */
        {"\x30\x04\x00\x01#\x00", 6, "DISCONNECT 0x81"},        /* a wildcard in a topic */
        {"\x30\x07\x00\x01" "a\x03\x23\x00\x01", 9, "DISCONNECT 0x94"}, /* an alias: we allow none */
        {"\x90\x04\x00\x09\x00\x00", 6, "DISCONNECT 0x82"},     /* SUBACK of nothing */
        {"\xf0\x00", 2, "DISCONNECT 0x82"},                     /* AUTH, not asked for */
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        end *e = up_end(5, true, 10);
        client_data(e->c, (const uint8_t *)all[i].bytes, all[i].len, e->now);
        CHECK_INT(e->ends, 1);
        CHECK_STR(said_short(e), all[i].answer);
        close_end(e);
    }
}

static void refusals_of_the_connection_are_told_in_words(void)
{
    static const struct {
        int version;
        const char *bytes;
        size_t len;
        int code;
        const char *why;
    } all[] = {
        {5, "\x20\x03\x00\x87\x00", 5, 0x87, "we are not authorized"},
        {5, "\x20\x09\x00\x89\x06\x1f\x00\x03" "sad", 11, 0x89, "it is busy: sad"},
        {5, "\x20\x02\x00\x01", 4, 1, "it does not speak this version of MQTT"},
        {4, "\x20\x02\x00\x04", 4, 4, "name or password are wrong"},
        {4, "\x30\x03\x00\x01" "a", 5, 0x82, "PUBLISH from the broker: protocol error"},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        end *e = open_end(all[i].version, true, 10);
        client_data(e->c, (const uint8_t *)all[i].bytes, all[i].len, e->now);
        CHECK_INT(e->ends, 1);
        CHECK_INT(e->code, all[i].code);
        CHECK_STR(e->why, all[i].why);
        CHECK_STR(said_short(e), "-");
        close_end(e);
    }
}

static void a_clean_session_gives_back_what_was_in_flight(void)
{
    end *e = up_end(5, true, 10);

    publish(e, "a", 1);
    client_goodbye(e->c);
    CHECK_STR(said_short(e), "PUBLISH 1 a");
    CHECK_STR(said_short(e), "DISCONNECT");
    CHECK_INT(e->resets, 1);
    CHECK_INT(publish(e, "b", 1), BRIDGE_CLOSED);
    close_end(e);
}

int main(void)
{
    a_window_is_what_both_sides_allow();
    a_refusal_is_told_and_ends_the_exchange();
    a_session_goes_on_where_it_was(5);
    a_session_goes_on_where_it_was(4);
    what_is_sent_again_is_bound_by_the_window_too();
    a_session_that_the_broker_has_lost_begins_anew();
    a_session_of_before_our_time_does_not_swallow_qos_2();
    a_message_is_acknowledged_when_it_is_taken_and_in_order();
    what_is_taken_late_is_not_acknowledged_to_another_connection();
    what_cannot_be_kept_now_is_left_to_the_broker();
    what_is_kept_is_said_when_it_is_on_disk();
    an_identifier_is_given_back_when_the_disk_says_so();
    what_waits_for_the_disk_keeps_its_place_over_a_connection();
    a_session_of_before_our_time_goes_on();
    another_brokers_session_is_kept_until_this_one_has_answered();
    the_keep_alive_is_the_brokers_and_silence_ends_it();
    the_brokers_largest_packet_is_respected();
    a_filter_is_answered_for_itself();
    more_filters_than_may_be_asked_for_at_once_wait();
    nonsense_ends_the_connection();
    refusals_of_the_connection_are_told_in_words();
    a_clean_session_gives_back_what_was_in_flight();
    return check_done();
}
