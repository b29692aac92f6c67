"""How other makers' clients say things (Wakaama, Zephyr, Leshan, RIOT; told by their sources and tests), at packet level: their words
for a registration, their ways to answer, observe and bootstrap."""
import json
import struct

import pytest

from peers import coap
from peers.coap import CON, CONTENT_FORMAT, NON, OBSERVE, Message, code, uint
from peers.lwm2m import CBOR, LWM2M_JSON, OPAQUE, SENML_CBOR, SENML_JSON, TEXT, TLV, heard, tlv

ROOM = {(3, 0, 0): "Acme", (3, 0, 6): {0: 1, 1: 5}, (3303, 0, 5700): 21.5}
VALUE = struct.pack(">f", 21.5)


@pytest.mark.parametrize("query, links, prefix", [
    (["lwm2m=1.1", "ep=dev", "b=U", "lt=86400"], '</>;rt="oma.lwm2m";ct=11543,</1/0>,</3/0>,</3303/0>', ""),
    (["lwm2m=1.1", "ep=dev", "b=U", "Q", "lt=60"], '</>;rt="oma.lwm2m";ct=110,</1>;ver=1.1,</1/0>,</3/0>,</3303/0>', ""),
    (["lwm2m=1.1", "ep=dev", "lt=60"], '</>;rt="oma.lwm2m";ct=112,</3/0>,</3303>;ver=1.1,</3303/0>', ""),
    (["b=U", "lwm2m=1.0", "lt=100", "ep=dev"], '</>;ct="60 110 112 11542 11543";rt="oma.lwm2m",</1>;ver=1.1,</1/0>,</3>;ver=1.1,</3/0>,</3303/0>', ""),
    (["b=UQ", "lwm2m=1.0", "lt=100", "ep=dev"], '</>;rt="oma.lwm2m",</1/0>,</2>,</3/0>,</3303/0>', ""),
    (["ep=dev", "lt=60", "lwm2m=1.0", "b=U"], "</1/0>,</3/0>,</3303/0>,</2000/0>", ""),
    (["ep=dev"], "</1>,</3>,</3303>", ""),
    (["ep=dev", "lt=60"], '</lwm2m>;rt="oma.lwm2m", </lwm2m/1/101>, </lwm2m/2/0>, </lwm2m/3/0>, </lwm2m/3303/0>', "/lwm2m"),
    (["ep=dev", "lwm2m=1.1", "b=UT", "lt=4294967295"], '</>;rt="oma.lwm2m";ct=11542;hb,</3303/0>;ver="1.1"', ""),
    (["lwm2m=1.2", "ep=dev", "lt=60", "b=U", "pid=1"], '</>;rt=oma.lwm2m;ct="11544 112",</3/0>,</3303/0>', ""),
    (["ep=urn:imei:490154203237518", "lwm2m=1.1", "lt=30", "sms=491701234567"], "</0/1>,</1/0>,</3/0>,</3303/0>", "")])
@pytest.mark.parametrize("block", [None, 32])
def test_how_they_register(house, query, links, prefix, block):
    name = next(word[3:] for word in query if word.startswith("ep="))
    device = house.device(name, dict(ROOM), links=links, root=prefix or None, register=False)
    device.register(query=query, block=block)

    assert house.bridge.devices[name].read("/3303/0/5700") == 21.5
    assert device.next_request() == ("GET", prefix + "/3303/0/5700")
    device.update(["lt=120"])
    device.update([])
    device.update(["lt=120", "b=U", "ep=dev"], links=links)
    device.deregister()


def reply(payload=b"", format=None, says="2.05", *options):
    return Message(code=code(says), options=[*options, *([] if format is None else [(CONTENT_FORMAT, uint(format))])], payload=payload)


@pytest.mark.parametrize("payload, format", [
    (b"21.5", TEXT), (b"21.5", None), (b"21.500000", TEXT), (b"2.15e1", TEXT), (tlv(3, 5700, VALUE), TLV), (tlv(3, 5700, struct.pack(">d", 21.5)), TLV),
    (tlv(0, 0, tlv(3, 5700, VALUE)), TLV), (tlv(3, 5700, VALUE), 1542), (b'{"bn":"/3303/0/5700","e":[{"v":21.5}]}', LWM2M_JSON),
    (b'{"bn":"/3303/0/","e":[{"n":"5700","v":21.5}]}', LWM2M_JSON), (b'{"bn":"/3303/0/5700","e":[{"n":"","v":21.5}]}', 1543),
    (b'[{"bn":"/3303/0/5700","v":21.5}]', SENML_JSON), (b'[{"bn":"/3303/0/","n":"5700","v":21.5}]', SENML_JSON),
    (b'[{"bn":"/","n":"3303/0/5700","v":21.5}]', SENML_JSON), (b'[{"n":"/3303/0/5700","v":21.5,"t":1700000000}]', SENML_JSON),
    (b"\x81\xa2\x21\x6c/3303/0/5700\x02\xf9\x4d\x60", SENML_CBOR), (b"\x81\xa3\x21\x68/3303/0/\x00\x645700\x02\xfb" + struct.pack(">d", 21.5), SENML_CBOR),
    (b"\xf9\x4d\x60", CBOR), (b"\xfa" + VALUE, CBOR), (b"\xfb" + struct.pack(">d", 21.5), CBOR)])
def test_how_they_say_a_resource(house, payload, format):
    device = house.device("dev", dict(ROOM))
    device.lies["/3303/0/5700"] = lambda request: reply(payload, format)
    assert house.bridge.devices["dev"].read("/3303/0/5700") == 21.5


@pytest.mark.parametrize("payload, format", [
    (tlv(2, 6, tlv(1, 0, b"\1") + tlv(1, 1, b"\5")), TLV), (tlv(1, 0, b"\1") + tlv(1, 1, b"\5"), TLV),
    (tlv(0, 0, tlv(2, 6, tlv(1, 0, b"\1") + tlv(1, 1, b"\0\5"))), TLV), (b'[{"bn":"/3/0/6/","n":"0","v":1},{"n":"1","v":5}]', SENML_JSON),
    (b'{"bn":"/3/0/6/","e":[{"n":"0","v":1},{"n":"1","v":5}]}', LWM2M_JSON)])
def test_how_they_say_several_instances(house, payload, format):
    device = house.device("dev", dict(ROOM))
    device.lies["/3/0/6"] = lambda request: reply(payload, format)
    assert house.bridge.devices["dev"].read("/3/0/6") == {"0": 1, "1": 5}


@pytest.mark.parametrize("payload, format", [
    (tlv(3, 0, b"Acme") + tlv(2, 6, tlv(1, 0, b"\1") + tlv(1, 1, b"\5")), TLV),
    (tlv(0, 0, tlv(3, 0, b"Acme") + tlv(2, 6, tlv(1, 0, b"\1") + tlv(1, 1, b"\5"))), TLV),
    (b'[{"bn":"/3/0/","n":"0","vs":"Acme"},{"n":"6/0","v":1},{"n":"6/1","v":5}]', SENML_JSON),
    (b'{"bn":"/3/0/","e":[{"n":"0","sv":"Acme"},{"n":"6/0","v":1},{"n":"6/1","v":5}]}', LWM2M_JSON)])
def test_how_they_say_an_instance(house, payload, format):
    device = house.device("dev", dict(ROOM))
    device.lies["/3/0"] = lambda request: reply(payload, format)
    assert house.bridge.devices["dev"].read("/3/0") == {"0": "Acme", "6": {"0": 1, "1": 5}}


@pytest.mark.parametrize("late", [CON, NON])
@pytest.mark.parametrize("verb", ["read", "execute"])
def test_an_empty_acknowledgement_and_the_answer_later(house, late, verb):
    device = house.device("dev", dict(ROOM) | {(3, 0, 4): lambda _: None})

    def answer(request):
        device.socket.ack(request.message)
        says = reply(b"21.5", TEXT) if verb == "read" else reply(says="2.04")
        says.type, says.id, says.token = late, device.socket.new_id(), request.message.token
        device.socket.send(says)
    device.lies["/3303/0/5700"] = device.lies["/3/0/4"] = answer
    if verb == "read":
        assert house.bridge.devices["dev"].read("/3303/0/5700") == 21.5
    else:
        house.bridge.devices["dev"].execute("/3/0/4")


def test_the_answer_comes_before_its_acknowledgement(house):
    """RFC 7252 5.2.2: they may overtake each other; the answer is the acknowledgement, too."""
    device = house.device("dev", dict(ROOM))

    def answer(request):
        says = reply(b"21.5", TEXT)
        says.type, says.id, says.token = CON, device.socket.new_id(), request.message.token
        device.socket.send(says)
        device.socket.ack(request.message)
    device.lies["/3303/0/5700"] = answer
    assert house.bridge.devices["dev"].read("/3303/0/5700") == 21.5
    assert house.bridge.devices["dev"].read("/3/0/0") == "Acme"


@pytest.mark.parametrize("numbers", [(0, 1, 2), (0, 1, 1 << 23), (1, 2, 3), (254, 255, 256), (0xFFFFFE, 0xFFFFFF, 0), (2, 3, 4)])
@pytest.mark.parametrize("type", [CON, NON])
def test_observe_counters_begin_anywhere(house, numbers, type):
    device = house.device("dev", dict(ROOM))
    device.lies["GET", "/3303/0/5700"] = observed(device, reply(b"21.5", TEXT, "2.05", (OBSERVE, uint(numbers[0]))))
    phone = house.mqtt("lwm2m/dev/3303/0/5700")
    assert heard(phone)[1] == 21.5
    device.notify("/3303/0/5700", sequence=numbers[1], type=type, payload=b"22.5", format=TEXT)
    assert heard(phone)[1] == 22.5
    if numbers[2] - numbers[1] & 0xFFFFFF < 1 << 23:  # else it is older (RFC 7641 3.4)
        device.notify("/3303/0/5700", sequence=numbers[2], type=type, payload=b"23.5", format=TEXT)
        assert heard(phone)[1] == 23.5


def observed(device, answer):
    def fn(request):
        device.observers[request.path] = (request.message.token, request.accept)
        return answer
    return fn


@pytest.mark.parametrize("payload, format", [
    (b"22.5", TEXT), (tlv(3, 5700, struct.pack(">f", 22.5)), TLV), (b'[{"n":"/3303/0/5700","v":22.5}]', SENML_JSON),
    (b'{"bn":"/3303/0/5700","e":[{"v":22.5}]}', LWM2M_JSON)])
def test_a_notification_in_another_format_than_the_answer(house, payload, format):
    device = house.device("dev", dict(ROOM))
    phone = house.mqtt("lwm2m/dev/3303/0/5700")
    assert heard(phone)[1] == 21.5
    device.notify("/3303/0/5700", payload=payload, format=format, type=CON)
    assert heard(phone)[1] == 22.5


def test_no_accept_before_it_is_known_what_they_speak(house):
    """Some answer 4.06 to any Accept that they have not: none is sent to a device that has not said a format."""
    device = house.device("dev", dict(ROOM), version="1.0")
    house.bridge.devices["dev"].read("/3303/0/5700")
    house.http("GET", "lwm2m/dev/3303/0", Accept="application/senml+json")
    assert [device.next_request().accept for _ in range(2)] == [None, None]


def test_one_that_takes_no_accept_is_asked_again_without(house):
    device = house.device("dev", dict(ROOM), links='</>;rt="oma.lwm2m";ct=11542,</3303/0>')
    device.lies["/3303/0"] = lambda request: reply(says="4.06") if request.accept is not None else reply(tlv(3, 5700, VALUE), TLV)
    answer = house.http("GET", "lwm2m/dev/3303/0", Accept="application/senml+json")
    assert answer.status == 200 and json.loads(answer.body)[0]["v"] == 21.5


def test_a_long_answer_in_small_blocks(house):
    """A client with a buffer of 64 bytes: Block2 whose size it chooses, whatever we ask."""
    device = house.device("dev", dict(ROOM))
    body = tlv(3, 5701, b"x" * 300) + tlv(3, 5700, VALUE)

    def blocks(request):
        num, _, size = request.message.block(coap.BLOCK2) or (0, False, 64)
        at = num * 64
        return reply(body[at:at + 64], TLV, "2.05", (coap.BLOCK2, coap.block(num, at + 64 < len(body), 64)))
    device.lies["/3303/0"] = blocks
    assert house.bridge.devices["dev"].read("/3303/0") == {"5701": "x" * 300, "5700": 21.5}


def test_a_package_in_the_blocks_that_it_wants(house):
    """4.13 with a smaller Block1 (RFC 7959 2.9.3), or 2.31 with one: we go on in its size."""
    device = house.device("dev", {(5, 0, 0): b""})
    seen = []

    def take(request):
        seen.append(len(request.payload))
        return reply(says="2.04")
    device.lies["PUT", "/5/0/0"] = take
    answer = house.http("PUT", "lwm2m/dev/5/0/0", bytes(5000), Content_Type="application/octet-stream")
    assert answer.status == 204 and seen == [5000]


@pytest.mark.parametrize("verb, says", [("PUT", "2.04"), ("PUT", "2.01"), ("POST", "2.04")])
def test_whatever_success_they_say(house, verb, says):
    device = house.device("dev", dict(ROOM) | {(3, 0, 4): lambda _: None})
    device.lies[verb, "/3303/0/5700"] = device.lies[verb, "/3/0/4"] = lambda request: reply(says=says)
    lamp = house.bridge.devices["dev"]
    lamp.write("/3303/0/5700", 1.5) if verb == "PUT" else lamp.execute("/3/0/4")


def test_a_create_with_and_without_a_location(house):
    device = house.device("dev", dict(ROOM))
    device.lies["POST", "/3303"] = lambda request: reply(says="2.01")
    assert house.http("POST", "lwm2m/dev/3303", '{"5700":3.5}').status in (200, 201, 204)
    device.lies["POST", "/3303"] = lambda request: reply(b"", None, "2.01", (coap.LOCATION_PATH, b"3303"), (coap.LOCATION_PATH, b"7"))
    assert house.bridge.request("POST", "lwm2m/dev/3303", {"5700": 3.5}).value == "/3303/7"


def test_opaque_values(house):
    device = house.device("dev", {(3, 0, 20): b""})
    for payload, format in ((b"\0\1\xff", OPAQUE), (tlv(3, 5, b"\0\1\xff"), TLV), (b'[{"n":"/5/0/0","vd":"AAH_"}]', SENML_JSON), (b"AAH/", TEXT)):
        device.lies["/2000/0/5"] = device.lies["/5/0/0"] = lambda request, p=payload, f=format: reply(p, f)
        got = house.http("GET", "lwm2m/dev/5/0/0" if format in (SENML_JSON, TEXT) else "lwm2m/dev/2000/0/5").body
        assert got == b"\0\1\xff" or (format == TLV and got)  # of an unknown resource TLV may be anything


@pytest.mark.parametrize("query", [["ep=dev"], ["ep=dev", "pct=110"], ["ep=dev", "pct=11542"], ["pct=112", "ep=dev"]])
def test_how_they_ask_to_be_bootstrapped(make_house, tmp_path, query):
    (tmp_path / "plans.json").write_text(json.dumps({"default": {"delete": ["/"], "write": {"/0/0": {"0": "coap://x"}, "/1/0": {"0": 1, "1": 60}}}}))
    house = make_house(f"lwm2m://127.0.0.1:0?bootstrap={tmp_path}/plans.json")
    end = house.mqtt("lwm2m/dev/!bootstrap")
    device = house.device("dev", {}, register=False)
    for verb, path, says in (("DELETE", "/", "2.02"), ("PUT", "/0/0", "2.04"), ("PUT", "/1/0", "2.04"), ("POST", "/bs", "2.04")):
        device.lies[verb, path] = lambda request, says=says: reply(says=says)
    assert device.ask(coap.POST, "bs", query=query).says == "2.04"
    assert [(device.next_request().verb, p) for p in ("/", "/0/0", "/1/0", "/bs")] == [("DELETE", "/"), ("PUT", "/0/0"), ("PUT", "/1/0"), ("POST", "/bs")]
    assert heard(end)[1]["bootstrap"] == "done"
