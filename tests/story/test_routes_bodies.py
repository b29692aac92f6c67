"""Large values under other names share their bytes with the original (core/message.h, MSG_SHARED): each is whole, as long as somebody has it."""
import json

import pytest

from peers.http import Http
from peers.mqtt import Client

CONFIG = {"listen": ["mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources"], "routes": [
    {"source": "http:web/{x}", "target": "tree/{x}"}, {"source": "mqtt:said/{x}", "target": "tree/{x}"},
    {"source": "http:double/{x}", "target": "half/{x}", "transform": "scale 0.5"}, {"source": "tree/{x}", "target": "copies/{x}"}]}
SIZES = [511, 512, 513, 70000]


@pytest.fixture
def start(start_bridged, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({**CONFIG, "store": f"sqlite:{tmp_path / 'kept.db'}"}))
    return lambda: start_bridged(options=["-c", "c.json"], listeners=2)


def body(size, mark="x"):
    return b"".join(b"%s%08d" % (mark.encode(), n) for n in range(size // 9 + 1))[:size]


def read(it, *paths):
    with Http(it.port("http")) as web:
        return [web.request("GET", f"/resources/{path}").body for path in paths]


EVERYWHERE = ("web/1", "tree/1", "copies/1")


@pytest.mark.parametrize("size", SIZES)
def test_every_name_has_the_whole_body_also_after_a_restart(size, start):
    it = start()
    with Client(it.port("mqtt"), version=5).connect("away", clean=False, props={"session_expiry": 1000}) as away:
        away.subscribe(("said/#", 1), ("copies/#", 1))
    with Client(it.port("mqtt"), version=5).connect("one") as client:
        for mark in "abc":  # each takes the place of the one before
            client.publish("said/1", body(size, mark), 1, retain=True, props={"content_type": "image/x", "user": [("k", "v" * 300)]})
        assert read(it, *EVERYWHERE) == [body(size, "c")] * 3
        client.subscribe("#")
        heard = {m.topic: m for m in (client.message(), client.message())}
    assert {topic: m.payload for topic, m in heard.items()} == {"said/1": body(size, "c"), "copies/1": body(size, "c")}
    assert all(m.props["user"] == [("k", "v" * 300)] and m.props["content_type"] == "image/x" for m in heard.values())
    it.end()

    it = start()

    assert read(it, *EVERYWHERE) == [body(size, "c")] * 3
    with Client(it.port("mqtt"), version=5).connect("away", clean=False) as away:
        waited = [away.message() for _ in range(6)]
        for topic in ("said/1", "copies/1"):
            assert [m.payload for m in waited if m.topic == topic] == [body(size, mark) for mark in "abc"]


@pytest.mark.parametrize("size", SIZES)
def test_a_copy_outlives_its_original(size, start):
    it = start()
    with Http(it.port("http")) as web:
        assert web.request("PUT", "/resources/web/1", body(size), {"Content-Type": "image/x"}).status == 201
        with Client(it.port("mqtt")).connect("two") as client:
            client.subscribe("said/1", "copies/1")
            assert {m.topic: m.payload for m in (client.message(), client.message())} == {"said/1": body(size), "copies/1": body(size)}
            assert web.request("PUT", "/resources/copies/1", b"small").status == 204
            assert read(it, *EVERYWHERE) == [body(size), body(size), b"small"]
            assert web.request("PUT", "/resources/web/1", body(size, "z")).status == 204
            assert web.request("PUT", "/resources/tree/1", b"less").status == 204
            assert read(it, *EVERYWHERE) == [b"less"] * 3


def test_a_large_body_is_changed_on_the_way_in_and_back_on_the_way_out(start):
    it = start()
    numbers = {f"n{n}": n for n in range(0, 1000, 2)}
    with Http(it.port("http")) as web:
        assert web.request("PUT", "/resources/double/1", json.dumps(numbers).encode(), {"Content-Type": "application/json"}).status == 201
    inside, outside = read(it, "half/1", "double/1")
    assert (json.loads(inside), json.loads(outside)) == ({key: n // 2 for key, n in numbers.items()}, numbers)
