"""What every story starts from: where the build is, a running bridged, a bridge in this process, and peers.

The build is looked for in $LIBBRIDGE_BUILD, else in build/ beside tests/.
"""
import os
import re
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("LIBBRIDGE_BUILD") or ROOT / "build").resolve()
sys.path[:0] = [str(ROOT / "tests"), str(BUILD / "bindings" / "python")]

from peers.broker import Broker  # noqa: E402
from peers.browser import Browser  # noqa: E402
from peers.process import PATIENCE, Program, run  # noqa: E402
from peers.tools import Mosquitto  # noqa: E402

if (BUILD / "bindings" / "python" / "libbridge" / "testing.py").exists():
    pytest_plugins = ["libbridge.testing"]
else:
    @pytest.fixture
    def make_bridge():
        pytest.skip("the Python module is not in this build")

    bridge = pytest.fixture(name="bridge")(lambda make_bridge: None)
    cloud = pytest.fixture(name="cloud")(lambda make_bridge: None)

def pytest_ignore_collect(collection_path):
    """Without the Python module there is nothing to do for files that import it."""
    if (BUILD / "bindings" / "python" / "libbridge" / "testing.py").exists() or collection_path.suffix != ".py":
        return None
    return bool(re.search(r"^(from|import) libbridge\b", collection_path.read_text(), re.M)) or None


DEFAULTS = ("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r")


def built_adapters():
    """The protocols that are in this build, told by the generated table."""
    table = BUILD / "adapter_table.c"
    return re.findall(r"&(\w+)_adapter", table.read_text()) if table.exists() else []


class Bridged(Program):
    """A running bridged.  .url("coap") and .port("mqtt") say where it really listens."""

    program = BUILD / "examples" / "bridged" / "bridged"

    def __init__(self, *argv, log, env=None, cwd=None):
        self.log = log
        with open(log, "w") as errors:
            super().__init__(self.program, *argv, errors=errors, env=env, cwd=cwd)
        self.urls = []

    def ready(self, count):
        """Waits until `count` listeners are told."""
        while len(self.urls) < count:
            try:
                line = self.line()
            except EOFError as gone:
                raise AssertionError(f"{gone}\n{self.errors()}") from None
            if line.startswith("listening on "):
                self.urls.append(line.removeprefix("listening on "))
        return self

    def url(self, scheme):
        for url in self.urls:
            if url.startswith(scheme + "://"):
                return url.partition("?")[0].rstrip("/")
        raise KeyError(f"bridged does not listen on {scheme}: {self.urls}")

    def port(self, scheme):
        return int(re.search(r":(\d+)(?=[/?]|$)", self.url(scheme).split("://", 1)[1]).group(1))

    def errors(self):
        return Path(self.log).read_text(errors="backslashreplace")

    def wait_for_error(self, words):
        """Polls the log: the one thing that bridged tells by file only."""
        end = time.monotonic() + PATIENCE
        while words not in self.errors():
            assert time.monotonic() < end, self.errors()
            time.sleep(0.01)

    def end(self):
        """Stops it as a service manager would, and expects a clean end."""
        code = self.stop()
        said = self.errors()
        for bad in ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:"):
            assert bad not in said, said
        assert code == 0, f"bridged ended with {code}: {said}"


@pytest.fixture
def start_bridged(tmp_path):
    """start_bridged("mqtt://127.0.0.1:0", ..., options=["-c", file]) gives a Bridged that listens; each ends with 0."""
    running = []

    def start(*urls, options=(), listeners=None, env=None):
        if not Bridged.program.exists():
            pytest.skip(f"no {Bridged.program}")
        program = Bridged(*options, *urls, log=tmp_path / f"bridged{len(running)}.log", cwd=tmp_path,
                          env={**os.environ, **(env or {})})
        running.append(program)
        return program.ready(len(urls) if listeners is None else listeners)

    yield start
    for program in running:
        program.end()


@pytest.fixture(scope="session")
def mqtt_port(tmp_path_factory):
    """The port of one bridged that serves all tables of MQTT packets: a client that breaks the rules disturbs nobody."""
    if not Bridged.program.exists() or "mqtt" not in built_adapters():
        pytest.skip("MQTT is not in this build")
    program = Bridged("mqtt://127.0.0.1:0", log=tmp_path_factory.mktemp("mqtt") / "bridged.log")
    yield program.ready(1).port("mqtt")
    program.end()


@pytest.fixture(scope="session")
def coap_port(tmp_path_factory):
    """The port of one bridged that serves all tables of CoAP datagrams, at /r."""
    if not Bridged.program.exists() or "coap" not in built_adapters():
        pytest.skip("CoAP is not in this build")
    program = Bridged("coap://127.0.0.1:0/r", log=tmp_path_factory.mktemp("coap") / "bridged.log")
    yield program.ready(1).port("coap")
    program.end()


@pytest.fixture
def bridged(start_bridged):
    """A bridged with one listener of each protocol that is built in, on ports of their own."""
    have = built_adapters()
    return start_bridged(*[url for url in DEFAULTS if url.split(":")[0] in have])


@pytest.fixture
def bridged_program():
    """Runs bridged to its end: bridged_program("--help") gives (code, stdout, stderr)."""
    def call(*argv, cwd=None):
        if not Bridged.program.exists():
            pytest.skip(f"no {Bridged.program}")
        done = run(Bridged.program, *argv, check=False, timeout=PATIENCE)
        return done.returncode, done.stdout.decode(), done.stderr.decode()
    return call


@pytest.fixture
def broker(tmp_path):
    """A mosquitto of one's own, the other side of an uplink."""
    it = Broker(tmp_path)
    yield it
    it.stop()


@pytest.fixture
def still():
    """A clock that only jumps."""
    return pytest.importorskip("libbridge").Clock(frozen=True)


@pytest.fixture
def make(make_bridge):
    """Bridges for the stories of uplinks: without listeners unless they are named, on the system's clock."""
    return lambda *urls, **options: make_bridge(*urls, clock=None, patience=30.0, **options)


@pytest.fixture
def wires():
    """wires(port) gives a Wire to that port, which can be cut, stalled and refused."""
    from libbridge._wire import Wire
    made = []

    def make(port):
        made.append(Wire(port))
        return made[-1]
    yield make
    for wire in made:
        wire.close()


@pytest.fixture
def mosquitto(bridged):
    """mosquitto_pub and mosquitto_sub, pointed at the bridged of this test."""
    clients = Mosquitto(bridged.port("mqtt"))
    yield clients
    clients.close()


@pytest.fixture(scope="session")
def chromium():
    """One browser for all stories, each of which has a page and a profile of its own."""
    with Browser() as browser:
        yield browser


@pytest.fixture
def tab(chromium):
    """A page whose scripts have nothing to complain about."""
    with chromium.page() as page:
        yield page
    assert page.complaints == []


# ---- .ci/run gives a failed test two more tries (--reruns 2), a little later on a busy machine.  It is told who needed it,
# and is not for everybody: many of them are no accident, and what a sanitizer says never is.
SECOND_TRIES = 4


def _second_tries(config):
    reporter = config.pluginmanager.getplugin("terminalreporter")
    return reporter.stats.get("rerun", []) if reporter else []


def pytest_sessionfinish(session):
    tried = _second_tries(session.config)
    if len(tried) > SECOND_TRIES or any("Sanitizer" in report.longreprtext or "runtime error:" in report.longreprtext for report in tried):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    for report in _second_tries(terminalreporter.config):
        terminalreporter.section(f"unsteady: {report.nodeid} ({report.when})")
        terminalreporter.line(report.longreprtext)
    if len(_second_tries(terminalreporter.config)) > SECOND_TRIES:
        terminalreporter.line(f"more than {SECOND_TRIES} second tries were needed: the run has failed")
