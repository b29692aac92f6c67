"""Foreign CoAP servers that are not there, are silent, say nonsense or are libcoap's; and over TCP and DTLS."""
import itertools
import socket

import pytest

from libbridge import errors
from peers import coap
from peers.coap import code
from peers.coap_device import Device
from peers.coap_site import device, heard, join, listener, site  # noqa: F401: fixtures, too
from peers.libcoap import coap_server
from peers.tools import curl

LONG = 30


# ---- health

def test_a_device_that_is_not_there_is_told_at_once_and_found_later(site):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    site.connect(f"coap://127.0.0.1:{port}?as=plant/{{path...}}&retry=10")
    up = f'bridge_coap_far_up{{far="coap://127.0.0.1:{port}"}}'

    with pytest.raises(errors.Unreachable):                            # ICMP; not after 93 s
        site.get("plant/temp", timeout=60)
    assert site.stats()[up] == 0

    with Device(port) as device:
        device.values["temp"] = b"1"
        device.request(LONG)
        assert site.get("plant/temp", timeout=60).payload == b"1"
        assert site.stats()[up] == 1


def test_a_silent_device_is_a_timeout(site, device):
    device.answer["slow"] = lambda *_: None
    join(site, device)

    with pytest.raises(errors.Timeout):
        site.get("plant/slow", timeout=0.3)


def test_a_device_that_says_nonsense_is_a_bad_gateway(site, device):
    device.answer["odd"] = lambda *_: coap.Message(code=code("2.31"))
    device.answer["critical"] = lambda *_: coap.Message(code=code("2.05"), options=[(9, b"x")], payload=b"?")
    join(site, device)
    for path in ("odd", "critical"):
        assert curl(listener(site, "http") + "/plant/" + path)[0] == 502


def test_a_body_over_the_limit_is_not_taken(make_bridge, device):
    b = make_bridge("http://127.0.0.1:0/resources", max_message=4096, clock=None)
    device.values["big"] = b"x" * 8192
    join(b, device)

    with pytest.raises(errors.TooBig):
        b.get("plant/big")


def test_closing_the_uplink_ends_its_watches_and_questions(site, device):
    device.answer["slow"] = lambda *_: None
    uplink = join(site, device)
    watch = site.subscribe("plant/temp")
    heard(watch, b"21.5")

    uplink.close()

    assert device.canceled.get(timeout=LONG) == "temp"
    with pytest.raises(errors.NotFound):
        site.get("plant/slow")


@pytest.mark.parametrize("url, words", [
    ("coap://127.0.0.1", "Say as="),
    ("coap://?as=a/{p...}", "a host is wanted"),
    ("coap://127.0.0.1?as=a/{p...}&tiemout=3", 'did you mean "timeout"'),
    ("coap://127.0.0.1?as=a/x{p}", "whole segments"),
    ("coap://127.0.0.1?as=a/{p...}/b", "last"),
    ("coap://127.0.0.1?as=a/{p...}&block_size=100", "16, 32"),
    ("coaps://127.0.0.1?as=a/{p...}&psk_file=/nowhere", "/nowhere"),
])
def test_what_cannot_be_is_refused_in_words(site, url, words):
    with pytest.raises(errors.BridgeError, match=words):
        site.connect(url)


def test_a_config_connects(make_bridge, device):
    b = make_bridge(clock=None, config={"connect": [f"coap://127.0.0.1:{device.port}?as=plant/{{path...}}"]})

    assert b.get("plant/temp").payload == b"21.5"


# ---- libcoap's server as the device

@pytest.fixture
def libcoap():
    with coap_server("-d", "10") as port:
        yield port


def test_libcoaps_server_is_read_written_and_observed(site, libcoap):
    site.connect(f"coap://127.0.0.1:{libcoap}?as=plant/{{path...}}")

    assert b"libcoap" in site.get("plant").payload
    site.put("plant/example_data", b"z" * 5000)
    assert site.get("plant/example_data").payload == b"z" * 5000
    times = list(itertools.islice(site.subscribe("plant/time"), 3))
    assert len({m.payload for m in times}) == 3
    with pytest.raises(errors.NotFound):
        site.get("plant/nothing")


# ---- other transports

def test_a_server_over_tcp(site, make_bridge):
    far = make_bridge("coap+tcp://127.0.0.1:0", clock=None)
    far.publish("temp", "21.5", retain=True)
    far.publish("big", b"x" * 50000, retain=True)
    site.connect(far.listeners[0] + "?as=plant/{path...}&discover=no&max_age=0&retry=10")

    assert site.get("plant/temp").payload == b"21.5"
    assert site.get("plant/big").payload == b"x" * 50000
    site.put("plant/new", b"y" * 5000)
    assert far.get("new").payload == b"y" * 5000
    watch = site.subscribe("plant/temp")
    heard(watch, b"21.5")
    far.publish("temp", "22", retain=True)
    heard(watch, b"22")


def test_a_lost_tcp_connection_comes_back(site, make_bridge):
    far = make_bridge("coap+tcp://127.0.0.1:0", clock=None)
    url = far.listeners[0]
    far.publish("temp", "1", retain=True)
    site.connect(url + "?as=plant/{path...}&discover=no&retry=10")
    watch = site.subscribe("plant/temp")
    heard(watch, b"1")

    far.close()
    again = make_bridge(url, clock=None)
    again.publish("temp", "2", retain=True)

    heard(watch, b"2")


def test_a_server_over_dtls_with_a_shared_key(site, make_bridge, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("lamp:00112233445566778899aabbccddeeff\n")
    far = make_bridge(f"coaps://127.0.0.1:0?psk_file={keys}", clock=None)
    far.publish("temp", "21.5", retain=True)
    site.connect(far.listeners[0] + f"?as=plant/{{path...}}&discover=no&psk_file={keys}")

    assert site.get("plant/temp").payload == b"21.5"
    watch = site.subscribe("plant/temp")
    heard(watch, b"21.5")
    far.publish("temp", "22", retain=True)
    heard(watch, b"22")


def test_a_wrong_key_is_unreachable(site, make_bridge, tmp_path):
    (tmp_path / "theirs").write_text("lamp:0011\n")
    (tmp_path / "ours").write_text("lamp:2233\n")
    far = make_bridge(f"coaps://127.0.0.1:0?psk_file={tmp_path / 'theirs'}", clock=None)
    site.connect(far.listeners[0] + f"?as=plant/{{path...}}&discover=no&psk_file={tmp_path / 'ours'}")

    with pytest.raises((errors.Unreachable, errors.Timeout)):
        site.get("plant/temp", timeout=LONG)
