"""Every limit of docs/limits.md that an MQTT client can go over: what it is told, at each QoS, over MQTT 5 and over 3.1.1.

MQTT 5 has a word for each: PUBACK and PUBREC at QoS 1 and 2, DISCONNECT at QoS 0 (which has no acknowledgement), CONNACK, SUBACK; the
reason string names the limit.  3.1.1 has none for PUBLISH: it is acknowledged as its QoS wants it [3: 3.3.5-2], dropped, and counted."""
import json
import re
import resource
from pathlib import Path

import pytest

from peers.http import Http
from peers.mqtt import (CONNACK, PUBACK, PUBREC, SUBACK, Client, Closed, ack, connect, publish, subscribe)

ROOT = Path(__file__).resolve().parents[2]
SHOWN = {}  # the name in the last column of docs/limits.md -> the test


def shows(*names):
    def note(test):
        SHOWN.update({name: test.__name__ for name in names})
        return test
    return note


versions = pytest.mark.parametrize("version", [5, 4])
each_qos = pytest.mark.parametrize("qos", [0, 1, 2])


class Place:
    """A bridged with these limits, and the number of messages that it dropped without being able to say so."""

    def __init__(self, start, tmp_path, query="", limits=None, **more):
        options = []
        if limits or more:
            (tmp_path / "limits.json").write_text(json.dumps({"limits": limits or {}, **more}))
            options = ["-c", tmp_path / "limits.json"]
        self.bridged = start(f"mqtt://127.0.0.1:0?{query}", "http://127.0.0.1:0/resources", options=options)
        self.port = self.bridged.port("mqtt")

    def client(self, name="c", version=5, **options):
        return Client(self.port, version).connect(name, **options)

    def number(self, name):
        with Http(self.bridged.port("http")) as http:
            found = re.search(rf"^{re.escape(name)} (\d+)$", http.request("GET", "/metrics").body.decode(), re.M)
        return int(found[1])

    def dropped(self, why="refused"):
        return self.number(f'bridge_mqtt_dropped_total{{reason="{why}"}}')


@pytest.fixture
def place(start_bridged, tmp_path):
    return lambda *args, **more: Place(start_bridged, tmp_path, *args, **more)


def is_refused(at, version, qos, reason, words, topic, payload=b"", retain=False, name="c"):
    """Publishes what is over a limit, and looks at what is said about it."""
    before = at.dropped()
    with at.client(name, version) as c:
        c.send(publish(topic, payload, qos, 7 if qos else None, retain=retain, version=version))
        if version == 5 and qos == 0:
            last = c.closed(reason)[-1]
            assert re.search(words, last.props["reason_string"]), last
            return
        if qos:
            answer = c.expect(PUBACK if qos == 1 else PUBREC, pid=7)
            assert answer.reason == (reason if version == 5 else 0)
            assert version == 4 or re.search(words, answer.props["reason_string"]), answer
            if version == 4 and qos == 2:
                c.send(ack(6, 7))
                c.wait_for(7, 7)
        c.nothing()  # it is still there
    if version == 4:
        assert at.dropped() == before + 1


def is_ended(c, version, reason, words):
    """DISCONNECT with a reason, over 3.1.1 just the end."""
    seen = c.closed(reason if version == 5 else None)
    assert seen == [] if version == 4 else re.search(words, seen[-1].props["reason_string"]), seen


def is_not_let_in(at, version, reason, words, name="more", before=b"", **options):
    with Client(at.port, version) as c:
        c.send(before + connect(name, version=version, **options))
        answer = c.expect(CONNACK, reason=reason if version == 5 else 3)  # 3.1.1: "server unavailable"
        assert version == 4 or re.search(words, answer.props["reason_string"]), answer
        assert c.closed() == []


# ---- PUBLISH

@shows("mqtt max_topic")
@versions
@each_qos
def test_long_topics(place, version, qos):
    at = place("max_topic=10")
    is_refused(at, version, qos, 0x90, "11 bytes, 10 at most", "x" * 11)
    with at.client(version=version) as c:
        c.publish("x" * 10, qos=qos)
        c.nothing()


@shows("mqtt max_levels", "PATH_LEVELS", "PATH_BYTES")
@pytest.mark.parametrize("most", [3, 200])
@versions
@each_qos
def test_deep_topics(place, version, qos, most):
    at = place("max_levels=3" if most == 3 else "")
    is_refused(at, version, qos, 0x90, f"{most + 1} levels, {most} at most", "/".join("x" * (most + 1)))
    is_refused(at, version, qos, 0x90, f"{most + 2} levels", "/" * (most + 1))
    with at.client(version=version) as c:
        c.publish("/".join("x" * most), qos=qos)
        c.nothing()


def test_a_topic_behind_an_alias_is_measured_too(place):
    at = place("max_levels=3")
    with at.client() as c:
        c.send(publish("a/b/c/d", b"", 1, 1, props={"alias": 1}, version=5))
        assert c.expect(PUBACK).reason == 0x90
        c.send(publish("", b"", props={"alias": 1}, version=5))
        c.closed(0x90)


@shows("HUB_MAX_MESSAGE")
@versions
@each_qos
def test_long_payloads(place, version, qos):
    at = place(limits={"max_message": 100})
    is_refused(at, version, qos, 0x97, "101 bytes, 100 at most", "a", b"x" * 101)


@shows("HUB_MAX_VALUES")
@versions
@each_qos
def test_many_values(place, version, qos):
    at = place(limits={"max_values": 1000})
    with at.client("first") as c:
        for n in range(1001):  # some are the bridge's own
            if c.publish(f"a/{n}", b"1", qos=1, retain=True).reason:
                break
    is_refused(at, version, qos, 0x97, "values .*1000", "one/more", b"1", retain=True)
    with at.client("c", version) as c:
        c.publish("a/0", b"2", qos=qos, retain=True)  # what is there may change
        c.nothing()


@shows("HUB_MAX_VALUE_BYTES")
@versions
@each_qos
def test_many_bytes_of_values(place, version, qos):
    at = place(limits={"max_value_bytes": 200000})
    with at.client("first") as c:
        assert c.publish("a", b"x" * 100000, qos=1, retain=True).reason == 0
    is_refused(at, version, qos, 0x97, "bytes .*200000", "b", b"x" * 100000, retain=True)


@shows("max_client_names")
@versions
@each_qos
def test_many_values_of_one_client(place, version, qos):
    at = place(limits={"max_client_names": 2})
    with at.client("c", version) as c:
        c.publish("a", b"1", qos=1, retain=True)
        c.publish("b", b"1", qos=1, retain=True)
    is_refused(at, version, qos, 0x97, "2 values of one client", "c", b"1", retain=True)


@shows("max_memory")
@versions
@each_qos
def test_all_of_the_memory(start_bridged, tmp_path, version, qos):
    bridged = start_bridged("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", options=["--max-memory", "4"])
    with Client(bridged.port("mqtt"), 5).connect("filler") as filler, Client(bridged.port("mqtt"), version).connect("c") as c:
        for size in (60000, 1000, 1):  # to the brim
            for n in range(100000):
                answer = filler.publish(f"full/{size}/{n}", b"x" * size, qos=1, retain=True)
                if answer.reason:
                    break
            assert answer.reason == 0x97 and "memory" in answer.props["reason_string"]
        with Client(bridged.port("mqtt"), version) as late:
            late.send(connect("late", version=version, will=("w", b"x" * 60000, 0, False)))
            late.expect(CONNACK, reason=0x89 if version == 5 else 3)
            assert late.closed() == []
        c.send(publish("more", b"x" * 60000, qos, 7 if qos else None, retain=True, version=version))
        if qos:
            assert c.expect(PUBACK if qos == 1 else PUBREC).reason == (0x97 if version == 5 else 0)
        elif version == 5:
            assert "memory" in c.closed(0x97)[-1].props["reason_string"]
        else:
            c.nothing()


@shows("mqtt max_packet")
@versions
@each_qos
def test_long_packets(place, version, qos):
    at = place("max_packet=1000")
    with at.client("c", version) as c:
        whole = publish("a", b"x" * 1000, qos, 1 if qos else None, version=version)
        c.send(whole)
        is_ended(c, version, 0x95, f"{len(whole)} bytes, 1000 at most")
    is_not_let_in(at, version, 0x95, "1000 at most", will=("a", b"x" * 1000, qos, False))


@shows("mqtt receive_max")
def test_many_that_are_not_acknowledged(place):
    at = place("receive_max=2")
    with at.client() as c:
        for pid in (1, 2, 3):
            c.send(publish("a", b"", 2, pid, version=5))
        assert "2 at QoS 1 and 2" in c.closed(0x93)[-1].props["reason_string"]
    with at.client(version=4) as c:  # 3.1.1 knows no such limit
        for pid in (1, 2, 3):
            c.send(publish("a", b"", 2, pid))
            assert c.expect(PUBREC).pid == pid


@shows("mqtt max_qos")
@versions
def test_a_qos_that_is_not_offered(place, version):
    at = place("max_qos=0")
    for qos in (1, 2):
        with at.client("c", version) as c:
            c.send(publish("a", b"", qos, 1, version=version))
            is_ended(c, version, 0x9B, f"QoS {qos}, 0 at most")
        is_not_let_in(at, version, 0x9B, f"QoS {qos} of the will, 0 at most", will=("a", b"", qos, False))
    with at.client("c", version) as c:
        assert c.subscribe(("a", 2)) == [0]
        c.publish("a", b"x")
        assert c.message().qos == 0


@shows("mqtt topic_aliases")
@each_qos
def test_many_topic_aliases(place, qos):
    at = place("topic_aliases=2")
    with at.client() as c:
        c.send(publish("a", b"", qos, 1 if qos else None, props={"alias": 3}, version=5))
        assert "topic alias 3, 2 at most" in c.closed(0x94)[-1].props["reason_string"]


@shows("mqtt max_rate")
@versions
@each_qos
def test_many_packets_in_a_second(place, version, qos):
    at = place("max_rate=50")
    with at.client("c", version) as c:
        c.send(b"".join(publish("a", b"", qos, n + 1 if qos else None, version=version) for n in range(1000)))
        seen = c.closed()
    if version == 5:
        assert seen[-1].reason == 0x96 and "more than 50 packets" in seen[-1].props["reason_string"]


# ---- the will

@versions
@each_qos
@pytest.mark.parametrize("topic, payload, reason, words", [("a/b/c/d", b"", 0x90, "4 levels, 3 at most"), ("x" * 21, b"", 0x90, "20 at most"),
                                                           ("a", b"x" * 101, 0x97, "101 bytes, 100 at most")])
def test_wills(place, version, qos, topic, payload, reason, words):
    is_not_let_in(place("max_levels=3&max_topic=20", limits={"max_message": 100}), version, reason, words, will=(topic, payload, qos, False))


# ---- SUBSCRIBE

@shows("mqtt max_subscriptions")
@versions
@each_qos
def test_many_subscriptions(place, version, qos):
    at = place("max_subscriptions=2&max_levels=3&max_topic=10")
    no = (lambda reason: reason) if version == 5 else (lambda reason: 0x80)
    with at.client("c", version) as c:
        assert c.subscribe(("a/b/c/d", qos), ("x" * 11, qos), ("a", qos)) == [no(0x8F), no(0x8F), qos]
        assert c.subscribe(("b", qos), ("c", qos)) == [qos, no(0x97)]
        assert c.subscribe(("a", 0), ("d", qos)) == [0, no(0x97)]  # [3.8.4-3] the same again only replaces
        c.unsubscribe("a")
        c.send(subscribe(9, ("d", qos), ("x" * 11, qos), ("b", qos), version=version))
        answer = c.expect(SUBACK)
        assert answer.codes == [qos, no(0x8F), qos]
        assert version == 4 or answer.props["reason_string"] == "a name of 11 bytes, 10 at most"  # of the last that was refused
        c.send(subscribe(10, ("e", qos), version=version))
        assert version == 4 or c.expect(SUBACK).props["reason_string"] == "2 subscriptions at most"


# ---- what waits for a client

@shows("mqtt max_queue", "HUB_MAX_QUEUE", "mqtt max_queue_bytes", "HUB_MAX_QUEUE_BYTES")
@versions
@pytest.mark.parametrize("query", ["max_queue=2", "max_queue_bytes=250"])
@pytest.mark.parametrize("qos", [1, 2])
def test_what_waits(place, version, query, qos):
    at = place(query)
    with at.client("away", version, clean=False, **({"props": {"session_expiry": 100}} if version == 5 else {})) as c:
        c.subscribe(("q", qos))
        c.disconnect()
    with at.client("w", version) as w:
        for n in range(5):
            assert w.publish("q", b"%d" % n + b"x" * 100, qos=qos).reason == 0  # the publisher is not to blame
    with at.client("away", version, clean=False) as c:
        assert [c.message().payload[:1] for _ in range(2)] == [b"0", b"1"]  # the newest are dropped
        c.nothing()
    assert at.dropped("queue") == 3


@shows("mqtt max_inflight")
@versions
@pytest.mark.parametrize("qos", [1, 2])
def test_what_is_under_way(place, version, qos):
    at = place("max_inflight=2")
    with at.client("slow", version) as c, at.client("w", version) as w:
        c.subscribe(("q", qos))
        for n in range(5):
            w.publish("q", b"%d" % n, qos=qos)
        c.ping()
        assert [p.payload for p in c.kept] == [b"0", b"1"]
        got = [c.message().payload for _ in range(5)]
        assert got == [b"0", b"1", b"2", b"3", b"4"]
    assert at.dropped("queue") == 0


# ---- CONNECT

@shows("mqtt max_connections", "MQTT_MAX_REFUSED")
@versions
def test_many_connections(place, version):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 3000:
        pytest.skip("not enough sockets")
    at = place("max_connections=1&connect_timeout=3600")
    with at.client("first", version) as first:
        waiting = [Client(at.port, version) for _ in range(1023)]
        is_not_let_in(at, version, 0x97, "1 connections at most")
        for w in waiting[:2]:  # they hear it as well
            w.send(connect("w", version=version))
            assert w.expect(CONNACK).reason == (0x97 if version == 5 else 3)
            assert w.closed() == []
        waiting += [Client(at.port, version) for _ in range(3)]  # 1,024 wait
        with Client(at.port, version) as c:  # one more is not even told
            assert ends_silently(c)
        first.nothing()
        for w in waiting:
            w.socket.close()


def ends_silently(c):
    try:
        return c.closed() == []
    except (Closed, ConnectionError):
        return True


@shows("mqtt max_per_user")
@versions
def test_many_connections_of_one_name(place, tmp_path, version):
    from peers.process import run
    from peers.tools import need
    run(need("mosquitto_passwd"), "-b", "-c", tmp_path / "people", "alice", "secret")
    alice = {"user": "alice", "password": "secret"}
    at = place(f"max_per_user=1&password_file={tmp_path}/people")
    with at.client("a", version, **alice):
        is_not_let_in(at, version, 0x97, "1 connections of one user at most", **alice)


@shows("mqtt max_sessions")
@versions
def test_many_sessions(place, version):
    at = place("max_sessions=1")
    with at.client("a", version, clean=False, **({"props": {"session_expiry": 100}} if version == 5 else {})) as c:
        c.disconnect()
    is_not_let_in(at, version, 0x97, "1 sessions at most")
    with at.client("a", version, clean=False) as c:
        assert c.connack.session_present


@shows("mqtt max_connect_rate", "mqtt max_peer_connects")
@versions
@pytest.mark.parametrize("query, words, before", [("max_connect_rate=1", "1 new connections in a second at most", b""),
                                                  ("proxy=yes&max_peer_connects=1", "1 connections of one address in a second at most",
                                                   b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 1883\r\n")])
def test_many_connections_in_a_second(place, version, query, words, before):
    at = place(query)
    for n in range(1000):  # until two are in the same second
        with Client(at.port, version) as c:
            c.send(before + connect(f"c{n}", version=version))
            answer = c.expect(CONNACK)
            if answer.reason:
                break
    assert answer.reason == (0x9F if version == 5 else 3)
    assert version == 4 or answer.props["reason_string"] == words


@shows("mqtt max_session_expiry", "mqtt max_keep_alive")
@versions
def test_times_that_are_too_long(place, version):
    at = place("max_session_expiry=5&max_keep_alive=1")
    with at.client("c", version, keep_alive=100, **({"props": {"session_expiry": 100}} if version == 5 else {})) as c:
        if version == 5:
            assert (c.connack.props["session_expiry"], c.connack.props["server_keep_alive"]) == (5, 1)
            is_ended(c, version, 0x8D, "nothing heard for 1.5 s")


@versions
def test_a_client_that_says_nothing(place, version):
    with place().client("c", version, keep_alive=1) as c:
        is_ended(c, version, 0x8D, "nothing heard for 1.5 s")


@shows("mqtt connect_timeout")
def test_a_connection_that_says_nothing(place):
    with Client(place("connect_timeout=1").port, 5) as c:  # there is no version yet in which to tell it
        assert c.closed() == []


# ---- questions

def responder(at, *filters):
    """Answers for them, and never answers."""
    c = at.client("responder")
    assert c.subscribe(*[(f, 0) for f in filters], props=[("user", ("responder", "true"))]) == [0] * len(filters)
    return c


def question(pid, qos=1, path="deaf"):
    return publish(path, b"", qos, pid if qos else None, version=5,
                   props=[("response_topic", "answers"), ("user", ("method", "GET")), ("user", ("timeout", "3600000"))])


@shows("MQTT_MAX_ASKED")
@each_qos
def test_many_questions(place, qos):
    at = place()
    with responder(at, "deaf"), at.client("asker") as c, at.client("second") as second:
        assert c.subscribe(("answers", 0)) == [0]
        for pid in range(1, 1025):
            c.send(question(pid))
        assert [c.expect(PUBACK, pid=pid).reason for pid in range(1, 1025)] == [0] * 1024
        c.send(question(2000, qos))
        if qos == 0:  # there is no PUBACK, so the answer says it
            assert dict(c.message().props["user"]) == {"status": "BUSY", "code": "4.29"}
        else:
            answer = c.expect(PUBACK if qos == 1 else PUBREC, pid=2000)
            assert (answer.reason, answer.props["reason_string"]) == (0x97, "1024 questions wait for their answers, no more can")
        c.nothing()
        # and the one that is to answer them is asked no more
        second.subscribe(("answers", 0))
        second.send(question(1, qos))
        assert dict(second.message().props["user"]) == {"status": "BUSY", "code": "4.29"}
        with Http(at.bridged.port("http")) as http:
            assert http.request("GET", "/resources/deaf").status == 429


# ---- the document

EXCEPTIONS = {
    "mqtt max_pending": "tests/wire/test_mqtt_limits.py::test_bytes_on_their_way_at_qos_0",
}


def test_every_limit_of_mqtt_has_its_test():
    whole = (ROOT / "docs" / "limits.md").read_text()
    section = re.search(r"\n## MQTT\n(.*?)\n## ", whole, re.S)[1]
    wanted = set(re.findall(r"`([^`]+)` \|$", section, re.M)) | {"MQTT_MAX_REFUSED"}
    assert len(wanted) > 20
    assert wanted - set(SHOWN) - set(EXCEPTIONS) == set()
    for where in EXCEPTIONS.values():
        file, test = where.split("::")
        assert f"def {test}(" in (ROOT / file).read_text()
