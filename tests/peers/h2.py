"""HTTP/2 by hand, for what no client says: frames out, frames in; fields without Huffman codes and without a table."""
import socket
import struct
from dataclasses import dataclass

from .process import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, CANCEL, REFUSED_STREAM, ENHANCE_YOUR_CALM = 0, 1, 3, 8, 7, 11

INDEXED = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}  # RFC 7541 A
DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5", "011100": "6", "011101": "7",
          "011110": "8", "011111": "9"}  # RFC 7541 B


@dataclass
class Frame:
    type: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self):
        """Of RST_STREAM and GOAWAY."""
        return struct.unpack("!I", self.payload[-4:] if self.type == RST_STREAM else self.payload[4:8])[0]

    @property
    def status(self):
        block = self.payload.lstrip(b"\x20\x3f")
        if block[0] in INDEXED:
            return INDEXED[block[0]]
        assert block[0] in (0x08, 0x48, 0x18), block[:4].hex()
        length, bits, found, word = block[1] & 0x7F, "", "", ""
        if not block[1] & 0x80:
            return int(block[2:2 + length])
        bits = "".join(f"{byte:08b}" for byte in block[2:2 + length])
        for bit in bits:
            word += bit
            if word in DIGITS:
                found, word = found + DIGITS[word], ""
        return int(found)


def integer(value, bits, first=0):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def fields(*pairs):
    out = b""
    for name, value in pairs:
        name, value = (x.encode() if isinstance(x, str) else x for x in (name, value))
        out += b"\x00" + integer(len(name), 7) + name + integer(len(value), 7) + value
    return out


def request(method="GET", path="/resources/a", *more, authority="test"):
    return fields((":method", method), (":scheme", "http"), (":path", path), (":authority", authority), *more)


class H2:
    """One connection; the preface and empty SETTINGS are said."""

    def __init__(self, port, settings=((1, 0),)):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.buffer, self.last = b"", -1
        self.socket.sendall(PREFACE)
        self.send(SETTINGS, 0, 0, b"".join(struct.pack("!HI", *pair) for pair in settings))

    def frame(self, kind, flags=0, stream=0, payload=b"", length=None):
        return struct.pack("!I", len(payload) if length is None else length)[1:] + struct.pack("!BBI", kind, flags, stream) + payload

    def send(self, *args, **more):
        self.socket.sendall(self.frame(*args, **more))

    def ask(self, *args, body=None, **more):
        """A whole request; the number of its stream."""
        self.last += 2
        self.send(HEADERS, END_HEADERS | (END_STREAM if body is None else 0), self.last, request(*args, **more))
        if body is not None:
            self.send(DATA, END_STREAM, self.last, body)
        return self.last

    def read(self):
        """The next frame; EOFError."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            self.buffer += data
        length = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = struct.unpack("!BBI", self.buffer[3:9])
        payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
        return Frame(kind, flags, stream, payload)

    def wait(self, kind, stream=None):
        while True:
            frame = self.read()
            if frame.type == kind and stream in (None, frame.stream) and not (kind in (SETTINGS, PING) and frame.flags & ACK):
                return frame

    def answer(self, stream):
        """(status, body) of a stream that ends; RST_STREAM gives (None, its code)."""
        status, body = None, b""
        while True:
            frame = self.read()
            if frame.stream != stream:
                continue
            if frame.type == RST_STREAM:
                return None, frame.code
            if frame.type == HEADERS and frame.status != 100:
                status = frame.status
            if frame.type == DATA:
                body += frame.payload
            if frame.flags & END_STREAM:
                return status, body

    def end(self):
        """All that is left, as frames."""
        frames = []
        try:
            while True:
                frames.append(self.read())
        except EOFError:
            return frames

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
