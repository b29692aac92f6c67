"""kill -9, again and again under mixed load: nothing acknowledged is lost, nothing at QoS 2 is doubled, order per path holds.

25 kills; LIBBRIDGE_KILLS=1000 for as many as the promise says, LIBBRIDGE_SEED for the same again.  The clients are as MQTT wants them: what is
not acknowledged is sent again under its identifier, and what came at QoS 2 is known by its identifier until it is released [MQTT 5: 4.4].
Beside them values are PUT over HTTP and CoAP, messages go on to a mosquitto by an uplink and come from there, at QoS 2 in its session, and LwM2M
devices come and go.
"""
import http.client
import json
import os
import random
import select

import pytest
from conftest import Bridged, built_adapters
from peers import coap, lwm2m, mqtt

pytestmark = pytest.mark.skipif(not {"mqtt", "http", "coap", "lwm2m", "uplink"} <= set(built_adapters()), reason="needs all protocols")
KILLS = int(os.environ.get("LIBBRIDGE_KILLS", "25"))
SEED = int(os.environ.get("LIBBRIDGE_SEED", "0")) or random.randrange(1, 1 << 30)


class Peer:
    """A client that survives its connections."""

    def __init__(self, name):
        self.name, self.client = name, None

    def connect(self, port):
        self.client = mqtt.Client(port, version=5)
        self.client.connect(self.name, clean=False, props={"session_expiry": 100000, "receive_max": 50})
        self.client.socket.setblocking(False)
        self.back()
        self.handle_all()  # what came with CONNACK

    def read(self):
        """Handles all packets that are there whole; False when the connection is gone."""
        try:
            more = self.client.socket.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.client.buffer += more
        self.handle_all()
        return bool(more)

    def handle_all(self):
        while (packet := self.whole()) is not None:
            self.handle(packet)

    def whole(self):
        b, size, shift, at = self.client.buffer, 0, 0, 1
        while True:
            if at >= len(b):
                return None
            size |= (b[at] & 127) << shift
            shift += 7
            at += 1
            if b[at - 1] < 128:
                break
        if len(b) < at + size:
            return None
        self.client.buffer = b[at + size:]
        return mqtt.decode(b[0], b[at:at + size], 5)

    def send(self, *data):
        try:
            self.client.socket.setblocking(True)
            self.client.socket.sendall(b"".join(data))
        except OSError:
            pass  # killed; what it did not get is sent again
        finally:
            self.client.socket.setblocking(False)


class Publisher(Peer):
    WINDOW = 20

    def __init__(self, name, path, qos, retain=False):
        super().__init__(name)
        self.path, self.qos, self.retain = path, qos, retain
        self.next, self.acked, self.open, self.released = 1, [], {}, {}

    def pid(self, number):
        return 1 + number % 60000

    def packet(self, number, dup):
        return mqtt.publish(self.path, b"%d" % number, qos=self.qos, pid=self.pid(number), dup=dup, retain=self.retain, version=5)

    def back(self):
        self.send(*[self.packet(n, True) for n in self.open.values()], *[mqtt.ack(mqtt.PUBREL, pid) for pid in self.released])

    def more(self):
        while len(self.open) + len(self.released) < self.WINDOW:
            self.open[self.pid(self.next)] = self.next
            self.send(self.packet(self.next, False))
            self.next += 1

    def handle(self, p):
        if p.type == mqtt.PUBACK:
            assert p.reason < 0x80, p
            self.acked.append(self.open.pop(p.pid))
        elif p.type == mqtt.PUBREC:
            assert p.reason < 0x80, p
            if p.pid in self.open:
                self.released[p.pid] = self.open.pop(p.pid)
            self.send(mqtt.ack(mqtt.PUBREL, p.pid))
        elif p.type == mqtt.PUBCOMP and p.pid in self.released:
            self.acked.append(self.released.pop(p.pid))

    def state(self):
        return self.name, self.next, self.open, self.released

    @property
    def idle(self):
        return not self.open and not self.released


class Subscriber(Peer):
    def __init__(self, name):
        super().__init__(name)
        self.heard, self.taken = {}, set()

    def back(self):
        if not self.client.connack.session_present:
            assert not self.heard, "the session was lost"
            self.client.socket.setblocking(True)
            self.client.subscribe(("load/#", 2))
            self.client.socket.setblocking(False)
            assert not self.client.kept

    def state(self):
        return self.name, {path: (len(first_times(heard)), max(heard), [n for n in range(1, max(heard)) if n not in set(heard)]) for path, heard in self.heard.items()}, self.taken

    def handle(self, p):
        if p.type == mqtt.PUBLISH:
            if p.qos == 2 and p.pid in self.taken:
                assert p.dup
            else:
                self.heard.setdefault(p.topic, []).append(int(p.payload))
            if p.qos == 2:
                self.taken.add(p.pid)
            self.send(mqtt.ack(mqtt.PUBACK if p.qos == 1 else mqtt.PUBREC, p.pid))
        elif p.type == mqtt.PUBREL:
            self.taken.discard(p.pid)
            self.send(mqtt.ack(mqtt.PUBCOMP, p.pid))


class Far(Subscriber):
    """Listens at the broker behind the uplink, which nobody kills."""

    def back(self):
        self.client.socket.setblocking(True)
        self.client.subscribe(("load/#", 2))
        self.client.socket.setblocking(False)


class Item:
    """A CoAP value: what was acknowledged is there; what was under way may be."""

    def __init__(self):
        self.known, self.sent = 0, 0

    def check(self, bridged):
        there = get(bridged, "coap/value")
        assert self.known <= there <= self.sent, f"{there} of {self.known} to {self.sent}, seed {SEED}"
        self.known = self.sent = there
        self.socket = coap.Socket(bridged.port("coap"))

    def put(self):
        self.sent += 1
        answer = self.socket.put("r/coap/value", b"%d" % self.sent)
        assert answer.says in ("2.01", "2.04"), answer
        self.known = self.sent

    def put_and_go(self):
        self.sent += 1
        self.socket.send(self.socket.request(coap.PUT, "r/coap/value", payload=b"%d" % self.sent))


class Lamp:
    """An LwM2M device that registers, updates and goes; it knows what it was told."""

    def __init__(self, name):
        self.name, self.device, self.there = name, None, False

    def check(self, bridged):
        """What was on disk before the kill is so; an update is answered by it [LwM2M 1.1: 6.2.2]."""
        if not self.device:
            self.device = lwm2m.Device(bridged.port("lwm2m"), self.name, {(3303, 0, 5700): 21.5}, lifetime=86400)
        self.device.socket.socket.connect(("127.0.0.1", bridged.port("lwm2m")))  # the same socket: the thread reads it
        if self.device.location:
            self.device.update(expect="2.04" if self.there else "4.04")
        if self.there:
            assert fetch(bridged, f"lwm2m/{self.name}/3303/0/5700") == (200, b"21.5"), f"seed {SEED}"

    def step(self, go):
        if not self.there:
            self.device.register()
            self.there = True
        elif go:
            self.device.deregister()
            self.there = False

    def close(self):
        self.device.close()


def turn(peers):
    ready, _, _ = select.select([p.client.socket for p in peers], [], [], 20)
    assert ready, f"nothing happens any more, seed {SEED}: {[p.state() for p in peers]}"
    for p in peers:
        if p.client.socket in ready:
            p.read()


def put(bridged, number):
    c = http.client.HTTPConnection("127.0.0.1", bridged.port("http"), timeout=30)
    c.request("PUT", "/resources/http/value", body=str(number))
    status = c.getresponse().status
    c.close()
    return status


def fetch(bridged, path):
    c = http.client.HTTPConnection("127.0.0.1", bridged.port("http"), timeout=30)
    c.request("GET", "/resources/" + path)
    answer = c.getresponse()
    said = answer.read()
    c.close()
    return answer.status, said


def get(bridged, path):
    status, said = fetch(bridged, path)
    return int(said) if status == 200 else 0


def first_times(numbers):
    return list(dict.fromkeys(numbers))


URLS = ("mqtt://127.0.0.1:0?max_queue=100000", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r", "lwm2m://127.0.0.1:0")


def test_a_process_that_is_killed_again_and_again_keeps_its_word(tmp_path, broker):
    chance = random.Random(SEED)
    publishers = [Publisher("one", "load/one", 1), Publisher("two", "load/two", 2), Publisher("kept", "load/kept", 1, retain=True),
                  Publisher("up", "load/up", 1), Publisher("sure", "load/sure", 2)]
    talker = Publisher("talker", "down", 2)  # at the broker, which nobody kills
    listener, far, item, lamps, values = Subscriber("listener"), Far("far"), Item(), [Lamp("lamp"), Lamp("fan")], 0
    near = [*publishers, listener]
    (tmp_path / "kill.json").write_text(json.dumps({"store": "sqlite:kill.db", "connect": [
        broker.url("out=load/up&out=load/sure;qos=2&in=down>load/down;qos=2&name=cloud&clean=no&client_id=site7&retry_min=20&retry_max=200")]}))
    far.connect(broker.port)
    talker.connect(broker.port)

    def start():
        program = Bridged("-c", "kill.json", *URLS, log=tmp_path / "bridged.log", cwd=tmp_path).ready(len(URLS))
        for p in [listener, *publishers]:
            p.connect(program.port("mqtt"))
        assert get(program, "http/value") == values, f"seed {SEED}"
        for each in (item, *lamps):
            each.check(program)
        return program

    def load():
        for p in publishers:
            p.more()
        if talker.next < len(listener.heard.get("load/down", [])) + 200:  # what waits in its session is enough
            talker.more()
        turn([*near, far, talker])

    for _ in range(KILLS):
        bridged = start()
        wanted = sum(len(p.acked) for p in publishers) + chance.randrange(0, 150)
        while sum(len(p.acked) for p in publishers) < wanted:
            load()
        for lamp in lamps:
            if chance.random() < 0.5:
                lamp.step(chance.random() < 0.3)
        if chance.random() < 0.5:
            assert put(bridged, values + 1) in (201, 204)
            values += 1
        for _ in range(chance.randrange(3)):
            item.put()
        if chance.random() < 0.5:
            item.put_and_go()
        # Not before mosquitto has sent its PUBRELs again: one that is left twice in that moment goes back to PUBLISH [which 4.3.3 forbids].
        bridged.wait_for_error("cloud up")
        bridged.process.kill()
        bridged.process.wait()
        item.socket.close()
        for p in near:
            while p.read():  # what it said last
                select.select([p.client.socket], [], [], 20)
            p.client.socket.close()

    bridged = start()
    while not all(p.idle for p in [*publishers, talker]) or any(
            set(there.heard.get(path, [])) < set(p.acked) for there, path, p in [
                *((listener, p.path, p) for p in publishers), (listener, "load/down", talker), *((far, p.path, p) for p in publishers[3:])]):
        turn([*near, far, talker])
    assert get(bridged, "http/value") == values
    assert get(bridged, "load/kept") == publishers[2].next - 1
    for lamp in lamps:
        lamp.close()
    bridged.end()

    for p in publishers:
        heard = listener.heard[p.path]
        assert set(p.acked) == set(range(1, p.next)), f"{p.path}, seed {SEED}"
        assert first_times(heard) == sorted(p.acked), f"{p.path}, seed {SEED}"
    for there, path, p in (listener, "load/two", publishers[1]), (listener, "load/sure", publishers[4]), (far, "load/sure", publishers[4]), \
            (listener, "load/down", talker):
        assert there.heard[path] == list(range(1, p.next)), f"{path}: doubled, or out of order, at {there.name}, seed {SEED}"
    assert first_times(far.heard["load/up"]) == sorted(publishers[3].acked), f"behind the uplink, seed {SEED}"
