"""Questions about the past: what a bridge with a store and a `history` has recorded (docs/store.md)."""
from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Iterator, NamedTuple, Optional, Union
from urllib.parse import quote

When = Union[datetime, float, str, None]  # a time, seconds since 1970, "-1h"


class Record(NamedTuple):
    """One value that was."""

    path: str
    time: float  #: seconds since 1970
    value: Any
    format: Optional[str] = None
    origin: Optional[str] = None


def _time(when: When) -> str:
    if isinstance(when, datetime):
        return str(round(when.timestamp() * 1000)).rjust(12, "0")
    if isinstance(when, (int, float)):
        return str(round(when * 1000)).rjust(12, "0")
    return str(when)


def question(pattern: str, start: When = None, end: When = None, *, limit: int | None = None, newest_first: bool = False,
             aggregate: str | None = None, step: timedelta | float | str | None = None, columns: bool = False) -> str:
    """The words that $history understands."""
    words = {"path": pattern, "as": "columns" if columns else "json"}
    if start is not None:
        words["from"] = _time(start)
    if end is not None:
        words["to"] = _time(end)
    if limit is not None:
        words["limit"] = str(limit)
    if newest_first:
        words["order"] = "down"
    if aggregate:
        words["aggregate"] = aggregate
    if step is not None:
        seconds = step.total_seconds() if isinstance(step, timedelta) else step
        words["step"] = step if isinstance(step, str) else f"{round(float(seconds) * 1000)}ms"  # type: ignore[arg-type]
    return "&".join(f"{key}={quote(value, safe='')}" for key, value in words.items())


def records(data: bytes) -> Iterator[Record]:
    for row in json.loads(data):
        yield Record(row["path"], row["time"] / 1000, row["value"], row.get("format"), row.get("origin"))


def columns(data: bytes) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = json.loads(data)
    found["time"] = [ms / 1000 for ms in found["time"]]
    return found
