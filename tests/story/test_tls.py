"""TLS under MQTT, HTTP and WebSocket: certificates both ways, shared keys, ALPN, and files that change (docs/security.md)."""
import os
import socket
import ssl
import subprocess
import threading

import pytest
from peers.certificates import Authority
from peers.process import PATIENCE, run
from peers.tools import Mosquitto, curl, need

ACL = """\
topic read public/#
user alice
topic home/#
user lamp
topic lamps/#
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("certificates"))
    for name in ("server", "alice"):
        made.sign(name)
    return made


@pytest.fixture
def secure(start_bridged, authority):
    """secure("mqtts", "https", options="&ca=...") starts a bridged with the server's certificate."""
    def start(*schemes, options=""):
        pem, key = authority.directory / "server.pem", authority.directory / "server.key"
        paths = {"https": "/resources", "wss": "/mqtt"}
        return start_bridged(*[f"{s}://127.0.0.1:0{paths.get(s, '')}?cert={pem}&key={key}{options}" for s in schemes])
    return start


class Client(Mosquitto):
    """mosquitto's clients, who trust the authority."""

    def __init__(self, port, authority, *options):
        super().__init__(port)
        self.address += ("--cafile", str(authority.file), *map(str, options))


def publish(client, topic, payload, *options):
    return run(need("mosquitto_pub"), *client.address, "-V", "mqttv5", "-q", "1", "-t", topic, "-m", payload, *options, check=False)


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_mqtt_over_tls(secure, authority, version):
    client = Client(secure("mqtts").port("mqtts"), authority, "--tls-version", version, "--tls-alpn", "mqtt")
    heard = client.subscribe("a/#")
    big = "x" * 200000

    client.publish("a/b", "hello")
    client.publish("a/c", big)

    assert heard.lines(2) == ["a/b hello", "a/c " + big]
    client.close()


def test_https_and_what_mqtt_says_meet(secure, authority):
    program = secure("mqtts", "https")
    client = Client(program.port("mqtts"), authority)
    client.publish("home/hall/temp", "21.5", "-r")

    url = program.url("https") + "/home/hall/temp"

    assert curl("--cacert", authority.file, url) == (200, b"21.5")
    assert curl("--cacert", authority.file, "-X", "PUT", "-d", "22", url)[0] in (200, 204)
    assert curl("--cacert", authority.file, "--http1.1", url) == (200, b"22")


def test_mqtt_over_wss(secure, authority):
    paho = pytest.importorskip("paho.mqtt.client")
    heard, said = threading.Event(), []
    old = not hasattr(paho, "CallbackAPIVersion")
    client = paho.Client(transport="websockets") if old else \
        paho.Client(paho.CallbackAPIVersion.VERSION2, transport="websockets")
    client.tls_set(ca_certs=str(authority.file))
    client.ws_set_options(path="/mqtt")
    client.on_connect = lambda *_: client.subscribe("a/b", 1)
    client.on_subscribe = lambda *_: client.publish("a/b", "over wss", 1)

    def on_message(_client, _user, message):
        said.append(message.payload)
        heard.set()
    client.on_message = on_message

    client.connect("127.0.0.1", secure("wss").port("wss"))
    client.loop_start()

    assert heard.wait(PATIENCE) and said == [b"over wss"]
    client.disconnect()
    client.loop_stop()


def test_a_client_certificate_is_a_name(secure, authority, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text(ACL)
    program = secure("mqtts", "https", options=f"&ca={authority.file}&acl_file={rules}")
    mine = ("--cert", authority.directory / "alice.pem", "--key", authority.directory / "alice.key")
    alice = Client(program.port("mqtts"), authority, *mine)
    nobody = Client(program.port("mqtts"), authority)

    assert publish(alice, "home/x", "1", "-r").returncode == 0
    assert b"Not authorized" in b"".join((lambda p: (p.stdout, p.stderr))(publish(alice, "other", "1")))
    assert publish(nobody, "public/x", "1").returncode != 0
    url = program.url("https")
    trust = ("--cacert", authority.file, *mine)
    assert curl(*trust, url + "/home/x") == (200, b"1")
    assert curl(*trust, url + "/lamps/x")[0] == 403
    program.wait_for_error("peer did not return a certificate")


def test_a_shared_key_is_a_name(start_bridged, authority, tmp_path):
    (tmp_path / "keys").write_text("lamp:00112233445566778899aabbccddeeff\n")
    (tmp_path / "rules").write_text(ACL)
    port = start_bridged(f"mqtts://127.0.0.1:0?psk_file={tmp_path}/keys&acl_file={tmp_path}/rules").port("mqtts")

    def say(key, identity, topic):
        return run(need("mosquitto_pub"), "-h", "127.0.0.1", "-p", port, "--psk", key, "--psk-identity", identity,
                   "-V", "mqttv5", "-q", "1", "-t", topic, "-m", "1", check=False, timeout=PATIENCE)

    assert say("00112233445566778899aabbccddeeff", "lamp", "lamps/1").returncode == 0
    assert say("00112233445566778899aabbccddeefe", "lamp", "lamps/1").returncode != 0
    assert say("00112233445566778899aabbccddeeff", "lantern", "lamps/1").returncode != 0


def test_coap_over_tls_has_names_too(start_bridged, authority, tmp_path):
    (tmp_path / "rules").write_text(ACL)
    pem, key = authority.directory / "server.pem", authority.directory / "server.key"
    port = start_bridged(f"coaps+tcp://127.0.0.1:0/r?cert={pem}&key={key}&ca={authority.file}&acl_file={tmp_path}/rules").port("coaps+tcp")

    def ask(*options):
        mine = ("-c", authority.directory / "alice.pem", "-j", authority.directory / "alice.key", "-C", authority.file)
        done = run(need("coap-client-openssl"), "-B", "10", *mine, *options, check=False)
        return done.stdout + done.stderr

    ask("-m", "put", "-e", "on", f"coaps+tcp://127.0.0.1:{port}/r/home/light")
    assert b"on" in ask("-m", "get", f"coaps+tcp://127.0.0.1:{port}/r/home/light")
    assert b"4.03" in ask("-m", "get", f"coaps+tcp://127.0.0.1:{port}/r/lamps/1")


def s_client(port, authority, *options, stdin=b"Q\n"):
    done = subprocess.run([need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(authority.file),
                           *map(str, options)], input=stdin, capture_output=True, timeout=PATIENCE)
    return (done.stdout + done.stderr).decode(errors="backslashreplace")


def test_openssl_sees_a_good_server(secure, authority, tmp_path):
    port = secure("mqtts").port("mqtts")

    said = s_client(port, authority, "-alpn", "mqtt", "-servername", "localhost", "-verify_return_error")

    assert "Verify return code: 0 (ok)" in said and "ALPN protocol: mqtt" in said and "TLSv1.3" in said
    assert "no application protocol" in s_client(port, authority, "-alpn", "h2")
    assert "alert protocol version" in s_client(port, authority, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    s_client(port, authority, "-tls1_2", "-sess_out", tmp_path / "session")
    assert "Reused, TLSv1.2" in s_client(port, authority, "-tls1_2", "-sess_in", tmp_path / "session")


def test_certificates_change_without_dropping_anybody(start_bridged, authority):
    pem, key = authority.sign("first", file="live")
    program = start_bridged(f"mqtts://127.0.0.1:0?cert={pem}&key={key}", options=["--log-level", "info"])
    client = Client(program.port("mqtts"), authority)
    heard = client.subscribe("a")

    authority.sign("second", file="live")

    def subject():
        context = ssl.create_default_context(cafile=authority.file)
        with socket.create_connection(("127.0.0.1", program.port("mqtts")), PATIENCE) as plain, \
                context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
            return dict(pair for part in tls.getpeercert()["subject"] for pair in part)["commonName"]

    for _ in range(10000):  # they are looked at once a second
        if subject() == "second":
            break
    assert subject() == "second"
    client.publish("a", "still here")
    assert heard.line() == "a still here"
    client.close()


def test_what_is_no_tls_disturbs_nobody(secure, authority):
    port = secure("mqtts").port("mqtts")
    client = Client(port, authority)
    heard = client.subscribe("a")

    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", os.urandom(3000), b"\x16\x03\x01\xff\xff"):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
            s.sendall(noise)
            s.shutdown(socket.SHUT_WR)
            s.settimeout(PATIENCE)
            try:
                while s.recv(4096):
                    pass
            except ConnectionResetError:
                pass

    client.publish("a", "1")
    assert heard.line() == "a 1"
    client.close()


@pytest.mark.parametrize("query, words", [
    ("", "needs cert= and key="),
    ("cert={d}/none.pem", "none.pem: No such file"),
    ("cert={d}/server.pem&key={d}/alice.key", "alice.key does not belong to the certificate in"),
    ("cert={d}/server.pem&key={d}/server.key&min_version=1.0", "one of 1.2, 1.3 is wanted"),
    ("cert={d}/server.pem&key={d}/server.key&cet=x", 'did you mean'),
])
@pytest.mark.parametrize("scheme", ["mqtts", "https", "wss"])
def test_wrong_settings_are_told_at_the_start(bridged_program, authority, scheme, query, words):
    code, _, err = bridged_program(f"{scheme}://127.0.0.1:0?{query.format(d=authority.directory)}")

    assert code != 0 and words in err


@pytest.mark.parametrize("query, good", [
    ("", False),
    ("&ca={ca}", True),
    ("&ca={ca}&client_cert=optional", False),
    ("&psk_file={psk}", False),  # beside a certificate of ours others come in without a key
])
def test_tls_alone_is_no_policy_but_proofs_are(bridged_program, start_bridged, authority, tmp_path, query, good):
    psk = tmp_path / "keys"
    psk.write_text("lamp:00\n")
    url = f"mqtts://0.0.0.0:0?cert={authority.directory}/server.pem&key={authority.directory}/server.key" + \
        query.format(ca=authority.file, psk=psk)

    if good:
        start_bridged(url)
    else:
        code, _, err = bridged_program(url)
        assert code == 2 and "would be open to everybody" in err
