"""A wildcard read of many values goes out in slices: nobody waits for it, and it waits for its reader."""
import json

import pytest

from peers.http import Events, Http, WebSocket
from peers.process import PATIENCE, run
from peers.tools import need

COUNT = 20000


@pytest.fixture
def port(start_bridged):
    port = start_bridged("http://127.0.0.1:0/resources").port("http")
    with Http(port) as http:  # pipelined: one write, all the answers
        for first in range(0, COUNT, 1000):
            http.send("".join(f"PUT /resources/many/{n:06} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 102\r\n\r\n"
                              f'"{n:0100}"' for n in range(first, first + 1000)))
            for _ in range(1000):
                assert http.answer().status == 201
    return port


def is_all(values):
    return len(values) == COUNT and all(values[f"many/{n:06}"] == f"{n:0100}" for n in range(COUNT))


def test_much_is_chunked_and_all_there(port):
    with Http(port) as http:
        answer = http.request("GET", "/resources/many/%2B")
        assert answer["transfer-encoding"] == "chunked" and answer["content-length"] is None
        assert answer["content-type"] == "application/json" and is_all(answer.json)
        links = http.request("GET", "/resources/many/%2B", headers={"Accept": "application/link-format"})  # the connection goes on
        assert links["transfer-encoding"] == "chunked" and links.text.count("</resources/many/") == COUNT
        assert http.request("HEAD", "/resources/many/%2B").body == b""
        little = http.request("GET", "/resources/many/00000%2B")
        assert little.status == 400
        assert http.request("GET", "/resources/many/000007/%23").json == {"many/000007": f"{7:0100}"}


def test_packs_and_listings_go_out_in_slices_too(port):
    with Http(port) as http:
        pack = http.request("GET", "/resources/many/%2B", headers={"Accept": "application/senml+json"})
        assert pack["transfer-encoding"] == "chunked" and pack["content-type"] == "application/senml+json"
        assert pack.json[0]["bver"] == 26 and is_all({record["n"]: record["vs"] for record in pack.json})
        cbor = http.request("GET", "/resources/many/%2B", headers={"Accept": "application/senml+cbor"})
        assert cbor["transfer-encoding"] == "chunked" and cbor.body[:1] == b"\x9f" and cbor.body[-1:] == b"\xff"
        assert cbor.body.count(b"many/") == COUNT
        names = http.request("GET", "/resources/many/")
        assert names["transfer-encoding"] == "chunked" and sorted(names.json) == [f"{n:06}" for n in range(COUNT)]
        assert http.request("GET", "/resources/none/").status == 404


def test_names_that_routes_give_come_in_slices(start_bridged, tmp_path):
    (tmp_path / "b.json").write_text(json.dumps({"listen": ["http://127.0.0.1:0/resources"], "routes": [{"source": "http:n/{x}", "target": "many/{x}"}]}))
    with Http(start_bridged(options=["--config", "b.json"], listeners=1).port("http")) as http:
        count = 3000
        http.send("".join(f"PUT /resources/many/{n} HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nv" for n in range(count)))
        assert [http.answer().status for _ in range(count)] == [201] * count
        http.request("PUT", "/resources/other", "x")
        answer = http.request("GET", "/resources/%23")
        assert answer["transfer-encoding"] == "chunked" and answer.json == {**{f"n/{n}": "v" for n in range(count)}, "other": "x"}
        assert set(http.request("GET", "/resources/n/%2B").json) == {f"n/{n}" for n in range(count)}
        assert len(http.request("GET", "/resources/many/%2B").json) == count  # a path goes on to work


def test_who_does_not_read_holds_nobody_up(port):
    with Http(port) as slow, Http(port) as other:
        slow.ask("GET", "/resources/many/%2B")
        slow.ask("GET", "/healthz")  # pipelined behind it
        head = slow.head()
        assert head["transfer-encoding"] == "chunked"
        assert other.request("GET", "/healthz").status == 200
        assert other.request("DELETE", f"/resources/many/{COUNT - 1:06}").status == 204  # the tree changes under the walk
        values = json.loads(slow.chunked())
        assert COUNT - 1 <= len(values) <= COUNT
        assert slow.answer().text == "ok\n"


def test_a_watcher_gets_all_that_is_kept(port):
    """More than may wait for one: what is kept comes as fast as it is read, and what is said meanwhile, too."""
    with Events(port, "/resources/%23?observe&about") as events, WebSocket(port, "/", "bridge.json") as talk, Http(port) as http:
        talk.say(id=1, subscribe="many/#")
        assert http.request("PUT", "/resources/many/last", "x").status == 201
        told = {}
        while len(told) <= COUNT:
            event = events.next().json
            assert event["path"] not in told
            told[event["path"]] = event.get("value")
        assert told.pop("many/last") == "x" and is_all(told)
        heard = set()
        while len(heard) <= COUNT:
            said = talk.hear()
            assert "lost" not in said
            if "path" in said:
                heard.add(said["path"])


def test_who_leaves_in_the_middle_leaves_nothing(port):
    for _ in range(3):
        with Http(port) as http:
            http.ask("GET", "/resources/%23")
            http.head()
    with Http(port) as http:
        assert http.request("GET", "/healthz").status == 200


def test_in_old_http_the_end_is_the_end(port):
    with Http(port) as http:
        http.send("GET /resources/many/%2B HTTP/1.0\r\nHost: t\r\n\r\n")
        head = http.head()
        assert head["transfer-encoding"] is None and head["content-length"] is None
        with pytest.raises(EOFError):
            while True:
                http.more()
        assert is_all(json.loads(http.buffer))


def test_http2_has_the_same(port):
    out = run(need("curl"), "-s", "--http2-prior-knowledge", "--max-time", str(PATIENCE), f"http://127.0.0.1:{port}/resources/many/%2B")
    assert is_all(json.loads(out.stdout))
