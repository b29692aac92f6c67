"""Hot reload: routes and listeners change, no connection and no message is lost.  docs/config.md, Loading again."""
import json
import signal
import socket
import threading
import time

import pytest

from peers.mqtt import Client

LONG = 30


def write(path, *, routes=(), query="", extra="", port=0, http=0):
    listen = [f"mqtt://127.0.0.1:{port}{query}", f"http://127.0.0.1:{http}/resources{query if 'http' in extra else ''}"]
    path.write_text(json.dumps({"listen": listen, "routes": list(routes)}) if extra != "bad" else '{"listen": ["mqtt://127.0.0.1:1"], "routez": []}')


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def daemon(start_bridged, tmp_path):
    """A bridged with a config; .again(**what) writes it anew and waits until it is read."""
    file = tmp_path / "bridge.json"
    port, http = free_port(), free_port()
    write(file, port=port, http=http)
    program = start_bridged(options=["-c", str(file)], listeners=2)
    reads = [0]

    def again(words="again", **what):
        write(file, port=port, http=http, **what)
        before = program.errors().count(words)
        program.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + LONG
        while program.errors().count(words) <= before:
            assert time.monotonic() < end, program.errors()
            time.sleep(0.01)
        reads[0] += 1

    program.again, program.mqtt, program.http = again, port, http
    return program


def test_who_publishes_at_qos_1_through_reloads_loses_nothing(daemon):
    subscriber = Client(daemon.mqtt).connect("sub")
    subscriber.subscribe(("out/#", 1))
    publisher = Client(daemon.mqtt).connect("pub")
    stop, failed = threading.Event(), []

    def publish():
        number = 0
        try:
            while not stop.is_set():
                publisher.publish("out/x", str(number).encode(), qos=1)
                got = subscriber.message().payload
                assert got == str(number).encode(), (got, number)
                number += 1
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        for n in range(3):
            daemon.again(routes=[{"source": f"coap:r{n}/{{x}}", "target": "home/{x}"}])
            daemon.again(query=f"?max_inflight={100 + n}")
            daemon.again(words="everything stays as it was", extra="bad")
    finally:
        stop.set()
        thread.join(LONG)
    assert not failed
    fresh = Client(daemon.mqtt).connect("new")
    fresh.publish("out/x", b"-1", qos=1)
    assert subscriber.message().payload == b"-1"


def test_events_over_http_go_on_when_the_listener_changes(daemon):
    with socket.create_connection(("127.0.0.1", daemon.http), timeout=LONG) as events:
        events.sendall(b"GET /resources/a HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += events.recv(4096)
        daemon.again(query="?max_connections=50", extra="http")
        Client(daemon.mqtt).connect("c").publish("a", b"after-the-change", qos=1)
        while b"after-the-change" not in heard:
            more = events.recv(4096)
            assert more, heard
            heard += more


def test_a_bad_config_leaves_everything_and_says_why(daemon):
    client = Client(daemon.mqtt).connect("c")
    daemon.again(words="everything stays as it was", extra="bad")
    assert "routez" in daemon.errors() and "routes" in daemon.errors()
    client.publish("a", b"1", qos=1)
