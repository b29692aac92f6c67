"""Uplinks against a slow, obvious model: two sites at one broker, maps in, out and both ways, routes that would go round, and a wire that
is cut, refused and given back at any moment.  Nothing that was acknowledged is lost, nobody hears an echo, and what one says at one path
keeps its order."""
import itertools

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conftest import built_adapters

pytestmark = pytest.mark.skipif(not {"uplink", "mqtt"} <= set(built_adapters()), reason="needs uplinks and MQTT")
pytest.importorskip("libbridge")
from libbridge import Bridge  # noqa: E402
from libbridge.testing import Cloud  # noqa: E402

LONG = 30.0
MAPS = "out=up/{p...}>from/NAME/{p...};qos=1&in=down/{p...}>cmd/{p...};qos=1&both=shared/{p...};qos=1"
paths = st.sampled_from(["a", "b/c"])
says = st.tuples(st.sampled_from(["north", "south", "cloud"]), st.sampled_from(["up", "shared", "down", "raw"]), paths)
events = st.lists(st.one_of(says, says, says, st.sampled_from(["cut", "outage", "over"])), min_size=1, max_size=30)


def site(name, cloud):
    bridge = Bridge(clock=None, patience=LONG)
    maps = MAPS.replace("NAME", name)
    uplink = bridge.connect(f"{cloud.url}?name=cloud&client_id={name}&clean=no&version=5&retry_min=10&retry_max=50&{maps}")
    bridge.route("raw/{x...}", f"uplink.cloud:routed/{name}/{{x...}}", transform="scale 10", max_qos=1)
    bridge.route("up/{x...}", "mirror/{x...}", both_ways=True)  # would go round
    uplink.wait_up(timeout=LONG)
    return bridge, uplink


def listeners_of(who, top, path):
    """Where what `who` says at top/path must be heard, and as what: (listener, path, factor)."""
    if who == "cloud":
        return {"down": [("cloud", f"down/{path}", 1), ("north", f"cmd/{path}", 1), ("south", f"cmd/{path}", 1)],
                "shared": [(where, f"shared/{path}", 1) for where in ("cloud", "north", "south")]}.get(top, [("cloud", f"{top}/{path}", 1)])
    return [(who, f"{top}/{path}", 1)] + {
        "up": [("cloud", f"from/{who}/{path}", 1), (who, f"mirror/{path}", 1)],
        "raw": [("cloud", f"routed/{who}/{path}", 10)],
        "shared": [(where, f"shared/{path}", 1) for where in ("cloud", "north", "south") if where != who]}.get(top, [])


def first_heard(values):
    return list(dict.fromkeys(values))


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(events)
@example(["outage", ("north", "up", "a"), ("cloud", "down", "a"), ("south", "shared", "a"), "over", ("north", "up", "a"), "cut", ("north", "raw", "a")])
def test_what_is_said_is_heard_wherever_the_maps_say_and_nowhere_twice(happened):
    numbers = itertools.count(1)
    said = {}  # (listener, path, speaker): what must be heard there
    cloud = Cloud(Bridge(clock=None, patience=LONG))
    bridges = {"cloud": cloud.bridge}
    (bridges["north"], north), (bridges["south"], south) = site("north", cloud), site("south", cloud)
    heard = {name: bridge.subscribe("#", timeout=LONG, most=100_000) for name, bridge in bridges.items()}
    speaker_of, cuts = {}, 0

    def say(who, top, path):
        number = next(numbers)
        speaker_of[number] = who
        for where, there, factor in listeners_of(who, top, path):
            said.setdefault((where, there, who), []).append(number * factor)
            speaker_of[number * factor, there] = who
        bridges[who].post(f"{top}/{path}", number, qos=1)

    try:
        for event in happened:
            if isinstance(event, tuple):
                say(*event)
            else:
                getattr(cloud, event)()
                cuts += event != "over"
        cloud.over()
        north.wait_up(timeout=LONG)
        south.wait_up(timeout=LONG)
        for who, top, path in itertools.product(bridges, ("up", "shared", "down", "raw"), ("a", "b/c")):
            say(who, top, path)  # the last of each, behind all others

        got = {}
        missing = {(where, there, who): values[-1] for (where, there, who), values in said.items()}
        for where, messages in heard.items():
            while any(key[0] == where for key in missing):
                message = next(messages)
                if message.path.startswith("$SYS/"):
                    continue
                value = int(message.value)
                key = (where, message.path, speaker_of.get((value, message.path)))
                got.setdefault(key, []).append(value)
                if missing.get(key) == value:
                    del missing[key]
        for key, values in got.items():
            assert key in said, f"{values} came to {key[:2]}, where nothing leads"
            assert first_heard(values) == said[key], key
            if not cuts or key[0] == key[2]:
                assert len(values) == len(said[key]), f"{key}: heard twice: {values}"
        assert set(got) == set(said)
    finally:
        for bridge in reversed(bridges.values()):
            bridge.close()
        cloud.wire.close()
