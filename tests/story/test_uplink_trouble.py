"""Uplinks: what happens when the broker goes, is slow, falls silent or speaks an older MQTT."""
import socket
import threading

import pytest

from conftest import built_adapters
from peers.broker import Broker
from peers.process import wait_until
from peers.uplink import QUICK, stat, up, wait_up

pytestmark = pytest.mark.skipif("uplink" not in built_adapters(), reason="uplinks are not in this build")

LONG = 30.0


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
    for i in range(200):  # few: a bridge that ends waits 5 s for all that lingers
        bridge.publish("n/x", str(i), qos=1)

    bridge.close()

    assert [int(line) for line in heard.lines(200)] == list(range(200))


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
