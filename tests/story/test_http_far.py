"""Resources of a foreign HTTP server as paths of the bridge: every verb passes through, what may be kept is kept, what is watched is followed."""
import queue
import threading

import pytest

pytest.importorskip("libbridge.testing")
import libbridge  # noqa: E402

from peers.http import Http  # noqa: E402
from peers.process import PATIENCE  # noqa: E402
from peers.served import bridge  # noqa: E402, F401
from peers.web import Web  # noqa: E402


@pytest.fixture
def web():
    with Web() as server:
        yield server


@pytest.fixture
def http(bridge):
    with Http(bridge.listen("http://127.0.0.1:0/resources").port) as connection:
        yield connection


def own(bridge, web, more="", path="/base"):
    return bridge.connect(f"{web.url}{path}?as=plant/{{path...}}{more}")


def test_a_get_passes_through(bridge, web, http):
    web.answer = lambda asked: (200, {"Content-Type": "application/json", "ETag": '"seven"'}, '{"t":21.5}')
    own(bridge, web)

    answer = http.request("GET", "/resources/plant/boiler%201/temp?unit=C&x=%26")

    assert (answer.status, answer["content-type"], answer.json) == (200, "application/json", {"t": 21.5})
    asked = web.asked()
    assert (asked.method, asked.target) == ("GET", "/base/boiler%201/temp?unit=C&x=%26")


@pytest.mark.parametrize("method, status, back", [("PUT", 201, 201), ("PUT", 204, 204), ("POST", 200, 200), ("PATCH", 204, 204), ("DELETE", 204, 204)])
def test_every_verb_passes_through(bridge, web, http, method, status, back):
    web.answer = lambda asked: (status, {"Content-Type": "text/plain"}, b"done" if status == 200 else b"")
    own(bridge, web)
    more = {} if method == "DELETE" else {"body": '{"a":1}', "Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}

    answer = http.request(method, "/resources/plant/x", **more)

    asked = web.asked()
    assert answer.status == back and answer.body == (b"done" if status == 200 else b"")
    assert (asked.method, asked.target, asked.body) == (method, "/base/x", b"" if method == "DELETE" else b'{"a":1}')
    if more:
        assert asked["content-type"] == more["Content-Type"]


@pytest.mark.parametrize("there, here", [
    (400, 400), (401, 403), (403, 403), (404, 404), (405, 405), (406, 406), (408, 504), (409, 409), (410, 404), (412, 412), (413, 413),
    (415, 415), (418, 400), (422, 422), (429, 429), (500, 500), (501, 501), (502, 502), (503, 429), (504, 504), (302, 502)])
def test_its_errors_are_ours(bridge, web, http, there, here):
    web.answer = lambda asked: there
    own(bridge, web)

    assert http.request("PUT", "/resources/plant/x", "1").status == here


def test_one_who_is_not_there_is_502_and_one_who_is_silent_504(bridge, http):
    end = threading.Event()
    with Web() as gone:
        url = gone.url
    bridge.connect(f"{url}/?as=gone/{{path...}}")
    assert http.request("GET", "/resources/gone/x").status == 502
    with Web(lambda asked: end.wait(PATIENCE) and 200) as web:
        bridge.connect(f"{web.url}/?as=slow/{{path...}}&timeout=100ms")
        assert http.request("GET", "/resources/slow/x").status == 504
        end.set()


def test_max_age_is_kept(bridge, web, http):
    web.answer = lambda asked: (200, {"Cache-Control": "max-age=1000", "ETag": '"a"', "Content-Type": "text/plain"}, "1")
    own(bridge, web)

    first = http.request("GET", "/resources/plant/x")
    second = http.request("GET", "/resources/plant/x")

    assert web.asked() and web.requests.empty()
    assert first.body == second.body == b"1"
    assert 900 < int(second["cache-control"].removeprefix("max-age=")) <= 1000


@pytest.mark.parametrize("cache", ["no-store", "no-cache", "private, max-age=9", "max-age=0", "max-age=10, s-maxage=0"])
def test_what_may_not_be_kept_is_asked_again(bridge, web, http, cache):
    web.answer = lambda asked: (200, {"Cache-Control": cache, "Content-Type": "text/plain"}, "1")
    own(bridge, web)

    for _ in range(2):
        http.request("GET", "/resources/plant/x")
        assert web.asked()


def test_conditions_go_on_in_the_servers_own_tags(bridge, web, http):
    web.answer = lambda asked: (200, {"ETag": '"mine-7"', "Content-Type": "text/plain"}, "1") if asked.method == "GET" else 204
    own(bridge, web)
    tag = http.request("GET", "/resources/plant/x")["etag"]
    web.asked()

    http.request("PUT", "/resources/plant/x", "2", If_Match=tag)
    assert web.asked()["if-match"] == '"mine-7"'
    http.request("PUT", "/resources/plant/x", "2", If_Match='"1f"')
    assert web.asked()["if-match"] == '"-"'
    http.request("PUT", "/resources/plant/x", "2", If_None_Match="*")
    assert web.asked()["if-none-match"] == "*"


def test_each_capture_has_its_place(bridge, web, http):
    bridge.connect(f"{web.url}/api/{{device}}/get/{{rest...}}?as=dev/{{device}}/{{rest...}}&query=full%3D1")

    http.request("GET", "/resources/dev/lamp%2e1/a/b")

    assert web.asked().target == "/api/lamp.1/get/a/b?full=1"


def test_polling_tells_what_changed(bridge, web):
    values = ["1", "1", "2"]

    def answer(asked):
        value = values.pop(0) if len(values) > 1 else values[0]
        tag = f'"{value}"'
        return 304 if asked["if-none-match"] == tag else (200, {"ETag": tag, "Content-Type": "text/plain"}, value)

    web.answer = answer
    own(bridge, web, "&poll=20ms")
    with bridge.subscribe("plant/t", timeout=PATIENCE) as heard:
        assert [next(heard).payload for _ in range(2)] == [b"1", b"2"]
    asked = [web.asked() for _ in range(3)]
    assert {a.target for a in asked} == {"/base/t"} and asked[1]["if-none-match"] == '"1"'


def test_events_are_followed_and_shared(bridge, web, http):
    pieces = queue.Queue()

    def stream():
        yield ": hello\n\ndata: 1\r\n\r\n"
        while (piece := pieces.get(timeout=PATIENCE)) is not None:
            yield piece

    web.answer = lambda asked: (200, {"Content-Type": "text/event-stream"}, stream())
    own(bridge, web)
    heard = bridge.subscribe("plant/t", timeout=PATIENCE)
    assert next(heard).payload == b"1"
    other = bridge.subscribe("plant/t", timeout=PATIENCE)
    asked = web.asked()
    assert asked["accept"].startswith("text/event-stream") and web.requests.empty()

    pieces.put("id: 5\ndata: two\nda")
    pieces.put("ta: lines\n\n")
    pieces.put("event: other\ndata: no\n\ndata: 3\n\n")

    assert [next(heard).payload for _ in range(2)] == [b"two\nlines", b"3"]
    other.close()
    heard.close()
    pieces.put(None)


def test_another_bridge_is_followed(make_bridge, bridge):
    far = make_bridge()
    port = far.listen("http://127.0.0.1:0/resources").port
    far.publish("t", "1", retain=True)
    bridge.connect(f"http://127.0.0.1:{port}/resources/{{path...}}?as=site/{{path...}}")
    heard = bridge.subscribe("site/t", timeout=PATIENCE)

    assert next(heard).payload == b"1"
    far.publish("t", "2", retain=True)
    assert next(heard).payload == b"2"
    assert bridge.get("site/t").payload == b"2"
    bridge.put("site/new", "made here")
    assert far.get("new").payload == b"made here"


def test_one_who_leaves_early_leaves_nothing_behind(bridge, web, http):
    end = threading.Event()
    web.answer = lambda asked: end.wait(PATIENCE) and 200
    uplink = own(bridge, web)
    http.ask("GET", "/resources/plant/x")
    http.socket.close()
    with pytest.raises(libbridge.Timeout):
        bridge.get("plant/x", timeout=0.05)
    uplink.close()
    end.set()
    with pytest.raises(libbridge.NotFound):
        bridge.get("plant/x")


@pytest.mark.parametrize("query, words", [
    ("as=a/%23", "want names"), ("as=a/{x}&poll=0", "a time is wanted"), ("as=a/{x}&watch=b&as=c", "no option"), ("as=a/{x}/{x}", "x"),
])
def test_what_cannot_be_is_said_at_once(bridge, query, words):
    with pytest.raises(libbridge.BridgeError, match=words):
        bridge.connect(f"http://127.0.0.1:1/base?{query}")


def test_a_pattern_has_one_owner(bridge, web):
    own(bridge, web)
    with pytest.raises(libbridge.AlreadyThere):
        own(bridge, web)
