"""Kept values of a filter that matches many: in slices, each path once, never an older value after a newer one."""
import json

import pytest

from peers.mqtt import PUBACK, PUBLISH, Client, publish

COUNT = 6000


ROUTES = {"routes": [{"source": "mqtt:nobody/{rest...}", "target": "empty/{rest...}"}, {"source": "mqtt:k/{rest...}", "target": "plant/{rest...}"},
                     {"source": "mqtt:l/{rest...}", "target": "other/{rest...}"}]}


@pytest.fixture(params=["paths", "names"])
def port(start_bridged, tmp_path, request):
    """A bridge with COUNT values, k/0 to k/5999: that is their path, or the name that routes give MQTT for another."""
    (tmp_path / "routes.json").write_text(json.dumps(ROUTES if request.param == "names" else {}))
    program = start_bridged("mqtt://127.0.0.1:0?max_queue=100000", options=["-c", tmp_path / "routes.json"])
    with Client(program.port("mqtt"), 5).connect("filler") as c:
        keep(c, range(COUNT), "old")
    return program.port("mqtt")


def keep(c, numbers, word, qos=0):
    c.send(b"".join(publish(f"k/{n}", f"{word} {n}" if word else b"", qos, n + 1, retain=True, version=5) for n in numbers))
    for _ in numbers if qos else ():
        c.expect(PUBACK)
    c.ping()


def hear(c, until):
    """Messages, acknowledged, until `until` is heard: [(path, payload)]."""
    heard = []
    while not heard or heard[-1] != until:
        p = c.message()
        heard.append((p.topic, p.payload.decode()))
    return heard


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_all_of_them_once(port, qos):
    with Client(port, 5).connect("reader", props={"receive_max": 100}) as c:
        assert c.subscribe(("k/#", qos)) == [qos]
        heard = [c.message() for _ in range(COUNT)]
        assert {p.topic: p.payload.decode() for p in heard} == {f"k/{n}": f"old {n}" for n in range(COUNT)}
        assert {(p.retain, p.qos) for p in heard} == {(True, 0)}  # they were published at QoS 0
        c.nothing()


@pytest.mark.parametrize("qos", [0, 1])
def test_what_changes_meanwhile(port, qos):
    with Client(port, 5).connect("writer") as w, Client(port, 5) as c:
        keep(w, range(COUNT), "old", qos=1)
        c.connect("reader", props={"receive_max": 10})
        c.subscribe(("#", 1))
        w_changed, w_removed, w_new = range(0, COUNT, 3), range(1, COUNT, 3), range(COUNT, COUNT + 500)
        keep(w, w_changed, "new", qos)  # order is promised within a QoS [5: 4.6.0-5], and kept of what is kept before what comes
        keep(w, w_removed, "", qos)
        keep(w, w_new, "new", qos)
        w.publish("end", b"now", qos=qos)
        w.ping()

        heard = hear(c, ("end", "now"))
        c.ping()
        heard += [(p.topic, p.payload.decode()) for p in [c.message() for _ in range(sum(k.type == PUBLISH for k in c.kept))]]

        said = {}
        for path, value in heard:
            said.setdefault(path, []).append(value)
        rest = hear_rest(c, said)
        assert rest == set(), sorted(rest)[:10]
        for n in w_changed:
            assert said[f"k/{n}"] in ([f"old {n}", f"new {n}"], [f"new {n}"])
        for n in w_removed:
            assert said[f"k/{n}"] in ([f"old {n}", ""], [""])
        for n in range(2, COUNT, 3):
            assert said[f"k/{n}"] == [f"old {n}"]
        for n in w_new:
            assert said[f"k/{n}"] == [f"new {n}"]
        c.nothing()


def hear_rest(c, said):
    """The slices that come after the live messages; what is missing at last."""
    wanted = {f"k/{n}" for n in range(COUNT)} - said.keys()
    while wanted:
        p = c.message()
        said.setdefault(p.topic, []).append(p.payload.decode())
        wanted.discard(p.topic)
    return wanted


def test_who_leaves_in_the_middle_hears_the_rest_later(port):
    with Client(port, 5).connect("writer") as w:
        keep(w, range(COUNT), "old", qos=1)
    heard = set()
    c = Client(port, 5).connect("reader", props={"receive_max": 10, "session_expiry": 1000})
    c.subscribe(("k/#", 1))
    for _ in range(1000):
        heard.add(c.message().topic)
    c.drop()
    with Client(port, 5).connect("reader", clean=False, props={"receive_max": 10, "session_expiry": 1000}) as c:
        while len(heard) < COUNT:
            heard.add(c.message().topic)


def test_unsubscribing_in_the_middle_ends_it(port):
    with Client(port, 5).connect("reader") as c:
        for _ in range(3):
            assert c.subscribe(("k/#", 0)) == [0]
            assert c.unsubscribe("k/#") == [0]
        c.ping()
        c.kept.clear()
        c.nothing()


def test_a_reader_that_does_not_read_holds_nobody(port):
    """It is asked for more only while it takes what there is; others have their turns meanwhile."""
    with Client(port, 5).connect("lazy", props={"receive_max": 1}) as lazy, Client(port, 5).connect("other") as other:
        lazy.subscribe(("k/#", 1))
        other.subscribe(("k/1", 0))
        for n in range(100):
            other.publish("k/1", f"{n}", qos=1)
        assert [other.message().payload for _ in range(101)] == [b"old 1"] + [b"%d" % n for n in range(100)]
        lazy.drop()
        other.nothing()


@pytest.mark.parametrize("qos", [0, 1])
def test_what_is_kept_takes_nobodys_place(start_bridged, qos):
    """More kept values wait than messages may: what is published meanwhile is not dropped for that, and comes after them."""
    port = start_bridged("mqtt://127.0.0.1:0?max_queue=10").port("mqtt")
    with Client(port, 5).connect("reader", props={"receive_max": 1}) as c, Client(port, 5).connect("writer") as w:
        keep(w, range(500), "old", qos=1)
        c.subscribe(("k/#", 1))
        for n in range(490, 500):
            w.publish(f"k/{n}", b"new", qos=qos)
        w.ping()
        heard = {}
        for _ in range(510):
            p = c.message()
            heard.setdefault(p.topic, []).append(p.payload)
        assert heard == {f"k/{n}": [b"old %d" % n] + [b"new"] * (n >= 490) for n in range(500)}
        c.nothing()
