"""What several sessions wait for is in the file once, whatever becomes of them (docs/why/70-store.md)."""
import random
import sqlite3
import struct

import pytest
from conftest import Bridged, built_adapters
from peers import mqtt

pytestmark = pytest.mark.skipif("mqtt" not in built_adapters(), reason="needs MQTT")
BODIES = 15  # BRIDGE_KEPT_BODIES


@pytest.fixture
def start(tmp_path):
    running = []

    def go():
        running.append(Bridged("--store", "sqlite:bridge.db", "mqtt://127.0.0.1:0", log=tmp_path / f"{len(running)}.log", cwd=tmp_path).ready(1))
        return running[-1]
    yield go
    for program in running:
        if program.process.poll() is None:
            program.end()


def kill(program):
    program.process.kill()
    program.process.wait()


def come(bridged, name, clean=False):
    return mqtt.Client(bridged.port("mqtt"), version=5).connect(name, clean=clean, props={"session_expiry": 100000})


def sleepers(bridged, names, qos=1):
    for name in names:
        c = come(bridged, name)
        c.subscribe(("a/#", qos))
        c.drop()


def refers_to(item):
    """Of what a queue has: the number of the body, or None for a message of its own."""
    return struct.unpack_from(">Q", item, 3 + 4 * item[2])[0] if item[0] == 2 else None


def look(folder):
    """The file: {number of a body: its bytes}, the numbers that queues refer to, the messages that queues have whole."""
    with sqlite3.connect(folder / "bridge.db") as db:
        queue = db.execute("SELECT value FROM kept WHERE kind = ?", (BODIES,)).fetchone()
        queue = struct.unpack("=Q", queue[0])[0] if queue else None
        items = [(q, n + 2**63, v) for q, n, v in db.execute("SELECT queue, number, value FROM queued")]
    db.close()
    there = {n: v for q, n, v in items if q == queue}
    others = [v for q, _, v in items if q != queue]
    return there, [refers_to(v) for v in others if v[0] == 2], [v for v in others if v[0] == 1]


def takes(client, count):
    return [client.message().payload for _ in range(count)]


def test_a_message_for_many_is_written_once(start, tmp_path):
    one = start()
    names = [f"sleeper{n}" for n in range(12)]
    sleepers(one, names)
    p = come(one, "pub")
    for n in range(3):
        p.publish(f"a/{n}", b"marker-%d" % n, qos=1)
    kill(one)

    there, refers, whole = look(tmp_path)
    assert sorted(body[-8:] for body in there.values()) == [b"marker-%d" % n for n in range(3)]
    assert sorted(refers) == sorted(list(there) * 12) and whole == []
    two = start()
    for name in names:
        c = come(two, name)
        assert c.connack.session_present and takes(c, 3) == [b"marker-0", b"marker-1", b"marker-2"]
        c.disconnect()
    two.end()

    assert look(tmp_path) == ({}, [], [])


def test_a_message_for_one_is_no_body(start, tmp_path):
    one = start()
    sleepers(one, ["alone"])
    come(one, "pub").publish("a/x", b"mine", qos=1)
    one.end()

    there, refers, whole = look(tmp_path)

    assert (there, refers, len(whole)) == ({}, [], 1)


def test_a_body_goes_with_the_last_that_waits_for_it(start, tmp_path):
    """Acknowledged, released, ended by a clean start: on both sides of a kill."""
    one = start()
    sleepers(one, ["once", "twice", "clean"], qos=2)
    sleepers(one, ["later"], qos=1)
    come(one, "pub").publish("a/x", b"body", qos=2)
    c = come(one, "once")
    assert takes(c, 1) == [b"body"]
    c.disconnect()
    one.end()
    two = start()
    come(two, "clean", clean=True).disconnect()
    c = come(two, "twice")
    got = c.expect(mqtt.PUBLISH)
    c.send(mqtt.ack(mqtt.PUBREC, got.pid))
    c.wait_for(mqtt.PUBREL, got.pid)  # it is on disk that this one has it
    kill(two)

    there, refers, whole = look(tmp_path)
    assert list(there) == refers and len(refers) == 1 and [v[1] >> 4 & 1 for v in whole] == [1]
    three = start()
    c = come(three, "later")
    assert takes(c, 1) == [b"body"]
    c.disconnect()
    c = come(three, "twice")
    c.expect(mqtt.PUBREL, pid=got.pid)
    c.send(mqtt.ack(mqtt.PUBCOMP, got.pid))
    c.disconnect()
    three.end()

    assert look(tmp_path) == ({}, [], [])


def test_a_file_of_the_version_before_has_whole_messages_only(start, tmp_path):
    """Two sessions with the same whole message each, as version 2 wrote it; what comes now is shared."""
    one = start()
    sleepers(one, ["first"])
    come(one, "pub").publish("a/x", b"old", qos=1)
    sleepers(one, ["second"])
    one.end()
    with sqlite3.connect(tmp_path / "bridge.db") as db:
        queue = {key: struct.unpack_from(">Q", value, 5)[0] for key, value in db.execute("SELECT key, value FROM kept WHERE kind = 2")}
        number, value = db.execute("SELECT number, value FROM queued").fetchone()
        db.execute("INSERT INTO queued VALUES (?, ?, ?)", (queue[b"second"], number, value))
        db.execute("DELETE FROM kept WHERE kind = ?", (BODIES,))
        db.execute("PRAGMA user_version=2")
    db.close()

    two = start()
    come(two, "pub").publish("a/y", b"new", qos=1)
    kill(two)

    there, refers, whole = look(tmp_path)
    assert len(there) == 1 and len(refers) == 2 and len(whole) == 2
    three = start()
    for name in ("first", "second"):
        c = come(three, name)
        assert takes(c, 2) == [b"old", b"new"]
        c.disconnect()
    three.end()
    assert look(tmp_path) == ({}, [], [])
    with sqlite3.connect(tmp_path / "bridge.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
    db.close()


def test_a_lost_body_is_told_and_the_rest_goes_on(start, tmp_path):
    one = start()
    sleepers(one, ["first", "second"])
    p = come(one, "pub")
    for n in range(2):
        p.publish("a/x", b"%d" % n, qos=1)
    one.end()
    with sqlite3.connect(tmp_path / "bridge.db") as db:
        db.execute("DELETE FROM queued WHERE (queue, number) = (SELECT queue, min(number) FROM queued WHERE queue ="
                   " (SELECT max(queue) FROM queued))")  # their queue is younger than the sessions'
    db.close()

    two = start()

    for name in ("first", "second"):
        assert takes(come(two, name), 1) == [b"1"]
    two.end()
    assert "2 entries of sessions cannot be understood" in (tmp_path / "1.log").read_text()


@pytest.mark.parametrize("seed", range(3))
def test_sessions_that_come_and_go_each_get_what_is_theirs(start, tmp_path, seed):
    """A model: what each session waits for.  At each end of the process, in order or not, references and bodies fit."""
    pick = random.Random(seed)
    names = [f"s{n}" for n in range(4)]
    bridged = start()
    sleepers(bridged, names, qos=1 + seed % 2)
    waits = {name: [] for name in names}
    sent = 0
    for _ in range(4):
        p = come(bridged, "pub")
        for _ in range(pick.randint(1, 3)):
            sent += 1
            p.publish("a/x", b"%d" % sent, qos=1 + sent % 2)
            for name in names:
                waits[name].append(b"%d" % sent)
        p.disconnect()
        for name in pick.sample(names, 2):
            clean = pick.random() < 0.2
            c = come(bridged, name, clean)
            if clean:
                c.subscribe(("a/#", 1 + seed % 2))
            else:
                assert takes(c, len(waits[name])) == waits[name]
            c.disconnect()
            waits[name] = []
        if pick.random() < 0.5:
            kill(bridged)  # what was acknowledged last may come again: the sessions below must not mind
        else:
            bridged.end()
        there, refers, _ = look(tmp_path)
        assert set(refers) == set(there)
        bridged = start()
        for name in names:
            if not waits[name]:
                come(bridged, name, clean=True).disconnect()
                sleepers(bridged, [name], qos=1 + seed % 2)
    for name in names:
        c = come(bridged, name)
        assert takes(c, len(waits[name])) == waits[name]
        c.disconnect()
    bridged.end()
    assert look(tmp_path)[0] == {}
