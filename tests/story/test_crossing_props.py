"""What a message has besides its payload, over one protocol and back over another (docs/mapping.md 2 and 8)."""
import pytest

from peers.coap import CONTENT_FORMAT, MAX_AGE, Socket, uint
from peers.http import Events, Http
from peers.mqtt import Client

PROPS = [("payload_format", 1), ("message_expiry", 1000), ("content_type", "application/json"), ("response_topic", "answers/here"),
         ("correlation", b"\0\xff7"), ("user", ("b", "2")), ("user", ("a", "1")), ("user", ("b", "again"))]


@pytest.fixture
def port(bridged):
    return bridged.port


@pytest.fixture
def mqtt(port):
    with Client(port("mqtt"), 5).connect("all") as c:
        yield c


def kept(mqtt, path):
    """The kept value as a new subscriber gets it."""
    mqtt.subscribe((path, 2))
    message = mqtt.message()
    mqtt.unsubscribe(path)
    return message


def test_mqtt_to_everybody(port, mqtt):
    mqtt.publish("v/json", b'{"x":1}', qos=1, retain=True, props=PROPS)

    back = kept(mqtt, "v/json").props
    assert 990 <= back.pop("message_expiry") <= 1000
    assert back == {"payload_format": 1, "content_type": "application/json", "response_topic": "answers/here",
                    "correlation": b"\0\xff7", "user": [("b", "2"), ("a", "1"), ("b", "again")]}
    with Http(port("http")) as http:
        got = http.request("GET", "/resources/v/json")
        assert (got.status, got["content-type"]) == (200, "application/json")
        assert 990 <= int(got["cache-control"].partition("max-age=")[2]) <= 1000
    with Socket(port("coap")) as coap:
        got = coap.get("r/v/json")
        assert int.from_bytes(got.option(CONTENT_FORMAT) or b"", "big") == 50
        assert 990 <= int.from_bytes(got.option(MAX_AGE), "big") <= 1000


def test_http_to_mqtt_and_coap(port, mqtt):
    with Http(port("http")) as http, Socket(port("coap")) as coap:
        assert http.request("PUT", "/resources/v/cbor", b"\xa1\x01\x02",
                            {"content-type": "application/cbor", "cache-control": "max-age=500",
                             "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}).status == 201

        message = kept(mqtt, "v/cbor")
        assert message.payload == b"\xa1\x01\x02" and message.props["content_type"] == "application/cbor"
        assert 490 <= message.props["message_expiry"] <= 500 and "payload_format" not in message.props
        assert ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") in message.props["user"]
        got = coap.get("r/v/cbor")
        assert int.from_bytes(got.option(CONTENT_FORMAT), "big") == 60
        assert 490 <= int.from_bytes(got.option(MAX_AGE), "big") <= 500


def test_coap_to_mqtt_and_http(port, mqtt):
    with Http(port("http")) as http, Socket(port("coap")) as coap:
        assert coap.put("r/v/senml", b'[{"n":"x","v":1}]', options=[(CONTENT_FORMAT, uint(110)), (MAX_AGE, uint(300))]).says == "2.01"

        message = kept(mqtt, "v/senml")
        assert message.props["content_type"] == "application/senml+json" and message.props["payload_format"] == 1
        got = http.request("GET", "/resources/v/senml")
        assert got["content-type"] == "application/senml+json" and got.body == b'[{"n":"x","v":1}]'


def test_a_type_that_nobody_registered_goes_round(port, mqtt):
    with Http(port("http")) as http:
        assert http.request("PUT", "/resources/v/png", b"\x89PNG", {"content-type": "image/x-own; q=1"}).status == 201
        assert kept(mqtt, "v/png").props["content_type"] == "image/x-own; q=1"
        mqtt.publish("v/own", b"x", qos=1, retain=True, props=[("content_type", "application/x.Own")])
        assert http.request("GET", "/resources/v/own")["content-type"].lower() == "application/x.own"
        assert kept(mqtt, "v/own").props["content_type"] == "application/x.Own"


def test_an_event_has_them_as_a_kept_value_has(port, mqtt):
    with Client(port("mqtt"), 5).connect("listener") as listener, Events(port("http"), "/resources/e/x") as events:
        listener.subscribe(("e/x", 1))
        mqtt.publish("e/x", b"text", qos=1, props=PROPS[:3] + PROPS[4:])
        message = listener.message()
        assert message.props["user"] == [("b", "2"), ("a", "1"), ("b", "again")] and message.props["correlation"] == b"\0\xff7"
        assert events.next().data is not None


def test_a_value_that_runs_out_is_gone_everywhere(make_bridge):
    bridge = make_bridge("mqtt://127.0.0.1:0", "http://127.0.0.1:0", "coap://127.0.0.1:0/r")
    with Client(bridge.port("mqtt"), 5).connect("w") as w:
        w.publish("short", b"1", qos=1, retain=True, props={"message_expiry": 60})
        bridge.clock.advance(seconds=20)
        assert kept(w, "short").props["message_expiry"] in (39, 40)
        with Http(bridge.port("http")) as http:
            assert http.request("GET", "/resources/short")["cache-control"] in ("max-age=40", "max-age=39")
        bridge.clock.advance(seconds=41)
        with Http(bridge.port("http")) as http, Socket(bridge.port("coap")) as coap:
            assert http.request("GET", "/resources/short").status == 404
            assert coap.get("r/short").says == "4.04"
        w.subscribe("short")
        w.nothing()
