"""Clients that come and go for as long as one likes: SOAK_CLIENTS at a time (200), SOAK_SECONDS (5) long.

    SOAK_CLIENTS=2000 SOAK_SECONDS=180 LIBBRIDGE_BUILD=build-asan python3 -m pytest -s tests/soak

Every client speaks some version, has a clean or a lasting session, subscribes, publishes at any QoS, answers what it is sent, and
leaves politely or in the middle of a packet.  The bridge must stay whole: what was taken is acknowledged, a quiet client beside
them is served, memory comes back to where it was.
"""
import asyncio
import os
import random
import resource
import time

import pytest

from peers import mqtt

CLIENTS = int(os.environ.get("SOAK_CLIENTS", "200"))
SECONDS = float(os.environ.get("SOAK_SECONDS", "5"))
ROOMS = max(3, CLIENTS // 20)  # some forty hear each message, however many there are
FILTERS = ("soak/{}/#", "soak/{}/+", "+/{}/x", "$share/g/soak/{}/#")


class Visitor:
    """One visit: from CONNECT to some end."""

    def __init__(self, port, rng, counts):
        self.port, self.rng, self.counts = port, rng, counts
        self.waiting, self.pid = {}, 0

    def next_pid(self):
        self.pid = self.pid % 60000 + 1
        return self.pid

    async def read(self):
        while True:
            first = (await self.reader.readexactly(1))[0]
            length = shift = 0
            while True:
                byte = (await self.reader.readexactly(1))[0]
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            self.answer(mqtt.decode(first, await self.reader.readexactly(length), self.version))

    def answer(self, p):
        kind = mqtt.NAMES[p.type]
        if kind == "PUBLISH":
            self.counts["heard"] += 1
            if p.qos:
                self.writer.write(mqtt.ack(mqtt.PUBACK if p.qos == 1 else mqtt.PUBREC, p.pid))
        elif kind == "PUBREL":
            self.writer.write(mqtt.ack(mqtt.PUBCOMP, p.pid))
        elif kind == "PUBREC":
            self.writer.write(mqtt.ack(mqtt.PUBREL, p.pid))
        elif kind in ("PUBACK", "PUBCOMP"):
            self.waiting.pop(p.pid, None)
            self.counts["acknowledged"] += 1
            if not self.waiting:
                self.calm.set()

    async def act(self):
        rng = self.rng
        self.writer.write(mqtt.subscribe(self.next_pid(), *((f.format(rng.randrange(ROOMS)), rng.randrange(3)) for f in rng.sample(FILTERS, 2)), version=self.version))
        for _ in range(rng.randrange(1, 20)):
            qos, pid = rng.randrange(3), None
            if qos:
                pid = self.next_pid()
                self.waiting[pid] = qos
            self.writer.write(mqtt.publish(f"soak/{rng.randrange(ROOMS)}/x", os.urandom(rng.choice((0, 10, 2000))), qos=qos, pid=pid,
                                           retain=rng.random() < 0.1, version=self.version))
            await self.writer.drain()
        if rng.random() < 0.5:
            self.calm.clear()
            if self.waiting:
                async with asyncio.timeout(60):
                    await self.calm.wait()
            if self.waiting:
                raise ConnectionError
            self.counts["whole"] += 1
        if rng.random() < 0.3:
            self.writer.write(b"\x30\x7fhalf a packet")
        elif rng.random() < 0.5:
            self.writer.write(mqtt.disconnect())

    async def visit(self):
        rng, self.version = self.rng, self.rng.choice((3, 4, 5))
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(mqtt.connect(f"soak-{rng.randrange(CLIENTS)}", version=self.version, clean=rng.random() < 0.7, keep_alive=60))
        self.calm = asyncio.Event()  # everything is acknowledged, or nobody is there any more
        reading = asyncio.ensure_future(self.read())
        reading.add_done_callback(lambda _: self.calm.set())
        try:
            await self.act()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.counts["taken over"] += 1  # another visitor took the name
        finally:
            reading.cancel()
            end, = await asyncio.gather(reading, return_exceptions=True)
            if not isinstance(end, (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError)):
                raise end  # a packet that we do not understand
            self.writer.transport.abort()
        self.counts["visits"] += 1


async def soak(port, counts):
    end = time.monotonic() + SECONDS

    async def one(seed):
        rng = random.Random(seed)
        while time.monotonic() < end:
            try:
                await Visitor(port, rng, counts).visit()
            except TimeoutError:
                counts["unanswered"] += 1

    await asyncio.gather(*(one(i) for i in range(CLIENTS)))


def memory(program):
    with open(f"/proc/{program.process.pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < CLIENTS + 100, reason="too few descriptors")
def test_clients_that_come_and_go(start_bridged):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    bridge = start_bridged("mqtt://127.0.0.1:0?max_queue=50")
    port = bridge.port("mqtt")
    counts = dict.fromkeys(("visits", "heard", "acknowledged", "whole", "taken over", "unanswered"), 0)

    with mqtt.Client(port) as quiet:
        quiet.connect("quiet")
        asyncio.run(soak(port, counts))
        quiet.subscribe(("beside/#", 1))
        quiet.publish("beside/x", b"still here", qos=0)
        assert quiet.message().payload == b"still here"
        print(f"\n{counts}, {memory(bridge)} KiB")

    assert counts["visits"] > CLIENTS and counts["heard"] and counts["whole"]
    assert counts["unanswered"] == 0, "acknowledgements are missing"
