"""Several paths of a device watched as one: FETCH with Observe, ?paths= with events, a subscription to their name.  One Observe-Composite at the
device (LwM2M 1.1.1 6.4.4), ended with the last watcher; a device that knows none has each path observed."""
import json

import pytest

from peers import coap
from peers.coap import ACCEPT, CONTENT_FORMAT, OBSERVE, Message, code, uint
from peers.http import Events
from peers.lwm2m import SENML_CBOR, SENML_JSON, heard

ETCH_JSON = 320
ROOM = {(3, 0, 0): "Acme", (3, 0, 9): 80, (3303, 0, 5700): 21.5, (3303, 0, 5701): "Cel", (3303, 1, 5700): 19.0}
PATHS = ["/3303/0/5700", "/3/0/9"]
NAME = "lwm2m/lamp-7/!composite/3.0.9,3303.0.5700"
BOTH = {"3": {"0": {"9": 80}}, "3303": {"0": {"5700": 21.5}}}


@pytest.fixture
def lamp(house):
    return house.device("lamp-7", dict(ROOM))


def fetch(socket, paths=PATHS, *, path="r/lwm2m/lamp-7", observe=b"", token=b"set", accept=None, **words):
    options = [(CONTENT_FORMAT, uint(ETCH_JSON)), (OBSERVE, observe)] + ([(ACCEPT, uint(accept))] if accept is not None else [])
    return socket.ask(coap.FETCH, path, payload=json.dumps([{"n": each} for each in paths]), options=options, token=token, **words)


def news(socket):
    heard = socket.hear()
    if heard.type == coap.CON:
        socket.ack(heard)
    assert heard.token == b"set"
    return heard


def news_of(socket, wanted):
    """What is notified, until it is that: a first notification may tell what the answer told."""
    while json.loads((told := news(socket)).payload) != wanted:
        pass
    return told


def tell(lamp, *values):
    """A notification of the composite observation."""
    (token, _), = [v for k, v in lamp.observers.items() if k.startswith("fetch")]
    for path, value in values:
        lamp.resources[lamp.ids(path)] = value
    pack = lamp.senml({lamp.ids(p): lamp.resources[lamp.ids(p)] for p in PATHS})
    lamp.notify("/3303/0/5700", token=token, format=SENML_JSON, payload=json.dumps(pack).encode())


def observed(lamp):
    """The next question that begins or ends an observation."""
    while True:
        request = lamp.next_request()
        if request.observe is not None:
            return request.verb, request.path, request.observe


def test_fetch_with_observe_is_one_observe_composite(house, lamp):
    answer = fetch(house.coap)
    assert (answer.says, answer.option(OBSERVE) is not None, json.loads(answer.payload)) == ("2.05", True, BOTH)
    assert observed(lamp) == ("FETCH", "/", 0)

    tell(lamp, ("/3303/0/5700", 22.5))
    assert news_of(house.coap, {"3": {"0": {"9": 80}}, "3303": {"0": {"5700": 22.5}}}).uint(CONTENT_FORMAT) == 50

    assert fetch(house.coap, observe=b"\1").option(OBSERVE) is None
    assert observed(lamp) == ("FETCH", "/", 1)


def test_all_who_ask_for_the_same_share_it(house, lamp):
    """In whatever order, spelling and protocol."""
    assert fetch(house.coap).says == "2.05"
    assert observed(lamp) == ("FETCH", "/", 0)
    values = house.mqtt(NAME)
    assert heard(values, NAME) == (NAME, BOTH)
    with Events(house.bridge.port("http"), "/resources/lwm2m/lamp-7/?paths=/3/0/9,/temperature/0/sensorValue") as events:
        assert json.loads(events.next().data) == BOTH
        tell(lamp, ("/3/0/9", 79))
        told = {"3": {"0": {"9": 79}}, "3303": {"0": {"5700": 21.5}}}
        assert json.loads(events.next().data) == told
        assert heard(values, NAME) == (NAME, told)
        news_of(house.coap, told)
    values.unsubscribe(NAME)
    lamp.forget_requests()
    assert not [r for r in lamp.unread if r.observe is not None]     # one watches still
    fetch(house.coap, observe=b"\1")
    assert observed(lamp) == ("FETCH", "/", 1)


def test_it_is_read_by_its_name(house, lamp):
    answer = house.http("GET", NAME)
    assert (answer.status, answer.json) == (200, BOTH)
    assert house.http("GET", "lwm2m/lamp-7/3303/!composite/0.5700,1").json == {"0": {"5700": 21.5}, "1": {"5700": 19}}
    assert house.http("GET", "lwm2m/lamp-7/3303/0/!composite/.").json == {"5700": 21.5, "5701": "Cel"}
    assert house.http("GET", "lwm2m/lamp-7/!composite/three").status == 422
    assert house.http("GET", "lwm2m/lamp-7/!composite/3.0.0.0.0").status == 422


def test_below_an_object(house, lamp):
    answer = fetch(house.coap, ["0/5700", "1/5700"], path="r/lwm2m/lamp-7/3303")
    assert json.loads(answer.payload) == {"0": {"5700": 21.5}, "1": {"5700": 19}}
    assert observed(lamp) == ("FETCH", "/", 0)
    (token, _), = lamp.observers.values()
    lamp.notify("/3303/0/5700", token=token, format=SENML_JSON, payload=b'[{"n":"/3303/0/5700","v":1},{"n":"/3303/1/5700","v":2}]')
    news_of(house.coap, {"0": {"5700": 1}, "1": {"5700": 2}})


def test_all_of_it_is_in_the_format_that_was_wanted(house, lamp):
    def names(message):
        base, out = "", {}
        for record in json.loads(message.payload):
            base = record.get("bn", base)
            out[base + record.get("n", "")] = record["v"]
        return out
    first = fetch(house.coap, accept=SENML_JSON)
    assert observed(lamp) == ("FETCH", "/", 0)
    assert (first.uint(CONTENT_FORMAT), names(first)) == (SENML_JSON, {"lwm2m/lamp-7/3/0/9": 80, "lwm2m/lamp-7/3303/0/5700": 21.5})
    tell(lamp, ("/3303/0/5700", 22.5))
    while names(news(house.coap))["lwm2m/lamp-7/3303/0/5700"] != 22.5:
        pass


def test_what_cannot_be_asked_is_not_watched(house, lamp):
    assert fetch(house.coap, ["/three"]).says == "4.22"
    assert fetch(house.coap, ["/3/0/0"], path="r/lwm2m/lamp-7/3303").says == "4.03"
    assert house.http("GET", "lwm2m/lamp-7/?paths=/three", Accept="text/event-stream").status == 422
    lamp.forget_requests()
    assert not lamp.unread


def test_a_device_that_reads_only_cbor(house):
    lamp = house.device("lamp-7", dict(ROOM))
    formats = []

    def only_cbor(request):
        formats.append(request.format)
        if request.format != SENML_CBOR:
            return Message(code=code("4.15"))
        lamp.observers["fetch"] = request.message.token, None
        return Message(code=code("2.05"), options=[(CONTENT_FORMAT, uint(SENML_CBOR))] + ([(OBSERVE, uint(1))] if request.observe == 0 else []),
                       payload=b"\x81\xa2\x00\x6c/3303/0/5700\x02\xf9\x4d\x60")
    lamp.lies["FETCH", "/"] = only_cbor
    values = house.mqtt(NAME)
    assert heard(values, NAME) == (NAME, {"3303": {"0": {"5700": 21.5}}})
    assert formats == [SENML_JSON, SENML_CBOR]


@pytest.fixture(params=["1.0", "unknown"])
def simple(request, house):
    """It knows no composites."""
    device = house.device("lamp-7", dict(ROOM), version="1.0" if request.param == "1.0" else "1.1")
    if request.param == "unknown":
        device.lies["FETCH", "/"] = lambda request: Message(code=code("4.05"))
    return device


def singly(lamp, count):
    found = []
    while len(found) < count:
        found += [it for it in [observed(lamp)] if it[0] == "GET"]
    return sorted(found)


def test_a_device_without_composites_has_each_path_observed(house, simple):
    values = house.mqtt(NAME)
    assert heard(values, NAME) == (NAME, BOTH)                       # told when both are there
    assert singly(simple, 2) == [("GET", "/3/0/9", 0), ("GET", "/3303/0/5700", 0)]

    simple.notify("/3303/0/5700", 23.5)
    assert heard(values, NAME) == (NAME, {"3": {"0": {"9": 80}}, "3303": {"0": {"5700": 23.5}}})
    alone = house.mqtt("lwm2m/lamp-7/3/0/9")                         # shares what is there
    assert heard(alone) == ("lwm2m/lamp-7/3/0/9", 80)                # begun anew, to know how it stands
    assert (observed(simple), observed(simple)) == (("GET", "/3/0/9", 1), ("GET", "/3/0/9", 0))

    values.unsubscribe(NAME)
    assert singly(simple, 1) == [("GET", "/3303/0/5700", 1)]         # the other one is watched still
    simple.notify("/3/0/9", 70)
    assert heard(alone) == ("lwm2m/lamp-7/3/0/9", 70)
    alone.unsubscribe("lwm2m/lamp-7/3/0/9")
    assert singly(simple, 1) == [("GET", "/3/0/9", 1)]


def test_of_what_is_missing_nothing_is_told(house, simple):
    name = "lwm2m/lamp-7/!composite/3.0.5,3303.0.5700"
    assert heard(house.mqtt(name), name) == (name, {"3303": {"0": {"5700": 21.5}}})


def test_it_is_begun_anew_with_a_new_registration(house, lamp):
    values = house.mqtt(NAME)
    assert heard(values, NAME) == (NAME, BOTH)
    assert observed(lamp) == ("FETCH", "/", 0)
    lamp.observers.clear()
    lamp.register()
    assert observed(lamp) == ("FETCH", "/", 0)


def test_a_device_that_leaves_ends_it(house, lamp):
    fetch(house.coap)
    assert observed(lamp) == ("FETCH", "/", 0)
    lamp.deregister()
    while news(house.coap).says != "4.04":
        pass
