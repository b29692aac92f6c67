"""A CoAP server as a device has one: small, in this process, and as odd as a story wants it.

    with Device() as lamp:
        lamp.values["light"] = b"on"
        lamp.answer["slow"] = lambda device, request, peer: None      # says nothing
        lamp.notify("light", b"off")
"""
import hashlib
import queue
import socket
import threading

from .coap import (ACK, ACCEPT, BLOCK1, BLOCK2, CON, CONTENT_FORMAT, DELETE, ETAG, FETCH, GET, IF_MATCH, IF_NONE_MATCH, MAX_AGE, NON,
                   OBSERVE, POST, PUT, RST, URI_PATH, Message, block, code, uint)


class Device:
    def __init__(self, port=0, observe=True, max_age=None, etags=True, separate=False, size=1024, mode=CON):
        self.values, self.formats, self.answer = {}, {}, {}
        self.observe, self.max_age, self.etags, self.separate, self.size, self.mode = observe, max_age, etags, separate, size, mode
        self.requests = queue.SimpleQueue()   # every request but those for later blocks
        self.observers = {}                   # (peer, token) -> path
        self.canceled = queue.SimpleQueue()   # paths: by Observe 1 or RST
        self.bodies, self.sequence, self.next_id, self.sent = {}, 2, 1, {}
        self.seen = {}
        self.lock = threading.RLock()
        self.open(port)

    def open(self, port=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.wanted = True
        self.thread = threading.Thread(target=self._run, args=(self.socket,), daemon=True)
        self.thread.start()

    def close(self):
        self.wanted = False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knock:
            knock.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(10)
        self.socket.close()

    def reboot(self):
        """It forgets who observes, and whom it has heard."""
        with self.lock:
            self.observers.clear()
            self.seen.clear()
            self.bodies.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def request(self, timeout=20):
        """The next request that came: (method, path, Message)."""
        return self.requests.get(timeout=timeout)

    def count(self, method=None, path=None):
        """How many of those that came so far (they are taken)."""
        n = 0
        while not self.requests.empty():
            how, where, _ = self.requests.get()
            n += (method is None or how == method) and (path is None or where == path)
        return n

    def etag(self, path):
        return hashlib.sha256(self.values[path]).digest()[:4]

    def notify(self, path, payload=None, says="2.05"):
        with self.lock:
            if payload is not None:
                self.values[path] = payload
            self.sequence += 1
            told = [(peer, token) for (peer, token), where in self.observers.items() if where == path]
            for peer, token in told:
                message = self._content(path, Message(token=token), says) if says == "2.05" else Message(token=token)
                message.type, message.code, message.id, message.token = self.mode, code(says), self._id(), token
                if says == "2.05":
                    message.options.append((OBSERVE, uint(self.sequence)))
                else:
                    del self.observers[(peer, token)]
                self.sent[message.id] = (peer, token)
                self.socket.sendto(bytes(message), peer)
            return len(told)

    # ---- inside

    def _id(self):
        self.next_id = self.next_id + 1 & 0xffff
        return self.next_id

    def _run(self, sock):
        while self.wanted:
            data, peer = sock.recvfrom(65536)
            if len(data) >= 4:
                with self.lock:
                    self._take(Message.parse(data), peer)

    def _take(self, m, peer):
        if m.type == RST and m.id in self.sent:
            path = self.observers.pop(self.sent[m.id], None)
            if path is not None:
                self.canceled.put(path)
        if m.code == 0 or m.code > 31:
            return
        if (peer, m.id) in self.seen:            # RFC 7252 4.5
            for answer in self.seen[(peer, m.id)]:
                self.socket.sendto(answer, peer)
            return
        path = "/".join(o.decode() for o in m.all(URI_PATH))
        part = m.block(BLOCK2)
        if not part or part[0] == 0:
            self.requests.put((m.code, path, m))
        answer = self.answer.get(path, Device._serve)(self, m, peer)
        if answer is None:
            return
        answer.token = m.token
        if m.type == NON:
            out = [self._as(answer, NON)]
        elif self.separate:
            out = [bytes(Message(ACK, 0, m.id)), self._as(answer, CON)]
        else:
            answer.type, answer.id = ACK, m.id
            out = [bytes(answer)]
        self.seen[(peer, m.id)] = out
        for each in out:
            self.socket.sendto(each, peer)

    def _as(self, answer, kind):
        answer.type, answer.id = kind, self._id()
        return bytes(answer)

    def _content(self, path, m, says="2.05"):
        body = self.values[path]
        options = []
        if self.etags:
            options.append((ETAG, self.etag(path)))
        if path in self.formats:
            options.append((CONTENT_FORMAT, uint(self.formats[path])))
        if self.max_age is not None:
            options.append((MAX_AGE, uint(self.max_age)))
        number, _, size = m.block(BLOCK2) or (0, False, self.size)
        size = min(size, self.size)
        if len(body) > size or number:
            options.append((BLOCK2, block(number, (number + 1) * size < len(body), size)))
            body = body[number * size:(number + 1) * size]
        return Message(code=code(says), options=options, payload=body)

    def _serve(self, m, peer):
        path = "/".join(o.decode() for o in m.all(URI_PATH))
        if m.code in (PUT, POST):
            return self._write(path, m, peer)
        if path == ".well-known/core":
            links = ",".join(f"</{name}>" + (";obs" if self.observe else "") for name in sorted(self.values))
            return Message(code=code("2.05"), options=[(CONTENT_FORMAT, uint(40))], payload=links.encode())
        if path not in self.values:
            return Message(code=code("2.02" if m.code == DELETE else "4.04"), payload=b"" if m.code == DELETE else b"no such thing")
        if m.code == DELETE:
            del self.values[path]
            return Message(code=code("2.02"))
        if m.code not in (GET, FETCH):
            return Message(code=code("4.05"))
        if m.option(ACCEPT) is not None and m.uint(ACCEPT) != self.formats.get(path, 0):
            return Message(code=code("4.06"))
        if self.etags and self.etag(path) in m.all(ETAG):
            return Message(code=code("2.03"), options=[(ETAG, self.etag(path))] + ([(MAX_AGE, uint(self.max_age))] if self.max_age is not None else []))
        answer = self._content(path, m)
        if m.option(OBSERVE) is not None:
            if m.uint(OBSERVE) == 0 and self.observe:
                self.observers[(peer, m.token)] = path
                answer.options.append((OBSERVE, uint(self.sequence)))
            elif m.uint(OBSERVE) == 1 and self.observers.pop((peer, m.token), None) is not None:
                self.canceled.put(path)
        return answer

    def _write(self, path, m, peer):
        part = m.block(BLOCK1)
        body = m.payload
        if part:
            number, more, size = part
            whole = self.bodies.setdefault((peer, path), b"") if number else b""
            if len(whole) != number * size:
                return Message(code=code("4.08"))
            self.bodies[(peer, path)] = whole + body
            echo = [(BLOCK1, block(number, more, size))]
            if more:
                return Message(code=code("2.31"), options=echo)
            body = self.bodies.pop((peer, path))
        else:
            echo = []
        wanted = m.all(IF_MATCH)
        if wanted and (path not in self.values or (b"" not in wanted and self.etag(path) not in wanted)):
            return Message(code=code("4.12"), options=echo)
        new = path not in self.values
        if not new and m.option(IF_NONE_MATCH) is not None:
            return Message(code=code("4.12"), options=echo)
        self.values[path] = body
        if m.option(CONTENT_FORMAT) is not None:
            self.formats[path] = m.uint(CONTENT_FORMAT)
        return Message(code=code("2.01" if new else "2.04"), options=echo)
