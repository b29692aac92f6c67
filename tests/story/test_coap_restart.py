"""Registrations in the resource directory, and topics of the pub/sub broker, are there again after a restart (docs/store.md)."""
import re
import urllib.request

import pytest
from conftest import Bridged, built_adapters
from peers import coap
from peers.coap import Socket, uint
from peers.coap_pubsub import CHECK, CONF, EXPIRES, NAME, SUBSCRIBERS, TEXT, TYPE, cbor, config, create, listed

pytestmark = pytest.mark.skipif(not {"http", "coap"} <= set(built_adapters()), reason="needs both protocols")
URLS = ("coap://127.0.0.1:0/r", "http://127.0.0.1:0/resources")
LINKS = '</sensors/temp>;rt="temperature-c";if="sensor"'


def register(client, *query):
    answer = client.post("rd", LINKS, query=query, options=[(coap.CONTENT_FORMAT, uint(40))])
    assert answer.says == "2.01", answer
    return "/".join(part.decode() for part in answer.all(coap.LOCATION_PATH))


def endpoints(client):
    return set(re.findall(r"<([^>]*)>", client.get("rd-lookup/ep").payload.decode()))


@pytest.fixture(params=["in order", "killed"])
def again(request, tmp_path):
    """again() gives a client of a bridge on the same file; the one before has ended."""
    running = []

    def go():
        if running:
            program, socket = running.pop()
            socket.close()
            if request.param == "killed":
                sync(program)
                program.process.kill()
                program.process.wait()
            else:
                program.end()
        program = Bridged("--store", "sqlite:bridge.db", *URLS, log=tmp_path / "bridged.log", cwd=tmp_path).ready(len(URLS))
        running.append((program, Socket(program.port("coap"))))
        return running[-1][1]
    yield go
    for program, socket in running:
        socket.close()
        program.end()


def sync(program):
    """Batches are written in order, and an HTTP PUT is answered when its batch is written: so is all that was said before."""
    request = urllib.request.Request(program.url("http") + "/sync", data=b"1", method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status in (201, 204)


def test_registrations_stay(again):
    client = again()
    one = register(client, "ep=node1", "d=floor2", "et=lamp", "base=coap://[2001:db8::1]:61616", "lt=4000")
    two = register(client, "ep=node2")
    gone = register(client, "ep=node3")
    base = f"coap://127.0.0.1:{client.port}"
    assert client.delete(gone).says == "2.02"
    assert client.post(one, query=["lt=5000"]).says == "2.04"
    before = client.get("rd-lookup/ep", query=["ep=node1"]).payload
    assert b"lt=5000" in before and b"floor2" in before

    client = again()

    assert endpoints(client) == {"/" + one, "/" + two}
    assert client.get("rd-lookup/ep", query=["ep=node1"]).payload == before
    assert client.get(two).payload.decode() == LINKS
    assert f"<{base}/sensors/temp>" in client.get("rd-lookup/res", query=["ep=node2"]).payload.decode()
    assert client.get(gone).says == "4.04"
    third = register(client, "ep=node4")                             # locations stay their own
    assert third not in (one, two, gone) and register(client, "ep=node2") == two
    assert client.delete(one).says == "2.02"

    client = again()
    assert endpoints(client) == {"/" + two, "/" + third}


def test_topics_stay(again):
    client = again()
    topic, data = create(client, "room/1", also={CHECK: 60, SUBSCRIBERS: 5})
    other, _ = create(client, "room 2", also={EXPIRES: "2999-01-01T00:00:00Z"})
    gone, _ = create(client, "room/3")
    assert client.delete(gone).says == "2.02"
    assert client.put(data, "22", options=TEXT).says in ("2.01", "2.04")
    changed = client.ask(coap.PUT, topic, payload=cbor({NAME: "room/1", TYPE: "core.ps.data", SUBSCRIBERS: 7}), options=CONF)
    before = config(changed, "2.04")
    kept = config(client.get(other), "2.05")

    client = again()

    assert set(listed(client.get("ps"))) == {"/" + topic, "/" + other}
    assert config(client.get(topic), "2.05") == before and before[SUBSCRIBERS] == 7
    assert config(client.get(other), "2.05") == kept
    assert client.get(data).payload == b"22"
    assert client.post("ps", cbor({NAME: "room/1", TYPE: "core.ps.data"}), options=CONF).says == "4.00"      # in use
    assert client.delete(topic).says == "2.02"

    client = again()
    assert listed(client.get("ps")) == ["/" + other]
