"""An LwM2M device at packet level: it registers, answers what a server asks, notifies, sends, sleeps, and lies when told to.

    lamp = Device(port, "lamp-7", {(3303, 0, 5700): 21.5, (3, 0, 4): execute})
    lamp.register()
    lamp.next_request().path == "/3303/0/5700"

A thread hears all that comes; whatever the server asks is answered from `resources` and kept in `requests`.  `lies[path]` is a
function (request) -> coap.Message, None (no answer at all), or bytes to be sent as they are.
"""
import base64
import json
import queue
import struct
import threading

from . import coap
from .coap import ACCEPT, CONTENT_FORMAT, OBSERVE, URI_PATH, URI_QUERY, Message, code, uint
from .process import PATIENCE

TEXT, LINKS, OPAQUE, CBOR, SENML_JSON, SENML_CBOR, TLV, LWM2M_JSON, LWM2M_CBOR = 0, 40, 42, 60, 110, 112, 11542, 11543, 11544


def tlv_value(value):
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, int):
        size = next(n for n in (1, 2, 4, 8) if -(1 << 8 * n - 1) <= value < 1 << 8 * n - 1)
        return value.to_bytes(size, "big", signed=True)
    if isinstance(value, float):
        return struct.pack(">d", value)
    return value.encode() if isinstance(value, str) else bytes(value)


def tlv(kind, number, value):
    """One entry; kind: 0 instance, 1 resource instance, 2 multiple, 3 resource (LwM2M 1.0 6.4.3)."""
    wide, length = number > 255, len(value)
    size = 0 if length < 8 else 1 if length < 256 else 2 if length < 65536 else 3
    head = bytes([kind << 6 | wide << 5 | size << 3 | (length if size == 0 else 0)])
    return head + number.to_bytes(1 + wide, "big") + (length.to_bytes(size, "big") if size else b"") + value


def tlv_resource(number, value):
    if isinstance(value, dict):
        return tlv(2, number, b"".join(tlv(1, n, tlv_value(v)) for n, v in value.items()))
    return tlv(3, number, tlv_value(value))


def tlv_parse(data):
    """[(kind, number, bytes)]"""
    at, out = 0, []
    while at < len(data):
        head = data[at]
        at += 1
        wide, size = head >> 5 & 1, head >> 3 & 3
        number = int.from_bytes(data[at:at + 1 + wide], "big")
        at += 1 + wide
        length = int.from_bytes(data[at:at + size], "big") if size else head & 7
        at += size
        assert at + length <= len(data), data
        out.append((head >> 6, number, data[at:at + length]))
        at += length
    return out


def text_of(value):
    if isinstance(value, bool):
        return b"01"[value:value + 1]
    if isinstance(value, bytes):
        return base64.b64encode(value)
    return str(value).encode()


class Request:
    """What a server asked: .verb is "GET", .path "/3303/0/5700", .query ["pmin=5"], .observe 0, 1 or None."""

    VERBS = {1: "GET", 2: "POST", 3: "PUT", 4: "DELETE", 5: "FETCH", 6: "PATCH", 7: "IPATCH"}

    def __init__(self, message):
        self.message = message
        self.verb = self.VERBS.get(message.code, message.says)
        self.path = "/" + "/".join(o.decode() for o in message.all(URI_PATH))
        self.query = [o.decode() for o in message.all(URI_QUERY)]
        self.observe, self.accept = message.uint(OBSERVE), message.uint(ACCEPT)
        self.format, self.payload = message.uint(CONTENT_FORMAT), message.payload

    def __repr__(self):
        return f"{self.verb} {self.path} {self.query} observe={self.observe} format={self.format} {self.payload[:60]!r}"

    def __eq__(self, other):
        return (self.verb, self.path) == other[:2] and (len(other) < 3 or self.payload == other[2])


class Device:
    def __init__(self, port, endpoint, resources=None, *, socket=None, version="1.1", lifetime=300, binding=None, queue_mode=False,
                 root=None, links=None, prefer=TLV, host="127.0.0.1"):
        self.socket = socket or coap.Socket(port, host)
        self.server = port
        self.endpoint, self.version, self.lifetime, self.binding = endpoint, version, lifetime, binding
        self.queue_mode, self.root, self.links, self.prefer = queue_mode, root, links, prefer
        self.resources = {} if resources is None else resources
        self.location = None
        self.lies, self.observers, self.attributes = {}, {}, {}
        self.requests, self.resets = queue.Queue(), queue.Queue()
        self.unread = []
        self.blocks = {}
        self.deaf = False
        self._answers, self._wait = {}, threading.Condition()
        self._replies = {}
        self._sequence = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._running = True
        self._thread.start()

    # ---- life

    def close(self):
        self._running = False
        self._thread.join(PATIENCE)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def move(self):
        """From now on it talks from another port, as behind a NAT that has forgotten it."""
        before, self.socket = self.socket, coap.Socket(self.server)
        before.close()

    def _run(self):
        while self._running:
            sock = self.socket
            try:
                data = sock.hear_bytes(0.1)
            except TimeoutError:
                continue
            except (OSError, EOFError):
                if self._running and sock is not self.socket:
                    continue
                if isinstance(sock, coap.Stream):
                    return
                continue
            if not self.deaf:
                try:
                    self._heard(Message.parse(data))
                except OSError:  # the server is gone, or we have moved: it is lost, as any datagram may be
                    if isinstance(sock, coap.Stream):
                        return

    def _heard(self, message):
        if 1 <= message.code < 32:
            self._request(message)
        elif message.code == 0 and message.type == coap.RST:
            self.resets.put(message)
        elif message.code >> 5 in (2, 4, 5):
            if message.type == coap.CON:
                self.socket.ack(message)
            with self._wait:
                self._answers[message.token] = message
                self._wait.notify_all()

    # ---- what it asks

    def ask(self, method, path, payload=b"", options=(), query=(), timeout=PATIENCE):
        message = self.socket.request(method, path, payload=payload, options=options, query=query)
        return self.ask_message(message, timeout)

    def ask_message(self, message, timeout=PATIENCE):
        self.socket.send(message)
        with self._wait:
            assert self._wait.wait_for(lambda: message.token in self._answers, timeout), f"no answer to {message}"
            return self._answers.pop(message.token)

    def link_text(self):
        if self.links is not None:
            return self.links
        root = self.root or ""
        instances = sorted({path[:2] for path in self.resources if path[0] != 0})
        first = [f'<{root or "/"}>;rt="oma.lwm2m"'] if root else []
        return ",".join(first + [f"<{root}/{o}/{i}>" for o, i in instances])

    def register_query(self):
        query = [] if self.endpoint is None else [f"ep={self.endpoint}"]
        query += [f"lt={self.lifetime}"] if self.lifetime is not None else []
        query += [f"lwm2m={self.version}"] if self.version else []
        query += [f"b={self.binding}"] if self.binding else []
        return query + (["Q"] if self.queue_mode else [])

    def register(self, expect="2.01", query=None, block=None):
        """block: the links go in blocks of so many bytes, without Size1."""
        query = self.register_query() if query is None else query
        options, body = [(CONTENT_FORMAT, uint(LINKS))], self.link_text().encode()
        if block:
            for at in range(0, len(body), block):
                more = at + block < len(body)
                answer = self.ask(coap.POST, "rd", body[at:at + block], query=query,
                                  options=[*options, (coap.BLOCK1, coap.block(at // block, more, block))])
                assert not more or answer.says == "2.31", answer
        else:
            answer = self.ask(coap.POST, "rd", body, options, query)
        assert answer.says == expect, answer
        if answer.says == "2.01":
            self.location = "/".join(o.decode() for o in answer.all(coap.LOCATION_PATH))
        return answer

    def update(self, query=(), links=None, expect="2.04", location=None):
        options = [] if links is None else [(CONTENT_FORMAT, uint(LINKS))]
        answer = self.ask(coap.POST, location or self.location, (links or "").encode(), options, query)
        assert answer.says == expect, answer
        return answer

    def deregister(self, expect="2.02", location=None):
        answer = self.ask(coap.DELETE, location or self.location)
        assert answer.says == expect, answer
        return answer

    def send_values(self, records, expect="2.04"):
        """LwM2M 1.1 Send: records as SenML JSON says them."""
        answer = self.ask(coap.POST, "dp", json.dumps(records).encode(), [(CONTENT_FORMAT, uint(SENML_JSON))])
        assert answer.says == expect, answer
        return answer

    # ---- what it is asked

    def next_request(self, timeout=PATIENCE):
        try:
            return self.requests.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"{self.endpoint} was asked nothing") from None

    def wait_request(self, verb, path, timeout=PATIENCE):
        """The next request of that kind; what else there was is kept in `unread`."""
        while True:
            request = self.next_request(timeout)
            if request == (verb, path):
                return request
            self.unread.append(request)

    def forget_requests(self):
        while not self.requests.empty():
            self.unread.append(self.requests.get_nowait())

    def _request(self, message):
        again = self._replies.get((message.id, message.token))
        if again and message.type == coap.CON:                       # RFC 7252 4.5: heard before, and answered as before
            self.socket.send(again)
            return
        request = Request(message)
        if message.option(coap.BLOCK1) is not None and not self._block(request):
            return
        self.requests.put(request)
        path = request.path
        lie = self.lies.get((request.verb, path)) or self.lies.get(path)
        answer = lie(request) if lie else self._serve(request)
        if answer is None:
            return
        if isinstance(answer, bytes):
            self.socket.socket.send(answer)
            return
        self.reply(request, answer)

    def _block(self, request):
        num, more, size = request.message.block(coap.BLOCK1)
        key = (request.verb, request.path)
        if num == 0:
            self.blocks[key] = b""
        self.blocks[key] += request.payload
        if more:
            self.reply(request, Message(code=code("2.31"), options=[(coap.BLOCK1, coap.block(num, True, size))]))
            return False
        request.payload = self.blocks.pop(key)
        return True

    def reply(self, request, answer):
        asked = request.message
        answer.token = asked.token
        if asked.type == coap.CON:
            answer.type, answer.id = coap.ACK, asked.id
        else:
            answer.type, answer.id = coap.NON, self.socket.new_id()
        if asked.option(coap.BLOCK1) is not None and answer.option(coap.BLOCK1) is None:
            num, more, size = asked.block(coap.BLOCK1)
            answer.options.append((coap.BLOCK1, coap.block(num, False, size)))
        self._replies[asked.id, asked.token] = answer
        self.socket.send(answer)

    def ids(self, path):
        root = (self.root or "").strip("/")
        parts = [p for p in path.split("/") if p]
        if root and parts[:1] == [root]:
            parts = parts[1:]
        return tuple(int(p) for p in parts)

    def below(self, ids):
        return {path: value for path, value in sorted(self.resources.items()) if path[:len(ids)] == ids[:3]}

    def _serve(self, request):
        try:
            ids = self.ids(request.path)
        except ValueError:
            return Message(code=code("4.04"))
        return getattr(self, "on_" + request.verb.lower())(request, ids)

    def on_get(self, request, ids):
        if request.accept == LINKS:
            return Message(code=code("2.05"), options=[(CONTENT_FORMAT, uint(LINKS))], payload=self.discover(ids).encode())
        answer = self.content(ids, request.accept)
        if answer.says == "2.05" and request.observe == 0:
            self.observers[request.path] = (request.message.token, request.accept)
            answer.options.append((OBSERVE, uint(self._next_sequence())))
        elif request.observe == 1:
            self.observers.pop(request.path, None)
        return answer

    def content(self, ids, accept=None):
        found = {p: v for p, v in self.below(ids).items() if not callable(v)}
        if not found:
            return Message(code=code("4.05" if self.below(ids) else "4.04"))
        format = accept if accept is not None else self.prefer
        value = found.get(ids[:3])
        if len(ids) == 4:
            if not isinstance(value, dict) or ids[3] not in value:
                return Message(code=code("4.04"))
            value = value[ids[3]]
            body = tlv(1, ids[3], tlv_value(value))
        elif len(ids) == 3:
            body = tlv_resource(ids[2], value)
        elif len(ids) == 2:
            body = b"".join(tlv_resource(p[2], v) for p, v in found.items())
        else:
            body = b"".join(tlv(0, i, b"".join(tlv_resource(p[2], v) for p, v in found.items() if p[1] == i))
                            for i in sorted({p[1] for p in found}))
        if format in (TEXT, OPAQUE) and len(ids) >= 3 and not isinstance(value, dict):
            body = value if format == OPAQUE else text_of(value)
        elif format == SENML_JSON:
            body = json.dumps(self.senml(found, ids)).encode()
        elif format != TLV:
            return Message(code=code("4.06"))
        return Message(code=code("2.05"), options=[(CONTENT_FORMAT, uint(format))], payload=body)

    def senml(self, found, ids=()):
        out = []
        for path, value in found.items():
            for n, v in value.items() if isinstance(value, dict) else [(None, value)]:
                if n is not None and len(ids) == 4 and n != ids[3]:
                    continue
                name = "/" + "/".join(map(str, path)) + ("" if n is None else f"/{n}")
                key = "vb" if isinstance(v, bool) else "vs" if isinstance(v, str) else "vd" if isinstance(v, bytes) else "v"
                out.append({"n": name, key: base64.urlsafe_b64encode(v).rstrip(b"=").decode() if key == "vd" else v})
        return out

    def discover(self, ids):
        links = [f"<{self.root or ''}/" + "/".join(map(str, ids)) + ">" + "".join(f";{a}" for a in self.attributes.get(ids, []))]
        seen = set()
        for path in self.below(ids):
            for depth in range(len(ids) + 1, 4):
                if path[:depth] not in seen:
                    seen.add(path[:depth])
                    links.append(f"<{self.root or ''}/" + "/".join(map(str, path[:depth])) + ">" +
                                 "".join(f";{a}" for a in self.attributes.get(path[:depth], [])))
        return ",".join(links)

    def on_put(self, request, ids):
        if request.query and not request.payload:
            self.attributes[ids] = request.query
            return Message(code=code("2.04"))
        if len(ids) == 2:
            for path in list(self.below(ids)):
                if not callable(self.resources[path]):
                    del self.resources[path]
        return self.write(request, ids)

    def on_post(self, request, ids):
        if len(ids) == 1:
            known = {p[1] for p in self.resources if p[0] == ids[0]}
            entries = tlv_parse(request.payload) if request.format == TLV else []
            if entries and entries[0][0] == 0:
                number, request.payload = entries[0][1], entries[0][2]
            else:
                number = max(known, default=-1) + 1
            self.write(request, (ids[0], number))
            return Message(code=code("2.01"), options=[(coap.LOCATION_PATH, str(ids[0]).encode()),
                                                       (coap.LOCATION_PATH, str(number).encode())])
        if len(ids) == 3:
            resource = self.resources.get(ids)
            if not callable(resource):
                return Message(code=code("4.05" if resource is not None else "4.04"))
            resource(request.payload)
            return Message(code=code("2.04"))
        return self.write(request, ids)

    def on_delete(self, request, ids):
        gone = self.below(ids)
        for path in gone:
            del self.resources[path]
        return Message(code=code("2.02" if gone else "4.04"))

    def on_fetch(self, request, ids):
        base, names, found = "", [], {}
        for record in json.loads(request.payload):
            base = record.get("bn", base)
            names.append(base + record.get("n", ""))
        for name in names:
            found.update({p: v for p, v in self.below(self.ids(name)).items() if not callable(v)})
        answer = Message(code=code("2.05"), options=[(CONTENT_FORMAT, uint(SENML_JSON))], payload=json.dumps(self.senml(found)).encode())
        if request.observe == 1:
            self.observers.pop("fetch " + " ".join(names), None)
        if request.observe == 0:
            self.observers["fetch " + " ".join(names)] = (request.message.token, SENML_JSON)
            answer.options.append((OBSERVE, uint(self._next_sequence())))
        return answer

    def on_ipatch(self, request, ids):
        base = ""
        for record in json.loads(request.payload):
            base = record.get("bn", base)
            value = next(record[k] for k in ("v", "vs", "vb", "vd") if k in record)
            self.resources[self.ids(base + record.get("n", ""))] = value
        return Message(code=code("2.04"))

    def cast(self, path, data):
        was = self.resources.get(path)
        if isinstance(was, bool):
            return data != b"\0"
        if isinstance(was, int):
            return int.from_bytes(data, "big", signed=True)
        if isinstance(was, float):
            return struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
        return data.decode() if isinstance(was, str) else data

    def write(self, request, ids):
        if request.format == TLV:
            for kind, number, data in tlv_parse(request.payload):
                path = ids[:2] + ((number,) if len(ids) < 4 else (ids[2],))
                if kind == 2:
                    self.resources[path] = {n: d for _, n, d in tlv_parse(data)}
                elif len(ids) == 4:
                    self.resources.setdefault(path, {})[number] = data
                else:
                    self.resources[path] = self.cast(path, data)
        elif request.format in (None, TEXT) and len(ids) == 3:
            was, text = self.resources.get(ids), request.payload.decode()
            self.resources[ids] = text == "1" if isinstance(was, bool) else type(was)(text) if was is not None else text
        elif request.format == OPAQUE and len(ids) == 3:
            self.resources[ids] = request.payload
        elif request.format == SENML_JSON:
            return self.on_ipatch(request, ids)
        else:
            return Message(code=code("4.15"))
        return Message(code=code("2.04"))

    # ---- what it tells

    def _next_sequence(self):
        self._sequence += 1
        return self._sequence

    def notify(self, path, value=None, *, sequence=None, type=coap.NON, payload=None, format=None, token=None):
        """Notifies who observes `path`; a new value is taken first."""
        if value is not None:
            self.resources[self.ids(path)] = value
        known, accept = self.observers.get(path, (None, None))
        assert token or known, f"nobody observes {path}: {self.observers}"
        answer = self.content(self.ids(path), accept) if payload is None else \
            Message(code=code("2.05"), options=[(CONTENT_FORMAT, uint(format))], payload=payload)
        answer.options.append((OBSERVE, uint(self._next_sequence() if sequence is None else sequence)))
        answer.type, answer.id, answer.token = type, self.socket.new_id(), token or known
        self.socket.send(answer)
        return answer


def heard(client, topic=None):
    """The next message of an MQTT client (at that topic, others are passed over): (topic, value), JSON read."""
    while True:
        packet = client.message()
        if topic is None or packet.topic == topic:
            try:
                return packet.topic, json.loads(packet.payload)
            except ValueError:
                return packet.topic, packet.payload
