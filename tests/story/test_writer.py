"""Databases beside the bridge, against the real servers of Debian: what matches is written there, and an outage loses nothing."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from conftest import ROOT, built_adapters
from peers import mqtt
from peers.broker import free_port
from peers.process import PATIENCE

pytestmark = pytest.mark.skipif("writer" not in built_adapters() or "mqtt" not in built_adapters(), reason="needs the writers and MQTT")


def until(what, wanted, tell=lambda: ""):
    """Asks until it is so: the database tells nobody."""
    end = time.monotonic() + 6 * PATIENCE
    while (got := what()) != wanted:
        assert time.monotonic() < end, f"{got}, not {wanted}; {tell()}"
        time.sleep(0.05)


def postgres_programs():
    """Where Debian has put them, or `run` (it unpacks what would start a service); the newest."""
    found = [p.parent for usr in (Path("/usr"), ROOT / "build" / "tools" / "usr") for p in usr.glob("lib/postgresql/*/bin/initdb")
             if (p.parent / "psql").exists()]
    if not found:
        pytest.skip("needs PostgreSQL's initdb, postgres and psql")
    return max(found, key=lambda p: int(p.parent.name))


class Postgres:
    def __init__(self, folder):
        self.programs = self.psql_at = postgres_programs()
        self.folder, self.port, self.log = folder / "pg", free_port(), folder / "pg.log"
        self.made, self.as_user = [], []
        if os.getuid() == 0:
            self.let_nobody_in()
        done = subprocess.run([*self.as_user, self.programs / "initdb", "-D", self.folder, "-A", "trust", "-U", "bridge", "-N", "-E", "UTF8", "--locale=C"],
                              capture_output=True, text=True, timeout=10 * PATIENCE, cwd="/")
        assert done.returncode == 0, done.stdout + done.stderr
        self.process = None

    def let_nobody_in(self):
        """PostgreSQL will not run as root.  Nobody may not go into tmp_path (each start of pytest on this machine sees to that again), and maybe
        not to where this tree is."""
        self.folder = Path(tempfile.mkdtemp(prefix="bridge-postgres-"))
        self.made.append(self.folder)
        shutil.chown(self.folder, "nobody", "nogroup")
        self.as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        if not self.programs.is_relative_to("/usr"):
            self.programs = self.copy_of(self.programs)

    def copy_of(self, programs):
        version, usr, to = programs.parent.name, programs.parents[3], Path(tempfile.mkdtemp(prefix="bridge-postgres-"))
        self.made.append(to)
        to.chmod(0o755)
        for part in ("lib", "share"):  # it finds the one from the other
            shutil.copytree(usr / part / "postgresql" / version, to / "usr" / part / "postgresql" / version, symlinks=True,
                            ignore=shutil.ignore_patterns("bitcode", "llvmjit*"))
        return to / "usr" / "lib" / "postgresql" / version / "bin"

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([*self.as_user, self.programs / "postgres", "-D", self.folder, "-p", str(self.port), "-h", "127.0.0.1", "-k", "",
                                             "-F"], stdout=log, stderr=log, cwd="/")
        until(lambda: self.ask("SELECT 1"), "1", self.log.read_text)

    def stop(self):
        if self.process:
            self.process.terminate()  # "smart" would wait for clients: SIGINT is "fast"
            self.process.send_signal(2)
            self.process.wait(6 * PATIENCE)  # it writes what it has
            self.process = None

    def remove(self):
        self.stop()
        for folder in self.made:
            shutil.rmtree(folder)

    def ask(self, sql):
        done = subprocess.run([self.psql_at / "psql", "-X", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "bridge", "postgres", "-c", sql],
                              capture_output=True, text=True, timeout=60)
        return done.stdout.strip()


class Influx:
    def __init__(self, folder):
        if not shutil.which("influxd"):
            pytest.skip("needs influxd")
        self.port, self.folder = free_port(), folder
        (folder / "influx.conf").write_text(f"""reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "127.0.0.1:{self.port}"
[monitor]
store-enabled = false
""")
        self.process = None

    def start(self):
        with open(self.folder / "influx.log", "a") as log:
            self.process = subprocess.Popen(["influxd", "-config", self.folder / "influx.conf"], stdout=log, stderr=log)
        until(lambda: self.ask("CREATE DATABASE bridge", post=True) is not None, True)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(6 * PATIENCE)  # it writes what it has
            self.process = None

    remove = stop  # its files are pytest's to throw away

    def ask(self, query, post=False):
        url = f"http://127.0.0.1:{self.port}/query?" + urllib.parse.urlencode({"db": "bridge", "q": query, "epoch": "ms"})
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="POST" if post else "GET"), timeout=10) as answer:
                return json.loads(answer.read())["results"][0].get("series", [])
        except OSError:
            return None


@pytest.fixture
def server(request, tmp_path):
    made = request.param(tmp_path)
    yield made
    made.remove()


def publish(bridged, *messages):
    c = mqtt.Client(bridged.port("mqtt"), version=5).connect("writer-test")
    for path, data in messages:
        c.publish(path, data, qos=1)
    return c


@pytest.fixture
def start(start_bridged, tmp_path):
    def go(url, store="sqlite:w.db"):
        (tmp_path / "w.json").write_text(json.dumps({"listen": ["mqtt://127.0.0.1:0"], "connect": [url], "store": store}))
        return start_bridged(options=["-c", "w.json"], listeners=1)
    return go


@pytest.mark.parametrize("server", [Postgres], indirect=True)
def test_postgres_has_what_was_published_also_during_an_outage(server, start):
    server.start()
    bridged = start(f"postgresql://bridge@127.0.0.1:{server.port}/postgres?pattern=s/%23&table=readings")
    c = publish(bridged, ("s/a", b"21.5"), ("s/b", b'tab\there "q" \\ back\nline'), ("s/c", b"\xff\x00"), ("other", b"1"))
    until(lambda: server.ask("SELECT path, number, value, encode(data, 'hex'), origin, qos FROM readings WHERE path <> 's/b' ORDER BY path"),
          "s/a|21.5|21.5||mqtt:writer-test|1\ns/c|||ff00|mqtt:writer-test|1", bridged.errors)
    assert server.ask("SELECT value = E'tab\\there \"q\" \\\\ back\\nline' FROM readings WHERE path = 's/b'") == "t"
    assert server.ask("SELECT abs(extract(epoch FROM now() - time)) < 3600 FROM readings WHERE path = 's/a'") == "t"

    server.stop()
    for n in range(100):
        c.publish("s/out", b"%d" % n, qos=1)
    server.start()

    until(lambda: server.ask("SELECT count(*), count(DISTINCT value) FROM readings WHERE path = 's/out'"), "100|100", bridged.errors)


@pytest.mark.parametrize("server", [Postgres], indirect=True)
def test_what_waits_for_postgres_outlives_the_process(server, start):
    url = f"postgresql://bridge@127.0.0.1:{server.port}/postgres"
    bridged = start(url)
    publish(bridged, *[("s/x", b"%d" % n) for n in range(50)])
    bridged.process.kill()
    bridged.process.wait()
    bridged.end = lambda: None
    server.start()

    again = start(url)

    until(lambda: server.ask("SELECT count(*), count(DISTINCT value) FROM messages"), "50|50", again.errors)


@pytest.mark.parametrize("server", [Influx], indirect=True)
def test_influx_has_what_was_published_also_during_an_outage(server, start):
    server.start()
    bridged = start(f"influxdb://127.0.0.1:{server.port}/bridge?pattern=s/%23")
    c = publish(bridged, ("s/a b,c=d", b"21.5"), ("s/t", b'say "on" \\ off'))
    until(lambda: [sorted(series["values"][0][1:], key=str) for series in server.ask("SELECT * FROM messages WHERE path = 's/a b,c=d'") or []],
          [sorted(["s/a b,c=d", None, 21.5], key=str)], bridged.errors)
    until(lambda: [series["values"][0][1] for series in server.ask("SELECT text FROM messages WHERE path = 's/t'") or []], ['say "on" \\ off'])

    server.stop()
    for n in range(100):
        c.publish(f"s/out/{n}", b"%d" % n, qos=1)
    server.start()

    until(lambda: [series["values"][0][1] for series in server.ask("SELECT count(value) FROM messages WHERE path =~ /^s.out/") or []], [100], bridged.errors)


class SecondInflux:
    """Enough of InfluxDB 2's door to see what is said at it."""

    def __init__(self, folder):
        import http.server
        import threading
        self.seen = seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                seen.append((self.path, self.headers["Authorization"], self.rfile.read(int(self.headers["Content-Length"])).decode()))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()

    remove = stop


@pytest.mark.parametrize("server", [SecondInflux], indirect=True)
def test_the_second_version_of_influx_is_spoken_too(server, start, tmp_path):
    (tmp_path / "token").write_text("secret\n")
    bridged = start(f"influxdb2://127.0.0.1:{server.port}/bucket?org=home&token_file=token&measurement=m", store="memory:")

    publish(bridged, ("a", b"1"))

    until(lambda: len(server.seen), 1, bridged.errors)
    path, login, line = server.seen[0]
    assert path == "/api/v2/write?precision=ms&bucket=bucket&org=home" and login == "Token secret"
    assert line.startswith("m,path=a value=1 ")
