"""Registrations outlive the process."""
import pytest

from peers.lwm2m import heard

ROOM = {(3303, 0, 5700): 21.5, (3311, 0, 5850): False}


@pytest.fixture
def start(make_house, tmp_path):
    def again(port=0, **options):
        return make_house(f"lwm2m://127.0.0.1:{port}", store=f"sqlite:{tmp_path}/devices.db", **options)
    return again


def test_a_device_is_still_there(start):
    house = start()
    port = house.port
    lamp = house.device("lamp-7", dict(ROOM), lifetime=500)
    fan = house.device("fan", dict(ROOM))
    fan.deregister()
    house.bridge.close()

    house = start(port)

    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"
    assert house.http("GET", "lwm2m/fan/3303/0/5700").status == 404
    lamp.update()
    phone = house.mqtt("lwm2m/lamp-7/3303/0/5700")
    assert heard(phone)[1] == 21.5


def test_a_lifetime_goes_on(start):
    house = start()
    port = house.port
    house.device("lamp-7", dict(ROOM), lifetime=60).update()
    house.bridge.close()

    house = start(port)
    watcher = house.mqtt("lwm2m/lamp-7/!deregistered")
    house.bridge.clock.advance(seconds=61)

    assert heard(watcher)[1]["reason"] == "expired"


def test_what_a_device_tells_is_not_written_to_disk(start):
    house = start()
    port = house.port
    lamp = house.device("lamp-7", dict(ROOM))
    phone = house.mqtt("lwm2m/lamp-7/3303/0/5700")
    assert heard(phone)[1] == 21.5
    lamp.close()
    house.bridge.close()

    house = start(port)
    everything = house.mqtt("lwm2m/#")
    everything.ping()
    assert not everything.kept
