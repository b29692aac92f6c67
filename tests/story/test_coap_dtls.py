"""CoAP over DTLS (RFC 7252 9): pre-shared keys and certificates, with libcoap's clients; who they proved to be is told to policy."""
import socket
import subprocess
import time

import pytest

from peers.certificates import Authority
from peers.process import run
from peers.tools import need

KEYS = "# devices\nlamp-7:6c616d7073656372657431\nfan-1:66616e736563726574313233\n"


@pytest.fixture(params=["openssl", "gnutls"])
def client(request):
    program = need("coap-client-" + request.param)

    def call(port, *options, path="x", check=True):
        return run(program, "-B", "25", *options, f"coaps://127.0.0.1:{port}/r/{path}", check=check, timeout=30)
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


def test_one_name_has_one_rate_from_all_its_addresses(make_bridge, still, client, keys):
    port = make_bridge(f"coaps://127.0.0.1:0/r?psk_file={keys}&max_rate=3", clock=still).port("coaps")

    def ask(*me):
        return client(port, *me, "-m", "get", check=False).stderr

    lamp, fan = ("-u", "lamp-7", "-k", "lampsecret1"), ("-u", "fan-1", "-k", "fansecret123")
    assert [b"4.29" in ask(*lamp) for _ in range(5)] == [False] * 3 + [True] * 2     # each from a port of its own; the clock stands
    assert b"4.04" in ask(*fan)


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


def test_keys_that_change_hold_from_then_on(start_bridged, client, keys):
    port = start_bridged(f"coaps://127.0.0.1:0/r?psk_file={keys}").port("coaps")
    client(port, "-u", "lamp-7", "-k", "lampsecret1", "-m", "put", "-e", "before")

    keys.write_text("lamp-8:6e6577\n")

    for _ in range(200):                                             # it looks once a second
        time.sleep(0.1)
        if client(port, "-B", "2", "-u", "lamp-8", "-k", "new", "-m", "get", check=False).stdout.strip() == b"before":
            break
    else:
        raise AssertionError("the new key is not known")
    client(port, "-B", "2", "-u", "lamp-7", "-k", "lampsecret1", "-m", "put", "-e", "after", check=False)
    assert client(port, "-u", "lamp-8", "-k", "new", "-m", "get").stdout.strip() == b"before"


def test_a_certificate_that_was_taken_back_is_refused(start_bridged, tmp_path):
    program, authority = need("coap-client-openssl"), Authority(tmp_path)
    cert, key = authority.sign("server")
    good, good_key = authority.sign("good")
    bad, bad_key = authority.sign("bad")
    (tmp_path / "index").write_text("")
    (tmp_path / "number").write_text("01\n")
    (tmp_path / "conf").write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={tmp_path}/index\ncrlnumber={tmp_path}/number\ndefault_md=sha256\n"
                                   "default_crl_days=2\n")
    sign = ("openssl", "ca", "-config", tmp_path / "conf", "-keyfile", tmp_path / "ca.key", "-cert", authority.file)
    subprocess.run([*sign, "-revoke", bad], check=True, capture_output=True)
    subprocess.run([*sign, "-gencrl", "-out", tmp_path / "crl.pem"], check=True, capture_output=True)
    port = start_bridged(f"coaps://127.0.0.1:0/r?cert={cert}&key={key}&ca={authority.file}&crl={tmp_path}/crl.pem").port("coaps")

    def put(with_cert, with_key, value):
        run(program, "-B", "3", "-c", with_cert, "-j", with_key, "-R", authority.file, "-m", "put", "-e", value, f"coaps://127.0.0.1:{port}/r/x",
            check=False, timeout=30)

    put(bad, bad_key, "bad")
    put(good, good_key, "good")
    put(bad, bad_key, "bad")

    got = run(program, "-B", "25", "-c", good, "-j", good_key, "-R", authority.file, "-m", "get", f"coaps://127.0.0.1:{port}/r/x", timeout=30)
    assert got.stdout.strip() == b"good"


def test_certificates_both_ways(start_bridged, certificate):
    program = need("coap-client-openssl")
    port = start_bridged(f"coaps://127.0.0.1:0/r?cert={certificate}/cert.pem&key={certificate}/key.pem"
                         f"&ca={certificate}/cert.pem").port("coaps")
    url = f"coaps://127.0.0.1:{port}/r/x"

    run(program, "-B", "25", "-c", certificate / "cert.pem", "-j", certificate / "key.pem", "-n", "-m", "put", "-e", "1", url)
    with_one = run(program, "-B", "25", "-c", certificate / "cert.pem", "-j", certificate / "key.pem", "-n", "-m", "get", url)
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


def handshake(port, *words):
    """What openssl says of one: New, Reused, or None when there was none."""
    said = subprocess.run(["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", *map(str, words)],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    if said.returncode:                                              # "New, TLSv1.2" may stand there nevertheless
        return None
    return next((line.split(",")[0] for line in said.stdout.decode(errors="replace").splitlines() if line.startswith(("New, TLS", "Reused, TLS"))), None)


@pytest.mark.parametrize("way", ["key", "certificate"])
def test_a_session_is_resumed(start_bridged, keys, certificate, tmp_path, way):     # RFC 5246 7.3, by session id
    need("openssl")
    if way == "key":
        port, me = start_bridged(f"coaps://127.0.0.1:0/r?psk_file={keys}").port("coaps"), ("-psk_identity", "lamp-7", "-psk", b"lampsecret1".hex())
    else:
        port, me = start_bridged(f"coaps://127.0.0.1:0/r?cert={certificate}/cert.pem&key={certificate}/key.pem").port("coaps"), ()
    kept = tmp_path / "session"

    assert handshake(port, *me, "-sess_out", kept) == "New"
    assert handshake(port, *me, "-sess_in", kept) == "Reused"
    assert handshake(port, *me) == "New"


def test_keys_that_have_gone_are_not_resumed(start_bridged, keys, tmp_path):
    need("openssl")
    port = start_bridged(f"coaps://127.0.0.1:0/r?psk_file={keys}").port("coaps")
    kept = tmp_path / "session"
    me = ("-psk_identity", "lamp-7", "-psk", b"lampsecret1".hex())
    assert handshake(port, *me, "-sess_out", kept) == "New"
    keys.write_text("lamp-8:6e6577\n")
    for _ in range(200):                                             # it looks once a second
        time.sleep(0.1)
        if handshake(port, "-psk_identity", "lamp-8", "-psk", b"new".hex()):
            break
    else:
        raise AssertionError("the new key is not known")

    assert handshake(port, *me, "-sess_in", kept) is None
