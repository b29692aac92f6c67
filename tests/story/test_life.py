"""The life of names: docs/config.md."""
import pytest

pytest.importorskip("libbridge.testing")
from libbridge import Bridge, Busy, Clock, Invalid, NotFound  # noqa: E402


@pytest.fixture
def clock():
    return Clock(frozen=True)


@pytest.fixture
def bridge(clock):
    with Bridge(clock=clock) as b:
        yield b


def is_there(bridge, path):
    return any(m.path == path for m in kept(bridge, path))


def kept(bridge, pattern):
    heard = bridge.subscribe(pattern + "/#")
    bridge.publish(pattern + "/end", 1)
    got = []
    for message in heard:
        if message.path.endswith("/end"):
            heard.close()
            return got
        got.append(message)


def wait(bridge, clock, seconds):
    for _ in range(8):
        clock.advance(seconds / 8)
        bridge.settle()


def test_a_value_is_good_for_so_long_and_less_when_it_says_so(bridge, clock):
    bridge.load({"life": [{"pattern": "dev/#", "value_ttl": "1h"}]})
    bridge.put("dev/a", 1)
    bridge.put("other", 1)
    assert 3599 <= bridge.get("dev/a").ttl.total_seconds() <= 3600
    wait(bridge, clock, 3601)
    with pytest.raises(NotFound):
        bridge.get("dev/a")
    assert bridge.get("other").value == 1


def test_an_unused_name_goes_and_a_used_one_stays(bridge, clock):
    bridge.load({"life": [{"pattern": "dev/#", "unused": "1d"}, {"pattern": "dev/keep/+", "unused": "365d"}]})
    for path in ("dev/silent", "dev/read", "dev/watched", "dev/written", "dev/keep/x", "other"):
        bridge.put(path, 1)
    watching, archive = bridge.subscribe("dev/watched"), bridge.subscribe("#")
    for _ in range(4):
        wait(bridge, clock, 12 * 3600)
        bridge.get("dev/read")
        bridge.put("dev/written", 2)
    assert {m.path for m in kept(bridge, "dev")} == {"dev/read", "dev/watched", "dev/written", "dev/keep/x"}
    assert bridge.get("other").value == 1
    assert bridge.stats()["bridge_hub_names_unused_total"] == 1
    watching.close(), archive.close()


def test_only_so_many_names_stand_next_to_each_other(bridge):
    bridge.load({"life": [{"pattern": "dev/#", "max_children": 3}]})
    for n in range(3):
        bridge.put(f"dev/{n}/t", n)
    with pytest.raises(Busy):
        bridge.put("dev/3/t", 3)
    bridge.put("dev/1/t", 5)  # it is there
    bridge.put("dev/1/u", 5)  # below another
    bridge.delete("dev/2/t")
    bridge.put("dev/3/t", 3)
    bridge.put("free", 1)
    assert bridge.stats()["bridge_hub_names_refused_total"] == 1


def test_a_client_has_only_so_many_names(bridge):
    bridge.load({"limits": {"max_client_names": 2}})
    said = bridge.subscribe("x/#")
    for n in range(4):
        bridge.publish(f"x/{n}", n, retain=True, origin="coap:10.0.0.7:4000" if n % 2 else "coap:10.0.0.7:5000")
    bridge.publish("x/other", 1, retain=True, origin="coap:10.0.0.8:4000")
    bridge.settle()
    assert bridge.stats()["bridge_hub_names_refused_total"] == 2
    bridge.publish("x/0", 9, retain=True, origin="coap:10.0.0.8:1")  # it is another's from now on
    bridge.publish("x/2", 9, retain=True, origin="coap:10.0.0.7:1")
    bridge.settle()
    assert bridge.get("x/2").value == 9
    bridge.load({})
    bridge.publish("x/3", 9, retain=True, origin="coap:10.0.0.7:1")
    assert bridge.get("x/3").value == 9
    said.close()


@pytest.mark.parametrize("rule, words", [
    ({"pattern": "a/#"}, "says"), ({"unused": "1h"}, "no \"pattern\""), ({"pattern": "a/#", "unused": "1x"}, "a time"),
    ({"pattern": "a/#", "unused": 5}, "a time"), ({"pattern": "a/#", "max_children": 20000}, "at most 10000"),
    ({"pattern": "a/#/b", "unused": "1h"}, "#"), ({"pattern": "a", "value_tl": "1h"}, "value_ttl"), ({"pattern": "a", "unused": "9ms"}, "second"),
])
def test_a_bad_rule_is_an_error_with_its_line(bridge, rule, words):
    with pytest.raises(Invalid) as error:
        bridge.load({"life": [rule]})
    assert words in str(error.value) and error.value.line


def test_rules_change_with_the_config_and_explain_tells_them(bridge, clock):
    bridge.load({"life": [{"pattern": "dev/#", "unused": "1h", "max_children": 9}]})
    bridge.put("dev/a", 1)
    assert "dev/#" in bridge.explain("dev/a")
    bridge.load({"life": [{"pattern": "dev/#", "unused": "9d"}]})
    wait(bridge, clock, 7200)
    assert bridge.get("dev/a").value == 1
    assert "max" not in bridge.explain("dev/a")
