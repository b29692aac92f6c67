"""MQTT over WebSocket on the port of HTTP."""
import threading

import pytest

from peers.http import Events, Http, Tunnel, WebSocket
from peers.mqtt import PUBLISH, Client, publish
from peers.process import PATIENCE


@pytest.fixture
def both(start_bridged):
    return start_bridged("http://127.0.0.1:0/resources", "mqtt://127.0.0.1:0")


def client(port, version=4, **options):
    return Client(port, version, sock=Tunnel(port, **options))


@pytest.mark.parametrize("version, protocol", [(3, "mqttv3.1"), (4, "mqtt"), (5, "mqtt")])
@pytest.mark.parametrize("target", ["/mqtt", "/", "/any/where"])
def test_mqtt_is_spoken_at_any_target(both, version, protocol, target):
    port = both.port("http")
    inside = client(port, version, target=target, protocol=protocol)
    inside.connect("ws")
    inside.subscribe(("a/+", 1))
    with Http(port) as http:
        http.request("PUT", "/resources/a/b", "hello")

    heard = inside.expect(PUBLISH)

    assert (heard.topic, heard.payload) == ("a/b", b"hello")


def test_packets_may_be_cut_and_glued_in_any_way(both):  # MQTT 5.0 6.0
    port = both.port("http")
    cut, plain = client(port, cut=1), client(port)
    cut.connect("cut")
    plain.connect("plain")
    plain.subscribe(("a", 0))

    cut.send(b"".join(publish("a", f"{i}".encode()) for i in range(50)))

    assert [plain.expect(PUBLISH).payload for _ in range(50)] == [f"{i}".encode() for i in range(50)]


def test_a_large_message_crosses(both):
    port = both.port("http")
    inside = client(port)
    inside.connect("ws")
    inside.subscribe(("big", 0))
    data = bytes(range(256)) * 3900
    with Http(port) as http:
        http.request("PUT", "/resources/big", data)
        assert inside.expect(PUBLISH).payload == data
        inside.send(publish("big", data[::-1], retain=True))
        assert inside.expect(PUBLISH).payload == data[::-1]
        assert http.request("GET", "/resources/big").body == data[::-1]


def test_a_will_is_told_when_the_websocket_breaks(both):
    port = both.port("http")
    with Events(port, "/resources/will") as events:
        inside = client(port)
        inside.connect("ws", will=("will", b"gone", 0, False))
        inside.drop()

        assert events.next().data == "gone"


def test_text_frames_are_refused(both):  # MQTT 5.0 [MQTT-6.0.0-1]
    with WebSocket(both.port("http"), "/mqtt", "mqtt") as ws:
        ws.frame(ws.TEXT, "hello")
        opcode, payload = ws.read()
        assert (opcode, payload[:2]) == (ws.CLOSE, b"\x03\xeb")


def test_garbage_inside_closes_only_that_one(both):
    port = both.port("http")
    fine = client(port)
    fine.connect("fine")
    with WebSocket(port, "/mqtt", "mqtt") as ws:
        ws.frame(ws.BINARY, b"\xff" * 100)
        assert ws.is_closed()
    fine.subscribe(("a", 0))


def test_bridged_ends_although_a_websocket_is_open(start_bridged):
    program = start_bridged("http://127.0.0.1:0/resources", "mqtt://127.0.0.1:0")
    inside = client(program.port("http"))
    inside.connect("ws")
    with WebSocket(program.port("http")), Events(program.port("http"), "/resources/a"):
        assert program.stop() == 0


def test_a_listener_for_websockets_only(start_bridged):
    program = start_bridged("mqtt+ws://127.0.0.1:0/mqtt", "mqtt://127.0.0.1:0")
    port = program.port("mqtt+ws")
    inside = client(port)
    inside.connect("ws")
    with Http(port) as http:
        assert http.request("GET", "/resources/a").status == 426


def test_paho_over_websockets(both):
    paho = pytest.importorskip("paho.mqtt.client")
    heard, ready = [], threading.Event()
    mine = paho.Client(client_id="paho", transport="websockets")
    mine.ws_set_options(path="/mqtt")
    mine.on_connect = lambda c, *_: c.subscribe("home/#", 1)
    mine.on_subscribe = lambda *_: ready.set()
    got = threading.Event()
    mine.on_message = lambda c, u, m: (heard.append((m.topic, m.payload)), got.set())
    mine.connect("127.0.0.1", both.port("http"))
    mine.loop_start()
    try:
        assert ready.wait(PATIENCE)
        with Http(both.port("http")) as http:
            http.request("PUT", "/resources/home/lamp", "on")
        assert got.wait(PATIENCE)
    finally:
        mine.disconnect()
        mine.loop_stop()
    assert heard == [("home/lamp", b"on")]
