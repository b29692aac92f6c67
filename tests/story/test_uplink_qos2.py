"""QoS 2 with a broker that keeps our session, when the process is killed between two steps: each goes on where it was [MQTT 5: 4.3.3, 4.4].

The broker is a script here: it says when what is said, and sees each packet."""
import select
import socket
import sqlite3

import pytest

from conftest import Bridged, built_adapters
from peers.mqtt import (CONNECT, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE, Client, Packet, ack, decode, packet, publish)

pytestmark = pytest.mark.skipif("uplink" not in built_adapters(), reason="uplinks are not in this build")


class Far(Client):
    """The other end of one connection."""

    def receive(self):
        first, size, shift = self._read(1)[0], 0, 0
        while True:
            byte = self._read(1)[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = self._read(size)
        return Packet(first >> 4, first, body) if first >> 4 in (CONNECT, SUBSCRIBE) else decode(first, body, self.version)

    def next(self):
        p = self.receive()
        return (p.type, p.payload, p.pid, p.dup) if p.type == PUBLISH else (p.type, p.pid)


class Site:
    """A bridge with one uplink, killed and started again, and what stands at the uplink's other end."""

    def __init__(self, directory, version, maps):
        self.directory, self.version, self.runs, self.bridged, self.far = directory, version, 0, None, None
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(60)
        url = (f"mqtt://127.0.0.1:{self.server.getsockname()[1]}?name=cloud&clean=no&client_id=site7&keep_alive=0&retry_min=20&retry_max=100"
               f"&version={'5' if version == 5 else '3.1.1'}&{maps}")
        (directory / "site.json").write_text(f'{{"store": "sqlite:site.db?wait=60000", "connect": ["{url}"]}}')

    def start(self, session=True):
        self.bridged = Bridged("-c", "site.json", "mqtt://127.0.0.1:0", log=self.directory / f"{self.runs}.log", cwd=self.directory).ready(1)
        self.runs += 1
        return self.meet(session)

    def meet(self, session=True):
        self.far = Far(0, version=self.version, sock=self.server.accept()[0], timeout=60)
        self.far.expect(CONNECT)
        self.far.send(bytes([0x20, 3, session, 0, 0] if self.version == 5 else [0x20, 2, session, 0]))
        return self.far

    def answer_subscription(self):
        asked = self.far.expect(SUBSCRIBE)
        self.far.send(packet(SUBACK << 4, asked.body[:2] + (b"\0" if self.version == 5 else b"") + b"\2"))

    def kill(self):
        self.bridged.process.kill()
        self.bridged.process.wait()
        self.far.socket.close()

    def end(self):
        if self.far:
            self.far.socket.close()
        self.server.close()
        if self.bridged and self.bridged.process.poll() is None:
            self.bridged.end()

    def client(self, name="me", **more):
        return Client(self.bridged.port("mqtt"), version=5, timeout=60).connect(name, **more)

    def listener(self):
        """A session that is kept, and hears all that comes from the broker at QoS 2."""
        it = self.client("listener", clean=False, props={"session_expiry": 1000})
        it.subscribe(("n/#", 2))
        return it

    def say(self, *payloads):
        with self.client() as client:
            for payload in payloads:
                client.publish("n/x", payload, qos=2)


@pytest.fixture(params=[5, 4], ids=["5", "3.1.1"])
def site(request, tmp_path):
    made = []

    def make(maps):
        made.append(Site(tmp_path, request.param, maps))
        return made[0]
    yield make
    for it in made:
        it.end()


def test_what_was_sent_is_sent_again_as_the_same_message(site):
    site = site("out=n/%23;qos=2")
    far = site.start(session=False)
    site.say(b"a", b"b", b"c")
    ids = [far.expect(PUBLISH, payload=payload, dup=False).pid for payload in (b"a", b"b", b"c")]
    far.send(ack(PUBREC, ids[1]))
    assert far.next() == (PUBREL, ids[1])
    site.kill()

    far = site.start()

    assert [far.next() for _ in ids] == [(PUBLISH, b"a", ids[0], True), (PUBREL, ids[1]), (PUBLISH, b"c", ids[2], True)]
    far.send(ack(PUBCOMP, ids[1]), ack(PUBREC, ids[2]))
    assert far.next() == (PUBREL, ids[2])
    site.kill()
    far = site.start()
    again = [far.next()]
    while again[-1] != (PUBREL, ids[2]):  # of b it may be told that it is over; that is no message
        again.append(far.next())
    assert again[0] == (PUBLISH, b"a", ids[0], True)
    assert again[1:-1] in ([], [(PUBREL, ids[1])])


def test_what_is_new_gets_an_identifier_of_its_own(site):
    site = site("out=n/%23;qos=2")
    far = site.start(session=False)
    site.say(b"a")
    old = far.expect(PUBLISH, payload=b"a").pid
    site.kill()
    far = site.start()
    assert far.next() == (PUBLISH, b"a", old, True)

    site.say(b"b")

    new = far.expect(PUBLISH, payload=b"b", dup=False).pid
    assert new != old
    for pid in (new, old):
        far.send(ack(PUBREC, pid))
        assert far.next() == (PUBREL, pid)
        far.send(ack(PUBCOMP, pid))


def test_publish_waits_for_the_disk(site):
    """Somebody else's transaction holds the file: what is not there is not said."""
    site = site("out=n/%23;qos=2")
    far = site.start(session=False)
    client, watcher = site.client(), site.client("watcher")
    watcher.subscribe("n/#")
    client.publish("n/x", b"a", qos=2)
    far.expect(PUBLISH, payload=b"a")
    assert watcher.wait_for(PUBLISH).payload == b"a"
    db = sqlite3.connect(site.directory / "site.db", isolation_level=None, timeout=60)
    db.execute("BEGIN IMMEDIATE")
    client.send(publish("n/x", b"b", qos=2, pid=9, version=5))
    assert watcher.wait_for(PUBLISH).payload == b"b"

    assert select.select([far.socket], [], [], 0)[0] == []
    db.execute("ROLLBACK")
    db.close()

    far.expect(PUBLISH, payload=b"b")


def test_what_was_taken_is_not_taken_again(site):
    site = site("in=n/%23;qos=2")
    far = site.start(session=False)
    site.answer_subscription()
    listener = site.listener()
    far.send(publish("n/x", b"a", qos=2, pid=7, version=site.version))
    far.expect(PUBREC, pid=7)
    site.kill()
    listener.socket.close()
    far = site.start()
    site.answer_subscription()

    far.send(publish("n/x", b"a", qos=2, pid=7, dup=True, version=site.version))
    far.expect(PUBREC, pid=7)
    far.send(ack(PUBREL, 7))
    far.expect(PUBCOMP, pid=7, reason=0)
    far.send(publish("n/x", b"b", qos=2, pid=7, version=site.version))
    far.expect(PUBREC, pid=7)

    listener = site.client("listener", clean=False, props={"session_expiry": 1000})
    assert [listener.message().payload, listener.message().payload] == [b"a", b"b"]


def test_an_identifier_that_was_released_is_free_after_a_kill_too(site):
    """What the bridge has not seen before it was killed may come as a repetition, under an identifier that it knew."""
    site = site("in=n/%23;qos=2")
    far = site.start(session=False)
    site.answer_subscription()
    listener = site.listener()
    far.send(publish("n/x", b"a", qos=2, pid=7, version=site.version))
    far.expect(PUBREC, pid=7)
    far.send(ack(PUBREL, 7))
    far.expect(PUBCOMP, pid=7)
    site.kill()
    listener.socket.close()
    far = site.start()
    site.answer_subscription()

    far.send(publish("n/x", b"b", qos=2, pid=7, dup=True, version=site.version))
    far.expect(PUBREC, pid=7)

    listener = site.client("listener", clean=False, props={"session_expiry": 1000})
    assert [listener.message().payload, listener.message().payload] == [b"a", b"b"]


def test_a_broker_that_has_lost_the_session_gets_all_of_it_as_something_new(site):
    site = site("out=n/%23;qos=2&in=m/%23>n/%23;qos=2")
    far = site.start(session=False)
    site.answer_subscription()
    listener = site.listener()
    site.say(b"a")
    far.expect(PUBLISH, payload=b"a", dup=False)
    assert listener.message().payload == b"a"
    far.send(publish("m/x", b"1", qos=2, pid=7, version=site.version))
    far.expect(PUBREC, pid=7)
    site.kill()
    listener.socket.close()

    far = site.start(session=False)

    site.answer_subscription()
    far.expect(PUBLISH, payload=b"a", dup=False)
    far.send(publish("m/x", b"2", qos=2, pid=7, dup=True, version=site.version))
    far.expect(PUBREC, pid=7)
    listener = site.client("listener", clean=False, props={"session_expiry": 1000})
    assert [listener.message().payload, listener.message().payload] == [b"1", b"2"]


def test_a_connection_that_breaks_in_between_changes_nothing(site):
    site = site("out=n/%23;qos=2")
    far = site.start(session=False)
    site.say(b"a", b"b")
    ids = [far.expect(PUBLISH, payload=payload, dup=False).pid for payload in (b"a", b"b")]
    far.send(ack(PUBREC, ids[0]))
    assert far.next() == (PUBREL, ids[0])
    far.drop()
    far = site.meet()
    assert [far.next(), far.next()] == [(PUBREL, ids[0]), (PUBLISH, b"b", ids[1], True)]
    far.send(ack(PUBCOMP, ids[0]), ack(PUBREC, ids[1]))
    assert far.next() == (PUBREL, ids[1])
