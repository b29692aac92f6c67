"""Each bridge of examples/gallery does what its first lines say."""
import contextlib
import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from conftest import built_adapters
from peers import mqtt
from peers.http import Events, Http
from peers.lwm2m import Device
from peers.process import python_environment, wait_until
from peers.tools import coap_get, coap_put, curl

pytest.importorskip("libbridge.testing")
from libbridge import Bridge, Clock  # noqa: E402

GALLERY = Path(__file__).resolve().parents[2] / "examples" / "gallery"
LONG = 30


def text_of(name):
    return re.sub(r"(127\.0\.0\.1):(1883|5683|3000)\b", r"\1:0", (GALLERY / name).read_text())


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def build(clock):
    made = []

    def make(name, change=lambda text: text):
        text = change(text_of(name))
        for scheme in re.findall(r'"(\w+)://', text):
            if scheme not in built_adapters():
                pytest.skip(f"{scheme} is not in this build")
        made.append(Bridge(config=text, clock=clock, timeout=LONG))
        return made[-1]
    yield make
    for bridge in made:
        bridge.close()


def url(bridge, scheme):
    return next(u for u in bridge.listeners if u.startswith(scheme + "://")).partition("?")[0].rstrip("/")


PACK = '[{"bn":"urn:dev:7:","bt":1700000000,"n":"temp","u":"Cel","v":21.5},{"n":"hum","u":"%RH","v":40}]'


def test_mainflux_takes_a_pack_over_http_and_coap(build):
    bridge = build("mainflux.json")
    heard = bridge.subscribe("channels/+/messages", timeout=LONG)

    curl("-X", "POST", "-H", "Content-Type: application/senml+json", "-d", PACK, url(bridge, "http") + "/channels/7/messages")
    assert next(heard).path == "channels/7/messages"
    assert bridge.get("channels/7/values/urn:dev:7:temp").value == 21.5
    assert curl(url(bridge, "http") + "/channels/7/values/urn:dev:7:hum") == (200, b"40")

    values = bridge.subscribe("channels/9/values/#", timeout=LONG)
    bridge.post("channels/9/messages/attic", b'[{"n":"temp","v":1}]', format="senml+json")
    bridge.post("channels/9/messages", b'[{"n":"temp","v":2}]', format="senml+json")
    assert [(m.path, m.value) for m in values.take(2)] == [("channels/9/values/attic/temp", 1), ("channels/9/values/temp", 2)]  # each once

    coap_put(url(bridge, "coap") + "/channels/8/messages", PACK.replace("%RH", "lx"), "-t", "110")  # it reads %xx
    assert [m.path for m in heard.take(2)] == ["channels/9/messages", "channels/8/messages"]
    assert bridge.get("channels/8/values/urn:dev:7:temp").value == 21.5


def test_greenhouse_telemetry_up_commands_down(build, clock):
    bridge = build("greenhouse.json")
    heard = bridge.subscribe("#", timeout=LONG)

    coap_put(url(bridge, "coap") + "/3/t", "215")
    got = {}
    while "alarm/3" not in got or "greenhouse/3/temperature" not in got:
        message = next(heard)
        got[message.path] = message.value
    assert got["greenhouse/3/temperature"] == 21.5 and got["alarm/3"] == "3 is at 21.5 degrees"
    clock.advance(60)
    while "dashboard/3/minute" not in got:
        message = next(heard)
        got[message.path] = message.value
    assert got["dashboard/3/minute"] == {"min": 21.5, "max": 21.5, "mean": 21.5}

    bridge.put("greenhouse/3/valve", "open")
    assert coap_get(url(bridge, "coap") + "/3/v").strip() == b"open"


def test_home_assistant_gets_a_topic_for_each_reading(build):
    bridge = build("home_assistant.json")
    commands = bridge.subscribe("zigbee/+/set", timeout=LONG)

    bridge.publish("zigbee/desk-lamp", {"state": "ON", "temperature": 21.5, "battery": 80})
    bridge.publish("homeassistant/light/desk-lamp/set", "ON")

    assert bridge.get("homeassistant/sensor/desk-lamp/temperature").value == 21.5
    config = bridge.get("homeassistant/sensor/desk-lamp-temperature/config").value
    assert config["state_topic"] == "homeassistant/sensor/desk-lamp/temperature"
    assert next(commands).value == {"state": "ON"}


def test_the_gateway_sends_means_up_and_hears_commands(build, clock):
    if "uplink" not in built_adapters():
        pytest.skip("no uplinks in this build")
    with Bridge("mqtt://127.0.0.1:0", timeout=LONG) as cloud:
        port = cloud.port("mqtt")
        heard = cloud.subscribe("site7/#", timeout=LONG)
        site = build("gateway.json", lambda text: text.replace("127.0.0.1:11883", f"127.0.0.1:{port}"))
        down = site.subscribe("commands/#", timeout=LONG)
        state = site.subscribe("$SYS/broker/connection/cloud/state", timeout=LONG)
        while next(state).payload != b"1":
            pass
        site.publish("alarms/press", "hot")
        assert json.loads(next(heard).payload)["alarm"] == "hot"
        site.publish("machines/press/temp", 10)
        site.publish("machines/press/temp", 20)
        site.settle()
        clock.advance(60)
        assert next(heard).value == 15
        cloud.publish("site7/commands/press", "stop")
        while (message := next(down)).value != "stop":
            pass
        assert message.path == "commands/press"


def test_a_house_hears_its_sensor_in_every_protocol(build):
    if "uplink" not in built_adapters():
        pytest.skip("no uplinks in this build")
    with contextlib.ExitStack() as end:
        cloud = end.enter_context(Bridge("mqtt://127.0.0.1:0", timeout=LONG))
        far = cloud.subscribe("site7/#", timeout=LONG)
        house = build("house.json", lambda text: text.replace("127.0.0.1:11883", f"127.0.0.1:{cloud.port('mqtt')}"))
        state = house.subscribe("$SYS/broker/connection/cloud/state", timeout=LONG)
        while next(state).payload != b"1":
            pass
        lamp = end.enter_context(contextlib.closing(Device(house.port("lwm2m"), "lamp-7", {(3311, 0, 5851): 10})))
        lamp.register()
        phone = mqtt.Client(house.port("mqtt"), 5).connect("phone")
        phone.subscribe("kitchen/temp")
        browser = Events(house.port("http"), "/resources/kitchen/temp")

        coap_put(url(house, "coap") + "/kitchen/temp", "21.5")

        assert phone.message().payload == b"21.5"
        assert json.loads(browser.next().data) == 21.5
        wait_until(lambda: lamp.resources[3311, 0, 5851] == 26)
        answer = Http(house.port("http")).request("GET", "/resources/kitchen/temp", Accept="application/json")
        assert answer.body == b"21.5" and re.fullmatch("max-age=(600|5..)", answer["Cache-Control"])
        message = next(far)
        assert (message.path, message.value["value"], message.value["room"]) == ("site7/kitchen/temp", 21.5, "kitchen")


def test_an_alarm_becomes_a_post(build):
    posts, came = [], threading.Event()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            posts.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            came.set()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        bridge = build("webhook.json", lambda text: text.replace(":18080", f":{server.server_port}"))
        bridge.publish("home/kitchen/smoke", "yes")
        assert came.wait(LONG)
    finally:
        server.shutdown()
        server.server_close()
    assert posts[0][0] == "/rooms/kitchen"
    said = json.loads(posts[0][1])
    assert (said["smoke"], said["room"]) == ("yes", "kitchen")


def test_the_double_of_a_cloud():
    if "uplink" not in built_adapters():
        pytest.skip("no uplinks in this build")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(GALLERY / "test_cloud.py")], capture_output=True,
                          text=True, timeout=120, env=python_environment(PYTHONPATH=":".join(sys.path)))
    assert done.returncode == 0, done.stdout + done.stderr
