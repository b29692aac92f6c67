"""A TCP wire between a test and what it talks to, that can be cut, slowed, stalled and refused.  For libbridge.testing."""
from __future__ import annotations

import asyncio
import threading
from typing import Callable

PATIENCE = 20.0


class Wire:
    """Listens on a free port (``port``) and carries what comes to another one, in a thread of its own."""

    def __init__(self, target: int):
        self.port = 0
        self._target, self._delay, self._refusing = target, 0.0, False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(ready,), name="wire", daemon=True)
        self._thread.start()
        ready.wait(PATIENCE)

    def _main(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        self._abort()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = None
        if not self._refusing:
            try:
                there, away = await asyncio.open_connection("127.0.0.1", self._target)
            except OSError:
                pass
        if there is None:
            writer.transport.abort()
            return
        self._writers |= {writer, away}
        await asyncio.gather(self._carry(reader, away), self._carry(there, writer))
        self._writers -= {writer, away}

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(512 if self._delay else 65536):
                await self._flows.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        writer.transport.abort()

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def _call(self, fn: Callable[[], object]) -> None:
        done = threading.Event()

        def call() -> None:
            fn()
            done.set()
        self._loop.call_soon_threadsafe(call)
        done.wait(PATIENCE)

    def cut(self) -> None:
        """Every connection ends, as when a cable is pulled out and the system notices."""
        self._call(self._abort)

    def refuse(self, yes: bool = True) -> None:
        """New connections are turned away; those there are go on: cut() them."""
        self._refusing = yes

    def slow(self, delay: float) -> None:
        """At most 512 bytes each ``delay`` seconds, in each direction; 0: at full speed."""
        self._delay = delay

    def stall(self, yes: bool = True) -> None:
        """Nothing moves any more, and nobody is told: a half-open connection."""
        self._call(self._flows.clear if yes else self._flows.set)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
