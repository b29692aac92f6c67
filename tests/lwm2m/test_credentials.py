"""Keys and certificates of devices from a function of the program, changed at run time (docs/security.md; LwM2M 1.1 transport 5.2)."""
import shutil
import ssl
import subprocess

import pytest

from peers.coap import Secured, Stream

ROOM = {(3303, 0, 5700): 21.5, (3311, 0, 5850): False}

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")


@pytest.fixture
def safe(make_house):
    """A house whose listener asks: safe.keys is what it is told, safe.asked what was asked."""
    house = make_house("lwm2ms://127.0.0.1:0?credentials=ask")
    house.keys, house.asked = {"lamp-7": b"lamp", "fan-1": b"fan"}, []

    @house.bridge.credential
    def key_of(credential):
        house.asked.append(credential)
        return house.keys.get(credential.identity, False)
    return house


def session(house, identity, key):
    return Secured(house.bridge.port("lwm2ms"), "-psk_identity", identity, "-psk", key.hex(), "-cipher", "PSK-AES128-GCM-SHA256")


def device(house, endpoint, key, identity=None, **words):
    return house.device(endpoint, dict(ROOM), socket=session(house, identity or endpoint, key), port=house.bridge.port("lwm2ms"), **words)


def ends(socket):
    socket.process.wait(30)
    return True


def refused(house, identity, key):
    socket = session(house, identity, key)
    try:
        return ends(socket)
    finally:
        socket.close()


def test_a_function_knows_the_keys(safe):
    device(safe, "lamp-7", b"lamp")
    device(safe, "fan-1", b"fan")

    assert safe.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"
    assert safe.http("GET", "lwm2m/fan-1/3303/0/5700").body == b"21.5"
    assert {(c.identity, c.certificate) for c in safe.asked} == {("lamp-7", None), ("fan-1", None)}
    assert safe.asked[0].listener.startswith("lwm2ms://")


def test_who_is_not_known_does_not_come_in(safe):
    assert refused(safe, "ghost", b"boo")


def test_a_new_device_is_known_at_once(safe):
    assert refused(safe, "ghost", b"boo")
    safe.keys["ghost"] = b"boo"
    device(safe, "ghost", b"boo")

    assert safe.http("GET", "lwm2m/ghost/3303/0/5700").body == b"21.5"


def test_a_revoked_device_is_put_out(safe):
    lamp, fan = device(safe, "lamp-7", b"lamp"), device(safe, "fan-1", b"fan")
    del safe.keys["lamp-7"]
    safe.bridge.credentials_changed("lamp-7")

    assert ends(lamp.socket)
    assert refused(safe, "lamp-7", b"lamp")
    fan.update()


def test_another_key_ends_the_session_of_the_old_one(safe):
    lamp, fan = device(safe, "lamp-7", b"lamp"), device(safe, "fan-1", b"fan")
    safe.keys["lamp-7"] = b"newer"
    safe.bridge.credentials_changed()

    assert ends(lamp.socket)
    fan.update()
    again = device(safe, "lamp-7", b"newer", register=False)
    again.location = lamp.location
    again.update()
    assert safe.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"


def test_an_identity_may_stand_for_another_name(safe):
    """LwM2M 1.1 transport 5.2.8.1: the identity need not be the endpoint."""
    safe.keys["0xBEEF"] = (b"lamp", "lamp-9")
    device(safe, "lamp-9", b"lamp", "0xBEEF")

    assert safe.http("GET", "lwm2m/lamp-9/3303/0/5700").body == b"21.5"
    device(safe, "lamp-7", b"lamp", "0xBEEF", register=False).register(expect="4.03")


@pytest.mark.parametrize("answer", [b"", b"x" * 65, "text", 7, True, (b"key", "n" * 300), (True, 7)])
def test_an_answer_that_is_none_is_a_no(safe, answer, recwarn):
    safe.keys["ghost"] = answer
    assert refused(safe, "ghost", b"boo")
    device(safe, "lamp-7", b"lamp")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_function_that_fails_is_a_no(safe):
    @safe.bridge.credential
    def broken(credential):
        if credential.identity == "ghost":
            raise RuntimeError("no database")
    safe.keys["ghost"] = b"boo"

    assert refused(safe, "ghost", b"boo")
    device(safe, "lamp-7", b"lamp")  # None: the other function is asked


def test_none_leaves_it_to_the_file(make_house, tmp_path):
    (tmp_path / "psk").write_text("lamp-7:6c616d70\n")
    house = make_house(f"lwm2ms://127.0.0.1:0?credentials=ask&psk_file={tmp_path}/psk")
    device(house, "lamp-7", b"lamp")

    house.bridge.credential(lambda c: False)
    assert refused(house, "lamp-7", b"lamp")


def test_a_key_taken_out_of_the_file_ends_its_session(make_house, tmp_path):
    (tmp_path / "psk").write_text("lamp-7:6c616d70\nfan-1:66616e\n")
    house = make_house(f"lwm2ms://127.0.0.1:0?psk_file={tmp_path}/psk")
    lamp, fan = device(house, "lamp-7", b"lamp"), device(house, "fan-1", b"fan")
    (tmp_path / "next").write_text("fan-1:66616e\n")
    (tmp_path / "next").rename(tmp_path / "psk")
    house.bridge.credentials_changed()

    assert ends(lamp.socket)
    fan.update()


# ---- certificates


@pytest.fixture
def certificates(tmp_path):
    for name in ("server", "lamp-9", "lamp-8"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        f"/CN={name}", "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem"], check=True, capture_output=True)
    return tmp_path


def der(certificates, name):
    return ssl.PEM_cert_to_DER_cert((certificates / f"{name}.pem").read_text())


def trusting(house, known):
    @house.bridge.credential
    def is_known(credential):
        return known.get(credential.certificate, False) if credential.certificate else False


def shown(house, certificates, name):
    return Secured(house.bridge.port("lwm2ms"), "-cert", f"{certificates}/{name}.pem", "-key", f"{certificates}/{name}.key")


def test_a_function_trusts_certificates_that_nobody_signed(make_house, certificates):
    c = certificates
    house = make_house(f"lwm2ms://127.0.0.1:0?cert={c}/server.pem&key={c}/server.key&credentials=ask")
    known = {der(c, "lamp-9"): True}
    trusting(house, known)
    lamp = house.device("lamp-9", dict(ROOM), socket=shown(house, c, "lamp-9"), port=house.bridge.port("lwm2ms"))
    stranger = shown(house, c, "lamp-8")

    assert house.http("GET", "lwm2m/lamp-9/3303/0/5700").body == b"21.5"
    assert ends(stranger)
    stranger.close()
    known.clear()
    house.bridge.credentials_changed("lamp-9")
    assert ends(lamp.socket)


def test_a_function_refuses_what_an_authority_signed_and_gives_names(make_house, certificates):
    c = certificates
    (c / "both.pem").write_text((c / "lamp-9.pem").read_text() + (c / "lamp-8.pem").read_text())
    house = make_house(f"lwm2ms+tcp://127.0.0.1:0?cert={c}/server.pem&key={c}/server.key&ca={c}/both.pem&credentials=ask")
    known = {der(c, "lamp-9"): (True, "room-1")}
    trusting(house, known)
    port = house.bridge.port("lwm2ms+tcp")

    def wrap(name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(f"{c}/{name}.pem", f"{c}/{name}.key")
        return context.wrap_socket
    lamp = house.device("room-1", dict(ROOM), socket=Stream(port, wrap=wrap("lamp-9")), port=port)
    with pytest.raises((OSError, EOFError)):
        while True:
            Stream(port, wrap=wrap("lamp-8")).hear_bytes(30)

    assert house.http("GET", "lwm2m/room-1/3303/0/5700").body == b"21.5"
    lamp.update()
    known.clear()
    house.bridge.credentials_changed("room-1")
    lamp._thread.join(30)
    assert not lamp._thread.is_alive()  # its stream has ended


def test_the_word_is_checked(make_bridge):
    bridge = make_bridge()
    for url in ("lwm2ms://127.0.0.1:0?credentials=maybe", "coaps+tcp://127.0.0.1:0/r?credentials=maybe&cert=x"):
        with pytest.raises(ValueError, match="credentials"):
            bridge.listen(url)
