"""An MQTT peer of our own, so that every byte, also a wrong one, can be sent; nothing here comes from the library under test.

    c = Client(port, version=5).connect("me")
    c.send(publish("a/b", b"x", qos=1, pid=7, version=5))
    assert c.receive().type == PUBACK
"""
import itertools
import socket
import struct
from dataclasses import dataclass, field

from .process import PATIENCE

(CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP,
 DISCONNECT, AUTH) = range(1, 16)
NAMES = ("?", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE",
         "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH")

# MQTT 5 2.2.2.2: identifier -> (name, kind)
PROPERTIES = {
    0x01: ("payload_format", "u8"), 0x02: ("message_expiry", "u32"), 0x03: ("content_type", "text"),
    0x08: ("response_topic", "text"), 0x09: ("correlation", "bytes"), 0x0B: ("subscription_id", "varint"),
    0x11: ("session_expiry", "u32"), 0x12: ("assigned_id", "text"), 0x13: ("server_keep_alive", "u16"),
    0x15: ("auth_method", "text"), 0x16: ("auth_data", "bytes"), 0x17: ("problem_info", "u8"), 0x18: ("will_delay", "u32"),
    0x19: ("wants_response_info", "u8"), 0x1A: ("response_info", "text"), 0x1C: ("server_reference", "text"),
    0x1F: ("reason_string", "text"), 0x21: ("receive_max", "u16"), 0x22: ("alias_max", "u16"), 0x23: ("alias", "u16"),
    0x24: ("max_qos", "u8"), 0x25: ("retain_ok", "u8"), 0x26: ("user", "pair"), 0x27: ("max_packet", "u32"),
    0x28: ("wildcards_ok", "u8"), 0x29: ("sub_ids_ok", "u8"), 0x2A: ("shared_ok", "u8"),
}
IDENTIFIERS = {name: (number, kind) for number, (name, kind) in PROPERTIES.items()}
REPEATED = ("user", "subscription_id")


# ---- pieces

def varint(n):
    out = bytearray()
    while True:
        out.append(n & 127 | (128 if n > 127 else 0))
        n >>= 7
        if not n:
            return bytes(out)


def binary(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">H", len(data)) + data


def text(s):
    return binary(s)


def one_property(name, value):
    number, kind = IDENTIFIERS[name]
    body = {"u8": lambda: struct.pack(">B", value), "u16": lambda: struct.pack(">H", value),
            "u32": lambda: struct.pack(">I", value), "varint": lambda: varint(value), "text": lambda: text(value),
            "bytes": lambda: binary(value), "pair": lambda: text(value[0]) + text(value[1])}[kind]()
    return bytes([number]) + body


def properties(props):
    """A whole property section from a dict, a list of (name, value), or raw bytes."""
    if props is None:
        props = {}
    if isinstance(props, dict):
        props = [(k, one) for k, v in props.items() for one in (v if k in REPEATED and isinstance(v, list) else [v])]
    body = props if isinstance(props, bytes) else b"".join(one_property(k, v) for k, v in props)
    return varint(len(body)) + body


def packet(first, body=b""):
    """first: the whole first byte."""
    return bytes([first]) + varint(len(body)) + body


# ---- packets

def connect(client_id="", version=4, clean=True, keep_alive=0, will=None, user=None, password=None, props=None, flags=None,
            name=None, level=None):
    """will: (topic, payload, qos, retain, props)"""
    bits = 2 if clean else 0
    tail = text(client_id)
    if will:
        topic, payload, qos, retain, *rest = will
        bits |= 4 | qos << 3 | (32 if retain else 0)
        if version == 5:
            tail += properties(rest[0] if rest else None)
        tail += text(topic) + binary(payload)
    if user is not None:
        bits |= 128
        tail += text(user)
    if password is not None:
        bits |= 64
        tail += binary(password)
    name = name if name is not None else ("MQIsdp" if version == 3 else "MQTT")
    head = text(name) + bytes([version if level is None else level, bits if flags is None else flags])
    head += struct.pack(">H", keep_alive)
    return packet(CONNECT << 4, head + (properties(props) if version == 5 else b"") + tail)


def publish(topic, payload=b"", qos=0, pid=None, retain=False, dup=False, props=None, version=4):
    body = text(topic)
    if qos:
        body += struct.pack(">H", pid)
    if version == 5:
        body += properties(props)
    payload = payload if isinstance(payload, bytes) else payload.encode()
    return packet(PUBLISH << 4 | (8 if dup else 0) | qos << 1 | (1 if retain else 0), body + payload)


def ack(kind, pid, reason=None, props=None):
    body = struct.pack(">H", pid)
    if reason is not None:
        body += bytes([reason])
        if props is not None:
            body += properties(props)
    return packet(kind << 4 | (2 if kind == PUBREL else 0), body)


def subscribe(pid, *filters, props=None, version=4):
    """filters: (text, options) or text"""
    body = struct.pack(">H", pid) + (properties(props) if version == 5 else b"")
    for f in filters:
        name, options = f if isinstance(f, tuple) else (f, 0)
        body += text(name) + bytes([options])
    return packet(SUBSCRIBE << 4 | 2, body)


def unsubscribe(pid, *filters, props=None, version=4):
    body = struct.pack(">H", pid) + (properties(props) if version == 5 else b"")
    return packet(UNSUBSCRIBE << 4 | 2, body + b"".join(text(f) for f in filters))


def disconnect(reason=None, props=None):
    body = b"" if reason is None else bytes([reason]) + (properties(props) if props is not None else b"")
    return packet(DISCONNECT << 4, body)


def auth(reason, props=None):
    return packet(AUTH << 4, bytes([reason]) + properties(props))


# ---- reading

@dataclass
class Packet:
    type: int
    first: int
    body: bytes
    pid: int = 0
    reason: int = 0
    session_present: bool = False
    topic: str = ""
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    dup: bool = False
    codes: list = field(default_factory=list)
    props: dict = field(default_factory=dict)

    def __repr__(self):
        what = {PUBLISH: f" {self.topic!r} {self.payload[:40]!r} qos={self.qos} retain={self.retain} dup={self.dup}",
                SUBACK: f" {self.codes}", UNSUBACK: f" {self.codes}"}.get(self.type, f" reason={self.reason:#04x}")
        return f"<{NAMES[self.type]} pid={self.pid}{what} {self.props}>"


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        assert self.at + n <= len(self.data), "the server's packet is cut short"
        self.at += n
        return self.data[self.at - n:self.at]

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack(">H", self.take(2))[0]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def bytes(self):
        return self.take(self.u16())

    def text(self):
        return self.bytes().decode()

    def left(self):
        return self.take(len(self.data) - self.at)

    def properties(self):
        inner, out = Reader(self.take(self.varint())), {}
        while inner.at < len(inner.data):
            name, kind = PROPERTIES[inner.varint()]
            value = (inner.text(), inner.text()) if kind == "pair" else getattr(inner, kind)()
            if name in REPEATED:
                out.setdefault(name, []).append(value)
            else:
                assert name not in out, f"{name} twice"
                out[name] = value
        return out


def decode(first, body, version):
    r, p = Reader(body), Packet(first >> 4, first, body)
    five = version == 5
    if p.type == PUBLISH:
        p.qos, p.retain, p.dup = first >> 1 & 3, bool(first & 1), bool(first & 8)
        p.topic = r.text()
        if p.qos:
            p.pid = r.u16()
        if five:
            p.props = r.properties()
        p.payload = r.left()
    elif p.type == CONNACK:
        flags = r.u8()
        assert flags <= 1
        p.session_present, p.reason = bool(flags), r.u8()
        if five:
            p.props = r.properties()
    elif p.type in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        assert first & 15 == (2 if p.type == PUBREL else 0)
        p.pid = r.u16()
        if five and r.at < len(body):
            p.reason = r.u8()
            if r.at < len(body):
                p.props = r.properties()
    elif p.type in (SUBACK, UNSUBACK):
        p.pid = r.u16()
        if five:
            p.props = r.properties()
        p.codes = list(r.left())
    elif p.type in (DISCONNECT, AUTH) and body:
        p.reason = r.u8()
        if r.at < len(body):
            p.props = r.properties()
    assert r.at == len(body), f"{len(body) - r.at} bytes too many in {p}"
    return p


class Closed(Exception):
    """The server closed the connection."""


class Client:
    """One connection."""

    def __init__(self, port, version=4, host="127.0.0.1", timeout=PATIENCE, sock=None):
        self.version = version
        self.pids = itertools.count(1)
        self.kept = []
        self.socket = sock or socket.create_connection((host, port), timeout)
        self.socket.settimeout(timeout)
        if self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    # bytes

    def send(self, *data):
        self.socket.sendall(b"".join(data))
        return self

    def _read(self, n):
        while len(self.buffer) < n:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed(f"with {self.buffer!r} left")
            self.buffer += more
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def receive(self):
        """The next packet; what was put back comes first."""
        if self.kept:
            return self.kept.pop(0)
        first = self._read(1)[0]
        size = shift = 0
        while True:
            byte = self._read(1)[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        return decode(first, self._read(size), self.version)

    def expect(self, kind, **fields):
        p = self.receive()
        assert p.type == kind, f"{p} instead of {NAMES[kind]}"
        for name, value in fields.items():
            assert getattr(p, name) == value, f"{name} of {p} is not {value!r}"
        return p

    def closed(self, reason=None):
        """Everything until the server closes; with `reason` the last packet must be a DISCONNECT with it."""
        seen = []
        try:
            while True:
                seen.append(self.receive())
        except Closed:
            pass
        if reason is not None:
            assert seen and seen[-1].type == DISCONNECT and seen[-1].reason == reason, f"{seen}, not DISCONNECT {reason:#x}"
        return seen

    def drop(self):
        """Gone without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # conversations

    def connect(self, client_id="", reason=0, **options):
        """CONNECT and the CONNACK that belongs to it; returns self, the CONNACK is in .connack"""
        self.send(connect(client_id, version=self.version, **options))
        self.connack = self.expect(CONNACK, reason=reason)
        return self

    def subscribe(self, *filters, props=None):
        pid = next(self.pids)
        self.send(subscribe(pid, *filters, props=props, version=self.version))
        return self.wait_for(SUBACK, pid).codes

    def unsubscribe(self, *filters):
        pid = next(self.pids)
        self.send(unsubscribe(pid, *filters, version=self.version))
        return self.wait_for(UNSUBACK, pid).codes

    def wait_for(self, kind, pid=None):
        """The next packet of that kind; what comes before it is kept for receive()."""
        before = []
        while True:
            p = self.receive()
            if p.type == kind and (pid is None or p.pid == pid):
                self.kept = before + self.kept
                return p
            before.append(p)

    def publish(self, topic, payload=b"", qos=0, pid=None, **options):
        """A whole exchange: returns the last acknowledgement, None at QoS 0."""
        if qos and pid is None:
            pid = next(self.pids)
        self.send(publish(topic, payload, qos, pid, version=self.version, **options))
        if qos == 0:
            return None
        answer = self.wait_for(PUBACK if qos == 1 else PUBREC, pid)
        if qos == 1 or answer.reason >= 0x80:
            return answer
        self.send(ack(PUBREL, pid))
        return self.wait_for(PUBCOMP, pid)

    def message(self):
        """The next PUBLISH, acknowledged as its QoS wants it."""
        p = self.wait_for(PUBLISH)
        if p.qos == 1:
            self.send(ack(PUBACK, p.pid))
        elif p.qos == 2:
            self.send(ack(PUBREC, p.pid))
            self.wait_for(PUBREL, p.pid)
            self.send(ack(PUBCOMP, p.pid))
        return p

    def ping(self):
        """A round trip: all that the server had for us until now is in .kept afterwards."""
        self.send(packet(PINGREQ << 4))
        self.wait_for(PINGRESP)
        return self

    def nothing(self):
        """Nothing waits for us: told by a round trip, not by time."""
        self.ping()
        assert self.kept == []
        return self

    def disconnect(self, reason=None, props=None):
        self.send(disconnect(reason, props))
        assert self.closed() == []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
