"""Foreign CoAP servers over DTLS and TLS: shared keys, certificates of both sides, names, and libcoap's server as the other side."""
import pytest

from libbridge import errors
from peers import coap
from peers.certificates import Authority
from peers.coap import Socket
from peers.libcoap import coap_server

LONG = 30
KEY = "lamp:00112233445566778899aabbccddeeff\n"

secure = pytest.mark.parametrize("scheme", ["coaps", "coaps+tcp"])


@pytest.fixture
def site(make_bridge):
    return make_bridge(clock=None)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    it = Authority(tmp_path_factory.mktemp("authority"))
    it.sign("server")
    it.sign("elsewhere", san="DNS:elsewhere.example")
    it.sign("lamp-7", san="DNS:lamp-7")
    return it


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"))


def named(authority, name):
    return f"cert={authority.directory / (name + '.pem')}&key={authority.directory / (name + '.key')}"


def server(make_bridge, url):
    far = make_bridge(url, clock=None)
    far.publish("temp", "21.5", retain=True)
    return far, far.listeners[0].split("?")[0]


def join(site, url, more):
    site.connect(url + "?as=plant/{path...}&discover=no&retry=10&" + more)


def heard(watch, value):
    assert any(message.payload == value for message in watch)


@secure
def test_with_a_shared_key_it_is_read_written_and_watched(scheme, site, make_bridge, tmp_path):
    (tmp_path / "keys").write_text(KEY)
    far, url = server(make_bridge, f"{scheme}://127.0.0.1:0?psk_file={tmp_path / 'keys'}")
    join(site, url, f"psk_file={tmp_path / 'keys'}")

    assert site.get("plant/temp", timeout=LONG).payload == b"21.5"
    site.put("plant/big", b"y" * 50000, timeout=LONG)
    assert far.get("big").payload == b"y" * 50000
    watch = site.subscribe("plant/temp")
    heard(watch, b"21.5")
    far.publish("temp", "22", retain=True)
    heard(watch, b"22")


@secure
def test_with_a_wrong_key_it_is_unreachable(scheme, site, make_bridge, tmp_path):
    (tmp_path / "theirs").write_text("lamp:0011\n")
    (tmp_path / "ours").write_text("lamp:2233\n")
    _, url = server(make_bridge, f"{scheme}://127.0.0.1:0?psk_file={tmp_path / 'theirs'}")
    join(site, url, f"psk_file={tmp_path / 'ours'}")

    with pytest.raises((errors.Unreachable, errors.Timeout)):
        site.get("plant/temp", timeout=LONG)


@secure
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_is_verified_by_name_or_address(scheme, host, site, make_bridge, authority):
    far, url = server(make_bridge, f"{scheme}://127.0.0.1:0?{named(authority, 'server')}")
    join(site, url.replace("127.0.0.1", host), f"ca={authority.file}")

    assert site.get("plant/temp", timeout=LONG).payload == b"21.5"


def test_a_certificate_is_chosen_by_the_name_that_is_asked_for(site, make_bridge, authority):
    both = named(authority, "elsewhere") + "&" + named(authority, "server")
    _, url = server(make_bridge, f"coaps+tcp://127.0.0.1:0?{both}")
    join(site, url.replace("127.0.0.1", "localhost"), f"ca={authority.file}")

    assert site.get("plant/temp", timeout=LONG).payload == b"21.5"


@secure
def test_who_is_not_whom_we_want_is_not_believed(scheme, site, make_bridge, authority, stranger, tmp_path):
    (tmp_path / "keys").write_text(KEY)
    _, right = server(make_bridge, f"{scheme}://127.0.0.1:0?{named(authority, 'server')}")
    _, wrong = server(make_bridge, f"{scheme}://127.0.0.1:0?{named(authority, 'elsewhere')}")
    ways = {"stranger": (right, f"ca={stranger.file}"), "name": (wrong, f"ca={authority.file}"), "key": (right, f"psk_file={tmp_path / 'keys'}")}

    for name, (url, more) in ways.items():
        site.connect(f"{url}?as={name}/{{path...}}&discover=no&retry=10&{more}")
        with pytest.raises((errors.Unreachable, errors.Timeout)):
            site.get(name + "/temp", timeout=LONG)
    site.connect(f"{wrong}?as=any/{{path...}}&discover=no&retry=10&verify=no")
    assert site.get("any/temp", timeout=LONG).payload == b"21.5"


@secure
def test_our_certificate_is_our_name_there(scheme, site, make_bridge, authority, tmp_path):
    (tmp_path / "rules").write_text("user lamp-7\ntopic readwrite #\n")
    _, url = server(make_bridge, f"{scheme}://127.0.0.1:0?{named(authority, 'server')}&ca={authority.file}&acl_file={tmp_path / 'rules'}")
    join(site, url, f"ca={authority.file}&{named(authority, 'lamp-7')}")
    site.connect(f"{url}?as=other/{{path...}}&discover=no&retry=10&ca={authority.file}&{named(authority, 'elsewhere')}")

    assert site.get("plant/temp", timeout=LONG).payload == b"21.5"
    with pytest.raises(errors.Denied):
        site.get("other/temp", timeout=LONG)


@secure
def test_libcoaps_server_with_a_shared_key(scheme, site, tmp_path):
    (tmp_path / "key").write_text("me:" + b"secretkey".hex() + "\n")
    with coap_server("-k", "secretkey", "-h", "hint", secure=True) as port:
        join(site, f"{scheme}://127.0.0.1:{port + 1}", f"psk_file={tmp_path / 'key'}")

        assert b"libcoap" in site.get("plant", timeout=LONG).payload
        site.put("plant/example_data", b"z" * 5000, timeout=LONG)
        assert site.get("plant/example_data", timeout=LONG).payload == b"z" * 5000


@secure
def test_libcoaps_server_with_certificates_of_both_sides(scheme, site, authority, stranger):
    cert, key = authority.directory / "server.pem", authority.directory / "server.key"
    with coap_server("-c", cert, "-j", key, "-C", authority.file, "-R", authority.file, secure=True) as port:
        url = f"{scheme}://127.0.0.1:{port + 1}"
        join(site, url, f"ca={authority.file}&{named(authority, 'lamp-7')}")
        site.connect(f"{url}?as=plain/{{path...}}&discover=no&retry=10&ca={authority.file}")   # no certificate of ours

        assert b"libcoap" in site.get("plant", timeout=LONG).payload
        with pytest.raises((errors.Unreachable, errors.Timeout)):
            site.get("plain", timeout=LONG)


def test_the_forward_proxy_reaches_servers_over_tls(start_bridged, make_bridge, authority):
    _, url = server(make_bridge, f"coaps+tcp://127.0.0.1:0?{named(authority, 'server')}")
    proxy = start_bridged("coap://127.0.0.1:0?proxy=coaps%2Btcp://127.0.0.1:*", env={"SSL_CERT_FILE": str(authority.file)})

    with Socket(proxy.port("coap")) as client:
        answer = client.get("", options=[(coap.PROXY_URI, (url.rstrip("/") + "/temp").encode())])

    assert (answer.says, answer.payload) == ("2.05", b"21.5")
