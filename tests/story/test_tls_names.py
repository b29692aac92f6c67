"""Certificates by server name (SNI), and the PROXY header in front of TLS (docs/security.md)."""
import socket
import ssl
import time

import pytest
from peers.certificates import Authority
from peers.mqtt import Client
from peers.process import PATIENCE

V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 1883\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x9c\x40\x07\x5b"


@pytest.fixture
def authority(tmp_path):
    made = Authority(tmp_path)
    made.sign("default", "DNS:default.example,IP:127.0.0.1")
    made.sign("shop", "DNS:shop.example,DNS:www.shop.example")
    made.sign("many", "DNS:*.many.example")
    return made


def shake(port, authority, name, before=b"", version=None, alpn=None):
    """The common name of the certificate that a server name gets, and what it knows about a connection of it."""
    context = ssl.create_default_context(cafile=authority.file)
    context.check_hostname = False
    if version:
        context.maximum_version = version
    if alpn:
        context.set_alpn_protocols([alpn])
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    for n in range(0, len(before), 7):
        plain.sendall(before[n:n + 7])
    tls = context.wrap_socket(plain, server_hostname=name)
    subject = dict(pair for part in tls.getpeercert()["subject"] for pair in part)
    return subject["commonName"], tls


def name_of(*args, **more):
    subject, tls = shake(*args, **more)
    tls.close()
    return subject


ASKED = [("shop.example", "shop"), ("WWW.Shop.Example", "shop"), ("a.many.example", "many"), ("a.b.many.example", "default"),
         ("many.example", "default"), ("elsewhere.example", "default"), ("default.example", "default"), (None, "default")]


def pairs(directory, *names):
    return "&".join(f"cert={directory}/{n}.pem&key={directory}/{n}.key" for n in names)


@pytest.mark.parametrize("scheme", ["mqtts", "https", "wss"])
def test_the_server_name_chooses(start_bridged, authority, scheme):
    port = start_bridged(f"{scheme}://127.0.0.1:0?{pairs(authority.directory, 'default', 'shop', 'many')}").port(scheme)

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert [(name, name_of(port, authority, name, version=version)) for name, _ in ASKED] == ASKED


def test_a_directory_of_certificates(start_bridged, authority, tmp_path):
    live = tmp_path / "live"
    (live / "many").mkdir(parents=True)
    for name, to in (("default", "a"), ("shop", "shop")):
        for end in (".pem", ".key"):
            (live / (to + end)).write_bytes((tmp_path / (name + end)).read_bytes())
    (live / "many" / "fullchain.pem").write_bytes((tmp_path / "many.pem").read_bytes())
    (live / "many" / "privkey.pem").write_bytes((tmp_path / "many.key").read_bytes())
    port = start_bridged(f"mqtts://127.0.0.1:0?certs={live}").port("mqtts")

    assert [(name, name_of(port, authority, name)) for name, _ in ASKED] == ASKED


def test_a_new_certificate_holds_and_nobody_is_dropped(start_bridged, authority, tmp_path):
    live = tmp_path / "live"
    live.mkdir()

    def put(name, to):
        for end in (".key", ".pem"):
            part = live / ("." + to + end)
            part.write_bytes((tmp_path / (name + end)).read_bytes())
            part.rename(live / (to + end))
    put("default", "a")
    port = start_bridged(f"mqtts://127.0.0.1:0?certs={live}").port("mqtts")
    subject, old = shake(port, authority, "shop.example", alpn="mqtt")
    assert subject == "default" and old.selected_alpn_protocol() == "mqtt"

    put("shop", "b")
    until = time.monotonic() + 60
    while name_of(port, authority, "shop.example") != "shop":  # they are looked at once a second
        assert time.monotonic() < until
        time.sleep(0.05)

    old.sendall(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01x")  # the connection of before goes on
    assert old.recv(4) == b"\x20\x02\0\0"
    assert name_of(port, authority, None) == "default"


@pytest.mark.parametrize("query, words", [
    ("cert={d}/shop.pem&key={d}/shop.key&cert={d}/many.pem", "one for each, or none"),
    ("cert={d}/shop.pem&key={d}/shop.key&key={d}/many.key", "more often than cert="),
    ("key={d}/many.key", "key= without cert="),
    ("cert={d}/shop.pem&key={d}/shop.key&cert={d}/many.pem&key={d}/shop.key", "does not belong"),
    ("certs={d}/nowhere", "cannot read the directory"),
    ("certs={d}/empty", "holds no certificates"),
])
def test_mistakes_have_sentences(bridged_program, authority, query, words):
    (authority.directory / "empty").mkdir()
    code, _, err = bridged_program("mqtts://127.0.0.1:0?" + query.format(d=authority.directory))
    assert code in (1, 2) and words in err


@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("scheme", ["mqtts", "https", "wss"])
def test_a_balancer_may_pass_tls_on(start_bridged, authority, scheme, header):
    program = start_bridged(f"{scheme}://127.0.0.1:0?proxy=yes&{pairs(authority.directory, 'default', 'shop')}",
                            options=["--log-level", "info"])

    subject, tls = shake(program.port(scheme), authority, "shop.example", before=header)

    assert subject == "shop"
    if scheme == "mqtts":
        tls.sendall(b"\x10\x0c\0\x04MQTT\x04\0\0\0\0\0")  # no client id and no clean session: refused
        assert tls.recv(4) == b"\x20\x02\0\x02"
        program.wait_for_error("192.0.2.7:40000 refused")
    else:
        tls.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert tls.recv(8) == b"HTTP/1.1"
    tls.close()


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_http_behind_a_balancer(start_bridged, scheme):
    program = start_bridged(f"{scheme}://127.0.0.1:0?proxy=yes")
    with socket.create_connection(("127.0.0.1", program.port(scheme)), PATIENCE) as s:
        s.sendall(V2 + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(8) == b"HTTP/1.1"


def test_without_the_header_tls_does_not_begin(start_bridged, authority):
    program = start_bridged(f"mqtts://127.0.0.1:0?proxy=yes&{pairs(authority.directory, 'default')}")
    with Client(program.port("mqtts")) as c:
        c.send(b"\x16\x03\x01\0\x05hello")
        assert c.closed() == []
