"""A device's resources over MQTT, HTTP and CoAP: read, write, execute, observe (MAPPING 6)."""
import json

import pytest

from peers.coap import ACCEPT, CONTENT_FORMAT, Message, code, uint
from peers.http import Events
from peers.lwm2m import LINKS, SENML_JSON, TEXT, TLV, heard

LIGHT = {(3311, 0, 5850): False, (3311, 0, 5851): 10, (3303, 0, 5700): 21.5, (3303, 0, 5701): "Cel", (3303, 1, 5700): 19.0,
         (3, 0, 0): "Acme", (3, 0, 6): {0: 1, 1: 5}, (3, 0, 9): 80}


@pytest.fixture
def executed():
    return []


@pytest.fixture
def lamp(house, executed):
    return house.device("lamp-7", {**LIGHT, (3, 0, 4): executed.append})


# ---- Read

@pytest.mark.parametrize("path, body, kind", [
    ("3303/0/5700", b"21.5", "text/plain"),
    ("3303/0/5701", b"Cel", "text/plain"),
    ("3311/0/5850", b"false", "text/plain"),
    ("3/0/9", b"80", "text/plain"),
    ("3/0/6/1", b"5", "text/plain"),
    ("3/0/6", b'{"0":1,"1":5}', "application/json"),
    ("3303/0", b'{"5700":21.5,"5701":"Cel"}', "application/json"),
    ("3303", b'{"0":{"5700":21.5,"5701":"Cel"},"1":{"5700":19}}', "application/json"),
    ("temperature/0/sensorValue", b"21.5", "text/plain"),
    ("Temperature/0/5701", b"Cel", "text/plain"),
    ("3303/0?names=1", b'{"sensorValue":21.5,"sensorUnits":"Cel"}', "application/json"),
    ("3303?names=1", b'{"0":{"sensorValue":21.5,"sensorUnits":"Cel"},"1":{"sensorValue":19}}', "application/json"),
])
def test_read_over_http(house, lamp, path, body, kind):
    answer = house.http("GET", "lwm2m/lamp-7/" + path)

    assert answer.status == 200
    assert answer.body == body or json.loads(answer.body) == json.loads(body)
    assert answer["Content-Type"].startswith(kind)


@pytest.mark.parametrize("path, body, format", [("3303/0/5700", b"21.5", TEXT), ("3303/0", b'{"5700":21.5,"5701":"Cel"}', 50)])
def test_read_over_coap(house, lamp, path, body, format):
    answer = house.coap.get("r/lwm2m/lamp-7/" + path)

    assert (answer.says, answer.payload, answer.uint(CONTENT_FORMAT)) == ("2.05", body, format)


def test_read_in_a_format_that_is_wanted(house, lamp):
    answer = house.coap.get("r/lwm2m/lamp-7/3303/0", options=[(ACCEPT, uint(TLV))])
    assert (answer.says, answer.uint(CONTENT_FORMAT)) == ("2.05", TLV)
    answer = house.http("GET", "lwm2m/lamp-7/3303/0", Accept="application/senml+json")
    assert answer.status == 200
    assert sorted((r.get("bn", "") + r["n"], r.get("v", r.get("vs"))) for r in expand(answer.json)) == [
        ("lwm2m/lamp-7/3303/0/5700", 21.5), ("lwm2m/lamp-7/3303/0/5701", "Cel")]


def expand(pack):
    base = ""
    for record in pack:
        base = record.pop("bn", base)
        record["bn"] = base
        record.setdefault("n", "")
    return pack


def test_read_over_mqtt(house, lamp):
    client = house.mqtt("answers")
    client.publish("lwm2m/lamp-7/3303/0/5700/!read", b"", props={"response_topic": "answers", "correlation": b"1"}, qos=1)

    assert heard(client, "answers") == ("answers", 21.5)


def test_read_over_mqtt_3(house, lamp):
    client = house.mqtt("lwm2m/lamp-7/3303/0/5700/!result", version=4)
    client.publish("lwm2m/lamp-7/3303/0/5700/!read", b"")

    _, result = heard(client, "lwm2m/lamp-7/3303/0/5700/!result")
    assert result == {"op": "read", "path": "/3303/0/5700", "status": "OK", "value": "21.5"}


@pytest.mark.parametrize("path, status", [("3303/7", 404), ("9999/0/1", 404), ("3303/0/nothing", 404), ("3/0/4", 405), ("3/0/6/9", 404),
                                          ("3303/0/5700/1/2", 404), ("99999", 404)])
def test_what_is_not_there(house, lamp, path, status):
    assert house.http("GET", "lwm2m/lamp-7/" + path).status == status


def test_the_device_itself(house, lamp):
    told = house.http("GET", "lwm2m/lamp-7/").json
    assert (told["ep"], told["lwm2m"]) == ("lamp-7", "1.1")


def test_an_unknown_object_passes_and_is_marked_as_guessed(house):
    house.device("lamp-7", {(33000, 0, 1): "text", (33000, 0, 2): 7})

    assert house.http("GET", "lwm2m/lamp-7/33000/0").json == {"1": "text", "2": 7}


# ---- Write

@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_write_over_http(house, lamp, method):
    assert house.http(method, "lwm2m/lamp-7/3311/0/5850", "true").status == 204

    request = lamp.next_request()
    assert (request.verb, request.path, request.format) == ("PUT", "/3311/0/5850", TLV)
    assert lamp.resources[3311, 0, 5850] is True


def test_write_over_coap_and_mqtt(house, lamp):
    assert house.coap.put("r/lwm2m/lamp-7/3311/0/5851", "55").says == "2.04"
    assert lamp.resources[3311, 0, 5851] == 55

    client = house.mqtt()
    client.publish("lwm2m/lamp-7/3311/0/5851", b"66", qos=1, retain=True)
    lamp.wait_request("PUT", "/3311/0/5851")
    client.publish("lwm2m/lamp-7/light control/0/dimmer", b"77", qos=1)
    lamp.wait_request("PUT", "/3311/0/5851")
    assert house.http("GET", "lwm2m/lamp-7/3311/0/5851").body == b"77"


def test_write_an_instance(house, lamp):
    assert house.http("PUT", "lwm2m/lamp-7/3311/0", '{"5850":true,"dimmer":42}', Content_Type="application/json").status == 204

    assert lamp.next_request() == ("PUT", "/3311/0")
    assert (lamp.resources[3311, 0, 5850], lamp.resources[3311, 0, 5851]) == (b"\x01", b"\x2a")


def test_write_a_part_of_an_instance(house, lamp):
    assert house.http("PATCH", "lwm2m/lamp-7/3311/0", '{"5851":42}', Content_Type="application/merge-patch+json").status == 204
    assert lamp.next_request() == ("POST", "/3311/0")
    assert (lamp.resources[3311, 0, 5850], lamp.resources[3311, 0, 5851]) == (False, 42)
    assert house.coap.post("r/lwm2m/lamp-7/3311/0", '{"5851":43}').says == "2.04"
    assert lamp.resources[3311, 0, 5851] == 43


def test_write_in_the_devices_own_words(house, lamp):
    body = b"\xc1\x05\x01"
    assert house.coap.put("r/lwm2m/lamp-7/3311/0", body, options=[(CONTENT_FORMAT, uint(TLV))]).says == "2.04"

    request = lamp.next_request()
    assert (request.payload, request.format) == (body, TLV)


def test_a_format_that_the_device_does_not_read_is_not_the_end(house, lamp):
    lamp.lies["PUT", "/3311/0/5851"] = lambda request: Message(code=code("4.15")) if request.format == TLV else lamp._serve(request)

    assert house.http("PUT", "lwm2m/lamp-7/3311/0/5851", "42").status == 204
    assert [lamp.next_request().format for _ in range(2)] == [TLV, TEXT]
    assert lamp.resources[3311, 0, 5851] == 42


@pytest.mark.parametrize("path, body, status", [("3311/0/5851", "bright", 422), ("3311/0", '{"nothing":1}', 422), ("3303/0/5700/x", "1", 404)])
def test_what_cannot_be_written(house, lamp, path, body, status):
    assert house.http("PUT", "lwm2m/lamp-7/" + path, body).status == status
    assert lamp.requests.empty()


def test_create_and_delete(house, lamp):
    answer = house.http("POST", "lwm2m/lamp-7/3303", '{"5700":3.5}')
    assert answer.status in (200, 201)
    assert lamp.next_request() == ("POST", "/3303")
    assert (3303, 2, 5700) in lamp.resources

    assert house.http("DELETE", "lwm2m/lamp-7/3303/2").status == 204
    assert lamp.next_request() == ("DELETE", "/3303/2")
    assert (3303, 2, 5700) not in lamp.resources


def test_a_resource_instance(house, lamp):
    assert house.http("PUT", "lwm2m/lamp-7/3/0/6/1", "7").status == 204
    assert lamp.next_request() == ("PUT", "/3/0/6/1")


# ---- Execute

def test_execute(house, lamp, executed):
    assert house.http("POST", "lwm2m/lamp-7/3/0/4").status == 204
    assert house.http("POST", "lwm2m/lamp-7/device/0/reboot", "0='now',1").status == 204
    assert house.coap.post("r/lwm2m/lamp-7/3/0/4", "5").says == "2.04"
    client = house.mqtt("answers")
    client.publish("lwm2m/lamp-7/3/0/4/!execute", b"2", props={"response_topic": "answers"}, qos=1)
    heard(client, "answers")

    assert executed == [b"", b"0='now',1", b"5", b"2"]


# ---- Discover, attributes

def test_discover(house, lamp):
    lamp.attributes[3303, 0] = ["pmin=10"]
    answer = house.coap.get("r/lwm2m/lamp-7/3303/0", options=[(ACCEPT, uint(LINKS))])

    assert (answer.says, answer.uint(CONTENT_FORMAT)) == ("2.05", LINKS)
    assert answer.payload == b"</3303/0>;pmin=10,</3303/0/5700>,</3303/0/5701>"
    house.http("GET", "lwm2m/lamp-7/3303?depth=1", Accept="application/link-format")
    assert [lamp.next_request().query for _ in range(2)] == [[], ["depth=1"]]


@pytest.mark.parametrize("query", ["pmin=10&pmax=60", "gt=25.5&lt=-3&st=0.5", "epmin=1&epmax=2", "con=1&edge=0&hqmax=5", "pmin="])
def test_write_attributes(house, lamp, query):
    assert house.http("PUT", "lwm2m/lamp-7/3303/0/5700?" + query).status == 204
    request = lamp.next_request()

    assert (request.verb, request.path, request.query, request.payload) == ("PUT", "/3303/0/5700", query.split("&"), b"")


# ---- Composite

def test_composite(house, lamp):
    answer = house.http("POST", "lwm2m/lamp-7/!read-composite", '["/3303/0/5700","/device/0/0"]')
    assert answer.json == {"3": {"0": {"0": "Acme"}}, "3303": {"0": {"5700": 21.5}}} or answer.json == {
        "3303": {"0": {"5700": 21.5}}, "3": {"0": {"0": "Acme"}}}
    assert lamp.next_request().verb == "FETCH"

    lamp.prefer = SENML_JSON
    house.http("GET", "lwm2m/lamp-7/3303/0")  # now it is known what it likes
    assert house.http("PATCH", "lwm2m/lamp-7/", '{"3311":{"0":{"5850":true}},"/3311/0/5851":3}').status == 204
    asked = lamp.wait_request("IPATCH", "/")
    assert asked.format == SENML_JSON
    assert (lamp.resources[3311, 0, 5850], lamp.resources[3311, 0, 5851]) == (True, 3)


# ---- Observe

def test_one_observation_for_all_who_watch(house, lamp):
    phone, pad = house.mqtt("lwm2m/lamp-7/3303/0/5700"), house.mqtt("lwm2m/lamp-7/3303/0/5700")
    answer, seen = house.coap.observe("r/lwm2m/lamp-7/3303/0/5700")
    events = Events(house.bridge.port("http"), "/resources/lwm2m/lamp-7/3303/0/5700")

    asked = lamp.wait_request("GET", "/3303/0/5700")
    assert asked.observe == 0
    assert heard(phone)[1] == heard(pad)[1] == 21.5

    lamp.notify("/3303/0/5700", 22.5)
    assert heard(phone)[1] == heard(pad)[1] == 22.5
    while seen.hear().payload != b"22.5":
        pass
    while events.next().data != "22.5":
        pass
    lamp.forget_requests()
    assert not [r for r in lamp.unread if r.observe == 0]
