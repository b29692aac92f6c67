"""Loading again: a listener that stays loses nothing, and one with other options for its address loses nothing either.  docs/config.md."""
import json
import signal
import ssl
from contextlib import ExitStack

import pytest

from peers import coap, lwm2m
from peers.certificates import Authority
from peers.http import Events, Http
from peers.mqtt import Client
from peers.process import wait_until
from peers.tools import need

LONG = 30


@pytest.fixture
def daemon(start_bridged, tmp_path):
    """daemon(urls) starts a bridged with a config; .again(urls, ...) writes another and waits for what bridged says about it."""
    file = tmp_path / "bridge.json"

    def write(urls, more):
        file.write_text(json.dumps({"listen": urls, **more}))

    def start(urls, **more):
        write(urls, more)
        program = start_bridged(options=["-c", str(file)], listeners=len(urls))

        def again(urls, *, says="again", **more):
            write(urls, more)
            before = program.errors().count(says)
            program.process.send_signal(signal.SIGHUP)
            wait_until(lambda: program.errors().count(says) > before, says, LONG)

        program.again = again
        return program

    return start


@pytest.fixture(params=["coap", "coaps", "coap+tcp", "coaps+tcp"])
def door(request, tmp_path):
    """(URL with its options, how to come in)"""
    scheme, keys = request.param, tmp_path / "keys.psk"
    keys.write_text("lamp-7:6c616d70\n")
    if scheme == "coaps":
        need("openssl")
        return f"coaps://127.0.0.1:0/r?psk_file={keys}", lambda port: coap.Secured(port, "-psk", "6c616d70", "-psk_identity", "lamp-7")
    if scheme == "coaps+tcp":
        folder = tmp_path / "ca"
        folder.mkdir()
        authority = Authority(folder)
        cert, key = authority.sign("localhost")
        context = ssl.create_default_context(cafile=authority.file)
        wrap = lambda plain: context.wrap_socket(plain, server_hostname="localhost")
        return f"coaps+tcp://127.0.0.1:0/r?cert={cert}&key={key}", lambda port: coap.Stream(port, wrap=wrap)
    return f"{scheme}://127.0.0.1:0/r?rd=yes", coap.Stream if "tcp" in scheme else coap.Socket


def block_of(answer):
    return answer.block(coap.BLOCK2)[2] if answer.block(coap.BLOCK2) else None


def test_a_coap_listener_with_other_options_keeps_its_observations(daemon, door):
    url, enter = door
    program = daemon([url, "mqtt://127.0.0.1:0"])
    port = program.port(url.partition(":")[0])
    with enter(port) as watcher, Client(program.port("mqtt")).connect("c") as writer:
        watcher.put("r/a", b"before")
        answer, news = watcher.observe("r/a")
        assert answer.payload == b"before"

        program.again([url + "&max_peers=5000&block_size=16", "mqtt://127.0.0.1:0"])

        writer.publish("a", b"after", qos=1, retain=True)
        assert news.hear(LONG).payload == b"after"
        with enter(port) as newcomer:
            assert newcomer.get("r/a").payload == b"after"


def test_the_new_options_of_a_coap_listener_hold_for_all(daemon, tmp_path):
    rules = tmp_path / "acl.txt"
    rules.write_text("topic readwrite #\n")
    program = daemon(["coap://127.0.0.1:0/r"])
    with coap.Socket(program.port("coap")) as device:
        device.put("r/long", b"x" * 100)
        assert block_of(device.get("r/long")) is None

        program.again(["coap://127.0.0.1:0/r?block_size=16&anonymous=allow"])
        assert block_of(device.get("r/long")) == 16

        rules.write_text("topic read #\n")
        program.again([f"coap://127.0.0.1:0/r?acl_file={rules}"])
        assert device.put("r/long", b"y").says == "4.01"
        assert block_of(device.get("r/long")) is None


def test_a_key_that_is_given_to_a_dtls_listener_later_opens_it(daemon, tmp_path):
    need("openssl")
    old, new = tmp_path / "old.psk", tmp_path / "new.psk"
    old.write_text("lamp-7:6c616d70\n")
    new.write_text("lamp-8:6c616d71\n")
    program = daemon([f"coaps://127.0.0.1:0/r?psk_file={old}"])
    with coap.Secured(program.port("coaps"), "-psk", "6c616d70", "-psk_identity", "lamp-7") as seven:
        assert seven.put("r/a", b"1").says == "2.01"

        program.again([f"coaps://127.0.0.1:0/r?psk_file={new}"])

        with coap.Secured(program.port("coaps"), "-psk", "6c616d71", "-psk_identity", "lamp-8") as eight:
            assert eight.get("r/a").payload == b"1"
        assert seven.get("r/a").payload == b"1"


@pytest.mark.parametrize("wrong", ["block_size=17", "psk_file=nowhere.psk", "acl_file=nowhere.acl", "proxy=(("])
def test_options_that_are_wrong_leave_the_old_ones_and_are_named(daemon, tmp_path, wrong):
    need("openssl")
    keys = tmp_path / "keys.psk"
    keys.write_text("lamp-7:6c616d70\n")
    good = f"coaps://127.0.0.1:0/r?psk_file={keys}"
    program = daemon([good, "mqtt://127.0.0.1:0"])
    port = program.port("coaps")
    with coap.Secured(port, "-psk", "6c616d70", "-psk_identity", "lamp-7") as watcher, Client(program.port("mqtt")).connect("c") as writer:
        watcher.put("r/a", b"before")
        answer, news = watcher.observe("r/a")
        assert answer.payload == b"before"

        bad = good.partition("psk_file")[0] + wrong if "psk" in wrong else f"{good}&{wrong}"
        program.again([bad, "mqtt://127.0.0.1:0"], says="everything stays as it was")

        assert (wrong.partition("=")[0] if "17" in wrong else wrong.partition("=")[2].rstrip("(")) in program.errors()
        writer.publish("a", b"after", qos=1)
        assert news.hear(LONG).payload == b"after"
        with coap.Secured(port, "-psk", "6c616d70", "-psk_identity", "lamp-7") as newcomer:
            assert newcomer.put("r/b", b"1").says == "2.01"


def test_options_go_back_when_something_else_in_the_new_text_is_wrong(daemon, mqtt_port):
    """The port of mqtt_port is somebody else's."""
    program = daemon(["coap://127.0.0.1:0/r"])
    with coap.Socket(program.port("coap")) as device:
        device.put("r/long", b"x" * 100)
        device.put("r/a", b"before")
        answer, news = device.observe("r/a")
        assert answer.payload == b"before"

        program.again(["coap://127.0.0.1:0/r?block_size=16", f"mqtt://127.0.0.1:{mqtt_port}"], says="everything stays as it was")

        assert block_of(device.get("r/long")) is None
        with coap.Socket(program.port("coap")) as other:
            other.put("r/a", b"after")
        assert news.hear(LONG).payload == b"after"


def test_a_listener_that_is_not_touched_loses_nothing(daemon, door):
    """One connection of each protocol, each with something that it waits for, through changes of everything else."""
    url, enter = door
    scheme = url.partition(":")[0]
    urls = [url, "mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources"]
    program = daemon(urls)
    with ExitStack() as all:
        device = all.enter_context(enter(program.port(scheme)))
        watcher = all.enter_context(Client(program.port("mqtt")).connect("watcher"))
        writer = all.enter_context(Client(program.port("mqtt")).connect("writer"))
        web = all.enter_context(Http(program.port("http")))
        events = all.enter_context(Events(program.port("http"), "/resources/a"))
        watcher.subscribe(("a", 1))
        device.put("r/a", b"before")
        answer, news = device.observe("r/a")
        assert answer.payload == b"before"
        assert (watcher.message().payload, events.next().data) == (b"before", "before")

        program.again([*urls, "coap://127.0.0.1:0/other"], routes=[{"source": "coap:x/{y}", "target": "z/{y}"}])
        program.again(urls, limits={"max_queue": 500}, routes=[{"source": "q/#", "target": "r/#"}])
        program.again([*urls, "coap://nowhere"], says="everything stays as it was")

        writer.publish("a", b"after", qos=1)
        assert watcher.message().payload == b"after"
        assert news.hear(LONG).payload == b"after"
        assert events.next().data == "after"
        assert web.request("GET", "/resources/b").status == 404


@pytest.mark.parametrize("scheme", ["lwm2m", "lwm2ms", "lwm2m+tcp"])
def test_devices_stay_registered_and_watched(daemon, tmp_path, scheme):
    keys = tmp_path / "devices.psk"
    keys.write_text("lamp-7:6c616d70\n")
    url = f"{scheme}://127.0.0.1:0?" + (f"psk_file={keys}" if scheme == "lwm2ms" else "awake=90000")
    program = daemon([url, "mqtt://127.0.0.1:0"])
    port = program.port(scheme)
    socket = {"lwm2m": coap.Socket, "lwm2m+tcp": coap.Stream,
              "lwm2ms": lambda port: coap.Secured(port, "-psk", "6c616d70", "-psk_identity", "lamp-7")}[scheme](port)
    with lwm2m.Device(port, "lamp-7", {(3303, 0, 5700): 21.5}, socket=socket) as lamp, Client(program.port("mqtt"), 5).connect("c") as phone:
        lamp.register()
        phone.subscribe(("lwm2m/lamp-7/3303/0/5700", 1))
        assert lwm2m.heard(phone)[1] == 21.5

        program.again([url + "&max_lifetime=50&lookup=yes", "mqtt://127.0.0.1:0"])

        lamp.notify("/3303/0/5700", 22.5)
        assert lwm2m.heard(phone)[1] == 22.5
        lamp.update()
        assert lamp.ask(coap.GET, "rd-lookup/ep").says == "2.05"  # not without lookup=yes
