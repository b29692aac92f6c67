"""CoAP at packet level: a Message is bytes, a Socket sends and hears them, a Shim loses, doubles and reorders on the way.

Nothing here retries, acknowledges or puts blocks together by itself unless asked to: what happens is what the story says.
"""
import collections
import itertools
import random
import selectors
import socket
import ssl
import struct
import subprocess
import threading
import time

from .process import PATIENCE

CON, NON, ACK, RST = range(4)
TYPES = ("CON", "NON", "ACK", "RST")
GET, POST, PUT, DELETE, FETCH, PATCH, IPATCH = range(1, 8)

IF_MATCH, URI_HOST, ETAG, IF_NONE_MATCH, OBSERVE, URI_PORT, LOCATION_PATH = 1, 3, 4, 5, 6, 7, 8
URI_PATH, CONTENT_FORMAT, MAX_AGE, URI_QUERY, HOP_LIMIT, ACCEPT, LOCATION_QUERY = 11, 12, 14, 15, 16, 17, 20
BLOCK2, BLOCK1, SIZE2, PROXY_URI, PROXY_SCHEME, SIZE1, ECHO, NO_RESPONSE, REQUEST_TAG = 23, 27, 28, 35, 39, 60, 252, 258, 292


def code(text):
    """code("4.04") is 0x84."""
    major, _, minor = text.partition(".")
    return int(major) << 5 | int(minor)


def uint(number):
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def block(num, more, size):
    """The value of a Block option; size is 16 to 1024."""
    return uint(num << 4 | bool(more) << 3 | size.bit_length() - 5)


def read_block(value):
    n = int.from_bytes(value, "big")
    return n >> 4, bool(n & 8), 16 << (n & 7)


def _nibble(n):
    if n < 13:
        return n, b""
    if n < 269:
        return 13, bytes([n - 13])
    return 14, struct.pack(">H", n - 269)


def encode_options(options):
    out, last = b"", 0
    for number, value in sorted(options, key=lambda o: o[0]):
        delta, more_delta = _nibble(number - last)
        length, more_length = _nibble(len(value))
        out += bytes([delta << 4 | length]) + more_delta + more_length + value
        last = number
    return out


class Message:
    """One CoAP message.  .code is the number, .says "2.05"; .options a list of (number, bytes)."""

    def __init__(self, type=CON, code=GET, id=0, token=b"", options=(), payload=b""):
        self.type, self.code, self.id, self.token = type, code, id, bytes(token)
        self.options, self.payload = list(options), payload

    @property
    def says(self):
        return f"{self.code >> 5}.{self.code & 31:02}"

    def option(self, number):
        """The first value, or None."""
        return next((value for n, value in self.options if n == number), None)

    def all(self, number):
        return [value for n, value in self.options if n == number]

    def uint(self, number):
        value = self.option(number)
        return None if value is None else int.from_bytes(value, "big")

    def block(self, number):
        value = self.option(number)
        return None if value is None else read_block(value)

    def __bytes__(self):
        head = bytes([0x40 | self.type << 4 | len(self.token), self.code]) + struct.pack(">H", self.id)
        return head + self.token + encode_options(self.options) + (b"\xff" + self.payload if self.payload else b"")

    @classmethod
    def parse(cls, data):
        kind, number, id = struct.unpack(">BBH", data[:4])
        assert kind >> 6 == 1, data
        at = 4 + (kind & 15)
        token, options, last = data[4:at], [], 0
        while at < len(data) and data[at] != 0xff:
            delta, length = data[at] >> 4, data[at] & 15
            at += 1
            parts = []
            for nibble in (delta, length):
                assert nibble != 15, data
                extra = 1 if nibble == 13 else 2 if nibble == 14 else 0
                parts.append(int.from_bytes(data[at:at + extra], "big") + (13 if nibble == 13 else 269) if extra else nibble)
                at += extra
            last += parts[0]
            assert at + parts[1] <= len(data), data
            options.append((last, data[at:at + parts[1]]))
            at += parts[1]
        payload = b""
        if at < len(data):
            payload = data[at + 1:]
            assert payload, "a marker without a payload"
        return cls(kind >> 4 & 3, number, id, token, options, payload)

    def __repr__(self):
        return f"{TYPES[self.type]} {self.says} id={self.id} token={self.token.hex()} {self.options} {self.payload[:60]!r}"


def path_options(path):
    """"r/a//b" is four options; "" is none."""
    return [(URI_PATH, segment.encode()) for segment in path.split("/")] if path else []


class Socket:
    """A client's UDP socket.  send() and hear() are one datagram each; ask() is a whole question with its answer."""

    acked = ()  # the last that were acknowledged, as bytes

    def __init__(self, port, host="127.0.0.1", bind=None):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        if bind:
            self.socket.bind(bind)
        self.socket.connect((host, port))
        self.aside = []  # what came while an answer was waited for
        self._ids = itertools.count(random.randrange(65536))
        self._tokens = itertools.count(random.randrange(1 << 24))

    @property
    def port(self):
        return self.socket.getsockname()[1]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def new_id(self):
        return next(self._ids) & 0xffff

    def new_token(self):
        return struct.pack(">I", next(self._tokens) & 0xffffffff)

    def send(self, message):
        self.socket.send(bytes(message))

    def hear_bytes(self, timeout=PATIENCE):
        self.socket.settimeout(timeout)
        return self.socket.recv(65536)

    def hear(self, timeout=PATIENCE):
        """The next message, those kept aside first."""
        return self.aside.pop(0) if self.aside else self.hear_new(timeout)

    def hear_new(self, timeout=PATIENCE):
        """A copy of what is acknowledged already, sent because that took us long, is acknowledged again and not told [RFC 7252 4.5]."""
        try:
            heard = Message.parse(self.hear_bytes(timeout))
            while bytes(heard) in self.acked:
                self.send(Message(ACK, 0, heard.id))
                heard = Message.parse(self.hear_bytes(timeout))
            return heard
        except TimeoutError:
            raise AssertionError(f"nothing came within {timeout} s") from None

    def request(self, method, path="", *, type=CON, id=None, token=None, options=(), payload=b"", query=()):
        """The message, not sent."""
        return Message(type, method, self.new_id() if id is None else id, self.new_token() if token is None else token,
                       [*path_options(path), *((URI_QUERY, q.encode()) for q in query), *options],
                       payload.encode() if isinstance(payload, str) else payload)

    def ask(self, method, path="", **words):
        """Sends a request and hears its answer; acknowledges a separate one.  Notifications of others are kept aside."""
        message = self.request(method, path, **words)
        self.send(message)
        return self.answer_to(message)

    def answer_to(self, message):
        while True:
            heard = self.hear_new()
            if heard.type == RST and heard.id == message.id:
                return heard
            if heard.code == 0 and heard.type == ACK:
                continue
            if heard.token != message.token:
                self.aside.append(heard)
                continue
            if heard.type == CON:
                self.ack(heard)
            return heard

    def get(self, path, **words):
        return self.ask(GET, path, **words)

    def put(self, path, payload=b"", **words):
        return self.ask(PUT, path, payload=payload, **words)

    def post(self, path, payload=b"", **words):
        return self.ask(POST, path, payload=payload, **words)

    def delete(self, path, **words):
        return self.ask(DELETE, path, **words)

    def ack(self, message):
        self.send(Message(ACK, 0, message.id))
        self.acked = (*self.acked[-63:], bytes(message))

    def reset(self, message):
        self.send(Message(RST, 0, message.id))

    def ping(self):
        """True when it is answered with a reset.  What the server was sent before has then been handled."""
        id = self.new_id()
        self.send(Message(CON, 0, id))
        while True:
            heard = self.hear_new()
            if heard.type == RST and heard.id == id:
                return True
            self.aside.append(heard)

    def silent(self):
        """Does the server say nothing more?  Asked by a ping, whose answer must be the next thing heard."""
        id = self.new_id()
        self.send(Message(CON, 0, id))
        heard = self.hear()
        return heard.type == RST and heard.id == id

    def observe(self, path, **words):
        """(answer, Observation): GET with Observe 0."""
        token = words.pop("token", None) or self.new_token()
        options = [*words.pop("options", ()), (OBSERVE, b"")]
        answer = self.ask(GET, path, token=token, options=options, **words)
        return answer, Observation(self, path, token)

    def observe_fetch(self, path, payload, **words):
        """The same by FETCH (RFC 8132)."""
        token = self.new_token()
        options = [*words.pop("options", ()), (OBSERVE, b"")]
        answer = self.ask(FETCH, path, token=token, options=options, payload=payload, **words)
        return answer, Observation(self, path, token)

    def get_all(self, path, size=1024, **words):
        """A body in blocks of `size`, put together."""
        options, body, num = list(words.pop("options", ())), b"", 0
        while True:
            answer = self.ask(GET, path, options=[*options, (BLOCK2, block(num, False, size))], **words)
            assert answer.says == "2.05", answer
            body += answer.payload
            num, more, size = answer.block(BLOCK2)
            if not more:
                return body
            num += 1

    def put_all(self, path, body, size=1024, method=PUT, size1=False, **words):
        """A body sent in blocks; the last answer."""
        options = list(words.pop("options", ()))
        for num in range(max(1, -(-len(body) // size))):
            part = body[num * size:(num + 1) * size]
            more = (num + 1) * size < len(body)
            extra = [(SIZE1, uint(len(body)))] if size1 and num == 0 else []
            answer = self.ask(method, path, payload=part, options=[*options, *extra, (BLOCK1, block(num, more, size))], **words)
            if more and answer.says != "2.31":
                return answer
        return answer


class Observation:
    def __init__(self, socket, path, token):
        self.socket, self.path, self.token = socket, path, token

    def hear(self, timeout=PATIENCE, ack=True):
        """The next notification; acknowledges a confirmable one."""
        mine = next((m for m in self.socket.aside if m.token == self.token and m.code), None)
        if mine:
            self.socket.aside.remove(mine)
        while not mine:
            heard = self.socket.hear_new(timeout)
            if heard.token == self.token and heard.code:
                mine = heard
            elif heard.code:
                self.socket.aside.append(heard)
        if mine.type == CON and ack:
            self.socket.ack(mine)
        return mine

    def cancel(self):
        return self.socket.ask(GET, self.path, token=self.token, options=[(OBSERVE, b"\x01")])


class Shim:
    """Stands between clients and a server, and loses, doubles, reorders and delays.  Clients talk to .port."""

    def __init__(self, server, loss=0.0, doubling=0.0, reorder=0.0, delay=0.0, seed=1):
        self.server, self.loss, self.doubling, self.reorder, self.delay = server, loss, doubling, reorder, delay
        self.dice = random.Random(seed)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.port = self.front.getsockname()[1]
        self.backs, self.clients, self.held = {}, {}, []
        self.late = collections.deque()  # (when, socket, bytes, to)
        self.lost = 0
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.front, selectors.EVENT_READ)
        self.wake, self.waker = socket.socketpair()
        self.selector.register(self.wake, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _send(self, sock, data, to):
        if self.dice.random() < self.loss:
            self.lost += 1
            return
        if self.dice.random() < self.reorder and not self.held:
            self.held.append((sock, data, to))
            return
        for _ in range(2 if self.dice.random() < self.doubling else 1):
            self._deliver(sock, data, to)
        while self.held:
            self._deliver(*self.held.pop())

    def _deliver(self, sock, data, to):
        if self.delay:
            self.late.append((time.monotonic() + self.delay, sock, data, to))
        else:
            sock.sendto(data, to)

    def _deliver_late(self):
        while self.late and self.late[0][0] <= time.monotonic():
            _, sock, data, to = self.late.popleft()
            sock.sendto(data, to)

    def _run(self):
        while True:
            events = self.selector.select(min(0.05, max(0.0, self.late[0][0] - time.monotonic())) if self.late else 0.05)
            self._deliver_late()
            if not events and self.held:  # nobody came to overtake it
                self._deliver(*self.held.pop())
            for key, _ in events:
                if key.fileobj is self.wake:
                    return
                try:
                    data, sender = key.fileobj.recvfrom(65536)
                except OSError:
                    continue
                if key.fileobj is self.front:
                    self._send(self._back(sender), data, ("127.0.0.1", self.server))
                else:
                    self._send(self.front, data, self.clients[key.fileobj])

    def _back(self, client):
        if client not in self.backs:
            back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            back.bind(("127.0.0.1", 0))
            self.backs[client], self.clients[back] = back, client
            self.selector.register(back, selectors.EVENT_READ)
        return self.backs[client]

    def close(self):
        self.waker.send(b"x")
        self.thread.join(PATIENCE)
        for sock in (self.front, self.wake, self.waker, *self.backs.values()):
            sock.close()
        self.selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- streams (RFC 8323)

CSM, PING, PONG, RELEASE, ABORT = (code(f"7.0{n}") for n in range(1, 6))
MAX_MESSAGE_SIZE, BLOCK_WISE = 2, 4


def frame(message):
    """The bytes of a message on a stream: no type, no id, the length in front."""
    body = encode_options(message.options) + (b"\xff" + message.payload if message.payload else b"")
    length = len(body)
    if length < 13:
        head, extra = length, b""
    elif length < 269:
        head, extra = 13, bytes([length - 13])
    elif length < 65805:
        head, extra = 14, struct.pack(">H", length - 269)
    else:
        head, extra = 15, struct.pack(">I", length - 65805)
    return bytes([head << 4 | len(message.token)]) + extra + bytes([message.code]) + message.token + body


class Stream(Socket):
    """A client's TCP connection; what Socket does with datagrams it does with frames.  hello=False: it says nothing at first."""

    def __init__(self, port, host="127.0.0.1", hello=True, wrap=lambda plain: plain):
        self.socket = wrap(socket.create_connection((host, port), PATIENCE))
        self.aside, self.buffer, self.lock = [], b"", threading.Lock()
        self._ids = itertools.count(0)
        self._tokens = itertools.count(random.randrange(1 << 24))
        self.csm = self.hear_new()
        if hello:
            self.send(Message(code=CSM, options=[(MAX_MESSAGE_SIZE, uint(1 << 21)), (BLOCK_WISE, b"")]))

    def send(self, message):
        with self.lock:  # TLS is for one thread at a time
            self.socket.sendall(frame(message))

    def _receive(self, timeout):
        if not isinstance(self.socket, ssl.SSLSocket):
            self.socket.settimeout(timeout)
            return self.socket.recv(65536)
        while True:
            with self.lock:
                try:
                    self.socket.settimeout(0)
                    return self.socket.recv(65536)
                except ssl.SSLWantReadError:
                    pass
                finally:
                    self.socket.settimeout(PATIENCE)
            with selectors.DefaultSelector() as selector:
                selector.register(self.socket, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise TimeoutError

    def _bytes(self, count, timeout):
        while len(self.buffer) < count:
            data = self._receive(timeout)
            if not data:
                raise EOFError("the server closed")
            self.buffer += data
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def hear_bytes(self, timeout=PATIENCE):
        first = self._bytes(1, timeout)[0]
        length, token_len = first >> 4, first & 15
        if length >= 13:
            extra, base = {13: (1, 13), 14: (2, 269), 15: (4, 65805)}[length]
            length = base + int.from_bytes(self._bytes(extra, timeout), "big")
        number, rest = self._bytes(1, timeout), self._bytes(token_len + length, timeout)
        return bytes([0x40 | token_len]) + number + b"\0\0" + rest  # as a datagram, so that one parser reads both

    def ack(self, message):
        pass

    def ping(self):
        token = self.new_token()
        self.send(Message(code=PING, token=token))
        while True:
            heard = self.hear_new()
            if heard.code == PONG and heard.token == token:
                return True
            self.aside.append(heard)

    def silent(self):
        token = self.new_token()
        self.send(Message(code=PING, token=token))
        heard = self.hear()
        return heard.code == PONG and heard.token == token

    def ended(self):
        """Waits for the end of the stream; True when nothing else came."""
        try:
            self.hear_new()
        except (EOFError, ConnectionResetError):
            return True
        return False


class Secured(Socket):
    """A client's DTLS session, spoken by `openssl s_client`: what goes into it is one record a message.  options: as s_client has them."""

    def __init__(self, port, *options, host="127.0.0.1"):
        self.process = subprocess.Popen(["openssl", "s_client", "-dtls1_2", "-quiet", "-connect", f"{host}:{port}", *options],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        self.aside = []
        self._ids = itertools.count(random.randrange(65536))
        self._tokens = itertools.count(random.randrange(1 << 24))

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def send(self, message):
        self.process.stdin.write(bytes(message))

    def hear_bytes(self, timeout=PATIENCE):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise TimeoutError
        data = self.process.stdout.read(65536)
        if not data:
            raise EOFError("the session is over")
        return data
