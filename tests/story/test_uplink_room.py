"""An uplink with drop=refuse: what it has no room for is refused to whoever says it, and nothing that was accepted is dropped."""
import pytest

import libbridge
from conftest import built_adapters
from peers.coap import Socket
from peers.http import Http
from peers.mqtt import Client, publish
from peers.process import wait_until

pytestmark = pytest.mark.skipif(not {"uplink", "mqtt", "http", "coap"} <= set(built_adapters()), reason="needs uplinks, MQTT, HTTP and CoAP")

LONG = 30.0
QUICK = "retry_min=10&retry_max=50"


@pytest.fixture
def site(make_bridge):
    return make_bridge("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r", clock=None, patience=LONG)


def full(site, cloud, carries="out=n/%23", route=None):
    """Ten messages have waited, and there is no room for another."""
    cloud.outage()
    uplink = site.connect(f"{cloud.url}?{carries}&name=cloud&max_queue=10&drop=refuse&{QUICK}")
    if route:
        site.route(*route)
    for i in range(10):
        site.put("n/x", str(i), qos=1)
    return uplink


def test_every_protocol_says_no_in_its_own_words(site, cloud):
    heard = cloud.bridge.subscribe("n/x", timeout=LONG)
    uplink = full(site, cloud)

    with Client(site.port("mqtt"), 5).connect("five") as five:
        ack = five.publish("n/x", b"no", qos=1)
        assert ack.reason == 0x97 and "cloud" in ack.props["reason_string"]
        assert five.publish("n/x", b"no", qos=2).reason == 0x97
        assert five.publish("other", b"yes", qos=1).reason in (0, 0x10)
    with Client(site.port("mqtt"), 4).connect("three") as three:
        three.send(publish("n/x", b"no", qos=1, pid=1))
        assert three.closed() == []
    with Http(site.port("http")) as http:
        answer = http.request("PUT", "/resources/n/x", b"no")
        assert answer.status == 429 and answer["retry-after"]
        assert http.request("PUT", "/resources/other", b"yes").status in (201, 204)
    with Socket(site.port("coap")) as coap:
        assert coap.put("r/n/x", b"no").says == "4.29"
    with pytest.raises(libbridge.Busy):
        site.put("n/x", "no", qos=1)
    assert site.get("n/x").payload == b"9"

    cloud.over()
    uplink.wait_up(LONG)
    assert [m.payload for m in heard.take(10)] == [b"%d" % i for i in range(10)]
    assert site.stats()['bridge_uplink_dropped_total{name="cloud"}'] == 0


def test_there_is_room_again(site, cloud):
    heard = cloud.bridge.subscribe("n/x", timeout=LONG)
    uplink = full(site, cloud)
    with pytest.raises(libbridge.Busy):
        site.put("n/x", "no", qos=1)

    cloud.over()
    uplink.wait_up(LONG)
    assert [m.payload for m in heard.take(10)] == [b"%d" % i for i in range(10)]
    wait_until(lambda: not site.stats()['bridge_uplink_queued{name="cloud"}'])  # what is not yet acknowledged has its place
    site.put("n/x", "yes", qos=1)
    assert next(heard).payload == b"yes"


def test_a_route_that_names_it_counts(site, cloud):
    heard = cloud.bridge.subscribe("site7/#", timeout=LONG)
    uplink = full(site, cloud, "keep_alive=60", ("n/{x}", "uplink.cloud:site7/{x}"))

    with pytest.raises(libbridge.Busy):
        site.put("n/y", "no", qos=1)
    site.put("m/y", "yes", qos=1)

    cloud.over()
    uplink.wait_up(LONG)
    assert [m.payload for m in heard.take(10)] == [b"%d" % i for i in range(10)]


def test_it_is_looked_for_behind_several_routes_before_anybody_has_it(site, cloud, make_bridge):
    """n/x goes to an uplink with room, and over two routes to one without."""
    roomy = make_bridge("mqtt://127.0.0.1:0", clock=None, patience=LONG)
    heard = roomy.subscribe("#", timeout=LONG)
    site.connect(f"{roomy.listeners[0]}?name=roomy&out=n/%23").wait_up(timeout=LONG)
    site.route("n/{x}", "m/{x}", transform="scale 10")
    site.route("m/{x}", "n/{x}")
    uplink = full(site, cloud, "keep_alive=60", ("m/{x}", "uplink.cloud:site7/{x}"))
    assert [m.payload for m in heard.take(20)][::2] == [b"%d" % i for i in range(10)]

    with pytest.raises(libbridge.Busy):
        site.put("n/y", 1, qos=1)
    site.put("other", 1, qos=1)

    cloud.over()
    uplink.wait_up(LONG)
    wait_until(lambda: not site.stats()['bridge_uplink_queued{name="cloud"}'])
    site.put("n/z", 1, qos=1)
    assert next(heard).path == "n/z"


def test_one_without_rights_hears_that_and_not_of_the_room(site, cloud):
    full(site, cloud)

    @site.allow
    def only_reading(who, verb, path):
        return False if verb in ("PUT", "POST") else None

    with Client(site.port("mqtt"), 5).connect("five") as five:
        assert five.publish("n/x", b"no", qos=1).reason == 0x87
    with Http(site.port("http")) as http:
        assert http.request("PUT", "/resources/n/x", b"no").status == 401
    with Socket(site.port("coap")) as coap:
        assert coap.put("r/n/x", b"no").says == "4.01"


def test_quality_of_service_0_promises_nothing(site, cloud):
    full(site, cloud)
    with Client(site.port("mqtt"), 5).connect("five") as five:
        five.publish("n/x", b"dropped")
        five.ping()
    assert site.stats()['bridge_uplink_dropped_total{name="cloud"}'] == 1
