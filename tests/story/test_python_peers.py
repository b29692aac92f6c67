"""A Bridge in this process and real peers outside: they meet in the middle."""
import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from peers import mqtt as mqtt_packets
from peers.process import Program, python_environment
from peers.tools import Mosquitto, coap_get, coap_observe, coap_put, curl, need

libbridge = pytest.importorskip("libbridge.testing") and __import__("libbridge")
from libbridge import Bridge, aio  # noqa: E402


@pytest.fixture
def mqtt(bridge):
    clients = Mosquitto(bridge.port("mqtt"))
    yield clients
    clients.close()


def url(bridge, scheme):
    return next(u for u in bridge.listeners if u.startswith(scheme + "://")).rstrip("/")


def test_a_bridge_works_while_the_program_does_other_things():
    with Bridge("mqtt://127.0.0.1:0") as b:
        heard = b.subscribe("home/#", timeout=20)

        subprocess.run([need("mosquitto_pub"), "-h", "127.0.0.1", "-p", str(b.port("mqtt")), "-t", "home/a", "-m", "21.5",
                        "-q", "1"], check=True)

        message = next(heard)
        assert (message.path, message.value, message.qos) == ("home/a", 21.5, 1)
        assert message.origin.startswith("mqtt:")


def test_one_value_over_every_protocol(bridge, mqtt):
    on_mqtt = mqtt.subscribe("home/#")

    coap_put(url(bridge, "coap") + "/home/a", "1")
    assert on_mqtt.line() == "home/a 1"
    assert curl(url(bridge, "http") + "/home/a") == (200, b"1")
    assert bridge.get("home/a").value == 1

    bridge.put("home/a", 2)
    assert on_mqtt.line() == "home/a 2"
    assert coap_get(url(bridge, "coap") + "/home/a").strip() == b"2"


def test_a_coap_observer_hears_python(bridge):
    bridge.put("a", "first\n")
    with coap_observe(url(bridge, "coap") + "/a") as observer:
        assert observer.line() == "first"

        bridge.put("a", "second\n")

        assert observer.line() == "second"


def test_binary_payloads_stay_as_they_are(bridge, mqtt):
    every_byte = bytes(range(256)) * 40
    heard = bridge.subscribe("blob")

    mqtt.publish("blob", every_byte, "-r")
    assert next(heard).payload == every_byte
    assert curl(url(bridge, "http") + "/blob") == (200, every_byte)


def test_a_resource_answers_over_http_and_coap(bridge):
    @bridge.resource("lamps/{room}", "GET", "PUT")
    def lamp(request, room):
        if room != "kitchen":
            raise LookupError(f"there is no lamp in the {room}")
        return f"{request.verb} {request.value}" if request.verb == "PUT" else {"room": room}

    http, coap = url(bridge, "http") + "/lamps/", url(bridge, "coap") + "/lamps/"
    assert curl(http + "kitchen") == (200, b'{"room":"kitchen"}')
    assert curl("-X", "PUT", "-d", "on", http + "kitchen") == (200, b"PUT on")
    assert coap_get(coap + "kitchen").strip() == b'{"room":"kitchen"}'
    status, body = curl(http + "garage")
    assert status == 404 and b"there is no lamp in the garage" in body
    assert curl("-X", "DELETE", http + "kitchen")[0] == 405


def test_a_resource_that_is_slow_holds_nobody_else_up_in_asyncio():
    async def story():
        async with aio.Bridge("http://127.0.0.1:0/resources") as b:
            go = asyncio.Event()

            @b.resource("slow")
            async def slow(request):
                await go.wait()
                return "at last"
            b.publish("quick", "now", retain=True)
            base = b.listeners[0].rstrip("/")
            slow_one = asyncio.create_task(asyncio.to_thread(curl, base + "/slow"))
            assert await asyncio.to_thread(curl, base + "/quick") == (200, b"now")
            go.set()
            assert await slow_one == (200, b"at last")
    asyncio.run(asyncio.wait_for(story(), 60))


def test_the_access_question_is_asked_of_peers(bridge, mqtt):
    asked = []

    @bridge.allow
    def ask(who, verb, path):
        asked.append((who.split(":")[0], verb, path))
        return False if path.startswith("secret") else None

    bridge.put("secret/a", 1)
    bridge.put("open/a", 2)
    assert curl(url(bridge, "http") + "/secret/a")[0] == 401  # 403 for one who has said who he is
    assert curl(url(bridge, "http") + "/open/a") == (200, b"2")
    heard = bridge.subscribe("#")
    heard.take(2)
    mqtt.publish("secret/b", "not heard")
    mqtt.publish("open/b", "heard")
    assert next(heard).path == "open/b"
    assert ("http", "GET", "secret/a") in asked


def test_an_access_question_that_fails_is_a_no(bridge, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(what.exc_value))

    @bridge.allow
    def ask(who, verb, path):
        raise RuntimeError("a bug")

    assert curl(url(bridge, "http") + "/a")[0] in (401, 403)
    assert isinstance(told[0], RuntimeError)


def test_a_login_asks_for_the_password(bridge):
    @bridge.login
    def login(client, user, password):
        return user == "ann" and password == b"sesame"

    def publish(*who):
        return subprocess.run([need("mosquitto_pub"), "-h", "127.0.0.1", "-p", str(bridge.port("mqtt")), *who,
                               "-t", "a", "-m", "x"],
                              capture_output=True, timeout=20).returncode

    assert publish("-u", "ann", "-P", "sesame") == 0
    assert publish("-u", "ann", "-P", "wrong") != 0
    assert publish() != 0


def test_routes_give_a_protocol_names_of_its_own(bridge, mqtt):
    heard = bridge.subscribe("home/+/temperature")
    route = bridge.route("coap:s/{room}/t", "home/{room}/temperature")

    coap_put(url(bridge, "coap") + "/s/kitchen/t", "21.5")

    assert (next(heard).path, bridge.get("home/kitchen/temperature").value) == ("home/kitchen/temperature", 21.5)
    assert coap_get(url(bridge, "coap") + "/s/kitchen/t").strip() == b"21.5"
    assert "s/kitchen/t" in bridge.explain("home/kitchen/temperature")
    route.close()
    assert "s/kitchen/t" not in bridge.explain("home/kitchen/temperature")


def test_closing_a_listener_frees_its_port(bridge):
    listener = bridge.listen("mqtt://127.0.0.1:0")
    port = listener.port

    listener.close()

    assert bridge.listen(f"mqtt://127.0.0.1:{port}").port == port
    assert not listener.open


def test_a_port_in_use_is_already_there(bridge):
    with pytest.raises(libbridge.AlreadyThere):
        bridge.listen(f"mqtt://127.0.0.1:{bridge.port('mqtt')}")


def test_closing_with_peers_connected_does_not_hang(make_bridge):
    bridge = make_bridge("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources")
    clients = Mosquitto(bridge.port("mqtt"))
    clients.subscribe("#")
    closed = threading.Event()

    threading.Thread(target=lambda: (bridge.close(), closed.set())).start()

    assert closed.wait(20)
    clients.close()


def test_many_messages_from_outside_reach_a_handler_in_order(bridge, mqtt):
    got, done = [], threading.Event()

    @bridge.on("n/{name}")
    def heard(message, name):
        got.append(int(message))
        if len(got) == 5000:
            done.set()

    subprocess.run([need("mosquitto_pub"), "-h", "127.0.0.1", "-p", str(bridge.port("mqtt")), "-t", "n/x", "-l", "-q", "1"],
                   input="".join(f"{n}\n" for n in range(5000)).encode(), check=True, timeout=60)

    assert done.wait(30)
    assert got == list(range(5000))


def test_ctrl_c_ends_run(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent("""
        import sys, threading, time
        from libbridge import Bridge

        def tell_when_it_runs(main=threading.main_thread().ident):
            names = []
            while not (names and "wait" in names[0] and "run" in names):
                time.sleep(0.001)
                frame, names = sys._current_frames()[main], []
                while frame:
                    names.append(frame.f_code.co_name)
                    frame = frame.f_back
            print("up", flush=True)

        bridge = Bridge("mqtt://127.0.0.1:0")
        threading.Thread(target=tell_when_it_runs).start()
        bridge.run()
        print("closed", bridge.closed, flush=True)
    """))
    path = os.pathsep.join(p for p in sys.path if Path(p, "libbridge", "__init__.py").exists())
    with Program(sys.executable, program, env=python_environment(PYTHONPATH=path)) as running:
        running.wait_for("up")

        running.send_signal(signal.SIGINT)

        assert running.wait_for("closed") == "closed True"
        assert running.wait() == 0


def test_a_program_may_end_without_closing(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent("""
        from libbridge import Bridge
        bridge = Bridge("mqtt://127.0.0.1:0", "http://127.0.0.1:0/r")
        heard = bridge.subscribe("#")
        @bridge.on("a")
        def a(message): bridge.publish("b", 1)
        bridge.publish("a", 1)
        print(next(heard).path)
    """))
    path = os.pathsep.join(p for p in sys.path if Path(p, "libbridge", "__init__.py").exists())

    with Program(sys.executable, program, env=python_environment(PYTHONPATH=path)) as running:
        assert running.rest() == ["a"]
        assert running.wait() == 0


def test_an_enhanced_authentication_is_led_step_by_step(bridge):  # MQTT 5 4.12
    from peers.mqtt import AUTH, CONNACK, Client, auth, connect

    @bridge.challenge("COUNT")
    def count(client, step, data):
        if step == 0:
            return b"what comes after " + data
        return (True, b"well done") if data == b"8" else False

    @bridge.login
    def login(client, user, password):
        raise AssertionError("a password is not asked for here")

    for answer, reason in ((b"8", 0), (b"9", 0x87)):
        peer = Client(bridge.port("mqtt"), version=5)
        peer.send(connect("me", version=5, props={"auth_method": "COUNT", "auth_data": b"7"}))
        asked = peer.expect(AUTH)
        assert asked.props["auth_data"] == b"what comes after 7"
        peer.send(auth(0x18, props={"auth_method": "COUNT", "auth_data": answer}))
        welcome = peer.expect(CONNACK)
        assert welcome.reason == reason
        assert reason or welcome.props["auth_data"] == b"well done"
        peer.drop()


def test_one_function_sees_all_that_is_known(bridge):
    from peers.mqtt import AUTH, CONNACK, Client, auth, connect
    seen = []

    @bridge.access
    def access(ask):
        if ask.verb == "CONNECT":
            seen.append(ask)
            return None if ask.method is None else b"more" if ask.step == 0 else (True, b"welcome")
        return ask.path != "forbidden"

    with Client(bridge.port("mqtt"), version=5) as peer:
        peer.send(connect("me", version=5, user="alice", props={"auth_method": "M", "auth_data": b"a"}))
        peer.expect(AUTH)
        peer.send(auth(0x18, props={"auth_method": "M", "auth_data": b"b"}))
        assert peer.expect(CONNACK, reason=0).props["auth_data"] == b"welcome"
        assert (peer.publish("forbidden", qos=1).reason, peer.publish("open", qos=1).reason) == (0x87, 0x10)
    assert [(a.path, a.user, a.secret, a.certified, a.method, a.step) for a in seen] == [
        ("me", "alice", b"a", None, "M", 0), ("me", "alice", b"b", None, "M", 1)]


def test_a_function_sees_what_tls_has_proved(bridge, tmp_path):
    from peers.certificates import Authority
    import socket
    import ssl
    from peers.mqtt import Client
    seen = []

    @bridge.access
    def access(ask):
        if ask.verb == "CONNECT":
            seen.append((ask.certified, ask.user, ask.path))
        return None

    authority = Authority(tmp_path)
    (pem, key), mine = authority.sign("server"), authority.sign("alice")
    listener = bridge.listen(f"mqtts://127.0.0.1:0?cert={pem}&key={key}&ca={authority.file}")
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(*mine)
    tls = context.wrap_socket(socket.create_connection(("127.0.0.1", listener.port)), server_hostname="localhost")
    with Client(listener.port, 5, sock=tls) as c:
        c.connect("lamp")

    assert seen == [("alice", None, "lamp")]


def test_one_name_finds_its_value_through_any_route(bridge):
    for source, target in (("{p...}", "site/{p...}"), ("{room}/lamp", "lights/{room}")):
        bridge.route("mqtt:" + source, target)
    bridge.route("mqtt:in/{x}", "log/{x}", both_ways=False)
    for path in ("site/a/b", "lights/hall", "log/x", "else"):
        bridge.publish(path, path, retain=True, origin="app:me")  # who says no origin speaks for every protocol

    def kept(name):
        client = mqtt_packets.Client(bridge.port("mqtt")).connect("reader")
        client.subscribe(name)
        client.subscribe("end")
        client.publish("end", b"end", qos=1)
        said = [client.message().payload]
        while said[-1] != b"end":
            said.append(client.message().payload)
        client.drop()
        return said[:-1]

    names = ("a/b", "hall/lamp", "site/a/b", "lights/hall", "in/x", "log/x", "else", "hall/c")
    assert {name: kept(name) for name in names} == {  # what a path is called inside finds it, too
        "a/b": [b"site/a/b"], "hall/lamp": [b"lights/hall"], "site/a/b": [b"site/a/b"], "lights/hall": [b"lights/hall"],
        "in/x": [], "log/x": [b"log/x"], "else": [b"else"], "hall/c": []}
