"""A config file: all of it or nothing, errors with line and word, and what a reload leaves alone."""
import json
import re
import signal
import socket

import pytest
from peers.tools import Mosquitto

FULL = """\
// everything at once
{
  "listen": ["mqtt://127.0.0.1:0"], /* a free port */
  "routes": [{"source": "a/{x}", "target": "b/{x}", "qos": 1, "retain": true}],
  "store": "memory:",
  "log": "debug",
  "limits": {"max_message": 100000}
}
"""


@pytest.fixture
def config(tmp_path):
    """config(text or dict) writes the file and gives its name."""
    path = tmp_path / "bridge.json"

    def write(said):
        path.write_text(said if isinstance(said, str) else json.dumps(said))
        return path
    return write


def test_a_good_one_is_good(bridged_program, config):
    path = config(FULL)

    assert bridged_program("-c", path, "--check-config") == (0, f"{path}: good\n", "")


@pytest.mark.parametrize("text, line, words", [
    ('{\n"lisen": []}', 2, 'unknown key "lisen"; did you mean "listen"?'),
    ('{"listen": [],\n"routes": [\n{"source": "a", "targt": "b"}]}', 3, 'unknown key "targt"; did you mean "target"?'),
    ('{"listen": [\n"gopher://127.0.0.1"]}', 2, "gopher"),
    ('{"listen": [\n\n"mqtt://127.0.0.1:99999"]}', 3, "not a URL"),
    ('{"listen": ["mqtt://127.0.0.1:0?colour=red"]}', 1, "colour"),
    ('{"routes": [\n{"source": "a/{x}",\n"target": "b/{y}"}]}', 2, "y"),
    ('{"log": "loud"}', 1, '"log" is "error", "warn", "info" or "debug", not "loud"'),
    ('{"listen": "mqtt://127.0.0.1:0",\n "listen": []}', 2, 'said twice: "listen"'),
    ('{"limits": {"max_message": "1 MB"}}', 1, '"max_message" is a whole number, not a text'),
    ('{\n  "listen": ["a", ]\n}', 2, ""),
    ('{"allow": "/nowhere/acl.txt"}', 1, "/nowhere/acl.txt"),
])
def test_a_wrong_one_is_two_with_line_and_word(bridged_program, config, text, line, words):
    path = config(text)

    code, out, err = bridged_program("-c", path, "--check-config")

    assert code in (1, 2) and out == ""
    assert err.startswith(f"bridged: {path}:{line}: ") and words in err, err


def test_checking_opens_nothing(bridged_program, config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path = config({"listen": [f"mqtt://127.0.0.1:{taken.getsockname()[1]}"]})

        assert bridged_program("-c", path, "--check-config")[0] == 0


def test_explaining_opens_nothing(bridged_program, config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path = config({"listen": [f"mqtt://127.0.0.1:{taken.getsockname()[1]}"],
                       "routes": [{"source": "a/{x}", "target": "b/{x}"}]})

        code, out, err = bridged_program("-c", path, "--explain", "a/1")

    assert code == 0, err
    assert "b/1" in out


def test_the_listeners_of_the_file_are_told(start_bridged, config):
    program = start_bridged(options=["-c", config({"listen": ["mqtt://127.0.0.1:0", "http://127.0.0.1:0/x"]})], listeners=2)

    assert [url.split(":")[0] for url in program.urls] == ["mqtt", "http"]


def reload(program, path, text):
    path.write_text(json.dumps(text))
    program.send_signal(signal.SIGHUP)


def wait_for_log(program, words, count=1):
    """Polls the log: the one thing that bridged tells by file only."""
    import time
    for _ in range(2000):
        if program.errors().count(words) >= count:
            return program.errors()
        time.sleep(0.01)
    raise AssertionError(program.errors())


def test_a_reload_changes_routes_and_keeps_connections(start_bridged, config):
    port = free_port()
    said = {"listen": [f"mqtt://127.0.0.1:{port}"], "routes": [{"source": "a/{x}", "target": "b/{x}"}]}
    path = config(said)
    program = start_bridged(options=["-c", path], listeners=1)
    mosquitto = Mosquitto(port)
    heard = mosquitto.subscribe("b/#", "c/#")
    mosquitto.publish("a/1", "first")
    assert heard.line() == "b/1 first"

    said["routes"][0]["target"] = "c/{x}"
    reload(program, path, said)
    wait_for_log(program, "again")
    mosquitto.publish("a/1", "second")

    assert heard.line() == "c/1 second"  # the same connection
    mosquitto.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_a_reload_that_fails_changes_nothing(start_bridged, config):
    port = free_port()
    said = {"listen": [f"mqtt://127.0.0.1:{port}"], "routes": [{"source": "a/{x}", "target": "b/{x}"}]}
    path = config(said)
    program = start_bridged(options=["-c", path], listeners=1)
    mosquitto = Mosquitto(port)
    heard = mosquitto.subscribe("b/#", "c/#")

    reload(program, path, {"listen": ["mqtt://127.0.0.1:0", "gopher://127.0.0.1:0"],
                           "routes": [{"source": "a/{x}", "target": "c/{x}"}]})
    log = wait_for_log(program, "everything stays as it was")
    mosquitto.publish("a/1", "x")

    assert "gopher" in log and re.search(r"bridge\.json:1: ", log)
    assert heard.line() == "b/1 x"
    mosquitto.close()


def test_a_reload_opens_and_closes_listeners(start_bridged, config):
    first, second = free_port(), free_port()
    path = config({"listen": [f"mqtt://127.0.0.1:{first}"]})
    program = start_bridged(options=["-c", path], listeners=1)

    reload(program, path, {"listen": [f"mqtt://127.0.0.1:{second}"]})
    wait_for_log(program, "again")

    with socket.create_connection(("127.0.0.1", second), 5):
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", first), 5)


def test_a_listener_whose_options_change_takes_its_port_over(start_bridged, config):
    port = free_port()
    path = config({"listen": [f"mqtt://127.0.0.1:{port}"]})
    program = start_bridged(options=["-c", path], listeners=1)

    reload(program, path, {"listen": [f"mqtt://127.0.0.1:{port}?anonymous=allow"]})
    wait_for_log(program, "again")

    with socket.create_connection(("127.0.0.1", port), 5):
        pass


def test_the_limit_of_a_config_holds(start_bridged, config):
    port = free_port()
    start_bridged(options=["-c", config({"listen": [f"mqtt://127.0.0.1:{port}"], "limits": {"max_message": 10}})],
                  listeners=1)
    mosquitto = Mosquitto(port)
    heard = mosquitto.subscribe("a")

    mosquitto.publish("a", "short")
    try:
        mosquitto.publish("a", "x" * 100)
    except AssertionError:
        pass  # disconnected, as MQTT says
    mosquitto.publish("a", "again")

    assert heard.lines(2) == ["a short", "a again"]
    mosquitto.close()
