"""What CoAP servers have that is larger than this server would hold comes through /hc/ piece by piece (RFC 8075, RFC 7959)."""
import socket

import pytest

from peers import coap
from peers.coap import GET, code
from peers.coap_device import Device
from peers.process import run
from peers.tools import curl, need

LARGE = bytes(range(256)) * 1200                                         # 300 blocks; max_message is 64 KiB
LONG = 60


@pytest.fixture
def device():
    with Device(etags=False) as it:
        it.values["large"], it.values["small"] = LARGE, b"21.5"
        yield it


@pytest.fixture
def place(make_bridge, device):
    """Where the device is, by HTTP."""
    bridge = make_bridge("http://127.0.0.1:0/resources?hc=coap://127.0.0.1:*", max_message=65536, clock=None)
    place.bridge = bridge
    return f"{bridge.listeners[0].removesuffix('/resources')}/hc/coap://127.0.0.1:{device.port}"


def head(url, *options):
    whole = curl("-i", *options, url, timeout=LONG)[1]
    lines, _, body = whole.partition(b"\r\n\r\n")
    return lines.decode().lower().split("\r\n"), body


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0", "--http2-prior-knowledge"])
def test_it_comes_in_pieces(place, device, version):
    device.formats["large"] = 42
    assert curl(version, place + "/large", timeout=LONG) == (200, LARGE)
    assert device.count(GET, "large") == 1
    assert curl(version, place + "/small") == (200, b"21.5")             # nothing of it is left


def test_its_head_is_that_of_a_value(place, device):
    device.formats["large"], device.max_age = 50, 7
    lines, body = head(place + "/large", "--raw")
    assert {"content-type: application/json", "cache-control: max-age=7", "transfer-encoding: chunked"} <= set(lines)
    assert body.startswith(b"10000\r\n") and body.endswith(b"\r\n0\r\n\r\n") and len(body) < len(LARGE) + 100
    assert not any(line.startswith("content-length") for line in lines)
    assert head(place + "/small")[1] == b"21.5"
    lines, body = head(place + "/large", "--head")
    assert lines[0].endswith("200 ok") and body == b""


def test_two_at_a_time_and_one_connection_for_both(place, device):
    program = need("curl")
    url = place + "/large"
    done = run(program, "-sS", "--max-time", LONG, "--parallel", url, url, "-o", "-", "-o", "-", timeout=LONG + 5)
    assert len(done.stdout) == 2 * len(LARGE)
    done = run(program, "-sS", "--max-time", LONG, url, place + "/small", "-w", "%{num_connects}", timeout=LONG + 5)
    assert done.stdout == LARGE + b"1" + b"21.5" + b"0"


@pytest.mark.parametrize("trouble", ["it changes", "it refuses", "it is lost"])
def test_half_an_answer_is_none(place, device, trouble):
    def serve(device, message, peer):
        part = message.block(coap.BLOCK2)
        number = part[0] if part else 0
        if number == 200 and trouble == "it refuses":
            return coap.Message(code=code("4.04"))
        answer = device._content("large", message)
        if trouble == "it changes":
            answer.options.append((coap.ETAG, b"a" if number < 200 else b"b"))
        if number == 200 and trouble == "it is lost":
            answer.options = [(coap.BLOCK2, coap.block(number, True, 1024))]
            answer.payload = b"short"
        return answer
    device.answer["large"] = serve
    done = run(need("curl"), "-sS", "--max-time", LONG, place + "/large", check=False, timeout=LONG + 5)
    assert done.returncode in (18, 56) and len(done.stdout) < len(LARGE)  # CURLE_PARTIAL_FILE, CURLE_RECV_ERROR
    assert curl(place + "/small") == (200, b"21.5")


def test_who_leaves_ends_it(place, device):
    host, port = place.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), LONG) as client:
        client.sendall(f"GET /hc/coap://127.0.0.1:{device.port}/large HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    assert curl(place + "/large", timeout=LONG) == (200, LARGE)


def test_the_bridge_ends_while_somebody_does_not_read(place, device):    # which the fixtures see to
    host, port = place.split("/")[2].split(":")
    device.client = socket.create_connection((host, int(port)), LONG)
    device.client.sendall(f"GET /hc/coap://127.0.0.1:{device.port}/large HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert device.client.recv(100).startswith(b"HTTP/1.1 200")
