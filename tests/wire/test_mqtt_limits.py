"""The limits of a listener (docs/limits.md): each can be set, and who is above it hears the standard's reason code."""
import pytest

from peers.mqtt import CONNACK, DISCONNECT, SUBACK, Client, connect, publish, subscribe


@pytest.fixture
def limited(start_bridged):
    return lambda query: start_bridged("mqtt://127.0.0.1:0?" + query).port("mqtt")


def refused(port, version, reason, client_id="more", before=b"", **options):
    with Client(port, version) as c:
        c.send(before + connect(client_id, version=version, **options))
        answer = c.expect(CONNACK, reason=reason)
        assert c.closed() == []
        return answer


def test_connections_in_a_second(limited):
    port = limited("max_connect_rate=1")
    reasons = set()
    for n in range(1000):  # until two are in the same second
        with Client(port, 5) as c:
            c.send(connect(f"c{n}", version=5))
            answer = c.expect(CONNACK)
            reasons.add((answer.reason, answer.props.get("reason_string")))
        if len(reasons) > 1:
            break
    assert (0x9F, "1 new connections in a second at most") in reasons


def proxy(address):
    family = "TCP6" if ":" in address else "TCP4"
    return f"PROXY {family} {address} {'::1' if ':' in address else '127.0.0.1'} 4000 1883\r\n".encode()


@pytest.mark.parametrize("address, neighbour, stranger", [("192.0.2.7", "192.0.2.7", "192.0.2.8"),
                                                          ("2001:db8::7", "2001:db8::8", "2001:db8:1::7")])
def test_connections_of_one_address_in_a_second(limited, address, neighbour, stranger):
    port = limited("proxy=yes&max_peer_connects=1")
    reasons = []
    for n in range(1000):  # until two are in the same second
        if 0x9F in reasons:
            break
        with Client(port, 5) as c:
            c.send(proxy((address, neighbour)[n % 2]) + connect(f"c{n}", version=5))
            reasons.append(c.expect(CONNACK).reason)
    assert 0x9F in reasons and reasons[0] == 0
    for here in (stranger, "127.0.0.1", "127.0.0.1", "127.0.0.1"):
        with Client(port, 5) as c:
            c.send(proxy(here) + connect("other", version=5))
            c.expect(CONNACK, reason=0)


def test_connections_of_one_name(start_bridged, tmp_path):
    from peers.process import run
    from peers.tools import need
    run(need("mosquitto_passwd"), "-b", "-c", tmp_path / "people", "alice", "secret")
    port = start_bridged(f"mqtt://127.0.0.1:0?max_per_user=2&password_file={tmp_path}/people&anonymous=allow").port("mqtt")
    alice = {"user": "alice", "password": "secret"}
    with Client(port, 5).connect("a", **alice), Client(port, 4).connect("b", **alice):
        assert refused(port, 5, 0x97, **alice).props["reason_string"] == "2 connections of one user at most"
        refused(port, 4, 3, **alice)
        Client(port, 5).connect("nobody").disconnect()
    for _ in range(200):  # they have gone: told by the next who comes in
        with Client(port, 5) as c:
            c.send(connect("c", version=5, **alice))
            if c.expect(CONNACK).reason == 0:
                break
    else:
        raise AssertionError("their places were not given back")


def test_refused_connections_are_limited_too(limited):
    port = limited("max_connections=1")
    with Client(port, 5).connect("first") as c:
        waiting = [Client(port, 5) for _ in range(100)]
        c.ping()
        assert refused(port, 5, 0x97).props["reason_string"] == "1 connections at most"
        for w in waiting:
            w.socket.close()


def test_length_and_depth_of_topics(limited):
    port = limited("max_topic=10&max_levels=3")
    with Client(port, 5).connect("c") as c:
        assert c.publish("a/b/c", qos=1).reason in (0, 0x10)
        for bad in ("a/b/c/d", "x" * 11):
            answer = c.publish(bad, qos=1)
            assert answer.reason == 0x90 and "at most" in answer.props["reason_string"]
            assert c.publish(bad, qos=2).reason == 0x90
            assert c.subscribe((bad, 0), ("a/b/c", 0), ("x" * 10, 0)) == [0x8F, 0, 0]
        c.ping()
    with Client(port, 5).connect("terse", props={"problem_info": 0}) as c:
        assert c.publish("x" * 11, qos=1).props == {}
    with Client(port, 4).connect("old") as c:
        assert c.subscribe(("x" * 11, 0)) == [0x80]


def test_bytes_that_wait_for_a_session(limited):
    port = limited("max_queue_bytes=3000")
    with Client(port, 5).connect("away", props={"session_expiry": 100}) as c:
        c.subscribe(("q", 1))
        c.disconnect()
    with Client(port, 5).connect("w") as w:
        for n in range(5):
            w.publish("q", b"%d" % n * 1000, qos=1)
    with Client(port, 5).connect("away", clean=False) as c:
        assert [c.message().payload[:1] for _ in range(2)] == [b"0", b"1"]
        c.nothing()


def test_bytes_on_their_way_at_qos_0(start_bridged):
    program = start_bridged("mqtt://127.0.0.1:0?max_pending=10000", "http://127.0.0.1:0")
    from peers.http import Http
    with Client(program.port("mqtt"), 5).connect("slow") as slow, Client(program.port("mqtt"), 5).connect("w") as w, \
            Http(program.port("http")) as http:
        slow.subscribe(("q", 0))
        for _ in range(100000):  # until the kernel's buffers are full as well
            w.send(publish("q", b"x" * 60000, version=5))
            w.ping()
            if b'bridge_mqtt_dropped_total{reason="slow"} 0' not in http.request("GET", "/metrics").body:
                break
        w.nothing()  # the publisher is not held back
        assert slow.message().payload == b"x" * 60000


def test_a_client_has_so_much_under_way_and_no_more(limited):
    port = limited("receive_max=2")
    with Client(port, 5).connect("c") as c:
        for pid in (1, 2, 3):
            c.send(publish("a", b"", 2, pid, version=5))
        assert [p.type for p in c.closed(0x93)][-1] == DISCONNECT


@pytest.mark.parametrize("query, field", [("receive_max=7", "receive_max"), ("topic_aliases=7", "alias_max"),
                                          ("max_packet=700", "max_packet")])
def test_connack_says_the_limits(limited, query, field):
    with Client(limited(query), 5).connect("c") as c:
        assert c.connack.props[field] == int(query.partition("=")[2])


def test_sessions_end_when_the_listener_says_so(limited):
    with Client(limited("max_session_expiry=5"), 5).connect("c", props={"session_expiry": 100}) as c:
        assert c.connack.props["session_expiry"] == 5


def test_numbers_that_cannot_be(bridged_program):
    for query in ("max_topic=65536", "max_levels=201", "max_qos=3", "max_rate=-1", "max_peer_connects=x"):
        code, _, err = bridged_program("mqtt://127.0.0.1:0?" + query)
        assert code == 2 and query.partition("=")[0] in err


def test_reasons_keep_to_the_clients_maximum(limited):  # MQTT-3.4.2-2, 3.5.2-2, 3.9.2-1
    port = limited("max_topic=10")
    for most, told in ((20, False), (100, True)):
        with Client(port, 5).connect("c", props={"max_packet": most}) as c:
            for qos in (1, 2):
                assert ("reason_string" in c.publish("x" * 11, qos=qos).props) == told
            pid = next(c.pids)
            c.send(subscribe(pid, "x" * 11, version=5))
            answer = c.expect(SUBACK)
            assert answer.codes == [0x8F] and ("reason_string" in answer.props) == told
