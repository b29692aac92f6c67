"""Who is who: what a device can do to another one, by how each of them is known (a key, a certificate, its address), as a table; names and
paths that are no names and paths; floods, and the numbers that bound them."""
import json
import shutil
import socket
from urllib.parse import quote

import pytest

from peers import coap
from peers.certificates import Authority
from peers.coap import CONTENT_FORMAT, GET, POST, PUT, DELETE, Secured, uint
from peers.lwm2m import SENML_JSON

ROOM = {(3303, 0, 5700): 21.5, (3311, 0, 5850): False}
LINKS = [(CONTENT_FORMAT, uint(40))]
KEYS = "lamp-7:6c616d70\nfan-1:66616e\n"
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")


# ---- One against the other

class Sides:
    """A victim, lamp-7, and an attacker who is known in the same way or in another."""

    def __init__(self, house, victim, attacker):
        self.house, self.victim, self.attacker = house, victim, attacker

    def still_there(self):
        return self.house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"


def with_key(house, name, secret, endpoint=None, **words):
    port = house.bridge.port("lwm2ms")
    session = Secured(port, "-psk_identity", name, "-psk", secret, "-cipher", "PSK-AES128-GCM-SHA256")
    return house.device(endpoint or name, dict(ROOM), socket=session, port=port, **words)


def with_certificate(house, authority, name, san, **words):
    cert, key = authority.sign(name, san)
    port = house.bridge.port("lwm2ms")
    return house.device(words.pop("endpoint", name), dict(ROOM), socket=Secured(port, "-cert", str(cert), "-key", str(key)), port=port, **words)


@pytest.fixture(params=["NoSec against NoSec", pytest.param("key against key", marks=needs_openssl), pytest.param("NoSec against key", marks=needs_openssl),
                        pytest.param("key against NoSec", marks=needs_openssl), pytest.param("certificate against certificate", marks=needs_openssl)])
def sides(request, make_house, tmp_path):
    attacker, _, victim = request.param.partition(" against ")
    (tmp_path / "devices.psk").write_text(KEYS)
    secure = f"lwm2ms://127.0.0.1:0?psk_file={tmp_path}/devices.psk"
    if victim == "certificate":
        authority = Authority(tmp_path)
        cert, key = authority.sign("bridge")
        house = make_house(f"lwm2ms://127.0.0.1:0?cert={cert}&key={key}&ca={authority.file}", "lwm2m://127.0.0.1:0")
        return Sides(house, with_certificate(house, authority, "lamp-7", "DNS:lamp-7"), with_certificate(house, authority, "fan-1", "DNS:fan-1"))
    house = make_house(secure, "lwm2m://127.0.0.1:0")
    made = {"NoSec": lambda name, secret: house.device(name, dict(ROOM)), "key": lambda name, secret: with_key(house, name, secret)}
    return Sides(house, made[victim]("lamp-7", "6c616d70"), made[attacker]("fan-1", "66616e"))


def guesses(location):
    """Locations of somebody who has seen some, but not this one."""
    middle = location[3:]
    return ["rd", "rd/", "rd/0", "rd/1", "rd/lamp-7", "rd/" + "A" * 16, "rd/" + middle[:-1], "rd/" + middle + "A", "rd/" + middle.swapcase(),
            "rd/" + middle[::-1], "rd/" + middle + "/", "rd//" + middle, "RD/" + middle, "rd/%2e%2e/" + middle, "rd/../rd/" + middle]


@pytest.mark.parametrize("method", [POST, PUT, DELETE])
def test_a_location_cannot_be_guessed(sides, method):
    for guess in guesses(sides.victim.location):
        assert sides.attacker.ask(method, guess, query=["lt=1"]).says in ("4.00", "4.04", "4.05"), guess
    assert sides.still_there()
    sides.victim.update()


def test_a_location_that_was_overheard_helps_nobody_who_has_proved_another_name(sides, request):
    if "NoSec against NoSec" in request.node.name:
        return  # without proof the location is the proof: 96 random bits
    location = sides.victim.location
    assert [sides.attacker.ask(m, location, query=["lt=1"]).says for m in (POST, PUT, DELETE)] == ["4.04"] * 3
    assert sides.still_there()
    sides.victim.update()


def test_it_is_not_registered_over(sides, request):
    if "NoSec against NoSec" in request.node.name:
        return  # without proof a name is nobody's: test_without_proof_a_name_is_whoever_says_it_last
    answer = sides.attacker.ask(POST, "rd", b"</3303/7>", LINKS, ["ep=lamp-7", "lwm2m=1.1", "lt=60"])
    assert answer.says == "4.03"
    assert sides.still_there() and "</3303/7>" not in sides.house.http("GET", "lwm2m/lamp-7").body.decode()


def test_a_device_reads_and_writes_nobody(sides):
    """It speaks to the registration interface; the paths of others are not there."""
    for path in ("lwm2m/lamp-7/3303/0/5700", "lamp-7/3303/0/5700", "r/lwm2m/lamp-7/3303/0/5700", "rd/lamp-7/3303/0/5700", "3303/0/5700", "lwm2m", ""):
        for method in (GET, PUT, POST, DELETE):
            assert sides.attacker.ask(method, path, b"9" if method in (PUT, POST) else b"").says in ("4.04", "4.05", "4.00"), path
    assert sides.victim.resources[3303, 0, 5700] == 21.5 and sides.still_there()


def test_what_it_sends_and_notifies_is_its_own(sides):
    sides.attacker.send_values([{"n": "/3303/0/5700", "v": 99.5}])
    sides.attacker.ask(POST, "dp", json.dumps([{"n": "/../lamp-7/3303/0/5700", "v": 99.5}]).encode(), [(CONTENT_FORMAT, uint(SENML_JSON))])
    sides.attacker.ask(POST, "dp", json.dumps([{"n": "lwm2m/lamp-7/3303/0/5700", "v": 99.5}]).encode(), [(CONTENT_FORMAT, uint(SENML_JSON))])
    assert sides.still_there()


def test_a_notification_with_anothers_token_is_reset(sides):
    phone = sides.house.mqtt("lwm2m/lamp-7/3303/0/5700")
    asked = sides.victim.wait_request("GET", "/3303/0/5700")
    assert json.loads(phone.message().payload) == 21.5
    sides.attacker.notify("/3303/0/5700", type=coap.CON, payload=b"99.5", format=0, token=asked.message.token)
    sides.attacker.resets.get(timeout=30)
    sides.victim.notify("/3303/0/5700", 22.5)
    assert json.loads(phone.message().payload) == 22.5


def test_it_may_always_leave_itself(sides):
    sides.attacker.deregister()
    assert sides.still_there()
    sides.victim.deregister()
    assert sides.house.http("GET", "lwm2m/lamp-7/3303/0/5700").status == 404


def test_without_proof_a_name_is_whoever_says_it_last(house):
    """As OMA has it (1.0 5.3.1): the later registration replaces the earlier one, whose location is over."""
    lamp = house.device("lamp-7", dict(ROOM))
    other = house.device("lamp-7", {(3303, 0, 5700): 1.5})
    lamp.update(expect="4.04")
    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"1.5"
    lamp.deregister(expect="4.04")
    other.update()


@needs_openssl
@pytest.mark.parametrize("name, san, endpoint, says", [
    ("lamp-7", "DNS:lamp-7", "lamp-7", "2.01"), ("lamp-7", "DNS:lamp-7", "lamp-8", "4.03"), ("lamp-7", "DNS:lamp-8", "lamp-8", "4.03"),
    ("lamp-7", "DNS:*", "lamp-8", "4.03"), ("*", "DNS:*", "lamp-8", "4.03"), ("lamp-7", "DNS:lamp-7", "LAMP-7", "4.03"),
    ("lamp-7", "DNS:lamp-7", "lamp-7 ", "4.03"), ("lamp-7", "DNS:lamp-7", None, "2.01")])
def test_a_certificate_is_one_name(make_house, tmp_path, name, san, endpoint, says):
    authority = Authority(tmp_path)
    cert, key = authority.sign("bridge")
    house = make_house(f"lwm2ms://127.0.0.1:0?cert={cert}&key={key}&ca={authority.file}")
    stem = "star" if name == "*" else name
    mine, my_key = authority.sign(name, san, file=stem)
    port = house.bridge.port("lwm2ms")
    device = house.device(endpoint, dict(ROOM), socket=Secured(port, "-cert", str(mine), "-key", str(my_key)), port=port, register=False)
    device.register(expect=says)


# ---- Names

@pytest.mark.parametrize("name, path", [
    ("a/b", "a%2Fb"), ("..", ".."), (".", "."), ("../lamp-7", "..%2Flamp-7"), ("%2e%2e", "%252e%252e"), ("%00", "%2500"), ("+", "%2B"), ("#", "%23"),
    ("{ep}", "%7Bep%7D"), ("$SYS", "$SYS"), ("!registered", "%21registered"), ("!campaigns", "%21campaigns"), ("lamp 7", "lamp%207"),
    ("urn:imei:123456789012345", "urn:imei:123456789012345"), ("ü\u202e", "ü\u202e"), ("x" * 200, "x" * 200)])
def test_any_name_is_one_segment(house, name, path):
    house.device("lamp-7", dict(ROOM))
    house.device(name, {(3303, 0, 5700): 1.5})

    listed = {each["ep"] for each in json.loads(house.http("GET", "lwm2m/").body)}
    assert listed == {"lamp-7", name}
    assert house.bridge.devices[name].read("/3303/0/5700") == 1.5
    assert house.bridge.devices["lamp-7"].read("/3303/0/5700") == 21.5
    assert house.bridge.devices[name].path == f"lwm2m/{path}"


@pytest.mark.parametrize("name", [b"", b"\xff\xfe", b"lamp\x00", b"\x00", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"x" * 253])
def test_what_is_no_name(house, name):
    """Empty, no UTF-8 (RFC 3629), NUL; a query has 255 bytes (RFC 7252 5.10), and "ep=" is three of them."""
    lamp = house.device("lamp-7", dict(ROOM))
    options = LINKS + [(coap.URI_QUERY, b"ep=" + name), (coap.URI_QUERY, b"lwm2m=1.1")]
    message = lamp.socket.request(POST, "rd", payload=b"</3/0>", options=options)
    assert lamp.ask_message(message).says == ("4.02" if len(name) > 252 else "4.00")
    assert [each["ep"] for each in json.loads(house.http("GET", "lwm2m/").body)] == ["lamp-7"]


# ---- Paths

@pytest.mark.parametrize("path", [
    "../fan-1/3303/0/5700", "3303/../../fan-1/3303/0/5700", "3303/0/5700/../../..", "+/0/5700", "3303/+/5700", "3303/#", "3303/0/{r}", "65536/0/0",
    "-1/0/0", "3303/0/5700/0/0", "3303//5700", "3303/0/0x10", "3303/0/1e3", "nothing/0/0", "3303/0/5700/!dance", "!dance", "\u0663\u0663\u0660\u0663/0/0"])
def test_paths_that_are_none_reach_no_device(house, path):
    lamp, fan = house.device("lamp-7", dict(ROOM)), house.device("fan-1", dict(ROOM))
    for method in (PUT, POST, DELETE):
        with coap.Socket(house.bridge.port("coap")) as client:
            says = client.ask(method, "r/lwm2m/lamp-7/" + path, payload=b"" if method == DELETE else b"1").says
        assert says[0] == "4" or (method == DELETE and says == "2.02"), (method, says)  # what is not there is gone (RFC 7252 5.8.4)
    answer = house.http("GET", "lwm2m/lamp-7/" + quote(path).replace("..", "%2E%2E"))
    assert answer.status in (200, 400, 404, 405)  # 200: a wildcard reads what is kept, which is nothing
    assert lamp.requests.empty() and fan.requests.empty()


# ---- Floods

def register_all(house, count, name="flood-{}"):
    says = []
    with coap.Socket(house.port) as flood:
        for n in range(count):
            says.append(flood.ask(POST, "rd", payload=b"</3/0>", options=LINKS, query=[f"ep={name.format(n)}", "lwm2m=1.1"]).says)
    return says


def test_so_many_devices_and_no_more(make_house):
    house = make_house("lwm2m://127.0.0.1:0?max_devices=50")
    lamp = house.device("lamp-7", dict(ROOM))
    says = register_all(house, 60)

    assert says == ["2.01"] * 49 + ["4.29"] * 11
    assert house.bridge.stats()["bridge_lwm2m_devices"] == 50
    lamp.update()
    lamp.register()  # who is there already may come again


def test_so_many_a_second(make_house, still):
    house = make_house("lwm2m://127.0.0.1:0?max_register_rate=20", clock=still)
    says = register_all(house, 60)
    assert says == ["2.01"] * 20 + ["4.29"] * 40
    house.bridge.clock.advance(seconds=1)
    assert register_all(house, 25, "later-{}") == ["2.01"] * 20 + ["4.29"] * 5


def test_one_name_over_and_over_is_one_device(house):
    assert register_all(house, 200, "lamp-7") == ["2.01"] * 200
    assert house.bridge.stats()["bridge_lwm2m_devices"] == 1


def test_blocks_that_never_end_are_bounded(make_house):
    """Registrations in blocks, each begun and left: the engine's transfers have a number (docs/limits.md), the listener answers on."""
    house = make_house("lwm2m://127.0.0.1:0?max_links=2048")
    with coap.Socket(house.port) as flood:
        for n in range(300):
            options = [*LINKS, (coap.BLOCK1, coap.block(0, True, 1024))]
            answer = flood.ask(POST, "rd", payload=b"<" + b"x" * 1023, options=options, query=[f"ep=flood-{n}", "lwm2m=1.1"])
            assert answer.says in ("2.31", "4.08", "4.13", "4.29", "5.03")
    house.device("lamp-7", dict(ROOM))
    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"


def test_noise_is_no_registration(house):
    lamp = house.device("lamp-7", dict(ROOM))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
        noise.connect(("127.0.0.1", house.port))
        for n in range(500):
            noise.send(bytes((n * 7 + k * 13) % 256 for k in range(n % 64)))
            noise.send(b"\x48\x02" + n.to_bytes(2, "big") + b"\xb2rd"[:n % 4] + bytes([0xff]) * (n % 9))
            if n % 20 == 0:
                lamp.update()  # and the socket's buffer is empty again
    assert house.bridge.stats()["bridge_lwm2m_devices"] == 1
