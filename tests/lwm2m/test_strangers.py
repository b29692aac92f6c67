"""Awkward but lawful: what a client of another maker may send, at packet level (RFC 6690, 7252, 7641, 7959, 8428, 8949; LwM2M 1.0 6.4, 1.1 7.4)."""
import struct

import pytest

from peers import coap
from peers.coap import CON, CONTENT_FORMAT, NON, Message, code, uint
from peers.lwm2m import CBOR, LINKS, LWM2M_CBOR, SENML_CBOR, SENML_JSON, TEXT, TLV, heard

ROOM = {(3, 0, 0): "Acme", (3, 0, 6): {0: 1, 1: 5}, (3303, 0, 5700): 21.5}


def reply(payload=b"", format=None, says="2.05", *options):
    return Message(code=code(says), options=[*options, *([] if format is None else [(CONTENT_FORMAT, uint(format))])], payload=payload)


# ---- Registration

@pytest.mark.parametrize("links", [
    '</>;rt="oma.lwm2m";ct=110,</3/0>,</3303/0>', "</>;rt=oma.lwm2m;ct=110,</3/0>,</3303/0>", '</>;ct="110";rt="oma.lwm2m",</3/0>,</3303/0>',
    '</3/0>,</3303/0>,</>;rt="oma.lwm2m";ct=110', '</>;rt="oma.lwm2m oma.other";ct=110 , </3/0>,\r\n</3303/0>', '</3/0>;title="a,b;c\\"d",</3303/0>;ver="1.1";obs',
    '</>;rt="oma.lwm2m";ct="11542 110 60",</3/>,</3303/0>', '</3/0>,</3303/0>;ssid=101;uri="x"', "</3/0>;ver=1.2;x,</3303/0>;5700",
    '</>;rt="";ct="",</3303/0>'])
def test_lists_of_links(house, links):
    device = house.device("dev", dict(ROOM), links=links)
    assert house.http("GET", "lwm2m/dev/3303/0/5700").body == b"21.5"
    assert device.next_request().path == "/3303/0/5700"


@pytest.mark.parametrize("links", ['</x>;rt="oma.lwm2m oma.other";ct=110,</x/3303/0>', '</x/3303/0>,</x/>;ct=110;rt="oma.other oma.lwm2m"', "</x>;rt=oma.lwm2m,</x/3303/0>"])
def test_an_alternate_path_among_other_types(house, links):
    device = house.device("dev", dict(ROOM), links=links, root="/x")
    assert house.http("GET", "lwm2m/dev/3303/0/5700").body == b"21.5"
    assert device.next_request().path == "/x/3303/0/5700"


@pytest.mark.parametrize("length", range(9))
@pytest.mark.parametrize("type", [CON, NON])
def test_tokens_of_every_length(house, length, type):
    device = house.device("dev", dict(ROOM), register=False)

    def ask(method, path, payload=b"", **words):
        return device.ask_message(device.socket.request(method, path, type=type, token=bytes(range(1, length + 1)), payload=payload, **words))
    answer = ask(coap.POST, "rd", b"</3303/0>", query=["ep=dev", "lt=60", "lwm2m=1.0", "b=U"], options=[(CONTENT_FORMAT, uint(LINKS))])
    assert (answer.says, answer.type) == ("2.01", coap.ACK if type == CON else NON)
    location = "/".join(o.decode() for o in answer.all(coap.LOCATION_PATH))
    assert ask(coap.POST, location, query=["lt=90"]).says == "2.04"
    assert house.bridge.devices["dev"].read("/3303/0/5700") == 21.5
    assert ask(coap.DELETE, location).says == "2.02"


# ---- Values

LINKED = """<LWM2M><Object ObjectType="MODefinition"><Name>Linked</Name><ObjectID>33000</ObjectID><MultipleInstances>Multiple</MultipleInstances>
<Resources><Item ID="0"><Name>To</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances><Type>Objlnk</Type></Item></Resources>
</Object></LWM2M>"""

@pytest.mark.parametrize("path, payload, format, value", [
    ("/3/0/9", b"\xc1\x09\xff", TLV, -1), ("/3/0/9", b"\xc2\x09\xff\x38", TLV, -200), ("/3/0/9", b"\xc4\x09\x80\0\0\0", TLV, -2**31),
    ("/3/0/9", b"\xc8\x09\x08\x80\0\0\0\0\0\0\0", TLV, -2**63), ("/3/0/9", b"\xc8\x09\x08\x7f\xff\xff\xff\xff\xff\xff\xff", TLV, 2**63 - 1),
    ("/3/0/9", b"\xd0\x09\0\x01\x50", TLV, 80), ("/3/0/9", b"\xd8\x09\0\0\x01\x50", TLV, 80), ("/3/0/9", b"\xe1\0\x09\x50", TLV, 80),
    ("/3/0/9", b"\xf8\0\x09\0\0\x01\x50", TLV, 80),
    ("/3303/0/5700", b"\xe4\x16\x44" + struct.pack(">f", -0.5), TLV, -0.5), ("/3303/0/5700", b"\xe8\x16\x44\x08" + struct.pack(">d", 1e300), TLV, 1e300),
    ("/3/0/13", b"\xc4\x0d\x5c\x0d\x38\x60", TLV, 1544370272), ("/3/0/13", b"\xc8\x0d\x08" + (2**32 + 5).to_bytes(8, "big"), TLV, 2**32 + 5),
    ("/3/0/13", b"1544370272", TEXT, 1544370272), ("/3/0/13", b"\xc1\x1a\x5c\x0d\x38\x60", CBOR, 1544370272),
    ("/2/0/3", b'[{"bn":"/2/0/3/","n":"101","v":15}]', SENML_JSON, {"101": 15}),
    ("/3303/0/5700", b"\x9f\xbf\x21\x68/3303/0/\x00\x645700\x02\xf9\x4d\x60\xff\xff", SENML_CBOR, 21.5),
    ("/3303/0/5700", b"\x81\xa2\x00\x7f\x66/3303/\x660/5700\xff\x02\xf9\x4d\x60", SENML_CBOR, 21.5),
    ("/3303/0/5700", b"\x81\xa2\x00\x6c/3303/0/5700\x02\xc4\x82\x20\x18\xd7", SENML_CBOR, 21.5),
    ("/3303/0/5700", b"\xbf\x19\x0c\xe7\xbf\x00\xbf\x19\x16\x44\xf9\x4d\x60\xff\xff\xff", LWM2M_CBOR, 21.5),
    ("/3303/0/5700", b'[{"bn":"/3303/0/","bt":1700000000,"n":"5700","t":-5,"v":21.5}]', SENML_JSON, 21.5),
    ("/3303/0/5700", b'[{"bv":20,"n":"/3303/0/5700","v":1.5}]', SENML_JSON, 21.5),
    ("/3303/0/5700", b"  21.5", TEXT, 21.5), ("/3303/0/5700", b"+21.5", TEXT, 21.5),
    ("/3303/0", b'[{"bn":"/3303/0/5700","v":1},{"bn":"/3303/0/5701","vs":"Cel"}]', SENML_JSON, {"5700": 1, "5701": "Cel"}),
    ("/3303/0", b'[{"bn":"/3303/","n":"0/5700","v":1},{"n":"0/5701","vs":"Cel"}]', SENML_JSON, {"5700": 1, "5701": "Cel"}),
    ("/3303", b"\x08\x00\x0b" b"\xe4\x16\x44" + struct.pack(">f", 1) + b"\xe1\x16\x45C", TLV, {"0": {"5700": 1, "5701": "C"}})])
def test_values(house, path, payload, format, value):
    device = house.device("dev", dict(ROOM))
    device.lies[path] = lambda request: reply(payload, format)
    assert house.bridge.devices["dev"].read(path) == value


@pytest.mark.parametrize("payload, format", [
    (b"\xc4\x00\x00\x03\x00\x07", TLV), (b"3:7", TEXT), (b'[{"n":"/33000/0/0","vlo":"3:7"}]', SENML_JSON),
    (b"\x81\xa2\x00\x6a/33000/0/0\x63vlo\x633:7", SENML_CBOR)])
def test_object_links(make_house, tmp_path, payload, format):
    (tmp_path / "33000.xml").write_text(LINKED)
    house = make_house(f"lwm2m://127.0.0.1:0?objects={tmp_path}")
    device = house.device("dev", dict(ROOM))
    device.lies["/33000/0/0"] = lambda request: reply(payload, format)
    assert house.http("GET", "lwm2m/dev/33000/0/0").body == b"3:7"


def test_a_large_opaque_value_in_blocks(house):
    """TLV with a length of 24 bits."""
    device, value = house.device("dev", dict(ROOM)), bytes(range(256)) * 300
    whole = b"\xd8\x00" + len(value).to_bytes(3, "big") + value

    def answer(request):
        num, _, size = request.message.block(coap.BLOCK2) if request.message.option(coap.BLOCK2) is not None else (0, False, 1024)
        more = (num + 1) * size < len(whole)
        return reply(whole[num * size:(num + 1) * size], TLV, "2.05", (coap.BLOCK2, coap.block(num, more, size)))
    device.lies["/33000/0/0"] = answer
    assert house.http("GET", "lwm2m/dev/33000/0/0").body == value


# ---- Reports

def test_a_notification_a_day_later_is_news_whatever_its_number(house):
    """RFC 7641 3.4: after 128 seconds numbers say nothing of the order."""
    device, phone = house.device("dev", dict(ROOM), lifetime=200000), house.mqtt("lwm2m/dev/3303/0/5700")
    assert heard(phone)[1] == 21.5
    device.notify("/3303/0/5700", 22.5, sequence=5000)
    assert heard(phone)[1] == 22.5
    device.notify("/3303/0/5700", 1.5, sequence=4999)                # an older one, overtaken
    device.notify("/3303/0/5700", 23.5, sequence=5001, type=CON)
    assert heard(phone)[1] == 23.5
    house.bridge.clock.advance(seconds=24 * 3600 + 1)
    device.notify("/3303/0/5700", 24.5, sequence=3, type=CON)
    assert heard(phone)[1] == 24.5


def test_it_stops_reporting_by_an_error(house):
    """RFC 7641 4.2: the observation is over; who watches is served again when it has registered anew."""
    device, phone = house.device("dev", dict(ROOM)), house.mqtt("lwm2m/dev/3303/0/5700")
    assert heard(phone)[1] == 21.5
    token, _ = device.observers["/3303/0/5700"]
    last = Message(CON, code("4.04"), device.socket.new_id(), token)
    device.socket.send(last)
    device.resources[3303, 0, 5700] = 22.5
    device.observers.clear()
    device.register()
    assert heard(phone)[1] == 22.5


# ---- Moving

@pytest.mark.parametrize("update", [True, False])
def test_it_moves_in_the_middle_of_a_write(house, update):
    """The blocks go on, or begin again, where it is now."""
    package = bytes(range(256)) * 16
    device = house.device("dev", {**ROOM, (5, 0, 0): b""})
    seen = []
    original = device._block

    def block(request):
        num, more, size = request.message.block(coap.BLOCK1)
        if num == 2 and not seen:
            seen.append(num)
            device.move()
            if update:
                device.socket.send(device.socket.request(coap.POST, device.location))
            else:
                device.socket.send(device.socket.request(coap.POST, "rd", payload=b"</3303/0>", query=device.register_query(), options=[(CONTENT_FORMAT, uint(LINKS))]))
            return False
        return original(request)
    device._block = block
    assert house.http("PUT", "lwm2m/dev/5/0/0", package, Content_Type="application/octet-stream").status == 204
    assert device.resources[5, 0, 0].endswith(package) and seen == [2]
