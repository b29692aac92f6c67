"""CoAP over TCP (RFC 8323): capabilities first, frames of any size in any pieces, signals, and the same resources."""
import socket

import pytest

from peers import coap
from peers.coap import ABORT, BLOCK_WISE, CSM, MAX_MESSAGE_SIZE, RELEASE, Message, Socket, Stream, frame, uint
from peers.process import run
from peers.tools import coap_get, coap_put, need


@pytest.fixture
def port(start_bridged):
    return start_bridged("coap+tcp://127.0.0.1:0/r").port("coap+tcp")


@pytest.fixture
def client(port):
    with Stream(port) as it:
        yield it


def test_the_server_says_first_what_it_can(port):
    with Stream(port, hello=False) as client:
        assert client.csm.code == CSM
        assert client.csm.uint(MAX_MESSAGE_SIZE) > 1 << 20
        assert client.csm.option(BLOCK_WISE) == b""


def test_values_cross(client):
    assert client.put("r/x", "1").says == "2.01"
    answer = client.get("r/x")
    assert (answer.says, answer.payload) == ("2.05", b"1")
    assert client.delete("r/x").says == "2.02"


@pytest.mark.parametrize("size", [0, 12, 13, 268, 269, 1024, 65804, 65805, 500000])
def test_bodies_of_any_size_go_in_one_message(client, size):
    body = bytes(n % 251 for n in range(size))

    client.put("r/x", body)

    answer = client.get("r/x")
    assert answer.payload == body and answer.option(coap.BLOCK2) is None


def test_a_message_may_come_in_pieces_and_many_at_once(client):
    data = frame(client.request(coap.PUT, "r/x", payload="piece by piece", token=b"1"))
    for n in range(len(data)):
        client.socket.sendall(data[n:n + 1])
    assert client.hear().token == b"1"

    client.socket.sendall(b"".join(frame(client.request(coap.GET, "r/x", token=bytes([n]))) for n in range(100)))
    assert [client.hear().token for _ in range(100)] == [bytes([n]) for n in range(100)]


def test_who_takes_little_gets_blocks(port):
    with Stream(port, hello=False) as client:
        client.send(Message(code=CSM))                               # RFC 8323 5.3.1: 1152 bytes then
        client.put_all("r/x", b"x" * 3000)
        assert client.get("r/x").block(coap.BLOCK2) == (0, True, 1024)
        assert client.get_all("r/x") == b"x" * 3000


def test_blocks_of_many_kilobytes(client):                           # BERT: RFC 8323 6
    body = bytes(n % 251 for n in range(5000))
    first = client.put("r/x", body[:4096], options=[(coap.BLOCK1, uint(0 << 4 | 8 | 7))])
    assert first.says == "2.31"
    assert client.put("r/x", body[4096:], options=[(coap.BLOCK1, uint(4 << 4 | 7))]).says == "2.01"
    assert client.get("r/x").payload == body


def test_an_observer_sees_what_comes(client, port):
    _, watch = client.observe("r/x")
    with Stream(port) as other:
        for n in range(20):
            other.put("r/x", str(n))
    assert [watch.hear().payload for _ in range(20)] == [str(n).encode() for n in range(20)]
    watch.cancel()
    client.put("r/x", "no more")
    assert client.silent()


def test_a_ping_is_answered(client):
    assert client.ping()


def test_empty_messages_are_ignored(client):                         # RFC 8323 3.4
    client.socket.sendall(b"\x00\x00")
    assert client.ping()


@pytest.mark.parametrize("why, data", [
    ("CSM must come first", frame(Message(code=coap.GET, options=[(11, b"r")]))),
    ("unknown CSM option", frame(Message(code=CSM, options=[(9, b"")]))),
    ("message format error", b"\x09\x01" + b"123456789"),
    ("message format error", b"\x10\x01\xff"),
    ("message over the size we told", b"\xf0\xff\xff\xff\xff\x01"),
    ("unknown signal", frame(Message(code=CSM)) + frame(Message(code=coap.code("7.31")))),
])
def test_nonsense_is_aborted_with_a_sentence(port, why, data):
    with Stream(port, hello=False) as client:
        client.socket.sendall(data)

        last = client.hear()
        assert (last.code, last.payload.decode()) == (ABORT, why)
        assert client.ended()
    with Stream(port) as other:
        assert other.ping()


@pytest.mark.parametrize("signal", [RELEASE, ABORT])
def test_a_goodbye_is_taken(client, signal):
    client.send(Message(code=signal))
    assert client.ended()


def test_the_end_of_the_server_is_told(start_bridged):
    program = start_bridged("coap+tcp://127.0.0.1:0/r")
    with Stream(program.port("coap+tcp")) as client:
        client.observe("r/x")
        program.stop()
        assert client.hear().code == RELEASE
        assert client.ended()


def test_the_same_paths_over_udp_and_tcp(start_bridged):
    program = start_bridged("coap+tcp://127.0.0.1:0/r", "coap://127.0.0.1:0/r")
    with Stream(program.port("coap+tcp")) as tcp, Socket(program.port("coap")) as udp:
        _, watch = udp.observe("r/x")
        tcp.put("r/x", "over tcp")
        assert watch.hear().payload == b"over tcp"


def test_coap_client_is_content(port):
    url = f"coap+tcp://127.0.0.1:{port}/r/x"
    coap_put(url, "21.5")
    assert coap_get(url).strip() == b"21.5"


# ---- TLS

@pytest.mark.parametrize("flavour", ["openssl", "gnutls"])
def test_over_tls_with_a_shared_key(start_bridged, tmp_path, flavour):
    program = need("coap-client-" + flavour)
    (tmp_path / "keys").write_text("lamp-7:6c616d7073656372657431\n")
    (tmp_path / "acl").write_text("user lamp-7\ntopic readwrite #\n")
    port = start_bridged(f"coaps+tcp://127.0.0.1:0/r?psk_file={tmp_path}/keys&acl_file={tmp_path}/acl").port("coaps+tcp")
    url, me = f"coaps+tcp://127.0.0.1:{port}/r/x", ("-B", "10", "-u", "lamp-7", "-k", "lampsecret1")

    run(program, *me, "-m", "put", "-e", "21.5", url)

    assert run(program, *me, "-m", "get", url).stdout.strip() == b"21.5"


def test_a_broken_handshake_disturbs_nobody(start_bridged, tmp_path):
    (tmp_path / "keys").write_text("lamp-7:6c616d7073656372657431\n")
    port = start_bridged(f"coaps+tcp://127.0.0.1:0/r?psk_file={tmp_path}/keys").port("coaps+tcp")
    for data in (b"", b"\x00\x01", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 100):
        with socket.create_connection(("127.0.0.1", port)) as other:
            other.sendall(data)

    me = ("-B", "10", "-u", "lamp-7", "-k", "lampsecret1")
    assert run(need("coap-client-openssl"), *me, "-m", "get", f"coaps+tcp://127.0.0.1:{port}/r/x").returncode == 0
