"""Devices behind a device: the LwM2M Gateway, object 25."""
import pytest

from peers.coap import CONTENT_FORMAT, Message, code, uint
from peers.lwm2m import TEXT, heard


@pytest.fixture
def gateway(house):
    device = house.device("gw", {(25, 0, 0): "sensor-1", (25, 0, 1): "d01", (25, 0, 3): "</3303/0>",
                                 (25, 1, 0): "sensor-2", (25, 1, 1): "d02"}, register=False)
    for prefix, value in (("d01", b"21.5"), ("d02", b"4")):
        device.lies[f"/{prefix}/3303/0/5700"] = lambda request, v=value: Message(
            code=code("2.05"), options=[(CONTENT_FORMAT, uint(TEXT))], payload=v)
    return device


def test_each_is_a_device_of_its_own(house, gateway):
    watcher = house.mqtt("lwm2m/+/!registered", "lwm2m/+/!deregistered")
    gateway.register()

    told = dict(heard(watcher) for _ in range(3))
    assert told["lwm2m/sensor-1/!registered"]["gateway"] == "gw" and told["lwm2m/sensor-1/!registered"]["links"] == "</3303/0>"
    assert house.http("GET", "lwm2m/sensor-1/3303/0/5700").body == b"21.5"
    assert house.http("GET", "lwm2m/sensor-2/3303/0/5700").body == b"4"

    del gateway.resources[25, 1, 0], gateway.resources[25, 1, 1]
    gateway.update(links="</25/0>")
    assert heard(watcher)[0] == "lwm2m/sensor-2/!deregistered"
    gateway.deregister()
    assert {heard(watcher)[0] for _ in range(2)} == {"lwm2m/sensor-1/!deregistered", "lwm2m/gw/!deregistered"}
    assert house.http("GET", "lwm2m/sensor-1/3303/0/5700").status == 404


def test_a_gateway_takes_nobodys_name(house, gateway):
    house.device("sensor-1", {(3303, 0, 5700): 99.5})
    watcher = house.mqtt("lwm2m/sensor-2/!registered")
    gateway.register()
    heard(watcher)

    assert house.http("GET", "lwm2m/sensor-1/3303/0/5700").body == b"99.5"


def test_what_is_behind_may_speak_for_itself(house, gateway):
    watcher = house.mqtt("lwm2m/sensor-1/!registered")
    gateway.register()
    heard(watcher)
    house.device("sensor-1", {(3303, 0, 5700): 99.5})
    heard(watcher)

    assert house.http("GET", "lwm2m/sensor-1/3303/0/5700").body == b"99.5"
    gateway.deregister()
    assert house.http("GET", "lwm2m/sensor-1/3303/0/5700").body == b"99.5"


@pytest.mark.parametrize("prefix", ["a/b", "", "x" * 100])
def test_prefixes_that_are_none(house, prefix):
    watcher = house.mqtt("lwm2m/ok/!registered")
    house.device("gw", {(25, 0, 0): "bad", (25, 0, 1): prefix, (25, 1, 0): "ok", (25, 1, 1): "d"})
    heard(watcher)
    assert house.http("GET", "lwm2m/bad/3/0/0").status == 404
