"""What was acknowledged survives: kill -9, a damaged file, a second process (docs/store.md)."""
import concurrent.futures
import stat
import urllib.error
import urllib.request

import pytest
from conftest import Bridged, built_adapters
from peers import mqtt

pytestmark = pytest.mark.skipif(not {"mqtt", "http", "coap"} <= set(built_adapters()), reason="needs all three protocols")
URLS = ("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r")


@pytest.fixture
def start(tmp_path):
    """start() gives a bridged on the same file each time; kill() it, or let it end in order."""
    running = []

    def go(*urls, store="sqlite:bridge.db", options=()):
        program = Bridged("--store", store, *options, *(urls or URLS), log=tmp_path / f"bridged{len(running)}.log", cwd=tmp_path)
        running.append(program)
        return program.ready(len(urls or URLS))
    yield go
    for program in running:
        if program.process.poll() is None:
            program.end()


def kill(program):
    program.process.kill()
    program.process.wait()


def put(bridged, path, data, headers=None):
    request = urllib.request.Request(f"{bridged.url('http')}/{path}", data=data.encode(), method="PUT", headers=headers or {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status


def get(bridged, path):
    with urllib.request.urlopen(f"{bridged.url('http')}/{path}", timeout=30) as answer:
        return answer.read().decode(), dict(answer.headers)


def client(bridged, name, version=5, expiry=1000, **more):
    c = mqtt.Client(bridged.port("mqtt"), version=version)
    return c.connect(name, clean=False, props={"session_expiry": expiry} if version == 5 else None, **more)


# ---- values

def test_values_of_all_protocols_are_there_after_a_kill(start):
    one = start()
    assert put(one, "home/a", "21.5", {"Content-Type": "application/json"}) == 201
    assert put(one, "home/a", "22", {"Content-Type": "application/json"}) == 204
    put(one, "home/gone", "1")
    c = client(one, "pub")
    c.publish("home/b", b"b", qos=1, retain=True, props={"content_type": "x/y", "user": ("k", "v")})
    c.publish("home/gone", b"", qos=1, retain=True)
    kill(one)

    two = start()

    said, headers = get(two, "home/a")
    assert (said, headers["Content-Type"]) == ("22", "application/json")
    d = client(two, "sub")
    d.subscribe("home/#")
    seen = {m.topic: m for m in (d.message(), d.message())}
    assert set(seen) == {"home/a", "home/b"}
    assert (seen["home/b"].payload, seen["home/b"].props["content_type"], seen["home/b"].props["user"]) == (b"b", "x/y", [("k", "v")])
    assert get(two, "home/%2B")[0].count(":") == 2


def test_a_value_does_not_outlive_its_time(start):
    one = start()
    c = client(one, "pub")
    c.publish("short", b"1", qos=1, retain=True, props={"message_expiry": 1})
    c.publish("long", b"1", qos=1, retain=True, props={"message_expiry": 5000})
    kill(one)

    two = start()

    d = client(two, "sub")
    d.subscribe("long")
    assert 4000 < d.message().props["message_expiry"] <= 5000


# ---- sessions

@pytest.mark.parametrize("version", [4, 5])
def test_a_session_its_subscriptions_and_what_waits_for_it_come_back(start, version):
    one = start()
    c = client(one, "sleeper", version)
    c.subscribe(("a/+", 2), ("b", 1))
    c.drop()
    p = client(one, "pub")
    for n in range(5):
        p.publish(f"a/{n}", b"x%d" % n, qos=1 + n % 2)
    kill(one)
    two = start()
    client(two, "pub").publish("b", b"later", qos=1)

    d = client(two, "sleeper", version)

    assert d.connack.session_present
    got = [d.message() for _ in range(6)]
    assert [(m.topic, m.payload) for m in got] == [(f"a/{n}", b"x%d" % n) for n in range(5)] + [("b", b"later")]


def responds(c, filter):
    pid = next(c.pids)
    c.send(mqtt.subscribe(pid, (filter, 1), props=[("user", ("responder", "true"))], version=5))
    return c.wait_for(mqtt.SUBACK, pid).codes


def test_what_a_session_answers_for_comes_back_with_it(start):
    one = start()
    c = client(one, "device")
    assert responds(c, "dev/+") == [1] and responds(c, "other") == [1]
    c.unsubscribe("other")
    kill(one)
    two = start()

    with pytest.raises(urllib.error.HTTPError) as away:  # somebody answers for it, who is not there
        get(two, "dev/a")
    with pytest.raises(urllib.error.HTTPError) as nobody:
        get(two, "other")
    assert away.value.code >= 500 and nobody.value.code == 404
    assert responds(client(two, "somebody"), "dev/+") == [0x83]  # it is taken
    c = client(two, "device")
    assert c.connack.session_present
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, two, "dev/a")
        question = c.message()
        assert question.topic == "dev/a"
        c.send(mqtt.publish(question.props["response_topic"], b"21", version=5, props=[("correlation", question.props["correlation"])]))
        assert answer.result()[0] == "21"
    c.drop()
    client(two, "device", expiry=0).disconnect()  # its end
    put(two, "sync", "1")
    kill(two)
    with pytest.raises(urllib.error.HTTPError) as gone:
        get(start(), "dev/a")
    assert gone.value.code == 404


def test_only_what_was_sent_before_a_kill_is_a_duplicate(start):
    one = start()
    listener = client(one, "listener")
    listener.subscribe(("news", 1))
    publisher = client(one, "publisher")
    publisher.publish("news", b"sent", qos=1)
    assert not listener.receive().dup  # and not acknowledged
    listener.disconnect()
    other = client(one, "other")
    other.subscribe(("news", 1))
    other.disconnect()
    publisher.publish("news", b"kept", qos=1)
    kill(one)
    two = start()

    listener = client(two, "listener")
    assert [(p.payload, p.dup) for p in (listener.receive(), listener.receive())] == [(b"sent", True), (b"kept", False)]  # MQTT-3.3.1-1
    p = client(two, "other").receive()
    assert (p.payload, p.dup) == (b"kept", False)


def test_a_session_keeps_its_listeners_limits_until_it_is_back(start):
    urls = ("mqtt://127.0.0.1:0?max_queue=3",)
    one = start(*urls)
    sleeper = client(one, "sleeper")
    sleeper.subscribe(("news", 1))
    sleeper.disconnect()
    kill(one)
    two = start(*urls)
    publisher = client(two, "publisher")
    for n in range(5):
        publisher.publish("news", b"%d" % n, qos=1)

    sleeper = client(two, "sleeper")

    assert [sleeper.message().payload for _ in range(3)] == [b"0", b"1", b"2"]
    sleeper.nothing()


@pytest.mark.parametrize("version", [4, 5])
def test_a_session_keeps_whether_qos_0_waits_for_it(start, version):
    urls = ("mqtt://127.0.0.1:0?queue_qos0=yes",)
    one = start(*urls)
    sleeper = client(one, "sleeper", version)
    sleeper.subscribe(("news", 0))
    sleeper.disconnect()
    kill(one)
    two = start(*urls)
    publisher = client(two, "publisher")
    publisher.publish("news", b"1")
    publisher.ping()

    sleeper = client(two, "sleeper", version)

    assert sleeper.message().payload == b"1"
    sleeper.nothing()


def test_qos_2_is_not_doubled_by_a_kill_at_any_step(start):
    one = start()
    listener = client(one, "listener")
    listener.subscribe(("once", 2))
    publisher = client(one, "publisher")
    publisher.send(mqtt.publish("once", b"1", qos=2, pid=7, version=5))
    assert publisher.receive().type == mqtt.PUBREC
    heard = listener.receive()
    assert (heard.type, heard.payload) == (mqtt.PUBLISH, b"1")
    kill(one)
    two = start()

    publisher = client(two, "publisher")  # has PUBREC, but is not sure of it
    publisher.send(mqtt.publish("once", b"1", qos=2, pid=7, dup=True, version=5))
    assert publisher.receive().type == mqtt.PUBREC
    listener = client(two, "listener")
    again = listener.receive()

    assert (again.payload, again.pid, again.dup) == (b"1", heard.pid, True)  # the same identifier: it knows
    listener.send(mqtt.ack(mqtt.PUBREC, again.pid))
    assert listener.receive().type == mqtt.PUBREL
    kill(two)
    three = start()
    listener = client(three, "listener")
    release = listener.receive()
    assert (release.type, release.pid) == (mqtt.PUBREL, heard.pid)  # released for good: no PUBLISH any more
    listener.send(mqtt.ack(mqtt.PUBCOMP, release.pid))
    publisher = client(three, "publisher")
    publisher.send(mqtt.ack(mqtt.PUBREL, 7))
    assert publisher.receive().type == mqtt.PUBCOMP
    publisher.send(mqtt.publish("once", b"2", qos=2, pid=7, version=5))
    assert publisher.receive().type == mqtt.PUBREC
    assert listener.message().payload == b"2"


def test_a_clean_start_forgets_what_was_kept(start):
    one = start()
    c = client(one, "me")
    c.subscribe(("a", 1))
    c.drop()
    client(one, "pub").publish("a", b"old", qos=1)
    d = mqtt.Client(one.port("mqtt"), version=5).connect("me", clean=True, props={"session_expiry": 1000})
    d.subscribe(("b", 1))
    kill(one)

    two = start()

    e = client(two, "me")
    assert e.connack.session_present
    p = client(two, "pub")
    p.publish("a", b"new", qos=1)
    p.publish("b", b"yes", qos=1)
    assert e.message().payload == b"yes"


def test_an_expired_session_is_gone_and_its_will_was_published(start):
    one = start()
    heir = client(one, "heir")
    heir.subscribe(("will", 1))
    heir.drop()
    client(one, "mortal", expiry=1, will=("will", b"goodbye", 1, False, {"will_delay": 1})).subscribe(("x", 1))
    kill(one)

    two = start()

    heir = client(two, "heir")
    assert heir.message().payload == b"goodbye"
    assert not client(two, "mortal", expiry=0).connack.session_present


def test_a_shared_subscription_comes_back_as_one(start):
    one = start()
    c = client(one, "worker")
    c.subscribe(("$share/crew/jobs", 1))
    kill(one)

    two = start()

    d = client(two, "worker")
    client(two, "pub").publish("jobs", b"dig", qos=1)
    assert d.message().payload == b"dig"


def test_an_orderly_end_keeps_everything_too(start):
    one = start()
    c = client(one, "sleeper")
    c.subscribe(("a", 1))
    c.drop()
    client(one, "pub").publish("a", b"1", qos=1)
    one.end()

    two = start()

    assert client(two, "sleeper").message().payload == b"1"
    assert "damaged" not in two.errors()


# ---- the file

def test_a_second_process_is_told_who_has_the_file(start, tmp_path, bridged_program):
    one = start()

    code, _, said = bridged_program("--store", f"sqlite:{tmp_path}/bridge.db", "mqtt://127.0.0.1:0")

    assert code != 0 and f"in use by process {one.process.pid}" in said


def test_files_are_for_their_owner_only(start, tmp_path):
    put(start(), "a", "1")

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("bridge.db*")}

    assert {"bridge.db", "bridge.db-wal", "bridge.db.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("damage", [lambda old: b"This is not a database. " * 1000, lambda old: old[:4096] + b"\xff" * (len(old) - 4096),
                                    lambda old: old[:-4096] + b"\xff" * 4096],
                         ids=["no database", "pages overwritten", "one page overwritten"])
def test_a_damaged_file_is_moved_aside(start, tmp_path, damage):
    one = start()
    for n in range(200):
        put(one, f"a/{n}", "x" * 100)
    one.end()
    file = tmp_path / "bridge.db"
    file.write_bytes(damage(file.read_bytes()))

    two = start()

    assert put(two, "b", "1") == 201
    aside = [f for f in tmp_path.glob("bridge.db.corrupt-*") if not f.name.endswith(("-wal", "-shm"))]
    assert len(aside) == 1 and "damaged" in two.errors() and aside[0].name in two.errors()
    two.end()
    three = start()
    assert get(three, "b")[0] == "1"


def test_somebody_elses_database_is_left_alone(start, tmp_path, bridged_program):
    import sqlite3
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE mine(x)")

    code, _, said = bridged_program("--store", f"sqlite:{tmp_path}/other.db", "mqtt://127.0.0.1:0")

    assert code != 0 and "not one of a bridge" in said


@pytest.mark.parametrize("store, words", [("sqlit:x", "no store is called"), ("sqlite:", "a file name"), ("x", "memory: or sqlite:FILE"),
                                          ("sqlite:x?comit=5", 'did you mean "commit"'), ("sqlite:x?durability=ful", "full, normal or none"),
                                          ("sqlite:/nowhere/x", "/nowhere/x"), ("memory:x", "no name")])
def test_a_store_that_cannot_be_is_refused_with_a_sentence(bridged_program, store, words):
    code, _, said = bridged_program("--store", store, "mqtt://127.0.0.1:0")

    assert code != 0 and words in said


# ---- config and levels

def test_the_config_names_store_and_durability(start_bridged, tmp_path):
    (tmp_path / "c.json").write_text("""{"listen": ["http://127.0.0.1:0/resources?durability=normal"],
        "store": "sqlite:c.db?commit=1", "durability": {"chatter/#": "none", "dear/#": "full"}}""")
    one = start_bridged(options=["-c", "c.json"], listeners=1)

    for path in ("chatter/a", "dear/a", "other"):
        assert put(one, path, "1") == 201

    assert (tmp_path / "c.db").exists()


def test_memory_keeps_nothing(start):
    one = start(store="memory:")
    put(one, "a", "1")
    kill(one)
    two = start(store="memory:")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(two, "a")
