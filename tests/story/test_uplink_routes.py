"""Routes that name an uplink: `telemetry/{p...} -> uplink.cloud:site7/{p...}` and back."""
import time

import pytest

from conftest import built_adapters
from peers.broker import Broker

pytestmark = pytest.mark.skipif("uplink" not in built_adapters(), reason="uplinks are not in this build")

LONG = 30.0
QUICK = "name=cloud&retry_min=20&retry_max=200"


def connect(bridge, broker, more="version=5"):
    uplink = bridge.connect(f"{broker.url(more)}&{QUICK}")
    uplink.wait_up(LONG)
    return uplink


def after(heard, bridge, broker):
    """What the broker's client has heard, up to a message that was sent last."""
    end = f"end/{time.monotonic_ns()}"
    bridge.route("end/{n}", "uplink.cloud:end/{n}")
    bridge.publish(end, "")
    lines = []
    while not lines or not lines[-1].startswith(end):
        lines.append(heard.line())
    return lines[:-1]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_route_carries_up_under_another_name(make, broker, version, qos):
    heard = broker.clients.subscribe("site7/#", options=("-q", "2", "-F", "%t %p %q %r"))
    bridge = make()
    bridge.route("telemetry/{p...}", "uplink.cloud:site7/{p...}")
    connect(bridge, broker, f"version={version}")

    bridge.publish("telemetry/hall/temp", "21", qos=qos)

    assert heard.line() == f"site7/hall/temp 21 {qos} 0"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_route_carries_down_what_comes_under_the_brokers_name(make, broker, version, qos):
    bridge = make()
    heard = bridge.subscribe("#")
    bridge.route("uplink.cloud:site7/commands/{c}", "commands/{c}")
    connect(bridge, broker, f"version={version}")

    broker.clients.publish("site7/commands/light", "on", "-q", str(qos))

    message = next(heard)
    assert (message.path, message.payload, message.qos) == ("commands/light", b"on", qos)


def test_a_route_that_comes_after_its_uplink_is_as_good_and_one_that_goes_is_gone(make, broker):
    bridge = make()
    heard = bridge.subscribe("#")
    there = broker.clients.subscribe("up/#", options=("-F", "%t %p"))
    connect(bridge, broker)
    down, up = bridge.route("uplink.cloud:down/{x}", "from/{x}"), bridge.route("to/{x}", "uplink.cloud:up/{x}")
    broker.clients.publish("down/a", "1", "-r")  # kept: it comes, whichever is first, this or our SUBSCRIBE
    assert next(heard).path == "from/a"
    bridge.publish("to/a", "1")
    assert there.line() == "up/a 1"

    up.close()
    down.close()
    bridge.route("uplink.cloud:other/{x}", "other/{x}")
    bridge.route("to2/{x}", "uplink.cloud:up/{x}")
    bridge.publish("to/a", "2")
    bridge.publish("to2/b", "3")
    broker.clients.publish("other/b", "1", "-r")

    assert there.line() == "up/b 3"
    assert [next(heard).path for _ in range(4)] == ["to/a", "to/a", "to2/b", "other/b"]


def test_kept_values_and_removals_go_up(make, broker):
    heard = broker.clients.subscribe("up/#", options=("-V", "5", "--retain-as-published", "-F", "%t [%p] %r"))
    bridge = make()
    bridge.publish("state/door", "open", retain=True)
    bridge.route("state/{x}", "uplink.cloud:up/{x}")

    connect(bridge, broker)
    assert heard.line() == "up/door [open] 1"
    bridge.delete("state/door")

    assert heard.line() == "up/door [] 1"


def test_kept_values_of_the_broker_come_down_and_are_kept(make, broker):
    broker.clients.publish("conf/limit", "40", "-r")
    bridge = make()
    heard = bridge.subscribe("settings/#")
    bridge.route("uplink.cloud:conf/{x}", "settings/{x}")

    connect(bridge, broker)

    assert next(heard).payload == b"40"
    assert bridge.get("settings/limit").payload == b"40"


def test_what_came_from_the_broker_does_not_go_back_to_it(make, broker):
    bridge = make()
    bridge.route("both/{x}", "uplink.cloud:both/{x}", both_ways=True)
    connect(bridge, broker)
    ours = bridge.subscribe("both/#")
    heard = broker.clients.subscribe("#", options=("-F", "%t %p"))

    broker.clients.publish("both/a", "theirs")
    assert (heard.line(), next(ours).payload) == ("both/a theirs", b"theirs")
    bridge.publish("both/b", "ours")

    assert after(heard, bridge, broker) == ["both/b ours"]


def test_a_transformation_and_a_cap_of_quality_hold_on_the_way_up(make, broker):
    heard = broker.clients.subscribe("mean/#", options=("-q", "2", "-F", "%t %p %q"))
    bridge = make()
    bridge.route("raw/{line}/t", "uplink.cloud:mean/{line}", transform="pick $.t | scale 10 | wrap value line", max_qos=1)
    connect(bridge, broker)

    bridge.publish("raw/7/t", {"t": 2.5}, qos=2)

    assert heard.line() == 'mean/7 {"value":25,"line":"7"} 1'


def test_routes_stay_when_the_broker_goes_and_comes_back(make, broker):
    bridge = make()
    heard = bridge.subscribe("down/#")
    bridge.route("uplink.cloud:down/{x}", "down/{x}")
    bridge.route("up/{x}", "uplink.cloud:up/{x}")
    connect(bridge, broker)
    state = bridge.subscribe("$SYS/broker/connection/cloud/state")
    broker.kill()
    while next(state).payload != b"0":
        pass
    bridge.publish("up/a", "kept for you", qos=1, retain=True)
    broker.start()
    there = broker.clients.subscribe("up/#", options=("-q", "1", "-F", "%t %p"))
    while next(state).payload != b"1":
        pass

    broker.clients.publish("down/x", "1")

    assert next(heard).path == "down/x"
    assert there.line() == "up/a kept for you"


def test_two_brokers_may_be_joined_without_a_place_of_ours_between_them(make, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here, there = Broker(tmp_path / "a"), Broker(tmp_path / "b")
    try:
        bridge = make()
        heard = there.clients.subscribe("b/#", options=("-F", "%t %p"))
        bridge.route("uplink.first:a/{x}", "uplink.second:b/{x}")
        for name, broker in (("first", here), ("second", there)):
            bridge.connect(f"{broker.url('version=5')}&name={name}&retry_min=20").wait_up(LONG)

        here.clients.publish("a/x", "1")

        assert heard.line() == "b/x 1"
    finally:
        here.stop()
        there.stop()


def test_explain_names_the_uplink(make, broker):
    bridge = make()
    bridge.route("telemetry/{p...}", "uplink.cloud:site7/{p...}")
    bridge.route("uplink.cloud:commands/{c}", "commands/{c}")

    said = bridge.explain("telemetry/hall")
    assert "copied to uplink cloud as site7/hall (route telemetry/{p...} -> uplink.cloud:site7/{p...}); there is no uplink of this name now" in said
    connect(bridge, broker)

    assert "there is no uplink" not in bridge.explain("telemetry/hall")
    assert "uplink cloud calls it commands/x, and what comes from there under this name is carried here" in bridge.explain("commands/x")


@pytest.mark.parametrize("source, target, sentence", [
    ("coap:x/{a}", "uplink.cloud:x/{a}", "no protocol's name"),
    ("uplink.cloud:x/{a}", "uplink.cloud:y/{a}", "what it has said itself"),
    ("x/{a}", "uplink.cloud:y/{b}", "does not capture it"),
    ("uplink.:x", "y", "uplink."),
])
def test_routes_that_cannot_be_are_refused(make, source, target, sentence):
    with pytest.raises(ValueError) as refused:
        make().route(source, target)
    assert sentence in str(refused.value)


def test_a_route_and_a_map_may_not_take_the_same_topics(make, broker):
    bridge = make()
    connect(bridge, broker, "version=5&in=down/%23")

    with pytest.raises(ValueError, match="only one of them"):
        bridge.route("uplink.cloud:down/{x}", "x/{x}")
    bridge.route("uplink.cloud:other/{x}", "x/{x}")
    bridge.route("uplink.cloud:other/{y}", "y/{y}")  # the very same topics: one subscription
    with pytest.raises(ValueError, match="only one of them"):
        bridge.route("uplink.cloud:+/a", "z/+")


def test_the_rules_hold_for_the_uplink(make, broker, tmp_path):
    (tmp_path / "acl").write_text("user cloud\ntopic write open/#\ntopic read open/#\n")
    bridge = make()
    bridge.load({"allow": str(tmp_path / "acl")})
    heard = bridge.subscribe("#")
    there = broker.clients.subscribe("#", options=("-F", "%t %p"))
    bridge.route("uplink.cloud:in/{p...}", "{p...}")
    bridge.route("open/{x}", "uplink.cloud:out/open/{x}")
    bridge.route("closed/{x}", "uplink.cloud:out/closed/{x}")
    connect(bridge, broker)

    broker.clients.publish("in/closed/x", "no")
    broker.clients.publish("in/open/x", "yes")
    assert [there.line(), there.line()] == ["in/closed/x no", "in/open/x yes"]
    assert next(heard).path == "open/x"
    bridge.publish("closed/y", "no")
    bridge.publish("open/y", "yes")

    assert there.line() == "out/open/y yes"
