"""The fixture `cloud` of libbridge.testing: a broker that fails when it is told to, and what an uplink makes of that."""
import random
import time

import pytest

from conftest import built_adapters
from peers.process import wait_until

pytestmark = pytest.mark.skipif(not {"uplink", "mqtt"} <= set(built_adapters()), reason="uplinks are not in this build")

LONG = 30.0
QUICK = "retry_min=10&retry_max=50"


@pytest.fixture
def site(make_bridge):
    return make_bridge(clock=None, patience=LONG)


def test_an_outage_is_survived(site, cloud):
    heard = cloud.bridge.subscribe("site7/#", timeout=LONG)
    uplink = site.connect(f"{cloud.url}?name=cloud&out=t/{{p...}}>site7/{{p...}}&{QUICK}")
    uplink.wait_up(LONG)
    states = site.subscribe("$SYS/broker/connection/cloud/state", timeout=LONG)
    cloud.outage()
    while next(states).payload != b"0":
        pass
    assert uplink.state == "down"

    site.publish("t/x", "while it was gone", qos=1)
    cloud.over()

    assert next(heard).payload == b"while it was gone"


@pytest.mark.parametrize("clean", ["yes", "no"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("qos", [1, 2])
def test_nothing_is_lost_and_the_order_is_kept_however_often_the_wire_breaks(site, cloud, qos, seed, clean):
    dice = random.Random(seed * 10 + qos)
    heard = cloud.bridge.subscribe("t/#", timeout=LONG)
    site.connect(f"{cloud.url}?name=cloud&client_id=site7&clean={clean}&out=t/%23&{QUICK}").wait_up(LONG)
    count = 400

    for i in range(count):
        site.publish("t/x", str(i), qos=qos)
        if dice.random() < 0.02:
            cloud.cut()
        if dice.random() < 0.02:
            site.settle()
        if dice.random() < 0.005:
            cloud.outage()
            site.settle()
            cloud.over()

    came = []
    while len(set(came)) < count:
        came.append(int(next(heard)))
    first = list(dict.fromkeys(came))  # what was under way when the wire broke may come twice
    assert first == list(range(count))


@pytest.mark.parametrize("policy, kept", [("new", range(10)), ("old", range(90, 100))])
def test_over_its_limit_the_buffer_drops_what_the_policy_says(site, cloud, policy, kept):
    heard = cloud.bridge.subscribe("n", timeout=LONG)
    cloud.outage()
    uplink = site.connect(f"{cloud.url}?out=n&name=cloud&max_queue=10&drop={policy}&{QUICK}")
    for i in range(100):
        site.publish("n", str(i), qos=1)
    site.settle()
    stats = site.stats()
    assert (stats['bridge_uplink_queued{name="cloud"}'], stats['bridge_uplink_dropped_total{name="cloud"}']) == (10, 90)

    cloud.over()
    uplink.wait_up(LONG)

    assert [int(m) for m in heard.take(10)] == list(kept)
    wait_until(lambda: not site.stats()['bridge_uplink_queued{name="cloud"}'])  # what is not yet acknowledged has its place
    site.publish("n", "end", qos=1)
    assert next(heard).payload == b"end"


def test_what_waited_is_sent_no_faster_than_the_broker_is_to_bear(site, cloud):
    heard = cloud.bridge.subscribe("n", timeout=LONG)
    cloud.outage()
    uplink = site.connect(f"{cloud.url}?out=n&name=cloud&drain_rate=100&{QUICK}")
    for i in range(60):
        site.publish("n", str(i), qos=1)
    site.settle()
    began = time.monotonic()
    cloud.over()
    uplink.wait_up(LONG)

    assert [int(m) for m in heard.take(60)] == list(range(60))
    assert time.monotonic() - began > 0.45  # 100 a second, and at most 11 at once
    for i in range(200):
        site.publish("n", str(i), qos=1)  # of these none has waited
    assert [int(m) for m in heard.take(200)] == list(range(200))


def test_a_cloud_that_refuses_and_then_does_not(site, cloud):
    cloud.refuse()
    uplink = site.connect(f"{cloud.url}?name=cloud&out=t&{QUICK}")
    assert uplink.state == "down"

    cloud.refuse(False)

    uplink.wait_up(LONG)
    assert uplink.state == "up"
