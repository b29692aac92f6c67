"""Time for tests: ``clock.advance(hours=24)`` and every timer of the bridge that is due has fired."""
from __future__ import annotations

import weakref
from datetime import timedelta
from typing import Protocol

from . import _bridge


class _Mover(Protocol):
    def _clock_moves(self) -> None: ...


class Clock:
    """A clock for one bridge or more.  It runs with the system's and jumps when told; a frozen one only jumps."""

    def __init__(self, *, frozen: bool = False):
        self._ticker = _bridge.ticker(frozen)
        self._bridges: weakref.WeakSet[_Mover] = weakref.WeakSet()

    def now(self) -> float:
        """Seconds, from an unsaid beginning."""
        return self._ticker.ms() / 1000

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        """Moves on.  What was said before is handled before, what falls due is handled when this returns."""
        step = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        if step < timedelta(0):
            raise ValueError("time does not go back")
        bridges = list(self._bridges)
        for bridge in bridges:  # what was said before belongs to the time before
            bridge._clock_moves()
        self._ticker.advance(round(step.total_seconds() * 1000))
        for bridge in bridges:
            bridge._clock_moves()
