"""Another bridge as uplink: its tree is a part of ours, and so on: edge -> site -> cloud."""
import pytest

from conftest import built_adapters

pytestmark = pytest.mark.skipif(not {"uplink", "mqtt"} <= set(built_adapters()), reason="uplinks are not in this build")

LONG = 30.0
QUICK = "retry_min=20&retry_max=200"


def join(upper, lower, name):
    """`upper` has the tree of `lower` below `name`."""
    uplink = upper.connect(f"bridge+{lower.listeners[0]}?as={name}/{{path...}}&name={name}&{QUICK}")
    uplink.wait_up(LONG)
    return uplink


@pytest.fixture
def chain(make):
    """edge <- site <- cloud: what the edge calls hall/temp is edge/hall/temp at the site and site/edge/hall/temp in the cloud."""
    edge, site, cloud = make("mqtt://127.0.0.1:0"), make("mqtt://127.0.0.1:0"), make()
    join(site, edge, "edge")
    join(cloud, site, "site")
    return edge, site, cloud


def test_a_kept_value_is_read_through(make):
    site, cloud = make("mqtt://127.0.0.1:0"), make()
    site.publish("hall/temp", 21.5, retain=True)
    join(cloud, site, "site")

    assert cloud.get("site/hall/temp", timeout=LONG).value == 21.5
    with pytest.raises(LookupError):
        cloud.get("site/hall/nothing", timeout=LONG)


def test_a_value_is_set_changed_and_removed_there(make):
    site, cloud = make("mqtt://127.0.0.1:0"), make()
    join(cloud, site, "site")

    cloud.put("site/light", {"on": True, "level": 5}, timeout=LONG)
    assert site.get("light").value == {"on": True, "level": 5}
    cloud.patch("site/light", {"level": 7}, timeout=LONG)
    assert site.get("light").value == {"on": True, "level": 7}
    cloud.delete("site/light", timeout=LONG)
    with pytest.raises(LookupError):
        site.get("light")


def test_a_watch_hears_what_is_kept_and_what_comes(make):
    site, cloud = make("mqtt://127.0.0.1:0"), make()
    site.publish("hall/temp", "20", retain=True)
    join(cloud, site, "site")

    heard = cloud.subscribe("site/hall/#")

    first = next(heard)
    assert (first.path, first.payload) == ("site/hall/temp", b"20")
    site.publish("hall/temp", "21", retain=True)
    site.publish("hall/door", "opened")
    assert [(m.path, m.payload) for m in heard.take(2)] == [("site/hall/temp", b"21"), ("site/hall/door", b"opened")]


def test_only_what_is_watched_is_subscribed_to(make):
    site, cloud = make("mqtt://127.0.0.1:0"), make()
    uplink = join(cloud, site, "site")
    heard = cloud.subscribe("site/a/#")
    site.publish("a/first", "1", retain=True)
    next(heard)

    site.publish("b/x", "not wanted")
    site.publish("a/x", "wanted")

    assert next(heard).payload == b"wanted"
    assert cloud.stats()[f'bridge_uplink_received_total{{name="{uplink.name}"}}'] == 2


def test_three_bridges_in_a_row(chain):
    edge, site, cloud = chain
    heard = cloud.subscribe("site/edge/hall/+")
    asked = []

    @edge.resource("lamps/{name}")
    def lamp(request, name):
        asked.append((request.verb, name))
        return f"{name} is lit"

    edge.publish("hall/temp", "19", retain=True)
    assert next(heard).path == "site/edge/hall/temp"
    assert cloud.get("site/edge/hall/temp", timeout=LONG).payload == b"19"
    assert site.get("edge/hall/temp", timeout=LONG).payload == b"19"
    cloud.put("site/edge/hall/light", "on", timeout=LONG)
    assert edge.get("hall/light").payload == b"on"
    assert cloud.post("site/edge/lamps/seven", "go", timeout=LONG).payload == b"seven is lit"
    assert asked == [("POST", "seven")]


def test_who_asks_is_told_when_the_other_bridge_is_gone(make):
    site, cloud = make("mqtt://127.0.0.1:0"), make()
    uplink = join(cloud, site, "site")
    site.close()
    states = cloud.subscribe("$SYS/broker/connection/site/state")
    while next(states).payload != b"0":
        pass

    with pytest.raises(Exception) as why:
        cloud.get("site/x", timeout=LONG)
    assert type(why.value).__name__ == "Unreachable"
    assert uplink.state == "down"


@pytest.mark.parametrize("query, words", [("", "as="), ("as=site", "site/{path...}"), ("as={a}/{b...}", "site/{path...}"), ("as=x/{p...}&version=3.1.1", "MQTT 5")])
def test_mistakes_are_said(make, query, words):
    with pytest.raises(ValueError) as why:
        make().connect(f"bridge+mqtt://127.0.0.1:1?{query}")
    assert words in str(why.value)
