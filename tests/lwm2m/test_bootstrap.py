"""The bootstrap server: LwM2M 1.0 5.2, 1.1 6.1, 1.2 6.1.7 (Bootstrap-Pack)."""
import json

import pytest

from peers import coap
from peers.coap import ACCEPT, CONTENT_FORMAT, Message, code, uint
from peers.lwm2m import SENML_JSON, TLV, heard, tlv_parse

PLANS = {
    "default": {"delete": ["/0", "/1"], "write": {
        "/0/0": {"0": "coaps://bridge.example:5684", "1": False, "2": 3, "10": 101},
        "/1/0": {"0": 101, "1": 300, "7": "U"}}},
    "lamp-8": {"discover": True, "read": ["/1"], "write": {"/1/0": {"Lifetime": 60, "0": 5}, "/0/1": {"securityMode": 0, "LwM2M Server URI": "coap://{endpoint}"}}},
}


@pytest.fixture
def house(make_house, tmp_path):
    (tmp_path / "plans.json").write_text(json.dumps(PLANS))
    return make_house(f"lwm2m://127.0.0.1:0?bootstrap={tmp_path}/plans.json")


@pytest.fixture
def watcher(house):
    return house.mqtt("lwm2m/+/!bootstrap")


def accept_all(device):
    for verb, path in (("DELETE", "/0"), ("DELETE", "/1"), ("PUT", "/0/0"), ("PUT", "/1/0"), ("PUT", "/0/1"), ("POST", "/bs")):
        device.lies[verb, path] = lambda request: Message(code=code("2.02" if request.verb == "DELETE" else "2.04"))
    return device


def boot(device, expect="2.04", query=()):
    answer = device.ask(coap.POST, "bs", query=[f"ep={device.endpoint}", *query])
    assert answer.says == expect, answer


def test_a_device_is_given_what_it_needs(house, watcher):
    lamp = accept_all(house.device("lamp-7", {}, register=False))
    boot(lamp)

    asked = [lamp.next_request() for _ in range(5)]
    assert [(r.verb, r.path) for r in asked] == [("DELETE", "/0"), ("DELETE", "/1"), ("PUT", "/0/0"), ("PUT", "/1/0"), ("POST", "/bs")]
    assert asked[2].format == TLV
    assert {n: data for _, n, data in tlv_parse(asked[2].payload)} == {0: b"coaps://bridge.example:5684", 1: b"\0", 2: b"\3", 10: b"\x65"}
    topic, told = heard(watcher)
    assert (topic, told["bootstrap"]) == ("lwm2m/lamp-7/!bootstrap", "done")


def test_each_its_own(house, watcher):
    lamp = accept_all(house.device("lamp-8", {(1, 0, 0): 1, (1, 0, 1): 10}, register=False))
    found = house.mqtt("lwm2m/lamp-8/!bootstrap/#")
    boot(lamp)

    asked = [lamp.next_request() for _ in range(5)]
    assert [(r.verb, r.path) for r in asked] == [("GET", "/"), ("GET", "/1"), ("PUT", "/1/0"), ("PUT", "/0/1"), ("POST", "/bs")]
    assert {n: data for _, n, data in tlv_parse(asked[3].payload)} == {0: b"coap://lamp-8", 2: b"\0"}
    assert heard(found)[0] == "lwm2m/lamp-8/!bootstrap"
    assert heard(found) == ("lwm2m/lamp-8/!bootstrap/1", {"0": {"0": 1, "1": 10}})
    assert heard(watcher)[0] == "lwm2m/lamp-8/!bootstrap"


def test_the_preferred_format(house):
    lamp = accept_all(house.device("lamp-7", {}, register=False))
    boot(lamp, query=["pct=110"])

    written = lamp.wait_request("PUT", "/1/0")
    assert written.format == SENML_JSON


def test_a_device_that_reads_no_tlv(house, watcher):
    lamp = accept_all(house.device("lamp-7", {}, register=False))
    lamp.lies["PUT", "/0/0"] = lambda request: Message(code=code("4.15" if request.format == TLV else "2.04"))
    boot(lamp)

    assert heard(watcher)[1]["bootstrap"] == "done"


@pytest.mark.parametrize("path, verb, says, step, why", [
    ("/0/0", "PUT", "4.00", "/0/0", "invalid argument"), ("/bs", "POST", "4.06", "finish", "the device finds it inconsistent"),
    ("/0", "DELETE", "4.05", "/0", "verb not allowed here")])
def test_failures_are_told(house, watcher, path, verb, says, step, why):
    lamp = accept_all(house.device("lamp-7", {}, register=False))
    lamp.lies[verb, path] = lambda request: Message(code=code(says))
    boot(lamp)

    told = heard(watcher)[1]
    assert (told["bootstrap"], told["step"], told["why"]) == ("failed", step, why)


def test_the_application_knows_better(make_house):
    house = make_house()
    asked = []

    @house.bridge.resource("lwm2m/!bootstrap/{endpoint}")
    def plan(request, endpoint):
        asked.append(endpoint)
        if endpoint == "stranger":
            raise LookupError
        return {"write": {"/1/0": {"1": 77}}}

    lamp = accept_all(house.device("lamp-7", {}, register=False))
    boot(lamp)
    assert lamp.wait_request("PUT", "/1/0").payload == b"\xc1\x01\x4d"
    boot(house.device("stranger", {}, register=False), "4.04")
    assert asked == ["lamp-7", "stranger"]


def test_nothing_is_known_of_it(make_house):
    house = make_house()
    watcher = house.mqtt("lwm2m/+/!bootstrap")
    boot(house.device("lamp-7", {}, register=False), "4.04")

    assert heard(watcher)[1]["why"] == "nothing is known of it"


def test_who_does_not_say_a_name(house):
    with coap.Socket(house.port) as device:
        assert device.post("bs").says == "4.00"
        assert device.ask(coap.GET, "bspack").says == "4.00"


def test_all_in_one_pack(house):
    lamp = house.device("lamp-7", {}, register=False)
    answer = lamp.ask(coap.GET, "bspack", query=["ep=lamp-7"], options=[(ACCEPT, uint(SENML_JSON))])

    assert (answer.says, answer.uint(CONTENT_FORMAT)) == ("2.05", SENML_JSON)
    base, found = "", {}
    for record in json.loads(answer.payload):
        base = record.get("bn", base)
        found[base + record.get("n", "")] = next(record[k] for k in ("v", "vs", "vb") if k in record)
    assert found["/0/0/0"] == "coaps://bridge.example:5684" and found["/1/0/1"] == 300 and found["/0/0/1"] is False
    assert lamp.ask(coap.GET, "bspack", query=["ep=lamp-7"], options=[(ACCEPT, uint(TLV))]).says == "4.06"


def test_the_server_begins(house, watcher):
    executed = []
    lamp = accept_all(house.device("lamp-7", {(1, 0, 9): executed.append}))
    assert house.http("POST", "lwm2m/lamp-7/!start-bootstrap").status == 204
    assert executed == [b""]
    boot(lamp)
    assert heard(watcher)[1]["bootstrap"] == "done"

    old = accept_all(house.device("lamp-1", {(3, 0, 0): ""}, version="1.0"))
    assert house.http("POST", "lwm2m/lamp-1/!start-bootstrap").status == 204
    assert old.wait_request("POST", "/bs")
    topic, told = heard(watcher)
    assert (topic, told["bootstrap"]) == ("lwm2m/lamp-1/!bootstrap", "done")
    old.update()
