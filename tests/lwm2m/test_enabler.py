"""Cases of the OMA's enabler test specifications that have a story of their own (docs/conformance/lwm2m.md): what is ordered, and what the device
does then."""
import json

import pytest

from peers.coap import ACCEPT, CONTENT_FORMAT, uint
from peers.http import Events
from peers.lwm2m import SENML_JSON, TLV, heard, tlv, tlv_parse

SERVER = {(1, 0, 0): 123, (1, 0, 1): 300, (1, 0, 5): 20, (1, 0, 6): True, (1, 0, 7): "U", (3, 0, 0): "Acme", (3, 0, 6): {0: 1, 1: 5},
          (3, 0, 7): {0: 3800, 1: 5000}, (3, 0, 11): {0: 0}, (3, 0, 16): "U"}


class Orders:
    """What a device was told to execute, to be done when its answer is out."""

    def __init__(self, house, *paths, **words):
        self.done = []
        self.device = house.device("lamp-7", {**SERVER, **{path: lambda arguments, path=path: self.done.append((path, arguments)) for path in paths}}, **words)
        self.house = house

    def execute(self, path, arguments=None):
        assert self.house.http("POST", "lwm2m/lamp-7" + path, arguments).status == 204
        assert self.device.wait_request("POST", path).payload == (arguments or "").encode()


def test_registration_update_trigger(house):                         # 1.0-int-104, 1.1-int-104; 1.0-int-556
    orders, events = Orders(house, (1, 0, 8)), house.mqtt("lwm2m/lamp-7/!updated", "lwm2m/lamp-7/!registered")
    orders.execute("/1/0/8")
    orders.device.update()
    topic, told = heard(events)
    assert (topic, told["ep"], told["lt"]) == ("lwm2m/lamp-7/!updated", "lamp-7", 300)


def test_disable(house):                                             # 1.0-int-555
    """It says good-bye, is away for its Disable Timeout, and comes back."""
    orders, events = Orders(house, (1, 0, 4)), house.mqtt("lwm2m/lamp-7/!deregistered", "lwm2m/lamp-7/!registered")
    assert house.http("PUT", "lwm2m/lamp-7/1/0/5", "60").status == 204
    orders.execute("/1/0/4")
    orders.device.deregister()
    assert heard(events)[1]["reason"] == "asked"
    assert house.http("GET", "lwm2m/lamp-7/3/0/0").status == 404
    house.bridge.clock.advance(seconds=60)
    orders.device.register()
    assert heard(events)[0] == "lwm2m/lamp-7/!registered"
    assert house.http("GET", "lwm2m/lamp-7/3/0/0").body == b"Acme"


def test_reboot(house):                                              # 1.0-int-655, 1.0-int-241, 1.1-int-241
    """It forgets all that it was told, and what is watched is observed anew."""
    orders = Orders(house, (3, 0, 4))
    values = house.mqtt("lwm2m/lamp-7/3/0/0")
    assert heard(values)[1] == b"Acme"
    orders.execute("/3/0/4")
    orders.device.observers.clear()
    orders.device.resources[3, 0, 0] = "Acme 2"
    before = orders.device.location
    orders.device.register()
    assert orders.device.location != before
    assert heard(values)[1] == b"Acme 2"


def test_the_lifetime_is_extended(house):                            # 1.1-int-107
    orders, events = Orders(house, lifetime=20), house.mqtt("lwm2m/lamp-7/!updated", "lwm2m/lamp-7/!deregistered")
    assert house.http("PUT", "lwm2m/lamp-7/1/0/1", "120").status == 204
    assert orders.device.resources[1, 0, 1] == 120
    orders.device.update(["lt=120"])
    assert heard(events)[1]["lt"] == 120
    house.bridge.clock.advance(seconds=100)
    orders.device.update()
    assert heard(events)[0] == "lwm2m/lamp-7/!updated"
    house.bridge.clock.advance(seconds=121)
    assert heard(events)[0] == "lwm2m/lamp-7/!deregistered"


@pytest.mark.parametrize("path, value", [
    ("/3", {"0": {"0": "Acme", "6": {"0": 1, "1": 5}, "7": {"0": 3800, "1": 5000}, "11": {"0": 0}, "16": "U"}}),     # 222, 237
    ("/3/0", {"0": "Acme", "6": {"0": 1, "1": 5}, "7": {"0": 3800, "1": 5000}, "11": {"0": 0}, "16": "U"}),          # 223
    ("/3/0/7", {"0": 3800, "1": 5000}), ("/3/0/7/1", 5000)])                                                        # 224, 225
def test_read_at_every_level(house, path, value):
    """Without a wish the device is asked without Accept, and whatever it likes is understood."""
    device = Orders(house).device
    answer = house.http("GET", "lwm2m/lamp-7" + path)
    assert json.loads(answer.body) == value
    request = device.wait_request("GET", path)
    assert (request.accept, request.payload) == (None, b"")
    device.prefer = SENML_JSON
    assert json.loads(house.http("GET", "lwm2m/lamp-7" + path).body) == value


def test_attributes_of_a_multiple_resource(house):                   # 1.1-int-261
    device = Orders(house).device
    assert house.http("PUT", "lwm2m/lamp-7/3/0/6?pmin=5&pmax=10").status == 204
    assert house.http("PUT", "lwm2m/lamp-7/3/0/7/1?gt=4500").status == 204
    assert [(r.path, r.query) for r in (device.next_request(), device.next_request())] == [("/3/0/6", ["pmin=5", "pmax=10"]), ("/3/0/7/1", ["gt=4500"])]
    links = house.http("GET", "lwm2m/lamp-7/3/0/6", Accept="application/link-format")
    assert links.body.startswith(b"</3/0/6>;pmin=5;pmax=10")


FIRMWARE = {(5, 0, 1): "", (5, 0, 3): 0, (5, 0, 5): 0, (5, 0, 6): "fw", (5, 0, 7): "1.0", (5, 0, 8): {0: 0, 1: 2}, (5, 0, 9): 2}


def test_what_a_firmware_object_says(house):                         # 1.0-int-751
    house.device("lamp-7", dict(FIRMWARE))
    assert house.http("GET", "lwm2m/lamp-7/5/0?names=1").json == {
        "packageURI": "", "state": 0, "updateResult": 0, "pkgName": "fw", "pkgVersion": "1.0", "firmwareUpdateProtocolSupport": {"0": 0, "1": 2},
        "firmwareUpdateDeliveryMethod": 2}
    assert [house.http("GET", f"lwm2m/lamp-7/5/0/{n}").body for n in (3, 5, 6, 7)] == [b"0", b"0", b"fw", b"1.0"]
    assert house.http("GET", "lwm2m/lamp-7/5/0/8/1").body == b"2"


def test_a_firmware_object_is_observed_while_it_is_written(house):   # 1.0-int-755, 756, 760
    device = house.device("lamp-7", {**FIRMWARE, (5, 0, 0): b""})
    with Events(house.bridge.port("http"), "/resources/lwm2m/lamp-7/5/0/3") as state:
        assert state.next().data == "0"
        assert house.http("PUT", "lwm2m/lamp-7/5/0/0", b"\0\1package", Content_Type="application/octet-stream").status == 204
        assert device.wait_request("PUT", "/5/0/0").payload.endswith(b"\0\1package")
        device.notify("/5/0/3", 2)
        assert state.next().data == "2"
        assert house.http("PUT", "lwm2m/lamp-7/5/0/1", "coap://192.0.2.1/fw").status == 204
        assert device.resources[5, 0, 1] == "coap://192.0.2.1/fw"
        device.notify("/5/0/3", 1)
        assert state.next().data == "1"


IDENTITY = {"0": "Host Device ID #1", "1": "Host Device Model #1"}


@pytest.fixture
def portfolio(house):
    return house.device("lamp-7", {(16, 0, 0): {0: "other"}, **SERVER}, links="</1/0>,</3/0>,</16/0>")


def test_a_portfolio_is_created(house, portfolio):                   # 1.1-int-1630
    """The server says which instance; Identity (16/N/0) has several values."""
    answer = house.http("POST", "lwm2m/lamp-7/16/1/!create", json.dumps({"0": IDENTITY}), Content_Type="application/json")
    assert answer.status in (200, 201, 204)
    request = portfolio.wait_request("POST", "/16")
    assert request.format == TLV
    [(kind, number, resources)] = tlv_parse(request.message.payload)
    assert (kind, number) == (0, 1)
    assert tlv_parse(resources) == [(2, 0, b"".join(tlv(1, int(n), value.encode()) for n, value in IDENTITY.items()))]
    portfolio.resources[16, 1, 0] = {int(n): value for n, value in IDENTITY.items()}
    assert house.http("GET", "lwm2m/lamp-7/16/1/0").json == IDENTITY
    links = house.coap.get("r/lwm2m/lamp-7/16", options=[(ACCEPT, uint(40))])
    assert (links.uint(CONTENT_FORMAT), b"</16/1>" in links.payload) == (40, True)


def test_a_portfolio_is_deleted(house, portfolio):                   # 1.1-int-1635
    portfolio.resources[16, 1, 0] = {0: "Host Device ID #1"}
    assert house.http("DELETE", "lwm2m/lamp-7/16/1").status == 204
    request = portfolio.wait_request("DELETE", "/16/1")
    assert (request.payload, request.query) == (b"", [])
    assert house.http("GET", "lwm2m/lamp-7/16/1").status == 404
    assert house.http("GET", "lwm2m/lamp-7/16").json == {"0": {"0": {"0": "other"}}}
