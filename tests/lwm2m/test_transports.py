"""Devices over DTLS, TCP and TLS, and who they prove to be (LwM2M 1.0 7, 1.1 transport 5)."""
import shutil
import ssl
import subprocess

import pytest

from peers import coap
from peers.coap import Secured, Stream
from peers.lwm2m import heard

ROOM = {(3303, 0, 5700): 21.5, (3311, 0, 5850): False}
KEYS = "lamp-7:6c616d70\nfan-1:66616e\n"

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")


@pytest.fixture
def keys(tmp_path):
    (tmp_path / "devices.psk").write_text(KEYS)
    return tmp_path / "devices.psk"


@pytest.fixture
def secure(make_house, keys):
    return make_house(f"lwm2ms://127.0.0.1:0?psk_file={keys}")


def lamp(house, **words):
    port = house.bridge.port("lwm2ms")
    socket = Secured(port, "-psk_identity", "lamp-7", "-psk", "6c616d70", "-cipher", "PSK-AES128-GCM-SHA256")
    return house.device("lamp-7", dict(ROOM), socket=socket, port=port, **words)


def fan(house, endpoint="fan-1", **words):
    port = house.bridge.port("lwm2ms")
    socket = Secured(port, "-psk_identity", "fan-1", "-psk", "66616e", "-cipher", "PSK-AES128-GCM-SHA256")
    return house.device(endpoint, dict(ROOM), socket=socket, port=port, **words)


def test_over_dtls_with_a_shared_key(secure):
    device = lamp(secure)

    assert secure.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"
    assert secure.http("PUT", "lwm2m/lamp-7/3311/0/5850", "true").status == 204
    phone = secure.mqtt("lwm2m/lamp-7/3303/0/5700")
    assert heard(phone)[1] == 21.5
    device.notify("/3303/0/5700", 23.0)
    assert heard(phone)[1] == 23
    device.deregister()


def test_the_endpoint_may_be_left_to_the_key(secure):
    watcher = secure.mqtt("lwm2m/+/!registered")
    device = lamp(secure, register=False)
    device.endpoint = None
    device.register()

    topic, told = heard(watcher)
    assert (topic, told["identity"]) == ("lwm2m/lamp-7/!registered", "lamp-7")


def test_nobody_registers_under_anothers_name(secure, make_house, keys):
    fan(secure, "lamp-7", register=False).register(expect="4.03")
    free = make_house(f"lwm2ms://127.0.0.1:0?endpoint=any&psk_file={keys}")
    fan(free, "anything")
    assert free.http("GET", "lwm2m/anything/3303/0/5700").body == b"21.5"


def test_nobody_touches_a_proven_registration(make_house, keys):
    house = make_house(f"lwm2ms://127.0.0.1:0?psk_file={keys}", "lwm2m://127.0.0.1:0")
    device = lamp(house)
    other = fan(house)

    assert other.ask(coap.POST, device.location).says == "4.04"
    assert other.ask(coap.DELETE, device.location).says == "4.04"
    plain = house.device("lamp-7", dict(ROOM), register=False)
    plain.register(expect="4.03")
    assert plain.ask(coap.POST, device.location).says == "4.04"
    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"


def test_a_new_session_is_the_same_device(secure):
    device = lamp(secure)
    location = device.location
    device.close()
    again = lamp(secure, register=False)
    again.location = location
    again.update()

    assert secure.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"


def test_over_tcp(make_house):
    house = make_house("lwm2m+tcp://127.0.0.1:0")
    port = house.bridge.port("lwm2m+tcp")
    device = house.device("lamp-7", dict(ROOM), socket=Stream(port), port=port, binding="T")

    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"
    phone = house.mqtt("lwm2m/lamp-7/3303/0/5700")
    assert heard(phone)[1] == 21.5
    device.notify("/3303/0/5700", 23.0)
    assert heard(phone)[1] == 23
    big = "x" * 3000
    device.resources[3303, 0, 5701] = "Cel"
    assert house.http("PUT", "lwm2m/lamp-7/3303/0/5701", big).status == 204
    assert device.resources[3303, 0, 5701] == big


def test_a_tcp_device_comes_back(make_house):
    house = make_house("lwm2m+tcp://127.0.0.1:0")
    port = house.bridge.port("lwm2m+tcp")
    device = house.device("lamp-7", dict(ROOM), socket=Stream(port), port=port)
    location = device.location
    device.close()
    again = house.device("lamp-7", dict(ROOM), socket=Stream(port), port=port, register=False)
    again.location = location
    again.update()

    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"


@pytest.fixture
def certificates(tmp_path):
    def make(name, *more):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        f"/CN={name}", "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem", *more], check=True,
                       capture_output=True)
    make("server")
    make("lamp-9")
    return tmp_path


def test_over_tls_with_a_certificate(make_house, certificates):
    c = certificates
    house = make_house(f"lwm2ms+tcp://127.0.0.1:0?cert={c}/server.pem&key={c}/server.key&ca={c}/lamp-9.pem")
    port = house.bridge.port("lwm2ms+tcp")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(f"{c}/lamp-9.pem", f"{c}/lamp-9.key")
    device = house.device(None, dict(ROOM), socket=Stream(port, wrap=context.wrap_socket), port=port)

    assert house.http("GET", "lwm2m/lamp-9/3303/0/5700").body == b"21.5"
    device.update()


def test_over_dtls_with_a_certificate(make_house, certificates):
    c = certificates
    house = make_house(f"lwm2ms://127.0.0.1:0?cert={c}/server.pem&key={c}/server.key&ca={c}/lamp-9.pem")
    port = house.bridge.port("lwm2ms")
    house.device("lamp-9", dict(ROOM), socket=Secured(port, "-cert", f"{c}/lamp-9.pem", "-key", f"{c}/lamp-9.key"), port=port)

    assert house.http("GET", "lwm2m/lamp-9/3303/0/5700").body == b"21.5"
