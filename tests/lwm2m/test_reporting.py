"""Observe, Cancel, notifications and Send (LwM2M 1.0 5.5, 1.1 6.4)."""
import json

import pytest

from peers import coap
from peers.coap import CONTENT_FORMAT, uint
from peers.lwm2m import SENML_JSON, TLV, heard

ROOM = {(3303, 0, 5700): 21.5, (3303, 0, 5701): "Cel", (3303, 1, 5700): 19.5, (3, 0, 9): 80, (3, 0, 6): {0: 1, 1: 5}}
TEMPERATURE = "lwm2m/lamp-7/3303/0/5700"


@pytest.fixture
def lamp(house):
    return house.device("lamp-7", dict(ROOM))


def observed(lamp, path, n=0):
    request = lamp.wait_request("GET", path)
    assert request.observe == n, request
    return request


def test_the_last_watcher_ends_it(house, lamp):
    phone, pad = house.mqtt(TEMPERATURE), house.mqtt(TEMPERATURE)
    observed(lamp, "/3303/0/5700")
    assert heard(phone)[1] == heard(pad)[1] == 21.5

    phone.unsubscribe(TEMPERATURE)
    lamp.notify("/3303/0/5700", 22.0)
    assert heard(pad)[1] == 22
    pad.drop()

    assert observed(lamp, "/3303/0/5700", 1).message.token
    assert not lamp.observers


def test_a_later_watcher_gets_the_last_value_and_no_second_observation(house, lamp):
    phone = house.mqtt(TEMPERATURE)
    observed(lamp, "/3303/0/5700")
    assert heard(phone)[1] == 21.5

    pad = house.mqtt(TEMPERATURE)
    assert heard(pad)[1] == 21.5
    lamp.notify("/3303/0/5700", 22.0)
    assert heard(phone)[1] == heard(pad)[1] == 22
    assert lamp.requests.empty()


def test_who_watched_before_the_device_came(house):
    phone = house.mqtt(TEMPERATURE)
    lamp = house.device("lamp-7", dict(ROOM))

    observed(lamp, "/3303/0/5700")
    assert heard(phone)[1] == 21.5


def test_a_new_registration_begins_it_anew(house, lamp):
    phone = house.mqtt(TEMPERATURE)
    observed(lamp, "/3303/0/5700")
    heard(phone)

    lamp.observers.clear()
    lamp.resources[3303, 0, 5700] = 23.0
    lamp.register()

    observed(lamp, "/3303/0/5700")
    assert heard(phone)[1] == 23


def test_a_device_that_moved_is_observed_where_it_is(house, lamp):
    phone = house.mqtt(TEMPERATURE)
    observed(lamp, "/3303/0/5700")
    heard(phone)

    lamp.move()
    lamp.resources[3303, 0, 5700] = 24.0
    lamp.update()
    observed(lamp, "/3303/0/5700")
    assert heard(phone)[1] == 24
    lamp.notify("/3303/0/5700", 25.0)
    assert heard(phone)[1] == 25


def test_an_old_notification_is_no_news(house, lamp):
    phone = house.mqtt(TEMPERATURE)
    observed(lamp, "/3303/0/5700")
    heard(phone)

    lamp.notify("/3303/0/5700", 22.0, sequence=100)
    lamp.notify("/3303/0/5700", 21.0, sequence=99)  # overtaken on its way (RFC 7641 3.4)
    lamp.notify("/3303/0/5700", 23.0, sequence=101)

    assert [heard(phone)[1] for _ in range(2)] == [22, 23]


def test_a_confirmable_notification_is_acknowledged(house, lamp):
    phone = house.mqtt(TEMPERATURE)
    observed(lamp, "/3303/0/5700")
    heard(phone)
    lamp.notify("/3303/0/5700", 22.0, type=coap.CON)

    assert heard(phone)[1] == 22
    lamp.update()
    assert lamp.resets.empty()


def test_a_notification_that_nobody_wants_is_reset(house, lamp):
    lamp.notify("/3303/0/5700", token=b"unknown!", type=coap.CON)

    assert lamp.resets.get(timeout=20)


def test_an_instance_an_object_and_what_is_below(house, lamp):
    whole, each = house.mqtt("lwm2m/lamp-7/3303/0"), house.mqtt("lwm2m/lamp-7/3303/#")
    asked = {lamp.next_request().path, lamp.next_request().path}

    assert asked == {"/3303/0", "/3303"}
    assert heard(whole) == ("lwm2m/lamp-7/3303/0", {"5700": 21.5, "5701": "Cel"})
    told = dict(heard(each) for _ in range(4))
    assert told["lwm2m/lamp-7/3303/1/5700"] == 19.5 and told[TEMPERATURE] == 21.5 and told["lwm2m/lamp-7/3303/0/5701"] == b"Cel"

    lamp.notify("/3303", None)
    again = dict(heard(each) for _ in range(3))
    assert again["lwm2m/lamp-7/3303/1/5700"] == 19.5


def test_by_name(house, lamp):
    phone = house.mqtt("lwm2m/lamp-7/temperature/0/sensorValue")
    observed(lamp, "/3303/0/5700")

    assert heard(phone) == ("lwm2m/lamp-7/temperature/0/sensorValue", 21.5)


def test_a_multiple_resource(house, lamp):
    phone = house.mqtt("lwm2m/lamp-7/3/0/6")
    assert heard(phone)[1] == {"0": 1, "1": 5}


def test_a_history_is_told_moment_by_moment(house, lamp):
    phone = house.mqtt(TEMPERATURE)
    observed(lamp, "/3303/0/5700")
    heard(phone)
    pack = [{"bn": "/3303/0/5700", "bt": 1700000000, "v": 20, "t": 0}, {"v": 22, "t": 20}, {"v": 21, "t": 10}]

    lamp.notify("/3303/0/5700", payload=json.dumps(pack).encode(), format=SENML_JSON)

    assert [heard(phone)[1] for _ in range(3)] == [20, 21, 22]


def test_a_device_that_does_not_observe_answers_once(house, lamp):
    lamp.lies["/3303/0/5700"] = lambda request: lamp.content((3303, 0, 5700))
    phone = house.mqtt(TEMPERATURE)

    assert heard(phone)[1] == 21.5
    assert house.http("GET", TEMPERATURE).body == b"21.5"


def test_nonsense_in_a_notification_hurts_nobody(house, lamp):
    phone = house.mqtt(TEMPERATURE)
    observed(lamp, "/3303/0/5700")
    heard(phone)
    lamp.notify("/3303/0/5700", payload=b"\xff\xff\xff", format=TLV)
    lamp.notify("/3303/0/5700", payload=b"{", format=SENML_JSON)
    lamp.notify("/3303/0/5700", payload=b"\x01", format=9999)
    lamp.notify("/3303/0/5700", 22.0)

    assert heard(phone)[1] == 22


def test_a_watcher_is_told_that_the_device_has_gone(house, lamp):
    answer, seen = house.coap.observe("r/" + TEMPERATURE)
    observed(lamp, "/3303/0/5700")
    while seen.hear().payload != b"21.5":
        pass
    lamp.deregister()

    while (last := seen.hear()).says == "2.05":
        pass
    assert last.says == "4.04"


def test_observe_and_cancel_over_mqtt(house, lamp):
    client = house.mqtt(f"{TEMPERATURE}/!result", "lwm2m/lamp-7/3303/+/+/!result", version=4)
    client.publish(f"{TEMPERATURE}/!observe", b"")
    requests = [lamp.next_request() for _ in range(2)]
    assert [r.observe for r in requests] == [0, None]
    assert heard(client)[1]["value"] == "21.5"

    client.publish(f"{TEMPERATURE}/!cancel", b"")
    assert observed(lamp, "/3303/0/5700", 1)


# ---- Send

def test_send(house, lamp):
    events, values = house.mqtt("lwm2m/lamp-7/!send"), house.mqtt("lwm2m/lamp-7/+/+/+")
    lamp.send_values([{"n": "/3303/0/5700", "v": 20.5}, {"n": "/3/0/9", "v": 77}])

    assert dict(heard(values) for _ in range(2)) == {TEMPERATURE: 20.5, "lwm2m/lamp-7/3/0/9": 77}
    assert heard(events)[1] == {"3": {"0": {"9": 77}}, "3303": {"0": {"5700": 20.5}}}


def test_send_of_strangers_and_of_nonsense(house, lamp):
    with coap.Socket(house.port) as stranger:
        says = stranger.post("dp", b'[{"n":"/3303/0/5700","v":1}]', options=[(CONTENT_FORMAT, uint(SENML_JSON))]).says
        assert says == "4.04"
    assert lamp.ask(coap.POST, "dp", b"[", [(CONTENT_FORMAT, uint(SENML_JSON))]).says == "4.00"
    assert lamp.ask(coap.POST, "dp", b"21.5", [(CONTENT_FORMAT, uint(0))]).says == "4.15"
    assert lamp.ask(coap.POST, "dp", b'[{"n":"/x/y","v":1}]', [(CONTENT_FORMAT, uint(SENML_JSON))]).says == "4.00"


# ---- Observe-Composite (LwM2M 1.1 6.4.4)

def test_observe_composite(house, lamp):
    values = house.mqtt("lwm2m/lamp-7/+/+/+")
    assert house.http("POST", "lwm2m/lamp-7/!observe-composite", '["/3303/0/5700","/device/0/9"]').status == 204
    asked = lamp.wait_request("FETCH", "/")
    assert asked.observe == 0
    assert dict(heard(values) for _ in range(2)) == {TEMPERATURE: 21.5, "lwm2m/lamp-7/3/0/9": 80}

    (token, _), = [v for k, v in lamp.observers.items() if k.startswith("fetch")]
    lamp.notify("/3303/0/5700", token=token, format=SENML_JSON, payload=b'[{"n":"/3303/0/5700","v":22.5},{"n":"/3/0/9","v":79}]')
    assert dict(heard(values) for _ in range(2)) == {TEMPERATURE: 22.5, "lwm2m/lamp-7/3/0/9": 79}

    assert house.http("POST", "lwm2m/lamp-7/!cancel-composite").status == 204
    assert lamp.wait_request("FETCH", "/").observe == 1
    assert house.http("POST", "lwm2m/lamp-7/!cancel-composite").status == 404
    assert house.http("POST", "lwm2m/lamp-7/!observe-composite", "[1]").status == 422
