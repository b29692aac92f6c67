"""libbridge.Bridge: the bridge for programs that are not asynchronous.

Threads, all there is to know:
  - A Bridge has one background thread, a Python thread.  It makes the bridge's turns; your handlers, resources and access
    questions run on it, one at a time, in order.  A handler that takes long holds the bridge up.
  - Every method may be called from every thread.  publish() and requests go straight in; the others hop to that thread.
  - After a fork the child's bridges are closed, since no thread lives on there; the parent's are not touched.
  - A handler may call anything, get() and next(subscription) too: while it waits, the network goes on, other handlers do not.
    Only an `allow` or `login` question must not call the bridge.
"""
from __future__ import annotations

import collections
import functools
import itertools
import queue
import threading
import time
import weakref
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, Callable, Iterable, Iterator, TypeVar, cast

from . import _core, past
from ._core import Config, Core, Owner, Pattern, Registration, Request, Watched, _living, checked_verbs, log, outcome
from ._manners import deadline_of, left, note, take_back, tell_watched
from .clock import Clock
from .devices import Device, Devices
from .errors import Busy, Closed, Invalid, MethodNotAllowed, Timeout
from .message import FormatLike, Message, Value, make

F = TypeVar("F", bound=Callable[..., Any])
_END = object()


class _Driver:
    """The background thread.  It does not know the Bridge, so that a forgotten Bridge can go."""

    def __init__(self, make_core: Callable[[], Core]):
        self.jobs: collections.deque[Callable[[], None]] = collections.deque()
        self.subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self.ended = threading.Event()
        self._commands: collections.deque[tuple[Future[Any], Callable[[], Any]]] = collections.deque()
        self._lock = threading.RLock()  # a finalizer may come while its thread holds it
        self._stopping = False
        started: Future[Core] = Future()
        self._thread = threading.Thread(target=self._main, args=(make_core, started), name="libbridge", daemon=True)
        self._thread.start()
        self.core = started.result()

    def _main(self, make_core: Callable[[], Core], started: "Future[Core]") -> None:
        try:
            core = self.core = make_core()
        except BaseException as why:
            started.set_exception(why)
            return
        started.set_result(core)
        while not self._stopping:
            if core.engine.turn(0 if self.jobs or self._commands else -1) < 0:
                break
            self._after_turn()
            self._run_jobs()
        self._finish()

    def _after_turn(self) -> None:
        while self.core.collect():
            pass
        while self._commands:
            done, fn = self._commands.popleft()
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(fn())
                except BaseException as why:
                    done.set_exception(why)

    def _run_jobs(self) -> None:
        for _ in range(len(self.jobs)):
            if self._stopping or not self.jobs:
                return
            self.jobs.popleft()()

    def _finish(self) -> None:
        with self._lock:
            self._stopping = True
        self.jobs.clear()
        self.core.engine.close()
        self._after_turn()
        self.core.sinks.clear()
        for subscription in list(self.subscriptions):
            subscription._end()
        self.ended.set()

    def forget(self) -> None:
        """In a child process, which has not got the thread: as if it had ended."""
        self._lock, self.ended, self._stopping = threading.RLock(), threading.Event(), True
        self.core.engine.forget()
        for subscription in list(self.subscriptions):
            subscription._box = queue.SimpleQueue()
            subscription._end()
        self.ended.set()

    def here(self) -> bool:
        return threading.get_ident() == self._thread.ident

    def call(self, fn: Callable[[], Any]) -> Any:
        """[any thread] Runs fn on the background thread and returns what it returns."""
        if self.here():
            return fn()
        done: Future[Any] = Future()
        with self._lock:
            if self._stopping:
                raise Closed()
            self._commands.append((done, fn))
        self.core.engine.wake()
        return done.result()

    def wait(self, box: "queue.SimpleQueue[Any]", timeout: float | None) -> Any:
        """[any thread] The next thing in the box; queue.Empty in time.  On the background thread, turns are made meanwhile."""
        if not self.here():
            return box.get(timeout=timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        while box.empty():
            left = -1 if deadline is None else round((deadline - time.monotonic()) * 1000)
            if deadline is not None and left <= 0:
                raise queue.Empty
            status = Closed.status if self._stopping else self.core.engine.turn(left)
            if status == Invalid.status:
                raise Invalid("a function of a route, or one that is asked who may do what, cannot wait for the bridge, which waits for it")
            if status < 0:
                raise Closed()
            self._after_turn()
        return box.get_nowait()

    def stop(self) -> None:
        self._stopping = True
        self.core.engine.wake()
        if not self.here():
            self._thread.join()


class Subscription(Iterator[Message]):
    """The messages of a pattern, one after the other.  At most ``most`` wait; then the oldest are dropped and ``lost`` counts.

    next() waits for ever, or for ``timeout`` seconds and then raises `Timeout`.  It ends when it or the bridge is closed.
    """

    def __init__(self, driver: _Driver, pattern: str, most: int, timeout: float | None):
        self.pattern, self.timeout, self.lost = pattern, timeout, 0
        self._driver, self._most = driver, most
        self._box: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closed = False
        core, me = driver.core, weakref.ref(self)

        def heard(message: Message, _status: int) -> None:
            it = me()
            if it is not None:
                it._put(message)
        self._ident = core.new_id(heard)
        try:
            self._held = driver.call(self._open)
        except BaseException:
            core.sinks.pop(self._ident, None)
            raise
        weakref.finalize(self, _forget, driver, self._ident, self._held)

    def _open(self) -> Any:
        held = self._driver.core.engine.subscribe(self.pattern, self._ident, 0)
        self._driver.subscriptions.add(self)
        return held

    def _put(self, message: Message) -> None:
        if self._box.qsize() >= self._most:
            try:
                self._box.get_nowait()
                self.lost += 1
            except queue.Empty:
                pass
        self._box.put(message)

    def _end(self) -> None:
        self._closed = True
        self._box.put(_END)

    def get(self, timeout: float | None = None) -> Message:
        """The next message; raises Timeout, and Closed at the end."""
        try:
            message = self._driver.wait(self._box, timeout)
        except queue.Empty:
            raise Timeout(f"nothing on {self.pattern!r} for {timeout:g} s") from None
        if message is _END:
            self._box.put(_END)
            raise Closed()
        return message  # type: ignore[no-any-return]

    def take(self, count: int, timeout: float | None = None) -> list[Message]:
        """The next messages, as many as asked for."""
        return [self.get(self.timeout if timeout is None else timeout) for _ in range(count)]

    def __next__(self) -> Message:
        try:
            return self.get(self.timeout)
        except Closed:
            raise StopIteration from None

    def __iter__(self) -> "Subscription":
        return self

    def __len__(self) -> int:
        """How many wait."""
        return self._box.qsize()

    def __bool__(self) -> bool:
        return True

    def close(self) -> None:
        """No more messages; those that wait are dropped, and whoever waits in next() is let go."""
        if not self._closed:
            _forget(self._driver, self._ident, self._held)
            while not self._box.empty():
                self._box.get_nowait()
            self._end()

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _forget(driver: _Driver, ident: int, held: Any) -> None:
    """Closes a subscription.  From a finalizer this may be any thread, in the middle of anything: do not wait there."""
    driver.core.sinks.pop(ident, None)
    if driver.here():
        held.close()
        return
    with driver._lock:
        if not driver._stopping:
            driver._commands.append((Future(), held.close))
    driver.core.engine.wake()


class Uplink(_core.Uplink):
    """A connection to another broker or server."""

    def wait_up(self, timeout: float | None = None) -> None:
        """Waits until a broker is connected and subscribed to; raises Timeout."""
        deadline = deadline_of(timeout)
        with self._owner.subscribe(f"$SYS/broker/connection/{self.name}/state") as states:  # type: ignore[attr-defined]
            while bytes(states.get(left(deadline))) != b"1":
                pass


class Bridge(Owner):
    """A bridge that works in the background; see the module for its threads.

    >>> with Bridge("mqtt://127.0.0.1:0", "coap://127.0.0.1:0/r") as b:
    ...     b.publish("home/kitchen/temperature", 21.5, retain=True)
    ...     print(b.get("home/kitchen/temperature").value)
    21.5
    """

    _uplink = Uplink

    def connect(self, url: str) -> Uplink:
        """Connects to another broker; it comes back by itself."""
        return cast(Uplink, super().connect(url))

    def __init__(self, *urls: str, config: Config | None = None, clock: Clock | None = None, timeout: float = 5.0,
                 patience: float | None = None, log_level: str | None = None, max_message: int = 0, max_queue: int = 0,
                 store: str | None = None):
        """Listens on the URLs and loads the config.  timeout: of requests; patience: of next(subscription); seconds."""
        self.timeout, self.patience, self.clock = timeout, patience, clock
        self._driver = _Driver(functools.partial(Core, clock, log_level=log_level, max_message=max_message,
                                                 max_queue=max_queue, store=store))
        self._core = self._driver.core
        self._finalizer = weakref.finalize(self, self._driver.stop)
        _living.add(self)
        if clock:
            clock._bridges.add(self)
        try:
            if config is not None:
                self.load(config)
            for url in urls:
                self.listen(url)
        except BaseException:
            self.close()
            raise

    def _on_loop(self, fn: Callable[..., Any], *args: Any) -> Any:
        return self._driver.call(functools.partial(fn, *args))

    def _forget(self) -> None:
        self._driver.forget()

    def settle(self) -> None:
        """Waits until the handlers have heard what was published so far.  For tests; not from a handler."""
        done = threading.Event()
        for _ in range(2):  # the first turn may have begun before
            self._driver.call(int)
        self._driver.call(functools.partial(self._driver.jobs.append, done.set))
        while not done.wait(0.2) and not self.closed:
            pass

    def _clock_moves(self) -> None:
        if not self.closed and not self._driver.here():
            self.settle()

    # ---- talking

    def publish(self, path: str, value: Value, *, retain: bool = False, qos: int = 0, format: FormatLike | None = None,
                ttl: timedelta | float | None = None, origin: str | None = None, response: str | None = None,
                correlation: bytes | None = None, props: Iterable[tuple[str, str]] | None = None) -> None:
        """Says something at a path.  bytes go as they are, text and numbers as text, the rest as JSON, unless format says so.

        It does not wait; but what this process then asks over the network (an HTTP GET, say) is answered as if it had."""
        message = make(path, value, format, retain=retain, qos=qos, ttl=ttl, origin=origin, response=response,
                       correlation=correlation, props=props)
        while True:
            try:
                return self._core.engine.publish(message)
            except Busy:
                if self._driver.here():
                    raise
                self._driver.call(int)  # let it work off what waits

    def request(self, verb: str, path: str, value: Value = b"", *, timeout: float | None = None,
                format: FormatLike | None = None, **rest: Any) -> Message | None:
        """Asks whoever owns the path, else the value that is kept; the answer, if it has a body."""
        box: queue.SimpleQueue[Any] = queue.SimpleQueue()
        message = make(path, value, format, **rest)
        self._core.request(verb, message, self.timeout if timeout is None else timeout,
                           lambda reply, status: box.put((reply, status)))
        return outcome(*self._driver.wait(box, None))

    def get(self, path: str, *, timeout: float | None = None) -> Message:
        """The value at a path; raises NotFound, Denied, Timeout, ..."""
        return self.request("GET", path, timeout=timeout) or Message(path, b"")

    def history(self, pattern: str, start: past.When = None, end: past.When = None, *, timeout: float | None = None,
                **words: Any) -> Iterator[past.Record]:
        """What was recorded at the paths that match, path by path, oldest first; read as you go on, however many there are.

        start, end: a datetime, seconds since 1970, or "-1h".  limit, newest_first, aggregate ("mean", "min", "max",
        "sum", "count", "first", "last") with step (seconds, a timedelta, "5m").  The config's `history` says what is recorded.
        """
        if words.get("aggregate"):
            answer = self.request("GET", "$history", past.question(pattern, start, end, **words), timeout=timeout)
            return past.records(answer.payload if answer else b"[]")
        self.request("GET", "$history", past.question(pattern, start, end, **dict(words, limit=1)), timeout=timeout)  # what was said is on disk
        now = time.time()
        reading = self._core.engine.read_history(pattern, past.ms(start, now), past.ms(end, now), bool(words.get("newest_first")))
        return itertools.islice(self._pages(reading), words.get("limit"))

    def _pages(self, reading: Any) -> Iterator[past.Record]:
        try:
            while rows := reading.take(past.PAGE):
                yield from map(past.record_of, rows)
        finally:
            reading.close()

    def history_columns(self, pattern: str, start: past.When = None, end: past.When = None, *, timeout: float | None = None,
                        **words: Any) -> dict[str, list[Any]]:
        """The same as lists by name, path, time and value: pandas.DataFrame(bridge.history_columns("home/#"))."""
        return past.columns_of(self.history(pattern, start, end, timeout=timeout, **words))

    def put(self, path: str, value: Value, *, timeout: float | None = None, format: FormatLike | None = None,
            qos: int = 0, ttl: timedelta | float | None = None) -> Message | None:
        """Sets the value at a path."""
        return self.request("PUT", path, value, timeout=timeout, format=format, qos=qos, ttl=ttl)

    def post(self, path: str, value: Value = b"", *, timeout: float | None = None, format: FormatLike | None = None,
             qos: int = 0) -> Message | None:
        """Asks the path's owner to do something with a value; without owner it is an event, not kept."""
        return self.request("POST", path, value, timeout=timeout, format=format, qos=qos)

    def delete(self, path: str, *, timeout: float | None = None) -> Message | None:
        """Removes the value at a path."""
        return self.request("DELETE", path, timeout=timeout)

    def patch(self, path: str, value: Value, *, timeout: float | None = None,
              format: FormatLike = "merge-patch") -> Message | None:
        """Changes part of the value at a path."""
        return self.request("PATCH", path, value, timeout=timeout, format=format)

    @property
    def devices(self) -> Devices:
        """LwM2M devices by endpoint name: bridge.devices["lamp-7"].read("/3303/0/5700")."""
        return Devices(self, Device)

    # ---- listening

    def subscribe(self, pattern: str, *, most: int = 10_000, timeout: float | None = None) -> Subscription:
        """The messages of a pattern ("home/+/temperature", "home/#", "home/{room}/light"), kept values first."""
        return Subscription(self._driver, pattern, most, self.patience if timeout is None else timeout)

    def on(self, pattern: str) -> Callable[[F], F]:
        """Decorator: the function is called with each message, and with what stood at {name} as keyword arguments."""
        captures = Pattern(pattern)

        def register(fn: F) -> F:
            jobs, names, registration = self._driver.jobs, captures.names, Registration(self)

            def call(message: Message) -> None:
                if not registration.alive:
                    return
                try:
                    if names:
                        fn(message, **captures.captures(message.path))
                    else:
                        fn(message)
                except Exception:
                    log.exception("handler of %r failed on %r", pattern, message.path)
            ident = self._core.new_id(lambda message, _status: jobs.append(functools.partial(call, message)))
            note(fn, registration.opened(self._on_loop(self._core.engine.subscribe, pattern, ident, 0)))
            return fn
        return register

    def resource(self, pattern: str, *verbs: str, watched: Watched | None = None) -> Callable[[F], F]:
        """Decorator: the function answers requests for the pattern; what it returns is the reply, what it raises the status.

        It gets a `Request`, and what stood at {name} as keyword arguments.  Without verbs it answers all of them.

        watched(filter, wanted) is called when somebody begins to watch a path of it, over whatever protocol, and when the last
        one has left: the time to start and stop polling the real thing, and to publish what it says.
        """
        names, wanted = Pattern(pattern).names, checked_verbs(verbs)

        def register(fn: F) -> F:
            def answer(call: Any, wanted_now: int) -> None:
                if isinstance(call, str):
                    tell_watched(watched, call, wanted_now)
                    return
                request = Request(call, names)
                try:
                    if request.verb not in wanted:
                        raise MethodNotAllowed(f"{request.verb} is not answered here")
                    request._answer(fn(request, **request.captures))
                except Exception as why:
                    request._refuse(why)
            jobs = self._driver.jobs
            ident = self._core.new_id(lambda call, status: jobs.append(functools.partial(answer, call, status)))
            held = self._on_loop(self._core.engine.handle, pattern, ident, watched is not None)
            note(fn, Registration(self).opened(held))
            return fn
        return register

    def off(self, fn: Callable[..., Any]) -> None:
        """Takes back every `on` and `resource` of a function; it may be called from that function."""
        take_back(self, fn)

    # ---- living

    def run(self) -> None:
        """Waits until Ctrl-C, or until somebody closes the bridge; then it is closed."""
        try:
            self._driver.ended.wait()
        except KeyboardInterrupt:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Stops and closes everything.  Afterwards every call raises Closed.  Closing twice is fine; so is a handler doing it."""
        self._driver.stop()

    @property
    def closed(self) -> bool:
        return self._driver._stopping

    def __enter__(self) -> "Bridge":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
