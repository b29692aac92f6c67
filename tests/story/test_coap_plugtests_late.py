"""The ETSI CoAP plugtest cases that need a server which answers late, reboots, or is behind another: the bridge's application, or the
bridge as a client and a reverse proxy.  The others, and what holds the table of docs/conformance/coap.md against both files: test_coap_plugtests.py.
"""
import pytest

from peers import coap
from peers.coap import ACK, CON, NON, Socket, block, uint
from peers.coap_device import Device
from peers.coap_pubsub import listed


# ---- a server that answers late: the application is the resource

@pytest.fixture
def late(bridge):
    """A bridge with /r/separate, which answers what is published at "go"."""
    go = bridge.subscribe("go")

    @bridge.resource("separate")
    def separate(request):
        return next(go).payload
    return bridge


@pytest.mark.parametrize("id, type, token", [
    ("TD_COAP_CORE_09", CON, b""), ("TD_COAP_CORE_11", CON, b"tokn"), ("TD_COAP_CORE_17", NON, b"t")])
def test_plugtest_separate(late, id, type, token):
    with Socket(late.port("coap")) as client:
        question = client.request(coap.GET, "r/separate", type=type, token=token)
        client.send(question)
        if type == CON:
            empty = client.hear()
            assert (empty.type, empty.code, empty.id, empty.token) == (ACK, 0, question.id, b"")
        late.publish("go", "late")

        answer = client.hear()
        assert (answer.type, answer.says, answer.payload, answer.token) == (type, "2.05", b"late", token)
        if type == CON:
            again = client.hear()                                    # not acknowledged yet: it comes again
            assert bytes(again) == bytes(answer)
            client.ack(answer)


def test_plugtest_TD_COAP_CORE_16_separate_over_duplicates(late):
    with Socket(late.port("coap")) as client:
        question = client.request(coap.GET, "r/separate")
        client.send(question)
        assert client.hear().code == 0
        client.send(question)                                        # the acknowledgement was lost
        assert client.hear().code == 0
        late.publish("go", "late")
        answer = client.hear()
        client.ack(answer)
        assert (answer.says, answer.payload) == ("2.05", b"late")
        assert client.silent()


def test_plugtest_TD_COAP_BLOCK_05_post_both_ways_in_blocks(bridge):
    body = bytes(range(33, 127)) * 20

    @bridge.resource("large-post")
    def turned(request):
        return request.payload[::-1]

    with Socket(bridge.port("coap")) as c:
        answer = c.put_all("r/large-post", body, 64, method=coap.POST)
        assert answer.says == "2.04" and answer.block(coap.BLOCK1) == (29, False, 64)
        got, (num, more, size) = answer.payload, answer.block(coap.BLOCK2)
        while more:
            num += 1
            answer = c.ask(coap.POST, "r/large-post", options=[(coap.BLOCK2, block(num, False, size))])
            assert answer.says == "2.04"
            got, more = got + answer.payload, answer.block(coap.BLOCK2)[1]
        assert got == body[::-1]


def test_plugtest_TD_COAP_CORE_19_location_query(bridge):
    from libbridge import Reply                                      # not above: the rest runs without Python's module, too

    @bridge.resource("location-query")
    def made(request):
        return Reply(query="first=1&second=2")

    with Socket(bridge.port("coap")) as c:
        answer = c.post("r/location-query", "x", options=[(coap.CONTENT_FORMAT, b"")])

    assert (answer.says, answer.all(coap.LOCATION_QUERY)) == ("2.01", [b"first=1", b"second=2"])


# ---- the bridge as a reverse proxy (CoAP_CFG_03): a client, the bridge, and the server that the cases are about

@pytest.fixture
def behind(make_bridge):
    """The server behind the bridge, and a client in front of it, where the server's resources are below /r/far."""
    with Device(max_age=0) as device:
        b = make_bridge("coap://127.0.0.1:0/r", clock=None)
        b.connect(f"coap://127.0.0.1:{device.port}?as=far/{{path...}}&discover=no")
        with Socket(int(b.listeners[0].split("://")[1].split("/")[0].rpartition(":")[2])) as client:
            client.device = device
            yield client


def forwarded(client, name):
    """The first request for it that has come to the server, not seen before."""
    while True:
        _, path, request = client.device.request()
        if path == name:
            return request


def creates(client, name, options):
    client.device.answer[name] = lambda *_: coap.Message(code=coap.code("2.01"), options=options)
    answer = client.post("r/far/" + name, "x", options=[(coap.CONTENT_FORMAT, b"")])
    request = forwarded(client, name)
    assert (request.type, request.code, request.payload, request.uint(coap.CONTENT_FORMAT)) == (CON, coap.POST, b"x", 0)
    assert answer.says == "2.01"
    return answer


def test_plugtest_TD_COAP_CORE_24_location_path_through_a_reverse_proxy(behind):
    answer = creates(behind, "create2", [(coap.LOCATION_PATH, each) for each in (b"location1", b"location2", b"location3")])

    assert answer.all(coap.LOCATION_PATH) == [b"r", b"far", b"location1", b"location2", b"location3"]


def test_plugtest_TD_COAP_CORE_25_location_query_through_a_reverse_proxy(behind):
    answer = creates(behind, "location-query", [(coap.LOCATION_QUERY, b"first=1"), (coap.LOCATION_QUERY, b"second=2")])

    assert answer.all(coap.LOCATION_QUERY) == [b"first=1", b"second=2"]


def test_plugtest_TD_COAP_CORE_26_accept_through_a_reverse_proxy(behind):
    for format, body in ((0, b"text"), (41, b"<x/>")):
        behind.device.values["multi-format"], behind.device.formats["multi-format"] = body, format

        answer = behind.get("r/far/multi-format", options=[(coap.ACCEPT, uint(format))])

        request = forwarded(behind, "multi-format")
        assert (request.type, request.code, request.uint(coap.ACCEPT)) == (CON, coap.GET, format)
        assert (answer.says, answer.uint(coap.CONTENT_FORMAT), answer.payload) == ("2.05", format, body)


def test_plugtest_TD_COAP_CORE_27_if_match_through_a_reverse_proxy(behind):
    device = behind.device
    device.values["validate"] = b"one"
    tag = behind.get("r/far/validate").option(coap.ETAG)
    there = device.etag("validate")
    forwarded(behind, "validate")

    assert behind.put("r/far/validate", "two", options=[(coap.IF_MATCH, tag)]).says == "2.04"
    assert forwarded(behind, "validate").all(coap.IF_MATCH) == [there] and device.values["validate"] == b"two"

    tag = behind.get("r/far/validate").option(coap.ETAG)
    device.values["validate"] = b"of somebody else"
    assert behind.put("r/far/validate", "three", options=[(coap.IF_MATCH, tag)]).says == "4.12"
    assert device.values["validate"] == b"of somebody else"


def test_plugtest_TD_COAP_CORE_28_if_none_match_through_a_reverse_proxy(behind):
    assert behind.put("r/far/create3", "x", options=[(coap.IF_NONE_MATCH, b"")]).says == "2.01"
    assert forwarded(behind, "create3").all(coap.IF_NONE_MATCH) == [b""] and behind.device.values["create3"] == b"x"

    assert behind.put("r/far/create3", "y", options=[(coap.IF_NONE_MATCH, b"")]).says == "4.12"
    assert behind.device.values["create3"] == b"x"


def test_plugtest_TD_COAP_CORE_29_max_age_through_a_reverse_proxy(behind):
    behind.device.values["validate"], behind.device.max_age = b"one", 3600
    first = behind.get("r/far/validate")
    assert first.says == "2.05" and 0 < first.uint(coap.MAX_AGE) <= 3600 and first.option(coap.ETAG)
    behind.device.values["validate"] = b"two"

    again = behind.get("r/far/validate")                             # fresh yet: the server is not asked

    assert (again.payload, again.option(coap.ETAG)) == (b"one", first.option(coap.ETAG))
    assert behind.device.count(coap.GET, "validate") == 1


def test_plugtest_TD_COAP_LINK_10_an_alternate_link(bridge):
    bridge.publish("test", "21.5", retain=True)
    bridge.publish("alternate", "21.5", retain=True)
    bridge.describe("alternate", anchor="/r/test", rel="alternate")

    with Socket(bridge.port("coap")) as c:
        [alternate] = listed(c.get(".well-known/core", query=["rel=alternate", "anchor=/r/test"]))
        assert c.get(alternate.lstrip("/")).payload == c.get("r/test").payload


def test_plugtest_TD_COAP_OBS_03_a_client_registers_again_when_the_server_was_rebooted(make_bridge):
    with Device(max_age=10) as device:
        device.values["obs"] = b"1"
        b = make_bridge()                                            # with a clock that is ours
        b.connect(f"coap://127.0.0.1:{device.port}?as=far/{{path...}}&discover=no")
        told = b.subscribe("far/obs")
        assert next(told).payload == b"1"

        device.reboot()                                              # the bridge is the client; it will be told nothing any more
        device.values["obs"] = b"2"
        b.clock.advance(seconds=26)                                  # Max-Age, and 5 to 15 s: RFC 7641 3.3.1

        assert any(message.payload == b"2" for message in told)
        assert len(device.observers) == 1


def test_plugtest_TD_COAP_OBS_05_a_client_that_is_off_is_given_up(bridge):
    with Socket(bridge.port("coap")) as c:
        c.observe("r/obs")
        bridge.publish("obs", "1", qos=1, retain=True)
        assert c.hear().type == CON
        for _ in range(12):
            bridge.clock.advance(seconds=40)
            c.ping()
        while bridge.stats()["bridge_coap_observers"]:
            c.ping()
        c.aside.clear()
        bridge.publish("obs", "2", qos=1, retain=True)
        assert c.silent()
