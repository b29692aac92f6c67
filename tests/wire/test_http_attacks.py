"""Attacks on the HTTP side, each met by a rule or a limit: what the attacker gets, and that a bystander's request still works."""
import pytest

pytest.importorskip("libbridge.testing")
import libbridge  # noqa: E402

from peers.http import Events, Http, WebSocket  # noqa: E402
from peers.mqtt import Client, publish  # noqa: E402
from peers.web import Web  # noqa: E402

PUT = b"PUT /resources/a HTTP/1.1\r\nHost: t\r\n"
CHUNKS = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
SECOND = b"DELETE /resources/kept HTTP/1.1\r\nHost: t\r\n\r\n"  # what a smuggler would have us read


@pytest.fixture(scope="module")
def shared():
    with libbridge.Bridge() as bridge:
        bridge.put("v", "0123456789")
        bridge.put("kept", "here")
        yield bridge.listen("http://127.0.0.1:0/resources").port


@pytest.fixture
def bystander(shared):
    with Http(shared) as http:
        yield http
        assert http.request("GET", "/resources/kept").text == "here"


# ---- smuggling (RFC 9112 11.2)

@pytest.mark.parametrize("data, status", [
    (PUT + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + SECOND, 400),
    (PUT + b"Content-Length: 3\r\ncontent-length: 3\r\n\r\nabc" + SECOND, 400),
    (PUT + b"Content-Length:\r\n\r\n" + SECOND, 400),
    (PUT + b"Content-Length: -1\r\n\r\n" + SECOND, 400),
    (PUT + b"Content-Length: 1 1\r\n\r\n" + SECOND, 400),
    (PUT + b"Content-Length: \x0b3\r\n\r\nabc" + SECOND, 400),
    (PUT + b"Content-Length : 3\r\n\r\nabc" + SECOND, 400),
    (PUT + b"Content-Length\r\n\r\n" + SECOND, 400),
    (PUT + b"Transfer-Encoding: identity\r\n\r\n" + SECOND, 501),
    (PUT + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SECOND, 501),
    (PUT + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" + SECOND, 501),
    (PUT + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SECOND, 400),
    (PUT + b"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" + SECOND, 501),
    (PUT + b"Transfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n" + SECOND, 400),
    (PUT + b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND, 400),
    (PUT + b"X: y\nContent-Length: 40\r\n\r\n" + SECOND, 400),
    (PUT + b"X: y\rContent-Length: 40\r\n\r\n" + SECOND, 400),
    (b"PUT /resources/a HTTP/1.1\r\n Host: t\r\n\r\n" + SECOND, 400),
    (CHUNKS + b"0x1\r\na\r\n0\r\n\r\n" + SECOND, 400),
    (CHUNKS + b"-1\r\na\r\n0\r\n\r\n" + SECOND, 400),
    (CHUNKS + b"+1\r\na\r\n0\r\n\r\n" + SECOND, 400),
    (CHUNKS + b" 1\r\na\r\n0\r\n\r\n" + SECOND, 400),
    (CHUNKS + b"1\na\n0\n\n" + SECOND, 400),
    (CHUNKS + b"1\r\na\n0\r\n\r\n" + SECOND, 400),
    (CHUNKS + b"1;x\ny\r\na\r\n0\r\n\r\n" + SECOND, 400),
    (CHUNKS + b"1;" + b"x" * 300 + b"\r\na\r\n0\r\n\r\n" + SECOND, 400),
    (CHUNKS + b"0\r\n" + b"T: x\r\n" * 2000 + b"\r\n" + SECOND, 431),
    (CHUNKS + b"0\r\nT: x\n\n" + SECOND, 400),
    (CHUNKS + b"0\r\n\n" + SECOND, 400),
    (CHUNKS + b"ffffffffffffffff\r\n" + SECOND, 413),
    (CHUNKS + b"10000000000000001\r\na\r\n0\r\n\r\n" + SECOND, 413),
], ids=lambda value: str(value)[-70:] if isinstance(value, int) else repr(value.removeprefix(PUT))[:60])
def test_nothing_is_smuggled(shared, bystander, data, status):
    with Http(shared) as rude:
        rude.send(data)
        answer = rude.answer()

        assert (answer.status, answer["connection"], rude.buffer) == (status, "close", b"")


def test_a_chunk_may_have_extensions_and_an_end_may_have_trailers(shared):
    with Http(shared) as http:
        http.send(CHUNKS + b"1;a=b;c=\"d;e\"\r\nx\r\n0;last\r\nContent-Length: 99\r\n\r\n" + b"GET /resources/a HTTP/1.1\r\nHost: t\r\n\r\n")

        assert http.answer().status in (201, 204)
        assert http.answer().text == "x"


# ---- names

@pytest.mark.parametrize("target", [
    "/../../../etc/passwd", "/resources/../../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/resources/..%5c..%5cwindows",
    "//etc/passwd", "/resources//../healthz", "/./healthz", "/healthz/..", "/page.html", "/site/../page.html", "/.git/config", "/api/../metrics", "/static/%00",
])
def test_nothing_is_found_above_the_root(shared, bystander, target):
    with Http(shared) as http:
        answer = http.request("GET", target)

        assert answer.status in (400, 404) and answer["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name, status", [
    ("%", 400), ("%2", 400), ("%2g", 400), ("%u0041", 400), ("%00", 400), ("%c0%80", 400), ("%ed%a0%80", 400), ("%f4%90%80%80", 400), ("%2F", 400), ("%2f..%2f", 400),
    ("%2525", 404), ("%0d%0a", 404), ("%7f", 404), ("%20", 404), ("%25", 404), ("%3f%26", 404), ("%EF%BB%BF", 404),
])
def test_escapes_mean_one_thing(shared, bystander, name, status):
    with Http(shared) as http:
        assert http.request("GET", "/resources/" + name).status == status


@pytest.mark.parametrize("target", ["http://other.example/resources/kept", "HTTP://127.0.0.1/resources/kept"])
def test_a_target_may_be_absolute(shared, target):  # RFC 9112 3.2.2
    with Http(shared) as http:
        assert http.request("GET", target).text == "here"


@pytest.mark.parametrize("target", ["resources/kept", "ftp://x/y", "127.0.0.1:80", "*"])
def test_a_target_that_is_no_path(shared, bystander, target):
    with Http(shared) as http:
        assert http.request("GET", target).status in (400, 404)


# ---- header lines

EVIL = "x\r\nX-Evil: 1\r\n\r\n<script>"


def test_no_name_and_no_value_ends_a_header_line(make_bridge):
    bridge = make_bridge(clock=None)
    port, mqtt_port = bridge.listen("http://127.0.0.1:0/resources").port, bridge.listen("mqtt://127.0.0.1:0").port
    with Web() as web, Client(mqtt_port, version=5) as mqtt:
        bridge.connect(f"{web.url}/hook?watch=%23")
        mqtt.connect("evil")
        mqtt.send(publish("t/" + EVIL, b"1", 1, 1, True, props=[("content_type", "text/" + EVIL), ("user", ("traceparent", EVIL)),
                                                                ("user", ("bridge-via", EVIL))], version=5))
        sent = web.asked()
        assert "x-evil" not in sent.headers and sent.body == b"1" and "traceparent" not in sent.headers

        with Http(port) as http:
            listed = http.request("GET", "/resources/t/")
            assert listed.json == ["x\r\nX-Evil: 1\r\n\r\n<script>"]
            target = "/resources/t/x%0D%0AX-Evil%3A%201%0D%0A%0D%0A%3Cscript%3E"
            for method, body in (("GET", None), ("HEAD", None), ("PUT", "2"), ("DELETE", None), ("PUT", "3")):
                answer = http.request(method, target, body)
                assert answer.status < 300 and answer["x-evil"] is None
            assert answer["location"] == target.replace("%3A", ":") or answer["location"] == target
            assert http.request("GET", "/resources/%23", Accept="application/link-format")["x-evil"] is None
            with Events(port, target) as events:
                assert events.head_said["x-evil"] is None and events.next().data == "3"


@pytest.mark.parametrize("name", ["If-None-Match", "If-Match", "If-Range", "Range", "Accept", "Last-Event-ID", "Prefer", "Origin", "Cache-Control", "If-Modified-Since",
                                  "Content-Type", "Traceparent", "Bridge-Via", "Authorization", "Sec-WebSocket-Key"])
@pytest.mark.parametrize("value", ["", ",", ",,,,,,", '"', '"""', "\\", '"\\', "W/", "*" * 500, ";" * 500, "q=", ";q=1e9", "a/b;q=-1", "bytes=", "\xff\xfe", "%0d%0a", "a" * 8000,
                                   "1" * 400, "-1", "wait=" + "9" * 30, "max-age=" + "9" * 30], ids=lambda value: ascii(value)[:20])
def test_no_field_has_a_value_that_hurts(shared, bystander, name, value):
    with Http(shared) as http:
        for method, body in (("GET", None), ("POST", "x")):
            http.send(f"{method} /resources/v HTTP/1.1\r\nHost: t\r\n{name}: ".encode() + value.encode("latin-1") +
                      (b"\r\n\r\n" if body is None else b"\r\nContent-Length: 1\r\n\r\nx"))
            answer = http.answer()
            assert answer.status in (200, 202, 204, 206, 304, 400, 401, 406, 412, 415, 416), answer
            if answer.status == 400 and answer["connection"] == "close":
                return


# ---- ranges

@pytest.mark.parametrize("value, status, body", [
    ("bytes=0-", 200, None), ("bytes=0-0", 206, "0"), ("bytes=-0", 416, None), ("bytes=-99999999999999999999", 200, None), ("bytes=99999999999999999999-", 200, None),
    ("bytes=0-99999999999999999999", 200, None), ("bytes=5-4", 200, None), ("bytes=a-b", 200, None), ("bytes=--1", 200, None), ("bytes=0-0-0", 200, None),
    ("lines=0-1", 200, None), ("bytes=" + "0-," * 2000 + "0-", 200, None), ("bytes=" + ",".join(f"{n}-{n}" for n in range(10)), 200, None),
    ("bytes=18446744073709551615-18446744073709551615", 200, None), ("bytes=0-1,0-1,0-1,0-1,0-1,0-1", 200, None), ("bytes=9-", 206, "9"), ("bytes=10-", 416, None),
], ids=lambda value: str(value)[:30])
def test_ranges_cost_no_more_than_the_value(shared, bystander, value, status, body):  # RFC 9110 14.2, 17.15
    with Http(shared) as http:
        answer = http.request("GET", "/resources/v", Range=value)

        assert answer.status == status or (status == 200 and answer.status == 206 and len(answer.body) <= 10), answer
        assert body is None or answer.text == body


# ---- what lasts

@pytest.mark.parametrize("number", ["zz", "-1", "1e99", "ffffffffffffffffffffffff", "0", "", "\xff", "x" * 5000], ids=lambda value: ascii(value)[:20])
def test_an_event_id_that_is_none(shared, bystander, number):
    with Http(shared) as http:
        http.send(b"GET /resources/v HTTP/1.1\r\nHost: t\r\nAccept: text/event-stream\r\nLast-Event-ID: " + number.encode("latin-1") + b"\r\n\r\n")
        answer = http.head()

        assert (answer.status, answer["content-type"]) == (200, "text/event-stream")


def test_a_flood_of_long_polls_holds_nobody(shared, bystander):
    polls = [Http(shared) for _ in range(100)]
    for n, http in enumerate(polls):
        for _ in range(10):  # the others wait their turn
            http.ask("GET", f"/resources/flood/{n % 5}", headers={"Prefer": f"wait={10 ** (n % 9 + 2)}"})
    for name in range(5):
        assert bystander.request("PUT", f"/resources/flood/{name}", "x").status == 201
    for http in polls:
        assert [http.answer().status for _ in range(10)] == [200] * 10
        http.close()


def test_too_many_connections_are_told_so(make_bridge):
    port = make_bridge().listen("http://127.0.0.1:0/resources?max_connections=3").port
    inside = [Http(port) for _ in range(3)]
    for http in inside:
        assert http.request("GET", "/healthz").status == 200
    with Http(port) as late:
        answer = late.answer()
        assert (answer.status, answer["retry-after"], answer["connection"]) == (503, "5", "close") and late.is_closed()
    for http in inside:
        assert http.request("GET", "/healthz").status == 200
        http.close()


# ---- JSON on WebSocket

@pytest.mark.parametrize("text", [
    "[" * 100000, '{"id":' + "[" * 5000 + "]" * 5000 + ',"get":"v"}', '{"get":"v","get":"v"}', '{"get":"v","put":"v","value":1}', '{"id":{"a":1},"get":"v"}', '{"id":1e999,"get":"v"}',
    '{"get":"\\ud800"}', '{"get":"' + "a/" * 40000 + '"}', '{"put":"w","value":1,"ttl":-1}', '{"put":"w","value":1,"ttl":1e300}', '{"put":"w","value":1,"ttl":"x"}',
    '{"subscribe":""}', '{"subscribe":null}', '{"unsubscribe":"never"}', '{"put":"$SYS/x","value":1}', '{"put":"w","base64":"!"}', '{"put":"w","format":"\\r\\nX: y","value":1}',
    '\\xff', '{"get":"v"}{"get":"v"}', 'null', '{"id":"' + "i" * 60000 + '","get":"v"}',
], ids=lambda text: text[:40])
def test_no_message_hurts(shared, bystander, text):
    with WebSocket(shared) as ws:
        ws.frame(ws.TEXT, text)
        opcode, _ = ws.read()

        assert opcode in (ws.TEXT, ws.CLOSE)


def test_subscriptions_of_one_websocket_have_an_end(shared, bystander):
    with WebSocket(shared) as ws:
        for n in range(300):
            ws.say(id=n, subscribe=f"many/{n}")
        said = [ws.hear()["status"] for _ in range(300)]

        assert said == [200] * 256 + [429] * 44
