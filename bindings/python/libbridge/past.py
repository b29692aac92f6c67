"""The past: what a bridge with a store and a `history` has recorded (docs/store.md).

Records come from a cursor, a page at a time, however many there are; aggregates are the answer to a question.
"""
from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union
from urllib.parse import quote

from .message import _NAMES, Format

PAGE = 1000  # records
Row = Tuple[str, int, bytes, int, Optional[float], Optional[str]]
_SHORT = {int(number): name for name, number in reversed(list(_NAMES.items())) if "/" not in name}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

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


def ms(when: When, now: float) -> int:
    """ms since 1970; 0: None.  A text is one that $history has understood."""
    if when is None:
        return 0
    if not isinstance(when, str):
        return int(_time(when))
    ago = re.fullmatch(r"-([0-9.]+)([smhd])", when)
    if ago:
        return round((now - float(ago[1]) * _UNITS[ago[2]]) * 1000)
    if when == "now":
        return round(now * 1000)
    if re.fullmatch(r"[0-9.]+", when):
        return int(float(when) * 1000) if len(when) <= 11 or "." in when else int(when)
    at = datetime.fromisoformat(when.replace("Z", "+00:00"))
    return round((at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp() * 1000)


def question(pattern: str, start: When = None, end: When = None, *, limit: int | None = None, newest_first: bool = False,
             aggregate: str | None = None, step: timedelta | float | str | None = None) -> str:
    """The words that $history understands."""
    words = {"path": pattern, "as": "json"}
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
        words["step"] = step if isinstance(step, str) else f"{round(float(seconds) * 1000)}ms"
    return "&".join(f"{key}={quote(value, safe='')}" for key, value in words.items())


def value_of(data: bytes, format: int, number: float | None) -> Any:
    """A number, what JSON says, a text, else bytes."""
    if number is not None:
        return int(number) if number.is_integer() and abs(number) < 1e15 else number
    if format == Format.JSON or data[:1] in (b"{", b"["):
        try:
            return json.loads(data)
        except ValueError:
            pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def record_of(row: Row) -> Record:
    path, time, data, format, number, origin = row
    return Record(path, time / 1000, value_of(data, format, number), _SHORT.get(format), origin)


def columns_of(found: Iterable[Record]) -> dict[str, list[Any]]:
    rows: List[Record] = list(found)
    return {"path": [r.path for r in rows], "time": [r.time for r in rows], "value": [r.value for r in rows]}


def records(data: bytes) -> Iterator[Record]:
    for row in json.loads(data):
        yield Record(row["path"], row["time"] / 1000, row["value"], row.get("format"), row.get("origin"))
