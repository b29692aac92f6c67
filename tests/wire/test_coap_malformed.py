"""Datagrams that are wrong, each with what RFC 7252 says to do about it; and the server is as well afterwards as before."""
import random
import socket

import pytest

from peers import coap
from peers.coap import ACK, CON, NON, RST, Message, Socket, block, uint


@pytest.fixture
def client(coap_port):
    with Socket(coap_port) as it:
        yield it
        assert it.ping()


IGNORED = [
    ("nothing", b"", "3"),
    ("one byte", b"\x40", "3"),
    ("three bytes", b"\x40\x01\x00", "3"),
    ("version 0", b"\x00\x01\x00\x01", "3: unknown versions are silently ignored"),
    ("version 2", b"\x80\x01\x00\x01", "3"),
    ("version 3", b"\xc0\x01\x00\x01", "3"),
    ("NON: token length 9", b"\x59\x01\x00\x01123456789", "3, 4.3"),
    ("NON: marker without payload", b"\x50\x01\x00\x01\xff", "3, 4.3"),
    ("NON: option runs out", b"\x50\x01\x00\x01\xb5ab", "3.1"),
    ("NON: empty", b"\x50\x00\x00\x01", "4.3"),
    ("ACK: of nothing", b"\x60\x00\x00\x01", "4.2"),
    ("RST: of nothing", b"\x70\x00\x00\x01", "4.2"),
    ("ACK with a request", b"\x60\x01\x00\x01\xb1r\x01x", "4.2"),
    ("RST with a request", b"\x70\x01\x00\x01\xb1r\x01x", "4.2"),
    ("RST with a response", b"\x70\x45\x00\x01", "4.2"),
    ("NON: class 1", b"\x50\x21\x00\x01", "4.3, 12.1"),
    ("NON: class 7", b"\x50\xe2\x00\x01", "4.3; RFC 8323 is for streams"),
    ("NON: a response nobody asked for", b"\x51\x45\x00\x01x", "4.3"),
    ("ACK: a response nobody asked for", b"\x61\x45\x00\x01x", "4.2"),
]


@pytest.mark.parametrize("data", [row[1] for row in IGNORED], ids=[row[0] for row in IGNORED])
def test_ignored(client, data):
    client.socket.send(data)

    assert client.silent()


REJECTED = [
    ("ping", b"\x40\x00\x12\x34", "4.3"),
    ("token length 9", b"\x49\x01\x12\x34123456789", "3"),
    ("token length 15", b"\x4f\x01\x12\x34123456789012345", "3"),
    ("token cut short", b"\x44\x01\x12\x34123", "3"),
    ("empty with a token", b"\x41\x00\x12\x34x", "4.1"),
    ("empty with a payload", b"\x40\x00\x12\x34\xffx", "4.1"),
    ("marker without payload", b"\x40\x01\x12\x34\xff", "3"),
    ("delta 15", b"\x40\x01\x12\x34\xf1x", "3.1"),
    ("length 15", b"\x40\x01\x12\x34\xbfx", "3.1"),
    ("option runs out", b"\x40\x01\x12\x34\xb5ab", "3.1"),
    ("no extended delta", b"\x40\x01\x12\x34\xd1", "3.1"),
    ("no extended length", b"\x40\x01\x12\x34\xbe\x00", "3.1"),
    ("option number over 65535", b"\x40\x01\x12\x34\xe0\xff\xff", "3.1"),
    ("class 1", b"\x40\x21\x12\x34", "12.1"),
    ("class 6", b"\x40\xc1\x12\x34", "12.1"),
    ("class 7", b"\x40\xe2\x12\x34", "RFC 8323 is for streams"),
    ("a response nobody asked for", b"\x41\x45\x12\x34x", "4.2"),
]


@pytest.mark.parametrize("data", [row[1] for row in REJECTED], ids=[row[0] for row in REJECTED])
def test_rejected_with_a_reset(client, data):
    client.socket.send(data)

    heard = client.hear()
    assert (heard.type, heard.code, heard.id) == (RST, 0, 0x1234)
    assert client.silent()


ANSWERED = [
    ("critical option 9", [(9, b"x")], "4.02", "5.4.1"),
    ("critical option 65001", [(65001, b"x")], "4.02", "5.4.1"),
    ("elective option 10", [(10, b"x")], "4.04", "5.4.1: ignored"),
    ("elective option 65000", [(65000, b"x" * 300)], "4.04", "5.4.1: ignored"),
    ("Accept twice", [(coap.ACCEPT, b""), (coap.ACCEPT, b"2")], "4.02", "5.4.5"),
    ("Accept of three bytes", [(coap.ACCEPT, b"123")], "4.02", "5.4.3"),
    ("If-None-Match with a value", [(coap.IF_NONE_MATCH, b"x")], "4.02", "5.4.3"),
    ("If-Match of nine bytes", [(coap.IF_MATCH, b"x" * 9)], "4.02", "5.4.3"),
    ("Uri-Host empty", [(coap.URI_HOST, b"")], "4.02", "5.4.3"),
    ("Uri-Host", [(coap.URI_HOST, b"example.org"), (coap.URI_PORT, uint(5683))], "4.04", "5.10.1"),
    ("Max-Age of five bytes", [(coap.MAX_AGE, b"12345")], "4.04", "5.4.3: elective"),
    ("a segment of 256 bytes", [(coap.URI_PATH, b"x" * 256)], "4.02", "5.10: at most 255"),
    ("a query of 256 bytes", [(coap.URI_QUERY, b"x" * 256)], "4.02", "5.10"),
    ("a slash in a segment", [(coap.URI_PATH, b"a/b")], "4.00", "no path has it"),
    ("NUL in a segment", [(coap.URI_PATH, b"a\0b")], "4.00", "MQTT 1.5.4"),
    ("broken UTF-8 in a segment", [(coap.URI_PATH, b"\xff\xfe")], "4.00", "3.2"),
    ("half a wildcard", [(coap.URI_PATH, b"a+")], "4.00", "MQTT 4.7.1"),
    ("a wildcard in the middle", [(coap.URI_PATH, b"#"), (coap.URI_PATH, b"x")], "4.00", "MQTT 4.7.1"),
    ("Proxy-Uri", [(coap.PROXY_URI, b"coap://example.org/x")], "5.05", "5.7.2"),
    ("Proxy-Scheme", [(coap.PROXY_SCHEME, b"coap")], "5.05", "5.7.2"),
    ("Hop-Limit 0", [(coap.HOP_LIMIT, b"\0")], "4.00", "RFC 8768 3"),
    ("Hop-Limit of two bytes", [(coap.HOP_LIMIT, b"12")], "4.04", "RFC 8768 3: elective"),
    ("Block2 with size 7", [(coap.BLOCK2, b"\x07")], "4.00", "RFC 7959 2.2"),
    ("Block2 of four bytes", [(coap.BLOCK2, b"1234")], "4.02", "5.4.3"),
    ("Observe of four bytes", [(coap.OBSERVE, b"1234")], "4.04", "RFC 7641 2: elective"),
    ("Observe 7", [(coap.OBSERVE, b"\x07")], "4.04", "RFC 7641 2: neither 0 nor 1"),
]


@pytest.mark.parametrize("options, code", [row[1:3] for row in ANSWERED], ids=[row[0] for row in ANSWERED])
def test_answered(client, options, code):
    answer = client.get("r/not-there", options=options)

    assert (answer.type, answer.says) == (ACK, code)


@pytest.mark.parametrize("number", [8, 9, 31])
def test_an_unknown_method_is_not_allowed(client, number):
    assert client.ask(number, "r/x").says == "4.05"                   # RFC 7252 5.8


@pytest.mark.parametrize("value, code", [
    (block(0, True, 64), "4.00"),                                    # a block that is not the last must be full
    (block(1, False, 64), "4.08"), (block(5, True, 16), "4.08"),
    (b"\x0f", "4.00"),                                               # size 7
], ids=["not full", "no first", "far away", "size 7"])
def test_a_block_that_makes_no_sense(client, value, code):
    body = b"x" * (16 if value == block(5, True, 16) else 20)

    assert client.put("r/block", body, options=[(coap.BLOCK1, value)]).says == code


def test_a_body_over_the_limit_is_told_the_limit(client):
    answer = client.put("r/huge", b"x" * 64, options=[(coap.BLOCK1, block(0, True, 64)), (coap.SIZE1, uint(1 << 30))])

    assert answer.says == "4.13"
    assert answer.uint(coap.SIZE1) == 1 << 20


def test_noise_of_any_length_disturbs_nobody(client, coap_port):
    dice = random.Random(7)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for n in range(2000):
        other.sendto(dice.randbytes(dice.randrange(200)), ("127.0.0.1", coap_port))
        if n % 100 == 0:
            assert client.ping()
    other.close()

    assert client.put("r/after-noise", b"well").says in ("2.01", "2.04")
    assert client.get("r/after-noise").payload == b"well"


def test_mutations_of_good_requests_disturb_nobody(client, coap_port):
    dice = random.Random(8)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    good = [bytes(Message(dice.choice((CON, NON)), m, dice.randrange(65536), dice.randbytes(4),
                          [*coap.path_options("r/mutant"), (coap.OBSERVE, b""), (coap.BLOCK2, b"\x06"), (coap.ETAG, b"abc")],
                          b"payload" if m > 1 else b"")) for m in (1, 2, 3, 4, 1)]
    for n in range(3000):
        data = bytearray(dice.choice(good))
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        other.sendto(data[:dice.randrange(4, len(data) + 1)], ("127.0.0.1", coap_port))
        if n % 100 == 0:
            assert client.ping()
    other.close()


def test_a_non_empty_answer_to_nobody_is_no_harm(client):
    client.send(Message(NON, coap.code("2.05"), 1, b"token", [], b"x"))

    assert client.silent()
