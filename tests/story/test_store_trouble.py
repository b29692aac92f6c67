"""A disk that takes nothing any more, under a whole bridged (docs/store.md, "When the disk says no"), a file that may not be written, an old file."""
import json
import os
import resource
import sqlite3
import subprocess
import urllib.error
import urllib.request

import pytest
from conftest import Bridged, built_adapters
from peers import coap, mqtt

pytestmark = pytest.mark.skipif(not {"mqtt", "http", "coap"} <= set(built_adapters()), reason="needs all three protocols")
URLS = ("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r")
PIECE = "x" * 20000


@pytest.fixture
def start(tmp_path):
    running = []

    def go(store, *urls):
        program = Bridged("--store", store, *(urls or URLS), log=tmp_path / f"bridged{len(running)}.log", cwd=tmp_path)
        running.append(program)
        return program.ready(len(urls or URLS))
    yield go
    for program in running:
        if program.process.poll() is None:
            program.end()


class Full:
    """A file system of 2 MB of its own, and a file that takes all that is left."""

    def __init__(self, folder):
        self.folder = folder / "small"
        self.folder.mkdir()
        self.ballast = self.folder / "ballast"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", self.folder], capture_output=True)
        if done.returncode != 0:
            pytest.skip("needs the right to mount")

    def begin(self, _process):
        with open(self.ballast, "wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def end(self, _process):
        self.ballast.unlink()

    def close(self):
        subprocess.run(["umount", self.folder], check=True)


class Refused:
    """Writes beyond 64 KB of a file fail with EFBIG: an I/O error for SQLite."""

    def __init__(self, folder):
        self.folder = folder

    def begin(self, process):
        self.was = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (65536, self.was[1]))

    def end(self, process):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, self.was)

    def close(self):
        pass


@pytest.fixture(params=[Full, Refused])
def disk(request, tmp_path):
    """Before start, so that bridged has ended when it goes."""
    it = request.param(tmp_path)
    yield it
    it.close()


def http(bridged, method, path, data=None):
    """(status, headers, body)"""
    request = urllib.request.Request(f"{bridged.url('http')}/{path}", data=data.encode() if data is not None else None, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as problem:
        return problem.code, problem.headers, problem.read().decode()


def state(bridged):
    return http(bridged, "GET", "$SYS/bridge/store/state")[2]


def test_a_disk_that_takes_nothing_is_told_in_each_protocols_words_until_it_takes_again(disk, start):
    """No order of time is asked for: it is tried again by itself, every 2 s at the latest, until somebody gives room."""
    bridged = start(f"sqlite:{disk.folder}/bridge.db")
    port = bridged.port("mqtt")
    client = mqtt.Client(port, version=5).connect("c", clean=False, props={"session_expiry": 1000})
    watcher = mqtt.Client(port, version=5).connect("w")
    watcher.subscribe(("event", 1))
    old = mqtt.Client(port, version=4).connect("old", clean=True)
    mqtt.Client(port, version=5).connect("was there", clean=False, props={"session_expiry": 1000}).drop()
    peer = coap.Socket(bridged.port("coap"))
    for n in range(5):  # more than 64 KB
        assert http(bridged, "PUT", f"before/{n}", PIECE)[0] == 201

    disk.begin(bridged.process)
    acknowledged = []
    for n in range(300):  # what SQLite has room for in its own file goes on for a while
        status = http(bridged, "PUT", f"while/{n}", PIECE)[0]
        if status == 429:
            break
        assert status == 201
        acknowledged.append(n)
    else:
        raise AssertionError("the disk is not full")

    for n in range(2):
        answer = client.publish(f"m/{n}", b"1", qos=1 + n, retain=True)
        assert answer.reason == 0x97  # quota exceeded
    answer = peer.put("r/c", b"1")
    assert answer.says == "4.29" and answer.uint(coap.MAX_AGE) > 0
    status, headers, body = http(bridged, "PUT", "h", "1")
    assert status == 429 and int(headers["Retry-After"]) > 0 and headers["Content-Type"] == "application/problem+json"
    old.send(mqtt.publish("o", b"1", qos=1, pid=9, retain=True))  # 3.1.1 has no word for it [MQTT-3.3.5-2]
    with pytest.raises(mqtt.Closed):
        old.receive()
    mqtt.Client(port, version=5).connect("new", reason=0x97, clean=False, props={"session_expiry": 1000})
    mqtt.Client(port, version=4).connect("new", reason=3, clean=False)
    assert peer.post("rd", b"</a>", query=("ep=n",), options=[(coap.CONTENT_FORMAT, coap.uint(40))]).says == "4.29"
    # What needs no disk goes on.
    assert mqtt.Client(port, version=5).connect("was there", clean=False, props={"session_expiry": 1000}).connack.session_present
    assert mqtt.Client(port, version=5).connect("here and now").publish("event", b"now", qos=1).reason in (0, 0x10)
    assert watcher.message().payload == b"now"
    assert http(bridged, "GET", "before/4")[2] == PIECE
    assert peer.get("r/before/0").says == "2.05"
    assert client.publish("event", b"e", qos=1).reason in (0, 0x10)
    assert watcher.message().payload == b"e"
    assert state(bridged) not in ("", "ok")
    bridged.wait_for_error("new durable work is refused until it takes again")

    disk.end(bridged.process)
    bridged.wait_for_error("takes again what is to be kept")

    assert state(bridged) == "ok"
    assert client.publish("m/after", b"1", qos=1, retain=True).reason in (0, 0x10)
    assert peer.put("r/after", b"2").says == "2.01"
    assert http(bridged, "PUT", "after-too", "3")[0] == 201
    bridged.process.kill()
    bridged.process.wait()

    again = start(f"sqlite:{disk.folder}/bridge.db")

    for path in [f"before/{n}" for n in range(5)] + [f"while/{n}" for n in acknowledged]:
        assert http(again, "GET", path)[2] == PIECE, path
    assert [http(again, "GET", path)[2] for path in ("m/after", "after", "after-too")] == ["1", "2", "3"]
    assert [http(again, "GET", path)[0] for path in ("m/0", "m/1", "c", "h", "o")] == [404] * 5
    again.end()


@pytest.fixture
def full(tmp_path):
    it = Full(tmp_path)
    yield it
    it.close()


def refuses(bridged):
    """It says why, takes nothing that is to be kept, and goes on with the rest."""
    bridged.wait_for_error("new durable work is refused until it takes again")
    assert http(bridged, "PUT", "new", "1")[0] == 429
    assert mqtt.Client(bridged.port("mqtt"), version=5).connect("here").publish("event", b"e", qos=1).reason in (0, 0x10)
    mqtt.Client(bridged.port("mqtt"), version=5).connect("stays", reason=0x97, clean=False, props={"session_expiry": 1000})
    assert "full" in state(bridged)


def takes_again(bridged, disk):
    disk.end(None)
    bridged.wait_for_error("takes again what is to be kept")
    assert state(bridged) == "ok"
    assert http(bridged, "PUT", "after", "2")[0] == 201


def test_a_full_disk_at_the_first_start_does_not_stop_it(full, start):
    full.begin(None)
    one = start(f"sqlite:{full.folder}/new.db")
    refuses(one)
    takes_again(one, full)
    one.process.kill()
    one.process.wait()
    two = start(f"sqlite:{full.folder}/new.db")
    assert http(two, "GET", "after")[2] == "2" and http(two, "GET", "new")[0] == 404
    assert not list(full.folder.glob("*.corrupt-*"))


@pytest.mark.parametrize("ended", ["in order", "killed"])
def test_a_full_disk_at_a_start_does_not_hide_what_is_there(full, start, ended):
    one = start(f"sqlite:{full.folder}/old.db")
    assert http(one, "PUT", "there", "1")[0] == 201
    away = mqtt.Client(one.port("mqtt"), version=5).connect("away", clean=False, props={"session_expiry": 100000})
    away.subscribe(("q", 1))
    away.drop()
    assert mqtt.Client(one.port("mqtt"), version=5).connect("pub").publish("q", b"waits", qos=1).reason == 0
    if ended == "killed":
        one.process.kill()
        one.process.wait()
    else:
        one.end()
    full.begin(None)
    two = start(f"sqlite:{full.folder}/old.db")
    refuses(two)
    assert http(two, "GET", "there")[2] == "1"
    back = mqtt.Client(two.port("mqtt"), version=5).connect("away", clean=False, props={"session_expiry": 100000})
    assert back.connack.session_present and back.message().payload == b"waits"
    takes_again(two, full)
    assert http(two, "PUT", "there", "3")[0] == 204
    two.process.kill()
    two.process.wait()
    three = start(f"sqlite:{full.folder}/old.db")
    assert [http(three, "GET", path)[2] for path in ("there", "after")] == ["3", "2"]
    assert mqtt.Client(three.port("mqtt"), version=5).connect("away", clean=False, props={"session_expiry": 100000}).connack.session_present
    assert not list(full.folder.glob("*.corrupt-*"))


# ---- a file that may not be written

def test_a_read_only_file_is_refused_with_a_sentence(tmp_path, start, bridged_program):
    file = tmp_path / "bridge.db"
    one = start(f"sqlite:{file}")
    assert http(one, "PUT", "a", "1")[0] == 201
    one.end()
    content = file.read_bytes()
    undo = None
    if os.geteuid() != 0:
        file.chmod(0o400)
    elif subprocess.run(["mount", "--bind", file, file], capture_output=True).returncode == 0:
        undo = ["umount", file]
        subprocess.run(["mount", "-o", "remount,bind,ro", file], check=True)
    else:
        pytest.skip("root writes everywhere, and may not mount")
    try:
        code, _, said = bridged_program("--store", f"sqlite:{file}", "mqtt://127.0.0.1:0")
    finally:
        if undo:
            subprocess.run(undo, check=True)

    assert code > 0 and "read-only" in said and str(file) in said
    assert file.read_bytes() == content and not list(tmp_path.glob("*.corrupt-*"))
    file.chmod(0o600)
    assert http(start(f"sqlite:{file}"), "GET", "a")[2] == "1"


# ---- files of other versions

def as_version_1(file):
    """The tables as the first version had them: no history yet."""
    with sqlite3.connect(file) as db:
        db.execute("DROP TABLE history")
        db.execute("PRAGMA user_version=1")
    db.close()


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path, start):
    file = tmp_path / "bridge.db"
    one = start(f"sqlite:{file}")
    assert http(one, "PUT", "a", "1")[0] == 201
    c = mqtt.Client(one.port("mqtt"), version=5).connect("sleeper", clean=False, props={"session_expiry": 100000})
    c.subscribe(("s/#", 1))
    c.drop()
    assert mqtt.Client(one.port("mqtt"), version=5).connect("pub").publish("s/x", b"while away", qos=1).reason == 0
    one.end()
    as_version_1(file)
    (tmp_path / "c.json").write_text(json.dumps({"listen": list(URLS), "store": f"sqlite:{file}", "history": {"s/#": {}}}))
    two = Bridged("-c", "c.json", log=tmp_path / "two.log", cwd=tmp_path).ready(3)
    try:
        assert http(two, "GET", "a")[2] == "1"
        assert http(two, "PUT", "s/y", "7")[0] == 201
        assert '"value":7' in http(two, "GET", "$history/s/y")[2].replace(" ", "")
        d = mqtt.Client(two.port("mqtt"), version=5).connect("sleeper", clean=False, props={"session_expiry": 100000})
        assert d.connack.session_present and d.message().payload == b"while away"
    finally:
        two.end()
    with sqlite3.connect(file) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
        assert db.execute("SELECT count(*) FROM history").fetchone() == (1,)
    db.close()


def test_a_schema_made_by_hand_as_the_first_version_made_it(tmp_path, start):
    """From nothing but the old CREATE TABLEs, so that a change of today's first migration does not hide behind itself."""
    file = tmp_path / "bridge.db"
    one = start(f"sqlite:{tmp_path}/model.db")
    assert http(one, "PUT", "a", "kept")[0] == 201
    one.end()
    with sqlite3.connect(tmp_path / "model.db") as model:
        kept = model.execute("SELECT kind, key, value FROM kept").fetchall()
        number = model.execute("PRAGMA application_id").fetchone()[0]
    model.close()
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE kept(kind INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY(kind, key)) WITHOUT ROWID")
        db.execute("CREATE TABLE queued(queue INTEGER NOT NULL, number INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY(queue, number)) WITHOUT ROWID")
        db.executemany("INSERT INTO kept VALUES (?, ?, ?)", kept)
        db.execute(f"PRAGMA application_id={number}")
        db.execute("PRAGMA user_version=1")
    db.close()

    two = start(f"sqlite:{file}")

    assert http(two, "GET", "a")[2] == "kept"


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path, start, bridged_program):
    file = tmp_path / "bridge.db"
    start(f"sqlite:{file}").end()
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version=99")
    db.close()

    code, _, said = bridged_program("--store", f"sqlite:{file}", "mqtt://127.0.0.1:0")

    assert code > 0 and "newer version" in said and not list(tmp_path.glob("*.corrupt-*"))
