"""Formats on the wire between us and a device: what it answers in, what it is written in (LwM2M 1.0 6.4, 1.1 and 1.2 7.4)."""
import json
import struct

import pytest

from peers.coap import CONTENT_FORMAT, Message, code, uint
from peers.lwm2m import CBOR, LWM2M_CBOR, LWM2M_JSON, OPAQUE, SENML_CBOR, SENML_JSON, TEXT, TLV, tlv_parse

SERVER = {(1, 0, 0): 101, (1, 0, 1): 300, (1, 0, 6): False, (1, 0, 7): "U"}
WHOLE = {"0": 101, "1": 300, "6": False, "7": "U"}
SENML = b'[{"bn":"/1/0/","n":"0","v":101},{"n":"1","v":300},{"n":"6","vb":false},{"n":"7","vs":"U"}]'
SENML_C = bytes.fromhex("84 a3 21 65 2f312f302f 00 61 30 02 18 65 a2 00 61 31 02 19 012c a2 00 61 36 04 f4 a2 00 61 37 03 61 55")


@pytest.mark.parametrize("path, format, payload, value", [
    ("1/0/7", TEXT, b"U", "U"), ("1/0/1", TEXT, b"300", 300), ("1/0/6", TEXT, b"1", True),
    ("1/0", TLV, bytes.fromhex("c10065 c201012c c10600 c10755"), WHOLE), ("1/0", 1542, bytes.fromhex("c10065 c201012c c10600 c10755"), WHOLE),
    ("1/0", LWM2M_JSON, b'{"bn":"/1/0/","e":[{"n":"0","v":101},{"n":"1","v":300},{"n":"6","bv":false},{"n":"7","sv":"U"}]}', WHOLE),
    ("1/0", 1543, b'{"bn":"/1/0/","e":[{"n":"0","v":101},{"n":"1","v":300},{"n":"6","bv":false},{"n":"7","sv":"U"}]}', WHOLE),
    ("1/0", SENML_JSON, SENML, WHOLE), ("1/0", SENML_CBOR, SENML_C, WHOLE),
    ("1/0/1", CBOR, b"\x19\x01\x2c", 300), ("1/0/6", CBOR, b"\xf4", False),
    ("1/0", LWM2M_CBOR, bytes.fromhex("a1 01 a1 00 a4 00 1865 01 19012c 06 f4 07 6155"), WHOLE),
    ("5/0/0", OPAQUE, b"\0\xff", None), ("19/0/0/0", TLV, bytes.fromhex("420000ff"), None),
])
def test_read_in_each_format(house, path, format, payload, value):
    lamp = house.device("lamp-7", dict(SERVER))
    lamp.lies["/" + path] = lambda request: Message(code=code("2.05"), options=[(CONTENT_FORMAT, uint(format))], payload=payload)
    answer = house.http("GET", "lwm2m/lamp-7/" + path)

    assert answer.status == 200
    if value is None:
        assert answer.body == b"\0\xff"
    elif isinstance(value, str):
        assert answer.body == value.encode()
    else:
        assert answer.json == value


@pytest.mark.parametrize("format", [SENML_JSON, SENML_CBOR, LWM2M_JSON, LWM2M_CBOR, TLV])
def test_write_in_each_format(house, format):
    lamp = house.device("lamp-7", dict(SERVER), links=f'</>;rt="oma.lwm2m";ct={format},</1/0>')
    lamp.lies["PUT", "/1/0"] = lambda request: Message(code=code("2.04"))
    assert house.http("PUT", "lwm2m/lamp-7/1/0", json.dumps({"1": 60, "6": True, "7": "UQ"}), Content_Type="application/json").status == 204

    request = lamp.next_request()
    assert request.format == format
    lamp.lies["GET", "/1/0"] = lambda asked: Message(code=code("2.05"), options=[(CONTENT_FORMAT, uint(format))], payload=request.payload)
    assert house.http("GET", "lwm2m/lamp-7/1/0").json == {"1": 60, "6": True, "7": "UQ"}


def test_write_in_plain_text_and_cbor(house):
    lamp = house.device("lamp-7", dict(SERVER))
    lamp.lies["PUT", "/1/0/1"] = lambda request: Message(code=code("2.04" if request.format == TEXT else "4.15"))
    assert house.http("PUT", "lwm2m/lamp-7/1/0/1", "60").status == 204
    lamp.wait_request("PUT", "/1/0/1")
    assert lamp.next_request().payload == b"60"


@pytest.mark.parametrize("says, status", [("4.00", 400), ("4.01", 403), ("4.03", 403), ("4.04", 404), ("4.05", 405), ("4.06", 406), ("4.09", 409),
                                          ("4.13", 413), ("4.15", 415), ("5.00", 500), ("5.01", 501), ("5.03", 429)])
def test_what_a_device_refuses_is_passed_on(house, says, status):
    lamp = house.device("lamp-7", dict(SERVER))
    lamp.lies["/0/0/5"] = lambda request: Message(code=code(says), payload=b"because")
    assert house.http("GET", "lwm2m/lamp-7/0/0/5").status == status
    assert house.http("PUT", "lwm2m/lamp-7/0/0/5", "AAEC").status == status


def test_a_composite_of_which_something_is_missing(house):
    lamp = house.device("lamp-7", dict(SERVER))
    answer = house.http("POST", "lwm2m/lamp-7/!read-composite", '["/1/0/1","/1/0/8","/3339/0/5522"]')
    assert answer.json == {"1": {"0": {"1": 300}}}
    assert lamp.next_request().verb == "FETCH"


def test_numbers_keep_their_value(house):
    lamp = house.device("lamp-7", {(3303, 0, 5700): 0.1, (6, 0, 5): 1 << 40, (3303, 0, 5601): -273.15, (3, 0, 13): 1700000000})
    assert house.http("GET", "lwm2m/lamp-7/3303/0").json == {"5700": 0.1, "5601": -273.15}
    assert house.http("GET", "lwm2m/lamp-7/6/0/5").body == b"%d" % (1 << 40)
    for value in (0.1, 1e-9, 12345678.875, -0.5):
        assert house.http("PUT", "lwm2m/lamp-7/3308/0/5900", repr(value)).status == 204
        (_, _, data), = tlv_parse(lamp.wait_request("PUT", "/3308/0/5900").payload)
        assert struct.unpack(">d" if len(data) == 8 else ">f", data)[0] == value


@pytest.mark.parametrize("payload, format", [(b"\xc8\x00\xff", TLV), (b"[", SENML_JSON), (b"\x9f", SENML_CBOR), (b"x", 9999), (b"\xff\xfe", TEXT)])
def test_an_answer_that_nobody_understands(house, payload, format):
    lamp = house.device("lamp-7", dict(SERVER))
    lamp.lies["/1/0/1"] = lambda request: Message(code=code("2.05"), options=[(CONTENT_FORMAT, uint(format))], payload=payload)
    assert house.http("GET", "lwm2m/lamp-7/1/0/1").status >= 400 or format == TEXT


def test_lies_hurt_nobody(house):
    lamp = house.device("lamp-7", dict(SERVER))
    lamp.lies["/1/0/0"] = lambda request: bytes(Message(2, code("2.05"), request.message.id, b"unasked!", [], b"1"))
    lamp.lies["/1/0/1"] = lambda request: bytes(Message(2, 0, request.message.id)) + b"more"
    lamp.lies["/1/0/6"] = lambda request: Message(code=code("2.31"))
    for path in ("1/0/0", "1/0/6"):
        house.coap.send(house.coap.request(1, "r/lwm2m/lamp-7/" + path))
    assert house.http("GET", "lwm2m/lamp-7/1/0/7").body == b"U"


def test_a_format_that_the_device_does_not_speak_is_made_here(house):
    lamp = house.device("lamp-7", dict(SERVER), links='</>;rt="oma.lwm2m";ct=11542,</1/0>')
    answer = house.coap.get("r/lwm2m/lamp-7/1/0", options=[(17, uint(SENML_CBOR))])

    assert (answer.says, answer.uint(CONTENT_FORMAT)) == ("2.05", SENML_CBOR)
    assert [lamp.next_request().accept for _ in range(2)] == [SENML_CBOR, None]
