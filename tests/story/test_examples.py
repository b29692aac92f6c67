"""Every example does what its README says.  Its fixed ports become port 0, nothing else is changed."""
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from peers.process import PATIENCE, Program, python_environment, run
from peers.tools import Mosquitto, coap_get, coap_put, curl

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LIBBRIDGE_BUILD") or ROOT / "build").resolve()
EXAMPLES = ROOT / "examples"
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


@pytest.fixture
def environment():
    path = os.pathsep.join(p for p in (str(BUILD / "bindings" / "python"), os.environ.get("PYTHONPATH")) if p)
    return python_environment(PYTHONPATH=path, PYTHONUNBUFFERED="1")


@pytest.fixture
def python_example(tmp_path, environment):
    pytest.importorskip("libbridge.testing")
    running = []

    def start(name, *argv):
        source = (EXAMPLES / "python" / name / f"{name}.py").read_text()
        copy = tmp_path / f"{name}.py"
        copy.write_text(re.sub(r"(127\.0\.0\.1):\d+", r"\1:0", source))
        program = Program(PYTHON, copy, *argv, env=environment)
        running.append(program)
        return program
    yield start
    for program in running:
        program.stop(signal.SIGINT)


@pytest.fixture
def c_example(environment):
    running = []

    def start(name, *argv, stdin=subprocess.DEVNULL):
        path = BUILD / "examples" / "c" / f"example_{name}"
        if not path.exists():
            pytest.skip(f"no {path}")
        program = Program(path, *argv, env=environment)
        running.append(program)
        return program
    yield start
    for program in running:
        assert program.stop(signal.SIGINT) == 0, program.seen


def urls_in(line):
    return {url.split(":")[0]: url for url in re.findall(r"\w+://\S+", line)}


def port_of(url):
    return int(re.search(r":(\d+)", url.split("//")[1]).group(1))


def test_ponte_in_ten_lines(tmp_path, environment):
    pytest.importorskip("libbridge.testing")
    source = re.sub(r"(127\.0\.0\.1):\d+", r"\1:0", (EXAMPLES / "python" / "ponte" / "ponte.py").read_text())
    lines = [line for line in source.splitlines() if line and not line.startswith('"""')]
    assert len(lines) <= 10
    told = source.replace('print("ponte is up', 'print(*ponte.listeners, flush=True)\nprint("ponte is up')
    (tmp_path / "ponte.py").write_text(told)

    with Program(PYTHON, tmp_path / "ponte.py", env=environment) as ponte:
        urls = urls_in(ponte.line())
        ponte.wait_for("ponte is up")
        status, body = curl(urls["http"] + "/about")
        assert (status, body) == (200, b'{"name":"ponte in ten lines","path":"about"}')
        coap_put(urls["coap"] + "/home/kitchen/temperature", "21.5")
        assert curl(urls["http"] + "/home/kitchen/temperature") == (200, b"21.5")

        assert ponte.stop(signal.SIGINT) == 0


def test_handlers_and_resources(python_example):
    handler = python_example("handler")
    urls = urls_in(handler.wait_for("listening on"))
    mosquitto = Mosquitto(port_of(urls["mqtt"]))
    alarms = mosquitto.subscribe("alarms/#")

    mosquitto.publish("home/kitchen/temperature", 31)

    assert alarms.line().startswith('alarms/kitchen {"temperature":31,"said_by":"mqtt:')
    lamp = urls["http"] + "/lamps/kitchen"
    assert curl("-X", "PUT", "-d", "on", lamp)[0] in (200, 204)
    assert curl(lamp) == (200, b"on")
    status, body = curl(urls["http"] + "/lamps/garage")
    assert status == 404 and b"there is no lamp in the garage" in body
    mosquitto.close()


def test_inside_asyncio(python_example):
    example = python_example("inside_asyncio")
    urls = urls_in(example.wait_for("listening on"))
    mosquitto = Mosquitto(port_of(urls["mqtt"]))
    answers = mosquitto.subscribe("answers/#")

    mosquitto.publish("questions/ann", "why")

    assert answers.line() == "answers/ann ann asked: why"
    assert coap_get(urls["coap"] + "/uptime").strip().isdigit()
    mosquitto.publish("commands", "stop")
    assert example.wait() == 0
    mosquitto.close()


def test_a_custom_route(python_example):
    example = python_example("custom_route")
    urls = urls_in(example.wait_for("listening on"))
    mosquitto = Mosquitto(port_of(urls["mqtt"]))
    heard = mosquitto.subscribe("home/#", "archive/#")

    coap_put(urls["coap"] + "/s/kitchen/t", "21.5")

    assert sorted(heard.lines(2)) == ["archive/kitchen/temperature 21.5", "home/kitchen/temperature 21.5"]
    assert coap_get(urls["coap"] + "/s/kitchen/t").strip() == b"21.5"
    mosquitto.close()


def test_testing(environment):
    pytest.importorskip("libbridge.testing")

    done = run("env", f"PYTHONPATH={environment['PYTHONPATH']}", PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider",
               "--rootdir", EXAMPLES / "python" / "testing", "-c", os.devnull, EXAMPLES / "python" / "testing",
               timeout=3 * PATIENCE)

    assert b"2 passed" in done.stdout


def test_c_run(c_example):
    example = c_example("run", "mqtt://127.0.0.1:0")
    port = port_of(urls_in(example.wait_for("listening on"))["mqtt"])

    mosquitto = Mosquitto(port)
    mosquitto.publish("a", "1", "-r")

    heard = mosquitto.subscribe("a")
    assert heard.line() == "a 1"
    mosquitto.close()


def test_c_own_loop():
    path = BUILD / "examples" / "c" / "example_own_loop"
    if not path.exists():
        pytest.skip(f"no {path}")
    example = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    port = port_of(urls_in(example.stdout.readline())["mqtt"])

    Mosquitto(port).publish("home/kitchen/temperature", 21.5)
    assert example.stdout.readline().startswith("home/kitchen/temperature = 21.5 (mqtt:")
    example.stdin.write("19\n")
    example.stdin.flush()
    assert example.stdout.readline().startswith("home/console/temperature = 19")
    example.stdin.close()

    assert example.wait(PATIENCE) == 0
    example.stdout.close()


def test_c_thread(c_example):
    example = c_example("thread")

    assert example.rest() == ["kitchen: 21.5", "cellar: no such resource"]


def test_c_handler(c_example):
    example = c_example("handler", "http://127.0.0.1:0/resources")
    url = urls_in(example.wait_for("listening on"))["http"] + "/lamps/"

    assert curl("-X", "PUT", "-d", "on", url + "kitchen")[0] in (200, 204)
    assert curl(url + "kitchen") == (200, b"on")
    assert curl(url + "garage")[0] == 404
    assert curl("-X", "PUT", "-d", "much too long", url + "kitchen")[0] == 413
    assert curl("-X", "DELETE", url + "kitchen")[0] == 405
