"""Transformations against slow, obvious versions of them, with values and times that nobody would think of."""
import json
import math
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("libbridge")
from libbridge import Bridge, Clock  # noqa: E402

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
numbers = st.one_of(st.integers(-10**6, 10**6), st.integers(-10**9, 10**9).map(lambda n: n / 1000))
rooms = st.sampled_from(["a", "b", "c"])
times = st.sampled_from([0, 0.1, 1, 3, 5, 9.9, 10, 30])
events = st.lists(st.tuples(rooms, numbers, times), min_size=1, max_size=12)


def run(steps, happened, *, target="out/{room}", after=100.0):
    """What comes out: (path, value), in order."""
    clock = Clock(frozen=True)
    with Bridge(clock=clock) as bridge:
        bridge.route("in/{room}", target, transform=steps)
        heard = bridge.subscribe("out/#")
        for room, value, wait in happened:
            bridge.publish(f"in/{room}", value)
            bridge.settle()
            pass_time(bridge, clock, wait)
        pass_time(bridge, clock, after)
        bridge.publish("out/end", "end")
        got = []
        for message in heard:
            if message.path == "out/end":
                return got
            got.append((message.path, message.value))


def pass_time(bridge, clock, seconds):
    """In steps, so that what is due in between comes out at its time."""
    while seconds > 1e-9:
        step = min(seconds, 0.1)
        clock.advance(step)
        bridge.settle()
        seconds -= step


@quick
@given(numbers, st.integers(1, 1000), numbers)
def test_scale_is_exact_to_fifteen_digits_and_its_way_back_comes_back(value, factor, plus):
    with Bridge() as bridge:
        bridge.route("x-a:t", "out", transform=f"scale {factor} {plus}")
        bridge.put("out", 0)
        bridge.publish("t", value, retain=True, origin="x-a:1")
        bridge.settle()
        got = bridge.get("out").value
        exact = Fraction(str(value)) * factor + Fraction(str(plus))
        assert math.isclose(got, float(exact), rel_tol=1e-12, abs_tol=1e-9)
        assert math.isclose(bridge.get("t").value, value, rel_tol=1e-9, abs_tol=1e-6)


@quick
@given(numbers, st.sampled_from([("degF", "Cel"), ("K", "Cel"), ("kWh", "J"), ("mV", "V"), ("km/h", "m/s"), ("mph", "km/h"), ("degF", "K")]))
def test_units_go_there_and_back(value, units):
    there, back = units
    out = run(f"unit {there} {back} | unit {back} {there}", [("a", value, 0)], after=0)
    assert math.isclose(out[0][1], value, rel_tol=1e-9, abs_tol=1e-6)


@quick
@given(st.lists(st.tuples(rooms, numbers), min_size=1, max_size=30), st.floats(0.001, 1e6, allow_nan=False))
def test_deadband(happened, band):
    last, wanted = {}, []
    for room, value in happened:
        if room not in last or (abs(value - last[room]) >= band and value != last[room]):
            last[room] = value
            wanted.append((f"out/{room}", value))
    assert run(f"deadband {band!r}", [(r, v, 0) for r, v in happened], after=0) == wanted


@quick
@given(st.lists(st.tuples(rooms, st.sampled_from([1, 1.0, 2, "x"])), min_size=1, max_size=30))
def test_on_change_is_about_bytes(happened):
    last, wanted = {}, []
    for room, value in happened:
        if last.get(room) != str(value):
            last[room] = str(value)
            wanted.append((f"out/{room}", value))
    assert run("on-change", [(r, v, 0) for r, v in happened], after=0) == wanted


@settings(quick, max_examples=25)
@given(events)
def test_a_window_counts_what_came_within_it(happened):
    now, windows, wanted = 0.0, {}, []
    for room, value, wait in happened:
        windows.setdefault(room, []).append(value) if room in windows and now < windows[room][0] else windows.update({room: [now + 5, value]})
        now += wait
        for name in sorted(windows, key=lambda n: windows[n][0]):
            if windows[name][0] <= now + 1e-9:
                wanted.append((name, windows.pop(name)[1:]))
    wanted += [(name, windows[name][1:]) for name in sorted(windows, key=lambda n: windows[n][0])]
    got = run("window 5s count min max sum", happened, after=10)
    assert sorted(path for path, _ in got) == sorted(f"out/{name}" for name, _ in wanted)
    for name in "abc":
        mine = [stats for path, stats in got if path == f"out/{name}"]
        theirs = [values for n, values in wanted if n == name]
        for stats, values in zip(mine, theirs):
            assert (stats["count"], stats["min"], stats["max"]) == (len(values), min(values), max(values))
            assert math.isclose(stats["sum"], math.fsum(values), rel_tol=1e-9, abs_tol=1e-6)


@settings(quick, max_examples=25)
@given(events)
def test_an_interval_never_lets_two_through_and_never_loses_the_last(happened):
    got = run("min-interval 10s", happened, after=20)
    for name in "abc":
        values = [v for r, v, _ in happened if r == name]
        mine = [v for path, v in got if path == f"out/{name}"]
        assert (mine[0], mine[-1]) == (values[0], values[-1]) if values else not mine
        assert len(mine) <= len(values)
        total = sum(wait for _, _, wait in happened)
        assert len(mine) <= total / 10 + 2


@quick
@given(st.dictionaries(st.text("abcdefgh", min_size=1, max_size=4), numbers, min_size=1, max_size=8))
def test_what_is_split_and_merged_again_is_the_same(values):
    with Bridge(clock=(clock := Clock(frozen=True))) as bridge:
        bridge.route("in", "parts", transform="split")
        bridge.route("parts/{name}", "out", transform="merge 1s name='{name}'")
        heard = bridge.subscribe("out")
        bridge.publish("in", values)
        bridge.settle()
        pass_time(bridge, clock, 1.1)
        pack = json.loads(next(heard).payload)
        base = pack[0].get("bn", "")
        assert {base + r.get("n", ""): r["v"] for r in pack} == values


@quick
@given(st.text(min_size=1, max_size=20).filter(lambda t: "\0" not in t and "/" not in t and "+" not in t and "#" not in t and "$" not in t),
       st.one_of(st.text(max_size=30), numbers, st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)))
def test_a_template_for_json_is_json_with_what_was_said(room, value):
    try:
        room.encode()
    except UnicodeEncodeError:
        return
    with Bridge() as bridge:
        bridge.route("in/{room}", "out", transform="""template '{"room": "{room}", "again": {room}, "value": {value}}' """)
        heard = bridge.subscribe("out")
        bridge.publish(f"in/{room}", value)
        if value == "":
            return
        said = json.loads(next(heard).payload)
        assert said["room"] == said["again"] == room
