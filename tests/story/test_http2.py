"""HTTP/2: curl and nghttp as its own people use it, and frames by hand for what no client says."""
import contextlib
import socket
import struct
import time

import pytest

pytest.importorskip("libbridge.testing")

from peers import h2  # noqa: E402
from peers.certificates import Authority  # noqa: E402
from peers.h2 import H2  # noqa: E402
from peers.http import Http  # noqa: E402
from peers.process import PATIENCE, run  # noqa: E402
from peers.served import bridge, port  # noqa: E402, F401
from peers.tools import need  # noqa: E402


@pytest.fixture
def peer(port):
    with H2(port) as connection:
        yield connection


def curl(port, target, *options, prior="--http2-prior-knowledge", scheme="http"):
    out = run(need("curl"), "-s", prior, "--max-time", str(PATIENCE), "-w", "\n%{http_code} %{http_version}", *options,
              f"{scheme}://127.0.0.1:{port}{target}")
    text = out.stdout.decode()
    body, _, last = text.rpartition("\n")
    return *last.split(), body


# ---- as its own people use it

def test_every_verb(bridge, port):
    assert curl(port, "/resources/a", "-X", "PUT", "-d", "21.5") == ("201", "2", "")
    assert curl(port, "/resources/a") == ("200", "2", "21.5")
    assert curl(port, "/resources/a", "-X", "PUT", "-d", '{"a":1}')[0] == "204"
    assert curl(port, "/resources/a", "-X", "PATCH", "-d", '{"b":2}', "-H", "Content-Type: application/merge-patch+json")[0] == "204"
    assert curl(port, "/resources/a", "-X", "POST", "-d", "x")[0] == "202"
    assert curl(port, "/resources/a", "-I")[0] == "200"
    assert curl(port, "/resources/", "-H", "Accept: application/json")[2] == '["a"]\n'
    assert curl(port, "/resources/a", "-X", "DELETE")[0] == "204"
    assert curl(port, "/resources/a")[0] == "404"


def test_conditions_and_ranges_are_the_same(bridge, port):
    bridge.put("a", "x" * 100)
    with Http(port) as http:
        tag = http.request("GET", "/resources/a")["etag"]

    assert curl(port, "/resources/a", "-H", f"If-None-Match: {tag}")[0] == "304"
    assert curl(port, "/resources/a", "-r", "0-9") == ("206", "2", "x" * 10)
    assert curl(port, "/resources/a", "-X", "PUT", "-d", "y", "-H", 'If-Match: "0"')[0] == "412"


@pytest.mark.parametrize("size", [0, 1, 65536, 1_000_000])
def test_bodies_both_ways(bridge, port, tmp_path, size):
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))

    status, *_ = curl(port, "/resources/big", "-T", there, "-H", "Content-Type: application/octet-stream")
    again, *_ = curl(port, "/resources/big", "-o", back)

    assert (status, again) == ("201", "200")
    assert (back.read_bytes() if back.exists() else b"") == there.read_bytes()


def test_a_body_that_is_too_large_is_413(port, tmp_path):
    there = tmp_path / "there"
    there.write_bytes(b"x" * 2_000_000)
    assert curl(port, "/resources/big", "-T", there)[0] == "413"
    assert curl(port, "/resources/big", "-T", there, "-H", "Content-Length:")[0] == "413"


def test_over_tls_it_is_chosen_by_alpn(bridge, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.sign("server")
    port = bridge.listen(f"https://127.0.0.1:0/resources?cert={cert}&key={key}").port
    bridge.put("a", "1")

    for prior, version in (("--http2", "2"), ("--http1.1", "1.1"), ("--no-alpn", "1.1")):
        assert curl(port, "/resources/a", "--cacert", authority.file, prior=prior, scheme="https") == ("200", version, "1")


def test_events(bridge, peer):
    bridge.put("t/1", "1")
    stream, heard = peer.ask("GET", "/resources/t/+?observe"), b""
    while b"t/1" not in heard:
        heard += peer.wait(h2.DATA, stream).payload
    bridge.put("t/2", "2")
    while b"t/2" not in heard:
        heard += peer.wait(h2.DATA, stream).payload


def test_many_at_once_in_one_connection(bridge, peer):
    bridge.put("a", "x" * 1000)
    ids = [peer.ask() for _ in range(60)]
    bodies, ends = dict.fromkeys(ids, b""), 0
    while ends < 60:
        frame = peer.read()
        if frame.type == h2.DATA:
            bodies[frame.stream] += frame.payload
            ends += frame.flags & h2.END_STREAM

    assert set(bodies.values()) == {b"x" * 1000}


def test_an_answer_waits_for_its_window_and_others_do_not(bridge, port):
    bridge.put("big", "x" * 500_000)
    bridge.put("a", "1")
    with H2(port, settings=((1, 0), (4, 1000))) as peer:
        big = peer.ask("GET", "/resources/big")
        first = peer.wait(h2.DATA, big)
        assert peer.answer(peer.ask())[1] == b"1"
        peer.send(h2.WINDOW_UPDATE, 0, big, struct.pack("!I", 600_000))
        peer.send(h2.WINDOW_UPDATE, 0, 0, struct.pack("!I", 600_000))
        status, rest = peer.answer(big)
        assert len(first.payload) == 1000 and len(rest) == 499_000


def test_expect_continue(peer):
    peer.send(h2.HEADERS, h2.END_HEADERS, 1, h2.request("PUT", "/resources/a", ("expect", "100-continue")))
    assert peer.wait(h2.HEADERS, 1).status == 100
    peer.send(h2.DATA, h2.END_STREAM, 1, b"21.5")
    assert peer.answer(1)[0] == 201


def test_a_late_answer(bridge, peer):
    @bridge.resource("slow")
    def slow(request):
        return "late"

    assert peer.answer(peer.ask("GET", "/resources/slow")) == (200, b"late")
    waiting = peer.ask("GET", "/resources/b", ("prefer", "wait=100"))
    while bridge.stats()["bridge_http_watchers"] == 0:
        time.sleep(0.01)
    bridge.publish("b", "came")
    assert peer.answer(waiting) == (200, b"came")


def test_who_leaves_early_costs_nothing(bridge, peer):
    waiting = peer.ask("GET", "/resources/b", ("prefer", "wait=100"))
    peer.send(h2.RST_STREAM, 0, waiting, struct.pack("!I", h2.CANCEL))
    stream = peer.ask("GET", "/resources/%23?observe")
    peer.wait(h2.DATA, stream)
    assert bridge.stats()["bridge_http_watchers"] == 1
    peer.send(h2.RST_STREAM, 0, stream, struct.pack("!I", h2.CANCEL))
    assert peer.answer(peer.ask("GET", "/healthz"))[0] == 200
    assert bridge.stats()["bridge_http_watchers"] == 0


def test_closing_says_goaway_and_ends_streams(make_bridge):
    bridge = make_bridge()
    listener = bridge.listen("http://127.0.0.1:0/resources")
    bridge.put("a", "1")
    with H2(listener.port) as peer:
        stream = peer.ask("GET", "/resources/%23?observe")
        peer.wait(h2.DATA, stream)
        listener.close()
        frames = peer.end()

    goaway = [frame for frame in frames if frame.type == h2.GOAWAY]
    assert goaway and goaway[0].code == h2.NO_ERROR
    assert any(frame.stream == stream and frame.flags & h2.END_STREAM for frame in frames if frame.type == h2.DATA)


def test_what_does_not_come_is_given_up(bridge, port):  # slowloris
    with H2(port) as peer, Http(port) as other:
        peer.send(h2.HEADERS, h2.END_HEADERS, 1, h2.request("PUT", "/resources/a", ("content-length", "1000")))
        peer.send(h2.DATA, 0, 1, b"x")
        peer.send(h2.HEADERS, 0, 3, h2.request("PUT", "/resources/a"))
        other.request("GET", "/healthz")
        bridge.clock.advance(seconds=35)
        assert peer.answer(1)[0] == 408


def test_an_idle_connection_says_goodbye(bridge, port):
    with H2(port) as peer, Http(port) as other:
        assert peer.answer(peer.ask("GET", "/healthz"))[0] == 200
        bridge.clock.advance(seconds=76)
        with contextlib.suppress(EOFError):
            other.request("GET", "/healthz")
        assert [frame.code for frame in peer.end() if frame.type == h2.GOAWAY] == [h2.NO_ERROR]


def test_one_who_reads_nothing_is_let_go(bridge, port):
    bridge.put("big", "x" * 500_000)
    with H2(port, settings=((1, 0), (4, 10))) as peer, Http(port) as other:
        stream = peer.ask("GET", "/resources/big")
        peer.wait(h2.DATA, stream)
        for _ in range(8):
            bridge.clock.advance(seconds=5)
            other.request("GET", "/healthz")
        assert peer.wait(h2.RST_STREAM, stream).code in (h2.CANCEL, 2)


# ---- what no client says

def test_a_preface_in_pieces(bridge, port):
    bridge.put("a", "1")
    peer = H2.__new__(H2)
    peer.socket, peer.buffer, peer.last = socket.create_connection(("127.0.0.1", port), PATIENCE), b"", -1
    peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in h2.PREFACE + peer.frame(h2.SETTINGS):
        peer.socket.sendall(bytes([byte]))
    assert peer.answer(peer.ask())[1] == b"1"
    peer.close()


@pytest.mark.parametrize("pairs", [
    [("connection", "close")], [("transfer-encoding", "chunked")], [("Upper", "1")], [("x", "a\r\nHost: b")], [("x", "a\0b")],
    [(":path", "/again")], [("x y", "1")], [("content-length", "5"), ("content-length", "6")], [(":unknown", "1")],
], ids=str)
def test_what_could_mean_two_things_is_refused(peer, pairs):
    status, code = peer.answer(peer.ask("GET", "/resources/a", *pairs))
    assert status in (None, 400) and (status == 400 or code == h2.PROTOCOL_ERROR)
    assert peer.answer(peer.ask("GET", "/healthz"))[0] == 200  # the connection lives


@pytest.mark.parametrize("path", ["/resources/a b", "/resources/a HTTP/1.1\r\nX: ", "", "resources"])
def test_a_path_that_is_none(peer, path):
    status, code = peer.answer(peer.ask("GET", path))
    assert status in (None, 400)
    assert peer.answer(peer.ask("GET", "/healthz"))[0] == 200


def test_a_length_that_is_not_the_bodys(peer):
    stream = peer.ask("PUT", "/resources/a", ("content-length", "5"), body=b"123")
    assert peer.answer(stream) == (None, h2.PROTOCOL_ERROR)


def test_heads_have_an_end(peer):
    big = h2.request("GET", "/resources/a", *((f"x{n}", "v" * 8000) for n in range(6)))
    peer.send(h2.HEADERS, h2.END_STREAM, 1, big[:16000])
    for at in range(16000, len(big), 16000):
        peer.send(h2.CONTINUATION, h2.END_HEADERS if at + 16000 >= len(big) else 0, 1, big[at:at + 16000])
    peer.last = 1
    assert peer.answer(1)[0] == 431
    assert peer.answer(peer.ask("GET", "/resources/a", *((f"x{n}", "1") for n in range(200))))[0] == 431


def ended(peer):
    frames = peer.end()
    return [frame.code for frame in frames if frame.type == h2.GOAWAY]


def flood(peer, frames):
    with contextlib.suppress(OSError):
        for frame in frames:
            peer.socket.sendall(frame)


def test_requests_taken_back_at_once(bridge, peer):  # CVE-2023-44487
    head = h2.request("GET", "/resources/a")
    flood(peer, (peer.frame(h2.HEADERS, 5, n, head) + peer.frame(h2.RST_STREAM, 0, n, struct.pack("!I", h2.CANCEL)) for n in range(1, 40001, 2)))
    ended(peer)
    assert bridge.stats()["bridge_http_connections"] == 0


@pytest.mark.parametrize("kind, flags, payload", [
    (h2.PING, 0, b"12345678"), (h2.SETTINGS, 0, b""), (h2.PRIORITY, 0, b"\0\0\0\0\1"),
], ids=["ping", "settings", "priority"])
def test_frames_for_nothing(bridge, peer, kind, flags, payload):
    flood(peer, (peer.frame(kind, flags, 1 if kind == h2.PRIORITY else 0, payload) * 100 for _ in range(1000)))
    ended(peer)
    assert bridge.stats()["bridge_http_connections"] == 0


def test_a_head_without_end(bridge, peer):  # CVE-2024-28182
    peer.send(h2.HEADERS, 0, 1, h2.request())
    flood(peer, (peer.frame(h2.CONTINUATION, 0, 1, b"") * 100 for _ in range(1000)))
    ended(peer)
    assert bridge.stats()["bridge_http_connections"] == 0


def test_too_many_requests_at_once_are_refused(bridge, peer):
    for _ in range(100):
        peer.ask("GET", "/resources/b", ("prefer", "wait=100"))
    refused = peer.ask("GET", "/resources/b", ("prefer", "wait=100"))
    assert peer.answer(refused) == (None, h2.REFUSED_STREAM)


def test_half_read_bodies_have_an_end(bridge, peer):
    refused, stream, sent = None, -1, 0
    peer.wait(h2.SETTINGS)
    peer.send(h2.SETTINGS, h2.ACK)  # from here on the server's wider windows hold (RFC 9113 6.5.3)
    windows = {0: 1024 * 1024}
    peer.socket.settimeout(PATIENCE)
    for number in range(60):
        stream += 2
        peer.send(h2.HEADERS, h2.END_HEADERS, stream, h2.request("PUT", f"/resources/{number}"))
        for _ in range(12):
            while windows[0] < 16000:
                frame = peer.read()
                if frame.type == h2.WINDOW_UPDATE and frame.stream == 0:
                    windows[0] += struct.unpack("!I", frame.payload)[0]
                elif frame.type == h2.RST_STREAM:
                    refused = frame
            peer.send(h2.DATA, 0, stream, b"x" * 16000)
            windows[0] -= 16000
            sent += 16000
    while refused is None:
        refused = peer.wait(h2.RST_STREAM)
    assert refused.code == h2.REFUSED_STREAM and sent > 5 * 1024 * 1024


@pytest.mark.parametrize("bad", [
    b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # WINDOW_UPDATE of nothing
    b"\x00\x00\x05\x06\x00\x00\x00\x00\x00abcde",             # PING of five bytes
    b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x",                 # DATA on no stream
    b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",                  # a frame of 16 MB
    b"\x00\x00\x00\x05\x04\x00\x00\x00\x01",                  # a push from a client
    b"\x00\x00\x03\x01\x05\x00\x00\x00\x01\xff\xff\xff",      # fields that are none
    b"\x00\x00\x00\x01\x05\x00\x00\x00\x02",                  # an even stream
], ids=["window", "ping", "data", "huge", "push", "hpack", "even"])
def test_broken_frames_end_the_connection(bridge, peer, bad):
    peer.socket.sendall(bad)
    codes = ended(peer)
    assert codes and codes[0] != h2.NO_ERROR
    assert bridge.stats()["bridge_http_connections"] == 0


def test_no_frames_at_all(bridge, port):
    with Http(port) as http:
        http.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
        assert http.answer().status in (400, 505)


def test_the_size_of_a_head_is_told_and_kept(port):  # RFC 9113 6.5.2
    with H2(port) as peer:
        told = peer.wait(h2.SETTINGS).payload
        settings = {int.from_bytes(told[at:at + 2], "big"): int.from_bytes(told[at + 2:at + 6], "big") for at in range(0, len(told), 6)}
        assert settings[6] == 80 * 1024
        big = h2.request("GET", "/resources/" + "a" * 60000, *(("x", "v" * 1000) for _ in range(25)))
        peer.send(h2.HEADERS, h2.END_STREAM, 1, big[:16000])
        for at in range(16000, len(big), 16000):
            peer.send(h2.CONTINUATION, h2.END_HEADERS if at + 16000 >= len(big) else 0, 1, big[at:at + 16000])
        peer.last = 1
        assert peer.answer(1)[0] == 431
        assert peer.answer(peer.ask("GET", "/resources/" + "a" * 12000))[0] == 404
