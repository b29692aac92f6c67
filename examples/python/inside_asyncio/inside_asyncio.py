"""The bridge inside asyncio: no thread, nothing to lock, other tasks run beside it."""
import asyncio
import sys

from libbridge.aio import Bridge


async def main(*urls):
    async with Bridge(*urls) as bridge:
        print("listening on", *bridge.listeners, flush=True)

        @bridge.on("questions/{who}")
        async def answer(message, who):
            await asyncio.sleep(0.1)  # a database, another service, ...
            bridge.publish(f"answers/{who}", f"{who} asked: {message}")

        async def count():
            for seconds in range(1_000_000):
                bridge.publish("uptime", seconds, retain=True)
                await asyncio.sleep(1)

        counting = asyncio.create_task(count())
        async for command in bridge.subscribe("commands"):
            if command.value == "stop":
                break
        counting.cancel()

asyncio.run(main(*sys.argv[1:] or ["mqtt://127.0.0.1:1883", "coap://127.0.0.1:5683/r"]))
