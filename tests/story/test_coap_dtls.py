"""CoAP over DTLS (RFC 7252 9): pre-shared keys and certificates, with libcoap's clients; who they proved to be is told to policy."""
import shutil
import socket
import subprocess

import pytest

from peers.process import run
from peers.tools import need

KEYS = "# devices\nlamp-7:6c616d7073656372657431\nfan-1:66616e736563726574313233\n"


@pytest.fixture(params=["openssl", "gnutls"])
def client(request):
    program = need("coap-client-" + request.param)

    def call(port, *options, path="x", check=True):
        return run(program, "-B", "10", *options, f"coaps://127.0.0.1:{port}/r/{path}", check=check, timeout=20)
    return call


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "devices.psk"
    file.write_text(KEYS)
    return file


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    need("openssl")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=lamp-9", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder


def test_a_device_with_its_key_is_served(start_bridged, client, keys):
    port = start_bridged(f"coaps://127.0.0.1:0/r?psk_file={keys}").port("coaps")
    me = ("-u", "lamp-7", "-k", "lampsecret1")

    client(port, *me, "-m", "put", "-e", "21.5")

    assert client(port, *me, "-m", "get").stdout.strip() == b"21.5"
    assert client(port, "-u", "fan-1", "-k", "fansecret123", "-m", "get").stdout.strip() == b"21.5"


def test_large_bodies_cross(start_bridged, client, keys, tmp_path):
    port = start_bridged(f"coaps://127.0.0.1:0/r?psk_file={keys}").port("coaps")
    me = ("-u", "lamp-7", "-k", "lampsecret1")
    body = bytes(range(33, 127)) * 100
    (tmp_path / "body").write_bytes(body)

    client(port, *me, "-m", "put", "-f", tmp_path / "body")

    assert client(port, *me, "-m", "get").stdout.strip() == body


@pytest.mark.parametrize("name, key", [("lamp-7", "wrong"), ("nobody", "lampsecret1")])
def test_a_wrong_key_is_not_served(start_bridged, client, keys, name, key):
    port = start_bridged(f"coaps://127.0.0.1:0/r?psk_file={keys}").port("coaps")

    client(port, "-u", name, "-k", key, "-m", "put", "-e", "stolen", check=False)

    assert client(port, "-u", "lamp-7", "-k", "lampsecret1", "-m", "get").stdout.strip() == b""


def test_the_rules_know_who_it_is(start_bridged, client, keys, tmp_path):
    (tmp_path / "acl").write_text("user lamp-7\ntopic readwrite x\nuser fan-1\ntopic read x\n")
    port = start_bridged(f"coaps://127.0.0.1:0/r?psk_file={keys}&acl_file={tmp_path}/acl").port("coaps")

    client(port, "-u", "lamp-7", "-k", "lampsecret1", "-m", "put", "-e", "by the lamp")
    client(port, "-u", "fan-1", "-k", "fansecret123", "-m", "put", "-e", "by the fan")

    assert client(port, "-u", "fan-1", "-k", "fansecret123", "-m", "get").stdout.strip() == b"by the lamp"


def test_certificates_both_ways(start_bridged, certificate):
    program = need("coap-client-openssl")
    port = start_bridged(f"coaps://127.0.0.1:0/r?cert={certificate}/cert.pem&key={certificate}/key.pem"
                         f"&ca={certificate}/cert.pem").port("coaps")
    url = f"coaps://127.0.0.1:{port}/r/x"

    run(program, "-B", "10", "-c", certificate / "cert.pem", "-j", certificate / "key.pem", "-n", "-m", "put", "-e", "1", url)
    with_one = run(program, "-B", "10", "-c", certificate / "cert.pem", "-j", certificate / "key.pem", "-n", "-m", "get", url)
    without = run(program, "-B", "5", "-n", "-m", "get", url, check=False)

    assert with_one.stdout.strip() == b"1"
    assert b"cannot send" in without.stdout + without.stderr


def test_noise_makes_no_session(start_bridged, client, keys):
    port = start_bridged(f"coaps://127.0.0.1:0/r?psk_file={keys}").port("coaps")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        hello = bytes.fromhex("16feff000000000000000000") + b"\x00\x40" + b"\x01" + b"\x00" * 63
        for n in range(500):
            other.sendto(hello[:14 + n % 60], ("127.0.0.1", port))
            other.sendto(bytes([22 + n % 3]) + bytes(n % 50), ("127.0.0.1", port))
            other.sendto(b"\x40\x01\x00\x01\xb1r", ("127.0.0.1", port))

    assert client(port, "-u", "lamp-7", "-k", "lampsecret1", "-m", "get").returncode == 0


@pytest.mark.parametrize("options, words", [
    ("", "coaps:// wants psk_file=, or cert= and key="),
    ("?psk_file=/nowhere", "cannot read /nowhere"),
    ("?psk_file=BAD", "line 1: the key is"),
    ("?cert=/nowhere", "certificate /nowhere"),
])
def test_what_is_missing_is_said(bridged_program, tmp_path, options, words):
    bad = tmp_path / "bad.psk"
    bad.write_text("lamp:xyz\n")

    code, _, said = bridged_program("coaps://127.0.0.1:0/r" + options.replace("BAD", str(bad)))

    assert code != 0 and words in said
