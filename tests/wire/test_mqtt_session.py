"""Connecting, sessions, takeover, what waits for a client and what was in flight: MQTT 5.0 3.1, 3.2, 4.1, 4.4, 4.6."""
import time

import pytest

from peers.process import run
from peers.tools import need
from peers.mqtt import CONNACK, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, Client, ack, connect, publish, subscribe

VERSIONS = pytest.mark.parametrize("version", [3, 4, 5])
FOR_EVER = {"session_expiry": 0xFFFFFFFF}


def lasting(version, clean=False):
    """Options of a CONNECT whose session outlives it."""
    return {"clean": clean, **({"props": FOR_EVER} if version == 5 else {})}


@VERSIONS
def test_a_connection_is_accepted(mqtt_port, version):  # MQTT-3.1.4-5, MQTT-3.2.0-1
    with Client(mqtt_port, version).connect("hello") as c:
        assert not c.connack.session_present
        c.nothing()
        c.disconnect()


def test_the_server_says_its_limits(mqtt_port):  # 3.2.2.3
    with Client(mqtt_port, 5).connect("limits") as c:
        props = c.connack.props

    assert props["receive_max"] > 0 and props["alias_max"] > 0 and props["max_packet"] > 1_000_000
    assert "assigned_id" not in props and "session_expiry" not in props and "server_keep_alive" not in props


def test_a_client_without_an_id_is_given_one(mqtt_port):  # MQTT-3.1.3-6, -7, MQTT-3.2.2-16
    with Client(mqtt_port, 5).connect("") as a, Client(mqtt_port, 5).connect("") as b:
        assert a.connack.props["assigned_id"] and a.connack.props["assigned_id"] != b.connack.props["assigned_id"]


def test_in_3_1_1_too_when_it_starts_clean(mqtt_port):  # [3: MQTT-3.1.3-6]
    with Client(mqtt_port, 4).connect("") as c:
        c.nothing()


@pytest.mark.parametrize("client_id", ["x" * 65535, "a/b+#$ ü💡", "\ufeffbom"])
def test_odd_ids_are_ids(mqtt_port, client_id):  # MQTT-3.1.3-5, MQTT-1.5.4-3
    with Client(mqtt_port, 5).connect(client_id) as c:
        c.nothing()


@VERSIONS
def test_the_same_id_takes_over(mqtt_port, version):  # MQTT-3.1.4-3, MQTT-3.14.0-1
    with Client(mqtt_port, version).connect("twin") as first, Client(mqtt_port, version).connect("twin") as second:
        seen = first.closed()

        assert [p.reason for p in seen] == ([0x8E] if version == 5 else [])
        second.nothing()


@VERSIONS
def test_a_clean_start_forgets(mqtt_port, version):  # MQTT-3.1.2-4, MQTT-3.2.2-2
    me = f"clean{version}"
    with Client(mqtt_port, version).connect(me, **lasting(version)) as c:
        c.subscribe((f"{me}/t", 1))
        c.disconnect()

    with Client(mqtt_port, version).connect(me, **lasting(version, clean=True)) as c:
        assert not c.connack.session_present
        c.publish(f"{me}/t", "x", qos=1)
        c.nothing()
        c.disconnect()


@VERSIONS
def test_a_session_waits_and_remembers(mqtt_port, version):  # MQTT-3.1.2-5, MQTT-3.2.2-3, MQTT-4.1.0-1
    me = f"stay{version}"
    with Client(mqtt_port, version).connect(me, **lasting(version)) as c:
        assert not c.connack.session_present
        c.subscribe((f"{me}/#", 2))
        c.disconnect()
    with Client(mqtt_port, version).connect(f"{me}-other") as other:
        for n in range(5):
            other.publish(f"{me}/{n}", str(n), qos=1 + n % 2)

    with Client(mqtt_port, version).connect(me, **lasting(version)) as c:
        assert c.connack.session_present == (version != 3)
        heard = [c.message() for _ in range(5)]
        assert [(m.topic, m.payload, m.qos, m.dup) for m in heard] == [
            (f"{me}/{n}", str(n).encode(), 1 + n % 2, False) for n in range(5)]
        c.nothing()


def test_without_expiry_the_session_ends_with_the_connection(mqtt_port):  # MQTT-4.1.0-2, 3.1.2.11.2
    with Client(mqtt_port, 5).connect("brief", clean=False) as c:
        c.disconnect()

    with Client(mqtt_port, 5).connect("brief", clean=False) as c:
        assert not c.connack.session_present


def test_disconnect_may_change_the_expiry(mqtt_port):  # 3.14.2.2.2
    with Client(mqtt_port, 5).connect("change", clean=False, props=FOR_EVER) as c:
        c.disconnect(0, {"session_expiry": 0})

    with Client(mqtt_port, 5).connect("change", clean=False) as c:
        assert not c.connack.session_present


@pytest.mark.parametrize("version", [4, 5])
def test_what_was_in_flight_comes_again_in_order_with_dup(mqtt_port, version):  # MQTT-4.4.0-1, MQTT-4.6.0-1, MQTT-3.3.1-1
    me = f"flight{version}"
    with Client(mqtt_port, version).connect(me, **lasting(version)) as c:
        c.subscribe((f"{me}/t", 2))
        for n in range(4):
            c.publish(f"{me}/t", str(n), qos=1 + n % 2)
        first = [c.wait_for(PUBLISH) for _ in range(4)]
        c.send(ack(PUBREC, first[1].pid))
        c.wait_for(PUBREL, first[1].pid)
        c.drop()

    with Client(mqtt_port, version).connect(me, **lasting(version)) as c:
        again = [c.receive() for _ in range(4)]
        assert [(p.type, p.pid) for p in again] == [
            (PUBLISH, first[0].pid), (PUBREL, first[1].pid), (PUBLISH, first[2].pid), (PUBLISH, first[3].pid)]
        assert all(p.dup for p in again if p.type == PUBLISH)
        assert [p.payload for p in again if p.type == PUBLISH] == [b"0", b"2", b"3"]
        c.send(ack(PUBACK, first[0].pid), ack(PUBCOMP, first[1].pid), ack(PUBACK, first[2].pid), ack(PUBREC, first[3].pid))
        c.wait_for(PUBREL, first[3].pid)
        c.send(ack(PUBCOMP, first[3].pid))
        c.nothing()


@pytest.mark.parametrize("version", [4, 5])
def test_qos_2_is_taken_once_however_often_it_comes(mqtt_port, version):  # MQTT-4.3.3-10, -11
    me = f"once{version}"
    with Client(mqtt_port, version).connect(f"{me}-ear") as ear:
        ear.subscribe((f"{me}/t", 2))
        with Client(mqtt_port, version).connect(me, **lasting(version)) as c:
            c.send(publish(f"{me}/t", "1", qos=2, pid=77, version=version))
            c.expect(PUBREC, pid=77)
            c.send(publish(f"{me}/t", "1", qos=2, pid=77, dup=True, version=version))
            c.expect(PUBREC, pid=77)
            c.drop()
        with Client(mqtt_port, version).connect(me, **lasting(version)) as c:
            c.send(publish(f"{me}/t", "1", qos=2, pid=77, dup=True, version=version))
            c.expect(PUBREC, pid=77)
            c.send(ack(PUBREL, 77))
            c.expect(PUBCOMP, pid=77, reason=0)
            c.send(publish(f"{me}/t", "2", qos=2, pid=77, version=version))
            c.expect(PUBREC, pid=77)

        assert [ear.message().payload for _ in range(2)] == [b"1", b"2"]
        ear.nothing()


def test_an_unknown_pubrel_is_answered(mqtt_port):  # MQTT-3.7.2-1
    with Client(mqtt_port, 5).connect("rel5") as c:
        c.send(ack(PUBREL, 9))
        c.expect(PUBCOMP, pid=9, reason=0x92)
    with Client(mqtt_port, 4).connect("rel4") as c:
        c.send(ack(PUBREL, 9))
        c.expect(PUBCOMP, pid=9)


def test_an_unknown_pubrec_is_answered(mqtt_port):  # MQTT-3.6.2-1
    with Client(mqtt_port, 5).connect("rec5") as c:
        c.send(ack(PUBREC, 9))
        c.expect(PUBREL, pid=9, reason=0x92)


def test_a_refused_pubrec_ends_the_exchange(mqtt_port):  # MQTT-4.4.0-2
    with Client(mqtt_port, 5).connect("no", props={"receive_max": 1}) as c:
        c.subscribe(("no/t", 2))
        c.publish("no/t", "1", qos=2)
        p = c.wait_for(PUBLISH)
        c.send(ack(PUBREC, p.pid, 0x99))
        c.publish("no/t", "2", qos=2)

        assert c.message().payload == b"2"


@pytest.mark.parametrize("version", [4, 5])
def test_messages_come_in_the_order_they_were_sent(mqtt_port, version):  # MQTT-4.6.0-2 to -6
    with Client(mqtt_port, version).connect(f"order{version}") as c:
        c.subscribe((f"order{version}", 2))
        for n in range(300):
            c.send(publish(f"order{version}", str(n), qos=n % 3, pid=n + 1, version=version))
        acks, heard = [], []
        while len(heard) < 300 or len(acks) < 200:
            p = c.receive()
            if p.type == PUBLISH:
                heard.append(p)
                if p.qos:
                    c.send(ack(PUBACK if p.qos == 1 else PUBREC, p.pid))
            elif p.type == PUBREL:
                c.send(ack(PUBCOMP, p.pid))
            elif p.type in (PUBACK, PUBREC):
                acks.append(p)
                if p.type == PUBREC:
                    c.send(ack(PUBREL, p.pid))

        for qos in range(3):
            assert [int(p.payload) for p in heard if p.qos == qos] == list(range(qos, 300, 3))
        for kind, rest in ((PUBACK, 1), (PUBREC, 2)):
            assert [p.pid - 1 for p in acks if p.type == kind] == list(range(rest, 300, 3))


def test_receive_maximum_holds_back(mqtt_port):  # MQTT-3.3.4-9, MQTT-4.9.0-1, -2
    with Client(mqtt_port, 5).connect("window", props={"receive_max": 2}) as c:
        c.subscribe(("window/t", 2))
        for n in range(5):
            c.publish("window/t", str(n), qos=1 if n else 2)
        c.ping()
        first, second = c.kept
        c.kept = []
        c.send(ack(PUBACK, second.pid))
        assert c.wait_for(PUBLISH).payload == b"2"
        c.nothing()
        c.send(ack(PUBREC, first.pid))
        c.expect(PUBREL, pid=first.pid)
        c.nothing()
        c.send(ack(PUBCOMP, first.pid))
        assert c.wait_for(PUBLISH).payload == b"3"


def test_qos_0_is_not_held_back_by_the_window(mqtt_port):  # MQTT-4.9.0-3
    with Client(mqtt_port, 5).connect("free", props={"receive_max": 1}) as c:
        c.subscribe(("free/#", 2))
        c.publish("free/1", "a", qos=1)
        c.wait_for(PUBLISH)
        c.publish("free/0", "b")
        assert c.wait_for(PUBLISH).payload == b"b"


def test_more_than_our_receive_maximum_ends_it(start_bridged):  # MQTT-3.3.4-7, -8
    port = start_bridged("mqtt://127.0.0.1:0?receive_max=3").port("mqtt")
    with Client(port, 5).connect("many") as c:
        assert c.connack.props["receive_max"] == 3
        for n in range(4):
            c.send(publish("many/t", "x", qos=2, pid=n + 1, version=5))

        c.closed(0x93)


def test_packet_identifiers_are_never_0_and_never_twice(mqtt_port):  # MQTT-2.2.1-3, -4
    with Client(mqtt_port, 4).connect("ids") as c:
        c.subscribe(("ids/t", 1))
        stuck = None
        for block in range(140):
            c.send(*[publish("ids/t", "x", qos=1, pid=1 + n, version=4) for n in range(500)])
            acks = 0
            while acks < 500:
                p = c.receive()
                if p.type == PUBLISH:
                    assert p.pid != 0 and p.pid != stuck
                    if stuck is None:
                        stuck = p.pid
                    else:
                        c.send(ack(PUBACK, p.pid))
                else:
                    acks += 1
            if block > 60 and stuck:
                c.send(ack(PUBACK, stuck))
                stuck = 0


def test_a_session_belongs_to_its_user(start_bridged, tmp_path):
    passwords = tmp_path / "passwords"
    for n, user in enumerate(("alice", "mallory")):
        run(need("mosquitto_passwd"), "-b", *(["-c"] if n == 0 else []), passwords, user, "secret")
    port = start_bridged(f"mqtt://127.0.0.1:0?password_file={passwords}").port("mqtt")
    with Client(port, 5).connect("mine", clean=False, props=FOR_EVER, user="alice", password="secret") as c:
        c.subscribe(("mine/t", 1))
        c.disconnect()

    with Client(port, 5).connect("mine", clean=False, props=FOR_EVER, user="mallory", password="secret") as c:
        assert not c.connack.session_present
    with Client(port, 5).connect("mine", reason=0x86, user="mallory", password="wrong") as c:
        c.closed()
    with Client(port, 4).connect("mine", reason=4, user="mallory", password="wrong") as c:
        c.closed()


def test_too_many_connections_are_told(start_bridged):
    port = start_bridged("mqtt://127.0.0.1:0?max_connections=1").port("mqtt")
    with Client(port, 5).connect("one"):
        with Client(port, 5) as c:
            c.send(connect("two", version=5))
            c.expect(CONNACK, reason=0x97)
            c.closed()
        with Client(port, 4) as c:
            c.send(connect("two"))
            c.expect(CONNACK, reason=3)
            c.closed()


def test_sessions_that_nobody_is_connected_to_count(start_bridged):
    port = start_bridged("mqtt://127.0.0.1:0?max_sessions=1").port("mqtt")
    Client(port, 4).connect("lasting", clean=False).disconnect()
    with Client(port, 5) as c:
        c.send(connect("another", version=5))
        assert c.receive().reason in (0x89, 0x97)
    with Client(port, 4) as c:
        c.connect("lasting", clean=False)


def test_a_full_queue_drops_the_newest_and_goes_on(start_bridged):
    port = start_bridged("mqtt://127.0.0.1:0?max_queue=3").port("mqtt")
    with Client(port, 4).connect("small", clean=False) as c:
        c.subscribe(("small", 1))
        c.disconnect()
    with Client(port, 4).connect("w") as w:
        for n in range(6):
            w.publish("small", str(n), qos=1)

    with Client(port, 4).connect("small", clean=False) as c:
        assert [c.message().payload for _ in range(3)] == [b"0", b"1", b"2"]
        c.nothing()


def test_a_packet_over_the_limit_ends_the_connection(start_bridged):  # MQTT-3.2.2-15
    port = start_bridged("mqtt://127.0.0.1:0?max_packet=100").port("mqtt")
    with Client(port, 5).connect("large") as c:
        assert c.connack.props["max_packet"] == 100
        c.send(publish("a", b"x" * 100, version=5))
        c.closed(0x95)


def test_the_clients_maximum_packet_size_is_kept(mqtt_port):  # MQTT-3.1.2-24, -25
    with Client(mqtt_port, 5).connect("tiny", props={"max_packet": 60}) as c:
        c.subscribe(("tiny/t", 1))
        with Client(mqtt_port, 5).connect("tiny-w") as w:
            w.publish("tiny/t", b"x" * 60, qos=1)
            w.publish("tiny/t", b"small", qos=1)

        assert c.message().payload == b"small"
        c.nothing()


def test_a_client_that_takes_no_answer_is_not_let_in(mqtt_port):  # MQTT-3.1.2-24; mosquitto's 12-prop-maximum-packet-size-connect
    with Client(mqtt_port, 5) as c:
        c.send(connect("tiniest", version=5, props={"max_packet": 2}))
        assert c.closed() == []
    with Client(mqtt_port, 5).connect("tiny-answers", props={"max_packet": 30}) as c:
        c.send(subscribe(1, *["t"] * 100, version=5))
        assert c.closed(0x95)[-1].props == {}


@pytest.mark.parametrize("first", [b"\x30", b"\x20", b"\x82", b"\xf0", b"\x00"])
def test_what_does_not_begin_with_connect_is_not_read_to_its_end(mqtt_port, first):  # MQTT-3.1.0-1
    with Client(mqtt_port, 5) as c:
        c.send(first + b"\x80\x80\x10" + b"x" * 100)  # of 262,144 bytes
        assert c.closed() == []


def test_too_many_packets_in_a_second(start_bridged):
    port = start_bridged("mqtt://127.0.0.1:0?max_rate=50").port("mqtt")
    with Client(port, 5).connect("fast") as c:
        c.send(*[publish("a", "x", version=5)] * 200)
        c.closed(0x96)


def test_keep_alive_is_watched(mqtt_port):  # MQTT-3.1.2-22
    with Client(mqtt_port, 5).connect("sleepy", keep_alive=1) as c:
        c.closed(0x8D)


def test_the_server_may_choose_the_keep_alive(start_bridged):  # MQTT-3.2.2-21, -22
    port = start_bridged("mqtt://127.0.0.1:0?max_keep_alive=30").port("mqtt")
    with Client(port, 5).connect("k", keep_alive=600) as c:
        assert c.connack.props["server_keep_alive"] == 30
    with Client(port, 5).connect("k", keep_alive=10) as c:
        assert "server_keep_alive" not in c.connack.props


def test_no_connect_in_time_is_no_connection(start_bridged):
    port = start_bridged("mqtt://127.0.0.1:0?connect_timeout=1").port("mqtt")
    with Client(port) as c:
        assert c.closed() == []


def test_the_end_of_the_server_is_told(start_bridged):
    program = start_bridged("mqtt://127.0.0.1:0")
    with Client(program.port("mqtt"), 5).connect("last") as c:
        program.send_signal(15)
        c.closed(0x8B)


@pytest.mark.parametrize("wanted", [0, 1])
def test_no_reason_string_for_who_does_not_want_one(start_bridged, wanted):  # MQTT-3.1.2-29
    port = start_bridged("mqtt://127.0.0.1:0?max_topic=5&max_subscriptions=1").port("mqtt")
    with Client(port, 5).connect("terse", props={"problem_info": wanted}) as c:
        assert c.publish("too/long", qos=1).props.keys() == ({"reason_string"} if wanted else set())
        assert c.publish("too/long", qos=2).props.keys() == ({"reason_string"} if wanted else set())
        c.send(subscribe(7, ("a", 0), ("b", 0), version=5))
        assert c.expect(SUBACK, pid=7, codes=[0, 0x97]).props.keys() == ({"reason_string"} if wanted else set())
    with Client(port, 5).connect("terse", props={"problem_info": wanted}) as c:
        c.send(publish("a/#", version=5))
        assert c.closed(0x81)[-1].props.keys() == ({"reason_string"} if wanted else set())


def test_a_lower_maximum_qos(start_bridged):  # MQTT-3.2.2-9 to -12
    port = start_bridged("mqtt://127.0.0.1:0?max_qos=1").port("mqtt")
    with Client(port, 5).connect("low") as c:
        assert c.connack.props["max_qos"] == 1
        assert c.subscribe(("low", 2)) == [1]
        c.send(publish("low", "x", qos=2, pid=1, version=5))
        c.closed(0x9B)
    with Client(port, 5).connect("low", reason=0x9B, will=("low", "x", 2, False)) as c:
        c.closed()


def test_reasons_are_left_out_where_they_do_not_fit(mqtt_port):  # MQTT-3.2.2-19, MQTT-3.14.2-3
    with Client(mqtt_port, 5).connect("short", props={"max_packet": 50}) as c:
        c.send(publish("a/#", version=5))
        assert all(len(p.body) <= 48 for p in c.closed(0x81))


def test_a_session_ends_in_time(mqtt_port):  # MQTT-4.1.0-2
    with Client(mqtt_port, 5).connect("ends", clean=False, props={"session_expiry": 1}) as c:
        c.subscribe("ends")
        c.disconnect()
    time.sleep(1.3)  # real time: this bridged runs on the machine's clock

    with Client(mqtt_port, 5).connect("ends", clean=False) as c:
        assert not c.connack.session_present


def test_the_same_identifier_at_qos_1_is_a_new_message(mqtt_port):  # MQTT-4.3.2-5
    with Client(mqtt_port, 5).connect("new") as c:
        c.subscribe("new")
        for dup in (False, True):
            c.send(publish("new", "x", qos=1, pid=5, dup=dup, version=5))
            c.wait_for(PUBACK, 5)
        assert [c.message().payload for _ in range(2)] == [b"x", b"x"]


def test_what_was_sent_does_not_expire(mqtt_port):  # MQTT-4.3.3-7, -13
    with Client(mqtt_port, 5).connect("begun", clean=False, props={"session_expiry": 100}) as c:
        c.subscribe(("begun", 2))
        c.publish("begun", "x", qos=2, props={"message_expiry": 1})
        pid = c.wait_for(PUBLISH).pid
        c.drop()
    time.sleep(1.2)

    with Client(mqtt_port, 5).connect("begun", clean=False) as c:
        again = c.wait_for(PUBLISH)
        assert (again.pid, again.dup, again.payload) == (pid, True, b"x")
        c.send(ack(PUBREC, pid))
        c.wait_for(PUBREL, pid)
        c.send(ack(PUBCOMP, pid))
        c.nothing()


PROXIES = {
    "v1": b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 1883\r\n",
    "v1, IPv6": b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 1883\r\n",
    "v1, unknown": b"PROXY UNKNOWN\r\n",
    "v2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x9c\x40\x07\x5b",
    "v2, local": b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
}


@pytest.mark.parametrize("header", PROXIES)
def test_a_balancer_says_who_it_is_for(start_bridged, header):
    program = start_bridged("mqtt://127.0.0.1:0?proxy=1")
    port = program.port("mqtt")
    with Client(port, 5) as c:
        for n in range(0, len(PROXIES[header]), 5):
            c.send(PROXIES[header][n:n + 5])
        c.connect("behind").nothing()
    with Client(port, 4) as c:
        c.send(PROXIES[header] + connect("", clean=False))
        c.expect(CONNACK, reason=2)
    if header in ("v1", "v2"):
        assert "192.0.2.7:40000 refused" in program.errors()


@pytest.mark.parametrize("header", [b"PROXY NONSENSE\r\n", b"PROXY TCP4 a b c d\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
                                    b"PROXY " + b"x" * 200, connect("x")])
def test_what_is_no_proxy_header_ends_it(start_bridged, header):
    with Client(start_bridged("mqtt://127.0.0.1:0?proxy=1").port("mqtt")) as c:
        c.send(header)
        assert c.closed() == []
