"""Webhooks: what is published is sent to a URL, in order, tried again, signed, and never without bounds."""
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time
from urllib.parse import quote

import pytest

pytest.importorskip("libbridge.testing")
import libbridge  # noqa: E402

from peers.certificates import Authority  # noqa: E402
from peers.http import Http  # noqa: E402
from peers.process import PATIENCE  # noqa: E402
from peers.served import bridge  # noqa: E402, F401
from peers.web import Web  # noqa: E402


@pytest.fixture
def web():
    with Web() as server:
        yield server


def wait_for(seen):
    end = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.01)


def stat(bridge, name):
    return sum(value for key, value in bridge.stats().items() if key.partition("{")[0] == f"bridge_http_hook_{name}")


def hook(bridge, web, path="/hook", **options):
    options.setdefault("backoff", "20ms")
    bridge.connect(f"{web.url}{path}?" + "&".join(f"{key}={quote(str(value), safe='{}/.+#,')}" for key, value in options.items()))


def test_a_message_becomes_a_post(bridge, web):
    hook(bridge, web, watch="alarms/#")

    bridge.publish("alarms/küche/smoke", b"\x01\x02", format="image/png", origin="modbus:plc-1")
    asked = web.asked()

    assert (asked.method, asked.target, asked.body) == ("POST", "/hook", b"\x01\x02")
    assert asked["content-type"] == "image/png"
    assert asked["bridge-path"] == "alarms/k%C3%BCche/smoke"
    assert int(asked["bridge-version"], 16) > 0 and int(asked["bridge-time"]) > 1.6e12 and asked["bridge-origin"] == "modbus:plc-1"
    assert asked["bridge-delivery"] and not asked["bridge-attempt"] and not asked["bridge-signature"]


def test_the_url_is_made_of_the_path(bridge, web):
    hook(bridge, web, "/rooms/{room}/x", watch="home/{room}/{rest...}", query="what={rest}&all={path}")

    bridge.publish("home/a b&c/lamp/1", "on")

    assert web.asked().target == "/rooms/a%20b%26c/x?what=lamp/1&all=home/a%20b%26c/lamp/1"


def test_put_says_removals_as_delete(bridge, web):
    hook(bridge, web, "/{path...}", watch="state/{path...}", method="PUT")

    bridge.publish("state/door", "open", retain=True)
    bridge.delete("state/door")

    assert [(a.method, a.target, a.body) for a in (web.asked(), web.asked())] == [("PUT", "/door", b"open"), ("DELETE", "/door", b"")]


def test_as_json_event_and_in_another_format(bridge, web):
    hook(bridge, web, "/event", watch="t", event="yes")
    hook(bridge, web, "/cbor", watch="t", format="cbor")

    bridge.publish("t", "21.5")
    asked = {a.target: a for a in (web.asked(), web.asked())}

    event = json.loads(asked["/event"].body)
    assert (event["path"], event["value"]) == ("t", 21.5)
    assert asked["/cbor"]["content-type"] == "application/cbor" and asked["/cbor"].body[:1] in (b"\xf9", b"\xfb", b"\xc4")


def test_the_signature_is_of_time_and_body(bridge, web, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("tops3cret\n")
    hook(bridge, web, watch="t", secret_file=secret)

    bridge.publish("t", "21.5")
    asked = web.asked()
    parts = dict(part.split("=") for part in asked["bridge-signature"].split(","))

    assert parts["v1"] == hmac.new(b"tops3cret", parts["t"].encode() + b"." + asked.body, hashlib.sha256).hexdigest()


def test_what_is_there_is_sent_when_asked_for(bridge, web):
    bridge.put("t/1", "kept")  # has its outcome: it is there before the hook
    hook(bridge, web, watch="t/+", retained="yes")

    asked = web.asked()

    assert (asked.body, asked["bridge-event"]) == (b"kept", "retained")


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_it_is_tried_again_and_in_order(bridge, web, status):
    answers = {"first": [status, status, 200], "second": [200]}
    web.answer = lambda asked: answers[asked.body.decode()].pop(0)
    hook(bridge, web, watch="t")

    bridge.publish("t", "first")
    bridge.publish("t", "second")
    asked = [web.asked() for _ in range(4)]

    assert [a.body for a in asked] == [b"first"] * 3 + [b"second"]
    assert [a["bridge-attempt"] for a in asked] == [None, "2", "3", None]
    assert len({a["bridge-delivery"] for a in asked[:3]}) == 1 and asked[3]["bridge-delivery"] != asked[0]["bridge-delivery"]
    wait_for(lambda: stat(bridge, "sent_total") == 2)
    assert stat(bridge, "retries_total") == 2


def test_retry_after_holds_for_all(bridge, web):
    answers = [(503, {"Retry-After": "1"}, ""), 200, 200]
    times = []
    web.answer = lambda asked: times.append(time.monotonic()) or answers.pop(0)
    hook(bridge, web, watch="t/#", inflight=1)

    bridge.publish("t/a", "1")
    web.asked()
    bridge.publish("t/b", "2")
    web.asked(), web.asked()

    assert times[1] - times[0] > 0.9


def test_one_path_does_not_wait_for_another(bridge, web):
    web.answer = lambda asked: 500 if asked.body == b"bad" else 200
    hook(bridge, web, watch="t/#", backoff="60s")

    bridge.publish("t/bad", "bad")
    web.asked()
    bridge.publish("t/good", "good")

    assert web.asked().body == b"good"


def test_a_server_that_comes_later_gets_everything(bridge):
    with Web() as first:
        port = first.port
    bridge.connect(f"http://127.0.0.1:{port}/hook?watch=t/%23&backoff=50ms&retries=1000")
    for n in range(20):
        bridge.publish(f"t/{n % 4}", str(n))
    wait_for(lambda: stat(bridge, "failed_total") > 0)
    heard = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append((self.headers["Bridge-Path"], int(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    wait_for(lambda: len(heard) == 20)
    server.shutdown()
    server.server_close()

    for path in {path for path, _ in heard}:
        numbers = [n for p, n in heard if p == path]
        assert numbers == sorted(numbers) and len(numbers) == 5


def test_what_is_refused_is_given_up_at_once(bridge, web):
    web.answer = lambda asked: {b"wrong": 400, b"elsewhere": 302}.get(asked.body, 200)
    hook(bridge, web, watch="t")

    for word in ("wrong", "elsewhere", "right"):
        bridge.publish("t", word)

    assert [web.asked().body for _ in range(3)] == [b"wrong", b"elsewhere", b"right"]
    wait_for(lambda: stat(bridge, "sent_total") == 1)
    assert stat(bridge, "given_up_total") == 2


def test_it_is_given_up_after_some_tries(bridge, web):
    web.answer = lambda asked: 500 if asked.body == b"bad" else 200
    hook(bridge, web, watch="t", retries=2)

    bridge.publish("t", "bad")
    bridge.publish("t", "good")

    assert [web.asked().body for _ in range(4)] == [b"bad"] * 3 + [b"good"]


def test_410_ends_it(bridge, web):
    web.answer = lambda asked: 410
    hook(bridge, web, watch="t/#")

    bridge.publish("t/a", "1")
    web.asked()
    wait_for(lambda: stat(bridge, "ended") == 1)
    bridge.publish("t/b", "2")

    assert stat(bridge, "waiting") == 0
    assert web.requests.empty()


@pytest.mark.parametrize("drop, left", [("oldest", ["0", "8", "9"]), ("newest", ["0", "1", "2"])])
def test_the_queue_has_an_end(bridge, web, drop, left):
    go = threading.Event()
    arrived = threading.Event()

    def answer(asked):
        arrived.set()
        go.wait(PATIENCE)
        return 200

    web.answer = answer
    hook(bridge, web, watch="t", queue=3, drop=drop, timeout="60s")
    bridge.publish("t", "0")
    assert arrived.wait(PATIENCE)  # it is under way: not to be dropped
    for n in range(1, 10):
        bridge.publish("t", str(n))
    wait_for(lambda: stat(bridge, "dropped_total") == 7)
    go.set()

    assert [web.asked().body.decode() for _ in range(3)] == left


def test_a_token_file_is_read_anew(bridge, web, tmp_path):
    token = tmp_path / "token"
    token.write_text("one\n")
    hook(bridge, web, watch="t", token_file=token)

    bridge.publish("t", "1")
    first = web.asked()
    token.write_text("two\n")
    bridge.publish("t", "2")

    assert (first["authorization"], web.asked()["authorization"]) == ("Bearer one", "Bearer two")


def test_tls_is_verified(bridge, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.sign("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with Web(context=context) as web:
        hook(bridge, web, "/unknown", watch="t")
        hook(bridge, web, "/known", watch="t", ca=authority.file)
        bridge.publish("t", "1")
        assert web.asked().target == "/known"
        wait_for(lambda: stat(bridge, "failed_total") >= 1)


@pytest.mark.parametrize("query, words", [
    ("", "watch=PATTERN"),
    ("watch=a/%23/b", "#"),
    ("watch=t&method=GET", "POST or PUT"),
    ("watch=t&format=nonsense", "no such format"),
    ("watch=t&wacth=u", "did you mean"),
    ("watch=t&inflight=0", "at least one"),
    ("watch=t&backoff=soon", "a time is wanted"),
    ("watch=t&drop=some", "oldest or newest"),
    ("watch=t&secret_file=/nowhere/at/all", "/nowhere"),
    ("watch=t&query={room}", "does not capture"),
])
def test_what_cannot_be_is_said_at_once(bridge, query, words):
    with pytest.raises(libbridge.BridgeError, match=words.replace("#", "[#]")):
        bridge.connect(f"http://127.0.0.1:1/hook?{query}")


# ---- loops

def test_a_hook_that_leads_back_ends(bridge):
    port = bridge.listen("http://127.0.0.1:0/resources").port
    with bridge.subscribe("loop/#") as heard:
        bridge.connect(f"http://127.0.0.1:{port}/resources/loop/a?watch=loop/%23&backoff=20ms")
        bridge.publish("loop/a", "round")
        for _ in range(3):  # itself, and two returns
            assert heard.get(timeout=PATIENCE).payload == b"round"
        wait_for(lambda: stat(bridge, "given_up_total") == 1)

        assert (stat(bridge, "sent_total"), stat(bridge, "retries_total"), stat(bridge, "waiting")) == (2, 0, 0)


def test_two_bridges_that_call_each_other_end(make_bridge):
    one, other = make_bridge(clock=None), make_bridge(clock=None)
    ports = [b.listen("http://127.0.0.1:0/resources").port for b in (one, other)]
    for b, port in ((one, ports[1]), (other, ports[0])):
        b.connect(f"http://127.0.0.1:{port}/resources/?watch=x/%23&backoff=20ms".replace("/resources/?", "/resources/{path}?"))
    one.publish("x/y", "1")

    wait_for(lambda: stat(one, "given_up_total") + stat(other, "given_up_total") == 1)
    assert stat(one, "waiting") + stat(other, "waiting") == 0


def test_a_message_says_where_it_has_been(bridge, web):
    port = bridge.listen("http://127.0.0.1:0/resources").port
    hook(bridge, web, watch="x")
    with Http(port) as http:
        assert http.request("POST", "/resources/x", "1").status in (202, 204)
        own = web.asked()["bridge-via"]
        for said, status in ((own, 204), (f"{own},{own}", 204), (f"{own}, {own} ,{own}", 508), (", ".join(f"m{n}" for n in range(16)), 204),
                             (", ".join(f"m{n}" for n in range(17)), 508), ('"a,b"', 204), (",,", 204), ("x" * 5000, 204)):
            answer = http.request("POST", "/resources/x", "1", Bridge_Via=said)
            assert answer.status == status, (said, answer)
            if status == 204:
                marks = web.asked()["bridge-via"].split(", ")
                assert marks[-1] == own and len(marks) <= 17 and all(len(mark) <= 32 for mark in marks)
        assert http.request("GET", "/resources/x", Bridge_Via=",".join("abcdefghijklmnopqrstuvwxyz")).status == 404  # who reads changes nothing
