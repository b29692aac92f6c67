"""Registrations outlive the process."""
import pytest

from peers.lwm2m import heard
from peers.mqtt import Client

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


def restarted(start, house, lamp):
    """The bridge is another one on the same port; what the device was asked before is forgotten."""
    port = house.port
    house.bridge.close()
    lamp.forget_requests()
    lamp.unread.clear()
    return start(port)


def test_what_a_kept_session_watches_is_observed_again(start):
    house = start()
    lamp = house.device("lamp-7", dict(ROOM))
    phone = Client(house.bridge.port("mqtt")).connect("phone", clean=False, props={"session_expiry": 10000})
    phone.subscribe(("lwm2m/lamp-7/3303/0/5700", 1))
    assert heard(phone)[1] == 21.5
    phone.socket.close()

    house = restarted(start, house, lamp)

    assert lamp.wait_request("GET", "/3303/0/5700").observe == 0


def test_what_was_pinned_is_observed_again(start):
    house = start()
    lamp = house.device("lamp-7", dict(ROOM))
    assert house.http("POST", "lwm2m/lamp-7/3303/0/5700/!observe").status == 200
    assert house.http("POST", "lwm2m/lamp-7/3311/0/5850/!observe").status == 200
    assert house.http("POST", "lwm2m/lamp-7/3311/0/5850/!cancel").status in (200, 204)

    house = restarted(start, house, lamp)
    assert lamp.wait_request("GET", "/3303/0/5700").observe == 0
    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"
    assert not [r for r in lamp.unread if r.path == "/3311/0/5850"]
    lamp.deregister()

    port = house.port
    house.bridge.close()
    house = start(port)
    lamp.forget_requests()
    lamp.register()
    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"
    assert lamp.next_request().observe is None  # who has gone is not observed when it comes again


def test_a_composite_observation_is_begun_again(start):
    house = start()
    lamp = house.device("lamp-7", dict(ROOM))
    assert house.http("POST", "lwm2m/lamp-7/!observe-composite", '["/3303/0/5700", "/3311/0/5850"]', Content_Type="application/json").status in (200, 204)
    first = lamp.next_request()

    house = restarted(start, house, lamp)
    again = lamp.next_request()
    assert (again.verb, again.observe, again.payload) == ("FETCH", 0, first.payload)
