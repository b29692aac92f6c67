"""libbridge.aio.Bridge: the bridge inside asyncio.

Everything happens on the thread of the event loop: its reader watches the bridge's one file descriptor, and handlers are called,
or their coroutines run, right there.  There is nothing to lock, and nothing may be called from another thread.
"""
from __future__ import annotations

import asyncio
import collections
import functools
import inspect
import time
import weakref
from datetime import timedelta
from typing import Any, AsyncIterator, Callable, Iterable, TypeVar, cast

from . import _core, blocking, past
from ._core import Config, Core, Owner, Pattern, Registration, Request, Watched, _living, checked_verbs, log, outcome
from ._manners import deadline_of, documented_as, left, note, take_back, tell_watched
from .clock import Clock
from .devices import AsyncDevice, AsyncDevices
from .errors import Canceled, Closed, MethodNotAllowed, Timeout
from .message import FormatLike, Message, Value, make

F = TypeVar("F", bound=Callable[..., Any])
_HANDLER_QUEUE = 10_000


@documented_as(blocking.Subscription)
class Subscription(AsyncIterator[Message]):
    """The messages of a pattern.  At most ``most`` wait; then the oldest are dropped and ``lost`` counts."""

    def __init__(self, bridge: "Bridge", pattern: str, most: int):
        self.pattern, self.lost = pattern, 0
        self._bridge, self._most = bridge, most
        self._waiting: collections.deque[Message] = collections.deque()
        self._reader: asyncio.Future[None] | None = None
        self._closed = False
        core, me = bridge._core, weakref.ref(self)

        def heard(message: Message, _status: int) -> None:
            it = me()
            if it is not None:
                it._put(message)
        self._ident = core.new_id(heard)
        try:
            self._held = bridge._on_loop(core.engine.subscribe, pattern, self._ident, 0)
        except BaseException:
            core.sinks.pop(self._ident, None)
            raise
        bridge._subscriptions.add(self)
        weakref.finalize(self, _forget, core, self._ident, self._held)

    def _put(self, message: Message) -> None:
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(message)
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self, timeout: float | None = None) -> Message:
        if not self._waiting and not self._closed:
            try:
                await asyncio.wait_for(self._more(), timeout)
            except asyncio.TimeoutError:
                raise Timeout(f"nothing on {self.pattern!r} for {timeout:g} s") from None
        if self._waiting:
            return self._waiting.popleft()
        raise Closed()

    async def _more(self) -> None:
        while not self._waiting and not self._closed:
            if self._reader is None or self._reader.done():
                self._reader = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._reader)  # several may wait; one giving up must not end it for the others

    async def take(self, count: int, timeout: float | None = None) -> list[Message]:
        """The next messages, as many as asked for; timeout is for each."""
        return [await self.get(timeout) for _ in range(count)]

    async def __anext__(self) -> Message:
        try:
            return await self.get()
        except Closed:
            raise StopAsyncIteration from None

    def __aiter__(self) -> "Subscription":
        return self

    def __len__(self) -> int:
        return len(self._waiting)

    def __bool__(self) -> bool:
        return True

    def close(self) -> None:
        """No more messages, and whoever waits is let go."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            _forget(self._bridge._core, self._ident, self._held)
            self._wake()

    async def aclose(self) -> None:
        self.close()

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _forget(core: Core, ident: int, held: Any) -> None:
    core.sinks.pop(ident, None)
    held.close()


class _Worker:
    """Runs an `async def` handler on its messages one at a time, in order."""

    def __init__(self, bridge: "Bridge", pattern: str, fn: Callable[..., Any]):
        self.waiting: collections.deque[tuple[Message, dict[str, str]]] = collections.deque()
        self.lost = 0
        self._bridge, self._pattern, self._fn = bridge, pattern, fn
        self._task: asyncio.Task[None] | None = None

    def put(self, message: Message, captures: dict[str, str]) -> None:
        if len(self.waiting) >= _HANDLER_QUEUE:
            self.waiting.popleft()
            self.lost += 1
        self.waiting.append((message, captures))
        if self._task is None or self._task.done():
            self._task = self._bridge._spawn(self._run())

    async def _run(self) -> None:
        while self.waiting:
            message, captures = self.waiting.popleft()
            try:
                await self._fn(message, **captures)
            except Exception:
                log.exception("handler of %r failed on %r", self._pattern, message.path)


class Uplink(_core.Uplink):
    """A connection to another broker or server."""

    async def wait_up(self, timeout: float | None = None) -> None:
        """Waits until a broker is connected and subscribed to; raises Timeout."""
        deadline = deadline_of(timeout)
        with self._owner.subscribe(f"$SYS/broker/connection/{self.name}/state") as states:  # type: ignore[attr-defined]
            while bytes(await states.get(left(deadline))) != b"1":
                pass


@documented_as(blocking.Bridge)
class Bridge(Owner):
    """A bridge inside the running event loop.

    >>> async with Bridge("mqtt://127.0.0.1:0", "coap://127.0.0.1:0/r") as b:
    ...     async for alarm in b.subscribe("alarms/#"):
    ...         print(alarm.path, alarm.value)
    """

    _uplink = Uplink

    def connect(self, url: str) -> Uplink:
        return cast(Uplink, super().connect(url))

    def __init__(self, *urls: str, config: Config | None = None, clock: Clock | None = None, timeout: float = 5.0,
                 log_level: str | None = None, max_message: int = 0, max_queue: int = 0,
                 store: str | None = None):
        """Opens nothing yet: `async with` or `await open()` does."""
        self.timeout, self.clock = timeout, clock
        self._urls, self._config = urls, config
        self._make_core = functools.partial(Core, clock, log_level=log_level, max_message=max_message,
                                            max_queue=max_queue, store=store)
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._kicked = False
        self._ended: asyncio.Future[None] | None = None
        self._fd = -1
        self._opened: Core | None = None

    @property
    def _core(self) -> Core:  # type: ignore[override]
        if self._opened is None:
            raise Closed("not open yet: use `async with`, or `await open()`")
        return self._opened

    # ---- living

    async def open(self) -> "Bridge":
        """Starts it in the running loop, listens on the URLs and loads the config."""
        self._loop = asyncio.get_running_loop()
        self._opened = self._make_core()
        _living.add(self)
        self._ended = self._loop.create_future()
        self._fd = self._core.engine.fd()
        self._loop.add_reader(self._fd, self._turn)
        if self.clock:
            self.clock._bridges.add(self)
        try:
            if self._config is not None:
                self.load(self._config)
            for url in self._urls:
                self.listen(url)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Stops and closes everything.  Closing twice is fine; so is a handler doing it."""
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        self._fd = -1
        if self._timer:
            self._timer.cancel()
        self._core.engine.close()
        self._drain()
        self._core.sinks.clear()
        for subscription in list(self._subscriptions):
            subscription.close()
        if self._ended and not self._ended.done():
            self._ended.set_result(None)

    def _forget(self) -> None:
        """In a child process: the event loop is not ours any more, the bridge is the parent's."""
        self._fd = -1
        if self._opened:
            self._opened.engine.forget()

    async def aclose(self) -> None:
        """close(), and then waits for the handlers that still run."""
        self.close()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self) -> None:
        """Until somebody closes it, or this task is cancelled."""
        if self._fd < 0:
            await self.open()
        assert self._ended is not None
        try:
            await asyncio.shield(self._ended)
        finally:
            await self.aclose()

    @property
    def closed(self) -> bool:
        return self._fd < 0

    async def __aenter__(self) -> "Bridge":
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # ---- turning

    def _turn(self) -> None:
        self._kicked = False
        if self._fd < 0:
            return
        if self._core.engine.turn(0) < 0:
            self.close()
            return
        more = self._core.collect()
        if self._fd < 0:  # a handler closed it
            return
        if self._timer:
            self._timer.cancel()
            self._timer = None
        wait = 0 if more else self._core.engine.timeout()
        if wait == 0:
            self._kick()
        elif wait > 0:
            self._timer = self._loop.call_later(wait / 1000, self._turn)

    def _kick(self) -> None:
        """What was called may have left something to do: a turn soon, one for however many calls."""
        if not self._kicked and self._fd >= 0:
            self._kicked = True
            self._loop.call_soon(self._turn)

    def _drain(self) -> None:
        while self._core.collect():
            pass

    def _clock_moves(self) -> None:
        for _ in range(2):  # a callback of the first may have left something for a second
            self._turn()

    def _spawn(self, work: Any) -> "asyncio.Task[Any]":
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _on_loop(self, fn: Callable[..., Any], *args: Any) -> Any:
        if self._fd < 0:
            raise Closed()
        try:
            return fn(*args)
        finally:
            self._kick()

    # ---- talking

    def publish(self, path: str, value: Value, *, retain: bool = False, qos: int = 0, format: FormatLike | None = None,
                ttl: timedelta | float | None = None, origin: str | None = None, response: str | None = None,
                correlation: bytes | None = None, props: Iterable[tuple[str, str]] | None = None) -> None:
        """Says something at a path; not awaited, it is done when this returns."""
        message = make(path, value, format, retain=retain, qos=qos, ttl=ttl, origin=origin, response=response,
                       correlation=correlation, props=props)
        self._on_loop(self._core.engine.publish, message)

    async def request(self, verb: str, path: str, value: Value = b"", *, timeout: float | None = None,
                      format: FormatLike | None = None, **rest: Any) -> Message | None:
        core = self._core
        answer: asyncio.Future[tuple[Any, int]] = self._loop.create_future()
        message = make(path, value, format, **rest)

        def answered(reply: Any, status: int) -> None:
            if not answer.done():
                answer.set_result((reply, status))
        self._on_loop(core.request, verb, message, self.timeout if timeout is None else timeout, answered)
        return outcome(*await answer)

    async def get(self, path: str, *, timeout: float | None = None) -> Message:
        return await self.request("GET", path, timeout=timeout) or Message(path, b"")

    async def history(self, pattern: str, start: past.When = None, end: past.When = None, *, timeout: float | None = None,
                      **words: Any) -> AsyncIterator[past.Record]:
        """What was recorded at the paths that match; see libbridge.Bridge.history().  `async for record in b.history(...)`."""
        if words.get("aggregate"):
            answer = await self.request("GET", "$history", past.question(pattern, start, end, **words), timeout=timeout)
            for record in past.records(answer.payload if answer else b"[]"):
                yield record
            return
        await self.request("GET", "$history", past.question(pattern, start, end, **dict(words, limit=1)), timeout=timeout)  # what was said is on disk
        now, most = time.time(), words.get("limit")
        reading = self._on_loop(self._core.engine.read_history, pattern, past.ms(start, now), past.ms(end, now), bool(words.get("newest_first")))
        try:
            while rows := await self._loop.run_in_executor(None, reading.take, past.PAGE if most is None else min(most, past.PAGE)):
                for row in rows:
                    yield past.record_of(row)
                most = None if most is None else most - len(rows)
        finally:
            reading.close()

    async def history_columns(self, pattern: str, start: past.When = None, end: past.When = None, *,
                              timeout: float | None = None, **words: Any) -> dict[str, list[Any]]:
        """The same as lists by name, path, time and value: pandas.DataFrame(await bridge.history_columns("home/#"))."""
        return past.columns_of([r async for r in self.history(pattern, start, end, timeout=timeout, **words)])

    async def put(self, path: str, value: Value, *, timeout: float | None = None, format: FormatLike | None = None,
                  qos: int = 0, ttl: timedelta | float | None = None) -> Message | None:
        return await self.request("PUT", path, value, timeout=timeout, format=format, qos=qos, ttl=ttl)

    async def post(self, path: str, value: Value = b"", *, timeout: float | None = None,
                   format: FormatLike | None = None, qos: int = 0) -> Message | None:
        return await self.request("POST", path, value, timeout=timeout, format=format, qos=qos)

    async def delete(self, path: str, *, timeout: float | None = None) -> Message | None:
        return await self.request("DELETE", path, timeout=timeout)

    async def patch(self, path: str, value: Value, *, timeout: float | None = None,
                    format: FormatLike = "merge-patch") -> Message | None:
        return await self.request("PATCH", path, value, timeout=timeout, format=format)

    @property
    def devices(self) -> AsyncDevices:
        """LwM2M devices by endpoint name: bridge.devices["lamp-7"].read("/3303/0/5700")."""
        return AsyncDevices(self, AsyncDevice)

    # ---- listening

    def subscribe(self, pattern: str, *, most: int = 10_000) -> Subscription:
        """The messages of a pattern, kept values first: `async for message in b.subscribe("home/#")`."""
        return Subscription(self, pattern, most)

    def on(self, pattern: str) -> Callable[[F], F]:
        """Decorator: the function or coroutine gets each message, and what stood at {name} as keyword arguments.

        A coroutine is run on one message after the other, in order.
        """
        captures = Pattern(pattern)

        def register(fn: F) -> F:
            worker = _Worker(self, pattern, fn) if inspect.iscoroutinefunction(fn) else None
            registration = Registration(self)

            def heard(message: Message, _status: int) -> None:
                if not registration.alive:
                    return
                values = captures.captures(message.path)
                if worker is not None:
                    worker.put(message, values)
                    return
                try:
                    fn(message, **values)
                except Exception:
                    log.exception("handler of %r failed on %r", pattern, message.path)
            ident = self._core.new_id(heard)
            note(fn, registration.opened(self._on_loop(self._core.engine.subscribe, pattern, ident, 0)))
            return fn
        return register

    def resource(self, pattern: str, *verbs: str, watched: Watched | None = None) -> Callable[[F], F]:
        """Decorator: the function or coroutine answers requests; what it returns is the reply, what it raises the status.

        watched(filter, wanted), a plain function, is called when somebody begins to watch a path of it, and when the last one has left.
        """
        names, wanted = Pattern(pattern).names, checked_verbs(verbs)

        def register(fn: F) -> F:
            async def finish(request: Request, work: Any) -> None:
                try:
                    request._answer(await work)
                except asyncio.CancelledError:
                    request._refuse(Canceled())
                    raise
                except Exception as why:
                    request._refuse(why)
                self._kick()

            def asked(call: Any, status: int) -> None:
                if isinstance(call, str):
                    tell_watched(watched, call, status)
                    return
                request = Request(call, names)
                try:
                    if request.verb not in wanted:
                        raise MethodNotAllowed(f"{request.verb} is not answered here")
                    result = fn(request, **request.captures)
                    if inspect.isawaitable(result):
                        work = result
                        self._spawn(finish(request, work)).add_done_callback(lambda _: _discard(work))
                        return
                    request._answer(result)
                except Exception as why:
                    request._refuse(why)
                self._kick()
            ident = self._core.new_id(asked)
            note(fn, Registration(self).opened(self._on_loop(self._core.engine.handle, pattern, ident, watched is not None)))
            return fn
        return register

    def off(self, fn: Callable[..., Any]) -> None:
        take_back(self, fn)


def _discard(work: Any) -> None:
    """A coroutine that was cancelled before it began would complain that nobody awaited it."""
    if inspect.iscoroutine(work):
        work.close()
