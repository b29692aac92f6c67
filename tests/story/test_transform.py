"""What routes do to messages on their way: docs/routes.md, Transformations."""
import json

import pytest

from peers.mqtt import Client

pytest.importorskip("libbridge.testing")
from libbridge import Bridge, Clock, Format, Invalid  # noqa: E402


@pytest.fixture
def clock():
    return Clock(frozen=True)


@pytest.fixture
def bridge(clock):
    with Bridge(clock=clock) as b:
        yield b


def pass_time(bridge, clock, seconds):
    bridge.settle()  # what was published before comes before
    clock.advance(seconds)


def over(bridge, payload, steps, *, source="in/{room}/t", target="out/{room}", path="in/hall/t", **options):
    """What comes out of one route for one payload: a list of (path, bytes)."""
    route = bridge.route(source, target, transform=steps, **options)
    heard = bridge.subscribe("out/#")
    bridge.publish(path, payload)
    got = said(bridge, heard)
    heard.close()
    route.close()
    return got


def said(bridge, heard):
    """All that has come: a publish of our own comes last, and ends it."""
    bridge.publish("out/end", "end")
    got = []
    for message in heard:
        if message.path == "out/end":
            return got
        got.append((message.path, message.payload))


@pytest.mark.parametrize("steps, payload, out", [
    ("pick $.temp", b'{"temp": 21.50, "hum": 40}', b"21.50"),
    ("pick temp", b'{"temp": "warm"}', b"warm"),
    ("pick $.a.b[0]", b'{"a": {"b": [true, 2]}}', b"true"),
    ("pick $.a.b[-1]", b'{"a": {"b": [true, 2]}}', b"2"),
    ("pick $['a b'].c", b'{"a b": {"c": {"d": 1}}}', b'{"d":1}'),
    ("pick $[0].v", b'[{"n":"t","v":7}]', b"7"),
    ("scale 0.1", b"215", b"21.5"),
    ("scale 1.8 32", b"21.5", b"70.7"),
    ("scale 0.1", b"3", b"0.3"),
    ("offset -40", b"61.5", b"21.5"),
    ("offset 0.1 | offset 0.2", b"0", b"0.3"),
    ("scale 2", b'{"t": 10, "name": "x"}', b'{"t":20,"name":"x"}'),
    ("unit degF Cel", b"212", b"100"),
    ("unit Cel degF", b"21.5", b"70.7"),
    ("unit K Cel", b"300", b"26.85"),
    ("unit kWh J", b"2", b"7200000"),
    ("unit mV V", b"1500", b"1.5"),
    ("format cbor", b'{"a":1}', b"\xa1\x61a\x01"),
    ("wrap value", b"21.5", b'{"value":21.5}'),
    ("wrap v room source='north wing' n=12 ok=true where=path", b"21.5",
     b'{"v":21.5,"room":"hall","source":"north wing","n":12,"ok":true,"where":"in/hall/t"}'),
    ("wrap v", b'{"a":[1]}', b'{"v":{"a":[1]}}'),
    ("wrap v", b"warm", b'{"v":"warm"}'),
    ("wrap v t=$.t", b'{"t":[1,2]}', b'{"v":{"t":[1,2]},"t":[1,2]}'),
    ("template '{room}: {value} at {path}'", b"21.5", b"hall: 21.5 at in/hall/t"),
    ("template '{\"room\": \"{room}\", \"t\": {value}, \"q\": {qos}}'", b"21.5", b'{"room": "hall", "t": 21.5, "q": 0}'),
    ("template '{\"t\": {$.a.b}, \"s\": \"{$.s}\"}'", b'{"a":{"b":[1]},"s":"x\\"y"}', b'{"t": [1], "s": "x\\"y"}'),
    ("template '\\{room} {x y} {}{{'", b"1", b"{room} {x y} {}{{"),
    ("template '\\{\"t\":{value}\\}'", b"1", b'{"t":1}'),
    ("template '[{value},{value}]'", b"warm", b'["warm","warm"]'),
    ("pick $.t | scale 2 | wrap v", b'{"t":3}', b'{"v":6}'),
])
def test_one_step_after_the_other(bridge, steps, payload, out):
    assert over(bridge, payload, steps) == [("out/hall", out)]


def test_a_template_for_json_stays_json_whatever_is_put_in(bridge):
    path = 'in/x", "admin": "yes/t'
    (_, payload), = over(bridge, 'a"b\\', "template '{\"room\": \"{room}\", \"v\": {value}}'", target="out/x", path=path)
    assert json.loads(payload) == {"room": 'x", "admin": "yes', "v": 'a"b\\'}


def test_the_unit_of_a_pack_changes_with_its_number_and_others_stay(bridge):
    pack = [{"n": "in/hall/t/a", "u": "mV", "v": 1500}, {"n": "in/hall/t/b", "u": "V", "v": 3}]
    bridge.route("in/{room}/t", "out/{room}", transform="unit mV V")
    heard = bridge.subscribe("out/#")
    bridge.publish("in/hall/t", json.dumps(pack).encode(), format=Format.SENML_JSON)
    first = json.loads(next(heard).payload)
    values = sorted((r.get("u") or first[0].get("bu"), r["v"]) for r in first)
    assert values == [("V", 1.5), ("V", 3)]


@pytest.mark.parametrize("steps, payload", [
    ("scale 2", b"warm"), ("scale 2", b""), ("pick $.x", b'{"y":1}'), ("pick $.x", b"not json"), ("pick $.x", b'{"x":null}'),
    ("deadband 1", b"warm"), ("window 1s mean", b'{"a":1,"b":2}'), ("split", b""), ("unit degF Cel", b"\xff\x00"),
])
def test_what_a_step_cannot_take_is_dropped_and_counted_or_passed(bridge, steps, payload):
    before = bridge.stats()["bridge_routes_transform_bad_total"]
    assert over(bridge, payload, steps) == []
    assert bridge.stats()["bridge_routes_transform_bad_total"] == before + 1
    assert over(bridge, payload, steps, on_error="pass") == [("out/hall", payload)]


@pytest.mark.parametrize("steps, words", [
    ("pik $.a", "did you mean \"pick\""), ("", "without steps"), ("scale 2 |", "missing next to"), ("| scale 2", "without steps"),
    ("scale", "said like this"), ("scale x", "not a number"), ("scale 0", "same"), ("unit degF m", "no way between"),
    ("unit foo Cel", "no unit"), ("pick a..b", "no place"), ("pick $.a[x]", "no place"), ("window 1s median", "mean"),
    ("window 10 mean", "no time"), ("min-interval 0s", "no time"), ("template '{rom}'", "did you mean"), ("template 'x", "not closed"),
    ("wrap v a=nobody", "no field"), ("call nobody", "no function"), ("format jsn", "nothing here writes"), ("deadband 0", "more than 0"),
    ("merge", "said like this"), ("wrap v v=1", "twice"), (" | ".join(["scale 2"] * 17), "more than 16 steps"), ("x" * 9000, "8192"),
])
def test_mistakes_are_refused_with_a_sentence(bridge, steps, words):
    with pytest.raises(Exception) as error:
        bridge.route("in/{room}/t", "out/{room}", transform=steps)
    assert words in str(error.value)


def test_a_config_says_the_line_of_a_bad_step(bridge):
    config = '{"routes": [\n {"source": "a", "target": "b",\n  "transform": ["scale 2", "scal 3"]}\n]}'
    with pytest.raises(Invalid, match="scale") as error:
        bridge.load(config)
    assert error.value.line == 2


def test_a_config_has_steps_as_text_or_as_a_list(bridge):
    bridge.load({"routes": [{"source": "a", "target": "out/a", "transform": ["pick $.t", "scale 2"]},
                            {"source": "b", "target": "out/b", "transform": "pick $.t | scale 3", "on_error": "pass"}]})
    heard = bridge.subscribe("out/#")
    for path in "ab":
        bridge.publish(path, b'{"t":1}')
        bridge.publish(path, b"x")
    assert said(bridge, heard) == [("out/a", b"2"), ("out/b", b"3"), ("out/b", b"x")]


# ---- names

def test_a_name_is_transformed_in_and_back_out(bridge):
    bridge.route("x-plc:{room}/f", "home/{room}/temp", transform="unit degF Cel")
    heard = bridge.subscribe("home/#")
    bridge.publish("hall/f", 212, retain=True, origin="x-plc:1")
    assert next(heard).payload == b"100"
    assert bridge.get("home/hall/temp").value == 100
    assert bridge.get("hall/f").value == 212  # we speak for every scheme unless we say which
    assert "transformed" in bridge.explain("home/hall/temp")


def test_a_name_that_has_no_way_back_must_say_that_it_goes_one_way(bridge):
    with pytest.raises(Invalid, match="no way back"):
        bridge.route("x-plc:{room}/f", "home/{room}/temp", transform="pick $.t")
    with pytest.raises(Invalid, match="holds messages back"):
        bridge.route("x-plc:{room}/f", "home/{room}/temp", transform="deadband 1", both_ways=False)
    with pytest.raises(Invalid, match="no way back"):
        bridge.route("a/{x}", "b/{x}", transform="wrap v", both_ways=True)
    bridge.route("x-plc:{room}/f", "home/{room}/temp", transform="pick $.t", both_ways=False)
    heard = bridge.subscribe("home/#")
    bridge.publish("hall/f", b'{"t":1}', origin="x-plc:1")
    assert next(heard).payload == b"1"


def test_a_copy_both_ways_is_transformed_back(bridge):
    bridge.route("f/{room}", "c/{room}", transform="unit degF Cel", both_ways=True)
    heard = bridge.subscribe("+/hall")
    bridge.publish("c/hall", 100)
    assert {m.path: m.payload for m in heard.take(2)} == {"c/hall": b"100", "f/hall": b"212"}


# ---- functions

def test_a_python_function_is_a_step(bridge):
    bridge.route("in/{room}/t", "out/{room}", transform=["pick $.t", lambda m: m.value * 2 if m.value < 10 else None, "wrap v"])
    heard = bridge.subscribe("out/#")
    for t in (1, 50, 2):
        bridge.publish("in/hall/t", {"t": t})
    bridge.publish("in/hall/t", {"t": "x"})
    bridge.publish("in/hall/t", {"t": 3})
    assert said(bridge, heard) == [("out/hall", b'{"v":2}'), ("out/hall", b'{"v":4}'), ("out/hall", b'{"v":6}')]


def test_a_function_by_name_serves_a_config(bridge):
    @bridge.transform("double")
    def double(message):
        return message.value * 2

    bridge.load({"routes": [{"source": "a", "target": "out/a", "transform": "call double"}]})
    heard = bridge.subscribe("out/#")
    bridge.publish("a", 4)
    assert said(bridge, heard) == [("out/a", b"8")]


# ---- many values of one pack, one pack of many values

def test_a_pack_is_split_into_paths(bridge):
    bridge.route("gw/{id}", "out/{id}", transform="split")
    heard = bridge.subscribe("out/#")
    bridge.publish("gw/7", b'[{"bn":"gw/7/","bt":1700000000,"n":"temp","u":"Cel","v":21.5},{"n":"door","vb":true}]',
                   format=Format.SENML_JSON)
    first, second = heard.take(2)
    assert (first.path, first.payload, first.time.timestamp()) == ("out/7/temp", b"21.5", 1700000000)
    assert (second.path, second.payload) == ("out/7/door", b"true")


def test_a_json_object_is_split_too_and_steps_go_on_for_each(bridge):
    assert over(bridge, b'{"a":1,"b":{"c":2}}', "split | scale 10") == [("out/hall/a", b"10"), ("out/hall/b/c", b"20")]


def test_values_are_merged_into_one_pack(bridge, clock):
    bridge.route("things/{gw}/{what}", "out/{gw}", transform="merge 10s")
    heard = bridge.subscribe("out/#")
    for what, value in (("temp", 20), ("hum", 40), ("temp", 21.5)):
        bridge.publish(f"things/7/{what}", value)
    bridge.publish("things/8/temp", 1)
    assert said(bridge, heard) == []
    pass_time(bridge, clock, 10)
    packs = dict(said(bridge, heard))
    assert {r["n"]: r["v"] for r in json.loads(packs["out/7"])} == {"hum": 40, "temp": 21.5}
    assert [r["n"] for r in json.loads(packs["out/8"])] == ["temp"]
    pass_time(bridge, clock, 10)
    assert said(bridge, heard) == []


def test_merge_names_by_a_template(bridge, clock):
    bridge.route("{room}/{what}/state", "out/all", transform="merge 1s name='{room}:{what}' senml+json")
    heard = bridge.subscribe("out/#")
    bridge.publish("hall/temp/state", 1)
    pass_time(bridge, clock, 2)
    (_, payload), = said(bridge, heard)
    assert json.loads(payload)[0]["n"] == "hall:temp"


def test_a_function_cannot_wait_for_the_bridge_that_waits_for_it(bridge):
    said_no = []

    def step(message):
        try:
            bridge.get("elsewhere")
        except Invalid as why:
            said_no.append(str(why))
        bridge.publish("out/besides", "published")
        return message.value

    bridge.put("elsewhere", 1)
    assert sorted(over(bridge, 7, [step])) == [("out/besides", b"published"), ("out/hall", b"7")]
    assert len(said_no) == 1 and "cannot wait" in said_no[0]
    assert bridge.get("elsewhere").value == 1


# ---- what remembers

def test_deadband(bridge):
    bridge.route("in/{room}/t", "out/{room}", transform="deadband 0.5")
    heard = bridge.subscribe("out/#")
    for value in (20, 20.4, 20.5, 20.9, 21.2, 20.8):
        bridge.publish("in/hall/t", value)
    bridge.publish("in/attic/t", 20.4)
    assert said(bridge, heard) == [("out/hall", b"20"), ("out/hall", b"20.5"), ("out/hall", b"21.2"), ("out/attic", b"20.4")]


def test_deadband_in_percent(bridge):
    bridge.route("in/{room}/t", "out/{room}", transform="deadband 10%")
    heard = bridge.subscribe("out/#")
    for value in (100, 109, 91, 110, 120, 121):
        bridge.publish("in/hall/t", value)
    assert [v for _, v in said(bridge, heard)] == [b"100", b"110", b"121"]


def test_on_change(bridge):
    bridge.route("in/{room}/t", "out/{room}", transform="on-change", retain=True)
    heard = bridge.subscribe("out/#")
    for value in ("a", "a", "b", "a"):
        bridge.put("in/hall/t", value)
    bridge.delete("in/hall/t")  # it is removed there, too, and then it is new again
    bridge.put("in/hall/t", "a")
    assert said(bridge, heard) == [("out/hall", b"a"), ("out/hall", b"b"), ("out/hall", b"a"), ("out/hall", b""), ("out/hall", b"a")]


def test_at_most_one_in_an_interval_and_the_last_comes_when_it_is_over(bridge, clock):
    bridge.route("in/{room}/t", "out/{room}", transform="min-interval 10s")
    heard = bridge.subscribe("out/#")
    for value in (1, 2, 3):
        bridge.publish("in/hall/t", value)
    assert said(bridge, heard) == [("out/hall", b"1")]
    pass_time(bridge, clock, 10)
    assert said(bridge, heard) == [("out/hall", b"3")]
    pass_time(bridge, clock, 9)
    bridge.publish("in/hall/t", 4)
    assert said(bridge, heard) == []
    pass_time(bridge, clock, 1)
    assert said(bridge, heard) == [("out/hall", b"4")]
    pass_time(bridge, clock, 30)
    bridge.publish("in/hall/t", 5)
    assert said(bridge, heard) == [("out/hall", b"5")]


def test_at_least_one_in_an_interval(bridge, clock):
    bridge.route("in/{room}/t", "out/{room}", transform="max-interval 10s")
    heard = bridge.subscribe("out/#")
    bridge.publish("in/hall/t", 1)
    pass_time(bridge, clock, 9)
    assert said(bridge, heard) == [("out/hall", b"1")]
    pass_time(bridge, clock, 1)
    assert said(bridge, heard) == [("out/hall", b"1")]
    pass_time(bridge, clock, 10)
    assert said(bridge, heard) == [("out/hall", b"1")]


def test_a_window(bridge, clock):
    bridge.route("in/{room}/t", "out/{room}", transform="window 60s count min max mean sum last")
    heard = bridge.subscribe("out/#")
    for value in (1, 4, 2.5):
        bridge.publish("in/hall/t", value)
    assert said(bridge, heard) == []
    pass_time(bridge, clock, 60)
    (path, payload), = said(bridge, heard)
    assert path == "out/hall"
    assert json.loads(payload) == {"count": 3, "min": 1, "max": 4, "mean": 2.5, "sum": 7.5, "last": 2.5}
    pass_time(bridge, clock, 60)
    assert said(bridge, heard) == []


def test_a_window_over_all_rooms_and_steps_behind_it(bridge, clock):
    bridge.route("in/{room}/t", "out/mean", transform="window 5s mean | deadband 1 | template 'mean {value}'")
    heard = bridge.subscribe("out/#")
    for value, room in ((10, "a"), (20, "b")):
        bridge.publish(f"in/{room}/t", value)
    pass_time(bridge, clock, 5)
    assert said(bridge, heard) == [("out/mean", b"mean 15")]
    bridge.publish("in/a/t", 15.5)
    pass_time(bridge, clock, 5)
    assert said(bridge, heard) == []


def test_what_is_held_back_goes_on_when_its_route_goes(bridge, clock):
    route = bridge.route("in/{room}/t", "out/{room}", transform="window 60s mean")
    heard = bridge.subscribe("out/#")
    bridge.publish("in/hall/t", 3)
    bridge.settle()
    route.close()
    assert said(bridge, heard) == [("out/hall", b"3")]
    assert bridge.stats()["bridge_routes_held_paths"] == 0


def test_what_is_remembered_is_bounded(bridge):
    bridge.route("in/{room}/t", "out/{room}", transform="on-change")
    for n in range(10050):
        bridge.publish(f"in/{n}/t", 1)
    bridge.settle()
    assert bridge.stats()["bridge_routes_held_paths"] == 10000


def test_what_a_window_holds_is_heard_at_the_end_by_those_who_came_before_the_route():
    with Bridge("mqtt://127.0.0.1:0") as b, Client(int(b.listeners[0].rpartition(":")[2])) as client:
        client.connect("listener")
        client.subscribe("out/#")
        b.route("in/{x}", "out/{x}", transform="window 1h mean")
        b.publish("in/1", 10)
        b.publish("in/1", 20)
        b.close()
        heard = client.message()
    assert (heard.topic, heard.payload) == ("out/1", b"15")


def test_two_routes_with_windows_do_not_play_ping_pong_for_ever(bridge, clock):
    bridge.route("a/{x}", "b/{x}", transform="window 1s last")
    bridge.route("b/{x}", "a/{x}", transform="window 1s last")
    bridge.publish("a/x", 1)
    for _ in range(40):
        pass_time(bridge, clock, 1)
    bridge.settle()
    assert bridge.stats()["bridge_routes_held_paths"] == 0
