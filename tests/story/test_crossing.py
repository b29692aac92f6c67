"""One message, three protocols: what is said over one is the same over the others, and back."""
import base64
from urllib.parse import quote

import pytest

from peers import coap
from peers.coap import CONTENT_FORMAT, MAX_AGE, OBSERVE, Socket, uint
from peers.http import Events, Http, Tunnel
from peers.mqtt import Client
from peers.tools import coap_get, coap_observe, coap_put, curl

WAYS = ("mqtt", "http", "coap")


class All:
    """A client of each protocol at one bridge: the same words over each of them."""

    def __init__(self, port):
        self.port = port
        self.mqtt = Client(port("mqtt"), 5).connect("all")
        self.http = Http(port("http"))
        self.coap = Socket(port("coap"))

    def put(self, way, path, body):
        if way == "mqtt":
            assert self.mqtt.publish(path, body, qos=1, retain=True).reason in (0, 0x10)
        elif way == "http":
            assert self.http.request("PUT", self.target(path), body).status in (201, 204)
        else:
            put = self.coap.put if len(body) <= 1024 else self.coap.put_all
            assert put("r/" + path, body).says in ("2.01", "2.04")

    def get(self, way, path):
        if way == "mqtt":
            with Client(self.port("mqtt"), 5).connect("reader") as c:
                c.subscribe(path)
                c.ping()
                return c.message().payload if c.kept else None
        if way == "http":
            answer = self.http.request("GET", self.target(path))
            assert answer.status in (200, 404)
            return answer.body if answer.status == 200 else None
        answer = self.coap.get("r/" + path)
        if answer.says == "4.04":
            return None
        assert answer.says == "2.05"
        more = answer.block(coap.BLOCK2)
        return self.coap.get_all("r/" + path) if more and more[1] else answer.payload

    def remove(self, way, path):
        if way == "mqtt":
            self.mqtt.publish(path, b"", qos=1, retain=True)
        elif way == "http":
            assert self.http.request("DELETE", self.target(path)).status == 204
        else:
            assert self.coap.delete("r/" + path).says == "2.02"

    @staticmethod
    def target(path):
        escaped = {".": "%2E", "..": "%2E%2E"}
        return "/resources/" + "/".join(escaped.get(s) or quote(s, safe="") for s in path.split("/"))

    def close(self):
        for client in (self.mqtt.socket, self.http, self.coap):
            client.close()


@pytest.fixture
def all_of_them(bridged):
    clients = All(bridged.port)
    yield clients
    clients.close()


# ---- what the project is for

def test_a_coap_put_is_heard_on_mqtt_seen_in_a_browser_and_read_later(bridged, mosquitto):
    heard = mosquitto.subscribe("home/+/temperature")
    with Events(bridged.port("http"), "/resources/home/kitchen/temperature") as seen:
        coap_put(bridged.url("coap") + "/home/kitchen/temperature", "21.5")

        assert heard.line() == "home/kitchen/temperature 21.5"
        assert seen.next().data == "21.5"
    assert curl(bridged.url("http") + "/home/kitchen/temperature") == (200, b"21.5")


# ---- Ponte's README

def test_what_is_put_over_http_is_a_retained_message(bridged, mosquitto):
    assert curl("-X", "PUT", "-d", "world", bridged.url("http") + "/hello")[0] == 201

    assert mosquitto.subscribe("hello").line() == "hello world"
    assert coap_get(bridged.url("coap") + "/hello").strip() == b"world"


def test_only_what_is_retained_is_read_afterwards(bridged, mosquitto):
    mosquitto.publish("passing", "x", "-q", "1")
    mosquitto.publish("staying", "y", "-q", "1", "-r")

    assert curl(bridged.url("http") + "/passing")[0] == 404
    assert curl(bridged.url("http") + "/staying") == (200, b"y")
    with Socket(bridged.port("coap")) as client:
        assert client.get("r/passing").says == "4.04"


def test_an_observer_hears_all_the_others(bridged, mosquitto):
    coap_put(bridged.url("coap") + "/lamp", "one\n")
    with coap_observe(bridged.url("coap") + "/lamp") as observer:
        assert observer.line() == "one"
        mosquitto.publish("lamp", "two\n", "-r")
        assert observer.line() == "two"
        curl("-X", "PUT", "-d", "three\n", bridged.url("http") + "/lamp")
        assert observer.line() == "three"


def test_mqtt_over_websocket_is_the_same_mqtt(bridged, all_of_them):
    with Client(0, 5, sock=Tunnel(bridged.port("http"))).connect("browser") as browser:
        browser.subscribe("a")
        for way in WAYS:
            all_of_them.put(way, "a", way)
            assert browser.message().payload == way.encode()
        browser.publish("a", "browser", qos=1, retain=True)
    assert [all_of_them.get(way, "a") for way in WAYS] == [b"browser"] * 3


# ---- the same bytes under the same name

@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [1, 256, 1024, 1025, 40000, 1024 * 1024])
def test_bytes_are_the_same_everywhere(all_of_them, way, size):
    body = (bytes(range(256)) * (size // 256 + 1))[:size]

    all_of_them.put(way, "bytes", body)

    for other in WAYS:
        assert all_of_them.get(other, "bytes") == body, other


NAMES = ["/a", "a/", "/", "//", "a//b", "a b", " ", "100%", "%2F", "a?b=c", "a&b", "k\u00fcche/\U0001f4a1", ".", "a/../b", "{x}",
         "path:x", "coap:x/y", "\\", "a\"b", "\u200b", "\ue000", "x" * 255, "/".join(["x" * 255] * 100), "/".join("s" * 200)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES, ids=lambda n: ascii(n[:20]))
def test_a_name_is_the_same_everywhere(all_of_them, way, name):
    if len(name) > 20000 and way == "coap":
        pytest.skip("a datagram and its options end before")
    all_of_them.put(way, name, b"here")

    for other in WAYS:
        if len(name) <= 20000 or other != "coap":
            assert all_of_them.get(other, name) == b"here", other
    assert list(all_of_them.http.request("GET", "/resources/%23").json) == [name]


def test_the_longest_name_there_is(all_of_them):
    name = "\u00fc" * 32767

    all_of_them.put("mqtt", name, b"1")
    assert all_of_them.get("http", name) == b"1"
    all_of_them.put("http", name, b"2")
    assert all_of_them.get("mqtt", name) == b"2"
    all_of_them.remove("http", name)
    assert all_of_them.get("mqtt", name) is None


# ---- the end of a value

@pytest.mark.parametrize("way", WAYS)
def test_what_is_removed_is_gone_for_all(all_of_them, way):
    it = all_of_them
    it.put("http", "a", b"1")
    it.mqtt.subscribe("a")
    assert it.mqtt.message().payload == b"1"
    with Events(it.port("http"), "/resources/a") as events, Socket(it.port("coap")) as observer:
        assert events.next().data == "1"
        first, _ = observer.observe("r/a")
        assert first.option(OBSERVE) is not None

        it.remove(way, "a")

        assert events.next().event == "gone"
        assert observer.hear().says == "4.04"
        last = it.mqtt.message()
        assert (last.topic, last.payload) == ("a", b"")
    assert [it.get(other, "a") for other in WAYS] == [None] * 3


# ---- order

def test_one_order_for_all_who_watch(all_of_them):
    it = all_of_them
    it.mqtt.subscribe(("n", 1))
    with Events(it.port("http"), "/resources/n") as events:
        for n in range(90):
            it.put(WAYS[n % 3], "n", str(n).encode())
        assert [it.mqtt.message().payload for _ in range(90)] == [str(n).encode() for n in range(90)]
        assert [events.next().data for _ in range(90)] == [str(n) for n in range(90)]


# ---- properties

def test_the_format_of_a_value_crosses(all_of_them):
    it = all_of_them
    it.mqtt.publish("f", '{"a":1}', qos=1, retain=True, props={"content_type": "application/json", "message_expiry": 1000})

    answer = it.coap.get("r/f")
    assert answer.uint(CONTENT_FORMAT) == 50 and 990 <= answer.uint(MAX_AGE) <= 1000
    answer = it.http.request("GET", "/resources/f")
    assert answer["content-type"] == "application/json" and answer["cache-control"].startswith("max-age=")


@pytest.mark.parametrize("way", ["http", "coap"])
def test_the_format_of_a_value_comes_to_mqtt(all_of_them, way):
    it = all_of_them
    it.mqtt.subscribe("f")
    if way == "http":
        it.http.request("PUT", "/resources/f", b"\xa0", Content_Type="application/cbor", Cache_Control="max-age=1000")
    else:
        it.coap.put("r/f", b"\xa0", options=[(CONTENT_FORMAT, uint(60)), (MAX_AGE, uint(1000))])

    heard = it.mqtt.message()
    assert heard.payload == b"\xa0" and heard.props["content_type"] == "application/cbor"
    if way == "http":
        assert 990 <= heard.props["message_expiry"] <= 1000


def test_bytes_in_an_event_stream(all_of_them):
    it = all_of_them
    body = bytes(range(256))
    with Events(it.port("http"), "/resources/+") as events:
        it.put("coap", "b", body)
        said = events.next().json
        assert said["path"] == "b" and base64.b64decode(said["base64"]) == body
