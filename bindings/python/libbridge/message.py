"""Messages and their values."""
from __future__ import annotations

import enum
import json
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterable, List, Tuple, Union

from . import _bridge
from .errors import BridgeError, Invalid


class Format(enum.IntEnum):
    """Content formats by their IANA CoAP Content-Format numbers; any number up to 65,535 may stand where one is asked for."""

    TEXT = 0
    LINKS = 40
    XML = 41
    BYTES = 42
    JSON = 50
    JSON_PATCH = 51
    MERGE_PATCH = 52
    CBOR = 60
    SENML_JSON = 110
    SENML_CBOR = 112
    SENML_ETCH_JSON = 320
    SENML_ETCH_CBOR = 322
    TLV = 11542
    LWM2M_JSON = 11543
    LWM2M_CBOR = 11544
    NAMED = 65534  #: not registered: see Message.media_type
    AUTO = 65535   #: nobody said: told from the payload when somebody asks


_NAMES: dict[str, Format] = {
    "text": Format.TEXT, "text/plain": Format.TEXT, "links": Format.LINKS, "application/link-format": Format.LINKS,
    "xml": Format.XML, "application/xml": Format.XML, "bytes": Format.BYTES, "application/octet-stream": Format.BYTES,
    "json": Format.JSON, "application/json": Format.JSON, "json-patch": Format.JSON_PATCH, "merge-patch": Format.MERGE_PATCH,
    "application/json-patch+json": Format.JSON_PATCH, "application/merge-patch+json": Format.MERGE_PATCH,
    "application/senml-etch+json": Format.SENML_ETCH_JSON, "application/senml-etch+cbor": Format.SENML_ETCH_CBOR,
    "cbor": Format.CBOR, "application/cbor": Format.CBOR,
    "senml+json": Format.SENML_JSON, "application/senml+json": Format.SENML_JSON, "senml+cbor": Format.SENML_CBOR,
    "application/senml+cbor": Format.SENML_CBOR, "tlv": Format.TLV, "application/vnd.oma.lwm2m+tlv": Format.TLV,
    "lwm2m+json": Format.LWM2M_JSON, "application/vnd.oma.lwm2m+json": Format.LWM2M_JSON}

# As plain numbers, for what is done with every message: to look up a member of an enum, and to compare it, costs more than all the rest.
_TEXT, _JSON, _SENML, _AUTO = int(Format.TEXT), int(Format.JSON), int(Format.SENML_JSON), int(Format.AUTO)

FormatLike = Union[Format, int, str]


@dataclass(frozen=True)
class Record:
    """One SenML record (RFC 8428): the name and time are resolved, ``value`` is what v, vs, vb or vd holds."""

    name: str
    value: Union[float, int, str, bool, bytes, None] = None
    unit: str | None = None
    time: float | None = None


class Records(List[Record]):
    """A list of records; publishing one sends SenML."""


Value = Union[bytes, bytearray, memoryview, str, int, float, bool, None, Dict[str, Any], List[Any], Tuple[Any, ...],
              Records, "Message"]

# RFC 8259 6.  int() and float() also take "1_000", " 7 ", "nan" and "007", which are texts here.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Message(_bridge.Msg):
    """What somebody said at a path.  Immutable; it only refers to the bridge's copy, so passing it on costs nothing.

    ``float(m)``, ``int(m)``, ``str(m)``, ``bytes(m)`` and ``m.json()`` read the payload as you say; ``m.value`` as its
    format says.
    """

    __slots__ = ()

    @property
    def format(self) -> Format | int:
        number = self._format
        try:
            return Format(number)
        except ValueError:
            return number

    @property
    def time(self) -> datetime:
        """When it was said; with a time zone (UTC)."""
        return datetime.fromtimestamp(self._time / 1000, timezone.utc)

    @property
    def ttl(self) -> timedelta | None:
        """How long it lives from ``time``; None: for ever."""
        return timedelta(milliseconds=self._ttl) if self._ttl else None

    @property
    def value(self) -> Any:
        """The payload as a Python value: number, text, bool, None, dict, list, `Records` (SenML), else bytes."""
        return decode(self)

    @property
    def records(self) -> Records:
        """The payload as records, whatever format holds them; raises NotAcceptable or Unprocessable when none does."""
        message = self if self._format == Format.SENML_JSON else self._as(Format.SENML_JSON)
        return read_records(message.payload)

    def as_format(self, format: FormatLike) -> "Message":
        """The same message in another format; raises NotAcceptable or Unprocessable."""
        return self._as(format_number(format)[0])

    def json(self) -> Any:
        """The payload parsed as JSON (CBOR and SenML are converted first)."""
        plain = self._format in (Format.JSON, Format.TEXT, Format.AUTO, Format.SENML_JSON, Format.LWM2M_JSON)
        return json.loads((self if plain or self._format > 65000 else self._as(Format.JSON)).payload)

    def __str__(self) -> str:
        return self.payload.decode("utf-8", "replace")

    def __bytes__(self) -> bytes:
        return self.payload

    def __float__(self) -> float:
        value: Any = decode(self)
        if isinstance(value, Records) and len(value) == 1:
            value = value[0].value
        return float(value)

    def __int__(self) -> int:
        value: Any = decode(self)
        if isinstance(value, Records) and len(value) == 1:
            value = value[0].value
        return int(value)

    def __len__(self) -> int:
        return len(self.payload)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self is other or _key(self) == _key(other)

    def __hash__(self) -> int:
        return hash((self.path, self.payload))

    def __repr__(self) -> str:
        payload = self.payload
        shown = repr(payload[:40]) + ("..." if len(payload) > 40 else "")
        kind = self.format.name if isinstance(self.format, Format) else self.format
        extra = "".join(f" {name}={value!r}" for name, value in (
            ("retain", self.retain), ("qos", self.qos), ("origin", self.origin)) if value)
        return f"<Message {self.path!r} {shown} {kind}{extra}>"


def _key(m: Message) -> tuple[Any, ...]:
    return m.path, m.payload, m._format, m._time, m.retain, m.qos, m.origin, m.version


def format_number(format: FormatLike) -> tuple[int, str | None]:
    """(number, media type or None) of a Format, a number, a name ("json") or a media type ("image/png")."""
    if isinstance(format, int):
        return int(format), None
    known = _NAMES.get(format.partition(";")[0].strip().lower())
    if known is not None:
        return known, None
    if "/" not in format:
        raise Invalid(f"no such format: {format!r}")
    return Format.NAMED, format


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as why:
        raise Invalid(f"cannot be said in JSON: {why}") from None


def _plain(value: Value) -> tuple[bytes, int]:
    """Bytes go as they are, text and numbers as text/plain, the rest as JSON."""
    kind = type(value)
    if kind is float or kind is int:
        return repr(value).encode(), _TEXT
    if isinstance(value, str):
        return value.encode(), _TEXT
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), _AUTO
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value).encode(), _TEXT
    if isinstance(value, Records):
        return write_records(value), _SENML
    return _json(value), _JSON


def encode(path: str, value: Value, format: FormatLike | None = None) -> tuple[bytes, int, str | None]:
    """(payload, format number, media type) for a value."""
    if isinstance(value, Message):
        if format is None:
            return value.payload, value._format, value.media_type
        return value.as_format(format).payload, format_number(format)[0], None
    if format is None:
        payload, now = _plain(value)
        return payload, now, None
    number, media_type = format_number(format)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), number, media_type
    if number in (Format.JSON, Format.JSON_PATCH, Format.MERGE_PATCH) and not isinstance(value, Records):
        return _json(value), number, None
    payload, now = _plain(value)
    if number in (now, Format.TEXT) or media_type or number == Format.AUTO:
        return payload, number, media_type
    if now == Format.TEXT:  # by way of JSON: a text becomes a string, a number stays one
        payload, now = _json(value), Format.JSON
    return Message(path, payload, now)._as(number).payload, number, None


def _text_value(text: str) -> Any:
    found = _NUMBER.match(text)
    if not found:
        return True if text == "true" else False if text == "false" else text
    if found.lastindex:  # a fraction, or an exponent
        number = float(text)
        return text if math.isinf(number) else number
    return int(text) if len(text) < 400 else text


def _guess(payload: bytes) -> Any:
    """Nobody said the format: text if it is UTF-8 without control characters, JSON if an object or array, else bytes."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return payload
    if _CONTROL.search(text):
        return payload
    if text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return _text_value(text)


def decode(message: Message) -> Any:
    """The value of a message; the other way round from `encode`, except that a text "21.5" comes back as the number."""
    number, payload = message._format, message.payload
    if number == _AUTO:
        return _guess(payload)
    try:
        if number == _TEXT:
            return _text_value(payload.decode())
        if number in (Format.JSON, Format.JSON_PATCH, Format.MERGE_PATCH):
            return json.loads(payload)
        if number == Format.CBOR:
            return json.loads(message._as(Format.JSON).payload)
        if number in (Format.SENML_JSON, Format.SENML_CBOR, Format.TLV, Format.LWM2M_JSON, Format.LWM2M_CBOR):
            return message.records
    except (ValueError, BridgeError):
        return payload  # it does not hold what its format says: the bytes are still true
    if number in (Format.LINKS, Format.XML):
        return payload.decode(errors="replace")
    return payload


def read_records(payload: bytes) -> Records:
    """A SenML pack in JSON, with base fields resolved (RFC 8428 4.6)."""
    import base64

    found, base = Records(), {"bn": "", "bt": 0.0, "bv": 0.0, "bu": None}
    for row in json.loads(payload):
        base.update({key: row[key] for key in base if key in row})
        value: Any = None
        if "v" in row:
            value = row["v"] + base["bv"] if base["bv"] else row["v"]
        elif "vd" in row:
            value = base64.urlsafe_b64decode(row["vd"] + "=" * (-len(row["vd"]) % 4))
        else:
            value = row.get("vs", row.get("vb"))
        at = row.get("t", 0) + base["bt"]
        found.append(Record(str(base["bn"]) + row.get("n", ""), value, row.get("u", base["bu"]), at or None))
    return found


def write_records(records: Iterable[Record]) -> bytes:
    """A SenML pack in JSON."""
    import base64

    rows: list[dict[str, Any]] = []
    for r in records:
        row: dict[str, Any] = {"n": r.name} if r.name else {}
        if r.unit:
            row["u"] = r.unit
        if r.time:
            row["t"] = r.time
        if isinstance(r.value, bool):
            row["vb"] = r.value
        elif isinstance(r.value, (int, float)):
            row["v"] = r.value
        elif isinstance(r.value, bytes):
            row["vd"] = base64.urlsafe_b64encode(r.value).rstrip(b"=").decode()
        elif r.value is not None:
            row["vs"] = str(r.value)
        rows.append(row)
    return _json(rows)


def make(path: str, value: Value, format: FormatLike | None, *, retain: bool = False, qos: int = 0,
         ttl: timedelta | float | None = None, origin: str | None = None, response: str | None = None,
         correlation: bytes | None = None, props: Iterable[tuple[str, str]] | None = None) -> Message:
    """A message to send."""
    payload, number, media_type = encode(path, value, format)
    if ttl is None and origin is None and response is None and correlation is None and props is None:  # nearly all
        return Message(path, payload, number, qos, retain, 0, 0, None, media_type)
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if seconds is not None and seconds <= 0:
        raise Invalid("ttl must be more than 0; leave it out for a message that lives for ever")
    return Message(path, payload, number, qos, retain, 0, int(seconds * 1000) if seconds else 0, origin, media_type,
                   response, correlation, tuple(props) if props is not None else None)
