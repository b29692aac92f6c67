"""What HTTP servers say to CoAP clients is kept as a shared cache may (RFC 9111), and asked about when it is stale."""
import http.server
import threading

import pytest

from peers import coap
from peers.coap import ETAG, GET, MAX_AGE, PROXY_URI, Socket, uint

LONG = 30


@pytest.fixture
def web():
    """Says .lines and .value; keeps what it was asked in .asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            it.asked.append((self.command, dict(self.headers.items())))
            tags = [t.strip() for t in self.headers.get("If-None-Match", "").split(",")]
            same = self.command == "GET" and it.lines.get("ETag") in tags
            out = it.value if self.command == "GET" and not same else b""
            self.send_response_only(304 if same else it.status)
            for name, value in {**it.lines, "Content-Length": str(len(out))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(out)

        do_GET = do_PUT = do_DELETE = do

        def log_message(self, *_):
            pass

    it = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    it.asked, it.value, it.status, it.lines = [], b"hello", 200, {}
    it.url = f"http://127.0.0.1:{it.server_port}/x"
    thread = threading.Thread(target=it.serve_forever, daemon=True)
    thread.start()
    yield it
    it.shutdown()
    thread.join(LONG)
    it.server_close()


@pytest.fixture
def proxy(make_bridge):
    b = make_bridge("coap://127.0.0.1:0?proxy=http://127.0.0.1:*", clock=None)
    with Socket(int(b.listeners[0].rpartition(":")[2])) as client:
        yield client


def through(client, web, method=GET, **words):
    return client.ask(method, "", options=[(PROXY_URI, web.url.encode()), *words.pop("options", ())], **words)


@pytest.mark.parametrize("lines", [
    {"Cache-Control": "max-age=300"}, {"Cache-Control": 'public, s-maxage=300, max-age=0'}, {"Cache-Control": "max-age=400", "Age": "100"},
    {"Cache-Control": "max-age=300", "Vary": "Accept"},
    {"Date": "Sat, 21 Nov 2026 12:00:00 GMT", "Expires": "Sat, 21 Nov 2026 12:05:00 GMT"}])
def test_what_is_fresh_is_not_asked_for_again(proxy, web, lines):
    web.lines = lines
    answers = [through(proxy, web) for _ in range(3)]

    assert [a.payload for a in answers] == [b"hello"] * 3
    assert answers[0].uint(MAX_AGE) == 300 and 200 < answers[2].uint(MAX_AGE) <= 300
    assert len(web.asked) == 1


@pytest.mark.parametrize("lines", [
    {}, {"Cache-Control": "max-age=0"}, {"Cache-Control": "no-store, max-age=300"}, {"Cache-Control": "private, max-age=300"},
    {"Cache-Control": "no-cache, max-age=300"}, {"Cache-Control": "max-age=300", "Vary": "Cookie"}, {"Cache-Control": "max-age=300", "Vary": "*"},
    {"Cache-Control": "max-age=100", "Age": "100"}, {"Cache-Control": "max-age=x"}, {"Expires": "0"}])
def test_what_may_not_be_kept_or_is_stale_is_asked_for(proxy, web, lines):
    web.lines = lines
    answers = [through(proxy, web) for _ in range(2)]

    assert [(a.payload, a.uint(MAX_AGE)) for a in answers] == [(b"hello", 0)] * 2
    assert len(web.asked) == 2


@pytest.mark.parametrize("tag", ['"ab12"', '"any words, of theirs"', 'W/"weak"'])
def test_stale_ones_are_revalidated_with_the_servers_own_etag(proxy, web, tag):
    web.lines = {"ETag": tag, "Cache-Control": "max-age=0", "Content-Type": "text/plain"}
    answers = [through(proxy, web) for _ in range(2)]

    assert [(a.says, a.payload, a.uint(coap.CONTENT_FORMAT)) for a in answers] == [("2.05", b"hello", 0)] * 2
    assert [a[1].get("If-None-Match") for a in web.asked] == [None, tag]
    web.value, web.lines = b"new", {"ETag": '"other"', "Cache-Control": "max-age=300"}
    assert through(proxy, web).payload == b"new"
    assert through(proxy, web).payload == b"new"
    assert len(web.asked) == 3


@pytest.mark.parametrize("age", [0, 300])
def test_the_asker_who_has_it_hears_valid(proxy, web, age):
    web.lines = {"ETag": '"any words, of theirs"', "Cache-Control": f"max-age={age}"}
    tag = through(proxy, web).option(ETAG)
    valid = through(proxy, web, options=[(ETAG, tag)])

    assert (valid.says, valid.payload, valid.option(ETAG)) == ("2.03", b"", tag)
    assert len(web.asked) == (1 if age else 2)


def test_an_asker_with_another_tag_hears_the_value(proxy, web):
    web.lines = {"ETag": '"ab12"', "Cache-Control": "max-age=0"}
    through(proxy, web)
    answer = through(proxy, web, options=[(ETAG, b"\x01\x02")])

    assert (answer.says, answer.payload) == ("2.05", b"hello")
    assert web.asked[-1][1]["If-None-Match"] == '"ab12", "0102"'


def test_each_accept_is_kept_apart_and_a_write_ends_all(proxy, web):
    web.lines = {"Cache-Control": "max-age=300"}
    for _ in range(2):
        for accept in (0, 50):
            assert through(proxy, web, options=[(coap.ACCEPT, uint(accept))]).payload == b"hello"
    assert len(web.asked) == 2

    assert through(proxy, web, coap.PUT, payload=b"1").says == "2.04"
    web.value = b"new"
    for accept in (0, 50):
        assert through(proxy, web, options=[(coap.ACCEPT, uint(accept))]).payload == b"new"


def test_errors_are_not_kept(proxy, web):
    web.lines, web.status = {"Cache-Control": "max-age=300"}, 404
    assert [through(proxy, web).says for _ in range(2)] == ["4.04"] * 2
    assert len(web.asked) == 2
