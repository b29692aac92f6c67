"""Which acknowledgements wait for the disk (docs/store.md, "Who waits"): each is asked for while somebody else's transaction holds the
file, so that no batch can be written; what needs no disk is answered, the acknowledgement is not, until the file is let go."""
import select
import socket
import sqlite3
import urllib.request

import pytest
from conftest import Bridged, built_adapters
from peers import coap, mqtt
from peers.coap_pubsub import CONF, NAME, TYPE, cbor

pytestmark = pytest.mark.skipif(not {"mqtt", "http", "coap"} <= set(built_adapters()), reason="needs all three protocols")
URLS = ("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r")
LINKS = '</t>;rt="temperature"'
PATIENCE = 60


class Held:
    """`with held:` nothing is written to the file."""

    def __init__(self, file):
        self.db = sqlite3.connect(file, isolation_level=None, timeout=PATIENCE)

    def __enter__(self):
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_):
        self.db.execute("ROLLBACK")

    def close(self):
        self.db.close()


@pytest.fixture
def start(tmp_path):
    running = []

    def go(*options, urls=URLS):
        program = Bridged("--store", f"sqlite:{tmp_path}/bridge.db?wait=60000", *options, *urls, log=tmp_path / f"bridged{len(running)}.log", cwd=tmp_path)
        running.append(program)
        return program.ready(len(urls))
    yield go
    for program in running:
        if program.process.poll() is None:
            program.end()


@pytest.fixture
def bridged(start):
    return start()


@pytest.fixture
def held(bridged, tmp_path):
    it = Held(tmp_path / "bridge.db")
    yield it
    it.close()


def client(bridged, name, version=5, clean=False, expiry=1000, **more):
    c = mqtt.Client(bridged.port("mqtt"), version=version, timeout=PATIENCE)
    return c.connect(name, clean=clean, props={"session_expiry": expiry} if version == 5 else None, **more)


def metric(bridged, name):
    with urllib.request.urlopen(bridged.url("http").rsplit("/", 1)[0] + "/metrics", timeout=PATIENCE) as answer:
        for line in answer.read().decode().splitlines():
            if line.split("{")[0].split(" ")[0] == name:
                return float(line.rsplit(" ", 1)[1])
    raise KeyError(name)


def readable(sock):
    return bool(select.select([sock], [], [], 0)[0])


# ---- MQTT

def exchange(c, held, kind, *packets):
    """The acknowledgement comes after PINGRESP while the file is held, and then it does come."""
    with held:
        c.send(*packets)
        c.ping()
        early = [p for p in c.kept if p.type == kind]
    assert early == []
    return c.wait_for(kind)


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_acknowledgements_of_values(bridged, held, version):
    c = mqtt.Client(bridged.port("mqtt"), version=version, timeout=PATIENCE).connect("c")
    exchange(c, held, mqtt.PUBACK, mqtt.publish("a", b"1", qos=1, pid=1, retain=True, version=version))
    exchange(c, held, mqtt.PUBREC, mqtt.publish("a", b"2", qos=2, pid=2, retain=True, version=version))
    exchange(c, held, mqtt.PUBACK, mqtt.publish("a", b"", qos=1, pid=3, retain=True, version=version))


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_acknowledgements_of_what_a_session_keeps(bridged, held, version):
    away = client(bridged, "away", version)
    exchange(away, held, mqtt.SUBACK, mqtt.subscribe(1, ("to/away", 2), ("no/more", 1), version=version))
    exchange(away, held, mqtt.UNSUBACK, mqtt.unsubscribe(2, "no/more", version=version))
    away.drop()
    c = client(bridged, "c", version)
    exchange(c, held, mqtt.PUBACK, mqtt.publish("to/away", b"1", qos=1, pid=1, version=version))
    exchange(c, held, mqtt.PUBREC, mqtt.publish("elsewhere", b"2", qos=2, pid=2, version=version))
    exchange(c, held, mqtt.PUBCOMP, mqtt.ack(mqtt.PUBREL, 2))


def test_mqtt_deliveries_at_qos_2_and_their_release(bridged, held):
    to = client(bridged, "to")
    to.subscribe(("once", 2))
    c = mqtt.Client(bridged.port("mqtt"), version=5, timeout=PATIENCE).connect("c")
    with held:
        c.send(mqtt.publish("once", b"1", qos=2, pid=1, version=5))
        c.ping()
        assert to.ping().kept == []
    heard = to.wait_for(mqtt.PUBLISH)
    exchange(to, held, mqtt.PUBREL, mqtt.ack(mqtt.PUBREC, heard.pid))


def connack(bridged, held, version, **words):
    """While the file is held CONNECT is handled, as the metrics tell, and nothing is said; not even to what came behind it."""
    c = mqtt.Client(bridged.port("mqtt"), version=version, timeout=PATIENCE)
    count = metric(bridged, "bridge_mqtt_connects_total")
    with held:
        c.send(mqtt.connect("sleeper", version=version, **words), mqtt.packet(mqtt.PINGREQ << 4))
        while metric(bridged, "bridge_mqtt_connects_total") == count:
            pass
        metric(bridged, "bridge_mqtt_connects_total")  # one turn of the loop more
        assert not readable(c.socket)
    answer = c.expect(mqtt.CONNACK, reason=0)
    c.expect(mqtt.PINGRESP)
    return c, answer


@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_sessions_begin_go_on_and_end_on_disk(bridged, held, version):
    lasting = {"clean": False, "props": {"session_expiry": 1000} if version == 5 else None}
    c, answer = connack(bridged, held, version, **lasting)
    assert not answer.session_present
    c.subscribe(("a", 1))
    c.drop()
    c, answer = connack(bridged, held, version, **lasting)
    assert answer.session_present
    c.drop()
    c, answer = connack(bridged, held, version, clean=True)  # it is gone for good
    assert not answer.session_present


def test_mqtt_what_comes_for_a_session_waits_for_its_connack(bridged, held):
    c = client(bridged, "sleeper")
    c.subscribe(("a", 0), ("b", 1))
    c.drop()
    count = metric(bridged, "bridge_mqtt_connects_total")
    c = mqtt.Client(bridged.port("mqtt"), version=5, timeout=PATIENCE)
    p = mqtt.Client(bridged.port("mqtt"), version=5, timeout=PATIENCE).connect("p")
    with held:
        c.send(mqtt.connect("sleeper", version=5, clean=False, props={"session_expiry": 1000}))
        while metric(bridged, "bridge_mqtt_connects_total") < count + 2:
            pass
        p.publish("a", b"0")
        p.send(mqtt.publish("b", b"1", qos=1, pid=1, version=5))
        p.ping()
        assert not readable(c.socket)
    c.expect(mqtt.CONNACK, reason=0, session_present=True)
    assert [c.message().payload, c.message().payload] == [b"0", b"1"]


def test_mqtt_a_session_is_taken_over_before_it_was_told_that_it_is_there(bridged, held):
    count = metric(bridged, "bridge_mqtt_connects_total")
    one, two = (mqtt.Client(bridged.port("mqtt"), version=5, timeout=PATIENCE) for _ in range(2))
    hello = mqtt.connect("same", version=5, clean=False, props={"session_expiry": 1000}, will=("gone", b"w", 0, False))
    watcher = mqtt.Client(bridged.port("mqtt"), version=5, timeout=PATIENCE).connect("watcher")
    watcher.subscribe("gone")
    with held:
        for n, c in enumerate((one, two)):
            c.send(hello)
            while metric(bridged, "bridge_mqtt_connects_total") < count + 2 + n:
                pass
        assert one.closed() == []  # not DISCONNECT, before a CONNACK
    two.expect(mqtt.CONNACK, reason=0, session_present=True)
    assert watcher.ping().kept == []  # who was not let in has no will


def test_mqtt_without_a_promise_nobody_waits(start, tmp_path):
    bridged = start(urls=("mqtt://127.0.0.1:0?durability=none", *URLS[1:]))
    held = Held(tmp_path / "bridge.db")
    with held:
        c = client(bridged, "c")
        assert c.subscribe(("a", 1)) == [1]
        assert c.publish("a", b"1", qos=1, retain=True).reason == 0
    held.close()


# ---- CoAP

def coap_exchange(peer, held, *request, **words):
    message = peer.request(*request, **words)
    with held:
        peer.send(message)
        assert peer.ping()
        early = [m for m in peer.aside if m.token == message.token and m.code]
    assert early == []
    return peer.answer_to(message)


@pytest.fixture(params=["udp", "tcp"])
def peer(request, start, tmp_path):
    """(a client, Held)"""
    bridged = start(urls=(*URLS[:2], "coap://127.0.0.1:0/r" if request.param == "udp" else "coap+tcp://127.0.0.1:0/r"))
    held = Held(tmp_path / "bridge.db")
    with (coap.Socket if request.param == "udp" else coap.Stream)(bridged.port("coap" if request.param == "udp" else "coap+tcp")) as it:
        yield it, held
    held.close()


def test_coap_values(peer):
    it, held = peer
    assert coap_exchange(it, held, coap.PUT, "r/v", payload=b"1").says == "2.01"
    assert coap_exchange(it, held, coap.PUT, "r/v", payload=b"2").says == "2.04"
    assert coap_exchange(it, held, coap.DELETE, "r/v").says == "2.02"


def test_coap_registrations_in_the_directory(peer):
    it, held = peer
    links = [(coap.CONTENT_FORMAT, coap.uint(40))]
    made = coap_exchange(it, held, coap.POST, "rd", payload=LINKS, query=("ep=node", "lt=1000"), options=links)
    assert made.says == "2.01"
    where = "/".join(part.decode() for part in made.all(coap.LOCATION_PATH))
    assert where.startswith("rd/")
    assert coap_exchange(it, held, coap.POST, where, query=("lt=2000",)).says == "2.04"
    assert coap_exchange(it, held, coap.DELETE, where).says == "2.02"
    assert it.get(where).says == "4.04"


def test_coap_topics_of_the_broker(peer):
    it, held = peer
    made = coap_exchange(it, held, coap.POST, "ps", payload=cbor({NAME: "t", TYPE: "core.ps.data"}), options=CONF)
    assert made.says == "2.01" and made.uint(coap.CONTENT_FORMAT) == 606 and made.payload
    where = "/".join(part.decode() for part in made.all(coap.LOCATION_PATH))
    changed = coap_exchange(it, held, coap.PUT, where, payload=cbor({NAME: "t", TYPE: "core.ps.data"}), options=CONF)
    assert changed.says == "2.04" and changed.payload
    assert coap_exchange(it, held, coap.DELETE, where).says == "2.02"
    assert it.get(where).says == "4.04"


def test_coap_the_end_while_the_disk_is_waited_for(bridged, held):
    with coap.Socket(bridged.port("coap")) as it:
        message = it.request(coap.POST, "rd", payload=LINKS, query=("ep=node",), options=[(coap.CONTENT_FORMAT, coap.uint(40))])
        with held:
            it.send(message)
            assert it.ping()
            bridged.process.terminate()
        bridged.end()


# ---- LwM2M

@pytest.fixture
def device(start, tmp_path):
    if "lwm2m" not in built_adapters():
        pytest.skip("not built in")
    bridged = start(urls=(*URLS, "lwm2m://127.0.0.1:0"))
    hold = Held(tmp_path / "bridge.db")
    with coap.Socket(bridged.port("lwm2m")) as it:
        yield it, hold, bridged
    hold.close()


def test_lwm2m_registrations(device):
    it, held, _ = device
    links = [(coap.CONTENT_FORMAT, coap.uint(40))]
    made = coap_exchange(it, held, coap.POST, "rd", payload="</3/0>", query=("ep=lamp", "lt=1000"), options=links)
    assert made.says == "2.01"
    where = "/".join(part.decode() for part in made.all(coap.LOCATION_PATH))
    assert coap_exchange(it, held, coap.POST, where, query=("lt=2000",)).says == "2.04"
    assert coap_exchange(it, held, coap.DELETE, where).says == "2.02"
    assert it.ask(coap.POST, where).says == "4.04"


def test_lwm2m_the_end_while_the_disk_is_waited_for(device):
    it, held, bridged = device
    message = it.request(coap.POST, "rd", payload="</3/0>", query=("ep=lamp",), options=[(coap.CONTENT_FORMAT, coap.uint(40))])
    with held:
        it.send(message)
        assert it.ping()
        bridged.process.terminate()
    bridged.end()


# ---- HTTP

@pytest.mark.parametrize("method, status", [("PUT", 201), ("POST", 204), ("DELETE", 204), ("PATCH", 204)])
def test_http_values(bridged, held, method, status):
    c = client(bridged, "away")  # so that a POST is kept for somebody
    c.subscribe(("a", 1))
    c.drop()
    if method != "PUT":
        urllib.request.urlopen(urllib.request.Request(bridged.url("http") + "/a", data=b"{}", method="PUT",
                                                      headers={"Content-Type": "application/json"}), timeout=PATIENCE).read()
    received = metric(bridged, "bridge_http_requests_total")
    body = b'{"b":1}' if method == "PATCH" else b"1" if method != "DELETE" else b""
    kind = "application/merge-patch+json" if method == "PATCH" else "text/plain"
    wire = socket.create_connection(("127.0.0.1", bridged.port("http")), PATIENCE)
    with held:
        head = f"{method} /resources/a HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        wire.sendall(head.encode() + body)
        asked = 1
        while metric(bridged, "bridge_http_requests_total") == received + asked:  # each question is one more
            asked += 1
        metric(bridged, "bridge_http_requests_total")  # one turn of the loop more
        assert not readable(wire)
    assert wire.recv(65536).split(b" ")[1] == b"%d" % status
    wire.close()
