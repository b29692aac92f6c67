"""What the blocking and the asyncio bridge share: the engine, and who is to be told of what happens in it.

Everything here belongs to the thread that makes the engine's turns, except where said.
"""
from __future__ import annotations

import itertools
import json
import logging
import os
import re
import weakref
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Optional, Tuple, Union
from urllib.parse import parse_qs, urlsplit

from . import _bridge
from .clock import Clock
from .errors import BridgeError, InternalError, Invalid, error_for, status_for
from .message import Format, FormatLike, Message, Value, encode, make

VERBS = ("NOTIFY", "GET", "PUT", "POST", "DELETE", "PATCH", "WATCH", "CONNECT")
VERB_NUMBERS = {name: number for number, name in enumerate(VERBS)}
REQUESTS = ("GET", "PUT", "POST", "DELETE", "PATCH")
BATCH = 1024
_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}
log = logging.getLogger("libbridge")

Sink = Callable[[Any, int], None]
Config = Union[str, Path, Mapping[str, Any]]
Allow = Callable[[str, str, str], Optional[bool]]
Challenge = Callable[[str, int, bytes], Union[bool, None, bytes, Tuple[bool, bytes]]]
Answer = Union[bool, None, bytes, Tuple[bool, bytes]]
Key = Union[None, bool, bytes, Tuple[Union[bool, bytes], str]]
Login = Callable[[str, Optional[str], Optional[bytes]], Optional[bool]]


Transform = Callable[[Message], Any]
Steps = Union[str, Transform, Iterable[Union[str, Transform]]]


def transforming(fn: Transform) -> Callable[[Message], Union[Message, Tuple[bytes, int], None]]:
    """What a function returns as a message, or payload and format; what it raises is in the log, and the message is one it cannot take."""
    def step(message: Message) -> Union[Message, Tuple[bytes, int], None]:
        try:
            result = fn(message)
        except Exception:
            log.error("transformation of %s failed", message.path, exc_info=True)
            raise
        if result is None or isinstance(result, Message):
            return result
        payload, number, _ = encode("", result)  # without a wish there is no media type
        return payload, number
    return step


@dataclass(frozen=True)
class Ask:
    """All that is known when somebody wants to do something: bridge_ask of bridge.h."""

    who: str  # "mqtt:client-7"
    verb: str  # "GET", "WATCH", ...; "CONNECT" when it logs in
    user: Optional[str]  # the name it has proved, or claims on CONNECT
    path: str  # on CONNECT the client id
    secret: Optional[bytes]  # on CONNECT the password, or the data of an enhanced authentication
    certified: Optional[str]  # on CONNECT the name that TLS has proved: a certificate's, a shared key's
    method: Optional[str]  # on CONNECT the method of an enhanced authentication (MQTT 5 4.12)
    step: int  # of it: 0 at first, one more after each challenge


@dataclass(frozen=True)
class Credential:
    """Who shakes hands with a listener that asks for credentials: bridge_credential of bridge.h."""

    listener: str  # its URL
    identity: str  # of the key that is wanted; or the name in the certificate
    certificate: Optional[bytes]  # DER; None: a key is wanted
    trusted: bool  # the certificate is signed by the listener's ca


def config_text(config: Config) -> str:
    """A mapping or text that starts as JSON does is the config itself; anything else is the name of a file."""
    if isinstance(config, Mapping):
        return json.dumps(config, indent=1)
    if isinstance(config, str) and config.lstrip()[:1] in ("{", "/") and "{" in config:
        return config
    return Path(config).read_text(encoding="utf-8")


def check_config(config: Config) -> None:
    """Raises what loading it would raise; opens nothing."""
    _bridge.check_config(config_text(config))


class Pattern:
    """The captures of "home/{room}-lamp/{rest...}": what stood there, by name.  A rest that is not there is ""."""

    _NAME = re.compile(r"\{(\w+)(\.\.\.)?\}")

    def __init__(self, pattern: str):
        self.names = [name for name, _ in self._NAME.findall(pattern)]
        self._match = re.compile(self._regex(pattern), re.S).fullmatch if self.names else None

    @classmethod
    def _regex(cls, pattern: str) -> str:
        text = ""
        for number, segment in enumerate(pattern.split("/")):
            slash = "/" if number else ""
            found = cls._NAME.search(segment)
            if segment == "#" or (found and found.group(2) and found.group() == segment):
                name = f"?P<{found.group(1)}>" if found else "?:"
                text += f"(?:{slash}({name}.*))?"  # the rest, and nothing at all
            elif segment == "+":
                text += slash + "[^/]*"
            elif found:
                what = ".*" if found.group(2) else "[^/]*"
                before, behind = re.escape(segment[:found.start()]), re.escape(segment[found.end():])
                text += f"{slash}{before}(?P<{found.group(1)}>{what}){behind}"
            else:
                text += slash + re.escape(segment)
        return text

    def captures(self, path: str) -> dict[str, str]:
        found = self._match(path) if self._match else None
        return found.groupdict("") if found else {}


class Slot:
    """Something registered with a bridge.  ``close()`` undoes it; closing twice, or after the bridge, is fine."""

    def __init__(self, owner: "Owner", held: Any):
        self._owner, self._held = owner, held

    @property
    def open(self) -> bool:
        return bool(self._held.is_open())

    def close(self) -> None:
        if self._held.is_open():
            self._owner._on_loop(self._held.close)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._held.name()}{'' if self.open else ' (closed)'}>"


class Listener(Slot):
    """Where peers come in."""

    @property
    def url(self) -> str:
        """With the port that it really has."""
        return str(self._held.name())

    @property
    def port(self) -> int:
        found = re.search(r":(\d+)(?:[/?]|$)", self.url.partition("://")[2])
        return int(found.group(1)) if found else 0


class Uplink(Slot):
    """A connection to another broker or server."""

    def __init__(self, owner: "Owner", held: Any, url: str):
        super().__init__(owner, held)
        asked = urlsplit(url)
        self.name = parse_qs(asked.query).get("name", [asked.hostname or ""])[0]

    @property
    def url(self) -> str:
        return str(self._held.name())

    @property
    def state(self) -> str:
        """"up" or "down"; "unknown" of what has no connection (HTTP, CoAP)."""
        wanted = f'name="{self.name}"'
        for name, labels, value in self._owner._on_loop(self._owner._core.engine.stats):
            if name == "bridge_uplink_up" and labels == wanted:
                return "up" if value else "down"
        return "unknown"


class Route(Slot):
    """A line of the routing table."""


class Description(Slot):
    """What lists of resources say of some paths."""


def link_attributes(attributes: dict[str, Any]) -> str:
    """As RFC 6690 spells them: True is a flag, numbers stand bare, lists of values have blanks between."""
    parts = []
    for name, value in attributes.items():
        name = name.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(name)
        elif value is None or value is False:
            continue
        elif isinstance(value, int):
            parts.append(f"{name}={value}")
        else:
            words = value if isinstance(value, str) else " ".join(str(word) for word in value)
            parts.append('{}="{}"'.format(name, words.replace("\\", "\\\\").replace('"', '\\"')))
    return ";".join(parts)


class Registration(Slot):
    """A handler or a resource.  Once closed it is not called again, not for what waited already either."""

    alive = True

    def __init__(self, owner: "Owner"):
        super().__init__(owner, None)

    def opened(self, held: Any) -> "Registration":
        self._held = held
        return self

    def close(self) -> None:
        self.alive = False
        super().close()


class Reply:
    """What a resource answers when a value alone does not say it: a format, a life, or that something was created, and at which
    path (location) and query ("first=1&second=2", as in a URI) it is now."""

    __slots__ = ("value", "format", "ttl", "created", "props", "location")

    def __init__(self, value: Value = None, *, format: FormatLike | None = None, ttl: Any = None, created: bool = False,
                 props: Iterable[tuple[str, str]] | None = None, location: str | None = None, query: str | None = None):
        self.value, self.format, self.ttl, self.location = value, format, ttl, location
        self.created = created or location is not None or query is not None
        self.props = props if query is None else (*(props or ()), ("location-query", query))


class Request:
    """A request that a resource answers: who asks for what."""

    __slots__ = ("verb", "message", "captures", "query", "timeout", "_call")

    def __init__(self, call: Any, names: Iterable[str]):
        self._call = call
        self.query: str = call.query() or ""  # "pmin=10&gt=5", as in a URI
        self.timeout: float = call.timeout() / 1000  # seconds until nobody waits any more
        self.verb: str = VERBS[call.verb()]
        self.message: Message = call.msg(Message)
        self.captures = {name: call.capture(name) for name in names}

    @property
    def path(self) -> str:
        return self.message.path

    @property
    def payload(self) -> bytes:
        return self.message.payload

    @property
    def value(self) -> Any:
        return self.message.value

    @property
    def origin(self) -> str:
        return self.message.origin

    def _answer(self, result: Any) -> None:
        """Sends what the resource returned; an exception (a value that no format holds) leaves it to _refuse()."""
        status, reply = 0, None
        if isinstance(result, Reply):
            status = 1 if result.created else 0
            if result.value is not None or result.format is not None or result.location is not None or result.props:
                body = b"" if result.value is None and result.format is None else result.value
                reply = make(result.location or self.path, body, result.format, ttl=result.ttl, props=result.props)
        elif result is not None:
            reply = result if isinstance(result, Message) else make(self.path, result, None)
        call, self._call = self._call, None
        if call is not None:
            call.reply(status, reply)

    def _refuse(self, error: BaseException) -> None:
        """Sends what the resource raised.  The text goes along when it was meant for the peer."""
        status, call, self._call = status_for(error), self._call, None
        if status == InternalError.status:
            log.error("resource %s %s failed", self.verb, self.path, exc_info=error)
        if call is not None:
            said = str(error.args[0]) if error.args and status != InternalError.status and error.args[0] else ""
            call.reply(status, Message(self.path, said.encode(), Format.TEXT) if said else None)

    def __repr__(self) -> str:
        return f"<Request {self.verb} {self.path!r} from {self.origin!r}>"


Watched = Callable[[str, bool], Any]


_living: "weakref.WeakSet[Owner]" = weakref.WeakSet()


def _after_fork() -> None:
    """Threads do not live on in a child (multiprocessing, os.fork): its bridges are closed, the parent's go on."""
    for owner in list(_living):
        owner._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _ms(time: timedelta | float) -> int:
    return round((time.total_seconds() if isinstance(time, timedelta) else time) * 1000)


class Owner:
    """The part of Bridge that is the same whether it blocks or not.  Subclasses say how to get onto the loop's thread."""

    _core: "Core"
    clock: Clock | None
    _uplink = Uplink

    def _on_loop(self, fn: Callable[..., Any], *args: Any) -> Any:
        raise NotImplementedError

    def _forget(self) -> None:
        raise NotImplementedError

    def listen(self, url: str) -> Listener:
        """Opens a listener: "mqtt://127.0.0.1:0" (port 0 picks one), options in its query; see docs/urls.md."""
        return Listener(self, self._on_loop(self._core.engine.listen, url))

    def connect(self, url: str) -> Uplink:
        """Connects to another broker; it comes back by itself."""
        return self._uplink(self, self._on_loop(self._core.engine.connect, url), url)

    def route(self, source: str, target: str, *, format: str | None = None, both_ways: bool | None = None,
              retain: bool | None = None, max_qos: int | None = None, priority: int = 0,
              transform: Steps | None = None, on_error: str = "drop", lasting: bool = False) -> Route:
        """Adds a line to the routing table: "coap:r/{room}/temp" -> "home/{room}/temperature"; see docs/routes.md.

        both_ways None: a name for a protocol works both ways, a copy one way.  retain overrides the flag.
        transform: steps as text ("pick $.temp | unit degF Cel"), a function, or a list of both.  A function gets the message
        and returns a value, a message, or None: not carried over.  on_error "pass": what a step cannot take goes on as it is.
        lasting: kept in the store, and there again at the next start, until it is closed or forgotten.
        """
        if on_error not in ("drop", "pass"):
            raise Invalid(f"on_error is 'drop' or 'pass', not {on_error!r}")
        ways = 0 if both_ways is None else 2 if both_ways else 1
        keep = 0 if retain is None else 1 if retain else 2
        qos = 0 if max_qos is None else max_qos + 1
        return Route(self, self._on_loop(self._core.engine.route, source, target, format, ways, keep, qos, priority,
                                         self._steps(transform), int(on_error == "pass"), lasting))

    def forget_route(self, source: str, target: str) -> None:
        """Takes a lasting route away, also one that came from the store.  NotFound: there is none."""
        self._on_loop(self._core.engine.forget_route, source, target)

    def transform(self, name: str) -> Callable[[Transform], Transform]:
        """Decorator: fn(message) is the step `call name` of transformations, also of those in a config that is loaded later."""
        def register(fn: Transform) -> Transform:
            self._on_loop(self._core.engine.transform, name, (transforming(fn), Message))
            return fn
        return register

    def _steps(self, said: Steps | None) -> str | None:
        if said is None or isinstance(said, str):
            return said
        words = []
        for step in [said] if callable(said) else said:
            if callable(step):
                name = f"{getattr(step, '__name__', 'function').strip('<>')}-{next(self._core.names)}"
                self.transform(name)(step)
                step = f"call {name}"
            words.append(step)
        return " | ".join(words)

    def describe(self, pattern: str, **attributes: Any) -> Description:
        """What /.well-known/core says of the paths that match: describe("home/+/temp", rt="temperature", if_="sensor", ct=50).

        A name that Python keeps for itself has a "_" behind it; True is a flag; a list is several values.
        """
        return Description(self, self._on_loop(self._core.engine.describe, pattern, link_attributes(attributes)))

    def record_history(self, pattern: str, *, keep: timedelta | float = 0, records: int = 0, resolution: timedelta | float = 0) -> None:
        """From now on messages whose path matches get a past, which history() reads; it needs a store.

        keep: seconds that a record stays (0: for ever), records: how many of each path (0: any number), resolution: at most
        one of a path in so many seconds.  What a config says of the same pattern is replaced.
        """
        self._on_loop(self._core.engine.record_history, pattern, _ms(keep), records, _ms(resolution), False)

    def forget_history(self, pattern: str) -> None:
        """The pattern is recorded no more; what is recorded stays."""
        self._on_loop(self._core.engine.record_history, pattern, 0, 0, 0, True)

    def load(self, config: Config) -> None:
        """Loads a config: a file name, JSON text or a dict.  All of it or nothing; again replaces what the last one said."""
        self._on_loop(self._core.engine.load, config_text(config))

    def explain(self, path: str) -> str:
        """Where a message on this path goes, and why."""
        return str(self._on_loop(self._core.engine.explain, path))

    def stats(self) -> dict[str, float]:
        """Numbers by name, as in docs/metrics.md; labels stand behind the name in braces."""
        rows = self._on_loop(self._core.engine.stats)
        return {f"{name}{{{labels}}}" if labels else name: value for name, labels, value in rows}

    @property
    def listeners(self) -> list[str]:
        """The URLs that are listened on, with real ports."""
        return list(self._on_loop(self._core.engine.listeners))

    def port(self, scheme: str) -> int:
        """The port of the first listener with this scheme."""
        for url in self.listeners:
            found = re.match(re.escape(scheme) + r"://[^/?]*:(\d+)(?:[/?]|$)", url)
            if found:
                return int(found.group(1))
        raise KeyError(f"nothing listens on {scheme}")

    def allow(self, fn: Allow) -> Allow:
        """Decorator: fn(who, verb, path) is asked before anything crosses.  True allows, False denies, None leaves it to others.

        It is called on the bridge's thread in the middle of its work: answer at once, and do not call the bridge.
        """
        def ask(who: str, verb: int, user: Any, path: str, *_: Any) -> Optional[bool]:
            return fn(who, VERBS[verb], path)
        self._on_loop(self._core.engine.on_access, ask)
        return fn

    def access(self, fn: Callable[[Ask], Answer]) -> Callable[[Ask], Answer]:
        """Decorator: fn(ask) is asked about everything, with all that is known: what `allow`, `login` and `challenge` are made of.

        It answers True, False, or None to leave it to others; when ask.method is there also bytes (a challenge) or (True, bytes).
        """
        def ask(who: str, verb: int, user: Any, path: str, secret: Any, certified: Any, method: Any, step: int) -> Answer:
            return fn(Ask(who, VERBS[verb], user, path, secret, certified, method, step))
        self._on_loop(self._core.engine.on_access, ask)
        return fn

    def login(self, fn: Login) -> Login:
        """Decorator: fn(client, user, password) is asked when a peer logs in; True, False or None as for `allow`."""
        def ask(who: str, verb: int, user: Any, path: str, secret: Any, certified: Any, method: Any, step: int) -> Any:
            return fn(path, user, secret) if VERBS[verb] == "CONNECT" and method is None else None
        self._on_loop(self._core.engine.on_access, ask)
        return fn

    def credential(self, fn: Callable[[Credential], Key]) -> Callable[[Credential], Key]:
        """Decorator: fn(credential) is asked for the key of a TLS or DTLS client, and about its certificate, by listeners with
        `credentials=ask`.  It answers the key (bytes), True for a certificate that is fine, False, or None to leave it to
        psk_file and ca; or a tuple of that and the name by which the client is known.

        It is called on the bridge's thread in the middle of a handshake: answer at once, and do not call the bridge.
        """
        def ask(listener: str, identity: str, certificate: Optional[bytes], trusted: bool) -> Any:
            answer = fn(Credential(listener, identity, certificate, trusted))
            said, name = answer if isinstance(answer, tuple) else (answer, None)
            if said is None or said is False:
                return said
            return (bytes(said) if isinstance(said, (bytes, bytearray)) else said, name)
        self._on_loop(self._core.engine.on_credential, ask)
        return fn

    def credentials_changed(self, identity: str | None = None) -> None:
        """[any thread] What `credential` would answer about an identity (None: about all) has changed: sessions of those who would not
        come in now with the same key end soon after."""
        self._core.engine.credentials_changed(identity)

    def challenge(self, method: str) -> Callable[[Challenge], Challenge]:
        """Decorator: fn(client, step, data) leads an enhanced authentication (MQTT 5, 4.12) by this method.

        It returns bytes to ask on (step counts from 0), True or (True, bytes) to let the peer in, False to refuse it.
        """
        def register(fn: Challenge) -> Challenge:
            def ask(who: str, verb: int, user: Any, path: str, secret: Any, certified: Any, said: Any, step: int) -> Any:
                return fn(path, step, secret or b"") if said == method else None
            self._on_loop(self._core.engine.on_access, ask)
            return fn
        return register


class Core:
    """The engine, and the sinks that wait for its events by id."""

    def __init__(self, clock: Clock | None, *, log_level: str | None = None, max_message: int = 0, max_queue: int = 0,
                 store: str | None = None):
        levels = {None: 0, "error": 1, "warn": 2, "warning": 2, "info": 3, "debug": 4}
        if log_level not in levels:
            raise Invalid(f"no such log level: {log_level!r}")
        self.engine = _bridge.engine(clock._ticker if clock else None, True, levels[log_level], max_message, max_queue,
                                     False, store)
        self.sinks: dict[int, Sink] = {0: self._log}
        self._ids = itertools.count(1)
        self.names = itertools.count(1)

    def new_id(self, sink: Sink) -> int:
        """[any thread] From now on `sink(object, status)` is called for events with the returned id."""
        ident = next(self._ids)
        self.sinks[ident] = sink
        return ident

    def collect(self) -> bool:
        """Hands one batch of what happened to the sinks; True when there may be more."""
        batch = self.engine.take(BATCH, Message)
        sinks = self.sinks
        for ident, thing, status in batch:
            sink = sinks.get(ident)
            if sink is not None:
                sink(thing, status)
        return len(batch) == BATCH

    def request(self, verb: str, message: Message, timeout: float, answer: Sink) -> None:
        """[any thread] answer(reply or None, status) is called once, in collect()."""
        def once(reply: Any, status: int) -> None:
            self.sinks.pop(ident, None)
            answer(reply, status)
        if timeout is not None and timeout <= 0:
            raise Invalid("timeout must be more than 0")
        ident = self.new_id(once)
        try:
            self.engine.request(ident, VERB_NUMBERS[verb], message, max(1, round(timeout * 1000)))
        except BridgeError:
            self.sinks.pop(ident, None)
            raise

    @staticmethod
    def _log(words: tuple[str, str], level: int) -> None:
        area, line = words
        logging.getLogger(f"libbridge.{area}" if area else "libbridge").log(_LEVELS.get(level, logging.INFO), "%s", line)


def outcome(reply: Message | None, status: int) -> Message | None:
    """The reply, or the exception for a status that is a failure."""
    if status >= 0:
        return reply
    said = str(reply) if reply is not None and reply._format in (Format.TEXT, Format.AUTO) and len(reply) else None
    raise error_for(status, said)


def checked_verbs(verbs: Iterable[str]) -> frozenset[str]:
    wanted = frozenset(verb.upper() for verb in verbs)
    for verb in wanted - frozenset(REQUESTS):
        raise Invalid(f"no such verb: {verb!r}; there are {', '.join(REQUESTS)}")
    return wanted or frozenset(REQUESTS)


__all__ = ["Allow", "Config", "Core", "Credential", "Listener", "Login", "Owner", "Pattern", "Registration", "Reply", "Request",
           "Route", "Slot", "Uplink", "check_config", "checked_verbs", "encode", "outcome"]
