"""Uplinks: a bridge as a client of mosquitto, there and back, without loops."""
import pytest

from conftest import built_adapters
from peers.broker import Broker
from peers.process import wait_until
from peers.uplink import stat, up, wait_up

pytestmark = pytest.mark.skipif("uplink" not in built_adapters(), reason="uplinks are not in this build")

VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


# ---- there and back

@VERSIONS
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_is_published_here_is_heard_there_under_the_other_name(make, broker, version, qos):
    heard = broker.clients.subscribe("site7/#", options=("-q", "2", "-F", "%t %p %q %r"))
    bridge = make()
    up(bridge, broker.url(f"out=telemetry/{{p...}}>site7/telemetry/{{p...}}&version={version}"))

    bridge.publish("telemetry/hall/temp", "21", qos=qos)

    assert heard.line() == f"site7/telemetry/hall/temp 21 {qos} 0"


@VERSIONS
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_is_published_there_is_heard_here_under_our_name(make, broker, version, qos):
    bridge = make()
    heard = bridge.subscribe("commands/#")
    up(bridge, broker.url(f"in=site7/commands/{{c...}}>commands/{{c...}}&version={version}"))

    broker.clients.publish("site7/commands/light", "on", "-q", str(qos))

    message = next(heard)
    assert (message.path, message.payload, message.qos) == ("commands/light", b"on", qos)


@VERSIONS
def test_kept_values_are_kept_there(make, broker, version):
    bridge = make()
    bridge.publish("telemetry/before", "1", retain=True)
    up(bridge, broker.url(f"out=telemetry/%23&version={version}"))
    bridge.publish("telemetry/after", "2", retain=True)
    bridge.publish("telemetry/event", "3", qos=1)
    wait_until(lambda: stat(bridge, "sent_total") == 3)

    kept = broker.clients.subscribe("telemetry/#", options=("-F", "%t %p %r"))

    assert sorted(kept.lines(2)) == ["telemetry/after 2 1", "telemetry/before 1 1"]


@VERSIONS
def test_kept_values_from_there_are_kept_here_and_removed_when_they_are_removed(make, broker, version):
    broker.clients.publish("state/door", "open", "-r")
    bridge = make()
    heard = bridge.subscribe("state/door")
    up(bridge, broker.url(f"in=state/%23&version={version}"))

    assert next(heard).payload == b"open"
    assert bridge.get("state/door").payload == b"open"

    if version == "5":  # an MQTT 3.1.1 broker does not tell subscribers that a message is to be kept
        broker.clients.clear("state/door")
        assert next(heard).payload == b""
        with pytest.raises(LookupError):
            bridge.get("state/door")


def test_a_removed_value_is_removed_there(make, broker):
    bridge = make()
    up(bridge, broker.url("out=state/%23"))
    heard = broker.clients.subscribe("state/#", options=("-F", "%t [%p]"))
    bridge.publish("state/door", "open", retain=True)
    assert heard.line() == "state/door [open]"

    bridge.delete("state/door")

    assert heard.line() == "state/door []"


def test_a_map_may_cap_the_quality_and_override_the_retain_flag(make, broker):
    heard = broker.clients.subscribe("#", options=("-q", "2", "-V", "5", "--retain-as-published", "-F", "%t %q %r"))
    bridge = make()
    up(bridge, broker.url("out=a/%23;qos=0;retain=never&out=b/%23;qos=1;retain=always"))

    bridge.publish("a/x", "1", qos=2, retain=True)
    bridge.publish("b/x", "1", qos=2)

    assert heard.lines(2) == ["a/x 0 0", "b/x 1 1"]


def test_properties_of_mqtt_5_cross_both_ways(make, broker):
    bridge = make("mqtt://127.0.0.1:0")
    heard = bridge.subscribe("in/#")
    up(bridge, broker.url("out=out/%23&in=in/%23"))
    there = broker.clients.subscribe("out/#", options=("-V", "5", "-F", "%t %C %R %D %E %P"))

    bridge.publish("out/x", {"a": 1}, response="answers/1", correlation=b"abc", props=[("trace", "t1")], ttl=1000)
    line = there.line()
    broker.clients.publish("in/x", "{}", "-V", "5", "-D", "publish", "content-type", "application/json", "-D", "publish",
                           "response-topic", "r/1", "-D", "publish", "correlation-data", "xyz", "-D", "publish", "user-property", "k", "v")
    message = next(heard)

    assert line.startswith("out/x application/json answers/1 abc ") and " trace:t1" in line
    assert 990 <= int(line.split()[4]) <= 1000
    assert message.format.name == "JSON"
    assert (message.response, message.correlation, list(message.props)[:1]) == ("r/1", b"xyz", [("k", "v")])


def test_what_a_broker_would_break_off_for_stays_here(make, broker):
    """mosquitto ends the connection at a control character; sent again and again, one message would hold all others up."""
    bridge = make()
    up(bridge, broker.url("out=up/%23"))
    there = broker.clients.subscribe("up/#", options=("-V", "5", "-F", "%t %P"))

    bridge.publish("up/a", "1", qos=1, props=[("bad", "a\x01"), ("good", "yes")])
    bridge.publish("up/\x01", "2", qos=1)
    bridge.publish("up/z", "3", qos=1)

    first = there.line()
    assert first.startswith("up/a ") and "good:yes" in first and "bad" not in first
    assert there.line().startswith("up/z ")
    assert stat(bridge, "rejected_total") == 1 and stat(bridge, "reconnects_total") == 0


def test_large_messages_cross(make, broker):
    bridge = make()
    heard = bridge.subscribe("back")
    up(bridge, broker.url("out=there&in=there>back"))  # the broker does not send us our own (no local)
    payload = bytes(range(256)) * 3000

    bridge.publish("there", payload, qos=1)
    wait_until(lambda: stat(bridge, "sent_total") == 1)
    broker.clients.publish("there", payload, "-q", "1")

    assert next(heard).payload == payload
    assert len(heard) == 0


# ---- no loops

@VERSIONS
def test_what_we_said_is_not_taken_for_news(make, broker, version):
    bridge = make()
    heard = bridge.subscribe("t/#")
    up(bridge, broker.url(f"both=t/%23&version={version}"))

    bridge.publish("t/x", "1", qos=1)
    wait_until(lambda: stat(bridge, "sent_total") == 1)
    broker.clients.publish("t/y", "2", "-q", "1")

    assert [m.path for m in heard.take(2)] == ["t/x", "t/y"]
    bridge.settle()
    assert (len(heard), stat(bridge, "sent_total")) == (0, 1)


@VERSIONS
def test_two_bridges_joined_to_one_broker_both_ways(make, broker, version):
    one, two = make(), make()
    up(one, broker.url(f"both=t/%23&version={version}"))
    up(two, broker.url(f"both=t/%23&version={version}"))
    here, there = one.subscribe("t/#"), two.subscribe("t/#")

    for i in range(50):
        one.publish("t/x", f"one{i}", qos=1)
        two.publish("t/y", f"two{i}", qos=1)

    assert sorted(m.payload for m in here.take(100)) == sorted(m.payload for m in there.take(100))
    for bridge in (one, two):
        wait_until(lambda b=bridge: stat(b, "queued") == 0)
        bridge.settle()
        assert stat(bridge, "sent_total") == 50
    assert len(here) == len(there) == 0


def test_a_ring_of_bridges_stops_at_the_hop_mark(make, broker, tmp_path):
    second = Broker(tmp_path, name="second")
    try:
        one, two = make(), make()  # broker - one - second - two - broker: a ring
        for bridge in (one, two):
            up(bridge, broker.url("both=t/%23"), "first")
            up(bridge, second.url("both=t/%23"), "second")
        heard = broker.clients.subscribe("t/#", options=("-F", "%p"))
        one.publish("t/x", "round", qos=1)
        wait_until(lambda: sum(stat(b, "loops_total", n) for b in (one, two) for n in ("first", "second")) >= 1)
        sent = sum(stat(b, "sent_total", n) for b in (one, two) for n in ("first", "second"))
        assert heard.line() == "round"
        assert sent <= 6
    finally:
        second.stop()


# ---- sessions, wills

@VERSIONS
def test_a_persistent_session_keeps_what_came_while_we_were_away(make, broker, version):
    bridge = make()
    heard = bridge.subscribe("c/#")
    options = f"in=c/%23&clean=no&client_id=site7&version={version}"
    held = up(bridge, broker.url(options))
    held.close()
    wait_up(bridge, words=b"0")
    broker.clients.publish("c/x", "missed", "-q", "1")

    up(bridge, broker.url(options))

    assert next(heard).payload == b"missed"


def test_status_topic_says_whether_we_are_there(make, broker):
    heard = broker.clients.subscribe("site7/status", options=("-F", "%p %r", "-V", "5", "--retain-as-published"))
    bridge = make()
    held = up(bridge, broker.url("out=a&status=site7/status"))
    assert heard.line() == "1 1"

    held.close()

    assert heard.line() == "0 1"


def test_the_will_is_left_when_the_connection_breaks(make, broker, wires):
    wire = wires(broker.port)
    heard = broker.clients.subscribe("wills/#", options=("-F", "%p"))
    bridge = make()
    up(bridge, f"mqtt://127.0.0.1:{wire.port}?out=a&will=wills/site7&will_payload=gone")

    wire.refuse()
    wire.cut()

    assert heard.line() == "gone"


# ---- mistakes

@pytest.mark.parametrize("query, words", [
    ("", "what to carry"),
    ("out=a/%23&nmae=x", 'did you mean "name"'),
    ("in=a/%23&in=a/b", "both take some topics"),
    ("out=a;qos=3", "qos is 0, 1 or 2"),
    ("out=a/{x}>b/{y}", "y"),
    ("out=a&version=4", "5, 3.1.1 or auto"),
    ("out=a&drop=some", "new, old or refuse"),
    ("out=a&clean=no", "client_id"),
    ("out=a&name=a/b", "one segment"),
    ("out=a&as=site/{p...}", "another bridge"),
    ("out=a&ca=x", "ca"),
])
def test_a_mistake_in_the_url_is_said_at_once(make, query, words):
    with pytest.raises(ValueError) as why:
        make().connect(f"mqtt://127.0.0.1:1?{query}")
    assert words in str(why.value)


# ---- the config

def test_an_uplink_said_as_an_object(make, broker):
    bridge = make()
    bridge.load({"connect": [{"url": f"mqtt://127.0.0.1:{broker.port}", "name": "cloud", "retry_min": 20, "clean": True, "broker": [f"mqtt://127.0.0.1:{broker.port}"],
                              "out": [{"source": "tele/{p...}", "target": "site 7/{p...}", "qos": 1, "retain": True}, "other/#"],
                              "in": "c/#"}]})
    wait_up(bridge)
    bridge.publish("tele/x", "1")
    bridge.publish("other/y", "2")
    wait_until(lambda: stat(bridge, "sent_total") == 2)

    assert broker.clients.subscribe("site 7/#", options=("-F", "%t %p %r")).line() == "site 7/x 1 1"


@pytest.mark.parametrize("uplink, words", [
    ({"name": "x"}, 'no "url"'),
    ({"url": "mqtt://127.0.0.1", "out": [{"target": "x"}]}, 'no "source"'),
    ({"url": "mqtt://127.0.0.1", "out": [{"source": "x", "qos": 3}]}, '"qos" is 0, 1 or 2'),
    ({"url": "mqtt://127.0.0.1", "out": [{"source": "x", "qox": 3}]}, 'unknown key "qox"'),
    ({"url": "mqtt://127.0.0.1", "out": "a", "colour": "red"}, 'no option "colour"'),
])
def test_mistakes_in_the_config_are_said(make, uplink, words):
    with pytest.raises(ValueError) as why:
        make().load({"connect": [uplink]})
    assert words in str(why.value)
