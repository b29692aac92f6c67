"""libbridge.Bridge: values in, values out, natural exceptions, handlers and resources."""
import gc
import json
import math
import os
import threading
import time
import weakref
from datetime import datetime, timedelta, timezone

import pytest
from peers.http import Http
from peers.process import SANITIZER

libbridge = pytest.importorskip("libbridge.testing") and __import__("libbridge")
from libbridge import Bridge, Closed, Format, Message, Record, Records, Reply  # noqa: E402


@pytest.fixture
def bridge(make_bridge):
    """No listeners: these stories are about Python."""
    return make_bridge()


# ---- talking and hearing

def test_what_is_published_is_heard(bridge):
    heard = bridge.subscribe("home/+/temperature")

    bridge.publish("home/kitchen/temperature", 21.5)

    message = next(heard)
    assert (message.path, message.value, message.format) == ("home/kitchen/temperature", 21.5, Format.TEXT)
    assert (float(message), str(message), bytes(message)) == (21.5, "21.5", b"21.5")
    assert message.version > 0 and not message.retain and message.qos == 0
    assert abs(message.time - datetime.now(timezone.utc)) < timedelta(minutes=1)


def test_kept_values_come_first(bridge):
    bridge.publish("a", 1, retain=True)
    bridge.put("b", 2)

    heard = bridge.subscribe("#")

    assert {m.path: m.value for m in heard.take(2)} == {"a": 1, "b": 2}


@pytest.mark.parametrize("value, payload, format, back", [
    (b"\x00\xff", b"\x00\xff", Format.AUTO, b"\x00\xff"),
    ("grün", "grün".encode(), Format.TEXT, "grün"),
    ("", b"", Format.TEXT, ""),
    (42, b"42", Format.TEXT, 42),
    (-0.5, b"-0.5", Format.TEXT, -0.5),
    (2**70, str(2**70).encode(), Format.TEXT, 2**70),
    ("007", b"007", Format.TEXT, "007"),
    ("1_000", b"1_000", Format.TEXT, "1_000"),
    (True, b"true", Format.JSON, True),
    (None, b"null", Format.JSON, None),
    ({"a": [1, "ü"]}, '{"a":[1,"ü"]}'.encode(), Format.JSON, {"a": [1, "ü"]}),
    (b'{"a": 1}', b'{"a": 1}', Format.AUTO, {"a": 1}),
    (b"{not json", b"{not json", Format.AUTO, "{not json"),
    (b"12.50", b"12.50", Format.AUTO, 12.5),
])
def test_values_cross_as_they_are(bridge, value, payload, format, back):
    heard = bridge.subscribe("v")

    bridge.publish("v", value)

    message = next(heard)
    assert (message.payload, message.format) == (payload, format)
    assert message.value == back and type(message.value) is type(back)


def test_a_format_may_be_said(bridge):
    heard = bridge.subscribe("v")

    bridge.publish("v", "21.5", format="json")
    bridge.publish("v", b"\x89PNG", format="image/png")
    bridge.publish("v", 7, format=Format.JSON)
    bridge.publish("v", {"a": 1}, format="cbor")

    as_json, picture, number, cbor = heard.take(4)
    assert (as_json.payload, as_json.value) == (b'"21.5"', "21.5")
    assert (picture.format, picture.media_type, picture.value) == (Format.NAMED, "image/png", b"\x89PNG")
    assert number.format == Format.JSON
    assert cbor.payload == bytes.fromhex("a1616101") and cbor.value == {"a": 1} and cbor.json() == {"a": 1}


def test_records_are_senml(bridge):
    heard = bridge.subscribe("v")

    bridge.publish("v", Records([Record("t", 21.5, "Cel"), Record("door", True), Record("raw", b"\x01\x02")]))

    message = next(heard)
    assert message.format == Format.SENML_JSON
    assert json.loads(message.payload)[0] == {"n": "t", "u": "Cel", "v": 21.5}
    assert message.value == message.records == [Record("t", 21.5, "Cel"), Record("door", True), Record("raw", b"\x01\x02")]


@pytest.mark.parametrize("call, error, natural", [
    (lambda b: b.get("nothing/here"), libbridge.NotFound, LookupError),
    (lambda b: b.publish("a/#", 1), libbridge.Invalid, ValueError),
    (lambda b: b.publish("a", 1, qos=3), libbridge.Invalid, ValueError),
    (lambda b: b.publish("a", math.nan, format="json"), libbridge.Invalid, ValueError),
    (lambda b: b.publish("a", object()), libbridge.Invalid, ValueError),
    (lambda b: b.publish("a", 1, ttl=0), libbridge.Invalid, ValueError),
    (lambda b: b.publish("a", 1, format="jsno"), libbridge.Invalid, ValueError),
    (lambda b: b.subscribe("a/#/b"), libbridge.SyntaxProblem, ValueError),
    (lambda b: b.listen("gopher://127.0.0.1:0"), libbridge.Unsupported, NotImplementedError),
    (lambda b: b.load('{\n"lisen": []}'), libbridge.Invalid, ValueError),
    (lambda b: b.load('{\n"listen"'), libbridge.SyntaxProblem, ValueError),
    (lambda b: b.get("a", timeout=0), libbridge.Invalid, ValueError),
])
def test_errors_are_natural(bridge, call, error, natural):
    with pytest.raises(error) as raised:
        call(bridge)

    assert isinstance(raised.value, natural)
    assert raised.value.status == error.status < 0 and str(raised.value)


def test_a_config_error_has_its_line(bridge):
    with pytest.raises(libbridge.BridgeError) as raised:
        bridge.load('// a comment\n{\n  "lisen": []\n}')

    assert raised.value.line == 3
    assert str(raised.value) == 'line 3: unknown key "lisen"; did you mean "listen"?'


def test_every_status_has_an_exception_of_its_own():
    for number, name, text in libbridge._bridge.statuses():
        error = libbridge.errors.error_for(number)
        assert type(error) is not libbridge.BridgeError, name
        assert (error.status, str(error)) == (number, text)


def test_the_verbs_that_change_things(bridge):
    assert bridge.put("a", {"x": 1}) is None
    assert bridge.get("a").json() == {"x": 1}
    bridge.delete("a")

    with pytest.raises(LookupError):
        bridge.get("a")
    bridge.post("a", "an event")
    with pytest.raises(LookupError):
        bridge.get("a")


def test_a_patch_changes_a_part(bridge):
    bridge.put("a", {"x": 1, "y": 2})

    bridge.patch("a", {"x": None, "z": 3})

    assert bridge.get("a").value == {"y": 2, "z": 3}
    with pytest.raises(libbridge.Conflict):
        bridge.patch("a", [{"op": "test", "path": "/y", "value": 5}], format=Format.JSON_PATCH)
    with pytest.raises(libbridge.UnknownFormat):
        bridge.patch("a", "x", format="text")
    bridge.patch("new", {"made": True})
    assert bridge.get("new").value == {"made": True}


def test_properties_and_correlation_go_along(bridge):
    heard = bridge.subscribe("a")

    bridge.publish("a", 1, props=[("k", "1"), ("k", "2")], response="answers/here", correlation=b"\0\1", ttl=60, qos=1)

    m = next(heard)
    assert m.props == (("k", "1"), ("k", "2"))
    assert (m.response, m.correlation, m.ttl, m.qos) == ("answers/here", b"\0\1", timedelta(seconds=60), 1)


def test_a_message_can_be_sent_on(bridge):
    heard = bridge.subscribe("b")

    bridge.publish("b", Message("a", b"\x01", Format.BYTES))

    m = next(heard)
    assert (m.path, m.payload, m.format) == ("b", b"\x01", Format.BYTES)


# ---- iterators

def test_nothing_said_is_a_timeout(bridge):
    heard = bridge.subscribe("a", timeout=0.05)

    with pytest.raises(TimeoutError, match="nothing on 'a' for 0.05 s"):
        next(heard)


def test_a_reader_that_sleeps_loses_the_oldest_and_knows_it(bridge):
    heard = bridge.subscribe("n", most=3)
    all_of_them = bridge.subscribe("n")

    for n in range(10):
        bridge.publish("n", n)
    all_of_them.take(10)

    assert [m.value for m in heard.take(3)] == [7, 8, 9]
    assert heard.lost == 7


def test_closing_a_subscription_lets_its_reader_go(bridge):
    heard = bridge.subscribe("a")
    ended = threading.Event()
    reader = threading.Thread(target=lambda: (list(heard), ended.set()))
    reader.start()

    heard.close()

    assert ended.wait(20)
    reader.join()


def test_closing_the_bridge_ends_its_iterators(bridge):
    heard = bridge.subscribe("a")

    bridge.close()

    assert list(heard) == []


def test_a_forgotten_subscription_closes_itself(bridge):
    before = watches(bridge)
    heard = bridge.subscribe("a/#")
    assert watches(bridge) == before + 1

    del heard
    gc.collect()

    assert watches(bridge) == before


def watches(bridge):
    """How many subscriptions the bridge itself counts."""
    numbers = [value for name, value in bridge.stats().items() if "watch" in name or "subscription" in name]
    if not numbers:
        pytest.skip("subscriptions are not counted")
    return numbers[0]


# ---- handlers

def test_a_handler_gets_its_captures_by_name(bridge):
    got = []
    done = threading.Event()

    @bridge.on("home/{room}/{rest...}")
    def heard(message, room, rest):
        got.append((room, rest, message.value))
        done.set()

    bridge.publish("home/kitchen/light/1", "on")

    assert done.wait(20)
    assert got == [("kitchen", "light/1", "on")]


def test_a_handler_may_ask_the_bridge(bridge):
    answers = bridge.subscribe("sum")
    bridge.put("factor", 3)

    @bridge.on("n")
    def multiply(message):
        bridge.publish("sum", int(message) * bridge.get("factor").value)

    bridge.publish("n", 14)

    assert next(answers).value == 42


def test_handlers_that_wait_for_each_other(bridge):
    """A handler that waits lets the network go on: the resource it asks is answered by another thread's handler later."""
    results = bridge.subscribe("result")

    @bridge.on("go")
    def go(message):
        inner = bridge.subscribe("echo", timeout=10)
        bridge.publish("echo", message.value)
        bridge.publish("result", next(inner).value)

    bridge.publish("go", "hello")

    assert next(results).value == "hello"


def test_a_handler_that_fails_does_not_disturb_the_others(bridge, caplog):
    heard = bridge.subscribe("ok")

    @bridge.on("n")
    def breaks(message):
        raise RuntimeError("a bug in the handler")

    @bridge.on("n")
    def works(message):
        bridge.publish("ok", message.value)

    bridge.publish("n", 1)

    assert next(heard).value == 1
    assert "a bug in the handler" in caplog.text


def test_a_handler_takes_itself_back(bridge):
    count = []
    heard = bridge.subscribe("n")

    @bridge.on("n")
    def once(message):
        count.append(message.value)
        bridge.off(once)

    for n in range(5):
        bridge.publish("n", n)
    heard.take(5)
    bridge.stats()  # a round trip: what the handler had to do is done

    assert count == [0]


def test_a_handler_closes_the_bridge(bridge):
    @bridge.on("stop")
    def stop(message):
        bridge.close()

    bridge.publish("stop", 1)
    bridge.run()

    assert bridge.closed


# ---- resources

def test_what_a_resource_returns_is_the_reply(bridge):
    @bridge.resource("room/{name}", "GET", "PUT")
    def room(request, name):
        if request.verb == "PUT":
            return Reply(created=True)
        return {"name": name, "path": request.path}

    assert bridge.get("room/kitchen").value == {"name": "kitchen", "path": "room/kitchen"}
    assert bridge.put("room/kitchen", 1) is None


@pytest.mark.parametrize("raised, error", [
    (KeyError("no such room"), libbridge.NotFound),
    (PermissionError("not you"), libbridge.Denied),
    (TimeoutError("too slow"), libbridge.Timeout),
    (ValueError("not a number"), libbridge.Invalid),
    (NotImplementedError("not yet"), libbridge.Unsupported),
    (libbridge.Conflict("somebody was faster"), libbridge.Conflict),
    (libbridge.TooBig("at most 3"), libbridge.TooBig),
])
def test_what_a_resource_raises_is_the_status(bridge, raised, error):
    @bridge.resource("it")
    def it(request):
        raise raised

    with pytest.raises(error) as told:
        bridge.get("it")

    assert str(told.value) == str(raised.args[0])


def test_a_bug_in_a_resource_is_not_told_to_strangers(bridge, caplog):
    @bridge.resource("it")
    def it(request):
        return 1 / 0

    with pytest.raises(libbridge.InternalError) as told:
        bridge.get("it")

    assert "division" not in str(told.value)
    assert "division" in caplog.text


def test_a_verb_that_is_not_answered(bridge):
    @bridge.resource("it", "GET")
    def it(request):
        return 1

    with pytest.raises(libbridge.MethodNotAllowed):
        bridge.put("it", 2)


def test_a_resource_that_somebody_has_already(bridge):
    bridge.resource("it")(lambda request: 1)

    with pytest.raises(libbridge.AlreadyThere):
        bridge.resource("it")(lambda request: 2)


def test_a_resource_that_never_answers_is_a_timeout(bridge):
    @bridge.resource("it")
    def it(request):
        request._call = None  # as if the function were still at it

    with pytest.raises(TimeoutError):
        bridge.get("it", timeout=0.2)


# ---- lives

def test_after_the_end_every_call_says_closed(bridge):
    heard = bridge.subscribe("#")
    bridge.close()
    bridge.close()

    for call in (lambda: bridge.publish("a", 1), lambda: bridge.get("a"), lambda: bridge.subscribe("a"),
                 lambda: bridge.stats(), lambda: bridge.explain("a"), lambda: bridge.listen("mqtt://127.0.0.1:0"),
                 lambda: bridge.on("a")(print), lambda: bridge.load("{}")):
        with pytest.raises(Closed):
            call()
    heard.close()


def test_messages_and_slots_outlive_their_bridge(make_bridge):
    bridge = make_bridge()
    route = bridge.route("a", "b")
    heard = bridge.subscribe("#")
    bridge.publish("a", "still here")
    message = next(heard)

    bridge.close()
    gc.collect()

    route.close()
    assert str(message) == "still here" and not route.open


def test_a_forgotten_bridge_stops_its_thread():
    bridge = Bridge()
    thread = weakref.ref(bridge._driver._thread)
    bridge.put("a", 1)

    del bridge
    gc.collect()

    left = thread()
    assert left is None or not left.is_alive()


def test_ten_bridges_share_nothing(make_bridge):
    bridges = [make_bridge() for _ in range(10)]
    one, others = bridges[3], bridges[:3] + bridges[4:]
    heard = one.subscribe("#")
    elsewhere = [b.subscribe("#", timeout=0.05) for b in others]

    one.publish("a", 1)

    assert next(heard).value == 1
    for it in elsewhere:
        with pytest.raises(TimeoutError):
            next(it)


def test_opened_and_closed_a_hundred_times():
    threads = threading.active_count()

    for n in range(100):
        with Bridge() as b:
            b.publish("a", n, retain=True)
            assert b.get("a").value == n

    assert threading.active_count() == threads


def test_many_threads_talk_to_one_bridge(bridge):
    heard = bridge.subscribe("n/#")

    def talk(name):
        for n in range(200):
            bridge.publish(f"n/{name}", n)
            assert bridge.get("factor").value == 2
    bridge.put("factor", 2)
    threads = [threading.Thread(target=talk, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    got = heard.take(800)
    for thread in threads:
        thread.join()

    for name in range(4):
        assert [m.value for m in got if m.path == f"n/{name}"] == list(range(200))  # in the order of each


@pytest.mark.skipif(bool(SANITIZER), reason="the sanitizer keeps what is freed")
def test_nothing_leaks(bridge):
    @bridge.resource("r")
    def r(request):
        return request.value
    for n in range(300):
        bridge.post("r", "x" * 1000)
    gc.collect()
    before = rss()

    for n in range(5000):
        bridge.post("r", "x" * 1000)
        bridge.subscribe("r/#").close()
    gc.collect()

    assert rss() - before < 4_000_000


def rss():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096


# ---- time

def test_a_value_ends_with_its_life(bridge):
    bridge.publish("a", 1, retain=True, ttl=timedelta(hours=1))
    assert bridge.get("a").value == 1

    bridge.clock.advance(hours=2)

    with pytest.raises(LookupError):
        bridge.get("a")


def test_a_request_times_out_on_the_bridges_clock(make_bridge):
    bridge = make_bridge(clock=libbridge.Clock(frozen=True))
    asked = threading.Event()

    @bridge.resource("slow")
    def slow(request):
        request._call, bridge.kept = None, request._call
        asked.set()
    errors = []

    def ask():
        try:
            bridge.get("slow", timeout=3600)
        except TimeoutError as why:
            errors.append(why)
    asker = threading.Thread(target=ask)
    asker.start()
    assert asked.wait(20)
    began = time.monotonic()

    bridge.clock.advance(hours=2)
    asker.join(20)

    assert len(errors) == 1 and time.monotonic() - began < 10


def test_numbers_of_several_listeners_are_one(make_bridge):
    with make_bridge("http://127.0.0.1:0/resources", "http://127.0.0.1:0/more") as bridge:
        for url in bridge.listeners:
            with Http(int(url.split(":")[2].partition("/")[0])) as http:
                http.request("GET", "/healthz")
        with Http(bridge.port("http")) as http:
            lines = [line.rpartition(" ")[0] for line in http.request("GET", "/metrics").text.splitlines() if not line.startswith("#")]
        assert len(lines) == len(set(lines))
        assert bridge.stats()["bridge_http_requests_total"] == 3


# ---- a fork

def in_a_child(fn):
    """What fn() gives in a forked child, as text; a child that does not end is a failure."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, str(fn()).encode())
        finally:
            os._exit(0)
    os.close(write)
    guard = threading.Timer(30, os.kill, (child, 9))
    guard.start()
    with os.fdopen(read) as said:
        text = said.read()
    os.waitpid(child, 0)
    guard.cancel()
    return text


def test_after_a_fork_the_childs_bridge_is_closed_and_the_parents_goes_on(bridge):
    heard = bridge.subscribe("a")

    def child():
        said = [list(heard), bridge.closed]
        for call in (lambda: bridge.put("a", "child"), lambda: bridge.subscribe("b"), lambda: heard.get(1)):
            with pytest.raises(Closed):
                call()
        bridge.close()
        return said

    assert in_a_child(child) == "[[], True]"
    bridge.put("a", "parent")
    assert heard.get(20).value == "parent" and not bridge.closed


def test_a_text_for_c_has_no_nul(bridge):
    for call in (bridge.listen, bridge.connect, bridge.subscribe):
        with pytest.raises(ValueError, match="null"):
            call("mqtt://127.0.0.1:0\0x")
