"""SUBSCRIBE and UNSUBSCRIBE, matching, shared subscriptions, identifiers - MQTT 5.0 3.8 to 3.11, 4.7, 4.8."""
import pytest

from peers.mqtt import (PINGREQ, PINGRESP, PUBACK, PUBLISH, PUBREC, SUBACK, UNSUBACK, Client, ack, packet, publish, subscribe,
                        unsubscribe)

ALL = pytest.mark.parametrize("version", [3, 4, 5])


@ALL
def test_each_filter_gets_its_answer_in_order(mqtt_port, version):  # MQTT-3.8.4-1, -2, -5, -6, -7
    with Client(mqtt_port, version).connect(f"codes{version}") as c:
        c.send(subscribe(513, ("a", 2), ("b", 0), ("c/#", 1), version=version))
        c.expect(SUBACK, pid=513, codes=[2, 0, 1])
        c.send(unsubscribe(514, "a", "none", "c/#", version=version))
        c.expect(UNSUBACK, pid=514, codes=[0, 0x11, 0] if version == 5 else [])  # MQTT-3.10.4-4, -5, -6, MQTT-3.11.3-2


def test_a_thousand_filters_in_one_packet(mqtt_port):
    with Client(mqtt_port, 5).connect("thousand") as c:
        assert c.subscribe(*[(f"thousand/{n}", n % 3) for n in range(1000)]) == [n % 3 for n in range(1000)]
        c.publish("thousand/700", "x")
        assert c.message().topic == "thousand/700"
        assert c.unsubscribe(*[f"thousand/{n}" for n in range(1000)]) == [0] * 1000


MATCHES = [
    ("sport/tennis/player1/#", ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"],
     ["sport/tennis/player2", "sport/tennis/player10"]),
    ("#", ["a", "a/b", "/"], ["$x/a"]),
    ("sport/tennis/+", ["sport/tennis/player1", "sport/tennis/"], ["sport/tennis/player1/ranking", "sport/tennis"]),
    ("sport/+", ["sport/", "sport/a"], ["sport"]),
    ("+/+", ["/finance", "a/b", "/"], ["a", "a/b/c", "$x/a"]),
    ("/+", ["/finance"], ["finance", "/a/b"]),
    ("+", ["finance", "a"], ["/finance", "$x"]),
    ("+/monitor/Clients", ["x/monitor/Clients"], ["$sys2/monitor/Clients"]),
    ("$x/#", ["$x/a", "$x"], ["x/a"]),
    ("$x/+/c", ["$x/b/c"], []),
    ("ACCOUNTS", ["ACCOUNTS"], ["Accounts"]),
    ("{a}/b", ["{a}/b"], ["a/b", "x/b"]),
    ("a/+/c/#", ["a/b/c", "a//c/d/e"], ["a/c"]),
]


@pytest.mark.parametrize("pattern, yes, no", MATCHES, ids=[row[0] for row in MATCHES])
def test_it_matches(mqtt_port, pattern, yes, no):  # MQTT-4.7.1-1 to 4.7.3-4, MQTT-4.7.2-1
    with Client(mqtt_port, 5).connect("matcher") as c, Client(mqtt_port, 5).connect("matched") as w:
        c.subscribe(pattern)
        for topic in yes + no:
            w.publish(topic, topic)
        w.ping()
        c.ping()

        assert [m.topic for m in c.kept if not m.retain] == yes


@ALL
def test_overlapping_filters_give_one_message_with_the_highest_qos(mqtt_port, version):  # MQTT-3.3.4-2
    with Client(mqtt_port, version).connect(f"overlap{version}") as c:
        c.subscribe((f"overlap{version}/#", 1), (f"overlap{version}/+", 2), (f"overlap{version}/t", 0))
        c.publish(f"overlap{version}/t", "x", qos=2)
        assert c.message().qos == 2
        c.nothing()


def test_subscription_identifiers(mqtt_port):  # MQTT-3.3.4-3, -4, -5, MQTT-3.8.2.1.2
    with Client(mqtt_port, 5).connect("sids") as c:
        c.subscribe("sids/#", props={"subscription_id": 268435455})
        c.subscribe("sids/+", props={"subscription_id": 1})
        c.subscribe("sids/t")
        c.publish("sids/t", "x")
        assert sorted(c.message().props["subscription_id"]) == [1, 268435455]
        c.subscribe("sids/#")
        c.publish("sids/a/b", "x")
        assert c.message().props == {}


@ALL
def test_subscribing_again_replaces(mqtt_port, version):  # MQTT-3.8.4-3
    with Client(mqtt_port, version).connect(f"again{version}") as c:
        c.subscribe((f"again{version}", 0))
        c.subscribe((f"again{version}", 1))
        c.publish(f"again{version}", "x", qos=2)
        assert c.message().qos == 1
        c.nothing()
        c.unsubscribe(f"again{version}")
        c.publish(f"again{version}", "x", qos=2)
        c.nothing()


def test_no_local(mqtt_port):  # MQTT-3.8.3-3
    with Client(mqtt_port, 5).connect("local") as c, Client(mqtt_port, 5).connect("other") as other:
        c.subscribe(("local/t", 4))
        c.publish("local/t", "mine")
        other.publish("local/t", "theirs")
        assert c.message().payload == b"theirs"


def test_unsubscribing_wants_the_same_characters(mqtt_port):  # MQTT-3.10.4-1, -2
    with Client(mqtt_port, 5).connect("chars") as c:
        c.subscribe("chars/+")
        assert c.unsubscribe("chars/a", "chars/#") == [0x11, 0x11]
        c.publish("chars/a", "x")
        c.message()


@pytest.mark.parametrize("version", [4, 5])
def test_unsubscribing_does_not_stop_what_is_in_flight(mqtt_port, version):  # MQTT-3.10.4-2, -3
    topic = f"uw{version}"
    with Client(mqtt_port, version).connect(topic, **({"props": {"receive_max": 1}} if version == 5 else {})) as c:
        c.subscribe((topic, 1))
        c.publish(topic, "1", qos=1)
        p = c.wait_for(PUBLISH)
        c.unsubscribe(topic)
        c.publish(topic, "2", qos=1)
        c.send(ack(PUBACK, p.pid))
        c.nothing()  # and the second is not for it any more


# ---- shared subscriptions 4.8.2

@pytest.mark.parametrize("version", [4, 5])
def test_one_of_the_group_gets_it_in_turn(mqtt_port, version):
    group = f"$share/g{version}/shared{version}/+"
    members = [Client(mqtt_port, version).connect(f"member{version}-{n}") for n in range(3)]
    with Client(mqtt_port, version).connect(f"boss{version}") as boss:
        boss.subscribe(f"shared{version}/#")
        for m in members:
            assert m.subscribe((group, 1)) == [1]
        for n in range(30):
            boss.publish(f"shared{version}/{n}", "x", qos=1)
        heard = []
        for m in members:
            m.ping()
            heard.append([p.topic for p in m.kept])
        assert [len(h) for h in heard] == [10, 10, 10]
        assert sorted(sum(heard, [])) == sorted(f"shared{version}/{n}" for n in range(30))
        assert len([boss.message() for _ in range(30)]) == 30  # MQTT-4.8.2: apart from the group
        for m in members:
            m.socket.close()


def test_a_shared_subscription_gets_nothing_kept(mqtt_port):  # 3.8.3.1
    with Client(mqtt_port, 5).connect("skept") as c:
        c.publish("skept/t", "x", qos=1, retain=True)
        c.subscribe(("$share/g/skept/t", 1))
        c.nothing()
        c.publish("skept/t", "", retain=True)


def test_shared_and_not_shared_are_two(mqtt_port):  # MQTT-4.8.2-3
    with Client(mqtt_port, 5).connect("both") as c:
        c.subscribe(("both/t", 0), ("$share/g/both/t", 1))
        c.publish("both/t", "x", qos=1)
        assert sorted(c.message().qos for _ in range(2)) == [0, 1]
        assert c.unsubscribe("$share/g/both/t", "$share/other/both/t") == [0, 0x11]
        c.publish("both/t", "x", qos=1)
        assert c.message().qos == 0
        c.nothing()


def test_who_is_there_is_asked_before_who_is_away(mqtt_port):  # 4.8.2
    with Client(mqtt_port, 5).connect("away", clean=False, props={"session_expiry": 100}) as away:
        away.subscribe(("$share/sg/sg/t", 1))
        away.disconnect()
    with Client(mqtt_port, 5).connect("present") as c:
        c.subscribe(("$share/sg/sg/t", 1))
        for n in range(4):
            c.publish("sg/t", str(n), qos=1)
        assert [c.message().payload for _ in range(4)] == [b"0", b"1", b"2", b"3"]


def test_what_a_member_leaves_behind_goes_to_another(mqtt_port):  # MQTT-4.8.2-4, -5
    with Client(mqtt_port, 5).connect("stays") as stays:
        with Client(mqtt_port, 5).connect("leaves") as leaves:
            leaves.subscribe(("$share/lg/lg/t", 1))
            for n in range(3):
                stays.publish("lg/t", str(n), qos=1)
            for _ in range(3):
                leaves.wait_for(PUBLISH)  # not acknowledged
            stays.subscribe(("$share/lg/lg/t", 1))
            leaves.drop()
        assert [stays.message().payload for _ in range(3)] == [b"0", b"1", b"2"]


def test_too_many_subscriptions(start_bridged):
    port = start_bridged("mqtt://127.0.0.1:0?max_subscriptions=2").port("mqtt")
    with Client(port, 5).connect("greedy") as c:
        assert c.subscribe("a", "b", "c") == [0, 0, 0x97]
    with Client(port, 4).connect("greedy") as c:
        assert c.subscribe("a", "b", "c") == [0, 0, 0x80]


def test_masses_of_subscriptions_are_found_again_and_let_go(mqtt_port):  # 20,000 would take minutes if each walked past the others
    def in_packets(call, filters):
        return [code for at in range(0, len(filters), 1000) for code in call(*filters[at:at + 1000])]

    plain = [f"masses/{n}" for n in range(20000)]
    shared = [f"$share/g{n}/masses/t" for n in range(20000)]
    with Client(mqtt_port, 5).connect("masses") as c:
        for filters in (plain, shared):
            assert in_packets(c.subscribe, filters) == [0] * 20000
            assert in_packets(c.subscribe, filters) == [0] * 20000
            assert in_packets(c.unsubscribe, filters[::-1]) == [0] * 20000
            assert in_packets(c.unsubscribe, filters[:10]) == [0x11] * 10


def test_what_a_member_of_many_groups_leaves_goes_to_the_right_one(mqtt_port):  # MQTT-4.8.2-5
    with Client(mqtt_port, 5).connect("stays") as stays, Client(mqtt_port, 5).connect("other") as other:
        other.subscribe(("$share/other/leave/+", 1))
        with Client(mqtt_port, 5).connect("leaves") as leaves:
            leaves.subscribe(*[(f"$share/g/leave/{n}/z", 1) for n in range(1000)], ("$share/g/leave/+", 1))
            other.publish("leave/it", "x", qos=1)
            leaves.wait_for(PUBLISH)
            other.message()
            stays.subscribe(("$share/g/leave/#", 1), ("$share/g/leave/+", 1))
            leaves.drop()
            assert stays.message().payload == b"x"
        stays.nothing()
        other.nothing()


def test_one_who_asks_for_much_lets_others_have_their_turn(mqtt_port):
    with Client(mqtt_port, 5).connect("much") as much, Client(mqtt_port, 5).connect("little") as little:
        much.send(*[publish(f"much/{n}", "x", retain=True, version=5) for n in range(300)])
        much.ping()
        filters = [("much/#", 0), ("much/+", 0)] * 20
        many = b"".join(subscribe(7 + n, *filters, version=5) for n in range(5))
        much.send(many, packet(PINGREQ << 4))
        for _ in range(3):
            little.ping()                                     # answered between two filters, not after them all

        codes = [much.wait_for(SUBACK, 7 + n).codes for n in range(5)]
        assert codes == [[0] * 40] * 5 and much.wait_for(PINGRESP)
        much.kept.clear()
        much.unsubscribe("much/#", "much/+")
        much.send(*[publish(f"much/{n}", "", retain=True, version=5) for n in range(300)])
        much.ping()


def test_one_who_asks_for_much_may_go_in_the_middle(mqtt_port):
    with Client(mqtt_port, 5).connect("owner") as owner:
        owner.send(*[publish(f"gone/{n}", "x", retain=True, version=5) for n in range(2000)])
        owner.ping()
        for how in ("drop", "takeover"):
            much = Client(mqtt_port, 5).connect("middle")
            much.send(subscribe(7, *[("gone/#", 0)] * 300, version=5))
            owner.ping()
            if how == "takeover":
                with Client(mqtt_port, 5).connect("middle") as again:
                    again.subscribe("x")
                    again.publish("x", "1")
                    assert again.wait_for(PUBLISH).payload in (b"1", b"x")
            much.drop()
        owner.send(*[publish(f"gone/{n}", "", retain=True, version=5) for n in range(2000)])
        owner.ping()


def test_what_a_member_leaves_goes_to_another(mqtt_port):  # MQTT-4.8.2-4, -5
    """QoS 1 that was not acknowledged goes to another member; QoS 2 that was begun goes to nobody."""
    with Client(mqtt_port, 5).connect("leaver", props={"receive_max": 4}) as leaver, Client(mqtt_port, 5).connect("stayer") as stayer, \
            Client(mqtt_port, 5).connect("leaver-w") as w:
        leaver.subscribe(("$share/leave/leave/+", 2))
        for n, qos in enumerate((1, 2, 1, 2, 1)):
            w.publish(f"leave/{n}", b"%d" % qos, qos=qos)
        assert [leaver.expect(PUBLISH).topic for _ in range(4)] == [f"leave/{n}" for n in range(4)]
        stayer.subscribe(("$share/leave/leave/+", 2))

        leaver.disconnect()

        assert [stayer.message().topic for _ in range(3)] == ["leave/0", "leave/2", "leave/4"]
        stayer.nothing()


def test_qos_2_that_was_begun_is_completed_with_the_same_member(mqtt_port):  # MQTT-4.8.2-4
    with Client(mqtt_port, 5).connect("other-of-two") as other, Client(mqtt_port, 5).connect("writer-to-two") as w:
        one = Client(mqtt_port, 5).connect("one-of-two", props={"session_expiry": 100})
        one.subscribe(("$share/two/two/t", 2))
        w.publish("two/t", "x", qos=2)
        pid = one.expect(PUBLISH).pid
        other.subscribe(("$share/two/two/t", 2))
        one.drop()
        with Client(mqtt_port, 5).connect("one-of-two", clean=False) as one:
            again = one.message()
            assert (again.pid, again.dup, again.payload) == (pid, True, b"x")
        other.nothing()


@pytest.mark.parametrize("qos, kind", [(1, PUBACK), (2, PUBREC)])
def test_what_a_member_refuses_is_not_given_to_another(mqtt_port, qos, kind):  # MQTT-4.8.2-6
    with Client(mqtt_port, 5).connect("content") as content, Client(mqtt_port, 5).connect("refuser", props={"receive_max": 1}) as refuser, \
            Client(mqtt_port, 5).connect("refuser-w") as w:
        refuser.subscribe((f"$share/refuse/refuse/{qos}", qos))
        w.publish(f"refuse/{qos}", "unwanted", qos=qos)
        pid = refuser.expect(PUBLISH).pid
        content.subscribe((f"$share/refuse/refuse/{qos}", qos))
        refuser.send(ack(kind, pid, 0x83))
        refuser.ping()
        content.nothing()
        refuser.disconnect()
        content.nothing()
