"""PUBLISH both ways: retained, QoS, properties, aliases, expiry, wills - MQTT 5.0 3.3, 3.1.2.5, 3.1.3.2."""
import pytest

from peers.mqtt import Client, packet, publish

ALL = pytest.mark.parametrize("version", [4, 5])
PROPS = {"payload_format": 1, "content_type": "text/x-odd; a=b", "response_topic": "answers/here", "correlation": b"\0\xff\1",
         "user": [("a", "1"), ("b", "2"), ("a", "3"), ("", "")]}


@ALL
@pytest.mark.parametrize("sent", [0, 1, 2])
@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_the_lower_qos_wins(mqtt_port, version, sent, wanted):  # MQTT-3.8.4-8, MQTT-4.3.1-1 to 4.3.3-1
    topic = f"qos/{version}/{sent}/{wanted}"
    with Client(mqtt_port, version).connect(topic) as c:
        assert c.subscribe((topic, wanted)) == [wanted]
        answer = c.publish(topic, "x", qos=sent)

        m = c.message()
        assert (m.qos, m.payload, m.retain, m.dup) == (min(sent, wanted), b"x", False, False)
        assert answer is None or answer.reason == 0
        c.nothing()


def test_nobody_listens(mqtt_port):  # 3.4.2.1
    with Client(mqtt_port, 5).connect("alone") as c:
        assert c.publish("nobody/is/here", "x", qos=1).reason == 0x10
    with Client(mqtt_port, 4).connect("alone") as c:
        assert c.publish("nobody/is/here", "x", qos=1).reason == 0


@ALL
def test_retained_is_kept_replaced_and_removed(mqtt_port, version):  # MQTT-3.3.1-5 to -8
    topic = f"kept/{version}"
    with Client(mqtt_port, version).connect(topic) as w:
        w.publish(topic, "1", qos=1, retain=True)
        w.publish(topic, "2", qos=1, retain=True)
        w.publish(topic, "event", qos=1)
        with Client(mqtt_port, version).connect(f"{topic}-r") as r:
            r.subscribe((topic, 1))
            m = r.message()
            assert (m.payload, m.retain, m.qos) == (b"2", True, 1)
            w.publish(topic, "3", qos=1, retain=True)
            m = r.message()
            assert (m.payload, m.retain) == (b"3", False)  # MQTT-3.3.1-12
            w.publish(topic, "", qos=1, retain=True)
            m = r.message()
            assert (m.payload, m.retain) == (b"", False)
            r.unsubscribe(topic)
            r.subscribe((topic, 1))
            r.nothing()
            w.publish(topic, "", qos=1, retain=True)  # nothing there to be removed: an ordinary message all the same
            assert r.message().payload == b""


def test_retain_as_published(mqtt_port):  # MQTT-3.3.1-12, -13
    with Client(mqtt_port, 5).connect("rap") as c:
        c.subscribe(("rap/yes", 8), ("rap/no", 0))
        for topic in ("rap/yes", "rap/no"):
            c.publish(topic, "x", retain=True)
            c.publish(topic, "y")
            c.publish(topic, "", retain=True)

        assert [c.message().retain for _ in range(6)] == [True, False, True, False, False, False]


def test_retain_handling(mqtt_port):  # MQTT-3.3.1-9, -10, -11, MQTT-3.8.4-4
    with Client(mqtt_port, 5).connect("rh") as c:
        c.publish("rh/t", "x", qos=1, retain=True)
        c.subscribe(("rh/t", 0x20))
        c.nothing()
        c.subscribe(("rh/t", 0x10))
        c.nothing()
        c.subscribe(("rh/t", 0x00))
        assert c.message().retain
        c.unsubscribe("rh/t")
        c.subscribe(("rh/t", 0x10))
        assert c.message().retain
        c.publish("rh/t", "", retain=True)


def test_suback_comes_before_what_is_kept(mqtt_port):
    with Client(mqtt_port, 4).connect("first") as c:
        for n in range(50):
            c.publish(f"first/{n}", "x", qos=n % 3, retain=True)
        c.subscribe(("first/#", 2))
        assert len(c.kept) == 0
        assert sorted(int(c.message().topic[6:]) for _ in range(50)) == list(range(50))
        for n in range(50):
            c.publish(f"first/{n}", "", retain=True)


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("retain", [False, True])
def test_properties_arrive_unaltered(mqtt_port, qos, retain):  # MQTT-3.3.2-4, -15, -16, -17, -18, -20
    topic = f"props/{qos}/{retain}"
    with Client(mqtt_port, 5).connect(topic) as c:
        if not retain:
            c.subscribe((topic, 2))
        c.publish(topic, "text", qos=qos, retain=retain, props=PROPS)
        if retain:
            c.ping()
            c.subscribe((topic, 2))

        m = c.message()
        assert m.props == PROPS and m.payload == b"text" and m.qos == qos and m.retain == retain
        c.publish(topic, "", retain=True)


@pytest.mark.parametrize("props", [
    {"payload_format": 0}, {"payload_format": 1}, {"content_type": "application/json"}, {"content_type": ""},
    {"content_type": "application/JSON"}, {"content_type": "no type at all"}, {"content_type": "text/plain"},
    {"content_type": "application/cbor", "payload_format": 0}, {"correlation": b""}, {"response_topic": "x"}])
def test_each_property_alone_arrives_unaltered(mqtt_port, props):
    with Client(mqtt_port, 5).connect("alone5") as c, Client(mqtt_port, 4).connect("alone4") as old:
        c.subscribe("alone/#")
        old.subscribe("alone/#")
        c.publish("alone/t", "[1]", props=props)

        assert c.message().props == props
        assert old.message().payload == b"[1]"


def test_properties_wait_with_the_message(mqtt_port):
    with Client(mqtt_port, 5).connect("later", clean=False, props={"session_expiry": 100}) as c:
        c.subscribe(("later/t", 1), props={"subscription_id": 5})
        c.disconnect()
    with Client(mqtt_port, 5).connect("later-w") as w:
        w.publish("later/t", "text", qos=2, props=PROPS)

    with Client(mqtt_port, 5).connect("later", clean=False) as c:
        assert c.message().props == {**PROPS, "subscription_id": [5]}


def test_a_payload_that_is_not_what_it_says(mqtt_port):  # 3.3.2.3.2, 3.4.2.1
    with Client(mqtt_port, 5).connect("liar") as c:
        for qos in (1, 2):
            assert c.publish("liar/t", b"\xff\xfe", qos=qos, props={"payload_format": 1}).reason == 0x99
        assert c.publish("liar/t", b"\xff\xfe", qos=1, props={"payload_format": 0}).reason == 0x10
        assert c.publish("liar/t", "ü\0".encode(), qos=1, props={"payload_format": 1}).reason == 0x10


def test_topic_aliases_of_the_client(mqtt_port):  # MQTT-3.3.2-7, -10, -11, -12
    with Client(mqtt_port, 5).connect("alias") as c:
        c.subscribe("alias/#")
        most = c.connack.props["alias_max"]
        c.publish("alias/a", "1", props={"alias": 1})
        c.publish("alias/b", "2", props={"alias": most})
        c.publish("", "3", props={"alias": 1})
        c.publish("", "4", props={"alias": most})
        c.publish("alias/c", "5", props={"alias": 1})
        c.publish("", "6", qos=1, props={"alias": 1})

        heard = [c.message() for _ in range(6)]
        assert [(m.topic, m.payload) for m in heard] == [
            ("alias/a", b"1"), ("alias/b", b"2"), ("alias/a", b"3"), ("alias/b", b"4"), ("alias/c", b"5"), ("alias/c", b"6")]
        assert all("alias" not in m.props for m in heard)  # MQTT-3.3.2-9: our maximum is 0, as we did not say another
    with Client(mqtt_port, 5).connect("alias") as c:
        c.send(publish("", "x", props={"alias": 1}, version=5))  # MQTT-3.3.2-7: not over connections
        c.closed(0x82)


def test_topic_aliases_of_the_server(mqtt_port):  # MQTT-3.1.2-26, -27
    with Client(mqtt_port, 5).connect("talias", props={"alias_max": 3}) as c:
        c.subscribe(("talias/#", 1))
        for n in range(60):
            c.publish(f"talias/{n % 7}", str(n), qos=n % 2)
        known, saved = {}, 0
        for n in range(60):
            m = c.message()
            alias = m.props["alias"]
            assert 1 <= alias <= 3
            if m.topic:
                known[alias] = m.topic
            else:
                saved += 1
            assert known[alias] == f"talias/{n % 7}" and m.payload == str(n).encode()
        c.publish("talias/0", "x"), c.publish("talias/0", "y")
        c.message()
        assert c.message().topic == ""


def test_the_life_of_a_message_counts_down(mqtt_port):  # MQTT-3.3.2-5, -6
    with Client(mqtt_port, 5).connect("expire", clean=False, props={"session_expiry": 100}) as c:
        c.subscribe(("expire/t", 1))
        c.disconnect()
    with Client(mqtt_port, 5).connect("expire-w") as w:
        w.publish("expire/t", "gone", qos=1, props={"message_expiry": 1})
        w.publish("expire/t", "here", qos=1, props={"message_expiry": 100})
        w.subscribe("expire/now")
        w.publish("expire/now", "x", props={"message_expiry": 7})
        assert w.message().props == {"message_expiry": 7}
        w.publish("expire/kept", "x", retain=True, qos=1, props={"message_expiry": 1})
        w.closed_by = None
        import time
        time.sleep(1.2)  # the one thing that only time shows; the bridge runs on the machine's clock here

        w.subscribe("expire/kept")
        w.nothing()
    with Client(mqtt_port, 5).connect("expire", clean=False) as c:
        m = c.message()
        assert m.payload == b"here" and 90 < m.props["message_expiry"] < 100
        c.nothing()


@ALL
def test_large_payloads_cross_unchanged(mqtt_port, version):
    with Client(mqtt_port, version).connect(f"large{version}") as c:
        c.subscribe((f"large/{version}", 2))
        for n, size in enumerate((4095, 4096, 4097, 32767, 32768, 100_000, 1_000_000)):
            payload = bytes(i * 7 % 256 for i in range(256)) * (size // 256) + b"x" * (size % 256)
            c.publish(f"large/{version}", payload, qos=n % 3)
            assert c.message().payload == payload


@pytest.mark.parametrize("topic", ["/", "//", "/a", "a/", "a//b", " ", "a b", "%2F", "?a=b", "ü/💡", "{name}", "$odd/x", "a" * 65535])
def test_every_legal_topic_is_a_topic(mqtt_port, topic):  # MQTT-4.7.3-1 to -4
    with Client(mqtt_port, 5).connect("topics") as c:
        assert c.subscribe(topic) == [0]
        c.publish(topic, "x")
        assert c.message().topic == topic
        c.unsubscribe(topic)


@pytest.mark.parametrize("topic", ["$SYS/broker/uptime", "$share/g/t"])
def test_topics_of_the_server_are_not_written(mqtt_port, topic):  # 4.7.2
    with Client(mqtt_port, 5).connect("intruder") as c:
        assert c.publish(topic, "x", qos=1).reason == 0x87


# ---- wills

def gone(port, version, how, **will):
    """A client with a will that goes: returns nothing; `how` is what it does last."""
    with Client(port, version).connect(will.pop("client_id"), **will) as c:
        how(c)


WAYS = {
    "dropped": lambda c: c.drop(),
    "closed": lambda c: c.socket.close(),
    "broke the rules": lambda c: (c.send(packet(0x00)), c.closed()),
    "disconnected with its will": lambda c: c.disconnect(4),
}


@ALL
@pytest.mark.parametrize("way", WAYS)
def test_the_will_is_published(mqtt_port, version, way):  # MQTT-3.1.2-7, -8, MQTT-3.1.2-14, -15
    if version == 4 and "will" in way:
        pytest.skip("only MQTT 5 can")
    topic = f"will/{version}/{way}"
    with Client(mqtt_port, version).connect(f"{topic}-heir") as heir:
        heir.subscribe((topic, 2))
        gone(mqtt_port, version, WAYS[way], client_id=topic, will=(topic, "farewell", 1, True))

        m = heir.message()
        assert (m.payload, m.qos, m.retain) == (b"farewell", 1, False)
        heir.unsubscribe(topic)
        heir.subscribe(topic)
        assert heir.message().retain
        heir.publish(topic, "", retain=True)


@ALL
def test_a_proper_goodbye_takes_the_will_back(mqtt_port, version):  # MQTT-3.1.2-10, MQTT-3.14.4-3
    topic = f"nowill/{version}"
    with Client(mqtt_port, version).connect(f"{topic}-heir") as heir:
        heir.subscribe(topic)
        gone(mqtt_port, version, lambda c: c.disconnect(), client_id=topic, will=(topic, "farewell", 0, False))
        heir.nothing()


def test_a_takeover_publishes_the_will(mqtt_port):  # MQTT-3.1.4-3
    with Client(mqtt_port, 4).connect("heir") as heir:
        heir.subscribe("taken/will")
        with Client(mqtt_port, 4).connect("taken", will=("taken/will", "x", 0, False)) as first:
            with Client(mqtt_port, 4).connect("taken"):
                first.closed()
                assert heir.message().payload == b"x"


def test_keep_alive_publishes_the_will(mqtt_port):
    with Client(mqtt_port, 4).connect("heir2") as heir, \
            Client(mqtt_port, 4).connect("silent", keep_alive=1, will=("silent/will", "x", 0, False)) as silent:
        heir.subscribe("silent/will")
        assert heir.message().payload == b"x"
        silent.closed()


def test_the_will_has_properties(mqtt_port):  # MQTT-3.1.3-10
    props = {**PROPS, "message_expiry": 50}
    with Client(mqtt_port, 5).connect("heir3") as heir:
        heir.subscribe("pwill")
        gone(mqtt_port, 5, WAYS["dropped"], client_id="pwill", will=("pwill", "text", 0, False, props))
        assert heir.message().props == props
        assert heir.subscribe("pwill") == [0]
        heir.nothing()  # MQTT-3.1.2-14: it is not kept


def test_a_will_waits_for_its_delay(mqtt_port):  # MQTT-3.1.3-9
    with Client(mqtt_port, 5).connect("heir4") as heir:
        heir.subscribe("dwill")
        will = ("dwill", "late", 0, False, {"will_delay": 1})
        gone(mqtt_port, 5, WAYS["dropped"], client_id="dwill", clean=False, props={"session_expiry": 60}, will=will)
        heir.nothing()
        assert heir.message().payload == b"late"


def test_who_is_back_in_time_does_not_leave(mqtt_port):  # MQTT-3.1.3-9
    with Client(mqtt_port, 5).connect("heir5") as heir:
        heir.subscribe("bwill")
        will = ("bwill", "late", 0, False, {"will_delay": 60})
        gone(mqtt_port, 5, WAYS["dropped"], client_id="bwill", clean=False, props={"session_expiry": 60}, will=will)
        with Client(mqtt_port, 5).connect("bwill", clean=False, props={"session_expiry": 60}) as c:
            assert c.connack.session_present
            c.disconnect()
        heir.nothing()


@pytest.mark.parametrize("clean, delay, published", [(False, 60, False), (True, 60, True), (False, 0, True)])
def test_a_takeover_and_the_delay(mqtt_port, clean, delay, published):  # 3.1.4.3, MQTT-3.1.3-9: a session that goes on takes the will along
    topic = f"takeover/{clean}/{delay}"
    props = {"session_expiry": 100}
    with Client(mqtt_port, 5).connect(f"{topic}/heir") as heir:
        heir.subscribe(topic)
        with Client(mqtt_port, 5).connect(topic, props=props, will=(topic, "x", 0, False, {"will_delay": delay})) as first:
            with Client(mqtt_port, 5).connect(topic, clean=clean, props=props) as second:
                first.closed(0x8E)
                second.ping()
                if published:
                    assert heir.message().payload == b"x"
                heir.nothing()


def test_the_end_of_the_session_does_not_wait_for_the_delay(mqtt_port):  # 3.1.3.2.2
    with Client(mqtt_port, 5).connect("heir6") as heir:
        heir.subscribe("ewill")
        will = ("ewill", "late", 0, False, {"will_delay": 60})
        gone(mqtt_port, 5, WAYS["dropped"], client_id="ewill", clean=False, props={"session_expiry": 60}, will=will)
        heir.nothing()
        with Client(mqtt_port, 5).connect("ewill", clean=True):
            assert heir.message().payload == b"late"


@ALL
@pytest.mark.parametrize("qos", [0, 1])
def test_names_that_are_looked_up_ahead(mqtt_port, version, qos):
    """Of many names that come at once, among many filters, the way is looked up for several at a time: nothing else may differ."""
    many, top = 4000, f"ahead/{version}/{qos}"
    with Client(mqtt_port, version).connect(f"{top}/r") as r, Client(mqtt_port, version).connect(f"{top}/w") as w:
        for begin in range(0, many, 1000):
            assert r.subscribe(*((f"{top}/{n}/+/#", qos) for n in range(begin, begin + 1000))) == [qos] * 1000
        sent = [(f"{top}/{n * 7 % many}/x/{n}", n + 1) for n in range(2 * many)]
        w.send(*(publish(topic, b"", qos, pid % 1000 + 1 if qos else None, version=version) for topic, pid in sent[:900]))
        w.send(packet(0xC0), *(publish(topic, b"", 0, version=version) for topic, _ in sent[900:]))
        for topic, _ in sent:
            m = r.message()
            assert m.topic == topic
        w.ping()
        w.send(publish(sent[0][0], b"", 0, version=version), packet(0x30, b"\xff\xff" + top.encode()))  # a name that is longer than its packet
        assert r.message().topic == sent[0][0]
        w.closed(0x81 if version == 5 else None)
        r.unsubscribe(*(f"{top}/{n}/+/#" for n in range(many)))
