"""HTTP requests that are not as they should be: what each gets, and that nobody else notices."""
import pytest

from peers.http import Http, WebSocket


@pytest.fixture
def port(start_bridged):
    return start_bridged("http://127.0.0.1:0/resources").port("http")


GET = b"GET /resources/a HTTP/1.1\r\n"
PUT = b"PUT /resources/a HTTP/1.1\r\nHost: t\r\n"
REFUSED = [  # (why and RFC, bytes, status)
    ("no Host, RFC 9112 3.2", GET + b"\r\n", 400),
    ("two Hosts, RFC 9112 3.2", GET + b"Host: a\r\nHost: b\r\n\r\n", 400),
    ("a Host with a path", GET + b"Host: a/b\r\n\r\n", 400),
    ("bare LF, RFC 9112 2.2", b"GET /resources/a HTTP/1.1\nHost: a\n\n", 400),
    ("bare CR in a value", GET + b"Host: a\r\nX: a\rb\r\n\r\n", 400),
    ("NUL in a value, RFC 9110 5.5", GET + b"Host: a\r\nX: a\0b\r\n\r\n", 400),
    ("blank before the colon, RFC 9112 5.1", GET + b"Host : a\r\n\r\n", 400),
    ("folded line, RFC 9112 5.2", GET + b"Host: a\r\nX: a\r\n b\r\n\r\n", 400),
    ("no colon", GET + b"Host: a\r\nNonsense\r\n\r\n", 400),
    ("two blanks in the request line", b"GET  /resources/a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a blank in the target", b"GET /resources/a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a fragment in the target", b"GET /resources/a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("HTTP/0.9", b"GET /resources/a\r\n\r\n", 400),
    ("almost HTTP/2", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505),
    ("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", 400),
    ("length and chunks: smuggling CL.TE, RFC 9112 6.1", PUT + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 400),
    ("two lengths: smuggling CL.CL", PUT + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400),
    ("a list of lengths", PUT + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    ("a signed length", PUT + b"Content-Length: +3\r\n\r\nabc", 400),
    ("a hexadecimal length", PUT + b"Content-Length: 0x3\r\n\r\nabc", 400),
    ("a length out of this world", PUT + b"Content-Length: 18446744073709551617\r\n\r\n", 400),
    ("chunked twice: TE.TE", PUT + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501),
    ("chunked misspelt: TE.TE", PUT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    ("chunked in two lines", PUT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", 400),
    ("chunked in HTTP/1.0", b"PUT /resources/a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("a chunk without size", PUT + b"Transfer-Encoding: chunked\r\n\r\n\r\n", 400),
    ("a chunk longer than it says", PUT + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400),
    ("a chunk size out of this world", PUT + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 413),
    ("a body that is too large, before it comes", PUT + b"Content-Length: 99999999999\r\n\r\n", 413),
    ("another expectation, RFC 9110 10.1.1", PUT + b"Expect: tea\r\n\r\n", 417),
    ("a head without end", GET + b"X: " + b"a" * 20000, 431),
    ("too many lines", GET + b"Host: a\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
    ("a target without end", b"GET /" + b"a" * 200000, 414),
]


@pytest.mark.parametrize("data, status", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_could_be_read_in_two_ways_is_refused(port, data, status):
    with Http(port) as other, Http(port) as rude:
        rude.send(data)

        answer = rude.answer()

        assert answer.status == status
        assert answer["content-type"] == "application/problem+json" and answer.json["status"] == status
        assert answer["connection"] == "close"
        assert other.request("GET", "/healthz").status == 200


def test_what_was_refused_is_closed_and_nothing_behind_it_is_read(port):
    with Http(port) as rude, Http(port) as other:
        rude.send(PUT + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPUT /resources/smuggled HTTP/1.1\r\nHost: t\r\n\r\n")

        assert rude.answer().status == 400
        assert rude.is_closed() and rude.buffer == b""
        assert other.request("GET", "/resources/smuggled").status == 404


REFUSED_KINDLY = [  # the request is understood, the connection goes on
    ("a slash inside a segment, docs/mapping.md 1", "GET /resources/a%2Fb", 400),
    ("NUL", "GET /resources/%00", 400),
    ("half an escape", "GET /resources/%4", 400),
    ("not hexadecimal", "GET /resources/%zz", 400),
    ("not UTF-8", "GET /resources/%ff", 400),
    ("an overlong slash", "GET /resources/%c0%af", 400),
    ("a wildcard inside a segment", "GET /resources/a+b", 400),
    ("the rest is not last", "GET /resources/%23/a", 400),
    ("publishing to a pattern", "PUT /resources/a/+", 405),
    ("publishing to the root", "PUT /resources/", 405),
    ("outside of the mount", "GET /elsewhere", 404),
    ("nearly the mount", "GET /resourcesful/a", 404),
    ("no such method", "BREW /resources/a", 501),
    ("TRACE", "TRACE /resources/a", 501),
]


@pytest.mark.parametrize("line, status", [row[1:] for row in REFUSED_KINDLY], ids=[row[0] for row in REFUSED_KINDLY])
def test_what_is_legal_but_wrong_leaves_the_connection_open(port, line, status):
    with Http(port) as http:
        method, target = line.split(" ", 1)

        answer = http.request(method, target)
        assert answer.status == status and (status != 405 or answer["allow"] == "GET, HEAD, OPTIONS")
        assert http.request("GET", "/healthz").text == "ok\n"


def test_a_request_may_come_byte_by_byte_and_many_at_once(port):
    with Http(port) as http:
        for byte in b"PUT /resources/a HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi":
            http.send(bytes([byte]))
        assert http.answer().status == 201

        http.send(b"GET /resources/a HTTP/1.1\r\nHost: t\r\n\r\n" * 100)
        assert [http.answer().text for _ in range(100)] == ["hi"] * 100


def test_chunks_may_be_cut_anywhere(port):
    with Http(port) as http:
        for byte in b"PUT /resources/a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: t\r\n\r\n":
            http.send(bytes([byte]))
        assert http.answer().status == 201
        assert http.request("GET", "/resources/a").text == "abc0123456789"


def test_only_who_asks_is_told_to_go_on(port):  # RFC 9110 10.1.1
    with Http(port) as http:
        http.send(b"PUT /resources/a HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert http.answer().status == 100
        http.send(b"hi")
        assert http.answer().status == 201


def test_http_1_0_closes_unless_it_asks_not_to(port):
    with Http(port) as http:
        http.send(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = http.answer()
        assert (answer.status, answer["connection"]) == (200, "keep-alive")
        http.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert http.answer()["connection"] == "close" and http.is_closed()


BAD_FRAMES = [
    ("not masked, RFC 6455 5.1", b"\x81\x02hi", 1002),
    ("a reserved bit", b"\xc1\x80\0\0\0\0", 1002),
    ("a reserved opcode", b"\x83\x80\0\0\0\0", 1002),
    ("a ping in parts, RFC 6455 5.5", b"\x09\x80\0\0\0\0", 1002),
    ("a ping of 126 bytes", b"\x89\xfe\x00\x7e", 1002),
    ("a length that is not minimal", b"\x81\xfe\x00\x05", 1002),
    ("a part without a beginning", b"\x80\x80\0\0\0\0", 1002),
    ("a beginning inside of another", b"\x01\x80\0\0\0\0\x01\x80\0\0\0\0", 1002),
    ("far too long", b"\x81\xff\x00\x00\x00\x10\x00\x00\x00\x00", 1009),
    ("bytes where JSON is spoken", b"\x82\x80\0\0\0\0", 1003),
    ("a close of one byte", b"\x88\x81\0\0\0\0\x03", 1002),
    ("a close with a code that is none", b"\x88\x82\0\0\0\0\x03\xed", 1002),
]


@pytest.mark.parametrize("data, code", [row[1:] for row in BAD_FRAMES], ids=[row[0] for row in BAD_FRAMES])
def test_a_frame_that_is_none_ends_the_websocket_with_its_code(port, data, code):
    with WebSocket(port) as ws:
        ws.send(data)

        opcode, payload = ws.read()

        assert (opcode, int.from_bytes(payload[:2], "big")) == (ws.CLOSE, code)
        assert ws.is_closed()


BAD_HANDSHAKES = [
    ("another version", {"Sec-WebSocket-Version": "8"}, 426),
    ("no key", {"Sec-WebSocket-Key": ""}, 400),
    ("a key that is too short", {"Sec-WebSocket-Key": "aGk="}, 400),
    ("an unknown subprotocol", {"Sec-WebSocket-Protocol": "soup"}, 400),
]


@pytest.mark.parametrize("headers, status", [row[1:] for row in BAD_HANDSHAKES], ids=[row[0] for row in BAD_HANDSHAKES])
def test_a_handshake_that_is_none_is_an_ordinary_answer(port, headers, status):
    with WebSocket(port, headers=headers) as ws:
        assert ws.said.status == status
        assert ws.request("GET", "/healthz").status == 200


def test_ping_gets_its_pong_and_close_its_close(port):
    with WebSocket(port) as ws:
        ws.frame(ws.PING, b"are you there")
        assert ws.read() == (ws.PONG, b"are you there")
        ws.frame(ws.CLOSE, b"\x03\xe8bye")
        assert ws.read() == (ws.CLOSE, b"\x03\xe8")
        assert ws.is_closed()
