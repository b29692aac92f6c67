"""MQTT as people use it: mosquitto's clients and Paho, in all three versions of the protocol, against the bridge."""
import queue
import socket
import threading

import pytest

from peers.process import PATIENCE, Program, run
from peers.tools import Mosquitto, need, stdbuf

paho = pytest.importorskip("paho.mqtt.client")
from paho.mqtt.packettypes import PacketTypes  # noqa: E402
from paho.mqtt.properties import Properties  # noqa: E402
from paho.mqtt.subscribeoptions import SubscribeOptions  # noqa: E402

VERSIONS = pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
PAHO = {"mqttv31": paho.MQTTv31, "mqttv311": paho.MQTTv311, "mqttv5": paho.MQTTv5}


class Paho:
    """A Paho client whose events come out of queues."""

    def __init__(self, port, client_id, version="mqttv5", clean=True, expiry=0, **settings):
        self.heard, self.connected, self.gone, self.subscribed, self.published = (queue.Queue() for _ in range(5))
        five = version == "mqttv5"
        self.client = paho.Client(client_id, protocol=PAHO[version], **({} if five else {"clean_session": clean}))
        self.client.on_connect = lambda *a: self.connected.put(a[2:4])
        self.client.on_disconnect = lambda *a: self.gone.put(a)
        self.client.on_message = lambda c, u, m: self.heard.put(m)
        self.client.on_subscribe = lambda *a: self.subscribed.put(a[3])
        self.client.on_publish = lambda c, u, mid: self.published.put(mid)
        for name, value in settings.items():
            getattr(self.client, name)(*value)
        options = {}
        if five:
            props = Properties(PacketTypes.CONNECT)
            props.SessionExpiryInterval = expiry
            options = {"clean_start": clean, "properties": props}
        self.client.connect("127.0.0.1", port, **options)
        self.client.loop_start()
        self.flags, self.code = self.connected.get(timeout=PATIENCE)

    def subscribe(self, *args, **options):
        self.client.subscribe(*args, **options)
        return self.subscribed.get(timeout=PATIENCE)

    def publish(self, topic, payload=None, qos=1, **options):
        info = self.client.publish(topic, payload, qos, **options)
        info.wait_for_publish(PATIENCE)
        assert info.is_published()

    def message(self):
        return self.heard.get(timeout=PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def port(bridged):
    return bridged.port("mqtt")


# ---- mosquitto's clients

@VERSIONS
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_one_publishes_the_other_hears(port, version, qos):
    clients = Mosquitto(port)
    heard = clients.subscribe("home/#", options=("-v", "-V", version, "-q", qos))

    clients.publish("home/kitchen", "21.5", "-V", version, "-q", qos)

    assert heard.line() == "home/kitchen 21.5"
    clients.close()


@VERSIONS
def test_a_retained_value_waits_for_its_reader_and_can_be_cleared(port, version):
    clients = Mosquitto(port)
    clients.publish("state/door", "open", "-r", "-q", "1", "-V", version)

    first = clients.subscribe("state/+", options=("-V", version, "-C", "1"))
    assert first.line() == "open"
    clients.clear("state/door", "-q", "1", "-V", version)

    second = clients.subscribe("state/#", options=("-v", "-V", version))
    clients.publish("state/end", "x", "-V", version)
    assert second.line() == "state/end x"
    clients.close()


@VERSIONS
def test_the_will_of_a_killed_client_is_heard(port, version):
    clients = Mosquitto(port)
    heard = clients.subscribe("last/words", options=("-V", version))
    dying = Program(*stdbuf(need("mosquitto_sub"), "-p", port, "-V", version, "-t", "x", "-d", "--will-topic", "last/words",
                            "--will-payload", "goodbye", "--will-qos", "1"))
    dying.wait_for("Subscribed (mid:")

    dying.process.kill()

    assert heard.line() == "goodbye"
    dying.process.wait(PATIENCE)
    clients.close()


def test_a_binary_payload_of_a_megabyte_is_the_same_on_the_other_side(port, tmp_path):
    payload = bytes(range(256)) * 4096
    file = tmp_path / "payload"
    file.write_bytes(payload)
    got = tmp_path / "got"
    with open(got, "wb") as out, Paho(port, "watcher") as watcher:
        watcher.subscribe("big", 1)
        run(need("mosquitto_pub"), "-p", port, "-t", "big", "-f", file, "-q", "2")
        out.write(watcher.message().payload)

    assert got.read_bytes() == payload


def test_a_mosquitto_bridge_joins_as_a_peer(port, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        other = free.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {other} 127.0.0.1\nallow_anonymous true\nconnection ours\naddress 127.0.0.1:{port}\n"
                      "topic # both 1\nbridge_attempt_unsubscribe false\nnotifications true\n")
    with Paho(port, "here") as here:
        here.subscribe("$SYS/broker/connection/#")
        here.subscribe("far/#", 1)
        with Program(need("mosquitto"), "-c", config, "-v") as mosquitto:
            mosquitto.wait_for("Received SUBACK from local.")
            far = Mosquitto(other)
            heard = far.subscribe("near/#", options=("-v",))
            far.publish("far/a", "1", "-q", "1")

            assert here.message().payload == b"1"
            here.publish("near/b", "2")
            assert heard.line() == "near/b 2"
            far.close()


# ---- Paho

@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_a_session_brings_what_was_missed(port, version):
    with Paho(port, "sleeper", version, clean=False, expiry=1000) as p:
        p.subscribe("missed/#", 2)
    with Paho(port, "speaker", version) as speaker:
        for n in range(20):
            speaker.publish(f"missed/{n}", str(n), qos=1 + n % 2)

    with Paho(port, "sleeper", version, clean=False, expiry=1000) as p:
        heard = [p.message() for _ in range(20)]
        for qos in (1, 2):  # Paho tells QoS 2 later, when it is released
            assert [int(m.payload) for m in heard if m.qos == qos] == list(range(qos - 1, 20, 2))


def test_properties_reach_paho_as_they_left(port):
    props = Properties(PacketTypes.PUBLISH)
    props.UserProperty = [("unit", "Cel"), ("unit", "again")]
    props.ContentType = "application/json"
    props.ResponseTopic = "answers/1"
    props.CorrelationData = b"\0\1"
    props.PayloadFormatIndicator = 1
    props.MessageExpiryInterval = 60
    with Paho(port, "a") as a:
        a.subscribe("props/t", options=SubscribeOptions(qos=1))
        a.publish("props/t", "[1]", properties=props)

        got = a.message().properties
        assert got.UserProperty == props.UserProperty and got.ContentType == "application/json"
        assert got.ResponseTopic == "answers/1" and got.CorrelationData == b"\0\1"
        assert got.PayloadFormatIndicator == 1 and got.MessageExpiryInterval == 60


def test_request_and_answer_by_response_topic(port):
    def answer(client, _, message):
        props = Properties(PacketTypes.PUBLISH)
        props.CorrelationData = message.properties.CorrelationData
        client.publish(message.properties.ResponseTopic, message.payload.upper(), 1, properties=props)

    with Paho(port, "server") as server, Paho(port, "client") as client:
        server.client.on_message = answer
        server.subscribe("shout", options=SubscribeOptions(qos=1))
        client.subscribe("answers/client", options=SubscribeOptions(qos=1))
        ask = Properties(PacketTypes.PUBLISH)
        ask.ResponseTopic, ask.CorrelationData = "answers/client", b"7"
        client.publish("shout", "hello", properties=ask)

        reply = client.message()
        assert (reply.payload, reply.properties.CorrelationData) == (b"HELLO", b"7")


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_many_talk_at_once_and_nothing_is_lost(port, version):
    count, each = 20, 100
    with Paho(port, "collector", version) as collector:
        collector.client.max_inflight_messages_set(1000)
        collector.subscribe("crowd/#", 2)
        talkers = [Paho(port, f"talker-{n}", version) for n in range(count)]

        def talk(p, n):
            for i in range(each):
                p.client.publish(f"crowd/{n}", str(i), 1 + i % 2)

        threads = [threading.Thread(target=talk, args=(p, n)) for n, p in enumerate(talkers)]
        for t in threads:
            t.start()
        heard = {n: {1: [], 2: []} for n in range(count)}
        for _ in range(count * each):
            m = collector.message()
            heard[int(m.topic[6:])][m.qos].append(int(m.payload))
        for t in threads:
            t.join()
        for p in talkers:
            p.__exit__()

    for n in range(count):
        assert heard[n][1] == list(range(0, each, 2)) and heard[n][2] == list(range(1, each, 2))


def test_a_password_opens_and_a_wrong_one_does_not(start_bridged, tmp_path):
    passwords = tmp_path / "passwords"
    run(need("mosquitto_passwd"), "-b", "-c", passwords, "alice", "secret")
    port = start_bridged(f"mqtt://127.0.0.1:0?password_file={passwords}").port("mqtt")
    clients = Mosquitto(port)
    heard = clients.subscribe("a", options=("-u", "alice", "-P", "secret"))

    clients.publish("a", "x", "-u", "alice", "-P", "secret")
    assert heard.line() == "x"

    for version, code in (("mqttv311", 5), ("mqttv5", 135)):
        done = run(need("mosquitto_pub"), "-p", port, "-V", version, "-t", "a", "-m", "x", check=False)
        assert done.returncode == code, done
    for version, code in (("mqttv311", 4), ("mqttv5", 134)):
        done = run(need("mosquitto_pub"), "-p", port, "-V", version, "-t", "a", "-m", "x", "-u", "alice", "-P", "guess", check=False)
        assert done.returncode == code, done
    clients.close()


def test_an_acl_file_says_who_may_write_where(start_bridged, tmp_path):
    passwords, acl = tmp_path / "passwords", tmp_path / "acl"
    run(need("mosquitto_passwd"), "-b", "-c", passwords, "alice", "secret")
    acl.write_text("user alice\ntopic readwrite open/#\ntopic read closed/#\n")
    port = start_bridged(f"mqtt://127.0.0.1:0?password_file={passwords}&acl_file={acl}").port("mqtt")
    alice = ("-u", "alice", "-P", "secret", "-V", "mqttv5", "-q", "1", "-d")

    assert b"RC:0" in run(need("mosquitto_pub"), "-p", port, *alice, "-t", "open/a", "-m", "x").stdout.replace(b"RC:16", b"RC:0")
    assert b"RC:135" in run(need("mosquitto_pub"), "-p", port, *alice, "-t", "closed/a", "-m", "x", check=False).stdout


def test_over_a_unix_socket(start_bridged, tmp_path):
    path = tmp_path / "mqtt.sock"
    start_bridged(f"mqtt+unix://{path}")
    from peers.mqtt import Client

    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        c = Client(0, 5, sock=s).connect("local")
        c.subscribe("a")
        c.publish("a", "x")
        assert c.message().payload == b"x"


def test_a_listener_for_each_and_one_session_for_all(start_bridged):
    program = start_bridged("mqtt://127.0.0.1:0", "mqtt://127.0.0.1:0?max_inflight=5")
    ports = [int(url.rpartition(":")[2]) for url in program.urls]
    with Paho(ports[0], "walker", clean=False, expiry=100) as p:
        p.subscribe("walk", 1)
    with Paho(ports[0], "w") as w:
        w.publish("walk", "x")

    with Paho(ports[1], "walker", clean=False, expiry=100) as p:
        assert p.message().payload == b"x"


def test_ipv6(start_bridged):
    try:
        program = start_bridged("mqtt://[::1]:0")
    except AssertionError:
        pytest.skip("no IPv6 here")
    port = int(program.urls[0].rpartition(":")[2])
    done = run(need("mosquitto_pub"), "-h", "::1", "-p", port, "-t", "a", "-m", "x", "-q", "1")
    assert done.returncode == 0
