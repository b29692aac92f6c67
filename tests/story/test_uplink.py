"""Uplinks: a bridge as a client of mosquitto, there and back, and what happens when the broker goes."""
import socket
import threading

import pytest

from conftest import built_adapters
from peers.broker import Broker
from peers.certificates import Authority
from peers.process import run, wait_until
from peers.tools import need

pytestmark = pytest.mark.skipif("uplink" not in built_adapters(), reason="uplinks are not in this build")

LONG = 30.0
QUICK = "retry_min=20&retry_max=200"


@pytest.fixture
def make(make_bridge):
    """A bridge without listeners, on the system's clock."""
    return lambda *urls, **options: make_bridge(*urls, clock=None, patience=LONG, **options)


def stat(bridge, word, name="cloud"):
    return bridge.stats()[f'bridge_uplink_{word}{{name="{name}"}}']


def up(bridge, url, name="cloud"):
    """Connects, and waits until it is up."""
    held = bridge.connect(f"{url}&name={name}&{QUICK}")
    wait_up(bridge, name)
    return held


def wait_up(bridge, name="cloud", words=b"1"):
    state = bridge.subscribe(f"$SYS/broker/connection/{name}/state")
    while next(state).payload != words:
        pass
    state.close()


class OldBroker:
    """Refuses every CONNECT but that of MQTT 3.1.1, one caller after the other, and says nothing else."""

    def __init__(self, refusal):
        self.refusal, self.levels, self.callers = refusal, [], []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self):
        while True:
            try:
                caller = self.server.accept()[0]
            except OSError:
                return
            self.callers.append(caller)
            head = b""
            while len(head) < 9 and (more := caller.recv(9 - len(head))):  # type, length, 0 4 M Q T T, level
                head += more
            self.levels += head[8:]
            if head[8:] == b"\x04":
                caller.sendall(bytes([0x20, 2, 0, 0]))
            else:
                caller.sendall(self.refusal)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *what):
        self.server.shutdown(socket.SHUT_RDWR)
        self.thread.join(LONG)
        for one in (self.server, *self.callers):
            one.close()


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


# ---- logging in

def test_name_and_password(make, broker, tmp_path):
    passwords = tmp_path / "passwords"
    passwords.write_text("site7:secret\n")
    run(need("mosquitto_passwd"), "-U", passwords)
    broker.write("listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}")
    broker.restart()
    bridge = make()

    up(bridge, f"mqtt://site7:secret@127.0.0.1:{broker.port}?out=a", "right")
    bridge.connect(f"mqtt://site7:wrong@127.0.0.1:{broker.port}?out=a&name=wrong&{QUICK}")

    wait_until(lambda: "not authori" in broker.log().lower())
    assert bridge.get("$SYS/broker/connection/wrong/state").payload == b"0"


def test_a_token_file_is_read_again_at_every_attempt(make, broker, tmp_path):
    passwords, token = tmp_path / "passwords", tmp_path / "token"
    passwords.write_text("site7:tomorrow\n")
    run(need("mosquitto_passwd"), "-U", passwords)
    broker.write("listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}")
    broker.restart()
    token.write_text("today\n")
    bridge = make()
    bridge.connect(f"mqtt://site7@127.0.0.1:{broker.port}?out=a&token_file={token}&name=cloud&{QUICK}")
    wait_until(lambda: "not authori" in broker.log().lower())

    token.write_text("tomorrow\n")

    wait_up(bridge)


# ---- TLS and WebSocket

@pytest.fixture
def secure(broker, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.sign("localhost", file="server")
    broker.write("listener {port} 127.0.0.1", "allow_anonymous true", f"cafile {authority.file}", f"certfile {cert}", f"keyfile {key}",
                 "require_certificate false")
    broker.restart()
    return authority


def test_tls_with_a_private_authority(make, broker, secure):
    bridge = make()
    up(bridge, f"mqtts://localhost:{broker.port}?out=a&ca={secure.file}")
    heard = broker  # the broker's log tells that it came
    bridge.publish("a", "1", qos=1)
    wait_until(lambda: stat(bridge, "sent_total") == 1)
    assert "Received PUBLISH" in heard.log()


def test_a_broker_signed_by_somebody_else_is_not_believed(make, broker, secure, tmp_path):
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    bridge = make()
    bridge.connect(f"mqtts://localhost:{broker.port}?out=a&ca={other.file}&name=cloud&{QUICK}")

    wait_until(lambda: broker.log().count("OpenSSL Error") + broker.log().count("error:") >= 1)
    assert bridge.get("$SYS/broker/connection/cloud/state").payload == b"0"


def test_a_broker_whose_certificate_has_expired_is_not_believed(make, broker, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.sign("localhost", file="server", days=-1)
    broker.write("listener {port} 127.0.0.1", "allow_anonymous true", f"certfile {cert}", f"keyfile {key}")
    broker.restart()
    bridge = make()
    bridge.connect(f"mqtts://localhost:{broker.port}?out=a&ca={authority.file}&name=strict&{QUICK}")

    wait_until(lambda: "certificate expired" in broker.log())  # the alert of RFC 8446 6.2 that we send
    up(bridge, f"mqtts://localhost:{broker.port}?out=a&ca={authority.file}&verify=no", "lax")

    assert bridge.get("$SYS/broker/connection/strict/state").payload == b"0"


def test_a_broker_with_another_name_is_not_believed(make, broker, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.sign("elsewhere", san="DNS:elsewhere.example", file="server")
    broker.write("listener {port} 127.0.0.1", "allow_anonymous true", f"certfile {cert}", f"keyfile {key}")
    broker.restart()
    bridge = make()
    bridge.connect(f"mqtts://localhost:{broker.port}?out=a&ca={authority.file}&name=strict&{QUICK}")

    up(bridge, f"mqtts://localhost:{broker.port}?out=a&ca={authority.file}&verify=no", "lax")

    assert bridge.get("$SYS/broker/connection/strict/state").payload == b"0"


def test_a_client_certificate(make, broker, secure, tmp_path):
    cert, key = secure.sign("site7")
    broker.write("listener {port} 127.0.0.1", f"cafile {secure.file}", f"certfile {tmp_path / 'server.pem'}",
                 f"keyfile {tmp_path / 'server.key'}", "require_certificate true", "use_identity_as_username true")
    broker.restart()
    bridge = make()

    up(bridge, f"mqtts://localhost:{broker.port}?out=a&ca={secure.file}&cert={cert}&key={key}")

    assert "u'site7'" in broker.log()


def test_a_shared_key(make, broker, tmp_path):
    keys, ours = tmp_path / "keys", tmp_path / "psk"
    keys.write_text("site7:00112233445566778899aabbccddeeff\n")
    ours.write_text("site7:00112233445566778899aabbccddeeff\n")
    broker.write("listener {port} 127.0.0.1", f"psk_file {keys}", "psk_hint cloud", "use_identity_as_username true")
    broker.restart()
    bridge = make()

    up(bridge, f"mqtts://127.0.0.1:{broker.port}?out=a&psk_file={ours}")

    assert "u'site7'" in broker.log()


@VERSIONS
def test_websocket(make, version):
    cloud, bridge = make("mqtt+ws://127.0.0.1:0"), make()  # Debian's mosquitto has no WebSocket: the broker is one of ours
    heard = cloud.subscribe("b")
    up(bridge, f"{cloud.listeners[0]}/mqtt?out=a>b&version={version}")

    bridge.publish("a", "1", qos=1)

    assert next(heard).payload == b"1"


@VERSIONS
def test_websocket_over_tls(make, tmp_path, version):
    authority = Authority(tmp_path)
    cert, key = authority.sign("localhost", file="server")
    cloud, bridge = make(f"wss://127.0.0.1:0?cert={cert}&key={key}"), make()
    heard = cloud.subscribe("b/#")
    port = cloud.listeners[0].rsplit(":", 1)[1].split("/")[0].split("?")[0]
    up(bridge, f"mqtt+wss://localhost:{port}/mqtt?out=a/{{n}}>b/{{n}}&version={version}&ca={authority.file}")

    for size in (1, 200, 70000):  # the three lengths of RFC 6455 5.2
        bridge.publish("a/x", b"x" * size, qos=1)

    assert [len(m.payload) for m in heard.take(3)] == [1, 200, 70000]


# ---- the broker goes

def test_messages_wait_while_the_broker_is_gone_and_keep_their_order(make, broker, wires):
    wire = wires(broker.port)
    bridge = make()
    up(bridge, f"mqtt://127.0.0.1:{wire.port}?out=n/%23")
    wire.refuse()
    broker.kill()
    wait_up(bridge, words=b"0")
    for i in range(500):
        bridge.publish("n/x", str(i), qos=i % 2)  # of QoS 2 the broker tells when all four packets have been exchanged
    bridge.settle()
    assert stat(bridge, "queued") == 500

    broker.start()
    heard = broker.clients.subscribe("n/#", options=("-q", "2", "-F", "%p"))
    wire.refuse(False)

    assert [int(line) for line in heard.lines(500)] == list(range(500))


def test_state_is_told_when_the_broker_goes_and_comes(make, broker):
    bridge = make()
    state = bridge.subscribe("$SYS/broker/connection/cloud/state")
    bridge.connect(broker.url(f"out=a&name=cloud&{QUICK}"))
    assert [m.payload for m in state.take(2)] == [b"0", b"1"]

    broker.restart()

    assert [m.payload for m in state.take(2)] == [b"0", b"1"]
    assert stat(bridge, "reconnects_total") >= 1


def test_a_broker_that_falls_silent_is_noticed_by_the_keep_alive(make, broker, wires):
    wire = wires(broker.port)
    bridge = make()
    up(bridge, f"mqtt://127.0.0.1:{wire.port}?out=a&keep_alive=1")

    wire.stall()

    wait_up(bridge, words=b"0")
    wire.stall(False)
    wait_up(bridge)


def test_a_host_that_has_no_address_is_tried_again_and_holds_nobody_up(make, broker):
    bridge = make()
    bridge.connect(f"mqtt://no-such-host.invalid:1883?out=a&name=nowhere&{QUICK}")

    up(bridge, broker.url("out=a"))

    assert bridge.get("$SYS/broker/connection/nowhere/state").payload == b"0"


def test_the_second_broker_is_taken_when_the_first_is_gone(make, broker, tmp_path):
    second = Broker(tmp_path, name="second")
    try:
        bridge = make()
        up(bridge, broker.url(f"out=a&broker=mqtt://127.0.0.1:{second.port}"))
        states = bridge.subscribe("$SYS/broker/connection/cloud/state")
        assert next(states).payload == b"1"
        broker.kill()
        assert [m.payload for m in states.take(2)] == [b"0", b"1"]
        heard = second.clients.subscribe("a", options=("-F", "%p"))

        bridge.publish("a", "there", qos=1)

        assert heard.line() == "there"
    finally:
        second.stop()


def test_nobody_there_at_the_start(make, tmp_path):
    broker = Broker(tmp_path, start=False)
    bridge = make()
    bridge.connect(broker.url(f"out=a&name=cloud&{QUICK}"))
    bridge.publish("a", "early", qos=1, retain=True)
    try:
        broker.start()
        wait_until(lambda: stat(bridge, "sent_total") == 1)
        assert broker.clients.subscribe("a", options=("-F", "%p")).line() == "early"
    finally:
        broker.stop()


def test_closing_while_connecting_is_clean(make):
    """In the midst of it: the broker has our CONNECT and never answers; a name is looked up."""
    bridge = make()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(LONG)
        held = [bridge.connect(f"mqtt://127.0.0.1:{silent.getsockname()[1]}?out=a&name=n{i}&{QUICK}") for i in range(5)]
        held += [bridge.connect(f"mqtt://no-such-host.invalid?out=a&name=m{i}&{QUICK}") for i in range(2)]
        callers = [silent.accept()[0] for _ in range(5)]
        for caller in callers:
            caller.settimeout(LONG)
            assert caller.recv(1) == b"\x10"

        for one in held:
            one.close()
        bridge.close()
        for caller in callers:
            caller.close()


@pytest.mark.parametrize("refusal", [bytes([0x20, 3, 0, 0x84, 0]), bytes([0x20, 2, 0, 1])], ids=["as MQTT 5 says it", "as MQTT 3.1.1 says it"])
def test_a_broker_that_does_not_speak_mqtt_5_is_spoken_to_in_3_1_1(make, refusal):
    with OldBroker(refusal) as old:
        bridge = make()
        up(bridge, f"mqtt://127.0.0.1:{old.port}?out=a")

        assert old.levels == [5, 4]


def test_what_waits_is_sent_before_the_bridge_ends(make, broker):
    heard = broker.clients.subscribe("n/#", options=("-q", "1", "-F", "%p"))
    bridge = make()
    up(bridge, broker.url("out=n/%23&linger=30000"))
    for i in range(2000):
        bridge.publish("n/x", str(i), qos=1)

    bridge.close()

    assert [int(line) for line in heard.lines(2000)] == list(range(2000))


# ---- limits

def test_bytes_are_a_limit_too(make, broker):
    broker.kill()
    bridge = make()
    bridge.connect(broker.url(f"out=n&name=cloud&max_queue_bytes=100000&{QUICK}"))
    for _ in range(100):
        bridge.publish("n", b"x" * 10000)
    bridge.settle()

    assert 90 <= stat(bridge, "dropped_total") <= 92
    assert stat(bridge, "queued_bytes") <= 100000


def test_a_slow_broker_slows_only_the_uplink(make, broker, wires):
    wire = wires(broker.port)
    bridge = make()
    up(bridge, f"mqtt://127.0.0.1:{wire.port}?out=n/%23")
    here = bridge.subscribe("n/x")
    wire.slow(0.05)

    for i in range(3000):
        bridge.publish("n/x", b"%06d" % i + b"x" * 1000, qos=i % 2)

    assert len(here.take(3000)) == 3000
    assert stat(bridge, "queued") > 0
    wire.slow(0)
    wait_until(lambda: stat(bridge, "queued") == 0)


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
