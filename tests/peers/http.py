"""HTTP spoken by hand: bytes out, answers in; server-sent events; WebSocket frames."""
import base64
import json
import os
import socket
import struct
from dataclasses import dataclass, field

from .process import PATIENCE


@dataclass
class Answer:
    status: int
    reason: str
    headers: list = field(default_factory=list)  # (name in lower case, value), in order
    body: bytes = b""

    def __getitem__(self, name):
        """A header's value; None when it was not said."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Http:
    """One connection.  request() for what is legal, send() for what is not."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def request(self, method, target, body=None, headers=None, **more):
        self.ask(method, target, body, headers, **more)
        return self.answer(method == "HEAD")

    def ask(self, method, target, body=None, headers=None, **more):
        named = {"Host": "test", **(headers or {}), **{key.replace("_", "-"): value for key, value in more.items()}}
        data = body.encode() if isinstance(body, str) else body
        if data is not None:
            named.setdefault("Content-Length", str(len(data)))
        lines = [f"{method} {target} HTTP/1.1", *(f"{key}: {value}" for key, value in named.items()), "", ""]
        self.send("\r\n".join(lines).encode() + (data or b""))

    def more(self):
        """Reads what there is; EOFError at the end."""
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("closed by the server")
        self.buffer += data

    def until(self, end):
        while end not in self.buffer:
            self.more()
        head, _, self.buffer = self.buffer.partition(end)
        return head

    def exactly(self, count):
        while len(self.buffer) < count:
            self.more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def head(self):
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, reason = (first + " ").split(" ", 2)
        assert version == "HTTP/1.1", first
        return Answer(int(status), reason.strip(), [(k.lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines)])

    def answer(self, to_head=False):
        answer = self.head()
        if not to_head and answer.status not in (204, 304) and answer.status >= 200:
            answer.body = self.chunked() if answer["transfer-encoding"] == "chunked" else self.exactly(int(answer["content-length"]))
        return answer

    def chunked(self):
        parts = []
        while size := int(self.until(b"\r\n"), 16):
            parts.append(self.exactly(size))
            assert self.exactly(2) == b"\r\n"
        assert self.exactly(2) == b"\r\n"  # no trailers
        return b"".join(parts)

    def is_closed(self):
        """Waits until the server has closed; what it still says is thrown away."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@dataclass
class Event:
    data: str
    event: str = "message"
    id: str = None

    @property
    def json(self):
        return json.loads(self.data)


class Events(Http):
    """A server-sent event stream: next() is the next event; .answer is what came before."""

    def __init__(self, port, target, headers=None):
        super().__init__(port)
        self.ask("GET", target, headers={"Accept": "text/event-stream", **(headers or {})})
        self.head_said = self.head()

    def next(self):
        while True:
            found = {}
            for line in self.until(b"\n\n").decode().split("\n"):
                name, _, value = line.partition(": ")
                if name == "data" and "data" in found:
                    found["data"] += "\n" + value
                elif name in ("data", "event", "id"):
                    found[name] = value
            if "data" in found:
                return Event(**found)


class WebSocket(Http):
    """A WebSocket client that can be rude."""

    TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

    def __init__(self, port, target="/", protocol=None, headers=None):
        super().__init__(port)
        key = base64.b64encode(os.urandom(16)).decode()
        extra = {"Sec-WebSocket-Protocol": protocol} if protocol else {}
        self.ask("GET", target, headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                                         "Sec-WebSocket-Key": key, **extra, **(headers or {})})
        self.said = self.head()
        if self.said.status != 101 and self.said["content-length"]:
            self.said.body = self.exactly(int(self.said["content-length"]))

    def frame(self, opcode, payload=b"", fin=True, mask=True):
        data = payload.encode() if isinstance(payload, str) else payload
        size = len(data)
        head = bytes([opcode | (0x80 if fin else 0)])
        flag = 0x80 if mask else 0
        if size < 126:
            head += bytes([flag | size])
        elif size < 65536:
            head += bytes([flag | 126]) + struct.pack(">H", size)
        else:
            head += bytes([flag | 127]) + struct.pack(">Q", size)
        if mask:
            key = os.urandom(4)
            data = bytes(b ^ key[i & 3] for i, b in enumerate(data))
            head += key
        self.send(head + data)

    def read(self):
        """(opcode, payload) of the next frame."""
        first, size = self.exactly(2)
        assert first & 0x80 and not size & 0x80
        if size == 126:
            size, = struct.unpack(">H", self.exactly(2))
        elif size == 127:
            size, = struct.unpack(">Q", self.exactly(8))
        return first & 15, self.exactly(size)

    def say(self, **message):
        self.frame(self.TEXT, json.dumps(message))

    def hear(self):
        """The next JSON message."""
        opcode, payload = self.read()
        assert opcode == self.TEXT, (opcode, payload)
        return json.loads(payload)


class Tunnel:
    """What looks like a socket and is a WebSocket: for peers of the protocols inside it."""

    family = socket.AF_INET

    def __init__(self, port, target="/mqtt", protocol="mqtt", cut=None):
        self.ws = WebSocket(port, target, protocol)
        assert self.ws.said.status == 101, self.ws.said
        self.cut = cut  # bytes a frame; None: as it was sent
        self.rest = b""

    def sendall(self, data):
        size = self.cut or max(len(data), 1)
        for at in range(0, len(data), size):
            self.ws.frame(WebSocket.BINARY, data[at:at + size])

    def recv(self, count):
        while not self.rest:
            try:
                opcode, payload = self.ws.read()
            except EOFError:
                return b""
            if opcode == WebSocket.CLOSE:
                return b""
            assert opcode == WebSocket.BINARY, (opcode, payload)
            self.rest = payload
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def settimeout(self, seconds):
        self.ws.socket.settimeout(seconds)

    def setsockopt(self, *what):
        self.ws.socket.setsockopt(*what)

    def close(self):
        self.ws.close()
