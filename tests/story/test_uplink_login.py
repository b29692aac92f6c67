"""Uplinks: who we are, who the broker is, and by which transport: passwords, tokens, certificates, keys, WebSocket."""
import pytest

from conftest import built_adapters
from peers.certificates import Authority
from peers.process import run, wait_until
from peers.tools import need
from peers.uplink import QUICK, stat, up, wait_up

pytestmark = pytest.mark.skipif("uplink" not in built_adapters(), reason="uplinks are not in this build")

VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


# ---- logging in

def test_name_and_password(make, broker, tmp_path):
    passwords = tmp_path / "passwords"
    passwords.write_text("site7:secret\n")
    run(need("mosquitto_passwd"), "-U", passwords)
    broker.write("listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}")
    broker.restart()
    bridge = make()

    up(bridge, f"mqtt://site7:secret@127.0.0.1:{broker.port}?out=a", "right")
    bridge.connect(f"mqtt://site7:wrong@127.0.0.1:{broker.port}?out=a&name=wrong&{QUICK}")

    wait_until(lambda: "not authori" in broker.log().lower())
    assert bridge.get("$SYS/broker/connection/wrong/state").payload == b"0"


def test_a_token_file_is_read_again_at_every_attempt(make, broker, tmp_path):
    passwords, token = tmp_path / "passwords", tmp_path / "token"
    passwords.write_text("site7:tomorrow\n")
    run(need("mosquitto_passwd"), "-U", passwords)
    broker.write("listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}")
    broker.restart()
    token.write_text("today\n")
    bridge = make()
    bridge.connect(f"mqtt://site7@127.0.0.1:{broker.port}?out=a&token_file={token}&name=cloud&{QUICK}")
    wait_until(lambda: "not authori" in broker.log().lower())

    token.write_text("tomorrow\n")

    wait_up(bridge)


# ---- TLS and WebSocket

@pytest.fixture
def secure(broker, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.sign("localhost", file="server")
    broker.write("listener {port} 127.0.0.1", "allow_anonymous true", f"cafile {authority.file}", f"certfile {cert}", f"keyfile {key}",
                 "require_certificate false")
    broker.restart()
    return authority


def test_tls_with_a_private_authority(make, broker, secure):
    bridge = make()
    up(bridge, f"mqtts://localhost:{broker.port}?out=a&ca={secure.file}")
    heard = broker  # the broker's log tells that it came
    bridge.publish("a", "1", qos=1)
    wait_until(lambda: stat(bridge, "sent_total") == 1)
    assert "Received PUBLISH" in heard.log()


def test_a_broker_signed_by_somebody_else_is_not_believed(make, broker, secure, tmp_path):
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    bridge = make()
    bridge.connect(f"mqtts://localhost:{broker.port}?out=a&ca={other.file}&name=cloud&{QUICK}")

    wait_until(lambda: broker.log().count("OpenSSL Error") + broker.log().count("error:") >= 1)
    assert bridge.get("$SYS/broker/connection/cloud/state").payload == b"0"


def test_a_broker_whose_certificate_has_expired_is_not_believed(make, broker, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.sign("localhost", file="server", days=-1)
    broker.write("listener {port} 127.0.0.1", "allow_anonymous true", f"certfile {cert}", f"keyfile {key}")
    broker.restart()
    bridge = make()
    bridge.connect(f"mqtts://localhost:{broker.port}?out=a&ca={authority.file}&name=strict&{QUICK}")

    wait_until(lambda: "certificate expired" in broker.log())  # the alert of RFC 8446 6.2 that we send
    up(bridge, f"mqtts://localhost:{broker.port}?out=a&ca={authority.file}&verify=no", "lax")

    assert bridge.get("$SYS/broker/connection/strict/state").payload == b"0"


def test_a_broker_with_another_name_is_not_believed(make, broker, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.sign("elsewhere", san="DNS:elsewhere.example", file="server")
    broker.write("listener {port} 127.0.0.1", "allow_anonymous true", f"certfile {cert}", f"keyfile {key}")
    broker.restart()
    bridge = make()
    bridge.connect(f"mqtts://localhost:{broker.port}?out=a&ca={authority.file}&name=strict&{QUICK}")

    up(bridge, f"mqtts://localhost:{broker.port}?out=a&ca={authority.file}&verify=no", "lax")

    assert bridge.get("$SYS/broker/connection/strict/state").payload == b"0"


def test_a_client_certificate(make, broker, secure, tmp_path):
    cert, key = secure.sign("site7")
    broker.write("listener {port} 127.0.0.1", f"cafile {secure.file}", f"certfile {tmp_path / 'server.pem'}",
                 f"keyfile {tmp_path / 'server.key'}", "require_certificate true", "use_identity_as_username true")
    broker.restart()
    bridge = make()

    up(bridge, f"mqtts://localhost:{broker.port}?out=a&ca={secure.file}&cert={cert}&key={key}")

    assert "u'site7'" in broker.log()


def test_a_shared_key(make, broker, tmp_path):
    keys, ours = tmp_path / "keys", tmp_path / "psk"
    keys.write_text("site7:00112233445566778899aabbccddeeff\n")
    ours.write_text("site7:00112233445566778899aabbccddeeff\n")
    broker.write("listener {port} 127.0.0.1", f"psk_file {keys}", "psk_hint cloud", "use_identity_as_username true")
    broker.restart()
    bridge = make()

    up(bridge, f"mqtts://127.0.0.1:{broker.port}?out=a&psk_file={ours}")

    assert "u'site7'" in broker.log()


@VERSIONS
def test_websocket(make, version):
    cloud, bridge = make("mqtt+ws://127.0.0.1:0"), make()  # Debian's mosquitto has no WebSocket: the broker is one of ours
    heard = cloud.subscribe("b")
    up(bridge, f"{cloud.listeners[0]}/mqtt?out=a>b&version={version}")

    bridge.publish("a", "1", qos=1)

    assert next(heard).payload == b"1"


@VERSIONS
def test_websocket_over_tls(make, tmp_path, version):
    authority = Authority(tmp_path)
    cert, key = authority.sign("localhost", file="server")
    cloud, bridge = make(f"wss://127.0.0.1:0?cert={cert}&key={key}"), make()
    heard = cloud.subscribe("b/#")
    port = cloud.listeners[0].rsplit(":", 1)[1].split("/")[0].split("?")[0]
    up(bridge, f"mqtt+wss://localhost:{port}/mqtt?out=a/{{n}}>b/{{n}}&version={version}&ca={authority.file}")

    for size in (1, 200, 70000):  # the three lengths of RFC 6455 5.2
        bridge.publish("a/x", b"x" * size, qos=1)

    assert [len(m.payload) for m in heard.take(3)] == [1, 200, 70000]
