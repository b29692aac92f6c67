"""Uplinks and the store: kill -9 loses nothing that was acknowledged to a local publisher, or to a broker."""
import select
import socket
import sqlite3

import pytest

from conftest import Bridged, built_adapters
from peers.mqtt import CONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, Client, packet, publish, subscribe

pytestmark = pytest.mark.skipif("uplink" not in built_adapters(), reason="uplinks are not in this build")

QUICK = "retry_min=20&retry_max=200"


@pytest.fixture
def bridged_again(tmp_path):
    """Starts bridged with a config, as often as one likes."""
    running = []

    def start(config):
        running.append(Bridged("-c", config, "mqtt://127.0.0.1:0", log=tmp_path / f"bridged{len(running)}.log", cwd=tmp_path))
        return running[-1].ready(1)
    yield start
    for program in running:
        if program.process.poll() is None:
            program.end()


def test_nothing_acknowledged_is_lost_when_the_process_is_killed_while_the_broker_is_away(bridged_again, broker, tmp_path):
    """kill -9 between a PUBACK and the broker's return, again and again."""
    broker.kill()
    config = tmp_path / "bridge.json"
    config.write_text('{"store": "sqlite:' + str(tmp_path / "bridge.db") + '", "connect": ["'
                      + broker.url(f"out=n/%23&name=cloud&{QUICK}") + '"]}')
    acknowledged = []
    for turn in range(3):
        bridged = bridged_again(config)
        client = Client(bridged.port("mqtt"), version=5).connect(f"me{turn}")
        for i in range(1, 41):
            client.send(publish("n/x", b"%d-%d" % (turn, i), qos=1, pid=i, version=5))
        for _ in range(20 + 5 * turn):  # the rest of the acknowledgements is not waited for
            packet = client.receive()
            assert packet.type == PUBACK
            acknowledged.append("%d-%d" % (turn, packet.pid))
        bridged.process.kill()
        bridged.process.wait()
    broker.start()
    heard = broker.clients.subscribe("n/#", options=("-q", "1", "-F", "%p"))
    bridged_again(config)
    there = []
    while not set(acknowledged) <= set(there):
        there.append(heard.line())

    assert [x for x in there if x in acknowledged] == acknowledged


def test_what_a_broker_has_sent_is_not_lost_when_the_process_is_killed(bridged_again, broker, tmp_path):
    """kill -9 in the midst of messages from the broker: it is told that we have one when that is on disk, not before."""
    config = tmp_path / "bridge.json"
    config.write_text('{"store": "sqlite:' + str(tmp_path / "bridge.db") + '", "connect": ["'
                      + broker.url(f"in=n/%23;retain=always&name=cloud&clean=no&client_id=site7&{QUICK}") + '"]}')
    count, turns = 300, 3
    bridged = bridged_again(config)
    talker = Client(broker.port, version=5).connect("talker")
    for turn in range(turns):
        watcher = Client(bridged.port("mqtt"), version=5).connect("watcher")
        watcher.send(subscribe(1, "$SYS/broker/connection/cloud/state", version=5))
        while watcher.receive().payload != b"1":  # its session is there
            pass
        watcher.send(subscribe(2, f"n/{turn}/#", version=5))
        for i in range(count):
            talker.send(publish(f"n/{turn}/{i}", b"x", qos=1, pid=i + 1, version=5))
        for _ in range(turn * 20 + 1):  # of what has come here some is on disk, and some is not
            watcher.receive()
        bridged.process.kill()
        bridged.process.wait()
        for _ in range(count):  # the broker has all of it
            assert talker.receive().type == PUBACK
        bridged = bridged_again(config)
    watcher = Client(bridged.port("mqtt"), version=5).connect("watcher")
    watcher.send(subscribe(1, "n/#", version=5))
    wanted, there = {f"n/{turn}/{i}" for turn in range(turns) for i in range(count)}, set()
    while not wanted <= there:
        packet = watcher.receive()
        if packet.type == PUBLISH:
            there.add(packet.topic)


def frame(client):
    """The next packet of the bridge, as a broker reads it: type and body; none here is longer than 127 bytes."""
    first, size = client._read(2)
    return first >> 4, client._read(size)


def test_a_broker_is_answered_when_its_message_is_on_disk(bridged_again, tmp_path):
    """Somebody else's transaction holds the file: the message is heard, and not acknowledged until the file is let go."""
    config, file = tmp_path / "bridge.json", tmp_path / "bridge.db"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        config.write_text(f'{{"store": "sqlite:{file}?wait=60000", "connect": ["mqtt://127.0.0.1:{server.getsockname()[1]}'
                          '?in=n/%23;retain=always&name=cloud&version=5&keep_alive=0"]}')
        bridged = bridged_again(config)
        broker = Client(0, version=5, sock=server.accept()[0], timeout=60)
        assert frame(broker)[0] == CONNECT
        broker.send(bytes([0x20, 3, 0, 0, 0]))
        kind, body = frame(broker)
        assert kind == SUBSCRIBE
        broker.send(packet(SUBACK << 4, body[:2] + bytes([0, 1])))
        watcher = Client(bridged.port("mqtt"), version=5, timeout=60).connect("watcher")
        watcher.subscribe("n/#")
        db = sqlite3.connect(file, isolation_level=None, timeout=60)
        db.execute("BEGIN IMMEDIATE")
        broker.send(publish("n/x", b"1", qos=1, pid=7, version=5))
        assert watcher.wait_for(PUBLISH).payload == b"1"

        assert select.select([broker.socket], [], [], 0)[0] == []
        db.execute("ROLLBACK")
        db.close()

        assert frame(broker) == (PUBACK, b"\x00\x07")
        broker.socket.close()


def test_an_uplink_takes_the_place_of_one_of_its_name_with_what_waits(make_bridge, broker, wires, tmp_path):
    """At once, as loading a config again does: what was said last is not on disk by itself for another second."""
    wire = wires(broker.port)
    wire.refuse()
    url = f"mqtt://127.0.0.1:{wire.port}?out=n/%23;qos=1&name=cloud&{QUICK}"
    bridge = make_bridge(store=f"sqlite:{tmp_path}/bridge.db?commit=1000")
    uplink = bridge.connect(url)
    for i in range(100):
        bridge.publish("n/x", str(i), qos=1)
        if i % 10 == 9:
            bridge.settle()
            uplink.close()
            uplink = bridge.connect(url)

    heard = broker.clients.subscribe("n/#", options=("-q", "1", "-F", "%p"))
    wire.refuse(False)

    assert [heard.line() for _ in range(100)] == [str(i) for i in range(100)]
