"""What can go wrong, as exceptions that are also the natural ones of Python.

One class for each status of bridge.h (``BRIDGE_STATUS_MAP``).  The same classes work the other way: what a resource handler
raises is what the peer gets (`status_for`).
"""
from __future__ import annotations

from . import _bridge

_numbers: dict[str, int] = {name: number for number, name, _ in _bridge.statuses()}
_texts: dict[str, str] = {name: text for _, name, text in _bridge.statuses()}
_classes: dict[int, type["BridgeError"]] = {}


class BridgeError(Exception):
    """Anything that went wrong in or behind a bridge.  ``status`` is bridge.h's number, ``line`` is in a config text, or 0."""

    status: int = 0
    text: str
    _name: str = ""

    def __init__(self, text: str | None = None, line: int = 0):
        self.text = text if text else _texts.get(self._name, "failed")
        super().__init__(self.text)
        self.line = line

    def __init_subclass__(cls, status: str = "", **rest: object) -> None:
        super().__init_subclass__(**rest)
        if status:
            cls._name = status
            cls.status = _numbers[status]
            _classes[cls.status] = cls

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


class NoMemory(BridgeError, MemoryError, status="NOMEM"): """Out of memory."""
class Invalid(BridgeError, ValueError, status="INVALID"): """An argument makes no sense."""
class SyntaxProblem(BridgeError, ValueError, status="SYNTAX"): """A text cannot be parsed; ``line`` says where in a config."""
class NotFound(BridgeError, LookupError, status="NOTFOUND"): """No such resource."""
class AlreadyThere(BridgeError, FileExistsError, status="EXISTS"): """A port, a route or an owner is there already."""
class Denied(BridgeError, PermissionError, status="DENIED"): """Policy says no."""
class MethodNotAllowed(BridgeError, status="METHOD"): """This verb is not for this resource."""
class UnknownFormat(BridgeError, ValueError, status="FORMAT"): """A content format that is not understood."""
class TooBig(BridgeError, ValueError, status="TOOBIG"): """Over a size limit."""
class Busy(BridgeError, status="BUSY"): """Over a queue limit; try again."""
class Timeout(BridgeError, TimeoutError, status="TIMEOUT"): """No answer in time."""
class Unreachable(BridgeError, ConnectionError, status="UNREACHABLE"): """The peer cannot be reached."""
class ProtocolProblem(BridgeError, ConnectionError, status="PROTOCOL"): """The peer broke its protocol."""
class Canceled(BridgeError, status="CANCELED"): """Given up before there was an answer."""
class Closed(BridgeError, ConnectionError, status="CLOSED"): """The bridge, or this part of it, is closed."""
class Unsupported(BridgeError, NotImplementedError, status="UNSUPPORTED"): """Not built in."""
class SystemProblem(BridgeError, OSError, status="IO"): """The operating system said no."""
class Unauthenticated(BridgeError, PermissionError, status="UNAUTHENTICATED"): """Who are you?"""
class NotAcceptable(BridgeError, ValueError, status="NOTACCEPTABLE"): """It cannot be shown in the wanted format."""
class Conflict(BridgeError, status="CONFLICT"): """It conflicts with what is there."""
class PreconditionFailed(BridgeError, status="PRECONDITION"): """The resource is not as the request expects it."""
class Unprocessable(BridgeError, ValueError, status="UNPROCESSABLE"): """Understood, but it cannot be applied."""
class InternalError(BridgeError, RuntimeError, status="INTERNAL"): """A fault on the answering side."""


def error_for(status: int, text: str | None = None, line: int = 0) -> BridgeError:
    """The exception for a negative status.  Called by the C side too."""
    error = _classes.get(status, BridgeError)(text, line)
    error.status = status
    return error


_NATURAL: tuple[tuple[type[BaseException], type[BridgeError]], ...] = (
    (LookupError, NotFound), (PermissionError, Denied), (TimeoutError, Timeout), (ConnectionError, Unreachable),
    (NotImplementedError, Unsupported), (MemoryError, NoMemory), (ValueError, Invalid), (TypeError, Invalid))


def status_for(error: BaseException) -> int:
    """What a peer is told when its request raised this: the status of the nearest class above, else INTERNAL."""
    if isinstance(error, BridgeError) and error.status:
        return error.status
    for natural, ours in _NATURAL:
        if isinstance(error, natural):
            return ours.status
    return InternalError.status


__all__ = ["BridgeError", "error_for", "status_for", *sorted(c.__name__ for c in _classes.values())]
