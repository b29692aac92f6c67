/* Topic aliases of MQTT 5, in packets: ours towards the broker, and the broker's. */
#include "uplink_end.h"

static const char *publish_short(end *e, const char *topic)
{
    CHECK_INT(publish(e, topic, 0), 0);
    return said_short(e);
}

static end *alias_end(uint16_t ours, uint16_t theirs)
{
    end *e = open_end(5, false, 10);

    e->s.topic_aliases = ours;
    client_lost(e->c);
    e->len = e->at = 0;
    client_begin(e->c, &e->s, e->now, 1700000000000 + e->now);
    CHECK_INT(said(e).props.alias_max, ours);
    welcome(e, false, (wire_props){.has = WIRE_HAS_ALIAS_MAX | WIRE_HAS_MAX_PACKET, .alias_max = theirs, .max_packet = 30});
    return e;
}

static void a_topic_is_said_once_and_then_its_alias(void) /* [5: 3.3.2.3.4] */
{
    end *e = alias_end(5, 2);

    CHECK_STR(publish_short(e, "topic/one"), "PUBLISH topic/one #1");
    CHECK_STR(publish_short(e, "topic/one"), "PUBLISH  #1");
    CHECK_STR(publish_short(e, "abcd"), "PUBLISH abcd"); /* its alias would be no shorter */
    CHECK_STR(publish_short(e, "topic/two"), "PUBLISH topic/two #2");
    CHECK_STR(publish_short(e, "topic/six"), "PUBLISH topic/six"); /* the broker takes two, and both are in use */
    CHECK_STR(publish_short(e, "topic/two"), "PUBLISH  #2");
    CHECK_STR(publish_short(e, "topic/one"), "PUBLISH  #1");
    for (int i = 0; i < 5; i++) CHECK_STR(publish_short(e, "topic/one"), "PUBLISH  #1");
    CHECK_STR(publish_short(e, "topic/six"), "PUBLISH topic/six #2"); /* topic/two was long ago */
    CHECK_STR(publish_short(e, "topic/six"), "PUBLISH  #2");
    CHECK_STR(publish_short(e, "topic/two"), "PUBLISH topic/two");
    close_end(e);
}

static void no_more_aliases_than_both_sides_allow(void)
{
    end *e = alias_end(0, 10);

    CHECK_STR(publish_short(e, "topic/one"), "PUBLISH topic/one");
    close_end(e);
    e = alias_end(1, 10);
    CHECK_STR(publish_short(e, "topic/one"), "PUBLISH topic/one #1");
    CHECK_STR(publish_short(e, "topic/two"), "PUBLISH topic/two");
    close_end(e);
}

static void another_connection_knows_no_alias(void) /* [5: 3.3.2-7] */
{
    end *e = alias_end(5, 5);

    CHECK_STR(publish_short(e, "topic/one"), "PUBLISH topic/one #1");
    CHECK_INT(publish(e, "topic/two", 1), 0);
    CHECK_STR(said_short(e), "PUBLISH 1 topic/two #2");
    client_lost(e->c);
    e->len = e->at = 0;
    client_begin(e->c, &e->s, e->now, 1700000000000 + e->now);
    CHECK_STR(said_short(e), "CONNECT");
    welcome(e, true, (wire_props){.has = WIRE_HAS_ALIAS_MAX, .alias_max = 5});
    CHECK_STR(said_short(e), "PUBLISH 1 topic/two dup #1");
    CHECK_STR(publish_short(e, "topic/one"), "PUBLISH topic/one #2");
    close_end(e);
}

static void an_alias_that_could_not_be_said_stands_for_nothing(void)
{
    end *e = alias_end(5, 5);

    CHECK_STR(publish_short(e, "of/23/bytes/that/do/fit"), "PUBLISH of/23/bytes/that/do/fit"); /* into 30; with an alias they do not */
    CHECK_INT(publish(e, "of/28/bytes/that/do/not/fit.", 0), BRIDGE_TOOBIG);
    CHECK_STR(publish_short(e, "topic/one"), "PUBLISH topic/one #1");
    close_end(e);
}

static void hear_alias(end *e, const char *topic, uint16_t alias)
{
    wire_packet p = {.type = WIRE_PUBLISH, .version = WIRE_V5, .props = {.has = WIRE_HAS_ALIAS, .alias = alias}};

    p.publish = (wire_publish){.topic = {(const uint8_t *)topic, (uint32_t)strlen(topic)}, .payload = {(const uint8_t *)"x", 1}};
    hear(e, &p);
}

static void the_brokers_aliases_are_understood(void)
{
    static const struct {
        const char *topic;
        uint16_t alias;
        const char *answer;
    } wrong[] = {{"a/b", 3, "DISCONNECT 0x94"}, {"", 2, "DISCONNECT 0x82"}};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        end *e = alias_end(2, 0);
        hear_alias(e, "a/b", 1);
        hear_alias(e, "", 1);
        hear_alias(e, "c", 1);
        hear_alias(e, "", 1);
        CHECK_STR(e->heard, "a/b=x a/b=x c=x c=x ");
        CHECK_INT(e->ends, 0);
        hear_alias(e, wrong[i].topic, wrong[i].alias);
        CHECK_INT(e->ends, 1);
        CHECK_STR(said_short(e), wrong[i].answer);
        close_end(e);
    }
}

int main(void)
{
    a_topic_is_said_once_and_then_its_alias();
    no_more_aliases_than_both_sides_allow();
    another_connection_knows_no_alias();
    an_alias_that_could_not_be_said_stands_for_nothing();
    the_brokers_aliases_are_understood();
    return check_done();
}
