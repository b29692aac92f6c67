"""bridged record, replay and --dry-run: docs/record.md."""
import base64
import json
import signal
import subprocess

import pytest

from conftest import Bridged
from peers.certificates import Authority
from peers.tools import need

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


@pytest.fixture
def authority(tmp_path):
    (tmp_path / "ca").mkdir()
    return Authority(tmp_path / "ca")


WAYS = {  # what listens, and what is said to reach it
    "tls": ("mqtts://127.0.0.1:0?cert={own}.pem&key={own}.key", "mqtts://127.0.0.1:{port}?ca={ca}"),
    "client-certificate": ("mqtts://127.0.0.1:0?cert={own}.pem&key={own}.key&ca={ca}", "mqtts://127.0.0.1:{port}?ca={ca}&cert={mine}.pem&key={mine}.key"),
    "unverified": ("mqtts://127.0.0.1:0?cert={own}.pem&key={own}.key", "mqtts://localhost:{port}?verify=no"),
    "shared-key": ("mqtts://127.0.0.1:0?psk_file={psk}", "mqtts://127.0.0.1:{port}?psk_file={psk}"),
    "websocket": ("http://127.0.0.1:0", "ws://127.0.0.1:{port}/mqtt"),
    "websocket-tls": ("https://127.0.0.1:0?cert={own}.pem&key={own}.key", "wss://127.0.0.1:{port}/mqtt?ca={ca}"),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_goes_over_tls_and_websocket_as_well(way, authority, start_bridged, tmp_path):
    (tmp_path / "psk").write_text("recorder:00112233445566778899aabbccddeeff\n")
    names = {"own": authority.sign("server")[0].with_suffix(""), "mine": authority.sign("recorder")[0].with_suffix(""),
             "ca": authority.file, "psk": tmp_path / "psk"}
    listen, url = WAYS[way]
    listen = listen.format(**names)
    it = start_bridged(listen)
    url = url.format(port=it.port(listen.partition(":")[0]), **names)
    big = "x" * 70000
    lines = [json.dumps({"time": 1, "path": "a/b", "payload": p, "qos": 1}) for p in ("one", big, "three")]
    program = recording("-u", url, "-o", tmp_path / "m.jsonl", "-n", 3, "a/#")

    done = run("replay", "-u", url, "-s", "0", "-", stdin="\n".join(lines))

    assert done.returncode == 0, done.stderr
    assert program.wait(LONG) == 0, program.stderr.read()
    assert [json.loads(line)["payload"] for line in (tmp_path / "m.jsonl").read_text().splitlines()] == ["one", big, "three"]


@pytest.mark.parametrize("url, said", [
    ("mqtts://127.0.0.1:{port}", "certificate verify failed"), ("mqtts://127.0.0.1:{port}?ca={other}", "certificate verify failed"),
    ("mqtts://127.0.0.1:{port}?ca=/nowhere", "ca"), ("mqtts://127.0.0.1:{port}?psk_file={empty}", "identity:hexadecimal"),
    ("mqtts://127.0.0.1:{port}?cafile=x", "its options are"),
])
def test_who_cannot_be_believed_is_not(url, said, authority, start_bridged, tmp_path):
    certificate, key = authority.sign("server")
    (tmp_path / "empty").write_text("")
    (tmp_path / "other").mkdir()
    it = start_bridged(f"mqtts://127.0.0.1:0?cert={certificate}&key={key}")

    done = run("record", "-u", url.format(port=it.port("mqtts"), other=Authority(tmp_path / "other").file, empty=tmp_path / "empty"))

    assert done.returncode == 1 and said in done.stderr


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


def test_a_dry_run_asks_the_rules_and_names_whom_it_would_ask(tmp_path):
    (tmp_path / "acl").write_text("topic read open/#\nuser plc\ntopic write lines/#\nuser cloud\ntopic read lines/#\n")
    (tmp_path / "c.json").write_text("""{"listen": ["mqtt://127.0.0.1:1883"], "allow": "acl",
      "connect": ["coap://device.invalid?as=lamps/{path...}", "mqtt://cloud.invalid?name=cloud"], "routes": [
      {"source": "lines/{line}/raw", "target": "uplink.cloud:site7/{line}", "transform": "pick $.t"},
      {"source": "lines/{line}/lamp", "target": "lamps/{line}"}, {"source": "coap:l/{line}", "target": "lines/{line}/lamp"}]}""")
    lines = [{"path": "lines/7/raw", "payload": '{"t": 21.5}'}, {"path": "lines/7/raw", "payload": '{"t": 21.5}', "user": "plc"},
             {"path": "lines/7/lamp", "payload": "on", "user": "plc", "retain": True}, {"path": "open/x", "payload": "1", "user": "plc"},
             {"path": "l/8", "payload": "off", "user": "plc", "origin": "coap:10.0.0.7"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))

    done = run("-c", "c.json", "--dry-run", "m.jsonl", cwd=tmp_path)
    assert done.stdout.splitlines() == [
        'lines/7/raw {"t": 21.5}', "  refused: not allowed to nobody (--as USER)",
        'lines/7/raw {"t": 21.5}', "  -> uplink cloud is sent site7/7 21.5",
        "lines/7/lamp on (kept)", "  -> coap://device.invalid is asked: PUT lamps/7 on", "  -> lamps/7 on (kept)",
        "open/x 1", "  refused: not allowed to plc",
        "l/8 off", "  -> lines/8/lamp off", "  -> coap://device.invalid is asked: POST lamps/8 off", "  -> lamps/8 off", "end: what was held back"], done.stderr
    done = run("-c", "c.json", "--dry-run", "m.jsonl", "--as", "plc", cwd=tmp_path)
    assert done.stdout.splitlines()[:2] == ['lines/7/raw {"t": 21.5}', "  -> uplink cloud is sent site7/7 21.5"]


def rules_of_listeners(tmp_path):
    (tmp_path / "plant.acl").write_text("user plc\ntopic write lines/#\n")
    (tmp_path / "public.acl").write_text("topic read lines/#\n")
    (tmp_path / "c.json").write_text("""{"listen": ["mqtt://127.0.0.1:1883?acl_file=plant.acl", "mqtt://127.0.0.1:1884?acl_file=public.acl",
      "coap://127.0.0.1:5683/r?acl_file=plant.acl", "http://127.0.0.1:3000/resources?anonymous=deny"]}""")


def test_a_dry_run_asks_the_rules_of_the_listener_that_a_message_would_come_through(tmp_path):
    rules_of_listeners(tmp_path)
    lines = [{"path": "lines/1", "payload": "a", "user": "plc", "listener": "mqtt://127.0.0.1:1883"},
             {"path": "lines/2", "payload": "a", "user": "plc", "listener": "mqtt://127.0.0.1:1884"},
             {"path": "lines/3", "payload": "a", "origin": "coap:10.0.0.7"}, {"path": "lines/4", "payload": "a", "origin": "http:10.0.0.7"},
             {"path": "lines/5", "payload": "a", "listener": "mqtt://127.0.0.1:1"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))

    done = run("-c", "c.json", "--dry-run", "m.jsonl", cwd=tmp_path)

    assert done.stdout.splitlines() == [
        "lines/1 a", "lines/2 a", "  refused: not allowed to plc", "lines/3 a", "  refused: not allowed to nobody (--as USER)",
        "lines/4 a", "  refused: not allowed to nobody (--as USER)", "lines/5 a", "  refused: the config has no listener mqtt://127.0.0.1:1",
        "end: what was held back"], done.stderr
    done = run("-c", "c.json", "--dry-run", "m.jsonl", "--listener", "mqtt://127.0.0.1:1884", "--as", "plc", cwd=tmp_path)
    assert done.stdout.splitlines()[4:6] == ["  refused: not allowed to plc", "lines/4 a"], done.stderr


def test_explaining_says_who_may_do_what_through_which_listener(tmp_path):
    rules_of_listeners(tmp_path)

    done = run("-c", "c.json", "--explain", "lines/1", "--as", "plc", cwd=tmp_path)

    assert done.stdout.splitlines()[-4:] == [
        "through mqtt://127.0.0.1:1883 plc may write, remove, may not read, watch", "through mqtt://127.0.0.1:1884 plc may not read, watch, write, remove",
        "through coap://127.0.0.1:5683/r plc may write, remove, may not read, watch",
        "through http://127.0.0.1:3000/resources plc may read, watch, write, remove"], done.stderr
    done = run("-c", "c.json", "--explain", "lines/1", "--listener", "mqtt://127.0.0.1:1884", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "through mqtt://127.0.0.1:1884 nobody (--as USER) may read, watch, may not write, remove", done.stderr


def test_a_dry_run_says_what_maps_of_uplinks_would_do(tmp_path):
    (tmp_path / "acl").write_text("topic readwrite #\nuser cloud\ntopic readwrite shared/#\ntopic read own/#\ntopic readwrite telemetry/#\ntopic write commands/#\n")
    (tmp_path / "c.json").write_text("""{"listen": ["mqtt://127.0.0.1:1883"], "allow": "acl", "connect": [{"url": "mqtt://cloud.invalid", "name": "cloud",
      "out": [{"source": "telemetry/{p...}", "target": "site7/telemetry/{p...}", "retain": true}], "both": ["shared/{x}>common/{x}"],
      "in": ["site7-commands/{c}>commands/{c}", "others/{o}"]}],
      "routes": [{"source": "uplink.cloud:raw/{x}", "target": "commands/{x}", "transform": "pick $.v"}, {"source": "own/{x}", "target": "uplink.cloud:route/{x}"},
      {"source": "secret", "target": "uplink.cloud:secret"}]}""")
    lines = [{"path": "telemetry/hall", "payload": "21.5"}, {"path": "telemetry/hall", "payload": "", "retain": True},
             {"path": "telemetry/hall", "payload": "19", "origin": "uplink:cloud"}, {"path": "own/1", "payload": "a", "origin": "uplink:cloud"},
             {"path": "own/1", "payload": "b"}, {"path": "site7-commands/lamp", "payload": "on", "origin": "uplink:cloud", "retain": True},
             {"path": "raw/lamp", "payload": '{"v": 7}', "origin": "uplink:cloud"}, {"path": "others/x", "payload": "no", "origin": "uplink:cloud"},
             {"path": "secret", "payload": "1"}, {"path": "telemetry/hall", "payload": "a copy", "copied": True}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))

    done = run("-c", "c.json", "--dry-run", "m.jsonl", cwd=tmp_path)

    assert done.stdout.splitlines() == [
        "telemetry/hall 21.5", "  -> uplink cloud is sent site7/telemetry/hall (kept) 21.5",
        "telemetry/hall (nothing) (kept)", "  nothing comes of it",
        "telemetry/hall 19", "own/1 a", "own/1 b", "  -> uplink cloud is sent route/1 b",
        "site7-commands/lamp on (kept)", "  -> commands/lamp on (kept)", 'raw/lamp {"v": 7}', "  -> commands/lamp 7",
        "others/x no", "  refused: not allowed", "secret 1", "  -> uplink cloud may not read secret: 1", "end: what was held back"], done.stderr


def test_a_dry_run_uses_the_name_that_was_recorded(tmp_path):
    (tmp_path / "c.json").write_text("""{"routes": [{"source": "coap:a/{x}", "target": "b/{x}"}, {"source": "coap:b/{x}", "target": "c/{x}"}]}""")
    lines = [{"path": "b/1", "name": "a/1", "payload": "x", "origin": "coap:10.0.0.7"}, {"path": "b/1", "payload": "y", "origin": "coap:10.0.0.7"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))

    done = run("-c", "c.json", "--dry-run", "m.jsonl", cwd=tmp_path)

    assert done.stdout.splitlines() == ["a/1 x", "  -> b/1 x", "b/1 y", "  -> c/1 y", "end: what was held back"], done.stderr


def test_who_published_is_recorded_and_told_apart_in_a_replay(start_bridged, tmp_path):
    config = """{"listen": ["mqtt://127.0.0.1:0?password_file=passwords&anonymous=allow", "coap://127.0.0.1:0/r", "http://127.0.0.1:0/resources"],
      "routes": [{"source": "coap:{room}/temp", "target": "home/{room}/temperature"}, {"source": "home/{room}/temperature", "target": "copies/{room}"}]}"""
    (tmp_path / "c.json").write_text(config)
    subprocess.run([need("mosquitto_passwd"), "-c", "-b", str(tmp_path / "passwords"), "plc", "pw"], check=True, timeout=LONG)
    it = start_bridged(options=["-c", "c.json"], listeners=3)
    file, mqtt = tmp_path / "m.jsonl", it.port("mqtt")
    recorder = recording("-u", it.url("mqtt"), "-o", file, "-n", 4, "home/#", "copies/#")

    client = subprocess.run([need("mosquitto_pub"), "-p", str(mqtt), "-i", "plc-7", "-u", "plc", "-P", "pw", "-V", "5", "-q", "1", "-r", "-t", "home/hall/temperature",
                             "-m", "1", "-D", "publish", "user-property", "bridge-user", "root"], timeout=LONG)
    coap = subprocess.run([need("coap-client-notls"), "-m", "put", "-e", "2", f"coap://127.0.0.1:{it.port('coap')}/r/kitchen/temp"], timeout=LONG)

    assert (client.returncode, coap.returncode, recorder.wait(LONG)) == (0, 0, 0)
    lines = {(line["path"], line["payload"]): line for line in map(json.loads, file.read_text().splitlines())}
    by_plc, by_coap = lines["home/hall/temperature", "1"], lines["home/kitchen/temperature", "2"]
    assert (by_plc["origin"], by_plc["user"], by_plc["listener"], by_plc["retain"]) == ("mqtt:plc-7", "plc", f"mqtt://127.0.0.1:{mqtt}", True)
    assert "name" not in by_plc and "copied" not in by_plc
    assert by_coap["origin"].startswith("coap:127.0.0.1:") and "user" not in by_coap
    assert (by_coap["listener"], by_coap["name"]) == (f"coap://127.0.0.1:{it.port('coap')}/r", "kitchen/temp")
    assert lines["copies/hall", "1"]["copied"] and lines["copies/kitchen", "2"]["copied"] and "name" not in lines["copies/kitchen", "2"]
    for words, paths in [(("--user", "plc"), ["home/hall/temperature"]), (("--origin", "coap"), ["home/kitchen/temperature"]),
                         (("--listener", by_plc["listener"], "--copies"), ["home/hall/temperature", "copies/hall"])]:
        other = start_bridged("mqtt://127.0.0.1:0")
        again = recording("-u", other.url("mqtt"), "-n", len(paths))
        assert run("replay", "-u", other.url("mqtt"), "-s", "0", *words, file).returncode == 0
        assert again.wait(LONG) == 0
        assert sorted(json.loads(line)["path"] for line in again.stdout) == sorted(paths)


def test_who_may_not_know_who_is_there_is_not_told_who_publishes(start_bridged, tmp_path):
    (tmp_path / "acl").write_text("topic readwrite a/#\n")
    (tmp_path / "c.json").write_text('{"listen": ["mqtt://127.0.0.1:0"], "allow": "acl"}')
    it = start_bridged(options=["-c", "c.json"], listeners=1)
    program = subprocess.Popen([BRIDGED, "record", "-u", it.url("mqtt"), "-n", "1", "a/#"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    assert "it does not tell us" in program.stderr.readline()
    assert run("replay", "-u", it.url("mqtt"), "-", stdin='{"path": "a/b", "payload": "1", "qos": 1}').returncode == 0

    assert program.wait(LONG) == 0
    assert set(json.loads(program.stdout.read())) == {"time", "path", "payload", "qos"}


def test_a_broker_that_is_no_bridge_is_recorded_too(broker, tmp_path):
    program = recording("-u", f"mqtt://127.0.0.1:{broker.port}", "-n", 1, "a/#")

    assert run("replay", "-u", f"mqtt://127.0.0.1:{broker.port}", "-", stdin='{"path": "a/b", "payload": "1", "qos": 1}').returncode == 0

    assert program.wait(LONG) == 0
    assert json.loads(program.stdout.read())["path"] == "a/b"


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
