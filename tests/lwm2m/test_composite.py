"""Several places in one question: FETCH, ?paths=, PATCH of a pack become one Read-Composite, one Write-Composite (LwM2M 1.1.1 6.3.8, 6.3.9);
a device of 1.0, or one that does not know the operation, is asked one by one."""
import json

import pytest

from peers.coap import ACCEPT, CONTENT_FORMAT, Message, code, uint
from peers.lwm2m import SENML_CBOR, SENML_JSON, TLV

ETCH_JSON = 320
ROOM = {(3, 0, 0): "Acme", (3, 0, 1): "L-7", (3, 0, 6): {0: 1, 1: 5}, (3303, 0, 5700): 21.5, (3303, 0, 5701): "Cel", (3311, 0, 5850): False,
        (3311, 0, 5851): 10, (3311, 1, 5851): 20, (1, 0, 1): 300}


@pytest.fixture(params=["1.0", "1.1", "unknown"])
def lamp(request, house):
    device = house.device("lamp-7", dict(ROOM), version="1.0" if request.param == "1.0" else "1.1")
    device.alone = request.param != "1.1"
    if request.param == "unknown":
        device.lies["FETCH", "/"] = device.lies["IPATCH", "/"] = lambda request: Message(code=code("4.05"))
    return device


def asked(lamp):
    """What it was asked, but for what it said it does not know."""
    lamp.forget_requests()
    return [(r.verb, r.path) for r in lamp.unread if (r.verb, r.path) not in lamp.lies]


def fetch(house, path, names, format=ETCH_JSON, accept=None):
    body = json.dumps(names).encode() if isinstance(names, list) else names
    options = [(CONTENT_FORMAT, uint(format))] + ([(ACCEPT, uint(accept))] if accept is not None else [])
    return house.coap.ask(5, path, payload=body, options=options)


def told(answer):
    return json.loads(answer.payload)


def named(answer):
    base, out = "", {}
    for record in json.loads(answer.payload):
        base = record.get("bn", base)
        out[base + record.get("n", "")] = next((record[k] for k in ("v", "vs", "vb") if k in record), None)
    return out


def test_fetch_is_one_read_composite(house, lamp):
    answer = fetch(house, "r/lwm2m/lamp-7", [{"n": "/3/0/0"}, {"n": "/3303/0/5700"}])

    assert (answer.says, told(answer)) == ("2.05", {"3": {"0": {"0": "Acme"}}, "3303": {"0": {"5700": 21.5}}})
    assert asked(lamp) == ([("GET", "/3/0/0"), ("GET", "/3303/0/5700")] if lamp.alone else [("FETCH", "/")])


@pytest.mark.parametrize("names, format", [
    ([{"bn": "/3303/0/", "n": "5700"}, {"n": "5701"}], ETCH_JSON), ([{"bn": "/3303/0/", "n": "5700"}, {"n": "5701"}], SENML_JSON),
    (["/3303/0/5700", "/3303/0/5701"], 50), (["3303/0/5700", "temperature/0/sensorUnits"], 50),
    ([{"n": "/lwm2m/lamp-7/3303/0/5700"}, {"n": "lwm2m/lamp-7/3303/0/5701"}], ETCH_JSON),
    (b"\x82\xa1\x00\x6c/3303/0/5700\xa1\x00\x6c/3303/0/5701", 322), (b"\x82\xa1\x00\x6c/3303/0/5700\xa1\x00\x6c/3303/0/5701", SENML_CBOR)])
def test_however_they_are_named(house, lamp, names, format):
    assert told(fetch(house, "r/lwm2m/lamp-7", names, format)) == {"3303": {"0": {"5700": 21.5, "5701": "Cel"}}}


def test_below_an_instance_and_in_the_format_that_is_wanted(house, lamp):
    assert told(fetch(house, "r/lwm2m/lamp-7/3303/0", [{"n": "5700"}])) == {"5700": 21.5}
    answer = fetch(house, "r/lwm2m/lamp-7", [{"n": "/3303/0/5700"}, {"n": "/3/0/6"}, {"n": "/1"}], accept=SENML_JSON)
    assert answer.uint(CONTENT_FORMAT) == SENML_JSON
    assert named(answer) == {"/3303/0/5700": 21.5, "/3/0/6/0": 1, "/3/0/6/1": 5, "/1/0/1": 300}


def test_the_root_is_all_of_it(house):
    lamp = house.device("lamp-7", dict(ROOM))
    assert told(fetch(house, "r/lwm2m/lamp-7", ["/"], 50))["3303"] == {"0": {"5700": 21.5, "5701": "Cel"}}
    assert lamp.wait_request("FETCH", "/").payload == b'[{"n":"/"}]'


def test_http_has_a_query_for_it(house, lamp):
    answer = house.http("GET", "lwm2m/lamp-7/?paths=/3/0/0,/3303/0/5700")
    assert (answer.status, answer.json) == (200, {"3": {"0": {"0": "Acme"}}, "3303": {"0": {"5700": 21.5}}})
    assert house.http("GET", "lwm2m/lamp-7/3303?paths=%2F3303%2F0%2F5701").json == {"0": {"5701": "Cel"}}
    assert house.http("GET", "lwm2m/lamp-7?paths=3/0/1").json == {"3": {"0": {"1": "L-7"}}}


def test_what_is_not_there_is_left_out(house, lamp):
    assert told(fetch(house, "r/lwm2m/lamp-7", [{"n": "/3/0/0"}, {"n": "/3/0/9"}])) == {"3": {"0": {"0": "Acme"}}}
    assert house.bridge.devices["lamp-7"].read_many("/3303/0/5700", "/3/0/9") == {"/3303/0/5700": 21.5, "/3/0/9": None}


@pytest.mark.parametrize("names, path, says", [
    ([], "", "4.22"), ([{"n": "/three"}], "", "4.22"), (["/3/0/0/0/0"], "", "4.22"), ([{"n": "/3/0/0"}], "/3303/0", "4.03"),
    ([{"n": "../../lamp-8/3/0/0"}], "", "4.22"), ([{"n": "/lwm2m/lamp-8/3/0/0"}], "", "4.22"), ([{"n": f"/3303/0/{n}"} for n in range(257)], "", "4.13")])
def test_what_cannot_be_asked(house, lamp, names, path, says):
    house.device("lamp-8", dict(ROOM))
    answer = fetch(house, "r/lwm2m/lamp-7" + path, names, 50 if names and isinstance(names[0], str) else ETCH_JSON)
    assert answer.says == says and not asked(lamp)


def test_patch_is_one_write_composite(house, lamp):
    pack = [{"bn": "/3311/", "n": "0/5850", "vb": True}, {"n": "0/5851", "v": 77}, {"n": "1/5851", "v": 88}, {"bn": "", "n": "/1/0/1", "v": 60}]
    answer = house.coap.ask(7, "r/lwm2m/lamp-7", payload=json.dumps(pack).encode(), options=[(CONTENT_FORMAT, uint(SENML_JSON))])
    assert answer.says == "2.04"

    assert [lamp.resources[path] for path in ((3311, 0, 5850), (3311, 0, 5851), (3311, 1, 5851), (1, 0, 1))] == [True, 77, 88, 60]
    assert asked(lamp) == ([("POST", "/3311/0"), ("POST", "/3311/1"), ("POST", "/1/0")] if lamp.alone else [("IPATCH", "/")])


@pytest.mark.parametrize("body, kind", [
    ('{"3311":{"0":{"5851":77}},"1":{"0":{"1":60}}}', "application/merge-patch+json"),
    ('[{"n":"/3311/0/5851","v":77},{"n":"/1/0/1","v":60}]', "application/senml-etch+json"),
    ('[{"n":"lwm2m/lamp-7/3311/0/5851","v":77},{"n":"/lwm2m/lamp-7/1/0/1","v":60}]', "application/senml+json")])
def test_patch_over_http(house, lamp, body, kind):
    assert house.http("PATCH", "lwm2m/lamp-7/", body, Content_Type=kind).status == 204
    assert (lamp.resources[3311, 0, 5851], lamp.resources[1, 0, 1]) == (77, 60)


def test_patch_of_an_object(house, lamp):
    assert house.http("PATCH", "lwm2m/lamp-7/3311", '{"0":{"5851":7},"1":{"5851":8}}', Content_Type="application/merge-patch+json").status == 204
    assert (lamp.resources[3311, 0, 5851], lamp.resources[3311, 1, 5851]) == (7, 8)
    assert house.http("PATCH", "lwm2m/lamp-7/3311", '[{"n":"/1/0/1","v":60}]', Content_Type="application/senml-etch+json").status == 403
    assert lamp.resources[1, 0, 1] == 300


def test_the_first_that_refuses_ends_it(house):
    lamp = house.device("lamp-7", dict(ROOM), version="1.0")
    lamp.lies["POST", "/3311/1"] = lambda request: Message(code=code("4.05"))
    answer = house.coap.ask(6, "r/lwm2m/lamp-7", payload=b'{"3311":{"0":{"5851":7},"1":{"5851":8}},"1":{"0":{"1":60}}}', options=[(CONTENT_FORMAT, uint(52))])

    assert (answer.says, answer.payload) == ("4.05", b"/3311/1: verb not allowed here; 1 of 3 instances were written")
    assert (lamp.resources[3311, 0, 5851], lamp.resources[1, 0, 1]) == (7, 300)


def test_a_device_that_reads_only_cbor(house):
    """Zephyr's, built without its JSON."""
    lamp = house.device("lamp-7", dict(ROOM))
    seen = []

    def only_cbor(request):
        seen.append(request.format)
        if request.format != SENML_CBOR:
            return Message(code=code("4.15"))
        if request.verb == "IPATCH":
            return Message(code=code("2.04"))
        assert request.accept == SENML_CBOR and b"/3303/0/5700" in request.payload
        return Message(code=code("2.05"), options=[(CONTENT_FORMAT, uint(SENML_CBOR))], payload=b"\x81\xa2\x00\x6c/3303/0/5700\x02\xf9\x4d\x60")
    lamp.lies["FETCH", "/"] = lamp.lies["IPATCH", "/"] = only_cbor
    assert told(fetch(house, "r/lwm2m/lamp-7", [{"n": "/3303/0/5700"}])) == {"3303": {"0": {"5700": 21.5}}}
    assert house.http("PATCH", "lwm2m/lamp-7/", '{"3311":{"0":{"5851":7}}}', Content_Type="application/merge-patch+json").status == 204
    assert seen == [SENML_JSON, SENML_CBOR, SENML_CBOR]  # once is enough


def test_it_says_that_it_likes_cbor(house):
    lamp = house.device("lamp-7", dict(ROOM), links='</>;rt="oma.lwm2m";ct="112 60",</3303/0>,</3/0>')
    lamp.lies["FETCH", "/"] = lambda request: Message(code=code("2.05"), options=[(CONTENT_FORMAT, uint(SENML_CBOR))], payload=b"\x80")
    fetch(house, "r/lwm2m/lamp-7", [{"n": "/3303/0/5700"}])
    assert lamp.wait_request("FETCH", "/").format == SENML_CBOR


def test_writes_of_one_by_one_are_in_the_devices_format(house):
    lamp = house.device("lamp-7", dict(ROOM), version="1.0")
    house.http("PATCH", "lwm2m/lamp-7/", '{"3311":{"0":{"dimmer":7,"5850":true}}}', Content_Type="application/merge-patch+json")
    request = lamp.wait_request("POST", "/3311/0")
    assert (request.format, request.payload) == (TLV, bytes.fromhex("e116da01 e116db07"))


def test_a_device_that_is_lost_in_the_middle(house):
    lamp = house.device("lamp-7", dict(ROOM), version="1.0")
    lamp.lies["/3303/0/5700"] = lambda request: None
    message = house.coap.request(5, "r/lwm2m/lamp-7", payload=b'[{"n":"/3/0/0"},{"n":"/3303/0/5700"}]', options=[(CONTENT_FORMAT, uint(ETCH_JSON))])
    house.coap.send(message)
    lamp.wait_request("GET", "/3303/0/5700")
    house.bridge.clock.advance(seconds=6)
    assert house.coap.answer_to(message).says == "5.04"
