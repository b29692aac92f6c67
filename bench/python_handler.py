"""How many messages a second reach a Python function.  PYTHONPATH=build/bindings/python python3 bench/python_handler.py

Messages per CPU-second of the whole process (publishing in Python too), median of five.
"""
import asyncio
import statistics
import sys
import threading
import time

import libbridge
from libbridge import aio
from libbridge.message import make

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000


def blocking(pattern, path, route=None):
    """route: (source, target, a function that each message goes through)."""
    done, seen = threading.Event(), 0
    with libbridge.Bridge(log_level="error") as bridge:
        if route:
            bridge.route(route[0], route[1], transform=[route[2]])

        @bridge.on(pattern)
        def heard(message, **captures):
            nonlocal seen
            seen += 1
            if seen == COUNT:
                done.set()
        began = time.process_time()
        for _ in range(COUNT):
            bridge.publish(path, 21.5)
        done.wait()
        return COUNT / (time.process_time() - began)


def inside_asyncio():
    async def main():
        async with aio.Bridge(log_level="error") as bridge:
            done, seen = asyncio.Event(), 0

            @bridge.on("a/b")
            def heard(message):
                nonlocal seen
                seen += 1
                if seen == COUNT:
                    done.set()
            message = make("a/b", 21.5, None)
            began = time.process_time()
            for n in range(COUNT):
                bridge._core.engine.publish(message)
                if n % 1000 == 0:
                    await asyncio.sleep(0)
            bridge._kick()
            await done.wait()
            return COUNT / (time.process_time() - began)
    return asyncio.run(main())


for name, run in (("blocking, publish and handler", lambda: blocking("a/b", "a/b")),
                  ("blocking, with a capture", lambda: blocking("a/{x}", "a/b")),
                  ("blocking, over a route with a function", lambda: blocking("a/b", "raw/b", ("raw/{x}", "a/{x}", lambda m: m.value + 1))),
                  ("asyncio, ready message and handler", inside_asyncio)):
    print(f"{name:40} {statistics.median(run() for _ in range(5)):>12,.0f} messages/CPU-s", flush=True)
