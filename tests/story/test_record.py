"""bridged record, replay and --dry-run: docs/record.md."""
import base64
import json
import signal
import subprocess

import pytest

from conftest import Bridged

BRIDGED = Bridged.program
pytestmark = pytest.mark.skipif(not BRIDGED.exists(), reason="bridged is not in this build")
LONG = 30


def run(*words, cwd=None, stdin=None):
    return subprocess.run([BRIDGED, *map(str, words)], cwd=cwd, input=stdin, capture_output=True, text=True, timeout=LONG)


def recording(*words):
    program = subprocess.Popen([BRIDGED, "record", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "recording from" in program.stderr.readline()
    return program


def test_what_is_recorded_is_replayed(bridged, tmp_path):
    url, file = bridged.url("mqtt"), tmp_path / "messages.jsonl"
    sent = [("a/text", b"21.5", 1, False), ("a/\u00fc", b'{"x":"\\""}', 0, True), ("a/bytes", bytes(range(256)), 1, False), ("a/empty", b"", 0, False)]
    program = recording("-u", url, "-o", file, "-n", len(sent), "a/#", "b/#")
    lines = [json.dumps({"time": 1, "path": p, "qos": q, "retain": r, **payload(d)}) for p, d, q, r in sent]

    assert run("replay", "-u", url, "-s", "0", "-", stdin="# a comment\n\n" + "\n".join(lines)).returncode == 0

    assert program.wait(LONG) == 0
    recorded = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(m["path"], body(m)) for m in recorded] == [(p, d) for p, d, _, _ in sent]
    assert [m.get("qos", 0) for m in recorded] == [q for _, _, q, _ in sent]
    again = recording("-u", url, "-n", len(sent) + 1, "a/#")  # a kept one comes first
    assert run("replay", "-u", url, "--speed", "1000", file).returncode == 0
    assert again.wait(LONG) == 0
    assert [json.loads(line)["path"] for line in again.stdout][1:] == [p for p, _, _, _ in sent]


def payload(data):
    return {"base64": base64.b64encode(data).decode()}


def body(message):
    return base64.b64decode(message["base64"]) if "base64" in message else message["payload"].encode()


def test_recording_ends_with_a_signal(bridged):
    program = recording("-u", bridged.url("mqtt"))
    program.send_signal(signal.SIGINT)
    assert program.wait(LONG) == 0


@pytest.mark.parametrize("words, code, said", [
    (("replay", "nothing.jsonl"), 2, "cannot read"), (("replay",), 2, "usage"), (("record", "-x"), 2, "usage"),
    (("record", "-u", "http://x"), 1, "mqtt://"), (("record", "-n", "x"), 2, "usage"), (("--dry-run", "nothing.jsonl"), 2, "cannot read"),
    (("record", "-u", "mqtt://127.0.0.1:1"), 1, "nobody listens"),
])
def test_mistakes(words, code, said, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == code and said in done.stderr


CONFIG = """{"listen": ["mqtt://127.0.0.1:1883"], "routes": [
  {"source": "plc/{line}/raw", "target": "plant/{line}/temperature", "transform": "pick $.temp | unit degF Cel"},
  {"source": "plant/{line}/temperature", "target": "cloud/{line}", "transform": "window 60s mean"},
  {"source": "x-plc:{line}/f", "target": "named/{line}"}]}"""


def test_a_dry_run_says_what_would_come_of_it(tmp_path):
    (tmp_path / "c.json").write_text(CONFIG)
    lines = [{"time": 1000, "path": "plc/7/raw", "payload": '{"temp": 212}'}, {"time": 2000, "path": "plc/7/raw", "payload": '{"temp": 32}'},
             {"time": 90000, "path": "other", "payload": "x"}, {"time": 90000, "path": "7/f", "payload": "1", "origin": "x-plc:1"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = run("-c", "c.json", "--dry-run", "m.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        'plc/7/raw {"temp": 212}', "  -> plant/7/temperature 100", 'plc/7/raw {"temp": 32}', "  -> plant/7/temperature 0",
        "  -> cloud/7 50", "other x", "7/f 1", "  -> named/7 1", "end: what was held back"]


def test_a_line_that_is_wrong_is_named(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"path": "a", "payload": "1"}\n{"path": 5}\n')
    done = run("--dry-run", "m.jsonl", cwd=tmp_path)
    assert done.returncode == 2 and "message 2" in done.stderr
