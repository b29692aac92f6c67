"""CoAP over WebSocket (RFC 8323 4): at an HTTP listener, subprotocol coap."""
import itertools

import pytest

from peers import coap
from peers.coap import BLOCK_WISE, CSM, MAX_MESSAGE_SIZE, Message, Stream, encode_options, uint
from peers.http import WebSocket


class Web(Stream):
    """What Stream does with frames it does with WebSocket messages: Len is 0."""

    def __init__(self, port, target="/.well-known/coap", hello=True):
        self.ws = WebSocket(port, target, "coap")
        assert self.ws.said.status == 101 and self.ws.said["sec-websocket-protocol"] == "coap"
        self.aside, self._ids, self._tokens = [], itertools.count(0), itertools.count(7)
        self.csm = self.hear_new()
        if hello:
            self.send(Message(code=CSM, options=[(MAX_MESSAGE_SIZE, uint(1 << 21)), (BLOCK_WISE, b"")]))

    @property
    def socket(self):
        return self.ws.socket

    def close(self):
        self.ws.close()

    def send(self, message, pieces=1):
        data = bytes([len(message.token), message.code]) + message.token + encode_options(message.options) + (
            b"\xff" + message.payload if message.payload else b"")
        size = -(-len(data) // pieces)
        for at in range(0, len(data), size):
            last = at + size >= len(data)
            self.ws.frame(WebSocket.BINARY if at == 0 else 0, data[at:at + size], fin=last)

    def hear_bytes(self, timeout=None):
        opcode, data = self.ws.read()
        if opcode == WebSocket.CLOSE:
            raise EOFError("closed")
        assert opcode == WebSocket.BINARY and data[0] >> 4 == 0, (opcode, data)
        return bytes([0x40 | data[0]]) + data[1:2] + b"\0\0" + data[2:]


@pytest.fixture
def client(bridge):
    with Web(bridge.port("http")) as it:
        yield it


def test_the_server_says_first_what_it_can(client):
    assert client.csm.code == CSM and client.csm.uint(MAX_MESSAGE_SIZE) > 1 << 20
    assert client.ping()


def test_values_cross(bridge, client):
    assert client.put("r/a/b", "21.5").says == "2.01"
    assert client.get("r/a/b").payload == b"21.5"
    assert client.delete("r/a/b").says == "2.02"
    assert client.get("r/a/b").says == "4.04"


@pytest.mark.parametrize("size", [0, 11, 12, 13, 268, 269, 70000, 300000])
def test_bodies_of_any_size_go_in_one_message(client, size):
    body = bytes(i % 251 for i in range(size))
    client.put("r/x", body)
    assert client.get("r/x").payload == body


def test_a_message_may_come_in_fragments(client):
    question = client.request(coap.PUT, "r/x", payload=b"fragments")
    client.send(question, pieces=5)
    assert client.answer_to(question).says == "2.01"
    assert client.get("r/x").payload == b"fragments"


def test_an_observer_sees_what_comes_from_elsewhere(bridge, client):
    _, watch = client.observe("r/x")
    with coap.Socket(bridge.port("coap")) as other:
        other.put("r/x", "new")
    assert watch.hear().payload == b"new"


def test_directory_and_broker_are_the_same(bridge, client):
    with coap.Socket(bridge.port("coap")) as other:
        other.post("rd", "</x>", query=["ep=a", "base=coap://a"], options=[(coap.CONTENT_FORMAT, uint(40))])
    assert client.get("rd-lookup/res").payload == b"<coap://a/x>"


def test_csm_must_come_first_and_nonsense_is_aborted(bridge):
    for options in ({"hello": False}, {}):
        with Web(bridge.port("http"), **options) as client:
            if options:
                client.send(client.request(coap.GET, "r/x"))
            else:
                client.ws.frame(WebSocket.BINARY, b"\xf0\1")
            assert client.hear_new().code == coap.ABORT
            assert client.ended()


def test_text_is_refused(bridge):
    with Web(bridge.port("http")) as client:
        client.ws.frame(WebSocket.TEXT, b"x")
        assert client.ended()


def test_the_rules_of_the_http_listener_hold(make_bridge):
    bridge = make_bridge("http://127.0.0.1:0/resources?anonymous=deny")
    with Web(bridge.port("http")) as client:
        assert client.get("r/x").says == "4.01"


def test_it_may_end_while_it_is_watched(make_bridge):
    bridge = make_bridge("http://127.0.0.1:0/resources")
    with Web(bridge.port("http")) as client:
        client.observe("r/x")
        bridge.close()
        assert client.ended() or client.hear_new().code == coap.RELEASE
