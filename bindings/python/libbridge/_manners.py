"""What the blocking Bridge and the one inside asyncio do alike: registering functions, docstrings."""
from __future__ import annotations

from time import monotonic
from typing import Any, Callable, TypeVar

from ._core import Owner, Registration, Watched, log

C = TypeVar("C", bound=type)


def note(fn: Callable[..., Any], registration: Registration) -> None:
    """Remembers on the function what it is registered for, so that off(fn) finds it; a bound method cannot remember."""
    try:
        fn.__dict__.setdefault("_libbridge", []).append(registration)
    except AttributeError:
        pass


def take_back(owner: Owner, fn: Callable[..., Any]) -> None:
    for registration in getattr(fn, "_libbridge", ()):
        if registration._owner is owner:
            registration.close()


def tell_watched(watched: Watched | None, filter: str, wanted: int) -> None:
    try:
        watched(filter, bool(wanted))  # type: ignore[misc]
    except Exception:
        log.exception("%r failed on %r", watched, filter)


def left(deadline: float | None) -> float | None:
    """Seconds to a deadline, at least a millisecond; None: for ever."""
    return None if deadline is None else max(0.001, deadline - monotonic())


def deadline_of(timeout: float | None) -> float | None:
    return None if timeout is None else monotonic() + timeout


def documented_as(other: type) -> Callable[[C], C]:
    """Class decorator: what has no docstring of its own says what the same name says there."""
    def borrow(cls: C) -> C:
        for name, member in vars(cls).items():
            theirs = getattr(other, name, None)
            if not name.startswith("_") and theirs is not None and not member.__doc__:
                member.__doc__ = theirs.__doc__
        return cls
    return borrow
