"""A damaged file: what can be read of it is taken over at the next start (docs/store.md, "Files")."""
import json
import os
import sqlite3
import struct
import urllib.error
import urllib.request

import pytest
from conftest import Bridged, built_adapters
from peers import mqtt

pytestmark = pytest.mark.skipif(not {"mqtt", "http"} <= set(built_adapters()), reason="needs both protocols")
VALUES = 400
PAGE = 4096
LEAF = 0x0a  # of an index b-tree: a page's first byte


@pytest.fixture
def start(tmp_path):
    running = []
    config = {"listen": ["mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources"], "store": "sqlite:bridge.db", "history": {"h/#": {}}}
    (tmp_path / "c.json").write_text(json.dumps(config))

    def go():
        running.append(Bridged("-c", "c.json", log=tmp_path / f"{len(running)}.log", cwd=tmp_path))
        return running[-1].ready(2)
    yield go
    for program in running:
        if program.process.poll() is None:
            program.end()


def http(bridged, method, path, data=None):
    request = urllib.request.Request(f"{bridged.url('http')}/{path}", data=data.encode() if data is not None else None, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as problem:
        return problem.code, problem.read().decode()


def come(bridged, name, clean=False):
    return mqtt.Client(bridged.port("mqtt"), version=5).connect(name, clean=clean, props={"session_expiry": 100000})


def fill(bridged):
    """Values, a past, a session that is away with a message."""
    p = come(bridged, "pub", clean=True)
    for n in range(VALUES - 1):
        p.send(mqtt.publish(f"v/{n:03}", b"x" * 200, retain=True, version=5))
    p.publish(f"v/{VALUES - 1:03}", b"x" * 200, qos=1, retain=True)
    for n in range(3):
        p.publish("h/a", b"%d" % n, qos=1)
    c = come(bridged, "sleeper")
    c.subscribe(("q/#", 1))
    c.disconnect()
    p.publish("q/1", b"while away", qos=1)
    p.disconnect()


def values(bridged):
    status, body = http(bridged, "GET", "v/%2B")
    return sorted(int(path[2:]) for path, value in json.loads(body).items() if value == "x" * 200) if status == 200 else []


def past(bridged):
    return [record["value"] for record in json.loads(http(bridged, "GET", "$history/h/a")[1])]


def in_file(file, sql):
    with sqlite3.connect(file) as db:
        answer = db.execute(sql).fetchall()
    db.close()
    return answer


def overwrite(file, page):
    """From 1 on, as SQLite counts."""
    with open(file, "r+b") as f:
        f.seek((page - 1) * PAGE)
        f.write(b"\xff" * PAGE)


def moved(folder):
    return [f for f in folder.glob("bridge.db.corrupt-*") if not f.name.endswith(("-wal", "-shm"))]


def is_as_new(bridged, folder):
    """It takes what comes, has nothing left over, and another start finds nothing wrong."""
    assert http(bridged, "PUT", "v/000", "y" * 200)[0] in (201, 204)
    for name in ("sleeper", "new"):
        c = come(bridged, name)
        c.subscribe(("q/#", 1))
        c.drop()
    come(bridged, "pub", clean=True).publish("q/2", b"after", qos=1)
    bridged.end()
    assert {f.name for f in folder.glob("bridge.db*") if ".corrupt-" not in f.name} == {"bridge.db", "bridge.db.lock"}
    assert in_file(folder / "bridge.db", "PRAGMA integrity_check") == [("ok",)]


def comes_back_again(start, messages):
    again = start()
    assert http(again, "GET", "v/000") == (200, "y" * 200)
    for name in ("sleeper", "new"):
        c = come(again, name)
        assert c.connack.session_present and [c.message().payload for _ in range(messages[name])][-1] == b"after"
        c.disconnect()
    assert "damaged" not in again.errors()


def test_one_page_of_values_is_lost_and_the_rest_is_there(start, tmp_path):
    one = start()
    fill(one)
    one.end()
    file = tmp_path / "bridge.db"
    content = file.read_bytes()
    pages = [content[at:at + PAGE] for at in range(0, len(content), PAGE)]
    leaves = [n for n, page in enumerate(pages, 1) if page[0] == LEAF and b"v/2" in page]
    overwrite(file, leaves[len(leaves) // 2])

    two = start()

    assert VALUES - 40 < len(values(two)) < VALUES
    assert past(two) == [0, 1, 2]
    assert len(moved(tmp_path)) == 1 and moved(tmp_path)[0].name in two.errors()
    is_as_new(two, tmp_path)
    comes_back_again(start, {"sleeper": 2, "new": 1})


def test_a_lost_tree_takes_with_it_what_was_about_it(start, tmp_path):
    """All that has a key is gone: the queues and the past that are left are nobody's, and nobody gets them by their number."""
    one = start()
    fill(one)
    one.end()
    file = tmp_path / "bridge.db"
    overwrite(file, in_file(file, "SELECT rootpage FROM sqlite_master WHERE name = 'kept'")[0][0])

    two = start()

    assert values(two) == []
    assert http(two, "PUT", "h/b", "7")[0] == 201
    assert json.loads(http(two, "GET", "$history/h/b")[1])[0]["value"] == 7
    is_as_new(two, tmp_path)
    comes_back_again(start, {"sleeper": 1, "new": 1})
    paths = {struct.unpack("=I", v)[0] for v, in in_file(file, "SELECT value FROM kept WHERE kind = 11")}
    assert {p for p, in in_file(file, "SELECT DISTINCT path FROM history")} == paths


def test_damage_while_it_is_in_use_is_told_and_mended_by_the_next_start(start, tmp_path):
    """In the past, which no start looks through: the process itself has to leave word."""
    one = start()
    fill(one)
    file = tmp_path / "bridge.db"
    root = in_file(file, "SELECT rootpage FROM sqlite_master WHERE name = 'history'")[0][0]
    with sqlite3.connect(file, timeout=30) as db:
        db.execute("INSERT INTO kept VALUES (99, x'00', x'')")  # somebody else wrote: what the bridge has read before counts no more
    while in_file(file, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
        pass  # it is being written to
    db.close()
    overwrite(file, root)

    assert http(one, "PUT", "h/a", "3")[0] == 429

    one.wait_for_error("damaged, and the next start takes over what can be read")
    assert "damaged" in http(one, "GET", "$SYS/bridge/store/state")[1]
    assert len(values(one)) == VALUES and http(one, "PUT", "v/000", "z")[0] == 429
    one.process.kill()
    one.process.wait()
    assert os.path.exists(tmp_path / "bridge.db.damaged")
    two = start()
    assert len(values(two)) == VALUES and past(two) == []
    assert len(moved(tmp_path)) == 1
    is_as_new(two, tmp_path)
    comes_back_again(start, {"sleeper": 2, "new": 1})


@pytest.mark.parametrize("step", ["moved", "copied"])
def test_a_kill_while_it_is_moved_loses_nothing(start, tmp_path, step):
    """As it is found: after FILE was moved and FILE.new not yet, and before."""
    one = start()
    fill(one)
    one.end()
    file = tmp_path / "bridge.db"
    content = file.read_bytes()
    (tmp_path / "bridge.db.new").write_bytes(content)
    if step == "moved":
        file.unlink()
        (tmp_path / "bridge.db-wal").write_bytes(b"of the one before")
    else:
        file.write_bytes(b"\xff" * len(content))
        (tmp_path / "bridge.db.new").write_bytes(b"half")

    two = start()

    assert values(two) == (list(range(VALUES)) if step == "moved" else [])
    assert ("damaged" in two.errors()) == (step == "copied")
    is_as_new(two, tmp_path) if step == "copied" else two.end()
    assert not (tmp_path / "bridge.db.new").exists()
